// Steps that do nothing, for what is left of a run without them, and the loop that G9 is held
// against: it reads, finds the lines and calls the same user code, without any engine.
#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>
#include <vector>

#include "bench/files.h"
extern "C" {
#include "io/scan_priv.h"
}

namespace files
{

namespace
{

uint32_t empty_frame(void *, belt_view *view)
{
    return view->end;
}

int empty_message(void *, belt_view *, uint32_t)
{
    return 0;
}

// The user code of G9: a look at the text of each row, by a call that the compiler does not
// see through. The same in a step and in the bare loop, each at the start of a cache line:
// where the linker puts a function of 30 bytes is half a nanosecond a row.
#define AT_A_LINE __attribute__((noinline, aligned(64)))

struct Sum {
    uint64_t sum;
};

std::atomic<uint64_t> all_sums;

inline void add(Sum *sum, const char *text, uint32_t size)
{
    sum->sum += size + static_cast<unsigned char>(text[0]);
}

AT_A_LINE int look(void *state, const char *text, uint32_t size)
{
    add(static_cast<Sum *>(state), text, size);
    return 0;
}

int (*volatile user_code)(void *, const char *, uint32_t) = look;

AT_A_LINE int look_message(void *state, belt_view *view, uint32_t i)
{
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    add(static_cast<Sum *>(state), text, size);
    return 0;
}

void look_fini(void *state, void *)
{
    all_sums += static_cast<Sum *>(state)->sum;
}

belt_step step_of(const char *name)
{
    belt_step step = {};
    step.part.abi = BELT_ABI;
    step.part.kind = BELT_STEP;
    step.part.name = name;
    step.part.help = "for benches";
    return step;
}

// ---- the bare loop

constexpr uint32_t kBlock = 256 << 10, kTail = 1024, kPage = 4096;

struct Bare {
    int fd;
    uint64_t size;
    std::atomic<uint64_t> next{ 0 }, rows{ 0 };
};

// The rows that begin in [at, at + kBlock), text[0] being the byte before.
uint64_t bare_block(char *text, uint64_t at, uint32_t have, Sum *sum, belt_scan_fn *scan)
{
    static thread_local belt_span spans[BELT_FRAME + 64];
    auto code = user_code;
    uint32_t from = 1, end = have;
    uint64_t rows = 0;
    if (at > 0 && text[0] != '\n') {
        const char *newline = static_cast<const char *>(memchr(text + 1, '\n', have - 1));
        from = newline ? static_cast<uint32_t>(newline - text) + 1 : end;
    }
    if (have > kBlock + 1) { // up to the first newline that is not before the last byte of ours
        const char *newline = static_cast<const char *>(memchr(text + kBlock, '\n', have - kBlock));
        end = newline ? static_cast<uint32_t>(newline - text) + 1 : have;
    }
    while (from < end) {
        uint32_t count = scan(text, from, end, spans, BELT_FRAME, &from);
        for (uint32_t i = 0; i < count; i++)
            code(sum, text + spans[i].at, spans[i].size);
        rows += count;
        if (!count)
            break;
    }
    return rows;
}

void bare_loop(Bare *bare)
{
    // Text lies as in the file modulo a page: the kernel copies faster so.
    char *memory = static_cast<char *>(aligned_alloc(kPage, 2 * kPage + kBlock + kPage));
    char *text = memory + kPage - 1;
    belt_scan_fn *scan = belt_scan_choose();
    Sum sum = { 0 };
    uint64_t rows = 0;
    for (uint64_t at; (at = bare->next.fetch_add(kBlock)) < bare->size;) {
        uint64_t from = at ? at - 1 : 0;
        ssize_t got =
            pread(bare->fd, text + (at == 0), kBlock + 1 + kTail, static_cast<off_t>(from));
        if (got > 0)
            rows += bare_block(text, at, static_cast<uint32_t>(got) + (at == 0), &sum, scan);
    }
    free(memory);
    bare->rows += rows;
    all_sums += sum.sum;
}

} // namespace

std::vector<const belt_part *> bench_parts()
{
    static belt_step frame = step_of("bench_frame"), message = step_of("bench_message"),
                     looks = step_of("bench_look");
    frame.frame = empty_frame;
    message.message = empty_message;
    looks.message = look_message;
    looks.part.state_size = sizeof(Sum);
    looks.part.fini = look_fini;
    return { &frame.part, &message.part, &looks.part };
}

Sample run_bare(const Bench &bench, const Row &row)
{
    const File &in = input_of(bench, row);
    Bare bare = {};
    Sample sample;
    bare.fd = open(in.path.c_str(), O_RDONLY | O_CLOEXEC);
    bare.size = in.bytes;
    double cpu = cpu_used(), begin = now();
    std::vector<std::thread> team;
    for (unsigned t = 1; t < bench.threads; t++)
        team.emplace_back(bare_loop, &bare);
    bare_loop(&bare);
    for (auto &member : team)
        member.join();
    sample.wall = now() - begin;
    sample.cpu = cpu_used() - cpu;
    close(bare.fd);
    sample.bytes = in.bytes;
    sample.rows = bare.rows;
    if (bare.rows != in.rows)
        sample.error = "the bare loop found " + std::to_string(bare.rows) + " rows";
    return sample;
}

} // namespace files
