/* SPDX-License-Identifier: Apache-2.0 */
#include "server/sids.h"

#include <stdlib.h>
#include <string.h>

#include "holdfast/error.h"
#include "store/types.h"

#define SIZE_MIN 64

static size_t byte_of(uint64_t sid)
{
    return (size_t)(sid / 8);
}

static uint8_t bit_of(uint64_t sid)
{
    return (uint8_t)(1u << (sid % 8));
}

void sid_set_release(struct sid_set *set)
{
    free(set->bits);
    *set = (struct sid_set){0};
}

bool sid_set_reaches(const struct sid_set *set, uint64_t sid)
{
    return sid <= SID_MAX && byte_of(sid) < set->size;
}

static int make_room(struct sid_set *set, uint64_t sid)
{
    size_t size = set->size ? set->size : SIZE_MIN;
    uint8_t *bits;

    while (size <= byte_of(sid))
        size *= 2;
    bits = realloc(set->bits, size);
    if (!bits)
        return HF_NOMEM;
    memset(bits + set->size, 0, size - set->size);
    set->bits = bits;
    set->size = size;
    return HF_OK;
}

bool sid_set_has(const struct sid_set *set, uint64_t sid)
{
    return sid_set_reaches(set, sid) && (set->bits[byte_of(sid)] & bit_of(sid)) != 0;
}

int sid_set_add(struct sid_set *set, uint64_t sid)
{
    int rc = HF_OK;

    if (sid > SID_MAX)
        return HF_INVAL;
    if (!sid_set_reaches(set, sid))
        rc = make_room(set, sid);
    if (rc == HF_OK)
        set->bits[byte_of(sid)] |= bit_of(sid);
    return rc;
}

void sid_set_remove(struct sid_set *set, uint64_t sid)
{
    if (sid_set_reaches(set, sid))
        set->bits[byte_of(sid)] &= (uint8_t)~bit_of(sid);
}
