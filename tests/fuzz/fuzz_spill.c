/* An aggregate's tables in their file, which is spoilt: a byte is changed, a piece is zeroed or
 * copied elsewhere, the end is cut off, before the runs are read or between two steps of their
 * merge. The rows are right, each group once, or the run ends with an error.
 *
 * Five bytes say what is done to the file and when, the others are messages. */
#include <fcntl.h>
#include <unistd.h>

#include "core/aggregate_priv.h"
#include "tests/fuzz/fuzz.h"

enum { HEAD = 5, NAME = 1, NUMBER, COLUMNS, KEYS = 64, OUT_NAME = 1, OUT_SUM, OUT_COUNT };
enum how { LEAVE, CHANGE, ZERO, COPY, CUT, HOWS };

struct plan {
    enum how how;
    uint32_t when; /* 0: before the merge; else after so many of its steps */
    uint32_t place, size;
};

struct group {
    int64_t sum, count;
    bool seen;
};

static struct belt_error err;

/* ---- messages ------------------------------------------------------------------------ */

/* Half of the names are longer than a group's line takes. */
static uint32_t put_name(char *to, uint32_t key)
{
    return (uint32_t)sprintf(to, key & 1 ? "%u" : "%u is a name of more than thirty-one bytes",
                             key);
}

/* Every byte is one: its key and value. */
static int fold(struct belt_agg *agg, struct group *groups, const uint8_t *data, uint32_t count)
{
    static char memory[2 * BELT_PAD + BELT_FRAME * 64];
    static struct belt_span names[BELT_FRAME];
    static int64_t numbers[BELT_FRAME];
    struct belt_column columns[COLUMNS] = { [NAME] = { memory + BELT_PAD, { .spans = names } },
                                            [NUMBER] = { NULL, { .numbers = numbers } } };
    struct belt_view view = {
        .size = sizeof view, .end = count, .columns = columns, .columns_used = COLUMNS
    };
    uint64_t mask[BELT_WORDS] = { 0 }, failed[BELT_WORDS] = { 0 };
    for (uint32_t i = 0, at = 0; i < count; i++) {
        uint32_t key = data[i] % KEYS, size = put_name(memory + BELT_PAD + at, key);
        names[i] = (struct belt_span){ at, size };
        numbers[i] = data[i] / KEYS;
        groups[key].sum += numbers[i];
        groups[key].count++;
        mask[i / 64] |= UINT64_C(1) << (i % 64);
        at += size;
    }
    return belt_agg_fold(agg, &view, mask, failed, &err);
}

/* ---- the file -------------------------------------------------------------------------- */

static void spoil(int fd, const struct plan *plan)
{
    static char bytes[256];
    off_t size = lseek(fd, 0, SEEK_END);
    if (size <= 0)
        return;
    off_t at = plan->place % size;
    size_t piece = plan->size + 1;
    memset(bytes, 0, sizeof bytes);
    if (plan->how == CUT)
        FUZZ_CHECK(ftruncate(fd, at) == 0, "truncate");
    if (plan->how == CHANGE) {
        FUZZ_CHECK(pread(fd, bytes, 1, at) == 1, "read");
        bytes[0] ^= (char)(plan->size | 1);
        piece = 1;
    }
    if (plan->how == COPY) {
        at &= ~(off_t)7;
        piece = (piece + 7) & ~(size_t)7;
        off_t from = plan->place / 8 % size & ~(off_t)7;
        FUZZ_CHECK(pread(fd, bytes, piece, from) >= 0, "read");
    }
    if (plan->how != CUT)
        FUZZ_CHECK(pwrite(fd, bytes, piece, at) == (ssize_t)piece, "write");
}

/* ---- rows ------------------------------------------------------------------------------ */

static void check_row(struct group *groups, const struct belt_view *rows, uint32_t i)
{
    uint32_t size;
    char want[64];
    const char *bytes = belt_text(rows, OUT_NAME, i, &size);
    char *name = fuzz_text(bytes, size);
    unsigned long key = strtoul(name, NULL, 10);
    bool known = key < KEYS && put_name(want, (uint32_t)key) == size && strcmp(name, want) == 0;
    FUZZ_CHECK(known, "no such name: %s", name);
    free(name);
    FUZZ_CHECK(groups[key].count && !groups[key].seen, "group %lu comes twice", key);
    FUZZ_CHECK(belt_number(rows, OUT_SUM, i) == groups[key].sum &&
                   belt_number(rows, OUT_COUNT, i) == groups[key].count,
               "group %lu is wrong", key);
    groups[key].seen = true;
}

static int read_rows(struct belt_agg *agg, struct group *groups, int fd, const struct plan *plan)
{
    struct belt_view rows = { .size = sizeof rows };
    uint32_t steps = 0;
    int rc = belt_agg_sort(agg, &err);
    for (uint64_t from = 0; rc >= 0; from += rows.end) {
        while ((rc = belt_agg_load(agg, from, &err)) == 1)
            if (plan->how != LEAVE && ++steps == plan->when)
                spoil(fd, plan);
        if (rc < 0 || !belt_agg_rows(agg, from, &rows))
            return rc;
        for (uint32_t i = 0; i < rows.end; i++)
            check_row(groups, &rows, i);
    }
    return rc;
}

static void check(const struct belt_agg_spec *spec, const struct plan *plan, const uint8_t *data,
                  uint32_t count)
{
    struct group groups[KEYS] = { 0 };
    struct belt_agg_conf conf = { .tables = 1 };
    struct belt_agg *agg;
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    close(fd); /* the next one to be opened has this number */
    FUZZ_CHECK(belt_agg_store_open(&conf.store, spec, &err) == 0, "%s", err.text);
    FUZZ_CHECK(belt_agg_new(&agg, spec, &conf, 1, &err) == 0, "%s", err.text);
    int rc = fold(agg, groups, data, count);
    FUZZ_CHECK(rc == 0 && belt_agg_finish(agg, &err) == 0, "%s", err.text);
    if (plan->how != LEAVE && plan->when == 0)
        spoil(fd, plan);
    rc = read_rows(agg, groups, fd, plan);
    FUZZ_CHECK(rc == 0 || plan->how != LEAVE, "%s", err.text);
    for (uint32_t key = 0; rc == 0 && key < KEYS; key++)
        FUZZ_CHECK(groups[key].seen || !groups[key].count, "group %u is missing", key);
    belt_agg_free(agg);
    belt_agg_store_free(conf.store);
}

/* ---- specs ----------------------------------------------------------------------------- */

struct spec {
    struct belt_tree *tree; /* lives as long as what was read from it */
    struct belt_agg_spec *spec;
};

static void new_spec(struct spec *out, const char *order)
{
    static struct belt_column_info infos[COLUMNS] = { { "payload", BELT_TEXT, 0 },
                                                      { "name", BELT_TEXT, 0 },
                                                      { "number", BELT_INT, 0 } };
    static int used = COLUMNS;
    struct belt_setup setup = { .columns = infos, .columns_used = &used, .path = "batcher" };
    char yaml[300];
    snprintf(yaml, sizeof yaml,
             "{ group_by: name, %s max_keys: 5, spill: { path: ., size: 64MiB }, "
             "columns: { s: sum(number), n: count() } }",
             order);
    out->tree = belt_tree_new();
    FUZZ_CHECK(belt_tree_load_text(out->tree, yaml, "fuzz.yaml", &err) == 0, "%s", err.text);
    int rc = belt_agg_spec_new(&out->spec, belt_tree_root(out->tree), &setup, &err);
    FUZZ_CHECK(rc == 0, "%s", err.text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const orders[] = { "", "sort_by: name,", "sort_by: [s, name]," };
    static struct spec specs[3];
    if (size < HEAD)
        return 0;
    struct spec *spec = &specs[data[0] / HOWS % 3];
    struct plan plan = { .how = data[0] % HOWS,
                         .when = data[1] % 8,
                         .place = data[2] * 256u + data[3],
                         .size = data[4] };
    if (!spec->spec)
        new_spec(spec, orders[data[0] / HOWS % 3]);
    size = size - HEAD < BELT_FRAME ? size - HEAD : BELT_FRAME;
    check(spec->spec, &plan, data + HEAD, (uint32_t)size);
    return 0;
}
