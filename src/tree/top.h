/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The mount's top directory: entries of the shared tree beside one directory for each session. Changes
 * of it are made one at a time (tree.top_lock), so that a name is one or the other.
 */
#ifndef TREE_TOP_H
#define TREE_TOP_H

#include "tree/listing.h"
#include "tree/tree.h"

int top_lookup(struct tree *tree, const char *name, struct tree_entry *ret_entry);
/** mkdir of a session. */
int top_make_session(struct tree *tree, const struct tree_caller *caller, const char *name,
                     mode_t mode, struct tree_entry *ret_entry);
/** rmdir of a session. HF_NOENT: the name is not a session's. */
int top_remove_session(struct tree *tree, const char *name);
/** rename within the top directory; 1: it is the shared tree's alone, and nothing was done.
 *  tree.top_lock is held. */
int top_rename(struct tree *tree, const char *name, const char *new_name, unsigned flags);
/** Whether the name is a session's: 0, HF_NOENT or an error. */
int top_probe_session(struct tree *tree, const char *name);
/** Adds the sessions to a listing. */
int top_list_sessions(struct tree *tree, struct listing *listing);

#endif
