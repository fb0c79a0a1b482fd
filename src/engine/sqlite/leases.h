/* SPDX-License-Identifier: Apache-2.0 */
/** Steps of a session's lease within a transaction, for the slots that change sessions. */
#ifndef ENGINE_SQLITE_LEASES_H
#define ENGINE_SQLITE_LEASES_H

#include "engine/sqlite/engine.h"
#include "engine/sqlite/session_row.h"
#include "engine/sqlite/waiters.h"

/**
 * Lets store/lease.h decide on `request` and changes `row`, not yet its row in the table: audits, finds the heir
 * of a lease that leaves its holder, and tells whom it concerns. `text`: what a refusal or a break says, or NULL.
 */
int lease_decide(struct transaction *transaction, struct session_row *row,
                 const struct lease_request *request, const char *text, struct lease_step *ret_step,
                 struct hf_error *err);

/** Refuses whoever does not hold the lease (the token alone decides): HF_FENCED, and a line of the audit trail, which
 *  stays. To be called before `write` has changed anything. */
int lease_admit(struct write *write, struct transaction *transaction, const struct session_row *row,
                uint64_t host, uint64_t token, struct hf_error *err);

/** Whether one of a lease's queue is still there: alive, and not left over. Times of before the machine's boot are as
 *  good as none. */
bool waiter_is_present(struct transaction *transaction, const struct waiter_row *row,
                       const struct lease_row *lease, int64_t now);

#endif
