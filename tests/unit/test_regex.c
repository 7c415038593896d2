/* Regular expressions, through the step `keep`: what they mean, and what bounds them. */
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "steps/regex_priv.h"
#include "tests/unit/view_fixture.h"

static struct chain *chain_of(const char *step, const char *text, size_t size)
{
    char steps[2000];
    snprintf(steps, sizeof steps, "- keep: { payload: %s }", step);
    struct chain *c = chain_new(steps);
    chain_load(c, text, size, 0);
    cr_assert_eq(chain_step(c, 0), c->engine.view.end);
    return c;
}

/* Which of the lines a condition leaves: + kept, - dropped, ! failed. */
static const char *fates(const char *condition, const char *text, size_t size)
{
    static char out[BELT_FRAME + 1];
    struct chain *c = chain_of(condition, text, size);
    snprintf(out, sizeof out, "%s", chain_fates(c));
    chain_free(c);
    return out;
}

#define FATES(condition, text) fates(condition, text, sizeof text - 1)

Test(regex, matches_anywhere_unless_anchored)
{
    const char text[] = "an error\nerror\nan Error: 5\n\nerrors";
    cr_expect_str_eq(FATES("{ matches: error }", text), "++--+");
    cr_expect_str_eq(FATES("{ matches: '^error$' }", text), "-+---");
    cr_expect_str_eq(FATES("{ matches: 'error\\b' }", text), "++---");
    cr_expect_str_eq(FATES("{ matches: '^$' }", text), "---+-");
    cr_expect_str_eq(FATES("{ matches: [':\\s\\d', '^error'] }", text), "-++-+");
    cr_expect_str_eq(FATES("{ matches: ERROR, ignore_case: true }", text), "+++-+");
    cr_expect_str_eq(FATES("{ matches: '(*NO_JIT)error$' }", text), "++---");
}

Test(regex, an_empty_alternative_matches_everything)
{
    cr_expect_str_eq(FATES("{ matches: 'x|' }", "a\n\nx"), "+++");
    cr_expect_str_eq(FATES("{ matches: '' }", "a\n\nx"), "+++");
}

Test(regex, nul_bytes_are_bytes)
{
    const char text[] = "a\0b\nab\na\0\0b";
    cr_expect_str_eq(FATES("{ matches: '^a\\x00b' }", text), "+--");
    cr_expect_str_eq(FATES("{ matches: 'b$' }", text), "+++");
}

Test(regex, utf_decides_what_a_character_is)
{
    const char text[] = "\xc3\xa4\nab\n\xc3\xa4\xff\n\xff";
    cr_expect_str_eq(FATES("{ matches: '^.$' }", text), "---+");
    cr_expect_str_eq(FATES("{ matches: '^.$', utf: fail }", text), "+-!!");
    cr_expect_str_eq(FATES("{ matches: '^.$', utf: keep }", text), "+---");
    cr_expect_str_eq(FATES("{ matches: '\xc3\x84', ignore_case: true, utf: keep }", text), "+-+-");
    cr_expect_str_eq(FATES("{ is: '\xc3\x84', ignore_case: true, utf: fail }", text), "+-!!");
    cr_expect_str_eq(FATES("{ is: '\xc3\x84', ignore_case: true }", text), "----");
}

Test(regex, says_where_a_text_is_no_utf8)
{
    const char text[] = "ab\xff";
    struct chain *c = chain_of("{ matches: a, utf: fail }", text, sizeof text - 1);
    cr_expect_str_eq(chain_reason(c, 0),
                     "payload: no UTF-8 at its byte 2, for the pattern at p.yaml:2:31");
    chain_free(c);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A failed message is neither kept nor dropped, whatever stands around the pattern. */
static void gives_up(const char *condition, const char *reason)
{
    char text[200];
    sprintf(text, "aaa\n%0100d\nb", 0);
    for (char *at = text + 4; *at == '0'; at++)
        *at = 'a';
    text[103] = '!';
    double begin = seconds();
    struct chain *c = chain_of(condition, text, strlen(text));
    cr_expect_lt(seconds() - begin, 5, "%s", condition);
    cr_expect_eq(chain_fates(c)[1], '!', "%s: %s", condition, chain_fates(c));
    cr_expect_eq(strncmp(chain_reason(c, 1), reason, strlen(reason)), 0, "%s", chain_reason(c, 1));
    chain_free(c);
}

Test(regex, gives_up_instead_of_going_back_without_end)
{
    const char reason[] = "payload: the pattern at p.yaml:2:31 gave up after 100000 steps back";
    gives_up("{ matches: '^(a+)+$' }", reason);
    gives_up("{ matches: '(*NO_JIT)^(a+)+$' }", reason);
    gives_up("{ matches: '^(a|a)+$', limit: 1000 }",
             "payload: the pattern at p.yaml:2:31 gave up after 1000 steps back");
    gives_up("{ matches: ['^(a+)+$', 'b'] }", "payload: the pattern at p.yaml:2:32 gave up");
}

Test(regex, a_limit_leaves_others_alone)
{
    char text[200];
    sprintf(text, "aaa\n%0100d\nb", 0);
    for (char *at = text + 4; *at == '0'; at++)
        *at = 'a';
    text[103] = '!';
    cr_expect_str_eq(fates("{ matches: '^(a+)+$' }", text, strlen(text)), "+!-");
}

Test(regex, deep_recursion_fails_the_message)
{
    char *text = malloc(400000);
    memset(text, '(', 400000);
    struct chain *c = chain_of("{ matches: '^(\\((?1)?\\)?)$', limit: 4294967295 }", text, 400000);
    cr_expect_str_eq(chain_fates(c), "!");
    cr_expect(strstr(chain_reason(c, 0), "wants too much memory"), "%s", chain_reason(c, 0));
    chain_free(c);
    free(text);
}

Test(regex, groups_of_conditions_leave_failed_messages_out)
{
    char steps[500], text[200];
    static const char *const around[] = { "{ not: { payload: { matches: '^(a+)+$' } } }",
                                          "{ any: [{ payload: { matches: '^(a+)+$' } }, "
                                          "{ payload: { contains: a } }] }",
                                          "{ all: [{ not: { payload: { matches: '^(a+)+$' } } }, "
                                          "{ payload: { matches: '^(a+)+$' } }] }" };
    memset(text, 'a', sizeof text);
    text[199] = '!';
    for (size_t i = 0; i < 3; i++)
        for (int drop = 0; drop < 2; drop++) {
            snprintf(steps, sizeof steps, "- %s: %s", drop ? "drop" : "keep", around[i]);
            struct chain *c = chain_new(steps);
            chain_load(c, text, sizeof text, 0);
            chain_step(c, 0);
            cr_expect_str_eq(chain_fates(c), "!", "%s", steps);
            chain_free(c);
        }
}

/* What is said to be in every match of a pattern; (WHOLE) when it is all of it. */
static const char *literal(const char *pattern)
{
    static char out[200];
    char scratch[200];
    bool whole = false;
    size_t size = belt_regex_literal(pattern, out, scratch, &whole);
    if (size == 0)
        return "";
    if (whole)
        strcat(out, " (WHOLE)");
    return out;
}

Test(regex, finds_what_every_match_has_in_it)
{
    static const char *const patterns[][2] = {
        { "error", "error (WHOLE)" },
        { "a\\.b\\[c", "a.b[c (WHOLE)" },
        { "^error$", "error" },
        { "abc?de", "ab" },
        { "abc*def", "def" },
        { "abc+de", "abc" },
        { "abc{0,2}defg", "defg" },
        { "a.bcd.e", "bcd" },
        { "\"ms\":[5-9][0-9]{2},", "\"ms\":" },
        { "[]abc]xyz", "xyz" },
        { "[^]abc]xyz", "xyz" },
        { "[\\]abc]xyz", "xyz" },
        { "(abcdef)?xyz", "xyz" },
        { "(abcdef|x)yz", "yz" },
        { "(a\\)b|(c))yz", "yz" },
        { "(?:a[)]|b)yz", "yz" },
        { "(?<name>a)yz", "yz" },
        { "\\d+abc\\b", "abc" },
        { "\xc3\xa4?bc", "bc" },
        { "abc|def", "" },
        { "abc\\Qd?\\E", "" },
        { "(?i)abc", "" },
        { "(?x)a b c", "" },
        { "abc(?=d)", "" },
        { "(*COMMIT)abc", "" },
        { "([[:alpha:]])abc", "" },
        { "abc\\x41", "" },
        { "(\\w)abc\\1", "" },
        { "", "" },
    };
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        cr_expect_str_eq(literal(patterns[i][0]), patterns[i][1], "%s: %s", patterns[i][0],
                         literal(patterns[i][0]));
}

/* Random patterns on random texts: with and without a look for the literal. */
Test(regex, looking_for_the_literal_first_changes_nothing)
{
    static const char *const parts[] = { "abc", "bca",  "c",      "a?",      "b*",  "c+",
                                         ".",   "[ab]", "(ab|c)", "(?:bc)?", "\\w", "a{2}",
                                         "^",   "$",    "\\[",    "abca",    "A",   "[^]a]" };
    char text[20000] = "", pattern[200], condition[300], direct[BELT_FRAME + 1];
    srand(3);
    for (int i = 0; i < 700; i++) {
        for (int k = rand() % 12; k >= 0; k--)
            strncat(text, &"abcAB["[rand() % 6], 1);
        strcat(text, "\n");
    }
    for (int round = 0; round < 300; round++) {
        *pattern = 0;
        for (int k = rand() % 5; k >= 0; k--)
            strcat(pattern, parts[(size_t)rand() % (sizeof parts / sizeof *parts)]);
        const char *icase = round % 2 ? "true" : "false";
        /* An empty lookahead says nothing, but ends the search for a literal. */
        snprintf(condition, sizeof condition, "{ matches: '(?=)%s', ignore_case: %s }", pattern,
                 icase);
        strcpy(direct, fates(condition, text, strlen(text)));
        snprintf(condition, sizeof condition, "{ matches: '%s', ignore_case: %s }", pattern, icase);
        cr_assert_str_eq(fates(condition, text, strlen(text)), direct, "%s", condition);
    }
}

Test(regex_conf, refuses_bad_patterns_with_their_place)
{
    refused("- keep: { payload: { matches: 'a(b' } }",
            "p.yaml:2:31: bad pattern at its byte 3: missing closing parenthesis");
    refused("- keep: { payload: { matches: ['ok', '[z-a]'] } }",
            "p.yaml:2:38: bad pattern at its byte 3: range out of order in character class");
    refused("- keep: { payload: { matches: '(*UTF)a' } }",
            "p.yaml:2:31: bad pattern at its byte 6: using UTF is disabled by the application");
    refused("- keep: { payload: { matches: '((a{1,9999}){1,9999}){1,9999}' } }",
            "p.yaml:2:31: bad pattern at its byte 29: regular expression is too large");
    refused("- keep: { payload: { matches: 'a\\Cb' } }",
            "p.yaml:2:31: bad pattern at its byte 3: "
            "using \\C is disabled by the application");
}

/* No memory may be made executable: what seccomp or SELinux can say. */
static void refuse_code(void)
{
    const struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mmap, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_mprotect, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[2])),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, PROT_EXEC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = { sizeof code / sizeof *code, (struct sock_filter *)code };
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
    cr_assert_eq(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                 MAP_FAILED);
}

Test(regex, is_interpreted_where_no_code_may_be_made)
{
    refuse_code();
    cr_expect_str_eq(FATES("{ matches: 'err.r$' }", "error\nerrors\nno error"), "+-+");
    gives_up("{ matches: '^(a+)+$' }",
             "payload: the pattern at p.yaml:2:31 gave up after 100000 steps back");
}

/* Compiled before a sandbox is shut, used behind it: code is not made when matching. */
Test(regex, compiled_code_needs_no_new_memory)
{
    struct chain *c = chain_new("- keep: { payload: { matches: 'err.r$' } }");
    refuse_code();
    chain_run(c, "error\nerrors\nno error");
    cr_expect_str_eq(chain_fates(c), "+-+");
    chain_free(c);
}
