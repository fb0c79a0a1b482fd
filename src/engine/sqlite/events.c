/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/events.h"

#include "engine/sqlite/engine.h"
#include "engine/sqlite/session_row.h"

#define EVENTS_AT_ONCE 256

struct event_row {
    uint64_t id, origin, target;
    struct store_event event;
};

static int read_event(sqlite3_stmt *statement, struct event_row *ret_row, struct hf_error *err)
{
    int rc = db_verify(statement, "event", 0, 7, err);

    if (rc != HF_OK)
        return rc;
    *ret_row = (struct event_row){.id = db_column_uint(statement, 0),
                                  .origin = db_column_uint(statement, 5),
                                  .target = db_column_uint(statement, 6),
                                  .event = {.kind = (enum event_kind)db_column_int(statement, 1),
                                            .sid = db_column_uint(statement, 2),
                                            .version = db_column_uint(statement, 3),
                                            .token = db_column_uint(statement, 4)}};
    return HF_OK;
}

/* Reads the next events. Returns their number or a failure. */
static int read_events(struct events *events, struct event_row *rows)
{
    struct db *reader;
    sqlite3_stmt *statement = NULL;
    int n = 0;
    int rc = readers_take(&events->store->readers, &reader, NULL);

    if (rc != HF_OK)
        return rc;
    rc = db_start(reader, QUERY_EVENT_AFTER,
                  DB_VALUES(db_uint(events->cursor), db_int(EVENTS_AT_ONCE)), &statement, NULL);
    if (rc == HF_OK)
        while (n < EVENTS_AT_ONCE && (rc = db_next(reader, statement, NULL)) == 1) {
            events->cursor = db_column_uint(statement, 0);
            if (read_event(statement, &rows[n], NULL) == HF_OK)
                n++;
        }
    db_done(statement);
    readers_give(&events->store->readers, reader);
    return rc < 0 ? rc : n;
}

static unsigned count_others(struct events *events)
{
    struct db *reader;
    sqlite3_stmt *statement = NULL;
    unsigned others = 0;

    if (readers_take(&events->store->readers, &reader, NULL) != HF_OK)
        return 0;
    if (db_start(reader, QUERY_WRITER_FACTS, DB_VALUES(db_uint(events->host)), &statement, NULL) ==
            HF_OK &&
        db_next(reader, statement, NULL) == 1)
        others = (unsigned)db_column_uint(statement, 2);
    db_done(statement);
    readers_give(&events->store->readers, reader);
    return others;
}

static void deliver(struct events *events, struct event_row *row)
{
    if (row->origin == events->host || (row->target != 0 && row->target != events->host))
        return;
    if (row->event.kind == EVENT_HOSTS_CHANGED)
        row->event.other_hosts = count_others(events);
    if (events->listener.event)
        events->listener.event(&row->event, events->listener.arg);
}

static void look_after_hosts(struct events *events)
{
    struct bell *bell = &events->store->bell;
    uint64_t exits;

    pthread_mutex_lock(&bell->lock);
    exits = bell->exits;
    pthread_mutex_unlock(&bell->lock);
    if (exits == events->exits)
        return;
    events->exits = exits;
    if (sqlite_hosts_bury(events->store) > 0 && events->listener.event) {
        struct store_event event = {.kind = EVENT_HOSTS_CHANGED,
                                    .other_hosts = count_others(events)};

        events->listener.event(&event, events->listener.arg);
    }
}

static void *tell(void *arg)
{
    struct events *events = arg;
    struct event_row rows[EVENTS_AT_ONCE];
    uint64_t seen = 0;
    int n;

    do {
        seen = bell_rings(&events->store->bell);
        do {
            n = read_events(events, rows);
            for (int i = 0; i < n; i++)
                deliver(events, &rows[i]);
        } while (n == EVENTS_AT_ONCE);
        look_after_hosts(events);
    } while (bell_wait(&events->store->bell, seen, -1));
    return NULL;
}

int events_start(struct events *events, struct sqlite_store *store, uint64_t host,
                 const struct store_listener *listener, uint64_t cursor, struct hf_error *err)
{
    *events = (struct events){.store = store, .host = host, .cursor = cursor};
    if (listener)
        events->listener = *listener;
    if (pthread_create(&events->thread, NULL, tell, events) != 0)
        return hf_fail(err, HF_NOMEM, "cannot start a thread");
    events->started = true;
    return HF_OK;
}

void events_stop(struct events *events)
{
    if (events->started)
        pthread_join(events->thread, NULL);
    events->started = false;
}
