#include "bench/ring_case.h"

#include <sched.h>
#include <time.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "bench/calibrate.h"
#include "rings/atomic.h"

uint32_t ring_stuck;

const char *style_name(Style style)
{
    static const char *const names[] = { "spin", "pause", "yield", "own", "sleep" };
    return names[static_cast<int>(style)];
}

std::string Panel::name(const Case &c) const
{
    return "rings/" + shape + "/" + c.impl + "/" + std::to_string(item) + "/" +
           std::to_string(batch);
}

Panel make_panel(const char *table, const char *shape, uint32_t item, uint32_t batch,
                 const std::string &title)
{
    Panel panel = {};
    panel.table = table;
    panel.shape = shape;
    panel.item = item;
    panel.batch = batch;
    panel.title = title;
    return panel;
}

bool Idle::step()
{
    constexpr uint32_t kPausesBetweenYields = 8;
    if (belt_load_relaxed32(&ring_stuck)) // Relaxed: it says no more than itself.
        return false;
    looks_++;
    if (style_ == Style::kSpin)
        return true;
    if (style_ != Style::kPause && looks_ % kPausesBetweenYields == 0)
        sched_yield();
    else
        belt_pause();
    return true;
}

namespace
{

using Clock = std::chrono::steady_clock;

struct Start {
    uint32_t arrived = 0, go = 0;
    Clock::time_point at;
};

struct Finish {
    alignas(kApart) Clock::time_point at;
    double cpu_seconds;
    bool pinned;
};

double thread_cpu_seconds()
{
    timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

// The last to arrive starts the clock and all others, whose `at` it gives them.
void play(const Role &role, uint32_t roles, Start *start, Finish *finish)
{
    BeltPin pin(role.cpu);
    finish->pinned = pin.ok();
    if (belt_fetch_add32(&start->arrived, 1) + 1 == roles) {
        start->at = Clock::now();
        belt_store_release32(&start->go, 1);
    }
    while (!belt_load_acquire32(&start->go))
        sched_yield();
    double before = thread_cpu_seconds();
    role.work();
    finish->at = Clock::now();
    finish->cpu_seconds = thread_cpu_seconds() - before;
}

} // namespace

Timing run_together(const std::vector<Role> &roles)
{
    Timing timing;
    Start start;
    std::vector<Finish> ends(roles.size());
    std::vector<std::thread> threads;
    for (size_t i = 0; i < roles.size(); i++)
        threads.emplace_back(play, std::cref(roles[i]), static_cast<uint32_t>(roles.size()), &start,
                             &ends[i]);
    for (std::thread &thread : threads)
        thread.join();
    Clock::time_point last = start.at;
    for (const Finish &end : ends) {
        double own = std::chrono::duration<double>(end.at - start.at).count();
        timing.on_cpu = std::min(timing.on_cpu, end.cpu_seconds / own);
        last = std::max(last, end.at);
        timing.cpu_seconds += end.cpu_seconds;
        if (!end.pinned)
            timing.error = "cannot pin";
    }
    timing.seconds = std::chrono::duration<double>(last - start.at).count();
    if (belt_load_relaxed32(&ring_stuck))
        timing.error = "stuck";
    return timing;
}

#if defined(__x86_64__)
uint64_t ticks()
{
    return __builtin_ia32_rdtsc();
}
#else
uint64_t ticks()
{
    return static_cast<uint64_t>(Clock::now().time_since_epoch().count());
}
#endif

double ns_per_tick()
{
    static const double measured = [] {
        Clock::time_point start = Clock::now();
        uint64_t first = ticks();
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        double ns = std::chrono::duration<double, std::nano>(Clock::now() - start).count();
        return ns / static_cast<double>(ticks() - first);
    }();
    return measured;
}

void set_latencies(Sample *sample, std::vector<uint64_t> *ticks)
{
    if (ticks->empty())
        return;
    auto at = [&](double share) {
        auto place = static_cast<std::ptrdiff_t>(share * static_cast<double>(ticks->size() - 1));
        std::nth_element(ticks->begin(), ticks->begin() + place, ticks->end());
        return static_cast<double>((*ticks)[static_cast<size_t>(place)]) * ns_per_tick();
    };
    sample->p99 = at(0.99);
    sample->p50 = at(0.5);
    sample->value = sample->p50;
}
