// Peers of other libraries, each there when its header was found (cmake/bench.cmake).
#ifndef BELT_RING_LIBRARIES_H
#define BELT_RING_LIBRARIES_H

#include "bench/ring_plain.h"

// Stands for a peer that is not there: add_case() leaves it out.
template <class T, uint32_t Batch> struct Missing {
};

// ---- Concurrency Kit: one at a time is all it has ----------------------------------

// Its header (0.7.1) is C only for returning `false` as a null pointer.
#define false 0
#include <ck_ring.h>
#undef false

enum class CkMode { kSpsc, kMpmc };

template <class T, uint32_t Batch, CkMode Mode> struct CkRing : RingBase<T, Batch> {
    explicit CkRing(const Setting &setting) : slots_(setting.bytes / sizeof(T))
    {
        ck_ring_init(&ring_, setting.bytes / sizeof(T));
    }
    bool ok() const
    {
        return slots_.ok();
    }
    template <class Tx> BELT_BENCH_INLINE uint32_t push(Tx &, const T *items, uint32_t n)
    {
        uint32_t k = 0;
        // What CK_RING_PROTOTYPE makes of a type.
        if constexpr (Mode == CkMode::kSpsc)
            while (k < n && _ck_ring_enqueue_sp(&ring_, &slots_[0], &items[k], sizeof(T), nullptr))
                k++;
        else
            while (k < n && _ck_ring_enqueue_mp(&ring_, &slots_[0], &items[k], sizeof(T), nullptr))
                k++;
        return k;
    }
    template <class Rx> BELT_BENCH_INLINE uint32_t pop(Rx &, T *items, uint32_t n)
    {
        uint32_t k = 0;
        if constexpr (Mode == CkMode::kSpsc)
            while (k < n && _ck_ring_dequeue_sc(&ring_, &slots_[0], &items[k], sizeof(T)))
                k++;
        else
            while (k < n && _ck_ring_dequeue_mc(&ring_, &slots_[0], &items[k], sizeof(T)))
                k++;
        return k;
    }

  private:
    alignas(kApart) ck_ring_t ring_;
    alignas(kApart) SlotArray<T> slots_;
};
template <class T, uint32_t Batch> using CkSpsc = CkRing<T, Batch, CkMode::kSpsc>;
template <class T, uint32_t Batch> using CkMpmc = CkRing<T, Batch, CkMode::kMpmc>;

// ---- DPDK ----------------------------------------------------------------------------

#ifdef BELT_BENCH_DPDK
#include <rte_config.h>
#include <rte_ring.h>
#include <rte_ring_elem.h>
#include <rte_ring_peek_zc.h>

template <class T, uint32_t Batch, rte_ring_sync_type Sync> struct RteRing : RingBase<T, Batch> {
    explicit RteRing(const Setting &setting) : mem_(sizeof(rte_ring) + setting.bytes)
    {
        if (mem_.made)
            init(setting.bytes / sizeof(T));
    }
    bool ok() const
    {
        return mem_.made;
    }
    template <class Tx> BELT_BENCH_INLINE uint32_t push(Tx &, const T *items, uint32_t n)
    {
        if constexpr (Batch == 1)
            return rte_ring_enqueue_elem(ring(), const_cast<T *>(items), sizeof(T)) == 0;
        else
            return rte_ring_enqueue_burst_elem(ring(), items, sizeof(T), n, nullptr);
    }
    template <class Rx> BELT_BENCH_INLINE uint32_t pop(Rx &, T *items, uint32_t n)
    {
        if constexpr (Batch == 1)
            return rte_ring_dequeue_elem(ring(), items, sizeof(T)) == 0;
        else
            return rte_ring_dequeue_burst_elem(ring(), items, sizeof(T), n, nullptr);
    }

  protected:
    rte_ring *ring()
    {
        return static_cast<rte_ring *>(mem_.base);
    }

  private:
    // As rte_ring_init() does, which would bring all of the EAL in.
    void init(uint32_t slots)
    {
        rte_ring *r = ring();
        r->size = slots;
        r->mask = slots - 1;
        r->capacity = r->mask;
        r->prod.sync_type = Sync;
        r->cons.sync_type = Sync;
        if (Sync == RTE_RING_SYNC_MT_RTS) {
            r->rts_prod.htd_max = r->capacity / 8;
            r->rts_cons.htd_max = r->capacity / 8;
        }
    }

    BeltMem mem_;
};
template <class T, uint32_t Batch> using RteSpsc = RteRing<T, Batch, RTE_RING_SYNC_ST>;
template <class T, uint32_t Batch> using RteMpmc = RteRing<T, Batch, RTE_RING_SYNC_MT>;
template <class T, uint32_t Batch> using RteHts = RteRing<T, Batch, RTE_RING_SYNC_MT_HTS>;
template <class T, uint32_t Batch> using RteRts = RteRing<T, Batch, RTE_RING_SYNC_MT_RTS>;

// Zero copy: both spans of a batch that wraps.
template <class T, uint32_t Batch, rte_ring_sync_type Sync>
struct RteInPlace : RteRing<T, Batch, Sync> {
    static constexpr bool kInPlace = true;
    using RteRing<T, Batch, Sync>::RteRing;

    template <class Tx, class F> BELT_BENCH_INLINE uint32_t put(Tx &, uint32_t n, F fill)
    {
        rte_ring_zc_data z;
        n = rte_ring_enqueue_zc_burst_elem_start(this->ring(), sizeof(T), n, &z, nullptr);
        if (n == 0)
            return 0;
        const uint32_t n1 = z.n1;
        auto *one = static_cast<T *>(z.ptr1), *two = static_cast<T *>(z.ptr2);
        for (uint32_t k = 0; k < n1; k++)
            fill(one + k, k);
        for (uint32_t k = n1; k < n; k++)
            fill(two + (k - n1), k);
        rte_ring_enqueue_zc_elem_finish(this->ring(), n);
        return n;
    }
    template <class Rx, class F> BELT_BENCH_INLINE uint32_t take(Rx &, uint32_t n, F use)
    {
        rte_ring_zc_data z;
        n = rte_ring_dequeue_zc_burst_elem_start(this->ring(), sizeof(T), n, &z, nullptr);
        if (n == 0)
            return 0;
        const uint32_t n1 = z.n1;
        auto *one = static_cast<const T *>(z.ptr1), *two = static_cast<const T *>(z.ptr2);
        for (uint32_t k = 0; k < n1; k++)
            use(one[k]);
        for (uint32_t k = n1; k < n; k++)
            use(two[k - n1]);
        rte_ring_dequeue_zc_elem_finish(this->ring(), n);
        return n;
    }
};
template <class T, uint32_t Batch> using RteSpscZc = RteInPlace<T, Batch, RTE_RING_SYNC_ST>;
template <class T, uint32_t Batch> using RteHtsZc = RteInPlace<T, Batch, RTE_RING_SYNC_MT_HTS>;
#else
template <class T, uint32_t Batch> using RteSpsc = Missing<T, Batch>;
template <class T, uint32_t Batch> using RteMpmc = Missing<T, Batch>;
template <class T, uint32_t Batch> using RteHts = Missing<T, Batch>;
template <class T, uint32_t Batch> using RteRts = Missing<T, Batch>;
template <class T, uint32_t Batch> using RteSpscZc = Missing<T, Batch>;
template <class T, uint32_t Batch> using RteHtsZc = Missing<T, Batch>;
#endif

// ---- Boost ---------------------------------------------------------------------------

#ifdef BELT_BENCH_BOOST
#include <boost/lockfree/queue.hpp>
#include <boost/lockfree/spsc_queue.hpp>

template <class T, uint32_t Batch> struct BoostSpsc : RingBase<T, Batch> {
    explicit BoostSpsc(const Setting &setting) : queue_(setting.bytes / sizeof(T)) {}
    template <class Tx> BELT_BENCH_INLINE uint32_t push(Tx &, const T *items, uint32_t n)
    {
        if constexpr (Batch == 1)
            return queue_.push(*items);
        else
            return static_cast<uint32_t>(queue_.push(items, n));
    }
    template <class Rx> BELT_BENCH_INLINE uint32_t pop(Rx &, T *items, uint32_t n)
    {
        if constexpr (Batch == 1)
            return queue_.pop(*items);
        else
            return static_cast<uint32_t>(queue_.pop(items, n));
    }

  private:
    boost::lockfree::spsc_queue<T> queue_;
};

template <class T, uint32_t Batch> struct BoostQueue : RingBase<T, Batch> {
    explicit BoostQueue(const Setting &setting) : queue_(setting.bytes / sizeof(T)) {}
    template <class Tx> BELT_BENCH_INLINE uint32_t push(Tx &, const T *items, uint32_t n)
    {
        uint32_t k = 0;
        while (k < n && queue_.bounded_push(items[k]))
            k++;
        return k;
    }
    template <class Rx> BELT_BENCH_INLINE uint32_t pop(Rx &, T *items, uint32_t n)
    {
        uint32_t k = 0;
        while (k < n && queue_.pop(items[k]))
            k++;
        return k;
    }

  private:
    boost::lockfree::queue<T> queue_;
};
#else
template <class T, uint32_t Batch> using BoostSpsc = Missing<T, Batch>;
template <class T, uint32_t Batch> using BoostQueue = Missing<T, Batch>;
#endif

// ---- moodycamel, with tokens; its order is per writer --------------------------------

#ifdef BELT_BENCH_MOODYCAMEL
#include <concurrentqueue/concurrentqueue.h>

template <class T, uint32_t Batch> struct Moodycamel : RingBase<T, Batch> {
    // Room for as many blocks as we ask for without allocating later.
    struct Traits : moodycamel::ConcurrentQueueDefaultTraits {
        static const size_t EXPLICIT_INITIAL_INDEX_SIZE = 1024;
    };
    using Queue = moodycamel::ConcurrentQueue<T, Traits>;
    using Tx = moodycamel::ProducerToken;
    using Rx = moodycamel::ConsumerToken;

    explicit Moodycamel(const Setting &setting)
        : queue_(setting.bytes / sizeof(T), setting.writers, 0)
    {
    }
    Tx tx(unsigned)
    {
        return Tx(queue_);
    }
    Rx rx(unsigned)
    {
        return Rx(queue_);
    }
    BELT_BENCH_INLINE uint32_t push(Tx &tx, const T *items, uint32_t n)
    {
        if constexpr (Batch == 1)
            return queue_.try_enqueue(tx, *items);
        else
            return queue_.try_enqueue_bulk(tx, items, n) ? n : 0;
    }
    BELT_BENCH_INLINE uint32_t pop(Rx &rx, T *items, uint32_t n)
    {
        if constexpr (Batch == 1)
            return queue_.try_dequeue(rx, *items);
        else
            return static_cast<uint32_t>(queue_.try_dequeue_bulk(rx, items, n));
    }

  private:
    Queue queue_;
};
#else
template <class T, uint32_t Batch> using Moodycamel = Missing<T, Batch>;
#endif

// ---- TBB -----------------------------------------------------------------------------

#ifdef BELT_BENCH_TBB
#include <oneapi/tbb/concurrent_queue.h>

template <class T, uint32_t Batch> struct TbbBounded : RingBase<T, Batch> {
    explicit TbbBounded(const Setting &setting)
    {
        queue_.set_capacity(static_cast<std::ptrdiff_t>(setting.bytes / sizeof(T)));
    }
    template <class Tx> BELT_BENCH_INLINE uint32_t push(Tx &, const T *items, uint32_t n)
    {
        uint32_t k = 0;
        while (k < n && queue_.try_push(items[k]))
            k++;
        return k;
    }
    template <class Rx> BELT_BENCH_INLINE uint32_t pop(Rx &, T *items, uint32_t n)
    {
        uint32_t k = 0;
        while (k < n && queue_.try_pop(items[k]))
            k++;
        return k;
    }

  private:
    tbb::concurrent_bounded_queue<T> queue_;
};
#else
template <class T, uint32_t Batch> using TbbBounded = Missing<T, Batch>;
#endif

#endif
