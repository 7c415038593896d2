/* Building the configuration tree: YAML files laid over each other, then single
 * settings by path. One thread builds; afterwards any thread may read.
 *
 * All memory is the tree's own and freed with it, so a replaced node and the
 * strings handed to parts stay valid until belt_tree_free(). A call that fails
 * leaves what was readable before unchanged (out of memory excepted). */
#ifndef BELT_TREE_PRIV_H
#define BELT_TREE_PRIV_H

#include "core/tree.h"

#define BELT_TREE_DEPTH 64          /* levels; bounds every recursion over a tree */
#define BELT_TREE_NODES 100000      /* aliases multiply: nine lines can ask for 10^9 nodes */
#define BELT_TREE_KEYS 10000        /* of one map; they are searched one by one */
#define BELT_TREE_BYTES (64u << 20) /* the same for texts, variables included */
#define BELT_FILE_BYTES (4u << 20)

struct belt_tree;

struct belt_entry {
    const char *key;       /* NULL in a list */
    const char *key_place; /* NULL in a list */
    struct belt_node *value;
    bool merged; /* came by "<<": a key written out replaces it */
};

struct belt_node {
    enum belt_node_kind kind;
    bool quoted, null;
    const char *place;
    const char *text; /* of a scalar, as written even when it means null */
    struct belt_entry *entries;
    size_t count, room;
};

/* NULL: out of memory. Begins as an empty map. */
struct belt_tree *belt_tree_new(void);
void belt_tree_free(struct belt_tree *tree);

/* Reads a file; from the second on it overlays: maps merge key by key, all else
 * replaces. Order is that of the first file, new keys come after. */
int belt_tree_load(struct belt_tree *tree, const char *path, struct belt_error *err);
int belt_tree_load_text(struct belt_tree *tree, const char *text, const char *name,
                        struct belt_error *err);

/* One value by path; its place is "-s PATH". A value that begins with [ { " or '
 * is YAML, anything else is taken as it stands (so *.txt , | and # need no
 * quotes). Missing maps and lists on the way are made; a list's index may be its
 * length, which appends. */
int belt_tree_set(struct belt_tree *tree, const char *path, const char *value,
                  struct belt_error *err);

/* Never NULL; an empty map placed at "configuration" before the first load. */
const struct belt_node *belt_tree_root(const struct belt_tree *tree);

/* ~, null and nothing at all, unquoted. Settings treat it as not given. */
bool belt_node_null(const struct belt_node *node);
bool belt_node_quoted(const struct belt_node *node);
/* The text of a scalar as written: "null" where belt_node_text says "". For part
 * names, one of which is null. NULL for a list or map. */
const char *belt_node_written(const struct belt_node *node);
/* Place of the key of entry `i` of a map; NULL otherwise. */
const char *belt_node_key_place(const struct belt_node *node, size_t i);
/* "a text", "a list" or "a map", for messages. */
const char *belt_node_kind_name(const struct belt_node *node);

/* ---- between tree.c and yaml.c ---------------------------------------------- */

/* Zeroed, aligned for anything, lives as long as the tree. NULL: out of memory
 * or over BELT_TREE_BYTES. */
void *belt_tree_alloc(struct belt_tree *tree, size_t size);
char *belt_tree_copy(struct belt_tree *tree, const char *text, size_t size);
int belt_tree_nomem(struct belt_error *err, const char *place);
/* -EINVAL over BELT_TREE_NODES, -ENOMEM, or 0. */
int belt_tree_node(struct belt_tree *tree, enum belt_node_kind kind, const char *place,
                   struct belt_node **out, struct belt_error *err);
/* Appends, up to BELT_TREE_KEYS to a map. Key and place are not copied. */
int belt_tree_append(struct belt_tree *tree, struct belt_node *to, const struct belt_entry *entry,
                     struct belt_error *err);
struct belt_entry *belt_node_find(const struct belt_node *map, const char *key);

/* A whole file's text as a tree of nodes. */
int belt_yaml_file(struct belt_tree *tree, const char *text, size_t size, const char *name,
                   struct belt_node **out, struct belt_error *err);
/* A value as belt_tree_set takes it, to stand `depth` levels below the root. */
int belt_yaml_value(struct belt_tree *tree, const char *value, const char *place, unsigned depth,
                    struct belt_node **out, struct belt_error *err);

#endif
