/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/roster.h"

#include <assert.h>
#include <stdlib.h>

#define NS_PER_MS 1000000LL

struct roster_entry {
    struct hnode node;
    uint64_t host;
    bool own;
    bool over;            /* buried, or its row says so */
    bool is_new, resumed; /* not greeted yet */
    uint32_t ttl_ms;      /* 0: `life` says nothing */
    struct host_life life;
    uint64_t found; /* in grace: how often it had been resumed */
    struct store_listener listener;
    uint64_t cursor;
    uint64_t epoch; /* of the writer, when its row was seen alive */
};

void roster_init(struct roster *roster, const struct clock *clock)
{
    *roster = (struct roster){.clock = clock, .soonest = INT64_MAX};
    pthread_mutex_init(&roster->lock, NULL);
    pthread_cond_init(&roster->idle, NULL);
}

static void free_node(struct hnode *node, void *arg)
{
    (void)arg;
    free(HTABLE_ENTRY(node, struct roster_entry, node));
}

void roster_release(struct roster *roster)
{
    htable_each(&roster->entries, free_node, NULL);
    htable_free(&roster->entries);
    pthread_cond_destroy(&roster->idle);
    pthread_mutex_destroy(&roster->lock);
}

/* --- with the lock held -------------------------------------------------------------------------- */

static struct roster_entry *find(const struct roster *roster, uint64_t host)
{
    struct hnode *node = htable_find(&roster->entries, htable_hash_u64(host));

    for (; node; node = htable_next(node)) {
        struct roster_entry *entry = HTABLE_ENTRY(node, struct roster_entry, node);

        if (entry->host == host)
            return entry;
    }
    return NULL;
}

static struct roster_entry *find_own(const struct roster *roster, uint64_t host)
{
    struct roster_entry *entry = find(roster, host);

    return entry && entry->own ? entry : NULL;
}

/* Judges, and keeps what time has done: the dead stay so. */
static bool is_alive(struct roster *roster, struct roster_entry *entry)
{
    if (entry->over)
        return false;
    return entry->ttl_ms == 0 ||
           host_life_step(&entry->life, HOST_TICK, clock_boottime(roster->clock), 0) != HOST_DEAD;
}

static void note_end(struct roster *roster, const struct roster_entry *entry)
{
    if (entry->ttl_ms != 0 && entry->life.until < roster->soonest)
        roster->soonest = entry->life.until;
}

static void step(struct roster *roster, struct roster_entry *entry, enum host_event event,
                 int64_t grace)
{
    entry->life.ttl = entry->ttl_ms * NS_PER_MS;
    host_life_step(&entry->life, event, clock_boottime(roster->clock), grace);
    note_end(roster, entry);
}

/* Nobody calls the listener of `host` any more. From its listener itself there is nothing to wait for. */
static void wait_idle(struct roster *roster, uint64_t host)
{
    if (roster->has_teller && pthread_equal(roster->teller, pthread_self()))
        return;
    while (roster->calling == host)
        pthread_cond_wait(&roster->idle, &roster->lock);
}

static void drop(struct roster *roster, struct roster_entry *entry)
{
    htable_remove(&roster->entries, &entry->node);
    roster->own -= entry->own;
    roster->newcomers -= entry->is_new;
    free(entry);
}

static int fenced(uint64_t host, struct hf_error *err)
{
    return hf_fail(err, HF_FENCED, "host session %llu is not alive", (unsigned long long)host);
}

/* --- coming and going ----------------------------------------------------------------------------- */

/* The entry of an own host: the one that it has, or a new one. */
static struct roster_entry *take_in(struct roster *roster, uint64_t host)
{
    struct roster_entry *entry = find(roster, host);

    if (entry && entry->own)
        return entry;
    if (entry)
        drop(roster, entry);
    entry = calloc(1, sizeof *entry);
    if (!entry || htable_insert(&roster->entries, &entry->node, htable_hash_u64(host)) != HF_OK) {
        free(entry);
        return NULL;
    }
    entry->host = host;
    entry->own = true;
    roster->own++;
    return entry;
}

int roster_admit(struct roster *roster, const struct roster_guest *guest, struct hf_error *err)
{
    struct roster_entry *entry;

    pthread_mutex_lock(&roster->lock);
    wait_idle(roster, guest->host);
    entry = take_in(roster, guest->host);
    if (entry) {
        entry->ttl_ms = guest->ttl_ms;
        entry->listener = guest->listener ? *guest->listener : (struct store_listener){0};
        entry->cursor = guest->cursor;
        roster->newcomers += !entry->is_new;
        entry->is_new = true;
        entry->resumed = guest->resumed;
        if (entry->ttl_ms != 0)
            step(roster, entry, HOST_REGISTERED, 0);
    }
    pthread_mutex_unlock(&roster->lock);
    return entry ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");
}

void roster_bury(struct roster *roster, uint64_t host)
{
    struct roster_entry *entry;

    pthread_mutex_lock(&roster->lock);
    entry = find_own(roster, host);
    if (entry)
        entry->over = true;
    pthread_mutex_unlock(&roster->lock);
}

bool roster_remove(struct roster *roster, uint64_t host)
{
    struct roster_entry *entry;
    bool own;

    pthread_mutex_lock(&roster->lock);
    entry = find(roster, host);
    if (entry) {
        entry->over = true; /* the waiting is done without the lock */
        entry->listener = (struct store_listener){0};
        wait_idle(roster, host);
        entry = find(roster, host);
    }
    own = entry && entry->own;
    if (entry)
        drop(roster, entry);
    pthread_mutex_unlock(&roster->lock);
    return own;
}

/* --- alive or dead -------------------------------------------------------------------------------- */

enum roster_view roster_look(struct roster *roster, uint64_t host)
{
    enum roster_view view = ROSTER_FOREIGN;
    struct roster_entry *entry;

    pthread_mutex_lock(&roster->lock);
    entry = find_own(roster, host);
    if (entry)
        view = is_alive(roster, entry) ? ROSTER_ALIVE : ROSTER_DEAD;
    pthread_mutex_unlock(&roster->lock);
    return view;
}

int64_t roster_until(struct roster *roster, uint64_t host)
{
    struct roster_entry *entry;
    int64_t until = 0;

    pthread_mutex_lock(&roster->lock);
    entry = find(roster, host);
    if (entry && entry->ttl_ms != 0)
        until = entry->life.until;
    pthread_mutex_unlock(&roster->lock);
    return until;
}

int64_t roster_deadline(struct roster *roster, uint64_t host)
{
    struct roster_entry *entry;
    int64_t deadline = 0;

    pthread_mutex_lock(&roster->lock);
    entry = find_own(roster, host);
    if (entry && is_alive(roster, entry))
        deadline = entry->ttl_ms != 0 ? entry->life.until - entry->life.ttl / 10 : INT64_MAX;
    pthread_mutex_unlock(&roster->lock);
    return deadline;
}

/* With the lock held: the entry of one that was found without its process, from now on or before. */
static struct roster_entry *find_lost(struct roster *roster, uint64_t host, uint32_t ttl_ms,
                                      uint64_t resumed)
{
    struct roster_entry *entry = find(roster, host);

    if (entry && (entry->own || entry->found == resumed))
        return entry;
    if (entry) /* it has been back meanwhile */
        drop(roster, entry);
    entry = calloc(1, sizeof *entry);
    if (!entry || htable_insert(&roster->entries, &entry->node, htable_hash_u64(host)) != HF_OK) {
        free(entry);
        return NULL;
    }
    entry->host = host;
    entry->ttl_ms = ttl_ms;
    entry->found = resumed;
    step(roster, entry, HOST_FOUND, 0);
    return entry;
}

bool roster_grace(struct roster *roster, uint64_t host, uint32_t ttl_ms, uint64_t resumed)
{
    struct roster_entry *entry;
    bool alive = true; /* one that cannot be noted is taken for alive */

    pthread_mutex_lock(&roster->lock);
    entry = find_lost(roster, host, ttl_ms, resumed);
    if (entry)
        alive = is_alive(roster, entry);
    pthread_mutex_unlock(&roster->lock);
    return alive;
}

void roster_verify(struct roster *roster, uint64_t host, uint64_t epoch)
{
    struct roster_entry *entry;

    pthread_mutex_lock(&roster->lock);
    entry = find_own(roster, host);
    if (entry)
        entry->epoch = epoch;
    pthread_mutex_unlock(&roster->lock);
}

bool roster_is_verified(struct roster *roster, uint64_t host, uint64_t epoch)
{
    struct roster_entry *entry;
    bool verified;

    pthread_mutex_lock(&roster->lock);
    entry = find_own(roster, host);
    verified = entry && entry->epoch == epoch;
    pthread_mutex_unlock(&roster->lock);
    return verified;
}

int roster_hear(struct roster *roster, uint64_t host, struct hf_error *err)
{
    struct roster_entry *entry;
    bool alive;

    pthread_mutex_lock(&roster->lock);
    entry = find_own(roster, host);
    alive = entry && is_alive(roster, entry);
    if (alive && entry->ttl_ms != 0)
        step(roster, entry, HOST_HEARD, 0);
    pthread_mutex_unlock(&roster->lock);
    return alive ? HF_OK : fenced(host, err);
}

int roster_cut(struct roster *roster, uint64_t host, uint32_t grace_ms, struct hf_error *err)
{
    struct roster_entry *entry;
    bool alive;

    pthread_mutex_lock(&roster->lock);
    assert(!roster->has_teller || !pthread_equal(roster->teller, pthread_self()));
    entry = find_own(roster, host);
    alive = entry && is_alive(roster, entry);
    if (alive && entry->ttl_ms == 0) {
        pthread_mutex_unlock(&roster->lock);
        return hf_fail(err, HF_INVAL, "host session %llu ends with this handle of the store alone",
                       (unsigned long long)host);
    }
    if (entry)
        entry->listener = (struct store_listener){0};
    if (alive)
        step(roster, entry, HOST_CUT,
             (grace_ms < entry->ttl_ms ? grace_ms : entry->ttl_ms) * NS_PER_MS);
    wait_idle(roster, host);
    pthread_mutex_unlock(&roster->lock);
    return alive ? HF_OK : fenced(host, err);
}

/* --- all of them ---------------------------------------------------------------------------------- */

size_t roster_count(struct roster *roster)
{
    size_t n;

    pthread_mutex_lock(&roster->lock);
    n = roster->own;
    pthread_mutex_unlock(&roster->lock);
    return n;
}

struct roster_list {
    uint64_t *hosts;
    size_t n;
    bool all;
};

static void list_one(struct hnode *node, void *arg)
{
    struct roster_entry *entry = HTABLE_ENTRY(node, struct roster_entry, node);
    struct roster_list *list = arg;

    if (entry->own && (list->all || entry->ttl_ms == 0))
        list->hosts[list->n++] = entry->host;
}

int roster_list(struct roster *roster, bool all, uint64_t **ret_hosts, size_t *ret_n)
{
    struct roster_list list = {.all = all};

    pthread_mutex_lock(&roster->lock);
    list.hosts = calloc(roster->own + 1, sizeof *list.hosts);
    if (list.hosts)
        htable_each(&roster->entries, list_one, &list);
    pthread_mutex_unlock(&roster->lock);
    if (!list.hosts)
        return HF_NOMEM;
    *ret_hosts = list.hosts;
    *ret_n = list.n;
    return HF_OK;
}

int64_t roster_soonest(struct roster *roster)
{
    int64_t soonest;

    pthread_mutex_lock(&roster->lock);
    soonest = roster->soonest;
    pthread_mutex_unlock(&roster->lock);
    return soonest;
}

static void count_one(struct hnode *node, void *arg)
{
    struct roster_entry *entry = HTABLE_ENTRY(node, struct roster_entry, node);
    struct roster *roster = arg;

    if (is_alive(roster, entry))
        note_end(roster, entry);
}

void roster_recount(struct roster *roster)
{
    pthread_mutex_lock(&roster->lock);
    roster->soonest = INT64_MAX;
    htable_each(&roster->entries, count_one, roster);
    pthread_mutex_unlock(&roster->lock);
}

/* --- the thread that tells -------------------------------------------------------------------------- */

void roster_set_teller(struct roster *roster, pthread_t teller)
{
    pthread_mutex_lock(&roster->lock);
    roster->teller = teller;
    roster->has_teller = true;
    pthread_mutex_unlock(&roster->lock);
}

void roster_call(struct roster *roster, uint64_t host, uint64_t id, const struct store_event *event)
{
    struct store_listener listener = {0};
    struct roster_entry *entry;

    pthread_mutex_lock(&roster->lock);
    entry = find_own(roster, host);
    if (entry && (id == 0 || id > entry->cursor))
        listener = entry->listener;
    if (listener.event)
        roster->calling = host;
    pthread_mutex_unlock(&roster->lock);
    if (!listener.event)
        return;
    listener.event(event, listener.arg);
    pthread_mutex_lock(&roster->lock);
    roster->calling = 0;
    pthread_cond_broadcast(&roster->idle);
    pthread_mutex_unlock(&roster->lock);
}

bool roster_concerns(struct roster *roster, uint64_t host, uint64_t id)
{
    struct roster_entry *entry;
    bool concerns;

    pthread_mutex_lock(&roster->lock);
    entry = find_own(roster, host);
    concerns = entry && id > entry->cursor;
    pthread_mutex_unlock(&roster->lock);
    return concerns;
}

struct newcomer {
    struct roster_entry *entry;
};

static void find_new(struct hnode *node, void *arg)
{
    struct roster_entry *entry = HTABLE_ENTRY(node, struct roster_entry, node);
    struct newcomer *newcomer = arg;

    if (entry->own && entry->is_new)
        newcomer->entry = entry;
}

uint64_t roster_next_new(struct roster *roster, bool *ret_resumed)
{
    struct newcomer newcomer = {0};
    uint64_t host = 0;

    pthread_mutex_lock(&roster->lock);
    if (roster->newcomers > 0)
        htable_each(&roster->entries, find_new, &newcomer);
    if (newcomer.entry) {
        roster->newcomers--;
        newcomer.entry->is_new = false;
        *ret_resumed = newcomer.entry->resumed;
        host = newcomer.entry->host;
    }
    pthread_mutex_unlock(&roster->lock);
    return host;
}
