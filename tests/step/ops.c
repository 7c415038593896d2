/* The operations: what a child prepares, and what it is doing when it dies. */
#include "tests/step/step_priv.h"

#include <errno.h>

#define WAIT_NS UINT64_C(200000)

/* ---- preparing -------------------------------------------------------------------- */

static int nothing(struct actor *a)
{
    (void)a;
    return 0;
}

static int open_tx(struct actor *a)
{
    return belt_tx_open(&a->tx, a->scene->mem);
}

/* And pops what the scene says, which is as good as used. */
static int open_rx(struct actor *a)
{
    char item[ITEM_MAX];
    uint32_t size = a->scene->kind->item_size;
    int rc = belt_rx_open(&a->rx, a->scene->mem);
    while (rc == 0 && a->hand->before < a->scene->before) {
        if (!belt_pop(&a->rx, item, size))
            return -ENODATA;
        a->hand->numbers[a->hand->before++] = item_number(item, size);
    }
    return rc;
}

static void fill_slots(const struct actor *a, struct belt_slots slots)
{
    for (uint32_t i = 0; i < slots.count; i++)
        memcpy((char *)slots.first + (size_t)i * a->tx.slot_size,
               a->fresh + i * a->scene->kind->item_size, a->scene->kind->item_size);
}

static void use_slots(const struct actor *a, struct belt_slots slots)
{
    for (uint32_t i = 0; i < slots.count; i++)
        memcpy(a->hand->items + i * a->scene->kind->item_size,
               (char *)slots.first + (size_t)i * a->rx.slot_size, a->scene->kind->item_size);
}

/* The supervisor redoes what an owner meant, who was us: dead all the same. */
static int written_not_published(struct actor *a)
{
    int rc = open_tx(a);
    if (rc < 0)
        return rc;
    struct belt_slots slots = belt_claim(&a->tx, HAND - 1);
    fill_slots(a, slots);
    a->hand->result = slots.count;
    a->hand->target = belt_tx_next(&a->tx) + slots.count;
    return 0;
}

static int used_not_released(struct actor *a)
{
    int rc = open_rx(a);
    if (rc < 0)
        return rc;
    struct belt_slots slots = belt_peek(&a->rx, HAND - 1);
    use_slots(a, slots);
    a->hand->result = slots.count;
    a->hand->target = belt_rx_next(&a->rx) + slots.count;
    return 0;
}

/* ---- stepped: writers ------------------------------------------------------------- */

static void run_push(struct actor *a)
{
    a->hand->result = belt_push(&a->tx, a->fresh, a->scene->kind->item_size);
}

static void run_push_n(struct actor *a)
{
    a->hand->result = belt_push_n(&a->tx, a->fresh, HAND - 1, a->scene->kind->item_size);
}

/* One claimed slot more than is published. */
static void run_claim_publish(struct actor *a)
{
    struct belt_slots slots = belt_claim(&a->tx, HAND);
    if (slots.count == 0)
        return;
    fill_slots(a, slots);
    uint32_t count = slots.count > 1 ? slots.count - 1 : 1;
    belt_publish(&a->tx, count);
    a->hand->result = count;
}

static void run_close(struct actor *a)
{
    belt_close(&a->tx);
}

static void run_tx_open(struct actor *a)
{
    a->hand->result = (uint32_t)-belt_tx_open(&a->tx, a->scene->mem);
}

static void run_tx_leave(struct actor *a)
{
    belt_tx_leave(&a->tx);
}

static void run_tx_wait(struct actor *a)
{
    belt_tx_wait(&a->tx, belt_deadline(WAIT_NS));
}

/* ---- stepped: readers --------------------------------------------------------------- */

static void run_pop(struct actor *a)
{
    a->hand->result = belt_pop(&a->rx, a->hand->items, a->scene->kind->item_size);
}

static void run_pop_n(struct actor *a)
{
    a->hand->result = belt_pop_n(&a->rx, a->hand->items, HAND - 1, a->scene->kind->item_size);
}

static void run_peek_release(struct actor *a)
{
    struct belt_slots slots = belt_peek(&a->rx, HAND - 1);
    use_slots(a, slots);
    if (slots.count && belt_release(&a->rx, slots.count))
        a->hand->result = slots.count;
}

static void run_rx_open(struct actor *a)
{
    a->hand->result = (uint32_t)-belt_rx_open(&a->rx, a->scene->mem);
}

static void run_rx_leave(struct actor *a)
{
    belt_rx_leave(&a->rx);
}

static void run_rx_wait(struct actor *a)
{
    belt_rx_wait(&a->rx, belt_deadline(WAIT_NS));
}

static void run_rx_wait_any(struct actor *a)
{
    struct belt_rx *rx = &a->rx;
    belt_rx_wait_any(&rx, 1, belt_deadline(WAIT_NS));
}

static void run_arm(struct actor *a)
{
    if (belt_rx_fd(&a->rx) < 0)
        return;
    belt_rx_arm(&a->rx);
    belt_rx_disarm(&a->rx);
}

/* ---- stepped: supervisors ----------------------------------------------------------- */

static void run_reap(struct actor *a)
{
    belt_ring_reap(a->scene->mem, NULL);
}

static int redo_reap(const struct scene *scene, const struct hand *hand)
{
    (void)hand;
    return belt_ring_reap(scene->mem, NULL);
}

static void run_redo_publish(struct actor *a)
{
    belt_ring_redo_publish((struct belt_ring *)a->scene->mem.base, a->hand->target);
}

static int redo_publish(const struct scene *scene, const struct hand *hand)
{
    return belt_ring_redo_publish((struct belt_ring *)scene->mem.base, hand->target);
}

static void run_redo_release(struct actor *a)
{
    belt_ring_redo_release((struct belt_ring *)a->scene->mem.base, a->hand->target);
}

static int redo_release(const struct scene *scene, const struct hand *hand)
{
    return belt_ring_redo_release((struct belt_ring *)scene->mem.base, hand->target);
}

/* ---- the table ---------------------------------------------------------------------- */

const struct op ops[] = {
    { "push", WRITES, 1, 0, 0, 0, open_tx, run_push, NULL },
    { "push_n", WRITES, HAND - 1, 0, 0, 0, open_tx, run_push_n, NULL },
    { "claim, publish", WRITES, HAND, 0, 0, 0, open_tx, run_claim_publish, NULL },
    { "pop", READS, 0, 1, 0, 0, open_rx, run_pop, NULL },
    { "pop_n", READS, 0, HAND - 1, 0, 0, open_rx, run_pop_n, NULL },
    { "peek, release", READS, 0, HAND - 1, 0, 0, open_rx, run_peek_release, NULL },
    { "close", WRITES, 0, 0, 0, CLOSES, open_tx, run_close, NULL },
    { "open tx", WRITES, 0, 0, 0, COLD, nothing, run_tx_open, NULL },
    { "open rx", READS, 0, 0, 0, COLD, nothing, run_rx_open, NULL },
    { "leave tx", WRITES, 0, 0, 0, 0, open_tx, run_tx_leave, NULL },
    { "leave rx", READS, 0, 0, 0, 0, open_rx, run_rx_leave, NULL },
    { "wait tx", WRITES, 0, 0, 0, COLD | WAITS, open_tx, run_tx_wait, NULL },
    { "wait rx", READS, 0, 0, 0, COLD | WAITS, open_rx, run_rx_wait, NULL },
    { "wait any", READS, 0, 0, 0, COLD | WAITS, open_rx, run_rx_wait_any, NULL },
    { "fd, arm", READS, 0, 0, 0, COLD | WAITS, open_rx, run_arm, NULL },
    { "reap", BOTH, 0, 0, REAPED, COLD, nothing, run_reap, redo_reap },
    { "redo_publish", WRITES, HAND - 1, 0, REDOES, 0, written_not_published, run_redo_publish,
      redo_publish },
    { "redo_release", READS, 0, HAND - 1, REDOES, 0, used_not_released, run_redo_release,
      redo_release },
};
const uint32_t op_count = sizeof ops / sizeof ops[0];
