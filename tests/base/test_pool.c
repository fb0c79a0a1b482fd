/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/pool.h"

#define THINGS 3000
#define ROUNDS 200000

static size_t size_of(unsigned n)
{
    return 1 + n * 37 % 900 + (n % 97 == 0 ? 8000 : 0);
}

static bool holds(const uint8_t *memory, size_t size, uint8_t byte)
{
    for (size_t i = 0; i < size; i++)
        if (memory[i] != byte)
            return false;
    return true;
}

/** Things of all sizes come and go in a random order, and none touches another. */
static void *churn(void *arg)
{
    uint64_t seed = (uintptr_t)arg;
    uint8_t *things[THINGS] = {0};

    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned n;

        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        n = (unsigned)(seed >> 33) % THINGS;
        if (things[n]) {
            if (!holds(things[n], size_of(n), (uint8_t)n))
                return arg;
            pool_free(things[n], size_of(n));
            things[n] = NULL;
            continue;
        }
        things[n] = pool_alloc(size_of(n));
        if (!things[n] || (uintptr_t)things[n] % _Alignof(max_align_t) != 0 ||
            !holds(things[n], size_of(n), 0))
            return arg;
        memset(things[n], (uint8_t)n, size_of(n));
    }
    for (unsigned n = 0; n < THINGS; n++)
        pool_free(things[n], size_of(n));
    return NULL;
}

static void things_do_not_touch_each_other(void **state)
{
    pthread_t threads[2];
    void *failed;

    (void)state;
    for (uintptr_t i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, churn, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
}

static void strings_are_copied(void **state)
{
    char text[] = "a name", *copy = pool_string(text);

    (void)state;
    assert_non_null(copy);
    text[0] = 'x';
    assert_string_equal(copy, "a name");
    pool_free_string(copy);
    pool_free_string(NULL);
    pool_free(NULL, 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(things_do_not_touch_each_other),
        cmocka_unit_test(strings_are_copied),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
