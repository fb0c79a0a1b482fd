/* SPDX-License-Identifier: Apache-2.0 */
/* What a policy says should go of what there is. What there is is gathered first: a visitor may not call the
 * store. What appears meanwhile is looked at the next time, and what has gone is passed over. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store/retention_rules.h"

struct session {
    uint64_t sid, version;
    char *name; /* "." of the shared tree, in patterns as elsewhere */
    int64_t time, trashed;
    uint64_t bytes;
    bool in_trash, held;
    bool rescued; /* has a rescue version that stays */
    bool goes;    /* is purged */
};

struct rescue {
    uint64_t id, sid;
    char *name;
    int64_t time;
    uint64_t bytes;
};

struct snapshot {
    char *name;
    int64_t time;
    const struct retention_rule *rule;
};

struct version {
    uint64_t number;
    int64_t time;
    uint64_t bytes;
};

struct walk {
    struct store *store;
    const struct retention *policy;
    int64_t now;
    const struct retention_steps *steps;
    struct hf_error *err;

    struct session *sessions;
    size_t nsessions;
    struct rescue *rescues;
    size_t nrescues;
    struct snapshot *snapshots;
    size_t nsnapshots;
    struct version *versions; /* of the session at hand */
    size_t nversions;
};

/* Makes room for one element more: arrays double when they are full. */
static int make_room(void *array, size_t n, size_t size)
{
    void **place = array, *grown;

    if (n != 0 && (n & (n - 1)) != 0)
        return HF_OK;
    grown = reallocarray(*place, n == 0 ? 1 : 2 * n, size);
    if (!grown)
        return HF_NOMEM;
    *place = grown;
    return HF_OK;
}

/* --- gathering -------------------------------------------------------------------------------------- */

static int add_session(struct walk *walk, const struct session *session, const char *name)
{
    struct session copy = *session;

    if (make_room(&walk->sessions, walk->nsessions, sizeof *walk->sessions) != HF_OK)
        return HF_NOMEM;
    copy.name = strdup(name);
    if (!copy.name)
        return HF_NOMEM;
    walk->sessions[walk->nsessions++] = copy;
    return HF_OK;
}

static int on_session(const struct session_info *info, void *arg)
{
    struct session session = {.sid = info->head.sid,
                              .version = info->head.version,
                              .time = info->head.time,
                              .trashed = info->trashed,
                              .bytes = info->head.bytes,
                              .in_trash = info->state == SESSION_TRASHED,
                              .held = info->holder != 0};

    return add_session(arg, &session, info->name);
}

static int add_shared(struct walk *walk)
{
    struct session_head head;
    struct session session = {0};
    int rc = store_session_head(walk->store, SHARED_SID, &head, walk->err);

    if (rc != HF_OK)
        return rc;
    session.version = head.version;
    session.time = head.time;
    session.bytes = head.bytes;
    return add_session(walk, &session, ".");
}

static int on_rescue(const struct rescue_info *info, void *arg)
{
    struct walk *walk = arg;
    struct rescue rescue = {
        .id = info->id, .sid = info->sid, .time = info->time, .bytes = info->bytes};

    if (make_room(&walk->rescues, walk->nrescues, sizeof rescue) != HF_OK)
        return HF_NOMEM;
    rescue.name = strdup(info->sid == SHARED_SID ? "." : info->session_name);
    if (!rescue.name)
        return HF_NOMEM;
    walk->rescues[walk->nrescues++] = rescue;
    return HF_OK;
}

static int on_snapshot(const struct snapshot_info *info, void *arg)
{
    struct walk *walk = arg;
    struct snapshot snapshot = {
        .time = info->time, .rule = retention_rule_of(walk->policy, SECTION_SNAPSHOTS, info->name)};

    if (!snapshot.rule)
        return HF_OK;
    if (make_room(&walk->snapshots, walk->nsnapshots, sizeof snapshot) != HF_OK)
        return HF_NOMEM;
    snapshot.name = strdup(info->name);
    if (!snapshot.name)
        return HF_NOMEM;
    walk->snapshots[walk->nsnapshots++] = snapshot;
    return HF_OK;
}

static int on_version(const struct history_entry *entry, void *arg)
{
    struct walk *walk = arg;

    if (make_room(&walk->versions, walk->nversions, sizeof *walk->versions) != HF_OK)
        return HF_NOMEM;
    walk->versions[walk->nversions++] = (struct version){entry->version, entry->time, entry->bytes};
    return HF_OK;
}

static int gather(struct walk *walk)
{
    static const struct session_filter trash = {.trashed = true};
    int rc = add_shared(walk);

    if (rc == HF_OK)
        rc = store_session_list(walk->store, NULL, on_session, walk, walk->err);
    if (rc == HF_OK)
        rc = store_session_list(walk->store, &trash, on_session, walk, walk->err);
    if (rc == HF_OK)
        rc = store_rescue_list(walk->store, UINT64_MAX, on_rescue, walk, walk->err);
    if (rc == HF_OK)
        rc = store_snapshot_list(walk->store, on_snapshot, walk, walk->err);
    return rc == HF_NOMEM ? hf_fail(walk->err, rc, "out of memory") : rc;
}

static void release(struct walk *walk)
{
    for (size_t i = 0; i < walk->nsessions; i++)
        free(walk->sessions[i].name);
    for (size_t i = 0; i < walk->nrescues; i++)
        free(walk->rescues[i].name);
    for (size_t i = 0; i < walk->nsnapshots; i++)
        free(walk->snapshots[i].name);
    free(walk->sessions);
    free(walk->rescues);
    free(walk->snapshots);
    free(walk->versions);
}

static int take(const struct walk *walk, const struct retention_action *actions, size_t n)
{
    return walk->steps->take(actions, n, walk->steps->arg, walk->err);
}

static int pause_between(const struct walk *walk)
{
    return walk->steps->pause ? walk->steps->pause(walk->steps->arg) : HF_OK;
}

static bool is_over(const struct walk *walk, int64_t since, int64_t age)
{
    int64_t start;

    return age != KEEP_FOREVER && !__builtin_sub_overflow(walk->now, age, &start) && since < start;
}

static struct session *session_of(struct walk *walk, uint64_t sid)
{
    for (size_t i = 0; i < walk->nsessions; i++)
        if (walk->sessions[i].sid == sid)
            return &walk->sessions[i];
    return NULL;
}

/* --- rescues, sessions ------------------------------------------------------------------------------ */

static int walk_rescue(struct walk *walk, const struct rescue *rescue)
{
    const struct retention_rule *rule =
        retention_rule_of(walk->policy, SECTION_RESCUE, rescue->name);
    struct session *session;
    char text[RETENTION_TEXT];

    if (rule && is_over(walk, rescue->time, rule->age)) {
        struct retention_action action = {
            .kind = RETENTION_RESCUE,
            .sid = rescue->sid,
            .session_name = rescue->name,
            .rescue = rescue->id,
            .time = rescue->time,
            .bytes = rescue->bytes,
            .rule = retention_rule_text(rule, SECTION_RESCUE, KEEP_PERIODS, text)};

        return take(walk, &action, 1);
    }
    session = session_of(walk, rescue->sid);
    if (session)
        session->rescued = true;
    return HF_OK;
}

/* A session that goes to the trash, or out of it. One with a rescue version that stays is not purged. When it
 * was deleted is not known of every session: those stay. */
static int walk_session(struct walk *walk, struct session *session)
{
    enum retention_section section = session->in_trash ? SECTION_TRASH : SECTION_IDLE;
    const struct retention_rule *rule = retention_rule_of(walk->policy, section, session->name);
    char text[RETENTION_TEXT];
    struct retention_action action = {.kind = session->in_trash ? RETENTION_PURGE : RETENTION_TRASH,
                                      .sid = session->sid,
                                      .session_name = session->name,
                                      .version = session->version,
                                      .time = session->in_trash ? session->trashed : session->time,
                                      .bytes = session->bytes};

    if (!rule || session->sid == SHARED_SID || !is_over(walk, action.time, rule->age))
        return HF_OK;
    if (session->in_trash ? session->rescued || session->trashed == 0 : session->held)
        return HF_OK;
    session->goes = session->in_trash;
    action.rule = retention_rule_text(rule, section, KEEP_PERIODS, text);
    return take(walk, &action, 1);
}

/* --- versions --------------------------------------------------------------------------------------- */

/* One session's versions that go, oldest last, handed on in batches. */
struct batch {
    struct walk *walk;
    const struct session *session;
    const struct retention_rule *rule;
    char texts[KEEP_PERIODS + 1][RETENTION_TEXT]; /* each made when it is needed first */
    struct retention_action actions[RETENTION_AT_ONCE];
    size_t n;
};

static int hand_on(struct batch *batch)
{
    int rc = batch->n > 0 ? take(batch->walk, batch->actions, batch->n) : HF_OK;

    batch->n = 0;
    return rc;
}

static int add_version(struct batch *batch, const struct version *version)
{
    enum keep_period period = keep_period_of(&batch->rule->keep, batch->walk->now, version->time);
    char *text = batch->texts[period];

    if (text[0] == '\0')
        retention_rule_text(batch->rule, SECTION_HISTORY, period, text);
    batch->actions[batch->n++] = (struct retention_action){.kind = RETENTION_VERSION,
                                                           .sid = batch->session->sid,
                                                           .session_name = batch->session->name,
                                                           .version = version->number,
                                                           .time = version->time,
                                                           .bytes = version->bytes,
                                                           .rule = text};
    return batch->n == RETENTION_AT_ONCE ? hand_on(batch) : HF_OK;
}

static int drop_versions(struct walk *walk, const struct session *session,
                         const struct retention_rule *rule, const struct keep_item *items)
{
    struct batch *batch = calloc(1, sizeof *batch);
    int rc = HF_OK;

    if (!batch)
        return hf_fail(walk->err, HF_NOMEM, "out of memory");
    batch->walk = walk;
    batch->session = session;
    batch->rule = rule;
    for (size_t i = 0; i < walk->nversions && rc == HF_OK; i++)
        if (!items[i].stays)
            rc = add_version(batch, &walk->versions[i]);
    if (rc == HF_OK)
        rc = hand_on(batch);
    free(batch);
    return rc;
}

/* The versions are here, latest first. */
static int decide_versions(struct walk *walk, const struct session *session,
                           const struct retention_rule *rule)
{
    struct keep_item *items = calloc(walk->nversions, sizeof *items);
    int rc = items ? HF_OK : HF_NOMEM;

    for (size_t i = 0; items && i < walk->nversions; i++)
        items[i].time = walk->versions[i].time;
    if (items) {
        items[0].pinned = true; /* the head */
        rc = keep_decide(&rule->keep, walk->now, items, walk->nversions);
    }
    rc = rc == HF_OK ? drop_versions(walk, session, rule, items)
                     : hf_fail(walk->err, rc, "out of memory");
    free(items);
    return rc;
}

static int walk_versions(struct walk *walk, const struct session *session)
{
    const struct retention_rule *rule =
        retention_rule_of(walk->policy, SECTION_HISTORY, session->name);
    int rc;

    if (!rule || session->goes || session->version < 2)
        return HF_OK;
    walk->nversions = 0;
    rc = store_history(walk->store, session->sid, UINT64_MAX, 0, on_version, walk, walk->err);
    if (rc == HF_NOENT)
        return HF_OK;
    if (rc != HF_OK)
        return rc == HF_NOMEM ? hf_fail(walk->err, rc, "out of memory") : rc;
    return walk->nversions < 2 ? HF_OK : decide_versions(walk, session, rule);
}

/* --- snapshots -------------------------------------------------------------------------------------- */

/* By rule, latest first; those of one moment by name, so that each time the same is the last of its bucket. */
static int compare_snapshots(const void *a, const void *b)
{
    const struct snapshot *x = a, *y = b;

    if (x->rule != y->rule)
        return x->rule < y->rule ? -1 : 1;
    if (x->time != y->time)
        return x->time > y->time ? -1 : 1;
    return strcmp(y->name, x->name);
}

static int drop_snapshots(struct walk *walk, const struct snapshot *snapshots,
                          const struct keep_item *items, size_t n)
{
    const struct retention_rule *rule = snapshots[0].rule;
    int rc = HF_OK;

    for (size_t i = 0; i < n && rc == HF_OK; i++) {
        char text[RETENTION_TEXT];
        struct retention_action action = {.kind = RETENTION_SNAPSHOT,
                                          .session_name = "",
                                          .snapshot = snapshots[i].name,
                                          .time = snapshots[i].time};

        if (items[i].stays)
            continue;
        action.rule = retention_rule_text(
            rule, SECTION_SNAPSHOTS, keep_period_of(&rule->keep, walk->now, action.time), text);
        rc = take(walk, &action, 1);
    }
    return rc;
}

/* Those that one rule is for. */
static int walk_snapshots_of(struct walk *walk, const struct snapshot *snapshots, size_t n)
{
    struct keep_item *items = calloc(n, sizeof *items);
    int rc = items ? HF_OK : HF_NOMEM;

    for (size_t i = 0; items && i < n; i++)
        items[i].time = snapshots[i].time;
    if (items)
        rc = keep_decide(&snapshots[0].rule->keep, walk->now, items, n);
    rc = rc == HF_OK ? drop_snapshots(walk, snapshots, items, n)
                     : hf_fail(walk->err, rc, "out of memory");
    free(items);
    return rc;
}

static int walk_snapshots(struct walk *walk)
{
    int rc = HF_OK;

    if (walk->nsnapshots > 0)
        qsort(walk->snapshots, walk->nsnapshots, sizeof *walk->snapshots, compare_snapshots);
    for (size_t i = 0, end; i < walk->nsnapshots && rc == HF_OK; i = end) {
        for (end = i + 1;
             end < walk->nsnapshots && walk->snapshots[end].rule == walk->snapshots[i].rule; end++)
            ;
        rc = walk_snapshots_of(walk, walk->snapshots + i, end - i);
    }
    return rc;
}

/* --- all of it -------------------------------------------------------------------------------------- */

int retention_walk(struct store *store, const struct retention *policy, int64_t now,
                   const struct retention_steps *steps, struct hf_error *err)
{
    struct walk walk = {.store = store, .policy = policy, .now = now, .steps = steps, .err = err};
    int rc = gather(&walk);

    for (size_t i = 0; i < walk.nrescues && rc == HF_OK; i++)
        rc = walk_rescue(&walk, &walk.rescues[i]);
    for (size_t i = 0; i < walk.nsessions && rc == HF_OK; i++)
        rc = walk_session(&walk, &walk.sessions[i]);
    for (size_t i = 0; i < walk.nsessions && rc == HF_OK; i++) {
        rc = pause_between(&walk);
        if (rc == HF_OK)
            rc = walk_versions(&walk, &walk.sessions[i]);
    }
    if (rc == HF_OK)
        rc = walk_snapshots(&walk);
    release(&walk);
    return rc;
}

static int visit_each(const struct retention_action *actions, size_t n, void *arg,
                      struct hf_error *err)
{
    const struct retention_watch *watch = arg;
    int rc = HF_OK;

    (void)err;
    for (size_t i = 0; i < n && watch->visit && rc == 0; i++)
        rc = watch->visit(&actions[i], watch->arg);
    return rc;
}

static int pause_watch(void *arg)
{
    const struct retention_watch *watch = arg;

    return watch->pause ? watch->pause(watch->arg) : 0;
}

int retention_plan(struct store *store, const struct retention *policy, int64_t now,
                   const struct retention_watch *watch, struct hf_error *err)
{
    struct retention_watch copy = *watch;
    const struct retention_steps steps = {visit_each, pause_watch, &copy};

    return retention_walk(store, policy, now, &steps, err);
}
