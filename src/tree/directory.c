/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/directory.h"

#include <stdlib.h>
#include <string.h>

#include "tree/linktable.h"

int directory_name_check(const char *name, struct slice *ret_name)
{
    size_t len = strlen(name);

    if (len == 0 || memchr(name, '/', len))
        return HF_INVAL;
    if (len > NODE_NAME_MAX)
        return HF_NAMETOOLONG;
    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return HF_EXIST;
    *ret_name = slice_of(name, len);
    return HF_OK;
}

static int load_linked(struct session *session, uint64_t ino, struct inode **ret_inode)
{
    struct inode_record record;
    struct inode *inode;
    int rc = linktable_find(session->links, ino, &record, NULL);

    if (rc == HF_NOENT)
        rc = HF_CORRUPT;
    if (rc == HF_OK)
        rc = inode_load(session, &record, &inode);
    if (rc != HF_OK)
        return rc;
    inode->linked = true;
    *ret_inode = inode;
    return HF_OK;
}

static char *name_copy(struct slice name)
{
    return strndup((const char *)name.data, name.len);
}

static int load_child(struct session *session, struct inode *dir, const struct dir_entry *entry,
                      struct slice name, struct inode **ret_inode)
{
    struct inode_record record;
    struct inode *inode;
    char *copy;
    int rc;

    if (entry->record.len == 0)
        return load_linked(session, entry->ino, ret_inode);
    rc = inode_record_decode(entry->record, &record);
    if (rc != HF_OK)
        return rc;
    copy = name_copy(name);
    if (!copy)
        return HF_NOMEM;
    rc = inode_load(session, &record, &inode);
    if (rc != HF_OK) {
        free(copy);
        return rc;
    }
    inode_place(session, inode, dir, copy);
    *ret_inode = inode;
    return HF_OK;
}

int directory_child(struct session *session, struct inode *dir, struct slice name,
                    struct inode **ret_inode)
{
    struct dirmap *map;
    struct dir_entry entry;
    int rc = inode_dir(session, dir, &map);

    if (rc == HF_OK)
        rc = dirmap_find(map, name, &entry, NULL);
    if (rc != HF_OK)
        return rc;
    rc = session_inode(session, entry.ino, ret_inode);
    return rc == HF_STALE ? load_child(session, dir, &entry, name, ret_inode) : rc;
}

int directory_probe(struct session *session, struct inode *dir, struct slice name)
{
    struct dirmap *map;
    struct dir_entry entry;
    int rc = inode_dir(session, dir, &map);

    return rc == HF_OK ? dirmap_find(map, name, &entry, NULL) : rc;
}

int directory_check_empty(struct session *session, struct inode *dir)
{
    struct dirmap *map;
    int rc = inode_dir(session, dir, &map);

    if (rc != HF_OK)
        return rc;
    return dirmap_count(map) > 0 ? HF_NOTEMPTY : HF_OK;
}

int directory_enter(struct session *session, struct inode *dir, struct slice name,
                    const struct inode *inode)
{
    struct dir_entry entry = {.name = name, .ino = inode->ino, .mode = inode->mode};
    struct inode_record record;
    BUF_AUTO bytes = {0};
    struct dirmap *map;
    int rc = inode_dir(session, dir, &map);

    if (rc != HF_OK)
        return rc;
    if (inode->linked) {
        entry.mode &= S_IFMT;
    } else {
        inode_placeholder(inode, &record);
        rc = inode_record_encode(&record, &bytes);
        if (rc != HF_OK)
            return rc;
        entry.record = buf_slice(&bytes);
    }
    return dirmap_put(map, &entry, NULL);
}

int directory_put(struct session *session, struct inode *dir, struct slice name,
                  struct inode *inode)
{
    char *copy = name_copy(name);
    int rc;

    if (!copy)
        return HF_NOMEM;
    rc = directory_enter(session, dir, name, inode);
    if (rc != HF_OK) {
        free(copy);
        return rc;
    }
    inode_place(session, inode, dir, copy);
    return HF_OK;
}

int directory_remove(struct session *session, struct inode *dir, struct slice name)
{
    struct dirmap *map;
    int rc = inode_dir(session, dir, &map);

    return rc == HF_OK ? dirmap_remove(map, name, NULL) : rc;
}

void directory_touch(struct session *session, struct inode *dir, int64_t now)
{
    dir->mtime = dir->ctime = now;
    inode_mark(session, dir);
}
