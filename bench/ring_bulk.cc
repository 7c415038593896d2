// Table C': rings that do not fit the near caches.
#include "bench/ring_pairs.h"

namespace
{

template <uint32_t Size, uint32_t Batch> void add_loaded(Panels *panels)
{
    Panel panel = make_panel("Cbulk", "bulk", Size, Batch,
                             std::to_string(Size) + "-byte items, " + std::to_string(Batch) +
                                 " at a time, in 4 or 8 MiB");
    panel.limit = "rings/limit/stores_8MiB/64/1";
    panel.limit_times = 64.0 / Size;
    Choice choice = { { 4 * MiB, 8 * MiB }, kBusy };
    if constexpr (Batch == 1)
        add_singles<Streaming, Item<Size>>(&panel, choice);
    else
        add_batches<Item<Size>, Batch>(&panel, choice, choice);
    panels->all.push_back(panel);
}

template <uint32_t Size> void add_light(Panels *panels)
{
    Panel panel = make_panel("Cbulk", "bulk_light", Size, 1,
                             "latency of " + std::to_string(Size) + "-byte items, one each 2 us");
    panel.unit = Unit::kNs;
    panel.pilot = 200;
    panel.most = 15000;
    add_singles<LightLoad, Item<Size>>(&panel, { { 8 * MiB }, kBusy });
    panels->all.push_back(panel);
}

} // namespace

void add_bulk(Panels *panels)
{
    add_loaded<64, 1>(panels);
    add_loaded<64, 32>(panels);
    add_loaded<1024, 1>(panels);
    add_loaded<1024, 32>(panels);
    add_light<64>(panels);
    add_light<1024>(panels);
}
