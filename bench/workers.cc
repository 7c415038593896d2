// How long a killed worker is missed: from SIGKILL to the return of the first batch callback
// that got a message of its successor. Workers are killed at random moments under full load.
//
//   workers/recovery      one worker, which all messages go through; time: p99
//   workers/recovery/two  two, of which one is killed; the other goes on

#include <benchmark/benchmark.h>

#include <signal.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <random>
#include <thread>

#include "bench/calibrate.h"
#include "bench/job.h"

namespace
{

constexpr int KILLS = 300;
constexpr int INSTANCES = 64;
constexpr unsigned PAUSE_LEAST_US = 2000, PAUSE_MOST_US = 12000;
constexpr uint64_t PATIENCE_NS = 10000000000;

uint64_t clock_ns()
{
    timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return static_cast<uint64_t>(t.tv_sec) * 1000000000u + static_cast<uint64_t>(t.tv_nsec);
}

// ---- what workers, the sink and the killer share

struct alignas(64) Instance {
    std::atomic<pid_t> pid;        // of its worker, from init() on
    std::atomic<pid_t> settled;    // whose message was the last that is settled,
    std::atomic<uint64_t> changed; // and since when it is that one's
};

Instance *instances()
{
    static void *at = mmap(nullptr, INSTANCES * sizeof(Instance), PROT_READ | PROT_WRITE,
                           MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return static_cast<Instance *>(at);
}

// What a message is after the step.
struct Stamp {
    uint32_t index;
    pid_t pid;
};

int stamp_init(void *state, void *, const belt_instance *in, belt_error *)
{
    Stamp stamp = { in->index % INSTANCES, getpid() };
    instances()[stamp.index].pid = stamp.pid;
    *static_cast<Stamp *>(state) = stamp;
    return 0;
}

int stamp_message(void *state, belt_view *view, uint32_t i)
{
    char *room = belt_room(view, sizeof(Stamp));
    if (!room)
        return -1;
    memcpy(room, state, sizeof(Stamp));
    return belt_put_text(view, 0, i, room, sizeof(Stamp)) ? 0 : -1;
}

// All of a batch is settled when this has returned; the clock is read just before.
int note_batch(void *, belt_batch *batch, belt_error *)
{
    for (uint32_t i = 0; i < batch->count; i++) {
        Stamp stamp;
        memcpy(&stamp, batch->bytes + batch->spans[i].at, sizeof stamp);
        Instance &of = instances()[stamp.index];
        if (of.settled.load(std::memory_order_relaxed) == stamp.pid)
            continue;
        of.changed = clock_ns();
        of.settled = stamp.pid;
    }
    return 0;
}

belt_part part_of(belt_part_kind kind, const char *name)
{
    belt_part part = {};
    part.abi = BELT_ABI;
    part.kind = kind;
    part.name = name;
    part.help = "for benches";
    return part;
}

const belt_part *stamp_step()
{
    static belt_step step = {};
    step.part = part_of(BELT_STEP, "stamp");
    step.part.state_size = sizeof(Stamp);
    step.part.init = stamp_init;
    step.message = stamp_message;
    return &step.part;
}

const belt_part *note_sink()
{
    static belt_sink sink = {};
    sink.part = part_of(BELT_SINK, "note");
    sink.batch = note_batch;
    return &sink.part;
}

// ---- the killer: this thread, beside the pipeline

struct Figures {
    std::vector<uint64_t> took; // ns, one for each kill, rising
    std::vector<uint64_t> late; // ns that the killer's own sleeps took too long, rising
    std::string wrong;
};

// Its worker; 0: no message of it is settled yet.
pid_t worker_of(const Instance &of)
{
    pid_t pid = of.pid;
    return of.settled == pid ? pid : 0;
}

// ns from `from` to a message of a worker that is not `dead`; 0: none came.
uint64_t wait_for_next(const Instance &of, pid_t dead, uint64_t from)
{
    while (of.settled == dead) {
        if (clock_ns() - from > PATIENCE_NS)
            return 0;
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
    return of.changed - from;
}

Figures kill_workers(uint32_t workers)
{
    Figures out;
    std::minstd_rand random(std::random_device{}());
    uint64_t last = clock_ns();
    while (out.took.size() < KILLS && out.wrong.empty()) {
        uint64_t pause = PAUSE_LEAST_US + random() % (PAUSE_MOST_US - PAUSE_LEAST_US);
        uint64_t before = clock_ns();
        std::this_thread::sleep_for(std::chrono::microseconds(pause));
        out.late.push_back(clock_ns() - before - pause * 1000);
        const Instance &of = instances()[random() % workers];
        pid_t pid = worker_of(of);
        uint64_t now = clock_ns();
        if (pid && kill(pid, SIGKILL) == 0) {
            out.took.push_back(wait_for_next(of, pid, now));
            last = now;
        }
        if (now - last > PATIENCE_NS || (!out.took.empty() && !out.took.back()))
            out.wrong = "a worker had no successor";
    }
    std::sort(out.took.begin(), out.took.end());
    std::sort(out.late.begin(), out.late.end());
    return out;
}

// ---- runs

std::string wrong_with(belt_pipeline *p)
{
    belt_totals t = {};
    t.size = sizeof t;
    belt_pipeline_totals(p, &t);
    std::string wrong = bench_differs("done", t.done, t.received);
    return wrong.empty() ? bench_differs("failed", t.failed, 0) : wrong;
}

Figures run(const std::string &yaml, uint32_t workers, belt_error *err)
{
    Figures out;
    belt_pipeline *p = nullptr;
    memset(static_cast<void *>(instances()), 0, INSTANCES * sizeof(Instance));
    int rc = belt_pipeline_new(&p, err);
    for (const belt_part *part : { stamp_step(), note_sink() })
        if (rc == 0)
            rc = belt_pipeline_add(p, part, err);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, yaml.c_str(), "workers", err);
    if (rc == 0)
        rc = belt_pipeline_start(p, err);
    if (rc == 0) {
        out = kill_workers(workers);
        belt_pipeline_stop(p, PATIENCE_NS);
        rc = belt_pipeline_wait(p, BELT_FOREVER, err);
    }
    if (rc < 0)
        out.wrong = err->text;
    else if (out.wrong.empty())
        out.wrong = wrong_with(p);
    if (p)
        belt_pipeline_free(p);
    return out;
}

double load_now()
{
    std::ifstream in("/proc/loadavg");
    double load = -1;
    in >> load;
    return load;
}

/* Ticks of all CPUs since the boot: in all, and those that the host took. */
struct Ticks {
    double all = 0, stolen = 0;
};

Ticks ticks_now()
{
    std::ifstream in("/proc/stat");
    std::string name;
    Ticks out;
    double ticks;
    in >> name;
    for (int field = 0; field < 8 && in >> ticks; field++) { /* user to steal */
        out.all += ticks;
        out.stolen = ticks;
    }
    return out;
}

double distance_ns()
{
    int a, b;
    return belt_calibrate_cpus(&a, &b) ? belt_calibrate_ns(a, b) : -1;
}

void measure(benchmark::State &state, const std::string &yaml, uint32_t workers)
{
    double load = load_now(), before = distance_ns();
    Ticks from = ticks_now();
    Figures figures;
    for (auto _ : state) {
        belt_error err = {};
        figures = run(yaml, workers, &err);
        if (!figures.wrong.empty()) {
            state.SkipWithError(figures.wrong.c_str());
            return;
        }
        state.SetIterationTime(static_cast<double>(figures.took[KILLS * 99 / 100]) / 1e9);
    }
    Ticks to = ticks_now();
    auto us = [&](size_t at) { return static_cast<double>(figures.took[at]) / 1e3; };
    double near_ns = std::max(before, distance_ns());
    state.counters["kills"] = KILLS;
    state.counters["p50_us"] = us(KILLS / 2);
    state.counters["p99_us"] = us(KILLS * 99 / 100);
    state.counters["most_us"] = us(KILLS - 1);
    state.counters["late_us"] =
        static_cast<double>(figures.late[figures.late.size() * 99 / 100]) / 1e3;
    state.counters["load"] = load;
    state.counters["stolen_pc"] =
        100 * (to.stolen - from.stolen) / std::max(1.0, to.all - from.all);
    state.counters["near_ns"] = near_ns;
    state.SetLabel(belt_calibrate_label(near_ns));
}

void register_recovery(const std::string &name, uint32_t workers)
{
    std::string many = std::to_string(workers);
    std::string yaml = "source: { counter: { count: 1000000000000 }, concurrency: " + many +
                       " }\nprocessor: { isolation: process, concurrency: " + many +
                       ", max_restarts: 100000, max_attempts: 100, steps: [ stamp: {} ] }\n"
                       "batcher: { size: 100, concurrency: 1, order: any, "
                       "sink: { note: { format: raw } } }\n";
    benchmark::RegisterBenchmark(("workers/recovery" + name).c_str(),
                                 [=](benchmark::State &state) { measure(state, yaml, workers); })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
}

const bool registered = [] {
    register_recovery("", 1);
    register_recovery("/two", 2);
    return true;
}();

} // namespace
