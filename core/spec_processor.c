/* The processors of a spec: their settings, their steps, and who sends to whom.
 * Neighbours that want the same instances and no exchange become one: their steps
 * run in one chain, and nothing lies between them. */
#include <stdio.h>
#include <string.h>

#include "core/settings_priv.h"
#include "core/worker_settings_priv.h"

struct processor_conf {
    int64_t concurrency, most;
    int isolation, dispatch;
    bool blocking;
    struct belt_worker_conf workers;
    const char *from, *partition_by;
    const struct belt_node *steps;
};

#define WORKERS(field) offsetof(struct processor_conf, workers.field)
#define AT(field) offsetof(struct processor_conf, field)

const struct belt_setting belt_processor_settings[] = {
    { "concurrency", BELT_SET_INT, AT(concurrency), "0",
      "instances; 0: as many as there are cores, or as the processor before has", NULL, 0, 256 },
    { "max_concurrency", BELT_SET_INT, AT(most), "0",
      "instances that it may be resized to while it runs; 0: no others", NULL, 0, 256 },
    { "from", BELT_SET_TEXT, AT(from), "",
      "the processor whose messages it gets; default: the one before", NULL, 0, 0 },
    { "dispatch", BELT_SET_CHOICE, AT(dispatch), "auto",
      "which instance gets a message: any with room, by partition_by, or every one",
      "auto|demand|partition|broadcast", 0, 0 },
    { "partition_by", BELT_SET_TEXT, AT(partition_by), "",
      "a field: messages that are equal there go to one instance, in order", NULL, 0, 0 },
    { "isolation", BELT_SET_CHOICE, AT(isolation), "thread",
      "process: the steps run in workers whose death costs no message", "thread|process", 0, 0 },
#define BELT_WORKER_SETTING(field, type, fallback, help, choices, min, max)                        \
    { #field, type, WORKERS(field), fallback, help, choices, min, max },
#include "core/worker_settings.def"
#undef BELT_WORKER_SETTING
    { "blocking", BELT_SET_BOOL, AT(blocking), "false",
      "the steps may wait: they get lanes of their own", NULL, 0, 0 },
    { "steps", BELT_SET_TREE, AT(steps), "", "the chain: a list of steps", NULL, 0, 0 },
    { 0 },
};

/* A processor as it is written. */
struct written {
    char name[64], path[96];
    const struct belt_node *node;
    struct processor_conf conf;
    int from;     /* another one written, -1: the sources */
    int children; /* that have it as `from` */
    int last;     /* spec->processors[] that runs the last of its steps */
};

struct writings {
    struct written at[BELT_PROCESSORS];
    int used;
};

/* ---- settings --------------------------------------------------------------- */

/* What only a process can keep must not be promised of a thread. */
static int check_isolation(const struct written *w, struct belt_error *err)
{
    const struct belt_worker_conf *conf = &w->conf.workers;
    const struct {
        const char *name;
        bool given;
    } needs[] = { { "timeout", conf->timeout },
                  { "start_timeout", conf->start_timeout },
                  { "memory", conf->memory },
                  { "sandbox", conf->sandbox } };
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (needs[i].given && w->conf.isolation != BELT_ISOLATION_PROCESS)
            return belt_node_error(err, belt_node_get(w->node, needs[i].name),
                                   "'%s' of %s holds for workers only: add isolation: "
                                   "process",
                                   needs[i].name, w->path);
    return belt_worker_conf_check(conf, w->node, w->path, err);
}

static int check_size(const struct written *w, struct belt_error *err)
{
    if (!w->conf.most || w->conf.concurrency <= w->conf.most)
        return 0;
    return belt_node_error(err, belt_node_get(w->node, "max_concurrency"),
                           "max_concurrency of %s is less than its concurrency: %lld", w->path,
                           (long long)w->conf.concurrency);
}

static int check_dispatch(struct written *w, struct belt_error *err)
{
    bool field = w->conf.partition_by && *w->conf.partition_by;
    const struct belt_node *at = belt_node_get(w->node, "dispatch");
    if (field && !at)
        w->conf.dispatch = BELT_DISPATCH_PARTITION;
    if (field == (w->conf.dispatch == BELT_DISPATCH_PARTITION))
        return 0;
    if (field)
        return belt_node_error(err, at, "%s: partition_by wants dispatch: partition", w->path);
    return belt_node_error(err, at, "%s: dispatch: partition wants a field: partition_by: NAME",
                           w->path);
}

/* The one before, or that of this name, which must come before. */
static int find_sender(struct writings *all, int i, struct belt_error *err)
{
    struct written *w = &all->at[i];
    const char *names[BELT_PROCESSORS], *from = w->conf.from;
    w->from = i - 1;
    if (from && *from) {
        for (w->from = 0; w->from < i; w->from++) {
            names[w->from] = all->at[w->from].name;
            if (strcmp(names[w->from], from) == 0)
                break;
        }
        const struct belt_node *at = belt_node_get(w->node, "from");
        const char *near = w->from == i ? belt_nearest(from, names, (size_t)i) : NULL;
        if (near)
            return belt_node_error(err, at, "%s: no processor '%s' before; did you mean '%s'?",
                                   w->path, from, near);
        if (w->from == i)
            return belt_node_error(err, at, "%s: no processor '%s' before it", w->path, from);
    }
    if (w->from >= 0)
        all->at[w->from].children++;
    return 0;
}

static int read_one(struct belt_builder *b, struct writings *all, const struct belt_node *node,
                    const char *name, struct belt_error *err)
{
    int i = all->used++;
    struct written *w = &all->at[i];
    w->node = node;
    snprintf(w->name, sizeof w->name, "%s", *name ? name : "processor");
    snprintf(w->path, sizeof w->path, *name ? "processors.%.64s" : "processor", name);
    struct belt_settings_in in = {
        .table = belt_processor_settings, .node = node, .at = b->root, .what = w->path
    };
    int rc = belt_settings_read(&in, &w->conf, b->tree, err);
    if (rc == 0)
        rc = check_isolation(w, err);
    if (rc == 0)
        rc = check_size(w, err);
    if (rc == 0)
        rc = check_dispatch(w, err);
    const struct belt_node *steps = w->conf.steps;
    if (rc == 0 && steps && belt_node_kind(steps) != BELT_NODE_LIST)
        rc = belt_node_error(err, steps, "steps is a list: - split: { ... }");
    return rc < 0 ? rc : find_sender(all, i, err);
}

static int read_all(struct belt_builder *b, struct writings *all, struct belt_error *err)
{
    const struct belt_node *one = belt_node_get(b->root, "processor");
    const struct belt_node *many = belt_node_get(b->root, "processors");
    if (one && many)
        return belt_node_error(err, many, "processor and processors: give one of them");
    if (!many)
        return read_one(b, all, one, "", err);
    if (belt_node_kind(many) != BELT_NODE_MAP || !belt_node_count(many))
        return belt_node_error(err, many, "processors is a map: processors: { NAME: { ... } }");
    /* One more may be needed before the first, and one after the last. */
    if (belt_node_count(many) > BELT_PROCESSORS - 2)
        return belt_node_error(err, many, "more than %d processors", BELT_PROCESSORS - 2);
    for (size_t i = 0; i < belt_node_count(many); i++) {
        const char *name = belt_node_key(many, i);
        if (!belt_is_name(name) || strlen(name) >= sizeof all->at->name)
            return belt_node_error(err, belt_node_at(many, i),
                                   "'%s' is no name of a processor: use a-z, 0-9 and _, a letter "
                                   "first",
                                   name);
        int rc = read_one(b, all, belt_node_at(many, i), name, err);
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* ---- those that run --------------------------------------------------------- */

/* It says how many instances it wants; else it has as many as its sender. */
static bool is_sized(const struct written *w)
{
    return belt_node_get(w->node, "concurrency") || belt_node_get(w->node, "max_concurrency");
}

static bool same_size(const struct belt_processor_spec *p, const struct written *w)
{
    return !is_sized(w) ||
           (p->instances == (uint32_t)w->conf.concurrency && p->most == (uint32_t)w->conf.most);
}

/* A new one behind `from`. NULL: too many. */
static struct belt_processor_spec *begin(struct belt_spec *spec, int from, const struct written *w,
                                         const char *name)
{
    if (spec->processors_used == BELT_PROCESSORS)
        return NULL;
    struct belt_processor_spec *p = &spec->processors[spec->processors_used++];
    /* The one that sources send to begins with what their `transform` wants. */
    int first_step = from < 0 ? 0 : spec->steps_used;
    *p = (struct belt_processor_spec){ .node = w->node,
                                       .first_step = first_step,
                                       .steps_used = spec->steps_used - first_step,
                                       .instances = (uint32_t)w->conf.concurrency,
                                       .most = (uint32_t)w->conf.most,
                                       .isolation = w->conf.isolation,
                                       .workers = w->conf.workers,
                                       .blocking = w->conf.blocking,
                                       .from = from,
                                       .partition = -1,
                                       .visible = spec->visible };
    snprintf(p->name, sizeof p->name, "%s", name);
    if (from >= 0) {
        struct belt_processor_spec *sender = &spec->processors[from];
        sender->children++;
        p->visible = sender->visible;
        if (!is_sized(w)) {
            p->instances = sender->instances;
            p->most = sender->most;
        }
    }
    return p;
}

static int too_many(const struct written *w, struct belt_error *err)
{
    return belt_node_error(err, w->node, "%s: more than %d processors", w->path, BELT_PROCESSORS);
}

/* The field that it is partitioned by: its own, or the pipeline's where that is known. */
static int find_partition(struct belt_builder *b, const struct written *w, int from, int *column,
                          struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    struct belt_processor_spec none = { .visible = spec->visible };
    struct belt_processor_spec *sender = from < 0 ? &none : &spec->processors[from];
    struct belt_setup setup = { .spec = spec,
                                .node = w->node,
                                .path = w->path,
                                .columns = spec->columns,
                                .columns_used = &spec->columns_used,
                                .visible = &sender->visible,
                                .used = &sender->used };
    struct belt_error unknown;
    *column = -1;
    if (w->conf.dispatch == BELT_DISPATCH_PARTITION) {
        const struct belt_node *at = belt_node_get(w->node, "partition_by");
        *column = belt_setup_field(&setup, at, w->conf.partition_by, err);
        return *column < 0 ? *column : 0;
    }
    if (*spec->partition_by && w->conf.dispatch == BELT_DISPATCH_AUTO && from >= 0)
        *column = belt_setup_field(&setup, NULL, spec->partition_by, &unknown);
    return 0;
}

/* Whether the pipeline's field says which instance gets what: messages have it already. */
static bool inherits_partition(const struct belt_spec *spec, const struct written *w)
{
    bool one = w->conf.concurrency == 1 && w->conf.most <= 1;
    for (int c = 0; !one && c < spec->columns_used; c++)
        if (spec->visible >> c & 1 && strcmp(spec->columns[c].name, spec->partition_by) == 0)
            return true;
    return false;
}

static bool same_workers(const struct belt_worker_conf *a, const struct belt_worker_conf *b)
{
    return a->sandbox == b->sandbox &&
           memcmp(a, b, offsetof(struct belt_worker_conf, sandbox)) == 0;
}

static bool is_like(const struct belt_processor_spec *p, const struct written *w)
{
    return same_size(p, w) && p->isolation == w->conf.isolation &&
           p->blocking == w->conf.blocking && same_workers(&p->workers, &w->conf.workers);
}

/* Whether its steps simply follow those of the one before. */
static bool may_join(const struct belt_spec *spec, const struct writings *all, int i, int column)
{
    const struct written *w = &all->at[i];
    if (w->from < 0 || w->from != i - 1 || all->at[w->from].children > 1)
        return false;
    int before = all->at[w->from].last;
    const struct belt_processor_spec *p = &spec->processors[before];
    bool exchange = column >= 0 && p->partition != column;
    exchange |= w->conf.dispatch == BELT_DISPATCH_DEMAND;
    exchange |= w->conf.dispatch == BELT_DISPATCH_BROADCAST;
    return before == spec->processors_used - 1 && !p->emits && !exchange && is_like(p, w);
}

static bool same_count(const struct belt_spec *spec, int from, const struct written *w)
{
    return from < 0 || same_size(&spec->processors[from], w);
}

/* The sender's instances have one partition each already. */
static bool is_partitioned(const struct belt_spec *spec, int from, const struct written *w,
                           int column)
{
    return from >= 0 && column >= 0 && spec->processors[from].partition == column &&
           same_count(spec, from, w);
}

static int begin_sent(struct belt_spec *spec, int from, const struct written *w, const char *name,
                      int column, int dispatch, struct belt_error *err)
{
    struct belt_processor_spec *p = begin(spec, from, w, name);
    if (!p)
        return too_many(w, err);
    bool keeps = from >= 0 && dispatch == BELT_DISPATCH_AUTO && same_count(spec, from, w);
    p->partition = keeps ? spec->processors[from].partition : column;
    p->dispatch = dispatch;
    return 0;
}

/* A worker reads from one instance: what comes from many is gathered in its lane. */
static int begin_gather(struct belt_spec *spec, int *from, const struct written *w, int column,
                        int dispatch, struct belt_error *err)
{
    char name[128];
    struct written thread = *w;
    snprintf(name, sizeof name, "%.100s.gather", w->path);
    thread.conf.isolation = BELT_ISOLATION_THREAD;
    thread.conf.blocking = false;
    int sender = *from;
    *from = spec->processors_used;
    return begin_sent(spec, sender, &thread, name, column, dispatch, err);
}

static int begin_written(struct belt_builder *b, struct writings *all, int i,
                         struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    struct written *w = &all->at[i];
    int from = w->from < 0 ? -1 : all->at[w->from].last, column;
    bool exchange = w->conf.dispatch != BELT_DISPATCH_AUTO || inherits_partition(spec, w);
    if (from < 0 && exchange) { /* somebody has to send */
        struct written plain = { .node = NULL };
        from = spec->processors_used;
        struct belt_processor_spec *intake = begin(spec, -1, &plain, "intake");
        if (!intake)
            return too_many(w, err);
        intake->workers = w->conf.workers;
    }
    int rc = find_partition(b, w, from, &column, err);
    if (rc < 0)
        return rc;
    w->last = from;
    if (may_join(spec, all, i, column)) {
        struct belt_processor_spec *p = &spec->processors[from];
        size_t size = strlen(p->name);
        snprintf(p->name + size, sizeof p->name - size, "+%s", w->name);
        return 0;
    }
    int dispatch = column >= 0 ? BELT_DISPATCH_PARTITION : w->conf.dispatch;
    if (is_partitioned(spec, from, w, column))
        dispatch = BELT_DISPATCH_AUTO;
    bool process = w->conf.isolation == BELT_ISOLATION_PROCESS;
    if (process && (dispatch != BELT_DISPATCH_AUTO || !same_count(spec, from, w))) {
        int rc = begin_gather(spec, &from, w, column, dispatch, err);
        if (rc < 0)
            return rc;
        dispatch = BELT_DISPATCH_AUTO;
    }
    w->last = spec->processors_used;
    return begin_sent(spec, from, w, w->path, column, dispatch, err);
}

/* Messages that a step made go to a processor of their own, in the same lane. */
static int begin_behind(struct belt_spec *spec, struct written *w, struct belt_error *err)
{
    char name[128];
    struct belt_processor_spec *p = &spec->processors[w->last];
    snprintf(name, sizeof name, "%.100s.emitted", w->path);
    struct written same = *w;
    same.conf.isolation = BELT_ISOLATION_THREAD;
    int from = w->last;
    w->last = spec->processors_used;
    if (!begin(spec, from, &same, name))
        return too_many(w, err);
    spec->processors[w->last].instances = p->instances;
    spec->processors[w->last].most = p->most;
    return 0;
}

static int add_step(struct belt_builder *b, struct written *w, size_t i, struct belt_error *err)
{
    struct belt_spec *spec = b->spec;
    char path[128];
    if (spec->steps_used == BELT_STEPS)
        return belt_node_error(err, w->conf.steps, "more than %d steps", BELT_STEPS);
    if (spec->processors[w->last].emits) {
        int rc = begin_behind(spec, w, err);
        if (rc < 0)
            return rc;
    }
    struct belt_processor_spec *p = &spec->processors[w->last];
    struct belt_use *use = &spec->steps[spec->steps_used++];
    p->steps_used++;
    b->visible = &p->visible;
    b->used = &p->used;
    snprintf(path, sizeof path, "%s.steps.%zu", w->path, i);
    int rc =
        belt_use_part(b, use, BELT_STEP, belt_node_at(w->conf.steps, i), path, belt_no_keys, err);
    if (rc < 0)
        return rc;
    p->emits = ((const struct belt_step *)(const void *)use->part)->emits;
    if (p->emits && p->isolation == BELT_ISOLATION_PROCESS)
        return belt_node_error(err, use->node,
                               "%s: a step that emits messages cannot run in a worker: what it "
                               "emits is counted where it is settled: isolation: thread",
                               path);
    return belt_use_prepare(b, use, spec->columns, &spec->columns_used, true, err);
}

/* ---- what follows from it --------------------------------------------------- */

/* The input's order lasts where each instance sends to one and gets from one. */
static bool keeps_order(const struct belt_spec *spec)
{
    for (int p = 0; p < spec->processors_used; p++) {
        const struct belt_processor_spec *at = &spec->processors[p];
        if (at->children > 1 || at->dispatch != BELT_DISPATCH_AUTO)
            return false;
        const struct belt_processor_spec *from = &spec->processors[at->from < 0 ? p : at->from];
        if (at->instances != from->instances || at->most != from->most)
            return false;
    }
    return true;
}

static void look_back(struct belt_spec *spec)
{
    spec->visible = BELT_EVERY_COLUMN;
    for (int p = 0; p < spec->processors_used; p++) {
        const struct belt_processor_spec *at = &spec->processors[p];
        spec->workers |= at->isolation == BELT_ISOLATION_PROCESS;
        if (!at->children)
            spec->visible &= at->visible;
    }
    spec->keeps_order = keeps_order(spec);
}

/* What the last step emits needs somebody who sends it to the batchers. */
static int end_written(struct belt_spec *spec, struct written *w, struct belt_error *err)
{
    const struct belt_processor_spec *last = &spec->processors[w->last];
    return last->emits && !last->children ? begin_behind(spec, w, err) : 0;
}

int belt_spec_add_processors(struct belt_builder *b, struct belt_error *err)
{
    struct writings all = { .used = 0 };
    uint32_t used = 0;
    int rc = belt_spec_add_transforms(b, &used, err);
    b->spec->visible =
        BELT_EVERY_COLUMN >> (BELT_COLUMNS - b->spec->columns_used); /* what sources bring along */
    if (rc == 0)
        rc = read_all(b, &all, err);
    for (int i = 0; rc == 0 && i < all.used; i++) {
        struct written *w = &all.at[i];
        rc = begin_written(b, &all, i, err);
        for (size_t s = 0; rc == 0 && w->conf.steps && s < belt_node_count(w->conf.steps); s++)
            rc = add_step(b, w, s, err);
    }
    for (int i = 0; rc == 0 && i < all.used; i++)
        rc = end_written(b->spec, &all.at[i], err);
    b->spec->processors[0].used |= used;
    if (rc == 0)
        look_back(b->spec);
    b->visible = b->used = NULL;
    return rc;
}

void belt_spec_settle_columns(struct belt_spec *spec)
{
    uint32_t needed[BELT_PROCESSORS] = { 0 };
    for (int p = spec->processors_used - 1; p >= 0; p--) {
        struct belt_processor_spec *at = &spec->processors[p];
        needed[p] |= at->used | (at->children ? 0 : spec->used) | 1;
        if (at->from < 0)
            continue;
        at->crossing = needed[p] & spec->processors[at->from].visible;
        needed[at->from] |= needed[p];
    }
}
