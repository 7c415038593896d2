/* Pipelines whose sink runs in a worker, does to its process what the rows say, and writes
 * down what it sees in memory that it shares with the test. */
#ifndef BATCH_WORKER_FIXTURE_H
#define BATCH_WORKER_FIXTURE_H

#include <sys/mman.h>

#include "core/sink_worker_priv.h"
#include "tests/unit/worker_fixture.h"

/* "2[s:a|b|]": the second attempt at a batch cut by size. Written when it is through. */
struct heard {
    char text[1 << 16];
    char failed[1 << 12]; /* by failed(): "a=reason|" of each message, ";" after each call */
    uint32_t used, failed_used;
    uint32_t begun, through, inits, finis, failed_calls;
    uint32_t finished; /* 1: complete, 2: not */
    uint32_t die_once; /* the next so many batches that hold "frail" kill their worker */
    pid_t worker;
};

static struct heard *heard;

static inline void share_heard(void)
{
    const struct rlimit no_cores = { 0, 0 };
    setrlimit(RLIMIT_CORE, &no_cores);
    heard = mmap(NULL, sizeof *heard, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(heard, MAP_FAILED);
}

static inline bool is_word(const char *text, uint32_t size, const char *word)
{
    return size == strlen(word) && memcmp(text, word, size) == 0;
}

static inline void write_down(const struct belt_batch *batch)
{
    char *at = heard->text + heard->used;
    if (heard->used + batch->bytes_size + batch->key_size + 2 * (size_t)batch->count + 32 >
        sizeof heard->text)
        return; /* counted all the same */
    at += sprintf(at, "%u%.*s[%c:", batch->attempt, (int)batch->key_size, batch->key,
                  "sbtepfc"[batch->trigger]);
    for (uint32_t i = 0; i < batch->count; i++)
        at += sprintf(at, "%.*s|", (int)batch->spans[i].size, batch->bytes + batch->spans[i].at);
    at += sprintf(at, "]");
    heard->used = (uint32_t)(at - heard->text);
}

/* Fails the row, refuses the batch, dies or hangs by this word; 0: nothing of the kind. */
static inline int obey_row(struct belt_batch *batch, uint32_t i, struct belt_error *err)
{
    const char *text = batch->bytes + batch->spans[i].at;
    uint32_t size = batch->spans[i].size;
    char reason[64];
    snprintf(reason, sizeof reason, "row %.*s is bad", (int)size, text);
    if (size > 4 && memcmp(text, "fail", 4) == 0)
        belt_batch_fail(batch, i, reason);
    if (is_word(text, size, "refuse"))
        return belt_error_set(err, -EINVAL, "refused as told");
    if (is_word(text, size, "pending"))
        return BELT_PENDING;
    if (is_word(text, size, "frail") && heard->die_once && heard->die_once--)
        abort();
    obey_text(text, size);
    return 0;
}

static inline int drill_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    ++*(uint32_t *)state;
    heard->worker = getpid();
    belt_fetch_add32(&heard->begun, 1);
    for (uint32_t i = 0; i < batch->count; i++) {
        int rc = obey_row(batch, i, err);
        if (rc)
            return rc;
    }
    write_down(batch);
    belt_fetch_add32(&heard->through, 1);
    return 0;
}

static inline int drill_init(void *state, void *conf, const struct belt_instance *in,
                             struct belt_error *err)
{
    (void)conf, (void)in, (void)err;
    *(uint32_t *)state = 0;
    belt_fetch_add32(&heard->inits, 1);
    return 0;
}

static inline void drill_fini(void *state, void *conf)
{
    (void)state, (void)conf;
    belt_fetch_add32(&heard->finis, 1);
}

static inline int drill_finish(void *state, bool complete, struct belt_error *err)
{
    (void)state, (void)err;
    heard->finished = complete ? 1 : 2;
    return 0;
}

static inline void drill_failed(void *state, struct belt_batch *batch, int code, const char *reason)
{
    (void)state, (void)code, (void)reason;
    heard->failed_calls++;
    char *at = heard->failed + heard->failed_used;
    for (uint32_t i = 0; i < batch->count; i++)
        at += sprintf(at, "%.*s=%s|", (int)batch->spans[i].size, batch->bytes + batch->spans[i].at,
                      belt_batch_reason(batch, i));
    at += sprintf(at, ";");
    heard->failed_used = (uint32_t)(at - heard->failed);
}

#define DRILL_PART                                                                                 \
    .part = { .abi = BELT_ABI,                                                                     \
              .kind = BELT_SINK,                                                                   \
              .name = "drill",                                                                     \
              .help = "does as told",                                                              \
              .state_size = sizeof(uint32_t),                                                      \
              .init = drill_init,                                                                  \
              .fini = drill_fini },                                                                \
    .batch = drill_batch, .format = "raw"
#define DRILL DRILL_PART, .finish = drill_finish, .failed = drill_failed

static const struct belt_sink drill __attribute__((unused)) = { DRILL };

/* `worker`: its settings; `batcher`: the batcher's, each with a comma behind it, or "". */
static inline struct belt_pipeline *sink_worker_with(const struct belt_sink *sink,
                                                     const char *source, const char *worker,
                                                     const char *batcher)
{
    char yaml[4000];
    share_heard();
    snprintf(yaml, sizeof yaml,
             "source: { %s }\nprocessor: { concurrency: 1 }\n"
             "batcher: { isolation: process, worker: { %s }, %s sink: drill }\n",
             source, worker, batcher);
    return pipeline_with(&sink->part, yaml);
}

static inline const struct belt_stats *sink_stats(struct belt_pipeline *p)
{
    return &p->run->batchers[0][0].stage.stats;
}

static inline void signal_sink(struct belt_pipeline *p, int number)
{
    syscall(SYS_pidfd_send_signal, p->run->batchers[0][0].worker->worker.pidfd, number, NULL, 0);
}

/* A pipeline that reads a pipe: ends[1] is its input; a batch is cut after a millisecond. */
static inline struct belt_pipeline *piped_sink_worker(int ends[2], const struct belt_sink *sink,
                                                      const char *worker)
{
    char source[100];
    struct belt_error err = { 0 };
    cr_assert_eq(pipe(ends), 0);
    snprintf(source, sizeof source, "file: { paths: /proc/self/fd/%d }", ends[0]);
    struct belt_pipeline *p = sink_worker_with(sink, source, worker, "timeout: 1ms,");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    return p;
}

static inline void expect_ledger(struct belt_pipeline *p, uint64_t done, uint64_t failed)
{
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.done, done, "%d done", (int)t.done);
    cr_assert_eq(t.failed, failed, "%d failed", (int)t.failed);
    cr_assert_eq(t.unsettled, 0);
}

#endif
