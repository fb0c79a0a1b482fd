/* SPDX-License-Identifier: Apache-2.0 */
/** A tree over a store, driven by paths: what a kernel would do, for tests. It counts its look-ups as the
 *  kernel does, and forgets them when asked to. */
#ifndef TESTS_TREE_MOUNT_H
#define TESTS_TREE_MOUNT_H

#include <pthread.h>

#include "tree/tree.h"

struct mount {
    struct store *store;
    struct tree *tree;
    struct tree_caller caller;
};

/** Opens (and makes) the store named by `url` and a tree on it; asserts. */
void mount_open(struct mount *mount, const char *url);
void mount_open_with(struct mount *mount, const char *url, const struct tree_options *options);
/** Closes the tree and the store; returns what tree_close() said. */
int mount_close(struct mount *mount);

/** The inode of a path from the top ("a/b/c"); counts no look-up that it does not give back. */
int mount_lookup(struct mount *mount, const char *path, struct tree_entry *ret_entry);
/** Splits a path: the inode of its directory and its last name. */
int mount_parent(struct mount *mount, const char *path, uint64_t *ret_parent,
                 const char **ret_name);

int mount_mkdir(struct mount *mount, const char *path, mode_t mode);
int mount_rmdir(struct mount *mount, const char *path);
int mount_unlink(struct mount *mount, const char *path);
int mount_rename(struct mount *mount, const char *from, const char *to, unsigned flags);
int mount_link(struct mount *mount, const char *from, const char *to);
int mount_symlink(struct mount *mount, const char *target, const char *path);
/** open(2) with O_CREAT and O_EXCL done as the kernel does. */
int mount_openfile(struct mount *mount, const char *path, int flags, mode_t mode,
                   struct tree_handle **ret_handle);
/** close(2): flush and release. */
int mount_closefile(struct tree_handle *handle);
/** open, write at `offset`, close. */
int mount_write(struct mount *mount, const char *path, uint64_t offset, const void *data,
                size_t len);
int mount_write_text(struct mount *mount, const char *path, const char *text);
/** Reads a whole file into a NUL-terminated buffer of the caller's (`size` with the NUL). */
int mount_read_text(struct mount *mount, const char *path, char *ret_text, size_t size);
int mount_truncate(struct mount *mount, const char *path, uint64_t size);
int mount_chmod(struct mount *mount, const char *path, mode_t mode);
/** Names in a directory, "." and ".." left out, each followed by a space. */
int mount_list(struct mount *mount, const char *path, char *ret_names, size_t size);

/** Waits until the mount knows that it is not alone: what the kernel is told of the top holds for no time. */
bool mount_awaits_another(struct mount *mount);

/** A lock that is waited for; `status` is that of the answer. WAITING_INIT to begin with. */
struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    bool done;
    int status;
};
#define WAITING_INIT                                                                               \
    {                                                                                              \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 1                              \
    }
/** For tree_lock(): the answer to a struct waiting. */
void lock_done(int status, void *waiting);
/** Waits for the answer, and is ready for the next. */
int await_lock(struct waiting *waiting);

#endif
