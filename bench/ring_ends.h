// The two ends of any implementation Q, which is:
//
//   Q(setting)                       makes it; ok() false: it could not
//   Q::Item, Q::kBatch               what it moves, at most how many a call
//   Tx tx(i), Rx rx(i)               an end, for the stack of the thread that uses it
//   push(tx, items, n), pop(rx, items, n)      by copy: how many; or, when kInPlace,
//   put(tx, n, fill), take(rx, n, use)         calls fill(slot, k) or use(slot) for each
//   bool wait_tx(tx, idle), wait_rx(rx, idle)  false: it has ended, or give up
//   done(tx)                         this writer sends no more
#ifndef BELT_RING_ENDS_H
#define BELT_RING_ENDS_H

#include <algorithm>

#include "bench/ring_case.h"
#include "rings/atomic.h"

// Hot calls keep what they count in the caller's registers: an end whose address a
// library has seen lies in memory, and so would all that lies beside it.
#define BELT_BENCH_INLINE __attribute__((always_inline)) inline

template <uint32_t Size> struct Item {
    static_assert(Size % 8 == 0, "whole words");
    uint64_t word[Size / 8];
};

// An item says its number in every word.
template <class T> inline void fill_item(T *item, uint64_t value)
{
    for (uint64_t &word : item->word)
        word = value;
}

template <class T> inline uint64_t sum_of_item(const T &item)
{
    uint64_t sum = 0;
    for (uint64_t word : item.word)
        sum += word;
    return sum;
}

// What most implementations have in common.
template <class T, uint32_t Batch> struct RingBase {
    using Item = T;
    static constexpr uint32_t kBatch = Batch;
    static constexpr bool kInPlace = false;
    struct Tx {
    };
    struct Rx {
    };
    bool ok() const
    {
        return true;
    }
    Tx tx(unsigned)
    {
        return {};
    }
    Rx rx(unsigned)
    {
        return {};
    }
    template <class End> bool wait_tx(End &, Idle &idle)
    {
        return idle.step();
    }
    template <class End> bool wait_rx(End &, Idle &idle)
    {
        return idle.step();
    }
    template <class End> void done(End &) {}
};

template <class Q> class Writer
{
  public:
    Writer(Q *q, unsigned number) : q_(q), tx_(q->tx(number)) {}

    // Some of the items `first` to `first` + n - 1: how many. Copies that did not fit
    // are kept and go first in the next call.
    BELT_BENCH_INLINE uint32_t put(uint64_t first, uint32_t n)
    {
        if constexpr (Q::kInPlace) {
            return q_->put(
                tx_,
                n, [first](typename Q::Item * slot, uint32_t k) __attribute__((always_inline)) {
                    fill_item(slot, first + k);
                });
        } else if constexpr (Q::kBatch == 1) {
            typename Q::Item item;
            fill_item(&item, first);
            return q_->push(tx_, &item, 1);
        } else {
            if (at_ == end_) {
                for (uint32_t k = 0; k < n; k++)
                    fill_item(&items_[k], first + k);
                at_ = 0;
                end_ = n;
            }
            uint32_t pushed = q_->push(tx_, items_ + at_, end_ - at_);
            at_ += pushed;
            return pushed;
        }
    }

    // All of them. False: gave up.
    BELT_BENCH_INLINE bool put_all(uint64_t first, uint64_t n, Idle &idle)
    {
        for (uint64_t i = 0; i < n;) {
            uint32_t k = put(first + i, at_most(n - i));
            if (__builtin_expect(k == 0, 0) && !wait(idle))
                return false;
            i += k;
        }
        return true;
    }

    bool wait(Idle &idle)
    {
        return q_->wait_tx(tx_, idle);
    }
    void done()
    {
        q_->done(tx_);
    }

  private:
    static uint32_t at_most(uint64_t left)
    {
        return Q::kBatch == 1 ? 1 : static_cast<uint32_t>(std::min<uint64_t>(Q::kBatch, left));
    }

    Q *q_;
    typename Q::Tx tx_;
    uint32_t at_ = 0, end_ = 0;
    typename Q::Item items_[Q::kInPlace ? 1 : Q::kBatch];
};

struct Seen {
    uint64_t sum = 0;  // of all words
    uint64_t last = 0; // the last item's number, when items come one at a time
};

template <class Q> class Reader
{
  public:
    Reader(Q *q, unsigned number) : q_(q), rx_(q->rx(number)) {}

    BELT_BENCH_INLINE uint32_t take(uint32_t n, Seen *seen)
    {
        if constexpr (Q::kInPlace) {
            Seen own = *seen;
            uint32_t taken = q_->take(
                rx_, n, [&own](const typename Q::Item &item) __attribute__((always_inline)) {
                    see(item, &own);
                });
            *seen = own;
            return taken;
        } else if constexpr (Q::kBatch == 1) {
            typename Q::Item item;
            asm("" : "=m"(item)); // gcc does not see that what was popped was written
            uint32_t popped = q_->pop(rx_, &item, 1);
            if (popped > 0)
                see(item, seen);
            return popped;
        } else {
            uint32_t popped = q_->pop(rx_, items_, n);
            for (uint32_t k = 0; k < popped; k++)
                see(items_[k], seen);
            return popped;
        }
    }

    // So many. False: gave up.
    BELT_BENCH_INLINE bool take_all(uint64_t n, Idle &idle, Seen *seen)
    {
        Seen own = *seen;
        uint64_t i = 0;
        while (i < n) {
            uint32_t k = take(at_most(n - i), &own);
            if (__builtin_expect(k == 0, 0) && !wait(idle))
                break;
            i += k;
        }
        *seen = own;
        return i == n;
    }

    bool wait(Idle &idle)
    {
        return q_->wait_rx(rx_, idle);
    }

  private:
    static uint32_t at_most(uint64_t left)
    {
        return Q::kBatch == 1 ? 1 : static_cast<uint32_t>(std::min<uint64_t>(Q::kBatch, left));
    }
    static BELT_BENCH_INLINE void see(const typename Q::Item &item, Seen *seen)
    {
        seen->sum += sum_of_item(item);
        if constexpr (Q::kBatch == 1) // it would keep loops over batches from vectors
            seen->last = item.word[0];
    }

    Q *q_;
    typename Q::Rx rx_;
    typename Q::Item items_[Q::kInPlace ? 1 : Q::kBatch];
};

#endif
