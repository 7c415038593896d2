/* Atomics: the one file that names the compiler's. C11 meaning (memory_order_*
 * as in the names), usable from C++17 as well, where <stdatomic.h> is not. A
 * name without a number works on uint64_t, one ending in 32 or 8 on uint32_t or uint8_t; the
 * words are plain integers, so that they can lie in shared memory.
 *
 * Read-modify-write operations are acquire and release unless the name says which alone,
 * or relaxed; then what a compare-and-swap that fails found is relaxed as well. */
#ifndef BELT_ATOMIC_H
#define BELT_ATOMIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__SANITIZE_THREAD__)
#define BELT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define BELT_TSAN 1
#endif
#endif

/* ---- 64 bits ------------------------------------------------------------------- */

static inline uint64_t belt_load_relaxed(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static inline uint64_t belt_load_acquire(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline void belt_store_relaxed(uint64_t *at, uint64_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static inline void belt_store_release(uint64_t *at, uint64_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* The fetch functions return what was there before. */
static inline uint64_t belt_fetch_add(uint64_t *at, uint64_t value)
{
    return __atomic_fetch_add(at, value, __ATOMIC_ACQ_REL);
}

static inline uint64_t belt_fetch_add_relaxed(uint64_t *at, uint64_t value)
{
    return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}

static inline uint64_t belt_fetch_add_release(uint64_t *at, uint64_t value)
{
    return __atomic_fetch_add(at, value, __ATOMIC_RELEASE);
}

static inline uint64_t belt_fetch_or(uint64_t *at, uint64_t bits)
{
    return __atomic_fetch_or(at, bits, __ATOMIC_ACQ_REL);
}

static inline uint64_t belt_fetch_and(uint64_t *at, uint64_t bits)
{
    return __atomic_fetch_and(at, bits, __ATOMIC_ACQ_REL);
}

static inline uint64_t belt_exchange(uint64_t *at, uint64_t value)
{
    return __atomic_exchange_n(at, value, __ATOMIC_ACQ_REL);
}

/* False: *expected now holds what was there. Never fails without a reason. */
static inline bool belt_cas(uint64_t *at, uint64_t *expected, uint64_t value)
{
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static inline bool belt_cas_acquire(uint64_t *at, uint64_t *expected, uint64_t value)
{
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_ACQUIRE,
                                       __ATOMIC_RELAXED);
}

static inline bool belt_cas_release(uint64_t *at, uint64_t *expected, uint64_t value)
{
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_RELEASE,
                                       __ATOMIC_RELAXED);
}

/* Where something else orders it: what was looked at before, what is stored after. */
static inline bool belt_cas_relaxed(uint64_t *at, uint64_t *expected, uint64_t value)
{
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

/* ---- 32 bits ------------------------------------------------------------------- */

static inline uint32_t belt_load_relaxed32(const uint32_t *at)
{
    return __atomic_load_n(at, __ATOMIC_RELAXED);
}

static inline uint32_t belt_load_acquire32(const uint32_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static inline void belt_store_relaxed32(uint32_t *at, uint32_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

static inline void belt_store_release32(uint32_t *at, uint32_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}

static inline uint32_t belt_fetch_add32(uint32_t *at, uint32_t value)
{
    return __atomic_fetch_add(at, value, __ATOMIC_ACQ_REL);
}

static inline uint32_t belt_fetch_add_relaxed32(uint32_t *at, uint32_t value)
{
    return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
}

static inline uint32_t belt_fetch_add_release32(uint32_t *at, uint32_t value)
{
    return __atomic_fetch_add(at, value, __ATOMIC_RELEASE);
}

static inline uint32_t belt_fetch_or32(uint32_t *at, uint32_t bits)
{
    return __atomic_fetch_or(at, bits, __ATOMIC_ACQ_REL);
}

static inline uint32_t belt_fetch_or_release32(uint32_t *at, uint32_t bits)
{
    return __atomic_fetch_or(at, bits, __ATOMIC_RELEASE);
}

static inline uint32_t belt_exchange32(uint32_t *at, uint32_t value)
{
    return __atomic_exchange_n(at, value, __ATOMIC_ACQ_REL);
}

static inline uint32_t belt_exchange_acquire32(uint32_t *at, uint32_t value)
{
    return __atomic_exchange_n(at, value, __ATOMIC_ACQUIRE);
}

static inline bool belt_cas32(uint32_t *at, uint32_t *expected, uint32_t value)
{
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_ACQ_REL,
                                       __ATOMIC_ACQUIRE);
}

static inline bool belt_cas_relaxed32(uint32_t *at, uint32_t *expected, uint32_t value)
{
    return __atomic_compare_exchange_n(at, expected, value, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED);
}

/* ---- 8 bits ------------------------------------------------------------------- */

static inline void belt_store_relaxed8(uint8_t *at, uint8_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELAXED);
}

/* ---- payload ------------------------------------------------------------------- */

/* As memcpy(), whatever the C library makes of that: under _FORTIFY_SOURCE clang sees a
 * call, and keeps in memory what could go from registers into a slot. */
static inline void belt_copy(void *to, const void *from, size_t size)
{
    __builtin_memcpy(to, from, size);
}

/* Plain copies to and from slots, which the protocol alone orders: marked here, so
 * that the explorer can tell a race. */
static inline void belt_data_store(void *slot, const void *from, size_t size)
{
    belt_copy(slot, from, size);
}

static inline void belt_data_load(void *to, const void *slot, size_t size)
{
    belt_copy(to, slot, size);
}

/* ---- fences -------------------------------------------------------------------- */

/* Orders everything before it against everything after it, stores against
 * later loads included. Thread sanitizer does not understand fences, but it
 * does understand this word, which orders the same on every machine it runs on. */
static inline void belt_fence_seq(void)
{
#if defined(BELT_TSAN)
    static uint32_t word;
    __atomic_fetch_add(&word, 1, __ATOMIC_SEQ_CST);
#else
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
#endif
}

/* Against the compiler alone: for the cheap side of a membarrier pair. */
static inline void belt_fence_compiler(void)
{
    __atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* A polite turn of a spin loop: leaves the core to the sibling thread. */
static inline void belt_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("isb" ::: "memory");
#else
    belt_fence_compiler();
#endif
}

#endif
