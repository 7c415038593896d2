#include "core/collect_priv.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* One block: the head, rows, key, bytes. */
struct kept {
    struct kept *next;
    struct belt_collected batch;
};

struct belt_collect {
    uint64_t memory, used;
    struct kept *first, *last;
    int64_t count;
    bool opened;
    pthread_mutex_t lock;
};

static const struct belt_setting settings[] = {
    { "memory", BELT_SET_SIZE, offsetof(struct belt_collect, memory), "64MiB",
      "most that is kept; a batch beyond it fails", NULL, 1, 0 },
    { 0 },
};

static int open_collect(void *conf, struct belt_error *err)
{
    struct belt_collect *collect = conf;
    (void)err;
    pthread_mutex_init(&collect->lock, NULL);
    collect->opened = true;
    return 0;
}

static int init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    (void)in, (void)err;
    *(struct belt_collect **)state = conf;
    return 0;
}

static struct kept *copy(const struct belt_batch *batch)
{
    size_t rows = batch->count * sizeof *batch->spans;
    struct kept *kept = malloc(sizeof *kept + rows + batch->key_size + batch->bytes_size + 1);
    if (!kept)
        return NULL;
    char *at = (char *)(kept + 1), *key = at + rows, *bytes = key + batch->key_size;
    memcpy(at, batch->spans, rows);
    memcpy(key, batch->key, batch->key_size);
    memcpy(bytes, batch->bytes, batch->bytes_size);
    kept->next = NULL;
    kept->batch = (struct belt_collected){ .count = batch->count,
                                           .bytes = bytes,
                                           .bytes_size = batch->bytes_size,
                                           .rows = (struct belt_span *)(void *)at,
                                           .key = key,
                                           .key_size = batch->key_size,
                                           .trigger = batch->trigger };
    return kept;
}

static int keep_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    struct belt_collect *collect = *(struct belt_collect **)state;
    struct kept *kept = copy(batch);
    if (!kept)
        return belt_error_set(err, -ENOMEM, "collect: out of memory");
    pthread_mutex_lock(&collect->lock);
    bool fits = collect->used + batch->bytes_size <= collect->memory;
    if (fits) {
        *(collect->last ? &collect->last->next : &collect->first) = kept;
        collect->last = kept;
        collect->used += batch->bytes_size;
        collect->count++;
    }
    pthread_mutex_unlock(&collect->lock);
    if (fits)
        return 0;
    free(kept);
    return belt_error_set(err, -ENOSPC, "collect: more than its memory: raise memory");
}

static void close_collect(void *conf)
{
    struct belt_collect *collect = conf;
    while (collect->first) {
        struct kept *kept = collect->first;
        collect->first = kept->next;
        free(kept);
    }
    if (collect->opened)
        pthread_mutex_destroy(&collect->lock);
    collect->opened = false;
}

int64_t belt_collect_count(struct belt_collect *collect)
{
    if (!collect->opened)
        return 0;
    pthread_mutex_lock(&collect->lock);
    int64_t count = collect->count;
    pthread_mutex_unlock(&collect->lock);
    return count;
}

bool belt_collect_at(struct belt_collect *collect, uint64_t i, struct belt_collected *out)
{
    if (i >= (uint64_t)belt_collect_count(collect))
        return false;
    pthread_mutex_lock(&collect->lock);
    const struct kept *kept = collect->first;
    for (; i; i--)
        kept = kept->next;
    *out = kept->batch;
    pthread_mutex_unlock(&collect->lock);
    return true;
}

const struct belt_sink belt_sink_collect = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_SINK,
              .name = "collect",
              .help = "keeps batches in memory, for tests",
              .settings = settings,
              .conf_size = sizeof(struct belt_collect),
              .state_size = sizeof(struct belt_collect *),
              .open = open_collect,
              .init = init,
              .close = close_collect },
    .batch = keep_batch,
};
