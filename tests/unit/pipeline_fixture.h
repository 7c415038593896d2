/* Pipelines for tests: a source that says what it is told, steps that misbehave
 * on request, and a sink that remembers. Everything in the test's own process. */
#ifndef PIPELINE_FIXTURE_H
#define PIPELINE_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/pipeline.h"
#include "tests/unit/say_fixture.h"

/* ---- step `mark`: fails "bad...", drops "no..." ------------------------------------ */

static int mark_message(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    (void)state;
    if (size >= 3 && memcmp(text, "bad", 3) == 0)
        belt_fail_message(view, i, "it is bad");
    else if (size >= 2 && memcmp(text, "no", 2) == 0)
        belt_drop(view, i);
    return 0;
}

static const struct belt_step mark_step = {
    .part = { .abi = BELT_ABI, .kind = BELT_STEP, .name = "mark", .help = "fail and drop" },
    .message = mark_message,
};

/* ---- step `letter`: the first letter as a field, for keys ---------------------------- */

struct letter_conf {
    int column;
};

static int letter_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct letter_conf *c = conf;
    c->column = belt_setup_add(setup, NULL, "letter", BELT_TEXT, 0, err);
    return c->column < 0 ? c->column : 0;
}

struct letter_state {
    int column;
};

static int letter_init(void *state, void *conf, const struct belt_instance *in,
                       struct belt_error *err)
{
    (void)in;
    (void)err;
    ((struct letter_state *)state)->column = ((struct letter_conf *)conf)->column;
    return 0;
}

static uint32_t letter_frame(void *state, struct belt_view *view)
{
    struct belt_column *column = &view->columns[((struct letter_state *)state)->column];
    column->base = view->columns[0].base;
    BELT_EACH (view, i) {
        struct belt_span word = view->columns[0].as.spans[i];
        column->as.spans[i] = (struct belt_span){ word.at, word.size ? 1 : 0 };
    }
    return view->end;
}

static const struct belt_step letter_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "letter",
              .help = "first letter",
              .conf_size = sizeof(struct letter_conf),
              .state_size = sizeof(struct letter_state),
              .prepare = letter_prepare,
              .init = letter_init },
    .frame = letter_frame,
};

/* ---- step `grow`: repeats a text that begins with `only` up to `to` bytes ------------- */

struct grow_conf {
    int64_t to;
    const char *only;
};

static const struct belt_setting grow_settings[] = {
    { "to", BELT_SET_INT, offsetof(struct grow_conf, to), NULL, "", NULL, 0, 100000000 },
    { "only", BELT_SET_TEXT, offsetof(struct grow_conf, only), "", "", NULL, 0, 0 },
    { 0 },
};

static int grow_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)in, (void)err;
    *(struct grow_conf **)state = conf;
    return 0;
}

static int grow_message(void *state, struct belt_view *view, uint32_t i)
{
    const struct grow_conf *conf = *(struct grow_conf **)state;
    uint32_t size, to = (uint32_t)conf->to;
    const char *text = belt_text(view, 0, i, &size);
    const char *only = conf->only ? conf->only : "";
    if (!size || size < strlen(only) || memcmp(text, only, strlen(only)) != 0)
        return 0;
    char *room = belt_room(view, to);
    for (uint32_t at = 0; room && at < to; at++)
        room[at] = text[at % size];
    return room && belt_put_text(view, 0, i, room, to) ? 0 : -1;
}

static const struct belt_step grow_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "grow",
              .help = "longer texts",
              .settings = grow_settings,
              .conf_size = sizeof(struct grow_conf),
              .state_size = sizeof(struct grow_conf *),
              .init = grow_init,
              .scalar = "to" },
    .message = grow_message,
};

/* ---- sink `keep_all`: remembers batches as "key[trigger:row|row]" --------------------- */

static struct {
    char text[1 << 20];
    size_t used, batches, rows;
    int refuse; /* code that batch() returns */
    bool hold;  /* leaves batches pending until released */
    struct belt_batch *held[64];
    int held_used;
    int finished; /* 0: not, 1: complete, 2: incomplete */
} kept;

static void remember(const struct belt_batch *batch, char trigger)
{
    if (kept.used + batch->bytes_size + batch->key_size + 10 > sizeof kept.text)
        return; /* counted all the same */
    char *at = kept.text + kept.used;
    at += sprintf(at, "%.*s[%c:", (int)batch->key_size, batch->key, trigger);
    memcpy(at, batch->bytes, batch->bytes_size);
    for (uint64_t i = 0; i < batch->bytes_size; i++, at++)
        *at = *at == '\n' ? '|' : *at;
    at += sprintf(at, "]");
    kept.used = (size_t)(at - kept.text);
}

static int keep_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    static const char triggers[] = "sbtepfc";
    (void)state;
    if (kept.refuse)
        return belt_error_set(err, kept.refuse, "the sink refuses");
    kept.batches++;
    kept.rows += batch->count;
    remember(batch, triggers[batch->trigger]);
    if (!kept.hold)
        return 0;
    kept.held[kept.held_used++] = batch;
    return BELT_PENDING;
}

static int keep_poll(void *state)
{
    (void)state;
    if (kept.hold)
        return 0;
    int released = kept.held_used;
    while (kept.held_used)
        belt_batch_done(kept.held[--kept.held_used], 0, NULL);
    return released;
}

static int keep_finish(void *state, bool complete, struct belt_error *err)
{
    (void)state;
    (void)err;
    kept.finished = complete ? 1 : 2;
    return 0;
}

static const struct belt_sink keep_sink = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "keep_all", .help = "remembers" },
    .batch = keep_batch,
    .poll = keep_poll,
    .finish = keep_finish,
};

/* ---- pipelines -------------------------------------------------------------------------- */

/* With one more part, unless it is NULL. */
static inline struct belt_pipeline *pipeline_with(const struct belt_part *part, const char *yaml)
{
    struct belt_pipeline *p;
    struct belt_error err = { 0 };
    memset(&kept, 0, sizeof kept);
    cr_assert_eq(belt_pipeline_new(&p, &err), 0, "%s", err.text);
    const struct belt_part *const parts[] = { &say_source.part, &again_source.part,
                                              &mark_step.part,  &letter_step.part,
                                              &grow_step.part,  &keep_sink.part };
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        cr_assert_eq(belt_pipeline_add(p, parts[i], &err), 0, "%s", err.text);
    if (part)
        cr_assert_eq(belt_pipeline_add(p, part, &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_load_text(p, yaml, "test.yaml", &err), 0, "%s", err.text);
    return p;
}

static inline struct belt_pipeline *pipeline_of(const char *yaml)
{
    return pipeline_with(NULL, yaml);
}

/* Turns until the end, each a millisecond of the fake clock, checking conservation. */
static inline int turn_to_end(struct belt_pipeline *p, struct belt_error *err)
{
    uint64_t now = 1000000000;
    int rc = 0;
    for (int i = 0; i < 1000000 && rc >= 0; i++) {
        rc = belt_pipeline_turn(p, now += 1000000, err);
        struct belt_error broken = { 0 };
        cr_assert_eq(belt_check(p, &broken), 0, "%s", broken.text);
    }
    return rc;
}

static inline struct belt_totals totals_of(struct belt_pipeline *p)
{
    struct belt_totals t = { .size = sizeof t };
    belt_pipeline_totals(p, &t);
    return t;
}

/* Lanes of its own, until the end. What made it fail, or 0. */
static inline int run_to_end(struct belt_pipeline *p, struct belt_error *err)
{
    int rc = belt_pipeline_start(p, err);
    return rc < 0 ? rc : belt_pipeline_wait(p, BELT_FOREVER, err);
}

#endif
