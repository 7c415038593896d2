/* Where the time goes: histograms of each stage, fed with samples. A sample is taken
 * when the last one is some time ago, so that what is rare is all there and what
 * is frequent costs nothing that could be measured. */
#ifndef BELT_LATENCY_PRIV_H
#define BELT_LATENCY_PRIV_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/histogram.h"

struct belt_engine_run;
struct belt_stage;
struct belt_source_stage;
struct belt_error;

#define BELT_SAMPLE_NS 32000u /* at 1 % of it a sample may cost 320 ns */
#define BELT_STAMPS 256

enum belt_histogram {
#define BELT_HISTOGRAM(name, unit, help) BELT_HIST_##name,
#include "core/histograms.def"
#undef BELT_HISTOGRAM
    BELT_HISTS
};

/* Frames of a source whose settling is awaited, oldest first. Its lane only. */
struct belt_stamps {
    uint64_t due; /* when the next frame is stamped */
    uint32_t head, tail;
    struct {
        uint64_t word, at; /* settled when the ledger's `low` has reached word; read at */
    } stamps[BELT_STAMPS];
};

static inline bool belt_sample_due(uint64_t *due, uint64_t now)
{
    if (__builtin_expect(now < *due, 1))
        return false;
    *due = now + BELT_SAMPLE_NS;
    return true;
}

/* Histograms for every stage of the run; after its lanes are filled. */
int belt_latency_new(struct belt_engine_run *run, struct belt_error *err);
/* The stage's turn has ended, which began at `from`. When it ended. */
uint64_t belt_latency_turn(struct belt_stage *stage, uint64_t from);
/* A frame was read at `now`; it is settled when `low` reaches `word`. */
void belt_latency_read(struct belt_source_stage *s, uint64_t word, uint64_t now);
/* Frames are settled. */
void belt_latency_settled(struct belt_source_stage *s);
/* The report's list: histograms that have anything, instances of a stage merged. */
void belt_latency_report(const struct belt_engine_run *run, FILE *out);

#endif
