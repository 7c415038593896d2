/* Which CPUs a pipeline may have. */
#include <errno.h>
#include <stdio.h>

#include "numa/place_priv.h"

/* ---- refusals ------------------------------------------------------------------ */

/* CPU `cpu` cannot be had; `instead`: those that can. */
static int refuse_cpu(struct belt_work *work, const char *who, int cpu)
{
    const struct belt_topology *topology = work->in->topology;
    char mask[128];
    belt_cpus_print(belt_topology_allowed(topology), mask, sizeof mask);
    if (belt_cpus_has(belt_topology_offline(topology), cpu))
        return belt_work_refuse(work,
                                "%s: CPU %d is switched off: take one of %s, or echo 1 "
                                ">/sys/devices/system/cpu/cpu%d/online",
                                who, cpu, mask, cpu);
    if (!belt_topology_cpu(topology, cpu))
        return belt_work_refuse(work, "%s: this machine has no CPU %d; allowed: %s", who, cpu,
                                mask);
    return belt_work_refuse(work, "%s: CPU %d is outside this process's CPU mask %s; allowed: %s",
                            who, cpu, mask, mask);
}

/* The thread of its core that is used instead of `cpu`. */
static int kept_of(const struct belt_work *work, int cpu)
{
    int core = belt_work_cpu(work, cpu)->core;
    BELT_CPUS_EACH(&work->usable, other)
    if (belt_work_cpu(work, other)->core == core)
        return other;
    return -1;
}

static int check_pin(struct belt_work *work, const struct belt_place_pin *pin)
{
    const struct belt_cpus *reach = &work->reachable;
    char who[128], list[128];
    snprintf(who, sizeof who, "pin %s", pin->stage);
    struct belt_cpus outside = belt_cpus_minus(&pin->cpus, reach);
    int cpu = belt_cpus_next(&outside, 0);
    belt_cpus_print(&work->usable, list, sizeof list);
    if (belt_cpus_next(&pin->cpus, 0) < 0)
        return belt_work_refuse(work, "%s: no CPU is named; allowed: %s", who, list);
    if (cpu < 0)
        return 0;
    const struct belt_cpus *given = work->in->cpus;
    if (!belt_topology_cpu(work->in->topology, cpu) ||
        !(given || belt_cpus_has(belt_topology_allowed(work->in->topology), cpu)))
        return refuse_cpu(work, who, cpu);
    if (given && !belt_cpus_has(given, cpu)) {
        struct belt_cpus have = belt_cpus_minus(belt_topology_known(work->in->topology),
                                                belt_topology_allowed(work->in->topology));
        if (belt_cpus_has(&have, cpu))
            return refuse_cpu(work, who, cpu);
        return belt_work_refuse(work,
                                "%s: CPU %d is not among the CPUs %s given for the "
                                "pipeline: add it there or pin to one of them",
                                who, cpu, list);
    }
    return belt_work_refuse(work,
                            "%s: CPU %d is a thread of the same core as CPU %d, and smt is off: "
                            "pin to CPU %d, or set smt to auto",
                            who, cpu, kept_of(work, cpu), kept_of(work, cpu));
}

/* ---- sets ---------------------------------------------------------------------- */

/* What the process may have if it asks for it by name: its mask, and isolated CPUs, which
 * the kernel keeps out of every mask that nobody widened. */
static struct belt_cpus nameable(const struct belt_topology *topology)
{
    struct belt_cpus set = *belt_topology_allowed(topology);
    struct belt_cpus isolated =
        belt_cpus_and(belt_topology_isolated(topology), belt_topology_known(topology));
    BELT_CPUS_EACH(&isolated, cpu)
    belt_cpus_add(&set, cpu);
    return set;
}

/* Unless named, isolated CPUs are left alone where there are others. */
static struct belt_cpus default_cpus(const struct belt_topology *topology)
{
    const struct belt_cpus *allowed = belt_topology_allowed(topology);
    struct belt_cpus rest = belt_cpus_minus(allowed, belt_topology_isolated(topology));
    return belt_cpus_next(&rest, 0) >= 0 ? rest : *allowed;
}

/* The first thread of each core. */
static struct belt_cpus one_per_core(const struct belt_topology *topology,
                                     const struct belt_cpus *cpus)
{
    struct belt_cpus out = { { 0 } };
    bool seen[2 * BELT_CPUS] = { 0 };
    BELT_CPUS_EACH(cpus, cpu)
    {
        const struct belt_cpu *at = belt_topology_cpu(topology, cpu);
        if (at && !seen[at->core % (2 * BELT_CPUS)])
            belt_cpus_add(&out, cpu);
        if (at)
            seen[at->core % (2 * BELT_CPUS)] = true;
    }
    return out;
}

static void say_sets(struct belt_work *work, const struct belt_cpus *given)
{
    const struct belt_topology *topology = work->in->topology;
    char list[128], other[128];
    uint32_t quota = belt_topology_quota(topology);
    belt_cpus_print(given, list, sizeof list);
    belt_work_say(work, "CPUs %s: %s", list,
                  work->in->cpus ? "given by hand" : "the process's mask");
    struct belt_cpus isolated =
        belt_cpus_and(belt_topology_isolated(topology), belt_topology_known(topology));
    if (belt_cpus_next(&isolated, 0) >= 0) {
        struct belt_cpus named = belt_cpus_and(&isolated, given);
        belt_cpus_print(&isolated, other, sizeof other);
        belt_work_say(work, "CPUs %s are isolated: %s", other,
                      belt_cpus_next(&named, 0) >= 0
                          ? "used, for they were named or nothing else is allowed"
                          : "left alone, for nobody named them");
    }
    if (belt_cpus_next(belt_topology_offline(topology), 0) >= 0) {
        belt_cpus_print(belt_topology_offline(topology), other, sizeof other);
        belt_work_say(work, "CPUs %s are switched off", other);
    }
    if (quota)
        belt_work_say(work, "the cgroup lets the process use %u.%02u CPUs: no more than %u chains",
                      quota / 1000, quota % 1000 / 10, (quota + 999) / 1000);
}

static void say_smt(struct belt_work *work, const struct belt_cpus *given)
{
    static const char *const hows[] = {
        "auto: a second thread of a core only when all cores have a lane",
        "on: threads of a core count like cores", "off: one thread of each core"
    };
    struct belt_cpus cores = one_per_core(work->in->topology, given);
    uint32_t threads = belt_cpus_count(given), count = belt_cpus_count(&cores);
    if (threads > count)
        belt_work_say(work, "%u threads on %u cores, smt %s", threads, count, hows[work->in->smt]);
}

int belt_work_usable(struct belt_work *work)
{
    const struct belt_place_in *in = work->in;
    struct belt_cpus given = in->cpus ? *in->cpus : default_cpus(in->topology);
    work->reachable = nameable(in->topology);
    struct belt_cpus outside = belt_cpus_minus(&given, &work->reachable);
    int cpu = belt_cpus_next(&outside, 0);
    if (cpu >= 0)
        return refuse_cpu(work, "cpus", cpu);
    if (belt_cpus_next(&given, 0) < 0)
        return belt_work_refuse(work, "cpus: no CPU is left");
    if (in->cpus)
        work->reachable = given;
    say_sets(work, &given);
    say_smt(work, &given);
    work->usable = given;
    if (in->smt == BELT_SMT_OFF) {
        work->usable = one_per_core(in->topology, &given);
        /* Isolated ones may be pinned to though they are not in `usable`. */
        work->reachable = one_per_core(in->topology, &work->reachable);
    }
    for (uint32_t i = 0; i < in->pin_count; i++) {
        int rc = check_pin(work, &in->pins[i]);
        if (rc < 0)
            return rc;
    }
    return 0;
}

uint32_t belt_place_concurrency(const struct belt_place_in *in)
{
    struct belt_cpus usable = default_cpus(in->topology);
    if (in->cpus) {
        usable = nameable(in->topology);
        usable = belt_cpus_and(&usable, in->cpus);
    }
    struct belt_cpus cores = one_per_core(in->topology, &usable);
    uint32_t count = belt_cpus_count(&cores), quota = belt_topology_quota(in->topology);
    if (in->smt == BELT_SMT_ON || (in->smt == BELT_SMT_AUTO && count < 2))
        count = belt_cpus_count(&usable);
    if (quota && count > (quota + 999) / 1000)
        count = (quota + 999) / 1000;
    return count ? count : 1;
}
