/* The matrices of `beltway bench cores`: for people, programs and eyes. */
#include <math.h>
#include <stdbool.h>

#include "apps/beltway/cores_priv.h"

struct matrix {
    const char *name, *title, *unit, *key;
    int digits;
    bool more; /* is better */
};

static const struct matrix matrices[] = {
    { "Latency", "one item through an idle ring, one way", "ns", "latency_ns", 0, false },
    { "Bandwidth", "64-byte items in batches of 64 through 64 KiB", "GB/s", "gb_per_s", 2, true },
    { "Wake", "from push to a sleeping reader that has it", "us", "wake_us", 1, false },
};

#define MATRICES (sizeof matrices / sizeof *matrices)

static const double *values_of(const struct belt_cores *cores, size_t m)
{
    const double *const all[MATRICES] = { cores->ns, cores->gb, cores->wake_us };
    return all[m];
}

void belt_cores_table(const struct belt_cores *cores, FILE *out)
{
    for (size_t m = 0; m < MATRICES; m++) {
        const double *values = values_of(cores, m);
        fprintf(out, "%s%s, %s: %s\n%8s", m ? "\n" : "", matrices[m].name, matrices[m].unit,
                matrices[m].title, "from\\to");
        for (uint32_t b = 0; b < cores->count; b++)
            fprintf(out, "%8d", cores->cpus[b]);
        for (uint32_t a = 0; a < cores->count; a++) {
            fprintf(out, "\n%8d", cores->cpus[a]);
            for (uint32_t b = 0; b < cores->count; b++)
                if (a == b)
                    fprintf(out, "%8s", "-");
                else
                    fprintf(out, "%8.*f", matrices[m].digits, values[a * cores->count + b]);
        }
        fputc('\n', out);
    }
}

void belt_cores_json(const struct belt_cores *cores, FILE *out)
{
    fputs("{\n  \"cpus\": [", out);
    for (uint32_t a = 0; a < cores->count; a++)
        fprintf(out, "%s%d", a ? ", " : "", cores->cpus[a]);
    for (size_t m = 0; m < MATRICES; m++) {
        const double *values = values_of(cores, m);
        fprintf(out, "],\n  \"%s\": [", matrices[m].key);
        for (uint32_t a = 0; a < cores->count; a++) {
            fputs(a ? ",\n    [" : "\n    [", out);
            for (uint32_t b = 0; b < cores->count; b++)
                fprintf(out, "%s%.3f", b ? ", " : "", values[a * cores->count + b]);
            fputc(']', out);
        }
    }
    fputs("]\n}\n", out);
}

/* ---- the picture ------------------------------------------------------------------ */

#define LEFT 60
#define TOP 56
#define GAP 70
#define WIDTH 480 /* of a map, whatever the number of CPUs */

static double side_of(const struct belt_cores *cores)
{
    return cores->count < 8 ? 60 : (double)WIDTH / cores->count;
}

struct range {
    double least, most;
};

static struct range range_of(const struct belt_cores *cores, const double *values)
{
    struct range r = { 0, 0 };
    bool any = false;
    for (uint32_t i = 0; i < cores->count * cores->count; i++) {
        if (i / cores->count == i % cores->count)
            continue;
        r.least = !any || values[i] < r.least ? values[i] : r.least;
        r.most = !any || values[i] > r.most ? values[i] : r.most;
        any = true;
    }
    return r;
}

/* How much dearer than the best, 0 to 1 on a logarithmic scale that has four times
 * the best on it at least: what differs by a tenth looks alike. */
static double dearness(const struct matrix *matrix, struct range range, double value)
{
    double best = matrix->more ? range.most : range.least;
    double worst = matrix->more ? range.least : range.most;
    if (best <= 0 || worst <= 0 || value <= 0)
        return 0;
    double scale = fabs(log2(worst / best));
    return fabs(log2(value / best)) / (scale > 2 ? scale : 2);
}

/* From pale (good) to dark red (dear), so that it can be read without colours, too. */
static void put_cell(const struct belt_cores *cores, size_t m, uint32_t a, uint32_t b,
                     struct range range, double top, FILE *out)
{
    const struct matrix *matrix = &matrices[m];
    double side = side_of(cores), value = values_of(cores, m)[a * cores->count + b];
    double x = LEFT + b * side, y = top + a * side;
    double dear = dearness(matrix, range, value);
    fprintf(
        out,
        "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
        "fill=\"hsl(%.0f,70%%,%.0f%%)\" stroke=\"#fff\"><title>%d to %d: %.*f %s</title></rect>\n",
        x, y, side, side, 50 - 40 * dear, 88 - 48 * dear, cores->cpus[a], cores->cpus[b],
        matrix->digits, value, matrix->unit);
    if (side >= 30)
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\" fill=\"%s\">%.*f</text>\n",
                x + side / 2, y + side / 2 + 4, dear > 0.6 ? "#fff" : "#222", matrix->digits,
                value);
}

/* Every nth number where all of them would not fit. */
static void put_names(const struct belt_cores *cores, double top, FILE *out)
{
    double side = side_of(cores);
    uint32_t each = side >= 20 ? 1 : (uint32_t)(20 / side) + 1;
    for (uint32_t i = 0; i < cores->count; i += each) {
        double at = (i + 0.5) * side;
        fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%d</text>\n", LEFT + at,
                top - 6, cores->cpus[i]);
        fprintf(out, "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%d</text>\n", LEFT - 6,
                top + at + 4, cores->cpus[i]);
    }
}

void belt_cores_svg(const struct belt_cores *cores, FILE *out)
{
    double map = side_of(cores) * cores->count;
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%.0f\" "
            "font-family=\"sans-serif\" font-size=\"12\" fill=\"#222\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            LEFT + WIDTH + 20, (double)MATRICES * (TOP + map + GAP));
    for (size_t m = 0; m < MATRICES; m++) {
        const struct matrix *matrix = &matrices[m];
        struct range range = range_of(cores, values_of(cores, m));
        double top = (double)m * (TOP + map + GAP) + TOP + 20;
        fprintf(out,
                "<text x=\"%d\" y=\"%.0f\" font-size=\"16\" font-weight=\"bold\">%s: %.*f to "
                "%.*f %s</text>\n<text x=\"%d\" y=\"%.0f\">%s; rows: from, columns: to</text>\n",
                LEFT, top - 42, matrix->name, matrix->digits, range.least, matrix->digits,
                range.most, matrix->unit, LEFT, top - 25, matrix->title);
        put_names(cores, top, out);
        for (uint32_t a = 0; a < cores->count; a++)
            for (uint32_t b = 0; b < cores->count; b++)
                if (a != b)
                    put_cell(cores, m, a, b, range, top, out);
    }
    fputs("</svg>\n", out);
}
