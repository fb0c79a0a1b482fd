/* SPDX-License-Identifier: Apache-2.0 */
#include "bench/hostlog.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "object/node.h"

#define HOSTLOG_CHUNK (2 * (size_t)HOSTLOG_PART)
#define LOG_INO (NODE_ROOT_INO + 1)
static const char log_name[] = "events.jsonl";

struct hostlog {
    struct object_hasher hasher;
    uint64_t steps;
    struct extent extents[NODE_EXTENTS_INLINE];
    size_t nextents;
    uint8_t chunk[HOSTLOG_CHUNK];
    struct buf root;
    struct object objects[HOSTLOG_OBJECTS];
};

struct hostlog *hostlog_new(const struct object_hasher *hasher)
{
    struct hostlog *log = calloc(1, sizeof *log);

    if (log)
        log->hasher = *hasher;
    return log;
}

void hostlog_free(struct hostlog *log)
{
    if (log)
        buf_free(&log->root);
    free(log);
}

static uint64_t size_of(const struct hostlog *log)
{
    uint64_t size = 0;

    for (size_t i = 0; i < log->nextents; i++)
        size += log->extents[i].len;
    return size;
}

/* The object takes the place of the one that was there, if that is what it grew out of. */
static int set_object(struct hostlog *log, size_t at, enum object_kind kind, struct slice content,
                      bool grown)
{
    struct object *object = &log->objects[at];
    struct object_id last = object->id;

    *object = (struct object){.kind = kind, .content = content, .has_base = grown};
    if (grown)
        object->base = last;
    return object_id_compute(&log->hasher, kind, content.data, content.len, &object->id);
}

/* Every other step begins a chunk, and the next one fills it. */
static int grow_chunk(struct hostlog *log, const uint8_t text[HOSTLOG_PART])
{
    bool second = log->steps % 2 != 0;
    size_t at = (size_t)(log->steps / 2 % NODE_EXTENTS_INLINE);
    size_t len = second ? HOSTLOG_CHUNK : HOSTLOG_PART;
    int rc;

    memcpy(log->chunk + len - HOSTLOG_PART, text, HOSTLOG_PART);
    rc = set_object(log, 0, OBJECT_CHUNK, slice_of(log->chunk, len), second);
    if (rc != HF_OK)
        return rc;
    log->extents[at] = (struct extent){.len = len, .id = log->objects[0].id};
    if (log->nextents <= at)
        log->nextents = at + 1;
    return HF_OK;
}

static int write_record(const struct hostlog *log, struct buf *record)
{
    struct inode_record file = {.ino = LOG_INO,
                                .mode = S_IFREG | 0600,
                                .nlink = 1,
                                .size = size_of(log),
                                .allocated = size_of(log),
                                .mtime = (int64_t)log->steps,
                                .ctime = (int64_t)log->steps,
                                .content = {.kind = CONTENT_EXTENTS}};
    BUF_AUTO extents = {0};
    int rc = HF_OK;

    for (size_t i = 0; i < log->nextents && rc == HF_OK; i++)
        rc = content_extents_append(&extents, &log->extents[i]);
    file.content.bytes = buf_slice(&extents);
    return rc == HF_OK ? inode_record_encode(&file, record) : rc;
}

static int write_root(struct hostlog *log)
{
    struct root_node root = {.next_ino = LOG_INO + 1,
                             .dir = {.ino = NODE_ROOT_INO, .mode = S_IFDIR | 0700, .nlink = 2}};
    struct dir_entry entry = {
        .name = slice_of(log_name, sizeof log_name - 1), .ino = LOG_INO, .mode = S_IFREG | 0600};
    struct node_writer leaf = {0};
    BUF_AUTO record = {0};
    int rc = write_record(log, &record);

    entry.record = buf_slice(&record);
    if (rc == HF_OK)
        rc = node_writer_start(&leaf, OBJECT_DIR, 0);
    if (rc == HF_OK)
        rc = node_writer_dir_entry(&leaf, &entry);
    root.dir.content =
        (struct content){.kind = CONTENT_LEAF, .bytes = buf_slice(&leaf.bytes), .count = 1};
    log->root.len = 0;
    if (rc == HF_OK)
        rc = root_node_encode(&root, &log->root);
    buf_free(&leaf.bytes);
    return rc;
}

int hostlog_step(struct hostlog *log, const uint8_t text[HOSTLOG_PART], struct hf_error *err)
{
    int rc = grow_chunk(log, text);

    if (rc == HF_OK)
        rc = write_root(log);
    if (rc == HF_OK)
        rc = set_object(log, 1, OBJECT_ROOT, buf_slice(&log->root), log->steps > 0);
    if (rc != HF_OK)
        return hf_fail(err, rc, "cannot make a commit: %s", hf_status_text(rc));
    log->steps++;
    return HF_OK;
}

const struct object *hostlog_objects(const struct hostlog *log)
{
    return log->objects;
}

void hostlog_commit(const struct hostlog *log, struct commit *commit)
{
    commit->root = log->objects[1].id;
    commit->objects = log->objects;
    commit->nobjects = HOSTLOG_OBJECTS;
    commit->meta.bytes = size_of(log);
    commit->meta.files = 1;
}
