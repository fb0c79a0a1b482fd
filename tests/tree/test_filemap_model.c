/* SPDX-License-Identifier: Apache-2.0 */
/* Random sequences of operations on a file map, against a plain array of bytes: the bytes, the holes, and
 * that what is saved is what cutting the whole content from scratch gives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "object_store.h"
#include "tree/filemap.h"

#define MODEL_MAX (3 * 1024 * 1024)

static uint64_t rng_state;

static uint64_t rng(uint64_t n)
{
    rng_state ^= rng_state << 13;
    rng_state ^= rng_state >> 7;
    rng_state ^= rng_state << 17;
    return rng_state % n;
}

static void seed_rng(uint64_t seed)
{
    const char *given = getenv("HOLDFAST_SEED");

    rng_state = given ? strtoull(given, NULL, 0) : seed;
    print_message("seed %llu\n", (unsigned long long)rng_state);
}

/** The file as it should be. */
struct model {
    uint8_t *bytes;
    bool *is_data;
    size_t size, max;
};

struct world {
    struct object_store *objects;
    struct blob_cache *cache;
    struct blob_sink sink;
    struct filemap *map;
    struct model model;
    struct content content; /* as last saved; its bytes in `kept` */
    struct buf kept;
    uint64_t allocated;
};

static void world_open(struct world *world, const struct chunker_params *params, size_t max)
{
    *world = (struct world){0};
    world->objects = object_store_new(params);
    world->cache = blob_cache_new(&world->objects->store, 64 * 1024);
    world->sink.cache = world->cache;
    world->model.bytes = calloc(max, 1);
    world->model.is_data = calloc(max, sizeof(bool));
    world->model.max = max;
    assert_int_equal(filemap_open(world->cache, NULL, 0, 0, &world->map, NULL), HF_OK);
}

static void world_close(struct world *world)
{
    filemap_free(world->map);
    blob_sink_clear(&world->sink);
    blob_cache_free(world->cache);
    object_store_free(world->objects);
    free(world->model.bytes);
    free(world->model.is_data);
    buf_free(&world->kept);
}

/* --- what the model says ------------------------------------------------------------------------ */

static void model_clear(struct model *model, size_t from, size_t to)
{
    memset(model->bytes + from, 0, to - from);
    memset(model->is_data + from, 0, (to - from) * sizeof(bool));
}

static uint64_t model_allocated(const struct model *model)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < model->size; i++)
        sum += model->is_data[i];
    return sum;
}

/** A file that lies in its inode has no holes. */
static void model_folded(struct model *model)
{
    if (model->size <= NODE_INLINE_MAX)
        memset(model->is_data, 1, model->size * sizeof(bool));
}

static size_t model_run_end(const struct model *model, size_t at)
{
    size_t end = at;

    while (end < model->size && model->is_data[end] == model->is_data[at])
        end++;
    return end;
}

/** One level of nodes over the `n` items of the one below it. */
static size_t scratch_level(const struct object_hasher *hasher, uint8_t height,
                            const struct extent *extents, struct file_child *children, size_t n)
{
    struct node_writer writer = {0};
    size_t made = 0;

    for (size_t i = 0; i < n;) {
        struct file_child node = {0};

        assert_int_equal(node_writer_start(&writer, OBJECT_FILE, height), HF_OK);
        do {
            node.len += height == 0 ? extents[i].len : children[i].len;
            if (height == 0)
                assert_int_equal(node_writer_extent(&writer, &extents[i]), HF_OK);
            else
                assert_int_equal(node_writer_file_child(&writer, &children[i]), HF_OK);
        } while (++i < n && !node_writer_at_boundary(&writer));
        assert_int_equal(
            object_id_compute(hasher, OBJECT_FILE, writer.bytes.data, writer.bytes.len, &node.id),
            HF_OK);
        children[made++] = node;
    }
    buf_free(&writer.bytes);
    return made;
}

/** Cuts the model's content from its first byte to its last. */
static struct extent *scratch_extents(const struct world *world, size_t *ret_n)
{
    const struct store_info *info = &world->objects->store.info;
    const struct model *model = &world->model;
    struct extent *extents = calloc(model->size + 1, sizeof *extents);
    size_t n = 0;

    for (size_t at = 0; at < model->size;) {
        size_t end = model_run_end(model, at);

        if (!model->is_data[at]) {
            extents[n++] = (struct extent){.len = end - at, .hole = true};
            at = end;
        }
        while (at < end) {
            size_t len = chunker_cut(&info->chunker, model->bytes + at, end - at);

            extents[n].len = len;
            assert_int_equal(object_id_compute(&info->hasher, OBJECT_CHUNK, model->bytes + at, len,
                                               &extents[n++].id),
                             HF_OK);
            at += len;
            if (at == end)
                break;
        }
    }
    *ret_n = n;
    return extents;
}

static struct content scratch_content(const struct world *world, struct buf *bytes)
{
    const struct model *model = &world->model;
    struct content content = {.kind = CONTENT_NONE};
    struct extent *extents;
    struct file_child *children;
    size_t n;

    if (model->size == 0)
        return content;
    if (model->size <= NODE_INLINE_MAX) {
        content.kind = CONTENT_INLINE;
        content.bytes = slice_of(model->bytes, model->size);
        return content;
    }
    extents = scratch_extents(world, &n);
    children = calloc(n, sizeof *children);
    if (n <= NODE_EXTENTS_INLINE) {
        content.kind = CONTENT_EXTENTS;
        for (size_t i = 0; i < n; i++)
            assert_int_equal(content_extents_append(bytes, &extents[i]), HF_OK);
        content.bytes = buf_slice(bytes);
    } else {
        const struct object_hasher *hasher = &world->objects->store.info.hasher;

        content.kind = CONTENT_FILE;
        n = scratch_level(hasher, 0, extents, children, n);
        while (n > 1)
            n = scratch_level(hasher, ++content.ref.height, NULL, children, n);
        content.ref.id = children[0].id;
    }
    free(extents);
    free(children);
    return content;
}

/* --- comparing ---------------------------------------------------------------------------------- */

static void check_bytes(struct world *world, size_t offset, size_t len)
{
    const struct model *model = &world->model;
    uint8_t *data = malloc(len + 1);
    size_t got = SIZE_MAX, want = 0;

    if (offset < model->size)
        want = len < model->size - offset ? len : model->size - offset;
    assert_int_equal(filemap_read(world->map, offset, len, data, &got, NULL), HF_OK);
    assert_int_equal(got, want);
    if (memcmp(data, model->bytes + offset, want) != 0) {
        for (size_t i = 0; i < want; i++)
            if (data[i] != model->bytes[offset + i])
                fail_msg("byte %zu differs", offset + i);
    }
    free(data);
}

static void check_seek(struct world *world, size_t offset)
{
    const struct model *model = &world->model;

    for (int hole = 0; hole < 2; hole++) {
        uint64_t found = UINT64_MAX;
        size_t at = offset;
        int rc = filemap_seek(world->map, offset, hole ? SEEK_HOLE : SEEK_DATA, &found, NULL);

        while (at < model->size && model->is_data[at] == (hole != 0))
            at++;
        if (offset >= model->size || (!hole && at == model->size)) {
            assert_int_equal(rc, HF_NXIO);
        } else {
            assert_int_equal(rc, HF_OK);
            assert_int_equal(found, at);
        }
    }
}

static void check_all(struct world *world)
{
    assert_int_equal(filemap_size(world->map), world->model.size);
    check_bytes(world, 0, world->model.size + 1);
    assert_true(filemap_allocated(world->map) >= model_allocated(&world->model));
    assert_true(filemap_allocated(world->map) <= world->model.size);
}

/* --- operations --------------------------------------------------------------------------------- */

/** Mostly text-like data that repeats: chunks that are met again in other places. */
static void random_bytes(uint8_t *data, size_t len)
{
    uint64_t kind = rng(4), word = rng_state;

    for (size_t i = 0; i < len; i++) {
        if (kind > 0 && i % 8 == 0)
            word = htable_hash_u64(word + i);
        data[i] = (uint8_t)(kind == 0 ? word : word >> (i % 8 * 8));
    }
}

static size_t random_len(size_t max)
{
    uint64_t scale = rng(4);
    size_t len = 1 + (size_t)rng(scale == 0 ? 16 : scale == 1 ? 700 : scale == 2 ? 9000 : 90000);

    return len < max ? len : max;
}

static void op_write(struct world *world, bool append)
{
    struct model *model = &world->model;
    size_t offset = append ? model->size : (size_t)rng(model->size + 1 + rng(2) * rng(3000));
    size_t len = random_len(model->max);

    if (offset >= model->max)
        offset = model->max - 1;
    if (len > model->max - offset)
        len = model->max - offset;
    if (len == 0)
        return;
    random_bytes(model->bytes + offset, len);
    memset(model->is_data + offset, 1, len * sizeof(bool));
    assert_int_equal(filemap_write(world->map, offset, model->bytes + offset, len, NULL), HF_OK);
    if (offset + len > model->size)
        model->size = offset + len;
}

static int op_truncate(struct world *world)
{
    struct model *model = &world->model;
    size_t size = rng(20) == 0 ? (size_t)rng(2000) : model->size;
    int rc;

    if (rng(2))
        size += (size_t)rng(5000);
    else
        size -= (size_t)rng(size < 9000 ? size + 1 : 9000);
    if (size > model->max)
        size = model->max;
    rc = filemap_truncate(world->map, size, NULL);
    if (rc != HF_OK)
        return rc;
    if (size < model->size)
        model_clear(model, size, model->size);
    model->size = size;
    return HF_OK;
}

static int op_punch(struct world *world)
{
    struct model *model = &world->model;
    size_t offset = (size_t)rng(model->size + 100), len = random_len(model->max),
           end = offset + len;
    int rc = filemap_punch(world->map, offset, len, NULL);

    end = end < model->size ? end : model->size;
    if (rc == HF_OK && offset < end)
        model_clear(model, offset, end);
    return rc;
}

/** Where a splice begins or ends: anywhere, or where data or a hole does. */
static size_t splice_point(const struct model *model, size_t from, size_t to)
{
    size_t at = from + (size_t)rng(to - from + 1), end;

    if (rng(3) > 0 || at >= model->size)
        return at;
    end = model_run_end(model, at);
    return end < to ? end : to;
}

static int op_splice(struct world *world)
{
    struct model *model = &world->model;
    size_t start = splice_point(model, 0, model->size), len = rng(3) ? random_len(20000) : 0;
    size_t most = rng(8) == 0 ? model->size : start + random_len(30000);
    size_t end = splice_point(model, start, most < model->size ? most : model->size), tail;
    uint8_t *data = malloc(len + 1);
    int rc;

    tail = model->size - end;
    if (len > model->max - start - tail)
        len = model->max - start - tail;
    random_bytes(data, len);
    rc = filemap_splice(world->map, start, end, slice_of(data, len), &world->sink, NULL);
    if (rc == HF_OK) {
        model_folded(model);
        memmove(model->bytes + start + len, model->bytes + end, tail);
        memmove(model->is_data + start + len, model->is_data + end, tail * sizeof(bool));
        memcpy(model->bytes + start, data, len);
        memset(model->is_data + start, 1, len * sizeof(bool));
        if (start + len + tail < model->size)
            model_clear(model, start + len + tail, model->size);
        model->size = start + len + tail;
    }
    free(data);
    return rc;
}

static int op_fold(struct world *world)
{
    int rc = filemap_fold(world->map, &world->sink, NULL);

    if (rc != HF_OK)
        return rc;
    model_folded(&world->model);
    assert_int_equal(filemap_dirty_bytes(world->map), 0);
    assert_int_equal(filemap_allocated(world->map), model_allocated(&world->model));
    return HF_OK;
}

static int op_save(struct world *world)
{
    BUF_AUTO bytes = {0};
    struct content want;
    int rc = filemap_save(world->map, &world->sink, &world->content, NULL);

    if (rc != HF_OK)
        return rc;
    model_folded(&world->model);
    assert_false(filemap_is_dirty(world->map));
    want = scratch_content(world, &bytes);
    assert_int_equal(world->content.kind, want.kind);
    assert_int_equal(slice_compare(world->content.bytes, want.bytes), 0);
    assert_int_equal(world->content.ref.height, want.ref.height);
    assert_memory_equal(&world->content.ref.id, &want.ref.id, sizeof want.ref.id);
    world->allocated = filemap_allocated(world->map);
    assert_int_equal(world->allocated, model_allocated(&world->model));
    world->kept.len = 0;
    buf_append(&world->kept, world->content.bytes.data, world->content.bytes.len);
    world->content.bytes = buf_slice(&world->kept);
    return HF_OK;
}

static void op_reopen(struct world *world)
{
    if (op_save(world) != HF_OK)
        return;
    filemap_free(world->map);
    assert_int_equal(filemap_open(world->cache, &world->content, world->model.size,
                                  world->allocated, &world->map, NULL),
                     HF_OK);
}

static void step(struct world *world)
{
    uint64_t kind = rng(100);

    if (kind < 20) {
        op_write(world, true);
    } else if (kind < 50) {
        op_write(world, false);
    } else if (kind < 58) {
        op_truncate(world);
    } else if (kind < 66) {
        op_punch(world);
    } else if (kind < 69) {
        op_fold(world);
    } else if (kind < 73) {
        op_splice(world);
    } else if (kind < 80) {
        op_save(world);
    } else if (kind < 84) {
        op_reopen(world);
    } else if (kind < 87) {
        blob_sink_flush(&world->sink, 0, NULL);
    } else if (kind < 90) {
        filemap_trim(world->map);
    } else {
        bool quiet = world->objects->fail_gets_every == 0;

        if (quiet)
            check_bytes(world, (size_t)rng(world->model.size + 10), random_len(200000));
        if (quiet)
            check_seek(world, (size_t)rng(world->model.size + 10));
    }
}

static void run(const struct chunker_params *params, size_t max, unsigned steps,
                unsigned fail_every)
{
    struct world world;

    world_open(&world, params, max);
    for (unsigned i = 0; i < steps; i++) {
        world.objects->fail_gets_every = world.objects->fail_puts_every = fail_every;
        step(&world);
        world.objects->fail_gets_every = world.objects->fail_puts_every = 0;
        if (i % 16 == 0 || fail_every > 0)
            check_all(&world);
    }
    assert_int_equal(op_save(&world), HF_OK);
    check_all(&world);
    world_close(&world);
}

static void small_files_equal_the_model(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 150; i++)
        run(&(struct chunker_params){64, 128, 512}, 1 + (size_t)rng(i % 2 ? 3000 : 60000), 120, 0);
}

static void files_of_many_leaves_equal_the_model(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++)
        run(&(struct chunker_params){64, 64, 256}, MODEL_MAX, 500, 0);
}

static void files_with_default_chunks_equal_the_model(void **state)
{
    (void)state;
    run(NULL, MODEL_MAX, 500, 0);
}

static void what_failed_has_changed_nothing(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 20; i++)
        run(&(struct chunker_params){64, 128, 512}, 300000, 300, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(small_files_equal_the_model),
        cmocka_unit_test(files_of_many_leaves_equal_the_model),
        cmocka_unit_test(files_with_default_chunks_equal_the_model),
        cmocka_unit_test(what_failed_has_changed_nothing),
    };

    seed_rng((uint64_t)time(NULL));
    return cmocka_run_group_tests(tests, NULL, NULL);
}
