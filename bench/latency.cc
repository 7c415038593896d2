// How long a message takes from when it should have come until its source is told that it
// is done. The load is open: messages come at their own times, however late the pipeline
// is, and each is measured from its own time (so nothing is omitted when it stalls). Rates
// are parts of what the same pipeline does at most, measured first.
//
//   latency/<pipeline>/<percent of the top rate>
//     fused    source and callback on one lane, no batcher
//     batched  a batcher of 100 on a second lane; a batch leaves after 5 us at the latest
//     unpinned the same, but the kernel may move the lanes
//
// bare_*: the same for messages of one a microsecond that a loop answers which does nothing
// but read the clock, right before each sample: what the machine takes from anybody. All
// memory is there before the start (placement.touch).

#include <sched.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <map>

#include "bench/job.h"
#include "core/histogram.h"

namespace
{

constexpr uint32_t SLAB = 8 * BELT_FRAME, SLABS = 64;
constexpr uint32_t WORDS = 1u << 17; // more than a ledger has
constexpr uint64_t TOP_COUNT = 50000000;
constexpr double SECONDS = 0.3, WARM = 0.1; // of a sample, and what of it is not counted
constexpr uint64_t BARE_NS = 200000000, BARE_PACE_NS = 1000;
constexpr uint64_t DELAY_MOST_NS = 50000; // of all lanes; 0.1 % of a sample is 180 us

uint64_t clock_ns()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

// What the source is to do, and what it saw. One source at a time.
struct Load {
    uint64_t count = 0;
    double pace_ns = 0;                 // between two messages; 0: as fast as they are taken
    uint64_t acked = 0, warm = 0;       // warm: so many are not counted
    bool unpinned = false;              // lanes may run on every CPU
    std::atomic<uint64_t> delayed{ 0 }; // ns, of all lanes
    belt_hist latency, bare;
};

Load load;

// ---- what others took of the lanes' time

// How long this thread was ready to run and did not, so far.
uint64_t delayed_ns()
{
    unsigned long long ran = 0, waited = 0;
    FILE *in = fopen("/proc/thread-self/schedstat", "re");
    if (!in)
        return 0;
    int got = fscanf(in, "%llu %llu", &ran, &waited);
    fclose(in);
    return got == 2 ? waited : 0;
}

// In init and fini of a part on each lane.
void lane_begins()
{
    cpu_set_t all;
    if (load.unpinned && sched_getaffinity(getpid(), sizeof all, &all) == 0)
        sched_setaffinity(0, sizeof all, &all);
    load.delayed -= delayed_ns();
}

void lane_ends()
{
    load.delayed += delayed_ns();
}

// ---- the source

struct Paced {
    char *arena;
    uint32_t free[SLABS], free_used;
    uint64_t sent, frames, began;
    uint64_t first_of[WORDS]; // word of tickets -> number of its first message
};

int paced_prepare(void *, belt_setup *setup, belt_error *)
{
    belt_setup_limit(setup, 1);
    belt_setup_arena(setup, SLAB, SLABS);
    return 0;
}

int paced_init(void *state, void *, const belt_instance *in, belt_error *)
{
    Paced *s = static_cast<Paced *>(state);
    s->arena = in->arena;
    s->free_used = std::min(in->slabs, SLABS);
    for (uint32_t i = 0; i < s->free_used; i++)
        s->free[i] = i;
    lane_begins();
    return 0;
}

void paced_fini(void *, void *)
{
    lane_ends();
}

// Messages whose time has come and that were not sent yet.
uint64_t due(Paced *s)
{
    uint64_t left = load.count - s->sent;
    uint64_t now = clock_ns();
    if (!s->began)
        s->began = now;
    if (load.pace_ns == 0)
        return left;
    auto come = static_cast<uint64_t>(static_cast<double>(now - s->began) / load.pace_ns) + 1;
    return come > s->sent ? std::min(come - s->sent, left) : 0;
}

int paced_fill(void *state, belt_fill *out, belt_error *)
{
    Paced *s = static_cast<Paced *>(state);
    if (s->sent == load.count)
        return BELT_FILL_END;
    uint64_t room = std::min<uint64_t>(out->most, BELT_FRAME);
    auto count = static_cast<uint32_t>(std::min(due(s), room));
    if (!count || !s->free_used)
        return BELT_FILL_IDLE;
    out->slab = s->free[--s->free_used];
    char *slab = s->arena + static_cast<size_t>(out->slab) * SLAB;
    for (uint32_t i = 0; i < count; i++) {
        uint64_t number = s->sent + i;
        memcpy(slab + 8 * i, &number, 8);
        out->spans[i] = { 8 * i, 8 };
    }
    for (uint32_t i = 0; i < count; i += 64)
        s->first_of[(out->ticket + i) / 64 % WORDS] = s->sent + i;
    s->sent += count;
    out->base = slab;
    out->last_of_slab = out->last_of_chunk = true;
    out->chunk = s->frames++;
    return static_cast<int>(count);
}

void paced_recycle(void *state, uint32_t slab)
{
    Paced *s = static_cast<Paced *>(state);
    s->free[s->free_used++] = slab;
}

// All of a word are as late as its oldest: at most 64 paces too much, and cheap enough to
// be done in the runs that find the top rate as well.
void paced_ack(void *state, const belt_acked *acked)
{
    const Paced *s = static_cast<const Paced *>(state);
    auto count = static_cast<uint64_t>(__builtin_popcountll(acked->done));
    load.acked += count;
    if (!count)
        return;
    uint64_t number = s->first_of[acked->ticket / 64 % WORDS] +
                      static_cast<uint64_t>(__builtin_ctzll(acked->done));
    uint64_t now = clock_ns();
    uint64_t came = s->began + static_cast<uint64_t>(static_cast<double>(number) * load.pace_ns);
    if (number >= load.warm)
        belt_hist_record_many(&load.latency, now > came ? now - came : 0, count);
}

const belt_part *paced_source()
{
    static belt_source source = {};
    source.part.abi = BELT_ABI;
    source.part.kind = BELT_SOURCE;
    source.part.name = "paced";
    source.part.help = "for benches";
    source.part.state_size = sizeof(Paced);
    source.part.prepare = paced_prepare;
    source.part.init = paced_init;
    source.part.fini = paced_fini;
    source.fill = paced_fill;
    source.recycle = paced_recycle;
    source.ack = paced_ack;
    source.ack_any = true;
    return &source.part;
}

// ---- the callback: every payload is read

struct Sum {
    uint64_t sum;
};

int sum_message(void *state, belt_view *view, uint32_t i)
{
    uint32_t size;
    uint64_t value;
    memcpy(&value, belt_text(view, 0, i, &size), sizeof value);
    static_cast<Sum *>(state)->sum += value;
    return 0;
}

const belt_part *sum_step()
{
    static belt_step step = {};
    step.part.abi = BELT_ABI;
    step.part.kind = BELT_STEP;
    step.part.name = "sum_all";
    step.part.help = "for benches";
    step.part.state_size = sizeof(Sum);
    step.message = sum_message;
    return &step.part;
}

// ---- the sink, on a lane of its own

int gone_init(void *, void *, const belt_instance *, belt_error *)
{
    lane_begins();
    return 0;
}

void gone_fini(void *, void *)
{
    lane_ends();
}

int gone_batch(void *, belt_batch *, belt_error *)
{
    return 0;
}

const belt_part *gone_sink()
{
    static belt_sink sink = {};
    sink.part.abi = BELT_ABI;
    sink.part.kind = BELT_SINK;
    sink.part.name = "gone";
    sink.part.help = "for benches";
    sink.part.init = gone_init;
    sink.part.fini = gone_fini;
    sink.batch = gone_batch;
    return &sink.part;
}

// ---- samples

void spin_bare()
{
    belt_hist_reset(&load.bare);
    uint64_t now = clock_ns(), due = now, end = now + BARE_NS;
    for (; now < end; now = clock_ns())
        for (; due <= now; due += BARE_PACE_NS)
            belt_hist_record(&load.bare, now - due);
}

void begin(uint64_t count, double pace_ns)
{
    load.count = count;
    load.pace_ns = pace_ns;
    load.acked = 0;
    load.delayed = 0;
    load.warm = pace_ns > 0 ? static_cast<uint64_t>(WARM * 1e9 / pace_ns) : 0;
    belt_hist_reset(&load.latency);
}

BenchJob job_of(const std::string &yaml)
{
    BenchJob job;
    job.yaml = yaml;
    job.parts = { paced_source(), sum_step(), gone_sink() };
    return job;
}

// Messages a second that this pipeline takes at most: the best of three runs, since a
// rate that is too low would flatter the figures.
double top_rate(const std::string &yaml)
{
    static std::map<std::string, double> known;
    double &top = known[yaml];
    if (top != 0)
        return top;
    for (int i = 0; i < 3; i++) {
        begin(TOP_COUNT, 0);
        top = std::max(top, TOP_COUNT / bench_seconds(job_of(yaml)));
    }
    return top;
}

void register_latency(const std::string &name, const std::string &yaml, int percent,
                      bool unpinned = false)
{
    BenchJob job = job_of(yaml);
    job.input = [yaml, percent] {
        double rate = top_rate(yaml) * percent / 100;
        begin(static_cast<uint64_t>(rate * SECONDS), 1e9 / rate);
        return BenchInput{ load.count, 0 };
    };
    job.before = [unpinned] {
        load.unpinned = unpinned;
        begin(load.count, load.pace_ns);
        spin_bare();
    };
    job.wrong = [](const belt_totals &) {
        return bench_differs("acknowledged", load.acked, load.count);
    };
    job.disturbed = [] { return load.delayed > DELAY_MOST_NS; };
    job.figures = [] {
        auto of = [](const belt_hist &hist, double q) {
            return static_cast<double>(belt_hist_quantile(&hist, q)) / 1e3;
        };
        auto us = [of](double q) { return of(load.latency, q); };
        return std::vector<std::pair<std::string, double>>{
            { "p50_us", us(0.5) },
            { "p99_us", us(0.99) },
            { "p99_9_us", us(0.999) },
            { "most_us", us(1) },
            { "bare_p99_9_us", of(load.bare, 0.999) },
            { "bare_most_us", of(load.bare, 1) },
            { "delayed_us", static_cast<double>(load.delayed) / 1e3 }
        };
    };
    bench_register("latency/" + name + "/" + std::to_string(percent), job);
}

const bool registered = [] {
    const std::string source = "placement: { wait: spin, touch: true }\nsource: { paced: {} }\n"
                               "processor: { concurrency: 1, steps: [ sum_all: {} ] }\n";
    const std::string batched = source + "batcher: { size: 100, timeout: 5us, "
                                         "sink: { gone: { format: raw } } }\n";
    for (int percent : { 10, 80 }) {
        register_latency("fused", source, percent);
        register_latency("batched", batched, percent);
        register_latency("unpinned", batched, percent, true);
    }
    return true;
}();

} // namespace
