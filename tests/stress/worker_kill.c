/* Kills workers at random moments under load, then reads the ledger: every
 * message settled exactly once, in the order of the input, none lost, none
 * failed. Usage: worker_kill [KILLS [SEED]]; prints its seed. */
#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/pipeline.h"

#define WORKERS 8

/* ---- a sink that holds the rows to account ------------------------------------------ */

static struct {
    uint64_t rows, last;
    uint64_t out_of_order;
} seen = { .last = UINT64_MAX };

static int account(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state;
    (void)err;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t value;
        memcpy(&value, batch->bytes + batch->spans[i].at, sizeof value);
        /* Strictly rising: nothing twice, nothing overtaken. */
        if (seen.last != UINT64_MAX && value <= seen.last)
            seen.out_of_order++;
        seen.last = value;
        seen.rows++;
    }
    return 0;
}

static const struct belt_sink account_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "account", .help = "checks order" },
    .batch = account,
};

/* Enough work per message for a kill to fall inside the callback, too. */
static int work(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    volatile uint64_t *sum = state;
    for (int round = 0; round < 20; round++)
        *sum += (uint64_t)text[round % 8] * 31;
    return 0;
}

static const struct belt_step work_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "work",
              .help = "some work",
              .state_size = sizeof(uint64_t) },
    .message = work,
};

/* ---- finding workers ------------------------------------------------------------------ */

static pid_t parent_of(pid_t pid, char name[32])
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    int parent = -1;
    if (file && fgets(line, sizeof line, file)) {
        char *open = strchr(line, '('), *end = strrchr(line, ')');
        if (open && end) {
            snprintf(name, 32, "%.*s", (int)(end - open - 1), open + 1);
            sscanf(end + 1, " %*c %d", &parent);
        }
    }
    if (file)
        fclose(file);
    return parent;
}

/* Grandchildren of ours: made by the zygote, which is our child. */
static int find_workers(pid_t workers[WORKERS])
{
    int count = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && count < WORKERS && (entry = readdir(proc));) {
        char name[32] = "", other[32] = "";
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid <= 0)
            continue;
        pid_t zygote = parent_of(pid, name);
        if (strncmp(name, "belt/worker", 11) == 0 && parent_of(zygote, other) == getpid())
            workers[count++] = pid;
    }
    if (proc)
        closedir(proc);
    return count;
}

static void pause_us(unsigned us)
{
    struct timespec t = { us / 1000000, (long)(us % 1000000) * 1000 };
    nanosleep(&t, NULL);
}

static uint64_t random_state;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((random_state >> 33) % limit);
}

static int kill_workers(struct belt_pipeline *p, int kills)
{
    int done = 0;
    struct belt_error err = { 0 };
    for (int tries = 0; done < kills && tries < kills * 20; tries++) {
        pid_t workers[WORKERS];
        pause_us(random_below(4000));
        int count = find_workers(workers);
        if (count && kill(workers[random_below((uint32_t)count)], SIGKILL) == 0)
            done++;
        if (belt_pipeline_wait(p, 0, &err) != -ETIMEDOUT)
            break;
    }
    return done;
}

/* ---- the test --------------------------------------------------------------------------- */

static const char yaml[] = "source: { counter: { count: 1000000000000 } }\n"
                           "processor: { isolation: process, concurrency: 2, max_attempts: 100,\n"
                           "             steps: [ work: {} ] }\n"
                           "batcher: { size: 1000, sink: account }\n";

#define CHECK(what)                                                                                \
    do {                                                                                           \
        if (!(what)) {                                                                             \
            printf("not ok: %s\n", #what);                                                         \
            failures++;                                                                            \
        }                                                                                          \
    } while (0)

int main(int argc, char **argv)
{
    int kills = argc > 1 ? atoi(argv[1]) : 500, failures = 0;
    random_state = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64_t)time(NULL);
    printf("worker_kill: %d kills, seed %llu\n", kills, (unsigned long long)random_state);
    fflush(stdout);
    struct belt_pipeline *p;
    struct belt_error err = { 0 };
    CHECK(belt_pipeline_new(&p, &err) == 0);
    CHECK(belt_pipeline_add(p, &account_sink.part, &err) == 0);
    CHECK(belt_pipeline_add(p, &work_step.part, &err) == 0);
    CHECK(belt_pipeline_load_text(p, yaml, "worker_kill", &err) == 0);
    if (belt_pipeline_start(p, &err) < 0) {
        printf("not ok: start: %s\n", err.text);
        return 1;
    }
    int done = kill_workers(p, kills);
    belt_pipeline_stop(p, UINT64_C(60000000000));
    int rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    if (rc < 0)
        printf("run: %s\n", err.text);
    struct belt_totals t = { .size = sizeof t };
    belt_pipeline_totals(p, &t);
    CHECK(rc == 0);
    CHECK(done == kills);
    CHECK(t.unsettled == 0);
    CHECK(t.failed == 0);
    CHECK(t.done == t.received);
    CHECK(seen.rows == t.received);
    CHECK(seen.out_of_order == 0);
    CHECK(belt_check(p, &err) == 0);
    printf("%d kills, %llu messages, %llu settled, %llu failed, %llu rows, %llu out of order\n",
           done, (unsigned long long)t.received, (unsigned long long)t.done,
           (unsigned long long)t.failed, (unsigned long long)seen.rows,
           (unsigned long long)seen.out_of_order);
    belt_pipeline_free(p);
    return failures != 0;
}
