#include "core/telemetry.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock_priv.h"
#include "core/pipeline_priv.h"
#include "core/telemetry_priv.h"
#include "numa/pin.h"

#define RECORDS 4096 /* of each lane: 0.9 MiB */
#define AT_ONCE 64   /* records between two looks at who is attached */
/* The thread looks at the rings this often while something comes, and ever less
 * often while nothing does. */
#define NAP_LEAST_NS 500000u
#define NAP_MOST_NS 16000000u

struct handler {
    belt_telemetry_fn *fn; /* NULL: detached */
    void *arg;
    uint64_t kinds;
};

struct belt_telemetry {
    pthread_mutex_t lock; /* recursive: handlers attach and detach */
    struct handler handlers[BELT_HANDLERS];
    const char *pipeline;
    void *context;               /* under lock */
    struct belt_engine_run *run; /* after begin */
    struct belt_events *events;  /* [lanes] */
    uint32_t lanes;
    uint64_t lost_told;
    struct belt_mem mem;
    pthread_t thread;
    pthread_mutex_t nap_lock;
    pthread_cond_t nap;
    bool running, leave;         /* leave: under nap_lock */
    struct belt_pipeline *began; /* under nap_lock: whose start is still to be told */
};

/* ---- what there is ------------------------------------------------------------- */

static const struct {
    const char *name, *text, *help;
    enum belt_event_field fields[BELT_EVENT_VALUES + 1];
} events[] = {
#define BELT_FIELD(...)
#define BELT_EVENT(id, name, text, help, ...) { "beltway." name, text, help, { __VA_ARGS__ } },
#include "core/telemetry.def"
#undef BELT_FIELD
#undef BELT_EVENT
};

static const struct {
    const char *name, *unit, *help;
} fields[] = {
    { "", "", "" },
#define BELT_FIELD(id, name, unit, help) { name, unit, help },
#define BELT_EVENT(...)
#include "core/telemetry.def"
#undef BELT_FIELD
#undef BELT_EVENT
};

const char *belt_event_name(enum belt_event_kind kind)
{
    return (unsigned)kind < BELT_EVENTS ? events[kind].name : NULL;
}

const enum belt_event_field *belt_event_fields(enum belt_event_kind kind)
{
    return events[kind].fields;
}

const char *belt_event_text(enum belt_event_kind kind)
{
    return events[kind].text;
}

const char *belt_event_help(enum belt_event_kind kind)
{
    return events[kind].help;
}

const char *belt_field_name(enum belt_event_field field)
{
    return (unsigned)field < BELT_FIELDS ? fields[field].name : NULL;
}

const char *belt_field_unit(enum belt_event_field field)
{
    return (unsigned)field < BELT_FIELDS ? fields[field].unit : NULL;
}

const char *belt_field_help(enum belt_event_field field)
{
    return (unsigned)field < BELT_FIELDS ? fields[field].help : NULL;
}

uint64_t belt_event_value(const struct belt_event *event, enum belt_event_field field)
{
    const enum belt_event_field *has = events[event->kind].fields;
    for (int i = 0; has[i] && i < BELT_EVENT_VALUES; i++)
        if (has[i] == field)
            return event->values[i];
    return 0;
}

/* ---- who wants what ------------------------------------------------------------ */

static bool begins_with(const char *name, const char *prefix)
{
    size_t size = strlen(prefix);
    return strncmp(name, prefix, size) == 0 && (!size || !name[size] || name[size] == '.');
}

static uint64_t kinds_of(const char *prefix)
{
    uint64_t kinds = 0;
    for (int kind = 0; kind < BELT_EVENTS; kind++)
        if (begins_with(events[kind].name, prefix))
            kinds |= UINT64_C(1) << kind;
    /* Dear: only for those who ask for them by name. */
    if (!begins_with(prefix, "beltway.processor.message"))
        kinds &= ~BELT_WANT_MESSAGES;
    return kinds;
}

static void tell_lanes(struct belt_telemetry *t)
{
    uint64_t wanted = 0;
    for (int i = 0; i < BELT_HANDLERS; i++)
        if (t->handlers[i].fn)
            wanted |= t->handlers[i].kinds;
    if (t->events)
        belt_store_relaxed(&t->run->wanted, wanted); /* a turn later is early enough */
}

static struct belt_telemetry *telemetry_new(const struct belt_pipeline *p)
{
    struct belt_telemetry *t = calloc(1, sizeof *t);
    pthread_mutexattr_t recursive;
    pthread_condattr_t monotonic;
    if (!t)
        return NULL;
    t->pipeline = p->spec ? p->spec->name : "";
    t->context = p->context;
    pthread_mutexattr_init(&recursive);
    pthread_mutexattr_settype(&recursive, PTHREAD_MUTEX_RECURSIVE);
    pthread_mutex_init(&t->lock, &recursive);
    pthread_mutexattr_destroy(&recursive);
    pthread_mutex_init(&t->nap_lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&t->nap, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return t;
}

static int put_handler(struct belt_telemetry *t, const struct handler *handler)
{
    int id = 0;
    pthread_mutex_lock(&t->lock);
    while (id < BELT_HANDLERS && t->handlers[id].fn)
        id++;
    if (id < BELT_HANDLERS) {
        t->handlers[id] = *handler;
        tell_lanes(t);
    }
    pthread_mutex_unlock(&t->lock);
    return id < BELT_HANDLERS ? id : -ENOSPC;
}

void belt_telemetry_context(struct belt_pipeline *p)
{
    struct belt_telemetry *t = p->telemetry;
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->context = p->context;
    pthread_mutex_unlock(&t->lock);
}

static void publish_rings(struct belt_telemetry *t)
{
    /* R1, pairs with A1 in belt_telemetry_turn() of core/telemetry_emit.c: the rings
     * before their address; without it a lane could write into one not yet made. */
    belt_store_release(&t->run->events, (uint64_t)(uintptr_t)t->events);
    tell_lanes(t);
}

/* ---- telling ------------------------------------------------------------------- */

static void tell(struct belt_telemetry *t, const struct belt_event *event)
{
    for (int i = 0; i < BELT_HANDLERS; i++) {
        const struct handler *handler = &t->handlers[i];
        if (handler->fn && (handler->kinds >> event->kind & 1 || event->kind == BELT_EVENT_LOST))
            handler->fn(event, handler->arg);
    }
}

static void tell_record(struct belt_telemetry *t, uint32_t lane,
                        const struct belt_event_record *record)
{
    const struct belt_stage *stage = record->stage;
    char name[sizeof stage->name];
    snprintf(name, sizeof name, "%s", stage->name);
    char *dot = strrchr(name, '.');
    if (dot)
        *dot = 0; /* the index has a field of its own */
    struct belt_event event = { .size = sizeof event,
                                .kind = record->kind,
                                .name = events[record->kind].name,
                                .pipeline = t->pipeline,
                                .stage = name,
                                .index = stage->index,
                                .lane = lane,
                                .time_ns = record->time,
                                .span = record->span,
                                .values = record->values,
                                .text = record->text,
                                .context = t->context };
    tell(t, &event);
}

/* Of the whole; not from a lane. */
static void tell_whole(struct belt_telemetry *t, enum belt_event_kind kind, uint64_t time,
                       const uint64_t *values, const char *text)
{
    struct belt_event event = { .size = sizeof event,
                                .kind = kind,
                                .name = events[kind].name,
                                .pipeline = t->pipeline,
                                .stage = "",
                                .time_ns = time,
                                .values = values,
                                .text = text,
                                .context = t->context };
    tell(t, &event);
}

static uint64_t lost_of(const struct belt_telemetry *t)
{
    uint64_t lost = 0;
    for (uint32_t l = 0; t->events && l < t->lanes; l++)
        lost += belt_load_relaxed(&t->events[l].lost);
    return lost;
}

/* The start, once. Who starts the pipeline only leaves a note: with the lock held it
 * would wait for a slow handler. */
static void tell_start(struct belt_telemetry *t)
{
    pthread_mutex_lock(&t->nap_lock);
    struct belt_pipeline *p = t->began;
    t->began = NULL;
    pthread_mutex_unlock(&t->nap_lock);
    if (!p)
        return;
    uint64_t stages = 0;
    for (uint32_t l = 0; l < p->run->lanes_used; l++)
        stages += p->run->lanes[l].stages_used;
    uint64_t values[] = { p->run->lanes_used, stages, p->run->memory };
    tell_whole(t, BELT_EVENT_TOPOLOGY_INIT, p->run->started_ns, values, belt_pipeline_plan_line(p));
}

/* Some records of one lane; false: there were none. */
static bool deliver_some(struct belt_telemetry *t, uint32_t lane)
{
    struct belt_rx *rx = &t->events[lane].rx;
    pthread_mutex_lock(&t->lock);
    struct belt_slots slots = belt_peek(rx, AT_ONCE);
    tell_start(t); /* after the look: what lanes have to say came later than the note */
    const struct belt_event_record *records = slots.first;
    for (uint32_t i = 0; i < slots.count; i++)
        tell_record(t, lane, &records[i]);
    if (slots.count)
        belt_release(rx, slots.count);
    pthread_mutex_unlock(&t->lock);
    return slots.count != 0;
}

static bool deliver(struct belt_telemetry *t)
{
    bool any = false;
    for (uint32_t l = 0; l < t->lanes; l++)
        /* No more than a ringful: a lane that never stops keeps nobody waiting. */
        for (int i = 0; i < RECORDS / AT_ONCE && deliver_some(t, l); i++)
            any = true;
    uint64_t lost = lost_of(t) - t->lost_told;
    if (lost) {
        pthread_mutex_lock(&t->lock);
        tell_whole(t, BELT_EVENT_LOST, belt_now(), &lost, "");
        pthread_mutex_unlock(&t->lock);
        t->lost_told += lost;
    }
    return any;
}

/* ---- the thread ---------------------------------------------------------------- */

/* False: it is time to leave. */
static bool take_nap(struct belt_telemetry *t, uint64_t ns)
{
    uint64_t until = belt_now() + ns;
    struct timespec at = { (time_t)(until / 1000000000u), (long)(until % 1000000000u) };
    pthread_mutex_lock(&t->nap_lock);
    if (!t->leave)
        pthread_cond_timedwait(&t->nap, &t->nap_lock, &at);
    bool leave = t->leave;
    pthread_mutex_unlock(&t->nap_lock);
    return !leave;
}

static void *telemetry_main(void *arg)
{
    struct belt_telemetry *t = arg;
    uint64_t ns = NAP_LEAST_NS;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, NULL);
    belt_name_thread("belt/telemetry");
    (void)belt_unpin_thread(t->run->plan->topology); /* whoever attached may be pinned */
    do {
        if (deliver(t))
            ns = NAP_LEAST_NS;
        else if (ns < NAP_MOST_NS)
            ns *= 2;
    } while (take_nap(t, ns));
    return NULL;
}

static int start_thread(struct belt_telemetry *t, struct belt_error *err)
{
    int rc = -pthread_create(&t->thread, NULL, telemetry_main, t);
    t->running = rc == 0;
    return rc < 0 ? belt_error_set(err, rc, "telemetry: a thread: %s", strerror(-rc)) : 0;
}

/* ---- the life of it ------------------------------------------------------------ */

static int make_rings(struct belt_telemetry *t, struct belt_engine_run *run, struct belt_error *err)
{
    struct belt_ring_conf conf = { .size = sizeof conf,
                                   .kind = BELT_SPSC,
                                   .body = BELT_BODY_SPANS,
                                   .item_size = sizeof(struct belt_event_record),
                                   .items = RECORDS,
                                   .flags = BELT_NO_ROLES | BELT_NO_LINGER };
    size_t each = (belt_ring_footprint(&conf) + 4095) / 4096 * 4096;
    struct belt_events *made = NULL;
    t->lanes = run->lanes_used;
    int rc = belt_mem_map(&t->mem, each * t->lanes, BELT_MEM_PRIVATE);
    if (rc == 0)
        rc = -posix_memalign((void **)&made, BELT_LINES, t->lanes * sizeof *made);
    if (rc < 0)
        return belt_error_set(err, rc, "telemetry: memory for %u lanes: %s", t->lanes,
                              strerror(-rc));
    memset(made, 0, t->lanes * sizeof *made);
    for (uint32_t l = 0; l < t->lanes; l++) {
        struct belt_mem mem = belt_mem_of((char *)t->mem.base + l * each, each);
        belt_ring_format(mem, &conf);
        belt_tx_open(&made[l].tx, mem);
        belt_rx_open(&made[l].rx, mem);
    }
    t->run = run;
    t->events = made;
    publish_rings(t);
    return 0;
}

int belt_telemetry_begin(struct belt_pipeline *p, struct belt_error *err)
{
    struct belt_telemetry *t = p->telemetry;
    if (!t)
        return 0;
    t->pipeline = p->spec->name;
    int rc = t->events ? 0 : make_rings(t, p->run, err);
    return rc == 0 && !p->plan->caller && !t->running ? start_thread(t, err) : rc;
}

void belt_telemetry_began(struct belt_pipeline *p)
{
    struct belt_telemetry *t = p->telemetry;
    if (!t)
        return;
    pthread_mutex_lock(&t->nap_lock);
    t->began = p;
    pthread_mutex_unlock(&t->nap_lock);
}

static void stop_thread(struct belt_telemetry *t)
{
    if (!t->running)
        return;
    pthread_mutex_lock(&t->nap_lock);
    t->leave = true;
    pthread_cond_broadcast(&t->nap);
    pthread_mutex_unlock(&t->nap_lock);
    pthread_join(t->thread, NULL);
    t->running = false;
}

void belt_telemetry_end(struct belt_pipeline *p)
{
    struct belt_telemetry *t = p->telemetry;
    if (!t || !t->events)
        return;
    stop_thread(t);
    while (deliver(t))
        ;
    struct belt_totals totals = { .size = sizeof totals };
    belt_pipeline_totals(p, &totals);
    uint64_t values[] = { totals.received, totals.failed, p->run->ended_ns - p->run->started_ns };
    pthread_mutex_lock(&t->lock);
    tell_whole(t, BELT_EVENT_TOPOLOGY_STOP, p->run->ended_ns, values, p->run->error.text);
    pthread_mutex_unlock(&t->lock);
}

void belt_telemetry_deliver(struct belt_pipeline *p)
{
    if (p->telemetry && p->telemetry->events)
        deliver(p->telemetry);
}

void belt_telemetry_free(struct belt_pipeline *p)
{
    struct belt_telemetry *t = p->telemetry;
    if (!t)
        return;
    stop_thread(t);
    free(t->events);
    belt_mem_unmap(&t->mem);
    pthread_mutex_destroy(&t->lock);
    pthread_mutex_destroy(&t->nap_lock);
    pthread_cond_destroy(&t->nap);
    free(t);
    p->telemetry = NULL;
}

/* ---- attaching ----------------------------------------------------------------- */

int belt_telemetry_attach(struct belt_pipeline *p, const char *prefix, belt_telemetry_fn *fn,
                          void *arg, struct belt_error *err)
{
    struct handler handler = { .fn = fn, .arg = arg, .kinds = kinds_of(prefix) };
    if (!handler.kinds)
        return belt_error_set(err, -EINVAL,
                              "telemetry: no event is named '%s' or begins with it and a dot; "
                              "'beltway' is all of them",
                              prefix);
    if (!p->telemetry && !(p->telemetry = telemetry_new(p)))
        return belt_error_set(err, -ENOMEM, "telemetry: out of memory");
    int rc = p->run && !p->ended ? belt_telemetry_begin(p, err) : 0;
    if (rc < 0)
        return rc;
    int id = put_handler(p->telemetry, &handler);
    if (id < 0)
        return belt_error_set(err, id, "telemetry: '%s' would be one of more than %d handlers",
                              prefix, BELT_HANDLERS);
    return id;
}

int belt_telemetry_detach(struct belt_pipeline *p, int id)
{
    struct belt_telemetry *t = p->telemetry;
    if (!t || id < 0 || id >= BELT_HANDLERS)
        return -ENOENT;
    pthread_mutex_lock(&t->lock);
    int rc = t->handlers[id].fn ? 0 : -ENOENT;
    t->handlers[id].fn = NULL;
    tell_lanes(t);
    pthread_mutex_unlock(&t->lock);
    return rc;
}

uint64_t belt_telemetry_lost(struct belt_pipeline *p)
{
    return p->telemetry ? lost_of(p->telemetry) : 0;
}
