/* The lines of workload (c), "sNNN;V.V", and what folding them must give: both straight from
 * the numbers of a generator (x = 42, Knuth's MMIX constants; two draws a line). */
#ifndef BELT_BENCH_BROADWAY_LINES_H
#define BELT_BENCH_BROADWAY_LINES_H

#include <cstdint>
#include <string>
#include <vector>

constexpr int BROADWAY_IDS = 413;

/* Of one id; tenths. */
struct BroadwayFold {
    int64_t min = INT64_MAX, sum = 0, max = INT64_MIN, count = 0;

    void add(int64_t value)
    {
        if (value < min) /* seldom: a branch is foretold, and nothing is stored */
            min = value;
        if (value > max)
            max = value;
        sum += value;
        count++;
    }
    void add(const BroadwayFold &other)
    {
        min = other.min < min ? other.min : min;
        max = other.max > max ? other.max : max;
        sum += other.sum;
        count += other.count;
    }
    bool operator==(const BroadwayFold &o) const
    {
        return min == o.min && sum == o.sum && count == o.count && max == o.max;
    }
};

/* The next line's id and tenths. */
class BroadwayLines
{
  public:
    void next(int *id, int *tenths);

  private:
    uint64_t draw();
    uint64_t x_ = 42;
};

/* By id: of the first `lines` lines. */
std::vector<BroadwayFold> broadway_folds(uint64_t lines);
/* Writes them to a file that is there; its failure's text, or "". */
std::string broadway_write(const std::string &path, uint64_t lines);

#endif
