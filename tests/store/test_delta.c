/* SPDX-License-Identifier: Apache-2.0 */
/** What is gathered for somebody who goes on from one root to another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "engine/open.h"
#include "scene.h"
#include "store/delta.h"

#define CHUNK ((size_t)16384) /* as a scene cuts */
#define PLENTY (1u << 20)

static struct store *store;
static struct scene scene;
static struct delta delta;

static int setup(void **state)
{
    (void)state;
    if (store_open("memory:", STORE_CREATE, NULL, &clock_system, &store, NULL) != HF_OK)
        return -1;
    scene_init(&scene, store);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    delta_free(&delta);
    scene_clear(&scene);
    store_close(store);
    return 0;
}

/** A root over "a" and "b" of these many bytes; the last byte of "b" is `last`. */
static struct object_id make_root(size_t a, size_t b, uint8_t last)
{
    static uint8_t one[40 * CHUNK], other[40 * CHUNK];
    const struct scene_node nodes[] = {{.name = "a", .data = one, .len = a},
                                       {.name = "b", .data = other, .len = b}};

    scene_fill(1, one, a);
    scene_fill(2, other, b);
    other[b - 1] = last;
    return scene_root(&scene, nodes, 2);
}

static void put_all(void)
{
    assert_int_equal(store_put(store, 0, scene.objects, scene.n, NULL), HF_OK);
}

static size_t count(enum object_kind kind)
{
    size_t n = 0;

    for (size_t i = 0; i < delta.n; i++)
        n += delta.objects[i].kind == kind;
    return n;
}

/** Every one is what it says that it is. */
static void assert_sound(void)
{
    size_t bytes = 0;

    for (size_t i = 0; i < delta.n; i++) {
        const struct object *object = &delta.objects[i];
        struct object_id id;

        bytes += object->content.len;
        assert_int_equal(object_id_compute(&scene.hasher, object->kind, object->content.data,
                                           object->content.len, &id),
                         HF_OK);
        assert_true(object_id_equal(&id, &object->id));
    }
    assert_int_equal(bytes, delta.bytes);
}

static void who_has_nothing_gets_the_root_alone(void **state)
{
    struct object_id root = make_root(3 * CHUNK, 3 * CHUNK, 1), absent = {{7}};

    (void)state;
    put_all();
    assert_int_equal(delta_gather(store, &root, NULL, PLENTY, &delta), HF_OK);
    assert_int_equal(delta.n, 1);
    assert_true(object_id_equal(&delta.objects[0].id, &root));
    delta_free(&delta);
    assert_int_equal(delta_gather(store, &root, &absent, PLENTY, &delta), HF_OK);
    assert_int_equal(delta.n, 1);
    assert_sound();
}

static void what_both_have_is_left_out(void **state)
{
    struct object_id old = make_root(3 * CHUNK, 3 * CHUNK, 1);
    struct object_id new = make_root(3 * CHUNK, 3 * CHUNK, 2);

    (void)state;
    put_all();
    assert_int_equal(delta_gather(store, &new, &old, PLENTY, &delta), HF_OK);
    assert_int_equal(delta.n, 2);
    assert_true(object_id_equal(&delta.objects[0].id, &new));
    assert_int_equal(delta.objects[1].kind, OBJECT_CHUNK);
    assert_int_equal(delta.objects[1].content.data[CHUNK - 1], 2);
    assert_sound();
}

/** The file's list of chunks is a node of its own. */
static void nodes_below_the_root_come_too(void **state)
{
    struct object_id old = make_root(CHUNK, 30 * CHUNK, 1);
    struct object_id new = make_root(CHUNK, 30 * CHUNK, 2);

    (void)state;
    put_all();
    assert_int_equal(delta_gather(store, &new, &old, PLENTY, &delta), HF_OK);
    assert_true(count(OBJECT_FILE) >= 1);
    assert_int_equal(count(OBJECT_CHUNK), 1);
    assert_sound();
}

static void ends_of_files_come_before_what_is_in_them(void **state)
{
    struct object_id old = make_root(CHUNK, 1, 1);
    struct object_id new = make_root(CHUNK, 12 * CHUNK, 2);

    (void)state;
    put_all();
    assert_int_equal(delta_gather(store, &new, &old, 2 * CHUNK, &delta), HF_OK);
    assert_int_equal(count(OBJECT_CHUNK), 1);
    assert_int_equal(delta.objects[delta.n - 1].content.data[CHUNK - 1], 2);
    assert_true(delta.bytes <= 2 * CHUNK);
    assert_sound();
}

static void without_a_budget_nothing_comes(void **state)
{
    struct object_id old = make_root(CHUNK, CHUNK, 1);
    struct object_id new = make_root(CHUNK, CHUNK, 2);

    (void)state;
    put_all();
    assert_int_equal(delta_gather(store, &new, &old, 1, &delta), HF_OK);
    assert_int_equal(delta.n, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(who_has_nothing_gets_the_root_alone), TEST(what_both_have_is_left_out),
        TEST(nodes_below_the_root_come_too),       TEST(ends_of_files_come_before_what_is_in_them),
        TEST(without_a_budget_nothing_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
