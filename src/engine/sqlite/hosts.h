/* SPDX-License-Identifier: Apache-2.0 */
/** Host sessions within a transaction: who may act, who is alive, and what those leave behind who are not. */
#ifndef ENGINE_SQLITE_HOSTS_H
#define ENGINE_SQLITE_HOSTS_H

#include "engine/sqlite/engine.h"
#include "engine/sqlite/session_row.h"

/** Whether a host session is alive: this handle's own by what it knows in memory; another's when its lock is held,
 *  or was held not long ago and it has a TTL, which `db` is asked for. */
bool host_is_alive(struct sqlite_store *store, struct db *db, uint64_t host);

/** 0, or HF_FENCED when `host` is not 0 and not a living host session. */
int host_admit(struct transaction *transaction, uint64_t host, struct hf_error *err);

/** When it dies unless it is heard of, by the store's wall clock; 0: no clock ends it. */
int64_t host_expires(struct sqlite_store *store, uint64_t host);

/**
 * Ends a host session: its row, its place in queues, its leases and locks. `verb` is LEASE_HOLDER_GONE or
 * LEASE_HOLDER_DEAD, `why` is recorded. Its leases go to those who wait. Without any, those of one who is gone are
 * free, and those of one who died stay in its name: whoever asks for one takes it over, on the record.
 */
int host_leave(struct transaction *transaction, struct host_row *row, enum lease_verb verb,
               const char *why, struct hf_error *err);
/** That for one that has died; its listener hears of it. */
int host_bury(struct transaction *transaction, struct host_row *row, struct hf_error *err);
/** One was found dead: buries it, if that was not done before, and tells all. */
int host_find_dead(struct transaction *transaction, uint64_t host, struct hf_error *err);

/** Tells all but `origin` that there are more or fewer hosts. */
int host_tell_changed(struct transaction *transaction, uint64_t origin, struct hf_error *err);
/** Tells the handle that serves one that it is over; or (`moved` is not 0) that it lives on through another handle, of
 *  which its listener does not hear. */
int host_tell_lost(struct transaction *transaction, uint64_t host, uint64_t moved,
                   struct hf_error *err);

#endif
