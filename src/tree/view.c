/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/view.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "tree/dirmap.h"
#include "tree/filemap.h"
#include "tree/linktable.h"

/** Entries listed before a directory's leaves are let go again. */
#define TRIM_EVERY 4096

struct view {
    struct blob_cache *cache;
    struct blob *blob;     /* the ROOT node */
    struct root_node root; /* points into `blob` */
    struct dirmap *links;
    struct filemap *file; /* the one last read, or NULL */
    uint64_t file_ino;
};

/* --- opening -------------------------------------------------------------------------------------- */

static int read_root(struct view *view, const struct object_id *root, struct hf_error *err)
{
    char hex[OBJECT_ID_HEX_SIZE];
    int rc = blob_get(view->cache, root, &view->blob, err);

    if (rc != HF_OK)
        return rc;
    rc = root_node_decode(blob_content(view->blob), &view->root);
    if (rc == HF_OK)
        return dirmap_open(view->cache, &view->root.links, &view->links, err);
    object_id_hex(root, hex);
    return hf_fail(err, rc, "root %s: %s", hex, hf_status_text(rc));
}

int view_open(struct blob_cache *cache, const struct object_id *root, struct view **ret_view,
              struct hf_error *err)
{
    struct view *view = calloc(1, sizeof *view);
    int rc;

    if (!view)
        return hf_fail(err, HF_NOMEM, "out of memory for a view");
    view->cache = cache;
    rc = read_root(view, root, err);
    if (rc == HF_OK)
        *ret_view = view;
    else
        view_free(view);
    return rc;
}

void view_free(struct view *view)
{
    if (!view)
        return;
    filemap_free(view->file);
    dirmap_free(view->links);
    blob_unref(view->cache, view->blob);
    free(view);
}

void view_node_clear(struct view_node *node)
{
    buf_free(&node->bytes);
    *node = (struct view_node){0};
}

/* --- entries -------------------------------------------------------------------------------------- */

/* The record of an entry, through the link table where it is a link. It points into a map: valid until
 * the next call on it. */
static int entry_record(struct view *view, const struct dir_entry *entry, struct slice *ret_bytes,
                        struct inode_record *ret_record, struct hf_error *err)
{
    struct slice bytes = entry->record;
    struct dir_entry inode;
    int rc;

    if (bytes.len == 0) {
        rc = linktable_entry(view->links, entry->ino, &inode, err);
        if (rc == HF_NOENT)
            return hf_fail(err, HF_CORRUPT, "inode %" PRIu64 " is not in the link table",
                           entry->ino);
        if (rc != HF_OK)
            return rc;
        bytes = inode.record;
    }
    rc = inode_record_decode(bytes, ret_record);
    if (rc != HF_OK)
        return hf_fail(err, rc, "inode %" PRIu64 ": %s", entry->ino, hf_status_text(rc));
    *ret_bytes = bytes;
    return HF_OK;
}

/* A copy of the top directory's record: it lies in a copy of the whole root. */
static int top_node(const struct view *view, struct view_node *ret_node, struct hf_error *err)
{
    const struct slice content = blob_content(view->blob);
    struct view_node node = {0};
    struct root_node root;
    int rc = buf_append(&node.bytes, content.data, content.len);

    if (rc == HF_OK)
        rc = root_node_decode(buf_slice(&node.bytes), &root);
    if (rc != HF_OK) {
        buf_free(&node.bytes);
        return hf_fail(err, rc, "the top directory: %s", hf_status_text(rc));
    }
    node.record = root.dir;
    *ret_node = node;
    return HF_OK;
}

static int entry_node(struct view *view, const struct dir_entry *entry, struct view_node *ret_node,
                      struct hf_error *err)
{
    struct view_node node = {0};
    struct slice bytes;
    int rc = entry_record(view, entry, &bytes, &node.record, err);

    if (rc != HF_OK)
        return rc;
    if (buf_append(&node.bytes, bytes.data, bytes.len) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory for an inode");
    rc = inode_record_decode(buf_slice(&node.bytes), &node.record);
    assert(rc == HF_OK);
    *ret_node = node;
    return rc;
}

static int open_directory(struct view *view, const struct inode_record *record,
                          struct dirmap **ret_map, struct hf_error *err)
{
    if (!S_ISDIR(record->mode))
        return hf_fail(err, HF_NOTDIR, "not a directory");
    return dirmap_open(view->cache, &record->content, ret_map, err);
}

/* --- looking up ----------------------------------------------------------------------------------- */

static int lookup_name(struct view *view, const struct view_node *dir, struct slice name,
                       struct view_node *ret_node, struct hf_error *err)
{
    struct dirmap *map = NULL;
    struct dir_entry entry;
    int rc = open_directory(view, &dir->record, &map, err);

    if (rc == HF_OK)
        rc = dirmap_find(map, name, &entry, err);
    if (rc == HF_OK)
        rc = entry_node(view, &entry, ret_node, err);
    dirmap_free(map);
    return rc;
}

/* Takes the next component off `path`; empty at its end. */
static struct slice next_component(const char **path)
{
    const char *start = *path + strspn(*path, "/");
    const size_t len = strcspn(start, "/");

    *path = start + len;
    return slice_of(start, len);
}

int view_lookup(struct view *view, const char *path, struct view_node *ret_node,
                struct hf_error *err)
{
    struct view_node node, child;
    const char *rest = path;
    struct slice name;
    int rc = top_node(view, &node, err);

    if (rc != HF_OK)
        return rc;
    while ((name = next_component(&rest)).len > 0) {
        rc = lookup_name(view, &node, name, &child, err);
        view_node_clear(&node);
        if (rc != HF_OK)
            return hf_fail_prefix(err, rc, "%.*s", (int)(rest - path), path);
        node = child;
    }
    *ret_node = node;
    return HF_OK;
}

/* --- listing -------------------------------------------------------------------------------------- */

/** Where a listing of a directory is. */
struct cursor {
    struct dirmap *map;
    uint8_t name[NODE_NAME_MAX]; /* of the last entry */
    size_t name_len;
    unsigned listed;
};

/* The next entry: 1, 0 at the end, or a failure. The entry is valid until the next call. */
static int cursor_next(struct cursor *cursor, struct dir_entry *ret_entry, struct hf_error *err)
{
    int rc;

    if (++cursor->listed % TRIM_EVERY == 0)
        dirmap_trim(cursor->map);
    rc = dirmap_next(cursor->map, slice_of(cursor->name, cursor->name_len), ret_entry, err);
    if (rc != HF_OK)
        return rc == HF_NOENT ? 0 : rc;
    memcpy(cursor->name, ret_entry->name.data, ret_entry->name.len);
    cursor->name_len = ret_entry->name.len;
    return 1;
}

int view_list(struct view *view, const struct view_node *dir,
              int (*visit)(struct slice name, const struct inode_record *record, void *arg),
              void *arg, struct hf_error *err)
{
    struct cursor cursor = {0};
    struct inode_record record;
    struct dir_entry entry;
    struct slice bytes;
    int rc = open_directory(view, &dir->record, &cursor.map, err);

    if (rc != HF_OK)
        return rc;
    while ((rc = cursor_next(&cursor, &entry, err)) == 1) {
        rc = entry_record(view, &entry, &bytes, &record, err);
        if (rc == HF_OK)
            rc = visit(entry.name, &record, arg);
        if (rc != HF_OK)
            break;
    }
    dirmap_free(cursor.map);
    return rc;
}

/* --- walking -------------------------------------------------------------------------------------- */

/** A directory on the way to where a walk is. */
struct step {
    struct cursor cursor;
    size_t path_len; /* of the directory's own path */
};

/** A walk in progress. Its depth is bounded by memory alone, so it does not use the program's stack. */
struct walk {
    struct view *view;
    struct hf_error *err;
    struct step *steps;
    size_t depth, cap;
    struct buf path; /* NUL-terminated; no NUL in `len` */
};

static int no_memory(struct walk *walk)
{
    return hf_fail(walk->err, HF_NOMEM, "out of memory for a walk");
}

static int descend(struct walk *walk, const struct inode_record *record)
{
    const size_t cap = walk->cap ? walk->cap * 2 : 8;
    struct dirmap *map;
    struct step *steps;
    int rc;

    if (walk->depth == walk->cap) {
        steps = reallocarray(walk->steps, cap, sizeof *steps);
        if (!steps)
            return no_memory(walk);
        walk->steps = steps;
        walk->cap = cap;
    }
    rc = open_directory(walk->view, record, &map, walk->err);
    if (rc == HF_OK)
        walk->steps[walk->depth++] =
            (struct step){.cursor = {.map = map}, .path_len = walk->path.len};
    return rc;
}

/* Makes walk->path that of an entry of the innermost directory. */
static int set_path(struct walk *walk, struct slice name)
{
    const size_t dir = walk->steps[walk->depth - 1].path_len;
    int rc = HF_OK;

    walk->path.len = dir;
    if (dir > 0)
        rc = buf_append(&walk->path, "/", 1);
    if (rc == HF_OK)
        rc = buf_append(&walk->path, name.data, name.len);
    if (rc == HF_OK)
        rc = buf_append(&walk->path, "", 1);
    if (rc != HF_OK)
        return no_memory(walk);
    walk->path.len--;
    return HF_OK;
}

/* Takes one step: an entry of the innermost directory, or back out of it. */
static int walk_on(struct walk *walk,
                   int (*visit)(const char *path, const struct inode_record *record, void *arg),
                   void *arg)
{
    struct step *step = &walk->steps[walk->depth - 1];
    struct inode_record record;
    struct dir_entry entry;
    struct slice bytes;
    int rc = cursor_next(&step->cursor, &entry, walk->err);

    if (rc == 0) {
        dirmap_free(step->cursor.map);
        walk->depth--;
        return HF_OK;
    }
    if (rc == 1)
        rc = entry_record(walk->view, &entry, &bytes, &record, walk->err);
    if (rc == HF_OK)
        rc = set_path(walk, entry.name);
    if (rc == HF_OK)
        rc = visit((const char *)walk->path.data, &record, arg);
    if (rc == HF_OK && S_ISDIR(record.mode))
        rc = descend(walk, &record);
    return rc;
}

int view_walk(struct view *view,
              int (*visit)(const char *path, const struct inode_record *record, void *arg),
              void *arg, struct hf_error *err)
{
    struct walk walk = {.view = view, .err = err};
    int rc = descend(&walk, &view->root.dir);

    while (rc == HF_OK && walk.depth > 0)
        rc = walk_on(&walk, visit, arg);
    while (walk.depth > 0)
        dirmap_free(walk.steps[--walk.depth].cursor.map);
    free(walk.steps);
    buf_free(&walk.path);
    return rc;
}

/* --- contents ------------------------------------------------------------------------------------- */

static int read_inline(const struct inode_record *record, uint64_t offset, size_t len,
                       uint8_t *ret_data, size_t *ret_len)
{
    const struct slice bytes = record->content.bytes;
    const size_t from = offset < bytes.len ? (size_t)offset : bytes.len;
    const size_t n = len < bytes.len - from ? len : bytes.len - from;

    if (n > 0)
        memcpy(ret_data, bytes.data + from, n);
    *ret_len = n;
    return HF_OK;
}

/* Opens a file's map, or takes the one of the read before: an inode of a view never changes. */
static int file_of(struct view *view, const struct inode_record *record, struct hf_error *err)
{
    struct filemap *file;
    int rc;

    if (view->file && view->file_ino == record->ino)
        return HF_OK;
    rc = filemap_open(view->cache, &record->content, record->size, record->allocated, &file, err);
    if (rc != HF_OK)
        return rc;
    filemap_free(view->file);
    view->file = file;
    view->file_ino = record->ino;
    return HF_OK;
}

int view_read(struct view *view, const struct view_node *file, uint64_t offset, size_t len,
              uint8_t *ret_data, size_t *ret_len, struct hf_error *err)
{
    const struct inode_record *record = &file->record;
    int rc;

    if (S_ISDIR(record->mode))
        return hf_fail(err, HF_ISDIR, "is a directory");
    if (!S_ISREG(record->mode) && !S_ISLNK(record->mode))
        return hf_fail(err, HF_INVAL, "neither a regular file nor a symbolic link");
    if (record->content.kind == CONTENT_INLINE || record->content.kind == CONTENT_NONE)
        return read_inline(record, offset, len, ret_data, ret_len);
    rc = file_of(view, record, err);
    return rc == HF_OK ? filemap_read(view->file, offset, len, ret_data, ret_len, err) : rc;
}

/* A chunk is checked to be a block only here: nothing but its use says that it is one. */
static int check_block(struct slice block)
{
    struct slice last = {0}, name, value;
    int rc;

    if (block.len <= NODE_XATTR_INLINE_MAX)
        return HF_CORRUPT;
    while ((rc = xattr_block_next(&block, &last, &name, &value)) == 1)
        ;
    return rc;
}

int view_xattrs(struct view *view, const struct view_node *node, struct buf *ret_block,
                struct hf_error *err)
{
    const struct inode_record *record = &node->record;
    struct slice block = {0};
    struct blob *blob = NULL;
    int rc = HF_OK;

    if (record->xattr_kind == XATTR_INLINE) {
        block = record->xattr_block;
    } else if (record->xattr_kind == XATTR_CHUNK) {
        rc = blob_get(view->cache, &record->xattr_id, &blob, err);
        if (rc != HF_OK)
            return rc;
        block = blob_content(blob);
        rc = check_block(block);
    }
    if (rc == HF_OK)
        rc = buf_append(ret_block, block.data, block.len);
    blob_unref(view->cache, blob);
    return rc == HF_OK ? rc
                       : hf_fail(err, rc, "extended attributes of inode %" PRIu64 ": %s",
                                 record->ino, hf_status_text(rc));
}
