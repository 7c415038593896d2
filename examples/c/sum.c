/* A pipeline in C, with a step of its own: adds up the values of "name;value" rows.
 *
 *     sum FILE
 */
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>

#include <beltway/pipeline.h>

static const char yaml[] =
    "name: sum\n"
    "source: { file: { paths: to be set } }\n"
    "processor:\n"
    "  steps:\n"
    "    - split: { delimiter: ';', into: { name: text, value: decimal(1) } }\n"
    "    - sum: { field: value }\n"
    "batcher: { sink: { null: {} } }\n";

/* ---- the step ------------------------------------------------------------------ */

struct sum_conf { /* one, for all instances */
    const char *field;
    int column;
};

struct sum_state { /* one for each instance: no two threads share it */
    int64_t tenths, rows;
};

static struct sum_state total;
static pthread_mutex_t total_lock = PTHREAD_MUTEX_INITIALIZER;

static const struct belt_setting sum_settings[] = {
    { "field", BELT_SET_TEXT, offsetof(struct sum_conf, field), NULL,
      "the decimal(1) field to add up", NULL, 0, 0 },
    { 0 },
};

/* Names become numbers here, so that a misspelt one is found before anything runs. */
static int sum_prepare(void *conf, struct belt_setup *setup, struct belt_error *err)
{
    struct sum_conf *sum = conf;
    const struct belt_node *at = belt_setup_node(setup);
    sum->column = belt_setup_field(setup, at, sum->field, err);
    if (sum->column < 0)
        return sum->column;
    const struct belt_column_info *info = belt_setup_info(setup, sum->column);
    if (info->type != BELT_DECIMAL || info->digits != 1)
        return belt_node_error(err, at, "sum: '%s' is no decimal(1)", sum->field);
    return 0;
}

struct sum_instance {
    const struct sum_conf *conf;
    struct sum_state own;
};

static int sum_init(void *state, void *conf, const struct belt_instance *in, struct belt_error *err)
{
    (void)in;
    (void)err;
    ((struct sum_instance *)state)->conf = conf;
    return 0;
}

/* Up to 1,024 messages a call. */
static uint32_t sum_frame(void *state, struct belt_view *view)
{
    struct sum_instance *sum = state;
    BELT_EACH (view, i) {
        sum->own.tenths += belt_number(view, sum->conf->column, i);
        sum->own.rows++;
    }
    return view->end;
}

static void sum_fini(void *state, void *conf)
{
    const struct sum_instance *sum = state;
    (void)conf;
    pthread_mutex_lock(&total_lock);
    total.tenths += sum->own.tenths;
    total.rows += sum->own.rows;
    pthread_mutex_unlock(&total_lock);
}

static const struct belt_step sum_step = {
    .part = { .abi = BELT_ABI,
              .kind = BELT_STEP,
              .name = "sum",
              .help = "adds up a field",
              .settings = sum_settings,
              .conf_size = sizeof(struct sum_conf),
              .state_size = sizeof(struct sum_instance),
              .prepare = sum_prepare,
              .init = sum_init,
              .fini = sum_fini },
    .frame = sum_frame,
};

/* ---- the program --------------------------------------------------------------- */

static int run(struct belt_pipeline *p, const char *path, struct belt_error *err)
{
    int rc = belt_pipeline_add(p, &sum_step.part, err);
    if (rc == 0)
        rc = belt_pipeline_load_text(p, yaml, "sum.c", err);
    if (rc == 0)
        rc = belt_pipeline_set(p, "source.file.paths", path, err);
    if (rc == 0)
        rc = belt_pipeline_start(p, err);
    return rc < 0 ? rc : belt_pipeline_wait(p, BELT_FOREVER, err);
}

int main(int argc, char **argv)
{
    struct belt_error err;
    struct belt_pipeline *p;
    if (argc != 2) {
        fprintf(stderr, "usage: sum FILE\n");
        return 2;
    }
    int rc = belt_pipeline_new(&p, &err);
    if (rc == 0) {
        rc = run(p, argv[1], &err);
        belt_pipeline_free(p);
    }
    if (rc < 0) {
        fprintf(stderr, "sum: %s\n", err.text);
        return 1;
    }
    int64_t tenths = total.tenths < 0 ? -total.tenths : total.tenths;
    printf("%" PRId64 " rows, sum %s%" PRId64 ".%" PRId64 "\n", total.rows,
           total.tenths < 0 ? "-" : "", tenths / 10, tenths % 10);
    return 0;
}
