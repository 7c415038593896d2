/* The chain stage's side of a worker: starting, watching, and finishing what a
 * dead one committed. */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/clock_priv.h"
#include "core/lane_priv.h"
#include "core/settings_priv.h"
#include "core/worker_priv.h"

#define MOST_FAILED_STARTS 5
#define SECOND UINT64_C(1000000000)
#define QUIET UINT64_C(1000000)
#define LOOKS 4
#define END_LOOK 10 /* ms */

size_t belt_result_size(const struct belt_spec *spec, uint32_t room_size)
{
    return sizeof(struct belt_result) + belt_engine_size(spec->columns_used, room_size);
}

/* ---- starting and stopping -------------------------------------------------------- */

size_t belt_worker_size(const struct belt_worker_conf *conf)
{
    return sizeof(struct belt_worker) + (size_t)conf->max_restarts * sizeof(uint64_t);
}

void belt_worker_init(struct belt_worker *worker, struct belt_zygote *zygote,
                      const struct belt_worker_conf *conf)
{
    worker->zygote = zygote;
    worker->conf = conf;
    worker->pidfd = -1;
    worker->look_due = worker->quiet_due = UINT64_MAX;
    worker->budget = (struct belt_budget){ .window = (uint64_t)conf->max_seconds * SECOND,
                                           .first = conf->restart_backoff,
                                           .most = conf->restart_backoff_max,
                                           .deaths = (uint32_t)conf->max_restarts,
                                           .times = worker->times };
}

int belt_worker_start(struct belt_worker *worker, uint64_t now, struct belt_error *err)
{
    struct belt_worker_block *block = worker->block;
    block->ready = 0;
    block->error[0] = 0;
    block->end = 0;
    worker->ending = false;
    worker->killed_for = NULL;
    worker->began = now;
    worker->turns = belt_load_relaxed(&block->turns.commit); /* relaxed: nobody lives */
    int pidfd = belt_spare_promote(worker);
    if (pidfd < 0)
        pidfd = belt_zygote_spawn(worker->zygote, &worker->map, worker->wake_fd, &worker->pid, err);
    if (pidfd < 0)
        return pidfd;
    worker->pidfd = pidfd;
    return 0;
}

static void kill_it(struct belt_worker *worker)
{
    syscall(SYS_pidfd_send_signal, worker->pidfd, SIGKILL, NULL, 0);
}

static void let_go(struct belt_worker *worker)
{
    close(worker->pidfd);
    worker->pidfd = -1;
}

void belt_worker_end(struct belt_worker *worker)
{
    worker->ending = true;
    /* R5, pairs with A5 in wait_for_work() of worker_main.c: that the results are taken,
     * since it must not leave before. */
    belt_store_release32(&worker->block->end, 1);
    belt_nap_end(&worker->block->asleep);
}

static void wait_for_end(struct belt_worker *worker, const uint32_t *aborting)
{
    struct pollfd fd = { .fd = worker->pidfd, .events = POLLIN };
    const struct belt_worker_conf *conf = worker->conf;
    bool ready = belt_load_relaxed32(&worker->block->ready) != 0; /* relaxed: only how long */
    uint64_t limit = ready ? conf->timeout : conf->start_timeout, from = belt_now();
    /* Relaxed: a flag without data. */
    while (!belt_load_relaxed32(aborting) && (!limit || belt_now() - from < limit))
        if (poll(&fd, 1, END_LOOK) != 0)
            return;
}

void belt_worker_stop(struct belt_worker *worker, const uint32_t *aborting)
{
    belt_spare_drop(worker);
    if (worker->pidfd < 0)
        return;
    if (worker->ending)
        wait_for_end(worker, aborting);
    kill_it(worker);
    let_go(worker);
}

/* ---- results and input ------------------------------------------------------------ */

void belt_worker_tell(struct belt_worker *worker, uint64_t input)
{
    if (worker->told == input)
        return;
    worker->told = input;
    belt_nap_end(&worker->block->asleep);
}

void belt_worker_tell_freed(struct belt_worker *worker)
{
    if (!worker->freed)
        return;
    worker->freed = 0;
    belt_nap_end(&worker->block->asleep);
    belt_lane_wake(worker->writer);
}

/* Those that the worker has told of, not each as it comes: in between the lane would
 * be awake for one at a time. */
const struct belt_result *belt_worker_peek(struct belt_worker *worker)
{
    struct belt_rx *results = &worker->results;
    /* A4, pairs with R4 in wake_lane() of worker_main.c: the results themselves. */
    uint64_t told = belt_load_acquire(&worker->block->told);
    if (results->next < told || results->next < worker->allowed) {
        struct belt_slots slot = belt_peek(results, 1);
        worker->quiet = !slot.count;
        if (slot.count)
            return slot.first;
    }
    belt_worker_tell_freed(worker);
    return NULL;
}

/* A worker that waits for room is woken for half of it, or for all that there is: where
 * it shares our CPU, for one slot it would not get far. */
void belt_worker_release(struct belt_worker *worker)
{
    belt_release(&worker->results, 1);
    if (++worker->freed >= worker->slots / 2)
        belt_worker_tell_freed(worker);
}

/* ---- hanging ---------------------------------------------------------------------- */

/* Moves while it gets on. Relaxed: counts that only need to move some time. */
static uint64_t progress(const struct belt_worker *worker)
{
    const struct belt_worker_block *block = worker->block;
    return belt_load_relaxed(&block->calls) + belt_load_relaxed(&block->turns.commit) +
           belt_load_relaxed32(&block->ready) + worker->restarts;
}

/* A worker that is ready hangs when it owes a result and neither calls back nor
 * commits; one that is not, when it does not get ready. Stopped or busy: the same
 * from here, so only the settings say when to give up. */
static void watch_progress(struct belt_worker *worker, bool owes, uint64_t now)
{
    const struct belt_worker_conf *conf = worker->conf;
    bool ready = belt_load_relaxed32(&worker->block->ready) != 0; /* relaxed: as above */
    uint64_t limit = ready ? conf->timeout : conf->start_timeout;
    worker->look_due = UINT64_MAX;
    if (worker->killed_for)
        return; /* it will be dead in a moment */
    if (!limit || (ready && !owes)) {
        worker->watch.seen = UINT64_MAX; /* the next look is a first one */
        worker->watch.looked = now;
        if (limit) /* who gives it work does not tell us */
            worker->look_due = belt_watch_due(&worker->watch, limit);
        return;
    }
    if (belt_watch_look(&worker->watch, now, progress(worker), limit)) {
        worker->killed_for = ready ? "timeout" : "start_timeout";
        worker->limit = limit;
        worker->hangs++;
        kill_it(worker);
    } else {
        worker->look_due = belt_watch_due(&worker->watch, limit);
    }
}

/* A worker may hold back results for a moment (worker_main.c, commit()), and one of
 * these moments may end in a long call: so somebody looks once, a little later. */
static int watch_quiet(struct belt_worker *worker, uint64_t now)
{
    bool due = worker->quiet && now >= worker->quiet_due;
    if (!worker->quiet || due)
        worker->quiet_due = due ? UINT64_MAX : now + QUIET;
    worker->quiet = true;
    if (due) /* relaxed: belt_peek() acquires them */
        worker->allowed = belt_load_relaxed(&worker->results.ring->published);
    return worker->results.next < worker->allowed;
}

/* ---- deaths ----------------------------------------------------------------------- */

static void rest_in_peace(struct belt_worker_block *block, const struct belt_intent *last)
{
    block->at = 0;
    /* Relaxed: who gives it input, in another lane, looks at it at the same time. One that
     * wakes the dead has published before: the successor looks before it sleeps. */
    belt_store_relaxed32(&block->asleep, 0);
    block->told = last->out;
}

/* Redo-or-nothing: the stores of a committed turn are done again, which changes
 * nothing where they were done; what was not committed never happened. */
static void finish_turn(struct belt_worker *worker)
{
    struct belt_worker_block *block = worker->block;
    struct belt_intent last = belt_turn_last(&block->turns);
    belt_ring_redo_publish(worker->results.ring, last.out);
    uint64_t under_work = last.in + 1, at = belt_load_acquire(&block->at);
    worker->stood = (uint32_t)(at ? at - 1 : last.first);
    if (!block->ready)
        worker->stood = UINT32_MAX; /* at none yet */
    /* It got on after all, before our signal arrived: not this message's fault. */
    bool got_on = worker->killed_for && progress(worker) != worker->watch.seen;
    if (worker->died) {
        at = at == under_work ? at : 0;
        worker->learned = block->ready && at;
        worker->attempts += at && !got_on;
        rest_in_peace(block, &last);
        worker->died(worker, at, at && !got_on);
        return;
    }
    if (got_on)
        at = 0;
    worker->learned = block->ready && (at || block->careful != under_work);
    if (block->careful != under_work) {
        memset(block->attempts, 0, sizeof block->attempts);
        worker->exhausted = false;
    } else if (at && block->attempts[at - 1] < UINT8_MAX) {
        block->attempts[at - 1]++;
        worker->exhausted |= block->attempts[at - 1] >= worker->conf->max_attempts;
    }
    worker->attempts += at != 0;
    block->careful = under_work;
    rest_in_peace(block, &last);
}

static void describe_death(struct belt_worker *worker, int status)
{
    char limit[BELT_UNIT_ROOM], *out = worker->block->death;
    const size_t room = sizeof worker->block->death;
    const char *killed_for = worker->unburied == worker->pid ? worker->killed_for : NULL;
    worker->unburied = 0;
    const char *name = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;
    if (killed_for)
        snprintf(out, room, "killed: longer than %s: %s", killed_for,
                 belt_format_time(worker->limit, limit));
    else if (name)
        snprintf(out, room, "killed by SIG%s", name);
    else if (WIFSIGNALED(status))
        snprintf(out, room, "killed by signal %d", WTERMSIG(status));
    else
        snprintf(out, room, "left with exit code %d", WEXITSTATUS(status));
}

/* The zygote is asked, and waited for. */
static int learn_of_death(struct belt_worker *worker, struct belt_error *err)
{
    bool asked = worker->asked && worker->asked_about == worker->unburied;
    pid_t dead = asked ? 0 : worker->unburied;
    int status, rc = belt_zygote_bury(worker->zygote, &worker->map, dead, &status, err);
    if (rc == 0)
        describe_death(worker, asked ? worker->block->spare.status : status);
    return rc;
}

/* Whether this death may be survived. */
static bool is_within_limits(struct belt_worker *worker, uint64_t now)
{
    worker->failed_starts = worker->block->ready ? 0 : worker->failed_starts + 1;
    return !worker->block->error[0] && worker->failed_starts <= MOST_FAILED_STARTS &&
           belt_budget_spend(&worker->budget, now);
}

static int refuse_to_go_on(const struct belt_worker *worker, struct belt_error *err)
{
    const struct belt_worker_conf *conf = worker->conf;
    uint32_t index = worker->map.index;
    if (worker->block->error[0])
        return belt_error_set(err, -ECHILD, "worker %u: %s", index, worker->block->error);
    if (worker->failed_starts > MOST_FAILED_STARTS)
        return belt_error_set(err, -ECHILD, "worker %u: died %u times before it was ready; %s",
                              index, worker->failed_starts, worker->block->death);
    return belt_error_set(err, -ECHILD,
                          "worker %u: %s; more than max_restarts: %lld within max_seconds: "
                          "%lld",
                          index, worker->block->death, (long long)conf->max_restarts,
                          (long long)conf->max_seconds);
}

/* What is left of it would slow its successor down. */
static void forget(struct belt_worker *worker)
{
    struct belt_worker_block *block = worker->block;
    finish_turn(worker);
    block->careful = 0;
    memset(block->attempts, 0, sizeof block->attempts);
    worker->look_due = worker->quiet_due = UINT64_MAX;
}

int belt_worker_retire(struct belt_worker *worker, const uint32_t *aborting, struct belt_error *err)
{
    int status, rc = worker->unburied ? learn_of_death(worker, err) : 0;
    bool lives = belt_worker_lives(worker);
    if (lives)
        belt_worker_end(worker);
    belt_worker_stop(worker, aborting);
    if (lives && rc == 0)
        rc = belt_zygote_bury(worker->zygote, &worker->map, worker->pid, &status, err);
    forget(worker);
    return rc;
}

/* When the next one is to start: later only when the last one got nowhere. One that died at a
 * message used up an attempt of it; of those there are only so many. */
static uint64_t start_at(struct belt_worker *worker, uint64_t now)
{
    bool worked = belt_load_relaxed(&worker->block->turns.commit) != worker->turns;
    worked |= worker->learned;
    bool quiet = now - worker->began > worker->conf->restart_backoff_max;
    return now + belt_budget_wait(&worker->budget, worked || quiet);
}

/* How it died is told to messages that failed by it and to those who hear of a run that
 * ends. Where neither is at hand, the successor begins before the zygote was asked: on a
 * busy machine each switch to it and back may take milliseconds. */
static int bury(struct belt_worker *worker, uint64_t now, struct belt_error *err)
{
    let_go(worker);
    worker->unburied = worker->pid;
    worker->look_due = UINT64_MAX;
    finish_turn(worker);
    bool within = is_within_limits(worker, now);
    worker->began = start_at(worker, now);
    bool later = within && worker->began <= now && !worker->killed_for && !worker->exhausted;
    int rc = later ? 0 : learn_of_death(worker, err);
    if (rc == 0 && !within)
        rc = refuse_to_go_on(worker, err);
    return rc;
}

/* What a death left to be done: once its successor has got on, or nobody waits for it. */
static int tidy_up(struct belt_worker *worker, bool owes, struct belt_error *err)
{
    const struct belt_worker_block *block = worker->block;
    int rc = 0;
    /* Relaxed: counts that only need to be seen some time. */
    bool got_on = belt_load_relaxed(&block->turns.commit) != worker->turns;
    bool about_it = worker->asked && worker->asked_about == worker->unburied;
    if (worker->unburied && about_it && belt_spare_answered(worker))
        describe_death(worker, block->spare.status);
    else if (worker->unburied && (!owes || (worker->asked && !about_it)))
        rc = learn_of_death(worker, err);
    bool news = !worker->unburied && worker->known != worker->restarts;
    if (news)
        worker->known = worker->restarts;
    if (rc == 0 && !worker->asked && belt_load_relaxed32(&block->ready) && (got_on || !owes))
        rc = belt_spare_ask(worker, err);
    return rc < 0 ? rc : news;
}

/* The one before it is not known yet: one death at a time, for each is told. */
static int learn_of_last(struct belt_worker *worker, struct belt_error *err)
{
    int rc = learn_of_death(worker, err);
    worker->known = worker->restarts;
    worker->looks = LOOKS - 1; /* that this one is dead is seen again at once */
    return rc < 0 ? rc : 1;
}

static int start_again(struct belt_worker *worker, uint64_t now, struct belt_error *err)
{
    worker->restarts++;
    if (!worker->unburied)
        worker->known = worker->restarts;
    int rc = belt_worker_start(worker, now, err);
    if (rc == 0)
        watch_progress(worker, true, now);
    return rc < 0 ? rc : 1;
}

/* A lane that sleeps is woken by its death; one that is busy need not ask each time. */
static bool is_seen_dead(struct belt_worker *worker)
{
    struct pollfd fd = { .fd = worker->pidfd, .events = POLLIN };
    return ++worker->looks % LOOKS == 0 && poll(&fd, 1, 0) != 0;
}

int belt_worker_glance(struct belt_worker *worker, uint64_t now, struct belt_error *err)
{
    if (!belt_worker_lives(worker) || worker->ending || !is_seen_dead(worker))
        return 0;
    bool survives = belt_load_relaxed32(&worker->block->ready) && !worker->killed_for &&
                    !worker->unburied && belt_budget_allows(&worker->budget, now);
    if (!survives)
        return 0;
    int rc = bury(worker, now, err);
    worker->stood = UINT32_MAX; /* of no frame at hand */
    worker->look_due = worker->began;
    return rc < 0 || now < worker->began ? rc : start_again(worker, now, err);
}

int belt_worker_watch(struct belt_worker *worker, bool owes, uint64_t now, struct belt_error *err)
{
    if (worker->pidfd >= 0 && !is_seen_dead(worker)) {
        watch_progress(worker, owes, now);
        int rc = tidy_up(worker, owes, err);
        return watch_quiet(worker, now) && rc == 0 ? 1 : rc;
    }
    if (worker->pidfd >= 0 && worker->unburied)
        return learn_of_last(worker, err);
    if (worker->pidfd >= 0) {
        int rc = bury(worker, now, err);
        if (rc < 0)
            return rc;
    }
    worker->look_due = worker->began;
    return now < worker->began ? 0 : start_again(worker, now, err);
}
