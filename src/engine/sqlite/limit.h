/* SPDX-License-Identifier: Apache-2.0 */
/** The limits of the retention policy, within a transaction. The policy is read anew when another process, or this
 *  one, may have changed it. */
#ifndef ENGINE_SQLITE_LIMIT_H
#define ENGINE_SQLITE_LIMIT_H

#include "engine/sqlite/incoming.h"
#include "engine/sqlite/session_row.h"

/** Of a commit to the session as `row` has it still. HF_QUOTA, HF_NOSPC. */
int limit_commit(struct transaction *transaction, const struct session_row *row,
                 const struct commit *commit, const struct incoming *incoming,
                 struct hf_error *err);
/** Of objects that are put. HF_NOSPC. */
int limit_put(struct transaction *transaction, const struct incoming *incoming,
              struct hf_error *err);

#endif
