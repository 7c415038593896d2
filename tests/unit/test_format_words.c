/* Formats that write many rows at once: the same bytes as one by one, for any
 * choice of messages and any sizes, and their pipelines. */
#include <criterion/criterion.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pipeline_fixture.h"

extern const struct belt_format belt_format_lines, belt_format_raw;

#define TEXT (64 * 300)

struct texts {
    char bytes[TEXT + 2 * BELT_PAD];
    struct belt_span spans[128];
    struct belt_column column;
    struct belt_view view;
};

/* 128 texts of up to `most` bytes; with gaps between them, or one after another. */
static void say_sizes(struct texts *t, uint32_t least, uint32_t most, bool gaps)
{
    uint32_t at = BELT_PAD;
    for (uint32_t i = 0; i < 128; i++) {
        uint32_t size = least + (uint32_t)rand() % (most - least + 1);
        t->spans[i] = (struct belt_span){ at, size };
        for (uint32_t b = 0; b < size; b++)
            t->bytes[at + b] = (char)('a' + (i + b) % 26);
        at += size + (gaps ? (uint32_t)rand() % 3 : 0);
    }
    t->column = (struct belt_column){ t->bytes, { .spans = t->spans } };
    t->view = (struct belt_view){ .size = sizeof t->view, .columns = &t->column };
}

static void say(struct texts *t, uint32_t most, bool gaps)
{
    say_sizes(t, 0, most, gaps);
}

static void compare(const struct belt_format *format, const struct texts *t, uint64_t mask)
{
    static char many[TEXT + BELT_PAD], one[TEXT + BELT_PAD];
    struct belt_span places[64];
    size_t bound = format->bounds(NULL, &t->view, 1, mask), at = 0;
    size_t size = format->rows(NULL, &t->view, 1, mask, many, 7, places);
    uint32_t n = 0;
    for (uint64_t rest = mask; rest; rest &= rest - 1, n++) {
        uint32_t i = 64 + (uint32_t)__builtin_ctzll(rest);
        size_t row = format->row(NULL, &t->view, i, one + at);
        cr_assert_eq(places[n].at, 7 + at);
        cr_assert_eq(places[n].size, row);
        at += row;
    }
    cr_assert_eq(size, at);
    cr_assert_leq(size, bound);
    cr_assert_eq(memcmp(many, one, at), 0);
}

/* Without places: they are those of rows of one size. */
static void compare_even(const struct belt_format *format, const struct texts *t, uint64_t mask)
{
    static char many[TEXT + BELT_PAD], one[TEXT + BELT_PAD];
    size_t each = format->even(NULL, &t->view, 1, mask), at = 0;
    cr_assert_eq(each, t->spans[64].size + format->end_size);
    cr_assert_eq(format->rows(NULL, &t->view, 1, mask, many, 7, NULL),
                 each * (size_t)__builtin_popcountll(mask));
    for (uint64_t rest = mask; rest; rest &= rest - 1, at += each) {
        uint32_t i = 64 + (uint32_t)__builtin_ctzll(rest);
        cr_assert_eq(format->row(NULL, &t->view, i, one), each);
        cr_assert_eq(memcmp(many + at, one, each), 0);
    }
}

static void compare_all_even(const struct belt_format *format)
{
    static struct texts t;
    for (uint32_t size = 1; size < 70; size++) {
        say_sizes(&t, size, size, size % 2);
        compare_even(format, &t, UINT64_MAX);
        compare_even(format, &t, UINT64_C(0xfff0));
        compare_even(format, &t, UINT64_C(0x8000000000000001));
        t.spans[64 + 33].size--;
        cr_assert_eq(format->even(NULL, &t.view, 1, UINT64_MAX), 0);
        compare_even(format, &t, UINT64_C(0x1fffffff5));
    }
}

static void compare_all(const struct belt_format *format)
{
    static struct texts t;
    static const uint32_t most[] = { 0, 1, 8, 31, 32, 33, 140 };
    srand(1);
    for (size_t m = 0; m < sizeof most / sizeof *most; m++)
        for (int gaps = 0; gaps < 2; gaps++) {
            say(&t, most[m], gaps);
            compare(format, &t, UINT64_MAX);
            compare(format, &t, 1);
            compare(format, &t, UINT64_C(1) << 63);
            for (int i = 0; i < 50; i++)
                compare(format, &t, ((uint64_t)rand() << 33 ^ (uint64_t)rand() << 7) | 2);
        }
}

Test(format_words, lines_are_the_same_many_at_once)
{
    compare_all(&belt_format_lines);
}

Test(format_words, raw_is_the_same_many_at_once)
{
    compare_all(&belt_format_raw);
}

Test(format_words, rows_of_one_size_need_no_places)
{
    compare_all_even(&belt_format_lines);
    compare_all_even(&belt_format_raw);
}

/* ---- in pipelines ------------------------------------------------------------- */

Test(format_words, raw_rows_lie_one_after_another)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("source: { say: { words: 'one,two,three,four' } }\n"
                                          "batcher: { sink: { keep_all: { format: raw } } }\n");
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_str_eq(kept.text, "[e:onetwothreefour]");
    belt_pipeline_free(p);
}

Test(format_words, keys_keep_their_rows_apart_and_in_order)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a1,a2,b1,a3,b2,c1,b3,a4', repeat: 3 } }\n"
                    "processor: { steps: [ letter ] }\n"
                    "batcher: { key: letter, size: 1000, sink: { keep_all: { format: raw } } }\n");
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert(strstr(kept.text, "a[e:a1a2a3a4a1a2a3a4a1a2a3a4]"), "%s", kept.text);
    cr_assert(strstr(kept.text, "b[e:b1b2b3b1b2b3b1b2b3]"), "%s", kept.text);
    cr_assert(strstr(kept.text, "c[e:c1c1c1]"), "%s", kept.text);
    belt_pipeline_free(p);
}

Test(format_words, each_instance_gets_its_keys)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of(
        "source: { say: { words: 'a1,b1,c1,d1,e1,f1,a2,b2,c2,d2,e2,f2', repeat: 500 } }\n"
        "processor: { steps: [ letter ] }\n"
        "batcher: { key: letter, concurrency: 3, size: 10,\n"
        "  sink: { keep_all: { format: raw } } }\n");
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(kept.rows, 6000);
    for (char c = 'a'; c <= 'f'; c++) {
        char batch[40];
        sprintf(batch, "%c[s:%c1%c2%c1%c2%c1%c2%c1%c2%c1%c2]", c, c, c, c, c, c, c, c, c, c, c);
        cr_assert(strstr(kept.text, batch), "no batch %s", batch);
    }
    belt_pipeline_free(p);
}

Test(format_words, without_a_key_a_processor_keeps_to_one_instance)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b,c,d,e', repeat: 20 } }\n"
                    "processor: { concurrency: 2 }\n"
                    "batcher: { concurrency: 2, size: 1000000, order: input,\n"
                    "  sink: { keep_all: { format: raw } } }\n");
    cr_assert_eq(turn_to_end(p, &err), -EPIPE, "%s", err.text);
    cr_assert_eq(kept.rows, 100);
    cr_assert_eq(kept.batches, 2, "%s", kept.text); /* every other chunk */
    belt_pipeline_free(p);
}
