/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/rest.h"

#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "tree/directory.h"
#include "tree/table.h"

/** A session with more live inodes, or longer names, stays awake. */
#define INODES_MAX 2048
#define NAMES_MAX UINT16_MAX
/** Whenever so many have woken, evict.c has a look. */
#define EVICT_EVERY 256

/** The first is the top. Parents come before their children. */
struct resting {
    uint64_t ino : 40;
    uint64_t type : 4;    /* of the mode */
    uint64_t current : 1; /* the kernel's pages are what the file holds */
    uint32_t lookups;
    uint16_t parent; /* which one */
    uint16_t name;   /* where, in the names */
};

struct rest {
    size_t n, names_len;
    char *names; /* behind the inodes */
    struct resting inodes[];
};

/* --- going to rest ------------------------------------------------------------------------------ */

struct gather {
    struct inode *list[INODES_MAX];
    size_t n, names;
    bool refused;
};

static bool can_rest(const struct inode *inode)
{
    return !inode->unlinked && !inode->stale && !inode->pseudo && !inode->linked && !inode->dirty &&
           !inode->news && inode->handles == 0 && inode->lookups <= UINT32_MAX;
}

static void gather_inode(struct hnode *node, void *arg)
{
    struct inode *inode = HTABLE_ENTRY(node, struct inode, node);
    struct gather *gather = arg;

    inode->depth = 0;
    gather->refused |= !can_rest(inode);
    gather->names += (inode->name ? strlen(inode->name) : 0) + 1;
    gather->list[gather->n++] = inode;
}

/** Notes an inode, those above it first; its place is in inode->depth, counted from 1. */
static uint16_t note(struct rest *rest, struct inode *inode)
{
    const char *name = inode->name ? inode->name : "";
    size_t len = strlen(name) + 1;
    uint16_t parent = 0;

    if (inode->depth > 0)
        return (uint16_t)(inode->depth - 1);
    if (inode->parent)
        parent = note(rest, inode->parent);
    rest->inodes[rest->n] = (struct resting){
        .ino = inode->ino & 0xffffffffff,
        .type = (inode->mode >> 12) & 0xf,
        .current = inode->cached_at == inode->moved_on,
        .lookups = (uint32_t)inode->lookups,
        .parent = parent,
        .name = (uint16_t)rest->names_len,
    };
    memcpy(rest->names + rest->names_len, name, len);
    rest->names_len += len;
    inode->depth = (unsigned)++rest->n;
    return (uint16_t)(rest->n - 1);
}

static struct rest *make(struct session *session, const struct gather *gather)
{
    size_t inodes = gather->n * sizeof(struct resting);
    struct rest *rest = pool_alloc(sizeof *rest + inodes + gather->names);

    if (!rest)
        return NULL;
    rest->names = (char *)rest->inodes + inodes;
    note(rest, session->top);
    for (size_t i = 0; i < gather->n; i++)
        note(rest, gather->list[i]);
    return rest;
}

static bool gather_all(struct session *session, struct gather *gather)
{
    if (!session->loaded || !session->top || session->inodes.count > INODES_MAX)
        return false;
    htable_each(&session->inodes, gather_inode, gather);
    return !gather->refused && gather->names <= NAMES_MAX;
}

bool rest_begin(struct session *session)
{
    struct gather *gather = calloc(1, sizeof *gather);
    struct rest *rest = NULL;

    if (gather && gather_all(session, gather))
        rest = make(session, gather);
    if (rest) {
        for (size_t i = 0; i < gather->n; i++)
            inode_free(session, gather->list[i]);
        htable_free(&session->inodes);
        session->inodes = (struct htable){0};
        dirmap_free(session->links);
        session->links = NULL;
        session->top = NULL;
        session->loaded = false;
        session->rest = rest;
    }
    free(gather);
    return rest != NULL;
}

/* --- waking ------------------------------------------------------------------------------------- */

static int find(struct session *session, struct inode *parent, const char *name,
                const struct resting *resting, struct inode **ret_inode)
{
    struct inode *inode;
    int rc = HF_NOENT;

    if (!parent->stale && inode_is_dir(parent))
        rc = directory_child(session, parent, slice_of(name, strlen(name)), &inode);
    if (rc != HF_OK)
        return rc;
    if (inode->ino == resting->ino && inode->mode >> 12 == resting->type) {
        *ret_inode = inode;
        return HF_OK;
    }
    inode_unref(session, inode);
    return HF_NOENT;
}

/** The inode where it was; or one that is stale, for what the kernel has of it. */
static int wake(struct session *session, struct inode *parent, const char *name,
                const struct resting *resting, struct inode **ret_inode)
{
    int rc = find(session, parent, name, resting, ret_inode);

    if (rc != HF_NOENT)
        return rc;
    rc = inode_new(session, resting->ino, (uint32_t)resting->type << 12, ret_inode);
    if (rc == HF_OK)
        (*ret_inode)->stale = true;
    return rc;
}

static void give_lookups(struct session *session, const struct rest *rest, struct inode **list,
                         bool same)
{
    for (size_t i = 0; i < rest->n; i++) {
        struct inode *inode = list[i];

        inode->lookups += rest->inodes[i].lookups;
        inode->cached_at = same && rest->inodes[i].current ? inode->moved_on : UINT64_MAX;
        if (!same)
            inode_note_news(session, inode, 0);
    }
}

int rest_end(struct session *session, bool same)
{
    struct rest *rest = session->rest;
    struct inode **list;
    size_t n = 0;
    int rc = HF_OK;

    if (!rest)
        return HF_OK;
    list = calloc(rest->n, sizeof *list);
    if (!list)
        return HF_NOMEM;
    list[n++] = inode_ref(session->top);
    while (n < rest->n && rc == HF_OK) {
        const struct resting *resting = &rest->inodes[n];

        rc = wake(session, list[resting->parent], rest->names + resting->name, resting, &list[n]);
        n += rc == HF_OK;
    }
    if (rc == HF_OK) {
        give_lookups(session, rest, list, same);
        session->rest = NULL;
        rest_free(rest);
        if (atomic_fetch_add(&session->tree->woken, 1) % EVICT_EVERY == EVICT_EVERY - 1)
            worker_evict(session->tree);
        if (!same)
            worker_invalidate(session);
    }
    while (n > 0)
        inode_unref(session, list[--n]);
    free(list);
    return rc;
}

/* --- at rest ------------------------------------------------------------------------------------ */

void rest_forget(struct session *session, uint64_t ino, uint64_t lookups)
{
    struct rest *rest = session->rest;

    for (size_t i = 0; rest && i < rest->n && lookups > 0; i++) {
        struct resting *resting = &rest->inodes[i];
        uint32_t less = resting->lookups < lookups ? resting->lookups : (uint32_t)lookups;

        if (resting->ino != ino)
            continue;
        resting->lookups -= less;
        session->lookups -= less;
        lookups -= less;
    }
}

void rest_each(const struct rest *rest, void (*visit)(const struct rest_known *known, void *arg),
               void *arg)
{
    for (size_t i = 0; rest && i < rest->n; i++) {
        const struct resting *resting = &rest->inodes[i];
        struct rest_known known = {.ino = resting->ino,
                                   .parent = i > 0 ? rest->inodes[resting->parent].ino : 0,
                                   .is_dir = resting->type == S_IFDIR >> 12,
                                   .name = rest->names + resting->name,
                                   .lookups = resting->lookups};

        visit(&known, arg);
    }
}

size_t rest_count(const struct rest *rest)
{
    return rest ? rest->n : 0;
}

size_t rest_memory(const struct rest *rest)
{
    return rest ? sizeof *rest + rest->n * sizeof(struct resting) + rest->names_len : 0;
}

void rest_free(struct rest *rest)
{
    pool_free(rest, rest_memory(rest));
}
