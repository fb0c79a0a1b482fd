/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/namespace.h"

#include <string.h>

#include "tree/directory.h"
#include "tree/entry.h"
#include "tree/evict.h"
#include "tree/lease.h"
#include "tree/linktable.h"
#include "tree/meta_index.h"
#include "tree/table.h"
#include "tree/top.h"
#include "tree/versions.h"

void namespace_note(struct session *session, const struct inode *dir, struct slice name)
{
    if (dir == session->top && name.len == sizeof META_INDEX_FILE - 1 &&
        memcmp(name.data, META_INDEX_FILE, name.len) == 0)
        session->meta_stale = true;
}

static bool is_pseudo_name(const struct inode *dir, const struct session *session,
                           struct slice name)
{
    return dir == session->top && session->sid != SHARED_SID &&
           name.len == sizeof VERSIONS_NAME - 1 && memcmp(name.data, VERSIONS_NAME, name.len) == 0;
}

int namespace_open(struct session *session, uint64_t ino, const char *name, struct inode **ret_dir,
                   struct slice *ret_name)
{
    int rc = directory_name_check(name, ret_name);

    if (rc == HF_OK)
        rc = session_directory(session, ino, ret_dir);
    if (rc != HF_OK)
        return rc;
    if ((*ret_dir)->pseudo)
        rc = HF_ROFS;
    else if (is_pseudo_name(*ret_dir, session, *ret_name))
        rc = HF_PERM;
    if (rc != HF_OK)
        inode_unref(session, *ret_dir);
    return rc;
}

int namespace_enter_top(struct tree *tree, const char *name)
{
    int rc;

    pthread_mutex_lock(&tree->top_lock);
    rc = top_probe_session(tree, name);
    if (rc == HF_NOENT || rc == HF_INVAL)
        return HF_OK;
    pthread_mutex_unlock(&tree->top_lock);
    return rc == HF_OK ? HF_EXIST : rc;
}

/* --- lookup, forget ----------------------------------------------------------------------------- */

static int lookup_in(struct session *session, uint64_t ino, const char *name,
                     struct tree_entry *ret_entry)
{
    struct inode *dir, *inode;
    struct slice checked;
    int rc = directory_name_check(name, &checked);

    if (rc != HF_OK)
        return rc == HF_EXIST ? HF_NOENT : rc;
    evict_relieve(session);
    rc = session_directory(session, ino, &dir);
    if (rc != HF_OK)
        return rc;
    if (dir->pseudo || is_pseudo_name(dir, session, checked)) {
        rc = versions_lookup(session, dir, name, ret_entry);
    } else {
        rc = directory_child(session, dir, checked, &inode);
        if (rc == HF_OK) {
            entry_grant(session, inode, ret_entry);
            inode_unref(session, inode);
        } else if (rc == HF_NOENT) {
            entry_negative(session, dir, name, ret_entry);
            rc = HF_OK;
        }
    }
    inode_unref(session, dir);
    return rc;
}

int tree_lookup(struct tree *tree, uint64_t parent, const char *name, struct tree_entry *ret_entry)
{
    struct session *session;
    int rc;

    if (parent == TREE_ROOT)
        return top_lookup(tree, name, ret_entry);
    rc = table_get_inode(tree, parent, &session);
    if (rc != HF_OK)
        return rc;
    rc = session_lock(session);
    if (rc == HF_OK) {
        rc = session_refresh(session);
        if (rc == HF_OK)
            rc = lookup_in(session, INODE_INO(parent), name, ret_entry);
        session_unlock(session);
    }
    table_put(session);
    return rc;
}

/** Takes `lookups` off an inode, live ones before stale ones of the same number. */
static void forget(struct session *session, uint64_t ino, uint64_t lookups)
{
    for (int stale = 0; stale < 2 && lookups > 0; stale++) {
        struct hnode *n = htable_find(&session->inodes, htable_hash_u64(ino));

        while (n && lookups > 0) {
            struct inode *inode = HTABLE_ENTRY(n, struct inode, node);
            uint64_t less = inode->lookups < lookups ? inode->lookups : lookups;

            n = htable_next(n);
            if (inode->ino != ino || inode->stale != (stale == 1) || less == 0)
                continue;
            inode_ref(inode);
            inode->lookups -= less;
            session->lookups -= less;
            lookups -= less;
            inode_unref(session, inode);
        }
    }
    if (lookups > 0)
        rest_forget(session, ino, lookups);
}

void tree_forget(struct tree *tree, uint64_t inode, uint64_t lookups)
{
    struct session *session = table_peek(tree, INODE_SID(inode));

    if (!session)
        return;
    pthread_mutex_lock(&session->lock);
    forget(session, INODE_INO(inode), lookups);
    pthread_mutex_unlock(&session->lock);
    table_put(session);
}

/* --- removing ----------------------------------------------------------------------------------- */

int namespace_part(struct session *session, const struct inode *inode)
{
    if (!inode->linked || inode->nlink > 1)
        return HF_OK;
    return linktable_remove(session->links, inode->ino, NULL);
}

void namespace_lose(struct session *session, struct inode *dir, struct inode *inode)
{
    bool is_dir = inode_is_dir(inode);

    inode->ctime = session_now(session);
    inode->nlink = is_dir ? 0 : inode->nlink - 1;
    if (is_dir)
        dir->nlink--;
    if (inode->nlink > 0) {
        inode_mark(session, inode);
        return;
    }
    if (S_ISREG(inode->mode)) {
        session->files--;
        session->bytes -= inode_size(inode);
    }
    inode_unmark(session, inode);
    inode->unlinked = true;
    inode->unlinked_seq = session->change_seq + 1;
    inode->data_seq = 0;
    inode_unplace(session, inode);
}

struct removal {
    uint64_t parent;
    const char *name;
    bool dir; /* rmdir */
};

static int remove_in(struct session *session, struct inode *dir, struct slice name, bool rmdir)
{
    struct inode *inode;
    int rc = directory_child(session, dir, name, &inode);

    if (rc != HF_OK)
        return rc;
    if (rmdir)
        rc = inode_is_dir(inode) ? directory_check_empty(session, inode) : HF_NOTDIR;
    else if (inode_is_dir(inode))
        rc = HF_ISDIR;
    else
        rc = namespace_part(session, inode);
    if (rc == HF_OK) {
        rc = directory_remove(session, dir, name);
        if (rc != HF_OK)
            inode_mark(session, inode); /* the next commit puts it back into the link table */
    }
    if (rc == HF_OK) {
        namespace_lose(session, dir, inode);
        namespace_note(session, dir, name);
        directory_touch(session, dir, session_now(session));
        session_changed(session, false);
    }
    inode_unref(session, inode);
    return rc;
}

int namespace_remove(struct session *session, struct inode *dir, struct slice name)
{
    return remove_in(session, dir, name, false);
}

static int apply_remove(struct session *session, void *arg)
{
    const struct removal *removal = arg;
    struct slice name;
    struct inode *dir;
    int rc = namespace_open(session, removal->parent, removal->name, &dir, &name);

    if (rc != HF_OK)
        return rc;
    rc = remove_in(session, dir, name, removal->dir);
    if (rc == HF_OK && dir == session->top && !removal->dir)
        claims_drop(session->tree->claims, session->sid, removal->name);
    inode_unref(session, dir);
    return rc;
}

static int remove_name(struct tree *tree, uint64_t parent, const char *name, bool dir)
{
    struct removal removal = {.parent = INODE_INO(parent), .name = name, .dir = dir};
    struct session *session;
    int rc = table_get_inode(tree, parent, &session);

    if (rc != HF_OK)
        return rc;
    rc = session_change(session, apply_remove, &removal);
    if (rc == HF_OK) {
        session_unlock(session);
        lease_eased(session); /* it may have been a claim */
    }
    table_put(session);
    return rc;
}

int tree_unlink(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
                const char *name)
{
    int rc;

    (void)caller;
    rc = remove_name(tree, parent, name, false);
    if (rc == HF_NOENT && parent == TREE_ROOT && top_probe_session(tree, name) == HF_OK)
        return HF_ISDIR;
    return rc;
}

int tree_rmdir(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
               const char *name)
{
    int rc;

    (void)caller;
    if (parent == TREE_ROOT && name[0] != '.') {
        rc = top_remove_session(tree, name);
        if (rc != HF_NOENT)
            return rc;
    }
    rc = remove_name(tree, parent, name, true);
    if (rc == HF_EXIST)
        rc = strcmp(name, ".") == 0 ? HF_INVAL : HF_NOTEMPTY;
    return rc;
}
