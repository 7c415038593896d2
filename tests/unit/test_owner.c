/* Processes as the words of their roles: pid and start time. */
#include <pthread.h>
#include <sys/mman.h>

#include "refuse_fixture.h"
#include "ring_fixture.h"
#include "rings/kind_priv.h"

enum { PID_BITS = 22, DEAD_START = 12345 };

static belt_owner self_owner(void)
{
    int rc = 77;
    belt_owner self = belt_owner_self(&rc);
    cr_assert_neq(self, 0);
    cr_assert_eq(rc, 0);
    return self;
}

static pid_t pid_of(belt_owner owner)
{
    return (pid_t)(owner & ((1u << PID_BITS) - 1));
}

/* Our pid at another time: a process that was. */
static belt_owner dead_owner(void)
{
    return (belt_owner)DEAD_START << PID_BITS | (belt_owner)getpid();
}

static belt_owner *shared_words(void)
{
    void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    cr_assert_neq(page, MAP_FAILED);
    return page;
}

/* Stores its owner's word, then does what the word after it says. */
enum { THEN_EXIT, THEN_STAY, THEN_LEAVE_A_THREAD };

static void *stay(void *arg)
{
    while (pause() == -1)
        ;
    return arg;
}

static int say_who(void *arg)
{
    belt_owner *word = arg;
    int rc;
    belt_owner self = belt_owner_self(&rc);
    uint64_t then = belt_load_acquire(word + 1);
    pthread_t thread;
    __gcov_dump();
    if (then == THEN_LEAVE_A_THREAD && pthread_create(&thread, NULL, stay, NULL) == 0) {
        belt_store_release(word, self);
        pthread_exit(NULL);
    }
    belt_store_release(word, self);
    if (then == THEN_STAY)
        stay(NULL);
    return rc;
}

static pid_t start_owner(belt_owner *word, uint64_t then)
{
    belt_store_release(word, 0);
    belt_store_release(word + 1, then);
    pid_t child = fork_to(say_who, word);
    while (!belt_load_acquire(word))
        usleep(1000);
    return child;
}

static void kill_and_reap(pid_t child)
{
    kill(child, SIGKILL);
    cr_assert_eq(waitpid(child, NULL, 0), child);
}

/* ---- who --------------------------------------------------------------------- */

Test(owner, is_the_same_word_for_a_whole_life)
{
    belt_owner self = self_owner();
    cr_assert_eq(pid_of(self), getpid());
    cr_assert_eq(self_owner(), self);
    cr_assert(belt_owner_alive(self));
}

Test(owner, is_another_one_after_a_fork)
{
    belt_owner self = self_owner(), *word = shared_words();
    pid_t child = start_owner(word, THEN_STAY);
    cr_assert_neq(*word, self);
    cr_assert_eq(pid_of(*word), child);
    cr_assert(belt_owner_alive(*word));
    kill_and_reap(child);
    cr_assert_not(belt_owner_alive(*word));
}

Test(owner, is_dead_as_a_zombie)
{
    belt_owner *word = shared_words();
    siginfo_t info;
    pid_t child = start_owner(word, THEN_EXIT);
    cr_assert_eq(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
    cr_assert_not(belt_owner_alive(*word), "not waited for, but it never runs again");
    cr_assert_eq(waitpid(child, NULL, 0), child);
    cr_assert_not(belt_owner_alive(*word));
}

Test(owner, lives_as_long_as_one_of_its_threads)
{
    belt_owner *word = shared_words();
    pid_t child = start_owner(word, THEN_LEAVE_A_THREAD);
    usleep(50000); /* the first thread's end */
    cr_assert(belt_owner_alive(*word), "its second thread runs");
    kill_and_reap(child);
    cr_assert_not(belt_owner_alive(*word));
}

Test(owner, is_not_another_process_with_the_same_pid)
{
    cr_assert_not(belt_owner_alive(dead_owner()));
    cr_assert_not(belt_owner_alive(self_owner() + ((belt_owner)1 << PID_BITS)));
}

Test(owner, of_nobody_is_dead)
{
    cr_assert_not(belt_owner_alive(0));
    cr_assert_not(belt_owner_alive((belt_owner)DEAD_START << PID_BITS));
    cr_assert_not(belt_owner_alive(UINT64_MAX), "whatever a peer has written");
    cr_assert_not(belt_owner_alive((1u << PID_BITS) - 1), "a pid that there cannot be");
}

/* ---- words ------------------------------------------------------------------- */

Test(owner_take, takes_the_first_free_word)
{
    belt_owner words[3] = { 0 }, self = self_owner();
    cr_assert_eq(belt_owner_take(words, 3, self), 0);
    cr_assert_eq(belt_owner_take(words, 3, self), 1, "not one that we have already");
    cr_assert_eq(words[0], self);
    words[0] = 0;
    cr_assert_eq(belt_owner_take(words, 3, self), 0);
    cr_assert_eq(belt_owner_take(words, 3, self), 2);
    cr_assert_eq(belt_owner_take(words, 3, self), -EBUSY);
    cr_assert_eq(belt_owner_take(words, 0, self), -EBUSY, "of none");
}

Test(owner_take, takes_the_word_of_a_dead_process)
{
    belt_owner words[2] = { self_owner(), dead_owner() };
    cr_assert_eq(belt_owner_take(words, 2, self_owner()), 1);
    cr_assert_eq(words[1], self_owner());
}

Test(owner_join, finds_the_word_that_the_process_has)
{
    belt_owner words[4] = { dead_owner(), 0, self_owner(), 0 };
    cr_assert_eq(belt_owner_join(words, 4, self_owner()), 2);
    words[2] = dead_owner();
    cr_assert_eq(belt_owner_join(words, 4, self_owner()), 1);
    cr_assert_eq(belt_owner_join(words, 4, self_owner()), 1, "again");
    cr_assert(words[0] == dead_owner() && words[2] == dead_owner() && words[3] == 0);
}

Test(owner_join, leaves_the_dead_to_the_reaper)
{
    belt_owner words[2] = { dead_owner(), dead_owner() };
    cr_assert_eq(belt_owner_join(words, 2, self_owner()), -EBUSY);
    cr_assert_eq(words[0], dead_owner());
}

/* Several processes at once: each word goes to one. */
enum { TAKERS = 8, TURNS = 200 };

struct race {
    belt_owner words[TAKERS];
    uint64_t holders[TAKERS], go;
};

static int take_and_give(void *arg)
{
    struct race *race = arg;
    int rc;
    belt_owner self = belt_owner_self(&rc);
    while (!belt_load_acquire(&race->go))
        belt_pause();
    for (int turn = 0; turn < TURNS; turn++) {
        int got = belt_owner_take(race->words, TAKERS / 2, self);
        if (got < 0)
            continue;
        CHILD_CHECK(belt_fetch_add(&race->holders[got], 1) == 0);
        belt_fetch_add(&race->holders[got], (uint64_t)-1);
        belt_store_release(&race->words[got], 0);
    }
    return 0;
}

Test(owner_take, gives_a_word_to_one_of_many)
{
    struct race *race = (struct race *)(void *)shared_words();
    pid_t children[TAKERS];
    for (int i = 0; i < TAKERS; i++)
        children[i] = fork_to(take_and_give, race);
    belt_store_release(&race->go, 1);
    for (int i = 0; i < TAKERS; i++)
        expect_exit(children[i], 0);
}

static int join_once(void *arg)
{
    struct race *race = arg;
    int rc;
    belt_owner self = belt_owner_self(&rc);
    while (!belt_load_acquire(&race->go))
        belt_pause();
    int got = belt_owner_join(race->words, TAKERS, self);
    CHILD_CHECK(got >= 0 && race->words[got] == self);
    CHILD_CHECK(belt_fetch_add(&race->holders[got], 1) == 0);
    return 0;
}

Test(owner_join, gives_a_word_to_one_of_many)
{
    struct race *race = (struct race *)(void *)shared_words();
    pid_t children[TAKERS];
    for (int i = 0; i < TAKERS; i++)
        children[i] = fork_to(join_once, race);
    belt_store_release(&race->go, 1);
    for (int i = 0; i < TAKERS; i++)
        expect_exit(children[i], 0);
    for (int i = 0; i < TAKERS; i++)
        cr_assert_eq(race->holders[i], 1);
}

/* ---- where the kernel says nothing ------------------------------------------- */

static int without_proc(void *arg)
{
    int rc = 0;
    CHILD_CHECK(refuse_files(ENOENT) == 0);
    CHILD_CHECK(belt_owner_self(&rc) == 0);
    CHILD_CHECK(rc == -ESRCH);
    /* Who cannot be asked for counts as alive: nothing of a live process is ever taken. */
    CHILD_CHECK(belt_owner_alive(*(belt_owner *)arg));
    return 0;
}

Test(owner, is_not_known_without_proc)
{
    belt_owner self = self_owner();
    expect_refused(without_proc, &self);
}

static int without_pidfds(void *arg)
{
    belt_owner *word = arg;
    CHILD_CHECK(refuse(SYS_pidfd_open, ENOSYS) == 0);
    CHILD_CHECK(belt_owner_alive(word[0]) && !belt_owner_alive(word[1]));
    CHILD_CHECK(!belt_owner_alive(word[2]));
    CHILD_CHECK(refuse(SYS_kill, EPERM) == 0);
    CHILD_CHECK(belt_owner_alive(word[0]) && !belt_owner_alive(word[1]));
    return 0;
}

Test(owner, is_known_without_pidfds)
{
    belt_owner words[3] = { self_owner(), dead_owner(), (1u << PID_BITS) - 1 };
    expect_refused(without_pidfds, words);
}

/* What pidfd_open says of the number of somebody's thread, before and since Linux 6.9. */
static int pidfds_say(void *arg)
{
    int error = *(int *)arg;
    CHILD_CHECK(refuse(SYS_pidfd_open, error) == 0);
    CHILD_CHECK(!belt_owner_alive(self_owner()));
    return 0;
}

Test(owner, is_not_a_thread_of_another_process)
{
    static int errors[] = { EINVAL, ENOENT, ESRCH };
    for (int i = 0; i < 3; i++)
        expect_refused(pidfds_say, &errors[i]);
}

/* ---- what /proc may say ------------------------------------------------------ */

static long nothing_in_it(long fd, long bytes)
{
    (void)fd;
    (void)bytes;
    return 0;
}

static long unreadable(long fd, long bytes)
{
    (void)fd;
    (void)bytes;
    return -EIO;
}

static long no_name(long fd, long bytes)
{
    (void)fd;
    memcpy((char *)bytes, "1 2 3", 5);
    return 5;
}

static long cut_off(long fd, long bytes)
{
    (void)fd;
    memcpy((char *)bytes, "1 (a) b", 7);
    return 7;
}

static int self_unknown(void *arg)
{
    int rc = 0;
    CHILD_CHECK(answer_for(SYS_read, *(call_answer *)arg) == 0);
    CHILD_CHECK(belt_owner_self(&rc) == 0 && rc == -ESRCH);
    return 0;
}

Test(owner, is_not_known_by_what_makes_no_sense)
{
    static call_answer answers[] = { nothing_in_it, unreadable, no_name, cut_off };
    for (int i = 0; i < 4; i++)
        expect_refused(self_unknown, &answers[i]);
}

static int other_gone(void *arg)
{
    (void)arg;
    belt_owner self = self_owner();
    CHILD_CHECK(answer_for(SYS_read, nothing_in_it) == 0);
    CHILD_CHECK(!belt_owner_alive(self)); /* it ended between open and read */
    return 0;
}

static int other_unknown(void *arg)
{
    (void)arg;
    belt_owner self = self_owner();
    CHILD_CHECK(answer_for(SYS_read, unreadable) == 0);
    CHILD_CHECK(belt_owner_alive(self)); /* better wait in vain than take from the living */
    return 0;
}

Test(owner, lives_unless_the_kernel_says_no)
{
    expect_refused(other_gone, NULL);
    expect_refused(other_unknown, NULL);
}
