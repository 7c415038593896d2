#include "bench/job.h"

#include <benchmark/benchmark.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>

#include "bench/calibrate.h"
#include "bench/pss.h"

namespace
{

// A file that was just written reads 1.5 times slower than one that was read back:
// evict it and read it once, so that every run sees the same page cache.
BenchInput read_back(const std::string &path)
{
    BenchInput input;
    std::vector<char> buffer(1 << 20);
    char last = '\n';
    int fd = open(path.c_str(), O_RDONLY);
    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    for (ssize_t got; (got = read(fd, buffer.data(), buffer.size())) > 0;) {
        input.messages +=
            static_cast<uint64_t>(std::count(buffer.data(), buffer.data() + got, '\n'));
        input.bytes += static_cast<uint64_t>(got);
        last = buffer[static_cast<size_t>(got) - 1];
    }
    close(fd);
    input.messages += last != '\n';
    return input;
}

struct Outcome {
    belt_totals totals;
    std::string error;
    double pss_mib;
};

Outcome run_once(const BenchJob &job)
{
    Outcome out = {};
    belt_error err = {};
    belt_pipeline *p = nullptr;
    int rc = belt_pipeline_new(&p, &err);
    for (const belt_part *part : job.parts)
        if (rc == 0)
            rc = belt_pipeline_add(p, part, &err);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, job.yaml.c_str(), "bench", &err);
    if (rc == 0 && job.made)
        job.made(p);
    if (rc == 0)
        rc = belt_pipeline_start(p, &err);
    if (rc == 0)
        rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    if (rc != 0)
        out.error = err.text;
    out.totals.size = sizeof out.totals;
    if (p)
        belt_pipeline_totals(p, &out.totals);
    out.pss_mib = bench_pss_mib();
    belt_pipeline_free(p);
    return out;
}

// What is wrong with a run, or "".
std::string verify(const BenchJob &job, const Outcome &out, const BenchInput &in)
{
    const belt_totals &t = out.totals;
    const std::string found[] = {
        out.error,
        t.complete ? "" : "the input was not read to its end",
        bench_differs("received", t.received, in.messages),
        bench_differs("done", t.done, in.messages),
        bench_differs("dropped", t.dropped, 0),
        bench_differs("bytes in", t.bytes_in, in.bytes),
        job.wrong ? job.wrong(t) : "",
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

// Runs of one sample, when others run in between.
constexpr int TRIES = 15;

struct Sample {
    Outcome out;
    double near_ns;
    bool disturbed;
};

Sample sample_once(const BenchJob &job)
{
    Sample s;
    if (job.before)
        job.before();
    double before = distance_ns();
    s.out = run_once(job);
    double after = distance_ns();
    s.near_ns = belt_calibrate_worse(before, after);
    s.disturbed = job.disturbed && job.disturbed();
    return s;
}

void measure(benchmark::State &state, const BenchJob &job)
{
    BenchInput in = job.input();
    double near_ns = 0, pss = 0;
    bool disturbed = false;
    for (auto _ : state) {
        Sample s = sample_once(job);
        for (int i = 1; i < TRIES && s.disturbed && s.out.error.empty(); i++)
            s = sample_once(job);
        const Outcome &out = s.out;
        std::string wrong = verify(job, out, in);
        if (!wrong.empty()) {
            state.SkipWithError(wrong.c_str());
            return;
        }
        state.SetIterationTime(static_cast<double>(out.totals.elapsed_ns) / 1e9);
        near_ns = s.near_ns;
        disturbed = s.disturbed;
        pss = out.pss_mib;
    }
    auto runs = static_cast<int64_t>(state.iterations());
    state.SetItemsProcessed(runs * static_cast<int64_t>(in.messages));
    state.SetBytesProcessed(runs * static_cast<int64_t>(in.bytes));
    state.counters["near_ns"] = near_ns;
    state.counters["pss_mib"] = pss;
    if (job.figures)
        for (const auto &figure : job.figures())
            state.counters[figure.first] = figure.second;
    state.SetLabel(disturbed ? "disturbed" : belt_calibrate_label(near_ns));
}

} // namespace

double bench_seconds(const BenchJob &job)
{
    Outcome out = run_once(job);
    if (!out.error.empty()) {
        fprintf(stderr, "%s\n", out.error.c_str());
        exit(1);
    }
    return static_cast<double>(out.totals.elapsed_ns) / 1e9;
}

void bench_register(const std::string &name, const BenchJob &job)
{
    benchmark::RegisterBenchmark(name.c_str(),
                                 [job](benchmark::State &state) { measure(state, job); })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
}

std::string bench_differs(const char *what, uint64_t is, uint64_t expected)
{
    return is == expected ? ""
                          : std::string(what) + ": " + std::to_string(is) + ", not " +
                                std::to_string(expected);
}

std::string bench_file_from(const char *variable)
{
    const char *path = getenv(variable);
    struct stat about;
    return path && stat(path, &about) == 0 ? path : "";
}

// Before the first run that needs the file: a run of other benches never waits for it.
BenchInput bench_file(const std::string &path)
{
    static std::map<std::string, BenchInput> known;
    auto found = known.find(path);
    if (found == known.end())
        found = known.emplace(path, read_back(path)).first;
    return found->second;
}
