/* Numbers for people, and the line that moves while a run goes on. */
#include <inttypes.h>
#include <string.h>

#include "apps/beltway/app_priv.h"

const char *belt_app_count(uint64_t value, char out[BELT_APP_ROOM])
{
    char digits[24];
    int size = snprintf(digits, sizeof digits, "%" PRIu64, value);
    char *at = out;
    for (int i = 0; i < size; i++) {
        if (i && (size - i) % 3 == 0)
            *at++ = ',';
        *at++ = digits[i];
    }
    *at = 0;
    return out;
}

const char *belt_app_scaled(double value, const char *unit, char out[BELT_APP_ROOM])
{
    static const char *const prefixes[] = { "", "k", "M", "G", "T" };
    size_t i = 0;
    for (; value >= 1000 && i < sizeof prefixes / sizeof *prefixes - 1; i++)
        value /= 1000;
    /* 1.2 GB, but 1.2 M rows: a prefix sticks to a symbol, not to a word. */
    const char *gap = i > 0 && unit[1] ? " " : "";
    snprintf(out, BELT_APP_ROOM, "%.*f %s%s%s",
             i == 0        ? 0
             : value < 100 ? 2
                           : 1,
             value, prefixes[i], gap, unit);
    return out;
}

/* The rate of now, not of the whole run, but steady enough to be read. */
static void follow_rate(struct belt_app_progress *progress, const struct belt_totals *totals)
{
    double seconds = (double)(totals->elapsed_ns - progress->drawn_ns) / 1e9;
    double rate = (double)(totals->received - progress->rows) / seconds;
    progress->rate = progress->drawn_ns ? 0.7 * progress->rate + 0.3 * rate : rate;
    progress->drawn_ns = totals->elapsed_ns;
    progress->rows = totals->received;
}

void belt_app_progress_draw(struct belt_app_progress *progress, const struct belt_totals *totals)
{
    if (!progress->on || totals->elapsed_ns < progress->drawn_ns + 200000000)
        return;
    follow_rate(progress, totals);
    char rows[BELT_APP_ROOM], rate[BELT_APP_ROOM];
    fprintf(stderr, "\r\033[K%s: %s rows, %s/s", progress->name,
            belt_app_count(totals->received, rows), belt_app_scaled(progress->rate, "rows", rate));
    if (totals->bytes_total && totals->bytes_in) {
        double part = (double)totals->bytes_in / (double)totals->bytes_total;
        double left = (double)totals->elapsed_ns / 1e9 * (1 - part) / part;
        fprintf(stderr, ", %.0f %%, %.0f s left", 100 * part, left > 0 ? left : 0);
    }
    fflush(stderr);
}

void belt_app_progress_clear(struct belt_app_progress *progress)
{
    if (progress->on && progress->drawn_ns)
        fputs("\r\033[K", stderr);
}
