/* Every execution of a few threads that C11's memory orders allow.
 *
 * A scenario's threads are fibers of one real thread. Each atomic operation (see
 * model_atomic.h) is a step at which they may be switched. A place in memory keeps
 * all that was ever stored there, in modification order; a load may return any of
 * it that its thread is not already past, so also what is long out of date. What a
 * thread is past is its view: an acquire adds the view that the release it reads
 * from carried. Plain copies (belt_data_store, belt_data_load) must be ordered by
 * such pairs: if not, that is a data race and fails.
 *
 * All choices (who steps, what it reads, where a store lands, who dies where) are
 * searched depth first. Two orders of steps that differ in nothing a thread can
 * see are searched once: sleep sets, and no choice of thread where a step cannot
 * matter to the others.
 *
 * Not in the model: a load that sees a store that program order puts behind it
 * (load buffering: C11 would allow it for relaxed operations), and consume. */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { MODEL_THREADS = 5, MODEL_PARAMETERS = 8 };

struct model_result;

struct model_scenario {
    const char *name;
    const char *bounds;                           /* "2 writers, 1 reader, 2 slots, 3 items" */
    void (*setup)(const struct model_scenario *); /* once; memory from model_alloc */
    void (*thread[MODEL_THREADS])(const struct model_scenario *, unsigned me);
    void (*check)(const struct model_scenario *); /* after every execution */
    /* After all of them: may change whether it failed. */
    void (*verdict)(const struct model_scenario *, struct model_result *);
    int p[MODEL_PARAMETERS];
    uint8_t mortal;   /* a bit a thread: may stop for ever after each of its stores */
    uint8_t deaths;   /* how many of them do at most (1) */
    bool quick;       /* part of the short run */
    bool racing_data; /* a slot may change under its reader: copies are relaxed, word by word */
    /* A try that failed is not made again, but searched only where it comes later: the
     * same for what others see, less for what a failed try leaves in its own end. */
    bool no_retries;
    bool may_wedge; /* threads that wait for ever at the end are no failure */
};

struct model_suite {
    const char *name;
    const struct model_scenario *scenarios;
    unsigned count;
    bool no_mutants; /* the model's own tests */
};

/* ---- for scenarios --------------------------------------------------------------- */

/* Zeroed; put back to what setup left in it before every execution. */
void *model_alloc(size_t size, size_t align);
/* How traces call it; `count` of `stride` bytes get numbers. */
void model_name(const void *at, size_t stride, unsigned count, const char *name);

/* Until what it tries succeeds; a try that fails must have changed nothing. It is
 * made again when something it read has changed, and then reads something new. */
#define MODEL_UNTIL(try)                                                                           \
    for (model_try(); !(try); model_retry())                                                       \
        ;
void model_try(void);
void model_retry(void);

/* By the kernel's word, which comes with all that it ever stored. */
enum model_fate { MODEL_RUNS, MODEL_FINISHED, MODEL_DIED };
enum model_fate model_fate_of(unsigned thread);
/* In check(): how it ended. */
enum model_fate model_end_of(unsigned thread);
unsigned model_self(void);
/* Whether epoll would say that this thread's eventfd or socket has something. */
bool model_readable(void);
/* In setup(): whose process opens what is opened next. */
void model_be(unsigned thread);

void model_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void model_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
#define MODEL_CHECK(true_, ...)                                                                    \
    do {                                                                                           \
        if (!(true_))                                                                              \
            model_fail(__VA_ARGS__);                                                               \
    } while (0)

/* In check(): counts this execution under a name of at most 31 characters. */
void model_outcome(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ---- for the program ------------------------------------------------------------- */

enum { MODEL_SITES = 1024, MODEL_CHOICES = 4096, MODEL_OUTCOMES = 64 };

struct model_result {
    uint64_t executions; /* complete ones */
    uint64_t redundant;  /* given up: same as one of those */
    double seconds;
    bool failed, unfinished;
    char why[256], choices[MODEL_CHOICES];
    uint8_t reached[MODEL_SITES / 8];
    unsigned outcomes;
    struct {
        char name[32];
        uint64_t count;
    } outcome[MODEL_OUTCOMES];
};

struct model_site;

struct model_options {
    uint8_t taken[MODEL_SITES]; /* orders that each site loses: weakened */
    const char *replay;         /* choices of one execution, which is printed */
    double seconds;             /* at most; 0: no limit */
};

void model_explore(const struct model_scenario *scenario, const struct model_options *options,
                   struct model_result *result);
unsigned model_sites(const struct model_site **sites);
const char *model_short_path(const char *file);

#endif
