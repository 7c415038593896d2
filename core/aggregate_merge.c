/* Aggregate: emission of groups that are in the file.
 *
 *   runs by key ──> passes, until as few runs are left as there is memory to read them by
 *               ──> one merge: the parts of each group put together, in the order of keys
 *                     └─ another sort_by: table after table of them is sorted by that and
 *                        written as a run; then passes and one merge of these
 *
 * The table itself is empty meanwhile: its slots hold the group at hand of each run, and
 * behind them those that are put together. A step is a bounded number of groups. */
#include <errno.h>
#include <string.h>

#include "core/aggregate_store_priv.h"

#define FAN 512u /* most runs that are read at a time */
#define WINDOW_LEAST (UINT64_C(16) << 10)
#define WINDOW_MOST (UINT64_C(1) << 20)
#define STEP 4096u /* groups */

struct cursor {
    struct belt_agg_entry entry; /* the group at hand, in the cursor's slot */
    const char *blob;            /* and as it lies in the window */
    uint64_t at, left;           /* in the file: what has not been read */
    char *window;
    uint32_t have, used; /* bytes in it, and those of them that are gone */
};

enum phase { PASS, RESORT, LAST };

struct belt_agg_merge {
    enum phase phase;
    bool by_key; /* of the runs at hand; else by sort_by */
    bool open;   /* the runs of `fan` are being read */
    uint32_t fan, heap_used, window;
    uint32_t inputs; /* RESORT: runs that are read; those behind them are new */
    uint64_t batch;  /* RESORT: groups put together since the last run */
    struct belt_agg_writer to;
    uint16_t heap[FAN];
    struct cursor cursors[FAN];
};

size_t belt_agg_merge_size(void)
{
    return sizeof(struct belt_agg_merge);
}

static belt_agg_before *order_of(const struct belt_agg_merge *m)
{
    return m->by_key ? belt_agg_key_before : belt_agg_row_before;
}

/* ---- runs ----------------------------------------------------------------------- */

/* So many bytes of the next blob are in the window, or it is not what was written. */
static int read_more(struct belt_agg *agg, struct cursor *c, uint32_t want, struct belt_error *err)
{
    uint32_t rest = c->have - c->used, room = agg->merge->window - rest;
    if (rest >= want)
        return 0;
    uint64_t size = c->left < room ? c->left : room;
    memmove(c->window, c->window + c->used, rest);
    c->used = 0;
    c->have = rest + (uint32_t)size;
    int rc = belt_agg_store_read(agg->store, c->at, c->window + rest, size, err);
    c->at += size;
    c->left -= size;
    return rc < 0 || c->have >= want ? rc : belt_agg_store_spoilt(agg->store, c->at, err);
}

/* 1: there is a next group; 0: the run is at its end. */
static int advance(struct belt_agg *agg, struct cursor *c, struct belt_error *err)
{
    uint32_t head[2], size; /* the seal, the key's size */
    if (c->used == c->have && !c->left)
        return 0;
    int rc = read_more(agg, c, sizeof head, err);
    if (rc < 0)
        return rc;
    memcpy(head, c->window + c->used, sizeof head);
    size = belt_agg_blob_size_of(agg, head[1]);
    rc = read_more(agg, c, size, err);
    if (rc < 0)
        return rc;
    uint64_t at = c->at - (c->have - c->used);
    c->blob = c->window + c->used;
    if (!size || head[0] != belt_agg_seal(c->blob, size, at))
        return belt_agg_store_spoilt(agg->store, at, err);
    c->used += size;
    belt_agg_blob_take(agg, c->entry.group, c->blob);
    c->entry = belt_agg_entry(agg, c->entry.group, agg->merge->by_key);
    return 1;
}

static bool is_above(const struct belt_agg *agg, uint16_t a, uint16_t b)
{
    const struct belt_agg_merge *m = agg->merge;
    return order_of(m)(agg, &m->cursors[a].entry, &m->cursors[b].entry);
}

static void sink_down(struct belt_agg *agg, uint32_t i)
{
    struct belt_agg_merge *m = agg->merge;
    for (uint32_t child; (child = 2 * i + 1) < m->heap_used; i = child) {
        if (child + 1 < m->heap_used && is_above(agg, m->heap[child + 1], m->heap[child]))
            child++;
        if (!is_above(agg, m->heap[child], m->heap[i]))
            return;
        uint16_t other = m->heap[i];
        m->heap[i] = m->heap[child];
        m->heap[child] = other;
    }
}

/* The first m->fan runs. */
static int open_runs(struct belt_agg *agg, struct belt_error *err)
{
    struct belt_agg_merge *m = agg->merge;
    m->heap_used = 0;
    for (uint32_t i = 0; i < m->fan; i++) {
        m->cursors[i] = (struct cursor){ .entry.group = belt_agg_slot(agg, i),
                                         .at = agg->runs[i].at,
                                         .left = agg->runs[i].size,
                                         .window = agg->windows + (size_t)i * m->window };
        int rc = advance(agg, &m->cursors[i], err);
        if (rc < 0)
            return rc;
        if (rc)
            m->heap[m->heap_used++] = (uint16_t)i;
    }
    for (uint32_t i = m->heap_used / 2; i-- > 0;)
        sink_down(agg, i);
    m->open = true;
    return 0;
}

/* They have been read. */
static void drop_runs(struct belt_agg *agg)
{
    struct belt_agg_merge *m = agg->merge;
    for (uint32_t i = 0; i < m->fan; i++)
        belt_agg_store_drop(agg->store, agg->runs[i].at, agg->runs[i].size);
    agg->runs_used -= m->fan;
    memmove(agg->runs, agg->runs + m->fan, agg->runs_used * sizeof *agg->runs);
    m->open = false;
}

/* ---- groups --------------------------------------------------------------------- */

/* The cursor at the top of the heap goes on. */
static int next_top(struct belt_agg *agg, struct belt_error *err)
{
    struct belt_agg_merge *m = agg->merge;
    int rc = advance(agg, &m->cursors[m->heap[0]], err);
    if (rc == 0)
        m->heap[0] = m->heap[--m->heap_used];
    if (rc >= 0)
        sink_down(agg, 0);
    return rc;
}

static bool same_key(const struct belt_agg *agg, const struct belt_agg_group *a,
                     const struct belt_agg_group *b)
{
    uint32_t a_size, b_size;
    const char *a_key = belt_agg_key_bytes(agg, a, &a_size);
    const char *b_key = belt_agg_key_bytes(agg, b, &b_size);
    return a_size == b_size && memcmp(a_key, b_key, a_size) == 0;
}

/* Puts the next group together in slot `slot`, its key in the key store. 1; 0: there is
 * none; -EAGAIN: no room for its key. */
static int next_group(struct belt_agg *agg, uint64_t slot, struct belt_error *err)
{
    struct belt_agg_merge *m = agg->merge;
    if (!m->heap_used)
        return 0;
    const struct cursor *top = &m->cursors[m->heap[0]];
    struct belt_agg_group *group = belt_agg_slot(agg, slot);
    uint32_t size;
    const char *key = belt_agg_key_bytes(agg, top->entry.group, &size);
    bool is_long = belt_agg_is_long(&top->entry.group->key);
    if (is_long && size > agg->keys_room - agg->keys_used)
        return -EAGAIN;
    belt_agg_blob_take(agg, group, top->blob);
    if (is_long) {
        group->key.word[1] = agg->keys_used;
        memcpy(agg->keys + agg->keys_used, key, size);
        agg->keys_used += size;
    }
    int rc = next_top(agg, err);
    while (rc >= 0 && m->heap_used) {
        top = &m->cursors[m->heap[0]];
        if (!same_key(agg, group, top->entry.group))
            break;
        belt_agg_blob_add(agg, group, top->blob);
        rc = next_top(agg, err);
    }
    return rc < 0 ? rc : 1;
}

/* ---- phases --------------------------------------------------------------------- */

static bool is_order_of_keys(const struct belt_agg_spec *spec)
{
    bool text = spec->keys_used == 1 && spec->keys[0].type == BELT_TEXT;
    return !spec->sort_used || (text && spec->sort[0] == 0);
}

/* How many runs fit memory, each with a window that holds its longest blob. */
static void plan_reading(struct belt_agg *agg)
{
    struct belt_agg_merge *m = agg->merge;
    uint64_t window = WINDOW_LEAST, runs = agg->runs_used ? agg->runs_used : 1, even, fan;
    for (uint32_t r = 0; r < agg->runs_used; r++)
        if (agg->runs[r].largest > window)
            window = (agg->runs[r].largest + 4095) & ~UINT64_C(4095);
    even = agg->windows_room / runs & ~UINT64_C(4095);
    even = even < WINDOW_MOST ? even : WINDOW_MOST;
    window = even > window ? even : window;
    fan = agg->windows_room / window;
    fan = fan < FAN ? fan : FAN;
    m->window = (uint32_t)window;
    m->fan = (uint32_t)(runs < fan ? runs : fan);
    if (agg->runs_used > m->fan)
        m->phase = PASS;
    else
        m->phase = m->by_key && !is_order_of_keys(agg->spec) ? RESORT : LAST;
    if (!agg->runs_used)
        m->fan = 0;
}

int belt_agg_merge_begin(struct belt_agg *agg, struct belt_error *err)
{
    int rc = belt_agg_finish(agg, err);
    if (rc < 0)
        return rc;
    belt_agg_use_level(agg, belt_agg_most_slots(agg));
    agg->merging = true;
    memset(agg->merge, 0, offsetof(struct belt_agg_merge, heap));
    agg->merge->by_key = true;
    plan_reading(agg);
    return 0;
}

/* Some runs become one. */
static int step_pass(struct belt_agg *agg, struct belt_error *err)
{
    struct belt_agg_merge *m = agg->merge;
    int rc = 1;
    if (!m->open) {
        uint64_t size = 0;
        for (uint32_t i = 0; i < m->fan; i++)
            size += agg->runs[i].size;
        rc = belt_agg_write_begin(agg, &m->to, size, err);
        rc = rc < 0 ? rc : open_runs(agg, err);
        return rc < 0 ? rc : 1;
    }
    for (uint32_t i = 0; rc > 0 && i < STEP; i++) {
        agg->keys_used = 0;
        rc = next_group(agg, m->fan, err);
        if (rc > 0 && (rc = belt_agg_write(agg, &m->to, belt_agg_slot(agg, m->fan), err)) == 0)
            rc = 1;
    }
    if (rc != 0)
        return rc;
    rc = belt_agg_write_end(agg, &m->to, err);
    drop_runs(agg);
    plan_reading(agg);
    return rc < 0 ? rc : 1;
}

/* What has been put together becomes a run by sort_by. */
static int write_sorted(struct belt_agg *agg, struct belt_error *err)
{
    struct belt_agg_writer to;
    uint64_t size = 0;
    agg->sorted = agg->merge->batch;
    for (uint64_t i = 0; i < agg->sorted; i++)
        size += belt_agg_blob_size(agg, agg->order[i].group);
    belt_agg_sort_entries(agg, belt_agg_row_before);
    int rc = belt_agg_write_begin(agg, &to, size, err);
    for (uint64_t i = 0; rc == 0 && i < agg->sorted; i++)
        rc = belt_agg_write(agg, &to, agg->order[i].group, err);
    agg->sorted = agg->merge->batch = agg->keys_used = 0;
    return rc < 0 ? rc : belt_agg_write_end(agg, &to, err);
}

/* Beside the windows, which take half of the memory. Slots and entries are enough. */
static uint64_t batch_most(const struct belt_agg *agg)
{
    return agg->most / 2 < BELT_FRAME ? BELT_FRAME : agg->most / 2;
}

static int step_resort(struct belt_agg *agg, struct belt_error *err)
{
    struct belt_agg_merge *m = agg->merge;
    uint64_t most = batch_most(agg);
    int rc = 1;
    if (!m->open)
        return (rc = open_runs(agg, err)) < 0 ? rc : 1;
    for (uint32_t i = 0; rc > 0 && i < STEP && m->batch < most; i++) {
        uint64_t slot = m->fan + m->batch;
        rc = next_group(agg, slot, err);
        if (rc > 0)
            agg->order[m->batch++] = belt_agg_entry(agg, belt_agg_slot(agg, slot), false);
    }
    if (rc < 0 && rc != -EAGAIN)
        return rc;
    bool ended = rc == 0;
    if (m->batch && (ended || rc < 0 || m->batch == most) && (rc = write_sorted(agg, err)) < 0)
        return rc;
    if (ended) {
        drop_runs(agg);
        m->by_key = false;
        plan_reading(agg);
    }
    return 1;
}

/* A frame of rows. */
static int step_last(struct belt_agg *agg, struct belt_error *err)
{
    struct belt_agg_merge *m = agg->merge;
    int rc = m->open ? 0 : open_runs(agg, err);
    if (rc < 0)
        return rc;
    agg->first += agg->sorted;
    agg->sorted = agg->keys_used = 0;
    while (agg->sorted < BELT_FRAME) {
        struct belt_agg_group *group = belt_agg_slot(agg, m->fan + agg->sorted);
        rc = next_group(agg, m->fan + agg->sorted, err);
        if (rc <= 0)
            break;
        rc = belt_agg_check_sums(agg, group, err);
        if (rc < 0)
            return rc;
        agg->order[agg->sorted++].group = group;
    }
    if (!agg->sorted && m->fan)
        drop_runs(agg);
    return rc < 0 && rc != -EAGAIN ? rc : 0;
}

int belt_agg_load(struct belt_agg *agg, uint64_t from, struct belt_error *err)
{
    static int (*const step[])(struct belt_agg *, struct belt_error *) = { step_pass, step_resort,
                                                                           step_last };
    if (!agg->merging || from - agg->first < agg->sorted)
        return 0;
    return step[agg->merge->phase](agg, err);
}
