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

/* Reads the next events: those that are sound into `rows`, their number to `*ret_n`. Returns how many there
 * were, or a failure. */
static int read_events(struct events *events, struct event_row *rows, int *ret_n)
{
    struct db *reader;
    sqlite3_stmt *statement = NULL;
    int seen = 0, n = 0;
    int rc = readers_take(&events->store->readers, &reader, NULL);

    if (rc != HF_OK)
        return rc;
    rc = db_start(reader, QUERY_EVENT_AFTER,
                  DB_VALUES(db_uint(events->cursor), db_int(EVENTS_AT_ONCE)), &statement, NULL);
    while (rc >= 0 && (rc = db_next(reader, statement, NULL)) == 1) {
        uint64_t id = db_column_uint(statement, 0);

        events->missed |= id != events->cursor + 1;
        events->cursor = id;
        seen++;
        if (read_event(statement, &rows[n], NULL) == HF_OK)
            n++;
        else
            events->missed = true;
    }
    db_done(statement);
    readers_give(&events->store->readers, reader);
    *ret_n = n;
    return rc < 0 ? rc : seen;
}

static unsigned count_others(struct events *events)
{
    struct db *reader;
    sqlite3_stmt *statement = NULL;
    unsigned others = 1; /* who cannot be counted is taken to be about */

    if (readers_take(&events->store->readers, &reader, NULL) != HF_OK)
        return others;
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

/* What the listener may have missed: every head may have moved, and what it holds may be asked for. */
static int recall_missed(const struct session_info *info, void *arg)
{
    struct events *events = arg;
    struct store_event event = {
        .kind = EVENT_HEAD_MOVED, .sid = info->head.sid, .version = info->head.version};

    events->listener.event(&event, events->listener.arg);
    return 0;
}

static int recall_asked(const struct lease_info *info, void *arg)
{
    struct events *events = arg;
    struct store_event event = {
        .kind = EVENT_LEASE_RECALLED, .sid = info->sid, .token = info->token};

    if (info->host == events->host && info->state == LEASE_RECALLED)
        events->listener.event(&event, events->listener.arg);
    return 0;
}

static void tell_missed(struct events *events)
{
    static const struct session_filter all;
    static const struct store_event locks = {.kind = EVENT_LOCKS_CHANGED};
    struct store_event sessions = {.kind = EVENT_SESSIONS_CHANGED};

    events->missed = false;
    if (!events->listener.event)
        return;
    events->listener.event(&sessions, events->listener.arg);
    events->listener.event(&locks, events->listener.arg);
    sqlite_session_list(&events->store->base, &all, recall_missed, events, NULL);
    sqlite_lease_list(&events->store->base, recall_asked, events, NULL);
}

static void *tell(void *arg)
{
    struct events *events = arg;
    struct event_row rows[EVENTS_AT_ONCE];
    uint64_t seen;
    int found, n;

    do {
        seen = bell_rings(&events->store->bell);
        do {
            n = 0;
            found = read_events(events, rows, &n);
            for (int i = 0; i < n; i++)
                deliver(events, &rows[i]);
        } while (found == EVENTS_AT_ONCE);
        if (events->missed)
            tell_missed(events);
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
