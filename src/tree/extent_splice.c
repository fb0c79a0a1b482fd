/* SPDX-License-Identifier: Apache-2.0 */
/* Changing the extents of a file. */
#include <assert.h>
#include <stdlib.h>

#include "tree/extent_tree.h"

/** A changed leaf that grows beyond twice this is split, so that a splice moves few extents. */
#define SPLIT 256

/** Extents in order, adjacent holes merged. */
struct extent_vec {
    struct extent *items;
    size_t count, cap;
};

/** What a splice replaces. */
struct splice {
    uint64_t start, end;
    size_t first, last;        /**< the leaves concerned, if the tree has any */
    uint64_t allocated;        /**< bytes in chunks of those leaves before */
    struct extent_vec extents; /**< what they hold afterwards */
};

static int vec_push(struct extent_vec *vec, const struct extent *extent)
{
    if (extent->len == 0)
        return HF_OK;
    if (extent->hole && vec->count > 0 && vec->items[vec->count - 1].hole) {
        vec->items[vec->count - 1].len += extent->len;
        return HF_OK;
    }
    if (vec->count == vec->cap) {
        size_t cap = vec->cap ? vec->cap * 2 : 32;
        struct extent *items = reallocarray(vec->items, cap, sizeof *items);

        if (!items)
            return HF_NOMEM;
        vec->items = items;
        vec->cap = cap;
    }
    vec->items[vec->count++] = *extent;
    return HF_OK;
}

/** Pushes the part of a leaf that lies in [from, to). Only holes are cut. */
static int push_part(struct extent_vec *vec, const struct leaf *leaf, uint64_t from, uint64_t to)
{
    uint64_t start = leaf->start;
    int rc = HF_OK;

    for (uint32_t i = 0; rc == HF_OK && i < leaf->count && start < to; i++) {
        struct extent extent = leaf->extents[i];
        uint64_t end = start + extent.len;

        if (end > from) {
            uint64_t low = start > from ? start : from, high = end < to ? end : to;

            assert(extent.hole || (low == start && high == end));
            extent.len = high - low;
            rc = vec_push(vec, &extent);
        }
        start = end;
    }
    return rc;
}

static uint64_t chunk_bytes(const struct extent *extents, size_t n)
{
    uint64_t sum = 0;

    assert(extents || n == 0);
    for (size_t i = 0; i < n; i++)
        sum += extents[i].hole ? 0 : extents[i].len;
    return sum;
}

/** Takes a neighbour in when a hole of the new extents would touch one of its own. */
static int widen(struct extent_tree *tree, struct splice *splice, const struct extent *extents,
                 size_t n, struct hf_error *err)
{
    int rc;

    if (n == 0)
        return HF_OK;
    if (extents[0].hole && splice->first > 0 &&
        tree->leaves[splice->first].start == splice->start) {
        if ((rc = extent_leaf_load(tree, splice->first - 1, err)) != HF_OK)
            return rc;
        const struct leaf *before = &tree->leaves[splice->first - 1];

        if (before->extents[before->count - 1].hole)
            splice->first--;
    }
    if (extents[n - 1].hole && splice->last + 1 < tree->nleaves &&
        extent_leaf_end(tree, splice->last) == splice->end) {
        if ((rc = extent_leaf_load(tree, splice->last + 1, err)) != HF_OK)
            return rc;
        if (tree->leaves[splice->last + 1].extents[0].hole)
            splice->last++;
    }
    return HF_OK;
}

/** Loads the leaves concerned, and counts what is allocated in them. */
static int survey(struct extent_tree *tree, struct splice *splice, struct hf_error *err)
{
    for (size_t i = splice->first; i <= splice->last; i++) {
        const struct leaf *leaf = &tree->leaves[i];
        bool was_loaded = leaf->extents != NULL;
        int rc = extent_leaf_load(tree, i, err);

        if (rc != HF_OK)
            return rc;
        splice->allocated += chunk_bytes(leaf->extents, leaf->count);
        if (!was_loaded && i > splice->first && i < splice->last)
            extent_leaf_drop(tree, i);
    }
    return HF_OK;
}

static int gather(const struct extent_tree *tree, struct splice *splice,
                  const struct extent *extents, size_t n)
{
    bool any = tree->nleaves > 0;
    int rc = HF_OK;

    if (any)
        rc = push_part(&splice->extents, &tree->leaves[splice->first], 0, splice->start);
    for (size_t i = 0; rc == HF_OK && i < n; i++)
        rc = vec_push(&splice->extents, &extents[i]);
    if (rc == HF_OK && any && splice->end < tree->len)
        rc = push_part(&splice->extents, &tree->leaves[splice->last], splice->end, UINT64_MAX);
    return rc;
}

/** Makes `n` leaves of the gathered extents, from `start` on. */
static int make_pieces(const struct extent_vec *vec, uint64_t start, struct leaf *pieces, size_t n)
{
    size_t done = 0;

    for (size_t i = 0; i < n; i++) {
        size_t count = (vec->count - done) / (n - i);
        struct extent *extents = malloc(count * sizeof *extents);

        if (!extents) {
            while (i-- > 0)
                free(pieces[i].extents);
            return HF_NOMEM;
        }
        memcpy(extents, vec->items + done, count * sizeof *extents);
        pieces[i] = (struct leaf){.start = start,
                                  .extents = extents,
                                  .count = (uint32_t)count,
                                  .parent = EXTENT_NO_PARENT};
        for (size_t j = 0; j < count; j++)
            start += extents[j].len;
        done += count;
    }
    return HF_OK;
}

static int reserve_leaves(struct extent_tree *tree, size_t more)
{
    size_t need = tree->nleaves + more, cap = tree->cap + tree->cap / 2;
    struct leaf *leaves;

    if (need <= tree->cap)
        return HF_OK;
    cap = cap < need ? need : cap;
    leaves = reallocarray(tree->leaves, cap, sizeof *leaves);
    if (!leaves)
        return HF_NOMEM;
    tree->leaves = leaves;
    tree->cap = cap;
    return HF_OK;
}

/** The first piece is what becomes of the first leaf, which its node will be packed against. */
static void inherit(const struct extent_tree *tree, const struct splice *splice,
                    struct leaf *pieces, size_t n)
{
    const struct leaf *old = tree->nleaves > 0 ? &tree->leaves[splice->first] : NULL;

    if (!old || n == 0 || !(old->stored || old->replaces))
        return;
    pieces[0].replaces = true;
    pieces[0].id = old->id;
}

/** Puts the pieces where the leaves first..last are. Cannot fail. */
static void replace_leaves(struct extent_tree *tree, const struct splice *splice,
                           const struct leaf *pieces, size_t n)
{
    size_t gone = tree->nleaves > 0 ? splice->last - splice->first + 1 : 0;
    struct leaf *at = tree->leaves + splice->first;

    for (size_t i = 0; i < gone; i++)
        extent_leaf_drop(tree, splice->first + i);
    if (gone != n)
        memmove(at + n, at + gone, (tree->nleaves - splice->first - gone) * sizeof *at);
    memcpy(at, pieces, n * sizeof *at);
    tree->nleaves = tree->nleaves - gone + n;
    tree->nloaded += n;
}

/** Moves what comes after the first `n` leaves along with the end of the tree. */
static void shift_leaves(struct extent_tree *tree, size_t n, uint64_t new_len)
{
    uint64_t shift = new_len - tree->len;

    for (size_t i = n; shift != 0 && i < tree->nleaves; i++)
        tree->leaves[i].start += shift;
    tree->len = new_len;
}

static int apply(struct extent_tree *tree, struct splice *splice, uint64_t new_len)
{
    size_t count = splice->extents.count;
    size_t n = count > 2 * SPLIT ? (count + SPLIT - 1) / SPLIT : count > 0 ? 1 : 0;
    uint64_t start = tree->nleaves > 0 ? tree->leaves[splice->first].start : 0;
    struct leaf *pieces = calloc(n ? n : 1, sizeof *pieces);
    int rc = pieces ? reserve_leaves(tree, n) : HF_NOMEM;

    if (rc == HF_OK)
        rc = make_pieces(&splice->extents, start, pieces, n);
    if (rc == HF_OK) {
        inherit(tree, splice, pieces, n);
        replace_leaves(tree, splice, pieces, n);
        /* A record that was damaged may say less than there is. */
        tree->allocated -=
            tree->allocated < splice->allocated ? tree->allocated : splice->allocated;
        tree->allocated += chunk_bytes(splice->extents.items, count);
        shift_leaves(tree, splice->first + n, new_len);
    }
    free(pieces);
    return rc;
}

static void locate(const struct extent_tree *tree, struct splice *splice)
{
    if (tree->nleaves == 0)
        return;
    splice->first =
        splice->start < tree->len ? extent_leaf_find(tree, splice->start) : tree->nleaves - 1;
    splice->last = splice->first;
    if (splice->end > splice->start)
        splice->last = extent_leaf_find(tree, splice->end - 1);
}

int extent_tree_splice(struct extent_tree *tree, uint64_t start, uint64_t end,
                       const struct extent *extents, size_t n, struct hf_error *err)
{
    struct splice splice = {.start = start, .end = end};
    uint64_t new_len;
    int rc = extent_tree_load(tree, err);

    if (rc != HF_OK)
        return rc;
    assert(start <= end && end <= tree->len);
    new_len = tree->len - (end - start);
    for (size_t i = 0; i < n; i++)
        new_len += extents[i].len;
    if (new_len == 0) {
        extent_tree_clear(tree);
        return HF_OK;
    }
    locate(tree, &splice);
    rc = tree->nleaves > 0 ? widen(tree, &splice, extents, n, err) : HF_OK;
    if (rc == HF_OK && tree->nleaves > 0)
        rc = survey(tree, &splice, err);
    if (rc != HF_OK)
        return rc;
    rc = gather(tree, &splice, extents, n);
    if (rc == HF_OK)
        rc = apply(tree, &splice, new_len);
    free(splice.extents.items);
    return rc == HF_OK ? HF_OK : hf_fail(err, rc, "no memory for the extents of a file");
}

int extent_tree_extend(struct extent_tree *tree, uint64_t len, struct hf_error *err)
{
    struct extent hole = {.hole = true};

    if (len <= tree->len)
        return HF_OK;
    hole.len = len - tree->len;
    return extent_tree_splice(tree, tree->len, tree->len, &hole, 1, err);
}
