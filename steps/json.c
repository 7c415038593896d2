/* The step `json`: members of JSON objects as typed fields. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/isa.h"
#include "core/setup_priv.h"
#include "steps/json_shape_priv.h"
#include "steps/number_priv.h"
#include "steps/steps_priv.h"
#include "steps/utf8_priv.h"

#define NOTHING "not JSON: nothing in it"

enum {
    RUN = 64 << 10, /* bytes of records that are indexed together: offsets stay in L2 */
    PAUSE = 500     /* words of 64 messages that are walked without a look at shapes */
};

static const struct belt_setting json_settings[] = {
    { "into", BELT_SET_TREE, offsetof(struct belt_json, into), "",
      "the fields: { name: text | int | decimal(DIGITS) | float | bool | raw }, or name: { path: "
      "a.b[2], type: int, default: 0 }",
      NULL, 0, 0 },
    { "where", BELT_SET_TREE, offsetof(struct belt_json, where), "",
      "keeps the records in which these paths have these values: { level: error, user.kind: [a, "
      "b] }",
      NULL, 0, 0 },
    { "from", BELT_SET_TEXT, offsetof(struct belt_json, from), "payload",
      "the text field that is read", NULL, 0, 0 },
    { "check", BELT_SET_CHOICE, offsetof(struct belt_json, check), "kept",
      "which records fail when they are no JSON: those that where might keep, or all (slower)",
      "kept|all", 0, 0 },
    { "utf8", BELT_SET_CHOICE, offsetof(struct belt_json, utf8), "fail",
      "records that are not UTF-8: keep them, fail the message, or replace what is wrong by U+FFFD",
      "keep|fail|replace", 0, 0 },
    { "longest", BELT_SET_SIZE, offsetof(struct belt_json, longest), "1MiB",
      "a longer record fails; each instance sets 4 bytes aside for each of these", NULL, 1024,
      1 << 30 },
    { 0 },
};

/* ---- set-up ---------------------------------------------------------------------- */

static uint64_t mask_size(const struct belt_json *json)
{
    return json->utf8 != BELT_UTF8_FAIL ? json->longest + 2 * BELT_PAD : 0;
}

static uint64_t texts_size(const struct belt_json *json)
{
    return (json->fields_used + 1) * BELT_FRAME * sizeof(struct belt_span);
}

static int json_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct belt_json *json = conf;
    char type[BELT_TYPE_ROOM];
    if (!json->into && !json->where)
        return belt_node_error(err, belt_setup_node(setup),
                               "json needs into, the fields to read, or where, the records to "
                               "keep");
    json->source = belt_setup_field(setup, belt_step_place(setup, "from"), json->from, err);
    if (json->source < 0)
        return json->source;
    const struct belt_column_info *source = belt_setup_info(setup, json->source);
    if (source->type != BELT_TEXT)
        return belt_node_error(err, belt_step_place(setup, "from"),
                               "only a text can be JSON; '%s' is %s", json->from,
                               belt_type_name(type, source->type, source->digits));
    int rc = belt_json_read_into(json, setup, err);
    if (rc == 0)
        rc = belt_json_read_where(json, setup, err);
    belt_setup_memory(setup,
                      belt_json_index_size(json->longest) + mask_size(json) + texts_size(json));
    return rc;
}

static void json_close(void *conf)
{
    struct belt_json *json = conf;
    belt_json_where_free(json);
    free(json->fields);
    belt_json_paths_free(&json->paths);
    json->fields_used = 0;
    json->fields = NULL;
}

/* Shapes of records, the one that fitted last first. */
struct shapes {
    belt_json_match_fn *match;
    uint8_t order[BELT_JSON_SHAPES];
    bool learn;     /* the next record that is walked takes the last one's place */
    uint32_t poor;  /* words of records in a row of which few had a shape */
    uint32_t pause; /* words for which none is tried */
    struct belt_json_shape shape[BELT_JSON_SHAPES];
};

struct json_state {
    const struct belt_json *json;
    struct belt_json_index index;
    struct belt_json_walk walk;
    char *mask;              /* a record as it would be in UTF-8 */
    struct belt_span *texts; /* [fields][BELT_FRAME]: while texts are made */
    uint32_t made;           /* fields with a text in this frame that is not there as it is */
    bool masked;             /* the record in hand was */
    struct shapes shapes;
};

static void json_fini(void *state, void *conf)
{
    struct json_state *own = state;
    (void)conf;
    belt_json_index_close(&own->index);
    free(own->mask);
    free(own->texts);
    *own = (struct json_state){ 0 };
}

static int json_init(void *state, void *conf, const struct belt_instance *in,
                     struct belt_error *err)
{
    struct json_state *own = state;
    const struct belt_json *json = own->json = conf;
    own->walk.paths = &json->paths;
    own->shapes.match = belt_isa_v3() ? belt_json_match_v3 : belt_json_match_v2;
    for (uint8_t k = 0; k < BELT_JSON_SHAPES; k++)
        own->shapes.order[k] = k;
    bool mask = mask_size(json);
    /* Both are as large as a record may be, and used as far as records are. */
    int rc = belt_json_index_open(&own->index, json->longest);
    own->mask = mask ? malloc(mask_size(json)) : NULL;
    own->texts = malloc(texts_size(json));
    if (rc == 0 && own->texts && (own->mask || !mask))
        return 0;
    json_fini(own, conf);
    return belt_error_set(err, -ENOMEM,
                          "%s: json: no memory for records of %llu bytes; a smaller "
                          "longest takes less",
                          in->stage, (unsigned long long)json->longest);
}

/* ---- a record -------------------------------------------------------------------- */

static void fail_flaw(struct json_state *own, struct belt_view *view, uint32_t i,
                      enum belt_json_flaw flaw, uint32_t size)
{
    static const char *const texts[] = {
        [BELT_JSON_UTF8] = "not JSON: not UTF-8",
        [BELT_JSON_CONTROL] = "not JSON: a control character in a string",
        [BELT_JSON_UNCLOSED] = "not JSON: a string without its closing quote",
        [BELT_JSON_EMPTY] = NOTHING,
    };
    char reason[BELT_REASON];
    if (flaw == BELT_JSON_LONG)
        snprintf(reason, sizeof reason, "json: %u bytes, longest is %llu", size,
                 (unsigned long long)own->json->longest);
    belt_fail_message(view, i, flaw == BELT_JSON_LONG ? reason : texts[flaw]);
}

static void fail_walk(const struct belt_json_walk *walk, struct belt_view *view, uint32_t i,
                      uint32_t begin)
{
    char reason[BELT_REASON] = NOTHING;
    if (walk->flaw)
        snprintf(reason, sizeof reason, "not JSON: no %s at byte %u", walk->flaw,
                 walk->flaw_at - begin + 1);
    belt_fail_message(view, i, reason);
}

/* Texts of the record that cannot stay as they lie. */
static void note_made(struct json_state *own, const struct belt_view *view, uint32_t i)
{
    const struct belt_json *json = own->json;
    for (uint32_t f = 0; f < json->fields_used; f++) {
        const struct belt_json_field *field = &json->fields[f];
        if (field->type != BELT_TEXT || own->made >> f & 1)
            continue;
        const struct belt_column *column = &view->columns[field->column];
        struct belt_span span = column->as.spans[i];
        bool make =
            span.at == BELT_JSON_FALLBACK || (own->masked && json->utf8 == BELT_UTF8_REPLACE) ||
            (!field->raw && own->walk.escapes && memchr(column->base + span.at, '\\', span.size));
        own->made |= (uint32_t)make << f;
    }
}

/* Message i, whose values are found. */
static void settle(struct json_state *own, struct belt_view *view, uint32_t i, uint32_t delta)
{
    const struct belt_json *json = own->json;
    if (!belt_json_holds(json, &own->walk))
        belt_drop(view, i);
    else if (belt_json_store(json, &own->walk, view, i, delta))
        note_made(own, view, i);
}

/* The shape of the record that has just been walked, its first token and byte. */
static void learn(struct json_state *own, const uint32_t *first, uint32_t begin)
{
    struct shapes *shapes = &own->shapes;
    if (own->masked)
        return;
    belt_json_shape_learn(&shapes->shape[shapes->order[BELT_JSON_SHAPES - 1]], &own->walk, first,
                          begin);
    shapes->learn = false;
}

/* Message i, whose tokens are next in the walk. */
static void take(struct json_state *own, struct belt_view *view, uint32_t i, uint32_t delta,
                 uint32_t begin)
{
    struct belt_json_walk *walk = &own->walk;
    const uint32_t *first = walk->token;
    if (!belt_json_walk(walk)) {
        fail_walk(walk, view, i, begin);
        while (*walk->token < walk->end)
            walk->token++;
        return;
    }
    if (own->shapes.learn)
        learn(own, first, begin);
    settle(own, view, i, delta);
}

static void take_alone(struct json_state *own, struct belt_view *view, uint32_t i)
{
    const struct belt_json *json = own->json;
    const struct belt_column *source = &view->columns[json->source];
    struct belt_span span = source->as.spans[i];
    const char *text = source->base + span.at;
    enum belt_json_flaw flaw = span.size > json->longest
                                   ? BELT_JSON_LONG
                                   : belt_json_index_make(&own->index, text, span.size);
    own->masked = flaw == BELT_JSON_UTF8 && own->mask;
    if (own->masked) {
        belt_json_mask(own->mask, text, span.size);
        flaw = belt_json_index_make(&own->index, own->mask, span.size);
    }
    if (flaw != BELT_JSON_OK) {
        fail_flaw(own, view, i, flaw, span.size);
        return;
    }
    own->walk.text = text;
    own->walk.token = own->index.at;
    own->walk.end = span.size;
    own->walk.escapes = memchr(text, '\\', span.size);
    take(own, view, i, span.at, 0);
}

/* ---- a run of records ------------------------------------------------------------ */

/* From the lowest of `rows` on: those that follow one another in memory with just the end
 * of a line in between. */
static uint64_t run_of(const char *base, const struct belt_span *spans, uint64_t rows,
                       uint64_t most)
{
    uint32_t first = (uint32_t)__builtin_ctzll(rows), i = first;
    uint64_t run = UINT64_C(1) << first;
    while (i < 63 && rows >> (i + 1) & 1) {
        uint64_t end = (uint64_t)spans[i].at + spans[i].size, next = spans[i + 1].at;
        uint64_t size = next + spans[i + 1].size - spans[first].at;
        bool adjoins =
            (next == end + 1 || (next == end + 2 && base[end] == '\r')) && base[next - 1] == '\n';
        if (!adjoins || size > most)
            break;
        run |= UINT64_C(1) << ++i;
    }
    return run;
}

static void take_run(struct json_state *own, struct belt_view *view, uint32_t w, uint64_t run)
{
    const struct belt_column *source = &view->columns[own->json->source];
    const struct belt_span *spans = source->as.spans + (size_t)w * 64;
    uint32_t first = (uint32_t)__builtin_ctzll(run), last = 63 - (uint32_t)__builtin_clzll(run);
    uint32_t at = spans[first].at, size = spans[last].at + spans[last].size - at;
    const char *text = source->base + at;
    /* What is wrong with one of them is found one by one. */
    bool alone = first == last || belt_json_index_make(&own->index, text, size) != BELT_JSON_OK;
    bool escapes = !alone && memchr(text, '\\', size);
    own->masked = false;
    own->walk.text = text;
    own->walk.token = own->index.at;
    for (uint32_t i = first; i <= last; i++) {
        if (alone) {
            take_alone(own, view, w * 64 + i);
            continue;
        }
        uint32_t begin = spans[i].at - at;
        own->walk.end = begin + spans[i].size;
        own->walk.escapes = escapes && memchr(text + begin, '\\', spans[i].size);
        take(own, view, w * 64 + i, at, begin);
    }
}

/* ---- records of a shape ------------------------------------------------------------ */

/* The record has one of the shapes, which are tried in the order in which they last fitted. */
static bool has_shape(struct json_state *own, const char *text, uint32_t size)
{
    struct shapes *shapes = &own->shapes;
    uint8_t *order = shapes->order;
    for (uint32_t k = 0; k < BELT_JSON_SHAPES; k++) {
        uint8_t which = order[k];
        const struct belt_json_shape *shape = &shapes->shape[which];
        if (!shape->values || !shapes->match(shape, &own->walk, text, size))
            continue;
        memmove(order + 1, order, k);
        order[0] = which;
        return true;
    }
    return false;
}

/* Where few have a shape, trying is given up for a while. */
static void judge(struct shapes *shapes, uint64_t rows, uint64_t rest)
{
    bool poor = __builtin_popcountll(rest) * 4 > __builtin_popcountll(rows) * 3;
    shapes->learn = rest;
    shapes->poor = poor ? shapes->poor + 1 : 0;
    if (shapes->poor <= BELT_JSON_SHAPES)
        return;
    shapes->poor = 0;
    shapes->pause = PAUSE;
}

/* Those of `rows` that have a shape are done; the others. */
static uint64_t take_alike(struct json_state *own, struct belt_view *view, uint32_t w,
                           uint64_t rows)
{
    const struct belt_column *source = &view->columns[own->json->source];
    const struct belt_span *spans = source->as.spans + (size_t)w * 64;
    uint64_t rest = rows;
    if (own->shapes.pause) {
        own->shapes.pause--;
        return rows;
    }
    own->masked = false;
    for (uint64_t left = rows; left; left &= left - 1) {
        uint32_t k = (uint32_t)__builtin_ctzll(left);
        if (spans[k].size > own->json->longest ||
            !has_shape(own, source->base + spans[k].at, spans[k].size))
            continue;
        settle(own, view, w * 64 + k, spans[k].at);
        rest &= ~(left & -left);
    }
    judge(&own->shapes, rows, rest);
    return rest;
}

/* ---- texts that have to be made -------------------------------------------------- */

static uint64_t bound(const struct json_state *own, uint32_t f, struct belt_span span)
{
    if (span.at == BELT_JSON_FALLBACK)
        return own->json->fields[f].fallback_size;
    return own->json->utf8 == BELT_UTF8_REPLACE ? 3 * (uint64_t)span.size : span.size;
}

/* Writes the text of field f; false: it has half a surrogate pair, which fails. */
static bool make_text(const struct json_state *own, uint32_t f, const char *base,
                      struct belt_span span, char *to, uint32_t *size)
{
    const struct belt_json_field *field = &own->json->fields[f];
    int utf8 = own->json->utf8;
    const char *from = span.at == BELT_JSON_FALLBACK ? field->fallback : base + span.at;
    *size = span.at == BELT_JSON_FALLBACK ? field->fallback_size : span.size;
    bool lone = false;
    if (utf8 == BELT_UTF8_REPLACE)
        *size = belt_utf8_replace(to, from, *size), from = to;
    if (field->raw || span.at == BELT_JSON_FALLBACK)
        memmove(to, from, *size);
    else
        *size = belt_json_decode(to, from, *size, &lone);
    return !lone || utf8 != BELT_UTF8_FAIL;
}

/* The texts of message i. 0, or negative when room ran out. */
static int make_message(struct json_state *own, struct belt_view *view, uint32_t i)
{
    const char *base = view->columns[own->json->source].base;
    uint64_t need = 0;
    char reason[BELT_REASON];
    for (uint32_t fields = own->made; fields; fields &= fields - 1) {
        uint32_t f = (uint32_t)__builtin_ctz(fields);
        need += bound(own, f, own->texts[f * BELT_FRAME + i]);
    }
    if (need > belt_room_limit(view)) {
        snprintf(reason, sizeof reason, "json: texts of up to %llu bytes, %u fit",
                 (unsigned long long)need, belt_room_limit(view));
        belt_fail_message(view, i, reason);
        return 0;
    }
    char *room = belt_room(view, (uint32_t)need);
    if (!room)
        return -ENOBUFS;
    for (uint32_t fields = own->made; fields; fields &= fields - 1) {
        uint32_t f = (uint32_t)__builtin_ctz(fields), size;
        const struct belt_json_field *field = &own->json->fields[f];
        struct belt_span span = own->texts[f * BELT_FRAME + i];
        if (!make_text(own, f, base, span, room, &size)) {
            snprintf(reason, sizeof reason, "%.100s: half a surrogate pair", field->path);
            belt_fail_message(view, i, reason);
            return 0;
        }
        if (!belt_put_text(view, field->column, i, room, size))
            return -ENOBUFS;
        room += bound(own, f, span);
    }
    return 0;
}

/* Makes all texts of the fields in which one has to be made, so that no other message's
 * text is copied for it. Where it had to stop. */
static uint32_t make_texts(struct json_state *own, struct belt_view *view)
{
    for (uint32_t fields = own->made; fields; fields &= fields - 1) {
        uint32_t f = (uint32_t)__builtin_ctz(fields);
        struct belt_column *column = &view->columns[own->json->fields[f].column];
        memcpy(own->texts + f * BELT_FRAME + view->first, column->as.spans + view->first,
               (view->end - view->first) * sizeof *own->texts);
        column->base = NULL;
    }
    BELT_EACH (view, i)
        if (make_message(own, view, i) < 0)
            return i;
    return view->end;
}

/* ---- the step -------------------------------------------------------------------- */

static uint32_t json_frame(void *state, struct belt_view *view)
{
    struct json_state *own = state;
    const struct belt_json *json = own->json;
    const struct belt_column *source = &view->columns[json->source];
    uint64_t most = json->longest < RUN ? json->longest : RUN;
    own->made = 0;
    for (uint32_t f = 0; f < json->fields_used; f++)
        if (json->fields[f].type == BELT_TEXT)
            view->columns[json->fields[f].column].base = source->base;
    BELT_EACH_WORD(view, w)
    {
        const struct belt_span *spans = source->as.spans + (size_t)w * 64;
        uint64_t rows = belt_live_word(view, w);
        if (json->needles && rows) {
            uint64_t maybe = belt_json_maybe(json, source->base, spans, rows);
            if (rows != maybe)
                belt_drop_mask(view, w, rows & ~maybe);
            rows = maybe;
        }
        rows = rows ? take_alike(own, view, w, rows) : 0;
        while (rows) {
            uint64_t run = run_of(source->base, spans, rows, most);
            take_run(own, view, w, run);
            rows &= ~run;
        }
    }
    return own->made ? make_texts(own, view) : view->end;
}

const struct belt_step belt_json_step = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_STEP,
        .name = "json",
        .help = "members of a JSON object as typed fields, and which objects are kept",
        .settings = json_settings,
        .conf_size = sizeof(struct belt_json),
        .state_size = sizeof(struct json_state),
        .prepare = json_prepare,
        .init = json_init,
        .fini = json_fini,
        .close = json_close,
    },
    .frame = json_frame,
};
