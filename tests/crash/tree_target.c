/* SPDX-License-Identifier: Apache-2.0 */
#include "tree_target.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tree/view.h"

#define PATH_SIZE 256

void tree_target_init(struct tree_target *target, struct mount *mount, const char *base)
{
    *target = (struct tree_target){.mount = mount};
    snprintf(target->base, sizeof target->base, "%s", base);
}

void tree_target_close(struct tree_target *target)
{
    for (unsigned i = 0; i < STEP_SLOTS; i++) {
        if (target->handles[i])
            mount_closefile(target->handles[i]);
        target->handles[i] = NULL;
    }
}

static int write_step(struct tree_target *target, const struct step *step)
{
    uint8_t *data = malloc(step->len);
    int rc;

    if (!data)
        return HF_NOMEM;
    step_data(step, data);
    rc = tree_write(target->handles[step->slot], &target->mount->caller, step->offset, data,
                    step->len);
    free(data);
    return rc;
}

static int truncate_step(struct tree_target *target, const struct step *step)
{
    struct stat attr = {.st_size = (off_t)step->offset};
    struct tree_handle *handle = target->handles[step->slot];
    struct tree_entry entry;

    return tree_setattr(target->mount->tree, &target->mount->caller, target->inodes[step->slot],
                        handle, &attr, TREE_SET_SIZE, &entry);
}

static int open_step(struct tree_target *target, const struct step *step, const char *path)
{
    int flags = O_RDWR | O_CREAT | (step->truncate ? O_TRUNC : 0);
    struct tree_handle *handle;
    struct tree_entry entry;
    int rc = mount_openfile(target->mount, path, flags, step->mode, &handle);

    if (rc != HF_OK)
        return rc;
    target->handles[step->slot] = handle;
    rc = mount_lookup(target->mount, path, &entry);
    target->inodes[step->slot] = entry.inode;
    return rc;
}

static int close_step(struct tree_target *target, unsigned slot)
{
    struct tree_handle *handle = target->handles[slot];

    target->handles[slot] = NULL;
    return mount_closefile(handle);
}

int tree_target_step(struct tree_target *target, const struct step *step)
{
    struct mount *mount = target->mount;
    char path[PATH_SIZE], other[PATH_SIZE];

    snprintf(path, sizeof path, "%s/%s", target->base, step->path);
    if (!step->path[0])
        snprintf(path, sizeof path, "%s", target->base);
    snprintf(other, sizeof other, "%s/%s", target->base, step->other);
    switch (step->kind) {
    case STEP_MKDIR:
        return mount_mkdir(mount, path, step->mode);
    case STEP_OPEN:
        return open_step(target, step, path);
    case STEP_WRITE:
        return write_step(target, step);
    case STEP_TRUNCATE:
        return truncate_step(target, step);
    case STEP_FSYNC:
        return tree_fsync(target->handles[step->slot]);
    case STEP_CLOSE:
        return close_step(target, step->slot);
    case STEP_RENAME:
        return mount_rename(mount, path, other, 0);
    case STEP_UNLINK:
        return mount_unlink(mount, path);
    case STEP_LINK:
        return mount_link(mount, path, other);
    case STEP_SYMLINK:
        return mount_symlink(mount, step->other, path);
    case STEP_CHMOD:
        return mount_chmod(mount, path, step->mode);
    }
    return HF_INVAL;
}

/* --- listing ------------------------------------------------------------------------------------ */

struct lister {
    struct view *view;
    struct buf *listing;
};

static int read_content(struct view *view, const struct view_node *node, struct buf *content)
{
    size_t size = (size_t)node->record.size, n = 0;
    int rc = buf_reserve(content, size + 1);

    if (rc == HF_OK)
        rc = view_read(view, node, 0, size + 1, content->data, &n, NULL);
    if (rc == HF_OK && n != size)
        rc = HF_CORRUPT;
    content->len = n;
    return rc;
}

static int list_one(const char *path, const struct inode_record *record, void *arg)
{
    struct lister *lister = arg;
    struct view_node node = {0};
    BUF_AUTO content = {0};
    unsigned mode = record->mode & 07777;
    int rc;

    if (S_ISDIR(record->mode)) {
        picture_add(lister->listing, path, 'd', mode, 0, (struct slice){0});
        return HF_OK;
    }
    rc = view_lookup(lister->view, path, &node, NULL);
    if (rc != HF_OK)
        return rc;
    rc = read_content(lister->view, &node, &content);
    if (rc == HF_OK)
        picture_add(lister->listing, path, S_ISLNK(record->mode) ? 'l' : 'f', mode, record->nlink,
                    buf_slice(&content));
    view_node_clear(&node);
    return rc;
}

int store_list(struct store *store, const char *session, struct buf *ret_listing,
               struct hf_error *err)
{
    struct lister lister = {.listing = ret_listing};
    struct blob_cache *cache;
    struct view_node top = {0};
    struct session_head head;
    int rc = store_session_find(store, session, &head, err);

    ret_listing->len = 0;
    if (rc != HF_OK)
        return rc == HF_NOENT ? HF_OK : rc;
    cache = blob_cache_new(store, 1 << 20);
    rc = view_open(cache, &head.root, &lister.view, err);
    if (rc == HF_OK)
        rc = view_lookup(lister.view, "", &top, err);
    if (rc == HF_OK) {
        picture_add(ret_listing, "", 'd', top.record.mode & 07777, 0, (struct slice){0});
        rc = view_walk(lister.view, list_one, &lister, err);
    }
    if (rc == HF_OK)
        picture_sort(ret_listing);
    view_node_clear(&top);
    view_free(lister.view);
    blob_cache_free(cache);
    return rc;
}
