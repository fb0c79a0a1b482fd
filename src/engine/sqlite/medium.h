/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What is on the medium: syncs of the write-ahead log, and its checkpoints into the store file.
 *
 *     commit -> frames in the log (relaxed)  --medium_sync()-->  on the medium
 *                                            --checkpoint----->  in the store file
 *
 * A checkpoint syncs the log before it copies anything and the store file before the log is begun anew.
 * So whatever was committed is durable once the log has been synced, wherever its frames are by then.
 * Callers that wait at the same time share a sync. A sync that failed is never tried again: the handle
 * fails from then on. Thread safe.
 */
#ifndef ENGINE_SQLITE_MEDIUM_H
#define ENGINE_SQLITE_MEDIUM_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/sqlite/db.h"

/** Bytes of pages in the log at which a checkpoint is made, beside the writers. */
#define MEDIUM_CHECKPOINT_BYTES (16 << 20)

struct medium {
    struct db sync_db; /**< used by the one whose turn it is (`syncing`) */
    struct db checkpoint_db;
    int checkpoint_pages; /**< the same in pages */
    atomic_bool failed;
    atomic_int log_length; /**< pages in the log after the newest transaction of this handle */
    atomic_uint_fast64_t committed; /**< number of the newest transaction of this handle */
    pthread_mutex_t lock;           /**< guards what follows; nothing is acquired under it */
    pthread_cond_t sync_ended;      /**< for those who wait in medium_sync_to(), and none else */
    pthread_cond_t checkpoints;     /**< wanted, or ended */
    uint64_t synced;                /**< every transaction up to this one is on the medium */
    bool syncing;
    uint64_t syncs; /**< made, for measurements */
    bool checkpoint_wanted, checkpoint_running, stopping;
    int log_pages; /**< when the checkpoint was asked for */
    bool thread_started;
    pthread_t thread; /**< checkpoints */
};

void medium_init(struct medium *medium);
int medium_open(struct medium *medium, const char *path, const char *vfs, struct hf_error *err);
/** Accepts one that was not opened. */
void medium_close(struct medium *medium);

/** HF_FAILED once a sync has failed. */
int medium_check(struct medium *medium, struct hf_error *err);
void medium_fail(struct medium *medium);

/** Returns once transaction number `number` of this handle is on the medium. */
int medium_sync_to(struct medium *medium, uint64_t number, struct hf_error *err);
/** The same for everything that anyone has committed before the call. */
int medium_sync_all(struct medium *medium, struct hf_error *err);

/** Syncs that were made so far. */
uint64_t medium_syncs(struct medium *medium);

/** To be called after a commit that left so many pages in the log. */
void medium_log_grew(struct medium *medium, int pages);
/** Copies what it can of the log into the store file, beside the writers, if the log has so many pages. For one who
 *  writes much and can wait, so that no checkpoint has to be made that writers wait for. */
void medium_tidy(struct medium *medium, int pages);
/** Makes room: a whole checkpoint now, by the caller, that empties the log. For one who has met a full
 *  disk. Returns whether it could. */
bool medium_make_room(struct medium *medium);

#endif
