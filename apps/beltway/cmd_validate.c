/* validate: what can be said of a pipeline without running it. */
#include "apps/beltway/app_priv.h"

static const struct argp_child children[] = { { &belt_app_settings_argp, 0, NULL, 0 }, { 0 } };

static error_t parse(int key, char *arg, struct argp_state *state)
{
    (void)arg;
    if (key != ARGP_KEY_INIT)
        return ARGP_ERR_UNKNOWN;
    state->child_inputs[0] = state->input;
    return 0;
}

static const struct argp validate_argp = {
    .parser = parse,
    .args_doc = "FILE",
    .doc = "Checks a pipeline as far as that is possible without opening anything.",
    .children = children,
};

int belt_app_validate(int argc, char **argv)
{
    struct belt_app_settings settings;
    struct belt_error err;
    int code = belt_app_settings_new(&settings, argc);
    if (code)
        return code;
    belt_app_parse(&validate_argp, argc, argv, &settings);
    struct belt_pipeline *p = belt_app_open(&settings, &code);
    if (p) {
        code = belt_pipeline_validate(p, &err) < 0 ? belt_app_error(&err) : BELT_APP_OK;
        belt_pipeline_free(p);
    }
    if (code == BELT_APP_OK)
        fprintf(stderr, "%s: valid\n", settings.file);
    belt_app_settings_free(&settings);
    return code;
}
