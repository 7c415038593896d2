// The figures: a table for people, JSON for programs.
#include <sys/utsname.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <fstream>

#include "bench/calibrate.h"
#include "bench/files.h"

namespace files
{

double now()
{
    timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double cpu_used()
{
    timespec time;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

double median(std::vector<double> values)
{
    std::sort(values.begin(), values.end());
    size_t half = values.size() / 2;
    if (values.empty())
        return 0;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

double Measured::value(const Sample &s) const
{
    switch (row.unit) {
    case GB: return static_cast<double>(s.bytes) / s.wall / 1e9;
    case MROWS: return static_cast<double>(s.rows) / s.wall / 1e6;
    case CPU_NS: return s.cpu * 1e9 / static_cast<double>(s.rows);
    }
    return 0;
}

std::vector<double> Measured::values() const
{
    std::vector<double> all;
    for (const Sample &sample : samples)
        all.push_back(value(sample));
    std::sort(all.begin(), all.end());
    return all;
}

const char *Measured::distance() const
{
    static char text[32];
    size_t near = 0;
    for (const Sample &sample : samples)
        near += belt_calibrate_is_near(sample.near_ns);
    if (near == samples.size())
        return "near";
    snprintf(text, sizeof text, near ? "near %zu/%zu" : "far", near, samples.size());
    return text;
}

namespace
{

// Median of some figure of the samples.
template <class Figure> double median_of(const Measured &row, Figure figure)
{
    std::vector<double> all;
    for (const Sample &sample : row.samples)
        all.push_back(figure(sample));
    return median(all);
}

double gb_of(const Measured &row)
{
    return median_of(row,
                     [](const Sample &s) { return static_cast<double>(s.bytes) / s.wall / 1e9; });
}

double cpu_ns(const Measured &row)
{
    return median_of(row,
                     [](const Sample &s) { return s.cpu * 1e9 / static_cast<double>(s.rows); });
}

const char *unit_name(Unit unit)
{
    static const char *const names[] = { "GB/s", "M rows/s", "ns" };
    return names[unit];
}

const Measured *find(const Report &report, const char *job, const char *name)
{
    for (const Measured &row : report.rows)
        if (strcmp(row.row.job, job) == 0 && strcmp(row.row.name, name) == 0)
            return &row;
    return nullptr;
}

} // namespace

const Measured *limit_of(const Report &report, const Measured &row)
{
    const char *name = row.row.limit;
    const Measured *limit = *name ? find(report, "limit", name) : nullptr;
    if (*name && !limit)
        limit = find(report, name, "beltway");
    return limit && limit->error.empty() ? limit : nullptr;
}

double of_limit(const Report &report, const Measured &row)
{
    const Measured *limit = limit_of(report, row);
    return limit ? gb_of(row) / gb_of(*limit) : 0;
}

// CPU ns a row beyond the bare loop, run by run: both of a pair saw the same minute.
double beyond_bare(const Report &report, const Measured &row)
{
    const Measured *bare = find(report, row.row.job, "bare loop");
    std::vector<double> all;
    if (!bare || bare == &row)
        return 0;
    for (size_t i = 0; i < std::min(row.samples.size(), bare->samples.size()); i++)
        all.push_back(row.value(row.samples[i]) - bare->value(bare->samples[i]));
    return median(all);
}

namespace
{

// ---- the table ---------------------------------------------------------------------

std::string machine()
{
    utsname name;
    double load = 0;
    char text[256];
    uname(&name);
    if (getloadavg(&load, 1) != 1)
        load = -1;
    snprintf(text, sizeof text, "Linux %s, load %.1f", name.release, load);
    return text;
}

// A goal or an aim: so much, or such a part of the limit.
struct Wanted {
    double value, of_limit;

    bool is() const
    {
        return value != 0 || of_limit != 0;
    }
    bool met(const Report &report, const Measured &row) const
    {
        bool less = row.row.unit == CPU_NS;
        double reached = less ? beyond_bare(report, row) : median(row.values());
        if (of_limit != 0)
            return files::of_limit(report, row) >= of_limit;
        return is() && (less ? reached <= value : reached >= value);
    }
    std::string text() const
    {
        char text[32];
        snprintf(text, sizeof text, of_limit != 0 ? "%gx" : "%g", of_limit != 0 ? of_limit : value);
        return text;
    }
};

std::string verdict(const Report &report, const Measured &row)
{
    const Row &r = row.row;
    Wanted goal = { r.goal, r.goal_of_limit }, aim = { r.aim, r.aim_of_limit };
    if (r.kind != OURS || !goal.is())
        return "";
    bool met = goal.met(report, row);
    const char *word = met && aim.met(report, row) ? "aim" : met ? "met" : "missed";
    return std::string(word) + " (" + goal.text() + (aim.is() ? ", aim " + aim.text() : "") + ")";
}

void print_row(const Report &report, const Measured &row)
{
    const Row &r = row.row;
    if (!row.error.empty()) {
        printf("  %-32s FAILED: %s\n", r.name, row.error.c_str());
        return;
    }
    std::vector<double> values = row.values();
    double value = median(values), share = of_limit(report, row);
    char range[64], part[16] = "", pss[16] = "";
    snprintf(range, sizeof range, "[%.4g..%.4g]", values.front(), values.back());
    if (share > 0)
        snprintf(part, sizeof part, "%.2f", share);
    if (r.kind == OURS)
        snprintf(pss, sizeof pss, "%.0f",
                 median_of(row, [](const Sample &s) { return s.pss_mib; }));
    printf("  %-32s %7.4g %-8s %-17s %5s %6.2f %6.2f %6.1f %4s %2zu %-8s %s\n", r.name, value,
           unit_name(r.unit), range, part, gb_of(row), cpu_ns(row),
           1e3 * median_of(row, [](const Sample &s) { return s.start; }), pss, row.samples.size(),
           row.distance(), verdict(report, row).c_str());
    if (r.unit == CPU_NS && r.kind == OURS)
        printf("  %-32s %7.2f ns\n", "  beyond the bare loop", beyond_bare(report, row));
}

// ---- JSON --------------------------------------------------------------------------

std::string quoted(const std::string &text)
{
    std::string out = "\"";
    for (char c : text) {
        if (c == '"' || c == '\\')
            out += '\\';
        out += static_cast<unsigned char>(c) < 32 ? ' ' : c;
    }
    return out + "\"";
}

void put_samples(FILE *out, const Measured &row)
{
    for (size_t i = 0; i < row.samples.size(); i++) {
        const Sample &s = row.samples[i];
        fprintf(out,
                "%s\n      {\"wall_s\": %.6f, \"cpu_s\": %.6f, \"start_s\": %.6f, "
                "\"pss_mib\": %.2f, \"near_ns\": %.0f, \"bytes\": %llu, \"rows\": %llu}",
                i ? "," : "", s.wall, s.cpu, s.start, s.pss_mib, s.near_ns,
                static_cast<unsigned long long>(s.bytes), static_cast<unsigned long long>(s.rows));
    }
}

void put_wanted(FILE *out, const char *name, double value)
{
    if (value != 0)
        fprintf(out, "     \"%s\": %g,\n", name, value);
}

void put_row(FILE *out, const Report &report, const Measured &row)
{
    static const char *const kinds[] = { "limit", "ours", "peer" };
    const Row &r = row.row;
    fprintf(out,
            "    {\"job\": %s, \"name\": %s, \"kind\": \"%s\", \"unit\": \"%s\", \"warm\": %s,\n",
            quoted(r.job).c_str(), quoted(r.name).c_str(), kinds[r.kind], unit_name(r.unit),
            r.warmth == WARM ? "true" : "false");
    if (row.error.empty()) {
        std::vector<double> values = row.values();
        fprintf(out,
                "     \"median\": %.6g, \"least\": %.6g, \"most\": %.6g, \"gb_per_s\": %.4f, "
                "\"cpu_ns_per_row\": %.4f, \"distance\": \"%s\",\n",
                median(values), values.front(), values.back(), gb_of(row), cpu_ns(row),
                row.distance());
        if (limit_of(report, row))
            fprintf(out, "     \"limit\": %s, \"of_limit\": %.4f,\n", quoted(r.limit).c_str(),
                    of_limit(report, row));
        put_wanted(out, "goal", r.goal);
        put_wanted(out, "aim", r.aim);
        put_wanted(out, "goal_of_limit", r.goal_of_limit);
        put_wanted(out, "aim_of_limit", r.aim_of_limit);
        if (r.unit == CPU_NS && r.kind == OURS)
            fprintf(out, "     \"beyond_bare_ns\": %.4f,\n", beyond_bare(report, row));
    } else {
        fprintf(out, "     \"error\": %s,\n", quoted(row.error).c_str());
    }
    fputs("     \"samples\": [", out);
    put_samples(out, row);
    fputs("]}", out);
}

} // namespace

void print_table(const Bench &bench, const Report &report)
{
    std::string job;
    printf("bench files: %s, %u CPUs; %.3g GB a file, medians of up to %u runs [least..most]\n",
           machine().c_str(), bench.threads, static_cast<double>(bench.options.size) / 1e9,
           bench.options.runs);
    printf("  %-32s %7s %-8s %-17s %5s %6s %6s %6s %4s %2s\n", "", "", "", "", "limit", "GB/s",
           "CPU", "start", "PSS", "");
    printf("  %-32s %7s %-8s %-17s %5s %6s %6s %6s %4s %2s\n", "", "median", "", "", "x", "",
           "ns/row", "ms", "MiB", "n");
    for (const char *each : { "limit", "G1", "G2", "G3", "G4", "G5", "G6", "G7", "G8", "G9" })
        for (const Measured &row : report.rows) {
            if (strcmp(row.row.job, each) != 0)
                continue;
            if (job != each)
                printf("%s %s\n", each, job_title(each));
            job = each;
            print_row(report, row);
        }
    for (const std::string &what : report.missing)
        printf("missing: %s\n", what.c_str());
}

bool write_json(const Bench &bench, const Report &report, const std::string &path)
{
    FILE *out = fopen(path.c_str(), "we");
    if (!out) {
        perror(path.c_str());
        return false;
    }
    fprintf(out, "{\n  \"machine\": %s, \"cpus\": %u, \"size\": %llu, \"runs\": %u,\n",
            quoted(machine()).c_str(), bench.threads,
            static_cast<unsigned long long>(bench.options.size), bench.options.runs);
    fputs("  \"missing\": [", out);
    for (size_t i = 0; i < report.missing.size(); i++)
        fprintf(out, "%s%s", i ? ", " : "", quoted(report.missing[i]).c_str());
    fputs("],\n  \"rows\": [\n", out);
    for (size_t i = 0; i < report.rows.size(); i++) {
        fputs(i ? ",\n" : "", out);
        put_row(out, report, report.rows[i]);
    }
    fputs("\n  ]\n}\n", out);
    return fclose(out) == 0;
}

} // namespace files
