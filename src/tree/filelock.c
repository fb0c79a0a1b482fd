/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/filelock.h"

#include <stdlib.h>

#include "tree/handle.h"
#include "tree/table.h"

static int apply_nothing(struct session *session, void *arg)
{
    (void)session;
    (void)arg;
    return HF_OK;
}

/** A lock request takes the session's lease. */
static int take_lease(struct session *session)
{
    int rc;

    if (session->view || session->sid == SHARED_SID)
        return HF_OK;
    rc = session_change(session, apply_nothing, NULL);
    if (rc == HF_OK)
        session_unlock(session);
    return rc;
}

int tree_lock(struct tree_handle *handle, const struct lock_request *request, bool wait,
              lock_done_fn done, void *arg, uint64_t *ret_ticket)
{
    struct tree *tree = handle->session->tree;
    int rc = HF_OK;

    if (request->type != LOCK_NONE)
        rc = take_lease(handle->session);
    if (rc != HF_OK)
        return rc;
    return lock_set(tree->locks, request, wait, done, arg, ret_ticket);
}

bool tree_lock_cancel(struct tree *tree, uint64_t ticket)
{
    return lock_cancel(tree->locks, ticket, HF_INTR);
}

int tree_lock_test(struct tree_handle *handle, const struct lock_request *request,
                   struct lock_request *ret_lock, bool *ret_found)
{
    *ret_found = lock_test(handle->session->tree->locks, request, ret_lock);
    return HF_OK;
}

void filelock_retry(struct tree *tree)
{
    (void)tree;
}

void filelock_close(struct tree_handle *handle, uint64_t owner)
{
    struct session *session = handle->session;

    lock_release_owner(session->tree->locks, session_number(session, handle->inode->ino), owner);
}

void filelock_release(struct tree_handle *handle)
{
    struct session *session = handle->session;

    lock_release_handle(session->tree->locks, session_number(session, handle->inode->ino),
                        (uint64_t)(uintptr_t)handle);
}
