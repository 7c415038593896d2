/* A pipeline without threads, on a clock of the caller's own: what a test of a
 * pipeline looks like, or a host with its own event loop. Source and sink are the
 * program's: it says words, and prints the batches that come out. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <beltway/pipeline.h>

#define MS UINT64_C(1000000)
#define SLAB 4096

static const char yaml[] = "name: turn\n"
                           "source: words\n"
                           "batcher: { size: 3, timeout: 1s, sink: { print: {} } }\n";

/* What is to be said next, and the time on the clock. */
static const char *said;
static bool silent_now_on;
static uint64_t now;

/* ---- source: the words of one line are the messages of one frame --------------- */

struct words_state {
    char *arena;
    uint32_t free; /* bit k: slab k is free */
    uint64_t chunk;
};

static int words_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    (void)conf;
    (void)err;
    belt_setup_limit(setup, 1);
    belt_setup_arena(setup, SLAB, 4);
    return 0;
}

static int words_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    (void)conf;
    (void)err;
    *(struct words_state *)state = (struct words_state){ in->arena, (1u << in->slabs) - 1, 0 };
    return 0;
}

static int words_fill(void *state, struct belt_fill *out, struct belt_error *err)
{
    struct words_state *s = state;
    int count = 0;
    (void)err;
    if (!said || !s->free)
        return silent_now_on && !said ? BELT_FILL_END : BELT_FILL_IDLE;
    out->slab = (uint32_t)__builtin_ctz(s->free);
    s->free &= s->free - 1;
    char *base = s->arena + out->slab * SLAB;
    snprintf(base, SLAB, "%s", said);
    for (char *at = base; *at && count < (int)out->most; count++) {
        uint32_t size = (uint32_t)strcspn(at, " ");
        out->spans[count] = (struct belt_span){ (uint32_t)(at - base), size };
        at += size + (at[size] == ' ');
    }
    out->base = base;
    out->last_of_slab = out->last_of_chunk = true;
    out->chunk = s->chunk++;
    said = NULL;
    return count;
}

static void words_recycle(void *state, uint32_t slab)
{
    ((struct words_state *)state)->free |= 1u << slab;
}

static const struct belt_source words = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SOURCE,
              .name = "words",
              .help = "what is said",
              .state_size = sizeof(struct words_state),
              .prepare = words_prepare,
              .init = words_init },
    .fill = words_fill,
    .recycle = words_recycle,
};

/* ---- sink ---------------------------------------------------------------------- */

static int print_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    static const char *const triggers[] = { "size", "bytes", "timeout", "end", "pressure" };
    (void)state;
    (void)err;
    printf("%4" PRIu64 " ms: %u by %s:", now / MS, batch->count, triggers[batch->trigger]);
    for (uint32_t i = 0; i < batch->count; i++)
        printf(" %.*s", (int)batch->spans[i].size - 1, batch->bytes + batch->spans[i].at);
    putchar('\n');
    return 0;
}

static const struct belt_sink print = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "print", .help = "batches as text" },
    .batch = print_batch,
};

/* ---- the program --------------------------------------------------------------- */

/* Turns at this time until nothing moves any more. */
static int at(struct belt_pipeline *p, uint64_t ms, const char *words_now, struct belt_error *err)
{
    int rc;
    now = ms * MS;
    said = words_now;
    do
        rc = belt_pipeline_turn(p, now, err);
    while (rc == 1);
    return rc;
}

static int run(struct belt_pipeline *p, struct belt_error *err)
{
    int rc = belt_pipeline_add(p, &words.part, err);
    if (rc == 0)
        rc = belt_pipeline_add(p, &print.part, err);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, yaml, "turn.c", err);
    if (rc == 0)
        rc = at(p, 0, "one two", err);
    if (rc == 0)
        rc = at(p, 999, NULL, err); /* not yet */
    if (rc == 0)
        rc = at(p, 1000, NULL, err); /* both are out by now: their second is over */
    if (rc == 0)
        rc = at(p, 1200, "three four five six", err);
    silent_now_on = true;
    if (rc == 0)
        rc = at(p, 1300, NULL, err);
    return rc == -EPIPE ? 0 : rc; /* -EPIPE: ended */
}

int main(void)
{
    struct belt_error err;
    struct belt_pipeline *p;
    int rc = belt_pipeline_new(&p, &err);
    if (rc == 0) {
        rc = run(p, &err);
        belt_pipeline_free(p);
    }
    if (rc < 0)
        fprintf(stderr, "turn: %s\n", err.text);
    return rc < 0;
}
