/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The directories that are open on the way to where a root is being changed: the top and, one in the other, those
 * down to the innermost. One that is left is saved into its parent, so that memory follows the depth, and not
 * the number of directories that were changed. One thread at a time.
 */
#ifndef TREE_DIRPATH_H
#define TREE_DIRPATH_H

#include "tree/dirmap.h"

struct dirpath_step {
    struct buf name;            /**< in its parent; empty of the top */
    struct inode_record record; /**< but for its content; its xattr block is in `xattrs` */
    struct buf xattrs;
    struct dirmap *map;
    bool changed; /**< the record, beside the content */
    size_t puts;  /**< entries put since it was saved */
};

struct dirpath {
    struct blob_cache *cache;
    struct blob_sink *sink; /**< borrowed */
    struct dirpath_step *steps;
    size_t depth, cap; /**< depth ≥ 1: the top is always open */
};

/** Opens the top. */
int dirpath_open(struct dirpath *dirs, struct blob_cache *cache, struct blob_sink *sink,
                 const struct inode_record *top, struct hf_error *err);
/** Forgets everything. */
void dirpath_clear(struct dirpath *dirs);

/** Goes to the directory `path` ("" is the top), whose parts are names: leaves what is not on the way. HF_NOENT,
 *  HF_NOTDIR. */
int dirpath_go(struct dirpath *dirs, struct slice path, struct hf_error *err);
/** The innermost one. Valid until the next dirpath_go(). */
struct dirpath_step *dirpath_here(struct dirpath *dirs);
/** Puts an entry into it; what has gathered there moves to the sink now and then. */
int dirpath_put(struct dirpath *dirs, const struct dir_entry *entry, struct hf_error *err);
/** The same, of an inode that has one name. */
int dirpath_put_record(struct dirpath *dirs, struct slice name, const struct inode_record *record,
                       struct hf_error *err);

#endif
