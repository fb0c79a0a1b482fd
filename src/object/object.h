/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Objects: immutable blobs, addressed by a hash of their content.
 *
 *   id      = SHA-256(kind byte || content), or HMAC-SHA-256 of the same under the store's key
 *   content = at most OBJECT_MAX_SIZE bytes, of one of the kinds below
 *
 * How an object is stored (plain, LZ4, LZ4 against a base object) is the engine's business and never
 * changes its id. Thread safety: everything here is pure, or guarded by its caller.
 */
#ifndef OBJECT_OBJECT_H
#define OBJECT_OBJECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "holdfast/error.h"

#define OBJECT_ID_SIZE 32
/** No object's content is larger, so nothing is ever unpacked into more. */
#define OBJECT_MAX_SIZE 65536

struct object_id {
    uint8_t bytes[OBJECT_ID_SIZE];
};

enum object_kind {
    OBJECT_CHUNK = 1, /**< file data, or a large xattr block; refers to nothing */
    OBJECT_DIR = 2,   /**< a node of a directory (node.h) */
    OBJECT_FILE = 3,  /**< an indirect block of a long file's extent list (node.h) */
    OBJECT_ROOT = 4,  /**< a session's top node (node.h) */
};

static inline bool object_id_equal(const struct object_id *a, const struct object_id *b)
{
    return memcmp(a->bytes, b->bytes, OBJECT_ID_SIZE) == 0;
}

/** A hash for tables: the id's first eight bytes (ids are uniform already). */
static inline uint64_t object_id_hash(const struct object_id *id)
{
    uint64_t h;
    memcpy(&h, id->bytes, sizeof h);
    return h;
}

#define OBJECT_ID_HEX_SIZE (2 * OBJECT_ID_SIZE + 1)
/** Writes 64 lower-case hex digits and a NUL. */
void object_id_hex(const struct object_id *id, char hex[OBJECT_ID_HEX_SIZE]);
/** Parses exactly 64 hex digits. Returns 0 or HF_INVAL. */
int object_id_parse(const char *hex, struct object_id *ret_id);

/** How a store computes ids. Immutable once made; thread safe. */
struct object_hasher {
    bool keyed;
    uint8_t key[32];
};

/** The id of `content`. `len` ≤ OBJECT_MAX_SIZE (asserted). Returns 0 or HF_NOMEM. */
int object_id_compute(const struct object_hasher *hasher, enum object_kind kind,
                      const void *content, size_t len, struct object_id *ret_id);

/** SHA-256 of bytes of any number that are no object, in the place of an id. Returns 0 or HF_NOMEM. */
int object_digest(const void *bytes, size_t len, struct object_id *ret_digest);

/** An object on its way into a store. The content is borrowed from the caller. */
struct object {
    struct object_id id;
    enum object_kind kind;
    /** `id` was computed from this very content in this process: what takes it need not do that again. Never set for
     *  what came from elsewhere. */
    bool hashed;
    /** Has `base`: the object that this one replaces, a hint for delta compression. */
    bool has_base;
    struct object_id base;
    /** A hint: the store has had it. A chunk is not packed then before it turns out that it is not there. */
    bool stored;
    struct slice content;
};

/** How content is packed for storage. Values are on disk. */
enum object_encoding {
    OBJECT_PLAIN = 0,
    OBJECT_LZ4 = 1,
    OBJECT_LZ4_BASE = 2, /**< LZ4 with the base's content as its dictionary */
};

/**
 * Packs `content` in the smallest of the encodings that pays. `base` (may be empty) is the plain
 * content of the base object. A delta is chosen only when it is at most half of what LZ4 alone gives.
 * Appends the packed bytes to `packed`. Returns 0 or HF_NOMEM.
 */
int object_pack(struct slice content, struct slice base, struct buf *packed,
                enum object_encoding *ret_encoding);

/**
 * The same for one who knows more of the base: LZ4 alone will give about `likely` bytes (what it gave for the base, in
 * proportion), and a delta of more than `most` bytes does not pay. That spares trying LZ4 alone beside most deltas.
 */
int object_pack_like(struct slice content, struct slice base, size_t likely, size_t most,
                     struct buf *packed, enum object_encoding *ret_encoding);

/**
 * Unpacks into exactly `size` bytes appended to `content`. Checks `size` ≤ OBJECT_MAX_SIZE before it
 * allocates, and that the packed form yields exactly that. Returns 0, HF_NOMEM or HF_CORRUPT.
 */
int object_unpack(enum object_encoding encoding, struct slice packed, struct slice base,
                  size_t size, struct buf *content);

#endif
