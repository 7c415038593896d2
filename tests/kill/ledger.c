/* Items, and what came of each. */
#include "tests/kill/kill_priv.h"

/* ---- items ------------------------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * UINT64_C(0x9e3779b97f4a7c15);
    return x ^ (x >> 29);
}

static uint32_t words_of(const struct kind *kind, struct name name)
{
    return 1 + (uint32_t)(mix(name.number + 1) % (kind->item_size / 8));
}

/* Over all of the item, its first word without the sum itself. */
static uint64_t sum_of(const uint64_t *item, uint32_t words, struct name name)
{
    uint64_t sum = mix((name.number << 8 | name.writer) + 1);
    for (uint32_t i = 1; i < words; i++)
        sum = mix(sum ^ item[i]);
    return sum >> 36 << 36;
}

/* The first word: number (32 bits), writer (4), sum (28). Never 0. */
uint32_t item_make(uint64_t *item, const struct kind *kind, struct name name)
{
    uint32_t words = words_of(kind, name);
    for (uint32_t i = 1; i < words; i++)
        item[i] = mix(name.number * 64 + i);
    item[0] = sum_of(item, words, name) | (uint64_t)(name.writer + 1) << 32 | name.number;
    return words * 8;
}

bool item_read(const uint64_t *item, const struct kind *kind, struct name *name)
{
    uint32_t writer = (uint32_t)(item[0] >> 32) & 15;
    *name = (struct name){ .writer = writer - 1, .number = (uint32_t)item[0] };
    if (writer == 0 || writer > kind->writers || name->number >= NUMBERS)
        return false;
    return sum_of(item, words_of(kind, *name), *name) == item[0] >> 36 << 36;
}

static uint64_t *noted_word(struct ledger *ledger, uint32_t view, struct name name)
{
    return &ledger->noted[view][name.writer][name.number / 64];
}

bool note(struct ledger *ledger, uint32_t view, struct name name)
{
    uint64_t bit = UINT64_C(1) << (name.number % 64);
    return !(belt_fetch_or(noted_word(ledger, view, name), bit) & bit);
}

bool noted(const struct ledger *ledger, uint32_t view, struct name name)
{
    return ledger->noted[view][name.writer][name.number / 64] >> (name.number % 64) & 1;
}

/* ---- deaths ----------------------------------------------------------------------- */

void writer_died(struct round *r, uint32_t log)
{
    struct writer_log *writer = &r->ledger->writers[log];
    if (writer->meant == writer->pushed)
        return;
    if (r->doubt_count < DOUBTS)
        r->doubts[r->doubt_count++] =
            (struct doubt){ .writer = log, .from = writer->pushed, .to = writer->meant };
    writer->pushed = writer->meant; /* its successor goes on there */
}

static void end_life(struct round *r, struct reader_log *reader)
{
    uint64_t again = reader->again_now;
    if (again > r->account->most)
        r->account->most = again;
    /* Items that MPMC readers died with go back to all of them: judged at the end. */
    if (again > r->kind->window && r->kind->kind != BELT_MPMC)
        r->account->beyond += again - r->kind->window;
    reader->again_now = 0;
}

void reader_died(struct round *r, uint32_t log)
{
    struct reader_log *reader = &r->ledger->readers[log];
    uint32_t words = r->kind->item_size / 8;
    struct name name;
    for (uint32_t i = 0; i < BATCH; i++)
        if (item_read(reader->hand + i * words, r->kind, &name) &&
            note(r->ledger, view_of(r->kind, log), name))
            r->account->in_hand++;
    memset(reader->hand, 0, sizeof reader->hand);
    end_life(r, reader);
}

/* ---- the end of a round ------------------------------------------------------------- */

static bool doubtful(const struct round *r, struct name name)
{
    for (uint32_t i = 0; i < r->doubt_count; i++)
        if (r->doubts[i].writer == name.writer && name.number >= r->doubts[i].from &&
            name.number < r->doubts[i].to)
            return true;
    return false;
}

static void settle_item(struct round *r, struct name name)
{
    uint32_t views = r->kind->each_sees_all ? r->kind->readers : 1, seen = 0;
    for (uint32_t view = 0; view < views; view++)
        seen += noted(r->ledger, view, name);
    if (seen == views) { /* most of them: nothing to look up */
        r->account->items++;
        return;
    }
    /* All readers see it, or none does. */
    if (seen != 0 || !doubtful(r, name))
        r->account->lost++;
}

static void settle_writer(struct round *r, uint32_t writer)
{
    struct writer_log *log = &r->ledger->writers[writer];
    struct name name = { .writer = writer };
    for (name.number = 0; name.number < log->pushed; name.number++)
        settle_item(r, name);
    for (; name.number < NUMBERS; name.number++)
        for (uint32_t view = 0; view < ENDS; view++)
            r->account->broken += noted(r->ledger, view, name); /* nobody pushed it */
}

/* Those that arrived were counted as items: which they are not for certain. */
static void settle_doubts(struct round *r)
{
    struct name name;
    for (uint32_t i = 0; i < r->doubt_count; i++) {
        name.writer = r->doubts[i].writer;
        for (name.number = r->doubts[i].from; name.number < r->doubts[i].to; name.number++) {
            bool arrived = noted(r->ledger, 0, name);
            r->account->doubts++;
            r->account->kept += arrived;
            r->account->items -= arrived;
        }
    }
}

void settle(struct round *r)
{
    for (uint32_t i = 0; i < r->kind->readers; i++) {
        struct reader_log *reader = &r->ledger->readers[i];
        end_life(r, reader);
        r->again += reader->again;
        r->late += reader->late;
        r->account->broken += reader->broken;
    }
    for (uint32_t i = 0; i < r->kind->writers; i++)
        settle_writer(r, i);
    settle_doubts(r);
    uint64_t most = r->reader_kills * r->kind->window;
    if (r->again > most)
        r->account->beyond += r->again - most;
    uint64_t late = r->kind->kind == BELT_MPMC ? most : 0;
    if (r->late > late)
        r->account->disorder += r->late - late;
    r->account->again += r->again;
    r->account->late += r->late;
}
