/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/decorator/faulty.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RULES_MAX 32
#define ANY_CALL STORE_OP_COUNT

struct rule {
    enum store_op op; /* or ANY_CALL */
    uint64_t nth;
    int status;
    bool sticky, late;
};

struct faulty_store {
    struct store base;
    struct store *below;
    pthread_mutex_t mutex; /* guards what follows; never held during a call below */
    struct rule rules[RULES_MAX];
    size_t nrules;
    uint64_t calls[STORE_OP_COUNT + 1]; /* of each kind, and of any */
    uint64_t faults;
};

/* What was decided about one call. */
struct verdict {
    int status; /* HF_OK: it goes through */
    bool late;
    enum store_op op;
    uint64_t nth;
};

static const struct store_ops faulty_ops;

static struct faulty_store *faulty_of(struct store *store)
{
    assert(store->ops == &faulty_ops);
    return (struct faulty_store *)store;
}

/* --- the specification ------------------------------------------------------------------------------- */

static int parse_status(const char *name, size_t len, int *ret_status)
{
    static const struct {
        const char *name;
        int status;
    } extra[] = {
        {"FENCED", HF_FENCED},   {"CONFLICT", HF_CONFLICT}, {"CORRUPT", HF_CORRUPT},
        {"FAILED", HF_FAILED},   {"BUSY", HF_BUSY},         {"MISSING", HF_MISSING},
        {"TIMEOUT", HF_TIMEOUT},
    };

    for (size_t i = 0; i < sizeof extra / sizeof extra[0]; i++) {
        if (strlen(extra[i].name) == len && memcmp(extra[i].name, name, len) == 0) {
            *ret_status = extra[i].status;
            return HF_OK;
        }
    }
    for (int error = 1; error < 134; error++) {
        const char *known = strerrorname_np(error);

        if (known && strlen(known) == len && memcmp(known, name, len) == 0) {
            *ret_status = hf_status_from_errno(error);
            return HF_OK;
        }
    }
    return HF_INVAL;
}

static int parse_call(const char *name, size_t len, enum store_op *ret_op)
{
    if (len == 3 && memcmp(name, "any", 3) == 0) {
        *ret_op = ANY_CALL;
        return HF_OK;
    }
    return store_op_parse(name, len, ret_op);
}

/* Parses one rule of `len` bytes: CALL@N:ERROR[+][!] */
static int parse_rule(const char *text, size_t len, struct rule *ret_rule)
{
    const char *at = memchr(text, '@', len);
    const char *colon = memchr(text, ':', len);
    const char *end = text + len;
    struct rule rule = {0};
    char *digits_end;

    if (!at || !colon || colon < at || at[1] < '1' || at[1] > '9')
        return HF_INVAL;
    for (; end > colon + 1 && (end[-1] == '+' || end[-1] == '!'); end--) {
        rule.sticky |= end[-1] == '+';
        rule.late |= end[-1] == '!';
    }
    rule.nth = strtoull(at + 1, &digits_end, 10);
    if (digits_end != colon || parse_call(text, (size_t)(at - text), &rule.op) != HF_OK ||
        parse_status(colon + 1, (size_t)(end - colon - 1), &rule.status) != HF_OK)
        return HF_INVAL;
    *ret_rule = rule;
    return HF_OK;
}

static int parse_spec(const char *spec, struct rule *rules, size_t *ret_n, struct hf_error *err)
{
    size_t n = 0;

    while (spec && *spec) {
        size_t len = strcspn(spec, ",");

        if (n == RULES_MAX)
            return hf_fail(err, HF_INVAL, "more than %d faults", RULES_MAX);
        if (parse_rule(spec, len, &rules[n++]) != HF_OK)
            return hf_fail(err, HF_INVAL, "not a fault: \"%.*s\" (one looks like commit@17:EIO)",
                           (int)(len < 100 ? len : 100), spec);
        spec += len;
        spec += *spec == ',';
        while (*spec == ' ')
            spec++;
    }
    *ret_n = n;
    return HF_OK;
}

/* --- deciding ------------------------------------------------------------------------------------------ */

static bool hits(const struct rule *rule, const struct faulty_store *faulty, enum store_op op)
{
    uint64_t nth = faulty->calls[rule->op];

    return (rule->op == op || rule->op == ANY_CALL) &&
           (rule->sticky ? nth >= rule->nth : nth == rule->nth);
}

/* Counts a call, and decides what becomes of it: the first rule that hits counts. */
static struct verdict judge(struct store *store, enum store_op op)
{
    struct faulty_store *faulty = faulty_of(store);
    struct verdict verdict = {.op = op};

    pthread_mutex_lock(&faulty->mutex);
    verdict.nth = ++faulty->calls[op];
    faulty->calls[ANY_CALL]++;
    for (size_t i = 0; i < faulty->nrules && verdict.status == HF_OK; i++) {
        if (hits(&faulty->rules[i], faulty, op)) {
            verdict.status = faulty->rules[i].status;
            verdict.late = faulty->rules[i].late;
        }
    }
    faulty->faults += verdict.status != HF_OK;
    pthread_mutex_unlock(&faulty->mutex);
    return verdict;
}

static bool goes_through(const struct verdict *verdict)
{
    return verdict->status == HF_OK || verdict->late;
}

/* The answer to the caller, after the call below answered `rc` (or was not made). */
static int answer(const struct verdict *verdict, int rc, struct hf_error *err)
{
    if (verdict->status == HF_OK)
        return rc;
    return hf_fail(err, verdict->status, "injected fault: %s number %llu %s",
                   store_op_name(verdict->op), (unsigned long long)verdict->nth,
                   verdict->late ? "lost its answer" : "failed");
}

/* A call without results beyond its status. */
#define PASS(op, call)                                                                             \
    struct store *below = faulty_of(store)->below;                                                 \
    struct verdict verdict = judge(store, op);                                                     \
    return answer(&verdict, goes_through(&verdict) ? (call) : HF_OK, err)

/* A call that stores a result, which the caller must not see when it is told of a failure. */
#define PASS_RESULT(op, type, ret_result, call)                                                    \
    struct store *below = faulty_of(store)->below;                                                 \
    struct verdict verdict = judge(store, op);                                                     \
    type result;                                                                                   \
    int rc = goes_through(&verdict) ? (call) : HF_OK;                                              \
    if (rc == HF_OK && verdict.status == HF_OK)                                                    \
        *(ret_result) = result;                                                                    \
    return answer(&verdict, rc, err)

/* --- the calls ------------------------------------------------------------------------------------------ */

static int faulty_put(struct store *store, uint64_t host, const struct object *objects, size_t n,
                      struct hf_error *err)
{
    PASS(STORE_OP_PUT, store_put(below, host, objects, n, err));
}

static int faulty_get(struct store *store, const struct object_id *ids, size_t n,
                      struct buf *ret_contents, struct hf_error *err)
{
    PASS(STORE_OP_GET, store_get(below, ids, n, ret_contents, err));
}

static int faulty_missing(struct store *store, uint64_t host, const struct object_id *ids, size_t n,
                          bool *ret_missing, struct hf_error *err)
{
    PASS(STORE_OP_MISSING, store_missing(below, host, ids, n, ret_missing, err));
}

static int faulty_session_list(struct store *store, const struct session_filter *filter,
                               session_visit_fn visit, void *arg, struct hf_error *err)
{
    PASS(STORE_OP_SESSION_LIST, store_session_list(below, filter, visit, arg, err));
}

static int faulty_session_find(struct store *store, const char *name, struct session_head *ret_head,
                               struct hf_error *err)
{
    PASS_RESULT(STORE_OP_SESSION_FIND, struct session_head, ret_head,
                store_session_find(below, name, &result, err));
}

static int faulty_session_head(struct store *store, uint64_t sid, struct session_head *ret_head,
                               struct hf_error *err)
{
    PASS_RESULT(STORE_OP_SESSION_HEAD, struct session_head, ret_head,
                store_session_head(below, sid, &result, err));
}

static int faulty_session_create(struct store *store, uint64_t host, const char *name,
                                 const struct commit *first, struct lease *ret_lease,
                                 struct hf_error *err)
{
    PASS_RESULT(STORE_OP_SESSION_CREATE, struct lease, ret_lease,
                store_session_create(below, host, name, first, &result, err));
}

static int faulty_session_rename(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                                 const char *name, enum session_rename_mode mode,
                                 uint64_t other_token, struct hf_error *err)
{
    PASS(STORE_OP_SESSION_RENAME,
         store_session_rename(below, host, sid, token, name, mode, other_token, err));
}

static int faulty_session_delete(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                                 struct hf_error *err)
{
    PASS(STORE_OP_SESSION_DELETE, store_session_delete(below, host, sid, token, err));
}

static int faulty_session_undelete(struct store *store, uint64_t sid, const char *name,
                                   struct hf_error *err)
{
    PASS(STORE_OP_SESSION_UNDELETE, store_session_undelete(below, sid, name, err));
}

static int faulty_session_purge(struct store *store, uint64_t sid, struct hf_error *err)
{
    PASS(STORE_OP_SESSION_PURGE, store_session_purge(below, sid, err));
}

static int faulty_commit(struct store *store, uint64_t host, const struct commit *commit,
                         uint64_t *ret_version, struct hf_error *err)
{
    PASS_RESULT(STORE_OP_COMMIT, uint64_t, ret_version,
                store_commit(below, host, commit, &result, err));
}

static int faulty_sync(struct store *store, struct hf_error *err)
{
    PASS(STORE_OP_SYNC, store_sync(below, err));
}

static int faulty_history(struct store *store, uint64_t sid, uint64_t from, uint64_t limit,
                          history_visit_fn visit, void *arg, struct hf_error *err)
{
    PASS(STORE_OP_HISTORY, store_history(below, sid, from, limit, visit, arg, err));
}

static int faulty_history_drop(struct store *store, uint64_t sid, const uint64_t *versions,
                               size_t n, uint64_t *ret_dropped, struct hf_error *err)
{
    PASS_RESULT(STORE_OP_HISTORY_DROP, uint64_t, ret_dropped,
                store_history_drop(below, sid, versions, n, &result, err));
}

static int faulty_rescue(struct store *store, uint64_t host, const struct commit *commit,
                         const char *reason, uint64_t *ret_rescue_id, struct hf_error *err)
{
    PASS_RESULT(STORE_OP_RESCUE, uint64_t, ret_rescue_id,
                store_rescue(below, host, commit, reason, &result, err));
}

static int faulty_rescue_list(struct store *store, uint64_t sid, rescue_visit_fn visit, void *arg,
                              struct hf_error *err)
{
    PASS(STORE_OP_RESCUE_LIST, store_rescue_list(below, sid, visit, arg, err));
}

static int faulty_rescue_drop(struct store *store, uint64_t sid, uint64_t rescue,
                              struct hf_error *err)
{
    PASS(STORE_OP_RESCUE_DROP, store_rescue_drop(below, sid, rescue, err));
}

static int faulty_host_register(struct store *store, const struct host_identity *identity,
                                const struct store_listener *listener, uint64_t *ret_host,
                                struct hf_error *err)
{
    PASS_RESULT(STORE_OP_HOST_REGISTER, uint64_t, ret_host,
                store_host_register(below, identity, listener, &result, err));
}

static int faulty_host_heartbeat(struct store *store, uint64_t host, struct hf_error *err)
{
    PASS(STORE_OP_HOST_HEARTBEAT, store_host_heartbeat(below, host, err));
}

static int faulty_host_detach(struct store *store, uint64_t host, uint32_t grace_ms,
                              struct hf_error *err)
{
    PASS(STORE_OP_HOST_DETACH, store_host_detach(below, host, grace_ms, err));
}

static int faulty_host_end(struct store *store, uint64_t host, struct hf_error *err)
{
    PASS(STORE_OP_HOST_END, store_host_end(below, host, err));
}

static int64_t faulty_away_since(struct store *store)
{
    return store_away_since(faulty_of(store)->below);
}

static int64_t faulty_host_deadline(struct store *store, uint64_t host)
{
    return store_host_deadline(faulty_of(store)->below, host);
}

static int faulty_host_list(struct store *store, host_visit_fn visit, void *arg,
                            struct hf_error *err)
{
    PASS(STORE_OP_HOST_LIST, store_host_list(below, visit, arg, err));
}

static int faulty_lease_acquire(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                                struct lease *ret_lease, struct hf_error *err)
{
    PASS_RESULT(STORE_OP_LEASE_ACQUIRE, struct lease, ret_lease,
                store_lease_acquire(below, host, sid, wait_ms, &result, err));
}

static int faulty_lease_ask(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                            struct lease *ret_lease, int64_t *ret_again, struct hf_error *err)
{
    struct store *below = faulty_of(store)->below;
    struct verdict verdict = judge(store, STORE_OP_LEASE_ASK);
    struct lease lease;
    int64_t again = 0;
    int rc = HF_OK;

    if (goes_through(&verdict))
        rc = store_lease_ask(below, host, sid, wait_ms, &lease, &again, err);
    if (verdict.status == HF_OK && rc == HF_OK)
        *ret_lease = lease;
    else if (verdict.status == HF_OK && rc == HF_PENDING)
        *ret_again = again;
    return answer(&verdict, rc, err);
}

static int faulty_lease_withdraw(struct store *store, uint64_t host, uint64_t sid,
                                 struct hf_error *err)
{
    PASS(STORE_OP_LEASE_WITHDRAW, store_lease_withdraw(below, host, sid, err));
}

static int faulty_lease_release(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                                struct hf_error *err)
{
    PASS(STORE_OP_LEASE_RELEASE, store_lease_release(below, host, sid, token, err));
}

static int faulty_lease_refuse(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                               const char *pinned_by, struct hf_error *err)
{
    PASS(STORE_OP_LEASE_REFUSE, store_lease_refuse(below, host, sid, token, pinned_by, err));
}

static int faulty_lease_break(struct store *store, uint64_t sid, uint64_t token, const char *reason,
                              struct hf_error *err)
{
    PASS(STORE_OP_LEASE_BREAK, store_lease_break(below, sid, token, reason, err));
}

static int faulty_lease_list(struct store *store, lease_visit_fn visit, void *arg,
                             struct hf_error *err)
{
    PASS(STORE_OP_LEASE_LIST, store_lease_list(below, visit, arg, err));
}

static int faulty_audit(struct store *store, uint64_t sid, uint64_t from, audit_visit_fn visit,
                        void *arg, struct hf_error *err)
{
    PASS(STORE_OP_AUDIT, store_audit(below, sid, from, visit, arg, err));
}

static int faulty_lock_set(struct store *store, uint64_t host, const struct store_lock *lock,
                           struct store_lock *ret_conflict, struct hf_error *err)
{
    PASS(STORE_OP_LOCK_SET, store_lock_set(below, host, lock, ret_conflict, err));
}

static int faulty_lock_test(struct store *store, uint64_t host, const struct store_lock *lock,
                            struct store_lock *ret_conflict, struct hf_error *err)
{
    PASS_RESULT(STORE_OP_LOCK_TEST, struct store_lock, ret_conflict,
                store_lock_test(below, host, lock, &result, err));
}

static int faulty_snapshot_create(struct store *store, const char *name, const char *const *globs,
                                  size_t n, struct hf_error *err)
{
    PASS(STORE_OP_SNAPSHOT_CREATE, store_snapshot_create(below, name, globs, n, err));
}

static int faulty_snapshot_list(struct store *store, snapshot_visit_fn visit, void *arg,
                                struct hf_error *err)
{
    PASS(STORE_OP_SNAPSHOT_LIST, store_snapshot_list(below, visit, arg, err));
}

static int faulty_snapshot_delete(struct store *store, const char *name, struct hf_error *err)
{
    PASS(STORE_OP_SNAPSHOT_DELETE, store_snapshot_delete(below, name, err));
}

static int faulty_snapshot_pins(struct store *store, const char *name, pin_visit_fn visit,
                                void *arg, struct hf_error *err)
{
    PASS(STORE_OP_SNAPSHOT_PINS, store_snapshot_pins(below, name, visit, arg, err));
}

static int faulty_roots(struct store *store, root_visit_fn visit, void *arg, struct hf_error *err)
{
    PASS(STORE_OP_ROOTS, store_roots(below, visit, arg, err));
}

static int faulty_session_receive(struct store *store, const struct session_copy *copy,
                                  struct hf_error *err)
{
    PASS(STORE_OP_SESSION_RECEIVE, store_session_receive(below, copy, err));
}

static int faulty_rescue_receive(struct store *store, const uint8_t origin[UUID_SIZE],
                                 const struct rescue_info *rescue, struct hf_error *err)
{
    PASS(STORE_OP_RESCUE_RECEIVE, store_rescue_receive(below, origin, rescue, err));
}

static int faulty_snapshot_receive(struct store *store, const struct snapshot_copy *copy,
                                   struct hf_error *err)
{
    PASS(STORE_OP_SNAPSHOT_RECEIVE, store_snapshot_receive(below, copy, err));
}

/* Appends nothing where it tells of a failure. */
static int faulty_setting_get(struct store *store, const char *name, struct buf *ret_text,
                              struct hf_error *err)
{
    struct store *below = faulty_of(store)->below;
    struct verdict verdict = judge(store, STORE_OP_SETTING_GET);
    size_t before = ret_text->len;
    int rc = goes_through(&verdict) ? store_setting_get(below, name, ret_text, err) : HF_OK;

    if (verdict.status != HF_OK)
        ret_text->len = before;
    return answer(&verdict, rc, err);
}

static int faulty_setting_set(struct store *store, const char *name, struct slice text,
                              struct hf_error *err)
{
    PASS(STORE_OP_SETTING_SET, store_setting_set(below, name, text, err));
}

static int faulty_collect(struct store *store, const struct collect_options *options,
                          struct collect_totals *ret_totals, struct hf_error *err)
{
    PASS_RESULT(STORE_OP_COLLECT, struct collect_totals, ret_totals,
                store_collect(below, options, &result, err));
}

static int faulty_mend(struct store *store, const struct object_id *id, const struct object *good,
                       struct hf_error *err)
{
    PASS(STORE_OP_MEND, store_mend(below, id, good, err));
}

static int faulty_stats(struct store *store, struct store_stats *ret_stats, struct hf_error *err)
{
    PASS_RESULT(STORE_OP_STATS, struct store_stats, ret_stats, store_stats(below, &result, err));
}

static int faulty_check(struct store *store, check_report_fn report, void *arg,
                        struct hf_error *err)
{
    PASS(STORE_OP_CHECK, store_check(below, report, arg, err));
}

static void faulty_close(struct store *store)
{
    struct faulty_store *faulty = faulty_of(store);

    store_close(faulty->below);
    pthread_mutex_destroy(&faulty->mutex);
    free(faulty);
}

static const struct store_ops faulty_ops = {.name = "faulty",
                                            .close = faulty_close,
                                            .host_deadline = faulty_host_deadline,
                                            .away_since = faulty_away_since,
#define FAULTY_SLOT(upper, lower) .lower = faulty_##lower,
                                            STORE_OPS(FAULTY_SLOT)
#undef FAULTY_SLOT
};

/* --- making and control ---------------------------------------------------------------------------------- */

int faulty_store_new(struct store *below, const char *spec, struct store **ret_store,
                     struct hf_error *err)
{
    struct faulty_store *faulty = calloc(1, sizeof *faulty);
    int rc;

    if (!faulty)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = parse_spec(spec, faulty->rules, &faulty->nrules, err);
    if (rc != HF_OK) {
        free(faulty);
        return rc;
    }
    faulty->base.ops = &faulty_ops;
    faulty->base.info = below->info;
    snprintf(faulty->base.info.location, sizeof faulty->base.info.location, "faulty(%s)+%s",
             spec ? spec : "", below->info.location);
    faulty->below = below;
    pthread_mutex_init(&faulty->mutex, NULL);
    *ret_store = &faulty->base;
    return HF_OK;
}

int faulty_store_set(struct store *store, const char *spec, struct hf_error *err)
{
    struct faulty_store *faulty = faulty_of(store);
    struct rule rules[RULES_MAX];
    size_t n = 0;
    int rc = parse_spec(spec, rules, &n, err);

    if (rc != HF_OK)
        return rc;
    pthread_mutex_lock(&faulty->mutex);
    memcpy(faulty->rules, rules, n * sizeof rules[0]);
    faulty->nrules = n;
    memset(faulty->calls, 0, sizeof faulty->calls);
    faulty->faults = 0;
    pthread_mutex_unlock(&faulty->mutex);
    return HF_OK;
}

uint64_t faulty_store_calls(struct store *store)
{
    struct faulty_store *faulty = faulty_of(store);
    uint64_t calls;

    pthread_mutex_lock(&faulty->mutex);
    calls = faulty->calls[ANY_CALL];
    pthread_mutex_unlock(&faulty->mutex);
    return calls;
}

uint64_t faulty_store_faults(struct store *store)
{
    struct faulty_store *faulty = faulty_of(store);
    uint64_t faults;

    pthread_mutex_lock(&faulty->mutex);
    faults = faulty->faults;
    pthread_mutex_unlock(&faulty->mutex);
    return faults;
}

struct store *faulty_store_below(struct store *store)
{
    return faulty_of(store)->below;
}
