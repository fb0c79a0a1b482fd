/* SPDX-License-Identifier: Apache-2.0 */
/** What the calls that find and change names share. The session is locked. */
#ifndef TREE_NAMESPACE_H
#define TREE_NAMESPACE_H

#include "tree/session.h"

#define LINKS_MAX 65000

/** The directory and the checked name that a change is about; the directory has a reference. HF_ROFS and
 *  HF_PERM for the pseudo directories. */
int namespace_open(struct session *session, uint64_t ino, const char *name, struct inode **ret_dir,
                   struct slice *ret_name);
/** Notes what the index row must hear of a name that came or went. */
void namespace_note(struct session *session, const struct inode *dir, struct slice name);

/** First step of taking a name away: what can fail. An inode that loses its last name leaves the link
 *  table; until namespace_lose(), marking it undoes that. */
int namespace_part(struct session *session, const struct inode *inode);
/** Last step: one name of the inode is gone from the directory. */
void namespace_lose(struct session *session, struct inode *dir, struct inode *inode);
/** Unlinks a file; the change was admitted. */
int namespace_remove(struct session *session, struct inode *dir, struct slice name);

/** A new name at the top must not be a session's: HF_EXIST. Takes tree.top_lock when it returns 0; no
 *  session is locked. */
int namespace_enter_top(struct tree *tree, const char *name);

#endif
