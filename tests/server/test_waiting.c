/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several hosts want the same few sessions: they ask, give up, let go, refuse, break off and come back, at random.
 * No token is granted to two, none is granted that is older than one that was, and in the end everybody is
 * answered and every session can be had.
 *
 *     HOLDFAST_STEPS=N    (default 3000)
 *     HOLDFAST_SEED=N
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "rig.h"

#define HOSTS 4
#define SESSIONS 3

struct host {
    struct client *client;
    uint64_t asked[SESSIONS];      /* the request that waits; 0: none */
    uint64_t token[SESSIONS];      /* held; 0: none */
    uint64_t letting_go[SESSIONS]; /* the request that gives it back; 0: none */
    bool recalled[SESSIONS];
};

struct play {
    struct rig rig;
    uint64_t seed;
    struct host hosts[HOSTS];
    uint64_t sid[SESSIONS];
    uint64_t newest[SESSIONS]; /* token that was told */
    unsigned grants, refusals, given_up;
};

static unsigned roll(struct play *play, unsigned sides)
{
    play->seed = play->seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (unsigned)((play->seed >> 33) % sides);
}

static size_t session_of(const struct play *play, uint64_t sid)
{
    size_t i = 0;

    while (i < SESSIONS && play->sid[i] != sid)
        i++;
    assert_true(i < SESSIONS);
    return i;
}

/* --- what the hosts are told ------------------------------------------------------------------------ */

static void granted(struct play *play, struct host *host, size_t i, uint64_t token)
{
    for (size_t h = 0; h < HOSTS; h++)
        if (&play->hosts[h] != host)
            assert_true(play->hosts[h].token[i] != token);
    assert_true(token >= play->newest[i]);
    play->newest[i] = token;
    host->token[i] = token;
    host->recalled[i] = false;
    play->grants++;
}

static void take_reply(struct play *play, struct host *host, const Holdfast__Wire__Frame *frame)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        int status;

        if (frame->id == host->letting_go[i])
            host->letting_go[i] = 0;
        if (host->asked[i] == 0 || frame->id != host->asked[i])
            continue;
        host->asked[i] = 0;
        status = frame_status(frame);
        if (status == HF_OK)
            granted(play, host, i, frame->reply->lease->token);
        else if (status == HF_INTR)
            play->given_up++;
        else
            assert_int_equal(status, HF_BUSY);
        play->refusals += status == HF_BUSY;
    }
}

static uint64_t send_lease(struct play *play, struct host *host, size_t i, uint64_t token,
                           Holdfast__Wire__Request__OpCase kind)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__LeaseRequest lease = HOLDFAST__WIRE__LEASE_REQUEST__INIT;

    lease.host = host->client->host;
    lease.sid = play->sid[i];
    lease.token = token;
    lease.text = (ProtobufCBinaryData){4, (uint8_t *)"busy"};
    request.op_case = kind;
    request.lease_release = &lease;
    return client_send(host->client, &request);
}

static void take_event(struct play *play, struct host *host, const Holdfast__Wire__Event *event)
{
    size_t i;

    if (event->kind != EVENT_LEASE_RECALLED && event->kind != EVENT_LEASE_LOST)
        return;
    i = session_of(play, event->sid);
    if (event->kind == EVENT_LEASE_LOST && host->token[i] == event->token)
        host->token[i] = 0;
    if (event->kind != EVENT_LEASE_RECALLED)
        return;
    if (host->token[i] == event->token)
        host->recalled[i] = true;
    else if (host->asked[i] == 0) /* granted on a connection that broke before it was told */
        host->letting_go[i] =
            send_lease(play, host, i, event->token, HOLDFAST__WIRE__REQUEST__OP_LEASE_RELEASE);
}

static void read_all(struct play *play, struct host *host, int ms)
{
    Holdfast__Wire__Frame *frame;

    while ((frame = client_read(host->client, ms))) {
        if (frame->body_case == HOLDFAST__WIRE__FRAME__BODY_REPLY)
            take_reply(play, host, frame);
        else if (frame->notice->what_case == HOLDFAST__WIRE__NOTICE__WHAT_EVENT)
            take_event(play, host, frame->notice->event);
        frame_free(frame);
        ms = 0;
    }
    assert_false(host->client->over);
}

/* --- what they do ----------------------------------------------------------------------------------- */

static void send_cancel(struct host *host, size_t i)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__CancelRequest cancel = HOLDFAST__WIRE__CANCEL_REQUEST__INIT;

    cancel.id = host->asked[i];
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_CANCEL;
    request.cancel = &cancel;
    client_send(host->client, &request);
}

static void let_go(struct play *play, struct host *host, size_t i)
{
    host->letting_go[i] =
        send_lease(play, host, i, host->token[i], HOLDFAST__WIRE__REQUEST__OP_LEASE_RELEASE);
    host->token[i] = 0;
    host->recalled[i] = false;
}

/* Its connection breaks, and it comes back at once: its leases are its own still, its questions are not. */
static void break_off(struct play *play, size_t h)
{
    struct host *host = &play->hosts[h];
    uint64_t before = host->client->host;
    char name[16];

    snprintf(name, sizeof name, "host-%zu", h);
    client_close(host->client);
    host->client = client_host(&play->rig, name, (unsigned)h);
    assert_int_equal(host->client->host, before);
    memset(host->asked, 0, sizeof host->asked);
    memset(host->letting_go, 0, sizeof host->letting_go);
}

static void act(struct play *play, size_t h, size_t i)
{
    struct host *host = &play->hosts[h];
    unsigned what = roll(play, 100);

    if (host->recalled[i] && what < 70)
        let_go(play, host, i);
    else if (host->recalled[i])
        send_lease(play, host, i, host->token[i], HOLDFAST__WIRE__REQUEST__OP_LEASE_REFUSE);
    else if (host->token[i] != 0 && what < 50)
        let_go(play, host, i);
    else if (host->asked[i] != 0 && what < 30)
        send_cancel(host, i);
    /* Requests are carried out in any order: who asks has seen the answer to what it gave back. */
    else if (host->asked[i] == 0 && host->token[i] == 0 && host->letting_go[i] == 0)
        host->asked[i] =
            send_acquire(host->client, host->client->host, play->sid[i], roll(play, 3) * 500);
    else if (what > 97)
        break_off(play, h);
    host->recalled[i] = false;
}

/* Everybody lets go of what it is granted until nobody waits. */
static void settle(struct play *play)
{
    time_t end = time(NULL) + RIG_PATIENCE_MS / 1000;
    bool waiting = true;

    while (waiting) {
        assert_true(time(NULL) < end);
        waiting = false;
        for (size_t h = 0; h < HOSTS; h++) {
            read_all(play, &play->hosts[h], 5);
            for (size_t i = 0; i < SESSIONS; i++) {
                if (play->hosts[h].token[i] != 0)
                    let_go(play, &play->hosts[h], i);
                waiting |= play->hosts[h].asked[i] != 0;
            }
        }
    }
}

static void begin(struct play *play)
{
    const char *seed = getenv("HOLDFAST_SEED");
    char name[16];

    play->seed = seed ? strtoull(seed, NULL, 10) : (uint64_t)time(NULL);
    print_message("HOLDFAST_SEED=%llu\n", (unsigned long long)play->seed);
    rig_open(&play->rig);
    play->rig.options.relaxed = true;
    play->rig.options.workers = 4;
    rig_start(&play->rig);
    for (size_t h = 0; h < HOSTS; h++) {
        snprintf(name, sizeof name, "host-%zu", h);
        play->hosts[h].client = client_host(&play->rig, name, (unsigned)h);
    }
    for (size_t i = 0; i < SESSIONS; i++) {
        snprintf(name, sizeof name, "s%zu", i);
        assert_int_equal(call_create(play->hosts[0].client, play->hosts[0].client->host, name, name,
                                     false, &play->sid[i], &play->hosts[0].token[i]),
                         HF_OK);
    }
}

static void everybody_is_answered_and_nothing_is_granted_twice(void **state)
{
    const char *count = getenv("HOLDFAST_STEPS");
    unsigned long steps = count ? strtoul(count, NULL, 10) : 3000;
    struct play *play = calloc(1, sizeof *play);
    struct client *last;
    uint64_t token;

    (void)state;
    assert_non_null(play);
    begin(play);
    for (unsigned long step = 0; step < steps; step++) {
        size_t h = roll(play, HOSTS);

        act(play, h, roll(play, SESSIONS));
        read_all(play, &play->hosts[h], (int)roll(play, 4));
    }
    settle(play);
    last = client_host(&play->rig, "last", HOSTS);
    for (size_t i = 0; i < SESSIONS; i++) {
        assert_int_equal(call_acquire(last, last->host, play->sid[i], 5000, &token), HF_OK);
        assert_true(token > play->newest[i]);
    }
    print_message("%u grants, %u refusals, %u given up\n", play->grants, play->refusals,
                  play->given_up);
    client_close(last);
    for (size_t h = 0; h < HOSTS; h++)
        client_close(play->hosts[h].client);
    rig_close(&play->rig);
    free(play);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everybody_is_answered_and_nothing_is_granted_twice)};

    return cmocka_run_group_tests_name("waiting for leases", tests, NULL, NULL);
}
