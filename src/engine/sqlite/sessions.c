/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>

#include "engine/sqlite/hosts.h"
#include "engine/sqlite/leases.h"

#define NS_PER_HOUR 3600000000000LL

/* --- heads ---------------------------------------------------------------------------------------- */

int sqlite_session_find(struct store *base, const char *name, struct session_head *ret_head,
                        struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct session_row row;
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = session_row_find(reader, name, &row, err);
    readers_give(&store->readers, reader);
    if (rc == HF_OK)
        session_row_head(&row, ret_head);
    return rc;
}

int sqlite_session_head(struct store *base, uint64_t sid, struct session_head *ret_head,
                        struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct session_row row;
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = session_row_load_live(reader, sid, &row, err);
    readers_give(&store->readers, reader);
    if (rc == HF_OK)
        session_row_head(&row, ret_head);
    return rc;
}

/* --- listing -------------------------------------------------------------------------------------- */

struct listing {
    struct sqlite_store *store;
    struct db *reader;
    const struct session_filter *filter;
    session_visit_fn visit;
    void *arg;
    uint64_t visited;
};

static bool equal(const char *wanted, const char *have)
{
    return !wanted || (have && strcmp(wanted, have) == 0);
}

/* Everything that the query may not have looked at. */
static bool matches(const struct session_filter *filter, const struct session_row *row,
                    const struct session_meta *meta)
{
    return row->time >= filter->changed_since &&
           (!filter->name_glob || fnmatch(filter->name_glob, row->name, 0) == 0) &&
           equal(filter->repository, meta->repository) && equal(filter->branch, meta->branch) &&
           equal(filter->cwd, meta->cwd) && equal(filter->git_root, meta->git_root);
}

static int list_one(struct listing *listing, sqlite3_stmt *statement, struct hf_error *err)
{
    struct session_info info = {0};
    struct session_row row;
    struct host_row host;
    int rc = session_row_read(statement, &row, err);

    if (rc == HF_OK)
        rc = session_meta_read(statement, SESSION_ROW_COLUMNS, &info.meta, err);
    if (rc != HF_OK || !matches(listing->filter, &row, &info.meta))
        return rc;
    session_row_head(&row, &info.head);
    info.name = row.name;
    info.state = (enum session_state)row.state;
    info.created = row.created;
    info.trashed = row.trashed;
    info.meta.bytes = row.bytes;
    info.meta.files = row.files;
    if (host_is_alive(listing->store, listing->reader, row.lease.host)) {
        rc = host_row_load(listing->reader, row.lease.host, &host, err);
        if (rc != HF_OK)
            return rc;
        info.holder = row.lease.host;
        info.holder_name = host.identity.host_name;
    }
    listing->visited++;
    return listing->visit(&info, listing->arg);
}

/* The query whose index fits the filter best, and what it looks for. */
static enum query choose_query(const struct session_filter *filter, struct db_value *ret_key)
{
    if (filter->sid)
        return *ret_key = db_uint(filter->sid), QUERY_LIST_BY_SID;
    *ret_key = db_int(filter->changed_since / NS_PER_HOUR);
    if (filter->repository)
        return *ret_key = db_text(filter->repository), QUERY_LIST_BY_REPOSITORY;
    if (filter->cwd)
        return *ret_key = db_text(filter->cwd), QUERY_LIST_BY_CWD;
    if (filter->git_root)
        return *ret_key = db_text(filter->git_root), QUERY_LIST_BY_GIT_ROOT;
    if (filter->branch)
        return *ret_key = db_text(filter->branch), QUERY_LIST_BY_BRANCH;
    return filter->changed_since > 0 ? QUERY_LIST_BY_HOUR : QUERY_LIST_ALL;
}

int sqlite_session_list(struct store *base, const struct session_filter *filter,
                        session_visit_fn visit, void *arg, struct hf_error *err)
{
    struct listing listing = {
        .store = sqlite_store_of(base), .filter = filter, .visit = visit, .arg = arg};
    struct db_value values[3] = {db_int(filter->trashed ? SESSION_TRASHED : SESSION_LIVE),
                                 db_text(filter->after ? filter->after : "")};
    enum query query = choose_query(filter, &values[2]);
    sqlite3_stmt *statement = NULL;
    int rc = readers_take(&listing.store->readers, &listing.reader, err);

    if (rc != HF_OK)
        return rc;
    rc = db_start(listing.reader, query, values, query == QUERY_LIST_ALL ? 2 : 3, &statement, err);
    while (rc == HF_OK && (filter->limit == 0 || listing.visited < filter->limit) &&
           (rc = db_next(listing.reader, statement, err)) == 1)
        rc = list_one(&listing, statement, err);
    db_done(statement);
    readers_give(&listing.store->readers, listing.reader);
    return rc;
}

/* --- the trash ------------------------------------------------------------------------------------ */

static int tell_changed(struct transaction *transaction, uint64_t host, uint64_t sid,
                        struct hf_error *err)
{
    struct store_event event = {.kind = EVENT_SESSIONS_CHANGED, .sid = sid};

    return event_row_insert(transaction, &event, host, 0, err);
}

/* Moves a session whose lease has been checked to the trash. */
static int to_trash(struct transaction *transaction, struct session_row *row, uint64_t host,
                    uint64_t token, struct hf_error *err)
{
    struct lease_request end = {.verb = LEASE_END, .host = host, .token = token};
    struct lease_step step;
    int rc = lease_decide(transaction, row, &end, NULL, &step, err);

    row->state = SESSION_TRASHED;
    row->trashed = transaction->now;
    if (rc == HF_OK)
        rc = session_row_update(transaction->db, row, err);
    return rc == HF_OK ? tell_changed(transaction, host, row->sid, err) : rc;
}

struct session_write {
    struct write write;
    uint64_t host, sid, token, other_token;
    const char *name;
    enum session_rename_mode mode;
};

static int run_delete(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct session_write *change = (struct session_write *)write;
    struct session_row row;
    int rc = session_row_load_live(transaction->db, change->sid, &row, err);

    if (rc == HF_OK)
        rc = lease_admit(write, transaction, &row, change->host, change->token, err);
    return rc == HF_OK ? to_trash(transaction, &row, change->host, change->token, err) : rc;
}

int sqlite_session_delete(struct store *base, uint64_t host, uint64_t sid, uint64_t token,
                          struct hf_error *err)
{
    struct session_write change = {
        .write = {.run = run_delete}, .host = host, .sid = sid, .token = token};

    return writer_do(&sqlite_store_of(base)->writer, &change.write, err);
}

/* 0 when no live session has the name, HF_EXIST, or a failure. */
static int check_free(struct db *db, const char *name, struct hf_error *err)
{
    struct session_row other;
    int rc = session_row_find(db, name, &other, err);

    if (rc == HF_NOENT)
        return HF_OK;
    return rc != HF_OK ? rc : hf_fail(err, HF_EXIST, "there is a session %s already", name);
}

static int run_undelete(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct session_write *change = (struct session_write *)write;
    struct session_row row;
    int rc = session_row_load(transaction->db, change->sid, &row, err);

    if (rc == HF_OK && row.state != SESSION_TRASHED)
        rc = hf_fail(err, HF_NOENT, "session %s is not in the trash", row.name);
    if (rc == HF_OK && change->name)
        snprintf(row.name, sizeof row.name, "%s", change->name);
    if (rc == HF_OK)
        rc = check_free(transaction->db, row.name, err);
    if (rc == HF_OK)
        rc = audit_row_insert(transaction, AUDIT_UNDELETE, row.sid, 0, row.lease.token, NULL, err);
    if (rc != HF_OK)
        return rc;
    row.state = SESSION_LIVE;
    row.trashed = 0;
    rc = session_row_update(transaction->db, &row, err);
    return rc == HF_OK ? tell_changed(transaction, 0, row.sid, err) : rc;
}

int sqlite_session_undelete(struct store *base, uint64_t sid, const char *name,
                            struct hf_error *err)
{
    struct session_write change = {.write = {.run = run_undelete}, .sid = sid, .name = name};

    return writer_do(&sqlite_store_of(base)->writer, &change.write, err);
}

/* What is left of a session keeps its number and its token from being used again. */
static int run_purge(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct session_write *change = (struct session_write *)write;
    struct db *db = transaction->db;
    struct session_row row, left;
    int rc = session_row_load(db, change->sid, &row, err);

    if (rc == HF_OK && row.state != SESSION_TRASHED)
        rc = hf_fail(err, HF_NOENT, "session %s is not in the trash", row.name);
    if (rc == HF_OK)
        rc = audit_row_insert(transaction, AUDIT_PURGE, row.sid, 0, row.lease.token, row.name, err);
    if (rc != HF_OK)
        return rc;
    left = (struct session_row){.sid = row.sid, .state = SESSION_PURGED, .lease = row.lease};
    rc = db_run(db, QUERY_HISTORY_DELETE_ALL, DB_VALUES(db_uint(row.sid)), err);
    if (rc == HF_OK)
        rc = db_run(db, QUERY_RESCUE_DELETE_ALL, DB_VALUES(db_uint(row.sid)), err);
    if (rc == HF_OK)
        rc = db_run(db, QUERY_META_DELETE, DB_VALUES(db_uint(row.sid)), err);
    if (rc == HF_OK)
        rc = session_row_replace(db, &left, err);
    return rc == HF_OK ? tell_changed(transaction, 0, row.sid, err) : rc;
}

int sqlite_session_purge(struct store *base, uint64_t sid, struct hf_error *err)
{
    struct session_write change = {.write = {.run = run_purge}, .sid = sid};

    return writer_do(&sqlite_store_of(base)->writer, &change.write, err);
}

/* --- renaming ------------------------------------------------------------------------------------- */

static int set_name(struct transaction *transaction, struct session_row *row, const char *name,
                    struct hf_error *err)
{
    char detail[2 * SESSION_NAME_MAX + 8];
    int rc;

    snprintf(detail, sizeof detail, "%s -> %s", row->name, name);
    rc = audit_row_insert(transaction, AUDIT_RENAME, row->sid, row->lease.host, row->lease.token,
                          detail, err);
    snprintf(row->name, sizeof row->name, "%s", name);
    return rc == HF_OK ? session_row_update(transaction->db, row, err) : rc;
}

/* Live names are unique at every moment: so one of two goes out of the way meanwhile. */
static int exchange(struct transaction *transaction, struct session_row *row,
                    struct session_row *other, struct hf_error *err)
{
    char name[SESSION_NAME_MAX + 1], other_name[SESSION_NAME_MAX + 1];
    int rc;

    memcpy(name, row->name, sizeof name);
    memcpy(other_name, other->name, sizeof other_name);
    other->state = SESSION_TRASHED;
    rc = session_row_update(transaction->db, other, err);
    other->state = SESSION_LIVE;
    if (rc == HF_OK)
        rc = set_name(transaction, row, other_name, err);
    return rc == HF_OK ? set_name(transaction, other, name, err) : rc;
}

/* What stands in the way of the new name: 1 and it is in `ret_other`, 0, or a failure. */
static int find_other(struct session_write *change, struct transaction *transaction,
                      const struct session_row *row, struct session_row *ret_other,
                      struct hf_error *err)
{
    int rc = session_row_find(transaction->db, change->name, ret_other, err);

    if (rc == HF_NOENT)
        return change->mode == RENAME_SESSION_EXCHANGE ? rc : 0;
    if (rc != HF_OK || ret_other->sid == row->sid)
        return rc != HF_OK ? rc : 1;
    if (change->mode == RENAME_SESSION_NEW)
        return hf_fail(err, HF_EXIST, "there is a session %s already", change->name);
    rc =
        lease_admit(&change->write, transaction, ret_other, change->host, change->other_token, err);
    return rc == HF_OK ? 1 : rc;
}

static int run_rename(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct session_write *change = (struct session_write *)write;
    struct session_row row = {0}, other = {0};
    bool found;
    int rc = session_row_load_live(transaction->db, change->sid, &row, err);

    if (rc == HF_OK)
        rc = lease_admit(write, transaction, &row, change->host, change->token, err);
    if (rc == HF_OK)
        rc = find_other(change, transaction, &row, &other, err);
    if (rc < 0)
        return rc;
    found = rc == 1;
    if (found && other.sid == row.sid)
        return HF_OK;
    if (found && change->mode == RENAME_SESSION_EXCHANGE) {
        rc = exchange(transaction, &row, &other, err);
        if (rc == HF_OK)
            rc = tell_changed(transaction, change->host, other.sid, err);
    } else {
        rc = found ? to_trash(transaction, &other, change->host, change->other_token, err) : HF_OK;
        if (rc == HF_OK)
            rc = set_name(transaction, &row, change->name, err);
    }
    return rc == HF_OK ? tell_changed(transaction, change->host, row.sid, err) : rc;
}

int sqlite_session_rename(struct store *base, uint64_t host, uint64_t sid, uint64_t token,
                          const char *name, enum session_rename_mode mode, uint64_t other_token,
                          struct hf_error *err)
{
    struct session_write change = {.write = {.run = run_rename},
                                   .host = host,
                                   .sid = sid,
                                   .token = token,
                                   .other_token = other_token,
                                   .name = name,
                                   .mode = mode};

    return writer_do(&sqlite_store_of(base)->writer, &change.write, err);
}
