/* The source `file` in follow mode, driven through its table by one instance. */
#ifndef FOLLOW_FIXTURE_H
#define FOLLOW_FIXTURE_H

#include "io_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>

#include "core/part.h"

extern const struct belt_source belt_source_file;

#define TICKETS 65536

struct run {
    struct io_part part;
    void *state;
    char *arena;
    uint64_t word;        /* of tickets, next */
    uint64_t frames[256]; /* words given out to each frame, for ack */
    uint32_t frames_used;
    char text[4096]; /* what was delivered: "one|two|" and "(reason)" of failed ones */
    char where[256]; /* of the last record */
};

UNUSED static int begin(struct run *r, const char *settings)
{
    memset(r, 0, sizeof *r);
    struct belt_error *err = &r->part.err;
    if (io_read(&r->part, &belt_source_file.part, settings) < 0 || io_prepare(&r->part) < 0 ||
        belt_source_file.part.open(r->part.conf, err) < 0)
        return err->code ? err->code : -1;
    const struct belt_source_spec *spec = &r->part.spec->sources[0];
    r->arena = aligned_alloc(4096, (size_t)spec->slab * spec->slabs + 2 * 4096);
    struct belt_instance in = { .size = sizeof in,
                                .count = 1,
                                .stage = "source",
                                .arena = r->arena + 4096,
                                .slab = spec->slab,
                                .slabs = spec->slabs,
                                .tickets = TICKETS,
                                .backend = "auto" };
    r->state = calloc(1, belt_source_file.part.state_size);
    return belt_source_file.part.init(r->state, r->part.conf, &in, err);
}

UNUSED static void follow(struct run *r, const char *settings)
{
    cr_assert_eq(begin(r, settings), 0, "%s", r->part.err.text);
}

UNUSED static void end(struct run *r)
{
    belt_source_file.part.fini(r->state, r->part.conf);
    free(r->state);
    free(r->arena);
    io_free(&r->part);
}

UNUSED static const char *in_directory(const char *names, const char *rest)
{
    static char settings[600];
    bool waits = strstr(rest, "rotated_wait");
    snprintf(settings, sizeof settings, "{ paths: '%s/%s', follow: true%s%s }", io_directory, names,
             waits ? "" : ", rotated_wait: 1ms", rest);
    return settings;
}

UNUSED static void take(struct run *r, const struct belt_fill *fill, int count)
{
    size_t at = strlen(r->text);
    for (int i = 0; i < count; i++) {
        at += (size_t)snprintf(r->text + at, sizeof r->text - at, "%.*s", (int)fill->spans[i].size,
                               fill->base + fill->spans[i].at);
        if (fill->failed[i / 64] >> (i % 64) & 1)
            at += (size_t)snprintf(r->text + at, sizeof r->text - at, "(%s)", fill->failed_reason);
        at += (size_t)snprintf(r->text + at, sizeof r->text - at, "|");
        cr_assert_lt(at, sizeof r->text);
        belt_source_file.where(r->part.conf, fill->file, fill->place + (uint64_t)i, r->where,
                               sizeof r->where);
    }
    if (count)
        r->frames[r->frames_used++] = r->word;
    r->word += ((uint64_t)count + 63) / 64;
}

/* One call; what it returned. */
UNUSED static int step(struct run *r)
{
    static struct belt_span spans[BELT_FRAME];
    struct belt_fill fill = {
        .size = sizeof fill, .spans = spans, .most = BELT_FRAME, .ticket = r->word * 64
    };
    int count = belt_source_file.fill(r->state, &fill, &r->part.err);
    if (count >= 0) {
        take(r, &fill, count);
        if (fill.last_of_slab)
            belt_source_file.recycle(r->state, fill.slab);
    }
    return count;
}

/* Until this was delivered, and no longer than it takes to know that it is not. */
UNUSED static void expect(struct run *r, const char *text)
{
    for (;;) {
        int count = step(r);
        cr_assert_neq(count, BELT_FILL_ERROR, "%s", r->part.err.text);
        if (count != BELT_FILL_IDLE)
            continue;
        if (strlen(r->text) >= strlen(text))
            break;
        struct pollfd ready = { .fd = belt_source_file.fd(r->state), .events = POLLIN };
        cr_assert_eq(poll(&ready, 1, 20000), 1, "nobody woke it: %s", r->text);
    }
    cr_assert_str_eq(r->text, text);
    r->text[0] = 0;
}

UNUSED static void append(const char *name, const char *text)
{
    FILE *file = fopen(io_path(name), "ab");
    fputs(text, file);
    fclose(file);
}

UNUSED static void settle(struct run *r, uint32_t frames)
{
    for (uint32_t f = 0; f < frames; f++) {
        struct belt_acked acked = { .size = sizeof acked,
                                    .ticket = r->frames[f] * 64,
                                    .done = UINT64_MAX };
        belt_source_file.ack(r->state, &acked);
    }
}

#endif
