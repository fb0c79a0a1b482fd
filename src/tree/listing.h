/* SPDX-License-Identifier: Apache-2.0 */
/** The names of a directory at one moment: what readdir walks, however the directory changes. */
#ifndef TREE_LISTING_H
#define TREE_LISTING_H

#include "base/buf.h"
#include "tree/session.h"

struct listing_entry {
    uint64_t inode; /**< the mount's number */
    uint32_t mode;  /**< type bits */
    size_t name;    /**< offset in names, NUL-terminated */
};

struct listing {
    struct listing_entry *entries; /**< "." and ".." come first */
    size_t count, cap;
    struct buf names;
};

int listing_add(struct listing *listing, struct slice name, uint64_t inode, uint32_t mode);
/** Reads all names of `dir`; for the mount's top directory the sessions too. Session locked. */
int listing_read(struct session *session, struct inode *dir, struct listing **ret_listing);
void listing_free(struct listing *listing);

#endif
