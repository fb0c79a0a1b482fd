/* SPDX-License-Identifier: Apache-2.0 */
/** Names as tree.h's calls change them, for those who change them from inside. */
#ifndef TREE_NAMESPACE_H
#define TREE_NAMESPACE_H

#include "tree/session.h"

/** Unlinks a file. The session is locked and the change admitted. */
int namespace_remove(struct session *session, struct inode *dir, struct slice name);

#endif
