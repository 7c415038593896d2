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
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <map>
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

// ---- the files

struct Content {
    uint64_t rows = 0, bytes = 0;
};

// A file that was just written reads 1.5 times slower than one that was read back:
// evict it and read it once, so that every run sees the same page cache.
Content read_back(const std::string &path)
{
    Content content;
    std::vector<char> buffer(1 << 20);
    char last = '\n';
    int fd = open(path.c_str(), O_RDONLY);
    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    for (ssize_t got; (got = read(fd, buffer.data(), buffer.size())) > 0;) {
        content.rows += static_cast<uint64_t>(std::count(buffer.data(), buffer.data() + got, '\n'));
        content.bytes += static_cast<uint64_t>(got);
        last = buffer[static_cast<size_t>(got) - 1];
    }
    close(fd);
    content.rows += last != '\n';
    return content;
}

// Before the first run that needs the file: a run of other benches never waits for it.
const Content &content_of(const std::string &path)
{
    static std::map<std::string, Content> known;
    auto found = known.find(path);
    if (found == known.end())
        found = known.emplace(path, read_back(path)).first;
    return found->second;
}

// ---- one run

enum Check { COUNTS, SUM, ALL_OUT };

struct Job {
    std::string yaml;
    std::string path; // the file it reads; empty: `numbers` from the counter
    uint64_t numbers; // 0 to numbers - 1, 8 bytes each
    Check check;      // besides the counts: what the steps summed, the bytes that came out
};

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

std::string differs(const char *what, uint64_t is, uint64_t expected)
{
    return is == expected ? ""
                          : std::string(what) + ": " + std::to_string(is) + ", not " +
                                std::to_string(expected);
}

// What is wrong with a run, or "".
std::string verify(const Job &job, const Outcome &out, const Content &in)
{
    const belt_totals &t = out.totals;
    uint64_t n = job.numbers;
    const std::string found[] = {
        out.error,
        t.complete ? "" : "the input was not read to its end",
        differs("received", t.received, in.rows),
        differs("done", t.done, in.rows),
        differs("dropped", t.dropped, 0),
        differs("bytes in", t.bytes_in, in.bytes),
        job.check == SUM ? differs("sum", all_sums, n * (n - 1) / 2) : "",
        job.check == ALL_OUT ? differs("bytes out", t.bytes_out, in.bytes) : "",
    };
    for (const std::string &wrong : found)
        if (!wrong.empty())
            return wrong;
    return "";
}

// Negative: there are no two CPUs, or they cannot be pinned to.
double distance_ns()
{
    int a, b;
    return belt_calibrate_cpus(&a, &b) ? belt_calibrate_ns(a, b) : -1;
}

void measure(benchmark::State &state, const Job &job)
{
    Content in = job.path.empty() ? Content{ job.numbers, 8 * job.numbers } : content_of(job.path);
    double near_ns = 0;
    for (auto _ : state) {
        all_sums = 0;
        double before = distance_ns();
        Outcome out = run_once(job.yaml);
        double after = distance_ns();
        std::string wrong = verify(job, out, in);
        if (!wrong.empty()) {
            state.SkipWithError(wrong.c_str());
            return;
        }
        state.SetIterationTime(static_cast<double>(out.totals.elapsed_ns) / 1e9);
        near_ns = before < 0 || after < 0 ? -1 : std::max(before, after);
    }
    auto runs = static_cast<int64_t>(state.iterations());
    state.SetItemsProcessed(runs * static_cast<int64_t>(in.rows));
    state.SetBytesProcessed(runs * static_cast<int64_t>(in.bytes));
    state.counters["near_ns"] = near_ns;
    state.SetLabel(belt_calibrate_label(near_ns));
}

void register_run(const char *name, const Job &job)
{
    benchmark::RegisterBenchmark(name, [job](benchmark::State &state) { measure(state, job); })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
}

// ---- counter: 8-byte messages, nothing but the core

void register_counter()
{
    const uint64_t count = 400000000;
    std::string source = "source: { counter: { count: " + std::to_string(count) + " } }\n";
    std::string summed = source + "processor: { steps: [ sum: {} ] }\n";
    std::string framed = source + "processor: { steps: [ empty: {} ] }\n";
    register_run("pipeline/counter/opaque_call", { summed, "", count, SUM });
    register_run("pipeline/counter/frame_call", { framed, "", count, COUNTS });
    register_run("pipeline/counter/one_lane",
                 { "placement: { lanes: 1 }\n" + summed, "", count, SUM });
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
    const Content &in = content_of(path);
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
    register_run("pipeline/records/empty_frame",
                 { source + "processor: { steps: [ empty: {} ] }\n", path, 0, COUNTS });
    register_run("pipeline/records/empty_message",
                 { source + "processor: { steps: [ each: {} ] }\n", path, 0, COUNTS });
    register_run("pipeline/records/split", { source + split, path, 0, COUNTS });
    std::string totals = source + split +
                         "batcher: { aggregate: { group_by: sensor, columns: { min: min(value), "
                         "mean: mean(value), max: max(value), count: count() }, emit: at_end, "
                         "sort_by: sensor }, sink: 'null' }\n";
    register_run("pipeline/sensors/two_lanes", { totals, path, 0, COUNTS });
    register_run("pipeline/sensors/one_lane",
                 { "placement: { lanes: 1 }\n" + totals, path, 0, COUNTS });
    register_run("pipeline/sensors/posix",
                 { "placement: { backend: posix }\n" + totals, path, 0, COUNTS });
}

// The files differ in one thing: in one, every 10,000th row has another key.
void register_keyed(const char *name, const std::string &path)
{
    std::string keyed = reading(path) + split +
                        "batcher: { key: sensor, size: 1000, bytes: 1MiB, memory: 64MiB, "
                        "timeout: 1h, sink: 'null' }\n";
    register_run(name, { keyed, path, 0, ALL_OUT });
}

// The path in this variable, "" when there is no such file.
std::string file_from(const char *variable)
{
    const char *path = getenv(variable);
    struct stat about;
    return path && stat(path, &about) == 0 ? path : "";
}

const bool registered = [] {
    register_counter();
    std::string path = file_from("BELT_SENSORS");
    if (!path.empty())
        register_sensors(path);
    std::string with = file_from("BELT_RARE_KEY"), without = file_from("BELT_NO_RARE_KEY");
    if (!with.empty() && !without.empty()) {
        register_keyed("pipeline/rare_key/with", with);
        register_keyed("pipeline/rare_key/without", without);
    }
    return true;
}();

} // namespace
