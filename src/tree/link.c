/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "tree/directory.h"
#include "tree/entry.h"
#include "tree/kernel.h"
#include "tree/linktable.h"
#include "tree/namespace.h"
#include "tree/table.h"

struct linking {
    uint64_t ino, parent;
    const char *name;
    struct inode *inode; /* has a reference */
};

/** From its first further name on, an inode lives in the link table. */
static int move_to_links(struct session *session, struct inode *inode)
{
    struct inode *dir = inode->parent;
    struct inode_record record;
    int rc;

    if (inode->linked)
        return HF_OK;
    inode_placeholder(inode, &record);
    rc = linktable_put(session->links, &record, NULL);
    if (rc != HF_OK)
        return rc;
    inode->linked = true;
    rc = directory_put(session, dir, slice_of(inode->name, strlen(inode->name)), inode);
    if (rc != HF_OK) {
        inode->linked = false;
        linktable_remove(session->links, inode->ino, NULL);
        return rc;
    }
    inode_mark(session, inode);
    inode_mark(session, dir);
    inode_unplace(session, inode);
    return HF_OK;
}

static int link_in(struct session *session, struct inode *dir, struct slice name,
                   struct inode *inode)
{
    int rc;

    if (inode_is_dir(inode))
        return HF_PERM;
    if (inode->unlinked)
        return HF_NOENT;
    if (inode->nlink >= LINKS_MAX)
        return HF_MLINK;
    rc = directory_probe(session, dir, name);
    if (rc != HF_NOENT)
        return rc == HF_OK ? HF_EXIST : rc;
    rc = move_to_links(session, inode);
    if (rc == HF_OK)
        rc = directory_put(session, dir, name, inode);
    if (rc != HF_OK)
        return rc;
    inode->nlink++;
    inode->ctime = session_now(session);
    inode_mark(session, inode);
    namespace_note(session, dir, name);
    directory_touch(session, dir, inode->ctime);
    session_changed(session, false);
    return HF_OK;
}

static int apply_link(struct session *session, void *arg)
{
    struct linking *linking = arg;
    struct slice name;
    struct inode *dir;
    int rc;

    inode_unref(session, linking->inode);
    linking->inode = NULL;
    rc = namespace_open(session, linking->parent, linking->name, &dir, &name);
    if (rc != HF_OK)
        return rc;
    rc = session_inode(session, linking->ino, &linking->inode);
    if (rc == HF_OK)
        rc = link_in(session, dir, name, linking->inode);
    inode_unref(session, dir);
    return rc;
}

static int link_within(struct tree *tree, uint64_t sid, struct linking *linking,
                       struct tree_entry *ret_entry)
{
    struct session *session;
    int rc = table_get(tree, sid, &session);

    if (rc != HF_OK)
        return rc;
    rc = session_change(session, apply_link, linking);
    if (rc == HF_OK) {
        kernel_tell_news(session);
        entry_grant(session, linking->inode, ret_entry);
    } else {
        pthread_mutex_lock(&session->lock);
    }
    inode_unref(session, linking->inode);
    session_unlock(session);
    table_put(session);
    return rc;
}

int tree_link(struct tree *tree, const struct tree_caller *caller, uint64_t inode,
              uint64_t new_parent, const char *new_name, struct tree_entry *ret_entry)
{
    struct linking linking = {
        .ino = INODE_INO(inode), .parent = INODE_INO(new_parent), .name = new_name};
    bool at_top = new_parent == TREE_ROOT;
    int rc;

    (void)caller;
    if (INODE_SID(inode) != INODE_SID(new_parent))
        return HF_XDEV;
    rc = at_top ? namespace_enter_top(tree, new_name) : HF_OK;
    if (rc != HF_OK)
        return rc;
    rc = link_within(tree, INODE_SID(inode), &linking, ret_entry);
    if (at_top)
        pthread_mutex_unlock(&tree->top_lock);
    return rc;
}
