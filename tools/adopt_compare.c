/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "adopt.h"
#include "linkmap.h"

#define PIECE ((size_t)256 << 10)
#define NS_PER_SECOND 1000000000LL

struct compare {
    struct view *view;
    struct buf path; /* in the view */
    enum adopt_strictness strictness;
    struct progress *progress;
    struct linkmap there; /* original -> inode number in the view, of files with several names */
    struct linkmap back;  /* and the way back */
    uint8_t *ours, *theirs;
    char *difference;
    size_t size;
    struct hf_error *err;
};

/* Notes where the two differ. Returns 1. */
__attribute__((format(printf, 2, 3))) static int differ(const struct compare *compare,
                                                        const char *format, ...)
{
    int n = snprintf(compare->difference, compare->size, "%s: ", path_text(&compare->path));
    va_list args;

    va_start(args, format);
    if (n > 0 && (size_t)n < compare->size)
        vsnprintf(compare->difference + n, compare->size - (size_t)n, format, args);
    va_end(args);
    return 1;
}

static int fail_errno(const struct compare *compare, const char *what)
{
    return hf_fail(compare->err, hf_status_from_errno(errno), "%s: cannot %s: %s",
                   path_text(&compare->path), what, strerror(errno));
}

static int64_t time_ns(const struct timespec *time)
{
    return (int64_t)time->tv_sec * NS_PER_SECOND + time->tv_nsec;
}

/* --- attributes ------------------------------------------------------------------------------- */

static int compare_attributes(const struct compare *compare, const struct stat *st,
                              const struct inode_record *record)
{
    if ((st->st_mode & S_IFMT) != (record->mode & S_IFMT))
        return differ(compare, "it is of another type in the store");
    if (compare->strictness != ADOPT_SAME)
        return 0;
    if (!S_ISLNK(st->st_mode) && (st->st_mode & 07777) != (record->mode & 07777))
        return differ(compare, "mode %04o here, %04o in the store", (unsigned)st->st_mode & 07777,
                      (unsigned)record->mode & 07777);
    if (st->st_uid != record->uid || st->st_gid != record->gid)
        return differ(compare, "owner %u:%u here, %u:%u in the store", (unsigned)st->st_uid,
                      (unsigned)st->st_gid, (unsigned)record->uid, (unsigned)record->gid);
    if (time_ns(&st->st_mtim) != record->mtime)
        return differ(compare, "it has another time of change in the store");
    if ((S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) &&
        (major(st->st_rdev) != record->rdev_major || minor(st->st_rdev) != record->rdev_minor))
        return differ(compare, "it is another device in the store");
    return 0;
}

struct xattr_walk {
    const struct compare *compare;
    struct slice block, last;
};

static int compare_xattr(const char *name, const void *value, size_t size, void *arg)
{
    struct xattr_walk *walk = arg;
    struct slice their_name, their_value;
    int got = xattr_block_next(&walk->block, &walk->last, &their_name, &their_value);

    if (got < 0)
        return hf_fail(walk->compare->err, got, "%s: the extended attributes are damaged",
                       path_text(&walk->compare->path));
    if (got == 0 || slice_compare(their_name, slice_of(name, strlen(name))) != 0 ||
        slice_compare(their_value, slice_of(value, size)) != 0)
        return differ(walk->compare, "the extended attribute %s differs", name);
    return 0;
}

static int compare_xattrs(const struct compare *compare, int dirfd, const char *name,
                          const struct view_node *node)
{
    struct xattr_walk walk = {.compare = compare};
    struct slice their_name, their_value;
    BUF_AUTO block = {0};
    int status = view_xattrs(compare->view, node, &block, compare->err);

    if (status)
        return status;
    walk.block = buf_slice(&block);
    status = adopt_xattrs(dirfd, name, compare_xattr, &walk, compare->err);
    if (status)
        return status;
    if (xattr_block_next(&walk.block, &walk.last, &their_name, &their_value) != 0)
        return differ(compare, "the store has an extended attribute that is not here: %.*s",
                      (int)their_name.len, (const char *)their_name.data);
    return 0;
}

/* Names of one file here must be names of one file there, and the other way round. */
static int compare_links(struct compare *compare, const struct stat *st,
                         const struct inode_record *record)
{
    uint64_t dev = (uint64_t)st->st_dev, ino = (uint64_t)st->st_ino, other;

    if (S_ISDIR(st->st_mode) || (st->st_nlink < 2 && record->nlink < 2))
        return 0;
    if (linkmap_find(&compare->there, dev, ino, &other))
        return other == record->ino ? 0
                                    : differ(compare, "a hard link here is not one in the store");
    if (linkmap_find(&compare->back, 0, record->ino, &other))
        return differ(compare, "a hard link in the store is not one here");
    if (linkmap_add(&compare->there, dev, ino, record->ino) != 0 ||
        linkmap_add(&compare->back, 0, record->ino, ino) != 0)
        return hf_fail(compare->err, HF_NOMEM, "out of memory");
    return 0;
}

/* --- contents --------------------------------------------------------------------------------- */

/* Reads until `len` bytes are there or the file ends. */
static ssize_t read_fully(int fd, uint8_t *data, size_t len, off_t offset)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, data + done, len - done, offset + (off_t)done);
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

static int compare_bytes(const struct compare *compare, int fd, uint64_t size,
                         const struct view_node *node)
{
    for (uint64_t offset = 0; offset < size;) {
        size_t want = size - offset < PIECE ? (size_t)(size - offset) : PIECE;
        ssize_t ours = read_fully(fd, compare->ours, want, (off_t)offset);
        size_t theirs = 0;
        int status;
        if (ours < 0)
            return fail_errno(compare, "read");
        status =
            view_read(compare->view, node, offset, want, compare->theirs, &theirs, compare->err);
        if (status)
            return status;
        if (theirs == 0 || theirs > (size_t)ours ||
            memcmp(compare->ours, compare->theirs, theirs) != 0)
            return differ(compare, "the content differs after byte %" PRIu64, offset);
        offset += theirs;
        progress_add(compare->progress, 0, theirs);
    }
    return 0;
}

static int compare_file(const struct compare *compare, int dirfd, const char *name,
                        const struct stat *st, const struct view_node *node)
{
    int fd, status;

    if ((uint64_t)st->st_size != node->record.size)
        return differ(compare, "%jd bytes here, %" PRIu64 " in the store", (intmax_t)st->st_size,
                      node->record.size);
    fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NOATIME);
    if (fd < 0 && errno == EPERM)
        fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fail_errno(compare, "open");
    status = compare_bytes(compare, fd, node->record.size, node);
    close(fd);
    return status;
}

static int compare_symlink(const struct compare *compare, int dirfd, const char *name,
                           const struct view_node *node)
{
    char target[PATH_MAX];
    ssize_t len = readlinkat(dirfd, name, target, sizeof target);
    size_t theirs = 0;
    int status;

    if (len < 0)
        return fail_errno(compare, "read the link");
    status = view_read(compare->view, node, 0, PIECE, compare->theirs, &theirs, compare->err);
    if (status)
        return status;
    if (theirs != (size_t)len || memcmp(target, compare->theirs, theirs) != 0)
        return differ(compare, "the link points elsewhere in the store");
    return 0;
}

/* --- directories ------------------------------------------------------------------------------- */

static int compare_node(struct compare *compare, int dirfd, const char *name);

struct listing {
    const struct names *names;
    size_t next;
    char extra[NODE_NAME_MAX + 1];
};

/* Both lists are in byte order: what is not the next of ours is theirs alone. */
static int find_extra(struct slice name, const struct inode_record *record, void *arg)
{
    struct listing *listing = arg;

    (void)record;
    if (listing->next < listing->names->count &&
        strlen(listing->names->names[listing->next]) == name.len &&
        memcmp(listing->names->names[listing->next], name.data, name.len) == 0) {
        listing->next++;
        return 0;
    }
    memcpy(listing->extra, name.data, name.len);
    listing->extra[name.len] = '\0';
    return 1;
}

static int compare_directory(struct compare *compare, int dirfd, const char *name,
                             const struct view_node *node)
{
    struct names names = {0};
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int status;

    if (fd < 0)
        return fail_errno(compare, "open");
    status = names_read(fd, &names, compare->err);
    for (size_t i = 0; i < names.count && status == 0; i++) {
        size_t mark;
        if (path_push(&compare->path, names.names[i], &mark) != 0) {
            status = hf_fail(compare->err, HF_NOMEM, "out of memory");
            break;
        }
        status = compare_node(compare, fd, names.names[i]);
        path_pop(&compare->path, mark);
    }
    if (status == 0 && compare->strictness == ADOPT_SAME) {
        struct listing listing = {.names = &names};
        status = view_list(compare->view, node, find_extra, &listing, compare->err);
        if (status == 1)
            differ(compare, "the store has %s here, too", listing.extra);
    }
    names_clear(&names);
    close(fd);
    return status;
}

static int compare_found(struct compare *compare, int dirfd, const char *name,
                         const struct stat *st, const struct view_node *node)
{
    int status = compare_attributes(compare, st, &node->record);

    if (status == 0 && compare->strictness == ADOPT_SAME)
        status = compare_xattrs(compare, dirfd, name, node);
    if (status == 0 && compare->strictness == ADOPT_SAME)
        status = compare_links(compare, st, &node->record);
    if (status)
        return status;
    if (S_ISREG(st->st_mode))
        return compare_file(compare, dirfd, name, st, node);
    if (S_ISLNK(st->st_mode))
        return compare_symlink(compare, dirfd, name, node);
    return S_ISDIR(st->st_mode) ? compare_directory(compare, dirfd, name, node) : 0;
}

static int compare_node(struct compare *compare, int dirfd, const char *name)
{
    const char *path = compare->path.len ? (const char *)compare->path.data : "";
    struct view_node node = {0};
    struct stat st;
    int status;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return fail_errno(compare, "look at it");
    status = view_lookup(compare->view, path, &node, compare->err);
    if (status == HF_NOENT || status == HF_NOTDIR)
        return compare->strictness == ADOPT_CONTENT ? 0 : differ(compare, "it is not in the store");
    if (status == 0)
        status = compare_found(compare, dirfd, name, &st, &node);
    view_node_clear(&node);
    return status;
}

int adopt_compare(struct view *view, const char *path, int dirfd, const char *name,
                  enum adopt_strictness strictness, struct progress *progress, char *ret_difference,
                  size_t size, struct hf_error *err)
{
    struct compare compare = {.view = view,
                              .strictness = strictness,
                              .progress = progress,
                              .ours = malloc(PIECE),
                              .theirs = malloc(PIECE),
                              .difference = ret_difference,
                              .size = size,
                              .err = err};
    size_t mark;
    int status = 0;

    if (!compare.ours || !compare.theirs || (*path && path_push(&compare.path, path, &mark) != 0))
        status = hf_fail(err, HF_NOMEM, "out of memory");
    if (status == 0)
        status = compare_node(&compare, dirfd, name);
    linkmap_clear(&compare.there, NULL, NULL);
    linkmap_clear(&compare.back, NULL, NULL);
    buf_free(&compare.path);
    free(compare.ours);
    free(compare.theirs);
    return status;
}
