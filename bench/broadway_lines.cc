#include "bench/broadway_lines.h"

#include <cerrno>
#include <cstdio>
#include <cstring>

uint64_t BroadwayLines::draw()
{
    x_ = x_ * 6364136223846793005u + 1442695040888963407u;
    return x_ >> 33;
}

void BroadwayLines::next(int *id, int *tenths)
{
    *id = static_cast<int>(draw() % BROADWAY_IDS);
    *tenths = static_cast<int>(draw() % 1999) - 999;
}

std::vector<BroadwayFold> broadway_folds(uint64_t lines)
{
    std::vector<BroadwayFold> folds(BROADWAY_IDS);
    BroadwayLines generator;
    for (uint64_t i = 0; i < lines; i++) {
        int id, tenths;
        generator.next(&id, &tenths);
        folds[static_cast<size_t>(id)].add(tenths);
    }
    return folds;
}

namespace
{

char *put_line(char *to, int id, int tenths)
{
    int size = tenths < 0 ? -tenths : tenths;
    *to++ = 's';
    *to++ = static_cast<char>('0' + id / 100);
    *to++ = static_cast<char>('0' + id / 10 % 10);
    *to++ = static_cast<char>('0' + id % 10);
    *to++ = ';';
    if (tenths < 0)
        *to++ = '-';
    if (size >= 100)
        *to++ = static_cast<char>('0' + size / 100);
    *to++ = static_cast<char>('0' + size / 10 % 10);
    *to++ = '.';
    *to++ = static_cast<char>('0' + size % 10);
    *to++ = '\n';
    return to;
}

} // namespace

std::string broadway_write(const std::string &path, uint64_t lines)
{
    FILE *out = fopen(path.c_str(), "w");
    if (!out)
        return path + ": " + strerror(errno);
    std::vector<char> buffer(1 << 20);
    BroadwayLines generator;
    char *at = buffer.data(), *end = at + buffer.size() - 16;
    bool good = true;
    for (uint64_t i = 0; i < lines && good; i++) {
        int id, tenths;
        generator.next(&id, &tenths);
        at = put_line(at, id, tenths);
        if (at >= end || i + 1 == lines) {
            good = fwrite(buffer.data(), static_cast<size_t>(at - buffer.data()), 1, out) == 1;
            at = buffer.data();
        }
    }
    good = fclose(out) == 0 && good;
    return good ? "" : path + ": " + strerror(errno);
}
