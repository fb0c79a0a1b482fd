/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Copies from store to store, over whatever engines: backups, and the way back.
 *
 *     source: roots at one moment --> objects that the target lacks, those below first --> sessions, snapshots
 *
 * What the target has is there with all that hangs from it, so a subtree that it has is not looked into: a copy
 * costs what is new. One that was interrupted finds what it has sent and goes on. Every object is verified
 * as it is read (the source's engine) and as it is put (the target's).
 */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "store/store.h"

/** So much is added to every fencing token when a store is restored: more than were ever granted since the
 *  backup. */
#define COPY_TOKEN_STEP (1ULL << 32)

struct copy_totals {
    uint64_t sessions;     /**< looked at */
    uint64_t changed;      /**< that the target did not have as they are */
    uint64_t versions;     /**< that were added to it */
    uint64_t snapshots;    /**< likewise */
    uint64_t objects;      /**< that travelled */
    uint64_t object_bytes; /**< their plain content */
};

/** Told how far the copy is: objects sent, of those known to be needed so far. Not 0: stops (HF_INTR). */
typedef int (*copy_progress_fn)(uint64_t objects, uint64_t bytes, uint64_t sessions,
                                uint64_t all_sessions, void *arg);

struct copy_options {
    uint64_t
        target_host; /**< the caller's host session in the target: keeps what travels from a collection */
    uint64_t token_step; /**< 0; of a restore COPY_TOKEN_STEP */
    const char
        *snapshot; /**< only what this snapshot of the source pins, as heads; NULL: everything */
    const char *const *
        globs; /**< only sessions that match one, and no snapshots; without globs all, and the shared tree */
    size_t nglobs;
    copy_progress_fn progress; /**< or NULL */
    void *arg;
};

/** Copies. On failure what has arrived stays, and another run goes on from there. */
int copy_run(struct store *source, struct store *target, const struct copy_options *options,
             struct copy_totals *ret_totals, struct hf_error *err);

/** Copies all objects below `root` that the target lacks, and no session: before a commit that refers to it. */
int copy_root(struct store *source, struct store *target, const struct object_id *root,
              const struct copy_options *options, struct copy_totals *totals, struct hf_error *err);

#endif
