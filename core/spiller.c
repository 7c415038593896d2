/* Blocks of records on their way to files. A lane fills one and queues it; one thread
 * for all lanes writes. When that is behind and no block is free, the lane writes one
 * of its own itself, so a full queue costs time but never rows.
 *
 *   FREE -> OPEN -> QUEUED -> WRITING -> FREE (what was written stays readable here)
 *                                   \--> REFUSED -> WRITING ..   when the lane needs a block
 *
 * A block's place in the file is the lane's to change, as its memory is, but for
 * QUEUED (under the lock) and WRITING (never). */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/overflow_priv.h"
#include "numa/pin.h"

enum { FREE, OPEN, QUEUED, WRITING, REFUSED };

struct belt_spiller {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* queued, written, leave */
    struct belt_spill_block *first;
    const struct belt_topology *topology;
    pthread_t thread;
    bool running, leave;
};

/* ---- the queue, under the lock -------------------------------------------------- */

static void append(struct belt_spiller *s, struct belt_spill_block *block)
{
    struct belt_spill_block **at = &s->first;
    while (*at)
        at = &(*at)->next;
    block->next = NULL;
    block->state = QUEUED;
    *at = block;
}

static void unlink_block(struct belt_spiller *s, struct belt_spill_block *block)
{
    struct belt_spill_block **at = &s->first;
    while (*at != block)
        at = &(*at)->next;
    *at = block->next;
}

/* ---- writing: whoever made the block WRITING, without the lock ------------------- */

static bool write_all(const struct belt_spill_block *block)
{
    const char *bytes = block->bytes + (block->from - block->begin);
    uint64_t size = block->to - block->from, done = 0;
    while (done < size) {
        ssize_t now = pwrite(block->fd, bytes + done, size - done, (off_t)(block->from + done));
        if (now < 0 && errno == EINTR)
            continue;
        if (now <= 0)
            return false;
        done += (uint64_t)now;
    }
    return true;
}

static bool write_block(struct belt_spiller *s, struct belt_spill_block *block)
{
    bool good = write_all(block);
    pthread_mutex_lock(&s->lock);
    block->state = good ? FREE : REFUSED;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    return good;
}

/* ---- the thread ------------------------------------------------------------------ */

static struct belt_spill_block *next_block(struct belt_spiller *s)
{
    pthread_mutex_lock(&s->lock);
    while (!s->first && !s->leave)
        pthread_cond_wait(&s->changed, &s->lock);
    struct belt_spill_block *block = s->leave ? NULL : s->first;
    if (block) {
        s->first = block->next;
        block->state = WRITING;
    }
    pthread_mutex_unlock(&s->lock);
    return block;
}

static void *spiller_main(void *arg)
{
    struct belt_spiller *s = arg;
    belt_name_thread("belt/spill");
    (void)belt_unpin_thread(s->topology); /* whoever starts the pipeline may be pinned */
    for (struct belt_spill_block *block; (block = next_block(s));)
        write_block(s, block);
    return NULL;
}

struct belt_spiller *belt_spiller_new(const struct belt_topology *topology)
{
    struct belt_spiller *s = calloc(1, sizeof *s);
    if (s) {
        s->topology = topology;
        pthread_mutex_init(&s->lock, NULL);
        pthread_cond_init(&s->changed, NULL);
    }
    return s;
}

int belt_spiller_start(struct belt_spiller *s, struct belt_error *err)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = -pthread_create(&s->thread, NULL, spiller_main, s);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    s->running = rc == 0;
    return rc < 0 ? belt_error_set(err, rc, "spill: a thread: %s", strerror(-rc)) : 0;
}

void belt_spiller_free(struct belt_spiller *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->lock);
    s->leave = true;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    if (s->running)
        pthread_join(s->thread, NULL);
    pthread_mutex_destroy(&s->lock);
    pthread_cond_destroy(&s->changed);
    free(s);
}

/* ---- the lane's side --------------------------------------------------------------- */

static struct belt_spill_block *of_state(struct belt_overflow *over, int state)
{
    for (int b = 0; b < BELT_SPILL_BLOCKS; b++)
        if (over->blocks[b].state == state)
            return &over->blocks[b];
    return NULL;
}

/* A block to fill. At most one is the thread's, so there is one to take; NULL: it holds
 * what the disk refused, and refuses again. */
static struct belt_spill_block *take_block(struct belt_overflow *over)
{
    struct belt_spiller *s = over->spiller;
    pthread_mutex_lock(&s->lock);
    struct belt_spill_block *block = of_state(over, FREE), *queued = of_state(over, QUEUED);
    bool unwritten = !block;
    if (!block && queued)
        unlink_block(s, block = queued);
    if (!block)
        block = of_state(over, REFUSED);
    block->state = unwritten ? WRITING : FREE;
    pthread_mutex_unlock(&s->lock);
    if (unwritten && !write_block(s, block))
        return NULL;
    block->state = OPEN;
    block->fd = over->fd;
    return block;
}

static void queue_open(struct belt_overflow *over)
{
    struct belt_spiller *s = over->spiller;
    pthread_mutex_lock(&s->lock);
    append(s, over->open);
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
    over->open = NULL;
}

/* Records leave a block from its front, so what is not wanted any more is a part in front,
 * or all of it. */
static void trim(struct belt_spiller *s, struct belt_spill_block *block, uint64_t end)
{
    while (block->state == WRITING)
        pthread_cond_wait(&s->changed, &s->lock);
    block->from = end < block->to ? end : block->to;
    if (block->from < block->to)
        return;
    if (block->state == QUEUED)
        unlink_block(s, block);
    if (block->state != OPEN)
        block->state = FREE;
}

void belt_spiller_forget(struct belt_overflow *over, uint64_t at, uint64_t size)
{
    struct belt_spiller *s = over->spiller;
    for (int b = 0; b < BELT_SPILL_BLOCKS; b++) {
        struct belt_spill_block *block = &over->blocks[b];
        if (block->from >= at + size || block->to <= at)
            continue;
        pthread_mutex_lock(&s->lock);
        trim(s, block, at + size);
        pthread_mutex_unlock(&s->lock);
    }
}

char *belt_spiller_room(struct belt_overflow *over, uint64_t at, uint32_t size)
{
    belt_spiller_forget(over, at, size);
    struct belt_spill_block *block = over->open;
    if (block && block->from == block->to)
        block->begin = block->from = block->to = at;
    if (block && (block->to != at || at + size - block->begin > BELT_SPILL_BLOCK)) {
        queue_open(over);
        block = NULL;
    }
    if (!block) {
        block = over->open = take_block(over);
        if (!block)
            return NULL;
        block->begin = block->from = block->to = at;
    }
    block->to += size;
    return block->bytes + (at - block->begin);
}

const char *belt_spiller_find(const struct belt_overflow *over, uint64_t at, uint64_t size)
{
    for (int b = 0; b < BELT_SPILL_BLOCKS; b++) {
        const struct belt_spill_block *block = &over->blocks[b];
        if (block->from <= at && at + size <= block->to)
            return block->bytes + (at - block->begin);
    }
    return NULL;
}
