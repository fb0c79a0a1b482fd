/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/remote/stash.h"

#include <stdlib.h>
#include <string.h>

#include "wire/convert.h"

/** Ids that are looked for at once; more are asked for, as they are not all here. */
#define TAKE_MAX 64

struct stashed {
    struct hnode node;
    struct stashed *prev, *next;
    struct object_id id;
    size_t len;
    uint8_t data[];
};

void stash_init(struct stash *stash)
{
    memset(stash, 0, sizeof *stash);
    pthread_mutex_init(&stash->lock, NULL);
}

/* --- the list; the lock is held -------------------------------------------------------------------- */

static void drop(struct stash *stash, struct stashed *object)
{
    *(object->prev ? &object->prev->next : &stash->oldest) = object->next;
    *(object->next ? &object->next->prev : &stash->newest) = object->prev;
    htable_remove(&stash->table, &object->node);
    stash->bytes -= object->len;
    free(object);
}

static struct stashed *find(const struct stash *stash, const struct object_id *id)
{
    struct hnode *node = htable_find(&stash->table, object_id_hash(id));

    for (; node; node = htable_next(node)) {
        struct stashed *object = HTABLE_ENTRY(node, struct stashed, node);

        if (object_id_equal(&object->id, id))
            return object;
    }
    return NULL;
}

static void add(struct stash *stash, const struct object *received)
{
    size_t len = received->content.len;
    struct stashed *object = find(stash, &received->id) ? NULL : malloc(sizeof *object + len);

    if (!object)
        return;
    object->id = received->id;
    object->len = len;
    if (len > 0)
        memcpy(object->data, received->content.data, len);
    if (htable_insert(&stash->table, &object->node, object_id_hash(&object->id)) != HF_OK) {
        free(object);
        return;
    }
    object->prev = stash->newest;
    object->next = NULL;
    *(stash->newest ? &stash->newest->next : &stash->oldest) = object;
    stash->newest = object;
    stash->bytes += len;
    while (stash->bytes > STASH_MAX)
        drop(stash, stash->oldest);
}

void stash_release(struct stash *stash)
{
    while (stash->oldest)
        drop(stash, stash->oldest);
    htable_free(&stash->table);
    pthread_mutex_destroy(&stash->lock);
}

/* --- which roots are known -------------------------------------------------------------------------- */

/* FNV-1a; two names of one hash only spoil a guess. */
static uint64_t name_hash(const char *name)
{
    uint64_t hash = 14695981039346656037u;

    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 1099511628211u;
    return hash;
}

void stash_wish(struct stash *stash, uint64_t sid, const char *name, struct object_id *ret_known,
                Holdfast__Wire__Ahead *message)
{
    uint64_t hash = name ? name_hash(name) : 0;
    const struct stash_name *named = &stash->names[hash % STASH_SESSIONS];
    const struct stash_session *session;
    bool is_known = true;

    message->budget = STASH_BUDGET;
    pthread_mutex_lock(&stash->lock);
    if (name) {
        is_known = named->hash == hash;
        sid = named->sid;
    }
    session = &stash->sessions[sid % STASH_SESSIONS];
    if (is_known && session->there && session->sid == sid) {
        *ret_known = session->root;
        message->known = wire_fill_ids(ret_known, 1);
    }
    pthread_mutex_unlock(&stash->lock);
}

void stash_note(struct stash *stash, uint64_t sid, const char *name, const struct object_id *root)
{
    uint64_t hash = name ? name_hash(name) : 0;

    pthread_mutex_lock(&stash->lock);
    stash->sessions[sid % STASH_SESSIONS] = (struct stash_session){true, sid, *root};
    if (name)
        stash->names[hash % STASH_SESSIONS] = (struct stash_name){hash, sid};
    pthread_mutex_unlock(&stash->lock);
}

/* --- objects ---------------------------------------------------------------------------------------- */

static bool is_sound(const struct object_hasher *hasher, const struct object *object)
{
    struct object_id id;

    return object_id_compute(hasher, object->kind, object->content.data, object->content.len,
                             &id) == HF_OK &&
           object_id_equal(&id, &object->id);
}

void stash_receive(struct stash *stash, const struct object_hasher *hasher,
                   const Holdfast__Wire__Reply *reply)
{
    struct wire_arena arena = {0};
    struct object *objects;

    if (reply->n_ahead > 0 &&
        wire_read_objects(reply->ahead, reply->n_ahead, &arena, &objects, NULL) == HF_OK)
        for (size_t i = 0; i < reply->n_ahead; i++)
            if (is_sound(hasher, &objects[i])) {
                pthread_mutex_lock(&stash->lock);
                add(stash, &objects[i]);
                pthread_mutex_unlock(&stash->lock);
            }
    wire_arena_free(&arena);
}

/* The lock is held. */
static bool append_all(struct stashed *const *found, size_t n, struct buf *ret_contents)
{
    for (size_t i = 0; i < n; i++)
        if (buf_reserve(&ret_contents[i], found[i]->len) != HF_OK)
            return false;
    for (size_t i = 0; i < n; i++)
        (void)buf_append(&ret_contents[i], found[i]->data, found[i]->len);
    return true;
}

bool stash_take(struct stash *stash, const struct object_id *ids, size_t n,
                struct buf *ret_contents)
{
    struct stashed *found[TAKE_MAX];
    bool all = n > 0 && n <= TAKE_MAX;

    if (!all)
        return false;
    pthread_mutex_lock(&stash->lock);
    for (size_t i = 0; i < n && all; i++)
        all = (found[i] = find(stash, &ids[i])) != NULL;
    all = all && append_all(found, n, ret_contents);
    for (size_t i = 0; i < n && all; i++) {
        struct stashed *object = find(stash, &ids[i]); /* an id may be there twice */

        if (object)
            drop(stash, object);
    }
    pthread_mutex_unlock(&stash->lock);
    return all;
}
