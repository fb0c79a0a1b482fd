/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged and missing objects, and what is put in their place. */
#include <string.h>

#include "contract.h"

/* The first object of this kind in the scene. */
static const struct object *object_of(const struct fixture *fixture, enum object_kind kind)
{
    for (size_t i = 0; i < fixture->scene.n; i++)
        if (fixture->scene.objects[i].kind == kind)
            return &fixture->scene.objects[i];
    fail_msg("the scene has no such object");
    return NULL;
}

/* A tree with a chunk; returns its root. */
static struct object_id make_scene(struct fixture *fixture)
{
    static uint8_t data[9000];
    struct scene_node file = {.name = "file", .data = data, .len = sizeof data};

    scene_clear(&fixture->scene);
    scene_fill(5, data, sizeof data);
    return scene_root(&fixture->scene, &file, 1);
}

static void put_scene(struct fixture *fixture)
{
    assert_int_equal(store_put(fixture->a.store, fixture->a.host, fixture->scene.objects,
                               fixture->scene.n, &fixture->err),
                     HF_OK);
}

static int get(struct store *store, const struct object_id *id)
{
    BUF_AUTO content = {0};

    return store_get(store, id, 1, &content, NULL);
}

static bool is_missing(struct store *store, const struct object_id *id)
{
    bool missing = false;

    assert_int_equal(store_missing(store, 0, id, 1, &missing, NULL), HF_OK);
    return missing;
}

static void a_sound_object_is_left_as_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    const struct object *chunk, *root;
    struct object wrong;

    make_scene(fixture);
    put_scene(fixture);
    chunk = object_of(fixture, OBJECT_CHUNK);
    root = object_of(fixture, OBJECT_ROOT);
    assert_int_equal(store_mend(store, &chunk->id, NULL, &fixture->err), HF_EXIST);
    assert_int_equal(store_mend(store, &chunk->id, chunk, &fixture->err), HF_EXIST);
    assert_int_equal(store_mend(store, &chunk->id, root, &fixture->err), HF_INVAL);
    wrong = *chunk;
    wrong.content.len--;
    assert_int_equal(store_mend(store, &chunk->id, &wrong, &fixture->err), HF_CORRUPT);
    assert_int_equal(get(store, &chunk->id), HF_OK);
    contract_assert_sound(store);
}

static void a_missing_object_is_put_where_all_below_it_is(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    const struct object *chunk, *root;

    make_scene(fixture);
    chunk = object_of(fixture, OBJECT_CHUNK);
    root = object_of(fixture, OBJECT_ROOT);
    assert_int_equal(store_mend(store, &chunk->id, NULL, &fixture->err), HF_NOENT);
    assert_int_equal(store_mend(store, &root->id, root, &fixture->err), HF_MISSING);
    assert_true(is_missing(store, &root->id));
    assert_int_equal(store_mend(store, &chunk->id, chunk, &fixture->err), HF_OK);
    assert_int_equal(get(store, &chunk->id), HF_OK);
    contract_assert_sound(store);
}

static int note_damage(const struct check_finding *finding, void *arg)
{
    struct object_id *found = arg;

    assert_true(finding->has_object);
    assert_int_equal(finding->status, HF_CORRUPT);
    *found = finding->object;
    return 0;
}

static void a_damaged_object_is_replaced_by_a_good_one(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    static const enum object_kind kinds[] = {OBJECT_CHUNK, OBJECT_ROOT};

    make_scene(fixture);
    put_scene(fixture);
    for (size_t i = 0; i < 2; i++) {
        const struct object *object = object_of(fixture, kinds[i]);
        struct object_id found = {{0}};

        fixture->engine->damage(store, fixture->url, &object->id);
        assert_int_equal(get(store, &object->id), HF_CORRUPT);
        assert_int_equal(store_check(store, note_damage, &found, NULL), HF_OK);
        assert_true(object_id_equal(&found, &object->id));
        assert_int_equal(store_mend(store, &object->id, object, &fixture->err), HF_OK);
        assert_int_equal(get(store, &object->id), HF_OK);
        contract_assert_sound(store);
        assert_int_equal(store_mend(store, &object->id, object, &fixture->err), HF_EXIST);
    }
}

static void a_damaged_object_is_taken_out(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct object_id root = make_scene(fixture);
    struct commit commit;
    struct object chunk;
    struct lease lease;

    put_scene(fixture);
    contract_open_b(fixture);
    chunk = *object_of(fixture, OBJECT_CHUNK);
    assert_false(is_missing(fixture->b.store, &chunk.id));
    fixture->engine->damage(store, fixture->url, &chunk.id);
    assert_int_equal(store_mend(store, &chunk.id, NULL, &fixture->err), HF_OK);
    assert_int_equal(get(store, &chunk.id), HF_MISSING);
    assert_int_equal(store_mend(store, &chunk.id, NULL, &fixture->err), HF_NOENT);
    contract_assert_sound(store);
    /* Nobody thinks that it is still there. */
    assert_true(is_missing(fixture->b.store, &chunk.id));
    commit = scene_commit(&fixture->scene, 0, 0, 0, root);
    assert_int_equal(store_session_create(fixture->b.store, fixture->b.host, "s", &commit, &lease,
                                          &fixture->err),
                     HF_OK);
    assert_int_equal(get(store, &chunk.id), HF_OK);
    contract_assert_sound(store);
}

const struct CMUnitTest contract_mend_tests[] = {
    CONTRACT_TEST(a_sound_object_is_left_as_it_is),
    CONTRACT_TEST(a_missing_object_is_put_where_all_below_it_is),
};
const size_t contract_mend_count = CONTRACT_COUNT(contract_mend_tests);

const struct CMUnitTest contract_damage_tests[] = {
    CONTRACT_TEST(a_damaged_object_is_replaced_by_a_good_one),
    CONTRACT_TEST(a_damaged_object_is_taken_out),
};
const size_t contract_damage_count = CONTRACT_COUNT(contract_damage_tests);
