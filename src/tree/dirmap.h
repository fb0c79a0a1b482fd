/* SPDX-License-Identifier: Apache-2.0 */
/**
 * An ordered map from names to encoded entries: a directory's content, or a session's link table, over a
 * tree of DIR nodes of which the leaves in use are in memory. Values are opaque here (an inode record
 * or a link); node.h knows them. Guarded by the session's lock.
 */
#ifndef TREE_DIRMAP_H
#define TREE_DIRMAP_H

#include "object/node.h"
#include "tree/blob.h"

struct dirmap;

/** Opens a directory's content (NONE, LEAF or DIR); `content->bytes` is copied. NULL: empty. */
int dirmap_open(struct blob_cache *cache, const struct content *content, struct dirmap **ret_map,
                struct hf_error *err);
void dirmap_free(struct dirmap *map);

/** The number of entries; and whether they differ from what the map was opened with. */
uint64_t dirmap_count(const struct dirmap *map);
bool dirmap_is_dirty(const struct dirmap *map);

/** Finds a name. HF_NOENT. The entry points into the map and is valid until its next call. */
int dirmap_find(struct dirmap *map, struct slice name, struct dir_entry *ret_entry,
                struct hf_error *err);
/** The first entry whose name is after `name` (an empty slice: the first of all): HF_OK or HF_NOENT. */
int dirmap_next(struct dirmap *map, struct slice name, struct dir_entry *ret_entry,
                struct hf_error *err);
/** Adds or replaces the entry with entry->name; everything is copied. */
int dirmap_put(struct dirmap *map, const struct dir_entry *entry, struct hf_error *err);
/** Removes a name. HF_NOENT. */
int dirmap_remove(struct dirmap *map, struct slice name, struct hf_error *err);

/** Writes changed nodes to the sink and gives the content for the inode record: NONE when empty; with
 *  `allow_leaf` (the root's directory and link table) a single leaf is given as LEAF, in place; else
 *  DIR. Valid until the next change of `map`. On failure nothing is lost. */
int dirmap_save(struct dirmap *map, struct blob_sink *sink, bool allow_leaf,
                struct content *ret_content, struct hf_error *err);
/** Drops leaves that can be read again. */
void dirmap_trim(struct dirmap *map);
/** About how many bytes it takes, with the nodes that its leaves point into. */
size_t dirmap_memory(const struct dirmap *map);
/** HF_NOMEM, with a sentence. */
int dirmap_no_memory(struct hf_error *err);

#endif
