/* SPDX-License-Identifier: Apache-2.0 */
/** A growable byte buffer and a borrowed view of bytes. Not thread safe. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stddef.h>
#include <stdint.h>

/** Bytes that somebody else owns. */
struct slice {
    const uint8_t *data;
    size_t len;
};

/** Owned bytes. All zero is a valid empty buffer. */
struct buf {
    uint8_t *data;
    size_t len;
    size_t cap;
};

/** Makes room for `more` bytes beyond len. Returns 0 or HF_NOMEM; contents are kept either way. */
int buf_reserve(struct buf *buf, size_t more);
int buf_append(struct buf *buf, const void *data, size_t len);
int buf_append_zeros(struct buf *buf, size_t len);
/** Frees the bytes; the buffer is empty and usable again. */
void buf_free(struct buf *buf);
/** Takes the bytes out of `buf` (which becomes empty); the caller frees them with free(). */
uint8_t *buf_detach(struct buf *buf);

static inline struct slice slice_of(const void *data, size_t len)
{
    return (struct slice){(const uint8_t *)data, len};
}

static inline struct slice buf_slice(const struct buf *buf)
{
    return (struct slice){buf->data, buf->len};
}

/** -1, 0 or 1 in byte order; a prefix sorts first. */
int slice_compare(struct slice a, struct slice b);

static inline void buf_cleanup(struct buf *buf)
{
    buf_free(buf);
}
/** A local buffer that is freed when it goes out of scope. */
#define BUF_AUTO __attribute__((cleanup(buf_cleanup))) struct buf

#endif
