/* SPDX-License-Identifier: Apache-2.0 */
/** Peers that should not get in, or want more than is theirs: each is refused with a line in the log that says why,
 *  and the server goes on serving a good host. */
#include <arpa/inet.h>
#include <errno.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "engine/open.h"
#include "rig.h"

#define DAY 86400
#define SILENT_PEERS 40
/* Limits of the server are 10 s; machines under load may need more. */
#define SLOW_MS 60000

static struct rig rig;

/* --- the log ------------------------------------------------------------------------------------------------ */

static int own_stderr;
static char log_path[] = "/tmp/holdfast-attacks-XXXXXX";
static size_t log_mark; /* what was seen of it */

/* What a sanitizer finds is told where it can be seen. */
extern void __sanitizer_set_report_fd(void *fd) __attribute__((weak));

static void divert_log(void)
{
    int fd = mkstemp(log_path);

    own_stderr = dup(STDERR_FILENO);
    assert_true(fd >= 0 && own_stderr >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    if (__sanitizer_set_report_fd)
        __sanitizer_set_report_fd((void *)(intptr_t)own_stderr);
    close(fd);
}

/* The rest of it, freed by the caller. */
static char *read_log(size_t from)
{
    FILE *file = fopen(log_path, "re");
    char *text = calloc(1, 1 << 20);

    assert_true(file && text && fseek(file, (long)from, SEEK_SET) == 0);
    text[fread(text, 1, (1 << 20) - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void mark_log(void)
{
    char *text = read_log(0);

    log_mark = strlen(text);
    free(text);
}

/* Waits for a line that holds both texts, written since the mark. */
static bool logged(const char *one, const char *other, int ms)
{
    int64_t end = clock_boottime(&clock_system) + (int64_t)ms * 1000000;
    bool found = false;

    do {
        char *text = read_log(log_mark), *rest = text, *line;
        while (!found && (line = strsep(&rest, "\n")) != NULL)
            found = strstr(line, one) && strstr(line, other);
        free(text);
        if (!found)
            usleep(20000);
    } while (!found && clock_boottime(&clock_system) < end);
    return found;
}

static void expect_log(const char *one, const char *other, int ms)
{
    char *text;

    if (logged(one, other, ms))
        return;
    text = read_log(log_mark);
    dprintf(own_stderr, "the log since then:\n%s", text);
    free(text);
    fail_msg("no line of the log says '%s' and '%s'", one, other);
}

#define expect_refusal(why) expect_log("refused: ", why, RIG_PATIENCE_MS)
#define expect_closed(why) expect_log("closed: ", why, RIG_PATIENCE_MS)

/* After each attack. */
static int serve_a_good_host(void **state)
{
    struct client *client = client_open(&rig, "good", "holdfast:agent");
    uint64_t sid, token;
    char name[64];
    static unsigned count;

    (void)state;
    assert_int_equal(call_register(client, 1, 1), 0);
    snprintf(name, sizeof name, "good-%u", count++);
    assert_int_equal(call_create(client, client->host, name, "note", false, &sid, &token), 0);
    client_close(client);
    mark_log();
    return 0;
}

/* --- peers without TLS ---------------------------------------------------------------------------------------- */

static int dial(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(rig.port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const struct timeval patience = {.tv_sec = SLOW_MS / 1000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    return fd;
}

/* Reads until the server has closed the connection, and closes it, too. */
static void expect_end(int fd)
{
    char bytes[512];
    ssize_t n;

    while ((n = recv(fd, bytes, sizeof bytes, 0)) > 0)
        ;
    assert_true(n == 0 || errno == ECONNRESET);
    close(fd);
}

static void say(const char *text)
{
    int fd = dial();

    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), (ssize_t)strlen(text));
    expect_end(fd);
}

/* The rig's is valid for a day. */
static void a_servers_certificate_that_expires_soon_is_told_of(void **state)
{
    (void)state;
    log_mark = 0;
    expect_log("warning: the server's certificate expires in 2", " hours", RIG_PATIENCE_MS);
}

static void plain_text_is_refused(void **state)
{
    (void)state;
    say("hello, is anybody there? I speak no TLS at all\n");
    expect_refusal("it does not speak TLS");
}

/* Load balancers do that every other second: the log is not theirs. */
static void a_probe_of_the_port_is_not_logged(void **state)
{
    const struct linger reset = {.l_onoff = 1};
    struct sockaddr_in own;
    socklen_t size = sizeof own;
    char port[32];

    (void)state;
    for (int round = 0; round < 2; round++) {
        int fd = dial();
        assert_int_equal(getsockname(fd, (struct sockaddr *)&own, &size), 0);
        snprintf(port, sizeof port, ":%u ", ntohs(own.sin_port));
        if (round > 0)
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
        assert_false(logged(port, "", 300));
    }
}

static void an_http_request_is_refused(void **state)
{
    (void)state;
    say("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    expect_refusal("it sent an HTTP request");
}

static void random_bytes_are_refused(void **state)
{
    unsigned char bytes[4096];
    unsigned seed;

    (void)state;
    assert_int_equal(getrandom(&seed, sizeof seed, 0), sizeof seed);
    printf("seed %u\n", seed);
    for (int round = 0; round < 20; round++) {
        int fd = dial();
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = (unsigned char)rand_r(&seed);
        if (round % 2) /* as a record of a handshake */
            memcpy(bytes, (const unsigned char[]){22, 3, 1, 0x0f, 0xf0, 1, 0, 0x0f, 0xec, 3, 3},
                   11);
        (void)send(fd, bytes, sizeof bytes, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
        expect_end(fd);
    }
    expect_refusal("127.0.0.1:");
}

/* --- peers with the wrong TLS ----------------------------------------------------------------------------------- */

static SSL_CTX *context_with(const char *bundle)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());

    assert_non_null(context);
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x0a" WIRE_ALPN, 11);
    if (bundle) {
        const char *path = test_pki_path(&rig.pki, bundle);
        assert_int_equal(SSL_CTX_use_certificate_chain_file(context, path), 1);
        assert_int_equal(SSL_CTX_use_PrivateKey_file(context, path, SSL_FILETYPE_PEM), 1);
    }
    return context;
}

/* Shakes hands, as far as that goes, and waits for the end. */
static void shake_hands(SSL_CTX *context)
{
    SSL *ssl = SSL_new(context);
    int fd = dial();
    char byte;

    SSL_set_fd(ssl, fd);
    if (SSL_connect(ssl) == 1) /* the client of TLS 1.3 hears of its certificate later */
        assert_true(SSL_read(ssl, &byte, 1) <= 0);
    SSL_free(ssl);
    expect_end(fd);
    SSL_CTX_free(context);
}

static void older_tls_is_refused(void **state)
{
    SSL_CTX *context = context_with("good.pem");

    (void)state;
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
    shake_hands(context);
    expect_refusal("it speaks TLS 1.2");
}

static void other_protocols_are_refused(void **state)
{
    SSL_CTX *context = context_with("good.pem");

    (void)state;
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3);
    shake_hands(context);
    expect_refusal("another protocol than holdfast/1");
    mark_log();
    context = context_with("good.pem");
    SSL_CTX_set_alpn_protos(context, NULL, 0);
    shake_hands(context);
    expect_refusal("another protocol than holdfast/1");
}

static void a_peer_without_a_certificate_is_refused(void **state)
{
    (void)state;
    shake_hands(context_with(NULL));
    expect_refusal("it showed no certificate");
}

/* --- peers with the wrong certificate --------------------------------------------------------------------------- */

static void certificates_of_others_are_refused(void **state)
{
    struct pki_request request = {.kind = PKI_HOST, .name = "mallory", .uri = "holdfast:admin"};
    struct pki_pair other;

    (void)state;
    test_pki_issue(&rig.pki, request, NULL, "self.pem");
    shake_hands(context_with("self.pem"));
    expect_refusal("signed by itself");
    mark_log();
    test_pki_other_ca(&other);
    test_pki_issue(&rig.pki, request, &other, "other.pem");
    shake_hands(context_with("other.pem"));
    expect_refusal("CA that is not trusted here");
    pki_pair_release(&other);
}

static void certificates_out_of_their_time_are_refused(void **state)
{
    struct pki_request request = {.kind = PKI_HOST, .name = "late", .uri = "holdfast:agent"};

    (void)state;
    request.not_before = time(NULL) - 2 * DAY;
    request.not_after = time(NULL) - 1;
    test_pki_issue(&rig.pki, request, &rig.pki.ca, "late.pem");
    shake_hands(context_with("late.pem"));
    expect_refusal("has expired");
    mark_log();
    request.not_before = time(NULL) + DAY;
    request.not_after = time(NULL) + 2 * DAY;
    test_pki_issue(&rig.pki, request, &rig.pki.ca, "early.pem");
    shake_hands(context_with("early.pem"));
    expect_refusal("is not valid yet");
}

static void a_servers_certificate_is_no_hosts(void **state)
{
    (void)state;
    shake_hands(context_with(PKI_SERVER_FILE));
    expect_refusal("not one for hosts");
}

static void a_revoked_host_is_cut_off_when_the_list_is_read(void **state)
{
    struct client *client = client_host(&rig, "lost", 9);
    struct client *heir = client_host(&rig, "heir", 10);
    uint64_t sid, token, next, version;
    struct hf_error err;

    (void)state;
    assert_int_equal(call_create(client, client->host, "inherited", "a", false, &sid, &token), 0);
    test_pki_revoke(&rig.pki, "lost.pem");
    assert_int_equal(call_commit(client, client->host, sid, token, 1, "b", false, &version), 0);
    if (server_reload(rig.server, &err) != 0)
        fail_msg("%s", err.message);
    assert_true(client_ended(client, RIG_PATIENCE_MS));
    client_close(client);
    expect_closed("its certificate was revoked");
    mark_log();
    shake_hands(context_with("lost.pem"));
    expect_refusal("its certificate was revoked");
    /* Its host session ends, long before the TTL is over, and its lease is another's. */
    assert_int_equal(call_acquire(heir, heir->host, sid, 15000, &next), 0);
    assert_true(next > token);
    client_close(heir);
}

static void a_list_that_cannot_be_read_changes_nothing(void **state)
{
    char kept[512];
    struct hf_error err;

    (void)state;
    snprintf(kept, sizeof kept, "%s", test_pki_path(&rig.pki, "kept"));
    assert_int_equal(rename(test_pki_path(&rig.pki, PKI_CRL_FILE), kept), 0);
    assert_int_equal(server_reload(rig.server, &err), HF_CONFIG);
    assert_non_null(strstr(err.message, PKI_CRL_FILE));
    assert_int_equal(rename(kept, test_pki_path(&rig.pki, PKI_CRL_FILE)), 0);
    shake_hands(context_with("lost.pem"));
    expect_refusal("its certificate was revoked");
}

static void a_certificate_that_expires_ends_its_connections(void **state)
{
    struct pki_request request = {
        .kind = PKI_HOST, .name = "brief", .uri = "holdfast:agent", .not_after = time(NULL) + 4};
    struct client *client;

    (void)state;
    test_pki_issue(&rig.pki, request, &rig.pki.ca, "brief.pem");
    client = client_open(&rig, "brief", NULL);
    assert_int_equal(call_list(client, 1), 1);
    assert_true(client_ended(client, RIG_PATIENCE_MS));
    client_close(client);
    expect_closed("its certificate has expired");
}

/* A mount that runs for longer than its certificate: a new one was put in place in time. */
static void a_host_goes_on_with_a_renewed_certificate(void **state)
{
    struct pki_request request = {
        .kind = PKI_HOST, .name = "steady", .uri = "holdfast:agent", .not_after = time(NULL) + 3};
    struct session_head head;
    struct store *store;
    struct hf_error err;
    char url[600];

    (void)state;
    test_pki_issue(&rig.pki, request, &rig.pki.ca, "steady.pem");
    snprintf(url, sizeof url, "holdfast://localhost:%u?cert=%s", rig.port,
             test_pki_path(&rig.pki, "steady.pem"));
    if (store_open(url, 0, NULL, &clock_system, &store, &err) != 0)
        fail_msg("%s", err.message);
    test_pki_host(&rig.pki, "steady", "holdfast:agent");
    expect_closed("its certificate has expired");
    if (store_session_head(store, SHARED_SID, &head, &err) != 0)
        fail_msg("%s", err.message);
    store_close(store);
}

/* --- peers without rights ----------------------------------------------------------------------------------------- */

/* The handshake is done; the answer to its hello says why it may go no further. */
static void turned_away(const char *name, const char *uri, const char *why)
{
    struct client *client = client_connect(&rig, name, uri);

    assert_int_equal(call_hello(client), HF_ACCESS);
    assert_true(client_ended(client, RIG_PATIENCE_MS));
    client_close(client);
    expect_refusal(why);
}

static void certificates_without_rights_are_refused(void **state)
{
    (void)state;
    turned_away("nobody", NULL, "does not say what 'nobody' may do");
    mark_log();
    turned_away("vague", "holdfast:agent?sessions=x", "the parameter 'sessions' is not known");
    mark_log();
    turned_away("royal", "holdfast:king", "there is no role 'king'");
    mark_log();
    turned_away("sneaky", "holdfast:reader?tenant=../other", "is no tenant");
}

static Holdfast__Wire__Request request_of(Holdfast__Wire__Request__OpCase kind, void *message)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;

    request.op_case = kind;
    request.hello = message; /* the members of the union are all pointers */
    return request;
}

static void roles_without_the_right_are_refused(void **state)
{
    struct client *reader = client_open(&rig, "reader", "holdfast:reader");
    struct client *agent = client_open(&rig, "plain", "holdfast:agent");
    Holdfast__Wire__LeaseRequest lease = HOLDFAST__WIRE__LEASE_REQUEST__INIT;
    Holdfast__Wire__Empty empty = HOLDFAST__WIRE__EMPTY__INIT;
    Holdfast__Wire__Request request = request_of(HOLDFAST__WIRE__REQUEST__OP_LEASE_BREAK, &lease);
    uint64_t sid, token;

    (void)state;
    assert_int_equal(call_register(reader, 2, 1), 0);
    assert_int_equal(call_create(reader, reader->host, "mine", "note", false, &sid, &token),
                     HF_ACCESS);
    expect_log("default/reader", "session_create", RIG_PATIENCE_MS);
    lease.sid = 1;
    assert_int_equal(client_call(agent, &request, NULL), HF_ACCESS);
    expect_log("default/plain", "lease_break", RIG_PATIENCE_MS);
    request = request_of(HOLDFAST__WIRE__REQUEST__OP_ROOTS, &empty);
    assert_int_equal(client_call(agent, &request, NULL), HF_ACCESS);
    request = request_of(HOLDFAST__WIRE__REQUEST__OP_STATS, &empty);
    assert_int_equal(client_call(agent, &request, NULL), HF_ACCESS);
    client_close(reader);
    client_close(agent);
}

static unsigned count_in_log(const char *what)
{
    char *text = read_log(log_mark);
    unsigned n = 0;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    free(text);
    return n;
}

static void a_host_that_asks_on_and_on_does_not_fill_the_log(void **state)
{
    struct client *client = client_open(&rig, "stubborn", "holdfast:agent");
    Holdfast__Wire__Empty empty = HOLDFAST__WIRE__EMPTY__INIT;
    Holdfast__Wire__Request request = request_of(HOLDFAST__WIRE__REQUEST__OP_CHECK, &empty);

    (void)state;
    for (int i = 0; i < 30; i++)
        assert_int_equal(client_call(client, &request, NULL), HF_ACCESS);
    client_close(client);
    expect_log("default/stubborn", "closed", RIG_PATIENCE_MS);
    assert_int_equal(count_in_log("check refused"), 10);
    assert_int_equal(count_in_log("more of this connection are not told"), 1);
}

/* --- hosts that want what is another's ------------------------------------------------------------------------------ */

static void sessions_that_do_not_match_are_not_there(void **state)
{
    struct client *prod = client_host(&rig, "prod", 3);
    struct client *dev = client_open(&rig, "dev", "holdfast:agent?session=dev-*");
    uint64_t theirs, token, own, own_token, version;
    Holdfast__Wire__Event event;

    (void)state;
    assert_int_equal(call_register(dev, 4, 1), 0);
    assert_int_equal(call_create(prod, prod->host, "prod-1", "a", false, &theirs, &token), 0);
    assert_int_equal(call_create(dev, dev->host, "prod-2", "a", false, &own, &own_token),
                     HF_ACCESS);
    assert_int_equal(call_create(dev, dev->host, "dev-1", "a", false, &own, &own_token), 0);
    assert_int_equal(call_list(dev, 0), 1);
    assert_int_equal(call_find(dev, "prod-1", &own, &version), HF_NOENT);
    assert_int_equal(call_head(dev, theirs, &version), HF_NOENT);
    assert_int_equal(call_acquire(dev, dev->host, theirs, 0, &own_token), HF_NOENT);
    assert_int_equal(call_commit(dev, dev->host, theirs, token, 1, "b", false, &version), HF_NOENT);
    /* No event of it either: the next that comes is of its own. */
    assert_int_equal(call_commit(prod, prod->host, theirs, token, 1, "b", false, &version), 0);
    assert_false(client_event(dev, EVENT_HEAD_MOVED, 300, &event));
    client_close(prod);
    client_close(dev);
}

static void nobody_acts_for_anothers_host_session(void **state)
{
    struct client *victim = client_host(&rig, "victim", 5);
    struct client *thief = client_host(&rig, "thief", 6);
    uint64_t sid, token, version;

    (void)state;
    assert_int_equal(call_create(victim, victim->host, "prey", "a", false, &sid, &token), 0);
    assert_int_equal(call_commit(thief, victim->host, sid, token, 1, "b", false, &version),
                     HF_FENCED);
    assert_int_equal(call_commit(thief, thief->host, sid, token, 1, "b", false, &version),
                     HF_FENCED);
    assert_int_equal(call_commit(thief, 0, sid, token, 1, "b", false, &version), HF_FENCED);
    assert_int_equal(call_commit(thief, thief->host, sid, token, 1, "b", true, &version),
                     HF_FENCED);
    assert_int_equal(call_release(thief, victim->host, sid, token, false), HF_FENCED);
    assert_int_equal(call_heartbeat(thief, victim->host), HF_FENCED);
    /* The very same identity, under another's certificate, is another host. */
    assert_int_equal(call_register(thief, 5, 1), 0);
    assert_int_not_equal(thief->host, victim->host);
    assert_int_equal(call_commit(victim, victim->host, sid, token, 1, "c", false, &version), 0);
    assert_int_equal(version, 2);
    client_close(victim);
    client_close(thief);
}

static void nothing_is_told_across_tenants(void **state)
{
    struct client *here = client_host(&rig, "here", 7);
    struct client *there = client_open(&rig, "there", "holdfast:admin?tenant=elsewhere");
    uint64_t sid, token, version, other;

    (void)state;
    assert_int_equal(call_create(here, here->host, "shared-name", "secret", false, &sid, &token),
                     0);
    assert_int_equal(call_list(there, 0), 0);
    assert_int_equal(call_find(there, "shared-name", &other, &version), HF_NOENT);
    assert_int_equal(call_head(there, sid, &version), HF_NOENT);
    assert_int_equal(call_register(there, 8, 1), 0);
    assert_int_equal(call_heartbeat(there, here->host), here->host == there->host ? 0 : HF_FENCED);
    assert_int_equal(call_create(there, there->host, "shared-name", "b", false, &other, &token), 0);
    assert_int_equal(call_find(here, "shared-name", &other, &version), 0);
    assert_int_equal(other, sid);
    client_close(here);
    client_close(there);
}

/* --- frames --------------------------------------------------------------------------------------------------------- */

/* Sends bytes through TLS after a hello, and expects that the server closes the connection. */
static void send_bytes(const void *bytes, size_t len, bool hello, const char *why)
{
    struct client *client =
        hello ? client_open(&rig, "good", NULL) : client_connect(&rig, "good", NULL);

    assert_int_equal(SSL_write(client->ssl, bytes, (int)len), (int)len);
    if (strstr(why, "cut") || strstr(why, "middle"))
        SSL_shutdown(client->ssl);
    assert_true(client_ended(client, RIG_PATIENCE_MS));
    client->over = true;
    client_close(client);
    expect_closed(why);
    mark_log();
}

static void oversized_frames_are_refused_by_their_head(void **state)
{
    (void)state;
    send_bytes("\xff\xff\xff\xff", 4, true, "a frame has 4294967295 bytes, more than");
    send_bytes("\x00\x40\x00\x01", 4, true, "a frame has 4194305 bytes, more than");
    send_bytes("\xff\xff\xff\xff", 4, false, "a frame has 4294967295 bytes, more than");
    send_bytes("\x00\x00\x00\x00", 4, true, "a frame is empty");
}

static void frames_that_are_no_messages_are_refused(void **state)
{
    (void)state;
    send_bytes("\x00\x00\x00\x04\xff\xff\xff\xff", 8, true, "does not hold a message");
    send_bytes("\x00\x00\x00\x02\x08\x05", 6, true, "holds nothing");
    /* A reply (field 3) instead of a request. */
    send_bytes("\x00\x00\x00\x04\x08\x09\x1a\x00", 8, true, "something that is not a request");
    /* A request (field 2) with a number that was used. */
    send_bytes("\x00\x00\x00\x06\x08\x01\x12\x02\x72\x00", 10, true, "request numbers do not grow");
    send_bytes("\x00\x00\x00\x06\x08\x01\x12\x02\x72\x00", 10, false,
               "its first request is not a hello");
}

static void a_frame_that_is_cut_short_ends_the_connection(void **state)
{
    struct client *client = client_open(&rig, "good", NULL);

    (void)state;
    assert_int_equal(SSL_write(client->ssl, "\x00\x00\x10\x00half", 8), 8);
    assert_int_equal(shutdown(client->fd, SHUT_RDWR), 0);
    client->over = true;
    client_close(client);
    expect_log("(default/good)", "closed", RIG_PATIENCE_MS);
}

static void a_request_of_an_unknown_kind_is_answered(void **state)
{
    struct client *client = client_open(&rig, "good", NULL);
    Holdfast__Wire__Frame *frame;

    (void)state;
    /* Field 99 of Request, which is none. */
    assert_int_equal(SSL_write(client->ssl, "\x00\x00\x00\x07\x08\x07\x12\x03\x9a\x06\x00", 11),
                     11);
    frame = client_answer(client, 7);
    assert_int_equal(frame_status(frame), HF_UNSUPPORTED);
    frame_free(frame);
    client_close(client);
}

static void a_name_makes_no_line_of_its_own(void **state)
{
    struct client *client = client_connect(&rig, "good", NULL);
    Holdfast__Wire__Hello hello = HOLDFAST__WIRE__HELLO__INIT;
    Holdfast__Wire__Request request = request_of(HOLDFAST__WIRE__REQUEST__OP_HELLO, &hello);

    (void)state;
    hello.protocol = 1;
    hello.program = (char *)"x\nholdfast: 192.0.2.1:1 (default/admin) connected: admin";
    assert_int_equal(client_call(client, &request, NULL), 0);
    client_close(client);
    expect_log("(default/good) connected: agent, x?holdfast: 192.0.2.1", "", RIG_PATIENCE_MS);
}

/* --- slow peers ------------------------------------------------------------------------------------------------------ */

/* Begun by the first test, so that the others run meanwhile. */
static int silent[SILENT_PEERS], dribbling;
static struct client *mute;

static int begin_slow_peers(void)
{
    for (size_t i = 0; i < SILENT_PEERS; i++)
        silent[i] = dial();
    dribbling = dial();
    /* The head of a ClientHello of 512 bytes, and no more. */
    if (send(dribbling, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9, MSG_NOSIGNAL) != 9)
        return -1;
    mute = client_connect(&rig, "mute", "holdfast:agent");
    return 0;
}

static void peers_that_say_nothing_are_cut_off(void **state)
{
    (void)state;
    log_mark = 0;
    for (size_t i = 0; i < SILENT_PEERS; i++)
        expect_end(silent[i]);
    expect_end(dribbling);
    expect_log("refused: ", "handshake", SLOW_MS);
    assert_true(client_ended(mute, SLOW_MS));
    mute->over = true;
    client_close(mute);
    expect_log("(default/mute)", "it does not say hello", SLOW_MS);
}

static void a_host_has_so_many_connections_and_no_more(void **state)
{
    struct client *clients[20] = {0};
    size_t in = 0;

    (void)state;
    for (size_t i = 0; i < 20; i++) {
        clients[i] = client_connect(&rig, "greedy", "holdfast:reader");
        if (call_hello(clients[i]) == 0)
            in++;
    }
    assert_int_equal(in, 16);
    expect_refusal("greedy");
    for (size_t i = 0; i < 20; i++)
        client_close(clients[i]);
}

/* ---------------------------------------------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    (void)state;
    rig_open(&rig);
    test_pki_host(&rig.pki, "good", "holdfast:agent");
    divert_log();
    rig_start(&rig);
    return begin_slow_peers();
}

static int tear_down(void **state)
{
    (void)state;
    rig_close(&rig);
    dup2(own_stderr, STDERR_FILENO);
    close(own_stderr);
    return unlink(log_path);
}

#define attack(function) cmocka_unit_test_teardown(function, serve_a_good_host)

int main(void)
{
    const struct CMUnitTest tests[] = {
        attack(a_servers_certificate_that_expires_soon_is_told_of),
        attack(plain_text_is_refused),
        attack(a_probe_of_the_port_is_not_logged),
        attack(an_http_request_is_refused),
        attack(random_bytes_are_refused),
        attack(older_tls_is_refused),
        attack(other_protocols_are_refused),
        attack(a_peer_without_a_certificate_is_refused),
        attack(certificates_of_others_are_refused),
        attack(certificates_out_of_their_time_are_refused),
        attack(a_servers_certificate_is_no_hosts),
        attack(a_revoked_host_is_cut_off_when_the_list_is_read),
        attack(a_list_that_cannot_be_read_changes_nothing),
        attack(a_certificate_that_expires_ends_its_connections),
        attack(a_host_goes_on_with_a_renewed_certificate),
        attack(certificates_without_rights_are_refused),
        attack(roles_without_the_right_are_refused),
        attack(a_host_that_asks_on_and_on_does_not_fill_the_log),
        attack(sessions_that_do_not_match_are_not_there),
        attack(nobody_acts_for_anothers_host_session),
        attack(nothing_is_told_across_tenants),
        attack(oversized_frames_are_refused_by_their_head),
        attack(frames_that_are_no_messages_are_refused),
        attack(a_frame_that_is_cut_short_ends_the_connection),
        attack(a_request_of_an_unknown_kind_is_answered),
        attack(a_name_makes_no_line_of_its_own),
        attack(a_host_has_so_many_connections_and_no_more),
        attack(peers_that_say_nothing_are_cut_off),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
