#include "core/acks_priv.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/build_priv.h"
#include "core/run_priv.h"

/* ---- before the start --------------------------------------------------------- */

/* The source's number for it; 0: it has none, and *why says so. */
static uint8_t ask(const struct belt_source_spec *source, const char *option,
                   struct belt_error *why)
{
    const struct belt_source *part = (const struct belt_source *)(const void *)source->use.part;
    if (!part->configure || !part->ack) {
        belt_error_set(why, -ENOTSUP, "nothing can be asked of it");
        return 0;
    }
    int number = part->configure(source->use.conf, option, why);
    if (number == 0 || number > UINT8_MAX)
        belt_error_set(why, -EPROTO, "its number for that is %d, not 1 to 255", number);
    return number > 0 && number <= UINT8_MAX ? (uint8_t)number : 0;
}

int belt_setup_ack(struct belt_setup *setup, const struct belt_node *at, const char *option,
                   struct belt_error *err)
{
    struct belt_spec *spec = setup->spec;
    struct belt_error why = { 0 };
    bool known = false;
    at = at ? at : setup->node;
    if (!setup->batchers)
        return belt_node_error(err, at, "only a step can ask for acknowledgements");
    for (int o = 0; o < spec->acks_used; o++)
        if (strcmp(spec->acks[o].text, option) == 0)
            return o;
    if (spec->acks_used == BELT_ACK_OPTIONS || strlen(option) >= BELT_ACK_TEXT)
        return belt_node_error(err, at, "acknowledgement '%.80s': at most %d of them, of %d bytes",
                               option, BELT_ACK_OPTIONS, BELT_ACK_TEXT - 1);
    struct belt_ack_option *own = &spec->acks[spec->acks_used];
    memcpy(own->text, option, strlen(option) + 1);
    for (int s = 0; s < spec->sources_used; s++)
        known |= (own->numbers[s] = ask(&spec->sources[s], own->text, &why)) != 0;
    if (!known)
        return belt_node_error(err, at, "no source can be told '%s': %s (%s): %s", option,
                               spec->sources[spec->sources_used - 1].path,
                               spec->sources[spec->sources_used - 1].use.part->name, why.text);
    return spec->acks_used++;
}

/* ---- in a step ----------------------------------------------------------------- */

static uint32_t source_of(const struct belt_engine *engine, uint32_t i)
{
    if (engine->chain)
        return belt_chain_origin(engine->chain, i).source;
    return engine->origins ? engine->origins[i].source : engine->source;
}

int belt_configure_ack(struct belt_view *view, uint32_t i, int option)
{
    struct belt_engine *engine = view->engine;
    const struct belt_spec *spec = engine->spec;
    char reason[BELT_REASON];
    if (!spec || option < 0 || option >= spec->acks_used) {
        belt_fail_message(view, i, "asked for an acknowledgement that is not there");
        return -EINVAL;
    }
    uint32_t source = source_of(engine, i);
    const struct belt_ack_option *asked = &spec->acks[option];
    if (!asked->numbers[source]) {
        snprintf(reason, sizeof reason, "%.70s cannot be told '%s'", spec->sources[source].path,
                 asked->text);
        belt_fail_message(view, i, reason);
        return -ENOTSUP;
    }
    if (!engine->any_option)
        memset(engine->option, 0, sizeof engine->option);
    engine->any_option = true;
    engine->option[i] = asked->numbers[source];
    return 0;
}

/* ---- on its way to the source ---------------------------------------------------- */

void belt_acks_put(struct belt_chain_stage *chain, uint32_t i)
{
    struct belt_engine_run *run = chain->stage.run;
    uint8_t option = chain->engine.any_option ? chain->engine.option[i] : 0;
    if (!option)
        return;
    struct belt_ticket t = belt_run_root(run, belt_chain_ticket(chain, i));
    if (!t.bit)
        return; /* told before */
    struct belt_ledger *ledger = &run->sources[BELT_RUN_SOURCE(t.word)].ledger;
    uint64_t at = (BELT_RUN_WORD(t.word) & ledger->mask) * 64 + (uint64_t)__builtin_ctzll(t.bit);
    /* Relaxed: published by whoever settles the message, as ledger->failed is. Children
     * of one message may be configured at the same time: one of them is the last. */
    belt_store_relaxed8(&ledger->options[at], option);
}

void belt_acks_sort(struct belt_chain_stage *chain, uint32_t first, uint32_t end)
{
    for (uint32_t i = first; i < end; i++)
        belt_acks_put(chain, i);
}

void belt_acks_carve(struct belt_engine_run *run, struct belt_source_stage *s)
{
    uint64_t messages = (s->ledger.mask + 1) * 64;
    if (s->part->ack && s->part->configure && run->spec->acks_used)
        s->ledger.options = belt_carve(run, messages, 4096);
    if (!s->part->ack || !s->part->ack_reasons)
        return;
    run->wants_reasons = true;
    s->reasons = belt_carve(run, sizeof *s->reasons, 4096);
    if (s->reasons)
        pthread_mutex_init(&s->reasons->lock, NULL);
}

/* ---- reasons ------------------------------------------------------------------- */

static uint64_t number_of(struct belt_ticket t)
{
    return BELT_RUN_WORD(t.word) * 64 + (uint64_t)__builtin_ctzll(t.bit);
}

void belt_acks_reason(struct belt_engine_run *run, struct belt_ticket ticket, const char *reason)
{
    if (!run->wants_reasons)
        return;
    struct belt_ticket t = belt_run_root(run, ticket);
    struct belt_reasons *reasons = t.bit ? run->sources[BELT_RUN_SOURCE(t.word)].reasons : NULL;
    if (!reasons)
        return;
    uint64_t number = number_of(t), slot = number % BELT_REASONS_KEPT;
    pthread_mutex_lock(&reasons->lock);
    if (reasons->at[slot].ticket != number || !*reasons->at[slot].text) {
        reasons->at[slot].ticket = number;
        snprintf(reasons->at[slot].text, BELT_REASON, "%s", reason);
    }
    pthread_mutex_unlock(&reasons->lock);
}

bool belt_acked_reason(const struct belt_acked *acked, uint32_t i, char out[BELT_REASON])
{
    struct belt_reasons *reasons = acked->reasons;
    uint64_t number = acked->ticket + i, slot = number % BELT_REASONS_KEPT;
    *out = 0;
    if (!reasons || i >= 64 || !(acked->failed >> i & 1))
        return false;
    pthread_mutex_lock(&reasons->lock);
    if (reasons->at[slot].ticket == number)
        memcpy(out, reasons->at[slot].text, BELT_REASON);
    pthread_mutex_unlock(&reasons->lock);
    return *out != 0;
}
