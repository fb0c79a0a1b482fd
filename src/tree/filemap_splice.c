/* SPDX-License-Identifier: Apache-2.0 */
/* Replacing bytes of a file by others of any number.
 *
 *      before   |   a   |   b    |   c   |  d  |          the chunks around the change leave the tree; a hole
 *                           ##start...end##               of the new length comes in their place, and over it,
 *      after    |  a  |  hole of any length |  d  |       in the overlay, what becomes of their bytes:
 *      overlay         [head of b][data][tail of c]       folding cuts that until it meets an old boundary
 */
#include <assert.h>

#include "tree/filemap_state.h"

struct splice {
    uint64_t from, to; /* what leaves the tree: around [start, end), at boundaries or in holes */
    struct slice head, tail;
    struct blob *first, *last; /* that these lie in */
    struct overlay overlay;    /* of the file afterwards */
};

/** A file that lies in its inode has no tree, and all its bytes are replaced. */
static void survey_short(const struct filemap *map, uint64_t start, uint64_t end,
                         struct splice *splice)
{
    const struct run *run = map->overlay.first;

    splice->to = 0;
    if (!run)
        return;
    splice->head = slice_of(run->bytes.data, (size_t)start);
    splice->tail = slice_of(run->bytes.data + end, run->bytes.len - (size_t)end);
}

/** The chunk before `start` is taken too: it may have ended there only because the data did. */
static int survey_head(struct filemap *map, uint64_t start, struct splice *splice,
                       struct hf_error *err)
{
    struct extent_cursor cursor;
    int rc;

    splice->from = start;
    if (start == 0)
        return HF_OK;
    rc = extent_tree_seek(&map->tree, start - 1, &cursor, err);
    if (rc != HF_OK || !cursor.chunk)
        return rc;
    rc = filemap_chunk(map, &cursor, &splice->first, err);
    if (rc != HF_OK)
        return rc;
    splice->from = cursor.start;
    splice->head = slice_of(blob_content(splice->first).data, (size_t)(start - cursor.start));
    return HF_OK;
}

static int survey_tail(struct filemap *map, uint64_t end, struct splice *splice,
                       struct hf_error *err)
{
    struct extent_cursor cursor;
    int rc = extent_tree_seek(&map->tree, end, &cursor, err);

    splice->to = end;
    if (rc != HF_OK || !cursor.chunk || cursor.start == end)
        return rc;
    rc = filemap_chunk(map, &cursor, &splice->last, err);
    if (rc != HF_OK)
        return rc;
    splice->to = cursor.end;
    splice->tail = slice_of(blob_content(splice->last).data + (end - cursor.start),
                            (size_t)(cursor.end - end));
    return HF_OK;
}

/** Lays out what comes in the place of [from, to). */
static int lay_over(struct splice *splice, struct slice data, struct hf_error *err)
{
    const struct slice parts[] = {splice->head, data, splice->tail};
    uint64_t at = splice->from;
    int rc = HF_OK;

    for (size_t i = 0; rc == HF_OK && i < sizeof parts / sizeof parts[0]; i++) {
        if (parts[i].len > 0)
            rc = overlay_write(&splice->overlay, at, parts[i].data, parts[i].len);
        at += parts[i].len;
    }
    return rc == HF_OK ? rc : hf_fail(err, rc, "no memory to splice %zu bytes", data.len);
}

/** Makes room in the tree. Nothing fails after it did not. */
static int make_room(struct filemap *map, const struct splice *splice, struct hf_error *err)
{
    const struct extent hole = {.len = splice->overlay.bytes, .hole = true};

    if (splice->to == 0 && map->tree.len == 0)
        return HF_OK;
    formers_take(&map->formers, &map->tree, splice->from, splice->to);
    return extent_tree_splice(&map->tree, splice->from, splice->to, &hole, 1, err);
}

int filemap_splice(struct filemap *map, uint64_t start, uint64_t end, struct slice data,
                   struct blob_sink *sink, struct hf_error *err)
{
    struct splice splice = {0};
    int rc;

    if (start > end || end > map->size)
        return hf_fail(err, HF_INVAL, "the file has only %llu bytes",
                       (unsigned long long)map->size);
    if (data.len > NODE_FILE_SIZE_MAX - (map->size - (end - start)))
        return hf_fail(err, HF_FBIG, "a file cannot be that large");
    rc = filemap_fold(map, sink, err);
    if (rc != HF_OK)
        return rc;
    if (map->tree.len == 0) {
        survey_short(map, start, end, &splice);
    } else {
        rc = survey_head(map, start, &splice, err);
        if (rc == HF_OK)
            rc = survey_tail(map, end, &splice, err);
    }
    if (rc == HF_OK)
        rc = lay_over(&splice, data, err);
    if (rc == HF_OK)
        rc = make_room(map, &splice, err);
    if (rc == HF_OK) {
        struct overlay old = map->overlay;

        map->overlay = splice.overlay;
        splice.overlay = old;
        map->size += data.len - (end - start);
        filemap_touch(map);
    }
    blob_unref(map->cache, splice.first);
    blob_unref(map->cache, splice.last);
    overlay_clear(&splice.overlay);
    return rc;
}
