/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Copies from other stores. One that fits into a request is handed to the store at once; of one that comes in parts,
 * all but the last are put aside, so that the store takes it over in one transaction.
 */
#include "server/handlers.h"
#include "server/peer.h"
#include "server/staging.h"
#include "server/tenants.h"
#include "wire/convert.h"

static bool is_whole(const Holdfast__Wire__CopyPart *part)
{
    return !part || (part->at == 0 && !part->more);
}

/* What has come before this part: taken from the peer. HF_STALE where it is something else. */
static int take_staging(struct request *request, const Holdfast__Wire__CopyPart *part, size_t size,
                        struct staging **ret_staging, struct hf_error *err)
{
    int op = (int)request->message->op_case;
    struct staging *staging = peer_take_staging(request->peer);

    if (part->at == 0) {
        staging_free(staging);
        staging = staging_new(op, size);
        if (!staging)
            return hf_fail(err, HF_NOMEM, "out of memory");
    } else if (!staging || staging->op != op || staging->n != part->at) {
        staging_free(staging);
        return hf_fail(err, HF_STALE,
                       "what came before this part of a copy is not here: begin it again");
    }
    *ret_staging = staging;
    return HF_OK;
}

/* --- sessions ------------------------------------------------------------------------------------- */

static int receive_session(struct request *request, const struct session_copy *copy,
                           struct hf_error *err)
{
    if (copy->nversions == 0)
        return hf_fail(err, HF_INVAL, "the copy of session %llu has no version",
                       (unsigned long long)copy->sid);
    return store_session_receive(request->peer->tenant->store, copy, err);
}

/* Takes over what was staged, which is kept again if there is more to come. */
static int receive_versions(struct request *request,
                            const Holdfast__Wire__SessionReceiveRequest *message,
                            struct staging *staging, struct hf_error *err)
{
    struct session_copy copy;
    int rc = wire_read_session_copy(message->copy, &staging->arena, &copy, err);

    if (rc == HF_OK)
        rc = staging_add(staging, copy.versions, copy.nversions, err);
    if (rc == HF_OK && message->part->more) {
        peer_keep_staging(request->peer, staging);
        return HF_OK;
    }
    if (rc == HF_OK) {
        copy.versions = (const struct history_entry *)(const void *)staging->items;
        copy.nversions = staging->n;
        rc = receive_session(request, &copy, err);
    }
    staging_free(staging);
    return rc;
}

int handle_session_receive(struct request *request, Holdfast__Wire__Reply *reply,
                           struct hf_error *err)
{
    const Holdfast__Wire__SessionReceiveRequest *message = request->message->session_receive;
    struct staging *staging;
    struct session_copy copy;
    int rc;

    (void)reply;
    if (is_whole(message->part)) {
        rc = wire_read_session_copy(message->copy, &request->arena, &copy, err);
        return rc == HF_OK ? receive_session(request, &copy, err) : rc;
    }
    rc = take_staging(request, message->part, sizeof(struct history_entry), &staging, err);
    return rc == HF_OK ? receive_versions(request, message, staging, err) : rc;
}

/* --- rescue versions ------------------------------------------------------------------------------- */

int handle_rescue_receive(struct request *request, Holdfast__Wire__Reply *reply,
                          struct hf_error *err)
{
    const Holdfast__Wire__RescueReceiveRequest *message = request->message->rescue_receive;
    struct rescue_info rescue;
    uint8_t origin[UUID_SIZE];
    int rc = wire_read_origin(message->origin, origin, err);

    (void)reply;
    if (rc == HF_OK)
        rc = wire_read_rescue(message->rescue, &request->arena, &rescue, err);
    if (rc == HF_OK && rescue.id == 0)
        rc = hf_fail(err, HF_INVAL, "the copy of a rescue version has no number");
    return rc == HF_OK ? store_rescue_receive(request->peer->tenant->store, origin, &rescue, err)
                       : rc;
}

/* --- snapshots ------------------------------------------------------------------------------------ */

static int receive_pins(struct request *request,
                        const Holdfast__Wire__SnapshotReceiveRequest *message,
                        struct staging *staging, struct hf_error *err)
{
    struct snapshot_copy copy;
    int rc = wire_read_snapshot_copy(message->copy, &staging->arena, &copy, err);

    if (rc == HF_OK)
        rc = staging_add(staging, copy.pins, copy.npins, err);
    if (rc == HF_OK && message->part->more) {
        peer_keep_staging(request->peer, staging);
        return HF_OK;
    }
    if (rc == HF_OK) {
        copy.pins = (const struct pin_info *)(const void *)staging->items;
        copy.npins = staging->n;
        rc = store_snapshot_receive(request->peer->tenant->store, &copy, err);
    }
    staging_free(staging);
    return rc;
}

int handle_snapshot_receive(struct request *request, Holdfast__Wire__Reply *reply,
                            struct hf_error *err)
{
    const Holdfast__Wire__SnapshotReceiveRequest *message = request->message->snapshot_receive;
    struct staging *staging;
    struct snapshot_copy copy;
    int rc;

    (void)reply;
    if (is_whole(message->part)) {
        rc = wire_read_snapshot_copy(message->copy, &request->arena, &copy, err);
        return rc == HF_OK ? store_snapshot_receive(request->peer->tenant->store, &copy, err) : rc;
    }
    rc = take_staging(request, message->part, sizeof(struct pin_info), &staging, err);
    return rc == HF_OK ? receive_pins(request, message, staging, err) : rc;
}
