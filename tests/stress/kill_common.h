/* Killing the processes of a pipeline at random, in many ways. */
#ifndef KILL_COMMON_H
#define KILL_COMMON_H

#include <errno.h>
#include <signal.h>

#include "core/pipeline.h"
#include "tests/stress/worker_common.h"

static uint64_t random_state;

static inline uint32_t random_below(uint32_t limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % limit);
}

/* One of the processes of this name; whether there was one. before(which), unless NULL, may
 * wait for a better moment. */
static inline int kill_one(const char *name, uint32_t which, void (*before)(uint32_t which))
{
    static const int ways[] = { SIGKILL, SIGKILL, SIGSEGV, SIGABRT, SIGBUS, SIGUSR1 };
    pid_t workers[WORKERS], zygote;
    int count = find_named(getpid(), name, workers, &zygote);
    int way = ways[random_below(sizeof ways / sizeof *ways)];
    uint32_t victim = random_below((uint32_t)(count ? count : 1));
    if (count && before)
        before(which);
    return count && kill(workers[victim], way) == 0;
}

/* Of the names at random, at random times, while the pipeline runs. How many of each. */
static inline int kill_named(struct belt_pipeline *p, int kills, const char *const *names,
                             uint32_t count, int *killed, void (*before)(uint32_t which))
{
    struct belt_error err = { 0 };
    int done = 0;
    for (int tries = 0; done < kills && tries < kills * 20; tries++) {
        pause_us(random_below(4000));
        uint32_t which = random_below(count);
        int one = kill_one(names[which], which, before);
        killed[which] += one;
        done += one;
        if (belt_pipeline_wait(p, 0, &err) != -ETIMEDOUT)
            break;
    }
    return done;
}

/* --kills N, --seed S; false: something else was given. */
static inline int read_options(int argc, char **argv, const char *program, int *kills)
{
    random_state = (uint64_t)time(NULL);
    for (int i = 1; i < argc; i++) {
        if (i + 1 < argc && strcmp(argv[i], "--kills") == 0) {
            *kills = atoi(argv[++i]);
        } else if (i + 1 < argc && strcmp(argv[i], "--seed") == 0) {
            random_state = strtoull(argv[++i], NULL, 10);
        } else {
            printf("usage: %s [--kills N] [--seed S]\n", program);
            return 0;
        }
    }
    printf("%s: %d kills, seed %llu\n", program, *kills, (unsigned long long)random_state);
    fflush(stdout);
    return 1;
}

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            printf("not ok: %s\n", #what);                                                         \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

#endif
