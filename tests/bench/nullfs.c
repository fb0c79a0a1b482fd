/* SPDX-License-Identifier: Apache-2.0 */
/**
 * nullfs [-f] [-o OPTION,...] DIR: a filesystem in memory with nothing behind it, for comparison. It asks of the
 * kernel what src/fuse asks and lets it cache as long as src/tree does under a lease, so what it costs is what FUSE
 * costs. Two things are left out because a filesystem may do without: extended attributes (the kernel stops to ask for
 * those after the first answer) and locks (the kernel keeps them). flush() is answered, as whoever commits when a file
 * is closed must hear of it.
 */
#define FUSE_USE_VERSION 314
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <linux/fs.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/htable.h"

#define FOREVER_S 86400.0
#define MAX_WRITE (1U << 20)
#define MAX_BACKGROUND 64
#define THREADS 32
#define NAME_LIMIT 255
#define BLOCK 512

/** A file, directory or symbolic link. Freed when it has neither names nor lookups. */
struct node {
    struct stat attr; /* st_size: of data */
    _Atomic uint64_t lookups;
    char *data; /* contents, or a link's target */
    size_t room;
    /* Of directories: */
    struct node *parent;
    struct entry *
        *slots; /* NULL: a hole. The place in it is the offset that readdir goes on from */
    size_t nslots, slot_room, first_hole, nentries;
};

/** A name in a directory. */
struct entry {
    struct hnode hnode;
    struct node *dir, *node;
    size_t slot;
    char name[];
};

/** Guards everything: reading shares it, a change has it alone. */
static pthread_rwlock_t lock = PTHREAD_RWLOCK_INITIALIZER;
static struct htable names; /* struct entry */
static struct node root;
static ino_t last_number = FUSE_ROOT_ID;

/* --- nodes -------------------------------------------------------------------------------------- */

static struct node *node_of(fuse_ino_t ino)
{
    return ino == FUSE_ROOT_ID ? &root : (struct node *)(uintptr_t)ino;
}

static fuse_ino_t ino_of(const struct node *node)
{
    return node == &root ? FUSE_ROOT_ID : (fuse_ino_t)(uintptr_t)node;
}

static void touch(struct node *node)
{
    clock_gettime(CLOCK_REALTIME, &node->attr.st_mtim);
    node->attr.st_ctim = node->attr.st_mtim;
}

static void touch_status(struct node *node)
{
    clock_gettime(CLOCK_REALTIME, &node->attr.st_ctim);
}

static void set_size(struct node *node, size_t size)
{
    node->attr.st_size = (off_t)size;
    node->attr.st_blocks = (blkcnt_t)((size + BLOCK - 1) / BLOCK);
}

static struct node *node_new(const struct fuse_ctx *ctx, struct node *parent, mode_t mode)
{
    struct node *node = calloc(1, sizeof *node);

    if (!node)
        return NULL;
    node->attr = (struct stat){.st_ino = ++last_number,
                               .st_mode = mode,
                               .st_nlink = S_ISDIR(mode) ? 2 : 1,
                               .st_uid = ctx->uid,
                               .st_gid = ctx->gid,
                               .st_blksize = 4096};
    touch(node);
    node->attr.st_atim = node->attr.st_mtim;
    node->parent = parent;
    return node;
}

static void node_free(struct node *node)
{
    free(node->data);
    free(node->slots);
    free(node);
}

static void node_free_if_unused(struct node *node)
{
    if (node != &root && node->attr.st_nlink == 0 && atomic_load(&node->lookups) == 0)
        node_free(node);
}

/** Makes the file at least `size` bytes long, zeros behind its end. */
static int node_extend(struct node *node, size_t size)
{
    size_t old = (size_t)node->attr.st_size, room = node->room ? node->room : 4096;
    char *data;

    if (size <= old)
        return 0;
    if (size > SIZE_MAX / 4)
        return EFBIG;
    while (room < size)
        room *= 2;
    if (room != node->room) {
        data = realloc(node->data, room);
        if (!data)
            return ENOSPC;
        node->data = data;
        node->room = room;
    }
    memset(node->data + old, 0, size - old);
    set_size(node, size);
    return 0;
}

static int node_resize(struct node *node, off_t size)
{
    int error = 0;

    if (size < node->attr.st_size)
        set_size(node, (size_t)size);
    else
        error = node_extend(node, (size_t)size);
    if (!error)
        touch(node);
    return error;
}

/* --- names -------------------------------------------------------------------------------------- */

/** FNV-1a over the name, and the directory (Fowler, Noll, Vo). */
static uint64_t name_hash(const struct node *dir, const char *name)
{
    uint64_t hash = 0xcbf29ce484222325ULL;

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 0x100000001b3ULL;
    return htable_hash_u64(hash ^ dir->attr.st_ino);
}

static struct entry *entry_find(const struct node *dir, const char *name)
{
    struct hnode *hnode = htable_find(&names, name_hash(dir, name));

    for (; hnode; hnode = htable_next(hnode)) {
        struct entry *entry = HTABLE_ENTRY(hnode, struct entry, hnode);

        if (entry->dir == dir && strcmp(entry->name, name) == 0)
            return entry;
    }
    return NULL;
}

/** A slot for one more entry, in *ret_slot. */
static int slot_take(struct node *dir, size_t *ret_slot)
{
    struct entry **slots;
    size_t room = dir->slot_room ? dir->slot_room * 2 : 16;

    while (dir->first_hole < dir->nslots && dir->slots[dir->first_hole])
        dir->first_hole++;
    if (dir->first_hole == dir->slot_room) {
        slots = reallocarray(dir->slots, room, sizeof *slots);
        if (!slots)
            return ENOMEM;
        dir->slots = slots;
        dir->slot_room = room;
    }
    if (dir->first_hole == dir->nslots)
        dir->nslots++;
    *ret_slot = dir->first_hole;
    dir->slots[*ret_slot] = NULL;
    return 0;
}

static void slot_leave(struct node *dir, size_t slot)
{
    dir->slots[slot] = NULL;
    if (slot < dir->first_hole)
        dir->first_hole = slot;
}

static int entry_add(struct node *dir, const char *name, struct node *node)
{
    size_t len = strlen(name) + 1;
    struct entry *entry = len > NAME_LIMIT + 1 ? NULL : malloc(sizeof *entry + len);

    if (!entry)
        return len > NAME_LIMIT + 1 ? ENAMETOOLONG : ENOMEM;
    memcpy(entry->name, name, len);
    entry->dir = dir;
    entry->node = node;
    if (slot_take(dir, &entry->slot) != 0 ||
        htable_insert(&names, &entry->hnode, name_hash(dir, name)) != 0) {
        free(entry);
        return ENOMEM;
    }
    dir->slots[entry->slot] = entry;
    dir->nentries++;
    if (S_ISDIR(node->attr.st_mode)) {
        dir->attr.st_nlink++;
        node->parent = dir;
    }
    touch(dir);
    return 0;
}

/** Takes the name away, not the node's link. */
static void entry_remove(struct entry *entry)
{
    struct node *dir = entry->dir;

    htable_remove(&names, &entry->hnode);
    slot_leave(dir, entry->slot);
    dir->nentries--;
    if (S_ISDIR(entry->node->attr.st_mode))
        dir->attr.st_nlink--;
    touch(dir);
    free(entry);
}

/** Takes the name away, and the node with its last. */
static void entry_unlink(struct entry *entry)
{
    struct node *node = entry->node;

    entry_remove(entry);
    if (S_ISDIR(node->attr.st_mode))
        node->attr.st_nlink = 0;
    else
        node->attr.st_nlink--;
    touch_status(node);
    node_free_if_unused(node);
}

/* --- answers ------------------------------------------------------------------------------------ */

static struct fuse_entry_param param_of(struct node *node)
{
    return (struct fuse_entry_param){.ino = ino_of(node),
                                     .attr = node->attr,
                                     .attr_timeout = FOREVER_S,
                                     .entry_timeout = FOREVER_S};
}

static struct fuse_entry_param look_up(struct node *node)
{
    atomic_fetch_add(&node->lookups, 1);
    return param_of(node);
}

static void change_begin(void)
{
    pthread_rwlock_wrlock(&lock);
}

static void change_end(void)
{
    pthread_rwlock_unlock(&lock);
}

static void answer_entry(fuse_req_t req, int error, const struct fuse_entry_param *param)
{
    if (error)
        fuse_reply_err(req, error);
    else
        fuse_reply_entry(req, param);
}

static void choose(struct fuse_conn_info *conn, unsigned flags, bool on)
{
    conn->want = on ? conn->want | (conn->capable & flags) : conn->want & ~flags;
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
    (void)userdata;
    choose(conn, FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_PARALLEL_DIROPS | FUSE_CAP_ASYNC_READ, true);
    choose(conn, FUSE_CAP_ASYNC_DIO | FUSE_CAP_CACHE_SYMLINKS, true);
    choose(conn, FUSE_CAP_READDIRPLUS | FUSE_CAP_READDIRPLUS_AUTO, true);
    choose(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
    choose(conn, FUSE_CAP_AUTO_INVAL_DATA, !(conn->capable & FUSE_CAP_EXPLICIT_INVAL_DATA));
    choose(conn, FUSE_CAP_SPLICE_READ | FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE, false);
    choose(conn, FUSE_CAP_WRITEBACK_CACHE | FUSE_CAP_HANDLE_KILLPRIV, false);
    choose(conn, FUSE_CAP_POSIX_LOCKS | FUSE_CAP_FLOCK_LOCKS, false);
    conn->max_write = MAX_WRITE;
    conn->max_background = MAX_BACKGROUND;
    conn->congestion_threshold = MAX_BACKGROUND * 3 / 4;
    conn->time_gran = 1;
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
    struct statvfs stat = {.f_bsize = 4096,
                           .f_frsize = 4096,
                           .f_blocks = 1UL << 28,
                           .f_bfree = 1UL << 28,
                           .f_bavail = 1UL << 28,
                           .f_files = 1UL << 32,
                           .f_ffree = 1UL << 32,
                           .f_favail = 1UL << 32,
                           .f_namemax = NAME_LIMIT};

    (void)ino;
    fuse_reply_statfs(req, &stat);
}

/* --- names in requests -------------------------------------------------------------------------- */

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param param = {.entry_timeout =
                                         FOREVER_S}; /* what is not there, is not there */
    struct entry *entry;

    pthread_rwlock_rdlock(&lock);
    entry = entry_find(node_of(parent), name);
    if (entry)
        param = look_up(entry->node);
    pthread_rwlock_unlock(&lock);
    fuse_reply_entry(req, &param);
}

static void forget(fuse_ino_t ino, uint64_t count)
{
    struct node *node = node_of(ino);

    change_begin();
    atomic_fetch_sub(&node->lookups, count);
    node_free_if_unused(node);
    change_end();
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t count)
{
    forget(ino, count);
    fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
    for (size_t i = 0; i < count; i++)
        forget(forgets[i].ino, forgets[i].nlookup);
    fuse_reply_none(req);
}

/** Makes a node with a name. `target`: of a symbolic link. */
static int make(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                const char *target, struct fuse_entry_param *ret_param)
{
    struct node *dir = node_of(parent), *node;
    int error = EEXIST;

    change_begin();
    if (entry_find(dir, name))
        goto out;
    error = ENOMEM;
    node = node_new(fuse_req_ctx(req), dir, mode);
    if (!node)
        goto out;
    error = target ? node_extend(node, strlen(target)) : 0;
    if (!error && target)
        memcpy(node->data, target, strlen(target));
    if (!error)
        error = entry_add(dir, name, node);
    if (error)
        node_free(node);
    else
        *ret_param = look_up(node);
out:
    change_end();
    return error;
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
    struct fuse_entry_param param;

    (void)rdev;
    answer_entry(req, make(req, parent, name, mode, NULL, &param), &param);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
    struct fuse_entry_param param;

    answer_entry(req, make(req, parent, name, mode | S_IFDIR, NULL, &param), &param);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
    struct fuse_entry_param param;

    answer_entry(req, make(req, parent, name, S_IFLNK | 0777, target, &param), &param);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
    struct node *node = node_of(ino), *dir = node_of(parent);
    struct fuse_entry_param param;
    int error;

    change_begin();
    error = entry_find(dir, name) ? EEXIST : entry_add(dir, name, node);
    if (!error) {
        node->attr.st_nlink++;
        touch_status(node);
        param = look_up(node);
    }
    change_end();
    answer_entry(req, error, &param);
}

static void take_away(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    struct entry *entry;
    int error = 0;

    change_begin();
    entry = entry_find(node_of(parent), name);
    if (!entry)
        error = ENOENT;
    else if (entry->node->nentries)
        error = ENOTEMPTY;
    else
        entry_unlink(entry);
    change_end();
    fuse_reply_err(req, error);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    take_away(req, parent, name);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
    take_away(req, parent, name);
}

static int rename_entry(struct node *dir, const char *name, struct node *new_dir,
                        const char *new_name, unsigned flags)
{
    struct entry *entry = entry_find(dir, name), *old = entry_find(new_dir, new_name);
    struct node *node;
    int error;

    if (!entry || (flags & ~(unsigned)RENAME_NOREPLACE))
        return entry ? EINVAL : ENOENT;
    if (old && (flags & RENAME_NOREPLACE))
        return EEXIST;
    node = entry->node;
    if (old && old->node == node)
        return 0;
    if (old && old->node->nentries)
        return ENOTEMPTY;
    if (old)
        entry_unlink(old);
    error = entry_add(new_dir, new_name, node);
    if (error)
        return error;
    entry_remove(entry);
    touch_status(node);
    return 0;
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
                      const char *new_name, unsigned flags)
{
    int error;

    change_begin();
    error = rename_entry(node_of(parent), name, node_of(new_parent), new_name, flags);
    change_end();
    fuse_reply_err(req, error);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
    struct node *node = node_of(ino);
    char *target;

    pthread_rwlock_rdlock(&lock);
    target = node->data ? strndup(node->data, (size_t)node->attr.st_size) : NULL;
    pthread_rwlock_unlock(&lock);
    if (target)
        fuse_reply_readlink(req, target);
    else
        fuse_reply_err(req, ENOMEM);
    free(target);
}

/* --- attributes --------------------------------------------------------------------------------- */

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    struct stat attr;

    (void)fi;
    pthread_rwlock_rdlock(&lock);
    attr = node_of(ino)->attr;
    pthread_rwlock_unlock(&lock);
    fuse_reply_attr(req, &attr, FOREVER_S);
}

static int set_attr(struct node *node, const struct stat *attr, int to_set)
{
    int error = to_set & FUSE_SET_ATTR_SIZE ? node_resize(node, attr->st_size) : 0;

    if (error)
        return error;
    touch_status(node);
    if (to_set & FUSE_SET_ATTR_MODE)
        node->attr.st_mode = (node->attr.st_mode & S_IFMT) | (attr->st_mode & ~(mode_t)S_IFMT);
    if (to_set & FUSE_SET_ATTR_UID)
        node->attr.st_uid = attr->st_uid;
    if (to_set & FUSE_SET_ATTR_GID)
        node->attr.st_gid = attr->st_gid;
    if (to_set & FUSE_SET_ATTR_ATIME)
        node->attr.st_atim = attr->st_atim;
    if (to_set & FUSE_SET_ATTR_MTIME)
        node->attr.st_mtim = attr->st_mtim;
    if (to_set & FUSE_SET_ATTR_ATIME_NOW)
        node->attr.st_atim = node->attr.st_ctim;
    if (to_set & FUSE_SET_ATTR_MTIME_NOW)
        node->attr.st_mtim = node->attr.st_ctim;
    return 0;
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
                       struct fuse_file_info *fi)
{
    struct node *node = node_of(ino);
    struct stat result;
    int error;

    (void)fi;
    change_begin();
    error = set_attr(node, attr, to_set);
    result = node->attr;
    change_end();
    if (error)
        fuse_reply_err(req, error);
    else
        fuse_reply_attr(req, &result, FOREVER_S);
}

/* --- files -------------------------------------------------------------------------------------- */

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
                      struct fuse_file_info *fi)
{
    struct fuse_entry_param param;
    int error = make(req, parent, name, mode, NULL, &param);

    if (error) {
        fuse_reply_err(req, error);
        return;
    }
    fi->keep_cache = 1;
    fuse_reply_create(req, &param, fi);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    if (fi->flags & O_TRUNC) {
        change_begin();
        node_resize(node_of(ino), 0);
        change_end();
    }
    fi->keep_cache = 1;
    fuse_reply_open(req, fi);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                    struct fuse_file_info *fi)
{
    const struct node *node = node_of(ino);
    size_t len = 0;

    (void)fi;
    pthread_rwlock_rdlock(&lock);
    if (offset < node->attr.st_size)
        len = (size_t)(node->attr.st_size - offset);
    fuse_reply_buf(req, len ? node->data + offset : NULL, len < size ? len : size);
    pthread_rwlock_unlock(&lock);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t offset,
                     struct fuse_file_info *fi)
{
    struct node *node = node_of(ino);
    size_t end;
    int error = EFBIG;

    (void)fi;
    change_begin();
    if (!__builtin_add_overflow((size_t)offset, size, &end))
        error = node_extend(node, end);
    if (!error) {
        memcpy(node->data + offset, data, size);
        touch(node);
    }
    change_end();
    if (error)
        fuse_reply_err(req, error);
    else
        fuse_reply_write(req, size);
}

static void op_done(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    (void)fi;
    fuse_reply_err(req, 0);
}

static void op_sync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
    (void)datasync;
    op_done(req, ino, fi);
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
                         struct fuse_file_info *fi)
{
    int error;

    (void)fi;
    change_begin();
    error = mode ? EOPNOTSUPP : node_extend(node_of(ino), (size_t)offset + (size_t)length);
    change_end();
    fuse_reply_err(req, error);
}

/* --- directories -------------------------------------------------------------------------------- */

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
    (void)ino;
    fi->cache_readdir = fi->keep_cache = 1;
    fuse_reply_open(req, fi);
}

/** A reply to readdir while it is filled. */
struct dir_reply {
    fuse_req_t req;
    char *data;
    size_t len, size;
    bool plus;
};

/** Whether it found room. The offset of the next entry is one more than its own. */
static bool add(struct dir_reply *reply, const char *name, struct node *node, size_t offset)
{
    char *place = reply->data + reply->len;
    size_t room = reply->size - reply->len, need;
    bool own = offset < 2; /* . and .. are not looked up */

    if (reply->plus) {
        struct fuse_entry_param param = param_of(node);

        if (own)
            param.ino = 0;
        need = fuse_add_direntry_plus(reply->req, place, room, name, &param, (off_t)offset + 1);
    } else {
        need = fuse_add_direntry(reply->req, place, room, name, &node->attr, (off_t)offset + 1);
    }
    if (need > room)
        return false;
    reply->len += need;
    if (reply->plus && !own)
        atomic_fetch_add(&node->lookups, 1);
    return true;
}

static void fill(struct dir_reply *reply, struct node *dir, size_t offset)
{
    if (offset == 0 && !add(reply, ".", dir, offset++))
        return;
    if (offset == 1 && !add(reply, "..", dir->parent, offset++))
        return;
    for (; offset - 2 < dir->nslots; offset++) {
        struct entry *entry = dir->slots[offset - 2];

        if (entry && !add(reply, entry->name, entry->node, offset))
            return;
    }
}

static void read_directory(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset, bool plus)
{
    struct dir_reply reply = {
        .req = req, .data = malloc(size ? size : 1), .size = size, .plus = plus};

    if (!reply.data) {
        fuse_reply_err(req, ENOMEM);
        return;
    }
    pthread_rwlock_rdlock(&lock);
    fill(&reply, node_of(ino), (size_t)offset);
    pthread_rwlock_unlock(&lock);
    fuse_reply_buf(req, reply.data, reply.len);
    free(reply.data);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                       struct fuse_file_info *fi)
{
    (void)fi;
    read_directory(req, ino, size, offset, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
                           struct fuse_file_info *fi)
{
    (void)fi;
    read_directory(req, ino, size, offset, true);
}

/* --- the program -------------------------------------------------------------------------------- */

static const struct fuse_lowlevel_ops ops = {
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
    .flush = op_done,
    .release = op_done,
    .fsync = op_sync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_done,
    .fsyncdir = op_sync,
    .statfs = op_statfs,
    .create = op_create,
    .fallocate = op_fallocate,
};

static void make_root(void)
{
    root.attr = (struct stat){.st_ino = FUSE_ROOT_ID,
                              .st_mode = S_IFDIR | 0755,
                              .st_nlink = 2,
                              .st_uid = getuid(),
                              .st_gid = getgid(),
                              .st_blksize = 4096};
    root.parent = &root;
    touch(&root);
}

static int serve(struct fuse_session *session, const struct fuse_cmdline_opts *options)
{
    struct fuse_loop_config *loop = fuse_loop_cfg_create();
    int failed = 1;

    if (!loop)
        return 1;
    fuse_loop_cfg_set_max_threads(loop, THREADS);
    fuse_loop_cfg_set_idle_threads(loop, THREADS / 2);
    fuse_loop_cfg_set_clone_fd(loop, 0);
    if (fuse_session_mount(session, options->mountpoint) == 0) {
        fuse_daemonize(options->foreground);
        failed = fuse_session_loop_mt(session, loop) != 0;
        fuse_session_unmount(session);
    }
    fuse_loop_cfg_destroy(loop);
    return failed;
}

int main(int argc, char **argv)
{
    struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
    struct fuse_cmdline_opts options = {0};
    struct fuse_session *session = NULL;
    int failed = 1;

    if (fuse_parse_cmdline(&args, &options) != 0 || !options.mountpoint) {
        fprintf(stderr, "usage: nullfs [-f] [-o OPTION,...] DIR\n");
        goto out;
    }
    make_root();
    if (fuse_opt_add_arg(&args, "-odefault_permissions,fsname=null,subtype=nullfs") == 0)
        session = fuse_session_new(&args, &ops, sizeof ops, NULL);
    if (session && fuse_set_signal_handlers(session) == 0) {
        failed = serve(session, &options);
        fuse_remove_signal_handlers(session);
    }
    if (session)
        fuse_session_destroy(session);
out:
    free(options.mountpoint);
    fuse_opt_free_args(&args);
    return failed;
}
