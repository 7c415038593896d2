/* The process that waits to become the worker. */
#include <poll.h>
#include <sys/mman.h>

#include "core/telemetry.h"
#include "tests/unit/worker_fixture.h"

#define PATIENCE_MS 5000

static struct belt_worker *worker_of(struct belt_pipeline *p)
{
    return p->run->chains[0].worker;
}

/* Its pid, once it is there. A lane without work asks for one. */
static pid_t wait_for_spare(struct belt_pipeline *p)
{
    struct belt_error err = { 0 };
    struct belt_spare *spare = &worker_of(p)->block->spare;
    while (!belt_load_acquire32(&spare->answered))
        cr_assert_eq(belt_pipeline_wait(p, 1000000, &err), -ETIMEDOUT, "%s", err.text);
    cr_assert_gt(spare->pid, 0);
    return spare->pid;
}

static int pidfd_of(pid_t pid)
{
    int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    cr_assert_geq(pidfd, 0);
    return pidfd;
}

static bool ends(int pidfd)
{
    struct pollfd fd = { .fd = pidfd, .events = POLLIN };
    return poll(&fd, 1, PATIENCE_MS) == 1;
}

Test(worker_spare, takes_over_when_the_worker_dies, .timeout = 30)
{
    int ends_of[2];
    struct belt_pipeline *p = piped_workers(ends_of, &poison, "steps: [ poison: {} ]");
    say(ends_of, "a\n");
    wait_for_done(p, 1);
    for (uint64_t i = 0; i < 3; i++) {
        pid_t spare = wait_for_spare(p);
        cr_assert_neq(spare, worker_of(p)->pid);
        signal_worker(p, 0, SIGKILL);
        say(ends_of, "b\n");
        wait_for_done(p, i + 2);
        cr_assert_eq(worker_of(p)->pid, spare);
        cr_assert_eq(restarts(p), i + 1);
    }
    end_piped(p, ends_of);
}

Test(worker_spare, that_died_itself_is_replaced, .timeout = 30)
{
    int ends_of[2];
    struct belt_pipeline *p = piped_workers(ends_of, &poison, "steps: [ poison: {} ]");
    say(ends_of, "a\n");
    wait_for_done(p, 1);
    pid_t first = worker_of(p)->pid, spare = wait_for_spare(p);
    int pidfd = pidfd_of(spare);
    kill(spare, SIGKILL);
    cr_assert(ends(pidfd));
    close(pidfd);
    signal_worker(p, 0, SIGKILL);
    say(ends_of, "b\n");
    wait_for_done(p, 2);
    cr_assert_neq(worker_of(p)->pid, first);
    cr_assert_neq(worker_of(p)->pid, spare);
    cr_assert_eq(restarts(p), 1);
    wait_for_spare(p);
    end_piped(p, ends_of);
}

Test(worker_spare, leaves_with_the_run, .timeout = 30)
{
    int ends_of[2];
    struct belt_error err = { 0 };
    struct belt_pipeline *p = piped_workers(ends_of, &poison, "steps: [ poison: {} ]");
    int pidfd = pidfd_of(wait_for_spare(p));
    close(ends_of[1]);
    cr_assert_eq(belt_pipeline_wait(p, BELT_FOREVER, &err), 0, "%s", err.text);
    cr_assert(ends(pidfd));
    close(pidfd);
    close(ends_of[0]);
    belt_pipeline_free(p);
}

/* ---- what it must not do before ------------------------------------------------------ */

static uint32_t *inits; /* shared with the workers */

static int count_init(void *state, void *conf, const struct belt_instance *in,
                      struct belt_error *err)
{
    (void)state, (void)conf, (void)in, (void)err;
    belt_fetch_add32(inits, 1);
    return 0;
}

static const struct belt_step counting = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "counting",
              .help = "counts beginnings",
              .init = count_init },
    .message = obey_message,
};

Test(worker_spare, begins_no_step_before_its_time, .timeout = 30)
{
    int ends_of[2];
    inits = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(inits, MAP_FAILED);
    struct belt_pipeline *p = piped_workers(ends_of, &counting, "steps: [ counting: {} ]");
    say(ends_of, "a\n");
    wait_for_done(p, 1);
    wait_for_spare(p);
    pause_ms(20);
    cr_assert_eq(belt_load_acquire32(inits), 1);
    signal_worker(p, 0, SIGKILL);
    say(ends_of, "b\n");
    wait_for_done(p, 2);
    wait_for_spare(p);
    pause_ms(20);
    cr_assert_eq(belt_load_acquire32(inits), 2);
    end_piped(p, ends_of);
}

/* ---- what is known of the dead ------------------------------------------------------- */

static struct {
    uint32_t count;
    char last[80];
} told;

static void hear(const struct belt_event *event, void *unused)
{
    (void)unused;
    snprintf(told.last, sizeof told.last, "%s", event->text);
    belt_fetch_add32(&told.count, 1);
}

/* Its successor begins before anybody knew how it died; then that is told all the same. */
Test(worker_spare, hides_no_death_that_it_made_up_for, .timeout = 30)
{
    int ends_of[2];
    struct belt_pipeline *p = piped_workers(ends_of, &poison, "steps: [ poison: {} ]");
    belt_telemetry_attach(p, "beltway.worker", hear, NULL, NULL);
    static const struct {
        int number;
        const char *text;
    } deaths[] = { { SIGBUS, "killed by SIGBUS" }, { SIGKILL, "killed by SIGKILL" } };
    for (uint32_t i = 0; i < 2; i++) {
        say(ends_of, "a\n");
        wait_for_done(p, i + 1);
        wait_for_spare(p);
        signal_worker(p, 0, deaths[i].number);
        for (int ms = 0; ms < PATIENCE_MS && belt_load_acquire32(&told.count) <= i; ms++)
            pause_ms(1);
        cr_assert_eq(belt_load_acquire32(&told.count), i + 1);
        cr_assert_str_eq(told.last, deaths[i].text);
    }
    end_piped(p, ends_of);
}
