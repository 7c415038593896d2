// Who writes and who reads: the shapes, for any implementation (bench/ring_ends.h).
#ifndef BELT_RING_SHAPES_H
#define BELT_RING_SHAPES_H

#include <memory>

#include "bench/ring_ends.h"

// On its own lines: what one thread leaves for the end.
struct alignas(kApart) Sum {
    uint64_t value = 0;
};

template <class Q> uint64_t sum_of_numbers(uint64_t n)
{
    return n * (n + 1) / 2 * (sizeof(typename Q::Item) / 8);
}

// `busy`: one thread a CPU, none of which sleeps; if one does not run, others disturbed it.
inline Sample rate_of(const Timing &timing, uint64_t items, bool intact, bool busy)
{
    Sample s;
    s.seconds = timing.seconds;
    s.value = static_cast<double>(items) / timing.seconds;
    s.on_cpu = busy ? timing.on_cpu : 1;
    s.error = timing.error ? timing.error : intact ? nullptr : "lost or changed";
    return s;
}

inline Sample failed_sample(const char *error)
{
    Sample s;
    s.error = error;
    return s;
}

// ---- one writer, one reader ------------------------------------------------------

template <class Q> Sample stream(const Setting &setting, uint64_t items)
{
    auto q = std::make_unique<Q>(setting);
    Sum sum;
    if (!q->ok())
        return failed_sample("cannot make it");
    Timing timing = run_together({ { setting.cpu_a,
                                     [&] {
                                         Writer<Q> writer(q.get(), 0);
                                         Idle idle(setting.style);
                                         writer.put_all(1, items, idle);
                                     } },
                                   { setting.cpu_b, [&] {
                                        Reader<Q> reader(q.get(), 0);
                                        Idle idle(setting.style);
                                        Seen seen;
                                        reader.take_all(items, idle, &seen);
                                        sum.value = seen.sum;
                                    } } });
    return rate_of(timing, items, sum.value == sum_of_numbers<Q>(items),
                   setting.style < Style::kYield);
}

// There through one ring, back through another.
template <class Q> Sample round_trip(const Setting &setting, uint64_t rounds)
{
    auto there = std::make_unique<Q>(setting), back = std::make_unique<Q>(setting);
    std::vector<uint64_t> took(rounds);
    bool same = true;
    if (!there->ok() || !back->ok())
        return failed_sample("cannot make it");
    auto player = [&] {
        Writer<Q> writer(there.get(), 0);
        Reader<Q> reader(back.get(), 0);
        Idle idle(setting.style);
        Seen seen;
        for (uint64_t i = 0; i < rounds; i++) {
            uint64_t start = ticks();
            if (!writer.put_all(i + 1, 1, idle) || !reader.take_all(1, idle, &seen))
                return;
            took[i] = ticks() - start;
            same &= seen.last == i + 1;
        }
    };
    auto wall = [&] {
        Reader<Q> reader(there.get(), 0);
        Writer<Q> writer(back.get(), 0);
        Idle idle(setting.style);
        Seen seen;
        for (uint64_t i = 0; i < rounds; i++)
            if (!reader.take_all(1, idle, &seen) || !writer.put_all(seen.last, 1, idle))
                return;
    };
    Timing timing = run_together({ { setting.cpu_a, player }, { setting.cpu_b, wall } });
    Sample s = rate_of(timing, rounds, same, setting.style < Style::kYield);
    set_latencies(&s, &took);
    return s;
}

// One item each 2 us, its number the time it was written at.
template <class Q> Sample light_load(const Setting &setting, uint64_t items)
{
    auto q = std::make_unique<Q>(setting);
    std::vector<uint64_t> took(items);
    auto apart = static_cast<uint64_t>(2000 / ns_per_tick());
    if (!q->ok())
        return failed_sample("cannot make it");
    Timing timing = run_together({ { setting.cpu_a,
                                     [&] {
                                         Writer<Q> writer(q.get(), 0);
                                         Idle idle(setting.style);
                                         uint64_t next = ticks();
                                         for (uint64_t i = 0; i < items; i++, next += apart) {
                                             while (ticks() < next)
                                                 belt_pause();
                                             if (!writer.put_all(ticks(), 1, idle))
                                                 return;
                                         }
                                     } },
                                   { setting.cpu_b, [&] {
                                        Reader<Q> reader(q.get(), 0);
                                        Idle idle(setting.style);
                                        Seen seen;
                                        for (uint64_t &one : took) {
                                            if (!reader.take_all(1, idle, &seen))
                                                return;
                                            uint64_t now = ticks();
                                            one = now > seen.last ? now - seen.last : 0;
                                        }
                                    } } });
    Sample s = rate_of(timing, items, true, setting.style < Style::kYield);
    set_latencies(&s, &took);
    return s;
}

// ---- several ---------------------------------------------------------------------

// Each of two threads pushes a batch, then pops a batch: its own, or the other's.
template <class Q> Sample push_and_pop(Setting setting, uint64_t items)
{
    setting.writers = setting.readers = 2;
    auto q = std::make_unique<Q>(setting);
    Sum sums[2];
    uint64_t each = std::max<uint64_t>(items / 2 / Q::kBatch, 1) * Q::kBatch;
    if (!q->ok())
        return failed_sample("cannot make it");
    auto player = [&](unsigned me) {
        Writer<Q> writer(q.get(), me);
        Reader<Q> reader(q.get(), me);
        Idle idle(setting.style);
        Seen seen;
        for (uint64_t i = 0; i < each; i += Q::kBatch)
            if (!writer.put_all(me * each + i + 1, Q::kBatch, idle) ||
                !reader.take_all(Q::kBatch, idle, &seen))
                break;
        sums[me].value = seen.sum;
    };
    Timing timing = run_together(
        { { setting.cpu_a, [&] { player(0); } }, { setting.cpu_b, [&] { player(1); } } });
    return rate_of(timing, 2 * each, sums[0].value + sums[1].value == sum_of_numbers<Q>(2 * each),
                   setting.style < Style::kYield);
}

// Reads until all readers together have `items`, or the ring says that it has ended.
template <class Q>
uint64_t take_share(Q *q, unsigned me, uint64_t items, Style style, uint64_t *taken_by_all)
{
    Reader<Q> reader(q, me);
    Idle idle(style);
    Seen seen;
    uint64_t untold = 0;
    for (;;) {
        uint32_t k = reader.take(Q::kBatch, &seen);
        untold += k;
        if (k > 0)
            continue;
        uint64_t taken = untold ? belt_fetch_add(taken_by_all, untold) + untold
                                : belt_load_relaxed(taken_by_all); // Relaxed: a count.
        if (taken == items || !reader.wait(idle))
            return seen.sum;
        untold = 0;
    }
}

// Two writers and two readers, one of each on either CPU: whoever spins in vain
// keeps the one it waits for from running.
template <class Q> Sample crowd(Setting setting, uint64_t items)
{
    setting.writers = setting.readers = 2;
    auto q = std::make_unique<Q>(setting);
    Sum sums[2], taken;
    uint64_t each = std::max<uint64_t>(items / 2, 1);
    if (!q->ok())
        return failed_sample("cannot make it");
    std::vector<Role> roles;
    for (unsigned me = 0; me < 2; me++) {
        roles.push_back({ me ? setting.cpu_b : setting.cpu_a, [&, me] {
                             Writer<Q> writer(q.get(), me);
                             Idle idle(setting.style);
                             writer.put_all(me * each + 1, each, idle);
                             writer.done();
                         } });
        roles.push_back({ me ? setting.cpu_a : setting.cpu_b, [&, me] {
                             sums[me].value =
                                 take_share(q.get(), me, 2 * each, setting.style, &taken.value);
                         } });
    }
    Timing timing = run_together(roles);
    return rate_of(timing, 2 * each, sums[0].value + sums[1].value == sum_of_numbers<Q>(2 * each),
                   false);
}

// ---- as cases --------------------------------------------------------------------

struct Streaming {
    template <class Q> static Sample take(const Setting &setting, uint64_t items)
    {
        return stream<Q>(setting, items);
    }
};
struct RoundTrips {
    template <class Q> static Sample take(const Setting &setting, uint64_t items)
    {
        return round_trip<Q>(setting, items);
    }
};
struct LightLoad {
    template <class Q> static Sample take(const Setting &setting, uint64_t items)
    {
        return light_load<Q>(setting, items);
    }
};
struct PushAndPop {
    template <class Q> static Sample take(const Setting &setting, uint64_t items)
    {
        return push_and_pop<Q>(setting, items);
    }
};
struct Crowd {
    template <class Q> static Sample take(const Setting &setting, uint64_t items)
    {
        return crowd<Q>(setting, items);
    }
};

template <class T, uint32_t Batch> struct Missing; // a peer that is not there
template <class Q> constexpr bool kIsThere = true;
template <class T, uint32_t Batch> constexpr bool kIsThere<Missing<T, Batch>> = false;

// What to try of a case; the best of it is measured.
struct Choice {
    std::vector<uint32_t> bytes;
    std::vector<Style> styles;
};

template <class Shape, class Q>
void add_case(Panel *panel, const char *impl, const Choice &choice, bool fifo = true)
{
    if constexpr (kIsThere<Q>)
        panel->cases.push_back(
            { impl, &Shape::template take<Q>, choice.bytes, choice.styles, fifo });
}

#endif
