/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/decorator/trace.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct trace_store {
    struct store base;
    struct store *below;
    const struct clock *clock;
    int fd;
    pthread_mutex_t mutex; /* guards what follows; never held during a call below */
    struct trace_counters counters;
    struct between *between; /* all there were */
};

/* Stands between the store below and the listener of one host session. Kept until the end: nobody says when it
 * is called no more. */
struct between {
    struct between *next;
    struct trace_store *trace;
    struct store_listener listener;
};

/* One call under way. */
struct span {
    struct trace_store *trace;
    struct store *below;
    enum store_op op;
    int64_t start;
    uint64_t items, bytes;
    char detail[160];
};

static const struct store_ops trace_ops;

static struct trace_store *trace_of(struct store *store)
{
    assert(store->ops == &trace_ops);
    return (struct trace_store *)store;
}

const uint64_t trace_bounds[TRACE_NBOUNDS] = {
    50000,     100000,     200000,     500000,     1000000,     2000000,
    5000000,   10000000,   20000000,   50000000,   100000000,   200000000,
    500000000, 1000000000, 2000000000, 5000000000, 10000000000,
};

/* --- measuring ----------------------------------------------------------------------------------------- */

static struct span begin(struct store *store, enum store_op op, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static struct span begin(struct store *store, enum store_op op, const char *format, ...)
{
    struct trace_store *trace = trace_of(store);
    struct span span = {.trace = trace, .below = trace->below, .op = op};
    va_list args;

    if (trace->fd >= 0) {
        va_start(args, format);
        vsnprintf(span.detail, sizeof span.detail, format, args);
        va_end(args);
    }
    span.start = clock_boottime(trace->clock);
    return span;
}

static void count(struct trace_counter *counter, const struct span *span, uint64_t took, int rc)
{
    size_t bound = 0;

    while (bound < TRACE_NBOUNDS && took > trace_bounds[bound])
        bound++;
    counter->within[bound]++;
    counter->calls++;
    counter->failures += rc != HF_OK;
    counter->items += span->items;
    counter->bytes += span->bytes;
    counter->total_ns += took;
    if (took > counter->slowest_ns)
        counter->slowest_ns = took;
}

static void write_line(const struct trace_store *trace, const char *line, int len, size_t size)
{
    if (len < 0)
        return;
    /* A trace that cannot be written harms nobody. */
    if (write(trace->fd, line, (size_t)len < size ? (size_t)len : size - 1) < 0)
        return;
}

static void log_call(const struct span *span, uint64_t took, int rc)
{
    char line[400], amount[64] = "";
    int len;

    if (span->items > 0)
        snprintf(amount, sizeof amount, " %llu items %llu bytes", (unsigned long long)span->items,
                 (unsigned long long)span->bytes);
    len = snprintf(line, sizeof line, "store %s%s%s%s %llu us: %s\n", store_op_name(span->op),
                   span->detail[0] ? " " : "", span->detail, amount,
                   (unsigned long long)(took / 1000), hf_status_text(rc));
    write_line(span->trace, line, len, sizeof line);
}

static int end(const struct span *span, int rc)
{
    struct trace_store *trace = span->trace;
    int64_t now = clock_boottime(trace->clock);
    uint64_t took = now > span->start ? (uint64_t)(now - span->start) : 0;

    pthread_mutex_lock(&trace->mutex);
    count(&trace->counters.ops[span->op], span, took, rc);
    pthread_mutex_unlock(&trace->mutex);
    if (trace->fd >= 0)
        log_call(span, took, rc);
    return rc;
}

static void weigh(struct span *span, const struct object *objects, size_t n)
{
    span->items = n;
    for (size_t i = 0; i < n; i++)
        span->bytes += objects[i].content.len;
}

static unsigned long long ull(uint64_t value)
{
    return value;
}

/* --- the calls ------------------------------------------------------------------------------------------ */

static int trace_put(struct store *store, uint64_t host, const struct object *objects, size_t n,
                     struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_PUT, "host %llu", ull(host));

    weigh(&span, objects, n);
    return end(&span, store_put(span.below, host, objects, n, err));
}

static int trace_get(struct store *store, const struct object_id *ids, size_t n,
                     struct buf *ret_contents, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_GET, "%s", "");
    int rc = store_get(span.below, ids, n, ret_contents, err);

    span.items = n;
    for (size_t i = 0; i < n; i++)
        span.bytes += ret_contents[i].len;
    return end(&span, rc);
}

static int trace_missing(struct store *store, uint64_t host, const struct object_id *ids, size_t n,
                         bool *ret_missing, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_MISSING, "host %llu", ull(host));

    span.items = n;
    return end(&span, store_missing(span.below, host, ids, n, ret_missing, err));
}

static int trace_session_list(struct store *store, const struct session_filter *filter,
                              session_visit_fn visit, void *arg, struct hf_error *err)
{
    struct span span =
        begin(store, STORE_OP_SESSION_LIST, "%s", filter->name_glob ? filter->name_glob : "");

    return end(&span, store_session_list(span.below, filter, visit, arg, err));
}

static int trace_session_find(struct store *store, const char *name, struct session_head *ret_head,
                              struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SESSION_FIND, "%s", name);

    return end(&span, store_session_find(span.below, name, ret_head, err));
}

static int trace_session_head(struct store *store, uint64_t sid, struct session_head *ret_head,
                              struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SESSION_HEAD, "session %llu", ull(sid));

    return end(&span, store_session_head(span.below, sid, ret_head, err));
}

static int trace_session_create(struct store *store, uint64_t host, const char *name,
                                const struct commit *first, struct lease *ret_lease,
                                struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SESSION_CREATE, "%s host %llu", name, ull(host));

    weigh(&span, first->objects, first->nobjects);
    return end(&span, store_session_create(span.below, host, name, first, ret_lease, err));
}

static int trace_session_rename(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                                const char *name, enum session_rename_mode mode,
                                uint64_t other_token, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SESSION_RENAME, "session %llu to %s host %llu",
                             ull(sid), name, ull(host));

    return end(&span,
               store_session_rename(span.below, host, sid, token, name, mode, other_token, err));
}

static int trace_session_delete(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                                struct hf_error *err)
{
    struct span span =
        begin(store, STORE_OP_SESSION_DELETE, "session %llu token %llu", ull(sid), ull(token));

    return end(&span, store_session_delete(span.below, host, sid, token, err));
}

static int trace_session_undelete(struct store *store, uint64_t sid, const char *name,
                                  struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SESSION_UNDELETE, "session %llu", ull(sid));

    return end(&span, store_session_undelete(span.below, sid, name, err));
}

static int trace_session_purge(struct store *store, uint64_t sid, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SESSION_PURGE, "session %llu", ull(sid));

    return end(&span, store_session_purge(span.below, sid, err));
}

static int trace_commit(struct store *store, uint64_t host, const struct commit *commit,
                        uint64_t *ret_version, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_COMMIT, "session %llu token %llu base %llu%s",
                             ull(commit->sid), ull(commit->token), ull(commit->base_version),
                             commit->durability == DURABILITY_SYNC ? " synced" : "");

    weigh(&span, commit->objects, commit->nobjects);
    return end(&span, store_commit(span.below, host, commit, ret_version, err));
}

static int trace_sync(struct store *store, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SYNC, "%s", "");

    return end(&span, store_sync(span.below, err));
}

static int trace_history(struct store *store, uint64_t sid, uint64_t from, uint64_t limit,
                         history_visit_fn visit, void *arg, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_HISTORY, "session %llu", ull(sid));

    return end(&span, store_history(span.below, sid, from, limit, visit, arg, err));
}

static int trace_history_drop(struct store *store, uint64_t sid, const uint64_t *versions, size_t n,
                              uint64_t *ret_dropped, struct hf_error *err)
{
    struct span span =
        begin(store, STORE_OP_HISTORY_DROP, "session %llu versions %zu", ull(sid), n);

    return end(&span, store_history_drop(span.below, sid, versions, n, ret_dropped, err));
}

static int trace_rescue(struct store *store, uint64_t host, const struct commit *commit,
                        const char *reason, uint64_t *ret_rescue_id, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_RESCUE, "session %llu", ull(commit->sid));

    weigh(&span, commit->objects, commit->nobjects);
    return end(&span, store_rescue(span.below, host, commit, reason, ret_rescue_id, err));
}

static const char *event_name(enum event_kind kind)
{
    static const char *const names[] = {"?",
                                        "head moved",
                                        "lease recalled",
                                        "lease lost",
                                        "sessions changed",
                                        "hosts changed",
                                        "locks changed",
                                        "lease answered",
                                        "missed",
                                        "host lost"};

    return names[kind <= EVENT_HOST_LOST ? kind : 0];
}

static void trace_event(const struct store_event *event, void *arg)
{
    struct between *between = arg;
    char line[200];
    int len;

    if (between->trace->fd >= 0) {
        len = snprintf(line, sizeof line, "event %s: session %llu version %llu token %llu\n",
                       event_name(event->kind), ull(event->sid), ull(event->version),
                       ull(event->token));
        write_line(between->trace, line, len, sizeof line);
    }
    between->listener.event(event, between->listener.arg);
}

static struct between *between_new(struct trace_store *trace, const struct store_listener *listener)
{
    struct between *between = calloc(1, sizeof *between);

    if (!between)
        return NULL;
    between->trace = trace;
    between->listener = *listener;
    pthread_mutex_lock(&trace->mutex);
    between->next = trace->between;
    trace->between = between;
    pthread_mutex_unlock(&trace->mutex);
    return between;
}

static int trace_rescue_list(struct store *store, uint64_t sid, rescue_visit_fn visit, void *arg,
                             struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_RESCUE_LIST, "%s", "");

    return end(&span, store_rescue_list(span.below, sid, visit, arg, err));
}

static int trace_rescue_drop(struct store *store, uint64_t sid, uint64_t rescue,
                             struct hf_error *err)
{
    struct span span =
        begin(store, STORE_OP_RESCUE_DROP, "session %llu rescue %llu", ull(sid), ull(rescue));

    return end(&span, store_rescue_drop(span.below, sid, rescue, err));
}

static int trace_host_register(struct store *store, const struct host_identity *identity,
                               const struct store_listener *listener, uint64_t *ret_host,
                               struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_HOST_REGISTER, "%s", identity->host_name);
    struct between *between = listener ? between_new(span.trace, listener) : NULL;
    struct store_listener told = {
        .event = trace_event, .arg = between, .heads_once = listener && listener->heads_once};

    if (listener && !between)
        return end(&span, hf_fail(err, HF_NOMEM, "out of memory"));
    return end(&span,
               store_host_register(span.below, identity, between ? &told : NULL, ret_host, err));
}

static int trace_host_heartbeat(struct store *store, uint64_t host, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_HOST_HEARTBEAT, "host %llu", ull(host));

    return end(&span, store_host_heartbeat(span.below, host, err));
}

static int trace_host_detach(struct store *store, uint64_t host, uint32_t grace_ms,
                             struct hf_error *err)
{
    struct span span =
        begin(store, STORE_OP_HOST_DETACH, "host %llu grace %u ms", ull(host), grace_ms);

    return end(&span, store_host_detach(span.below, host, grace_ms, err));
}

static int trace_host_end(struct store *store, uint64_t host, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_HOST_END, "host %llu", ull(host));

    return end(&span, store_host_end(span.below, host, err));
}

static int64_t trace_away_since(struct store *store)
{
    return store_away_since(trace_of(store)->below);
}

static int64_t trace_host_deadline(struct store *store, uint64_t host)
{
    return store_host_deadline(trace_of(store)->below, host);
}

static int trace_host_list(struct store *store, host_visit_fn visit, void *arg,
                           struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_HOST_LIST, "%s", "");

    return end(&span, store_host_list(span.below, visit, arg, err));
}

static int trace_lease_acquire(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                               struct lease *ret_lease, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_LEASE_ACQUIRE, "session %llu host %llu wait %u ms",
                             ull(sid), ull(host), wait_ms);

    return end(&span, store_lease_acquire(span.below, host, sid, wait_ms, ret_lease, err));
}

static int trace_lease_ask(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                           struct lease *ret_lease, int64_t *ret_again, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_LEASE_ASK, "session %llu host %llu wait %u ms",
                             ull(sid), ull(host), wait_ms);

    return end(&span, store_lease_ask(span.below, host, sid, wait_ms, ret_lease, ret_again, err));
}

static int trace_lease_withdraw(struct store *store, uint64_t host, uint64_t sid,
                                struct hf_error *err)
{
    struct span span =
        begin(store, STORE_OP_LEASE_WITHDRAW, "session %llu host %llu", ull(sid), ull(host));

    return end(&span, store_lease_withdraw(span.below, host, sid, err));
}

static int trace_lease_release(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                               struct hf_error *err)
{
    struct span span =
        begin(store, STORE_OP_LEASE_RELEASE, "session %llu token %llu", ull(sid), ull(token));

    return end(&span, store_lease_release(span.below, host, sid, token, err));
}

static int trace_lease_refuse(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                              const char *pinned_by, struct hf_error *err)
{
    struct span span =
        begin(store, STORE_OP_LEASE_REFUSE, "session %llu token %llu", ull(sid), ull(token));

    return end(&span, store_lease_refuse(span.below, host, sid, token, pinned_by, err));
}

static int trace_lease_break(struct store *store, uint64_t sid, uint64_t token, const char *reason,
                             struct hf_error *err)
{
    struct span span =
        begin(store, STORE_OP_LEASE_BREAK, "session %llu token %llu", ull(sid), ull(token));

    return end(&span, store_lease_break(span.below, sid, token, reason, err));
}

static int trace_lease_list(struct store *store, lease_visit_fn visit, void *arg,
                            struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_LEASE_LIST, "%s", "");

    return end(&span, store_lease_list(span.below, visit, arg, err));
}

static int trace_audit(struct store *store, uint64_t sid, uint64_t from, audit_visit_fn visit,
                       void *arg, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_AUDIT, "%s", "");

    return end(&span, store_audit(span.below, sid, from, visit, arg, err));
}

static int trace_lock_set(struct store *store, uint64_t host, const struct store_lock *lock,
                          struct store_lock *ret_conflict, struct hf_error *err)
{
    struct span span =
        begin(store, STORE_OP_LOCK_SET, "inode %llu type %d %llu-%llu host %llu", ull(lock->ino),
              (int)lock->type, ull(lock->start), ull(lock->end), ull(host));

    return end(&span, store_lock_set(span.below, host, lock, ret_conflict, err));
}

static int trace_lock_test(struct store *store, uint64_t host, const struct store_lock *lock,
                           struct store_lock *ret_conflict, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_LOCK_TEST, "inode %llu", ull(lock->ino));

    return end(&span, store_lock_test(span.below, host, lock, ret_conflict, err));
}

static int trace_snapshot_create(struct store *store, const char *name, const char *const *globs,
                                 size_t n, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SNAPSHOT_CREATE, "%s", name);

    return end(&span, store_snapshot_create(span.below, name, globs, n, err));
}

static int trace_snapshot_list(struct store *store, snapshot_visit_fn visit, void *arg,
                               struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SNAPSHOT_LIST, "%s", "");

    return end(&span, store_snapshot_list(span.below, visit, arg, err));
}

static int trace_snapshot_delete(struct store *store, const char *name, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SNAPSHOT_DELETE, "%s", name);

    return end(&span, store_snapshot_delete(span.below, name, err));
}

static int trace_snapshot_pins(struct store *store, const char *name, pin_visit_fn visit, void *arg,
                               struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SNAPSHOT_PINS, "%s", name);

    return end(&span, store_snapshot_pins(span.below, name, visit, arg, err));
}

static int trace_roots(struct store *store, root_visit_fn visit, void *arg, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_ROOTS, "%s", "");

    return end(&span, store_roots(span.below, visit, arg, err));
}

static int trace_session_receive(struct store *store, const struct session_copy *copy,
                                 struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SESSION_RECEIVE, "session %llu %s versions %zu",
                             ull(copy->sid), copy->name, copy->nversions);

    return end(&span, store_session_receive(span.below, copy, err));
}

static int trace_rescue_receive(struct store *store, const uint8_t origin[UUID_SIZE],
                                const struct rescue_info *rescue, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_RESCUE_RECEIVE, "session %llu rescue %llu",
                             ull(rescue->sid), ull(rescue->id));

    return end(&span, store_rescue_receive(span.below, origin, rescue, err));
}

static int trace_snapshot_receive(struct store *store, const struct snapshot_copy *copy,
                                  struct hf_error *err)
{
    struct span span =
        begin(store, STORE_OP_SNAPSHOT_RECEIVE, "%s pins %zu", copy->name, copy->npins);

    return end(&span, store_snapshot_receive(span.below, copy, err));
}

static int trace_setting_get(struct store *store, const char *name, struct buf *ret_text,
                             struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SETTING_GET, "%s", name);

    return end(&span, store_setting_get(span.below, name, ret_text, err));
}

static int trace_setting_set(struct store *store, const char *name, struct slice text,
                             struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_SETTING_SET, "%s", name);

    return end(&span, store_setting_set(span.below, name, text, err));
}

static int trace_collect(struct store *store, const struct collect_options *options,
                         struct collect_totals *ret_totals, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_COLLECT, "%s", options->dry_run ? "dry run" : "");

    return end(&span, store_collect(span.below, options, ret_totals, err));
}

static int trace_mend(struct store *store, const struct object_id *id, const struct object *good,
                      struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_MEND, "%s", good ? "" : "takes out");

    if (good)
        weigh(&span, good, 1);
    return end(&span, store_mend(span.below, id, good, err));
}

static int trace_stats(struct store *store, struct store_stats *ret_stats, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_STATS, "%s", "");

    return end(&span, store_stats(span.below, ret_stats, err));
}

static int trace_check(struct store *store, check_report_fn report, void *arg, struct hf_error *err)
{
    struct span span = begin(store, STORE_OP_CHECK, "%s", "");

    return end(&span, store_check(span.below, report, arg, err));
}

static void trace_close(struct store *store)
{
    struct trace_store *trace = trace_of(store);
    struct between *between;

    store_close(trace->below);
    while ((between = trace->between)) {
        trace->between = between->next;
        free(between);
    }
    pthread_mutex_destroy(&trace->mutex);
    free(trace);
}

static const struct store_ops trace_ops = {.name = "trace",
                                           .close = trace_close,
                                           .host_deadline = trace_host_deadline,
                                           .away_since = trace_away_since,
#define TRACE_SLOT(upper, lower) .lower = trace_##lower,
                                           STORE_OPS(TRACE_SLOT)
#undef TRACE_SLOT
};

/* --- making and reading ---------------------------------------------------------------------------------- */

int trace_store_new(struct store *below, const struct clock *clock, int fd,
                    struct store **ret_store, struct hf_error *err)
{
    struct trace_store *trace = calloc(1, sizeof *trace);

    if (!trace)
        return hf_fail(err, HF_NOMEM, "out of memory");
    trace->base.ops = &trace_ops;
    trace->base.info = below->info;
    snprintf(trace->base.info.location, sizeof trace->base.info.location, "trace+%s",
             below->info.location);
    trace->below = below;
    trace->clock = clock;
    trace->fd = fd;
    pthread_mutex_init(&trace->mutex, NULL);
    *ret_store = &trace->base;
    return HF_OK;
}

bool trace_store_counters(struct store *store, struct trace_counters *ret_counters)
{
    struct trace_store *trace;

    if (store->ops != &trace_ops)
        return false;
    trace = trace_of(store);
    pthread_mutex_lock(&trace->mutex);
    *ret_counters = trace->counters;
    pthread_mutex_unlock(&trace->mutex);
    return true;
}

struct store *trace_store_below(struct store *store)
{
    return trace_of(store)->below;
}
