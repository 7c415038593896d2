/* rings/<shape>/<impl>/<item bytes>/<batch>: items a second from one pinned
 * thread to another. Each repetition is one sample of some 30 ms with the
 * distance of the two CPUs measured before and after it; "far" samples are
 * taken again a few times. ck_ring and a mutex queue run beside ours, all
 * repetitions shuffled together (bench/main.cc). */
#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "bench/calibrate.h"
#include "bench/rings_ck.h"
#include "rings/ring.h"

namespace
{

/* Slots in all: 64 KiB of items for one at a time, the footprint at which
 * every peer was best; 16 KiB, within L1, for spans. */
constexpr uint32_t kSingles = 64 << 10, kSpans = 16 << 10;
constexpr int kRepetitions = 15, kTries = 4;

/* The items are 1 to n, in every word of them. */
template <uint32_t Size> struct Item {
    uint64_t word[Size / 8];
};

template <uint32_t Size> void fill(Item<Size> *item, uint64_t value)
{
    for (uint64_t &word : item->word)
        word = value;
}

template <uint32_t Size> uint64_t sum_of(const Item<Size> &item)
{
    uint64_t sum = 0;
    for (uint64_t word : item.word)
        sum += word;
    return sum;
}

/* The loops are inside, so that the call through the table costs nothing. */
struct Queue {
    virtual ~Queue() = default;
    virtual bool ok() const = 0;
    virtual void produce(uint64_t n) = 0;     /* one thread */
    virtual uint64_t consume(uint64_t n) = 0; /* another; the sum of all words */
};

template <uint32_t Size> struct Belt : Queue {
    explicit Belt(belt_kind kind, uint32_t bytes)
    {
        belt_ring_conf conf = {};
        conf.size = sizeof conf;
        conf.kind = kind;
        conf.item_size = Size;
        conf.items = bytes / Size;
        ok_ = belt_mem_map(&mem_, belt_ring_footprint(&conf), BELT_MEM_PRIVATE) == 0 &&
              belt_mem_populate(&mem_) == 0 && belt_ring_format(mem_, &conf) == 0 &&
              belt_tx_open(&tx_, mem_) == 0 && belt_rx_open(&rx_, mem_) == 0;
    }
    ~Belt() override
    {
        belt_mem_unmap(&mem_);
    }
    bool ok() const override
    {
        return ok_;
    }

    void produce(uint64_t n) override
    {
        belt_tx tx = tx_; /* on this thread's stack: no line shared with the other end */
        Item<Size> item;
        for (uint64_t i = 1; i <= n; i++) {
            fill(&item, i);
            while (!belt_push(&tx, &item, sizeof item))
                belt_pause();
        }
    }

    uint64_t consume(uint64_t n) override
    {
        belt_rx rx = rx_;
        Item<Size> item = {};
        uint64_t sum = 0;
        for (uint64_t i = 0; i < n; i++) {
            while (!belt_pop(&rx, &item, sizeof item))
                belt_pause();
            sum += sum_of(item);
        }
        return sum;
    }

  protected:
    bool ok_ = false;
    belt_mem mem_ = belt_mem_of(nullptr, 0);
    belt_tx tx_;
    belt_rx rx_;
};

template <uint32_t Size, uint32_t Batch> struct BeltSpans : Belt<Size> {
    BeltSpans() : Belt<Size>(BELT_SPSC, kSpans) {}

    void produce(uint64_t n) override
    {
        belt_tx tx = this->tx_;
        for (uint64_t i = 1; i <= n;) {
            belt_slots s = belt_claim(&tx, std::min<uint64_t>(Batch, n + 1 - i));
            if (s.count == 0)
                belt_pause();
            auto *items = static_cast<Item<Size> *>(s.first);
            for (uint32_t k = 0; k < s.count; k++)
                fill(&items[k], i + k);
            belt_publish(&tx, s.count);
            i += s.count;
        }
    }

    uint64_t consume(uint64_t n) override
    {
        belt_rx rx = this->rx_;
        uint64_t sum = 0;
        for (uint64_t i = 0; i < n;) {
            belt_slots s = belt_peek(&rx, Batch);
            if (s.count == 0)
                belt_pause();
            auto *items = static_cast<const Item<Size> *>(s.first);
            for (uint32_t k = 0; k < s.count; k++)
                sum += sum_of(items[k]);
            belt_release(&rx, s.count);
            i += s.count;
        }
        return sum;
    }
};

struct Ck : Queue {
    bool ok() const override
    {
        return ring_ != nullptr;
    }
    std::unique_ptr<bench_ck, void (*)(bench_ck *)> ring_{ bench_ck_new(kSingles / 8),
                                                           bench_ck_free };
};

struct CkSpsc : Ck {
    void produce(uint64_t n) override
    {
        bench_ck_spsc_produce(ring_.get(), n);
    }
    uint64_t consume(uint64_t n) override
    {
        return bench_ck_spsc_consume(ring_.get(), n);
    }
};

struct CkMpmc : Ck {
    void produce(uint64_t n) override
    {
        bench_ck_mpmc_produce(ring_.get(), n);
    }
    uint64_t consume(uint64_t n) override
    {
        return bench_ck_mpmc_consume(ring_.get(), n);
    }
};

/* What one writes first: a bounded array under a mutex. */
struct Mutex : Queue {
    bool ok() const override
    {
        return true;
    }

    void produce(uint64_t n) override
    {
        for (uint64_t i = 1; i <= n;) {
            std::unique_lock<std::mutex> lock(mutex_);
            if (pushed_ - popped_ < slots_.size())
                slots_[pushed_++ % slots_.size()] = i++;
        }
    }

    uint64_t consume(uint64_t n) override
    {
        uint64_t sum = 0;
        for (uint64_t i = 0; i < n;) {
            std::unique_lock<std::mutex> lock(mutex_);
            if (popped_ == pushed_)
                continue;
            sum += slots_[popped_++ % slots_.size()];
            i++;
        }
        return sum;
    }

  private:
    std::mutex mutex_;
    std::vector<uint64_t> slots_ = std::vector<uint64_t>(kSingles / 8);
    uint64_t pushed_ = 0, popped_ = 0;
};

struct Case {
    const char *name;
    std::unique_ptr<Queue> (*make)();
    uint64_t items; /* some 30 ms worth */
    uint32_t words;
};

template <class Q> std::unique_ptr<Queue> make()
{
    return std::make_unique<Q>();
}

template <uint32_t Size, belt_kind Kind> std::unique_ptr<Queue> make_belt()
{
    return std::make_unique<Belt<Size>>(Kind, kSingles);
}

const Case kCases[] = {
    { "rings/spsc/belt/8/1", make_belt<8, BELT_SPSC>, 4000000, 1 },
    { "rings/spsc/ck/8/1", make<CkSpsc>, 3000000, 1 },
    { "rings/spsc/mutex/8/1", make<Mutex>, 300000, 1 },
    { "rings/spsc/belt/8/32", make<BeltSpans<8, 32>>, 40000000, 1 },
    { "rings/spsc/belt/8/64", make<BeltSpans<8, 64>>, 40000000, 1 },
    { "rings/spsc/belt/8/256", make<BeltSpans<8, 256>>, 50000000, 1 },
    { "rings/spsc/belt/64/1", make_belt<64, BELT_SPSC>, 1000000, 8 },
    { "rings/spsc/belt/64/32", make<BeltSpans<64, 32>>, 6000000, 8 },
    { "rings/mpmc/belt/8/1", make_belt<8, BELT_MPMC>, 3000000, 1 },
    { "rings/mpmc/ck/8/1", make<CkMpmc>, 600000, 1 },
};

struct Sample {
    double seconds = 0, near_ns = 0;
    const char *error = nullptr;
};

/* Both threads start together; the time ends with the last item taken. */
double move_items(const Case &c, Queue *queue, int cpu_a, int cpu_b, const char **error)
{
    using clock = std::chrono::steady_clock;
    BeltPin pin(cpu_a);
    uint32_t ready = 0;
    uint64_t sum = 0;
    bool pinned = false;
    clock::time_point end;
    std::thread consumer([&] {
        BeltPin own(cpu_b);
        pinned = own.ok();
        /* Release; acquired below: `pinned`, and that we run. */
        belt_store_release32(&ready, 1);
        sum = queue->consume(c.items);
        end = clock::now();
    });
    while (!belt_load_acquire32(&ready))
        belt_pause();
    clock::time_point start = clock::now();
    queue->produce(c.items);
    consumer.join();
    if (!pin.ok() || !pinned)
        *error = "cannot pin";
    else if (sum != c.items * (c.items + 1) / 2 * c.words)
        *error = "lost or changed";
    return std::chrono::duration<double>(end - start).count();
}

Sample take_sample(const Case &c, int cpu_a, int cpu_b)
{
    Sample s;
    std::unique_ptr<Queue> queue = c.make();
    if (!queue->ok()) {
        s.error = "out of memory";
        return s;
    }
    double before = belt_calibrate_ns(cpu_a, cpu_b);
    s.seconds = move_items(c, queue.get(), cpu_a, cpu_b, &s.error);
    double after = belt_calibrate_ns(cpu_a, cpu_b);
    s.near_ns = std::max(before, after);
    if (before < 0 || after < 0)
        s.error = "cannot pin";
    return s;
}

void run(benchmark::State &state, const Case &c)
{
    int cpu_a, cpu_b;
    Sample s;
    if (!belt_calibrate_cpus(&cpu_a, &cpu_b)) {
        state.SkipWithError("needs two CPUs");
        return;
    }
    for (auto _ : state) {
        int tries = 0;
        do
            s = take_sample(c, cpu_a, cpu_b);
        while (!s.error && s.near_ns > BELT_NEAR_NS && ++tries < kTries);
        state.SetIterationTime(s.seconds);
    }
    if (s.error) {
        state.SkipWithError(s.error);
        return;
    }
    state.counters["near_ns"] = s.near_ns;
    state.SetLabel(belt_calibrate_label(s.near_ns));
    state.SetItemsProcessed(static_cast<int64_t>(state.iterations() * c.items));
}

const bool kRegistered = [] {
    for (const Case &c : kCases)
        benchmark::RegisterBenchmark(c.name, [&c](benchmark::State &state) { run(state, c); })
            ->Iterations(1)
            ->Repetitions(kRepetitions)
            ->UseManualTime()
            ->Unit(benchmark::kMillisecond);
    return true;
}();

} // namespace
