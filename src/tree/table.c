/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/table.h"

#include <stdlib.h>

/** What the kernel may believe until it is told otherwise: a day. */
#define FOREVER_S 86400.0
/** Whenever the number of loaded sessions passes a multiple of this, evict.c has a look. */
#define EVICT_EVERY 256

static struct session *find(struct tree *tree, uint64_t sid)
{
    struct hnode *node = htable_find(&tree->sessions, htable_hash_u64(sid));

    for (; node; node = htable_next(node)) {
        struct session *session = HTABLE_ENTRY(node, struct session, node);

        if (session->sid == sid)
            return session;
    }
    return NULL;
}

static void pin(struct session *session)
{
    atomic_fetch_add(&session->pins, 1);
    session->used = timer_now();
}

struct session *table_peek(struct tree *tree, uint64_t sid)
{
    struct session *session;

    pthread_mutex_lock(&tree->lock);
    session = find(tree, sid);
    if (session)
        pin(session);
    pthread_mutex_unlock(&tree->lock);
    return session;
}

static int insert(struct tree *tree, struct session *session)
{
    int rc = htable_insert(&tree->sessions, &session->node, htable_hash_u64(session->sid));

    if (rc != HF_OK)
        return rc;
    pin(session);
    if (tree->sessions.count % EVICT_EVERY == 0)
        worker_evict(tree);
    return HF_OK;
}

int table_add(struct tree *tree, struct session *session)
{
    int rc;

    pthread_mutex_lock(&tree->lock);
    rc = insert(tree, session);
    pthread_mutex_unlock(&tree->lock);
    return rc;
}

int table_get(struct tree *tree, uint64_t sid, struct session **ret_session)
{
    struct session *session;
    int rc = HF_OK;

    pthread_mutex_lock(&tree->lock);
    session = find(tree, sid);
    if (session) {
        pin(session);
    } else if (sid > SID_MAX) {
        rc = HF_STALE; /* views are added by who makes them */
    } else {
        rc = session_new(tree, sid, &session);
        if (rc == HF_OK)
            rc = insert(tree, session);
        if (rc != HF_OK)
            session_free(session);
    }
    pthread_mutex_unlock(&tree->lock);
    if (rc == HF_OK)
        *ret_session = session;
    return rc;
}

int table_get_inode(struct tree *tree, uint64_t inode, struct session **ret_session)
{
    return table_get(tree, INODE_SID(inode), ret_session);
}

void table_pin(struct session *session)
{
    atomic_fetch_add(&session->pins, 1);
}

/** Nobody pins it: whether it can be dropped at once. Idle ones are kept for evict.c to choose. */
static bool is_over(const struct session *session)
{
    return session->lookups == 0 && session->handles == 0 &&
           (!session->loaded || session->deleted || session->view) && session->token == 0;
}

void table_put(struct session *session)
{
    struct tree *tree;

    if (!session)
        return;
    tree = session->tree;
    pthread_mutex_lock(&tree->lock);
    if (atomic_fetch_sub(&session->pins, 1) == 1 && is_over(session)) {
        htable_remove(&tree->sessions, &session->node);
        session_free(session);
    }
    pthread_mutex_unlock(&tree->lock);
}

struct pinned {
    struct session **list;
    size_t n;
};

static void pin_one(struct hnode *node, void *arg)
{
    struct pinned *pinned = arg;
    struct session *session = HTABLE_ENTRY(node, struct session, node);

    table_pin(session);
    pinned->list[pinned->n++] = session;
}

int table_each(struct tree *tree, int (*visit)(struct session *session, void *arg), void *arg)
{
    struct pinned pinned = {0};
    int rc = HF_OK;

    pthread_mutex_lock(&tree->lock);
    pinned.list = calloc(tree->sessions.count + 1, sizeof(struct session *));
    if (pinned.list)
        htable_each(&tree->sessions, pin_one, &pinned);
    else
        rc = HF_NOMEM;
    pthread_mutex_unlock(&tree->lock);
    for (size_t i = 0; i < pinned.n; i++) {
        if (rc == HF_OK)
            rc = visit(pinned.list[i], arg);
        table_put(pinned.list[i]);
    }
    free(pinned.list);
    return rc;
}

bool tree_is_fenced(struct tree *tree)
{
    return clock_boottime(tree->clock) >= store_host_deadline(tree->store, tree_host(tree));
}

bool table_leased(const struct session *session)
{
    struct tree *tree = session->tree;
    bool held = session->token != 0 && session->host == tree_host(tree) && !session->releasing &&
                session->phase != PHASE_LOST;

    return held && !(tree->distant && tree_is_fenced(tree));
}

bool table_exclusive(const struct session *session)
{
    struct tree *tree = session->tree;

    /* Over a network, that nobody else is about is heard of too late to rely on. */
    return session->view || (!tree->distant && atomic_load(&tree->other_hosts) == 0) ||
           table_leased(session);
}

double table_timeout(const struct session *session)
{
    return table_exclusive(session) ? FOREVER_S : 0.0;
}
