/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/remote/engine.h"

#include <assert.h>
#include <stdlib.h>

#define CLOSE_WAIT_MS 1000 /* for the good-bye of the host session */

static void remote_close(struct store *store);

static const struct store_ops remote_ops = {
    .name = "remote",
    .close = remote_close,
    .put = remote_put,
    .get = remote_get,
    .missing = remote_missing,
    .session_list = remote_session_list,
    .session_find = remote_session_find,
    .session_head = remote_session_head,
    .session_create = remote_session_create,
    .session_rename = remote_session_rename,
    .session_delete = remote_session_delete,
    .session_undelete = remote_session_undelete,
    .session_purge = remote_session_purge,
    .commit = remote_commit,
    .sync = remote_sync,
    .history = remote_history,
    .history_drop = remote_history_drop,
    .rescue = remote_rescue,
    .rescue_list = remote_rescue_list,
    .rescue_drop = remote_rescue_drop,
    .host_register = remote_host_register,
    .host_heartbeat = remote_host_heartbeat,
    .host_end = remote_host_end,
    .host_deadline = remote_deadline,
    .away_since = remote_away_since,
    .host_list = remote_host_list,
    .lease_acquire = remote_lease_acquire,
    .lease_ask = remote_lease_ask,
    .lease_withdraw = remote_lease_withdraw,
    .lease_release = remote_lease_release,
    .lease_refuse = remote_lease_refuse,
    .lease_break = remote_lease_break,
    .lease_list = remote_lease_list,
    .audit = remote_audit,
    .lock_set = remote_lock_set,
    .lock_test = remote_lock_test,
    .snapshot_create = remote_snapshot_create,
    .snapshot_list = remote_snapshot_list,
    .snapshot_delete = remote_snapshot_delete,
    .snapshot_pins = remote_snapshot_pins,
    .roots = remote_roots,
    .session_receive = remote_session_receive,
    .rescue_receive = remote_rescue_receive,
    .snapshot_receive = remote_snapshot_receive,
    .setting_get = remote_setting_get,
    .setting_set = remote_setting_set,
    .collect = remote_collect,
    .mend = remote_mend,
    .stats = remote_stats,
    .check = remote_check_store,
};

struct remote_store *remote_store_of(struct store *store)
{
    assert(store->ops == &remote_ops);
    return (struct remote_store *)store;
}

/* --- opening and closing ---------------------------------------------------------------------------- */

static void remote_free(struct remote_store *remote)
{
    asks_release(&remote->asks, &remote->link);
    stash_release(&remote->stash);
    link_stop(&remote->link);
    teller_stop(&remote->teller);
    tls_close(remote->tls);
    remote_address_release(&remote->address);
    pthread_mutex_destroy(&remote->copying);
    free(remote);
}

static int connect_to(struct remote_store *remote, const char *rest, const struct clock *clock,
                      struct hf_error *err)
{
    struct tls_files files = {0};
    int rc = remote_address_parse(rest, &remote->address, err);

    if (rc == HF_OK)
        rc = remote_address_files(&remote->address, &files, err);
    if (rc == HF_OK)
        rc = tls_open(&files, false, &remote->tls, err);
    if (rc == HF_OK)
        rc = link_start(&remote->link, clock, &remote->address, remote->tls, &remote->teller, err);
    return rc == HF_OK ? link_wait(&remote->link, err) : rc;
}

int remote_store_open(const char *rest, unsigned flags, const struct clock *clock,
                      struct store **ret_store, struct hf_error *err)
{
    struct remote_store *remote = calloc(1, sizeof *remote);
    int rc;

    if (!remote)
        return hf_fail(err, HF_NOMEM, "out of memory");
    remote->base.ops = &remote_ops;
    pthread_mutex_init(&remote->copying, NULL);
    teller_init(&remote->teller);
    asks_init(&remote->asks);
    stash_init(&remote->stash);
    rc = connect_to(remote, rest, clock, err);
    if (rc != HF_OK) {
        remote_free(remote);
        return rc;
    }
    remote->base.info = remote->link.welcome.info;
    remote->base.info.read_only |= (flags & STORE_READ_ONLY) != 0;
    remote_address_location(&remote->address, remote->base.info.location,
                            sizeof remote->base.info.location);
    *ret_store = &remote->base;
    return HF_OK;
}

/* Says good-bye for the host session, so that its leases are free at once; not for long. */
static void remote_close(struct store *store)
{
    struct remote_store *remote = remote_store_of(store);
    struct link *link = &remote->link;
    uint64_t host;

    pthread_mutex_lock(&link->mutex);
    link->closing = clock_boottime(link->clock) + CLOSE_WAIT_MS * 1000000LL;
    host = atomic_load(&link->host.number);
    pthread_mutex_unlock(&link->mutex);
    if (host != 0)
        (void)remote_host_end(store, host, NULL);
    remote_free(remote);
}

void remote_store_counters(struct store *store, struct remote_counters *ret_counters)
{
    struct remote_store *remote = remote_store_of(store);

    pthread_mutex_lock(&remote->link.mutex);
    *ret_counters = remote->link.counters;
    pthread_mutex_unlock(&remote->link.mutex);
}

/* --- asking ------------------------------------------------------------------------------------------ */

int remote_check(const Holdfast__Wire__Reply *reply, Holdfast__Wire__Reply__ResultCase expected,
                 struct hf_error *err)
{
    if (reply->status != 0)
        return wire_read_status(reply, err);
    if (reply->result_case != expected)
        return hf_fail(err, HF_IO, "the store's server answered something else than was asked");
    return HF_OK;
}

int remote_ask(struct store *store, Holdfast__Wire__Request *request, uint64_t host,
               Holdfast__Wire__Reply__ResultCase expected, Holdfast__Wire__Frame **ret_frame,
               struct hf_error *err)
{
    Holdfast__Wire__Frame *frame;
    int rc = link_ask(&remote_store_of(store)->link, request, host, &frame, err);

    if (rc != HF_OK)
        return rc;
    rc = remote_check(frame->reply, expected, err);
    if (rc == HF_OK && ret_frame)
        *ret_frame = frame;
    else
        holdfast__wire__frame__free_unpacked(frame, NULL);
    return rc;
}

Holdfast__Wire__Ahead *remote_wish(struct store *store, uint64_t sid, const char *name,
                                   struct remote_wish *wish)
{
    struct remote_store *remote = remote_store_of(store);

    if (!remote_host_lives(&remote->link.host))
        return NULL;
    holdfast__wire__ahead__init(&wish->message);
    stash_wish(&remote->stash, sid, name, &wish->known, &wish->message);
    return &wish->message;
}

void remote_received(struct store *store, const Holdfast__Wire__Reply *reply,
                     const struct session_head *head, const char *name)
{
    struct remote_store *remote = remote_store_of(store);

    if (!remote_host_lives(&remote->link.host))
        return;
    stash_receive(&remote->stash, &store->info.hasher, reply);
    stash_note(&remote->stash, head->sid, name, &head->root);
}

int remote_ask_number(struct store *store, Holdfast__Wire__Request *request, uint64_t host,
                      uint64_t *ret_number, struct hf_error *err)
{
    Holdfast__Wire__Frame *frame;
    int rc = remote_ask(store, request, host, HOLDFAST__WIRE__REPLY__RESULT_NUMBER, &frame, err);

    if (rc != HF_OK)
        return rc;
    *ret_number = frame->reply->number;
    holdfast__wire__frame__free_unpacked(frame, NULL);
    return HF_OK;
}
