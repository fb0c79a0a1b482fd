/* SPDX-License-Identifier: Apache-2.0 */
/* bench_roundtrip [ROUNDS [SIZE]]: the time of a request and its answer over a connection on loopback, and, in turns
 * with it, of as many bytes over bare TLS between two threads that block. */
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ends.h"

static struct test_pki pki;
static struct side server, client;
static int listener;
static uint16_t port;

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void answer(struct end *end, const Holdfast__Wire__Frame *frame, size_t size)
{
    int rc = wire_conn_send(end->conn, frame, NULL);

    (void)size;
    assert(rc == HF_OK);
}

static double measure_frames(size_t rounds, size_t size)
{
    struct end here, there;
    double begin, took;

    end_init(&here);
    end_init(&there);
    here.on_frame = answer;
    end_connect(&there, &client, "127.0.0.1", port, NULL);
    end_accept(&here, &server, listener, NULL);
    assert(end_wait_open(&there) && end_wait_open(&here));
    begin = now_s();
    for (size_t i = 0; i < rounds; i++) {
        int rc = end_send(&there, i, size, NULL);
        bool came = end_wait_frames(&there, i + 1);

        assert(rc == HF_OK && came);
    }
    took = now_s() - begin;
    wire_conn_close(there.conn, 1000, NULL);
    assert(end_wait_closed(&there) && end_wait_closed(&here));
    end_release(&there);
    end_release(&here);
    return took / (double)rounds * 1e6;
}

static void tell(SSL *ssl, const uint8_t *bytes, size_t size)
{
    size_t n;
    int ok = SSL_write_ex(ssl, bytes, size, &n);

    assert(ok == 1 && n == size);
}

static void hear(SSL *ssl, uint8_t *bytes, size_t size)
{
    size_t n;

    for (size_t at = 0; at < size; at += n) {
        int ok = SSL_read_ex(ssl, bytes + at, size - at, &n);

        assert(ok == 1);
    }
}

struct bare {
    SSL *ssl;
    size_t rounds, size;
};

static SSL *bare_tls(struct tls *tls, int fd)
{
    SSL *ssl = tls_session(tls, "127.0.0.1", NULL);
    int one = 1;

    assert(ssl && setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one) == 0);
    SSL_set_fd(ssl, fd);
    SSL_set_read_ahead(ssl, 1);
    return ssl;
}

static void *echo(void *arg)
{
    struct bare *bare = arg;
    uint8_t *bytes = malloc(bare->size);
    int ok = SSL_do_handshake(bare->ssl);

    assert(bytes && ok == 1);
    for (size_t i = 0; i < bare->rounds; i++) {
        hear(bare->ssl, bytes, bare->size);
        tell(bare->ssl, bytes, bare->size);
    }
    free(bytes);
    return NULL;
}

static double measure_bare(size_t rounds, size_t size)
{
    int out = connect_plainly(port), in = accept(listener, NULL, NULL), ok;
    SSL *mine = bare_tls(client.tls, out);
    struct bare theirs = {bare_tls(server.tls, in), rounds, size};
    uint8_t *bytes = calloc(1, size);
    pthread_t thread;
    double begin, took;

    ok = pthread_create(&thread, NULL, echo, &theirs);
    assert(ok == 0 && bytes);
    ok = SSL_do_handshake(mine);
    assert(ok == 1);
    begin = now_s();
    for (size_t i = 0; i < rounds; i++) {
        tell(mine, bytes, size);
        hear(mine, bytes, size);
    }
    took = now_s() - begin;
    pthread_join(thread, NULL);
    free(bytes);
    SSL_free(mine);
    SSL_free(theirs.ssl);
    close(in);
    close(out);
    return took / (double)rounds * 1e6;
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 0) : 20000;
    size_t size = argc > 2 ? strtoul(argv[2], NULL, 0) : 32;
    double frames, bare;

    test_pki_make(&pki);
    test_pki_host(&pki, "host-a", "holdfast:agent");
    side_start(&server, &pki, "server.pem", true, false);
    side_start(&client, &pki, "host-a.pem", false, false);
    listener = listen_on("127.0.0.1", &port);
    for (int turn = 0; turn < 3; turn++) {
        frames = measure_frames(rounds, size);
        bare = measure_bare(rounds, size + 16);
        printf("%zu bytes: %.1f us a round trip; bare TLS %.1f us; ratio %.2f\n", size, frames,
               bare, frames / bare);
    }
    close(listener);
    side_stop(&client);
    side_stop(&server);
    test_pki_remove(&pki);
    return 0;
}
