// belt-bench-lines LINES FILE    writes the lines of workload (c) of bench/README.md
// belt-bench-lines LINES         prints what folding them gives: "id=min/sum/count/max"

#include <cinttypes>
#include <cstdio>
#include <cstdlib>

#include "bench/broadway_lines.h"

int main(int argc, char **argv)
{
    uint64_t lines = argc > 1 ? strtoull(argv[1], nullptr, 10) : 0;
    if (!lines || argc > 3) {
        fprintf(stderr, "belt-bench-lines LINES [FILE]\n");
        return 2;
    }
    if (argc == 3) {
        std::string wrong = broadway_write(argv[2], lines);
        if (!wrong.empty())
            fprintf(stderr, "belt-bench-lines: %s\n", wrong.c_str());
        return wrong.empty() ? 0 : 1;
    }
    int id = 0;
    for (const BroadwayFold &fold : broadway_folds(lines)) {
        if (fold.count)
            printf("s%03d=%" PRId64 "/%" PRId64 "/%" PRId64 "/%" PRId64 "\n", id, fold.min,
                   fold.sum, fold.count, fold.max);
        id++;
    }
    return 0;
}
