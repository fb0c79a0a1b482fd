/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Builds a root without a mount: from nothing, or from the changes to another root. For forks, imports and
 * repairs, which become one commit or none.
 *
 *     build_open() --> build_put(), build_splice() ... --> build_finish() --> store_commit(), _session_create()
 *
 * Memory and cost follow the changes, not the root: nodes are read as they are needed, and what is new moves
 * to the store (store_put()) once it is more than a few MiB. It is cheapest to work through one directory after the
 * other. Paths are relative to the session's top, their parts separated by '/'; no part may be empty, "." or "..",
 * nor the first one ".holdfast" (HF_INVAL). Symbolic links are not followed. Directories keep the times that they
 * have. After a failure other than those named here, a build can only be freed. One thread at a time.
 */
#ifndef TREE_BUILD_H
#define TREE_BUILD_H

#include "object/node.h"
#include "tree/blob.h"

struct build;

/** What a new or replaced inode is like. Times in ns since the epoch. */
struct build_attr {
    uint32_t mode; /**< type (of what is made: HF_INVAL) and permissions */
    uint32_t uid, gid;
    int64_t atime, mtime, ctime;
    uint32_t rdev_major, rdev_minor;
    struct slice xattrs; /**< a block (object/node.h), or empty */
};

/** Gives the next bytes of a file: at least one and at most `size` of them (*ret_len), or none at its end. Returns 0,
 *  or a negative status. It must not use the build. */
typedef int (*build_read_fn)(void *arg, uint8_t *ret_data, size_t size, size_t *ret_len,
                             struct hf_error *err);

/**
 * Starts from `base`, or with NULL from an empty session whose top directory is like `top`. The cache is
 * borrowed; what is put is put on behalf of `host` (a host session of the caller, which must live until the
 * commit).
 */
int build_open(struct blob_cache *cache, uint64_t host, const struct object_id *base,
               const struct build_attr *top, struct build **ret_build, struct hf_error *err);
/** Throws away what was not finished. NULL is fine. */
void build_free(struct build *build);

/* Each replaces what is at `path` but for directories (HF_EXIST); its parent must be a directory (HF_NOENT,
 * HF_NOTDIR). A new directory replaces nothing (HF_EXIST). */
int build_mkdir(struct build *build, const char *path, const struct build_attr *attr,
                struct hf_error *err);
int build_put(struct build *build, const char *path, const struct build_attr *attr,
              build_read_fn read, void *arg, struct hf_error *err);
int build_symlink(struct build *build, const char *path, const char *target,
                  const struct build_attr *attr, struct hf_error *err);
/** FIFOs, sockets, devices. */
int build_mknod(struct build *build, const char *path, const struct build_attr *attr,
                struct hf_error *err);
/** Another name of the file at `target`. HF_NOENT, HF_PERM (of a directory), HF_MLINK. */
int build_link(struct build *build, const char *path, const char *target, struct hf_error *err);

/** Puts `data` in the place of bytes [start, end) of a regular file, whatever the lengths, and moves the rest
 *  along. Its mtime and ctime become `time`. Cost: the chunks around it. HF_NOENT, HF_INVAL (it is no regular
 *  file, or shorter than `end`). */
int build_splice(struct build *build, const char *path, uint64_t start, uint64_t end,
                 struct slice data, int64_t time, struct hf_error *err);
/** Reads a regular file as it is now: up to `size` bytes at `offset`, short at its end. HF_NOENT, HF_INVAL. */
int build_read(struct build *build, const char *path, uint64_t offset, size_t size,
               uint8_t *ret_data, size_t *ret_len, struct hf_error *err);
/** Removes a name; a directory must be empty (HF_NOTEMPTY). HF_NOENT. */
int build_remove(struct build *build, const char *path, struct hf_error *err);

/**
 * Encodes the root, and fills the commit's root, new objects, and the strings of its index row. commit->meta.bytes and
 * .files must be those of the base (0 without one), and become those of the new root. What `commit` borrows lives
 * until build_free(). Once.
 */
int build_finish(struct build *build, struct commit *commit, struct hf_error *err);

#endif
