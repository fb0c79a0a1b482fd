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

#include "base/parallel.h"
#include "tree/filemap_state.h"
#include "tree/trail.h"

/** Dirty bytes taken into the window at once. */
#define PIECE (16 * 1024)
/** With so many bytes of chunks copied from the window, what is cut so far is made objects of. */
#define COPIED_MAX (2 << 20)
/** With more leaves in memory than this, folding writes those that changed. */
#define LEAVES_MAX 128

/* A chunk that is cut, and not an object yet. */
struct cut {
    struct slice content; /* in a run, or */
    uint8_t *copy;        /* here */
    struct object_id id;
};

struct fold {
    struct filemap *map;
    struct blob_sink *sink;
    struct chunker_params params;
    struct buf window; /* content from `pos` to `filled`, after `head` bytes that are done */
    size_t head;
    uint64_t pos, filled;
    bool data_end;    /* a hole or the end of the file is at `filled` */
    struct cut *cuts; /* what lies between `emitted` and `pos` */
    size_t ncuts, cuts_cap;
    size_t cut_bytes, copied; /* of them; of their copies */
    uint64_t emitted;
    struct extent *extents;
    size_t count, cap;
    struct trail trail;
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

/** Length of the next chunk, if a run has all of it for certain; else 0. */
static size_t cut_run(struct fold *fold, const uint8_t **ret_data)
{
    const struct run *run = overlay_find(&fold->map->overlay, fold->pos);
    size_t len;

    if (!run || run->start > fold->pos || run_end(run) - fold->pos < fold->params.max)
        return 0;
    *ret_data = run->bytes.data + (fold->pos - run->start);
    len = chunker_cut(&fold->params, *ret_data, fold->params.max);
    fold->window.len = fold->head = 0;
    fold->filled = fold->pos + len;
    fold->data_end = false;
    return len;
}

/** Length of the next chunk, whose bytes are then in the window. */
static int cut_window(struct fold *fold, size_t *ret_len)
{
    size_t len = 0, seen = 0;
    int rc;

    for (;;) {
        size_t have = fold->window.len - fold->head;

        /* What is in memory anyway is taken before a look is worth its while. */
        if (have > 0 &&
            (fold->data_end || have >= fold->params.max || !is_dirty_at(fold->map, fold->filled))) {
            if (have != seen) /* else only the end of the data was found meanwhile */
                len = chunker_cut(&fold->params, fold->window.data + fold->head, have);
            seen = have;
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

/** What the chunk `cut` at `start` is packed against: what was there, or in an earlier file. */
static int choose_base(struct fold *fold, const struct cut *cut, uint64_t start,
                       struct object_id *ret_base, bool *ret_found)
{
    int rc = find_base(fold, start, start + cut->content.len, ret_base, ret_found);

    if (rc == HF_OK && !trail_meet(&fold->trail, &cut->id) && !*ret_found)
        *ret_found = trail_find(&fold->trail, cut->content, ret_base);
    return rc;
}

/** Makes an object of the next chunk that is cut. */
static int emit(struct fold *fold, const struct cut *cut)
{
    struct extent extent = {.len = cut->content.len, .id = cut->id};
    struct object_id base;
    bool has_base = false;
    int rc = reserve_extent(fold);

    if (rc == HF_OK)
        rc = choose_base(fold, cut, fold->emitted, &base, &has_base);
    if (rc == HF_OK)
        rc = blob_sink_add_as(fold->sink, OBJECT_CHUNK, &cut->id, cut->content,
                              has_base ? &base : NULL, fold->err);
    if (rc != HF_OK)
        return rc;
    trail_pass(&fold->trail, &cut->id);
    formers_met(&fold->map->formers, &cut->id, fold->emitted);
    fold->extents[fold->count++] = extent;
    fold->emitted += cut->content.len;
    return HF_OK;
}

static void drop_cuts(struct fold *fold)
{
    for (size_t i = 0; i < fold->ncuts; i++)
        free(fold->cuts[i].copy);
    fold->ncuts = fold->cut_bytes = fold->copied = 0;
}

static int hash_cut(void *arg, size_t i, unsigned lane)
{
    const struct fold *fold = arg;
    struct cut *cut = &fold->cuts[i];

    (void)lane;
    return object_id_compute(&store_info(blob_cache_store(fold->map->cache))->hasher, OBJECT_CHUNK,
                             cut->content.data, cut->content.len, &cut->id);
}

/** Makes objects of all that is cut. */
static int emit_all(struct fold *fold)
{
    int rc = parallel_each(fold->ncuts, fold->cut_bytes, hash_cut, fold);

    if (rc != HF_OK)
        rc = no_memory(fold);
    for (size_t i = 0; i < fold->ncuts && rc == HF_OK; i++)
        rc = emit(fold, &fold->cuts[i]);
    drop_cuts(fold);
    return rc;
}

static int reserve_cut(struct fold *fold)
{
    size_t cap = fold->cuts_cap ? fold->cuts_cap * 2 : 16;
    struct cut *cuts;

    if (fold->ncuts < fold->cuts_cap)
        return HF_OK;
    cuts = reallocarray(fold->cuts, cap, sizeof *cuts);
    if (!cuts)
        return no_memory(fold);
    fold->cuts = cuts;
    fold->cuts_cap = cap;
    return HF_OK;
}

/** Takes the first `len` bytes out of the window. NULL without memory. */
static uint8_t *copy_window(struct fold *fold, size_t len)
{
    uint8_t *copy = malloc(len);

    if (!copy)
        return NULL;
    memcpy(copy, fold->window.data + fold->head, len);
    fold->head += len;
    fold->copied += len;
    return copy;
}

/** Cuts one more chunk. */
static int cut_next(struct fold *fold)
{
    const uint8_t *data = NULL;
    struct cut cut = {0};
    size_t len;
    int rc = reserve_cut(fold);

    if (rc != HF_OK)
        return rc;
    len = cut_run(fold, &data);
    if (len == 0) {
        rc = cut_window(fold, &len);
        if (rc != HF_OK)
            return rc;
        data = cut.copy = copy_window(fold, len);
    }
    if (!data)
        return no_memory(fold);
    cut.content = slice_of(data, len);
    fold->cuts[fold->ncuts++] = cut;
    fold->cut_bytes += len;
    fold->pos += len;
    return fold->copied > COPIED_MAX ? emit_all(fold) : HF_OK;
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

    fold->pos = fold->filled = fold->emitted = start;
    fold->window.len = fold->head = 0;
    fold->data_end = false;
    fold->count = 0;
    fold->trail = (struct trail){.cache = fold->map->cache};
    while (rc == HF_OK && !stop) {
        rc = cut_next(fold);
        if (rc == HF_OK)
            rc = find_stop(fold, &stop);
    }
    if (rc == HF_OK)
        rc = emit_all(fold);
    drop_cuts(fold);
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
    free(fold.cuts);
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
