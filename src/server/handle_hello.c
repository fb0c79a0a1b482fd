/* SPDX-License-Identifier: Apache-2.0 */
/* The first request of a connection: which tenant's store it is for, and what that store is. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "server/handlers.h"
#include "server/peer.h"
#include "server/server_state.h"
#include "wire/convert.h"

#define PROTOCOL 1
#define PROGRAM "holdfast " HOLDFAST_VERSION

static int check_protocol(const Holdfast__Wire__Hello *hello, struct hf_error *err)
{
    if (hello->protocol != PROTOCOL)
        return hf_fail(err, HF_UNSUPPORTED, "this server speaks protocol %d, the host %u", PROTOCOL,
                       hello->protocol);
    return HF_OK;
}

static int fill_welcome(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct peer *peer = request->peer;
    const struct server *server = peer->server;
    struct store_info *info =
        request_keep(request, store_info(peer->tenant->store), sizeof *info, err);
    Holdfast__Wire__Welcome *welcome = wire_arena_alloc(&request->arena, sizeof *welcome);

    if (!info || !welcome)
        return hf_fail(err, HF_NOMEM, "out of memory");
    holdfast__wire__welcome__init(welcome);
    if (!server->options.relaxed)
        info->close_durability = DURABILITY_SYNC;
    if (peer->principal.role < ROLE_AGENT)
        info->read_only = true;
    wire_fill_store_info(info, welcome);
    welcome->protocol = PROTOCOL;
    welcome->program = PROGRAM;
    welcome->ttl_ms = server->options.ttl_ms;
    welcome->max_frame = WIRE_FRAME_MAX;
    welcome->max_in_flight = server->options.max_in_flight > UINT32_MAX
                                 ? UINT32_MAX
                                 : (uint32_t)server->options.max_in_flight;
    welcome->tenant = peer->principal.tenant;
    welcome->principal = wire_fill_text(peer->principal.name);
    reply->welcome = welcome;
    reply->result_case = HOLDFAST__WIRE__REPLY__RESULT_WELCOME;
    return HF_OK;
}

/* Who is not let in is told why, and the connection ends. */
static int turn_away(struct request *request, int status, Holdfast__Wire__Reply *reply,
                     const struct hf_error *err)
{
    struct peer *peer = request->peer;
    const struct log_fields fields = peer_fields(peer);

    log_event(LOG_LEVEL_WARN, &fields, "%s (%s) refused: %s", wire_conn_address(peer->conn),
              peer->identity, err->message);
    request_answer(request, status, err, reply);
    wire_conn_close(peer->conn, PEER_LINGER_MS, err);
    request_end(request);
    return HF_PENDING;
}

int handle_hello(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err)
{
    struct peer *peer = request->peer;
    const Holdfast__Wire__Hello *hello = request->message->hello;
    const struct log_fields fields = peer_fields(peer);
    int rc = check_protocol(hello, err);

    if (rc == HF_OK)
        rc = tenants_find(peer->server->tenants, peer->principal.tenant, &peer->tenant, err);
    if (rc == HF_OK) {
        atomic_fetch_add(&peer->tenant->connections, 1);
        rc = fill_welcome(request, reply, err);
    }
    if (rc == HF_OK)
        log_event(LOG_LEVEL_INFO, &fields, "%s (%s) connected: %s, %.64s",
                  wire_conn_address(peer->conn), peer->identity, role_name(peer->principal.role),
                  hello->program);
    return rc == HF_OK ? rc : turn_away(request, rc, reply, err);
}
