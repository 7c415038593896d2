/* Memory for rings, and what becomes of it where the kernel refuses. */
#include <fcntl.h>
#include <sys/mman.h>

#include "refuse_fixture.h"
#include "ring_fixture.h"

static bool all_zero(const struct belt_mem *mem)
{
    const char *bytes = mem->base;
    for (size_t i = 0; i < mem->size; i++)
        if (bytes[i])
            return false;
    return true;
}

Test(mem, refuses_no_bytes_too_many_bytes_and_unknown_flags)
{
    struct belt_mem mem;
    cr_assert_eq(belt_mem_map(&mem, 0, BELT_MEM_PRIVATE), -EINVAL);
    cr_assert_eq(belt_mem_map(&mem, SIZE_MAX, BELT_MEM_SHARED), -EINVAL);
    cr_assert_eq(belt_mem_map(&mem, 1, 7), -EINVAL);
}

Test(mem, reports_memory_that_does_not_exist)
{
    struct belt_mem mem;
    cr_assert_eq(belt_mem_map(&mem, (size_t)1 << 60, BELT_MEM_PRIVATE), -ENOMEM);
}

Test(mem, comes_zeroed_in_whole_pages)
{
    for (unsigned flags = BELT_MEM_PRIVATE; flags <= BELT_MEM_SHARED; flags++) {
        struct belt_mem mem;
        cr_assert_eq(belt_mem_map(&mem, 5000, flags), 0);
        cr_assert_eq(mem.size % (size_t)sysconf(_SC_PAGESIZE), 0);
        cr_assert_geq(mem.size, 5000);
        cr_assert(all_zero(&mem));
        belt_mem_unmap(&mem);
    }
}

Test(mem, begins_on_a_huge_page_when_as_big_as_one)
{
    for (unsigned flags = BELT_MEM_PRIVATE; flags <= BELT_MEM_SHARED; flags++) {
        struct belt_mem mem;
        cr_assert_eq(belt_mem_map(&mem, BELT_HUGE + 1, flags), 0);
        cr_assert_eq((uintptr_t)mem.base % BELT_HUGE, 0);
        ((char *)mem.base)[mem.size - 1] = 1;
        belt_mem_unmap(&mem);
    }
}

Test(mem, unmaps_once_and_leaves_nothing_behind)
{
    struct belt_mem mem;
    cr_assert_eq(belt_mem_map(&mem, 4096, BELT_MEM_SHARED), 0);
    int fd = mem.fd;
    belt_mem_unmap(&mem);
    cr_assert(mem.base == NULL && mem.size == 0 && mem.fd == -1);
    cr_assert_eq(fcntl(fd, F_GETFD), -1, "closed");
    belt_mem_unmap(&mem);
}

Test(mem, keeps_what_was_written_when_populated)
{
    struct belt_mem mem;
    cr_assert_eq(belt_mem_map(&mem, 1 << 16, BELT_MEM_PRIVATE), 0);
    ((char *)mem.base)[12345] = 42;
    cr_assert_eq(belt_mem_populate(&mem), 0);
    cr_assert_eq(((char *)mem.base)[12345], 42);
    belt_mem_unmap(&mem);
}

Test(mem, attaches_the_same_bytes_elsewhere)
{
    struct belt_mem one, two;
    cr_assert_eq(belt_mem_map(&one, 4096, BELT_MEM_SHARED), 0);
    cr_assert_eq(belt_mem_attach(&two, one.fd, 4096), 0);
    cr_assert_neq(one.base, two.base);
    strcpy(one.base, "seen");
    cr_assert_str_eq(two.base, "seen");
    belt_mem_unmap(&one);
    cr_assert_str_eq(two.base, "seen", "it does not depend on the first");
    belt_mem_unmap(&two);
}

Test(mem, seals_the_size)
{
    struct belt_mem mem;
    cr_assert_eq(belt_mem_map(&mem, 8192, BELT_MEM_SHARED), 0);
    cr_assert_eq(ftruncate(mem.fd, 4096), -1);
    cr_assert_eq(errno, EPERM);
    cr_assert_eq(ftruncate(mem.fd, 16384), -1);
    belt_mem_unmap(&mem);
}

Test(mem, refuses_to_attach_what_is_too_small_unsealed_or_no_file)
{
    struct belt_mem mem, other;
    cr_assert_eq(belt_mem_map(&mem, 4096, BELT_MEM_SHARED), 0);
    cr_assert_eq(belt_mem_attach(&other, mem.fd, 4097), -EINVAL);
    int loose = memfd_create("loose", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    cr_assert_eq(belt_mem_attach(&other, loose, 0), -EINVAL, "empty");
    cr_assert_eq(ftruncate(loose, 4096), 0);
    cr_assert_eq(belt_mem_attach(&other, loose, 4096), -EPERM);
    cr_assert_eq(belt_mem_attach(&other, -1, 1), -EBADF);
    close(loose);
    belt_mem_unmap(&mem);
}

Test(mem, carries_a_ring_into_a_child_process)
{
    struct belt_ring_conf conf = { .size = sizeof conf, .item_size = 8, .items = 8 };
    struct belt_mem mem;
    struct belt_rx rx;
    uint64_t value = 0;
    int status;
    cr_assert_eq(belt_mem_map(&mem, belt_ring_footprint(&conf), BELT_MEM_SHARED), 0);
    cr_assert_eq(belt_ring_format(mem, &conf), 0);
    pid_t child = fork();
    if (child == 0) {
        struct belt_mem mine;
        struct belt_tx tx;
        uint64_t seven = 7;
        int rc = belt_mem_attach(&mine, mem.fd, 1) || belt_tx_open(&tx, mine) ||
                 !belt_push(&tx, &seven, sizeof seven);
        __gcov_dump();
        _exit(rc);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_eq(belt_rx_open(&rx, mem), 0);
    cr_assert(belt_pop(&rx, &value, sizeof value));
    cr_assert_eq(value, 7);
    belt_mem_unmap(&mem);
}

Test(mem, attaches_what_is_as_big_as_a_huge_page_at_its_boundary)
{
    struct belt_mem one, two;
    cr_assert_eq(belt_mem_map(&one, 3 * BELT_HUGE, BELT_MEM_SHARED), 0);
    cr_assert_eq(belt_mem_attach(&two, one.fd, BELT_HUGE), 0);
    cr_assert_eq((uintptr_t)two.base % BELT_HUGE, 0);
    belt_mem_unmap(&one);
    belt_mem_unmap(&two);
}

Test(mem, refuses_to_attach_a_folder)
{
    struct belt_mem mem;
    int folder = open("/", O_RDONLY | O_DIRECTORY);
    cr_assert_eq(belt_mem_attach(&mem, folder, 0), -EINVAL);
    close(folder);
}

/* ---- where the kernel refuses ------------------------------------------------ */

static int free_descriptor(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

/* What fails when a call does, and that no descriptor stays open. */
static int map_without(long call, int arg, unsigned value, int error)
{
    struct belt_mem mem;
    int before = free_descriptor();
    CHILD_CHECK((arg < 0 ? refuse(call, error) : refuse_if(call, (unsigned)arg, value, error)) ==
                0);
    CHILD_CHECK(belt_mem_map(&mem, 4096, BELT_MEM_SHARED) == -error);
    CHILD_CHECK(free_descriptor() == before);
    return 0;
}

static int without_memfd(void *arg)
{
    (void)arg;
    return map_without(SYS_memfd_create, -1, 0, EMFILE);
}

static int without_size(void *arg)
{
    (void)arg;
    return map_without(SYS_ftruncate, -1, 0, EFBIG);
}

static int without_seals(void *arg)
{
    (void)arg;
    return map_without(SYS_fcntl, 1, F_ADD_SEALS, EPERM);
}

static int without_addresses(void *arg)
{
    (void)arg;
    return map_without(SYS_mmap, 3, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, ENOMEM);
}

static int without_file_pages(void *arg)
{
    (void)arg;
    return map_without(SYS_mmap, 3, MAP_SHARED | MAP_FIXED, EAGAIN);
}

Test(mem, tells_what_the_kernel_said_and_leaves_nothing_open)
{
    static int (*const bodies[])(void *) = { without_memfd, without_size, without_seals,
                                             without_addresses, without_file_pages };
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        expect_refused(bodies[i], NULL);
}

static int attach_without_descriptors(void *arg)
{
    struct belt_mem mem;
    int before = free_descriptor();
    CHILD_CHECK(refuse_if(SYS_mmap, 3, MAP_SHARED | MAP_FIXED, ENOMEM) == 0);
    CHILD_CHECK(belt_mem_attach(&mem, ((struct belt_mem *)arg)->fd, 1) == -ENOMEM);
    CHILD_CHECK(free_descriptor() == before);
    CHILD_CHECK(refuse_if(SYS_fcntl, 1, F_DUPFD_CLOEXEC, EMFILE) == 0);
    CHILD_CHECK(belt_mem_attach(&mem, ((struct belt_mem *)arg)->fd, 1) == -EMFILE);
    CHILD_CHECK(refuse_if(SYS_fcntl, 1, F_GET_SEALS, EINVAL) == 0);
    CHILD_CHECK(belt_mem_attach(&mem, ((struct belt_mem *)arg)->fd, 1) == -EPERM);
    return 0;
}

Test(mem, tells_why_it_cannot_attach)
{
    struct belt_mem mem;
    cr_assert_eq(belt_mem_map(&mem, 4096, BELT_MEM_SHARED), 0);
    expect_refused(attach_without_descriptors, &mem);
    belt_mem_unmap(&mem);
}

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

static int populate_by_hand(void *arg)
{
    struct belt_mem *mem = arg;
    CHILD_CHECK(refuse_if(SYS_madvise, 2, MADV_POPULATE_WRITE, EINVAL) == 0);
    CHILD_CHECK(belt_mem_populate(mem) == 0);
    CHILD_CHECK(((char *)mem->base)[5000] == 42);
    return 0;
}

static int populate_in_vain(void *arg)
{
    CHILD_CHECK(refuse_if(SYS_madvise, 2, MADV_POPULATE_WRITE, ENOMEM) == 0);
    CHILD_CHECK(belt_mem_populate(arg) == -ENOMEM);
    return 0;
}

Test(mem, is_populated_by_hand_where_the_kernel_cannot)
{
    struct belt_mem mem;
    cr_assert_eq(belt_mem_map(&mem, 1 << 16, BELT_MEM_PRIVATE), 0);
    ((char *)mem.base)[5000] = 42;
    expect_refused(populate_by_hand, &mem);
    expect_refused(populate_in_vain, &mem);
    belt_mem_unmap(&mem);
}

Test(mem, uses_no_huge_pages_or_reserved_ones_when_told)
{
    struct belt_mem mem;
    cr_assert_eq(belt_mem_map(&mem, 4 * BELT_HUGE, BELT_MEM_SMALL), 0);
    belt_mem_unmap(&mem);
    cr_assert_eq(belt_mem_map(&mem, 1, BELT_MEM_HUGE | BELT_MEM_SMALL), -EINVAL);
    /* More than any machine has reserved. */
    cr_assert_eq(belt_mem_map(&mem, (size_t)1 << 44, BELT_MEM_HUGE), -ENOMEM);
    cr_assert_eq(belt_mem_map(&mem, (size_t)1 << 44, BELT_MEM_HUGE | BELT_MEM_SHARED), -ENOMEM);
}
