/* What can be set in a pipeline beside its parts: the tables that settings are read by. */
#include "core/pipeline.h"
#include "core/settings_priv.h"

static const struct belt_section sections[] = {
    { "pipeline",
      "top",
      "the top level of a file; keys that begin with x- are free",
      NULL,
      { belt_top_settings, belt_hold_settings },
      NULL },
    { "source",
      "sources",
      "source: { PART: { ... }, SETTING: VALUE }",
      NULL,
      { belt_source_settings },
      NULL },
    { "rate", NULL, "rate: of a source", "messages", { belt_rate_settings }, NULL },
    { "restart", NULL, "restart: of a source", "max", { belt_restart_settings }, NULL },
    { "processor",
      "processors",
      "processor: { steps: [ PART: { ... } ], SETTING: VALUE }",
      NULL,
      { belt_processor_settings },
      NULL },
    { "batcher",
      "batchers",
      "batcher: { sink: { PART: { ... } }, SETTING: VALUE }",
      NULL,
      { belt_batcher_settings },
      NULL },
    { "aggregate", NULL, "aggregate: of a batcher", NULL, { belt_aggregate_settings }, NULL },
    { "spill", NULL, "spill: of a batcher", NULL, { belt_spill_settings }, NULL },
    { "worker",
      NULL,
      "worker: of a batcher whose sink runs in one",
      NULL,
      { belt_worker_settings },
      NULL },
    { "failed",
      NULL,
      "failed: how often to try, and where what fails for good goes",
      NULL,
      { belt_retry_settings, belt_batcher_settings },
      belt_failed_without },
    { "placement", NULL, "placement: lanes and CPUs", NULL, { belt_placement_settings }, NULL },
};

const struct belt_section *belt_section_at(size_t i)
{
    return i < sizeof sections / sizeof *sections ? &sections[i] : NULL;
}
