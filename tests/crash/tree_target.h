/* SPDX-License-Identifier: Apache-2.0 */
/** Performs a load's steps on a tree in this process, and lists what a store holds of a session. */
#ifndef TESTS_CRASH_TREE_TARGET_H
#define TESTS_CRASH_TREE_TARGET_H

#include "load.h"
#include "mount.h"

struct tree_target {
    struct mount *mount;
    char base[64]; /**< the session's name */
    struct tree_handle *handles[STEP_SLOTS];
    uint64_t inodes[STEP_SLOTS];
};

void tree_target_init(struct tree_target *target, struct mount *mount, const char *base);
/** Returns what the tree did. */
int tree_target_step(struct tree_target *target, const struct step *step);
/** Closes what is open; whether that succeeds is of no interest. */
void tree_target_close(struct tree_target *target);

/** The listing of a session's head, or nothing when there is no such session. */
int store_list(struct store *store, const char *session, struct buf *ret_listing,
               struct hf_error *err);

#endif
