// Results against what an independent tool made of the same data: totals byte for byte, lines
// as a set, for their order may differ.
#include <dirent.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string_view>

#include "bench/files.h"

namespace files
{

namespace
{

// mawk is twice as fast as gawk.
#define AWK "LC_ALL=C $(command -v mawk || command -v awk) "

// Sums of doubles are off by far less than the half of a tenth that they are rounded to; from
// there on in whole tenths, the mean rounded half up.
const char kTotals[] =
    "{ printf 'sensor,min,mean,max,count\\n'; " AWK "-F';' '"
    "function tenths(v) { v *= 10; return int(v < 0 ? v - 0.5 : v + 0.5) } "
    "function text(v,    s) { s = v < 0 ? \"-\" : \"\"; if (v < 0) v = -v; "
    "return sprintf(\"%s%d.%d\", s, int(v / 10), v % 10) } "
    "function mean(sum, n,    twice, m) { twice = 2 * sum + n; m = int(twice / (2 * n)); "
    "return m * 2 * n > twice ? m - 1 : m } "
    "{ k = $1; v = $2 + 0; if (!n[k]++) low[k] = high[k] = v; else if (v < low[k]) low[k] = v; "
    "else if (v > high[k]) high[k] = v; sum[k] += v } "
    "END { for (k in n) printf \"%s,%s,%s,%s,%d\\n\", k, text(tenths(low[k])), "
    "text(mean(tenths(sum[k]), n[k])), text(tenths(high[k])), n[k] }' '$IN' | "
    "LC_ALL=C sort -t, -k1,1; } >'$TO'";

const char kErrors[] = AWK "-F'\"' '$8 == \"error\" { print \"{\\\"ts\\\":\\\"\" $4 "
                           "\"\\\",\\\"msg\\\":\\\"\" $(NF - 1) \"\\\"}\" }' '$IN' >'$TO'";

struct Digest {
    uint64_t lines = 0, bytes = 0, sum = 0;
    bool operator==(const Digest &other) const
    {
        return lines == other.lines && bytes == other.bytes && sum == other.sum;
    }
};

// Adds the lines of a file; without their order. False: it cannot be read.
bool digest(const std::string &path, Digest *out)
{
    FILE *in = fopen(path.c_str(), "re");
    char *line = nullptr;
    size_t room = 0;
    if (!in)
        return false;
    for (ssize_t size; (size = getline(&line, &room, in)) > 0;) {
        out->lines++;
        out->bytes += static_cast<uint64_t>(size);
        out->sum +=
            std::hash<std::string_view>()(std::string_view(line, static_cast<size_t>(size)));
    }
    free(line);
    fclose(in);
    return true;
}

Digest digest_of_folder(const std::string &folder)
{
    Digest all;
    DIR *dir = opendir(folder.c_str());
    for (dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.')
            digest(folder + "/" + entry->d_name, &all);
    if (dir)
        closedir(dir);
    return all;
}

std::string content(const std::string &path)
{
    std::ifstream in(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
}

const std::string &expected_of(const Bench &bench, const Row &row)
{
    const DataSet &set = bench.data[row.data];
    return row.share == WHOLE ? set.expected : set.part_expected;
}

std::string differs(const char *what, uint64_t is, uint64_t expected)
{
    return is == expected ? ""
                          : std::string(what) + ": " + std::to_string(is) + ", not " +
                                std::to_string(expected);
}

std::string wrong_totals(const Bench &bench, const Row &row)
{
    return content(bench.out + "/totals.csv") == content(expected_of(bench, row))
               ? ""
               : "totals.csv differs from awk's";
}

// As many groups, and rows in them, whatever their order and digits.
std::string wrong_keys(const Bench &bench, const Row &row)
{
    Digest expected;
    std::ifstream in(bench.out + "/totals.csv");
    uint64_t keys = 0, rows = 0;
    for (std::string line; std::getline(in, line); keys++)
        rows += strtoull(line.c_str() + line.rfind(',') + 1, nullptr, 10);
    digest(expected_of(bench, row), &expected);
    std::string wrong = differs("groups", keys, expected.lines - 1);
    return wrong.empty() ? differs("rows", rows, input_of(bench, row).rows) : wrong;
}

std::string wrong_errors(const Bench &bench, const Row &row)
{
    Digest is, expected;
    digest(bench.out + "/errors.ndjson", &is);
    digest(expected_of(bench, row), &expected);
    return is == expected ? "" : "errors.ndjson differs from awk's";
}

std::string wrong_lines(const Bench &bench, const Row &row)
{
    Digest is, expected;
    digest(bench.out + "/errors.ndjson", &is);
    digest(expected_of(bench, row), &expected);
    return differs("lines", is.lines, expected.lines);
}

std::string wrong_all(const Bench &bench, const Row &row)
{
    Digest expected;
    digest(input_of(bench, row).path, &expected);
    return digest_of_folder(bench.out) == expected ? "" : "the files' lines are not the input's";
}

const struct {
    const char *name;
    std::string (*wrong)(const Bench &bench, const Row &row);
} checks[] = {
    { "totals", wrong_totals }, { "keys", wrong_keys }, { "errors", wrong_errors },
    { "lines", wrong_lines },   { "all", wrong_all },
};

bool make(const char *command, const std::string &in, const std::string &to)
{
    std::string text = command;
    text.replace(text.find("$IN"), 3, in);
    text.replace(text.find("$TO"), 3, to);
    if (system(text.c_str()) == 0)
        return true;
    fprintf(stderr, "bench files: awk cannot make %s\n", to.c_str());
    return false;
}

} // namespace

std::string wrong_result(const Bench &bench, const Row &row, const Sample &sample)
{
    if (!sample.error.empty())
        return sample.error;
    for (auto &check : checks)
        if (check.name == std::string(row.check))
            return check.wrong(bench, row);
    return "";
}

bool make_expected(const Bench &, DataSet *set, Data data)
{
    const char *command = data == LOG ? kErrors : kTotals;
    fprintf(stderr, "bench files: awk makes %s\n", set->expected.c_str());
    return make(command, set->whole.path, set->expected) &&
           make(command, set->part.path, set->part_expected);
}

} // namespace files
