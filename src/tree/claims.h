/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Claims: within one mount, a session is worked on by one process and its children at a time.
 *
 * A claim is taken by creating a file that matches a pattern (default "inuse.*.lock") in the top
 * directory of a session, and ends when the claimant removes that file or dies, however it dies
 * (a pidfd tells). Thread safe.
 */
#ifndef TREE_CLAIMS_H
#define TREE_CLAIMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "holdfast/error.h"

struct claims;

/** `patterns` is a colon-separated list of fnmatch(3) patterns; NULL: the default; "": no claims. */
struct claims *claims_new(const char *patterns);
void claims_free(struct claims *claims);

/** Whether a file of this name is a claim. */
bool claims_match(const struct claims *claims, const char *name);

/**
 * Process `pid` (a thread id will do) is about to create `name` in session `sid`. 0: it holds the claim now
 * (`ret_new`: and did not before, so that stale claim files may be removed). HF_BUSY: another live
 * process holds it, and is neither the caller nor one of its ancestors; the error names it.
 */
int claims_take(struct claims *claims, uint64_t sid, const char *name, pid_t pid, bool *ret_new,
                struct hf_error *err);
/** `name` was removed from the session: its claim ends. */
void claims_drop(struct claims *claims, uint64_t sid, const char *name);
/** The session was lost or evicted: all its claims end. */
void claims_drop_session(struct claims *claims, uint64_t sid);
/** The name of the command that a process runs; false: there is no such process, or it cannot be seen. */
bool process_command(pid_t pid, char *ret_name, size_t size);
/** The pid of the live claimant, or 0. */
pid_t claims_holder(struct claims *claims, uint64_t sid);

#endif
