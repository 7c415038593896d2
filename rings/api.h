/* What every header of this folder needs, and nothing else. */
#ifndef BELT_RINGS_API_H
#define BELT_RINGS_API_H

/* The same words as in core/error.h: an embedder may take either alone or both. */
#if defined(__GNUC__)
#define BELT_API __attribute__((visibility("default")))
#else
#define BELT_API
#endif

/* For calls of a few instructions: out of line they cost more than they do (a push
 * under clang 14: 2.9 times, docs/decisions/005). */
#if defined(__GNUC__)
#define BELT_INLINE static inline __attribute__((always_inline))
#else
#define BELT_INLINE static inline
#endif

/* Two lines: the adjacent-line prefetcher fetches them in pairs, so data of
 * two writers is kept this far apart. */
#define BELT_LINES 128

#endif
