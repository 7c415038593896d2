/* The child, its steps and its death. */
#include "tests/step/step_priv.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Where stepping begins. */
static inline void marker(void)
{
#if defined(__x86_64__)
    __asm__ __volatile__("int3" ::: "memory");
#else
    raise(SIGTRAP);
#endif
}

static _Noreturn void child(const struct scene *scene, const struct op *op, struct hand *hand)
{
    static struct actor a;
    a = (struct actor){ .scene = scene, .hand = hand };
    for (uint32_t i = 0; i < HAND; i++)
        item_make(a.fresh + i * scene->kind->item_size, scene->kind->item_size, scene->last + i);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) < 0)
        _exit(errno);
    int rc = op->prepare(&a);
    if (rc < 0)
        _exit(-rc);
    marker();
    op->run(&a);
    hand->returned = 1;
    _exit(0);
}

/* Stopped at its marker; or 0 and why in *failed. */
static pid_t start(const struct scene *scene, const struct op *op, struct hand *hand, int *failed)
{
    int status;
    pid_t pid = fork();
    if (pid == 0)
        child(scene, op, hand);
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        *failed = -errno;
        return 0;
    }
    if (WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP)
        return pid;
    *failed = WIFEXITED(status) ? -WEXITSTATUS(status) : -EPROTO;
    if (WIFSTOPPED(status)) {
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
    }
    return 0;
}

/* False: it has ended, or is about to be by a signal of its own; *failed says so. */
static bool step(pid_t pid, int *failed)
{
    int status;
    if (ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) < 0 || waitpid(pid, &status, 0) != pid) {
        *failed = -errno;
        return false;
    }
    if (!WIFSTOPPED(status)) {
        *failed = -ECHILD;
        return false;
    }
    if (WSTOPSIG(status) != SIGTRAP) {
        *failed = WSTOPSIG(status);
        return false;
    }
    return true;
}

static void end(pid_t pid, int failed)
{
    int status;
    if (failed == -ECHILD)
        return;
    kill(pid, SIGKILL);
    waitpid(pid, &status, 0);
}

/* ---- remains ------------------------------------------------------------------------ */

static void keep(struct walk *walk, uint32_t steps, const struct hand *hand, const void *ring,
                 size_t size)
{
    if (walk->count == walk->room) {
        uint32_t room = walk->room ? walk->room * 2 : 32;
        walk->remains = realloc(walk->remains, room * sizeof *walk->remains);
        if (!walk->remains)
            abort();
        memset(walk->remains + walk->room, 0, (room - walk->room) * sizeof *walk->remains);
        walk->room = room;
    }
    struct remains *r = &walk->remains[walk->count++];
    r->steps = steps;
    r->hand = *hand;
    r->ring = realloc(r->ring, size); /* of an earlier walk's size */
    if (!r->ring)
        abort();
    memcpy(r->ring, ring, size);
}

/* The last remains, of both sides of each change: the hand fills between changes. */
struct watch {
    const struct scene *scene;
    struct walk *walk;
    void *ring;
    struct hand hand;
};

static void watch_step(struct watch *w, uint32_t steps, const struct hand *hand)
{
    size_t size = w->scene->mem.size;
    if (memcmp(w->ring, w->scene->mem.base, size) != 0) {
        keep(w->walk, steps - 1, &w->hand, w->ring, size);
        memcpy(w->ring, w->scene->mem.base, size);
        keep(w->walk, steps, hand, w->ring, size);
    }
    w->hand = *hand;
}

static void watch_begin(struct watch *w, const struct scene *scene, struct walk *walk,
                        const struct hand *hand)
{
    *w = (struct watch){ .scene = scene, .walk = walk, .hand = *hand };
    w->ring = malloc(scene->mem.size);
    if (!w->ring)
        abort();
    memcpy(w->ring, scene->mem.base, scene->mem.size);
    walk->count = 0;
    keep(walk, 0, hand, w->ring, scene->mem.size);
}

static void watch_end(struct watch *w, uint32_t steps)
{
    keep(w->walk, steps, &w->hand, w->ring, w->scene->mem.size);
    w->walk->steps = steps;
    free(w->ring);
}

struct death die_after(const struct scene *scene, const struct op *op, struct hand *hand,
                       uint32_t steps, struct walk *walk)
{
    struct death death = { 0 };
    struct watch watch;
    memset(hand, 0, sizeof *hand);
    scene_restore(scene);
    pid_t pid = start(scene, op, hand, &death.failed);
    if (!pid)
        return death;
    if (walk)
        watch_begin(&watch, scene, walk, hand);
    while (death.steps < steps && !hand->returned && step(pid, &death.failed)) {
        death.steps++;
        if (walk)
            watch_step(&watch, death.steps, hand);
    }
    if (walk)
        watch_end(&watch, death.steps);
    death.early = !hand->returned;
    end(pid, death.failed);
    return death;
}
