/* The processor of a spec: its settings, and the chain of steps. */
#include <stdio.h>
#include <string.h>

#include "core/settings_priv.h"
#include "core/spec_priv.h"

struct processor_conf {
    int64_t concurrency;
    int isolation;
    bool blocking;
    struct belt_worker_conf workers;
    const struct belt_node *steps;
};

#define WORKERS(field) offsetof(struct processor_conf, workers.field)

static const struct belt_setting processor_settings[] = {
    { "concurrency", BELT_SET_INT, offsetof(struct processor_conf, concurrency), "0",
      "instances; 0: as many as there are cores", NULL, 0, 256 },
    { "isolation", BELT_SET_CHOICE, offsetof(struct processor_conf, isolation), "thread",
      "process: the steps run in workers whose death costs no message", "thread|process", 0, 0 },
    { "max_attempts", BELT_SET_INT, WORKERS(max_attempts), "2",
      "how often a message may be tried when workers die under it", NULL, 1, 100 },
    { "timeout", BELT_SET_TIME, WORKERS(timeout), "0s",
      "a worker that is in one callback for longer is killed; 0s: never", NULL, 0, 0 },
    { "start_timeout", BELT_SET_TIME, WORKERS(start_timeout), "0s",
      "the same while steps open and init; 0s: never", NULL, 0, 0 },
    { "max_restarts", BELT_SET_INT, WORKERS(max_restarts), "1000",
      "the run fails when one worker dies more often than this within max_seconds", NULL, 0,
      100000 },
    { "max_seconds", BELT_SET_INT, WORKERS(max_seconds), "60", "the window of max_restarts", NULL,
      1, 86400 },
    { "restart_backoff", BELT_SET_TIME, WORKERS(restart_backoff), "1ms",
      "wait before a restart when the last worker got nowhere; doubled each time", NULL, 0, 0 },
    { "restart_backoff_max", BELT_SET_TIME, WORKERS(restart_backoff_max), "1s",
      "the longest such wait; a worker that lived longer begins anew", NULL, 0, 0 },
    { "sandbox", BELT_SET_CHOICE, WORKERS(sandbox), "none",
      "strict: callbacks reach no file, socket or process that init did not open", "none|strict", 0,
      0 },
    { "memory", BELT_SET_SIZE, WORKERS(memory), "0B",
      "bytes that a worker's steps may allocate; 0B: any", NULL, 0, 0 },
    { "blocking", BELT_SET_BOOL, offsetof(struct processor_conf, blocking), "false",
      "the steps may wait: they get lanes of their own", NULL, 0, 0 },
    { "steps", BELT_SET_TREE, offsetof(struct processor_conf, steps), "",
      "the chain: a list of steps", NULL, 0, 0 },
    { 0 },
};

/* What only a process can keep must not be promised of a thread. */
static int check_isolation(const struct processor_conf *conf, const struct belt_node *node,
                           struct belt_error *err)
{
    const struct belt_worker_conf *w = &conf->workers;
    const struct {
        const char *name;
        bool given;
    } needs[] = { { "timeout", w->timeout },
                  { "start_timeout", w->start_timeout },
                  { "memory", w->memory },
                  { "sandbox", w->sandbox } };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (needs[i].given && conf->isolation != BELT_ISOLATION_PROCESS)
            return belt_node_error(err, belt_node_get(node, needs[i].name),
                                   "'%s' of processor holds for workers only: add isolation: "
                                   "process",
                                   needs[i].name);
    if (w->restart_backoff <= w->restart_backoff_max)
        return 0;
    const struct belt_node *at = belt_node_get(node, "restart_backoff");
    return belt_node_error(err, at ? at : belt_node_get(node, "restart_backoff_max"),
                           "'restart_backoff' of processor is longer than restart_backoff_max");
}

int belt_spec_add_processor(struct belt_builder *b, const struct belt_node **steps,
                            struct belt_error *err)
{
    const struct belt_node *node;
    struct processor_conf conf = { 0 };
    int rc = belt_spec_take_one(b, "processor", "processors", false, &node, err);
    if (rc < 0)
        return rc;
    struct belt_settings_in in = {
        .table = processor_settings, .node = node, .at = b->root, .what = "processor"
    };
    rc = belt_settings_read(&in, &conf, b->tree, err);
    if (rc == 0)
        rc = check_isolation(&conf, node, err);
    b->spec->processor_instances = (uint32_t)conf.concurrency;
    b->spec->isolation = conf.isolation;
    b->spec->workers = conf.workers;
    b->spec->blocking = conf.blocking;
    *steps = conf.steps;
    return rc;
}

/* After the batchers, whose names a step may use. */
int belt_spec_add_steps(struct belt_builder *b, const struct belt_node *list,
                        struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    if (list && belt_node_kind(list) != BELT_NODE_LIST)
        return belt_node_error(err, list, "steps is a list: - split: { ... }");
    size_t count = list ? belt_node_count(list) : 0;
    if (count > BELT_STEPS)
        return belt_node_error(err, list, "more than %d steps", BELT_STEPS);
    for (size_t i = 0; i < count; i++) {
        char path[64];
        snprintf(path, sizeof path, "processor.steps.%zu", i);
        struct belt_use *use = &spec->steps[spec->steps_used++];
        int rc = belt_use_part(b, use, BELT_STEP, belt_node_at(list, i), path, belt_no_keys, err);
        if (rc == 0)
            rc = belt_use_prepare(b, use, spec->columns, &spec->columns_used, true, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}
