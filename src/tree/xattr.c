/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "tree/reach.h"
#include "tree/table.h"

#define NAME_MAX_BYTES 255
#define VALUE_MAX_BYTES 65536
#define VIRTUAL_PREFIX "user.holdfast."

/* --- the block ---------------------------------------------------------------------------------- */

static int find_value(struct slice block, struct slice name, struct slice *ret_value)
{
    struct slice last = {0}, at, value;
    int more;

    while ((more = xattr_block_next(&block, &last, &at, &value)) == 1) {
        if (slice_compare(at, name) == 0) {
            *ret_value = value;
            return HF_OK;
        }
    }
    return more < 0 ? more : HF_NODATA;
}

/** Copies the block with `name` set to `value`, or (NULL) without it. */
static int rebuild(struct slice block, struct slice name, const struct slice *value,
                   struct buf *ret_block)
{
    struct slice last = {0}, at, old;
    bool placed = value == NULL;
    int more, rc = HF_OK;

    while (rc == HF_OK && (more = xattr_block_next(&block, &last, &at, &old)) != 0) {
        int order;

        if (more < 0)
            return more;
        order = slice_compare(at, name);
        if (!placed && order >= 0) {
            rc = xattr_block_append(ret_block, name, *value);
            placed = true;
        }
        if (rc == HF_OK && order != 0)
            rc = xattr_block_append(ret_block, at, old);
    }
    if (rc == HF_OK && !placed)
        rc = xattr_block_append(ret_block, name, *value);
    return rc;
}

/* --- names -------------------------------------------------------------------------------------- */

static bool has_prefix(const char *name, const char *prefix)
{
    return strncmp(name, prefix, strlen(prefix)) == 0;
}

static int check_name(const char *name)
{
    size_t len = strlen(name);

    if (len == 0 || len > NAME_MAX_BYTES)
        return HF_RANGE;
    for (const char *prefix = "user.\0trusted.\0security.\0"; *prefix; prefix += strlen(prefix) + 1)
        if (has_prefix(name, prefix))
            return name[strlen(prefix)] ? HF_OK : HF_INVAL;
    return HF_UNSUPPORTED;
}

struct holder {
    uint64_t sid;
    char *text;
    size_t size;
};

static int note_holder(const struct lease_info *info, void *arg)
{
    const struct holder *holder = arg;

    if (info->sid == holder->sid && info->state != LEASE_FREE)
        snprintf(holder->text, holder->size, "%s", info->host_name ? info->host_name : "");
    return HF_OK;
}

/** The host that has the lease; empty: none. */
static int holder_name(struct session *session, char *text, size_t size)
{
    struct holder holder = {session->sid, text, size};

    snprintf(text, size, "%s", session->token ? session->tree->host_name : "");
    if (session->token || session->view || session->sid == SHARED_SID)
        return HF_OK;
    if (!reach_store(session->tree->store))
        return HF_TIMEOUT;
    return store_lease_list(session->tree->store, note_holder, &holder, NULL);
}

/** What user.holdfast.* tells of the session. Locked. */
static int virtual_value(struct session *session, const char *name, char *text, size_t size)
{
    const char *what = name + sizeof VIRTUAL_PREFIX - 1;
    char hex[OBJECT_ID_HEX_SIZE];

    if (strcmp(what, "version") == 0) {
        snprintf(text, size, "%llu", (unsigned long long)session->version);
    } else if (strcmp(what, "root") == 0) {
        object_id_hex(&session->root, hex);
        snprintf(text, size, "%s", hex);
    } else if (strcmp(what, "token") == 0) {
        snprintf(text, size, "%llu", (unsigned long long)session->token);
    } else if (strcmp(what, "holder") == 0) {
        return holder_name(session, text, size);
    } else {
        return HF_NODATA;
    }
    return HF_OK;
}

/* --- reading ------------------------------------------------------------------------------------ */

/** The size-query protocol. */
static int give(struct slice value, void *ret_value, size_t size, size_t *ret_len)
{
    if (size != 0 && value.len > size)
        return HF_RANGE;
    if (size != 0 && value.len > 0)
        memcpy(ret_value, value.data, value.len);
    *ret_len = value.len;
    return HF_OK;
}

/** The inode with its block loaded. On success the session is locked and pinned. */
static int open_block(struct tree *tree, uint64_t number, struct session **ret_session,
                      struct inode **ret_inode)
{
    struct session *session;
    struct inode *inode;
    int rc = table_get_inode(tree, number, &session);

    if (rc != HF_OK)
        return rc;
    rc = session_lock(session);
    if (rc != HF_OK)
        goto out;
    rc = session_refresh(session);
    if (rc == HF_OK)
        rc = session_inode(session, INODE_INO(number), &inode);
    if (rc == HF_OK) {
        rc = inode_xattrs(session, inode);
        if (rc == HF_OK) {
            *ret_session = session;
            *ret_inode = inode;
            return HF_OK;
        }
        inode_unref(session, inode);
    }
    session_unlock(session);
out:
    table_put(session);
    return rc;
}

static void close_block(struct session *session, struct inode *inode)
{
    inode_unref(session, inode);
    session_unlock(session);
    table_put(session);
}

int tree_getxattr(struct tree *tree, uint64_t inode, const char *name, void *ret_value, size_t size,
                  size_t *ret_len)
{
    struct session *session;
    struct inode *found;
    struct slice value;
    char text[128];
    int rc = check_name(name);

    if (rc == HF_OK)
        rc = open_block(tree, inode, &session, &found);
    if (rc != HF_OK)
        return rc;
    if (has_prefix(name, VIRTUAL_PREFIX)) {
        rc = virtual_value(session, name, text, sizeof text);
        value = slice_of(text, rc == HF_OK ? strlen(text) : 0);
    } else {
        rc = find_value(buf_slice(&found->xattrs), slice_of(name, strlen(name)), &value);
    }
    if (rc == HF_OK)
        rc = give(value, ret_value, size, ret_len);
    close_block(session, found);
    return rc;
}

int tree_listxattr(struct tree *tree, uint64_t inode, char *ret_names, size_t size, size_t *ret_len)
{
    struct slice block, last = {0}, name, value;
    struct session *session;
    BUF_AUTO names = {0};
    struct inode *found;
    int more, rc = open_block(tree, inode, &session, &found);

    if (rc != HF_OK)
        return rc;
    block = buf_slice(&found->xattrs);
    while (rc == HF_OK && (more = xattr_block_next(&block, &last, &name, &value)) != 0) {
        rc = more < 0 ? more : buf_append(&names, name.data, name.len);
        if (rc == HF_OK)
            rc = buf_append(&names, "", 1);
    }
    if (rc == HF_OK)
        rc = give(buf_slice(&names), ret_names, size, ret_len);
    close_block(session, found);
    return rc;
}

/* --- changing ----------------------------------------------------------------------------------- */

struct setting {
    uint64_t ino;
    struct slice name;
    const struct slice *value; /* NULL: remove */
    int flags;
};

static int check_flags(struct inode *inode, const struct setting *setting)
{
    struct slice old;
    int rc = find_value(buf_slice(&inode->xattrs), setting->name, &old);

    if (rc != HF_OK && rc != HF_NODATA)
        return rc;
    if (rc == HF_OK && setting->value && (setting->flags & XATTR_CREATE))
        return HF_EXIST;
    if (rc == HF_NODATA && (!setting->value || (setting->flags & XATTR_REPLACE)))
        return HF_NODATA;
    return HF_OK;
}

static int set_in(struct session *session, struct inode *inode, const struct setting *setting)
{
    struct buf block = {0};
    int rc;

    if (inode->pseudo)
        return HF_ROFS;
    rc = inode_xattrs(session, inode);
    if (rc == HF_OK)
        rc = check_flags(inode, setting);
    if (rc == HF_OK)
        rc = rebuild(buf_slice(&inode->xattrs), setting->name, setting->value, &block);
    if (rc == HF_OK && block.len > NODE_XATTR_MAX)
        rc = HF_NOSPC;
    if (rc != HF_OK) {
        buf_free(&block);
        return rc;
    }
    buf_free(&inode->xattrs);
    inode->xattrs = block;
    inode->xattrs_dirty = true;
    if (inode->unlinked)
        return HF_OK;
    inode->ctime = session_now(session);
    inode_mark(session, inode);
    session_changed(session, false);
    return HF_OK;
}

static int apply_set(struct session *session, void *arg)
{
    const struct setting *setting = arg;
    struct inode *inode;
    int rc = session_inode(session, setting->ino, &inode);

    if (rc != HF_OK)
        return rc;
    rc = set_in(session, inode, setting);
    inode_unref(session, inode);
    return rc;
}

static int change(struct tree *tree, uint64_t inode, const char *name, const struct slice *value,
                  int flags)
{
    struct setting setting = {.ino = INODE_INO(inode),
                              .name = slice_of(name, strlen(name)),
                              .value = value,
                              .flags = flags};
    struct session *session;
    int rc = check_name(name);

    if (rc == HF_OK && has_prefix(name, VIRTUAL_PREFIX))
        rc = HF_PERM;
    if (rc == HF_OK)
        rc = table_get_inode(tree, inode, &session);
    if (rc != HF_OK)
        return rc;
    rc = session_change(session, apply_set, &setting);
    if (rc == HF_OK)
        session_unlock(session);
    table_put(session);
    return rc;
}

int tree_setxattr(struct tree *tree, const struct tree_caller *caller, uint64_t inode,
                  const char *name, const void *value, size_t size, int flags)
{
    struct slice bytes = slice_of(value, size);

    (void)caller;
    if (size > VALUE_MAX_BYTES)
        return HF_TOOBIG;
    return change(tree, inode, name, &bytes, flags);
}

int tree_removexattr(struct tree *tree, const struct tree_caller *caller, uint64_t inode,
                     const char *name)
{
    (void)caller;
    return change(tree, inode, name, NULL, 0);
}
