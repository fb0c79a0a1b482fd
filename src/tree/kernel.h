/* SPDX-License-Identifier: Apache-2.0 */
/** Telling the kernel what to believe no longer. No lock may be held: a notification may wait for a page that
 *  only another request can give. */
#ifndef TREE_KERNEL_H
#define TREE_KERNEL_H

#include "tree/session.h"

/** Whether the kernel is told anything (it is not at the end of a mount). */
bool kernel_is_told(struct tree *tree);
/** What the kernel was told of a session that was to hold until now (session.vouched): attributes, names, listings;
 *  with `data` contents too. False: not all of it, for want of memory. Names wait for whoever works in their
 *  directory. */
bool kernel_forget_session(struct session *session, bool data);
/**
 * The contents that another version has changed (inode_note_news()): exactly those. The session is locked, and the
 * lock let go meanwhile. Whoever answers the kernel from the new version calls this first: were the kernel to hear
 * of a file's new length while it has the page in which it ended before, it would read zeros there.
 */
void kernel_tell_news(struct session *session);
/**
 * Gives the kernel the content of a file from `offset` to its end, which nobody has open: whoever opens or truncates it
 * waits in kernel_await_gift(), and who has other content for it in kernel_tell_news(). The session is locked, and the
 * lock let go meanwhile.
 */
void kernel_give(struct session *session, const struct inode *inode, uint64_t offset,
                 const void *data, size_t len);
/** Waits until the kernel has what it is being given of this inode. The session is locked, and the lock let go. */
void kernel_await_gift(struct session *session, const struct inode *inode);
/** The listing of the top directory, and what it was told is not there. */
void kernel_forget_top(struct tree *tree);

#endif
