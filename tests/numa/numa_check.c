/* numa_check PIPELINE.yaml [PATH=VALUE..]: runs a pipeline and asks the kernel, in the
 * middle of the run, where its pages (move_pages) and its threads (/proc) are. What it
 * finds elsewhere than the plan says is told line by line; then the exit code is 1.
 * `./dev numa-guest` runs it in machines of several nodes. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "core/pipeline_priv.h"
#include "core/run_priv.h"
#include "core/worker_priv.h"

#define PAGE 4096
#define PAGES 512 /* asked for at once */
#define MESSAGES 100000
#define TOLD 10 /* of what is wrong, by line */

static uint64_t wrong, pages, absent, threads;

static void tell(const char *what, uint64_t at, int is, int should)
{
    if (wrong++ < TOLD)
        printf("WRONG %s %" PRIx64 " is on %d, planned on %d\n", what, at, is, should);
}

/* ---- pages ---------------------------------------------------------------------- */

static void look_at_some(void **at, size_t count, int node, const char *what)
{
    int status[PAGES];
    if (syscall(SYS_move_pages, 0, count, at, NULL, status, 0) < 0) {
        printf("WRONG move_pages: %s\n", strerror(errno));
        wrong++;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (status[i] < 0) { /* never touched */
            absent++;
            continue;
        }
        pages++;
        if (status[i] != node)
            tell(what, (uint64_t)(uintptr_t)at[i], status[i], node);
    }
}

static void look_at(const void *from, uint64_t size, int node, const char *what)
{
    void *at[PAGES];
    size_t count = 0;
    uintptr_t end = (uintptr_t)from + size;
    for (uintptr_t page = (uintptr_t)from / PAGE * PAGE; page < end; page += PAGE) {
        at[count++] = (void *)page; // NOLINT: an address to ask about
        if (count == PAGES || page + PAGE >= end) {
            look_at_some(at, count, node, what);
            count = 0;
        }
    }
}

static void look_at_memory(const struct belt_engine_run *run)
{
    for (uint32_t e = 0; e < run->extents_used; e++) {
        const struct belt_extent *extent = &run->extents[e];
        look_at((const char *)run->region.base + extent->from, extent->to - extent->from,
                extent->node, "page of the region");
    }
    for (int o = 0; o < run->batchers_used; o++)
        for (uint32_t i = 0; i < run->spec->batchers[o].instances; i++) {
            const struct belt_batcher_stage *b = &run->batchers[o][i];
            uint64_t size;
            const void *arena = belt_batches_arena(b->batches, &size);
            look_at(arena, size, belt_lane_node(run, b->stage.lane), "page of open batches");
        }
}

/* ---- threads -------------------------------------------------------------------- */

static bool read_line(const char *task, const char *file, char *out, size_t room, const char *from)
{
    char path[300];
    bool found = false;
    snprintf(path, sizeof path, "/proc/%.64s/%.64s", task, file);
    FILE *in = fopen(path, "r");
    while (in && !found && fgets(out, (int)room, in))
        found = strncmp(out, from, strlen(from)) == 0;
    if (in)
        fclose(in);
    out[strcspn(out, "\n")] = 0;
    return found;
}

/* Field 39 of its stat: the CPU that it last ran on; -1: it is not there any more. */
static int last_cpu(const char *task)
{
    char text[1024];
    char *at = read_line(task, "stat", text, sizeof text, "") ? strrchr(text, ')') : NULL;
    for (int field = 2; at && field < 39; field++) /* the name's bracket ends field 2 */
        at = strchr(at + 1, ' ');
    return at ? atoi(at) : -1;
}

/* The CPUs that it may use, as a list; "" when it is not there any more. */
static void read_allowed(const char *task, char *list, size_t room)
{
    static const char key[] = "Cpus_allowed_list:\t";
    char line[512];
    bool found = read_line(task, "status", line, sizeof line, key);
    snprintf(list, room, "%s", found ? line + strlen(key) : "");
}

static void look_at_lane(const struct belt_engine_run *run, const char *task, uint32_t lane)
{
    char allowed[512], own[16];
    int cpu = run->plan->place->lanes[lane].cpu, last = last_cpu(task);
    read_allowed(task, allowed, sizeof allowed);
    snprintf(own, sizeof own, "%d", cpu);
    threads++;
    if (last != cpu || strcmp(allowed, own) != 0)
        tell("lane", lane, last, cpu);
}

/* Lanes have their own CPU, all other threads the mask that the process came with.
 * (Those of the kernel, for io_uring, have their node's.) */
static void look_at_threads(const struct belt_engine_run *run, const char *mask)
{
    uint32_t lanes = 0, lane;
    DIR *tasks = opendir("/proc/self/task");
    for (struct dirent *entry; tasks && (entry = readdir(tasks));) {
        char task[300], name[64], allowed[512];
        snprintf(task, sizeof task, "self/task/%s", entry->d_name);
        if (entry->d_name[0] == '.' || !read_line(task, "comm", name, sizeof name, ""))
            continue;
        if (sscanf(name, "belt/lane.%u", &lane) == 1 && lane < run->lanes_used) {
            look_at_lane(run, task, lane);
            lanes++;
            continue;
        }
        read_allowed(task, allowed, sizeof allowed);
        if (strncmp(name, "iou-", 4) != 0 && strcmp(allowed, mask) != 0 && ++wrong)
            printf("WRONG thread %s may use %s, not %s\n", name, allowed, mask);
    }
    if (tasks)
        closedir(tasks);
    if (lanes != run->lanes_used && ++wrong)
        printf("WRONG %u lanes are there, not %u\n", lanes, run->lanes_used);
}

/* A worker is on the CPU of its lane. */
static void look_at_workers(const struct belt_engine_run *run)
{
    for (uint32_t c = 0; c < run->chains_used; c++) {
        const struct belt_chain_stage *chain = &run->chains[c];
        char task[32], allowed[512], own[16];
        if (!chain->worker)
            continue;
        snprintf(task, sizeof task, "%d", (int)chain->worker->pid);
        snprintf(own, sizeof own, "%d", chain->stage.lane->cpu);
        read_allowed(task, allowed, sizeof allowed);
        threads++;
        if (strcmp(allowed, own) != 0 && ++wrong)
            printf("WRONG worker %u may use %s, not %s\n", c, allowed, own);
    }
}

/* ---- the run -------------------------------------------------------------------- */

static void die(const struct belt_error *err)
{
    printf("WRONG %s\n", err->text);
    exit(1);
}

static void wait_for_messages(struct belt_pipeline *p)
{
    struct belt_totals totals = { .size = sizeof totals };
    struct timespec nap = { .tv_nsec = 10000000 };
    for (int naps = 0; naps < 6000; naps++) {
        belt_pipeline_totals(p, &totals);
        if (totals.received >= MESSAGES)
            return;
        nanosleep(&nap, NULL);
    }
    printf("WRONG only %" PRIu64 " messages within a minute\n", totals.received);
    exit(1);
}

int main(int argc, char **argv)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p;
    char mask[512];
    read_allowed("self", mask, sizeof mask);
    if (argc < 2 || belt_pipeline_new(&p, &err) < 0 || belt_pipeline_load(p, argv[1], &err) < 0)
        die(&err);
    for (int i = 2; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value)
            die(&(struct belt_error){ .text = "PATH=VALUE" });
        *value = 0;
        if (belt_pipeline_set(p, argv[i], value + 1, &err) < 0)
            die(&err);
    }
    if (belt_pipeline_start(p, &err) < 0)
        die(&err);
    wait_for_messages(p);
    look_at_memory(p->run);
    look_at_threads(p->run, mask);
    look_at_workers(p->run);
    belt_pipeline_stop(p, 0);
    belt_pipeline_wait(p, BELT_FOREVER, &err);
    printf("%s: %s; %" PRIu64 " pages (%" PRIu64 " not touched) and %" PRIu64 " threads, %" PRIu64
           " elsewhere\n",
           argv[1], belt_pipeline_plan_line(p), pages, absent, threads, wrong);
    belt_pipeline_free(p);
    return wrong != 0;
}
