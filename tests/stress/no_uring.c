/* A machine that forbids io_uring, as many containers do: a filter answers its
 * set-up with EPERM. `auto` must read and write all the same, `io_uring` must say
 * why it cannot. A plain program, since a filter stays for the process's life. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core/pipeline.h"

#define ROWS 100000
#define SKIPPED 77

static int forbid_uring(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, code };
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
        return -1;
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* 0, or what start or wait said. */
static int run(const char *folder, const char *backend, struct belt_totals *totals,
               struct belt_error *err)
{
    char yaml[1024];
    struct belt_pipeline *p;
    snprintf(yaml, sizeof yaml,
             "placement: { backend: %s }\nsource: { file: { paths: '%s/in' } }\n"
             "batcher: { sink: { file: { path: '%s/out' } } }\n",
             backend, folder, folder);
    int rc = belt_pipeline_new(&p, err);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, yaml, "no_uring", err);
    if (rc == 0)
        rc = belt_pipeline_start(p, err);
    if (rc == 0)
        rc = belt_pipeline_wait(p, BELT_FOREVER, err);
    belt_pipeline_totals(p, totals);
    belt_pipeline_free(p);
    return rc;
}

static int write_rows(const char *folder)
{
    char path[300];
    snprintf(path, sizeof path, "%s/in", folder);
    FILE *file = fopen(path, "w");
    for (int i = 0; file && i < ROWS; i++)
        fprintf(file, "row %d\n", i);
    return file ? fclose(file) : -1;
}

static int same(const char *folder)
{
    char command[700];
    snprintf(command, sizeof command, "cmp '%s/in' '%s/out'", folder, folder);
    return system(command) == 0;
}

static int check(int ok, const char *what)
{
    printf("%s: %s\n", ok ? "ok" : "not ok", what);
    return !ok;
}

int main(void)
{
    char folder[] = "/tmp/belt-no-uring-XXXXXX", command[64];
    struct belt_error err = { 0 };
    struct belt_totals totals = { .size = sizeof totals };
    int failures = 0;
    if (!mkdtemp(folder) || write_rows(folder) != 0)
        return 1;
    if (forbid_uring() < 0) {
        printf("skipped: no seccomp filters here: %s\n", strerror(errno));
        return SKIPPED;
    }
    int rc = run(folder, "auto", &totals, &err);
    failures += check(rc == 0 && totals.done == ROWS, "auto settles every row");
    failures += check(same(folder), "what was written is what was read");
    rc = run(folder, "io_uring", &totals, &err);
    failures += check(rc < 0 && strstr(err.text, "posix"), "io_uring names the way out");
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return failures + system(command) != 0;
}
