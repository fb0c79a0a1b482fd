/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ftw.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "wire/conn.h"
#include "wire/convert.h"

/* --- the server ----------------------------------------------------------------------------------- */

void rig_open(struct rig *rig)
{
    *rig = (struct rig){0};
    signal(SIGPIPE, SIG_IGN);
    test_pki_make(&rig->pki);
    snprintf(rig->url, sizeof rig->url, "sqlite:%s", test_pki_path(&rig->pki, "store.db"));
    snprintf(rig->listen, sizeof rig->listen, "127.0.0.1:0");
    rig->options = (struct server_options){.store_url = rig->url, .listen = rig->listen};
}

static void *run(void *arg)
{
    struct hf_error err = {0};

    if (server_run(arg, &err) != HF_OK)
        fprintf(stderr, "server_run: %s\n", err.message);
    return NULL;
}

void rig_start(struct rig *rig)
{
    struct hf_error err = {0};
    char *colon;

    rig->options.tls = test_pki_files(&rig->pki, "server.pem", true);
    rig->options.tls.certificate = strdup(rig->options.tls.certificate);
    rig->options.tls.key = rig->options.tls.certificate;
    rig->options.tls.ca = strdup(rig->options.tls.ca);
    rig->options.tls.crl = strdup(rig->options.tls.crl);
    if (server_new(&rig->options, &rig->server, &err) != HF_OK)
        fail_msg("server_new: %s", err.message);
    snprintf(rig->listen, sizeof rig->listen, "%s", server_address(rig->server));
    colon = strrchr(rig->listen, ':');
    assert_non_null(colon);
    rig->port = (uint16_t)strtoul(colon + 1, NULL, 10);
    assert_int_equal(pthread_create(&rig->thread, NULL, run, rig->server), 0);
}

void rig_join(struct rig *rig)
{
    pthread_join(rig->thread, NULL);
    server_free(rig->server);
    rig->server = NULL;
    free((char *)rig->options.tls.certificate);
    free((char *)rig->options.tls.ca);
    free((char *)rig->options.tls.crl);
}

void rig_stop(struct rig *rig)
{
    server_stop(rig->server);
    rig_join(rig);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void rig_close(struct rig *rig)
{
    if (rig->server)
        rig_stop(rig);
    nftw(test_pki_path(&rig->pki, "store.db.tenants"), remove_one, 8, FTW_DEPTH | FTW_PHYS);
    test_pki_remove(&rig->pki);
}

/* --- connections ---------------------------------------------------------------------------------- */

static int connect_to(const struct rig *rig)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(rig->port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    return fd;
}

struct client *client_dial(struct rig *rig, const char *name, const char *uri)
{
    struct client *client = calloc(1, sizeof *client);
    struct hf_error err = {0};
    struct tls_files files;
    struct tls *tls;
    char bundle[100];

    assert_non_null(client);
    snprintf(bundle, sizeof bundle, "%s.pem", name);
    if (access(test_pki_path(&rig->pki, bundle), F_OK) != 0)
        test_pki_host(&rig->pki, name, uri);
    files = test_pki_files(&rig->pki, bundle, false);
    if (tls_open(&files, false, &tls, &err) != HF_OK)
        fail_msg("tls_open: %s", err.message);
    client->ssl = tls_session(tls, "127.0.0.1", &err);
    assert_non_null(client->ssl);
    tls_close(tls);
    client->fd = connect_to(rig);
    assert_int_equal(setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int)), 0);
    SSL_set_fd(client->ssl, client->fd);
    return client;
}

void client_shake_hands(struct client *client)
{
    if (SSL_connect(client->ssl) != 1)
        client->over = true;
}

struct client *client_connect(struct rig *rig, const char *name, const char *uri)
{
    struct client *client = client_dial(rig, name, uri);

    client_shake_hands(client);
    return client;
}

struct client *client_open(struct rig *rig, const char *name, const char *uri)
{
    struct client *client = client_connect(rig, name, uri);

    assert_int_equal(call_hello(client), HF_OK);
    return client;
}

struct client *client_host(struct rig *rig, const char *name, unsigned mount)
{
    struct client *client = client_open(rig, name, "holdfast:agent");

    assert_int_equal(call_register(client, mount, 1), HF_OK);
    return client;
}

void client_close(struct client *client)
{
    if (!client)
        return;
    for (size_t i = 0; i < client->nkept; i++)
        frame_free(client->kept[i]);
    if (!client->over)
        SSL_shutdown(client->ssl);
    SSL_free(client->ssl);
    close(client->fd);
    free(client);
}

/* --- frames --------------------------------------------------------------------------------------- */

void frame_free(Holdfast__Wire__Frame *frame)
{
    if (frame)
        holdfast__wire__frame__free_unpacked(frame, NULL);
}

int frame_status(const Holdfast__Wire__Frame *frame)
{
    assert_int_equal(frame->body_case, HOLDFAST__WIRE__FRAME__BODY_REPLY);
    return hf_status_from_wire(frame->reply->status);
}

uint64_t client_send(struct client *client, Holdfast__Wire__Request *request)
{
    Holdfast__Wire__Frame frame = HOLDFAST__WIRE__FRAME__INIT;
    struct hf_error err;
    BUF_AUTO out = {0};

    frame.id = ++client->last_id;
    frame.body_case = HOLDFAST__WIRE__FRAME__BODY_REQUEST;
    frame.request = request;
    assert_int_equal(frame_encode(&frame, WIRE_FRAME_MAX, &out, &err), HF_OK);
    if (!client->over && SSL_write(client->ssl, out.data, (int)out.len) <= 0)
        client->over = true;
    return frame.id;
}

static bool readable(struct client *client, int ms)
{
    struct pollfd poller = {.fd = client->fd, .events = POLLIN};

    return SSL_pending(client->ssl) > 0 || poll(&poller, 1, ms) > 0;
}

static bool read_all(struct client *client, uint8_t *data, size_t len)
{
    while (len > 0) {
        int n = SSL_read(client->ssl, data, (int)len);

        if (n <= 0) {
            client->over = true;
            return false;
        }
        data += n;
        len -= (size_t)n;
    }
    return true;
}

Holdfast__Wire__Frame *client_read(struct client *client, int ms)
{
    Holdfast__Wire__Frame *frame = NULL;
    struct hf_error err;
    uint8_t head[4];
    uint8_t *body;
    uint32_t len;

    if (client->over || !readable(client, ms) || !read_all(client, head, 4))
        return NULL;
    len = (uint32_t)head[0] << 24 | (uint32_t)head[1] << 16 | (uint32_t)head[2] << 8 | head[3];
    assert_true(len <= WIRE_FRAME_MAX);
    body = malloc(len + 1);
    assert_non_null(body);
    if (read_all(client, body, len))
        assert_int_equal(frame_decode(slice_of(body, len), &frame, &err), HF_OK);
    free(body);
    return frame;
}

static Holdfast__Wire__Frame *take_kept(struct client *client, size_t i)
{
    Holdfast__Wire__Frame *frame = client->kept[i];

    memmove(&client->kept[i], &client->kept[i + 1], (client->nkept - i - 1) * sizeof frame);
    client->nkept--;
    return frame;
}

static Holdfast__Wire__Frame *find_kept(struct client *client, uint64_t id)
{
    for (size_t i = 0; i < client->nkept; i++)
        if (client->kept[i]->id == id)
            return take_kept(client, i);
    return NULL;
}

static void keep(struct client *client, Holdfast__Wire__Frame *frame)
{
    if (client->nkept == sizeof client->kept / sizeof client->kept[0])
        frame_free(take_kept(client, 0));
    client->kept[client->nkept++] = frame;
}

static Holdfast__Wire__Frame *answer_within(struct client *client, uint64_t id, int ms)
{
    Holdfast__Wire__Frame *frame = find_kept(client, id);
    int64_t end = clock_boottime(&clock_system) + (int64_t)ms * 1000000;

    while (!frame) {
        int64_t left = (end - clock_boottime(&clock_system)) / 1000000;

        frame = client_read(client, left > 0 ? (int)left : 0);
        if (!frame)
            return NULL;
        if (frame->id == id)
            break;
        keep(client, frame);
        frame = NULL;
    }
    return frame;
}

Holdfast__Wire__Frame *client_answer(struct client *client, uint64_t id)
{
    Holdfast__Wire__Frame *frame = answer_within(client, id, RIG_PATIENCE_MS);

    if (!frame && !client->over)
        fail_msg("request %llu is not answered", (unsigned long long)id);
    return frame;
}

bool client_answered(struct client *client, uint64_t id, int ms)
{
    Holdfast__Wire__Frame *frame = answer_within(client, id, ms);

    if (frame)
        keep(client, frame);
    return frame != NULL;
}

int client_call(struct client *client, Holdfast__Wire__Request *request,
                Holdfast__Wire__Frame **ret_frame)
{
    Holdfast__Wire__Frame *frame = client_answer(client, client_send(client, request));
    int status = frame ? frame_status(frame) : HF_IO;

    if (status == HF_OK && ret_frame)
        *ret_frame = frame;
    else
        frame_free(frame);
    return status;
}

static bool is_event(const Holdfast__Wire__Frame *frame, enum event_kind kind)
{
    return frame->body_case == HOLDFAST__WIRE__FRAME__BODY_NOTICE &&
           frame->notice->what_case == HOLDFAST__WIRE__NOTICE__WHAT_EVENT &&
           frame->notice->event->kind == (uint32_t)kind;
}

bool client_event(struct client *client, enum event_kind kind, int ms,
                  Holdfast__Wire__Event *ret_event)
{
    Holdfast__Wire__Frame *frame;
    bool found = false;

    for (size_t i = 0; i < client->nkept && !found; i++)
        if (is_event(client->kept[i], kind)) {
            frame = take_kept(client, i);
            *ret_event = *frame->notice->event;
            frame_free(frame);
            return true;
        }
    while (!found && (frame = client_read(client, ms))) {
        found = is_event(frame, kind);
        if (found)
            *ret_event = *frame->notice->event;
        if (found || frame->body_case == HOLDFAST__WIRE__FRAME__BODY_NOTICE)
            frame_free(frame);
        else
            keep(client, frame);
    }
    return found;
}

bool client_goodbye(struct client *client, int ms)
{
    Holdfast__Wire__Frame *frame;
    bool goodbye = false;

    while (!goodbye && (frame = client_read(client, ms))) {
        goodbye = frame->body_case == HOLDFAST__WIRE__FRAME__BODY_NOTICE &&
                  frame->notice->what_case == HOLDFAST__WIRE__NOTICE__WHAT_GOODBYE &&
                  frame->notice->goodbye->come_back;
        if (frame->body_case == HOLDFAST__WIRE__FRAME__BODY_REPLY)
            keep(client, frame);
        else
            frame_free(frame);
    }
    return goodbye;
}

bool client_ended(struct client *client, int ms)
{
    Holdfast__Wire__Frame *frame;

    while ((frame = client_read(client, ms)))
        frame_free(frame);
    return client->over;
}

/* --- requests ------------------------------------------------------------------------------------- */

#define KIND(name) HOLDFAST__WIRE__REQUEST__OP_##name

static ProtobufCBinaryData bytes_of(const void *data, size_t len)
{
    return (ProtobufCBinaryData){len, (uint8_t *)data};
}

int call_hello(struct client *client)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__Hello hello = HOLDFAST__WIRE__HELLO__INIT;

    hello.protocol = 1;
    hello.program = "test";
    request.op_case = KIND(HELLO);
    request.hello = &hello;
    return client_call(client, &request, NULL);
}

int call_register(struct client *client, unsigned mount, uint64_t incarnation)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__HostRegisterRequest host_register = HOLDFAST__WIRE__HOST_REGISTER_REQUEST__INIT;
    Holdfast__Wire__HostIdentity identity = HOLDFAST__WIRE__HOST_IDENTITY__INIT;
    Holdfast__Wire__Frame *frame;
    uint8_t id[UUID_SIZE] = {(uint8_t)mount, 7};
    int status;

    identity.host_id = identity.boot_id = identity.mount_id = bytes_of(id, sizeof id);
    identity.incarnation = incarnation;
    identity.pid = 42;
    identity.host_name = wire_fill_text("test-host");
    identity.principal = wire_fill_text("default/somebody-else");
    identity.ttl_ms = HOST_TTL_MAX_MS;
    host_register.identity = &identity;
    host_register.heads_once = client->heads_once;
    request.op_case = KIND(HOST_REGISTER);
    request.host_register = &host_register;
    status = client_call(client, &request, &frame);
    if (status != HF_OK)
        return status;
    assert_int_equal(frame->reply->result_case, HOLDFAST__WIRE__REPLY__RESULT_NUMBER);
    client->host = frame->reply->number;
    frame_free(frame);
    return HF_OK;
}

int call_heartbeat(struct client *client, uint64_t host)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__HostRequest heartbeat = HOLDFAST__WIRE__HOST_REQUEST__INIT;

    heartbeat.host = host;
    request.op_case = KIND(HOST_HEARTBEAT);
    request.host_heartbeat = &heartbeat;
    return client_call(client, &request, NULL);
}

/* A commit of one note, encoded; lives until the arena is freed. */
static void fill_note(Holdfast__Wire__Commit *message, struct scene *scene,
                      struct wire_arena *arena, const char *note)
{
    struct hf_error err;
    struct commit commit;
    struct object_id root;

    scene->hasher = (struct object_hasher){0};
    scene->next_ino = NODE_ROOT_INO + 1;
    root = scene_note(scene, note);
    commit = scene_commit(scene, 0, 0, 0, root);
    *message = (Holdfast__Wire__Commit)HOLDFAST__WIRE__COMMIT__INIT;
    assert_int_equal(wire_fill_commit(&commit, arena, message, &err), HF_OK);
    message->root.data =
        memcpy(wire_arena_alloc(arena, OBJECT_ID_SIZE), root.bytes, OBJECT_ID_SIZE);
}

int call_create(struct client *client, uint64_t host, const char *name, const char *note,
                bool retry, uint64_t *ret_sid, uint64_t *ret_token)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__SessionCreateRequest create = HOLDFAST__WIRE__SESSION_CREATE_REQUEST__INIT;
    Holdfast__Wire__Commit commit;
    Holdfast__Wire__Frame *frame;
    struct wire_arena arena = {0};
    struct scene scene = {0};
    int status;

    fill_note(&commit, &scene, &arena, note);
    create.host = host;
    create.name = wire_fill_text(name);
    create.first = &commit;
    request.retry = retry;
    request.op_case = KIND(SESSION_CREATE);
    request.session_create = &create;
    status = client_call(client, &request, &frame);
    wire_arena_free(&arena);
    scene_clear(&scene);
    if (status != HF_OK)
        return status;
    *ret_sid = frame->reply->lease->sid;
    *ret_token = frame->reply->lease->token;
    frame_free(frame);
    return HF_OK;
}

uint64_t send_commit(struct client *client, uint64_t host, uint64_t sid, uint64_t token,
                     uint64_t base, const char *note, bool retry)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__CommitRequest message = HOLDFAST__WIRE__COMMIT_REQUEST__INIT;
    Holdfast__Wire__Commit commit;
    struct wire_arena arena = {0};
    struct scene scene = {0};
    uint64_t id;

    fill_note(&commit, &scene, &arena, note);
    commit.sid = sid;
    commit.token = token;
    commit.base_version = base;
    commit.durability = DURABILITY_SYNC;
    message.host = host;
    message.commit = &commit;
    request.retry = retry;
    request.op_case = KIND(COMMIT);
    request.commit = &message;
    id = client_send(client, &request);
    wire_arena_free(&arena);
    scene_clear(&scene);
    return id;
}

int call_commit(struct client *client, uint64_t host, uint64_t sid, uint64_t token, uint64_t base,
                const char *note, bool retry, uint64_t *ret_version)
{
    Holdfast__Wire__Frame *frame =
        client_answer(client, send_commit(client, host, sid, token, base, note, retry));
    int status = frame ? frame_status(frame) : HF_IO;

    if (status == HF_OK)
        *ret_version = frame->reply->number;
    frame_free(frame);
    return status;
}

static void fill_lease(Holdfast__Wire__Request *request, Holdfast__Wire__LeaseRequest *lease,
                       uint64_t host, uint64_t sid)
{
    *request = (Holdfast__Wire__Request)HOLDFAST__WIRE__REQUEST__INIT;
    *lease = (Holdfast__Wire__LeaseRequest)HOLDFAST__WIRE__LEASE_REQUEST__INIT;
    lease->host = host;
    lease->sid = sid;
    request->lease_acquire = lease;
}

uint64_t send_acquire(struct client *client, uint64_t host, uint64_t sid, uint32_t wait_ms)
{
    Holdfast__Wire__Request request;
    Holdfast__Wire__LeaseRequest lease;

    fill_lease(&request, &lease, host, sid);
    lease.wait_ms = wait_ms;
    request.op_case = KIND(LEASE_ACQUIRE);
    return client_send(client, &request);
}

int call_acquire(struct client *client, uint64_t host, uint64_t sid, uint32_t wait_ms,
                 uint64_t *ret_token)
{
    Holdfast__Wire__Frame *frame = client_answer(client, send_acquire(client, host, sid, wait_ms));
    int status = frame ? frame_status(frame) : HF_IO;

    if (status == HF_OK)
        *ret_token = frame->reply->lease->token;
    frame_free(frame);
    return status;
}

int call_release(struct client *client, uint64_t host, uint64_t sid, uint64_t token, bool retry)
{
    Holdfast__Wire__Request request;
    Holdfast__Wire__LeaseRequest lease;

    fill_lease(&request, &lease, host, sid);
    lease.token = token;
    request.retry = retry;
    request.op_case = KIND(LEASE_RELEASE);
    return client_call(client, &request, NULL);
}

static int call_session(struct client *client, Holdfast__Wire__Request__OpCase kind, uint64_t sid,
                        const char *name, uint64_t *ret_sid, uint64_t *ret_version)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__SessionRequest session = HOLDFAST__WIRE__SESSION_REQUEST__INIT;
    Holdfast__Wire__Frame *frame;
    int status;

    session.sid = sid;
    session.name = wire_fill_text(name);
    request.op_case = kind;
    request.session_find = &session;
    status = client_call(client, &request, &frame);
    if (status != HF_OK)
        return status;
    if (ret_sid)
        *ret_sid = frame->reply->head->sid;
    *ret_version = frame->reply->head->version;
    frame_free(frame);
    return HF_OK;
}

int call_find(struct client *client, const char *name, uint64_t *ret_sid, uint64_t *ret_version)
{
    return call_session(client, KIND(SESSION_FIND), 0, name, ret_sid, ret_version);
}

int call_head(struct client *client, uint64_t sid, uint64_t *ret_version)
{
    return call_session(client, KIND(SESSION_HEAD), sid, NULL, NULL, ret_version);
}

size_t call_list(struct client *client, uint64_t limit)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__SessionListRequest list = HOLDFAST__WIRE__SESSION_LIST_REQUEST__INIT;
    Holdfast__Wire__Frame *frame;
    size_t n = 0;
    bool more = true;
    uint64_t id;

    list.limit = limit;
    request.op_case = KIND(SESSION_LIST);
    request.session_list = &list;
    id = client_send(client, &request);
    while (more) {
        frame = client_answer(client, id);
        assert_non_null(frame);
        assert_int_equal(frame_status(frame), HF_OK);
        n += frame->reply->sessions->n_sessions;
        more = frame->reply->more;
        frame_free(frame);
    }
    return n;
}
