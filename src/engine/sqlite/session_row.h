/* SPDX-License-Identifier: Apache-2.0 */
/** Rows of sessions, their index rows, history, host sessions, events and audit, read and written whole. */
#ifndef ENGINE_SQLITE_SESSION_ROW_H
#define ENGINE_SQLITE_SESSION_ROW_H

#include "engine/sqlite/writer.h"
#include "store/lease.h"
#include "store/types.h"

/** Its state when it is forgotten: the row is left, so that neither number nor token is used again. */
#define SESSION_PURGED 3

/** Text columns are copied here, so that a row outlives its statement. */
struct session_row {
    uint64_t sid;
    char name[SESSION_NAME_MAX + 1];
    int state; /**< enum session_state, or SESSION_PURGED */
    int64_t created;
    uint64_t version;
    bool has_root;
    struct object_id root;
    int64_t time;
    uint64_t bytes, files;
    uint64_t versions;
    struct lease_row lease;
    bool pinned;
    char pinned_by[256];
    int64_t trashed;
};

/** Reads and verifies the row that `statement` (a session query) is on. */
int session_row_read(sqlite3_stmt *statement, struct session_row *ret_row, struct hf_error *err);
/** Columns of a session query, the checksum included, before those of other tables. */
#define SESSION_ROW_COLUMNS 19

/** One session by number, live or in the trash; a live one by number or name. HF_NOENT. */
int session_row_load(struct db *db, uint64_t sid, struct session_row *ret_row,
                     struct hf_error *err);
/** Also one that was forgotten. */
int session_row_load_any(struct db *db, uint64_t sid, struct session_row *ret_row,
                         struct hf_error *err);
int session_row_load_live(struct db *db, uint64_t sid, struct session_row *ret_row,
                          struct hf_error *err);
int session_row_find(struct db *db, const char *name, struct session_row *ret_row,
                     struct hf_error *err);

/** The next session that a host holds, after number `*sid`, which moves on: 1, 0 when there is none, or a
 *  failure. */
int session_row_held(struct db *db, uint64_t host, uint64_t *sid, struct session_row *ret_row,
                     struct hf_error *err);

/** Adds the row of a new session. */
int session_row_insert(struct db *db, const struct session_row *row, struct hf_error *err);
/** Writes what a commit changes: version, root, time, sizes, versions. */
int session_row_move(struct db *db, const struct session_row *row, int64_t old_time,
                     struct hf_error *err);
/** Writes all of it; its name, state and lease; or its lease alone. */
int session_row_replace(struct db *db, const struct session_row *row, struct hf_error *err);
int session_row_update(struct db *db, const struct session_row *row, struct hf_error *err);
int session_row_lease(struct db *db, const struct session_row *row, struct hf_error *err);

/** The head in it. */
void session_row_head(const struct session_row *row, struct session_head *ret_head);

/** Writes a session's index row; `meta`'s sizes are not part of it. */
int session_meta_write(struct db *db, uint64_t sid, const struct session_meta *meta,
                       struct hf_error *err);
/** Reads the index row that starts at column `first`; its strings are borrowed until the next step. */
int session_meta_read(sqlite3_stmt *statement, int first, struct session_meta *ret_meta,
                      struct hf_error *err);

/** A version in the history: from the row that the statement is at, and the head as a new row. */
int history_row_read(sqlite3_stmt *statement, struct history_entry *ret_entry,
                     struct hf_error *err);
int history_entry_insert(struct db *db, const struct history_entry *entry, struct hf_error *err);
int history_row_insert(struct db *db, const struct session_row *row, uint64_t host, uint64_t token,
                       struct hf_error *err);

/** A rescue version, also as a new row, and what a snapshot pins; from the row that the statement is at. Strings are borrowed until the
 *  next step; of a rescue's session and host only the numbers are known. */
int rescue_row_read(sqlite3_stmt *statement, struct rescue_info *ret_info, struct hf_error *err);
int rescue_row_insert(struct db *db, const struct rescue_info *info, struct hf_error *err);
int pin_row_read(sqlite3_stmt *statement, struct pin_info *ret_pin, struct hf_error *err);
int pin_row_insert(struct db *db, uint64_t snapshot, const struct pin_info *pin,
                   struct hf_error *err);

/** One row of the audit trail. */
int audit_row_insert(struct transaction *transaction, enum audit_event event, uint64_t sid,
                     uint64_t host, uint64_t token, const char *detail, struct hf_error *err);

/** Tells host sessions: `target` alone, or (0) every one but `origin`, one that lives or 0. Nothing when there is
 *  no other. */
int event_row_insert(struct transaction *transaction, const struct store_event *event,
                     uint64_t origin, uint64_t target, struct hf_error *err);

/** The number that a query without parameters gives. */
int query_number(struct db *db, enum query query, uint64_t *ret_number, struct hf_error *err);

/** The row of a host session, with strings copied. */
struct host_row {
    uint64_t host;
    struct host_identity identity; /**< its strings point to those below */
    uint64_t resumed;              /**< how often another process has gone on with it */
    bool alive;                    /**< as far as the row says */
    int64_t registered;
    char name[256];
    char mount_point[1024];
    char principal[1024];
};
/** Columns of a host query, the checksum included. */
#define HOST_ROW_COLUMNS 14

int host_row_read(sqlite3_stmt *statement, struct host_row *ret_row, struct hf_error *err);
/** HF_NOENT. */
int host_row_load(struct db *db, uint64_t host, struct host_row *ret_row, struct hf_error *err);
int host_row_insert(struct db *db, const struct host_row *row, struct hf_error *err);
/** Writes whether it lives, and how often it was resumed. */
int host_row_update(struct db *db, const struct host_row *row, struct hf_error *err);

/** The row of the whole store. */
struct store_row {
    uint64_t schema;
    uint8_t uuid[UUID_SIZE];
    struct chunker_params chunker;
    bool strict;
    bool keyed;
    uint8_t key[32];
    int64_t created;
    uint64_t next_sid, next_host, generation, sweeps;
    uint64_t sessions; /**< rows of the table session */
    uint64_t next_rescue;
};

int store_row_load(struct db *db, struct store_row *ret_row, struct hf_error *err);
/** Inserts or replaces it. */
int store_row_write(struct db *db, const struct store_row *row, struct hf_error *err);

#endif
