/* Batches in turn, that fail, or whose limits change. */
#include "tests/unit/batch_fixture.h"

/* ---- limits that change ---------------------------------------------------------- */

Test(batch, takes_new_limits_and_cuts_what_is_beyond_them)
{
    struct belt_batches *batches = made(&usual);
    struct belt_error err = { 0 };
    for (uint64_t i = 0; i < 3; i++)
        add(batches, "full", "row", i, 0);
    add(batches, "open", "row", 3, 0);
    cr_assert_eq(belt_batches_set_limits(batches, 2, 100, 50, &err), 0, "%s", err.text);
    cr_assert_eq(belt_batches_check(batches), 0);
    expect(belt_batches_full(batches), "full", "rowrowrow", 3, BELT_TRIGGER_SIZE);
    cr_assert_null(belt_batches_full(batches));
    cr_assert_eq(belt_batches_next_deadline(batches), 50);
    add(batches, "open", "row", 4, 0);
    expect(belt_batches_full(batches), "open", "rowrow", 2, BELT_TRIGGER_SIZE);
    belt_batches_free(batches);
}

Test(batch, keeps_its_limits_when_new_ones_do_not_fit_its_memory)
{
    struct belt_batches *batches = made(&usual);
    struct belt_error err = { 0 };
    cr_assert_eq(belt_batches_set_limits(batches, 2, 1 << 20, 50, &err), -EINVAL);
    cr_assert_eq(belt_batches_set_limits(batches, 0, 100, 50, &err), -EINVAL);
    for (uint64_t i = 0; i < 4; i++)
        add(batches, "k", "row", i, 0);
    expect(belt_batches_full(batches), "k", "rowrowrowrow", 4, BELT_TRIGGER_SIZE);
    belt_batches_free(batches);
}

/* ---- one of a key at a time -------------------------------------------------------- */

Test(batch, of_a_key_waits_for_the_one_before_when_taken_in_turn)
{
    struct belt_batches_conf conf = usual;
    conf.size = 1;
    conf.in_turn = true;
    struct belt_batches *batches = made(&conf);
    add(batches, "a", "1", 0, 0);
    add(batches, "a", "2", 1, 0);
    add(batches, "a", "3", 2, 0);
    add(batches, "b", "4", 3, 0);
    struct belt_open_batch *a = belt_batches_full(batches), *b = belt_batches_full(batches);
    expect(a, "a", "1", 1, BELT_TRIGGER_SIZE);
    expect(b, "b", "4", 1, BELT_TRIGGER_SIZE);
    cr_assert_null(belt_batches_full(batches));
    cr_assert_eq(belt_batches_count_open(batches), 2);
    cr_assert_eq(belt_batches_check(batches), 0);
    belt_batches_again(batches, a, 100);
    cr_assert_null(belt_batches_full(batches));
    cr_assert_null(belt_batches_retry(batches, 99));
    cr_assert_eq(belt_batches_retry(batches, 100), a);
    cr_assert_eq(a->batch.attempt, 2);
    belt_batches_give_back(batches, a);
    expect(belt_batches_full(batches), "a", "2", 1, BELT_TRIGGER_SIZE);
    cr_assert_null(belt_batches_full(batches));
    cr_assert_eq(belt_batches_check(batches), 0);
    belt_batches_free(batches);
}

/* ---- failures ---------------------------------------------------------------------- */

static void settled(void *ctx, uint64_t word, uint64_t mask)
{
    cr_assert_eq(word, WHERE);
    *(uint64_t *)ctx |= mask;
}

Test(batch, keeps_only_the_messages_that_failed)
{
    struct belt_batches *batches = made(&usual);
    add(batches, "k", "one", 5, 0);
    add(batches, "k", "two", 3, 0); /* tickets need not come in order */
    add(batches, "k", "three", 7, 0);
    add(batches, "k", "4", 6, 0);
    struct belt_open_batch *open = belt_batches_full(batches);
    uint64_t done = 0;
    belt_batch_fail(&open->batch, 3, "last");
    belt_batch_fail(&open->batch, 1, "second");
    belt_batch_fail(&open->batch, 1, "a later reason");
    belt_batch_fail(&open->batch, 4, "there is none");
    cr_assert_str_eq(belt_batch_reason(&open->batch, 0), "");
    belt_batch_keep_failed(open, settled, &done);
    cr_assert_eq(done, 1u << 5 | 1u << 7);
    expect(open, "k", "two4", 2, BELT_TRIGGER_SIZE);
    cr_assert_str_eq(belt_batch_reason(&open->batch, 0), "second");
    cr_assert_str_eq(belt_batch_reason(&open->batch, 1), "last");
    cr_assert_eq(belt_batches_check(batches), 0);
    cr_assert_eq(belt_batch_take_ticket(open).mask, 1u << 3);
    cr_assert_eq(belt_batch_take_ticket(open).mask, 1u << 6);
    cr_assert_eq(belt_batch_take_ticket(open).mask, 0);
    belt_batches_give_back(batches, open);
    cr_assert_eq(belt_batches_used(batches), 0);
    belt_batches_free(batches);
}

/* Nothing is left of the arena: who failed is known, and why, as far as that is one reason. */
Test(batch, fails_only_what_is_named_when_its_memory_is_used_up)
{
    struct belt_batches_conf conf = usual;
    conf.arena_bytes = 8192;
    conf.bytes = 0;
    struct belt_batches *batches = made(&conf);
    uint64_t done = 0;
    for (uint64_t i = 0; i < 3; i++)
        add(batches, "k", "row", i, 0);
    struct belt_open_batch *open = belt_batches_any(batches);
    while (belt_buddy_take(&batches->buddy, 1))
        ;
    belt_batch_fail(&open->batch, 1, "why");
    belt_batch_fail(&open->batch, 2, "another reason");
    cr_assert_eq(open->failed_count, 2);
    cr_assert_str_eq(belt_batch_reason(&open->batch, 0), "");
    cr_assert_str_eq(belt_batch_reason(&open->batch, 1), "why");
    cr_assert_not_null(strstr(belt_batch_reason(&open->batch, 2), "no room"));
    belt_batch_keep_failed(open, settled, &done);
    cr_assert_eq(done, 1);
    cr_assert_eq(belt_batches_check(batches), 0);
    belt_batches_give_back(batches, open);
    cr_assert_eq(batches->last_reasons_used, 0);
    belt_batches_free(batches);
}

Test(batch, fails_with_a_reason_as_a_whole_when_its_memory_is_used_up)
{
    struct belt_batches_conf conf = usual;
    conf.arena_bytes = 8192;
    conf.bytes = 0;
    struct belt_batches *batches = made(&conf);
    add(batches, "k", "row", 0, 0);
    struct belt_open_batch *open = belt_batches_any(batches);
    while (belt_buddy_take(&batches->buddy, 1))
        ;
    belt_batch_fail_rest(open, "all of it");
    cr_assert_str_eq(belt_batch_reason(&open->batch, 0), "all of it");
    belt_batches_free(batches);
}
