// The workloads that Broadway was measured with, on ours (docs/broadway.md has both figures):
// (a) numbers through a callback, (b) and a batcher with a callback, (c) lines, split, parsed,
// folded per id by the callbacks of two batchers.

#include <sys/mman.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "bench/broadway_lines.h"
#include "bench/job.h"

namespace
{

// ---- (a), (b): every number is read and added, by calls that no compiler sees through

// A cell for each instance, in memory that workers, which are processes, share with us:
// an instance's sum goes there at its end.
struct alignas(64) Cell {
    uint64_t sum;
};

constexpr uint32_t CELLS = 256;

struct Cells {
    Cell steps[CELLS], sinks[CELLS];
};

Cells *cells()
{
    static void *at =
        mmap(nullptr, sizeof(Cells), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return static_cast<Cells *>(at);
}

// Four sums: one alone would be a chain of stores and loads.
struct Adder {
    uint64_t sums[4];
    Cell *cell;
};

int add_init(void *state, void *, const belt_instance *in, belt_error *)
{
    static_cast<Adder *>(state)->cell = &cells()->steps[in->index % CELLS];
    return 0;
}

int add_message(void *state, belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    uint64_t value;
    memcpy(&value, text, sizeof value);
    static_cast<Adder *>(state)->sums[i % 4] += value;
    return 0;
}

int add_sink_init(void *state, void *, const belt_instance *in, belt_error *)
{
    static_cast<Adder *>(state)->cell = &cells()->sinks[in->index % CELLS];
    return 0;
}

int add_batch(void *state, belt_batch *batch, belt_error *)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        uint64_t value;
        memcpy(&value, batch->bytes + batch->spans[i].at, sizeof value);
        sum += value;
    }
    static_cast<Adder *>(state)->sums[0] += sum;
    return 0;
}

void add_fini(void *state, void *)
{
    const Adder *adder = static_cast<Adder *>(state);
    for (uint64_t sum : adder->sums)
        adder->cell->sum += sum;
}

uint64_t sum_of(const Cell *of)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < CELLS; i++)
        sum += of[i].sum;
    return sum;
}

belt_part part_of(belt_part_kind kind, const char *name)
{
    belt_part part = {};
    part.abi = BELT_ABI;
    part.kind = kind;
    part.name = name;
    part.help = "for benches";
    return part;
}

const belt_part *add_step()
{
    static belt_step step = {};
    step.part = part_of(BELT_STEP, "add");
    step.part.state_size = sizeof(Adder);
    step.part.init = add_init;
    step.part.fini = add_fini;
    step.message = add_message;
    return &step.part;
}

const belt_part *add_sink()
{
    static belt_sink sink = {};
    sink.part = part_of(BELT_SINK, "add");
    sink.part.state_size = sizeof(Adder);
    sink.part.init = add_sink_init;
    sink.part.fini = add_fini;
    sink.batch = add_batch;
    return &sink.part;
}

// ---- (c): what one callback has seen, by id

// A text of up to four bytes is all in its cell: two such are the same when their cells are.
constexpr uint32_t SHORT = 4;
constexpr uint64_t NONE = UINT64_MAX; // the cell of no text

uint64_t hash_of(uint64_t word)
{
    return word * UINT64_C(0x9e3779b97f4a7c15);
}

struct alignas(64) Slot {
    uint64_t cell = NONE;
    BroadwayFold fold;
};

constexpr unsigned SLOT_BITS = 12;
constexpr uint32_t SLOTS = 1u << SLOT_BITS;

struct Map {
    Slot slots[SLOTS];
    std::unordered_map<std::string, BroadwayFold> others; // longer ones
};

std::mutex folds_lock;
std::vector<BroadwayFold> folds;

BroadwayFold &fold_of(Map *map, uint64_t cell)
{
    for (uint64_t at = hash_of(cell) >> (64 - SLOT_BITS);; at = (at + 1) % SLOTS) {
        Slot &slot = map->slots[at];
        if (slot.cell == cell)
            return slot.fold;
        if (slot.cell == NONE) {
            slot.cell = cell;
            return slot.fold;
        }
    }
}

// Of one of the generator's.
size_t number_of(uint64_t cell)
{
    char id[8];
    memcpy(id, &cell, sizeof id);
    return static_cast<size_t>(id[5] * 100 + id[6] * 10 + id[7] - '0' * 111) % BROADWAY_IDS;
}

int fold_init(void *state, void *, const belt_instance *, belt_error *)
{
    *static_cast<Map **>(state) = new Map();
    return 0;
}

// Rows are packed: the id, the tenths.
int fold_batch(void *state, belt_batch *batch, belt_error *)
{
    Map *map = *static_cast<Map **>(state);
    const belt_batch rows = *batch; // what is stored below cannot be part of it
    for (uint32_t i = 0; i < rows.count; i++) {
        uint64_t cell = belt_batch_cell(&rows, i, 0);
        int64_t tenths = belt_batch_number(&rows, i, 1);
        if (static_cast<uint32_t>(cell) <= SHORT) {
            fold_of(map, cell).add(tenths);
            continue;
        }
        uint32_t size;
        const char *id = belt_batch_text(&rows, i, 0, &size);
        map->others[std::string(id, size)].add(tenths);
    }
    return 0;
}

void fold_fini(void *state, void *)
{
    std::unique_ptr<Map> map(*static_cast<Map **>(state));
    std::lock_guard<std::mutex> guard(folds_lock);
    for (const Slot &slot : map->slots)
        if (static_cast<uint32_t>(slot.cell) == 4)
            folds[number_of(slot.cell)].add(slot.fold);
}

int halves_prepare(void *conf, belt_setup *setup, belt_error *err)
{
    int sensor = belt_setup_field(setup, nullptr, "sensor", err);
    *static_cast<int *>(conf) = sensor;
    return sensor < 0 ? sensor : 0;
}

int halves_init(void *state, void *conf, const belt_instance *, belt_error *)
{
    *static_cast<int *>(state) = *static_cast<int *>(conf);
    return 0;
}

// 0 or 1, by the hash of the first bytes of an id, of its size at most. Texts have BELT_PAD
// bytes to read around them.
uint64_t half_of(const char *id, uint32_t size)
{
    static constexpr uint64_t bytes[8] = {
        0, 0xff, 0xffff, 0xffffff, 0xffffffff, 0xffffffffff, 0xffffffffffff, 0xffffffffffffff
    };
    uint64_t word;
    memcpy(&word, id, sizeof word);
    return hash_of(word & bytes[size < 7 ? size : 7]) >> 63;
}

// To the first or the second batcher.
uint32_t halves_frame(void *state, belt_view *view)
{
    const belt_column &ids = view->columns[*static_cast<int *>(state)];
    for (uint32_t w = view->first / 64; w * 64 < view->end; w++) {
        const belt_span *span = ids.as.spans + w * 64;
        uint64_t live = belt_live_word(view, w), second = 0;
        for (uint32_t k = 0; k < 64 && live == UINT64_MAX; k++)
            second |= half_of(ids.base + span[k].at, span[k].size) << k;
        for (uint64_t rest = live != UINT64_MAX ? live : 0; rest; rest &= rest - 1) {
            int k = __builtin_ctzll(rest);
            second |= half_of(ids.base + span[k].at, span[k].size) << k;
        }
        belt_route_mask(view, w, second, 1); // all others go to the first
    }
    return view->end;
}

const belt_part *halves_step()
{
    static belt_step step = {};
    step.part = part_of(BELT_STEP, "halves");
    step.part.conf_size = step.part.state_size = sizeof(int);
    step.part.prepare = halves_prepare;
    step.part.init = halves_init;
    step.frame = halves_frame;
    return &step.part;
}

const belt_part *fold_sink()
{
    static belt_sink sink = {};
    sink.part = part_of(BELT_SINK, "fold");
    sink.part.state_size = sizeof(Map *);
    sink.part.init = fold_init;
    sink.part.fini = fold_fini;
    sink.batch = fold_batch;
    sink.format = "{ packed: { columns: [sensor, value] } }";
    return &sink.part;
}

// ---- the runs

void register_numbers(const char *name, uint64_t count, bool batched, const std::string &more)
{
    BenchJob job;
    job.yaml = "source: { counter: { count: " + std::to_string(count) + " } }\n" + more;
    job.input = [=] { return BenchInput{ count, 8 * count }; };
    job.parts = { add_step(), add_sink() };
    job.before = [] { memset(cells(), 0, sizeof(Cells)); };
    job.wrong = [=](const belt_totals &) {
        uint64_t all = count * (count - 1) / 2;
        std::string steps = bench_differs("sum of the steps", sum_of(cells()->steps), all);
        return steps.empty() && batched
                   ? bench_differs("sum of the sinks", sum_of(cells()->sinks), all)
                   : steps;
    };
    bench_register(name, job);
}

void register_lines(const char *name, const std::string &path, const std::string &more)
{
    BenchJob job;
    job.yaml = "source: { file: { paths: '" + path + "' } }\n" + more;
    job.input = [=] { return bench_file(path); };
    job.parts = { halves_step(), fold_sink() };
    job.before = [] { folds.assign(BROADWAY_IDS, BroadwayFold()); };
    job.wrong = [=](const belt_totals &) {
        static const std::vector<BroadwayFold> all = broadway_folds(job.input().messages);
        return folds == all ? "" : "the folds are not those of the generator";
    };
    bench_register(name, job);
}

const char add[] = "processor: { steps: [ add: {} ] }\n";
const char split_into_halves[] = "processor: { steps: [ { split: { delimiter: ';', into: { sensor: "
                                 "text, value: decimal(1) } } }, { halves: {} } ] }\n";
const char split[] = "processor: { steps: [ { split: { delimiter: ';', into: { sensor: text, "
                     "value: decimal(1) } } } ] }\n";

std::string batched(const char *size, const char *instances = "1")
{
    return std::string(add) + "batcher: { size: " + size + ", concurrency: " + instances +
           ", timeout: 1s, order: any, sink: { add: { format: raw } } }\n";
}

const bool registered = [] {
    const uint64_t many = 400000000;
    const std::string apart = "placement: { fuse: none }\n";
    register_numbers("broadway/a", many, false, add);
    register_numbers("broadway/a/threads_apart", many, false, add + apart);
    register_numbers("broadway/a/workers", many, false,
                     "processor: { isolation: process, steps: [ add: {} ] }\n" + apart);
    register_numbers("broadway/b/100", many, true, batched("100"));
    register_numbers("broadway/b/1000", many, true, batched("1000"));
    register_numbers("broadway/b/100/each_lane", many, true, batched("100", "2"));
    register_numbers("broadway/b/1000/each_lane", many, true, batched("1000", "2"));
    std::string path = bench_file_from("BELT_BROADWAY_LINES");
    if (path.empty())
        return true;
    std::string one = "{ size: 1000, timeout: 1s, order: any, sink: { fold: {} }";
    register_lines("broadway/c1", path,
                   split + ("batcher: " + one + ", partition_by: sensor, concurrency: 2 }\n"));
    register_lines("broadway/c2", path,
                   split_into_halves + ("batchers: { even: " + one + " }, odd: " + one + " } }\n"));
    return true;
}();

} // namespace
