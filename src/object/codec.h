/* SPDX-License-Identifier: Apache-2.0 */
/** What the node codec's files share. Private to src/object. */
#ifndef OBJECT_CODEC_H
#define OBJECT_CODEC_H

#include "base/bytes.h"
#include "object/node.h"

/** Takes the first `n` bytes off `rest`. NULL when it has fewer. */
static inline const uint8_t *codec_take(struct slice *rest, size_t n)
{
    const uint8_t *taken = rest->data;

    if (n > rest->len || n == 0)
        return NULL;
    rest->data += n;
    rest->len -= n;
    return taken;
}

/** Takes `n` bytes off `rest`, which may be none, as a slice. False when it has fewer. */
static inline bool codec_take_slice(struct slice *rest, size_t n, struct slice *ret_taken)
{
    if (n > rest->len)
        return false;
    *ret_taken = slice_of(rest->data, n);
    if (n > 0)
        codec_take(rest, n);
    return true;
}

/** Where a record or a content lies decides what it may be. */
enum codec_place {
    CODEC_IN_DIR,  /**< a record in a DIR leaf */
    CODEC_IN_ROOT, /**< in a ROOT node: LEAF is allowed, a DIR tree of one leaf is not */
};

/** HF_OK when the version byte is ours, HF_NEWER or HF_CORRUPT. */
int codec_check_version(uint8_t version);

/** A record where `place` says: is it valid, write it, read it. */
int codec_record_check(const struct inode_record *record, enum codec_place place);
int codec_record_encode(const struct inode_record *record, struct buf *out);
int codec_record_decode(struct slice bytes, enum codec_place place,
                        struct inode_record *ret_record);

/** Checks a directory's content (NONE, DIR, LEAF). */
int codec_dir_content_check(const struct content *content, enum codec_place place);
/** Bytes of a content after its kind and length: an encoded reference or the bytes themselves. */
int codec_content_encode(const struct content *content, struct buf *out);
/** Takes what codec_content_encode() wrote off `rest`; `len` is the content's length field. */
int codec_content_take(struct slice *rest, enum content_kind kind, size_t len,
                       struct content *ret_content);

/** One extent, and back. What `extent` holds after a failure is not defined. */
int codec_extent_append(struct buf *bytes, const struct extent *extent);
int codec_extent_take(struct slice *rest, struct extent *extent);

/** Whether an entry may stand in a directory: its name, and its record or link. */
bool codec_name_valid(struct slice name);

/** The references of one record, in order. */
int codec_record_refs(const struct inode_record *record, node_ref_fn visit, void *arg);
int codec_content_refs(const struct content *content, node_ref_fn visit, void *arg);

#endif
