#include "bench/ring_report.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <thread>

#include "bench/calibrate.h"

double scaled(Unit unit, double value)
{
    static const double by[] = { 1e-6, 1e-9, 1, 1 };
    return value * by[static_cast<int>(unit)];
}

const char *scaled_unit(Unit unit)
{
    static const char *const names[] = { "M/s", "GB/s", "ns", "%" };
    return names[static_cast<int>(unit)];
}

double limit_of(const Results &all, const Panel &panel, bool near)
{
    for (const std::vector<Result> &results : all)
        for (const Result &result : results)
            if (result.panel->name(*result.what) == panel.limit && !result.failed())
                return (near ? result.median_near() : result.median_far()) * panel.limit_times;
    return 0;
}

double times_better(const Result &one, const Result &other)
{
    bool near = one.near() && other.near(), far = one.far() && other.far();
    double ratio = near  ? one.median_near() / other.median_near()
                   : far ? one.median_far() / other.median_far()
                         : one.median() / other.median();
    return lower_is_better(one.panel->unit) ? 1 / ratio : ratio;
}

bool higher_up(const Result &one, const Result &other)
{
    return lower_is_better(one.panel->unit) ? one.median() < other.median()
                                            : one.median() > other.median();
}

const Result *best_peer(const std::vector<Result> &panel, const Result &ours)
{
    const Result *best = nullptr;
    for (const Result &other : panel) {
        bool rival = !other.what->ours() && !other.failed() &&
                     other.panel->name(*other.what) != other.panel->limit &&
                     (other.what->fifo || !ours.what->fifo);
        if (rival && (!best || times_better(other, *best) > 1))
            best = &other;
    }
    return best;
}

namespace
{

const Result *find(const std::vector<Result> &panel, const char *impl)
{
    for (const Result &result : panel)
        if (result.what->impl == impl && !result.failed())
            return &result;
    return nullptr;
}

std::string size_text(uint32_t bytes)
{
    if (bytes < KiB)
        return "-";
    return bytes < MiB ? std::to_string(bytes / KiB) + " KiB"
                       : std::to_string(bytes / MiB) + " MiB";
}

std::string number(double value)
{
    char text[32];
    snprintf(text, sizeof text, value < 10 ? "%.2f" : value < 1000 ? "%.1f" : "%.0f", value);
    return text;
}

std::string times(double value)
{
    char text[32];
    snprintf(text, sizeof text, "%.2fx", value);
    return std::isfinite(value) ? text : "-";
}

void print_row(const Result &result)
{
    Unit unit = result.panel->unit;
    auto text = [unit](double value) { return number(scaled(unit, value)); };
    if (result.failed()) {
        printf("  %-24s FAILED: %s\n", result.what->impl.c_str(),
               result.error ? result.error : "no sample");
        return;
    }
    unsigned far = result.far();
    size_t other = result.samples.size() - result.near() - far;
    std::string spread = "[" + text(result.least()) + ".." + text(result.most()) + "]";
    std::string p99 = result.median(&Sample::p99) > 0 ? number(result.median(&Sample::p99)) : "-";
    printf("  %-24s %9s  %-20s %8s %5u %4u %9s %9zu  %7s %s\n", result.what->impl.c_str(),
           text(result.median()).c_str(), spread.c_str(), p99.c_str(), result.near(), far,
           far ? text(result.median_far()).c_str() : "-", other,
           size_text(result.setting.bytes).c_str(), style_name(result.setting.style));
}

} // namespace

void print_panel(const std::vector<Result> &panel)
{
    const Panel &of = *panel.front().panel;
    std::vector<const Result *> sorted;
    printf("%s  rings/%s/*/%u/%u: %s\n", of.table.c_str(), of.shape.c_str(), of.item, of.batch,
           of.title.c_str());
    printf("  %-24s %9s  %-20s %8s %5s %4s %9s %9s  %7s %s\n", "", scaled_unit(of.unit), "min..max",
           "p99 ns", "near", "far", "far's", "other", "ring", "wait");
    for (const Result &result : panel)
        sorted.push_back(&result);
    std::stable_sort(sorted.begin(), sorted.end(), [](const Result *a, const Result *b) {
        if (a->failed() || b->failed())
            return b->failed() && !a->failed();
        return higher_up(*a, *b);
    });
    for (const Result *result : sorted)
        print_row(*result);
    printf("\n");
    fflush(stdout);
}

void print_ratios(const Results &all)
{
    static const char form[] = "%-10s %-20s %-24s %10s %-5s %-20s %8s %8s %8s\n";
    printf("How many times better ours are (in ns and %%, the inverse of the figures' ratio):\n");
    printf(form, "table", "rings/", "ours", "", "", "best peer", "x peer", "x ck", "x limit");
    for (const std::vector<Result> &panel : all)
        for (const Result &ours : panel) {
            const Panel &of = *ours.panel;
            if (!ours.what->ours() || ours.failed())
                continue;
            const Result *peer = best_peer(panel, ours), *ck = find(panel, "ck");
            double limit = limit_of(all, of, ours.near()) / ours.median();
            std::string where =
                of.shape + "/" + std::to_string(of.item) + "/" + std::to_string(of.batch);
            printf(form, of.table.c_str(), where.c_str(), ours.what->impl.c_str(),
                   number(scaled(of.unit, ours.median())).c_str(), scaled_unit(of.unit),
                   peer ? peer->what->impl.c_str() : "-",
                   peer ? times(times_better(ours, *peer)).c_str() : "-",
                   ck ? times(times_better(ours, *ck)).c_str() : "-",
                   limit > 0 ? times(lower_is_better(of.unit) ? limit : 1 / limit).c_str() : "-");
        }
}

// ---- JSON, as Google Benchmark writes it ------------------------------------------

namespace
{

// One object of "benchmarks"; `more` comes last in it.
void put_figures(FILE *out, const Result &result, const char *type, const std::string &more,
                 double value, double seconds, double p50, double p99, double near_ns)
{
    static const char *const rate[] = { "items_per_second", "bytes_per_second", "value", "value" };
    Unit unit = result.panel->unit;
    std::string name = result.panel->name(*result.what);
    bool median = strcmp(type, "aggregate") == 0;
    fprintf(out,
            "    {\"name\": \"%s%s\", \"run_name\": \"%s\", \"run_type\": \"%s\", "
            "\"threads\": 1, \"iterations\": 1, \"real_time\": %.6f, \"cpu_time\": %.6f, "
            "\"time_unit\": \"ms\", \"%s\": %.6g, \"near_ns\": %.1f, ",
            name.c_str(), median ? "_median" : "", name.c_str(), type, seconds * 1e3, seconds * 1e3,
            rate[static_cast<int>(unit)], value, near_ns);
    if (unit == Unit::kNs || unit == Unit::kPercent)
        fprintf(out, "\"unit\": \"%s\", ", scaled_unit(unit));
    if (p50 > 0)
        fprintf(out, "\"p50_ns\": %.1f, \"p99_ns\": %.1f, ", p50, p99);
    fprintf(out, "\"table\": \"%s\", \"ring_bytes\": %u, \"wait\": \"%s\", \"items\": %llu, %s}",
            result.panel->table.c_str(), result.setting.bytes, style_name(result.setting.style),
            static_cast<unsigned long long>(result.items), more.c_str());
}

void put_result(FILE *out, const Result &result, const char **separator)
{
    std::string name = result.panel->name(*result.what);
    if (result.failed()) {
        fprintf(out,
                "%s    {\"name\": \"%s\", \"run_name\": \"%s\", \"run_type\": \"iteration\", "
                "\"error_occurred\": true, \"error_message\": \"%s\"}",
                *separator, name.c_str(), name.c_str(), result.error ? result.error : "no sample");
        *separator = ",\n";
        return;
    }
    for (size_t i = 0; i < result.samples.size(); i++) {
        const Sample &s = result.samples[i];
        std::string more =
            "\"repetition_index\": " + std::to_string(i) + ", \"label\": \"" + label_of(s) + "\"";
        fputs(*separator, out);
        put_figures(out, result, "iteration", more, s.value, s.seconds, s.p50, s.p99, s.near_ns);
        *separator = ",\n";
    }
    fputs(*separator, out);
    std::string more = "\"aggregate_name\": \"median\", \"repetitions\": " +
                       std::to_string(result.near() ? result.near() : result.samples.size()) +
                       ", \"label\": \"" +
                       (result.near()  ? "near"
                        : result.far() ? "far"
                                       : label_of(result.samples.front())) +
                       "\"";
    put_figures(out, result, "aggregate", more, result.median(), result.median(&Sample::seconds),
                result.median(&Sample::p50), result.median(&Sample::p99),
                result.median(&Sample::near_ns));
}

} // namespace

bool write_json(const char *path, const Results &all, const Panels &panels)
{
    FILE *out = fopen(path, "w");
    const char *separator = "\n";
    char date[64] = "";
    time_t now = time(nullptr);
    tm parts;
    if (!out) {
        perror(path);
        return false;
    }
    strftime(date, sizeof date, "%FT%T%z", localtime_r(&now, &parts));
    fprintf(out,
            "{\n  \"context\": {\"date\": \"%s\", \"executable\": \"belt-bench-rings\", "
            "\"num_cpus\": %u, \"near_ns_at_most\": %.0f, \"missing_peers\": [",
            date, std::thread::hardware_concurrency(), BELT_NEAR_NS);
    for (size_t i = 0; i < panels.missing.size(); i++)
        fprintf(out, "%s\"%s\"", i ? ", " : "", panels.missing[i].c_str());
    fprintf(out, "]},\n  \"benchmarks\": [");
    for (const std::vector<Result> &panel : all)
        for (const Result &result : panel)
            put_result(out, result, &separator);
    fprintf(out, "\n  ]\n}\n");
    return fclose(out) == 0;
}
