/* Tickets of one source: issued, settled, freed in order. */
#include <criterion/criterion.h>
#include <string.h>

#include "core/ledger_priv.h"

#define WORDS 8

static uint64_t done[WORDS], failed[WORDS];

static struct belt_ledger ledger_new(void)
{
    memset(done, 0, sizeof done);
    memset(failed, 0, sizeof failed);
    return (
        struct belt_ledger){ .done = done, .failed = failed, .words = WORDS, .mask = WORDS - 1 };
}

static void note_word(void *ctx, uint64_t word, uint64_t good, uint64_t bad)
{
    (void)word;
    *(uint64_t *)ctx |= good | bad;
}

Test(ledger, keeps_a_word_that_is_still_owed)
{
    static uint64_t owed[WORDS];
    struct belt_ledger ledger = ledger_new();
    uint64_t told = 0;
    ledger.owed = owed;
    belt_ledger_issue(&ledger, 3);
    belt_ledger_tell(&ledger, true, note_word, &told);
    belt_ledger_settle(&ledger, 0, 7);
    cr_assert_eq(told, 0);
    cr_assert_eq(belt_ledger_free(&ledger), 0);
    belt_ledger_tell(&ledger, true, note_word, &told);
    cr_assert_eq(told, 7);
    cr_assert_eq(belt_ledger_free(&ledger), 1);
}

Test(ledger, begins_with_all_of_its_window_free)
{
    struct belt_ledger l = ledger_new();
    cr_assert_eq(belt_ledger_room(&l), WORDS);
    cr_assert_eq(belt_ledger_free(&l), 0);
    cr_assert_eq(belt_ledger_count(&l).unsettled, 0);
}

Test(ledger, issues_whole_words)
{
    struct belt_ledger l = ledger_new();
    cr_assert_eq(belt_ledger_issue(&l, 1), 0);
    cr_assert_eq(belt_ledger_issue(&l, 65), 1);
    cr_assert_eq(belt_ledger_issue(&l, 64), 3);
    cr_assert_eq(belt_ledger_room(&l), WORDS - 4);
}

Test(ledger, counts_messages_not_the_padding_of_their_words)
{
    struct belt_ledger l = ledger_new();
    belt_ledger_issue(&l, 3);
    belt_ledger_issue(&l, 65);
    cr_assert_eq(belt_ledger_count(&l).issued, 68);
    cr_assert_eq(belt_ledger_count(&l).unsettled, 68);
}

Test(ledger, issues_nothing_for_no_messages)
{
    struct belt_ledger l = ledger_new();
    cr_assert_eq(belt_ledger_issue(&l, 0), 0);
    cr_assert_eq(belt_ledger_issue(&l, 0), 0);
    cr_assert_eq(belt_ledger_room(&l), WORDS);
}

Test(ledger, frees_a_word_when_its_messages_are_settled)
{
    struct belt_ledger l = ledger_new();
    uint64_t word = belt_ledger_issue(&l, 2);
    belt_ledger_settle(&l, word, 1);
    cr_assert_eq(belt_ledger_free(&l), 0);
    belt_ledger_settle(&l, word, 2);
    cr_assert_eq(belt_ledger_free(&l), 1);
    cr_assert_eq(belt_ledger_room(&l), WORDS);
}

Test(ledger, frees_in_order_only)
{
    struct belt_ledger l = ledger_new();
    uint64_t first = belt_ledger_issue(&l, 64), second = belt_ledger_issue(&l, 64);
    belt_ledger_settle(&l, second, UINT64_MAX);
    cr_assert_eq(belt_ledger_free(&l), 0);
    belt_ledger_settle(&l, first, UINT64_MAX);
    cr_assert_eq(belt_ledger_free(&l), 2);
}

Test(ledger, settles_twice_as_once)
{
    struct belt_ledger l = ledger_new();
    uint64_t word = belt_ledger_issue(&l, 64);
    belt_ledger_settle(&l, word, 5);
    belt_ledger_settle(&l, word, 7);
    cr_assert_eq(belt_ledger_count(&l).unsettled, 61);
}

Test(ledger, counts_a_message_that_failed_twice_once)
{
    struct belt_ledger l = ledger_new();
    uint64_t word = belt_ledger_issue(&l, 64);
    belt_ledger_fail(&l, word, 1);
    belt_ledger_fail(&l, word, 3);
    cr_assert_eq(belt_ledger_count(&l).failed, 2);
    cr_assert_eq(belt_ledger_count(&l).unsettled, 62);
}

Test(ledger, remembers_failures_of_freed_words)
{
    struct belt_ledger l = ledger_new();
    uint64_t word = belt_ledger_issue(&l, 2);
    belt_ledger_fail(&l, word, 1);
    belt_ledger_settle(&l, word, 2);
    cr_assert_eq(belt_ledger_free(&l), 1);
    cr_assert_eq(belt_ledger_count(&l).failed, 1);
    word = belt_ledger_issue(&l, 1);
    belt_ledger_fail(&l, word, 1);
    cr_assert_eq(belt_ledger_count(&l).failed, 2);
}

Test(ledger, has_no_room_with_its_window_unsettled)
{
    struct belt_ledger l = ledger_new();
    uint64_t first = belt_ledger_issue(&l, WORDS * 64);
    cr_assert_eq(belt_ledger_room(&l), 0);
    belt_ledger_settle(&l, first, UINT64_MAX);
    cr_assert_eq(belt_ledger_free(&l), 1);
    cr_assert_eq(belt_ledger_room(&l), 1);
}

Test(ledger, goes_round_its_window_with_rising_words)
{
    struct belt_ledger l = ledger_new();
    for (uint64_t round = 0; round < 100; round++) {
        uint64_t word = belt_ledger_issue(&l, 130);
        cr_assert_eq(word, round * 3);
        cr_assert_eq(belt_ledger_count(&l).unsettled, 130, "round %d", (int)round);
        belt_ledger_fail(&l, word, 1);
        belt_ledger_settle(&l, word, UINT64_MAX);
        belt_ledger_settle(&l, word + 1, UINT64_MAX);
        belt_ledger_settle(&l, word + 2, 3);
        cr_assert_eq(belt_ledger_free(&l), 3);
    }
    cr_assert_eq(belt_ledger_count(&l).issued, 13000);
    cr_assert_eq(belt_ledger_count(&l).failed, 100);
    cr_assert_eq(belt_ledger_count(&l).unsettled, 0);
}
