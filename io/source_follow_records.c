/* Records that are no lines, of files that grow: one is there when its end is. Nothing is
 * carried from look to look but whether the bytes belong to a record that has failed. */
#include <stdlib.h>
#include <unistd.h>

#include "io/source_follow_priv.h"

bool follow_has_record(const struct follow *w, bool skipping, const char *text, uint32_t have)
{
    struct belt_span span;
    uint64_t failed = 0;
    struct belt_cut cut = { .seeks = skipping };
    struct belt_records_out out = { .spans = &span, .room = 1, .failed = &failed };
    bool more = belt_records_cut(&w->conf->kinds, &cut, text, have, UINT32_MAX, false, NULL, &out);
    return !more || out.count || (skipping && cut.at);
}

uint32_t follow_cut(struct follow *w, struct follow_file *file, struct belt_fill *out)
{
    struct follow_job *job = &w->job;
    struct belt_records_out to = { .spans = out->spans, .room = out->most, .failed = out->failed };
    bool more = belt_records_cut(&w->conf->kinds, &job->cut, source_slab(w->s, job->slab),
                                 job->have, UINT32_MAX, job->last, NULL, &to);
    if (to.reason)
        out->failed_reason = to.reason;
    job->at = job->cut.at;
    if (more) /* the rest is read again when there is more of it */
        job->have = job->at;
    file->skipping = job->cut.seeks;
    return to.count;
}

/* All whole records of the text; how many. Moves the cut to what is behind them. */
static uint64_t count_records(const struct belt_records *records, struct belt_cut *cut,
                              const char *text, uint32_t have)
{
    struct belt_span spans[BELT_FRAME];
    uint64_t failed[BELT_WORDS] = { 0 }, count = 0;
    for (bool more = false; !more;) {
        struct belt_records_out out = { .spans = spans, .room = BELT_FRAME, .failed = failed };
        more = belt_records_cut(records, cut, text, have, UINT32_MAX, false, NULL, &out);
        count += out.count;
    }
    return count;
}

struct follow_spot follow_end_of_records(const struct source_conf *conf, int fd, uint64_t size)
{
    struct follow_spot spot = { 0, 1 };
    struct belt_cut cut = { 0 };
    uint32_t room = (uint32_t)(conf->chunk + conf->max_record + BELT_RECORD_EDGE);
    char *memory = calloc(1, room + 2 * BELT_PAD), *text = memory + BELT_PAD;
    while (memory && spot.at < size) {
        uint64_t want = size - spot.at < room ? size - spot.at : room;
        ssize_t got = pread(fd, text, want, (off_t)spot.at);
        if (got <= 0)
            break;
        cut = (struct belt_cut){ .seeks = cut.seeks };
        spot.line += count_records(&conf->kinds, &cut, text, (uint32_t)got);
        spot.at += cut.at;
        if (got < (ssize_t)room)
            break;
    }
    free(memory);
    return cut.seeks && conf->kinds.kind == BELT_RECORDS_LENGTH
               ? (struct follow_spot){ spot.at, FOLLOW_PASSED }
               : spot;
}
