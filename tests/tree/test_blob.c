/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "object_store.h"
#include "tree/blob.h"

#define CACHE_BYTES (64 * 1024)
#define BLOBS 64

struct world {
    struct object_store *objects;
    struct blob_cache *cache;
    struct blob_sink sink;
    struct object_id ids[BLOBS];
};

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    world->objects = object_store_new(NULL);
    world->cache = blob_cache_new(&world->objects->store, CACHE_BYTES);
    world->sink.cache = world->cache;
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;

    blob_sink_clear(&world->sink);
    blob_cache_free(world->cache);
    object_store_free(world->objects);
    free(world);
    return 0;
}

/** Queues BLOBS chunks of 4 KiB: four times what the cache keeps. */
static void add_blobs(struct world *world)
{
    uint8_t data[4096];

    for (unsigned i = 0; i < BLOBS; i++) {
        memset(data, (int)i, sizeof data);
        assert_int_equal(blob_sink_add(&world->sink, OBJECT_CHUNK, slice_of(data, sizeof data),
                                       NULL, &world->ids[i], NULL),
                         HF_OK);
    }
}

static void assert_blob(struct world *world, unsigned i)
{
    struct blob *blob;

    assert_int_equal(blob_get(world->cache, &world->ids[i], &blob, NULL), HF_OK);
    assert_int_equal(blob_content(blob).len, 4096);
    assert_int_equal(blob_content(blob).data[17], i);
    assert_true(object_id_equal(blob_id(blob), &world->ids[i]));
    blob_unref(world->cache, blob);
}

static void queued_objects_are_found_without_the_store(void **state)
{
    struct world *world = *state;

    add_blobs(world);
    for (unsigned i = 0; i < BLOBS; i++)
        assert_blob(world, i);
    assert_int_equal(world->objects->gets, 0);
    assert_int_equal(world->sink.bytes, BLOBS * 4096);
}

static void flushed_objects_are_kept_up_to_the_budget(void **state)
{
    struct world *world = *state;

    add_blobs(world);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    assert_int_equal(world->sink.count, 0);
    assert_int_equal(world->sink.bytes, 0);
    /* The newest are there still, the oldest are not. */
    for (unsigned i = BLOBS - 8; i < BLOBS; i++)
        assert_blob(world, i);
    assert_int_equal(world->objects->gets, 0);
    assert_blob(world, 0);
    assert_int_equal(world->objects->gets, 1);
}

static void recently_used_blob_outlives_older_ones(void **state)
{
    struct world *world = *state;

    add_blobs(world);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    for (unsigned i = 0; i < BLOBS - 1; i++) {
        assert_blob(world, i);
        assert_blob(world, BLOBS - 1);
    }
    world->objects->gets = 0;
    assert_blob(world, BLOBS - 1);
    assert_int_equal(world->objects->gets, 0);
}

static void referenced_blob_stays(void **state)
{
    struct world *world = *state;
    struct blob *blob, *again;

    add_blobs(world);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    assert_int_equal(blob_get(world->cache, &world->ids[0], &blob, NULL), HF_OK);
    for (unsigned i = 1; i < BLOBS; i++)
        assert_blob(world, i);
    assert_int_equal(blob_get(world->cache, &world->ids[0], &again, NULL), HF_OK);
    assert_ptr_equal(blob, again);
    blob_unref(world->cache, blob_ref(blob));
    blob_unref(world->cache, blob);
    blob_unref(world->cache, again);
}

static void failed_flush_loses_nothing(void **state)
{
    struct world *world = *state;

    add_blobs(world);
    world->objects->fail_puts_every = 1;
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_NOSPC);
    assert_int_equal(world->sink.count, BLOBS);
    world->objects->fail_puts_every = 0;
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    assert_int_equal(world->objects->put_count, BLOBS);
}

static void dropping_the_first_keeps_the_rest_queued(void **state)
{
    struct world *world = *state;

    add_blobs(world);
    blob_sink_drop(&world->sink, 60);
    assert_int_equal(world->sink.count, 4);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    assert_int_equal(world->objects->put_count, 4);
    assert_blob(world, 61);
}

static void prefetch_reads_all_that_is_missing_at_once(void **state)
{
    struct world *world = *state;

    add_blobs(world);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    blob_prefetch(world->cache, world->ids, 8);
    assert_int_equal(world->objects->gets, 1);
    for (unsigned i = 0; i < 8; i++)
        assert_blob(world, i);
    assert_int_equal(world->objects->gets, 1);
    blob_prefetch(world->cache, world->ids, 8);
    assert_int_equal(world->objects->gets, 1);
}

static void missing_object_is_told(void **state)
{
    struct world *world = *state;
    struct object_id id = {{1}};
    struct blob *blob = NULL;

    blob_prefetch(world->cache, &id, 1);
    assert_int_equal(blob_get(world->cache, &id, &blob, NULL), HF_MISSING);
    assert_null(blob);
}

static void *read_at_random(void *arg)
{
    struct world *world = arg;
    uint64_t random = (uint64_t)(uintptr_t)&random;

    for (unsigned i = 0; i < 5000; i++) {
        struct blob *blob;

        random = htable_hash_u64(random + i);
        if (random % 16 == 0)
            blob_prefetch(world->cache, world->ids + random / 16 % (BLOBS - 8), 8);
        if (blob_get(world->cache, &world->ids[random / 32 % BLOBS], &blob, NULL) != HF_OK)
            return arg;
        if (blob_content(blob).data[0] != random / 32 % BLOBS)
            return arg;
        blob_unref(world->cache, blob);
    }
    return NULL;
}

static void many_threads_read_the_same_blobs(void **state)
{
    struct world *world = *state;
    pthread_t threads[4];

    add_blobs(world);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, read_at_random, world), 0);
    for (unsigned i = 0; i < 4; i++) {
        void *result;

        pthread_join(threads[i], &result);
        assert_null(result);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
        T(queued_objects_are_found_without_the_store),
        T(flushed_objects_are_kept_up_to_the_budget),
        T(recently_used_blob_outlives_older_ones),
        T(referenced_blob_stays),
        T(failed_flush_loses_nothing),
        T(dropping_the_first_keeps_the_rest_queued),
        T(prefetch_reads_all_that_is_missing_at_once),
        T(missing_object_is_told),
        T(many_threads_read_the_same_blobs),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
