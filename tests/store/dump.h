/* SPDX-License-Identifier: Apache-2.0 */
/** Everything that can be read from a store through store.h, as one text, to compare two stores by. */
#ifndef TESTS_STORE_DUMP_H
#define TESTS_STORE_DUMP_H

#include "store/store.h"

/** Appends the dump. `ids`: the objects to read. Returns 0, or the first failure of a read. */
int store_dump(struct store *store, const struct object_id *ids, size_t n, struct buf *ret_text,
               struct hf_error *err);

#endif
