/* SPDX-License-Identifier: Apache-2.0 */
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "tree/directory.h"
#include "tree/entry.h"
#include "tree/handle.h"
#include "tree/meta_index.h"
#include "tree/namespace.h"
#include "tree/stale.h"
#include "tree/table.h"
#include "tree/top.h"
#include "tree/versions.h"

#define LINKS_MAX 65000
#define INO_LAST (NODE_INO_MAX - 16) /* those above are pseudo inodes */

/** Notes what the index row must hear of. */
static void note_name(struct session *session, const struct inode *dir, struct slice name)
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

/** The directory and the checked name that a change is about; the directory has a reference. */
static int open_place(struct session *session, uint64_t ino, const char *name,
                      struct inode **ret_dir, struct slice *ret_name)
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

/* --- lookup, forget ----------------------------------------------------------------------------- */

static int lookup_in(struct session *session, uint64_t ino, const char *name,
                     struct tree_entry *ret_entry)
{
    struct inode *dir, *inode;
    struct slice checked;
    int rc = directory_name_check(name, &checked);

    if (rc != HF_OK)
        return rc == HF_EXIST ? HF_NOENT : rc;
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

/* --- making ------------------------------------------------------------------------------------- */

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
    rc = open_place(session, making->parent, making->name, &dir, &name);
    if (rc != HF_OK)
        return rc;
    rc = make_in(session, dir, name, making);
    if (rc == HF_OK) {
        dir->nlink += S_ISDIR(making->mode) ? 1 : 0;
        session->files += S_ISREG(making->mode) ? 1 : 0;
        note_name(session, dir, name);
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

/** At the top, a name must be new among the sessions too. Takes top_lock when it returns 0. */
static int enter_top(struct tree *tree, const char *name)
{
    int rc;

    pthread_mutex_lock(&tree->top_lock);
    rc = top_probe_session(tree, name);
    if (rc == HF_NOENT || rc == HF_INVAL)
        return HF_OK;
    pthread_mutex_unlock(&tree->top_lock);
    return rc == HF_OK ? HF_EXIST : rc;
}

static int make_entry(struct tree *tree, uint64_t parent, struct making *making,
                      struct tree_entry *ret_entry)
{
    struct session *session;
    bool at_top = parent == TREE_ROOT;
    int rc = at_top ? enter_top(tree, making->name) : HF_OK;

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
    int rc = at_top ? enter_top(tree, name) : HF_OK;

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

/* --- removing ----------------------------------------------------------------------------------- */

/** One name of an inode is gone from a directory. */
static void lose_name(struct session *session, struct inode *dir, struct inode *inode)
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
    if (inode->linked)
        links_remove(session, inode);
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
    struct inode_record record;
    int rc = directory_child(session, dir, name, &inode);

    if (rc != HF_OK)
        return rc;
    if (rmdir)
        rc = inode_is_dir(inode) ? directory_check_empty(session, inode) : HF_NOTDIR;
    else if (inode_is_dir(inode))
        rc = HF_ISDIR;
    else if (inode->linked)
        rc = links_find(session, inode->ino, &record); /* what can fail, fails here */
    if (rc == HF_OK)
        rc = directory_remove(session, dir, name);
    if (rc == HF_OK) {
        lose_name(session, dir, inode);
        note_name(session, dir, name);
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
    int rc = open_place(session, removal->parent, removal->name, &dir, &name);

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
    if (rc == HF_OK)
        session_unlock(session);
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

/* --- renaming ----------------------------------------------------------------------------------- */

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
    struct inode_record record;
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
    if (move->target && move->target->linked)
        rc = links_find(session, move->target->ino, &record);
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

static int do_exchange(struct session *session, struct move *move)
{
    int rc = directory_put(session, move->to_dir, move->to_name, move->source);

    if (rc == HF_OK)
        rc = directory_put(session, move->from_dir, move->from_name, move->target);
    if (rc != HF_OK)
        return rc;
    move_dotdot(move->source, move->from_dir, move->to_dir);
    move_dotdot(move->target, move->to_dir, move->from_dir);
    move->target->ctime = session_now(session);
    inode_mark(session, move->target);
    return HF_OK;
}

static int do_move(struct session *session, struct move *move)
{
    int rc = directory_put(session, move->to_dir, move->to_name, move->source);

    if (rc == HF_OK)
        rc = directory_remove(session, move->from_dir, move->from_name);
    if (rc != HF_OK)
        return rc;
    if (move->target)
        lose_name(session, move->to_dir, move->target);
    move_dotdot(move->source, move->from_dir, move->to_dir);
    return HF_OK;
}

static int rename_in(struct session *session, struct move *move, unsigned flags)
{
    int64_t now = session_now(session);
    int rc;

    if (move->source == move->target) /* two names of one inode: nothing is done */
        return flags & RENAME_NOREPLACE ? HF_EXIST : HF_OK;
    rc = check_move(session, move, flags);
    if (rc != HF_OK)
        return rc;
    rc = move->exchange ? do_exchange(session, move) : do_move(session, move);
    /* Even halfway, the directories differ from what is stored. */
    directory_touch(session, move->from_dir, now);
    directory_touch(session, move->to_dir, now);
    move->source->ctime = now;
    inode_mark(session, move->source);
    note_name(session, move->from_dir, move->from_name);
    note_name(session, move->to_dir, move->to_name);
    session_changed(session, false);
    return rc;
}

static int apply_rename(struct session *session, void *arg)
{
    const struct renaming *renaming = arg;
    struct move move = {.exchange = (renaming->flags & RENAME_EXCHANGE) != 0};
    int rc;

    rc = open_place(session, renaming->parent, renaming->name, &move.from_dir, &move.from_name);
    if (rc != HF_OK)
        return rc;
    rc = open_place(session, renaming->new_parent, renaming->new_name, &move.to_dir, &move.to_name);
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

/* --- linking ------------------------------------------------------------------------------------ */

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
    rc = links_put(session, &record);
    if (rc != HF_OK)
        return rc;
    inode->linked = true;
    rc = directory_put(session, dir, slice_of(inode->name, strlen(inode->name)), inode);
    if (rc != HF_OK) {
        inode->linked = false;
        links_remove(session, inode);
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
    note_name(session, dir, name);
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
    rc = open_place(session, linking->parent, linking->name, &dir, &name);
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
    if (rc == HF_OK)
        entry_grant(session, linking->inode, ret_entry);
    else
        pthread_mutex_lock(&session->lock);
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
    rc = at_top ? enter_top(tree, new_name) : HF_OK;
    if (rc != HF_OK)
        return rc;
    rc = link_within(tree, INODE_SID(inode), &linking, ret_entry);
    if (at_top)
        pthread_mutex_unlock(&tree->top_lock);
    return rc;
}
