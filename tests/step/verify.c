/* The survivor: takes the dead one's place, empties the ring, counts, and uses it. */
#include "tests/step/step_priv.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

enum { TOLD_MOST = 20, TURNS = 2 };

struct survivor {
    const struct scene *scene;
    const struct op *op;
    const struct hand *hand;
    const struct death *death;
    struct tally *tally;
    struct belt_tx tx[ENDS];
    struct belt_rx rx[ENDS];
    uint8_t seen[ENDS][NUMBERS];   /* how often each reader got each item */
    uint32_t order[ENDS][NUMBERS]; /* in which order */
    uint32_t count[ENDS];
    bool taken[NUMBERS]; /* the dead one had copied it */
    uint8_t writer[NUMBERS];
    uint32_t next;         /* number */
    bool broken[VERDICTS]; /* a death counts once for each */
};

static void violation(struct survivor *s, enum verdict verdict, const char *format, ...)
{
    static uint32_t told;
    va_list args;
    s->tally->bad[verdict] += !s->broken[verdict];
    s->broken[verdict] = true;
    if ((s->scene->kind->traits & MAY_WEDGE) || told++ >= TOLD_MOST)
        return;
    fprintf(stderr, "%s, %s, %s, killed after %u instructions%s: ", s->scene->kind->name,
            s->op->name, s->scene->state->name, s->death->steps,
            s->death->early ? "" : " (it had returned)");
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
}

static bool has(const struct survivor *s, enum trait trait)
{
    return s->scene->kind->traits & trait;
}

/* ---- taking over -------------------------------------------------------------------- */

static bool take_over(struct survivor *s)
{
    const struct kind *kind = s->scene->kind;
    int rc = s->op->redo ? s->op->redo(s->scene, s->hand) : 0;
    if (rc == 0 && has(s, REAPED))
        rc = belt_ring_reap(s->scene->mem, NULL);
    for (uint32_t i = 0; i < kind->writers && rc == 0; i++)
        rc = belt_tx_open(&s->tx[i], s->scene->mem);
    for (uint32_t i = 0; i < kind->readers && rc == 0; i++)
        rc = belt_rx_open(&s->rx[i], s->scene->mem);
    if (rc < 0)
        violation(s, REFUSED, "taking over: %s", strerror(-rc));
    return rc == 0;
}

static void leave(struct survivor *s)
{
    for (uint32_t i = 0; i < s->scene->kind->writers; i++)
        belt_tx_leave(&s->tx[i]);
    for (uint32_t i = 0; i < s->scene->kind->readers; i++)
        belt_rx_leave(&s->rx[i]);
}

/* ---- emptying ------------------------------------------------------------------------ */

static void drain_one(struct survivor *s, uint32_t reader)
{
    char item[ITEM_MAX];
    uint32_t size = s->scene->kind->item_size;
    while (belt_pop(&s->rx[reader], item, size)) {
        uint32_t number = item_number(item, size);
        if (number == 0)
            violation(s, TORN, "an item that nobody wrote");
        if (s->count[reader] == NUMBERS) {
            violation(s, WEDGED, "items without end");
            return;
        }
        s->seen[reader][number]++;
        s->order[reader][s->count[reader]++] = number;
    }
}

static void drain(struct survivor *s)
{
    memset(s->seen, 0, sizeof s->seen);
    memset(s->count, 0, sizeof s->count);
    for (uint32_t i = 0; i < s->scene->kind->readers; i++)
        drain_one(s, i);
}

/* How often `number` came: of those who should each have got it, the reader who
 * got it most seldom (or, above once, most often). */
static uint32_t copies(const struct survivor *s, uint32_t number)
{
    uint32_t readers = s->scene->kind->readers;
    uint32_t sum = 0, least = UINT32_MAX, most = 0;
    for (uint32_t i = 0; i < readers; i++) {
        uint32_t seen = s->seen[i][number];
        sum += seen;
        least = seen < least ? seen : least;
        most = seen > most ? seen : most;
    }
    if (!has(s, EACH_SEES_ALL))
        return sum;
    return most > 1 ? most : least;
}

/* ---- order --------------------------------------------------------------------------- */

/* Items that reaping gives back come out of order. */
static bool came_back(const struct survivor *s, uint32_t number)
{
    bool held = s->scene->state->claims && number < s->scene->first + DEAD_CLAIMS;
    return has(s, REAPED) && (s->taken[number] || held);
}

static void judge_order(struct survivor *s)
{
    for (uint32_t r = 0; r < s->scene->kind->readers; r++) {
        uint32_t last[ENDS] = { 0 };
        for (uint32_t i = 0; i < s->count[r]; i++) {
            uint32_t number = s->order[r][i];
            uint32_t *before = &last[s->writer[number]];
            if (came_back(s, number))
                continue;
            if (number < *before)
                violation(s, DISORDER, "item %u after %u", number, *before);
            *before = number;
        }
    }
}

/* ---- what was there, what is new ------------------------------------------------------- */

static void note_taken(struct survivor *s)
{
    uint32_t size = s->scene->kind->item_size;
    for (uint32_t i = 0; i < s->hand->before; i++)
        s->taken[s->hand->numbers[i]] = true;
    for (uint32_t i = 0; i < s->op->pops; i++) {
        uint32_t number = item_number(s->hand->items + (size_t)i * size, size);
        s->taken[number] = number != 0;
    }
}

/* At most so many items come again (ring.h, "a process that dies"). */
static uint32_t window(const struct survivor *s)
{
    if (has(s, MAY_MISS))
        return s->scene->capacity; /* whoever comes begins at the oldest */
    if (has(s, IN_LINES))
        return s->scene->per_line;
    return s->death->early && !s->op->redo ? s->op->pops : 0;
}

/* So many of the oldest may be overwritten in a lossy ring. */
static uint32_t may_miss(const struct survivor *s)
{
    uint32_t most = s->scene->last - s->scene->first + s->op->pushes;
    return has(s, MAY_MISS) && most > s->scene->capacity ? most - s->scene->capacity : 0;
}

/* The number of items that are gone because the dead one took them. */
static uint32_t judge_old(struct survivor *s)
{
    uint32_t gone = 0, again = 0, overwritten = s->scene->first + may_miss(s);
    bool gave_up = has(s, LEAVING_SKIPS) && s->op->side == READS && !s->op->pops;
    for (uint32_t n = s->scene->first; n < s->scene->last; n++) {
        uint32_t seen =
            has(s, EACH_SEES_ALL) && s->op->side == READS ? s->seen[0][n] : copies(s, n);
        if (seen > 1)
            violation(s, AGAIN, "item %u %u times", n, seen);
        else if (seen == 1)
            again += s->taken[n];
        else if (s->taken[n])
            gone++;
        else if (n >= overwritten && (!gave_up || s->seen[s->scene->kind->readers - 1][n] == 0))
            violation(s, LOST, "item %u", n);
    }
    s->tally->again += again;
    if (again > s->tally->window)
        s->tally->window = again;
    if (again > window(s))
        violation(s, AGAIN, "%u items, at most %u", again, window(s));
    return gone > s->hand->before ? gone - s->hand->before : 0;
}

/* The number of items that the dead one had published. */
static uint32_t judge_new(struct survivor *s)
{
    uint32_t arrived = 0, end = s->scene->last + s->op->pushes;
    bool exact = !s->death->early || s->op->redo;
    for (uint32_t n = s->scene->last; n < end; n++) {
        uint32_t seen = copies(s, n);
        if (seen > 1)
            violation(s, AGAIN, "new item %u %u times", n, seen);
        if (seen && n != s->scene->last + arrived && has(s, ONE_ORDER))
            violation(s, LOST, "new item %u came, one before it did not", n);
        arrived += seen != 0;
    }
    if (s->op->pushes && exact && arrived != s->hand->result)
        violation(s, LOST, "%u of %u items that were pushed", arrived, s->hand->result);
    return arrived;
}

static void judge_strangers(struct survivor *s)
{
    uint32_t end = s->scene->last + s->op->pushes;
    for (uint32_t n = 0; n < NUMBERS; n++)
        if ((n < s->scene->first || n >= end) && copies(s, n) && !s->taken[n])
            violation(s, AGAIN, "item %u, of long ago", n);
}

/* ---- going on -------------------------------------------------------------------------- */

/* Fills the ring; how many items that took. */
static uint32_t fill(struct survivor *s)
{
    uint32_t size = s->scene->kind->item_size, count = 0;
    for (uint32_t i = 0; i < s->scene->kind->writers; i++)
        for (char item[ITEM_MAX]; !has(s, MAY_MISS) || count < s->scene->capacity; count++) {
            item_make(item, size, s->next);
            if (s->next == NUMBERS || !belt_push(&s->tx[i], item, size))
                break;
            s->writer[s->next] = (uint8_t)i;
            s->next++;
        }
    return count;
}

static void judge_use(struct survivor *s)
{
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        uint32_t from = s->next, count = fill(s);
        if (count < ITEMS) {
            violation(s, WEDGED, "room for %u items only", count);
            return;
        }
        drain(s);
        judge_order(s);
        for (uint32_t n = from; n < s->next; n++)
            if (copies(s, n) != 1) {
                violation(s, WEDGED, "item %u, pushed by the survivor, came %u times", n,
                          copies(s, n));
                return;
            }
    }
}

/* A reaper leaves alone what the living hold. */
static void judge_holding(struct survivor *s)
{
    uint32_t size = s->scene->kind->item_size;
    char item[ITEM_MAX];
    struct belt_slots slots = belt_claim(&s->tx[0], 1);
    if (slots.count == 0 || belt_ring_reap(s->scene->mem, NULL) < 0) {
        violation(s, WEDGED, "no claim, or no reaping");
        return;
    }
    item_make(slots.first, size, 1);
    belt_publish(&s->tx[0], 1);
    slots = belt_peek(&s->rx[0], 1);
    if (slots.count == 0 || belt_ring_reap(s->scene->mem, NULL) < 0 ||
        item_number(slots.first, size) != 1)
        violation(s, LOST, "an item that the living held while the dead were reaped");
    if (slots.count)
        belt_release(&s->rx[0], 1);
    if (belt_pop(&s->rx[0], item, size))
        violation(s, AGAIN, "an item that the living held while the dead were reaped");
}

/* Whatever sleeper died beside it, the next one is woken. */
static void judge_waiting(struct survivor *s)
{
    char item[ITEM_MAX];
    uint32_t size = s->scene->kind->item_size;
    int rc = belt_rx_wait(&s->rx[0], belt_deadline(0));
    if (rc != -ETIMEDOUT)
        violation(s, WEDGED, "waiting at an empty ring: %d", rc);
    item_make(item, size, 1);
    if (!belt_push(&s->tx[0], item, size))
        violation(s, WEDGED, "no room in an empty ring");
    /* Sharded: the reader that it is for. */
    uint32_t ready = 0;
    for (uint32_t i = 0; i < s->scene->kind->readers; i++)
        ready += belt_rx_wait(&s->rx[i], belt_deadline(0)) == 0;
    if (!ready)
        violation(s, WEDGED, "waiting at a filled ring");
}

static void judge_end(struct survivor *s)
{
    bool closed = (s->op->flags & CLOSES) && !s->death->early && s->scene->kind->writers == 1;
    drain(s);
    if (closed && !belt_rx_ended(&s->rx[0]))
        violation(s, LOST, "a close that had returned");
    for (uint32_t i = 0; i < s->scene->kind->writers; i++)
        belt_close(&s->tx[i]);
    for (uint32_t i = 0; i < s->scene->kind->readers; i++)
        if (!belt_rx_ended(&s->rx[i]))
            violation(s, WEDGED, "closed, and does not end");
}

static void check(struct survivor *s, const char *when)
{
    int rule = belt_ring_check((struct belt_ring *)s->scene->mem.base, s->scene->mem.size);
    if (rule)
        violation(s, REFUSED, "belt_ring_check() %s: rule %d", when, rule);
}

static void count_moved(struct survivor *s, uint32_t moved)
{
    struct tally *t = s->tally;
    bool all = t->whole ? moved >= t->whole : !s->death->early;
    t->all += all;
    t->some += !all && moved;
    t->none += !all && !moved;
}

void verify(const struct scene *scene, const struct op *op, const struct hand *hand,
            const struct death *death, struct tally *tally)
{
    static struct survivor s;
    s = (struct survivor){ .scene = scene,
                           .op = op,
                           .hand = hand,
                           .death = death,
                           .tally = tally,
                           .next = scene->last + HAND };
    if (death->failed) {
        violation(&s, REFUSED, "the operation itself failed: %d", death->failed);
        return;
    }
    memcpy(s.writer, scene->writer, sizeof s.writer);
    note_taken(&s);
    check(&s, "after the death");
    if (!take_over(&s))
        return;
    drain(&s);
    uint32_t moved = judge_new(&s), gone = judge_old(&s);
    count_moved(&s, op->pops ? gone : moved);
    judge_strangers(&s);
    judge_order(&s);
    if (!(op->flags & CLOSES) || !s.tx[0].closed) {
        judge_use(&s);
        if (has(&s, REAPED))
            judge_holding(&s);
        judge_waiting(&s);
        check(&s, "after the recovery");
    }
    judge_end(&s);
    leave(&s);
}
