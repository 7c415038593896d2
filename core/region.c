/* The memory of a run, in pages as they were asked for. */
#include <errno.h>
#include <string.h>

#include "core/build_priv.h"

uint64_t belt_region_page(const struct belt_engine_run *run)
{
    bool huge = run->spec->placement.huge_pages == BELT_HUGE_RESERVED;
    return huge && belt_topology_nodes(run->plan->topology) > 1 ? BELT_HUGE : 4096;
}

int belt_region_map(struct belt_engine_run *run, uint64_t size, struct belt_error *err)
{
    static const unsigned pages[] = {
        [BELT_HUGE_AUTO] = 0, [BELT_HUGE_RESERVED] = BELT_MEM_HUGE, [BELT_HUGE_OFF] = BELT_MEM_SMALL
    };
    int huge = run->spec->placement.huge_pages;
    unsigned kind = run->zygote ? BELT_MEM_SHARED : BELT_MEM_PRIVATE;
    int rc = belt_mem_map(&run->region, size, kind | pages[huge]);
    unsigned long long wanted = (size + BELT_HUGE - 1) / BELT_HUGE;
    if (rc == -ENOMEM && huge == BELT_HUGE_RESERVED)
        return belt_error_config(
            err,
            "placement.huge_pages: %llu huge pages of 2 MiB are wanted, and not "
            "so many are free: echo %llu >/proc/sys/vm/nr_hugepages, or "
            "huge_pages: auto",
            wanted, wanted);
    if (rc < 0)
        return belt_error_set(err, rc, "run: %llu bytes of memory: %s", (unsigned long long)size,
                              strerror(-rc));
    return 0;
}
