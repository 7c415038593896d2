/* The source `file` driven through its table: some instances in turn, each record kept. */
#ifndef SOURCE_FIXTURE_H
#define SOURCE_FIXTURE_H

#include "core/part.h"
#include "io_fixture.h"

extern const struct belt_source belt_source_file;

#define INSTANCES 3
#define RECORDS 200000

/* Every record delivered, to be put in order by (chunk, place in chunk). */
struct got {
    uint64_t chunk;
    uint32_t turn; /* order of delivery */
    uint32_t size;
    char *text;
    bool failed;
    const char *reason;
};

struct run {
    struct io_part part;
    void *states[INSTANCES];
    char *arenas[INSTANCES];
    int count;
    struct got *got;
    uint32_t got_used;
    uint64_t ended[4096]; /* how often each chunk ended */
    uint64_t chunks;
    int result;      /* BELT_FILL_END or BELT_FILL_ERROR */
    char where[256]; /* of the last record delivered */
};

UNUSED static int begin(struct run *r, int instances, const char *backend, const char *settings)
{
    memset(r, 0, sizeof *r);
    struct belt_error *err = &r->part.err;
    if (io_read(&r->part, &belt_source_file.part, settings) < 0 || io_prepare(&r->part) < 0)
        return r->part.err.code;
    if (belt_source_file.part.open(r->part.conf, err) < 0)
        return err->code;
    const struct belt_source_spec *spec = &r->part.spec->sources[0];
    r->count = spec->use.limit ? (int)spec->use.limit : instances;
    r->got = calloc(RECORDS, sizeof *r->got);
    for (int i = 0; i < r->count; i++) {
        size_t size = (size_t)spec->slab * spec->slabs + 2 * 4096;
        r->arenas[i] = aligned_alloc(4096, size);
        struct belt_instance in = { .size = sizeof in,
                                    .index = (uint32_t)i,
                                    .count = (uint32_t)r->count,
                                    .stage = "source",
                                    .arena = r->arenas[i] + 4096,
                                    .slab = spec->slab,
                                    .slabs = spec->slabs,
                                    .backend = backend };
        r->states[i] = calloc(1, belt_source_file.part.state_size);
        cr_assert_eq(belt_source_file.part.init(r->states[i], r->part.conf, &in, err), 0, "%s",
                     err->text);
    }
    return 0;
}

UNUSED static void take(struct run *r, const struct belt_fill *fill, int count)
{
    for (int k = 0; k < count; k++) {
        cr_assert_lt(r->got_used, RECORDS);
        struct got *g = &r->got[r->got_used];
        *g = (struct got){ fill->chunk,
                           r->got_used,
                           fill->spans[k].size,
                           NULL,
                           fill->failed[k / 64] >> (k % 64) & 1,
                           fill->failed_reason };
        g->text = malloc(g->size + 1);
        memcpy(g->text, fill->base + fill->spans[k].at, g->size);
        g->text[g->size] = 0;
        r->got_used++;
        uint64_t place = fill->place + (fill->file >> 31 ? (uint64_t)k : fill->spans[k].at);
        if (k + 1 == count)
            belt_source_file.where(r->part.conf, fill->file, place, r->where, sizeof r->where);
    }
    if (fill->last_of_chunk) {
        cr_assert_lt(fill->chunk, 4096);
        r->ended[fill->chunk]++;
        r->chunks = fill->chunk >= r->chunks ? fill->chunk + 1 : r->chunks;
    }
}

/* One fill of an instance, its slab given back at once. What fill returned. */
UNUSED static int step(struct run *r, int instance)
{
    static struct belt_span spans[BELT_FRAME];
    struct belt_fill fill = { .size = sizeof fill, .spans = spans, .most = BELT_FRAME };
    int count = belt_source_file.fill(r->states[instance], &fill, &r->part.err);
    cr_assert_leq(count, BELT_FRAME);
    if (count >= 0) {
        take(r, &fill, count);
        if (fill.last_of_slab)
            belt_source_file.recycle(r->states[instance], fill.slab);
    }
    return count;
}

UNUSED static int by_place(const void *a, const void *b)
{
    const struct got *x = a, *y = b;
    if (x->chunk != y->chunk)
        return x->chunk < y->chunk ? -1 : 1;
    return x->turn < y->turn ? -1 : 1;
}

UNUSED static void drain(struct run *r)
{
    bool over[INSTANCES] = { false };
    uint64_t seed = 7;
    r->result = BELT_FILL_END;
    for (int left = r->count; left;) {
        int i = (int)io_random(&seed, (uint32_t)r->count);
        int rc = over[i] ? 0 : step(r, i);
        if (rc != BELT_FILL_END && rc != BELT_FILL_ERROR)
            continue;
        over[i] = true;
        left--;
        r->result = rc == BELT_FILL_ERROR ? rc : r->result;
    }
    qsort(r->got, r->got_used, sizeof *r->got, by_place);
}

UNUSED static void end(struct run *r)
{
    for (int i = 0; i < r->count; i++) {
        belt_source_file.part.fini(r->states[i], r->part.conf);
        free(r->states[i]);
        free(r->arenas[i]);
    }
    for (uint32_t i = 0; i < r->got_used; i++)
        free(r->got[i].text);
    free(r->got);
    io_free(&r->part);
}

UNUSED static void run_all(struct run *r, int instances, const char *backend, const char *settings)
{
    cr_assert_eq(begin(r, instances, backend, settings), 0, "%s", r->part.err.text);
    drain(r);
}

UNUSED static const char *with_path(const char *name, const char *rest)
{
    static char settings[512];
    snprintf(settings, sizeof settings, "{ paths: '%s'%s%s }", io_path(name), *rest ? ", " : "",
             rest);
    return settings;
}

UNUSED static void expect(const struct run *r, const char *const *want, uint32_t count)
{
    cr_assert_eq(r->result, BELT_FILL_END, "%s", r->part.err.text);
    cr_assert_eq(r->got_used, count, "%u records", r->got_used);
    for (uint32_t i = 0; i < count; i++)
        cr_assert_str_eq(r->got[i].text, want[i]);
}

#define EXPECT(r, ...)                                                                             \
    do {                                                                                           \
        const char *const want[] = { __VA_ARGS__ };                                                \
        expect((r), want, sizeof want / sizeof want[0]);                                           \
    } while (0)

#endif
