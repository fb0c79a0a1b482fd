/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "adopt.h"
#include "linkmap.h"

#define PIECE ((size_t)256 << 10)

struct adopt_copy {
    struct tree *tree;
    struct tree_caller caller;
    struct progress *progress;
    struct linkmap links; /* file with several names -> its inode in the tree, which is looked up */
    struct buf path;      /* of what is copied, for messages */
    uint8_t *piece;
    bool merging; /* into the shared tree, where things may be there already */
};

struct adopt_copy *adopt_copy_new(struct tree *tree, struct progress *progress)
{
    struct adopt_copy *copy = calloc(1, sizeof *copy);

    if (!copy)
        return NULL;
    copy->tree = tree;
    copy->progress = progress;
    copy->caller = (struct tree_caller){.uid = geteuid(), .gid = getegid(), .pid = getpid()};
    copy->piece = malloc(PIECE);
    if (!copy->piece) {
        free(copy);
        return NULL;
    }
    return copy;
}

static void forget_link(uint64_t inode, void *arg)
{
    const struct adopt_copy *copy = arg;

    tree_forget(copy->tree, inode, 1);
}

void adopt_copy_free(struct adopt_copy *copy)
{
    if (!copy)
        return;
    linkmap_clear(&copy->links, forget_link, copy);
    buf_free(&copy->path);
    free(copy->piece);
    free(copy);
}

/* Tells where a call failed that gave no sentence. */
static int fail_at(const struct adopt_copy *copy, int status, const char *what,
                   struct hf_error *err)
{
    return hf_fail(err, status, "%s: cannot %s: %s", path_text(&copy->path), what,
                   hf_status_text(status));
}

static int fail_errno(const struct adopt_copy *copy, const char *what, struct hf_error *err)
{
    return hf_fail(err, hf_status_from_errno(errno), "%s: cannot %s: %s", path_text(&copy->path),
                   what, strerror(errno));
}

/* --- attributes ------------------------------------------------------------------------------- */

struct xattr_target {
    struct adopt_copy *copy;
    uint64_t inode;
    struct hf_error *err;
};

static int set_xattr(const char *name, const void *value, size_t size, void *arg)
{
    const struct xattr_target *target = arg;
    int status = tree_setxattr(target->copy->tree, &target->copy->caller, target->inode, name,
                               value, size, 0);

    return status ? fail_at(target->copy, status, "store an extended attribute", target->err) : 0;
}

/* Owner first, since a change of owner takes the set-user-id bit away; times last. */
static int set_attributes(struct adopt_copy *copy, int dirfd, const char *name,
                          const struct tree_entry *made, const struct stat *st,
                          struct hf_error *err)
{
    struct xattr_target target = {copy, made->inode, err};
    unsigned rest = TREE_SET_ATIME | TREE_SET_MTIME;
    struct tree_entry entry = {0};
    int status = adopt_xattrs(dirfd, name, set_xattr, &target, err);

    if (status)
        return status;
    if (!S_ISLNK(st->st_mode))
        rest |= TREE_SET_MODE;
    if (made->attr.st_uid != st->st_uid || made->attr.st_gid != st->st_gid)
        status = tree_setattr(copy->tree, &copy->caller, made->inode, NULL, st,
                              TREE_SET_UID | TREE_SET_GID, &entry);
    if (status == 0)
        status = tree_setattr(copy->tree, &copy->caller, made->inode, NULL, st, rest, &entry);
    return status ? fail_at(copy, status, "store the attributes", err) : 0;
}

/* --- contents --------------------------------------------------------------------------------- */

static int open_quietly(int dirfd, const char *name)
{
    int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(dirfd, name, flags | O_NOATIME);

    return fd < 0 && errno == EPERM ? openat(dirfd, name, flags) : fd;
}

/* Copies the bytes from `start` to `end`, which are no hole. */
static int copy_run(struct adopt_copy *copy, int fd, struct tree_handle *handle, off_t start,
                    off_t end, struct hf_error *err)
{
    while (start < end) {
        size_t want = (size_t)(end - start) < PIECE ? (size_t)(end - start) : PIECE;
        ssize_t n = pread(fd, copy->piece, want, start);
        int status;
        if (n < 0)
            return fail_errno(copy, "read", err);
        if (n == 0)
            return hf_fail(err, HF_BUSY, "%s: became shorter while it was read",
                           path_text(&copy->path));
        status = tree_write(handle, &copy->caller, (uint64_t)start, copy->piece, (size_t)n);
        if (status)
            return fail_at(copy, status, "store", err);
        start += n;
        progress_add(copy->progress, 0, (uint64_t)n);
    }
    return 0;
}

/* Copies everything but holes. `ret_end` is where the last data ended. */
static int copy_data(struct adopt_copy *copy, int fd, struct tree_handle *handle, off_t size,
                     off_t *ret_end, struct hf_error *err)
{
    off_t start = 0;
    int status = 0;

    *ret_end = 0;
    while (status == 0 && *ret_end < size) {
        start = lseek(fd, *ret_end, SEEK_DATA);
        if (start < 0)
            return errno == ENXIO ? 0 : fail_errno(copy, "read", err);
        *ret_end = lseek(fd, start, SEEK_HOLE);
        if (*ret_end < 0)
            return fail_errno(copy, "read", err);
        if (*ret_end > size)
            *ret_end = size;
        status = copy_run(copy, fd, handle, start, *ret_end, err);
    }
    return status;
}

static int copy_file(struct adopt_copy *copy, int dirfd, const char *name, const struct stat *st,
                     uint64_t parent, const char *new_name, struct tree_entry *ret_entry,
                     struct hf_error *err)
{
    struct tree_handle *handle;
    struct tree_entry entry = {0};
    int fd = open_quietly(dirfd, name);
    off_t end = 0;
    int status;

    if (fd < 0)
        return fail_errno(copy, "open", err);
    status = tree_create(copy->tree, &copy->caller, parent, new_name, S_IFREG | 0600,
                         O_RDWR | O_CREAT | O_EXCL, ret_entry, &handle);
    if (status) {
        close(fd);
        return fail_at(copy, status, "store", err);
    }
    status = copy_data(copy, fd, handle, st->st_size, &end, err);
    if (status == 0 && end < st->st_size) { /* a hole at the end */
        status = tree_setattr(copy->tree, &copy->caller, ret_entry->inode, handle, st,
                              TREE_SET_SIZE, &entry);
        if (status)
            fail_at(copy, status, "store the size", err);
    }
    /* Without a flush: a copy that nobody sees yet needs no commit for each file. */
    tree_release(handle);
    close(fd);
    if (status)
        tree_forget(copy->tree, ret_entry->inode, 1);
    return status;
}

static int copy_symlink(struct adopt_copy *copy, int dirfd, const char *name, uint64_t parent,
                        const char *new_name, struct tree_entry *ret_entry, struct hf_error *err)
{
    char target[PATH_MAX];
    ssize_t len = readlinkat(dirfd, name, target, sizeof target - 1);
    int status;

    if (len < 0)
        return fail_errno(copy, "read the link", err);
    target[len] = '\0';
    status = tree_symlink(copy->tree, &copy->caller, target, parent, new_name, ret_entry);
    return status ? fail_at(copy, status, "store", err) : 0;
}

/* --- entries ---------------------------------------------------------------------------------- */

static int copy_below(struct adopt_copy *copy, int dirfd, const char *name, uint64_t inode,
                      struct hf_error *err);

/* Makes the inode, with its content and attributes, and looks it up. */
static int copy_inode(struct adopt_copy *copy, int dirfd, const char *name, const struct stat *st,
                      uint64_t parent, const char *new_name, struct tree_entry *ret_entry,
                      struct hf_error *err)
{
    int status;

    switch (st->st_mode & S_IFMT) {
    case S_IFREG:
        status = copy_file(copy, dirfd, name, st, parent, new_name, ret_entry, err);
        break;
    case S_IFLNK:
        status = copy_symlink(copy, dirfd, name, parent, new_name, ret_entry, err);
        break;
    case S_IFDIR:
        status = tree_mkdir(copy->tree, &copy->caller, parent, new_name, 0700, ret_entry);
        if (status)
            return fail_at(copy, status, "store", err);
        status = copy_below(copy, dirfd, name, ret_entry->inode, err);
        if (status)
            tree_forget(copy->tree, ret_entry->inode, 1);
        break;
    default:
        status = tree_mknod(copy->tree, &copy->caller, parent, new_name, st->st_mode, st->st_rdev,
                            ret_entry);
        if (status)
            fail_at(copy, status, "store", err);
    }
    if (status)
        return status;
    status = set_attributes(copy, dirfd, name, ret_entry, st, err);
    if (status)
        tree_forget(copy->tree, ret_entry->inode, 1);
    return status;
}

/* Whether the shared tree has the entry; then a directory is gone into, and anything else is left. */
static int merge(struct adopt_copy *copy, int dirfd, const char *name, const struct stat *st,
                 uint64_t parent, bool *ret_done, struct hf_error *err)
{
    struct tree_entry entry = {0};
    int status = tree_lookup(copy->tree, parent, name, &entry);

    *ret_done = false;
    if (status == HF_NOENT || (status == 0 && entry.inode == 0))
        return 0;
    if (status)
        return fail_at(copy, status, "look it up in the store", err);
    *ret_done = true;
    if (S_ISDIR(st->st_mode) && S_ISDIR(entry.attr.st_mode))
        status = copy_below(copy, dirfd, name, entry.inode, err);
    if (status == 0 && st->st_nlink > 1 && S_ISREG(st->st_mode) &&
        linkmap_add(&copy->links, (uint64_t)st->st_dev, (uint64_t)st->st_ino, entry.inode) == 0)
        return 0; /* looked up until the end */
    tree_forget(copy->tree, entry.inode, 1);
    return status;
}

static int copy_link(struct adopt_copy *copy, uint64_t inode, uint64_t parent, const char *new_name,
                     struct hf_error *err)
{
    struct tree_entry entry = {0};
    int status = tree_link(copy->tree, &copy->caller, inode, parent, new_name, &entry);

    if (status)
        return fail_at(copy, status, "store the link", err);
    tree_forget(copy->tree, entry.inode, 1);
    return 0;
}

static int copy_entry(struct adopt_copy *copy, int dirfd, const char *name, uint64_t parent,
                      const char *new_name, struct hf_error *err)
{
    struct tree_entry entry = {0};
    uint64_t known;
    struct stat st;
    bool done = false;
    int status = 0;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_errno(copy, "look at it", err);
    if (copy->merging)
        status = merge(copy, dirfd, name, &st, parent, &done, err);
    if (status || done)
        return status;
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1 &&
        linkmap_find(&copy->links, (uint64_t)st.st_dev, (uint64_t)st.st_ino, &known))
        return copy_link(copy, known, parent, new_name, err);
    status = copy_inode(copy, dirfd, name, &st, parent, new_name, &entry, err);
    if (status)
        return status;
    if (!S_ISDIR(st.st_mode) && st.st_nlink > 1) {
        status = linkmap_add(&copy->links, (uint64_t)st.st_dev, (uint64_t)st.st_ino, entry.inode);
        if (status == 0)
            return 0;
        hf_fail(err, status, "out of memory");
    }
    tree_forget(copy->tree, entry.inode, 1);
    return status;
}

static int copy_below(struct adopt_copy *copy, int dirfd, const char *name, uint64_t inode,
                      struct hf_error *err)
{
    struct names names = {0};
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int status;

    if (fd < 0)
        return fail_errno(copy, "open", err);
    status = names_read(fd, &names, err);
    for (size_t i = 0; i < names.count && status == 0; i++) {
        size_t mark;
        if (path_push(&copy->path, names.names[i], &mark) != 0) {
            status = hf_fail(err, HF_NOMEM, "out of memory");
            break;
        }
        status = copy_entry(copy, fd, names.names[i], inode, names.names[i], err);
        path_pop(&copy->path, mark);
    }
    names_clear(&names);
    close(fd);
    return status;
}

static int copy_top(struct adopt_copy *copy, int dirfd, const char *name, const char *new_name,
                    struct hf_error *err)
{
    size_t mark;
    int status;

    if (path_push(&copy->path, name, &mark) != 0)
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = copy_entry(copy, dirfd, name, TREE_ROOT, new_name, err);
    path_pop(&copy->path, mark);
    return status;
}

int adopt_copy_session(struct adopt_copy *copy, int dirfd, const char *name, const char *new_name,
                       struct hf_error *err)
{
    int status;

    copy->merging = false;
    status = copy_top(copy, dirfd, name, new_name, err);
    /* A file with names in two sessions becomes two files: there are no links between sessions. */
    linkmap_clear(&copy->links, forget_link, copy);
    return status;
}

int adopt_copy_shared(struct adopt_copy *copy, int dirfd, const char *name, struct hf_error *err)
{
    copy->merging = true;
    return copy_top(copy, dirfd, name, name, err);
}
