/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies of sessions and snapshots. One that is too long for a frame goes in several requests, each after the answer
 * to the one before; the server makes one transaction of them. What it has of a copy is lost with the connection:
 * then the copy begins anew.
 */
#include <pthread.h>
#include <string.h>

#include "engine/remote/engine.h"

/* Bytes of a version or a pin besides its name, at most. */
#define ITEM_BYTES 128
#define TRIES 4

/* A list that is sent in parts. */
struct parcels {
    struct store *store;
    size_t n;
    /** Bytes of the name in item i. */
    size_t (*weigh)(const void *copy, size_t i);
    /** Sends items at..at+n-1 with all else that the copy says. */
    int (*send)(struct store *store, const void *copy, size_t n,
                const Holdfast__Wire__CopyPart *part, struct hf_error *err);
};

/* How many items from `at` on make a frame. */
static size_t frame_of(const struct parcels *parcels, const void *copy, size_t at)
{
    size_t bytes = 0, end = at;

    while (end < parcels->n && (end == at || bytes < WIRE_BATCH_BYTES))
        bytes += ITEM_BYTES + parcels->weigh(copy, end++);
    return end - at;
}

static int send_parts(const struct parcels *parcels, const void *copy, struct hf_error *err)
{
    Holdfast__Wire__CopyPart part = HOLDFAST__WIRE__COPY_PART__INIT;
    size_t at = 0;
    int rc;

    do {
        size_t n = frame_of(parcels, copy, at);

        part.at = at;
        part.more = at + n < parcels->n;
        rc = parcels->send(parcels->store, copy, n, &part, err);
        at += n;
    } while (rc == HF_OK && at < parcels->n);
    return rc;
}

static int send_copy(const struct parcels *parcels, const void *copy, struct hf_error *err)
{
    struct remote_store *remote = remote_store_of(parcels->store);
    int rc;

    if (parcels->n > WIRE_COPY_MAX)
        return hf_fail(err, HF_TOOBIG, "a copy of %zu versions or pins is longer than %u",
                       parcels->n, WIRE_COPY_MAX);
    if (frame_of(parcels, copy, 0) == parcels->n)
        return send_parts(parcels, copy, err);
    pthread_mutex_lock(&remote->copying);
    rc = HF_STALE;
    for (int i = 0; i < TRIES && rc == HF_STALE; i++)
        rc = send_parts(parcels, copy, err);
    pthread_mutex_unlock(&remote->copying);
    return rc == HF_STALE ? hf_fail(err, HF_IO,
                                    "the connection to the store's server broke again "
                                    "and again in the middle of a copy")
                          : rc;
}

/* --- sessions ------------------------------------------------------------------------------------------- */

static size_t weigh_version(const void *arg, size_t i)
{
    const char *name = ((const struct session_copy *)arg)->versions[i].host_name;

    return name ? strlen(name) : 0;
}

static int send_versions(struct store *store, const void *arg, size_t n,
                         const Holdfast__Wire__CopyPart *part, struct hf_error *err)
{
    Holdfast__Wire__SessionReceiveRequest receive = HOLDFAST__WIRE__SESSION_RECEIVE_REQUEST__INIT;
    REMOTE_REQUEST(request, SESSION_RECEIVE, session_receive, &receive);
    struct session_copy copy = *(const struct session_copy *)arg;
    struct wire_arena arena = {0};
    int rc;

    copy.versions += part->at;
    copy.nversions = n;
    receive.part = (Holdfast__Wire__CopyPart *)part;
    rc = wire_fill_session_copy(&copy, &arena, &receive.copy, err);
    if (rc == HF_OK)
        rc = remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
    wire_arena_free(&arena);
    return rc;
}

int remote_session_receive(struct store *store, const struct session_copy *copy,
                           struct hf_error *err)
{
    const struct parcels parcels = {store, copy->nversions, weigh_version, send_versions};

    return send_copy(&parcels, copy, err);
}

/* --- rescue versions ------------------------------------------------------------------------------------ */

int remote_rescue_receive(struct store *store, const uint8_t origin[UUID_SIZE],
                          const struct rescue_info *rescue, struct hf_error *err)
{
    Holdfast__Wire__RescueReceiveRequest receive = HOLDFAST__WIRE__RESCUE_RECEIVE_REQUEST__INIT;
    REMOTE_REQUEST(request, RESCUE_RECEIVE, rescue_receive, &receive);
    struct wire_arena arena = {0};
    int rc = wire_fill_rescue(rescue, &arena, &receive.rescue, err);

    receive.origin = wire_fill_origin(origin);
    if (rc == HF_OK)
        rc = remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
    wire_arena_free(&arena);
    return rc;
}

/* --- snapshots ------------------------------------------------------------------------------------------ */

static size_t weigh_pin(const void *arg, size_t i)
{
    return strlen(((const struct snapshot_copy *)arg)->pins[i].session_name);
}

static int send_pins(struct store *store, const void *arg, size_t n,
                     const Holdfast__Wire__CopyPart *part, struct hf_error *err)
{
    Holdfast__Wire__SnapshotReceiveRequest receive = HOLDFAST__WIRE__SNAPSHOT_RECEIVE_REQUEST__INIT;
    REMOTE_REQUEST(request, SNAPSHOT_RECEIVE, snapshot_receive, &receive);
    struct snapshot_copy copy = *(const struct snapshot_copy *)arg;
    struct wire_arena arena = {0};
    int rc;

    copy.pins = copy.pins ? copy.pins + part->at : NULL;
    copy.npins = n;
    receive.part = (Holdfast__Wire__CopyPart *)part;
    rc = wire_fill_snapshot_copy(&copy, &arena, &receive.copy, err);
    if (rc == HF_OK)
        rc = remote_ask(store, &request, 0, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
    wire_arena_free(&arena);
    return rc;
}

int remote_snapshot_receive(struct store *store, const struct snapshot_copy *copy,
                            struct hf_error *err)
{
    const struct parcels parcels = {store, copy->npins, weigh_pin, send_pins};

    return send_copy(&parcels, copy, err);
}
