/* Which inputs the source `file` has: paths and globs, opened and cut into chunks. */
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/source_follow_priv.h"

#define GLOB_LETTERS "*?["
#define HEADERS (256u << 10) /* bytes of headers that differ; the longest one beside */

int source_each_path(struct source_conf *conf, source_path_fn *fn, struct belt_error *err)
{
    for (size_t i = 0; i < conf->paths.count; i++) {
        const char *path = conf->paths.at[i];
        int rc = 0;
        if (!strpbrk(path, GLOB_LETTERS)) {
            rc = fn(conf, path, err);
        } else {
            glob_t found;
            int missed = glob(path, 0, NULL, &found);
            if (missed) /* perhaps a name that looks like a pattern; fn knows what to say */
                rc = fn(conf, path, err);
            for (size_t g = 0; !missed && g < found.gl_pathc && rc == 0; g++)
                rc = fn(conf, found.gl_pathv[g], err);
            if (!missed)
                globfree(&found);
        }
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* As set, or as its first bytes say. */
static enum source_pack pack_of(const struct source_conf *conf, int fd)
{
    return conf->compression == SOURCE_AUTO ? source_pack_of_file(fd)
                                            : (enum source_pack)conf->compression;
}

static bool is_packed_file(const struct source_conf *conf, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool packed = fd >= 0 && pack_of(conf, fd) != SOURCE_PLAIN;
    if (fd >= 0)
        close(fd);
    return packed;
}

/* As files in /proc do, which have bytes and a size of 0: they are read as pipes are. */
static bool hides_its_size(int fd)
{
    struct stat st;
    char byte;
    return fd >= 0 && pread(fd, &byte, 1, 0) == 1 && fstat(fd, &st) == 0 && st.st_size == 0;
}

static bool is_hidden_file(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool hides = hides_its_size(fd);
    if (fd >= 0)
        close(fd);
    return hides;
}

/* A file that is not there is open()'s to report: `validate` may run elsewhere. A packed
 * file alone is a stream, too: its slabs are chunks, which go to processors in turn. */
int source_look(struct source_conf *conf, const char *path, struct belt_error *err)
{
    struct stat st;
    (void)err;
    conf->count++;
    bool there = strcmp(path, "-") != 0 && stat(path, &st) == 0;
    if (!there)
        conf->single |= strcmp(path, "-") == 0;
    else if (!S_ISREG(st.st_mode))
        conf->single |= !S_ISDIR(st.st_mode);
    else if (st.st_size == 0)
        conf->single |= is_hidden_file(path);
    else if (conf->paths.count == 1 && conf->count == 1)
        conf->lone = is_packed_file(conf, path);
    return 0;
}

int source_refuse_folders(const struct source_conf *conf, const struct belt_node *node,
                          struct belt_error *err)
{
    bool map = belt_node_kind(node) == BELT_NODE_MAP;
    const struct belt_node *paths = map ? belt_node_get(node, "paths") : node;
    for (size_t i = 0; i < conf->paths.count; i++) {
        const char *path = conf->paths.at[i];
        bool list = belt_node_kind(paths) == BELT_NODE_LIST;
        int size = (int)strlen(path);
        struct stat st;
        if (strpbrk(path, GLOB_LETTERS) || stat(path, &st) < 0 || !S_ISDIR(st.st_mode))
            continue;
        while (size > 1 && path[size - 1] == '/')
            size--;
        return belt_node_error(err, list ? belt_node_at(paths, i) : paths,
                               "%s is a directory: name the files in it by a pattern, such as "
                               "'%.*s/*.log'",
                               path, size, path);
    }
    return 0;
}

static int add_input(struct source_conf *conf, const struct source_input *input,
                     struct belt_error *err)
{
    if ((conf->count & (conf->count - 1)) == 0) {
        size_t room = conf->count ? 2 * (size_t)conf->count : 1;
        void *grown = realloc(conf->inputs, room * sizeof *conf->inputs);
        if (!grown)
            return belt_error_set(err, -ENOMEM, "source file: out of memory for the list of files");
        conf->inputs = grown;
    }
    conf->inputs[conf->count] = *input;
    conf->inputs[conf->count].path = strdup(input->is_stdin ? "stdin" : input->path);
    if (!conf->inputs[conf->count++].path)
        return belt_error_set(err, -ENOMEM, "source file: out of memory for the list of files");
    return 0;
}

static int refuse_open(const char *path, struct belt_error *err)
{
    int code = errno;
    if (code == ENOENT && strpbrk(path, GLOB_LETTERS))
        return belt_error_set(err, -code,
                              "%s: no file matches: check the pattern, or the "
                              "directory this was started in",
                              path);
    const char *way = code == ENOENT   ? "check the path, or the directory this was started in"
                      : code == EACCES ? "make it readable for this user"
                      : code == EMFILE ? "raise the limit on open files (ulimit -n) or name fewer"
                                       : "it cannot be a source";
    return belt_error_set(err, -code, "%s: %s: %s", path, strerror(code), way);
}

/* What cannot be cut into chunks is read as ever. After the first bytes were looked at:
 * a direct read takes whole pages. */
static int make_direct(const struct source_conf *conf, struct source_input *input, const char *path,
                       bool hides, struct belt_error *err)
{
    if (conf->direct == SOURCE_BUFFERED || (source_is_stream(input) && !hides))
        return 0;
    input->direct = !hides && fcntl(input->fd, F_SETFL, O_DIRECT) == 0;
    if (input->direct || conf->direct == SOURCE_TRY_DIRECT)
        return 0;
    return belt_error_set(err, -ENOTSUP,
                          "%s: its file system cannot be read past the page cache: set direct to "
                          "auto or false",
                          path);
}

int source_buffered(struct source_input *input)
{
    if (input->direct)
        input->direct = fcntl(input->fd, F_SETFL, 0) < 0;
    return input->fd;
}

static int open_input(struct source_conf *conf, const char *path, struct belt_error *err)
{
    if (strcmp(path, "-") == 0)
        return add_input(conf,
                         &(struct source_input){ .fd = STDIN_FILENO,
                                                 .stream = true,
                                                 .is_stdin = true,
                                                 .pack = (enum source_pack)conf->compression },
                         err);
    struct source_input input = { .path = (char *)(uintptr_t)path };
    struct stat st;
    /* Nonblocking, or a pipe without a writer would hold the start up. */
    input.fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (input.fd < 0 && errno == ENOENT && conf->missing)
        return 0;
    if (input.fd < 0)
        return refuse_open(path, err);
    if (fstat(input.fd, &st) < 0 || S_ISDIR(st.st_mode)) {
        close(input.fd);
        return belt_error_set(err, -EISDIR,
                              "%s: is a directory: name the files in it, "
                              "for example %s/*",
                              path, path);
    }
    input.stream =
        !S_ISREG(st.st_mode) || (conf->single && st.st_size == 0 && hides_its_size(input.fd));
    input.size = input.stream ? 0 : (uint64_t)st.st_size;
    input.pack = input.stream ? (enum source_pack)conf->compression : pack_of(conf, input.fd);
    if (input.stream && !conf->single) {
        close(input.fd);
        return belt_error_set(err, -ESTALE,
                              "%s: was a file when the pipeline was checked and "
                              "is none now: start again",
                              path);
    }
    int rc = make_direct(conf, &input, path, input.stream && S_ISREG(st.st_mode), err);
    if (rc == 0)
        rc = add_input(conf, &input, err);
    if (rc < 0)
        close(input.fd);
    return rc;
}

/* Each slot gets its path when its file is there. */
static int open_followed(struct source_conf *conf, struct belt_error *err)
{
    conf->inputs = calloc(FOLLOW_FILES, sizeof *conf->inputs);
    if (!conf->inputs)
        return belt_error_set(err, -ENOMEM, "source file: out of memory for the list of files");
    conf->count = FOLLOW_FILES;
    for (uint32_t i = 0; i < FOLLOW_FILES; i++)
        conf->inputs[i].fd = -1;
    return follow_load(conf, err);
}

int source_open(void *part_conf, struct belt_error *err)
{
    struct source_conf *conf = part_conf;
    if (conf->follow)
        return open_followed(conf, err);
    int rc = source_each_path(conf, open_input, err);
    conf->headers.files = conf->count;
    conf->headers.room = HEADERS + conf->max_record;
    for (uint32_t i = 0; rc == 0 && i < conf->count; i++) {
        struct source_input *input = &conf->inputs[i];
        input->first = conf->chunks;
        conf->chunks += source_is_stream(input) ? 1 : (input->size + conf->chunk - 1) / conf->chunk;
        conf->bytes += input->size;
        conf->directs += input->direct;
        conf->packed |= input->pack != SOURCE_PLAIN;
    }
    return rc;
}

void source_close(void *part_conf)
{
    struct source_conf *conf = part_conf;
    for (uint32_t i = 0; i < conf->count; i++) {
        if (conf->inputs[i].fd >= 0 && !conf->inputs[i].is_stdin)
            close(conf->inputs[i].fd);
        if (!conf->follow)
            free(conf->inputs[i].path);
        free(conf->inputs[i].lines);
    }
    source_waits_close(conf);
    follow_forget(conf);
    for (struct follow_name *name; (name = conf->names); free(name))
        conf->names = name->next;
    free(conf->inputs);
    conf->inputs = NULL;
    conf->count = 0;
}
