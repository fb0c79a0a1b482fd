/* SPDX-License-Identifier: Apache-2.0 */
#include "server/quota.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/htable.h"

struct quota {
    struct hnode node;
    char *name;
    unsigned connections;
    uint64_t in_flight;
    struct quota_share *shares; /* of the connections that are there */
};

struct quotas {
    unsigned max_connections;
    uint64_t max_in_flight;
    pthread_mutex_t lock; /**< guards what follows; connections' own locks are taken under it */
    struct htable table;  /* of quotas, by name */
};

static uint64_t hash_name(const char *name)
{
    uint64_t hash = 0;

    for (; *name; name++)
        hash = htable_hash_u64(hash ^ (uint8_t)*name);
    return hash;
}

int quotas_new(unsigned max_connections, uint64_t max_in_flight, struct quotas **ret_quotas,
               struct hf_error *err)
{
    struct quotas *quotas = calloc(1, sizeof *quotas);

    if (!quotas)
        return hf_fail(err, HF_NOMEM, "out of memory");
    quotas->max_connections = max_connections;
    quotas->max_in_flight = max_in_flight;
    pthread_mutex_init(&quotas->lock, NULL);
    *ret_quotas = quotas;
    return HF_OK;
}

static void free_quota(struct hnode *node, void *arg)
{
    struct quota *quota = HTABLE_ENTRY(node, struct quota, node);

    (void)arg;
    free(quota->name);
    free(quota);
}

void quotas_free(struct quotas *quotas)
{
    if (!quotas)
        return;
    htable_each(&quotas->table, free_quota, NULL);
    htable_free(&quotas->table);
    pthread_mutex_destroy(&quotas->lock);
    free(quotas);
}

static struct quota *find(struct quotas *quotas, const char *name, uint64_t hash)
{
    struct hnode *node = htable_find(&quotas->table, hash);

    while (node && strcmp(HTABLE_ENTRY(node, struct quota, node)->name, name) != 0)
        node = htable_next(node);
    return node ? HTABLE_ENTRY(node, struct quota, node) : NULL;
}

static struct quota *find_or_add(struct quotas *quotas, const char *name)
{
    uint64_t hash = hash_name(name);
    struct quota *quota = find(quotas, name, hash);

    if (quota)
        return quota;
    quota = calloc(1, sizeof *quota);
    if (!quota)
        return NULL;
    quota->name = strdup(name);
    if (!quota->name || htable_insert(&quotas->table, &quota->node, hash) != HF_OK) {
        free(quota->name);
        free(quota);
        return NULL;
    }
    return quota;
}

static void drop_unused(struct quotas *quotas, struct quota *quota)
{
    if (quota->connections > 0 || quota->in_flight > 0)
        return;
    htable_remove(&quotas->table, &quota->node);
    free_quota(&quota->node, NULL);
}

int quota_enter(struct quotas *quotas, const char *name, struct wire_conn *conn,
                struct quota_share *share, struct hf_error *err)
{
    struct quota *quota;
    int rc = HF_OK;

    pthread_mutex_lock(&quotas->lock);
    quota = find_or_add(quotas, name);
    if (!quota) {
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    } else if (quota->connections >= quotas->max_connections) {
        rc = hf_fail(err, HF_AGAIN, "%s has %u connections already, which is the limit", name,
                     quota->connections);
    } else {
        quota->connections++;
        *share = (struct quota_share){.quota = quota, .conn = conn, .next = quota->shares};
        quota->shares = share;
    }
    pthread_mutex_unlock(&quotas->lock);
    return rc;
}

void quota_leave(struct quotas *quotas, struct quota_share *share)
{
    struct quota *quota;
    struct quota_share **link;

    pthread_mutex_lock(&quotas->lock);
    quota = share->quota;
    if (quota) {
        for (link = &quota->shares; *link != share; link = &(*link)->next)
            ;
        *link = share->next;
        share->quota = NULL;
        quota->connections--;
        drop_unused(quotas, quota);
    }
    pthread_mutex_unlock(&quotas->lock);
}

struct quota *quota_take(struct quotas *quotas, struct quota_share *share, uint64_t size)
{
    struct quota *quota;

    pthread_mutex_lock(&quotas->lock);
    quota = share->quota;
    if (quota) {
        quota->in_flight += size;
        if (quota->in_flight > quotas->max_in_flight && !share->paused) {
            share->paused = true;
            wire_conn_pause(share->conn);
        }
    }
    pthread_mutex_unlock(&quotas->lock);
    return quota;
}

static void resume_all(struct quota *quota)
{
    for (struct quota_share *share = quota->shares; share; share = share->next) {
        if (!share->paused)
            continue;
        share->paused = false;
        wire_conn_resume(share->conn);
    }
}

void quota_give(struct quotas *quotas, struct quota *quota, uint64_t size)
{
    if (!quota)
        return;
    pthread_mutex_lock(&quotas->lock);
    quota->in_flight -= size;
    if (quota->in_flight <= quotas->max_in_flight / 2)
        resume_all(quota);
    drop_unused(quotas, quota);
    pthread_mutex_unlock(&quotas->lock);
}
