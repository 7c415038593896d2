// Peers that need no library: what one writes first, and three well-known rings
// written anew after their descriptions.
#ifndef BELT_RING_PLAIN_H
#define BELT_RING_PLAIN_H

#include <mutex>

#include "bench/ring_belt.h"

// Zeroed memory of huge pages where they fit, as our own rings get; `n` a power of two.
template <class Slot> class SlotArray
{
  public:
    explicit SlotArray(size_t n) : mem_(n * sizeof(Slot)), mask(n - 1) {}
    bool ok() const
    {
        return mem_.made;
    }
    Slot &operator[](uint64_t ticket)
    {
        return static_cast<Slot *>(mem_.base)[ticket & mask];
    }

  private:
    BeltMem mem_;

  public:
    const uint64_t mask;
};

// A bounded array under a mutex; a batch is moved in one critical section.
template <class T, uint32_t Batch> struct MutexQueue : RingBase<T, Batch> {
    explicit MutexQueue(const Setting &setting) : slots_(setting.bytes / sizeof(T)) {}
    bool ok() const
    {
        return slots_.ok();
    }
    template <class Tx> BELT_BENCH_INLINE uint32_t push(Tx &, const T *items, uint32_t n)
    {
        std::lock_guard<std::mutex> lock(mutex_);
        auto k =
            static_cast<uint32_t>(std::min<uint64_t>(n, slots_.mask + 1 - (pushed_ - popped_)));
        for (uint32_t i = 0; i < k; i++)
            slots_[pushed_++] = items[i];
        return k;
    }
    template <class Rx> BELT_BENCH_INLINE uint32_t pop(Rx &, T *items, uint32_t n)
    {
        std::lock_guard<std::mutex> lock(mutex_);
        auto k = static_cast<uint32_t>(std::min<uint64_t>(n, pushed_ - popped_));
        for (uint32_t i = 0; i < k; i++)
            items[i] = slots_[popped_++];
        return k;
    }

  private:
    std::mutex mutex_;
    uint64_t pushed_ = 0, popped_ = 0;
    SlotArray<T> slots_;
};

// Lamport's ring, each end with a copy of the other's cursor.
template <class T, uint32_t Batch> struct CachedRing : RingBase<T, Batch> {
    explicit CachedRing(const Setting &setting) : slots_(setting.bytes / sizeof(T)) {}
    bool ok() const
    {
        return slots_.ok();
    }
    template <class Tx> BELT_BENCH_INLINE uint32_t push(Tx &, const T *items, uint32_t)
    {
        uint64_t at = belt_load_relaxed(&tail_); // Relaxed: only we write it.
        if (at - head_seen_ > slots_.mask) {
            head_seen_ = belt_load_acquire(&head_); // pairs with the release in pop()
            if (at - head_seen_ > slots_.mask)
                return 0;
        }
        slots_[at] = *items;
        belt_store_release(&tail_, at + 1);
        return 1;
    }
    template <class Rx> BELT_BENCH_INLINE uint32_t pop(Rx &, T *item, uint32_t)
    {
        uint64_t at = belt_load_relaxed(&head_); // Relaxed: only we write it.
        if (at == tail_seen_) {
            tail_seen_ = belt_load_acquire(&tail_); // pairs with the release in push()
            if (at == tail_seen_)
                return 0;
        }
        *item = slots_[at];
        belt_store_release(&head_, at + 1);
        return 1;
    }

  private:
    alignas(kApart) uint64_t tail_ = 0;
    alignas(kApart) uint64_t head_seen_ = 0;
    alignas(kApart) uint64_t head_ = 0;
    alignas(kApart) uint64_t tail_seen_ = 0;
    alignas(kApart) SlotArray<T> slots_;
};

// Improved FastForward (Maffione et al.): 0 means free, so no item may be 0; the
// writer looks a line ahead, the reader clears whole lines behind itself.
template <class T, uint32_t Batch> struct FastForward : RingBase<T, Batch> {
    static_assert(sizeof(T) == 8 && Batch == 1, "one word at a time");
    static constexpr uint64_t kLine = 8;

    explicit FastForward(const Setting &setting) : slots_(setting.bytes / 8) {}
    bool ok() const
    {
        return slots_.ok();
    }
    template <class Tx> BELT_BENCH_INLINE uint32_t push(Tx &, const T *item, uint32_t)
    {
        if (write_ == checked_) {
            // Acquire: with the 0 come the reader's loads of the line before it.
            if (belt_load_acquire(&slots_[checked_ + kLine]) != 0)
                return 0;
            checked_ += kLine;
        }
        belt_store_release(&slots_[write_++], item->word[0]);
        return 1;
    }
    template <class Rx> BELT_BENCH_INLINE uint32_t pop(Rx &, T *item, uint32_t)
    {
        // Acquire: the value may stand for what was written before it.
        uint64_t value = belt_load_acquire(&slots_[read_]);
        if (value == 0)
            return 0;
        item->word[0] = value;
        read_++;
        for (; cleared_ + kLine < (read_ & ~(kLine - 1)); cleared_++)
            belt_store_release(&slots_[cleared_], 0);
        return 1;
    }

  private:
    alignas(kApart) uint64_t write_ = 0, checked_ = 0;
    alignas(kApart) uint64_t read_ = 0, cleared_ = 0;
    alignas(kApart) SlotArray<uint64_t> slots_;
};

// Vyukov's bounded queue for many: a sequence in each cell says whose turn it is.
template <class T> struct PackedCell {
    uint64_t sequence;
    T item;
};
template <class T> struct alignas(64) LineCell {
    uint64_t sequence;
    T item;
};

template <class T, uint32_t Batch, template <class> class Cell> struct Vyukov : RingBase<T, Batch> {
    explicit Vyukov(const Setting &setting) : cells_(setting.bytes / sizeof(T))
    {
        for (uint64_t i = 0; ok() && i <= cells_.mask; i++)
            cells_[i].sequence = i;
    }
    bool ok() const
    {
        return cells_.ok();
    }
    template <class Tx> BELT_BENCH_INLINE uint32_t push(Tx &, const T *items, uint32_t n)
    {
        uint32_t k = 0;
        while (k < n && push_one(items[k]))
            k++;
        return k;
    }
    template <class Rx> BELT_BENCH_INLINE uint32_t pop(Rx &, T *items, uint32_t n)
    {
        uint32_t k = 0;
        while (k < n && pop_one(&items[k]))
            k++;
        return k;
    }

  private:
    // The cell whose sequence is `turn` past the cursor, which moves on; else nullptr.
    Cell<T> *turn_of(uint64_t *cursor, uint64_t turn, uint64_t *at)
    {
        *at = belt_load_relaxed(cursor); // Relaxed: a guess, which belt_cas verifies.
        for (;;) {
            Cell<T> *cell = &cells_[*at];
            // Acquire: with the turn comes the cell; pairs with both releases below.
            auto ahead = static_cast<int64_t>(belt_load_acquire(&cell->sequence) - (*at + turn));
            if (ahead < 0)
                return nullptr;
            if (ahead > 0)
                *at = belt_load_relaxed(cursor);
            else if (belt_cas(cursor, at, *at + 1))
                return cell;
        }
    }
    bool push_one(const T &item)
    {
        uint64_t at;
        Cell<T> *cell = turn_of(&tail_, 0, &at);
        if (!cell)
            return false;
        cell->item = item;
        belt_store_release(&cell->sequence, at + 1);
        return true;
    }
    bool pop_one(T *item)
    {
        uint64_t at;
        Cell<T> *cell = turn_of(&head_, 1, &at);
        if (!cell)
            return false;
        *item = cell->item;
        belt_store_release(&cell->sequence, at + cells_.mask + 1);
        return true;
    }

    alignas(kApart) uint64_t tail_ = 0;
    alignas(kApart) uint64_t head_ = 0;
    alignas(kApart) SlotArray<Cell<T>> cells_;
};
template <class T, uint32_t Batch> using VyukovPacked = Vyukov<T, Batch, PackedCell>;
template <class T, uint32_t Batch> using VyukovLines = Vyukov<T, Batch, LineCell>;

#endif
