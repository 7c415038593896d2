/* What sources are told beside the outcome of a message: what a step asked for, and
 * why it failed. Steps and batchers know a message by its ticket, which may be a
 * child's; the source knows it by its own. */
#ifndef BELT_ACKS_PRIV_H
#define BELT_ACKS_PRIV_H

#include <pthread.h>

#include "core/join_priv.h"
#include "core/part.h"

#define BELT_ACK_OPTIONS 16    /* of a pipeline */
#define BELT_ACK_TEXT 64       /* bytes of one, with its end mark */
#define BELT_REASONS_KEPT 4096 /* of each source instance */

struct belt_chain_stage;
struct belt_engine_run;
struct belt_source_stage;

/* What steps may ask for, and the number that each source has for it: 0: none. */
struct belt_ack_option {
    char text[BELT_ACK_TEXT];
    uint8_t numbers[16]; /* [BELT_SOURCES] */
};

/* Why messages of one source instance failed, by ticket. One that comes later takes the
 * place of one that has the same: of more than are kept, some have no reason. */
struct belt_reasons {
    pthread_mutex_t lock;
    struct {
        uint64_t ticket;
        char text[BELT_REASON];
    } at[BELT_REASONS_KEPT];
};

/* Memory for both, where a source wants it (build.c). */
void belt_acks_carve(struct belt_engine_run *run, struct belt_source_stage *s);
/* What the steps said of messages [first, end) goes to their sources' ledgers. Before any
 * of them is settled or leaves. */
void belt_acks_sort(struct belt_chain_stage *chain, uint32_t first, uint32_t end);
/* The same for message i, and this option. */
void belt_acks_put(struct belt_chain_stage *chain, uint32_t i);
/* Why a message fails, before it is settled; the first reason holds. Any thread. */
void belt_acks_reason(struct belt_engine_run *run, struct belt_ticket ticket, const char *reason);

#endif
