// belt-bench-rings [--filter=REGEX] [--json FILE] [--plot DIR] [--smoke] [--list]
//
// Rings beside their peers, tables A to E (bench/README.md). Exit code: 0; 1 when a
// sample failed; 2 for a wrong argument; 77 when there is but one CPU.
#include <unistd.h>

#include <cstdio>
#include <cstring>

#include "bench/calibrate.h"
#include "bench/ring_report.h"

namespace
{

struct Argument {
    const char *name;
    std::string *text; // it takes one
    bool *flag;
};

bool read_argument(const std::vector<Argument> &known, char **argv, int *at)
{
    for (const Argument &one : known) {
        size_t length = strlen(one.name);
        if (one.flag && strcmp(argv[*at], one.name) == 0) {
            *one.flag = true;
            return true;
        }
        if (!one.text || strncmp(argv[*at], one.name, length) != 0)
            continue;
        if (argv[*at][length] == '=')
            *one.text = argv[*at] + length + 1;
        else if (argv[*at][length] == '\0' && argv[*at + 1])
            *one.text = argv[++*at];
        else
            continue;
        return true;
    }
    fprintf(stderr, "belt-bench-rings: '%s'?\n", argv[*at]);
    return false;
}

bool read_arguments(char **argv, Options *options)
{
    const std::vector<Argument> known = { { "--filter", &options->filter, nullptr },
                                          { "--json", &options->json, nullptr },
                                          { "--plot", &options->plot, nullptr },
                                          { "--smoke", nullptr, &options->smoke },
                                          { "--list", nullptr, &options->list } };
    for (int i = 1; argv[i]; i++)
        if (!read_argument(known, argv, &i))
            return false;
    return true;
}

Panels make_panels()
{
    Panels panels;
#ifndef BELT_BENCH_DPDK
    panels.missing.push_back("rte_ring (libdpdk-dev)");
#endif
#ifndef BELT_BENCH_BOOST
    panels.missing.push_back("boost lockfree (libboost-dev)");
#endif
#ifndef BELT_BENCH_MOODYCAMEL
    panels.missing.push_back("moodycamel ConcurrentQueue (libconcurrentqueue-dev)");
#endif
#ifndef BELT_BENCH_TBB
    panels.missing.push_back("tbb concurrent_bounded_queue (libtbb-dev)");
#endif
    for (auto add :
         { add_limits, add_spsc, add_bulk, add_mpmc, add_mpmc_shared, add_broadcast, add_waiting })
        add(&panels);
    return panels;
}

void list(const Panels &panels, const std::string &filter)
{
    std::regex wanted(filter);
    for (const Panel &panel : panels.all)
        for (const Case &c : panel.cases)
            if (std::regex_search(panel.name(c), wanted))
                printf("%s\n", panel.name(c).c_str());
}

// All that failed; a smoke test prints no more.
unsigned count_failures(const Results &all)
{
    unsigned failures = 0;
    for (const std::vector<Result> &panel : all)
        for (const Result &result : panel)
            if (result.failed()) {
                fprintf(stderr, "FAILED: %s: %s\n", result.panel->name(*result.what).c_str(),
                        result.error ? result.error : "no sample");
                failures++;
            }
    return failures;
}

int run(const Options &options, const Panels &panels, int cpu_a, int cpu_b)
{
    Runner runner(options, cpu_a, cpu_b);
    Results all;
    size_t count = runner.count(panels);
    if (count == 0) {
        fprintf(stderr, "nothing is named like '%s'\n", options.filter.c_str());
        return 2;
    }
    for (const std::string &missing : panels.missing)
        printf("missing: %s\n", missing.c_str());
    for (const Panel &panel : panels.all) {
        std::vector<Result> results = runner.run(panel);
        if (results.empty())
            continue;
        if (!options.smoke)
            print_panel(results);
        all.push_back(std::move(results));
    }
    if (options.smoke)
        printf("%zu cases moved what they should\n", count);
    else
        print_ratios(all);
    bool written = options.json.empty() || write_json(options.json.c_str(), all, panels);
    written &= options.plot.empty() || write_plots(options.plot.c_str(), all);
    return count_failures(all) || !written;
}

} // namespace

int main(int, char **argv)
{
    Options options;
    int cpu_a, cpu_b;
    if (!read_arguments(argv, &options))
        return 2;
    try {
        Panels panels = make_panels();
        if (options.list) {
            list(panels, options.filter);
            return 0;
        }
        if (!belt_calibrate_cpus(&cpu_a, &cpu_b)) {
            fprintf(stderr, "belt-bench-rings: needs two CPUs\n");
            return 77;
        }
        return run(options, panels, cpu_a, cpu_b);
    } catch (const std::regex_error &) {
        fprintf(stderr, "belt-bench-rings: '%s' is no regular expression\n",
                options.filter.c_str());
        return 2;
    }
}
