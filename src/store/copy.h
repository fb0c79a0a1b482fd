/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Copies from store to store, over whatever engines: backups, and the way back.
 *
 *     source: sessions at one moment --> objects that the target lacks, those below first --> sessions, rescues,
 *     snapshots --> in the target a snapshot of what this run has seen
 *
 * What the target has is there with all that hangs from it, so a subtree that it has is not looked into: a copy
 * costs what is new. One that was interrupted finds what it has sent and goes on. Every object is verified
 * as it is read (the source's engine) and as it is put (the target's).
 *
 * Both stores may be in use meanwhile, the source by anybody. A version that the source forgets before it was read
 * is passed over; one that is damaged there is reported, and keeps nothing else from being copied. What the source
 * has purged, or thinned out of a history, stays in the target; a session that is gone there goes to the trash here.
 */
#ifndef STORE_COPY_H
#define STORE_COPY_H

#include "store/store.h"

/** So much is added to every fencing token when a store is restored: more than were ever granted since the
 *  backup. Numbers of sessions that were purged may be given again, with tokens from 1: a mount of the lost store
 *  does not get that far, as the restored one has another UUID, and is refused for that. */
#define COPY_TOKEN_STEP (1ULL << 32)

struct copy_totals {
    uint64_t sessions;     /**< looked at */
    uint64_t changed;      /**< that the target did not have as they are */
    uint64_t versions;     /**< that were added to it */
    uint64_t rescues;      /**< likewise */
    uint64_t snapshots;    /**< likewise, without that of the run */
    uint64_t objects;      /**< that travelled */
    uint64_t object_bytes; /**< their plain content */
    uint64_t damaged; /**< versions, rescues and snapshots that the source does not have whole */
    char
        run[64]; /**< the snapshot in the target that stands for this run; "": none was asked for */
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
    int64_t run; /**< when it began: it leaves a snapshot with a name of copy_run_name(); 0: none */
    check_report_fn report; /**< of each thing that is damaged in the source; or NULL */
    void *report_arg;
    copy_progress_fn progress; /**< or NULL */
    void *arg;
};

/**
 * Copies. On failure what has arrived stays, and another run goes on from there. Returns 0 when it ran to its end,
 * with `damaged` in the totals. HF_CONFLICT: the target holds copies of another store, sessions of its own, or other
 * versions under the same numbers: the source was restored from an older state. HF_BUSY: a session is leased in the
 * target. HF_INVAL: the two compute ids differently, or are the same. HF_ACCESS: the caller does not see all of the
 * source that is to be copied, or may not copy into the target.
 */
int copy_run(struct store *source, struct store *target, const struct copy_options *options,
             struct copy_totals *ret_totals, struct hf_error *err);

/** Copies all objects below `root` that the target lacks, and no session: before a commit that refers to it. */
int copy_root(struct store *source, struct store *target, const struct object_id *root,
              const struct copy_options *options, struct copy_totals *totals, struct hf_error *err);

/** HF_INVAL unless the stores are two, and give equal objects equal ids. */
int copy_check(const struct store *source, const struct store *target, struct hf_error *err);

/** The UUID of the store that the sessions of this one came from first: its own, unless it is a copy. */
int copy_origin(struct store *store, uint8_t ret_origin[UUID_SIZE], struct hf_error *err);

/** "backup-20260131T090000Z". */
void copy_run_name(int64_t time, char *ret_name, size_t size);
/** Whether a snapshot has such a name: that of a run. Those of the source are not copied. */
bool copy_is_run(const char *name);

#endif
