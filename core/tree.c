#include <errno.h>
#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/tree_priv.h"

#define BLOCK_BYTES ((size_t)16 << 10)

struct block {
    struct block *next;
    alignas(max_align_t) char bytes[];
};

struct belt_tree {
    struct block *blocks; /* the newest first, the only one with room */
    size_t used, room;    /* of that one */
    size_t total, nodes;
    struct belt_node *root;
};

/* ---- memory ----------------------------------------------------------------- */

void *belt_tree_alloc(struct belt_tree *tree, size_t size)
{
    if (size > BELT_TREE_BYTES || tree->total + size > BELT_TREE_BYTES)
        return NULL;
    size = (size + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (tree->room - tree->used < size) {
        size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        struct block *block = calloc(1, sizeof *block + room);
        if (!block)
            return NULL;
        block->next = tree->blocks;
        tree->blocks = block;
        tree->room = room;
        tree->used = 0;
    }
    void *at = tree->blocks->bytes + tree->used;
    tree->used += size;
    tree->total += size;
    return at;
}

char *belt_tree_copy(struct belt_tree *tree, const char *text, size_t size)
{
    char *copy = belt_tree_alloc(tree, size + 1);
    if (copy)
        memcpy(copy, text, size);
    return copy;
}

int belt_tree_nomem(struct belt_error *err, const char *place)
{
    return belt_error_set(err, -ENOMEM, "%s: out of memory, or more than %u MiB of configuration",
                          place, BELT_TREE_BYTES >> 20);
}

int belt_tree_node(struct belt_tree *tree, enum belt_node_kind kind, const char *place,
                   struct belt_node **out, struct belt_error *err)
{
    if (tree->nodes >= BELT_TREE_NODES)
        return belt_error_config(err, "%s: more than %d values in the configuration", place,
                                 BELT_TREE_NODES);
    struct belt_node *node = belt_tree_alloc(tree, sizeof *node);
    if (!node)
        return belt_tree_nomem(err, place);
    tree->nodes++;
    node->kind = kind;
    node->place = place;
    *out = node;
    return 0;
}

int belt_tree_append(struct belt_tree *tree, struct belt_node *to, const struct belt_entry *entry,
                     struct belt_error *err)
{
    if (to->kind == BELT_NODE_MAP && to->count == BELT_TREE_KEYS)
        return belt_error_config(err, "%s: more than %d keys in a map", entry->key_place,
                                 BELT_TREE_KEYS);
    if (to->count == to->room) {
        size_t room = to->room ? 2 * to->room : 4;
        struct belt_entry *entries = belt_tree_alloc(tree, room * sizeof *entries);
        if (!entries)
            return belt_tree_nomem(err, to->place);
        if (to->count)
            memcpy(entries, to->entries, to->count * sizeof *entries);
        to->entries = entries;
        to->room = room;
    }
    to->entries[to->count++] = *entry;
    return 0;
}

struct belt_tree *belt_tree_new(void)
{
    struct belt_tree *tree = calloc(1, sizeof *tree);
    if (tree && belt_tree_node(tree, BELT_NODE_MAP, "configuration", &tree->root, NULL) != 0) {
        free(tree);
        return NULL;
    }
    return tree;
}

void belt_tree_free(struct belt_tree *tree)
{
    if (!tree)
        return;
    for (struct block *block = tree->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(tree);
}

/* ---- reading ---------------------------------------------------------------- */

const struct belt_node *belt_tree_root(const struct belt_tree *tree)
{
    return tree->root;
}

enum belt_node_kind belt_node_kind(const struct belt_node *node)
{
    return node->kind;
}

const char *belt_node_kind_name(const struct belt_node *node)
{
    static const char *const names[] = { "a text", "a list", "a map" };
    return names[node->kind];
}

const char *belt_node_text(const struct belt_node *node)
{
    return node->null ? "" : node->text;
}

const char *belt_node_written(const struct belt_node *node)
{
    return node->text;
}

bool belt_node_null(const struct belt_node *node)
{
    return node->null;
}

bool belt_node_quoted(const struct belt_node *node)
{
    return node->quoted;
}

size_t belt_node_count(const struct belt_node *node)
{
    return node->count;
}

const struct belt_node *belt_node_at(const struct belt_node *node, size_t i)
{
    return i < node->count ? node->entries[i].value : NULL;
}

const char *belt_node_key(const struct belt_node *node, size_t i)
{
    return i < node->count ? node->entries[i].key : NULL;
}

const char *belt_node_key_place(const struct belt_node *node, size_t i)
{
    return i < node->count ? node->entries[i].key_place : NULL;
}

struct belt_entry *belt_node_find(const struct belt_node *map, const char *key)
{
    if (map->kind != BELT_NODE_MAP)
        return NULL;
    for (size_t i = 0; i < map->count; i++)
        if (strcmp(map->entries[i].key, key) == 0)
            return &map->entries[i];
    return NULL;
}

const struct belt_node *belt_node_get(const struct belt_node *map, const char *key)
{
    const struct belt_entry *entry = map ? belt_node_find(map, key) : NULL;
    return entry ? entry->value : NULL;
}

const char *belt_node_place(const struct belt_node *node)
{
    return node->place;
}

/* ---- loading ---------------------------------------------------------------- */

/* Recursion ends: `over` is at most BELT_TREE_DEPTH deep. */
static int merge(struct belt_tree *tree, struct belt_node *base, const struct belt_node *over,
                 struct belt_error *err)
{
    for (size_t i = 0; i < over->count; i++) {
        const struct belt_entry *from = &over->entries[i];
        struct belt_entry *to = belt_node_find(base, from->key);
        int rc = 0;
        if (!to)
            rc = belt_tree_append(tree, base, from, err);
        else if (to->value->kind == BELT_NODE_MAP && from->value->kind == BELT_NODE_MAP)
            rc = merge(tree, to->value, from->value, err);
        else
            *to = *from;
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int load_bytes(struct belt_tree *tree, const char *text, size_t size, const char *name,
                      struct belt_error *err)
{
    struct belt_node *root;
    int rc = belt_yaml_file(tree, text, size, name, &root, err);
    if (rc != 0)
        return rc;
    if (root->kind != BELT_NODE_MAP)
        return belt_node_error(err, root, "a pipeline is a map (name: ..., source: ...), not %s",
                               belt_node_kind_name(root));
    if (tree->root->count)
        return merge(tree, tree->root, root, err);
    tree->root = root;
    return 0;
}

int belt_tree_load_text(struct belt_tree *tree, const char *text, const char *name,
                        struct belt_error *err)
{
    return load_bytes(tree, text, strlen(text), name, err);
}

static int cannot_read(struct belt_error *err, const char *path, int error)
{
    belt_error_config(err, "cannot read %s: %s", path, strerror(error));
    if (err)
        err->code = -error;
    return -error;
}

int belt_tree_load(struct belt_tree *tree, const char *path, struct belt_error *err)
{
    FILE *file = fopen(path, "re");
    if (!file)
        return cannot_read(err, path, errno);
    int rc;
    char *text = malloc(BELT_FILE_BYTES + 1);
    if (!text) {
        rc = belt_tree_nomem(err, path);
        goto close_file;
    }
    errno = 0;
    size_t size = fread(text, 1, BELT_FILE_BYTES + 1, file);
    if (ferror(file))
        rc = cannot_read(err, path, errno ? errno : EIO);
    else if (size > BELT_FILE_BYTES)
        rc = belt_error_config(err, "%s: larger than %u MiB", path, BELT_FILE_BYTES >> 20);
    else
        rc = load_bytes(tree, text, size, path, err);
    free(text);
close_file:
    fclose(file);
    return rc;
}

/* ---- one setting by path ---------------------------------------------------- */

/* A path taken apart; `place` is "-s PATH". */
struct path {
    const char *place;
    const char *whole;
    char *names[BELT_TREE_DEPTH - 1]; /* the root is a level too */
    size_t ends[BELT_TREE_DEPTH - 1]; /* whole[0, ends[i]) leads to names[i] */
    unsigned count;
};

static int split_path(struct belt_tree *tree, const char *whole, struct path *path,
                      struct belt_error *err)
{
    size_t size = strlen(whole);
    char *place = belt_tree_alloc(tree, size + sizeof "-s ");
    char *copy = belt_tree_copy(tree, whole, size);
    if (!place || !copy)
        return belt_tree_nomem(err, path->place);
    memcpy(place, "-s ", 3);
    memcpy(place + 3, whole, size);
    path->place = place;
    for (char *at = copy, *next; at; at = next) {
        if (path->count == BELT_TREE_DEPTH - 1)
            return belt_error_config(err, "%s: more than %d levels", place, BELT_TREE_DEPTH);
        next = strchr(at, '.');
        path->ends[path->count] = (size_t)((next ? next : copy + size) - copy);
        path->names[path->count++] = at;
        if (next)
            *next++ = 0;
        if (!*at)
            return belt_error_config(err, "%s: an empty name in the path", place);
    }
    return 0;
}

static bool is_index(const char *name)
{
    return name[strspn(name, "0123456789")] == 0;
}

/* A number too long for size_t is out of every list's range all the same. */
static size_t to_index(const char *name)
{
    return strlen(name) > 9 ? SIZE_MAX : (size_t)strtoul(name, NULL, 10);
}

static int find_in_list(const struct belt_node *list, const struct path *path, unsigned i,
                        struct belt_entry **out, struct belt_error *err)
{
    int above = i ? (int)path->ends[i - 1] : 0;
    const char *name = path->names[i];
    if (!is_index(name))
        return belt_error_config(err,
                                 "%s: %.*s is a list (%s); write an index of 0 to %zu, "
                                 "not '%.60s'",
                                 path->place, above, path->whole, list->place, list->count, name);
    size_t index = to_index(name);
    if (index > list->count)
        return belt_error_config(err, "%s: %.*s has %zu entries (%s); the next is %.*s.%zu",
                                 path->place, above, path->whole, list->count, list->place, above,
                                 path->whole, list->count);
    *out = index < list->count ? &list->entries[index] : NULL;
    return 0;
}

/* The entry that names[i] means in `here`; NULL when it may be added there. */
static int find(const struct belt_node *here, const struct path *path, unsigned i,
                struct belt_entry **out, struct belt_error *err)
{
    if (here->kind == BELT_NODE_LIST)
        return find_in_list(here, path, i, out, err);
    if (here->kind == BELT_NODE_SCALAR)
        return belt_error_config(err,
                                 "%s: %.*s is the text '%.60s' (%s), which has nothing "
                                 "below it",
                                 path->place, (int)path->ends[i - 1], path->whole, here->text,
                                 here->place);
    *out = belt_node_find(here, path->names[i]);
    return 0;
}

static struct belt_entry entry_for(const struct belt_node *in, const struct path *path, unsigned i,
                                   struct belt_node *value)
{
    bool map = in->kind == BELT_NODE_MAP;
    return (struct belt_entry){ map ? path->names[i] : NULL, map ? path->place : NULL, value,
                                false };
}

/* Wraps `value` into the maps and lists that names[from...] need, innermost
 * first, so that nothing is changed when one of them is refused. */
static int wrap(struct belt_tree *tree, const struct path *path, unsigned from,
                struct belt_node **value, struct belt_error *err)
{
    for (unsigned i = path->count; i-- > from;) {
        bool list = is_index(path->names[i]);
        if (list && to_index(path->names[i]) != 0)
            return belt_error_config(err, "%s: %.*s has 0 entries; the next is %.*s.0", path->place,
                                     (int)path->ends[i - 1], path->whole, (int)path->ends[i - 1],
                                     path->whole);
        struct belt_node *node = NULL; /* gcc 12 does not see that 0 means set */
        int rc =
            belt_tree_node(tree, list ? BELT_NODE_LIST : BELT_NODE_MAP, path->place, &node, err);
        if (rc != 0)
            return rc;
        struct belt_entry entry = entry_for(node, path, i, *value);
        rc = belt_tree_append(tree, node, &entry, err);
        if (rc != 0)
            return rc;
        *value = node;
    }
    return 0;
}

int belt_tree_set(struct belt_tree *tree, const char *whole, const char *text,
                  struct belt_error *err)
{
    struct path path = { .place = "-s", .whole = whole };
    int rc = split_path(tree, whole, &path, err);
    if (rc != 0)
        return rc;
    struct belt_node *value, *here = tree->root;
    rc = belt_yaml_value(tree, text, path.place, path.count, &value, err);
    if (rc != 0)
        return rc;
    for (unsigned i = 0;; i++) {
        struct belt_entry *entry = NULL;
        rc = find(here, &path, i, &entry, err);
        if (rc != 0)
            return rc;
        if (entry && !entry->value->null && i + 1 < path.count) {
            here = entry->value;
            continue;
        }
        rc = wrap(tree, &path, i + 1, &value, err);
        if (rc != 0)
            return rc;
        struct belt_entry made = entry_for(here, &path, i, value);
        if (!entry)
            return belt_tree_append(tree, here, &made, err);
        *entry = made;
        return 0;
    }
}
