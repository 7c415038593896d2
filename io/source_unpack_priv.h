/* The bytes of an input that is read from front to back: as they lie there, or
 * unpacked from gz members or zstd frames, however many follow each other. */
#ifndef BELT_IO_SOURCE_UNPACK_PRIV_H
#define BELT_IO_SOURCE_UNPACK_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* In the order of the setting `compression`. */
enum source_pack { SOURCE_AUTO, SOURCE_PLAIN, SOURCE_GZ, SOURCE_ZSTD };

/* By the first bytes; SOURCE_AUTO: so few that it may still be one or the other. */
enum source_pack source_pack_of(const void *bytes, size_t size);
/* Of a regular file; SOURCE_PLAIN when it cannot be read. */
enum source_pack source_pack_of_file(int fd);

struct source_unpack;

/* What it needs of memory is obtained here, but for a zstd frame's window. Without
 * `packed` it can read nothing but plain bytes. NULL: out of memory. */
struct source_unpack *source_unpack_new(bool packed, uint64_t max_window);
void source_unpack_free(struct source_unpack *unpack);
/* From the front. `stream`: the descriptor is asked before each read, and read where it stands. */
void source_unpack_begin(struct source_unpack *unpack, enum source_pack pack, int fd, bool stream);
/* Bytes written to `to`; 0: the input has ended; -EAGAIN: nothing there right now; any other:
 * it cannot go on, err says why with `path` and the byte. What could be had was given before. */
int64_t source_unpack_read(struct source_unpack *unpack, void *to, uint32_t room, const char *path,
                           struct belt_error *err);
/* Bytes of the file that it has read: packed ones. */
uint64_t source_unpack_taken(const struct source_unpack *unpack);

#endif
