/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The list of what an exported session holds: manifest.json, the first entry of the archive.
 *
 *     {"format": "holdfast-session/1", "producer": "holdfast 0.1.0", "client_version": "1.0.102",
 *      "session": {"name": …, "version": …, "root": …, "time": …, "mode": "0700", "mtime": …},
 *      "redacted": 0, "bytes": …,
 *      "files": [{"path": "checkpoints", "type": "directory", "mode": "0700", "mtime": …},
 *                {"path": "events.jsonl", "type": "file", "mode": "0600", "mtime": …, "size": …, "sha256": …}, …]}
 *
 * Paths have forward slashes, are relative to the session's top, and a directory comes before what is in it.
 * Of a symbolic link and of a further name of a file (type "hardlink") "target" says where it leads. Extended
 * attributes are pairs of name and value in hexadecimal digits under "xattrs". Times are UTC.
 */
#ifndef TOOLS_MANIFEST_H
#define TOOLS_MANIFEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "holdfast/error.h"

#define MANIFEST_NAME "manifest.json"
/** What the files of the session are below in the archive. */
#define MANIFEST_PREFIX "session/"
#define MANIFEST_FORMAT "holdfast-session/1"
/** A longer manifest is not read. */
#define MANIFEST_MAX ((size_t)256 << 20)
#define MANIFEST_HASH_SIZE 32

struct manifest_file {
    char *path;
    uint32_t mode;     /**< type and permissions */
    bool hard_link;    /**< another name of the regular file at `target` */
    char *target;      /**< of a link; else NULL */
    uint64_t size;     /**< of a regular file */
    int64_t mtime;     /**< ns */
    struct buf xattrs; /**< a block (object/node.h) */
    uint8_t sha256[MANIFEST_HASH_SIZE];
};

/** All zero is an empty one. Strings are owned. */
struct manifest {
    char *producer, *client_version; /**< or NULL */
    char *session, *root;
    uint64_t version;
    int64_t time;
    uint32_t mode; /**< permissions of the top directory */
    int64_t mtime;
    uint64_t redacted; /**< credentials that were left out */
    uint64_t bytes;    /**< of all regular files */
    struct manifest_file *files;
    size_t count, cap;
};

void manifest_free(struct manifest *manifest);
/** Adds one, owned by the manifest, all zero but for the path (copied). NULL without memory; valid until the next
 *  is added. */
struct manifest_file *manifest_add(struct manifest *manifest, const char *path);

/** Appends it as JSON. HF_NOMEM; HF_INVAL when a name is not UTF-8. */
int manifest_write(const struct manifest *manifest, struct buf *out, struct hf_error *err);
/**
 * Reads one, which may be anybody's: every path is checked (UTF-8, relative, no "..", parents first, each once),
 * and that no link leads out. HF_INVAL, HF_NEWER, HF_NOMEM. `ret_manifest` is ended with manifest_free().
 */
int manifest_read(struct slice json, struct manifest *ret_manifest, struct hf_error *err);

#endif
