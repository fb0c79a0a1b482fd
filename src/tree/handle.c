/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/handle.h"

#include <fcntl.h>
#include <stdlib.h>

#include "tree/lease.h"
#include "tree/listing.h"
#include "tree/split.h"
#include "tree/table.h"

int handle_new(struct session *session, struct inode *inode, int flags, pid_t pid,
               struct tree_handle **ret_handle)
{
    struct tree_handle *handle = calloc(1, sizeof *handle);

    if (!handle)
        return HF_NOMEM;
    table_pin(session);
    handle->session = session;
    handle->inode = inode_ref(inode);
    handle->flags = flags;
    handle->pid = pid;
    handle->writes = (flags & O_ACCMODE) != O_RDONLY && !inode->pseudo;
    handle->epoch = session->epoch;
    handle->next = session->open_handles;
    if (handle->next)
        handle->next->prev = handle;
    session->open_handles = handle;
    session->handles++;
    session->writers += handle->writes;
    inode->handles++;
    *ret_handle = handle;
    return HF_OK;
}

/** Of a session that is only read: its directories are not kept for having been listed. */
static void close_listed(const struct session *session, struct inode *inode)
{
    if (session->token == 0 && session->sid != SHARED_SID && inode->handles == 0)
        inode_close_dir(inode);
}

void handle_free(struct tree_handle *handle)
{
    struct session *session = handle->session;

    pthread_mutex_lock(&session->lock);
    if (handle->prev)
        handle->prev->next = handle->next;
    else
        session->open_handles = handle->next;
    if (handle->next)
        handle->next->prev = handle->prev;
    split_end(handle);
    session->handles--;
    session->writers -= handle->writes;
    handle->inode->handles--;
    inode_close(session, handle->inode);
    close_listed(session, handle->inode);
    inode_unref(session, handle->inode);
    pthread_cond_broadcast(&session->cond); /* it may have pinned the lease */
    pthread_mutex_unlock(&session->lock);
    lease_eased(session);
    listing_free(handle->listing);
    buf_free(&handle->text);
    free(handle);
    table_put(session);
}

void handle_free_all(struct session *session)
{
    struct tree_handle *next;

    for (struct tree_handle *h = session->open_handles; h; h = next) {
        next = h->next;
        listing_free(h->listing);
        buf_free(&h->text);
        free(h);
    }
    session->open_handles = NULL;
}
