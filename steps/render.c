/* The step `render`: a text made of fields. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "steps/render_priv.h"
#include "steps/steps_priv.h"

enum { FIELD_NAME = 64, LITERAL = -1 };

/* A piece of the template: bytes of it, or a field. */
struct piece {
    const char *text;
    uint32_t size;
    int column; /* LITERAL: none */
    struct belt_column_info info;
    struct belt_way way;
};

struct render_conf {
    const char *template, *into;
    struct piece *pieces;
    size_t count;
    int column;
};

static const struct belt_setting render_settings[] = {
    { "template", BELT_SET_TEXT, offsetof(struct render_conf, template), NULL,
      "the text, with {field} for a field's value, {field:WAY|none} for one that is trimmed, "
      "quoted (json, csv, url), widened, or none when it is empty; {{ and }} for braces",
      NULL, 0, 0 },
    { "into", BELT_SET_TEXT, offsetof(struct render_conf, into), "payload",
      "payload, or the name of a new text field", NULL, 0, 0 },
    { 0 },
};

/* ---- set-up -------------------------------------------------------------------- */

static const struct belt_node *template_place(const struct belt_setup *setup)
{
    return belt_step_place(setup, "template");
}

/* `at` is behind the opening brace; returns what is behind the closing one. */
static const char *read_field(struct piece *piece, const char *at, struct belt_setup *setup,
                              struct belt_error *err)
{
    char name[FIELD_NAME];
    size_t size = strcspn(at, "{}"), used = strcspn(at, "{}:|");
    if (at[size] != '}') {
        belt_node_error(err, template_place(setup),
                        "template: a { without its }; a brace "
                        "itself is written {{");
        return NULL;
    }
    if (used == 0 || used >= sizeof name) {
        belt_node_error(err, template_place(setup), "template: {%.*s} names no field",
                        (int)(size < sizeof name ? size : sizeof name), at);
        return NULL;
    }
    memcpy(name, at, used);
    name[used] = 0;
    piece->column = belt_setup_field(setup, template_place(setup), name, err);
    if (piece->column < 0)
        return NULL;
    piece->info = *belt_setup_info(setup, piece->column);
    if (belt_way_read(&piece->way, at + used, size - used, &piece->info, template_place(setup),
                      err) < 0)
        return NULL;
    return at + size + 1;
}

/* Reads one piece; a doubled brace ends a literal with one of the two in it. */
static const char *read_piece(struct piece *piece, const char *at, struct belt_setup *setup,
                              struct belt_error *err)
{
    if (at[0] == '{' && at[1] != '{')
        return read_field(piece, at + 1, setup, err);
    size_t size = strcspn(at, "{}");
    const char *brace = at + size;
    bool doubled = *brace && brace[0] == brace[1];
    *piece = (struct piece){ .text = at, .size = (uint32_t)(size + doubled), .column = LITERAL };
    if (*brace == '}' && !doubled) {
        belt_node_error(err, template_place(setup),
                        "template: a } without its {; a brace "
                        "itself is written }}");
        return NULL;
    }
    return brace + 2 * doubled;
}

static int render_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct render_conf *render = conf;
    /* No piece but the empty template's takes less than a byte of it. */
    render->pieces = calloc(strlen(render->template) + 1, sizeof *render->pieces);
    if (!render->pieces)
        return belt_error_set(err, -ENOMEM, "%s: out of memory", belt_setup_path(setup));
    for (const char *at = render->template; *at;) {
        at = read_piece(&render->pieces[render->count++], at, setup, err);
        if (!at)
            return -EINVAL;
    }
    if (strcmp(render->into, "payload") == 0)
        return 0;
    render->column =
        belt_setup_add(setup, belt_step_place(setup, "into"), render->into, BELT_TEXT, 0, err);
    return render->column < 0 ? render->column : 0;
}

static void render_close(void *conf)
{
    struct render_conf *render = conf;
    free(render->pieces);
    render->pieces = NULL;
    render->count = 0;
}

/* ---- the work ------------------------------------------------------------------ */

struct render_state {
    const struct render_conf *render;
    struct part {
        const char *text;
        uint32_t size;    /* of the value */
        uint64_t written; /* as it is written */
        char number[BELT_WAY_NUMBER];
    } * parts; /* of the message in work */
};

static int render_init(void *state, void *conf, const struct belt_instance *in,
                       struct belt_error *err)
{
    struct render_state *own = state;
    own->render = conf;
    own->parts = calloc(own->render->count + 1, sizeof *own->parts);
    if (!own->parts)
        return belt_error_set(err, -ENOMEM, "%s: render: out of memory", in->stage);
    return 0;
}

static void render_fini(void *state, void *conf)
{
    struct render_state *own = state;
    (void)conf;
    free(own->parts);
    own->parts = NULL;
}

/* The size of message i's text; its parts are ready to be copied. */
static uint64_t measure(struct render_state *own, const struct belt_view *view, uint32_t i)
{
    uint64_t size = 0;
    for (size_t p = 0; p < own->render->count; p++) {
        const struct piece *piece = &own->render->pieces[p];
        struct part *part = &own->parts[p];
        if (piece->column == LITERAL) {
            part->text = piece->text;
            part->size = piece->size;
        } else {
            part->text = belt_way_value(&piece->way, view, piece->column, &piece->info, i,
                                        part->number, &part->size);
        }
        part->written = piece->way.given ? belt_way_write(&piece->way, &piece->info, part->text,
                                                          part->size, NULL)
                                         : part->size;
        size += part->written;
    }
    return size;
}

static int render_message(void *state, struct belt_view *view, uint32_t i)
{
    struct render_state *own = state;
    uint64_t size = measure(own, view, i);
    if (size > belt_room_limit(view)) {
        char reason[BELT_REASON];
        snprintf(reason, sizeof reason, "render: a text of %llu bytes, %u fit",
                 (unsigned long long)size, belt_room_limit(view));
        belt_fail_message(view, i, reason);
        return 0;
    }
    char *text = belt_room(view, (uint32_t)size), *at = text;
    if (!text)
        return -ENOBUFS;
    for (size_t p = 0; p < own->render->count; p++) {
        const struct piece *piece = &own->render->pieces[p];
        const struct part *part = &own->parts[p];
        if (piece->way.given)
            belt_way_write(&piece->way, &piece->info, part->text, part->size, at);
        else
            memcpy(at, part->text, part->size);
        at += part->written;
    }
    return belt_put_text(view, own->render->column, i, text, (uint32_t)size) ? 0 : -ENOBUFS;
}

const struct belt_step belt_render_step = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_STEP,
        .name = "render",
        .help = "a text made of fields, as the payload or as a new field",
        .settings = render_settings,
        .conf_size = sizeof(struct render_conf),
        .state_size = sizeof(struct render_state),
        .prepare = render_prepare,
        .init = render_init,
        .fini = render_fini,
        .close = render_close,
        .scalar = "template",
    },
    .message = render_message,
};
