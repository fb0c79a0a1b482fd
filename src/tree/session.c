/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/session.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "tree/commit.h"
#include "tree/directory.h"
#include "tree/handle.h"
#include "tree/kernel.h"
#include "tree/lease.h"
#include "tree/linktable.h"
#include "tree/reach.h"
#include "tree/table.h"

/** A file that another host renamed is looked for in its directory, if that has no more entries than this. */
#define SEARCHED_MAX 4096

int session_new(struct tree *tree, uint64_t sid, struct session **ret_session)
{
    struct session *session = pool_alloc(sizeof *session);

    if (!session)
        return HF_NOMEM;
    session->tree = tree;
    session->sid = sid;
    session->sink.cache = tree->cache;
    pthread_mutex_init(&session->change_lock, NULL);
    pthread_mutex_init(&session->lock, NULL);
    pthread_cond_init(&session->cond, NULL);
    *ret_session = session;
    return HF_OK;
}

static void free_inode_node(struct hnode *node, void *arg)
{
    struct inode ***next = arg;

    *(*next)++ = HTABLE_ENTRY(node, struct inode, node);
}

static void free_inodes(struct session *session)
{
    size_t n = session->inodes.count;
    struct inode **list = calloc(n + 1, sizeof(struct inode *)), **next = list;

    if (!list) /* the process ends, or leaks */
        return;
    htable_each(&session->inodes, free_inode_node, &next);
    for (size_t i = 0; i < n; i++)
        inode_free(session, list[i]);
    free(list);
}

void session_free(struct session *session)
{
    if (!session)
        return;
    handle_free_all(session);
    free_inodes(session);
    htable_free(&session->inodes);
    rest_free(session->rest);
    dirmap_free(session->links);
    negatives_free(negatives_take(&session->negatives));
    blob_sink_clear(&session->sink);
    pool_free_string(session->name);
    pthread_cond_destroy(&session->cond);
    pthread_mutex_destroy(&session->lock);
    pthread_mutex_destroy(&session->change_lock);
    pool_free(session, sizeof *session);
}

void session_set_phase(struct session *session, enum session_phase phase)
{
    /* allowed[from] has a bit for each phase that may follow. */
    static const unsigned allowed[] = {
        [PHASE_CLEAN] =
            1U << PHASE_DIRTY | 1U << PHASE_COMMITTING | 1U << PHASE_LOST | 1U << PHASE_FAILED,
        [PHASE_DIRTY] =
            1U << PHASE_COMMITTING | 1U << PHASE_LOST | 1U << PHASE_FAILED | 1U << PHASE_CLEAN,
        [PHASE_COMMITTING] =
            1U << PHASE_CLEAN | 1U << PHASE_DIRTY | 1U << PHASE_LOST | 1U << PHASE_FAILED,
        [PHASE_LOST] = 1U << PHASE_CLEAN | 1U << PHASE_DIRTY,
        [PHASE_FAILED] = 1U << PHASE_CLEAN | 1U << PHASE_LOST,
    };

    if (session->phase == phase)
        return;
    assert(allowed[session->phase] & 1U << phase);
    session->phase = phase;
}

/* --- loading ---------------------------------------------------------------------------------- */

static void forget_seen(struct hnode *node, void *arg)
{
    struct inode *inode = HTABLE_ENTRY(node, struct inode, node);

    (void)arg;
    inode->seen = inode->same = false;
}

/** Whether it is an open file whose content is committed: it can be read on when its name is gone. */
static bool is_still_read(const struct session *session, const struct inode *inode)
{
    return S_ISREG(inode->mode) && inode->handles > 0 && !inode->dirty &&
           inode->data_seq <= session->committed_seq;
}

/** Another host removed an open file: as after unlink(2), its content stays for who has it open. */
static void become_unlinked(struct session *session, struct inode *inode)
{
    inode->unlinked = true;
    inode->unlinked_seq = 0;
    inode->linked = false;
    inode->nlink = 0;
    inode_unplace(session, inode);
}

/** Looks through a directory for an inode that is not where it was: it may have been renamed in it. */
static int find_renamed(struct session *session, struct inode *inode, struct dirmap *map,
                        struct dir_entry *ret_entry)
{
    char last[NODE_NAME_MAX], *name;
    size_t len = 0;
    int rc;

    if (dirmap_count(map) > SEARCHED_MAX)
        return HF_NOENT;
    while ((rc = dirmap_next(map, slice_of(last, len), ret_entry, NULL)) == HF_OK) {
        len = ret_entry->name.len;
        memcpy(last, ret_entry->name.data, len);
        if (ret_entry->ino == inode->ino && ret_entry->record.len > 0)
            break;
    }
    if (rc != HF_OK)
        return rc;
    name = strndup(last, len);
    if (!name)
        return HF_NOMEM;
    inode_place(session, inode, inode->parent, name);
    return HF_OK;
}

/** Finds the record of an inode in its parent, which has been refreshed. */
static int find_record(struct session *session, struct inode *inode,
                       struct inode_record *ret_record)
{
    struct dir_entry entry;
    struct dirmap *map;
    int rc;

    if (!inode_is_dir(inode->parent))
        return HF_NOENT;
    rc = inode_dir(session, inode->parent, &map);
    if (rc != HF_OK)
        return rc;
    rc = dirmap_find(map, slice_of(inode->name, strlen(inode->name)), &entry, NULL);
    if (rc == HF_NOENT || (rc == HF_OK && (entry.ino != inode->ino || entry.record.len == 0)))
        rc = find_renamed(session, inode, map, &entry);
    return rc == HF_OK ? inode_record_decode(entry.record, ret_record) : rc;
}

/** Whether nothing can have changed: it lies in a directory that is the same, with all that is below it. */
static bool lies_unchanged(const struct inode *inode, bool trusted)
{
    return trusted && !inode->linked && !inode->dirty && inode->parent->same;
}

/** Finds what the new version says of a live inode, its parents first; or makes it stale. `trusted`: what is here
 *  was the state of a version. */
static int refresh_inode(struct session *session, struct inode *inode, bool trusted)
{
    bool reads_on = is_still_read(session, inode);
    struct inode_record record;
    int rc;

    if (inode->seen || inode->stale || inode->pseudo)
        return HF_OK;
    if (inode->unlinked && inode->unlinked_seq <= session->committed_seq)
        return HF_OK;
    inode->seen = true;
    if (inode->unlinked) {
        rc = HF_NOENT;
    } else if (inode->linked) {
        rc = linktable_find(session->links, inode->ino, &record, NULL);
    } else {
        rc = refresh_inode(session, inode->parent, trusted);
        if (rc == HF_OK && lies_unchanged(inode, trusted)) {
            inode->same = true;
            return HF_OK;
        }
        if (rc == HF_OK)
            rc = find_record(session, inode, &record);
    }
    if (rc == HF_OK && (record.mode & S_IFMT) != (inode->mode & S_IFMT))
        rc = HF_NOENT;
    if (rc == HF_OK)
        return inode_refresh(session, inode, &record, trusted);
    inode_unmark(session, inode);
    if (rc != HF_NOENT && rc != HF_STALE)
        return rc;
    inode_note_news(session, inode, 0);
    if (reads_on)
        become_unlinked(session, inode);
    else
        inode->stale = true;
    return HF_OK;
}

struct gather {
    struct inode **list;
    size_t n;
};

static void gather_inode(struct hnode *node, void *arg)
{
    struct gather *gather = arg;

    gather->list[gather->n++] = inode_ref(HTABLE_ENTRY(node, struct inode, node));
}

static int refresh_inodes(struct session *session, bool trusted)
{
    struct gather gather = {0};
    int rc = HF_OK;

    gather.list = calloc(session->inodes.count + 1, sizeof(struct inode *));
    if (!gather.list)
        return HF_NOMEM;
    htable_each(&session->inodes, gather_inode, &gather);
    session->top->seen = true;
    for (size_t i = 0; i < gather.n && rc == HF_OK; i++)
        rc = refresh_inode(session, gather.list[i], trusted);
    for (size_t i = 0; i < gather.n; i++) {
        inode_unmark(session, gather.list[i]);
        inode_unref(session, gather.list[i]);
    }
    free(gather.list);
    return rc;
}

/** The root of a shared tree that was never committed. */
static void empty_root(const struct tree *tree, struct root_node *ret_root)
{
    int64_t now = clock_realtime(tree->clock);

    *ret_root = (struct root_node){
        .next_ino = NODE_ROOT_INO + 1,
        .dir = {.ino = NODE_ROOT_INO,
                .mode = S_IFDIR | 0755,
                .uid = tree->options.root_uid,
                .gid = tree->options.root_gid,
                .nlink = 2,
                .atime = now,
                .mtime = now,
                .ctime = now},
    };
}

static int adopt_root(struct session *session, const struct root_node *root, bool trusted)
{
    struct dirmap *links;
    int rc = dirmap_open(session->tree->cache, &root->links, &links, NULL);

    if (rc != HF_OK)
        return rc;
    htable_each(&session->inodes, forget_seen, NULL);
    if (session->top)
        rc = inode_refresh(session, session->top, &root->dir, trusted);
    else
        rc = inode_load(session, &root->dir, &session->top);
    if (rc != HF_OK) {
        dirmap_free(links);
        return rc;
    }
    dirmap_free(session->links);
    session->links = links;
    /* Numbers that were given out to the kernel are not given out again. */
    if (root->next_ino > session->next_ino)
        session->next_ino = root->next_ino;
    return HF_OK;
}

static int load_root(struct session *session, const struct session_head *head, bool trusted,
                     struct hf_error *err)
{
    struct blob_cache *cache = session->tree->cache;
    struct root_node root;
    struct blob *blob;
    int rc;

    if (session->sid == SHARED_SID && head->version == 0) {
        empty_root(session->tree, &root);
        return adopt_root(session, &root, trusted);
    }
    rc = blob_get(cache, &head->root, &blob, err);
    if (rc != HF_OK)
        return rc;
    rc = root_node_decode(blob_content(blob), &root);
    if (rc == HF_OK)
        rc = adopt_root(session, &root, trusted);
    blob_unref(cache, blob);
    return rc;
}

static void find_nameless(struct hnode *node, void *arg)
{
    const struct inode *inode = HTABLE_ENTRY(node, struct inode, node);

    if (inode->unlinked && inode->handles > 0 && inode->file)
        *(bool *)arg = true;
}

/** Whether an open file without a name may have chunks that are nowhere but in the sink. */
static bool writes_nameless(struct session *session)
{
    bool found = false;

    if (session->sink.count > 0)
        htable_each(&session->inodes, find_nameless, &found);
    return found;
}

int session_load(struct session *session, const struct session_head *head, struct hf_error *err)
{
    /* What is here is what the version said: then what is equal in both need not be looked at. */
    bool trusted = session->loaded && session->change_seq == session->committed_seq &&
                   object_id_equal(&session->built, &session->root);
    int rc;

    session->loaded = false;
    rc = load_root(session, head, trusted, err);
    if (rc == HF_OK)
        rc = refresh_inodes(session, trusted);
    if (rc == HF_OK)
        rc = rest_end(session, object_id_equal(&session->root, &head->root));
    if (rc != HF_OK)
        return rc;
    /* What is on its way to the store is dropped by who sends it. */
    if (!session->sink_busy && !writes_nameless(session))
        blob_sink_clear(&session->sink);
    session->sink.cache = session->tree->cache;
    session->version = head->version;
    session->root = session->built = head->root;
    session->bytes = head->bytes;
    session->files = head->files;
    session->meta_stale = false;
    session->built_seq = session->committed_seq = session->synced_seq = session->change_seq;
    session->unsynced = !session->tree->options.read_only;
    session->loaded = true;
    return HF_OK;
}

int session_reload(struct session *session, struct hf_error *err)
{
    struct session_head head;
    int rc;

    if (session->view)
        return HF_STALE;
    if (!reach_store(session->tree->store))
        return hf_fail(err, HF_TIMEOUT, "the store's server is away");
    rc = store_session_head(session->tree->store, session->sid, &head, err);
    if (rc == HF_NOENT)
        session->deleted = true;
    if (rc == HF_OK)
        rc = session_load(session, &head, err);
    return rc;
}

static int refresh(struct session *session)
{
    struct session_head head;
    int rc;

    if ((table_exclusive(session) && !session->unsure) || session->phase != PHASE_CLEAN ||
        session->deleted)
        return HF_OK;
    if (!reach_store(session->tree->store))
        return HF_OK; /* what is here is the best there is */
    rc = store_session_head(session->tree->store, session->sid, &head, NULL);
    if (rc == HF_TIMEOUT)
        return HF_OK;
    if (rc == HF_NOENT) {
        session->deleted = true;
        worker_invalidate(session);
        return HF_STALE;
    }
    if (rc != HF_OK)
        return rc;
    session->unsure = false;
    session->asked_at = timer_now();
    if (head.version == session->version)
        return HF_OK;
    if (session->sink_busy) { /* the store reads from what a reload throws away */
        pthread_cond_wait(&session->cond, &session->lock);
        session->unsure = true;
        return session->loaded ? refresh(session) : session_reload(session, NULL);
    }
    rc = session_load(session, &head, NULL);
    worker_invalidate(session);
    return rc;
}

int session_refresh(struct session *session)
{
    int rc = refresh(session);

    kernel_tell_news(session);
    if (rc == HF_OK && !session->loaded && !session->deleted)
        rc = session_reload(session, NULL); /* the lock was let go */
    return rc;
}

int session_lock(struct session *session)
{
    int rc = HF_OK;

    pthread_mutex_lock(&session->lock);
    if (!session->loaded)
        rc = session->deleted ? HF_STALE : session_reload(session, NULL);
    else if (session->phase == PHASE_FAILED && session->writers == 0)
        session_recover(session);
    if (rc != HF_OK)
        pthread_mutex_unlock(&session->lock);
    return rc == HF_NOENT ? HF_STALE : rc;
}

void session_unlock(struct session *session)
{
    pthread_mutex_unlock(&session->lock);
}

int session_inode(struct session *session, uint64_t ino, struct inode **ret_inode)
{
    for (struct hnode *n = htable_find(&session->inodes, htable_hash_u64(ino)); n;
         n = htable_next(n)) {
        struct inode *inode = HTABLE_ENTRY(n, struct inode, node);

        if (inode->ino == ino && !inode->stale) {
            *ret_inode = inode_ref(inode);
            return HF_OK;
        }
    }
    return HF_STALE;
}

int session_directory(struct session *session, uint64_t ino, struct inode **ret_inode)
{
    struct inode *inode;
    int rc = session_inode(session, ino, &inode);

    if (rc != HF_OK)
        return rc;
    if (!inode_is_dir(inode))
        rc = HF_NOTDIR;
    else if (inode->unlinked || session->deleted)
        rc = HF_NOENT;
    if (rc != HF_OK) {
        inode_unref(session, inode);
        return rc;
    }
    *ret_inode = inode;
    return HF_OK;
}

/* --- changing --------------------------------------------------------------------------------- */

/** May let go of the lock. 0: a change may be made before the lock is let go. */
static int admit(struct session *session, uint32_t wait_ms)
{
    int rc;

    if (session->view)
        return HF_ROFS;
    if (session->tree->options.read_only)
        return HF_ROFS;
    for (;;) {
        if (session->deleted)
            return HF_NOENT;
        if (session->phase == PHASE_LOST || tree_is_fenced(session->tree))
            return HF_FENCED;
        if (session->phase == PHASE_FAILED) {
            rc = session_recover(session);
            if (rc != HF_OK)
                return HF_FAILED;
            continue;
        }
        if (session->token != 0 && session->host != tree_host(session->tree))
            return HF_FENCED; /* of a host session that is over: about to be lost */
        if (session->sid == SHARED_SID || session->token != 0) {
            session->releasing = false;
            return session->loaded ? HF_OK : session_reload(session, NULL);
        }
        rc = lease_acquire(session, wait_ms);
        if (rc != HF_OK)
            return rc;
    }
}

static int change_session(struct session *session, int (*apply)(struct session *, void *),
                          void *arg)
{
    int rc = session_lock(session);

    if (rc != HF_OK)
        return rc;
    rc = admit(session, session->tree->options.wait_ms);
    if (rc == HF_OK)
        rc = apply(session, arg);
    if (rc != HF_OK)
        session_unlock(session);
    return rc;
}

/** Commits by compare-and-swap; over a newer version the change is made again. */
static int change_shared(struct session *session, int (*apply)(struct session *, void *), void *arg)
{
    int rc;

    pthread_mutex_lock(&session->change_lock);
    rc = session_lock(session);
    if (rc != HF_OK)
        goto out;
    do {
        rc = admit(session, 0);
        if (rc != HF_OK)
            break;
        rc = apply(session, arg);
        if (rc != HF_OK)
            break;
        rc = session_commit(session, session->change_seq, false);
        if (rc != HF_OK && session->phase != PHASE_FAILED && session->phase != PHASE_LOST) {
            int reloaded;

            session->loaded = false; /* what is here did not happen */
            reloaded = session_reload(session, NULL);
            session_set_phase(session, PHASE_CLEAN);
            worker_invalidate(session);
            if (reloaded != HF_OK)
                rc = reloaded;
        }
    } while (rc == HF_CONFLICT);
    if (rc != HF_OK)
        session_unlock(session);
out:
    pthread_mutex_unlock(&session->change_lock);
    return rc;
}

int session_change(struct session *session, int (*apply)(struct session *, void *), void *arg)
{
    if (session->sid == SHARED_SID)
        return change_shared(session, apply, arg);
    return change_session(session, apply, arg);
}

int session_admit_now(struct session *session)
{
    int rc = session_lock(session);

    if (rc != HF_OK)
        return rc;
    rc = admit(session, 0);
    if (rc != HF_OK)
        session_unlock(session);
    return rc;
}

int64_t session_now(const struct session *session)
{
    return clock_realtime(session->tree->clock);
}

void session_changed(struct session *session, bool data)
{
    struct tree *tree = session->tree;
    int64_t delay = (int64_t)tree->options.commit_delay_ms * 1000000;
    int64_t at = timer_now() + (data ? 10 * delay : delay);

    session->change_seq++;
    if (session->phase == PHASE_CLEAN)
        session_set_phase(session, PHASE_DIRTY);
    if (session->sid == SHARED_SID || (session->due != 0 && session->due <= at))
        return;
    session->due = at;
    timer_set(session, at);
}

bool session_is_idle(const struct session *session)
{
    return session->lookups == 0 && session->handles == 0 && session->phase == PHASE_CLEAN &&
           session->sid != SHARED_SID;
}
