/* The steps `keep` and `drop`: messages chosen by a condition. */
#include "steps/condition_priv.h"
#include "steps/steps_priv.h"

struct keep_conf {
    const struct belt_node *node;
    struct belt_condition *condition;
};

static const struct belt_setting keep_settings[] = {
    { "condition", BELT_SET_TREE, offsetof(struct keep_conf, node), NULL, BELT_CONDITION_HELP, NULL,
      0, 0 },
    { 0 },
};

static int keep_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct keep_conf *keep = conf;
    return belt_condition_new(&keep->condition, setup, keep->node, err);
}

static void keep_close(void *conf)
{
    struct keep_conf *keep = conf;
    belt_condition_free(keep->condition);
    keep->condition = NULL;
}

struct keep_state {
    const struct keep_conf *keep;
    struct belt_condition_run run;
};

static int keep_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    struct keep_state *own = state;
    const struct keep_conf *keep = own->keep = conf;
    return belt_condition_begin(&own->run, keep->condition, in->stage, err);
}

static void keep_fini(void *state, void *conf)
{
    (void)conf;
    belt_condition_end(&((struct keep_state *)state)->run);
}

static inline uint32_t choose(void *state, struct belt_view *view, bool keep_hits)
{
    struct keep_state *own = state;
    BELT_EACH_WORD(view, w)
    {
        uint64_t rows = belt_live_word(view, w);
        uint64_t hits =
            rows ? belt_condition_rows(own->keep->condition, &own->run, view, w, &rows) : 0;
        uint64_t gone = keep_hits ? rows & ~hits : hits;
        if (gone)
            belt_drop_mask(view, w, gone);
    }
    return view->end;
}

static uint32_t keep_frame(void *state, struct belt_view *view)
{
    return choose(state, view, true);
}

static uint32_t drop_frame(void *state, struct belt_view *view)
{
    return choose(state, view, false);
}

const struct belt_step belt_keep_step = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_STEP,
        .name = "keep",
        .help = "drops all messages but those for which a condition holds",
        .settings = keep_settings,
        .conf_size = sizeof(struct keep_conf),
        .state_size = sizeof(struct keep_state),
        .prepare = keep_prepare,
        .init = keep_init,
        .fini = keep_fini,
        .close = keep_close,
        .scalar = "condition",
    },
    .frame = keep_frame,
};

const struct belt_step belt_drop_step = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_STEP,
        .name = "drop",
        .help = "drops the messages for which a condition holds",
        .settings = keep_settings,
        .conf_size = sizeof(struct keep_conf),
        .state_size = sizeof(struct keep_state),
        .prepare = keep_prepare,
        .init = keep_init,
        .fini = keep_fini,
        .close = keep_close,
        .scalar = "condition",
    },
    .frame = drop_frame,
};
