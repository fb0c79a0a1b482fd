/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/commits.h"

#include "engine/sqlite/hosts.h"
#include "engine/sqlite/leases.h"
#include "engine/sqlite/limit.h"

int commit_advance(struct transaction *transaction, struct session_row *row, uint64_t host,
                   uint64_t token, const struct commit *commit, struct incoming *incoming,
                   bool new_session, struct hf_error *err)
{
    static const struct session_meta unknown;
    int rc = limit_commit(transaction, row, commit, incoming, err);

    if (rc == HF_OK)
        rc = incoming_insert(incoming, transaction, err);
    row->version++;
    row->versions++;
    row->has_root = true;
    row->root = commit->root;
    row->time = transaction->now;
    row->bytes = commit->meta.bytes;
    row->files = commit->meta.files;
    if (rc == HF_OK)
        rc = history_row_insert(transaction->db, row, host, token, err);
    if (rc == HF_OK && commit->meta_strings_valid)
        rc = session_meta_write(transaction->db, row->sid, &commit->meta, err);
    else if (rc == HF_OK && new_session)
        rc = session_meta_write(transaction->db, row->sid, &unknown, err);
    return rc;
}

/* --- committing ----------------------------------------------------------------------------------- */

struct commit_write {
    struct write write;
    uint64_t host;
    const struct commit *commit;
    struct incoming incoming;
    uint64_t version;
};

static int admit(struct commit_write *change, struct transaction *transaction,
                 const struct session_row *row, struct hf_error *err)
{
    const struct commit *commit = change->commit;
    /* Of a session the token alone decides. */
    int rc = commit->sid == SHARED_SID
                 ? host_admit(transaction, change->host, err)
                 : lease_admit(&change->write, transaction, row, change->host, commit->token, err);

    if (rc == HF_OK && commit->base_version != row->version)
        rc = hf_fail(err, HF_CONFLICT, "session %s is at version %llu, not %llu", row->name,
                     (unsigned long long)row->version, (unsigned long long)commit->base_version);
    return rc;
}

static int run_commit(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct commit_write *change = (struct commit_write *)write;
    struct store_event event = {.kind = EVENT_HEAD_MOVED, .sid = change->commit->sid};
    struct session_row row;
    int64_t old_time;
    int rc = session_row_load(transaction->db, change->commit->sid, &row, err);

    if (rc == HF_OK)
        rc = admit(change, transaction, &row, err);
    if (rc == HF_OK)
        rc = incoming_check(&change->incoming, transaction, err);
    if (rc != HF_OK)
        return rc;
    old_time = row.time;
    rc = commit_advance(transaction, &row, change->host, change->commit->token, change->commit,
                        &change->incoming, false, err);
    if (rc == HF_OK)
        rc = session_row_move(transaction->db, &row, old_time, err);
    event.version = change->version = row.version;
    if (rc == HF_OK)
        rc = event_row_insert(transaction, &event, change->host, 0, err);
    return rc;
}

/* Prepares what `commit` brings, and has it written. */
static int write_commit(struct sqlite_store *store, struct write *write, struct incoming *incoming,
                        const struct commit *commit, struct hf_error *err)
{
    int rc =
        incoming_prepare(incoming, store, commit->objects, commit->nobjects, &commit->root, err);

    if (rc == HF_OK)
        rc = writer_do(&store->writer, write, err);
    if (rc == HF_OK)
        incoming_remember(incoming, store);
    incoming_free(incoming);
    return rc;
}

int sqlite_commit(struct store *base, uint64_t host, const struct commit *commit,
                  uint64_t *ret_version, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct commit_write change = {
        .write = {.run = run_commit, .sync = commit->durability == DURABILITY_SYNC},
        .host = host,
        .commit = commit};
    int rc = write_commit(store, &change.write, &change.incoming, commit, err);

    if (rc == HF_OK)
        *ret_version = change.version;
    return rc;
}

int sqlite_sync(struct store *base, struct hf_error *err)
{
    return medium_sync_all(&sqlite_store_of(base)->medium, err);
}

/* --- creating ------------------------------------------------------------------------------------- */

struct create_write {
    struct write write;
    uint64_t host;
    const char *name;
    const struct commit *first;
    struct incoming incoming;
    struct session_row row;
};

static int check_create(struct create_write *create, struct transaction *transaction,
                        struct store_row *ret_store, struct hf_error *err)
{
    struct session_row other;
    int rc = host_admit(transaction, create->host, err);

    if (rc != HF_OK)
        return rc;
    rc = session_row_find(transaction->db, create->name, &other, NULL);
    if (rc == HF_OK)
        return hf_fail(err, HF_EXIST, "there is a session %s already", create->name);
    if (rc != HF_NOENT)
        return hf_fail(err, rc, "cannot look for session %s: %s", create->name, hf_status_text(rc));
    rc = store_row_load(transaction->db, ret_store, err);
    if (rc == HF_OK && ret_store->next_sid > SID_MAX)
        rc = hf_fail(err, HF_NOSPC, "the store has had as many sessions as it can number");
    return rc == HF_OK ? incoming_check(&create->incoming, transaction, err) : rc;
}

/* Counts one session more, and gives its number. */
static int take_number(struct transaction *transaction, struct store_row *store, uint64_t *ret_sid,
                       struct hf_error *err)
{
    *ret_sid = store->next_sid++;
    store->sessions++;
    return store_row_write(transaction->db, store, err);
}

static int run_create(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct create_write *create = (struct create_write *)write;
    struct session_row *row = &create->row;
    struct lease_request ask = {.verb = LEASE_ASK, .host = create->host, .now = transaction->now};
    struct store_event event = {.kind = EVENT_SESSIONS_CHANGED};
    struct lease_step step;
    struct store_row store;
    int rc = check_create(create, transaction, &store, err);

    if (rc != HF_OK)
        return rc;
    *row = (struct session_row){.state = SESSION_LIVE, .created = transaction->now};
    memcpy(row->name, create->name, strlen(create->name) + 1);
    rc = take_number(transaction, &store, &row->sid, err);
    if (rc == HF_OK)
        rc = commit_advance(transaction, row, create->host, create->host ? 1 : 0, create->first,
                            &create->incoming, true, err);
    if (rc == HF_OK && create->host != 0)
        rc = lease_decide(transaction, row, &ask, NULL, &step, err);
    if (rc == HF_OK)
        rc = session_row_insert(transaction->db, row, err);
    event.sid = row->sid;
    if (rc == HF_OK)
        rc = event_row_insert(transaction, &event, create->host, 0, err);
    return rc;
}

int sqlite_session_create(struct store *base, uint64_t host, const char *name,
                          const struct commit *first, struct lease *ret_lease, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct create_write create = {
        .write = {.run = run_create, .sync = first->durability == DURABILITY_SYNC},
        .host = host,
        .name = name,
        .first = first};
    int rc = write_commit(store, &create.write, &create.incoming, first, err);

    if (rc != HF_OK)
        return rc;
    *ret_lease = (struct lease){.sid = create.row.sid, .token = create.row.lease.token};
    session_row_head(&create.row, &ret_lease->head);
    return HF_OK;
}

/* --- rescues -------------------------------------------------------------------------------------- */

struct rescue_write {
    struct write write;
    uint64_t host;
    const struct commit *commit;
    const char *reason;
    struct incoming incoming;
    uint64_t id;
};

static int insert_rescue(struct rescue_write *rescue, struct transaction *transaction,
                         struct hf_error *err)
{
    const struct commit *commit = rescue->commit;
    struct rescue_info info = {
        .id = rescue->id,
        .sid = commit->sid,
        .version = commit->base_version,
        .root = commit->root,
        .time = transaction->now,
        .host = rescue->host,
        .token = commit->token,
        .bytes = commit->meta.bytes,
        .files = commit->meta.files,
        .reason = rescue->reason,
    };

    return rescue_row_insert(transaction->db, &info, err);
}

/* The same asked for again, when its answer was lost: 1 and it has its number, 0, or a failure. */
static int find_rescue(struct rescue_write *rescue, struct db *db, struct hf_error *err)
{
    const struct commit *commit = rescue->commit;
    DB_STATEMENT_AUTO *statement = NULL;
    struct rescue_info found = {0};
    int rc = db_start(db, QUERY_RESCUE_FIND,
                      DB_VALUES(db_uint(commit->sid), db_uint(rescue->host), db_uint(commit->token),
                                db_blob(commit->root.bytes, OBJECT_ID_SIZE)),
                      &statement, err);

    if (rc == HF_OK)
        rc = db_next(db, statement, err);
    if (rc != 1)
        return rc;
    rc = rescue_row_read(statement, &found, err);
    rescue->id = found.id;
    return rc == HF_OK ? 1 : rc;
}

/* Numbers are not used twice, whatever became of the rescue versions that had them. */
static int take_rescue_number(struct rescue_write *rescue, struct transaction *transaction,
                              struct hf_error *err)
{
    struct store_row store;
    int rc = store_row_load(transaction->db, &store, err);

    if (rc != HF_OK)
        return rc;
    rescue->id = store.next_rescue++;
    return store_row_write(transaction->db, &store, err);
}

static int run_rescue(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct rescue_write *rescue = (struct rescue_write *)write;
    const struct commit *commit = rescue->commit;
    struct session_row row;
    int rc = session_row_load(transaction->db, commit->sid, &row, err);

    if (rc == HF_OK)
        rc = find_rescue(rescue, transaction->db, err);
    if (rc != 0)
        return rc == 1 ? HF_OK : rc;
    rc = incoming_check(&rescue->incoming, transaction, err);
    if (rc == HF_OK)
        rc = take_rescue_number(rescue, transaction, err);
    if (rc == HF_OK)
        rc = incoming_insert(&rescue->incoming, transaction, err);
    if (rc == HF_OK)
        rc = audit_row_insert(transaction, AUDIT_RESCUE, commit->sid, rescue->host, commit->token,
                              rescue->reason, err);
    return rc == HF_OK ? insert_rescue(rescue, transaction, err) : rc;
}

int sqlite_rescue(struct store *base, uint64_t host, const struct commit *commit,
                  const char *reason, uint64_t *ret_rescue_id, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct rescue_write rescue = {
        .write = {.run = run_rescue, .sync = commit->durability == DURABILITY_SYNC},
        .host = host,
        .commit = commit,
        .reason = reason};
    int rc = write_commit(store, &rescue.write, &rescue.incoming, commit, err);

    if (rc == HF_OK)
        *ret_rescue_id = rescue.id;
    return rc;
}
