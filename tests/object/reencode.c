/* SPDX-License-Identifier: Apache-2.0 */
#include "reencode.h"

static int reencode_extents(struct node_reader *reader, struct buf *out)
{
    struct extent extent;
    int rc;

    while ((rc = node_reader_extent(reader, &extent)) == 1)
        if (content_extents_append(out, &extent) != HF_OK)
            return HF_NOMEM;
    return rc;
}

int reencode_xattr_block(struct slice bytes, struct buf *out)
{
    struct slice last = {0}, name, value;
    int rc;

    while ((rc = xattr_block_next(&bytes, &last, &name, &value)) == 1)
        if (xattr_block_append(out, name, value) != HF_OK)
            return HF_NOMEM;
    return rc;
}

/* Makes the bytes of a content anew in `parts`. */
static int rebuild_content(struct content *content, struct buf *parts)
{
    struct node_reader reader;
    int rc = HF_OK;

    if (content->kind == CONTENT_EXTENTS) {
        rc = content_extents_start(&reader, content);
        if (rc == HF_OK)
            rc = reencode_extents(&reader, parts);
    } else if (content->kind == CONTENT_LEAF) {
        rc = reencode_object(OBJECT_DIR, content->bytes, parts);
    } else {
        return HF_OK;
    }
    content->bytes = buf_slice(parts);
    return rc;
}

static int rebuild_record(struct inode_record *record, struct buf *content, struct buf *xattrs)
{
    int rc = rebuild_content(&record->content, content);

    if (rc == HF_OK && record->xattr_kind == XATTR_INLINE) {
        rc = reencode_xattr_block(record->xattr_block, xattrs);
        record->xattr_block = buf_slice(xattrs);
    }
    return rc;
}

int reencode_record(struct slice bytes, struct buf *out)
{
    BUF_AUTO content = {0};
    BUF_AUTO xattrs = {0};
    struct inode_record record;
    int rc = inode_record_decode(bytes, &record);

    if (rc == HF_OK)
        rc = rebuild_record(&record, &content, &xattrs);
    return rc == HF_OK ? inode_record_encode(&record, out) : rc;
}

static int reencode_root(struct slice bytes, struct buf *out)
{
    BUF_AUTO content = {0};
    BUF_AUTO xattrs = {0};
    BUF_AUTO links = {0};
    struct root_node root;
    int rc = root_node_decode(bytes, &root);

    if (rc == HF_OK)
        rc = rebuild_record(&root.dir, &content, &xattrs);
    if (rc == HF_OK)
        rc = rebuild_content(&root.links, &links);
    return rc == HF_OK ? root_node_encode(&root, out) : rc;
}

/* Takes one item off the reader and gives it to the writer: 1, 0 at the end, or a failure. */
static int copy_item(struct node_reader *reader, struct node_writer *writer)
{
    BUF_AUTO record = {0};
    struct dir_entry entry;
    struct dir_child dir_child;
    struct extent extent;
    struct file_child file_child;
    int rc;

    if (reader->kind == OBJECT_DIR && reader->height == 0) {
        rc = node_reader_dir_entry(reader, &entry);
        if (rc == 1 && entry.record.len > 0) {
            if (reencode_record(entry.record, &record) != HF_OK)
                return HF_CORRUPT;
            entry.record = buf_slice(&record);
        }
        return rc == 1 && node_writer_dir_entry(writer, &entry) != HF_OK ? HF_NOMEM : rc;
    }
    if (reader->kind == OBJECT_DIR) {
        rc = node_reader_dir_child(reader, &dir_child);
        return rc == 1 && node_writer_dir_child(writer, &dir_child) != HF_OK ? HF_NOMEM : rc;
    }
    if (reader->height == 0) {
        rc = node_reader_extent(reader, &extent);
        return rc == 1 && node_writer_extent(writer, &extent) != HF_OK ? HF_NOMEM : rc;
    }
    rc = node_reader_file_child(reader, &file_child);
    return rc == 1 && node_writer_file_child(writer, &file_child) != HF_OK ? HF_NOMEM : rc;
}

static int reencode_tree_node(enum object_kind kind, struct slice bytes, struct buf *out)
{
    struct node_writer writer = {0};
    struct node_reader reader;
    int rc = node_reader_start(&reader, kind, bytes);

    if (rc != HF_OK)
        return rc;
    rc = node_writer_start(&writer, kind, reader.height);
    if (rc == HF_OK)
        while ((rc = copy_item(&reader, &writer)) == 1)
            ;
    if (rc == HF_OK)
        rc = buf_append(out, writer.bytes.data, writer.bytes.len);
    buf_free(&writer.bytes);
    return rc;
}

int reencode_object(enum object_kind kind, struct slice bytes, struct buf *out)
{
    switch (kind) {
    case OBJECT_DIR:
    case OBJECT_FILE:
        return reencode_tree_node(kind, bytes, out);
    case OBJECT_ROOT:
        return reencode_root(bytes, out);
    case OBJECT_CHUNK:
        return buf_append(out, bytes.data, bytes.len);
    }
    return HF_CORRUPT;
}
