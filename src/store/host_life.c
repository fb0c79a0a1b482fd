/* SPDX-License-Identifier: Apache-2.0 */
#include "store/host_life.h"

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Every transition that there is; host_life_step() asserts that it makes no other. A new one is 0. */
static const struct transition {
    enum host_state from;
    enum host_event event;
    enum host_state to;
} transitions[] = {
    {0, HOST_REGISTERED, HOST_ALIVE},
    {0, HOST_FOUND, HOST_GRACE},

    {HOST_ALIVE, HOST_REGISTERED, HOST_ALIVE},
    {HOST_ALIVE, HOST_HEARD, HOST_ALIVE},
    {HOST_ALIVE, HOST_CUT, HOST_DETACHED},
    {HOST_ALIVE, HOST_TICK, HOST_ALIVE},

    {HOST_DETACHED, HOST_REGISTERED, HOST_ALIVE},
    {HOST_DETACHED, HOST_HEARD, HOST_DETACHED}, /* sent before its connection ended */
    {HOST_DETACHED, HOST_CUT, HOST_DETACHED},
    {HOST_DETACHED, HOST_TICK, HOST_DETACHED},

    {HOST_GRACE, HOST_REGISTERED, HOST_ALIVE},
    {HOST_GRACE, HOST_HEARD, HOST_ALIVE},
    {HOST_GRACE, HOST_CUT, HOST_DETACHED},
    {HOST_GRACE, HOST_TICK, HOST_GRACE},
};

static bool allowed(enum host_state from, enum host_event event, enum host_state to)
{
    if (to == HOST_DEAD) /* from any but a new one, by time or by its end */
        return from != 0;
    for (size_t i = 0; i < sizeof transitions / sizeof transitions[0]; i++)
        if (transitions[i].from == from && transitions[i].event == event && transitions[i].to == to)
            return true;
    return false;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* What an event that is in time makes of it. */
static void take(struct host_life *life, enum host_event event, int64_t now, int64_t grace)
{
    switch (event) {
    case HOST_HEARD:
        if (life->state == HOST_DETACHED)
            break;
        __attribute__((fallthrough));
    case HOST_REGISTERED:
        life->state = HOST_ALIVE;
        life->until = now + life->ttl;
        break;
    case HOST_CUT:
        life->state = HOST_DETACHED;
        life->until = earlier(life->until, now + earlier(grace, life->ttl));
        break;
    case HOST_FOUND:
        life->state = HOST_GRACE;
        life->until = now + life->ttl;
        break;
    case HOST_TICK:
        break;
    case HOST_ENDED:
        life->state = HOST_DEAD;
        life->until = now;
        break;
    }
}

enum host_state host_life_step(struct host_life *life, enum host_event event, int64_t now,
                               int64_t grace)
{
    enum host_state from = life->state;

    assert(life->ttl > 0);
    if (from != 0 && from != HOST_DEAD && now >= life->until)
        life->state = HOST_DEAD;
    if (life->state != HOST_DEAD)
        take(life, event, now, grace);
    assert(allowed(from, event, life->state));
    return life->state;
}

static bool same_principal(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

enum host_kin host_kinship(const struct host_identity *living, const struct host_identity *newcomer)
{
    if (living->ttl_ms == 0 || newcomer->ttl_ms == 0 ||
        memcmp(living->host_id, newcomer->host_id, UUID_SIZE) != 0 ||
        memcmp(living->mount_id, newcomer->mount_id, UUID_SIZE) != 0 ||
        !same_principal(living->principal, newcomer->principal))
        return HOST_STRANGER;
    if (living->incarnation == newcomer->incarnation &&
        memcmp(living->boot_id, newcomer->boot_id, UUID_SIZE) == 0)
        return HOST_SAME;
    return HOST_SUCCESSOR;
}

const char *host_state_name(enum host_state state)
{
    switch (state) {
    case HOST_ALIVE:
        return "alive";
    case HOST_DETACHED:
        return "detached";
    case HOST_GRACE:
        return "grace";
    case HOST_DEAD:
        return "dead";
    }
    return "new";
}
