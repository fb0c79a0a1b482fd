/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Old versions of a session, read-only and hidden:
 *
 *      <session>/.holdfast/versions/<n>/     not listed; looked up by those who know
 *
 * ".holdfast" and "versions" are pseudo inodes of the session, numbered from the end; each <n> is the top
 * of a view: a session of this mount only, numbered past SID_MAX.
 */
#ifndef TREE_VERSIONS_H
#define TREE_VERSIONS_H

#include "tree/session.h"

#define VERSIONS_NAME ".holdfast"
#define VERSIONS_INO NODE_INO_MAX
#define VERSIONS_LIST_INO (NODE_INO_MAX - 1)

/** Looks up ".holdfast" in the top directory, "versions" in that, or a version in that. Locked. */
int versions_lookup(struct session *session, struct inode *dir, const char *name,
                    struct tree_entry *ret_entry);

#endif
