/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The memory engine: a whole store in the memory of one process, for tests and as the plainest reading
 * of store.h. Handles opened with the same name share a store, which lives as long as one of them; a
 * host session is alive as long as its handle is.
 */
#ifndef ENGINE_MEMORY_MEMORY_H
#define ENGINE_MEMORY_MEMORY_H

#include "engine/options.h"
#include "store/engine.h"

/** Opens the store `name`, or with "" one that nobody else can open. The contract is store_open()'s. */
int memory_store_open(const char *name, unsigned flags, const struct store_create_options *create,
                      const struct clock *clock, struct store **ret_store, struct hf_error *err);

/**
 * For tests: the host of this handle dies without a word. Its host session counts as dead from now on,
 * its leases are not released, and every later call of the handle but store_close() answers HF_IO.
 */
void memory_store_kill(struct store *store);

/** For tests: forgets an object, or flips a bit of one, as a damaged medium would. HF_NOENT. */
int memory_store_lose_object(struct store *store, const struct object_id *id);
int memory_store_damage_object(struct store *store, const struct object_id *id);

#endif
