/* Workers that end: fini() of their steps, as part.h promises it. */
#include <sys/mman.h>

#include "tests/unit/worker_fixture.h"

/* Shared with the workers. */
struct notes {
    uint32_t inits, finis, messages;
};

static struct notes *notes;

static int note_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    (void)conf, (void)in, (void)err;
    *(uint32_t *)state = 0;
    belt_fetch_add32(&notes->inits, 1);
    return 0;
}

static int note_message(void *state, struct belt_view *view, uint32_t i)
{
    ++*(uint32_t *)state;
    obey(view, i);
    return 0;
}

static void note_fini(void *state, void *conf)
{
    (void)conf;
    belt_fetch_add32(&notes->messages, *(uint32_t *)state);
    belt_fetch_add32(&notes->finis, 1);
}

static void hang_fini(void *state, void *conf)
{
    note_fini(state, conf);
    hang_asleep();
}

static void crash_fini(void *state, void *conf)
{
    note_fini(state, conf);
    die_segv();
}

static int refuse_init(void *state, void *conf, const struct belt_instance *in,
                       struct belt_error *err)
{
    (void)state, (void)conf, (void)in;
    return belt_error_set(err, -EINVAL, "no such model");
}

#define NOTING(called, with)                                                                       \
    {                                                                                              \
        .part = { .abi = BELT_ABI,                                                                 \
                  .kind = BELT_STEP,                                                               \
                  .name = called,                                                                  \
                  .help = "notes that it ended",                                                   \
                  .state_size = sizeof(uint32_t),                                                  \
                  .init = note_init,                                                               \
                  .fini = with },                                                                  \
        .message = note_message                                                                    \
    }

static const struct belt_step noting = NOTING("noting", note_fini);
static const struct belt_step clinging = NOTING("clinging", hang_fini);
static const struct belt_step falling = NOTING("falling", crash_fini);

static const struct belt_step refusing = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "refusing",
              .help = "refuses in init",
              .init = refuse_init },
    .message = note_message,
};

static void share_notes(void)
{
    notes = mmap(NULL, sizeof *notes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
}

TestSuite(worker_end, .init = share_notes, .timeout = 20);

Test(worker_end, calls_fini_when_all_input_is_handled)
{
    struct belt_pipeline *p =
        workers_with(&noting, "words: 'a,b,c', repeat: 1000", "steps: [ noting: {} ]");
    expect_run(p);
    cr_assert_eq(notes->finis, 1);
    cr_assert_eq(notes->messages, 3000, "fini() came before the last message");
    belt_pipeline_free(p);
}

Test(worker_end, calls_fini_behind_the_counter_of_a_timeout)
{
    struct belt_pipeline *p =
        workers_with(&noting, "words: 'a,b,c'", "timeout: 10s, steps: [ noting: {} ]");
    expect_run(p);
    cr_assert_eq(notes->finis, 1);
    cr_assert_eq(notes->messages, 3);
    belt_pipeline_free(p);
}

Test(worker_end, calls_fini_of_a_successor_only)
{
    struct belt_pipeline *p =
        workers_with(&noting, "words: 'a,abort,b'", "max_attempts: 1, steps: [ noting: {} ]");
    expect_run(p);
    cr_assert_gt(notes->inits, 1);
    cr_assert_eq(notes->finis, 1);
    belt_pipeline_free(p);
}

Test(worker_end, calls_fini_of_what_had_begun_when_a_later_step_refuses)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p;
    cr_assert_eq(belt_pipeline_new(&p, &err), 0);
    cr_assert_eq(belt_pipeline_add(p, &noting.part, &err), 0);
    cr_assert_eq(belt_pipeline_add(p, &refusing.part, &err), 0);
    const char *yaml = "source: { counter: { count: 10 } }\n"
                       "processor: { isolation: process, concurrency: 1,\n"
                       "             steps: [ noting: {}, refusing: {} ] }\n"
                       "batcher: { sink: null }\n";
    cr_assert_eq(belt_pipeline_load_text(p, yaml, "test", &err), 0, "%s", err.text);
    cr_assert_lt(run_to_end(p, &err), 0);
    cr_assert_eq(notes->inits, 1);
    cr_assert_eq(notes->finis, 1);
    belt_pipeline_free(p);
}

Test(worker_end, may_crash_in_fini_when_all_is_settled)
{
    struct belt_pipeline *p = workers_with(&falling, "words: 'a,b,c'", "steps: [ falling: {} ]");
    expect_run(p);
    cr_assert_eq(totals_of(p).done, 3);
    cr_assert_eq(restarts(p), 0);
    belt_pipeline_free(p);
}

Test(worker_end, kills_a_fini_that_lasts_longer_than_the_timeout)
{
    struct belt_pipeline *p =
        workers_with(&clinging, "words: 'a,b,c'", "timeout: 100ms, steps: [ clinging: {} ]");
    expect_run(p);
    cr_assert_eq(notes->finis, 1);
    belt_pipeline_free(p);
}

Test(worker_end, kills_a_fini_at_the_deadline_of_a_stop)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = workers_with(&clinging, "words: 'a,b,c'", "steps: [ clinging: {} ]");
    cr_assert_eq(belt_pipeline_start(p, &err), 0, "%s", err.text);
    while (!belt_load_acquire32(&notes->finis))
        cr_assert_eq(belt_pipeline_wait(p, 1000000, &err), -ETIMEDOUT);
    belt_pipeline_stop(p, UINT64_C(100000000));
    belt_pipeline_wait(p, BELT_FOREVER, &err);
    cr_assert_eq(totals_of(p).done, 3);
    belt_pipeline_free(p);
}
