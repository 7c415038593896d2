#include "core/latency_priv.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/clock_priv.h"
#include "core/pipeline_priv.h"
#include "core/telemetry_priv.h"

static const char *const names[] = {
#define BELT_HISTOGRAM(name, unit, help) #name,
#include "core/histograms.def"
#undef BELT_HISTOGRAM
};

int belt_latency_new(struct belt_engine_run *run, struct belt_error *err)
{
    size_t stages = 0, used = 0;
    for (uint32_t l = 0; l < run->lanes_used; l++)
        stages += run->lanes[l].stages_used;
    /* Pages that no value falls into are never touched. */
    run->hists = calloc(stages * BELT_HISTS, sizeof *run->hists);
    if (!run->hists)
        return belt_error_set(err, -ENOMEM, "histograms of %zu stages: out of memory", stages);
    for (uint32_t l = 0; l < run->lanes_used; l++)
        for (uint32_t i = 0; i < run->lanes[l].stages_used; i++)
            run->lanes[l].stages[i]->hists = &run->hists[used++ * BELT_HISTS];
    run->memory += stages * BELT_HISTS * sizeof *run->hists;
    return 0;
}

uint64_t belt_latency_turn(struct belt_stage *stage, uint64_t from)
{
    if (stage->run->plan->caller)
        return from; /* turns take no time on the caller's clock */
    uint64_t now = belt_now();
    if (stage->last == BELT_TURN_BUSY)
        belt_hist_record(&stage->hists[BELT_HIST_turn_ns], now - from);
    return now;
}

/* ---- from read to settled ------------------------------------------------------ */

void belt_latency_read(struct belt_source_stage *s, uint64_t word, uint64_t now)
{
    struct belt_stamps *stamps = &s->stamps;
    uint32_t used = stamps->head - stamps->tail;
    uint64_t oldest = used ? stamps->stamps[stamps->tail % BELT_STAMPS].at : now;
    /* As far apart as the latency is long: then they fit, whatever it is. */
    uint64_t apart = (now - oldest) / (BELT_STAMPS / 4);
    if (used == BELT_STAMPS)
        return;
    stamps->due = now + (apart > BELT_SAMPLE_NS ? apart : BELT_SAMPLE_NS);
    stamps->stamps[stamps->head % BELT_STAMPS].word = word;
    stamps->stamps[stamps->head++ % BELT_STAMPS].at = now;
}

void belt_latency_settled(struct belt_source_stage *s)
{
    struct belt_stamps *stamps = &s->stamps;
    for (; stamps->tail != stamps->head; stamps->tail++) {
        uint32_t i = stamps->tail % BELT_STAMPS;
        if (stamps->stamps[i].word > s->ledger.low)
            return;
        /* Not the turn's: a sink on this lane may have taken its time since. */
        uint64_t ns = belt_tell_now(&s->stage) - stamps->stamps[i].at;
        belt_hist_record(&s->stage.hists[BELT_HIST_ack_ns], ns);
        if (belt_wants(&s->stage, BELT_WANT(SOURCE_ACK)))
            belt_tell(&s->stage, BELT_EVENT_SOURCE_ACK, &ns, "", 0);
    }
}

/* ---- looking in ---------------------------------------------------------------- */

/* The stage's name without the number of its instance. */
static size_t name_size(const struct belt_stage *stage)
{
    const char *dot = strrchr(stage->name, '.');
    return dot ? (size_t)(dot - stage->name) : strlen(stage->name);
}

static bool is_named(const struct belt_stage *stage, const char *name, size_t size)
{
    return name_size(stage) == size && memcmp(stage->name, name, size) == 0;
}

/* Of all instances of this stage. How many there are. */
static int merge(const struct belt_engine_run *run, const char *name, size_t size, int which,
                 struct belt_hist *out)
{
    int found = 0;
    memset(out, 0, sizeof *out);
    for (uint32_t l = 0; l < run->lanes_used; l++)
        for (uint32_t i = 0; i < run->lanes[l].stages_used; i++) {
            const struct belt_stage *stage = run->lanes[l].stages[i];
            if (!is_named(stage, name, size))
                continue;
            belt_hist_merge(out, &stage->hists[which]);
            found++;
        }
    return found;
}

int belt_pipeline_histogram(struct belt_pipeline *p, const char *stage, const char *name,
                            struct belt_hist *out)
{
    for (int h = 0; p->run && h < BELT_HISTS; h++)
        if (strcmp(names[h], name) == 0)
            return merge(p->run, stage, strlen(stage), h, out) ? 0 : -ENOENT;
    return p->run ? -ENOENT : -EINVAL;
}

int belt_pipeline_latency(struct belt_pipeline *p, struct belt_hist *out)
{
    memset(out, 0, sizeof *out);
    for (uint32_t s = 0; p->run && s < p->run->sources_used; s++)
        belt_hist_merge(out, &p->run->sources[s].stage.hists[BELT_HIST_ack_ns]);
    return p->run ? 0 : -EINVAL;
}

/* The first instance stands for all of them. */
static bool is_first(const struct belt_engine_run *run, const struct belt_stage *stage)
{
    for (uint32_t l = 0; l < run->lanes_used; l++)
        for (uint32_t i = 0; i < run->lanes[l].stages_used; i++)
            if (is_named(run->lanes[l].stages[i], stage->name, name_size(stage)))
                return run->lanes[l].stages[i] == stage;
    return false;
}

static void report_stage(const struct belt_engine_run *run, const struct belt_stage *stage,
                         struct belt_hist *room, const char **before, FILE *out)
{
    for (int h = 0; h < BELT_HISTS; h++) {
        merge(run, stage->name, name_size(stage), h, room);
        if (!belt_hist_count(room))
            continue;
        fprintf(out, "%s    {\"stage\": \"%.*s\", \"name\": \"%s\", \"values\": ", *before,
                (int)name_size(stage), stage->name, names[h]);
        belt_hist_json(room, out);
        fputc('}', out);
        *before = ",\n";
    }
}

void belt_latency_report(const struct belt_engine_run *run, FILE *out)
{
    struct belt_hist *room = malloc(sizeof *room);
    const char *before = "";
    fputs("  \"histograms\": [\n", out);
    for (uint32_t l = 0; room && l < run->lanes_used; l++)
        for (uint32_t i = 0; i < run->lanes[l].stages_used; i++)
            if (is_first(run, run->lanes[l].stages[i]))
                report_stage(run, run->lanes[l].stages[i], room, &before, out);
    fputs("\n  ],\n", out);
    free(room);
}
