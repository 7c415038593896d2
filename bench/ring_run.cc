#include "bench/ring_run.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <thread>

#include "bench/calibrate.h"
#include "rings/atomic.h"

namespace
{

constexpr int kTrials = 3, kRoundsAtMost = 27;
constexpr unsigned kStuckSeconds = 10;
constexpr double kOnCpu = 0.97;

double now()
{
    using namespace std::chrono;
    return duration<double>(steady_clock::now().time_since_epoch()).count();
}

bool is_near(const Sample &s)
{
    return belt_calibrate_is_near(s.near_ns);
}

bool disturbed(const Sample &s)
{
    return s.on_cpu < kOnCpu;
}

double middle_of(std::vector<double> values)
{
    if (values.empty())
        return 0;
    std::sort(values.begin(), values.end());
    size_t half = values.size() / 2;
    return values.size() % 2 ? values[half] : (values[half - 1] + values[half]) / 2;
}

enum class Which { kNear, kFar, kAll };

bool belongs(const Sample &s, Which which)
{
    if (which == Which::kAll)
        return true;
    return !disturbed(s) && (which == Which::kNear ? is_near(s) : s.near_ns > BELT_NEAR_NS);
}

unsigned count(const Result &result, Which which)
{
    return static_cast<unsigned>(std::count_if(result.samples.begin(), result.samples.end(),
                                               [=](const Sample &s) { return belongs(s, which); }));
}

std::vector<double> figures(const Result &result, double Sample::*figure, Which which)
{
    std::vector<double> values;
    for (const Sample &s : result.samples)
        if (belongs(s, which))
            values.push_back(s.*figure);
    return values;
}

std::vector<double> best_figures(const Result &result, double Sample::*figure)
{
    for (Which which : { Which::kNear, Which::kFar })
        if (count(result, which) > 0)
            return figures(result, figure, which);
    return figures(result, figure, Which::kAll);
}

void give_up(int)
{
    belt_store_relaxed32(&ring_stuck, 1); // Relaxed: it says no more than itself.
}

} // namespace

unsigned Result::near() const
{
    return count(*this, Which::kNear);
}

unsigned Result::far() const
{
    return count(*this, Which::kFar);
}

const char *label_of(const Sample &sample)
{
    return disturbed(sample) ? "disturbed" : belt_calibrate_label(sample.near_ns);
}

double Result::median(double Sample::*figure) const
{
    return middle_of(best_figures(*this, figure));
}

double Result::median_near() const
{
    return middle_of(figures(*this, &Sample::value, Which::kNear));
}

double Result::median_far() const
{
    return middle_of(figures(*this, &Sample::value, Which::kFar));
}

double Result::least() const
{
    auto values = best_figures(*this, &Sample::value);
    return values.empty() ? 0 : *std::min_element(values.begin(), values.end());
}

double Result::most() const
{
    auto values = best_figures(*this, &Sample::value);
    return values.empty() ? 0 : *std::max_element(values.begin(), values.end());
}

Runner::Runner(const Options &options, int cpu_a, int cpu_b)
    : options_(options), filter_(options.filter), cpu_a_(cpu_a), cpu_b_(cpu_b), start_(now()),
      patience_(options.smoke ? 0 : options.patience)
{
    signal(SIGALRM, give_up);
}

bool Runner::wanted(const Panel &panel, const Case &c) const
{
    return std::regex_search(panel.name(c), filter_);
}

size_t Runner::count(const Panels &panels)
{
    all_ = 0;
    for (const Panel &panel : panels.all)
        for (const Case &c : panel.cases)
            all_ += wanted(panel, c);
    return all_;
}

double Runner::elapsed() const
{
    return now() - start_;
}

// On a terminal only: where we are, how much of all is done, how long it may take.
void Runner::tell(const Panel &panel, double share)
{
    static const bool terminal = isatty(STDERR_FILENO);
    if (!terminal || all_ == 0)
        return;
    double part = (static_cast<double>(done_) + share) / static_cast<double>(all_);
    auto left = static_cast<int>(part > 0 ? elapsed() / part * (1 - part) : 0);
    std::string name =
        panel.shape + "/" + std::to_string(panel.item) + "/" + std::to_string(panel.batch);
    fprintf(stderr, "\r\033[K%3.0f %%  %d:%02d left  %s", part * 100, left / 60, left % 60,
            part < 1 ? name.c_str() : "");
    if (part >= 1)
        fputs("\r\033[K", stderr);
}

Sample Runner::sample(const Result &result, uint64_t items)
{
    double before = options_.smoke ? BELT_NEAR_NS : belt_calibrate_ns(cpu_a_, cpu_b_);
    belt_store_relaxed32(&ring_stuck, 0); // Relaxed: no thread of a sample runs.
    alarm(kStuckSeconds);
    Sample s = result.what->take(result.setting, items);
    alarm(0);
    double after = options_.smoke ? BELT_NEAR_NS : belt_calibrate_ns(cpu_a_, cpu_b_);
    s.near_ns = belt_calibrate_worse(before, after);
    if (before < 0 || after < 0)
        s.error = "cannot pin";
    return s;
}

// Never fewer than the panel's pilot, even when those take longer.
uint64_t Runner::items_in(const Result &result, double seconds) const
{
    const Panel &panel = *result.panel;
    if (result.per_item <= 0) // it failed
        return panel.pilot;
    double items = seconds / result.per_item;
    return items < static_cast<double>(panel.most)
               ? std::clamp(static_cast<uint64_t>(items), panel.pilot, panel.most)
               : panel.most;
}

// By pilot samples, each longer than the one before, until one is long enough to tell.
void Runner::time_items(Result *result)
{
    uint64_t items = result->panel->pilot;
    for (int i = 0; i < 3; i++) {
        Sample s = sample(*result, items);
        if (s.error)
            return;
        result->per_item = s.seconds / static_cast<double>(items);
        uint64_t enough = items_in(*result, options_.sample / 4);
        if (enough / 4 <= items)
            return;
        items = enough;
    }
}

// The best footprint and style of those to choose from, by short samples in turns.
void Runner::choose(Result *result)
{
    std::vector<Result> tries;
    for (uint32_t bytes : result->what->bytes)
        for (Style style : result->what->styles) {
            Result one = { result->panel, result->what, { bytes, style, cpu_a_, cpu_b_ } };
            tries.push_back(one);
        }
    if (options_.smoke)
        tries.erase(tries.begin() + 1, tries.end());
    for (Result &one : tries)
        if (!options_.smoke)
            time_items(&one);
    for (int i = 0; i < kTrials && tries.size() > 1; i++)
        for (Result &one : tries) {
            uint64_t items = items_in(one, options_.sample / 4);
            Sample s = sample(one, items);
            for (int again = 0; !s.error && (!is_near(s) || disturbed(s)) && again < 2; again++)
                s = sample(one, items);
            if (!s.error)
                one.samples.push_back(s);
        }
    bool lower = lower_is_better(result->panel->unit);
    auto best = std::max_element(tries.begin(), tries.end(), [=](const Result &a, const Result &b) {
        if ((a.near() > 0) != (b.near() > 0))
            return b.near() > 0;
        return lower ? a.median() > b.median() : a.median() < b.median();
    });
    result->setting = best->setting;
    result->per_item = best->per_item;
    result->items = options_.smoke ? result->panel->pilot / 10 : items_in(*best, options_.sample);
}

// A panel's share of our patience, at most.
void Runner::wait_for_near()
{
    double share = std::min(patience_, 10.0), until = now() + share;
    patience_ -= share;
    while (now() < until && !belt_calibrate_is_near(belt_calibrate_ns(cpu_a_, cpu_b_)))
        std::this_thread::sleep_for(std::chrono::milliseconds(200));
    patience_ += std::max(until - now(), 0.0);
}

void Runner::sample_in_turns(std::vector<Result> *results)
{
    std::vector<Result *> turns;
    unsigned wanted = options_.smoke ? 1 : options_.near;
    for (Result &result : *results)
        turns.push_back(&result);
    for (int round = 0; round < kRoundsAtMost; round++) {
        bool late = elapsed() > options_.seconds && static_cast<unsigned>(round) >= wanted;
        turns.erase(std::remove_if(turns.begin(), turns.end(),
                                   [=](const Result *result) {
                                       return late || result->error || result->near() >= wanted;
                                   }),
                    turns.end());
        std::shuffle(turns.begin(), turns.end(), random_);
        for (Result *result : turns) {
            Sample s = sample(*result, result->items);
            result->error = s.error;
            if (!s.error)
                result->samples.push_back(s);
        }
        double share = std::min(1.0, (round + 1.0) / wanted);
        tell(*results->front().panel, share * static_cast<double>(results->size()));
    }
}

std::vector<Result> Runner::run(const Panel &panel)
{
    std::vector<Result> results;
    for (const Case &c : panel.cases)
        if (wanted(panel, c)) {
            results.push_back({ &panel, &c, {} });
            choose(&results.back());
            tell(panel, 0);
        }
    if (results.empty())
        return results;
    wait_for_near();
    sample_in_turns(&results);
    done_ += results.size();
    tell(panel, 0);
    return results;
}
