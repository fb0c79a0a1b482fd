/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "holdfast/error.h"

int buf_reserve(struct buf *buf, size_t more)
{
    size_t need, cap;
    uint8_t *data;

    if (__builtin_add_overflow(buf->len, more, &need))
        return HF_NOMEM;
    if (need <= buf->cap)
        return HF_OK;
    /* What is asked for first is often all: then nothing is left over. */
    cap = buf->cap > 0 ? buf->cap : need < 64 ? 64 : need;
    while (cap < need)
        if (__builtin_add_overflow(cap, cap / 2, &cap))
            return HF_NOMEM;
    data = realloc(buf->data, cap);
    if (!data)
        return HF_NOMEM;
    buf->data = data;
    buf->cap = cap;
    return HF_OK;
}

int buf_append(struct buf *buf, const void *data, size_t len)
{
    int rc = buf_reserve(buf, len);

    if (rc == HF_OK && len > 0) {
        memcpy(buf->data + buf->len, data, len);
        buf->len += len;
    }
    return rc;
}

int buf_append_zeros(struct buf *buf, size_t len)
{
    int rc = buf_reserve(buf, len);

    if (rc == HF_OK && len > 0) {
        memset(buf->data + buf->len, 0, len);
        buf->len += len;
    }
    return rc;
}

void buf_free(struct buf *buf)
{
    free(buf->data);
    *buf = (struct buf){0};
}

uint8_t *buf_detach(struct buf *buf)
{
    uint8_t *data = buf->data;

    *buf = (struct buf){0};
    return data;
}

int slice_compare(struct slice a, struct slice b)
{
    size_t shorter = a.len < b.len ? a.len : b.len;
    int order = shorter > 0 ? memcmp(a.data, b.data, shorter) : 0;

    if (order == 0 && a.len != b.len)
        order = a.len < b.len ? -1 : 1;
    return order < 0 ? -1 : order > 0;
}
