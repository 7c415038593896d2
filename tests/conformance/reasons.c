/* Crash reasons: B111 to B114. What a message that failed says about why. */
#include "tests/conformance/conformance.h"

static void expect_reason(const struct belt_step *step, const char *word, const char *reason)
{
    char words[64];
    snprintf(words, sizeof words, "words: 'a,%s,b'", word);
    struct belt_pipeline *p = workers_with(step, words, "max_attempts: 2, steps: [ poison: {} ]");
    expect_run(p);
    expect_totals(p, 2, 1);
    expect_failure(p, reason);
    belt_pipeline_free(p);
}

/* A callback's own words, not its stack. */
Test(conformance, B111_exception, .timeout = 20)
{
    expect_reason(&poison, "fail", "as told");
}

Test(conformance, B112_exit, .timeout = 20)
{
    expect_reason(&poison, "exit", "2 workers died under it, the last: left with exit code 3");
}

/* What nobody catches ends the process: by abort. */
Test(conformance, B113_throw, .timeout = 20)
{
    expect_reason(&poison, "abort", "2 workers died under it, the last: killed by SIGABRT");
}

/* An error of the machine is said by the name of its signal. */
Test(conformance, B114_erlang_error, .timeout = 20)
{
    expect_reason(&poison, "segv", "2 workers died under it, the last: killed by SIGSEGV");
}
