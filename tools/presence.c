/* SPDX-License-Identifier: Apache-2.0 */
#include "presence.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "context.h"
#include "identity.h"

struct presence {
    struct store *store;
    uint64_t host;
    char purpose[512];
};

static void on_event(const struct store_event *event, void *arg)
{
    struct presence *presence = arg;

    if (event->kind == EVENT_LEASE_RECALLED)
        store_lease_refuse(presence->store, presence->host, event->sid, event->token,
                           presence->purpose, NULL);
}

int presence_begin(struct store *store, const char *purpose, struct presence **ret_presence,
                   struct hf_error *err)
{
    struct presence *presence = calloc(1, sizeof *presence);
    struct store_listener listener = {.event = on_event, .arg = presence};
    struct identity identity;
    char place[64];
    int status;

    if (!presence)
        return hf_fail(err, HF_NOMEM, "out of memory");
    presence->store = store;
    snprintf(place, sizeof place, "holdfast, pid %d", (int)getpid());
    snprintf(presence->purpose, sizeof presence->purpose, "%s", purpose ? purpose : place);
    status = identity_read(place, &identity, err);
    if (status == HF_OK) {
        identity.host.mount_point = NULL;
        status = store_host_register(store, &identity.host, &listener, &presence->host, err);
    }
    if (status != HF_OK) {
        free(presence);
        return status;
    }
    *ret_presence = presence;
    return HF_OK;
}

void presence_end(struct presence *presence)
{
    if (!presence)
        return;
    if (presence->host)
        (void)store_host_end(presence->store, presence->host, NULL);
    free(presence);
}

int presence_open(const char *url, const char *command, struct presence **ret_presence,
                  struct hf_error *err)
{
    struct store *store;
    char purpose[128];
    int status = context_open_store(url, 0, &store, err);

    if (status != HF_OK)
        return status;
    snprintf(purpose, sizeof purpose, "holdfast %s, pid %d", command, (int)getpid());
    status = presence_begin(store, purpose, ret_presence, err);
    if (status != HF_OK)
        store_close(store);
    return status;
}

int presence_look(const char *url, struct presence **ret_presence, struct hf_error *err)
{
    struct presence *presence = calloc(1, sizeof *presence);
    int status = presence ? context_open_store(url, STORE_READ_ONLY, &presence->store, err)
                          : hf_fail(err, HF_NOMEM, "out of memory");

    if (status != HF_OK) {
        free(presence);
        return status;
    }
    *ret_presence = presence;
    return HF_OK;
}

void presence_close(struct presence *presence)
{
    struct store *store = presence ? presence->store : NULL;

    presence_end(presence);
    store_close(store);
}

struct store *presence_store(const struct presence *presence)
{
    return presence->store;
}

uint64_t presence_host(const struct presence *presence)
{
    return presence->host;
}

int presence_lease(struct presence *presence, uint64_t sid, uint32_t wait_ms,
                   struct lease *ret_lease, struct hf_error *err)
{
    return store_lease_acquire(presence->store, presence->host, sid, wait_ms, ret_lease, err);
}

int presence_release(struct presence *presence, const struct lease *lease, struct hf_error *err)
{
    return store_lease_release(presence->store, presence->host, lease->sid, lease->token, err);
}
