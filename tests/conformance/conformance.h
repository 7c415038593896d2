/* What the tests of Broadway's behaviours share: pipelines in memory, on the fake clock
 * unless they need threads. The comment above a test says how its meaning shifts. */
#ifndef CONFORMANCE_H
#define CONFORMANCE_H

#include "tests/unit/worker_fixture.h"

#define MS UINT64_C(1000000)

/* Turns until the end; nothing was lost on the way. */
static inline void expect_end(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).unsettled, 0);
}

static inline void end_and_free(struct belt_pipeline *p)
{
    expect_end(p);
    belt_pipeline_free(p);
}

static inline void start(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
}

/* Turns of a millisecond each from `from` ms on. */
static inline void turn_ms(struct belt_pipeline *p, uint64_t from, uint64_t count)
{
    struct belt_error err = { 0 }, broken = { 0 };
    for (uint64_t i = 0; i < count; i++) {
        cr_assert_geq(belt_pipeline_turn(p, (from + i) * MS, &err), 0, "%s", err.text);
        cr_assert_eq(belt_check(p, &broken), 0, "%s", broken.text);
    }
}

static inline void expect_totals(struct belt_pipeline *p, uint64_t done, uint64_t failed)
{
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.done, done, "%d done", (int)t.done);
    cr_assert_eq(t.failed, failed, "%d failed", (int)t.failed);
    cr_assert_eq(t.unsettled, 0);
}

/* The settings are refused at validation, with these words. */
static inline void expect_refused(const struct belt_part *part, const char *yaml, const char *words)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_with(part, yaml);
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_not_null(strstr(err.text, words), "%s", err.text);
    belt_pipeline_free(p);
}

/* A step of one function, by name. */
#define STEP(part_name, function)                                                                  \
    {                                                                                              \
        .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = part_name, .help = "for a test" },   \
        .message = function,                                                                       \
    }

/* ---- source `acked`: `say`, that notes what it is told of each message, in order ---------- */

static struct {
    char by_ticket[4096]; /* 'd': done, 'f': failed, '2': told twice, '.': nothing */
    int calls;
    uint64_t done, failed;
} acks __attribute__((unused));

static inline void hear_acks(void *state, const struct belt_acked *acked)
{
    (void)state;
    acks.calls++;
    acks.done += (uint64_t)__builtin_popcountll(acked->done);
    acks.failed += (uint64_t)__builtin_popcountll(acked->failed);
    for (uint64_t i = 0; i < 64 && acked->ticket + i < sizeof acks.by_ticket - 1; i++) {
        char *at = &acks.by_ticket[acked->ticket + i];
        char now = acked->done >> i & 1 ? 'd' : acked->failed >> i & 1 ? 'f' : '.';
        if (now != '.' || !*at)
            *at = *at && *at != '.' ? '2' : now;
    }
}

static const struct belt_source acked_source __attribute__((unused)) = {
    .part = { BELT_ABI, BELT_SOURCE, "acked", "words", say_settings, sizeof(struct say_conf),
              sizeof(struct say_state), say_prepare, NULL, say_init, NULL, NULL, "words" },
    .fill = say_fill,
    .recycle = say_recycle,
    .stop = say_stop,
    .ack = hear_acks,
    .ack_any = true,
};

/* With that source and one more part, unless it is NULL. */
static inline struct belt_pipeline *acked_pipeline(const struct belt_part *part, const char *yaml)
{
    struct belt_error err = { 0 };
    memset(&acks, 0, sizeof acks);
    struct belt_pipeline *p = pipeline_with(part, yaml);
    cr_assert_eq(belt_pipeline_add(p, &acked_source.part, &err), 0, "%s", err.text);
    return p;
}

/* What was told of the first `count` messages is this. */
static inline void expect_acks(size_t count, const char *told)
{
    cr_assert_eq(strlen(told), count);
    cr_assert_eq(memcmp(acks.by_ticket, told, count), 0, "%.64s", acks.by_ticket);
}

/* Whether message i's payload is this text. */
static inline bool is_text(struct belt_view *view, uint32_t i, const char *text)
{
    uint32_t size;
    const char *payload = belt_text(view, 0, i, &size);
    return size == strlen(text) && memcmp(payload, text, size) == 0;
}

#endif
