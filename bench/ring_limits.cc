// What the machine itself gives: bounds of the other tables, in the same run.
#include <cstring>

#include "bench/ring_plain.h"
#include "bench/ring_shapes.h"

namespace
{

// Lines handed over a quarter of the ring at a time: next to no protocol is left.
Sample stream_of_stores(const Setting &setting, uint64_t lines)
{
    using Line = Item<64>;
    SlotArray<Line> ring(setting.bytes / sizeof(Line));
    uint64_t quarter = (ring.mask + 1) / 4, all = std::max(lines / quarter, UINT64_C(1)) * quarter;
    Sum written, read, sum;
    if (!ring.ok())
        return failed_sample("cannot make it");
    auto write = [&] {
        Idle idle(setting.style);
        for (uint64_t i = 0; i < all; i += quarter) {
            // Acquire: the reader's loads of this quarter, a lap ago, are over.
            while (i + quarter - belt_load_acquire(&read.value) > ring.mask + 1)
                if (!idle.step())
                    return;
            Line *at = &ring[i];
            for (uint64_t k = 0; k < quarter; k++)
                fill_item(&at[k], i + k + 1);
            belt_store_release(&written.value, i + quarter);
        }
    };
    auto take = [&] {
        Idle idle(setting.style);
        uint64_t total = 0;
        for (uint64_t i = 0; i < all; i += quarter) {
            // Acquire: the writer's stores of this quarter.
            while (belt_load_acquire(&written.value) == i)
                if (!idle.step())
                    return;
            const Line *at = &ring[i];
            for (uint64_t k = 0; k < quarter; k++)
                total += sum_of_item(at[k]);
            belt_store_release(&read.value, i + quarter);
        }
        sum.value = total;
    };
    Timing timing = run_together({ { setting.cpu_a, write }, { setting.cpu_b, take } });
    return rate_of(timing, all, sum.value == all * (all + 1) / 2 * 8, true);
}

// Round trips of bare words: on a line each way, or both ways on the same line.
Sample bounce(const Setting &setting, uint64_t rounds, bool same_line)
{
    Sum lines[2];
    uint64_t *there = &lines[0].value, *back = same_line ? there : &lines[1].value;
    auto play = [&](uint64_t *own, const uint64_t *other, uint64_t add, uint64_t wait_for) {
        Idle idle(setting.style);
        for (uint64_t i = 0; i < rounds; i++) {
            // Acquire and release as in a ring; the words carry nothing else.
            while (belt_load_acquire(other) != 2 * i + wait_for)
                if (!idle.step())
                    return;
            belt_store_release(own, 2 * i + add);
        }
    };
    // The first writes odd numbers and waits for even ones.
    Timing timing = run_together({ { setting.cpu_a, [&] { play(there, back, 1, 0); } },
                                   { setting.cpu_b, [&] { play(back, there, 2, 1); } } });
    Sample s = rate_of(timing, rounds, true, true);
    s.value = s.p50 = timing.seconds * 1e9 / static_cast<double>(rounds);
    return s;
}

// One thread; bytes a second, those of the source.
Sample copy(const Setting &setting, uint64_t bytes)
{
    std::vector<char> from(setting.bytes, 1), to(setting.bytes);
    uint64_t rounds = std::max(bytes / setting.bytes, UINT64_C(1));
    auto work = [&] {
        for (uint64_t i = 0; i < rounds; i++) {
            from[0] = static_cast<char>(i);
            memcpy(to.data(), from.data(), setting.bytes);
            asm volatile("" : : "r"(to.data()) : "memory");
        }
    };
    Timing timing = run_together({ { setting.cpu_a, work } });
    return rate_of(timing, rounds * setting.bytes, to == from, true);
}

std::string size_name(uint32_t bytes)
{
    return bytes < MiB ? std::to_string(bytes / KiB) + "KiB" : std::to_string(bytes / MiB) + "MiB";
}

Panel limit_panel(const char *title, uint32_t item, Unit unit)
{
    Panel panel = make_panel("limits", "limit", item, 1, title);
    panel.unit = unit;
    return panel;
}

} // namespace

void add_limits(Panels *panels)
{
    Panel lines = limit_panel("round trip of bare lines", 8, Unit::kNs);
    lines.pilot = 2000;
    for (bool same : { false, true })
        lines.cases.push_back({ same ? "same_line" : "line",
                                [same](const Setting &setting, uint64_t rounds) {
                                    return bounce(setting, rounds, same);
                                },
                                { 64 },
                                { Style::kPause, Style::kSpin } });
    panels->all.push_back(lines);

    Panel stores =
        limit_panel("64-byte lines written here and read there, by footprint", 64, Unit::kItems);
    for (uint32_t bytes : { 16 * KiB, 64 * KiB, 256 * KiB, MiB, 4 * MiB, 8 * MiB })
        stores.cases.push_back({ "stores_" + size_name(bytes),
                                 stream_of_stores,
                                 { bytes },
                                 { Style::kPause, Style::kSpin } });
    panels->all.push_back(stores);

    Panel copies = limit_panel("memcpy, by the size of one side", 1, Unit::kBytes);
    copies.pilot = 1 << 26;
    copies.most = UINT64_C(1) << 36;
    for (uint32_t bytes : { 16 * KiB, 512 * KiB, 64 * MiB })
        copies.cases.push_back(
            { "memcpy_" + size_name(bytes), copy, { bytes }, { Style::kPause } });
    panels->all.push_back(copies);
}
