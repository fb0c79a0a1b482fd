/* SPDX-License-Identifier: Apache-2.0 */
/* How a mount becomes a host session, or goes on with the one that it had. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/sqlite/hosts.h"

/* A process that is asked to let a lock go, or was killed, may hold it for a moment yet: 2 s at most. */
#define CLAIM_TRIES 1000
#define CLAIM_PAUSE_NS 2000000

struct register_write {
    struct write write;
    struct sqlite_store *store;
    const struct host_identity *identity;
    uint64_t host;
    bool claimed; /* its lock was taken for this */
    bool moved;   /* its lock is still to be taken */
    bool taken;   /* the lock of its new number is another's yet */
    bool resumed;
    uint64_t replaced; /* an older one of the mount, or 0 */
    uint64_t cursor;
};

static void disclaim(struct register_write *change)
{
    if (change->claimed)
        bell_disclaim(&change->store->bell, change->host);
    change->claimed = false;
}

static int claim(struct register_write *change, uint64_t host, struct hf_error *err)
{
    int rc = bell_claim(&change->store->bell, host, err);

    change->host = host;
    change->claimed = rc == HF_OK;
    return rc;
}

/* A host session of the same mount: 1, 0 when there is none, or a failure. */
static int find_kin(struct db *db, const struct host_identity *identity, struct host_row *ret_row,
                    struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    int rc = db_start(db, QUERY_HOST_OF_MOUNT, DB_VALUES(db_blob(identity->mount_id, UUID_SIZE)),
                      &statement, err);

    while (rc == HF_OK && (rc = db_next(db, statement, err)) == 1) {
        rc = host_row_read(statement, ret_row, err);
        if (rc == HF_OK && host_kinship(&ret_row->identity, identity) != HOST_STRANGER)
            return 1;
    }
    return rc;
}

/* It goes on under its number. One that another handle serves, or did until its process was killed, moves here:
 * that handle lets its lock go as soon as it hears of it. */
static int resume(struct register_write *change, struct transaction *transaction,
                  struct host_row *row, struct hf_error *err)
{
    uint32_t ttl_ms = change->identity->ttl_ms;
    bool own = roster_look(&change->store->roster, row->host) == ROSTER_ALIVE;
    int rc = HF_OK;

    change->host = row->host;
    change->resumed = true;
    row->resumed += !own;
    if (!own && claim(change, row->host, NULL) != HF_OK) {
        change->moved = true;
        rc = host_tell_lost(transaction, row->host, row->resumed, err);
    }
    if (rc == HF_OK && (!own || row->identity.ttl_ms != ttl_ms)) {
        row->identity.ttl_ms = ttl_ms;
        rc = host_row_update(transaction->db, row, err);
    }
    return rc;
}

/* What is to become of the older host session of a mount: 1 when it was resumed, 0 when it is over. */
static int meet_kin(struct register_write *change, struct transaction *transaction,
                    struct host_row *row, struct hf_error *err)
{
    int rc;

    if (!host_is_alive(change->store, transaction->db, row->host))
        return host_bury(transaction, row, err);
    if (host_kinship(&row->identity, change->identity) == HOST_SAME) {
        rc = resume(change, transaction, row, err);
        return rc == HF_OK ? 1 : rc;
    }
    change->replaced = row->host;
    rc = host_leave(transaction, row, LEASE_HOLDER_GONE, "the mount was started again", err);
    return rc == HF_OK ? host_tell_lost(transaction, row->host, 0, err) : rc;
}

/* Gives the next number. Its lock is held before anyone can see its row. By another it is when that one was about to take
 * the number and its transaction came to nothing: it was killed, and the kernel has let go its lock of the store, but
 * not yet this one; or it is of this handle, and about to let it go. */
static int add_host(struct register_write *change, struct transaction *transaction,
                    struct host_row *row, struct hf_error *err)
{
    struct store_row store;
    int rc = store_row_load(transaction->db, &store, err);

    if (rc == HF_OK && bell_is_claimed(&change->store->bell, store.next_host))
        rc = hf_fail(err, HF_BUSY, "the number of the next host session, %llu, is not free yet",
                     (unsigned long long)store.next_host);
    if (rc == HF_OK)
        rc = claim(change, store.next_host++, err);
    change->taken = rc == HF_BUSY;
    if (rc == HF_OK)
        rc = store_row_write(transaction->db, &store, err);
    if (rc != HF_OK)
        return rc;
    *row = (struct host_row){.host = change->host,
                             .identity = *change->identity,
                             .alive = true,
                             .registered = transaction->now};
    writer_forget(transaction->writer);
    transaction->hosts++;
    rc = host_row_insert(transaction->db, row, err);
    return rc == HF_OK ? host_tell_changed(transaction, change->host, err) : rc;
}

static int run_register(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct register_write *change = (struct register_write *)write;
    struct host_row *row = calloc(1, sizeof *row);
    int found = 0;
    int rc = row ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");

    disclaim(change);
    change->resumed = change->moved = change->taken = false;
    change->replaced = 0;
    while (rc == HF_OK && !change->resumed &&
           (found = rc = find_kin(transaction->db, change->identity, row, err)) == 1)
        rc = (rc = meet_kin(change, transaction, row, err)) == 1 ? HF_OK : rc;
    if (rc == HF_OK && found != 1)
        rc = add_host(change, transaction, row, err);
    if (rc == HF_OK)
        rc = query_number(transaction->db, QUERY_EVENT_LAST, &change->cursor, err);
    free(row);
    return rc;
}

static int check_identity(const struct host_identity *identity, struct hf_error *err)
{
    struct host_row row;

    if (strlen(identity->host_name) >= sizeof row.name ||
        (identity->mount_point && strlen(identity->mount_point) >= sizeof row.mount_point) ||
        (identity->principal && strlen(identity->principal) >= sizeof row.principal))
        return hf_fail(err, HF_NAMETOOLONG, "the names of a host session are too long");
    return HF_OK;
}

/* Takes the lock of one that moves here. */
static int wait_claim(struct register_write *change, struct hf_error *err)
{
    const struct timespec pause = {.tv_nsec = CLAIM_PAUSE_NS};

    for (int i = 0; i < CLAIM_TRIES; i++) {
        if (claim(change, change->host, NULL) == HF_OK)
            return HF_OK;
        nanosleep(&pause, NULL);
    }
    return hf_fail(err, HF_BUSY, "host session %llu is served by another process, which keeps it",
                   (unsigned long long)change->host);
}

/* Registers it in the file; its lock is held then. */
static int write_register(struct register_write *change, struct hf_error *err)
{
    const struct timespec pause = {.tv_nsec = CLAIM_PAUSE_NS};
    int rc = writer_do(&change->store->writer, &change->write, err);

    for (int i = 0; change->taken && i < CLAIM_TRIES; i++) {
        nanosleep(&pause, NULL);
        rc = writer_do(&change->store->writer, &change->write, err);
    }
    if (rc != HF_OK)
        disclaim(change);
    else if (change->replaced != 0)
        roster_bury(&change->store->roster, change->replaced);
    return rc == HF_OK && change->moved ? wait_claim(change, err) : rc;
}

int sqlite_host_register(struct store *base, const struct host_identity *identity,
                         const struct store_listener *listener, uint64_t *ret_host,
                         struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct register_write change = {
        .write = {.run = run_register}, .store = store, .identity = identity};
    struct roster_guest guest = {.ttl_ms = identity->ttl_ms, .listener = listener};
    int rc = check_identity(identity, err);

    if (rc == HF_OK)
        rc = events_start(&store->events, err);
    if (rc != HF_OK)
        return rc;
    if (roster_count(&store->roster) == 0) /* else the thread that tells looks after that */
        sqlite_hosts_bury(store);
    rc = write_register(&change, err);
    if (rc != HF_OK)
        return rc;
    guest.host = change.host;
    guest.resumed = change.resumed;
    guest.cursor = change.cursor;
    rc = roster_admit(&store->roster, &guest, err);
    if (rc != HF_OK) {
        disclaim(&change); /* and its row is found dead */
        return rc;
    }
    bell_wake(&store->bell); /* it is greeted */
    *ret_host = change.host;
    return HF_OK;
}
