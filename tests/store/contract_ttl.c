/* SPDX-License-Identifier: Apache-2.0 */
/* Host sessions with a TTL, while it lasts: resumed, replaced, detached, served by another handle. */
#include <string.h>

#include "contract.h"

#define TTL_MS 600000

static struct host_identity mortal(const char *host_name)
{
    struct host_identity identity = contract_identity(host_name);

    identity.ttl_ms = TTL_MS;
    identity.principal = host_name;
    return identity;
}

/* Opens host-d, which has a TTL, over the handle of host-a. */
static struct mount *join_a(struct fixture *fixture)
{
    struct host_identity identity = mortal("host-d");

    contract_join(&fixture->d, fixture->a.store, &identity);
    return &fixture->d;
}

static int ask(struct fixture *fixture, struct mount *mount, uint64_t sid, struct lease *ret_lease)
{
    int64_t again;

    return store_lease_ask(mount->store, mount->host, sid, 60000, ret_lease, &again, &fixture->err);
}

static void close_listener(struct mount *mount)
{
    pthread_mutex_lock(&mount->recorder.mutex);
    mount->recorder.closed = true;
    pthread_mutex_unlock(&mount->recorder.mutex);
}

static void the_same_identity_resumes_its_host_session(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = mortal("host-d");
    struct mount *d = join_a(fixture), *again = &fixture->c;
    struct lease lease = contract_session(fixture, d, "alpha", "one");

    contract_join(again, fixture->a.store, &identity);
    assert_int_equal(again->host, d->host);
    close_listener(d);
    recorder_wait(&again->recorder, EVENT_MISSED, 0);
    assert_int_equal(contract_commit(fixture, again, &lease, "two"), HF_OK);
    /* Its events come to the new listener. */
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, &lease), HF_PENDING);
    assert_int_equal(recorder_wait(&again->recorder, EVENT_LEASE_RECALLED, lease.sid).token,
                     lease.token);
}

static int note_ttl(const struct host_info *info, void *arg)
{
    struct host_info *found = arg;

    if (info->host == found->host)
        found->identity.ttl_ms = info->identity.ttl_ms;
    return 0;
}

static void a_resumed_one_may_have_another_ttl(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = mortal("host-d");
    struct mount *d = join_a(fixture), *again = &fixture->c;
    struct lease lease = contract_session(fixture, d, "alpha", "one");
    struct host_info found = {.host = d->host};

    identity.ttl_ms = TTL_MS / 2;
    contract_open_b(fixture);
    contract_join(again, fixture->b.store, &identity);
    assert_int_equal(again->host, d->host);
    assert_int_equal(store_host_list(again->store, note_ttl, &found, NULL), HF_OK);
    assert_int_equal(found.identity.ttl_ms, TTL_MS / 2);
    assert_int_equal(contract_commit(fixture, again, &lease, "two"), HF_OK);
    contract_assert_sound(again->store);
}

static void an_open_recall_is_told_again(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = mortal("host-d");
    struct mount *d = join_a(fixture), *again = &fixture->c;
    struct lease lease = contract_session(fixture, d, "alpha", "one"), next;
    struct lease idle = contract_session(fixture, d, "beta", "one");

    assert_int_equal(ask(fixture, &fixture->a, lease.sid, &next), HF_PENDING);
    recorder_wait(&d->recorder, EVENT_LEASE_RECALLED, lease.sid);
    assert_int_equal(store_host_detach(d->store, d->host, 60000, NULL), HF_OK);
    close_listener(d);
    contract_join(again, fixture->a.store, &identity);
    assert_int_equal(again->host, d->host);
    recorder_wait(&again->recorder, EVENT_MISSED, 0);
    assert_int_equal(recorder_wait(&again->recorder, EVENT_LEASE_RECALLED, lease.sid).token,
                     lease.token);
    assert_int_equal(store_lease_release(again->store, again->host, lease.sid, lease.token, NULL),
                     HF_OK);
    recorder_wait(&fixture->a.recorder, EVENT_LEASE_ANSWERED, lease.sid);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, &next), HF_OK);
    assert_int_equal(recorder_count(&again->recorder, EVENT_LEASE_RECALLED, idle.sid), 0);
}

static void a_new_incarnation_replaces_its_forerunner_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = mortal("host-d");
    struct mount *d = join_a(fixture), *again = &fixture->c;
    struct lease lease = contract_session(fixture, d, "alpha", "one"), next;

    identity.incarnation++;
    contract_join(again, fixture->a.store, &identity);
    assert_true(again->host != d->host);
    recorder_wait(&d->recorder, EVENT_HOST_LOST, 0);
    assert_int_equal(store_host_heartbeat(d->store, d->host, NULL), HF_FENCED);
    assert_int_equal(ask(fixture, again, lease.sid, &next), HF_OK);
    assert_true(next.token > lease.token);
    assert_int_equal(contract_commit(fixture, d, &lease, "late"), HF_FENCED);
    assert_int_equal(contract_commit(fixture, again, &next, "two"), HF_OK);
    /* Another boot is another, too. */
    memcpy(identity.boot_id, "next boot", 9);
    contract_leave(d);
    contract_join(d, fixture->a.store, &identity);
    assert_int_equal(store_host_heartbeat(again->store, again->host, NULL), HF_FENCED);
}

static void a_replaced_one_leaves_its_leases_to_those_who_wait(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = mortal("host-d");
    struct mount *d = join_a(fixture), *again = &fixture->c;
    struct lease lease = contract_session(fixture, d, "alpha", "one"), next;

    assert_int_equal(ask(fixture, &fixture->a, lease.sid, &next), HF_PENDING);
    identity.incarnation++;
    contract_join(again, fixture->a.store, &identity);
    recorder_wait(&fixture->a.recorder, EVENT_LEASE_ANSWERED, lease.sid);
    assert_int_equal(ask(fixture, again, lease.sid, &next), HF_PENDING);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, &next), HF_OK);
}

static void another_principal_can_neither_resume_nor_replace(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = mortal("host-d");
    struct mount *d = join_a(fixture), *thief = &fixture->c;
    struct lease lease = contract_session(fixture, d, "alpha", "one"), next;

    identity.principal = "thief";
    contract_join(thief, fixture->a.store, &identity);
    assert_true(thief->host != d->host);
    contract_leave(thief);
    identity.incarnation++;
    contract_join(thief, fixture->a.store, &identity);
    assert_true(thief->host != d->host);
    assert_int_equal(store_host_heartbeat(d->store, d->host, NULL), HF_OK);
    assert_int_equal(ask(fixture, thief, lease.sid, &next), HF_PENDING);
    assert_int_equal(contract_commit(fixture, d, &lease, "two"), HF_OK);
    assert_int_equal(recorder_count(&d->recorder, EVENT_HOST_LOST, 0), 0);
}

static void another_mount_of_the_same_host_is_another(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = mortal("host-d");
    struct mount *d = join_a(fixture), *other = &fixture->c;

    identity.mount_id[0] ^= 1;
    contract_join(other, fixture->a.store, &identity);
    assert_true(other->host != d->host);
    assert_int_equal(store_host_heartbeat(d->store, d->host, NULL), HF_OK);
}

static void who_has_ended_is_not_resumed(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = mortal("host-d");
    struct mount *d = join_a(fixture), *again = &fixture->c;

    assert_int_equal(store_host_end(d->store, d->host, NULL), HF_OK);
    close_listener(d);
    contract_join(again, fixture->a.store, &identity);
    assert_true(again->host != d->host);
}

static void a_detached_host_keeps_its_leases_for_a_while(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = mortal("host-d");
    struct mount *d = join_a(fixture), *again = &fixture->c;
    struct lease lease = contract_session(fixture, d, "alpha", "one"), next;

    assert_int_equal(store_host_detach(d->store, d->host, 60000, NULL), HF_OK);
    close_listener(d);
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, &next), HF_PENDING);
    contract_join(again, fixture->a.store, &identity);
    assert_int_equal(again->host, d->host);
    assert_int_equal(contract_commit(fixture, again, &lease, "two"), HF_OK);
    assert_int_equal(store_host_detach(again->store, 4711, 60000, NULL), HF_FENCED);
}

static void it_outlives_the_handle_that_registered_it(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = mortal("host-d");
    struct mount *again = &fixture->c;
    struct lease lease, next;
    uint64_t host;

    contract_open_b(fixture);
    contract_join(&fixture->d, fixture->b.store, &identity);
    host = fixture->d.host;
    lease = contract_session(fixture, &fixture->d, "alpha", "one");
    contract_unmount(&fixture->b);
    fixture->d.store = NULL;
    assert_int_equal(ask(fixture, &fixture->a, lease.sid, &next), HF_PENDING);
    contract_join(again, fixture->a.store, &identity);
    assert_int_equal(again->host, host);
    recorder_wait(&again->recorder, EVENT_LEASE_RECALLED, lease.sid);
    assert_int_equal(contract_commit(fixture, again, &lease, "two"), HF_OK);
}

static int find_host(const struct host_info *info, void *arg)
{
    struct host_info *found = arg;

    if (info->host != found->host)
        return 0;
    assert_string_equal(info->identity.principal, "host-d");
    assert_int_equal(info->identity.ttl_ms, TTL_MS);
    found->alive = info->alive;
    found->expires = info->expires;
    found->registered = info->registered;
    return 0;
}

static int find_lease(const struct lease_info *info, void *arg)
{
    *(int64_t *)arg = info->expires;
    return 0;
}

static void lists_say_when_it_expires(void **state)
{
    struct fixture *fixture = *state;
    struct mount *d = join_a(fixture);
    struct host_info found = {.host = d->host};
    int64_t second = 1000000000, expires = 0;

    contract_session(fixture, d, "alpha", "one");
    assert_int_equal(store_host_list(d->store, find_host, &found, NULL), HF_OK);
    assert_true(found.alive);
    assert_true(found.expires > found.registered + TTL_MS / 1000 * second - 60 * second);
    assert_true(found.expires < found.registered + TTL_MS / 1000 * second + 60 * second);
    assert_int_equal(store_lease_list(d->store, find_lease, &expires, NULL), HF_OK);
    assert_true(expires > found.expires - second && expires < found.expires + second);
    assert_true(store_host_deadline(d->store, d->host) < INT64_MAX);
}

const struct CMUnitTest contract_ttl_tests[] = {
    CONTRACT_TEST(the_same_identity_resumes_its_host_session),
    CONTRACT_TEST(a_resumed_one_may_have_another_ttl),
    CONTRACT_TEST(an_open_recall_is_told_again),
    CONTRACT_TEST(a_new_incarnation_replaces_its_forerunner_at_once),
    CONTRACT_TEST(a_replaced_one_leaves_its_leases_to_those_who_wait),
    CONTRACT_TEST(another_principal_can_neither_resume_nor_replace),
    CONTRACT_TEST(another_mount_of_the_same_host_is_another),
    CONTRACT_TEST(who_has_ended_is_not_resumed),
    CONTRACT_TEST(a_detached_host_keeps_its_leases_for_a_while),
    CONTRACT_TEST(it_outlives_the_handle_that_registered_it),
    CONTRACT_TEST(lists_say_when_it_expires),
};
const size_t contract_ttl_count = CONTRACT_COUNT(contract_ttl_tests);
