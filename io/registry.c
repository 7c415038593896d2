/* The parts of io/, for the core (core/registry.c). */
#include "core/part.h"

#define BELT_IO(kind, table) extern const struct belt_##kind table;
#include "io/io.def"
#undef BELT_IO

extern const struct belt_part *const belt_io_parts[];

#define BELT_IO(kind, table) &table.part,
const struct belt_part *const belt_io_parts[] = {
#include "io/io.def"
    NULL,
};
#undef BELT_IO
