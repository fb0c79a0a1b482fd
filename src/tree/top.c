/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/top.h"

#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "base/pool.h"
#include "tree/commit.h"
#include "tree/directory.h"
#include "tree/entry.h"
#include "tree/kernel.h"
#include "tree/lease.h"
#include "tree/reach.h"
#include "tree/table.h"

static void set_name(struct session *session, const char *name)
{
    char *copy = pool_string(name);

    if (!copy)
        return;
    pool_free_string(session->name);
    session->name = copy;
    names_note(&session->tree->names, name, session->sid);
}

/* --- looking up --------------------------------------------------------------------------------- */

static int lookup_shared(struct tree *tree, struct slice name, struct tree_entry *ret_entry)
{
    struct session *shared = tree->shared;
    struct inode *inode;
    int rc = session_lock(shared);

    if (rc != HF_OK)
        return rc;
    rc = session_refresh(shared);
    if (rc == HF_OK)
        rc = directory_child(shared, shared->top, name, &inode);
    if (rc == HF_OK) {
        entry_grant(shared, inode, ret_entry);
        inode_unref(shared, inode);
    }
    session_unlock(shared);
    return rc;
}

/** Notes a name that the kernel is to believe missing. False: it must ask again. */
static bool note_negative(struct tree *tree, const char *name)
{
    bool noted;

    if (tree->distant || atomic_load(&tree->other_hosts) > 0)
        return false;
    pthread_mutex_lock(&tree->lock);
    noted = negatives_note(&tree->negatives, TREE_ROOT, name);
    pthread_mutex_unlock(&tree->lock);
    return noted;
}

static int answer_missing(struct tree *tree, const char *name, struct tree_entry *ret_entry)
{
    uint64_t answer = atomic_load(&tree->forgotten);
    bool noted = note_negative(tree, name);

    pthread_mutex_lock(&tree->shared->lock);
    *ret_entry = (struct tree_entry){.entry_timeout = noted ? table_timeout(tree->shared) : 0,
                                     .answer = answer};
    pthread_mutex_unlock(&tree->shared->lock);
    return HF_OK;
}

/** Brings a session up to a head that was just read by name. Locked. */
static int bring_up(struct session *session, const char *name, const struct session_head *head)
{
    int rc = HF_OK;
    bool known = session->loaded && !session->deleted;

    session->deleted = false;
    if (!known || (session->token == 0 && !session->acquiring && session->phase == PHASE_CLEAN &&
                   head->version > session->version)) {
        rc = session_load(session, head, NULL);
        if (known)
            worker_invalidate(session);
    }
    if (!session->name || strcmp(session->name, name) != 0)
        set_name(session, name);
    else
        names_note(&session->tree->names, name, session->sid);
    return rc;
}

struct named {
    const char *name;
    struct session *found; /* pinned */
};

static int match_name(struct session *session, void *arg)
{
    struct named *named = arg;

    pthread_mutex_lock(&session->lock);
    if (!named->found && session->loaded && !session->deleted && session->name &&
        strcmp(session->name, named->name) == 0) {
        table_pin(session);
        named->found = session;
    }
    pthread_mutex_unlock(&session->lock);
    return HF_OK;
}

/** While the store is away: the session that had this name when it was last asked, if it is in memory. */
static int lookup_known(struct tree *tree, const char *name, struct tree_entry *ret_entry)
{
    struct named named = {.name = name};
    struct session *session;
    int rc = HF_TIMEOUT;

    table_each(tree, match_name, &named);
    session = named.found;
    if (!session)
        return rc;
    pthread_mutex_lock(&session->lock);
    if (session->loaded) {
        entry_grant(session, session->top, ret_entry);
        rc = HF_OK;
    }
    pthread_mutex_unlock(&session->lock);
    table_put(session);
    return rc;
}

static int lookup_session(struct tree *tree, const char *name, struct tree_entry *ret_entry)
{
    struct session_head head;
    struct session *session;
    int rc = HF_TIMEOUT;

    if (reach_store(tree->store))
        rc = store_session_find(tree->store, name, &head, NULL);
    if (rc == HF_TIMEOUT)
        return lookup_known(tree, name, ret_entry);
    if (rc == HF_OK)
        rc = table_get(tree, head.sid, &session);
    if (rc != HF_OK)
        return rc;
    pthread_mutex_lock(&session->lock);
    rc = bring_up(session, name, &head);
    kernel_tell_news(session);
    if (rc == HF_OK && !session->loaded)
        rc = HF_STALE; /* the lock was let go */
    if (rc == HF_OK)
        entry_grant(session, session->top, ret_entry);
    pthread_mutex_unlock(&session->lock);
    table_put(session);
    return rc;
}

/** Under its lease nobody else can rename or remove a session: the store need not be asked who has the name. */
static bool lookup_leased(struct tree *tree, const char *name, struct tree_entry *ret_entry)
{
    uint64_t sid = names_sid(&tree->names, name);
    struct session *session = sid != SHARED_SID ? table_peek(tree, sid) : NULL;
    bool found;

    if (!session)
        return false;
    pthread_mutex_lock(&session->lock);
    found = session->loaded && !session->deleted && session->name &&
            strcmp(session->name, name) == 0 && table_leased(session);
    if (found)
        entry_grant(session, session->top, ret_entry);
    pthread_mutex_unlock(&session->lock);
    table_put(session);
    return found;
}

int top_lookup(struct tree *tree, const char *name, struct tree_entry *ret_entry)
{
    struct slice checked;
    int rc = directory_name_check(name, &checked);

    if (rc != HF_OK)
        return rc == HF_EXIST ? HF_NOENT : rc;
    if (lookup_leased(tree, name, ret_entry))
        return HF_OK;
    /* No name is of both kinds. Over a network, what is asked for most is asked for first. */
    if (tree->distant && name[0] != '.') {
        rc = lookup_session(tree, name, ret_entry);
        if (rc == HF_NOENT)
            rc = lookup_shared(tree, checked, ret_entry);
    } else {
        rc = lookup_shared(tree, checked, ret_entry);
        if (rc == HF_NOENT && name[0] != '.')
            rc = lookup_session(tree, name, ret_entry);
    }
    if (rc == HF_NOENT)
        return answer_missing(tree, name, ret_entry);
    return rc;
}

int top_probe_session(struct tree *tree, const char *name)
{
    struct session_head head;

    if (name[0] == '.')
        return HF_NOENT;
    return store_session_find(tree->store, name, &head, NULL);
}

/** The session of this name, pinned and loaded. */
static int find_session(struct tree *tree, const char *name, struct session **ret_session)
{
    struct session_head head;
    struct session *session;
    int rc;

    if (name[0] == '.')
        return HF_NOENT;
    rc = store_session_find(tree->store, name, &head, NULL);
    if (rc == HF_OK)
        rc = table_get(tree, head.sid, &session);
    if (rc != HF_OK)
        return rc;
    pthread_mutex_lock(&session->lock);
    rc = bring_up(session, name, &head);
    pthread_mutex_unlock(&session->lock);
    if (rc == HF_OK)
        *ret_session = session;
    else
        table_put(session);
    return rc;
}

static int probe_shared(struct tree *tree, struct slice name)
{
    struct session *shared = tree->shared;
    int rc = session_lock(shared);

    if (rc != HF_OK)
        return rc;
    rc = session_refresh(shared);
    if (rc == HF_OK)
        rc = directory_probe(shared, shared->top, name);
    session_unlock(shared);
    return rc;
}

/** The top directory's own times are those of the shared tree; in memory only. */
static void touch_top(struct tree *tree)
{
    struct session *shared = tree->shared;

    pthread_mutex_lock(&shared->lock);
    if (shared->top)
        shared->top->mtime = shared->top->ctime = clock_realtime(tree->clock);
    pthread_mutex_unlock(&shared->lock);
}

/* --- mkdir -------------------------------------------------------------------------------------- */

static void first_root(struct tree *tree, const struct tree_caller *caller, mode_t mode,
                       struct root_node *ret_root)
{
    const struct inode *top = tree->shared->top;
    int64_t now = clock_realtime(tree->clock);
    bool inherit = (top->mode & S_ISGID) != 0;

    *ret_root = (struct root_node){
        .next_ino = NODE_ROOT_INO + 1,
        .dir = {.ino = NODE_ROOT_INO,
                .mode = S_IFDIR | (mode & 07777) | (inherit ? (uint32_t)S_ISGID : 0),
                .uid = caller->uid,
                .gid = inherit ? top->gid : caller->gid,
                .nlink = 2,
                .atime = now,
                .mtime = now,
                .ctime = now},
    };
}

static int create_in_store(struct tree *tree, uint64_t host, const char *name,
                           const struct root_node *root, struct lease *ret_lease)
{
    struct object object = {.kind = OBJECT_ROOT};
    struct commit commit = {.objects = &object, .nobjects = 1};
    BUF_AUTO bytes = {0};
    int rc = root_node_encode(root, &bytes);

    if (rc != HF_OK)
        return rc;
    object.content = buf_slice(&bytes);
    rc = object_id_compute(&store_info(tree->store)->hasher, OBJECT_ROOT, bytes.data, bytes.len,
                           &object.id);
    if (rc != HF_OK)
        return rc;
    commit.root = object.id;
    commit.durability = store_info(tree->store)->close_durability;
    return store_session_create(tree->store, host, name, &commit, ret_lease, NULL);
}

/** Loads the session that was just made, under its lease. */
static int adopt_session(struct tree *tree, uint64_t host, const struct lease *lease,
                         const char *name, struct tree_entry *ret_entry)
{
    struct session *session;
    int rc = table_get(tree, lease->sid, &session);

    if (rc != HF_OK)
        return rc;
    pthread_mutex_lock(&session->lock);
    rc = session_load(session, &lease->head, NULL);
    if (rc == HF_OK) {
        lease_granted(session, host, lease->token);
        set_name(session, name);
        entry_grant(session, session->top, ret_entry);
    }
    pthread_mutex_unlock(&session->lock);
    table_put(session);
    return rc;
}

static int make_session(struct tree *tree, const struct tree_caller *caller, const char *name,
                        mode_t mode, struct tree_entry *ret_entry)
{
    uint64_t host = tree_host(tree);
    struct root_node root;
    struct lease lease;
    int rc;

    if (tree_is_fenced(tree))
        return HF_FENCED;
    pthread_mutex_lock(&tree->shared->lock);
    first_root(tree, caller, mode, &root);
    pthread_mutex_unlock(&tree->shared->lock);
    pthread_mutex_lock(&tree->create_lock);
    rc = create_in_store(tree, host, name, &root, &lease);
    if (rc == HF_OK) {
        rc = adopt_session(tree, host, &lease, name, ret_entry);
        if (rc != HF_OK)
            store_session_delete(tree->store, host, lease.sid, lease.token, NULL);
    }
    pthread_mutex_unlock(&tree->create_lock);
    if (rc == HF_OK)
        touch_top(tree);
    return rc;
}

int top_make_session(struct tree *tree, const struct tree_caller *caller, const char *name,
                     mode_t mode, struct tree_entry *ret_entry)
{
    struct slice checked;
    int rc = directory_name_check(name, &checked);

    if (rc != HF_OK)
        return rc;
    if (tree->options.read_only)
        return HF_ROFS;
    pthread_mutex_lock(&tree->top_lock);
    rc = probe_shared(tree, checked);
    if (rc == HF_OK)
        rc = HF_EXIST;
    else if (rc == HF_NOENT)
        rc = make_session(tree, caller, name, mode, ret_entry);
    pthread_mutex_unlock(&tree->top_lock);
    return rc;
}

/* --- rmdir -------------------------------------------------------------------------------------- */

static int check_empty(struct session *session)
{
    return directory_check_empty(session, session->top);
}

/**
 * Takes the lease, sees that it is empty, and commits. Returns with the session locked. A session that is pinned
 * elsewhere is not waited for: meanwhile nothing else could be done in the top directory.
 */
static int prepare_removal(struct session *session)
{
    int rc = session_admit_now(session);

    if (rc != HF_OK)
        return rc;
    rc = check_empty(session);
    if (rc == HF_OK)
        rc = session_commit(session, session->change_seq, false);
    if (rc == HF_OK)
        rc = check_empty(session); /* the lock was let go */
    if (rc != HF_OK)
        session_unlock(session);
    return rc;
}

/** The session is in the trash now: what is left of it in memory has no name. Locked. */
static void bury(struct session *session)
{
    session->deleted = true;
    session->token = 0;
    session->top->nlink = 0;
    pool_free_string(session->name);
    session->name = NULL;
    claims_drop_session(session->tree->claims, session->sid);
}

static int remove_session(struct tree *tree, const char *name)
{
    struct session *session;
    int rc = find_session(tree, name, &session);

    if (rc != HF_OK)
        return rc;
    rc = prepare_removal(session);
    if (rc == HF_OK) {
        rc = store_session_delete(tree->store, session->host, session->sid, session->token, NULL);
        if (rc == HF_OK)
            bury(session);
        session_unlock(session);
    }
    table_put(session);
    if (rc == HF_OK)
        touch_top(tree);
    return rc;
}

int top_remove_session(struct tree *tree, const char *name)
{
    int rc;

    if (tree->options.read_only)
        return HF_ROFS;
    pthread_mutex_lock(&tree->top_lock);
    rc = remove_session(tree, name);
    pthread_mutex_unlock(&tree->top_lock);
    return rc;
}

/* --- rename ------------------------------------------------------------------------------------- */

/** Takes a session's lease for a rename (without waiting, too) and tells its token, and the host session that has
 *  it. */
static int take_token(struct session *session, uint64_t *ret_token, uint64_t *ret_host)
{
    int rc = session_admit_now(session);

    if (rc != HF_OK)
        return rc;
    *ret_token = session->token;
    *ret_host = session->host;
    session_unlock(session);
    return HF_OK;
}

/** Under the lease of `token`; who has given it away meanwhile has nothing more to change. */
static void rename_loaded(struct session *session, const char *name, uint64_t token)
{
    pthread_mutex_lock(&session->lock);
    set_name(session, name);
    if (session->token == token) {
        session->top->ctime = session_now(session);
        inode_mark(session, session->top);
        session_changed(session, false);
    }
    pthread_mutex_unlock(&session->lock);
}

/** `other` has the new name now, and goes to the trash or swaps. */
static int rename_over(struct session *session, struct session *other, const char *name,
                       const char *new_name, bool exchange)
{
    struct tree *tree = session->tree;
    uint64_t token, other_token, host;
    int rc = take_token(session, &token, &host);

    if (rc != HF_OK)
        return rc;
    if (exchange) {
        rc = take_token(other, &other_token, &host);
    } else {
        rc = prepare_removal(other);
        if (rc == HF_OK) {
            other_token = other->token;
            session_unlock(other);
        }
    }
    if (rc != HF_OK)
        return rc;
    rc = store_session_rename(tree->store, host, session->sid, token, new_name,
                              exchange ? RENAME_SESSION_EXCHANGE : RENAME_SESSION_REPLACE,
                              other_token, NULL);
    if (rc != HF_OK)
        return rc;
    rename_loaded(session, new_name, token);
    if (exchange) {
        rename_loaded(other, name, other_token);
    } else {
        pthread_mutex_lock(&other->lock);
        bury(other);
        pthread_mutex_unlock(&other->lock);
    }
    return HF_OK;
}

static int rename_to_free(struct session *session, const char *new_name)
{
    struct tree *tree = session->tree;
    uint64_t token, host;
    int rc = take_token(session, &token, &host);

    if (rc == HF_OK)
        rc = store_session_rename(tree->store, host, session->sid, token, new_name,
                                  RENAME_SESSION_NEW, 0, NULL);
    if (rc == HF_OK)
        rename_loaded(session, new_name, token);
    return rc;
}

/** A session to another name, which a session may have. */
static int rename_session(struct tree *tree, struct session *session, const char *name,
                          const char *new_name, unsigned flags)
{
    struct session *other;
    int rc = find_session(tree, new_name, &other);

    if (rc == HF_NOENT)
        return flags & RENAME_EXCHANGE ? HF_NOENT : rename_to_free(session, new_name);
    if (rc != HF_OK)
        return rc;
    if (flags & RENAME_NOREPLACE)
        rc = HF_EXIST;
    else if (other != session)
        rc = rename_over(session, other, name, new_name, (flags & RENAME_EXCHANGE) != 0);
    table_put(other);
    return rc;
}

/** The type of an entry of the shared tree's top directory; 0 in *ret_type: none. */
static int shared_type(struct tree *tree, const char *name, uint32_t *ret_type)
{
    struct session *shared = tree->shared;
    struct inode *inode;
    int rc = session_lock(shared);

    if (rc != HF_OK)
        return rc;
    rc = directory_child(shared, shared->top, slice_of(name, strlen(name)), &inode);
    if (rc == HF_OK) {
        *ret_type = inode->mode & S_IFMT;
        inode_unref(shared, inode);
    } else if (rc == HF_NOENT) {
        *ret_type = 0;
        rc = HF_OK;
    }
    session_unlock(shared);
    return rc;
}

/** What a rename that touches a session and an entry of the shared tree answers. */
static int rename_mixed(bool from_session, uint32_t type, unsigned flags)
{
    if (flags & RENAME_NOREPLACE)
        return HF_EXIST;
    if (flags & RENAME_EXCHANGE || type == S_IFDIR)
        return HF_XDEV;
    return from_session ? HF_NOTDIR : HF_ISDIR;
}

static int rename_at_top(struct tree *tree, const char *name, const char *new_name, unsigned flags)
{
    struct session *session;
    uint32_t from = 0, to = 0;
    int rc = shared_type(tree, name, &from);

    if (rc == HF_OK)
        rc = shared_type(tree, new_name, &to);
    if (rc != HF_OK)
        return rc;
    if (from != 0) {
        rc = top_probe_session(tree, new_name);
        if (rc == HF_OK)
            return rename_mixed(false, from, flags);
        if (rc == HF_NOENT && from == S_IFDIR && new_name[0] != '.')
            return HF_XDEV;
        return rc == HF_NOENT ? 1 : rc;
    }
    rc = find_session(tree, name, &session);
    if (rc != HF_OK)
        return rc;
    if (to != 0)
        rc = rename_mixed(true, to, flags);
    else if (new_name[0] == '.')
        rc = HF_XDEV;
    else
        rc = rename_session(tree, session, name, new_name, flags);
    table_put(session);
    if (rc == HF_OK)
        touch_top(tree);
    return rc;
}

int top_rename(struct tree *tree, const char *name, const char *new_name, unsigned flags)
{
    struct slice checked;
    int rc = directory_name_check(name, &checked);

    if (rc == HF_OK)
        rc = directory_name_check(new_name, &checked);
    if (rc != HF_OK)
        return rc == HF_EXIST ? HF_BUSY : rc;
    if (tree->options.read_only)
        return HF_ROFS;
    return rename_at_top(tree, name, new_name, flags);
}

/* --- listing ------------------------------------------------------------------------------------ */

static int add_session(const struct session_info *info, void *arg)
{
    return listing_add(arg, slice_of(info->name, strlen(info->name)),
                       info->head.sid << 40 | NODE_ROOT_INO, S_IFDIR);
}

static int add_known(struct session *session, void *arg)
{
    struct listing *listing = arg;
    int rc = HF_OK;

    if (session->sid == SHARED_SID || session->view)
        return HF_OK;
    pthread_mutex_lock(&session->lock);
    if (session->loaded && !session->deleted && session->name)
        rc = listing_add(listing, slice_of(session->name, strlen(session->name)),
                         session->sid << 40 | NODE_ROOT_INO, S_IFDIR);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

int top_list_sessions(struct tree *tree, struct listing *listing)
{
    struct session_filter all = {0};

    if (!reach_store(tree->store))
        return table_each(tree, add_known, listing);
    return store_session_list(tree->store, &all, add_session, listing, NULL);
}
