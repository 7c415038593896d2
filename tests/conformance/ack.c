/* Manual ack: B055 to B058. */
#include "core/control.h"
#include "tests/conformance/conformance.h"

/* Acknowledges what begins with an 'A'. */
static int ack_capitals(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    (void)state;
    if (*belt_text(view, 0, i, &size) == 'A')
        belt_ack(view, i);
    return 0;
}

static const struct belt_step ack_step = STEP("ack", ack_capitals);

/* It is told when the frame's steps are through, before the batch is, and not again. */
Test(conformance, B055_ack_now_single)
{
    struct belt_pipeline *p =
        acked_pipeline(&ack_step.part, "source: { acked: 'A,b' }\n"
                                       "processor: { steps: [ ack: {} ] }\n"
                                       "batcher: { size: 1, sink: keep_all }\n");
    kept.hold = true;
    turn_ms(p, 1, 20);
    expect_acks(2, "d.");
    kept.hold = false;
    end_and_free(p);
    expect_acks(2, "dd");
    cr_assert_eq(kept.rows, 2);
}

static int ack_or_fail(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    (void)state;
    if (*belt_text(view, 0, i, &size) == 'F')
        belt_fail_message(view, i, "failed");
    else
        belt_ack(view, i);
    return 0;
}

static const struct belt_step ack_or_fail_step = STEP("ack_or_fail", ack_or_fail);

/* A list is the messages of a frame: those acknowledged and those failed in one call. */
Test(conformance, B056_ack_now_list)
{
    struct belt_pipeline *p =
        acked_pipeline(&ack_or_fail_step.part, "source: { acked: 'a,F,b,F' }\n"
                                               "processor: { steps: [ ack_or_fail: {} ] }\n"
                                               "batcher: { sink: keep_all }\n");
    end_and_free(p);
    expect_acks(4, "dfdf");
    cr_assert_eq(kept.rows, 2);
    cr_assert_leq(acks.calls, 2);
}

/* ---- configure_ack ---------------------------------------------------------------- */

static int option_of_f; /* as its step has it */

static int prepare_asking(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    (void)conf;
    option_of_f = belt_setup_ack(setup, NULL, "reject", err);
    return option_of_f < 0 ? option_of_f : 0;
}

/* About what begins with an 'F'. */
static int ask_about_f(void *state, struct belt_view *view, uint32_t i)
{
    uint32_t size;
    (void)state;
    if (*belt_text(view, 0, i, &size) == 'F')
        belt_configure_ack(view, i, option_of_f);
    return 0;
}

static const struct belt_step asking_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "asking",
              .help = "for a test",
              .prepare = prepare_asking },
    .message = ask_about_f,
};

/* Known before the start, where no source can be asked; else the message fails alone. */
Test(conformance, B057_configure_unsupported)
{
    expect_refused(&asking_step.part,
                   "source: { say: F }\nprocessor: { steps: [ asking: {} ] }\n"
                   "batcher: { sink: keep_all }\n",
                   "no source can be told 'reject': source (say): nothing can be asked of it");
    struct belt_error err = { 0 };
    struct belt_pipeline *p = acked_pipeline(
        &asking_step.part, "sources: { mute: { acked: 'a,F,b' }, own: { push: {} } }\n"
                           "processor: { steps: [ asking: {} ] }\n"
                           "batcher: { sink: keep_all }\n");
    turn_ms(p, 1, 5);
    cr_assert_eq(belt_pipeline_push_end(p, "own", &err), 0, "%s", err.text);
    expect_end(p);
    expect_acks(3, "dfd");
    belt_pipeline_free(p);
}

/* ---- source `asked`: `acked`, that can be told to reject ------------------------------ */

static struct {
    char options[64]; /* by ticket: of those told, their option's number or '.' */
    char text[32];
} asked;

static int configure_asked(void *conf, const char *option, struct belt_error *err)
{
    (void)conf, (void)err;
    snprintf(asked.text, sizeof asked.text, "%s", option);
    return 7;
}

static void hear_options(void *state, const struct belt_acked *acked)
{
    hear_acks(state, acked);
    for (uint64_t rest = acked->done | acked->failed; rest; rest &= rest - 1) {
        int i = __builtin_ctzll(rest);
        asked.options[acked->ticket + (uint64_t)i] =
            (char)(acked->options[i] + (acked->options[i] ? '0' : '.'));
    }
}

static const struct belt_source asked_source = {
    .part = { BELT_ABI, BELT_SOURCE, "asked", "words", say_settings, sizeof(struct say_conf),
              sizeof(struct say_state), say_prepare, NULL, say_init, NULL, NULL, "words" },
    .fill = say_fill,
    .recycle = say_recycle,
    .stop = say_stop,
    .ack = hear_options,
    .ack_any = true,
    .configure = configure_asked,
};

/* A text, known to the source before the start; its number comes with the outcome. */
Test(conformance, B058_configure)
{
    struct belt_error err = { 0 };
    memset(&asked, 0, sizeof asked);
    struct belt_pipeline *p =
        acked_pipeline(&asking_step.part, "source: { asked: 'a,F,b,F' }\n"
                                          "processor: { steps: [ asking: {} ] }\n"
                                          "batcher: { sink: keep_all }\n");
    cr_assert_eq(belt_pipeline_add(p, &asked_source.part, &err), 0, "%s", err.text);
    end_and_free(p);
    cr_assert_str_eq(asked.text, "reject");
    expect_acks(4, "dddd");
    cr_assert_eq(memcmp(asked.options, ".7.7", 4), 0, "%.4s", asked.options);
}
