/* Past the page cache: rows of a file are gathered in blocks, and whole blocks are written by
 * O_DIRECT. What is left at the end, less than a unit, goes through the page cache: nothing
 * is padded, a file has its true size at any moment. One write of a file is under way at a
 * time, for a later one that lands first would leave a hole when the process is killed;
 * and file systems let one at a time make a file longer anyway (ext4, XFS). */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "io/write_priv.h"
#include "rings/mem.h"

#define BLOCK BELT_DIRECT_BLOCK
#define LINGER 10000000u /* nanoseconds that rows wait for more of their block */
#define MOST_HELD 8      /* batches that wait so: a batcher has 16 out at most */

/* ---- blocks -------------------------------------------------------------------- */

int belt_writer_direct(struct belt_writer *writer, struct belt_error *err)
{
    int rc = belt_mem_map(&writer->block_memory, BELT_BLOCKS * (size_t)BLOCK, BELT_MEM_PRIVATE);
    if (rc < 0)
        return belt_error_set(err, rc, "no memory for %u blocks of %u bytes", BELT_BLOCKS, BLOCK);
    for (int i = 0; i < BELT_BLOCKS; i++)
        writer->blocks[i].bytes = (char *)writer->block_memory.base + i * (size_t)BLOCK;
    return 0;
}

/* Whose rows have waited longest without being written; NULL: nobody's do. */
static struct belt_target *longest(struct belt_writer *writer)
{
    struct belt_block *oldest = NULL;
    for (struct belt_block *b = writer->blocks; b < writer->blocks + BELT_BLOCKS; b++)
        if (b->target && !b->target->flush && (!oldest || b->since < oldest->since))
            oldest = b;
    return oldest ? oldest->target : NULL;
}

/* The end of the file that fills no unit is in the page cache. */
static int read_tail(const struct belt_target *target, struct belt_block *block)
{
    uint32_t size = (uint32_t)(target->filled % target->unit);
    int rc = belt_read_back(target->fd, block->bytes, size, target->filled - size);
    block->used = block->sent = size;
    return rc;
}

/* 1: it has room; 0: no block is free; or negative. */
static int find_room(struct belt_writer *writer, struct belt_target *target)
{
    struct belt_block *last = target->last_block, *block = writer->blocks;
    if (last && last->used < BLOCK)
        return 1;
    while (block < writer->blocks + BELT_BLOCKS && block->target)
        block++;
    if (block == writer->blocks + BELT_BLOCKS)
        return 0;
    *block = (struct belt_block){ .bytes = block->bytes, .since = writer->now };
    int rc = last ? 0 : read_tail(target, block);
    if (rc < 0)
        return rc;
    block->target = target;
    *(last ? &last->next : &target->block) = block;
    target->last_block = block;
    return 1;
}

static void drop_block(struct belt_target *target)
{
    struct belt_block *block = target->block;
    target->block = block->next;
    if (!block->next)
        target->last_block = NULL;
    block->target = NULL;
}

/* ---- what became of a batch ------------------------------------------------------ */

static void end(struct belt_writer *writer, struct belt_write *write, int code)
{
    struct belt_target *target = write->target;
    if (target->broken)
        write->what = "sync";
    write->code = target->broken ? target->broken : code;
    target->ahead -= write->batch->bytes_size;
    if (write->code == 0)
        target->offset = write->end;
    if (write->code == 0 && writer->durable)
        belt_sync_add(writer, write);
    else
        belt_write_append(&writer->ended, write);
}

static void end_held(struct belt_writer *writer, struct belt_target *target, int code)
{
    while (target->held.first && (code < 0 || target->held.first->end <= target->written)) {
        writer->held--;
        end(writer, belt_write_take(&target->held), code);
    }
}

/* The flush is over: a sync may have waited for it. */
static void end_flush(struct belt_writer *writer, struct belt_target *target)
{
    target->flush = false;
    if (target->sync_next)
        belt_sync_go(writer, target);
}

void belt_direct_fail(struct belt_writer *writer, struct belt_target *target, int code)
{
    if (target->sending) { /* the block is the kernel's until it is home */
        target->failed = code;
        return;
    }
    target->failed = 0;
    end_held(writer, target, code);
    while (target->block)
        drop_block(target);
    /* If it cannot be cut, the next rows cover what is there. */
    int ignored =
        target->filled > target->offset ? ftruncate(target->fd, (off_t)target->offset) : 0;
    (void)ignored;
    target->filled = target->written = target->offset;
    if (target->filling)
        belt_write_restart(target->filling);
    if (writer->durable && belt_write_is_fatal(code))
        target->broken = code;
    end_flush(writer, target);
}

/* ---- to the file ----------------------------------------------------------------- */

/* Less than a unit: the file's size is true, and whoever is killed leaves no padding. */
static int write_tail(struct belt_target *target)
{
    struct belt_block *block = target->block;
    while (block->sent < block->used) {
        ssize_t put = pwrite(target->fd, block->bytes + block->sent, block->used - block->sent,
                             (off_t)target->written);
        if (put < 0 && errno != EINTR)
            return -errno;
        block->sent += put > 0 ? (uint32_t)put : 0;
        target->written += put > 0 ? (uint64_t)put : 0;
    }
    drop_block(target);
    return 0;
}

static int send(struct belt_writer *writer, struct belt_target *target, uint32_t end_at)
{
    struct belt_block *block = target->block;
    uint32_t begin = block->sent / target->unit * target->unit;
    uint64_t cookie = (uint64_t)(uintptr_t)target | BELT_DIRECT_COOKIE;
    int rc = writer->backend->ops->write(writer->backend, target->direct_fd, block->bytes + begin,
                                         end_at - begin, target->written - (block->sent - begin),
                                         cookie);
    if (rc < 0)
        return rc;
    target->sending = true;
    writer->writes++;
    return 0;
}

/* Starts what may start: a full block, or of any what is to be flushed. */
static void go_on(struct belt_writer *writer, struct belt_target *target)
{
    int rc = 0;
    while (rc == 0 && target->block && !target->sending && writer->writes < BELT_WRITES) {
        struct belt_block *block = target->block;
        bool flush = target->flush && target->written < target->flush_to;
        uint32_t whole = block->used / target->unit * target->unit;
        if (block->used == BLOCK || (flush && whole > block->sent))
            rc = send(writer, target, block->used == BLOCK ? BLOCK : whole);
        else if (flush)
            rc = write_tail(target);
        else
            break;
    }
    if (rc < 0)
        belt_direct_fail(writer, target, rc);
    else
        end_held(writer, target, 0);
    if (target->flush && !target->sending && target->written >= target->flush_to)
        end_flush(writer, target);
}

void belt_direct_landed(struct belt_writer *writer, struct belt_target *target, int64_t result)
{
    struct belt_block *block = target->block;
    uint32_t again = block->sent % target->unit; /* bytes that were in the file before */
    writer->writes--;
    target->sending = false;
    bool odd = result > 0 && result % target->unit;
    if (result > 0 && !odd) {
        block->sent += (uint32_t)result - again;
        target->written += (uint64_t)result - again;
        block->since = writer->now;
    }
    if (block->sent == block->used) /* nobody's rows wait in it, full or not */
        drop_block(target);
    if (target->failed)
        belt_direct_fail(writer, target, target->failed);
    else if (odd || result == 0)
        belt_direct_fail(writer, target, -EIO);
    else if (result < 0 && result != -EAGAIN && result != -EINTR)
        belt_direct_fail(writer, target, (int)result);
    else
        go_on(writer, target);
}

void belt_direct_flush(struct belt_writer *writer, struct belt_target *target)
{
    target->flush = true;
    target->flush_to = target->filled;
    go_on(writer, target);
}

/* ---- from batches to blocks ------------------------------------------------------ */

/* 1: all of it; 0: no block is free; or negative. */
static int fill(struct belt_writer *writer, struct belt_write *write)
{
    struct belt_target *target = write->target;
    while (!target->broken) {
        int rc = write->piece_size ? 0 : belt_write_next(write);
        if (rc < 0 || !write->piece_size)
            return rc < 0 ? rc : 1;
        rc = find_room(writer, target);
        if (rc <= 0)
            return rc;
        struct belt_block *block = target->last_block;
        uint32_t room = BLOCK - block->used;
        uint32_t size = write->piece_size < room ? write->piece_size : room;
        memcpy(block->bytes + block->used, write->piece, size);
        block->used += size;
        target->filled += size;
        write->piece += size;
        write->piece_size -= size;
        if (size == room)
            go_on(writer, target);
    }
    return target->broken;
}

/* Its rows are in blocks. */
static void hold(struct belt_writer *writer, struct belt_write *write)
{
    struct belt_target *target = write->target;
    write->end = target->filled;
    writer->held++;
    belt_write_append(&target->held, write);
    if (writer->durable)
        belt_sync_want(writer, target);
    go_on(writer, target);
}

bool belt_direct_take(struct belt_writer *writer, struct belt_write *write)
{
    struct belt_target *target = write->target;
    if (target->failed || (target->filling && target->filling != write))
        return false;
    target->filling = write;
    int rc = fill(writer, write);
    if (rc == 0) {
        struct belt_target *other = longest(writer);
        if (other)
            belt_direct_flush(writer, other);
        return false;
    }
    target->filling = NULL;
    belt_write_unpack(writer, write);
    if (rc > 0) {
        hold(writer, write);
        return true;
    }
    end(writer, write, rc);
    if (!target->broken)
        belt_direct_fail(writer, target, rc);
    return true;
}

void belt_direct_start(struct belt_writer *writer)
{
    for (struct belt_block *b = writer->blocks; b < writer->blocks + BELT_BLOCKS; b++) {
        struct belt_target *target = b->target;
        if (!target || target->sending)
            continue;
        if (!writer->durable && !target->flush && writer->now >= b->since + LINGER)
            belt_direct_flush(writer, target);
        else
            go_on(writer, target);
    }
    while (!writer->durable && writer->held > MOST_HELD) {
        struct belt_target *target = longest(writer);
        if (!target)
            break;
        belt_direct_flush(writer, target);
    }
}

uint64_t belt_direct_deadline(const struct belt_writer *writer)
{
    uint64_t first = UINT64_MAX;
    for (const struct belt_block *b = writer->blocks; b < writer->blocks + BELT_BLOCKS; b++)
        if (b->target && !writer->durable && !b->target->flush && !b->target->sending &&
            b->since + LINGER < first)
            first = b->since + LINGER; /* the end of a write under way is told otherwise */
    return first;
}

void belt_direct_drain(struct belt_writer *writer, const struct belt_target *target)
{
    for (struct belt_block *b = writer->blocks; b < writer->blocks + BELT_BLOCKS; b++)
        if (b->target && (!target || b->target == target))
            belt_direct_flush(writer, b->target);
}
