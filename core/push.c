/* The source `push`: what belt_pipeline_push() hands in. One lock, taken once for
 * many messages on either side. */
#include "core/acks_priv.h"
#include "core/push_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/clock_priv.h"
#include "core/testing.h"

#define SLAB (256u << 10)
#define SLABS 8

/* In the queue; as many bytes follow as `size` says, less this. */
struct record {
    uint32_t size;    /* with this head; a multiple of 8 */
    uint32_t payload; /* bytes; SKIP: nothing here, go on at the start */
    struct belt_receipt *receipt;
};

#define SKIP UINT32_MAX

struct push_conf {
    uint64_t capacity;
    const struct belt_node *node;
    struct belt_push_fields fields;
    const char *options[BELT_ACK_OPTIONS]; /* that steps ask for */
    int options_used;
    char *queue;         /* [capacity] */
    uint64_t head, tail; /* bytes taken, bytes put; at % capacity */
    bool opened, ended;
    pthread_mutex_t lock;
    pthread_cond_t room;
};

struct push_state {
    struct push_conf *conf;
    char *arena;
    uint32_t free[64], free_used;
    uint64_t chunk, tickets;
    struct belt_receipt **receipts; /* [tickets], by ticket */
    uint64_t receipts_used;
};

static const struct belt_setting settings[] = {
    { "capacity", BELT_SET_SIZE, offsetof(struct push_conf, capacity), "1MiB",
      "bytes of messages that wait to be taken", NULL, 4096, 1 << 30 },
    { "fields", BELT_SET_TREE, offsetof(struct push_conf, node), "",
      "what messages have beside their payload: { user: text, price: decimal(2) }", NULL, 0, 0 },
    { 0 },
};

static int prepare(void *part_conf, struct belt_setup *setup, struct belt_error *err)
{
    struct push_conf *conf = part_conf;
    conf->capacity = conf->capacity / 8 * 8;
    belt_setup_limit(setup, 1);
    belt_setup_arena(setup, SLAB, SLABS);
    return belt_push_fields_read(&conf->fields, conf->node, setup, err);
}

static int open_queue(void *part_conf, struct belt_error *err)
{
    struct push_conf *conf = part_conf;
    pthread_condattr_t attr;
    conf->queue = malloc(conf->capacity);
    if (!conf->queue)
        return belt_error_set(err, -ENOMEM, "push: out of memory for its queue");
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&conf->room, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&conf->lock, NULL);
    conf->opened = true;
    return 0;
}

/* ---- the queue; under the lock ------------------------------------------------ */

static struct record *first_record(struct push_conf *conf)
{
    while (conf->head != conf->tail) {
        uint64_t at = conf->head % conf->capacity;
        struct record *record = (void *)(conf->queue + at);
        if (conf->capacity - at >= sizeof *record && record->payload != SKIP)
            return record;
        conf->head += conf->capacity - at;
    }
    return NULL;
}

/* Room for one whole record in one piece, or NULL. */
static struct record *new_record(struct push_conf *conf, uint64_t size)
{
    uint64_t at = conf->tail % conf->capacity, rest = conf->capacity - at;
    uint64_t skip = rest < size ? rest : 0;
    if (conf->head == conf->tail) {
        conf->head = conf->tail = 0;
        at = skip = 0;
    }
    if (conf->tail + skip + size - conf->head > conf->capacity)
        return NULL;
    if (skip >= sizeof(struct record))
        ((struct record *)(void *)(conf->queue + at))->payload = SKIP;
    conf->tail += skip + size;
    return (void *)(conf->queue + (skip ? 0 : at));
}

static bool put(struct push_conf *conf, const struct belt_message *message, uint64_t body,
                struct belt_receipt *receipt)
{
    struct record *record = new_record(conf, sizeof *record + body);
    if (!record)
        return false;
    *record = (struct record){ (uint32_t)(sizeof *record + body), message->payload_size, receipt };
    belt_push_write(&conf->fields, message, (char *)(record + 1));
    return true;
}

/* ---- handing in ----------------------------------------------------------------- */

static int64_t body_of(const struct push_conf *conf, const struct belt_message *message,
                       struct belt_error *err)
{
    int64_t body = belt_push_size(&conf->fields, message, err);
    uint64_t most = conf->capacity / 2 < SLAB ? conf->capacity / 2 : SLAB;
    if (body > (int64_t)(most - sizeof(struct record)))
        return belt_error_set(err, -EMSGSIZE, "push: a message of %lld bytes, at most %llu fit",
                              (long long)body, (unsigned long long)(most - sizeof(struct record)));
    return body;
}

static bool wait_for_room(struct push_conf *conf, uint64_t until)
{
    struct timespec at = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
    if (until == UINT64_MAX)
        return pthread_cond_wait(&conf->room, &conf->lock) == 0;
    return pthread_cond_timedwait(&conf->room, &conf->lock, &at) == 0;
}

int64_t belt_push_give(void *part_conf, const struct belt_message *messages, uint32_t count,
                       struct belt_receipt *const *receipts, uint64_t wait_ns,
                       struct belt_error *err)
{
    struct push_conf *conf = part_conf;
    uint64_t now = wait_ns ? belt_now() : 0;
    uint64_t until = wait_ns > UINT64_MAX - now ? UINT64_MAX : now + wait_ns;
    int64_t rc = 0;
    uint32_t given = 0;
    pthread_mutex_lock(&conf->lock);
    while (given < count && rc == 0) {
        int64_t body = body_of(conf, &messages[given], err);
        if (conf->ended)
            rc = belt_error_set(err, -EPIPE, "push: the source has ended");
        else if (body < 0)
            rc = body;
        else if (put(conf, &messages[given], (uint64_t)body, receipts ? receipts[given] : NULL))
            given++;
        else if (given || !wait_ns || !wait_for_room(conf, until))
            rc = belt_error_set(err, -EAGAIN, "push: its queue of %llu bytes is full",
                                (unsigned long long)conf->capacity);
    }
    pthread_mutex_unlock(&conf->lock);
    return given ? given : rc;
}

void belt_push_end(void *part_conf)
{
    struct push_conf *conf = part_conf;
    pthread_mutex_lock(&conf->lock);
    conf->ended = true;
    pthread_cond_broadcast(&conf->room);
    pthread_mutex_unlock(&conf->lock);
}

/* ---- the lane's side ------------------------------------------------------------ */

static int init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    struct push_state *s = state;
    s->conf = conf;
    s->arena = in->arena;
    s->tickets = in->tickets;
    s->receipts = calloc(s->tickets, sizeof *s->receipts); /* pages are touched by tests only */
    if (!s->receipts)
        return belt_error_set(err, -ENOMEM, "%s: out of memory", in->stage);
    for (; s->free_used < in->slabs && s->free_used < 64; s->free_used++)
        s->free[s->free_used] = s->free_used;
    return 0;
}

static void take(struct push_state *s, struct belt_fill *out, const struct record *record,
                 uint32_t i, uint32_t at)
{
    struct push_conf *conf = s->conf;
    uint32_t body = record->size - (uint32_t)sizeof *record;
    memcpy(s->arena + (size_t)out->slab * SLAB + at, record + 1, body);
    out->spans[i] = (struct belt_span){ at + belt_push_slots(&conf->fields), record->payload };
    if (record->receipt) {
        s->receipts[(out->ticket + i) % s->tickets] = record->receipt;
        s->receipts_used++;
    }
}

static uint32_t take_all(struct push_state *s, struct belt_fill *out)
{
    uint32_t count = 0, at = 0;
    struct record *record;
    while (count < out->most && (record = first_record(s->conf))) {
        if (at + record->size > SLAB)
            break;
        take(s, out, record, count++, at);
        at += record->size - (uint32_t)sizeof *record;
        s->conf->head += record->size;
    }
    return count;
}

static int fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    struct push_state *s = state;
    struct push_conf *conf = s->conf;
    (void)err;
    if (!s->free_used)
        return BELT_FILL_IDLE;
    out->slab = s->free[s->free_used - 1];
    pthread_mutex_lock(&conf->lock);
    uint32_t count = take_all(s, out);
    bool ended = conf->ended && !first_record(conf);
    if (count)
        pthread_cond_broadcast(&conf->room);
    pthread_mutex_unlock(&conf->lock);
    if (!count)
        return ended ? BELT_FILL_END : BELT_FILL_IDLE;
    s->free_used--;
    out->base = s->arena + (size_t)out->slab * SLAB;
    out->chunk = s->chunk++;
    out->last_of_chunk = out->last_of_slab = true;
    return (int)count;
}

static void recycle(void *state, uint32_t slab)
{
    struct push_state *s = state;
    s->free[s->free_used++] = slab;
}

static void stop(void *state)
{
    belt_push_end(((struct push_state *)state)->conf);
}

static const struct belt_verdict unsettled = { BELT_UNSETTLED, "", "" };

static void tell(struct push_state *s, uint64_t ticket, const struct belt_verdict *verdict)
{
    struct belt_receipt **receipt = &s->receipts[ticket % s->tickets];
    if (!*receipt)
        return;
    (*receipt)->tell(*receipt, verdict);
    *receipt = NULL;
    s->receipts_used--;
}

static void ack(void *state, const struct belt_acked *acked)
{
    struct push_state *s = state;
    if (!s->receipts_used)
        return;
    for (uint64_t rest = acked->done | acked->failed; rest; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctzll(rest);
        char reason[BELT_REASON];
        int option = acked->options ? acked->options[i] : 0;
        belt_acked_reason(acked, i, reason);
        struct belt_verdict verdict = { .outcome = acked->failed >> i & 1 ? BELT_FAILED : BELT_DONE,
                                        .reason = reason,
                                        .option = option ? s->conf->options[option - 1] : "" };
        tell(s, acked->ticket + i, &verdict);
    }
}

/* What was taken and is not settled by now never will be in this run. */
static void fini(void *state, void *conf)
{
    struct push_state *s = state;
    belt_push_end(conf);
    for (uint64_t t = 0; s->receipts_used; t++)
        tell(s, t, &unsettled);
    free(s->receipts);
    s->receipts = NULL;
}

static void close_queue(void *part_conf)
{
    struct push_conf *conf = part_conf;
    struct record *record;
    if (!conf->opened)
        return;
    for (; (record = first_record(conf)); conf->head += record->size)
        if (record->receipt)
            record->receipt->tell(record->receipt, &unsettled);
    pthread_cond_destroy(&conf->room);
    pthread_mutex_destroy(&conf->lock);
    free(conf->queue);
    conf->opened = false;
}

/* Whoever handed a message in can see what was asked for. */
static int configure(void *part_conf, const char *option, struct belt_error *err)
{
    struct push_conf *conf = part_conf;
    (void)err;
    conf->options[conf->options_used++] = option;
    return conf->options_used;
}

static void load(const void *conf, struct belt_view *view)
{
    belt_push_load(&((const struct push_conf *)conf)->fields, view);
}

static struct belt_span extent(const void *conf, const char *base, struct belt_span span)
{
    return belt_push_extent(&((const struct push_conf *)conf)->fields, base, span);
}

static int where(void *conf, uint32_t file, uint64_t place, char *out, size_t room)
{
    (void)conf, (void)file, (void)place;
    return snprintf(out, room, "a pushed message");
}

const struct belt_source belt_source_push = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_SOURCE,
        .name = "push",
        .help = "messages that the program hands in (belt_pipeline_push)",
        .settings = settings,
        .conf_size = sizeof(struct push_conf),
        .state_size = sizeof(struct push_state),
        .prepare = prepare,
        .open = open_queue,
        .init = init,
        .fini = fini,
        .close = close_queue,
    },
    .fill = fill,
    .recycle = recycle,
    .stop = stop,
    .where = where,
    .ack = ack,
    .ack_any = true,
    .ack_folded = true,
    .load = load,
    .extent = extent,
    .configure = configure,
    .ack_reasons = true,
};
