/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "object_store.h"
#include "tree/changes.h"
#include "tree/dirmap.h"
#include "tree/view.h"

#define FILES 220
#define CROWD 20000
#define LINKED 6
#define LINKED_INO 5000

struct world {
    struct object_store *objects;
    struct blob_cache *cache;
    struct blob_sink sink;
};

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    world->objects = object_store_new(NULL);
    world->cache = blob_cache_new(&world->objects->store, 1 << 22);
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

/* --- a tree that is made from numbers ---------------------------------------------------------------- */

/** The directories, each inside an earlier one. */
static const struct {
    const char *name;
    size_t parent;
} dirs[] = {{"", 0}, {"m", 0}, {"n", 1}, {"o", 2}, {"m.x", 0}};
#define DIRS (sizeof dirs / sizeof dirs[0])

enum { ABSENT, FILE_INSTEAD, PRESENT };

struct model {
    int dir[DIRS];            /* [0] is always PRESENT */
    uint32_t dir_value[DIRS]; /* what its record says beside its content */
    uint32_t
        file[DIRS]
            [CROWD + 1]; /* 0: not there; every seventh value is another name of a linked inode */
    uint32_t linked[LINKED]; /* values of the linked inodes */
    size_t files;            /* slots in use of each directory */
};

static struct inode_record inode(uint64_t ino, uint32_t mode, uint32_t value)
{
    return (struct inode_record){
        .ino = ino, .mode = mode | (value % 3 ? 0600 : 0644), .nlink = 1, .mtime = value};
}

static struct inode_record file_inode(uint64_t ino, uint32_t value, const uint32_t *data)
{
    struct inode_record record = inode(ino, S_IFREG, value % 100);

    if (value % 5 == 0)
        return record;
    record.content =
        (struct content){.kind = CONTENT_INLINE, .bytes = slice_of(data, sizeof *data)};
    record.size = record.allocated = sizeof *data;
    return record;
}

static void put(struct dirmap *map, struct slice name, const struct inode_record *record)
{
    BUF_AUTO bytes = {0};
    struct dir_entry entry = {.name = name, .ino = record->ino, .mode = record->mode};

    assert_int_equal(inode_record_encode(record, &bytes), HF_OK);
    entry.record = buf_slice(&bytes);
    assert_int_equal(dirmap_put(map, &entry, NULL), HF_OK);
}

static void put_files(struct dirmap *map, const struct model *model, size_t dir)
{
    char text[16];

    for (size_t i = 0; i < model->files; i++) {
        const uint32_t value = model->file[dir][i];
        struct slice name = slice_of(text, (size_t)snprintf(text, sizeof text, "f%05zu", i));
        struct inode_record record;

        if (value == 0)
            continue;
        if (value % 7 == 0) {
            struct dir_entry entry = {
                .name = name, .ino = LINKED_INO + value / 7 % LINKED, .mode = S_IFREG};

            assert_int_equal(dirmap_put(map, &entry, NULL), HF_OK);
            continue;
        }
        record = file_inode(10000 + dir * CROWD + i, value, &value);
        put(map, name, &record);
    }
}

/* `leaf` keeps the bytes of a LEAF in place. */
static void make_dir(struct world *world, const struct model *model, size_t dir, struct buf *leaf,
                     struct inode_record *ret_record)
{
    struct dirmap *map;
    struct content content;

    assert_int_equal(dirmap_open(world->cache, NULL, &map, NULL), HF_OK);
    put_files(map, model, dir);
    for (size_t i = 1; i < DIRS; i++) {
        struct inode_record record = file_inode(2 + i, model->dir_value[i], &model->dir_value[i]);

        if (dirs[i].parent != dir || model->dir[i] == ABSENT)
            continue;
        if (model->dir[i] == PRESENT)
            make_dir(world, model, i, leaf, &record);
        put(map, slice_of(dirs[i].name, strlen(dirs[i].name)), &record);
    }
    *ret_record = inode(dir == 0 ? NODE_ROOT_INO : 2 + dir, S_IFDIR, model->dir_value[dir] % 50);
    assert_int_equal(dirmap_save(map, &world->sink, dir == 0, &content, NULL), HF_OK);
    if (content.kind == CONTENT_LEAF) {
        assert_int_equal(buf_append(leaf, content.bytes.data, content.bytes.len), HF_OK);
        content.bytes = buf_slice(leaf);
    }
    ret_record->content = content;
    dirmap_free(map);
}

static struct object_id make_root(struct world *world, const struct model *model)
{
    struct root_node root = {.next_ino = 1 << 20};
    struct dirmap *links;
    struct object_id id;
    BUF_AUTO bytes = {0}, leaf = {0};

    make_dir(world, model, 0, &leaf, &root.dir);
    assert_int_equal(dirmap_open(world->cache, NULL, &links, NULL), HF_OK);
    for (size_t i = 0; i < LINKED; i++) {
        struct inode_record record =
            file_inode(LINKED_INO + i, model->linked[i], &model->linked[i]);
        char name[17];

        snprintf(name, sizeof name, "%016" PRIx64, record.ino);
        put(links, slice_of(name, 16), &record);
    }
    assert_int_equal(dirmap_save(links, &world->sink, true, &root.links, NULL), HF_OK);
    assert_int_equal(root_node_encode(&root, &bytes), HF_OK);
    assert_int_equal(blob_sink_add(&world->sink, OBJECT_ROOT, buf_slice(&bytes), NULL, &id, NULL),
                     HF_OK);
    assert_int_equal(blob_sink_flush(&world->sink, 0, NULL), HF_OK);
    dirmap_free(links);
    return id;
}

static struct model *random_model(size_t files)
{
    struct model *model = calloc(1, sizeof *model);

    model->files = files;
    for (size_t d = 0; d < DIRS; d++) {
        model->dir[d] = d == 0 ? PRESENT : (int)rng(8) < 6 ? PRESENT : (int)rng(2);
        model->dir_value[d] = (uint32_t)rng(1000);
        for (size_t i = 0; i < files; i++)
            model->file[d][i] = rng(4) ? (uint32_t)rng(1000) : 0;
    }
    for (size_t i = 0; i < LINKED; i++)
        model->linked[i] = (uint32_t)rng(1000) + 1;
    return model;
}

static void mutate(struct model *model)
{
    const size_t dir = rng(DIRS);

    switch (rng(10)) {
    case 0:
        if (dir > 0)
            model->dir[dir] = (int)rng(3);
        break;
    case 1:
        model->dir_value[dir] = (uint32_t)rng(1000);
        break;
    case 2:
        model->linked[rng(LINKED)] = (uint32_t)rng(1000) + 1;
        break;
    case 3: /* a run of names, so that whole nodes come and go */
        for (size_t i = rng(model->files), n = rng(100); i < model->files && n > 0; i++, n--)
            model->file[dir][i] = rng(2) ? 0 : (uint32_t)rng(1000);
        break;
    default:
        model->file[dir][rng(model->files)] = rng(3) ? (uint32_t)rng(1000) : 0;
    }
}

/* --- a tree as a list of paths ------------------------------------------------------------------------- */

struct path {
    char *name;
    struct buf record; /* without what is below a directory */
};

struct paths {
    struct path *paths;
    size_t count, cap;
};

static struct path *path_find(const struct paths *paths, const char *name)
{
    for (size_t i = 0; i < paths->count; i++)
        if (strcmp(paths->paths[i].name, name) == 0)
            return &paths->paths[i];
    return NULL;
}

static void encode(const struct inode_record *record, struct buf *out)
{
    struct inode_record plain = *record;

    if (S_ISDIR(record->mode))
        plain.content = (struct content){.kind = CONTENT_NONE};
    assert_int_equal(inode_record_encode(&plain, out), HF_OK);
}

static int path_add(const char *name, const struct inode_record *record, void *arg)
{
    struct paths *paths = arg;

    if (paths->count == paths->cap) {
        paths->cap = paths->cap ? 2 * paths->cap : 64;
        paths->paths = reallocarray(paths->paths, paths->cap, sizeof *paths->paths);
    }
    paths->paths[paths->count] = (struct path){.name = strdup(name)};
    encode(record, &paths->paths[paths->count++].record);
    return HF_OK;
}

static void path_remove(struct paths *paths, struct path *path)
{
    free(path->name);
    buf_free(&path->record);
    *path = paths->paths[--paths->count];
}

static void paths_clear(struct paths *paths)
{
    while (paths->count > 0)
        path_remove(paths, &paths->paths[0]);
    free(paths->paths);
    *paths = (struct paths){0};
}

static void list_paths(struct world *world, const struct object_id *root, struct paths *paths)
{
    struct view_node top;
    struct view *view;

    assert_int_equal(view_open(world->cache, root, &view, NULL), HF_OK);
    assert_int_equal(view_lookup(view, "", &top, NULL), HF_OK);
    path_add("", &top.record, paths);
    assert_int_equal(view_walk(view, path_add, paths, NULL), HF_OK);
    view_node_clear(&top);
    view_free(view);
}

static void assert_record(const struct path *path, const struct inode_record *record)
{
    BUF_AUTO bytes = {0};

    encode(record, &bytes);
    assert_int_equal(slice_compare(buf_slice(&path->record), buf_slice(&bytes)), 0);
}

/* Does to a list of paths what a change says, and checks that it could be done. */
static int apply(const struct change *change, void *arg)
{
    struct paths *paths = arg;
    struct path *path = path_find(paths, change->path);

    assert_true(!change->before == !path);
    assert_int_equal(change->kind, !change->before  ? CHANGE_ADDED
                                   : !change->after ? CHANGE_REMOVED
                                                    : CHANGE_MODIFIED);
    assert_true((change->kind == CHANGE_MODIFIED) == (change->what != 0));
    if (change->before)
        assert_record(path, change->before);
    if (change->kind == CHANGE_ADDED)
        return path_add(change->path, change->after, paths);
    if (change->kind == CHANGE_REMOVED) {
        path_remove(paths, path);
        return HF_OK;
    }
    assert_int_equal(change->before->mode & S_IFMT, change->after->mode & S_IFMT);
    path->record.len = 0;
    encode(change->after, &path->record);
    return HF_OK;
}

static void assert_same_paths(const struct paths *a, const struct paths *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct path *other = path_find(b, a->paths[i].name);

        assert_non_null(other);
        assert_int_equal(slice_compare(buf_slice(&a->paths[i].record), buf_slice(&other->record)),
                         0);
    }
}

/* --- the tests ------------------------------------------------------------------------------------------ */

static void changes_applied_to_the_first_give(struct world *world, const struct object_id *a,
                                              const struct object_id *b)
{
    struct paths from = {0}, to = {0};

    if (a)
        list_paths(world, a, &from);
    if (b)
        list_paths(world, b, &to);
    /* Of an empty tree, the top is neither added nor removed. */
    if (!a)
        path_add("", &(struct inode_record){.ino = 1, .mode = S_IFDIR, .nlink = 1}, &from);
    if (!b)
        path_add("", &(struct inode_record){.ino = 1, .mode = S_IFDIR, .nlink = 1}, &to);
    assert_int_equal(changes_walk(world->cache, a, b, apply, &from, NULL), HF_OK);
    if (!a || !b) {
        path_remove(&from, path_find(&from, ""));
        path_remove(&to, path_find(&to, ""));
    }
    assert_same_paths(&from, &to);
    paths_clear(&from);
    paths_clear(&to);
}

static void changes_applied_to_the_first_root_give_the_second(void **state)
{
    struct world *world = *state;

    seed_rng(0x600dc0de);
    for (int round = 0; round < 40; round++) {
        struct model *model = random_model(round % 2 ? FILES : 5);
        struct object_id a = make_root(world, model), b;

        for (size_t n = rng(12); n > 0; n--)
            mutate(model);
        b = make_root(world, model);
        changes_applied_to_the_first_give(world, &a, &b);
        free(model);
    }
}

static void an_empty_tree_is_on_either_side(void **state)
{
    struct world *world = *state;
    struct model *model;
    struct object_id root;

    seed_rng(0xe);
    model = random_model(20);
    root = make_root(world, model);
    changes_applied_to_the_first_give(world, NULL, &root);
    changes_applied_to_the_first_give(world, &root, NULL);
    changes_applied_to_the_first_give(world, NULL, NULL);
    free(model);
}

static int count(const struct change *change, void *arg)
{
    (void)change;
    ++*(size_t *)arg;
    return HF_OK;
}

/* The objects that are read anew, and the changes that are told. */
static void measure(struct world *world, const struct object_id *a, const struct object_id *b,
                    size_t *ret_read, size_t *ret_changes)
{
    struct blob_cache *cold = blob_cache_new(&world->objects->store, 1 << 22);
    const size_t before = world->objects->get_count;

    *ret_changes = 0;
    assert_int_equal(changes_walk(cold, a, b, count, ret_changes, NULL), HF_OK);
    *ret_read = world->objects->get_count - before;
    blob_cache_free(cold);
}

static struct model *crowd_model(void)
{
    struct model *model = calloc(1, sizeof *model);

    model->files = CROWD;
    for (size_t d = 0; d < DIRS; d++)
        model->dir[d] = PRESENT;
    for (size_t i = 0; i < CROWD; i++)
        model->file[2][i] = (uint32_t)(7 * i + 1);
    for (size_t i = 0; i < LINKED; i++)
        model->linked[i] = 1;
    model->file[2][17] = 7; /* one name of a linked inode */
    return model;
}

static void one_change_in_a_crowd_costs_a_few_nodes(void **state)
{
    struct world *world = *state;
    struct model *model = crowd_model();
    struct object_id a = make_root(world, model), b;
    size_t read, changes;

    model->file[2][CROWD / 2] = 2;
    model->file[2][CROWD / 3] = 0;
    model->linked[3] = 1;
    b = make_root(world, model);
    measure(world, &a, &b, &read, &changes);
    assert_int_equal(changes, 2);
    print_message("%zu objects read\n", read);
    assert_in_range(read, 1, 24);
    measure(world, &a, &a, &read, &changes);
    assert_int_equal(read + changes, 0);
    free(model);
}

static void a_linked_file_that_changed_is_found_by_all_its_names(void **state)
{
    struct world *world = *state;
    struct model *model = crowd_model();
    struct object_id a, b;
    size_t read, changes;

    model->file[0][3] = 7;
    model->file[1][3] = 7;
    a = make_root(world, model);
    model->linked[1] = 2;
    b = make_root(world, model);
    measure(world, &a, &b, &read, &changes);
    assert_int_equal(changes, 3);
    free(model);
}

static int stop_at_third(const struct change *change, void *arg)
{
    (void)change;
    return ++*(size_t *)arg == 3 ? 42 : 0;
}

static void a_visitor_can_stop_the_walk(void **state)
{
    struct world *world = *state;
    struct model *model = crowd_model();
    struct object_id root = make_root(world, model);
    size_t seen = 0;

    assert_int_equal(changes_walk(world->cache, NULL, &root, stop_at_third, &seen, NULL), 42);
    assert_int_equal(seen, 3);
    free(model);
}

static void reads_that_fail_are_told(void **state)
{
    struct world *world = *state;
    struct model *model = crowd_model();
    struct object_id a = make_root(world, model), b;
    size_t failures = 0, successes = 0;

    for (size_t i = 0; i < 400; i++)
        model->file[2][i * 50] = 0;
    b = make_root(world, model);
    seed_rng(0xfa11);
    world->objects->random = rng_state;
    for (int i = 0; i < 60; i++) {
        struct blob_cache *cold = blob_cache_new(&world->objects->store, 1 << 16);
        struct hf_error err = {0};
        size_t changes = 0;
        int rc;

        world->objects->fail_gets_every = i % 2 ? 400 : 7;
        rc = changes_walk(cold, &a, &b, count, &changes, &err);
        assert_true(rc == HF_OK || rc == HF_IO);
        assert_true(rc != HF_OK || changes == 400);
        *(rc == HF_OK ? &successes : &failures) += 1;
        blob_cache_free(cold);
    }
    world->objects->fail_gets_every = 0;
    assert_true(failures > 0 && successes > 0);
    free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(changes_applied_to_the_first_root_give_the_second,
                                        world_open, world_close),
        cmocka_unit_test_setup_teardown(an_empty_tree_is_on_either_side, world_open, world_close),
        cmocka_unit_test_setup_teardown(one_change_in_a_crowd_costs_a_few_nodes, world_open,
                                        world_close),
        cmocka_unit_test_setup_teardown(a_linked_file_that_changed_is_found_by_all_its_names,
                                        world_open, world_close),
        cmocka_unit_test_setup_teardown(a_visitor_can_stop_the_walk, world_open, world_close),
        cmocka_unit_test_setup_teardown(reads_that_fail_are_told, world_open, world_close),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
