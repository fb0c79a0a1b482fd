/* SPDX-License-Identifier: Apache-2.0 */
/* Connections on loopback: with good peers, slow ones, and such as speak nonsense. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ends.h"
#include "rng.h"

#define LONG_MS 60000
#define SHORT_MS 300

static struct test_pki pki;
static struct side server, client;
static int listener;
static uint16_t port;

static int set_up(void **state)
{
    (void)state;
    test_pki_make(&pki);
    test_pki_host(&pki, "host-a", "holdfast:agent");
    test_pki_host(&pki, "revoked", "holdfast:agent");
    test_pki_revoke(&pki, "revoked.pem");
    side_start(&server, &pki, "server.pem", true, true);
    side_start(&client, &pki, "host-a.pem", false, false);
    listener = listen_on("127.0.0.1", &port);
    assert_true(listener >= 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    close(listener);
    side_stop(&client);
    side_stop(&server);
    test_pki_remove(&pki);
    return 0;
}

static const struct wire_limits patient = {
    .handshake_ms = LONG_MS, .frame_ms = LONG_MS, .stall_ms = LONG_MS};

static void assert_says(const struct end *end, int status, const char *words)
{
    if (end->why.status != status || !strstr(end->why.message, words))
        fail_msg("it says %d \"%s\", and not %d \"%s\"", end->why.status, end->why.message, status,
                 words);
}

/* Both ends of a connection that is open. */
static void join(struct end *here, struct end *there, const struct wire_limits *limits)
{
    end_connect(there, &client, "127.0.0.1", port, &patient);
    end_accept(here, &server, listener, limits);
    assert_true(end_wait_open(here));
    assert_true(end_wait_open(there));
}

static void part(struct end *here, struct end *there)
{
    wire_conn_close(there->conn, 0, NULL);
    wire_conn_close(here->conn, 0, NULL);
    assert_true(end_wait_closed(here));
    assert_true(end_wait_closed(there));
    end_release(here);
    end_release(there);
}

/* --- good peers --------------------------------------------------------------------------------------- */

static void send_back(struct end *end, const Holdfast__Wire__Frame *frame, size_t size)
{
    (void)size;
    assert_int_equal(wire_conn_send(end->conn, frame, NULL), HF_OK);
}

/* The id is the size; the content is that byte. */
static void check_content(struct end *end, const Holdfast__Wire__Frame *frame, size_t size)
{
    const ProtobufCBinaryData *ids = &frame->request->get->ids;

    assert_in_range(size, ids->len, ids->len + 30);
    assert_int_equal(frame->id, ids->len);
    for (size_t i = 0; i < ids->len; i++)
        assert_int_equal(ids->data[i], (uint8_t)frame->id);
    (void)end;
}

static void frames_of_any_size_cross_in_both_directions(void **state)
{
    struct end here, there;
    struct hf_error err;
    size_t n = 0;

    (void)state;
    end_init(&here);
    end_init(&there);
    here.on_frame = send_back;
    there.on_frame = check_content;
    join(&here, &there, NULL);
    for (size_t size = 0; size < WIRE_FRAME_MAX - 30; size = size < 20 ? size + 1 : size * 7 / 3)
        for (int turn = 0; turn < 2; turn++, n++)
            assert_int_equal(end_send(&there, size, size, NULL), HF_OK);
    assert_int_equal(end_send(&there, WIRE_FRAME_MAX - 30, WIRE_FRAME_MAX - 30, NULL), HF_OK);
    assert_int_equal(end_send(&there, 1, WIRE_FRAME_MAX, &err), HF_TOOBIG);
    assert_true(end_wait_frames(&there, n + 1));
    assert_non_null(wire_conn_peer(here.conn));
    assert_memory_equal(wire_conn_address(here.conn), "127.0.0.1:", 10);
    part(&here, &there);
}

#define SENDERS 8
#define EACH 125

struct sender {
    struct end *end;
    unsigned number;
};

static void *send_many(void *arg)
{
    struct sender *sender = arg;
    struct rng rng = {sender->number + 1};

    for (unsigned i = 0; i < EACH; i++)
        assert_int_equal(end_send(sender->end, (uint64_t)sender->number << 32 | i,
                                  rng_below(&rng, i % 10 ? 300 : 60000), NULL),
                         HF_OK);
    return NULL;
}

static void check_order(struct end *end, const Holdfast__Wire__Frame *frame, size_t size)
{
    unsigned *next = end->arg, sender = (unsigned)(frame->id >> 32);
    const ProtobufCBinaryData *ids = &frame->request->get->ids;

    (void)size;
    assert_in_range(sender, 0, SENDERS - 1);
    assert_int_equal((uint32_t)frame->id, next[sender]++);
    for (size_t i = 0; i < ids->len; i++)
        assert_int_equal(ids->data[i], (uint8_t)frame->id);
}

static void frames_of_many_threads_arrive_whole_and_in_order(void **state)
{
    struct end here, there;
    struct sender senders[SENDERS];
    unsigned next[SENDERS] = {0};
    pthread_t threads[SENDERS];

    (void)state;
    end_init(&here);
    end_init(&there);
    here.on_frame = check_order;
    here.arg = next;
    join(&here, &there, NULL);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&there, i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_true(end_wait_frames(&here, SENDERS * EACH));
    part(&here, &there);
    assert_int_equal(here.frames, SENDERS * EACH);
}

static void what_is_queued_goes_out_before_it_closes(void **state)
{
    struct end here, there;
    struct hf_error err;

    (void)state;
    end_init(&here);
    end_init(&there);
    end_connect(&there, &client, "127.0.0.1", port, &patient);
    for (uint64_t i = 0; i < 100; i++) /* before it is open */
        assert_int_equal(end_send(&there, i, 20000, NULL), HF_OK);
    end_accept(&here, &server, listener, &patient);
    assert_true(end_wait_open(&there));
    for (uint64_t i = 0; i < 100; i++)
        assert_int_equal(end_send(&there, i, 20000, NULL), HF_OK);
    wire_conn_close(there.conn, LONG_MS, NULL);
    assert_int_equal(end_send(&there, 1, 1, &err), HF_IO);
    assert_true(end_wait_closed(&here));
    assert_true(end_wait_closed(&there));
    assert_int_equal(here.frames, 200);
    assert_says(&here, HF_OK, "closed the connection");
    assert_says(&there, HF_OK, "closed");
    end_release(&here);
    end_release(&there);
}

static void who_is_paused_reads_nothing_until_it_is_resumed(void **state)
{
    struct end here, there;
    uint64_t sent = 0;

    (void)state;
    end_init(&here);
    end_init(&there);
    join(&here, &there, &(struct wire_limits){.frame_ms = SHORT_MS, .idle_ms = LONG_MS});
    wire_conn_pause(here.conn);
    assert_int_equal(end_send(&there, sent++, 10, NULL), HF_OK);
    /* The kernel takes a few MiB; then the sender's queue grows. */
    while (wire_conn_queued(there.conn) < 4u << 20)
        assert_int_equal(end_send(&there, sent++, 100000, NULL), HF_OK);
    assert_int_equal(usleep(2 * SHORT_MS * 1000), 0); /* longer than a frame may take */
    assert_in_range(end_frames(&here), 0, 3);
    assert_true(wire_conn_queued(there.conn) >= 3u << 20);
    wire_conn_resume(here.conn);
    assert_true(end_wait_frames(&here, sent));
    assert_true(end_wait_drained(&there));
    part(&here, &there);
    assert_int_equal(here.frames, sent);
}

static void it_is_told_when_the_output_has_drained(void **state)
{
    struct end here, there;

    (void)state;
    end_init(&here);
    end_init(&there);
    join(&here, &there, NULL);
    assert_int_equal(end_send(&there, 1, 200, NULL), HF_OK);
    assert_true(end_wait_frames(&here, 1));
    assert_int_equal(there.drained, 0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(end_send(&there, 1, 4000000, NULL), HF_OK);
    assert_true(end_wait_frames(&here, 9));
    assert_true(end_wait_drained(&there));
    part(&here, &there);
    assert_in_range(there.drained, 1, 8);
}

static void all_addresses_of_a_name_are_tried(void **state)
{
    struct end here, there;

    (void)state;
    end_init(&here);
    end_init(&there);
    /* "localhost" is ::1 as well on most machines, where nobody listens. */
    end_connect(&there, &client, "localhost", port, &patient);
    end_accept(&here, &server, listener, &patient);
    assert_true(end_wait_open(&there));
    assert_true(end_wait_open(&here));
    assert_memory_equal(wire_conn_address(there.conn), "127.0.0.1:", 10);
    part(&here, &there);
    assert_true(strstr(there.why.message, "localhost:") != NULL);
}

static void ipv6_works(void **state)
{
    struct end here, there;
    uint16_t port6;
    int listener6 = listen_on("::1", &port6);

    (void)state;
    if (listener6 < 0) {
        print_message("this machine has no ::1\n");
        return;
    }
    end_init(&here);
    end_init(&there);
    end_connect(&there, &client, "::1", port6, &patient);
    end_accept(&here, &server, listener6, &patient);
    assert_true(end_wait_open(&there));
    assert_true(end_wait_open(&here));
    assert_memory_equal(wire_conn_address(there.conn), "[::1]:", 6);
    part(&here, &there);
    close(listener6);
}

static void *close_at_once(void *arg)
{
    struct wire_conn *conn = arg;

    for (int i = 0; i < 3; i++)
        wire_conn_close(conn, 0, NULL);
    wire_conn_unref(conn);
    return NULL;
}

static void it_is_closed_once_whoever_closes_it_and_when(void **state)
{
    (void)state;
    for (int round = 0; round < 60; round++) {
        struct end here, there;
        pthread_t threads[2];

        end_init(&here);
        end_init(&there);
        end_connect(&there, &client, round % 2 ? "localhost" : "127.0.0.1", port, NULL);
        if (round % 3 == 0)
            assert_int_equal(end_send(&there, 1, 100000, NULL), HF_OK);
        assert_int_equal(
            pthread_create(&threads[0], NULL, close_at_once, wire_conn_ref(there.conn)), 0);
        if (round % 5 == 0) {
            assert_int_equal(
                pthread_create(&threads[1], NULL, close_at_once, wire_conn_ref(there.conn)), 0);
            pthread_join(threads[1], NULL);
        }
        pthread_join(threads[0], NULL);
        assert_true(end_wait_closed(&there));
        end_release(&there);
    }
    /* Some had come as far as the listener. */
    close(listener);
    listener = listen_on("127.0.0.1", &port);
    assert_true(listener >= 0);
}

/* --- who cannot be reached or is not let in ------------------------------------------------------------- */

static void who_refuses_a_connection_is_named(void **state)
{
    struct end end;
    uint16_t closed_port;

    (void)state;
    close(listen_on("127.0.0.1", &closed_port));
    end_init(&end);
    end_connect(&end, &client, "127.0.0.1", closed_port, NULL);
    assert_true(end_wait_closed(&end));
    assert_says(&end, HF_IO, "127.0.0.1:");
    assert_says(&end, HF_IO, "Connection refused");
    assert_int_equal(end.opened, 0);
    end_release(&end);
}

static void a_name_that_is_none_is_named(void **state)
{
    /* A part of a name is shorter than this, so nobody is asked for it. */
    static const char name[] =
        "a-name-that-is-so-long-between-its-dots-that-it-cannot-be-one-at-all.invalid";
    struct end end;

    (void)state;
    end_init(&end);
    end_connect(&end, &client, name, 1, NULL);
    assert_true(end_wait_closed(&end));
    assert_says(&end, HF_IO, name);
    end_release(&end);
}

static void both_ends_of_a_revoked_certificate_say_so(void **state)
{
    struct side other;
    struct end here, there;

    (void)state;
    side_start(&other, &pki, "revoked.pem", false, false);
    end_init(&here);
    end_init(&there);
    end_connect(&there, &other, "127.0.0.1", port, NULL);
    /* What is sent at once must not hide the alert behind a reset. */
    for (int i = 0; i < 20; i++)
        assert_int_equal(end_send(&there, 1, 10000, NULL), HF_OK);
    end_accept(&here, &server, listener, NULL);
    assert_true(end_wait_closed(&here));
    assert_true(end_wait_closed(&there));
    assert_says(&here, HF_ACCESS, "certificate was revoked");
    assert_says(&there, HF_ACCESS, "it says that our certificate was revoked");
    assert_int_equal(here.opened, 0);
    end_release(&here);
    end_release(&there);
    side_stop(&other);
}

static void who_speaks_no_tls_is_turned_away(void **state)
{
    static const struct {
        const char *bytes, *words;
    } hellos[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP"},
        {"EHLO mail.example\r\n", "does not speak TLS"},
        {"\x00\x00\x00\x02\x08\x01 a frame without TLS", "does not speak TLS"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof hellos / sizeof *hellos; i++) {
        size_t len = i == 2 ? 26 : strlen(hellos[i].bytes);
        int fd = connect_plainly(port);
        struct end here;

        end_init(&here);
        end_accept(&here, &server, listener, &patient);
        assert_int_equal(write(fd, hellos[i].bytes, len), len);
        assert_true(end_wait_closed(&here));
        assert_says(&here, HF_IO, hellos[i].words);
        end_release(&here);
        close(fd);
    }
}

static void who_connects_and_says_nothing_is_cut(void **state)
{
    int fd = connect_plainly(port);
    struct end here;

    (void)state;
    end_init(&here);
    end_accept(&here, &server, listener, &(struct wire_limits){.handshake_ms = SHORT_MS});
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_TIMEOUT, "handshake");
    end_release(&here);
    close(fd);
}

/* --- bad peers ------------------------------------------------------------------------------------------ */

/* A peer that speaks TLS in good order, on a blocking socket, and then anything. */
struct peer {
    int fd;
    SSL *ssl;
};

static struct peer peer_join(struct end *here, const struct wire_limits *limits)
{
    struct peer peer = {connect_plainly(port), tls_session(client.tls, "127.0.0.1", NULL)};

    assert_non_null(peer.ssl);
    SSL_set_fd(peer.ssl, peer.fd);
    end_init(here);
    end_accept(here, &server, listener, limits);
    assert_int_equal(SSL_do_handshake(peer.ssl), 1);
    assert_true(end_wait_open(here));
    return peer;
}

static void peer_part(struct peer *peer, struct end *here)
{
    assert_true(end_wait_closed(here));
    assert_int_equal(here->frames, 0);
    end_release(here);
    SSL_free(peer->ssl);
    close(peer->fd);
}

static void peer_says(struct peer *peer, const void *bytes, size_t len)
{
    assert_int_equal(SSL_write(peer->ssl, bytes, (int)len), len);
}

static void a_frame_cut_short_is_told_from_a_good_end(void **state)
{
    struct end here;
    struct peer peer = peer_join(&here, &patient);

    (void)state;
    peer_says(&peer, "\0\0\0\x20", 4);
    peer_says(&peer, "half of it", 10);
    SSL_shutdown(peer.ssl);
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_IO, "in the middle of a frame");
    peer_part(&peer, &here);
}

static void a_connection_that_breaks_is_told_from_a_good_end(void **state)
{
    struct end here;
    struct peer peer = peer_join(&here, &patient);
    struct linger reset = {1, 0};

    (void)state;
    shutdown(peer.fd, SHUT_WR); /* as the kernel does for a process that was killed */
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_IO, "cut off");
    peer_part(&peer, &here);
    peer = peer_join(&here, &patient);
    assert_int_equal(setsockopt(peer.fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset), 0);
    close(peer.fd);
    peer.fd = -1;
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_IO, "reset");
    peer_part(&peer, &here);
}

static void a_frame_that_is_too_long_is_refused_by_its_head(void **state)
{
    struct end here;
    struct peer peer = peer_join(&here, &patient);

    (void)state;
    peer_says(&peer, "\x00\x40\x00\x01", 4);
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_TOOBIG, "4194305 bytes");
    peer_part(&peer, &here);
}

static void garbage_is_refused(void **state)
{
    struct end here;
    struct peer peer = peer_join(&here, &patient);

    (void)state;
    peer_says(&peer, "\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_INVAL, "does not hold a message");
    peer_part(&peer, &here);
    peer = peer_join(&here, &patient);
    peer_says(&peer, "\0\0\0\0", 4);
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_INVAL, "empty");
    peer_part(&peer, &here);
}

/* Says a byte of `bytes` every 20 ms, until it is cut off. Gives how many it could say. */
static size_t dribble(struct end *here, int fd, const uint8_t *bytes, size_t len)
{
    size_t said = 0;

    while (said < len && !here->closed) {
        bool over;

        if (send(fd, bytes + said, 1, MSG_NOSIGNAL) != 1)
            break;
        said++;
        usleep(20000);
        pthread_mutex_lock(&here->lock);
        over = here->closed > 0;
        pthread_mutex_unlock(&here->lock);
        if (over)
            break;
    }
    return said;
}

/* The bytes of one TLS record that begins a long frame. */
static size_t record_of(struct peer *peer, uint8_t *record, size_t room)
{
    uint8_t text[204] = {0, 0, 1, 0};
    BIO *memory = BIO_new(BIO_s_mem());
    int len;

    assert_non_null(memory);
    SSL_set0_wbio(peer->ssl, memory);
    peer_says(peer, text, sizeof text);
    len = BIO_read(memory, record, (int)room);
    assert_in_range(len, sizeof text, room);
    return (size_t)len;
}

static void who_dribbles_a_frame_is_cut_though_bytes_arrive(void **state)
{
    struct end here;
    struct peer peer =
        peer_join(&here, &(struct wire_limits){.frame_ms = SHORT_MS, .idle_ms = LONG_MS});
    uint8_t record[400];
    size_t len = record_of(&peer, record, sizeof record);

    (void)state;
    assert_in_range(dribble(&here, peer.fd, record, len), 2, len - 1);
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_TIMEOUT, "not complete within 300 ms");
    peer_part(&peer, &here);
}

static void who_dribbles_small_records_is_cut_too(void **state)
{
    struct end here;
    struct peer peer =
        peer_join(&here, &(struct wire_limits){.frame_ms = SHORT_MS, .idle_ms = LONG_MS});
    bool over = false;

    (void)state;
    peer_says(&peer, "\0\0\1\0", 4);
    for (int i = 0; i < 256 && !over; i++) {
        if (SSL_write(peer.ssl, "x", 1) != 1)
            break;
        usleep(20000);
        pthread_mutex_lock(&here.lock);
        over = here.closed > 0;
        pthread_mutex_unlock(&here.lock);
    }
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_TIMEOUT, "not complete within 300 ms");
    peer_part(&peer, &here);
}

static void who_dribbles_the_handshake_is_cut(void **state)
{
    SSL *ssl = tls_session(client.tls, "127.0.0.1", NULL);
    BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
    uint8_t hello[2000];
    struct end here;
    int fd = connect_plainly(port), len;

    (void)state;
    assert_true(ssl && in && out);
    SSL_set_bio(ssl, in, out);
    assert_int_equal(SSL_do_handshake(ssl), -1);
    len = BIO_read(out, hello, sizeof hello);
    assert_in_range(len, 100, sizeof hello);
    end_init(&here);
    end_accept(&here, &server, listener, &(struct wire_limits){.handshake_ms = SHORT_MS});
    assert_in_range(dribble(&here, fd, hello, (size_t)len), 2, len - 1);
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_TIMEOUT, "no TLS handshake within 300 ms");
    end_release(&here);
    SSL_free(ssl);
    close(fd);
}

static void who_says_nothing_any_more_is_cut(void **state)
{
    struct end here;
    struct peer peer = peer_join(&here, &(struct wire_limits){.idle_ms = SHORT_MS});

    (void)state;
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_TIMEOUT, "nothing was heard of it for 300 ms");
    peer_part(&peer, &here);
}

static void who_never_reads_is_cut(void **state)
{
    struct end here;
    struct peer peer = peer_join(&here, &(struct wire_limits){.stall_ms = SHORT_MS});
    struct hf_error err;
    int rc = HF_OK;

    (void)state;
    /* More than the kernel takes for it. */
    for (uint64_t i = 0; i < 20 && rc == HF_OK; i++)
        rc = end_send(&here, i, 1000000, &err);
    assert_true(end_wait_closed(&here));
    assert_int_equal(here.why.status, HF_TIMEOUT);
    assert_int_equal(end_send(&here, 1, 1, &err), HF_IO);
    peer_part(&peer, &here);
}

static void who_does_not_take_what_is_left_is_not_waited_for(void **state)
{
    struct end here;
    struct peer peer = peer_join(&here, &patient);

    (void)state;
    for (uint64_t i = 0; i < 20; i++)
        assert_int_equal(end_send(&here, i, 1000000, NULL), HF_OK);
    wire_conn_close(here.conn, SHORT_MS, NULL);
    assert_true(end_wait_closed(&here));
    assert_says(&here, HF_TIMEOUT, "still to be sent");
    peer_part(&peer, &here);
}

static void the_reason_of_who_closes_it_is_told(void **state)
{
    struct end here, there;
    struct hf_error why;

    (void)state;
    end_init(&here);
    end_init(&there);
    join(&here, &there, NULL);
    (void)hf_fail(&why, HF_ACCESS, "too many connections");
    wire_conn_close(here.conn, SHORT_MS, &why);
    assert_true(end_wait_closed(&here));
    assert_true(end_wait_closed(&there));
    assert_says(&here, HF_ACCESS, ": too many connections");
    assert_says(&there, HF_OK, "it closed the connection");
    end_release(&here);
    end_release(&there);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_of_any_size_cross_in_both_directions),
        cmocka_unit_test(frames_of_many_threads_arrive_whole_and_in_order),
        cmocka_unit_test(what_is_queued_goes_out_before_it_closes),
        cmocka_unit_test(who_is_paused_reads_nothing_until_it_is_resumed),
        cmocka_unit_test(it_is_told_when_the_output_has_drained),
        cmocka_unit_test(all_addresses_of_a_name_are_tried),
        cmocka_unit_test(ipv6_works),
        cmocka_unit_test(it_is_closed_once_whoever_closes_it_and_when),
        cmocka_unit_test(who_refuses_a_connection_is_named),
        cmocka_unit_test(a_name_that_is_none_is_named),
        cmocka_unit_test(both_ends_of_a_revoked_certificate_say_so),
        cmocka_unit_test(who_speaks_no_tls_is_turned_away),
        cmocka_unit_test(who_connects_and_says_nothing_is_cut),
        cmocka_unit_test(a_frame_cut_short_is_told_from_a_good_end),
        cmocka_unit_test(a_connection_that_breaks_is_told_from_a_good_end),
        cmocka_unit_test(a_frame_that_is_too_long_is_refused_by_its_head),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(who_dribbles_a_frame_is_cut_though_bytes_arrive),
        cmocka_unit_test(who_dribbles_small_records_is_cut_too),
        cmocka_unit_test(who_dribbles_the_handshake_is_cut),
        cmocka_unit_test(who_says_nothing_any_more_is_cut),
        cmocka_unit_test(who_never_reads_is_cut),
        cmocka_unit_test(who_does_not_take_what_is_left_is_not_waited_for),
        cmocka_unit_test(the_reason_of_who_closes_it_is_told),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
