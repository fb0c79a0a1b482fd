/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>

#include "tree/directory.h"
#include "tree/namespace.h"
#include "tree/table.h"
#include "tree/top.h"

struct renaming {
    uint64_t parent, new_parent;
    const char *name, *new_name;
    unsigned flags;
};

/** One rename's places and inodes, each with a reference. */
struct move {
    struct inode *from_dir, *to_dir;
    struct slice from_name, to_name;
    struct inode *source, *target; /* target may be NULL */
    bool exchange;
};

static bool is_below(const struct inode *inode, const struct inode *ancestor)
{
    for (; inode; inode = inode->parent)
        if (inode == ancestor)
            return true;
    return false;
}

static int check_replace(struct session *session, const struct move *move)
{
    if (!inode_is_dir(move->source))
        return inode_is_dir(move->target) ? HF_ISDIR : HF_OK;
    if (!inode_is_dir(move->target))
        return HF_NOTDIR;
    return directory_check_empty(session, move->target);
}

static int check_move(struct session *session, const struct move *move, unsigned flags)
{
    int rc;

    if (inode_is_dir(move->source) && is_below(move->to_dir, move->source))
        return HF_INVAL;
    if (!move->target)
        rc = move->exchange ? HF_NOENT : HF_OK;
    else if (flags & RENAME_NOREPLACE)
        rc = HF_EXIST;
    else if (move->exchange)
        rc =
            inode_is_dir(move->target) && is_below(move->from_dir, move->target) ? HF_INVAL : HF_OK;
    else if (is_below(move->from_dir, move->target))
        rc = HF_NOTEMPTY;
    else
        rc = check_replace(session, move);
    if (rc != HF_OK)
        return rc;
    if (inode_is_dir(move->source) && move->to_dir != move->from_dir &&
        !(move->target && inode_is_dir(move->target)) && move->to_dir->nlink >= LINKS_MAX)
        return HF_MLINK;
    return rc;
}

/** A directory that moves takes its ".." along. */
static void move_dotdot(const struct inode *inode, struct inode *from, struct inode *to)
{
    if (!inode_is_dir(inode) || from == to)
        return;
    from->nlink--;
    to->nlink++;
}

/** Puts the target's entry back where the source has replaced it, or takes the source's away. */
static void undo_enter(struct session *session, struct move *move)
{
    if (!move->target)
        directory_remove(session, move->to_dir, move->to_name);
    else if (directory_enter(session, move->to_dir, move->to_name, move->target) == HF_OK)
        inode_mark(session, move->target);
}

/** Changes the two directories' entries: both or none. */
static int swap_entries(struct session *session, struct move *move)
{
    int rc;

    if (move->target && !move->exchange) {
        rc = namespace_part(session, move->target);
        if (rc != HF_OK)
            return rc;
    }
    rc = directory_enter(session, move->to_dir, move->to_name, move->source);
    if (rc == HF_OK) {
        if (move->exchange)
            rc = directory_enter(session, move->from_dir, move->from_name, move->target);
        else
            rc = directory_remove(session, move->from_dir, move->from_name);
        if (rc != HF_OK)
            undo_enter(session, move);
    }
    if (rc != HF_OK && move->target)
        inode_mark(session, move->target); /* the next commit puts it back into the link table */
    return rc;
}

/** Gives an inode its new place; a linked one has none. Owns `name`. */
static void settle(struct session *session, struct inode *inode, struct inode *dir, char *name)
{
    if (inode->linked)
        free(name);
    else
        inode_place(session, inode, dir, name);
    inode->ctime = session_now(session);
    inode_mark(session, inode);
}

static int do_move(struct session *session, struct move *move)
{
    char *to_name = strndup((const char *)move->to_name.data, move->to_name.len);
    char *from_name = strndup((const char *)move->from_name.data, move->from_name.len);
    int rc = to_name && from_name ? swap_entries(session, move) : HF_NOMEM;

    if (rc != HF_OK) {
        free(to_name);
        free(from_name);
        return rc;
    }
    settle(session, move->source, move->to_dir, to_name);
    move_dotdot(move->source, move->from_dir, move->to_dir);
    if (move->exchange) {
        settle(session, move->target, move->from_dir, from_name);
        move_dotdot(move->target, move->to_dir, move->from_dir);
        return HF_OK;
    }
    free(from_name);
    if (move->target)
        namespace_lose(session, move->to_dir, move->target);
    return HF_OK;
}

static int rename_in(struct session *session, struct move *move, unsigned flags)
{
    int64_t now = session_now(session);
    int rc;

    if (move->source == move->target) /* two names of one inode: nothing is done */
        return flags & RENAME_NOREPLACE ? HF_EXIST : HF_OK;
    rc = check_move(session, move, flags);
    if (rc == HF_OK)
        rc = do_move(session, move);
    if (rc != HF_OK)
        return rc;
    directory_touch(session, move->from_dir, now);
    directory_touch(session, move->to_dir, now);
    namespace_note(session, move->from_dir, move->from_name);
    namespace_note(session, move->to_dir, move->to_name);
    session_changed(session, false);
    return HF_OK;
}

static int apply_rename(struct session *session, void *arg)
{
    const struct renaming *renaming = arg;
    struct move move = {.exchange = (renaming->flags & RENAME_EXCHANGE) != 0};
    int rc;

    rc = namespace_open(session, renaming->parent, renaming->name, &move.from_dir, &move.from_name);
    if (rc != HF_OK)
        return rc;
    rc = namespace_open(session, renaming->new_parent, renaming->new_name, &move.to_dir,
                        &move.to_name);
    if (rc != HF_OK) {
        inode_unref(session, move.from_dir);
        return rc;
    }
    rc = directory_child(session, move.from_dir, move.from_name, &move.source);
    if (rc == HF_OK) {
        rc = directory_child(session, move.to_dir, move.to_name, &move.target);
        if (rc == HF_NOENT)
            rc = HF_OK;
    }
    if (rc == HF_OK)
        rc = rename_in(session, &move, renaming->flags);
    inode_unref(session, move.source);
    inode_unref(session, move.target);
    inode_unref(session, move.to_dir);
    inode_unref(session, move.from_dir);
    return rc;
}

static int rename_within(struct tree *tree, const struct renaming *renaming, uint64_t sid)
{
    struct renaming copy = *renaming;
    struct session *session;
    int rc = table_get(tree, sid, &session);

    if (rc != HF_OK)
        return rc;
    copy.parent = INODE_INO(renaming->parent);
    copy.new_parent = INODE_INO(renaming->new_parent);
    rc = session_change(session, apply_rename, &copy);
    if (rc == HF_OK)
        session_unlock(session);
    table_put(session);
    return rc == HF_EXIST && !(renaming->flags & RENAME_NOREPLACE) ? HF_BUSY : rc;
}

/** Between two places of which one is the top directory: sessions stay at the top. */
static int rename_shared(struct tree *tree, const struct renaming *renaming)
{
    int rc = 1;

    pthread_mutex_lock(&tree->top_lock);
    if (renaming->parent == TREE_ROOT && renaming->new_parent == TREE_ROOT)
        rc = top_rename(tree, renaming->name, renaming->new_name, renaming->flags);
    else if (renaming->parent == TREE_ROOT && top_probe_session(tree, renaming->name) == HF_OK)
        rc = HF_XDEV;
    else if (renaming->new_parent == TREE_ROOT && renaming->new_name[0] != '.' &&
             top_probe_session(tree, renaming->new_name) != HF_NOENT)
        rc = HF_XDEV;
    if (rc == 1)
        rc = rename_within(tree, renaming, SHARED_SID);
    pthread_mutex_unlock(&tree->top_lock);
    return rc;
}

int tree_rename(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
                const char *name, uint64_t new_parent, const char *new_name, unsigned flags)
{
    struct renaming renaming = {parent, new_parent, name, new_name, flags};

    (void)caller;
    if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
        flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
        return HF_INVAL;
    if (INODE_SID(parent) != INODE_SID(new_parent))
        return HF_XDEV;
    if (INODE_SID(parent) == SHARED_SID)
        return rename_shared(tree, &renaming);
    return rename_within(tree, &renaming, INODE_SID(parent));
}
