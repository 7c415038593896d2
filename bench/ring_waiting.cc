// What it costs to wait, to be waited for, and that somebody might.
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <ctime>
#include <limits>

#include "bench/ring_plain.h"
#include "bench/ring_shapes.h"

namespace
{

using Word = Item<8>;

// ---- waking: round trips of threads that sleep at once -----------------------------

void futex_wait(uint32_t *word, uint32_t value)
{
    timespec longest = { 1, 0 };
    syscall(SYS_futex, word, FUTEX_WAIT, value, &longest, nullptr, 0);
}

void futex_wake(uint32_t *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, std::numeric_limits<int>::max(), nullptr, nullptr, 0);
}

// Nothing but a word each way and the kernel: the limit.
Sample futex_round_trips(const Setting &setting, uint64_t rounds)
{
    struct alignas(kApart) Bell {
        uint32_t value = 0;
    } there, back;
    std::vector<uint64_t> took(rounds);
    auto give = [](Bell *bell, uint32_t value) {
        belt_store_release32(&bell->value, value);
        futex_wake(&bell->value);
    };
    auto get = [](Bell *bell, uint32_t value) { // pairs with the release of give()
        for (Idle idle(Style::kSpin); belt_load_acquire32(&bell->value) != value;) {
            futex_wait(&bell->value, value - 1);
            if (!idle.step())
                return false;
        }
        return true;
    };
    auto player = [&] {
        for (uint32_t i = 0; i < rounds; i++) {
            uint64_t start = ticks();
            give(&there, i + 1);
            if (!get(&back, i + 1))
                return;
            took[i] = ticks() - start;
        }
    };
    auto wall = [&] {
        for (uint32_t i = 0; i < rounds && get(&there, i + 1); i++)
            give(&back, i + 1);
    };
    Timing timing = run_together({ { setting.cpu_a, player }, { setting.cpu_b, wall } });
    Sample s = rate_of(timing, rounds, true, false);
    set_latencies(&s, &took);
    return s;
}

// What one writes first, for threads that sleep.
template <class T, uint32_t Batch> struct CondQueue : RingBase<T, Batch> {
    explicit CondQueue(const Setting &) {}
    template <class Tx> uint32_t push(Tx &, const T *items, uint32_t)
    {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            item_ = *items;
            full_ = true;
        }
        filled_.notify_one();
        return 1;
    }
    template <class Rx> uint32_t pop(Rx &, T *items, uint32_t)
    {
        std::unique_lock<std::mutex> lock(mutex_);
        if (!filled_.wait_for(lock, std::chrono::seconds(1), [this] { return full_; }))
            return 0;
        full_ = false;
        *items = item_;
        return 1;
    }

  private:
    std::mutex mutex_;
    std::condition_variable filled_;
    T item_;
    bool full_ = false;
};

Panel waiting_panel(const char *shape, const char *title, Unit unit)
{
    Panel panel = make_panel("waiting", shape, 8, 1, title);
    panel.unit = unit;
    return panel;
}

void add_wake(Panels *panels)
{
    Panel panel = waiting_panel("wake", "there and back when both sleep", Unit::kNs);
    Choice sleep = { { 16 * KiB }, { Style::kSleep } };
    panel.limit = "rings/wake/futex/8/1";
    panel.pilot = 20;
    panel.most = 20000;
    add_case<RoundTrips, BeltRing<Word, 1, BELT_SPSC>>(&panel, "belt", sleep);
    add_case<RoundTrips, BeltRing<Word, 1, BELT_SPSC, BELT_BODY_SPANS>>(&panel, "belt_spans",
                                                                        sleep);
    add_case<RoundTrips, BeltRing<Word, 1, BELT_MPMC>>(&panel, "belt_mpmc", sleep);
    add_case<RoundTrips, CondQueue<Word, 1>>(&panel, "condition_variable", sleep);
    panel.cases.push_back({ "futex", futex_round_trips, { 64 }, { Style::kSleep } });
    panels->all.push_back(panel);
}

// ---- nobody waits: what a publish pays for the possibility ---------------------------

// Publishes, in ns each: `tell` is what follows the store of the cursor.
template <class Tell> Sample publishes(const Setting &setting, uint64_t count, Tell tell)
{
    Sum cursor;
    auto work = [&] {
        for (uint64_t i = 1; i <= count; i++) {
            belt_store_release(&cursor.value, i);
            tell();
        }
    };
    Timing timing = run_together({ { setting.cpu_a, work } });
    Sample s = rate_of(timing, count, cursor.value == count, true);
    s.value = timing.seconds * 1e9 / static_cast<double>(count);
    return s;
}

Sample with_nothing(const Setting &setting, uint64_t count)
{
    return publishes(setting, count, [] {});
}

Sample with_bell(const Setting &setting, uint64_t count)
{
    alignas(kApart) belt_bell bell = {};
    return publishes(setting, count, [&] { belt_bell_ring(&bell); });
}

Sample with_fence(const Setting &setting, uint64_t count)
{
    Sum waiters, fence;
    return publishes(setting, count, [&] {
        belt_fetch_add(&fence.value, 1);       // a full fence, cheaper than mfence on x86
        if (belt_load_relaxed(&waiters.value)) // Relaxed: behind the fence.
            futex_wake(reinterpret_cast<uint32_t *>(&waiters.value));
    });
}

Sample with_wake(const Setting &setting, uint64_t count)
{
    uint32_t word = 0;
    return publishes(setting, count, [&] { futex_wake(&word); });
}

void add_nobody(Panels *panels)
{
    Panel panel = waiting_panel("nobody_waits", "a publish while nobody waits", Unit::kNs);
    std::vector<Style> any = { Style::kPause };
    panel.limit = "rings/nobody_waits/store/8/1";
    panel.cases = { { "belt_bell", with_bell, { 64 }, any },
                    { "fence", with_fence, { 64 }, any },
                    { "futex_wake", with_wake, { 64 }, any },
                    { "store", with_nothing, { 64 }, any } };
    panels->all.push_back(panel);
}

// ---- idle: CPU time of a reader to whom nothing comes --------------------------------

Sample idle_share(const Setting &setting, uint64_t ms, const std::function<void(uint64_t)> &wait)
{
    Timing timing = run_together({ { setting.cpu_b, [&] { wait(ms * 1000 * 1000); } } });
    Sample s = rate_of(timing, ms, true, false);
    s.value = timing.cpu_seconds / timing.seconds * 100;
    return s;
}

template <belt_kind Kind> Sample idle_belt(const Setting &setting, uint64_t ms)
{
    BeltRing<Word, 1, Kind> ring(setting);
    if (!ring.ok())
        return failed_sample("cannot make it");
    belt_rx rx = ring.rx(0);
    int rc = 0;
    Sample s =
        idle_share(setting, ms, [&](uint64_t ns) { rc = belt_rx_wait(&rx, belt_deadline(ns)); });
    if (rc != -ETIMEDOUT)
        s.error = "did not wait";
    return s;
}

Sample idle_yields(const Setting &setting, uint64_t ms)
{
    return idle_share(setting, ms, [](uint64_t ns) {
        Idle idle(Style::kYield);
        for (uint64_t until = belt_deadline(ns); belt_deadline(0) < until;)
            idle.step();
    });
}

void add_idle(Panels *panels)
{
    Panel panel = waiting_panel("idle", "CPU time of a reader while nothing comes", Unit::kPercent);
    std::vector<Style> own = { Style::kOwn };
    panel.pilot = panel.most = 200; // ms
    panel.cases = { { "belt", idle_belt<BELT_SPSC>, { 16 * KiB }, own },
                    { "belt_mpmc", idle_belt<BELT_MPMC>, { 16 * KiB }, own },
                    { "yields", idle_yields, { 64 }, { Style::kYield } } };
    panels->all.push_back(panel);
}

} // namespace

void add_waiting(Panels *panels)
{
    add_wake(panels);
    add_nobody(panels);
    add_idle(panels);
}
