/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Old versions of a session, read-only and hidden:
 *
 *      <session>/.holdfast/                  not listed; looked up by those who know
 *      <session>/.holdfast/versions/<n>/     listed, from the newest down
 *      <session>/.holdfast/lease             who has the session; a write lock on it holds it (leasefile.h)
 *
 * ".holdfast", "versions" and "lease" are pseudo inodes of the session, numbered from the end; each <n> is
 * the top of a view: a session of this mount only, numbered past SID_MAX.
 */
#ifndef TREE_VERSIONS_H
#define TREE_VERSIONS_H

#include "tree/session.h"

struct listing;

#define VERSIONS_NAME ".holdfast"
#define VERSIONS_INO NODE_INO_MAX
#define VERSIONS_LIST_INO (NODE_INO_MAX - 1)
#define LEASE_INO (NODE_INO_MAX - 2)

/** Looks up ".holdfast" in the top directory, "versions" and "lease" in that, or a version in "versions".
 *  Locked. */
int versions_lookup(struct session *session, struct inode *dir, const char *name,
                    struct tree_entry *ret_entry);
/** Adds what is in the pseudo directory `dir` to a listing: versions by their numbers, from the history
 *  alone. Locked. */
int versions_list(struct session *session, const struct inode *dir, struct listing *listing);

#endif
