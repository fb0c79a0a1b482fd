/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The faulty decorator: a store on top of a store whose calls fail on demand.
 *
 *   SPEC  = RULE [, RULE]...
 *   RULE  = CALL @ N : ERROR [ + | ! ]...
 *   CALL  = a call of store.h without "store_" (put, commit, lease_acquire ...), or "any"
 *   N     = which call of that name fails, from 1
 *   ERROR = EIO, ENOSPC, ... (errno names), or FENCED, CONFLICT, CORRUPT, FAILED, BUSY, MISSING
 *   +       sticky: every such call from the Nth on fails, until the faults are cleared
 *   !       late: the call below is made and its answer thrown away, as when a reply is lost
 *
 * For example `commit@17:EIO`, `put@3:ENOSPC+`, `any@100:EIO`, `commit@1:EIO!`.
 * Without `!`, the store below never sees a call that fails.
 */
#ifndef ENGINE_DECORATOR_FAULTY_H
#define ENGINE_DECORATOR_FAULTY_H

#include "engine/decorator/op.h"
#include "store/engine.h"

/** Wraps `below`, which the new store owns from now on (not on failure). HF_INVAL for a bad spec. */
int faulty_store_new(struct store *below, const char *spec, struct store **ret_store,
                     struct hf_error *err);

/* Control by tests; `store` must be a faulty one (asserted). All thread safe. */

/** Replaces the rules, and counts calls anew. "" or NULL: no more faults. */
int faulty_store_set(struct store *store, const char *spec, struct hf_error *err);
/** Calls of all kinds since the rules were set, and how many of them were made to fail. */
uint64_t faulty_store_calls(struct store *store);
uint64_t faulty_store_faults(struct store *store);
/** The store below, still owned by `store`. */
struct store *faulty_store_below(struct store *store);

#endif
