#include <criterion/criterion.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "numa/pin.h"
#include "numa/topology_priv.h"

static struct belt_cpus cpus_of(const char *list)
{
    struct belt_cpus cpus, none = { { 0 } };
    char why[200] = "";
    cr_assert_eq(belt_cpus_parse(&cpus, list, &none, why, sizeof why), 0, "%s", why);
    return cpus;
}

static struct belt_topology *machine_of(const char *spec)
{
    struct belt_topology *topology = NULL;
    char why[200] = "";
    cr_assert_eq(belt_topology_synthetic(&topology, spec, why, sizeof why), 0, "%s", why);
    return topology;
}

static struct belt_topology *this_machine(void)
{
    struct belt_topology *topology = NULL;
    char why[200] = "";
    cr_assert_eq(belt_topology_load(&topology, why, sizeof why), 0, "%s", why);
    return topology;
}

/* ---- sets ---------------------------------------------------------------------- */

Test(cpus, reads_and_prints_lists)
{
    static const char *const pairs[][2] = {
        { "0", "0" },
        { "0-3", "0-3" },
        { "3,1,0", "0,1,3" },
        { "0-6:2", "0,2,4,6" },
        { "0-3,8-11:2", "0-3,8,10" },
        { " 5 , 7 ", "5,7" },
        { "63-65", "63-65" },
        { "1023", "1023" },
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct belt_cpus cpus = cpus_of(pairs[i][0]);
        char text[64];
        belt_cpus_print(&cpus, text, sizeof text);
        cr_assert_str_eq(text, pairs[i][1]);
    }
}

Test(cpus, reads_words_about_what_is_allowed)
{
    struct belt_cpus allowed = cpus_of("0-3"), cpus;
    char text[64], why[200];
    cr_assert_eq(belt_cpus_parse(&cpus, "all", &allowed, why, sizeof why), 0);
    cr_assert_eq(belt_cpus_count(&cpus), 4);
    cr_assert_eq(belt_cpus_parse(&cpus, "not:1,2", &allowed, why, sizeof why), 0);
    belt_cpus_print(&cpus, text, sizeof text);
    cr_assert_str_eq(text, "0,3");
}

Test(cpus, refuses_what_is_no_list)
{
    static const char *const bad[] = { "",      "x",    "1-",    "-1",    "3-1",
                                       "0-3:0", "1,,2", "1,",    "1024",  "0-9999",
                                       "1 2",   "not:", "all,1", "0-3:x", "99999999999999999999" };
    struct belt_cpus all = cpus_of("0-3");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct belt_cpus cpus;
        char why[200] = "";
        cr_assert_eq(belt_cpus_parse(&cpus, bad[i], &all, why, sizeof why), -EINVAL, "%s", bad[i]);
        cr_assert_neq(why[0], 0);
    }
}

Test(cpus, refuses_to_leave_none)
{
    struct belt_cpus all = cpus_of("0-1"), cpus;
    char why[200];
    cr_assert_eq(belt_cpus_parse(&cpus, "not:0-3", &all, why, sizeof why), -EINVAL);
    cr_assert_str_eq(why, "'not:0-3' leaves no CPU of 0,1");
}

Test(cpus, cuts_text_that_has_no_room)
{
    struct belt_cpus cpus = cpus_of("0,2,4,6,8");
    char text[4];
    cr_assert_eq(belt_cpus_print(&cpus, text, sizeof text), 9);
    cr_assert_str_eq(text, "0,2");
    cr_assert_eq(belt_cpus_print(&cpus, NULL, 0), 9);
}

/* ---- topologies ---------------------------------------------------------------- */

Test(topology, knows_cores_siblings_and_nodes)
{
    struct belt_topology *topology = machine_of("node:2 core:4 pu:2");
    cr_assert_eq(belt_topology_nodes(topology), 2);
    cr_assert_eq(belt_cpus_count(belt_topology_allowed(topology)), 16);
    const struct belt_cpu *first = belt_topology_cpu(topology, 0);
    const struct belt_cpu *sibling = belt_topology_cpu(topology, 1);
    const struct belt_cpu *far = belt_topology_cpu(topology, 15);
    cr_assert_eq(first->core, sibling->core);
    cr_assert_eq(first->smt, 0);
    cr_assert_eq(sibling->smt, 1);
    cr_assert_eq(first->node, 0);
    cr_assert_eq(far->node, 1);
    cr_assert_eq(first->l3, -1);
    cr_assert_null(belt_topology_cpu(topology, 16));
    belt_topology_free(topology);
}

Test(topology, knows_shared_caches)
{
    struct belt_topology *topology = machine_of("node:1 l3:2 core:2 pu:1");
    cr_assert_eq(belt_topology_cpu(topology, 0)->l3, belt_topology_cpu(topology, 1)->l3);
    cr_assert_neq(belt_topology_cpu(topology, 1)->l3, belt_topology_cpu(topology, 2)->l3);
    belt_topology_free(topology);
}

Test(topology, refuses_words_that_describe_no_machine)
{
    struct belt_topology *topology = NULL;
    char why[200] = "";
    cr_assert_lt(belt_topology_synthetic(&topology, "potato:3", why, sizeof why), 0);
    cr_assert_neq(why[0], 0);
    cr_assert_null(topology);
}

Test(topology, is_restricted_like_a_mask_does)
{
    struct belt_topology *topology = machine_of("core:4 pu:1");
    struct belt_cpus some = cpus_of("2-9"), none = cpus_of("7");
    cr_assert_eq(belt_topology_restrict(topology, &some), 0);
    cr_assert_eq(belt_cpus_count(belt_topology_allowed(topology)), 2);
    cr_assert_eq(belt_topology_restrict(topology, &none), -EINVAL);
    belt_topology_free(topology);
}

Test(topology, knows_each_cpu_of_a_bare_mask_as_a_core)
{
    struct belt_topology *topology = NULL;
    struct belt_cpus cpus = cpus_of("3,5");
    char why[200];
    cr_assert_eq(belt_topology_plain(&topology, &cpus, why, sizeof why), 0);
    cr_assert_neq(belt_topology_cpu(topology, 3)->core, belt_topology_cpu(topology, 5)->core);
    cr_assert_eq(belt_topology_nodes(topology), 1);
    cr_assert_null(belt_topology_cpu(topology, 4));
    belt_topology_free(topology);
}

Test(topology, allows_what_the_affinity_mask_allows)
{
    cpu_set_t mask;
    cr_assert_eq(sched_getaffinity(0, sizeof mask, &mask), 0);
    struct belt_topology *topology = this_machine();
    cr_assert_eq(belt_cpus_count(belt_topology_allowed(topology)), (uint32_t)CPU_COUNT(&mask));
    BELT_CPUS_EACH(belt_topology_allowed(topology), cpu)
    cr_assert_not_null(belt_topology_cpu(topology, cpu));
    belt_topology_free(topology);
}

Test(topology, works_where_hwloc_cannot)
{
    setenv("HWLOC_XMLFILE", "/nonexistent.xml", 1);
    setenv("HWLOC_COMPONENTS", "xml,stop", 1);
    struct belt_topology *topology = this_machine();
    BELT_CPUS_EACH(belt_topology_allowed(topology), cpu)
    cr_assert_not_null(belt_topology_cpu(topology, cpu));
    cr_assert_geq(belt_topology_nodes(topology), 1);
    belt_topology_free(topology);
}

/* ---- threads and memory -------------------------------------------------------- */

Test(pin, keeps_the_thread_on_one_cpu_until_unpinned)
{
    struct belt_topology *topology = this_machine();
    int cpu = belt_cpus_next(belt_topology_allowed(topology), 0);
    cr_assert_eq(belt_pin_thread(cpu), 0);
    struct belt_topology *narrow = this_machine();
    cr_assert_eq(belt_cpus_count(belt_topology_allowed(narrow)), 1);
    cr_assert(belt_cpus_has(belt_topology_allowed(narrow), cpu));
    cr_assert_eq(belt_unpin_thread(topology), 0);
    struct belt_topology *again = this_machine();
    cr_assert_eq(memcmp(belt_topology_allowed(again), belt_topology_allowed(topology),
                        sizeof(struct belt_cpus)),
                 0);
    belt_topology_free(again);
    belt_topology_free(narrow);
    belt_topology_free(topology);
}

Test(pin, refuses_a_cpu_that_is_not_there)
{
    cr_assert_eq(belt_pin_thread(-1), -EINVAL);
    cr_assert_eq(belt_pin_thread(BELT_CPUS), -EINVAL);
    cr_assert_eq(belt_pin_thread(BELT_CPUS - 1), -EINVAL);
}

/* Where the kernel has slices, the value is read back; where not, nothing is refused. */
Test(pin, shortens_slices_and_leaves_other_policies_alone)
{
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t slice, deadline, period;
    } now;
    cr_assert_eq(belt_short_slices(), 0);
    cr_assert_eq(syscall(SYS_sched_getattr, 0, &now, sizeof now, 0), 0);
    cr_assert_eq(now.policy, SCHED_OTHER);
    cr_assert(now.slice == 0 || now.slice == 100000, "%" PRIu64, now.slice);
    const struct sched_param none = { 0 };
    cr_assert_eq(sched_setscheduler(0, SCHED_BATCH, &none), 0);
    cr_assert_eq(belt_short_slices(), 0);
    cr_assert_eq(sched_getscheduler(0), SCHED_BATCH);
}

Test(pin, names_threads_and_keeps_the_number_of_long_names)
{
    static const char *const names[][2] = {
        { "belt/parse.1", "belt/parse.1" },
        { "belt/fifteen.15", "belt/fifteen.15" },
        { "belt/a_long_name.12", "belt/a_long_.12" },
        { "belt/no_number_at_all", "belt/no_number_" },
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char kept[16];
        belt_name_thread(names[i][0]);
        prctl(PR_GET_NAME, kept, 0, 0, 0);
        cr_assert_str_eq(kept, names[i][1]);
    }
}

Test(pin, binds_memory_to_a_node)
{
    /* Node 0 is there on every machine; two are needed for the call to be made. */
    struct belt_topology *topology = machine_of("node:2 core:1 pu:1");
    size_t size = 1 << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    int rc = belt_bind_memory(topology, memory + 100, size - 100, 0);
    cr_assert(rc == 0 || rc == -EPERM || rc == -ENOSYS, "%s", strerror(-rc));
    memset(memory, 1, size);
    cr_assert_eq(belt_bind_memory(topology, memory + 1, 10, 0), 0, "no whole page, nothing to do");
    cr_assert_eq(belt_bind_memory(topology, memory, size, -1), 0);
    munmap(memory, size);
    belt_topology_free(topology);
}

Test(pin, leaves_memory_alone_on_one_node)
{
    struct belt_topology *topology = machine_of("core:2 pu:1");
    cr_assert_eq(belt_bind_memory(topology, NULL, 1 << 20, 0), 0);
    belt_topology_free(topology);
}

/* ---- other machines -------------------------------------------------------------- */

static struct belt_topology *file_of(const char *name)
{
    struct belt_topology *topology = NULL;
    char path[512], why[300] = "";
    snprintf(path, sizeof path, "%s/tests/topologies/%s", getenv("SOURCE_DIR"), name);
    cr_assert_eq(belt_topology_of(&topology, path, why, sizeof why), 0, "%s", why);
    return topology;
}

Test(machines, tell_fast_cores_from_slow_ones)
{
    struct belt_topology *topology = file_of("hybrid.xml");
    cr_assert_eq(belt_topology_speeds(topology), 2);
    cr_assert_eq(belt_topology_cpu(topology, 0)->speed, 1);
    cr_assert_eq(belt_topology_cpu(topology, 8)->speed, 0);
    cr_assert_eq(belt_topology_cpu(topology, 8)->l2, belt_topology_cpu(topology, 11)->l2);
    cr_assert_neq(belt_topology_cpu(topology, 8)->core, belt_topology_cpu(topology, 11)->core);
    cr_assert_not(belt_topology_here(topology));
    belt_topology_free(topology);
}

Test(machines, tell_memory_without_cpus)
{
    struct belt_topology *topology = file_of("memory_only.xml");
    cr_assert_eq(belt_topology_nodes(topology), 3);
    uint32_t without = 0;
    const struct belt_memory_node *node;
    for (uint32_t i = 0; (node = belt_topology_node(topology, i)); i++)
        without += !node->cpus;
    cr_assert_eq(without, 1);
    cr_assert_eq(belt_topology_cpu(topology, 0)->node, 0);
    cr_assert_eq(belt_topology_cpu(topology, 8)->node, 0);
    cr_assert_eq(belt_topology_cpu(topology, 4)->node, 1);
    belt_topology_free(topology);
}

Test(machines, tell_how_far_nodes_are)
{
    struct belt_topology *topology = file_of("ring.xml");
    cr_assert_eq(belt_topology_distance(topology, 0, 0), 10);
    cr_assert_eq(belt_topology_distance(topology, 0, 1), 12);
    cr_assert_eq(belt_topology_distance(topology, 0, 2), 22);
    cr_assert_eq(belt_topology_distance(topology, 0, 4), 32);
    cr_assert_eq(belt_topology_memory(topology, 3), 3);
    belt_topology_free(topology);
}

Test(machines, tell_which_cpus_are_off)
{
    struct belt_topology *topology = file_of("holes.xml");
    char text[64];
    belt_cpus_print(belt_topology_allowed(topology), text, sizeof text);
    cr_assert_str_eq(text, "1,5,8-13");
    belt_cpus_print(belt_topology_offline(topology), text, sizeof text);
    cr_assert_str_eq(text, "0,2-4,6,7,14,15");
    belt_topology_free(topology);
}

Test(machines, that_are_no_file_are_refused)
{
    struct belt_topology *topology = NULL;
    char why[300] = "";
    cr_assert_lt(belt_topology_of(&topology, "/nonexistent.xml", why, sizeof why), 0);
    cr_assert_not_null(strstr(why, "/nonexistent.xml"));
    cr_assert_lt(belt_topology_of(&topology, "synthetic:potato", why, sizeof why), 0);
    cr_assert_not_null(strstr(why, "node:2 core:4 pu:2"));
}

/* ---- words -------------------------------------------------------------------------- */

static void means(const struct belt_topology *topology, const char *words, const char *expected)
{
    struct belt_cpus cpus;
    char why[400] = "", text[128];
    int rc = belt_topology_parse(topology, &cpus, words, belt_topology_allowed(topology), why,
                                 sizeof why);
    cr_assert_eq(rc, 0, "%s: %s", words, why);
    belt_cpus_print(&cpus, text, sizeof text);
    cr_assert_str_eq(text, expected, "%s is %s, not %s", words, text, expected);
}

Test(words, name_objects_in_their_order)
{
    static const char *const pairs[][2] = {
        { "core:2-3", "4-7" },
        { "numa:1", "8-15" },
        { "numa:1.core:0", "8,9" },
        { "numa:0-1.core:1.pu:0", "2,10" },
        { "numa:1.core:all.pu:1", "9,11,13,15" },
        { "core:0-6:2.pu:0", "0,4,8,12" },
        { "pu:4", "4" },
        { "node:0.core:3", "6,7" },
        { "core:0,15", "0,1,15" },
        { "0-3,8-11:2", "0-3,8,10" },
        { "not:core:0", "2-15" },
        { "not:numa:0,8", "9-15" },
        { "all", "0-15" },
        { " core:0 , 4 ", "0,1,4" },
        { "package:0", "0-15" },
    };
    struct belt_topology *topology = machine_of("node:2 core:4 pu:2");
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        means(topology, pairs[i][0], pairs[i][1]);
    belt_topology_free(topology);
}

Test(words, count_caches_and_packages)
{
    struct belt_topology *topology = file_of("ring.xml");
    means(topology, "l3:1.core:0", "4,68");
    means(topology, "package:3.core:15", "63,127");
    means(topology, "numa:7.l3:1.core:3.pu:1", "127");
    belt_topology_free(topology);
}

Test(words, are_given_back_for_each_cpu)
{
    static const char *const files[] = { "ring.xml", "hybrid.xml", "holes.xml", "memory_only.xml" };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct belt_topology *topology = file_of(files[i]);
        BELT_CPUS_EACH(belt_topology_known(topology), cpu)
        {
            char word[64], number[16];
            belt_topology_word(topology, cpu, word, sizeof word);
            snprintf(number, sizeof number, "%d", cpu);
            means(topology, word, number);
        }
        belt_topology_free(topology);
    }
}

Test(words, that_mean_nothing_are_refused)
{
    static const char *const bad[] = { "core:9",  "cor:1",    "core:", "core:x",       "numa:0.",
                                       "core:1-", "numa:0.5", "0,,1",  "all.core:0",   ".core:1",
                                       "",        "not:",     "numa",  "core:0.numa:1" };
    struct belt_topology *topology = machine_of("node:2 core:2 pu:1");
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct belt_cpus cpus;
        char why[400] = "";
        cr_assert_eq(belt_topology_parse(topology, &cpus, bad[i], belt_topology_allowed(topology),
                                         why, sizeof why),
                     -EINVAL, "%s", bad[i]);
        cr_assert_neq(why[0], 0);
    }
    belt_topology_free(topology);
}

/* ---- limits ------------------------------------------------------------------------- */

Test(quota, is_read_in_thousandths)
{
    cr_assert_eq(belt_quota_of("150000 100000\n"), 1500);
    cr_assert_eq(belt_quota_of("max 100000\n"), 0);
    cr_assert_eq(belt_quota_of("10 100000"), 1);
    cr_assert_eq(belt_quota_of("-1 100000"), 0);
    cr_assert_eq(belt_quota_of(""), 0);
}

Test(devices, say_no_node_where_there_is_no_file)
{
    cr_assert_eq(belt_device_node("/nonexistent/at/all"), -1);
    cr_assert_eq(belt_device_node("/proc/self/status"), -1);
}
