#include "tests/unit/pipeline_fixture.h"

#include <errno.h>

#define ENDS(p)                                                                                    \
    do {                                                                                           \
        struct belt_error err_ = { 0 };                                                            \
        cr_assert_eq(turn_to_end((p), &err_), -EPIPE, "%s", err_.text);                            \
    } while (0)

/* `say` with a file's name. */
static const char *spot_name(void *conf, uint32_t file)
{
    (void)conf, (void)file;
    return "spot.txt";
}

static int spot_where(void *conf, uint32_t file, uint64_t place, char *out, size_t room)
{
    (void)conf, (void)file;
    return snprintf(out, room, "spot:%d", (int)place);
}

static const struct belt_source spot_source = {
    .part = { BELT_ABI, BELT_SOURCE, "spot", "words", say_settings, sizeof(struct say_conf),
              sizeof(struct say_state), say_prepare, NULL, say_init, NULL, NULL, "words" },
    .fill = say_fill,
    .recycle = say_recycle,
    .stop = say_stop,
    .name = spot_name,
    .where = spot_where,
};

static void refuses(struct belt_pipeline *p, const char *text)
{
    struct belt_error err = { 0 };
    cr_assert_lt(belt_pipeline_validate(p, &err), 0);
    cr_assert_str_eq(err.text, text);
    belt_pipeline_free(p);
}

Test(sources, all_of_them_are_read_to_their_ends, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("sources:\n"
                                          "  a: { say: { words: 'a1,a2', repeat: 100 } }\n"
                                          "  b: { say: { words: 'b1', repeat: 50 } }\n"
                                          "  c: { say: 'c1,c2,c3' }\n"
                                          "batcher: { sink: keep_all }\n");
    ENDS(p);
    struct belt_totals t = totals_of(p);
    cr_assert_eq(t.received, 253);
    cr_assert_eq(t.done, 253);
    cr_assert_eq(kept.rows, 253);
    cr_assert(t.complete);
    belt_pipeline_free(p);
}

Test(sources, with_threads_too, .timeout = 10)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = pipeline_of("sources:\n"
                                          "  a: { counter: 500000, concurrency: 2 }\n"
                                          "  b: { counter: 300000, concurrency: 1 }\n"
                                          "processor: { concurrency: 2 }\n"
                                          "batcher: { sink: 'null' }\n");
    cr_assert_eq(run_to_end(p, &err), 0, "%s", err.text);
    cr_assert_eq(totals_of(p).done, 800000);
    cr_assert_eq(totals_of(p).bytes_total, 8 * 800000);
    cr_assert_eq(belt_check(p, &err), 0, "%s", err.text);
    belt_pipeline_free(p);
}

static char *report_of(struct belt_pipeline *p, char *text, size_t room)
{
    struct belt_error err = { 0 };
    FILE *out = fmemopen(text, room, "w");
    cr_assert_eq(belt_pipeline_report(p, out, &err), 0, "%s", err.text);
    fclose(out);
    return text;
}

Test(sources, are_named_in_the_plan_and_the_report, .timeout = 10)
{
    char text[16384] = "";
    struct belt_pipeline *p = pipeline_of("sources: { a: { say: x }, b: { say: 'y,z' } }\n"
                                          "batcher: { sink: keep_all }\n");
    struct belt_error err = { 0 };
    FILE *out = fmemopen(text, sizeof text, "w");
    cr_assert_eq(belt_pipeline_print_plan(p, out, &err), 0, "%s", err.text);
    fclose(out);
    cr_assert_not_null(strstr(text, "sources.a.0 (say)"), "%s", text);
    cr_assert_not_null(strstr(text, "sources.b.0 (say)"), "%s", text);
    ENDS(p);
    report_of(p, text, sizeof text);
    cr_assert_not_null(strstr(text, "\"stage\": \"sources.a.0\""), "%s", text);
    cr_assert_not_null(strstr(text, "\"stage\": \"sources.b.0\""), "%s", text);
    belt_pipeline_free(p);
}

Test(sources, the_single_one_keeps_its_name, .timeout = 10)
{
    char text[16384] = "";
    struct belt_pipeline *p = pipeline_of("source: { say: x }\nbatcher: { sink: keep_all }\n");
    ENDS(p);
    cr_assert_not_null(strstr(report_of(p, text, sizeof text), "\"stage\": \"source.0\""), "%s",
                       text);
    belt_pipeline_free(p);
}

Test(sources, a_failed_row_names_the_file_of_its_own_source, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_with(&spot_source.part, "sources: { a: { say: x }, b: { spot: 'bad1,y' } }\n"
                                         "processor: { steps: [ mark: {} ] }\n"
                                         "batcher: { sink: 'null' }\n"
                                         "failed: { sink: keep_all }\n");
    ENDS(p);
    struct belt_failure failure;
    cr_assert_eq(belt_pipeline_failures(p, &failure, 1), 1);
    cr_assert_str_eq(failure.where, "spot:0");
    cr_assert_not_null(strstr(kept.text, "\"file\":\"spot.txt\""), "%s", kept.text);
    belt_pipeline_free(p);
}

Test(sources, order_between_them_is_refused, .timeout = 10)
{
    struct belt_pipeline *p = pipeline_of("sources: { a: { say: x }, b: { say: y } }\n"
                                          "batcher:\n  order: input\n  sink: keep_all\n");
    refuses(p, "test.yaml:3:10: batcher: order: input has no meaning with 2 sources, whose "
               "messages have no order among each other: order: any");
}

Test(sources, names_are_checked, .timeout = 10)
{
    refuses(pipeline_of("sources:\n  Bad: { say: x }\n"),
            "test.yaml:2:8: 'Bad' is no name of a source: use a-z, 0-9 and _, a letter first");
}

Test(sources, an_unknown_setting_says_what_was_meant, .timeout = 10)
{
    refuses(
        pipeline_of("sources: { a: { say: x, concurency: 2 } }\n"),
        "test.yaml:1:25: unknown setting 'concurency' of sources.a; did you mean 'concurrency'?");
}

Test(sources, more_instances_than_a_part_allows_are_refused, .timeout = 10)
{
    refuses(pipeline_of("sources: { a: { say: x, concurrency: 2 }, b: { say: y } }\n"),
            "test.yaml:1:22: sources.a concurrency: at most 1 here, for its input cannot be "
            "shared by more; leave it out");
}

Test(sources, a_window_bounds_what_is_unsettled, .timeout = 10)
{
    struct belt_pipeline *p =
        pipeline_of("source: { say: { words: 'a,b,c,d', endless: true }, window: 2000 }\n"
                    "batcher: { size: 100000, timeout: 1h, sink: keep_all }\n");
    struct belt_error err = { 0 };
    kept.hold = true;
    for (uint64_t now = 1; now < 3000; now++)
        cr_assert_geq(belt_pipeline_turn(p, now * 1000, &err), 0, "%s", err.text);
    /* A frame of 4 takes a word of 64: 32 words are 2,048. */
    cr_assert_leq(totals_of(p).unsettled, 32 * 4);
    cr_assert_geq(totals_of(p).unsettled, 16 * 4);
    kept.hold = false;
    belt_pipeline_free(p);
}
