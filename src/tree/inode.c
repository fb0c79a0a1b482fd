/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/inode.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/sysmacros.h>

#include "tree/difference.h"
#include "tree/kernel.h"
#include "tree/session.h"
#include "tree/table.h"

#define BLOCK_SIZE 4096
/** Whenever a session's live inodes pass a multiple of this, evict.c has a look. */
#define EVICT_EVERY_INODES 4096

int inode_new(struct session *session, uint64_t ino, uint32_t mode, struct inode **ret_inode)
{
    struct inode *inode = calloc(1, sizeof *inode);

    if (!inode)
        return HF_NOMEM;
    inode->ino = ino;
    inode->mode = mode;
    inode->refs = 1;
    if (htable_insert(&session->inodes, &inode->node, htable_hash_u64(ino)) != HF_OK) {
        free(inode);
        return HF_NOMEM;
    }
    if (session->inodes.count % EVICT_EVERY_INODES == 0)
        worker_evict(session->tree);
    *ret_inode = inode;
    return HF_OK;
}

int inode_set_content(struct inode *inode, const struct content *content)
{
    struct buf bytes = {0};

    if (content->bytes.len > 0 && buf_append(&bytes, content->bytes.data, content->bytes.len) != 0)
        return HF_NOMEM;
    buf_free(&inode->content_bytes);
    inode->content_bytes = bytes;
    inode->content = *content;
    inode->content.bytes = buf_slice(&inode->content_bytes);
    return HF_OK;
}

static int inode_adopt(struct inode *inode, const struct inode_record *record)
{
    struct buf xattrs = {0};

    if (record->xattr_kind == XATTR_INLINE &&
        buf_append(&xattrs, record->xattr_block.data, record->xattr_block.len) != HF_OK)
        return HF_NOMEM;
    if (inode_set_content(inode, &record->content) != HF_OK) {
        buf_free(&xattrs);
        return HF_NOMEM;
    }
    buf_free(&inode->xattrs);
    inode->xattrs = xattrs;
    inode->xattr_kind = record->xattr_kind;
    inode->xattr_id = record->xattr_id;
    inode->xattrs_loaded = record->xattr_kind != XATTR_CHUNK;
    inode->xattrs_dirty = false;
    inode->mode = record->mode;
    inode->uid = record->uid;
    inode->gid = record->gid;
    inode->nlink = record->nlink;
    inode->size = record->size;
    inode->allocated = record->allocated;
    inode->atime = record->atime;
    inode->mtime = record->mtime;
    inode->ctime = record->ctime;
    inode->rdev_major = record->rdev_major;
    inode->rdev_minor = record->rdev_minor;
    return HF_OK;
}

int inode_load(struct session *session, const struct inode_record *record, struct inode **ret_inode)
{
    struct inode *inode;
    int rc = inode_new(session, record->ino, record->mode, &inode);

    if (rc != HF_OK)
        return rc;
    rc = inode_adopt(inode, record);
    if (rc != HF_OK) {
        inode_free(session, inode);
        return rc;
    }
    /* The kernel may have pages of it still, from when it was under another name, or of what had its number
     * on a branch that was lost. */
    inode->cached_at = UINT64_MAX;
    *ret_inode = inode;
    return HF_OK;
}

static void close_content(struct session *session, struct inode *inode);

void inode_note_news(struct session *session, struct inode *inode, uint64_t from)
{
    if (!kernel_is_told(session->tree)) {
        inode->moved_on++; /* it drops all when it opens the file again */
        return;
    }
    if (inode->lookups == 0)
        return;
    inode->news_from = inode->news && inode->news_from < from ? inode->news_from : from;
    inode->news = true;
    session->news = true;
}

int inode_refresh(struct session *session, struct inode *inode, const struct inode_record *record,
                  bool trusted)
{
    uint64_t from = 0;
    int rc;

    if (trusted && !inode->dirty)
        from = difference_start(session->tree->cache, &inode->content, &record->content);
    rc = inode_adopt(inode, record);
    if (rc != HF_OK)
        return rc;
    inode_unmark(session, inode);
    inode->data_seq = 0;
    inode->same = from == DIFFERENCE_NONE;
    if (inode->same)
        return HF_OK;
    close_content(session, inode);
    inode_note_news(session, inode, from);
    return HF_OK;
}

struct inode *inode_ref(struct inode *inode)
{
    inode->refs++;
    return inode;
}

void inode_unref(struct session *session, struct inode *inode)
{
    while (inode) {
        struct inode *parent = inode->parent;

        assert(inode->refs > 0);
        inode->refs--;
        if (inode->refs > 0 || inode->lookups > 0 || inode->dirty || inode == session->top)
            return;
        inode->parent = NULL; /* its reference is given back by the next turn */
        inode_free(session, inode);
        inode = parent;
    }
}

void inode_free(struct session *session, struct inode *inode)
{
    if (!inode)
        return;
    inode_unmark(session, inode);
    htable_remove(&session->inodes, &inode->node);
    close_content(session, inode);
    buf_free(&inode->content_bytes);
    buf_free(&inode->xattrs);
    free(inode->name);
    free(inode);
}

void inode_mark(struct session *session, struct inode *inode)
{
    for (; inode && !inode->dirty && !inode->unlinked && !inode->stale; inode = inode->parent) {
        inode->dirty = true;
        inode->dirty_prev = NULL;
        inode->dirty_next = session->dirty;
        if (session->dirty)
            session->dirty->dirty_prev = inode;
        session->dirty = inode;
    }
}

void inode_unmark(struct session *session, struct inode *inode)
{
    if (!inode->dirty)
        return;
    if (inode->dirty_prev)
        inode->dirty_prev->dirty_next = inode->dirty_next;
    else
        session->dirty = inode->dirty_next;
    if (inode->dirty_next)
        inode->dirty_next->dirty_prev = inode->dirty_prev;
    inode->dirty = false;
    inode->dirty_next = inode->dirty_prev = NULL;
}

void inode_place(struct session *session, struct inode *inode, struct inode *parent, char *name)
{
    inode_ref(parent);
    inode_unplace(session, inode);
    inode->parent = parent;
    inode->name = name;
}

void inode_unplace(struct session *session, struct inode *inode)
{
    struct inode *parent = inode->parent;

    free(inode->name);
    inode->name = NULL;
    inode->parent = NULL;
    inode_unref(session, parent);
}

int inode_file(struct session *session, struct inode *inode, struct filemap **ret_file)
{
    int rc = HF_OK;

    if (inode->stale)
        return HF_STALE;
    if (!inode->file)
        rc = filemap_open(session->tree->cache, &inode->content, inode->size, inode->allocated,
                          &inode->file, NULL);
    if (rc == HF_OK)
        *ret_file = inode->file;
    return rc;
}

int inode_dir(struct session *session, struct inode *inode, struct dirmap **ret_dir)
{
    int rc = HF_OK;

    if (inode->stale)
        return HF_STALE;
    if (!inode->dir)
        rc = dirmap_open(session->tree->cache, &inode->content, &inode->dir, NULL);
    if (rc == HF_OK)
        *ret_dir = inode->dir;
    return rc;
}

void inode_close(struct session *session, struct inode *inode)
{
    if (!inode->file || inode->handles > 0 || inode->dirty || inode->unlinked ||
        filemap_is_dirty(inode->file))
        return;
    filemap_free(inode->file);
    inode->file = NULL;
    inode_count(session, inode);
}

void inode_close_dir(struct inode *inode)
{
    if (!inode->dir || inode->dirty || dirmap_is_dirty(inode->dir))
        return;
    dirmap_free(inode->dir);
    inode->dir = NULL;
}

int inode_xattrs(struct session *session, struct inode *inode)
{
    struct blob *blob;
    struct slice block;
    int rc;

    if (inode->xattrs_loaded || inode->xattr_kind == XATTR_NONE) {
        inode->xattrs_loaded = true;
        return HF_OK;
    }
    rc = blob_get(session->tree->cache, &inode->xattr_id, &blob, NULL);
    if (rc != HF_OK)
        return rc;
    block = blob_content(blob);
    inode->xattrs.len = 0;
    rc = buf_append(&inode->xattrs, block.data, block.len);
    blob_unref(session->tree->cache, blob);
    inode->xattrs_loaded = rc == HF_OK;
    return rc;
}

void inode_count(struct session *session, struct inode *inode)
{
    size_t now = inode->file ? filemap_dirty_bytes(inode->file) : 0;

    atomic_fetch_add(&session->tree->dirty_bytes, now - inode->counted);
    inode->counted = now;
}

/** Forgets the opened content. */
static void close_content(struct session *session, struct inode *inode)
{
    filemap_free(inode->file);
    inode->file = NULL;
    dirmap_free(inode->dir);
    inode->dir = NULL;
    inode_count(session, inode);
}

uint64_t inode_size(const struct inode *inode)
{
    if (inode->file)
        return filemap_size(inode->file);
    return inode->size;
}

uint64_t inode_allocated(const struct inode *inode)
{
    return inode->file ? filemap_allocated(inode->file) : inode->allocated;
}

static struct timespec timespec_of(int64_t ns)
{
    int64_t sec = ns / 1000000000, rest = ns % 1000000000;

    if (rest < 0) {
        sec--;
        rest += 1000000000;
    }
    return (struct timespec){.tv_sec = sec, .tv_nsec = rest};
}

static uint64_t directory_size(const struct inode *inode)
{
    uint64_t count = inode->dir ? dirmap_count(inode->dir) : inode->content.count;

    return BLOCK_SIZE + count * 32 / BLOCK_SIZE * BLOCK_SIZE;
}

void inode_stat(const struct session *session, const struct inode *inode, struct stat *ret_stat)
{
    uint64_t size = inode_is_dir(inode) ? directory_size(inode) : inode_size(inode);

    *ret_stat = (struct stat){
        .st_ino = session_number(session, inode->ino),
        .st_mode = inode->mode,
        .st_nlink = inode->nlink,
        .st_uid = inode->uid,
        .st_gid = inode->gid,
        .st_rdev = makedev(inode->rdev_major, inode->rdev_minor),
        .st_size = (off_t)size,
        .st_blksize = BLOCK_SIZE,
        .st_blocks = (blkcnt_t)((inode_allocated(inode) + 511) / 512),
        .st_atim = timespec_of(inode->atime),
        .st_mtim = timespec_of(inode->mtime),
        .st_ctim = timespec_of(inode->ctime),
    };
}

void inode_record(const struct inode *inode, struct inode_record *ret_record)
{
    *ret_record = (struct inode_record){
        .ino = inode->ino,
        .mode = inode->mode,
        .uid = inode->uid,
        .gid = inode->gid,
        .nlink = inode->nlink,
        .size = inode_is_dir(inode) ? 0 : inode_size(inode),
        .allocated = S_ISREG(inode->mode) ? inode_allocated(inode) : 0,
        .atime = inode->atime,
        .mtime = inode->mtime,
        .ctime = inode->ctime,
        .rdev_major = inode->rdev_major,
        .rdev_minor = inode->rdev_minor,
        .xattr_kind = inode->xattr_kind,
        .xattr_id = inode->xattr_id,
        .content = inode->content,
    };
    if (inode->xattr_kind == XATTR_INLINE)
        ret_record->xattr_block = buf_slice(&inode->xattrs);
}

void inode_placeholder(const struct inode *inode, struct inode_record *ret_record)
{
    inode_record(inode, ret_record);
    ret_record->xattr_kind = XATTR_NONE;
    ret_record->xattr_block = (struct slice){0};
    if (S_ISREG(inode->mode) || S_ISDIR(inode->mode)) {
        ret_record->size = 0;
        ret_record->allocated = 0;
        ret_record->content = (struct content){.kind = CONTENT_NONE};
    }
}
