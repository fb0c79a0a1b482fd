/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A server within the test's process, and clients that speak to it frame by frame. Certificates, store and
 * address are its own. What fails here fails the test.
 */
#ifndef TESTS_SERVER_RIG_H
#define TESTS_SERVER_RIG_H

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "pki.h"
#include "scene.h"
#include "server/server.h"
#include "wire/frame.h"
#include "wire/holdfast.pb-c.h"
#include "wire/pki.h"

/** How long a client waits for what must come. */
#define RIG_PATIENCE_MS 20000

struct rig {
    struct test_pki pki;
    char url[300];
    char listen[64]; /* "127.0.0.1:0"; after the first start the port that was bound */
    uint16_t port;
    struct server_options options;
    struct server *server;
    pthread_t thread;
};

/** Certificates, and the options for a server that rig_start() starts; tests may change them before. */
void rig_open(struct rig *rig);
void rig_start(struct rig *rig);
/** Stops the server and waits for its end. */
void rig_stop(struct rig *rig);
/** Waits for the end of a server that was stopped. */
void rig_join(struct rig *rig);
void rig_close(struct rig *rig);

/** A connection. */
struct client {
    SSL *ssl;
    int fd;
    uint64_t last_id;
    uint64_t host;                    /* that it registered */
    bool heads_once;                  /* as it registers */
    bool over;                        /* the server has closed it */
    Holdfast__Wire__Frame *kept[256]; /* frames that were read and not asked for */
    size_t nkept;
};

/** Connects with the bundle NAME.pem, made with these rights when it is not there. No hello yet. */
struct client *client_connect(struct rig *rig, const char *name, const char *uri);
/** The two halves of client_connect(): before the handshake, and the handshake. */
struct client *client_dial(struct rig *rig, const char *name, const char *uri);
void client_shake_hands(struct client *client);
/** Connects, says hello, and registers a host session with this mount number. */
struct client *client_open(struct rig *rig, const char *name, const char *uri);
struct client *client_host(struct rig *rig, const char *name, unsigned mount);
/** Ends the connection: in good order, or as if the host were gone. NULL is fine. */
void client_close(struct client *client);

/** Sends a request; returns its id. */
uint64_t client_send(struct client *client, Holdfast__Wire__Request *request);
/** The next frame; NULL when the connection is over, or nothing came for `ms`. */
Holdfast__Wire__Frame *client_read(struct client *client, int ms);
/** The answer to a request; other frames are kept. NULL when the connection is over. */
Holdfast__Wire__Frame *client_answer(struct client *client, uint64_t id);
/** Whether it is answered within so long. */
bool client_answered(struct client *client, uint64_t id, int ms);
/** Sends and waits. Returns the status; `ret_frame` may be NULL. */
int client_call(struct client *client, Holdfast__Wire__Request *request,
                Holdfast__Wire__Frame **ret_frame);
/** The next event of a kind; others are dropped. False: none within `ms`. */
bool client_event(struct client *client, enum event_kind kind, int ms,
                  Holdfast__Wire__Event *ret_event);
/** Whether the server says good-bye or closes within `ms`; what comes before is dropped. */
bool client_goodbye(struct client *client, int ms);
bool client_ended(struct client *client, int ms);
void frame_free(Holdfast__Wire__Frame *frame);
int frame_status(const Holdfast__Wire__Frame *frame);

/* --- requests ----------------------------------------------------------------------------------- */

int call_hello(struct client *client);
int call_register(struct client *client, unsigned mount, uint64_t incarnation);
int call_heartbeat(struct client *client, uint64_t host);
/** Makes a session with a note in it; `host` 0: without a lease. */
int call_create(struct client *client, uint64_t host, const char *name, const char *note,
                bool retry, uint64_t *ret_sid, uint64_t *ret_token);
/** Commits another note. */
int call_commit(struct client *client, uint64_t host, uint64_t sid, uint64_t token, uint64_t base,
                const char *note, bool retry, uint64_t *ret_version);
uint64_t send_commit(struct client *client, uint64_t host, uint64_t sid, uint64_t token,
                     uint64_t base, const char *note, bool retry);
uint64_t send_acquire(struct client *client, uint64_t host, uint64_t sid, uint32_t wait_ms);
int call_acquire(struct client *client, uint64_t host, uint64_t sid, uint32_t wait_ms,
                 uint64_t *ret_token);
int call_release(struct client *client, uint64_t host, uint64_t sid, uint64_t token, bool retry);
int call_find(struct client *client, const char *name, uint64_t *ret_sid, uint64_t *ret_version);
int call_head(struct client *client, uint64_t sid, uint64_t *ret_version);
/** How many sessions a list shows. */
size_t call_list(struct client *client, uint64_t limit);

#endif
