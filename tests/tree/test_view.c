/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "object_store.h"
#include "tree/dirmap.h"
#include "tree/filemap.h"
#include "tree/view.h"

#define BIG_SIZE 3000000
#define CROWD 10000

/**
 * The tree of every test:
 *
 *     a          "hello\n", also known as d/hard
 *     big        BIG_SIZE bytes of a pattern
 *     crowd/     CROWD empty files 00000, 00001, …
 *     d/         hard
 *     d/e/       f -> "elsewhere", with xattrs in its record
 *     x          a FIFO, with a long xattr block
 */
struct world {
    struct object_store *objects;
    struct blob_cache *cache;
    struct blob_sink sink;
    struct object_id root;
    struct view *view;
    struct buf long_block;
};

static struct slice text(const char *string)
{
    return slice_of(string, strlen(string));
}

static struct inode_record inode(uint64_t ino, uint32_t mode)
{
    return (struct inode_record){.ino = ino, .mode = mode, .nlink = 1, .mtime = (int64_t)ino};
}

static void put(struct dirmap *map, const char *name, const struct inode_record *record)
{
    BUF_AUTO bytes = {0};
    struct dir_entry entry = {.name = text(name), .ino = record->ino, .mode = record->mode};

    assert_int_equal(inode_record_encode(record, &bytes), HF_OK);
    entry.record = buf_slice(&bytes);
    assert_int_equal(dirmap_put(map, &entry, NULL), HF_OK);
}

static void put_link(struct dirmap *map, const char *name, uint64_t ino)
{
    struct dir_entry entry = {.name = text(name), .ino = ino, .mode = S_IFREG};

    assert_int_equal(dirmap_put(map, &entry, NULL), HF_OK);
}

static struct dirmap *new_map(struct world *world)
{
    struct dirmap *map;

    assert_int_equal(dirmap_open(world->cache, NULL, &map, NULL), HF_OK);
    return map;
}

/* Saves a directory and puts it into its parent. */
static void put_directory(struct world *world, struct dirmap *parent, const char *name,
                          uint64_t ino, struct dirmap *map)
{
    struct inode_record record = inode(ino, S_IFDIR | 0755);

    assert_int_equal(dirmap_save(map, &world->sink, false, &record.content, NULL), HF_OK);
    put(parent, name, &record);
    dirmap_free(map);
}

static uint8_t pattern(uint64_t offset)
{
    return (uint8_t)(htable_hash_u64(offset / 5) >> 13);
}

static void put_big_file(struct world *world, struct dirmap *parent)
{
    struct inode_record record = inode(10, S_IFREG | 0600);
    uint8_t *data = malloc(BIG_SIZE);
    struct filemap *map;

    for (size_t i = 0; i < BIG_SIZE; i++)
        data[i] = pattern(i);
    assert_int_equal(filemap_open(world->cache, NULL, 0, 0, &map, NULL), HF_OK);
    assert_int_equal(filemap_write(map, 0, data, BIG_SIZE, NULL), HF_OK);
    assert_int_equal(filemap_save(map, &world->sink, &record.content, NULL), HF_OK);
    record.size = filemap_size(map);
    record.allocated = filemap_allocated(map);
    put(parent, "big", &record);
    filemap_free(map);
    free(data);
}

static void put_crowd(struct world *world, struct dirmap *parent)
{
    struct dirmap *map = new_map(world);
    char name[16];

    for (unsigned i = 0; i < CROWD; i++) {
        struct inode_record record = inode(1000 + i, S_IFREG | 0644);

        snprintf(name, sizeof name, "%05u", i);
        put(map, name, &record);
    }
    put_directory(world, parent, "crowd", 20, map);
}

static void put_nested(struct world *world, struct dirmap *parent)
{
    struct dirmap *d = new_map(world), *e = new_map(world);
    struct inode_record record = inode(30, S_IFLNK | 0777);
    BUF_AUTO block = {0};

    assert_int_equal(xattr_block_append(&block, text("user.k"), text("v")), HF_OK);
    record.size = 9;
    record.content = (struct content){.kind = CONTENT_INLINE, .bytes = text("elsewhere")};
    record.xattr_kind = XATTR_INLINE;
    record.xattr_block = buf_slice(&block);
    put(e, "f", &record);
    put_directory(world, d, "e", 31, e);
    put_link(d, "hard", 40);
    put_directory(world, parent, "d", 32, d);
}

static void put_fifo(struct world *world, struct dirmap *parent)
{
    static const uint8_t value[5000] = {1};
    struct inode_record record = inode(50, S_IFIFO | 0600);

    assert_int_equal(
        xattr_block_append(&world->long_block, text("user.long"), slice_of(value, sizeof value)),
        HF_OK);
    record.xattr_kind = XATTR_CHUNK;
    assert_int_equal(blob_sink_add(&world->sink, OBJECT_CHUNK, buf_slice(&world->long_block), NULL,
                                   &record.xattr_id, NULL),
                     HF_OK);
    put(parent, "x", &record);
}

static void save_root(struct world *world, struct dirmap *top)
{
    struct root_node root = {.next_ino = 100000, .dir = inode(NODE_ROOT_INO, S_IFDIR | 0700)};
    struct inode_record record = inode(40, S_IFREG | 0644);
    struct dirmap *links = new_map(world);
    BUF_AUTO bytes = {0};

    record.nlink = 2;
    record.size = record.allocated = 6;
    record.content = (struct content){.kind = CONTENT_INLINE, .bytes = text("hello\n")};
    put(links, "0000000000000028", &record);
    assert_int_equal(dirmap_save(top, &world->sink, true, &root.dir.content, NULL), HF_OK);
    assert_int_equal(dirmap_save(links, &world->sink, true, &root.links, NULL), HF_OK);
    assert_int_equal(root_node_encode(&root, &bytes), HF_OK);
    assert_int_equal(
        blob_sink_add(&world->sink, OBJECT_ROOT, buf_slice(&bytes), NULL, &world->root, NULL),
        HF_OK);
    dirmap_free(top);
    dirmap_free(links);
}

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct dirmap *top;

    world->objects = object_store_new(NULL);
    world->cache = blob_cache_new(&world->objects->store, 1 << 20);
    world->sink.cache = world->cache;
    top = new_map(world);
    put_link(top, "a", 40);
    put_big_file(world, top);
    put_crowd(world, top);
    put_nested(world, top);
    put_fifo(world, top);
    save_root(world, top);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    /* What follows reads from the store. */
    blob_sink_clear(&world->sink);
    blob_cache_free(world->cache);
    world->cache = blob_cache_new(&world->objects->store, 1 << 20);
    assert_int_equal(view_open(world->cache, &world->root, &world->view, NULL), HF_OK);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;

    view_free(world->view);
    blob_cache_free(world->cache);
    object_store_free(world->objects);
    buf_free(&world->long_block);
    free(world);
    return 0;
}

/* --- looking up ----------------------------------------------------------------------------------- */

static void assert_ino(struct world *world, const char *path, uint64_t ino)
{
    struct view_node node;

    assert_int_equal(view_lookup(world->view, path, &node, NULL), HF_OK);
    assert_int_equal(node.record.ino, ino);
    assert_int_equal(node.record.mtime, ino);
    view_node_clear(&node);
}

static void paths_are_resolved(void **state)
{
    assert_ino(*state, "", NODE_ROOT_INO);
    assert_ino(*state, "/", NODE_ROOT_INO);
    assert_ino(*state, "big", 10);
    assert_ino(*state, "/crowd", 20);
    assert_ino(*state, "crowd/00000", 1000);
    assert_ino(*state, "crowd/09999", 10999);
    assert_ino(*state, "/d//e/f", 30);
    assert_ino(*state, "d/e/", 31);
}

static void names_of_one_inode_are_one_record(void **state)
{
    struct world *world = *state;
    struct view_node node;

    assert_ino(world, "a", 40);
    assert_int_equal(view_lookup(world->view, "d/hard", &node, NULL), HF_OK);
    assert_int_equal(node.record.ino, 40);
    assert_int_equal(node.record.nlink, 2);
    assert_int_equal(slice_compare(node.record.content.bytes, text("hello\n")), 0);
    view_node_clear(&node);
}

static void paths_that_lead_nowhere_are_refused_with_their_name(void **state)
{
    struct world *world = *state;
    struct hf_error err = {0};
    struct view_node node;

    assert_int_equal(view_lookup(world->view, "none", &node, &err), HF_NOENT);
    assert_int_equal(view_lookup(world->view, "crowd/10000", &node, &err), HF_NOENT);
    assert_string_equal(err.message, "crowd/10000: no such entry");
    assert_int_equal(view_lookup(world->view, "a/b", &node, &err), HF_NOTDIR);
    assert_int_equal(view_lookup(world->view, "d/e/f/g", &node, &err), HF_NOTDIR);
    assert_int_equal(view_lookup(world->view, "..", &node, &err), HF_NOENT);
}

/* --- listing and walking -------------------------------------------------------------------------- */

struct listing {
    char text[256];
    size_t n, stop_after;
};

static int note(struct listing *listing, const char *name, size_t len)
{
    if (listing->n++ < 12)
        snprintf(listing->text + strlen(listing->text),
                 sizeof listing->text - strlen(listing->text), "%.*s,", (int)len, name);
    return listing->n == listing->stop_after ? 42 : 0;
}

static int visit_entry(struct slice name, const struct inode_record *record, void *arg)
{
    assert_int_equal(record->mtime, record->ino);
    return note(arg, (const char *)name.data, name.len);
}

static int visit_path(const char *path, const struct inode_record *record, void *arg)
{
    assert_int_equal(record->mtime, record->ino);
    return note(arg, path, strlen(path));
}

static int list(struct world *world, const char *path, struct listing *listing)
{
    struct view_node node;
    int rc;

    assert_int_equal(view_lookup(world->view, path, &node, NULL), HF_OK);
    rc = view_list(world->view, &node, visit_entry, listing, NULL);
    view_node_clear(&node);
    return rc;
}

static void a_directory_is_listed_in_byte_order(void **state)
{
    struct listing top = {0}, crowd = {0}, stopped = {.stop_after = 3}, file = {0};

    assert_int_equal(list(*state, "", &top), HF_OK);
    assert_string_equal(top.text, "a,big,crowd,d,x,");
    assert_int_equal(list(*state, "crowd", &crowd), HF_OK);
    assert_int_equal(crowd.n, CROWD);
    assert_int_equal(list(*state, "crowd", &stopped), 42);
    assert_int_equal(stopped.n, 3);
    assert_int_equal(list(*state, "a", &file), HF_NOTDIR);
}

static void a_walk_visits_parents_first_in_byte_order(void **state)
{
    struct world *world = *state;
    struct listing all = {0}, stopped = {.stop_after = 5};

    assert_int_equal(view_walk(world->view, visit_path, &all, NULL), HF_OK);
    assert_int_equal(all.n, CROWD + 8);
    assert_memory_equal(all.text, "a,big,crowd,crowd/00000,crowd/00001,", 36);
    assert_int_equal(view_walk(world->view, visit_path, &stopped, NULL), 42);
    assert_int_equal(stopped.n, 5);
}

/* --- contents ------------------------------------------------------------------------------------- */

static void read_at(struct world *world, const char *path, uint64_t offset, size_t len,
                    uint8_t *ret_data, size_t want)
{
    struct view_node node;
    size_t got;

    assert_int_equal(view_lookup(world->view, path, &node, NULL), HF_OK);
    assert_int_equal(view_read(world->view, &node, offset, len, ret_data, &got, NULL), HF_OK);
    assert_int_equal(got, want);
    view_node_clear(&node);
}

static void contents_are_read_at_any_offset(void **state)
{
    struct world *world = *state;
    const uint64_t offsets[] = {0, 1, 65535, 1000000, BIG_SIZE - 5000};
    uint8_t data[5000];

    for (size_t i = 0; i < 5; i++) {
        read_at(world, "big", offsets[i], sizeof data, data, sizeof data);
        for (size_t k = 0; k < sizeof data; k++)
            assert_int_equal(data[k], pattern(offsets[i] + k));
    }
    read_at(world, "big", BIG_SIZE - 7, sizeof data, data, 7);
    read_at(world, "big", BIG_SIZE, sizeof data, data, 0);
    read_at(world, "big", UINT64_MAX, sizeof data, data, 0);
    read_at(world, "a", 0, sizeof data, data, 6);
    assert_memory_equal(data, "hello\n", 6);
    read_at(world, "d/hard", 4, 1, data, 1);
    assert_memory_equal(data, "o", 1);
    read_at(world, "a", 6, sizeof data, data, 0);
    read_at(world, "a", UINT64_MAX, sizeof data, data, 0);
    read_at(world, "d/e/f", 0, sizeof data, data, 9);
    assert_memory_equal(data, "elsewhere", 9);
    read_at(world, "crowd/00007", 0, sizeof data, data, 0);
}

static void only_files_and_symlinks_are_read(void **state)
{
    struct world *world = *state;
    struct view_node node;
    uint8_t byte;
    size_t len;

    assert_int_equal(view_lookup(world->view, "crowd", &node, NULL), HF_OK);
    assert_int_equal(view_read(world->view, &node, 0, 1, &byte, &len, NULL), HF_ISDIR);
    view_node_clear(&node);
    assert_int_equal(view_lookup(world->view, "x", &node, NULL), HF_OK);
    assert_int_equal(view_read(world->view, &node, 0, 1, &byte, &len, NULL), HF_INVAL);
    view_node_clear(&node);
}

static void assert_xattrs(struct world *world, const char *path, struct slice want)
{
    struct view_node node;
    BUF_AUTO block = {0};

    assert_int_equal(view_lookup(world->view, path, &node, NULL), HF_OK);
    assert_int_equal(view_xattrs(world->view, &node, &block, NULL), HF_OK);
    assert_int_equal(slice_compare(buf_slice(&block), want), 0);
    view_node_clear(&node);
}

static void xattrs_are_read_wherever_they_are(void **state)
{
    struct world *world = *state;

    assert_xattrs(world, "a", (struct slice){0});
    assert_xattrs(world, "d/e/f", slice_of("\6\1\0user.kv", 10));
    assert_xattrs(world, "x", buf_slice(&world->long_block));
}

/* --- what is not a tree --------------------------------------------------------------------------- */

static void what_is_no_root_is_refused(void **state)
{
    struct world *world = *state;
    struct blob_sink sink = {.cache = world->cache};
    struct hf_error err = {0};
    struct object_id id;
    struct view *view;

    memset(id.bytes, 0x5a, sizeof id.bytes);
    assert_int_equal(view_open(world->cache, &id, &view, &err), HF_MISSING);
    assert_int_equal(blob_sink_add(&sink, OBJECT_CHUNK, text("no root"), NULL, &id, NULL), HF_OK);
    assert_int_equal(view_open(world->cache, &id, &view, &err), HF_NEWER);
    assert_int_equal(blob_sink_add(&sink, OBJECT_CHUNK, text("\1"), NULL, &id, NULL), HF_OK);
    assert_int_equal(view_open(world->cache, &id, &view, &err), HF_CORRUPT);
    blob_sink_clear(&sink);
}

/* A root whose only entry is a link, and whose link table is empty. */
static void a_link_without_its_inode_is_damage(void **state)
{
    struct world *world = *state;
    struct root_node root = {.next_ino = 10, .dir = inode(NODE_ROOT_INO, S_IFDIR | 0700)};
    struct blob_sink sink = {.cache = world->cache};
    struct dirmap *top = new_map(world);
    struct listing listing = {0};
    struct view_node node;
    struct object_id id;
    struct view *view;
    BUF_AUTO bytes = {0};

    put_link(top, "dangling", 5);
    assert_int_equal(dirmap_save(top, &sink, true, &root.dir.content, NULL), HF_OK);
    assert_int_equal(root_node_encode(&root, &bytes), HF_OK);
    assert_int_equal(blob_sink_add(&sink, OBJECT_ROOT, buf_slice(&bytes), NULL, &id, NULL), HF_OK);
    assert_int_equal(view_open(world->cache, &id, &view, NULL), HF_OK);
    assert_int_equal(view_lookup(view, "dangling", &node, NULL), HF_CORRUPT);
    assert_int_equal(view_walk(view, visit_path, &listing, NULL), HF_CORRUPT);
    view_free(view);
    dirmap_free(top);
    blob_sink_clear(&sink);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
        TEST(paths_are_resolved),
        TEST(names_of_one_inode_are_one_record),
        TEST(paths_that_lead_nowhere_are_refused_with_their_name),
        TEST(a_directory_is_listed_in_byte_order),
        TEST(a_walk_visits_parents_first_in_byte_order),
        TEST(contents_are_read_at_any_offset),
        TEST(only_files_and_symlinks_are_read),
        TEST(xattrs_are_read_wherever_they_are),
        TEST(what_is_no_root_is_refused),
        TEST(a_link_without_its_inode_is_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
