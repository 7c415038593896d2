/* Looking in: totals, failures, the plan and the report. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock_priv.h"
#include "core/pipeline_priv.h"
#include "core/settings_priv.h"

/* ---- totals ----------------------------------------------------------------- */

static void add_source(const struct belt_engine_run *run, struct belt_totals *t)
{
    /* A1, pairs with R1 in belt_run_ready(): before, the states are not set up. */
    bool ready = belt_load_acquire32(&run->ready) != 0;
    uint64_t of_part = 0; /* every instance tells the total of its part */
    for (uint32_t i = 0; i < run->sources_used; i++) {
        struct belt_source_stage *s = &run->sources[i];
        uint64_t total = 0;
        if (s->part->progress && ready)
            s->progress = s->part->progress(s->state, &total);
        t->bytes_in += s->progress;
        if (total > s->progress_total)
            s->progress_total = total;
        if (s->progress_total > of_part)
            of_part = s->progress_total;
        if (i + 1 == run->sources_used || s[1].spec != s->spec) {
            bool known = of_part && (t->bytes_total || s->spec == run->spec->sources);
            t->bytes_total = known ? t->bytes_total + of_part : 0;
            of_part = 0;
        }
        struct belt_ledger_counts c = belt_ledger_count(&s->ledger);
        t->failed += c.failed;
        t->unsettled += c.unsettled;
        t->received += c.issued;
    }
}

void belt_pipeline_totals(struct belt_pipeline *p, struct belt_totals *out)
{
    struct belt_totals t = { .size = out->size };
    struct belt_engine_run *run = p->run;
    if (run) {
        add_source(run, &t);
        for (uint32_t i = 0; i < run->chains_used; i++)
            t.dropped += belt_load_relaxed(&run->chains[i].stage.stats.dropped);
        for (int o = 0; o < run->batchers_used; o++)
            for (uint32_t i = 0; i < run->spec->batchers[o].instances; i++) {
                const struct belt_stats *stats = &run->batchers[o][i].stage.stats;
                t.batches += belt_load_relaxed(&stats->batches);
                t.bytes_out += belt_load_relaxed(&stats->bytes);
            }
        uint64_t not_done = t.failed + t.unsettled;
        t.done = t.received > not_done ? t.received - not_done : 0;
        t.ended = p->ended;
        t.complete = p->ended && !belt_load_relaxed32(&run->incomplete);
        bool runs = p->started && !p->ended; /* else the time is that of the last turn */
        uint64_t until = runs ? belt_now() : run->ended_ns;
        t.elapsed_ns = until > run->started_ns ? until - run->started_ns : 0;
    }
    memcpy(out, &t, out->size < sizeof t ? out->size : sizeof t);
}

/* ---- failures --------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const struct belt_failure_seen *x = a, *y = b;
    if (x->source != y->source)
        return x->source < y->source ? -1 : 1;
    if (x->chunk != y->chunk)
        return x->chunk < y->chunk ? -1 : 1;
    return x->place < y->place ? -1 : x->place > y->place;
}

/* `use` is the source it came from. */
static void put_where(const struct belt_use *use, const struct belt_failure_seen *seen, char *out,
                      size_t room)
{
    const struct belt_source *part = (const struct belt_source *)(const void *)use->part;
    if (!part->where || part->where(use->conf, seen->file, seen->place, out, room) < 0)
        snprintf(out, room, "record at %llu", (unsigned long long)seen->place);
}

static void put_failure(const struct belt_spec *spec, const struct belt_failure_seen *seen,
                        struct belt_failure *out)
{
    snprintf(out->reason, sizeof out->reason, "%s", seen->reason);
    put_where(&spec->sources[seen->source].use, seen, out->where, sizeof out->where);
}

void belt_run_place_error(struct belt_engine_run *run)
{
    char where[256];
    if (!run->error_placed)
        return;
    run->error_placed = false;
    put_where(&run->spec->sources[run->error_at.source].use, &run->error_at, where, sizeof where);
    int config = run->error.config;
    belt_error_set(&run->error, run->error.code, "%s; it was at %s", run->error.text, where);
    run->error.config = config;
}

size_t belt_pipeline_failures(struct belt_pipeline *p, struct belt_failure *out, size_t room)
{
    struct belt_engine_run *run = p->run;
    if (!run || !p->ended)
        return 0;
    struct belt_failure_seen *all = calloc(run->chains_used + 1, sizeof run->chains->failures);
    const struct belt_failure_seen *held;
    size_t count = 0, used = 0, late = run->holds ? belt_holds_failures(run->holds, &held) : 0;
    for (uint32_t i = 0; all && i < late; i++)
        all[count++] = held[i];
    for (uint32_t c = 0; all && c < run->chains_used; c++)
        for (uint32_t i = 0; i < run->chains[c].failures_used; i++)
            all[count++] = run->chains[c].failures[i];
    if (count)
        qsort(all, count, sizeof *all, by_place);
    for (; used < count && used < room; used++)
        put_failure(run->spec, &all[used], &out[used]);
    free(all);
    for (int o = 0; o < run->batchers_used; o++)
        for (uint32_t i = 0; i < run->spec->batchers[o].instances && used < room; i++)
            if (run->batchers[o][i].failures) {
                snprintf(out[used].where, sizeof out->where, "%s", run->spec->batchers[o].path);
                out[used++].reason[0] = 0;
                strcpy(out[used - 1].reason, run->batchers[o][i].failure.reason);
            }
    return used;
}

/* ---- the report ------------------------------------------------------------- */

static const struct {
    const char *name;
    size_t offset;
} counters[] = {
#define BELT_COUNTER(name, unit, help) { #name, offsetof(struct belt_stats, name) },
#include "core/stats.def"
#undef BELT_COUNTER
};

static void report_stage(const struct belt_stage *stage, bool last, FILE *out)
{
    fprintf(out, "    {\"stage\": \"%s\", \"lane\": %u, \"active\": %s", stage->name,
            stage->lane->index, belt_stage_is_idle(stage) ? "false" : "true");
    for (size_t i = 0; i < sizeof counters / sizeof *counters; i++) {
        const char *at = (const char *)&stage->stats + counters[i].offset;
        fprintf(out, ", \"%s\": %llu", counters[i].name,
                (unsigned long long)belt_load_relaxed((const uint64_t *)(const void *)at));
    }
    fprintf(out, "}%s\n", last ? "" : ",");
}

/* Names and texts of the report hold no quotes or control bytes but these. */
void belt_put_json(const char *text, FILE *out)
{
    fputc('"', out);
    for (; *text; text++)
        if (*text == '"' || *text == '\\')
            fprintf(out, "\\%c", *text);
        else if ((unsigned char)*text < 0x20)
            fprintf(out, "\\u%04x", (unsigned)(unsigned char)*text);
        else
            fputc(*text, out);
    fputc('"', out);
}

int belt_pipeline_report(struct belt_pipeline *p, FILE *out, struct belt_error *err)
{
    struct belt_engine_run *run = p->run;
    if (!run)
        return belt_error_set(err, -EINVAL, "the pipeline was not started");
    struct belt_totals t = { .size = sizeof t };
    belt_pipeline_totals(p, &t);
    fprintf(out, "{\n  \"name\": ");
    belt_put_json(p->spec->name, out);
    fprintf(out, ",\n  \"plan\": ");
    belt_put_json(belt_pipeline_plan_line(p), out);
    fprintf(out, ",\n  \"complete\": %s,\n", t.complete ? "true" : "false");
    const struct {
        const char *name;
        uint64_t value;
    } totals[] = {
        { "received", t.received },      { "done", t.done },
        { "dropped", t.dropped },        { "failed", t.failed },
        { "unsettled", t.unsettled },    { "held", run->holds ? belt_holds_used(run->holds) : 0 },
        { "bytes_in", t.bytes_in },      { "bytes_out", t.bytes_out },
        { "batches", t.batches },        { "elapsed_ns", t.elapsed_ns },
        { "memory_bytes", run->memory },
    };
    for (size_t i = 0; i < sizeof totals / sizeof *totals; i++)
        fprintf(out, "  \"%s\": %llu,\n", totals[i].name, (unsigned long long)totals[i].value);
    belt_latency_report(run, out);
    fprintf(out, "  \"stages\": [\n");
    for (uint32_t l = 0; l < run->lanes_used; l++)
        for (uint32_t i = 0; i < run->lanes[l].stages_used; i++)
            report_stage(run->lanes[l].stages[i],
                         l + 1 == run->lanes_used && i + 1 == run->lanes[l].stages_used, out);
    fprintf(out, "  ]\n}\n");
    return ferror(out) ? belt_error_set(err, -EIO, "report: cannot be written") : 0;
}

const struct belt_part *belt_part_at(struct belt_pipeline *p, size_t i)
{
    return belt_registry_at(p->registry, i);
}
