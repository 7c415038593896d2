/* Memory for rings and regions: private to the process, or a memfd that other
 * processes map too. It comes zeroed, and begins on a huge page's boundary when
 * it is as big as one. Any thread may make any call, on a piece that no other call is
 * at; each costs system calls, populating also the zeroing of all pages. */
#ifndef BELT_MEM_H
#define BELT_MEM_H

#include <stddef.h>
#include <stdint.h>

#include "api.h"

#ifdef __cplusplus
extern "C" {
#endif

#define BELT_HUGE ((size_t)2 << 20)

/* A piece of memory, not its owner: copy it freely. What belt_mem_map() or
 * belt_mem_attach() filled in goes to belt_mem_unmap() once. */
struct belt_mem {
    void *base;
    size_t size;
    int fd; /* of the whole memfd when mapped SHARED, else -1 */
};

enum belt_mem_flags {
    BELT_MEM_PRIVATE = 0, /* anonymous, huge pages advised; after fork the child has a copy */
    BELT_MEM_SHARED = 1,  /* memfd, its size and seals fixed for ever; after fork still shared */
    /* Beside one of these, instead of the advice: */
    BELT_MEM_HUGE = 2, /* only huge pages that are reserved (vm.nr_hugepages); -ENOMEM: too few */
    BELT_MEM_SMALL = 4 /* no huge pages */
};

/* `size` is rounded up to whole pages (see mem->size), huge ones with HUGE. 0 or -errno. */
BELT_API int belt_mem_map(struct belt_mem *mem, size_t size, unsigned flags);

/* Maps the memfd that another process made; the descriptor is duplicated and
 * stays the caller's. -EINVAL: smaller than `least` bytes or empty; -EPERM: it
 * is not sealed, so its owner could cut it under us (SIGBUS). */
BELT_API int belt_mem_attach(struct belt_mem *mem, int fd, size_t least);

/* Gets every page now, where -ENOMEM can still be reported and after the
 * memory was bound to its node. Contents stay. */
BELT_API int belt_mem_populate(const struct belt_mem *mem);

/* Unmaps, closes, and leaves *mem empty. Harmless on an empty one. */
BELT_API void belt_mem_unmap(struct belt_mem *mem);

/* Memory obtained elsewhere, or a part of a bigger piece. */
static inline struct belt_mem belt_mem_of(void *base, size_t size)
{
    struct belt_mem mem = { base, size, -1 };
    return mem;
}

#ifdef __cplusplus
}
#endif
#endif
