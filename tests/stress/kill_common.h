/* Killing the processes of a pipeline at random, in many ways. */
#ifndef KILL_COMMON_H
#define KILL_COMMON_H

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>

#include "core/pipeline.h"
#include "rings/atomic.h"
#include "tests/stress/worker_common.h"

static uint64_t random_state;

static inline uint32_t random_below(uint32_t limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % limit);
}

/* ---- who got anywhere ---------------------------------------------------------------- */

/* A run ends when six processes of an instance in a row die before they are ready, and on a
 * busy machine that may take each of them longer than the next kill does. So no fourth is
 * killed of those that called nothing. */
#define IN_A_ROW 3

enum { SINKS, STEPS };

static struct instance {
    uint64_t calls;      /* callbacks that its processes have been in; shared with them */
    uint64_t seen;       /* of these, at a kill */
    int kills;           /* since */
} (*instances)[WORKERS]; /* [2] */

static inline int share_instances(void)
{
    size_t size = 2 * sizeof *instances;
    instances = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return instances == MAP_FAILED ? -1 : 0;
}

/* In a callback; relaxed: it only has to move. */
static inline void count_call(int kind, uint32_t index)
{
    uint64_t *calls = &instances[kind][index % WORKERS].calls;
    belt_store_relaxed(calls, belt_load_relaxed(calls) + 1);
}

static inline int may_be_killed(pid_t pid)
{
    char name[32] = "";
    parent_of(pid, name);
    const char *dot = strchr(name, '.');
    int kind = strncmp(name, "belt/sink", 9) == 0 ? SINKS : STEPS;
    struct instance *of = &instances[kind][dot ? (unsigned)atoi(dot + 1) % WORKERS : 0];
    uint64_t calls = belt_load_relaxed(&of->calls);
    if (calls != of->seen)
        of->kills = 0;
    of->seen = calls;
    return of->kills++ < IN_A_ROW;
}

/* ---- killing ------------------------------------------------------------------------- */

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
    return count && may_be_killed(workers[victim]) && kill(workers[victim], way) == 0;
}

/* Of the names at random, at random times, while the pipeline runs. How many of each. */
static inline int kill_named(struct belt_pipeline *p, int kills, const char *const *names,
                             uint32_t count, int *killed, void (*before)(uint32_t which))
{
    struct belt_error err = { 0 };
    int done = 0;
    for (uint64_t until = now_ns() + UINT64_C(240000000000); done < kills && now_ns() < until;) {
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
