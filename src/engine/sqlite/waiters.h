/* SPDX-License-Identifier: Apache-2.0 */
/** The queue of a session's lease: one row for each host that waits, first come first (store/lease.h). */
#ifndef ENGINE_SQLITE_WAITERS_H
#define ENGINE_SQLITE_WAITERS_H

#include "engine/sqlite/db.h"
#include "store/lease.h"

struct waiter_row {
    uint64_t id; /**< its place; 0: it has none yet */
    uint64_t sid;
    struct lease_waiter waiter;
};

/** HF_NOENT when the host does not stand in the queue. */
int waiter_load(struct db *db, uint64_t sid, uint64_t host, struct waiter_row *ret_row,
                struct hf_error *err);
/** The next one after place `*id`, which moves on: 1, 0 when there is none, or a failure. */
int waiter_next(struct db *db, uint64_t sid, uint64_t *id, struct waiter_row *ret_row,
                struct hf_error *err);
/** Writes it; one without a place gets the last. */
int waiter_write(struct db *db, struct waiter_row *row, struct hf_error *err);
/** Takes it out, if it has a place. */
int waiter_drop(struct db *db, const struct waiter_row *row, struct hf_error *err);
int waiters_clear_host(struct db *db, uint64_t host, struct hf_error *err);
int waiters_clear_session(struct db *db, uint64_t sid, struct hf_error *err);

#endif
