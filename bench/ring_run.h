// Taking samples: calibrated, labelled, all cases of a panel in turns.
#ifndef BELT_RING_RUN_H
#define BELT_RING_RUN_H

#include <random>
#include <regex>

#include "bench/ring_case.h"

struct Options {
    std::string filter = ".", json, plot;
    bool list = false, smoke = false;
    unsigned near = 9;     // samples of each case
    double seconds = 560;  // after which no sample is repeated for being far
    double patience = 150; // seconds in all that we wait for the CPUs to be near
    double sample = 0.035; // seconds of one
};

struct Result {
    const Panel *panel;
    const Case *what;
    Setting setting;
    double per_item = 0; // seconds
    uint64_t items = 0;
    std::vector<Sample> samples = {};
    const char *error = nullptr;

    bool failed() const
    {
        return error || samples.empty();
    }
    unsigned near() const, far() const; // how many samples; the rest is of one core or disturbed
    // Of a figure of the near samples, else of the far ones, else of all.
    double median(double Sample::*figure = &Sample::value) const;
    double median_near() const, median_far() const; // 0: there is none
    double least() const, most() const;
};

// "near", "far", "one core", or "disturbed": a thread that should have run all the time did not.
const char *label_of(const Sample &sample);

class Runner
{
  public:
    Runner(const Options &options, int cpu_a, int cpu_b);

    // What of the panel has a name that the filter takes; the rest has no result.
    std::vector<Result> run(const Panel &panel);
    size_t count(const Panels &panels);

  private:
    bool wanted(const Panel &panel, const Case &c) const;
    Sample sample(const Result &result, uint64_t items);
    uint64_t items_in(const Result &result, double seconds) const;
    void time_items(Result *result);
    void choose(Result *result);
    void wait_for_near();
    void sample_in_turns(std::vector<Result> *results);
    void tell(const Panel &panel, double share);
    double elapsed() const;

    const Options &options_;
    std::regex filter_;
    std::mt19937 random_{ 1 };
    int cpu_a_, cpu_b_;
    double start_, patience_;
    size_t all_ = 0, done_ = 0;
};

#endif
