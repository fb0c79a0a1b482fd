/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions and their commits. */
#include <stdlib.h>

#include "engine/remote/engine.h"

#define OBJECT_OVERHEAD 128

/* --- heads ---------------------------------------------------------------------------------------------- */

/* `name`: of a session that is looked for, or NULL. */
static int ask_head(struct store *store, Holdfast__Wire__Request *request, const char *name,
                    struct session_head *ret_head, struct hf_error *err)
{
    Holdfast__Wire__Frame *frame;
    int rc = remote_ask(store, request, 0, HOLDFAST__WIRE__REPLY__RESULT_HEAD, &frame, err);

    if (rc != HF_OK)
        return rc;
    rc = wire_read_head(frame->reply->head, ret_head, err);
    if (rc == HF_OK)
        remote_received(store, frame->reply, ret_head, name);
    holdfast__wire__frame__free_unpacked(frame, NULL);
    return rc;
}

int remote_session_find(struct store *store, const char *name, struct session_head *ret_head,
                        struct hf_error *err)
{
    Holdfast__Wire__SessionRequest session = HOLDFAST__WIRE__SESSION_REQUEST__INIT;
    REMOTE_REQUEST(request, SESSION_FIND, session_find, &session);
    struct remote_wish wish;

    session.name = wire_fill_text(name);
    session.ahead = remote_wish(store, SHARED_SID, name, &wish);
    return ask_head(store, &request, name, ret_head, err);
}

int remote_session_head(struct store *store, uint64_t sid, struct session_head *ret_head,
                        struct hf_error *err)
{
    Holdfast__Wire__SessionRequest session = HOLDFAST__WIRE__SESSION_REQUEST__INIT;
    REMOTE_REQUEST(request, SESSION_HEAD, session_head, &session);
    struct remote_wish wish;

    session.sid = sid;
    session.ahead = remote_wish(store, sid, NULL, &wish);
    return ask_head(store, &request, NULL, ret_head, err);
}

/* --- commits -------------------------------------------------------------------------------------------- */

/* Whether the objects fit into the frame of the commit itself: then it is one round trip. */
static bool fits(const struct commit *commit)
{
    size_t bytes = 0;

    for (size_t i = 0; i < commit->nobjects && bytes <= WIRE_BATCH_BYTES; i++)
        bytes += commit->objects[i].content.len + OBJECT_OVERHEAD;
    return bytes <= WIRE_BATCH_BYTES;
}

/* What sends one of the requests that carry a commit. */
typedef int (*carry_fn)(struct store *store, Holdfast__Wire__Commit *message, void *arg,
                        struct hf_error *err);

static int carry_once(struct store *store, uint64_t host, const struct commit *commit,
                      carry_fn carry, void *arg, struct hf_error *err)
{
    Holdfast__Wire__Commit message = HOLDFAST__WIRE__COMMIT__INIT;
    struct wire_arena arena = {0};
    struct commit bare = *commit;
    int rc = HF_OK;

    if (!fits(commit)) {
        rc = remote_upload(store, host, commit->objects, commit->nobjects, err);
        bare.nobjects = 0;
    }
    if (rc == HF_OK)
        rc = wire_fill_commit(&bare, &arena, &message, err);
    if (rc == HF_OK)
        rc = carry(store, &message, arg, err);
    wire_arena_free(&arena);
    return rc;
}

/* Objects that were put before the commit can be gone when the server's machine has failed in between: they were
 * not durable yet. Then they are put again. */
static int carry_commit(struct store *store, uint64_t host, const struct commit *commit,
                        carry_fn carry, void *arg, struct hf_error *err)
{
    int rc = carry_once(store, host, commit, carry, arg, err);

    if (rc == HF_MISSING && !fits(commit))
        rc = carry_once(store, host, commit, carry, arg, err);
    return rc;
}

struct creation {
    uint64_t host;
    const char *name;
    struct lease lease;
};

static int carry_creation(struct store *store, Holdfast__Wire__Commit *message, void *arg,
                          struct hf_error *err)
{
    Holdfast__Wire__SessionCreateRequest create = HOLDFAST__WIRE__SESSION_CREATE_REQUEST__INIT;
    REMOTE_REQUEST(request, SESSION_CREATE, session_create, &create);
    struct creation *creation = arg;
    Holdfast__Wire__Frame *frame;
    int rc;

    create.host = creation->host;
    create.name = wire_fill_text(creation->name);
    create.first = message;
    rc = remote_ask(store, &request, creation->host, HOLDFAST__WIRE__REPLY__RESULT_LEASE, &frame,
                    err);
    if (rc != HF_OK)
        return rc;
    rc = wire_read_lease(frame->reply->lease, &creation->lease, err);
    holdfast__wire__frame__free_unpacked(frame, NULL);
    return rc;
}

int remote_session_create(struct store *store, uint64_t host, const char *name,
                          const struct commit *first, struct lease *ret_lease, struct hf_error *err)
{
    struct creation creation = {.host = host, .name = name};
    int rc = carry_commit(store, host, first, carry_creation, &creation, err);

    if (rc == HF_OK)
        *ret_lease = creation.lease;
    return rc;
}

/* A commit or a rescue: what comes back is a number. */
struct step {
    uint64_t host, number;
    const char *reason;
};

static int carry_step(struct store *store, Holdfast__Wire__Commit *message, void *arg,
                      struct hf_error *err)
{
    Holdfast__Wire__CommitRequest commit = HOLDFAST__WIRE__COMMIT_REQUEST__INIT;
    REMOTE_REQUEST(request, COMMIT, commit, &commit);
    struct step *step = arg;

    commit.host = step->host;
    commit.commit = message;
    return remote_ask_number(store, &request, step->host, &step->number, err);
}

int remote_commit(struct store *store, uint64_t host, const struct commit *commit,
                  uint64_t *ret_version, struct hf_error *err)
{
    struct step step = {.host = host};
    int rc = carry_commit(store, host, commit, carry_step, &step, err);

    if (rc != HF_OK)
        return rc;
    stash_note(&remote_store_of(store)->stash, commit->sid, NULL, &commit->root);
    *ret_version = step.number;
    return HF_OK;
}

static int carry_rescue(struct store *store, Holdfast__Wire__Commit *message, void *arg,
                        struct hf_error *err)
{
    Holdfast__Wire__RescueRequest rescue = HOLDFAST__WIRE__RESCUE_REQUEST__INIT;
    REMOTE_REQUEST(request, RESCUE, rescue, &rescue);
    struct step *step = arg;

    rescue.host = step->host;
    rescue.commit = message;
    rescue.reason = wire_fill_text(step->reason);
    return remote_ask_number(store, &request, step->host, &step->number, err);
}

int remote_rescue(struct store *store, uint64_t host, const struct commit *commit,
                  const char *reason, uint64_t *ret_rescue_id, struct hf_error *err)
{
    struct step step = {.host = host, .reason = reason};
    int rc = carry_commit(store, host, commit, carry_rescue, &step, err);

    if (rc == HF_OK)
        *ret_rescue_id = step.number;
    return rc;
}

int remote_sync(struct store *store, struct hf_error *err)
{
    Holdfast__Wire__Empty empty = HOLDFAST__WIRE__EMPTY__INIT;
    REMOTE_REQUEST(request, SYNC, sync, &empty);

    return remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
}

/* --- names ---------------------------------------------------------------------------------------------- */

int remote_session_rename(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                          const char *name, enum session_rename_mode mode, uint64_t other_token,
                          struct hf_error *err)
{
    Holdfast__Wire__SessionRenameRequest rename = HOLDFAST__WIRE__SESSION_RENAME_REQUEST__INIT;
    REMOTE_REQUEST(request, SESSION_RENAME, session_rename, &rename);

    rename.host = host;
    rename.sid = sid;
    rename.token = token;
    rename.name = wire_fill_text(name);
    rename.mode = (uint32_t)mode;
    rename.other_token = other_token;
    return remote_ask(store, &request, host, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
}

int remote_session_delete(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                          struct hf_error *err)
{
    Holdfast__Wire__LeaseRequest lease = HOLDFAST__WIRE__LEASE_REQUEST__INIT;
    REMOTE_REQUEST(request, SESSION_DELETE, session_delete, &lease);

    lease.host = host;
    lease.sid = sid;
    lease.token = token;
    return remote_ask(store, &request, host, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
}

int remote_session_undelete(struct store *store, uint64_t sid, const char *name,
                            struct hf_error *err)
{
    Holdfast__Wire__SessionRequest session = HOLDFAST__WIRE__SESSION_REQUEST__INIT;
    REMOTE_REQUEST(request, SESSION_UNDELETE, session_undelete, &session);

    session.sid = sid;
    session.name = wire_fill_text(name);
    return remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
}

int remote_session_purge(struct store *store, uint64_t sid, struct hf_error *err)
{
    Holdfast__Wire__SessionRequest session = HOLDFAST__WIRE__SESSION_REQUEST__INIT;
    REMOTE_REQUEST(request, SESSION_PURGE, session_purge, &session);

    session.sid = sid;
    return remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
}

/* --- what is forgotten of them -------------------------------------------------------------------------- */

int remote_history_drop(struct store *store, uint64_t sid, const uint64_t *versions, size_t n,
                        uint64_t *ret_dropped, struct hf_error *err)
{
    Holdfast__Wire__HistoryDropRequest drop = HOLDFAST__WIRE__HISTORY_DROP_REQUEST__INIT;
    REMOTE_REQUEST(request, HISTORY_DROP, history_drop, &drop);

    drop.sid = sid;
    drop.versions = (uint64_t *)versions;
    drop.n_versions = n;
    return remote_ask_number(store, &request, 0, ret_dropped, err);
}

int remote_rescue_drop(struct store *store, uint64_t sid, uint64_t rescue, struct hf_error *err)
{
    Holdfast__Wire__RescueDropRequest drop = HOLDFAST__WIRE__RESCUE_DROP_REQUEST__INIT;
    REMOTE_REQUEST(request, RESCUE_DROP, rescue_drop, &drop);

    drop.sid = sid;
    drop.rescue = rescue;
    return remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
}
