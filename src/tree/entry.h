/* SPDX-License-Identifier: Apache-2.0 */
/** Answers about inodes, as the kernel wants them. The session is locked. */
#ifndef TREE_ENTRY_H
#define TREE_ENTRY_H

#include "tree/session.h"

/** For so much longer the top directory's attributes hold, in seconds: over a network they are asked for again only
 *  when they are so old. */
double entry_top_moment(const struct session *shared);
/** Attributes and for how long they hold. */
void entry_fill(struct session *session, const struct inode *inode, struct tree_entry *ret_entry);
/** The same, and counts one look-up. */
void entry_grant(struct session *session, struct inode *inode, struct tree_entry *ret_entry);
/** "Not there", and for how long that holds. */
void entry_negative(struct session *session, const struct inode *dir, const char *name,
                    struct tree_entry *ret_entry);

#endif
