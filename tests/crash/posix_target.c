/* SPDX-License-Identifier: Apache-2.0 */
#include "posix_target.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATH_SIZE 512

void posix_target_init(struct posix_target *target, const char *base)
{
    snprintf(target->base, sizeof target->base, "%s", base);
    for (unsigned i = 0; i < STEP_SLOTS; i++)
        target->fds[i] = -1;
}

void posix_target_close(struct posix_target *target)
{
    for (unsigned i = 0; i < STEP_SLOTS; i++)
        if (target->fds[i] >= 0)
            close(target->fds[i]);
}

static int write_step(int fd, const struct step *step)
{
    uint8_t *data = malloc(step->len);
    ssize_t n;

    if (!data)
        return ENOMEM;
    step_data(step, data);
    n = pwrite(fd, data, step->len, (off_t)step->offset);
    free(data);
    if (n < 0)
        return errno;
    return n == (ssize_t)step->len ? 0 : EIO;
}

static int open_step(struct posix_target *target, const struct step *step, const char *path)
{
    int flags = O_RDWR | O_CREAT | O_CLOEXEC | (step->truncate ? O_TRUNC : 0);

    target->fds[step->slot] = open(path, flags, step->mode);
    return target->fds[step->slot] >= 0 ? 0 : errno;
}

static int close_step(struct posix_target *target, unsigned slot)
{
    int fd = target->fds[slot];

    target->fds[slot] = -1;
    return close(fd) == 0 ? 0 : errno;
}

int posix_target_step(struct posix_target *target, const struct step *step)
{
    char path[PATH_SIZE], other[PATH_SIZE];
    int fd = target->fds[step->slot], rc = 0;

    snprintf(path, sizeof path, "%s/%s", target->base, step->path);
    snprintf(other, sizeof other, "%s/%s", target->base, step->other);
    switch (step->kind) {
    case STEP_MKDIR:
        rc = mkdir(path, step->mode);
        break;
    case STEP_OPEN:
        return open_step(target, step, path);
    case STEP_WRITE:
        return write_step(fd, step);
    case STEP_TRUNCATE:
        rc = ftruncate(fd, (off_t)step->offset);
        break;
    case STEP_FSYNC:
        rc = fsync(fd);
        break;
    case STEP_CLOSE:
        return close_step(target, step->slot);
    case STEP_RENAME:
        rc = rename(path, other);
        break;
    case STEP_UNLINK:
        rc = unlink(path);
        break;
    case STEP_LINK:
        rc = link(path, other);
        break;
    case STEP_SYMLINK:
        rc = symlink(step->other, path);
        break;
    case STEP_CHMOD:
        rc = chmod(path, step->mode);
        break;
    }
    return rc == 0 ? 0 : errno;
}

/* --- listing ------------------------------------------------------------------------------------ */

static int read_file(const char *path, struct buf *content)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC), rc = 0;
    char block[16384];
    ssize_t n;

    if (fd < 0)
        return errno;
    while ((n = read(fd, block, sizeof block)) > 0)
        if (buf_append(content, block, (size_t)n) != 0)
            rc = ENOMEM;
    if (n < 0)
        rc = errno;
    close(fd);
    return rc;
}

static int list_leaf(const char *full, const char *path, const struct stat *st, struct buf *listing)
{
    BUF_AUTO content = {0};
    char target[PATH_SIZE];
    ssize_t n;
    int rc = 0;

    if (S_ISLNK(st->st_mode)) {
        n = readlink(full, target, sizeof target);
        if (n < 0)
            return errno;
        picture_add(listing, path, 'l', st->st_mode & 07777, (unsigned)st->st_nlink,
                    slice_of(target, (size_t)n));
        return 0;
    }
    rc = read_file(full, &content);
    if (rc == 0 && content.len != (size_t)st->st_size) {
        printf("%s: read %zu bytes of %lld\n", full, content.len, (long long)st->st_size);
        return EIO;
    }
    if (rc == 0)
        picture_add(listing, path, 'f', st->st_mode & 07777, (unsigned)st->st_nlink,
                    buf_slice(&content));
    return rc;
}

static int list_dir(const char *base, const char *path, struct buf *listing)
{
    char full[PATH_SIZE], sub[PATH_SIZE];
    struct dirent *entry;
    struct stat st;
    DIR *dir;
    int rc = 0;

    snprintf(full, sizeof full, "%s/%s", base, path);
    if (lstat(full, &st) != 0)
        return errno;
    if (!S_ISDIR(st.st_mode))
        return list_leaf(full, path, &st, listing);
    picture_add(listing, path, 'd', st.st_mode & 07777, 0, (struct slice){0});
    dir = opendir(full);
    if (!dir)
        return errno;
    while (rc == 0 && (errno = 0, entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(sub, sizeof sub, "%s%s%s", path, *path ? "/" : "", entry->d_name);
        rc = list_dir(base, sub, listing);
    }
    if (rc == 0)
        rc = errno;
    closedir(dir);
    return rc;
}

int posix_target_list(const char *base, struct buf *ret_listing)
{
    struct stat st;
    int rc;

    ret_listing->len = 0;
    if (lstat(base, &st) != 0)
        return errno == ENOENT ? 0 : errno;
    rc = list_dir(base, "", ret_listing);
    if (rc == 0)
        picture_sort(ret_listing);
    return rc;
}
