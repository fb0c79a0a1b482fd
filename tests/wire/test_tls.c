/* SPDX-License-Identifier: Apache-2.0 */
/** TLS as both ends use it: who gets through, who does not, and what is said about it. Both ends are in this
 *  process, joined by a pair of memory BIOs. */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "pki.h"

#define DAY 86400

static struct test_pki pki;

static int set_up(void **state)
{
    (void)state;
    test_pki_make(&pki);
    test_pki_host(&pki, "host-a", "holdfast:agent");
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    test_pki_remove(&pki);
    return 0;
}

/* --- two ends --------------------------------------------------------------------------------------- */

struct ends {
    SSL *client, *server;
    struct hf_error client_says, server_says;
    bool client_failed, server_failed;
};

static struct tls *open_tls(const char *bundle, bool server, bool crl)
{
    struct tls_files files = test_pki_files(&pki, bundle, crl);
    struct hf_error err;
    struct tls *tls = NULL;

    if (tls_open(&files, server, &tls, &err) != 0)
        fail_msg("%s: %s", bundle, err.message);
    return tls;
}

static void join(struct ends *ends, SSL *client, SSL *server)
{
    BIO *one, *other;

    memset(ends, 0, sizeof *ends);
    assert_int_equal(BIO_new_bio_pair(&one, 0, &other, 0), 1);
    ends->client = client;
    ends->server = server;
    if (client)
        SSL_set_bio(client, one, one);
    else
        BIO_free(one);
    SSL_set_bio(server, other, other);
}

static bool step(SSL *ssl, struct hf_error *says, bool ours)
{
    char byte;
    int n = SSL_read(ssl, &byte, 1);
    int error = SSL_get_error(ssl, n);

    if (n > 0 || error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        return false;
    ERR_clear_error(); /* whoever drives it may have taken them: they are kept with the connection */
    if (ours)
        assert_int_not_equal(tls_explain(ssl, says), 0);
    return true;
}

/* Lets both ends talk until neither has more to say. */
static void talk(struct ends *ends, bool ours)
{
    for (int i = 0; i < 20; i++) {
        if (!ends->client_failed)
            ends->client_failed = step(ends->client, &ends->client_says, ours);
        if (!ends->server_failed)
            ends->server_failed = step(ends->server, &ends->server_says, true);
    }
}

static bool through(const struct ends *ends)
{
    return !ends->client_failed && !ends->server_failed && SSL_is_init_finished(ends->client) &&
           SSL_is_init_finished(ends->server);
}

static void part(struct ends *ends)
{
    SSL_free(ends->client);
    SSL_free(ends->server);
}

/* Has a client with one bundle and a server with another meet; with the sentences of both. */
static bool meet(const char *client_bundle, const char *server_bundle, bool crl, const char *host,
                 struct ends *ends)
{
    struct tls *client = open_tls(client_bundle, false, false);
    struct tls *server = open_tls(server_bundle, true, crl);
    bool met;

    join(ends, tls_session(client, host, NULL), tls_session(server, NULL, NULL));
    tls_close(client);
    tls_close(server);
    talk(ends, true);
    met = through(ends);
    part(ends);
    return met;
}

#define assert_says(error, text)                                                                   \
    do {                                                                                           \
        if (!strstr((error).message, text))                                                        \
            fail_msg("'%s' does not say '%s'", (error).message, text);                             \
    } while (0)

/* --- who gets through ---------------------------------------------------------------------------------- */

static void both_sides_with_certificates_get_through(void **state)
{
    static const char *const hosts[] = {"localhost", "127.0.0.1", "::1"};
    struct ends ends;

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_true(meet("host-a.pem", PKI_SERVER_FILE, true, hosts[i], &ends));
}

static void it_is_tls_1_3_and_nothing_is_resumed(void **state)
{
    struct tls *client = open_tls("host-a.pem", false, false);
    struct tls *server = open_tls(PKI_SERVER_FILE, true, true);
    struct ends ends;

    (void)state;
    join(&ends, tls_session(client, "localhost", NULL), tls_session(server, NULL, NULL));
    talk(&ends, true);
    assert_true(through(&ends));
    assert_int_equal(SSL_version(ends.client), TLS1_3_VERSION);
    assert_false(SSL_SESSION_is_resumable(SSL_get0_session(ends.client)));
    assert_false(SSL_SESSION_has_ticket(SSL_get0_session(ends.client)));
    part(&ends);
    tls_close(client);
    tls_close(server);
}

static void a_server_for_another_name_is_refused(void **state)
{
    struct ends ends;

    (void)state;
    assert_false(meet("host-a.pem", PKI_SERVER_FILE, false, "store.example", &ends));
    assert_says(ends.client_says, "for another name");
    assert_int_equal(ends.client_says.status, HF_ACCESS);
    assert_false(meet("host-a.pem", PKI_SERVER_FILE, false, "127.0.0.2", &ends));
    assert_says(ends.client_says, "for another name");
}

static void a_certificate_of_another_ca_is_refused(void **state)
{
    struct pki_pair other;
    struct ends ends;

    (void)state;
    test_pki_other_ca(&other);
    test_pki_issue(&pki, (struct pki_request){.kind = PKI_HOST, .name = "host-b"}, &other, "b.pem");
    assert_false(meet("b.pem", PKI_SERVER_FILE, true, "localhost", &ends));
    assert_int_equal(ends.server_says.status, HF_ACCESS);
    assert_says(ends.server_says, "CA that is not trusted");
    assert_says(ends.client_says, "does not trust the CA of our certificate");
    test_pki_issue(
        &pki,
        (struct pki_request){
            .kind = PKI_SERVER, .name = "x", .hosts = (const char *[]){"localhost"}, .nhosts = 1},
        &other, "s.pem");
    assert_false(meet("host-a.pem", "s.pem", false, "localhost", &ends));
    assert_says(ends.client_says, "CA that is not trusted");
    pki_pair_release(&other);
}

static void a_certificate_signed_by_itself_is_refused(void **state)
{
    struct ends ends;

    (void)state;
    test_pki_issue(&pki, (struct pki_request){.kind = PKI_HOST, .name = "me"}, NULL, "self.pem");
    assert_false(meet("self.pem", PKI_SERVER_FILE, true, "localhost", &ends));
    assert_says(ends.server_says, "signed by itself");
}

/* Uses certificates that tls_open() would not load. */
static struct tls *open_any(const char *bundle)
{
    struct tls *tls = open_tls("host-a.pem", false, false);

    assert_int_equal(
        SSL_CTX_use_certificate_file(tls->context, test_pki_path(&pki, bundle), SSL_FILETYPE_PEM),
        1);
    assert_int_equal(
        SSL_CTX_use_PrivateKey_file(tls->context, test_pki_path(&pki, bundle), SSL_FILETYPE_PEM),
        1);
    return tls;
}

static void refused_at_the_server(const char *bundle, const char *sentence, const char *answer)
{
    struct tls *client = open_any(bundle);
    struct tls *server = open_tls(PKI_SERVER_FILE, true, true);
    struct ends ends;

    join(&ends, tls_session(client, "localhost", NULL), tls_session(server, NULL, NULL));
    talk(&ends, true);
    assert_true(ends.server_failed);
    assert_says(ends.server_says, sentence);
    assert_says(ends.client_says, answer);
    part(&ends);
    tls_close(client);
    tls_close(server);
}

static void expired_and_early_certificates_are_refused(void **state)
{
    int64_t now = time(NULL);
    struct pki_request request = {
        .kind = PKI_HOST, .name = "late", .not_before = now - 2 * DAY, .not_after = now - DAY};

    (void)state;
    test_pki_issue(&pki, request, &pki.ca, "late.pem");
    refused_at_the_server("late.pem", "has expired", "our certificate has expired");
    request.not_before = now + DAY;
    request.not_after = now + 2 * DAY;
    test_pki_issue(&pki, request, &pki.ca, "early.pem");
    refused_at_the_server("early.pem", "not valid yet", "does not accept our certificate");
}

static void a_revoked_certificate_is_refused_once_the_list_is_loaded(void **state)
{
    struct ends ends;

    (void)state;
    test_pki_host(&pki, "lost", "holdfast:agent");
    assert_true(meet("lost.pem", PKI_SERVER_FILE, true, "localhost", &ends));
    test_pki_revoke(&pki, "lost.pem");
    assert_true(meet("lost.pem", PKI_SERVER_FILE, false, "localhost", &ends));
    assert_false(meet("lost.pem", PKI_SERVER_FILE, true, "localhost", &ends));
    assert_says(ends.server_says, "was revoked");
    assert_says(ends.client_says, "our certificate was revoked");
    assert_true(meet("host-a.pem", PKI_SERVER_FILE, true, "localhost", &ends));
}

static void append_file(const char *file, const struct buf *text)
{
    FILE *out = fopen(test_pki_path(&pki, file), "ae");

    assert_non_null(out);
    assert_int_equal(fwrite(text->data, 1, text->len, out), text->len);
    assert_int_equal(fclose(out), 0);
}

static void copy_file(const char *from, const char *to)
{
    char text[65536];
    FILE *in = fopen(test_pki_path(&pki, from), "re");
    FILE *out = fopen(test_pki_path(&pki, to), "we");

    assert_true(in && out);
    assert_true(fwrite(text, 1, fread(text, 1, sizeof text, in), out) > 0);
    fclose(in);
    assert_int_equal(fclose(out), 0);
}

/* The server's files while one CA takes over from another. */
static bool served_by_both(const char *client_bundle, const char *crl, struct ends *ends)
{
    struct tls *client = open_any(client_bundle), *server = NULL;
    struct tls_files files = test_pki_files(&pki, PKI_SERVER_FILE, true);
    bool met;

    files.ca = test_pki_path(&pki, "both-ca.pem");
    files.crl = test_pki_path(&pki, crl);
    assert_int_equal(tls_open(&files, true, &server, NULL), 0);
    join(ends, tls_session(client, "localhost", NULL), tls_session(server, NULL, NULL));
    talk(ends, true);
    met = through(ends);
    part(ends);
    tls_close(client);
    tls_close(server);
    return met;
}

static void two_cas_are_trusted_while_one_takes_over(void **state)
{
    struct pki_request request = {.kind = PKI_CA,
                                  .name = "the next CA",
                                  .not_before = time(NULL) - 60,
                                  .not_after = time(NULL) + DAY};
    struct pki_pair next;
    struct ends ends;
    BUF_AUTO ca = {0};
    BUF_AUTO list = {0};
    X509_CRL *crl;

    (void)state;
    assert_int_equal(pki_issue(&request, NULL, &next, NULL), 0);
    assert_int_equal(pki_crl_new(&next, &crl, NULL), 0);
    assert_int_equal(pki_print_certificate(next.certificate, &ca, NULL), 0);
    assert_int_equal(pki_print_crl(crl, &list, NULL), 0);
    X509_CRL_free(crl);
    copy_file(PKI_CA_FILE, "both-ca.pem");
    append_file("both-ca.pem", &ca);
    copy_file(PKI_CRL_FILE, "both-crl.pem");
    append_file("both-crl.pem", &list);
    test_pki_issue(&pki, (struct pki_request){.kind = PKI_HOST, .name = "new"}, &next, "new.pem");
    assert_true(served_by_both("host-a.pem", "both-crl.pem", &ends));
    assert_true(served_by_both("new.pem", "both-crl.pem", &ends));
    assert_true(served_by_both("host-a.pem", PKI_CRL_FILE, &ends));
    assert_false(served_by_both("new.pem", PKI_CRL_FILE, &ends));
    assert_says(ends.server_says, "no list of revoked certificates is from the CA");
    pki_pair_release(&next);
}

static X509 *read_certificate(const char *bundle)
{
    FILE *file = fopen(test_pki_path(&pki, bundle), "re");
    X509 *certificate = file ? PEM_read_X509(file, NULL, NULL, NULL) : NULL;

    assert_non_null(certificate);
    fclose(file);
    return certificate;
}

static void a_connection_is_judged_anew_by_a_newer_list(void **state)
{
    struct tls *before, *after;
    struct hf_error err;
    X509 *certificate;

    (void)state;
    test_pki_host(&pki, "sold", "holdfast:agent");
    certificate = read_certificate("sold.pem");
    before = open_tls(PKI_SERVER_FILE, true, true);
    test_pki_revoke(&pki, "sold.pem");
    after = open_tls(PKI_SERVER_FILE, true, true);
    assert_int_equal(tls_recheck(before, certificate, &err), 0);
    assert_int_equal(tls_recheck(after, certificate, &err), HF_ACCESS);
    assert_says(err, "was revoked");
    X509_free(certificate);
    tls_close(before);
    tls_close(after);
}

static void each_kind_of_certificate_serves_its_own_side(void **state)
{
    struct tls *client = open_tls("host-a.pem", false, false);
    struct tls *server = open_tls(PKI_SERVER_FILE, true, false), *none = NULL;
    struct tls_files files = test_pki_files(&pki, "host-a.pem", false);
    SSL *posing = tls_session(server, NULL, NULL);
    struct hf_error err;
    struct ends ends;

    (void)state;
    assert_false(meet(PKI_SERVER_FILE, PKI_SERVER_FILE, true, "localhost", &ends));
    assert_says(ends.server_says, "not one for hosts");
    assert_int_equal(tls_open(&files, true, &none, &err), HF_CONFIG);
    assert_says(err, "not for a server");
    /* A host that poses as the server all the same. */
    assert_int_equal(SSL_use_certificate_file(posing, files.certificate, SSL_FILETYPE_PEM), 1);
    assert_int_equal(SSL_use_PrivateKey_file(posing, files.key, SSL_FILETYPE_PEM), 1);
    join(&ends, tls_session(client, "localhost", NULL), posing);
    talk(&ends, true);
    assert_false(through(&ends));
    assert_says(ends.client_says, "not one for servers");
    part(&ends);
    tls_close(client);
    tls_close(server);
}

/* --- peers that are not ours ------------------------------------------------------------------------------ */

/* A peer with a good certificate, and with whatever else `change` gives it. */
static void meet_stranger(void (*change)(SSL_CTX *context), struct ends *ends)
{
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    struct tls *server = open_tls(PKI_SERVER_FILE, true, true);
    SSL *ssl;

    assert_int_equal(
        SSL_CTX_use_certificate_file(context, test_pki_path(&pki, "host-a.pem"), SSL_FILETYPE_PEM),
        1);
    assert_int_equal(
        SSL_CTX_use_PrivateKey_file(context, test_pki_path(&pki, "host-a.pem"), SSL_FILETYPE_PEM),
        1);
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x0a" WIRE_ALPN, 11);
    change(context);
    ssl = SSL_new(context);
    SSL_set_connect_state(ssl);
    join(ends, ssl, tls_session(server, NULL, NULL));
    talk(ends, false);
    part(ends);
    SSL_CTX_free(context);
    tls_close(server);
}

static void change_nothing(SSL_CTX *context)
{
    (void)context;
}

static void speak_tls_1_2(SSL_CTX *context)
{
    SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
}

static void speak_another_protocol(SSL_CTX *context)
{
    SSL_CTX_set_alpn_protos(context, (const unsigned char *)"\x02h2", 3);
}

static void say_no_protocol(SSL_CTX *context)
{
    SSL_CTX_set_alpn_protos(context, NULL, 0);
}

static void show_no_certificate(SSL_CTX *context)
{
    SSL_CTX_set1_client_sigalgs_list(context, "RSA-PSS+SHA256"); /* none that its key can make */
}

static void peers_of_another_protocol_are_refused(void **state)
{
    struct ends ends;

    (void)state;
    meet_stranger(change_nothing, &ends);
    assert_false(ends.server_failed);
    meet_stranger(speak_tls_1_2, &ends);
    assert_true(ends.server_failed);
    assert_says(ends.server_says, "it speaks TLS 1.2, and TLS 1.3 is the oldest");
    meet_stranger(speak_another_protocol, &ends);
    assert_true(ends.server_failed);
    assert_says(ends.server_says, "another protocol than holdfast/1");
    meet_stranger(say_no_protocol, &ends);
    assert_true(ends.server_failed);
    assert_says(ends.server_says, "another protocol than holdfast/1");
}

static void a_peer_without_a_certificate_is_refused(void **state)
{
    struct ends ends;

    (void)state;
    meet_stranger(show_no_certificate, &ends);
    assert_true(ends.server_failed);
    assert_says(ends.server_says, "showed no certificate");
    assert_int_equal(ends.server_says.status, HF_ACCESS);
}

static void send_bytes(const char *bytes, struct hf_error *ret_says)
{
    struct tls *server = open_tls(PKI_SERVER_FILE, true, true);
    SSL *ssl = tls_session(server, NULL, NULL);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());

    BIO_set_mem_eof_return(in, -1);
    assert_true(BIO_puts(in, bytes) > 0);
    SSL_set_bio(ssl, in, out);
    assert_true(step(ssl, ret_says, true));
    SSL_free(ssl);
    tls_close(server);
}

static void what_is_not_tls_is_refused(void **state)
{
    struct hf_error says;

    (void)state;
    send_bytes("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", &says);
    assert_says(says, "it sent an HTTP request");
    send_bytes("SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n", &says);
    assert_says(says, "it does not speak TLS");
    send_bytes("hello, is anybody there?\n", &says);
    assert_says(says, "it does not speak TLS");
}

/* --- files ------------------------------------------------------------------------------------------------- */

static void refused_file(const struct tls_files *files, bool server, const char *sentence)
{
    struct tls *tls = NULL;
    struct hf_error err = {0};

    assert_int_equal(tls_open(files, server, &tls, &err), HF_CONFIG);
    assert_null(tls);
    assert_says(err, sentence);
    assert_says(err, pki.dir);
    assert_int_equal(ERR_peek_error(), 0);
}

static void a_key_that_others_can_read_is_refused(void **state)
{
    struct tls_files files = test_pki_files(&pki, "host-a.pem", false);
    static const mode_t bad[] = {0644, 0604, 0660, 0602, 0777};
    struct tls *tls = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(chmod(files.key, bad[i]), 0);
        refused_file(&files, false, "can be read or changed by others");
    }
    assert_int_equal(chmod(files.key, 0440), 0); /* a service's group may */
    assert_int_equal(tls_open(&files, false, &tls, NULL), 0);
    tls_close(tls);
    assert_int_equal(chmod(files.key, 0600), 0);
}

static void files_that_do_not_serve_are_named(void **state)
{
    const char *missing = test_pki_path(&pki, "missing.pem");
    const char *host = test_pki_path(&pki, "host-a.pem");
    struct tls_files good = test_pki_files(&pki, PKI_SERVER_FILE, true);
    const char *own = good.certificate, *ca = good.ca, *crl = good.crl;
    const struct {
        struct tls_files files;
        const char *sentence;
    } cases[] = {
        {{missing, own, ca, crl}, "missing.pem: No such file"},
        {{own, missing, ca, crl}, "missing.pem: No such file"},
        {{own, own, missing, crl}, "missing.pem: No such file"},
        {{own, own, ca, missing}, "missing.pem: No such file"},
        {{crl, own, ca, crl}, "crl.pem holds no certificate"},
        {{ca, own, ca, crl}, "ca.pem is that of a CA"},
        {{own, host, ca, crl}, "host-a.pem does not belong to the certificate in"},
        {{own, crl, ca, crl}, "crl.pem holds no private key"},
        {{own, own, crl, crl}, "crl.pem holds no certificate of a CA"},
        {{own, own, ca, ca}, "ca.pem holds no list of revoked certificates"},
        {{pki.dir, own, ca, crl}, "is not a regular file"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        refused_file(&cases[i].files, true, cases[i].sentence);
}

static void expired_files_are_refused_with_their_date(void **state)
{
    struct pki_request request = {.kind = PKI_SERVER,
                                  .name = "old",
                                  .not_before = 1577836800 /* 2020-01-01 */,
                                  .not_after = 1609459200 /* 2021-01-01 */};
    struct tls_files files;

    (void)state;
    test_pki_issue(&pki, request, &pki.ca, "old.pem");
    files = test_pki_files(&pki, "old.pem", false);
    refused_file(&files, true, "old.pem expired on 2021-01-01 00:00:00 UTC");
    request.not_before = 4102444800; /* 2100-01-01 */
    request.not_after = 4133980800;
    test_pki_issue(&pki, request, &pki.ca, "new.pem");
    files = test_pki_files(&pki, "new.pem", false);
    refused_file(&files, true, "new.pem is not valid before 2100-01-01 00:00:00 UTC");
}

static void names_that_are_none_are_refused(void **state)
{
    struct tls *tls = open_tls("host-a.pem", false, false);
    struct hf_error err;
    char longer[400];

    (void)state;
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_null(tls_session(tls, "", &err));
    assert_int_equal(err.status, HF_INVAL);
    assert_null(tls_session(tls, NULL, &err));
    assert_null(tls_session(tls, longer, &err));
    tls_close(tls);
    tls_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_with_certificates_get_through),
        cmocka_unit_test(it_is_tls_1_3_and_nothing_is_resumed),
        cmocka_unit_test(a_server_for_another_name_is_refused),
        cmocka_unit_test(a_certificate_of_another_ca_is_refused),
        cmocka_unit_test(a_certificate_signed_by_itself_is_refused),
        cmocka_unit_test(expired_and_early_certificates_are_refused),
        cmocka_unit_test(a_revoked_certificate_is_refused_once_the_list_is_loaded),
        cmocka_unit_test(two_cas_are_trusted_while_one_takes_over),
        cmocka_unit_test(a_connection_is_judged_anew_by_a_newer_list),
        cmocka_unit_test(each_kind_of_certificate_serves_its_own_side),
        cmocka_unit_test(peers_of_another_protocol_are_refused),
        cmocka_unit_test(a_peer_without_a_certificate_is_refused),
        cmocka_unit_test(what_is_not_tls_is_refused),
        cmocka_unit_test(a_key_that_others_can_read_is_refused),
        cmocka_unit_test(files_that_do_not_serve_are_named),
        cmocka_unit_test(expired_files_are_refused_with_their_date),
        cmocka_unit_test(names_that_are_none_are_refused),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
