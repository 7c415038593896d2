/* The writers and readers. Any instruction may be their last. */
#include "tests/kill/kill_priv.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

#define WAIT_NS UINT64_C(2000000)

/* The number of our log: of the role, so that it goes on in the role's next life; or
 * what belt_*_open() said. */
static int take_log(struct actor *a, int rc, uint32_t role)
{
    bool writes = a->place < ENDS;
    uint32_t first = writes ? 0 : ENDS;
    uint32_t log = a->kind->kind == BELT_MPMC ? a->place - first : role;
    uint32_t nobody = 0;
    if (rc < 0) {
        a->ledger->places[a->place].failed = rc;
        return rc;
    }
    while (!belt_cas32(&a->ledger->holders[first + log], &nobody, a->place + 1)) {
        nobody = 0;
        sched_yield();
    }
    belt_store_release32(&a->ledger->places[a->place].ready, 1);
    return (int)log;
}

static bool told_to_stop(const struct actor *a)
{
    return belt_load_acquire32(&a->ledger->stop) != 0;
}

/* What the dead held comes back; somebody else may be at it. */
static void reap(const struct actor *a)
{
    if (a->kind->kind == BELT_MPMC)
        belt_ring_reap(a->ring, NULL);
}

/* ---- writers ------------------------------------------------------------------------- */

static uint32_t push_batch(struct actor *a, struct belt_tx *tx, struct name name, uint32_t count)
{
    uint64_t items[BATCH * ITEM_MAX / 8];
    uint32_t words = a->kind->item_size / 8;
    for (uint32_t i = 0; i < count; i++, name.number++)
        item_make(items + i * words, a->kind, name);
    return belt_push_n(tx, items, count, a->kind->item_size);
}

static uint32_t push_in_place(struct actor *a, struct belt_tx *tx, struct name name, uint32_t count)
{
    uint64_t item[ITEM_MAX / 8];
    struct belt_slots slots = belt_claim(tx, count);
    for (uint32_t i = 0; i < slots.count; i++, name.number++)
        memcpy((char *)slots.first + (size_t)i * tx->slot_size, item,
               item_make(item, a->kind, name));
    if (slots.count)
        belt_publish(tx, slots.count);
    return slots.count;
}

static uint32_t push_one(struct actor *a, struct belt_tx *tx, struct name name, uint32_t count)
{
    uint64_t item[ITEM_MAX / 8];
    (void)count;
    return belt_push(tx, item, item_make(item, a->kind, name));
}

static void write_some(struct actor *a, struct belt_tx *tx, struct writer_log *log,
                       struct name *name)
{
    static uint32_t (*const ways[])(struct actor *, struct belt_tx *, struct name,
                                    uint32_t) = { push_one, push_batch, push_in_place };
    uint32_t way = random_below(&a->random, 3);
    uint32_t count = way == 0 ? 1 : 1 + random_below(&a->random, BATCH);
    belt_store_release(&log->meant, name->number + count);
    uint32_t done = ways[way](a, tx, *name, count);
    name->number += done;
    belt_store_release(&log->pushed, name->number);
    belt_store_release(&log->meant, name->number);
    if (done)
        return;
    if (random_below(&a->random, 2))
        belt_tx_wait(tx, belt_deadline(WAIT_NS));
    else
        sched_yield();
}

int writer_run(struct actor *a)
{
    struct belt_tx tx = { .me = 0 };
    reap(a);
    int rc = belt_tx_open(&tx, a->ring);
    int mine = take_log(a, rc, tx.me);
    if (mine < 0)
        return 1;
    struct writer_log *log = &a->ledger->writers[mine];
    struct name name = { .writer = (uint32_t)mine, .number = log->pushed };
    while (!told_to_stop(a))
        if (name.number + BATCH < NUMBERS)
            write_some(a, &tx, log, &name);
        else
            usleep(500);
    belt_close(&tx);
    belt_tx_leave(&tx);
    return 0;
}

/* ---- readers --------------------------------------------------------------------------- */

static uint32_t pop_batch(struct actor *a, struct belt_rx *rx, struct reader_log *log,
                          uint32_t count)
{
    return belt_pop_n(rx, log->hand, count, a->kind->item_size);
}

static uint32_t pop_in_place(struct actor *a, struct belt_rx *rx, struct reader_log *log,
                             uint32_t count)
{
    struct belt_slots slots = belt_peek(rx, count);
    for (uint32_t i = 0; i < slots.count; i++)
        memcpy((char *)log->hand + (size_t)i * a->kind->item_size,
               (char *)slots.first + (size_t)i * rx->slot_size, a->kind->item_size);
    if (slots.count)
        belt_release(rx, slots.count);
    return slots.count;
}

static uint32_t pop_one(struct actor *a, struct belt_rx *rx, struct reader_log *log, uint32_t count)
{
    (void)count;
    return belt_pop(rx, log->hand, a->kind->item_size);
}

static void note_one(struct actor *a, struct reader_log *log, uint32_t view, const uint64_t *item)
{
    struct name name;
    if (!item_read(item, a->kind, &name)) {
        log->broken++;
        return;
    }
    if (!note(a->ledger, view, name)) {
        log->again++;
        log->again_now++;
        return;
    }
    log->popped++;
    if (name.number < log->last[name.writer])
        log->late++;
    else
        log->last[name.writer] = name.number + 1;
}

static uint32_t read_some(struct actor *a, struct belt_rx *rx, struct reader_log *log,
                          uint32_t view)
{
    static uint32_t (*const ways[])(struct actor *, struct belt_rx *, struct reader_log *,
                                    uint32_t) = { pop_one, pop_batch, pop_in_place };
    uint32_t words = a->kind->item_size / 8;
    for (uint32_t i = 0; i < BATCH; i++)
        belt_store_release(&log->hand[i * words], 0);
    uint32_t n = ways[random_below(&a->random, 3)](a, rx, log, 1 + random_below(&a->random, BATCH));
    for (uint32_t i = 0; i < n; i++)
        note_one(a, log, view, log->hand + i * words);
    return n;
}

int reader_run(struct actor *a)
{
    struct belt_rx rx = { .me = 0 };
    reap(a);
    int rc = belt_rx_open(&rx, a->ring);
    int mine = take_log(a, rc, rx.me);
    if (mine < 0)
        return 1;
    struct reader_log *log = &a->ledger->readers[mine];
    uint32_t view = view_of(a->kind, (uint32_t)mine);
    while (!belt_rx_ended(&rx)) {
        if (read_some(a, &rx, log, view))
            continue;
        if (random_below(&a->random, 2))
            belt_rx_wait(&rx, belt_deadline(WAIT_NS));
        else
            sched_yield();
    }
    belt_rx_leave(&rx);
    return 0;
}
