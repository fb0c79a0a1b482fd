/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/events.h"

#include <stdlib.h>

#include "base/pool.h"
#include "tree/commit.h"
#include "tree/filelock.h"
#include "tree/kernel.h"
#include "tree/lease.h"
#include "tree/leasewait.h"
#include "tree/table.h"

/** So long after a failure it is tried again to register. */
#define REGISTER_AGAIN_NS 500000000
/** … or that there was no memory. */
#define NO_MEMORY_NS 100000000

/** A head that has moved is looked at again while the lease is asked for. */
#define LOOK_AGAIN_NS 20000000

/* --- one session ---------------------------------------------------------------------------------- */

/** The head may have moved: the session is reloaded if it has. The shared tree is when it is next used. Locked. */
static void look_at_head(struct session *session)
{
    session->unsure = true;
    if (session->loaded && !session->acquiring && session->sid != SHARED_SID)
        session_refresh(session);
}

static void head_moved(struct session *session, uint64_t version)
{
    const struct duty again = {
        .kinds = DUTY_MOVED, .version = version, .at = timer_now() + LOOK_AGAIN_NS};

    pthread_mutex_lock(&session->lock);
    if (session->token == 0 && version > session->version) {
        look_at_head(session);
        if (session
                ->acquiring) /* a grant brings the head; a refusal does not, and nobody tells of it again */
            worker_note(session, &again);
    }
    pthread_mutex_unlock(&session->lock);
    if (session->sid == SHARED_SID)
        kernel_forget_session(session, false);
}

/** The name that the session had may be another's now. */
static void names_changed(struct session *session)
{
    struct tree *tree = session->tree;
    struct session_head head;
    char *name = NULL;
    bool gone;

    kernel_forget_session(session, false);
    gone = store_session_head(tree->store, session->sid, &head, NULL) == HF_NOENT;
    pthread_mutex_lock(&session->lock);
    name = session->name;
    session->name = NULL;
    if (gone)
        session->deleted = true;
    pthread_mutex_unlock(&session->lock);
    pool_free_string(name);
}

/** After a hand-over: what an answer that was overtaken has brought back. Nobody waits for what is swept: who waits
 *  for the lease again may have the directory locked. */
static void sweep(struct session *session)
{
    bool idle;

    pthread_mutex_lock(&session->lock);
    idle = session->token == 0 && !session->acquiring && !session->asked;
    if (idle)
        session->vouched = true;
    pthread_mutex_unlock(&session->lock);
    if (idle)
        kernel_forget_session(session, false);
}

void events_session(struct session *session, const struct duty *duty)
{
    const struct duty again = {.kinds = duty->kinds & (DUTY_FORGET | DUTY_DROP),
                               .at = timer_now() + NO_MEMORY_NS};

    if (duty->kinds & DUTY_LOST)
        lease_taken(session, duty->lost);
    if (duty->kinds & DUTY_RECALL)
        lease_recalled(session, duty->recalled);
    if (duty->kinds & DUTY_ANSWERED) {
        lease_answered(session);
        leasewait_look(session);
    }
    if (duty->kinds & DUTY_YIELD)
        lease_yield(session);
    if (duty->kinds & DUTY_MOVED)
        head_moved(session, duty->version);
    if (duty->kinds & DUTY_NAMES)
        names_changed(session);
    if (duty->kinds & DUTY_SWEEP)
        sweep(session);
    if (duty->kinds & (DUTY_FORGET | DUTY_DROP) &&
        !kernel_forget_session(session, (duty->kinds & DUTY_DROP) != 0))
        worker_note(session, &again);
    pthread_mutex_lock(&session->lock);
    kernel_tell_news(session);
    pthread_mutex_unlock(&session->lock);
}

/* --- other hosts ---------------------------------------------------------------------------------- */

static int forget_unleased(struct session *session, void *arg)
{
    bool leased;

    (void)arg;
    pthread_mutex_lock(&session->lock);
    leased = session->token != 0;
    pthread_mutex_unlock(&session->lock);
    if (!leased)
        kernel_forget_session(session, false);
    return HF_OK;
}

static int doubt_unleased(struct session *session, void *arg)
{
    (void)arg;
    pthread_mutex_lock(&session->lock);
    session->unsure = session->token == 0 && !session->view;
    pthread_mutex_unlock(&session->lock);
    return HF_OK;
}

static void hosts_changed(struct tree *tree)
{
    struct worker *worker = &tree->worker;
    unsigned before = tree->known_hosts, now, most;

    pthread_mutex_lock(&worker->lock);
    now = worker->other_hosts;
    most = worker->most_hosts;
    worker->most_hosts = now;
    pthread_mutex_unlock(&worker->lock);
    /* Who has gone may have changed something just before, and now that nobody is about nobody asks. */
    if (now == 0 && (before > 0 || most > 0))
        table_each(tree, doubt_unleased, NULL);
    tree->known_hosts = now;
    atomic_store(&tree->other_hosts, now);
    if (before > 0 || most == 0)
        return;
    kernel_forget_top(tree);
    table_each(tree, forget_unleased, NULL);
}

/* --- contact is back ------------------------------------------------------------------------------ */

struct held {
    uint64_t sid, token;
    bool recalled;
};

/** The leases that the store says this mount has. */
struct held_list {
    uint64_t host;
    struct held *list;
    size_t n, cap;
};

static int add_held(const struct lease_info *info, void *arg)
{
    struct held_list *held = arg;

    if (info->state == LEASE_FREE || info->host != held->host)
        return HF_OK;
    if (held->n == held->cap) {
        size_t cap = held->cap ? 2 * held->cap : 64;
        struct held *list = reallocarray(held->list, cap, sizeof *list);

        if (!list)
            return HF_NOMEM;
        held->list = list;
        held->cap = cap;
    }
    held->list[held->n++] = (struct held){info->sid, info->token, info->state == LEASE_RECALLED};
    return HF_OK;
}

static int by_sid(const void *a, const void *b)
{
    const struct held *x = a, *y = b;

    return x->sid < y->sid ? -1 : x->sid > y->sid;
}

/** A lease that the store does not know of any more is lost; one that is recalled has to be answered. `token`
 *  was held before the list was read, so it should be in it. */
static void compare_lease(struct session *session, const struct held_list *held, uint64_t token)
{
    const struct held wanted = {.sid = session->sid};
    const struct held *found =
        held->n > 0 ? bsearch(&wanted, held->list, held->n, sizeof wanted, by_sid) : NULL;

    if (!found || found->token != token)
        lease_taken(session, token);
    else if (found->recalled)
        lease_recalled(session, token);
}

struct check {
    struct tree *tree;
    struct held_list held;
    bool leases; /* the list is there */
};

static int note_token(struct session *session, void *arg)
{
    (void)arg;
    pthread_mutex_lock(&session->lock);
    session->checked = session->token;
    pthread_mutex_unlock(&session->lock);
    return HF_OK;
}

static int check_session(struct session *session, void *arg)
{
    const struct check *check = arg;
    uint64_t token = session->checked;

    if (session->view)
        return HF_OK;
    pthread_mutex_lock(&session->lock);
    session_settle(session);
    if (session->token == 0)
        look_at_head(session);
    pthread_mutex_unlock(&session->lock);
    if (session->sid == SHARED_SID)
        kernel_forget_session(session, false);
    else if (token != 0 && check->leases)
        compare_lease(session, &check->held, token);
    return HF_OK;
}

/** Anything may have happened since contact was lost. */
static void look_at_everything(struct tree *tree)
{
    struct check check = {.tree = tree, .held = {.host = tree_host(tree)}};
    int rc = table_each(tree, note_token, NULL);

    if (rc == HF_OK)
        check.leases = store_lease_list(tree->store, add_held, &check.held, NULL) == HF_OK;
    if (check.held.n > 0)
        qsort(check.held.list, check.held.n, sizeof(struct held), by_sid);
    if (rc == HF_OK)
        rc = table_each(tree, check_session, &check);
    free(check.held.list);
    kernel_forget_top(tree);
    filelock_retry(tree);
    if (rc != HF_OK) /* out of memory */
        worker_chore(tree, CHORE_MISSED, 0);
}

static int take_old_lease(struct session *session, void *arg)
{
    uint64_t token;

    (void)arg;
    pthread_mutex_lock(&session->lock);
    token = session->host != tree_host(session->tree) ? session->token : 0;
    pthread_mutex_unlock(&session->lock);
    if (token != 0)
        lease_taken(session, token);
    return HF_OK;
}

/** The host session is over. False: the store could not be asked for another. */
static bool register_anew(struct tree *tree)
{
    if (tree_register(tree, NULL) != HF_OK) {
        worker_chore(tree, CHORE_HOST_LOST, REGISTER_AGAIN_NS);
        return false;
    }
    tree_report(
        tree,
        "the store took this mount for dead: it has lost its leases, and goes on as host session "
        "%llu",
        (unsigned long long)tree_host(tree));
    filelock_lost(tree);
    while (table_each(tree, take_old_lease, NULL) != HF_OK)
        continue; /* out of memory: others have to give some back */
    return true;
}

/* --- the mount ------------------------------------------------------------------------------------ */

/** Recalls of sessions that were not in memory when they came. One that is just being made is by now. */
static void answer_orphans(struct tree *tree)
{
    struct worker *worker = &tree->worker;
    struct orphan orphans[ORPHANS_MAX];
    unsigned n;

    pthread_mutex_lock(&worker->lock);
    n = worker->norphans;
    for (unsigned i = 0; i < n; i++)
        orphans[i] = worker->orphans[i];
    worker->norphans = 0;
    pthread_mutex_unlock(&worker->lock);
    pthread_mutex_lock(&tree->create_lock); /* what the store has made is in the table afterwards */
    pthread_mutex_unlock(&tree->create_lock);
    for (unsigned i = 0; i < n; i++) {
        struct session *session = table_peek(tree, orphans[i].sid);

        if (session)
            lease_recalled(session, orphans[i].token);
        else
            store_lease_release(tree->store, tree_host(tree), orphans[i].sid, orphans[i].token,
                                NULL);
        table_put(session);
    }
}

void events_mount(struct tree *tree, unsigned chores)
{
    if (chores & CHORE_HOSTS)
        hosts_changed(tree);
    if (chores & CHORE_HOST_LOST && register_anew(tree))
        chores |= CHORE_MISSED;
    if (chores & CHORE_MISSED)
        look_at_everything(tree);
    if (chores & CHORE_LOCKS)
        filelock_retry(tree);
    if (chores & CHORE_TOP)
        kernel_forget_top(tree);
    if (chores & CHORE_ORPHANS)
        answer_orphans(tree);
}
