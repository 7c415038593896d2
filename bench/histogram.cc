// What it costs to count a value, beside adding the same values up.

#include <benchmark/benchmark.h>

#include <cstdlib>
#include <vector>

#include "core/histogram.h"

namespace
{

// More values than a branch predictor remembers, of every size that latencies have.
std::vector<uint64_t> values()
{
    std::vector<uint64_t> made(1 << 16);
    uint64_t state = 42;
    for (uint64_t &value : made) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        value = (state >> 24) >> (state % 34);
    }
    return made;
}

void record(benchmark::State &state)
{
    const std::vector<uint64_t> all = values();
    static belt_hist h;
    belt_hist_reset(&h);
    for (auto _ : state)
        for (uint64_t value : all)
            belt_hist_record(&h, value);
    auto count = state.iterations() * static_cast<int64_t>(all.size());
    if (belt_hist_count(&h) != static_cast<uint64_t>(count))
        state.SkipWithError("values were lost");
    state.SetItemsProcessed(count);
}

void limit(benchmark::State &state)
{
    const std::vector<uint64_t> all = values();
    static uint64_t sum;
    for (auto _ : state)
        for (uint64_t value : all)
            belt_store_relaxed(&sum, sum + value);
    state.SetItemsProcessed(state.iterations() * static_cast<int64_t>(all.size()));
}

BENCHMARK(record)->Name("histogram/record");
BENCHMARK(limit)->Name("histogram/limit");

} // namespace
