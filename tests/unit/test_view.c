/* What steps do to messages, and the room for the texts that they make. */
#include <errno.h>

#include "core/spans_priv.h"
#include "core/view_priv.h"
#include "tests/unit/pipeline_fixture.h"

#define ROOM 1024

struct frame {
    struct belt_engine engine;
    char *memory;
    struct belt_span spans[BELT_FRAME];
};

static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
static const struct belt_column_info columns[] = { { "payload", BELT_TEXT, 0 },
                                                   { "extra", BELT_TEXT, 0 } };

/* Message i is the letter i % 26. */
static struct belt_view *frame_load(struct frame *f, uint32_t count, int steps)
{
    const uint64_t none[BELT_WORDS] = { 0 };
    f->memory = calloc(1, belt_engine_size(2, ROOM));
    belt_engine_init(&f->engine, columns, 2, ROOM, steps, f->memory);
    for (uint32_t i = 0; i < count; i++)
        f->spans[i] = (struct belt_span){ i % 26, 1 };
    belt_engine_load(&f->engine, letters, f->spans, count, none, NULL, 0);
    return &f->engine.view;
}

static char letter_at(const struct belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    return size == 1 ? *text : '?';
}

static bool put(struct belt_view *view, uint32_t i, char fill, uint32_t size)
{
    char *room = belt_room(view, size);
    if (!room)
        return false;
    memset(room, fill, size);
    return belt_put_text(view, 0, i, room, size);
}

/* ---- what becomes of messages ------------------------------------------------------------ */

Test(view, has_every_message_live_at_first)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 100, 1);
    uint32_t seen = 0;
    BELT_EACH (view, i)
        cr_assert_eq(i, seen++);
    cr_assert_eq(seen, 100);
    cr_assert_not(belt_is_live(view, 100));
    free(f.memory);
}

Test(view, visits_a_full_frame)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, BELT_FRAME, 1);
    uint32_t seen = 0;
    BELT_EACH (view, i)
        seen++;
    cr_assert_eq(seen, BELT_FRAME);
    free(f.memory);
}

Test(view, visits_only_its_range)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 200, 1);
    view->first = 60;
    view->end = 130;
    uint32_t seen = 60;
    BELT_EACH (view, i)
        cr_assert_eq(i, seen++);
    cr_assert_eq(seen, 130);
    free(f.memory);
}

Test(view, visits_nothing_that_was_dropped_or_failed)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 130, 1);
    BELT_EACH (view, i)
        if (i % 3 == 0)
            belt_drop(view, i);
        else if (i % 3 == 1)
            belt_fail_message(view, i, "no");
    BELT_EACH (view, i)
        cr_assert_eq(i % 3, 2);
    cr_assert_eq(f.engine.dropped[2] >> 1 & 1, 1, "message 129");
    cr_assert_eq(f.engine.failed[0] >> 1 & 1, 1, "message 1");
    free(f.memory);
}

Test(view, drops_many_at_once)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 128, 1);
    belt_drop_mask(view, 1, UINT64_MAX);
    uint32_t seen = 0;
    BELT_EACH (view, i)
        seen++;
    cr_assert_eq(seen, 64);
    free(f.memory);
}

Test(view, cuts_a_reason_that_is_too_long)
{
    struct frame f = { 0 };
    char reason[500];
    memset(reason, 'x', sizeof reason);
    reason[499] = 0;
    belt_fail_message(frame_load(&f, 2, 1), 1, reason);
    cr_assert_eq(strlen(f.engine.reasons[1]), BELT_REASON - 1);
    free(f.memory);
}

Test(view, routes_to_the_first_batcher_unless_told)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 3, 1);
    belt_route(view, 1, 4);
    cr_assert_eq(f.engine.batcher[0], 0);
    cr_assert_eq(f.engine.batcher[1], 4);
    cr_assert_eq(f.engine.batcher[2], 0);
    free(f.memory);
}

Test(view, routes_many_at_once)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 130, 1);
    belt_route_mask(view, 1, 5, 3);
    belt_route_mask(view, 2, 2, 1);
    belt_route_mask(view, 2, 3, 0);
    cr_assert_eq(f.engine.batcher[64], 3);
    cr_assert_eq(f.engine.batcher[65], 0);
    cr_assert_eq(f.engine.batcher[66], 3);
    cr_assert_eq(f.engine.batcher[129], 0, "the last word counts");
    free(f.memory);
}

Test(view, fails_all_that_are_routed_to_no_batcher)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 3, 1);
    belt_route_mask(view, 0, 5, 99);
    cr_assert_eq(f.engine.failed[0], 5);
    cr_assert_eq(f.engine.live[0], 2);
    free(f.memory);
}

Test(view, finds_equal_bytes)
{
    uint8_t bytes[64] = { 0 };
    for (int value = 0; value < 256; value++) {
        uint64_t mask = 0;
        for (int k = 0; k < 64; k++) {
            bytes[k] = (uint8_t)(k % 3 ? value + k : value);
            mask |= (uint64_t)(k % 3 == 0) << k;
        }
        cr_assert_eq(belt_equal_mask(bytes, (uint8_t)value), mask);
    }
}

Test(view, puts_a_byte_at_the_bits_of_a_mask)
{
    uint64_t mask = UINT64_C(0x9e3779b97f4a7c15);
    for (int value = 0; value < 256; value += 5, mask = mask << 7 | mask >> 57) {
        uint8_t bytes[64], expected[64];
        for (int k = 0; k < 64; k++) {
            bytes[k] = (uint8_t)(3 * k);
            expected[k] = mask >> k & 1 ? (uint8_t)value : bytes[k];
        }
        belt_put_mask(bytes, mask, (uint8_t)value);
        cr_assert_arr_eq(bytes, expected, sizeof bytes);
    }
}

/* One of another size anywhere among them, and beside them. */
Test(view, finds_a_size_that_is_another)
{
    struct belt_span spans[64];
    for (uint32_t count = 1; count <= 64; count++)
        for (uint32_t other = 0; other < 64; other++) {
            for (uint32_t i = 0; i < 64; i++)
                spans[i] = (struct belt_span){ 1000 * i, 7 + (i == other) };
            bool even = count == 1 || other >= count;
            cr_assert_eq(belt_spans_even(spans, count), even, "%u of %u", other, count);
        }
}

Test(view, has_messages_that_the_source_could_not_take_among_the_failed)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 3, 1);
    const uint64_t failed[BELT_WORDS] = { 2 };
    belt_engine_load(&f.engine, letters, f.spans, 3, failed, "too long", 0);
    cr_assert(belt_is_live(view, 0));
    cr_assert_not(belt_is_live(view, 1));
    cr_assert_str_eq(f.engine.reasons[1], "too long");
    free(f.memory);
}

/* ---- texts ------------------------------------------------------------------------------- */

Test(view, puts_a_text_and_leaves_the_others)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 3, 1);
    cr_assert(put(view, 1, 'X', 1));
    cr_assert_eq(letter_at(view, 0), 'a');
    cr_assert_eq(letter_at(view, 1), 'X');
    cr_assert_eq(letter_at(view, 2), 'c');
    free(f.memory);
}

Test(view, puts_a_text_into_an_empty_column)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 3, 1);
    char *room = belt_room(view, 2);
    memcpy(room, "hi", 2);
    cr_assert(belt_put_text(view, 1, 1, room, 2));
    uint32_t size;
    cr_assert_eq(memcmp(belt_text(view, 1, 1, &size), "hi", 2), 0);
    belt_text(view, 1, 0, &size);
    cr_assert_eq(size, 0);
    free(f.memory);
}

Test(view, has_no_room_beyond_its_limit)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 3, 1);
    cr_assert_eq(belt_room_limit(view), ROOM);
    cr_assert_null(belt_room(view, ROOM + 1));
    cr_assert_not_null(belt_room(view, ROOM));
    cr_assert_null(belt_room(view, 1));
    free(f.memory);
}

Test(view, divides_among_the_steps_what_the_payloads_leave_of_its_room)
{
    struct frame f = { 0 };
    cr_assert_eq(belt_room_limit(frame_load(&f, 24, 4)), (ROOM - 24) / 4);
    free(f.memory);
}

Test(view, keeps_texts_over_a_fresh_room)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 4, 1);
    put(view, 2, 'X', 1);
    belt_room(view, 500);
    belt_engine_fresh_room(&f.engine, 1);
    cr_assert_eq(letter_at(view, 1), 'b');
    cr_assert_eq(letter_at(view, 2), 'X');
    cr_assert_eq(letter_at(view, 3), 'd');
    cr_assert_leq(f.engine.room_used, 3);
    free(f.memory);
}

Test(view, keeps_texts_over_many_fresh_rooms)
{
    struct frame f = { 0 };
    struct belt_view *view = frame_load(&f, 26, 1);
    for (uint32_t i = 0; i < 26; i++) {
        view->first = i;
        belt_engine_fresh_room(&f.engine, i);
        cr_assert(put(view, i, (char)('A' + i), 1));
        cr_assert_not_null(belt_room(view, ROOM - 100));
        cr_assert_eq(letter_at(view, i), 'A' + (char)i);
        for (uint32_t later = i + 1; later < 26; later++)
            cr_assert_eq(letter_at(view, later), letters[later]);
    }
    free(f.memory);
}

/* ---- whole pipelines whose texts outgrow the room ---------------------------------------- */

/* `count` words, word i: `size` letters i % 26. */
static char *words_of(char *yaml, int count, int size)
{
    char *at = yaml;
    for (int i = 0; i < count; i++) {
        memset(at, letters[i % 26], (size_t)size);
        at += size;
        *at++ = i + 1 < count ? ',' : 0;
    }
    return at;
}

/* The rows are `count` words of `size` letters, in order. */
static void expect_words(int count, uint32_t size)
{
    cr_assert_eq(kept.rows, (size_t)count);
    char *at = kept.text;
    for (int i = 0; i < count;) {
        at = strchr(at, ':') + 1;
        for (; *at != ']' && i < count; i++, at += size + 1)
            for (uint32_t b = 0; b < size; b++)
                cr_assert_eq(at[b], letters[i % 26], "byte %d of row %d", (int)b, i);
    }
}

static struct belt_pipeline *growing(int count, const char *steps)
{
    static char words[70000], yaml[80000];
    words_of(words, count, 1);
    snprintf(yaml, sizeof yaml,
             "source: { say: { words: '%s' } }\n"
             "processor: { steps: [ %s ] }\n"
             "batcher: { size: 50, memory: 8MiB, sink: keep_all }\n",
             words, steps);
    return pipeline_of(yaml);
}

static void expect_end(struct belt_pipeline *p, uint64_t done)
{
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    struct belt_failure failure = { .reason = "" };
    belt_pipeline_failures(p, &failure, 1);
    cr_assert_eq(totals_of(p).failed, 0, "%s", failure.reason);
    cr_assert_eq(totals_of(p).done, done);
}

Test(room, goes_on_behind_the_message_that_used_it_up, .timeout = 20)
{
    struct belt_pipeline *p = growing(200, "grow: 5000"); /* 1 MB of texts in 1.1 MB: */
    expect_end(p, 200);
    expect_words(200, 5000);
    belt_pipeline_free(p);
    p = growing(30, "grow: 300000"); /* three at a time */
    expect_end(p, 30);
    cr_assert_eq(kept.rows, 30);
    belt_pipeline_free(p);
}

Test(room, keeps_what_earlier_steps_made_of_the_messages_that_wait, .timeout = 20)
{
    struct belt_pipeline *p = growing(40, "{ grow: 20 }, { letter: {} }, { grow: 20000 }");
    belt_pipeline_free(p);
    p = growing(40, "{ grow: 20 }, { letter: {} }, { grow: 20000 }");
    struct belt_error err = { 0 };
    cr_assert_eq(belt_pipeline_set(p, "batcher.key", "letter", &err), 0, "%s", err.text);
    cr_assert_eq(belt_pipeline_set(p, "batcher.size", "1", &err), 0, "%s", err.text);
    expect_end(p, 40);
    char *at = kept.text;
    for (int i = 0; i < 40; i++, at = strchr(at, ']') + 1)
        cr_assert(at[0] == letters[i % 26] && at[4] == letters[i % 26], "row %d: %.8s", i, at);
    belt_pipeline_free(p);
}

Test(room, fails_only_the_text_that_never_fits, .timeout = 20)
{
    struct belt_pipeline *p = growing(26, "grow: { to: 2000000, only: c }");
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    struct belt_failure failure = { .reason = "" };
    cr_assert_eq(belt_pipeline_failures(p, &failure, 1), 1);
    cr_assert_str_eq(failure.reason, "its new text is longer than a frame's room");
    cr_assert_eq(totals_of(p).failed, 1);
    cr_assert_eq(kept.rows, 25);
    belt_pipeline_free(p);
}

Test(room, fails_as_many_as_never_fit, .timeout = 20)
{
    struct belt_pipeline *p = growing(26, "grow: 2000000");
    struct belt_error err = { 0 };
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(totals_of(p).failed, 26);
    cr_assert_eq(totals_of(p).unsettled, 0);
    belt_pipeline_free(p);
}

Test(room, is_enough_for_a_long_chain_behind_a_full_frame, .timeout = 20)
{
    /* A frame with as much payload as a slab takes: putting one new text moves it all. */
    static char words[70000], yaml[80000];
    words_of(words, 1000, 63);
    char *at = yaml;
    at += sprintf(at, "source: { say: { words: '%s' } }\nprocessor: { steps: [", words);
    at += sprintf(at, " grow: 10");
    for (int i = 0; i < 30; i++)
        at += sprintf(at, ", mark: {}");
    sprintf(at, " ] }\nbatcher: { sink: keep_all }\n");
    struct belt_pipeline *p = pipeline_of(yaml);
    expect_end(p, 1000);
    expect_words(1000, 10);
    belt_pipeline_free(p);
}

Test(room, loses_no_dropped_message_that_waits, .timeout = 20)
{
    /* Dropped by the first step, not settled yet when the second ran out of room. */
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b,c,d,no,e,f,g,no', repeat: 50 } }\n"
                    "processor: { steps: [ mark: {}, grow: 200000 ] }\n"
                    "batcher: { size: 2, memory: 4MiB, sink: keep_all }\n");
    expect_end(p, 450);
    cr_assert_eq(totals_of(p).dropped, 100);
    cr_assert_eq(kept.rows, 350);
    belt_pipeline_free(p);
}
