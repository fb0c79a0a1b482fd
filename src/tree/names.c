/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/names.h"

#include "base/htable.h"

static atomic_uint_fast64_t *place_of(struct names *names, const char *name)
{
    uint64_t hash = 0;

    for (const char *c = name; *c; c++)
        hash = hash * 31 + (unsigned char)*c;
    return &names->sids[htable_hash_u64(hash) % NAMES_PLACES];
}

void names_note(struct names *names, const char *name, uint64_t sid)
{
    atomic_store(place_of(names, name), sid);
}

uint64_t names_sid(struct names *names, const char *name)
{
    return atomic_load(place_of(names, name));
}
