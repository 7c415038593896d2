#ifndef BELT_BENCH_PSS_H
#define BELT_BENCH_PSS_H

#include <cstdlib>
#include <fstream>
#include <string>

// PSS of this process in MiB, pages of hugetlbfs added; 0: not to be had.
inline double bench_pss_mib()
{
    std::ifstream in("/proc/self/smaps_rollup");
    double kib = 0;
    for (std::string key, rest; in >> key; std::getline(in, rest))
        if (key == "Pss:" || key == "Shared_Hugetlb:" || key == "Private_Hugetlb:")
            kib += strtod(rest.c_str(), nullptr);
    return kib / 1024;
}

#endif
