/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/events.h"

#include <stdlib.h>

#include "engine/sqlite/engine.h"
#include "engine/sqlite/session_row.h"

#define EVENTS_AT_ONCE 256
/* What failed is tried again so soon. */
#define RETRY_NS 100000000
/* A clock that a test turns is looked at so often. */
#define LOOK_AGAIN_NS 20000000

struct event_row {
    uint64_t id, origin, target;
    struct store_event event;
};

/* --- reading -------------------------------------------------------------------------------------- */

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
    uint64_t hosts = 2; /* who cannot be counted is taken to be about */

    if (readers_take(&events->store->readers, &reader, NULL) != HF_OK)
        return 1;
    query_number(reader, QUERY_HOST_COUNT, &hosts, NULL);
    readers_give(&events->store->readers, reader);
    return hosts > 0 ? (unsigned)hosts - 1 : 0;
}

/* --- telling -------------------------------------------------------------------------------------- */

static void call(struct events *events, uint64_t host, const struct store_event *event)
{
    roster_call(&events->store->roster, host, 0, event);
}

/* A host session of this handle is over; or (a version is given) it goes on through another one. */
static void lose(struct events *events, uint64_t host, const struct store_event *event)
{
    struct sqlite_store *store = events->store;

    if (event->version == 0) {
        roster_bury(&store->roster, host);
        call(events, host, event);
    }
    if (roster_remove(&store->roster, host))
        bell_disclaim(&store->bell, host);
}

static void tell_all(struct events *events, const struct event_row *row)
{
    struct roster *roster = &events->store->roster;
    uint64_t *hosts;
    size_t n;

    if (roster_list(roster, true, &hosts, &n) != HF_OK) {
        events->missed = events->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++)
        if (hosts[i] != row->origin)
            roster_call(roster, hosts[i], row->id, &row->event);
    free(hosts);
}

static void deliver(struct events *events, struct event_row *row)
{
    struct roster *roster = &events->store->roster;

    if (row->event.kind == EVENT_HOSTS_CHANGED)
        row->event.other_hosts = count_others(events);
    if (row->target == 0)
        tell_all(events, row);
    else if (row->event.kind != EVENT_HOST_LOST)
        roster_call(roster, row->target, row->id, &row->event);
    else if (roster_concerns(roster, row->target, row->id))
        lose(events, row->target, &row->event);
}

/* The next session that a host was asked for, after `*sid`. */
static bool next_recalled(struct events *events, uint64_t host, uint64_t *sid,
                          struct session_row *ret_row)
{
    struct db *reader;
    int rc;

    if (readers_take(&events->store->readers, &reader, NULL) != HF_OK) {
        events->missed = events->failed = true;
        return false;
    }
    do
        rc = session_row_held(reader, host, sid, ret_row, NULL);
    while (rc == 1 && ret_row->lease.state != LEASE_RECALLED);
    readers_give(&events->store->readers, reader);
    return rc == 1;
}

static bool is_over(struct events *events, uint64_t host)
{
    struct host_row row;
    struct db *reader;
    int rc = readers_take(&events->store->readers, &reader, NULL);

    if (rc != HF_OK)
        return false;
    rc = host_row_load(reader, host, &row, NULL);
    readers_give(&events->store->readers, reader);
    return rc == HF_NOENT || (rc == HF_OK && !row.alive);
}

/* To one that has just come, or come back, or for which events may be lost. What it holds may be asked for. */
static void greet(struct events *events, uint64_t host, bool missed)
{
    static const struct store_event lost = {.kind = EVENT_HOST_LOST};
    static const struct store_event contact = {.kind = EVENT_MISSED};
    struct store_event others = {.kind = EVENT_HOSTS_CHANGED};
    struct session_row row;
    uint64_t sid = 0;

    if (is_over(events, host)) {
        lose(events, host, &lost);
        return;
    }
    if (missed)
        call(events, host, &contact);
    others.other_hosts = count_others(events);
    call(events, host, &others);
    while (missed && next_recalled(events, host, &sid, &row)) {
        struct store_event recall = {
            .kind = EVENT_LEASE_RECALLED, .sid = sid, .token = row.lease.token};

        call(events, host, &recall);
    }
}

static void greet_newcomers(struct events *events)
{
    uint64_t host;
    bool resumed;

    while ((host = roster_next_new(&events->store->roster, &resumed)) != 0)
        greet(events, host, resumed);
}

/* --- events that are lost --------------------------------------------------------------------------- */

struct retelling {
    struct events *events;
    uint64_t host;
};

static int retell_head(const struct session_info *info, void *arg)
{
    struct retelling *retelling = arg;
    struct store_event event = {
        .kind = EVENT_HEAD_MOVED, .sid = info->head.sid, .version = info->head.version};

    call(retelling->events, retelling->host, &event);
    return 0;
}

/* Everything may have changed. */
static void retell(struct events *events, uint64_t host)
{
    static const struct session_filter all;
    static const struct store_event locks = {.kind = EVENT_LOCKS_CHANGED};
    static const struct store_event sessions = {.kind = EVENT_SESSIONS_CHANGED};
    struct retelling retelling = {events, host};

    call(events, host, &sessions);
    call(events, host, &locks);
    sqlite_session_list(&events->store->base, &all, retell_head, &retelling, NULL);
}

static void tell_missed(struct events *events)
{
    struct roster *roster = &events->store->roster;
    uint64_t *hosts;
    size_t n;

    events->missed = false;
    if (roster_list(roster, true, &hosts, &n) != HF_OK) {
        events->missed = events->failed = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        greet(events, hosts[i], true);
        if (roster_until(roster, hosts[i]) == 0)
            retell(events, hosts[i]); /* one in this process: it is not far to tell it all */
    }
    free(hosts);
}

/* --- the thread ------------------------------------------------------------------------------------- */

static void look_after_hosts(struct events *events)
{
    struct sqlite_store *store = events->store;
    uint64_t exits;
    int buried;

    pthread_mutex_lock(&store->bell.lock);
    exits = store->bell.exits;
    pthread_mutex_unlock(&store->bell.lock);
    if (exits == events->exits && clock_boottime(store->clock) < roster_soonest(&store->roster))
        return;
    while ((buried = sqlite_hosts_bury(store)) > 0)
        continue;
    if (buried < 0) {
        events->failed = true;
        return;
    }
    events->exits = exits;
    roster_recount(&store->roster);
}

/* The last of several that say how many hosts there are says it for all; who has just come was greeted. */
static bool is_superseded(const struct event_row *rows, int i, int n)
{
    if (rows[i].event.kind != EVENT_HOSTS_CHANGED)
        return false;
    for (int k = i + 1; k < n; k++)
        if (rows[k].event.kind == EVENT_HOSTS_CHANGED)
            return true;
    return false;
}

static void hear(struct events *events)
{
    struct event_row rows[EVENTS_AT_ONCE];
    int found, n;

    events->failed = false;
    greet_newcomers(events);
    do {
        n = 0;
        found = read_events(events, rows, &n);
        for (int i = 0; i < n; i++)
            if (!is_superseded(rows, i, n))
                deliver(events, &rows[i]);
    } while (found == EVENTS_AT_ONCE);
    events->failed |= found < 0;
    if (events->missed)
        tell_missed(events);
    look_after_hosts(events);
}

/* How long nothing is to be done unless the bell rings, in ns; -1: for ever. */
static int64_t rest(struct events *events)
{
    const struct clock *clock = events->store->clock;
    int64_t soonest = roster_soonest(&events->store->roster);
    int64_t left;

    if (events->failed)
        return RETRY_NS;
    if (soonest == INT64_MAX)
        return -1;
    left = soonest - clock_boottime(clock);
    if (clock != &clock_system && left > LOOK_AGAIN_NS)
        return LOOK_AGAIN_NS;
    return left > 0 ? left : 0;
}

static void *tell(void *arg)
{
    struct events *events = arg;
    struct bell *bell = &events->store->bell;
    uint64_t seen;

    roster_set_teller(&events->store->roster, pthread_self());
    do {
        seen = bell_rings(bell);
        hear(events);
    } while (bell_wait(bell, seen, rest(events)));
    return NULL;
}

void events_init(struct events *events, struct sqlite_store *store)
{
    *events = (struct events){.store = store};
    pthread_mutex_init(&events->start_lock, NULL);
}

void events_release(struct events *events)
{
    events_stop(events);
    pthread_mutex_destroy(&events->start_lock);
}

static int read_cursor(struct events *events, struct hf_error *err)
{
    struct db *reader;
    int rc = readers_take(&events->store->readers, &reader, err);

    if (rc != HF_OK)
        return rc;
    rc = query_number(reader, QUERY_EVENT_LAST, &events->cursor, err);
    readers_give(&events->store->readers, reader);
    return rc;
}

static int start(struct events *events, struct hf_error *err)
{
    int rc = read_cursor(events, err);

    if (rc == HF_OK)
        rc = bell_watch(&events->store->bell, err);
    if (rc == HF_OK && pthread_create(&events->thread, NULL, tell, events) != 0)
        rc = hf_fail(err, HF_NOMEM, "cannot start a thread");
    return rc;
}

int events_start(struct events *events, struct hf_error *err)
{
    int rc = HF_OK;

    pthread_mutex_lock(&events->start_lock);
    if (!events->started)
        rc = start(events, err);
    events->started |= rc == HF_OK;
    pthread_mutex_unlock(&events->start_lock);
    return rc;
}

void events_stop(struct events *events)
{
    bool started;

    pthread_mutex_lock(&events->start_lock);
    started = events->started;
    events->started = false;
    pthread_mutex_unlock(&events->start_lock);
    if (started)
        pthread_join(events->thread, NULL);
}
