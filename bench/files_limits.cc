// What this machine gives: the same file read, scanned and copied by loops that do nothing else.
#include <fcntl.h>
#include <liburing.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <thread>

#include "bench/files.h"
#include "core/isa.h"

namespace files
{

namespace
{

constexpr size_t kBlock = 256 << 10, kDirect = 1 << 20;
constexpr size_t kHuge = 2 << 20;
constexpr size_t kAhead = 8 << 20; // announced to the kernel
constexpr unsigned kUnderWay = 4;  // reads of a thread, or threads that write

// A thread's share: blocks claimed from one counter.
struct Work {
    int fd, out;
    bool sync;
    size_t block;
    uint64_t size;
    std::atomic<uint64_t> next{ 0 }, done{ 0 }, lines{ 0 };
    std::atomic<bool> failed{ false };
    const char *memory;
};

using Loop = void (*)(Work *work);

// Huge pages of its own, as ours are: of a megabyte in small ones a device takes a part at a
// time, O_DIRECT was less than half as fast.
class Buffer
{
  public:
    explicit Buffer(size_t size) : size_(size + 2 * kHuge)
    {
        map_ = static_cast<char *>(
            mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
        at_ = map_ + (kHuge - reinterpret_cast<uintptr_t>(map_) % kHuge);
        size = (size + kHuge - 1) / kHuge * kHuge;
        madvise(at_, size, MADV_HUGEPAGE);
        memset(at_, 0, size);
    }
    ~Buffer()
    {
        munmap(map_, size_);
    }
    Buffer(const Buffer &) = delete;
    Buffer &operator=(const Buffer &) = delete;
    char *at() const
    {
        return at_;
    }

  private:
    size_t size_;
    char *map_, *at_;
};

void read_loop(Work *work)
{
    Buffer buffer(work->block);
    for (;;) {
        uint64_t at = work->next.fetch_add(work->block);
        if (at >= work->size)
            return;
        ssize_t got = pread(work->fd, buffer.at(), work->block, static_cast<off_t>(at));
        if (got <= 0)
            work->failed = true;
        else
            work->done += static_cast<uint64_t>(got);
    }
}

// One registered buffer and the same block at a time: what is in the page cache is copied
// within the submission, and more buffers would only leave the second cache.
void uring_loop(Work *work)
{
    Buffer buffer(work->block);
    io_uring ring;
    if (io_uring_queue_init(4, &ring, 0) != 0) {
        work->failed = true;
        return;
    }
    iovec lent = { buffer.at(), work->block };
    bool fixed = io_uring_register_buffers(&ring, &lent, 1) == 0;
    for (uint64_t at; (at = work->next.fetch_add(work->block)) < work->size;) {
        io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        io_uring_cqe *cqe;
        if (fixed)
            io_uring_prep_read_fixed(sqe, work->fd, buffer.at(), static_cast<unsigned>(work->block),
                                     at, 0);
        else
            io_uring_prep_read(sqe, work->fd, buffer.at(), static_cast<unsigned>(work->block), at);
        io_uring_submit(&ring);
        if (io_uring_wait_cqe(&ring, &cqe) != 0 || cqe->res <= 0)
            work->failed = true;
        else
            work->done += static_cast<uint64_t>(cqe->res);
        io_uring_cqe_seen(&ring, cqe);
    }
    io_uring_queue_exit(&ring);
}

// Past the page cache as the source `file` reads: some blocks under way on each thread.
void deep_loop(Work *work)
{
    Buffer buffer(kUnderWay * work->block);
    io_uring ring;
    io_uring_cqe *cqe;
    if (io_uring_queue_init(kUnderWay, &ring, 0) != 0) {
        work->failed = true;
        return;
    }
    auto ask = [&](unsigned slot) -> unsigned {
        uint64_t at = work->next.fetch_add(work->block);
        if (at >= work->size)
            return 0;
        io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        io_uring_prep_read(sqe, work->fd, buffer.at() + slot * work->block,
                           static_cast<unsigned>(work->block), at);
        io_uring_sqe_set_data64(sqe, slot);
        io_uring_submit(&ring);
        return 1;
    };
    unsigned busy = 0;
    for (unsigned slot = 0; slot < kUnderWay; slot++)
        busy += ask(slot);
    while (busy && io_uring_wait_cqe(&ring, &cqe) == 0) {
        unsigned slot = static_cast<unsigned>(io_uring_cqe_get_data64(cqe));
        if (cqe->res <= 0)
            work->failed = true;
        else
            work->done += static_cast<uint64_t>(cqe->res);
        io_uring_cqe_seen(&ring, cqe);
        busy += ask(slot) - 1;
    }
    io_uring_queue_exit(&ring);
}

// A cold file through the page cache, announced ahead as the source `file` does.
void announced_loop(Work *work)
{
    Buffer buffer(work->block);
    for (uint64_t at; (at = work->next.fetch_add(work->block)) < work->size;) {
        if (at % kDirect == 0)
            posix_fadvise(work->fd, static_cast<off_t>(at ? at + kAhead : 0),
                          at ? kDirect : kAhead + kDirect, POSIX_FADV_WILLNEED);
        ssize_t got = pread(work->fd, buffer.at(), work->block, static_cast<off_t>(at));
        if (got <= 0)
            work->failed = true;
        else
            work->done += static_cast<uint64_t>(got);
    }
}

void copy_loop(Work *work)
{
    Buffer buffer(work->block);
    for (uint64_t at; (at = work->next.fetch_add(work->block)) < work->size;) {
        ssize_t got = pread(work->fd, buffer.at(), work->block, static_cast<off_t>(at));
        if (got <= 0 ||
            pwrite(work->out, buffer.at(), static_cast<size_t>(got), static_cast<off_t>(at)) != got)
            work->failed = true;
        else
            work->done += static_cast<uint64_t>(got);
    }
}

void write_loop(Work *work)
{
    Buffer buffer(work->block);
    memset(buffer.at(), 'x', work->block);
    for (uint64_t at; (at = work->next.fetch_add(work->block)) < work->size;)
        if (pwrite(work->out, buffer.at(), work->block, static_cast<off_t>(at)) !=
            static_cast<ssize_t>(work->block))
            work->failed = true;
        else
            work->done += work->block;
}

inline __attribute__((always_inline)) uint64_t count_lines(const char *text, size_t size)
{
    uint64_t lines = 0;
    for (size_t i = 0; i < size; i += 128) {
        unsigned char few = 0;
        for (size_t k = i; k < i + 128; k++)
            few = static_cast<unsigned char>(few + (text[k] == '\n'));
        lines += few;
    }
    return lines;
}

uint64_t count_lines_plain(const char *text, size_t size)
{
    return count_lines(text, size);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) uint64_t count_lines_v3(const char *text, size_t size)
{
    return count_lines(text, size);
}
#else
constexpr auto count_lines_v3 = count_lines_plain;
#endif

// Counts newlines. The memory is zero from the end of the file to a multiple of 128.
void scan_loop(Work *work)
{
    auto count = belt_isa_v3() ? count_lines_v3 : count_lines_plain;
    uint64_t lines = 0;
    for (uint64_t at; (at = work->next.fetch_add(work->block)) < work->size;) {
        size_t size = std::min<uint64_t>(work->block, work->size - at);
        lines += count(work->memory + at, size);
        work->done += size;
    }
    work->lines += lines;
}

Sample finish(Work *work, Loop loop, unsigned threads)
{
    Sample sample;
    double cpu = cpu_used(), begin = now();
    std::vector<std::thread> team;
    for (unsigned t = 1; t < threads; t++)
        team.emplace_back(loop, work);
    loop(work);
    for (auto &member : team)
        member.join();
    if (work->sync && fdatasync(work->out) != 0)
        work->failed = true;
    sample.wall = now() - begin;
    sample.cpu = cpu_used() - cpu;
    sample.bytes = work->done;
    if (work->failed || work->done < work->size)
        sample.error = "could not be done to the end";
    return sample;
}

Sample on_file(const Bench &bench, const Row &row, Loop loop, unsigned threads, int flags,
               size_t block)
{
    const File &in = input_of(bench, row);
    Work work = {};
    work.out = -1;
    work.block = block;
    work.size = in.bytes;
    work.fd = open(in.path.c_str(), O_RDONLY | O_CLOEXEC | flags);
    Sample sample;
    if (work.fd < 0)
        sample.error = "cannot be opened so";
    else
        sample = finish(&work, loop, threads);
    close(work.fd);
    sample.rows = in.rows;
    return sample;
}

Sample read_one(const Bench &bench, const Row &row)
{
    return on_file(bench, row, read_loop, 1, 0, kBlock);
}

Sample read_all(const Bench &bench, const Row &row)
{
    return on_file(bench, row, read_loop, bench.threads, 0, kBlock);
}

Sample uring_all(const Bench &bench, const Row &row)
{
    return on_file(bench, row, uring_loop, bench.threads, 0, kBlock);
}

Sample cold_direct(const Bench &bench, const Row &row)
{
    return on_file(bench, row, deep_loop, bench.threads, O_DIRECT, kDirect);
}

Sample cold_buffered(const Bench &bench, const Row &row)
{
    return on_file(bench, row, announced_loop, bench.threads, 0, kBlock);
}

Sample scan_all(const Bench &bench, const Row &row)
{
    const File &in = input_of(bench, row);
    Buffer text(in.bytes + 128);
    int fd = open(in.path.c_str(), O_RDONLY | O_CLOEXEC);
    for (uint64_t at = 0; at < in.bytes;) {
        ssize_t got = pread(fd, text.at() + at, in.bytes - at, static_cast<off_t>(at));
        if (got <= 0)
            break;
        at += static_cast<uint64_t>(got);
    }
    close(fd);
    Work work = {};
    work.out = -1;
    work.block = kBlock;
    work.size = in.bytes;
    work.memory = text.at();
    Sample sample = finish(&work, scan_loop, bench.threads);
    sample.rows = in.rows;
    if (work.lines != in.rows)
        sample.error = "counted wrong";
    return sample;
}

Sample to_file(const Bench &bench, const Row &row, Loop loop, unsigned threads, int flags,
               size_t block, uint64_t size)
{
    std::string path = bench.out + "/copy";
    const File &in = input_of(bench, row);
    Work work = {};
    work.block = block;
    work.sync = loop == write_loop;
    work.size = size;
    work.fd = open(in.path.c_str(), O_RDONLY | O_CLOEXEC);
    work.out = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | flags, 0666);
    Sample sample;
    if (work.out < 0)
        sample.error = "cannot be opened so";
    else
        sample = finish(&work, loop, threads);
    close(work.fd);
    close(work.out);
    sample.rows = in.rows;
    return sample;
}

Sample copy_all(const Bench &bench, const Row &row)
{
    return to_file(bench, row, copy_loop, bench.threads, 0, kBlock, input_of(bench, row).bytes);
}

// Through the page cache one thread: more would only wait for each other at the file.
Sample write_to_device(const Bench &bench, const Row &row, int flags)
{
    return to_file(bench, row, write_loop, flags ? kUnderWay : 1, flags, kDirect,
                   input_of(bench, row).bytes / kDirect * kDirect + kDirect);
}

Sample write_direct(const Bench &bench, const Row &row)
{
    return write_to_device(bench, row, O_DIRECT);
}

Sample write_cached(const Bench &bench, const Row &row)
{
    return write_to_device(bench, row, 0);
}

Row limit(const char *name, Data data, Warmth warmth, Sample (*run)(const Bench &, const Row &))
{
    return Row{ "limit", name, LIMIT, GB, data, WHOLE, warmth, "", "", "", 0, 0, run, "" };
}

} // namespace

std::vector<Row> limit_rows()
{
    return {
        limit("read, one CPU", SENSORS, WARM, read_one),
        limit("read, all CPUs", SENSORS, WARM, read_all),
        limit("read by io_uring, all CPUs", SENSORS, WARM, uring_all),
        limit("newlines in memory, all CPUs", SENSORS, WARM, scan_all),
        limit("copy file to file", LOG, WARM, copy_all),
        limit("device read, O_DIRECT", LOG, COLD, cold_direct),
        limit("device read, buffered", LOG, COLD, cold_buffered),
        limit("device write, O_DIRECT, synced", LOG, WARM, write_direct),
        limit("device write, cached, synced", LOG, WARM, write_cached),
    };
}

} // namespace files
