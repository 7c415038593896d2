/* Filling and taking open batches. */
#include <assert.h>
#include <string.h>

#include "core/batch_state_priv.h"
#include "core/spans_priv.h"

/* ---- lists: one for each state ---------------------------------------------- */

void belt_batches_append(struct belt_batches *batches, struct belt_open_batch *open, uint32_t state)
{
    struct belt_batch_list *list = &batches->lists[state];
    open->state = state;
    open->next = NULL;
    open->prev = list->last;
    if (list->last)
        list->last->next = open;
    else
        list->first = open;
    list->last = open;
    list->count++;
}

static void unlink_from_list(struct belt_batches *batches, struct belt_open_batch *open)
{
    struct belt_batch_list *list = &batches->lists[open->state];
    *(open->next ? &open->next->prev : &list->last) = open->prev;
    *(open->prev ? &open->prev->next : &list->first) = open->next;
    list->count--;
}

void belt_batches_move(struct belt_batches *batches, struct belt_open_batch *open, uint32_t state)
{
    unlink_from_list(batches, open);
    belt_batches_append(batches, open, state);
}

static void move_to_front(struct belt_batches *batches, struct belt_open_batch *open,
                          uint32_t state)
{
    struct belt_batch_list *list = &batches->lists[state];
    unlink_from_list(batches, open);
    open->state = state;
    open->prev = NULL;
    open->next = list->first;
    *(list->first ? &list->first->prev : &list->last) = open;
    list->first = open;
    list->count++;
}

/* ---- the table of open batches, by key -------------------------------------- */

static uint64_t load8(const char *bytes)
{
    uint64_t word;
    memcpy(&word, bytes, sizeof word);
    return word;
}

/* Keys are short: a call of memcmp() took 40 % of the time of an append. */
static bool same_bytes(const char *a, const char *b, uint32_t size)
{
    uint64_t differ = 0;
    if (size >= 8) {
        for (uint32_t i = 0; i < size - 8; i += 8)
            differ |= load8(a + i) ^ load8(b + i);
        return !(differ | (load8(a + size - 8) ^ load8(b + size - 8)));
    }
    for (uint32_t i = 0; i < size; i++)
        differ |= (uint64_t)(a[i] ^ b[i]);
    return !differ;
}

static bool has_key(const struct belt_open_batch *open, const char *key, uint32_t size,
                    uint32_t hash)
{
    return open->hash == hash && open->batch.key_size == size &&
           same_bytes(open->batch.key, key, size);
}

static struct belt_open_batch *find(struct belt_batches *batches, const char *key, uint32_t size,
                                    uint32_t hash)
{
    struct belt_open_batch *last = batches->last;
    if (last && has_key(last, key, size, hash))
        return last;
    uint32_t at = belt_batches_home(batches, hash);
    for (; batches->slots[at].batch; at = (at + 1) & batches->slot_mask)
        if (batches->slots[at].hash == hash && has_key(batches->slots[at].batch, key, size, hash))
            return batches->slots[at].batch;
    return NULL;
}

static void table_add(struct belt_batches *batches, struct belt_open_batch *open)
{
    uint32_t at = belt_batches_home(batches, open->hash);
    while (batches->slots[at].batch)
        at = (at + 1) & batches->slot_mask;
    batches->slots[at] = (struct belt_batch_slot){ open, open->hash };
}

/* Later entries of the chain move up, so no slot ever stays marked as removed. */
static void table_remove(struct belt_batches *batches, const struct belt_open_batch *open)
{
    uint32_t mask = batches->slot_mask, hole = belt_batches_home(batches, open->hash);
    while (batches->slots[hole].batch != open)
        hole = (hole + 1) & mask;
    for (uint32_t at = (hole + 1) & mask; batches->slots[at].batch; at = (at + 1) & mask) {
        uint32_t home = belt_batches_home(batches, batches->slots[at].hash);
        if (((at - home) & mask) < ((at - hole) & mask))
            continue; /* it would land before its home */
        batches->slots[hole] = batches->slots[at];
        hole = at;
    }
    batches->slots[hole].batch = NULL;
}

/* ---- life of a batch -------------------------------------------------------- */

static void cut(struct belt_batches *batches, struct belt_open_batch *open, uint32_t trigger)
{
    if (batches->last == open)
        batches->last = NULL;
    table_remove(batches, open);
    open->batch.trigger = trigger;
    belt_batches_move(batches, open, BELT_BATCH_CUT);
}

static void cut_if_full(struct belt_batches *batches, struct belt_open_batch *open)
{
    if (open->batch.count >= batches->conf.size)
        cut(batches, open, BELT_TRIGGER_SIZE);
    else if (open->batch.bytes_size >= batches->limit)
        cut(batches, open, BELT_TRIGGER_BYTES);
}

void belt_batches_cut_if_full(struct belt_batches *batches, struct belt_open_batch *open)
{
    cut_if_full(batches, open);
}

/* In a control block, behind the key. */
static uint64_t user_at(uint32_t key_size)
{
    return (sizeof(struct belt_batch_control) + (uint64_t)key_size + 7) & ~UINT64_C(7);
}

static void free_batch(struct belt_batches *batches, struct belt_open_batch *open)
{
    struct belt_batch_control *control = belt_batch_control(open);
    belt_buddy_give(&batches->buddy, open->bytes);
    if (open->spans != control->spans)
        belt_buddy_give(&batches->buddy, open->spans);
    if (open->runs != control->runs)
        belt_buddy_give(&batches->buddy, open->runs);
    belt_buddy_give(&batches->buddy, control);
}

struct belt_open_batch *belt_batches_make(struct belt_batches *batches, const char *key,
                                          uint32_t key_size, uint32_t hash, uint64_t bytes,
                                          uint64_t now)
{
    struct belt_batch_control *control =
        belt_buddy_take(&batches->buddy, user_at(key_size) + batches->conf.user_bytes);
    if (!control)
        return NULL;
    char *room = belt_buddy_take(&batches->buddy, bytes);
    if (!room) {
        belt_buddy_give(&batches->buddy, control);
        return NULL;
    }
    struct belt_open_batch *open = &control->open;
    *open = (struct belt_open_batch){
        .batch = { .size = sizeof open->batch,
                   .key = control->key,
                   .key_size = key_size,
                   .batcher = batches->conf.name,
                   .partition = batches->conf.partition },
        .home = batches,
        .runs = control->runs,
        .hash = hash,
        .first_at = now,
        .owner = batches->conf.owner,
        .spans = control->spans,
        .bytes = room,
        .room_bytes = belt_buddy_size(&batches->buddy, room),
        .room_spans = BELT_FIRST_SPANS,
        .room_runs = BELT_FIRST_RUNS,
    };
    if (key_size)
        memcpy(control->key, key, key_size);
    if (batches->conf.user_bytes)
        memset((char *)control + user_at(key_size), 0, batches->conf.user_bytes);
    return open;
}

static struct belt_open_batch *open_new(struct belt_batches *batches, const char *key,
                                        uint32_t key_size, uint32_t hash, uint64_t bytes,
                                        uint64_t now)
{
    if (batches->lists[BELT_BATCH_OPEN].count >= batches->conf.max_keys)
        return NULL;
    if (batches->spare) /* all of the memory is for batches that are open */
        free_batch(batches, batches->spare);
    batches->spare = NULL;
    struct belt_open_batch *open = belt_batches_make(batches, key, key_size, hash, bytes, now);
    if (!open)
        return NULL;
    table_add(batches, open);
    belt_batches_append(batches, open, BELT_BATCH_OPEN);
    return open;
}

void *belt_batches_grow(struct belt_batches *batches, void *old, const void *fixed, uint64_t used,
                        uint64_t need, uint64_t *room)
{
    void *block = belt_buddy_take(&batches->buddy, need);
    if (!block)
        return NULL;
    if (used)
        memcpy(block, old, used);
    if (old != fixed)
        belt_buddy_give(&batches->buddy, old);
    *room = belt_buddy_size(&batches->buddy, block);
    return block;
}

#define SOON_FULL (16u << 10)

/* How much room to ask for: all that a batch may have once it has grown large, while
 * half of the arena is free, so that its rows are not copied at each doubling. */
static uint64_t room_for(const struct belt_batches *batches, uint64_t need)
{
    bool plenty = batches->buddy.used < batches->conf.arena_bytes / 2;
    return need > SOON_FULL && need < batches->limit && plenty ? batches->limit : need;
}

/* Room for so much more, or false: the arena is used up. */
bool belt_batches_reserve(struct belt_batches *batches, struct belt_open_batch *open,
                          uint64_t bytes, uint32_t rows, uint32_t runs)
{
    struct belt_batch_control *control = belt_batch_control(open);
    uint32_t count = open->batch.count;
    uint64_t used = open->batch.bytes_size, room;
    void *block;
    if (used + bytes > open->room_bytes) {
        uint64_t need = used + bytes;
        block = belt_batches_grow(batches, open->bytes, NULL, used, room_for(batches, need),
                                  &open->room_bytes);
        if (!block)
            block = belt_batches_grow(batches, open->bytes, NULL, used, need, &open->room_bytes);
        if (!block)
            return false;
        open->bytes = block;
    }
    if (count + rows > open->room_spans) {
        block = belt_batches_grow(batches, open->spans, control->spans,
                                  count * sizeof(struct belt_span),
                                  (uint64_t)(count + rows) * BELT_ROW_INDEX, &room);
        if (!block)
            return false;
        open->spans = block;
        open->room_spans = (uint32_t)(room / BELT_ROW_INDEX);
    }
    if (open->run_count + runs > open->room_runs) {
        block = belt_batches_grow(
            batches, open->runs, control->runs, open->run_count * sizeof(struct belt_run),
            (uint64_t)(open->run_count + runs) * sizeof(struct belt_run), &room);
        if (!block)
            return false;
        open->runs = block;
        open->room_runs = (uint32_t)(room / sizeof(struct belt_run));
    }
    return true;
}

/* The open batch of this key that may still take a row of `row_bytes`. */
static struct belt_open_batch *batch_for(struct belt_batches *batches, const char *key,
                                         uint32_t key_size, uint32_t hash, uint64_t row_bytes,
                                         uint64_t now)
{
    struct belt_open_batch *open = find(batches, key, key_size, hash);
    if (open && open->batch.bytes_size + row_bytes > batches->limit) {
        cut(batches, open, BELT_TRIGGER_BYTES);
        open = NULL;
    }
    if (!open)
        open = open_new(batches, key, key_size, hash, row_bytes, now);
    if (open)
        batches->last = open;
    return open;
}

/* Neighbours share a run as long as low bits first is the order of their rows. */
static void add_run(struct belt_open_batch *open, uint64_t word, uint64_t mask)
{
    struct belt_run *last = open->run_count ? &open->runs[open->run_count - 1] : NULL;
    if (last && last->word == word && (mask & -mask) > last->mask)
        last->mask |= mask;
    else if (mask)
        open->runs[open->run_count++] = (struct belt_run){ word, mask };
}

static __attribute__((noinline)) char *find_room(struct belt_batches *batches, const char *key,
                                                 uint32_t key_size, uint32_t hash,
                                                 uint32_t row_bytes, uint64_t now)
{
    struct belt_open_batch *open = batch_for(batches, key, key_size, hash, row_bytes, now);
    if (!open || !belt_batches_reserve(batches, open, row_bytes, 1, 1))
        return NULL;
    return open->bytes + open->batch.bytes_size;
}

/* The same key as last time and room for it: no call, no registers to save. */
char *belt_batch_room(struct belt_batches *batches, const char *key, uint32_t key_size,
                      uint32_t hash, uint32_t row_bytes, uint64_t now)
{
    struct belt_open_batch *last = batches->last;
    if (last && has_key(last, key, key_size, hash)) {
        uint64_t end = last->batch.bytes_size + row_bytes;
        if (end <= batches->limit && end <= last->room_bytes &&
            last->batch.count < last->room_spans && last->run_count < last->room_runs)
            return last->bytes + last->batch.bytes_size;
    }
    return find_room(batches, key, key_size, hash, row_bytes, now);
}

void belt_batch_add(struct belt_batches *batches, uint32_t row_bytes, uint64_t word, uint64_t bit)
{
    struct belt_open_batch *open = batches->last;
    struct belt_batch *batch = &open->batch;
    assert(batch->bytes_size + row_bytes <= open->room_bytes && batch->count < open->room_spans);
    open->spans[batch->count++] = (struct belt_span){ (uint32_t)batch->bytes_size, row_bytes };
    batch->bytes_size += row_bytes;
    add_run(open, word, bit);
    cut_if_full(batches, open);
}

struct belt_batch *belt_batches_last(struct belt_batches *batches, void **user)
{
    struct belt_open_batch *open = batches->last;
    *user = (char *)belt_batch_control(open) + user_at(open->batch.key_size);
    open->batch.bytes = open->bytes;
    open->batch.spans = open->spans;
    return &open->batch;
}

void belt_batches_cut_last(struct belt_batches *batches, enum belt_trigger trigger)
{
    if (batches->last)
        cut(batches, batches->last, trigger);
}

/* ---- many rows at once ------------------------------------------------------ */

static uint64_t bytes_of(const struct belt_rows *rows, uint32_t count)
{
    const struct belt_span *last = &rows->spans[count - 1];
    return (uint64_t)last->at + last->size - rows->spans[0].at;
}

/* How many rows from the front the batch may take before it is cut. At least one:
 * batch_for() has seen that the first fits, or that the batch is empty. */
static uint32_t fitting(const struct belt_batches *batches, const struct belt_open_batch *open,
                        const struct belt_rows *rows)
{
    uint32_t most = batches->conf.size - open->batch.count;
    if (most > rows->count)
        most = rows->count;
    if (open->batch.bytes_size + bytes_of(rows, most) <= batches->limit)
        return most;
    uint32_t fits = 1;
    while (most - fits > 1) {
        uint32_t middle = fits + (most - fits) / 2;
        if (open->batch.bytes_size + bytes_of(rows, middle) <= batches->limit)
            fits = middle;
        else
            most = middle;
    }
    return fits;
}

/* Moves the tickets of the first `count` rows. */
void belt_batch_move_tickets(struct belt_open_batch *open, struct belt_rows *rows, uint32_t count)
{
    while (count) {
        assert(rows->run_count);
        uint64_t mask = rows->runs->mask, rest = 0;
        uint32_t bits = (uint32_t)__builtin_popcountll(mask);
        if (bits > count) {
            rest = mask;
            for (bits = count; count; count--)
                rest &= rest - 1;
        } else {
            count -= bits;
        }
        if (mask)
            add_run(open, rows->runs->word, mask & ~rest);
        rows->runs->mask = rest;
        if (!rest) {
            rows->runs++;
            rows->run_count--;
        }
    }
}

static void move_rows(struct belt_batches *batches, struct belt_open_batch *open,
                      struct belt_rows *rows, uint32_t count)
{
    struct belt_batch *batch = &open->batch;
    const struct belt_span *from = rows->spans;
    uint64_t bytes = bytes_of(rows, count);
    uint32_t shift = (uint32_t)batch->bytes_size - from[0].at; /* modulo 2^32 */
    if (bytes)
        memcpy(open->bytes + batch->bytes_size, rows->base + from[0].at, bytes);
    belt_spans_move(open->spans + batch->count, from, count, shift);
    belt_batch_move_tickets(open, rows, count);
    batch->count += count;
    batch->bytes_size += bytes;
    rows->spans += count;
    rows->count -= count;
    cut_if_full(batches, open);
}

uint32_t belt_batch_add_many(struct belt_batches *batches, const char *key, uint32_t key_size,
                             uint32_t hash, struct belt_rows *rows, uint64_t now)
{
    uint32_t wanted = rows->count;
    while (rows->count) {
        struct belt_open_batch *open =
            batch_for(batches, key, key_size, hash, rows->spans[0].size, now);
        if (!open)
            break;
        uint32_t count = fitting(batches, open, rows);
        /* An arena that is nearly full still takes what it can. */
        while (count && !belt_batches_reserve(batches, open, bytes_of(rows, count), count,
                                              count < rows->run_count ? count : rows->run_count))
            count /= 2;
        if (!count)
            break;
        move_rows(batches, open, rows, count);
    }
    return wanted - rows->count;
}

/* ---- taking ----------------------------------------------------------------- */

static bool is_key_of(const struct belt_open_batch *a, const struct belt_open_batch *b)
{
    return has_key(a, b->batch.key, b->batch.key_size, b->hash);
}

/* The batch of the same key that is out, or NULL. */
static struct belt_open_batch *ahead_of(const struct belt_batches *batches,
                                        const struct belt_open_batch *open)
{
    static const uint32_t out[] = { BELT_BATCH_FLIGHT, BELT_BATCH_RETRY };
    for (size_t i = 0; i < sizeof out / sizeof *out; i++)
        for (struct belt_open_batch *at = batches->lists[out[i]].first; at; at = at->next)
            if (is_key_of(at, open))
                return at;
    return NULL;
}

/* The first cut batch whose turn it is. Others stand behind what they wait for, so that
 * nobody looks at them again before its end. */
static struct belt_open_batch *first_cut(struct belt_batches *batches)
{
    struct belt_open_batch *open, *ahead;
    while ((open = batches->lists[BELT_BATCH_CUT].first) && batches->conf.in_turn &&
           (ahead = ahead_of(batches, open))) {
        ahead->blocks = true;
        belt_batches_move(batches, open, BELT_BATCH_BEHIND);
    }
    return open;
}

void belt_batches_unblock(struct belt_batches *batches, struct belt_open_batch *open)
{
    struct belt_open_batch *next = batches->lists[BELT_BATCH_BEHIND].first;
    if (!open->blocks)
        return;
    open->blocks = false;
    while (next && !is_key_of(next, open))
        next = next->next;
    if (!next)
        return;
    next->blocks = true; /* others may stand behind it */
    move_to_front(batches, next, BELT_BATCH_CUT);
}

static struct belt_open_batch *lend(struct belt_batches *batches, struct belt_open_batch *open)
{
    belt_batches_move(batches, open, BELT_BATCH_FLIGHT);
    open->batch.bytes = open->bytes;
    open->batch.spans = open->spans;
    open->batch.attempt++;
    return open;
}

static struct belt_open_batch *take_cut(struct belt_batches *batches)
{
    struct belt_open_batch *open = belt_batches_may_take(batches) ? first_cut(batches) : NULL;
    return open ? lend(batches, open) : NULL;
}

struct belt_open_batch *belt_batches_retry(struct belt_batches *batches, uint64_t now)
{
    struct belt_open_batch *open = batches->lists[BELT_BATCH_RETRY].first;
    while (open && open->due > now)
        open = open->next;
    return open && belt_batches_may_take(batches) ? lend(batches, open) : NULL;
}

/* A cut batch, or the oldest open one that began so early that it is due by `now`. */
static struct belt_open_batch *take(struct belt_batches *batches, uint32_t trigger, uint64_t now)
{
    struct belt_open_batch *ready;
    while (!(ready = take_cut(batches)) && belt_batches_may_take(batches)) {
        struct belt_open_batch *open = batches->lists[BELT_BATCH_OPEN].first;
        if (!open || (now != UINT64_MAX && belt_batches_first_deadline(batches) > now))
            break;
        cut(batches, open, trigger);
    }
    return ready;
}

void belt_batches_cut(struct belt_batches *batches, const char *key, uint32_t key_size,
                      uint32_t hash, enum belt_trigger trigger)
{
    struct belt_open_batch *open = find(batches, key, key_size, hash);
    if (open)
        cut(batches, open, trigger);
}

struct belt_open_batch *belt_batches_full(struct belt_batches *batches)
{
    return take_cut(batches);
}

struct belt_open_batch *belt_batches_due(struct belt_batches *batches, uint64_t now)
{
    return take(batches, BELT_TRIGGER_TIMEOUT, now);
}

struct belt_open_batch *belt_batches_oldest(struct belt_batches *batches)
{
    return take(batches, BELT_TRIGGER_PRESSURE, UINT64_MAX);
}

struct belt_open_batch *belt_batches_any(struct belt_batches *batches)
{
    return take(batches, BELT_TRIGGER_END, UINT64_MAX);
}

void belt_batches_give_back(struct belt_batches *batches, struct belt_open_batch *open)
{
    assert(open->state == BELT_BATCH_FLIGHT || open->state == BELT_BATCH_FAILED);
    unlink_from_list(batches, open);
    belt_batches_unblock(batches, open);
    belt_batch_forget_reasons(open);
    if (!belt_batches_keep_spare(batches, open))
        free_batch(batches, open);
}
