/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Random operations on a working tree and on a model of it, with commits and remounts in between: what
 * a path says must be the same in both, always, and after the tree is loaded again from the store.
 */
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "mount.h"

#define NODES_MAX 128
#define FILE_MAX 40000
#define PATH_SIZE 128

/** A file or directory of the model; links share `data` by index. */
struct data {
    uint8_t *bytes;
    size_t size;
    unsigned links;
};

struct node {
    bool used, dir;
    int parent; /* index; -1: the session's top */
    char name[8];
    int data; /* of a file */
};

struct model {
    struct node nodes[NODES_MAX];
    struct data data[NODES_MAX];
    uint64_t random;
};

static uint64_t next_random(struct model *model)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return model->random;
}

static size_t below(struct model *model, size_t n)
{
    return (size_t)(next_random(model) % n);
}

static void path_of(const struct model *model, int index, char *ret_path)
{
    char tail[PATH_SIZE], path[PATH_SIZE] = "";

    for (; index >= 0; index = model->nodes[index].parent) {
        memcpy(tail, path, sizeof tail);
        snprintf(path, sizeof path, "/%s%.100s", model->nodes[index].name, tail);
    }
    snprintf(ret_path, PATH_SIZE, "s%.120s", path);
}

static int find(const struct model *model, int parent, const char *name)
{
    for (int i = 0; i < NODES_MAX; i++)
        if (model->nodes[i].used && model->nodes[i].parent == parent &&
            strcmp(model->nodes[i].name, name) == 0)
            return i;
    return -1;
}

static bool is_below(const struct model *model, int index, int ancestor)
{
    for (; index >= 0; index = model->nodes[index].parent)
        if (index == ancestor)
            return true;
    return false;
}

static int depth(const struct model *model, int index)
{
    int n = 0;

    for (; index >= 0; index = model->nodes[index].parent)
        n++;
    return n;
}

/** A random directory; -1 is the top. */
static int pick_dir(struct model *model)
{
    for (int tries = 0; tries < 8; tries++) {
        int i = (int)below(model, NODES_MAX);

        if (model->nodes[i].used && model->nodes[i].dir && depth(model, i) < 6)
            return i;
    }
    return -1;
}

static int pick_any(struct model *model)
{
    for (int tries = 0; tries < 32; tries++) {
        int i = (int)below(model, NODES_MAX);

        if (model->nodes[i].used)
            return i;
    }
    return -1;
}

static bool is_empty(const struct model *model, int dir)
{
    for (int i = 0; i < NODES_MAX; i++)
        if (model->nodes[i].used && model->nodes[i].parent == dir)
            return false;
    return true;
}

static int new_node(struct model *model, int parent, const char *name, bool dir)
{
    for (int i = 0; i < NODES_MAX; i++)
        if (!model->nodes[i].used) {
            model->nodes[i] = (struct node){.used = true, .dir = dir, .parent = parent, .data = -1};
            snprintf(model->nodes[i].name, sizeof model->nodes[i].name, "%s", name);
            return i;
        }
    return -1;
}

static int new_data(struct model *model)
{
    for (int i = 0; i < NODES_MAX; i++)
        if (model->data[i].links == 0) {
            model->data[i].links = 1;
            model->data[i].size = 0;
            memset(model->data[i].bytes, 0, FILE_MAX);
            return i;
        }
    abort();
}

static void drop_node(struct model *model, int index)
{
    struct node *node = &model->nodes[index];

    node->used = false;
    if (!node->dir)
        model->data[node->data].links--;
}

static void random_name(struct model *model, char name[8])
{
    snprintf(name, 8, "n%u", (unsigned)below(model, 12));
}

/* --- operations --------------------------------------------------------------------------------- */

static void do_mkdir(struct mount *mount, struct model *model)
{
    char path[PATH_SIZE], full[PATH_SIZE + 16], name[8];
    int dir = pick_dir(model), expect, made;

    random_name(model, name);
    path_of(model, dir, path);
    snprintf(full, sizeof full, "%s/%s", path, name);
    expect = find(model, dir, name) >= 0 ? HF_EXIST : HF_OK;
    if (expect == HF_OK) {
        made = new_node(model, dir, name, true);
        if (made < 0)
            return;
    }
    assert_int_equal(mount_mkdir(mount, full, 0755), expect);
}

static void do_write(struct mount *mount, struct model *model)
{
    char path[PATH_SIZE], full[PATH_SIZE + 16], name[8];
    size_t offset = below(model, FILE_MAX / 2), len = 1 + below(model, FILE_MAX / 2);
    int dir = pick_dir(model), index;
    uint8_t bytes[FILE_MAX];
    struct data *data;

    if (below(model, 3) > 0) {
        offset = below(model, 2000);
        len = 1 + below(model, 300);
    }
    random_name(model, name);
    path_of(model, dir, path);
    snprintf(full, sizeof full, "%s/%s", path, name);
    index = find(model, dir, name);
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(next_random(model) >> 13);
    if (index >= 0 && model->nodes[index].dir) {
        assert_int_equal(mount_write(mount, full, offset, bytes, len), HF_ISDIR);
        return;
    }
    if (index < 0) {
        index = new_node(model, dir, name, false);
        if (index < 0)
            return;
        model->nodes[index].data = new_data(model);
    }
    data = &model->data[model->nodes[index].data];
    memcpy(data->bytes + offset, bytes, len);
    if (offset + len > data->size)
        data->size = offset + len;
    assert_int_equal(mount_write(mount, full, offset, bytes, len), HF_OK);
}

static void do_truncate(struct mount *mount, struct model *model)
{
    int index = pick_any(model);
    size_t size = below(model, FILE_MAX);
    char path[PATH_SIZE];
    struct data *data;

    if (index < 0 || model->nodes[index].dir)
        return;
    path_of(model, index, path);
    data = &model->data[model->nodes[index].data];
    if (size < data->size)
        memset(data->bytes + size, 0, data->size - size);
    data->size = size;
    assert_int_equal(mount_truncate(mount, path, size), HF_OK);
}

static void do_remove(struct mount *mount, struct model *model)
{
    int index = pick_any(model);
    char path[PATH_SIZE];

    if (index < 0)
        return;
    path_of(model, index, path);
    if (!model->nodes[index].dir) {
        assert_int_equal(mount_unlink(mount, path), HF_OK);
    } else if (!is_empty(model, index)) {
        assert_int_equal(mount_rmdir(mount, path), HF_NOTEMPTY);
        return;
    } else {
        assert_int_equal(mount_rmdir(mount, path), HF_OK);
    }
    drop_node(model, index);
}

static void do_link(struct mount *mount, struct model *model)
{
    char path[PATH_SIZE], dir_path[PATH_SIZE], full[PATH_SIZE + 16], name[8];
    int index = pick_any(model), dir = pick_dir(model), made;

    if (index < 0 || model->nodes[index].dir)
        return;
    random_name(model, name);
    path_of(model, index, path);
    path_of(model, dir, dir_path);
    snprintf(full, sizeof full, "%s/%s", dir_path, name);
    if (find(model, dir, name) >= 0) {
        assert_int_equal(mount_link(mount, path, full), HF_EXIST);
        return;
    }
    made = new_node(model, dir, name, false);
    if (made < 0)
        return;
    model->nodes[made].data = model->nodes[index].data;
    model->data[model->nodes[index].data].links++;
    assert_int_equal(mount_link(mount, path, full), HF_OK);
}

static int expect_rename(struct model *model, int from, int dir, int to)
{
    const struct node *source = &model->nodes[from];

    if (source->dir && is_below(model, dir, from))
        return HF_INVAL;
    if (to < 0 || to == from)
        return HF_OK;
    if (is_below(model, source->parent, to))
        return HF_NOTEMPTY;
    if (source->dir != model->nodes[to].dir)
        return source->dir ? HF_NOTDIR : HF_ISDIR;
    return source->dir && !is_empty(model, to) ? HF_NOTEMPTY : HF_OK;
}

static void do_rename(struct mount *mount, struct model *model)
{
    char path[PATH_SIZE], dir_path[PATH_SIZE], full[PATH_SIZE + 16], name[8];
    int from = pick_any(model), dir = pick_dir(model), to, expect;

    if (from < 0)
        return;
    random_name(model, name);
    path_of(model, from, path);
    path_of(model, dir, dir_path);
    snprintf(full, sizeof full, "%s/%s", dir_path, name);
    to = find(model, dir, name);
    expect = expect_rename(model, from, dir, to);
    assert_int_equal(mount_rename(mount, path, full, 0), expect);
    if (expect != HF_OK || to == from)
        return;
    if (to >= 0 && !model->nodes[from].dir && model->nodes[to].data == model->nodes[from].data)
        return; /* two names of one file: nothing happens */
    if (to >= 0)
        drop_node(model, to);
    model->nodes[from].parent = dir;
    snprintf(model->nodes[from].name, sizeof model->nodes[from].name, "%s", name);
}

static void swap_places(struct model *model, int a, int b)
{
    struct node x = model->nodes[a];

    model->nodes[a].parent = model->nodes[b].parent;
    memcpy(model->nodes[a].name, model->nodes[b].name, sizeof x.name);
    model->nodes[b].parent = x.parent;
    memcpy(model->nodes[b].name, x.name, sizeof x.name);
}

static void do_exchange(struct mount *mount, struct model *model)
{
    int a = pick_any(model), b = pick_any(model), expect = HF_OK;
    char path[PATH_SIZE], other[PATH_SIZE];

    if (a < 0 || b < 0 || a == b)
        return;
    path_of(model, a, path);
    path_of(model, b, other);
    if (is_below(model, model->nodes[b].parent, a) || is_below(model, model->nodes[a].parent, b))
        expect = HF_INVAL;
    assert_int_equal(mount_rename(mount, path, other, RENAME_EXCHANGE), expect);
    if (expect == HF_OK)
        swap_places(model, a, b);
}

/* --- comparing ---------------------------------------------------------------------------------- */

static void check_file(struct mount *mount, struct model *model, int index, const char *path)
{
    const struct data *data = &model->data[model->nodes[index].data];
    static char bytes[FILE_MAX + 2];
    struct tree_entry entry;

    assert_int_equal(mount_lookup(mount, path, &entry), HF_OK);
    assert_int_equal(entry.attr.st_size, data->size);
    assert_int_equal(entry.attr.st_nlink, data->links);
    assert_int_equal(mount_read_text(mount, path, bytes, sizeof bytes), HF_OK);
    assert_memory_equal(bytes, data->bytes, data->size);
}

static unsigned entries_in(const struct model *model, int dir, bool dirs_only)
{
    unsigned n = 0;

    for (int i = 0; i < NODES_MAX; i++)
        n += model->nodes[i].used && model->nodes[i].parent == dir &&
             (!dirs_only || model->nodes[i].dir);
    return n;
}

static void check_dir(struct mount *mount, struct model *model, int index, const char *path)
{
    struct tree_entry entry;
    char names[1024];
    unsigned n = 0;

    assert_int_equal(mount_lookup(mount, path, &entry), HF_OK);
    assert_int_equal(entry.attr.st_nlink, 2 + entries_in(model, index, true));
    assert_int_equal(mount_list(mount, path, names, sizeof names), HF_OK);
    for (const char *p = names; *p; p++)
        n += *p == ' ';
    assert_int_equal(n, entries_in(model, index, false));
}

static void check_all(struct mount *mount, struct model *model)
{
    char path[PATH_SIZE];

    for (int i = -1; i < NODES_MAX; i++) {
        if (i >= 0 && !model->nodes[i].used)
            continue;
        path_of(model, i, path);
        if (i < 0 || model->nodes[i].dir)
            check_dir(mount, model, i, path);
        else
            check_file(mount, model, i, path);
    }
}

/** The index row's totals are those of the model. */
static void check_totals(struct mount *mount, struct model *model)
{
    struct session_head head;
    uint64_t bytes = 0, files = 0;

    for (int i = 0; i < NODES_MAX; i++)
        if (model->data[i].links > 0) {
            bytes += model->data[i].size;
            files++;
        }
    assert_int_equal(store_session_find(mount->store, "s", &head, NULL), HF_OK);
    assert_int_equal(head.bytes, bytes);
    assert_int_equal(head.files, files);
}

/** Another mount takes over the same store. */
static void remount(struct mount *mount, const char *url)
{
    struct mount next;

    assert_int_equal(tree_close(mount->tree, NULL), HF_OK);
    mount_open(&next, url);
    store_close(mount->store);
    *mount = next;
}

static void step(struct mount *mount, struct model *model, const char *url)
{
    static void (*const operations[])(struct mount *, struct model *) = {
        do_write, do_write,  do_write,  do_write,  do_mkdir,  do_truncate,
        do_link,  do_remove, do_remove, do_rename, do_rename, do_exchange,
    };
    size_t draw = below(model, 40);

    if (draw > 2) {
        operations[draw % (sizeof operations / sizeof operations[0])](mount, model);
    } else if (draw == 2) {
        assert_int_equal(tree_commit_all(mount->tree, false, NULL), HF_OK);
        check_totals(mount, model);
    } else {
        if (draw == 1)
            remount(mount, url);
        check_all(mount, model);
    }
}

static uint64_t seed_of(void)
{
    const char *given = getenv("SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761U + 1;

    printf("SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed ? seed : 1;
}

static void tree_is_what_its_model_says(void **state)
{
    static struct model model;
    struct mount mount;
    char url[64];

    (void)state;
    model.random = seed_of();
    snprintf(url, sizeof url, "memory:model");
    for (int i = 0; i < NODES_MAX; i++)
        model.data[i].bytes = calloc(1, FILE_MAX);
    mount_open(&mount, url);
    assert_int_equal(mount_mkdir(&mount, "s", 0755), HF_OK);
    for (int i = 0; i < 4000; i++)
        step(&mount, &model, url);
    remount(&mount, url);
    check_all(&mount, &model);
    check_totals(&mount, &model);
    assert_int_equal(mount_close(&mount), HF_OK);
    for (int i = 0; i < NODES_MAX; i++)
        free(model.data[i].bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tree_is_what_its_model_says)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
