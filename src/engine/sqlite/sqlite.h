/* SPDX-License-Identifier: Apache-2.0 */
/** The embedded engine: a store in one SQLite file. */
#ifndef ENGINE_SQLITE_SQLITE_H
#define ENGINE_SQLITE_SQLITE_H

#include "engine/options.h"
#include "store/engine.h"

/** Opens the store in the file `path`; the contract is store_open()'s. `create` may be NULL. */
int sqlite_store_open(const char *path, unsigned flags, const struct store_create_options *create,
                      const struct clock *clock, struct store **ret_store, struct hf_error *err);

#endif
