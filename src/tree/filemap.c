/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/filemap.h"

#include <stdlib.h>
#include <unistd.h>

#include "tree/filemap_state.h"

/** More leaves than these are not kept in memory by reading. */
#define LEAVES_MAX 64
/** Chunks asked for in one call of the store. */
#define PREFETCH_MAX 256

static uint64_t min_u64(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* --- opening ------------------------------------------------------------------------------------ */

static int open_content(struct filemap *map, const struct content *content, uint64_t allocated,
                        struct hf_error *err)
{
    size_t len = content->bytes.len;

    switch (content->kind) {
    case CONTENT_NONE:
        return map->size == 0 ? HF_OK : hf_fail(err, HF_CORRUPT, "a file has no content");
    case CONTENT_INLINE:
        if (map->size != len)
            return hf_fail(err, HF_CORRUPT, "an inline file has not the size it says");
        if (overlay_write(&map->overlay, 0, content->bytes.data, len) != HF_OK)
            return hf_fail(err, HF_NOMEM, "no memory to open a file");
        return HF_OK;
    case CONTENT_EXTENTS:
    case CONTENT_FILE:
        return extent_tree_open(&map->tree, content, map->size, allocated, err);
    default:
        return hf_fail(err, HF_CORRUPT, "a file has the content of a directory");
    }
}

int filemap_open(struct blob_cache *cache, const struct content *content, uint64_t size,
                 uint64_t allocated, struct filemap **ret_map, struct hf_error *err)
{
    static const struct content none = {.kind = CONTENT_NONE};
    struct filemap *map = calloc(1, sizeof *map);
    int rc;

    if (!map)
        return hf_fail(err, HF_NOMEM, "no memory to open a file");
    map->cache = cache;
    map->size = size;
    map->folded = true;
    extent_tree_init(&map->tree, cache);
    rc = open_content(map, content ? content : &none, allocated, err);
    if (rc != HF_OK) {
        filemap_free(map);
        return rc;
    }
    *ret_map = map;
    return HF_OK;
}

void filemap_free(struct filemap *map)
{
    if (!map)
        return;
    extent_tree_clear(&map->tree);
    overlay_clear(&map->overlay);
    formers_clear(&map->formers);
    free(map);
}

uint64_t filemap_size(const struct filemap *map)
{
    return map->size;
}

uint64_t filemap_allocated(const struct filemap *map)
{
    uint64_t sum;

    if (__builtin_add_overflow(map->tree.allocated, map->overlay.bytes, &sum))
        return map->size;
    return min_u64(sum, map->size);
}

size_t filemap_dirty_bytes(const struct filemap *map)
{
    return map->folded ? 0 : overlay_memory(&map->overlay);
}

bool filemap_is_dirty(const struct filemap *map)
{
    return map->dirty;
}

void filemap_trim(struct filemap *map)
{
    extent_tree_trim(&map->tree);
}

void filemap_touch(struct filemap *map)
{
    map->dirty = true;
    map->folded = false;
}

/* --- reading ------------------------------------------------------------------------------------ */

int filemap_chunk(struct filemap *map, const struct extent_cursor *cursor, struct blob **ret_blob,
                  struct hf_error *err)
{
    struct blob *blob;
    int rc = blob_get(map->cache, &cursor->id, &blob, err);

    if (rc != HF_OK)
        return rc;
    if (blob_content(blob).len != cursor->end - cursor->start) {
        blob_unref(map->cache, blob);
        return hf_fail(err, HF_CORRUPT, "a chunk has not the length that its file says");
    }
    *ret_blob = blob;
    return HF_OK;
}

/** Reads the part of the tree's extent under the cursor from `offset` on. */
static int read_extent(struct filemap *map, const struct extent_cursor *cursor, uint64_t offset,
                       size_t len, uint8_t *ret_data, struct hf_error *err)
{
    struct blob *blob;
    int rc;

    if (!cursor->chunk) {
        memset(ret_data, 0, len);
        return HF_OK;
    }
    rc = filemap_chunk(map, cursor, &blob, err);
    if (rc != HF_OK)
        return rc;
    memcpy(ret_data, blob_content(blob).data + (offset - cursor->start), len);
    blob_unref(map->cache, blob);
    return HF_OK;
}

/** Reads from the tree alone. */
static int read_saved(struct filemap *map, uint64_t offset, size_t len, uint8_t *ret_data,
                      struct hf_error *err)
{
    struct extent_cursor cursor;
    int rc = extent_tree_seek(&map->tree, offset, &cursor, err);

    while (rc == HF_OK) {
        size_t n = (size_t)min_u64(len, cursor.end - offset);

        rc = read_extent(map, &cursor, offset, n, ret_data, err);
        offset += n;
        ret_data += n;
        len -= n;
        if (len == 0)
            break;
        if (rc == HF_OK)
            rc = extent_tree_next(&map->tree, &cursor, err);
    }
    return rc;
}

/** Asks for the chunks of [offset, end) together. Errors are left to the reads that follow. */
static void prefetch(struct filemap *map, uint64_t offset, uint64_t end)
{
    const struct run *run = overlay_find(&map->overlay, offset);
    struct object_id ids[PREFETCH_MAX];
    struct extent_cursor cursor;
    size_t n = 0;

    if ((run && run->start <= offset && run_end(run) >= end) || offset >= map->tree.len ||
        extent_tree_seek(&map->tree, offset, &cursor, NULL) != HF_OK)
        return;
    while (cursor.start < end && cursor.end != UINT64_MAX && n < PREFETCH_MAX) {
        if (cursor.chunk)
            ids[n++] = cursor.id;
        if (extent_tree_next(&map->tree, &cursor, NULL) != HF_OK)
            break;
    }
    if (n > 1)
        blob_prefetch(map->cache, ids, n);
}

int filemap_read(struct filemap *map, uint64_t offset, size_t len, uint8_t *ret_data,
                 size_t *ret_len, struct hf_error *err)
{
    uint64_t end = offset, left = offset < map->size ? map->size - offset : 0;
    uint64_t start = offset;

    end += min_u64(len, left);
    if (map->tree.nloaded > LEAVES_MAX)
        filemap_trim(map);
    prefetch(map, offset, end);
    while (offset < end) {
        const struct run *run = overlay_find(&map->overlay, offset);
        uint8_t *at = ret_data + (offset - start);
        size_t n;
        int rc;

        if (run && run->start <= offset) {
            n = (size_t)(min_u64(run_end(run), end) - offset);
            memcpy(at, run->bytes.data + (offset - run->start), n);
        } else {
            n = (size_t)(min_u64(run ? run->start : UINT64_MAX, end) - offset);
            rc = read_saved(map, offset, n, at, err);
            if (rc != HF_OK)
                return rc;
        }
        offset += n;
    }
    *ret_len = (size_t)(end - start);
    return HF_OK;
}

/* --- writing ------------------------------------------------------------------------------------ */

int filemap_write(struct filemap *map, uint64_t offset, const void *data, size_t len,
                  struct hf_error *err)
{
    if (offset > NODE_FILE_SIZE_MAX || len > NODE_FILE_SIZE_MAX - offset)
        return hf_fail(err, HF_FBIG, "a file cannot be that large");
    if (len == 0)
        return HF_OK;
    filemap_touch(map);
    if (overlay_write(&map->overlay, offset, data, len) != HF_OK) {
        overlay_forget(&map->overlay, map->size, UINT64_MAX);
        return hf_fail(err, HF_NOMEM, "no memory for a write of %zu bytes", len);
    }
    if (offset + len > map->size)
        map->size = offset + len;
    return HF_OK;
}

/** Keeps what [from, to) of a chunk holds in the overlay, as the chunk itself is about to go. */
static int keep_part(struct filemap *map, const struct extent_cursor *cursor, uint64_t from,
                     uint64_t to, struct hf_error *err)
{
    const struct run *run = overlay_find(&map->overlay, from);
    struct blob *blob;
    int rc;

    if (from == to || (run && run->start <= from && run_end(run) >= to))
        return HF_OK;
    rc = filemap_chunk(map, cursor, &blob, err);
    if (rc != HF_OK)
        return rc;
    rc = overlay_fill(&map->overlay, from, blob_content(blob).data + (from - cursor->start),
                      (size_t)(to - from));
    blob_unref(map->cache, blob);
    return rc == HF_OK ? HF_OK : hf_fail(err, rc, "no memory for a part of a file");
}

/** Cuts the tree off at `size`, or at the start of the chunk around it, whose head is kept. */
static int shorten(struct filemap *map, uint64_t size, struct hf_error *err)
{
    struct extent_cursor cursor;
    uint64_t end = size;
    int rc;

    if (size >= map->tree.len)
        return HF_OK;
    formers_take(&map->formers, &map->tree, size, UINT64_MAX);
    if (size == 0) {
        extent_tree_clear(&map->tree);
        return HF_OK;
    }
    rc = extent_tree_seek(&map->tree, size, &cursor, err);
    if (rc == HF_OK && cursor.chunk) {
        end = cursor.start;
        rc = keep_part(map, &cursor, end, size, err);
    }
    if (rc == HF_OK)
        rc = extent_tree_splice(&map->tree, end, map->tree.len, NULL, 0, err);
    return rc;
}

int filemap_truncate(struct filemap *map, uint64_t size, struct hf_error *err)
{
    int rc;

    if (size > NODE_FILE_SIZE_MAX)
        return hf_fail(err, HF_FBIG, "a file cannot be that large");
    if (size == map->size)
        return HF_OK;
    filemap_touch(map);
    if (size < map->size) {
        rc = shorten(map, size, err);
        if (rc != HF_OK)
            return rc;
        overlay_forget(&map->overlay, size, UINT64_MAX);
    }
    map->size = size;
    return HF_OK;
}

int filemap_punch(struct filemap *map, uint64_t offset, uint64_t len, struct hf_error *err)
{
    uint64_t end = offset < map->size ? offset + min_u64(len, map->size - offset) : offset;
    uint64_t low = offset, high = end;
    struct extent_cursor cursor;
    int rc;

    if (offset == end)
        return HF_OK;
    filemap_touch(map);
    rc = extent_tree_seek(&map->tree, offset, &cursor, err);
    if (rc == HF_OK && cursor.chunk) {
        low = cursor.start;
        rc = keep_part(map, &cursor, low, offset, err);
    }
    if (rc == HF_OK)
        rc = extent_tree_seek(&map->tree, end, &cursor, err);
    if (rc == HF_OK && cursor.chunk && cursor.start < end) {
        high = cursor.end;
        rc = keep_part(map, &cursor, end, high, err);
    }
    high = min_u64(high, map->tree.len);
    if (rc == HF_OK && low < high) {
        struct extent hole = {.len = high - low, .hole = true};

        rc = extent_tree_splice(&map->tree, low, high, &hole, 1, err);
    }
    if (rc == HF_OK && overlay_forget(&map->overlay, offset, end) != HF_OK)
        rc = hf_fail(err, HF_NOMEM, "no memory to punch a hole");
    return rc;
}

/* --- data and holes ----------------------------------------------------------------------------- */

/** The first data at or after `offset` that the tree has, or `end`. */
static int next_chunk(struct filemap *map, uint64_t offset, uint64_t end, uint64_t *ret_offset,
                      struct hf_error *err)
{
    struct extent_cursor cursor;
    int rc = extent_tree_seek(&map->tree, offset, &cursor, err);

    while (rc == HF_OK && !cursor.chunk && cursor.end < end)
        rc = extent_tree_next(&map->tree, &cursor, err);
    if (rc != HF_OK)
        return rc;
    if (cursor.chunk && cursor.start < end)
        *ret_offset = cursor.start > offset ? cursor.start : offset;
    else
        *ret_offset = end;
    return HF_OK;
}

static int seek_data(struct filemap *map, uint64_t offset, uint64_t *ret_offset,
                     struct hf_error *err)
{
    const struct run *run = overlay_find(&map->overlay, offset);
    uint64_t end = run ? run->start : map->size, found;
    int rc;

    if (run && run->start <= offset) {
        *ret_offset = offset;
        return HF_OK;
    }
    rc = next_chunk(map, offset, end, &found, err);
    if (rc != HF_OK)
        return rc;
    if (found == map->size)
        return HF_NXIO;
    *ret_offset = found;
    return HF_OK;
}

static int seek_hole(struct filemap *map, uint64_t offset, uint64_t *ret_offset,
                     struct hf_error *err)
{
    struct extent_cursor cursor;
    bool dense = map->tree.len == map->size && map->tree.allocated == map->tree.len;
    int rc;

    while (!dense && offset < map->size) {
        const struct run *run = overlay_find(&map->overlay, offset);

        if (run && run->start <= offset) {
            offset = run_end(run);
            continue;
        }
        if (map->tree.nloaded > LEAVES_MAX)
            filemap_trim(map);
        rc = extent_tree_seek(&map->tree, offset, &cursor, err);
        if (rc != HF_OK)
            return rc;
        if (!cursor.chunk)
            break;
        offset = cursor.end;
    }
    *ret_offset = dense ? map->size : min_u64(offset, map->size);
    return HF_OK;
}

int filemap_seek(struct filemap *map, uint64_t offset, int whence, uint64_t *ret_offset,
                 struct hf_error *err)
{
    if (offset >= map->size)
        return HF_NXIO;
    if (whence == SEEK_DATA)
        return seek_data(map, offset, ret_offset, err);
    if (whence == SEEK_HOLE)
        return seek_hole(map, offset, ret_offset, err);
    return hf_fail(err, HF_INVAL, "unknown direction of a seek");
}
