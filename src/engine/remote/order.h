/* SPDX-License-Identifier: Apache-2.0 */
/** The order in which objects can be sent in pieces. */
#ifndef ENGINE_REMOTE_ORDER_H
#define ENGINE_REMOTE_ORDER_H

#include "object/object.h"

/**
 * Copies `objects` into `ret_ordered`, which has room for `n`, so that each comes after those of them that it
 * refers to: the chunks, which refer to nothing, first. `*ret_nchunks` is how many these are. HF_NOMEM.
 */
int remote_order(const struct object *objects, size_t n, struct object *ret_ordered,
                 size_t *ret_nchunks, struct hf_error *err);

#endif
