/* SPDX-License-Identifier: Apache-2.0 */
/* Each allocation of a directory map's life fails once: the call says so, and made again it succeeds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "object_store.h"
#include "tree/dirmap.h"

/* --- a map's life --------------------------------------------------------------------------------- */

struct world {
    struct object_store *objects;
    struct blob_cache *cache;
    struct blob_sink sink;
    size_t failures;
};

/* Makes a call again when it failed for memory; once it must succeed, for no allocation fails twice. */
#define STUBBORNLY(world, call)                                                                    \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_ == HF_NOMEM) {                                                                     \
            (world)->failures++;                                                                   \
            rc_ = (call);                                                                          \
        }                                                                                          \
        assert_int_equal(rc_, HF_OK);                                                              \
    } while (0)

static struct dir_entry numbered_link(size_t i, char name[32])
{
    return (struct dir_entry){.name = slice_of(name, (size_t)snprintf(name, 32, "%06zu", i * 7919)),
                              .ino = i + 2,
                              .mode = S_IFREG};
}

static void put_range(struct world *world, struct dirmap *map, size_t from, size_t to)
{
    char name[32];

    for (size_t i = from; i < to; i++) {
        struct dir_entry entry = numbered_link(i, name);

        STUBBORNLY(world, dirmap_put(map, &entry, NULL));
    }
}

static void remove_range(struct world *world, struct dirmap *map, size_t from, size_t to)
{
    char name[32];

    for (size_t i = from; i < to; i++)
        STUBBORNLY(world, dirmap_remove(map, numbered_link(i, name).name, NULL));
}

static size_t walk(struct world *world, struct dirmap *map)
{
    struct dir_entry entry;
    uint8_t last[NODE_NAME_MAX];
    struct slice at = {0};
    size_t n = 0;

    while (n < dirmap_count(map)) {
        STUBBORNLY(world, dirmap_next(map, at, &entry, NULL));
        memcpy(last, entry.name.data, entry.name.len);
        at = slice_of(last, entry.name.len);
        n++;
    }
    return n;
}

/* Builds, saves, reads again, changes and saves a map. Gives what it is in the end. */
static struct object_id live(struct world *world, size_t n)
{
    struct content content;
    struct dirmap *map, *again;

    STUBBORNLY(world, dirmap_open(world->cache, NULL, &map, NULL));
    put_range(world, map, 0, n);
    STUBBORNLY(world, dirmap_save(map, &world->sink, false, &content, NULL));
    STUBBORNLY(world, dirmap_open(world->cache, &content, &again, NULL));
    dirmap_free(map);
    assert_int_equal(walk(world, again), n);
    dirmap_trim(again);
    remove_range(world, again, 10, 15);
    put_range(world, again, n, n + 5);
    STUBBORNLY(world, dirmap_save(again, &world->sink, false, &content, NULL));
    assert_int_equal(content.kind, CONTENT_DIR);
    assert_int_equal(content.count, n);
    dirmap_free(again);
    return content.ref.id;
}

static struct world *world_new(void)
{
    struct world *world = calloc(1, sizeof *world);

    world->objects = object_store_new(NULL);
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

/* Fails one allocation after another, with growing steps, until a life ends before its turn. */
static void each_failure_is_told_and_harmless(size_t n, size_t step)
{
    struct world *world = world_new();
    const struct object_id want = live(world, n);
    size_t failures = 0, turn = 1;
    bool reached = true;

    world_free(world);
    for (; reached; turn += 1 + turn * step / 1000) {
        struct object_id id;

        world = world_new();
        failing_alloc_after(turn);
        id = live(world, n);
        reached = failing_alloc_stop();
        assert_true(object_id_equal(&id, &want));
        assert_true(world->failures <= 1);
        failures += world->failures;
        world_free(world);
    }
    print_message("%zu allocations, %zu failures told\n", turn, failures);
    assert_true(failures > 10);
}

static void a_small_map_survives_every_failed_allocation(void **state)
{
    (void)state;
    each_failure_is_told_and_harmless(40, 0);
}

static void a_map_of_many_leaves_survives_failed_allocations(void **state)
{
    (void)state;
    each_failure_is_told_and_harmless(2000, 15);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_map_survives_every_failed_allocation),
        cmocka_unit_test(a_map_of_many_leaves_survives_failed_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
