/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The canonical encoding of nodes: docs/spec/format.md is the specification.
 *
 *   ROOT   next inode number, the session's top directory's inode, its link table
 *   DIR    leaf:     entries in byte order of name, each with its inode record or a link
 *          interior: children, each with the first name below it and its number of entries
 *   FILE   leaf:     extents (chunks and holes)
 *          interior: children, each with its length in bytes
 *
 * Both trees are cut by content (a boundary follows an item whose hash says so), so that equal content
 * gives equal nodes whatever its history, and an insertion changes few of them.
 *
 * A decoder allocates nothing: what it returns points into the bytes it was given. It accepts exactly
 * what the encoder writes and nothing else (HF_CORRUPT, HF_NEWER for a later format version).
 * Pure functions; thread safe.
 */
#ifndef OBJECT_NODE_H
#define OBJECT_NODE_H

#include "object/object.h"

#define NODE_VERSION 1
#define NODE_NAME_MAX 255               /**< bytes of a directory entry's name */
#define NODE_INLINE_MAX 1024            /**< a file of at most this many bytes lies in its inode */
#define NODE_SYMLINK_MAX 4095           /**< bytes of a symlink's target */
#define NODE_XATTR_INLINE_MAX 1024      /**< a longer xattr block is a chunk of its own */
#define NODE_XATTR_MAX 65536            /**< bytes of an inode's whole xattr block */
#define NODE_EXTENTS_INLINE 16          /**< a longer extent list goes into FILE nodes */
#define NODE_HEIGHT_MAX 8               /**< heights are 0 (leaf) to this */
#define NODE_INO_MAX ((1ULL << 40) - 1) /**< inode numbers fit 40 bits */
#define NODE_FILE_SIZE_MAX ((1ULL << 62) - 1)
#define NODE_ROOT_INO 1 /**< the inode number of every session's top directory */

/** One run of a file: a chunk, or a hole (reads as zeros, takes no space). */
struct extent {
    uint64_t len; /**< bytes; 1..OBJECT_MAX_SIZE for a chunk; adjacent holes are merged */
    bool hole;
    struct object_id id; /**< of a chunk */
};

/** A child of an interior FILE node. */
struct file_child {
    uint64_t len; /**< bytes of file below it */
    struct object_id id;
};

/** Reference to the top node of a tree of DIR or FILE nodes. */
struct node_ref {
    uint8_t height; /**< 0: the node is a leaf */
    struct object_id id;
};

enum content_kind {
    CONTENT_NONE = 0,    /**< empty file or directory, FIFO, socket, device */
    CONTENT_INLINE = 1,  /**< file data or symlink target */
    CONTENT_EXTENTS = 2, /**< 1..NODE_EXTENTS_INLINE extents in the record */
    CONTENT_FILE = 3,    /**< a tree of FILE nodes */
    CONTENT_DIR = 4,     /**< a tree of DIR nodes */
    CONTENT_LEAF = 5,    /**< in ROOT only: the single leaf of its directory, in place */
};

/**
 * Where an inode's content is. Decoded: `bytes` points into the node. There is one form for each:
 *
 *   regular file   0 bytes: NONE. Up to NODE_INLINE_MAX: INLINE, what were holes as zeros. Longer: EXTENTS
 *                  if they are at most NODE_EXTENTS_INLINE, else FILE.
 *   symlink        INLINE, 1..NODE_SYMLINK_MAX bytes without a NUL
 *   directory      empty: NONE. Else DIR; but in ROOT a directory of one leaf is LEAF.
 *   other          NONE
 */
struct content {
    enum content_kind kind;
    struct slice
        bytes; /**< INLINE: the data; EXTENTS: encoded extents; LEAF: an encoded DIR leaf */
    struct node_ref ref; /**< FILE, DIR */
    uint64_t count;      /**< DIR, LEAF: number of entries */
};

enum xattr_kind { XATTR_NONE = 0, XATTR_INLINE = 1, XATTR_CHUNK = 2 };

/** An inode as it is stored. Times are ns since the epoch; `mode` holds type and permissions. */
struct inode_record {
    uint64_t ino; /**< 1..NODE_INO_MAX */
    uint32_t mode;
    uint32_t uid, gid;
    uint32_t nlink;     /**< at least 1 */
    uint64_t size;      /**< bytes of a regular file or of a symlink's target; else 0 */
    uint64_t allocated; /**< bytes of a regular file in chunks or inline, not in holes; else 0 */
    int64_t atime, mtime, ctime;
    uint32_t rdev_major, rdev_minor; /**< of a device; else 0 */
    enum xattr_kind xattr_kind;
    struct slice xattr_block;  /**< XATTR_INLINE: the block (xattr_block_next()) */
    struct object_id xattr_id; /**< XATTR_CHUNK: the chunk that holds it */
    struct content content;
};

/** Appends one record. The record must be valid (asserted). Returns 0 or HF_NOMEM. */
int inode_record_encode(const struct inode_record *record, struct buf *out);
/** Decodes and checks the record that `bytes` holds from first to last byte. */
int inode_record_decode(struct slice bytes, struct inode_record *ret_record);

/* --- directories ---------------------------------------------------------------------------- */

/** One entry of a DIR leaf. */
struct dir_entry {
    struct slice name; /**< 1..NODE_NAME_MAX bytes, no '/' or NUL, not "." or ".." */
    /**
     * An encoded inode record, or, for an inode with (once) several names, a link: `record` is empty,
     * and the inode is in the link table under `ino`.
     */
    struct slice record;
    uint64_t ino;  /**< of a record or a link */
    uint32_t mode; /**< of a record; of a link the type bits only */
};

/** A child of an interior DIR node. */
struct dir_child {
    struct slice first; /**< the first name below it */
    uint64_t count;     /**< entries below it */
    struct object_id id;
};

/** Builds a DIR leaf, DIR interior, FILE leaf or FILE interior node. */
struct node_writer {
    enum object_kind kind;
    uint8_t height;
    uint32_t count;
    struct buf bytes; /**< the node, valid after every call; freed by its owner */
    /* Private. */
    bool boundary;    /**< the last item is at one */
    bool last_hole;   /**< the last item is a hole */
    uint32_t last_at; /**< where in `bytes` the last item's name is */
};

/** Starts a node in `writer->bytes` (which is emptied and reused). Returns 0 or HF_NOMEM. */
int node_writer_start(struct node_writer *writer, enum object_kind kind, uint8_t height);
/** Each appends one item; items must come in order, and none after a boundary (asserted). Returns 0 or
 *  HF_NOMEM. */
int node_writer_dir_entry(struct node_writer *writer, const struct dir_entry *entry);
int node_writer_dir_child(struct node_writer *writer, const struct dir_child *child);
int node_writer_extent(struct node_writer *writer, const struct extent *extent);
int node_writer_file_child(struct node_writer *writer, const struct file_child *child);
/**
 * Whether the node should end after the item just appended. A pure function of the items since the
 * node's start, the same for everyone who writes this format: that makes the trees canonical.
 * A DIR node's boundary depends on a hash of the item's (first) name, a FILE node's on the child's id;
 * both on size bounds that keep every node under OBJECT_MAX_SIZE.
 */
bool node_writer_at_boundary(const struct node_writer *writer);

/** Walks the items of a node. `bytes` must outlive it. */
struct node_reader {
    enum object_kind kind;
    uint8_t height;
    uint32_t count; /**< items in the node */
    uint32_t next;  /**< index of the next item */
    struct slice rest;
    struct slice last_name;
    bool last_hole;
    uint64_t total; /**< bytes of file, or entries, of the items so far */
    size_t size;    /**< bytes of the whole node */
};

/** Checks the header of a DIR or FILE node, which has at least one item. Returns 0, HF_CORRUPT or
 *  HF_NEWER. */
int node_reader_start(struct node_reader *reader, enum object_kind kind, struct slice bytes);
/** Each gives the next item: 1, or 0 at the (exact) end, or HF_CORRUPT. */
int node_reader_dir_entry(struct node_reader *reader, struct dir_entry *ret_entry);
int node_reader_dir_child(struct node_reader *reader, struct dir_child *ret_child);
int node_reader_extent(struct node_reader *reader, struct extent *ret_extent);
int node_reader_file_child(struct node_reader *reader, struct file_child *ret_child);

/** Extents of CONTENT_EXTENTS: appended to a record's content, and read back. */
int content_extents_append(struct buf *bytes, const struct extent *extent);
/** Starts `reader` so that node_reader_extent() walks `content->bytes`. */
int content_extents_start(struct node_reader *reader, const struct content *content);

/* --- xattrs --------------------------------------------------------------------------------- */

/** A block is a sequence of (name, value) in byte order of name. Appends one pair; name: 1..NODE_NAME_MAX
 *  bytes without a NUL (asserted). HF_NOMEM, HF_NOSPC when the block would exceed NODE_XATTR_MAX. A block
 *  of at most NODE_XATTR_INLINE_MAX bytes is XATTR_INLINE in its record, an empty one XATTR_NONE. */
int xattr_block_append(struct buf *block, struct slice name, struct slice value);
/** Takes the next pair off `block`: 1, 0 at the end, or HF_CORRUPT (order is checked by the caller's
 *  `last`, which starts empty). */
int xattr_block_next(struct slice *block, struct slice *last, struct slice *ret_name,
                     struct slice *ret_value);

/* --- the root ------------------------------------------------------------------------------- */

struct root_node {
    uint64_t next_ino;       /**< the next inode number to be given out; they are never reused */
    struct inode_record dir; /**< the top directory, ino NODE_ROOT_INO; its content may be LEAF */
    /** The link table: a directory tree whose names are inode numbers as 16 lower-case hex digits,
     *  and whose entries are records; or empty. NONE, LEAF or DIR. */
    struct content links;
};

/** As for the other nodes: one canonical form, and nothing else is accepted. */
int root_node_encode(const struct root_node *root, struct buf *out);
int root_node_decode(struct slice bytes, struct root_node *ret_root);

/* --- references ----------------------------------------------------------------------------- */

/** Called with each object that a node refers to. A non-zero return stops the walk. */
typedef int (*node_ref_fn)(const struct object_id *id, enum object_kind kind, void *arg);

/**
 * Checks a whole object of any kind for canonical form and reports every reference in it, in order.
 * The one function that closure checks, garbage collection and fsck are built on.
 * Returns 0, what `visit` returned, HF_CORRUPT or HF_NEWER.
 */
int node_refs(enum object_kind kind, struct slice content, node_ref_fn visit, void *arg);

#endif
