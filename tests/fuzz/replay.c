/* Instead of libFuzzer: runs a target over the files and folders that are named. */
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* In memory of just its size: reading past it is noticed. NULL: not a file to be read. */
static uint8_t *content(const char *path, size_t *size)
{
    FILE *in = fopen(path, "re");
    uint8_t *data = NULL;
    *size = 0;
    if (!in)
        return NULL;
    if (fseek(in, 0, SEEK_END) == 0 && ftell(in) >= 0) {
        *size = (size_t)ftell(in);
        rewind(in);
        data = malloc(*size + !*size);
        if (fread(data, 1, *size, in) != *size) {
            free(data);
            data = NULL;
        }
    }
    fclose(in);
    return data;
}

static bool replay(const char *path)
{
    size_t size;
    uint8_t *data = content(path, &size);
    if (!data) {
        fprintf(stderr, "%s: cannot be read\n", path);
        return false;
    }
    printf("%s: %zu bytes\n", path, size);
    fflush(stdout); /* the last one named is the one that it died over */
    LLVMFuzzerTestOneInput(data, size);
    free(data);
    return true;
}

static int replay_folder(const char *path)
{
    struct dirent **entries;
    int count = scandir(path, &entries, NULL, alphasort), done = 0;
    for (int i = 0; i < count; i++) {
        char file[4096];
        snprintf(file, sizeof file, "%s/%s", path, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.')
            done += replay(file);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return count < 0 ? replay(path) : done;
}

int main(int argc, char **argv)
{
    int done = 0;
    for (int i = 1; i < argc; i++)
        done += replay_folder(argv[i]);
    printf("%d inputs\n", done);
    return done ? 0 : 1;
}
