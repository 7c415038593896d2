/* hold_messages and hold_memory of a pipeline. */
#include "core/hold_priv.h"
#include "core/settings_priv.h"
#include "core/spec_priv.h"

struct hold_conf {
    int64_t messages;
    uint64_t memory;
};

const struct belt_setting belt_hold_settings[] = {
    { "hold_messages", BELT_SET_INT, offsetof(struct hold_conf, messages), "0",
      "messages that steps may hold at a time (belt_hold)", NULL, 0, 1 << 20 },
    { "hold_memory", BELT_SET_SIZE, offsetof(struct hold_conf, memory), "4MiB",
      "for their payloads, each rounded up to a power of two, at least 256B", NULL, 1 << 12,
      INT64_C(1) << 40 },
    { 0 },
};

int belt_spec_add_hold_all(struct belt_builder *b, struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    struct hold_conf conf = { 0 };
    const struct belt_node *messages = belt_node_get(b->root, "hold_messages");
    const struct belt_node *memory = belt_node_get(b->root, "hold_memory");
    int rc = belt_spec_read_keys(b, b->root, belt_hold_settings, "pipeline", &conf, err);
    if (rc < 0)
        return rc;
    if (memory && !conf.messages)
        return belt_node_error(err, memory,
                               "hold_memory is for held messages: set hold_messages as well");
    if (conf.messages && spec->workers)
        return belt_node_error(err, messages,
                               "hold_messages: steps in workers (isolation: process) cannot hold "
                               "messages; use isolation: thread");
    spec->hold_messages = (uint64_t)conf.messages;
    spec->hold_memory = conf.messages ? conf.memory : 0;
    return 0;
}
