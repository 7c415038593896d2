/* What stands once in a file and belongs to all its messages: the names of its
 * columns. The source puts it down before the first message leaves; steps read it
 * by a message's origin, in lanes and workers, in any processor of the chain. */
#ifndef BELT_HEADERS_PRIV_H
#define BELT_HEADERS_PRIV_H

#include <stdbool.h>
#include <stdint.h>

#include "core/part.h"

struct belt_headers;

/* In a source's conf, zero at first. */
struct belt_header_use {
    uint32_t files;          /* set by open(): file numbers are below */
    uint64_t room;           /* set by open(): bytes for all headers that differ */
    struct belt_headers *at; /* there before init(): in lanes, and in workers */
};

/* A source's prepare(): its messages have headers. `use` lives as long as its conf. */
void belt_setup_headers(struct belt_setup *setup, struct belt_header_use *use);
/* Does any source of the pipeline have them? A step's prepare(). */
bool belt_setup_has_headers(const struct belt_setup *setup);

/* The header of a file, copied, once, before any of its messages is handed on. Any instance.
 * False: the room is used up, the file has none. */
bool belt_header_put(const struct belt_header_use *use, uint32_t file, const char *text,
                     uint32_t size);

/* That of message i; NULL: it has none. Equal headers of one source's files are in one place, and
 * a place never changes. BELT_PAD bytes may be read around it. */
const char *belt_header_of(const struct belt_view *view, uint32_t i, uint32_t *size);
/* Are all messages of the view of one file? */
bool belt_header_alike(const struct belt_view *view);

/* ---- the engine's side ------------------------------------------------------------ */

struct belt_engine_run;
struct belt_spec;
/* First of all that lies in a region, so that workers find it. */
void belt_headers_carve(struct belt_engine_run *run);
/* In a worker. */
void belt_headers_map(const struct belt_spec *spec, char *region);

#endif
