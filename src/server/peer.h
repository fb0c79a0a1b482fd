/* SPDX-License-Identifier: Apache-2.0 */
/**
 * One connection of a host.
 *
 *     HANDSHAKE --TLS--> STRANGER --Hello--> GREETED ------------------------> CLOSED
 *         |                 |   no rights, too many: told, then closed            ^
 *         +-----------------+--------------- failure, time-out, drained ----------+
 *
 * Its requests stand in a queue; PEER_RUNNING_MAX at most are with the workers at a time, in any order, but
 * nothing overtakes a Hello or a register. Who answers with much waits until the peer has taken what is queued
 * for it, and takes no worker meanwhile.
 */
#ifndef SERVER_PEER_H
#define SERVER_PEER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "base/log.h"
#include "server/interest.h"
#include "server/notices.h"
#include "server/quota.h"
#include "server/visible.h"
#include "server/workers.h"
#include "store/types.h"
#include "wire/conn.h"
#include "wire/principal.h"

#define PEER_RUNNING_MAX 32
/** So many requests that were given up are remembered. */
#define PEER_CANCELS 64
/** A peer that is closed in good order has so long to take what is queued for it. */
#define PEER_LINGER_MS 3000
/** So many requests with large answers are at work at a time. */
#define PEER_BULKY_MAX 2
/** Queued output of a peer above which nothing more is begun for it. */
#define PEER_OUTPUT_HIGH (256u << 10)
/** A peer that has so much queued and still asks what is answered at once (heartbeats) is closed. */
#define PEER_OUTPUT_MAX (16u << 20)

enum peer_phase { PEER_HANDSHAKE, PEER_STRANGER, PEER_GREETED, PEER_CLOSED };

struct host_session;
struct request;
struct server;
struct staging;
struct tenant;

struct request_queue {
    struct request *first, *last;
};

struct peer {
    struct server *server;
    struct wire_conn *conn; /**< a reference */
    atomic_uint references;
    atomic_uint refusals; /**< requests that it may not make */
    _Atomic int64_t
        full_told; /**< CLOCK_BOOTTIME: when the log was told last of a limit that it met */

    /* The loop's thread only. */
    struct peer *next, *previous; /**< the server's list */
    enum peer_phase phase;
    int64_t since;    /**< CLOCK_BOOTTIME: in this phase */
    uint64_t last_id; /**< of a request */
    struct quota_share share;
    bool certificate_known; /**< principal is filled */
    unsigned reloads;       /**< of the server, before its handshake */

    /* Written before the phase GREETED, and constant then. */
    struct principal principal;
    char identity[PRINCIPAL_TENANT_MAX + 1 + 256]; /**< "tenant/name" */
    struct tenant *tenant;
    struct hf_error refusal; /**< why it is not let in; status HF_OK: it is */

    pthread_mutex_t
        lock; /**< guards what follows; nothing but the pool's and the connection's locks under it */
    bool closed;
    bool barrier; /**< a request that none may overtake is at work */
    unsigned running;
    unsigned bulky; /**< of those, the ones with large answers that are not parked */
    uint64_t cancelled[PEER_CANCELS]; /**< the last requests that the host gave up */
    unsigned ncancelled;              /**< counts all */
    struct request_queue backlog;     /**< not begun */
    struct request_queue parked;      /**< wait until the peer has taken its output */
    struct host_session *session;     /**< its host session, a reference; or NULL */
    struct staging *staging;          /**< a copy that comes in parts; or NULL */

    struct notices notices;
    struct visible visible;
    struct interest interest;
    struct task farewell; /**< what is left to do with the store when it is gone */
    uint32_t grace_ms;    /**< for its host session then */
};

/** A connection that was just accepted; `fd` is taken over. On the loop's thread. */
int peer_accept(struct server *server, int fd, struct hf_error *err);
struct peer *peer_ref(struct peer *peer);
void peer_unref(struct peer *peer);

/** Tells the host of an event. Any thread. */
void peer_notice(struct peer *peer, uint64_t host, const struct store_event *event);
/** Its host session is served by a newer connection: closes it. */
void peer_replaced(struct peer *peer);
/** It has said hello. The loop's thread. */
void peer_greeted(struct peer *peer);
/** Notes that the host gave up waiting for the answer to `id`, and whether it has. */
void peer_note_cancel(struct peer *peer, uint64_t id);
bool peer_has_cancelled(struct peer *peer, uint64_t id);
/** Says good-bye and closes. The loop's thread. */
void peer_goodbye(struct peer *peer, const char *reason, bool come_back);
/** Closes at once. Any thread. */
void peer_close(struct peer *peer, int status, const char *why);

/** Sends a reply. What it cannot send because the connection is gone is lost, as it would be on the way. */
void peer_reply(struct peer *peer, uint64_t id, const Holdfast__Wire__Reply *reply);

/** A request has come: it begins when it may. */
void peer_enqueue(struct peer *peer, struct request *request);
/** A request has been answered, or dropped: the next may begin. */
void peer_request_done(struct peer *peer, bool barrier);
/** Puts a request with a large answer aside until the peer has taken its output. False: it may go on now, until
 *  peer_unpark(). */
bool peer_park(struct peer *peer, struct request *request);
/** One that went on has sent what it had: lets the next go on, if the output is low. */
void peer_unpark(struct peer *peer);
bool peer_is_closed(struct peer *peer);

/** The parts of a copy that have come, which are the caller's then; or NULL. */
struct staging *peer_take_staging(struct peer *peer);
/** Keeps them until the next part comes, or the connection ends. */
void peer_keep_staging(struct peer *peer, struct staging *staging);

/** The host session that it serves, a reference; or NULL. */
struct host_session *peer_session(struct peer *peer);
/** Takes over the reference. What it served before is let go. False: the connection is gone. */
bool peer_set_session(struct peer *peer, struct host_session *session);

/** What a line of the log says of the peer, for programs that read it. Borrows from the peer. */
struct log_fields peer_fields(const struct peer *peer);

#endif
