/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/session_row.h"

#include <stdio.h>
#include <string.h>

#define NS_PER_HOUR 3600000000000LL
#define SESSION_COLUMNS (SESSION_ROW_COLUMNS - 1)
#define HOST_COLUMNS (HOST_ROW_COLUMNS - 1)
/* So many events are kept for listeners that are slow, and looked over every so many events. */
#define EVENTS_KEPT 65536
#define EVENTS_TRIMMED_EVERY 1024
/* And so many lines of the audit trail: years of a busy store. */
#define AUDITS_KEPT 4194304
#define AUDITS_TRIMMED_EVERY 4096

static void copy_text(char *to, size_t size, const char *text)
{
    snprintf(to, size, "%s", text ? text : "");
}

/* The one row of a query, which `statement` was started for; `missing` when there is none. */
static int only_row(struct db *db, sqlite3_stmt *statement, int missing, struct hf_error *err)
{
    int rc = db_next(db, statement, err);

    if (rc == 0)
        return missing;
    return rc < 0 ? rc : HF_OK;
}

/* --- sessions --------------------------------------------------------------------------------- */

int session_row_read(sqlite3_stmt *statement, struct session_row *ret_row, struct hf_error *err)
{
    struct session_row row = {0};
    int rc = db_verify(statement, "session", 0, SESSION_COLUMNS, err);

    if (rc == HF_OK)
        rc = db_column_bytes(statement, 5, row.root.bytes, OBJECT_ID_SIZE, true, err);
    if (rc != HF_OK)
        return rc;
    row.sid = db_column_uint(statement, 0);
    copy_text(row.name, sizeof row.name, db_column_text(statement, 1));
    row.state = (int)db_column_int(statement, 2);
    row.created = db_column_int(statement, 3);
    row.version = db_column_uint(statement, 4);
    row.has_root = sqlite3_column_bytes(statement, 5) > 0;
    row.time = db_column_int(statement, 6);
    row.bytes = db_column_uint(statement, 8);
    row.files = db_column_uint(statement, 9);
    row.versions = db_column_uint(statement, 10);
    row.lease.token = db_column_uint(statement, 11);
    row.lease.state = (enum lease_state)db_column_int(statement, 12);
    row.lease.host = db_column_uint(statement, 13);
    row.lease.since = db_column_int(statement, 14);
    row.lease.refused = db_column_int(statement, 15) != 0;
    row.pinned = sqlite3_column_type(statement, 16) != SQLITE_NULL;
    copy_text(row.pinned_by, sizeof row.pinned_by, db_column_text(statement, 16));
    row.trashed = db_column_int(statement, 17);
    *ret_row = row;
    return HF_OK;
}

static int load(struct db *db, enum query query, struct db_value key, struct session_row *ret_row,
                struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, query, &key, 1, &statement, err);

    if (rc == HF_OK)
        rc = only_row(db, statement, HF_NOENT, err);
    if (rc == HF_OK)
        rc = session_row_read(statement, ret_row, err);
    return rc;
}

int session_row_load_any(struct db *db, uint64_t sid, struct session_row *ret_row,
                         struct hf_error *err)
{
    int rc = load(db, QUERY_SESSION_LOAD, db_uint(sid), ret_row, err);

    if (rc == HF_NOENT)
        hf_fail(err, rc, "there is no session with the number %llu", (unsigned long long)sid);
    return rc;
}

int session_row_load(struct db *db, uint64_t sid, struct session_row *ret_row, struct hf_error *err)
{
    int rc = session_row_load_any(db, sid, ret_row, err);

    if (rc == HF_OK && ret_row->state == SESSION_PURGED)
        rc = hf_fail(err, HF_NOENT, "the session with the number %llu was purged",
                     (unsigned long long)sid);
    return rc;
}

int session_row_load_live(struct db *db, uint64_t sid, struct session_row *ret_row,
                          struct hf_error *err)
{
    int rc = session_row_load(db, sid, ret_row, err);

    if (rc == HF_OK && ret_row->state != SESSION_LIVE)
        rc = hf_fail(err, HF_NOENT, "session %s is in the trash", ret_row->name);
    return rc;
}

int session_row_find(struct db *db, const char *name, struct session_row *ret_row,
                     struct hf_error *err)
{
    int rc = load(db, QUERY_SESSION_FIND, db_text(name), ret_row, err);

    if (rc == HF_NOENT)
        hf_fail(err, rc, "there is no session named %s", name);
    return rc;
}

int session_row_held(struct db *db, uint64_t host, uint64_t *sid, struct session_row *ret_row,
                     struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, QUERY_SESSION_HELD_BY, DB_VALUES(db_uint(host), db_uint(*sid)),
                      &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc != 1)
        return rc;
    rc = session_row_read(statement, ret_row, err);
    if (rc != HF_OK)
        return rc;
    *sid = ret_row->sid;
    return 1;
}

static int write_session(struct db *db, enum query query, const struct session_row *row,
                         struct hf_error *err)
{
    return db_run_summed(
        db, query, "session",
        DB_VALUES(db_uint(row->sid), db_text(row->name), db_int(row->state), db_int(row->created),
                  db_uint(row->version),
                  db_blob(row->root.bytes, row->has_root ? OBJECT_ID_SIZE : 0), db_int(row->time),
                  db_int(row->time / NS_PER_HOUR), db_uint(row->bytes), db_uint(row->files),
                  db_uint(row->versions), db_uint(row->lease.token), db_int(row->lease.state),
                  db_uint(row->lease.host), db_int(row->lease.since), db_int(row->lease.refused),
                  db_text(row->pinned ? row->pinned_by : NULL), db_int(row->trashed)),
        err);
}

int session_row_insert(struct db *db, const struct session_row *row, struct hf_error *err)
{
    return write_session(db, QUERY_SESSION_INSERT, row, err);
}

int session_row_move(struct db *db, const struct session_row *row, int64_t old_time,
                     struct hf_error *err)
{
    bool same_hour = row->time / NS_PER_HOUR == old_time / NS_PER_HOUR;

    return write_session(db, same_hour ? QUERY_SESSION_MOVE : QUERY_SESSION_MOVE_HOUR, row, err);
}

int session_row_update(struct db *db, const struct session_row *row, struct hf_error *err)
{
    return write_session(db, QUERY_SESSION_UPDATE, row, err);
}

int session_row_replace(struct db *db, const struct session_row *row, struct hf_error *err)
{
    return write_session(db, QUERY_SESSION_REPLACE, row, err);
}

int session_row_lease(struct db *db, const struct session_row *row, struct hf_error *err)
{
    return write_session(db, QUERY_SESSION_LEASE, row, err);
}

void session_row_head(const struct session_row *row, struct session_head *ret_head)
{
    *ret_head = (struct session_head){.sid = row->sid,
                                      .version = row->version,
                                      .root = row->root,
                                      .time = row->time,
                                      .bytes = row->bytes,
                                      .files = row->files};
}

int session_meta_write(struct db *db, uint64_t sid, const struct session_meta *meta,
                       struct hf_error *err)
{
    return db_run_summed(db, QUERY_META_WRITE, "session_meta",
                         DB_VALUES(db_uint(sid), db_text(meta->cwd), db_text(meta->git_root),
                                   db_text(meta->repository), db_text(meta->branch),
                                   db_text(meta->name), db_text(meta->created_at),
                                   db_text(meta->updated_at)),
                         err);
}

int session_meta_read(sqlite3_stmt *statement, int first, struct session_meta *ret_meta,
                      struct hf_error *err)
{
    int rc = db_verify(statement, "session_meta", first, 8, err);

    if (rc != HF_OK)
        return rc;
    *ret_meta = (struct session_meta){.cwd = db_column_text(statement, first + 1),
                                      .git_root = db_column_text(statement, first + 2),
                                      .repository = db_column_text(statement, first + 3),
                                      .branch = db_column_text(statement, first + 4),
                                      .name = db_column_text(statement, first + 5),
                                      .created_at = db_column_text(statement, first + 6),
                                      .updated_at = db_column_text(statement, first + 7)};
    return HF_OK;
}

int history_entry_insert(struct db *db, const struct history_entry *entry, struct hf_error *err)
{
    return db_run_summed(db, QUERY_HISTORY_INSERT, "history",
                         DB_VALUES(db_uint(entry->sid), db_uint(entry->version),
                                   db_blob(entry->root.bytes, OBJECT_ID_SIZE), db_int(entry->time),
                                   db_uint(entry->host), db_uint(entry->token),
                                   db_uint(entry->bytes), db_uint(entry->files)),
                         err);
}

int history_row_insert(struct db *db, const struct session_row *row, uint64_t host, uint64_t token,
                       struct hf_error *err)
{
    struct history_entry entry = {
        .sid = row->sid,
        .version = row->version,
        .root = row->root,
        .time = row->time,
        .host = host,
        .token = token,
        .bytes = row->bytes,
        .files = row->files,
    };

    return history_entry_insert(db, &entry, err);
}

/* --- events and audit --------------------------------------------------------------------------- */

int query_number(struct db *db, enum query query, uint64_t *ret_number, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, query, DB_NO_VALUES, &statement, err);

    if (rc == HF_OK)
        rc = only_row(db, statement, HF_CORRUPT, err);
    if (rc == HF_OK)
        *ret_number = db_column_uint(statement, 0);
    return rc;
}

int audit_row_insert(struct transaction *transaction, enum audit_event event, uint64_t sid,
                     uint64_t host, uint64_t token, const char *detail, struct hf_error *err)
{
    uint64_t last;
    int rc = query_number(transaction->db, QUERY_AUDIT_LAST, &last, err);

    if (rc == HF_OK)
        rc = db_run_summed(transaction->db, QUERY_AUDIT_INSERT, "audit",
                           DB_VALUES(db_uint(last + 1), db_int(transaction->now), db_int(event),
                                     db_uint(sid), db_uint(host), db_uint(token), db_text(detail)),
                           err);
    if (rc == HF_OK && last % AUDITS_TRIMMED_EVERY == 0 && last > AUDITS_KEPT)
        rc = db_run(transaction->db, QUERY_AUDIT_TRIM, DB_VALUES(db_uint(last - AUDITS_KEPT)), err);
    return rc;
}

int event_row_insert(struct transaction *transaction, const struct store_event *event,
                     uint64_t origin, uint64_t target, struct hf_error *err)
{
    struct db *db = transaction->db;
    uint64_t last;
    int rc;

    /* One who acts is alive, and need not hear of it. */
    if (target == 0 && transaction->hosts <= (origin != 0))
        return HF_OK;
    transaction->ring = true;
    rc = query_number(db, QUERY_EVENT_LAST, &last, err);
    if (rc == HF_OK)
        rc = db_run_summed(db, QUERY_EVENT_INSERT, "event",
                           DB_VALUES(db_uint(last + 1), db_int(event->kind), db_uint(event->sid),
                                     db_uint(event->version), db_uint(event->token),
                                     db_uint(origin), db_uint(target)),
                           err);
    if (rc == HF_OK && last % EVENTS_TRIMMED_EVERY == 0 && last > EVENTS_KEPT)
        rc = db_run(db, QUERY_EVENT_TRIM, DB_VALUES(db_uint(last - EVENTS_KEPT)), err);
    return rc;
}

/* --- host sessions ------------------------------------------------------------------------------ */

/* NULL where the column is. */
static const char *copy_column(sqlite3_stmt *statement, int column, char *to, size_t size)
{
    copy_text(to, size, db_column_text(statement, column));
    return sqlite3_column_type(statement, column) == SQLITE_NULL ? NULL : to;
}

int host_row_read(sqlite3_stmt *statement, struct host_row *ret_row, struct hf_error *err)
{
    struct host_identity *identity = &ret_row->identity;
    int rc = db_verify(statement, "host", 0, HOST_COLUMNS, err);

    if (rc == HF_OK)
        rc = db_column_bytes(statement, 1, identity->host_id, UUID_SIZE, false, err);
    if (rc == HF_OK)
        rc = db_column_bytes(statement, 2, identity->boot_id, UUID_SIZE, false, err);
    if (rc == HF_OK)
        rc = db_column_bytes(statement, 3, identity->mount_id, UUID_SIZE, false, err);
    if (rc != HF_OK)
        return rc;
    ret_row->host = db_column_uint(statement, 0);
    identity->incarnation = db_column_uint(statement, 4);
    identity->pid = (uint32_t)db_column_uint(statement, 5);
    copy_text(ret_row->name, sizeof ret_row->name, db_column_text(statement, 6));
    identity->host_name = ret_row->name;
    identity->mount_point =
        copy_column(statement, 7, ret_row->mount_point, sizeof ret_row->mount_point);
    identity->principal = copy_column(statement, 8, ret_row->principal, sizeof ret_row->principal);
    identity->ttl_ms = (uint32_t)db_column_uint(statement, 9);
    ret_row->resumed = db_column_uint(statement, 10);
    ret_row->alive = db_column_int(statement, 11) == 1;
    ret_row->registered = db_column_int(statement, 12);
    return HF_OK;
}

int host_row_load(struct db *db, uint64_t host, struct host_row *ret_row, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, QUERY_HOST_LOAD, DB_VALUES(db_uint(host)), &statement, err);

    if (rc == HF_OK)
        rc = only_row(db, statement, HF_NOENT, err);
    if (rc == HF_NOENT)
        hf_fail(err, rc, "there is no host session with the number %llu", (unsigned long long)host);
    if (rc == HF_OK)
        rc = host_row_read(statement, ret_row, err);
    return rc;
}

static int write_host(struct db *db, enum query query, const struct host_row *row,
                      struct hf_error *err)
{
    const struct host_identity *identity = &row->identity;

    return db_run_summed(
        db, query, "host",
        DB_VALUES(db_uint(row->host), db_blob(identity->host_id, UUID_SIZE),
                  db_blob(identity->boot_id, UUID_SIZE), db_blob(identity->mount_id, UUID_SIZE),
                  db_uint(identity->incarnation), db_uint(identity->pid),
                  db_text(identity->host_name), db_text(identity->mount_point),
                  db_text(identity->principal), db_uint(identity->ttl_ms), db_uint(row->resumed),
                  db_int(row->alive ? 1 : 2), db_int(row->registered)),
        err);
}

int host_row_insert(struct db *db, const struct host_row *row, struct hf_error *err)
{
    return write_host(db, QUERY_HOST_INSERT, row, err);
}

int host_row_update(struct db *db, const struct host_row *row, struct hf_error *err)
{
    return write_host(db, QUERY_HOST_UPDATE, row, err);
}

/* --- the store ---------------------------------------------------------------------------------- */

static int read_store_row(sqlite3_stmt *statement, struct store_row *row, struct hf_error *err)
{
    int rc = db_verify(statement, "store", 0, 15, err);

    if (rc == HF_OK)
        rc = db_column_bytes(statement, 2, row->uuid, UUID_SIZE, false, err);
    row->keyed = sqlite3_column_type(statement, 7) != SQLITE_NULL;
    if (rc == HF_OK && row->keyed)
        rc = db_column_bytes(statement, 7, row->key, sizeof row->key, false, err);
    if (rc != HF_OK)
        return rc;
    row->schema = db_column_uint(statement, 1);
    row->chunker.min = (uint32_t)db_column_uint(statement, 3);
    row->chunker.avg = (uint32_t)db_column_uint(statement, 4);
    row->chunker.max = (uint32_t)db_column_uint(statement, 5);
    row->strict = db_column_int(statement, 6) != 0;
    row->created = db_column_int(statement, 8);
    row->next_sid = db_column_uint(statement, 9);
    row->next_host = db_column_uint(statement, 10);
    row->generation = db_column_uint(statement, 11);
    row->sweeps = db_column_uint(statement, 12);
    row->sessions = db_column_uint(statement, 13);
    row->next_rescue = db_column_uint(statement, 14);
    return HF_OK;
}

int store_row_load(struct db *db, struct store_row *ret_row, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct store_row row = {0};
    int rc = db_start(db, QUERY_STORE_READ, DB_NO_VALUES, &statement, err);

    if (rc == HF_OK)
        rc = only_row(db, statement, HF_NOENT, err);
    if (rc == HF_NOENT)
        rc = hf_fail(err, HF_CORRUPT, "the store file has lost its first row");
    if (rc == HF_OK)
        rc = read_store_row(statement, &row, err);
    if (rc == HF_OK)
        *ret_row = row;
    return rc;
}

int store_row_write(struct db *db, const struct store_row *row, struct hf_error *err)
{
    return db_run_summed(db, QUERY_STORE_WRITE, "store",
                         DB_VALUES(db_int(1), db_uint(row->schema), db_blob(row->uuid, UUID_SIZE),
                                   db_int(row->chunker.min), db_int(row->chunker.avg),
                                   db_int(row->chunker.max), db_int(row->strict),
                                   row->keyed ? db_blob(row->key, sizeof row->key) : db_text(NULL),
                                   db_int(row->created), db_uint(row->next_sid),
                                   db_uint(row->next_host), db_uint(row->generation),
                                   db_uint(row->sweeps), db_uint(row->sessions),
                                   db_uint(row->next_rescue)),
                         err);
}
