/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/falloc.h>
#include <stdlib.h>
#include <string.h>

#include "tree/commit.h"
#include "tree/filelock.h"
#include "tree/handle.h"
#include "tree/kernel.h"
#include "tree/leasefile.h"
#include "tree/meta_index.h"
#include "tree/split.h"
#include "tree/table.h"
#include "tree/tail.h"
#include "tree/versions.h"
#include "tree/write.h"

/** Leaves of an extent list that can be read again are dropped after so much reading and writing. */
#define TRIM_BYTES (64U << 20)

/* --- content ------------------------------------------------------------------------------------ */

/** Keeps the session's totals, and the memory of the map, in order after its content changed. */
static void content_changed(struct session *session, struct inode *inode, uint64_t old_size,
                            uint64_t io)
{
    if (!inode->unlinked)
        session->bytes += filemap_size(inode->file) - old_size;
    inode_count(session, inode);
    inode->io_bytes += io;
    if (inode->io_bytes > TRIM_BYTES) {
        filemap_trim(inode->file);
        inode->io_bytes = 0;
    }
}

int write_truncate(struct session *session, struct inode *inode, uint64_t size,
                   const struct tree_caller *caller)
{
    uint64_t old_size = inode_size(inode);
    struct filemap *file;
    int rc = inode_file(session, inode, &file);

    if (rc == HF_OK)
        rc = filemap_truncate(file, size, NULL);
    if (rc != HF_OK)
        return rc;
    content_changed(session, inode, old_size, 0);
    inode->mtime = session_now(session);
    write_clear_privileges(inode, caller);
    return HF_OK;
}

void write_clear_privileges(struct inode *inode, const struct tree_caller *caller)
{
    if (!S_ISREG(inode->mode) || !caller || !caller->ends_privileges)
        return;
    inode->mode &= ~(uint32_t)S_ISUID;
    if (inode->mode & S_IXGRP)
        inode->mode &= ~(uint32_t)S_ISGID;
}

void write_done(struct session *session, struct inode *inode, struct tree_handle *handle, bool data)
{
    if (inode->unlinked)
        return; /* never part of a commit */
    inode_mark(session, inode);
    session_changed(session, data && handle);
    if (data)
        inode->data_seq = session->change_seq;
    if (data && handle)
        handle->wrote = true;
    if (inode->parent == session->top && inode->name && strcmp(inode->name, META_INDEX_FILE) == 0)
        session->meta_stale = true;
}

/* --- open --------------------------------------------------------------------------------------- */

struct opening {
    const struct tree_caller *caller;
    uint64_t ino;
    int flags;
    struct tree_handle *handle;
    bool keep_cache;
};

static int open_inode(struct session *session, struct opening *opening)
{
    struct inode *inode;
    int rc = session_inode(session, opening->ino, &inode);

    if (rc != HF_OK)
        return rc;
    if (inode_is_dir(inode))
        rc = HF_ISDIR;
    else if (!S_ISREG(inode->mode))
        rc = HF_NXIO;
    if (rc == HF_OK)
        rc = handle_new(session, inode, opening->flags, opening->caller->pid, &opening->handle);
    if (rc == HF_OK) {
        opening->keep_cache = inode->cached_at == inode->moved_on;
        inode->cached_at = inode->moved_on;
    }
    inode_unref(session, inode);
    return rc;
}

static int apply_open(struct session *session, void *arg)
{
    struct opening *opening = arg;
    struct inode *inode;
    int rc = HF_OK;

    if (!opening->handle)
        rc = open_inode(session, opening);
    if (rc != HF_OK || !(opening->flags & O_TRUNC))
        return rc;
    inode = opening->handle->inode;
    rc = inode->stale ? HF_STALE : write_truncate(session, inode, 0, opening->caller);
    if (rc == HF_OK) {
        inode->ctime = inode->mtime;
        write_done(session, inode, opening->handle, true);
    }
    return rc;
}

/** Opens a pseudo file: no change, whatever the flags say. Its text is written when it is opened. */
static int open_pseudo(struct session *session, struct opening *opening)
{
    int rc = session_lock(session);

    if (rc != HF_OK)
        return rc;
    rc = open_inode(session, opening);
    if (rc == HF_OK)
        rc = leasefile_write(session, &opening->handle->text);
    if (rc != HF_OK)
        session_unlock(session);
    return rc;
}

static int open_for_reading(struct session *session, struct opening *opening)
{
    int rc = session_lock(session);

    if (rc != HF_OK)
        return rc;
    rc = session_refresh(session);
    if (rc == HF_OK)
        rc = open_inode(session, opening);
    if (rc != HF_OK)
        session_unlock(session);
    return rc;
}

int tree_open_file(struct tree *tree, const struct tree_caller *caller, uint64_t inode, int flags,
                   struct tree_handle **ret_handle, bool *ret_keep_cache)
{
    struct opening opening = {.caller = caller, .ino = INODE_INO(inode), .flags = flags};
    struct session *session;
    int rc = table_get_inode(tree, inode, &session);

    if (rc != HF_OK)
        return rc;
    /* The lease is taken here, and not at the first write: a write to a shared mapping is too late to
     * say that the session is in use elsewhere. */
    if (opening.ino == LEASE_INO)
        rc = open_pseudo(session, &opening);
    else if ((flags & O_ACCMODE) == O_RDONLY && !(flags & O_TRUNC))
        rc = open_for_reading(session, &opening);
    else
        rc = session_change(session, apply_open, &opening);
    if (rc == HF_OK) {
        kernel_await_gift(session, opening.handle->inode);
        kernel_tell_news(session);
        session_unlock(session);
        *ret_handle = opening.handle;
        *ret_keep_cache = opening.keep_cache;
    } else if (opening.handle) {
        handle_free(opening.handle);
    }
    table_put(session);
    return rc;
}

void tree_release(struct tree_handle *handle)
{
    filelock_release(handle);
    tail_give(handle);
    handle_free(handle);
}

/* --- read --------------------------------------------------------------------------------------- */

bool tree_is_pseudo(const struct tree_handle *handle)
{
    return handle->inode->pseudo;
}

static void read_text(const struct buf *text, uint64_t offset, size_t len, uint8_t *ret_data,
                      size_t *ret_len)
{
    size_t rest = offset < text->len ? text->len - (size_t)offset : 0;

    *ret_len = len < rest ? len : rest;
    if (*ret_len > 0)
        memcpy(ret_data, text->data + offset, *ret_len);
}

int tree_read(struct tree_handle *handle, uint64_t offset, size_t len, uint8_t *ret_data,
              size_t *ret_len)
{
    struct session *session = handle->session;
    struct inode *inode = handle->inode;
    struct filemap *file;
    int rc;

    if (inode->pseudo) {
        read_text(&handle->text, offset, len, ret_data, ret_len);
        return HF_OK;
    }
    if (atomic_load(&handle->lost))
        return HF_IO;
    pthread_mutex_lock(&session->lock);
    rc = inode_file(session, inode, &file);
    if (rc == HF_OK)
        rc = filemap_read(file, offset, len, ret_data, ret_len, NULL);
    if (rc == HF_OK) {
        inode->io_bytes += *ret_len;
        if (inode->io_bytes > TRIM_BYTES) {
            filemap_trim(file);
            inode->io_bytes = 0;
        }
    }
    pthread_mutex_unlock(&session->lock);
    return rc;
}

int tree_lseek(struct tree_handle *handle, uint64_t offset, int whence, uint64_t *ret_offset)
{
    struct session *session = handle->session;
    struct filemap *file;
    int rc;

    if (handle->inode->pseudo)
        return HF_INVAL;
    pthread_mutex_lock(&session->lock);
    rc = inode_file(session, handle->inode, &file);
    if (rc == HF_OK)
        rc = filemap_seek(file, offset, whence, ret_offset, NULL);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

/* --- write -------------------------------------------------------------------------------------- */

struct writing {
    struct tree_handle *handle;
    const struct tree_caller *caller;
    int mode; /* of fallocate */
    bool append;
    uint64_t offset, len;
    const void *data;
};

/** What forbids a change through this handle. */
static int check_handle(const struct session *session, const struct tree_handle *handle)
{
    if (handle->epoch != session->epoch || atomic_load(&handle->lost))
        return HF_FENCED;
    if (handle->inode->stale)
        return HF_STALE;
    return handle->writes ? HF_OK : HF_BADF;
}

/** Where an appending write goes. The kernel gave it the end of the file as it last heard of it. If another host has
 *  appended since, its pages and its idea of the size are wrong from there on. */
static uint64_t find_end(struct session *session, struct inode *inode, uint64_t believed,
                         uint64_t size)
{
    if (believed != size) {
        inode_note_news(session, inode, believed < size ? believed : size);
        worker_tell(session);
    }
    return size;
}

static int apply_write(struct session *session, void *arg)
{
    const struct writing *writing = arg;
    struct inode *inode = writing->handle->inode;
    struct filemap *file;
    uint64_t old_size, offset = writing->offset;
    int rc = check_handle(session, writing->handle);

    atomic_store(&writing->handle->closing, false);
    if (rc == HF_OK)
        rc = inode_file(session, inode, &file);
    if (rc != HF_OK)
        return rc;
    old_size = filemap_size(file);
    if (writing->append)
        offset = find_end(session, inode, offset, old_size);
    if (writing->len > NODE_FILE_SIZE_MAX - offset)
        return HF_FBIG;
    rc = filemap_write(file, offset, writing->data, writing->len, NULL);
    if (rc != HF_OK)
        return rc;
    content_changed(session, inode, old_size, writing->len);
    split_note(writing->handle, writing->offset, writing->len);
    tail_note(writing->handle, offset, writing->len);
    inode->mtime = inode->ctime = session_now(session);
    write_clear_privileges(inode, writing->caller);
    write_done(session, inode, writing->handle, true);
    return HF_OK;
}

/** Makes room in memory before more comes. */
static int spill_ahead(struct tree_handle *handle)
{
    struct session *session = handle->session;
    int rc = HF_OK;

    if (tree_is_fenced(session->tree))
        return HF_FENCED;
    pthread_mutex_lock(&session->lock);
    if (handle->inode->file && session->phase != PHASE_FAILED && session->phase != PHASE_LOST)
        rc = session_spill(session, handle->inode);
    pthread_mutex_unlock(&session->lock);
    return rc == HF_TIMEOUT ? HF_FENCED : rc;
}

static int write_to(struct tree_handle *handle, struct writing *writing)
{
    int rc;

    if (handle->inode->pseudo)
        return HF_PERM;
    if (writing->offset > NODE_FILE_SIZE_MAX)
        return HF_FBIG;
    if (writing->len == 0)
        return HF_OK;
    rc = spill_ahead(handle);
    if (rc == HF_OK)
        rc = session_change(handle->session, apply_write, writing);
    if (rc == HF_OK)
        session_unlock(handle->session);
    return rc;
}

int tree_write(struct tree_handle *handle, const struct tree_caller *caller, uint64_t offset,
               const void *data, size_t len)
{
    struct writing writing = {
        .handle = handle, .caller = caller, .offset = offset, .len = len, .data = data};

    return write_to(handle, &writing);
}

int tree_append(struct tree_handle *handle, const struct tree_caller *caller, uint64_t believed,
                const void *data, size_t len)
{
    struct writing writing = {.handle = handle,
                              .caller = caller,
                              .append = true,
                              .offset = believed,
                              .len = len,
                              .data = data};

    return write_to(handle, &writing);
}

static int punch(struct filemap *file, uint64_t offset, uint64_t len)
{
    uint64_t size = filemap_size(file);

    if (offset >= size)
        return HF_OK;
    return filemap_punch(file, offset, len < size - offset ? len : size - offset, NULL);
}

static int apply_fallocate(struct session *session, void *arg)
{
    const struct writing *writing = arg;
    struct inode *inode = writing->handle->inode;
    uint64_t old_size, end = writing->offset + writing->len;
    struct filemap *file;
    int rc = check_handle(session, writing->handle);

    atomic_store(&writing->handle->closing, false);
    if (rc == HF_OK)
        rc = inode_file(session, inode, &file);
    if (rc != HF_OK)
        return rc;
    old_size = filemap_size(file);
    if (writing->mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
        rc = punch(file, writing->offset, writing->len);
    if (rc == HF_OK && !(writing->mode & FALLOC_FL_KEEP_SIZE) && end > old_size)
        rc = filemap_truncate(file, end, NULL);
    if (rc != HF_OK)
        return rc;
    content_changed(session, inode, old_size, 0);
    inode->mtime = inode->ctime = session_now(session);
    write_clear_privileges(inode, writing->caller);
    write_done(session, inode, writing->handle, true);
    return HF_OK;
}

int tree_fallocate(struct tree_handle *handle, const struct tree_caller *caller, int mode,
                   uint64_t offset, uint64_t len)
{
    struct writing writing = {
        .handle = handle, .caller = caller, .mode = mode, .offset = offset, .len = len};
    int rc;

    switch (mode) {
    case 0:
    case FALLOC_FL_KEEP_SIZE:
    case FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE:
    case FALLOC_FL_ZERO_RANGE:
    case FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE:
        break;
    default:
        return HF_UNSUPPORTED;
    }
    if (handle->inode->pseudo)
        return HF_PERM;
    if (len == 0)
        return HF_INVAL;
    if (offset > NODE_FILE_SIZE_MAX || len > NODE_FILE_SIZE_MAX - offset)
        return HF_FBIG;
    rc = session_change(handle->session, apply_fallocate, &writing);
    if (rc == HF_OK)
        session_unlock(handle->session);
    return rc;
}

/* --- flush, fsync ------------------------------------------------------------------------------- */

/** Commits what was written to the file, with everything before it. Locked. */
static int commit_file(struct tree_handle *handle, uint64_t seq, bool sync)
{
    struct session *session = handle->session;
    int rc;

    if (handle->epoch != session->epoch && handle->wrote)
        return HF_FENCED;
    if (session->deleted || session->view)
        return HF_OK;
    if (handle->epoch != session->epoch)
        seq = session->committed_seq; /* with it what was written here, if not on the medium */
    split_end(handle);
    rc = session_commit(session, seq, sync);
    if (rc == HF_OK)
        handle->wrote = false;
    return rc;
}

int tree_flush(struct tree_handle *handle, uint64_t lock_owner)
{
    struct session *session = handle->session;
    int rc = HF_OK;

    filelock_close(handle, lock_owner);
    atomic_store(&handle->closing, true);
    /* A change of the shared tree is committed before it is answered; one under way may be made again. */
    if (!handle->writes || session->sid == SHARED_SID)
        return HF_OK;
    pthread_mutex_lock(&session->lock);
    if (handle->wrote || handle->inode->data_seq > session->committed_seq)
        rc = commit_file(handle, handle->inode->data_seq, false);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

int tree_fsync(struct tree_handle *handle)
{
    struct session *session = handle->session;
    int rc;

    if (session->sid == SHARED_SID)
        return session_commit_all(session, true);
    pthread_mutex_lock(&session->lock);
    rc = commit_file(handle, session->change_seq, true);
    pthread_mutex_unlock(&session->lock);
    return rc;
}

/** Changes of names are made through no handle: who has the directory open since before they were taken away is
 *  told so, once. */
static bool must_hear_of_loss(struct tree_handle *handle)
{
    struct session *session = handle->session;
    bool must;

    pthread_mutex_lock(&session->lock);
    must = handle->epoch < session->undone;
    handle->epoch = session->epoch;
    pthread_mutex_unlock(&session->lock);
    return must;
}

int tree_fsyncdir(struct tree_handle *handle)
{
    return must_hear_of_loss(handle) ? HF_FENCED : tree_fsync(handle);
}
