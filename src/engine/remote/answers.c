/* SPDX-License-Identifier: Apache-2.0 */
/* What the server says: answers to calls, to what the link asks itself, and notices. */
#include <inttypes.h>
#include <string.h>

#include "engine/remote/loop.h"
#include "wire/convert.h"

static int64_t now_of(const struct link *link)
{
    return clock_boottime(link->clock);
}

/* The failure that a reply tells of. */
static struct hf_error failure_of(const Holdfast__Wire__Reply *reply)
{
    struct hf_error why;

    why = (struct hf_error){.status = HF_IO};
    (void)wire_read_status(reply, &why);
    return why;
}

static void refuse(struct link *link, int status, const char *sentence)
{
    struct hf_error why;

    (void)hf_fail(&why, status, "%s", sentence);
    link_cut(link, 0, &why);
}

/* --- the host session ----------------------------------------------------------------------------------- */

/* Ends the calls of a host session that were not sent; the others are answered. */
static void end_calls(struct link *link, uint64_t number, const char *how)
{
    struct hf_error why;

    (void)hf_fail(&why, HF_FENCED, "host session %" PRIu64 " %s", number, how);
    for (struct call *call = link->queue.first, *next; call; call = next) {
        next = call->next;
        if (call->host == number)
            link_fail(link, call, &why);
    }
}

/* Whether there was one. */
static bool drop_host(struct link *link)
{
    uint64_t number = remote_host_drop(&link->host, CONTACT_REFUSED, now_of(link));

    if (number != 0)
        end_calls(link, number, "is over: its store took it for dead");
    return number != 0;
}

void link_host_lost(struct link *link)
{
    if (drop_host(link))
        teller_tell(link->teller, &(struct store_event){.kind = EVENT_HOST_LOST});
}

void link_host_ended(struct link *link, uint64_t host)
{
    pthread_mutex_lock(&link->mutex);
    if (atomic_load(&link->host.number) == host) {
        remote_host_drop(&link->host, CONTACT_CLOSED, now_of(link));
        end_calls(link, host, "was ended");
    }
    pthread_mutex_unlock(&link->mutex);
}

static void took_beat(struct link *link, const Holdfast__Wire__Reply *reply)
{
    int64_t now = now_of(link);

    link->host.beat = 0;
    if (reply->status == 0)
        remote_host_step(&link->host, CONTACT_RENEWED, now, link->host.beat_sent);
    else if (hf_status_from_wire(reply->status) == HF_FENCED)
        link_host_lost(link);
}

void link_send_registration(struct link *link)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__HostRegisterRequest registration = HOLDFAST__WIRE__HOST_REGISTER_REQUEST__INIT;
    struct wire_arena arena = {0};

    request.op_case = HOLDFAST__WIRE__REQUEST__OP_HOST_REGISTER;
    request.host_register = &registration;
    request.retry = true;
    registration.heads_once = link->host.heads_once;
    link->registration_sent = now_of(link);
    if (wire_fill_identity(&link->host.identity, &arena, &registration.identity, NULL) == HF_OK)
        link->registration = link_send_own(link, &request);
    wire_arena_free(&arena);
}

/* The answer to link_send_registration(). Another number: the store found the old host session dead, and made
 * one that is given to who registers next. */
static void took_registration(struct link *link, const Holdfast__Wire__Reply *reply)
{
    uint64_t number = atomic_load(&link->host.number);
    bool done = reply->status == 0 && reply->result_case == HOLDFAST__WIRE__REPLY__RESULT_NUMBER;
    struct hf_error why;

    link->registration = 0;
    if (done && reply->number == number && number != 0) {
        remote_host_adopt(&link->host, number, now_of(link), link->registration_sent);
    } else if (done || hf_status_from_wire(reply->status) == HF_FENCED) {
        link_host_lost(link);
    } else {
        why = failure_of(reply);
        link_cut(link, 0, &why);
        return;
    }
    link_is_up(link);
}

/* The answer to a caller's registration, before the caller itself sees it: events may follow at once. Of the host
 * session before, if there was one still, the caller learns by the number. */
static void took_host(struct link *link, const struct call *call,
                      const Holdfast__Wire__Reply *reply)
{
    if (reply->status != 0 || reply->result_case != HOLDFAST__WIRE__REPLY__RESULT_NUMBER)
        return;
    if (atomic_load(&link->host.number) != reply->number)
        drop_host(link);
    remote_host_adopt(&link->host, reply->number, now_of(link), call->sent);
}

/* --- welcome ---------------------------------------------------------------------------------------------- */

static bool read_welcome(const Holdfast__Wire__Welcome *message, struct link_welcome *ret_welcome)
{
    struct link_welcome welcome = {.ttl_ms = message->ttl_ms,
                                   .max_frame = message->max_frame,
                                   .max_in_flight = message->max_in_flight};

    if (message->ttl_ms < HOST_TTL_MIN_MS || message->ttl_ms > HOST_TTL_MAX_MS ||
        message->max_frame < 2 * WIRE_BATCH_BYTES ||
        wire_read_store_info(message, &welcome.info, NULL) != HF_OK)
        return false;
    *ret_welcome = welcome;
    return true;
}

/* Nothing of what never changes while a store is open may have changed. */
static bool is_same_store(const struct store_info *a, const struct store_info *b)
{
    return memcmp(a->uuid, b->uuid, UUID_SIZE) == 0 && a->hasher.keyed == b->hasher.keyed &&
           (!a->hasher.keyed || memcmp(a->hasher.key, b->hasher.key, sizeof a->hasher.key) == 0) &&
           a->chunker.min == b->chunker.min && a->chunker.avg == b->chunker.avg &&
           a->chunker.max == b->chunker.max;
}

static void took_welcome(struct link *link, const Holdfast__Wire__Reply *reply)
{
    struct link_welcome welcome;
    struct hf_error why;

    link->hello = 0;
    if (reply->status != 0) {
        why = failure_of(reply);
        link_cut(link, 0, &why);
    } else if (reply->result_case != HOLDFAST__WIRE__REPLY__RESULT_WELCOME ||
               reply->welcome->protocol != 1 || !read_welcome(reply->welcome, &welcome)) {
        refuse(link, HF_UNSUPPORTED, "the server speaks another protocol than holdfast/1");
    } else if (link->known && !is_same_store(&link->welcome.info, &welcome.info)) {
        refuse(link, HF_CONFIG, "the server keeps another store than before");
    } else {
        link->welcome = welcome;
        link->known = true;
        if (remote_host_lives(&link->host)) {
            link_to(link, LINK_REGISTERING, link->due);
            link_send_registration(link);
        } else {
            link_is_up(link);
        }
    }
}

void link_is_up(struct link *link)
{
    int64_t now = now_of(link);
    bool again = link->counters.ups++ > 0;

    link->up_since = now;
    link->served = false;
    link->heard = now;
    link_to(link, LINK_UP, 0);
    if (again)
        teller_tell(link->teller, &(struct store_event){.kind = EVENT_MISSED});
}

/* --- notices ------------------------------------------------------------------------------------------------ */

static void took_event(struct link *link, const Holdfast__Wire__Event *message)
{
    uint64_t number = atomic_load(&link->host.number);
    struct store_event event;
    uint64_t host;

    if (wire_read_event(message, &event, &host, NULL) != HF_OK)
        return;
    if (host != number && !(link->host.registering && number == 0))
        return;
    if (event.kind == EVENT_HOST_LOST)
        link_host_lost(link);
    else
        teller_tell(link->teller, &event);
}

static void took_goodbye(struct link *link, const Holdfast__Wire__Goodbye *message)
{
    int status = message->come_back ? HF_IO : HF_ACCESS;

    if (link->state != LINK_UP) {
        refuse(link, status, message->reason);
        return;
    }
    (void)hf_fail(&link->why, status, "the server said: %s", message->reason);
    link_to(link, LINK_LEAVING, now_of(link) + LINK_LEAVE_MS * LINK_MS);
}

static void took_notice(struct link *link, const Holdfast__Wire__Notice *notice)
{
    if (notice->what_case == HOLDFAST__WIRE__NOTICE__WHAT_EVENT)
        took_event(link, notice->event);
    else if (notice->what_case == HOLDFAST__WIRE__NOTICE__WHAT_GOODBYE)
        took_goodbye(link, notice->goodbye);
}

/* --- frames -------------------------------------------------------------------------------------------------- */

/* Whether the reply was for the link itself. */
static bool took_own(struct link *link, uint64_t id, const Holdfast__Wire__Reply *reply)
{
    if (id == 0 || reply->more)
        return false;
    if (id == link->hello && link->state == LINK_HELLO)
        took_welcome(link, reply);
    else if (id == link->registration && link->state == LINK_REGISTERING)
        took_registration(link, reply);
    else if (id == link->host.beat)
        took_beat(link, reply);
    else if (id == link->ping)
        link->ping = 0;
    else
        return false;
    return true;
}

/* Hands a reply to its call. Whether the frame was taken over. */
static bool took_part(struct link *link, Holdfast__Wire__Frame *frame, size_t size)
{
    struct call *call = call_list_find(&link->sent, frame->id);
    const Holdfast__Wire__Reply *reply = frame->reply;
    static const struct hf_error no_memory = {HF_NOMEM, "out of memory"};

    if (!call)
        return false; /* nobody waits for it: the answer to a CancelRequest */
    link->served = true;
    if (!call->left && call->registers)
        took_host(link, call, reply);
    if (!call->left && call_add_part(call, frame, size) != HF_OK) {
        call_drop_parts(call);
        link_fail(link, call, &no_memory);
        return false;
    }
    if (call->left) {
        if (!reply->more)
            link_fail(link, call, &no_memory); /* frees it */
        return false;
    }
    if (!reply->more)
        link_fail(link, call, &(struct hf_error){0});
    else
        pthread_cond_signal(&call->moved);
    return true;
}

void link_take_frame(struct link *link, Holdfast__Wire__Frame *frame, size_t size)
{
    bool taken = false;

    pthread_mutex_lock(&link->mutex);
    link->heard = now_of(link);
    if (frame->body_case == HOLDFAST__WIRE__FRAME__BODY_NOTICE)
        took_notice(link, frame->notice);
    else if (frame->body_case == HOLDFAST__WIRE__FRAME__BODY_REPLY &&
             !took_own(link, frame->id, frame->reply))
        taken = took_part(link, frame, size);
    pthread_mutex_unlock(&link->mutex);
    if (!taken)
        holdfast__wire__frame__free_unpacked(frame, NULL);
}
