// What was found: as tables, as JSON, as pictures.
#ifndef BELT_RING_REPORT_H
#define BELT_RING_REPORT_H

#include "bench/ring_run.h"

using Results = std::vector<std::vector<Result>>; // by panel

// A figure in the unit that people read: "123.4", and its "M/s".
double scaled(Unit unit, double value);
const char *scaled_unit(Unit unit);

// What bounds a panel, in its own unit, by near samples or far ones; 0: not measured.
double limit_of(const Results &all, const Panel &panel, bool near);
// The best of the others that keep as much order; nullptr: none.
const Result *best_peer(const std::vector<Result> &panel, const Result &ours);
// How many times better one is than the other, near compared with near, else far
// with far; above 1 whatever the unit.
double times_better(const Result &one, const Result &other);
// The order of rows and bars: by median, the best first.
bool higher_up(const Result &one, const Result &other);

void print_panel(const std::vector<Result> &panel);
void print_ratios(const Results &all);
bool write_json(const char *path, const Results &all, const Panels &panels);
// One SVG for each table, DIR/rings-<table>.svg; DIR is made when it is not there.
bool write_plots(const char *dir, const Results &all);

#endif
