/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "holdfast/error.h"
#include "tree/overlay.h"

/**
 * Steps to the run that takes longest to find. The mean depth of a treap of n runs is some 1.4 log2 n and the
 * deepest run of 100,000 is at about 40; twice that never happens, and a list would need 100,000.
 */
#define STEPS_MAX 80

static size_t depth(const struct run *run)
{
    size_t left, right;

    if (!run)
        return 0;
    left = depth(run->left);
    right = depth(run->right);
    return 1 + (left > right ? left : right);
}

static void assert_sound(const struct overlay *overlay, size_t count, size_t bytes)
{
    uint64_t end = 0;
    size_t runs = 0, sum = 0;

    for (const struct run *run = overlay->first; run; run = run->next) {
        assert_true(run == overlay->first || run->start >= end);
        assert_ptr_equal(overlay_find(overlay, run->start), run);
        assert_ptr_equal(overlay_find(overlay, run_end(run) - 1), run);
        end = run_end(run);
        sum += run->bytes.len;
        runs++;
    }
    assert_int_equal(runs, count);
    assert_int_equal(overlay->count, count);
    assert_int_equal(sum, bytes);
    assert_int_equal(overlay->bytes, bytes);
}

/** Writes 16 bytes in every `multiplier`-th of n blocks, round and round. */
static void write_runs(struct overlay *overlay, uint64_t n, uint64_t multiplier)
{
    static const uint8_t bytes[16] = "sixteen bytes..";

    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(overlay_write(overlay, i * multiplier % n * 8192, bytes, sizeof bytes),
                         HF_OK);
}

static void any_order_of_writes_is_found_in_few_steps(void **state)
{
    /* Ascending, descending, and scattered. */
    static const uint64_t multipliers[] = {1, 99999, 7919};

    (void)state;
    for (size_t i = 0; i < sizeof multipliers / sizeof multipliers[0]; i++) {
        struct overlay overlay = {0};

        write_runs(&overlay, 100000, multipliers[i]);
        assert_sound(&overlay, 100000, 1600000);
        assert_in_range(depth(overlay.root), 1, STEPS_MAX);
        overlay_clear(&overlay);
    }
}

static void forgotten_runs_leave_a_shallow_tree(void **state)
{
    struct overlay overlay = {0};

    (void)state;
    write_runs(&overlay, 100000, 1);
    for (uint64_t i = 0; i < 100000; i += 2)
        assert_int_equal(overlay_forget(&overlay, i * 8192, i * 8192 + 16), HF_OK);
    assert_sound(&overlay, 50000, 800000);
    assert_in_range(depth(overlay.root), 1, STEPS_MAX);
    overlay_clear(&overlay);
}

static void touching_writes_become_long_runs_but_not_too_long(void **state)
{
    static const uint8_t bytes[4096] = {1};

    (void)state;
    for (unsigned backward = 0; backward < 2; backward++) {
        struct overlay overlay = {0};

        for (uint64_t i = 0; i < 4096; i++)
            assert_int_equal(overlay_write(&overlay, (backward ? 4095 - i : i) * sizeof bytes,
                                           bytes, sizeof bytes),
                             HF_OK);
        assert_int_equal(overlay.bytes, 4096 * sizeof bytes);
        assert_in_range(overlay.count, 4096 * sizeof bytes / OVERLAY_RUN_MAX, 4096 / 8);
        for (const struct run *run = overlay.first; run; run = run->next)
            assert_in_range(run->bytes.len, 1, OVERLAY_RUN_MAX);
        overlay_clear(&overlay);
    }
}

static void forgetting_within_a_run_splits_it(void **state)
{
    struct overlay overlay = {0};
    static const uint8_t bytes[1000] = {1};

    (void)state;
    assert_int_equal(overlay_write(&overlay, 100, bytes, sizeof bytes), HF_OK);
    assert_int_equal(overlay_forget(&overlay, 300, 400), HF_OK);
    assert_sound(&overlay, 2, 900);
    assert_int_equal(overlay_find(&overlay, 300)->start, 400);
    assert_int_equal(overlay_forget(&overlay, 0, 150), HF_OK);
    assert_sound(&overlay, 2, 850);
    assert_int_equal(overlay_find(&overlay, 0)->start, 150);
    assert_null(overlay_find(&overlay, 1100));
    overlay_clear(&overlay);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order_of_writes_is_found_in_few_steps),
        cmocka_unit_test(forgotten_runs_leave_a_shallow_tree),
        cmocka_unit_test(touching_writes_become_long_runs_but_not_too_long),
        cmocka_unit_test(forgetting_within_a_run_splits_it),
    };

    return cmocka_run_group_tests_name("overlay", tests, NULL, NULL);
}
