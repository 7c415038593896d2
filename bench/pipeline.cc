// Whole pipelines through the public API. One iteration is one run from start to
// end; items are messages; a run that lost, failed or left anything is an error.
// Data: BELT_SENSORS names a file of sensors rows, BELT_RARE_KEY and
// BELT_NO_RARE_KEY one with and one without a rare key (bench/run.sh makes them);
// rows whose file is not there are left out.
//
//   pipeline/<job>/<variant>   and, as the limits of this machine in the same run,
//   limit/read/<threads>       pread of the same file into reused buffers

#include <benchmark/benchmark.h>

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "bench/job.h"

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

// ---- jobs

enum Check { COUNTS, SUM, ALL_OUT };

std::string wrong_outcome(Check check, const BenchInput &in, const belt_totals &t)
{
    uint64_t n = in.messages;
    if (check == SUM)
        return bench_differs("sum", all_sums, n * (n - 1) / 2);
    return check == ALL_OUT ? bench_differs("bytes out", t.bytes_out, in.bytes) : "";
}

// `path`: the file it reads; empty: `numbers` from the counter, 8 bytes each.
void register_run(const char *name, const std::string &yaml, const std::string &path,
                  uint64_t numbers, Check check)
{
    BenchJob job;
    job.yaml = yaml;
    job.input = [=] {
        return path.empty() ? BenchInput{ numbers, 8 * numbers } : bench_file(path);
    };
    job.parts = { &sum_step()->part, &empty_step()->part, &each_step()->part };
    job.before = [] { all_sums = 0; };
    job.wrong = [=](const belt_totals &t) {
        return check == COUNTS ? "" : wrong_outcome(check, job.input(), t);
    };
    bench_register(name, job);
}

// ---- counter: 8-byte messages, nothing but the core

void register_counter()
{
    const uint64_t count = 400000000;
    std::string source = "source: { counter: { count: " + std::to_string(count) + " } }\n";
    std::string summed = source + "processor: { steps: [ sum: {} ] }\n";
    std::string framed = source + "processor: { steps: [ empty: {} ] }\n";
    register_run("pipeline/counter/opaque_call", summed, "", count, SUM);
    register_run("pipeline/counter/frame_call", framed, "", count, COUNTS);
    register_run("pipeline/counter/one_lane", "placement: { lanes: 1 }\n" + summed, "", count, SUM);
}

// ---- jobs on a file

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

void measure_limit(benchmark::State &state, const std::string &path, unsigned threads)
{
    const BenchInput in = bench_file(path);
    for (auto _ : state)
        if (read_all(path, threads) != in.bytes) {
            state.SkipWithError("the file could not be read whole");
            return;
        }
    state.SetBytesProcessed(static_cast<int64_t>(state.iterations() * in.bytes));
}

void register_limit(const std::string &path, unsigned threads)
{
    std::string name = "limit/read/" + std::to_string(threads);
    benchmark::RegisterBenchmark(
        name.c_str(),
        [path, threads](benchmark::State &state) { measure_limit(state, path, threads); })
        ->UseRealTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
}

const char split[] = "processor: { steps: [ split: { delimiter: ';', into: { sensor: text, "
                     "value: decimal(1) } } ] }\n";

std::string reading(const std::string &path)
{
    return "source: { file: { paths: '" + path + "' } }\n";
}

void register_sensors(const std::string &path)
{
    std::string source = reading(path);
    register_limit(path, 1);
    register_limit(path, 2);
    register_run("pipeline/records/empty_frame", source + "processor: { steps: [ empty: {} ] }\n",
                 path, 0, COUNTS);
    register_run("pipeline/records/empty_message", source + "processor: { steps: [ each: {} ] }\n",
                 path, 0, COUNTS);
    register_run("pipeline/records/split", source + split, path, 0, COUNTS);
    std::string totals = source + split +
                         "batcher: { aggregate: { group_by: sensor, columns: { min: min(value), "
                         "mean: mean(value), max: max(value), count: count() }, emit: at_end, "
                         "sort_by: sensor }, sink: 'null' }\n";
    register_run("pipeline/sensors/two_lanes", totals, path, 0, COUNTS);
    register_run("pipeline/sensors/one_lane", "placement: { lanes: 1 }\n" + totals, path, 0,
                 COUNTS);
    register_run("pipeline/sensors/posix", "placement: { backend: posix }\n" + totals, path, 0,
                 COUNTS);
}

// The files differ in one thing: in one, every 10,000th row has another key.
void register_keyed(const char *name, const std::string &path)
{
    std::string keyed = reading(path) + split +
                        "batcher: { key: sensor, size: 1000, bytes: 1MiB, memory: 64MiB, "
                        "timeout: 1h, sink: 'null' }\n";
    register_run(name, keyed, path, 0, ALL_OUT);
}

const bool registered = [] {
    register_counter();
    std::string path = bench_file_from("BELT_SENSORS");
    if (!path.empty())
        register_sensors(path);
    std::string with = bench_file_from("BELT_RARE_KEY"),
                without = bench_file_from("BELT_NO_RARE_KEY");
    if (!with.empty() && !without.empty()) {
        register_keyed("pipeline/rare_key/with", with);
        register_keyed("pipeline/rare_key/without", without);
    }
    return true;
}();

} // namespace
