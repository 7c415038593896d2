/* Hot files (*_hot.c) are compiled twice, for x86-64-v2 and for x86-64-v3
 * (AVX2, BMI). BELT_HOT(name) is name_v2 or name_v3 by the compilation; callers
 * choose once at set-up by belt_isa_v3(). BELT_ISA=v2 in the environment of
 * the process forces the baseline, for tests and comparisons. */
#ifndef BELT_ISA_H
#define BELT_ISA_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define BELT_HOT_JOIN2(name, isa) name##_##isa
#define BELT_HOT_JOIN(name, isa) BELT_HOT_JOIN2(name, isa)
#ifdef BELT_ISA
#define BELT_HOT(name) BELT_HOT_JOIN(name, BELT_ISA)
#endif

static inline bool belt_isa_v3(void)
{
    const char *forced = getenv("BELT_ISA");
    if (forced && strcmp(forced, "v2") == 0)
        return false;
#if defined(__x86_64__)
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
#else
    return false;
#endif
}

#endif
