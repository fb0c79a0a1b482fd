/* SPDX-License-Identifier: Apache-2.0 */
#include "object/node.h"

#include <assert.h>
#include <sys/stat.h>

#include "base/htable.h"
#include "object/codec.h"

/* A DIR or FILE node: u8 version, u8 height, u16 count, then the items. */
#define HEADER 4

/* Boundaries (docs/spec/format.md, "Where nodes end"). All of this is part of the format. */
#define DIR_MIN 2048    /* bytes: no boundary in a smaller node */
#define DIR_MAX 16384   /* bytes: always a boundary in a node at least this large */
#define DIR_SPREAD 6144 /* bytes: what lies between two boundaries on average, beyond DIR_MIN */
#define FILE_MIN 32     /* items, likewise */
#define FILE_MAX 512    /* items */
#define FILE_SPREAD 96  /* items */

#define LINK_SIZE 9 /* u64 ino, u8 type */
#define DIR_ENTRY_MIN (1 + 1 + 2 + LINK_SIZE)
#define DIR_CHILD_MIN (1 + 1 + 8 + OBJECT_ID_SIZE)
#define EXTENT_MIN 9
#define FILE_CHILD_SIZE (8 + OBJECT_ID_SIZE)

/* --- boundaries ----------------------------------------------------------------------------- */

/* FNV-1a over the height and the name, mixed. */
static uint64_t name_hash(uint8_t height, struct slice name)
{
    uint64_t hash = (0xcbf29ce484222325ULL ^ height) * 0x100000001b3ULL;

    for (size_t i = 0; i < name.len; i++)
        hash = (hash ^ name.data[i]) * 0x100000001b3ULL;
    return htable_hash_u64(hash);
}

/* Whether a DIR node that is `size` bytes long with the item just added ends after it. The larger the
 * item, the likelier: what is even is the number of bytes between boundaries. */
static bool dir_boundary(uint8_t height, struct slice name, size_t item_size, size_t size)
{
    if (size < DIR_MIN || size >= DIR_MAX)
        return size >= DIR_MAX;
    return ((name_hash(height, name) >> 32) * DIR_SPREAD) >> 32 < item_size;
}

static bool file_boundary(const struct object_id *id, uint32_t count)
{
    if (count < FILE_MIN || count >= FILE_MAX)
        return count >= FILE_MAX;
    return ((uint64_t)bytes_get_u32(id->bytes) * FILE_SPREAD) >> 32 == 0;
}

/* A hole has no id, and ends a node only where the node is full. */
static bool extent_boundary(const struct extent *extent, uint32_t count)
{
    return extent->hole ? count >= FILE_MAX : file_boundary(&extent->id, count);
}

/* --- names ---------------------------------------------------------------------------------- */

bool codec_name_valid(struct slice name)
{
    if (name.len == 0 || name.len > NODE_NAME_MAX || memchr(name.data, 0, name.len) ||
        memchr(name.data, '/', name.len))
        return false;
    return !(name.data[0] == '.' && (name.len == 1 || (name.len == 2 && name.data[1] == '.')));
}

static bool link_valid(uint64_t ino, uint32_t mode)
{
    switch (mode) {
    case S_IFREG:
    case S_IFLNK:
    case S_IFIFO:
    case S_IFSOCK:
    case S_IFCHR:
    case S_IFBLK:
        return ino != 0 && ino <= NODE_INO_MAX;
    default:
        return false;
    }
}

/* --- the writer ----------------------------------------------------------------------------- */

int node_writer_start(struct node_writer *writer, enum object_kind kind, uint8_t height)
{
    const uint8_t header[HEADER] = {NODE_VERSION, height, 0, 0};
    struct buf bytes = writer->bytes;

    assert(kind == OBJECT_DIR || kind == OBJECT_FILE);
    assert(height <= NODE_HEIGHT_MAX);
    bytes.len = 0;
    *writer = (struct node_writer){.kind = kind, .height = height, .bytes = bytes};
    return buf_append(&writer->bytes, header, sizeof header);
}

/* Makes room for an item, which is then appended without failure. */
static int begin_item(struct node_writer *writer, size_t size)
{
    assert(!writer->boundary);
    return buf_reserve(&writer->bytes, size);
}

static void end_item(struct node_writer *writer, bool boundary)
{
    writer->count++;
    writer->boundary = boundary;
    bytes_put_u16(writer->bytes.data + 2, (uint16_t)writer->count);
}

static void append_u64(struct buf *bytes, uint64_t value)
{
    uint8_t le[8];

    bytes_put_u64(le, value);
    buf_append(bytes, le, sizeof le);
}

static struct slice last_name(const struct node_writer *writer)
{
    return writer->count == 0 ? (struct slice){0}
                              : slice_of(writer->bytes.data + writer->last_at + 1,
                                         writer->bytes.data[writer->last_at]);
}

static void append_name(struct node_writer *writer, struct slice name)
{
    uint8_t len = (uint8_t)name.len;

    assert(codec_name_valid(name) && slice_compare(last_name(writer), name) < 0);
    writer->last_at = (uint32_t)writer->bytes.len;
    buf_append(&writer->bytes, &len, 1);
    buf_append(&writer->bytes, name.data, name.len);
}

int node_writer_dir_entry(struct node_writer *writer, const struct dir_entry *entry)
{
    size_t size = 1 + entry->name.len + 2 + (entry->record.len ? entry->record.len : LINK_SIZE);
    uint8_t len[2], type = (uint8_t)(entry->mode >> 12);
    int rc;

    assert(writer->kind == OBJECT_DIR && writer->height == 0);
    assert(entry->record.len <= UINT16_MAX);
    assert(entry->record.len > 0 || link_valid(entry->ino, entry->mode));
    rc = begin_item(writer, size);
    if (rc != HF_OK)
        return rc;
    append_name(writer, entry->name);
    bytes_put_u16(len, (uint16_t)entry->record.len);
    buf_append(&writer->bytes, len, sizeof len);
    if (entry->record.len > 0) {
        buf_append(&writer->bytes, entry->record.data, entry->record.len);
    } else {
        append_u64(&writer->bytes, entry->ino);
        buf_append(&writer->bytes, &type, 1);
    }
    end_item(writer, dir_boundary(0, entry->name, size, writer->bytes.len));
    return HF_OK;
}

int node_writer_dir_child(struct node_writer *writer, const struct dir_child *child)
{
    size_t size = 1 + child->first.len + 8 + OBJECT_ID_SIZE;
    int rc;

    assert(writer->kind == OBJECT_DIR && writer->height > 0 && child->count > 0);
    rc = begin_item(writer, size);
    if (rc != HF_OK)
        return rc;
    append_name(writer, child->first);
    append_u64(&writer->bytes, child->count);
    buf_append(&writer->bytes, child->id.bytes, OBJECT_ID_SIZE);
    end_item(writer, dir_boundary(writer->height, child->first, size, writer->bytes.len));
    return HF_OK;
}

int node_writer_extent(struct node_writer *writer, const struct extent *extent)
{
    int rc;

    assert(writer->kind == OBJECT_FILE && writer->height == 0);
    assert(!(extent->hole && writer->last_hole));
    rc = begin_item(writer, 0);
    if (rc == HF_OK)
        rc = content_extents_append(&writer->bytes, extent);
    if (rc != HF_OK)
        return rc;
    writer->last_hole = extent->hole;
    end_item(writer, extent_boundary(extent, writer->count + 1));
    return HF_OK;
}

int node_writer_file_child(struct node_writer *writer, const struct file_child *child)
{
    int rc;

    assert(writer->kind == OBJECT_FILE && writer->height > 0);
    assert(child->len > 0 && child->len <= NODE_FILE_SIZE_MAX);
    rc = begin_item(writer, FILE_CHILD_SIZE);
    if (rc != HF_OK)
        return rc;
    append_u64(&writer->bytes, child->len);
    buf_append(&writer->bytes, child->id.bytes, OBJECT_ID_SIZE);
    end_item(writer, file_boundary(&child->id, writer->count + 1));
    return HF_OK;
}

bool node_writer_at_boundary(const struct node_writer *writer)
{
    return writer->boundary;
}

/* --- the reader ----------------------------------------------------------------------------- */

static size_t item_min(enum object_kind kind, uint8_t height)
{
    if (kind == OBJECT_DIR)
        return height == 0 ? DIR_ENTRY_MIN : DIR_CHILD_MIN;
    return height == 0 ? EXTENT_MIN : FILE_CHILD_SIZE;
}

int node_reader_start(struct node_reader *reader, enum object_kind kind, struct slice bytes)
{
    struct slice rest = bytes;
    const uint8_t *header = codec_take(&rest, HEADER);
    uint32_t count;
    int rc;

    if (bytes.len == 0)
        return HF_CORRUPT;
    rc = codec_check_version(bytes.data[0]);
    if (rc != HF_OK)
        return rc;
    if (!header || header[1] > NODE_HEIGHT_MAX || bytes.len > OBJECT_MAX_SIZE)
        return HF_CORRUPT;
    count = bytes_get_u16(header + 2);
    if (count == 0 || count * item_min(kind, header[1]) > rest.len)
        return HF_CORRUPT;
    *reader = (struct node_reader){
        .kind = kind, .height = header[1], .count = count, .rest = rest, .size = bytes.len};
    return HF_OK;
}

/* 1: there is another item; 0: the end, and nothing is left over. */
static int begin_read(const struct node_reader *reader)
{
    if (reader->next < reader->count)
        return 1;
    return reader->rest.len == 0 ? 0 : HF_CORRUPT;
}

/* An item was read off `rest`. Only the last item of a node may be at a boundary. */
static int end_read(struct node_reader *reader, struct slice rest, bool boundary)
{
    if (boundary && reader->next + 1 < reader->count)
        return HF_CORRUPT;
    reader->next++;
    reader->rest = rest;
    return 1;
}

static bool take_name(const struct node_reader *reader, struct slice *rest, struct slice *ret_name)
{
    const uint8_t *len = codec_take(rest, 1);

    return len && codec_take_slice(rest, *len, ret_name) && codec_name_valid(*ret_name) &&
           slice_compare(reader->last_name, *ret_name) < 0;
}

static int take_link(struct slice *rest, struct dir_entry *entry)
{
    const uint8_t *p = codec_take(rest, LINK_SIZE);

    if (!p)
        return HF_CORRUPT;
    entry->ino = bytes_get_u64(p);
    entry->mode = (uint32_t)p[8] << 12;
    return link_valid(entry->ino, entry->mode) ? HF_OK : HF_CORRUPT;
}

static int take_record(struct slice *rest, size_t len, struct dir_entry *entry)
{
    struct inode_record record;
    int rc;

    if (!codec_take_slice(rest, len, &entry->record))
        return HF_CORRUPT;
    rc = inode_record_decode(entry->record, &record);
    if (rc == HF_OK) {
        entry->ino = record.ino;
        entry->mode = record.mode;
    }
    return rc;
}

int node_reader_dir_entry(struct node_reader *reader, struct dir_entry *ret_entry)
{
    struct slice rest = reader->rest;
    struct dir_entry entry = {0};
    const uint8_t *len;
    int rc = begin_read(reader);

    if (rc != 1)
        return rc;
    if (reader->kind != OBJECT_DIR || reader->height != 0 ||
        !take_name(reader, &rest, &entry.name) || !(len = codec_take(&rest, 2)))
        return HF_CORRUPT;
    if (bytes_get_u16(len) == 0)
        rc = take_link(&rest, &entry);
    else
        rc = take_record(&rest, bytes_get_u16(len), &entry);
    if (rc != HF_OK)
        return rc;
    rc =
        end_read(reader, rest,
                 dir_boundary(0, entry.name, reader->rest.len - rest.len, reader->size - rest.len));
    if (rc == 1) {
        reader->last_name = entry.name;
        *ret_entry = entry;
    }
    return rc;
}

int node_reader_dir_child(struct node_reader *reader, struct dir_child *ret_child)
{
    struct slice rest = reader->rest;
    struct dir_child child = {0};
    const uint8_t *p;
    int rc = begin_read(reader);

    if (rc != 1)
        return rc;
    if (reader->kind != OBJECT_DIR || reader->height == 0 ||
        !take_name(reader, &rest, &child.first) || !(p = codec_take(&rest, 8 + OBJECT_ID_SIZE)))
        return HF_CORRUPT;
    child.count = bytes_get_u64(p);
    memcpy(child.id.bytes, p + 8, OBJECT_ID_SIZE);
    if (child.count == 0 || __builtin_add_overflow(reader->total, child.count, &reader->total))
        return HF_CORRUPT;
    rc = end_read(reader, rest,
                  dir_boundary(reader->height, child.first, reader->rest.len - rest.len,
                               reader->size - rest.len));
    if (rc == 1) {
        reader->last_name = child.first;
        *ret_child = child;
    }
    return rc;
}

int node_reader_extent(struct node_reader *reader, struct extent *ret_extent)
{
    struct slice rest = reader->rest;
    struct extent extent;
    int rc = begin_read(reader);

    if (rc != 1)
        return rc;
    if (reader->kind != OBJECT_FILE || reader->height != 0 ||
        codec_extent_take(&rest, &extent) != HF_OK || (extent.hole && reader->last_hole) ||
        extent.len > NODE_FILE_SIZE_MAX - reader->total)
        return HF_CORRUPT;
    rc = end_read(reader, rest, extent_boundary(&extent, reader->next + 1));
    if (rc == 1) {
        reader->total += extent.len;
        reader->last_hole = extent.hole;
        *ret_extent = extent;
    }
    return rc;
}

int node_reader_file_child(struct node_reader *reader, struct file_child *ret_child)
{
    struct slice rest = reader->rest;
    struct file_child child;
    const uint8_t *p;
    int rc = begin_read(reader);

    if (rc != 1)
        return rc;
    if (reader->kind != OBJECT_FILE || reader->height == 0 ||
        !(p = codec_take(&rest, FILE_CHILD_SIZE)))
        return HF_CORRUPT;
    child.len = bytes_get_u64(p);
    memcpy(child.id.bytes, p + 8, OBJECT_ID_SIZE);
    if (child.len == 0 || child.len > NODE_FILE_SIZE_MAX - reader->total)
        return HF_CORRUPT;
    rc = end_read(reader, rest, file_boundary(&child.id, reader->next + 1));
    if (rc == 1) {
        reader->total += child.len;
        *ret_child = child;
    }
    return rc;
}
