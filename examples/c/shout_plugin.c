/* A step as a plugin: letters become capitals, and a mark is put behind. See
 * shout.yaml for its use. */
#include <ctype.h>
#include <string.h>

#include <beltway/part.h>

struct shout_conf {
    const char *field, *mark;
    int column;
    uint32_t mark_size;
};

struct shout_state {
    const struct shout_conf *conf;
};

static const struct belt_setting shout_settings[] = {
    { "field", BELT_SET_TEXT, offsetof(struct shout_conf, field), "payload",
      "the text field to change", NULL, 0, 0 },
    { "mark", BELT_SET_TEXT, offsetof(struct shout_conf, mark), "!", "what to put behind it", NULL,
      0, 0 },
    { 0 },
};

static int shout_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct shout_conf *shout = conf;
    const struct belt_node *at = belt_setup_node(setup);
    shout->mark_size = (uint32_t)strlen(shout->mark);
    shout->column = belt_setup_field(setup, at, shout->field, err);
    if (shout->column < 0)
        return shout->column;
    if (belt_setup_info(setup, shout->column)->type != BELT_TEXT)
        return belt_node_error(err, at, "shout: '%s' is no text", shout->field);
    return 0;
}

static int shout_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    (void)in;
    (void)err;
    ((struct shout_state *)state)->conf = conf;
    return 0;
}

/* Published bytes are never changed in place: new ones go to the frame's own room. */
static int shout_message(void *state, struct belt_view *view, uint32_t i)
{
    const struct shout_conf *conf = ((struct shout_state *)state)->conf;
    uint32_t size;
    const char *text = belt_text(view, conf->column, i, &size);
    uint32_t all = size + conf->mark_size;
    if (all > belt_room_limit(view)) {
        belt_fail_message(view, i, "too long to shout");
        return 0;
    }
    char *room = belt_room(view, all);
    if (!room)
        return -1; /* used up: called again for this message with fresh room */
    for (uint32_t at = 0; at < size; at++)
        room[at] = (char)toupper((unsigned char)text[at]);
    memcpy(room + size, conf->mark, conf->mark_size);
    return belt_put_text(view, conf->column, i, room, all) ? 0 : -1;
}

static const struct belt_step shout_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "shout",
              .help = "letters become capitals, with a mark behind",
              .settings = shout_settings,
              .conf_size = sizeof(struct shout_conf),
              .state_size = sizeof(struct shout_state),
              .prepare = shout_prepare,
              .init = shout_init,
              .scalar = "mark" },
    .message = shout_message,
};

BELT_API extern const struct belt_part *const belt_plugin_parts[];
const struct belt_part *const belt_plugin_parts[] = { &shout_step.part, NULL };
