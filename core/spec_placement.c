/* The setting `placement`: what is asked of the planner, and of memory. */
#include "core/settings_priv.h"
#include "core/spec_priv.h"

#define PUT(member) offsetof(struct belt_placement_conf, member)

const struct belt_setting belt_placement_settings[] = {
    { "cpus", BELT_SET_TEXT, PUT(cpus), "",
      "CPUs to use: 0-3,8-11:2, core:2-3, numa:0.core:1, not:3; default: all that the process may",
      NULL, 0, 0 },
    { "pin", BELT_SET_TREE, PUT(pin), "", "CPUs of single stages: { processor.0: 3 }", NULL, 0, 0 },
    { "memory_node", BELT_SET_INT, PUT(memory_node), "-1",
      "the node that all memory comes from; -1: each lane's own", NULL, -1, 4095 },
    { "smt", BELT_SET_CHOICE, PUT(smt), "auto",
      "second threads of cores: auto, when there are too few cores; on; off: never", "auto|on|off",
      0, 0 },
    { "fuse", BELT_SET_TREE, PUT(fuse), "",
      "auto: a chain shares a lane; none: every stage has its own; or source+parse, lists of such",
      NULL, 0, 0 },
    { "lanes", BELT_SET_INT, PUT(lanes), "0", "most lanes; 0: as many as needed", NULL, 0, 1024 },
    { "wait", BELT_SET_TREE, PUT(wait), "",
      "how an idle lane waits: backoff, spin, yield, block; or { all: backoff, parse.0: spin }",
      NULL, 0, 0 },
    { "huge_pages", BELT_SET_CHOICE, PUT(huge_pages), "auto",
      "auto: where the kernel has some; reserved: only of vm.nr_hugepages; off",
      "auto|reserved|off", 0, 0 },
    { "topology", BELT_SET_TEXT, PUT(topology), "",
      "plan for another machine: FILE.xml of lstopo, or synthetic:node:2 core:4 pu:2", NULL, 0, 0 },
    { "measured", BELT_SET_TEXT, PUT(measured), "",
      "latencies between CPUs, a file of 'beltway bench cores --json FILE'", NULL, 0, 0 },
    { "backend", BELT_SET_CHOICE, PUT(backend), "auto", "how files are read and written",
      "auto|io_uring|posix", 0, 0 },
    { "touch", BELT_SET_BOOL, PUT(touch), "false",
      "get all memory before the start, not as it is needed: holds and windows whole", NULL, 0, 0 },
    { 0 },
};

int belt_spec_add_placement(struct belt_builder *b, struct belt_error *err)
{
    static const char *const backends[] = { "auto", "io_uring", "posix" };
    struct belt_placement_conf *conf = &b->spec->placement;
    struct belt_settings_in in = { .table = belt_placement_settings,
                                   .node = belt_node_get(b->root, "placement"),
                                   .at = b->root,
                                   .what = "placement" };
    int rc = belt_settings_read(&in, conf, b->tree, err);
    b->spec->backend = backends[conf->backend];
    return rc;
}
