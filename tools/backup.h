/* SPDX-License-Identifier: Apache-2.0 */
/** What the commands on backups share. */
#ifndef TOOLS_BACKUP_H
#define TOOLS_BACKUP_H

#include "engine/open.h"
#include "findings.h"
#include "store/copy.h"

#define BACKUP_GLOBS_MAX 64

/** Opens the store of a backup, with the flags of store_open(). With `like` it is made when it is not there, and so that
 *  objects have the same ids and are cut in the same way. The sentence says what to do. */
int backup_open(const char *url, unsigned flags, const struct store *like, struct store **ret_store,
                struct hf_error *err);

/** Whether a store has the snapshot (NULL: nothing is asked), before anything is made for its sake. HF_NOENT. */
int backup_check_snapshot(struct store *store, const char *snapshot, struct hf_error *err);

/** Splits "a*,b" in place; NULL gives none. HF_USAGE for too many. */
int backup_split_globs(char *list, const char *ret_globs[BACKUP_GLOBS_MAX], size_t *ret_n,
                       struct hf_error *err);

/** Notes the store's policy of retention in the backup, whose own is another matter; and the way back. */
int backup_keep_policy(struct store *source, struct store *backup, struct hf_error *err);
int backup_restore_policy(struct store *backup, struct store *target, struct hf_error *err);

/**
 * Prints a finding for each session of the source (that a glob of `copy`, or NULL, chooses) of which the backup has
 * not the head: how many are behind, and how many have another content under the same version.
 */
int backup_compare(struct store *source, struct store *backup, const struct copy_options *copy,
                   struct findings *findings, uint64_t *ret_behind, uint64_t *ret_different,
                   struct hf_error *err);

#endif
