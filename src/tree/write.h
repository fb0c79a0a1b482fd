/* SPDX-License-Identifier: Apache-2.0 */
/** What changes of a file's content have in common. The session is locked and the change admitted. */
#ifndef TREE_WRITE_H
#define TREE_WRITE_H

#include "tree/session.h"
#include "tree/tree.h"

/** Sets the size. Times are the caller's business. */
int write_truncate(struct session *session, struct inode *inode, uint64_t size,
                   const struct tree_caller *caller);
/** Ends set-user-id and set-group-id, unless the caller may keep them. */
void write_clear_privileges(struct inode *inode, const struct tree_caller *caller);
/** Notes that the inode was changed, through `handle` (may be NULL). `data`: its content or size. */
void write_done(struct session *session, struct inode *inode, struct tree_handle *handle,
                bool data);

#endif
