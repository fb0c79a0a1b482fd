/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/evict.h"

#include <stdlib.h>
#include <string.h>

#include "tree/lease.h"
#include "tree/table.h"

/** A session that nothing holds is kept for this long, unless there are too many. */
#define KEEP_NS 60000000000LL
/** What a loaded session is taken to weigh. */
#define SESSION_BYTES 32768

struct candidate {
    struct session *session;
    int64_t used;
};

struct candidates {
    struct candidate *list;
    size_t n;
};

static void gather(struct hnode *node, void *arg)
{
    struct candidates *all = arg;
    struct session *session = HTABLE_ENTRY(node, struct session, node);

    if (session->sid == SHARED_SID)
        return;
    table_pin(session);
    all->list[all->n++] = (struct candidate){session, session->used};
}

static int older_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    return x->used < y->used ? -1 : x->used > y->used;
}

/** Whether nothing but the caller holds it, or (only_known) nothing but the kernel's memory. */
static bool is_unused(struct session *session, bool *ret_known)
{
    bool unused;

    pthread_mutex_lock(&session->lock);
    *ret_known = session->lookups > 0;
    unused = session->handles == 0 && session->phase == PHASE_CLEAN && !session->acquiring;
    pthread_mutex_unlock(&session->lock);
    return unused;
}

/** Frees it if nobody came meanwhile; unpins it. */
static void drop(struct session *session)
{
    struct tree *tree = session->tree;
    bool dropped = false;

    lease_give_back(session);
    pthread_mutex_lock(&tree->lock);
    if (atomic_load(&session->pins) == 1 && session_is_idle(session) && session->token == 0) {
        htable_remove(&tree->sessions, &session->node);
        dropped = true;
    }
    pthread_mutex_unlock(&tree->lock);
    if (dropped)
        session_free(session);
    else
        table_put(session);
}

static void ask_kernel(struct session *session)
{
    const struct tree_kernel *kernel = &session->tree->options.kernel;
    char *name = NULL;

    pthread_mutex_lock(&session->lock);
    if (session->name)
        name = strdup(session->name);
    pthread_mutex_unlock(&session->lock);
    if (name && kernel->inval_entry)
        kernel->inval_entry(kernel->arg, TREE_ROOT, name);
    free(name);
}

void evict_idle(struct tree *tree)
{
    size_t limit = tree->options.memory_limit / SESSION_BYTES;
    struct candidates all = {0};
    int64_t now = timer_now();
    size_t excess;

    pthread_mutex_lock(&tree->lock);
    all.list = calloc(tree->sessions.count + 1, sizeof(struct candidate));
    if (all.list)
        htable_each(&tree->sessions, gather, &all);
    pthread_mutex_unlock(&tree->lock);
    qsort(all.list, all.n, sizeof(struct candidate), older_first);
    excess = all.n > limit ? all.n - limit : 0;
    for (size_t i = 0; i < all.n; i++) {
        struct session *session = all.list[i].session;
        bool known, unused = is_unused(session, &known);
        bool old = now - all.list[i].used > KEEP_NS;

        if (unused && !known && (old || excess > 0)) {
            drop(session);
            excess -= excess > 0;
            continue;
        }
        if (unused && known && excess > 0) {
            ask_kernel(session);
            excess--;
        }
        table_put(session);
    }
    free(all.list);
}
