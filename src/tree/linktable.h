/* SPDX-License-Identifier: Apache-2.0 */
/** A session's link table: a dirmap from inode numbers, written in hex, to the records of the inodes that have (once)
 *  had several names. */
#ifndef TREE_LINKTABLE_H
#define TREE_LINKTABLE_H

#include "tree/dirmap.h"

/** The encoded record of an inode, as the entry's; valid until the next call on the map. HF_NOENT. */
int linktable_entry(struct dirmap *links, uint64_t ino, struct dir_entry *ret_entry,
                    struct hf_error *err);
/** The same, decoded. */
int linktable_find(struct dirmap *links, uint64_t ino, struct inode_record *ret_record,
                   struct hf_error *err);
/** Adds or replaces a record. */
int linktable_put(struct dirmap *links, const struct inode_record *record, struct hf_error *err);
int linktable_remove(struct dirmap *links, uint64_t ino, struct hf_error *err);

#endif
