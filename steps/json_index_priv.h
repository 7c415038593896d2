/* Where the tokens of JSON texts are: simdjson behind a C face (json_index.cc). */
#ifndef BELT_JSON_INDEX_PRIV_H
#define BELT_JSON_INDEX_PRIV_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum belt_json_flaw {
    BELT_JSON_OK,
    BELT_JSON_UTF8,     /* not UTF-8 */
    BELT_JSON_CONTROL,  /* a control character inside a string */
    BELT_JSON_UNCLOSED, /* a string without its closing quote */
    BELT_JSON_EMPTY,    /* nothing but white space */
    BELT_JSON_LONG,     /* longer than `longest` */
};

struct belt_json_index {
    const uint32_t *at; /* [count]: offsets of { } [ ] : , and of the first byte of all else */
    uint32_t count;
    void *impl;
};

/* Bytes of memory that an index for texts of up to `longest` bytes takes. */
static inline uint64_t belt_json_index_size(uint64_t longest)
{
    return longest * sizeof(uint32_t);
}
/* For texts of up to `longest` bytes; memory is touched as texts need it. 0 or -ENOMEM. */
int belt_json_index_open(struct belt_json_index *index, size_t longest);
void belt_json_index_close(struct belt_json_index *index);
/* Several texts may follow one another, with a newline in between: what is wrong with one is
 * then wrong with all. BELT_PAD bytes may be read behind the text. */
enum belt_json_flaw belt_json_index_make(struct belt_json_index *index, const char *text,
                                         size_t size);

#ifdef __cplusplus
}
#endif
#endif
