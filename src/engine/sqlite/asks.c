/* SPDX-License-Identifier: Apache-2.0 */
/* Asking for leases, waiting for them, and leaving the queue. */
#include "base/clock.h"
#include "engine/sqlite/hosts.h"
#include "engine/sqlite/leases.h"
#include "engine/sqlite/waiters.h"

/* One who waits looks at the store's clock, which a test may turn, at least this often. */
#define LOOK_AGAIN_NS 20000000

/* --- asking ---------------------------------------------------------------------------------------- */

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

    if (rc == HF_OK && !waiter_is_present(transaction, ret_row, &ask->row.lease, now)) {
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
    rc = host_find_dead(transaction, ask->row.lease.host, err);
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
        rc = session_row_load_live(transaction->db, ask->sid, &ask->row, err);
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
    rc = session_row_load_live(reader, sid, &row, err);
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
