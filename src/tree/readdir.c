/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "tree/directory.h"
#include "tree/entry.h"
#include "tree/handle.h"
#include "tree/kernel.h"
#include "tree/listing.h"
#include "tree/table.h"

int tree_opendir(struct tree *tree, uint64_t inode, struct tree_handle **ret_handle)
{
    struct session *session;
    struct inode *dir;
    int rc = table_get_inode(tree, inode, &session);

    if (rc != HF_OK)
        return rc;
    rc = session_lock(session);
    if (rc != HF_OK)
        goto out;
    rc = session_refresh(session);
    if (rc == HF_OK)
        rc = session_inode(session, INODE_INO(inode), &dir);
    if (rc == HF_OK) {
        rc = inode_is_dir(dir) ? handle_new(session, dir, O_RDONLY, 0, ret_handle) : HF_NOTDIR;
        inode_unref(session, dir);
    }
    session_unlock(session);
out:
    table_put(session);
    return rc;
}

void tree_releasedir(struct tree_handle *handle)
{
    handle_free(handle);
}

/** An entry with its number and type alone. */
static void bare_entry(const struct listing_entry *listed, struct tree_entry *ret_entry)
{
    *ret_entry = (struct tree_entry){.inode = listed->inode};
    ret_entry->attr.st_ino = listed->inode;
    ret_entry->attr.st_mode = listed->mode;
}

/** The child as it is now, with a reference; NULL: a session, or gone meanwhile. */
static struct inode *find_child(struct session *session, struct inode *dir,
                                const struct listing_entry *listed, const char *name)
{
    struct inode *inode;

    if (INODE_SID(listed->inode) != session->sid ||
        directory_child(session, dir, slice_of(name, strlen(name)), &inode) != HF_OK)
        return NULL;
    return inode;
}

/** Gives one entry with its attributes; false: full. A session's are not read for a listing: its entry
 *  goes out as number 0, which tells the kernel to look it up when it is asked for. */
static bool give_plus(struct session *session, struct inode *dir,
                      const struct listing_entry *listed, const char *name, uint64_t next,
                      tree_dir_fn add, void *arg)
{
    bool dots = strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
    struct inode *inode = dots ? NULL : find_child(session, dir, listed, name);
    struct tree_entry entry;
    bool taken;

    if (!inode) {
        bare_entry(listed, &entry);
        if (!dots)
            entry.inode = 0;
        return add(name, &entry, next, arg);
    }
    entry_fill(session, inode, &entry);
    taken = add(name, &entry, next, arg);
    if (taken) {
        inode->lookups++;
        session->lookups++;
    }
    inode_unref(session, inode);
    return taken;
}

static bool give(struct tree_handle *handle, uint64_t index, bool plus, tree_dir_fn add, void *arg)
{
    const struct listing_entry *listed = &handle->listing->entries[index];
    const char *name = (const char *)handle->listing->names.data + listed->name;
    struct tree_entry entry;

    if (plus)
        return give_plus(handle->session, handle->inode, listed, name, index + 1, add, arg);
    bare_entry(listed, &entry);
    return add(name, &entry, index + 1, arg);
}

int tree_readdir(struct tree_handle *handle, uint64_t offset, bool plus, tree_dir_fn add, void *arg)
{
    struct session *session = handle->session;
    struct listing *listing;
    int rc = HF_OK;

    pthread_mutex_lock(&session->lock);
    if (plus)
        kernel_tell_news(session);
    if (handle->inode->stale)
        rc = HF_STALE;
    if (rc == HF_OK && (offset == 0 || !handle->listing)) {
        rc = listing_read(session, handle->inode, &listing);
        if (rc == HF_OK) {
            listing_free(handle->listing);
            handle->listing = listing;
        }
    }
    if (rc == HF_OK)
        for (uint64_t i = offset; i < handle->listing->count; i++)
            if (!give(handle, i, plus, add, arg))
                break;
    pthread_mutex_unlock(&session->lock);
    return rc;
}
