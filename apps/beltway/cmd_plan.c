/* plan: where a pipeline would run, and why. */
#include <errno.h>
#include <string.h>

#include "apps/beltway/app_priv.h"
#include "core/placement.h"

enum { KEY_JSON = 4000, KEY_EXPLAIN, KEY_PICTURE, KEY_SAVE };

struct plan {
    struct belt_app_settings settings;
    enum belt_plan_form form;
    const char *picture, *save;
};

static const struct argp_option options[] = {
    { NULL, 0, NULL, 0, "What it tells:", 3 },
    { "explain", KEY_EXPLAIN, NULL, 0, "say why everything is where it is", 3 },
    { "json", KEY_JSON, NULL, 0, "all of it as one JSON object", 3 },
    { "picture", KEY_PICTURE, "FILE.svg", 0, "draw the machine, the lanes on it, what flows", 3 },
    { "save", KEY_SAVE, "HOST.yaml", 0, "write settings that give this plan again: --with", 3 },
    { 0 },
};

static const struct argp_child children[] = { { &belt_app_settings_argp, 0, NULL, 0 }, { 0 } };

static error_t parse(int key, char *arg, struct argp_state *state)
{
    struct plan *plan = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->child_inputs[0] = &plan->settings; return 0;
    case KEY_JSON: plan->form = BELT_PLAN_JSON; return 0;
    case KEY_EXPLAIN: plan->form = BELT_PLAN_EXPLAIN; return 0;
    case KEY_PICTURE: plan->picture = arg; return 0;
    case KEY_SAVE: plan->save = arg; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp plan_argp = {
    .options = options,
    .parser = parse,
    .args_doc = "FILE",
    .doc = "Shows the stages of a pipeline, their lanes, CPUs and memory: on this machine, or "
           "with --topology on another one. docs/placement.md says how it is chosen.",
    .children = children,
};

/* "-" is stdout. */
static int write_form(struct belt_pipeline *p, enum belt_plan_form form, const char *path)
{
    struct belt_error err;
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");
    if (!out) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return BELT_APP_FAILED;
    }
    int rc = belt_pipeline_plan(p, form, out, &err);
    if (out != stdout && fclose(out) != 0 && rc >= 0)
        rc = belt_error_set(&err, -errno, "%s: %s", path, strerror(errno));
    return rc < 0 ? belt_app_error(&err) : BELT_APP_OK;
}

static int write_all(struct belt_pipeline *p, const struct plan *plan)
{
    const struct {
        enum belt_plan_form form;
        const char *path;
    } wanted[] = {
        { plan->form, "-" },
        { BELT_PLAN_PICTURE, plan->picture },
        { BELT_PLAN_OVERLAY, plan->save },
    };
    struct belt_error err;
    /* What is refused leaves no file behind. */
    if (belt_pipeline_validate(p, &err) < 0)
        return belt_app_error(&err);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) {
        int code = wanted[i].path ? write_form(p, wanted[i].form, wanted[i].path) : BELT_APP_OK;
        if (code)
            return code;
    }
    return BELT_APP_OK;
}

int belt_app_plan(int argc, char **argv)
{
    struct plan plan = { .form = BELT_PLAN_TABLE };
    int code = belt_app_settings_new(&plan.settings, argc);
    if (code)
        return code;
    belt_app_parse(&plan_argp, argc, argv, &plan);
    struct belt_pipeline *p = belt_app_open(&plan.settings, &code);
    if (p) {
        code = write_all(p, &plan);
        belt_pipeline_free(p);
    }
    belt_app_settings_free(&plan.settings);
    return code;
}
