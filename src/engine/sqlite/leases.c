/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/leases.h"

#include <stdio.h>

#include "base/clock.h"

/* One who waits looks at the store's clock, which a test may turn, at least this often. */
#define LOOK_AGAIN_NS 20000000

/* --- steps -------------------------------------------------------------------------------------- */

static void set_pinned_by(struct session_row *row, const struct lease_request *request,
                          const char *text)
{
    if (request->verb == LEASE_REFUSE) {
        row->pinned = true;
        snprintf(row->pinned_by, sizeof row->pinned_by, "%s", text);
    } else if (!row->lease.refused) {
        row->pinned = false;
        row->pinned_by[0] = '\0';
    }
}

int lease_decide(struct transaction *transaction, struct session_row *row,
                 const struct lease_request *request, const char *text, struct lease_step *ret_step,
                 struct hf_error *err)
{
    struct lease_step step;
    int rc = lease_step(&row->lease, request, &step, err);

    for (size_t i = 0; rc == HF_OK && i < step.naudits; i++)
        rc = audit_row_insert(transaction, step.audits[i].event, row->sid, step.audits[i].host,
                              step.audits[i].token, text, err);
    for (size_t i = 0; rc == HF_OK && i < step.ntells; i++) {
        struct store_event event = {
            .kind = step.tells[i].kind, .sid = row->sid, .token = step.tells[i].token};

        rc = event_row_insert(transaction, &event, 0, step.tells[i].host, err);
    }
    if (rc != HF_OK)
        return rc;
    row->lease = step.row;
    set_pinned_by(row, request, text);
    if (step.changed && transaction->others > 0)
        transaction->ring = true; /* somebody may be waiting for it */
    *ret_step = step;
    return HF_OK;
}

int lease_admit(struct write *write, struct transaction *transaction, const struct session_row *row,
                uint64_t host, uint64_t token, struct hf_error *err)
{
    int rc = lease_check_commit(&row->lease, host, token, err);

    if (rc != HF_OK &&
        audit_row_insert(transaction, AUDIT_FENCED, row->sid, host, token, NULL, NULL) == HF_OK)
        write->keep = true;
    return rc;
}

int host_admit(struct transaction *transaction, uint64_t host, struct hf_error *err)
{
    struct writer *writer = transaction->writer;
    struct host_row row;
    bool alive;

    if (host == 0)
        return HF_OK;
    if (host == atomic_load(&writer->own_host)) {
        alive = writer->own_alive;
    } else {
        int rc = host_row_load(transaction->db, host, &row, err);

        if (rc != HF_OK && rc != HF_NOENT)
            return rc;
        alive = rc == HF_OK && row.alive;
    }
    return alive ? HF_OK
                 : hf_fail(err, HF_FENCED, "host session %llu is not alive",
                           (unsigned long long)host);
}

bool host_is_alive(struct sqlite_store *store, uint64_t host)
{
    if (host == 0)
        return false;
    return host == atomic_load(&store->writer.own_host) || bell_is_claimed(&store->bell, host);
}

static int load_live(struct db *db, uint64_t sid, struct session_row *ret_row, struct hf_error *err)
{
    int rc = session_row_load(db, sid, ret_row, err);

    if (rc == HF_OK && ret_row->state != SESSION_LIVE)
        rc = hf_fail(err, HF_NOENT, "session %s is in the trash", ret_row->name);
    return rc;
}

/* --- acquiring ---------------------------------------------------------------------------------- */

struct ask_write {
    struct write write;
    struct sqlite_store *store;
    uint64_t host, sid;
    struct session_row row;
    enum lease_outcome outcome;
};

static int run_ask(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct ask_write *ask = (struct ask_write *)write;
    struct lease_request request = {.verb = LEASE_ASK, .host = ask->host, .now = transaction->now};
    struct lease_step step;
    int rc = host_admit(transaction, ask->host, err);

    if (rc == HF_OK)
        rc = load_live(transaction->db, ask->sid, &ask->row, err);
    if (rc != HF_OK)
        return rc;
    request.holder_alive = host_is_alive(ask->store, ask->row.lease.host);
    rc = lease_decide(transaction, &ask->row, &request, NULL, &step, err);
    if (rc != HF_OK)
        return rc;
    ask->outcome = step.outcome;
    return step.changed ? session_row_lease(transaction->db, &ask->row, err) : HF_OK;
}

static int busy(struct db *reader, struct sqlite_store *store, const struct session_row *row,
                struct hf_error *err)
{
    struct host_row host = {0};
    struct lease_info info = {.sid = row->sid,
                              .session_name = row->name,
                              .state = row->lease.state,
                              .token = row->lease.token,
                              .host = row->lease.host,
                              .since = row->lease.since,
                              .pinned_by = row->pinned ? row->pinned_by : NULL,
                              .holder_alive = host_is_alive(store, row->lease.host)};

    if (host_row_load(reader, row->lease.host, &host, NULL) == HF_OK) {
        info.host_name = host.identity.host_name;
        info.mount_point = host.identity.mount_point;
        info.pid = host.identity.pid;
    }
    return lease_busy(&info, err);
}

/* Looks at the row once: 1 to ask (again), 0 to look again, or a failure. */
static int look(struct sqlite_store *store, uint64_t sid, const struct lease_waiter *waiter,
                int64_t *ret_rest, struct hf_error *err)
{
    int64_t now = clock_boottime(store->clock), until = now;
    struct session_row row;
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = load_live(reader, sid, &row, err);
    if (rc == HF_OK) {
        switch (lease_waiter_look(waiter, &row.lease, host_is_alive(store, row.lease.host), now,
                                  &until)) {
        case LEASE_ASK_NOW:
            rc = 1;
            break;
        case LEASE_GIVE_UP:
            rc = busy(reader, store, &row, err);
            break;
        case LEASE_SLEEP:
            *ret_rest = until - now;
            break;
        }
    }
    readers_give(&store->readers, reader);
    return rc;
}

/* Waits until the row says that asking again makes sense. `seen`: rings of the bell before it was asked. */
static int wait_turn(struct sqlite_store *store, uint64_t sid, const struct lease_waiter *waiter,
                     uint64_t seen, struct hf_error *err)
{
    int64_t rest = 0;
    int rc;

    while ((rc = look(store, sid, waiter, &rest, err)) == 0) {
        if (!bell_wait(&store->bell, seen, rest < LOOK_AGAIN_NS ? rest : LOOK_AGAIN_NS))
            return hf_fail(err, HF_INTR, "the store is being closed");
        seen = bell_rings(&store->bell);
    }
    return rc < 0 ? rc : HF_OK;
}

int sqlite_lease_acquire(struct store *base, uint64_t host, uint64_t sid, uint32_t wait_ms,
                         struct lease *ret_lease, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct lease_waiter waiter = {.started = clock_boottime(store->clock), .wait_ms = wait_ms};
    struct ask_write ask = {.write = {.run = run_ask}, .store = store, .host = host, .sid = sid};
    int rc;

    if (host == 0)
        return hf_fail(err, HF_FENCED, "a lease needs a host session");
    for (;;) {
        uint64_t seen = bell_rings(&store->bell);

        rc = writer_do(&store->writer, &ask.write, err);
        if (rc != HF_OK)
            return rc;
        if (ask.outcome != LEASE_WAITING)
            break;
        waiter.token = ask.row.lease.token;
        waiter.asked = clock_boottime(store->clock);
        rc = wait_turn(store, sid, &waiter, seen, err);
        if (rc != HF_OK)
            return rc;
    }
    *ret_lease = (struct lease){.sid = sid, .token = ask.row.lease.token};
    session_row_head(&ask.row, &ret_lease->head);
    return HF_OK;
}

/* --- the other requests --------------------------------------------------------------------------- */

struct step_write {
    struct write write;
    uint64_t sid;
    struct lease_request request;
    const char *text;
};

static int run_step(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct step_write *change = (struct step_write *)write;
    struct session_row row;
    struct lease_step step;
    int rc = session_row_load(transaction->db, change->sid, &row, err);

    if (rc == HF_OK)
        rc = lease_decide(transaction, &row, &change->request, change->text, &step, err);
    if (rc == HF_OK)
        rc = session_row_lease(transaction->db, &row, err);
    if (rc == HF_OK && transaction->others > 0)
        transaction->ring = true;
    return rc;
}

static int take_step(struct store *base, uint64_t sid, const struct lease_request *request,
                     const char *text, struct hf_error *err)
{
    struct step_write change = {
        .write = {.run = run_step}, .sid = sid, .request = *request, .text = text};

    return writer_do(&sqlite_store_of(base)->writer, &change.write, err);
}

int sqlite_lease_release(struct store *base, uint64_t host, uint64_t sid, uint64_t token,
                         struct hf_error *err)
{
    struct lease_request request = {.verb = LEASE_RELEASE, .host = host, .token = token};

    return take_step(base, sid, &request, NULL, err);
}

int sqlite_lease_refuse(struct store *base, uint64_t host, uint64_t sid, uint64_t token,
                        const char *pinned_by, struct hf_error *err)
{
    struct lease_request request = {.verb = LEASE_REFUSE, .host = host, .token = token};

    return take_step(base, sid, &request, pinned_by, err);
}

int sqlite_lease_break(struct store *base, uint64_t sid, uint64_t token, const char *reason,
                       struct hf_error *err)
{
    struct lease_request request = {.verb = LEASE_BREAK, .token = token};

    return take_step(base, sid, &request, reason, err);
}

/* --- lists ---------------------------------------------------------------------------------------- */

static int visit_lease(struct sqlite_store *store, struct db *reader, sqlite3_stmt *statement,
                       lease_visit_fn visit, void *arg, struct hf_error *err)
{
    struct session_row row;
    struct host_row host = {0};
    struct lease_info info;
    int rc = session_row_read(statement, &row, err);

    if (rc == HF_OK)
        rc = host_row_load(reader, row.lease.host, &host, err);
    if (rc != HF_OK && rc != HF_NOENT)
        return rc;
    info = (struct lease_info){.sid = row.sid,
                               .session_name = row.name,
                               .state = row.lease.state,
                               .token = row.lease.token,
                               .host = row.lease.host,
                               .host_name = host.identity.host_name,
                               .mount_point = host.identity.mount_point,
                               .pid = host.identity.pid,
                               .since = row.lease.since,
                               .pinned_by = row.pinned ? row.pinned_by : NULL,
                               .holder_alive = host_is_alive(store, row.lease.host)};
    return visit(&info, arg);
}

int sqlite_lease_list(struct store *base, lease_visit_fn visit, void *arg, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    sqlite3_stmt *statement = NULL;
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = db_start(reader, QUERY_SESSION_LEASED, DB_NO_VALUES, &statement, err);
    while (rc == HF_OK && (rc = db_next(reader, statement, err)) == 1)
        rc = visit_lease(store, reader, statement, visit, arg, err);
    db_done(statement);
    readers_give(&store->readers, reader);
    return rc;
}

static int visit_audit(sqlite3_stmt *statement, audit_visit_fn visit, void *arg,
                       struct hf_error *err)
{
    struct audit_entry entry;
    int rc = db_verify(statement, "audit", 0, 7, err);

    if (rc != HF_OK)
        return rc;
    entry = (struct audit_entry){.id = db_column_uint(statement, 0),
                                 .time = db_column_int(statement, 1),
                                 .event = (enum audit_event)db_column_int(statement, 2),
                                 .sid = db_column_uint(statement, 3),
                                 .host = db_column_uint(statement, 4),
                                 .token = db_column_uint(statement, 5),
                                 .detail = db_column_text(statement, 6)};
    return visit(&entry, arg);
}

int sqlite_audit(struct store *base, uint64_t sid, uint64_t from, audit_visit_fn visit, void *arg,
                 struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    bool all = sid == UINT64_MAX;
    sqlite3_stmt *statement = NULL;
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    from = from > INT64_MAX ? INT64_MAX : from;
    rc = all ? db_start(reader, QUERY_AUDIT_ALL, DB_VALUES(db_uint(from)), &statement, err)
             : db_start(reader, QUERY_AUDIT_OF, DB_VALUES(db_uint(from), db_uint(sid)), &statement,
                        err);
    while (rc == HF_OK && (rc = db_next(reader, statement, err)) == 1)
        rc = visit_audit(statement, visit, arg, err);
    db_done(statement);
    readers_give(&store->readers, reader);
    return rc;
}
