// The data: made once a folder by `beltway generate`, the same for the same size and seed.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <vector>

#include "bench/files.h"

namespace files
{

namespace
{

constexpr uint64_t kPart = 20;

// `version`: of what is generated: a new number makes the data again.
const struct {
    const char *name, *generate;
    unsigned version;
} kinds[DATA_USED] = {
    { "sensors-413.txt", "sensors --names 413", 1 },
    { "sensors-10000.txt", "sensors --names 10000", 2 },
    { "log.ndjson", "ndjson", 1 },
};

std::string beside_us(const char *program)
{
    char path[4096];
    ssize_t size = readlink("/proc/self/exe", path, sizeof path);
    std::string self(path, size > 0 ? static_cast<size_t>(size) : 0);
    return self.substr(0, self.rfind('/') + 1) + program;
}

bool count(File *file, uint64_t most)
{
    std::vector<char> buffer(1 << 20);
    int fd = open(file->path.c_str(), O_RDONLY | O_CLOEXEC);
    file->bytes = file->rows = 0;
    while (fd >= 0 && file->bytes < most) {
        ssize_t got =
            read(fd, buffer.data(), std::min<uint64_t>(buffer.size(), most - file->bytes));
        if (got <= 0)
            break;
        file->bytes += static_cast<uint64_t>(got);
        file->rows += static_cast<uint64_t>(std::count(buffer.data(), buffer.data() + got, '\n'));
    }
    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

// The first rows of `whole`: a twentieth of its bytes.
bool make_part(const DataSet &set)
{
    uint64_t left = set.whole.bytes / kPart;
    std::ifstream in(set.whole.path, std::ios::binary);
    std::ofstream out(set.part.path, std::ios::binary | std::ios::trunc);
    std::vector<char> buffer(1 << 20);
    while (left && in) {
        in.read(buffer.data(),
                static_cast<std::streamsize>(std::min<uint64_t>(buffer.size(), left)));
        out.write(buffer.data(), in.gcount());
        left -= static_cast<uint64_t>(in.gcount());
    }
    std::string rest;
    if (std::getline(in, rest))
        out << rest << '\n';
    out.close();
    return out.good();
}

std::string stamp(const Bench &bench, Data data)
{
    std::ostringstream out;
    out << kinds[data].version << ' ' << kinds[data].generate << ' ' << bench.options.size << ' '
        << bench.options.seed << '\n';
    return out.str();
}

std::string content(const std::string &path)
{
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

bool generate(const Bench &bench, Data data, const std::string &path)
{
    std::ostringstream command;
    command << "'" << beside_us("beltway") << "' generate " << kinds[data].generate << " --bytes "
            << bench.options.size << " --seed " << bench.options.seed << " --out '" << path
            << "' 2>/dev/null";
    return system(command.str().c_str()) == 0;
}

bool make_one(Bench *bench, Data data)
{
    DataSet *set = &bench->data[data];
    std::string made = set->whole.path + ".made";
    if (content(made) != stamp(*bench, data)) {
        fprintf(stderr, "bench files: making %s\n", set->whole.path.c_str());
        unlink(made.c_str());
        if (!generate(*bench, data, set->whole.path) || !count(&set->whole, UINT64_MAX) ||
            !make_part(*set) || !count(&set->part, UINT64_MAX)) {
            fprintf(stderr, "bench files: %s cannot be made\n", set->whole.path.c_str());
            return false;
        }
        if (!make_expected(*bench, set, data))
            return false;
        std::ofstream(made) << stamp(*bench, data);
    }
    return count(&set->whole, UINT64_MAX) && count(&set->part, UINT64_MAX);
}

} // namespace

bool make_data(Bench *bench, const bool wanted[DATA_USED])
{
    for (int d = 0; d < DATA_USED; d++) {
        DataSet *set = &bench->data[d];
        set->whole.path = bench->options.dir + "/" + kinds[d].name;
        set->part.path = set->whole.path + ".part";
        set->expected = set->whole.path + ".expected";
        set->part_expected = set->part.path + ".expected";
        if (wanted[d] && !make_one(bench, static_cast<Data>(d)))
            return false;
    }
    return true;
}

bool evict(const std::string &path, bool cold)
{
    static std::vector<char> buffer(1 << 20);
    int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    fdatasync(fd);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    while (!cold && read(fd, buffer.data(), buffer.size()) > 0)
        ;
    close(fd);
    return true;
}

} // namespace files
