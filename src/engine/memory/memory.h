/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The memory engine: a whole store in the memory of one process, for tests and as the plainest reading
 * of store.h. Handles opened with the same name share a store, which lives as long as one of them. A host
 * session without a TTL is alive as long as its handle is, one with a TTL as long as the handles' clock says
 * that it was heard of.
 */
#ifndef ENGINE_MEMORY_MEMORY_H
#define ENGINE_MEMORY_MEMORY_H

#include "engine/options.h"
#include "store/engine.h"

/** Opens the store `name`, or with "" one that nobody else can open. The contract is store_open()'s. */
int memory_store_open(const char *name, unsigned flags, const struct store_create_options *create,
                      const struct clock *clock, struct store **ret_store, struct hf_error *err);

/**
 * For tests: the process of this handle dies without a word. Its host sessions count as dead from now on
 * (those with a TTL when that is over), their leases are not released, their listeners hear nothing more, and
 * every later call of the handle but store_close() answers HF_IO.
 */
void memory_store_kill(struct store *store);

/**
 * For simulations: this handle has no thread. To be called before a host session is registered. Events are told,
 * and hosts whose time is over are buried, by memory_store_pump() on the caller's thread (expiry is noticed
 * by other calls, too). It returns how many events it told. A store_lease_acquire() that waits would need
 * another thread.
 */
void memory_store_set_pumped(struct store *store);
size_t memory_store_pump(struct store *store);

/** For tests: forgets an object, or flips a bit of one, as a damaged medium would. HF_NOENT. */
int memory_store_lose_object(struct store *store, const struct object_id *id);
int memory_store_damage_object(struct store *store, const struct object_id *id);

#endif
