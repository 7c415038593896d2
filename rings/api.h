/* What every header of this folder needs, and nothing else. */
#ifndef BELT_RINGS_API_H
#define BELT_RINGS_API_H

/* The same words as in core/error.h: an embedder may take either alone or both. */
#if defined(__GNUC__)
#define BELT_API __attribute__((visibility("default")))
#else
#define BELT_API
#endif

/* Two lines: the adjacent-line prefetcher fetches them in pairs, so data of
 * two writers is kept this far apart. */
#define BELT_LINES 128

#endif
