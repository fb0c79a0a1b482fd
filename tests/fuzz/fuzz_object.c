/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The fuzz target of everything in src/object that reads bytes from a store. The first byte of an input
 * says what the others are:
 *
 *     1..4   an object of that kind
 *     5      an inode record
 *     6      an xattr block
 *     7      a packed object: u8 encoding, u32 plain size, u16 length of the base, base, packed bytes
 *
 * It ends the program when something that was accepted encodes to other bytes, when node_refs() and the
 * decoders disagree, or when memory is asked for that the input does not justify.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bytes.h"
#include "reencode.h"
#include "watch.h"

#define PACKED_HEAD 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* --- nodes ---------------------------------------------------------------------------------------- */

static int count_ref(const struct object_id *id, enum object_kind kind, void *arg)
{
    REQUIRE(kind >= OBJECT_CHUNK && kind <= OBJECT_FILE);
    *(size_t *)arg += 1 + id->bytes[0] % 2;
    return 0;
}

static void try_object(enum object_kind kind, struct slice bytes)
{
    BUF_AUTO again = {0};
    size_t refs = 0;
    int checked, rc;

    watch();
    checked = node_refs(kind, bytes, count_ref, &refs);
    REQUIRE(unwatch() == 0);
    REQUIRE(checked == HF_OK || checked == HF_CORRUPT || checked == HF_NEWER);
    if (kind == OBJECT_CHUNK)
        return;
    rc = reencode_object(kind, bytes, &again);
    REQUIRE(rc == checked);
    if (rc == HF_OK)
        REQUIRE(slice_compare(bytes, buf_slice(&again)) == 0);
}

static void try_record(struct slice bytes)
{
    struct inode_record record;
    BUF_AUTO again = {0};
    int rc;

    watch();
    rc = inode_record_decode(bytes, &record);
    REQUIRE(unwatch() == 0);
    REQUIRE(rc == reencode_record(bytes, &again));
    if (rc == HF_OK)
        REQUIRE(slice_compare(bytes, buf_slice(&again)) == 0);
}

static void try_xattr_block(struct slice bytes)
{
    BUF_AUTO again = {0};

    if (bytes.len <= NODE_XATTR_MAX && reencode_xattr_block(bytes, &again) == HF_OK)
        REQUIRE(slice_compare(bytes, buf_slice(&again)) == 0);
}

/* --- packed objects ------------------------------------------------------------------------------- */

static void try_pack(struct slice content, struct slice base)
{
    enum object_encoding encoding;
    BUF_AUTO packed = {0};
    BUF_AUTO again = {0};

    REQUIRE(object_pack(content, base, &packed, &encoding) == HF_OK);
    REQUIRE(packed.len <= content.len);
    REQUIRE(object_unpack(encoding, buf_slice(&packed), base, content.len, &again) == HF_OK);
    REQUIRE(slice_compare(content, buf_slice(&again)) == 0);
}

static void try_unpack(struct slice bytes)
{
    struct slice base, packed;
    BUF_AUTO content = {0};
    size_t size, base_len;
    int rc;

    if (bytes.len < PACKED_HEAD)
        return;
    size = bytes_get_u32(bytes.data + 1);
    base_len = bytes_get_u16(bytes.data + 5);
    if (base_len > bytes.len - PACKED_HEAD)
        base_len = bytes.len - PACKED_HEAD;
    base = slice_of(bytes.data + PACKED_HEAD, base_len);
    packed = slice_of(base.data + base_len, bytes.len - PACKED_HEAD - base_len);
    watch();
    rc = object_unpack((enum object_encoding)bytes.data[0], packed, base, size, &content);
    REQUIRE(unwatch() <= 64 + 2 * 255 * packed.len);
    REQUIRE(content.cap <= 64 + 2 * OBJECT_MAX_SIZE);
    REQUIRE(content.len == (rc == HF_OK ? size : 0));
    if (packed.len <= OBJECT_MAX_SIZE)
        try_pack(packed, base);
    if (rc == HF_OK)
        try_pack(buf_slice(&content), base);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice rest;

    if (size == 0)
        return 0;
    rest = slice_of(data + 1, size - 1);
    if (data[0] >= OBJECT_CHUNK && data[0] <= OBJECT_ROOT)
        try_object((enum object_kind)data[0], rest);
    else if (data[0] == 5)
        try_record(rest);
    else if (data[0] == 6)
        try_xattr_block(rest);
    else if (data[0] == 7)
        try_unpack(rest);
    return 0;
}
