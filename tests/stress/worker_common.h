/* Finding the processes of a pipeline from outside of it. */
#ifndef WORKER_COMMON_H
#define WORKER_COMMON_H

#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define WORKERS 8

static inline uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void pause_us(unsigned us)
{
    struct timespec t = { us / 1000000, (long)(us % 1000000) * 1000 };
    nanosleep(&t, NULL);
}

static inline pid_t parent_of(pid_t pid, char name[32])
{
    char path[64], line[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "r");
    int parent = -1;
    if (file && fgets(line, sizeof line, file)) {
        char *open = strchr(line, '('), *end = strrchr(line, ')');
        if (open && end) {
            snprintf(name, 32, "%.*s", (int)(end - open - 1), open + 1);
            sscanf(end + 1, " %*c %d", &parent);
        }
    }
    if (file)
        fclose(file);
    return parent;
}

/* What an engine's zygote made, by the beginning of its name. */
static inline int find_named(pid_t engine, const char *named, pid_t workers[WORKERS], pid_t *zygote)
{
    int count = 0;
    DIR *proc = opendir("/proc");
    for (struct dirent *entry; proc && count < WORKERS && (entry = readdir(proc));) {
        char name[32] = "", other[32] = "";
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid <= 0)
            continue;
        pid_t parent = parent_of(pid, name);
        if (strncmp(name, named, strlen(named)) != 0 || parent_of(parent, other) != engine)
            continue;
        workers[count++] = pid;
        *zygote = parent;
    }
    if (proc)
        closedir(proc);
    return count;
}

#endif
