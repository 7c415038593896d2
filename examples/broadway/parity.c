/* A Broadway module in C: numbers, a line each, to two batchers by parity. docs/broadway.md
 * has it beside its original in Elixir.
 *
 *     parity PIPELINE.yaml NUMBERS.txt
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <beltway/pipeline.h>

/* ---- handle_message ---------------------------------------------------------------- */

struct targets {
    int even, odd;
};

static int parity_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct targets *to = conf;
    to->even = belt_setup_batcher(setup, NULL, "even", err);
    to->odd = to->even < 0 ? -1 : belt_setup_batcher(setup, NULL, "odd", err);
    return to->odd < 0 ? -1 : 0;
}

static int parity_init(void *state, void *conf, const struct belt_instance *in,
                       struct belt_error *err)
{
    (void)in, (void)err;
    *(struct targets *)state = *(struct targets *)conf;
    return 0;
}

static int parity_message(void *state, struct belt_view *view, uint32_t i)
{
    const struct targets *to = state;
    uint32_t size;
    const char *text = belt_text(view, 0, i, &size);
    char last = size ? text[size - 1] : 0;
    if (last < '0' || last > '9')
        belt_fail_message(view, i, "no number");
    else
        belt_route(view, i, last % 2 ? to->odd : to->even);
    return 0;
}

static const struct belt_step parity = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "parity",
              .help = "even or odd",
              .conf_size = sizeof(struct targets),
              .state_size = sizeof(struct targets),
              .prepare = parity_prepare,
              .init = parity_init },
    .message = parity_message,
};

/* ---- handle_batch ------------------------------------------------------------------ */

static int sums_batch(void *state, struct belt_batch *batch, struct belt_error *err)
{
    (void)state, (void)err;
    int64_t sum = 0;
    for (uint32_t i = 0; i < batch->count; i++)
        sum += strtoll(batch->bytes + batch->spans[i].at, NULL, 10);
    const char *why = batch->trigger == BELT_TRIGGER_SIZE ? "size" : "end";
    printf("%s: %" PRIu32 " by %s, sum %" PRId64 "\n", batch->batcher, batch->count, why, sum);
    return 0;
}

static const struct belt_sink sums = {
    .part = { .abi = BELT_ABI, .kind = BELT_SINK, .name = "sums", .help = "prints sums" },
    .batch = sums_batch,
};

/* ---- start_link -------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    struct belt_error err = { 0 };
    struct belt_pipeline *p = NULL;
    int rc = argc == 3 ? belt_pipeline_new(&p, &err)
                       : belt_error_set(&err, -1, "parity PIPELINE.yaml NUMBERS.txt");
    if (rc == 0)
        rc = belt_pipeline_add(p, &parity.part, &err);
    if (rc == 0)
        rc = belt_pipeline_add(p, &sums.part, &err);
    if (rc == 0)
        rc = belt_pipeline_load(p, argv[1], &err);
    if (rc == 0)
        rc = belt_pipeline_set(p, "source.file.paths", argv[2], &err);
    if (rc == 0)
        rc = belt_pipeline_start(p, &err);
    if (rc == 0)
        rc = belt_pipeline_wait(p, BELT_FOREVER, &err);
    if (rc != 0)
        fprintf(stderr, "parity: %s\n", err.text);
    belt_pipeline_free(p);
    return rc == 0 ? 0 : 1;
}
