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

/* LZ4 alone when it is smaller than `room`, else the content as it is; into `out`, which has room for it. */
static size_t pack_alone(struct slice content, size_t room, uint8_t *out,
                         enum object_encoding *ret_encoding)
{
    int n = room > 1 ? compress(content, (struct slice){0}, out, room - 1) : 0;

    *ret_encoding = n > 0 ? OBJECT_LZ4 : OBJECT_PLAIN;
    if (n == 0)
        memcpy(out, content.data, content.len);
    return n > 0 ? (size_t)n : content.len;
}

/* First against the base: a delta that is small leaves LZ4 alone little room to be less than twice that, so
 * that it gives up soon. */
static size_t pack_into(struct slice content, struct slice base, size_t likely, size_t most,
                        uint8_t *out, enum object_encoding *ret_encoding)
{
    size_t half = content.len / 2, len;
    int delta = 0;

    if (base.len > 0 && content.len > 1)
        delta = compress(content, base, out + content.len, half < most ? half : most);
    *ret_encoding = OBJECT_PLAIN;
    if (delta > 0 && 2 * (size_t)delta <= likely)
        len = 0;
    else
        len = pack_alone(content, delta > 0 ? 2 * (size_t)delta : content.len, out, ret_encoding);
    if (delta == 0 || *ret_encoding != OBJECT_PLAIN)
        return len;
    *ret_encoding = OBJECT_LZ4_BASE;
    memmove(out, out + content.len, (size_t)delta);
    return (size_t)delta;
}

int object_pack_like(struct slice content, struct slice base, size_t likely, size_t most,
                     struct buf *packed, enum object_encoding *ret_encoding)
{
    int rc;

    assert(content.len <= OBJECT_MAX_SIZE && base.len <= OBJECT_MAX_SIZE);
    if (content.len == 0) {
        *ret_encoding = OBJECT_PLAIN;
        return HF_OK;
    }
    rc = buf_reserve(packed, content.len + content.len / 2);
    if (rc != HF_OK)
        return rc;
    packed->len += pack_into(content, base, likely, most, packed->data + packed->len, ret_encoding);
    return HF_OK;
}

int object_pack(struct slice content, struct slice base, struct buf *packed,
                enum object_encoding *ret_encoding)
{
    return object_pack_like(content, base, 0, OBJECT_MAX_SIZE, packed, ret_encoding);
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
