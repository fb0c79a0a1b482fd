/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists: the answer comes in parts, and each is visited in the caller's thread while the next is on its way. When
 * the connection breaks in between, a list in a known order goes on behind the last row that was visited. One
 * without an order is gathered before its first row is visited if it is short, and fails if it is long.
 */
#include <stdio.h>
#include <stdlib.h>

#include "engine/remote/engine.h"

struct list {
    struct store *store;
    Holdfast__Wire__Request *request;
    Holdfast__Wire__Reply__ResultCase expected;
    /** Visits the rows of one part. Not 0: stop. */
    int (*take)(struct list *list, const Holdfast__Wire__Reply *reply, struct wire_arena *arena,
                struct hf_error *err);
    /** Changes the request to what is left; false: nothing is. NULL: that cannot be said. */
    bool (*go_on)(struct list *list);
    bool whole; /**< visit nothing before all is there */
    uint64_t visited;
};

struct frames {
    Holdfast__Wire__Frame **list;
    size_t n, cap;
};

static void frames_free(struct frames *frames)
{
    for (size_t i = 0; i < frames->n; i++)
        holdfast__wire__frame__free_unpacked(frames->list[i], NULL);
    free(frames->list);
}

static int frames_add(struct frames *frames, Holdfast__Wire__Frame *frame)
{
    size_t cap = frames->cap ? frames->cap * 2 : 8;

    if (frames->n == frames->cap) {
        Holdfast__Wire__Frame **bigger = reallocarray(frames->list, cap, sizeof(void *));

        if (!bigger)
            return HF_NOMEM;
        frames->list = bigger;
        frames->cap = cap;
    }
    frames->list[frames->n++] = frame;
    return HF_OK;
}

/* Takes a part: an answer that fails ends the list, an empty one has no rows. */
static int take_part(struct list *list, const Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct wire_arena arena = {0};
    int rc;

    if (reply->status == 0 && reply->result_case == HOLDFAST__WIRE__REPLY__RESULT__NOT_SET)
        return HF_OK;
    rc = remote_check(reply, list->expected, err);
    if (rc == HF_OK)
        rc = list->take(list, reply, &arena, err);
    wire_arena_free(&arena);
    return rc;
}

static int take_gathered(struct list *list, struct frames *frames, struct hf_error *err)
{
    int rc = HF_OK;

    for (size_t i = 0; i < frames->n && rc == HF_OK; i++)
        rc = take_part(list, frames->list[i]->reply, err);
    return rc;
}

/* Reads the answer of one request. `*ret_torn`: the connection broke, and the rest can be asked for. */
static int read_answer(struct list *list, struct call *call, bool *ret_torn, struct hf_error *err)
{
    struct link *link = &remote_store_of(list->store)->link;
    struct frames gathered = {0};
    Holdfast__Wire__Frame *frame = NULL;
    int rc = HF_OK;

    for (bool more = true; more && rc == HF_OK;) {
        rc = link_next(link, call, &frame, err);
        if (rc != HF_OK) {
            *ret_torn = rc == HF_STALE;
            break;
        }
        more = frame->reply->more;
        if (!list->whole)
            rc = take_part(list, frame->reply, err);
        else
            rc = frames_add(&gathered, frame);
        if (!list->whole || rc != HF_OK)
            holdfast__wire__frame__free_unpacked(frame, NULL);
    }
    if (rc == HF_OK)
        rc = take_gathered(list, &gathered, err);
    frames_free(&gathered);
    return rc;
}

static int run(struct list *list, struct hf_error *err)
{
    struct link *link = &remote_store_of(list->store)->link;
    struct call *call = NULL;
    bool torn = false;
    int rc;

    do {
        torn = false;
        rc = link_begin(link, list->request, 0, &call, err);
        if (rc == HF_OK)
            rc = read_answer(list, call, &torn, err);
        link_end(link, call);
        call = NULL;
        if (torn && list->visited > 0 && !list->go_on)
            return hf_fail(err, HF_IO,
                           "the connection to the store's server broke in the middle "
                           "of a list");
        if (torn && list->visited > 0 && !list->go_on(list))
            return HF_OK;
    } while (torn);
    return rc;
}

/* --- sessions ------------------------------------------------------------------------------------------ */

struct session_rows {
    struct list list;
    session_visit_fn visit;
    void *arg;
    Holdfast__Wire__SessionListRequest *message;
    uint64_t limit;
    char last[SESSION_NAME_MAX + 1];
};

static int take_sessions(struct list *list, const Holdfast__Wire__Reply *reply,
                         struct wire_arena *arena, struct hf_error *err)
{
    struct session_rows *rows = (struct session_rows *)list;
    const Holdfast__Wire__SessionInfos *infos = reply->sessions;
    struct session_info info;
    int rc = HF_OK;

    for (size_t i = 0; i < infos->n_sessions && rc == HF_OK; i++) {
        rc = wire_read_session_info(infos->sessions[i], arena, &info, err);
        if (rc != HF_OK)
            break;
        list->visited++;
        snprintf(rows->last, sizeof rows->last, "%s", info.name);
        rc = rows->visit(&info, rows->arg);
    }
    return rc;
}

static bool more_sessions(struct list *list)
{
    struct session_rows *rows = (struct session_rows *)list;

    rows->message->after = wire_fill_text(rows->last);
    if (rows->limit > 0)
        rows->message->limit = rows->limit - list->visited;
    return rows->limit == 0 || rows->limit > list->visited;
}

int remote_session_list(struct store *store, const struct session_filter *filter,
                        session_visit_fn visit, void *arg, struct hf_error *err)
{
    REMOTE_REQUEST(request, SESSION_LIST, session_list, NULL);
    struct session_rows rows = {.list = {store, &request, HOLDFAST__WIRE__REPLY__RESULT_SESSIONS,
                                         take_sessions, more_sessions, false, 0},
                                .visit = visit,
                                .arg = arg,
                                .limit = filter->limit};
    struct wire_arena arena = {0};
    int rc = wire_fill_filter(filter, &arena, &rows.message, err);

    /* In the trash a name may be there several times, so that none can be gone on behind. */
    rows.list.whole = filter->trashed;
    request.session_list = rows.message;
    if (rc == HF_OK)
        rc = run(&rows.list, err);
    wire_arena_free(&arena);
    return rc;
}

/* --- history and audit ----------------------------------------------------------------------------------- */

struct history_rows {
    struct list list;
    history_visit_fn visit;
    void *arg;
    Holdfast__Wire__HistoryRequest message;
    uint64_t limit, last;
};

static int take_history(struct list *list, const Holdfast__Wire__Reply *reply,
                        struct wire_arena *arena, struct hf_error *err)
{
    struct history_rows *rows = (struct history_rows *)list;
    const Holdfast__Wire__HistoryEntries *entries = reply->history;
    struct history_entry entry;
    int rc = HF_OK;

    for (size_t i = 0; i < entries->n_entries && rc == HF_OK; i++) {
        rc = wire_read_history(entries->entries[i], arena, &entry, err);
        if (rc != HF_OK)
            break;
        list->visited++;
        rows->last = entry.version;
        rc = rows->visit(&entry, rows->arg);
    }
    return rc;
}

static bool more_history(struct list *list)
{
    struct history_rows *rows = (struct history_rows *)list;

    if (rows->last == 0 || (rows->limit > 0 && rows->limit <= list->visited))
        return false;
    rows->message.from = rows->last - 1;
    if (rows->limit > 0)
        rows->message.limit = rows->limit - list->visited;
    return true;
}

int remote_history(struct store *store, uint64_t sid, uint64_t from, uint64_t limit,
                   history_visit_fn visit, void *arg, struct hf_error *err)
{
    REMOTE_REQUEST(request, HISTORY, history, NULL);
    struct history_rows rows = {.list = {store, &request, HOLDFAST__WIRE__REPLY__RESULT_HISTORY,
                                         take_history, more_history, false, 0},
                                .visit = visit,
                                .arg = arg,
                                .message = HOLDFAST__WIRE__HISTORY_REQUEST__INIT,
                                .limit = limit};

    rows.message.sid = sid;
    rows.message.from = from;
    rows.message.limit = limit;
    request.history = &rows.message;
    return run(&rows.list, err);
}

struct audit_rows {
    struct list list;
    audit_visit_fn visit;
    void *arg;
    Holdfast__Wire__AuditRequest message;
    uint64_t last;
};

static int take_audit(struct list *list, const Holdfast__Wire__Reply *reply,
                      struct wire_arena *arena, struct hf_error *err)
{
    struct audit_rows *rows = (struct audit_rows *)list;
    const Holdfast__Wire__AuditEntries *entries = reply->audit;
    struct audit_entry entry;
    int rc = HF_OK;

    for (size_t i = 0; i < entries->n_entries && rc == HF_OK; i++) {
        rc = wire_read_audit(entries->entries[i], arena, &entry, err);
        if (rc != HF_OK)
            break;
        list->visited++;
        rows->last = entry.id;
        rc = rows->visit(&entry, rows->arg);
    }
    return rc;
}

static bool more_audit(struct list *list)
{
    struct audit_rows *rows = (struct audit_rows *)list;

    rows->message.from = rows->last + 1;
    return true;
}

int remote_audit(struct store *store, uint64_t sid, uint64_t from, audit_visit_fn visit, void *arg,
                 struct hf_error *err)
{
    REMOTE_REQUEST(request, AUDIT, audit, NULL);
    struct audit_rows rows = {.list = {store, &request, HOLDFAST__WIRE__REPLY__RESULT_AUDIT,
                                       take_audit, more_audit, false, 0},
                              .visit = visit,
                              .arg = arg,
                              .message = HOLDFAST__WIRE__AUDIT_REQUEST__INIT};

    rows.message.sid = sid;
    rows.message.from = from;
    request.audit = &rows.message;
    return run(&rows.list, err);
}

/* --- lists of everything that there is ------------------------------------------------------------------ */

struct plain_rows {
    struct list list;
    union {
        host_visit_fn host;
        lease_visit_fn lease;
        snapshot_visit_fn snapshot;
        root_visit_fn root;
        check_report_fn finding;
        rescue_visit_fn rescue;
        pin_visit_fn pin;
    } visit;
    void *arg;
};

static int take_hosts(struct list *list, const Holdfast__Wire__Reply *reply,
                      struct wire_arena *arena, struct hf_error *err)
{
    struct plain_rows *rows = (struct plain_rows *)list;
    struct host_info row;
    int rc = HF_OK;

    for (size_t i = 0; i < reply->hosts->n_hosts && rc == HF_OK; i++) {
        rc = wire_read_host_info(reply->hosts->hosts[i], arena, &row, err);
        list->visited += rc == HF_OK;
        if (rc == HF_OK)
            rc = rows->visit.host(&row, rows->arg);
    }
    return rc;
}

static int take_leases(struct list *list, const Holdfast__Wire__Reply *reply,
                       struct wire_arena *arena, struct hf_error *err)
{
    struct plain_rows *rows = (struct plain_rows *)list;
    struct lease_info row;
    int rc = HF_OK;

    for (size_t i = 0; i < reply->leases->n_leases && rc == HF_OK; i++) {
        rc = wire_read_lease_info(reply->leases->leases[i], arena, &row, err);
        list->visited += rc == HF_OK;
        if (rc == HF_OK)
            rc = rows->visit.lease(&row, rows->arg);
    }
    return rc;
}

static int take_snapshots(struct list *list, const Holdfast__Wire__Reply *reply,
                          struct wire_arena *arena, struct hf_error *err)
{
    struct plain_rows *rows = (struct plain_rows *)list;
    struct snapshot_info row;
    int rc = HF_OK;

    for (size_t i = 0; i < reply->snapshots->n_snapshots && rc == HF_OK; i++) {
        rc = wire_read_snapshot(reply->snapshots->snapshots[i], arena, &row, err);
        list->visited += rc == HF_OK;
        if (rc == HF_OK)
            rc = rows->visit.snapshot(&row, rows->arg);
    }
    return rc;
}

static int take_roots(struct list *list, const Holdfast__Wire__Reply *reply,
                      struct wire_arena *arena, struct hf_error *err)
{
    struct plain_rows *rows = (struct plain_rows *)list;
    struct root_info row;
    int rc = HF_OK;

    for (size_t i = 0; i < reply->roots->n_roots && rc == HF_OK; i++) {
        rc = wire_read_root(reply->roots->roots[i], arena, &row, err);
        list->visited += rc == HF_OK;
        if (rc == HF_OK)
            rc = rows->visit.root(&row, rows->arg);
    }
    return rc;
}

static int take_findings(struct list *list, const Holdfast__Wire__Reply *reply,
                         struct wire_arena *arena, struct hf_error *err)
{
    struct plain_rows *rows = (struct plain_rows *)list;
    struct check_finding row;
    int rc = HF_OK;

    for (size_t i = 0; i < reply->findings->n_findings && rc == HF_OK; i++) {
        rc = wire_read_finding(reply->findings->findings[i], arena, &row, err);
        list->visited += rc == HF_OK;
        if (rc == HF_OK)
            rc = rows->visit.finding(&row, rows->arg);
    }
    return rc;
}

static int take_rescues(struct list *list, const Holdfast__Wire__Reply *reply,
                        struct wire_arena *arena, struct hf_error *err)
{
    struct plain_rows *rows = (struct plain_rows *)list;
    struct rescue_info row;
    int rc = HF_OK;

    for (size_t i = 0; i < reply->rescues->n_rescues && rc == HF_OK; i++) {
        rc = wire_read_rescue(reply->rescues->rescues[i], arena, &row, err);
        list->visited += rc == HF_OK;
        if (rc == HF_OK)
            rc = rows->visit.rescue(&row, rows->arg);
    }
    return rc;
}

static int take_pins(struct list *list, const Holdfast__Wire__Reply *reply,
                     struct wire_arena *arena, struct hf_error *err)
{
    struct plain_rows *rows = (struct plain_rows *)list;
    struct pin_info row;
    int rc = HF_OK;

    for (size_t i = 0; i < reply->pins->n_pins && rc == HF_OK; i++) {
        rc = wire_read_pin(reply->pins->pins[i], arena, &row, err);
        list->visited += rc == HF_OK;
        if (rc == HF_OK)
            rc = rows->visit.pin(&row, rows->arg);
    }
    return rc;
}

/* Asks for such a list: its request is an Empty, whatever its name. */
static int run_plain(struct plain_rows *rows, Holdfast__Wire__Request__OpCase kind,
                     struct hf_error *err)
{
    Holdfast__Wire__Empty empty = HOLDFAST__WIRE__EMPTY__INIT;
    REMOTE_REQUEST(request, HOST_LIST, host_list, &empty);
    int rc;

    request.op_case = kind;
    rows->list.request = &request;
    rc = run(&rows->list, err);
    rows->list.request = NULL;
    return rc;
}

int remote_host_list(struct store *store, host_visit_fn visit, void *arg, struct hf_error *err)
{
    struct plain_rows rows = {.list = {.store = store,
                                       .expected = HOLDFAST__WIRE__REPLY__RESULT_HOSTS,
                                       .take = take_hosts,
                                       .whole = true},
                              .visit.host = visit,
                              .arg = arg};

    return run_plain(&rows, HOLDFAST__WIRE__REQUEST__OP_HOST_LIST, err);
}

int remote_lease_list(struct store *store, lease_visit_fn visit, void *arg, struct hf_error *err)
{
    struct plain_rows rows = {.list = {.store = store,
                                       .expected = HOLDFAST__WIRE__REPLY__RESULT_LEASES,
                                       .take = take_leases,
                                       .whole = true},
                              .visit.lease = visit,
                              .arg = arg};

    return run_plain(&rows, HOLDFAST__WIRE__REQUEST__OP_LEASE_LIST, err);
}

int remote_snapshot_list(struct store *store, snapshot_visit_fn visit, void *arg,
                         struct hf_error *err)
{
    struct plain_rows rows = {.list = {.store = store,
                                       .expected = HOLDFAST__WIRE__REPLY__RESULT_SNAPSHOTS,
                                       .take = take_snapshots,
                                       .whole = true},
                              .visit.snapshot = visit,
                              .arg = arg};

    return run_plain(&rows, HOLDFAST__WIRE__REQUEST__OP_SNAPSHOT_LIST, err);
}

int remote_roots(struct store *store, root_visit_fn visit, void *arg, struct hf_error *err)
{
    struct plain_rows rows = {.list = {.store = store,
                                       .expected = HOLDFAST__WIRE__REPLY__RESULT_ROOTS,
                                       .take = take_roots},
                              .visit.root = visit,
                              .arg = arg};

    return run_plain(&rows, HOLDFAST__WIRE__REQUEST__OP_ROOTS, err);
}

int remote_check_store(struct store *store, check_report_fn visit, void *arg, struct hf_error *err)
{
    struct plain_rows rows = {.list = {.store = store,
                                       .expected = HOLDFAST__WIRE__REPLY__RESULT_FINDINGS,
                                       .take = take_findings},
                              .visit.finding = visit,
                              .arg = arg};

    return run_plain(&rows, HOLDFAST__WIRE__REQUEST__OP_CHECK, err);
}

int remote_rescue_list(struct store *store, uint64_t sid, rescue_visit_fn visit, void *arg,
                       struct hf_error *err)
{
    Holdfast__Wire__RescueListRequest message = HOLDFAST__WIRE__RESCUE_LIST_REQUEST__INIT;
    REMOTE_REQUEST(request, RESCUE_LIST, rescue_list, &message);
    struct plain_rows rows = {.list = {.store = store,
                                       .request = &request,
                                       .expected = HOLDFAST__WIRE__REPLY__RESULT_RESCUES,
                                       .take = take_rescues,
                                       .whole = true},
                              .visit.rescue = visit,
                              .arg = arg};

    message.sid = sid;
    return run(&rows.list, err);
}

int remote_snapshot_pins(struct store *store, const char *name, pin_visit_fn visit, void *arg,
                         struct hf_error *err)
{
    Holdfast__Wire__SnapshotRequest message = HOLDFAST__WIRE__SNAPSHOT_REQUEST__INIT;
    REMOTE_REQUEST(request, SNAPSHOT_PINS, snapshot_pins, &message);
    struct plain_rows rows = {.list = {.store = store,
                                       .request = &request,
                                       .expected = HOLDFAST__WIRE__REPLY__RESULT_PINS,
                                       .take = take_pins},
                              .visit.pin = visit,
                              .arg = arg};

    message.name = wire_fill_text(name);
    return run(&rows.list, err);
}
