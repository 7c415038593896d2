/* How a run went: failures, one line, the report. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "apps/beltway/app_priv.h"
#include "core/placement.h"
#include "core/telemetry.h"

#define SHOWN 10

void belt_app_failures(struct belt_pipeline *p, const struct belt_totals *totals)
{
    struct belt_failure first[SHOWN];
    char more[BELT_APP_ROOM];
    size_t shown = belt_pipeline_failures(p, first, SHOWN);
    for (size_t i = 0; i < shown; i++)
        fprintf(stderr, "%s: %s\n", first[i].where, first[i].reason);
    if (totals->failed > shown)
        fprintf(stderr, "... and %s more\n", belt_app_count(totals->failed - shown, more));
}

static void print_count(uint64_t value, const char *what)
{
    char text[BELT_APP_ROOM];
    fprintf(stderr, ", %s %s", belt_app_count(value, text), what);
}

static void print_left(const char *name, const struct belt_totals *totals, int signal, int rc)
{
    char count[BELT_APP_ROOM], read[BELT_APP_ROOM], all[BELT_APP_ROOM];
    fprintf(stderr, "%s: stopped early", name);
    if (signal)
        fprintf(stderr, " by SIG%s", sigabbrev_np(signal));
    else if (rc == 0)
        fputs(" because more messages failed than fail_limit allows", stderr);
    fprintf(stderr, "; %s rows inside were not settled", belt_app_count(totals->unsettled, count));
    if (!totals->complete)
        fprintf(stderr, ", the input was read to %s",
                belt_app_scaled((double)totals->bytes_in, "B", read));
    if (!totals->complete && totals->bytes_total)
        fprintf(stderr, " of %s", belt_app_scaled((double)totals->bytes_total, "B", all));
    fputc('\n', stderr);
}

void belt_app_summary(struct belt_pipeline *p, const char *name, const struct belt_totals *totals,
                      int signal, int rc)
{
    char rows[BELT_APP_ROOM], rate[BELT_APP_ROOM], bytes[BELT_APP_ROOM];
    double seconds = (double)totals->elapsed_ns / 1e9;
    double per = seconds > 0 ? 1 / seconds : 0;
    if (!totals->complete || totals->unsettled)
        print_left(name, totals, signal, rc);
    fprintf(stderr, "%s: %s rows in %.*f s: %s/s, %s/s", name,
            belt_app_count(totals->received, rows), seconds < 0.1 ? 4 : 2, seconds,
            belt_app_scaled((double)totals->received * per, "rows", rate),
            belt_app_scaled((double)totals->bytes_in * per, "B", bytes));
    if (totals->dropped)
        print_count(totals->dropped, "dropped");
    print_count(totals->failed, "failed");
    fprintf(stderr, "; %s\n", belt_pipeline_plan_line(p));
    char got[512];
    belt_pipeline_got(p, got, sizeof got);
    fprintf(stderr, "%s: got %s\n", name, got);
}

static void print_time(double ns, const char *what)
{
    static const char *const units[] = { "ns", "us", "ms" };
    size_t i = 0;
    for (; ns >= 1000 && i < sizeof units / sizeof *units - 1; i++)
        ns /= 1000;
    fprintf(stderr, " %.*f %s %s", ns < 10 && i ? 2 : ns < 100 && i ? 1 : 0, ns, units[i], what);
}

void belt_app_latency(struct belt_pipeline *p, const char *name)
{
    static const struct {
        double part;
        const char *what;
    } parts[] = { { 0.5, "p50," }, { 0.99, "p99," }, { 0.999, "p99.9," }, { 1, "most\n" } };
    struct belt_hist *h = malloc(sizeof *h);
    if (!h)
        return;
    belt_pipeline_latency(p, h);
    fprintf(stderr, "%s: read to settled:", name);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        print_time((double)belt_hist_quantile(h, parts[i].part), parts[i].what);
    free(h);
}

int belt_app_report(struct belt_pipeline *p, const char *path)
{
    struct belt_error err;
    FILE *out = fopen(path, "we");
    if (!out) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return BELT_APP_FAILED;
    }
    int rc = belt_pipeline_report(p, out, &err);
    if (fclose(out) != 0 && rc >= 0)
        rc = belt_error_set(&err, -errno, "%s: %s", path, strerror(errno));
    return rc < 0 ? belt_app_error(&err) : BELT_APP_OK;
}
