/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/sqlite/leases.h"

/* So many dead hosts are buried in one transaction. */
#define BURIED_AT_ONCE 64

static int tell_hosts_changed(struct transaction *transaction, uint64_t origin,
                              struct hf_error *err)
{
    struct store_event event = {.kind = EVENT_HOSTS_CHANGED};

    return event_row_insert(transaction, &event, origin, 0, err);
}

/* Drops the locks of a host session in the shared tree, and tells those who may wait for them. */
static int clear_locks(struct transaction *transaction, uint64_t host, struct hf_error *err)
{
    struct store_event event = {.kind = EVENT_LOCKS_CHANGED};
    int rc = db_run(transaction->db, QUERY_LOCK_CLEAR_HOST, DB_VALUES(db_uint(host)), err);

    if (rc == HF_OK && sqlite3_changes(transaction->db->handle) > 0)
        rc = event_row_insert(transaction, &event, host, 0, err);
    return rc;
}

/* --- the dead ------------------------------------------------------------------------------------- */

/* Gathers the hosts whose rows say that they live and whose locks say that they do not. */
static int find_dead(struct sqlite_store *store, struct db *db, struct host_row *dead, size_t max,
                     size_t *ret_n, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    size_t n = 0;
    int rc = db_start(db, QUERY_HOST_ALIVE, DB_NO_VALUES, &statement, err);

    while (rc == HF_OK && n < max && (rc = db_next(db, statement, err)) == 1) {
        if (host_is_alive(store, db_column_uint(statement, 0))) {
            rc = HF_OK;
            continue;
        }
        rc = host_row_read(statement, &dead[n++], err);
    }
    if (rc < 0)
        return rc;
    *ret_n = n;
    return HF_OK;
}

/* Their leases stay in their names: whoever asks for one takes it over, on the record. */
static int bury(struct transaction *transaction, struct host_row *dead, size_t n,
                struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t i = 0; i < n && rc == HF_OK; i++) {
        dead[i].identity.host_name = dead[i].name;
        dead[i].alive = false;
        rc = host_row_update(transaction->db, &dead[i], err);
        if (rc == HF_OK)
            rc = clear_locks(transaction, dead[i].host, err);
    }
    if (n > 0)
        writer_forget(transaction->writer);
    return rc;
}

struct bury_write {
    struct write write;
    struct sqlite_store *store;
    struct host_row *dead;
    size_t n;
};

static int run_bury(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct bury_write *burial = (struct bury_write *)write;
    int rc =
        find_dead(burial->store, transaction->db, burial->dead, BURIED_AT_ONCE, &burial->n, err);

    if (rc == HF_OK)
        rc = bury(transaction, burial->dead, burial->n, err);
    if (rc == HF_OK && burial->n > 0)
        rc = tell_hosts_changed(transaction, atomic_load(&transaction->writer->own_host), err);
    return rc;
}

/* Whether there is anybody to bury. */
static bool any_dead(struct sqlite_store *store)
{
    struct host_row *one = malloc(sizeof *one);
    struct db *reader;
    size_t n = 0;

    if (one && readers_take(&store->readers, &reader, NULL) == HF_OK) {
        find_dead(store, reader, one, 1, &n, NULL);
        readers_give(&store->readers, reader);
    }
    free(one);
    return n > 0;
}

int sqlite_hosts_bury(struct sqlite_store *store)
{
    struct bury_write burial = {.write = {.run = run_bury}, .store = store};
    int rc;

    if (!any_dead(store))
        return 0;
    burial.dead = calloc(BURIED_AT_ONCE, sizeof *burial.dead);
    rc = burial.dead ? writer_do(&store->writer, &burial.write, NULL) : HF_NOMEM;
    free(burial.dead);
    return rc == HF_OK ? (int)burial.n : rc;
}

/* --- registering ---------------------------------------------------------------------------------- */

struct register_write {
    struct write write;
    struct sqlite_store *store;
    const struct host_identity *identity;
    uint64_t host; /* whose lock is held; 0: none yet */
    uint64_t cursor;
};

static void disclaim(struct register_write *change)
{
    if (change->host != 0)
        bell_disclaim(&change->store->bell, change->host);
    change->host = 0;
}

/* Gives the next number. Its lock is held before anyone can see its row. */
static int claim_number(struct register_write *change, struct transaction *transaction,
                        struct hf_error *err)
{
    struct store_row store;
    int rc = store_row_load(transaction->db, &store, err);

    disclaim(change);
    if (rc == HF_OK)
        rc = bell_claim(&change->store->bell, store.next_host, err);
    if (rc != HF_OK)
        return rc;
    change->host = store.next_host++;
    return store_row_write(transaction->db, &store, err);
}

static int run_register(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct register_write *change = (struct register_write *)write;
    struct host_row *row = calloc(1, sizeof *row);
    int rc = row ? claim_number(change, transaction, err) : hf_fail(err, HF_NOMEM, "out of memory");

    if (rc == HF_OK) {
        row->host = change->host;
        row->identity = *change->identity;
        row->alive = true;
        row->registered = transaction->now;
        rc = host_row_insert(transaction->db, row, err);
    }
    if (rc == HF_OK)
        rc = query_number(transaction->db, QUERY_EVENT_LAST, &change->cursor, err);
    if (rc == HF_OK) /* itself too: it hears how many others there are */
        rc = tell_hosts_changed(transaction, 0, err);
    writer_forget(transaction->writer);
    free(row);
    return rc;
}

static int start(struct sqlite_store *store, const struct store_listener *listener,
                 const struct register_write *change, struct hf_error *err)
{
    int rc = bell_watch(&store->bell, err);

    if (rc == HF_OK)
        rc = events_start(&store->events, store, change->host, listener, change->cursor, err);
    return rc;
}

int sqlite_host_register(struct store *base, const struct host_identity *identity,
                         const struct store_listener *listener, uint64_t *ret_host,
                         struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct register_write change = {
        .write = {.run = run_register}, .store = store, .identity = identity};
    int rc;

    if (atomic_load(&store->writer.own_host) != 0)
        return hf_fail(err, HF_INVAL, "this handle of the store has a host session already");
    sqlite_hosts_bury(store);
    rc = writer_do(&store->writer, &change.write, err);
    if (rc != HF_OK) {
        disclaim(&change);
        return rc;
    }
    atomic_store(&store->writer.own_host, change.host);
    rc = start(store, listener, &change, err);
    if (rc != HF_OK)
        return rc;
    *ret_host = change.host;
    return HF_OK;
}

int sqlite_host_heartbeat(struct store *base, uint64_t host, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct host_row row = {0};
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = host_row_load(reader, host, &row, err);
    readers_give(&store->readers, reader);
    if (rc == HF_NOENT || (rc == HF_OK && !(row.alive && host_is_alive(store, host))))
        rc = hf_fail(err, HF_FENCED, "host session %llu is not alive", (unsigned long long)host);
    return rc;
}

int sqlite_host_list(struct store *base, host_visit_fn visit, void *arg, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct host_row row = {0};
    struct host_info info;
    sqlite3_stmt *statement = NULL;
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = db_start(reader, QUERY_HOST_ALL, DB_NO_VALUES, &statement, err);
    while (rc == HF_OK && (rc = db_next(reader, statement, err)) == 1) {
        rc = host_row_read(statement, &row, err);
        if (rc != HF_OK)
            break;
        info = (struct host_info){row.host, row.identity,
                                  row.alive && host_is_alive(store, row.host), row.registered, 0};
        rc = visit(&info, arg);
    }
    db_done(statement);
    readers_give(&store->readers, reader);
    return rc;
}

/* --- dissolving ----------------------------------------------------------------------------------- */

struct dissolve_write {
    struct write write;
    uint64_t host;
};

/* Frees one lease of the host; 1 while there may be more. */
static int free_lease(struct transaction *transaction, uint64_t host, struct hf_error *err)
{
    struct lease_request gone = {.verb = LEASE_HOLDER_GONE};
    sqlite3_stmt *statement = NULL;
    struct session_row row;
    struct lease_step step;
    int rc =
        db_start(transaction->db, QUERY_SESSION_HELD_BY, DB_VALUES(db_uint(host)), &statement, err);
    int found = 0;

    if (rc == HF_OK)
        found = rc = db_next(transaction->db, statement, err);
    if (rc == 1)
        rc = session_row_read(statement, &row, err);
    db_done(statement);
    if (rc == HF_OK && found == 1)
        rc = lease_decide(transaction, &row, &gone, "the holder closed the store", &step, err);
    if (rc == HF_OK && found == 1)
        rc = session_row_lease(transaction->db, &row, err);
    return rc < 0 ? rc : found;
}

static int run_dissolve(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct dissolve_write *change = (struct dissolve_write *)write;
    struct host_row *row = calloc(1, sizeof *row);
    int rc = row ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");

    while (rc == HF_OK && (rc = free_lease(transaction, change->host, err)) == 1)
        rc = HF_OK;
    if (rc == HF_OK)
        rc = clear_locks(transaction, change->host, err);
    if (rc == HF_OK)
        rc = host_row_load(transaction->db, change->host, row, err);
    if (rc == HF_OK) {
        row->alive = false;
        rc = host_row_update(transaction->db, row, err);
    }
    if (rc == HF_OK)
        rc = tell_hosts_changed(transaction, change->host, err);
    writer_forget(transaction->writer);
    free(row);
    return rc;
}

void sqlite_host_dissolve(struct sqlite_store *store)
{
    struct dissolve_write change = {.write = {.run = run_dissolve},
                                    .host = atomic_load(&store->writer.own_host)};

    bell_stop(&store->bell);
    events_stop(&store->events);
    if (change.host == 0)
        return;
    /* When it fails, the host is found dead by its lock, which ends now in any case. */
    writer_do(&store->writer, &change.write, NULL);
    atomic_store(&store->writer.own_host, 0);
    bell_disclaim(&store->bell, change.host);
}
