/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/htable.h"
#include "holdfast/error.h"

struct element {
    struct hnode node;
    int value;
};

static struct element *find(const struct htable *table, uint64_t hash, int value)
{
    for (struct hnode *node = htable_find(table, hash); node; node = htable_next(node)) {
        struct element *element = HTABLE_ENTRY(node, struct element, node);

        if (element->value == value)
            return element;
    }
    return NULL;
}

static void free_element(struct hnode *node, void *arg)
{
    ++*(size_t *)arg;
    free(HTABLE_ENTRY(node, struct element, node));
}

static void insert(struct htable *table, uint64_t hash, int value)
{
    struct element *element = malloc(sizeof *element);

    element->value = value;
    assert_int_equal(htable_insert(table, &element->node, hash), HF_OK);
}

static void an_empty_table_holds_nothing(void **state)
{
    struct htable table = {0};
    size_t freed = 0;

    (void)state;
    assert_null(htable_find(&table, 0));
    htable_each(&table, free_element, &freed);
    assert_int_equal(freed, 0);
    htable_free(&table);
}

/* Hashes are few, so that many elements share one and others only share a bucket. */
static void elements_are_found_until_they_are_removed(void **state)
{
    struct htable table = {0};
    const int n = 5000;
    size_t freed = 0;

    (void)state;
    for (int i = 0; i < n; i++)
        insert(&table, (uint64_t)(i % 700) << 7, i);
    assert_int_equal(table.count, n);
    for (int i = 0; i < n; i += 3) {
        struct element *element = find(&table, (uint64_t)(i % 700) << 7, i);

        assert_non_null(element);
        htable_remove(&table, &element->node);
        free(element);
    }
    for (int i = 0; i < n; i++) {
        const uint64_t hash = (uint64_t)(i % 700) << 7;

        if (i % 3 == 0)
            assert_null(find(&table, hash, i));
        else
            assert_non_null(find(&table, hash, i));
        assert_null(find(&table, hash + 1, i));
    }
    htable_each(&table, free_element, &freed);
    assert_int_equal(freed, n - (n + 2) / 3);
    htable_free(&table);
}

static void mixed_integers_differ(void **state)
{
    (void)state;
    assert_int_equal(htable_hash_u64(0), 0);
    /* A bijection: no two of a run are equal, and the low bits of neighbours are not in a row. */
    for (uint64_t i = 1; i < 1000; i++)
        assert_int_not_equal(htable_hash_u64(i), htable_hash_u64(i - 1) + 1);
    /* Computed from the published constants of MurmurHash3's finalizer. */
    assert_int_equal(htable_hash_u64(1), 0xb456bcfc34c2cb2c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_table_holds_nothing),
        cmocka_unit_test(elements_are_found_until_they_are_removed),
        cmocka_unit_test(mixed_integers_differ),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
