/* The kinds and states of rings, and how one is brought into a state. */
#include "tests/step/step_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

const struct kind kinds[] = {
    { "spans", BELT_SPSC, BELT_BODY_SPANS, 24, 1, 1, ONE_ORDER | REDOES },
    { "in-band 8", BELT_SPSC, BELT_BODY_INBAND, 8, 1, 1, ONE_ORDER | IN_LINES },
    { "in-band 24", BELT_SPSC, BELT_BODY_INBAND, 24, 1, 1, ONE_ORDER | IN_LINES },
    { "mpmc", BELT_MPMC, BELT_BODY_AUTO, 24, 1, 1, ONE_ORDER | REAPED },
    { "mpmc unsafe", BELT_MPMC_CRASH_UNSAFE, BELT_BODY_AUTO, 24, 1, 1, ONE_ORDER | MAY_WEDGE },
    { "sharded", BELT_SHARDED, BELT_BODY_SPANS, 24, 2, 2, 0 },
    { "sharded 8", BELT_SHARDED, BELT_BODY_INBAND, 8, 2, 2, IN_LINES },
    { "broadcast", BELT_BROADCAST, BELT_BODY_AUTO, 24, 1, 2,
      ONE_ORDER | EACH_SEES_ALL | LEAVING_SKIPS },
    { "lossy", BELT_LOSSY, BELT_BODY_AUTO, 24, 1, 2,
      ONE_ORDER | EACH_SEES_ALL | LEAVING_SKIPS | MAY_MISS },
};
const uint32_t kind_count = sizeof kinds / sizeof kinds[0];

const struct state states[] = {
    { .name = "empty", .fill = NOTHING, .quick = true },
    { .name = "middle", .fill = HALF, .quick = true },
    { .name = "full", .fill = ALL, .quick = true },
    { .name = "wrap", .fill = HALF, .wraps = true, .quick = true },
    { .name = "wrap 2^32", .fill = HALF, .wraps = true, .lap_before = UINT64_C(1) << 32 },
    { .name = "wrap 2^64", .fill = HALF, .wraps = true, .lap_before = UINT64_MAX },
    { .name = "dead claims", .fill = HALF, .claims = true, .quick = true },
    { .name = "dead sleeper", .fill = NOTHING, .armed = true },
};
const uint32_t state_count = sizeof states / sizeof states[0];

/* Lossy rings are never full: their last lap is. */
enum { UNTIL_FULL = NUMBERS / 2 };

/* ---- items ------------------------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ (x >> 29);
}

/* Every word says which number it belongs to. */
static uint64_t item_word(uint32_t number, uint32_t at)
{
    uint64_t high = mix((uint64_t)number << 8 | (at + 1)) << 32;
    return high | number;
}

void item_make(void *item, uint32_t size, uint32_t number)
{
    for (uint32_t at = 0; at < size / 8; at++) {
        uint64_t word = item_word(number, at);
        memcpy((char *)item + at * 8, &word, sizeof word);
    }
}

uint32_t item_number(const void *item, uint32_t size)
{
    char right[ITEM_MAX];
    uint32_t number;
    memcpy(&number, item, sizeof number);
    if (number == 0 || number >= NUMBERS)
        return 0;
    item_make(right, size, number);
    return memcmp(item, right, size) == 0 ? number : 0;
}

/* ---- bringing a ring into a state --------------------------------------------------- */

struct maker {
    struct scene *scene;
    struct belt_tx tx[ENDS];
    struct belt_rx rx[ENDS];
    uint32_t pushed; /* the last number */
};

static int maker_open(struct maker *m)
{
    int rc = 0;
    for (uint32_t i = 0; i < m->scene->kind->writers && rc == 0; i++)
        rc = belt_tx_open(&m->tx[i], m->scene->mem);
    for (uint32_t i = 0; i < m->scene->kind->readers && rc == 0; i++)
        rc = belt_rx_open(&m->rx[i], m->scene->mem);
    return rc;
}

/* Which writer brings the item of that number. */
static uint32_t writer_for(const struct kind *kind, uint32_t number)
{
    return number % kind->writers;
}

/* Up to `count`, until one finds no room. */
static int maker_push(struct maker *m, uint32_t count)
{
    uint32_t size = m->scene->kind->item_size;
    char item[ITEM_MAX];
    for (uint32_t i = 0; i < count; i++) {
        item_make(item, size, m->pushed + 1);
        if (!belt_push(&m->tx[writer_for(m->scene->kind, m->pushed + 1)], item, size))
            return count == UNTIL_FULL ? 0 : -ENOSPC;
        m->pushed++;
    }
    return 0;
}

static void maker_drain(struct maker *m)
{
    char item[ITEM_MAX];
    for (uint32_t i = 0; i < m->scene->kind->readers; i++)
        while (belt_pop(&m->rx[i], item, m->scene->kind->item_size))
            continue;
}

/* Slots held on both sides, for ever. */
static int maker_claim(struct maker *m)
{
    if (belt_peek(&m->rx[0], DEAD_CLAIMS).count != DEAD_CLAIMS ||
        belt_claim(&m->tx[0], DEAD_CLAIMS).count != DEAD_CLAIMS)
        return -ENOSPC;
    return 0;
}

static int maker_arm(struct maker *m)
{
    int fd = belt_rx_fd(&m->rx[0]);
    return fd < 0 ? fd : belt_rx_arm(&m->rx[0]) ? -EALREADY : 0;
}

/* A broadcast reader that left would have given up its items; ends whose claims or
 * sleep are to stay must not leave either. */
static void maker_leave(struct maker *m)
{
    const struct state *state = m->scene->state;
    if ((m->scene->kind->traits & LEAVING_SKIPS) || state->claims || state->armed)
        return;
    for (uint32_t i = 0; i < m->scene->kind->writers; i++)
        belt_tx_leave(&m->tx[i]);
    for (uint32_t i = 0; i < m->scene->kind->readers; i++)
        belt_rx_leave(&m->rx[i]);
}

/* Writers of sharded rings keep to a lane each while there is room. */
static uint32_t lanes_used(const struct scene *s)
{
    return s->kind->traits & ONE_ORDER ? 1 : s->kind->writers;
}

/* How many items pass through each lane before, and how many stay. */
static uint32_t items_through(const struct scene *s)
{
    if (s->state->fill == NOTHING)
        return 0;
    if (!s->state->wraps)
        return s->per_line;
    if (s->side == WRITES)
        return (s->capacity - 4) / s->per_line * s->per_line;
    return s->capacity - s->per_line;
}

static uint32_t items_staying(const struct scene *s, uint32_t through)
{
    if (s->state->fill == NOTHING)
        return 0;
    if (!s->state->wraps)
        return s->capacity / 2 + (s->per_line > 1);
    if (s->side == WRITES)
        return s->capacity - 1 - through;
    return s->per_line - 1 + HAND;
}

static int make(struct scene *scene, uint32_t through, uint32_t staying)
{
    struct maker m = { .scene = scene };
    int rc = maker_open(&m);
    if (rc == 0)
        rc = maker_push(&m, through);
    if (rc == 0) {
        maker_drain(&m);
        rc = maker_push(&m, staying);
    }
    if (rc == 0 && scene->state->claims)
        rc = maker_claim(&m);
    if (rc == 0 && scene->state->armed)
        rc = maker_arm(&m);
    if (rc == 0)
        maker_leave(&m);
    return rc;
}

/* In a process of its own, so that what it keeps belongs to a dead one. */
static int make_and_die(struct scene *scene, uint32_t through, uint32_t staying)
{
    int status;
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid == 0)
        _exit(-make(scene, through, staying));
    if (waitpid(pid, &status, 0) != pid)
        return -errno;
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPROTO;
}

static struct belt_ring_conf conf_for(const struct kind *kind, uint64_t start)
{
    return (struct belt_ring_conf){ .size = sizeof(struct belt_ring_conf),
                                    .item_size = kind->item_size,
                                    .items = ITEMS,
                                    .kind = kind->kind,
                                    .body = kind->body,
                                    .wait = BELT_WAIT_BLOCK,
                                    .writers = kind->writers,
                                    .readers = kind->readers,
                                    .start = start,
                                    .flags = BELT_NO_LINGER };
}

/* Formats the ring so that its end is crossed at the state's ticket. */
static int scene_format(struct scene *s)
{
    struct belt_ring_stat stat;
    struct belt_ring_conf conf = conf_for(s->kind, 0);
    int rc = belt_mem_map(&s->mem, belt_ring_footprint(&conf), BELT_MEM_SHARED);
    if (rc == 0)
        rc = belt_ring_format(s->mem, &conf);
    if (rc == 0)
        rc = belt_ring_stat(s->mem, &stat);
    if (rc < 0)
        return rc;
    bool lines = s->kind->traits & IN_LINES;
    s->capacity = stat.slots;
    s->per_line = lines ? belt_inband_per_line(stat.slot_size) : 1;
    uint32_t lap = lines ? stat.slots / s->per_line * BELT_LINE_TICKETS : stat.slots;
    if (s->state->lap_before == 0)
        return 0;
    /* 2^64 itself is 0: the same lap later. */
    uint64_t end = s->state->lap_before == UINT64_MAX ? 0 : s->state->lap_before;
    conf = conf_for(s->kind, end - lap);
    return belt_ring_format(s->mem, &conf);
}

int scene_make(struct scene *s, const struct kind *kind, const struct state *state, enum side side)
{
    *s = (struct scene){ .kind = kind, .state = state, .side = side, .mem = { .fd = -1 } };
    int rc = scene_format(s);
    if (rc < 0)
        return rc;
    uint32_t through = items_through(s) * lanes_used(s);
    uint32_t staying = items_staying(s, items_through(s)) * lanes_used(s);
    bool until_full = state->fill == ALL && !(kind->traits & MAY_MISS);
    if (state->fill == ALL)
        staying = until_full ? UNTIL_FULL : s->capacity;
    rc = make_and_die(s, through, staying);
    struct belt_ring_stat stat = { 0 };
    if (rc == 0)
        rc = belt_ring_stat(s->mem, &stat);
    if (rc < 0)
        return rc;
    s->first = through + 1;
    s->last = s->first + (until_full ? (uint32_t)stat.items : staying);
    /* Nothing is ever used up in a lossy ring, but overwritten. */
    if (kind->traits & MAY_MISS)
        s->first = s->last > s->capacity ? s->last - s->capacity : 1;
    /* The reader stands in the middle of a line, or one before the ring's end. */
    if (side == READS && state->fill == HALF)
        s->before = s->per_line - 1;
    for (uint32_t n = 1; n < NUMBERS; n++)
        s->writer[n] = (uint8_t)(n < s->last ? writer_for(kind, n) : 0);
    s->image = malloc(s->mem.size);
    if (!s->image)
        return -ENOMEM;
    memcpy(s->image, s->mem.base, s->mem.size);
    return 0;
}

void scene_restore(const struct scene *s)
{
    memcpy(s->mem.base, s->image, s->mem.size);
}

void scene_free(struct scene *s)
{
    free(s->image);
    belt_mem_unmap(&s->mem);
}
