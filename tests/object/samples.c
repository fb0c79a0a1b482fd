/* SPDX-License-Identifier: Apache-2.0 */
#include "samples.h"

#include <stdlib.h>
#include <sys/stat.h>

#define CHECK(call)                                                                                \
    do {                                                                                           \
        if ((call) != HF_OK)                                                                       \
            abort();                                                                               \
    } while (0)

struct object_id sample_id(uint8_t byte)
{
    struct object_id id;

    memset(id.bytes, byte, sizeof id.bytes);
    return id;
}

struct inode_record sample_file(uint64_t ino, uint64_t size)
{
    return (struct inode_record){.ino = ino,
                                 .mode = S_IFREG | 0644,
                                 .uid = 1000,
                                 .gid = 100,
                                 .nlink = 1,
                                 .size = size,
                                 .allocated = size,
                                 .atime = 1700000000000000001,
                                 .mtime = 1700000000000000002,
                                 .ctime = 1700000000000000003};
}

static struct slice text(const char *string)
{
    return slice_of(string, strlen(string));
}

/* A sample that is one record; `parts` are freed after it was encoded. */
static void add_record(struct sample *sample, const char *name, const struct inode_record *record)
{
    *sample = (struct sample){.name = name};
    CHECK(inode_record_encode(record, &sample->bytes));
}

static struct inode_record inline_file(uint64_t ino, const char *data)
{
    struct inode_record record = sample_file(ino, strlen(data));

    record.content = (struct content){.kind = CONTENT_INLINE, .bytes = text(data)};
    return record;
}

static struct inode_record special(uint64_t ino, uint32_t mode)
{
    struct inode_record record = sample_file(ino, 0);

    record.mode = mode;
    return record;
}

static void make_extents(struct buf *bytes)
{
    CHECK(content_extents_append(bytes, &(struct extent){.len = 8192, .id = sample_id(0x11)}));
    CHECK(content_extents_append(bytes, &(struct extent){.len = 1ULL << 33, .hole = true}));
    CHECK(content_extents_append(bytes, &(struct extent){.len = 100, .id = sample_id(0x22)}));
}

static size_t make_files(struct sample *samples)
{
    BUF_AUTO extents = {0};
    struct inode_record record = sample_file(2, 0);
    size_t n = 0;

    add_record(&samples[n++], "record-empty-file", &record);
    record = inline_file(3, "hello\n");
    add_record(&samples[n++], "record-inline-file", &record);
    make_extents(&extents);
    record = sample_file(4, 8192 + (1ULL << 33) + 100);
    record.allocated = 8292;
    record.content = (struct content){.kind = CONTENT_EXTENTS, .bytes = buf_slice(&extents)};
    add_record(&samples[n++], "record-extents-file", &record);
    record = sample_file(5, 20971520);
    record.content = (struct content){.kind = CONTENT_FILE, .ref = {1, sample_id(0x33)}};
    add_record(&samples[n++], "record-long-file", &record);
    record = special(6, S_IFLNK | 0777);
    record.size = 9;
    record.content = (struct content){.kind = CONTENT_INLINE, .bytes = text("../target")};
    add_record(&samples[n++], "record-symlink", &record);
    return n;
}

static size_t make_others(struct sample *samples)
{
    struct inode_record record = special(7, S_IFDIR | S_ISGID | 0750);
    size_t n = 0;

    record.nlink = 2;
    add_record(&samples[n++], "record-empty-directory", &record);
    record.content =
        (struct content){.kind = CONTENT_DIR, .ref = {2, sample_id(0x44)}, .count = 100000};
    add_record(&samples[n++], "record-directory", &record);
    record = special(8, S_IFIFO | 0600);
    add_record(&samples[n++], "record-fifo", &record);
    record = special(9, S_IFSOCK | 0600);
    add_record(&samples[n++], "record-socket", &record);
    record = special(10, S_IFCHR | 0660);
    record.rdev_major = 1;
    record.rdev_minor = 0x12345;
    add_record(&samples[n++], "record-device", &record);
    return n;
}

static size_t make_xattrs(struct sample *samples)
{
    BUF_AUTO block = {0};
    struct inode_record record = inline_file(NODE_INO_MAX, "x");
    size_t n = 0;

    CHECK(xattr_block_append(&block, text("user.a"), text("1")));
    CHECK(xattr_block_append(&block, text("user.ab"), text("")));
    CHECK(xattr_block_append(&block, text("user.b"), slice_of("\0\377", 2)));
    record.xattr_kind = XATTR_INLINE;
    record.xattr_block = buf_slice(&block);
    record.atime = -1;
    record.mtime = INT64_MIN;
    record.ctime = INT64_MAX;
    add_record(&samples[n++], "record-xattrs", &record);
    record = special(12, S_IFBLK | 07777);
    record.xattr_kind = XATTR_CHUNK;
    record.xattr_id = sample_id(0x55);
    add_record(&samples[n++], "record-long-xattrs", &record);
    return n;
}

static void dir_leaf(struct buf *out)
{
    struct node_writer writer = {0};
    BUF_AUTO bytes = {0};
    struct inode_record record = inline_file(3, "hello\n");

    CHECK(node_writer_start(&writer, OBJECT_DIR, 0));
    CHECK(inode_record_encode(&record, &bytes));
    CHECK(node_writer_dir_entry(&writer,
                                &(struct dir_entry){text("a"), buf_slice(&bytes), 3, record.mode}));
    CHECK(node_writer_dir_entry(
        &writer, &(struct dir_entry){.name = text("a.link"), .ino = 6, .mode = S_IFREG}));
    record = special(2, S_IFDIR | 0700);
    record.content = (struct content){.kind = CONTENT_DIR, .ref = {0, sample_id(0x66)}, .count = 3};
    bytes.len = 0;
    CHECK(inode_record_encode(&record, &bytes));
    CHECK(node_writer_dir_entry(
        &writer, &(struct dir_entry){text("\303\244"), buf_slice(&bytes), 2, record.mode}));
    CHECK(buf_append(out, writer.bytes.data, writer.bytes.len));
    buf_free(&writer.bytes);
}

static void links_leaf(struct buf *out)
{
    struct node_writer writer = {0};
    BUF_AUTO bytes = {0};
    struct inode_record record = inline_file(0x6, "twice\n");

    record.nlink = 2;
    CHECK(inode_record_encode(&record, &bytes));
    CHECK(node_writer_start(&writer, OBJECT_DIR, 0));
    CHECK(node_writer_dir_entry(
        &writer,
        &(struct dir_entry){text("0000000000000006"), buf_slice(&bytes), record.ino, record.mode}));
    CHECK(buf_append(out, writer.bytes.data, writer.bytes.len));
    buf_free(&writer.bytes);
}

static size_t make_nodes(struct sample *samples)
{
    struct node_writer writer = {0};
    size_t n = 0;

    samples[n] = (struct sample){.name = "dir-leaf", .kind = OBJECT_DIR};
    dir_leaf(&samples[n++].bytes);
    CHECK(node_writer_start(&writer, OBJECT_DIR, 1));
    CHECK(node_writer_dir_child(&writer, &(struct dir_child){text("a"), 80, sample_id(0x77)}));
    CHECK(node_writer_dir_child(&writer, &(struct dir_child){text("m.txt"), 1, sample_id(0x88)}));
    samples[n++] = (struct sample){"dir-interior", OBJECT_DIR, writer.bytes};
    writer.bytes = (struct buf){0};
    CHECK(node_writer_start(&writer, OBJECT_FILE, 0));
    CHECK(node_writer_extent(&writer, &(struct extent){.len = 65536, .id = sample_id(0x99)}));
    CHECK(node_writer_extent(&writer, &(struct extent){.len = 4096, .hole = true}));
    CHECK(node_writer_extent(&writer, &(struct extent){.len = 1, .id = sample_id(0xaa)}));
    samples[n++] = (struct sample){"file-leaf", OBJECT_FILE, writer.bytes};
    writer.bytes = (struct buf){0};
    CHECK(node_writer_start(&writer, OBJECT_FILE, 2));
    CHECK(node_writer_file_child(&writer, &(struct file_child){1 << 20, sample_id(0xbb)}));
    CHECK(node_writer_file_child(&writer, &(struct file_child){77, sample_id(0xcc)}));
    samples[n++] = (struct sample){"file-interior", OBJECT_FILE, writer.bytes};
    return n;
}

static struct inode_record top_directory(void)
{
    struct inode_record record = special(NODE_ROOT_INO, S_IFDIR | 0700);

    record.nlink = 2;
    return record;
}

static size_t make_roots(struct sample *samples)
{
    BUF_AUTO leaf = {0};
    BUF_AUTO links = {0};
    struct root_node root = {.next_ino = 2, .dir = top_directory()};
    size_t n = 0;

    samples[n] = (struct sample){.name = "root-empty", .kind = OBJECT_ROOT};
    CHECK(root_node_encode(&root, &samples[n++].bytes));
    dir_leaf(&leaf);
    links_leaf(&links);
    root.next_ino = 7;
    root.dir.content =
        (struct content){.kind = CONTENT_LEAF, .bytes = buf_slice(&leaf), .count = 3};
    root.links = (struct content){.kind = CONTENT_LEAF, .bytes = buf_slice(&links), .count = 1};
    samples[n] = (struct sample){.name = "root-in-place", .kind = OBJECT_ROOT};
    CHECK(root_node_encode(&root, &samples[n++].bytes));
    root.next_ino = NODE_INO_MAX + 1;
    root.dir.content =
        (struct content){.kind = CONTENT_DIR, .ref = {1, sample_id(0xdd)}, .count = 1000};
    root.links = (struct content){.kind = CONTENT_DIR, .ref = {3, sample_id(0xee)}, .count = 9};
    samples[n] = (struct sample){.name = "root-large", .kind = OBJECT_ROOT};
    CHECK(root_node_encode(&root, &samples[n++].bytes));
    return n;
}

size_t samples_make(struct sample samples[SAMPLES_MAX])
{
    size_t n = make_files(samples);

    n += make_others(samples + n);
    n += make_xattrs(samples + n);
    n += make_nodes(samples + n);
    n += make_roots(samples + n);
    return n;
}

void samples_free(struct sample *samples, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buf_free(&samples[i].bytes);
}
