/* Lists of CPUs and hwloc's words, on a machine of two nodes; and made machines. */
#include "tests/fuzz/fuzz.h"

#include "numa/topology.h"

static struct belt_topology *machine(void)
{
    static struct belt_topology *topology;
    char why[256] = "";
    if (!topology)
        FUZZ_CHECK(belt_topology_synthetic(&topology, "package:2 numa:1 l3:2 core:2 pu:2", why,
                                           sizeof why) == 0,
                   "%s", why);
    return topology;
}

/* What was understood is written as a list that means the same. */
static void check_again(const struct belt_cpus *cpus, const struct belt_cpus *all)
{
    char list[8192], why[256] = "";
    struct belt_cpus again;
    FUZZ_CHECK(belt_cpus_count(cpus) > 0, "no CPU");
    FUZZ_CHECK(belt_cpus_print(cpus, list, sizeof list) < (int)sizeof list, "too long");
    FUZZ_CHECK(belt_cpus_parse(&again, list, all, why, sizeof why) == 0, "%s: %s", list, why);
    FUZZ_CHECK(memcmp(&again, cpus, sizeof again) == 0, "%s", list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = fuzz_text(data, size), why[64] = "";
    const struct belt_cpus *all = belt_topology_allowed(machine());
    struct belt_cpus cpus;
    if (belt_cpus_parse(&cpus, text, all, why, sizeof why) == 0)
        check_again(&cpus, all);
    else
        FUZZ_CHECK(why[0] && memchr(why, 0, sizeof why), "refused without words");
    if (belt_topology_parse(machine(), &cpus, text, all, why, sizeof why) == 0)
        check_again(&cpus, all);
    free(text);
    return 0;
}
