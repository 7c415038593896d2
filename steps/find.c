#include "steps/find_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/isa.h"

/* The commonest bytes of logs, CSV and JSON, commonest first; any other is rarer. */
static size_t rareness(char byte)
{
    static const char common[] = " e\"t0a1:io,n2sr3-l5d4./c6u8p7m9_h=gTf;vyb[]ZkP{}AE";
    const char *at = byte ? strchr(common, byte) : NULL;
    return at ? (size_t)(at - common) : sizeof common;
}

/* The bit in which a small letter differs from the other one. */
static char fold_of(char byte)
{
    return byte >= 'a' && byte <= 'z' ? 0x20 : 0;
}

/* The two rarest of its first bytes, the same one if it has just one. */
static void choose_bytes(struct belt_needles *needles)
{
    const struct belt_needle *needle = &needles->needle[0];
    uint32_t reach = needle->size < BELT_FIND_REACH ? needle->size : BELT_FIND_REACH;
    uint32_t best = 0, second = reach > 1 ? 1 : 0;
    for (uint32_t i = 1; i < reach; i++)
        if (rareness(needle->bytes[i]) > rareness(needle->bytes[best])) {
            second = best;
            best = i;
        } else if (second == 0 || rareness(needle->bytes[i]) > rareness(needle->bytes[second])) {
            second = i;
        }
    needles->at[0] = best;
    needles->at[1] = second;
    for (int i = 0; i < 2; i++) {
        needles->byte[i] = needle->bytes[needles->at[i]];
        needles->byte_fold[i] = needles->fold ? fold_of(needles->byte[i]) : 0;
    }
}

static int by_bytes(const void *left, const void *right)
{
    const struct belt_needle *a = left, *b = right;
    int order = memcmp(a->bytes, b->bytes, a->size < b->size ? a->size : b->size);
    return order ? order : (a->size > b->size) - (a->size < b->size);
}

static void add_byte(struct belt_needles *needles, uint32_t k, uint32_t bucket, unsigned char byte)
{
    needles->low[k][byte & 15] |= (uint8_t)(1 << bucket);
    needles->high[k][byte >> 4] |= (uint8_t)(1 << bucket);
}

/* Neighbours in the alphabet share a bucket, so that few buckets have a byte. */
static void fill_buckets(struct belt_needles *needles)
{
    uint32_t shortest = BELT_FIND_BYTES;
    qsort(needles->needle, needles->count, sizeof *needles->needle, by_bytes);
    for (uint32_t i = 0; i < needles->count; i++)
        if (needles->needle[i].size < shortest)
            shortest = needles->needle[i].size;
    needles->looked_at = shortest;
    for (uint32_t b = 0; b < BELT_FIND_BUCKETS; b++) {
        needles->first[b] = b * needles->count / BELT_FIND_BUCKETS;
        needles->first[b + 1] = (b + 1) * needles->count / BELT_FIND_BUCKETS;
        for (uint32_t i = needles->first[b]; i < needles->first[b + 1]; i++)
            for (uint32_t k = 0; k < shortest; k++) {
                char byte = needles->needle[i].bytes[k];
                add_byte(needles, k, b, (unsigned char)byte);
                if (needles->fold)
                    add_byte(needles, k, b, (unsigned char)(byte ^ fold_of(byte)));
            }
    }
}

static uint64_t folds_of(const char *bytes, size_t size)
{
    char folds[8] = "";
    uint64_t word;
    for (size_t i = 0; i < size; i++)
        folds[i] = fold_of(bytes[i]);
    memcpy(&word, folds, sizeof word);
    return word;
}

static struct belt_needle needle_of(const char *bytes, size_t size, bool fold)
{
    size_t head = size < 8 ? size : 8;
    struct belt_needle needle = { .bytes = bytes, .size = (uint32_t)size };
    memcpy(&needle.head, bytes, head);
    needle.mask = head ? UINT64_MAX >> (64 - 8 * head) : 0;
    needle.head_fold = fold ? folds_of(bytes, head) : 0;
    if (size < 8)
        return needle;
    memcpy(&needle.tail, bytes + size - 8, 8);
    needle.tail_fold = fold ? folds_of(bytes + size - 8, 8) : 0;
    return needle;
}

/* Copies of the texts, in small letters where case does not matter. */
static bool take_texts(struct belt_needles *needles, const char *const *texts, size_t count)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += strlen(texts[i]);
    needles->needle = calloc(count, sizeof *needles->needle);
    char *at = needles->bytes = malloc(bytes + 1);
    if (!needles->needle || !at)
        return false;
    needles->count = (uint32_t)count;
    for (size_t i = 0; i < count; i++) {
        size_t size = strlen(texts[i]);
        for (size_t k = 0; k < size; k++) {
            bool big = needles->fold && texts[i][k] >= 'A' && texts[i][k] <= 'Z';
            at[k] = (char)(texts[i][k] | (big ? 0x20 : 0));
        }
        needles->needle[i] = needle_of(at, size, needles->fold);
        needles->everywhere |= size == 0;
        at += size;
    }
    return true;
}

static int make(struct belt_needles **out, const char *const *texts, size_t count, bool fold,
                struct belt_error *err)
{
    struct belt_needles *needles = calloc(1, sizeof *needles);
    if (needles)
        needles->fold = fold;
    if (!needles || !take_texts(needles, texts, count)) {
        belt_needles_free(needles);
        return belt_error_set(err, -ENOMEM, "condition: out of memory");
    }
    bool wide = belt_isa_v3();
    if (count == 1) {
        choose_bytes(needles);
        needles->find = wide ? belt_find_one_v3 : belt_find_one_v2;
    } else {
        fill_buckets(needles);
        needles->find = wide ? belt_find_many_v3 : belt_find_many_v2;
    }
    *out = needles;
    return 0;
}

int belt_needles_new(struct belt_needles **out, const char *const *texts, size_t count,
                     struct belt_error *err)
{
    return make(out, texts, count, false, err);
}

int belt_needles_folded(struct belt_needles **out, const char *const *texts, size_t count,
                        struct belt_error *err)
{
    return make(out, texts, count, true, err);
}

int belt_needles_or(struct belt_needles **out, const char *text, char byte, struct belt_error *err)
{
    int rc = belt_needles_new(out, &text, 1, err);
    if (rc < 0)
        return rc;
    (*out)->or_byte = byte;
    (*out)->find = belt_isa_v3() ? belt_find_one_or_v3 : belt_find_one_or_v2;
    return 0;
}

void belt_needles_free(struct belt_needles *needles)
{
    if (needles) {
        free(needles->needle);
        free(needles->bytes);
    }
    free(needles);
}
