/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/commit.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "tree/directory.h"
#include "tree/linktable.h"
#include "tree/meta_index.h"
#include "tree/reach.h"
#include "tree/split.h"
#include "tree/table.h"

/** A file is spilled when it holds this much that is not cut into chunks yet, or a smaller part of a small
 *  memory. On its way to the store it is there several times: plain, cut, and packed. */
#define SPILL_BYTES_MAX (8U << 20)
#define SPILL_MEMORY_PART 32
/** When a rescue failed for want of room, it is tried again after this. */
#define RETRY_NS 1000000000LL

/* --- building --------------------------------------------------------------------------------- */

static int save_xattrs(struct session *session, struct inode *inode)
{
    int rc = HF_OK;

    if (!inode->xattrs_dirty)
        return HF_OK;
    if (inode->xattrs.len == 0)
        inode->xattr_kind = XATTR_NONE;
    else if (inode->xattrs.len <= NODE_XATTR_INLINE_MAX)
        inode->xattr_kind = XATTR_INLINE;
    else
        rc = blob_sink_add(&session->sink, OBJECT_CHUNK, buf_slice(&inode->xattrs), NULL,
                           &inode->xattr_id, NULL);
    if (rc != HF_OK)
        return rc;
    if (inode->xattrs.len > NODE_XATTR_INLINE_MAX)
        inode->xattr_kind = XATTR_CHUNK;
    inode->xattrs_dirty = false;
    return HF_OK;
}

static int save_content(struct session *session, struct inode *inode, struct hf_error *err)
{
    struct content content;
    int rc;

    if (inode->file) {
        rc = filemap_save(inode->file, &session->sink, &content, err);
        if (rc != HF_OK)
            return rc;
        inode->size = filemap_size(inode->file);
        inode->allocated = filemap_allocated(inode->file);
    } else if (inode->dir) {
        rc = dirmap_save(inode->dir, &session->sink, inode == session->top, &content, err);
        if (rc != HF_OK)
            return rc;
    } else {
        return HF_OK;
    }
    return inode_set_content(inode, &content);
}

/** Puts the inode's record to where it is found again. */
static int save_record(struct session *session, struct inode *inode, struct hf_error *err)
{
    struct inode_record record;
    BUF_AUTO bytes = {0};
    struct dir_entry entry;
    struct dirmap *map;
    int rc;

    inode_record(inode, &record);
    if (inode->linked)
        return linktable_put(session->links, &record, err);
    assert(inode->parent && inode->parent->dirty);
    rc = inode_dir(session, inode->parent, &map);
    if (rc == HF_OK)
        rc = inode_record_encode(&record, &bytes);
    if (rc != HF_OK)
        return rc;
    entry = (struct dir_entry){.name = slice_of(inode->name, strlen(inode->name)),
                               .record = buf_slice(&bytes),
                               .ino = inode->ino,
                               .mode = inode->mode};
    return dirmap_put(map, &entry, err);
}

static int save_inode(struct session *session, struct inode *inode, struct hf_error *err)
{
    int rc = save_xattrs(session, inode);

    if (rc == HF_OK)
        rc = save_content(session, inode, err);
    if (rc == HF_OK && inode != session->top)
        rc = save_record(session, inode, err);
    return rc;
}

/** Encodes ROOT; with `in_place` small content of the top and the link table lies in it. */
static int save_root(struct session *session, struct object_id *ret_root, struct hf_error *err)
{
    struct root_node root = {.next_ino = session->next_ino};
    BUF_AUTO bytes = {0};
    int rc;

    rc = dirmap_save(session->links, &session->sink, true, &root.links, err);
    if (rc != HF_OK)
        return rc;
    inode_record(session->top, &root.dir);
    rc = root_node_encode(&root, &bytes);
    if (rc != HF_OK)
        return rc;
    return blob_sink_add(&session->sink, OBJECT_ROOT, buf_slice(&bytes),
                         session->version > 0 ? &session->root : NULL, ret_root, err);
}

static unsigned depth_of(const struct inode *inode)
{
    unsigned depth = 0;

    if (inode->linked)
        return UINT32_MAX;
    for (; inode->parent; inode = inode->parent)
        depth++;
    return depth;
}

static int deeper_first(const void *a, const void *b)
{
    const struct inode *x = *(struct inode *const *)a, *y = *(struct inode *const *)b;

    return x->depth < y->depth ? 1 : x->depth > y->depth ? -1 : 0;
}

/** All dirty inodes, deepest first, each with a reference. */
static int collect_dirty(struct session *session, struct inode ***ret_list, size_t *ret_n)
{
    struct inode **list;
    size_t n = 0;

    for (struct inode *i = session->dirty; i; i = i->dirty_next)
        n++;
    list = malloc((n + 1) * sizeof(struct inode *));
    if (!list)
        return HF_NOMEM;
    n = 0;
    for (struct inode *i = session->dirty; i; i = i->dirty_next) {
        i->depth = depth_of(i);
        list[n++] = inode_ref(i);
    }
    qsort(list, n, sizeof(struct inode *), deeper_first);
    *ret_list = list;
    *ret_n = n;
    return HF_OK;
}

/** Content that no open file uses is in the record now, and need not be held twice. */
static void settle(struct session *session, struct inode *inode)
{
    inode_unmark(session, inode);
    if (inode->file && inode->handles == 0) {
        filemap_free(inode->file);
        inode->file = NULL;
    }
    inode_count(session, inode);
}

/** Freezes everything changed so far into the sink. On failure everything stays dirty. */
static int build(struct session *session, struct hf_error *err)
{
    struct inode **list;
    struct object_id root;
    size_t n = 0;
    int rc;

    if (session->built_seq == session->change_seq)
        return HF_OK;
    inode_mark(session, session->top);
    rc = collect_dirty(session, &list, &n);
    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < n && rc == HF_OK; i++)
        rc = save_inode(session, list[i], err);
    if (rc == HF_OK)
        rc = save_root(session, &root, err);
    if (rc == HF_OK) {
        session->built = root;
        session->built_seq = session->change_seq;
        for (size_t i = 0; i < n; i++)
            settle(session, list[i]);
    }
    for (size_t i = 0; i < n; i++)
        inode_unref(session, list[i]);
    free(list);
    return rc;
}

/* --- handing over ------------------------------------------------------------------------------ */

/** What is built, as a commit. `meta` owns the strings. */
static int prepare(struct session *session, bool sync, struct commit *ret_commit,
                   struct meta_strings *meta, struct object **ret_objects)
{
    struct object *objects = blob_sink_objects(&session->sink);

    if (!objects && session->sink.count > 0)
        return HF_NOMEM;
    *ret_commit = (struct commit){
        .sid = session->sid,
        .token = session->token,
        .base_version = session->version,
        .root = session->built,
        .objects = objects,
        .nobjects = session->sink.count,
        .durability = sync ? DURABILITY_SYNC : store_info(session->tree->store)->close_durability,
        .meta = {.bytes = session->bytes, .files = session->files},
    };
    if (session->meta_stale)
        meta_index_read(session, meta, ret_commit);
    *ret_objects = objects;
    session->attempt = (struct attempt){.root = session->built,
                                        .seq = session->built_seq,
                                        .nobjects = session->sink.count,
                                        .meta = ret_commit->meta_strings_valid};
    return HF_OK;
}

/** The store has what was tried last. */
static void attempt_succeeded(struct session *session, uint64_t version, bool sync)
{
    const struct attempt *attempt = &session->attempt;

    blob_sink_drop(&session->sink, attempt->nobjects);
    session->version = version;
    session->root = attempt->root;
    session->committed_seq = attempt->seq;
    if (sync) {
        session->synced_seq = attempt->seq;
        session->unsynced = false;
    }
    if (attempt->meta)
        session->meta_stale = false;
    session->attempt.open = false;
    atomic_fetch_add(&session->tree->commits, 1);
}

/** To CLEAN or DIRTY. */
static void go_on(struct session *session)
{
    session_set_phase(session,
                      session->change_seq > session->committed_seq ? PHASE_DIRTY : PHASE_CLEAN);
}

/** The changes cancelled out, or were to what has no name any more: the head stays. */
static void committed_nothing(struct session *session)
{
    session->committed_seq = session->built_seq;
    go_on(session);
}

/** Under which host session it is committed: that of the lease. */
static uint64_t host_of(const struct session *session)
{
    return session->sid == SHARED_SID ? tree_host(session->tree) : session->host;
}

static void session_doubt(struct session *session);
static const char *name_of(const struct session *session);

/** There is no room, or no more is allowed: what is here stays, and is tried again. Told once, not at every try. */
static void report_refusal(struct session *session, int status, const struct hf_error *err)
{
    if ((status == HF_QUOTA || status == HF_NOSPC) && session->attempt_status != status)
        tree_report(session->tree, "session %s cannot be committed now, and its changes wait: %s",
                    session->sid == SHARED_SID ? "." : name_of(session), err->message);
}

/** What becomes of the session when its commit was refused. */
static void commit_failed(struct session *session, int status)
{
    session->attempt.open = status == HF_TIMEOUT || status == HF_IO || status == HF_FAILED;
    switch (status) {
    case HF_FENCED:
        session_lost(session, "fenced");
        break;
    case HF_CONFLICT:
        if (session->sid != SHARED_SID)
            session_lost(session, "the head was moved under the lease");
        else
            session_set_phase(session, PHASE_DIRTY);
        break;
    case HF_TIMEOUT:
        /* An embedded store that was locked for too long has done nothing; of one far away nobody knows. */
        if (session->tree->distant && session->sid != SHARED_SID)
            session_doubt(session);
        else
            session_set_phase(session, PHASE_DIRTY);
        break;
    case HF_IO:
    case HF_FAILED:
    case HF_MISSING:
    case HF_CORRUPT:
        session_set_phase(session, PHASE_FAILED);
        break;
    default:
        session_set_phase(session, PHASE_DIRTY);
        break;
    }
}

/** Commits everything so far. Nobody else uses the sink meanwhile. */
static int lead(struct session *session, bool sync)
{
    struct tree *tree = session->tree;
    struct object *objects = NULL;
    struct meta_strings meta = {0};
    struct commit commit;
    uint64_t version = 0, host = host_of(session);
    struct hf_error err = {0};
    int rc;

    rc = build(session, NULL);
    if (rc == HF_OK)
        rc = prepare(session, sync, &commit, &meta, &objects);
    if (rc != HF_OK)
        goto out;
    if (session->version > 0 && object_id_equal(&session->built, &session->root)) {
        committed_nothing(session);
        goto out;
    }
    session_set_phase(session, PHASE_COMMITTING);
    session->sink_busy = true;
    pthread_mutex_unlock(&session->lock);
    rc = store_commit(tree->store, host, &commit, &version, &err);
    pthread_mutex_lock(&session->lock);
    session->sink_busy = false;
    report_refusal(session, rc, &err);
    if (rc == HF_OK) {
        attempt_succeeded(session, version, commit.durability == DURABILITY_SYNC);
        go_on(session);
    } else {
        commit_failed(session, rc);
        rc = session->phase == PHASE_LOST ? HF_FENCED : rc;
    }
out:
    session->attempts++;
    session->attempt_status = rc;
    pthread_cond_broadcast(&session->cond);
    free(objects);
    meta_strings_free(&meta);
    return rc;
}

/** Everything is committed, but not known to be on the medium. */
static int lead_sync(struct session *session)
{
    uint64_t seq = session->committed_seq;
    int rc;

    session->sink_busy = true;
    pthread_mutex_unlock(&session->lock);
    rc = store_sync(session->tree->store, NULL);
    pthread_mutex_lock(&session->lock);
    session->sink_busy = false;
    if (rc == HF_OK) {
        session->unsynced = false;
        if (seq > session->synced_seq)
            session->synced_seq = seq;
    }
    if (rc == HF_IO || rc == HF_FAILED)
        session_set_phase(session, PHASE_FAILED);
    pthread_cond_broadcast(&session->cond);
    return rc;
}

/** Waits for the commit under way. True: it was to carry `seq`, and failed with *ret_status. */
static bool follow(struct session *session, uint64_t seq, int *ret_status)
{
    uint64_t attempts = session->attempts;
    bool carried = session->phase == PHASE_COMMITTING && session->built_seq >= seq;

    while (session->sink_busy)
        pthread_cond_wait(&session->cond, &session->lock);
    if (!carried || session->attempts == attempts || session->committed_seq >= seq)
        return false;
    *ret_status = session->attempt_status;
    return session->attempt_status != HF_OK;
}

/** Whether the store, and with `sync` its medium, has the changes up to `seq`. */
static bool has_arrived(const struct session *session, uint64_t seq, bool sync)
{
    if (session->committed_seq < seq)
        return false;
    return !sync || (session->synced_seq >= seq && !session->unsynced);
}

int session_commit(struct session *session, uint64_t seq, bool sync)
{
    uint64_t epoch = session->epoch;
    int64_t last = 0;
    int status, rc;

    for (;;) {
        if (session->epoch != epoch)
            return HF_FENCED;
        if (has_arrived(session, seq, sync))
            return HF_OK;
        if (session->phase == PHASE_LOST)
            return HF_FENCED;
        /* Work that was reported as lost is not committed when the reload that takes it away fails. A session at rest
         * has none, but may have to be synced. */
        if (session->phase == PHASE_FAILED || (!session->loaded && session->committed_seq < seq))
            return HF_FAILED;
        if (session->sink_busy) {
            if (follow(session, seq, &status))
                return status;
            continue;
        }
        if (session->committed_seq < seq && split_wait(session, &last))
            continue;
        rc = session->committed_seq >= seq ? lead_sync(session) : lead(session, sync);
        if (rc != HF_OK)
            return rc;
    }
}

int session_commit_all(struct session *session, bool sync)
{
    bool shared = session->sid == SHARED_SID;
    int rc = HF_OK;

    if (shared) /* a change that is under way commits itself, and may have to be made again */
        pthread_mutex_lock(&session->change_lock);
    pthread_mutex_lock(&session->lock);
    /* Of a session that was only read nothing has to be synced. */
    if (!session->deleted && !session->view &&
        (shared || session->synced_seq < session->change_seq))
        rc = session_commit(session, session->change_seq, sync);
    pthread_mutex_unlock(&session->lock);
    if (shared)
        pthread_mutex_unlock(&session->change_lock);
    return rc;
}

/* --- spilling ---------------------------------------------------------------------------------- */

/** Moves what is queued to the store; nobody else uses the sink meanwhile. */
static int flush_sink(struct session *session)
{
    uint64_t host = host_of(session);
    struct object *objects;
    size_t n;
    int rc;

    while (session->sink_busy)
        pthread_cond_wait(&session->cond, &session->lock);
    n = session->sink.count;
    if (n == 0)
        return HF_OK;
    objects = blob_sink_objects(&session->sink);
    if (!objects)
        return HF_NOMEM;
    session->sink_busy = true;
    pthread_mutex_unlock(&session->lock);
    rc = store_put(session->tree->store, host, objects, n, NULL);
    pthread_mutex_lock(&session->lock);
    session->sink_busy = false;
    if (rc == HF_OK)
        blob_sink_drop(&session->sink, n);
    pthread_cond_broadcast(&session->cond);
    free(objects);
    return rc;
}

/** Sees to it that the sink does not grow: the spiller moves what is in it, while the writer goes on. It may be one
 *  `spill` ahead, beside what is on its way. */
static int thin_sink(struct session *session, size_t spill)
{
    while (session->sink.bytes > 2 * spill && session->sink_busy)
        pthread_cond_wait(&session->cond, &session->lock);
    if (session->sink.bytes <= spill)
        return HF_OK;
    if (session->sink.bytes <= 2 * spill && spiller_offer(session))
        return HF_OK;
    return flush_sink(session);
}

int session_spill(struct session *session, struct inode *inode)
{
    size_t limit = session->tree->options.memory_limit;
    size_t spill = limit / SPILL_MEMORY_PART;
    size_t dirty = filemap_dirty_bytes(inode->file);
    int rc;

    if (spill > SPILL_BYTES_MAX)
        spill = SPILL_BYTES_MAX;
    if (dirty >= spill || (dirty > 0 && atomic_load(&session->tree->dirty_bytes) > limit / 4)) {
        rc = filemap_fold(inode->file, &session->sink, NULL);
        if (rc != HF_OK)
            return rc;
        inode_count(session, inode);
    }
    return thin_sink(session, spill);
}

void session_flush_sink(struct session *session)
{
    pthread_mutex_lock(&session->lock);
    if (session->phase != PHASE_FAILED && session->phase != PHASE_LOST && !session->deleted)
        flush_sink(session);
    pthread_mutex_unlock(&session->lock);
}

/* --- losing and failing ------------------------------------------------------------------------ */

static const char *name_of(const struct session *session)
{
    return session->name ? session->name : "without a name";
}

/** Hands uncommitted work to the store as a rescue version. The lock is let go meanwhile. */
static int rescue(struct session *session, const char *reason)
{
    struct tree *tree = session->tree;
    struct object *objects = NULL;
    struct meta_strings meta = {0};
    struct commit commit;
    uint64_t id;
    int rc;

    if (session->change_seq == session->committed_seq)
        return HF_OK;
    rc = build(session, NULL);
    if (rc == HF_OK)
        rc = prepare(session, true, &commit, &meta, &objects);
    if (rc != HF_OK)
        return rc;
    session->sink_busy = true;
    pthread_mutex_unlock(&session->lock);
    rc = store_rescue(tree->store, tree_host(tree), &commit, reason, &id, NULL);
    pthread_mutex_lock(&session->lock);
    session->sink_busy = false;
    pthread_cond_broadcast(&session->cond);
    free(objects);
    meta_strings_free(&meta);
    if (rc == HF_OK && session->sid != SHARED_SID)
        tree_report(tree, "session %s: %s; what was not committed is kept as rescue version %llu",
                    name_of(session), reason, (unsigned long long)id);
    if (rc == HF_NOENT) { /* nor is there a session any more that it could be a version of */
        tree_report(tree, "session %s is gone, and what was not committed in it with it",
                    name_of(session));
        atomic_fetch_add(&tree->abandoned, 1);
        rc = HF_OK;
    }
    /* A change of the shared tree is told to have failed before anything builds on it. */
    return session->sid == SHARED_SID ? HF_OK : rc;
}

/** Takes uncommitted work away and starts over from the head. */
static int start_over(struct session *session)
{
    struct tree *tree = session->tree;
    uint64_t first = session->sid << 40;
    int rc;

    session->epoch++;
    if (session->change_seq != session->committed_seq)
        session->undone = session->epoch;
    session->token = 0;
    session->fenced = session->releasing = false;
    session->attempt.open = false;
    claims_drop_session(tree->claims, session->sid);
    lock_revoke(tree->locks, first, first | NODE_INO_MAX, HF_IO);
    session->loaded = false;
    rc = session_reload(session, NULL);
    session_set_phase(session, PHASE_CLEAN);
    worker_drop(session);
    pthread_cond_broadcast(&session->cond);
    return rc;
}

static int copy_entry(const struct history_entry *entry, void *arg)
{
    *(struct history_entry *)arg = *entry;
    return HF_OK;
}

/** Asks what became of a commit whose answer did not come. */
static int close_attempt(struct session *session)
{
    struct history_entry found = {0};
    int rc;

    if (!session->attempt.open)
        return HF_OK;
    session->sink_busy = true;
    pthread_mutex_unlock(&session->lock);
    rc = store_history(session->tree->store, session->sid, session->version + 1, 1, copy_entry,
                       &found, NULL);
    pthread_mutex_lock(&session->lock);
    session->sink_busy = false;
    pthread_cond_broadcast(&session->cond);
    if (rc != HF_OK && rc != HF_NOENT)
        return rc;
    /* Who else made this very version would have made the same changes. */
    if (found.version == session->version + 1 &&
        object_id_equal(&found.root, &session->attempt.root))
        attempt_succeeded(session, found.version, false);
    session->attempt.open = false;
    return HF_OK;
}

/** The lease may be ours still: then what is left is committed as if nothing had been. */
static int commit_late(struct session *session)
{
    struct tree *tree = session->tree;
    struct object *objects = NULL;
    struct meta_strings meta = {0};
    uint64_t version, host = session->host;
    struct commit commit;
    int rc;

    if (session->change_seq == session->committed_seq)
        return HF_OK;
    rc = build(session, NULL);
    if (rc == HF_OK)
        rc = prepare(session, true, &commit, &meta, &objects);
    if (rc != HF_OK)
        return rc;
    session->sink_busy = true;
    pthread_mutex_unlock(&session->lock);
    rc = store_commit(tree->store, host, &commit, &version, NULL);
    pthread_mutex_lock(&session->lock);
    session->sink_busy = false;
    pthread_cond_broadcast(&session->cond);
    if (rc == HF_OK)
        attempt_succeeded(session, version, true);
    else
        session->attempt.open = rc == HF_TIMEOUT || rc == HF_IO || rc == HF_FAILED;
    free(objects);
    meta_strings_free(&meta);
    return rc;
}

/** Tries again later to save what is here. */
static void put_off(struct session *session)
{
    session->due = timer_now() + RETRY_NS;
    timer_set(session, session->due);
    pthread_cond_broadcast(&session->cond);
}

/** One try to save the work of a lost session, and to go on with it. */
static int settle_lost(struct session *session, const char *reason)
{
    int rc = reach_store(session->tree->store) ? close_attempt(session) : HF_TIMEOUT;

    if (rc == HF_OK && !session->fenced) {
        rc = commit_late(session);
        if (rc == HF_FENCED || rc == HF_CONFLICT) {
            session->fenced = true;
            rc = HF_OK;
        } else if (rc == HF_OK) {
            go_on(session);
            pthread_cond_broadcast(&session->cond);
            return HF_OK;
        }
    }
    if (rc == HF_OK)
        rc = rescue(session, reason);
    if (rc == HF_OK)
        start_over(session);
    else
        put_off(session);
    return rc;
}

void session_lost(struct session *session, const char *reason)
{
    while (session->sink_busy)
        pthread_cond_wait(&session->cond, &session->lock);
    session_set_phase(session, PHASE_LOST);
    session->fenced = true;
    settle_lost(session, reason);
}

/** A commit has no answer, and the lease may be gone: changes are refused until the store can be asked. */
static void session_doubt(struct session *session)
{
    session_set_phase(session, PHASE_LOST);
    session->fenced = false;
    tree_report(
        session->tree,
        "session %s: the store has not answered a commit; changes are refused until it does",
        name_of(session));
    worker_invalidate(session);
    put_off(session);
}

int session_settle(struct session *session)
{
    while (session->sink_busy)
        pthread_cond_wait(&session->cond, &session->lock);
    if (session->phase != PHASE_LOST)
        return HF_OK;
    return settle_lost(session, "the lease was lost");
}

/** What the failed session has is made a rescue version; it stays as it is. */
static int save_failed(struct session *session)
{
    int rc;

    while (session->sink_busy)
        pthread_cond_wait(&session->cond, &session->lock);
    if (session->phase != PHASE_FAILED)
        return HF_OK;
    rc = close_attempt(session);
    return rc == HF_OK ? rescue(session, "a commit failed") : rc;
}

int session_recover(struct session *session)
{
    uint64_t token = session->token;
    int rc;

    if (session->writers > 0)
        return HF_FAILED;
    while (session->sink_busy)
        pthread_cond_wait(&session->cond, &session->lock);
    if (session->phase != PHASE_FAILED)
        return HF_OK;
    /* A store whose sync has failed takes nothing any more: what is here stays, and changes are refused. */
    rc = store_sync(session->tree->store, NULL);
    if (rc == HF_OK)
        rc = save_failed(session);
    if (rc != HF_OK)
        return rc;
    if (session->phase != PHASE_FAILED)
        return HF_OK;
    rc = start_over(session);
    if (rc == HF_OK)
        session->token = token;
    return rc;
}

int session_keep(struct session *session)
{
    int rc;

    pthread_mutex_lock(&session->lock);
    rc = session_settle(session);
    if (rc == HF_OK)
        rc = save_failed(session);
    if (rc == HF_OK && session->phase == PHASE_FAILED) /* it is kept now: once is enough */
        start_over(session);
    pthread_mutex_unlock(&session->lock);
    return rc;
}
