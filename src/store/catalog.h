/* SPDX-License-Identifier: Apache-2.0 */
/** The sessions of a store, live ones, the trash and the shared tree, listed and kept. Not thread safe. */
#ifndef STORE_CATALOG_H
#define STORE_CATALOG_H

#include "store/meta.h"
#include "store/store.h"

/** One session. The strings of `info` are its own; `holder_name` is NULL. */
struct catalog_entry {
    struct session_info info; /**< of the shared tree: sid 0, name "", live */
    char *name;
    struct meta_strings meta;
};

/** All zero is a valid empty catalog. */
struct catalog {
    struct catalog_entry *entries; /**< in order of session number, each once */
    size_t count, cap;
};

/** Lists all. The live ones are as they are at one moment; one that goes to the trash meanwhile counts as live. A
 *  shared tree without a root is left out. */
int catalog_load(struct store *store, struct catalog *ret_catalog, struct hf_error *err);
/** The one with this number, read anew from the store. HF_NOENT. Ended with catalog_entry_clear(). */
int catalog_read(struct store *store, uint64_t sid, struct catalog_entry *ret_entry,
                 struct hf_error *err);
/** NULL: it is not there. Valid until the catalog changes. */
struct catalog_entry *catalog_find(const struct catalog *catalog, uint64_t sid);
void catalog_entry_clear(struct catalog_entry *entry);
void catalog_free(struct catalog *catalog);

/** Adds a copy of `info` at the end; for lists in order of session number. HF_NOMEM. */
int catalog_add(struct catalog *catalog, const struct session_info *info);

#endif
