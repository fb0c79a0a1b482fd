/* SPDX-License-Identifier: Apache-2.0 */
/* Repair of a store from another one that has the same objects. */
#include "store/repair.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "contract.h"
#include "engine/memory/memory.h"
#include "engine/open.h"

static struct store *new_store(void)
{
    struct store *store;

    assert_int_equal(store_open("memory:", STORE_CREATE, NULL, NULL, &store, NULL), HF_OK);
    return store;
}

static void put(struct store *store, const struct scene *scene)
{
    assert_int_equal(store_put(store, 0, scene->objects, scene->n, NULL), HF_OK);
}

static struct object_id make_tree(struct scene *scene)
{
    static uint8_t data[9000];
    const struct scene_node leaf[] = {{.name = "file", .data = data, .len = sizeof data}};
    const struct scene_node below[] = {
        {.name = "deeper", .directory = true, .children = leaf, .nchildren = 1}};
    const struct scene_node top[] = {
        {.name = "deep", .directory = true, .children = below, .nchildren = 1}};

    scene_fill(5, data, sizeof data);
    return scene_root(scene, top, 1);
}

/* A check names what it meets; what is missing below that it cannot see. */
static void a_subtree_that_is_missing_comes_back_from_below(void **state)
{
    struct store *store = new_store(), *good = new_store();
    struct check_finding finding = {.what = "object", .status = HF_MISSING, .has_object = true};
    struct repair_list list = {0};
    struct repair_totals totals = {0};
    struct scene scene;
    size_t n;

    (void)state;
    scene_init(&scene, store);
    finding.object = make_tree(&scene);
    n = scene.n;
    assert_true(n >= 2);
    put(store, &scene);
    put(good, &scene);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(memory_store_lose_object(store, &scene.objects[i].id), HF_OK);
    assert_int_equal(repair_note(&list, &finding), HF_OK);
    assert_int_equal(repair_run(store, good, &list, false, &totals, NULL), HF_OK);
    assert_int_equal(totals.mended, n);
    assert_int_equal(totals.unmended + totals.taken_out, 0);
    contract_assert_sound(store);
    for (size_t i = 0; i < n; i++) {
        bool missing = true;

        assert_int_equal(store_missing(store, 0, &scene.objects[i].id, 1, &missing, NULL), HF_OK);
        assert_false(missing);
    }
    repair_list_free(&list);
    scene_clear(&scene);
    store_close(good);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_subtree_that_is_missing_comes_back_from_below),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
