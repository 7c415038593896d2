/* The names of output files. */
#ifndef BELT_IO_SINK_FILE_PRIV_H
#define BELT_IO_SINK_FILE_PRIV_H

#include <stddef.h>
#include <stdint.h>

/* `path` with every "{key}" replaced by the key, as a new string; NULL: out of
 * memory. Bytes outside [A-Za-z0-9._-] and a dot at the start of the key become
 * %XX, an empty key "%": two keys never share a file and none leaves its directory. */
char *belt_sink_path(const char *path, const char *key, uint32_t key_size);

#endif
