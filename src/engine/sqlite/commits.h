/* SPDX-License-Identifier: Apache-2.0 */
/** Steps of a session's head within a transaction. */
#ifndef ENGINE_SQLITE_COMMITS_H
#define ENGINE_SQLITE_COMMITS_H

#include "engine/sqlite/incoming.h"
#include "engine/sqlite/session_row.h"

/**
 * Moves `row` to its next version as `commit` says: adds the (checked) objects, writes history and the index
 * row, and changes `row`, not yet its row in the table. `new_session`: it has no index row yet.
 */
int commit_advance(struct transaction *transaction, struct session_row *row, uint64_t host,
                   uint64_t token, const struct commit *commit, struct incoming *incoming,
                   bool new_session, struct hf_error *err);

#endif
