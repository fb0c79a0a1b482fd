/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/dirpath.h"

#include <stdlib.h>
#include <sys/stat.h>

/** So many entries may wait in memory for a directory to be left. */
#define PUTS_MAX 4096

struct dirpath_step *dirpath_here(struct dirpath *dirs)
{
    return &dirs->steps[dirs->depth - 1];
}

static void step_clear(struct dirpath_step *step)
{
    buf_free(&step->name);
    buf_free(&step->xattrs);
    dirmap_free(step->map);
}

static int reserve(struct dirpath *dirs)
{
    size_t cap = dirs->cap ? dirs->cap * 2 : 8;
    struct dirpath_step *steps;

    if (dirs->depth < dirs->cap)
        return HF_OK;
    steps = reallocarray(dirs->steps, cap, sizeof *steps);
    if (!steps)
        return HF_NOMEM;
    dirs->steps = steps;
    dirs->cap = cap;
    return HF_OK;
}

static int push(struct dirpath *dirs, struct slice name, const struct inode_record *record,
                struct hf_error *err)
{
    struct dirpath_step step = {.record = *record};
    int rc = reserve(dirs);

    if (rc == HF_OK)
        rc = buf_append(&step.name, name.data, name.len);
    if (rc == HF_OK)
        rc = buf_append(&step.xattrs, record->xattr_block.data, record->xattr_block.len);
    if (rc == HF_OK)
        rc = dirmap_open(dirs->cache, &record->content, &step.map, err);
    else
        dirmap_no_memory(err);
    if (rc != HF_OK) {
        step_clear(&step);
        return rc;
    }
    step.record.xattr_block = buf_slice(&step.xattrs);
    step.record.content = (struct content){.kind = CONTENT_NONE};
    dirs->steps[dirs->depth++] = step;
    return HF_OK;
}

int dirpath_open(struct dirpath *dirs, struct blob_cache *cache, struct blob_sink *sink,
                 const struct inode_record *top, struct hf_error *err)
{
    *dirs = (struct dirpath){.cache = cache, .sink = sink};
    return push(dirs, (struct slice){0}, top, err);
}

void dirpath_clear(struct dirpath *dirs)
{
    while (dirs->depth > 0)
        step_clear(&dirs->steps[--dirs->depth]);
    free(dirs->steps);
    *dirs = (struct dirpath){0};
}

/* --- changing ----------------------------------------------------------------------------------- */

static int put(struct dirpath_step *step, const struct dir_entry *entry, struct blob_sink *sink,
               struct hf_error *err)
{
    struct content content;
    int rc = dirmap_put(step->map, entry, err);

    if (rc != HF_OK || ++step->puts < PUTS_MAX)
        return rc;
    step->puts = 0;
    /* The directory goes on to be changed: its record is not. */
    step->changed = true;
    rc = dirmap_save(step->map, sink, false, &content, err);
    dirmap_trim(step->map);
    return rc;
}

static int put_record(struct dirpath_step *step, struct slice name,
                      const struct inode_record *record, struct blob_sink *sink,
                      struct hf_error *err)
{
    struct dir_entry entry = {.name = name, .ino = record->ino, .mode = record->mode};
    BUF_AUTO bytes = {0};

    if (inode_record_encode(record, &bytes) != HF_OK)
        return dirmap_no_memory(err);
    entry.record = buf_slice(&bytes);
    return put(step, &entry, sink, err);
}

int dirpath_put(struct dirpath *dirs, const struct dir_entry *entry, struct hf_error *err)
{
    return put(dirpath_here(dirs), entry, dirs->sink, err);
}

int dirpath_put_record(struct dirpath *dirs, struct slice name, const struct inode_record *record,
                       struct hf_error *err)
{
    return put_record(dirpath_here(dirs), name, record, dirs->sink, err);
}

/* --- going -------------------------------------------------------------------------------------- */

/** Leaves the innermost directory, which is not the top. */
static int leave(struct dirpath *dirs, struct hf_error *err)
{
    struct dirpath_step *step = dirpath_here(dirs);
    struct inode_record record = step->record;
    int rc = HF_OK;

    if (step->changed || dirmap_is_dirty(step->map)) {
        rc = dirmap_save(step->map, dirs->sink, false, &record.content, err);
        if (rc == HF_OK)
            rc = put_record(step - 1, buf_slice(&step->name), &record, dirs->sink, err);
    }
    if (rc != HF_OK)
        return rc;
    step_clear(step);
    dirs->depth--;
    return HF_OK;
}

static int enter(struct dirpath *dirs, struct slice name, struct hf_error *err)
{
    struct inode_record record;
    struct dir_entry entry;
    int rc = dirmap_find(dirpath_here(dirs)->map, name, &entry, err);

    if (rc == HF_OK && !S_ISDIR(entry.mode))
        rc = hf_fail(err, HF_NOTDIR, "not a directory");
    if (rc == HF_OK && (rc = inode_record_decode(entry.record, &record)) != HF_OK)
        hf_fail(err, rc, "%s", hf_status_text(rc));
    if (rc != HF_OK)
        return hf_fail_prefix(err, rc, "%.*s", (int)name.len, (const char *)name.data);
    return push(dirs, name, &record, err);
}

/** Takes the next part off a path; empty at its end. */
static struct slice next_part(struct slice *path)
{
    const uint8_t *slash = path->len > 0 ? memchr(path->data, '/', path->len) : NULL;
    struct slice part = slice_of(path->data, slash ? (size_t)(slash - path->data) : path->len);
    size_t gone = slash ? part.len + 1 : part.len;

    path->data += gone;
    path->len -= gone;
    return part;
}

int dirpath_go(struct dirpath *dirs, struct slice path, struct hf_error *err)
{
    struct slice part = next_part(&path);
    size_t depth = 1;
    int rc = HF_OK;

    while (depth < dirs->depth && part.len > 0 &&
           slice_compare(part, buf_slice(&dirs->steps[depth].name)) == 0) {
        part = next_part(&path);
        depth++;
    }
    while (rc == HF_OK && dirs->depth > depth)
        rc = leave(dirs, err);
    for (; rc == HF_OK && part.len > 0; part = next_part(&path))
        rc = enter(dirs, part, err);
    return rc;
}
