/* What went wrong, in words. Cold calls return 0 or a negative code (the
 * kernel's errno numbers, negated) and fill this; nothing here prints. */
#ifndef BELT_ERROR_H
#define BELT_ERROR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define BELT_API __attribute__((visibility("default")))
#define BELT_PRINTF(text_at, first_at) __attribute__((format(printf, text_at, first_at)))
#else
#define BELT_API
#define BELT_PRINTF(text_at, first_at)
#endif

/* The caller's; zero it or not, a failing call sets every field. */
struct belt_error {
    int code;        /* what the call returned: negative errno */
    int config;      /* 1: the configuration is at fault (CLI exit 78), 0: machine or data */
    char text[1000]; /* one line without its end, "FILE:LINE:COLUMN: ..." for a file */
};

/* Sets `err` (which may be NULL) and returns `code`, so that a failing call is
 * one line: return belt_error_set(err, -EINVAL, "ring %s: ...", name). Any thread. */
BELT_API int belt_error_set(struct belt_error *err, int code, const char *format, ...)
    BELT_PRINTF(3, 4);

/* The same for the configuration: err->config = 1, returns -EINVAL. */
BELT_API int belt_error_config(struct belt_error *err, const char *format, ...) BELT_PRINTF(2, 3);

#ifdef __cplusplus
}
#endif
#endif
