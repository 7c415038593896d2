/* Aggregate: the file that full tables go to. It has no name and is gone with the
 * process; all tables of an aggregate share it, each run at a place of its own. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/aggregate_store_priv.h"
#include "core/overflow_priv.h"
#include "rings/atomic.h"

struct belt_agg_store {
    const struct belt_agg_spec *spec;
    int fd;
    uint64_t end;  /* where the next run goes; only grows */
    uint64_t used; /* bytes of runs that are there */
};

int belt_agg_store_open(struct belt_agg_store **out, const struct belt_agg_spec *spec,
                        struct belt_error *err)
{
    *out = NULL;
    if (!spec->spill_path)
        return 0;
    struct belt_agg_store *store = malloc(sizeof *store);
    if (!store)
        return belt_error_set(err, -ENOMEM, "aggregate: out of memory");
    *store = (struct belt_agg_store){ .spec = spec };
    store->fd = belt_spill_file(spec->path, "aggregate.spill", spec->spill_path, err);
    if (store->fd < 0) {
        int rc = store->fd;
        free(store);
        return rc;
    }
    *out = store;
    return 0;
}

void belt_agg_store_free(struct belt_agg_store *store)
{
    if (!store)
        return;
    close(store->fd);
    free(store);
}

/* Relaxed: counts; what is in a run gets to another lane through an edge. */
int belt_agg_store_claim(struct belt_agg_store *store, uint64_t size, uint64_t *at,
                         struct belt_error *err)
{
    uint64_t most = store->spec->spill_size;
    if (belt_fetch_add_relaxed(&store->used, size) + size > most) {
        belt_fetch_add_relaxed(&store->used, 0 - size);
        return belt_error_set(err, -ENOSPC,
                              "%s: groups need more than the %llu MiB of aggregate.spill.size: "
                              "raise it, or aggregate.memory",
                              store->spec->path, (unsigned long long)(most >> 20));
    }
    *at = belt_fetch_add_relaxed(&store->end, size);
    return 0;
}

void belt_agg_store_drop(struct belt_agg_store *store, uint64_t at, uint64_t size)
{
    if (!size)
        return;
    /* Where holes cannot be made the file just stays as long as it is. */
    (void)fallocate(store->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)at, (off_t)size);
    belt_fetch_add_relaxed(&store->used, 0 - size);
}

static int lost(const struct belt_agg_store *store, const char *what, int rc,
                struct belt_error *err)
{
    return belt_error_set(err, rc,
                          "%s: %s groups in '%s': %s: aggregate.spill.path names another "
                          "folder, a larger aggregate.memory needs less of it",
                          store->spec->path, what, store->spec->spill_path, strerror(-rc));
}

int belt_agg_store_spoilt(const struct belt_agg_store *store, uint64_t at, struct belt_error *err)
{
    return belt_error_set(err, -EIO,
                          "%s: groups in '%s' are not as they were written (from byte %llu of the "
                          "file on): its disk or file system spoils data; aggregate.spill.path "
                          "names another folder",
                          store->spec->path, store->spec->spill_path, (unsigned long long)at);
}

int belt_agg_store_write(struct belt_agg_store *store, uint64_t at, const char *bytes, size_t size,
                         struct belt_error *err)
{
    while (size) {
        ssize_t put = pwrite(store->fd, bytes, size, (off_t)at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return lost(store, "writing", put < 0 ? -errno : -ENOSPC, err);
        bytes += put;
        at += (uint64_t)put;
        size -= (size_t)put;
    }
    return 0;
}

int belt_agg_store_read(struct belt_agg_store *store, uint64_t at, char *bytes, size_t size,
                        struct belt_error *err)
{
    while (size) {
        ssize_t got = pread(store->fd, bytes, size, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return lost(store, "reading", got < 0 ? -errno : -EIO, err);
        bytes += got;
        at += (uint64_t)got;
        size -= (size_t)got;
    }
    return 0;
}
