#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "rings/mem.h"
#include "rings/ring.h"

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
        _exit(belt_mem_attach(&mine, mem.fd, 1) || belt_tx_open(&tx, mine) ||
              !belt_push(&tx, &seven, sizeof seven));
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert_eq(status, 0);
    cr_assert_eq(belt_rx_open(&rx, mem), 0);
    cr_assert(belt_pop(&rx, &value, sizeof value));
    cr_assert_eq(value, 7);
    belt_mem_unmap(&mem);
}
