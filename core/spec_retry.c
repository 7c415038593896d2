/* What of `failed` is about trying again in the processors. */
#include "core/settings_priv.h"
#include "core/spec_priv.h"

#define MEMORY "4MiB"

struct retry_conf {
    uint64_t memory;
    const char *ordered;
};

const struct belt_setting belt_retry_settings[] = {
    { "retry_memory", BELT_SET_SIZE, offsetof(struct retry_conf, memory), MEMORY,
      "for messages that wait for their next attempt, in each processor instance", NULL, 1 << 16,
      1u << 31 },
    { "ordered", BELT_SET_TEXT, offsetof(struct retry_conf, ordered), "",
      "a field: messages with the value of one that is tried again wait behind it, within an "
      "instance of the source",
      NULL, 0, 0 },
    { 0 },
};

const char *const belt_retry_keys[] = { "retry_memory", "ordered", NULL };

int belt_spec_add_retry(struct belt_builder *b, struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    const struct belt_node *failed = belt_node_get(b->root, "failed");
    struct retry_conf conf = { 0 };
    int rc = belt_spec_read_keys(b, failed, belt_retry_settings, "failed", &conf, err);
    spec->retry_ordered = -1;
    spec->retry_memory = conf.memory > spec->slab ? conf.memory : spec->slab;
    if (rc < 0)
        return rc;
    for (const char *const *key = belt_retry_keys; *key && spec->retry.attempts == 1; key++)
        if (belt_node_get(failed, *key))
            return belt_node_error(err, belt_node_get(failed, *key),
                                   "failed: '%s' is for messages that are tried again: attempts: 3",
                                   *key);
    if (spec->retry.attempts > 1 && spec->processors_used > 1)
        return belt_node_error(err, belt_node_get(failed, "attempts"),
                               "failed: attempts: messages that processors send to each other "
                               "are not tried again; set attempts of batchers, or make one chain "
                               "of the processors (the same concurrency, no dispatch, and no "
                               "partition_by where there are several instances)");
    if (!conf.ordered)
        return 0;
    struct belt_setup setup = {
        .spec = spec, .node = failed, .columns = spec->columns, .columns_used = &spec->columns_used
    };
    spec->retry_ordered =
        belt_setup_field(&setup, belt_node_get(failed, "ordered"), conf.ordered, err);
    return spec->retry_ordered < 0 ? spec->retry_ordered : 0;
}
