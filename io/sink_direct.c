/* Files past the page cache: whether they can be, and what such writes have to keep to. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/sink_file_priv.h"

static int refused(const char *path, struct belt_error *err)
{
    return belt_error_set(err, -ENOTSUP,
                          "%s: its file system cannot be written past the page cache: set direct "
                          "to auto or false",
                          path);
}

/* Places and sizes of its writes are multiples of this; 0: there is no such number. Whole
 * pages at least, so that the end that goes through the page cache has one of its own. */
static uint32_t unit_of(int fd)
{
    uint32_t unit = (uint32_t)sysconf(_SC_PAGESIZE);
#ifdef STATX_DIOALIGN /* kernels since 6.1 tell; others take whole pages as far as we know */
    struct statx st;
    if (statx(fd, "", AT_EMPTY_PATH, STATX_DIOALIGN, &st) == 0 && (st.stx_mask & STATX_DIOALIGN)) {
        if (!st.stx_dio_offset_align || st.stx_dio_mem_align > unit)
            return 0;
        unit = st.stx_dio_offset_align > unit ? st.stx_dio_offset_align : unit;
    }
#else
    (void)fd;
#endif
    return BELT_DIRECT_BLOCK % unit ? 0 : unit;
}

/* The file that is open, once more; -ESTALE: it is another one now. */
static int open_more(struct belt_file_sink *s, const struct belt_out *out, int flags)
{
    struct stat st;
    int fd = belt_out_try_open(s, out->partial ? s->partial : s->path, flags);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) == 0 && st.st_ino == out->inode)
        return fd;
    close(fd);
    return -ESTALE;
}

/* It can be written, but not so. */
static bool is_other(int code)
{
    return code == -EINVAL || code == -EOPNOTSUPP;
}

/* The buffered descriptor is exchanged for one that can read, too: see read_tail(). */
static int exchange(struct belt_file_sink *s, struct belt_out *out, int direct)
{
    struct belt_target *target = &out->target;
    uint32_t unit = unit_of(direct);
    int fd = unit ? open_more(s, out, O_RDWR) : -EINVAL;
    if (fd < 0)
        return fd;
    close(target->fd);
    target->fd = fd;
    target->direct_fd = direct;
    target->unit = unit;
    target->filled = target->written = target->offset;
    return 0;
}

int belt_out_go_direct(struct belt_file_sink *s, struct belt_out *out, struct belt_error *err)
{
    struct belt_target *target = &out->target;
    if (target->offset == BELT_IO_STREAM)
        return 0;
    int direct = open_more(s, out, O_WRONLY | O_DIRECT);
    int rc = direct < 0 ? direct : exchange(s, out, direct);
    if (rc == 0)
        return 0;
    if (direct >= 0)
        close(direct);
    bool must = s->conf->direct == BELT_OUT_DIRECT, unreadable = rc == -EACCES;
    if (!must && (is_other(rc) || unreadable))
        return 0;
    return is_other(rc) ? refused(target->name_of(target), err)
                        : belt_target_error(target, unreadable ? "read" : "write", rc, err);
}

/* Of a directory by a file without a name, where there are such; the first batch finds
 * out the rest. */
int belt_out_check_direct(const char *path, bool there, struct belt_error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_DIRECT | (there ? 0 : O_TMPFILE), 0600);
    int code = fd < 0 ? errno : 0;
    struct stat st;
    if (fd >= 0)
        close(fd);
    bool file = !there || (stat(path, &st) == 0 && S_ISREG(st.st_mode));
    return code == EINVAL && file ? refused(path, err) : 0;
}
