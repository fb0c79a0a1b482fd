/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Work on many independent items, shared with other processors. Thread safe.
 *
 *      caller    0  1     3        6 7     each lane takes the next item that nobody has begun;
 *      helper         2      4  5          the caller returns when all are done
 *
 * Helpers are threads of the process, started when they are first of use. They only help: the caller does everything
 * that none of them has begun, so that nothing waits for a helper that is busy elsewhere, or could not be started.
 */
#ifndef BASE_PARALLEL_H
#define BASE_PARALLEL_H

#include <stddef.h>

/** The caller's lane is 0; a helper's is below this. */
#define PARALLEL_LANES 4

/** Does item `i`. What belongs to `lane` is used by one thread at a time. 0, or a failure, after which no further
 *  item is begun. */
typedef int (*parallel_fn)(void *arg, size_t i, unsigned lane);

/** Does the items 0 to n - 1, which are `bytes` of data together: little is not worth waking anybody for. 0, or one of
 *  the failures. */
int parallel_each(size_t n, size_t bytes, parallel_fn fn, void *arg);

#endif
