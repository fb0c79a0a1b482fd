/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/worker.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tree/evict.h"
#include "tree/filelock.h"
#include "tree/lease.h"
#include "tree/table.h"

/** How often idle sessions are looked for. */
#define EVICT_EVERY_S 10

struct work {
    struct work *next;
    struct store_event event; /* kind 0: invalidate, or evict */
    struct session *session;  /* pinned; of an invalidation */
    bool evict;
};

static void push(struct tree *tree, const struct work *template)
{
    struct worker *worker = &tree->worker;
    struct work *work = malloc(sizeof *work);

    if (!work) { /* caches stay as they are until their next check */
        table_put(template->session);
        return;
    }
    *work = *template;
    work->next = NULL;
    pthread_mutex_lock(&worker->lock);
    *worker->last = work;
    worker->last = &work->next;
    pthread_cond_signal(&worker->cond);
    pthread_mutex_unlock(&worker->lock);
}

void worker_event(const struct store_event *event, void *arg)
{
    struct tree *tree = arg;
    struct work work = {.event = *event};

    if (event->kind == EVENT_HOSTS_CHANGED && event->other_hosts > 0)
        atomic_store(&tree->other_hosts, event->other_hosts);
    push(tree, &work);
}

void worker_invalidate(struct session *session)
{
    struct work work = {.session = session};

    table_pin(session);
    push(session->tree, &work);
}

void worker_evict(struct tree *tree)
{
    struct work work = {.evict = true};

    if (!atomic_exchange(&tree->worker.evicting, true))
        push(tree, &work);
}

/* --- telling the kernel ------------------------------------------------------------------------- */

struct known {
    uint64_t inode, parent;
    char *name;
};

struct known_list {
    struct session *session;
    struct known *list;
    size_t n;
};

static void note_known(struct hnode *node, void *arg)
{
    struct known_list *known = arg;
    struct inode *inode = HTABLE_ENTRY(node, struct inode, node);
    struct known *k = &known->list[known->n];

    if (inode->lookups == 0)
        return;
    *k = (struct known){.inode = session_number(known->session, inode->ino)};
    if (inode->parent && inode->name) {
        k->parent = session_number(known->session, inode->parent->ino);
        k->name = strdup(inode->name);
    }
    known->n++;
}

/** Whether the kernel is to be told anything. */
static bool is_told(struct tree *tree)
{
    const struct tree_kernel *kernel = &tree->options.kernel;

    return kernel->inval_entry && kernel->expire_entry && kernel->inval_inode &&
           !atomic_load(&tree->closing);
}

static void expire_negatives(const struct tree_kernel *kernel, struct negative *negatives)
{
    for (const struct negative *n = negatives; n; n = n->next)
        kernel->expire_entry(kernel->arg, n->dir, n->name);
    negatives_free(negatives);
}

static void forget_known(const struct tree_kernel *kernel, struct known_list *known)
{
    for (size_t i = 0; i < known->n; i++) {
        struct known *k = &known->list[i];

        kernel->inval_inode(kernel->arg, k->inode, true);
        if (k->name)
            kernel->expire_entry(kernel->arg, k->parent, k->name);
        free(k->name);
    }
    free(known->list);
}

void kernel_forget_session(struct session *session)
{
    const struct tree_kernel *kernel = &session->tree->options.kernel;
    struct known_list known = {.session = session};
    struct negative *negatives;
    char *name = NULL;

    if (!is_told(session->tree))
        return;
    pthread_mutex_lock(&session->lock);
    known.list = calloc(session->inodes.count + 1, sizeof(struct known));
    if (known.list)
        htable_each(&session->inodes, note_known, &known);
    negatives = negatives_take(&session->negatives);
    if (session->name)
        name = strdup(session->name);
    pthread_mutex_unlock(&session->lock);
    expire_negatives(kernel, negatives);
    forget_known(kernel, &known);
    if (name)
        kernel->expire_entry(kernel->arg, TREE_ROOT, name);
    free(name);
}

void kernel_forget_top(struct tree *tree)
{
    const struct tree_kernel *kernel = &tree->options.kernel;
    struct negative *negatives;

    if (!is_told(tree))
        return;
    pthread_mutex_lock(&tree->lock);
    negatives = negatives_take(&tree->negatives);
    pthread_mutex_unlock(&tree->lock);
    expire_negatives(kernel, negatives);
    kernel->inval_inode(kernel->arg, TREE_ROOT, true);
}

/* --- events ------------------------------------------------------------------------------------ */

static void head_moved(struct session *session, uint64_t version)
{
    bool moved = false;

    pthread_mutex_lock(&session->lock);
    if (session->sid == SHARED_SID)
        session->unsure = true;
    if (session->loaded && session->phase == PHASE_CLEAN && session->token == 0 &&
        !session->acquiring && version > session->version && session->sid != SHARED_SID)
        moved = session_reload(session, NULL) == HF_OK;
    pthread_mutex_unlock(&session->lock);
    if (moved || session->sid == SHARED_SID)
        kernel_forget_session(session);
}

/** The name that the session had may be another's now. */
static void sessions_changed(struct session *session)
{
    struct tree *tree = session->tree;
    struct session_head head;
    char *name = NULL;
    bool gone;

    kernel_forget_session(session);
    gone = store_session_head(tree->store, session->sid, &head, NULL) == HF_NOENT;
    pthread_mutex_lock(&session->lock);
    name = session->name;
    session->name = NULL;
    if (gone)
        session->deleted = true;
    pthread_mutex_unlock(&session->lock);
    free(name);
}

static int forget_unleased(struct session *session, void *arg)
{
    bool leased;

    (void)arg;
    pthread_mutex_lock(&session->lock);
    leased = session->token != 0;
    pthread_mutex_unlock(&session->lock);
    if (!leased)
        kernel_forget_session(session);
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

static void hosts_changed(struct tree *tree, unsigned other_hosts)
{
    unsigned before = tree->known_hosts;

    /* Who has gone may have changed something just before, and now that nobody is about nobody asks. */
    if (before > 0 && other_hosts == 0)
        table_each(tree, doubt_unleased, NULL);
    tree->known_hosts = other_hosts;
    atomic_store(&tree->other_hosts, other_hosts);
    if (before > 0 || other_hosts == 0)
        return;
    kernel_forget_top(tree);
    table_each(tree, forget_unleased, NULL);
}

static void handle_event(struct tree *tree, const struct store_event *event)
{
    struct session *session = NULL;

    if (event->kind == EVENT_HOSTS_CHANGED) {
        hosts_changed(tree, event->other_hosts);
        return;
    }
    if (event->kind == EVENT_LOCKS_CHANGED) {
        filelock_retry(tree);
        return;
    }
    if (event->kind == EVENT_SESSIONS_CHANGED)
        kernel_forget_top(tree);
    session = table_peek(tree, event->sid);
    if (!session) {
        if (event->kind == EVENT_LEASE_RECALLED)
            store_lease_release(tree->store, tree->host, event->sid, event->token, NULL);
        return;
    }
    if (event->kind == EVENT_HEAD_MOVED)
        head_moved(session, event->version);
    else if (event->kind == EVENT_LEASE_RECALLED)
        lease_recalled(session, event->token);
    else if (event->kind == EVENT_LEASE_LOST)
        lease_taken(session, event->token);
    else if (event->kind == EVENT_SESSIONS_CHANGED && event->sid != SHARED_SID)
        sessions_changed(session);
    table_put(session);
}

static void do_work(struct tree *tree, struct work *work)
{
    if (work->evict) {
        atomic_store(&tree->worker.evicting, false);
        evict_idle(tree);
    } else if (work->session) {
        kernel_forget_session(work->session);
        table_put(work->session);
    } else {
        handle_event(tree, &work->event);
    }
    free(work);
}

/* --- the thread -------------------------------------------------------------------------------- */

/** The next piece of work; NULL: none came for a while, or (stop) none is left. */
static struct work *take(struct worker *worker)
{
    struct timespec until;
    struct work *work;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += EVICT_EVERY_S;
    while (!worker->first && !worker->stop)
        if (pthread_cond_timedwait(&worker->cond, &worker->lock, &until) != 0)
            break;
    work = worker->first;
    if (work) {
        worker->first = work->next;
        if (!worker->first)
            worker->last = &worker->first;
    }
    return work;
}

static void *worker_main(void *arg)
{
    struct tree *tree = arg;
    struct worker *worker = &tree->worker;
    struct work *work;
    int64_t evicted = 0;

    pthread_mutex_lock(&worker->lock);
    for (;;) {
        work = take(worker);
        if (!work && worker->stop)
            break;
        pthread_mutex_unlock(&worker->lock);
        if (work)
            do_work(tree, work);
        if (timer_now() - evicted > EVICT_EVERY_S * 900000000LL) {
            evict_idle(tree);
            evicted = timer_now();
        }
        pthread_mutex_lock(&worker->lock);
    }
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

int worker_start(struct tree *tree)
{
    struct worker *worker = &tree->worker;
    pthread_condattr_t attr;

    pthread_mutex_init(&worker->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&worker->cond, &attr);
    pthread_condattr_destroy(&attr);
    worker->last = &worker->first;
    if (pthread_create(&worker->thread, NULL, worker_main, tree) != 0)
        return HF_NOMEM;
    worker->started = true;
    return HF_OK;
}

void worker_stop(struct tree *tree)
{
    struct worker *worker = &tree->worker;

    if (!worker->started)
        return;
    pthread_mutex_lock(&worker->lock);
    worker->stop = true;
    pthread_cond_signal(&worker->cond);
    pthread_mutex_unlock(&worker->lock);
    pthread_join(worker->thread, NULL);
    pthread_cond_destroy(&worker->cond);
    pthread_mutex_destroy(&worker->lock);
    worker->started = false;
}
