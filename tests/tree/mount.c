/* SPDX-License-Identifier: Apache-2.0 */
#include "mount.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "engine/open.h"

void mount_open_with(struct mount *mount, const char *url, const struct tree_options *options)
{
    struct hf_error err = {0};
    int rc;

    *mount = (struct mount){.caller = {.uid = 1000, .gid = 1000, .pid = 0}};
    rc = store_open(url, STORE_CREATE, NULL, &clock_system, &mount->store, &err);
    if (rc == HF_OK)
        rc = tree_open(mount->store, options, &mount->tree, &err);
    if (rc != HF_OK) {
        fprintf(stderr, "cannot open %s: %s\n", url, err.message);
        abort();
    }
}

void mount_open(struct mount *mount, const char *url)
{
    static uint8_t next;
    struct tree_options options = {.root_uid = 1000, .root_gid = 1000};

    options.identity.host_name = "host";
    options.identity.mount_id[0] = ++next;
    mount_open_with(mount, url, &options);
}

int mount_close(struct mount *mount)
{
    int rc = tree_close(mount->tree, NULL);

    store_close(mount->store);
    *mount = (struct mount){0};
    return rc;
}

/** Walks `len` bytes of path; the look-ups on the way are given back but for the last one. */
static int walk(struct mount *mount, const char *path, size_t len, struct tree_entry *ret_entry)
{
    struct tree_entry entry = {.inode = TREE_ROOT};
    const char *end = path + len;
    uint64_t last = 0;
    char name[512];
    int rc = tree_getattr(mount->tree, TREE_ROOT, &entry);

    while (rc == HF_OK && path < end) {
        const char *slash = memchr(path, '/', (size_t)(end - path));
        size_t n = (size_t)((slash ? slash : end) - path);

        if (n >= sizeof name)
            n = sizeof name - 1;
        memcpy(name, path, n);
        name[n] = '\0';
        path = slash ? slash + 1 : end;
        if (n == 0)
            continue;
        rc = tree_lookup(mount->tree, entry.inode, name, &entry);
        if (last)
            tree_forget(mount->tree, last, 1);
        last = 0;
        if (rc == HF_OK && entry.inode == 0)
            rc = HF_NOENT;
        if (rc == HF_OK)
            last = entry.inode;
    }
    if (rc == HF_OK)
        *ret_entry = entry;
    return rc;
}

/** As walk(), and keeps the last look-up. */
static int enter(struct mount *mount, const char *path, struct tree_entry *ret_entry)
{
    return walk(mount, path, strlen(path), ret_entry);
}

static void leave(struct mount *mount, uint64_t inode)
{
    if (inode != TREE_ROOT)
        tree_forget(mount->tree, inode, 1);
}

int mount_lookup(struct mount *mount, const char *path, struct tree_entry *ret_entry)
{
    int rc = enter(mount, path, ret_entry);

    if (rc == HF_OK)
        leave(mount, ret_entry->inode);
    return rc;
}

int mount_parent(struct mount *mount, const char *path, uint64_t *ret_parent, const char **ret_name)
{
    const char *slash = strrchr(path, '/');
    struct tree_entry entry;
    int rc = walk(mount, path, slash ? (size_t)(slash - path) : 0, &entry);

    if (rc != HF_OK)
        return rc;
    *ret_parent = entry.inode;
    *ret_name = slash ? slash + 1 : path;
    return HF_OK;
}

int mount_mkdir(struct mount *mount, const char *path, mode_t mode)
{
    struct tree_entry entry;
    const char *name;
    uint64_t parent;
    int rc = mount_parent(mount, path, &parent, &name);

    if (rc != HF_OK)
        return rc;
    rc = tree_mkdir(mount->tree, &mount->caller, parent, name, mode, &entry);
    if (rc == HF_OK)
        leave(mount, entry.inode);
    leave(mount, parent);
    return rc;
}

int mount_rmdir(struct mount *mount, const char *path)
{
    const char *name;
    uint64_t parent;
    int rc = mount_parent(mount, path, &parent, &name);

    if (rc != HF_OK)
        return rc;
    rc = tree_rmdir(mount->tree, &mount->caller, parent, name);
    leave(mount, parent);
    return rc;
}

int mount_unlink(struct mount *mount, const char *path)
{
    const char *name;
    uint64_t parent;
    int rc = mount_parent(mount, path, &parent, &name);

    if (rc != HF_OK)
        return rc;
    rc = tree_unlink(mount->tree, &mount->caller, parent, name);
    leave(mount, parent);
    return rc;
}

int mount_rename(struct mount *mount, const char *from, const char *to, unsigned flags)
{
    const char *name, *new_name;
    uint64_t parent, new_parent;
    int rc = mount_parent(mount, from, &parent, &name);

    if (rc != HF_OK)
        return rc;
    rc = mount_parent(mount, to, &new_parent, &new_name);
    if (rc == HF_OK) {
        rc = tree_rename(mount->tree, &mount->caller, parent, name, new_parent, new_name, flags);
        leave(mount, new_parent);
    }
    leave(mount, parent);
    return rc;
}

int mount_link(struct mount *mount, const char *from, const char *to)
{
    struct tree_entry source, entry;
    const char *name;
    uint64_t parent;
    int rc = enter(mount, from, &source);

    if (rc != HF_OK)
        return rc;
    rc = mount_parent(mount, to, &parent, &name);
    if (rc == HF_OK) {
        rc = tree_link(mount->tree, &mount->caller, source.inode, parent, name, &entry);
        if (rc == HF_OK)
            leave(mount, entry.inode);
        leave(mount, parent);
    }
    leave(mount, source.inode);
    return rc;
}

int mount_symlink(struct mount *mount, const char *target, const char *path)
{
    struct tree_entry entry;
    const char *name;
    uint64_t parent;
    int rc = mount_parent(mount, path, &parent, &name);

    if (rc != HF_OK)
        return rc;
    rc = tree_symlink(mount->tree, &mount->caller, target, parent, name, &entry);
    if (rc == HF_OK)
        leave(mount, entry.inode);
    leave(mount, parent);
    return rc;
}

static int create(struct mount *mount, const char *path, int flags, mode_t mode,
                  struct tree_handle **ret_handle)
{
    struct tree_entry entry;
    const char *name;
    uint64_t parent;
    int rc = mount_parent(mount, path, &parent, &name);

    if (rc != HF_OK)
        return rc;
    rc = tree_create(mount->tree, &mount->caller, parent, name, mode, flags, &entry, ret_handle);
    if (rc == HF_OK)
        leave(mount, entry.inode);
    leave(mount, parent);
    return rc;
}

int mount_openfile(struct mount *mount, const char *path, int flags, mode_t mode,
                   struct tree_handle **ret_handle)
{
    struct tree_entry entry;
    bool keep;
    int rc = enter(mount, path, &entry);

    if (rc == HF_NOENT && flags & O_CREAT)
        return create(mount, path, flags & ~(O_CREAT | O_EXCL | O_TRUNC), mode, ret_handle);
    if (rc != HF_OK)
        return rc;
    if (flags & O_CREAT && flags & O_EXCL)
        rc = HF_EXIST;
    else
        rc = tree_open_file(mount->tree, &mount->caller, entry.inode, flags & ~(O_CREAT | O_EXCL),
                            ret_handle, &keep);
    leave(mount, entry.inode);
    return rc;
}

int mount_closefile(struct tree_handle *handle)
{
    int rc = tree_flush(handle, 0);

    tree_release(handle);
    return rc;
}

int mount_write(struct mount *mount, const char *path, uint64_t offset, const void *data,
                size_t len)
{
    struct tree_handle *handle;
    int closed, rc = mount_openfile(mount, path, O_CREAT | O_WRONLY, 0644, &handle);

    if (rc != HF_OK)
        return rc;
    rc = tree_write(handle, &mount->caller, offset, data, len);
    closed = mount_closefile(handle);
    return rc == HF_OK ? closed : rc;
}

int mount_write_text(struct mount *mount, const char *path, const char *text)
{
    struct tree_handle *handle;
    int closed, rc = mount_openfile(mount, path, O_CREAT | O_WRONLY | O_TRUNC, 0644, &handle);

    if (rc != HF_OK)
        return rc;
    rc = tree_write(handle, &mount->caller, 0, text, strlen(text));
    closed = mount_closefile(handle);
    return rc == HF_OK ? closed : rc;
}

int mount_read_text(struct mount *mount, const char *path, char *ret_text, size_t size)
{
    struct tree_handle *handle;
    size_t len = 0;
    int rc = mount_openfile(mount, path, O_RDONLY, 0, &handle);

    if (rc != HF_OK)
        return rc;
    rc = tree_read(handle, 0, size - 1, (uint8_t *)ret_text, &len);
    if (rc == HF_OK)
        ret_text[len] = '\0';
    tree_flush(handle, 0);
    tree_release(handle);
    return rc;
}

static int setattr(struct mount *mount, const char *path, const struct stat *attr, unsigned set)
{
    struct tree_entry entry, after;
    int rc = enter(mount, path, &entry);

    if (rc != HF_OK)
        return rc;
    rc = tree_setattr(mount->tree, &mount->caller, entry.inode, NULL, attr, set, &after);
    leave(mount, entry.inode);
    return rc;
}

int mount_truncate(struct mount *mount, const char *path, uint64_t size)
{
    struct stat attr = {.st_size = (off_t)size};

    return setattr(mount, path, &attr, TREE_SET_SIZE);
}

int mount_chmod(struct mount *mount, const char *path, mode_t mode)
{
    struct stat attr = {.st_mode = mode};

    return setattr(mount, path, &attr, TREE_SET_MODE);
}

struct names {
    char *text;
    size_t size, len;
};

static bool add_name(const char *name, const struct tree_entry *entry, uint64_t next, void *arg)
{
    struct names *names = arg;

    (void)entry;
    (void)next;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return true;
    names->len += (size_t)snprintf(names->text + names->len, names->size - names->len, "%s ", name);
    return names->len < names->size;
}

int mount_list(struct mount *mount, const char *path, char *ret_names, size_t size)
{
    struct names names = {.text = ret_names, .size = size};
    struct tree_handle *handle;
    struct tree_entry entry;
    int rc = enter(mount, path, &entry);

    if (rc != HF_OK)
        return rc;
    ret_names[0] = '\0';
    rc = tree_opendir(mount->tree, entry.inode, &handle);
    if (rc == HF_OK) {
        rc = tree_readdir(handle, 0, false, add_name, &names);
        tree_releasedir(handle);
    }
    leave(mount, entry.inode);
    return rc;
}

bool mount_awaits_another(struct mount *mount)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    struct tree_entry entry;

    for (int i = 0; i < 2500; i++) {
        if (tree_getattr(mount->tree, TREE_ROOT, &entry) == HF_OK && entry.attr_timeout <= 0)
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

void lock_done(int status, void *arg)
{
    struct waiting *waiting = arg;

    pthread_mutex_lock(&waiting->lock);
    waiting->done = true;
    waiting->status = status;
    pthread_cond_signal(&waiting->cond);
    pthread_mutex_unlock(&waiting->lock);
}

int await_lock(struct waiting *waiting)
{
    int status;

    pthread_mutex_lock(&waiting->lock);
    while (!waiting->done)
        pthread_cond_wait(&waiting->cond, &waiting->lock);
    status = waiting->status;
    waiting->done = false;
    pthread_mutex_unlock(&waiting->lock);
    return status;
}
