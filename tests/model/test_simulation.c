/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts, a server and the network between them, on one thread, with a clock that the schedule turns. What is not
 * simulated is the code that runs: the host's contact machine, and behind the server the memory engine with the
 * lease's, the queue's and the host session's. The network delays, loses, repeats and reorders messages and is
 * partitioned in one or both directions; hosts stop, go on and are killed; their clocks drift; the server is
 * killed and started again. Then the faults end, and everybody must be served.
 *
 *     test_simulation [--runs N] [--seed S] [--trace 1]      prints the seed of a schedule that
 *                                                  breaks a rule
 *
 * docs/spec/leases.md says which rules these are.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#include "engine/memory/memory.h"
#include "scene.h"
#include "store/contact.h"
#include "store/lease.h"

#define RUNS 1000
#define HOSTS 3
#define SESSIONS 2
#define OPS 200
#define EARS 2048
#define EVENTS 4096
#define MS ((int64_t)1000000)
#define S (1000 * MS)
#define TTL_MS 10000
#define PATIENCE_MS 3000
#define FAULTY_NS (90 * S) /* so long there are faults */
#define SETTLE_NS (40 * S) /* so long after them everybody may take to be served */
#define RESEND_NS (2 * S)  /* what is not answered by then is sent again on a new connection */

/* --- what is simulated ------------------------------------------------------------------------------ */

enum kind {
    /* to the server */
    M_REGISTER,
    M_BEAT,
    M_ASK,
    M_CANCEL,
    M_RELEASE,
    M_REFUSE,
    M_COMMIT,
    M_RESCUE,
    /* to a host */
    M_REGISTERED,
    M_RENEWED,
    M_DEAD,
    M_ANSWER,
    M_RECALL,
    M_LEASE_LOST,
    M_CUT,
    /* to nobody: things that happen */
    E_HOST,
    E_SERVER,
    E_CLOSED,
};

struct event {
    int64_t at;
    uint64_t order;
    enum kind kind;
    unsigned host; /* from or to */
    uint64_t conn; /* of this host */
    uint64_t id;   /* of the request */
    uint64_t num;  /* the host session */
    unsigned slot; /* which session */
    uint64_t token, version;
    unsigned op;
    bool retry;
    int status;
};

enum view_state { V_IDLE, V_ASKING, V_HOLDING, V_COMMITTING, V_RELEASING, V_RESCUING };

/* What a host knows of a session. */
struct view {
    enum view_state state;
    uint64_t num, token, version, id;
    int64_t since; /* of the request, host's clock; of an ask: when it was first made, ours */
    unsigned op;
    bool recalled;
    uint64_t early; /* recalled before the grant was known */
};

struct sim_host {
    struct contact contact;
    uint64_t num, conn, incarnation, next_id;
    bool connected;
    int64_t connected_at, offset, drift; /* drift: in thousandths */
    int64_t resumes;                     /* paused until then */
    int64_t sent[2];                     /* when REGISTER and BEAT were last sent, host's clock */
    int64_t wake;
    struct view views[SESSIONS];
};

/* An ask that waits at the server. */
struct wait {
    bool active;
    struct event ask;
    int64_t again;
};

struct ear {
    struct sim *sim;
    unsigned host;
    uint64_t conn, num;
};

enum fate { OP_NONE, OP_OPEN, OP_ACKED, OP_RESCUED, OP_ORPHANED };

/* What may be broken on purpose, to see that it is found. */
struct rules {
    bool late_writer; /* the server lets a stale token pass */
    bool blind_retry; /* a commit that is sent again is acknowledged without a look */
    bool no_retry;    /* it is refused without a look */
    bool no_fence;    /* a host does not mind its deadline */
    bool from_answer; /* a host counts from the answer */
    bool lost_work;   /* a host does not rescue */
    bool no_answers;  /* the server forgets who waits */
};

struct sim {
    struct clock clock;
    int64_t now;
    uint64_t random;
    const struct rules *rules;
    struct store *anchor, *server; /* server: NULL while it is down */
    uint64_t sid[SESSIONS];
    struct event events[EVENTS];
    size_t nevents;
    uint64_t order;
    struct sim_host hosts[HOSTS];
    struct wait waits[HOSTS][SESSIONS];
    uint64_t server_conn[HOSTS];
    uint64_t detached[HOSTS]; /* host session that the server was told is cut off */
    struct ear ears[EARS];
    size_t nears;
    int64_t blocked[HOSTS][2]; /* partitioned until: to the server, to the host */
    int64_t quiet;             /* from when on there are no faults */
    uint64_t last_audit, granted_token[SESSIONS], granted_host[SESSIONS];
    uint64_t checked_version[SESSIONS], last_token[SESSIONS];
    enum fate fate[OPS];
    unsigned applied[OPS]; /* how often */
    unsigned ops;
    uint64_t commits, fenced, grants, takeovers, rescues;
    char fault[160];
};

/* The roots that operations commit, the same in all runs. */
static struct scene scene;
static struct object_id roots[OPS];
static size_t object_of[OPS];

static uint64_t draw(struct sim *sim, uint64_t below)
{
    sim->random ^= sim->random << 13;
    sim->random ^= sim->random >> 7;
    sim->random ^= sim->random << 17;
    return (sim->random >> 11) % below;
}

static bool chance(struct sim *sim, unsigned percent)
{
    return draw(sim, 100) < percent;
}

static void fault(struct sim *sim, const char *what, uint64_t a, uint64_t b)
{
    if (!sim->fault[0])
        snprintf(sim->fault, sizeof sim->fault, "%s (%" PRIu64 ", %" PRIu64 ") at %.3f s", what, a,
                 b, (double)sim->now / 1e9);
}

static int64_t sim_time(const struct clock *clock)
{
    const struct sim *sim = (const struct sim *)((const char *)clock - offsetof(struct sim, clock));

    return sim->now;
}

static int64_t local_time(const struct sim *sim, const struct sim_host *host)
{
    return host->offset + sim->now + sim->now / 1000 * host->drift;
}

/* --- the network ------------------------------------------------------------------------------------ */

static void at(struct sim *sim, int64_t when, struct event event)
{
    event.at = when;
    event.order = sim->order++;
    if (sim->nevents < EVENTS)
        sim->events[sim->nevents++] = event;
    else
        fault(sim, "too many events", 0, 0);
}

static bool quiet(const struct sim *sim)
{
    return sim->now >= sim->quiet;
}

static int64_t delay(struct sim *sim)
{
    int64_t ns = (1 + (int64_t)draw(sim, 40)) * MS;

    if (!quiet(sim) && chance(sim, 5))
        ns += (int64_t)draw(sim, 4000) * MS;
    return ns;
}

/* What a connection delivers once at most, and what it may deliver in effect again: a copy that was sent on the one
 * before. */
static bool may_repeat(const struct event *event)
{
    return event->retry || event->kind == M_BEAT || event->kind == M_REFUSE ||
           event->kind == M_RECALL;
}

static void send(struct sim *sim, struct event event, bool to_host)
{
    if (sim->now < sim->blocked[event.host][to_host] || (!quiet(sim) && chance(sim, 3)))
        return;
    at(sim, sim->now + delay(sim), event);
    if (!quiet(sim) && may_repeat(&event) && chance(sim, 10))
        at(sim, sim->now + delay(sim), event);
}

/* --- what must be true ------------------------------------------------------------------------------ */

static int check_grant(const struct audit_entry *entry, void *arg)
{
    struct sim *sim = arg;

    sim->last_audit = entry->id;
    for (unsigned slot = 0; slot < SESSIONS; slot++) {
        if (entry->sid != sim->sid[slot] ||
            (entry->event != AUDIT_GRANT && entry->event != AUDIT_TAKEOVER))
            continue;
        sim->grants++;
        sim->takeovers += entry->event == AUDIT_TAKEOVER;
        if (entry->token <= sim->granted_token[slot])
            fault(sim, "a token was granted again", entry->token, sim->granted_token[slot]);
        sim->granted_token[slot] = entry->token;
        sim->granted_host[slot] = entry->host;
    }
    return 0;
}

static unsigned op_of_root(const struct object_id *root)
{
    for (unsigned op = 1; op < OPS; op++)
        if (memcmp(root, &roots[op], sizeof *root) == 0)
            return op;
    return 0;
}

struct history_check {
    struct sim *sim;
    unsigned slot;
    uint64_t next;
};

/* From the newest down to the last one that was looked at. */
static int check_version(const struct history_entry *entry, void *arg)
{
    struct history_check *check = arg;
    struct sim *sim = check->sim;
    unsigned op = op_of_root(&entry->root);

    if (entry->version != check->next)
        fault(sim, "the history has a gap", entry->version, check->next);
    check->next--;
    if (entry->version <= sim->checked_version[check->slot])
        return 1;
    if (entry->version == 1)
        return 0;
    if (++sim->applied[op] > 1)
        fault(sim, "a commit was applied twice", op, entry->version);
    if (entry->token != sim->granted_token[check->slot] ||
        entry->host != sim->granted_host[check->slot])
        fault(sim, "a commit was accepted that is not the holder's", entry->token,
              sim->granted_token[check->slot]);
    return 0;
}

/* After every commit: it is made under the last grant that the trail tells of. */
static void check_store(struct sim *sim)
{
    store_audit(sim->anchor, UINT64_MAX, sim->last_audit + 1, check_grant, sim, NULL);
    for (unsigned slot = 0; slot < SESSIONS; slot++) {
        struct session_head head;
        struct history_check check = {sim, slot, 0};

        if (store_session_head(sim->anchor, sim->sid[slot], &head, NULL) != HF_OK)
            continue;
        if (head.version == sim->checked_version[slot])
            continue;
        check.next = head.version;
        store_history(sim->anchor, sim->sid[slot], head.version, 0, check_version, &check, NULL);
        sim->checked_version[slot] = head.version;
    }
}

static bool believes(const struct sim *sim, const struct sim_host *host, unsigned slot)
{
    const struct view *view = &host->views[slot];

    return (view->state == V_HOLDING || view->state == V_COMMITTING) && view->num == host->num &&
           (local_time(sim, host) < contact_deadline(&host->contact) ||
            (sim->rules->no_fence && host->num != 0));
}

static int find_lease(const struct lease_info *info, void *arg)
{
    struct lease_info *wanted = arg;

    if (info->sid != wanted->sid)
        return 0;
    wanted->token = info->token;
    wanted->host = info->host;
    wanted->nwaiting = info->nwaiting;
    return 1;
}

/* Who believes that it holds a lease, within its deadline, does hold it: so two never do. Except where the server
 * took the end of a connection for the end of its host. */
static void check_beliefs(struct sim *sim)
{
    for (unsigned slot = 0; slot < SESSIONS; slot++)
        for (unsigned i = 0; i < HOSTS; i++) {
            const struct sim_host *host = &sim->hosts[i];
            struct lease_info info = {.sid = sim->sid[slot]};

            if (!believes(sim, host, slot) || sim->detached[i] == host->num)
                continue;
            store_lease_list(sim->anchor, find_lease, &info, NULL);
            if (info.token != host->views[slot].token || info.host != host->num)
                fault(sim, "a host believes in a lease that is not its own", host->num,
                      host->views[slot].token);
        }
}

/* --- the server ------------------------------------------------------------------------------------- */

static void reply(struct sim *sim, const struct event *request, enum kind kind, int status)
{
    struct event event = *request;

    event.kind = kind;
    event.status = status;
    send(sim, event, true);
}

static void hear(const struct store_event *event, void *arg)
{
    struct ear *ear = arg;
    struct sim *sim = ear->sim;
    struct event notice = {
        .host = ear->host, .conn = ear->conn, .num = ear->num, .token = event->token};

    for (notice.slot = 0; notice.slot < SESSIONS; notice.slot++)
        if (sim->sid[notice.slot] == event->sid)
            break;
    if (event->kind == EVENT_LEASE_ANSWERED && notice.slot < SESSIONS)
        sim->waits[ear->host][notice.slot].again = sim->now;
    notice.kind = event->kind == EVENT_LEASE_RECALLED ? M_RECALL
                  : event->kind == EVENT_LEASE_LOST   ? M_LEASE_LOST
                                                      : M_DEAD;
    if ((event->kind == EVENT_LEASE_RECALLED || event->kind == EVENT_LEASE_LOST ||
         event->kind == EVENT_HOST_LOST) &&
        (notice.slot < SESSIONS || event->kind == EVENT_HOST_LOST))
        send(sim, notice, true);
}

/* Nobody at the other end waits any more. */
static void drop_waits(struct sim *sim, unsigned host)
{
    for (unsigned slot = 0; slot < SESSIONS; slot++) {
        struct wait *wait = &sim->waits[host][slot];

        if (wait->active)
            store_lease_withdraw(sim->server, wait->ask.num, sim->sid[slot], NULL);
        wait->active = false;
    }
}

static void serve_register(struct sim *sim, struct event *request)
{
    struct host_identity identity = {
        .host_id = {(uint8_t)(request->host + 1)},
        .mount_id = {1},
        .incarnation = request->version,
        .host_name = "host",
        .principal = "p",
        .ttl_ms = TTL_MS,
    };
    struct ear *ear = &sim->ears[sim->nears];
    struct store_listener listener = {.event = hear, .arg = ear};
    int rc;

    if (request->conn <= sim->server_conn[request->host] || sim->nears == EARS)
        return; /* of a connection that was given up long ago */
    drop_waits(sim, request->host);
    *ear = (struct ear){sim, request->host, request->conn, 0};
    sim->nears++;
    rc = store_host_register(sim->server, &identity, &listener, &ear->num, NULL);
    if (rc != HF_OK)
        return;
    sim->server_conn[request->host] = request->conn;
    if (sim->detached[request->host] == ear->num)
        sim->detached[request->host] = 0;
    request->num = ear->num;
    reply(sim, request, M_REGISTERED, HF_OK);
}

static void ask(struct sim *sim, struct wait *wait)
{
    struct lease lease = {0};
    struct event answer = wait->ask;
    int rc = store_lease_ask(sim->server, wait->ask.num, sim->sid[wait->ask.slot], PATIENCE_MS,
                             &lease, &wait->again, NULL);

    if (rc == HF_PENDING || sim->rules->no_answers)
        return;
    wait->active = false;
    answer.token = lease.token;
    answer.version = lease.head.version;
    reply(sim, &answer, M_ANSWER, rc);
}

static void serve_ask(struct sim *sim, struct event *request)
{
    struct wait *wait = &sim->waits[request->host][request->slot];

    if (request->conn != sim->server_conn[request->host])
        return; /* nobody would hear the answer */
    wait->ask = *request;
    wait->active = true;
    ask(sim, wait);
}

static void serve_cancel(struct sim *sim, struct event *request)
{
    struct wait *wait = &sim->waits[request->host][request->slot];

    if (!wait->active || wait->ask.id != request->id || wait->ask.conn != request->conn)
        return;
    wait->active = false;
    store_lease_withdraw(sim->server, request->num, sim->sid[request->slot], NULL);
}

static int is_version(const struct history_entry *entry, void *arg)
{
    const struct event *request = arg;

    return entry->version == request->version + 1 && entry->host == request->num &&
                   entry->token == request->token && op_of_root(&entry->root) == request->op
               ? 1
               : 2;
}

static bool was_done(struct sim *sim, struct event *request)
{
    if (!request->retry || sim->rules->no_retry)
        return false;
    return sim->rules->blind_retry ||
           store_history(sim->server, sim->sid[request->slot], request->version + 1, 1, is_version,
                         request, NULL) == 1;
}

static void serve_commit(struct sim *sim, struct event *request)
{
    struct commit commit = scene_commit(&scene, sim->sid[request->slot], request->token,
                                        request->version, roots[request->op]);
    uint64_t version, host = request->num;
    int rc;

    commit.objects = &scene.objects[object_of[request->op]];
    commit.nobjects = 1;
    if (sim->rules->late_writer && request->token != sim->granted_token[request->slot]) {
        commit.token = sim->granted_token[request->slot];
        host = sim->granted_host[request->slot];
    }
    rc = store_commit(sim->server, host, &commit, &version, NULL);
    sim->commits += rc == HF_OK;
    sim->fenced += rc == HF_FENCED;
    if ((rc == HF_FENCED || rc == HF_CONFLICT) && was_done(sim, request))
        rc = HF_OK;
    reply(sim, request, M_ANSWER, rc);
}

static void serve_rescue(struct sim *sim, struct event *request)
{
    struct commit commit = scene_commit(&scene, sim->sid[request->slot], request->token,
                                        request->version, roots[request->op]);
    uint64_t id;

    commit.objects = &scene.objects[object_of[request->op]];
    commit.nobjects = 1;
    reply(sim, request, M_ANSWER,
          store_rescue(sim->server, request->num, &commit, "the lease was lost", &id, NULL));
}

static void serve(struct sim *sim, struct event *request)
{
    uint64_t sid = sim->sid[request->slot];
    int rc;

    if (!sim->server)
        return;
    switch (request->kind) {
    case M_REGISTER:
        serve_register(sim, request);
        break;
    case M_BEAT:
        rc = store_host_heartbeat(sim->server, request->num, NULL);
        reply(sim, request, rc == HF_OK ? M_RENEWED : M_DEAD, rc);
        break;
    case M_ASK:
        serve_ask(sim, request);
        break;
    case M_CANCEL:
        serve_cancel(sim, request);
        break;
    case M_RELEASE:
        store_lease_release(sim->server, request->num, sid, request->token, NULL);
        reply(sim, request, M_ANSWER, HF_OK);
        break;
    case M_REFUSE:
        store_lease_refuse(sim->server, request->num, sid, request->token, "pinned", NULL);
        break;
    case M_COMMIT:
        serve_commit(sim, request);
        break;
    default:
        serve_rescue(sim, request);
        break;
    }
}

/* Events, waits whose time has come, host sessions whose time is over. */
static void run_server(struct sim *sim)
{
    if (!sim->server)
        return;
    memory_store_pump(sim->server);
    for (unsigned host = 0; host < HOSTS; host++)
        for (unsigned slot = 0; slot < SESSIONS; slot++)
            if (sim->waits[host][slot].active && !sim->rules->no_answers &&
                sim->waits[host][slot].again <= sim->now)
                ask(sim, &sim->waits[host][slot]);
    memory_store_pump(sim->server);
}

static void start_server(struct sim *sim)
{
    if (sim->server)
        return;
    if (memory_store_open("simulation", 0, NULL, &sim->clock, &sim->server, NULL) != HF_OK) {
        fault(sim, "the server does not start", 0, 0);
        return;
    }
    memory_store_set_pumped(sim->server);
}

static void kill_server(struct sim *sim)
{
    if (!sim->server)
        return;
    memory_store_kill(sim->server);
    store_close(sim->server);
    sim->server = NULL;
    memset(sim->waits, 0, sizeof sim->waits);
    for (unsigned host = 0; host < HOSTS; host++)
        send(sim, (struct event){.kind = M_CUT, .host = host, .conn = sim->hosts[host].conn}, true);
    at(sim, sim->now + (int64_t)draw(sim, 3000) * MS, (struct event){.kind = E_SERVER});
}

/* --- a host ----------------------------------------------------------------------------------------- */

static void send_view(struct sim *sim, unsigned i, unsigned slot, bool retry)
{
    static const enum kind kinds[] = {[V_ASKING] = M_ASK,
                                      [V_COMMITTING] = M_COMMIT,
                                      [V_RELEASING] = M_RELEASE,
                                      [V_RESCUING] = M_RESCUE};
    struct sim_host *host = &sim->hosts[i];
    struct view *view = &host->views[slot];

    view->id = ++host->next_id;
    send(sim,
         (struct event){.kind = kinds[view->state],
                        .host = i,
                        .conn = host->conn,
                        .id = view->id,
                        .num = view->num,
                        .slot = slot,
                        .token = view->token,
                        .version = view->version,
                        .op = view->op,
                        .retry = retry},
         false);
}

static void begin(struct sim *sim, unsigned i, unsigned slot, enum view_state state)
{
    struct view *view = &sim->hosts[i].views[slot];

    view->state = state;
    view->since = sim->now;
    send_view(sim, i, slot, false);
}

static void forget_lease(struct view *view)
{
    *view = (struct view){.id = view->id};
}

/* The lease is gone. What is on its way has to be heard of first. */
static void lose_lease(struct view *view, uint64_t num)
{
    if (view->num == num && (view->state == V_HOLDING || view->state == V_RELEASING))
        forget_lease(view);
}

static void lose_host(struct sim *sim, struct sim_host *host)
{
    contact_step(&host->contact, CONTACT_REFUSED, local_time(sim, host), 0, 0);
    for (unsigned slot = 0; slot < SESSIONS; slot++) {
        lose_lease(&host->views[slot], host->num);
        if (host->views[slot].state == V_ASKING)
            forget_lease(&host->views[slot]); /* refused, in the end */
    }
    host->num = 0;
}

static uint32_t jitter(struct sim *sim)
{
    return (uint32_t)draw(sim, UINT32_MAX);
}

static void connect_host(struct sim *sim, unsigned i)
{
    struct sim_host *host = &sim->hosts[i];

    host->conn++;
    host->connected = false;
    host->connected_at = sim->now;
    host->sent[0] = local_time(sim, host);
    send(sim,
         (struct event){
             .kind = M_REGISTER, .host = i, .conn = host->conn, .version = host->incarnation},
         false);
}

static void cut_host(struct sim *sim, unsigned i, bool told)
{
    struct sim_host *host = &sim->hosts[i];

    if (told) /* the server sees the end of the connection */
        send(sim, (struct event){.kind = E_CLOSED, .host = i, .conn = host->conn, .num = host->num},
             false);
    host->connected = false;
    contact_step(&host->contact, CONTACT_CUT, local_time(sim, host), 0, jitter(sim));
}

static void on_registered(struct sim *sim, unsigned i, const struct event *event)
{
    struct sim_host *host = &sim->hosts[i];
    int64_t local = local_time(sim, host);

    if (host->num != 0 && host->num != event->num)
        lose_host(sim, host);
    host->num = event->num;
    host->connected = true;
    contact_step(&host->contact, CONTACT_REGISTERED, local,
                 sim->rules->from_answer ? local : host->sent[0], jitter(sim));
    for (unsigned slot = 0; slot < SESSIONS; slot++) {
        struct view *view = &host->views[slot];

        if (view->state == V_ASKING)
            view->num = host->num;
        if (view->state == V_RESCUING) {
            view->num = host->num;
            send_view(sim, i, slot, true);
        } else if (view->state != V_IDLE && view->state != V_HOLDING) {
            send_view(sim, i, slot, true);
        }
    }
}

static void on_committed(struct sim *sim, unsigned i, unsigned slot, int status)
{
    struct sim_host *host = &sim->hosts[i];
    struct view *view = &host->views[slot];

    if (status == HF_OK) {
        if (sim->applied[view->op] != 1)
            fault(sim, "a commit was acknowledged that is not there", view->op,
                  sim->applied[view->op]);
        sim->fate[view->op] = OP_ACKED;
        view->version++;
        view->op = 0;
        view->state = V_HOLDING;
        if (view->num != host->num)
            forget_lease(view);
        return;
    }
    if (status != HF_FENCED)
        fault(sim, "a holder's commit was refused otherwise than by its token", view->op,
              (uint64_t)-status);
    if (sim->applied[view->op] != 0)
        fault(sim, "a commit was refused that is there", view->op, view->token);
    if (sim->rules->lost_work) {
        forget_lease(view);
        return;
    }
    view->num = host->num;
    begin(sim, i, slot, V_RESCUING);
}

static void on_answer(struct sim *sim, unsigned i, const struct event *event)
{
    struct sim_host *host = &sim->hosts[i];
    struct view *view = &host->views[event->slot];

    if (event->id != view->id)
        return;
    if (view->state == V_ASKING && event->status == HF_OK && event->num == host->num) {
        view->state = V_HOLDING;
        view->num = event->num;
        view->token = event->token;
        view->version = event->version;
        view->recalled = view->early == event->token;
    } else if (view->state == V_ASKING || view->state == V_RELEASING) {
        forget_lease(view);
    } else if (view->state == V_COMMITTING) {
        on_committed(sim, i, event->slot, event->status);
    } else if (view->state == V_RESCUING && event->status == HF_OK) {
        sim->fate[view->op] = OP_RESCUED;
        sim->rescues++;
        forget_lease(view);
    }
}

static void on_recall(struct sim *sim, unsigned i, const struct event *event)
{
    struct sim_host *host = &sim->hosts[i];
    struct view *view = &host->views[event->slot];
    struct event refusal = *event;

    if (event->num != host->num)
        return;
    refusal.kind = M_REFUSE;
    if (view->state == V_IDLE) { /* granted on an ask that it gave up */
        view->num = host->num;
        view->token = event->token;
        begin(sim, i, event->slot, V_RELEASING);
    } else if (view->state == V_ASKING) {
        view->early = event->token;
    } else if (view->token != event->token) {
        return;
    } else if (!quiet(sim) && chance(sim, 30)) {
        send(sim, refusal, false);
    } else {
        view->recalled = true;
    }
}

static void on_message(struct sim *sim, struct event *event)
{
    struct sim_host *host = &sim->hosts[event->host];
    int64_t local = local_time(sim, host);

    if (event->conn != host->conn)
        return;
    switch (event->kind) {
    case M_REGISTERED:
        if (!host->connected)
            on_registered(sim, event->host, event);
        break;
    case M_RENEWED:
        if (event->num == host->num) /* `version`: when it was sent, by the host's clock */
            contact_step(&host->contact, CONTACT_RENEWED, local,
                         sim->rules->from_answer ? local : (int64_t)event->version, jitter(sim));
        break;
    case M_DEAD:
        if (event->num == host->num && host->num != 0) {
            lose_host(sim, host);
            host->connected = false;
        }
        break;
    case M_ANSWER:
        on_answer(sim, event->host, event);
        break;
    case M_RECALL:
        on_recall(sim, event->host, event);
        break;
    case M_LEASE_LOST:
        if (host->views[event->slot].token == event->token)
            lose_lease(&host->views[event->slot], event->num);
        break;
    default:
        cut_host(sim, event->host, false);
        break;
    }
}

/* What its agents do. */
static void use_session(struct sim *sim, unsigned i, unsigned slot)
{
    struct sim_host *host = &sim->hosts[i];
    struct view *view = &host->views[slot];

    if (view->state == V_IDLE && host->connected && host->num != 0 && chance(sim, 30)) {
        view->num = host->num;
        begin(sim, i, slot, V_ASKING);
    } else if (view->state == V_ASKING && !quiet(sim) && host->connected && chance(sim, 3)) {
        send(sim,
             (struct event){.kind = M_CANCEL,
                            .host = i,
                            .conn = host->conn,
                            .id = view->id,
                            .num = view->num,
                            .slot = slot},
             false);
        forget_lease(view);
    } else if (view->state == V_HOLDING && believes(sim, host, slot) && sim->ops + 1 < OPS &&
               !view->recalled && chance(sim, 25)) {
        view->op = ++sim->ops;
        sim->fate[view->op] = OP_OPEN;
        begin(sim, i, slot, V_COMMITTING);
    } else if (view->state == V_HOLDING && (view->recalled || chance(sim, 5))) {
        begin(sim, i, slot, V_RELEASING);
    }
}

static void kill_host(struct sim *sim, unsigned i)
{
    struct sim_host *host = &sim->hosts[i];

    for (unsigned slot = 0; slot < SESSIONS; slot++) {
        if (host->views[slot].op != 0)
            sim->fate[host->views[slot].op] = OP_ORPHANED;
        forget_lease(&host->views[slot]);
    }
    if (host->connected && chance(sim, 80))
        send(sim, (struct event){.kind = E_CLOSED, .host = i, .conn = host->conn, .num = host->num},
             false);
    host->num = 0;
    host->conn++; /* what comes on the old one has nobody to hear it */
    host->incarnation++;
    host->connected = false;
    contact_init(&host->contact, TTL_MS);
    host->resumes = sim->now + (int64_t)draw(sim, 4000) * MS;
}

static void disturb(struct sim *sim, unsigned i)
{
    struct sim_host *host = &sim->hosts[i];
    uint64_t which = draw(sim, 1000);

    if (which < 4)
        kill_host(sim, i);
    else if (which < 12)
        host->resumes = sim->now + (int64_t)draw(sim, 25000) * MS; /* stopped */
    else if (which < 20)
        sim->blocked[i][draw(sim, 2)] = sim->now + (int64_t)draw(sim, 15000) * MS;
    else if (which < 26)
        sim->blocked[i][0] = sim->blocked[i][1] = sim->now + (int64_t)draw(sim, 20000) * MS;
    else if (which < 30 && host->connected)
        cut_host(sim, i, true);
    else if (which < 33)
        kill_server(sim);
}

static bool is_stuck(const struct sim *sim, const struct sim_host *host)
{
    for (unsigned slot = 0; slot < SESSIONS; slot++) {
        const struct view *view = &host->views[slot];

        if (view->state != V_IDLE && view->state != V_HOLDING &&
            sim->now - (view->since > host->connected_at ? view->since : host->connected_at) >
                RESEND_NS + (view->state == V_ASKING ? (PATIENCE_MS + LEASE_RECALL_MS) * MS : 0))
            return true;
    }
    return false;
}

static void run_host(struct sim *sim, unsigned i)
{
    struct sim_host *host = &sim->hosts[i];
    int64_t local = local_time(sim, host);

    if (host->connected && is_stuck(sim, host))
        cut_host(sim, i, true);
    if (local >= host->contact.next) {
        if (!host->connected || host->num == 0) {
            connect_host(sim, i);
        } else {
            host->sent[1] = local;
            send(sim,
                 (struct event){.kind = M_BEAT,
                                .host = i,
                                .conn = host->conn,
                                .num = host->num,
                                .version = (uint64_t)local},
                 false);
        }
    }
    contact_step(&host->contact, CONTACT_TICK, local, 0, jitter(sim));
    for (unsigned slot = 0; slot < SESSIONS; slot++)
        use_session(sim, i, slot);
    if (!quiet(sim))
        disturb(sim, i);
    else
        host->resumes = 0;
}

/* --- one schedule ----------------------------------------------------------------------------------- */

static struct event take_next(struct sim *sim)
{
    size_t best = 0;
    struct event event;

    for (size_t i = 1; i < sim->nevents; i++)
        if (sim->events[i].at < sim->events[best].at ||
            (sim->events[i].at == sim->events[best].at &&
             sim->events[i].order < sim->events[best].order))
            best = i;
    event = sim->events[best];
    sim->events[best] = sim->events[--sim->nevents];
    return event;
}

static void closed(struct sim *sim, const struct event *event)
{
    if (!sim->server || event->conn != sim->server_conn[event->host])
        return;
    drop_waits(sim, event->host);
    sim->server_conn[event->host] = event->conn + 1; /* nothing more is sent on it */
    if (store_host_detach(sim->server, event->num, HOST_RECONNECT_MS, NULL) == HF_OK)
        sim->detached[event->host] = event->num;
}

static bool tracing;

static void trace(const struct sim *sim, const struct event *event)
{
    static const char *const names[] = {
        "register", "beat",       "ask",        "cancel",  "release",       "refuse",
        "commit",   "rescue",     "REGISTERED", "RENEWED", "DEAD",          "ANSWER",
        "RECALL",   "LEASE_LOST", "CUT",        "-",       "server starts", "connection ends"};

    if (tracing && event->kind != E_HOST)
        fprintf(stderr,
                "%9.3f host %u %-15s conn %" PRIu64 " num %" PRIu64 " id %" PRIu64
                " session %u token %" PRIu64 " op %u status %d%s\n",
                (double)(sim->now - 1000 * S) / 1e9, event->host, names[event->kind], event->conn,
                event->num, event->id, event->slot, event->token, event->op, event->status,
                event->retry ? " retry" : "");
}

static void step(struct sim *sim)
{
    struct event event = take_next(sim);
    struct sim_host *host = &sim->hosts[event.host];

    sim->now = event.at > sim->now ? event.at : sim->now;
    trace(sim, &event);
    if (event.kind == E_SERVER)
        start_server(sim);
    else if (event.kind == E_CLOSED)
        closed(sim, &event);
    else if (event.kind <= M_RESCUE)
        serve(sim, &event);
    else if (sim->now < host->resumes && !quiet(sim))
        at(sim, host->resumes, event); /* it is stopped, or being started */
    else if (event.kind != E_HOST)
        on_message(sim, &event);
    else {
        run_host(sim, event.host);
        at(sim, sim->now + (20 + (int64_t)draw(sim, 300)) * MS, event);
    }
    check_store(sim); /* before anything else is granted */
    run_server(sim);
    check_beliefs(sim);
}

static int count_rescue(const struct root_info *info, void *arg)
{
    struct sim *sim = arg;
    unsigned op = info->kind == ROOT_RESCUE ? op_of_root(&info->root) : 0;

    if (op != 0 && sim->applied[op] != 0)
        fault(sim, "a rescue version is in the history as well", op, 0);
    return 0;
}

/* No one asks in vain, and no work is nowhere. */
static void check_end(struct sim *sim)
{
    for (unsigned i = 0; i < HOSTS; i++)
        for (unsigned slot = 0; slot < SESSIONS; slot++) {
            const struct view *view = &sim->hosts[i].views[slot];

            if (view->state != V_IDLE && view->state != V_HOLDING &&
                sim->now - view->since > SETTLE_NS / 2)
                fault(sim, "a host was not answered", i, (uint64_t)view->state);
        }
    for (unsigned op = 1; op <= sim->ops; op++) {
        if (sim->fate[op] == OP_ACKED && sim->applied[op] != 1)
            fault(sim, "an acknowledged commit is missing", op, 0);
        if (sim->fate[op] == OP_OPEN && sim->applied[op] == 0) {
            bool pending = false;

            for (unsigned i = 0; i < HOSTS; i++)
                for (unsigned slot = 0; slot < SESSIONS; slot++)
                    pending = pending || sim->hosts[i].views[slot].op == op;
            if (!pending)
                fault(sim, "work was lost without a rescue version", op, 0);
        }
    }
    store_roots(sim->anchor, count_rescue, sim, NULL);
}

static void open_sim(struct sim *sim)
{
    struct commit first = scene_commit(&scene, 0, 0, 0, roots[0]);
    struct lease lease;

    sim->clock = (struct clock){sim_time, sim_time};
    sim->now = 1000 * S;
    if (memory_store_open("simulation", STORE_CREATE, NULL, &sim->clock, &sim->anchor, NULL) !=
        HF_OK) {
        fault(sim, "the store does not open", 0, 0);
        return;
    }
    memory_store_set_pumped(sim->anchor);
    first.objects = &scene.objects[object_of[0]];
    first.nobjects = 1;
    for (unsigned slot = 0; slot < SESSIONS; slot++) {
        if (store_session_create(sim->anchor, 0, slot ? "beta" : "alpha", &first, &lease, NULL) !=
            HF_OK)
            fault(sim, "no session", slot, 0);
        sim->sid[slot] = lease.sid;
    }
    start_server(sim);
}

static void close_sim(struct sim *sim)
{
    store_close(sim->server);
    store_close(sim->anchor);
}

struct totals {
    uint64_t steps, commits, fenced, grants, takeovers, rescues;
};

/* Plays one schedule. Returns whether a rule was broken; then `ret_fault` (160 bytes) says which. */
static bool play(uint64_t seed, const struct rules *rules, struct totals *totals, char *ret_fault)
{
    static struct sim sim;
    int64_t end;

    memset(&sim, 0, offsetof(struct sim, ears));
    memset(&sim.nears, 0, sizeof sim - offsetof(struct sim, nears));
    sim.random = seed * 0x9e3779b97f4a7c15u + 1;
    sim.rules = rules;
    for (int i = 0; i < 8; i++)
        draw(&sim, 2);
    open_sim(&sim);
    sim.quiet = sim.now + FAULTY_NS / 3 + (int64_t)draw(&sim, FAULTY_NS / MS) * MS;
    end = sim.quiet + SETTLE_NS;
    for (unsigned i = 0; i < HOSTS; i++) {
        sim.hosts[i].offset = (int64_t)draw(&sim, 1000) * S;
        sim.hosts[i].drift = (int64_t)draw(&sim, 161) - 80; /* up to 8 %, of a margin of 10 % */
        sim.hosts[i].incarnation = 1;
        contact_init(&sim.hosts[i].contact, TTL_MS);
        at(&sim, sim.now + (int64_t)draw(&sim, 500) * MS,
           (struct event){.kind = E_HOST, .host = i});
    }
    while (!sim.fault[0] && sim.now < end) {
        step(&sim);
        totals->steps++;
    }
    if (!sim.fault[0])
        check_end(&sim);
    close_sim(&sim);
    totals->commits += sim.commits;
    totals->fenced += sim.fenced;
    totals->grants += sim.grants;
    totals->takeovers += sim.takeovers;
    totals->rescues += sim.rescues;
    memcpy(ret_fault, sim.fault, sizeof sim.fault);
    return sim.fault[0] != '\0';
}

/* --- the tests -------------------------------------------------------------------------------------- */

static uint64_t first_seed;
static uint64_t runs = RUNS;

static void no_schedule_breaks_a_rule(void **state)
{
    static const struct rules right;
    struct totals totals = {0};
    char what[160];

    (void)state;
    for (uint64_t i = 0; i < runs; i++)
        if (play(first_seed + i, &right, &totals, what))
            fail_msg("%s: repeat with --runs 1 --seed %" PRIu64, what, first_seed + i);
    print_message("%" PRIu64 " schedules, %" PRIu64 " steps, %" PRIu64 " grants (%" PRIu64
                  " takeovers), %" PRIu64 " commits, %" PRIu64 " refused by token, %" PRIu64
                  " rescued\n",
                  runs, totals.steps, totals.grants, totals.takeovers, totals.commits,
                  totals.fenced, totals.rescues);
    assert_true(runs < 100 || (totals.takeovers > 0 && totals.fenced > 0 && totals.rescues > 0));
}

static void assert_found(const struct rules *broken)
{
    struct totals totals = {0};
    char what[160];
    uint64_t i = 0;

    while (i < 2000 && !play(first_seed + i, broken, &totals, what))
        i++;
    assert_true(i < 2000);
    print_message("found by schedule %" PRIu64 ": %s\n", i, what);
}

static void a_server_that_lets_late_writers_in_is_found(void **state)
{
    (void)state;
    assert_found(&(struct rules){.late_writer = true});
}

static void a_server_that_takes_every_retry_for_done_is_found(void **state)
{
    (void)state;
    assert_found(&(struct rules){.blind_retry = true});
}

static void a_server_that_forgets_what_it_has_done_is_found(void **state)
{
    (void)state;
    assert_found(&(struct rules){.no_retry = true});
}

static void a_host_that_does_not_fence_itself_is_found(void **state)
{
    (void)state;
    assert_found(&(struct rules){.no_fence = true});
}

static void a_host_that_counts_from_the_answer_is_found(void **state)
{
    (void)state;
    assert_found(&(struct rules){.from_answer = true});
}

static void a_host_that_forgets_lost_work_is_found(void **state)
{
    (void)state;
    assert_found(&(struct rules){.lost_work = true});
}

static void a_server_that_forgets_who_waits_is_found(void **state)
{
    (void)state;
    assert_found(&(struct rules){.no_answers = true});
}

static void make_roots(void)
{
    struct store *store;
    char text[32];

    assert_int_equal(memory_store_open("roots", STORE_CREATE, NULL, &clock_system, &store, NULL),
                     HF_OK);
    scene_init(&scene, store);
    for (unsigned op = 0; op < OPS; op++) {
        snprintf(text, sizeof text, "operation %u", op);
        object_of[op] = scene.n;
        roots[op] = scene_note(&scene, text);
        assert_int_equal(scene.n, object_of[op] + 1);
    }
    store_close(store);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_schedule_breaks_a_rule),
        cmocka_unit_test(a_server_that_lets_late_writers_in_is_found),
        cmocka_unit_test(a_server_that_takes_every_retry_for_done_is_found),
        cmocka_unit_test(a_server_that_forgets_what_it_has_done_is_found),
        cmocka_unit_test(a_host_that_does_not_fence_itself_is_found),
        cmocka_unit_test(a_host_that_counts_from_the_answer_is_found),
        cmocka_unit_test(a_host_that_forgets_lost_work_is_found),
        cmocka_unit_test(a_server_that_forgets_who_waits_is_found),
    };
    const char *seed = getenv("HOLDFAST_SEED");

    if (seed)
        first_seed = strtoull(seed, NULL, 0);
    else if (getrandom(&first_seed, 4, 0) != 4)
        return 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--runs") == 0)
            runs = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--seed") == 0)
            first_seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "--trace") == 0)
            tracing = argv[i + 1][0] != '0';
    }
    printf("seed %" PRIu64 "\n", first_seed);
    make_roots();
    return cmocka_run_group_tests_name("simulation", tests, NULL, NULL);
}
