/* Bytes into members of a gzip file or frames of a zstd file. Each batch becomes a
 * whole one: members one after another are a valid file, whatever comes after them. */
#ifndef BELT_IO_PACKER_PRIV_H
#define BELT_IO_PACKER_PRIV_H

#include <stdint.h>

#include "core/tree.h"

enum belt_packing { BELT_PACK_NONE, BELT_PACK_GZ, BELT_PACK_ZSTD };
#define BELT_PACKINGS "none|gz|zstd"

struct belt_packer; /* one thread's; allocates when it is made, then no more */

/* Refuses a level that there is not, with the place of `node`. */
int belt_packer_check(enum belt_packing packing, int64_t level, const struct belt_node *node,
                      struct belt_error *err);
/* `level` 0: the library's own choice. */
int belt_packer_new(struct belt_packer **out, enum belt_packing packing, int level,
                    struct belt_error *err);
void belt_packer_free(struct belt_packer *packer);
/* A new member of `size` bytes, lent until it has ended; what was begun before is dropped. */
void belt_packer_begin(struct belt_packer *packer, const char *bytes, uint64_t size);
/* The member's next bytes, lent until the next call; *size 0: it has ended. Negative errno. */
int belt_packer_next(struct belt_packer *packer, const char **out, uint32_t *size);

/* Where the last whole member ends of a file of `size` bytes that packers wrote: before its
 * end when whoever wrote it was killed in the middle of one. Its size if that cannot be told:
 * its last 64 MiB are searched. 0, or negative errno: it cannot be read. */
int belt_pack_end(enum belt_packing packing, int fd, uint64_t size, uint64_t *end);

#endif
