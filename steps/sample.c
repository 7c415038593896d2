/* The step `sample`: one message in so many, by its position or by a field's value. */
#include <stdlib.h>
#include <string.h>

#include "core/hash_priv.h"
#include "steps/number_priv.h"
#include "steps/steps_priv.h"

/* A rate is counted in units of 10^-18, exactly. */
#define WHOLE INT64_C(1000000000000000000)
enum { RATE_DIGITS = 18, BY_POSITION = -1 };

struct sample_conf {
    int64_t every, seed;
    const char *rate_text, *by;
    int64_t rate;
    int column; /* BY_POSITION: none */
    enum belt_type type;
    uint64_t limit; /* hashes up to it stay */
};

static const struct belt_setting sample_settings[] = {
    { "every", BELT_SET_INT, offsetof(struct sample_conf, every), "0",
      "keep one message in so many", NULL, 0, 0 },
    { "rate", BELT_SET_TEXT, offsetof(struct sample_conf, rate_text), "",
      "or this share of them: 0.01", NULL, 0, 0 },
    { "by", BELT_SET_TEXT, offsetof(struct sample_conf, by), "",
      "a field: all messages of one value stay, or none; else each instance counts", NULL, 0, 0 },
    { "seed", BELT_SET_INT, offsetof(struct sample_conf, seed), "0",
      "with by: another seed chooses other values", NULL, 0, 0 },
    { 0 },
};

/* ---- set-up -------------------------------------------------------------------- */

static int read_rate(struct sample_conf *sample, struct belt_setup *setup, struct belt_error *err)
{
    const char *text = sample->rate_text;
    if (belt_number_parse(text, strlen(text), RATE_DIGITS, &sample->rate) == BELT_FLAW_NONE &&
        sample->rate >= 0 && sample->rate <= WHOLE)
        return 0;
    return belt_node_error(err, belt_step_place(setup, "rate"),
                           "a rate is a number from 0 to 1, with %d digits at most, not '%s'",
                           RATE_DIGITS, text);
}

static int sample_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct sample_conf *sample = conf;
    if ((sample->every > 0) == (sample->rate_text != NULL))
        return belt_node_error(err, belt_setup_node(setup),
                               "sample takes either every: N or rate: SHARE");
    int rc = sample->rate_text ? read_rate(sample, setup, err) : 0;
    if (rc < 0)
        return rc;
    unsigned __int128 share = sample->rate_text
                                  ? ((unsigned __int128)sample->rate << 64) / WHOLE
                                  : ((unsigned __int128)1 << 64) / (uint64_t)sample->every;
    sample->limit = share > UINT64_MAX ? UINT64_MAX : (uint64_t)share;
    sample->column = BY_POSITION;
    if (!sample->by)
        return 0;
    sample->column = belt_setup_field(setup, belt_step_place(setup, "by"), sample->by, err);
    if (sample->column < 0)
        return sample->column;
    sample->type = belt_setup_info(setup, sample->column)->type;
    return 0;
}

/* ---- the work ------------------------------------------------------------------ */

struct sample_state {
    const struct sample_conf *sample;
    int64_t passed; /* since one stayed; of a rate: what is owed */
};

static int sample_init(void *state, void *conf, const struct belt_instance *in,
                       struct belt_error *err)
{
    (void)in;
    (void)err;
    ((struct sample_state *)state)->sample = conf;
    return 0;
}

static uint64_t hash_of(const struct sample_conf *sample, const struct belt_view *view, uint32_t i)
{
    const uint64_t seed = (uint64_t)sample->seed ^ UINT64_C(0x9e3779b97f4a7c15);
    const struct belt_column *column = &view->columns[sample->column];
    uint64_t value;
    if (sample->type == BELT_TEXT) {
        uint32_t size;
        const char *text = belt_text(view, sample->column, i, &size);
        value = belt_hash(text, size);
    } else {
        /* -0 is 0. */
        double zero = sample->type == BELT_FLOAT ? column->as.floats[i] : 1;
        memcpy(&value, &column->as.numbers[i], sizeof value);
        value = zero == 0 ? 0 : value;
    }
    value = belt_mix(value ^ seed, UINT64_C(0xd6e8feb86659fd93));
    return belt_mix(value ^ seed, UINT64_C(0xa0761d6478bd642f));
}

static uint64_t by_value(const struct sample_conf *sample, const struct belt_view *view, uint32_t w,
                         uint64_t rows)
{
    uint64_t gone = 0;
    for (; rows; rows &= rows - 1)
        if (hash_of(sample, view, w * 64 + (uint32_t)__builtin_ctzll(rows)) > sample->limit)
            gone |= rows & -rows;
    return gone;
}

/* The first of every so many; of a rate, as soon as a whole message is owed. */
static uint64_t by_position(struct sample_state *own, uint64_t rows)
{
    const struct sample_conf *sample = own->sample;
    uint64_t gone = 0;
    for (; rows; rows &= rows - 1) {
        bool stays;
        if (sample->every) {
            stays = own->passed == 0;
            own->passed = own->passed + 1 == sample->every ? 0 : own->passed + 1;
        } else {
            own->passed += sample->rate;
            stays = own->passed >= WHOLE;
            own->passed -= stays ? WHOLE : 0;
        }
        gone |= stays ? 0 : rows & -rows;
    }
    return gone;
}

static uint32_t sample_frame(void *state, struct belt_view *view)
{
    struct sample_state *own = state;
    const struct sample_conf *sample = own->sample;
    BELT_EACH_WORD(view, w)
    {
        uint64_t rows = belt_live_word(view, w);
        uint64_t gone = sample->column == BY_POSITION ? by_position(own, rows)
                                                      : by_value(sample, view, w, rows);
        if (gone)
            belt_drop_mask(view, w, gone);
    }
    return view->end;
}

const struct belt_step belt_sample_step = {
    .part = {
        .abi = BELT_ABI,
        .kind = BELT_STEP,
        .name = "sample",
        .help = "keeps one message in so many, by position or by a field's value",
        .settings = sample_settings,
        .conf_size = sizeof(struct sample_conf),
        .state_size = sizeof(struct sample_state),
        .prepare = sample_prepare,
        .init = sample_init,
        .scalar = "every",
    },
    .frame = sample_frame,
};
