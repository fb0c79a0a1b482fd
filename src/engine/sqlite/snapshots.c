/* SPDX-License-Identifier: Apache-2.0 */
#include <fnmatch.h>

#include "engine/sqlite/copies.h"
#include "engine/sqlite/incoming.h"

struct snapshot_write {
    struct write write;
    const char *name;
    const char *const *globs;
    size_t n;
    uint64_t id, sessions, pins;
};

/* No glob takes everything that has a root, the shared tree too. */
static bool wanted(const struct snapshot_write *snapshot, const struct session_row *row)
{
    if (row->state != SESSION_LIVE || !row->has_root)
        return false;
    if (snapshot->n == 0)
        return true;
    for (size_t i = 0; row->sid != SHARED_SID && i < snapshot->n; i++)
        if (fnmatch(snapshot->globs[i], row->name, 0) == 0)
            return true;
    return false;
}

int pin_row_read(sqlite3_stmt *statement, struct pin_info *ret_pin, struct hf_error *err)
{
    struct pin_info pin = {0};
    int rc = db_verify(statement, "snapshot_root", 0, 8, err);

    if (rc == HF_OK)
        rc = db_column_bytes(statement, 3, pin.root.bytes, OBJECT_ID_SIZE, false, err);
    if (rc != HF_OK)
        return rc;
    pin.sid = db_column_uint(statement, 1);
    pin.version = db_column_uint(statement, 2);
    pin.time = db_column_int(statement, 4);
    pin.bytes = db_column_uint(statement, 5);
    pin.files = db_column_uint(statement, 6);
    pin.session_name = db_column_text(statement, 7);
    *ret_pin = pin;
    return HF_OK;
}

int pin_row_insert(struct db *db, uint64_t snapshot, const struct pin_info *pin,
                   struct hf_error *err)
{
    return db_run_summed(db, QUERY_SNAPSHOT_ROOT_INSERT, "snapshot_root",
                         DB_VALUES(db_uint(snapshot), db_uint(pin->sid), db_uint(pin->version),
                                   db_blob(pin->root.bytes, OBJECT_ID_SIZE), db_int(pin->time),
                                   db_uint(pin->bytes), db_uint(pin->files),
                                   db_text(pin->session_name)),
                         err);
}

static int pin(struct snapshot_write *snapshot, struct db *db, const struct session_row *row,
               struct hf_error *err)
{
    struct pin_info pin = {
        .sid = row->sid,
        .session_name = row->name,
        .version = row->version,
        .root = row->root,
        .time = row->time,
        .bytes = row->bytes,
        .files = row->files,
    };

    snapshot->pins++;
    snapshot->sessions += row->sid != SHARED_SID;
    return pin_row_insert(db, snapshot->id, &pin, err);
}

static int pin_all(struct snapshot_write *snapshot, struct db *db, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct session_row row;
    int rc = db_start(db, QUERY_SESSION_ALL, DB_NO_VALUES, &statement, err);

    while (rc == HF_OK && (rc = db_next(db, statement, err)) == 1) {
        rc = session_row_read(statement, &row, err);
        if (rc == HF_OK && wanted(snapshot, &row))
            rc = pin(snapshot, db, &row, err);
    }
    return rc;
}

/* The id of the snapshot with this name: 1, 0 when there is none, or a failure. */
static int find_snapshot(struct db *db, const char *name, uint64_t *ret_id, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, QUERY_SNAPSHOT_FIND, DB_VALUES(db_text(name)), &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc != 1)
        return rc;
    rc = db_verify(statement, "snapshot", 0, 5, err);
    if (rc != HF_OK)
        return rc;
    *ret_id = db_column_uint(statement, 0);
    return 1;
}

static int insert_snapshot(const struct snapshot_write *snapshot, struct db *db, int64_t time,
                           struct hf_error *err)
{
    return db_run_summed(db, QUERY_SNAPSHOT_INSERT, "snapshot",
                         DB_VALUES(db_uint(snapshot->id), db_text(snapshot->name), db_int(time),
                                   db_uint(snapshot->sessions), db_uint(snapshot->pins)),
                         err);
}

static int run_create(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct snapshot_write *snapshot = (struct snapshot_write *)write;
    struct db *db = transaction->db;
    int rc = find_snapshot(db, snapshot->name, &snapshot->id, err);

    if (rc == 1)
        return hf_fail(err, HF_EXIST, "there is a snapshot %s already", snapshot->name);
    snapshot->sessions = snapshot->pins = 0;
    if (rc == HF_OK)
        rc = query_number(db, QUERY_SNAPSHOT_LAST, &snapshot->id, err);
    snapshot->id++;
    if (rc == HF_OK)
        rc = pin_all(snapshot, db, err);
    if (rc == HF_OK && snapshot->n > 0 && snapshot->pins == 0)
        return hf_fail(err, HF_NOENT, "no session matches");
    return rc == HF_OK ? insert_snapshot(snapshot, db, transaction->now, err) : rc;
}

int sqlite_snapshot_create(struct store *base, const char *name, const char *const *globs, size_t n,
                           struct hf_error *err)
{
    struct snapshot_write snapshot = {
        .write = {.run = run_create}, .name = name, .globs = globs, .n = n};

    return writer_do(&sqlite_store_of(base)->writer, &snapshot.write, err);
}

int sqlite_snapshot_list(struct store *base, snapshot_visit_fn visit, void *arg,
                         struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    sqlite3_stmt *statement = NULL;
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = db_start(reader, QUERY_SNAPSHOT_ALL, DB_NO_VALUES, &statement, err);
    while (rc == HF_OK && (rc = db_next(reader, statement, err)) == 1) {
        rc = db_verify(statement, "snapshot", 0, 5, err);
        if (rc == HF_OK)
            rc = visit(&(struct snapshot_info){.name = db_column_text(statement, 1),
                                               .time = db_column_int(statement, 2),
                                               .sessions = db_column_uint(statement, 3)},
                       arg);
    }
    db_done(statement);
    readers_give(&store->readers, reader);
    return rc;
}

/* --- what one pins -------------------------------------------------------------------------------- */

static int visit_pins(struct db *reader, const char *name, pin_visit_fn visit, void *arg,
                      struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct pin_info pin = {0};
    uint64_t id = 0;
    int rc = find_snapshot(reader, name, &id, err);

    if (rc == 0)
        return hf_fail(err, HF_NOENT, "there is no snapshot %s", name);
    if (rc == 1)
        rc = db_start(reader, QUERY_SNAPSHOT_ROOTS, DB_VALUES(db_uint(id)), &statement, err);
    while (rc == HF_OK && (rc = db_next(reader, statement, err)) == 1) {
        rc = pin_row_read(statement, &pin, err);
        if (rc == HF_OK)
            rc = visit(&pin, arg);
    }
    return rc;
}

int sqlite_snapshot_pins(struct store *base, const char *name, pin_visit_fn visit, void *arg,
                         struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = db_run(reader, QUERY_BEGIN_READ, DB_NO_VALUES, err);
    if (rc == HF_OK)
        rc = visit_pins(reader, name, visit, arg, err);
    db_end(reader);
    readers_give(&store->readers, reader);
    return rc;
}

/* --- deleting ------------------------------------------------------------------------------------- */

static int run_delete(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct snapshot_write *snapshot = (struct snapshot_write *)write;
    int rc = find_snapshot(transaction->db, snapshot->name, &snapshot->id, err);

    if (rc == 0)
        return hf_fail(err, HF_NOENT, "there is no snapshot %s", snapshot->name);
    if (rc == 1)
        rc = db_run(transaction->db, QUERY_SNAPSHOT_ROOTS_DELETE, DB_VALUES(db_uint(snapshot->id)),
                    err);
    if (rc == HF_OK)
        rc = db_run(transaction->db, QUERY_SNAPSHOT_DELETE, DB_VALUES(db_uint(snapshot->id)), err);
    return rc;
}

int sqlite_snapshot_delete(struct store *base, const char *name, struct hf_error *err)
{
    struct snapshot_write snapshot = {.write = {.run = run_delete}, .name = name};

    return writer_do(&sqlite_store_of(base)->writer, &snapshot.write, err);
}

/* --- copies --------------------------------------------------------------------------------------- */

struct receive_write {
    struct write write;
    const struct snapshot_copy *copy;
};

/* Whether the snapshot that is here pins what the copy does: 1, 0, or a failure. */
static int pins_same(struct db *db, uint64_t id, const struct snapshot_copy *copy,
                     struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct pin_info pin;
    size_t n = 0;
    int rc = db_start(db, QUERY_SNAPSHOT_ROOTS, DB_VALUES(db_uint(id)), &statement, err);

    while (rc == HF_OK && (rc = db_next(db, statement, err)) == 1) {
        const struct pin_info *theirs = &copy->pins[n];

        rc = pin_row_read(statement, &pin, err);
        if (rc == HF_OK &&
            (n++ == copy->npins || pin.sid != theirs->sid || pin.version != theirs->version ||
             !object_id_equal(&pin.root, &theirs->root)))
            return 0;
    }
    return rc == HF_OK ? n == copy->npins : rc;
}

static int insert_copy(struct snapshot_write *snapshot, struct transaction *transaction,
                       const struct snapshot_copy *copy, struct hf_error *err)
{
    int rc = query_number(transaction->db, QUERY_SNAPSHOT_LAST, &snapshot->id, err);

    snapshot->id++;
    for (size_t i = 0; i < copy->npins && rc == HF_OK; i++) {
        rc = incoming_check_root(transaction, &copy->pins[i].root, err);
        if (rc == HF_OK)
            rc = pin_row_insert(transaction->db, snapshot->id, &copy->pins[i], err);
        snapshot->sessions += copy->pins[i].sid != SHARED_SID;
    }
    snapshot->pins = copy->npins;
    if (rc == HF_OK && copy->npins > 0)
        rc = copy_use_number(transaction, copy->pins[copy->npins - 1].sid, err);
    return rc == HF_OK ? insert_snapshot(snapshot, transaction->db, copy->time, err) : rc;
}

static int run_receive(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    const struct snapshot_copy *copy = ((struct receive_write *)write)->copy;
    struct snapshot_write snapshot = {.name = copy->name};
    int rc = copy_admit(transaction, copy->origin, err);

    if (rc == HF_OK)
        rc = find_snapshot(transaction->db, copy->name, &snapshot.id, err);
    if (rc == 0)
        return insert_copy(&snapshot, transaction, copy, err);
    if (rc == 1)
        rc = pins_same(transaction->db, snapshot.id, copy, err);
    if (rc == 0)
        return hf_fail(err, HF_CONFLICT, "the snapshot %s pins something else here", copy->name);
    return rc == 1 ? HF_OK : rc;
}

int sqlite_snapshot_receive(struct store *base, const struct snapshot_copy *copy,
                            struct hf_error *err)
{
    struct receive_write receive = {.write = {.run = run_receive}, .copy = copy};

    return writer_do(&sqlite_store_of(base)->writer, &receive.write, err);
}
