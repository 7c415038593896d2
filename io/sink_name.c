/* Names of output files: a path with {key}, {n}, {date} in it. */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "io/sink_file_priv.h"

#define DATE_SIZE 16 /* 20261121T174000Z */
#define DIGITS 6     /* of {n}, at least: names sort as they were made */

struct text {
    char *to, *end;
};

static void put(struct text *text, const char *bytes, size_t size)
{
    if ((size_t)(text->end - text->to) < size) {
        text->to = text->end + 1; /* too long: nothing fits any more */
        text->end = text->to;
        return;
    }
    memcpy(text->to, bytes, size);
    text->to += size;
}

static bool is_plain(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-' || c == '.';
}

static void put_key(struct text *text, const struct belt_out_name *name)
{
    static const char hex[] = "0123456789ABCDEF";
    if (!name->key_size)
        put(text, "%", 1);
    for (uint32_t i = 0; i < name->key_size; i++) {
        unsigned char c = (unsigned char)name->key[i];
        char escaped[3] = { '%', hex[c >> 4], hex[c & 15] };
        bool plain = is_plain(c) && (c != '.' || i);
        put(text, plain ? name->key + i : escaped, plain ? 1 : 3);
    }
}

static void put_number(struct text *text, const struct belt_out_name *name)
{
    char digits[16];
    put(text, digits, (size_t)snprintf(digits, sizeof digits, "%0*u", DIGITS, name->n));
}

static void put_date(struct text *text, const struct belt_out_name *name)
{
    char date[DATE_SIZE + 1];
    time_t seconds = (time_t)(name->wall / 1000000000u);
    struct tm tm;
    put(text, date, strftime(date, sizeof date, "%Y%m%dT%H%M%SZ", gmtime_r(&seconds, &tm)));
}

/* ---- and back: what a name says ------------------------------------------------- */

static const char *skip_key(const char *at, const struct belt_out_name *name, uint32_t *n)
{
    char key[PATH_MAX];
    struct text text = { key, key + sizeof key };
    (void)n;
    put_key(&text, name);
    size_t size = (size_t)(text.to - key);
    return text.to <= key + sizeof key && strncmp(at, key, size) == 0 ? at + size : NULL;
}

static const char *skip_number(const char *at, const struct belt_out_name *name, uint32_t *n)
{
    char *end;
    (void)name;
    if (*at < '0' || *at > '9')
        return NULL;
    unsigned long number = strtoul(at, &end, 10);
    if (end - at < DIGITS || number >= UINT32_MAX)
        return NULL;
    *n = (uint32_t)number;
    return end;
}

static const char *skip_date(const char *at, const struct belt_out_name *name, uint32_t *n)
{
    static const char like[] = "00000000T000000Z";
    (void)name, (void)n;
    for (int i = 0; i < DATE_SIZE; i++)
        if (like[i] == '0' ? at[i] < '0' || at[i] > '9' : at[i] != like[i])
            return NULL;
    return at + DATE_SIZE;
}

static const struct {
    const char *word;
    void (*put)(struct text *text, const struct belt_out_name *name);
    const char *(*skip)(const char *at, const struct belt_out_name *name, uint32_t *n);
} words[] = {
    { "{key}", put_key, skip_key },
    { "{n}", put_number, skip_number },
    { "{date}", put_date, skip_date },
};
enum { WORDS = sizeof words / sizeof *words };

/* Which of the words stands here; WORDS: none. */
static int word_at(const char *path)
{
    int w = 0;
    while (w < WORDS && strncmp(path, words[w].word, strlen(words[w].word)) != 0)
        w++;
    return w;
}

/* ---- calls --------------------------------------------------------------------- */

int belt_out_path(char out[PATH_MAX], const char *path, const struct belt_out_name *name)
{
    struct text text = { out, out + PATH_MAX - 1 };
    while (*path) {
        int w = word_at(path);
        if (w < WORDS) {
            words[w].put(&text, name);
            path += strlen(words[w].word);
        } else {
            put(&text, path++, 1);
        }
    }
    if (text.to > out + PATH_MAX - 1)
        return -ENAMETOOLONG;
    *text.to = 0;
    return (int)(text.to - out);
}

bool belt_out_has(const char *path, const char *what)
{
    return strstr(path, what) != NULL;
}

const char *belt_out_unknown(const char *path, int *size)
{
    for (const char *at = strchr(path, '{'); at; at = strchr(at + 1, '{')) {
        size_t word =
            strspn(at + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_");
        *size = (int)word + 2;
        if (word && at[1 + word] == '}' && word_at(at) == WORDS)
            return at;
    }
    return NULL;
}

/* Is `file` one of `path`, a template without a directory? Its number. */
static bool is_of(const char *file, const char *path, const struct belt_out_name *name, uint32_t *n,
                  bool *partial)
{
    while (file && *path) {
        int w = word_at(path);
        if (w < WORDS) {
            file = words[w].skip(file, name, n);
            path += strlen(words[w].word);
        } else if (*file++ != *path++) {
            return false;
        }
    }
    *partial = file && strcmp(file, ".partial") == 0;
    return file && (!*file || *partial);
}

int belt_out_find(struct belt_out_found *found, const char *path, const struct belt_out_name *name)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');
    int rc = belt_out_path(directory, path, name);
    *found = (struct belt_out_found){ 0 };
    if (rc < 0)
        return rc;
    char *end = strrchr(directory, '/'); /* a key has none */
    strcpy(end ? end + 1 : directory, end ? "" : ".");
    DIR *dir = opendir(directory);
    if (!dir)
        return -errno;
    uint32_t first = UINT32_MAX;
    for (struct dirent *entry; (entry = readdir(dir));) {
        uint32_t n = 0;
        bool partial;
        if (!is_of(entry->d_name, slash ? slash + 1 : path, name, &n, &partial))
            continue;
        found->last = n > found->last ? n : found->last;
        found->finished += !partial;
        if (!partial && n < first) {
            first = n;
            strcpy(found->oldest, entry->d_name);
        }
    }
    closedir(dir);
    return 0;
}
