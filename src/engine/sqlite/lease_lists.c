/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds what, who waits for it, and what became of leases before. */
#include <stdlib.h>

#include "engine/sqlite/hosts.h"
#include "engine/sqlite/leases.h"
#include "engine/sqlite/waiters.h"

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
