/* SPDX-License-Identifier: Apache-2.0 */
/** Steps of a session's lease within a transaction, for the slots that change sessions. */
#ifndef ENGINE_SQLITE_LEASES_H
#define ENGINE_SQLITE_LEASES_H

#include "engine/sqlite/engine.h"
#include "engine/sqlite/session_row.h"

/**
 * Lets store/lease.h decide on `request` and changes `row`, not yet its row in the table: audits, finds the heir
 * of a lease that leaves its holder, and tells whom it concerns. `text`: what a refusal or a break says, or NULL.
 */
int lease_decide(struct transaction *transaction, struct session_row *row,
                 const struct lease_request *request, const char *text, struct lease_step *ret_step,
                 struct hf_error *err);

/** Refuses whoever does not hold the lease (the token alone decides): HF_FENCED, and a line of the audit trail, which stays. To be
 *  called before `write` has changed anything. */
int lease_admit(struct write *write, struct transaction *transaction, const struct session_row *row,
                uint64_t host, uint64_t token, struct hf_error *err);

/** 0, or HF_FENCED when `host` is not 0 and not a living host session. */
int host_admit(struct transaction *transaction, uint64_t host, struct hf_error *err);

/** Whether a host session is alive: this handle's own by what it knows in memory; another's when its lock is held,
 *  or was held not long ago and it has a TTL, which `db` is asked for. */
bool host_is_alive(struct sqlite_store *store, struct db *db, uint64_t host);

/** Writes down that a host has died, if that was not done before: its leases go on, its locks are dropped. */
int host_bury(struct transaction *transaction, uint64_t host, struct hf_error *err);

/** When it dies unless it is heard of, by the store's wall clock; 0: no clock ends it. */
int64_t host_expires(struct sqlite_store *store, uint64_t host);

#endif
