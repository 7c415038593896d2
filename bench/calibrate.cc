#include "bench/calibrate.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <sched.h>
#include <thread>

#include "rings/api.h"
#include "rings/atomic.h"

static_assert(sizeof(cpu_set_t) == 128, "BeltPin keeps one");

BeltPin::BeltPin(int cpu)
{
    cpu_set_t before, one;
    ok_ = sched_getaffinity(0, sizeof before, &before) == 0;
    std::memcpy(before_, &before, sizeof before);
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ok_ = ok_ && sched_setaffinity(0, sizeof one, &one) == 0;
}

BeltPin::~BeltPin()
{
    cpu_set_t before;
    std::memcpy(&before, before_, sizeof before);
    if (ok_)
        sched_setaffinity(0, sizeof before, &before);
}

bool belt_calibrate_cpus(int *cpu_a, int *cpu_b)
{
    cpu_set_t mask;
    int found = 0;
    if (sched_getaffinity(0, sizeof mask, &mask) != 0)
        return false;
    for (int cpu = 0; cpu < CPU_SETSIZE && found < 2; cpu++)
        if (CPU_ISSET(cpu, &mask))
            *(found++ == 0 ? cpu_a : cpu_b) = cpu;
    return found == 2;
}

namespace
{

constexpr uint64_t kWarmUp = 200, kRounds = 2000;

struct Ball {
    alignas(BELT_LINES) uint64_t there = 0;
    alignas(BELT_LINES) uint64_t back = 0;
    alignas(BELT_LINES) uint64_t refused = 0; /* the other side could not pin */
};

/* Acquire and release, as in a ring; the balls carry nothing. */
void return_balls(Ball *ball, int cpu)
{
    BeltPin pin(cpu);
    belt_store_release(&ball->refused, !pin.ok());
    for (uint64_t i = 1; pin.ok() && i <= kWarmUp + kRounds; i++) {
        while (belt_load_acquire(&ball->there) != i)
            belt_pause();
        belt_store_release(&ball->back, i);
    }
}

} // namespace

double belt_calibrate_ns(int cpu_a, int cpu_b)
{
    using clock = std::chrono::steady_clock;
    Ball ball;
    BeltPin pin(cpu_a);
    std::thread other(return_balls, &ball, cpu_b);
    clock::time_point start;
    bool ok = pin.ok();
    for (uint64_t i = 1; i <= kWarmUp + kRounds; i++) {
        if (i == kWarmUp + 1)
            start = clock::now();
        belt_store_release(&ball.there, i);
        while (belt_load_acquire(&ball.back) != i && !belt_load_acquire(&ball.refused))
            belt_pause();
    }
    double ns = std::chrono::duration<double, std::nano>(clock::now() - start).count();
    ok = ok && !belt_load_acquire(&ball.refused);
    other.join();
    return ok ? ns / kRounds : -1;
}

double belt_calibrate_worse(double before, double after)
{
    double less = std::min(before, after);
    return less < BELT_ONE_CORE_NS ? less : std::max(before, after);
}

bool belt_calibrate_is_near(double ns)
{
    return ns >= BELT_ONE_CORE_NS && ns <= BELT_NEAR_NS;
}

const char *belt_calibrate_label(double ns)
{
    if (ns >= 0 && ns < BELT_ONE_CORE_NS)
        return "one core";
    return belt_calibrate_is_near(ns) ? "near" : "far";
}
