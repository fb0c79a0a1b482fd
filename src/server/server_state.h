/* SPDX-License-Identifier: Apache-2.0 */
/** What the parts of the service share. Private to src/server. */
#ifndef SERVER_SERVER_STATE_H
#define SERVER_SERVER_STATE_H

#include <event2/event.h>
#include <event2/listener.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "server/quota.h"
#include "server/server.h"
#include "server/tenants.h"
#include "server/workers.h"
#include "wire/principal.h"
#include "wire/sock.h"

struct peer;
struct waits;

/** SERVING --stop--> DRAINING (nothing new; what is under way is answered) --done or late, or stop--> OVER */
enum server_phase { SERVER_SERVING, SERVER_DRAINING, SERVER_OVER };

struct server {
    struct server_options options; /**< with the defaults filled in */
    char address[SOCK_TEXT_MAX];
    struct event_base *loop;
    struct evconnlistener *listener;
    struct event *tick;   /**< twice a second: time-outs of peers, progress of a drain */
    struct event *prompt; /**< asks the loop to look at `stops` and `reload` */
    struct tenants *tenants;
    struct quotas *quotas;
    struct workers *workers;
    struct workers *urgent;     /**< for heartbeats: they must not wait behind commits */
    struct workers *collectors; /**< for collections, which take long */
    struct waits *waits;
    atomic_uint stops;  /**< how often server_stop() was called */
    atomic_int phase;   /**< enum server_phase; changed by the loop's thread */
    atomic_uint busy;   /**< requests that are with the workers or in a queue */
    atomic_uint npeers; /**< changed by the loop's thread */

    /* The loop's thread only. */
    struct peer *peers;
    int64_t drain_until;
    struct tls *tls;     /**< of new connections */
    unsigned reloads;    /**< how often it was changed */
    int64_t expiry_told; /**< realtime (ns): when the log was told last that it expires soon */
    struct principal_list *rights; /**< or NULL */

    pthread_mutex_t lock; /**< guards what follows; nothing is acquired under it */
    struct tls *new_tls;  /**< was reloaded, and the loop has not seen it yet; or NULL */
    struct principal_list *new_rights;
};

/** So often server.tick comes. */
#define SERVER_TICK_MS 500
#define SERVER_ENDING_TICK_MS 10

bool server_is_serving(const struct server *server);
/** How long a host whose connection ended may take to come back. */
uint32_t server_grace(const struct server *server);

#endif
