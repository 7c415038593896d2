/* The portable line scanners, and the choice among all of them. */
#include "io/scan_priv.h"

#include "core/isa.h"

uint32_t belt_scan_plain(const char *text, uint32_t at, uint32_t end, struct belt_span *spans,
                         uint32_t room, uint32_t *next)
{
    uint32_t count = 0, start = at;
    room = room < BELT_FRAME ? room : BELT_FRAME;
    for (; at < end && count < room; at++) {
        if (text[at] != '\n')
            continue;
        uint32_t size = at - start;
        if (size && text[at - 1] == '\r')
            size--;
        spans[count++] = (struct belt_span){ start, size };
        start = at + 1;
    }
    *next = start;
    return count;
}

/* Bit i: byte i of the word is `c`. Exact for every byte, unlike the shorter
 * form with a borrow, which may also flag the byte after a hit. */
static inline uint64_t bytes_equal(uint64_t word, uint8_t c)
{
    const uint64_t low7 = 0x7f7f7f7f7f7f7f7fU;
    word ^= 0x0101010101010101U * c;
    uint64_t hits = ~(((word & low7) + low7) | word | low7);
    return (hits >> 7) * 0x0102040810204080U >> 56;
}

static inline uint64_t swar_mask(const char *text, belt_scan_cr *cr)
{
    uint64_t newline = 0;
    for (int i = 0; i < 8; i++) {
        uint64_t word;
        memcpy(&word, text + 8 * i, 8);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
        word = __builtin_bswap64(word);
#endif
        newline |= bytes_equal(word, '\n') << (8 * i);
        (*cr)[0] |= bytes_equal(word, '\r');
    }
    return newline;
}

uint32_t belt_scan_swar(const char *text, uint32_t at, uint32_t end, struct belt_span *spans,
                        uint32_t room, uint32_t *next)
{
    return belt_scan_blocks(swar_mask, belt_scan_many, belt_scan_spans, text, at, end, spans, room,
                            next);
}

belt_scan_fn *belt_scan_choose(void)
{
#if defined(__x86_64__)
    return belt_isa_v3() ? belt_scan_v3 : belt_scan_v2;
#else
    return belt_scan_swar;
#endif
}
