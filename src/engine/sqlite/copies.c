/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/copies.h"

#include <stdlib.h>
#include <string.h>
#include <uuid/uuid.h>

#include "engine/sqlite/hosts.h"
#include "engine/sqlite/incoming.h"
#include "engine/sqlite/leases.h"
#include "engine/sqlite/settings.h"

/* --- where from ----------------------------------------------------------------------------------- */

/* A store that holds nothing yet may become a copy. */
static int begin_copy(struct transaction *transaction, const char *origin, struct hf_error *err)
{
    struct session_row shared;
    struct store_row store;
    int rc = store_row_load(transaction->db, &store, err);

    if (rc == HF_OK)
        rc = session_row_load(transaction->db, SHARED_SID, &shared, err);
    if (rc != HF_OK)
        return rc;
    if (store.next_sid > 1 || shared.version > 0)
        return hf_fail(err, HF_CONFLICT,
                       "the store has sessions of its own; copies go into one that has none");
    return setting_write(transaction->db, SETTING_ORIGIN, slice_of(origin, UUID_STR_LEN - 1), err);
}

int copy_admit(struct transaction *transaction, const uint8_t origin[UUID_SIZE],
               struct hf_error *err)
{
    char text[UUID_STR_LEN];
    BUF_AUTO known = {0};
    int rc = setting_load(transaction->db, SETTING_ORIGIN, &known, err);

    uuid_unparse_lower(origin, text);
    if (rc == HF_NOENT)
        return begin_copy(transaction, text, err);
    if (rc == HF_OK &&
        (known.len != UUID_STR_LEN - 1 || memcmp(known.data, text, UUID_STR_LEN - 1) != 0))
        rc = hf_fail(err, HF_CONFLICT, "the sessions here are copies of the store %.*s, not of %s",
                     (int)known.len, (const char *)known.data, text);
    return rc;
}

/* --- what they were called there ------------------------------------------------------------------ */

static int find_host(struct db *db, const uint8_t origin[UUID_SIZE], uint64_t host,
                     const char *name, uint64_t *ret_host, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, QUERY_HOST_OF_COPY,
                      DB_VALUES(db_uint(host), db_blob(origin, UUID_SIZE), db_text(name)),
                      &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc == 1)
        *ret_host = db_column_uint(statement, 0);
    return rc;
}

static int add_host(struct transaction *transaction, const uint8_t origin[UUID_SIZE], uint64_t host,
                    const char *name, uint64_t *ret_host, struct hf_error *err)
{
    struct host_row *row = calloc(1, sizeof *row);
    struct store_row store;
    int rc = row ? store_row_load(transaction->db, &store, err)
                 : hf_fail(err, HF_NOMEM, "out of memory");

    if (rc == HF_OK) {
        row->host = store.next_host++;
        row->identity = (struct host_identity){.incarnation = host, .host_name = name};
        memcpy(row->identity.mount_id, origin, UUID_SIZE);
        row->registered = transaction->now;
        rc = store_row_write(transaction->db, &store, err);
    }
    if (rc == HF_OK)
        rc = host_row_insert(transaction->db, row, err);
    if (rc == HF_OK)
        *ret_host = row->host;
    free(row);
    return rc;
}

int copy_host(struct transaction *transaction, const uint8_t origin[UUID_SIZE], uint64_t host,
              const char *name, uint64_t *ret_host, struct hf_error *err)
{
    int rc;

    if (host == 0 || !name) {
        *ret_host = 0;
        return HF_OK;
    }
    rc = find_host(transaction->db, origin, host, name, ret_host, err);
    if (rc == 0)
        return add_host(transaction, origin, host, name, ret_host, err);
    return rc == 1 ? HF_OK : rc;
}

int copy_use_number(struct transaction *transaction, uint64_t sid, struct hf_error *err)
{
    struct store_row store;
    int rc = store_row_load(transaction->db, &store, err);

    if (rc != HF_OK || sid < store.next_sid)
        return rc;
    store.next_sid = sid + 1;
    return store_row_write(transaction->db, &store, err);
}

/* --- sessions ------------------------------------------------------------------------------------- */

struct receive_write {
    struct write write;
    const struct session_copy *copy;
    bool is_new; /* it has no row yet */
    uint64_t added;
    uint64_t there, here; /* a host of theirs, and which one that is here */
};

/* A session that changes under its holder would be lost to it. One that is dead holds nothing. */
static int take_from_dead(struct transaction *transaction, struct session_row *row,
                          struct hf_error *err)
{
    struct lease_request request = {.verb = LEASE_BREAK, .token = row->lease.token};
    struct lease_step step;
    int rc = HF_OK;

    if (row->lease.state != LEASE_FREE &&
        !host_is_alive(sqlite_store_at(transaction), transaction->db, row->lease.host))
        rc = lease_decide(transaction, row, &request, "a copy of the session was received", &step,
                          err);
    if (rc == HF_OK && row->lease.state != LEASE_FREE)
        rc = hf_fail(err, HF_BUSY, "session %s is leased here, and cannot be replaced by a copy",
                     row->name);
    return rc;
}

static int find_version(struct db *db, uint64_t sid, uint64_t version, struct object_id *ret_root,
                        struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct history_entry found;
    int rc = db_start(db, QUERY_HISTORY_READ, DB_VALUES(db_uint(sid), db_uint(version), db_int(1)),
                      &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc != 1)
        return rc;
    rc = history_row_read(statement, &found, err);
    if (rc != HF_OK)
        return rc;
    *ret_root = found.root;
    return found.version == version;
}

static int add_version(struct receive_write *receive, struct transaction *transaction,
                       const struct history_entry *entry, struct hf_error *err)
{
    struct history_entry here = *entry;
    int rc = incoming_check_root(transaction, &entry->root, err);

    if (rc == HF_OK && entry->host != receive->there) {
        rc = copy_host(transaction, receive->copy->origin, entry->host, entry->host_name,
                       &receive->here, err);
        receive->there = entry->host;
    }
    here.sid = receive->copy->sid;
    here.host = receive->here;
    if (rc == HF_OK)
        rc = history_entry_insert(transaction->db, &here, err);
    receive->added += rc == HF_OK;
    return rc;
}

static int take_version(struct receive_write *receive, struct transaction *transaction,
                        const struct history_entry *entry, struct hf_error *err)
{
    struct object_id root;
    int rc = receive->is_new
                 ? 0
                 : find_version(transaction->db, receive->copy->sid, entry->version, &root, err);

    if (rc == 0)
        return add_version(receive, transaction, entry, err);
    if (rc == 1 && !object_id_equal(&root, &entry->root))
        return hf_fail(err, HF_CONFLICT, "version %llu of session %s is another one here",
                       (unsigned long long)entry->version, receive->copy->name);
    return rc == 1 ? HF_OK : rc;
}

static int tell_changed(struct transaction *transaction, enum event_kind kind,
                        const struct session_row *row, struct hf_error *err)
{
    struct store_event event = {.kind = kind, .sid = row->sid};

    if (kind == EVENT_HEAD_MOVED)
        event.version = row->version;
    return event_row_insert(transaction, &event, 0, 0, err);
}

/* Whoever has the name here has lost it there, and says so when it is received itself. */
static int clear_name(struct transaction *transaction, const struct session_copy *copy,
                      struct hf_error *err)
{
    struct session_row other;
    int rc;

    if (copy->sid == SHARED_SID || copy->state != SESSION_LIVE)
        return HF_OK;
    rc = session_row_find(transaction->db, copy->name, &other, err);
    if (rc == HF_NOENT || (rc == HF_OK && other.sid == copy->sid))
        return HF_OK;
    if (rc == HF_OK)
        rc = take_from_dead(transaction, &other, err);
    if (rc != HF_OK)
        return rc;
    other.state = SESSION_TRASHED;
    other.trashed = transaction->now;
    rc = session_row_update(transaction->db, &other, err);
    return rc == HF_OK ? tell_changed(transaction, EVENT_SESSIONS_CHANGED, &other, err) : rc;
}

/* Makes the copy's last version, and what is said of the session there, the head of `row`. */
static int take_head(struct transaction *transaction, const struct session_copy *copy,
                     struct session_row *row, struct hf_error *err)
{
    const struct history_entry *head = &copy->versions[copy->nversions - 1];
    int rc = clear_name(transaction, copy, err);

    memcpy(row->name, copy->name, strlen(copy->name) + 1);
    row->state = (int)copy->state;
    row->created = copy->created;
    row->trashed = copy->state == SESSION_TRASHED ? copy->trashed : 0;
    row->version = head->version;
    row->has_root = true;
    row->root = head->root;
    row->time = head->time;
    row->bytes = head->bytes;
    row->files = head->files;
    return rc == HF_OK ? session_meta_write(transaction->db, row->sid, &copy->meta, err) : rc;
}

static int add_session(struct transaction *transaction, const struct session_row *row,
                       struct hf_error *err)
{
    struct store_row store;
    int rc = store_row_load(transaction->db, &store, err);

    if (rc != HF_OK)
        return rc;
    store.sessions++;
    if (row->sid >= store.next_sid)
        store.next_sid = row->sid + 1;
    rc = store_row_write(transaction->db, &store, err);
    return rc == HF_OK ? session_row_insert(transaction->db, row, err) : rc;
}

/* What is here of the session, if anything. */
static int load_old(struct receive_write *receive, struct transaction *transaction,
                    struct session_row *ret_row, struct hf_error *err)
{
    int rc = session_row_load_any(transaction->db, receive->copy->sid, ret_row, err);

    receive->is_new = rc == HF_NOENT;
    receive->added = receive->there = receive->here = 0;
    if (rc == HF_NOENT) {
        *ret_row = (struct session_row){.sid = receive->copy->sid};
        return HF_OK;
    }
    return rc == HF_OK ? take_from_dead(transaction, ret_row, err) : rc;
}

static int write_session(struct receive_write *receive, struct transaction *transaction,
                         struct session_row *row, struct hf_error *err)
{
    const struct session_copy *copy = receive->copy;
    uint64_t old = row->version;
    int rc = HF_OK;

    if (copy->versions[copy->nversions - 1].version >= old)
        rc = take_head(transaction, copy, row, err);
    row->versions += receive->added;
    if (copy->token > row->lease.token)
        row->lease.token = copy->token;
    if (rc == HF_OK)
        rc = receive->is_new ? add_session(transaction, row, err)
                             : session_row_replace(transaction->db, row, err);
    if (rc == HF_OK)
        rc = tell_changed(transaction, EVENT_SESSIONS_CHANGED, row, err);
    if (rc == HF_OK && row->version != old)
        rc = tell_changed(transaction, EVENT_HEAD_MOVED, row, err);
    return rc;
}

static int run_receive(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct receive_write *receive = (struct receive_write *)write;
    const struct session_copy *copy = receive->copy;
    struct session_row row;
    int rc = copy_admit(transaction, copy->origin, err);

    if (rc == HF_OK)
        rc = load_old(receive, transaction, &row, err);
    for (size_t i = 0; i < copy->nversions && rc == HF_OK; i++)
        rc = take_version(receive, transaction, &copy->versions[i], err);
    return rc == HF_OK ? write_session(receive, transaction, &row, err) : rc;
}

int sqlite_session_receive(struct store *base, const struct session_copy *copy,
                           struct hf_error *err)
{
    struct receive_write receive = {.write = {.run = run_receive}, .copy = copy};

    return writer_do(&sqlite_store_of(base)->writer, &receive.write, err);
}
