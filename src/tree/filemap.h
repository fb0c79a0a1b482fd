/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The content of one regular file: extents of immutable chunks, under an overlay of unsaved writes.
 *
 *      write --> overlay (dirty runs, in memory)
 *                   | filemap_fold: re-cuts from the chunk that holds the first changed byte to the
 *                   v               first old boundary met again; new chunks go to the sink
 *      extents:  [leaf][leaf][leaf]…   leaves of FILE nodes, each read when first needed
 *                   | filemap_save: writes changed FILE nodes to the sink
 *                   v
 *      struct content in the inode record (NONE, INLINE, EXTENTS or FILE)
 *
 * Memory: bounded by the dirty bytes (the caller folds when filemap_dirty_bytes() grows), the leaves in
 * use, and 56 bytes or so for each leaf (about 1 MiB of file). Guarded by the session's lock.
 */
#ifndef TREE_FILEMAP_H
#define TREE_FILEMAP_H

#include "object/node.h"
#include "tree/blob.h"

struct filemap;

/** Opens the content of a file of `size` bytes, of which `allocated` are no holes (both as the inode record
 *  says); reads nothing yet. `content->bytes` is copied. Pass content NULL for an empty file. */
int filemap_open(struct blob_cache *cache, const struct content *content, uint64_t size,
                 uint64_t allocated, struct filemap **ret_map, struct hf_error *err);
void filemap_free(struct filemap *map);

uint64_t filemap_size(const struct filemap *map);
/** Bytes that are not holes, unsaved writes included; exact after a fold, else an upper bound. */
uint64_t filemap_allocated(const struct filemap *map);
/** Bytes of unsaved writes held in memory. */
size_t filemap_dirty_bytes(const struct filemap *map);
/** Whether anything (size too) changed since filemap_save(). */
bool filemap_is_dirty(const struct filemap *map);

/** Reads up to `len` bytes at `offset`; short at the end of the file. */
int filemap_read(struct filemap *map, uint64_t offset, size_t len, uint8_t *ret_data,
                 size_t *ret_len, struct hf_error *err);
/** Writes; a gap past the end becomes a hole. HF_FBIG past NODE_FILE_SIZE_MAX, HF_NOMEM. */
int filemap_write(struct filemap *map, uint64_t offset, const void *data, size_t len,
                  struct hf_error *err);
/** Cuts off, or extends with a hole. */
int filemap_truncate(struct filemap *map, uint64_t size, struct hf_error *err);
/** Makes [offset, offset + len) a hole, within the file's size. */
int filemap_punch(struct filemap *map, uint64_t offset, uint64_t len, struct hf_error *err);
/**
 * Puts `data` in the place of [start, end), whatever the lengths: the rest of the file, holes too, moves along, and
 * only the chunks around the change are cut anew. Folds first. HF_INVAL when the file is shorter than `end`. On
 * failure nothing is lost.
 */
int filemap_splice(struct filemap *map, uint64_t start, uint64_t end, struct slice data,
                   struct blob_sink *sink, struct hf_error *err);
/** lseek(2) with SEEK_DATA or SEEK_HOLE. HF_NXIO. */
int filemap_seek(struct filemap *map, uint64_t offset, int whence, uint64_t *ret_offset,
                 struct hf_error *err);

/** Turns the overlay into chunks in the sink (cut with the store's parameters; each names the chunk that
 *  it replaces as its base). Afterwards filemap_dirty_bytes() is 0. On failure nothing is lost. */
int filemap_fold(struct filemap *map, struct blob_sink *sink, struct hf_error *err);
/** Folds, writes changed nodes to the sink, and gives the content for the inode record. It is valid
 *  until the next change of `map`. */
int filemap_save(struct filemap *map, struct blob_sink *sink, struct content *ret_content,
                 struct hf_error *err);
/** Drops leaves that can be read again. */
void filemap_trim(struct filemap *map);

#endif
