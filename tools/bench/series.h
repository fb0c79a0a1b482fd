/* SPDX-License-Identifier: Apache-2.0 */
/** Versions of one text, as an agent's checkpoints are: each shares about 90 % with the one before, but not at the
 *  same offsets. It grows evenly from the first version to the last. */
#ifndef BENCH_SERIES_H
#define BENCH_SERIES_H

#include "bench/content.h"

#define SERIES_MIN ((size_t)64 << 10) /**< of the first version, bytes */
#define SERIES_MAX ((size_t)1 << 20)  /**< about, of the last */

struct series {
    struct content *content;
    uint8_t *data; /**< the version that is reached */
    size_t len;
    size_t growth; /**< bytes, with each version */
};

/** The first of so many versions: after those it does not grow any more. `content` stays in use. Returns 0 or
 *  HF_NOMEM. */
int series_init(struct series *series, struct content *content, uint64_t versions);
/** Makes the next version: a tenth of it is new, in pieces of 0.5 to 8 KiB at any place, each instead of a piece
 *  of up to twice its size. */
void series_next(struct series *series);
void series_free(struct series *series);

#endif
