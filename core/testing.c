/* Messages whose outcome is waited for. */
#include "core/testing.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/acks_priv.h"
#include "core/clock_priv.h"
#include "core/collect_priv.h"
#include "core/control_priv.h"

const struct belt_part *const belt_core_parts[] = { &belt_source_push.part, &belt_sink_collect.part,
                                                    NULL };

struct item {
    struct belt_receipt receipt; /* first: the address of one is the address of the other */
    struct belt_test *test;
    int outcome;
    char reason[BELT_REASON], option[BELT_ACK_TEXT];
};

/* Freed by whoever is last: the caller, or the receipt of the last message. */
struct belt_test {
    pthread_mutex_t lock;
    pthread_cond_t told;
    uint32_t holders, waiting, count;
    struct item items[];
};

static void drop(struct belt_test *test, uint32_t holders)
{
    test->holders -= holders;
    bool last = !test->holders;
    pthread_mutex_unlock(&test->lock);
    if (!last)
        return;
    pthread_cond_destroy(&test->told);
    pthread_mutex_destroy(&test->lock);
    free(test);
}

static void tell(struct belt_receipt *receipt, const struct belt_verdict *verdict)
{
    struct item *item = (struct item *)(void *)receipt;
    struct belt_test *test = item->test;
    pthread_mutex_lock(&test->lock);
    item->outcome = verdict->outcome;
    snprintf(item->reason, sizeof item->reason, "%s", verdict->reason);
    snprintf(item->option, sizeof item->option, "%s", verdict->option);
    if (--test->waiting == 0)
        pthread_cond_broadcast(&test->told);
    drop(test, 1);
}

static struct belt_test *make(uint32_t count)
{
    struct belt_test *test = calloc(1, sizeof *test + count * sizeof test->items[0]);
    pthread_condattr_t attr;
    if (!test)
        return NULL;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&test->told, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&test->lock, NULL);
    test->count = test->waiting = count;
    test->holders = count + 1;
    for (uint32_t i = 0; i < count; i++)
        test->items[i] =
            (struct item){ .receipt = { tell }, .test = test, .outcome = BELT_WAITING };
    return test;
}

int belt_test_batch(struct belt_pipeline *p, const char *source,
                    const struct belt_message *messages, uint32_t count, struct belt_test **out,
                    struct belt_error *err)
{
    struct belt_error own;
    err = err ? err : &own;
    void *conf = belt_pipeline_push_conf(p, source, err);
    if (!conf)
        return err->code;
    struct belt_test *test = make(count);
    struct belt_receipt **receipts = calloc(count ? count : 1, sizeof *receipts);
    int64_t given = -ENOMEM;
    for (uint32_t i = 0; receipts && test && i < count; i++)
        receipts[i] = &test->items[i].receipt;
    if (receipts && test)
        given = count ? belt_push_give(conf, messages, count, receipts, 0, err) : 0;
    else
        belt_error_set(err, -ENOMEM, "test: out of memory");
    free(receipts);
    if (given > 0)
        belt_pipeline_wake_source(p, conf);
    if (given == count) {
        *out = test;
        return 0;
    }
    if (test) {
        pthread_mutex_lock(&test->lock);
        drop(test, 1 + count - (given > 0 ? (uint32_t)given : 0));
    }
    return given < 0 ? (int)given : belt_error_set(err, -EAGAIN, "push: its queue is full");
}

int belt_test_message(struct belt_pipeline *p, const char *source, const char *payload,
                      uint32_t size, struct belt_test **out, struct belt_error *err)
{
    struct belt_message message = { .payload = payload,
                                    .payload_size = size,
                                    .flags = BELT_MESSAGE_FLUSH };
    return belt_test_batch(p, source, &message, 1, out, err);
}

int belt_test_wait(struct belt_test *test, uint64_t timeout_ns)
{
    uint64_t now = belt_now();
    uint64_t until = timeout_ns > INT64_MAX - now ? INT64_MAX : now + timeout_ns;
    struct timespec at = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
    int rc = 0;
    pthread_mutex_lock(&test->lock);
    while (test->waiting && rc == 0)
        rc = pthread_cond_timedwait(&test->told, &test->lock, &at);
    rc = test->waiting ? -ETIMEDOUT : 0;
    pthread_mutex_unlock(&test->lock);
    return rc;
}

enum belt_outcome belt_test_outcome(struct belt_test *test, uint32_t i)
{
    pthread_mutex_lock(&test->lock);
    int outcome = i < test->count ? test->items[i].outcome : BELT_UNSETTLED;
    pthread_mutex_unlock(&test->lock);
    return (enum belt_outcome)outcome;
}

/* A text of a message that has its outcome: nobody writes there any more. */
static const char *told(struct belt_test *test, uint32_t i, size_t text)
{
    if (i >= test->count || belt_test_outcome(test, i) == BELT_WAITING)
        return "";
    return (const char *)&test->items[i] + text;
}

const char *belt_test_reason(struct belt_test *test, uint32_t i)
{
    return told(test, i, offsetof(struct item, reason));
}

const char *belt_test_ack(struct belt_test *test, uint32_t i)
{
    return told(test, i, offsetof(struct item, option));
}

uint32_t belt_test_count(struct belt_test *test, enum belt_outcome outcome)
{
    uint32_t count = 0;
    pthread_mutex_lock(&test->lock);
    for (uint32_t i = 0; i < test->count; i++)
        count += test->items[i].outcome == (int)outcome;
    pthread_mutex_unlock(&test->lock);
    return count;
}

void belt_test_free(struct belt_test *test)
{
    if (!test)
        return;
    pthread_mutex_lock(&test->lock);
    drop(test, 1);
}

/* ---- what was collected -------------------------------------------------------- */

static struct belt_collect *collect_of(const struct belt_pipeline *p, const char *batcher,
                                       struct belt_error *err)
{
    int count = p->spec ? belt_spec_outlets(p->spec) : 0;
    for (int i = 0; i < count; i++) {
        const struct belt_batcher_spec *b = &p->spec->batchers[i];
        if (batcher && strcmp(b->name, batcher) != 0)
            continue;
        if (b->sink.part == &belt_sink_collect.part)
            return b->sink.conf;
        belt_error_set(err, -EINVAL, "the sink of %s is no `collect`", b->path);
        return NULL;
    }
    belt_error_set(err, -EINVAL, "no batcher '%s' in this pipeline", batcher ? batcher : "");
    return NULL;
}

int64_t belt_test_collected(struct belt_pipeline *p, const char *batcher, struct belt_error *err)
{
    struct belt_collect *collect = collect_of(p, batcher, err);
    return collect ? belt_collect_count(collect) : -EINVAL;
}

int belt_test_collected_at(struct belt_pipeline *p, const char *batcher, uint64_t i,
                           struct belt_collected *out, struct belt_error *err)
{
    struct belt_collected found;
    struct belt_collect *collect = collect_of(p, batcher, err);
    if (!collect)
        return -EINVAL;
    if (!belt_collect_at(collect, i, &found))
        return belt_error_set(err, -ENOENT, "batch %llu has not come", (unsigned long long)i);
    uint32_t size = out->size;
    found.size = size;
    memcpy(out, &found, size < sizeof found ? size : sizeof found);
    return 0;
}
