/* Testing pipelines: messages handed in whose outcome can be waited for, and a sink
 * that keeps what it got. For tests and for a look at a pipeline that runs:
 *
 *     source: { push: {} }
 *     batcher: { sink: collect }
 */
#ifndef BELT_TESTING_H
#define BELT_TESTING_H

#include "control.h"

#ifdef __cplusplus
extern "C" {
#endif

enum belt_outcome {
    BELT_WAITING,  /* under way */
    BELT_DONE,     /* settled well: in a sink, dropped or folded */
    BELT_FAILED,   /* settled as failed */
    BELT_UNSETTLED /* the run ended before */
};

struct belt_test; /* messages handed in together */

/* Hands all messages to a source of push, as belt_pipeline_push() without waiting;
 * -EAGAIN: not all of them fit its queue, and how many went in is not known. Any
 * thread. The caller frees *out. */
BELT_API int belt_test_batch(struct belt_pipeline *p, const char *source,
                             const struct belt_message *messages, uint32_t count,
                             struct belt_test **out, struct belt_error *err);
/* One message without fields, whose batch does not wait for more. */
BELT_API int belt_test_message(struct belt_pipeline *p, const char *source, const char *payload,
                               uint32_t size, struct belt_test **out, struct belt_error *err);
/* 0: each has its outcome; -ETIMEDOUT after `timeout_ns`. Not where the caller has to
 * turn the pipeline itself, but with a timeout of 0. Any thread. */
BELT_API int belt_test_wait(struct belt_test *test, uint64_t timeout_ns);
/* Of message i. Any thread. */
BELT_API enum belt_outcome belt_test_outcome(struct belt_test *test, uint32_t i);
/* Why message i failed; "": it has not. Lent until belt_test_free(). Any thread. */
BELT_API const char *belt_test_reason(struct belt_test *test, uint32_t i);
/* What a step last asked for with belt_configure_ack(), as belt_setup_ack() has it; known
 * with the outcome. "": nothing. Lent until belt_test_free(). Any thread. */
BELT_API const char *belt_test_ack(struct belt_test *test, uint32_t i);
/* How many have this outcome. Any thread. */
BELT_API uint32_t belt_test_count(struct belt_test *test, enum belt_outcome outcome);
/* Before or after the pipeline is freed, and whatever is still under way. */
BELT_API void belt_test_free(struct belt_test *test);

/* ---- the sink `collect` -------------------------------------------------------- */

/* A batch that it got; lent until the pipeline is freed. */
struct belt_collected {
    uint32_t size; /* sizeof(struct belt_collected), set by the caller */
    uint32_t count;
    const char *bytes; /* all rows, one after another */
    uint64_t bytes_size;
    const struct belt_span *rows; /* [count] in `bytes` */
    const char *key;              /* not ended by 0 */
    uint32_t key_size;
    uint32_t trigger; /* enum belt_trigger */
};

/* Batches so far of the batcher of this name ("failed" too; NULL: the first), over all
 * its instances; negative: no such batcher, or another sink. Any thread. */
BELT_API int64_t belt_test_collected(struct belt_pipeline *p, const char *batcher,
                                     struct belt_error *err);
/* Number i of them, in the order they came. */
BELT_API int belt_test_collected_at(struct belt_pipeline *p, const char *batcher, uint64_t i,
                                    struct belt_collected *out, struct belt_error *err);

#ifdef __cplusplus
}
#endif
#endif
