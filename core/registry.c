/* Parts by kind and name: the built-in ones, those linked in by the caller and
 * those of plugins. */
#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/spec_priv.h"

#define PARTS 256
#define PLUGINS 32

/* Defined by steps/registry.c and io/registry.c. The core names no part but those in
 * core/testing.c; only the linker knows both sides. */
extern const struct belt_part *const belt_steps_parts[];
extern const struct belt_part *const belt_io_parts[];
extern const struct belt_part *const belt_core_parts[];

struct belt_registry {
    const struct belt_part *parts[PARTS];
    size_t count;
    void *plugins[PLUGINS];
    size_t plugins_used;
};

static const char *const kind_names[] = { "", "source", "step", "sink", "format" };

int belt_registry_new(struct belt_registry **out, struct belt_error *err)
{
    struct belt_registry *registry = calloc(1, sizeof *registry);
    if (!registry)
        return belt_error_set(err, -ENOMEM, "parts: out of memory");
    const struct belt_part *const *const built_in[] = { belt_io_parts, belt_steps_parts,
                                                        belt_core_parts };
    for (size_t set = 0; set < 3; set++)
        for (size_t i = 0; built_in[set][i]; i++) {
            int rc = belt_registry_add(registry, built_in[set][i], err);
            if (rc < 0) {
                belt_registry_free(registry);
                return rc;
            }
        }
    *out = registry;
    return 0;
}

void belt_registry_free(struct belt_registry *registry)
{
    if (!registry)
        return;
    for (size_t i = 0; i < registry->plugins_used; i++)
        dlclose(registry->plugins[i]);
    free(registry);
}

/* What a part of its kind cannot do without; NULL: it has all of it. */
static const char *lacks(const struct belt_part *part)
{
    const void *whole = part;
    const struct belt_step *step = whole;
    const struct belt_format *format = whole;
    switch (part->kind) {
    case BELT_SOURCE: return ((const struct belt_source *)whole)->fill ? NULL : "fill";
    case BELT_STEP: return step->frame || step->message ? NULL : "frame or message";
    case BELT_SINK: return ((const struct belt_sink *)whole)->batch ? NULL : "batch";
    case BELT_FORMAT: return format->bound && format->row ? NULL : "bound and row";
    }
    return NULL;
}

int belt_registry_add(struct belt_registry *registry, const struct belt_part *part,
                      struct belt_error *err)
{
    if (part->abi != BELT_ABI)
        return belt_error_config(err,
                                 "part %s was built for interface %u, this library has %u: "
                                 "build it again",
                                 part->name, part->abi, BELT_ABI);
    if (part->kind < BELT_SOURCE || part->kind > BELT_FORMAT)
        return belt_error_config(err, "part %s has no kind that is known here", part->name);
    if (lacks(part))
        return belt_error_config(err, "%s %s has no function %s", kind_names[part->kind],
                                 part->name, lacks(part));
    if (belt_registry_find(registry, part->kind, part->name))
        return belt_error_config(err, "there is a %s named %s already: give yours another name",
                                 kind_names[part->kind], part->name);
    if (registry->count == PARTS)
        return belt_error_config(err, "more than %d parts", PARTS);
    registry->parts[registry->count++] = part;
    return 0;
}

int belt_registry_plugin(struct belt_registry *registry, const struct belt_node *at,
                         struct belt_error *err)
{
    const char *path = belt_node_text(at);
    if (!path)
        return belt_node_error(err, at, "a plugin is a path: plugins: [./libmine.so]");
    if (registry->plugins_used == PLUGINS)
        return belt_node_error(err, at, "more than %d plugins", PLUGINS);
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!plugin)
        return belt_node_error(err, at, "plugin %s: %s", path, dlerror());
    registry->plugins[registry->plugins_used++] = plugin;
    const struct belt_part *const *parts = dlsym(plugin, "belt_plugin_parts");
    if (!parts)
        return belt_node_error(err, at, "plugin %s exports no belt_plugin_parts", path);
    for (; *parts; parts++) {
        struct belt_error why;
        if (belt_registry_add(registry, *parts, &why) < 0)
            return belt_node_error(err, at, "plugin %s: %s", path, why.text);
    }
    return 0;
}

const struct belt_part *belt_registry_find(const struct belt_registry *registry,
                                           enum belt_part_kind kind, const char *name)
{
    for (size_t i = 0; i < registry->count; i++)
        if (registry->parts[i]->kind == kind && strcmp(registry->parts[i]->name, name) == 0)
            return registry->parts[i];
    return NULL;
}

const struct belt_part *belt_registry_at(const struct belt_registry *registry, size_t i)
{
    return i < registry->count ? registry->parts[i] : NULL;
}

static int unknown_part(const struct belt_registry *registry, enum belt_part_kind kind,
                        const struct belt_node *node, const char *name, struct belt_error *err)
{
    const char *names[PARTS];
    char all[512] = "";
    size_t count = 0;
    for (size_t i = 0; i < registry->count; i++)
        if (registry->parts[i]->kind == kind) {
            names[count++] = registry->parts[i]->name;
            strncat(all, count > 1 ? ", " : "", sizeof all - strlen(all) - 1);
            strncat(all, registry->parts[i]->name, sizeof all - strlen(all) - 1);
        }
    const char *near = belt_nearest(name, names, count);
    if (near)
        return belt_node_error(err, node, "no %s named '%s'; did you mean '%s'?", kind_names[kind],
                               name, near);
    return belt_node_error(err, node, "no %s named '%s'; there are: %s", kind_names[kind], name,
                           all);
}

int belt_registry_pick(const struct belt_registry *registry, enum belt_part_kind kind,
                       const struct belt_node *node, const char *what,
                       const struct belt_part **part, const struct belt_node **settings,
                       struct belt_error *err)
{
    const char *name = belt_node_written(node); /* `null` is a sink here, not nothing */
    *settings = NULL;
    if (!name) {
        if (belt_node_kind(node) != BELT_NODE_MAP || belt_node_count(node) != 1)
            return belt_node_error(err, node, "%s takes exactly one %s: { NAME: { settings } }",
                                   what, kind_names[kind]);
        name = belt_node_key(node, 0);
        *settings = belt_node_at(node, 0);
    }
    *part = belt_registry_find(registry, kind, name);
    return *part ? 0 : unknown_part(registry, kind, *settings ? *settings : node, name, err);
}
