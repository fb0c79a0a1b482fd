/* SPDX-License-Identifier: Apache-2.0 */
/* Each allocation of a file map's life fails once: the call says so, nothing is lost, and made again it
 * succeeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "object_store.h"
#include "tree/filemap.h"

struct world {
    struct object_store *objects;
    struct blob_cache *cache;
    struct blob_sink sink;
    size_t failures;
};

/** Makes a call again when it failed for memory; then it must succeed, as no allocation fails twice. */
#define STUBBORNLY(world, call)                                                                    \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_ == HF_NOMEM) {                                                                     \
            (world)->failures++;                                                                   \
            rc_ = (call);                                                                          \
        }                                                                                          \
        assert_int_equal(rc_, HF_OK);                                                              \
    } while (0)

static void write_range(struct world *world, struct filemap *map, uint64_t offset, size_t len,
                        uint64_t seed)
{
    static uint8_t data[1 << 16];

    assert_true(len <= sizeof data);
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)htable_hash_u64(seed + i / 5);
    STUBBORNLY(world, filemap_write(map, offset, data, len, NULL));
}

static void check_hash(struct world *world, struct filemap *map, uint64_t *hash)
{
    static uint8_t data[1 << 16];
    uint64_t offset = 0;
    size_t n = 1;

    while (n > 0) {
        STUBBORNLY(world, filemap_read(map, offset, sizeof data, data, &n, NULL));
        for (size_t i = 0; i < n; i++)
            *hash = htable_hash_u64(*hash + data[i]);
        offset += n;
    }
    assert_int_equal(offset, filemap_size(map));
}

/** What a life ends with. */
struct end {
    struct object_id id;
    uint64_t hash, allocated;
};

static void reopen(struct world *world, struct filemap **map)
{
    struct content content;
    struct filemap *again;

    STUBBORNLY(world, filemap_save(*map, &world->sink, &content, NULL));
    STUBBORNLY(world, blob_sink_flush(&world->sink, 0, NULL));
    STUBBORNLY(world, filemap_open(world->cache, &content, filemap_size(*map),
                                   filemap_allocated(*map), &again, NULL));
    filemap_free(*map);
    *map = again;
}

static struct end live(struct world *world, size_t pieces)
{
    struct end end = {0};
    struct content content;
    struct filemap *map;
    uint64_t found;

    STUBBORNLY(world, filemap_open(world->cache, NULL, 0, 0, &map, NULL));
    write_range(world, map, 0, 500, 1);
    reopen(world, &map);
    for (size_t i = 0; i < pieces; i++)
        write_range(world, map, i * 20000, 20000, i);
    STUBBORNLY(world, filemap_fold(map, &world->sink, NULL));
    reopen(world, &map);
    for (size_t i = 0; i < pieces; i++)
        write_range(world, map, i * 19000 + 77, 10 + i * 3, i + 100);
    STUBBORNLY(world, filemap_punch(map, 30000, 11111, NULL));
    STUBBORNLY(world, filemap_truncate(map, pieces * 20000 - 3333, NULL));
    STUBBORNLY(world,
               filemap_splice(map, 12000, 15000, slice_of("in between", 10), &world->sink, NULL));
    STUBBORNLY(world, filemap_seek(map, 10, SEEK_HOLE, &found, NULL));
    STUBBORNLY(world, filemap_truncate(map, pieces * 20000 + 5000, NULL));
    write_range(world, map, pieces * 20000 + 9000, 3000, 7);
    check_hash(world, map, &end.hash);
    reopen(world, &map);
    filemap_trim(map);
    check_hash(world, map, &end.hash);
    write_range(world, map, 30500, 100, 9);
    STUBBORNLY(world, filemap_save(map, &world->sink, &content, NULL));
    assert_int_equal(content.kind, CONTENT_FILE);
    end.id = content.ref.id;
    end.allocated = filemap_allocated(map);
    filemap_free(map);
    return end;
}

static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof *world);

    world->objects = object_store_new(&(struct chunker_params){256, 512, 2048});
    world->cache = blob_cache_new(&world->objects->store, 1 << 20);
    world->sink.cache = world->cache;
    return world;
}

static void world_free(struct world *world)
{
    blob_sink_clear(&world->sink);
    blob_cache_free(world->cache);
    object_store_free(world->objects);
    free(world);
}

/** Fails one allocation after another, with growing steps, until a life ends before its turn. */
static void each_failure_is_told_and_harmless(size_t pieces, size_t step)
{
    struct world *world = world_new();
    const struct end want = live(world, pieces);
    size_t failures = 0, turn = 1;
    bool reached = true;

    world_free(world);
    for (; reached; turn += 1 + turn * step / 1000) {
        struct end end;

        world = world_new();
        failing_alloc_after(turn);
        end = live(world, pieces);
        reached = failing_alloc_stop();
        assert_true(object_id_equal(&end.id, &want.id));
        assert_int_equal(end.hash, want.hash);
        assert_int_equal(end.allocated, want.allocated);
        failures += world->failures;
        world_free(world);
    }
    print_message("%zu allocations, %zu failures told\n", turn, failures);
    assert_true(failures > 10);
}

static void a_file_of_one_leaf_survives_failed_allocations(void **state)
{
    (void)state;
    each_failure_is_told_and_harmless(3, 3);
}

static void a_file_of_many_leaves_survives_failed_allocations(void **state)
{
    (void)state;
    each_failure_is_told_and_harmless(25, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_of_one_leaf_survives_failed_allocations),
        cmocka_unit_test(a_file_of_many_leaves_survives_failed_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
