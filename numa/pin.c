#include "numa/pin.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define NAME_ROOM 16 /* TASK_COMM_LEN, the end mark included */
#define SLICE 100000 /* ns, the least that the kernel takes */

static int set_mask(const struct belt_cpus *cpus)
{
    return sched_setaffinity(0, sizeof *cpus, (const cpu_set_t *)(const void *)cpus) < 0 ? -errno
                                                                                         : 0;
}

int belt_pin_thread(int cpu)
{
    struct belt_cpus one = { { 0 } };
    if (cpu < 0 || cpu >= BELT_CPUS)
        return -EINVAL;
    belt_cpus_add(&one, cpu);
    return set_mask(&one);
}

int belt_thread_cpus(int tid, struct belt_cpus *out)
{
    /* The kernel refuses a mask smaller than its own: machines of up to 8,192 CPUs. */
    unsigned long words[8192 / (8 * sizeof(unsigned long))] = { 0 };
    if (sched_getaffinity(tid, sizeof words, (cpu_set_t *)words) < 0)
        return -errno;
    memcpy(out, words, sizeof *out);
    return 0;
}

int belt_unpin_thread(const struct belt_topology *topology)
{
    return set_mask(belt_topology_allowed(topology));
}

void belt_name_thread(const char *name)
{
    char kept[NAME_ROOM];
    size_t length = strlen(name);
    const char *number = strrchr(name, '.');
    size_t tail = number ? strlen(number) : 0;
    if (length < NAME_ROOM || tail >= NAME_ROOM / 2)
        tail = 0;
    int head = (int)(NAME_ROOM - 1 - tail);
    snprintf(kept, sizeof kept, "%.*s%s", head, name, tail ? number : "");
    prctl(PR_SET_NAME, kept, 0, 0, 0);
}

/* glibc has no struct for it before 2.41, the kernel's headers clash with its others. */
struct attributes {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t slice, deadline, period; /* ns */
};

int belt_short_slices(void)
{
    struct attributes now = { .size = sizeof now };
    if (syscall(SYS_sched_getattr, 0, &now, sizeof now, 0) < 0)
        return -errno;
    if (now.policy != SCHED_OTHER)
        return 0;
    now.slice = SLICE;
    return syscall(SYS_sched_setattr, 0, &now, 0) < 0 ? -errno : 0;
}

int belt_bind_memory(const struct belt_topology *topology, void *memory, size_t size, int node)
{
    unsigned long nodes[BELT_CPUS / (8 * sizeof(unsigned long))] = { 0 };
    const size_t word_bits = 8 * sizeof nodes[0];
    if (node < 0 || belt_topology_nodes(topology) < 2)
        return 0;
    if (node >= BELT_CPUS)
        return -EINVAL;
    /* mbind() takes whole pages: those that begin before `memory` stay as they are. */
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), begin = (uintptr_t)memory;
    uintptr_t first = (begin + page - 1) / page * page;
    if (first >= begin + size)
        return 0;
    nodes[(size_t)node / word_bits] = 1ul << ((size_t)node % word_bits);
    /* Preferred, not bound: a full node must not end in the out-of-memory killer. */
    long rc = syscall(SYS_mbind, first, begin + size - first, MPOL_PREFERRED, nodes,
                      (unsigned long)BELT_CPUS, MPOL_MF_MOVE);
    return rc < 0 ? -errno : 0;
}
