/* What a part may ask and tell while the pipeline is put together. */
#include <string.h>

#include "core/setup_priv.h"
#include "core/spec_priv.h"

bool belt_is_name(const char *name)
{
    if (*name < 'a' || *name > 'z')
        return false;
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name);
}

static const struct belt_node *place(const struct belt_setup *setup, const struct belt_node *at)
{
    return at ? at : setup->node;
}

/* Messages of two sources may have the same field. */
static bool share_column(struct belt_setup *setup, int column, enum belt_type type, unsigned digits)
{
    const struct belt_column_info *info = &setup->columns[column];
    uint32_t others = 0;
    if (!setup->source || info->type != type || info->digits != digits)
        return false;
    for (int s = 0; s < setup->spec->sources_used; s++)
        others |= setup->spec->sources[s].columns;
    if (!(others & ~setup->source->columns & 1u << column))
        return false;
    setup->source->columns |= 1u << column;
    return true;
}

static bool is_visible(const struct belt_setup *setup, int column)
{
    return !setup->visible || *setup->visible >> column & 1;
}

/* Messages have it from here on. */
static int show(struct belt_setup *setup, int column)
{
    if (setup->visible)
        *setup->visible |= 1u << column;
    return column;
}

void belt_setup_hide(struct belt_setup *setup, int column)
{
    if (setup->visible)
        *setup->visible &= ~(1u << column);
}

void belt_setup_memory(struct belt_setup *setup, uint64_t bytes)
{
    if (setup->memory)
        *setup->memory = bytes;
}

static int use(const struct belt_setup *setup, int column)
{
    if (setup->used)
        *setup->used |= 1u << column;
    return column;
}

/* Another branch of the processors may have a field of the same name. */
static int add_again(struct belt_setup *setup, const struct belt_node *at, int column,
                     enum belt_type type, unsigned digits, struct belt_error *err)
{
    const struct belt_column_info *info = &setup->columns[column];
    if (is_visible(setup, column))
        return belt_node_error(err, at, "there is a field '%s' already", info->name);
    if (info->type != type || info->digits != digits)
        return belt_node_error(err, at, "there is a field '%s' of another type elsewhere",
                               info->name);
    return show(setup, column);
}

int belt_setup_add(struct belt_setup *setup, const struct belt_node *at, const char *name,
                   enum belt_type type, unsigned digits, struct belt_error *err)
{
    if (!belt_is_name(name))
        return belt_node_error(err, place(setup, at),
                               "'%s' is no name of a field: use a-z, 0-9 and _, a letter first",
                               name);
    for (int i = 0; i < *setup->columns_used; i++)
        if (strcmp(setup->columns[i].name, name) == 0) {
            if (share_column(setup, i, type, digits))
                return i;
            return add_again(setup, place(setup, at), i, type, digits, err);
        }
    if (*setup->columns_used == BELT_COLUMNS)
        return belt_node_error(err, place(setup, at), "more than %d fields", BELT_COLUMNS);
    if (setup->spec && setup->columns == setup->spec->columns) /* not those of an aggregate */
        setup->spec->column_step[*setup->columns_used] = (uint8_t)setup->spec->steps_used;
    setup->columns[*setup->columns_used] =
        (struct belt_column_info){ .name = name, .type = type, .digits = digits };
    return show(setup, (*setup->columns_used)++);
}

int belt_setup_field(struct belt_setup *setup, const struct belt_node *at, const char *name,
                     struct belt_error *err)
{
    const char *names[BELT_COLUMNS] = { 0 };
    int used = 0;
    for (int i = 0; i < *setup->columns_used; i++) {
        if (!is_visible(setup, i))
            continue;
        if (strcmp(setup->columns[i].name, name) == 0)
            return use(setup, i);
        names[used++] = setup->columns[i].name;
    }
    const char *near = belt_nearest(name, names, (size_t)used);
    if (near)
        return belt_node_error(err, place(setup, at), "no field '%s' here; did you mean '%s'?",
                               name, near);
    char all[600] = "";
    for (int i = 0; i < used; i++) {
        strncat(all, i ? ", " : "", sizeof all - strlen(all) - 1);
        strncat(all, names[i], sizeof all - strlen(all) - 1);
    }
    return belt_node_error(err, place(setup, at), "no field '%s' here; there are: %s", name, all);
}

const struct belt_column_info *belt_setup_info(const struct belt_setup *setup, int column)
{
    if (column < 0 || column >= *setup->columns_used || !is_visible(setup, column))
        return NULL;
    return &setup->columns[use(setup, column)];
}

int belt_setup_columns(const struct belt_setup *setup)
{
    return *setup->columns_used;
}

int belt_setup_batcher(struct belt_setup *setup, const struct belt_node *at, const char *name,
                       struct belt_error *err)
{
    const struct belt_spec *spec = setup->spec;
    const char *names[BELT_BATCHERS];
    if (!setup->batchers)
        return belt_node_error(err, place(setup, at), "only a step can name a batcher");
    for (int i = 0; i < spec->batchers_used; i++) {
        names[i] = spec->batchers[i].name;
        if (strcmp(names[i], name) == 0)
            return i;
    }
    const char *near = belt_nearest(name, names, (size_t)spec->batchers_used);
    if (near)
        return belt_node_error(err, place(setup, at), "no batcher '%s'; did you mean '%s'?", name,
                               near);
    return belt_node_error(err, place(setup, at), "no batcher '%s' in this pipeline", name);
}

const struct belt_node *belt_setup_node(const struct belt_setup *setup)
{
    return setup->node;
}

const char *belt_setup_path(const struct belt_setup *setup)
{
    return setup->path;
}

void belt_setup_limit(struct belt_setup *setup, uint32_t instances)
{
    *setup->limit = instances;
}

void belt_setup_endless(struct belt_setup *setup)
{
    if (setup->source)
        setup->source->endless = true;
}

void belt_setup_resumes(struct belt_setup *setup)
{
    if (setup->source)
        setup->source->resumes = true;
}

bool belt_setup_resumed(const struct belt_setup *setup)
{
    const struct belt_spec *spec = setup->spec;
    bool resumed = false;
    for (int i = 0; i < spec->sources_used; i++)
        resumed |= spec->sources[i].resumes;
    return resumed;
}

void belt_setup_unacked(struct belt_setup *setup)
{
    if (setup->source)
        setup->source->unacked = true;
}

void belt_setup_arena(struct belt_setup *setup, uint32_t slab, uint32_t slabs)
{
    if (!setup->source)
        return;
    setup->source->slab = slab;
    setup->source->slabs = slabs;
    if (slab > setup->spec->slab)
        setup->spec->slab = slab;
}
