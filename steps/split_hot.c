/* The work of `split`, for up to 64 messages at a time and in stages: find the
 * fields of all of them, then turn one field of all of them into numbers, and
 * only then look at those that did not fit the common form. A stage has no
 * branch that depends on the data, so rows overlap in the core; what is rare
 * becomes a bit in a mask and is looked at once per 64 messages.
 *
 * Reads up to 64 bytes past a text and 8 before it: BELT_PAD covers both. */
#include "steps/split_priv.h"

#include <string.h>

#include "core/isa.h"
#include "steps/number_priv.h"
#include "steps/split_vec_priv.h"
#include "steps/steps_priv.h"

#define NEAR 32   /* bytes searched at once */
#define OTHERS 63 /* words of 64 records for which a way that did not do is not tried */

static inline uint64_t load8(const char *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint64_t low_bits(uint32_t count)
{
    return count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX;
}

/* ---- numbers ------------------------------------------------------------------- */

/* How long numbers are: as work->sizes says, or what a record has behind a name and one
 * byte; 64 bits each, that of a record without the byte wraps. */
static inline vec own_bytes(const struct belt_split_work *work, const struct belt_span *records,
                            const struct belt_span *names, uint32_t i)
{
    if (!names)
        return v_high_bytes(work->sizes + i);
    vec behind = v_right(v_load(records + i), 32) - v_right(v_load(names + i), 32);
    return v_high_bytes64(behind - v_all64(1));
}

/* What a common number looks like: [-] digits [. exactly `digits` digits] in at most 8 bytes. */
struct form {
    vec need, dot, dot_byte, before, after;
};

static inline struct form form_of(const struct belt_split_layout *layout)
{
    return (struct form){ v_all64(layout->need), v_all64(layout->dot), v_all64(layout->dot_byte),
                          v_all64(layout->before), v_all64(layout->after) };
}

/* The numbers whose last 8 bytes are `words`, of which `own` are theirs. Bit k of *good: it
 * has the common form; else its value is garbage. */
static inline __attribute__((always_inline)) vec common(struct form form, vec words, vec own,
                                                        uint32_t *good)
{
    const vec zeros = v_all8('0'), minus_byte = v_all8('-' ^ '0'), nine = v_all8(9);
    const vec by10 = v_all16(10 | 1 << 8), by100 = v_all32(100 | 1 << 16);
    const vec by10000 = v_all64(10000), none = v_all64(0);
    vec bytes = (words ^ zeros) & own;
    vec minus = v_equal8(bytes, minus_byte);
    bytes &= ~minus;
    vec digits = (bytes & form.after) | (bytes & form.before) << 8;
    vec bad = minus & own << 8; /* one that is not the first byte */
    bad |= form.need & ~(own & ~minus);
    bad |= (bytes & form.dot) ^ form.dot_byte;
    bad |= v_above8(digits, nine);
    *good = v_bits64(v_equal64(bad, none));
    vec fours = v_pairs16(v_pairs8(digits, by10), by100); /* two groups of 4 digits */
    vec value = v_times32(fours, by10000) + v_right(fours, 32);
    vec negative = ~v_equal64(minus, none);
    return (value ^ negative) - negative;
}

/* Numbers from words and sizes. Bit k of what is returned: number k has the common form. */
static inline __attribute__((always_inline)) uint64_t read_numbers(
    struct belt_split_work *work, const struct belt_split_layout *layout,
    const struct belt_span *records, const struct belt_span *names, int64_t *out)
{
    const struct form form = form_of(layout);
    uint64_t good = 0;
    for (uint32_t i = 0; i < work->count; i += LANES) {
        uint32_t some;
        vec own = own_bytes(work, records, names, i);
        v_store(out + i, common(form, v_load(work->words + i), own, &some));
        good |= (uint64_t)some << i;
    }
    return good & work->all;
}

/* The exact way for field `f` of `rows`. The bits of those that are no numbers. */
static uint64_t read_slowly(const struct belt_split_work *work, const char *base,
                            const struct belt_split_field *field, uint32_t f, uint64_t rows,
                            int64_t *out)
{
    uint64_t failed = 0;
    for (; rows; rows &= rows - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(rows);
        const char *text = base + work->at[f][k];
        if (belt_number_parse(text, work->size[f][k], field->digits, &out[k]) != BELT_FLAW_NONE)
            failed |= UINT64_C(1) << k;
    }
    return failed;
}

/* ---- which messages ------------------------------------------------------------ */

/* Takes the messages of `rows`. The stages may run over work->count by less than
 * a vector: what lies there is from before and its results are not looked at. */
static void take(struct belt_split_work *work, const struct belt_span *spans, uint64_t rows)
{
    uint32_t count = 0;
    work->all = low_bits((uint32_t)__builtin_popcountll(rows));
    for (; rows; rows &= rows - 1) {
        uint32_t i = (uint32_t)__builtin_ctzll(rows);
        work->index[count] = (uint8_t)i;
        work->records[count++] = spans[i];
    }
    work->count = count;
}

static void fail_all(const struct belt_split *split, const struct belt_split_work *work,
                     struct belt_view *view, uint32_t w, uint64_t failed)
{
    for (; failed; failed &= failed - 1) {
        uint32_t i = w * 64 + work->index[__builtin_ctzll(failed)];
        if (split->fail)
            split->fail(split, view, i);
        else
            belt_split_fail(split, view, i);
    }
}

/* ---- the short way: text, one byte, number ------------------------------------- */

/* The delimiter of a record that has none in its first 32 bytes. */
static void cut_far(const char *base, struct belt_span record, struct belt_span *name,
                    vec delimiter)
{
    const char *text = base + record.at;
    uint32_t cut = NEAR;
    for (; cut < record.size; cut += 2 * NEAR) { /* few names need a second look */
        uint64_t hits = v_find32(text + cut, delimiter);
        hits |= (uint64_t)v_find32(text + cut + NEAR, delimiter) << NEAR;
        if (hits) {
            cut += (uint32_t)__builtin_ctzll(hits);
            break;
        }
    }
    name->size = cut < record.size ? cut : record.size;
}

/* Two stores a row and no more: their rate is near what bounds this loop. gcc
 * does not unroll it by itself, which costs 7 % of the whole step. */
static inline void cut_two(struct belt_split_work *work, const char *base,
                           const struct belt_span *records, struct belt_span *names, char byte)
{
    const vec delimiter = v_all8(byte), far = v_all64(NEAR);
#pragma GCC unroll 4
    for (uint32_t k = 0, count = work->count; k < count; k++) {
        struct belt_span record = records[k];
        const char *text = base + record.at;
        uint64_t hits = v_find32(text, delimiter) | UINT64_C(1) << NEAR;
        names[k] = (struct belt_span){ record.at, (uint32_t)__builtin_ctzll(hits) };
        work->words[k] = load8(text + record.size - 8);
    }
    uint64_t rare = 0;
    for (uint32_t k = 0; k < 64; k += LANES)
        rare |= (uint64_t)v_bits64(v_equal64(v_right(v_load(names + k), 32), far)) << k;
    for (rare &= work->all; rare; rare &= rare - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(rare);
        cut_far(base, records[k], &names[k], delimiter);
    }
}

/* ---- the shortest way: the number and the byte before it within 8 bytes ---------- */

#define WIDE 8128 /* bytes of 64 records: so many vectors that their sums fit a byte */

/* Of text[0, size), at most WIDE. */
static inline uint64_t count_bytes(const char *text, uint32_t size, vec byte)
{
    vec sums = v_all64(0);
    uint64_t lanes[LANES], count = 0;
    uint32_t at = 0;
    for (; size - at >= sizeof(vec); at += sizeof(vec))
        sums = v_minus8(sums, v_equal8(v_load(text + at), byte));
    v_store(lanes, v_sum8(sums));
    for (uint32_t k = 0; k < LANES; k++)
        count += lanes[k];
    return count + (uint64_t)__builtin_popcountll(v_find32(text + at, byte) & low_bits(size - at));
}

/* Whether 64 records lie one after another, no more apart than may be read, with this byte
 * once in each, if it is in each. */
static inline bool is_once(const char *base, const struct belt_span *records, vec byte)
{
    const vec most = v_all64(BELT_PAD);
    vec apart = v_all64(0);
    uint32_t from = records[0].at, size = records[63].at + records[63].size - from;
    for (uint32_t k = 0; k < 64; k += LANES) {
        uint32_t i = k + LANES < 64 ? k : 63 - LANES; /* none behind the last */
        vec record = v_load(records + i);
        vec gap = v_load(records + i + 1) - record - v_right(record, 32);
        apart |= (v_most32(gap, most) ^ most) << 32; /* of `at`, the low half */
    }
    bool ordered = !v_bits64(~v_equal64(apart, v_all64(0)));
    return ordered && size <= WIDE && count_bytes(base + from, size, byte) == 64;
}

/* All of 64 records, if `byte` is in the last 8 bytes of each: then, being there once in each,
 * it is the delimiter. Two thirds of the instructions of looking for the first one. False: it
 * is not; nothing is known of them. */
static inline __attribute__((always_inline)) bool cut_ends(const struct belt_split_layout *layout,
                                                           const char *base,
                                                           const struct belt_span *records,
                                                           struct belt_span *names, char byte,
                                                           int64_t *numbers, uint64_t *odd)
{
    const struct form form = form_of(layout);
    const vec delimiter = v_all8(byte), found = v_all64(0x80), none = v_all64(0);
    const vec places = v_all64(UINT64_C(0x8786858483828180)); /* found + place */
    vec wrong = none, before = none;
    uint64_t good = 0;
    for (uint32_t k = 0; k < 64; k += LANES) {
        const char *ends[LANES];
        uint32_t some;
        for (uint32_t i = 0; i < LANES; i++)
            ends[i] = base + records[k + i].at + records[k + i].size - 8;
        vec words = v_gather(ends), hits = v_equal8(words, delimiter),
            place = v_sum8(hits & places);
        vec name = v_load(records + k) + ((place - found - v_all64(8)) << 32);
        wrong |= place ^ found; /* but for its place: none, or several */
        before |= name;         /* highest bit: it is that of the record before */
        v_store(names + k, name);
        v_store(numbers + k, common(form, words, (none - hits) & ~hits, &some));
        good |= (uint64_t)some << k;
    }
    *odd = ~good;
    return !v_bits64(~v_equal64(wrong & v_all64(~UINT64_C(7)), none)) && !v_bits64(before) &&
           is_once(base, records, delimiter);
}

/* The same, unless it did not do a short time ago. */
static inline bool try_ends(struct belt_split_work *work, const struct belt_split_layout *layout,
                            const char *base, const struct belt_span *records,
                            struct belt_span *names, char byte, int64_t *numbers, uint64_t *odd)
{
    if (work->others) {
        work->others--;
        return false;
    }
    bool done = cut_ends(layout, base, records, names, byte, numbers, odd);
    work->others = done ? 0 : OTHERS;
    return done;
}

/* The numbers that have not the common form, with their records. */
static uint64_t read_odd(const struct belt_split *split, struct belt_split_work *work,
                         const char *base, const struct belt_span *records,
                         const struct belt_span *names, uint64_t odd, int64_t *numbers)
{
    uint64_t failed = 0;
    for (uint64_t rest = odd; rest; rest &= rest - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(rest);
        struct belt_span record = records[k];
        uint32_t size = record.size - names[k].size - 1;
        if (names[k].size >= record.size)
            failed |= UINT64_C(1) << k; /* no delimiter */
        work->at[1][k] = record.at + record.size - size;
        work->size[1][k] = size;
    }
    return failed | read_slowly(work, base, &split->fields[1], 1, odd & ~failed, numbers);
}

static void two_fields(const struct belt_split *split, struct belt_split_work *work,
                       struct belt_view *view, uint32_t w, uint64_t rows)
{
    const struct belt_split_field *name = &split->fields[0], *number = &split->fields[1];
    const struct belt_column *source = &view->columns[split->source];
    int64_t *numbers = view->columns[number->column].as.numbers + w * 64;
    struct belt_span *names = work->names;
    bool dense = rows == UINT64_MAX, named = name->column != BELT_SPLIT_SKIP;
    if (named)
        names = view->columns[name->column].as.spans + w * 64;
    struct belt_span *names_to = dense ? names : work->names;
    int64_t *numbers_to = dense ? numbers : work->numbers;
    const struct belt_span *records = dense ? source->as.spans + w * 64 : work->records;
    if (dense)
        work->count = 64, work->all = UINT64_MAX;
    else
        take(work, source->as.spans + w * 64, rows);
    uint64_t odd;
    if (!dense || !try_ends(work, &number->layout, source->base, records, names_to,
                            split->delimiter[0], numbers_to, &odd)) {
        cut_two(work, source->base, records, names_to, split->delimiter[0]);
        odd = work->all & ~read_numbers(work, &number->layout, records, names_to, numbers_to);
    }
    if (odd) {
        for (uint32_t i = 0; dense && i < 64; i++)
            work->index[i] = (uint8_t)i;
        odd = read_odd(split, work, source->base, records, names_to, odd, numbers_to);
        fail_all(split, work, view, w, odd);
    }
    for (uint32_t k = 0; !dense && k < work->count; k++) {
        if (named)
            names[work->index[k]] = work->names[k];
        numbers[work->index[k]] = work->numbers[k];
    }
}

/* ---- the general way ------------------------------------------------------------ */

/* Goes through the delimiters of one record, 32 bytes at a time. */
struct cuts {
    const char *text;
    uint32_t size, from, hits; /* hits: of the 32 bytes from `from` on */
};

/* The first delimiter at `start` or after it; the record's size when there is none. */
static inline uint32_t next_cut(const struct belt_split *split, struct cuts *cuts, vec first,
                                uint32_t start)
{
    for (;;) {
        for (; cuts->hits; cuts->hits &= cuts->hits - 1) {
            uint32_t cut = cuts->from + (uint32_t)__builtin_ctz(cuts->hits);
            uint64_t word = load8(cuts->text + cut) & split->delimiter_mask;
            /* A longer delimiter must be all there and not overlap the one before. */
            if (word == split->delimiter_word && cut >= start &&
                cuts->size - cut >= split->delimiter_size) {
                cuts->hits &= cuts->hits - 1;
                return cut;
            }
        }
        if (cuts->size - cuts->from <= NEAR)
            return cuts->size;
        cuts->from += NEAR;
        cuts->hits =
            v_find32(cuts->text + cuts->from, first) & (uint32_t)low_bits(cuts->size - cuts->from);
    }
}

/* Finds the fields of record `k`; false when there are too few or too many. */
static bool cut_record(const struct belt_split *split, struct belt_split_work *work,
                       const char *base, uint32_t k, vec first)
{
    struct belt_span record = work->records[k];
    struct cuts cuts = { .text = base + record.at, .size = record.size };
    uint32_t start = 0, cut = record.size, last = split->count - 1;
    cuts.hits = v_find32(cuts.text, first) & (uint32_t)low_bits(record.size);
    for (uint32_t f = 0; f < last; f++) {
        cut = next_cut(split, &cuts, first, start);
        if (cut == record.size)
            return false;
        work->at[f][k] = record.at + start;
        work->size[f][k] = cut - start;
        start = cut + split->delimiter_size;
    }
    cut = split->extra == BELT_EXTRA_REST ? record.size : next_cut(split, &cuts, first, start);
    if (cut < record.size && split->extra == BELT_EXTRA_FAIL)
        return false;
    work->at[last][k] = record.at + start;
    work->size[last][k] = cut - start;
    return true;
}

static uint64_t cut_all(const struct belt_split *split, struct belt_split_work *work,
                        const char *base)
{
    const vec first = v_all8(split->delimiter[0]);
    uint64_t failed = 0;
    for (uint32_t k = 0; k < work->count; k++) {
        if (cut_record(split, work, base, k, first))
            continue;
        failed |= UINT64_C(1) << k;
        belt_split_blank(split, work, k);
    }
    return failed;
}

static void store_texts(const struct belt_split_work *work, uint32_t f, struct belt_column *to,
                        uint32_t w)
{
    for (uint32_t k = 0; k < work->count; k++)
        to->as.spans[w * 64 + work->index[k]] =
            (struct belt_span){ work->at[f][k], work->size[f][k] };
}

static uint64_t store_floats(const struct belt_split_work *work, uint32_t f, const char *base,
                             struct belt_column *to, uint32_t w)
{
    uint64_t failed = 0;
    for (uint32_t k = 0; k < work->count; k++) {
        double *out = &to->as.floats[w * 64 + work->index[k]];
        if (belt_float_parse(base + work->at[f][k], work->size[f][k], out) != BELT_FLAW_NONE)
            failed |= UINT64_C(1) << k;
    }
    return failed;
}

static uint64_t store_numbers(struct belt_split_work *work, const struct belt_split_field *field,
                              uint32_t f, const char *base, struct belt_column *to, uint32_t w)
{
    uint64_t odd = work->all;
    if (!field->wide) {
        for (uint32_t k = 0; k < work->count; k++) {
            work->sizes[k] = work->size[f][k];
            work->words[k] = load8(base + work->at[f][k] + work->size[f][k] - 8);
        }
        odd &= ~read_numbers(work, &field->layout, NULL, NULL, work->numbers);
    }
    uint64_t failed = odd ? read_slowly(work, base, field, f, odd, work->numbers) : 0;
    for (uint32_t k = 0; k < work->count; k++)
        to->as.numbers[w * 64 + work->index[k]] = work->numbers[k];
    return failed;
}

static void any_fields(const struct belt_split *split, struct belt_split_work *work,
                       struct belt_view *view, uint32_t w, uint64_t rows)
{
    const struct belt_column *source = &view->columns[split->source];
    const char *base = source->base;
    take(work, source->as.spans + w * 64, rows);
    uint64_t failed = split->cut ? split->cut(split, work, base, w) : cut_all(split, work, base);
    for (uint32_t f = 0; f < split->count; f++) {
        const struct belt_split_field *field = &split->fields[f];
        if (field->column == BELT_SPLIT_SKIP)
            continue;
        struct belt_column *to = &view->columns[field->column];
        if (field->type == BELT_TEXT)
            store_texts(work, f, to, w);
        else if (field->type == BELT_FLOAT)
            failed |= store_floats(work, f, base, to, w);
        else
            failed |= store_numbers(work, field, f, base, to, w);
    }
    if (failed)
        fail_all(split, work, view, w, failed);
}

void BELT_HOT(belt_split_word)(const struct belt_split *split, struct belt_split_work *work,
                               struct belt_view *view, uint32_t w, uint64_t rows)
{
    if (split->two)
        two_fields(split, work, view, w, rows);
    else
        any_fields(split, work, view, w, rows);
}

void BELT_HOT(belt_split_frame)(const struct belt_split *split, struct belt_split_work *work,
                                struct belt_view *view)
{
    BELT_EACH_WORD(view, w)
    {
        uint64_t rows = belt_live_word(view, w);
        if (rows)
            BELT_HOT(belt_split_word)(split, work, view, w, rows);
    }
}
