/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Objects that host sessions have put or asked for: no root may reach them yet, and no collection removes them.
 *
 *     noted      when a host session puts it, or asks whether it is there (and it is)
 *     let go     LOOSE_GRACE after the host session's end was noticed: by then work that it left is a rescue
 *                version. Or once roots reach it, LOOSE_GRACE after it was noted.
 *
 * The functions below run in a transaction of the writer.
 */
#ifndef ENGINE_SQLITE_LOOSE_H
#define ENGINE_SQLITE_LOOSE_H

#include "engine/sqlite/engine.h"

#define LOOSE_GRACE_NS (24LL * 3600 * 1000000000)

struct loose {
    uint64_t host, seq;
    int64_t time;
};

/** That `host` has put the object, or found it. */
int loose_note(struct transaction *transaction, uint64_t host, uint64_t seq, struct hf_error *err);
/** Forgets that one, unless it was noted anew since it was read. */
int loose_drop(struct db *db, const struct loose *loose, struct hf_error *err);

/** Notices which hosts with loose objects have ended, or live after all. */
int loose_review_hosts(struct transaction *transaction, struct hf_error *err);
/** Whether the host has been gone for so long by `now` that its loose objects may go: 1, 0, or a failure. */
int loose_is_over(struct db *db, uint64_t host, int64_t now, struct hf_error *err);

/** Reads up to `n` of them in order, after `after` (host 0: from the first on). */
int loose_read(struct db *db, const struct loose *after, struct loose *ret_loose, size_t n,
               size_t *ret_n, struct hf_error *err);

#endif
