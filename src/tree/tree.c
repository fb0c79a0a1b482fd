/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/tree.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tree/commit.h"
#include "tree/evict.h"
#include "tree/lease.h"
#include "tree/table.h"

#define DEFAULT_MEMORY (256U << 20)
#define DEFAULT_COMMIT_DELAY_MS 100
#define FIRST_VIEW_SID (1U << 23)
/** So long the end of a mount waits for a store that cannot take lost work just now. */
#define CLOSE_PATIENCE_NS 5000000000LL

/** What is borrowed becomes our own; it is for messages, and may be left out for want of memory. */
static void copy_string(const char **string)
{
    if (*string)
        *string = strdup(*string);
}

static struct tree *tree_new(struct store *store, const struct tree_options *options)
{
    struct tree *tree = calloc(1, sizeof *tree);

    if (!tree)
        return NULL;
    tree->store = store;
    tree->options = *options;
    tree->options.read_only |= store_info(store)->read_only;
    tree->options.claim_patterns = NULL; /* borrowed for the call; see below */
    tree->host_name = strdup(options->identity.host_name ? options->identity.host_name : "");
    tree->options.identity.host_name = tree->host_name;
    copy_string(&tree->options.identity.mount_point);
    copy_string(&tree->options.identity.principal);
    if (tree->options.memory_limit == 0)
        tree->options.memory_limit = DEFAULT_MEMORY;
    if (tree->options.commit_delay_ms == 0)
        tree->options.commit_delay_ms = DEFAULT_COMMIT_DELAY_MS;
    tree->clock = options->clock ? options->clock : &clock_system;
    tree->next_view = FIRST_VIEW_SID;
    pthread_mutex_init(&tree->top_lock, NULL);
    pthread_mutex_init(&tree->create_lock, NULL);
    pthread_mutex_init(&tree->lock, NULL);
    timer_init(tree);
    spiller_init(tree);
    filelocks_init(&tree->filelocks);
    leasewaits_init(&tree->leasewaits);
    tree->cache = blob_cache_new(store, tree->options.memory_limit / 4);
    evict_init(tree);
    tree->locks = lock_table_new();
    tree->claims = claims_new(options->claim_patterns);
    return tree;
}

/* --- events ------------------------------------------------------------------------------------ */

/**
 * The store may call its listener until it is closed, which is after the tree is gone. What it calls is
 * this, which outlives the tree and stays reachable.
 */
struct relay {
    struct store_listener listener;
    pthread_mutex_t lock;
    struct tree *tree; /* lock; NULL when it is gone */
    struct relay *next;
};

static pthread_mutex_t relays_lock = PTHREAD_MUTEX_INITIALIZER;
static struct relay *relays; /* relays_lock: all that were ever made */

static void relay_event(const struct store_event *event, void *arg)
{
    struct relay *relay = arg;

    pthread_mutex_lock(&relay->lock);
    if (relay->tree)
        worker_event(event, relay->tree);
    pthread_mutex_unlock(&relay->lock);
}

static int relay_new(struct tree *tree, struct hf_error *err)
{
    struct relay *relay = calloc(1, sizeof *relay);

    if (!relay)
        return hf_fail(err, HF_NOMEM, "out of memory");
    pthread_mutex_init(&relay->lock, NULL);
    relay->tree = tree;
    relay->listener =
        (struct store_listener){.event = relay_event, .arg = relay, .heads_once = true};
    pthread_mutex_lock(&relays_lock);
    relay->next = relays;
    relays = relay;
    pthread_mutex_unlock(&relays_lock);
    tree->relay = relay;
    return HF_OK;
}

static void relay_cut(struct tree *tree)
{
    if (!tree->relay)
        return;
    pthread_mutex_lock(&tree->relay->lock);
    tree->relay->tree = NULL;
    pthread_mutex_unlock(&tree->relay->lock);
}

/* --- the tree ---------------------------------------------------------------------------------- */

static void free_session_node(struct hnode *node, void *arg)
{
    (void)arg;
    session_free(HTABLE_ENTRY(node, struct session, node));
}

static void tree_free(struct tree *tree)
{
    leasewaits_clear(tree);
    htable_each(&tree->sessions, free_session_node, NULL);
    htable_free(&tree->sessions);
    negatives_free(negatives_take(&tree->negatives));
    filelocks_clear(tree);
    lock_table_free(tree->locks);
    claims_free(tree->claims);
    blob_cache_free(tree->cache);
    free(tree->host_name);
    free((char *)tree->options.identity.mount_point);
    free((char *)tree->options.identity.principal);
    timer_release(tree);
    spiller_release(tree);
    pthread_mutex_destroy(&tree->top_lock);
    pthread_mutex_destroy(&tree->create_lock);
    pthread_mutex_destroy(&tree->lock);
    free(tree);
}

static int count_other(const struct host_info *info, void *arg)
{
    struct tree *tree = arg;

    if (info->alive && info->host != tree_host(tree))
        atomic_fetch_add(&tree->other_hosts, 1);
    return HF_OK;
}

static int load_shared(struct tree *tree, struct hf_error *err)
{
    int rc = table_get(tree, SHARED_SID, &tree->shared);

    if (rc != HF_OK)
        return hf_fail(err, rc, "out of memory");
    pthread_mutex_lock(&tree->shared->lock);
    rc = session_reload(tree->shared, err);
    pthread_mutex_unlock(&tree->shared->lock);
    return rc;
}

int tree_register(struct tree *tree, struct hf_error *err)
{
    uint64_t host;
    int rc = store_host_register(tree->store, &tree->options.identity, &tree->relay->listener,
                                 &host, err);

    if (rc != HF_OK)
        return rc;
    tree->options.identity.incarnation++; /* for the next time */
    atomic_store(&tree->host, host);
    return HF_OK;
}

static int register_host(struct tree *tree, struct hf_error *err)
{
    int rc = relay_new(tree, err);

    if (rc == HF_OK)
        rc = tree_register(tree, err);
    if (rc == HF_OK) /* until the first event tells */
        rc = store_host_list(tree->store, count_other, tree, err);
    if (rc == HF_OK)
        tree->distant = store_host_deadline(tree->store, tree_host(tree)) != INT64_MAX;
    return rc;
}

bool tree_is_distant(const struct tree *tree)
{
    return tree->distant;
}

void tree_report(struct tree *tree, const char *format, ...)
{
    char sentence[512];
    va_list args;

    if (!tree->options.report)
        return;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    tree->options.report(sentence);
}

int tree_open(struct store *store, const struct tree_options *options, struct tree **ret_tree,
              struct hf_error *err)
{
    struct tree *tree = tree_new(store, options);
    int rc;

    if (!tree)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = HF_NOMEM;
    if (!tree->host_name || !tree->cache || !tree->locks || !tree->claims) {
        hf_fail(err, rc, "out of memory");
        goto out;
    }
    rc = worker_start(tree);
    if (rc == HF_OK)
        rc = timer_start(tree);
    if (rc != HF_OK) {
        hf_fail(err, rc, "cannot start a thread");
        goto out;
    }
    if (store_info(store)->read_only)
        atomic_store(&tree->other_hosts, 1); /* nobody tells: others are taken to be about */
    else
        rc = register_host(tree, err);
    if (rc == HF_OK)
        rc = load_shared(tree, err);
out:
    if (rc == HF_OK) {
        *ret_tree = tree;
        return HF_OK;
    }
    relay_cut(tree);
    timer_stop(tree);
    spiller_stop(tree);
    worker_stop(tree);
    tree_free(tree);
    return rc;
}

struct commit_all {
    bool sync;
    int status;     /* the first failure */
    unsigned more;  /* failures beyond it */
    char name[300]; /* of the session that failed first */
};

/** What a message calls a session. */
static void describe(struct session *session, char *text, size_t size)
{
    pthread_mutex_lock(&session->lock);
    if (session->sid == SHARED_SID)
        snprintf(text, size, "the shared tree");
    else if (session->name)
        snprintf(text, size, "session %s", session->name);
    else
        snprintf(text, size, "session number %llu", (unsigned long long)session->sid);
    pthread_mutex_unlock(&session->lock);
}

static void note_failure(struct commit_all *all, struct session *session, int status)
{
    if (all->status != HF_OK) {
        all->more++;
        return;
    }
    all->status = status;
    describe(session, all->name, sizeof all->name);
}

static int commit_one(struct session *session, void *arg)
{
    struct commit_all *all = arg;
    int rc = session_commit_all(session, all->sync);

    if (rc != HF_OK)
        note_failure(all, session, rc);
    return HF_OK;
}

static int fail_all(const struct commit_all *all, const char *what, struct hf_error *err)
{
    if (all->more > 0)
        return hf_fail(err, all->status, "%s of %s and %u more: %s", what, all->name, all->more,
                       hf_status_text(all->status));
    return hf_fail(err, all->status, "%s of %s: %s", what, all->name, hf_status_text(all->status));
}

int tree_commit_all(struct tree *tree, bool sync, struct hf_error *err)
{
    struct commit_all all = {.sync = sync};
    int rc = table_each(tree, commit_one, &all);

    if (all.status != HF_OK)
        return fail_all(&all, "not everything could be committed", err);
    /* Sessions that are not in memory any more may have been committed without a sync. */
    if (rc == HF_OK && sync)
        rc = store_sync(tree->store, NULL);
    if (rc != HF_OK)
        hf_fail(err, rc, "not everything could be committed: %s", hf_status_text(rc));
    return rc;
}

/* --- the end ------------------------------------------------------------------------------------ */

/** Whether what failed now may succeed in a moment. */
static bool passes(int status)
{
    return status == HF_TIMEOUT || status == HF_BUSY || status == HF_AGAIN || status == HF_FENCED ||
           status == HF_NOMEM;
}

static int keep_one(struct session *session, void *arg)
{
    struct commit_all *all = arg;
    int rc = session_keep(session);

    if (rc != HF_OK)
        note_failure(all, session, rc);
    return HF_OK;
}

/** Saves the work of sessions that are lost or have failed; what has to wait is given CLOSE_PATIENCE_NS. */
static int keep_all(struct tree *tree, struct hf_error *err)
{
    const struct timespec pause = {.tv_nsec = 50000000};
    int64_t until = timer_now() + CLOSE_PATIENCE_NS;
    struct commit_all all;

    for (;;) {
        all = (struct commit_all){0};
        table_each(tree, keep_one, &all);
        if (!passes(all.status) || timer_now() >= until)
            break;
        nanosleep(&pause, NULL);
    }
    if (all.status != HF_OK)
        return fail_all(&all, "work was lost that could neither be committed nor kept", err);
    if (atomic_load(&tree->abandoned) > 0)
        return hf_fail(err, HF_MISSING, "work of %u sessions was lost that exist no more",
                       atomic_load(&tree->abandoned));
    return HF_OK;
}

static int release_one(struct session *session, void *arg)
{
    (void)arg;
    lease_give_back(session);
    return HF_OK;
}

int tree_close(struct tree *tree, struct hf_error *err)
{
    struct hf_error lost = {0};
    int rc, kept;

    if (!tree)
        return HF_OK;
    atomic_store(&tree->closing, true);
    timer_stop(tree);
    spiller_stop(tree);
    rc = tree_commit_all(tree, true, err);
    kept = keep_all(tree, &lost);
    if (kept != HF_OK)
        rc = hf_fail(err, kept, "%s", lost.message);
    table_each(tree, release_one, NULL);
    relay_cut(tree);
    worker_stop(tree);
    tree_free(tree);
    return rc;
}

static int sum_session(struct session *session, void *arg)
{
    struct tree_stats *stats = arg;

    pthread_mutex_lock(&session->lock);
    stats->sessions_loaded += session->loaded && session->sid != SHARED_SID;
    stats->inodes += session->inodes.count;
    pthread_mutex_unlock(&session->lock);
    return HF_OK;
}

void tree_stats(struct tree *tree, struct tree_stats *ret_stats)
{
    struct tree_stats stats = {0};

    table_each(tree, sum_session, &stats);
    stats.commits = atomic_load(&tree->commits);
    stats.dirty_bytes = atomic_load(&tree->dirty_bytes);
    stats.memory_bytes = stats.dirty_bytes + stats.inodes * sizeof(struct inode) +
                         stats.sessions_loaded * sizeof(struct session);
    blob_cache_counts(tree->cache, &stats.blob_hits, &stats.blob_misses);
    *ret_stats = stats;
}
