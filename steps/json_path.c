/* Paths into a JSON value, as a tree that the walk goes down. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "steps/json_priv.h"

struct piece {
    const char *name; /* NULL: an element */
    uint32_t size, index;
};

struct reader {
    struct belt_json_paths *paths;
    const struct belt_node *place;
    struct belt_error *err;
    const char *path, *at;
    char *name; /* room for the names of this path, without escapes */
};

static int bad(const struct reader *r, const char *what)
{
    return belt_node_error(r->err, r->place, "path '%s': %s; write a.b[2] or /a/b/2", r->path,
                           what);
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The digits at r->at as an index, which has no leading zero. */
static int read_index(struct reader *r, struct piece *piece)
{
    char *end;
    if (!is_digit(*r->at) || (*r->at == '0' && is_digit(r->at[1])))
        return bad(r, "an element is a number from 0 on");
    unsigned long index = strtoul(r->at, &end, 10);
    if (index >= UINT32_MAX)
        return bad(r, "so many elements no array has");
    *piece = (struct piece){ .index = (uint32_t)index };
    r->at = end;
    return 0;
}

/* "a" of "a.b", "[2]" of "[2].b" */
static int read_dotted(struct reader *r, struct piece *piece)
{
    if (*r->at == '[') {
        r->at++;
        int rc = read_index(r, piece);
        if (rc < 0)
            return rc;
        return *r->at++ == ']' ? 0 : bad(r, "a [ without its ]");
    }
    if (r->at > r->path && *r->at++ != '.')
        return bad(r, "behind a ] comes a . or a [");
    size_t size = strcspn(r->at, ".[]");
    if (size == 0)
        return bad(r, "a name is empty");
    *piece = (struct piece){ .name = memcpy(r->name, r->at, size), .size = (uint32_t)size };
    r->name += size;
    r->at += size;
    return 0;
}

/* "/a" of "/a/b": ~1 is a /, ~0 a ~, and a number is an element. */
static int read_pointer(struct reader *r, struct piece *piece)
{
    size_t size = strcspn(++r->at, "/");
    if (size && strspn(r->at, "0123456789") == size)
        return read_index(r, piece);
    *piece = (struct piece){ .name = r->name };
    for (const char *end = r->at + size; r->at < end; r->at++) {
        if (*r->at == '~' && r->at[1] != '0' && r->at[1] != '1')
            return bad(r, "a ~ itself is written ~0, a / is ~1");
        *r->name++ = *r->at == '~' ? (*++r->at == '1' ? '/' : '~') : *r->at;
    }
    piece->size = (uint32_t)(r->name - piece->name);
    return 0;
}

static bool is_piece(const struct belt_json_node *node, const struct piece *piece)
{
    if (!node->name || !piece->name)
        return !node->name && !piece->name && node->index == piece->index;
    return node->name_size == piece->size && memcmp(node->name, piece->name, piece->size) == 0;
}

/* A new node without a place in the tree yet; 0: no memory. */
static uint32_t new_node(struct belt_json_paths *paths, const struct piece *piece)
{
    if (paths->count == paths->room) {
        uint32_t room = paths->room ? 2 * paths->room : 16;
        void *more = realloc(paths->nodes, room * sizeof *paths->nodes);
        if (!more)
            return 0;
        paths->nodes = more;
        paths->room = room;
    }
    char *name = NULL;
    if (piece->name && !(name = strndup(piece->name, piece->size)))
        return 0;
    paths->nodes[paths->count] = (struct belt_json_node){
        .name = name, .name_size = piece->size, .index = piece->index, .slot = -1
    };
    uint32_t head = piece->size < 8 ? piece->size : 8;
    if (head) {
        memcpy(&paths->nodes[paths->count].word, name, head);
        paths->nodes[paths->count].mask = UINT64_MAX >> (64 - 8 * head);
    }
    return paths->count++;
}

/* The node below `parent` for this piece, made when it is not there. 0: no memory. */
static uint32_t go_down(struct belt_json_paths *paths, uint32_t parent, const struct piece *piece)
{
    for (uint32_t n = paths->nodes[parent].child; n; n = paths->nodes[n].next)
        if (is_piece(&paths->nodes[n], piece))
            return n;
    uint32_t n = new_node(paths, piece);
    if (n) {
        paths->nodes[n].next = paths->nodes[parent].child;
        paths->nodes[parent].child = n;
    }
    return n;
}

/* The node that the whole path leads to; negative: err is set. */
static int64_t read_path(struct reader *r)
{
    bool pointer = *r->path == '/';
    uint32_t node = 0;
    int depth = 0;
    while (*r->at) {
        struct piece piece;
        int rc = pointer ? read_pointer(r, &piece) : read_dotted(r, &piece);
        if (rc < 0)
            return rc;
        if (piece.size > BELT_JSON_EQUAL)
            return bad(r, "a name has at most 256 bytes");
        if (++depth == BELT_JSON_DEPTH)
            return bad(r, "it is deeper than any record may be");
        node = go_down(r->paths, node, &piece);
        if (!node)
            return belt_error_set(r->err, -ENOMEM, "json: out of memory");
    }
    return node ? (int64_t)node : bad(r, "it is empty");
}

/* Slots below each node; children come behind their parents. */
static void add_up(struct belt_json_paths *paths)
{
    for (uint32_t n = paths->count; n-- > 0;) {
        struct belt_json_node *node = &paths->nodes[n];
        node->below = node->slot >= 0 ? UINT64_C(1) << node->slot : 0;
        for (uint32_t child = node->child; child; child = paths->nodes[child].next) {
            const struct belt_json_node *below = &paths->nodes[child];
            node->below |= below->below;
            if (below->name)
                node->members |= UINT64_C(1) << belt_json_hash(
                                     below->name_size ? below->name : "\"", below->name_size);
        }
    }
}

int belt_json_path_add(struct belt_json_paths *paths, const char *path, const struct belt_node *at,
                       struct belt_error *err)
{
    char *names = malloc(strlen(path) + 1);
    struct reader r = { paths, at, err, path, path, names };
    int64_t n = -ENOMEM;
    if (!names || (paths->count == 0 && (new_node(paths, &(struct piece){ 0 }), !paths->count)))
        belt_error_set(err, -ENOMEM, "json: out of memory");
    else
        n = read_path(&r);
    free(names);
    if (n < 0)
        return (int)n;
    struct belt_json_node *node = &paths->nodes[n];
    if (node->slot < 0 && paths->slots == BELT_JSON_SLOTS)
        return belt_node_error(err, at, "more than %d paths", BELT_JSON_SLOTS);
    if (node->slot < 0)
        node->slot = paths->slots++;
    add_up(paths);
    return node->slot;
}

void belt_json_paths_free(struct belt_json_paths *paths)
{
    for (uint32_t n = 0; n < paths->count; n++)
        free(paths->nodes[n].name);
    free(paths->nodes);
    *paths = (struct belt_json_paths){ 0 };
}
