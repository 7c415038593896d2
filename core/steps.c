/* Running a chain of steps: the same in a lane's thread and in a worker. */
#include <stdlib.h>

#include "core/clock_priv.h"
#include "core/telemetry_priv.h"

int belt_steps_init(struct belt_chain chain, void *states[BELT_STEPS], int *ready,
                    const struct belt_instance *in, struct belt_error *err)
{
    for (int s = 0; s < chain.steps_used; s++) {
        const struct belt_part *part = chain.steps[s].part;
        int rc = part->init ? part->init(states[s], chain.steps[s].conf, in, err) : 0;
        if (rc < 0)
            return rc;
        *ready = s + 1;
    }
    return 0;
}

void belt_steps_fini(struct belt_chain chain, void *states[BELT_STEPS], int *ready)
{
    for (int s = 0; s < *ready; s++)
        if (chain.steps[s].part->fini)
            chain.steps[s].part->fini(states[s], chain.steps[s].conf);
    *ready = 0;
}

/* 64 messages that are all live: nothing to look up. Four calls a turn: a tenth of the
 * time of a callback that does nearly nothing was the loop around it. */
static uint32_t run_word(const struct belt_step *step, void *state, struct belt_view *view,
                         uint32_t from)
{
    int (*message)(void *, struct belt_view *, uint32_t) = step->message;
    for (uint32_t i = from; i < from + 64; i += 4) {
        if (message(state, view, i) < 0)
            return i;
        if (message(state, view, i + 1) < 0)
            return i + 1;
        if (message(state, view, i + 2) < 0)
            return i + 2;
        if (message(state, view, i + 3) < 0)
            return i + 3;
    }
    return from + 64;
}

static const struct belt_step *step_of(const struct belt_use *use)
{
    return (const struct belt_step *)(const void *)use->part;
}

static uint32_t run_step(const struct belt_use *use, void *state, struct belt_view *view)
{
    const struct belt_step *step = step_of(use);
    if (step->frame)
        return step->frame(state, view);
    /* Word by word, not BELT_EACH: looking up the next live bit after every call is
     * a chain of ten cycles that nothing overlaps with (370 against 900 M calls/s
     * on two lanes). A call may take out its own message only. */
    for (uint32_t w = view->first / 64; w * 64 < view->end; w++) {
        uint64_t rest = view->live[w] & belt_range_mask(w, view->first, view->end);
        if (rest == UINT64_MAX) {
            uint32_t handled = run_word(step, state, view, w * 64);
            if (handled < w * 64 + 64)
                return handled;
            continue;
        }
        for (; rest; rest &= rest - 1) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(rest);
            if (step->message(state, view, i) < 0)
                return i;
        }
    }
    return view->end;
}

/* Step s may use the room up to its share, so that those after it find some. What
 * the payloads want when they move is set aside: no step's share pays for it. */
static uint32_t share(const struct belt_engine *engine, int s, int steps)
{
    uint64_t shared = engine->room_size - engine->reserve;
    return (uint32_t)(shared * (unsigned)(s + 1) / (unsigned)steps) + engine->moved;
}

/* What is live now has the field that orders what is tried again. */
static void note_keyed(struct belt_engine *engine, uint32_t first, uint32_t end)
{
    for (uint32_t w = first / 64; w * 64 < end; w++)
        engine->keyed[w] |= engine->live[w] & belt_range_mask(w, first, end);
}

/* It is a step of other sources. All messages of a frame that sources send are of one. */
static bool is_foreign(const struct belt_use *use, const struct belt_engine *engine)
{
    return use->sources && !(use->sources >> engine->source & 1);
}

/* It failed, whatever a callback does with it now. */
static void keep_failed(struct belt_engine *engine, uint32_t w, uint64_t bit)
{
    engine->live[w] &= ~bit;
    engine->dropped[w] &= ~bit;
    engine->failed[w] |= bit;
}

/* Of the messages that the view has: each step hears of those that failed. */
static void call_failed(struct belt_chain chain, void *const states[BELT_STEPS],
                        struct belt_engine *engine)
{
    struct belt_view *view = &engine->view;
    for (int s = 0; s < chain.steps_used; s++) {
        const struct belt_step *step = step_of(&chain.steps[s]);
        if (!step->failed || is_foreign(&chain.steps[s], engine))
            continue;
        for (uint32_t w = view->first / 64; w * 64 < view->end; w++) {
            uint64_t rest = engine->failed[w] & belt_range_mask(w, view->first, view->end);
            for (; rest; rest &= rest - 1) {
                uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(rest);
                step->failed(states[s], view, i, engine->reasons[i]);
                keep_failed(engine, w, rest & -rest);
            }
        }
    }
}

static bool any_hears(struct belt_chain chain, const struct belt_engine *engine)
{
    for (int s = 0; s < chain.steps_used; s++)
        if (step_of(&chain.steps[s])->failed && !is_foreign(&chain.steps[s], engine))
            return true;
    return false;
}

/* In a worker it is only counted: its lane tells, with what the frame came to. */
static void tell_failed(struct belt_chain chain, void *const states[BELT_STEPS],
                        struct belt_engine *engine)
{
    struct belt_stage *stage = engine->chain ? &engine->chain->stage : NULL;
    bool told = (!stage || belt_wants(stage, BELT_WANT_FAILED)) && any_hears(chain, engine);
    uint64_t count = 0;
    for (uint32_t w = engine->view.first / 64; told && w * 64 < engine->view.end; w++)
        count += (uint64_t)__builtin_popcountll(
            engine->failed[w] & belt_range_mask(w, engine->view.first, engine->view.end));
    told &= count != 0;
    uint64_t began = !told ? 0 : stage ? belt_tell_handle_failed(stage, count) : belt_now();
    call_failed(chain, states, engine);
    if (told && stage) {
        belt_tell_handle_failed_end(stage, count, began);
    } else if (told) {
        engine->heard += count;
        engine->heard_ns += belt_now() - began;
    }
}

struct belt_segment belt_segment_run(struct belt_chain chain, void *const states[BELT_STEPS],
                                     struct belt_engine *engine, struct belt_segment segment,
                                     bool fresh, struct belt_segment *rest, int *rest_used)
{
    struct belt_view *view = &engine->view;
    uint32_t first = segment.first;
    view->end = segment.end;
    for (int s = segment.step; s < chain.steps_used; s++) {
        if (is_foreign(&chain.steps[s], engine)) {
            segment.step += s == segment.step;
            if (s + 1 == engine->keyed_step)
                note_keyed(engine, first, view->end);
            continue;
        }
        engine->room_share = share(engine, s, chain.steps_used);
        view->first = first;
        engine->hold_full = false;
        if (step_of(&chain.steps[s])->prepare && !(segment.prepared && s == segment.step))
            step_of(&chain.steps[s])->prepare(states[s], view);
        uint32_t handled = run_step(&chain.steps[s], states[s], view);
        while (handled < view->end && fresh && s == segment.step && !engine->hold_full &&
               !(engine->kids && engine->kids->count) && handled == belt_next_live(view, first)) {
            /* Fresh room, and still not enough for this one alone. */
            belt_fail_message(view, handled, BELT_TEXT_TOO_LONG);
            view->first = handled;
            handled = run_step(&chain.steps[s], states[s], view);
        }
        if (handled < view->end) {
            rest[(*rest_used)++] = (struct belt_segment){ handled, view->end, s, true };
            view->end = handled;
        }
        if (s + 1 == engine->keyed_step)
            note_keyed(engine, first, view->end);
    }
    view->first = first;
    engine->room_share = engine->room_size;
    if (engine->any_failed)
        tell_failed(chain, states, engine);
    return (struct belt_segment){ first, view->end, 0, false };
}
