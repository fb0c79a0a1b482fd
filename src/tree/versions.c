/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/versions.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tree/entry.h"
#include "tree/listing.h"
#include "tree/table.h"

/** The number that readdir gives for a version: it has none before it is looked up. */
#define UNKNOWN_INODE UINT32_MAX

/* --- the pseudo inodes -------------------------------------------------------------------------- */

/** Who may change the session may lock the lease's file, for which it must be open for writing. */
static uint32_t pseudo_mode(const struct inode *top, uint64_t ino)
{
    if (ino == LEASE_INO)
        return S_IFREG | (top->mode & 0666);
    return S_IFDIR | (top->mode & 0555);
}

static int pseudo_inode(struct session *session, uint64_t ino, struct inode **ret_inode)
{
    const struct inode *top = session->top;
    struct inode *inode;
    int rc = session_inode(session, ino, ret_inode);

    if (rc != HF_STALE)
        return rc;
    rc = inode_new(session, ino, pseudo_mode(top, ino), &inode);
    if (rc != HF_OK)
        return rc;
    inode->pseudo = true;
    inode->uid = top->uid;
    inode->gid = top->gid;
    inode->nlink = inode_is_dir(inode) ? 2 : 1;
    inode->atime = inode->mtime = inode->ctime = top->ctime;
    inode->xattrs_loaded = true;
    *ret_inode = inode;
    return HF_OK;
}

static int grant_pseudo(struct session *session, uint64_t ino, struct tree_entry *ret_entry)
{
    struct inode *inode;
    int rc = pseudo_inode(session, ino, &inode);

    if (rc != HF_OK)
        return rc;
    inode->mtime = inode->ctime = session->top->ctime;
    entry_grant(session, inode, ret_entry);
    inode_unref(session, inode);
    return HF_OK;
}

/* --- listing -------------------------------------------------------------------------------------- */

static int add_version(const struct history_entry *entry, void *arg)
{
    char name[24];
    int len = snprintf(name, sizeof name, "%llu", (unsigned long long)entry->version);

    return listing_add(arg, slice_of(name, (size_t)len), UNKNOWN_INODE, S_IFDIR);
}

int versions_list(struct session *session, const struct inode *dir, struct listing *listing)
{
    int rc;

    if (dir->ino == VERSIONS_INO) {
        rc = listing_add(listing, slice_of("lease", strlen("lease")),
                         session_number(session, LEASE_INO), S_IFREG);
        return rc != HF_OK ? rc
                           : listing_add(listing, slice_of("versions", strlen("versions")),
                                         session_number(session, VERSIONS_LIST_INO), S_IFDIR);
    }
    return store_history(session->tree->store, session->sid, UINT64_MAX, 0, add_version, listing,
                         NULL);
}

/* --- views --------------------------------------------------------------------------------------- */

static int take_head(const struct history_entry *entry, void *arg)
{
    struct session_head *head = arg;

    *head = (struct session_head){.sid = entry->sid,
                                  .version = entry->version,
                                  .root = entry->root,
                                  .time = entry->time,
                                  .bytes = entry->bytes,
                                  .files = entry->files};
    return HF_OK;
}

static int find_version(struct session *session, uint64_t version, struct session_head *ret_head)
{
    struct session_head head = {0};
    int rc = store_history(session->tree->store, session->sid, version, 1, take_head, &head, NULL);

    if (rc == HF_OK && head.version != version)
        rc = HF_NOENT;
    if (rc == HF_OK)
        *ret_head = head;
    return rc;
}

struct wanted {
    uint64_t origin, version;
    uint64_t sid; /* found, or 0 */
};

static int match_view(struct session *view, void *arg)
{
    struct wanted *wanted = arg;

    if (view->view && view->origin == wanted->origin && view->version == wanted->version)
        wanted->sid = view->sid;
    return HF_OK;
}

/** A new session of this mount that shows `head`; pinned. */
static int new_view(struct tree *tree, const struct session_head *head, struct session **ret_view)
{
    struct session *view;
    uint64_t sid;
    int rc;

    pthread_mutex_lock(&tree->lock);
    sid = tree->next_view++;
    pthread_mutex_unlock(&tree->lock);
    if (sid > 2 * SID_MAX)
        return HF_NOSPC;
    rc = session_new(tree, sid, &view);
    if (rc != HF_OK)
        return rc;
    view->view = true;
    view->origin = head->sid;
    rc = session_load(view, head, NULL);
    if (rc == HF_OK)
        rc = table_add(tree, view);
    if (rc != HF_OK) {
        session_free(view);
        return rc;
    }
    *ret_view = view;
    return HF_OK;
}

static int lookup_version(struct session *session, const char *name, struct tree_entry *ret_entry)
{
    struct tree *tree = session->tree;
    struct wanted wanted = {.origin = session->sid};
    struct session_head head;
    struct session *view;
    char *end;
    int rc;

    errno = 0;
    wanted.version = strtoull(name, &end, 10);
    if (errno != 0 || *end || name[0] < '1' || name[0] > '9')
        return HF_NOENT;
    rc = find_version(session, wanted.version, &head);
    if (rc != HF_OK)
        return rc;
    table_each(tree, match_view, &wanted);
    rc = wanted.sid ? table_get(tree, wanted.sid, &view) : HF_STALE;
    if (rc == HF_STALE)
        rc = new_view(tree, &head, &view);
    if (rc != HF_OK)
        return rc;
    pthread_mutex_lock(&view->lock);
    entry_grant(view, view->top, ret_entry);
    pthread_mutex_unlock(&view->lock);
    table_put(view);
    return HF_OK;
}

int versions_lookup(struct session *session, struct inode *dir, const char *name,
                    struct tree_entry *ret_entry)
{
    int rc = HF_NOENT;

    if (session->view)
        rc = HF_NOENT;
    else if (dir == session->top)
        rc = grant_pseudo(session, VERSIONS_INO, ret_entry);
    else if (dir->ino == VERSIONS_INO && strcmp(name, "versions") == 0)
        rc = grant_pseudo(session, VERSIONS_LIST_INO, ret_entry);
    else if (dir->ino == VERSIONS_INO && strcmp(name, "lease") == 0)
        rc = grant_pseudo(session, LEASE_INO, ret_entry);
    else if (dir->ino == VERSIONS_LIST_INO)
        rc = lookup_version(session, name, ret_entry);
    if (rc == HF_NOENT) {
        *ret_entry = (struct tree_entry){.entry_timeout = 0}; /* a later version may have it */
        rc = HF_OK;
    }
    return rc;
}
