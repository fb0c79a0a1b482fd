/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A live inode: one that the kernel knows, that an open file uses, that has live inodes below it, or
 * that has changes which no commit has frozen yet.
 *
 *      record in the parent's dirmap, or in the session's link table
 *         | load                ^ inode_record() at a commit
 *         v                     |
 *      struct inode  --- content opened when first used: filemap (regular) or dirmap (directory)
 *
 * An inode goes when nothing holds it: lookups, refs and dirty all zero. A dirty inode that has a place
 * in the tree has only dirty ancestors. All of it is guarded by the session's lock.
 */
#ifndef TREE_INODE_H
#define TREE_INODE_H

#include <sys/stat.h>

#include "base/htable.h"
#include "tree/dirmap.h"
#include "tree/filemap.h"

struct session;

struct inode {
    struct hnode node; /**< in session.inodes, by ino */
    uint64_t ino;
    uint32_t mode, uid, gid, nlink;
    uint32_t rdev_major, rdev_minor;
    int64_t atime, mtime, ctime;
    uint64_t size, allocated; /**< of a file whose map is not open */

    struct content content; /**< as last saved; its bytes are in content_bytes */
    struct buf content_bytes;
    struct filemap *file; /**< the content of a regular file, once it is used */
    struct dirmap *dir;   /**< the content of a directory, once it is used */

    enum xattr_kind xattr_kind; /**< as last saved */
    struct object_id xattr_id;
    struct buf xattrs; /**< the block, when xattrs_loaded */
    bool xattrs_loaded, xattrs_dirty;

    struct inode *parent;  /**< a reference; NULL for the top, linked and unlinked inodes */
    char *name;            /**< in parent */
    bool linked;           /**< lives in the session's link table */
    bool unlinked;         /**< has no name any more; never part of a commit */
    uint64_t unlinked_seq; /**< the change that took its last name */
    bool stale;            /**< not in the version that the session was reloaded from */
    bool pseudo;           /**< ".holdfast" and "versions": not stored (versions.c) */
    bool seen, same;       /**< marks of a reload: looked at; the same, with all that is below it */

    bool store_locked; /**< filelocks.lock: locks on it may be in the store's table */

    uint64_t lookups;   /**< by the kernel */
    unsigned refs;      /**< children, handles, callers */
    unsigned handles;   /**< open files of it */
    uint64_t data_seq;  /**< the session's last change of this file's data or size */
    bool news;          /**< the kernel may have content of it that is not so any more … */
    uint64_t news_from; /**< … from this byte on */
    uint64_t moved_on;  /**< how often the content changed by other hands than the kernel's */
    uint64_t cached_at; /**< moved_on when the kernel last opened it */
    size_t counted;     /**< its share of tree.dirty_bytes */
    uint64_t io_bytes;  /**< read and written since the last trim */

    bool dirty;
    struct inode *dirty_next, *dirty_prev; /**< in session.dirty */
    unsigned depth;                        /**< scratch of a commit */
};

static inline bool inode_is_dir(const struct inode *inode)
{
    return S_ISDIR(inode->mode);
}

/** A new inode that is not stored yet, in the session's table, with one reference. */
int inode_new(struct session *session, uint64_t ino, uint32_t mode, struct inode **ret_inode);
/** A live inode for a record read from the store, with one reference. */
int inode_load(struct session *session, const struct inode_record *record,
               struct inode **ret_inode);
/** Takes over what another version says of a live inode, and notes what the kernel has to drop. `trusted`: the inode
 *  was as it is stored; else its unsaved state is dropped. */
int inode_refresh(struct session *session, struct inode *inode, const struct inode_record *record,
                  bool trusted);
/** Notes that its content is not what the kernel may have cached, from byte `from` on. */
void inode_note_news(struct session *session, struct inode *inode, uint64_t from);

/** Takes a reference. */
struct inode *inode_ref(struct inode *inode);
/** Gives a reference back (NULL is fine) and frees what nothing holds. */
void inode_unref(struct session *session, struct inode *inode);
/** Frees it, whatever holds it: for a session that ends. */
void inode_free(struct session *session, struct inode *inode);

/** Marks it, and all above it, as changed since the last commit. */
void inode_mark(struct session *session, struct inode *inode);
void inode_unmark(struct session *session, struct inode *inode);
/** Gives it a place in the tree: takes a reference to the parent, and owns `name` from now on. */
void inode_place(struct session *session, struct inode *inode, struct inode *parent, char *name);
void inode_unplace(struct session *session, struct inode *inode);

/** The opened content. HF_STALE, HF_CORRUPT, HF_IO … */
int inode_file(struct session *session, struct inode *inode, struct filemap **ret_file);
int inode_dir(struct session *session, struct inode *inode, struct dirmap **ret_dir);
/** The last handle went: drops opened content that can be read again. */
void inode_close(struct session *session, struct inode *inode);
/** Memory is short: drops a directory's content that can be read again. */
void inode_close_dir(struct inode *inode);
/** Loads the xattr block into inode->xattrs. */
int inode_xattrs(struct session *session, struct inode *inode);

/** Brings the mount's count of unsaved bytes up to date with this file. */
void inode_count(struct session *session, struct inode *inode);

/** As it is now, unsaved writes included: of a file or a symlink, in bytes. */
uint64_t inode_size(const struct inode *inode);
uint64_t inode_allocated(const struct inode *inode);
void inode_stat(const struct session *session, const struct inode *inode, struct stat *ret_stat);

/** What to store now, with the content as last saved. Points into the inode. */
void inode_record(const struct inode *inode, struct inode_record *ret_record);
/** A record that fills the place of a dirty inode until the commit that comes before any save. */
void inode_placeholder(const struct inode *inode, struct inode_record *ret_record);
/** Replaces the saved content; `content->bytes` is copied. */
int inode_set_content(struct inode *inode, const struct content *content);

#endif
