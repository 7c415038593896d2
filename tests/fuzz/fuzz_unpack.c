/* gz and zstd: what comes out does not depend on the room that it is unpacked into, and an
 * error always says where. The first byte chooses the room; the rest is the file. */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "io/source_unpack_priv.h"

#define MOST (4u << 20) /* bytes looked at of what it unpacks to */

struct answer {
    char *bytes;
    size_t size;
    int64_t last;
};

static struct answer unpack(struct source_unpack *u, int fd, uint32_t room)
{
    struct answer a = { .bytes = malloc(MOST) };
    struct belt_error err = { 0 };
    source_unpack_begin(u, SOURCE_AUTO, fd, false);
    do {
        size_t left = MOST - a.size;
        a.last = source_unpack_read(u, a.bytes + a.size, room < left ? room : (uint32_t)left, "in",
                                    &err);
        FUZZ_CHECK(a.last <= (int64_t)room, "%lld bytes", (long long)a.last);
        a.size += a.last > 0 ? (size_t)a.last : 0;
    } while (a.last > 0 && a.size < MOST);
    FUZZ_CHECK(a.last >= 0 || strstr(err.text, "in: byte "), "%lld: '%s'", (long long)a.last,
               err.text);
    return a;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct source_unpack *u;
    static int fd = -1;
    if (!size || size > 65536)
        return 0;
    if (!u) {
        u = source_unpack_new(true, 1 << 20);
        fd = memfd_create("fuzz", MFD_CLOEXEC);
    }
    FUZZ_CHECK(ftruncate(fd, 0) == 0 && pwrite(fd, data + 1, size - 1, 0) == (ssize_t)size - 1,
               "no file");
    struct answer whole = unpack(u, fd, MOST), pieces = unpack(u, fd, 1 + 97u * data[0]);
    size_t both = whole.size < pieces.size ? whole.size : pieces.size;
    FUZZ_CHECK(memcmp(whole.bytes, pieces.bytes, both) == 0, "other bytes");
    if (whole.last == 0 || pieces.last == 0)
        FUZZ_CHECK(whole.last == pieces.last && whole.size == pieces.size,
                   "%lld and %lld, %zu, %zu", (long long)whole.last, (long long)pieces.last,
                   whole.size, pieces.size);
    free(whole.bytes);
    free(pieces.bytes);
    return 0;
}
