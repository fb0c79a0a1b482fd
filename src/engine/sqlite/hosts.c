/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/hosts.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/sqlite/leases.h"
#include "engine/sqlite/waiters.h"

/* So many dead hosts are buried in one transaction. */
#define BURIED_AT_ONCE 64

bool host_is_alive(struct sqlite_store *store, struct db *db, uint64_t host)
{
    struct host_row row;
    enum roster_view view;
    int rc;

    if (host == 0)
        return false;
    view = roster_look(&store->roster, host);
    if (view != ROSTER_FOREIGN)
        return view == ROSTER_ALIVE;
    if (bell_is_claimed(&store->bell, host))
        return true;
    rc = host_row_load(db, host, &row, NULL);
    if (rc != HF_OK)
        return rc != HF_NOENT; /* who cannot be asked about is taken for alive */
    return row.alive && row.identity.ttl_ms != 0 &&
           roster_grace(&store->roster, host, row.identity.ttl_ms, row.resumed);
}

static int fenced(uint64_t host, struct hf_error *err)
{
    return hf_fail(err, HF_FENCED, "host session %llu is not alive", (unsigned long long)host);
}

int host_admit(struct transaction *transaction, uint64_t host, struct hf_error *err)
{
    struct roster *roster = &sqlite_store_at(transaction)->roster;
    uint64_t epoch = transaction->writer->epoch;
    enum roster_view view;
    struct host_row row;
    int rc;

    if (host == 0)
        return HF_OK;
    view = roster_look(roster, host);
    if (view == ROSTER_DEAD)
        return fenced(host, err);
    if (view == ROSTER_ALIVE && roster_is_verified(roster, host, epoch))
        return HF_OK;
    rc = host_row_load(transaction->db, host, &row, err);
    if (rc != HF_OK && rc != HF_NOENT)
        return rc;
    if (rc == HF_NOENT || !row.alive)
        return fenced(host, err);
    roster_verify(roster, host, epoch);
    return HF_OK;
}

/* --- going ---------------------------------------------------------------------------------------- */

int host_tell_changed(struct transaction *transaction, uint64_t origin, struct hf_error *err)
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
        rc = event_row_insert(transaction, &event, 0, 0, err);
    return rc;
}

static int leave_leases(struct transaction *transaction, uint64_t host, enum lease_verb verb,
                        const char *why, struct hf_error *err)
{
    struct lease_request request = {.verb = verb, .now = transaction->now};
    struct session_row row;
    struct lease_step step;
    uint64_t sid = 0;
    int rc;

    while ((rc = session_row_held(transaction->db, host, &sid, &row, err)) == 1) {
        if (verb == LEASE_HOLDER_DEAD)
            rc = audit_row_insert(transaction, AUDIT_RENEWAL_FAILED, sid, host, row.lease.token,
                                  why, err);
        if (rc >= 0)
            rc = lease_decide(transaction, &row, &request, why, &step, err);
        if (rc == HF_OK && step.changed)
            rc = session_row_lease(transaction->db, &row, err);
        if (rc != HF_OK)
            return rc;
    }
    return rc;
}

int host_leave(struct transaction *transaction, struct host_row *row, enum lease_verb verb,
               const char *why, struct hf_error *err)
{
    int rc;

    row->alive = false;
    writer_forget(transaction->writer);
    rc = host_row_update(transaction->db, row, err);
    if (rc == HF_OK)
        rc = waiters_clear_host(transaction->db, row->host, err);
    if (rc == HF_OK)
        rc = leave_leases(transaction, row->host, verb, why, err);
    return rc == HF_OK ? clear_locks(transaction, row->host, err) : rc;
}

int host_tell_lost(struct transaction *transaction, uint64_t host, uint64_t moved,
                   struct hf_error *err)
{
    struct store_event event = {.kind = EVENT_HOST_LOST, .version = moved};

    return event_row_insert(transaction, &event, 0, host, err);
}

/* --- the dead ------------------------------------------------------------------------------------- */

/* Gathers the hosts whose rows say that they live and who do not. */
static int find_dead(struct sqlite_store *store, struct db *db, struct host_row *dead, size_t max,
                     size_t *ret_n, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    size_t n = 0;
    int rc = db_start(db, QUERY_HOST_ALIVE, DB_NO_VALUES, &statement, err);

    while (rc == HF_OK && n < max && (rc = db_next(db, statement, err)) == 1) {
        if (host_is_alive(store, db, db_column_uint(statement, 0))) {
            rc = HF_OK;
            continue;
        }
        rc = host_row_read(statement, &dead[n], err);
        n += rc == HF_OK;
        if (rc == HF_CORRUPT) /* a check says so; the others are not to live on for it */
            rc = HF_OK;
    }
    if (rc < 0)
        return rc;
    *ret_n = n;
    return HF_OK;
}

static void fix_strings(struct host_row *row)
{
    struct host_identity *identity = &row->identity;

    identity->host_name = row->name;
    identity->mount_point = identity->mount_point ? row->mount_point : NULL;
    identity->principal = identity->principal ? row->principal : NULL;
}

int host_bury(struct transaction *transaction, struct host_row *row, struct hf_error *err)
{
    uint32_t ttl_ms = row->identity.ttl_ms;
    char why[80];
    int rc;

    fix_strings(row); /* it may have been moved since it was read */
    snprintf(why, sizeof why, "nothing was heard of it for its time (%u.%03u s)", ttl_ms / 1000,
             ttl_ms % 1000);
    if (ttl_ms == 0)
        snprintf(why, sizeof why, "its process ended without a word");
    rc = host_leave(transaction, row, LEASE_HOLDER_DEAD, why, err);
    if (rc == HF_OK && roster_look(&sqlite_store_at(transaction)->roster, row->host) == ROSTER_DEAD)
        rc = host_tell_lost(transaction, row->host, 0, err);
    return rc;
}

int host_find_dead(struct transaction *transaction, uint64_t host, struct hf_error *err)
{
    struct host_row row;
    int rc = host_row_load(transaction->db, host, &row, err);

    if (rc != HF_OK || !row.alive)
        return rc == HF_NOENT ? HF_OK : rc;
    rc = host_bury(transaction, &row, err);
    return rc == HF_OK ? host_tell_changed(transaction, 0, err) : rc;
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

    for (size_t i = 0; i < burial->n && rc == HF_OK; i++)
        rc = host_bury(transaction, &burial->dead[i], err);
    if (rc == HF_OK && burial->n > 0)
        rc = host_tell_changed(transaction, 0, err);
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

void sqlite_hosts_meet(struct sqlite_store *store)
{
    sqlite3_stmt *statement = NULL;
    struct db *reader;

    if (readers_take(&store->readers, &reader, NULL) != HF_OK)
        return; /* they are met later */
    if (db_start(reader, QUERY_HOST_ALIVE, DB_NO_VALUES, &statement, NULL) == HF_OK)
        while (db_next(reader, statement, NULL) == 1)
            host_is_alive(store, reader, db_column_uint(statement, 0));
    db_done(statement);
    readers_give(&store->readers, reader);
}

/* --- staying --------------------------------------------------------------------------------------- */

int sqlite_host_heartbeat(struct store *base, uint64_t host, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct host_row row = {0};
    struct db *reader;
    int rc;

    if (roster_look(&store->roster, host) != ROSTER_FOREIGN)
        return roster_hear(&store->roster, host, err);
    rc = readers_take(&store->readers, &reader, err);
    if (rc != HF_OK)
        return rc;
    rc = host_row_load(reader, host, &row, err);
    if (rc == HF_NOENT || (rc == HF_OK && !(row.alive && host_is_alive(store, reader, host))))
        rc = fenced(host, err);
    readers_give(&store->readers, reader);
    return rc;
}

int sqlite_host_detach(struct store *base, uint64_t host, uint32_t grace_ms, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    int rc = roster_cut(&store->roster, host, grace_ms, err);

    bell_wake(&store->bell); /* the next end may be sooner now */
    return rc;
}

int64_t sqlite_host_deadline(struct store *base, uint64_t host)
{
    return roster_deadline(&sqlite_store_of(base)->roster, host);
}

int64_t host_expires(struct sqlite_store *store, uint64_t host)
{
    int64_t until = roster_until(&store->roster, host);

    if (until == 0)
        return 0;
    return clock_realtime(store->clock) + (until - clock_boottime(store->clock));
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
                                  row.alive && host_is_alive(store, reader, row.host),
                                  row.registered, 0};
        info.expires = info.alive ? host_expires(store, row.host) : 0;
        rc = visit(&info, arg);
    }
    db_done(statement);
    readers_give(&store->readers, reader);
    return rc;
}

/* --- ending ---------------------------------------------------------------------------------------- */

struct end_write {
    struct write write;
    uint64_t host;
};

static int run_end(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct end_write *change = (struct end_write *)write;
    struct roster *roster = &sqlite_store_at(transaction)->roster;
    struct host_row *row = calloc(1, sizeof *row);
    int rc = row ? host_row_load(transaction->db, change->host, row, err)
                 : hf_fail(err, HF_NOMEM, "out of memory");

    if (rc == HF_NOENT || (rc == HF_OK && !row->alive))
        rc = fenced(change->host, err);
    if (rc == HF_OK)
        rc = host_leave(transaction, row, LEASE_HOLDER_GONE, "the holder closed the store", err);
    if (rc == HF_OK && roster_look(roster, change->host) == ROSTER_FOREIGN)
        rc = host_tell_lost(transaction, change->host, 0, err);
    if (rc == HF_OK)
        rc = host_tell_changed(transaction, change->host, err);
    free(row);
    return rc;
}

int sqlite_host_end(struct store *base, uint64_t host, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct end_write change = {.write = {.run = run_end}, .host = host};
    int rc = writer_do(&store->writer, &change.write, err);

    if (rc != HF_OK && rc != HF_FENCED)
        return rc;
    if (roster_remove(&store->roster,
                      host)) /* one that was over before need not hear of it any more */
        bell_disclaim(&store->bell, host);
    bell_wake(&store->bell); /* those who wait on its behalf */
    return rc;
}

void sqlite_hosts_dissolve(struct sqlite_store *store)
{
    uint64_t *hosts;
    size_t n;

    bell_stop(&store->bell);
    events_stop(&store->events);
    if (roster_list(&store->roster, false, &hosts, &n) != HF_OK)
        return;
    /* When it fails, the host is found dead by its lock, which ends with the handle in any case. */
    for (size_t i = 0; i < n; i++)
        sqlite_host_end(&store->base, hosts[i], NULL);
    free(hosts);
}
