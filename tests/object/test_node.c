/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "object/codec.h"
#include "reencode.h"
#include "samples.h"

static struct sample samples[SAMPLES_MAX];
static size_t nsamples;

static int make_samples(void **state)
{
    (void)state;
    nsamples = samples_make(samples);
    return 0;
}

static int free_samples(void **state)
{
    (void)state;
    samples_free(samples, nsamples);
    return 0;
}

static struct sample *sample_named(const char *name)
{
    for (size_t i = 0; i < nsamples; i++)
        if (strcmp(samples[i].name, name) == 0)
            return &samples[i];
    fail_msg("no sample %s", name);
    return NULL;
}

static int reencode(const struct sample *sample, struct slice bytes, struct buf *out)
{
    return sample->kind ? reencode_object(sample->kind, bytes, out) : reencode_record(bytes, out);
}

static struct slice text(const char *string)
{
    return slice_of(string, strlen(string));
}

/* --- canonical form ------------------------------------------------------------------------------ */

static void what_was_decoded_encodes_to_the_same_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < nsamples; i++) {
        BUF_AUTO out = {0};

        assert_int_equal(reencode(&samples[i], buf_slice(&samples[i].bytes), &out), HF_OK);
        assert_int_equal(slice_compare(buf_slice(&out), buf_slice(&samples[i].bytes)), 0);
    }
}

static size_t mutate_byte(const struct sample *sample, struct buf *bytes, size_t at)
{
    const uint8_t original = bytes->data[at];
    size_t accepted = 0;

    for (unsigned value = 0; value < 256; value++) {
        BUF_AUTO out = {0};
        int rc;

        if (value == original)
            continue;
        bytes->data[at] = (uint8_t)value;
        rc = reencode(sample, buf_slice(bytes), &out);
        if (rc == HF_OK) {
            accepted++;
            assert_int_equal(slice_compare(buf_slice(&out), buf_slice(bytes)), 0);
        } else {
            assert_true(rc == HF_CORRUPT || rc == HF_NEWER);
        }
    }
    bytes->data[at] = original;
    return accepted;
}

static void every_changed_byte_is_refused_or_canonical(void **state)
{
    (void)state;
    for (size_t i = 0; i < nsamples; i++) {
        BUF_AUTO bytes = {0};
        size_t accepted = 0;

        assert_int_equal(buf_append(&bytes, samples[i].bytes.data, samples[i].bytes.len), HF_OK);
        for (size_t at = 0; at < bytes.len; at++)
            accepted += mutate_byte(&samples[i], &bytes, at);
        assert_true(accepted > 0 && accepted < 255 * bytes.len);
    }
}

static void every_cut_off_or_longer_form_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < nsamples; i++) {
        const struct slice whole = buf_slice(&samples[i].bytes);
        BUF_AUTO longer = {0};
        BUF_AUTO out = {0};

        for (size_t len = 0; len < whole.len; len++) {
            /* A copy of its own size, so that a sanitizer sees a read past the end. */
            uint8_t *copy = malloc(len ? len : 1);

            memcpy(copy, whole.data, len);
            assert_int_equal(reencode(&samples[i], slice_of(copy, len), &out), HF_CORRUPT);
            free(copy);
        }
        for (int value = 0; value < 256; value++) {
            longer.len = 0;
            assert_int_equal(buf_append(&longer, whole.data, whole.len), HF_OK);
            assert_int_equal(buf_append(&longer, &value, 1), HF_OK);
            assert_int_equal(reencode(&samples[i], buf_slice(&longer), &out), HF_CORRUPT);
        }
    }
}

static void a_later_version_is_told_from_damage(void **state)
{
    BUF_AUTO out = {0};

    (void)state;
    for (size_t i = 0; i < nsamples; i++) {
        if (samples[i].kind == 0)
            continue;
        samples[i].bytes.data[0] = NODE_VERSION + 1;
        assert_int_equal(reencode(&samples[i], buf_slice(&samples[i].bytes), &out), HF_NEWER);
        assert_int_equal(reencode(&samples[i], slice_of(samples[i].bytes.data, 1), &out), HF_NEWER);
        samples[i].bytes.data[0] = 0;
        assert_int_equal(reencode(&samples[i], buf_slice(&samples[i].bytes), &out), HF_CORRUPT);
        samples[i].bytes.data[0] = NODE_VERSION;
    }
}

static void a_record_keeps_every_field(void **state)
{
    const struct sample *sample = sample_named("record-device");
    struct inode_record record;

    (void)state;
    assert_int_equal(inode_record_decode(buf_slice(&sample->bytes), &record), HF_OK);
    assert_int_equal(record.ino, 10);
    assert_int_equal(record.mode, S_IFCHR | 0660);
    assert_int_equal(record.uid, 1000);
    assert_int_equal(record.gid, 100);
    assert_int_equal(record.nlink, 1);
    assert_int_equal(record.atime, 1700000000000000001);
    assert_int_equal(record.mtime, 1700000000000000002);
    assert_int_equal(record.ctime, 1700000000000000003);
    assert_int_equal(record.rdev_major, 1);
    assert_int_equal(record.rdev_minor, 0x12345);
    sample = sample_named("record-xattrs");
    assert_int_equal(inode_record_decode(buf_slice(&sample->bytes), &record), HF_OK);
    assert_int_equal(record.ino, NODE_INO_MAX);
    assert_int_equal(record.atime, -1);
    assert_int_equal(record.mtime, INT64_MIN);
    assert_int_equal(record.ctime, INT64_MAX);
    assert_int_equal(record.xattr_kind, XATTR_INLINE);
    assert_int_equal(record.content.kind, CONTENT_INLINE);
    assert_int_equal(slice_compare(record.content.bytes, text("x")), 0);
}

/* What a caller left in members that do not count is not written. */
static void members_that_do_not_count_are_not_encoded(void **state)
{
    struct inode_record record = sample_file(2, 0);
    BUF_AUTO out = {0};

    (void)state;
    record.xattr_block = text("left over");
    record.content.bytes = text("left over");
    record.content.count = 7;
    assert_int_equal(inode_record_encode(&record, &out), HF_OK);
    assert_int_equal(
        slice_compare(buf_slice(&out), buf_slice(&sample_named("record-empty-file")->bytes)), 0);
}

/* --- records that are refused -------------------------------------------------------------------- */

static void assert_record_refused(const struct inode_record *record)
{
    struct inode_record decoded = {.ino = 4711};
    BUF_AUTO out = {0};

    assert_int_equal(codec_record_encode(record, &out), HF_OK);
    assert_int_equal(inode_record_decode(buf_slice(&out), &decoded), HF_CORRUPT);
    assert_int_equal(decoded.ino, 4711);
}

static struct inode_record with_mode(uint32_t mode)
{
    struct inode_record record = sample_file(2, 0);

    record.mode = mode;
    return record;
}

static void records_with_bad_attributes_are_refused(void **state)
{
    struct inode_record record = sample_file(0, 0);

    (void)state;
    assert_record_refused(&record);
    record = sample_file(NODE_INO_MAX + 1, 0);
    assert_record_refused(&record);
    record = sample_file(2, 0);
    record.nlink = 0;
    assert_record_refused(&record);
    record = sample_file(2, 0);
    record.allocated = 1;
    assert_record_refused(&record);
    record = sample_file(2, 1);
    assert_record_refused(&record);
    record = sample_file(2, 0);
    record.xattr_kind = (enum xattr_kind)3;
    assert_record_refused(&record);
    record = sample_file(2, 0);
    record.content.kind = (enum content_kind)6;
    assert_record_refused(&record);
}

static void records_of_no_known_type_are_refused(void **state)
{
    const uint32_t modes[] = {0,       0644,    0030000, 0050000,           0070000,
                              0110000, 0130000, 0150000, S_IFREG | 1 << 16, S_IFMT | 0644};

    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct inode_record record = with_mode(modes[i]);

        assert_record_refused(&record);
    }
}

static void only_devices_have_a_device_number(void **state)
{
    BUF_AUTO bytes = {0};
    struct inode_record record = with_mode(S_IFIFO | 0600), decoded;

    (void)state;
    assert_int_equal(codec_record_encode(&record, &bytes), HF_OK);
    assert_int_equal(inode_record_decode(buf_slice(&bytes), &decoded), HF_OK);
    assert_int_equal(buf_append_zeros(&bytes, 8), HF_OK);
    assert_int_equal(inode_record_decode(buf_slice(&bytes), &decoded), HF_CORRUPT);
}

static void only_files_and_symlinks_have_a_size(void **state)
{
    const uint32_t modes[] = {S_IFDIR, S_IFIFO, S_IFSOCK, S_IFCHR, S_IFBLK};

    (void)state;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct inode_record record = with_mode(modes[i]);

        record.size = 1;
        assert_record_refused(&record);
        record.size = 0;
        record.allocated = 1;
        assert_record_refused(&record);
        record.allocated = 0;
        record.size = 1;
        record.content = (struct content){.kind = CONTENT_INLINE, .bytes = text("x")};
        assert_record_refused(&record);
        if (modes[i] == S_IFDIR)
            continue;
        record = with_mode(modes[i]);
        record.content = (struct content){.kind = CONTENT_DIR, .count = 1};
        assert_record_refused(&record);
    }
}

static void inline_files_that_are_too_long_or_misdeclared_are_refused(void **state)
{
    static const uint8_t data[NODE_INLINE_MAX + 1];
    struct inode_record record = sample_file(2, NODE_INLINE_MAX + 1);

    (void)state;
    record.content = (struct content){.kind = CONTENT_INLINE, .bytes = slice_of(data, sizeof data)};
    assert_record_refused(&record);
    record = sample_file(2, 10);
    record.content = (struct content){.kind = CONTENT_INLINE, .bytes = slice_of(data, 9)};
    assert_record_refused(&record);
    record.content.bytes.len = 10;
    record.allocated = 9;
    assert_record_refused(&record);
    record = sample_file(2, 0);
    record.content = (struct content){.kind = CONTENT_INLINE};
    assert_record_refused(&record);
}

static void symlinks_that_are_empty_too_long_or_hold_a_nul_are_refused(void **state)
{
    static char target[NODE_SYMLINK_MAX + 1];
    struct inode_record record = with_mode(S_IFLNK | 0777), decoded;
    BUF_AUTO bytes = {0};

    (void)state;
    memset(target, 'a', sizeof target);
    record.allocated = 0;
    record.size = NODE_SYMLINK_MAX;
    record.content =
        (struct content){.kind = CONTENT_INLINE, .bytes = slice_of(target, record.size)};
    assert_int_equal(codec_record_encode(&record, &bytes), HF_OK);
    assert_int_equal(inode_record_decode(buf_slice(&bytes), &decoded), HF_OK);
    record.size = record.content.bytes.len = NODE_SYMLINK_MAX + 1;
    assert_record_refused(&record);
    record.size = record.content.bytes.len = 0;
    assert_record_refused(&record);
    record.size = 3;
    record.content.bytes = slice_of("a\0b", 3);
    assert_record_refused(&record);
}

static void symlinks_and_holes_take_no_space(void **state)
{
    struct inode_record record = with_mode(S_IFLNK | 0777);

    (void)state;
    record.size = record.allocated = 1;
    record.content = (struct content){.kind = CONTENT_INLINE, .bytes = text("x")};
    assert_record_refused(&record);
}

/* A file whose content is `n` extents of 100 bytes, holes where `holes` has a bit, then `last`. */
static void make_extents(struct buf *bytes, size_t n, uint32_t holes, const struct extent *last,
                         struct inode_record *ret_record)
{
    *ret_record = sample_file(2, 0);
    for (size_t i = 0; i <= n; i++) {
        struct extent extent = {.len = 100, .hole = holes >> i & 1, .id = sample_id((uint8_t)i)};

        if (i == n && !last)
            break;
        extent = i == n ? *last : extent;
        assert_int_equal(codec_extent_append(bytes, &extent), HF_OK);
        ret_record->size += extent.len;
        ret_record->allocated += extent.hole ? 0 : extent.len;
    }
    ret_record->content = (struct content){.kind = CONTENT_EXTENTS, .bytes = buf_slice(bytes)};
}

static int decode_extents(size_t n, uint32_t holes, const struct extent *last)
{
    struct inode_record record, decoded;
    BUF_AUTO bytes = {0};
    BUF_AUTO out = {0};

    make_extents(&bytes, n, holes, last, &record);
    assert_int_equal(codec_record_encode(&record, &out), HF_OK);
    return inode_record_decode(buf_slice(&out), &decoded);
}

static void extent_lists_that_are_not_canonical_are_refused(void **state)
{
    (void)state;
    assert_int_equal(decode_extents(16, 0, NULL), HF_OK);
    assert_int_equal(decode_extents(16, 0x5555, NULL), HF_OK);
    assert_int_equal(decode_extents(17, 0, NULL), HF_CORRUPT);
    assert_int_equal(decode_extents(0, 0, NULL), HF_CORRUPT);
    assert_int_equal(decode_extents(12, 0x18, NULL), HF_CORRUPT);
    assert_int_equal(decode_extents(10, 0, NULL), HF_CORRUPT); /* 1000 bytes: inline */
    assert_int_equal(decode_extents(12, 0, &(struct extent){.len = 0}), HF_CORRUPT);
    assert_int_equal(decode_extents(12, 0, &(struct extent){.len = 0, .hole = true}), HF_CORRUPT);
    assert_int_equal(decode_extents(1, 0, &(struct extent){.len = OBJECT_MAX_SIZE}), HF_OK);
    assert_int_equal(decode_extents(1, 0, &(struct extent){.len = OBJECT_MAX_SIZE + 1}),
                     HF_CORRUPT);
    assert_int_equal(
        decode_extents(1, 0, &(struct extent){.len = NODE_FILE_SIZE_MAX - 100, .hole = true}),
        HF_OK);
    assert_int_equal(
        decode_extents(1, 0, &(struct extent){.len = NODE_FILE_SIZE_MAX - 99, .hole = true}),
        HF_CORRUPT);
    assert_int_equal(decode_extents(1, 0, &(struct extent){.len = UINT64_MAX, .hole = true}),
                     HF_CORRUPT);
}

static void extents_must_add_up(void **state)
{
    struct inode_record record;
    BUF_AUTO bytes = {0};

    (void)state;
    make_extents(&bytes, 12, 0x10, NULL, &record);
    record.size++;
    assert_record_refused(&record);
    record.size--;
    record.allocated++;
    assert_record_refused(&record);
    record.allocated -= 2;
    assert_record_refused(&record);
}

static void references_to_trees_that_cannot_be_are_refused(void **state)
{
    struct inode_record record = sample_file(2, NODE_INLINE_MAX);

    (void)state;
    record.content = (struct content){.kind = CONTENT_FILE};
    assert_record_refused(&record);
    record.size = NODE_FILE_SIZE_MAX + 1;
    assert_record_refused(&record);
    record.size = 5000;
    record.allocated = 5001;
    assert_record_refused(&record);
    record.allocated = 5000;
    record.content.ref.height = NODE_HEIGHT_MAX + 1;
    assert_record_refused(&record);
    record = with_mode(S_IFDIR);
    record.content = (struct content){.kind = CONTENT_DIR, .count = 0};
    assert_record_refused(&record);
    record.content = (struct content){.kind = CONTENT_DIR, .count = 1};
    record.content.ref.height = NODE_HEIGHT_MAX + 1;
    assert_record_refused(&record);
    record = with_mode(S_IFREG);
    record.content = (struct content){.kind = CONTENT_DIR, .count = 1};
    assert_record_refused(&record);
    record = with_mode(S_IFDIR);
    record.content = (struct content){.kind = CONTENT_FILE};
    assert_record_refused(&record);
}

static void a_leaf_lies_in_place_only_in_a_root(void **state)
{
    const struct sample *leaf = sample_named("dir-leaf");
    struct inode_record record = with_mode(S_IFDIR);

    (void)state;
    record.content =
        (struct content){.kind = CONTENT_LEAF, .bytes = buf_slice(&leaf->bytes), .count = 3};
    assert_record_refused(&record);
}

/* --- xattr blocks -------------------------------------------------------------------------------- */

static int walk_block(struct slice block)
{
    BUF_AUTO out = {0};

    return reencode_xattr_block(block, &out);
}

static void xattr_blocks_that_are_not_canonical_are_refused(void **state)
{
    (void)state;
#define BLOCK(bytes) slice_of(bytes, sizeof bytes - 1)
    assert_int_equal(walk_block(BLOCK("")), HF_OK);
    assert_int_equal(walk_block(BLOCK("\1\1\0av\1\0\0b")), HF_OK);
    assert_int_equal(walk_block(BLOCK("\1\0\0b\1\0\0a")), HF_CORRUPT);
    assert_int_equal(walk_block(BLOCK("\1\0\0a\1\0\0a")), HF_CORRUPT);
    assert_int_equal(walk_block(BLOCK("\0\1\0v")), HF_CORRUPT);
    assert_int_equal(walk_block(BLOCK("\2\0\0a\0")), HF_CORRUPT);
    assert_int_equal(walk_block(BLOCK("\1\2\0av")), HF_CORRUPT);
    assert_int_equal(walk_block(BLOCK("\1\0\0a\1")), HF_CORRUPT);
    assert_int_equal(walk_block(BLOCK("\5\0\0a")), HF_CORRUPT);
}

static void an_xattr_block_in_a_record_is_checked(void **state)
{
    static uint8_t block[NODE_XATTR_INLINE_MAX + 1] = {1, 0xfd, 3, 'a'};
    struct inode_record record = sample_file(2, 0), decoded;
    BUF_AUTO out = {0};

    (void)state;
    record.xattr_kind = XATTR_INLINE;
    assert_record_refused(&record);
    bytes_put_u16(block + 1, NODE_XATTR_INLINE_MAX - 4);
    record.xattr_block = slice_of(block, NODE_XATTR_INLINE_MAX);
    assert_int_equal(codec_record_encode(&record, &out), HF_OK);
    assert_int_equal(inode_record_decode(buf_slice(&out), &decoded), HF_OK);
    bytes_put_u16(block + 1, NODE_XATTR_INLINE_MAX - 3);
    record.xattr_block = slice_of(block, NODE_XATTR_INLINE_MAX + 1);
    assert_record_refused(&record);
    record.xattr_block = slice_of("\1\0\0b\1\0\0a", 8);
    assert_record_refused(&record);
}

static void an_xattr_block_has_a_largest_size(void **state)
{
    static const uint8_t value[NODE_XATTR_MAX];
    BUF_AUTO block = {0};

    (void)state;
    assert_int_equal(xattr_block_append(&block, text("a"), slice_of(value, sizeof value)),
                     HF_NOSPC);
    assert_int_equal(block.len, 0);
    assert_int_equal(xattr_block_append(&block, text("a"), slice_of(value, sizeof value - 4)),
                     HF_OK);
    assert_int_equal(block.len, NODE_XATTR_MAX);
    assert_int_equal(xattr_block_append(&block, text("b"), text("")), HF_NOSPC);
    assert_int_equal(walk_block(buf_slice(&block)), HF_OK);
}

/* --- nodes that are refused ---------------------------------------------------------------------- */

static int count_ref(const struct object_id *id, enum object_kind kind, void *arg)
{
    (void)id;
    (void)kind;
    ++*(int *)arg;
    return 0;
}

static int check_node(enum object_kind kind, const struct buf *bytes)
{
    int refs = 0;

    return node_refs(kind, buf_slice(bytes), count_ref, &refs);
}

static void put_header(struct buf *bytes, uint8_t height, uint16_t count)
{
    const uint8_t header[4] = {NODE_VERSION, height, (uint8_t)count, (uint8_t)(count >> 8)};

    bytes->len = 0;
    assert_int_equal(buf_append(bytes, header, sizeof header), HF_OK);
}

static void put_raw_link(struct buf *bytes, struct slice name, uint64_t ino, uint8_t type)
{
    const uint8_t len = (uint8_t)name.len;
    uint8_t rest[11] = {0};

    bytes_put_u64(rest + 2, ino);
    rest[10] = type;
    assert_int_equal(buf_append(bytes, &len, 1), HF_OK);
    assert_int_equal(buf_append(bytes, name.data, name.len), HF_OK);
    assert_int_equal(buf_append(bytes, rest, sizeof rest), HF_OK);
}

static int check_one_link(struct slice name, uint64_t ino, uint8_t type)
{
    BUF_AUTO bytes = {0};

    put_header(&bytes, 0, 1);
    put_raw_link(&bytes, name, ino, type);
    return check_node(OBJECT_DIR, &bytes);
}

static void names_that_no_file_can_have_are_refused(void **state)
{
    (void)state;
    assert_int_equal(check_one_link(text("a"), 2, S_IFREG >> 12), HF_OK);
    assert_int_equal(check_one_link(text("..."), 2, S_IFREG >> 12), HF_OK);
    assert_int_equal(check_one_link(text(".a"), 2, S_IFREG >> 12), HF_OK);
    assert_int_equal(check_one_link(text(""), 2, S_IFREG >> 12), HF_CORRUPT);
    assert_int_equal(check_one_link(text("."), 2, S_IFREG >> 12), HF_CORRUPT);
    assert_int_equal(check_one_link(text(".."), 2, S_IFREG >> 12), HF_CORRUPT);
    assert_int_equal(check_one_link(text("a/b"), 2, S_IFREG >> 12), HF_CORRUPT);
    assert_int_equal(check_one_link(slice_of("a\0", 2), 2, S_IFREG >> 12), HF_CORRUPT);
}

static void links_to_directories_or_to_nothing_are_refused(void **state)
{
    const uint8_t types[] = {S_IFREG >> 12,  S_IFLNK >> 12, S_IFIFO >> 12,
                             S_IFSOCK >> 12, S_IFCHR >> 12, S_IFBLK >> 12};

    (void)state;
    for (unsigned type = 0; type < 256; type++)
        assert_int_equal(check_one_link(text("a"), 2, (uint8_t)type),
                         memchr(types, (int)type, sizeof types) ? HF_OK : HF_CORRUPT);
    assert_int_equal(check_one_link(text("a"), 0, S_IFREG >> 12), HF_CORRUPT);
    assert_int_equal(check_one_link(text("a"), NODE_INO_MAX, S_IFREG >> 12), HF_OK);
    assert_int_equal(check_one_link(text("a"), NODE_INO_MAX + 1, S_IFREG >> 12), HF_CORRUPT);
}

static int check_two_links(const char *first, const char *second, uint16_t count)
{
    BUF_AUTO bytes = {0};

    put_header(&bytes, 0, count);
    put_raw_link(&bytes, text(first), 2, S_IFREG >> 12);
    put_raw_link(&bytes, text(second), 2, S_IFREG >> 12);
    return check_node(OBJECT_DIR, &bytes);
}

static void names_out_of_order_and_wrong_counts_are_refused(void **state)
{
    (void)state;
    assert_int_equal(check_two_links("a", "b", 2), HF_OK);
    assert_int_equal(check_two_links("a", "aa", 2), HF_OK);
    assert_int_equal(check_two_links("b", "a", 2), HF_CORRUPT);
    assert_int_equal(check_two_links("a", "a", 2), HF_CORRUPT);
    assert_int_equal(check_two_links("aa", "a", 2), HF_CORRUPT);
    assert_int_equal(check_two_links("a", "\377", 2), HF_OK);
    assert_int_equal(check_two_links("a", "b", 0), HF_CORRUPT);
    assert_int_equal(check_two_links("a", "b", 1), HF_CORRUPT);
    assert_int_equal(check_two_links("a", "b", 3), HF_CORRUPT);
    assert_int_equal(check_two_links("a", "b", 65535), HF_CORRUPT);
}

static int check_dir_children(const char *first, const char *second, uint64_t count)
{
    BUF_AUTO bytes = {0};
    uint8_t rest[40] = {0};

    put_header(&bytes, 1, 2);
    bytes_put_u64(rest, count);
    for (int i = 0; i < 2; i++) {
        const char *name = i ? second : first;
        const uint8_t len = (uint8_t)strlen(name);

        assert_int_equal(buf_append(&bytes, &len, 1), HF_OK);
        assert_int_equal(buf_append(&bytes, name, len), HF_OK);
        assert_int_equal(buf_append(&bytes, rest, sizeof rest), HF_OK);
    }
    return check_node(OBJECT_DIR, &bytes);
}

static void interior_directory_nodes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    assert_int_equal(check_dir_children("a", "b", 1), HF_OK);
    assert_int_equal(check_dir_children("b", "a", 1), HF_CORRUPT);
    assert_int_equal(check_dir_children("a", "a", 1), HF_CORRUPT);
    assert_int_equal(check_dir_children("", "a", 1), HF_CORRUPT);
    assert_int_equal(check_dir_children("a", "b", 0), HF_CORRUPT);
    assert_int_equal(check_dir_children("a", "b", 1ULL << 63), HF_CORRUPT);
}

static int check_file_children(uint64_t first, uint64_t second)
{
    BUF_AUTO bytes = {0};
    uint8_t item[40] = {0};

    put_header(&bytes, 1, 2);
    bytes_put_u64(item, first);
    assert_int_equal(buf_append(&bytes, item, sizeof item), HF_OK);
    bytes_put_u64(item, second);
    assert_int_equal(buf_append(&bytes, item, sizeof item), HF_OK);
    return check_node(OBJECT_FILE, &bytes);
}

static void interior_file_nodes_that_cannot_be_are_refused(void **state)
{
    (void)state;
    assert_int_equal(check_file_children(1, 1), HF_OK);
    assert_int_equal(check_file_children(0, 1), HF_CORRUPT);
    assert_int_equal(check_file_children(1, 0), HF_CORRUPT);
    assert_int_equal(check_file_children(1, NODE_FILE_SIZE_MAX - 1), HF_OK);
    assert_int_equal(check_file_children(1, NODE_FILE_SIZE_MAX), HF_CORRUPT);
    assert_int_equal(check_file_children(UINT64_MAX, UINT64_MAX), HF_CORRUPT);
}

static void nodes_of_the_other_kind_are_refused(void **state)
{
    (void)state;
    assert_int_equal(check_node(OBJECT_FILE, &sample_named("dir-leaf")->bytes), HF_CORRUPT);
    assert_int_equal(check_node(OBJECT_DIR, &sample_named("file-leaf")->bytes), HF_CORRUPT);
    assert_int_equal(check_node(OBJECT_ROOT, &sample_named("dir-leaf")->bytes), HF_CORRUPT);
    assert_int_equal(check_node(OBJECT_DIR, &sample_named("root-in-place")->bytes), HF_CORRUPT);
    assert_int_equal(check_node((enum object_kind)0, &sample_named("dir-leaf")->bytes), HF_CORRUPT);
    assert_int_equal(check_node((enum object_kind)5, &sample_named("dir-leaf")->bytes), HF_CORRUPT);
}

/* --- where nodes end ------------------------------------------------------------------------------ */

static struct dir_entry numbered_link(size_t i, char name[32])
{
    return (struct dir_entry){.name = slice_of(name, (size_t)snprintf(name, 32, "%08zu", i)),
                              .ino = i + 2,
                              .mode = S_IFREG};
}

static void a_directory_leaf_that_goes_on_after_a_boundary_is_refused(void **state)
{
    struct node_writer writer = {0};
    char name[32];
    size_t i = 0;

    (void)state;
    assert_int_equal(node_writer_start(&writer, OBJECT_DIR, 0), HF_OK);
    while (!node_writer_at_boundary(&writer)) {
        struct dir_entry entry = numbered_link(i++, name);

        assert_int_equal(node_writer_dir_entry(&writer, &entry), HF_OK);
    }
    assert_int_equal(check_node(OBJECT_DIR, &writer.bytes), HF_OK);
    put_raw_link(&writer.bytes, numbered_link(i, name).name, 2, S_IFREG >> 12);
    bytes_put_u16(writer.bytes.data + 2, (uint16_t)(writer.count + 1));
    assert_int_equal(check_node(OBJECT_DIR, &writer.bytes), HF_CORRUPT);
    buf_free(&writer.bytes);
}

static void a_file_leaf_that_goes_on_after_a_boundary_is_refused(void **state)
{
    const struct extent extent = {.len = 1}; /* an id of zeros: a boundary as soon as one may be */
    struct node_writer writer = {0};

    (void)state;
    assert_int_equal(node_writer_start(&writer, OBJECT_FILE, 0), HF_OK);
    while (!node_writer_at_boundary(&writer))
        assert_int_equal(node_writer_extent(&writer, &extent), HF_OK);
    assert_int_equal(writer.count, 32);
    assert_int_equal(check_node(OBJECT_FILE, &writer.bytes), HF_OK);
    assert_int_equal(content_extents_append(&writer.bytes, &extent), HF_OK);
    bytes_put_u16(writer.bytes.data + 2, (uint16_t)(writer.count + 1));
    assert_int_equal(check_node(OBJECT_FILE, &writer.bytes), HF_CORRUPT);
    buf_free(&writer.bytes);
}

/* Entries of the largest kind there is: a symlink with a long target, xattrs and a long name. */
static void the_largest_entries_stay_below_the_largest_object(void **state)
{
    static uint8_t target[NODE_SYMLINK_MAX], block[NODE_XATTR_INLINE_MAX] = {1, 0xfc, 3, 'a'};
    struct inode_record record = with_mode(S_IFLNK | 0777);
    struct node_writer writer = {0};
    char name[NODE_NAME_MAX + 1];
    BUF_AUTO bytes = {0};

    (void)state;
    memset(target, 'a', sizeof target);
    record.size = sizeof target;
    record.content =
        (struct content){.kind = CONTENT_INLINE, .bytes = slice_of(target, sizeof target)};
    record.xattr_kind = XATTR_INLINE;
    record.xattr_block = slice_of(block, sizeof block);
    assert_int_equal(inode_record_encode(&record, &bytes), HF_OK);
    assert_int_equal(node_writer_start(&writer, OBJECT_DIR, 0), HF_OK);
    for (int i = 0; !node_writer_at_boundary(&writer); i++) {
        struct dir_entry entry = {.record = buf_slice(&bytes), .ino = 2, .mode = record.mode};

        snprintf(name, sizeof name, "%0255d", i);
        entry.name = text(name);
        assert_int_equal(node_writer_dir_entry(&writer, &entry), HF_OK);
    }
    assert_in_range(writer.bytes.len, 1, 16384 + 6000);
    assert_int_equal(check_node(OBJECT_DIR, &writer.bytes), HF_OK);
    buf_free(&writer.bytes);
}

static void directory_leaves_have_8_kib_on_average_and_about_16_at_most(void **state)
{
    struct node_writer writer = {0};
    size_t nodes = 0, sum = 0, largest = 0;
    char name[32];

    (void)state;
    assert_int_equal(node_writer_start(&writer, OBJECT_DIR, 0), HF_OK);
    for (size_t i = 0; i < 200000; i++) {
        struct dir_entry entry = numbered_link(i, name);

        assert_int_equal(node_writer_dir_entry(&writer, &entry), HF_OK);
        if (!node_writer_at_boundary(&writer))
            continue;
        nodes++;
        sum += writer.bytes.len;
        largest = writer.bytes.len > largest ? writer.bytes.len : largest;
        assert_int_equal(node_writer_start(&writer, OBJECT_DIR, 0), HF_OK);
    }
    assert_in_range(sum / nodes, 6500, 9000);
    assert_in_range(largest, 8192, 16384 + 64);
    buf_free(&writer.bytes);
}

static void file_leaves_have_128_items_on_average_and_512_at_most(void **state)
{
    const struct object_hasher hasher = {0};
    struct node_writer writer = {0};
    size_t nodes = 0, sum = 0, largest = 0;

    (void)state;
    assert_int_equal(node_writer_start(&writer, OBJECT_FILE, 0), HF_OK);
    for (uint64_t i = 0; i < 100000; i++) {
        struct extent extent = {.len = 8192};

        assert_int_equal(object_id_compute(&hasher, OBJECT_CHUNK, &i, sizeof i, &extent.id), HF_OK);
        assert_int_equal(node_writer_extent(&writer, &extent), HF_OK);
        if (!node_writer_at_boundary(&writer))
            continue;
        nodes++;
        sum += writer.count;
        largest = writer.count > largest ? writer.count : largest;
        assert_int_equal(node_writer_start(&writer, OBJECT_FILE, 0), HF_OK);
    }
    assert_in_range(sum / nodes, 110, 145);
    assert_in_range(largest, 128, 512);
    buf_free(&writer.bytes);
}

/* --- roots ---------------------------------------------------------------------------------------- */

static int decode_root_patched(const char *name, size_t at, uint8_t value)
{
    struct sample *sample = sample_named(name);
    const uint8_t original = sample->bytes.data[at];
    struct root_node root;
    int rc;

    sample->bytes.data[at] = value;
    rc = root_node_decode(buf_slice(&sample->bytes), &root);
    sample->bytes.data[at] = original;
    return rc;
}

static void roots_that_cannot_be_are_refused(void **state)
{
    const size_t record = 14, height = record + 70;

    (void)state;
    assert_int_equal(decode_root_patched("root-empty", 4, 2), HF_OK);
    assert_int_equal(decode_root_patched("root-empty", 4, 1), HF_CORRUPT);
    assert_int_equal(decode_root_patched("root-empty", 9, 1), HF_CORRUPT);
    assert_int_equal(decode_root_patched("root-empty", record, 2), HF_CORRUPT);
    assert_int_equal(decode_root_patched("root-empty", record + 9, S_IFREG >> 8), HF_CORRUPT);
    assert_int_equal(decode_root_patched("root-large", height, 2), HF_OK);
    /* A directory of one leaf is in place. */
    assert_int_equal(decode_root_patched("root-large", height, 0), HF_CORRUPT);
    assert_int_equal(decode_root_patched("root-large", height + 41, 0), HF_CORRUPT);
}

static int decode_links(const char *name, uint64_t ino, uint32_t mode)
{
    struct node_writer writer = {0};
    struct root_node root;
    struct inode_record record = with_mode(mode);
    BUF_AUTO bytes = {0};
    BUF_AUTO out = {0};
    struct dir_entry entry = {.name = text(name), .ino = ino, .mode = mode & S_IFMT};

    record.ino = ino;
    if (mode & 07777) {
        assert_int_equal(inode_record_encode(&record, &bytes), HF_OK);
        entry.record = buf_slice(&bytes);
    }
    assert_int_equal(node_writer_start(&writer, OBJECT_DIR, 0), HF_OK);
    assert_int_equal(node_writer_dir_entry(&writer, &entry), HF_OK);
    assert_int_equal(buf_append(&out, sample_named("root-empty")->bytes.data,
                                sample_named("root-empty")->bytes.len),
                     HF_OK);
    out.data[1] = CONTENT_LEAF;
    bytes_put_u16(out.data + 2, (uint16_t)writer.bytes.len);
    assert_int_equal(buf_append(&out, writer.bytes.data, writer.bytes.len), HF_OK);
    buf_free(&writer.bytes);
    return root_node_decode(buf_slice(&out), &root);
}

static void the_link_table_holds_records_under_their_numbers(void **state)
{
    (void)state;
    assert_int_equal(decode_links("00000000000000ab", 0xab, S_IFREG | 0644), HF_OK);
    assert_int_equal(decode_links("00000000000000ac", 0xab, S_IFREG | 0644), HF_CORRUPT);
    assert_int_equal(decode_links("00000000000000AB", 0xab, S_IFREG | 0644), HF_CORRUPT);
    assert_int_equal(decode_links("ab", 0xab, S_IFREG | 0644), HF_CORRUPT);
    assert_int_equal(decode_links("00000000000000ab", 0xab, S_IFREG), HF_CORRUPT); /* a link */
    assert_int_equal(decode_links("00000000000000ab", 0xab, S_IFDIR | 0755), HF_CORRUPT);
}

/* --- references ----------------------------------------------------------------------------------- */

struct seen {
    uint8_t first[16]; /* first byte of each id */
    enum object_kind kind[16];
    size_t n, stop_after;
};

static int see(const struct object_id *id, enum object_kind kind, void *arg)
{
    struct seen *seen = arg;

    assert_true(seen->n < 16);
    seen->first[seen->n] = id->bytes[0];
    seen->kind[seen->n++] = kind;
    return seen->n == seen->stop_after ? 42 : 0;
}

static void assert_refs(const char *name, const char *first, const char *kinds)
{
    const struct sample *sample = sample_named(name);
    struct seen seen = {0};

    assert_int_equal(node_refs(sample->kind, buf_slice(&sample->bytes), see, &seen), 0);
    assert_int_equal(seen.n, strlen(kinds));
    for (size_t i = 0; i < seen.n; i++) {
        assert_int_equal(seen.first[i], (uint8_t)first[i]);
        assert_int_equal(seen.kind[i], kinds[i] - '0');
    }
}

static void every_reference_of_a_node_is_reported_in_order(void **state)
{
    (void)state;
    assert_refs("dir-leaf", "\x66", "2");
    assert_refs("dir-interior", "\x77\x88", "22");
    assert_refs("file-leaf", "\x99\xaa", "11");
    assert_refs("file-interior", "\xbb\xcc", "33");
    assert_refs("root-empty", "", "");
    assert_refs("root-in-place", "\x66", "2");
    assert_refs("root-large", "\xdd\xee", "22");
}

static void references_of_all_records_of_a_leaf_are_reported(void **state)
{
    const char *names[] = {"record-extents-file", "record-long-file", "record-long-xattrs"};
    const uint8_t first[] = {0x11, 0x22, 0x33, 0x55};
    struct node_writer writer = {0};
    struct seen seen = {0};

    (void)state;
    assert_int_equal(node_writer_start(&writer, OBJECT_DIR, 0), HF_OK);
    for (size_t i = 0; i < 3; i++) {
        struct dir_entry entry = {text(names[i]), buf_slice(&sample_named(names[i])->bytes), 2,
                                  S_IFREG};

        assert_int_equal(node_writer_dir_entry(&writer, &entry), HF_OK);
    }
    assert_int_equal(node_refs(OBJECT_DIR, buf_slice(&writer.bytes), see, &seen), 0);
    assert_int_equal(seen.n, 4);
    assert_memory_equal(seen.first, first, 4);
    buf_free(&writer.bytes);
}

static void a_visitor_can_stop_the_walk(void **state)
{
    const struct sample *sample = sample_named("file-leaf");
    struct seen seen = {.stop_after = 1};

    (void)state;
    assert_int_equal(node_refs(sample->kind, buf_slice(&sample->bytes), see, &seen), 42);
    assert_int_equal(seen.n, 1);
}

static void a_chunk_has_no_references_and_a_largest_size(void **state)
{
    static const uint8_t data[OBJECT_MAX_SIZE + 1];
    struct seen seen = {0};

    (void)state;
    assert_int_equal(node_refs(OBJECT_CHUNK, slice_of(data, OBJECT_MAX_SIZE), see, &seen), HF_OK);
    assert_int_equal(node_refs(OBJECT_CHUNK, slice_of(data, sizeof data), see, &seen), HF_CORRUPT);
    assert_int_equal(seen.n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_decoded_encodes_to_the_same_bytes),
        cmocka_unit_test(every_changed_byte_is_refused_or_canonical),
        cmocka_unit_test(every_cut_off_or_longer_form_is_refused),
        cmocka_unit_test(a_later_version_is_told_from_damage),
        cmocka_unit_test(a_record_keeps_every_field),
        cmocka_unit_test(members_that_do_not_count_are_not_encoded),
        cmocka_unit_test(records_with_bad_attributes_are_refused),
        cmocka_unit_test(records_of_no_known_type_are_refused),
        cmocka_unit_test(only_devices_have_a_device_number),
        cmocka_unit_test(only_files_and_symlinks_have_a_size),
        cmocka_unit_test(inline_files_that_are_too_long_or_misdeclared_are_refused),
        cmocka_unit_test(symlinks_that_are_empty_too_long_or_hold_a_nul_are_refused),
        cmocka_unit_test(symlinks_and_holes_take_no_space),
        cmocka_unit_test(extent_lists_that_are_not_canonical_are_refused),
        cmocka_unit_test(extents_must_add_up),
        cmocka_unit_test(references_to_trees_that_cannot_be_are_refused),
        cmocka_unit_test(a_leaf_lies_in_place_only_in_a_root),
        cmocka_unit_test(xattr_blocks_that_are_not_canonical_are_refused),
        cmocka_unit_test(an_xattr_block_in_a_record_is_checked),
        cmocka_unit_test(an_xattr_block_has_a_largest_size),
        cmocka_unit_test(names_that_no_file_can_have_are_refused),
        cmocka_unit_test(links_to_directories_or_to_nothing_are_refused),
        cmocka_unit_test(names_out_of_order_and_wrong_counts_are_refused),
        cmocka_unit_test(interior_directory_nodes_that_cannot_be_are_refused),
        cmocka_unit_test(interior_file_nodes_that_cannot_be_are_refused),
        cmocka_unit_test(nodes_of_the_other_kind_are_refused),
        cmocka_unit_test(a_directory_leaf_that_goes_on_after_a_boundary_is_refused),
        cmocka_unit_test(a_file_leaf_that_goes_on_after_a_boundary_is_refused),
        cmocka_unit_test(the_largest_entries_stay_below_the_largest_object),
        cmocka_unit_test(directory_leaves_have_8_kib_on_average_and_about_16_at_most),
        cmocka_unit_test(file_leaves_have_128_items_on_average_and_512_at_most),
        cmocka_unit_test(roots_that_cannot_be_are_refused),
        cmocka_unit_test(the_link_table_holds_records_under_their_numbers),
        cmocka_unit_test(every_reference_of_a_node_is_reported_in_order),
        cmocka_unit_test(references_of_all_records_of_a_leaf_are_reported),
        cmocka_unit_test(a_visitor_can_stop_the_walk),
        cmocka_unit_test(a_chunk_has_no_references_and_a_largest_size),
    };

    return cmocka_run_group_tests(tests, make_samples, free_samples);
}
