/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/evict.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "tree/lease.h"
#include "tree/table.h"

/** A session that nothing holds is kept for this long, unless there are too many. */
#define KEEP_NS 60000000000LL
/** What a loaded session is taken to weigh, while the kernel knows a few of its files; all of them may take
 *  half of the memory. */
#define SESSION_BYTES 24576
/** What a live inode weighs beside itself and its content: its name, its place in the table. */
#define INODE_BYTES 96
/** The part of the memory that live inodes may take before the kernel is asked to forget some, and that
 *  opened directories may take before they are closed. */
#define INODES_PART 4
#define DIRECTORIES_PART 8

struct candidate {
    struct session *session;
    int64_t used;
    size_t inodes, directories; /* bytes */
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
    all->list[all->n++] = (struct candidate){.session = session, .used = session->used};
}

static int older_first(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;

    return x->used < y->used ? -1 : x->used > y->used;
}

static void weigh(struct hnode *node, void *arg)
{
    const struct inode *inode = HTABLE_ENTRY(node, struct inode, node);
    struct candidate *candidate = arg;

    candidate->inodes += sizeof *inode + INODE_BYTES + inode->content_bytes.cap + inode->xattrs.cap;
    if (inode->dir)
        candidate->directories += dirmap_memory(inode->dir);
}

/** Whether nothing but the caller holds it, and (*ret_known) the kernel's memory. */
static bool is_unused(struct candidate *candidate, bool *ret_known)
{
    struct session *session = candidate->session;
    bool unused;

    pthread_mutex_lock(&session->lock);
    candidate->inodes = candidate->directories = 0;
    htable_each(&session->inodes, weigh, candidate);
    *ret_known = session->lookups > 0;
    unused = session->handles == 0 && session->phase == PHASE_CLEAN && !session->acquiring &&
             claims_holder(session->tree->claims, session->sid) == 0;
    pthread_mutex_unlock(&session->lock);
    return unused;
}

/** Frees it if nobody came meanwhile; unpins it. */
static void drop(struct session *session)
{
    struct tree *tree = session->tree;
    bool idle = lease_drop(session), dropped = false;

    pthread_mutex_lock(&tree->lock);
    if (idle && atomic_load(&session->pins) == 1 && session_is_idle(session) &&
        session->token == 0) {
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
    if (name && kernel->inval_entry && !atomic_load(&session->tree->closing))
        kernel->inval_entry(kernel->arg, TREE_ROOT, name);
    free(name);
}

/** A few sessions may have very many live inodes: the kernel is asked to forget the largest. */
static bool shrink_largest(struct tree *tree, const struct candidates *all)
{
    const struct candidate *largest = NULL;
    size_t total = 0;

    for (size_t i = 0; i < all->n; i++) {
        if (!all->list[i].session)
            continue;
        total += all->list[i].inodes;
        if (!largest || all->list[i].inodes > largest->inodes)
            largest = &all->list[i];
    }
    if (!largest || total <= tree->options.memory_limit / INODES_PART)
        return false;
    ask_kernel(largest->session);
    return true;
}

static void close_directory(struct hnode *node, void *arg)
{
    (void)arg;
    inode_close_dir(HTABLE_ENTRY(node, struct inode, node));
}

static void close_session_directories(struct session *session)
{
    htable_each(&session->inodes, close_directory, NULL);
    if (session->links)
        dirmap_trim(session->links);
}

/** What cannot be closed now is not tried again before there is more. */
static void set_relief(struct tree *tree)
{
    size_t limit = tree->options.memory_limit / DIRECTORIES_PART;
    size_t again = blob_cache_pinned(tree->cache) + limit / 2;

    atomic_store(&tree->relieve_at, again > limit ? again : limit);
}

void evict_init(struct tree *tree)
{
    set_relief(tree);
}

void evict_relieve(struct session *session)
{
    struct tree *tree = session->tree;

    if (blob_cache_pinned(tree->cache) <= atomic_load(&tree->relieve_at))
        return;
    close_session_directories(session);
    if (blob_cache_pinned(tree->cache) > tree->options.memory_limit / DIRECTORIES_PART)
        worker_evict(tree);
    set_relief(tree);
}

/** Closes directories, those of the sessions that were used last at the end, until half of what they may
 *  take is free. Whoever looks again has them read again. */
static bool close_directories(struct tree *tree, const struct candidates *all)
{
    size_t limit = tree->options.memory_limit / DIRECTORIES_PART;
    size_t total = 0;

    for (size_t i = 0; i < all->n; i++)
        if (all->list[i].session)
            total += all->list[i].directories;
    if (total <= limit)
        return false;
    for (size_t i = 0; i < all->n && total > limit / 2; i++) {
        struct session *session = all->list[i].session;

        if (!session)
            continue;
        pthread_mutex_lock(&session->lock);
        close_session_directories(session);
        pthread_mutex_unlock(&session->lock);
        total -= all->list[i].directories;
    }
    return true;
}

/** What was freed lies between what is kept: it goes back to the system page by page. */
static void give_back_pages(void)
{
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

/** Drops what is unused: for long, or because there are too many. */
static void drop_unused(struct tree *tree, struct candidates *all)
{
    size_t limit = tree->options.memory_limit / 2 / SESSION_BYTES;
    size_t excess = all->n > limit ? all->n - limit : 0;
    int64_t now = timer_now();

    for (size_t i = 0; i < all->n; i++) {
        struct candidate *c = &all->list[i];
        bool known, unused = is_unused(c, &known);

        if (unused && !known && (now - c->used > KEEP_NS || excess > 0)) {
            drop(c->session);
            c->session = NULL;
            excess -= excess > 0;
        } else if (unused && known && excess > 0) {
            ask_kernel(c->session);
            excess--;
        }
    }
}

void evict_idle(struct tree *tree)
{
    struct candidates all = {0};
    bool pressed;

    pthread_mutex_lock(&tree->lock);
    all.list = calloc(tree->sessions.count + 1, sizeof(struct candidate));
    if (all.list)
        htable_each(&tree->sessions, gather, &all);
    pthread_mutex_unlock(&tree->lock);
    if (!all.list)
        return;
    qsort(all.list, all.n, sizeof(struct candidate), older_first);
    drop_unused(tree, &all);
    pressed = close_directories(tree, &all);
    set_relief(tree);
    pressed = shrink_largest(tree, &all) || pressed;
    for (size_t i = 0; i < all.n; i++)
        table_put(all.list[i].session);
    free(all.list);
    if (pressed)
        give_back_pages();
}
