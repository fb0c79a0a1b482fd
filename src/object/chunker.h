/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Content-defined chunking: FastCDC with normalised chunking (W. Xia et al., "FastCDC: a Fast and
 * Efficient Content-Defined Chunking Approach for Data Deduplication", USENIX ATC 2016).
 *
 * A cut depends only on the bytes since the previous cut. So cutting may restart at any old boundary,
 * and once a new boundary falls on an old one past the last changed byte, all later ones are the same.
 * Pure functions; thread safe.
 */
#ifndef OBJECT_CHUNKER_H
#define OBJECT_CHUNKER_H

#include <stddef.h>
#include <stdint.h>

/** A property of the store; never changes once the store is made. */
struct chunker_params {
    uint32_t min; /**< bytes; no cut before it, but at the end of data */
    uint32_t avg; /**< bytes; a power of two, where normalisation is centred */
    uint32_t max; /**< bytes; ≤ OBJECT_MAX_SIZE; a cut at the latest here */
};

#define CHUNKER_DEFAULT ((struct chunker_params){.min = 2048, .avg = 8192, .max = 65536})

/** 0, or HF_INVAL when not 64 ≤ min ≤ avg ≤ max ≤ OBJECT_MAX_SIZE with avg a power of two. */
int chunker_params_check(const struct chunker_params *params);

/**
 * Length of the chunk that starts at data[0]: at least 1, at most min(len, max); `len` > 0. When the
 * result is `len` and `len` < max, the data ended before a boundary: it is a chunk only at the end of
 * the data, else the caller must come again with more bytes.
 */
size_t chunker_cut(const struct chunker_params *params, const uint8_t *data, size_t len);

#endif
