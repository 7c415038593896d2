// Ours, in every kind: by copy (push, pop, push_n, pop_n) or in place (claim,
// publish, peek, release).
#ifndef BELT_RING_BELT_H
#define BELT_RING_BELT_H

#include <algorithm>
#include <vector>

#include "bench/ring_ends.h"
#include "rings/ring.h"

struct BeltMem : belt_mem {
    explicit BeltMem(size_t size) : belt_mem(belt_mem_of(nullptr, 0))
    {
        made = belt_mem_map(this, size, BELT_MEM_PRIVATE) == 0 && belt_mem_populate(this) == 0;
    }
    ~BeltMem()
    {
        belt_mem_unmap(this);
    }
    BeltMem(const BeltMem &) = delete;
    BeltMem &operator=(const BeltMem &) = delete;
    bool made;
};

template <class T, uint32_t Batch, belt_kind Kind, belt_body Body = BELT_BODY_AUTO>
struct BeltRing : RingBase<T, Batch> {
    using Tx = belt_tx;
    using Rx = belt_rx;

    explicit BeltRing(const Setting &setting)
        : conf_(conf_of(setting)), mem_(belt_ring_footprint(&conf_)), txs_(setting.writers),
          rxs_(setting.readers)
    {
        ok_ = mem_.made && belt_ring_format(mem_, &conf_) == 0;
        for (belt_tx &tx : txs_)
            ok_ = ok_ && belt_tx_open(&tx, mem_) == 0 && ++txs_open_;
        for (belt_rx &rx : rxs_)
            ok_ = ok_ && belt_rx_open(&rx, mem_) == 0 && ++rxs_open_;
    }
    ~BeltRing()
    {
        for (size_t i = 0; i < txs_open_; i++)
            belt_tx_leave(&txs_[i]);
        for (size_t i = 0; i < rxs_open_; i++)
            belt_rx_leave(&rxs_[i]);
    }

    bool ok() const
    {
        return ok_;
    }
    Tx tx(unsigned writer)
    {
        return txs_[writer];
    }
    Rx rx(unsigned reader)
    {
        return rxs_[reader];
    }

    BELT_BENCH_INLINE uint32_t push(Tx &tx, const T *items, uint32_t n)
    {
        if constexpr (Batch == 1)
            return belt_push(&tx, items, sizeof *items);
        else
            return belt_push_n(&tx, items, n, sizeof *items);
    }
    BELT_BENCH_INLINE uint32_t pop(Rx &rx, T *items, uint32_t n)
    {
        if constexpr (Batch == 1)
            return belt_pop(&rx, items, sizeof *items);
        else
            return belt_pop_n(&rx, items, n, sizeof *items);
    }

    bool wait_tx(Tx &tx, Idle &idle)
    {
        if (idle.style() < Style::kOwn)
            return idle.step();
        int rc = belt_tx_wait(&tx, belt_deadline(kLongest));
        return rc == 0 || (rc == -ETIMEDOUT && idle.step());
    }
    bool wait_rx(Rx &rx, Idle &idle)
    {
        if (idle.style() < Style::kOwn)
            return idle.step();
        int rc = belt_rx_wait(&rx, belt_deadline(kLongest));
        return rc == 0 || (rc == -ETIMEDOUT && idle.step());
    }
    void done(Tx &tx)
    {
        belt_close(&tx);
    }

  private:
    static constexpr uint64_t kLongest = 1000 * 1000 * 1000;

    static belt_ring_conf conf_of(const Setting &setting)
    {
        belt_ring_conf conf = {};
        conf.size = sizeof conf;
        conf.item_size = sizeof(T);
        conf.items = setting.bytes / sizeof(T);
        conf.kind = Kind;
        conf.wait = setting.style == Style::kSleep ? BELT_WAIT_BLOCK : BELT_WAIT_BACKOFF;
        conf.body = Body;
        conf.batch = Batch;
        conf.writers = setting.writers;
        conf.readers = setting.readers;
        return conf;
    }

    belt_ring_conf conf_;
    BeltMem mem_;
    std::vector<belt_tx> txs_;
    std::vector<belt_rx> rxs_;
    size_t txs_open_ = 0, rxs_open_ = 0;
    bool ok_;
};

template <class T, uint32_t Batch, belt_kind Kind, belt_body Body = BELT_BODY_AUTO>
struct BeltInPlace : BeltRing<T, Batch, Kind, Body> {
    static constexpr bool kInPlace = true;
    // Slots lie without gaps, but for those with a word of their own (MPMC).
    static constexpr bool kDense = Kind != BELT_MPMC && Kind != BELT_MPMC_CRASH_UNSAFE;
    using BeltRing<T, Batch, Kind, Body>::BeltRing;

    template <class F> BELT_BENCH_INLINE uint32_t put(belt_tx &tx, uint32_t n, F fill)
    {
        belt_slots s = belt_claim(&tx, n);
        size_t step = kDense ? sizeof(T) : tx.slot_size;
        auto *at = static_cast<char *>(s.first);
        for (uint32_t k = 0; k < s.count; k++)
            fill(reinterpret_cast<T *>(at + k * step), k);
        if (s.count > 0)
            belt_publish(&tx, s.count);
        return s.count;
    }

    template <class F> BELT_BENCH_INLINE uint32_t take(belt_rx &rx, uint32_t n, F use)
    {
        belt_slots s = belt_peek(&rx, n);
        size_t step = kDense ? sizeof(T) : rx.slot_size;
        auto *at = static_cast<const char *>(s.first);
        for (uint32_t k = 0; k < s.count; k++)
            use(*reinterpret_cast<const T *>(at + k * step));
        if (s.count > 0)
            belt_release(&rx, s.count);
        return s.count;
    }
};

#endif
