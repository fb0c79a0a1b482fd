/* SPDX-License-Identifier: Apache-2.0 */
/**
 * How far a collection of garbage is, as everybody who uses the store file sees it (ADR 22). Numbers of objects
 * grow in the order of their arrival; a collection judges those up to `newest`, and nothing that came later.
 *
 *              begin                     switch                         the last slice
 *     IDLE ------------> MARKING ---------------------> SWEEPING -----------------------> IDLE
 *      ^                  |   ^ |
 *      +-- given up ------+   +-+ begun anew, after a crash          (after a crash it is gone on with)
 *
 *     MARKING    whoever finds an old object notes it as found, so that it stays, with what hangs from it
 *     SWEEPING   an old object that is not marked is absent to whoever looks for it, as it is about to go
 *
 * Both hold from the transaction on that the phase begins in, in every process: the phase is read in each
 * transaction, and whatever a process remembers of objects it forgets at every change of `sweeps`.
 */
#ifndef ENGINE_SQLITE_COLLECTION_H
#define ENGINE_SQLITE_COLLECTION_H

#include "engine/sqlite/db.h"

enum collection_phase { COLLECTION_IDLE = 0, COLLECTION_MARKING = 1, COLLECTION_SWEEPING = 2 };

struct collection {
    enum collection_phase phase;
    uint64_t newest;  /**< judged up to here */
    uint64_t unswept; /**< SWEEPING: what is left to sweep is up to here */
};

/** From the row that a statement is on, from its first column on. HF_CORRUPT. */
int collection_take(sqlite3_stmt *statement, struct collection *ret_collection,
                    struct hf_error *err);
int collection_load(struct db *db, struct collection *ret_collection, struct hf_error *err);
int collection_write(struct db *db, const struct collection *collection, struct hf_error *err);

/** Whether an object may be found: 1, 0 when it is about to be swept, or a failure. */
int collection_shows(const struct collection *collection, struct db *db, uint64_t seq,
                     struct hf_error *err);
/** The same for a row that another object is to be packed against. */
int collection_keeps(const struct collection *collection, struct db *db, uint64_t seq,
                     struct hf_error *err);
/** In a writer's transaction: notes that a change relies on what it has found (`base`: as a base alone). */
int collection_note(const struct collection *collection, struct db *db, uint64_t seq, bool base,
                    struct hf_error *err);

#endif
