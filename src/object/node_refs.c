/* SPDX-License-Identifier: Apache-2.0 */
#include "object/codec.h"

static int extents_refs(struct node_reader *reader, node_ref_fn visit, void *arg)
{
    struct extent extent;
    int rc;

    while ((rc = node_reader_extent(reader, &extent)) == 1) {
        rc = extent.hole ? 0 : visit(&extent.id, OBJECT_CHUNK, arg);
        if (rc != 0)
            return rc;
    }
    return rc;
}

static int dir_leaf_refs(struct node_reader *reader, node_ref_fn visit, void *arg)
{
    struct inode_record record;
    struct dir_entry entry;
    int rc;

    while ((rc = node_reader_dir_entry(reader, &entry)) == 1) {
        rc = HF_OK;
        if (entry.record.len > 0)
            rc = inode_record_decode(entry.record, &record);
        if (rc == HF_OK && entry.record.len > 0)
            rc = codec_record_refs(&record, visit, arg);
        if (rc != 0)
            return rc;
    }
    return rc;
}

static int dir_children_refs(struct node_reader *reader, node_ref_fn visit, void *arg)
{
    struct dir_child child;
    int rc;

    while ((rc = node_reader_dir_child(reader, &child)) == 1) {
        rc = visit(&child.id, OBJECT_DIR, arg);
        if (rc != 0)
            return rc;
    }
    return rc;
}

static int file_children_refs(struct node_reader *reader, node_ref_fn visit, void *arg)
{
    struct file_child child;
    int rc;

    while ((rc = node_reader_file_child(reader, &child)) == 1) {
        rc = visit(&child.id, OBJECT_FILE, arg);
        if (rc != 0)
            return rc;
    }
    return rc;
}

static int tree_node_refs(enum object_kind kind, struct slice bytes, node_ref_fn visit, void *arg)
{
    struct node_reader reader;
    int rc = node_reader_start(&reader, kind, bytes);

    if (rc != HF_OK)
        return rc;
    if (kind == OBJECT_DIR)
        return reader.height == 0 ? dir_leaf_refs(&reader, visit, arg)
                                  : dir_children_refs(&reader, visit, arg);
    return reader.height == 0 ? extents_refs(&reader, visit, arg)
                              : file_children_refs(&reader, visit, arg);
}

int codec_content_refs(const struct content *content, node_ref_fn visit, void *arg)
{
    struct node_reader reader;
    int rc;

    switch (content->kind) {
    case CONTENT_EXTENTS:
        rc = content_extents_start(&reader, content);
        return rc == HF_OK ? extents_refs(&reader, visit, arg) : rc;
    case CONTENT_FILE:
        return visit(&content->ref.id, OBJECT_FILE, arg);
    case CONTENT_DIR:
        return visit(&content->ref.id, OBJECT_DIR, arg);
    case CONTENT_LEAF:
        return tree_node_refs(OBJECT_DIR, content->bytes, visit, arg);
    case CONTENT_NONE:
    case CONTENT_INLINE:
        break;
    }
    return HF_OK;
}

int codec_record_refs(const struct inode_record *record, node_ref_fn visit, void *arg)
{
    int rc = HF_OK;

    if (record->xattr_kind == XATTR_CHUNK)
        rc = visit(&record->xattr_id, OBJECT_CHUNK, arg);
    return rc == 0 ? codec_content_refs(&record->content, visit, arg) : rc;
}

static int root_refs(struct slice bytes, node_ref_fn visit, void *arg)
{
    struct root_node root;
    int rc = root_node_decode(bytes, &root);

    if (rc == HF_OK)
        rc = codec_record_refs(&root.dir, visit, arg);
    return rc == 0 ? codec_content_refs(&root.links, visit, arg) : rc;
}

int node_refs(enum object_kind kind, struct slice content, node_ref_fn visit, void *arg)
{
    if (content.len > OBJECT_MAX_SIZE)
        return HF_CORRUPT;
    switch (kind) {
    case OBJECT_CHUNK:
        return HF_OK;
    case OBJECT_DIR:
    case OBJECT_FILE:
        return tree_node_refs(kind, content, visit, arg);
    case OBJECT_ROOT:
        return root_refs(content, visit, arg);
    }
    return HF_CORRUPT;
}
