/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/stale.h"

#include <string.h>

#include "tree/listing.h"
#include "tree/namespace.h"
#include "tree/table.h"

/** Length of a name without its last suffix. */
static size_t stem_len(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && dot != name ? (size_t)(dot - name) : strlen(name);
}

static bool same_stem(const char *a, const char *b)
{
    size_t len = stem_len(a);

    return len == stem_len(b) && memcmp(a, b, len) == 0;
}

/** Removes the files with the stem of `claim`. */
static int remove_family(struct session *session, const struct listing *listing, const char *claim)
{
    int rc = HF_OK;

    for (size_t i = 0; i < listing->count && rc == HF_OK; i++) {
        const char *name = (const char *)listing->names.data + listing->entries[i].name;

        if (!S_ISREG(listing->entries[i].mode) || !same_stem(name, claim))
            continue;
        rc = namespace_remove(session, session->top, slice_of(name, strlen(name)));
        if (rc == HF_OK) /* the kernel is to hear of it like of what it was told is not there */
            negatives_note(&session->negatives, session_number(session, NODE_ROOT_INO), name);
        if (rc == HF_NOENT) /* with an earlier member of the family */
            rc = HF_OK;
    }
    return rc;
}

int stale_remove(struct session *session, const char *name)
{
    struct listing *listing;
    bool removed = false;
    int rc = listing_read(session, session->top, &listing);

    if (rc != HF_OK)
        return rc;
    for (size_t i = 0; i < listing->count && rc == HF_OK; i++) {
        const char *claim = (const char *)listing->names.data + listing->entries[i].name;

        if (!S_ISREG(listing->entries[i].mode) || same_stem(claim, name) ||
            !claims_match(session->tree->claims, claim))
            continue;
        rc = remove_family(session, listing, claim);
        removed = true;
    }
    listing_free(listing);
    if (removed)
        worker_invalidate(session);
    return rc;
}
