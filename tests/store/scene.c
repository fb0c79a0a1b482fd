/* SPDX-License-Identifier: Apache-2.0 */
#include "scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#define CHUNK 16384

void scene_init(struct scene *scene, const struct store *store)
{
    *scene = (struct scene){.hasher = store_info(store)->hasher, .next_ino = NODE_ROOT_INO + 1};
}

void scene_clear(struct scene *scene)
{
    for (size_t i = 0; i < scene->n; i++)
        free((void *)scene->objects[i].content.data);
    free(scene->objects);
    *scene = (struct scene){.hasher = scene->hasher, .next_ino = NODE_ROOT_INO + 1};
}

struct object_id scene_add(struct scene *scene, enum object_kind kind, const void *data, size_t len)
{
    struct object object = {.kind = kind};
    uint8_t *copy = malloc(len + 1);

    assert_non_null(copy);
    if (len > 0)
        memcpy(copy, data, len);
    object.content = slice_of(copy, len);
    assert_int_equal(object_id_compute(&scene->hasher, kind, copy, len, &object.id), HF_OK);
    if (scene->n == scene->cap) {
        scene->cap = scene->cap ? scene->cap * 2 : 16;
        scene->objects = reallocarray(scene->objects, scene->cap, sizeof object);
        assert_non_null(scene->objects);
    }
    scene->objects[scene->n++] = object;
    return object.id;
}

void scene_fill(uint64_t seed, void *ret_data, size_t len)
{
    static const char digits[] = "abcdefghijklmnopqrstuvwxyz012345";
    char *out = ret_data;

    for (size_t i = 0; i < len; i++) {
        seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
        out[i] = digits[seed >> 59];
    }
}

/* --- trees of nodes ------------------------------------------------------------------------------------ */

/* A level of a tree under construction: its nodes as items for the level above. */
struct level {
    struct dir_child dirs[64];
    struct file_child files[64];
    char names[64][NODE_NAME_MAX + 1];
    size_t n;
};

static void end_node(struct scene *scene, struct node_writer *writer, struct level *level,
                     struct slice first, uint64_t weight)
{
    size_t i = level->n++;

    assert_true(i < 64);
    memcpy(level->names[i], first.data, first.len);
    level->dirs[i].first = slice_of(level->names[i], first.len);
    level->dirs[i].count = level->files[i].len = weight;
    level->dirs[i].id = scene_add(scene, writer->kind, writer->bytes.data, writer->bytes.len);
    level->files[i].id = level->dirs[i].id;
}

/* Writes interior levels above `level` until one node is left. */
static struct node_ref crown(struct scene *scene, enum object_kind kind, struct level *level)
{
    struct node_writer writer = {0};
    uint8_t height = 0;

    while (level->n > 1) {
        struct level *above = calloc(1, sizeof *above);
        uint64_t weight = 0;
        size_t first = 0;

        assert_non_null(above);
        height++;
        for (size_t i = 0; i < level->n; i++) {
            if (i == first)
                assert_int_equal(node_writer_start(&writer, kind, height), HF_OK);
            weight += level->dirs[i].count;
            if (kind == OBJECT_DIR)
                assert_int_equal(node_writer_dir_child(&writer, &level->dirs[i]), HF_OK);
            else
                assert_int_equal(node_writer_file_child(&writer, &level->files[i]), HF_OK);
            if (!node_writer_at_boundary(&writer) && i + 1 < level->n)
                continue;
            end_node(scene, &writer, above, level->dirs[first].first, weight);
            weight = 0;
            first = i + 1;
        }
        *level = *above;
        for (size_t i = 0; i < level->n; i++)
            level->dirs[i].first.data = (const uint8_t *)level->names[i];
        free(above);
    }
    buf_free(&writer.bytes);
    return (struct node_ref){height, level->files[0].id};
}

static void cut_chunks(struct scene *scene, const struct scene_node *node, struct extent *extents,
                       size_t *ret_n)
{
    size_t n = 0;

    for (size_t at = 0; at < node->len; at += CHUNK) {
        size_t len = node->len - at < CHUNK ? node->len - at : CHUNK;

        extents[n].len = len;
        extents[n].hole = false;
        extents[n++].id = scene_add(scene, OBJECT_CHUNK, (const uint8_t *)node->data + at, len);
    }
    *ret_n = n;
}

static struct node_ref file_tree(struct scene *scene, const struct extent *extents, size_t n)
{
    struct level *level = calloc(1, sizeof *level);
    struct node_writer writer = {0};
    struct node_ref ref;
    uint64_t weight = 0;
    bool open = false;

    assert_non_null(level);
    for (size_t i = 0; i < n; i++) {
        if (!open)
            assert_int_equal(node_writer_start(&writer, OBJECT_FILE, 0), HF_OK);
        open = true;
        assert_int_equal(node_writer_extent(&writer, &extents[i]), HF_OK);
        weight += extents[i].len;
        if (!node_writer_at_boundary(&writer) && i + 1 < n)
            continue;
        end_node(scene, &writer, level, slice_of("", 0), weight);
        weight = 0;
        open = false;
    }
    ref = crown(scene, OBJECT_FILE, level);
    buf_free(&writer.bytes);
    free(level);
    return ref;
}

/* Fills in size and content of a regular file; `bytes` keeps what the record points to. */
static void file_content(struct scene *scene, const struct scene_node *node,
                         struct inode_record *record, struct buf *bytes)
{
    struct extent *extents = calloc(node->len / CHUNK + 1, sizeof *extents);
    size_t n;

    assert_non_null(extents);
    record->size = record->allocated = node->len;
    if (node->len > 0 && node->len <= NODE_INLINE_MAX) {
        record->content.kind = CONTENT_INLINE;
        record->content.bytes = slice_of(node->data, node->len);
    } else if (node->len > 0) {
        cut_chunks(scene, node, extents, &n);
        record->content.kind = n <= NODE_EXTENTS_INLINE ? CONTENT_EXTENTS : CONTENT_FILE;
        for (size_t i = 0; n <= NODE_EXTENTS_INLINE && i < n; i++)
            assert_int_equal(content_extents_append(bytes, &extents[i]), HF_OK);
        record->content.bytes = buf_slice(bytes);
        if (n > NODE_EXTENTS_INLINE)
            record->content.ref = file_tree(scene, extents, n);
    }
    scene->bytes += node->len;
    scene->files++;
    free(extents);
}

static struct content dir_content(struct scene *scene, const struct scene_node *nodes, size_t n,
                                  bool in_root, struct buf *leaf);

static void encode_node(struct scene *scene, const struct scene_node *node, struct buf *out)
{
    struct inode_record record = {.ino = scene->next_ino++, .mtime = 1000000007, .nlink = 1};
    BUF_AUTO bytes = {0};
    BUF_AUTO xattrs = {0};

    if (node->directory) {
        record.mode = S_IFDIR | 0755;
        record.nlink = 2;
        record.content = dir_content(scene, node->children, node->nchildren, false, &bytes);
    } else {
        record.mode = S_IFREG | 0644;
        file_content(scene, node, &record, &bytes);
    }
    if (node->xattr) {
        assert_int_equal(xattr_block_append(&xattrs, slice_of("user.note", 9),
                                            slice_of(node->xattr, strlen(node->xattr))),
                         HF_OK);
        record.xattr_kind = XATTR_CHUNK;
        record.xattr_id = scene_add(scene, OBJECT_CHUNK, xattrs.data, xattrs.len);
    }
    assert_int_equal(inode_record_encode(&record, out), HF_OK);
}

static struct content dir_content(struct scene *scene, const struct scene_node *nodes, size_t n,
                                  bool in_root, struct buf *leaf)
{
    struct level *level = calloc(1, sizeof *level);
    struct node_writer writer = {0};
    struct content content = {.kind = n > 0 ? CONTENT_DIR : CONTENT_NONE, .count = n};
    size_t first = 0;

    assert_non_null(level);
    for (size_t i = 0; i < n; i++) {
        BUF_AUTO record = {0};
        struct dir_entry entry = {.name = slice_of(nodes[i].name, strlen(nodes[i].name))};

        encode_node(scene, &nodes[i], &record);
        entry.record = buf_slice(&record);
        if (i == first)
            assert_int_equal(node_writer_start(&writer, OBJECT_DIR, 0), HF_OK);
        assert_int_equal(node_writer_dir_entry(&writer, &entry), HF_OK);
        if (!node_writer_at_boundary(&writer) && i + 1 < n)
            continue;
        if (in_root && first == 0 && i + 1 == n) {
            content.kind = CONTENT_LEAF;
            assert_int_equal(buf_append(leaf, writer.bytes.data, writer.bytes.len), HF_OK);
            content.bytes = buf_slice(leaf);
        } else {
            end_node(scene, &writer, level, slice_of(nodes[first].name, strlen(nodes[first].name)),
                     i + 1 - first);
        }
        first = i + 1;
    }
    if (content.kind == CONTENT_DIR)
        content.ref = crown(scene, OBJECT_DIR, level);
    buf_free(&writer.bytes);
    free(level);
    return content;
}

/* --- roots ---------------------------------------------------------------------------------------------- */

static struct object_id add_root(struct scene *scene, const struct content *content)
{
    BUF_AUTO bytes = {0};
    struct root_node root = {
        .next_ino = scene->next_ino,
        .dir = {.ino = NODE_ROOT_INO, .mode = S_IFDIR | 0700, .nlink = 2, .content = *content},
    };

    assert_int_equal(root_node_encode(&root, &bytes), HF_OK);
    return scene_add(scene, OBJECT_ROOT, bytes.data, bytes.len);
}

struct object_id scene_root(struct scene *scene, const struct scene_node *nodes, size_t n)
{
    BUF_AUTO leaf = {0};
    struct content content;

    scene->bytes = scene->files = 0;
    content = dir_content(scene, nodes, n, true, &leaf);
    return add_root(scene, &content);
}

struct object_id scene_note(struct scene *scene, const char *text)
{
    struct scene_node note = {.name = "note", .data = text, .len = strlen(text)};

    return scene_root(scene, &note, 1);
}

struct object_id scene_dangling(struct scene *scene, struct object_id *ret_missing)
{
    char data[2000];
    struct scene_node note = {.name = "note", .data = data, .len = sizeof data};
    struct object_id root;

    scene_fill(scene->next_ino + 77, data, sizeof data);
    root = scene_root(scene, &note, 1);
    /* The chunk stands before its root: take it out. */
    *ret_missing = scene->objects[scene->n - 2].id;
    free((void *)scene->objects[scene->n - 2].content.data);
    scene->objects[scene->n - 2] = scene->objects[scene->n - 1];
    scene->n--;
    return root;
}

struct commit scene_commit(const struct scene *scene, uint64_t sid, uint64_t token,
                           uint64_t base_version, struct object_id root)
{
    return (struct commit){
        .sid = sid,
        .token = token,
        .base_version = base_version,
        .root = root,
        .objects = scene->objects,
        .nobjects = scene->n,
        .meta = {.bytes = scene->bytes, .files = scene->files},
    };
}
