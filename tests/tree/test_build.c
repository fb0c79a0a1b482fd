/* SPDX-License-Identifier: Apache-2.0 */
/* Roots that are built without a mount. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "object_store.h"
#include "tree/build.h"
#include "tree/view.h"

#define KIB ((size_t)1024)
#define MIB (1024 * KIB)

struct world {
    struct object_store *objects;
    struct blob_cache *cache;
};

/** A root, with the sizes that a head would have. */
struct head {
    struct object_id root;
    uint64_t bytes, files;
};

static uint64_t rng_state;

static uint64_t rng(uint64_t n)
{
    rng_state = htable_hash_u64(rng_state + 0x9e3779b97f4a7c15ULL);
    return rng_state % n;
}

static void open_with(struct world *world, const struct chunker_params *params)
{
    world->objects = object_store_new(params);
    world->cache = blob_cache_new(&world->objects->store, 256 * KIB);
}

static void close_all(struct world *world)
{
    blob_cache_free(world->cache);
    object_store_free(world->objects);
}

static int world_open(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    open_with(world, NULL);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    close_all(*state);
    free(*state);
    return 0;
}

static const struct build_attr top_attr = {.mode = S_IFDIR | 0700, .uid = 7, .mtime = 70};
static const struct build_attr dir_attr = {.mode = S_IFDIR | 0755, .mtime = 71};
static const struct build_attr file_attr = {.mode = S_IFREG | 0644, .gid = 8, .mtime = 72};
static const struct build_attr link_attr = {.mode = S_IFLNK | 0777};

static struct build *build_from(struct world *world, const struct head *base)
{
    struct build *build;

    assert_int_equal(build_open(world->cache, 0, base ? &base->root : NULL, base ? NULL : &top_attr,
                                &build, NULL),
                     HF_OK);
    return build;
}

/** Finishes, and puts the root into the store, which checks that all of it is there. */
static size_t finish(struct world *world, struct build *build, const struct head *base,
                     struct head *ret_head)
{
    struct commit commit = {0};
    size_t n;

    if (base)
        commit.meta = (struct session_meta){.bytes = base->bytes, .files = base->files};
    assert_int_equal(build_finish(build, &commit, NULL), HF_OK);
    n = commit.nobjects;
    assert_int_equal(store_put(&world->objects->store, 0, commit.objects, n, NULL), HF_OK);
    *ret_head =
        (struct head){.root = commit.root, .bytes = commit.meta.bytes, .files = commit.meta.files};
    build_free(build);
    return n;
}

static int read_slice(void *arg, uint8_t *ret_data, size_t size, size_t *ret_len,
                      struct hf_error *err)
{
    struct slice *rest = arg;
    size_t n = rest->len < size ? rest->len : size;

    (void)err;
    if (n > 0)
        memcpy(ret_data, rest->data, n);
    rest->data += n;
    rest->len -= n;
    *ret_len = n;
    return HF_OK;
}

static int put(struct build *build, const char *path, const struct build_attr *attr,
               struct slice data)
{
    return build_put(build, path, attr, read_slice, &data, NULL);
}

static int put_text(struct build *build, const char *path, const char *text)
{
    return put(build, path, &file_attr, slice_of(text, strlen(text)));
}

static struct view *view_of(struct world *world, const struct head *head)
{
    struct view *view;

    assert_int_equal(view_open(world->cache, &head->root, &view, NULL), HF_OK);
    return view;
}

static void assert_text(struct view *view, const char *path, const char *text)
{
    struct view_node node;
    char data[256];
    size_t len;

    assert_int_equal(view_lookup(view, path, &node, NULL), HF_OK);
    assert_int_equal(view_read(view, &node, 0, sizeof data, (uint8_t *)data, &len, NULL), HF_OK);
    assert_int_equal(len, strlen(text));
    assert_memory_equal(data, text, len);
    view_node_clear(&node);
}

static struct inode_record record_of(struct view *view, const char *path)
{
    struct inode_record record;
    struct view_node node;

    assert_int_equal(view_lookup(view, path, &node, NULL), HF_OK);
    record = node.record;
    view_node_clear(&node);
    return record;
}

/* --- what is built ------------------------------------------------------------------------------ */

static void every_type_of_file_is_read_back(void **state)
{
    static const struct build_attr device = {
        .mode = S_IFCHR | 0600, .rdev_major = 4, .rdev_minor = 5};
    static const struct build_attr fifo = {.mode = S_IFIFO | 0600, .rdev_major = 4};
    struct world *world = *state;
    struct build *build = build_from(world, NULL);
    struct inode_record record;
    struct head head;
    struct view *view;

    assert_int_equal(build_mkdir(build, "d", &dir_attr, NULL), HF_OK);
    assert_int_equal(build_mkdir(build, "d/e", &dir_attr, NULL), HF_OK);
    assert_int_equal(put_text(build, "d/e/f", "hello"), HF_OK);
    assert_int_equal(build_symlink(build, "s", "d/e/f", &link_attr, NULL), HF_OK);
    assert_int_equal(build_mknod(build, "d/c", &device, NULL), HF_OK);
    assert_int_equal(build_mknod(build, "d/p", &fifo, NULL), HF_OK);
    assert_int_equal(put_text(build, "empty", ""), HF_OK);
    finish(world, build, NULL, &head);
    assert_int_equal(head.bytes, 5);
    assert_int_equal(head.files, 2);

    view = view_of(world, &head);
    assert_text(view, "d/e/f", "hello");
    assert_text(view, "s", "d/e/f");
    assert_text(view, "empty", "");
    record = record_of(view, "");
    assert_int_equal(record.mode, top_attr.mode);
    assert_int_equal(record.uid, 7);
    assert_int_equal(record.mtime, 70);
    assert_int_equal(record.nlink, 3);
    assert_int_equal(record_of(view, "d").nlink, 3);
    assert_int_equal(record_of(view, "d").mtime, 71);
    assert_int_equal(record_of(view, "d/c").rdev_minor, 5);
    assert_int_equal(record_of(view, "d/p").rdev_major, 0);
    assert_int_equal(record_of(view, "d/e/f").gid, 8);
    view_free(view);
}

static void xattrs_of_any_size_are_kept(void **state)
{
    struct world *world = *state;
    struct build *build = build_from(world, NULL);
    struct build_attr attr = file_attr;
    BUF_AUTO small = {0}, large = {0}, got = {0};
    uint8_t value[2000] = {1, 2, 3};
    struct view_node node;
    struct head head;
    struct view *view;

    xattr_block_append(&small, slice_of("user.a", 6), slice_of("x", 1));
    xattr_block_append(&large, slice_of("user.b", 6), slice_of(value, sizeof value));
    attr.xattrs = buf_slice(&small);
    assert_int_equal(put(build, "small", &attr, (struct slice){0}), HF_OK);
    attr = dir_attr;
    attr.xattrs = buf_slice(&large);
    assert_int_equal(build_mkdir(build, "large", &attr, NULL), HF_OK);
    /* It is left, and saved, with something in it. */
    assert_int_equal(put_text(build, "large/f", "x"), HF_OK);
    attr.xattrs = slice_of("\xff", 1);
    assert_int_equal(build_mkdir(build, "bad", &attr, NULL), HF_INVAL);
    finish(world, build, NULL, &head);

    view = view_of(world, &head);
    assert_int_equal(view_lookup(view, "small", &node, NULL), HF_OK);
    assert_int_equal(view_xattrs(view, &node, &got, NULL), HF_OK);
    assert_int_equal(slice_compare(buf_slice(&got), buf_slice(&small)), 0);
    view_node_clear(&node);
    got.len = 0;
    assert_int_equal(view_lookup(view, "large", &node, NULL), HF_OK);
    assert_int_equal(view_xattrs(view, &node, &got, NULL), HF_OK);
    assert_int_equal(slice_compare(buf_slice(&got), buf_slice(&large)), 0);
    view_node_clear(&node);
    view_free(view);
}

static void names_of_one_inode_share_what_is_done_to_it(void **state)
{
    struct world *world = *state;
    struct build *build = build_from(world, NULL);
    struct head first, second;
    struct view *view;

    assert_int_equal(put_text(build, "a", "one two three"), HF_OK);
    assert_int_equal(build_mkdir(build, "d", &dir_attr, NULL), HF_OK);
    assert_int_equal(build_link(build, "d/b", "a", NULL), HF_OK);
    assert_int_equal(build_link(build, "d/b", "a", NULL), HF_OK);
    assert_int_equal(build_link(build, "d/c", "d/b", NULL), HF_OK);
    assert_int_equal(build_link(build, "e", "d", NULL), HF_PERM);
    assert_int_equal(build_link(build, "e", "none", NULL), HF_NOENT);
    finish(world, build, NULL, &first);
    assert_int_equal(first.bytes, 13);
    assert_int_equal(first.files, 1);

    build = build_from(world, &first);
    assert_int_equal(build_splice(build, "d/c", 4, 7, slice_of("2", 1), 99, NULL), HF_OK);
    assert_int_equal(build_remove(build, "a", NULL), HF_OK);
    finish(world, build, &first, &second);
    assert_int_equal(second.bytes, 11);
    assert_int_equal(second.files, 1);
    view = view_of(world, &second);
    assert_text(view, "d/b", "one 2 three");
    assert_int_equal(record_of(view, "d/b").nlink, 2);
    assert_int_equal(record_of(view, "d/b").mtime, 99);
    view_free(view);

    build = build_from(world, &second);
    assert_int_equal(build_remove(build, "d/b", NULL), HF_OK);
    assert_int_equal(put_text(build, "d/c", "4444"), HF_OK);
    finish(world, build, &second, &second);
    assert_int_equal(second.bytes, 4);
    assert_int_equal(second.files, 1);
    view = view_of(world, &first); /* what was before is as it was */
    assert_text(view, "d/b", "one two three");
    view_free(view);
}

static void what_cannot_be_is_refused(void **state)
{
    static const char *const bad[] = {"",   "/a",     "a/",  "a//b",      ".",
                                      "..", "a/../b", "d/.", ".holdfast", ".holdfast/x"};
    struct world *world = *state;
    struct build *build = build_from(world, NULL);
    char name[NODE_NAME_MAX + 2];
    struct head head;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(put_text(build, bad[i], "x"), HF_INVAL);
    memset(name, 'n', sizeof name);
    name[NODE_NAME_MAX + 1] = '\0';
    assert_int_equal(put_text(build, name, "x"), HF_NAMETOOLONG);
    name[NODE_NAME_MAX] = '\0';
    assert_int_equal(put_text(build, name, "x"), HF_OK);

    assert_int_equal(build_mkdir(build, "d", &dir_attr, NULL), HF_OK);
    assert_int_equal(build_mkdir(build, "d", &dir_attr, NULL), HF_EXIST);
    assert_int_equal(put_text(build, "d", "x"), HF_EXIST);
    assert_int_equal(put_text(build, "d/.holdfast", "x"), HF_OK);
    assert_int_equal(put_text(build, "none/f", "x"), HF_NOENT);
    assert_int_equal(put_text(build, "d/.holdfast/f", "x"), HF_NOTDIR);
    assert_int_equal(build_mkdir(build, "d/.holdfast", &dir_attr, NULL), HF_EXIST);
    assert_int_equal(build_remove(build, "d", NULL), HF_NOTEMPTY);
    assert_int_equal(build_remove(build, "none", NULL), HF_NOENT);
    assert_int_equal(build_splice(build, "d", 0, 0, (struct slice){0}, 0, NULL), HF_INVAL);
    assert_int_equal(build_splice(build, "d/.holdfast", 0, 2, (struct slice){0}, 0, NULL),
                     HF_INVAL);
    assert_int_equal(build_mkdir(build, "x", &file_attr, NULL), HF_INVAL);
    assert_int_equal(put(build, "x", &dir_attr, (struct slice){0}), HF_INVAL);
    assert_int_equal(build_symlink(build, "x", "", &link_attr, NULL), HF_INVAL);
    assert_int_equal(build_mknod(build, "x", &file_attr, NULL), HF_INVAL);
    finish(world, build, NULL, &head);
    assert_int_equal(head.files, 2);
}

static void workspace_yaml_gives_the_strings_of_the_index(void **state)
{
    struct world *world = *state;
    struct build *build = build_from(world, NULL);
    struct commit commit = {0};

    assert_int_equal(put_text(build, "workspace.yaml", "id: x\nbranch: main\ncwd: /home\n"), HF_OK);
    assert_int_equal(build_finish(build, &commit, NULL), HF_OK);
    assert_true(commit.meta_strings_valid);
    assert_string_equal(commit.meta.branch, "main");
    assert_string_equal(commit.meta.cwd, "/home");
    assert_null(commit.meta.repository);
    build_free(build);
}

static void root_that_is_not_there_is_missing(void **state)
{
    struct world *world = *state;
    struct object_id root = {{1, 2, 3}};
    struct build *build;

    assert_int_equal(build_open(world->cache, 0, &root, NULL, &build, NULL), HF_MISSING);
}

static void nothing_changed_gives_the_same_root(void **state)
{
    struct world *world = *state;
    struct build *build = build_from(world, NULL);
    struct head first, second;

    assert_int_equal(build_mkdir(build, "d", &dir_attr, NULL), HF_OK);
    assert_int_equal(put_text(build, "d/f", "x"), HF_OK);
    finish(world, build, NULL, &first);
    finish(world, build_from(world, &first), &first, &second);
    assert_memory_equal(&first.root, &second.root, sizeof first.root);
    assert_int_equal(second.bytes, 1);
}

/* --- cost --------------------------------------------------------------------------------------- */

static void splice_in_a_long_file_costs_the_chunks_around_it(void **state)
{
    struct world *world = *state;
    struct build *build = build_from(world, NULL);
    uint8_t *data = malloc(30 * MIB);
    struct head first, second;

    for (size_t i = 0; i < 30 * MIB; i++)
        data[i] = (uint8_t)htable_hash_u64(i / 7);
    assert_int_equal(build_mkdir(build, "d", &dir_attr, NULL), HF_OK);
    assert_int_equal(put(build, "d/log", &file_attr, slice_of(data, 30 * MIB)), HF_OK);
    assert_in_range(finish(world, build, NULL, &first), 1, 4096);
    assert_true(world->objects->puts > 3);
    blob_cache_free(world->cache);
    world->cache = blob_cache_new(&world->objects->store, MIB);

    world->objects->get_count = 0;
    build = build_from(world, &first);
    assert_int_equal(build_splice(build, "d/log", 100, 136, slice_of("abc", 3), 1, NULL), HF_OK);
    assert_int_equal(build_splice(build, "d/log", 20 * MIB, 20 * MIB, slice_of("abc", 3), 1, NULL),
                     HF_OK);
    assert_in_range(finish(world, build, &first, &second), 4, 20);
    assert_in_range(world->objects->get_count, 1, 30);
    assert_int_equal(second.bytes, 30 * MIB - 30);
    free(data);
}

static int count_entry(struct slice name, const struct inode_record *record, void *arg)
{
    (void)name;
    (void)record;
    ++*(size_t *)arg;
    return 0;
}

static void crowded_directories_move_to_the_store_on_the_way(void **state)
{
    struct world *world = *state;
    struct build *build = build_from(world, NULL);
    struct view_node node;
    struct head head;
    struct view *view;
    char path[32];
    size_t n = 0;

    assert_int_equal(build_mkdir(build, "d", &dir_attr, NULL), HF_OK);
    for (unsigned i = 0; i < 30000; i++) {
        snprintf(path, sizeof path, "d/%05u", i * 7919 % 30000);
        assert_int_equal(put_text(build, path, "some text"), HF_OK);
    }
    assert_in_range(finish(world, build, NULL, &head), 1, 6000);
    assert_int_equal(head.files, 30000);
    view = view_of(world, &head);
    assert_int_equal(view_lookup(view, "d", &node, NULL), HF_OK);
    assert_int_equal(view_list(view, &node, count_entry, &n, NULL), HF_OK);
    assert_int_equal(n, 30000);
    assert_text(view, "d/12345", "some text");
    view_node_clear(&node);
    view_free(view);
}

/* --- properties --------------------------------------------------------------------------------- */

static size_t random_size(size_t max)
{
    size_t scale = rng(3) == 0 ? 20 : rng(2) ? 1500 : 40000;
    size_t n = (size_t)rng(scale);

    return n < max ? n : max;
}

static void random_bytes(uint8_t *data, size_t len)
{
    uint64_t seed = rng(50);

    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)htable_hash_u64(seed * 77 + i / 3);
}

/** Some splices of one file, in the model and in the build. */
static void splice_some(struct build *build, struct buf *model)
{
    for (unsigned i = 0, n = 1 + (unsigned)rng(4); i < n; i++) {
        size_t start = (size_t)rng(model->len + 1);
        size_t end = start + random_size(model->len - start), len = random_size(50000);
        uint8_t *data = malloc(len + 1);
        BUF_AUTO next = {0};

        random_bytes(data, len);
        buf_append(&next, model->data, start);
        buf_append(&next, data, len);
        buf_append(&next, model->data + end, model->len - end);
        assert_int_equal(build_splice(build, "f", start, end, slice_of(data, len), 5, NULL), HF_OK);
        buf_free(model);
        *model = next;
        next = (struct buf){0};
        free(data);
    }
}

/** A file under one or two names, written whole. */
static void write_whole(struct world *world, struct slice data, bool linked, int64_t time,
                        struct head *ret_head)
{
    struct build *build = build_from(world, NULL);
    struct build_attr attr = file_attr;

    attr.mtime = attr.ctime = time;
    assert_int_equal(put(build, "f", &attr, data), HF_OK);
    if (linked)
        assert_int_equal(build_link(build, "g", "f", NULL), HF_OK);
    finish(world, build, NULL, ret_head);
}

static void spliced_file_equals_one_that_is_written_whole(void **state)
{
    struct world world;

    (void)state;
    for (unsigned round = 0; round < 60; round++) {
        struct chunker_params small = {64, 256, 1024};
        BUF_AUTO model = {0};
        struct head head, whole;
        size_t size = random_size(40000);

        open_with(&world, round % 3 ? &small : NULL);
        buf_reserve(&model, size + 1);
        random_bytes(model.data, size);
        model.len = size;
        write_whole(&world, buf_slice(&model), round % 2, 5, &head);
        for (unsigned i = 0; i < 10; i++) {
            struct build *build = build_from(&world, &head);

            splice_some(build, &model);
            finish(&world, build, &head, &head);
            write_whole(&world, buf_slice(&model), round % 2, 5, &whole);
            assert_memory_equal(&head.root, &whole.root, sizeof head.root);
            assert_int_equal(head.bytes, model.len);
        }
        close_all(&world);
    }
}

/** A path of at most three parts, of few names. */
static void random_path(char path[16])
{
    static const char names[] = "abc";
    size_t n = 0;

    for (unsigned depth = 1 + (unsigned)rng(3); depth > 0; depth--) {
        if (n > 0)
            path[n++] = '/';
        path[n++] = names[rng(3)];
    }
    path[n] = '\0';
}

/** One change, drawn from the generator. */
static int change(struct build *build)
{
    uint64_t kind = rng(10);
    uint8_t data[3000];
    size_t len = (size_t)rng(sizeof data);
    char path[16], other[16];

    random_path(path);
    random_path(other);
    random_bytes(data, len);
    if (kind < 3)
        return build_mkdir(build, path, &dir_attr, NULL);
    if (kind < 5)
        return put(build, path, &file_attr, slice_of(data, len));
    if (kind < 6)
        return build_symlink(build, path, other, &link_attr, NULL);
    if (kind < 8)
        return build_link(build, path, other, NULL);
    if (kind < 9)
        return build_splice(build, path, 0, 0, slice_of(data, len), 3, NULL);
    return build_remove(build, path, NULL);
}

struct names {
    uint64_t bytes, files;
    struct {
        uint32_t nlink, seen;
    } inodes[4096];
};

static int count_name(const char *path, const struct inode_record *record, void *arg)
{
    struct names *names = arg;

    (void)path;
    assert_true(record->ino < 4096);
    names->inodes[record->ino].nlink = record->nlink;
    if (names->inodes[record->ino].seen++ == 0 && S_ISREG(record->mode)) {
        names->bytes += record->size;
        names->files++;
    }
    if (S_ISDIR(record->mode))
        names->inodes[record->ino].seen = record->nlink;
    return 0;
}

/** Link counts and sizes are what a walk finds. */
static void check_counts(struct world *world, const struct head *head)
{
    struct names *names = calloc(1, sizeof *names);
    struct view *view = view_of(world, head);

    assert_int_equal(view_walk(view, count_name, names, NULL), HF_OK);
    for (size_t i = 0; i < 4096; i++)
        assert_int_equal(names->inodes[i].nlink, names->inodes[i].seen);
    assert_int_equal(head->bytes, names->bytes);
    assert_int_equal(head->files, names->files);
    view_free(view);
    free(names);
}

static void changes_one_by_one_equal_those_made_at_once(void **state)
{
    struct world *world = *state;

    for (unsigned round = 0; round < 40; round++) {
        struct build *at_once = build_from(world, NULL);
        struct head head, together;
        uint64_t seed = rng_state;

        finish(world, build_from(world, NULL), NULL, &head);
        for (unsigned i = 0; i < 60; i++) {
            struct build *build = build_from(world, &head);
            uint64_t before = rng_state;
            int rc = change(build);

            rng_state = before;
            assert_int_equal(change(at_once), rc);
            if (rc == HF_OK)
                finish(world, build, &head, &head);
            else
                build_free(build);
        }
        finish(world, at_once, NULL, &together);
        check_counts(world, &head);
        if (memcmp(&head.root, &together.root, sizeof head.root) != 0)
            fail_msg("roots differ with the generator at %#llx", (unsigned long long)seed);
        assert_int_equal(head.bytes, together.bytes);
        assert_int_equal(head.files, together.files);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(every_type_of_file_is_read_back),
        T(xattrs_of_any_size_are_kept),
        T(names_of_one_inode_share_what_is_done_to_it),
        T(what_cannot_be_is_refused),
        T(workspace_yaml_gives_the_strings_of_the_index),
        T(root_that_is_not_there_is_missing),
        T(nothing_changed_gives_the_same_root),
        T(splice_in_a_long_file_costs_the_chunks_around_it),
        T(crowded_directories_move_to_the_store_on_the_way),
        cmocka_unit_test(spliced_file_equals_one_that_is_written_whole),
        T(changes_one_by_one_equal_those_made_at_once),
    };
    const char *given = getenv("HOLDFAST_SEED");

    rng_state = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    print_message("seed %llu\n", (unsigned long long)rng_state);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
