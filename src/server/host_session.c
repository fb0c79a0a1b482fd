/* SPDX-License-Identifier: Apache-2.0 */
#include "server/host_session.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/htable.h"
#include "server/peer.h"

struct host_session {
    struct hnode node;
    struct host_sessions *hosts;
    struct store *store;
    uint8_t key[3 * UUID_SIZE]; /* host, boot and mount id */
    uint64_t incarnation;
    char *principal;
    struct store_listener listener; /* the store's, while it is registered */
    unsigned references;            /* guarded by hosts->lock */

    /* In this order, before the store's own locks: */
    pthread_mutex_t turn; /* one register, end or leave at a time */
    pthread_mutex_t lock; /* guards what follows; nothing of the store is called under it */
    uint64_t host;        /* 0: not registered */
    struct peer *peer;    /* who serves it, a reference; or NULL */
};

struct host_sessions {
    pthread_mutex_t lock; /* guards the table and the references */
    struct htable table;
};

int host_sessions_new(struct host_sessions **ret_hosts, struct hf_error *err)
{
    struct host_sessions *hosts = calloc(1, sizeof *hosts);

    if (!hosts)
        return hf_fail(err, HF_NOMEM, "out of memory");
    pthread_mutex_init(&hosts->lock, NULL);
    *ret_hosts = hosts;
    return HF_OK;
}

void host_sessions_free(struct host_sessions *hosts)
{
    if (!hosts)
        return;
    htable_free(&hosts->table);
    pthread_mutex_destroy(&hosts->lock);
    free(hosts);
}

/* --- the table ------------------------------------------------------------------------------------ */

static void make_key(const struct host_identity *identity, uint8_t ret_key[3 * UUID_SIZE])
{
    memcpy(ret_key, identity->host_id, UUID_SIZE);
    memcpy(ret_key + UUID_SIZE, identity->boot_id, UUID_SIZE);
    memcpy(ret_key + 2 * UUID_SIZE, identity->mount_id, UUID_SIZE);
}

static uint64_t hash_key(const uint8_t key[3 * UUID_SIZE], uint64_t incarnation)
{
    uint64_t hash = htable_hash_u64(incarnation);
    uint64_t part;

    for (size_t i = 0; i < 3 * UUID_SIZE; i += sizeof part) {
        memcpy(&part, key + i, sizeof part);
        hash = htable_hash_u64(hash ^ part);
    }
    return hash;
}

static void on_event(const struct store_event *event, void *arg);

static void free_session(struct host_session *session)
{
    pthread_mutex_destroy(&session->turn);
    pthread_mutex_destroy(&session->lock);
    free(session->principal);
    free(session);
}

/* The lock is held. */
static struct host_session *add(struct host_sessions *hosts, struct store *store,
                                const struct host_identity *identity, uint64_t hash)
{
    struct host_session *session = calloc(1, sizeof *session);

    if (!session)
        return NULL;
    session->hosts = hosts;
    session->store = store;
    make_key(identity, session->key);
    session->incarnation = identity->incarnation;
    session->principal = strdup(identity->principal);
    session->listener = (struct store_listener){.event = on_event, .arg = session};
    pthread_mutex_init(&session->turn, NULL);
    pthread_mutex_init(&session->lock, NULL);
    if (session->principal && htable_insert(&hosts->table, &session->node, hash) == HF_OK)
        return session;
    free_session(session);
    return NULL;
}

/* Takes a reference. NULL: no memory. */
static struct host_session *find_or_add(struct host_sessions *hosts, struct store *store,
                                        const struct host_identity *identity)
{
    uint8_t key[3 * UUID_SIZE];
    uint64_t hash;
    struct host_session *session = NULL;
    struct hnode *node;

    make_key(identity, key);
    hash = hash_key(key, identity->incarnation);
    pthread_mutex_lock(&hosts->lock);
    for (node = htable_find(&hosts->table, hash); node; node = htable_next(node)) {
        session = HTABLE_ENTRY(node, struct host_session, node);
        if (memcmp(session->key, key, sizeof key) == 0 &&
            session->incarnation == identity->incarnation &&
            strcmp(session->principal, identity->principal) == 0)
            break;
    }
    if (!node)
        session = add(hosts, store, identity, hash);
    if (session)
        session->references++;
    pthread_mutex_unlock(&hosts->lock);
    return session;
}

struct host_session *host_session_ref(struct host_session *session)
{
    pthread_mutex_lock(&session->hosts->lock);
    session->references++;
    pthread_mutex_unlock(&session->hosts->lock);
    return session;
}

void host_session_unref(struct host_session *session)
{
    struct host_sessions *hosts;
    bool last;

    if (!session)
        return;
    hosts = session->hosts;
    pthread_mutex_lock(&hosts->lock);
    last = --session->references == 0;
    if (last)
        htable_remove(&hosts->table, &session->node);
    pthread_mutex_unlock(&hosts->lock);
    if (last)
        free_session(session);
}

/* --- events --------------------------------------------------------------------------------------- */

/* On the store's thread. A connection that comes between two others has missed events, and is told so by the
 * store when it registers. */
static void on_event(const struct store_event *event, void *arg)
{
    struct host_session *session = arg;
    struct peer *peer;
    uint64_t host;

    pthread_mutex_lock(&session->lock);
    peer = session->peer ? peer_ref(session->peer) : NULL;
    host = session->host;
    pthread_mutex_unlock(&session->lock);
    if (!peer)
        return;
    peer_notice(peer, host, event);
    peer_unref(peer);
}

/* --- who serves it -------------------------------------------------------------------------------- */

/* Makes `peer` (NULL: nobody) the one who serves. Returns the one who did, with the reference to it. */
static struct peer *set_peer(struct host_session *session, struct peer *peer, uint64_t host)
{
    struct peer *before;

    pthread_mutex_lock(&session->lock);
    before = session->peer;
    session->peer = peer ? peer_ref(peer) : NULL;
    session->host = host;
    pthread_mutex_unlock(&session->lock);
    return before;
}

int host_session_register(struct host_sessions *hosts, struct store *store,
                          const struct host_identity *identity, struct peer *peer,
                          struct host_session **ret_session, uint64_t *ret_host,
                          struct hf_error *err)
{
    struct host_session *session = find_or_add(hosts, store, identity);
    struct peer *before = NULL;
    uint64_t host;
    int rc;

    if (!session)
        return hf_fail(err, HF_NOMEM, "out of memory");
    pthread_mutex_lock(&session->turn);
    before = set_peer(session, peer, session->host); /* it hears the first event already */
    rc = store_host_register(store, identity, &session->listener, &host, err);
    if (rc == HF_OK) {
        pthread_mutex_lock(&session->lock);
        session->host = host;
        pthread_mutex_unlock(&session->lock);
    } else {
        struct peer *self = set_peer(session, before, session->host);

        peer_unref(self);
    }
    pthread_mutex_unlock(&session->turn);
    if (rc == HF_OK && before && before != peer)
        peer_replaced(before);
    peer_unref(before);
    if (rc != HF_OK) {
        host_session_unref(session);
        return rc;
    }
    *ret_session = session;
    *ret_host = host;
    return HF_OK;
}

bool host_session_serves(struct host_session *session, const struct peer *peer, uint64_t host)
{
    bool serves;

    if (!session || host == 0)
        return false;
    pthread_mutex_lock(&session->lock);
    serves = session->peer == peer && session->host == host;
    pthread_mutex_unlock(&session->lock);
    return serves;
}

/* The turn is held. The host session, if the peer serves it; it does so no more. */
static uint64_t give_up(struct host_session *session, struct peer *peer)
{
    uint64_t host = 0;

    pthread_mutex_lock(&session->lock);
    if (session->peer == peer) {
        host = session->host;
        session->peer = NULL;
        session->host = 0;
    }
    pthread_mutex_unlock(&session->lock);
    return host;
}

int host_session_end(struct host_session *session, struct peer *peer, struct hf_error *err)
{
    uint64_t host;
    int rc = HF_OK;

    pthread_mutex_lock(&session->turn);
    host = give_up(session, peer);
    if (host != 0)
        rc = store_host_end(session->store, host, err);
    if (rc != HF_OK) /* it dies by time, then; but nobody listens for it any more */
        (void)store_host_detach(session->store, host, 0, NULL);
    pthread_mutex_unlock(&session->turn);
    if (host != 0)
        peer_unref(peer);
    return rc;
}

void host_session_leave(struct host_session *session, struct peer *peer, uint32_t grace_ms)
{
    uint64_t host;

    if (!session)
        return;
    pthread_mutex_lock(&session->turn);
    host = give_up(session, peer);
    if (host != 0) /* it may have died meanwhile, which comes to the same */
        (void)store_host_detach(session->store, host, grace_ms, NULL);
    pthread_mutex_unlock(&session->turn);
    if (host != 0)
        peer_unref(peer);
    host_session_unref(session);
}
