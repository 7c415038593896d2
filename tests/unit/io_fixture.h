/* A part of io/ driven through its table, without a pipeline around it. */
#ifndef IO_FIXTURE_H
#define IO_FIXTURE_H

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/settings_priv.h"
#include "core/spec_priv.h"

#define UNUSED __attribute__((unused))

/* A part with its settings read and prepare() done. */
struct io_part {
    const struct belt_part *part;
    struct belt_tree *tree;
    struct belt_spec *spec;
    struct belt_setup setup;
    void *conf;
    struct belt_error err;
};

/* `settings`: YAML, "{ paths: a.txt, chunk: 4KiB }". Columns may be added to
 * p->spec between the two halves. */
UNUSED static int io_read(struct io_part *p, const struct belt_part *part, const char *settings)
{
    char yaml[4096];
    *p = (struct io_part){ .part = part, .tree = belt_tree_new() };
    p->spec = calloc(1, sizeof *p->spec);
    p->spec->columns[0] = (struct belt_column_info){ "payload", BELT_TEXT, 0 };
    p->spec->columns_used = 1;
    p->conf = calloc(1, part->conf_size + 1);
    snprintf(yaml, sizeof yaml, "part: %s\n", settings);
    cr_assert_eq(belt_tree_load_text(p->tree, yaml, "p.yaml", &p->err), 0, "%s", p->err.text);
    const struct belt_node *node = belt_node_get(belt_tree_root(p->tree), "part");
    struct belt_settings_in in = { .table = part->settings,
                                   .node = node,
                                   .at = node,
                                   .what = part->name,
                                   .scalar = part->scalar };
    p->setup = (struct belt_setup){ .spec = p->spec,
                                    .source = &p->spec->sources[0],
                                    .limit = &p->spec->sources[0].use.limit,
                                    .node = node,
                                    .path = part->name,
                                    .columns = p->spec->columns,
                                    .columns_used = &p->spec->columns_used };
    return belt_settings_read(&in, p->conf, p->tree, &p->err);
}

UNUSED static int io_prepare(struct io_part *p)
{
    return p->part->prepare ? p->part->prepare(p->conf, &p->setup, &p->err) : 0;
}

UNUSED static void io_free(struct io_part *p)
{
    if (p->part->close)
        p->part->close(p->conf);
    belt_tree_free(p->tree);
    free(p->spec);
    free(p->conf);
}

/* ---- files --------------------------------------------------------------------- */

static char io_directory[64]; /* of this test, under /tmp */

UNUSED static void io_make_directory(void)
{
    strcpy(io_directory, "/tmp/belt-io-XXXXXX");
    cr_assert_not_null(mkdtemp(io_directory));
}

UNUSED static void io_remove_directory(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", io_directory);
    cr_assert_eq(system(command), 0);
}

UNUSED static const char *io_path(const char *name)
{
    static char paths[4][128];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", io_directory, name);
    return path;
}

UNUSED static void io_write(const char *name, const char *bytes, size_t size)
{
    FILE *file = fopen(io_path(name), "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    fclose(file);
}

/* The file's text, "(none)" if there is no such file. Lent until the next call. */
UNUSED static const char *io_text(const char *name)
{
    static char text[65536];
    FILE *file = fopen(io_path(name), "rb");
    if (!file)
        return "(none)";
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

/* ---- randomness, the same in each run ------------------------------------------ */

UNUSED static uint32_t io_random(uint64_t *seed, uint32_t limit)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return (uint32_t)((*seed >> 32) % limit);
}

#endif
