/* Rounds of kills, ring after ring, and the table of what came of them. */
#include "tests/kill/kill_priv.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { ROUND_KILLS = 250, APART_US = 900, PATIENCE_S = 20 };

static const struct kind kinds[] = {
    { "spans", BELT_SPSC, BELT_BODY_SPANS, 120, 1, 1, false, BATCH },
    { "in-band 8", BELT_SPSC, BELT_BODY_INBAND, 8, 1, 1, false, 7 },
    { "in-band 24", BELT_SPSC, BELT_BODY_INBAND, 24, 1, 1, false, 2 },
    { "mpmc", BELT_MPMC, BELT_BODY_AUTO, 48, 2, 2, false, BATCH },
    { "sharded", BELT_SHARDED, BELT_BODY_SPANS, 120, 2, 2, false, BATCH },
    /* A line for each of a reader's lanes. */
    { "sharded 8", BELT_SHARDED, BELT_BODY_INBAND, 8, 2, 2, false, 2 * 7 },
    { "broadcast", BELT_BROADCAST, BELT_BODY_AUTO, 120, 1, 2, true, BATCH },
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static struct account accounts[KINDS];
static uint64_t seed, random_state, kills_wanted = 100000, kills_done;
static const char *only;

struct stage {
    struct round round;
    struct belt_mem ring;
    pid_t pids[2 * ENDS]; /* 0: no such place, or it has ended */
};

/* ---- processes ------------------------------------------------------------------------- */

static bool is_writer(uint32_t place)
{
    return place < ENDS;
}

static bool has_place(const struct kind *kind, uint32_t place)
{
    return is_writer(place) ? place < kind->writers : place - ENDS < kind->readers;
}

static void start(struct stage *s, uint32_t place)
{
    struct place *mine = &s->round.ledger->places[place];
    uint64_t random = random_state + place;
    random_below(&random_state, 1);
    *mine = (struct place){ .ready = 0 };
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        struct actor a = { s->round.kind, s->ring, s->round.ledger, place, random };
        if (getppid() != parent)
            _exit(1);
        _exit(is_writer(place) ? writer_run(&a) : reader_run(&a));
    }
    if (pid < 0) {
        perror("fork");
        exit(2);
    }
    s->pids[place] = pid;
}

/* Its log, if it had one already, tells what it was at. */
static void bury(struct stage *s, uint32_t place)
{
    uint32_t *holders = s->round.ledger->holders;
    int status;
    waitpid(s->pids[place], &status, 0);
    s->pids[place] = 0;
    for (uint32_t i = 0; i < 2 * ENDS; i++) {
        if (belt_load_acquire32(&holders[i]) != place + 1)
            continue;
        if (is_writer(place))
            writer_died(&s->round, i);
        else
            reader_died(&s->round, i - ENDS);
        belt_store_release32(&holders[i], 0);
    }
}

static void kill_one(struct stage *s, uint32_t place)
{
    kill(s->pids[place], SIGKILL);
    bury(s, place);
    if (is_writer(place))
        s->round.account->writer_kills++;
    else
        s->round.account->reader_kills++, s->round.reader_kills++;
    kills_done++;
}

static uint32_t some_place(const struct kind *kind)
{
    for (;;) {
        uint32_t place = random_below(&random_state, 2 * ENDS);
        if (has_place(kind, place))
            return place;
    }
}

/* ---- a round ----------------------------------------------------------------------------- */

static void pause_us(uint32_t us)
{
    struct timespec t = { us / 1000000, (long)(us % 1000000) * 1000 };
    nanosleep(&t, NULL);
}

/* Where counters are about to wrap, and elsewhere. */
static uint64_t some_start(void)
{
    const uint64_t ends[] = { 0, UINT64_C(1) << 32, UINT64_C(1) << 47, 0 };
    uint32_t way = random_below(&random_state, 4);
    return way == 0 ? 0 : ends[way] - random_below(&random_state, 1u << 16);
}

static int set_up(struct stage *s)
{
    static const uint32_t sizes[] = { 8, 64, 512 };
    const struct kind *kind = s->round.kind;
    struct belt_ring_conf conf = { .size = sizeof conf,
                                   .item_size = kind->item_size,
                                   .items = sizes[random_below(&random_state, 3)],
                                   .kind = kind->kind,
                                   .body = kind->body,
                                   .writers = kind->writers,
                                   .readers = kind->readers,
                                   .start = some_start() };
    int rc = belt_mem_map(&s->ring, belt_ring_footprint(&conf), BELT_MEM_SHARED);
    return rc < 0 ? rc : belt_ring_format(s->ring, &conf);
}

/* Sometimes two at once, sometimes while one has just begun. */
static void kill_some(struct stage *s)
{
    uint32_t count = 1 + (random_below(&random_state, 8) == 0), places[2];
    for (uint32_t i = 0; i < count; i++) {
        places[i] = some_place(s->round.kind);
        if (s->pids[places[i]])
            kill_one(s, places[i]);
    }
    for (uint32_t i = 0; i < count; i++)
        if (!s->pids[places[i]])
            start(s, places[i]);
    if (random_below(&random_state, 8))
        pause_us(random_below(&random_state, 2 * APART_US));
}

/* The first that ended by itself while nobody had told it to; or -1. */
static int deserter(struct stage *s)
{
    for (uint32_t i = 0; i < 2 * ENDS; i++)
        if (s->pids[i] && waitpid(s->pids[i], NULL, WNOHANG) == s->pids[i]) {
            s->pids[i] = 0;
            return (int)i;
        }
    return -1;
}

static bool all_opened(const struct stage *s)
{
    for (uint32_t i = 0; i < 2 * ENDS; i++)
        if (s->pids[i] && !belt_load_acquire32(&s->round.ledger->places[i].ready))
            return false;
    return true;
}

/* No more kills: writers close, readers empty the ring. False: they do not get there.
 * Not before each has its role: who comes late would take over one that is done. */
static bool finish(struct stage *s)
{
    uint64_t deadline = belt_deadline(PATIENCE_S * UINT64_C(1000000000));
    while (!all_opened(s) && belt_deadline(0) < deadline)
        pause_us(100);
    if (s->round.kind->kind == BELT_MPMC)
        while (belt_ring_reap(s->ring, NULL) == -EBUSY && belt_deadline(0) < deadline)
            pause_us(100);
    belt_store_release32(&s->round.ledger->stop, 1);
    for (uint32_t left = 1; left;) {
        left = 0;
        for (uint32_t i = 0; i < 2 * ENDS; i++) {
            int status = 0;
            if (s->pids[i] && waitpid(s->pids[i], &status, WNOHANG) == s->pids[i]) {
                s->pids[i] = 0;
                if (status != 0)
                    return false;
            }
            left += s->pids[i] != 0;
        }
        if (belt_deadline(0) > deadline)
            return false;
        if (left)
            pause_us(200);
    }
    return true;
}

static void wedged(struct stage *s, const char *what, int place)
{
    struct belt_ring_stat stat = { 0 };
    belt_ring_stat(s->ring, &stat);
    s->round.account->wedged++;
    fprintf(stderr, "%s: %s%s%d; seed %llu, %llu kills; %llu items in the ring\n",
            s->round.kind->name, what, place < 0 ? " " : " place ", place, (unsigned long long)seed,
            (unsigned long long)kills_done, (unsigned long long)stat.items);
    for (uint32_t i = 0; i < 2 * ENDS; i++)
        if (s->pids[i]) {
            fprintf(stderr, "  %s %u still runs\n", is_writer(i) ? "writer" : "reader", i % ENDS);
            kill(s->pids[i], SIGKILL);
            waitpid(s->pids[i], NULL, 0);
            s->pids[i] = 0;
        }
}

static void run_round(const struct kind *kind, struct ledger *ledger, struct account *account)
{
    static struct stage s;
    s = (struct stage){ .round = { .kind = kind, .ledger = ledger, .account = account } };
    memset(ledger, 0, sizeof *ledger);
    int rc = set_up(&s);
    if (rc < 0) {
        fprintf(stderr, "%s: no ring: %s\n", kind->name, strerror(-rc));
        account->wedged++;
        return;
    }
    for (uint32_t i = 0; i < 2 * ENDS; i++)
        if (has_place(kind, i))
            start(&s, i);
    int lost = -1;
    for (uint64_t until = kills_done + ROUND_KILLS;
         lost < 0 && kills_done < until && kills_done < kills_wanted;) {
        kill_some(&s);
        lost = deserter(&s);
    }
    if (lost >= 0)
        wedged(&s, strerror(-ledger->places[lost].failed), lost);
    else if (!finish(&s))
        wedged(&s, "does not end", -1);
    else
        settle(&s.round);
    account->rounds++;
    belt_mem_unmap(&s.ring);
}

/* ---- the table --------------------------------------------------------------------------- */

static uint64_t violations(const struct account *a)
{
    return a->lost + a->broken + a->disorder + a->beyond + a->wedged;
}

static void print_row(const char *name, const struct account *a)
{
    const uint64_t figures[] = { a->rounds, a->writer_kills, a->reader_kills, a->items,
                                 a->doubts, a->kept,         a->in_hand,      a->again,
                                 a->most,   a->late,         a->wedged,       a->lost,
                                 a->broken, a->disorder,     a->beyond };
    static const int width[] = { 6, 8, 8, 12, 8, 7, 8, 8, 5, 7, 7, 5, 7, 9, 7 };
    printf("%-11s", name);
    for (size_t i = 0; i < sizeof figures / sizeof figures[0]; i++)
        printf("%*llu", width[i], (unsigned long long)figures[i]);
    printf("\n");
}

static void add(struct account *sum, const struct account *a)
{
    uint64_t most = sum->most > a->most ? sum->most : a->most;
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)a;
    for (size_t i = 0; i < sizeof *sum / sizeof *to; i++)
        to[i] += from[i];
    sum->most = most;
}

static uint64_t print_table(void)
{
    struct account sum = { 0 };
    printf("%-11s%6s%8s%8s%12s%8s%7s%8s%8s%5s%7s%7s%5s%7s%9s%7s\n", "ring", "rounds", "writers",
           "readers", "items", "unsure", "kept", "in hand", "again", "most", "late", "wedged",
           "lost", "broken", "disorder", "beyond");
    for (uint32_t i = 0; i < KINDS; i++) {
        if (accounts[i].rounds)
            print_row(kinds[i].name, &accounts[i]);
        add(&sum, &accounts[i]);
    }
    print_row("all", &sum);
    return violations(&sum);
}

static void progress(const struct kind *kind)
{
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K%llu of %llu kills, %s", (unsigned long long)kills_done,
                (unsigned long long)kills_wanted, kind->name);
}

/* ---- main --------------------------------------------------------------------------------- */

static int options(int argc, char **argv)
{
    static const struct option known[] = { { "kills", required_argument, NULL, 'k' },
                                           { "seed", required_argument, NULL, 's' },
                                           { "ring", required_argument, NULL, 'r' },
                                           { NULL, 0, NULL, 0 } };
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    seed = (uint64_t)now.tv_nsec / 1000 + (uint64_t)now.tv_sec % 1000 * 1000000;
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 'k')
            kills_wanted = strtoull(optarg, NULL, 10);
        if (c == 's')
            seed = strtoull(optarg, NULL, 10);
        if (c == 'r')
            only = optarg;
        if (c == '?')
            return -1;
    }
    return optind == argc ? 0 : -1;
}

int main(int argc, char **argv)
{
    struct belt_mem shared;
    if (options(argc, argv) < 0) {
        fprintf(stderr, "usage: %s [--kills N] [--seed S] [--ring NAME]\n", argv[0]);
        return 2;
    }
    if (belt_mem_map(&shared, sizeof(struct ledger), BELT_MEM_SHARED) < 0)
        return 2;
    random_state = seed;
    printf("seed %llu\n", (unsigned long long)seed);
    fflush(stdout);
    uint32_t ran = 0;
    for (uint32_t i = 0; kills_done < kills_wanted; i = (i + 1) % KINDS) {
        if (!only || strcmp(only, kinds[i].name) == 0) {
            progress(&kinds[i]);
            run_round(&kinds[i], (struct ledger *)shared.base, &accounts[i]);
            ran++;
        } else if (i == KINDS - 1 && ran == 0) {
            fprintf(stderr, "no ring %s\n", only);
            return 2;
        }
    }
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    return print_table() != 0;
}
