/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/remote/host.h"

#include <stdlib.h>
#include <string.h>

#include "engine/remote/random.h"

void remote_host_init(struct remote_host *host)
{
    memset(host, 0, sizeof *host);
    atomic_init(&host->number, 0);
    contact_init(&host->contact, HOST_TTL_DEFAULT_MS);
}

static void release_identity(struct host_identity *identity)
{
    free((char *)identity->host_name);
    free((char *)identity->mount_point);
    *identity = (struct host_identity){0};
}

void remote_host_release(struct remote_host *host)
{
    release_identity(&host->identity);
}

int remote_host_identify(struct remote_host *host, const struct host_identity *identity,
                         uint32_t ttl_ms, struct hf_error *err)
{
    struct host_identity copy = *identity;

    copy.principal = NULL;
    copy.ttl_ms = ttl_ms;
    copy.host_name = strdup(identity->host_name);
    copy.mount_point = identity->mount_point ? strdup(identity->mount_point) : NULL;
    if (!copy.host_name || (identity->mount_point && !copy.mount_point)) {
        release_identity(&copy);
        return hf_fail(err, HF_NOMEM, "out of memory");
    }
    release_identity(&host->identity);
    host->identity = copy;
    return HF_OK;
}

bool remote_host_is(const struct remote_host *host, const struct host_identity *identity)
{
    const struct host_identity *own = &host->identity;

    return own->host_name && own->incarnation == identity->incarnation &&
           memcmp(own->host_id, identity->host_id, UUID_SIZE) == 0 &&
           memcmp(own->boot_id, identity->boot_id, UUID_SIZE) == 0 &&
           memcmp(own->mount_id, identity->mount_id, UUID_SIZE) == 0;
}

void remote_host_adopt(struct remote_host *host, uint64_t number, int64_t now, int64_t sent)
{
    if (atomic_load(&host->number) != number) {
        /* Nobody may take the deadline of the one before for this one's. */
        atomic_store(&host->number, 0);
        contact_init(&host->contact, host->identity.ttl_ms);
    }
    contact_step(&host->contact, CONTACT_REGISTERED, now, sent, remote_random());
    atomic_store(&host->number, number);
}

uint64_t remote_host_drop(struct remote_host *host, enum contact_event event, int64_t now)
{
    uint64_t number = atomic_exchange(&host->number, 0);

    if (number != 0)
        contact_step(&host->contact, event, now, 0, remote_random());
    host->beat = 0;
    return number;
}

void remote_host_step(struct remote_host *host, enum contact_event event, int64_t now, int64_t sent)
{
    if (remote_host_lives(host))
        contact_step(&host->contact, event, now, sent, remote_random());
}

int64_t remote_host_deadline(const struct remote_host *host, uint64_t number)
{
    int64_t deadline;

    if (number == 0 || atomic_load(&host->number) != number)
        return 0;
    deadline = contact_deadline(&host->contact);
    /* A number is never given out twice: if it is the same still, the deadline was its own. */
    return atomic_load(&host->number) == number ? deadline : 0;
}
