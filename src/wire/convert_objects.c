/* SPDX-License-Identifier: Apache-2.0 */
/* Objects, contents and commits: what carries the bulk of the bytes. */
#include "wire/value.h"

/* --- packing ----------------------------------------------------------------------------------- */

/* LZ4 into the arena by way of `scratch`, or else the content itself. */
static int pack(struct slice content, struct buf *scratch, struct wire_arena *arena,
                uint32_t *ret_encoding, ProtobufCBinaryData *ret_bytes, struct hf_error *err)
{
    enum object_encoding encoding;
    uint8_t *packed;

    scratch->len = 0;
    if (object_pack(content, (struct slice){0}, scratch, &encoding) != HF_OK)
        return value_no_memory(err);
    *ret_encoding = encoding;
    if (encoding == OBJECT_PLAIN) {
        *ret_bytes = value_fill_bytes(content.data, content.len);
        return HF_OK;
    }
    packed = wire_arena_alloc(arena, scratch->len);
    if (!packed)
        return value_no_memory(err);
    memcpy(packed, scratch->data, scratch->len);
    *ret_bytes = value_fill_bytes(packed, scratch->len);
    return HF_OK;
}

/* Whether `size` and `encoding` may be believed before anything is allocated for them. */
static int check_packed(uint32_t encoding, uint32_t size, struct hf_error *err)
{
    int rc = value_check_range(encoding, OBJECT_PLAIN, OBJECT_LZ4, "encoding", err);

    return rc == HF_OK ? value_check_range(size, 0, OBJECT_MAX_SIZE, "size", err) : rc;
}

static int unpack_failed(int rc, uint32_t size, struct hf_error *err)
{
    if (rc == HF_NOMEM)
        return value_no_memory(err);
    return hf_fail(err, HF_INVAL, "content does not unpack to %u bytes", size);
}

/* Plain content stays in the message; packed content is unpacked into the arena. */
static int unpack(const Holdfast__Wire__Object *message, struct wire_arena *arena,
                  struct slice *ret_content, struct hf_error *err)
{
    struct buf plain = {.cap = message->size};
    int rc;

    if (message->encoding == OBJECT_PLAIN) {
        if (message->content.len != message->size)
            return unpack_failed(HF_CORRUPT, message->size, err);
        *ret_content = slice_of(message->content.data, message->content.len);
        return HF_OK;
    }
    plain.data = wire_arena_alloc(arena, message->size);
    if (!plain.data)
        return value_no_memory(err);
    /* The buffer has room for all of it, so that it is never moved from where the arena keeps it. */
    rc = object_unpack((enum object_encoding)message->encoding,
                       slice_of(message->content.data, message->content.len), (struct slice){0},
                       message->size, &plain);
    if (rc != HF_OK)
        return unpack_failed(rc, message->size, err);
    *ret_content = buf_slice(&plain);
    return HF_OK;
}

/* --- objects ----------------------------------------------------------------------------------- */

static int fill_object(const struct object *object, struct buf *scratch, struct wire_arena *arena,
                       Holdfast__Wire__Object *message, struct hf_error *err)
{
    holdfast__wire__object__init(message);
    message->id = value_fill_id(true, &object->id);
    message->kind = object->kind;
    message->size = (uint32_t)object->content.len;
    message->replaces = value_fill_id(object->has_base, &object->base);
    return pack(object->content, scratch, arena, &message->encoding, &message->content, err);
}

int wire_fill_objects(const struct object *objects, size_t n, struct wire_arena *arena,
                      Holdfast__Wire__Object ***ret_list, struct hf_error *err)
{
    Holdfast__Wire__Object **list = wire_arena_alloc(arena, n * sizeof(void *));
    Holdfast__Wire__Object *messages = wire_arena_alloc(arena, n * sizeof *messages);
    BUF_AUTO scratch = {0};
    int rc = list && messages ? HF_OK : value_no_memory(err);

    for (size_t i = 0; i < n && rc == HF_OK; i++) {
        list[i] = &messages[i];
        rc = fill_object(&objects[i], &scratch, arena, list[i], err);
    }
    if (rc == HF_OK)
        *ret_list = list;
    return rc;
}

/* As an engine answers it: what comes is not what its id says. */
static int check_kind(uint32_t kind, struct hf_error *err)
{
    int rc = value_check_range(kind, OBJECT_CHUNK, OBJECT_ROOT, "kind", err);

    return rc == HF_OK ? rc : hf_fail(err, HF_CORRUPT, "there is no kind of object %u", kind);
}

static int read_object(const Holdfast__Wire__Object *message, struct wire_arena *arena,
                       struct object *object, struct hf_error *err)
{
    int rc = value_read_bytes(message->id, "id", object->id.bytes, OBJECT_ID_SIZE, err);

    if (rc == HF_OK)
        rc = check_kind(message->kind, err);
    if (rc == HF_OK)
        rc = value_read_id(message->replaces, "replaces", &object->has_base, &object->base, err);
    if (rc == HF_OK)
        rc = unpack(message, arena, &object->content, err);
    if (rc == HF_OK)
        object->kind = (enum object_kind)message->kind;
    return rc;
}

/* A small message can promise much: all sizes are looked at before anything is unpacked. */
static int check_sizes(Holdfast__Wire__Object *const *list, size_t n, struct hf_error *err)
{
    uint64_t total = 0;
    int rc = HF_OK;

    for (size_t i = 0; i < n && rc == HF_OK; i++) {
        rc = check_packed(list[i]->encoding, list[i]->size, err);
        total += list[i]->size;
    }
    if (rc == HF_OK && total > WIRE_PLAIN_MAX)
        rc = hf_fail(err, HF_TOOBIG, "the objects of one message have %llu bytes, more than %u",
                     (unsigned long long)total, WIRE_PLAIN_MAX);
    return rc;
}

int wire_read_objects(Holdfast__Wire__Object *const *list, size_t n, struct wire_arena *arena,
                      struct object **ret_objects, struct hf_error *err)
{
    struct object *objects;
    int rc = check_sizes(list, n, err);

    if (rc != HF_OK)
        return rc;
    objects = wire_arena_alloc(arena, n * sizeof *objects);
    if (!objects)
        return value_no_memory(err);
    for (size_t i = 0; i < n && rc == HF_OK; i++) {
        rc = read_object(list[i], arena, &objects[i], err);
        if (rc != HF_OK)
            hf_fail_prefix(err, rc, "object %zu of %zu", i + 1, n);
    }
    if (rc == HF_OK)
        *ret_objects = objects;
    return rc;
}

/* --- contents ---------------------------------------------------------------------------------- */

int wire_fill_contents(const struct buf *contents, size_t n, struct wire_arena *arena,
                       Holdfast__Wire__Content ***ret_list, struct hf_error *err)
{
    Holdfast__Wire__Content **list = wire_arena_alloc(arena, n * sizeof(void *));
    Holdfast__Wire__Content *messages = wire_arena_alloc(arena, n * sizeof *messages);
    BUF_AUTO scratch = {0};
    int rc = list && messages ? HF_OK : value_no_memory(err);

    for (size_t i = 0; i < n && rc == HF_OK; i++) {
        list[i] = &messages[i];
        holdfast__wire__content__init(list[i]);
        list[i]->size = (uint32_t)contents[i].len;
        rc = pack(buf_slice(&contents[i]), &scratch, arena, &list[i]->encoding, &list[i]->content,
                  err);
    }
    if (rc == HF_OK)
        *ret_list = list;
    return rc;
}

int wire_read_content(const Holdfast__Wire__Content *message, struct buf *ret_content,
                      struct hf_error *err)
{
    int rc = check_packed(message->encoding, message->size, err);

    if (rc != HF_OK)
        return rc;
    rc = object_unpack((enum object_encoding)message->encoding,
                       slice_of(message->content.data, message->content.len), (struct slice){0},
                       message->size, ret_content);
    return rc == HF_OK ? HF_OK : unpack_failed(rc, message->size, err);
}

/* --- commits ----------------------------------------------------------------------------------- */

int wire_fill_commit(const struct commit *commit, struct wire_arena *arena,
                     Holdfast__Wire__Commit *ret_message, struct hf_error *err)
{
    Holdfast__Wire__Commit message = HOLDFAST__WIRE__COMMIT__INIT;
    int rc = wire_fill_objects(commit->objects, commit->nobjects, arena, &message.objects, err);

    if (rc == HF_OK)
        rc = value_fill_meta(&commit->meta, arena, &message.meta, err);
    if (rc != HF_OK)
        return rc;
    message.sid = commit->sid;
    message.token = commit->token;
    message.base_version = commit->base_version;
    message.root = value_fill_id(true, &commit->root);
    message.n_objects = commit->nobjects;
    message.durability = commit->durability;
    message.meta_strings_valid = commit->meta_strings_valid;
    *ret_message = message;
    return HF_OK;
}

static int read_commit_objects(const Holdfast__Wire__Commit *message, struct wire_arena *arena,
                               struct commit *commit, struct hf_error *err)
{
    struct object *objects = NULL;
    int rc = wire_read_objects(message->objects, message->n_objects, arena, &objects, err);

    if (rc == HF_OK) {
        commit->objects = objects;
        commit->nobjects = message->n_objects;
    }
    return rc;
}

int wire_read_commit(const Holdfast__Wire__Commit *message, struct wire_arena *arena,
                     struct commit *ret_commit, struct hf_error *err)
{
    struct commit commit = {0};
    int rc;

    if (!message)
        return value_absent("commit", err);
    rc = value_read_bytes(message->root, "root", commit.root.bytes, OBJECT_ID_SIZE, err);
    if (rc == HF_OK)
        rc = value_check_range(message->durability, DURABILITY_RELAXED, DURABILITY_SYNC,
                               "durability", err);
    if (rc == HF_OK)
        rc = value_read_meta(message->meta, arena, &commit.meta, err);
    if (rc == HF_OK)
        rc = read_commit_objects(message, arena, &commit, err);
    if (rc != HF_OK)
        return rc;
    commit.sid = message->sid;
    commit.token = message->token;
    commit.base_version = message->base_version;
    commit.durability = (enum durability)message->durability;
    commit.meta_strings_valid = message->meta_strings_valid;
    *ret_commit = commit;
    return HF_OK;
}
