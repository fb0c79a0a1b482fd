/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/dircursor.h"

#include <assert.h>

static int damaged(int rc, struct hf_error *err)
{
    return hf_fail(err, rc, "a directory node: %s", hf_status_text(rc));
}

/* Takes the next item of the innermost node: 1, or 0 at its end. */
static int take(struct dircursor *cursor, struct node_reader *reader)
{
    struct dir_child child;
    int rc;

    if (reader->height == 0) {
        rc = node_reader_dir_entry(reader, &cursor->entry);
        if (rc == 1) {
            cursor->at = DIRCURSOR_ENTRY;
            cursor->first = cursor->entry.name;
        }
        return rc;
    }
    rc = node_reader_dir_child(reader, &child);
    if (rc == 1) {
        cursor->at = DIRCURSOR_SUBTREE;
        cursor->first = child.first;
        cursor->ref = (struct node_ref){(uint8_t)(reader->height - 1), child.id};
    }
    return rc;
}

int dircursor_pass(struct dircursor *cursor, struct hf_error *err)
{
    int rc;

    while (cursor->depth > 0) {
        struct dircursor_level *level = &cursor->levels[cursor->depth - 1];

        rc = take(cursor, &level->reader);
        if (rc != 0)
            return rc == 1 ? HF_OK : damaged(rc, err);
        blob_unref(cursor->cache, level->blob);
        cursor->depth--;
    }
    cursor->at = DIRCURSOR_END;
    return HF_OK;
}

/* Starts to read a node; takes over the blob. */
static int push(struct dircursor *cursor, struct slice node, struct blob *blob, uint8_t height,
                struct hf_error *err)
{
    struct node_reader reader;
    int rc = node_reader_start(&reader, OBJECT_DIR, node);

    if (rc == HF_OK && (reader.height != height || cursor->depth > NODE_HEIGHT_MAX))
        rc = HF_CORRUPT;
    if (rc != HF_OK) {
        blob_unref(cursor->cache, blob);
        return damaged(rc, err);
    }
    cursor->levels[cursor->depth++] = (struct dircursor_level){reader, blob};
    return dircursor_pass(cursor, err);
}

int dircursor_enter(struct dircursor *cursor, struct hf_error *err)
{
    struct blob *blob;
    int rc;

    assert(cursor->at == DIRCURSOR_SUBTREE);
    rc = blob_get(cursor->cache, &cursor->ref.id, &blob, err);
    return rc == HF_OK ? push(cursor, blob_content(blob), blob, cursor->ref.height, err) : rc;
}

int dircursor_start(struct dircursor *cursor, struct blob_cache *cache,
                    const struct content *content, struct hf_error *err)
{
    cursor->cache = cache;
    cursor->depth = 0;
    cursor->at = DIRCURSOR_END;
    cursor->first = (struct slice){0};
    if (content->kind == CONTENT_LEAF)
        return push(cursor, content->bytes, NULL, 0, err);
    if (content->kind == CONTENT_DIR) {
        cursor->at = DIRCURSOR_SUBTREE;
        cursor->ref = content->ref;
    }
    return HF_OK;
}

void dircursor_end(struct dircursor *cursor)
{
    while (cursor->depth > 0)
        blob_unref(cursor->cache, cursor->levels[--cursor->depth].blob);
}
