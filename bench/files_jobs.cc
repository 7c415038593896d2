// The jobs: a pipeline in YAML each, and beside it what a user would otherwise run. A job whose
// parts are not there is listed as missing: a new part needs a row here and no more.
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "bench/pss.h"
#include "bench/files.h"
#include "core/pipeline.h"

namespace files
{

namespace
{

#define READ "source: { file: { paths: '$IN' } }\n"
#define SPLIT "split: { delimiter: ';', into: { sensor: text, value: decimal(1) } }"
#define TOTALS(emit)                                                                               \
    "group_by: sensor, columns: { min: min(value), mean: mean(value), max: max(value), "           \
    "count: count() }, emit: " emit ", sort_by: sensor"
#define TOTALS_CSV "sink: { file: { path: '$OUT/totals.csv', format: csv } }"
#define SENSORS_JOB                                                                                \
    READ "processor: { steps: [ " SPLIT " ] }\n"                                                   \
         "batcher: { aggregate: { " TOTALS("at_end") " }, " TOTALS_CSV " }\n"
// What is combined goes to the instance that has its key, on whichever lane that is.
#define EXCHANGE_JOB(emit)                                                                         \
    "placement: { fuse: source+processor }\n" READ "processor: { steps: [ " SPLIT " ] }\n"         \
    "batcher: { aggregate: { " TOTALS(emit) " }, " TOTALS_CSV " }\n"
#define ERRORS_JOB                                                                                 \
    READ "processor: { steps: [ json: { where: { level: error }, into: { ts: text, msg: text } } " \
         "] }\n"                                                                                   \
         "batcher: { sink: { file: { path: '$OUT/errors.ndjson', "                                 \
         "format: { ndjson: { columns: [ts, msg] } } } } }\n"
#define PER_KEY_JOB(batches, more)                                                                 \
    READ "processor: { steps: [ json: { into: { level: text } } ] }\n"                             \
         "batcher: { key: level, " batches "sink: { file: { path: '$OUT/{key}.ndjson'" more        \
         " } } }\n"
#define DURABLE_JOB(more)                                                                          \
    PER_KEY_JOB("bytes: 1MiB, memory: 16MiB, ", ", mode: append, sync: batch" more)

Row ours(const char *job, const char *name, Unit unit, Data data, const char *yaml,
         const char *check, const char *limit, double goal, double aim)
{
    return Row{
        job, name, OURS, unit, data, WHOLE, WARM, yaml, check, limit, goal, aim, nullptr, ""
    };
}

Row of_limit(Row row, double goal, double aim)
{
    row.goal_of_limit = goal;
    row.aim_of_limit = aim;
    return row;
}

Row cold(const char *name, const char *yaml, const char *limit)
{
    Row row = of_limit(ours("G8", name, GB, LOG, yaml, "", limit, 0, 0), 0.9, 0.95);
    row.warmth = COLD;
    return row;
}

Row peer(const char *job, const char *needs, Share share, Unit unit, Data data, const char *command,
         const char *check)
{
    return Row{
        job, needs, PEER, unit, data, share, WARM, command, check, "", 0, 0, nullptr, needs
    };
}

#define AWK_TOTALS                                                                                 \
    " -F';' '{ v = $2 + 0; if (!($1 in n) || v < a[$1]) a[$1] = v; "                               \
    "if (!($1 in n) || v > b[$1]) b[$1] = v; s[$1] += v; n[$1]++ } "                               \
    "END { for (k in n) printf \"%s,%.1f,%.1f,%.1f,%d\\n\", k, a[k], s[k] / n[k], b[k], n[k] }' "  \
    "'$IN' >'$OUT/totals.csv'"
#define AWK_ERRORS                                                                                 \
    " -F'\"' '$8 == \"error\" { "                                                                  \
    "print \"{\\\"ts\\\":\\\"\" $4 \"\\\",\\\"msg\\\":\\\"\" $(NF - 1) \"\\\"}\" }' "              \
    "'$IN' >'$OUT/errors.ndjson'"

// By its stdin(), which wants a pipe and ends with it.
#define SYSLOG_NG_ERRORS                                                                           \
    "cat >'$OUT/conf' <<'END'\n"                                                                   \
    "@version: current\n"                                                                          \
    "options { stats-freq(0); log-fifo-size(100000); };\n"                                         \
    "log {\n"                                                                                      \
    "  source { stdin(flags(no-parse) log-fetch-limit(1000)); };\n"                                \
    "  parser { json-parser(prefix('j.')); };\n"                                                   \
    "  filter { '${j.level}' eq 'error' };\n"                                                      \
    "  destination { file('$OUT/errors.ndjson' flush-lines(1000)\n"                                \
    "    template(\"{\\\"ts\\\":\\\"${j.ts}\\\",\\\"msg\\\":\\\"${j.msg}\\\"}\\n\")); };\n"        \
    "  flags(flow-control);\n"                                                                     \
    "};\n"                                                                                         \
    "END\n"                                                                                        \
    "cat '$IN' | syslog-ng -F --no-caps -f '$OUT/conf' -R '$OUT/state' -c '$OUT/control' "         \
    "--pidfile='$OUT/pid'"

} // namespace

const char *job_title(const std::string &job)
{
    static const char *const titles[][2] = {
        { "G1", "Records, an empty call for each frame" },
        { "G2", "Records, an empty call for each message" },
        { "G3", "Sensors: min, mean, max, count of 413 names" },
        { "G4", "Sensors: the same of 10,000 names" },
        { "G5", "Sensors behind a keyed exchange" },
        { "G6", "NDJSON: level is error (10 %), two fields, to a file" },
        { "G7", "NDJSON: every line to the file of its level" },
        { "G8", "A cold file" },
        { "G9", "CPU of a row beyond a bare loop" },
        { "limit", "What this machine gives" },
    };
    for (auto &title : titles)
        if (job == title[0])
            return title[1];
    return "";
}

std::vector<Row> job_rows()
{
    const char *io = "read by io_uring, all CPUs";
    Row bare = ours("G9", "bare loop", CPU_NS, SENSORS, "", "", "", 0, 0);
    bare.kind = PEER;
    bare.run = run_bare;
    return {
        ours("G1", "beltway", GB, SENSORS, READ "processor: { steps: [ bench_frame: {} ] }\n", "",
             io, 15, 20),
        ours("G2", "beltway", MROWS, SENSORS, READ "processor: { steps: [ bench_message: {} ] }\n",
             "", io, 300, 600),
        ours("G3", "beltway", MROWS, SENSORS, SENSORS_JOB, "totals", io, 200, 325),
        ours("G4", "beltway", MROWS, KEYS, SENSORS_JOB, "totals", io, 120, 177),
        of_limit(
            ours("G5", "beltway", MROWS, SENSORS, EXCHANGE_JOB("at_end"), "totals", "G3", 0, 0),
            0.9, 0.95),
        of_limit(ours("G5", "beltway, every 10 ms", MROWS, SENSORS, EXCHANGE_JOB("{ every: 10ms }"),
                      "", "G3", 0, 0),
                 0.9, 0.95),
        ours("G6", "beltway", GB, LOG, ERRORS_JOB, "errors", io, 2, 3.2),
        of_limit(
            ours("G7", "beltway", GB, LOG, PER_KEY_JOB("", ""), "all", "copy file to file", 1, 0),
            0, 0.85),
        of_limit(ours("G7", "beltway, O_DIRECT", GB, LOG,
                      PER_KEY_JOB("bytes: 1MiB, memory: 16MiB, ", ", direct: auto"), "all",
                      "copy file to file", 1, 0),
                 0, 0.85),
        of_limit(ours("G7", "beltway, durable", GB, LOG, DURABLE_JOB(", direct: auto"), "all",
                      "device write, O_DIRECT, synced", 0, 0),
                 0.8, 0),
        of_limit(ours("G7", "beltway, durable, cached", GB, LOG, DURABLE_JOB(""), "all",
                      "device write, cached, synced", 0, 0),
                 0.8, 0),
        cold("beltway, buffered", READ "processor: { steps: [ bench_frame: {} ] }\n",
             "device read, buffered"),
        cold("beltway, O_DIRECT",
             "source: { file: { paths: '$IN', direct: true } }\n"
             "processor: { steps: [ bench_frame: {} ] }\n",
             "device read, O_DIRECT"),
        bare,
        ours("G9", "beltway", CPU_NS, SENSORS, READ "processor: { steps: [ bench_look: {} ] }\n",
             "", "", 1, 0.5),
    };
}

std::vector<Row> peer_rows()
{
    return {
        peer("G1", "wc", WHOLE, GB, SENSORS, "wc -l <'$IN' >'$OUT/lines'", ""),
        peer("G3", "mawk", PART, MROWS, SENSORS, "mawk" AWK_TOTALS, "keys"),
        peer("G3", "gawk", PART, MROWS, SENSORS, "LC_ALL=C gawk" AWK_TOTALS, "keys"),
        peer("G3", "mlr", PART, MROWS, SENSORS,
             "mlr --inidx --ifs ';' --ocsv --headerless-csv-output "
             "stats1 -a min,mean,max,count -f 2 -g 1 "
             "'$IN' >'$OUT/totals.csv'",
             "keys"),
        peer("G4", "mawk", PART, MROWS, KEYS, "mawk" AWK_TOTALS, "keys"),
        peer("G6", "grep", WHOLE, GB, LOG,
             "LC_ALL=C grep -F '\"level\":\"error\"' '$IN' >'$OUT/errors.ndjson'", "lines"),
        peer("G6", "mawk", WHOLE, GB, LOG, "mawk" AWK_ERRORS, "errors"),
        peer("G6", "gawk", PART, GB, LOG, "LC_ALL=C gawk" AWK_ERRORS, "errors"),
        peer("G6", "jq", PART, GB, LOG,
             "jq -c 'select(.level == \"error\") | {ts, msg}' '$IN' >'$OUT/errors.ndjson'",
             "errors"),
        peer("G6", "mlr", PART, GB, LOG,
             "mlr --ijsonl --ojsonl filter '$level == \"error\"' then cut -o -f ts,msg "
             "'$IN' >'$OUT/errors.ndjson'",
             "lines"),
        peer("G6", "syslog-ng", PART, GB, LOG, SYSLOG_NG_ERRORS, "errors"),
        peer("G7", "mawk", PART, GB, LOG,
             "mawk -F'\"' '{ print >(\"$OUT/\" $8 \".ndjson\") }' '$IN'", "all"),
    };
}

std::vector<Row> own_rows(const Options &options)
{
    std::vector<Row> rows;
    for (const Peer &own : options.peers)
        for (const Row &job : job_rows())
            if (own.job == job.job) {
                Row row = peer(job.job, "", WHOLE, job.unit, job.data, own.command.c_str(), "");
                row.name = own.name.c_str();
                row.warmth = job.warmth;
                rows.push_back(row);
                break;
            }
    return rows;
}

const File &input_of(const Bench &bench, const Row &row)
{
    const DataSet &set = bench.data[row.data];
    return row.share == WHOLE ? set.whole : set.part;
}

std::string expand(const Bench &bench, const Row &row, std::string text)
{
    const std::pair<const char *, std::string> words[] = {
        { "$IN", input_of(bench, row).path },
        { "$OUT", bench.out },
    };
    for (auto &word : words)
        for (size_t at; (at = text.find(word.first)) != std::string::npos;)
            text.replace(at, strlen(word.first), word.second);
    return text;
}

// ---- ours ----------------------------------------------------------------------------

namespace
{

int make_pipeline(belt_pipeline **out, const Bench &bench, const Row &row, belt_error *err)
{
    int rc = belt_pipeline_new(out, err);
    for (const belt_part *part : bench_parts())
        if (rc == 0)
            rc = belt_pipeline_add(*out, part, err);
    std::string yaml = expand(bench, row, row.text);
    if (rc == 0)
        rc = belt_pipeline_load_text(*out, yaml.c_str(), row.job, err);
    return rc;
}

std::string wrong_totals(const belt_totals &t, const File &in)
{
    if (!t.complete)
        return "the input was not read to its end";
    if (t.received != in.rows)
        return "received " + std::to_string(t.received) + " of " + std::to_string(in.rows);
    return t.failed || t.unsettled ? std::to_string(t.failed + t.unsettled) + " failed" : "";
}

} // namespace

std::string why_not(const Bench &bench, const Row &row)
{
    belt_pipeline *p = nullptr;
    belt_error err = {};
    int rc = row.kind == OURS ? make_pipeline(&p, bench, row, &err) : 0;
    if (rc == 0 && p)
        rc = belt_pipeline_validate(p, &err);
    belt_pipeline_free(p);
    return rc < 0 ? err.text : "";
}

Sample run_pipeline(const Bench &bench, const Row &row)
{
    const File &in = input_of(bench, row);
    belt_pipeline *p = nullptr;
    belt_error err = {};
    belt_totals totals = {};
    Sample sample;
    double begin = now(), cpu = 0;
    int rc = make_pipeline(&p, bench, row, &err);
    if (rc == 0)
        rc = belt_pipeline_start(p, &err);
    cpu = cpu_used();
    if (rc == 0)
        rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    double all = now() - begin;
    totals.size = sizeof totals;
    if (p)
        belt_pipeline_totals(p, &totals);
    sample.cpu = cpu_used() - cpu;
    sample.wall = static_cast<double>(totals.elapsed_ns) / 1e9;
    sample.start = all - sample.wall;
    sample.pss_mib = bench_pss_mib();
    sample.bytes = in.bytes;
    sample.rows = in.rows;
    sample.error = rc < 0 ? err.text : wrong_totals(totals, in);
    belt_pipeline_free(p);
    return sample;
}

// ---- peers ---------------------------------------------------------------------------

Sample run_command(const Bench &bench, const Row &row)
{
    const File &in = input_of(bench, row);
    std::string command = expand(bench, row, row.text);
    Sample sample;
    rusage before, after;
    getrusage(RUSAGE_CHILDREN, &before);
    double begin = now();
    int status = system(command.c_str());
    sample.wall = now() - begin;
    getrusage(RUSAGE_CHILDREN, &after);
    auto seconds = [](const rusage &use) {
        return static_cast<double>(use.ru_utime.tv_sec + use.ru_stime.tv_sec) +
               static_cast<double>(use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
    };
    sample.cpu = seconds(after) - seconds(before);
    sample.bytes = in.bytes;
    sample.rows = in.rows;
    if (status != 0)
        sample.error = std::string(row.name) + " failed";
    return sample;
}

} // namespace files
