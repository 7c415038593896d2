#include "tests/unit/batch_fixture.h"

/* ---- triggers ------------------------------------------------------------------ */

Test(batch, is_cut_at_its_size)
{
    struct belt_batches *batches = made(&usual);
    for (uint64_t i = 0; i < 3; i++)
        add(batches, "k", "row", i, 0);
    cr_assert_null(belt_batches_full(batches));
    add(batches, "k", "end", 3, 0);
    expect(belt_batches_full(batches), "k", "rowrowrowend", 4, BELT_TRIGGER_SIZE);
    cr_assert_null(belt_batches_full(batches));
    belt_batches_free(batches);
}

Test(batch, is_cut_before_it_exceeds_its_bytes)
{
    struct belt_batches_conf conf = usual;
    conf.bytes = 10;
    struct belt_batches *batches = made(&conf);
    add(batches, "k", "aaaa", 0, 0);
    add(batches, "k", "bbbb", 1, 0);
    cr_assert_null(belt_batches_full(batches));
    add(batches, "k", "ccc", 2, 0);
    expect(belt_batches_full(batches), "k", "aaaabbbb", 2, BELT_TRIGGER_BYTES);
    cr_assert_eq(belt_batches_count_open(batches), 1);
    belt_batches_free(batches);
}

Test(batch, is_cut_when_it_has_exactly_its_bytes)
{
    struct belt_batches_conf conf = usual;
    conf.bytes = 8;
    struct belt_batches *batches = made(&conf);
    add(batches, "k", "aaaa", 0, 0);
    add(batches, "k", "bbbb", 1, 0);
    expect(belt_batches_full(batches), "k", "aaaabbbb", 2, BELT_TRIGGER_BYTES);
    belt_batches_free(batches);
}

Test(batch, lets_one_row_alone_exceed_its_bytes)
{
    struct belt_batches_conf conf = usual;
    conf.bytes = 3;
    struct belt_batches *batches = made(&conf);
    add(batches, "k", "a", 0, 0);
    add(batches, "k", "longer", 1, 0);
    expect(belt_batches_full(batches), "k", "a", 1, BELT_TRIGGER_BYTES);
    expect(belt_batches_full(batches), "k", "longer", 1, BELT_TRIGGER_BYTES);
    belt_batches_free(batches);
}

Test(batch, is_due_when_its_first_row_is_old)
{
    struct belt_batches *batches = made(&usual);
    add(batches, "a", "1", 0, 1000);
    add(batches, "b", "2", 1, 1050);
    add(batches, "a", "3", 2, 1090);
    cr_assert_eq(belt_batches_next_deadline(batches), 1100);
    cr_assert_null(belt_batches_due(batches, 1099));
    expect(belt_batches_due(batches, 1100), "a", "13", 2, BELT_TRIGGER_TIMEOUT);
    cr_assert_null(belt_batches_due(batches, 1100));
    cr_assert_eq(belt_batches_next_deadline(batches), 1150);
    belt_batches_free(batches);
}

Test(batch, never_times_out_when_told_so)
{
    struct belt_batches_conf conf = usual;
    conf.timeout_ns = UINT64_MAX;
    struct belt_batches *batches = made(&conf);
    add(batches, "a", "1", 0, 1000);
    cr_assert_eq(belt_batches_next_deadline(batches), UINT64_MAX);
    cr_assert_null(belt_batches_due(batches, UINT64_MAX - 1));
    belt_batches_free(batches);
}

Test(batch, has_no_deadline_when_nothing_is_open)
{
    struct belt_batches *batches = made(&usual);
    cr_assert_eq(belt_batches_next_deadline(batches), UINT64_MAX);
    cr_assert_null(belt_batches_due(batches, 5));
    belt_batches_free(batches);
}

Test(batch, gives_the_oldest_under_pressure)
{
    struct belt_batches *batches = made(&usual);
    add(batches, "a", "1", 0, 10);
    add(batches, "b", "2", 1, 11);
    expect(belt_batches_oldest(batches), "a", "1", 1, BELT_TRIGGER_PRESSURE);
    expect(belt_batches_oldest(batches), "b", "2", 1, BELT_TRIGGER_PRESSURE);
    cr_assert_null(belt_batches_oldest(batches));
    belt_batches_free(batches);
}

Test(batch, gives_all_that_is_left_at_the_end)
{
    struct belt_batches *batches = made(&usual);
    add(batches, "a", "1", 0, 10);
    add(batches, "", "2", 1, 11);
    expect(belt_batches_any(batches), "a", "1", 1, BELT_TRIGGER_END);
    expect(belt_batches_any(batches), "", "2", 1, BELT_TRIGGER_END);
    cr_assert_null(belt_batches_any(batches));
    cr_assert_eq(belt_batches_count_in_flight(batches), 2);
    belt_batches_free(batches);
}

/* ---- order --------------------------------------------------------------------- */

Test(batch, hands_out_cut_batches_before_the_rest_of_their_key)
{
    struct belt_batches *batches = made(&usual);
    for (uint64_t i = 0; i < 5; i++)
        add(batches, "k", i < 4 ? "x" : "y", i, 0);
    expect(belt_batches_oldest(batches), "k", "xxxx", 4, BELT_TRIGGER_SIZE);
    expect(belt_batches_oldest(batches), "k", "y", 1, BELT_TRIGGER_PRESSURE);
    belt_batches_free(batches);
}

Test(batch, waits_in_line_while_the_most_are_in_flight)
{
    struct belt_batches_conf conf = usual;
    conf.size = 1;
    conf.max_batches_in_flight = 1;
    struct belt_batches *batches = made(&conf);
    add(batches, "a", "1", 0, 0);
    add(batches, "b", "2", 1, 0);
    struct belt_open_batch *first = belt_batches_full(batches);
    cr_assert_null(belt_batches_any(batches));
    cr_assert_eq(belt_batches_next_deadline(batches), UINT64_MAX, "a lane would spin");
    belt_batches_give_back(batches, first);
    cr_assert_eq(belt_batches_next_deadline(batches), 0);
    expect(belt_batches_full(batches), "b", "2", 1, BELT_TRIGGER_SIZE);
    belt_batches_free(batches);
}

Test(batch, keeps_keys_of_one_hash_apart)
{
    struct belt_batches *batches = made(&usual);
    for (int i = 0; i < 4; i++)
        for (const char *key = "abc"; *key; key++) {
            char *room = belt_batch_room(batches, key, 1, 99, 1, 0);
            *room = *key;
            belt_batch_add(batches, 1, WHERE, 1);
        }
    expect(belt_batches_full(batches), "a", "aaaa", 4, BELT_TRIGGER_SIZE);
    expect(belt_batches_full(batches), "b", "bbbb", 4, BELT_TRIGGER_SIZE);
    expect(belt_batches_full(batches), "c", "cccc", 4, BELT_TRIGGER_SIZE);
    belt_batches_free(batches);
}

/* ---- tickets ------------------------------------------------------------------- */

Test(batch, merges_neighbouring_tickets)
{
    struct belt_batches *batches = made(&usual);
    static const uint64_t tickets[] = { 62, 63, 64, 1 };
    for (int i = 0; i < 4; i++)
        add(batches, "k", "r", tickets[i], 0);
    const struct belt_open_batch *open = belt_batches_full(batches);
    cr_assert_eq(open->run_count, 3);
    cr_assert_eq(open->runs[0].word, WHERE);
    cr_assert_eq(open->runs[0].mask, UINT64_C(3) << 62);
    cr_assert_eq(open->runs[1].word, WHERE | 1);
    cr_assert_eq(open->runs[2].mask, 2);
    belt_batches_free(batches);
}

struct rows_fixture {
    char bytes[512];
    struct belt_span spans[64];
    struct belt_run runs[2];
    struct belt_rows rows;
};

/* `count` rows of 4 bytes "000\n", "001\n", ... from byte 5 on; tickets 60, 61, ... */
static void rows_of(struct rows_fixture *f, uint32_t count)
{
    memset(f, 0, sizeof *f);
    f->runs[0].word = WHERE;
    f->runs[1].word = WHERE | 1;
    for (uint32_t i = 0; i < count; i++) {
        char row[16];
        snprintf(row, sizeof row, "%03u\n", i);
        memcpy(f->bytes + 5 + 4 * i, row, 4);
        f->spans[i] = (struct belt_span){ 5 + 4 * i, 4 };
        f->runs[(60 + i) / 64].mask |= 1ull << (60 + i) % 64;
    }
    f->rows = (struct belt_rows){ f->bytes, f->spans, count, f->runs, 2, 0 };
}

Test(batch, takes_many_rows_at_once)
{
    struct belt_batches *batches = made(&usual);
    struct rows_fixture f;
    rows_of(&f, 9);
    cr_assert_eq(belt_batch_add_many(batches, "k", 1, 5, &f.rows, 0), 9);
    cr_assert_eq(belt_batches_check(batches), 0);
    const struct belt_open_batch *open = belt_batches_full(batches);
    expect(open, "k", "000\n001\n002\n003\n", 4, BELT_TRIGGER_SIZE);
    cr_assert_eq(open->runs[0].mask, UINT64_C(15) << 60);
    open = belt_batches_full(batches);
    expect(open, "k", "004\n005\n006\n007\n", 4, BELT_TRIGGER_SIZE);
    cr_assert_eq(open->runs[0].word, WHERE | 1);
    cr_assert_eq(open->runs[0].mask, 15);
    open = belt_batches_any(batches);
    expect(open, "k", "008\n", 1, BELT_TRIGGER_END);
    cr_assert_eq(open->runs[0].mask, 16);
    belt_batches_free(batches);
}

Test(batch, cuts_many_rows_at_its_bytes)
{
    struct belt_batches_conf conf = usual;
    conf.size = 1000;
    conf.bytes = 22;
    struct belt_batches *batches = made(&conf);
    struct rows_fixture f;
    rows_of(&f, 12);
    cr_assert_eq(belt_batch_add_many(batches, "k", 1, 5, &f.rows, 0), 12);
    for (int i = 0; i < 2; i++)
        cr_assert_eq(belt_batches_full(batches)->batch.count, 5);
    expect(belt_batches_any(batches), "k", "010\n011\n", 2, BELT_TRIGGER_END);
    belt_batches_free(batches);
}

Test(batch, leaves_rows_that_do_not_fit_with_their_tickets)
{
    struct belt_batches_conf conf = usual;
    conf.size = 6;
    conf.max_keys = 1;
    struct belt_batches *batches = made(&conf);
    struct rows_fixture f;
    rows_of(&f, 7);
    add(batches, "other", "x", 0, 0);
    cr_assert_eq(belt_batch_add_many(batches, "k", 1, 5, &f.rows, 0), 0);
    belt_batches_oldest(batches);
    cr_assert_eq(belt_batch_add_many(batches, "k", 1, 5, &f.rows, 0), 7);
    cr_assert_eq(f.rows.count, 0);
    cr_assert_eq(f.rows.runs, &f.runs[2]);
    belt_batches_free(batches);
}

/* ---- memory -------------------------------------------------------------------- */

Test(batch, costs_less_than_a_kibibyte_for_a_key_seen_once)
{
    struct belt_batches *batches = made(&usual);
    add(batches, "a key of some forty bytes, as names have", "a row of thirty bytes, more or less",
        0, 0);
    cr_assert_lt(belt_batches_used(batches), 1024);
    belt_batches_free(batches);
}

Test(batch, refuses_rows_when_its_memory_is_used_up_and_recovers)
{
    struct belt_batches_conf conf = usual;
    conf.arena_bytes = BELT_BATCHES_ARENA_MIN;
    conf.max_keys = 1000;
    struct belt_batches *batches = made(&conf);
    char key[16];
    uint32_t keys = 0;
    do
        snprintf(key, sizeof key, "key %u", keys++);
    while (add(batches, key, "row", keys, keys));
    cr_assert_eq(keys - 1, BELT_BATCHES_ARENA_MIN / 768);
    cr_assert_leq(belt_batches_peak(batches), conf.arena_bytes);
    struct belt_open_batch *open = belt_batches_oldest(batches);
    expect(open, "key 0", "row", 1, BELT_TRIGGER_PRESSURE);
    cr_assert_not(add(batches, key, "row", keys, keys), "a batch in flight keeps its memory");
    belt_batches_give_back(batches, open);
    cr_assert(add(batches, key, "row", keys, keys));
    belt_batches_free(batches);
}

Test(batch, stops_at_its_most_keys)
{
    struct belt_batches_conf conf = usual;
    conf.max_keys = 2;
    struct belt_batches *batches = made(&conf);
    cr_assert(add(batches, "a", "1", 0, 0));
    cr_assert(add(batches, "b", "2", 1, 0));
    cr_assert_not(add(batches, "c", "3", 2, 0));
    cr_assert(add(batches, "a", "4", 3, 0));
    belt_batches_free(batches);
}

Test(batch, always_takes_a_row_and_a_key_of_the_limit_when_empty)
{
    struct belt_batches_conf conf = usual;
    conf.bytes = 0;
    conf.arena_bytes = 3 * 16 * 1024;
    struct belt_batches *batches = made(&conf);
    uint32_t limit = belt_batches_row_limit(batches);
    char *key = calloc(1, limit);
    for (int i = 0; i < 3; i++) {
        char *room = belt_batch_room(batches, key, limit, 1, limit, 0);
        cr_assert_not_null(room);
        memset(room, 1, limit);
        belt_batch_add(batches, limit, WHERE, 1);
        belt_batches_give_back(batches, belt_batches_any(batches));
    }
    cr_assert_eq(belt_batches_used(batches), 0);
    free(key);
    belt_batches_free(batches);
}

Test(batch, uses_memory_that_is_given)
{
    struct belt_batches_conf conf = usual;
    char *memory = aligned_alloc(256, conf.arena_bytes + 512);
    conf.arena = memory + 256;
    struct belt_batches *batches = made(&conf);
    char *room = belt_batch_room(batches, "k", 1, 1, 8, 0);
    cr_assert(room >= conf.arena && room + 8 <= conf.arena + conf.arena_bytes);
    cr_assert_lt(belt_batches_footprint(&conf), conf.arena_bytes);
    belt_batches_free(batches);
    free(memory);
}

Test(batch, passes_its_owner_on)
{
    struct belt_batches_conf conf = usual;
    conf.owner = &conf;
    struct belt_batches *batches = made(&conf);
    add(batches, "k", "r", 0, 0);
    struct belt_open_batch *open = belt_batches_any(batches);
    cr_assert_eq(belt_open_batch_of(&open->batch)->owner, &conf);
    belt_batches_free(batches);
}

Test(batch, refuses_settings_that_cannot_work)
{
    static const struct belt_batches_conf bad[] = {
        { .size = 0, .bytes = 0, .arena_bytes = 65536, .max_keys = 1, .max_batches_in_flight = 1 },
        { .size = 1, .bytes = 0, .arena_bytes = 65536, .max_keys = 0, .max_batches_in_flight = 1 },
        { .size = 1, .bytes = 0, .arena_bytes = 65536, .max_keys = 1, .max_batches_in_flight = 0 },
        { .size = 1, .bytes = 0, .arena_bytes = 8191, .max_keys = 1, .max_batches_in_flight = 1 },
        { .size = 1,
          .bytes = 32769,
          .arena_bytes = 65536,
          .max_keys = 1,
          .max_batches_in_flight = 1 },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct belt_batches *batches = NULL;
        struct belt_error err = { 0 };
        cr_assert_eq(belt_batches_new(&batches, &bad[i], &err), -EINVAL);
        cr_assert_neq(err.text[0], 0);
        cr_assert_null(batches);
    }
}

/* ---- a model ------------------------------------------------------------------- */

enum { KEYS = 40, ROWS = 200000, FLYING = 8 };

/* What a sink must see of each key: row numbers without a gap, in order. */
struct model {
    struct belt_batches *batches;
    struct belt_open_batch *flying[FLYING];
    uint32_t flying_count;
    uint32_t next_in[KEYS], next_out[KEYS];
    uint64_t now, issued, settled;
    unsigned seed;
};

static void take_one(struct model *m, struct belt_open_batch *open)
{
    if (!open)
        return;
    const struct belt_batch *batch = &open->batch;
    int key = atoi(batch->key);
    for (uint32_t i = 0; i < batch->count; i++) {
        uint32_t number;
        cr_assert_geq(batch->spans[i].size, sizeof number);
        memcpy(&number, batch->bytes + batch->spans[i].at, sizeof number);
        cr_assert_eq(number, m->next_out[key]++);
    }
    m->flying[m->flying_count++] = open;
}

static void land_one(struct model *m)
{
    if (!m->flying_count)
        return;
    uint32_t at = (uint32_t)rand_r(&m->seed) % m->flying_count;
    for (uint32_t i = 0; i < m->flying[at]->run_count; i++)
        m->settled += (uint64_t)__builtin_popcountll(m->flying[at]->runs[i].mask);
    belt_batches_give_back(m->batches, m->flying[at]);
    m->flying[at] = m->flying[--m->flying_count];
}

static bool put_one(struct model *m)
{
    char text[64];
    int key = rand_r(&m->seed) % 4 ? rand_r(&m->seed) % 3 : rand_r(&m->seed) % KEYS;
    int size = snprintf(text, sizeof text, "%d, a key%*s", key, key, "");
    uint32_t row = sizeof(uint32_t) + (uint32_t)rand_r(&m->seed) % 60;
    char *room =
        belt_batch_room(m->batches, text, (uint32_t)size + 1, hash_of(text) % 50, row, m->now);
    if (!room)
        return false;
    memset(room, 0xee, row);
    memcpy(room, &m->next_in[key], sizeof(uint32_t));
    m->next_in[key]++;
    belt_batch_add(m->batches, row, WHERE | m->issued / 64, 1ull << m->issued % 64);
    m->issued++;
    return true;
}

static void count_tickets(void *ctx, const struct belt_run *run)
{
    *(uint64_t *)ctx += (uint64_t)__builtin_popcountll(run->mask);
}

static void verify(const struct model *m)
{
    uint64_t inside = 0;
    belt_batches_each_run(m->batches, count_tickets, &inside);
    cr_assert_eq(inside + m->settled, m->issued, "a ticket was lost or doubled");
    cr_assert_eq(belt_batches_check(m->batches), 0);
    cr_assert_eq(belt_batches_count_in_flight(m->batches), m->flying_count);
}

static void run_model(struct model *m)
{
    for (int step = 0; m->issued < ROWS; step++) {
        m->now += (uint64_t)rand_r(&m->seed) % 3;
        if (!put_one(m)) {
            take_one(m, belt_batches_oldest(m->batches));
            land_one(m);
        }
        if (rand_r(&m->seed) % 8 == 0)
            take_one(m, belt_batches_due(m->batches, m->now));
        if (rand_r(&m->seed) % 4 == 0)
            take_one(m, belt_batches_full(m->batches));
        if (rand_r(&m->seed) % 4 == 0)
            land_one(m);
        if (step % 256 == 0)
            verify(m);
    }
    while (belt_batches_count_open(m->batches) || m->flying_count) {
        take_one(m, belt_batches_any(m->batches));
        land_one(m);
    }
    verify(m);
    cr_assert_eq(m->settled, m->issued);
    cr_assert_eq(belt_batches_used(m->batches), 0);
    cr_assert_eq(memcmp(m->next_in, m->next_out, sizeof m->next_in), 0);
}

Test(batch, keeps_order_and_tickets_under_random_use)
{
    struct belt_batches_conf conf = { .size = 37,
                                      .bytes = 1500,
                                      .timeout_ns = 200,
                                      .max_keys = 20,
                                      .max_batches_in_flight = FLYING };
    for (unsigned seed = 1; seed <= 3; seed++) {
        conf.arena_bytes = 8192 + seed * 5000;
        struct model m = { .batches = made(&conf), .seed = seed };
        run_model(&m);
        belt_batches_free(m.batches);
    }
}
