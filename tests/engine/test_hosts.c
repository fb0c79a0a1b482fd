/* SPDX-License-Identifier: Apache-2.0 */
/* Many host sessions of one handle, as a server has them: what each hears, when each dies, and what becomes of it
 * when the server is restarted. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <fcntl.h>

#include "append_load.h"
#include "engine/open.h"
#include "engine/sqlite/engine.h"
#include "shim_vfs.h"

#define TTL_MS 30000
/* A TTL but for a rest that the slowest machine does not need in truth. */
#define REST_MS 10000
#define NEARLY_MS (TTL_MS - REST_MS)
#define MS 1000000LL

/* A clock that the test turns on. */
struct turned {
    struct clock clock;
    atomic_llong ahead;
};

static int64_t turned_realtime(const struct clock *clock)
{
    return clock_realtime(&clock_system) + ((const struct turned *)clock)->ahead;
}

static int64_t turned_boottime(const struct clock *clock)
{
    return clock_boottime(&clock_system) + ((const struct turned *)clock)->ahead;
}

/* A host session, and what it hears. */
struct guest {
    struct host_identity identity;
    uint64_t host;
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct store_event events[512];
    size_t n;
    bool hold, held; /* the listener is to stay in its call; it does */
};

#define GUESTS 4

struct fixture {
    struct turned clock;
    char folder[64];
    char path[128];
    char url[256]; /* through the shim */
    struct store *store;
    struct guest guests[GUESTS]; /* "a" to "d", registered by enter() */
    struct hf_error err;
};

static void hear(const struct store_event *event, void *arg)
{
    struct guest *guest = arg;

    pthread_mutex_lock(&guest->lock);
    assert_true(guest->n < sizeof guest->events / sizeof guest->events[0]);
    guest->events[guest->n++] = *event;
    pthread_cond_broadcast(&guest->changed);
    while (guest->hold) {
        guest->held = true;
        pthread_cond_broadcast(&guest->changed);
        pthread_cond_wait(&guest->changed, &guest->lock);
    }
    guest->held = false;
    pthread_mutex_unlock(&guest->lock);
}

static void open_store(struct fixture *fixture)
{
    if (store_open(fixture->url, STORE_CREATE, NULL, &fixture->clock.clock, &fixture->store,
                   &fixture->err) != HF_OK)
        fail_msg("%s", fixture->err.message);
}

static int setup(void **state)
{
    static const char *const names[GUESTS] = {"a", "b", "c", "d"};
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    fixture->clock.clock = (struct clock){turned_realtime, turned_boottime};
    snprintf(fixture->folder, sizeof fixture->folder, "%s", "/tmp/holdfast-hosts-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof fixture->path, "%s/store.db", fixture->folder);
    snprintf(fixture->url, sizeof fixture->url, "sqlite:%s?vfs=" SHIM_VFS_NAME, fixture->path);
    for (size_t i = 0; i < GUESTS; i++) {
        struct guest *guest = &fixture->guests[i];

        guest->identity = (struct host_identity){.mount_id = {(uint8_t)(i + 1)},
                                                 .incarnation = 1,
                                                 .pid = 100,
                                                 .host_name = names[i],
                                                 .principal = names[i],
                                                 .ttl_ms = TTL_MS};
        pthread_mutex_init(&guest->lock, NULL);
        pthread_cond_init(&guest->changed, NULL);
    }
    open_store(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    char command[128];

    shim_set_hook(NULL, NULL);
    store_close(fixture->store);
    snprintf(command, sizeof command, "rm -r %s", fixture->folder);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static int try_enter(struct fixture *fixture, struct guest *guest)
{
    struct store_listener listener = {.event = hear, .arg = guest};

    guest->store = fixture->store;
    return store_host_register(fixture->store, &guest->identity, &listener, &guest->host,
                               &fixture->err);
}

static struct guest *enter(struct fixture *fixture, size_t i)
{
    struct guest *guest = &fixture->guests[i];

    if (try_enter(fixture, guest) != HF_OK)
        fail_msg("%s", fixture->err.message);
    return guest;
}

static void turn(struct fixture *fixture, int64_t ms)
{
    fixture->clock.ahead += ms * MS;
}

static bool find(struct guest *guest, enum event_kind kind, uint64_t sid, struct store_event *ret)
{
    for (size_t i = 0; i < guest->n; i++) {
        if (guest->events[i].kind == kind && guest->events[i].sid == sid) {
            *ret = guest->events[i];
            return true;
        }
    }
    return false;
}

static struct store_event wait_for(struct guest *guest, enum event_kind kind, uint64_t sid)
{
    struct store_event event = {0};
    struct timespec deadline;
    bool found;
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += 30;
    pthread_mutex_lock(&guest->lock);
    while (!(found = find(guest, kind, sid, &event)) && rc == 0)
        rc = pthread_cond_timedwait(&guest->changed, &guest->lock, &deadline);
    pthread_mutex_unlock(&guest->lock);
    if (!found)
        fail_msg("%s hears no event %d of session %llu", guest->identity.host_name, kind,
                 (unsigned long long)sid);
    return event;
}

static bool heard(struct guest *guest, enum event_kind kind, uint64_t sid)
{
    struct store_event event;
    bool found;

    pthread_mutex_lock(&guest->lock);
    found = find(guest, kind, sid, &event);
    pthread_mutex_unlock(&guest->lock);
    return found;
}

static void forget(struct guest *guest)
{
    pthread_mutex_lock(&guest->lock);
    guest->n = 0;
    pthread_mutex_unlock(&guest->lock);
}

static void wait_for_others(struct guest *guest, unsigned others)
{
    pthread_mutex_lock(&guest->lock);
    for (;;) {
        for (size_t i = 0; i < guest->n; i++) {
            if (guest->events[i].kind == EVENT_HOSTS_CHANGED &&
                guest->events[i].other_hosts == others) {
                pthread_mutex_unlock(&guest->lock);
                return;
            }
        }
        pthread_cond_wait(&guest->changed, &guest->lock);
    }
}

static uint64_t make_session(struct guest *guest, const char *name, struct append_load *load)
{
    append_load_start(load, guest->store, guest->host, name, 2);
    return load->lease.sid;
}

static int ask(struct guest *guest, uint64_t sid, uint32_t wait_ms, struct lease *ret_lease)
{
    int64_t again;

    return store_lease_ask(guest->store, guest->host, sid, wait_ms, ret_lease, &again, NULL);
}

static int release(struct guest *guest, const struct lease *lease)
{
    return store_lease_release(guest->store, guest->host, lease->sid, lease->token, NULL);
}

static int print_finding(const struct check_finding *finding, void *arg)
{
    print_message("%s: %s\n", finding->what, finding->message);
    ++*(unsigned *)arg;
    return 0;
}

static void assert_sound(struct store *store)
{
    unsigned findings = 0;

    assert_int_equal(store_check(store, print_finding, &findings, NULL), 0);
    assert_int_equal(findings, 0);
}

static int64_t number_of(const char *path, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t number;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

/* --- hearing ---------------------------------------------------------------------------------------- */

static void each_host_of_a_handle_hears_what_concerns_it(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1), *c = enter(fixture, 2);
    struct append_load load;
    struct store_event event;
    struct lease lease;
    uint64_t sid;

    wait_for_others(a, 2);
    wait_for_others(b, 2);
    wait_for_others(c, 2);
    sid = make_session(a, "s", &load);
    wait_for(b, EVENT_SESSIONS_CHANGED, sid);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    assert_int_equal(wait_for(b, EVENT_HEAD_MOVED, sid).version, 2);
    assert_int_equal(wait_for(c, EVENT_HEAD_MOVED, sid).version, 2);
    assert_int_equal(ask(b, sid, 0, &lease), HF_PENDING);
    event = wait_for(a, EVENT_LEASE_RECALLED, sid);
    assert_int_equal(event.token, load.lease.token);
    assert_int_equal(store_lease_refuse(a->store, a->host, sid, event.token, "an open file", NULL),
                     HF_OK);
    wait_for(b, EVENT_LEASE_ANSWERED, sid);
    assert_int_equal(ask(b, sid, 0, &lease), HF_BUSY);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    assert_false(heard(a, EVENT_HEAD_MOVED, sid));
    assert_false(heard(a, EVENT_SESSIONS_CHANGED, sid));
    assert_false(heard(c, EVENT_LEASE_RECALLED, sid));
    assert_false(heard(c, EVENT_LEASE_ANSWERED, sid));
    append_load_end(&load);
    assert_sound(fixture->store);
}

static void a_lease_goes_to_those_who_wait_in_their_order(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1), *c = enter(fixture, 2);
    struct append_load load;
    struct lease lease, again;
    uint64_t sid = make_session(a, "s", &load);

    assert_int_equal(ask(b, sid, 60000, &lease), HF_PENDING);
    assert_int_equal(ask(c, sid, 60000, &lease), HF_PENDING);
    assert_int_equal(ask(b, sid, 60000, &lease), HF_PENDING);
    assert_int_equal(release(a, &load.lease), HF_OK);
    assert_int_equal(ask(a, sid, 0, &again), HF_PENDING); /* who gave it up comes last */
    wait_for(b, EVENT_LEASE_ANSWERED, sid);
    assert_int_equal(ask(b, sid, 60000, &lease), HF_OK);
    assert_int_equal(lease.token, load.lease.token + 1);
    assert_int_equal(release(b, &lease), HF_OK);
    wait_for(c, EVENT_LEASE_ANSWERED, sid);
    assert_int_equal(ask(c, sid, 60000, &lease), HF_OK);
    assert_int_equal(lease.token, load.lease.token + 2);
    append_load_end(&load);
    assert_sound(fixture->store);
}

static void who_withdraws_gives_back_what_it_was_granted(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1), *c = enter(fixture, 2);
    struct append_load load;
    struct lease lease;
    uint64_t sid = make_session(a, "s", &load);

    assert_int_equal(ask(b, sid, 60000, &lease), HF_PENDING);
    assert_int_equal(ask(c, sid, 60000, &lease), HF_PENDING);
    assert_int_equal(release(a, &load.lease), HF_OK);
    assert_int_equal(store_lease_withdraw(b->store, b->host, sid, NULL), HF_OK);
    assert_int_equal(ask(c, sid, 60000, &lease), HF_OK);
    assert_int_equal(store_lease_withdraw(c->store, c->host, sid, NULL), HF_OK);
    assert_int_equal(ask(c, sid, 60000, &lease), HF_OK); /* it has it, and was told so */
    assert_int_equal(lease.token, load.lease.token + 2);
    append_load_end(&load);
}

struct call {
    struct guest *guest;
    atomic_bool returned;
};

static void *detach(void *arg)
{
    struct call *call = arg;

    assert_int_equal(store_host_detach(call->guest->store, call->guest->host, 1000, NULL), HF_OK);
    atomic_store(&call->returned, true);
    return NULL;
}

static void set_hold(struct guest *guest, bool hold)
{
    pthread_mutex_lock(&guest->lock);
    guest->hold = hold;
    pthread_cond_broadcast(&guest->changed);
    pthread_mutex_unlock(&guest->lock);
}

static void nobody_is_called_once_it_is_detached(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1);
    struct call call = {.guest = a};
    struct append_load load;
    pthread_t thread;
    uint64_t sid;

    wait_for_others(a, 1);
    set_hold(a, true);
    sid = make_session(b, "s", &load);
    pthread_mutex_lock(&a->lock);
    while (!a->held)
        pthread_cond_wait(&a->changed, &a->lock);
    pthread_mutex_unlock(&a->lock);
    assert_int_equal(pthread_create(&thread, NULL, detach, &call), 0);
    usleep(20000); /* a wrong one would return meanwhile */
    assert_false(atomic_load(&call.returned));
    set_hold(a, false);
    pthread_join(thread, NULL);
    forget(a);
    forget(b);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    turn(fixture, 1000);
    wait_for_others(b, 0);
    assert_int_equal(a->n, 0);
    assert_int_equal(store_host_heartbeat(a->store, a->host, NULL), HF_FENCED);
    assert_true(sid > 0);
    append_load_end(&load);
}

/* --- dying ------------------------------------------------------------------------------------------ */

static int count_failed_renewals(const struct audit_entry *entry, void *arg)
{
    *(unsigned *)arg += entry->event == AUDIT_RENEWAL_FAILED;
    return 0;
}

static void a_host_of_which_nothing_is_heard_dies_and_its_lease_goes_on(void **state)
{
    struct store_lock lock = {
        .ino = 7, .kind = LOCK_FLOCK, .type = LOCK_TYPE_WRITE, .end = UINT64_MAX};
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1), *c = enter(fixture, 2);
    struct append_load load, second;
    struct lease lease;
    uint64_t sid = make_session(a, "s", &load), other = make_session(a, "t", &second);
    unsigned failed = 0;

    assert_int_equal(store_lock_set(a->store, a->host, &lock, NULL, NULL), HF_OK);
    assert_int_equal(ask(b, sid, 60000, &lease), HF_PENDING);
    for (int i = 0; i < 4; i++) { /* long, but not without a word */
        turn(fixture, NEARLY_MS);
        for (size_t k = 0; k < 3; k++)
            assert_int_equal(store_host_heartbeat(fixture->store, fixture->guests[k].host, NULL),
                             HF_OK);
    }
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    assert_int_equal(store_lock_set(b->store, b->host, &lock, NULL, NULL), HF_AGAIN);
    turn(fixture, NEARLY_MS);
    assert_int_equal(store_host_heartbeat(b->store, b->host, NULL), HF_OK);
    assert_int_equal(store_host_heartbeat(c->store, c->host, NULL), HF_OK);
    assert_int_equal(ask(b, sid, 60000, &lease), HF_PENDING); /* it had lost its patience */
    forget(b);
    forget(c);
    turn(fixture, REST_MS);
    wait_for(a, EVENT_HOST_LOST, 0);
    wait_for_others(c, 1);
    wait_for(b, EVENT_LEASE_ANSWERED, sid);
    assert_int_equal(store_host_heartbeat(a->store, a->host, NULL), HF_FENCED);
    assert_int_equal(store_lock_set(b->store, b->host, &lock, NULL, NULL), HF_OK);
    assert_int_equal(ask(b, sid, 60000, &lease), HF_OK);
    assert_true(lease.token > load.lease.token);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_FENCED);
    assert_int_equal(ask(c, other, 0, &lease), HF_OK);
    assert_int_equal(append_load_step(&second, DURABILITY_RELAXED), HF_FENCED);
    assert_int_equal(
        store_audit(fixture->store, UINT64_MAX, 0, count_failed_renewals, &failed, NULL), HF_OK);
    assert_int_equal(failed, 2);                    /* leases */
    assert_int_equal(try_enter(fixture, a), HF_OK); /* under a new number */
    assert_true(a->host > c->host);
    append_load_end(&load);
    append_load_end(&second);
    assert_sound(fixture->store);
}

static void a_host_that_ends_leaves_its_lease_to_the_first_who_waits(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1);
    struct append_load load;
    struct lease lease;
    uint64_t sid = make_session(a, "s", &load);
    char sql[128];

    assert_int_equal(ask(b, sid, 60000, &lease), HF_PENDING);
    assert_int_equal(store_host_end(a->store, a->host, NULL), HF_OK);
    assert_int_equal(store_host_end(a->store, a->host, NULL), HF_FENCED);
    wait_for(b, EVENT_LEASE_ANSWERED, sid);
    wait_for_others(b, 0);
    assert_int_equal(store_host_end(b->store, b->host, NULL), HF_OK);
    snprintf(sql, sizeof sql, "SELECT count(*) FROM waiter");
    assert_int_equal(number_of(fixture->path, sql), 0);
    assert_int_equal(number_of(fixture->path, "SELECT count(*) FROM session WHERE holder <> 0"), 0);
    append_load_end(&load);
}

static void *acquire(void *arg)
{
    struct guest *guest = arg;
    struct lease lease;
    int rc = store_lease_acquire(guest->store, guest->host, 1, 60000, &lease, NULL);

    return (void *)(intptr_t)rc;
}

static void who_waits_on_behalf_of_a_host_that_ends_is_fenced(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1);
    struct append_load load;
    pthread_t thread;
    void *answer;
    uint64_t sid = make_session(a, "s", &load);

    assert_int_equal(sid, 1);
    assert_int_equal(pthread_create(&thread, NULL, acquire, b), 0);
    wait_for(a, EVENT_LEASE_RECALLED, sid);
    assert_int_equal(store_host_end(b->store, b->host, NULL), HF_OK);
    pthread_join(thread, &answer);
    assert_int_equal((int)(intptr_t)answer, HF_FENCED);
    append_load_end(&load);
}

/* --- coming back ------------------------------------------------------------------------------------- */

static void the_same_host_again_goes_on_under_its_number(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1);
    struct append_load load;
    struct lease lease;
    uint64_t sid = make_session(a, "s", &load), host = a->host;

    assert_int_equal(store_host_detach(a->store, host, HOST_RECONNECT_MS, NULL), HF_OK);
    assert_int_equal(ask(b, sid, 60000, &lease), HF_PENDING);
    forget(a);
    turn(fixture, HOST_RECONNECT_MS / 10);
    assert_int_equal(try_enter(fixture, a), HF_OK);
    assert_int_equal(a->host, host);
    wait_for(a, EVENT_MISSED, 0);
    assert_int_equal(wait_for(a, EVENT_LEASE_RECALLED, sid).token, load.lease.token);
    turn(fixture, HOST_RECONNECT_MS);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    assert_int_equal(store_host_heartbeat(a->store, host, NULL), HF_OK);
    append_load_end(&load);
}

static void *let_go_of_the_bell(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 30000000}, NULL);
    close(*(int *)arg);
    return NULL;
}

/* The kernel lets go the locks of a process that is killed one by one. */
static void a_new_host_waits_for_the_lock_that_a_dying_process_has_of_its_number(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0);
    struct flock lock = {.l_type = F_WRLCK, .l_start = (off_t)a->host + 1, .l_len = 1};
    char path[160];
    pthread_t dying;
    int fd;

    snprintf(path, sizeof path, "%s-bell", fixture->path);
    fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &lock), 0);
    assert_int_equal(pthread_create(&dying, NULL, let_go_of_the_bell, &fd), 0);
    assert_int_equal(enter(fixture, 1)->host, a->host + 1);
    pthread_join(dying, NULL);
    assert_sound(fixture->store);
}

/* Registers a host session that lives as long as its kernel lock. */
static uint64_t enter_by_lock(struct store *store)
{
    const struct host_identity identity = {.host_name = "by lock"};
    struct hf_error err;
    uint64_t host;

    if (store_host_register(store, &identity, NULL, &host, &err) != HF_OK)
        fail_msg("%s", err.message);
    return host;
}

static void *enter_behind(void *arg)
{
    const struct host_identity identity = {.host_name = "behind"};
    uint64_t host;
    int rc = store_host_register(arg, &identity, NULL, &host, NULL);

    return (void *)(intptr_t)(rc == HF_OK ? (intptr_t)host : rc);
}

static void *bury(void *arg)
{
    return (void *)(intptr_t)sqlite_hosts_bury(sqlite_store_of(arg));
}

/* Until so many writes wait for their turn. */
static void wait_queue(struct writer *writer, int n)
{
    int queued;

    do {
        usleep(1000);
        queued = 0;
        pthread_mutex_lock(&writer->lock);
        for (const struct write *write = writer->first; write; write = write->next)
            queued++;
        pthread_mutex_unlock(&writer->lock);
    } while (queued < n);
}

/* As if somebody wrote: those who come now share a transaction. */
static void hold(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    writer->led = true;
    pthread_mutex_unlock(&writer->lock);
}

static void let_go(struct writer *writer)
{
    pthread_mutex_lock(&writer->lock);
    writer->led = false;
    pthread_cond_signal(&writer->first->wake);
    pthread_mutex_unlock(&writer->lock);
}

/* It shares a transaction with a burial: its row is there then, and its handle does not know it yet. */
static void a_host_that_is_just_being_registered_is_not_found_dead(void **state)
{
    struct fixture *fixture = *state;
    struct writer *writer = &sqlite_store_of(fixture->store)->writer;
    pthread_t entering, burying;
    void *host, *buried;
    struct store *other;
    uint64_t dead;

    enter_by_lock(fixture->store);
    assert_int_equal(store_open(fixture->url, 0, NULL, NULL, &other, NULL), HF_OK);
    dead = enter_by_lock(other);
    bell_disclaim(&sqlite_store_of(other)->bell, dead);
    hold(writer);
    assert_int_equal(pthread_create(&entering, NULL, enter_behind, fixture->store), 0);
    wait_queue(writer, 1);
    assert_int_equal(pthread_create(&burying, NULL, bury, fixture->store), 0);
    wait_queue(writer, 2);
    let_go(writer);
    pthread_join(entering, &host);
    pthread_join(burying, &buried);
    assert_int_equal((intptr_t)buried, 1);
    assert_int_equal(store_host_end(other, dead, NULL), HF_FENCED);
    assert_int_equal(store_host_end(fixture->store, (uintptr_t)host, NULL), HF_OK);
    store_close(other);
    assert_sound(fixture->store);
}

static int fill_log(enum shim_call call, bool log, void *arg)
{
    return call == SHIM_WRITE && log && atomic_fetch_sub((atomic_int *)arg, 1) > 0 ? SQLITE_FULL
                                                                                   : SQLITE_OK;
}

/* The first of two finds no room: together with the second, alone, and once more. The second gets its number, but not a
 * lock that the first takes away again. */
static void a_registration_that_fails_takes_no_lock_from_another_one(void **state)
{
    struct fixture *fixture = *state;
    struct writer *writer = &sqlite_store_of(fixture->store)->writer;
    atomic_int failures = 3;
    pthread_t first, second;
    void *answer, *host;
    struct store *other;

    enter_by_lock(fixture->store);
    assert_int_equal(store_open(fixture->url, 0, NULL, NULL, &other, NULL), HF_OK);
    hold(writer);
    assert_int_equal(pthread_create(&first, NULL, enter_behind, fixture->store), 0);
    wait_queue(writer, 1);
    assert_int_equal(pthread_create(&second, NULL, enter_behind, fixture->store), 0);
    wait_queue(writer, 2);
    shim_set_hook(fill_log, &failures);
    let_go(writer);
    pthread_join(first, &answer);
    pthread_join(second, &host);
    shim_set_hook(NULL, NULL);
    assert_int_equal((intptr_t)answer, HF_NOSPC);
    assert_true((intptr_t)host > 0);
    assert_true(bell_is_claimed(&sqlite_store_of(other)->bell, (uintptr_t)host));
    store_close(other);
}

static void a_handle_sees_its_own_locks_of_the_bell(void **state)
{
    struct fixture *fixture = *state;
    struct bell *bell = &sqlite_store_of(fixture->store)->bell;

    assert_false(bell_is_claimed(bell, 1000));
    assert_int_equal(bell_claim(bell, 1000, NULL), HF_OK);
    assert_true(bell_is_claimed(bell, 1000));
    bell_disclaim(bell, 1000);
    assert_false(bell_is_claimed(bell, 1000));
}

static void a_mount_that_was_started_again_takes_the_place_of_the_older_one(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1);
    struct append_load load;
    struct lease lease;
    uint64_t sid = make_session(a, "s", &load), older = a->host;

    fixture->guests[2].identity = a->identity;
    fixture->guests[2].identity.incarnation++;
    assert_int_equal(try_enter(fixture, &fixture->guests[2]), HF_OK);
    assert_int_not_equal(fixture->guests[2].host, older);
    wait_for(a, EVENT_HOST_LOST, 0);
    assert_int_equal(store_host_heartbeat(fixture->store, older, NULL), HF_FENCED);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_FENCED);
    assert_int_equal(ask(b, sid, 0, &lease), HF_OK);
    /* Another principal is another mount. */
    fixture->guests[3].identity = fixture->guests[2].identity;
    fixture->guests[3].identity.incarnation++;
    fixture->guests[3].identity.principal = "somebody else";
    assert_int_equal(try_enter(fixture, &fixture->guests[3]), HF_OK);
    assert_int_equal(store_host_heartbeat(fixture->store, fixture->guests[2].host, NULL), HF_OK);
    append_load_end(&load);
}

static void a_host_moves_to_another_handle_and_back(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1);
    struct store *first = fixture->store;
    struct append_load load;
    struct lease lease;
    uint64_t sid = make_session(a, "s", &load), host = a->host;

    open_store(fixture);
    for (int i = 0; i < 4; i++) {
        struct store *other = fixture->store;

        forget(a);
        assert_int_equal(try_enter(fixture, a), HF_OK);
        assert_int_equal(a->host, host);
        wait_for(a, EVENT_MISSED, 0);
        load.store = other;
        assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
        assert_int_equal(ask(b, sid, 0, &lease), HF_PENDING);
        assert_int_equal(wait_for(a, EVENT_LEASE_RECALLED, sid).token, load.lease.token);
        assert_int_equal(
            store_lease_refuse(other, host, sid, load.lease.token, "an open file", NULL), HF_OK);
        assert_int_equal(ask(b, sid, 0, &lease), HF_BUSY);
        assert_false(heard(a, EVENT_HOST_LOST, 0));
        fixture->store = first;
        first = other;
    }
    store_close(first);
    append_load_end(&load);
    assert_sound(fixture->store);
}

static void hosts_come_back_to_a_server_that_was_restarted(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1), *c = enter(fixture, 2);
    struct append_load load, second;
    struct lease lease;
    uint64_t sid = make_session(a, "s", &load), other = make_session(b, "t", &second);
    uint64_t hosts[2] = {a->host, b->host};

    assert_int_equal(ask(c, sid, 60000, &lease), HF_PENDING);
    store_close(fixture->store);
    open_store(fixture);
    forget(a);
    assert_int_equal(try_enter(fixture, c), HF_OK);
    /* Nothing is granted that could be another's. */
    assert_int_equal(ask(c, sid, 0, &lease), HF_PENDING);
    assert_int_equal(ask(c, other, 0, &lease), HF_PENDING);
    turn(fixture, NEARLY_MS);
    assert_int_equal(try_enter(fixture, a), HF_OK);
    assert_int_equal(a->host, hosts[0]);
    load.store = fixture->store;
    assert_int_equal(append_load_step(&load, DURABILITY_SYNC), HF_OK);
    wait_for(a, EVENT_MISSED, 0);
    wait_for(a, EVENT_LEASE_RECALLED, sid);
    assert_int_equal(store_host_heartbeat(c->store, c->host, NULL), HF_OK);
    /* The other one's time is over. */
    turn(fixture, REST_MS);
    wait_for_others(c, 1);
    assert_int_equal(ask(c, other, 0, &lease), HF_OK);
    assert_int_equal(try_enter(fixture, b), HF_OK);
    assert_int_not_equal(b->host, hosts[1]);
    append_load_end(&load);
    append_load_end(&second);
    assert_sound(fixture->store);
}

/* Lets another process register guest "d" and hold session "s", and kills it. */
static uint64_t leave_holder(struct fixture *fixture)
{
    struct append_load load;
    int fds[2], status;
    uint64_t sid = 0;
    pid_t pid;

    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        open_store(fixture);
        sid = make_session(enter(fixture, 3), "s", &load);
        if (write(fds[1], &sid, sizeof sid) != sizeof sid)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(fds[0], &sid, sizeof sid), sizeof sid);
    close(fds[0]);
    close(fds[1]);
    open_store(fixture);
    enter(fixture, 0);
    wait_for_others(&fixture->guests[0], 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return sid;
}

static void hosts_of_a_killed_process_have_their_time_to_come_back(void **state)
{
    struct fixture *fixture = *state;
    uint64_t sid = leave_holder(fixture);
    struct guest *a = &fixture->guests[0];
    struct lease lease;

    assert_int_equal(ask(a, sid, 0, &lease), HF_PENDING);
    turn(fixture, NEARLY_MS);
    assert_int_equal(store_host_heartbeat(a->store, a->host, NULL), HF_OK);
    assert_int_equal(ask(a, sid, 0, &lease), HF_PENDING);
    turn(fixture, REST_MS);
    assert_int_equal(ask(a, sid, 0, &lease), HF_OK);
    assert_int_equal(try_enter(fixture, &fixture->guests[3]), HF_OK);
    assert_sound(fixture->store);
}

/* --- committing ------------------------------------------------------------------------------------- */

#define WORKERS 8
#define STEPS 25

struct worker {
    struct append_load load;
    pthread_t thread;
};

static void *append_all(void *arg)
{
    struct worker *worker = arg;

    for (int i = 0; i < STEPS; i++)
        assert_int_equal(append_load_step(&worker->load, DURABILITY_SYNC), HF_OK);
    return NULL;
}

static int slow_sync(enum shim_call call, bool log, void *arg)
{
    (void)arg;
    if (log && call == SHIM_WRITE)
        usleep(2000);
    return SQLITE_OK;
}

static void commits_of_many_hosts_share_transactions_and_syncs(void **state)
{
    struct fixture *fixture = *state;
    struct writer *writer = &((struct sqlite_store *)fixture->store)->writer;
    struct worker *workers = calloc(WORKERS, sizeof *workers);
    uint64_t transactions, writes;
    unsigned syncs;
    char name[8];

    assert_non_null(workers);
    for (int i = 0; i < WORKERS; i++) {
        struct host_identity identity = {
            .mount_id = {(uint8_t)(i + 1)}, .host_name = "x", .ttl_ms = HOST_TTL_MAX_MS};
        uint64_t host;

        assert_int_equal(store_host_register(fixture->store, &identity, NULL, &host, NULL), HF_OK);
        snprintf(name, sizeof name, "s%d", i);
        append_load_start(&workers[i].load, fixture->store, host, name, 2);
    }
    transactions = writer->transactions;
    writes = writer->writes;
    syncs = atomic_load(&shim_log_syncs);
    shim_set_hook(slow_sync, NULL);
    for (int i = 0; i < WORKERS; i++)
        assert_int_equal(pthread_create(&workers[i].thread, NULL, append_all, &workers[i]), 0);
    for (int i = 0; i < WORKERS; i++)
        pthread_join(workers[i].thread, NULL);
    shim_set_hook(NULL, NULL);
    transactions = writer->transactions - transactions;
    writes = writer->writes - writes;
    syncs = atomic_load(&shim_log_syncs) - syncs;
    print_message("%llu commits in %llu transactions with %u syncs\n", (unsigned long long)writes,
                  (unsigned long long)transactions, syncs);
    assert_int_equal(writes, WORKERS * STEPS);
    assert_true(transactions * 2 < writes);
    assert_true(syncs * 2 < writes);
    for (int i = 0; i < WORKERS; i++)
        append_load_end(&workers[i].load);
    free(workers);
    assert_sound(fixture->store);
}

static void what_the_writer_knows_is_read_again_only_when_another_has_written(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0);
    struct writer *writer = &((struct sqlite_store *)fixture->store)->writer;
    struct append_load load;
    struct store *other;
    uint64_t epoch;

    make_session(a, "s", &load);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    epoch = writer->epoch;
    for (int i = 0; i < 3; i++)
        assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    assert_int_equal(writer->epoch, epoch);
    assert_int_equal(store_open(fixture->url, 0, NULL, NULL, &other, NULL), HF_OK);
    assert_int_equal(store_snapshot_create(other, "snap", NULL, 0, NULL), HF_OK);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    assert_int_equal(writer->epoch, epoch + 1);
    store_close(other);
    append_load_end(&load);
}

/* --- all at once -------------------------------------------------------------------------------------- */

#define ACTORS 5
#define SESSIONS 3
#define ROUNDS 150

struct scene_of_actors {
    struct store *store;
    struct lease sessions[SESSIONS]; /* as they were made */
    pthread_mutex_t lock;            /* guards what follows */
    uint64_t tokens[SESSIONS];       /* the newest that anybody was granted */
    uint64_t holders[SESSIONS];
};

struct actor {
    struct scene_of_actors *all;
    struct host_identity identity;
    atomic_ullong host;
    atomic_uint lost;
    uint64_t random;
    pthread_t thread;
};

static unsigned draw(struct actor *actor, unsigned n)
{
    actor->random = actor->random * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)(actor->random >> 33) % n;
}

static void obey(const struct store_event *event, void *arg)
{
    struct actor *actor = arg;

    if (event->kind == EVENT_LEASE_RECALLED)
        store_lease_release(actor->all->store, actor->host, event->sid, event->token, NULL);
    if (event->kind == EVENT_HOST_LOST)
        atomic_fetch_add(&actor->lost, 1);
}

static void come(struct actor *actor)
{
    struct store_listener listener = {.event = obey, .arg = actor};
    struct hf_error err = {0};
    uint64_t host;

    if (store_host_register(actor->all->store, &actor->identity, &listener, &host, &err) != HF_OK)
        fail_msg("%s", err.message);
    actor->host = host;
}

/* Each grant has a token of its own, greater than those before. */
static void note_grant(struct actor *actor, unsigned session, const struct lease *lease)
{
    struct scene_of_actors *all = actor->all;

    pthread_mutex_lock(&all->lock);
    if (lease->token == all->tokens[session])
        assert_int_equal(all->holders[session], actor->host);
    if (lease->token > all->tokens[session]) {
        all->tokens[session] = lease->token;
        all->holders[session] = actor->host;
    }
    pthread_mutex_unlock(&all->lock);
}

static void want(struct actor *actor)
{
    unsigned session = draw(actor, SESSIONS);
    uint64_t sid = actor->all->sessions[session].sid;
    struct lease lease;
    int64_t again;
    int rc;

    do {
        rc = store_lease_ask(actor->all->store, actor->host, sid, 5000, &lease, &again, NULL);
        if (rc == HF_PENDING && draw(actor, 8) == 0) {
            assert_int_equal(store_lease_withdraw(actor->all->store, actor->host, sid, NULL),
                             HF_OK);
            return;
        }
        if (rc == HF_PENDING)
            usleep(500);
    } while (rc == HF_PENDING);
    assert_int_equal(rc, HF_OK); /* everybody gives way */
    note_grant(actor, session, &lease);
    if (draw(actor, 2))
        store_lease_release(actor->all->store, actor->host, sid, lease.token, NULL);
}

static void *act(void *arg)
{
    struct actor *actor = arg;
    struct store *store = actor->all->store;
    uint64_t host;

    for (int i = 0; i < ROUNDS; i++) {
        host = actor->host;
        switch (draw(actor, 10)) {
        case 0:
            assert_int_equal(store_host_detach(store, host, HOST_RECONNECT_MS, NULL), HF_OK);
            come(actor);
            assert_int_equal(actor->host, host);
            break;
        case 1:
            come(actor);
            assert_int_equal(actor->host, host);
            break;
        case 2:
            assert_int_equal(store_host_end(store, host, NULL), HF_OK);
            come(actor);
            break;
        case 3:
            actor->identity.incarnation++;
            come(actor);
            assert_int_equal(store_host_heartbeat(store, host, NULL), HF_FENCED);
            assert_int_equal(store_host_end(store, host, NULL), HF_FENCED);
            break;
        default:
            assert_int_equal(store_host_heartbeat(store, host, NULL), HF_OK);
            want(actor);
        }
    }
    assert_int_equal(store_host_end(store, actor->host, NULL), HF_OK);
    return NULL;
}

static void hosts_come_and_go_and_pass_sessions_on(void **state)
{
    struct fixture *fixture = *state;
    struct scene_of_actors all = {.store = fixture->store, .lock = PTHREAD_MUTEX_INITIALIZER};
    struct actor actors[ACTORS] = {0};
    uint64_t seed = (uint64_t)clock_boottime(&clock_system);
    struct append_load load;
    char name[8];

    print_message("seed %llu\n", (unsigned long long)seed);
    for (unsigned i = 0; i < SESSIONS; i++) {
        snprintf(name, sizeof name, "s%u", i);
        append_load_start(&load, fixture->store, 0, name, 2);
        all.sessions[i] = load.lease;
        append_load_end(&load);
    }
    for (unsigned i = 0; i < ACTORS; i++) {
        actors[i].all = &all;
        actors[i].identity = (struct host_identity){
            .mount_id = {(uint8_t)(i + 1)}, .host_name = "actor", .ttl_ms = HOST_TTL_MAX_MS};
        actors[i].random = seed + i;
        come(&actors[i]);
    }
    for (unsigned i = 0; i < ACTORS; i++)
        assert_int_equal(pthread_create(&actors[i].thread, NULL, act, &actors[i]), 0);
    for (unsigned i = 0; i < ACTORS; i++)
        pthread_join(actors[i].thread, NULL);
    assert_int_equal(number_of(fixture->path, "SELECT count(*) FROM waiter"), 0);
    assert_int_equal(number_of(fixture->path, "SELECT count(*) FROM host WHERE state = 1"), 0);
    assert_int_equal(number_of(fixture->path, "SELECT count(*) FROM session WHERE holder <> 0"), 0);
    assert_sound(fixture->store);
}

/* --- what grows --------------------------------------------------------------------------------------- */

static void the_audit_trail_does_not_grow_for_ever(void **state)
{
    struct fixture *fixture = *state;
    struct append_load load;

    make_session(enter(fixture, 0), "s", &load);
    assert_int_equal(number_of(fixture->path, "SELECT count(*) FROM audit"), 1);
    /* As if it had been long already. */
    assert_int_equal(number_of(fixture->path,
                               "INSERT INTO audit SELECT 4194304 + 4096, time, event,"
                               " sid, host, token, detail, sum FROM audit"
                               " RETURNING 1"),
                     1);
    assert_int_equal(release(&fixture->guests[0], &load.lease), HF_OK);
    assert_int_equal(number_of(fixture->path, "SELECT min(id) FROM audit"), 4194304 + 4096);
    assert_int_equal(number_of(fixture->path, "SELECT max(id) FROM audit"), 4194304 + 4097);
    append_load_end(&load);
}

/* --- trouble ------------------------------------------------------------------------------------------ */

static void the_dead_are_buried_beside_one_whose_row_is_damaged(void **state)
{
    struct fixture *fixture = *state;
    struct guest *a = enter(fixture, 0), *b = enter(fixture, 1), *c;

    assert_int_equal(number_of(fixture->path, "UPDATE host SET pid = pid + 1 WHERE host = 1"
                                              " RETURNING host"),
                     (int64_t)a->host);
    c = enter(fixture, 2);
    turn(fixture, NEARLY_MS);
    assert_int_equal(store_host_heartbeat(c->store, c->host, NULL), HF_OK);
    turn(fixture, REST_MS);
    wait_for(b, EVENT_HOST_LOST, 0);
    assert_int_equal(store_host_heartbeat(a->store, a->host, NULL), HF_FENCED);
}

struct failing_reads {
    pthread_t thread;
    atomic_int left;
};

static int fail_reads(enum shim_call call, bool log, void *arg)
{
    struct failing_reads *reads = arg;

    if (call != SHIM_READ || !log || !pthread_equal(pthread_self(), reads->thread) ||
        atomic_load(&reads->left) == 0)
        return SQLITE_OK;
    atomic_fetch_sub(&reads->left, 1);
    return SQLITE_IOERR_READ;
}

static void events_that_could_not_be_read_are_told_later(void **state)
{
    struct fixture *fixture = *state;
    struct failing_reads reads = {.left = 1};
    struct guest *a, *b;
    struct append_load load;
    uint64_t sid;

    /* No clock must wake the thread in the meantime, and no ring of before. */
    fixture->guests[0].identity.ttl_ms = fixture->guests[1].identity.ttl_ms = 0;
    a = enter(fixture, 0);
    b = enter(fixture, 1);
    reads.thread = ((struct sqlite_store *)fixture->store)->events.thread;
    sid = make_session(a, "s", &load);
    wait_for(b, EVENT_SESSIONS_CHANGED, sid);
    forget(b);
    usleep(50000);
    shim_set_hook(fail_reads, &reads);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    wait_for(b, EVENT_HEAD_MOVED, sid);
    assert_int_equal(atomic_load(&reads.left), 0);
    append_load_end(&load);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_host_of_a_handle_hears_what_concerns_it),
        TEST(a_lease_goes_to_those_who_wait_in_their_order),
        TEST(who_withdraws_gives_back_what_it_was_granted),
        TEST(nobody_is_called_once_it_is_detached),
        TEST(a_host_of_which_nothing_is_heard_dies_and_its_lease_goes_on),
        TEST(a_host_that_ends_leaves_its_lease_to_the_first_who_waits),
        TEST(who_waits_on_behalf_of_a_host_that_ends_is_fenced),
        TEST(the_same_host_again_goes_on_under_its_number),
        TEST(a_new_host_waits_for_the_lock_that_a_dying_process_has_of_its_number),
        TEST(a_host_that_is_just_being_registered_is_not_found_dead),
        TEST(a_registration_that_fails_takes_no_lock_from_another_one),
        TEST(a_handle_sees_its_own_locks_of_the_bell),
        TEST(a_mount_that_was_started_again_takes_the_place_of_the_older_one),
        TEST(a_host_moves_to_another_handle_and_back),
        TEST(hosts_come_back_to_a_server_that_was_restarted),
        TEST(hosts_of_a_killed_process_have_their_time_to_come_back),
        TEST(commits_of_many_hosts_share_transactions_and_syncs),
        TEST(what_the_writer_knows_is_read_again_only_when_another_has_written),
        TEST(hosts_come_and_go_and_pass_sessions_on),
        TEST(the_audit_trail_does_not_grow_for_ever),
        TEST(the_dead_are_buried_beside_one_whose_row_is_damaged),
        TEST(events_that_could_not_be_read_are_told_later),
    };

    shim_register();
    return cmocka_run_group_tests_name("host sessions of an SQLite store", tests, NULL, NULL);
}
