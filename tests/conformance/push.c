/* Injection and test API, dummy producer: B020 to B024, B116. */
#include "core/testing.h"
#include "tests/conformance/conformance.h"

/* Batches of one millisecond's waiting; `user` is a field that messages bring along. */
#define PIPELINE                                                                                   \
    "source: { push: { fields: { user: text } } }\n"                                               \
    "processor: { steps: [ { mark: {} }, { render: { template: '{user}/{payload}' } } ] }\n"       \
    "batcher: { timeout: 1ms, sink: collect }\nfailed: { sink: collect }\n"

static struct belt_pipeline *pushed_to(void)
{
    struct belt_pipeline *p = pipeline_of(PIPELINE);
    turn_ms(p, 1, 1);
    return p;
}

static void expect_rows(struct belt_pipeline *p, const char *want)
{
    struct belt_error err = { 0 };
    struct belt_collected got = { .size = sizeof got };
    cr_assert_eq(belt_test_collected_at(p, NULL, 0, &got, &err), 0, "%s", err.text);
    cr_assert_eq(got.bytes_size, strlen(want), "%.*s", (int)got.bytes_size, got.bytes);
    cr_assert_eq(memcmp(got.bytes, want, got.bytes_size), 0, "%.*s", (int)got.bytes_size,
                 got.bytes);
}

/* Into a source of push, from any thread; the source's rate holds for them too. */
Test(conformance, B020_push)
{
    struct belt_error err = { 0 };
    struct belt_message two[] = { { "a", 1, 0, NULL, 0 }, { "b", 1, 0, NULL, 0 } };
    struct belt_pipeline *p = pushed_to();
    cr_assert_eq(belt_pipeline_push(p, NULL, two, 2, 0, &err), 2, "%s", err.text);
    turn_ms(p, 2, 10);
    expect_rows(p, "/a\n/b\n");
    expect_totals(p, 2, 0);
    belt_pipeline_free(p);
}

/* Metadata are fields, named and typed by the source. */
Test(conformance, B021_test_metadata)
{
    struct belt_error err = { 0 };
    struct belt_test *test;
    const struct belt_field user = { "user", BELT_TEXT, { .text = { "ann", 3 } } };
    const struct belt_message one = { "a", 1, 1, &user, 0 };
    struct belt_pipeline *p = pushed_to();
    cr_assert_eq(belt_test_batch(p, NULL, &one, 1, &test, &err), 0, "%s", err.text);
    turn_ms(p, 2, 10);
    expect_rows(p, "ann/a\n");
    belt_test_free(test);
    belt_pipeline_free(p);
}

/* A field that is not given is empty, or 0. */
Test(conformance, B022_test_metadata_default)
{
    struct belt_error err = { 0 };
    struct belt_test *test;
    struct belt_pipeline *p = pushed_to();
    cr_assert_eq(belt_test_message(p, NULL, "a", 1, &test, &err), 0, "%s", err.text);
    turn_ms(p, 2, 10);
    expect_rows(p, "/a\n");
    belt_test_free(test);
    belt_pipeline_free(p);
}

/* An acknowledger by the caller is a handle by which it asks for each outcome. */
Test(conformance, B023_test_acker)
{
    struct belt_error err = { 0 };
    struct belt_test *test;
    const struct belt_message two[] = { { "a", 1, 0, NULL, 0 }, { "bad", 3, 0, NULL, 0 } };
    struct belt_pipeline *p = pushed_to();
    cr_assert_eq(belt_test_batch(p, NULL, two, 2, &test, &err), 0, "%s", err.text);
    cr_assert_eq(belt_test_outcome(test, 0), BELT_WAITING);
    turn_ms(p, 2, 2000);
    cr_assert_eq(belt_test_outcome(test, 0), BELT_DONE);
    cr_assert_eq(belt_test_outcome(test, 1), BELT_FAILED);
    belt_test_free(test);
    belt_pipeline_free(p);
}

/* The caller waits by the same handle. */
Test(conformance, B024_test_acker_default, .timeout = 20)
{
    struct belt_error err = { 0 };
    struct belt_test *test;
    struct belt_pipeline *p = pipeline_of(PIPELINE);
    start(p);
    cr_assert_eq(belt_test_message(p, NULL, "a", 1, &test, &err), 0, "%s", err.text);
    cr_assert_eq(belt_test_wait(test, 10000 * MS), 0);
    cr_assert_eq(belt_test_count(test, BELT_DONE), 1);
    belt_test_free(test);
    belt_pipeline_free(p);
}

/* The source push gives only what was pushed. */
Test(conformance, B116_dummy_producer)
{
    struct belt_error err = { 0 };
    struct belt_test *test;
    struct belt_pipeline *p = pushed_to();
    turn_ms(p, 2, 10);
    cr_assert_eq(totals_of(p).received, 0);
    cr_assert_eq(belt_test_message(p, NULL, "a", 1, &test, &err), 0, "%s", err.text);
    turn_ms(p, 12, 10);
    cr_assert_eq(belt_test_outcome(test, 0), BELT_DONE);
    cr_assert_eq(totals_of(p).received, 1);
    belt_test_free(test);
    belt_pipeline_free(p);
}
