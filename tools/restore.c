/* SPDX-License-Identifier: Apache-2.0 */
#include "restore.h"

#include <stdlib.h>

#include "store/meta.h"
#include "tree/view.h"

#define CACHE_BYTES ((size_t)4 << 20)
#define WORKSPACE "workspace.yaml"

/* --- the index row --------------------------------------------------------------------------------- */

static int read_workspace(struct view *view, struct buf *out, struct hf_error *err)
{
    struct view_node file = {0};
    size_t len = 0;
    int status = view_lookup(view, WORKSPACE, &file, err);

    if (status == HF_NOENT)
        return HF_OK;
    if (status == HF_OK && buf_reserve(out, META_YAML_MAX) != HF_OK)
        status = hf_fail(err, HF_NOMEM, "out of memory");
    if (status == HF_OK) {
        status = view_read(view, &file, 0, META_YAML_MAX, out->data, &len, err);
        if (status == HF_OK)
            out->len = len;
        else if (status == HF_ISDIR || status == HF_INVAL) /* it is no file: it says nothing */
            status = HF_OK;
    }
    view_node_clear(&file);
    return status;
}

/* What workspace.yaml says under `root`. */
static int read_meta(struct store *store, const struct object_id *root,
                     struct meta_strings *ret_strings, struct hf_error *err)
{
    struct blob_cache *cache = blob_cache_new(store, CACHE_BYTES);
    struct view *view = NULL;
    BUF_AUTO yaml = {0};
    int status = HF_NOMEM;

    if (cache)
        status = view_open(cache, root, &view, err);
    if (status == HF_OK)
        status = read_workspace(view, &yaml, err);
    if (status == HF_OK)
        status = meta_parse(buf_slice(&yaml), ret_strings);
    if (status == HF_NOMEM)
        hf_fail(err, status, "out of memory");
    view_free(view);
    blob_cache_free(cache);
    return status;
}

/* --- the root ---------------------------------------------------------------------------------------- */

static int read_root(struct store *store, const struct object_id *id, struct buf *bytes,
                     struct root_node *ret_root, struct hf_error *err)
{
    int status = store_get(store, id, 1, bytes, err);

    if (status != HF_OK)
        return status;
    status = root_node_decode(buf_slice(bytes), ret_root);
    return status == HF_OK ? status : hf_fail(err, status, "a root: %s", hf_status_text(status));
}

/*
 * The root to commit: that of `from`, but inode numbers go on where the head is. A mount that still knows an
 * inode of a version in between must not meet its number again as another file.
 */
static int make_root(struct store *store, const struct object_id *from,
                     const struct object_id *head, struct buf *bytes, struct object *ret_object,
                     struct hf_error *err)
{
    BUF_AUTO old_bytes = {0}, head_bytes = {0};
    struct root_node old, now;
    int status = read_root(store, from, &old_bytes, &old, err);

    if (status == HF_OK)
        status = read_root(store, head, &head_bytes, &now, err);
    if (status != HF_OK)
        return status;
    if (now.next_ino > old.next_ino)
        old.next_ino = now.next_ino;
    ret_object->kind = OBJECT_ROOT;
    if (root_node_encode(&old, bytes) != HF_OK ||
        object_id_compute(&store_info(store)->hasher, OBJECT_ROOT, bytes->data, bytes->len,
                          &ret_object->id) != HF_OK)
        return hf_fail(err, HF_NOMEM, "out of memory");
    ret_object->content = buf_slice(bytes);
    return HF_OK;
}

/* --- onto a session ------------------------------------------------------------------------------------ */

static int commit(struct presence *presence, const struct lease *lease,
                  const struct session_head *from, uint64_t *ret_version, struct hf_error *err)
{
    struct store *store = presence_store(presence);
    struct meta_strings strings = {0};
    struct object root = {0};
    BUF_AUTO bytes = {0};
    struct commit commit = {.sid = lease->sid,
                            .token = lease->token,
                            .base_version = lease->head.version,
                            .objects = &root,
                            .nobjects = 1,
                            .durability = DURABILITY_SYNC,
                            .meta = {.bytes = from->bytes, .files = from->files},
                            .meta_strings_valid = true};
    int status = make_root(store, &from->root, &lease->head.root, &bytes, &root, err);

    if (status == HF_OK && object_id_equal(&root.id, &lease->head.root)) {
        *ret_version = 0;
        return HF_OK;
    }
    if (status == HF_OK)
        status = read_meta(store, &from->root, &strings, err);
    if (status == HF_OK) {
        commit.root = root.id;
        meta_strings_lend(&strings, &commit.meta);
        status = store_commit(store, presence_host(presence), &commit, ret_version, err);
    }
    meta_strings_free(&strings);
    return status;
}

int restore_onto(struct presence *presence, uint64_t sid, const struct session_head *from,
                 uint32_t wait_ms, uint64_t *ret_version, struct hf_error *err)
{
    struct lease lease;
    int status = presence_lease(presence, sid, wait_ms, &lease, err);

    if (status != HF_OK)
        return status;
    status = commit(presence, &lease, from, ret_version, err);
    (void)presence_release(presence, &lease, NULL); /* it ends with the presence at the latest */
    return status;
}

/* --- as a session ---------------------------------------------------------------------------------------- */

int restore_as(struct presence *presence, const char *name, const struct session_head *from,
               uint64_t *ret_sid, struct hf_error *err)
{
    struct store *store = presence_store(presence);
    struct commit first = {.root = from->root,
                           .durability = DURABILITY_SYNC,
                           .meta = {.bytes = from->bytes, .files = from->files},
                           .meta_strings_valid = true};
    struct meta_strings strings = {0};
    struct lease lease;
    int status = read_meta(store, &from->root, &strings, err);

    if (status != HF_OK)
        return status;
    meta_strings_lend(&strings, &first.meta);
    status = store_session_create(store, 0, name, &first, &lease, err);
    meta_strings_free(&strings);
    if (status == HF_EXIST)
        return hf_fail(err, status, "there is a session '%s' already", name);
    if (status == HF_OK && ret_sid)
        *ret_sid = lease.sid;
    return status;
}
