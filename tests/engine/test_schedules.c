/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts that ask for leases, hold them, are recalled, die and come back, in schedules drawn at random, with a clock that
 * the schedule turns. Whatever comes, no token is given twice, only the holder can commit, nobody passes one who waited
 * longer, and in the end everybody is served or refused.
 *
 * Over the memory engine everything happens on one thread, so that a seed says all. The sqlite engine has threads of its
 * own, which tell and bury when they come to it; there the
 * order of those who wait is left to the contract suite.
 *
 * HOLDFAST_SEED sets the seed, HOLDFAST_RUNS the number of schedules (over sqlite: one of 400).
 */
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/htable.h"
#include "engine/memory/memory.h"
#include "engine/open.h"
#include "scene.h"
#include "store/lease.h"

#define RUNS 4000
#define STEPS 300
#define HANDLES 2
#define HOSTS 4
#define SESSIONS 2
#define INBOX 64
#define EARS 4096
#define TTL_MS 30000
#define MS 1000000LL

/* --- the world ------------------------------------------------------------------------------------ */

/* What a host knows of a session. */
struct belief {
    uint64_t token; /* 0: it does not think that it holds it */
    bool pinned;    /* it would refuse */
    bool asking;
    uint32_t wait_ms;
    int64_t started, again;
};

/* The listener of one registration; what is told to an older one is about a host session that is over. */
struct ear {
    struct sim_host *host;
    uint64_t registration;
};

struct sim_host {
    struct sim *sim;
    struct ear ears[EARS];
    uint64_t registrations;
    unsigned handle;
    uint64_t incarnation;
    uint64_t number; /* 0: not registered */
    bool stopped;    /* it does nothing for now, and is not heard of */
    bool cut;        /* its server has gone: it must register again */
    struct store_event inbox[INBOX];
    size_t ninbox;
    struct belief beliefs[SESSIONS];
};

/* One who waits, as the simulation counts. */
struct place {
    uint64_t host; /* number */
    int64_t patient_until;
    bool doubtful; /* it was dead meanwhile */
};

struct sim_session {
    uint64_t sid, version;
    uint64_t last_token; /* the highest that anybody was given */
    uint64_t holder;
    struct place queue[HOSTS * 8];
    size_t nqueue;
};

struct sim {
    struct clock clock; /* first */
    atomic_int_least64_t now;
    uint64_t seed;
    bool pumped; /* else the engine's threads tell and bury */
    size_t nhandles;
    char url[128];
    pthread_mutex_t mutex; /* guards ears, registrations and inboxes */
    struct store *handles[HANDLES];
    struct sim_host hosts[HOSTS];
    struct sim_session sessions[SESSIONS];
    struct object_id root;
    unsigned grants, inherited, refused, fenced, resumed, lost;
};

static int64_t sim_now(const struct clock *clock)
{
    return atomic_load(&((struct sim *)clock)->now);
}

static uint64_t draw(struct sim *sim, uint64_t below)
{
    sim->seed += 0x9e3779b97f4a7c15ULL;
    return htable_hash_u64(sim->seed) % below;
}

static struct store *store_of(struct sim_host *host)
{
    return host->sim->handles[host->handle];
}

static void hear(const struct store_event *event, void *arg)
{
    const struct ear *ear = arg;
    struct sim_host *host = ear->host;

    pthread_mutex_lock(&host->sim->mutex);
    if (ear->registration == host->registrations) {
        if (host->ninbox < INBOX)
            host->inbox[host->ninbox++] = *event;
        else
            host->inbox[INBOX - 1] = (struct store_event){.kind = EVENT_MISSED};
    }
    pthread_mutex_unlock(&host->sim->mutex);
}

static void forget(struct sim_host *host)
{
    memset(host->beliefs, 0, sizeof host->beliefs);
    pthread_mutex_lock(&host->sim->mutex);
    host->ninbox = 0;
    pthread_mutex_unlock(&host->sim->mutex);
    host->number = 0;
}

/* --- what the simulation checks --------------------------------------------------------------------- */

static int note_alive(const struct host_info *info, void *arg)
{
    uint64_t *number = arg;

    if (info->host == *number && !info->alive)
        *number = 0;
    return 0;
}

static bool is_alive(struct sim *sim, uint64_t number)
{
    assert_int_equal(store_host_list(sim->handles[0], note_alive, &number, NULL), HF_OK);
    return number != 0;
}

static void drop_place(struct sim_session *session, uint64_t number)
{
    size_t kept = 0;

    for (size_t i = 0; i < session->nqueue; i++)
        if (session->queue[i].host != number)
            session->queue[kept++] = session->queue[i];
    session->nqueue = kept;
}

static void add_place(struct sim_session *session, uint64_t number, int64_t patient_until)
{
    for (size_t i = 0; i < session->nqueue; i++)
        if (session->queue[i].host == number)
            return;
    assert_true(session->nqueue < sizeof session->queue / sizeof session->queue[0]);
    session->queue[session->nqueue++] = (struct place){number, patient_until, false};
}

/* The holder has changed to `next`: nobody who lives and has patience was before it. */
static void check_turn(struct sim *sim, struct sim_session *session, uint64_t next)
{
    for (size_t i = 0; i < session->nqueue; i++) {
        const struct place *place = &session->queue[i];

        if (place->host == next)
            return;
        if (!place->doubtful && sim->now < place->patient_until && is_alive(sim, place->host))
            fail_msg("host %" PRIu64 " was passed by host %" PRIu64, place->host, next);
    }
}

struct held {
    uint64_t sid, token, host;
};

struct held_list {
    struct held leases[SESSIONS];
    size_t n;
};

static int note_held(const struct lease_info *info, void *arg)
{
    struct held_list *list = arg;

    assert_true(list->n < SESSIONS);
    list->leases[list->n++] = (struct held){info->sid, info->token, info->host};
    return 0;
}

static void check_held(struct sim *sim, struct sim_session *session, const struct held *held)
{
    assert_true(held->token >= session->last_token);
    if (held->token > session->last_token) {
        if (sim->pumped) /* else a restart may give a place back, or not */
            check_turn(sim, session, held->host);
        sim->grants++;
        session->last_token = held->token;
    } else {
        assert_int_equal(held->host, session->holder);
    }
    session->holder = held->host;
    drop_place(session, held->host);
}

/* Who is dead loses its place. But a server that is restarted before it has noticed takes it for alive again, and the
 * place may or may not be there. */
static void doubt_dead(struct sim *sim, struct sim_session *session)
{
    for (size_t i = 0; i < session->nqueue; i++)
        session->queue[i].doubtful |= !is_alive(sim, session->queue[i].host);
}

/* After each step: tokens only grow, and a token has one holder. */
static void check(struct sim *sim)
{
    struct held_list list = {.n = 0};

    assert_int_equal(store_lease_list(sim->handles[0], note_held, &list, NULL), HF_OK);
    for (size_t i = 0; i < SESSIONS; i++) {
        struct sim_session *session = &sim->sessions[i];
        const struct held *found = NULL;

        for (size_t j = 0; j < list.n; j++)
            if (list.leases[j].sid == session->sid)
                found = &list.leases[j];
        if (found)
            check_held(sim, session, found);
        else
            session->holder = 0;
        doubt_dead(sim, session);
    }
}

/* --- what hosts do -------------------------------------------------------------------------------------- */

static void register_host(struct sim_host *host)
{
    struct sim *sim = host->sim;
    char name[32];
    struct host_identity identity = {
        .incarnation = host->incarnation, .host_name = name, .ttl_ms = TTL_MS};
    struct ear *ear = &host->ears[host->registrations % EARS];
    struct store_listener listener = {.event = hear, .arg = ear};
    uint64_t before = host->number;

    pthread_mutex_lock(&sim->mutex);
    *ear = (struct ear){host, ++host->registrations};
    pthread_mutex_unlock(&sim->mutex);

    snprintf(name, sizeof name, "host-%zu", (size_t)(host - sim->hosts));
    identity.mount_id[0] = (uint8_t)(1 + (host - sim->hosts));
    host->handle = (unsigned)draw(sim, sim->nhandles);
    assert_int_equal(store_host_register(store_of(host), &identity, &listener, &host->number, NULL),
                     HF_OK);
    host->cut = false;
    if (host->number != before) { /* a new life */
        uint64_t number = host->number;

        forget(host);
        host->number = number;
    }
    sim->resumed += host->number == before;
}

/* The daemon is started anew, knowing nothing. */
static void restart(struct sim_host *host)
{
    forget(host);
    host->stopped = false;
    host->incarnation++;
    register_host(host);
}

static void lose(struct sim_host *host)
{
    host->sim->lost++;
    forget(host);
}

static void ask(struct sim_host *host, size_t i)
{
    struct sim *sim = host->sim;
    struct sim_session *session = &sim->sessions[i];
    struct belief *belief = &host->beliefs[i];
    uint64_t holder = session->holder;
    struct lease lease;
    int rc = store_lease_ask(store_of(host), host->number, session->sid, belief->wait_ms, &lease,
                             &belief->again, NULL);

    if (rc == HF_PENDING) {
        if (!belief->asking)
            belief->started = sim->now;
        add_place(session, host->number, belief->started + (int64_t)belief->wait_ms * MS);
        belief->asking = true;
        assert_true(belief->again > sim->now);
        return;
    }
    sim->inherited += rc == HF_OK && belief->asking && holder == host->number;
    sim->refused += rc == HF_BUSY;
    belief->asking = false;
    if (rc != HF_OK) /* else check() does, when it has seen whose turn it was */
        drop_place(session, host->number);
    if (rc == HF_FENCED) {
        lose(host);
        return;
    }
    assert_true(rc == HF_OK || rc == HF_BUSY);
    if (rc == HF_OK) {
        assert_true(lease.token >= belief->token && lease.head.version == session->version);
        belief->token = lease.token;
    }
}

/* What a change must answer. Who dies by time may lose its lease between the steps, but over a pumped engine. */
static void check_answer(struct sim_host *host, int rc, bool mine)
{
    if (mine && rc == HF_FENCED && !host->sim->pumped && !is_alive(host->sim, host->number))
        return;
    assert_int_equal(rc, mine ? HF_OK : HF_FENCED);
}

static void release(struct sim_host *host, size_t i)
{
    struct sim_session *session = &host->sim->sessions[i];
    struct belief *belief = &host->beliefs[i];
    bool mine = session->holder == host->number && session->last_token == belief->token;
    int rc = store_lease_release(store_of(host), host->number, session->sid, belief->token, NULL);

    check_answer(host, rc, mine);
    belief->token = 0;
    belief->pinned = false;
}

static void commit(struct sim_host *host, size_t i)
{
    struct sim_session *session = &host->sim->sessions[i];
    struct belief *belief = &host->beliefs[i];
    bool mine = session->holder == host->number && session->last_token == belief->token;
    struct commit change = {.sid = session->sid,
                            .token = belief->token,
                            .base_version = session->version,
                            .root = host->sim->root};
    uint64_t version;
    int rc = store_commit(store_of(host), host->number, &change, &version, NULL);

    check_answer(host, rc, mine);
    if (rc == HF_OK)
        session->version = version;
    else
        belief->token = 0;
    host->sim->fenced += rc != HF_OK;
}

static void withdraw(struct sim_host *host, size_t i)
{
    struct sim_session *session = &host->sim->sessions[i];

    assert_int_equal(store_lease_withdraw(store_of(host), host->number, session->sid, NULL), HF_OK);
    host->beliefs[i].asking = false;
    drop_place(session, host->number);
}

/* The answer to a recall that was heard, maybe long after it was sent. */
static void answer(struct sim_host *host, size_t i, uint64_t token)
{
    struct sim_session *session = &host->sim->sessions[i];
    struct belief *belief = &host->beliefs[i];

    if (belief->asking) /* it may have it, and not know */
        ask(host, i);
    if (host->number == 0 || belief->token != token)
        return;
    if (belief->pinned)
        store_lease_refuse(store_of(host), host->number, session->sid, token, "pinned", NULL);
    else
        release(host, i);
}

static void take(struct sim_host *host, const struct store_event *event)
{
    for (size_t i = 0; i < SESSIONS && host->number != 0; i++) {
        struct belief *belief = &host->beliefs[i];
        bool about = event->sid == host->sim->sessions[i].sid;

        if (event->kind == EVENT_MISSED && belief->asking)
            ask(host, i);
        else if (!about)
            continue;
        else if (event->kind == EVENT_LEASE_RECALLED)
            answer(host, i, event->token);
        else if (event->kind == EVENT_LEASE_ANSWERED && belief->asking)
            ask(host, i);
        else if (event->kind == EVENT_LEASE_LOST && belief->token == event->token)
            belief->token = 0;
    }
    if (event->kind == EVENT_HOST_LOST && host->number != 0)
        lose(host);
}

static void read_inbox(struct sim_host *host)
{
    struct store_event events[INBOX];
    size_t n;

    pthread_mutex_lock(&host->sim->mutex);
    n = host->ninbox;
    memcpy(events, host->inbox, n * sizeof events[0]);
    host->ninbox = 0;
    pthread_mutex_unlock(&host->sim->mutex);
    for (size_t i = 0; i < n && host->number != 0; i++)
        take(host, &events[i]);
}

static void heartbeat(struct sim_host *host)
{
    int rc = store_host_heartbeat(store_of(host), host->number, NULL);

    assert_true(rc == HF_OK || rc == HF_FENCED);
    if (rc == HF_FENCED)
        lose(host);
}

/* --- what happens to them ------------------------------------------------------------------------------- */

static void begin_asking(struct sim_host *host, size_t i)
{
    static const uint32_t patience[] = {0, 300, 3000, 100000};

    if (host->beliefs[i].token != 0 || host->beliefs[i].asking)
        return;
    host->beliefs[i].wait_ms = patience[draw(host->sim, 4)];
    ask(host, i);
}

static void use(struct sim_host *host, size_t i)
{
    struct belief *belief = &host->beliefs[i];

    if (belief->token == 0)
        begin_asking(host, i);
    else if (draw(host->sim, 3) == 0)
        release(host, i);
    else if (draw(host->sim, 2) == 0)
        belief->pinned = !belief->pinned;
    else
        commit(host, i);
}

static void come_and_go(struct sim_host *host)
{
    switch (draw(host->sim, 5)) {
    case 0:
        store_host_detach(store_of(host), host->number, 2000, NULL);
        break;
    case 1: /* over another connection */
        register_host(host);
        break;
    case 2:
        restart(host);
        break;
    case 3:
        host->stopped = true;
        break;
    default:
        store_host_end(store_of(host), host->number, NULL);
        forget(host);
    }
}

static void break_lease(struct sim *sim)
{
    struct sim_session *session = &sim->sessions[draw(sim, SESSIONS)];
    int rc = store_lease_break(sim->handles[0], session->sid, session->last_token, "drawn", NULL);

    if (sim->pumped)
        assert_int_equal(rc, session->holder ? HF_OK : HF_CONFLICT);
    else
        assert_true(rc == HF_OK || rc == HF_CONFLICT);
}

static void open_handle(struct sim *sim, size_t which)
{
    struct hf_error err = {0};

    if (store_open(sim->url, STORE_CREATE, NULL, &sim->clock, &sim->handles[which], &err) != HF_OK)
        fail_msg("cannot open %s: %s", sim->url, err.message);
    if (sim->pumped)
        memory_store_set_pumped(sim->handles[which]);
}

/* A server goes and comes back: its hosts may go on through any other. */
static void reopen(struct sim *sim)
{
    size_t which = draw(sim, sim->nhandles);

    store_close(sim->handles[which]);
    open_handle(sim, which);
    for (size_t i = 0; i < HOSTS; i++)
        sim->hosts[i].cut |= sim->hosts[i].handle == which;
}

static void pump(struct sim *sim, size_t which)
{
    if (sim->pumped)
        memory_store_pump(sim->handles[which]);
}

static void act(struct sim_host *host)
{
    size_t session = draw(host->sim, SESSIONS);

    if (host->stopped) {
        host->stopped = draw(host->sim, 8) != 0;
        return;
    }
    if (host->number == 0 || host->cut) {
        register_host(host);
        return;
    }
    switch (draw(host->sim, 16)) {
    case 0:
        come_and_go(host);
        break;
    case 1:
    case 2:
        heartbeat(host);
        break;
    case 3:
        if (host->beliefs[session].asking)
            withdraw(host, session);
        break;
    case 4:
    case 5:
    case 6:
        read_inbox(host);
        break;
    case 7:
    case 8:
        if (host->beliefs[session].asking)
            ask(host, session);
        break;
    default:
        use(host, session);
    }
}

static void step(struct sim *sim)
{
    static const int64_t leaps[] = {1, 20, 150, 1100, 2500, 9000};
    uint64_t what = draw(sim, 40);

    if (what < 24)
        act(&sim->hosts[draw(sim, HOSTS)]);
    else if (what < 32)
        pump(sim, draw(sim, sim->nhandles));
    else if (what < 38)
        sim->now += leaps[draw(sim, 6)] * MS;
    else if (what == 38)
        break_lease(sim);
    else
        reopen(sim);
    check(sim);
}

/* --- the end: everybody answers, and everybody is served or refused ------------------------------------- */

static void settle_host(struct sim_host *host)
{
    host->stopped = false;
    if (host->number == 0)
        register_host(host);
    heartbeat(host);
    if (host->number == 0)
        return;
    read_inbox(host);
    for (size_t i = 0; i < SESSIONS && host->number != 0; i++) {
        struct belief *belief = &host->beliefs[i];

        belief->pinned = false;
        if (belief->asking && host->sim->now >= belief->again)
            ask(host, i);
    }
}

static void settle(struct sim *sim)
{
    /* Who does not answer for its TTL is dead, and who waits has 100 s of patience. */
    for (int i = 0; i < 2000; i++) {
        bool asking = false;

        for (size_t j = 0; j < HOSTS && i == 0; j++)
            register_host(&sim->hosts[j]); /* contact is back */
        for (size_t j = 0; j < sim->nhandles; j++)
            pump(sim, j);
        for (size_t j = 0; j < HOSTS; j++) {
            settle_host(&sim->hosts[j]);
            check(sim);
            for (size_t k = 0; k < SESSIONS; k++)
                asking |= sim->hosts[j].beliefs[k].asking;
        }
        if (!asking)
            return;
        sim->now += 100 * MS;
    }
    fail_msg("somebody is neither served nor refused");
}

/* --- runs ------------------------------------------------------------------------------------------------ */

static void make_sessions(struct sim *sim)
{
    struct scene scene;

    scene_init(&scene, sim->handles[0]);
    sim->root = scene_note(&scene, "note");
    for (size_t i = 0; i < SESSIONS; i++) {
        struct commit first = scene_commit(&scene, 0, 0, 0, sim->root);
        struct lease lease;
        char name[16];

        snprintf(name, sizeof name, "session-%zu", i);
        assert_int_equal(store_session_create(sim->handles[0], 0, name, &first, &lease, NULL),
                         HF_OK);
        sim->sessions[i] = (struct sim_session){.sid = lease.sid, .version = 1};
    }
    scene_clear(&scene);
}

static void run(struct sim *sim, const char *url, uint64_t seed)
{
    memset(sim, 0, sizeof *sim);
    sim->clock = (struct clock){sim_now, sim_now};
    sim->now = 1000 * MS;
    sim->seed = seed;
    sim->pumped = strncmp(url, "memory:", 7) == 0;
    snprintf(sim->url, sizeof sim->url, "%s", url);
    pthread_mutex_init(&sim->mutex, NULL);
    sim->nhandles = sim->pumped ? HANDLES : 1; /* each would give a grace of its own */
    for (size_t i = 0; i < sim->nhandles; i++)
        open_handle(sim, i);
    make_sessions(sim);
    for (size_t i = 0; i < HOSTS; i++) {
        sim->hosts[i].sim = sim;
        sim->hosts[i].incarnation = 1;
    }
    for (int i = 0; i < STEPS; i++)
        step(sim);
    settle(sim);
    for (size_t i = 0; i < sim->nhandles; i++)
        store_close(sim->handles[i]);
    pthread_mutex_destroy(&sim->mutex);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text ? strtoull(text, NULL, 10) : otherwise;
}

static struct sim sim;
static uint64_t last_seed;

static int tell_seed(void **state)
{
    (void)state;
    print_message("the last seed was %" PRIu64 "\n", last_seed);
    return 0;
}

/* What happened in all runs. */
struct tally {
    unsigned grants, inherited, refused, fenced, resumed, lost;
};

static void count(struct tally *tally)
{
    tally->grants += sim.grants;
    tally->inherited += sim.inherited;
    tally->refused += sim.refused;
    tally->fenced += sim.fenced;
    tally->resumed += sim.resumed;
    tally->lost += sim.lost;
}

static void run_all(uint64_t runs, void (*run_one)(uint64_t seed))
{
    struct tally all = {0};
    uint64_t seed = 0;

    assert_int_equal(getrandom(&seed, 4, 0), 4);
    seed = number_from("HOLDFAST_SEED", seed);
    for (uint64_t i = 0; i < runs; i++) {
        last_seed = seed + i;
        run_one(last_seed);
        count(&all);
    }
    print_message("%" PRIu64 " schedules: %u grants, %u of them inherited, %u refusals, %u late "
                  "commits, %u resumed, %u lost\n",
                  runs, all.grants, all.inherited, all.refused, all.fenced, all.resumed, all.lost);
    if (runs >= RUNS) /* all of it happens */
        assert_true(all.grants && all.inherited && all.refused && all.fenced && all.resumed &&
                    all.lost);
}

static void run_memory(uint64_t seed)
{
    run(&sim, "memory:schedules", seed);
}

static void every_schedule_keeps_one_writer_and_serves_everybody(void **state)
{
    (void)state;
    run_all(number_from("HOLDFAST_RUNS", RUNS), run_memory);
}

static void run_sqlite(uint64_t seed)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-bell"};
    char folder[] = "/tmp/holdfast-schedules-XXXXXX", url[100], name[100];

    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:%s/store.db", folder);
    run(&sim, url, seed);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s/store.db%s", folder, ends[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(folder), 0);
}

static void every_schedule_over_sqlite_does_so_too(void **state)
{
    (void)state;
    run_all((number_from("HOLDFAST_RUNS", RUNS) + 399) / 400, run_sqlite);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(every_schedule_keeps_one_writer_and_serves_everybody, tell_seed),
        cmocka_unit_test_teardown(every_schedule_over_sqlite_does_so_too, tell_seed),
    };

    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("schedules", tests, NULL, NULL);
}
