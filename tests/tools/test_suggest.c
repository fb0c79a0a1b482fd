/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "suggest.h"

static void distance_counts_single_slips(void **state)
{
    (void)state;
    assert_int_equal(suggest_distance("mount", "mount"), 0);
    assert_int_equal(suggest_distance("muont", "mount"), 1);
    assert_int_equal(suggest_distance("mont", "mount"), 1);
    assert_int_equal(suggest_distance("mouunt", "mount"), 1);
    assert_int_equal(suggest_distance("count", "mount"), 1);
    assert_int_equal(suggest_distance("", "mount"), 5);
    assert_int_equal(suggest_distance("abc", ""), 3);
}

static void words_of_any_length_are_compared(void **state)
{
    char long_word[300];

    (void)state;
    for (size_t i = 0; i < sizeof long_word - 1; i++)
        long_word[i] = 'a';
    long_word[sizeof long_word - 1] = '\0';
    assert_int_equal(suggest_distance(long_word, "a"), 62);
}

static void the_closest_word_is_kept(void **state)
{
    struct suggestion suggestion = {0};

    (void)state;
    suggest_offer(&suggestion, "umont", "mount");
    suggest_offer(&suggestion, "umont", "umount");
    suggest_offer(&suggestion, "umont", "stats");
    assert_string_equal(suggestion.word, "umount");
}

static void a_far_word_is_not_offered(void **state)
{
    struct suggestion suggestion = {0};

    (void)state;
    suggest_offer(&suggestion, "frobnicate", "mount");
    suggest_offer(&suggestion, "x", "fsck");
    assert_null(suggestion.word);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(distance_counts_single_slips),
        cmocka_unit_test(words_of_any_length_are_compared),
        cmocka_unit_test(the_closest_word_is_kept),
        cmocka_unit_test(a_far_word_is_not_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
