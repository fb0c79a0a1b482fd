/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/evict.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "tree/lease.h"
#include "tree/table.h"

/** A session that nothing holds is kept for this long, unless there are too many. */
#define KEEP_NS 60000000000LL
/** One that the kernel knows goes to rest after so long, unless it comes from far. */
#define AWAKE_NS 20000000000LL
/** All of them may take this part of the memory. */
#define SESSIONS_PART 3
/** What one weighs beside itself and its inodes: its name, its place in the table, its links. */
#define SESSION_BYTES 512
/** What a live inode weighs beside itself and its content: its name, its place in the table. */
#define INODE_BYTES 160
/** So many sessions went to rest, or away, that their pages are worth giving back. */
#define MANY 64
/** So often contents that nobody uses are looked for, which a store beside the mount can give again; and so many
 *  bytes of them are worth giving back. */
#define AGE_NS 10000000000LL
#define AGED_BYTES (1U << 20)
/** The part of the memory that live inodes may take before the kernel is asked to forget some, and that
 *  opened directories may take before they are closed. */
#define INODES_PART 4
#define DIRECTORIES_PART 8

struct candidate {
    struct session *session;
    int64_t used;
    size_t inodes, directories, rest; /* bytes */
    bool unused, known;               /* by who is served; by the kernel */
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

static bool is_unused(const struct session *session)
{
    return session->handles == 0 && session->phase == PHASE_CLEAN && !session->acquiring &&
           claims_holder(session->tree->claims, session->sid) == 0;
}

/** Whether nothing but the caller holds it, how much it weighs, and whether the kernel knows it. */
static void look_at(struct candidate *candidate)
{
    struct session *session = candidate->session;

    pthread_mutex_lock(&session->lock);
    htable_each(&session->inodes, weigh, candidate);
    candidate->rest = rest_memory(session->rest);
    candidate->known = session->lookups > 0;
    candidate->unused = is_unused(session);
    pthread_mutex_unlock(&session->lock);
}

static size_t weight(const struct candidate *candidate)
{
    return sizeof(struct session) + SESSION_BYTES + candidate->inodes + candidate->directories +
           candidate->rest;
}

/** Puts it to rest, if nobody came meanwhile. */
static bool lay(struct candidate *candidate)
{
    struct session *session = candidate->session;
    struct tree *tree = session->tree;
    bool alone;

    pthread_mutex_lock(&session->lock);
    pthread_mutex_lock(&tree->lock);
    alone = atomic_load(&session->pins) == 1; /* who comes now waits for the session */
    pthread_mutex_unlock(&tree->lock);
    alone = alone && is_unused(session) && !session->view && !session->deleted && !session->news &&
            !session->telling && session->sink.count == 0 && rest_begin(session);
    if (alone) {
        candidate->inodes = candidate->directories = 0;
        candidate->rest = rest_memory(session->rest);
    }
    pthread_mutex_unlock(&session->lock);
    return alone;
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

/** What a session may be relieved of: all, when only memory knows it, or what can be read again. Gives how many
 *  bytes that has freed. */
static size_t relieve(struct candidate *c, size_t *counter)
{
    size_t before = weight(c);

    if (!c->known) {
        drop(c->session);
        c->session = NULL;
    } else if (c->inodes == 0 || !lay(c)) {
        return 0;
    }
    ++*counter;
    return c->session ? before - weight(c) : before;
}

/** Drops what is unused, and puts to rest what only the kernel knows: for long, or because there is too much. Gives
 *  whether that was much. */
static bool drop_unused(struct tree *tree, struct candidates *all)
{
    size_t limit = tree->options.memory_limit / SESSIONS_PART, total = 0, counter = 0;
    int64_t now = timer_now();

    for (size_t i = 0; i < all->n; i++) {
        look_at(&all->list[i]);
        total += weight(&all->list[i]);
    }
    for (size_t i = 0; i < all->n; i++) {
        struct candidate *c = &all->list[i];
        int64_t age = now - c->used;
        bool old = c->known ? age > AWAKE_NS && !tree->distant : age > KEEP_NS;

        if (c->unused && (old || total > limit))
            total -= relieve(c, &counter);
    }
    for (size_t i = 0; i < all->n && total > limit; i++) {
        struct candidate *c = &all->list[i];

        if (!c->session || !c->unused || !c->known)
            continue;
        ask_kernel(c->session);
        total -= weight(c);
    }
    return counter >= MANY;
}

/** Now and then, and when memory is short. Gives whether that was much. */
static bool drop_old_contents(struct tree *tree, bool pressed)
{
    int64_t now = timer_now();

    if (tree->distant || (!pressed && now - tree->aged_at < AGE_NS))
        return false;
    tree->aged_at = now;
    return blob_cache_age(tree->cache) >= AGED_BYTES;
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
    pressed = drop_unused(tree, &all);
    pressed = close_directories(tree, &all) || pressed;
    set_relief(tree);
    pressed = shrink_largest(tree, &all) || pressed;
    pressed = drop_old_contents(tree, pressed) || pressed;
    for (size_t i = 0; i < all.n; i++)
        table_put(all.list[i].session);
    free(all.list);
    if (pressed)
        give_back_pages();
}
