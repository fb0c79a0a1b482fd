/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The parts of `holdfast adopt`: a plain session-state tree goes into a store, is read back, and only
 * then gives way to a mount point.
 *
 *    scan ---> check ---> copy, verify ---> scan again ---> rename ---> sync ---> swap ---> scan again
 *     |         |          under working      |              to the      |         DIR with     |
 *     in use    other      names in the       changed        real        store     an empty     changed:
 *     refuse    content    store              meanwhile      names                 one          swap back
 *               refuse                        refuse
 *
 * A crash at any point leaves the originals whole, in DIR or (after the swap) beside it, and a second run
 * goes on from there: sessions that are in the store already are compared and counted as done; a copy
 * under a working name is compared too, and made anew if it is not complete.
 */
#ifndef TOOLS_ADOPT_H
#define TOOLS_ADOPT_H

#include <sys/stat.h>

#include "names.h"
#include "object/object.h"
#include "place.h"
#include "progress.h"
#include "tree/tree.h"
#include "tree/view.h"

/* --- the originals (adopt_scan.c) --------------------------------------------------------------- */

/** One top-level entry of the tree that is adopted. */
struct adopt_entry {
    char *name;
    bool is_session;
    uint64_t files, bytes;
    uint64_t fingerprint; /**< of every name, size and time below it */
    /* Decided by the check against the store: */
    bool present;  /**< the store has it, and the same */
    bool copied;   /**< an earlier run copied it whole under its working name */
    bool renamed;  /**< by this run, to its own name */
    char work[40]; /**< of a session: the name under which it is copied */
};

struct adopt_scan {
    struct adopt_entry *entries;
    size_t count;
    uint64_t sessions, files, bytes;
};

/** Walks the whole tree. HF_BUSY when an agent is at work in it: the error names the session. */
int adopt_scan(int dirfd, struct adopt_scan *ret_scan, struct hf_error *err);
void adopt_scan_clear(struct adopt_scan *scan);
/** Compares two scans of the same tree: the first entry that differs, or NULL. */
const char *adopt_scan_difference(const struct adopt_scan *before, const struct adopt_scan *after);

/** Whether a process works on the session: a live inuse.<pid>.lock, or a lock on one of its files.
 *  `ret_reason` says which. */
bool adopt_in_use(int sessionfd, char *ret_reason, size_t size);

/* --- extended attributes (adopt_xattr.c) --------------------------------------------------------- */

/** Calls visit with each extended attribute that is carried over, in byte order of name; a non-zero return
 *  stops and is returned. What belongs to the filesystem that it is on (ACLs, labels) is left out. */
typedef int (*adopt_xattr_fn)(const char *name, const void *value, size_t size, void *arg);
int adopt_xattrs(int dirfd, const char *name, adopt_xattr_fn visit, void *arg,
                 struct hf_error *err);

/* --- copying (adopt_copy.c) --------------------------------------------------------------------- */

struct adopt_copy;

/** Starts copying into a working tree, which is borrowed. NULL when out of memory. */
struct adopt_copy *adopt_copy_new(struct tree *tree, struct progress *progress);
void adopt_copy_free(struct adopt_copy *copy);
/** Copies `name` of `dirfd`, with everything below it, as `new_name` at the top of the tree. */
int adopt_copy_session(struct adopt_copy *copy, int dirfd, const char *name, const char *new_name,
                       struct hf_error *err);
/** The same into the shared tree, where directories may be there already, and files that are are left. */
int adopt_copy_shared(struct adopt_copy *copy, int dirfd, const char *name, struct hf_error *err);

/* --- comparing (adopt_compare.c) ------------------------------------------------------------------ */

/** What a comparison is asked for. */
enum adopt_strictness {
    ADOPT_SAME,     /**< everything, in both directions */
    ADOPT_CONTENT,  /**< the shared tree: what the view has, has the same content */
    ADOPT_INCLUDED, /**< the shared tree: the view has everything, with the same content */
};

/**
 * Compares `name` of `dirfd` with `path` of a view, byte by byte. 0: the same. 1: `ret_difference` (a
 * sentence) says where they differ. Negative: an error.
 */
int adopt_compare(struct view *view, const char *path, int dirfd, const char *name,
                  enum adopt_strictness strictness, struct progress *progress, char *ret_difference,
                  size_t size, struct hf_error *err);

/* --- giving way (adopt_swap.c) -------------------------------------------------------------------- */

/** Puts an empty directory with the same owner and mode in the place of `dir`, in one step, and leaves the
 *  original at `ret_aside`, "DIR.adopted-<time>". */
int adopt_swap(const char *dir, const struct stat *st, char ret_aside[PLACE_MAX],
               struct hf_error *err);
/** Swaps two directories. */
int adopt_exchange(const char *a, const char *b, struct hf_error *err);

#endif
