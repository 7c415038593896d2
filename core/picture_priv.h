/* Shapes of a picture in SVG. Units: pixels from the left upper corner. */
#ifndef BELT_PICTURE_PRIV_H
#define BELT_PICTURE_PRIV_H

#include <stdio.h>

struct belt_point {
    int x, y;
};

void belt_svg_begin(FILE *out, int width, int height);
void belt_svg_end(FILE *out);
void belt_svg_box(FILE *out, int x, int y, int width, int height, const char *fill,
                  const char *line, int thick);
/* Classes: head, title, pu, lane, stage. The text may hold anything. */
void belt_svg_text(FILE *out, int x, int y, const char *class, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* A bent line from box to box, so that lines there and back lie apart. */
void belt_svg_arrow(FILE *out, struct belt_point from, struct belt_point to, const char *colour,
                    double thick);
/* A number at its middle. */
void belt_svg_weight(FILE *out, struct belt_point from, struct belt_point to, double weight);

#endif
