/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "contract.h"

static struct store_stats stats_of(struct store *store)
{
    struct store_stats stats;

    assert_int_equal(store_stats(store, &stats, NULL), HF_OK);
    return stats;
}

static void what_was_put_is_got(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct object_id ids[3];
    struct buf contents[3] = {0};

    ids[0] = scene_add(scene, OBJECT_CHUNK, "one", 3);
    ids[1] = scene_add(scene, OBJECT_CHUNK, "", 0);
    ids[2] = scene_note(scene, "three");
    assert_int_equal(store_put(fixture->a.store, 0, scene->objects, scene->n, NULL), HF_OK);
    assert_int_equal(store_get(fixture->a.store, ids, 3, contents, NULL), HF_OK);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(contents[i].len, scene->objects[i].content.len);
        if (contents[i].len > 0)
            assert_memory_equal(contents[i].data, scene->objects[i].content.data, contents[i].len);
        buf_free(&contents[i]);
    }
}

static void putting_twice_keeps_one(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    uint64_t before = stats_of(fixture->a.store).objects;

    scene_add(scene, OBJECT_CHUNK, "same", 4);
    scene_add(scene, OBJECT_CHUNK, "same", 4);
    assert_int_equal(store_put(fixture->a.store, 0, scene->objects, 2, NULL), HF_OK);
    assert_int_equal(store_put(fixture->a.store, 0, scene->objects, 1, NULL), HF_OK);
    assert_int_equal(stats_of(fixture->a.store).objects, before + 1);
}

static void an_empty_batch_is_fine(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(store_put(fixture->a.store, 0, NULL, 0, NULL), HF_OK);
    assert_int_equal(store_get(fixture->a.store, NULL, 0, NULL, NULL), HF_OK);
    assert_int_equal(store_missing(fixture->a.store, 0, NULL, 0, NULL, NULL), HF_OK);
}

static void an_object_that_is_not_there_is_missing(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct object_id ids[2];
    bool missing[2] = {false, true};
    BUF_AUTO content = {0};

    ids[0] = scene_add(scene, OBJECT_CHUNK, "absent", 6);
    ids[1] = scene_add(scene, OBJECT_CHUNK, "present", 7);
    assert_int_equal(store_put(fixture->a.store, 0, &scene->objects[1], 1, NULL), HF_OK);
    assert_int_equal(store_missing(fixture->a.store, 0, ids, 2, missing, NULL), HF_OK);
    assert_true(missing[0]);
    assert_false(missing[1]);
    assert_int_equal(store_get(fixture->a.store, ids, 1, &content, &fixture->err), HF_MISSING);
    assert_true(fixture->err.message[0] != '\0');
}

/* None of the batch may be there after `status`. */
static void assert_put_refused(struct fixture *fixture, int status)
{
    struct scene *scene = &fixture->scene;
    uint64_t before = stats_of(fixture->a.store).objects;

    assert_int_equal(store_put(fixture->a.store, 0, scene->objects, scene->n, &fixture->err),
                     status);
    assert_int_equal(fixture->err.status, status);
    assert_int_equal(stats_of(fixture->a.store).objects, before);
}

static void a_wrong_id_is_refused(void **state)
{
    struct fixture *fixture = *state;

    scene_add(&fixture->scene, OBJECT_CHUNK, "good", 4);
    scene_add(&fixture->scene, OBJECT_CHUNK, "bad", 3);
    fixture->scene.objects[1].id.bytes[7] ^= 1;
    assert_put_refused(fixture, HF_CORRUPT);
}

/* Whoever says that the store has had a chunk may be wrong, or be late. */
static void a_chunk_said_to_be_stored_is_put_if_it_is_not(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct object_id id = scene_add(scene, OBJECT_CHUNK, "not there", 9);
    BUF_AUTO content = {0};

    scene->objects[0].stored = true;
    assert_int_equal(store_put(fixture->a.store, 0, scene->objects, 1, NULL), HF_OK);
    assert_int_equal(store_put(fixture->a.store, 0, scene->objects, 1, NULL), HF_OK);
    assert_int_equal(store_get(fixture->a.store, &id, 1, &content, NULL), HF_OK);
    assert_int_equal(content.len, 9);
    assert_memory_equal(content.data, "not there", 9);
}

static void a_chunk_said_to_be_stored_is_verified(void **state)
{
    struct fixture *fixture = *state;

    scene_add(&fixture->scene, OBJECT_CHUNK, "good", 4);
    scene_add(&fixture->scene, OBJECT_CHUNK, "bad", 3);
    fixture->scene.objects[1].id.bytes[7] ^= 1;
    fixture->scene.objects[1].stored = true;
    assert_put_refused(fixture, HF_CORRUPT);
}

static void a_wrong_kind_is_refused(void **state)
{
    struct fixture *fixture = *state;

    scene_add(&fixture->scene, OBJECT_CHUNK, "good", 4);
    fixture->scene.objects[0].kind = OBJECT_FILE;
    assert_put_refused(fixture, HF_CORRUPT);
    fixture->scene.objects[0].kind = (enum object_kind)9;
    assert_put_refused(fixture, HF_CORRUPT);
}

static void a_node_that_is_not_canonical_is_refused(void **state)
{
    struct fixture *fixture = *state;

    scene_add(&fixture->scene, OBJECT_DIR, "\1\0\1\0garbage", 11);
    assert_put_refused(fixture, HF_CORRUPT);
}

static void a_node_of_a_later_format_is_refused(void **state)
{
    struct fixture *fixture = *state;

    scene_add(&fixture->scene, OBJECT_DIR, "\x63\0\1\0garbage", 11);
    assert_put_refused(fixture, HF_NEWER);
}

static void a_node_whose_chunk_is_missing_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct object_id missing;

    scene_dangling(&fixture->scene, &missing);
    assert_put_refused(fixture, HF_MISSING);
}

static void a_batch_larger_than_an_object_can_be_is_fine(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    uint8_t *data = malloc(OBJECT_MAX_SIZE);
    struct object_id *ids = calloc(300, sizeof *ids);
    struct buf *contents = calloc(300, sizeof *contents);

    assert_true(data && ids && contents);
    for (size_t i = 0; i < 300; i++) {
        size_t len = i % 10 == 0 ? OBJECT_MAX_SIZE : 500;

        scene_fill(i + 1, data, len);
        ids[i] = scene_add(scene, OBJECT_CHUNK, data, len);
    }
    assert_int_equal(store_put(fixture->a.store, 0, scene->objects, scene->n, NULL), HF_OK);
    assert_int_equal(store_get(fixture->a.store, ids, 300, contents, NULL), HF_OK);
    for (size_t i = 0; i < 300; i++) {
        assert_int_equal(contents[i].len, scene->objects[i].content.len);
        assert_memory_equal(contents[i].data, scene->objects[i].content.data, contents[i].len);
        buf_free(&contents[i]);
    }
    contract_assert_sound(fixture->a.store);
    free(contents);
    free(ids);
    free(data);
}

static void an_object_stored_against_another_reads_back(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    uint8_t data[20000];
    struct object_id ids[4];
    struct buf contents[4] = {0};

    scene_fill(5, data, sizeof data);
    for (size_t i = 0; i < 4; i++) {
        data[9000 + i] ^= 0x55;
        ids[i] = scene_add(scene, OBJECT_CHUNK, data, sizeof data);
        scene->objects[i].has_base = i > 0;
        scene->objects[i].base = i > 0 ? ids[i - 1] : ids[0];
    }
    /* A base that is not there is a hint in vain. */
    scene->objects[0].has_base = true;
    memset(&scene->objects[0].base, 0xab, sizeof scene->objects[0].base);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(store_put(fixture->a.store, 0, &scene->objects[i], 1, NULL), HF_OK);
    assert_int_equal(store_get(fixture->a.store, ids, 4, contents, NULL), HF_OK);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(contents[i].len, sizeof data);
        assert_memory_equal(contents[i].data, scene->objects[i].content.data, sizeof data);
        buf_free(&contents[i]);
    }
    contract_assert_sound(fixture->a.store);
}

static void objects_put_through_one_handle_are_there_for_another(void **state)
{
    struct fixture *fixture = *state;
    struct object_id id = scene_add(&fixture->scene, OBJECT_CHUNK, "shared", 6);
    BUF_AUTO content = {0};

    contract_open_b(fixture);
    assert_int_equal(store_put(fixture->a.store, 0, fixture->scene.objects, 1, NULL), HF_OK);
    assert_int_equal(store_get(fixture->b.store, &id, 1, &content, NULL), HF_OK);
    assert_int_equal(content.len, 6);
}

const struct CMUnitTest contract_object_tests[] = {
    CONTRACT_TEST(what_was_put_is_got),
    CONTRACT_TEST(putting_twice_keeps_one),
    CONTRACT_TEST(an_empty_batch_is_fine),
    CONTRACT_TEST(an_object_that_is_not_there_is_missing),
    CONTRACT_TEST(a_wrong_id_is_refused),
    CONTRACT_TEST(a_chunk_said_to_be_stored_is_put_if_it_is_not),
    CONTRACT_TEST(a_chunk_said_to_be_stored_is_verified),
    CONTRACT_TEST(a_wrong_kind_is_refused),
    CONTRACT_TEST(a_node_that_is_not_canonical_is_refused),
    CONTRACT_TEST(a_node_of_a_later_format_is_refused),
    CONTRACT_TEST(a_node_whose_chunk_is_missing_is_refused),
    CONTRACT_TEST(a_batch_larger_than_an_object_can_be_is_fine),
    CONTRACT_TEST(an_object_stored_against_another_reads_back),
    CONTRACT_TEST(objects_put_through_one_handle_are_there_for_another),
};
const size_t contract_object_count = CONTRACT_COUNT(contract_object_tests);
