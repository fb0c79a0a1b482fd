/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/changes.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tree/difference.h"
#include "tree/dircursor.h"
#include "tree/dirmap.h"

/** One of the two roots. */
struct side {
    struct blob *blob;     /* the ROOT node, or NULL: an empty tree */
    struct root_node root; /* points into `blob` */
    struct dirmap *links;
};

/** A directory on the way to where the walk is, as it is on both sides; one may be empty. */
struct pair {
    struct dircursor before, after;
    size_t path_len; /* of the directory's own path */
};

/** A walk in progress. Its depth is bounded by memory alone, so it does not use the program's stack. */
struct walk {
    struct blob_cache *cache;
    struct side before, after;
    bool linked; /* an inode in the link tables changed: equal nodes may hide it */
    change_visit_fn visit;
    void *arg;
    struct hf_error *err;
    struct pair *pairs;
    size_t depth, cap;
    struct buf path; /* NUL-terminated; no NUL in `len` */
};

static int no_memory(struct walk *walk)
{
    return hf_fail(walk->err, HF_NOMEM, "out of memory for a comparison");
}

/* --- what differs between two records --------------------------------------------------------------- */

static bool same_xattrs(const struct inode_record *a, const struct inode_record *b)
{
    if (a->xattr_kind != b->xattr_kind)
        return false;
    if (a->xattr_kind == XATTR_CHUNK)
        return object_id_equal(&a->xattr_id, &b->xattr_id);
    return slice_compare(a->xattr_block, b->xattr_block) == 0;
}

static bool same_data(struct blob_cache *cache, const struct inode_record *a,
                      const struct inode_record *b)
{
    if (a->rdev_major != b->rdev_major || a->rdev_minor != b->rdev_minor || a->size != b->size)
        return false;
    return S_ISDIR(a->mode) || difference_start(cache, &a->content, &b->content) == DIFFERENCE_NONE;
}

/* Reading alone moves an atime: that is no change. */
static unsigned compare(struct blob_cache *cache, const struct inode_record *a,
                        const struct inode_record *b)
{
    unsigned what = 0;

    if (!same_data(cache, a, b))
        what |= CHANGE_DATA;
    if (a->mode != b->mode)
        what |= CHANGE_MODE;
    if (a->uid != b->uid || a->gid != b->gid)
        what |= CHANGE_OWNER;
    if (a->mtime != b->mtime || a->ctime != b->ctime)
        what |= CHANGE_TIMES;
    if (!same_xattrs(a, b))
        what |= CHANGE_XATTRS;
    if (a->ino != b->ino || (a->nlink != b->nlink && !S_ISDIR(a->mode)))
        what |= CHANGE_INODE;
    return what;
}

/* --- the two sides ------------------------------------------------------------------------------------ */

static int side_open(struct walk *walk, const struct object_id *root, struct side *side)
{
    int rc;

    if (!root)
        return HF_OK;
    rc = blob_get(walk->cache, root, &side->blob, walk->err);
    if (rc != HF_OK)
        return rc;
    rc = root_node_decode(blob_content(side->blob), &side->root);
    if (rc != HF_OK)
        return hf_fail(walk->err, rc, "a root: %s", hf_status_text(rc));
    return dirmap_open(walk->cache, &side->root.links, &side->links, walk->err);
}

static void side_close(struct walk *walk, struct side *side)
{
    dirmap_free(side->links);
    blob_unref(walk->cache, side->blob);
}

/* The record of an entry, through the link table where it is a link. It points into a node or the table:
 * valid until the side goes on. */
static int record_of(struct walk *walk, struct side *side, const struct dir_entry *entry,
                     struct inode_record *ret_record)
{
    struct slice bytes = entry->record;
    struct dir_entry inode;
    char name[17];
    int rc;

    if (bytes.len == 0) {
        snprintf(name, sizeof name, "%016" PRIx64, entry->ino);
        rc = dirmap_find(side->links, slice_of(name, 16), &inode, walk->err);
        if (rc == HF_NOENT)
            return hf_fail(walk->err, HF_CORRUPT, "inode %" PRIu64 " is not in the link table",
                           entry->ino);
        if (rc != HF_OK)
            return rc;
        bytes = inode.record;
    }
    rc = inode_record_decode(bytes, ret_record);
    return rc == HF_OK
               ? rc
               : hf_fail(walk->err, rc, "inode %" PRIu64 ": %s", entry->ino, hf_status_text(rc));
}

/* --- two directories side by side ----------------------------------------------------------------------- */

/** Where an item stands. */
enum stand { BEFORE_ALONE, AFTER_ALONE, BOTH };

/*
 * Moves on to the next name that one side has alone, or both have; HF_NOENT at the end. `skip`: subtrees
 * that are equal are passed over. The side whose item begins earlier is opened up first, and of two that begin
 * alike the higher one, so that equal nodes meet wherever the trees above them part.
 */
static int align(struct dircursor *a, struct dircursor *b, bool skip, enum stand *ret_stand,
                 struct hf_error *err)
{
    int rc = HF_OK;

    while (rc == HF_OK && (a->at != DIRCURSOR_END || b->at != DIRCURSOR_END)) {
        const int order = a->at == DIRCURSOR_END   ? 1
                          : b->at == DIRCURSOR_END ? -1
                                                   : slice_compare(a->first, b->first);
        const bool tree_a = a->at == DIRCURSOR_SUBTREE, tree_b = b->at == DIRCURSOR_SUBTREE;

        if (order != 0 && !(order < 0 ? tree_a : tree_b)) {
            *ret_stand = order < 0 ? BEFORE_ALONE : AFTER_ALONE;
            return HF_OK;
        }
        if (order != 0) {
            rc = dircursor_enter(order < 0 ? a : b, err);
        } else if (!tree_a && !tree_b) {
            *ret_stand = BOTH;
            return HF_OK;
        } else if (skip && tree_a && tree_b && object_id_equal(&a->ref.id, &b->ref.id)) {
            rc = dircursor_pass(a, err);
            if (rc == HF_OK)
                rc = dircursor_pass(b, err);
        } else {
            const bool only_a = tree_a && (!tree_b || a->ref.height > b->ref.height);
            const bool only_b = tree_b && (!tree_a || b->ref.height > a->ref.height);

            if (!only_b)
                rc = dircursor_enter(a, err);
            if (rc == HF_OK && !only_a)
                rc = dircursor_enter(b, err);
        }
    }
    return rc == HF_OK ? HF_NOENT : rc;
}

static void pair_end(struct pair *pair)
{
    dircursor_end(&pair->before);
    dircursor_end(&pair->after);
}

/* Whether an inode that both link tables have differs. */
static int compare_links(struct walk *walk)
{
    static const struct content none = {.kind = CONTENT_NONE};
    struct pair tables = {0};
    enum stand stand;
    int rc = dircursor_start(&tables.before, walk->cache,
                             walk->before.blob ? &walk->before.root.links : &none, walk->err);

    if (rc == HF_OK)
        rc = dircursor_start(&tables.after, walk->cache,
                             walk->after.blob ? &walk->after.root.links : &none, walk->err);
    while (rc == HF_OK && !walk->linked) {
        rc = align(&tables.before, &tables.after, true, &stand, walk->err);
        if (rc != HF_OK)
            break;
        if (stand == BOTH)
            walk->linked =
                slice_compare(tables.before.entry.record, tables.after.entry.record) != 0;
        if (stand != AFTER_ALONE)
            rc = dircursor_pass(&tables.before, walk->err);
        if (rc == HF_OK && stand != BEFORE_ALONE)
            rc = dircursor_pass(&tables.after, walk->err);
    }
    pair_end(&tables);
    return rc == HF_NOENT ? HF_OK : rc;
}

/* --- the walk ------------------------------------------------------------------------------------------- */

static int descend(struct walk *walk, const struct content *before, const struct content *after)
{
    static const struct content none = {.kind = CONTENT_NONE};
    const size_t cap = walk->cap ? walk->cap * 2 : 8;
    struct pair *pairs, *pair;
    int rc;

    if (walk->depth == walk->cap) {
        pairs = reallocarray(walk->pairs, cap, sizeof *pairs);
        if (!pairs)
            return no_memory(walk);
        walk->pairs = pairs;
        walk->cap = cap;
    }
    pair = &walk->pairs[walk->depth++];
    memset(pair, 0, sizeof *pair);
    pair->path_len = walk->path.len;
    rc = dircursor_start(&pair->before, walk->cache, before ? before : &none, walk->err);
    if (rc == HF_OK)
        rc = dircursor_start(&pair->after, walk->cache, after ? after : &none, walk->err);
    return rc;
}

/* Makes walk->path that of an entry of the innermost directory. */
static int set_path(struct walk *walk, struct slice name)
{
    int rc = HF_OK;

    walk->path.len = walk->pairs[walk->depth - 1].path_len;
    if (walk->path.len > 0)
        rc = buf_append(&walk->path, "/", 1);
    if (rc == HF_OK)
        rc = buf_append(&walk->path, name.data, name.len);
    if (rc == HF_OK)
        rc = buf_append(&walk->path, "", 1);
    if (rc != HF_OK)
        return no_memory(walk);
    walk->path.len--;
    return HF_OK;
}

static int tell(struct walk *walk, enum change_kind kind, unsigned what,
                const struct inode_record *before, const struct inode_record *after)
{
    const struct change change = {.kind = kind,
                                  .what = what,
                                  .path = (const char *)walk->path.data,
                                  .before = before,
                                  .after = after};

    return walk->visit(&change, walk->arg);
}

/** What is below an entry, kept while the cursors move on. */
struct below {
    bool before, after;
    struct content contents[2]; /* of directories: no bytes */
};

static void look_below(const struct inode_record *record, bool *ret_is, struct content *ret_content)
{
    if (record && S_ISDIR(record->mode)) {
        *ret_is = true;
        *ret_content = record->content;
    }
}

/* Both sides have the name, as the same type of file. */
static int tell_both(struct walk *walk, const struct inode_record *a, const struct inode_record *b,
                     struct below *below)
{
    const unsigned what = compare(walk->cache, a, b);

    if (S_ISDIR(a->mode) && (walk->linked || difference_start(walk->cache, &a->content,
                                                              &b->content) != DIFFERENCE_NONE)) {
        look_below(a, &below->before, &below->contents[0]);
        look_below(b, &below->after, &below->contents[1]);
    }
    return what ? tell(walk, CHANGE_MODIFIED, what, a, b) : HF_OK;
}

static int tell_alone(struct walk *walk, const struct inode_record *a, const struct inode_record *b,
                      struct below *below)
{
    look_below(a, &below->before, &below->contents[0]);
    look_below(b, &below->after, &below->contents[1]);
    return tell(walk, a ? CHANGE_REMOVED : CHANGE_ADDED, 0, a, b);
}

/* Tells of the entry that stands next. `ret_again`: the name is to be told once more, as another type. */
static int tell_entry(struct walk *walk, struct pair *pair, enum stand stand, struct below *below,
                      bool *ret_again)
{
    struct inode_record a, b;
    int rc = HF_OK;

    if (stand != AFTER_ALONE)
        rc = record_of(walk, &walk->before, &pair->before.entry, &a);
    if (rc == HF_OK && stand != BEFORE_ALONE)
        rc = record_of(walk, &walk->after, &pair->after.entry, &b);
    if (rc != HF_OK)
        return rc;
    *ret_again = stand == BOTH && (a.mode & S_IFMT) != (b.mode & S_IFMT);
    if (stand == BOTH && !*ret_again)
        return tell_both(walk, &a, &b, below);
    return tell_alone(walk, stand == AFTER_ALONE ? NULL : &a, stand == AFTER_ALONE ? &b : NULL,
                      below);
}

/* Whether two entries of one name are the same at first sight. */
static bool same_entry(const struct walk *walk, const struct dir_entry *a,
                       const struct dir_entry *b)
{
    if (a->record.len == 0 || b->record.len == 0)
        return !walk->linked && a->record.len == b->record.len && a->ino == b->ino;
    return slice_compare(a->record, b->record) == 0 && !(walk->linked && S_ISDIR(a->mode));
}

/* Takes one step: an entry of the innermost directories, or back out of them. */
static int walk_on(struct walk *walk)
{
    struct pair *pair = &walk->pairs[walk->depth - 1];
    struct below below = {0};
    enum stand stand;
    bool again = false;
    int rc = align(&pair->before, &pair->after, !walk->linked, &stand, walk->err);

    if (rc == HF_NOENT) {
        pair_end(pair);
        walk->depth--;
        return HF_OK;
    }
    if (rc != HF_OK)
        return rc;
    if (stand != BOTH || !same_entry(walk, &pair->before.entry, &pair->after.entry)) {
        rc = set_path(walk, stand == AFTER_ALONE ? pair->after.first : pair->before.first);
        if (rc == HF_OK)
            rc = tell_entry(walk, pair, stand, &below, &again);
    }
    if (rc == HF_OK && stand != AFTER_ALONE)
        rc = dircursor_pass(&pair->before, walk->err);
    if (rc == HF_OK && stand != BEFORE_ALONE && !again)
        rc = dircursor_pass(&pair->after, walk->err);
    if (rc == HF_OK && (below.before || below.after))
        rc = descend(walk, below.before ? &below.contents[0] : NULL,
                     below.after ? &below.contents[1] : NULL);
    return rc;
}

/* The top directories, which have no name. */
static int begin(struct walk *walk)
{
    const struct inode_record *a = walk->before.blob ? &walk->before.root.dir : NULL;
    const struct inode_record *b = walk->after.blob ? &walk->after.root.dir : NULL;
    const unsigned what = a && b ? compare(walk->cache, a, b) : 0;
    int rc = buf_append(&walk->path, "", 1);

    if (rc != HF_OK)
        return no_memory(walk);
    walk->path.len = 0;
    if (what)
        rc = tell(walk, CHANGE_MODIFIED, what, a, b);
    return rc == HF_OK ? descend(walk, a ? &a->content : NULL, b ? &b->content : NULL) : rc;
}

int changes_walk(struct blob_cache *cache, const struct object_id *before,
                 const struct object_id *after, change_visit_fn visit, void *arg,
                 struct hf_error *err)
{
    struct walk walk = {.cache = cache, .visit = visit, .arg = arg, .err = err};
    int rc;

    if (before && after && object_id_equal(before, after))
        return HF_OK;
    rc = side_open(&walk, before, &walk.before);
    if (rc == HF_OK)
        rc = side_open(&walk, after, &walk.after);
    if (rc == HF_OK)
        rc = compare_links(&walk);
    if (rc == HF_OK)
        rc = begin(&walk);
    while (rc == HF_OK && walk.depth > 0)
        rc = walk_on(&walk);
    while (walk.depth > 0)
        pair_end(&walk.pairs[--walk.depth]);
    free(walk.pairs);
    buf_free(&walk.path);
    side_close(&walk, &walk.after);
    side_close(&walk, &walk.before);
    return rc;
}
