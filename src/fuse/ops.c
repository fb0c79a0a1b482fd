/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define MAX_WRITE (1U << 20)
#define MAX_BACKGROUND 64
#define PID_XATTR "user.holdfast.pid" /* of the mount's top: the daemon, for umount to wait for */

/* --- decoding and replying ---------------------------------------------------------------------- */

/** The request that this thread works on, while it may wait for another host: every operation that may has
 *  called one of the functions below for it. */
static _Thread_local fuse_req_t current;

bool fuse_ops_interrupted(void)
{
    return current && fuse_req_interrupted(current);
}

static struct fuse_ops_state *state_of(fuse_req_t req)
{
    current = req;
    return fuse_req_userdata(req);
}

static struct tree *tree_of(fuse_req_t req)
{
    return state_of(req)->tree;
}

static struct tree_caller caller_of(fuse_req_t req)
{
    const struct fuse_ctx *ctx = fuse_req_ctx(req);

    return (struct tree_caller){.uid = ctx->uid,
                                .gid = ctx->gid,
                                .pid = ctx->pid,
                                .ends_privileges =
                                    channel_ends_privileges(&state_of(req)->channel, ctx->uid)};
}

static struct tree_handle *handle_of(const struct fuse_file_info *fi)
{
    return fi ? (struct tree_handle *)(uintptr_t)fi->fh : NULL;
}

static void reply_status(fuse_req_t req, int status)
{
    fuse_reply_err(req, status ? hf_status_errno(status) : 0);
}

static struct fuse_entry_param entry_param(const struct tree *tree, const struct tree_entry *entry)
{
    bool holds = tree_still_holds(tree, entry);

    return (struct fuse_entry_param){.ino = entry->inode,
                                     .attr = entry->attr,
                                     .attr_timeout = holds ? entry->attr_timeout : 0,
                                     .entry_timeout = holds ? entry->entry_timeout : 0};
}

/** An entry that the kernel did not take is not looked up. */
static void reply_entry(fuse_req_t req, int status, const struct tree_entry *entry)
{
    struct tree *tree = tree_of(req);
    struct fuse_entry_param param;

    if (status) {
        reply_status(req, status);
        return;
    }
    param = entry_param(tree, entry);
    if (fuse_reply_entry(req, &param) != 0 && entry->inode)
        tree_forget(tree, entry->inode, 1);
}

static void reply_attr(fuse_req_t req, int status, const struct tree_entry *entry)
{
    if (status)
        reply_status(req, status);
    else
        fuse_reply_attr(req, &entry->attr,
                        tree_still_holds(tree_of(req), entry) ? entry->attr_timeout : 0);
}

/* --- the session -------------------------------------------------------------------------------- */

static void choose(struct fuse_conn_info *conn, unsigned flag, bool on)
{
    if (on)
        conn->want |= conn->capable & flag;
    else
        conn->want &= ~flag;
}

/**
 * What is asked of the kernel, and why:
 *   locks          ours: the tree decides them, and other mounts of the session respect them
 *   invalidation   explicit: this mount is the authority and says what changed; by mtime, the kernel
 *                  would throw away a file's pages after each of its own appends
 *   O_TRUNC        comes with the open, so that open and truncation are one change
 *   splice         off: contents live in memory, a pipe between would only add system calls
 *   writeback      off: what write(2) was told is in the tree, where commits find it in order
 *   killpriv       off: the second version is what is asked for, in channel.c, as libfuse does not know it
 *   export         off: inode numbers alone are not served after they were forgotten
 */
static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    struct fuse_ops_state *state = userdata;

    choose(conn, FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS, true);
    choose(conn, FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ, true);
    choose(conn, FUSE_CAP_ASYNC_DIO | FUSE_CAP_CACHE_SYMLINKS, true);
    choose(conn, FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO, true);
    choose(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
    choose(conn, FUSE_CAP_AUTO_INVAL_DATA, !(conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA));
    choose(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE, false);
    choose(conn, FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_HANDLE_KILLPRIV, false);
    choose(conn, FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_POSIX_ACL | FUSE_CAP_DONT_MASK, false);
    choose(conn, FUSE_CAP_IOCTL_DIR | FUSE_CAP_NO_OPENDIR_SUPPORT, false);
    conn->max_write = MAX_WRITE;
    conn->max_background = MAX_BACKGROUND;
    conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
    conn->time_gran = 1;
    if (state->ready)
        state->ready(state->arg);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs stat;
    int status = tree_statfs(tree_of(req), ino, &stat);

    if (status)
        reply_status(req, status);
    else
        fuse_reply_statfs(req, &stat);
}

/* --- names -------------------------------------------------------------------------------------- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct tree_entry entry;

    reply_entry(req, tree_lookup(tree_of(req), parent, name, &entry), &entry);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
    tree_forget(tree_of(req), ino, nlookup);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        tree_forget(tree_of(req), forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct tree_caller caller = caller_of(req);
    struct tree_entry entry;

    reply_entry(req, tree_mknod(tree_of(req), &caller, parent, name, mode, rdev, &entry), &entry);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct tree_caller caller = caller_of(req);
    struct tree_entry entry;

    reply_entry(req, tree_mkdir(tree_of(req), &caller, parent, name, mode, &entry), &entry);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct tree_caller caller = caller_of(req);
    struct tree_entry entry;

    reply_entry(req, tree_symlink(tree_of(req), &caller, target, parent, name, &entry), &entry);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t new_parent, const char *new_name)
{
    struct tree_caller caller = caller_of(req);
    struct tree_entry entry;

    reply_entry(req, tree_link(tree_of(req), &caller, ino, new_parent, new_name, &entry), &entry);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct tree_caller caller = caller_of(req);

    reply_status(req, tree_unlink(tree_of(req), &caller, parent, name));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct tree_caller caller = caller_of(req);

    reply_status(req, tree_rmdir(tree_of(req), &caller, parent, name));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags)
{
    struct tree_caller caller = caller_of(req);

    reply_status(req,
                 tree_rename(tree_of(req), &caller, parent, name, new_parent, new_name, flags));
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    char target[PATH_MAX + 1];
    int status = tree_readlink(tree_of(req), ino, target, sizeof target);

    if (status)
        reply_status(req, status);
    else
        fuse_reply_readlink(req, target);
}

/* --- attributes --------------------------------------------------------------------------------- */

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct tree_entry entry;

    (void)fi;
    reply_attr(req, tree_getattr(tree_of(req), ino, &entry), &entry);
}

static unsigned set_of(int to_set)
{
    static const struct {
        int fuse;
        unsigned tree;
    } bits[] = {
        {FUSE_SET_ATTR_MODE, TREE_SET_MODE},
        {FUSE_SET_ATTR_UID, TREE_SET_UID},
        {FUSE_SET_ATTR_GID, TREE_SET_GID},
        {FUSE_SET_ATTR_SIZE, TREE_SET_SIZE},
        {FUSE_SET_ATTR_ATIME, TREE_SET_ATIME},
        {FUSE_SET_ATTR_MTIME, TREE_SET_MTIME},
        {FUSE_SET_ATTR_ATIME_NOW, TREE_SET_ATIME_NOW},
        {FUSE_SET_ATTR_MTIME_NOW, TREE_SET_MTIME_NOW},
        {FUSE_SET_ATTR_CTIME, TREE_SET_CTIME},
    };
    unsigned set = 0;

    for (size_t i = 0; i < sizeof bits / sizeof bits[0]; i++)
        if (to_set & bits[i].fuse)
            set |= bits[i].tree;
    return set;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
    struct tree_caller caller = caller_of(req);
    struct tree_entry entry;

    caller.ends_privileges |=
        to_set == 0; /* that is what the kernel asks with this, before a write */
    reply_attr(
        req, tree_setattr(tree_of(req), &caller, ino, handle_of(fi), attr, set_of(to_set), &entry),
        &entry);
}

/* --- extended attributes ------------------------------------------------------------------------ */

static void reply_xattr(fuse_req_t req, int status, const char *value, size_t len, size_t size)
{
    if (status)
        reply_status(req, status);
    else if (size == 0)
        fuse_reply_xattr(req, len);
    else
        fuse_reply_buf(req, value, len);
}

static void reply_pid(fuse_req_t req, size_t size)
{
    char pid[16];
    size_t len = (size_t)snprintf(pid, sizeof pid, "%d", (int)getpid());

    reply_xattr(req, size && size < len ? HF_RANGE : HF_OK, pid, len, size);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
    char *value = NULL;
    size_t len = 0;
    int status;

    if (ino == FUSE_ROOT_ID && strcmp(name, PID_XATTR) == 0) {
        reply_pid(req, size);
        return;
    }
    if (size && !(value = malloc(size))) {
        reply_status(req, HF_NOMEM);
        return;
    }
    status = tree_getxattr(tree_of(req), ino, name, value, size, &len);
    reply_xattr(req, status, value, len, size);
    free(value);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
    char *names = NULL;
    size_t len = 0;
    int status;

    if (size && !(names = malloc(size))) {
        reply_status(req, HF_NOMEM);
        return;
    }
    status = tree_listxattr(tree_of(req), ino, names, size, &len);
    reply_xattr(req, status, names, len, size);
    free(names);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
                        size_t size, int flags)
{
    struct tree_caller caller = caller_of(req);

    reply_status(req, tree_setxattr(tree_of(req), &caller, ino, name, value, size, flags));
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
    struct tree_caller caller = caller_of(req);

    reply_status(req, tree_removexattr(tree_of(req), &caller, ino, name));
}

/* --- files -------------------------------------------------------------------------------------- */

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    struct tree_caller caller = caller_of(req);
    struct tree *tree = tree_of(req);
    struct tree_handle *handle;
    struct fuse_entry_param param;
    struct tree_entry entry;
    int status = tree_create(tree, &caller, parent, name, mode, fi->flags, &entry, &handle);

    if (status) {
        reply_status(req, status);
        return;
    }
    fi->fh = (uint64_t)(uintptr_t)handle;
    fi->keep_cache = 1;
    param = entry_param(tree, &entry);
    if (fuse_reply_create(req, &param, fi) != 0) {
        tree_release(handle);
        tree_forget(tree, entry.inode, 1);
    }
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct tree_caller caller = caller_of(req);
    struct tree_handle *handle;
    bool keep_cache = false;
    int status = tree_open_file(tree_of(req), &caller, ino, fi->flags, &handle, &keep_cache);

    if (status) {
        reply_status(req, status);
        return;
    }
    fi->fh = (uint64_t)(uintptr_t)handle;
    fi->keep_cache = keep_cache;
    fi->direct_io = tree_is_pseudo(handle);
    if (fuse_reply_open(req, fi) != 0)
        tree_release(handle);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    uint8_t *data = malloc(size ? size : 1);
    size_t len = 0;
    int status = HF_NOMEM;

    (void)ino;
    if (data)
        status = tree_read(handle_of(fi), (uint64_t)offset, size, data, &len);
    if (status)
        reply_status(req, status);
    else
        fuse_reply_buf(req, (const char *)data, len);
    free(data);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *fi)
{
    struct tree_caller caller = caller_of(req);
    /* The pages of a mapping have their place, however the file was opened. */
    bool append = (fi->flags & O_APPEND) != 0 && !fi->writepage;
    int status =
        (append ? tree_append : tree_write)(handle_of(fi), &caller, (uint64_t)offset, data, size);

    (void)ino;
    if (status)
        reply_status(req, status);
    else
        fuse_reply_write(req, size);
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    reply_status(req, tree_flush(handle_of(fi), fi->lock_owner));
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)ino;
    (void)datasync;
    reply_status(req, tree_fsync(handle_of(fi)));
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    tree_release(handle_of(fi));
    fuse_reply_err(req, 0);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                         struct fuse_file_info *fi)
{
    struct tree_caller caller = caller_of(req);

    (void)ino;
    if (offset < 0 || length <= 0)
        reply_status(req, HF_INVAL);
    else
        reply_status(
            req, tree_fallocate(handle_of(fi), &caller, mode, (uint64_t)offset, (uint64_t)length));
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
                     struct fuse_file_info *fi)
{
    uint64_t found = 0;
    int status = offset < 0 ? HF_NXIO : tree_lseek(handle_of(fi), (uint64_t)offset, whence, &found);

    (void)ino;
    if (status)
        reply_status(req, status);
    else
        fuse_reply_lseek(req, (off_t)found);
}

/* --- directories -------------------------------------------------------------------------------- */

/** Entries are cached in the kernel while the tree vouches for the directory's attributes. */
static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct tree_handle *handle;
    struct tree_entry entry;
    int status = tree_opendir(tree_of(req), ino, &handle);

    if (status) {
        reply_status(req, status);
        return;
    }
    fi->fh = (uint64_t)(uintptr_t)handle;
    fi->cache_readdir = fi->keep_cache = tree_getattr(tree_of(req), ino, &entry) == HF_OK &&
                                         entry.attr_timeout > 0 && entry.entry_timeout > 0;
    if (fuse_reply_open(req, fi) != 0)
        tree_releasedir(handle);
}

/** A reply to readdir while it is filled. */
struct dir_reply {
    fuse_req_t req;
    char *data;
    size_t len, size;
    bool plus;
};

static bool add_entry(const char *name, const struct tree_entry *entry, uint64_t next, void *arg)
{
    struct dir_reply *reply = arg;
    size_t room = reply->size - reply->len, need;

    if (reply->plus) {
        struct fuse_entry_param param = entry_param(tree_of(reply->req), entry);

        need = fuse_add_direntry_plus(reply->req, reply->data + reply->len, room, name, &param,
                                      (off_t)next);
    } else {
        need = fuse_add_direntry(reply->req, reply->data + reply->len, room, name, &entry->attr,
                                 (off_t)next);
    }
    if (need > room)
        return false;
    reply->len += need;
    return true;
}

static void read_directory(fuse_req_t req, size_t size, off_t offset, struct fuse_file_info *fi,
                           bool plus)
{
    struct dir_reply reply = {
        .req = req, .data = malloc(size ? size : 1), .size = size, .plus = plus};
    int status = HF_NOMEM;

    if (reply.data)
        status = tree_readdir(handle_of(fi), (uint64_t)offset, plus, add_entry, &reply);
    /* Entries that were counted as looked up must reach the kernel, so an error waits for its turn. */
    if (status && reply.len == 0)
        reply_status(req, status);
    else
        fuse_reply_buf(req, reply.data, reply.len);
    free(reply.data);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    (void)ino;
    read_directory(req, size, offset, fi, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *fi)
{
    (void)ino;
    read_directory(req, size, offset, fi, true);
}

/** fsync(2) of the top directory is for the whole mount: it is how umount asks for everything. */
static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    if (ino == FUSE_ROOT_ID)
        reply_status(req, tree_commit_all(tree_of(req), true, NULL));
    else
        reply_status(req, tree_fsyncdir(handle_of(fi)));
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    tree_releasedir(handle_of(fi));
    fuse_reply_err(req, 0);
}

/* --- locks -------------------------------------------------------------------------------------- */

static enum lock_type lock_type_of(int type)
{
    return type == F_RDLCK ? LOCK_TYPE_READ : type == F_WRLCK ? LOCK_TYPE_WRITE : LOCK_TYPE_NONE;
}

static struct lock_request record_of(fuse_ino_t ino, const struct fuse_file_info *fi,
                                     const struct flock *lock)
{
    return (struct lock_request){
        .inode = ino,
        .kind = LOCK_POSIX,
        .type = lock_type_of(lock->l_type),
        .start = (uint64_t)lock->l_start,
        .end = lock->l_len ? (uint64_t)lock->l_start + (uint64_t)lock->l_len - 1 : UINT64_MAX,
        .owner = fi->lock_owner,
        .handle = fi->fh,
        .pid = (uint32_t)lock->l_pid,
    };
}

static void set_lock(fuse_req_t req, struct fuse_file_info *fi, const struct lock_request *request,
                     bool wait)
{
    struct fuse_ops_state *state = state_of(req);
    uint64_t ticket;

    if (wait && request->type != LOCK_TYPE_NONE)
        lockwait_set(state->lockwaits, state->tree, req, handle_of(fi), request);
    else
        reply_status(req, tree_lock(handle_of(fi), request, false, NULL, NULL, &ticket));
}

static void op_setlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock,
                     int sleep)
{
    struct lock_request request = record_of(ino, fi, lock);

    set_lock(req, fi, &request, sleep);
}

static void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, int op)
{
    struct lock_request request = {.inode = ino,
                                   .kind = LOCK_FLOCK,
                                   .type = op & LOCK_SH   ? LOCK_TYPE_READ
                                           : op & LOCK_EX ? LOCK_TYPE_WRITE
                                                          : LOCK_TYPE_NONE,
                                   .start = 0,
                                   .end = UINT64_MAX,
                                   .owner = fi->lock_owner,
                                   .handle = fi->fh,
                                   .pid = (uint32_t)fuse_req_ctx(req)->pid};

    set_lock(req, fi, &request, !(op & LOCK_NB));
}

static void op_getlk(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi, struct flock *lock)
{
    struct lock_request request = record_of(ino, fi, lock), other;
    bool found = false;
    int status = tree_lock_test(handle_of(fi), &request, &other, &found);

    if (status) {
        reply_status(req, status);
        return;
    }
    *lock = (struct flock){.l_type = F_UNLCK};
    if (found) {
        lock->l_type = other.type == LOCK_TYPE_WRITE ? F_WRLCK : F_RDLCK;
        lock->l_whence = SEEK_SET;
        lock->l_start = (off_t)other.start;
        lock->l_len = other.end >= (uint64_t)INT64_MAX ? 0 : (off_t)(other.end - other.start + 1);
        lock->l_pid = (pid_t)other.pid;
    }
    fuse_reply_lock(req, lock);
}

const struct fuse_lowlevel_ops fuse_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .release = op_release,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .setxattr = op_setxattr,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .removexattr = op_removexattr,
    .create = op_create,
    .getlk = op_getlk,
    .setlk = op_setlk,
    .flock = op_flock,
    .fallocate = op_fallocate,
    .lseek = op_lseek,
};
