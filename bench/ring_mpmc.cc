// Table E: rings for many writers and many readers.
#include "bench/ring_libraries.h"
#include "bench/ring_shapes.h"

namespace
{

// One at a time by push and pop, batches in place.
template <class T, uint32_t Batch, belt_kind Kind>
using Belt = std::conditional_t<Batch == 1, BeltRing<T, Batch, Kind>, BeltInPlace<T, Batch, Kind>>;

const std::vector<uint32_t> kBytes = { 8 * KiB, 16 * KiB, 64 * KiB };
constexpr bool kPerWriter = false;

// `ours` waits as it would by default where that matters, `theirs` as each does best.
template <class Shape, uint32_t Batch>
void add_all(Panel *panel, const Choice &ours, const Choice &theirs)
{
    using Word = Item<8>;
    add_case<Shape, Belt<Word, Batch, BELT_MPMC>>(panel, "belt_mpmc", ours);
    add_case<Shape, Belt<Word, Batch, BELT_MPMC_CRASH_UNSAFE>>(panel, "belt_mpmc_crash_unsafe",
                                                               ours);
    if constexpr (Batch > 1)
        add_case<Shape, BeltRing<Word, Batch, BELT_MPMC>>(panel, "belt_mpmc_copy", ours);
    add_case<Shape, Belt<Word, Batch, BELT_SHARDED>>(panel, "belt_sharded", ours, kPerWriter);
    add_case<Shape, CkMpmc<Word, Batch>>(panel, "ck", theirs);
    add_case<Shape, RteMpmc<Word, Batch>>(panel, "rte_mt", theirs);
    add_case<Shape, RteHts<Word, Batch>>(panel, "rte_hts", theirs);
    add_case<Shape, RteHtsZc<Word, Batch>>(panel, "rte_hts_zc", theirs);
    add_case<Shape, RteRts<Word, Batch>>(panel, "rte_rts", theirs);
    add_case<Shape, VyukovPacked<Word, Batch>>(panel, "vyukov", theirs);
    add_case<Shape, VyukovLines<Word, Batch>>(panel, "vyukov_lines", theirs);
    add_case<Shape, BoostQueue<Word, Batch>>(panel, "boost", theirs);
    add_case<Shape, Moodycamel<Word, Batch>>(panel, "moodycamel", theirs, kPerWriter);
    add_case<Shape, TbbBounded<Word, Batch>>(panel, "tbb", theirs);
    add_case<Shape, MutexQueue<Word, Batch>>(panel, "mutex", theirs);
}

Panel mpmc_panel(const char *shape, uint32_t batch, const std::string &title)
{
    return make_panel("E", shape, 8, batch,
                      "8-byte items, " + title + ", " + std::to_string(batch) + " at a time");
}

} // namespace

template <uint32_t Batch> static void add_pair(Panels *panels)
{
    Panel panel = mpmc_panel("mpmc", Batch, "1 writer and 1 reader");
    Choice busy = { kBytes, { Style::kPause, Style::kSpin } };
    panel.limit = "rings/limit/stores_16KiB/64/1";
    panel.limit_times = 4; // an item and the word that says whose turn it is
    add_all<Streaming, Batch>(&panel, busy, busy);
    panels->all.push_back(panel);
}

template <uint32_t Batch> static void add_each(Panels *panels)
{
    Panel panel = mpmc_panel("mpmc_each", Batch, "2 threads that push and then pop");
    Choice busy = { kBytes, { Style::kPause, Style::kSpin } };
    add_all<PushAndPop, Batch>(&panel, busy, busy);
    panels->all.push_back(panel);
}

template <uint32_t Batch> static void add_crowd(Panels *panels)
{
    Panel panel = mpmc_panel("mpmc_2w2r", Batch, "2 writers and 2 readers on 2 CPUs");
    panel.pilot = 4000;
    add_all<Crowd, Batch>(&panel, { kBytes, { Style::kOwn } },
                          { kBytes, { Style::kYield, Style::kPause } });
    panels->all.push_back(panel);
}

void add_mpmc(Panels *panels)
{
    add_pair<1>(panels);
    add_pair<32>(panels);
}

void add_mpmc_shared(Panels *panels)
{
    add_each<1>(panels);
    add_each<32>(panels);
    add_crowd<1>(panels);
    add_crowd<32>(panels);
}
