/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What a batch of objects needs: the proof that nothing in a store refers to what is not there.
 *
 *     closure_build()    outside of any transaction: verifies every object's size, kind, id (but for one that its
 *                        caller has hashed itself) and canonical form, and gathers what they (and the root)
 *                        refer to beyond the batch
 *     closure_check()    in the transaction that adds the batch: every one of those is in the store
 *
 * As this is done for every batch that is put or committed, whatever is in a store has everything below
 * it. Pure but for the callback; a closure is used by one thread at a time.
 */
#ifndef STORE_CLOSURE_H
#define STORE_CLOSURE_H

#include "object/node.h"

/** An object that must be in the store already. */
struct closure_need {
    struct object_id id;
    enum object_kind kind;
};

/** All zero is a valid empty closure. */
struct closure {
    struct closure_need *needs; /**< each once, in the order in which they were met */
    size_t count, cap;
};

/**
 * `root`: the commit's root, which must be a ROOT object; NULL for a put. Returns 0, HF_CORRUPT,
 * HF_NEWER or HF_NOMEM. Ended with closure_free().
 */
int closure_build(const struct object_hasher *hasher, const struct object *objects, size_t n,
                  const struct object_id *root, struct closure *ret_closure, struct hf_error *err);

/** Sets *ret_kind to the kind of the object `id` in the store, or 0 when it is not there. */
typedef int (*closure_kind_fn)(const struct object_id *id, int *ret_kind, void *arg,
                               struct hf_error *err);

/** HF_MISSING, HF_CORRUPT (it is there as another kind), or what the callback returned. */
int closure_check(const struct closure *closure, closure_kind_fn kind_of, void *arg,
                  struct hf_error *err);

void closure_free(struct closure *closure);

/** Whether `content` is an object of `kind` and has this id: 0, HF_CORRUPT or HF_NOMEM. For engines when
 *  they read: nothing is said about what it refers to. */
int closure_verify(const struct object_hasher *hasher, enum object_kind kind, struct slice content,
                   const struct object_id *id, struct hf_error *err);

#endif
