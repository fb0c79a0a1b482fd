/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Objects on their way into the store, and the rows of those that are in it.
 *
 *     incoming_prepare()   before the writer's turn: verifies, packs, looks for bases
 *     incoming_check()     in the transaction: what they refer to is there
 *     incoming_insert()    in the transaction: adds those that are not there yet
 */
#ifndef ENGINE_SQLITE_INCOMING_H
#define ENGINE_SQLITE_INCOMING_H

#include "base/parallel.h"
#include "engine/sqlite/engine.h"
#include "store/closure.h"

/** One object, packed; not if the store is said to have had it. */
struct incoming_object {
    bool packed;
    unsigned lane;                /**< of `incoming`, */
    size_t packed_at, packed_len; /**< and there */
    enum object_encoding encoding;
    struct base *base; /**< what it is packed against, or NULL */
    uint64_t seq;      /**< its new row; 0: it was there */
};

/** All zero is a valid empty one. */
struct incoming {
    const struct object *objects;
    size_t n;
    struct incoming_object *packing;  /**< n of them */
    struct buf lanes[PARALLEL_LANES]; /**< the packed bytes */
    size_t packed_len;                /**< in all lanes */
    struct closure closure;
    uint64_t host;   /**< that they are put for: they become loose; 0: nobody */
    uint64_t sweeps; /**< of the store in the transaction */
};

/** `root`: of a commit; NULL: of a put. Ended with incoming_free() in any case. */
int incoming_prepare(struct incoming *incoming, struct sqlite_store *store,
                     const struct object *objects, size_t n, const struct object_id *root,
                     struct hf_error *err);
/** After the transaction has been committed: remembers what may soon be replaced. */
void incoming_remember(struct incoming *incoming, struct sqlite_store *store);
void incoming_free(struct incoming *incoming);

/** HF_MISSING. */
int incoming_check(struct incoming *incoming, struct transaction *transaction,
                   struct hf_error *err);
/** Whether a new row may refer to this root: HF_MISSING. */
int incoming_check_root(struct transaction *transaction, const struct object_id *root,
                        struct hf_error *err);
/** Adds those that are not there. */
int incoming_insert(struct incoming *incoming, struct transaction *transaction,
                    struct hf_error *err);

/* --- rows ------------------------------------------------------------------------------------- */

/** The row of an object. `packed` points into the statement. */
struct object_row {
    uint64_t seq;
    struct object_id id;
    enum object_kind kind;
    bool hidden; /**< it is garbage, and here only because others are packed against it */
    enum object_encoding encoding;
    size_t size;
    uint64_t base; /**< seq, or 0 */
    uint64_t generation;
    struct slice packed;
};

/** Takes the row that a statement of whole objects is on; or all of it but `packed`. HF_CORRUPT. */
int object_row_take(sqlite3_stmt *statement, struct object_row *ret_row, struct hf_error *err);
int object_row_take_head(sqlite3_stmt *statement, struct object_row *ret_row, struct hf_error *err);
/** Where `packed` is in such a statement. */
#define OBJECT_ROW_PACKED 9
/** Lets nobody find an object any more whose row others are packed against. */
int object_row_hide(struct db *db, const struct object_row *row, struct hf_error *err);
/** Writes a row anew under its number. */
int object_row_rewrite(struct db *db, const struct object_row *row, struct hf_error *err);
/** The numbers of all rows of an object, sound or not, hidden or not: how many (`max` at most), or a failure. */
int object_rows_of(struct db *db, const struct object_id *id, uint64_t *ret_seqs, int max,
                   struct hf_error *err);
/** Appends the verified content of an object. HF_MISSING, HF_CORRUPT. */
int object_read(struct db *db, const struct object_hasher *hasher, const struct object_id *id,
                struct buf *content, struct hf_error *err);
/** The same for a row that a statement is on. */
int object_read_row(struct db *db, const struct object_hasher *hasher, const struct object_row *row,
                    struct buf *content, struct hf_error *err);

/** Looks for an object, as far as the collection lets it be found: 1 and its number and kind, 0 when it is not
 *  there, or a failure. */
int object_seek(struct db *db, const struct collection *collection, const struct object_id *id,
                uint64_t *ret_seq, enum object_kind *ret_kind, struct hf_error *err);
/** The same in a transaction of the writer that will rely on it. */
int object_rely(struct transaction *transaction, const struct object_id *id, uint64_t *ret_seq,
                enum object_kind *ret_kind, struct hf_error *err);
/** The row of an object, as for object_seek(): 1 and `*ret_statement` is on it, 0, or a failure. The row is without
 *  `packed`. */
int object_row_find(struct db *db, const struct collection *collection, const struct object_id *id,
                    sqlite3_stmt **ret_statement, struct object_row *ret_row, struct hf_error *err);

#endif
