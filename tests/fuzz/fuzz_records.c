/* Lines out of a file and out of a pipe: the input between newlines, each once and in order,
 * a '\r' before the newline left out; what is longer than max_record is cut and failed. Rows of
 * csv without quotes are the same. */
#include "tests/fuzz/fuzz.h"

#include <sys/mman.h>
#include <unistd.h>

#include "io/scan_priv.h"

extern const struct belt_source belt_source_file;

#define LIMIT 64 /* max_record */
#define SETTINGS "paths: /proc/self/fd/%d, chunk: 4KiB, max_record: 64B, records: %s"

struct lines {
    const uint8_t *data;
    size_t size, at; /* what is still to come begins at `at` */
};

/* The next line that is expected; false: there is none. */
static bool next_line(struct lines *l, const uint8_t **text, size_t *size)
{
    if (l->at >= l->size)
        return false;
    *text = l->data + l->at;
    const uint8_t *end = memchr(*text, '\n', l->size - l->at);
    *size = end ? (size_t)(end - *text) : l->size - l->at;
    l->at += *size + 1;
    if (end && *size && end[-1] == '\r')
        --*size;
    return true;
}

static void take(struct lines *l, const struct belt_fill *fill, int count)
{
    for (int i = 0; i < count; i++) {
        const uint8_t *text;
        size_t size;
        bool failed = fill->failed[i / 64] >> (i % 64) & 1;
        FUZZ_CHECK(next_line(l, &text, &size), "more lines than there are");
        FUZZ_CHECK(failed == (size > LIMIT), "a line of %zu bytes at %zu", size, l->at);
        size = size > LIMIT ? LIMIT : size;
        FUZZ_CHECK(fill->spans[i].size == size &&
                       memcmp(fill->base + fill->spans[i].at, text, size) == 0,
                   "another line than the one before %zu", l->at);
    }
}

static void read_all(int fd, const char *records, const uint8_t *data, size_t size)
{
    static struct belt_span spans[BELT_FRAME];
    struct fuzz_part p;
    struct lines lines = { data, size, 0 };
    char yaml[256];
    snprintf(yaml, sizeof yaml, "{ " SETTINGS " }", fd, records);
    const struct belt_part *part = &belt_source_file.part;
    FUZZ_CHECK(fuzz_prepare(&p, part, yaml, NULL, 0) == 0 && part->open(p.conf, &p.err) == 0, "%s",
               p.err.text);
    const struct belt_source_spec *spec = &p.spec->sources[0];
    char *arena = aligned_alloc(4096, (size_t)spec->slab * spec->slabs + 2 * 4096);
    struct belt_instance in = { .size = sizeof in,
                                .count = 1,
                                .stage = "source",
                                .arena = arena + 4096,
                                .slab = spec->slab,
                                .slabs = spec->slabs,
                                .backend = "posix" };
    FUZZ_CHECK(part->init(p.state, p.conf, &in, &p.err) == 0, "%s", p.err.text);
    for (int count = 0; count != BELT_FILL_END;) {
        struct belt_fill fill = { .size = sizeof fill, .spans = spans, .most = BELT_FRAME };
        count = belt_source_file.fill(p.state, &fill, &p.err);
        FUZZ_CHECK(count != BELT_FILL_ERROR, "%s", p.err.text);
        take(&lines, &fill, count);
        if (count >= 0 && fill.last_of_slab)
            belt_source_file.recycle(p.state, fill.slab);
    }
    FUZZ_CHECK(lines.at >= lines.size, "the lines from %zu on are missing", lines.at);
    part->fini(p.state, p.conf);
    free(arena);
    fuzz_free(&p);
}

/* All scanners find what the plain one finds. */
static void scan_all(const uint8_t *data, size_t size)
{
    static struct belt_span plain[BELT_FRAME], spans[BELT_FRAME];
    belt_scan_fn *const scanners[] = { belt_scan_swar, belt_scan_v2, belt_scan_v3 };
    char *text = malloc(size + 2 * BELT_PAD);
    memset(text, '\n', size + 2 * BELT_PAD);
    memcpy(text + BELT_PAD, data, size);
    uint32_t next, at;
    uint32_t count =
        belt_scan_plain(text, BELT_PAD, BELT_PAD + (uint32_t)size, plain, BELT_FRAME, &next);
    for (size_t s = 0; s < sizeof scanners / sizeof *scanners; s++) {
        uint32_t found =
            scanners[s](text, BELT_PAD, BELT_PAD + (uint32_t)size, spans, BELT_FRAME, &at);
        FUZZ_CHECK(found == count && at == next, "scanner %zu: %u lines, not %u", s, found, count);
        FUZZ_CHECK(memcmp(spans, plain, count * sizeof *spans) == 0, "scanner %zu", s);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC), ends[2];
    if (size > 32768) /* what a pipe takes at once, whatever its pages */
        size = 32768;
    FUZZ_CHECK(write(fd, data, size) == (ssize_t)size && pipe(ends) == 0, "no file");
    FUZZ_CHECK(write(ends[1], data, size) == (ssize_t)size, "no pipe");
    close(ends[1]);
    read_all(fd, "lines", data, size);
    read_all(fd, "{ csv: { quote: '' } }", data, size);
    read_all(ends[0], "lines", data, size);
    scan_all(data, size);
    close(fd);
    close(ends[0]);
    return 0;
}
