/* SPDX-License-Identifier: Apache-2.0 */
#include "append_load.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define APPEND 2048
#define CHUNK_FULL 8192

static struct object make(struct append_load *load, enum object_kind kind, struct slice content,
                          const struct object_id *base)
{
    struct object object = {.kind = kind, .content = content};
    const struct object_hasher *hasher = &store_info(load->store)->hasher;

    assert_int_equal(object_id_compute(hasher, kind, content.data, content.len, &object.id), HF_OK);
    if (base) {
        object.has_base = true;
        object.base = *base;
    }
    return object;
}

/* Lines like those of a log: mostly the same words, some that are new. */
static void write_lines(struct append_load *load, uint8_t *to, size_t len)
{
    size_t at = 0;

    while (at < len) {
        char line[256];
        int n;

        load->seed = load->seed * 6364136223846793005ULL + 1442695040888963407ULL;
        n = snprintf(line, sizeof line,
                     "{\"type\":\"assistant.message\",\"id\":\"%016llx\",\"parent\":\"%016llx\","
                     "\"data\":{\"content\":\"step %llu of the plan\",\"tokens\":%llu}}\n",
                     (unsigned long long)load->seed,
                     (unsigned long long)(load->seed * 0x9e3779b97f4a7c15ULL),
                     (unsigned long long)(load->seed >> 50),
                     (unsigned long long)(load->seed >> 40));
        if ((size_t)n > len - at)
            n = (int)(len - at);
        memcpy(to + at, line, (size_t)n);
        at += (size_t)n;
    }
}

/* Writes the last leaf anew. True: it is full. */
static bool write_leaf(struct append_load *load, struct buf *bytes)
{
    struct node_writer writer = {.bytes = *bytes};
    bool full;

    assert_int_equal(node_writer_start(&writer, OBJECT_FILE, 0), HF_OK);
    for (size_t i = 0; i < load->extents; i++)
        assert_int_equal(node_writer_extent(&writer, &load->leaf[i]), HF_OK);
    full = node_writer_at_boundary(&writer);
    *bytes = writer.bytes;
    return full;
}

static uint64_t leaf_length(const struct append_load *load)
{
    uint64_t len = 0;

    for (size_t i = 0; i < load->extents; i++)
        len += load->leaf[i].len;
    return len;
}

static void write_top(struct append_load *load, const struct file_child *last, struct buf *bytes)
{
    struct node_writer writer = {.bytes = *bytes};

    assert_int_equal(node_writer_start(&writer, OBJECT_FILE, 1), HF_OK);
    for (size_t i = 0; i < load->nleaves; i++) {
        assert_int_equal(node_writer_file_child(&writer, &load->leaves[i]), HF_OK);
        assert_false(node_writer_at_boundary(&writer));
    }
    assert_int_equal(node_writer_file_child(&writer, last), HF_OK);
    *bytes = writer.bytes;
}

static void write_root(struct append_load *load, const struct node_ref *ref, struct buf *bytes)
{
    struct inode_record file = {.ino = 2,
                                .mode = S_IFREG | 0600,
                                .nlink = 1,
                                .size = load->size,
                                .allocated = load->size,
                                .mtime = (int64_t)load->size,
                                .content = {.kind = CONTENT_FILE, .ref = *ref}};
    struct root_node root = {.next_ino = 3,
                             .dir = {.ino = NODE_ROOT_INO, .mode = S_IFDIR | 0700, .nlink = 2}};
    struct node_writer leaf = {0};
    BUF_AUTO record = {0};

    assert_int_equal(inode_record_encode(&file, &record), HF_OK);
    assert_int_equal(node_writer_start(&leaf, OBJECT_DIR, 0), HF_OK);
    assert_int_equal(node_writer_dir_entry(&leaf, &(struct dir_entry){.name = slice_of("log", 3),
                                                                      .record = buf_slice(&record),
                                                                      .ino = 2,
                                                                      .mode = file.mode}),
                     HF_OK);
    root.dir.content =
        (struct content){.kind = CONTENT_LEAF, .bytes = buf_slice(&leaf.bytes), .count = 1};
    bytes->len = 0;
    assert_int_equal(root_node_encode(&root, bytes), HF_OK);
    buf_free(&leaf.bytes);
}

static size_t build(struct append_load *load, struct object *objects)
{
    const struct object_id *base = load->has_last ? &load->last_chunk : NULL;
    struct node_ref ref = {0};
    struct file_child child;
    size_t n = 0;

    if (load->tail_len + APPEND > CHUNK_FULL)
        load->tail_len = 0;
    write_lines(load, load->tail + load->tail_len, APPEND);
    load->tail_len += APPEND;
    load->size += APPEND;
    objects[n++] = make(load, OBJECT_CHUNK, slice_of(load->tail, load->tail_len),
                        load->tail_len > APPEND ? base : NULL);
    if (load->tail_len == APPEND)
        load->extents++;
    load->leaf[load->extents - 1] = (struct extent){.len = load->tail_len, .id = objects[0].id};
    load->last_chunk = objects[0].id;
    write_leaf(load, &load->bytes[1]);
    objects[n++] = make(load, OBJECT_FILE, buf_slice(&load->bytes[1]),
                        load->has_last ? &load->last_leaf : NULL);
    ref.id = load->last_leaf = objects[1].id;
    child = (struct file_child){.len = leaf_length(load), .id = ref.id};
    if (load->nleaves > 0) {
        write_top(load, &child, &load->bytes[2]);
        objects[n] = make(load, OBJECT_FILE, buf_slice(&load->bytes[2]),
                          load->has_last ? &load->last_top : NULL);
        load->last_top = ref.id = objects[n++].id;
        ref.height = 1;
    }
    write_root(load, &ref, &load->bytes[3]);
    objects[n] = make(load, OBJECT_ROOT, buf_slice(&load->bytes[3]),
                      load->has_last ? &load->last_root : NULL);
    load->last_root = objects[n++].id;
    load->has_last = true;
    return n;
}

int append_load_step(struct append_load *load, enum durability durability)
{
    struct object objects[4];
    struct commit commit = {.sid = load->lease.sid,
                            .token = load->lease.token,
                            .base_version = load->lease.head.version,
                            .durability = durability};
    struct hf_error err = {0};
    int rc;

    commit.nobjects = build(load, objects);
    commit.objects = objects;
    commit.root = load->last_root;
    commit.meta.bytes = load->size;
    commit.meta.files = 1;
    load->commit_ns = -clock_boottime(&clock_system);
    rc = store_commit(load->store, load->host, &commit, &load->lease.head.version, &err);
    load->commit_ns += clock_boottime(&clock_system);
    if (rc != HF_OK)
        print_message("append: %s\n", err.message);
    /* A leaf that is full is left alone from now on. */
    if (load->tail_len == CHUNK_FULL && write_leaf(load, &load->bytes[1])) {
        load->leaves[load->nleaves++] =
            (struct file_child){.len = leaf_length(load), .id = load->last_leaf};
        assert_true(load->nleaves < APPEND_LOAD_LEAVES);
        load->extents = 0;
    }
    return rc;
}

static void add_chunk(struct append_load *load)
{
    struct object object;
    struct file_child child;

    write_lines(load, load->tail, CHUNK_FULL);
    object = make(load, OBJECT_CHUNK, slice_of(load->tail, CHUNK_FULL), NULL);
    assert_int_equal(store_put(load->store, 0, &object, 1, NULL), HF_OK);
    load->leaf[load->extents++] = (struct extent){.len = CHUNK_FULL, .id = object.id};
    load->size += CHUNK_FULL;
    if (!write_leaf(load, &load->bytes[1]))
        return;
    object = make(load, OBJECT_FILE, buf_slice(&load->bytes[1]), NULL);
    assert_int_equal(store_put(load->store, 0, &object, 1, NULL), HF_OK);
    child = (struct file_child){.len = leaf_length(load), .id = object.id};
    load->leaves[load->nleaves++] = child;
    assert_true(load->nleaves < APPEND_LOAD_LEAVES);
    load->extents = 0;
}

void append_load_start(struct append_load *load, struct store *store, uint64_t host,
                       const char *name, size_t chunks)
{
    struct commit first = {0};
    struct object objects[4];

    *load = (struct append_load){.store = store, .host = host, .seed = host};
    for (const char *c = name; *c; c++)
        load->seed = load->seed * 31 + (uint8_t)*c;
    for (size_t i = 0; i < chunks; i++)
        add_chunk(load);
    first.nobjects = build(load, objects);
    first.objects = objects;
    first.root = load->last_root;
    first.meta.bytes = load->size;
    first.meta.files = 1;
    assert_int_equal(store_session_create(store, host, name, &first, &load->lease, NULL), HF_OK);
}

void append_load_end(struct append_load *load)
{
    for (size_t i = 0; i < 4; i++)
        buf_free(&load->bytes[i]);
}
