/* SPDX-License-Identifier: Apache-2.0 */
#include "far.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "engine/open.h"
#include "store/engine.h"

enum reach { NEAR, AWAY, DEAF };

struct far {
    struct store *store;
    const struct store_ops *real;
    struct store_ops ops; /* real, with the slots below in place of its own */
    struct store_listener listener;
    atomic_int reach;
    atomic_uint refused;
    atomic_bool expired;
    atomic_uint_fast64_t host;
    char folder[64], url[96];
};

/** A slot is given the store alone: there is one of these at a time. */
static struct far *the_far;

static int timed_out(struct hf_error *err)
{
    atomic_fetch_add(&the_far->refused, 1);
    return hf_fail(err, HF_TIMEOUT, "the server cannot be reached");
}

/* What a slot does: nothing when the server is away, and without telling when it is deaf. */
#define SLOT(call)                                                                                 \
    int rc;                                                                                        \
    if (atomic_load(&the_far->reach) == AWAY)                                                      \
        return timed_out(err);                                                                     \
    rc = the_far->real->call;                                                                      \
    return atomic_load(&the_far->reach) == DEAF ? timed_out(err) : rc

static int far_put(struct store *store, uint64_t host, const struct object *objects, size_t n,
                   struct hf_error *err)
{
    SLOT(put(store, host, objects, n, err));
}

static int far_get(struct store *store, const struct object_id *ids, size_t n,
                   struct buf *ret_contents, struct hf_error *err)
{
    SLOT(get(store, ids, n, ret_contents, err));
}

static int far_list(struct store *store, const struct session_filter *filter,
                    session_visit_fn visit, void *arg, struct hf_error *err)
{
    SLOT(session_list(store, filter, visit, arg, err));
}

static int far_find(struct store *store, const char *name, struct session_head *ret_head,
                    struct hf_error *err)
{
    SLOT(session_find(store, name, ret_head, err));
}

static int far_head(struct store *store, uint64_t sid, struct session_head *ret_head,
                    struct hf_error *err)
{
    SLOT(session_head(store, sid, ret_head, err));
}

static int far_commit(struct store *store, uint64_t host, const struct commit *commit,
                      uint64_t *ret_version, struct hf_error *err)
{
    SLOT(commit(store, host, commit, ret_version, err));
}

static int far_sync(struct store *store, struct hf_error *err)
{
    SLOT(sync(store, err));
}

static int far_history(struct store *store, uint64_t sid, uint64_t from, uint64_t limit,
                       history_visit_fn visit, void *arg, struct hf_error *err)
{
    SLOT(history(store, sid, from, limit, visit, arg, err));
}

static int far_rescue(struct store *store, uint64_t host, const struct commit *commit,
                      const char *reason, uint64_t *ret_rescue_id, struct hf_error *err)
{
    SLOT(rescue(store, host, commit, reason, ret_rescue_id, err));
}

static int far_acquire(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                       struct lease *ret_lease, struct hf_error *err)
{
    SLOT(lease_acquire(store, host, sid, wait_ms, ret_lease, err));
}

static int far_release(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                       struct hf_error *err)
{
    SLOT(lease_release(store, host, sid, token, err));
}

static int far_leases(struct store *store, lease_visit_fn visit, void *arg, struct hf_error *err)
{
    SLOT(lease_list(store, visit, arg, err));
}

static int far_lock(struct store *store, uint64_t host, const struct store_lock *lock,
                    struct store_lock *ret_conflict, struct hf_error *err)
{
    SLOT(lock_set(store, host, lock, ret_conflict, err));
}

static int far_register(struct store *store, const struct host_identity *identity,
                        const struct store_listener *listener, uint64_t *ret_host,
                        struct hf_error *err)
{
    int rc = atomic_load(&the_far->reach) == NEAR
                 ? the_far->real->host_register(store, identity, listener, ret_host, err)
                 : timed_out(err);

    if (rc != HF_OK)
        return rc;
    the_far->listener = *listener;
    atomic_store(&the_far->host, *ret_host);
    return HF_OK;
}

static int64_t far_deadline(struct store *store, uint64_t host)
{
    (void)store;
    (void)host;
    return atomic_load(&the_far->expired) ? 0 : INT64_MAX - 1;
}

struct far *far_open(struct mount *ret_mount)
{
    struct tree_options options = {.root_uid = 1000, .root_gid = 1000};
    struct far *far = calloc(1, sizeof *far);

    assert(far && !the_far);
    the_far = far;
    snprintf(far->folder, sizeof far->folder, "/tmp/holdfast-far-XXXXXX");
    if (!mkdtemp(far->folder))
        abort();
    snprintf(far->url, sizeof far->url, "sqlite:%s/store.db", far->folder);
    if (store_open(far->url, STORE_CREATE, NULL, &clock_system, &far->store, NULL) != HF_OK)
        abort();
    far->real = far->store->ops;
    far->ops = *far->real;
    far->ops.put = far_put;
    far->ops.get = far_get;
    far->ops.session_list = far_list;
    far->ops.session_find = far_find;
    far->ops.session_head = far_head;
    far->ops.commit = far_commit;
    far->ops.sync = far_sync;
    far->ops.history = far_history;
    far->ops.rescue = far_rescue;
    far->ops.lease_acquire = far_acquire;
    far->ops.lease_release = far_release;
    far->ops.lease_list = far_leases;
    far->ops.lock_set = far_lock;
    far->ops.host_register = far_register;
    far->ops.host_deadline = far_deadline;
    far->store->ops = &far->ops;
    options.identity.host_name = "far";
    options.identity.mount_id[0] = 1;
    *ret_mount = (struct mount){.store = far->store, .caller = {.uid = 1000, .gid = 1000}};
    if (tree_open(far->store, &options, &ret_mount->tree, NULL) != HF_OK)
        abort();
    return far;
}

void far_other(struct far *far, struct mount *ret_mount)
{
    mount_open(ret_mount, far->url);
}

int far_close(struct far *far, struct mount *mount)
{
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm",
                                        "store.db-bell"};
    int rc = mount_close(mount);
    char path[96];

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", far->folder, names[i]);
        unlink(path);
    }
    rmdir(far->folder);
    the_far = NULL;
    free(far);
    return rc;
}

void far_cut(struct far *far)
{
    atomic_store(&far->reach, AWAY);
}

void far_deafen(struct far *far)
{
    atomic_store(&far->reach, DEAF);
}

void far_near(struct far *far, bool missed)
{
    atomic_store(&far->reach, NEAR);
    if (missed)
        far_tell(far, EVENT_MISSED, 0, 0);
}

unsigned far_refused(const struct far *far)
{
    return atomic_load(&far->refused);
}

void far_expire(struct far *far, bool expired)
{
    atomic_store(&far->expired, expired);
}

void far_tell(struct far *far, enum event_kind kind, uint64_t sid, uint64_t token)
{
    struct store_event event = {.kind = kind, .sid = sid, .token = token};

    far->listener.event(&event, far->listener.arg);
}

void far_kill_host(struct far *far)
{
    far->real->host_end(far->store, atomic_load(&far->host), NULL);
    far_tell(far, EVENT_HOST_LOST, 0, 0);
}
