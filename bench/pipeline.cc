// Whole pipelines through the public API. One iteration is one run from start to
// end; items are messages. Data: BELT_SENSORS names a file of sensors rows
// (bench/run.sh makes it); rows that need it are left out when it is not there.
//
//   pipeline/<job>/<variant>   and, as the limits of this machine in the same run,
//   limit/read/<threads>       pread of the same file into reused buffers

#include <benchmark/benchmark.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bench/calibrate.h"
#include "core/pipeline.h"

namespace
{

// ---- steps written in C, as a user would: calls that the compiler cannot see through

struct SumState {
    uint64_t sum;
};

std::atomic<uint64_t> all_sums;

int sum_message(void *state, belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    uint64_t value;
    memcpy(&value, text, sizeof value);
    static_cast<SumState *>(state)->sum += value;
    return 0;
}

void sum_fini(void *state, void *)
{
    all_sums += static_cast<SumState *>(state)->sum;
}

uint32_t empty_frame(void *, belt_view *view)
{
    return view->end;
}

int empty_message(void *, belt_view *, uint32_t)
{
    return 0;
}

belt_step step_of(const char *name)
{
    belt_step step = {};
    step.part.abi = BELT_ABI;
    step.part.kind = BELT_STEP;
    step.part.name = name;
    step.part.help = "for benches";
    return step;
}

const belt_step *sum_step()
{
    static belt_step step = step_of("sum");
    step.part.state_size = sizeof(SumState);
    step.part.fini = sum_fini;
    step.message = sum_message;
    return &step;
}

const belt_step *empty_step()
{
    static belt_step step = step_of("empty");
    step.frame = empty_frame;
    return &step;
}

const belt_step *each_step()
{
    static belt_step step = step_of("each");
    step.message = empty_message;
    return &step;
}

// ---- one run

struct Outcome {
    belt_totals totals;
    std::string error;
};

Outcome run_once(const std::string &yaml)
{
    Outcome out = {};
    belt_error err = {};
    belt_pipeline *p = nullptr;
    int rc = belt_pipeline_new(&p, &err);
    const belt_step *const steps[] = { sum_step(), empty_step(), each_step() };
    for (const belt_step *step : steps)
        if (rc == 0)
            rc = belt_pipeline_add(p, &step->part, &err);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, yaml.c_str(), "bench", &err);
    if (rc == 0)
        rc = belt_pipeline_start(p, &err);
    if (rc == 0)
        rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    if (rc != 0)
        out.error = err.text;
    out.totals.size = sizeof out.totals;
    if (p)
        belt_pipeline_totals(p, &out.totals);
    belt_pipeline_free(p);
    return out;
}

void measure(benchmark::State &state, const std::string &yaml, uint64_t expected)
{
    uint64_t messages = 0, bytes = 0;
    double near_ns = 0;
    int a = 0, b = 0;
    belt_calibrate_cpus(&a, &b);
    for (auto _ : state) {
        double before = belt_calibrate_ns(a, b);
        Outcome out = run_once(yaml);
        double after = belt_calibrate_ns(a, b);
        if (!out.error.empty() || out.totals.failed || out.totals.unsettled ||
            (expected && out.totals.received != expected)) {
            state.SkipWithError(out.error.empty() ? "not all settled" : out.error.c_str());
            return;
        }
        state.SetIterationTime(static_cast<double>(out.totals.elapsed_ns) / 1e9);
        messages += out.totals.received;
        bytes += out.totals.bytes_in;
        near_ns = std::max({ near_ns, before, after });
    }
    state.SetItemsProcessed(static_cast<int64_t>(messages));
    state.SetBytesProcessed(static_cast<int64_t>(bytes));
    state.counters["near_ns"] = near_ns;
    state.SetLabel(belt_calibrate_label(near_ns));
}

void register_run(const char *name, const std::string &yaml, uint64_t expected)
{
    benchmark::RegisterBenchmark(
        name, [yaml, expected](benchmark::State &state) { measure(state, yaml, expected); })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
}

// ---- counter: 8-byte messages, nothing but the core

void register_counter()
{
    const uint64_t count = 400000000;
    std::string source = "source: { counter: { count: " + std::to_string(count) + " } }\n";
    register_run("pipeline/counter/opaque_call", source + "processor: { steps: [ sum: {} ] }\n",
                 count);
    register_run("pipeline/counter/frame_call", source + "processor: { steps: [ empty: {} ] }\n",
                 count);
    register_run("pipeline/counter/one_lane",
                 "placement: { lanes: 1 }\n" + source + "processor: { steps: [ sum: {} ] }\n",
                 count);
}

// ---- jobs on a file

// A file that was just written reads 1.5 times slower than one that was read back:
// evict it and read it once, so that every run sees the same page cache.
void warm(const std::string &path)
{
    int fd = open(path.c_str(), O_RDONLY);
    std::vector<char> buffer(1 << 20);
    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    while (read(fd, buffer.data(), buffer.size()) > 0)
        continue;
    close(fd);
}

uint64_t read_all(const std::string &path, unsigned threads)
{
    std::atomic<uint64_t> next{ 0 }, bytes{ 0 };
    std::vector<std::thread> team;
    for (unsigned t = 0; t < threads; t++)
        team.emplace_back([&] {
            std::vector<char> buffer(256 << 10);
            int fd = open(path.c_str(), O_RDONLY);
            for (ssize_t got;
                 (got = pread(fd, buffer.data(), buffer.size(),
                              static_cast<off_t>(next.fetch_add(1) * buffer.size()))) > 0;)
                bytes += static_cast<uint64_t>(got);
            close(fd);
        });
    for (auto &member : team)
        member.join();
    return bytes;
}

void register_limit(const std::string &path, unsigned threads)
{
    std::string name = "limit/read/" + std::to_string(threads);
    benchmark::RegisterBenchmark(name.c_str(),
                                 [path, threads](benchmark::State &state) {
                                     uint64_t bytes = 0;
                                     for (auto _ : state)
                                         bytes += read_all(path, threads);
                                     state.SetBytesProcessed(static_cast<int64_t>(bytes));
                                 })
        ->UseRealTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
}

const char split[] = "processor: { steps: [ split: { delimiter: ';', into: { sensor: text, "
                     "value: decimal(1) } } ] }\n";

// The files differ in one thing: in one, every 10,000th row has a key of its own.
std::string keyed(const std::string &path)
{
    return "source: { file: { paths: '" + path + "' } }\n" + split +
           "batcher: { key: sensor, size: 1000, bytes: 1MiB, memory: 64MiB, timeout: 1h, "
           "sink: 'null' }\n";
}

void register_files(const std::string &path)
{
    std::string source = "source: { file: { paths: '" + path + "' } }\n";
    register_limit(path, 1);
    register_limit(path, 2);
    register_run("pipeline/records/empty_frame", source + "processor: { steps: [ empty: {} ] }\n",
                 0);
    register_run("pipeline/records/empty_message", source + "processor: { steps: [ each: {} ] }\n",
                 0);
    register_run("pipeline/records/split", source + split, 0);
    std::string totals = source + split +
                         "batcher: { aggregate: { group_by: sensor, columns: { min: min(value), "
                         "mean: mean(value), max: max(value), count: count() }, emit: at_end, "
                         "sort_by: sensor }, sink: 'null' }\n";
    register_run("pipeline/sensors/two_lanes", totals, 0);
    register_run("pipeline/sensors/one_lane", "placement: { lanes: 1 }\n" + totals, 0);
    register_run("pipeline/sensors/posix", "placement: { backend: posix }\n" + totals, 0);
    const char *with = getenv("BELT_RARE_KEY"), *without = getenv("BELT_NO_RARE_KEY");
    if (with && without) {
        warm(with);
        warm(without);
        register_run("pipeline/rare_key/with", keyed(with), 0);
        register_run("pipeline/rare_key/without", keyed(without), 0);
    }
}

const bool registered = [] {
    register_counter();
    const char *path = getenv("BELT_SENSORS");
    struct stat about;
    if (path && stat(path, &about) == 0) {
        warm(path);
        register_files(path);
    }
    return true;
}();

} // namespace
