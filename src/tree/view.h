/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A read-only view of one root: any version of any session, for the tools. It needs no mount and no
 * lease. One thread at a time.
 */
#ifndef TREE_VIEW_H
#define TREE_VIEW_H

#include "object/node.h"
#include "tree/blob.h"

struct view;

/** Opens the tree under `root`. The cache is borrowed. */
int view_open(struct blob_cache *cache, const struct object_id *root, struct view **ret_view,
              struct hf_error *err);
void view_free(struct view *view);

/** An inode found in a view; owned by the caller, who ends it with view_node_clear(). */
struct view_node {
    struct inode_record record; /**< its slices point into `bytes` */
    struct buf bytes;
};
void view_node_clear(struct view_node *node);

/** Resolves a path relative to the session's top ("" or "/" is the top itself). Symbolic links are not
 *  followed. HF_NOENT, HF_NOTDIR. */
int view_lookup(struct view *view, const char *path, struct view_node *ret_node,
                struct hf_error *err);
/** Calls visit for each entry of a directory, in byte order of name; non-zero stops and is returned. */
int view_list(struct view *view, const struct view_node *dir,
              int (*visit)(struct slice name, const struct inode_record *record, void *arg),
              void *arg, struct hf_error *err);
/** Reads a regular file or a symlink's target. */
int view_read(struct view *view, const struct view_node *file, uint64_t offset, size_t len,
              uint8_t *ret_data, size_t *ret_len, struct hf_error *err);
/** Calls visit for every path of the tree, parents first, in byte order. */
int view_walk(struct view *view,
              int (*visit)(const char *path, const struct inode_record *record, void *arg),
              void *arg, struct hf_error *err);
/** Reads an inode's xattr block. Appends it to `ret_block`. */
int view_xattrs(struct view *view, const struct view_node *node, struct buf *ret_block,
                struct hf_error *err);

#endif
