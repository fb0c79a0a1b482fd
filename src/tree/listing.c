/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/listing.h"

#include <stdlib.h>
#include <string.h>

#include "tree/evict.h"
#include "tree/table.h"
#include "tree/top.h"
#include "tree/versions.h"

int listing_add(struct listing *listing, struct slice name, uint64_t inode, uint32_t mode)
{
    struct listing_entry *entries;
    size_t at = listing->names.len;
    int rc;

    if (listing->count == listing->cap) {
        size_t cap = listing->cap ? 2 * listing->cap : 32;

        entries = reallocarray(listing->entries, cap, sizeof *entries);
        if (!entries)
            return HF_NOMEM;
        listing->entries = entries;
        listing->cap = cap;
    }
    rc = buf_append(&listing->names, name.data, name.len);
    if (rc == HF_OK)
        rc = buf_append(&listing->names, "", 1);
    if (rc != HF_OK)
        return rc;
    listing->entries[listing->count++] =
        (struct listing_entry){.inode = inode, .mode = mode & S_IFMT, .name = at};
    return HF_OK;
}

static int add_dots(struct listing *listing, struct session *session, const struct inode *dir)
{
    uint64_t up = dir->parent ? session_number(session, dir->parent->ino) : TREE_ROOT;
    int rc = listing_add(listing, slice_of(".", 1), session_number(session, dir->ino), S_IFDIR);

    return rc == HF_OK ? listing_add(listing, slice_of("..", 2), up, S_IFDIR) : rc;
}

/** A large directory is not kept in memory for having been listed: its leaves go after so many entries. */
#define TRIM_EVERY 4096

static int add_entries(struct listing *listing, struct session *session, struct inode *dir)
{
    struct dir_entry entry = {0};
    uint8_t last[NODE_NAME_MAX];
    struct slice name = {last, 0};
    struct dirmap *map;
    int rc = inode_dir(session, dir, &map);

    while (rc == HF_OK) {
        rc = dirmap_next(map, name, &entry, NULL);
        if (rc != HF_OK)
            break;
        memcpy(last, entry.name.data, entry.name.len);
        name.len = entry.name.len;
        rc = listing_add(listing, name, session_number(session, entry.ino), entry.mode);
        if (listing->count % TRIM_EVERY == 0)
            dirmap_trim(map);
    }
    return rc == HF_NOENT ? HF_OK : rc;
}

int listing_read(struct session *session, struct inode *dir, struct listing **ret_listing)
{
    struct listing *listing = calloc(1, sizeof *listing);
    int rc;

    if (!listing)
        return HF_NOMEM;
    evict_relieve(session);
    rc = add_dots(listing, session, dir);
    if (rc == HF_OK && !dir->unlinked && !dir->pseudo && !session->deleted)
        rc = add_entries(listing, session, dir);
    if (rc == HF_OK && dir->pseudo)
        rc = versions_list(session, dir, listing);
    if (rc == HF_OK && session->sid == SHARED_SID && dir == session->top)
        rc = top_list_sessions(session->tree, listing);
    if (rc != HF_OK) {
        listing_free(listing);
        return rc;
    }
    *ret_listing = listing;
    return HF_OK;
}

void listing_free(struct listing *listing)
{
    if (!listing)
        return;
    free(listing->entries);
    buf_free(&listing->names);
    free(listing);
}
