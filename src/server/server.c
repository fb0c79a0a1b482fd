/* SPDX-License-Identifier: Apache-2.0 */
#include "server/server.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "server/peer.h"
#include "server/server_state.h"
#include "server/waiting.h"
#include "wire/conn.h"
#include "wire/listen.h"

/* A connection that says nothing for so long after its handshake is closed. */
#define HELLO_NS 10000000000LL
/* At the limit of connections, one without a certificate for so long is closed for another. */
#define PATIENCE_NS 500000000LL
#define NS_PER_SECOND 1000000000LL
#define DAY_NS (86400 * NS_PER_SECOND)
#define EXPIRY_WARNING_DAYS 30
#define URGENT_WORKERS 4
#define COLLECTORS 4 /* tenants whose stores are collected at a time */
#define BACKLOG 512

#define DEFAULT_CONNECTIONS 4096
#define DEFAULT_CONNECTIONS_PER_HOST 16
#define DEFAULT_IN_FLIGHT (32ULL << 20)
#define DEFAULT_WORKERS 128
#define DEFAULT_DRAIN_MS 10000

/* --- the end -------------------------------------------------------------------------------------- */

uint32_t server_grace(const struct server *server)
{
    return atomic_load(&server->phase) == SERVER_SERVING ? HOST_RECONNECT_MS
                                                         : server->options.ttl_ms;
}

bool server_is_serving(const struct server *server)
{
    return atomic_load(&server->phase) == SERVER_SERVING;
}

static void stop_listening(struct server *server)
{
    if (server->listener)
        evconnlistener_free(server->listener);
    server->listener = NULL;
}

/* What has been asked is answered; what is asked from now on is asked again of the next server. */
static void begin_drain(struct server *server)
{
    log_info("draining: %u connections, %u requests under way", server->npeers,
             atomic_load(&server->busy));
    atomic_store(&server->phase, SERVER_DRAINING);
    server->drain_until =
        clock_boottime(&clock_system) + (int64_t)server->options.drain_ms * 1000000;
    stop_listening(server);
    waits_freeze(server->waits);
}

static void end_drain(struct server *server)
{
    unsigned busy = atomic_load(&server->busy);

    if (busy > 0)
        log_warn("%u requests were not answered in time", busy);
    atomic_store(&server->phase, SERVER_OVER);
    for (struct peer *peer = server->peers, *next; peer; peer = next) {
        next = peer->next;
        peer_goodbye(peer, "the server is being restarted", true);
    }
}

static void end_now(struct server *server)
{
    atomic_store(&server->phase, SERVER_OVER);
    stop_listening(server);
    waits_freeze(server->waits);
    for (struct peer *peer = server->peers, *next; peer; peer = next) {
        next = peer->next;
        peer_close(peer, HF_OK, "the server ends at once");
    }
}

static void go_on_ending(struct server *server)
{
    if (atomic_load(&server->phase) == SERVER_DRAINING &&
        (atomic_load(&server->busy) == 0 || clock_boottime(&clock_system) >= server->drain_until))
        end_drain(server);
    if (atomic_load(&server->phase) == SERVER_OVER && server->npeers == 0)
        event_base_loopbreak(server->loop);
}

/* --- reloading ------------------------------------------------------------------------------------- */

static bool same_rights(const struct principal *a, const struct principal *b)
{
    if (a->role != b->role || strcmp(a->tenant, b->tenant) != 0 || a->nglobs != b->nglobs)
        return false;
    for (size_t i = 0; i < a->nglobs; i++)
        if (strcmp(a->globs[i], b->globs[i]) != 0)
            return false;
    return true;
}

/* Closes a connection whose certificate is not what it was. */
static void check_again(struct server *server, struct peer *peer)
{
    struct principal principal;
    struct hf_error err = {0};
    int rc;

    if (!peer->certificate_known || peer->refusal.status != HF_OK)
        return;
    rc = tls_recheck(server->tls, wire_conn_peer(peer->conn), &err);
    if (rc == HF_OK)
        rc = principal_read(wire_conn_peer(peer->conn), server->rights, &principal, &err);
    if (rc != HF_OK) {
        peer_close(peer, HF_ACCESS, err.message);
        return;
    }
    if (!same_rights(&principal, &peer->principal))
        peer_goodbye(peer, "its rights have changed", true);
    principal_release(&principal);
}

static void take_reloaded(struct server *server)
{
    struct tls *tls;
    struct principal_list *rights;

    pthread_mutex_lock(&server->lock);
    tls = server->new_tls;
    rights = server->new_rights;
    server->new_tls = NULL;
    server->new_rights = NULL;
    pthread_mutex_unlock(&server->lock);
    if (!tls)
        return;
    tls_close(server->tls);
    principal_list_free(server->rights);
    server->tls = tls;
    server->reloads++;
    server->expiry_told = 0;
    server->rights = rights;
    for (struct peer *peer = server->peers, *next; peer; peer = next) {
        next = peer->next;
        check_again(server, peer);
    }
}

static int load_files(const struct server *server, struct tls **ret_tls,
                      struct principal_list **ret_rights, struct hf_error *err)
{
    struct principal_list *rights = NULL;
    int rc = HF_OK;

    if (server->options.rights)
        rc = principal_list_load(server->options.rights, &rights, err);
    if (rc == HF_OK)
        rc = tls_open(&server->options.tls, true, ret_tls, err);
    if (rc != HF_OK) {
        principal_list_free(rights);
        return rc;
    }
    *ret_rights = rights;
    return HF_OK;
}

int server_reload(struct server *server, struct hf_error *err)
{
    struct principal_list *rights;
    struct tls *tls;
    int rc = load_files(server, &tls, &rights, err);

    if (rc != HF_OK)
        return rc;
    pthread_mutex_lock(&server->lock);
    tls_close(server->new_tls);
    principal_list_free(server->new_rights);
    server->new_tls = tls;
    server->new_rights = rights;
    pthread_mutex_unlock(&server->lock);
    event_active(server->prompt, EV_READ, 0);
    return HF_OK;
}

/* --- events of the loop ---------------------------------------------------------------------------- */

/* Who has not shown a certificate yet makes room for others: the one that has tried for longest. */
static bool make_room(struct server *server)
{
    struct peer *oldest = NULL;

    for (struct peer *peer = server->peers; peer; peer = peer->next)
        if (!peer->certificate_known && (!oldest || peer->since < oldest->since))
            oldest = peer;
    if (!oldest || clock_boottime(&clock_system) - oldest->since < PATIENCE_NS)
        return false;
    peer_close(oldest, HF_TIMEOUT, "it made room for another: there are too many connections");
    return true;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *arg)
{
    struct server *server = arg;
    struct hf_error err;

    (void)listener;
    (void)address;
    (void)length;
    if (server->npeers >= server->options.max_connections && !make_room(server)) {
        log_warn("a connection was refused: there are %u already, which is the limit",
                 server->npeers);
        evutil_closesocket(fd);
        return;
    }
    if (peer_accept(server, fd, &err) != HF_OK)
        log_warn("a connection was refused: %s", err.message);
}

/* Out of file descriptors, mostly. The next tick listens again. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    (void)arg;
    log_error("cannot accept a connection: %s",
              evutil_socket_error_to_string(EVUTIL_SOCKET_ERROR()));
    evconnlistener_disable(listener);
}

/* A connection lives no longer than the certificate that it was made with: which may be until the year 9999, more
 * than a number of nanoseconds can tell. */
static bool has_expired(const struct peer *peer, int64_t now)
{
    return peer->phase == PEER_GREETED && peer->certificate_known &&
           peer->principal.expires <= now / NS_PER_SECOND;
}

static void close_overdue(struct server *server)
{
    int64_t boot = clock_boottime(&clock_system), now = clock_realtime(&clock_system);

    for (struct peer *peer = server->peers, *next; peer; peer = next) {
        next = peer->next;
        if (peer->phase == PEER_STRANGER && boot - peer->since > HELLO_NS)
            peer_close(peer, HF_TIMEOUT, "it does not say hello");
        else if (has_expired(peer, now))
            peer_close(peer, HF_ACCESS, "its certificate has expired");
    }
}

/* Hosts refuse a server whose certificate has expired: once a day the log says that this is near. */
static void warn_of_expiry(struct server *server)
{
    int64_t now = clock_realtime(&clock_system);
    int64_t hours = (tls_expires(server->tls) - now / NS_PER_SECOND) / 3600;

    if (hours >= EXPIRY_WARNING_DAYS * 24 || now - server->expiry_told < DAY_NS)
        return;
    server->expiry_told = now;
    log_warn("the server's certificate expires in %lld %s; hosts will refuse it then",
             (long long)(hours >= 48 ? hours / 24 : hours), hours >= 48 ? "days" : "hours");
}

static void set_tick(struct server *server)
{
    int ms = server_is_serving(server) ? SERVER_TICK_MS : SERVER_ENDING_TICK_MS;
    struct timeval tv = {ms / 1000, ms % 1000 * 1000};

    (void)event_add(server->tick, &tv);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;

    (void)fd;
    (void)what;
    if (server->listener)
        evconnlistener_enable(server->listener);
    close_overdue(server);
    warn_of_expiry(server);
    go_on_ending(server);
    set_tick(server);
}

static void on_prompt(evutil_socket_t fd, short what, void *arg)
{
    struct server *server = arg;
    unsigned stops = atomic_load(&server->stops);

    (void)fd;
    (void)what;
    take_reloaded(server);
    if (stops == 1 && server_is_serving(server))
        begin_drain(server);
    else if (stops > 1 && atomic_load(&server->phase) != SERVER_OVER)
        end_now(server);
    else if (stops > 1)
        for (struct peer *peer = server->peers, *next; peer; peer = next) {
            next = peer->next;
            peer_close(peer, HF_OK, "the server ends at once");
        }
    if (stops > 0) {
        go_on_ending(server);
        set_tick(server);
    }
}

/* --- opening -------------------------------------------------------------------------------------- */

static void set_default(uint64_t *value, uint64_t fallback)
{
    if (*value == 0)
        *value = fallback;
}

static void set_default_uint(unsigned *value, unsigned fallback)
{
    if (*value == 0)
        *value = fallback;
}

static int check_options(struct server_options *options, struct hf_error *err)
{
    set_default_uint(&options->ttl_ms, HOST_TTL_DEFAULT_MS);
    set_default_uint(&options->max_connections, DEFAULT_CONNECTIONS);
    set_default_uint(&options->max_connections_per_host, DEFAULT_CONNECTIONS_PER_HOST);
    set_default(&options->max_in_flight, DEFAULT_IN_FLIGHT);
    set_default_uint(&options->workers, DEFAULT_WORKERS);
    set_default_uint(&options->drain_ms, DEFAULT_DRAIN_MS);
    if (options->ttl_ms < HOST_TTL_MIN_MS || options->ttl_ms > HOST_TTL_MAX_MS)
        return hf_fail(err, HF_CONFIG, "the TTL must be between %u and %u s",
                       HOST_TTL_MIN_MS / 1000, HOST_TTL_MAX_MS / 1000);
    return HF_OK;
}

static int start_listening(struct server *server, struct hf_error *err)
{
    const unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    const char *listen = server->options.listen;
    struct addrinfo *address;
    int rc = listen_address(listen, &address, err);

    if (rc != HF_OK)
        return rc;
    server->listener = evconnlistener_new_bind(server->loop, on_accept, server, flags, BACKLOG,
                                               address->ai_addr, (int)address->ai_addrlen);
    freeaddrinfo(address);
    if (!server->listener)
        return hf_fail(err, HF_IO, "cannot listen on %s: %s", listen, strerror(errno));
    evconnlistener_set_error_cb(server->listener, on_accept_error);
    return listen_bound(evconnlistener_get_fd(server->listener), server->address, err);
}

static int open_loop(struct server *server, struct hf_error *err)
{
    server->loop = wire_loop_new(err);
    if (!server->loop)
        return HF_NOMEM;
    server->tick = evtimer_new(server->loop, on_tick, server);
    server->prompt = event_new(server->loop, -1, EV_PERSIST, on_prompt, server);
    if (!server->tick || !server->prompt)
        return hf_fail(err, HF_NOMEM, "out of memory");
    set_tick(server);
    return HF_OK;
}

static int open_parts(struct server *server, struct hf_error *err)
{
    const struct server_options *options = &server->options;
    int rc =
        quotas_new(options->max_connections_per_host, options->max_in_flight, &server->quotas, err);

    if (rc == HF_OK)
        rc = workers_new(options->workers, &server->workers, err);
    if (rc == HF_OK)
        rc = workers_new(URGENT_WORKERS, &server->urgent, err);
    if (rc == HF_OK)
        rc = workers_new(COLLECTORS, &server->collectors, err);
    if (rc == HF_OK)
        rc = waits_new(server->loop, server->workers, &server->waits, err);
    if (rc == HF_OK)
        rc = tenants_new(options, &server->tenants, err);
    return rc;
}

int server_new(const struct server_options *options, struct server **ret_server,
               struct hf_error *err)
{
    struct server *server = calloc(1, sizeof *server);
    int rc;

    if (!server)
        return hf_fail(err, HF_NOMEM, "out of memory");
    server->options = *options;
    pthread_mutex_init(&server->lock, NULL);
    rc = check_options(&server->options, err);
    if (rc == HF_OK)
        rc = load_files(server, &server->tls, &server->rights, err);
    if (rc == HF_OK)
        rc = open_loop(server, err);
    if (rc == HF_OK)
        rc = start_listening(server, err);
    if (rc == HF_OK)
        rc = open_parts(server, err);
    if (rc != HF_OK) {
        server_free(server);
        return rc;
    }
    *ret_server = server;
    return HF_OK;
}

/* --- calls ---------------------------------------------------------------------------------------- */

const char *server_address(const struct server *server)
{
    return server->address;
}

int server_run(struct server *server, struct hf_error *err)
{
    if (event_base_loop(server->loop, EVLOOP_NO_EXIT_ON_EMPTY) < 0)
        return hf_fail(err, HF_IO, "the event loop failed");
    return HF_OK;
}

void server_stop(struct server *server)
{
    atomic_fetch_add(&server->stops, 1);
    event_active(server->prompt, EV_READ, 0);
}

void server_free(struct server *server)
{
    if (!server)
        return;
    workers_free(server->urgent);
    workers_free(server->workers);
    workers_free(server->collectors); /* who is not served any more stops at once */
    waits_free(server->waits);
    tenants_free(server->tenants);
    quotas_free(server->quotas);
    stop_listening(server);
    if (server->tick)
        event_free(server->tick);
    if (server->prompt)
        event_free(server->prompt);
    if (server->loop)
        event_base_free(server->loop);
    tls_close(server->tls);
    tls_close(server->new_tls);
    principal_list_free(server->rights);
    principal_list_free(server->new_rights);
    pthread_mutex_destroy(&server->lock);
    free(server);
}

void server_stats(struct server *server, struct server_stats *ret_stats)
{
    *ret_stats = (struct server_stats){.connections = atomic_load(&server->npeers),
                                       .requests = atomic_load(&server->busy),
                                       .serving = server_is_serving(server)};
}
