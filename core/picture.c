#include "core/picture_priv.h"

#include <stdarg.h>

void belt_svg_begin(FILE *out, int width, int height)
{
    fprintf(out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" font-family=\"DejaVu Sans, Arial, sans-serif\">\n"
            "<style>.head{font-size:14px;font-weight:bold}.title{font-size:11px;fill:#444}"
            ".pu{font-size:10px;fill:#555}.lane{font-size:11px;font-weight:bold}"
            ".stage{font-size:11px}.weight{font-size:10px;fill:#222;stroke:#fff;stroke-width:3;"
            "paint-order:stroke;text-anchor:middle}</style>\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"#fff\"/>\n",
            width, height, width, height);
}

void belt_svg_end(FILE *out)
{
    fputs("</svg>\n", out);
}

void belt_svg_box(FILE *out, int x, int y, int width, int height, const char *fill,
                  const char *line, int thick)
{
    fprintf(out,
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"3\" fill=\"%s\" "
            "stroke=\"%s\" stroke-width=\"%d\"/>\n",
            x, y, width, height, fill, line, thick);
}

static void put_escaped(const char *text, FILE *out)
{
    for (; *text; text++)
        switch (*text) {
        case '<': fputs("&lt;", out); break;
        case '>': fputs("&gt;", out); break;
        case '&': fputs("&amp;", out); break;
        default:
            if ((unsigned char)*text >= ' ') /* control bytes are no XML, however written */
                fputc(*text, out);
        }
}

void belt_svg_text(FILE *out, int x, int y, const char *class, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fprintf(out, "<text x=\"%d\" y=\"%d\" class=\"%s\">", x, y, class);
    put_escaped(text, out);
    fputs("</text>\n", out);
}

/* Aside of the straight line, to the right of who looks along it. */
static struct belt_point bend_of(struct belt_point from, struct belt_point to)
{
    int dx = to.x - from.x, dy = to.y - from.y;
    return (struct belt_point){ (from.x + to.x) / 2 - dy / 6, (from.y + to.y) / 2 + dx / 6 };
}

void belt_svg_arrow(FILE *out, struct belt_point from, struct belt_point to, const char *colour,
                    double thick)
{
    struct belt_point bend = bend_of(from, to);
    fprintf(out,
            "<path d=\"M%d %dQ%d %d %d %d\" fill=\"none\" stroke=\"%s\" stroke-width=\"%.1f\" "
            "stroke-opacity=\"0.55\"/>\n<circle cx=\"%d\" cy=\"%d\" r=\"%.1f\" fill=\"%s\"/>\n",
            from.x, from.y, bend.x, bend.y, to.x, to.y, colour, thick, to.x, to.y, 2 + thick / 2,
            colour);
}

void belt_svg_weight(FILE *out, struct belt_point from, struct belt_point to, double weight)
{
    struct belt_point bend = bend_of(from, to);
    /* A quadratic curve passes half way between its bend and the straight line. */
    int x = (from.x + to.x) / 4 + bend.x / 2, y = (from.y + to.y) / 4 + bend.y / 2;
    fprintf(out, "<text x=\"%d\" y=\"%d\" class=\"weight\">%.*f</text>\n", x, y + 3,
            weight < 10 ? 1 : 0, weight);
}
