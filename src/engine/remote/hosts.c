/* SPDX-License-Identifier: Apache-2.0 */
/* The host session of a handle. */
#include "engine/remote/engine.h"

static int check_single(const struct remote_host *host, const struct host_identity *identity,
                        struct hf_error *err)
{
    if (host->registering || (remote_host_lives(host) && !remote_host_is(host, identity)))
        return hf_fail(err, HF_INVAL, "this handle of the store has a host session already");
    return HF_OK;
}

/* No host session is believed to live longer than its server believes it. */
static uint32_t ttl_of(const struct link *link, const struct host_identity *identity)
{
    uint32_t wanted = identity->ttl_ms, allowed = link->welcome.ttl_ms;

    if (wanted == 0 || wanted > allowed)
        return allowed;
    return wanted < HOST_TTL_MIN_MS ? HOST_TTL_MIN_MS : wanted;
}

/* Events may come before the answer: the listener is in place before it is asked for. */
static int begin_registration(struct remote_store *remote, const struct host_identity *identity,
                              const struct store_listener *listener, struct hf_error *err)
{
    struct link *link = &remote->link;
    int rc;

    pthread_mutex_lock(&link->mutex);
    rc = check_single(&link->host, identity, err);
    if (rc == HF_OK)
        rc = remote_host_identify(&link->host, identity, ttl_of(link, identity), err);
    if (rc == HF_OK) {
        link->host.registering = true;
        link->host.heads_once = listener && listener->heads_once;
    }
    pthread_mutex_unlock(&link->mutex);
    return rc == HF_OK ? teller_listen(&remote->teller, listener, err) : rc;
}

static void end_registration(struct remote_store *remote)
{
    pthread_mutex_lock(&remote->link.mutex);
    remote->link.host.registering = false;
    pthread_mutex_unlock(&remote->link.mutex);
}

int remote_host_register(struct store *store, const struct host_identity *identity,
                         const struct store_listener *listener, uint64_t *ret_host,
                         struct hf_error *err)
{
    struct remote_store *remote = remote_store_of(store);
    Holdfast__Wire__HostRegisterRequest registration = HOLDFAST__WIRE__HOST_REGISTER_REQUEST__INIT;
    REMOTE_REQUEST(request, HOST_REGISTER, host_register, &registration);
    struct wire_arena arena = {0};
    int rc = begin_registration(remote, identity, listener, err);

    if (rc == HF_INVAL)
        return rc;
    if (rc == HF_OK)
        rc = wire_fill_identity(&remote->link.host.identity, &arena, &registration.identity, err);
    registration.heads_once = listener && listener->heads_once;
    if (rc == HF_OK)
        rc = remote_ask_number(store, &request, 0, ret_host, err);
    end_registration(remote);
    wire_arena_free(&arena);
    return rc;
}

int remote_host_heartbeat(struct store *store, uint64_t host, struct hf_error *err)
{
    struct link *link = &remote_store_of(store)->link;
    Holdfast__Wire__HostRequest message = HOLDFAST__WIRE__HOST_REQUEST__INIT;
    REMOTE_REQUEST(request, HOST_HEARTBEAT, host_heartbeat, &message);
    int64_t sent = clock_boottime(link->clock);
    int rc;

    message.host = host;
    rc = remote_ask(store, &request, host, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
    pthread_mutex_lock(&link->mutex);
    if (rc == HF_OK && atomic_load(&link->host.number) == host)
        remote_host_step(&link->host, CONTACT_RENEWED, clock_boottime(link->clock), sent);
    pthread_mutex_unlock(&link->mutex);
    return rc;
}

/* Whatever the server says to it: this side has done with the host session. */
int remote_host_end(struct store *store, uint64_t host, struct hf_error *err)
{
    struct remote_store *remote = remote_store_of(store);
    Holdfast__Wire__HostRequest message = HOLDFAST__WIRE__HOST_REQUEST__INIT;
    REMOTE_REQUEST(request, HOST_END, host_end, &message);
    int rc;

    message.host = host;
    rc = remote_ask(store, &request, host, HOLDFAST__WIRE__REPLY__RESULT__NOT_SET, NULL, err);
    if (rc == HF_FENCED && request.retry)
        rc = HF_OK; /* the first time it was done */
    if (rc == HF_OK)
        link_host_ended(&remote->link, host);
    if (rc == HF_OK)
        rc = teller_listen(&remote->teller, NULL, err);
    return rc;
}

int64_t remote_away_since(struct store *store)
{
    return link_away_since(&remote_store_of(store)->link);
}

int64_t remote_deadline(struct store *store, uint64_t host)
{
    return remote_host_deadline(&remote_store_of(store)->link.host, host);
}
