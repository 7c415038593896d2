/* Full tables: what goes to a file comes out as one row a group, whatever keys, bounds
 * and number of tables; or it is emitted early; or the run fails and says why. */
#include "tests/unit/aggregate_fixture.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "core/aggregate_table_priv.h"

#define KEY_MOST 300u

/* ---- a reference ------------------------------------------------------------------ */

struct model {
    char key[KEY_MOST];
    uint32_t size, seen;
    int64_t min, max, sum, count;
};

#define MODELS 65536u

static struct model *models;
static uint32_t models_used;

static struct model *model_of(const char *key, uint32_t size)
{
    uint32_t at = size * 31;
    for (uint32_t i = 0; i < size; i++)
        at = at * 31 + (unsigned char)key[i];
    for (at %= MODELS; models[at].count || models[at].seen; at = (at + 1) % MODELS)
        if (models[at].size == size && memcmp(models[at].key, key, size) == 0)
            return &models[at];
    models[at] = (struct model){ .size = size, .min = INT64_MAX, .max = INT64_MIN };
    memcpy(models[at].key, key, size);
    models_used++;
    return &models[at];
}

/* Empty, short, of 31 and 32 bytes, long; with NUL and 0xff; with beginnings that many share. */
static uint32_t random_key(char *key)
{
    uint32_t size = (uint32_t)(random_below(3) ? random_below(34) : random_below(KEY_MOST + 1));
    memset(key, "\0a\xff"[random_below(3)], size);
    for (uint32_t i = 0; size && i < 1 + random_below(3); i++)
        key[random_below(4) ? size - 1 : random_below(size)] = (char)random_below(7);
    return size;
}

/* Deals random messages to the tables and the model. */
static void fold_random(size_t count, int frames)
{
    models = calloc(MODELS, sizeof *models);
    models_used = 0;
    for (int f = 0; f < frames; f++) {
        agg = tables[(size_t)f % count];
        for (uint32_t i = 0; i < BELT_FRAME; i++, view.end++) {
            char key[KEY_MOST];
            uint32_t size = random_key(key);
            int64_t value = (int64_t)random_below(2000) - 1000;
            put_text(NAME, key, size);
            numbers[VALUE][i] = value;
            if (f % 3 == 2 && random_below(4) == 0)
                continue;
            mask[i / 64] |= UINT64_C(1) << (i % 64);
            struct model *m = model_of(key, size);
            m->min = value < m->min ? value : m->min;
            m->max = value > m->max ? value : m->max;
            m->sum += value;
            m->count++;
        }
        cr_assert_eq(fold(), 0, "%s", err.text);
    }
}

/* ---- emission --------------------------------------------------------------------- */

static struct belt_agg_store *store;

static void use_spill(const char *yaml, uint32_t count)
{
    conf.tables = count;
    use_spec(yaml);
    cr_assert_eq(belt_agg_store_open(&store, spec, &err), 0, "%s", err.text);
    conf.store = store;
    for (uint32_t t = 0; t < count; t++)
        new_table(t + 1);
    agg = tables[0];
}

static void end(void)
{
    fini();
    belt_agg_store_free(store);
    free(models);
}

TestSuite(aggregate_spill, .fini = end);

/* All tables into the last. */
static struct belt_agg *merge_all(void)
{
    _Alignas(8) static char out[2 * BELT_AGG_BLOB];
    static struct belt_span blobs[BELT_FRAME];
    struct belt_agg *total = tables[tables_used - 1];
    for (size_t t = 0; t + 1 < tables_used; t++) {
        uint64_t cursor = 0;
        cr_assert_eq(belt_agg_finish(tables[t], &err), 0, "%s", err.text);
        while (cursor != UINT64_MAX) {
            uint32_t used;
            size_t size =
                belt_agg_pack(tables[t], &cursor, out, sizeof out, blobs, BELT_FRAME, &used);
            cr_assert(used || cursor == UINT64_MAX);
            cr_assert_eq(belt_agg_merge(total, out, size, &err), 0, "%s", err.text);
        }
        belt_agg_clear(tables[t]);
    }
    cr_assert_eq(belt_agg_sort(total, &err), 0, "%s", err.text);
    return total;
}

static bool next_rows(struct belt_agg *total, uint64_t from, struct belt_view *rows)
{
    int rc;
    while ((rc = belt_agg_load(total, from, &err)) == 1)
        ;
    cr_assert_eq(rc, 0, "%s", err.text);
    return belt_agg_rows(total, from, rows) > 0;
}

static bool comes_after(const char *key, uint32_t size, const char *before, uint32_t before_size)
{
    int order = memcmp(before, key, size < before_size ? size : before_size);
    return order < 0 || (order == 0 && before_size < size);
}

/* Each group once, as in the model, in the order of sums and keys, or of keys alone. */
static void expect_model(struct belt_agg *total, bool by_sum, bool by_key)
{
    struct belt_view rows = { 0 };
    char last[KEY_MOST] = { 0 };
    uint32_t last_size = 0;
    int64_t last_sum = INT64_MIN;
    uint64_t from = 0;
    for (; next_rows(total, from, &rows); from += rows.end)
        BELT_EACH (&rows, i) {
            uint32_t size;
            const char *key = belt_text(&rows, 1, i, &size);
            struct model *m = model_of(key, size);
            int64_t sum = belt_number(&rows, 4, i);
            cr_assert_eq(m->seen++, 0, "a second row of one group");
            cr_assert_eq(belt_number(&rows, 2, i), m->min);
            cr_assert_eq(belt_number(&rows, 3, i), m->max);
            cr_assert_eq(sum, m->sum);
            cr_assert_eq(belt_number(&rows, 5, i), m->count);
            bool first = from + i == 0;
            if (by_sum)
                cr_assert_geq(sum, last_sum);
            if (!first && (by_key || (by_sum && sum == last_sum)))
                cr_assert(comes_after(key, size, last, last_size));
            memcpy(last, key, size);
            last_size = size;
            last_sum = sum;
        }
    cr_assert_eq(from, models_used);
}

#define ALL_OF_VALUE "columns: { a: min(value), b: max(value), c: sum(value), n: count() }"
#define SPILL "spill: { path: ., size: 256MiB }"

static void spill_random(uint64_t seed)
{
    static const char *const orders[] = { "", "sort_by: name, ", "sort_by: [c, name], " };
    char yaml[300];
    random_state = seed;
    uint64_t keys = random_below(2) ? 1 + random_below(3) : 1 + random_below(1500);
    uint64_t order = random_below(3), count = 2 + random_below(3);
    /* Each run of three groups costs a page of this test's time. */
    int frames = keys < 16 ? 2 : (int)(1 + random_below(20));
    snprintf(yaml, sizeof yaml, "{ group_by: name, %s" ALL_OF_VALUE ", max_keys: %llu, " SPILL " }",
             orders[order], (unsigned long long)keys);
    use_spill(yaml, (uint32_t)count);
    fold_random(count - 1, frames);
    expect_model(merge_all(), order == 2, order == 1);
}

Test(aggregate_spill, any_keys_and_bounds_give_one_row_a_group, .timeout = 120)
{
    for (uint64_t seed = 1; seed <= 25; seed++) {
        spill_random(seed);
        end();
        store = NULL;
        models = NULL;
        reset();
    }
}

Test(aggregate_spill, on_the_baseline_too, .timeout = 60)
{
    setenv("BELT_ISA", "v2", 1);
    spill_random(7);
}

/* ---- memory ----------------------------------------------------------------------- */

/* Of the table: all of its reservation but for the frame that its rows come out in. */
static size_t resident(const struct belt_agg *table)
{
    static unsigned char pages[1 << 20];
    size_t size = (size_t)((char *)table->frame - (char *)table->map) & ~(size_t)4095, count = 0;
    cr_assert_leq(size / 4096, sizeof pages);
    cr_assert_eq(mincore(table->map, size, pages), 0);
    for (size_t i = 0; i < size / 4096; i++)
        count += pages[i] & 1;
    return count * 4096;
}

Test(aggregate_spill, a_table_stays_within_its_memory, .timeout = 60)
{
    use_spill("{ group_by: name, sort_by: s, columns: { n: count(), s: sum(number) }, "
              "memory: 4MiB, " SPILL " }",
              2);
    size_t most = 0, share = 2 << 20;
    for (int i = 0; i < 100000; i++) {
        char name[100];
        snprintf(name, sizeof name, "%d%s", i, i % 3 ? "" : " and more bytes than a line holds");
        add_value(name, i);
        if (i % 100 == 0 && resident(agg) > most)
            most = resident(agg);
    }
    cr_assert_leq(most, share);
    cr_assert_geq(most, share / 4, "%zu: it uses what it has", most);
    cr_assert_eq(fold(), 0);
    cr_assert_gt(belt_agg_spilled(agg), UINT64_C(5) << 20);
    struct belt_agg *total = merge_all();
    struct belt_view rows = { 0 };
    uint64_t from = 0;
    for (most = 0; next_rows(total, from, &rows); from += rows.end) {
        BELT_EACH (&rows, i)
            cr_assert_eq(belt_number(&rows, 3, i), (int64_t)(from + i));
        most = resident(total) > most ? resident(total) : most;
    }
    cr_assert_eq(from, 100000);
    cr_assert_leq(most, share);
}

Test(aggregate_spill, memory_that_is_too_small_for_its_tables_is_refused)
{
    use_spec("{ group_by: name, memory: 8MiB }");
    cr_assert_eq(belt_agg_check(spec, 8, &err), 0);
    cr_assert_eq(belt_agg_check(spec, 9, &err), -EINVAL);
    cr_assert_eq(err.config, 1);
    cr_assert(strstr(err.text, "9 tables") && strstr(err.text, "need 9216 KiB"), "%s", err.text);
    cr_assert_eq(strncmp(err.text, "test.yaml:1:27: ", 16), 0, "%s", err.text);
}

/* ---- values ----------------------------------------------------------------------- */

Test(aggregate_spill, wide_sums_and_spreads_survive_the_file)
{
    use_spill("{ group_by: name, sort_by: [m, name], max_keys: 2, " SPILL
              ", columns: { n: count(), m: mean(number), v: var_pop(number), r: var(ratio) } }",
              2);
    for (int round = 0; round < 4; round++)
        for (int i = 0; i < 6; i++) {
            ratios[view.end] = round;
            add_value(&"fedcba"[i], i % 2 ? INT64_MAX : INT64_MIN + round);
            cr_assert_eq(fold(), 0);
        }
    struct belt_view rows = { 0 };
    struct belt_agg *total = merge_all();
    cr_assert(next_rows(total, 0, &rows));
    cr_assert_eq(rows.end, 6);
    BELT_EACH (&rows, i) {
        uint32_t size;
        bool low = i < 3;
        cr_assert_eq(*belt_text(&rows, 1, i, &size), "bdface"[i]);
        cr_assert_eq(belt_number(&rows, 2, i), 4);
        cr_assert_eq(rows.columns[3].as.floats[i], low ? -0x1p63 : 0x1p63);
        cr_assert_eq(rows.columns[4].as.floats[i], low ? 1.25 : 0);
        cr_assert_float_eq(rows.columns[5].as.floats[i], 5.0 / 3, 1e-15);
    }
    cr_assert_not(next_rows(total, 6, &rows));
}

Test(aggregate_spill, a_sum_beyond_64_bits_is_said_with_group_and_column)
{
    use_spill("{ group_by: name, max_keys: 1, columns: { total: sum(number) }, " SPILL " }", 2);
    for (int i = 0; i < 4; i++) {
        add_value(i % 2 ? "b" : "a", i % 2 ? INT64_MAX : 1);
        cr_assert_eq(fold(), 0);
    }
    struct belt_agg *total = merge_all();
    cr_assert_eq(belt_agg_load(total, 0, &err), -EOVERFLOW);
    cr_assert(strstr(err.text, "'total'") && strstr(err.text, "'b'"), "%s", err.text);
}

Test(aggregate_spill, a_second_emission_begins_anew)
{
    use_spill("{ group_by: name, sort_by: name, max_keys: 3, " SPILL
              ", columns: { n: count(), e: emission() } }",
              2);
    for (int emission = 1; emission <= 3; emission++) {
        agg = tables[0];
        for (int i = 0; i < 1000; i++) {
            char name[20];
            snprintf(name, sizeof name, "%d", i % 50);
            add_value(name, 1);
        }
        cr_assert_eq(fold(), 0);
        struct belt_agg *total = merge_all();
        struct belt_view rows = { 0 };
        uint64_t from = 0;
        for (; next_rows(total, from, &rows); from += rows.end)
            BELT_EACH (&rows, i) {
                cr_assert_eq(belt_number(&rows, 2, i), 20);
                cr_assert_eq(belt_number(&rows, 3, i), emission);
            }
        cr_assert_eq(from, 50);
        belt_agg_clear(total);
    }
}

/* ---- what ends the run -------------------------------------------------------------- */

static int fold_many(int groups)
{
    int rc = 0;
    for (int i = 0; i < groups && rc == 0; i++) {
        char name[64];
        snprintf(name, sizeof name, "%d is a name of more than thirty-one bytes", i);
        put_text(NAME, name, strlen(name));
        numbers[NUMBER][view.end] = i;
        mask[view.end / 64] |= UINT64_C(1) << (view.end % 64);
        if (++view.end == BELT_FRAME)
            rc = fold();
    }
    return rc;
}

Test(aggregate_spill, a_full_file_says_which_setting_raises_it)
{
    use_spill("{ group_by: name, max_keys: 1024, spill: { path: ., size: 1MiB } }", 2);
    cr_assert_eq(fold_many(100000), -ENOSPC);
    cr_assert(strstr(err.text, "aggregate.spill.size") && strstr(err.text, "1 MiB"), "%s",
              err.text);
}

Test(aggregate_spill, a_full_disk_is_said_not_ignored)
{
    use_spill("{ group_by: name, max_keys: 1024, " SPILL " }", 2);
    signal(SIGXFSZ, SIG_IGN);
    struct rlimit limit = { 300000, RLIM_INFINITY }, before;
    getrlimit(RLIMIT_FSIZE, &before);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    int rc = fold_many(100000);
    setrlimit(RLIMIT_FSIZE, &before);
    cr_assert_eq(rc, -EFBIG);
    cr_assert(strstr(err.text, "writing groups in '.'"), "%s", err.text);
}

/* What comes of groups that are read back, of which one byte is another one now. */
static int read_spoilt(int fd, off_t at)
{
    char byte;
    cr_assert_eq(belt_agg_finish(agg, &err), 0);
    cr_assert_eq(pread(fd, &byte, 1, at), 1);
    byte ^= 1;
    cr_assert_eq(pwrite(fd, &byte, 1, at), 1);
    int rc = belt_agg_sort(agg, &err);
    while (rc >= 0 && (rc = belt_agg_load(agg, 0, &err)) == 1)
        ;
    return rc;
}

Test(aggregate_spill, a_file_that_is_spoilt_is_said_wherever_it_is)
{
    for (off_t at = 0; at < 1000; at += 7) {
        int fd = dup(0);
        close(fd); /* the next one to be opened has this number */
        use_spill("{ group_by: name, sort_by: name, max_keys: 8, " SPILL ", " ALL_OF_VALUE " }", 1);
        cr_assert_eq(fold_many(40), 0);
        cr_assert_eq(fold(), 0);
        cr_assert_eq(read_spoilt(fd, at), -EIO, "byte %d", (int)at);
        cr_assert(strstr(err.text, "groups in '.' are not as they were written"), "%s", err.text);
        fini();
        belt_agg_store_free(store);
        reset();
    }
    use_spill("{ group_by: name, max_keys: 8, " SPILL " }", 1);
}

Test(aggregate_spill, a_folder_that_is_not_there_is_a_mistake_in_the_configuration)
{
    use_spec("{ group_by: name, spill: { path: ./no/such/folder, size: 1GiB } }");
    cr_assert_eq(belt_agg_store_open(&store, spec, &err), -ENOENT);
    cr_assert_eq(err.config, 1);
    cr_assert(strstr(err.text, "batcher.aggregate.spill: './no/such/folder'"), "%s", err.text);
}

/* ---- early ------------------------------------------------------------------------- */

Test(aggregate_spill, early_gives_back_what_found_no_room)
{
    use("{ group_by: name, emit: early, max_keys: 3, sort_by: name, columns: { n: count() } }");
    char name[2] = { 0 };
    uint64_t groups = 0;
    for (name[0] = 'a'; name[0] < 'k'; name[0]++)
        add_value(name, 0);
    for (int round = 0; round < 8; round++) {
        uint64_t before = mask[0], rows = 0;
        int rc = belt_agg_fold(agg, &view, mask, failed, &err);
        cr_assert_eq(rc, mask[0] ? -EAGAIN : 0);
        cr_assert(mask[0] != before && !(mask[0] & ~before));
        for (const char *at = rows_of(agg); (at = strchr(at, '\n')); at++)
            rows++;
        cr_assert_leq(rows, 3);
        groups += (uint64_t)__builtin_popcountll(before & ~mask[0]);
        belt_agg_clear(agg);
        if (rc == 0) {
            cr_assert_eq(groups, 10);
            return;
        }
    }
    cr_assert(false, "it does not get on");
}

/* ---- keys chosen to meet ------------------------------------------------------------- */

/* Without seeds each product of the hash has a factor 0. */
static uint32_t meeting_key(char *key, uint32_t number)
{
    memset(key, 0, BELT_AGG_INLINE);
    memcpy(key, &number, 2);
    memcpy(key + 8, (char *)&number + 2, 2);
    return 28;
}

Test(aggregate_spill, keys_that_meet_without_a_seed_do_not_with_one, .timeout = 20)
{
    use("{ group_by: name, columns: { n: count() } }");
    struct belt_agg unseeded = { .factor = 1 };
    char key[BELT_AGG_INLINE];
    union belt_agg_line line;
    for (uint32_t i = 0; i < 100000; i++) {
        uint32_t size = meeting_key(key, i);
        belt_agg_line(&line, key, size);
        cr_assert_eq(belt_agg_hash_line(&unseeded, &line), 0);
        put_text(NAME, key, size);
        next_message();
    }
    cr_assert_eq(fold(), 0);
    cr_assert_eq(belt_agg_groups(agg), 100000);
    uint64_t far = 0;
    for (struct belt_agg_group *group = belt_agg_next(agg, 0); group;
         group = belt_agg_next(agg, belt_agg_slot_of(agg, group) + 1))
        far += (belt_agg_slot_of(agg, group) - belt_agg_hash_line(agg, &group->key)) & agg->mask;
    cr_assert_lt(far, 100000, "on the average a neighbour at most");
}

Test(aggregate_spill, tables_have_seeds_of_their_own)
{
    use("{ group_by: name }");
    struct belt_agg *other = new_table(8);
    cr_assert_neq(agg->seed[0], other->seed[0]);
    cr_assert_neq(agg->factor, other->factor);
}
