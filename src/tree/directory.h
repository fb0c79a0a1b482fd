/* SPDX-License-Identifier: Apache-2.0 */
/** Names in directories: finding, adding and removing live inodes. Guarded by the session's lock. */
#ifndef TREE_DIRECTORY_H
#define TREE_DIRECTORY_H

#include "tree/session.h"

/** HF_OK, HF_NAMETOOLONG, HF_INVAL (empty, "/", NUL) or HF_EXIST ("." and ".."). */
int directory_name_check(const char *name, struct slice *ret_name);

/** The live inode of an entry, with a reference. HF_NOENT. */
int directory_child(struct session *session, struct inode *dir, struct slice name,
                    struct inode **ret_inode);
/** Whether there is an entry: 0, HF_NOENT or an error. */
int directory_probe(struct session *session, struct inode *dir, struct slice name);
/** HF_NOTEMPTY, or an error. */
int directory_check_empty(struct session *session, struct inode *dir);
/** Adds an entry, or replaces what has the name. It holds a placeholder: the inode, and the directory,
 *  must be marked before the next commit. */
int directory_enter(struct session *session, struct inode *dir, struct slice name,
                    const struct inode *inode);
/** The same, and gives the inode (which is not linked) its place there. */
int directory_put(struct session *session, struct inode *dir, struct slice name,
                  struct inode *inode);
int directory_remove(struct session *session, struct inode *dir, struct slice name);
/** Sets mtime and ctime of a directory whose entries changed. */
void directory_touch(struct session *session, struct inode *dir, int64_t now);

#endif
