/* SPDX-License-Identifier: Apache-2.0 */
/* Turning unsaved writes into chunks. For each dirty run:
 *
 *      old chunks   |  a  |    b    |  c  |   d    |  e  |
 *      dirty                  ######
 *      cut anew           |      x     | y |        where a new boundary falls on an old one past the run,
 *                         start            stop     all later ones are the same: a x y d e
 *
 * Holes are boundaries of their own: what lies between two of them is cut from its first byte. */
#include <assert.h>
#include <stdlib.h>

#include "tree/filemap_state.h"

/** Dirty bytes taken into the window at once. */
#define PIECE (256 * 1024)
/** With more leaves in memory than this, folding writes those that changed. */
#define LEAVES_MAX 128

struct fold {
    struct filemap *map;
    struct blob_sink *sink;
    struct chunker_params params;
    struct buf window; /* content from `pos` to `filled`, after `head` bytes that are done */
    size_t head;
    uint64_t pos, filled;
    bool data_end; /* a hole or the end of the file is at `filled` */
    struct extent *extents;
    size_t count, cap;
    struct hf_error *err;
};

static int no_memory(const struct fold *fold)
{
    return hf_fail(fold->err, HF_NOMEM, "no memory to save unsaved writes");
}

/* --- the window --------------------------------------------------------------------------------- */

static int append(struct fold *fold, const uint8_t *data, size_t len)
{
    if (fold->head > 0) {
        fold->window.len -= fold->head;
        memmove(fold->window.data, fold->window.data + fold->head, fold->window.len);
        fold->head = 0;
    }
    if (buf_append(&fold->window, data, len) != HF_OK)
        return no_memory(fold);
    fold->filled += len;
    return HF_OK;
}

static int append_chunk(struct fold *fold, uint64_t limit)
{
    struct extent_cursor cursor;
    struct blob *blob;
    int rc = extent_tree_seek(&fold->map->tree, fold->filled, &cursor, fold->err);

    if (rc != HF_OK)
        return rc;
    if (!cursor.chunk) {
        fold->data_end = true;
        return HF_OK;
    }
    rc = filemap_chunk(fold->map, &cursor, &blob, fold->err);
    if (rc != HF_OK)
        return rc;
    limit = limit < cursor.end ? limit : cursor.end;
    rc = append(fold, blob_content(blob).data + (fold->filled - cursor.start),
                (size_t)(limit - fold->filled));
    blob_unref(fold->map->cache, blob);
    return rc;
}

/** Takes one more run or chunk into the window, or finds that the data ends. */
static int fill(struct fold *fold)
{
    const struct run *run = overlay_find(&fold->map->overlay, fold->filled);
    size_t len;

    if (!run || run->start > fold->filled)
        return append_chunk(fold, run ? run->start : UINT64_MAX);
    len = (size_t)(run_end(run) - fold->filled);
    return append(fold, run->bytes.data + (fold->filled - run->start), len < PIECE ? len : PIECE);
}

static bool is_dirty_at(const struct filemap *map, uint64_t offset)
{
    const struct run *run = overlay_find(&map->overlay, offset);

    return run && run->start <= offset;
}

/** Length of the next chunk, whose bytes are then in the window. */
static int cut(struct fold *fold, size_t *ret_len)
{
    size_t len = 0;
    int rc;

    for (;;) {
        size_t have = fold->window.len - fold->head;

        /* What is in memory anyway is taken before a look is worth its while. */
        if (have > 0 &&
            (fold->data_end || have >= fold->params.max || !is_dirty_at(fold->map, fold->filled))) {
            len = chunker_cut(&fold->params, fold->window.data + fold->head, have);
            if (len < have || len == fold->params.max || fold->data_end)
                break;
        }
        if ((rc = fill(fold)) != HF_OK)
            return rc;
    }
    *ret_len = len;
    return HF_OK;
}

/* --- chunks ------------------------------------------------------------------------------------- */

/** The old chunk that most of [start, end) lies in, or lay in before the file was cut off. */
static int find_base(struct fold *fold, uint64_t start, uint64_t end, struct object_id *ret_base,
                     bool *ret_found)
{
    struct extent_tree *tree = &fold->map->tree;
    struct extent_cursor cursor;
    uint64_t best = 0;
    int rc = HF_OK;

    *ret_found = formers_find(&fold->map->formers, start, end, ret_base);
    if (start >= tree->len)
        return HF_OK;
    rc = extent_tree_seek(tree, start, &cursor, fold->err);
    while (rc == HF_OK && cursor.start < end && cursor.end != UINT64_MAX) {
        uint64_t low = cursor.start > start ? cursor.start : start;
        uint64_t high = cursor.end < end ? cursor.end : end;

        if (cursor.chunk && high - low > best) {
            best = high - low;
            *ret_base = cursor.id;
            *ret_found = true;
        }
        rc = extent_tree_next(tree, &cursor, fold->err);
    }
    return rc;
}

static int reserve_extent(struct fold *fold)
{
    size_t cap = fold->cap ? fold->cap * 2 : 16;
    struct extent *extents;

    if (fold->count < fold->cap)
        return HF_OK;
    extents = reallocarray(fold->extents, cap, sizeof *extents);
    if (!extents)
        return no_memory(fold);
    fold->extents = extents;
    fold->cap = cap;
    return HF_OK;
}

/** Makes a chunk of the first `len` bytes in the window. */
static int emit(struct fold *fold, size_t len)
{
    struct extent extent = {.len = len};
    struct object_id base;
    bool has_base;
    int rc = reserve_extent(fold);

    if (rc == HF_OK)
        rc = find_base(fold, fold->pos, fold->pos + len, &base, &has_base);
    if (rc == HF_OK)
        rc = blob_sink_add(fold->sink, OBJECT_CHUNK, slice_of(fold->window.data + fold->head, len),
                           has_base ? &base : NULL, &extent.id, fold->err);
    if (rc != HF_OK)
        return rc;
    formers_met(&fold->map->formers, &extent.id, fold->pos);
    fold->extents[fold->count++] = extent;
    fold->head += len;
    fold->pos += len;
    return HF_OK;
}

/* --- one stretch of changed content ------------------------------------------------------------- */

/** Where to begin for a run at `offset`: at the chunk around it, or at one that ended there only
 *  because the data did. */
static int find_start(struct fold *fold, uint64_t offset, uint64_t *ret_start)
{
    struct extent_tree *tree = &fold->map->tree;
    struct extent_cursor cursor;
    int rc = extent_tree_seek(tree, offset, &cursor, fold->err);

    if (rc == HF_OK && offset > 0 && !cursor.chunk && cursor.start == offset) {
        rc = extent_tree_seek(tree, offset - 1, &cursor, fold->err);
    }
    if (rc == HF_OK)
        *ret_start = cursor.chunk ? cursor.start : offset;
    return rc;
}

/** Whether what follows `pos` stays as it is. */
static int find_stop(struct fold *fold, bool *ret_stop)
{
    struct extent_cursor cursor;
    int rc;

    *ret_stop = false;
    if (is_dirty_at(fold->map, fold->pos))
        return HF_OK;
    rc = extent_tree_seek(&fold->map->tree, fold->pos, &cursor, fold->err);
    if (rc == HF_OK)
        *ret_stop = !cursor.chunk || cursor.start == fold->pos;
    return rc;
}

/** Puts the new chunks from `start` to fold->pos in the place of what was there. */
static int apply(struct fold *fold, uint64_t start)
{
    struct extent_tree *tree = &fold->map->tree;
    uint64_t end = fold->pos;
    int rc = extent_tree_extend(tree, start, fold->err);

    if (rc == HF_OK)
        rc = extent_tree_splice(tree, start, end < tree->len ? end : tree->len, fold->extents,
                                fold->count, fold->err);
    /* No run goes on past the end, so none is split, and this cannot fail. */
    if (rc == HF_OK)
        overlay_forget(&fold->map->overlay, start, end);
    return rc;
}

/** Folds the first run, and those that are met while cutting. */
static int fold_first(struct fold *fold)
{
    uint64_t start = 0;
    bool stop = false;
    int rc = find_start(fold, fold->map->overlay.first->start, &start);

    fold->pos = fold->filled = start;
    fold->window.len = fold->head = 0;
    fold->data_end = false;
    fold->count = 0;
    while (rc == HF_OK && !stop) {
        size_t len = 0;

        rc = cut(fold, &len);
        if (rc == HF_OK)
            rc = emit(fold, len);
        if (rc == HF_OK)
            rc = find_stop(fold, &stop);
    }
    return rc == HF_OK ? apply(fold, start) : rc;
}

static int fold_runs(struct filemap *map, struct blob_sink *sink, struct hf_error *err)
{
    const struct store_info *info = store_info(blob_cache_store(map->cache));
    struct fold fold = {.map = map, .sink = sink, .params = info->chunker, .err = err};
    int rc = HF_OK;

    while (rc == HF_OK && map->overlay.first) {
        rc = fold_first(&fold);
        if (rc == HF_OK && map->tree.nloaded > LEAVES_MAX) {
            rc = extent_tree_settle(&map->tree, sink, err);
            extent_tree_trim(&map->tree);
        }
    }
    buf_free(&fold.window);
    free(fold.extents);
    return rc;
}

/** Makes one run of a file that is short enough to lie in its inode. */
static int fold_short(struct filemap *map, struct hf_error *err)
{
    struct overlay overlay = {0};
    uint8_t data[NODE_INLINE_MAX];
    size_t len;
    int rc = filemap_read(map, 0, (size_t)map->size, data, &len, err);

    if (rc != HF_OK)
        return rc;
    assert(len == map->size);
    if (overlay_write(&overlay, 0, data, len) != HF_OK)
        return hf_fail(err, HF_NOMEM, "no memory to save unsaved writes");
    overlay_clear(&map->overlay);
    extent_tree_clear(&map->tree);
    map->overlay = overlay;
    return HF_OK;
}

int filemap_fold(struct filemap *map, struct blob_sink *sink, struct hf_error *err)
{
    int rc;

    if (map->folded)
        return HF_OK;
    if (map->size <= NODE_INLINE_MAX) {
        rc = fold_short(map, err);
    } else {
        rc = fold_runs(map, sink, err);
        if (rc == HF_OK)
            rc = extent_tree_extend(&map->tree, map->size, err);
    }
    if (rc == HF_OK)
        map->folded = true;
    return rc;
}

int filemap_save(struct filemap *map, struct blob_sink *sink, struct content *ret_content,
                 struct hf_error *err)
{
    struct content content = {.kind = CONTENT_NONE};
    int rc = filemap_fold(map, sink, err);

    if (rc == HF_OK && map->size > NODE_INLINE_MAX) {
        rc = extent_tree_save(&map->tree, sink, &content, err);
    } else if (rc == HF_OK && map->size > 0) {
        content.kind = CONTENT_INLINE;
        content.bytes = buf_slice(&map->overlay.first->bytes);
    }
    if (rc != HF_OK)
        return rc;
    formers_clear(&map->formers);
    map->dirty = false;
    *ret_content = content;
    return HF_OK;
}
