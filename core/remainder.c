/* What a pipeline that ended early has left, and where. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/control_priv.h"

static struct belt_remainder *entry_of(const struct belt_spec *spec, struct belt_remainder *left,
                                       uint32_t s)
{
    left[s].size = sizeof *left;
    left[s].source = spec->sources[s].path;
    return &left[s];
}

static void add_up(const struct belt_pipeline *p, const uint64_t (*places)[BELT_IN_PLACES],
                   struct belt_remainder *left)
{
    const struct belt_engine_run *run = p->run;
    for (uint32_t i = 0; i < run->sources_used; i++) {
        const struct belt_source_stage *s = &run->sources[i];
        struct belt_remainder *to = entry_of(p->spec, left, (uint32_t)(s->spec - p->spec->sources));
        to->unsettled += belt_ledger_count(&s->ledger).unsettled;
        for (int place = 0; place < BELT_IN_PLACES; place++)
            to->in[place] += places[i][place];
    }
}

int belt_pipeline_remainder(struct belt_pipeline *p, struct belt_remainder *out, size_t room,
                            struct belt_error *err)
{
    struct belt_remainder left[BELT_SOURCES] = { { 0 } };
    if (!p->run)
        return belt_error_set(err, -EINVAL, "the pipeline was not started");
    if (p->started && !p->joined)
        return belt_error_set(err, -EBUSY, "%s still runs", p->spec->name);
    uint64_t(*places)[BELT_IN_PLACES] = calloc(p->run->sources_used, sizeof *places);
    int rc = places ? belt_check_places(p->run, places, err)
                    : belt_error_set(err, -ENOMEM, "left: out of memory");
    int count = p->spec->sources_used;
    if (rc == 0)
        add_up(p, (const uint64_t(*)[BELT_IN_PLACES])places, left);
    free(places);
    for (int s = 0; rc == 0 && s < count && (size_t)s < room; s++)
        memcpy(&out[s], &left[s], sizeof left[s]);
    return rc < 0 ? rc : count;
}
