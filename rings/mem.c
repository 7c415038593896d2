/* For memfd_create, seals and MAP_ANONYMOUS. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "rings/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SEALS_SIZE (F_SEAL_SHRINK | F_SEAL_GROW)

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* Room in the address space that begins on a huge page's boundary if it is as
 * big as one: mmap alone aligns to 4 KiB, and half a huge page is none. */
static char *reserve(size_t size)
{
    size_t extra = size >= BELT_HUGE ? BELT_HUGE : 0;
    char *at =
        mmap(NULL, size + extra, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    size_t before = extra ? (BELT_HUGE - (uintptr_t)at % BELT_HUGE) % BELT_HUGE : 0;
    if (before)
        munmap(at, before);
    if (extra > before)
        munmap(at + before + size, extra - before);
    return at + before;
}

/* `advice`: MADV_HUGEPAGE, MADV_NOHUGEPAGE, or -1 for none. */
static int map_at_reserve(struct belt_mem *mem, size_t size, int flags, int fd, int advice)
{
    char *base = reserve(size);
    if (!base)
        return -errno;
    if (mmap(base, size, PROT_READ | PROT_WRITE, flags | MAP_FIXED, fd, 0) == MAP_FAILED) {
        int rc = -errno;
        munmap(base, size);
        return rc;
    }
    /* Advice only: without huge pages everything works, with more TLB misses. */
    if (size >= BELT_HUGE && advice >= 0)
        (void)madvise(base, size, advice);
    mem->base = base;
    mem->size = size;
    mem->fd = fd;
    return 0;
}

/* Reserved huge pages of 2 MiB, whatever the system's default size is. */
#define HUGE_2MB (21 << 26)

static int advice_of(unsigned flags)
{
    if (flags & BELT_MEM_HUGE)
        return -1;
    return flags & BELT_MEM_SMALL ? MADV_NOHUGEPAGE : MADV_HUGEPAGE;
}

static int map_private(struct belt_mem *mem, size_t size, unsigned flags)
{
    int huge = flags & BELT_MEM_HUGE ? MAP_HUGETLB | HUGE_2MB : 0;
    return map_at_reserve(mem, size, MAP_PRIVATE | MAP_ANONYMOUS | huge, -1, advice_of(flags));
}

static int map_shared(struct belt_mem *mem, size_t size, unsigned flags)
{
    int rc;
    unsigned huge = flags & BELT_MEM_HUGE ? MFD_HUGETLB | HUGE_2MB : 0;
    int fd = memfd_create("belt", MFD_CLOEXEC | MFD_ALLOW_SEALING | huge);
    if (fd < 0)
        return -errno;
    /* Sealed before anybody maps it: no peer can cut the file under the others. */
    if (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, SEALS_SIZE | F_SEAL_SEAL) < 0) {
        rc = -errno;
        goto close_fd;
    }
    rc = map_at_reserve(mem, size, MAP_SHARED, fd, advice_of(flags));
    if (rc == 0)
        return 0;
close_fd:
    close(fd);
    return rc;
}

int belt_mem_map(struct belt_mem *mem, size_t size, unsigned flags)
{
    const unsigned both = BELT_MEM_HUGE | BELT_MEM_SMALL;
    size_t page = flags & BELT_MEM_HUGE ? BELT_HUGE : page_size();
    /* Rounding up and aligning must not run over; nor must the file's signed size. */
    if (size == 0 || size > PTRDIFF_MAX - 2 * BELT_HUGE || flags & ~(BELT_MEM_SHARED | both) ||
        (flags & both) == both)
        return -EINVAL;
    size = (size + page - 1) / page * page;
    return flags & BELT_MEM_SHARED ? map_shared(mem, size, flags) : map_private(mem, size, flags);
}

int belt_mem_attach(struct belt_mem *mem, int fd, size_t least)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size <= 0 || (uint64_t)st.st_size < least)
        return -EINVAL;
    int seals = fcntl(fd, F_GET_SEALS);
    if (seals < 0 || (seals & SEALS_SIZE) != SEALS_SIZE)
        return -EPERM;
    int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return -errno;
    int rc = map_at_reserve(mem, (size_t)st.st_size, MAP_SHARED, own, MADV_HUGEPAGE);
    if (rc < 0)
        close(own);
    return rc;
}

/* For kernels before 5.14, which have no MADV_POPULATE_WRITE. Writes back what
 * was read, atomically: a peer may already be at work in shared memory. */
static void touch(char *base, size_t size)
{
    size_t page = page_size();
    for (size_t at = 0; at < size; at += page)
        __atomic_fetch_or(base + at, 0, __ATOMIC_RELAXED);
}

int belt_mem_populate(const struct belt_mem *mem)
{
#ifdef MADV_POPULATE_WRITE
    if (madvise(mem->base, mem->size, MADV_POPULATE_WRITE) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
#endif
    touch(mem->base, mem->size);
    return 0;
}

void belt_mem_unmap(struct belt_mem *mem)
{
    if (mem->base) {
        munmap(mem->base, mem->size);
        if (mem->fd >= 0)
            close(mem->fd);
    }
    *mem = belt_mem_of(NULL, 0);
}
