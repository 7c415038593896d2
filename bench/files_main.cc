// belt-bench-files: what `beltway bench files` and `./dev bench files` run.
#include <getopt.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>

#include "bench/calibrate.h"
#include "bench/files.h"

namespace files
{

namespace
{

const char kHelp[] =
    "Usage: beltway bench files [OPTION...]\n"
    "Jobs on big files, the limits of this machine and other programs beside them.\n\n"
    "  --jobs=G1,G3     only these (limits that they are held against come along)\n"
    "  --size=2GB       of each file; data are made once a folder and size\n"
    "  --runs=7         of each row, in turns; programs on a twentieth of the data: 3\n"
    "  --dir=DIR        of the data (default: $TMPDIR/beltway-bench, or /tmp/..)\n"
    "  --json=FILE      every sample\n"
    "  --plot=DIR       files.svg: bars, and the limit as a line (also --svg)\n"
    "  --peer=G3:NAME:COMMAND  a program of yours beside a job's, as often as you like;\n"
    "                   $IN is the job's file, $OUT a folder; its result is not looked at\n"
    "  --seed=1         the same seed gives the same data anywhere\n"
    "  --list           the rows, and what is missing, without measuring\n\n"
    "Before each run its file is synced and evicted, and, but for G8, read back: a file that\n"
    "was just written reads slower. CPU is user and system time of all threads; times are from\n"
    "the start of the lanes, the start before it is reported apart; a program's is all of it.\n";

struct Order {
    size_t row;
    unsigned run;
};

void default_folder(Options *options)
{
    const char *folder = getenv("TMPDIR");
    options->dir = std::string(folder && *folder ? folder : "/tmp") + "/beltway-bench";
}

[[noreturn]] void usage(const std::string &why)
{
    fprintf(stderr, "bench files: %s; --help says what there is\n", why.c_str());
    exit(2);
}

uint64_t size_of(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    const std::pair<const char *, double> units[] = {
        { "", 1 },     { "kB", 1e3 },        { "MB", 1e6 },
        { "GB", 1e9 }, { "MiB", 1048576.0 }, { "GiB", 1073741824.0 }
    };
    for (auto &unit : units)
        if (end != text && strcmp(end, unit.first) == 0 && value * unit.second >= 1e6)
            return static_cast<uint64_t>(value * unit.second);
    usage(std::string("--size takes 1MB or more, such as 500MB or 2GB, not ") + text);
}

uint64_t number_of(const char *option, const char *text, uint64_t least)
{
    char *end;
    unsigned long long value = strtoull(text, &end, 10);
    if (end == text || *end || *text == '-' || value < least)
        usage(std::string("--") + option + " takes a number from " + std::to_string(least));
    return value;
}

// The job itself is looked up when all options are read.
Peer peer_of(const std::string &text)
{
    size_t job = text.find(':');
    size_t name = job == std::string::npos ? job : text.find(':', job + 1);
    if (name == std::string::npos || name == job + 1 || name + 1 == text.size())
        usage("--peer takes JOB:NAME:COMMAND, such as \"G3:mine:./mine '$IN'\", not " + text);
    return Peer{ text.substr(0, job), text.substr(job + 1, name - job - 1), text.substr(name + 1) };
}

enum { JOBS = 256, SIZE, RUNS, DIR_KEY, JSON, PLOT, PEER_KEY, SEED, LIST, HELP };

const option kOptions[] = {
    { "jobs", required_argument, nullptr, JOBS }, { "size", required_argument, nullptr, SIZE },
    { "runs", required_argument, nullptr, RUNS }, { "dir", required_argument, nullptr, DIR_KEY },
    { "json", required_argument, nullptr, JSON }, { "plot", required_argument, nullptr, PLOT },
    { "svg", required_argument, nullptr, PLOT },  { "peer", required_argument, nullptr, PEER_KEY },
    { "seed", required_argument, nullptr, SEED }, { "list", no_argument, nullptr, LIST },
    { "help", no_argument, nullptr, HELP },       { nullptr, 0, nullptr, 0 },
};

void parse(int argc, char **argv, Options *o)
{
    int key;
    while ((key = getopt_long(argc, argv, "", kOptions, nullptr)) != -1)
        switch (key) {
        case JOBS: o->only = "," + std::string(optarg) + ","; break;
        case SIZE: o->size = size_of(optarg); break;
        case RUNS: o->runs = static_cast<unsigned>(number_of("runs", optarg, 1)); break;
        case DIR_KEY: o->dir = optarg; break;
        case JSON: o->json = optarg; break;
        case PLOT: o->plot = optarg; break;
        case PEER_KEY: o->peers.push_back(peer_of(optarg)); break;
        case SEED: o->seed = number_of("seed", optarg, 0); break;
        case LIST: o->list = true; break;
        case HELP: fputs(kHelp, stdout); exit(0);
        default: exit(2);
        }
    if (o->dir.find('\'') != std::string::npos)
        usage("--dir: a shell reads it, so no ' in it: " + o->dir);
    if (optind < argc)
        usage(std::string("what is ") + argv[optind]);
}

// ---- rows --------------------------------------------------------------------------

bool asked(const Options &o, const Row &row)
{
    return o.only.empty() || o.only.find("," + std::string(row.job) + ",") != std::string::npos;
}

bool installed(const char *program)
{
    std::string command = std::string("command -v ") + program + " >/dev/null 2>&1";
    return system(command.c_str()) == 0;
}

void check_jobs(const Options &o)
{
    if (own_rows(o).size() != o.peers.size())
        usage("--peer: a job is one of G1 to G9");
    for (size_t at = 1; at < o.only.size();) {
        size_t end = o.only.find(',', at);
        std::string job = o.only.substr(at, end - at);
        if (!*job_title(job))
            usage("no job '" + job + "'; there are G1 to G9 and limit");
        at = end + 1;
    }
}

void add_row(Report *report, const Row &row)
{
    Measured measured = {};
    measured.row = row;
    report->rows.push_back(measured);
}

// Limits first, those that a job is held against; then the jobs.
void choose_rows(const Bench &bench, Report *report)
{
    std::vector<Row> jobs;
    for (const std::vector<Row> &list : { job_rows(), peer_rows(), own_rows(bench.options) })
        for (const Row &row : list) {
            std::string why = asked(bench.options, row) ? why_not(bench, row) : "";
            if (!why.empty())
                report->missing.push_back(std::string(row.job) + " " + row.name + ": " + why);
            else if (asked(bench.options, row) && *row.needs && !installed(row.needs))
                report->missing.push_back(std::string(row.job) + " " + row.name +
                                          ": not installed");
            else if (asked(bench.options, row))
                jobs.push_back(row);
        }
    for (const Row &row : limit_rows()) {
        bool held = asked(bench.options, row);
        for (const Row &job : jobs)
            held = held || strcmp(job.limit, row.name) == 0;
        if (held)
            add_row(report, row);
    }
    for (const Row &row : jobs)
        add_row(report, row);
}

// ---- samples -----------------------------------------------------------------------

double distance_ns()
{
    int a, b;
    return belt_calibrate_cpus(&a, &b) ? belt_calibrate_ns(a, b) : -1;
}

bool empty_folder(const std::string &path)
{
    return system(("rm -rf '" + path + "' && mkdir -p '" + path + "'").c_str()) == 0;
}

void send(int fd, const Sample &sample)
{
    char text[1024];
    int size = snprintf(text, sizeof text, "%a %a %a %a %llu %llu\n%s", sample.wall, sample.cpu,
                        sample.start, sample.pss_mib, static_cast<unsigned long long>(sample.bytes),
                        static_cast<unsigned long long>(sample.rows), sample.error.c_str());
    if (write(fd, text, std::min(static_cast<size_t>(size), sizeof text - 1)) < 0)
        _exit(1);
}

Sample receive(int fd)
{
    Sample sample;
    char text[1024] = "";
    unsigned long long bytes, rows;
    size_t used = 0;
    for (ssize_t got; (got = read(fd, text + used, sizeof text - 1 - used)) > 0;)
        used += static_cast<size_t>(got);
    if (sscanf(text, "%la %la %la %la %llu %llu", &sample.wall, &sample.cpu, &sample.start,
               &sample.pss_mib, &bytes, &rows) != 6) {
        sample.error = "it died";
        return sample;
    }
    sample.bytes = bytes;
    sample.rows = rows;
    sample.error = strchr(text, '\n') + 1;
    return sample;
}

Sample run_row(const Bench &bench, const Row &row)
{
    if (row.run)
        return row.run(bench, row);
    return row.kind == OURS ? run_pipeline(bench, row) : run_command(bench, row);
}

// In a process of its own: its memory and time are its own, and it begins as any other.
Sample run_apart(const Bench &bench, const Row &row)
{
    int ends[2];
    if (pipe(ends) != 0)
        return Sample{};
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        send(ends[1], run_row(bench, row));
        _exit(0);
    }
    close(ends[1]);
    Sample sample = receive(ends[0]);
    close(ends[0]);
    waitpid(child, nullptr, 0);
    return sample;
}

void measure(const Bench &bench, Measured *measured)
{
    const Row &row = measured->row;
    if (!measured->error.empty())
        return;
    if (!empty_folder(bench.out) || !evict(input_of(bench, row).path, row.warmth == COLD)) {
        measured->error = "no folder " + bench.out + ", or no data";
        return;
    }
    double before = distance_ns();
    Sample sample = run_apart(bench, row);
    sample.near_ns = belt_calibrate_worse(before, distance_ns());
    measured->error = wrong_result(bench, row, sample);
    measured->samples.push_back(sample);
}

void tell(const Report &report, size_t row, size_t done, size_t all, double begin)
{
    if (!isatty(STDERR_FILENO))
        return;
    double left =
        done ? (now() - begin) / static_cast<double>(done) * static_cast<double>(all - done) : 0;
    fprintf(stderr, "\r\033[Kbench files: %zu of %zu, %s %s", done + 1, all,
            report.rows[row].row.job, report.rows[row].row.name);
    if (done)
        fprintf(stderr, ", %.0f s left", left);
    fflush(stderr);
}

// Round robin, each round in an order of its own: a slow minute falls on all alike.
void measure_all(const Bench &bench, Report *report)
{
    std::mt19937 random(1);
    std::vector<std::vector<size_t>> rounds(bench.options.runs);
    size_t all = 0, done = 0;
    for (unsigned run = 0; run < bench.options.runs; run++) {
        for (size_t r = 0; r < report->rows.size(); r++)
            if (report->rows[r].row.share == WHOLE || run < 3)
                rounds[run].push_back(r);
        std::shuffle(rounds[run].begin(), rounds[run].end(), random);
        all += rounds[run].size();
    }
    double begin = now();
    for (auto &round : rounds)
        for (size_t r : round) {
            tell(*report, r, done++, all, begin);
            measure(bench, &report->rows[r]);
        }
    if (isatty(STDERR_FILENO))
        fputs("\r\033[K", stderr);
}

int list(const Report &report)
{
    for (const Measured &m : report.rows)
        printf("%-6s %-10s %s\n", m.row.job,
               m.row.kind == LIMIT  ? "limit"
               : m.row.kind == OURS ? "ours"
                                    : "beside",
               m.row.name);
    for (const std::string &what : report.missing)
        printf("missing: %s\n", what.c_str());
    return 0;
}

int run(Bench *bench)
{
    const Options &o = bench->options;
    Report report;
    bool wanted[DATA_USED] = {};
    choose_rows(*bench, &report);
    if (o.list)
        return list(report);
    for (const Measured &m : report.rows)
        wanted[m.row.data] = true;
    if (!make_data(bench, wanted))
        return 1;
    measure_all(*bench, &report);
    empty_folder(bench->out);
    print_table(*bench, report);
    bool ok = o.json.empty() || write_json(*bench, report, o.json);
    ok &= o.plot.empty() || write_plot(*bench, report, o.plot + "/files.svg");
    for (const Measured &m : report.rows)
        ok &= m.error.empty();
    return ok ? 0 : 1;
}

} // namespace

} // namespace files

int main(int argc, char **argv)
{
    files::Bench bench = {};
    cpu_set_t mask;
    files::default_folder(&bench.options);
    files::parse(argc, argv, &bench.options);
    files::check_jobs(bench.options);
    bench.threads =
        sched_getaffinity(0, sizeof mask, &mask) == 0 ? static_cast<unsigned>(CPU_COUNT(&mask)) : 1;
    bench.out = bench.options.dir + "/out";
    if (system(("mkdir -p '" + bench.options.dir + "'").c_str()) != 0)
        return 1;
    return files::run(&bench);
}
