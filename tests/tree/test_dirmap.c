/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "object_store.h"
#include "tree/dirmap.h"

struct world {
    struct object_store *objects;
    struct blob_cache *cache;
    struct blob_sink sink;
};

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    world->objects = object_store_new(NULL);
    world->cache = blob_cache_new(&world->objects->store, 1 << 20);
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

/* --- the reference model: names are numbers, values are versions of records ---------------------- */

#define MODEL_MAX 6000

struct model {
    uint32_t value[MODEL_MAX]; /* 0: not there */
    size_t count;
};

static struct slice name_of(size_t i, char buf[32])
{
    return slice_of(buf, (size_t)snprintf(buf, 32, "%zx-%05zu", i * 2654435761u % 251, i));
}

/* Every fifth value is a link, the others are records of different lengths. */
static struct dir_entry entry_of(struct slice name, size_t i, uint32_t value, struct buf *record)
{
    static const uint8_t data[NODE_INLINE_MAX] = {1, 2, 3};
    const uint64_t size = value % 7 == 0 ? 600 + value % 300 : value % 40;
    struct inode_record inode = {.ino = i + 2,
                                 .mode = S_IFREG | 0644,
                                 .nlink = 1,
                                 .mtime = value,
                                 .size = size,
                                 .allocated = size};
    struct dir_entry entry = {.name = name, .ino = inode.ino, .mode = S_IFREG};

    if (value % 5 == 0)
        return entry;
    if (size > 0)
        inode.content = (struct content){.kind = CONTENT_INLINE, .bytes = slice_of(data, size)};
    record->len = 0;
    assert_int_equal(inode_record_encode(&inode, record), HF_OK);
    entry.record = buf_slice(record);
    entry.mode = inode.mode;
    return entry;
}

static void put(struct dirmap *map, size_t i, uint32_t value)
{
    char name[32];
    BUF_AUTO record = {0};
    struct dir_entry entry = entry_of(name_of(i, name), i, value, &record);

    assert_int_equal(dirmap_put(map, &entry, NULL), HF_OK);
}

static void assert_same_entry(const struct dir_entry *a, const struct dir_entry *b)
{
    assert_int_equal(slice_compare(a->name, b->name), 0);
    assert_int_equal(slice_compare(a->record, b->record), 0);
    assert_int_equal(a->ino, b->ino);
    assert_int_equal(a->mode, b->mode);
}

static void assert_found(struct dirmap *map, const struct model *model, size_t i)
{
    char name[32];
    BUF_AUTO record = {0};
    struct dir_entry want = entry_of(name_of(i, name), i, model->value[i], &record), got;
    int rc = dirmap_find(map, want.name, &got, NULL);

    assert_int_equal(rc, model->value[i] ? HF_OK : HF_NOENT);
    if (rc == HF_OK)
        assert_same_entry(&got, &want);
}

/* Walks the whole map with dirmap_next and compares it with the model. */
static void assert_equals_model(struct dirmap *map, const struct model *model)
{
    struct dir_entry entry;
    uint8_t last[NODE_NAME_MAX];
    struct slice at = {0};
    size_t n = 0;

    assert_int_equal(dirmap_count(map), model->count);
    while (dirmap_next(map, at, &entry, NULL) == HF_OK) {
        assert_true(slice_compare(at, entry.name) < 0);
        assert_true(entry.ino >= 2 && model->value[entry.ino - 2] != 0);
        assert_found(map, model, entry.ino - 2);
        assert_int_equal(dirmap_next(map, at, &entry, NULL), HF_OK);
        memcpy(last, entry.name.data, entry.name.len);
        at = slice_of(last, entry.name.len);
        n++;
    }
    assert_int_equal(n, model->count);
}

/* The content of a map that is made at once from what `map` holds. */
static void fresh_content(struct world *world, struct dirmap *map, bool allow_leaf,
                          struct dirmap **ret_fresh, struct content *ret_content)
{
    struct dir_entry entry;
    uint8_t last[NODE_NAME_MAX];
    struct slice at = {0};

    assert_int_equal(dirmap_open(world->cache, NULL, ret_fresh, NULL), HF_OK);
    while (dirmap_next(map, at, &entry, NULL) == HF_OK) {
        assert_int_equal(dirmap_put(*ret_fresh, &entry, NULL), HF_OK);
        memcpy(last, entry.name.data, entry.name.len);
        at = slice_of(last, entry.name.len);
    }
    assert_int_equal(dirmap_save(*ret_fresh, &world->sink, allow_leaf, ret_content, NULL), HF_OK);
}

static void assert_same_content(const struct content *a, const struct content *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->count, b->count);
    assert_int_equal(slice_compare(a->bytes, b->bytes), 0);
    if (a->kind == CONTENT_DIR) {
        assert_int_equal(a->ref.height, b->ref.height);
        assert_true(object_id_equal(&a->ref.id, &b->ref.id));
    }
}

static void save_and_check(struct world *world, struct dirmap *map, bool allow_leaf,
                           struct content *ret_content)
{
    struct dirmap *fresh;
    struct content content;

    assert_int_equal(dirmap_save(map, &world->sink, allow_leaf, ret_content, NULL), HF_OK);
    assert_false(dirmap_is_dirty(map));
    fresh_content(world, map, allow_leaf, &fresh, &content);
    assert_same_content(ret_content, &content);
    dirmap_free(fresh);
}

static void change(struct dirmap *map, struct model *model, size_t i, bool grow)
{
    char name[32];

    if (grow || rng(10) == 0) {
        model->count += model->value[i] == 0;
        model->value[i] = (uint32_t)rng(1000) + 1;
        put(map, i, model->value[i]);
    } else {
        assert_int_equal(dirmap_remove(map, name_of(i, name), NULL),
                         model->value[i] ? HF_OK : HF_NOENT);
        model->count -= model->value[i] != 0;
        model->value[i] = 0;
    }
    assert_found(map, model, i);
}

static struct dirmap *reopen(struct world *world, struct dirmap *map, const struct content *content)
{
    struct dirmap *again;

    assert_int_equal(dirmap_open(world->cache, content, &again, NULL), HF_OK);
    dirmap_free(map);
    return again;
}

static void any_history_gives_the_nodes_of_a_fresh_map(struct world *world, size_t names,
                                                       size_t rounds, bool allow_leaf)
{
    struct model *model = calloc(1, sizeof *model);
    struct content content;
    struct dirmap *map;

    assert_int_equal(dirmap_open(world->cache, NULL, &map, NULL), HF_OK);
    for (size_t round = 0; round < rounds; round++) {
        const size_t burst = rng(4) == 0 ? rng(names) : rng(8), from = rng(names);
        const bool grow = rng(5) < 3, run = rng(2);

        for (size_t k = 0; k < burst; k++)
            change(map, model, run ? (from + k) % names : rng(names), grow);
        save_and_check(world, map, allow_leaf, &content);
        if (rng(4) == 0)
            map = reopen(world, map, &content);
        else if (rng(3) == 0)
            dirmap_trim(map);
    }
    assert_equals_model(map, model);
    for (size_t i = 0; i < names; i++)
        change(map, model, i, false);
    save_and_check(world, map, allow_leaf, &content);
    dirmap_free(map);
    free(model);
}

static void a_small_directory_is_the_same_after_any_history(void **state)
{
    seed_rng(0x1234567);
    for (int i = 0; i < 20; i++)
        any_history_gives_the_nodes_of_a_fresh_map(*state, 40, 40, i % 2 == 0);
}

static void a_directory_around_one_leaf_is_the_same_after_any_history(void **state)
{
    seed_rng(0x7654321);
    for (int i = 0; i < 10; i++)
        any_history_gives_the_nodes_of_a_fresh_map(*state, 200, 40, i % 2 == 0);
}

static void a_large_directory_is_the_same_after_any_history(void **state)
{
    seed_rng(0xabcdef);
    any_history_gives_the_nodes_of_a_fresh_map(*state, MODEL_MAX, 30, true);
    any_history_gives_the_nodes_of_a_fresh_map(*state, MODEL_MAX, 30, false);
}

/* --- a store that fails --------------------------------------------------------------------------- */

/* As change(), but any call may fail, and is then made again. */
static void change_stubbornly(struct dirmap *map, struct model *model, size_t i, size_t *failures)
{
    char name[32];
    BUF_AUTO record = {0};
    const uint32_t value = rng(3) ? (uint32_t)rng(1000) + 1 : 0;
    struct dir_entry entry = entry_of(name_of(i, name), i, value, &record);
    int rc;

    do {
        rc = value ? dirmap_put(map, &entry, NULL) : dirmap_remove(map, entry.name, NULL);
        *failures += rc == HF_IO;
    } while (rc == HF_IO);
    assert_int_equal(rc, value || model->value[i] ? HF_OK : HF_NOENT);
    model->count += value != 0;
    model->count -= model->value[i] != 0;
    model->value[i] = value;
}

static void save_stubbornly(struct world *world, struct dirmap *map, struct content *ret_content,
                            size_t *failures)
{
    int rc;

    while ((rc = dirmap_save(map, &world->sink, true, ret_content, NULL)) == HF_IO)
        ++*failures;
    assert_int_equal(rc, HF_OK);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
}

static void reads_that_fail_lose_nothing(void **state)
{
    struct world *world = *state;
    struct model *model = calloc(1, sizeof *model);
    struct blob_cache *small = blob_cache_new(&world->objects->store, 20000), *cache = world->cache;
    size_t failures = 0, saves = 0;
    struct content content;
    struct dirmap *map;

    seed_rng(0x5eed);
    world->cache = world->sink.cache = small;
    assert_int_equal(dirmap_open(small, NULL, &map, NULL), HF_OK);
    for (int round = 0; round < 60; round++) {
        world->objects->fail_gets_every = 3;
        for (int k = 0; k < 100; k++)
            change_stubbornly(map, model, rng(MODEL_MAX), &failures);
        save_stubbornly(world, map, &content, &saves);
        dirmap_trim(map);
    }
    world->objects->fail_gets_every = 0;
    assert_true(failures > 0 && saves > 0);
    assert_equals_model(map, model);
    save_and_check(world, map, true, &content);
    dirmap_free(map);
    blob_sink_clear(&world->sink);
    world->cache = world->sink.cache = cache;
    blob_cache_free(small);
    free(model);
}

static void an_empty_map_has_no_content_and_no_entries(void **state)
{
    struct world *world = *state;
    struct content content;
    struct dir_entry entry;
    struct dirmap *map;

    assert_int_equal(dirmap_open(world->cache, NULL, &map, NULL), HF_OK);
    assert_int_equal(dirmap_find(map, slice_of("a", 1), &entry, NULL), HF_NOENT);
    assert_int_equal(dirmap_next(map, (struct slice){0}, &entry, NULL), HF_NOENT);
    assert_int_equal(dirmap_remove(map, slice_of("a", 1), NULL), HF_NOENT);
    assert_false(dirmap_is_dirty(map));
    put(map, 1, 1);
    assert_true(dirmap_is_dirty(map));
    assert_int_equal(dirmap_remove(map, name_of(1, (char[32]){0}), NULL), HF_OK);
    assert_int_equal(dirmap_save(map, &world->sink, true, &content, NULL), HF_OK);
    assert_int_equal(content.kind, CONTENT_NONE);
    assert_int_equal(world->sink.count, 0);
    dirmap_free(map);
}

static void putting_the_same_entry_again_is_no_change(void **state)
{
    struct world *world = *state;
    struct content content;
    struct dirmap *map;

    assert_int_equal(dirmap_open(world->cache, NULL, &map, NULL), HF_OK);
    put(map, 1, 1);
    assert_int_equal(dirmap_save(map, &world->sink, true, &content, NULL), HF_OK);
    put(map, 1, 1);
    assert_false(dirmap_is_dirty(map));
    put(map, 1, 2);
    assert_true(dirmap_is_dirty(map));
    dirmap_free(map);
}

static void build(struct dirmap *map, size_t n)
{
    for (size_t i = 0; i < n; i++)
        put(map, i, 1);
}

static void one_change_among_100000_entries_writes_a_few_nodes(void **state)
{
    struct world *world = *state;
    struct content content;
    struct dirmap *map;
    size_t before;

    assert_int_equal(dirmap_open(world->cache, NULL, &map, NULL), HF_OK);
    build(map, 100000);
    assert_int_equal(dirmap_save(map, &world->sink, false, &content, NULL), HF_OK);
    map = reopen(world, map, &content);
    for (size_t i = 0; i < 50; i++) {
        before = world->sink.count;
        put(map, 200000 + i * 37, 1);
        assert_int_equal(dirmap_save(map, &world->sink, false, &content, NULL), HF_OK);
        assert_in_range(world->sink.count - before, 2, 10);
    }
    dirmap_free(map);
}

static void new_nodes_name_the_node_they_replace(void **state)
{
    struct world *world = *state;
    struct content content;
    struct object *objects;
    struct dirmap *map;
    size_t before;

    assert_int_equal(dirmap_open(world->cache, NULL, &map, NULL), HF_OK);
    build(map, 5000);
    assert_int_equal(dirmap_save(map, &world->sink, false, &content, NULL), HF_OK);
    before = world->sink.count;
    put(map, 77, 2);
    assert_int_equal(dirmap_save(map, &world->sink, false, &content, NULL), HF_OK);
    objects = blob_sink_objects(&world->sink);
    assert_true(world->sink.count > before);
    for (size_t i = before; i < world->sink.count; i++)
        assert_true(objects[i].has_base);
    free(objects);
    dirmap_free(map);
}

static int ignore_ref(const struct object_id *id, enum object_kind kind, void *arg)
{
    (void)id;
    (void)kind;
    (void)arg;
    return 0;
}

static void all_nodes_are_canonical_and_of_moderate_size(void **state)
{
    struct world *world = *state;
    struct content content;
    struct object *objects;
    struct dirmap *map;

    assert_int_equal(dirmap_open(world->cache, NULL, &map, NULL), HF_OK);
    build(map, 20000);
    assert_int_equal(dirmap_save(map, &world->sink, false, &content, NULL), HF_OK);
    assert_in_range(world->sink.bytes / world->sink.count, 5000, 11000);
    objects = blob_sink_objects(&world->sink);
    for (size_t i = 0; i < world->sink.count; i++) {
        assert_int_equal(node_refs(OBJECT_DIR, objects[i].content, ignore_ref, NULL), HF_OK);
        assert_in_range(objects[i].content.len, 1, 24 * 1024);
    }
    free(objects);
    dirmap_free(map);
}

/* Saves `n` entries and gives the content, and the nodes in the sink. */
static struct content saved(struct world *world, size_t n, struct dirmap **ret_map)
{
    struct content content;

    assert_int_equal(dirmap_open(world->cache, NULL, ret_map, NULL), HF_OK);
    build(*ret_map, n);
    assert_int_equal(dirmap_save(*ret_map, &world->sink, false, &content, NULL), HF_OK);
    return content;
}

static int open_and_walk(struct world *world, const struct content *content)
{
    struct dir_entry entry;
    uint8_t last[NODE_NAME_MAX];
    struct slice at = {0};
    struct dirmap *map;
    int rc = dirmap_open(world->cache, content, &map, NULL);

    if (rc != HF_OK)
        return rc;
    while ((rc = dirmap_next(map, at, &entry, NULL)) == HF_OK) {
        memcpy(last, entry.name.data, entry.name.len);
        at = slice_of(last, entry.name.len);
    }
    dirmap_free(map);
    return rc;
}

static void nodes_that_do_not_fit_together_are_refused(void **state)
{
    struct world *world = *state;
    struct content content, wrong;
    struct dirmap *map;

    content = saved(world, 5000, &map);
    assert_int_equal(open_and_walk(world, &content), HF_NOENT);
    wrong = content;
    wrong.count++;
    assert_int_equal(open_and_walk(world, &wrong), HF_CORRUPT);
    wrong = content;
    wrong.ref.height--;
    assert_int_equal(open_and_walk(world, &wrong), HF_CORRUPT);
    wrong.ref.height += 2;
    assert_int_equal(open_and_walk(world, &wrong), HF_CORRUPT);
    wrong.ref.height = NODE_HEIGHT_MAX + 1;
    assert_int_equal(open_and_walk(world, &wrong), HF_CORRUPT);
    dirmap_free(map);
}

/* --- nodes that were made to be wrong ------------------------------------------------------------- */

/* A leaf of links with names of one letter each. */
static struct object_id leaf_of(struct world *world, const char *letters)
{
    struct node_writer writer = {0};
    struct object_id id;

    assert_int_equal(node_writer_start(&writer, OBJECT_DIR, 0), HF_OK);
    for (; *letters; letters++)
        assert_int_equal(
            node_writer_dir_entry(
                &writer,
                &(struct dir_entry){.name = slice_of(letters, 1), .ino = 5, .mode = S_IFREG}),
            HF_OK);
    assert_int_equal(
        blob_sink_add(&world->sink, OBJECT_DIR, buf_slice(&writer.bytes), NULL, &id, NULL), HF_OK);
    buf_free(&writer.bytes);
    return id;
}

/* An interior node of two children. */
static struct object_id interior_of(struct world *world, uint8_t height, const char *first,
                                    uint64_t first_count, struct object_id first_id,
                                    const char *second, uint64_t second_count,
                                    struct object_id second_id)
{
    const struct dir_child a = {slice_of(first, 1), first_count, first_id};
    const struct dir_child b = {slice_of(second, 1), second_count, second_id};
    struct node_writer writer = {0};
    struct object_id id;

    assert_int_equal(node_writer_start(&writer, OBJECT_DIR, height), HF_OK);
    assert_int_equal(node_writer_dir_child(&writer, &a), HF_OK);
    assert_int_equal(node_writer_dir_child(&writer, &b), HF_OK);
    assert_int_equal(
        blob_sink_add(&world->sink, OBJECT_DIR, buf_slice(&writer.bytes), NULL, &id, NULL), HF_OK);
    buf_free(&writer.bytes);
    return id;
}

static int walk_tree(struct world *world, uint8_t height, uint64_t count, struct object_id id)
{
    const struct content content = {.kind = CONTENT_DIR, .count = count, .ref = {height, id}};

    return open_and_walk(world, &content);
}

static void leaves_that_are_not_what_their_parent_says_are_refused(void **state)
{
    struct world *world = *state;
    const struct object_id ab = leaf_of(world, "ab"), mn = leaf_of(world, "mn");
    const struct object_id bc = leaf_of(world, "bc");
    const struct object_id good = interior_of(world, 1, "a", 2, ab, "m", 2, mn);
    const struct object_id absent = {{0x77}};

    assert_int_equal(walk_tree(world, 1, 4, good), HF_NOENT);
    assert_int_equal(walk_tree(world, 1, 5, good), HF_CORRUPT);
    assert_int_equal(walk_tree(world, 1, 4, interior_of(world, 1, "a", 2, ab, "n", 2, mn)),
                     HF_CORRUPT);
    assert_int_equal(walk_tree(world, 1, 4, interior_of(world, 1, "a", 2, ab, "b", 2, bc)),
                     HF_CORRUPT);
    assert_int_equal(walk_tree(world, 1, 5, interior_of(world, 1, "a", 3, ab, "m", 2, mn)),
                     HF_CORRUPT);
    assert_int_equal(walk_tree(world, 1, 4, interior_of(world, 1, "a", 2, good, "m", 2, mn)),
                     HF_CORRUPT);
    assert_int_equal(walk_tree(world, 1, 4, interior_of(world, 1, "a", 2, ab, "m", 2, absent)),
                     HF_MISSING);
    assert_int_equal(walk_tree(world, 0, 3, ab), HF_CORRUPT);
    assert_int_equal(walk_tree(world, 0, 2, ab), HF_NOENT);
}

static void interior_nodes_that_overlap_are_refused(void **state)
{
    struct world *world = *state;
    const struct object_id low =
        interior_of(world, 1, "a", 2, leaf_of(world, "ab"), "m", 2, leaf_of(world, "mn"));
    const struct object_id high =
        interior_of(world, 1, "p", 1, leaf_of(world, "p"), "q", 1, leaf_of(world, "q"));
    const struct object_id middle =
        interior_of(world, 1, "l", 1, leaf_of(world, "l"), "o", 1, leaf_of(world, "o"));

    assert_int_equal(walk_tree(world, 2, 6, interior_of(world, 2, "a", 4, low, "p", 2, high)),
                     HF_NOENT);
    assert_int_equal(walk_tree(world, 2, 6, interior_of(world, 2, "a", 4, low, "o", 2, high)),
                     HF_CORRUPT);
    assert_int_equal(walk_tree(world, 2, 6, interior_of(world, 2, "a", 4, low, "l", 2, middle)),
                     HF_CORRUPT);
    assert_int_equal(walk_tree(world, 2, 7, interior_of(world, 2, "a", 4, low, "p", 3, high)),
                     HF_CORRUPT);
}

/* What is damaged takes nothing else with it. */
static void entries_beside_a_damaged_leaf_are_found(void **state)
{
    struct world *world = *state;
    const struct object_id ab = leaf_of(world, "ab"), mn = leaf_of(world, "mn");
    const struct content content = {
        .kind = CONTENT_DIR,
        .count = 4,
        .ref = {1, interior_of(world, 1, "a", 2, ab, "l", 2, mn)},
    };
    struct hf_error err = {0};
    struct dir_entry entry;
    struct dirmap *map;

    assert_int_equal(dirmap_open(world->cache, &content, &map, NULL), HF_OK);
    assert_int_equal(dirmap_find(map, slice_of("m", 1), &entry, &err), HF_CORRUPT);
    assert_memory_equal(err.message, "directory node ", 15);
    assert_int_equal(dirmap_find(map, slice_of("b", 1), &entry, NULL), HF_OK);
    assert_int_equal(dirmap_remove(map, slice_of("m", 1), NULL), HF_CORRUPT);
    assert_int_equal(dirmap_next(map, slice_of("b", 1), &entry, NULL), HF_CORRUPT);
    entry = (struct dir_entry){.name = slice_of("z", 1), .ino = 7, .mode = S_IFREG};
    assert_int_equal(dirmap_put(map, &entry, NULL), HF_CORRUPT);
    assert_false(dirmap_is_dirty(map));
    dirmap_free(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
        TEST(an_empty_map_has_no_content_and_no_entries),
        TEST(putting_the_same_entry_again_is_no_change),
        TEST(a_small_directory_is_the_same_after_any_history),
        TEST(a_directory_around_one_leaf_is_the_same_after_any_history),
        TEST(a_large_directory_is_the_same_after_any_history),
        TEST(one_change_among_100000_entries_writes_a_few_nodes),
        TEST(new_nodes_name_the_node_they_replace),
        TEST(all_nodes_are_canonical_and_of_moderate_size),
        TEST(reads_that_fail_lose_nothing),
        TEST(nodes_that_do_not_fit_together_are_refused),
        TEST(leaves_that_are_not_what_their_parent_says_are_refused),
        TEST(interior_nodes_that_overlap_are_refused),
        TEST(entries_beside_a_damaged_leaf_are_found),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
