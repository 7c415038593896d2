/* What memory.c (places, messages, views), explore.c (threads, choices) and
 * trace.c share. */
#ifndef MODEL_PRIV_H
#define MODEL_PRIV_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include "tests/proofs/model.h"

enum {
    PLACES = 224,  /* words that are used atomically */
    MESSAGES = 60, /* stored in one place */
    DIE = 63,      /* the choice not to step */
    LOSE = 62,     /* the same, and copies not yet released never happened */
    LOST = 8,
    ARENA = 256 * 1024,
    NOWHERE = 0, /* the place that all full fences share */
    FATE = 1,    /* + thread: the place that says whether it lives */
    FIRST_PLACE = FATE + MODEL_THREADS
};

/* [thread]: how much of each thread happened before; then, by place, the newest
 * message that one is past. Both only grow. */
struct view {
    uint32_t at[MODEL_THREADS + PLACES];
};

struct message {
    uint64_t value;
    uint32_t when; /* place in the modification order */
    bool followed; /* a read-modify-write took it: nothing comes between */
    bool seen;     /* by another thread */
    uint8_t by;
    struct view view; /* what a reader gets to know */
};

struct place {
    const char *at;
    unsigned width;
    uint32_t run; /* of the execution that `count` belongs to */
    unsigned count, newest;
    struct message *messages[MESSAGES]; /* as they were made */
};

/* A step that a thread is about to make. */
struct step {
    const struct model_site *site;
    unsigned kind, order, place;
    uint64_t value, expected;
};

struct reads { /* of one try */
    unsigned count;
    uint8_t place[32];
    uint32_t when[32];
};

enum state { AT_STEP, PARKED, ASLEEP, ENDED };

struct thread {
    enum state state;
    enum model_fate fate;
    struct step next;
    struct view view, unacquired, fenced; /* fenced: its view at the last release fence */
    struct reads now, before;
    /* Stores and copies since the last release. A relaxed store that came later may, for
     * all that C11 says, have been made before them: who dies may leave it alone. */
    struct {
        char *at; /* NULL: a message of `place` */
        unsigned place;
        size_t size;
        char old[64];
    } unreleased[LOST];
    unsigned unreleased_n, overtaken; /* how many of these come before a relaxed store */
    bool stored;                      /* since this try began */
    bool stored_before;               /* in the last one */
    bool may_die;                     /* has stored since it last could have */
    bool reread;                      /* the last try read nothing new */
    /* Of a futex wait: the places it sleeps on, and whether one was woken meanwhile. */
    uint8_t queued[8], queued_n;
    bool woken;
    uint64_t result;
    unsigned steps;
};

/* What is known of a scenario's threads: found out while exploring; when it turns
 * out to be more, the search begins anew. */
struct facts {
    uint8_t writers[PLACES]; /* a bit a thread */
    uint8_t barriers;        /* threads that make others' fences */
};

struct model {
    const struct model_scenario *scenario;
    const struct model_options *options;
    struct model_result *result;
    struct thread threads[MODEL_THREADS];
    unsigned count;
    struct facts known, found;
    struct view fences; /* of all full fences so far */
    int self;           /* the thread that runs; -1: none */
    bool cold;          /* no execution is under way: memory is plain memory */
    bool tracing, replaying;
    unsigned deaths; /* that may still come */
    uint32_t run;
};

extern struct model model;

/* ---- memory.c -------------------------------------------------------------------- */

void memory_clear(void); /* a new scenario */
void memory_keep(void);  /* what restore puts back */
void memory_restore(void);
/* NOWHERE when nothing but loads of it has been seen yet. */
unsigned memory_place(const void *at, unsigned width, bool stores, bool *is_new);
uint64_t memory_plain(const void *at, unsigned width);
struct place *memory_at(unsigned place);
/* Bits of the messages that the step may read, or come behind. */
uint64_t memory_options(const struct thread *thread, const struct step *step);
/* Makes the step with one of its options; may change what the thread returns. */
void memory_step(unsigned thread, unsigned option);
void memory_tell(unsigned place, unsigned thread, uint64_t value); /* fates */
void memory_fence(struct thread *thread);
void memory_barrier(void);
/* Whether what was overtaken can be undone: nobody has seen it. */
bool memory_can_lose(const struct thread *thread);
void memory_lose(struct thread *thread);
bool memory_writes(const struct step *step, unsigned option);
/* Whether something newer than these reads is there. */
bool memory_is_news(const struct reads *reads);

/* ---- fibers.c -------------------------------------------------------------------- */

enum end { COMPLETE, REDUNDANT, FAILED, LEARNED };

extern struct fibers {
    jmp_buf loop; /* of the search, for what it gives up itself */
    jmp_buf scheduler, base[MODEL_THREADS], here[MODEL_THREADS];
    enum end end; /* set by whoever gives an execution up */
    bool over;
} fibers;

void make_fibers(void);
/* Runs a thread up to its next step. */
void resume(unsigned thread, bool begin);
void end_thread(unsigned thread, enum model_fate fate);
_Noreturn void give_up(enum end end);

/* ---- explore.c ------------------------------------------------------------------- */

void explore_wake(unsigned place);

/* ---- system.c -------------------------------------------------------------------- */

void system_clear(void); /* a new scenario, whose memory is cleared */

/* ---- trace.c --------------------------------------------------------------------- */

void trace_clear(void);
void trace_step(unsigned thread, unsigned option);
void trace_choice(unsigned thread, unsigned older); /* into the choice string */
int trace_next(const char **at, unsigned *older);   /* out of it: the thread, or -1 */
const char *trace_choices(void);

#endif
