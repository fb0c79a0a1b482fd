/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The way to the server: one connection at a time, which is made anew whenever it breaks, and the calls that it
 * carries.
 *
 *            due                 open            Welcome                       answered
 *     DOWN -------> CONNECTING -------> HELLO --------------> REGISTERING ---------------> UP
 *      ^                |                 |  \                     |                      |  |
 *      |                |                 |   +-- no host session -|---------------> UP   |  | Goodbye
 *      |                v                 v                        v                      |  v
 *      +--- closed -- CLOSING <-----------+------------------------+----------------------+ LEAVING
 *      |                                                                                      |
 *      +------------- the connection broke (from any) ----------------------------------------+
 *
 * REGISTERING resumes the host session of the handle. While LEAVING, what was asked is still answered, and
 * nothing more is asked. Only the loop's thread touches the connection, but for one thing: while it is UP and nobody
 * else acts, a caller sends its own request, which saves waking the loop for it.
 */
#ifndef ENGINE_REMOTE_LINK_H
#define ENGINE_REMOTE_LINK_H

#include <event2/event.h>
#include <pthread.h>
#include <stdbool.h>

#include "base/clock.h"
#include "engine/remote/address.h"
#include "engine/remote/call.h"
#include "engine/remote/host.h"
#include "engine/remote/remote.h"
#include "engine/remote/teller.h"
#include "wire/conn.h"

enum link_state {
    LINK_DOWN,
    LINK_CONNECTING,
    LINK_HELLO,
    LINK_REGISTERING,
    LINK_UP,
    LINK_LEAVING,
    LINK_CLOSING,
};

/** What a server says of itself and of its store. */
struct link_welcome {
    struct store_info info; /**< without location */
    uint32_t ttl_ms, max_frame, max_in_flight;
};

struct link {
    const struct clock *clock;
    const struct remote_address *address;
    struct tls *tls;
    struct teller *teller;
    pthread_t thread;
    bool started;

    /* Of the loop's thread. */
    struct event_base *loop;
    struct event *kick, *timer;
    struct wire_conn *conn;
    struct tls *renewed_tls; /* read since the start; NULL: `tls` is used */
    size_t place;            /* of the address: tried now, or next */
    bool served;             /* this connection has answered a call */
    uint64_t hello, registration, ping;
    int64_t registration_sent;

    pthread_mutex_t mutex; /* guards what follows; not held while the connection is called */
    pthread_cond_t changed;
    enum link_state state;
    bool stopping, kicked;
    bool acting;  /* somebody does what is to be done; … */
    bool sending; /* … a caller, which sends its own call and does nothing else */
    bool again;   /* meanwhile somebody found more to do */
    bool known;   /* `welcome` is that of the first connection */
    struct link_welcome welcome;
    int64_t due;         /* DOWN: to connect; else until when the state may last (0: for ever) */
    int64_t up_since;    /* 0: not since the last loss */
    int64_t away;        /* since when there is no contact */
    int64_t heard;       /* the last frame */
    int64_t closing;     /* no call waits for longer; 0: the handle is not being closed */
    unsigned failures;   /* in a row */
    struct hf_error why; /* the last loss or failure */
    uint64_t next_id;
    struct call_list queue, sent;
    size_t in_flight; /* bytes of `sent` */
    bool paused;
    uint64_t *cancels; /* ids that nobody waits for any more */
    size_t ncancels, cancels_cap;
    struct remote_host host;
    struct remote_counters counters;
};

/** Starts the loop's thread, which connects at once. The pointers are borrowed until link_stop(). */
int link_start(struct link *link, const struct clock *clock, const struct remote_address *address,
               struct tls *tls, struct teller *teller, struct hf_error *err);
/** Waits for the first Welcome. HF_TIMEOUT, or what the servers answered. */
int link_wait(struct link *link, struct hf_error *err);
/** Lets what is queued go out, for a moment, and ends the thread. Idempotent. */
void link_stop(struct link *link);

/** Queues a request, which stays the caller's and must stay as it is until link_end(). `host`: that it names, or
 *  0. HF_FENCED, HF_TOOBIG, HF_NOMEM. */
int link_begin(struct link *link, Holdfast__Wire__Request *request, uint64_t host,
               struct call **ret_call, struct hf_error *err);
/**
 * Waits for the next part of the answer, which the caller frees; NULL when all were taken. HF_TIMEOUT, HF_FENCED;
 * HF_STALE: the connection broke in the middle of the answer.
 */
int link_next(struct link *link, struct call *call, Holdfast__Wire__Frame **ret_frame,
              struct hf_error *err);
/** Whether link_next() would not wait. */
bool link_is_ready(struct link *link, const struct call *call);
/** Ends a call, answered or not: then the server is told to stop. NULL is fine. */
void link_end(struct link *link, struct call *call);
/** Tells the server to stop; the answer, which may then be HF_INTR, is still waited for. */
void link_cancel(struct link *link, struct call *call);
/** All three, for an answer of one part. `request->retry` tells afterwards whether it was sent again. */
int link_ask(struct link *link, Holdfast__Wire__Request *request, uint64_t host,
             Holdfast__Wire__Frame **ret_frame, struct hf_error *err);

/** Since when there is no contact; 0: there is. */
int64_t link_away_since(struct link *link);

/** The host session was ended by its host: calls that name it return HF_FENCED. */
void link_host_ended(struct link *link, uint64_t host);

/** "up", "closing" … */
const char *link_state_name(enum link_state state);

#endif
