/* SPDX-License-Identifier: Apache-2.0 */
#include "object/chunker.h"

#include "holdfast/error.h"
#include "object/gear.h"
#include "object/object.h"

/* The hash is shifted left with each byte, so it covers this many. */
#define WINDOW 64
/* Normalisation: before the average a boundary is 2^2 times rarer than one in avg, after it 2^2 times
 * more frequent. */
#define NORMAL 2

int chunker_params_check(const struct chunker_params *params)
{
    const uint32_t avg = params->avg;

    if (params->min < WINDOW || params->min > avg || avg > params->max ||
        params->max > OBJECT_MAX_SIZE || (avg & (avg - 1)) != 0)
        return HF_INVAL;
    return HF_OK;
}

static uint64_t roll(uint64_t hash, uint8_t byte)
{
    return (hash << 1) + gear[byte];
}

/* Rolls over data[at..end) until the hash is below `limit`, that is, until its upper bits are zero.
 * Returns the index after the byte where it is, or `end` + 1. */
static size_t scan(const uint8_t *data, size_t at, size_t end, uint64_t limit, uint64_t *hash)
{
    uint64_t h = *hash;

    for (; at + 4 <= end; at += 4) {
        h = roll(h, data[at]);
        if (h < limit)
            return at + 1;
        h = roll(h, data[at + 1]);
        if (h < limit)
            return at + 2;
        h = roll(h, data[at + 2]);
        if (h < limit)
            return at + 3;
        h = roll(h, data[at + 3]);
        if (h < limit)
            return at + 4;
    }
    for (; at < end; at++) {
        h = roll(h, data[at]);
        if (h < limit)
            return at + 1;
    }
    *hash = h;
    return end + 1;
}

size_t chunker_cut(const struct chunker_params *params, const uint8_t *data, size_t len)
{
    const size_t end = len < params->max ? len : params->max;
    const size_t middle = end < params->avg ? end : params->avg;
    const int bits = __builtin_ctz(params->avg);
    uint64_t hash = 0;
    size_t cut;

    if (end <= params->min)
        return end;
    /* A full window before the first place where a cut may be: whether one is there then depends on
     * the bytes before it, and not on where the chunk began. */
    for (size_t i = params->min - WINDOW; i < params->min - 1; i++)
        hash = roll(hash, data[i]);
    cut = scan(data, params->min - 1, middle, UINT64_C(1) << (64 - bits - NORMAL), &hash);
    if (cut > middle)
        cut = scan(data, middle, end, UINT64_C(1) << (64 - bits + NORMAL), &hash);
    return cut > end ? end : cut;
}
