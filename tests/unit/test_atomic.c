/* What changes a word in one step gives back what was there. */
#include <criterion/criterion.h>

#include "rings/atomic.h"

Test(atomic, adding_and_bits_give_back_what_was_there)
{
    uint64_t word = 40;
    cr_assert_eq(belt_fetch_add(&word, 2), 40);
    cr_assert_eq(belt_fetch_add_relaxed(&word, 1), 42);
    cr_assert_eq(belt_fetch_or(&word, 0x40), 43);
    cr_assert_eq(belt_fetch_and(&word, 0x41), 0x6b);
    cr_assert_eq(belt_exchange(&word, 7), 0x41);
    cr_assert_eq(word, 7);
}

Test(atomic, adding_goes_round_after_64_bits)
{
    uint64_t word = UINT64_MAX;
    cr_assert_eq(belt_fetch_add(&word, 3), UINT64_MAX);
    cr_assert_eq(word, 2);
}

Test(atomic, words_of_32_bits_do_the_same)
{
    uint32_t word = UINT32_MAX;
    cr_assert_eq(belt_fetch_add32(&word, 3), UINT32_MAX);
    cr_assert_eq(belt_fetch_or32(&word, 8), 2);
    cr_assert_eq(belt_exchange32(&word, 7), 10);
    cr_assert_eq(word, 7);
}

Test(atomic, swapping_changes_nothing_but_what_was_expected)
{
    uint64_t word = 1, expected = 2;
    cr_assert_not(belt_cas(&word, &expected, 3));
    cr_assert_eq(expected, 1);
    cr_assert_eq(word, 1);
    cr_assert(belt_cas(&word, &expected, 3));
    cr_assert_eq(word, 3);
}

Test(atomic, swapping_32_bits_does_the_same)
{
    uint32_t word = 1, expected = 2;
    cr_assert_not(belt_cas32(&word, &expected, 3));
    cr_assert_eq(expected, 1);
    cr_assert_eq(word, 1);
    cr_assert(belt_cas32(&word, &expected, 3));
    cr_assert_eq(word, 3);
}

Test(atomic, a_byte_is_stored_alone)
{
    uint8_t bytes[3] = { 1, 2, 3 };
    belt_store_relaxed8(&bytes[1], 9);
    cr_assert_eq(bytes[0], 1);
    cr_assert_eq(bytes[1], 9);
    cr_assert_eq(bytes[2], 3);
}
