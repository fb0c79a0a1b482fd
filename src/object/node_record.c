/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <sys/stat.h>

#include "object/codec.h"

/*
 * A record (docs/spec/format.md, "Inode records"):
 *
 *    0  u64 ino          32  u64 allocated    64  u8  xattr kind
 *    8  u32 mode         40  i64 atime        65  u8  content kind
 *   12  u32 uid          48  i64 mtime        66  u16 xattr length    (INLINE)
 *   16  u32 gid          56  i64 ctime        68  u16 content length  (INLINE, EXTENTS, LEAF)
 *   20  u32 nlink                             70  devices only: u32 major, u32 minor
 *   24  u64 size                                  xattrs: block or id; content: bytes or reference
 */
#define RECORD_FIXED 70
#define LENGTH_MAX UINT16_MAX

#define EXTENT_CHUNK 1
#define EXTENT_HOLE 2
#define EXTENT_CHUNK_SIZE (5 + OBJECT_ID_SIZE)
#define EXTENT_HOLE_SIZE 9

int codec_check_version(uint8_t version)
{
    if (version > NODE_VERSION)
        return HF_NEWER;
    return version == NODE_VERSION ? HF_OK : HF_CORRUPT;
}

/* --- extents -------------------------------------------------------------------------------- */

int codec_extent_append(struct buf *bytes, const struct extent *extent)
{
    uint8_t item[EXTENT_CHUNK_SIZE];

    if (extent->hole) {
        item[0] = EXTENT_HOLE;
        bytes_put_u64(item + 1, extent->len);
        return buf_append(bytes, item, EXTENT_HOLE_SIZE);
    }
    item[0] = EXTENT_CHUNK;
    bytes_put_u32(item + 1, (uint32_t)extent->len);
    memcpy(item + 5, extent->id.bytes, OBJECT_ID_SIZE);
    return buf_append(bytes, item, sizeof item);
}

int codec_extent_take(struct slice *rest, struct extent *extent)
{
    const uint8_t *p = rest->data;
    uint64_t max = OBJECT_MAX_SIZE;
    size_t size = EXTENT_CHUNK_SIZE;

    if (rest->len >= EXTENT_CHUNK_SIZE && p[0] == EXTENT_CHUNK) {
        extent->len = bytes_get_u32(p + 1);
        extent->hole = false;
        memcpy(extent->id.bytes, p + 5, OBJECT_ID_SIZE);
    } else if (rest->len >= EXTENT_HOLE_SIZE && p[0] == EXTENT_HOLE) {
        *extent = (struct extent){.len = bytes_get_u64(p + 1), .hole = true};
        max = NODE_FILE_SIZE_MAX;
        size = EXTENT_HOLE_SIZE;
    } else {
        return HF_CORRUPT;
    }
    if (extent->len == 0 || extent->len > max)
        return HF_CORRUPT;
    *rest = slice_of(p + size, rest->len - size);
    return HF_OK;
}

int content_extents_append(struct buf *bytes, const struct extent *extent)
{
    assert(extent->len > 0 && extent->len <= (extent->hole ? NODE_FILE_SIZE_MAX : OBJECT_MAX_SIZE));
    return codec_extent_append(bytes, extent);
}

int content_extents_start(struct node_reader *reader, const struct content *content)
{
    struct slice rest = content->bytes;
    struct extent extent;
    uint32_t count = 0;

    assert(content->kind == CONTENT_EXTENTS);
    for (; rest.len > 0; count++)
        if (count == NODE_EXTENTS_INLINE || codec_extent_take(&rest, &extent) != HF_OK)
            return HF_CORRUPT;
    if (count == 0)
        return HF_CORRUPT;
    *reader = (struct node_reader){.kind = OBJECT_FILE, .count = count, .rest = content->bytes};
    reader->size = content->bytes.len;
    return HF_OK;
}

static int check_extents(const struct inode_record *record)
{
    struct slice rest = record->content.bytes;
    uint64_t size = 0, allocated = 0;
    struct extent extent;
    bool hole = false;

    for (int count = 0; rest.len > 0; count++) {
        if (count == NODE_EXTENTS_INLINE || codec_extent_take(&rest, &extent) != HF_OK ||
            (extent.hole && hole) || extent.len > NODE_FILE_SIZE_MAX - size)
            return HF_CORRUPT;
        size += extent.len;
        allocated += extent.hole ? 0 : extent.len;
        hole = extent.hole;
    }
    return size == record->size && allocated == record->allocated ? HF_OK : HF_CORRUPT;
}

/* --- xattr blocks --------------------------------------------------------------------------- */

int xattr_block_append(struct buf *block, struct slice name, struct slice value)
{
    uint8_t head[3];
    size_t len = sizeof head + name.len + value.len;
    int rc;

    assert(name.len > 0 && name.len <= NODE_NAME_MAX && !memchr(name.data, 0, name.len));
    if (value.len > NODE_XATTR_MAX || block->len + len > NODE_XATTR_MAX)
        return HF_NOSPC;
    rc = buf_reserve(block, len);
    if (rc != HF_OK)
        return rc;
    head[0] = (uint8_t)name.len;
    bytes_put_u16(head + 1, (uint16_t)value.len);
    buf_append(block, head, sizeof head);
    buf_append(block, name.data, name.len);
    buf_append(block, value.data, value.len);
    return HF_OK;
}

int xattr_block_next(struct slice *block, struct slice *last, struct slice *ret_name,
                     struct slice *ret_value)
{
    struct slice rest = *block, name, value;
    const uint8_t *head;

    if (rest.len == 0)
        return 0;
    head = codec_take(&rest, 3);
    if (!head || head[0] == 0 || !codec_take_slice(&rest, head[0], &name) ||
        !codec_take_slice(&rest, bytes_get_u16(head + 1), &value))
        return HF_CORRUPT;
    if (memchr(name.data, 0, name.len) || slice_compare(*last, name) >= 0)
        return HF_CORRUPT;
    *block = rest;
    *last = name;
    *ret_name = name;
    *ret_value = value;
    return 1;
}

static int check_xattrs(const struct inode_record *record)
{
    struct slice block = record->xattr_block, last = {0}, name, value;
    int rc;

    switch (record->xattr_kind) {
    case XATTR_NONE:
    case XATTR_CHUNK:
        return HF_OK;
    case XATTR_INLINE:
        if (block.len == 0 || block.len > NODE_XATTR_INLINE_MAX)
            return HF_CORRUPT;
        while ((rc = xattr_block_next(&block, &last, &name, &value)) == 1)
            ;
        return rc;
    default:
        return HF_CORRUPT;
    }
}

/* --- contents ------------------------------------------------------------------------------- */

int codec_content_encode(const struct content *content, struct buf *out)
{
    uint8_t item[9 + OBJECT_ID_SIZE];
    size_t len = 1;

    switch (content->kind) {
    case CONTENT_INLINE:
    case CONTENT_EXTENTS:
    case CONTENT_LEAF:
        return buf_append(out, content->bytes.data, content->bytes.len);
    case CONTENT_FILE:
    case CONTENT_DIR:
        item[0] = content->ref.height;
        if (content->kind == CONTENT_DIR) {
            bytes_put_u64(item + 1, content->count);
            len += 8;
        }
        memcpy(item + len, content->ref.id.bytes, OBJECT_ID_SIZE);
        return buf_append(out, item, len + OBJECT_ID_SIZE);
    case CONTENT_NONE:
        break;
    }
    return HF_OK;
}

static int take_reference(struct slice *rest, struct content *content)
{
    size_t len = content->kind == CONTENT_DIR ? 9 : 1;
    const uint8_t *p = codec_take(rest, len + OBJECT_ID_SIZE);

    if (!p)
        return HF_CORRUPT;
    content->ref.height = p[0];
    if (content->kind == CONTENT_DIR)
        content->count = bytes_get_u64(p + 1);
    memcpy(content->ref.id.bytes, p + len, OBJECT_ID_SIZE);
    return HF_OK;
}

int codec_content_take(struct slice *rest, enum content_kind kind, size_t len,
                       struct content *ret_content)
{
    struct content content = {.kind = kind};
    struct node_reader reader;
    int rc = HF_OK;

    switch (kind) {
    case CONTENT_INLINE:
    case CONTENT_EXTENTS:
    case CONTENT_LEAF:
        if (!codec_take_slice(rest, len, &content.bytes))
            return HF_CORRUPT;
        if (kind == CONTENT_LEAF) {
            rc = node_reader_start(&reader, OBJECT_DIR, content.bytes);
            content.count = rc == HF_OK ? reader.count : 0;
        }
        break;
    case CONTENT_FILE:
    case CONTENT_DIR:
        rc = len == 0 ? take_reference(rest, &content) : HF_CORRUPT;
        break;
    case CONTENT_NONE:
        rc = len == 0 ? HF_OK : HF_CORRUPT;
        break;
    default:
        return HF_CORRUPT;
    }
    if (rc == HF_OK)
        *ret_content = content;
    return rc;
}

static int check_leaf(const struct content *content)
{
    struct node_reader reader;
    struct dir_entry entry;
    int rc = node_reader_start(&reader, OBJECT_DIR, content->bytes);

    if (rc == HF_OK && (reader.height != 0 || reader.count != content->count))
        rc = HF_CORRUPT;
    if (rc != HF_OK)
        return rc;
    while ((rc = node_reader_dir_entry(&reader, &entry)) == 1)
        ;
    return rc;
}

int codec_dir_content_check(const struct content *content, enum codec_place place)
{
    switch (content->kind) {
    case CONTENT_NONE:
        return HF_OK;
    case CONTENT_DIR:
        if (content->ref.height > NODE_HEIGHT_MAX || content->count == 0)
            return HF_CORRUPT;
        return place == CODEC_IN_ROOT && content->ref.height == 0 ? HF_CORRUPT : HF_OK;
    case CONTENT_LEAF:
        return place == CODEC_IN_ROOT ? check_leaf(content) : HF_CORRUPT;
    default:
        return HF_CORRUPT;
    }
}

static int check_file(const struct inode_record *record)
{
    const struct content *content = &record->content;
    bool ok = false;

    switch (content->kind) {
    case CONTENT_NONE:
        ok = record->size == 0 && record->allocated == 0;
        break;
    case CONTENT_INLINE:
        ok = record->size > 0 && record->size <= NODE_INLINE_MAX &&
             content->bytes.len == record->size && record->allocated == record->size;
        break;
    case CONTENT_EXTENTS:
        return record->size > NODE_INLINE_MAX ? check_extents(record) : HF_CORRUPT;
    case CONTENT_FILE:
        ok = record->size > NODE_INLINE_MAX && record->size <= NODE_FILE_SIZE_MAX &&
             record->allocated <= record->size && content->ref.height <= NODE_HEIGHT_MAX;
        break;
    default:
        break;
    }
    return ok ? HF_OK : HF_CORRUPT;
}

static int check_symlink(const struct inode_record *record)
{
    const struct content *content = &record->content;

    return content->kind == CONTENT_INLINE && record->size > 0 &&
                   record->size <= NODE_SYMLINK_MAX && content->bytes.len == record->size &&
                   record->allocated == 0 && !memchr(content->bytes.data, 0, content->bytes.len)
               ? HF_OK
               : HF_CORRUPT;
}

/* --- records -------------------------------------------------------------------------------- */

static bool is_device(uint32_t mode)
{
    return S_ISCHR(mode) || S_ISBLK(mode);
}

int codec_record_check(const struct inode_record *record, enum codec_place place)
{
    const uint32_t mode = record->mode;

    if (record->ino == 0 || record->ino > NODE_INO_MAX || record->nlink == 0 ||
        (mode & ~(uint32_t)(S_IFMT | 07777)) != 0 || check_xattrs(record) != HF_OK)
        return HF_CORRUPT;
    if (!is_device(mode) && (record->rdev_major != 0 || record->rdev_minor != 0))
        return HF_CORRUPT;
    if (S_ISREG(mode))
        return check_file(record);
    if (S_ISLNK(mode))
        return check_symlink(record);
    if (record->size != 0 || record->allocated != 0)
        return HF_CORRUPT;
    if (S_ISDIR(mode))
        return codec_dir_content_check(&record->content, place);
    if (is_device(mode) || S_ISFIFO(mode) || S_ISSOCK(mode))
        return record->content.kind == CONTENT_NONE ? HF_OK : HF_CORRUPT;
    return HF_CORRUPT;
}

static void put_fixed(uint8_t *p, const struct inode_record *record)
{
    bytes_put_u64(p, record->ino);
    bytes_put_u32(p + 8, record->mode);
    bytes_put_u32(p + 12, record->uid);
    bytes_put_u32(p + 16, record->gid);
    bytes_put_u32(p + 20, record->nlink);
    bytes_put_u64(p + 24, record->size);
    bytes_put_u64(p + 32, record->allocated);
    bytes_put_u64(p + 40, (uint64_t)record->atime);
    bytes_put_u64(p + 48, (uint64_t)record->mtime);
    bytes_put_u64(p + 56, (uint64_t)record->ctime);
    p[64] = (uint8_t)record->xattr_kind;
    p[65] = (uint8_t)record->content.kind;
    bytes_put_u16(p + 66, (uint16_t)record->xattr_block.len);
    bytes_put_u16(p + 68, (uint16_t)record->content.bytes.len);
}

static void get_fixed(const uint8_t *p, struct inode_record *record)
{
    *record = (struct inode_record){
        .ino = bytes_get_u64(p),
        .mode = bytes_get_u32(p + 8),
        .uid = bytes_get_u32(p + 12),
        .gid = bytes_get_u32(p + 16),
        .nlink = bytes_get_u32(p + 20),
        .size = bytes_get_u64(p + 24),
        .allocated = bytes_get_u64(p + 32),
        .atime = (int64_t)bytes_get_u64(p + 40),
        .mtime = (int64_t)bytes_get_u64(p + 48),
        .ctime = (int64_t)bytes_get_u64(p + 56),
        .xattr_kind = (enum xattr_kind)p[64],
    };
}

static int encode_parts(const struct inode_record *record, struct buf *out)
{
    uint8_t fixed[RECORD_FIXED], rdev[8];
    int rc;

    put_fixed(fixed, record);
    rc = buf_append(out, fixed, sizeof fixed);
    if (rc == HF_OK && is_device(record->mode)) {
        bytes_put_u32(rdev, record->rdev_major);
        bytes_put_u32(rdev + 4, record->rdev_minor);
        rc = buf_append(out, rdev, sizeof rdev);
    }
    if (rc == HF_OK && record->xattr_kind == XATTR_INLINE)
        rc = buf_append(out, record->xattr_block.data, record->xattr_block.len);
    else if (rc == HF_OK && record->xattr_kind == XATTR_CHUNK)
        rc = buf_append(out, record->xattr_id.bytes, OBJECT_ID_SIZE);
    if (rc == HF_OK)
        rc = codec_content_encode(&record->content, out);
    return rc;
}

/* What a caller left in members that do not count must not get into the bytes. */
static struct inode_record normalised(const struct inode_record *record)
{
    struct inode_record clean = *record;
    enum content_kind kind = record->content.kind;

    if (clean.xattr_kind != XATTR_INLINE)
        clean.xattr_block = (struct slice){0};
    if (kind != CONTENT_INLINE && kind != CONTENT_EXTENTS && kind != CONTENT_LEAF)
        clean.content.bytes = (struct slice){0};
    return clean;
}

int codec_record_encode(const struct inode_record *record, struct buf *out)
{
    struct inode_record clean = normalised(record);
    size_t start = out->len;
    int rc;

    assert(clean.content.bytes.len <= LENGTH_MAX);
    rc = encode_parts(&clean, out);
    if (rc != HF_OK)
        out->len = start;
    return rc;
}

int inode_record_encode(const struct inode_record *record, struct buf *out)
{
    assert(codec_record_check(record, CODEC_IN_DIR) == HF_OK);
    return codec_record_encode(record, out);
}

static int take_xattrs(struct slice *rest, size_t len, struct inode_record *record)
{
    const uint8_t *p;

    if (record->xattr_kind == XATTR_INLINE)
        return codec_take_slice(rest, len, &record->xattr_block) ? HF_OK : HF_CORRUPT;
    if (len != 0)
        return HF_CORRUPT;
    if (record->xattr_kind == XATTR_CHUNK) {
        p = codec_take(rest, OBJECT_ID_SIZE);
        if (!p)
            return HF_CORRUPT;
        memcpy(record->xattr_id.bytes, p, OBJECT_ID_SIZE);
    }
    return HF_OK;
}

int codec_record_decode(struct slice bytes, enum codec_place place, struct inode_record *ret_record)
{
    const uint8_t *fixed = codec_take(&bytes, RECORD_FIXED), *p;
    struct inode_record record;
    int rc;

    if (!fixed)
        return HF_CORRUPT;
    get_fixed(fixed, &record);
    if (is_device(record.mode)) {
        p = codec_take(&bytes, 8);
        if (!p)
            return HF_CORRUPT;
        record.rdev_major = bytes_get_u32(p);
        record.rdev_minor = bytes_get_u32(p + 4);
    }
    rc = take_xattrs(&bytes, bytes_get_u16(fixed + 66), &record);
    if (rc == HF_OK)
        rc = codec_content_take(&bytes, (enum content_kind)fixed[65], bytes_get_u16(fixed + 68),
                                &record.content);
    if (rc == HF_OK)
        rc = bytes.len == 0 ? codec_record_check(&record, place) : HF_CORRUPT;
    if (rc == HF_OK)
        *ret_record = record;
    return rc;
}

int inode_record_decode(struct slice bytes, struct inode_record *ret_record)
{
    return codec_record_decode(bytes, CODEC_IN_DIR, ret_record);
}
