// Tables A to D: one writer, one reader.
#include "bench/ring_pairs.h"

namespace
{

// Table A.
void add_words(Panels *panels)
{
    Panel panel = make_panel("A", "spsc", 8, 1, "8-byte items, one at a time");
    panel.limit = "rings/limit/stores_16KiB/64/1";
    panel.limit_times = 7; // a line of 64 bytes: 7 items and what says that they are there
    add_singles<Streaming, Item<8>>(&panel, { { 16 * KiB, 64 * KiB }, kBusy });
    panels->all.push_back(panel);
}

// Table B.
template <uint32_t Batch> void add_word_batches(Panels *panels)
{
    Panel panel =
        make_panel("B", "spsc", 8, Batch,
                   "8-byte items, " + std::to_string(Batch) + " at a time, ours in 16 KiB");
    panel.limit = "rings/limit/stores_16KiB/64/1";
    panel.limit_times = 8;
    panel.pilot = 200000;
    add_batches<Item<8>, Batch>(&panel, { { 16 * KiB }, kBusy }, { { 16 * KiB, 64 * KiB }, kBusy });
    panels->all.push_back(panel);
}

// Table C: the same footprint for all.
template <uint32_t Batch> void add_lines(Panels *panels, const char *shape, uint32_t bytes)
{
    std::string footprint = std::to_string(bytes / KiB) + "KiB";
    Panel panel =
        make_panel("C", shape, 64, Batch,
                   "64-byte items, " + std::to_string(Batch) + " at a time, in " + footprint);
    panel.limit = "rings/limit/stores_" + footprint + "/64/1";
    Choice choice = { { bytes }, kBusy };
    if constexpr (Batch == 1)
        add_singles<Streaming, Item<64>>(&panel, choice);
    else
        add_batches<Item<64>, Batch>(&panel, choice, choice);
    panels->all.push_back(panel);
}

// Table D, at the settings of table A.
void add_round_trips(Panels *panels)
{
    Panel panel = make_panel("D", "round_trip", 8, 1, "there and back through two rings");
    panel.unit = Unit::kNs;
    panel.limit = "rings/limit/line/8/1";
    panel.pilot = 200;
    panel.most = 400000;
    add_singles<RoundTrips, Item<8>>(&panel, { { 16 * KiB, 64 * KiB }, kBusy });
    panels->all.push_back(panel);
}

} // namespace

void add_spsc(Panels *panels)
{
    add_words(panels);
    add_word_batches<32>(panels);
    add_word_batches<64>(panels);
    add_word_batches<256>(panels);
    add_lines<1>(panels, "spsc", 64 * KiB);
    add_lines<32>(panels, "spsc", 64 * KiB);
    add_lines<64>(panels, "spsc", 64 * KiB);
    add_lines<256>(panels, "spsc", 64 * KiB);
    add_lines<1>(panels, "spsc_16KiB", 16 * KiB);
    add_lines<32>(panels, "spsc_16KiB", 16 * KiB);
    add_round_trips(panels);
}
