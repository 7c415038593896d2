// Half of all numbers go to a batcher that takes 100 of them a second. How fast is the other
// half? Time is from the start to the last number of the fast half; items are those of it.
//
//   stall/none     both batchers are fast
//   stall/wait     nothing waits beside the slow one's edge
//   stall/hold     1 GiB may: all of its half does
//   stall/cold     the same in memory that comes as it is needed (placement.touch: false)
//   stall/spill    1 MiB may, the rest goes to a file
//   stall/fail     1 MiB may, the rest fails

#include <benchmark/benchmark.h>

#include <atomic>
#include <chrono>
#include <cstring>
#include <deque>
#include <string>
#include <thread>

#include "core/pipeline.h"

namespace
{

using Clock = std::chrono::steady_clock;

constexpr uint64_t NUMBERS = 20000000;
constexpr auto PATIENCE = std::chrono::seconds(3);
constexpr auto PACE = std::chrono::milliseconds(100); // a batch of ten: 100 a second

std::atomic<uint64_t> fast_rows, slow_rows;
Clock::time_point fast_end;

// ---- step: odd numbers to the batcher `slow`

int halves_prepare(void *conf, belt_setup *setup, belt_error *err)
{
    int slow = belt_setup_batcher(setup, nullptr, "slow", err);
    *static_cast<int *>(conf) = slow;
    return slow < 0 ? slow : 0;
}

int halves_init(void *state, void *conf, const belt_instance *, belt_error *)
{
    *static_cast<int *>(state) = *static_cast<int *>(conf);
    return 0;
}

int halves_message(void *state, belt_view *view, uint32_t i)
{
    uint32_t size;
    if (*belt_text(view, 0, i, &size) & 1)
        belt_route(view, i, *static_cast<int *>(state));
    return 0;
}

// ---- sinks: one that counts, one that takes its time

int fast_batch(void *, belt_batch *batch, belt_error *)
{
    if (fast_rows.fetch_add(batch->count) + batch->count == NUMBERS / 2)
        fast_end = Clock::now();
    return 0;
}

struct Slow {
    std::deque<belt_batch *> *waiting;
    Clock::time_point next;
};

int slow_init(void *state, void *, const belt_instance *, belt_error *)
{
    auto slow = static_cast<Slow *>(state);
    slow->waiting = new std::deque<belt_batch *>;
    slow->next = Clock::now();
    return 0;
}

void slow_fini(void *state, void *)
{
    delete static_cast<Slow *>(state)->waiting;
}

int slow_batch(void *state, belt_batch *batch, belt_error *)
{
    static_cast<Slow *>(state)->waiting->push_back(batch);
    return BELT_PENDING;
}

int slow_poll(void *state)
{
    auto slow = static_cast<Slow *>(state);
    if (slow->waiting->empty() || Clock::now() < slow->next)
        return 0;
    belt_batch *batch = slow->waiting->front();
    slow->waiting->pop_front();
    slow->next = Clock::now() + PACE;
    slow_rows += batch->count;
    belt_batch_done(batch, 0, nullptr);
    return 1;
}

belt_part part_of(belt_part_kind kind, const char *name)
{
    belt_part part = {};
    part.abi = BELT_ABI;
    part.kind = kind;
    part.name = name;
    part.help = name;
    return part;
}

const belt_step *halves()
{
    static belt_step step = {};
    step.part = part_of(BELT_STEP, "halves");
    step.part.conf_size = step.part.state_size = sizeof(int);
    step.part.prepare = halves_prepare;
    step.part.init = halves_init;
    step.message = halves_message;
    return &step;
}

const belt_sink *fast_sink()
{
    static belt_sink sink = {};
    sink.part = part_of(BELT_SINK, "fast");
    sink.batch = fast_batch;
    return &sink;
}

const belt_sink *slow_sink()
{
    static belt_sink sink = {};
    sink.part = part_of(BELT_SINK, "slow");
    sink.part.state_size = sizeof(Slow);
    sink.part.init = slow_init;
    sink.part.fini = slow_fini;
    sink.batch = slow_batch;
    sink.poll = slow_poll;
    return &sink;
}

// ---- runs

std::string yaml_of(const std::string &slow, bool touch)
{
    return std::string("placement: { touch: ") + (touch ? "true" : "false") +
           " }\nsource: { counter: { count: " + std::to_string(NUMBERS) +
           " }, concurrency: 1, window: 33554432 }\nprocessor: { steps: [ halves: {} ] }\n"
           "batchers:\n  fast: { size: 1000, sink: { fast: {} } }\n  slow: { " +
           slow + " }\n";
}

// Seconds until the fast half was through, or until patience was.
double run(const std::string &yaml, belt_error *err)
{
    belt_pipeline *p = nullptr;
    fast_rows = slow_rows = 0;
    int rc = belt_pipeline_new(&p, err);
    for (const belt_part *part : { &halves()->part, &fast_sink()->part, &slow_sink()->part })
        if (rc == 0)
            rc = belt_pipeline_add(p, part, err);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, yaml.c_str(), "stall", err);
    if (rc == 0)
        rc = belt_pipeline_start(p, err);
    auto start = Clock::now();
    while (rc == 0 && fast_rows < NUMBERS / 2 && Clock::now() - start < PATIENCE)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (fast_rows < NUMBERS / 2)
        fast_end = Clock::now();
    if (rc == 0)
        belt_pipeline_stop(p, 0);
    if (p)
        belt_pipeline_free(p);
    return std::chrono::duration<double>(fast_end - start).count();
}

void measure(benchmark::State &state, const std::string &yaml)
{
    uint64_t fast = 0, slow = 0;
    for (auto _ : state) {
        belt_error err = {};
        double seconds = run(yaml, &err);
        if (err.code) {
            state.SkipWithError(err.text);
            return;
        }
        state.SetIterationTime(seconds);
        fast += fast_rows;
        slow = slow_rows;
    }
    state.SetItemsProcessed(static_cast<int64_t>(fast));
    state.counters["slow_rows"] = static_cast<double>(slow);
}

bool add(const char *name, const std::string &slow, bool touch = true)
{
    std::string yaml = yaml_of(slow, touch);
    benchmark::RegisterBenchmark(name, [yaml](benchmark::State &state) { measure(state, yaml); })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
    return true;
}

const bool added =
    add("stall/none", "size: 1000, sink: 'null'") &&
    add("stall/wait", "size: 10, sink: { slow: {} }") &&
    add("stall/hold", "size: 10, hold: 1GiB, sink: { slow: {} }") &&
    add("stall/cold", "size: 10, hold: 1GiB, sink: { slow: {} }", false) &&
    add("stall/spill", "size: 10, hold: 1MiB, when_full: spill, spill: { path: /tmp, "
                       "size: 4GiB }, sink: { slow: {} }") &&
    add("stall/fail", "size: 10, hold: 1MiB, when_full: fail, order: any, sink: { slow: {} }");

} // namespace
