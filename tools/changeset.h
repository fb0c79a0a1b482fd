/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What changed between two roots, as people care about it: which files, and by how much. That only times
 * moved, or that a file was written anew with the same content, is left out. A file that is gone from one place
 * and there at another, with its inode number and its content, was renamed: one change, not two.
 */
#ifndef TOOLS_CHANGESET_H
#define TOOLS_CHANGESET_H

#include "json.h"
#include "tree/changes.h"

struct changed {
    enum change_kind kind;
    unsigned what; /**< of MODIFIED: enum change_what; 0 when it was only renamed */
    char *path;
    char *old_path; /**< where a renamed file was (it is MODIFIED); else NULL */
    uint64_t ino;
    struct buf
        content; /**< of a file or symlink that was added or removed: what is equal has equal bytes */
    uint32_t old_mode, new_mode; /**< 0 where there is none */
    uint64_t old_size, new_size;
};

/** All zero is empty. */
struct changeset {
    struct changed *items; /**< as the walk told them: parents first */
    size_t count, cap;
};

/** Reads the changes at `path` and below it ("" or NULL: all). Roots as for changes_walk(). Ended by
 *  changeset_clear(). */
int changeset_read(struct blob_cache *cache, const struct object_id *before,
                   const struct object_id *after, const char *path, struct changeset *ret_set,
                   struct hf_error *err);
void changeset_clear(struct changeset *set);

/** "events.jsonl +2.0 KiB, plan.md new, 3 more": what changed most, first. Freed by the caller; NULL when out of
 *  memory. */
char *changeset_line(const struct changeset *set);

/** One change, with "path", "change", "type", "size_before" and "size_after"; a renamed one with "path_before". NULL when out of memory. */
json_t *changed_json(const struct changed *changed);
/** An array of them. */
json_t *changeset_json(const struct changeset *set);

#endif
