// What a bench of rings is made of: panels (one question each) of cases (one
// implementation each), each of which can take a sample.
#ifndef BELT_RING_CASE_H
#define BELT_RING_CASE_H

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

// How a thread passes the time until there is something to do.
enum class Style : uint8_t {
    kSpin,  // looks again at once
    kPause, // a pause instruction between two looks
    kYield, // some pauses, then sched_yield
    kOwn,   // the library's own waiting by default (belt_rx_wait, belt_tx_wait), else as kYield
    kSleep  // the same, but sleeping at once
};
const char *style_name(Style style);

struct Setting {
    uint32_t bytes; // of items in the ring
    Style style;
    int cpu_a, cpu_b;
    unsigned writers = 1, readers = 1;
};

struct Sample {
    double value = 0; // in the panel's unit
    double seconds = 0;
    double p50 = 0, p99 = 0; // ns; 0: no latencies
    double near_ns = 0;      // belt_calibrate_worse() of before and after
    double on_cpu = 1;       // the least share of the time that a thread had its CPU
    const char *error = nullptr;
};

enum class Unit : uint8_t { kItems, kBytes, kNs, kPercent }; // the first two a second

inline bool lower_is_better(Unit unit)
{
    return unit == Unit::kNs || unit == Unit::kPercent;
}

struct Case {
    std::string impl;
    std::function<Sample(const Setting &, uint64_t items)> take;
    // What to try; the best of them is measured.
    std::vector<uint32_t> bytes;
    std::vector<Style> styles;
    bool fifo = true; // one order for all; else per writer only

    bool ours() const
    {
        return impl.compare(0, 4, "belt") == 0;
    }
};

struct Panel {
    std::string table, shape;
    uint32_t item, batch;
    std::string title;
    Unit unit = Unit::kItems;
    std::string limit = {};  // name of the case that bounds this panel, its value times
    double limit_times = 1;  // this; e.g. lines a second to items a second
    uint64_t pilot = 20000;  // items of the first, very short sample
    uint64_t most = 1 << 30; // items of any sample
    std::vector<Case> cases = {};

    std::string name(const Case &c) const;
};

Panel make_panel(const char *table, const char *shape, uint32_t item, uint32_t batch,
                 const std::string &title);

struct Panels {
    std::vector<Panel> all;
    std::vector<std::string> missing; // peers that were not there at build time
};

void add_limits(Panels *panels);
void add_spsc(Panels *panels);
void add_bulk(Panels *panels);
void add_mpmc(Panels *panels);
void add_mpmc_shared(Panels *panels);
void add_broadcast(Panels *panels);
void add_waiting(Panels *panels);

constexpr uint32_t KiB = 1024, MiB = 1024 * KiB;
constexpr size_t kApart = 128; // bytes: no two writers in one pair of lines

// ---- what samples use ------------------------------------------------------------

// Set when a sample has run far too long: all its threads give up.
extern uint32_t ring_stuck;

class Idle
{
  public:
    explicit Idle(Style style) : style_(style) {}
    Style style() const
    {
        return style_;
    }
    bool step(); // false: give up

  private:
    Style style_;
    uint32_t looks_ = 0;
};

// Threads that start at once, each on its CPU.
struct Role {
    int cpu;
    std::function<void()> work;
};
struct Timing {
    double seconds = 0;     // from the common start to the last end
    double cpu_seconds = 0; // of all threads
    double on_cpu = 1;      // the least share of its time that one of them ran
    const char *error = nullptr;
};
Timing run_together(const std::vector<Role> &roles);

// The CPU's time stamp counter, where there is one.
uint64_t ticks();
double ns_per_tick();
// Ticks to p50, p99 and value.
void set_latencies(Sample *sample, std::vector<uint64_t> *ticks);

#endif
