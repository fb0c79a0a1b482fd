/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <string.h>

#include "tree/entry.h"
#include "tree/handle.h"
#include "tree/kernel.h"
#include "tree/table.h"
#include "tree/write.h"

int tree_getattr(struct tree *tree, uint64_t inode, struct tree_entry *ret_entry)
{
    struct session *session;
    struct inode *found;
    int rc = table_get_inode(tree, inode, &session);

    if (rc != HF_OK)
        return rc;
    rc = session_lock(session);
    if (rc == HF_OK) {
        if (inode != TREE_ROOT || entry_top_moment(session) == 0.0)
            rc = session_refresh(session);
        if (rc == HF_OK)
            rc = session_inode(session, INODE_INO(inode), &found);
        if (rc == HF_OK) {
            entry_fill(session, found, ret_entry);
            inode_unref(session, found);
        }
        session_unlock(session);
    }
    table_put(session);
    return rc;
}

int tree_readlink(struct tree *tree, uint64_t inode, char *ret_target, size_t size)
{
    struct session *session;
    struct inode *link;
    int rc = table_get_inode(tree, inode, &session);

    if (rc != HF_OK)
        return rc;
    rc = session_lock(session);
    if (rc != HF_OK)
        goto out;
    rc = session_inode(session, INODE_INO(inode), &link);
    if (rc == HF_OK) {
        struct slice target = link->content.bytes;

        if (!S_ISLNK(link->mode))
            rc = HF_INVAL;
        else if (target.len + 1 > size)
            rc = HF_RANGE;
        if (rc == HF_OK) {
            memcpy(ret_target, target.data, target.len);
            ret_target[target.len] = '\0';
        }
        inode_unref(session, link);
    }
    session_unlock(session);
out:
    table_put(session);
    return rc;
}

struct setting {
    const struct tree_caller *caller;
    uint64_t ino;
    struct tree_handle *handle; /* or NULL */
    const struct stat *attr;
    unsigned set;
    struct inode *inode; /* has a reference */
};

/** Times past what 64 bits of nanoseconds hold are cut to the nearest that fits. */
static int64_t ns_of(struct timespec time)
{
    if (time.tv_sec > INT64_MAX / 1000000000 - 1)
        return INT64_MAX;
    if (time.tv_sec < INT64_MIN / 1000000000 + 1)
        return INT64_MIN;
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void set_times(struct inode *inode, const struct stat *attr, unsigned set, int64_t now)
{
    if (set & TREE_SET_ATIME)
        inode->atime = ns_of(attr->st_atim);
    if (set & TREE_SET_MTIME)
        inode->mtime = ns_of(attr->st_mtim);
    if (set & TREE_SET_ATIME_NOW)
        inode->atime = now;
    if (set & TREE_SET_MTIME_NOW)
        inode->mtime = now;
    inode->ctime = now;
}

static void set_owner(struct inode *inode, const struct setting *setting)
{
    unsigned set = setting->set;

    if (!(set & (TREE_SET_UID | TREE_SET_GID)))
        return;
    if (set & TREE_SET_UID)
        inode->uid = setting->attr->st_uid;
    if (set & TREE_SET_GID)
        inode->gid = setting->attr->st_gid;
    if (!(set & TREE_SET_MODE))
        write_clear_privileges(inode, setting->caller);
}

static int set_size(struct session *session, struct inode *inode, const struct setting *setting)
{
    int64_t size = setting->attr->st_size;

    if (!(setting->set & TREE_SET_SIZE))
        return HF_OK;
    if (inode_is_dir(inode))
        return HF_ISDIR;
    if (!S_ISREG(inode->mode) || size < 0)
        return HF_INVAL;
    if ((uint64_t)size > NODE_FILE_SIZE_MAX)
        return HF_FBIG;
    return write_truncate(session, inode, (uint64_t)size, setting->caller);
}

static int apply_set(struct session *session, void *arg)
{
    struct setting *setting = arg;
    struct inode *inode;
    int rc;

    inode_unref(session, setting->inode);
    setting->inode = NULL;
    if (setting->handle) {
        if (setting->handle->epoch != session->epoch)
            return HF_FENCED;
        inode = inode_ref(setting->handle->inode);
    } else {
        rc = session_inode(session, setting->ino, &inode);
        if (rc != HF_OK)
            return rc;
    }
    setting->inode = inode;
    if (inode->stale)
        return HF_STALE;
    if (inode->pseudo)
        return HF_ROFS;
    rc = set_size(session, inode, setting);
    if (rc != HF_OK)
        return rc;
    if (setting->set & TREE_SET_MODE)
        inode->mode = (inode->mode & S_IFMT) | (setting->attr->st_mode & 07777);
    set_owner(inode, setting);
    if (setting->set == 0) /* only the set-id bits are to go */
        write_clear_privileges(inode, setting->caller);
    set_times(inode, setting->attr, setting->set, session_now(session));
    write_done(session, inode, setting->handle, (setting->set & TREE_SET_SIZE) != 0);
    return HF_OK;
}

int tree_setattr(struct tree *tree, const struct tree_caller *caller, uint64_t inode,
                 struct tree_handle *handle, const struct stat *attr, unsigned set,
                 struct tree_entry *ret_entry)
{
    struct setting setting = {
        .caller = caller, .ino = INODE_INO(inode), .handle = handle, .attr = attr, .set = set};
    struct session *session;
    int rc = table_get_inode(tree, inode, &session);

    if (rc != HF_OK)
        return rc;
    if ((set & ~(unsigned)TREE_SET_CTIME) == 0 && set != 0)
        rc = tree_getattr(tree, inode, ret_entry); /* ctime is ours alone */
    else
        rc = session_change(session, apply_set, &setting);
    if ((set & ~(unsigned)TREE_SET_CTIME) == 0 && set != 0)
        goto out;
    if (rc == HF_OK) {
        kernel_await_gift(session, setting.inode);
        kernel_tell_news(session);
        entry_fill(session, setting.inode, ret_entry);
    } else {
        pthread_mutex_lock(&session->lock);
    }
    inode_unref(session, setting.inode);
    session_unlock(session);
out:
    table_put(session);
    return rc;
}

/* --- statfs ------------------------------------------------------------------------------------- */

/** Where an embedded store lies, its filesystem says how much room there is. */
static const char *store_path(const struct tree *tree)
{
    const char *location = store_info(tree->store)->location;

    return strncmp(location, "sqlite:", 7) == 0 ? location + 7 : NULL;
}

int tree_statfs(struct tree *tree, uint64_t inode, struct statvfs *ret_stat)
{
    const uint64_t plenty = 1ULL << 40;
    const char *path = store_path(tree);
    struct statvfs stat;

    (void)inode;
    if (!path || statvfs(path, &stat) != 0)
        stat = (struct statvfs){.f_frsize = 4096,
                                .f_blocks = plenty / 4096,
                                .f_bfree = plenty / 4096,
                                .f_bavail = plenty / 4096};
    stat.f_bsize = 4096;
    stat.f_files = NODE_INO_MAX;
    stat.f_ffree = stat.f_favail = NODE_INO_MAX;
    stat.f_namemax = NODE_NAME_MAX;
    stat.f_fsid = 0;
    stat.f_flag = tree->options.read_only ? ST_RDONLY : 0;
    *ret_stat = stat;
    return HF_OK;
}
