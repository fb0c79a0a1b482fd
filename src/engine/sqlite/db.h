/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One connection to the store file, with its prepared statements. Values go in and rows come out through
 * here, so that the checksum of every row that carries one is computed on the way in and verified on the
 * way out. A connection is used by one thread at a time; its owner guards it.
 */
#ifndef ENGINE_SQLITE_DB_H
#define ENGINE_SQLITE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "holdfast/error.h"
#include "object/object.h"
#include "sql.h"

struct fresh;
struct fresh_range;

/** All zero is a connection that is not open. */
struct db {
    sqlite3 *handle;
    sqlite3_stmt *statements[QUERY_COUNT];
    uint64_t executed;   /**< statements run, for measurements */
    struct fresh *fresh; /**< that helps it to find objects, or NULL */
    const struct fresh_range
        *range; /**< the writer's: of its transaction, and `fresh` is up to it */
};

enum db_type { DB_NULL, DB_INT, DB_TEXT, DB_BLOB };

/** A value on its way into a statement. Bytes are borrowed. */
struct db_value {
    enum db_type type;
    int64_t number;
    const void *data;
    size_t len;
};

static inline struct db_value db_int(int64_t number)
{
    return (struct db_value){.type = DB_INT, .number = number};
}

static inline struct db_value db_uint(uint64_t number)
{
    return (struct db_value){.type = DB_INT, .number = (int64_t)number};
}

static inline struct db_value db_blob(const void *data, size_t len)
{
    return (struct db_value){.type = DB_BLOB, .data = data, .len = len};
}

/** NULL is SQL's NULL. */
struct db_value db_text(const char *text);

/** The arguments `values, n` of the functions below, in place. */
#define DB_VALUES(...)                                                                             \
    (const struct db_value[]){__VA_ARGS__},                                                        \
        (sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value))
#define DB_NO_VALUES NULL, 0

/** Opens a connection. `flags` are SQLite's. `vfs` NULL: the default one. */
int db_open(const char *path, int flags, const char *vfs, struct db *ret_db, struct hf_error *err);
void db_close(struct db *db);

/** The status for an SQLite result code, with a sentence. */
int db_fail(struct db *db, int code, struct hf_error *err);

/** Runs SQL text that gives no rows: pragmas and migrations. */
int db_script(struct db *db, const char *sql, struct hf_error *err);
/** Runs SQL text that gives one number. */
int db_number(struct db *db, const char *sql, int64_t *ret_number, struct hf_error *err);

/** Runs a query that gives no rows. */
int db_run(struct db *db, enum query query, const struct db_value *values, size_t n,
           struct hf_error *err);
/** The same, with the checksum of the values as a row of `table` bound after them. */
int db_run_summed(struct db *db, enum query query, const char *table, const struct db_value *values,
                  size_t n, struct hf_error *err);
/** The same, with more values, which the checksum does not cover, between the two. */
int db_run_summed_with(struct db *db, enum query query, const char *table,
                       const struct db_value *values, size_t n, const struct db_value *more,
                       size_t nmore, struct hf_error *err);

/** Ends a transaction of which nothing is to be kept, if there is one. */
void db_end(struct db *db);

/**
 * Starts a query; its rows come by db_next(): 1 and the statement is on a row, 0 at the end, or a
 * negative status. The statement is to be ended by db_done() in any case (NULL is fine).
 */
int db_start(struct db *db, enum query query, const struct db_value *values, size_t n,
             sqlite3_stmt **ret_statement, struct hf_error *err);
int db_next(struct db *db, sqlite3_stmt *statement, struct hf_error *err);
void db_done(sqlite3_stmt *statement);

static inline void db_done_cleanup(sqlite3_stmt **statement)
{
    db_done(*statement);
}
/** A started statement that ends with its scope. */
#define DB_STATEMENT_AUTO __attribute__((cleanup(db_done_cleanup))) sqlite3_stmt

/**
 * Verifies the checksum of a row that `statement` is on: its columns from `first` on are the row's, in the
 * table's order, `columns` of them, and the next one is the checksum. HF_CORRUPT.
 */
int db_verify(sqlite3_stmt *statement, const char *table, int first, int columns,
              struct hf_error *err);

/** Gives SQL the function row_sum(TABLE, COLUMN...): the checksum of such a row. For migrations. */
int db_add_row_sum(struct db *db, struct hf_error *err);

/** Columns of the current row. A string is NUL-terminated, or NULL; valid until the next row. */
uint64_t db_column_uint(sqlite3_stmt *statement, int column);
int64_t db_column_int(sqlite3_stmt *statement, int column);
const char *db_column_text(sqlite3_stmt *statement, int column);
struct slice db_column_blob(sqlite3_stmt *statement, int column);
/** HF_CORRUPT when it is not exactly as long; an empty one gives zeros when `allow_empty`. */
int db_column_bytes(sqlite3_stmt *statement, int column, void *ret_bytes, size_t len,
                    bool allow_empty, struct hf_error *err);

#endif
