/* belt-bench-files: jobs on big files, the limits of this machine beside them, and what a
 * user would otherwise run. */
#ifndef BELT_BENCH_FILES_H
#define BELT_BENCH_FILES_H

#include <cstdint>
#include <string>
#include <vector>

#include "core/part.h"

namespace files
{

// ---- data --------------------------------------------------------------------------

enum Data { SENSORS, KEYS, LOG, DATA_USED };

struct File {
    std::string path; // begins as `name` in the folder
    uint64_t bytes = 0, rows = 0;
};

struct DataSet {
    File whole, part;                    // part: the first twentieth, for the slow
    std::string expected, part_expected; // paths: what an independent tool made of it
};

/* A program of the user's, from --peer=G3:name:command. */
struct Peer {
    std::string job, name, command;
};

struct Options {
    std::string dir, json, plot, only; // only: jobs, "G1,G3"
    std::vector<Peer> peers;
    uint64_t size = 2000000000, seed = 1;
    unsigned runs = 7;
    bool list = false, keep = false;
};

struct Bench {
    Options options;
    DataSet data[DATA_USED];
    unsigned threads; // CPUs that this process may use
    std::string out;  // folder for results, emptied before each sample
};

/* Makes what is missing of the data that `wanted` names; false: said why. */
bool make_data(Bench *bench, const bool wanted[DATA_USED]);
/* Syncs and evicts the file, and, unless it shall be cold, reads it back. */
bool evict(const std::string &path, bool cold);

// ---- what is measured ----------------------------------------------------------------

enum Kind { LIMIT, OURS, PEER };

/* Of one run. `error` is not empty: it is no sample. */
struct Sample {
    double wall = 0, cpu = 0;     // seconds; ours: from the start of the lanes on
    double start = 0;             // seconds before that
    double pss_mib = 0;           // at the end of the run; 0: not looked at
    double near_ns = -1;          // round trip between two CPUs before and after, the worse
    uint64_t bytes = 0, rows = 0; // read
    std::string error;
};

enum Unit { GB, MROWS, CPU_NS };
enum Share { WHOLE, PART };
enum Warmth { WARM, COLD };

struct Row {
    const char *job;  // "G1"; of limits "limit"
    const char *name; // of what was run: "beltway", "mawk", "read, all CPUs"
    Kind kind;
    Unit unit;
    Data data;
    Share share;
    Warmth warmth;
    /* OURS: YAML; PEER: a shell command. In both, $IN, $OUT (a folder). LIMIT: unused. */
    const char *text;
    const char *check; // see files_check.cc; "": counts alone
    const char *limit; // that it is held against: a limit's name, another job's ("G3"), or ""
    double goal, aim;
    /* Runs it in a process of its own. NULL: by its kind. */
    Sample (*run)(const Bench &bench, const Row &row);
    const char *needs; // PEER: the program
    /* The goal and the aim where they are parts of the limit. 0 here and above: there is none. */
    double goal_of_limit = 0, aim_of_limit = 0;
};

std::vector<Row> limit_rows();
std::vector<Row> job_rows();
std::vector<Row> peer_rows();
/* A program of the user's as a row of its job: it may read what that job reads. */
std::vector<Row> own_rows(const Options &options);
const char *job_title(const std::string &job);

const File &input_of(const Bench &bench, const Row &row);
std::string expand(const Bench &bench, const Row &row, std::string text);

/* files_steps.cc: parts for G1, G2 and G9, and the loop that G9 is held against. */
std::vector<const belt_part *> bench_parts();
Sample run_bare(const Bench &bench, const Row &row);
Sample run_pipeline(const Bench &bench, const Row &row);
Sample run_command(const Bench &bench, const Row &row);
/* "": a pipeline of this text can be made here; else why not. */
std::string why_not(const Bench &bench, const Row &row);

/* files_check.cc: what is wrong with the results of a run, or "". */
std::string wrong_result(const Bench &bench, const Row &row, const Sample &sample);
/* Computes what the results must be, once, by another tool; false: said why. */
bool make_expected(const Bench &bench, DataSet *set, Data data);

// ---- figures -------------------------------------------------------------------------

struct Measured {
    Row row;
    std::vector<Sample> samples;
    std::string error;

    double value(const Sample &sample) const; // in the row's unit
    std::vector<double> values() const;       // sorted
    const char *distance() const;
};

struct Report {
    std::vector<Measured> rows;
    std::vector<std::string> missing; // "mlr: not installed", ...
};

double median(std::vector<double> values);
/* The row of this name among the limits, or NULL when it was not measured. */
const Measured *limit_of(const Report &report, const Measured &row);
/* GB/s of the row by those of its limit; 0: none. */
double of_limit(const Report &report, const Measured &row);
/* CPU ns a row beyond the bare loop of its job, run by run; 0: there is none. */
double beyond_bare(const Report &report, const Measured &row);

void print_table(const Bench &bench, const Report &report);
bool write_json(const Bench &bench, const Report &report, const std::string &path);
bool write_plot(const Bench &bench, const Report &report, const std::string &path);

/* 1 s to 999 s, of the steady clock. */
double now();
/* user + sys of this process and its threads. */
double cpu_used();

} // namespace files

#endif
