/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/tail.h"

#include "tree/handle.h"
#include "tree/kernel.h"
#include "tree/table.h"

/** Where the kernel's pages are larger, it takes this for a part of one, and asks as before. */
#define PAGE 4096U

void tail_note(struct tree_handle *handle, uint64_t offset, size_t len)
{
    uint64_t end = offset + len;

    if (end != inode_size(handle->inode))
        return;
    if (end % PAGE == 0)
        handle->new_tail = false;
    else if (offset / PAGE != end / PAGE || offset % PAGE == 0)
        handle->new_tail = true;
}

/** Whether what is here is what the kernel must believe, and stays so until another open or truncation is answered.
 *  Nobody else has it open: then no request holds a page of it that the kernel would wait for. */
static bool may_give(struct tree_handle *handle)
{
    struct session *session = handle->session;
    struct inode *inode = handle->inode;

    return handle->new_tail && handle->epoch == session->epoch && inode->handles == 1 &&
           !inode->unlinked && !inode->stale && table_leased(session) && !session->news &&
           !session->telling && session->giving == 0 && kernel_is_told(session->tree);
}

void tail_give(struct tree_handle *handle)
{
    struct session *session = handle->session;
    struct inode *inode = handle->inode;
    uint8_t page[PAGE];
    uint64_t from;
    size_t len = 0;
    int rc = HF_NODATA;

    if (!handle->writes)
        return;
    pthread_mutex_lock(&session->lock);
    if (may_give(handle) && inode->file) {
        from = inode_size(inode) / PAGE * PAGE;
        rc = filemap_read(inode->file, from, (size_t)(inode_size(inode) - from), page, &len, NULL);
    }
    if (rc == HF_OK && len > 0)
        kernel_give(session, inode, from, page, len);
    pthread_mutex_unlock(&session->lock);
}
