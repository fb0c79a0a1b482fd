/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/sysmacros.h>

#include "tree/directory.h"
#include "tree/entry.h"
#include "tree/handle.h"
#include "tree/namespace.h"
#include "tree/stale.h"
#include "tree/table.h"
#include "tree/top.h"

#define INO_LAST (NODE_INO_MAX - 16) /* those above are pseudo inodes */

struct making {
    const struct tree_caller *caller;
    uint64_t parent; /* in the session */
    const char *name;
    mode_t mode;
    dev_t rdev;
    const char *target; /* of a symlink */
    bool opened;        /* an open file comes with it */
    struct inode *made; /* has a reference */
};

static void set_owner(struct inode *inode, const struct inode *dir, const struct making *making)
{
    inode->uid = making->caller->uid;
    inode->gid = making->caller->gid;
    if (dir->mode & S_ISGID) {
        inode->gid = dir->gid;
        if (inode_is_dir(inode))
            inode->mode |= S_ISGID;
    }
}

static int init_inode(struct session *session, struct inode *inode, const struct inode *dir,
                      const struct making *making)
{
    struct content content = {.kind = CONTENT_NONE};

    inode->nlink = inode_is_dir(inode) ? 2 : 1;
    inode->atime = inode->mtime = inode->ctime = session_now(session);
    inode->xattrs_loaded = true;
    set_owner(inode, dir, making);
    if (S_ISCHR(inode->mode) || S_ISBLK(inode->mode)) {
        inode->rdev_major = major(making->rdev);
        inode->rdev_minor = minor(making->rdev);
    }
    if (making->target) {
        inode->size = strlen(making->target);
        content.kind = CONTENT_INLINE;
        content.bytes = slice_of(making->target, inode->size);
    }
    return inode_set_content(inode, &content);
}

/** A claim file in a session's top directory: HF_BUSY while another process has the session. */
static int take_claim(struct session *session, const struct inode *dir, const struct making *making)
{
    struct claims *claims = session->tree->claims;
    bool fresh = false;
    int rc;

    if (session->sid == SHARED_SID || dir != session->top || making->caller->pid == 0 ||
        !S_ISREG(making->mode) || !claims_match(claims, making->name))
        return HF_OK;
    rc = claims_take(claims, session->sid, making->name, making->caller->pid, &fresh, NULL);
    if (rc == HF_OK && fresh)
        rc = stale_remove(session, making->name);
    if (rc != HF_OK && fresh)
        claims_drop(claims, session->sid, making->name);
    return rc;
}

static int make_in(struct session *session, struct inode *dir, struct slice name,
                   struct making *making)
{
    struct inode *inode;
    int rc = directory_probe(session, dir, name);

    if (rc != HF_NOENT)
        return rc == HF_OK ? HF_EXIST : rc;
    if (S_ISDIR(making->mode) && dir->nlink >= LINKS_MAX)
        return HF_MLINK;
    if (session->next_ino >= INO_LAST)
        return HF_NOSPC;
    rc = take_claim(session, dir, making);
    if (rc == HF_OK)
        rc = inode_new(session, session->next_ino, making->mode, &inode);
    if (rc != HF_OK)
        return rc;
    rc = init_inode(session, inode, dir, making);
    if (rc == HF_OK)
        rc = directory_put(session, dir, name, inode);
    if (rc != HF_OK) {
        inode_unref(session, inode);
        return rc;
    }
    session->next_ino++;
    making->made = inode;
    return HF_OK;
}

static int apply_make(struct session *session, void *arg)
{
    struct making *making = arg;
    struct slice name;
    struct inode *dir;
    int rc;

    inode_unref(session, making->made);
    making->made = NULL;
    rc = namespace_open(session, making->parent, making->name, &dir, &name);
    if (rc != HF_OK)
        return rc;
    rc = make_in(session, dir, name, making);
    if (rc == HF_OK) {
        dir->nlink += S_ISDIR(making->mode) ? 1 : 0;
        session->files += S_ISREG(making->mode) ? 1 : 0;
        namespace_note(session, dir, name);
        directory_touch(session, dir, making->made->ctime);
        inode_mark(session, making->made);
        session_changed(session, making->opened);
        if (making->opened)
            making->made->data_seq = session->change_seq;
    }
    inode_unref(session, dir);
    return rc;
}

/** Runs it. On success the session is locked, and pinned in *ret_session. */
static int make(struct tree *tree, uint64_t parent, struct making *making,
                struct session **ret_session)
{
    struct session *session;
    int rc = table_get_inode(tree, parent, &session);

    if (rc != HF_OK)
        return rc;
    making->parent = INODE_INO(parent);
    rc = session_change(session, apply_make, making);
    if (rc == HF_OK) {
        *ret_session = session;
        return HF_OK;
    }
    if (making->made) {
        pthread_mutex_lock(&session->lock);
        inode_unref(session, making->made);
        pthread_mutex_unlock(&session->lock);
    }
    table_put(session);
    return rc;
}

static int make_entry(struct tree *tree, uint64_t parent, struct making *making,
                      struct tree_entry *ret_entry)
{
    struct session *session;
    bool at_top = parent == TREE_ROOT;
    int rc = at_top ? namespace_enter_top(tree, making->name) : HF_OK;

    if (rc != HF_OK)
        return rc;
    rc = make(tree, parent, making, &session);
    if (rc == HF_OK) {
        entry_grant(session, making->made, ret_entry);
        inode_unref(session, making->made);
        session_unlock(session);
        table_put(session);
    }
    if (at_top)
        pthread_mutex_unlock(&tree->top_lock);
    return rc;
}

int tree_mknod(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
               const char *name, mode_t mode, dev_t rdev, struct tree_entry *ret_entry)
{
    struct making making = {.caller = caller, .name = name, .mode = mode, .rdev = rdev};

    if ((mode & S_IFMT) == 0)
        making.mode |= S_IFREG;
    if (S_ISDIR(mode) || S_ISLNK(mode))
        return HF_INVAL;
    return make_entry(tree, parent, &making, ret_entry);
}

int tree_mkdir(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
               const char *name, mode_t mode, struct tree_entry *ret_entry)
{
    struct making making = {.caller = caller, .name = name, .mode = S_IFDIR | (mode & 07777)};

    if (parent == TREE_ROOT && name[0] != '.')
        return top_make_session(tree, caller, name, mode, ret_entry);
    return make_entry(tree, parent, &making, ret_entry);
}

int tree_symlink(struct tree *tree, const struct tree_caller *caller, const char *target,
                 uint64_t parent, const char *name, struct tree_entry *ret_entry)
{
    struct making making = {
        .caller = caller, .name = name, .mode = S_IFLNK | 0777, .target = target};
    size_t len = strlen(target);

    if (len == 0)
        return HF_NOENT;
    if (len > NODE_SYMLINK_MAX)
        return HF_NAMETOOLONG;
    return make_entry(tree, parent, &making, ret_entry);
}

int tree_create(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
                const char *name, mode_t mode, int flags, struct tree_entry *ret_entry,
                struct tree_handle **ret_handle)
{
    struct making making = {
        .caller = caller, .name = name, .mode = S_IFREG | (mode & 07777), .opened = true};
    struct session *session;
    bool at_top = parent == TREE_ROOT;
    int rc = at_top ? namespace_enter_top(tree, name) : HF_OK;

    if (rc != HF_OK)
        return rc;
    rc = make(tree, parent, &making, &session);
    if (rc == HF_OK) {
        rc = handle_new(session, making.made, flags, caller->pid, ret_handle);
        if (rc == HF_OK) {
            (*ret_handle)->wrote = true;
            entry_grant(session, making.made, ret_entry);
        }
        inode_unref(session, making.made);
        session_unlock(session);
        table_put(session);
    }
    if (at_top)
        pthread_mutex_unlock(&tree->top_lock);
    return rc;
}
