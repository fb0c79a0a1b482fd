/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/leases.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "engine/sqlite/waiters.h"

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

/* Whether one of the queue is still there: alive, and not left over. Times of before the machine's boot are as
 * good as none. */
static bool is_present(struct transaction *transaction, const struct waiter_row *row,
                       const struct lease_row *lease, int64_t now)
{
    return row->waiter.started <= now && !lease_waiter_absent(&row->waiter, lease, now) &&
           host_is_alive(sqlite_store_at(transaction), transaction->db, row->waiter.host);
}

/* The next of the queue who is there, after place `*id`; those who are not are taken out. */
static int next_present(struct transaction *transaction, const struct session_row *session,
                        uint64_t *id, struct waiter_row *ret_row, struct hf_error *err)
{
    int64_t now = clock_boottime(sqlite_store_at(transaction)->clock);
    int rc;

    while ((rc = waiter_next(transaction->db, session->sid, id, ret_row, err)) == 1) {
        if (is_present(transaction, ret_row, &session->lease, now))
            return 1;
        rc = waiter_drop(transaction->db, ret_row, err);
        if (rc != HF_OK)
            return rc;
    }
    return rc;
}

/* Who gets a lease that leaves its holder: its place is 0 when nobody does. */
static int find_heir(struct transaction *transaction, const struct session_row *session,
                     struct waiter_row *ret_heir, struct hf_error *err)
{
    int64_t now = clock_boottime(sqlite_store_at(transaction)->clock);
    uint64_t id = 0;
    int rc;

    while ((rc = next_present(transaction, session, &id, ret_heir, err)) == 1)
        if (lease_waiter_inherits(&ret_heir->waiter, &session->lease, now))
            return HF_OK;
    *ret_heir = (struct waiter_row){0};
    return rc;
}

static bool leaves_holder(enum lease_verb verb)
{
    return verb == LEASE_RELEASE || verb == LEASE_BREAK || verb == LEASE_HOLDER_GONE ||
           verb == LEASE_HOLDER_DEAD;
}

static int tell_lease(struct transaction *transaction, enum event_kind kind, uint64_t sid,
                      uint64_t host, uint64_t token, struct hf_error *err)
{
    struct store_event event = {.kind = kind, .sid = sid, .token = token};

    return event_row_insert(transaction, &event, 0, host, err);
}

/* Tells those who wait that there is news of the lease; `session` is as the step left it. */
static int tell_queue(struct transaction *transaction, const struct session_row *session,
                      enum lease_audience audience, struct hf_error *err)
{
    struct waiter_row row;
    uint64_t id = 0;
    int rc = 0;

    while (audience != LEASE_TELL_NOBODY &&
           (rc = next_present(transaction, session, &id, &row, err)) == 1) {
        if (row.waiter.granted != 0)
            continue;
        rc = tell_lease(transaction, EVENT_LEASE_ANSWERED, session->sid, row.waiter.host,
                        session->lease.token, err);
        if (rc != HF_OK || audience == LEASE_TELL_FIRST)
            return rc;
    }
    return rc;
}

static int write_step(struct transaction *transaction, const struct session_row *session,
                      const struct lease_step *step, const char *text, struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < step->naudits; i++)
        rc = audit_row_insert(transaction, step->audits[i].event, session->sid,
                              step->audits[i].host, step->audits[i].token, text, err);
    for (size_t i = 0; rc == HF_OK && i < step->ntells; i++)
        rc = tell_lease(transaction, step->tells[i].kind, session->sid, step->tells[i].host,
                        step->tells[i].token, err);
    return rc;
}

int lease_decide(struct transaction *transaction, struct session_row *row,
                 const struct lease_request *given, const char *text, struct lease_step *ret_step,
                 struct hf_error *err)
{
    struct lease_request request = *given;
    struct waiter_row heir = {0};
    struct lease_step step;
    int rc;

    request.now = transaction->now;
    rc = lease_step(&row->lease, &request, &step, err);
    if (rc == HF_OK && row->lease.state != LEASE_FREE && leaves_holder(request.verb)) {
        rc = find_heir(transaction, row, &heir, err);
        request.heir = heir.waiter.host;
        if (rc == HF_OK)
            rc = lease_step(&row->lease, &request, &step, err);
    }
    if (rc == HF_OK)
        rc = write_step(transaction, row, &step, text, err);
    if (rc != HF_OK)
        return rc;
    row->lease = step.row;
    set_pinned_by(row, &request, text);
    if (step.inherited) {
        heir.waiter.granted = step.row.token;
        rc = waiter_write(transaction->db, &heir, err);
    }
    if (rc == HF_OK)
        rc = tell_queue(transaction, row, step.audience, err);
    if (rc == HF_OK && request.verb == LEASE_END)
        rc = waiters_clear_session(transaction->db, row->sid, err);
    if (step.changed && transaction->hosts > 1)
        transaction->ring = true; /* somebody may be waiting for it */
    *ret_step = step;
    return rc;
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
    uint32_t wait_ms;
    int answer; /* HF_OK, HF_PENDING or HF_BUSY, with `busy` */
    struct session_row row;
    int64_t until; /* HF_PENDING: when to ask again at the latest */
    struct hf_error busy;
};

static int busy(struct db *db, struct sqlite_store *store, const struct session_row *row,
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
                              .holder_alive = host_is_alive(store, db, row->lease.host)};

    if (host_row_load(db, row->lease.host, &host, NULL) == HF_OK) {
        info.host_name = host.identity.host_name;
        info.mount_point = host.identity.mount_point;
        info.pid = host.identity.pid;
    }
    return lease_busy(&info, err);
}

/* Its place in the queue, or what will be one. */
static int take_place(struct ask_write *ask, struct transaction *transaction,
                      struct waiter_row *ret_row, struct hf_error *err)
{
    int64_t now = clock_boottime(ask->store->clock);
    int rc = waiter_load(transaction->db, ask->sid, ask->host, ret_row, err);

    if (rc == HF_OK && !is_present(transaction, ret_row, &ask->row.lease, now)) {
        rc = waiter_drop(transaction->db, ret_row, err);
        if (rc == HF_OK)
            rc = HF_NOENT;
    }
    if (rc == HF_OK && ask->wait_ms > ret_row->waiter.wait_ms)
        ret_row->waiter.wait_ms = ask->wait_ms;
    if (rc != HF_NOENT)
        return rc;
    *ret_row = (struct waiter_row){
        .sid = ask->sid, .waiter = {.host = ask->host, .started = now, .wait_ms = ask->wait_ms}};
    return HF_OK;
}

/* A dead holder's lease goes to the first who waits for it, whoever asks. */
static int settle_dead(struct ask_write *ask, struct transaction *transaction, struct hf_error *err)
{
    struct lease_request dead = {.verb = LEASE_HOLDER_DEAD};
    struct lease_step step;
    int rc;

    if (ask->row.lease.state == LEASE_FREE ||
        host_is_alive(ask->store, transaction->db, ask->row.lease.host))
        return HF_OK;
    rc = host_bury(transaction, ask->row.lease.host, err);
    if (rc == HF_OK)
        rc = session_row_load(transaction->db, ask->sid, &ask->row, err);
    if (rc != HF_OK || host_is_alive(ask->store, transaction->db, ask->row.lease.host))
        return rc;
    rc = lease_decide(transaction, &ask->row, &dead, "the holder is dead", &step, err);
    return rc == HF_OK && step.changed ? session_row_lease(transaction->db, &ask->row, err) : rc;
}

/* Lets the lease decide. HF_PENDING leaves the host in the queue. */
static int request_lease(struct ask_write *ask, struct transaction *transaction, bool holder_alive,
                         struct waiter_row *place, struct hf_error *err)
{
    struct lease_request request = {
        .verb = LEASE_ASK, .host = ask->host, .holder_alive = holder_alive};
    struct lease_step step;
    int rc = lease_decide(transaction, &ask->row, &request, NULL, &step, err);

    if (rc == HF_OK && step.changed)
        rc = session_row_lease(transaction->db, &ask->row, err);
    if (rc != HF_OK)
        return rc;
    if (step.outcome != LEASE_WAITING) {
        ask->answer = HF_OK;
        return waiter_drop(transaction->db, place, err);
    }
    ask->answer = HF_PENDING;
    place->waiter.asked = clock_boottime(ask->store->clock);
    place->waiter.token = ask->row.lease.token;
    lease_waiter_look(&place->waiter, &ask->row.lease, true, place->waiter.asked, &ask->until);
    return waiter_write(transaction->db, place, err);
}

static int decide_ask(struct ask_write *ask, struct transaction *transaction,
                      struct waiter_row *place, struct hf_error *err)
{
    bool holder_alive = host_is_alive(ask->store, transaction->db, ask->row.lease.host);

    switch (lease_waiter_look(&place->waiter, &ask->row.lease, holder_alive,
                              clock_boottime(ask->store->clock), &ask->until)) {
    case LEASE_ASK_NOW:
        break;
    case LEASE_GIVE_UP:
        ask->answer = busy(transaction->db, ask->store, &ask->row, &ask->busy);
        return waiter_drop(transaction->db, place, err);
    case LEASE_SLEEP:
        ask->answer = HF_PENDING;
        return place->id == 0 ? waiter_write(transaction->db, place, err) : HF_OK;
    }
    return request_lease(ask, transaction, holder_alive, place, err);
}

static int run_ask(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct ask_write *ask = (struct ask_write *)write;
    struct waiter_row place;
    int rc = host_admit(transaction, ask->host, err);

    if (rc == HF_OK)
        rc = load_live(transaction->db, ask->sid, &ask->row, err);
    if (rc == HF_OK)
        rc = settle_dead(ask, transaction, err);
    if (rc == HF_OK)
        rc = take_place(ask, transaction, &place, err);
    return rc == HF_OK ? decide_ask(ask, transaction, &place, err) : rc;
}

int sqlite_lease_ask(struct store *base, uint64_t host, uint64_t sid, uint32_t wait_ms,
                     struct lease *ret_lease, int64_t *ret_again, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct ask_write ask = {
        .write = {.run = run_ask}, .store = store, .host = host, .sid = sid, .wait_ms = wait_ms};
    int rc;

    if (host == 0)
        return hf_fail(err, HF_FENCED, "a lease needs a host session");
    rc = writer_do(&store->writer, &ask.write, err);
    if (rc != HF_OK)
        return rc;
    if (ask.answer == HF_OK) {
        *ret_lease = (struct lease){.sid = sid, .token = ask.row.lease.token};
        session_row_head(&ask.row, &ret_lease->head);
    } else if (ask.answer == HF_PENDING) {
        *ret_again = ask.until;
    } else if (err) {
        *err = ask.busy;
    }
    return ask.answer;
}

/* Looks once, without writing: 1 to ask again, 0 to look again after `*ret_rest` ns, or a failure. */
static int look(struct sqlite_store *store, uint64_t host, uint64_t sid, int64_t *ret_rest,
                struct hf_error *err)
{
    int64_t now = clock_boottime(store->clock), until = now;
    struct session_row row;
    struct waiter_row place;
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = load_live(reader, sid, &row, err);
    if (rc == HF_OK && (waiter_load(reader, sid, host, &place, NULL) != HF_OK ||
                        !host_is_alive(store, reader, host)))
        rc = 1; /* and hear why */
    if (rc == HF_OK &&
        lease_waiter_look(&place.waiter, &row.lease, host_is_alive(store, reader, row.lease.host),
                          now, &until) != LEASE_SLEEP)
        rc = 1;
    readers_give(&store->readers, reader);
    *ret_rest = until - now;
    return rc;
}

/* Waits until asking again makes sense. `seen`: rings of the bell before it was asked. */
static int wait_turn(struct sqlite_store *store, uint64_t host, uint64_t sid, uint64_t seen,
                     struct hf_error *err)
{
    int64_t rest = 0;
    int rc;

    while ((rc = look(store, host, sid, &rest, err)) == 0) {
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
    int64_t again;
    int rc;

    for (;;) {
        uint64_t seen = bell_rings(&store->bell);

        rc = sqlite_lease_ask(base, host, sid, wait_ms, ret_lease, &again, err);
        if (rc != HF_PENDING)
            return rc;
        rc = wait_turn(store, host, sid, seen, err);
        if (rc != HF_OK)
            return rc;
    }
}

/* --- withdrawing ----------------------------------------------------------------------------------- */

struct withdraw_write {
    struct write write;
    uint64_t host, sid;
};

static int run_withdraw(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct withdraw_write *change = (struct withdraw_write *)write;
    struct lease_request back = {.verb = LEASE_RELEASE, .host = change->host};
    struct waiter_row place;
    struct session_row row;
    struct lease_step step;
    int rc = waiter_load(transaction->db, change->sid, change->host, &place, err);

    if (rc != HF_OK)
        return rc == HF_NOENT ? HF_OK : rc;
    rc = waiter_drop(transaction->db, &place, err);
    if (rc == HF_OK)
        rc = session_row_load(transaction->db, change->sid, &row, err);
    back.token = place.waiter.granted;
    if (rc != HF_OK || lease_check_commit(&row.lease, back.host, back.token, NULL) != HF_OK)
        return rc;
    rc = lease_decide(transaction, &row, &back, NULL, &step, err);
    return rc == HF_OK ? session_row_lease(transaction->db, &row, err) : rc;
}

int sqlite_lease_withdraw(struct store *base, uint64_t host, uint64_t sid, struct hf_error *err)
{
    struct withdraw_write change = {.write = {.run = run_withdraw}, .host = host, .sid = sid};

    return writer_do(&sqlite_store_of(base)->writer, &change.write, err);
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
    if (rc == HF_OK && transaction->hosts > 1)
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

/* Who waits for one lease. */
struct queue {
    struct host_row *hosts;
    const char **names;
    size_t n, cap;
};

static int grow(struct queue *queue, struct hf_error *err)
{
    size_t cap = queue->cap ? 2 * queue->cap : 8;
    struct host_row *hosts;
    const char **names;

    if (queue->n < queue->cap)
        return HF_OK;
    hosts = reallocarray(queue->hosts, cap, sizeof *hosts);
    if (hosts)
        queue->hosts = hosts;
    names = reallocarray(queue->names, cap, sizeof *names);
    if (names)
        queue->names = names;
    if (!hosts || !names)
        return hf_fail(err, HF_NOMEM, "out of memory");
    queue->cap = cap;
    return HF_OK;
}

static int load_queue(struct sqlite_store *store, struct db *reader, uint64_t sid,
                      struct queue *queue, struct hf_error *err)
{
    struct waiter_row row;
    uint64_t id = 0;
    int rc;

    queue->n = 0;
    while ((rc = waiter_next(reader, sid, &id, &row, err)) == 1) {
        if (row.waiter.granted != 0 || !host_is_alive(store, reader, row.waiter.host))
            continue;
        rc = grow(queue, err);
        if (rc == HF_OK)
            rc = host_row_load(reader, row.waiter.host, &queue->hosts[queue->n], err);
        if (rc != HF_OK)
            return rc;
        queue->n++;
    }
    for (size_t i = 0; i < queue->n; i++)
        queue->names[i] = queue->hosts[i].name;
    return rc;
}

static int visit_lease(struct sqlite_store *store, struct db *reader, sqlite3_stmt *statement,
                       struct queue *queue, lease_visit_fn visit, void *arg, struct hf_error *err)
{
    struct session_row row;
    struct host_row host = {0};
    struct lease_info info;
    int rc = session_row_read(statement, &row, err);

    if (rc == HF_OK)
        rc = host_row_load(reader, row.lease.host, &host, err);
    if (rc == HF_OK || rc == HF_NOENT)
        rc = load_queue(store, reader, row.sid, queue, err);
    if (rc != HF_OK)
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
                               .holder_alive = host_is_alive(store, reader, row.lease.host),
                               .waiting = queue->names,
                               .nwaiting = queue->n};
    info.expires = info.holder_alive ? host_expires(store, row.lease.host) : 0;
    return visit(&info, arg);
}

int sqlite_lease_list(struct store *base, lease_visit_fn visit, void *arg, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    sqlite3_stmt *statement = NULL;
    struct queue queue = {0};
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = db_start(reader, QUERY_SESSION_LEASED, DB_NO_VALUES, &statement, err);
    while (rc == HF_OK && (rc = db_next(reader, statement, err)) == 1)
        rc = visit_lease(store, reader, statement, &queue, visit, arg, err);
    db_done(statement);
    free(queue.hosts);
    free(queue.names);
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
