/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Working trees: POSIX in memory over the store. One `struct tree` is one mount.
 *
 *     mount root  =  the shared tree (session 0)  +  one directory for each session
 *     inode number of the mount  =  session number << 40 | inode number in the session
 *
 * A session is loaded when it is first looked at and forgotten when it is idle. Its first change
 * acquires its lease; the working tree gathers changes; a commit freezes all of them, in order, into one
 * version. See ARCHITECTURE.md for the path of a write.
 *
 *     CLEAN --change--> DIRTY --commit begins--> COMMITTING --done--> CLEAN or DIRTY
 *                         ^                          |
 *                         +------ENOSPC, retried-----+--fenced--> LOST (rescue) ; sync failed --> FAILED
 *
 * Every call returns 0 or a negative enum hf_status. Thread safe: calls on one session take its lock
 * one after another; sessions do not wait for each other.
 *
 * The kernel's caches: the tree says with each answer for how long it holds, and calls
 * tree_kernel.inval_* (from threads of its own, with no lock held) when something changed that the
 * kernel did not change itself.
 */
#ifndef TREE_TREE_H
#define TREE_TREE_H

#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

#include "base/clock.h"
#include "store/store.h"
#include "tree/locks.h"

struct tree;

#define TREE_ROOT 1 /**< the mount's top directory, FUSE_ROOT_ID */

struct tree_kernel {
    /** Drop the entry `name` of directory `parent`, and everything below it that is not in use. */
    void (*inval_entry)(void *arg, uint64_t parent, const char *name);
    /** Believe the entry, or that there is none, no longer: look it up when it is next asked for. Unlike
     *  inval_entry it leaves a directory in its place that is some process's working directory. */
    void (*expire_entry)(void *arg, uint64_t parent, const char *name);
    /** Forget the attributes and, from byte `from` on unless that is -1, the cached content of an inode. */
    void (*inval_inode)(void *arg, uint64_t inode, int64_t from);
    /** Take these bytes of an inode's content into the cache, up to its end; or NULL. */
    void (*store_content)(void *arg, uint64_t inode, uint64_t offset, const void *data, size_t len);
    /** Whether the request that this thread works on was interrupted by a signal; or NULL. It is asked on the
     *  thread that has called the tree, while it waits for another host. */
    bool (*interrupted)(void *arg);
    void *arg;
};

/** Strings are borrowed for the call of tree_open() only. */
struct tree_options {
    size_t memory_limit;        /**< bytes of the tree's own memory; 0: 256 MiB */
    uint32_t wait_ms;           /**< for a pinned lease, beyond a recall */
    uint32_t commit_delay_ms;   /**< for changes that no close will follow; 0: 100 */
    const char *claim_patterns; /**< claims.h; NULL: the default */
    bool read_only;
    struct host_identity identity;
    uid_t root_uid; /**< owner of the top directory of a new store */
    gid_t root_gid;
    const struct clock *clock; /**< NULL: clock_system */
    struct tree_kernel kernel;
    /** What the mount's owner should know of: a lease that was lost, work that was kept aside, a store that does
     *  not answer. A sentence, for the log. Any thread, maybe with locks held: it must not call the tree. NULL:
     *  nobody is told. */
    void (*report)(const char *sentence);
};

/** Who asks. */
struct tree_caller {
    uid_t uid;
    gid_t gid;
    pid_t pid; /**< thread id in the mount daemon's pid namespace; 0: the kernel itself */
    bool ends_privileges; /**< a file that it changes is set-user-id or set-group-id no longer */
};

/** An answer about an inode. */
struct tree_entry {
    uint64_t inode; /**< 0: a negative entry, to be cached too */
    struct stat attr;
    double attr_timeout, entry_timeout; /**< seconds */
    uint64_t answer;                    /**< for tree_still_holds() */
};

/** Whether the kernel may keep an answer for as long as it says: asked when it goes out. Else it has been told
 *  meanwhile to forget what the answer would bring back, and must not keep it at all. */
bool tree_still_holds(const struct tree *tree, const struct tree_entry *entry);

/** An open file or directory. */
struct tree_handle;

/** Registers the mount with the store (not when that is open read-only: then nothing tells it of others'
 *  changes) and loads the shared tree. The store is borrowed. */
int tree_open(struct store *store, const struct tree_options *options, struct tree **ret_tree,
              struct hf_error *err);
/** Commits everything (strictly), releases all leases. 0, or the first failure; frees in any case. */
int tree_close(struct tree *tree, struct hf_error *err);

/** Whether the store is a server's, which looks after it. */
bool tree_is_distant(const struct tree *tree);
/** Commits everything dirty of all sessions, and syncs when `sync`. */
int tree_commit_all(struct tree *tree, bool sync, struct hf_error *err);

/* Each that gives an entry counts one look-up of its inode, ended by tree_forget(). */
int tree_lookup(struct tree *tree, uint64_t parent, const char *name, struct tree_entry *ret_entry);
void tree_forget(struct tree *tree, uint64_t inode, uint64_t lookups);
int tree_getattr(struct tree *tree, uint64_t inode, struct tree_entry *ret_entry);

/** Bits of `set`: which members of `attr` to set. NOW: the current time instead of the given one. */
enum tree_set {
    TREE_SET_MODE = 1 << 0,
    TREE_SET_UID = 1 << 1,
    TREE_SET_GID = 1 << 2,
    TREE_SET_SIZE = 1 << 3,
    TREE_SET_ATIME = 1 << 4,
    TREE_SET_MTIME = 1 << 5,
    TREE_SET_ATIME_NOW = 1 << 6,
    TREE_SET_MTIME_NOW = 1 << 7,
    TREE_SET_CTIME = 1 << 8,
};
int tree_setattr(struct tree *tree, const struct tree_caller *caller, uint64_t inode,
                 struct tree_handle *handle, const struct stat *attr, unsigned set,
                 struct tree_entry *ret_entry);

int tree_readlink(struct tree *tree, uint64_t inode, char *ret_target, size_t size);
int tree_mknod(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
               const char *name, mode_t mode, dev_t rdev, struct tree_entry *ret_entry);
int tree_mkdir(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
               const char *name, mode_t mode, struct tree_entry *ret_entry);
int tree_symlink(struct tree *tree, const struct tree_caller *caller, const char *target,
                 uint64_t parent, const char *name, struct tree_entry *ret_entry);
int tree_unlink(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
                const char *name);
int tree_rmdir(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
               const char *name);
/** `flags`: 0, RENAME_NOREPLACE or RENAME_EXCHANGE (linux/fs.h). HF_XDEV between sessions. */
int tree_rename(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
                const char *name, uint64_t new_parent, const char *new_name, unsigned flags);
int tree_link(struct tree *tree, const struct tree_caller *caller, uint64_t inode,
              uint64_t new_parent, const char *new_name, struct tree_entry *ret_entry);

/** `flags` are open(2)'s. `ret_keep_cache`: the kernel's cached pages are still good. */
int tree_create(struct tree *tree, const struct tree_caller *caller, uint64_t parent,
                const char *name, mode_t mode, int flags, struct tree_entry *ret_entry,
                struct tree_handle **ret_handle);
int tree_open_file(struct tree *tree, const struct tree_caller *caller, uint64_t inode, int flags,
                   struct tree_handle **ret_handle, bool *ret_keep_cache);
/** Whether it is a file of the tree's own making (".holdfast/lease"), whose size is not known: the kernel must
 *  not cache it. */
bool tree_is_pseudo(const struct tree_handle *handle);
/** Reads up to `len` bytes into `data`; short at the end of the file. */
int tree_read(struct tree_handle *handle, uint64_t offset, size_t len, uint8_t *ret_data,
              size_t *ret_len);
/** Writes all of it or fails. */
int tree_write(struct tree_handle *handle, const struct tree_caller *caller, uint64_t offset,
               const void *data, size_t len);
/** The same at the end of the file. `believed` is where that was when the kernel last heard of it: another host may
 *  have made it longer since. */
int tree_append(struct tree_handle *handle, const struct tree_caller *caller, uint64_t believed,
                const void *data, size_t len);
/** One close(2) of the file: commits when something was written through it or to it. Drops `lock_owner`'s
 *  POSIX locks. */
int tree_flush(struct tree_handle *handle, uint64_t lock_owner);
int tree_fsync(struct tree_handle *handle);
/** The last close. Drops the handle's locks. The handle is gone. */
void tree_release(struct tree_handle *handle);
/** `mode` is fallocate(2)'s: 0, KEEP_SIZE, PUNCH_HOLE | KEEP_SIZE, ZERO_RANGE [| KEEP_SIZE]. */
int tree_fallocate(struct tree_handle *handle, const struct tree_caller *caller, int mode,
                   uint64_t offset, uint64_t len);
int tree_lseek(struct tree_handle *handle, uint64_t offset, int whence, uint64_t *ret_offset);

int tree_opendir(struct tree *tree, uint64_t inode, struct tree_handle **ret_handle);
/** Calls `add` for entries from cookie `offset` on until it returns false (full). `next` is the cookie
 *  after the entry. With `plus`, `entry` is complete and counts one look-up when add returns true
 *  (not for "." and ".."); else only its inode number and type are valid. A session's entry is never
 *  complete: its `inode` is 0, and attr has number and type, as a kernel takes it. */
typedef bool (*tree_dir_fn)(const char *name, const struct tree_entry *entry, uint64_t next,
                            void *arg);
int tree_readdir(struct tree_handle *handle, uint64_t offset, bool plus, tree_dir_fn add,
                 void *arg);
int tree_fsyncdir(struct tree_handle *handle);
void tree_releasedir(struct tree_handle *handle);

/** Xattrs, with the size-query protocol: `size` 0 asks for the length alone; HF_RANGE when too small. */
int tree_getxattr(struct tree *tree, uint64_t inode, const char *name, void *ret_value, size_t size,
                  size_t *ret_len);
int tree_listxattr(struct tree *tree, uint64_t inode, char *ret_names, size_t size,
                   size_t *ret_len);
/** `flags`: 0, XATTR_CREATE or XATTR_REPLACE. */
int tree_setxattr(struct tree *tree, const struct tree_caller *caller, uint64_t inode,
                  const char *name, const void *value, size_t size, int flags);
int tree_removexattr(struct tree *tree, const struct tree_caller *caller, uint64_t inode,
                     const char *name);

/** The store's space, as statfs(2) tells it. */
int tree_statfs(struct tree *tree, uint64_t inode, struct statvfs *ret_stat);

/** Locks through an open file; see locks.h for waiting. A lock request takes the session's lease; with `wait` it
 *  waits for that too. */
int tree_lock(struct tree_handle *handle, const struct lock_request *request, bool wait,
              lock_done_fn done, void *arg, uint64_t *ret_ticket);
bool tree_lock_cancel(struct tree *tree, uint64_t ticket);
int tree_lock_test(struct tree_handle *handle, const struct lock_request *request,
                   struct lock_request *ret_lock, bool *ret_found);

/** Counters for metrics and tests. */
struct tree_stats {
    uint64_t sessions_loaded, inodes, commits, dirty_bytes;
    uint64_t
        memory_bytes; /**< of sessions, live inodes and unsaved writes; the blob cache is apart */
    uint64_t blob_hits, blob_misses; /**< objects that were wanted, and found in memory or not */
};
void tree_stats(struct tree *tree, struct tree_stats *ret_stats);

#endif
