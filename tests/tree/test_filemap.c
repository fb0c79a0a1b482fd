/* SPDX-License-Identifier: Apache-2.0 */
/* What operations on a file map cost, and where its limits are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "object_store.h"
#include "tree/filemap.h"

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)
#define TIB (1024 * 1024 * MIB)

struct world {
    struct object_store *objects;
    struct blob_cache *cache;
    struct blob_sink sink;
    struct filemap *map;
};

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    world->objects = object_store_new(NULL);
    world->cache = blob_cache_new(&world->objects->store, 4 * MIB);
    world->sink.cache = world->cache;
    assert_int_equal(filemap_open(world->cache, NULL, 0, 0, &world->map, NULL), HF_OK);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;

    filemap_free(world->map);
    blob_sink_clear(&world->sink);
    blob_cache_free(world->cache);
    object_store_free(world->objects);
    free(world);
    return 0;
}

/** Bytes of stream `seed`, as they stand at `offset` of it. */
static void fill(uint8_t *data, uint64_t offset, size_t len, uint64_t seed)
{
    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)htable_hash_u64(seed * 1000003 + (offset + i) / 3);
}

static void write_at(struct world *world, uint64_t offset, size_t len, uint64_t seed)
{
    uint8_t *data = malloc(len);

    fill(data, offset, len, seed);
    assert_int_equal(filemap_write(world->map, offset, data, len, NULL), HF_OK);
    free(data);
}

static struct content save(struct world *world)
{
    struct content content;

    assert_int_equal(filemap_save(world->map, &world->sink, &content, NULL), HF_OK);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    return content;
}

/** Saves, and opens anew with nothing in memory. */
static void reopen(struct world *world)
{
    uint64_t size = filemap_size(world->map);
    struct content content = save(world);
    uint64_t allocated = filemap_allocated(world->map);
    BUF_AUTO bytes = {0};

    buf_append(&bytes, content.bytes.data, content.bytes.len);
    content.bytes = buf_slice(&bytes);
    filemap_free(world->map);
    blob_sink_clear(&world->sink);
    blob_cache_free(world->cache);
    world->cache = blob_cache_new(&world->objects->store, 4 * MIB);
    world->sink.cache = world->cache;
    assert_int_equal(filemap_open(world->cache, &content, size, allocated, &world->map, NULL),
                     HF_OK);
}

static void assert_content(struct world *world, uint64_t offset, size_t len, uint64_t seed)
{
    uint8_t *want = malloc(len), *got = malloc(len);
    size_t n;

    fill(want, offset, len, seed);
    assert_int_equal(filemap_read(world->map, offset, len, got, &n, NULL), HF_OK);
    assert_int_equal(n, len);
    assert_memory_equal(got, want, len);
    free(want);
    free(got);
}

static void assert_zeros(struct world *world, uint64_t offset, size_t len)
{
    uint8_t *got = malloc(len);
    size_t n;

    memset(got, 1, len);
    assert_int_equal(filemap_read(world->map, offset, len, got, &n, NULL), HF_OK);
    assert_int_equal(n, len);
    for (size_t i = 0; i < len; i++)
        assert_int_equal(got[i], 0);
    free(got);
}

/** Chunks and nodes among what is queued for the store. */
static void count_kinds(const struct world *world, size_t *ret_chunks, size_t *ret_nodes)
{
    struct object *objects = blob_sink_objects(&world->sink);

    *ret_chunks = *ret_nodes = 0;
    for (size_t i = 0; i < world->sink.count; i++)
        ++*(objects[i].kind == OBJECT_CHUNK ? ret_chunks : ret_nodes);
    free(objects);
}

/* --- tests -------------------------------------------------------------------------------------- */

static void append_to_a_long_file_writes_a_few_objects(void **state)
{
    struct world *world = *state;

    write_at(world, 0, 20 * MIB, 1);
    reopen(world);
    for (unsigned i = 0; i < 50; i++) {
        struct content content;
        size_t chunks, nodes;

        write_at(world, filemap_size(world->map), 2048, 100 + i);
        assert_int_equal(filemap_save(world->map, &world->sink, &content, NULL), HF_OK);
        count_kinds(world, &chunks, &nodes);
        assert_in_range(chunks, 1, 2);
        /* A leaf or, when one is full, two; and what stands above. */
        assert_in_range(nodes, 2, 4);
        assert_true(world->sink.bytes < 64 * KIB);
        assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    }
    reopen(world);
    assert_content(world, 0, 20 * MIB, 1);
    assert_content(world, 20 * MIB + 49 * 2048, 2048, 149);
}

static void cold_append_reads_the_tail_and_not_the_file(void **state)
{
    struct world *world = *state;

    write_at(world, 0, 20 * MIB, 1);
    reopen(world);
    world->objects->get_count = 0;
    write_at(world, filemap_size(world->map), 2048, 2);
    save(world);
    assert_in_range(world->objects->get_count, 1, 6);
}

static void cold_splice_costs_the_chunks_around_it(void **state)
{
    static const uint8_t name[37] = "another name, which is somewhat long";
    struct world *world = *state;
    struct content content;
    size_t chunks, nodes;

    write_at(world, 0, 20 * MIB, 1);
    reopen(world);
    world->objects->get_count = 0;
    assert_int_equal(filemap_splice(world->map, 10 * MIB, 10 * MIB + 5, slice_of(name, sizeof name),
                                    &world->sink, NULL),
                     HF_OK);
    assert_int_equal(filemap_save(world->map, &world->sink, &content, NULL), HF_OK);
    count_kinds(world, &chunks, &nodes);
    assert_in_range(chunks, 1, 4);
    assert_in_range(nodes, 2, 4);
    assert_in_range(world->objects->get_count, 1, 10);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    assert_content(world, 0, 10 * MIB, 1);
    assert_int_equal(filemap_size(world->map), 20 * MIB - 5 + sizeof name);
}

static void edited_chunk_and_nodes_name_what_they_replace(void **state)
{
    struct world *world = *state;
    struct object *objects;
    struct content content;

    write_at(world, 0, 4 * MIB, 1);
    save(world);
    write_at(world, 2 * MIB, 10, 2);
    assert_int_equal(filemap_save(world->map, &world->sink, &content, NULL), HF_OK);
    objects = blob_sink_objects(&world->sink);
    assert_int_equal(objects[0].kind, OBJECT_CHUNK);
    assert_int_equal(objects[world->sink.count - 2].kind, OBJECT_FILE);
    assert_int_equal(objects[world->sink.count - 1].kind, OBJECT_FILE);
    for (size_t i = 0; i < world->sink.count; i++)
        assert_true(objects[i].has_base);
    free(objects);
}

static void rewritten_file_names_the_chunks_it_had(void **state)
{
    struct world *world = *state;
    uint8_t *data = malloc(MIB);
    struct object *objects;
    struct content content;
    size_t with_base = 0;

    fill(data, 0, MIB, 1);
    assert_int_equal(filemap_write(world->map, 0, data, MIB, NULL), HF_OK);
    reopen(world);
    world->objects->put_count = 0;
    assert_int_equal(filemap_truncate(world->map, 0, NULL), HF_OK);
    /* 20 KiB more at the front, and an edit in the middle. */
    fill(data + MIB / 2, 0, 100, 3);
    write_at(world, 0, 20 * KIB, 2);
    assert_int_equal(filemap_write(world->map, 20 * KIB, data, MIB, NULL), HF_OK);
    assert_int_equal(filemap_save(world->map, &world->sink, &content, NULL), HF_OK);
    objects = blob_sink_objects(&world->sink);
    for (size_t i = 0; i < world->sink.count; i++) {
        struct blob *old;

        if (!objects[i].has_base)
            continue;
        with_base++;
        assert_int_equal(blob_get(world->cache, &objects[i].base, &old, NULL), HF_OK);
        blob_unref(world->cache, old);
    }
    assert_true(with_base >= 1);
    free(objects);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    /* The front, the edit, the seam; and the nodes. */
    assert_true(world->objects->put_count < 20);
    free(data);
}

/** Writes `data` as a file of its own, and gives what is queued for the store. */
static struct object *write_another(struct world *world, const uint8_t *data, size_t len)
{
    struct filemap *other;
    struct content content;
    struct object *objects;

    assert_int_equal(filemap_open(world->cache, NULL, 0, 0, &other, NULL), HF_OK);
    assert_int_equal(filemap_write(other, 0, data, len, NULL), HF_OK);
    assert_int_equal(filemap_save(other, &world->sink, &content, NULL), HF_OK);
    objects = blob_sink_objects(&world->sink);
    assert_non_null(objects);
    filemap_free(other);
    return objects;
}

static void new_file_names_the_chunks_of_an_earlier_one(void **state)
{
    struct world *world = *state;
    uint8_t *data = malloc(MIB + 4 * KIB);
    struct object *objects;
    size_t fresh = 0;

    fill(data, 0, MIB, 1);
    assert_int_equal(filemap_write(world->map, 0, data, MIB, NULL), HF_OK);
    save(world);
    /* 4 KiB come in between, and a little is edited. */
    memmove(data + 104 * KIB, data + 100 * KIB, MIB - 100 * KIB);
    fill(data + 100 * KIB, 0, 4 * KIB, 2);
    fill(data + 600 * KIB, 0, 100, 3);
    objects = write_another(world, data, MIB + 4 * KIB);
    for (size_t i = 0; i < world->sink.count; i++) {
        struct blob *base;

        if (objects[i].kind != OBJECT_CHUNK || objects[i].stored)
            continue;
        fresh++;
        assert_true(objects[i].has_base);
        assert_int_equal(blob_get(world->cache, &objects[i].base, &base, NULL), HF_OK);
        blob_unref(world->cache, base);
    }
    assert_in_range(fresh, 2, 8);
    free(objects);
    free(data);
}

static void read_of_many_chunks_asks_the_store_once(void **state)
{
    struct world *world = *state;

    write_at(world, 0, 4 * MIB, 1);
    reopen(world);
    assert_content(world, 0, 1, 1); /* the nodes and the first leaf */
    world->objects->gets = 0;
    assert_content(world, 64 * KIB, 128 * KIB, 1);
    assert_in_range(world->objects->gets, 1, 2);
}

static void sparse_file_of_many_tib_takes_what_its_data_takes(void **state)
{
    struct world *world = *state;
    uint64_t found;

    for (uint64_t i = 0; i < 5; i++)
        write_at(world, i * 3 * TIB + 12345, 10000, i);
    assert_int_equal(filemap_truncate(world->map, 100 * TIB, NULL), HF_OK);
    reopen(world);
    assert_int_equal(filemap_allocated(world->map), 5 * 10000);
    for (uint64_t i = 0; i < 5; i++)
        assert_content(world, i * 3 * TIB + 12345, 10000, i);
    assert_zeros(world, 2 * TIB, 100000);
    assert_int_equal(filemap_seek(world->map, 20000 + 12345, SEEK_DATA, &found, NULL), HF_OK);
    assert_int_equal(found, 3 * TIB + 12345);
    assert_int_equal(filemap_seek(world->map, found, SEEK_HOLE, &found, NULL), HF_OK);
    assert_int_equal(found, 3 * TIB + 12345 + 10000);
    assert_int_equal(filemap_seek(world->map, 90 * TIB, SEEK_DATA, &found, NULL), HF_NXIO);
}

static void truncated_bytes_come_back_as_zeros(void **state)
{
    struct world *world = *state;

    write_at(world, 0, 100000, 1);
    for (unsigned saved = 0; saved < 2; saved++) {
        assert_int_equal(filemap_truncate(world->map, 50001, NULL), HF_OK);
        assert_int_equal(filemap_truncate(world->map, 100000, NULL), HF_OK);
        assert_content(world, 0, 50001, 1);
        assert_zeros(world, 50001, 49999);
        reopen(world);
        write_at(world, 0, 100000, 1);
        reopen(world);
    }
}

static void many_small_runs_are_kept(void **state)
{
    struct world *world = *state;

    for (uint64_t i = 0; i < 100000; i++)
        write_at(world, i * 7919 % 100000 * 8192, 16, i);
    save(world);
    assert_int_equal(filemap_allocated(world->map), 1600000);
    for (uint64_t i = 0; i < 100000; i += 997)
        assert_content(world, i * 7919 % 100000 * 8192, 16, i);
}

static void backward_writes_are_kept(void **state)
{
    struct world *world = *state;

    for (uint64_t i = 8192; i-- > 0;)
        write_at(world, i * 4096, 4096, i);
    save(world);
    for (uint64_t i = 0; i < 8192; i += 37)
        assert_content(world, i * 4096, 4096, i);
}

static void folding_while_writing_keeps_memory_bounded(void **state)
{
    struct world *world = *state;

    for (uint64_t at = 0; at < 96 * MIB; at += 128 * KIB) {
        write_at(world, at, 128 * KIB, at);
        if (filemap_dirty_bytes(world->map) < 4 * MIB)
            continue;
        assert_int_equal(filemap_fold(world->map, &world->sink, NULL), HF_OK);
        assert_int_equal(filemap_dirty_bytes(world->map), 0);
        assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    }
    reopen(world);
    for (uint64_t at = 0; at < 96 * MIB; at += 128 * KIB)
        assert_content(world, at, 128 * KIB, at);
}

static void files_past_4_gib_work(void **state)
{
    struct world *world = *state;

    write_at(world, 5000 * MIB - 3000, 6000, 1);
    reopen(world);
    assert_int_equal(filemap_size(world->map), 5000 * MIB + 3000);
    assert_content(world, 5000 * MIB - 3000, 6000, 1);
    write_at(world, 4096 * MIB - 10, 20, 2);
    reopen(world);
    assert_content(world, 4096 * MIB - 10, 20, 2);
    assert_content(world, 5000 * MIB - 3000, 6000, 1);
}

static void too_large_offsets_are_refused(void **state)
{
    struct world *world = *state;

    assert_int_equal(filemap_write(world->map, NODE_FILE_SIZE_MAX, "xy", 2, NULL), HF_FBIG);
    assert_int_equal(filemap_write(world->map, UINT64_MAX, "xy", 2, NULL), HF_FBIG);
    assert_int_equal(filemap_truncate(world->map, NODE_FILE_SIZE_MAX + 1, NULL), HF_FBIG);
    assert_int_equal(filemap_size(world->map), 0);
    assert_int_equal(filemap_truncate(world->map, NODE_FILE_SIZE_MAX, NULL), HF_OK);
    reopen(world);
    assert_int_equal(filemap_size(world->map), NODE_FILE_SIZE_MAX);
}

static void content_that_disagrees_with_the_size_is_refused(void **state)
{
    struct world *world = *state;
    struct content content;
    struct filemap *map;
    uint8_t byte;
    size_t n;

    write_at(world, 0, 500, 1);
    content = save(world);
    assert_int_equal(filemap_open(world->cache, &content, 501, 501, &map, NULL), HF_CORRUPT);
    write_at(world, 0, 20000, 1);
    content = save(world);
    assert_int_equal(filemap_open(world->cache, &content, 20001, 20001, &map, NULL), HF_CORRUPT);
    write_at(world, 0, 2 * MIB, 1);
    content = save(world);
    assert_int_equal(filemap_open(world->cache, &content, 2 * MIB + 1, 0, &map, NULL), HF_OK);
    assert_int_equal(filemap_read(map, 0, 1, &byte, &n, NULL), HF_CORRUPT);
    filemap_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
        T(append_to_a_long_file_writes_a_few_objects),
        T(cold_append_reads_the_tail_and_not_the_file),
        T(cold_splice_costs_the_chunks_around_it),
        T(edited_chunk_and_nodes_name_what_they_replace),
        T(rewritten_file_names_the_chunks_it_had),
        T(new_file_names_the_chunks_of_an_earlier_one),
        T(read_of_many_chunks_asks_the_store_once),
        T(sparse_file_of_many_tib_takes_what_its_data_takes),
        T(truncated_bytes_come_back_as_zeros),
        T(many_small_runs_are_kept),
        T(backward_writes_are_kept),
        T(folding_while_writing_keeps_memory_bounded),
        T(files_past_4_gib_work),
        T(too_large_offsets_are_refused),
        T(content_that_disagrees_with_the_size_is_refused),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
