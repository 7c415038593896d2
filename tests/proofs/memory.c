/* Places, what was stored in them, and what each thread is past. */
#include <stdlib.h>
#include <string.h>

#include "tests/proofs/model_priv.h"

enum { GAP = 1 << 16, GRANULE = 4, POOL = 1024 };

/* The last accesses by plain copies to a few bytes. */
struct granule {
    uint32_t run, writer, written;
    uint32_t read[MODEL_THREADS];
};

static struct {
    char *arena, *kept;
    size_t used;
    struct place places[PLACES];
    unsigned places_used;
    uint8_t *place_of;        /* by GRANULE of the arena; 0: none */
    struct granule *granules; /* the same */
    struct message *pool;     /* of one execution */
    unsigned pool_used;
} m;

/* ---- the arena ------------------------------------------------------------------- */

void memory_clear(void)
{
    if (!m.arena) {
        m.arena = aligned_alloc(4096, ARENA);
        m.kept = malloc(ARENA);
        m.place_of = malloc(ARENA / GRANULE);
        m.granules = calloc(ARENA / GRANULE, sizeof *m.granules);
        m.pool = malloc(POOL * sizeof *m.pool);
        if (!m.arena || !m.kept || !m.place_of || !m.granules || !m.pool)
            abort();
    }
    memset(m.arena, 0, ARENA);
    memset(m.place_of, 0, ARENA / GRANULE);
    memset(m.places, 0, sizeof m.places);
    m.used = 0;
    m.places_used = FIRST_PLACE;
}

void *model_alloc(size_t size, size_t align)
{
    m.used = (m.used + align - 1) / align * align;
    if (m.used + size > ARENA)
        model_fail("the model's memory is used up");
    m.used += size;
    return m.arena + m.used - size;
}

void *model_calloc(size_t count, size_t size)
{
    return model_alloc(count * size, 128);
}

void model_free(void *at)
{
    (void)at;
}

void memory_keep(void)
{
    memcpy(m.kept, m.arena, m.used);
}

void memory_restore(void)
{
    memcpy(m.arena, m.kept, m.used);
    m.pool_used = 0;
    memset(&model.fences, 0, sizeof model.fences);
}

/* ---- places and messages --------------------------------------------------------- */

static size_t granule_of(const void *at)
{
    size_t offset = (size_t)((const char *)at - m.arena);
    if (offset >= m.used)
        model_fail("memory that model_alloc() did not give is used by two threads");
    return offset / GRANULE;
}

uint64_t memory_plain(const void *at, unsigned width)
{
    uint64_t value = 0;
    memcpy(&value, at, width);
    return value;
}

static struct message *new_message(struct place *place, uint64_t value, unsigned by)
{
    if (m.pool_used == POOL || place->count == MESSAGES)
        model_fail("too many stores for the model");
    struct message *message = &m.pool[m.pool_used++];
    message->value = value;
    message->by = (uint8_t)by;
    message->followed = message->seen = false;
    place->messages[place->count++] = message;
    return message;
}

struct place *memory_at(unsigned number)
{
    struct place *place = &m.places[number];
    if (place->run == model.run)
        return place;
    place->run = model.run;
    place->count = place->newest = 0;
    struct message *first =
        new_message(place, place->at ? memory_plain(place->at, place->width) : 0, MODEL_THREADS);
    first->when = 0;
    memset(&first->view, 0, sizeof first->view);
    return place;
}

unsigned memory_place(const void *at, unsigned width, bool stores, bool *is_new)
{
    if (!at)
        return NOWHERE;
    size_t granule = granule_of(at);
    unsigned number = m.place_of[granule];
    if (number == 0 && !stores)
        return NOWHERE;
    if (number == 0) {
        if (m.places_used == PLACES)
            model_fail("too many atomic words for the model");
        number = m.places_used++;
        m.place_of[granule] = (uint8_t)number;
        m.places[number].at = at;
        m.places[number].width = width;
        *is_new = true;
    }
    if (m.places[number].at != at || m.places[number].width != width)
        model_fail("a word is used with two widths");
    return number;
}

/* ---- views ----------------------------------------------------------------------- */

static void join(struct view *to, const struct view *from)
{
    unsigned n = MODEL_THREADS + m.places_used;
    for (unsigned i = 0; i < n; i++)
        to->at[i] = to->at[i] > from->at[i] ? to->at[i] : from->at[i];
}

static void copy(struct view *to, const struct view *from)
{
    memcpy(to, from, (MODEL_THREADS + m.places_used) * sizeof to->at[0]);
}

/* Places alone: a fence that comes before another one does not by that happen
 * before it. */
static void join_places(struct view *to, const struct view *from)
{
    for (unsigned i = MODEL_THREADS; i < MODEL_THREADS + m.places_used; i++)
        to->at[i] = to->at[i] > from->at[i] ? to->at[i] : from->at[i];
}

static void give_fence(struct thread *thread)
{
    join(&thread->view, &thread->unacquired);
    join_places(&model.fences, &thread->view);
    thread->unreleased_n = thread->overtaken = 0;
}

static void take_fence(struct thread *thread)
{
    join_places(&thread->view, &model.fences);
    copy(&thread->fenced, &thread->view);
}

void memory_fence(struct thread *thread)
{
    give_fence(thread);
    take_fence(thread);
}

/* membarrier: every thread makes a fence wherever it happens to be. */
void memory_barrier(void)
{
    for (unsigned t = 0; t < model.count; t++)
        give_fence(&model.threads[t]);
    for (unsigned t = 0; t < model.count; t++)
        take_fence(&model.threads[t]);
}

/* ---- steps ----------------------------------------------------------------------- */

static uint64_t result_of(const struct step *step, uint64_t old)
{
    uint64_t mask = memory_at(step->place)->width == 4 ? UINT32_MAX : UINT64_MAX;
    switch (step->kind) {
    case MODEL_ADD: return (old + step->value) & mask;
    case MODEL_OR: return old | step->value;
    case MODEL_AND: return old & step->value & mask;
    default: return step->value & mask;
    }
}

bool memory_writes(const struct step *step, unsigned option)
{
    switch (step->kind) {
    case MODEL_STORE:
    case MODEL_ADD:
    case MODEL_OR:
    case MODEL_AND:
    case MODEL_EXCHANGE: return true;
    case MODEL_CAS: return memory_at(step->place)->messages[option]->value == step->expected;
    default: return false;
    }
}

uint64_t memory_options(const struct thread *thread, const struct step *step)
{
    if (step->kind == MODEL_FENCE || step->kind == MODEL_MEMBARRIER ||
        step->kind == MODEL_FUTEX_WAKE)
        return 1;
    struct place *place = memory_at(step->place);
    uint32_t past = thread->view.at[MODEL_THREADS + step->place];
    if (step->kind == MODEL_FUTEX_WAIT) {
        uint32_t fences = model.fences.at[MODEL_THREADS + step->place];
        uint32_t unacquired = thread->unacquired.at[MODEL_THREADS + step->place];
        past = past > fences ? past : fences;
        past = past > unacquired ? past : unacquired;
    }
    if (thread->reread && thread->before.count == 1 && thread->before.place[0] == step->place)
        past = past > thread->before.when[0] ? past : thread->before.when[0] + 1;
    uint64_t options = 0;
    for (unsigned i = 0; i < place->count; i++)
        if (place->messages[i]->when >= past &&
            !(place->messages[i]->followed && memory_writes(step, i)))
            options |= UINT64_C(1) << i;
    return options;
}

static void note_read(struct thread *thread, unsigned place, uint32_t when)
{
    struct reads *reads = &thread->now;
    unsigned i = 0;
    while (i < reads->count && reads->place[i] != place)
        i++;
    if (i == sizeof reads->place)
        model_fail("a try reads too many places for the model");
    if (i < reads->count)
        return; /* the oldest counts: a second try may read there what the first did later */
    reads->place[i] = (uint8_t)place;
    reads->when[i] = when;
    reads->count++;
}

static void see(struct thread *thread, unsigned number, struct message *message, bool acquire)
{
    uint32_t *past = &thread->view.at[MODEL_THREADS + number];
    *past = *past > message->when ? *past : message->when;
    join(acquire ? &thread->view : &thread->unacquired, &message->view);
    note_read(thread, number, message->when);
    message->seen = message->seen || &model.threads[message->by % MODEL_THREADS] != thread;
}

/* Where in the modification order what comes right behind `before` stands. */
static uint32_t behind(const struct place *place, const struct message *before)
{
    uint32_t next = UINT32_MAX;
    for (unsigned i = 0; i < place->count; i++)
        if (place->messages[i]->when > before->when && place->messages[i]->when < next)
            next = place->messages[i]->when;
    if (next == UINT32_MAX)
        return before->when + GAP;
    if (next - before->when < 2)
        model_fail("too many stores in between for the model");
    return before->when + (next - before->when) / 2;
}

/* For memory_lose(). What does not fit is never lost. */
static void remember(unsigned t, void *at, unsigned place, size_t size)
{
    struct thread *thread = &model.threads[t];
    unsigned n = thread->unreleased_n;
    if (n == LOST || size > sizeof thread->unreleased[0].old)
        return;
    thread->unreleased[n].at = at;
    thread->unreleased[n].place = place;
    thread->unreleased[n].size = size;
    if (at)
        memcpy(thread->unreleased[n].old, at, size);
    thread->unreleased_n++;
}

static void put(unsigned number, unsigned t, uint64_t value, const struct message *before,
                bool release, bool continues)
{
    struct place *place = memory_at(number);
    struct thread *thread = &model.threads[t];
    uint32_t when = behind(place, before);
    struct message *message = new_message(place, value, t);
    message->when = when;
    thread->view.at[MODEL_THREADS + number] = message->when;
    copy(&message->view, release ? &thread->view : &thread->fenced);
    message->view.at[MODEL_THREADS + number] = message->when;
    if (continues)
        join(&message->view, &before->view);
    thread->view.at[t]++;
    thread->stored = thread->may_die = true;
    if (release)
        thread->unreleased_n = 0;
    thread->overtaken = thread->unreleased_n;
    if (!continues)
        remember(t, NULL, number, 0);
    if (message->when < place->messages[place->newest]->when)
        return;
    place->newest = place->count - 1;
    if (place->at)
        memcpy((char *)(uintptr_t)place->at, &value, place->width);
}

void memory_tell(unsigned place, unsigned t, uint64_t value)
{
    struct thread *thread = &model.threads[t];
    join(&thread->view, &thread->unacquired);
    put(place, t, value, memory_at(place)->messages[memory_at(place)->newest], true, false);
}

static void access_step(unsigned t, unsigned option)
{
    struct thread *thread = &model.threads[t];
    const struct step *step = &thread->next;
    struct message *message = memory_at(step->place)->messages[option];
    bool writes = memory_writes(step, option), release = step->order & MODEL_RELEASE;
    bool failed = step->kind == MODEL_CAS && !writes;
    bool acquire = step->order & (failed ? MODEL_ACQUIRE_FAILED : MODEL_ACQUIRE);
    if (step->kind == MODEL_STORE) {
        put(step->place, t, result_of(step, 0), message, release, false);
        return;
    }
    see(thread, step->place, message, acquire);
    thread->result = message->value;
    if (!writes)
        return;
    put(step->place, t, result_of(step, message->value), message, release, true);
    message->followed = true;
}

/* One word of several: queues for it, or gives all up. The last one's step sleeps. */
static void futex_wait(struct thread *thread, uint64_t found)
{
    const struct step *step = &thread->next;
    bool last = step->value != 0;
    if (thread->queued_n == sizeof thread->queued)
        model_fail("a thread sleeps on too many words for the model");
    thread->queued[thread->queued_n++] = (uint8_t)step->place;
    if (found == step->expected && last && !thread->woken)
        thread->state = ASLEEP;
    thread->result = found == step->expected ? 0 : UINT64_MAX;
    if (thread->state == ASLEEP || (found == step->expected && !last))
        return;
    thread->queued_n = 0;
    thread->woken = false;
}

void memory_step(unsigned t, unsigned option)
{
    struct thread *thread = &model.threads[t];
    struct step *step = &thread->next;
    switch (step->kind) {
    case MODEL_FENCE: memory_fence(thread); break;
    case MODEL_MEMBARRIER: memory_barrier(); break;
    case MODEL_FUTEX_WAKE:
        memory_fence(thread);
        explore_wake(step->place);
        break;
    case MODEL_FUTEX_WAIT:
        memory_fence(thread);
        see(thread, step->place, memory_at(step->place)->messages[option], false);
        futex_wait(thread, memory_at(step->place)->messages[option]->value);
        break;
    default: access_step(t, option);
    }
}

bool memory_is_news(const struct reads *reads)
{
    for (unsigned i = 0; i < reads->count; i++) {
        struct place *place = memory_at(reads->place[i]);
        if (place->messages[place->newest]->when > reads->when[i])
            return true;
    }
    return false;
}

/* ---- plain copies ---------------------------------------------------------------- */

static struct granule *granule_at(size_t number)
{
    struct granule *granule = &m.granules[number];
    if (granule->run != model.run)
        memset(granule, 0, sizeof *granule);
    granule->run = model.run;
    return granule;
}

static void check_store(const void *at, size_t size)
{
    unsigned self = (unsigned)model.self;
    const struct view *view = &model.threads[self].view;
    for (size_t i = granule_of(at); i <= granule_of((const char *)at + size - 1); i++) {
        struct granule *granule = granule_at(i);
        for (unsigned t = 0; t < model.count; t++)
            if (t != self && granule->read[t] > view->at[t])
                model_fail("data race: thread %u writes what thread %u is reading", self, t);
        if (granule->writer != self && granule->written > view->at[granule->writer])
            model_fail("data race: threads %u and %u write the same", self, granule->writer);
        granule->writer = self;
        granule->written = view->at[self];
    }
}

static void check_load(const void *at, size_t size)
{
    unsigned self = (unsigned)model.self;
    const struct view *view = &model.threads[self].view;
    for (size_t i = granule_of(at); i <= granule_of((const char *)at + size - 1); i++) {
        struct granule *granule = granule_at(i);
        if (granule->writer != self && granule->written > view->at[granule->writer])
            model_fail("data race: thread %u reads what thread %u is writing", self,
                       granule->writer);
        granule->read[self] = view->at[self];
    }
}

bool memory_can_lose(const struct thread *thread)
{
    for (unsigned i = 0; i < thread->overtaken; i++) {
        if (thread->unreleased[i].at)
            continue;
        struct place *place = memory_at(thread->unreleased[i].place);
        unsigned last = place->count - 1;
        if (place->newest != last || place->messages[last]->seen ||
            &model.threads[place->messages[last]->by] != thread)
            return false;
        for (unsigned k = i + 1; k < thread->unreleased_n; k++)
            if (!thread->unreleased[k].at &&
                thread->unreleased[k].place == thread->unreleased[i].place)
                return false; /* two stores of one place stay in order */
    }
    return thread->overtaken > 0;
}

void memory_lose(struct thread *thread)
{
    for (unsigned i = thread->overtaken; i-- > 0;) {
        if (thread->unreleased[i].at) {
            memcpy(thread->unreleased[i].at, thread->unreleased[i].old, thread->unreleased[i].size);
            continue;
        }
        unsigned number = thread->unreleased[i].place;
        struct place *place = memory_at(number);
        place->count--;
        place->newest = 0;
        for (unsigned k = 0; k < place->count; k++)
            if (place->messages[k]->when > place->messages[place->newest]->when)
                place->newest = k;
        uint32_t when = place->messages[place->newest]->when;
        thread->view.at[MODEL_THREADS + number] = when;
        if (place->at)
            memcpy((char *)(uintptr_t)place->at, &place->messages[place->newest]->value,
                   place->width);
    }
}

/* A copy that may race is done as relaxed words. */
static void racing_copy(char *to, const char *from, size_t size, unsigned kind)
{
    static const struct model_site store = {
        __FILE__, "data", __LINE__, MODEL_STORE, 0, UINT16_MAX
    };
    static const struct model_site load = { __FILE__, "data", __LINE__, MODEL_LOAD, 0, UINT16_MAX };
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = 0;
        unsigned width = size - i >= 8 ? 8 : 4;
        if (kind == MODEL_STORE) {
            memcpy(&word, from + i, width);
            model_step(&store, to + i, width, word, NULL);
        } else {
            word = model_step(&load, from + i, width, 0, NULL);
            memcpy(to + i, &word, width);
        }
    }
}

void model_data_store(void *to, const void *from, size_t size)
{
    if (!model.cold && size) {
        if (model.scenario->racing_data) {
            racing_copy(to, from, size, MODEL_STORE);
            return;
        }
        check_store(to, size);
        remember((unsigned)model.self, to, 0, size);
    }
    memcpy(to, from, size);
}

void model_data_load(void *to, const void *from, size_t size)
{
    if (!model.cold && size) {
        if (model.scenario->racing_data) {
            racing_copy(to, from, size, MODEL_LOAD);
            return;
        }
        check_load(from, size);
    }
    memcpy(to, from, size);
}
