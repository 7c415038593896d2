/* The planner's working state, between the files numa/place*.c. */
#ifndef BELT_PLACE_PRIV_H
#define BELT_PLACE_PRIV_H

#include "numa/place.h"

#define BELT_NOBODY UINT32_MAX

/* The CPUs asked for by hand, and by which item; BELT_NOBODY: any will do. */
struct belt_wish {
    struct belt_cpus cpus;
    uint32_t by;
};

/* How to wait, and which item asked for it. */
struct belt_wait_wish {
    enum belt_wait wait;
    uint32_t by;
};

/* An instance of a stage. Items that stay together have one leader, the first. */
struct belt_work_item {
    uint32_t stage, instance;
    uint32_t leader, lane;
    bool light;            /* leader: all its items are */
    struct belt_wish wish; /* leader: of all its items */
    struct belt_wait_wish wait;
};

struct belt_work_lane {
    struct belt_wish wish;
    struct belt_wait_wish wait;
    int cpu;         /* -1: not chosen yet */
    uint32_t strand; /* those of one number are a chain: near each other; BELT_NOBODY: none */
    uint32_t work;
    bool blocking, used;
};

/* Lines of text. */
struct belt_lines {
    char *text;
    size_t used, room;
    bool failed;
};

/* What flows between lanes, in lines of all that flows: [lanes * lanes], symmetric. */
struct belt_traffic {
    uint32_t lanes;
    float *between, *reads; /* reads: [lanes], from the device */
    double total;
};

/* Ways between the CPUs that may be chosen, as a table: ns[slot[a] * slots + slot[b]]. */
struct belt_ways {
    uint32_t slots;
    int16_t slot[BELT_CPUS]; /* -1: not in it */
    float *ns;
};

struct belt_work {
    const struct belt_place_in *in;
    struct belt_cpus usable;      /* for lanes that were not pinned */
    struct belt_cpus reachable;   /* for pins */
    struct belt_work_item *items; /* in the order of stages, then instances */
    struct belt_work_lane *lanes; /* room for as many as items */
    uint32_t *first;              /* [stages]: the first item of each */
    uint32_t item_count, lane_count;
    struct belt_traffic traffic;
    struct belt_ways ways;
    struct belt_place_cost cost, naive;
    struct belt_lines reasons;
    char *why;
    size_t room;
};

static inline const struct belt_place_stage *belt_work_stage(const struct belt_work *work,
                                                             uint32_t item)
{
    return &work->in->stages[work->items[item].stage];
}

static inline const struct belt_cpu *belt_work_cpu(const struct belt_work *work, int cpu)
{
    return belt_topology_cpu(work->in->topology, cpu);
}

/* One reason more, a line. */
void belt_work_say(struct belt_work *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Writes why[]; -EINVAL. */
int belt_work_refuse(struct belt_work *work, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- place_usable.c ---------------------------------------------------------------- */

/* Checks the wishes against what there is; sets usable and reachable. */
int belt_work_usable(struct belt_work *work);

/* ---- place_wish.c ------------------------------------------------------------------ */

/* What was asked for by hand goes to the items. */
int belt_work_wishes(struct belt_work *work);
/* Both wishes at once, or -EINVAL. */
int belt_work_narrow(struct belt_work *work, struct belt_wish *wish, const struct belt_wish *more);
int belt_work_narrow_wait(struct belt_work *work, struct belt_wait_wish *wish,
                          const struct belt_wait_wish *more);

/* ---- place_cpus.c ------------------------------------------------------------------ */

/* Chooses for every lane. 0 or -ENOMEM. */
int belt_work_cpus(struct belt_work *work);
/* For one lane more: the one of these CPUs with the fewest lanes. */
int belt_work_pick(const struct belt_work *work, const struct belt_cpus *cpus);
/* Lanes in the order of their numbers on CPUs in the order of theirs. */
void belt_work_naive(const struct belt_work *work, int *cpus);

/* ---- place_improve.c ---------------------------------------------------------------- */

/* When all items have lanes: these change places while that makes it cheaper, and the
 * result is never worse than by number. Sets cost and naive. 0 or -ENOMEM. */
int belt_work_improve(struct belt_work *work);

/* ---- place_cost.c ------------------------------------------------------------------ */

/* For all CPUs that lanes may be on. 0 or -ENOMEM. */
int belt_ways_new(struct belt_work *work);
static inline float belt_work_ns(const struct belt_work *work, int from, int to)
{
    const struct belt_ways *w = &work->ways;
    return w->ns[(uint32_t)w->slot[from] * w->slots + (uint32_t)w->slot[to]];
}

/* What flows between the lanes that items are on by now. 0 or -ENOMEM. */
int belt_traffic_new(struct belt_traffic *out, const struct belt_work *work);
void belt_traffic_free(struct belt_traffic *traffic);
/* What reading from the device costs there. */
double belt_work_read_ns(const struct belt_work *work, int cpu);
/* How much slower its kind of core is than the fastest. */
static inline uint32_t belt_work_slow(const struct belt_work *work, int cpu)
{
    return belt_topology_speeds(work->in->topology) - 1 - (uint32_t)belt_work_cpu(work, cpu)->speed;
}
/* Of the lanes on these CPUs; a CPU of -1: not counted. */
struct belt_place_cost belt_work_cost(const struct belt_work *work,
                                      const struct belt_traffic *traffic, const int *cpus);

/* ---- place_answer.c ---------------------------------------------------------------- */

int belt_work_answer(struct belt_work *work, struct belt_place **out);

#endif
