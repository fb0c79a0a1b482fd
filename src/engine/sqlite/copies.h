/* SPDX-License-Identifier: Apache-2.0 */
/** Within a transaction that takes a copy from another store: whose it is, and what it was called there. */
#ifndef ENGINE_SQLITE_COPIES_H
#define ENGINE_SQLITE_COPIES_H

#include "engine/sqlite/engine.h"
#include "engine/sqlite/session_row.h"

/** Notes where the copies in this store come from when it is the first one. HF_CONFLICT when they come from
 *  elsewhere, or the store has sessions of its own. */
int copy_admit(struct transaction *transaction, const uint8_t origin[UUID_SIZE],
               struct hf_error *err);

/** The host session that stands here for number `host` of the other store, known there as `name`: one that is gone.
 *  0 for 0, or without a name. */
int copy_host(struct transaction *transaction, const uint8_t origin[UUID_SIZE], uint64_t host,
              const char *name, uint64_t *ret_host, struct hf_error *err);

/** No new session gets a number up to `sid`. */
int copy_use_number(struct transaction *transaction, uint64_t sid, struct hf_error *err);

#endif
