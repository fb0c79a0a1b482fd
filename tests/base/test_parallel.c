/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/parallel.h"
#include "base/thread.h"

#define ITEMS 5000
#define MUCH ((size_t)1 << 30)

struct counts {
    atomic_uint done[ITEMS];
    unsigned in_lane[PARALLEL_LANES]; /* not atomic: a lane is one thread's at a time */
    size_t bad;                       /* fails here */
};

static int count(void *arg, size_t i, unsigned lane)
{
    struct counts *counts = arg;

    assert_true(lane < PARALLEL_LANES);
    atomic_fetch_add(&counts->done[i], 1);
    counts->in_lane[lane]++;
    return i == counts->bad ? HF_CORRUPT : HF_OK;
}

static struct counts *counts_new(size_t bad)
{
    struct counts *counts = calloc(1, sizeof *counts);

    assert_non_null(counts);
    counts->bad = bad;
    return counts;
}

static void assert_each_once(size_t bytes)
{
    struct counts *counts = counts_new(SIZE_MAX);
    unsigned total = 0;

    assert_int_equal(parallel_each(ITEMS, bytes, count, counts), HF_OK);
    for (size_t i = 0; i < ITEMS; i++)
        assert_int_equal(counts->done[i], 1);
    for (int lane = 0; lane < PARALLEL_LANES; lane++)
        total += counts->in_lane[lane];
    assert_int_equal(total, ITEMS);
    free(counts);
}

static void each_item_is_done_once(void **state)
{
    (void)state;
    assert_int_equal(parallel_each(0, 0, count, NULL), HF_OK);
    for (int round = 0; round < 100; round++)
        assert_each_once(MUCH);
}

static void little_is_done_by_the_caller(void **state)
{
    struct counts *counts = counts_new(SIZE_MAX);

    (void)state;
    assert_int_equal(parallel_each(ITEMS, 1, count, counts), HF_OK);
    assert_int_equal(counts->in_lane[0], ITEMS);
    free(counts);
}

static void a_failure_ends_it(void **state)
{
    struct counts *counts = counts_new(100);
    size_t done = 0;

    (void)state;
    assert_int_equal(parallel_each(ITEMS, 1, count, counts), HF_CORRUPT);
    for (size_t i = 0; i < ITEMS; i++)
        done += counts->done[i];
    assert_int_equal(done, 101);
    assert_int_equal(parallel_each(ITEMS, MUCH, count, counts), HF_CORRUPT);
    free(counts);
}

static void *caller(void *arg)
{
    for (int round = 0; round < 50; round++)
        assert_each_once(MUCH);
    return arg;
}

static void several_callers_get_along(void **state)
{
    pthread_t threads[6];

    (void)state;
    for (int i = 0; i < 6; i++)
        assert_int_equal(thread_start(&threads[i], caller, NULL, NULL), HF_OK);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_item_is_done_once),
        cmocka_unit_test(little_is_done_by_the_caller),
        cmocka_unit_test(a_failure_ends_it),
        cmocka_unit_test(several_callers_get_along),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
