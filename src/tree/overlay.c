/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/overlay.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/htable.h"
#include "holdfast/error.h"

/** Touching runs are merged up to this length. */
#define MERGE_MAX (64 * 1024)
/** What the allocator and the treap take for one run, about. */
#define RUN_OVERHEAD 160

/* --- the treap: by start, and a heap by priority ------------------------------------------------ */

static void treap_split(struct run *tree, uint64_t start, struct run **left, struct run **right)
{
    while (tree) {
        if (tree->start < start) {
            *left = tree;
            left = &tree->right;
            tree = tree->right;
        } else {
            *right = tree;
            right = &tree->left;
            tree = tree->left;
        }
    }
    *left = *right = NULL;
}

static void treap_insert(struct overlay *overlay, struct run *run)
{
    struct run **link = &overlay->root;

    overlay->random = htable_hash_u64(overlay->random + 0x9e3779b97f4a7c15ULL);
    run->priority = overlay->random;
    while (*link && (*link)->priority >= run->priority)
        link = run->start < (*link)->start ? &(*link)->left : &(*link)->right;
    treap_split(*link, run->start, &run->left, &run->right);
    *link = run;
}

static void treap_remove(struct overlay *overlay, const struct run *run)
{
    struct run **link = &overlay->root, *left = run->left, *right = run->right;

    while (*link != run) {
        assert(*link);
        link = run->start < (*link)->start ? &(*link)->left : &(*link)->right;
    }
    while (left && right) {
        if (left->priority >= right->priority) {
            *link = left;
            link = &left->right;
            left = left->right;
        } else {
            *link = right;
            link = &right->left;
            right = right->left;
        }
    }
    *link = left ? left : right;
}

struct run *overlay_find(const struct overlay *overlay, uint64_t offset)
{
    struct run *run = overlay->root, *before = NULL;

    /* Most writes go on where the last one ended. */
    if (!overlay->last || run_end(overlay->last) <= offset)
        return NULL;
    while (run) {
        if (run->start <= offset) {
            before = run;
            run = run->right;
        } else {
            run = run->left;
        }
    }
    if (!before)
        return overlay->first;
    return run_end(before) > offset ? before : before->next;
}

/* --- runs --------------------------------------------------------------------------------------- */

/** Puts a new run, with its bytes, after `before` (NULL: first). */
static void link_run(struct overlay *overlay, struct run *run, struct run *before)
{
    run->prev = before;
    run->next = before ? before->next : overlay->first;
    *(before ? &before->next : &overlay->first) = run;
    *(run->next ? &run->next->prev : &overlay->last) = run;
    treap_insert(overlay, run);
    overlay->count++;
    overlay->bytes += run->bytes.len;
}

static void free_run(struct run *run)
{
    buf_free(&run->bytes);
    free(run);
}

static void drop_run(struct overlay *overlay, struct run *run)
{
    treap_remove(overlay, run);
    *(run->prev ? &run->prev->next : &overlay->first) = run->next;
    *(run->next ? &run->next->prev : &overlay->last) = run->prev;
    overlay->count--;
    overlay->bytes -= run->bytes.len;
    free_run(run);
}

static struct run *new_run(uint64_t start, const uint8_t *data, size_t len)
{
    struct run *run = calloc(1, sizeof *run);

    if (!run)
        return NULL;
    run->start = start;
    if (buf_append(&run->bytes, data, len) != HF_OK) {
        free(run);
        return NULL;
    }
    return run;
}

/** Joins `run` and the next one when they touch and are short. Out of memory: they just stay apart. */
static void merge_next(struct overlay *overlay, struct run *run)
{
    struct run *next = run->next;

    if (!next || run_end(run) != next->start || run->bytes.len + next->bytes.len > MERGE_MAX)
        return;
    if (buf_append(&run->bytes, next->bytes.data, next->bytes.len) != HF_OK)
        return;
    overlay->bytes += next->bytes.len;
    drop_run(overlay, next);
}

/**
 * Adds bytes where no run is: [offset, offset + len) lies between `before` and the run after it. Takes at
 * most what a run holds; *ret_taken says how much.
 */
static int add(struct overlay *overlay, struct run *before, uint64_t offset, const uint8_t *data,
               size_t len, size_t *ret_taken)
{
    struct run *run = before;
    size_t room = OVERLAY_RUN_MAX;
    int rc;

    if (run && run_end(run) == offset && run->bytes.len < OVERLAY_RUN_MAX) {
        room -= run->bytes.len;
        len = len < room ? len : room;
        if ((rc = buf_append(&run->bytes, data, len)) != HF_OK)
            return rc;
        overlay->bytes += len;
    } else {
        len = len < room ? len : room;
        run = new_run(offset, data, len);
        if (!run)
            return HF_NOMEM;
        link_run(overlay, run, before);
    }
    merge_next(overlay, run);
    *ret_taken = len;
    return HF_OK;
}

static int put(struct overlay *overlay, uint64_t offset, const uint8_t *data, size_t len,
               bool overwrite)
{
    while (len > 0) {
        struct run *run = overlay_find(overlay, offset);
        size_t n = len;
        int rc;

        if (run && run->start <= offset) {
            uint64_t at = offset - run->start;

            n = n < run->bytes.len - at ? n : (size_t)(run->bytes.len - at);
            if (overwrite)
                memcpy(run->bytes.data + at, data, n);
        } else {
            if (run && run->start - offset < n)
                n = (size_t)(run->start - offset);
            rc = add(overlay, run ? run->prev : overlay->last, offset, data, n, &n);
            if (rc != HF_OK)
                return rc;
        }
        offset += n;
        data += n;
        len -= n;
    }
    return HF_OK;
}

int overlay_write(struct overlay *overlay, uint64_t offset, const uint8_t *data, size_t len)
{
    return put(overlay, offset, data, len, true);
}

int overlay_fill(struct overlay *overlay, uint64_t offset, const uint8_t *data, size_t len)
{
    return put(overlay, offset, data, len, false);
}

/* --- forgetting --------------------------------------------------------------------------------- */

static void keep_head(struct overlay *overlay, struct run *run, uint64_t end)
{
    size_t len = (size_t)(end - run->start);

    overlay->bytes -= run->bytes.len - len;
    run->bytes.len = len;
}

static void keep_tail(struct overlay *overlay, struct run *run, uint64_t start)
{
    size_t gone = (size_t)(start - run->start);

    overlay->bytes -= gone;
    run->bytes.len -= gone;
    memmove(run->bytes.data, run->bytes.data + gone, run->bytes.len);
    run->start = start;
}

/** Splits a run around [start, end), which lies within it. */
static int split_run(struct overlay *overlay, struct run *run, uint64_t start, uint64_t end)
{
    size_t skip = (size_t)(end - run->start);
    struct run *tail = new_run(end, run->bytes.data + skip, run->bytes.len - skip);

    if (!tail)
        return HF_NOMEM;
    keep_head(overlay, run, start);
    link_run(overlay, tail, run);
    return HF_OK;
}

int overlay_forget(struct overlay *overlay, uint64_t start, uint64_t end)
{
    struct run *run = overlay_find(overlay, start), *next;

    if (run && run->start < start && run_end(run) > end)
        return split_run(overlay, run, start, end);
    for (; run && run->start < end; run = next) {
        next = run->next;
        if (run->start < start)
            keep_head(overlay, run, start);
        else if (run_end(run) > end)
            keep_tail(overlay, run, end);
        else
            drop_run(overlay, run);
    }
    return HF_OK;
}

void overlay_clear(struct overlay *overlay)
{
    for (struct run *run = overlay->first, *next; run; run = next) {
        next = run->next;
        free_run(run);
    }
    *overlay = (struct overlay){0};
}

size_t overlay_memory(const struct overlay *overlay)
{
    return overlay->bytes + overlay->count * RUN_OVERHEAD;
}
