/* One run of a pipeline as a sample: what it is told, what it must have done. */
#ifndef BELT_BENCH_JOB_H
#define BELT_BENCH_JOB_H

#include <cstdint>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "core/pipeline.h"

struct BenchInput {
    uint64_t messages = 0, bytes = 0;
};

struct BenchJob {
    std::string yaml;
    std::function<BenchInput()> input;      // what the source has to read; asked once, before
    std::vector<const belt_part *> parts;   // added to the built-in ones
    std::function<void()> before = nullptr; // each run
    /* What is wrong with the outcome beside the counts, or "". */
    std::function<std::string(const belt_totals &)> wrong = nullptr;
    std::function<void(belt_pipeline *)> made = nullptr; // before its start
    // Others ran in between: it is run again, 15 times at most, or labelled `disturbed`.
    std::function<bool()> disturbed = nullptr;
    // More counters, after a run.
    std::function<std::vector<std::pair<std::string, double>>()> figures = nullptr;
};

/* One iteration is one run; items are messages. Time is from the start of the lanes to the last
 * message settled. Counters: near_ns, the distance of the CPUs; pss_mib, memory at the end of
 * the run, when all of it has been used. A run that lost, failed or left anything is an error. */
void bench_register(const std::string &name, const BenchJob &job);

/* One run, unmeasured: its time as above. One that failed ends the program. */
double bench_seconds(const BenchJob &job);

/* "WHAT: IS, not EXPECTED" when they differ, else "". */
std::string bench_differs(const char *what, uint64_t is, uint64_t expected);
/* The path in this variable, "" when there is no such file. */
std::string bench_file_from(const char *variable);
/* Its content; evicted and read back first, once a process. */
BenchInput bench_file(const std::string &path);

#endif
