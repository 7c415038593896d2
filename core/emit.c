#include "core/emit_priv.h"

#include <errno.h>
#include <string.h>

#include "core/run_priv.h"

/* ---- memory ----------------------------------------------------------------------- */

static struct belt_link_shape shape_of(const struct belt_chain_stage *chain,
                                       const struct belt_spec *spec)
{
    struct belt_link_shape shape = { .capacity = UINT32_MAX };
    uint32_t crossing = 0;
    for (uint32_t f = 0; f < chain->fanouts_used; f++) {
        const struct belt_fanout *fan = &chain->fanouts[f];
        crossing |= fan->to->crossing;
        crossing |= fan->to->partition >= 0 ? 1u << fan->to->partition : 0;
        if (fan->shape->capacity < shape.capacity)
            shape.capacity = fan->shape->capacity;
    }
    for (int c = 0; c < spec->columns_used; c++)
        if (crossing >> c & 1) {
            shape.texts[shape.used] = spec->columns[c].type == BELT_TEXT;
            shape.columns[shape.used++] = c;
        }
    return shape;
}

size_t belt_kids_size(const struct belt_engine_run *run, const struct belt_chain_stage *chain)
{
    uint32_t room = shape_of(chain, run->spec).capacity;
    return sizeof(struct belt_kids) + belt_engine_size(run->spec->columns_used, room);
}

void belt_kids_init(const struct belt_engine_run *run, struct belt_chain_stage *chain, char *memory)
{
    const struct belt_spec *spec = run->spec;
    struct belt_kids *kids = (struct belt_kids *)(void *)memory;
    struct belt_engine *engine = &kids->engine;
    kids->shape = shape_of(chain, spec);
    engine->targets = (uint32_t)spec->batchers_used;
    belt_engine_init(engine, spec->columns, spec->columns_used, kids->shape.capacity, 1,
                     memory + sizeof *kids);
    for (int c = 0; c < spec->columns_used; c++) {
        engine->columns[c].base = engine->rooms[0];
        engine->columns[c].as.spans = (struct belt_span *)(void *)engine->storage[c];
    }
    chain->kids = chain->engine.kids = kids;
}

/* ---- emitting --------------------------------------------------------------------- */

struct text {
    const char *bytes;
    uint32_t size;
};

/* What the child has in a text column: what it was given, or what its message has. */
static struct text text_for(const struct belt_view *view, uint32_t i, int column,
                            const struct belt_emit_field *fields, uint32_t count)
{
    const struct belt_column *c = &view->columns[column];
    for (uint32_t f = 0; f < count; f++)
        if (fields[f].column == column)
            return (struct text){ fields[f].as.text.bytes, fields[f].as.text.size };
    if (!c->base)
        return (struct text){ "", 0 };
    return (struct text){ c->base + c->as.spans[i].at, c->as.spans[i].size };
}

static int64_t number_for(const struct belt_view *view, uint32_t i, int column,
                          const struct belt_emit_field *fields, uint32_t count)
{
    for (uint32_t f = 0; f < count; f++)
        if (fields[f].column == column)
            return fields[f].as.number;
    return view->columns[column].as.numbers[i];
}

static void put_text(struct belt_kids *kids, int column, struct text text)
{
    struct belt_engine *engine = &kids->engine;
    if (text.size)
        memcpy(engine->rooms[0] + engine->room_used, text.bytes, text.size);
    engine->columns[column].as.spans[kids->count] =
        (struct belt_span){ engine->room_used, text.size };
    engine->room_used += text.size;
}

/* A child goes where its message was sent, and as soon. */
static void inherit_route(struct belt_kids *kids, const struct belt_engine *from, uint32_t i)
{
    struct belt_view *view = &kids->engine.view;
    if (from->routed)
        belt_route(view, kids->count, from->batcher[i]);
    for (uint32_t also = from->any_also ? from->also[i] : 0; also; also &= also - 1)
        belt_route_also(view, kids->count, __builtin_ctz(also));
    if (from->any_flush && (from->flush[i / 64] >> (i % 64) & 1))
        belt_flush(view, kids->count);
}

static uint64_t bytes_of(const struct belt_view *view, const struct belt_kids *kids, uint32_t i,
                         const struct belt_emit_field *fields, uint32_t count)
{
    uint64_t bytes = 0;
    for (int c = 1; c < kids->shape.used; c++)
        if (kids->shape.texts[c])
            bytes += text_for(view, i, kids->shape.columns[c], fields, count).size;
    return bytes;
}

int belt_emit_fields(struct belt_view *view, uint32_t i, const char *bytes, uint32_t size,
                     const struct belt_emit_field *fields, uint32_t count)
{
    struct belt_kids *kids = view->engine->kids;
    if (!kids) {
        belt_fail_message(view, i, "its step emits, but its table does not say so (.emits)");
        return -EPERM;
    }
    uint64_t need = size + bytes_of(view, kids, i, fields, count);
    if (need > kids->shape.capacity) {
        belt_fail_message(view, i, "it emitted a message that is too long to be sent on");
        return -E2BIG;
    }
    if (kids->count == BELT_FRAME || kids->engine.room_used + need > kids->engine.room_size)
        return -EAGAIN;
    put_text(kids, 0, (struct text){ bytes, size });
    for (int c = 1; c < kids->shape.used; c++) {
        int column = kids->shape.columns[c];
        if (kids->shape.texts[c])
            put_text(kids, column, text_for(view, i, column, fields, count));
        else
            kids->engine.columns[column].as.numbers[kids->count] =
                number_for(view, i, column, fields, count);
    }
    inherit_route(kids, view->engine, i);
    kids->sent = kids->of == i + 1 ? kids->sent + 1 : 1;
    kids->of = i + 1;
    kids->parents[kids->count++] = (uint16_t)i;
    return 0;
}

int belt_emit(struct belt_view *view, uint32_t i, const char *bytes, uint32_t size)
{
    return belt_emit_fields(view, i, bytes, size, NULL, 0);
}

uint64_t belt_emitted(const struct belt_view *view, uint32_t i)
{
    const struct belt_kids *kids = view->engine->kids;
    return kids && kids->of == i + 1 ? kids->sent : 0;
}

/* ---- tickets ---------------------------------------------------------------------- */

/* Gives `children` bits of a ticket to each of the kids [at, at + count). */
static void give(struct belt_kids *kids, uint32_t count, uint32_t each, struct belt_ticket ticket)
{
    for (; count; count--) {
        uint64_t bits = 0;
        for (uint32_t n = 0; n < each; n++) {
            bits |= ticket.bit & -ticket.bit;
            ticket.bit &= ticket.bit - 1;
        }
        kids->tickets[kids->ticketed++] = (struct belt_ticket){ ticket.word, bits };
    }
}

/* Of a message that was acknowledged, or failed: they settle nobody, or do not leave. */
static void give_none(struct belt_chain_stage *chain, uint32_t count, bool withdrawn)
{
    struct belt_kids *kids = chain->kids;
    for (; count; count--) {
        uint64_t bit = UINT64_C(1) << (kids->ticketed % 64);
        struct belt_ticket none = { belt_chain_nobody(chain), withdrawn ? 0 : bit };
        kids->tickets[kids->ticketed++] = none;
    }
}

/* So many children of message p, of which there are more, or may be. */
static bool give_counted(struct belt_chain_stage *chain, uint32_t p, uint32_t count)
{
    struct belt_ticket *parent = &chain->sparse[p];
    if (!belt_join_is_count(&chain->joins, *parent)) {
        struct belt_ticket made = belt_join_count(&chain->joins, *parent);
        if (!made.bit)
            return false;
        *parent = made;
    }
    for (uint32_t most = 64 / chain->copies; count;) {
        uint32_t now = count < most ? count : most;
        struct belt_ticket unit = { parent->word, 1 };
        struct belt_ticket group = belt_join_group(&chain->joins, now * chain->copies, unit);
        if (!group.bit)
            return false;
        belt_join_add(&chain->joins, *parent, 1);
        give(chain->kids, now, chain->copies, group);
        count -= now;
    }
    return true;
}

/* The children of message p that are here and have no tickets. */
static bool give_to(struct belt_chain_stage *chain, uint32_t p, uint32_t count)
{
    struct belt_ticket *parent = &chain->sparse[p];
    uint32_t children = count * chain->copies;
    bool through = p < chain->part.end;
    if (chain->engine.failed[p / 64] >> (p % 64) & 1) {
        give_none(chain, count, true);
    } else if (BELT_RUN_SOURCE(parent->word) == BELT_RUN_NOBODY) {
        give_none(chain, count, false);
    } else if (!through || children > 64 || belt_join_is_count(&chain->joins, *parent)) {
        return give_counted(chain, p, count);
    } else {
        struct belt_ticket all = *parent;
        if (children > 1)
            all = belt_join_group(&chain->joins, children, *parent);
        if (!all.bit)
            return false;
        parent->bit = 0;
        give(chain->kids, count, chain->copies, all);
    }
    return true;
}

bool belt_kids_sort(struct belt_chain_stage *chain)
{
    struct belt_kids *kids = chain->kids;
    bool all = true;
    belt_chain_own_tickets(chain);
    while (all && kids->ticketed < kids->count) {
        uint32_t p = kids->parents[kids->ticketed], end = kids->ticketed + 1;
        while (end < kids->count && kids->parents[end] == p)
            end++;
        all = give_to(chain, p, end - kids->ticketed);
    }
    if (chain->pressing == all) {
        chain->pressing = !all;
        belt_run_press(chain->stage.run, !all);
    }
    for (uint32_t w = 0; all && w * 64 < kids->count; w++) {
        uint64_t mask = 0;
        for (uint32_t k = w * 64; k < w * 64 + 64 && k < kids->count; k++)
            mask |= (uint64_t)(kids->tickets[k].bit != 0) << (k % 64);
        belt_links_sort(chain, w, mask);
    }
    return all;
}
