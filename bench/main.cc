/* Ours and the peers' repetitions in random order, so that a slow second of the
 * machine falls on all of them alike. Flags given by the user come later and win. */
#include <benchmark/benchmark.h>

#include <vector>

int main(int argc, char **argv)
{
    char shuffled[] = "--benchmark_enable_random_interleaving=true";
    std::vector<char *> args(argv, argv + argc);
    args.insert(args.begin() + 1, shuffled);
    args.push_back(nullptr);
    int count = argc + 1;
    benchmark::Initialize(&count, args.data());
    if (benchmark::ReportUnrecognizedArguments(count, args.data()))
        return 2;
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
