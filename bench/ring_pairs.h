// One writer and one reader: the cases that tables of them have in common.
#ifndef BELT_RING_PAIRS_H
#define BELT_RING_PAIRS_H

#include "bench/ring_libraries.h"
#include "bench/ring_shapes.h"

template <class T, uint32_t Batch> using BeltCopy = BeltRing<T, Batch, BELT_SPSC>;
template <class T, uint32_t Batch>
using BeltSpansCopy = BeltRing<T, Batch, BELT_SPSC, BELT_BODY_SPANS>;
template <class T, uint32_t Batch>
using BeltSpans = BeltInPlace<T, Batch, BELT_SPSC, BELT_BODY_SPANS>;

const std::vector<Style> kBusy = { Style::kPause, Style::kSpin };

// What all tables of single items have.
template <class Shape, class T> void add_singles(Panel *panel, const Choice &choice)
{
    if constexpr (sizeof(T) <= BELT_INBAND_ITEM_MAX)
        add_case<Shape, BeltCopy<T, 1>>(panel, "belt", choice);
    else
        add_case<Shape, BeltSpans<T, 1>>(panel, "belt", choice);
    add_case<Shape, BeltSpansCopy<T, 1>>(panel, "belt_spans_copy", choice);
    add_case<Shape, CkSpsc<T, 1>>(panel, "ck", choice);
    add_case<Shape, RteSpsc<T, 1>>(panel, "rte", choice);
    add_case<Shape, BoostSpsc<T, 1>>(panel, "boost", choice);
    add_case<Shape, Moodycamel<T, 1>>(panel, "moodycamel", choice);
    add_case<Shape, TbbBounded<T, 1>>(panel, "tbb", choice);
    add_case<Shape, CachedRing<T, 1>>(panel, "cached", choice);
    add_case<Shape, VyukovPacked<T, 1>>(panel, "vyukov", choice);
    if constexpr (sizeof(T) == 8)
        add_case<Shape, FastForward<T, 1>>(panel, "fastforward_no_zero", choice);
    else
        add_case<Shape, RteSpscZc<T, 1>>(panel, "rte_zc", choice);
    add_case<Shape, MutexQueue<T, 1>>(panel, "mutex", choice);
}

template <class T, uint32_t Batch>
void add_batches(Panel *panel, const Choice &ours, const Choice &theirs)
{
    add_case<Streaming, BeltSpans<T, Batch>>(panel, "belt", ours);
    add_case<Streaming, BeltSpansCopy<T, Batch>>(panel, "belt_copy", ours);
    add_case<Streaming, RteSpscZc<T, Batch>>(panel, "rte_zc", theirs);
    add_case<Streaming, RteSpsc<T, Batch>>(panel, "rte", theirs);
    add_case<Streaming, BoostSpsc<T, Batch>>(panel, "boost", theirs);
    add_case<Streaming, Moodycamel<T, Batch>>(panel, "moodycamel", theirs);
    add_case<Streaming, CkSpsc<T, Batch>>(panel, "ck", theirs);
    add_case<Streaming, MutexQueue<T, Batch>>(panel, "mutex", theirs);
}

#endif
