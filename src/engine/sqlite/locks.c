/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "engine/sqlite/hosts.h"
#include "store/rangelock.h"

/* The locks of one file that living hosts hold. */
struct lock_set {
    struct store_lock *locks;
    size_t n, cap;
};

static int add_lock(struct lock_set *set, const struct store_lock *lock, struct hf_error *err)
{
    struct store_lock *locks;

    if (set->n == set->cap) {
        size_t cap = set->cap ? 2 * set->cap : 16;

        locks = reallocarray(set->locks, cap, sizeof *locks);
        if (!locks)
            return hf_fail(err, HF_NOMEM, "out of memory");
        set->locks = locks;
        set->cap = cap;
    }
    set->locks[set->n++] = *lock;
    return HF_OK;
}

static int read_lock(sqlite3_stmt *statement, struct store_lock *ret_lock, struct hf_error *err)
{
    int rc = db_verify(statement, "lock", 0, 8, err);

    if (rc != HF_OK)
        return rc;
    *ret_lock = (struct store_lock){.ino = db_column_uint(statement, 0),
                                    .kind = (enum lock_kind)db_column_int(statement, 1),
                                    .host = db_column_uint(statement, 2),
                                    .owner = db_column_uint(statement, 3),
                                    .start = db_column_uint(statement, 4),
                                    .end = db_column_uint(statement, 5),
                                    .type = (enum lock_type)db_column_int(statement, 6),
                                    .pid = (uint32_t)db_column_uint(statement, 7)};
    return HF_OK;
}

static int load_locks(struct sqlite_store *store, struct db *db, const struct store_lock *request,
                      struct lock_set *set, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct store_lock lock;
    int rc = db_start(db, QUERY_LOCK_OF_FILE,
                      DB_VALUES(db_uint(request->ino), db_int(request->kind)), &statement, err);

    while (rc == HF_OK && (rc = db_next(db, statement, err)) == 1) {
        rc = read_lock(statement, &lock, err);
        if (rc == HF_OK && (lock.host == request->host || host_is_alive(store, db, lock.host)))
            rc = add_lock(set, &lock, err);
    }
    return rc;
}

static int insert_lock(struct db *db, const struct store_lock *lock, struct hf_error *err)
{
    return db_run_summed(db, QUERY_LOCK_INSERT, "lock",
                         DB_VALUES(db_uint(lock->ino), db_int(lock->kind), db_uint(lock->host),
                                   db_uint(lock->owner), db_uint(lock->start), db_uint(lock->end),
                                   db_int(lock->type), db_int(lock->pid)),
                         err);
}

struct lock_write {
    struct write write;
    struct sqlite_store *store;
    struct store_lock request;
    struct store_lock conflict;
};

/* Puts what the owner holds from now on in the place of what it held. */
static int replace_locks(struct transaction *transaction, const struct store_lock *request,
                         const struct store_lock *held, size_t n, struct hf_error *err)
{
    struct store_event event = {.kind = EVENT_LOCKS_CHANGED, .sid = SHARED_SID};
    int rc = db_run(transaction->db, QUERY_LOCK_CLEAR_OWNER,
                    DB_VALUES(db_uint(request->ino), db_int(request->kind), db_uint(request->host),
                              db_uint(request->owner)),
                    err);

    if (rc == HF_OK && sqlite3_changes(transaction->db->handle) > 0)
        rc = event_row_insert(transaction, &event, request->host, 0, err);
    for (size_t i = 0; i < n && rc == HF_OK; i++)
        rc = insert_lock(transaction->db, &held[i], err);
    return rc;
}

static int run_lock(struct write *write, struct transaction *transaction, struct hf_error *err)
{
    struct lock_write *change = (struct lock_write *)write;
    const struct store_lock *conflict;
    struct store_lock *held = NULL;
    struct lock_set set = {0};
    size_t n = 0;
    int rc = host_admit(transaction, change->request.host, err);

    if (rc == HF_OK)
        rc = load_locks(change->store, transaction->db, &change->request, &set, err);
    if (rc != HF_OK)
        goto out;
    conflict = rangelock_conflict(set.locks, set.n, &change->request);
    if (conflict) {
        change->conflict = *conflict;
        rc = hf_fail(err, HF_AGAIN, "process %u has a lock there", conflict->pid);
        goto out;
    }
    rc = rangelock_apply(set.locks, set.n, &change->request, &held, &n);
    if (rc == HF_OK)
        rc = replace_locks(transaction, &change->request, held, n, err);
    else
        hf_fail(err, rc, "out of memory");
out:
    free(held);
    free(set.locks);
    return rc;
}

int sqlite_lock_set(struct store *base, uint64_t host, const struct store_lock *lock,
                    struct store_lock *ret_conflict, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    struct lock_write change = {.write = {.run = run_lock}, .store = store, .request = *lock};
    int rc;

    if (host == 0)
        return hf_fail(err, HF_FENCED, "a lock needs a host session");
    change.request.host = host;
    rc = writer_do(&store->writer, &change.write, err);
    if (rc == HF_AGAIN && ret_conflict)
        *ret_conflict = change.conflict;
    return rc;
}

int sqlite_lock_test(struct store *base, uint64_t host, const struct store_lock *lock,
                     struct store_lock *ret_conflict, struct hf_error *err)
{
    struct sqlite_store *store = sqlite_store_of(base);
    const struct store_lock *conflict = NULL;
    struct store_lock request = *lock;
    struct lock_set set = {0};
    struct db *reader;
    int rc = readers_take(&store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    request.host = host;
    rc = load_locks(store, reader, &request, &set, err);
    readers_give(&store->readers, reader);
    if (rc == HF_OK)
        conflict = rangelock_conflict(set.locks, set.n, &request);
    if (conflict)
        *ret_conflict = *conflict;
    else if (rc == HF_OK)
        rc = hf_fail(err, HF_NOENT, "no lock is in the way");
    free(set.locks);
    return rc;
}
