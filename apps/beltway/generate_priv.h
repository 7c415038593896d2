/* Test data by seed: integers only, so that every machine writes the same bytes. */
#ifndef BELT_GENERATE_PRIV_H
#define BELT_GENERATE_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct belt_generate {
    const char *out; /* path; NULL: stdout */
    uint64_t rows, names, seed;
    uint64_t bytes; /* no row begins after so many; UINT64_MAX: rows alone decide */
};

/* A buffered writer. After an error it takes everything and writes nothing more. */
struct belt_generate_out {
    int fd, error; /* errno of the first failure */
    char *buffer;
    size_t used;
    uint64_t rows, written;
};

#define BELT_GENERATE_BUFFER (1u << 20)
#define BELT_GENERATE_ROW 1024u /* most bytes of a row, with what fast copies overshoot */

void belt_generate_flush(struct belt_generate_out *out);

/* Room for one row; tell what was used with belt_generate_end(). */
static inline char *belt_generate_row(struct belt_generate_out *out)
{
    if (out->used > BELT_GENERATE_BUFFER - BELT_GENERATE_ROW)
        belt_generate_flush(out);
    return out->buffer + out->used;
}

static inline void belt_generate_end(struct belt_generate_out *out, const char *end)
{
    out->used = (size_t)(end - out->buffer);
    out->rows++;
}

/* Row `i` is still to be written. */
static inline bool belt_generate_goes_on(const struct belt_generate *what,
                                         const struct belt_generate_out *out, uint64_t i)
{
    return i < what->rows && out->written + out->used < what->bytes && !out->error;
}

/* splitmix64: one multiply-and-shift chain a number, any seed is good. */
static inline uint64_t belt_generate_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* In [0, below). Its bias is far below what anybody could see. */
static inline uint64_t belt_generate_below(uint64_t *state, uint64_t below)
{
    return (belt_generate_next(state) >> 32) * below >> 32;
}

/* Kinds of data. Negative errno: no memory; errors of writing stay in `out`. */
int belt_generate_sensors(const struct belt_generate *what, struct belt_generate_out *out);
int belt_generate_lines(const struct belt_generate *what, struct belt_generate_out *out);
int belt_generate_ndjson(const struct belt_generate *what, struct belt_generate_out *out);

#endif
