/* Telemetry of a whole pipeline: B037. */
#include "core/telemetry.h"
#include "tests/conformance/conformance.h"

/* "name value value; ..." of the events, in order. */
static char told[4000];

static void hear(const struct belt_event *event, void *arg)
{
    char *to = told + strlen(told);
    size_t room = sizeof told - (size_t)(to - told);
    (void)arg;
    to += snprintf(to, room, "%s %s %u", event->name, event->stage, event->index);
    snprintf(to, sizeof told - (size_t)(to - told), " m%llu f%llu k%s; ",
             (unsigned long long)belt_event_value(event, BELT_FIELD_MESSAGES),
             (unsigned long long)belt_event_value(event, BELT_FIELD_FAILED), event->text);
}

static void expect_told(const char *words)
{
    cr_assert_not_null(strstr(told, words), "%s in %s", words, told);
}

static struct belt_pipeline *listening(const char *prefix)
{
    struct belt_error err = { 0 };
    memset(told, 0, sizeof told);
    struct belt_pipeline *p = pipeline_of("source: { say: 'a,bad,b' }\n"
                                          "processor: { steps: [ mark: {}, letter: {} ] }\n"
                                          "batcher: { key: letter, sink: keep_all }\n");
    cr_assert_geq(belt_telemetry_attach(p, prefix, hear, NULL, &err), 0, "%s", err.text);
    return p;
}

/* A chunk is a frame; a list of messages is its number; a message that fails is an exception. */
Test(conformance, B037_telemetry)
{
    end_and_free(listening("beltway"));
    expect_told("beltway.processor.start processor 0 m3 f0 k; ");
    expect_told("beltway.processor.stop processor 0 m3 f1 k; ");
    expect_told("beltway.batcher.start batcher 0 m2 ");
    expect_told("beltway.batcher.stop batcher 0 m2 ");
    expect_told("beltway.batch_processor.start batcher 0 m1 f0 ka; ");
    expect_told("beltway.batch_processor.stop batcher 0 m0 f0 k; ");
    end_and_free(listening("beltway.processor.message"));
    expect_told("beltway.processor.message.start processor 0 m0 f0 kbad; ");
    expect_told("beltway.processor.message.exception processor 0 m0 f0 kit is bad; ");
    expect_told("beltway.processor.message.stop processor 0 m0 f0 k; ");
}
