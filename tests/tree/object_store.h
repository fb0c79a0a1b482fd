/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A store that keeps objects and nothing else, for tests of what is built from them. It refuses what a
 * store has to refuse (wrong ids, dangling references), counts calls, and fails on request. Thread safe.
 */
#ifndef TESTS_TREE_OBJECT_STORE_H
#define TESTS_TREE_OBJECT_STORE_H

#include <pthread.h>

#include "base/htable.h"
#include "store/engine.h"

struct object_store {
    struct store store;
    pthread_mutex_t lock;
    struct htable objects;
    size_t puts, gets;        /* calls */
    size_t put_count;         /* objects added */
    size_t put_bytes;         /* their plain content */
    size_t get_count;         /* objects read */
    unsigned fail_gets_every; /* 0: never; n: about one in n calls says HF_IO */
    unsigned fail_puts_every;
    uint64_t random;
};

/** `params`: NULL for the default. */
struct object_store *object_store_new(const struct chunker_params *params);
void object_store_free(struct object_store *objects);

#endif
