/* What the built-in steps share. */
#ifndef BELT_STEPS_PRIV_H
#define BELT_STEPS_PRIV_H

#include <string.h>

#include "core/part.h"

/* The place of a setting for messages: its own, or the step's when it was not given. */
static inline const struct belt_node *belt_step_place(const struct belt_setup *setup,
                                                      const char *setting)
{
    const struct belt_node *own = belt_setup_node(setup);
    const struct belt_node *node = belt_node_get(own, setting);
    return node ? node : own;
}

/* State of a step that needs nothing but its conf. */
struct belt_step_state {
    void *conf;
};

static inline int belt_step_init(void *state, void *conf, const struct belt_instance *in,
                                 struct belt_error *err)
{
    (void)in;
    (void)err;
    ((struct belt_step_state *)state)->conf = conf;
    return 0;
}

/* The texts of column `to` are pieces of those of column `from`. What is behind the view was
 * not written yet; when the bytes move to fresh room, the engine looks at it all the same. */
static inline void belt_step_borrow(struct belt_view *view, int to, int from)
{
    struct belt_column *column = &view->columns[to];
    column->base = view->columns[from].base;
    memset(column->as.spans + view->end, 0, (BELT_FRAME - view->end) * sizeof *column->as.spans);
}

/* Visits the words that hold messages of [first, end); some, when there is one. */
#define BELT_EACH_WORD(view, w) for (uint32_t w = (view)->first / 64; w * 64 < (view)->end; w++)

#endif
