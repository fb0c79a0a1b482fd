/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <lz4.h>

#include "object/object.h"

/* No byte of LZ4 makes more than this many of content, so more is never believed (nor allocated). */
#define LZ4_RATIO_MAX 255

/* LZ4 of `content` with `base` as dictionary into at most `room` bytes: the length, or 0. */
static int compress(struct slice content, struct slice base, uint8_t *out, size_t room)
{
    LZ4_stream_t stream;

    LZ4_initStream(&stream, sizeof stream);
    if (base.len > 0)
        LZ4_loadDict(&stream, (const char *)base.data, (int)base.len);
    return LZ4_compress_fast_continue(&stream, (const char *)content.data, (char *)out,
                                      (int)content.len, (int)room, 1);
}

int object_pack(struct slice content, struct slice base, struct buf *packed,
                enum object_encoding *ret_encoding)
{
    size_t room = content.len > 0 ? content.len - 1 : 0, best = content.len;
    enum object_encoding encoding = OBJECT_PLAIN;
    uint8_t *out;
    int n, rc;

    assert(content.len <= OBJECT_MAX_SIZE && base.len <= OBJECT_MAX_SIZE);
    rc = buf_reserve(packed, content.len + best / 2);
    if (rc != HF_OK || content.len == 0)
        goto out;
    out = packed->data + packed->len;
    n = room > 0 ? compress(content, (struct slice){0}, out, room) : 0;
    if (n > 0) {
        encoding = OBJECT_LZ4;
        best = (size_t)n;
    } else {
        memcpy(out, content.data, content.len);
    }
    n = base.len > 0 && best >= 2 ? compress(content, base, out + best, best / 2) : 0;
    if (n > 0) {
        encoding = OBJECT_LZ4_BASE;
        memmove(out, out + best, (size_t)n);
        best = (size_t)n;
    }
    packed->len += best;
out:
    if (rc == HF_OK)
        *ret_encoding = encoding;
    return rc;
}

static int decompress(struct slice packed, struct slice base, uint8_t *out, size_t size)
{
    int n = LZ4_decompress_safe_usingDict((const char *)packed.data, (char *)out, (int)packed.len,
                                          (int)size, (const char *)base.data, (int)base.len);

    return n >= 0 && (size_t)n == size ? HF_OK : HF_CORRUPT;
}

int object_unpack(enum object_encoding encoding, struct slice packed, struct slice base,
                  size_t size, struct buf *content)
{
    int rc;

    if (size > OBJECT_MAX_SIZE || packed.len > size || base.len > OBJECT_MAX_SIZE)
        return HF_CORRUPT;
    switch (encoding) {
    case OBJECT_PLAIN:
        return packed.len == size ? buf_append(content, packed.data, size) : HF_CORRUPT;
    case OBJECT_LZ4:
        base = (struct slice){0};
        break;
    case OBJECT_LZ4_BASE:
        if (base.len == 0)
            return HF_CORRUPT;
        break;
    default:
        return HF_CORRUPT;
    }
    if (packed.len == 0 || size > packed.len * LZ4_RATIO_MAX)
        return HF_CORRUPT;
    rc = buf_reserve(content, size);
    if (rc == HF_OK)
        rc = decompress(packed, base, content->data + content->len, size);
    if (rc == HF_OK)
        content->len += size;
    return rc;
}
