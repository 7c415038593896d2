/* How `beltway bench cores` shows what it measured. */
#ifndef BELT_CORES_PRIV_H
#define BELT_CORES_PRIV_H

#include <stdio.h>

#include "core/cores.h"

void belt_cores_table(const struct belt_cores *cores, FILE *out);
void belt_cores_json(const struct belt_cores *cores, FILE *out);
/* A heat map of each matrix. */
void belt_cores_svg(const struct belt_cores *cores, FILE *out);

#endif
