/* Blocks of records on their way to a file: whatever is written when, and by whom, what
 * was put comes back. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/overflow_priv.h"
#include "numa/topology.h"

#define MOST 4096

struct fixture {
    struct belt_overflow over;
    struct belt_topology *topology;
    uint64_t sizes[MOST], first, end; /* of the records that wait, in order */
    uint64_t seed, found;             /* found: taken from blocks, not from the file */
};

static struct fixture *new_fixture(uint64_t file_size, bool thread)
{
    struct fixture *f = calloc(1, sizeof *f);
    struct belt_error err = { 0 };
    char why[200] = "";
    cr_assert_eq(belt_topology_load(&f->topology, why, sizeof why), 0, "%s", why);
    f->over.spiller = belt_spiller_new(f->topology);
    f->over.filed.size = file_size;
    f->over.fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);
    cr_assert_geq(f->over.fd, 0);
    for (int b = 0; b < BELT_SPILL_BLOCKS; b++)
        f->over.blocks[b].bytes = malloc(BELT_SPILL_BLOCK);
    if (thread)
        cr_assert_eq(belt_spiller_start(f->over.spiller, &err), 0, "%s", err.text);
    f->seed = 7;
    return f;
}

static void drop(struct fixture *f)
{
    belt_spiller_free(f->over.spiller);
    for (int b = 0; b < BELT_SPILL_BLOCKS; b++)
        free(f->over.blocks[b].bytes);
    close(f->over.fd);
    belt_topology_free(f->topology);
    free(f);
}

static uint64_t draw(struct fixture *f, uint64_t below)
{
    f->seed = f->seed * 6364136223846793005u + 1442695040888963407u;
    return (f->seed >> 33) % below;
}

/* The bytes of record `n`. */
static void fill(char *to, uint64_t size, uint64_t n)
{
    for (uint64_t i = 0; i < size; i += 8)
        memcpy(to + i, &(uint64_t){ n << 32 | i }, 8);
}

static bool put(struct fixture *f, uint64_t size)
{
    struct belt_fifo before = f->over.filed;
    uint64_t at;
    if (!belt_fifo_put(&f->over.filed, size, &at))
        return false;
    char *to = belt_spiller_room(&f->over, at, (uint32_t)size);
    if (!to) {
        f->over.filed = before;
        return false;
    }
    fill(to, size, f->end);
    f->sizes[f->end++ % MOST] = size;
    return true;
}

static void take(struct fixture *f)
{
    static char is[BELT_SPILL_BLOCK], was[BELT_SPILL_BLOCK];
    uint64_t at = 0, cursor = f->over.filed.head, size = f->sizes[f->first % MOST];
    cr_assert(belt_fifo_at(&f->over.filed, &cursor, &at));
    const char *here = belt_spiller_find(&f->over, at, size);
    if (here)
        memcpy(is, here, size);
    else
        cr_assert_eq(pread(f->over.fd, is, size, (off_t)at), (ssize_t)size);
    f->found += here != NULL;
    fill(was, size, f->first);
    cr_assert_arr_eq(is, was, size, "record %lu of %lu bytes at %lu", f->first, size, at);
    belt_fifo_drop(&f->over.filed, size);
    f->first++;
}

/* Phases in which more is put than taken, and the other way round. */
static void put_and_take(struct fixture *f, int rounds)
{
    for (int i = 0; i < rounds; i++) {
        uint64_t often = i / 200 % 2 ? 3 : 7;
        if (draw(f, 10) < often && f->end - f->first < MOST)
            put(f, 8 + draw(f, 5000) * 8);
        else if (f->first < f->end)
            take(f);
    }
    while (f->first < f->end)
        take(f);
}

static void all_come_back(bool thread)
{
    static const uint64_t sizes[] = { 64 << 10, 300 << 10, 3 << 20, 40 << 20 };
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        struct fixture *f = new_fixture(sizes[s], thread);
        put_and_take(f, 20000);
        cr_assert_gt(f->end, 5000);
        cr_assert_gt(f->found, 0);
        drop(f);
    }
}

Test(spiller, what_was_put_comes_back_in_order, .timeout = 60)
{
    all_come_back(false);
}

Test(spiller, a_thread_that_writes_beside_changes_nothing, .timeout = 60)
{
    all_come_back(true);
}

Test(spiller, what_does_not_fit_the_blocks_is_in_the_file, .timeout = 30)
{
    struct fixture *f = new_fixture(64 << 20, false);
    for (int i = 0; i < 1000; i++)
        cr_assert(put(f, 32 << 10));
    while (f->first < f->end)
        take(f);
    cr_assert_lt(f->found, 1 + BELT_SPILL_BLOCKS * (BELT_SPILL_BLOCK >> 15));
    drop(f);
}

Test(spiller, what_the_disk_refuses_stays_until_it_takes_it, .timeout = 30)
{
    struct fixture *f = new_fixture(64 << 20, false);
    int good = dup(f->over.fd), bad = open("/dev/full", O_WRONLY);
    dup2(bad, f->over.fd);
    while (put(f, 32 << 10))
        ;
    uint64_t kept = BELT_SPILL_BLOCKS * (BELT_SPILL_BLOCK >> 15);
    cr_assert_eq(f->end, kept);
    cr_assert_not(put(f, 8));
    dup2(good, f->over.fd);
    for (int i = 0; i < 100; i++)
        cr_assert(put(f, 32 << 10));
    while (f->first < f->end)
        take(f);
    close(good);
    close(bad);
    drop(f);
}
