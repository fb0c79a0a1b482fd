/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/trail.h"

/** So many chunks of the earlier file may have become one. */
#define AHEAD_MAX 4

bool trail_find(struct trail *trail, struct slice content, struct object_id *ret_base)
{
    struct object_id at = trail->expected, next = at;
    bool expects = trail->expects, more = expects;

    if (!expects)
        return false;
    *ret_base = at;
    trail->expects = false;
    for (int i = 0; i < AHEAD_MAX && more && blob_follower(trail->cache, &at, &more, &next); i++) {
        bool same_end = blob_ends_alike(trail->cache, &at, content);

        if (same_end)
            *ret_base = at;
        if (same_end || i == 0) {
            trail->expects = more;
            trail->expected = more ? next : at;
        }
        if (same_end)
            break;
        at = more ? next : at;
    }
    return true;
}

bool trail_meet(struct trail *trail, const struct object_id *id)
{
    struct object_id next;
    bool follows;

    if (!blob_follower(trail->cache, id, &follows, &next))
        return false;
    trail->expects = follows;
    if (follows)
        trail->expected = next;
    return true;
}

void trail_pass(struct trail *trail, const struct object_id *id)
{
    if (trail->begun)
        blob_note_follower(trail->cache, &trail->last, id);
    trail->begun = true;
    trail->last = *id;
}
