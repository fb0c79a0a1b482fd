/* SPDX-License-Identifier: Apache-2.0 */
#include "audit_log.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/thread.h"
#include "lease_text.h"

/* How often it looks. */
#define LOOK_EVERY_S 1
/* So many entries of one look are written; the rest comes with the next. */
#define GATHERED_MAX 256

struct followed {
    struct followed *next;
    struct store *store;
    struct audit_names *names;
    uint64_t from; /* id of the next entry */
    bool learned;  /* names were read in this look */
    bool begun;
    char tenant[];
};

struct audit_log {
    pthread_t thread;
    bool running;
    pthread_mutex_t lock; /* guards what follows; not held while a store is called */
    pthread_cond_t wake;
    bool stop;
    struct followed *stores; /* only ever added to at the front */
};

/* A visit cannot ask the store for names. */
struct gathered {
    struct audit_entry entries[GATHERED_MAX];
    size_t count;
    uint64_t next;
};

static int gather(const struct audit_entry *entry, void *arg)
{
    struct gathered *gathered = arg;
    struct audit_entry *copy = &gathered->entries[gathered->count];

    *copy = *entry;
    copy->detail = entry->detail ? strdup(entry->detail) : NULL;
    gathered->next = entry->id + 1;
    return ++gathered->count == GATHERED_MAX;
}

static enum log_level level_of(enum audit_event event)
{
    switch (event) {
    case AUDIT_BREAK:
    case AUDIT_FENCED:
    case AUDIT_TAKEOVER:
    case AUDIT_RESCUE:
    case AUDIT_RENEWAL_FAILED:
        return LOG_LEVEL_WARN;
    default:
        return LOG_LEVEL_INFO;
    }
}

/* Once in a look: what was purged is never found, and reading them all for each such entry would not end. */
static void learn_names(struct followed *followed, const struct audit_entry *entry)
{
    if (followed->learned || (followed->names && audit_session_name(followed->names, entry->sid) &&
                              (entry->host == 0 || audit_host_name(followed->names, entry->host))))
        return;
    followed->learned = true;
    audit_names_free(followed->names);
    followed->names = NULL;
    (void)audit_names_load(followed->store, &followed->names, NULL);
}

static void tell(struct followed *followed, const struct audit_entry *entry)
{
    struct log_fields fields = {.tenant = followed->tenant, .token = entry->token};
    struct session_head head;

    learn_names(followed, entry);
    if (followed->names) {
        fields.session = audit_session_name(followed->names, entry->sid);
        fields.host = audit_host_name(followed->names, entry->host);
    }
    if (store_session_head(followed->store, entry->sid, &head, NULL) == HF_OK)
        fields.version = head.version;
    log_event(level_of(entry->event), &fields, "lease of %s: %s, token %" PRIu64 "%s%s%s%s",
              fields.session ? fields.session : "a session", audit_event_text(entry->event),
              entry->token, fields.host ? ", host " : "", fields.host ? fields.host : "",
              entry->detail ? ": " : "", entry->detail ? entry->detail : "");
}

/* Passes over what was there before. */
static int skip(const struct audit_entry *entry, void *arg)
{
    *(uint64_t *)arg = entry->id + 1;
    return HF_OK;
}

static void look(struct followed *followed)
{
    struct gathered gathered = {.next = followed->from};

    if (!followed->begun) {
        followed->begun = store_audit(followed->store, UINT64_MAX, followed->from, skip,
                                      &followed->from, NULL) == HF_OK;
        return;
    }
    (void)store_audit(followed->store, UINT64_MAX, followed->from, gather, &gathered, NULL);
    followed->from = gathered.next;
    followed->learned = false;
    for (size_t i = 0; i < gathered.count; i++) {
        tell(followed, &gathered.entries[i]);
        free((char *)gathered.entries[i].detail);
    }
}

static void *run(void *arg)
{
    struct audit_log *log = arg;
    struct followed *first;
    struct timespec until;

    pthread_mutex_lock(&log->lock);
    while (!log->stop) {
        first = log->stores;
        pthread_mutex_unlock(&log->lock);
        for (struct followed *followed = first; followed; followed = followed->next)
            look(followed);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec += LOOK_EVERY_S;
        pthread_mutex_lock(&log->lock);
        if (!log->stop)
            pthread_cond_timedwait(&log->wake, &log->lock, &until);
    }
    pthread_mutex_unlock(&log->lock);
    return NULL;
}

int audit_log_new(struct audit_log **ret_log, struct hf_error *err)
{
    struct audit_log *log = calloc(1, sizeof *log);

    if (!log)
        return hf_fail(err, HF_NOMEM, "out of memory");
    pthread_mutex_init(&log->lock, NULL);
    pthread_cond_init(&log->wake, NULL);
    *ret_log = log;
    return HF_OK;
}

void audit_log_add(struct audit_log *log, const char *tenant, struct store *store)
{
    size_t len = strlen(tenant) + 1;
    struct followed *followed = calloc(1, sizeof *followed + len);

    if (!followed)
        return;
    memcpy(followed->tenant, tenant, len);
    followed->store = store;
    pthread_mutex_lock(&log->lock);
    followed->next = log->stores;
    log->stores = followed;
    pthread_mutex_unlock(&log->lock);
}

int audit_log_start(struct audit_log *log, struct hf_error *err)
{
    int rc = thread_start(&log->thread, run, log, err);

    log->running = rc == HF_OK;
    return rc;
}

void audit_log_free(struct audit_log *log)
{
    struct followed *followed;

    if (!log)
        return;
    pthread_mutex_lock(&log->lock);
    log->stop = true;
    pthread_cond_signal(&log->wake);
    pthread_mutex_unlock(&log->lock);
    if (log->running)
        pthread_join(log->thread, NULL);
    while ((followed = log->stores)) {
        log->stores = followed->next;
        audit_names_free(followed->names);
        free(followed);
    }
    pthread_cond_destroy(&log->wake);
    pthread_mutex_destroy(&log->lock);
    free(log);
}
