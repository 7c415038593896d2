/* beltway: the verbs and what they have in common. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "apps/beltway/app_priv.h"

#define VERB(name, help) { #name, help, belt_app_##name },
const struct belt_app_verb belt_app_verbs[] = {
#include "apps/beltway/verbs.def"
    { NULL, NULL, NULL },
};
#undef VERB

#define VERBS (sizeof belt_app_verbs / sizeof *belt_app_verbs - 1)

const struct belt_app_verb *belt_app_verb(const char *name)
{
    for (const struct belt_app_verb *verb = belt_app_verbs; verb->name; verb++)
        if (strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

int belt_app_unknown(const char *what, const char *mark, const char *word, const char *const *names,
                     size_t count)
{
    const char *near = belt_nearest(word, names, count);
    fprintf(stderr, "beltway: no %s '%s%s'", what, mark, word);
    if (near)
        fprintf(stderr, "; did you mean '%s%s'?\n", mark, near);
    else
        fputs("; 'beltway help' shows what there is\n", stderr);
    return BELT_APP_USAGE;
}

int belt_app_error(const struct belt_error *err)
{
    fprintf(stderr, "%s\n", err->text);
    return err->config ? BELT_APP_CONFIG : BELT_APP_FAILED;
}

static int unknown_verb(const char *word)
{
    const char *names[VERBS];
    for (size_t i = 0; i < VERBS; i++)
        names[i] = belt_app_verbs[i].name;
    return belt_app_unknown("verb", "", word, names, VERBS);
}

/* What was printed counts only once it is out. */
static int flush_stdout(int code)
{
    errno = 0;
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (errno == EPIPE)
        return BELT_APP_PIPE;
    fprintf(stderr, "beltway: stdout: %s\n", strerror(errno));
    return code ? code : BELT_APP_FAILED;
}

static int dispatch(int argc, char **argv)
{
    static char title[64];
    const char *word = argc > 1 ? argv[1] : "help";
    if (strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0) {
        puts("beltway " BELT_VERSION);
        return BELT_APP_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0)
        word = "help";
    const struct belt_app_verb *verb = belt_app_verb(word);
    if (!verb)
        return unknown_verb(word);
    snprintf(title, sizeof title, "beltway %s", verb->name);
    if (argc < 2)
        return verb->main(1, (char *[]){ title, NULL });
    argv[1] = title;
    return verb->main(argc - 1, argv + 1);
}

/* A standard stream that was closed gives its number to the next file that is opened: messages
 * would be written into it. What stands there instead fails as a closed one does. */
static void hold_streams(void)
{
    static const int cannot[] = { O_WRONLY, O_RDONLY, O_RDONLY };
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            open("/dev/null", cannot[fd] | O_CLOEXEC); /* the lowest number is free: this one */
}

/* All files of a source are open at once. */
static void allow_many_files(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

int main(int argc, char **argv)
{
    argp_err_exit_status = BELT_APP_USAGE;
    /* A reader that went away is told by EPIPE, and ends the run in order. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file at its limit (ulimit -f): its batch fails with that */
    hold_streams();
    allow_many_files();
    int code = dispatch(argc, argv);
    if (argc < 2 && code == BELT_APP_OK)
        code = BELT_APP_USAGE;
    return flush_stdout(code);
}
