/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdio.h>
#include <sys/stat.h>

#include "object/codec.h"

/*
 * A ROOT node: u8 version, u8 kind of the link table's content, u16 its length, u64 next inode number,
 * u16 length of the top directory's record, the record, the link table's content.
 */
#define ROOT_FIXED 14

/* In the link table each inode stands under its own number. */
static bool link_entry_valid(const struct dir_entry *entry)
{
    char name[17];

    snprintf(name, sizeof name, "%016llx", (unsigned long long)entry->ino);
    return entry->record.len > 0 && !S_ISDIR(entry->mode) && entry->name.len == 16 &&
           memcmp(entry->name.data, name, 16) == 0;
}

static int check_links(const struct content *links)
{
    struct node_reader reader;
    struct dir_entry entry;
    int rc = codec_dir_content_check(links, CODEC_IN_ROOT);

    if (rc != HF_OK || links->kind != CONTENT_LEAF)
        return rc;
    rc = node_reader_start(&reader, OBJECT_DIR, links->bytes);
    if (rc != HF_OK)
        return rc;
    while ((rc = node_reader_dir_entry(&reader, &entry)) == 1)
        if (!link_entry_valid(&entry))
            return HF_CORRUPT;
    return rc;
}

static int check_root(const struct root_node *root)
{
    int rc;

    if (root->next_ino <= NODE_ROOT_INO || root->next_ino > NODE_INO_MAX + 1 ||
        root->dir.ino != NODE_ROOT_INO || !S_ISDIR(root->dir.mode))
        return HF_CORRUPT;
    rc = codec_record_check(&root->dir, CODEC_IN_ROOT);
    return rc == HF_OK ? check_links(&root->links) : rc;
}

int root_node_encode(const struct root_node *root, struct buf *out)
{
    uint8_t fixed[ROOT_FIXED] = {NODE_VERSION, (uint8_t)root->links.kind};
    size_t start = out->len, record;
    int rc;

    assert(check_root(root) == HF_OK);
    if (root->links.kind == CONTENT_LEAF)
        bytes_put_u16(fixed + 2, (uint16_t)root->links.bytes.len);
    bytes_put_u64(fixed + 4, root->next_ino);
    rc = buf_append(out, fixed, sizeof fixed);
    record = out->len;
    if (rc == HF_OK)
        rc = codec_record_encode(&root->dir, out);
    if (rc == HF_OK) {
        bytes_put_u16(out->data + start + 12, (uint16_t)(out->len - record));
        rc = codec_content_encode(&root->links, out);
    }
    if (rc != HF_OK)
        out->len = start;
    assert(rc != HF_OK || out->len - start <= OBJECT_MAX_SIZE);
    return rc;
}

int root_node_decode(struct slice bytes, struct root_node *ret_root)
{
    struct root_node root = {0};
    struct slice rest = bytes, record;
    const uint8_t *fixed = codec_take(&rest, ROOT_FIXED);
    int rc;

    if (bytes.len == 0)
        return HF_CORRUPT;
    rc = codec_check_version(bytes.data[0]);
    if (rc != HF_OK)
        return rc;
    if (!fixed || bytes.len > OBJECT_MAX_SIZE ||
        !codec_take_slice(&rest, bytes_get_u16(fixed + 12), &record))
        return HF_CORRUPT;
    root.next_ino = bytes_get_u64(fixed + 4);
    rc = codec_record_decode(record, CODEC_IN_ROOT, &root.dir);
    if (rc == HF_OK)
        rc = codec_content_take(&rest, (enum content_kind)fixed[1], bytes_get_u16(fixed + 2),
                                &root.links);
    if (rc == HF_OK)
        rc = rest.len == 0 ? check_root(&root) : HF_CORRUPT;
    if (rc == HF_OK)
        *ret_root = root;
    return rc;
}
