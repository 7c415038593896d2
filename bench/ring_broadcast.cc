// One writer, three readers that each want every item: a ring that all three read
// in place, against a ring for each. What counts is CPU time an item, of all four
// threads: the readers share a CPU, and who waits sleeps or yields.
#include "bench/ring_libraries.h"
#include "bench/ring_shapes.h"

namespace
{

constexpr unsigned kReaders = 3;

// Of a kind that serves all readers by itself.
template <class Q> class OneRing
{
  public:
    using Ring = Q;

    explicit OneRing(Setting setting) : ring_((setting.readers = kReaders, setting)) {}
    bool ok() const
    {
        return ring_.ok();
    }
    void write(uint64_t items, Style style)
    {
        Writer<Q> writer(&ring_, 0);
        Idle idle(style);
        writer.put_all(1, items, idle);
    }
    uint64_t read(unsigned reader, uint64_t items, Style style)
    {
        Reader<Q> end(&ring_, reader);
        Idle idle(style);
        Seen seen;
        end.take_all(items, idle, &seen);
        return seen.sum;
    }

  private:
    Q ring_;
};

// The writer gives each of them a batch, then the next.
template <class Q> class ThreeRings
{
  public:
    using Ring = Q;

    explicit ThreeRings(const Setting &setting)
    {
        for (auto &ring : rings_)
            ring = std::make_unique<Q>(setting);
    }
    bool ok() const
    {
        return std::all_of(rings_, rings_ + kReaders, [](auto &ring) { return ring->ok(); });
    }
    void write(uint64_t items, Style style)
    {
        Writer<Q> writers[kReaders] = { { rings_[0].get(), 0 },
                                        { rings_[1].get(), 0 },
                                        { rings_[2].get(), 0 } };
        Idle idle(style);
        for (uint64_t i = 0; i < items; i += Q::kBatch)
            for (Writer<Q> &writer : writers)
                if (!writer.put_all(i + 1, std::min<uint64_t>(Q::kBatch, items - i), idle))
                    return;
    }
    uint64_t read(unsigned reader, uint64_t items, Style style)
    {
        Reader<Q> end(rings_[reader].get(), 0);
        Idle idle(style);
        Seen seen;
        end.take_all(items, idle, &seen);
        return seen.sum;
    }

  private:
    std::unique_ptr<Q> rings_[kReaders];
};

struct Fanned {
    template <class Fan> static Sample take(const Setting &setting, uint64_t items)
    {
        auto fan = std::make_unique<Fan>(setting);
        Sum sums[kReaders];
        uint64_t right = sum_of_numbers<typename Fan::Ring>(items);
        if (!fan->ok())
            return failed_sample("cannot make it");
        std::vector<Role> roles = { { setting.cpu_a, [&] { fan->write(items, setting.style); } } };
        for (unsigned i = 0; i < kReaders; i++)
            roles.push_back(
                { setting.cpu_b, [&, i] { sums[i].value = fan->read(i, items, setting.style); } });
        Timing timing = run_together(roles);
        Sample s = rate_of(
            timing, items,
            std::all_of(sums, sums + kReaders, [&](const Sum &sum) { return sum.value == right; }),
            false);
        s.value = timing.cpu_seconds * 1e9 / static_cast<double>(items);
        return s;
    }
};

// Three rings of a peer that is not there are not there either.
template <class Q> void add_three(Panel *panel, const char *impl, const Choice &choice)
{
    if constexpr (kIsThere<Q>)
        add_case<Fanned, ThreeRings<Q>>(panel, impl, choice);
}

template <uint32_t Size, uint32_t Batch> void add_fans(Panels *panels)
{
    using T = Item<Size>;
    using Spans = BeltInPlace<T, Batch, BELT_SPSC, BELT_BODY_SPANS>;
    Panel panel = make_panel("broadcast", "broadcast3", Size, Batch,
                             "CPU time an item to 3 readers, " + std::to_string(Size) +
                                 "-byte items, " + std::to_string(Batch) + " at a time");
    panel.unit = Unit::kNs;
    Choice own = { { 16 * KiB, 64 * KiB }, { Style::kOwn } };
    Choice theirs = { own.bytes, { Style::kYield } };
    add_case<Fanned, OneRing<BeltInPlace<T, Batch, BELT_BROADCAST>>>(&panel, "belt_broadcast", own);
    add_case<Fanned, ThreeRings<Spans>>(&panel, "three_belts", own);
    add_three<RteSpscZc<T, Batch>>(&panel, "three_rte_zc", theirs);
    add_three<CkSpsc<T, Batch>>(&panel, "three_ck", theirs);
    add_three<BoostSpsc<T, Batch>>(&panel, "three_boost", theirs);
    panels->all.push_back(panel);
}

} // namespace

void add_broadcast(Panels *panels)
{
    add_fans<8, 32>(panels);
    add_fans<64, 32>(panels);
    add_fans<256, 8>(panels);
}
