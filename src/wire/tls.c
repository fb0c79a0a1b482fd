/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PEM_MAX (4 << 20) /* bytes of a file; a CRL may be long */
#define DEPTH_MAX 8       /* certificates between a peer's and a CA's */

/* --- what happened to a connection -------------------------------------------------------------- */

/* Kept with each SSL, since whoever drives it may take OpenSSL's errors off the thread's queue first. */
struct tale {
    unsigned long error; /* the first of OpenSSL, or 0 */
    int alert;           /* received, or 0 */
    uint16_t version;    /* the newest that a client offers; 0: not heard yet */
    bool no_alpn;        /* the peer does not say what it wants to speak */
};

static int tale_index = -1;
static pthread_once_t tale_once = PTHREAD_ONCE_INIT;

static void tale_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index, long argl, void *argp)
{
    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    free(ptr);
}

static void tale_register(void)
{
    tale_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, tale_free);
}

static struct tale *tale_of(const SSL *ssl)
{
    return SSL_get_ex_data(ssl, tale_index);
}

static void on_info(const SSL *ssl, int where, int value)
{
    struct tale *tale = tale_of(ssl);

    if (!tale)
        return;
    if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT && (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
        tale->alert = value & 0xff;
    if (!tale->error && ((where & SSL_CB_ALERT) || ((where & SSL_CB_EXIT) && value <= 0)))
        tale->error = ERR_peek_error();
}

/* --- ALPN ---------------------------------------------------------------------------------------- */

#define ALPN_LEN (sizeof WIRE_ALPN - 1)
static const unsigned char alpn[ALPN_LEN + 1] = "\x0a" WIRE_ALPN;
_Static_assert(ALPN_LEN == 0x0a, "the length that stands before the name");

static int on_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len,
                   const unsigned char *offered, unsigned offered_len, void *arg)
{
    unsigned char *name;

    (void)arg;
    if (SSL_select_next_proto(&name, ret_len, alpn, sizeof alpn, offered, offered_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        tale_of(ssl)->no_alpn = true;
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *ret_name = name;
    return SSL_TLSEXT_ERR_OK;
}

/* The newest version of a ClientHello's supported_versions (RFC 8446, 4.2.1), GREASE left out. */
static uint16_t newest_version(const unsigned char *list, size_t len)
{
    uint16_t newest = 0;

    for (size_t i = 1; i + 1 < len; i += 2) {
        uint16_t version = (uint16_t)(list[i] << 8 | list[i + 1]);
        if ((version & 0x0f0f) != 0x0a0a && version > newest)
            newest = version;
    }
    return newest;
}

/* OpenSSL asks on_alpn() only about those who offer something. */
static int on_hello(SSL *ssl, int *ret_alert, void *arg)
{
    struct tale *tale = tale_of(ssl);
    const unsigned char *data;
    size_t len;

    (void)arg;
    tale->version = (uint16_t)SSL_client_hello_get0_legacy_version(ssl);
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_versions, &data, &len))
        tale->version = newest_version(data, len);
    if (tale->version < TLS1_3_VERSION) /* refused by OpenSSL, with the right alert */
        return SSL_CLIENT_HELLO_SUCCESS;
    if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_application_layer_protocol_negotiation, &data,
                                  &len))
        return SSL_CLIENT_HELLO_SUCCESS;
    tale->no_alpn = true;
    *ret_alert = SSL_AD_NO_APPLICATION_PROTOCOL;
    return SSL_CLIENT_HELLO_ERROR;
}

/* On the client: in TLS 1.3 the server has chosen before it shows its certificate. */
static int on_verify(X509_STORE_CTX *verify, void *arg)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(verify, SSL_get_ex_data_X509_STORE_CTX_idx());
    const unsigned char *name;
    unsigned len;

    (void)arg;
    SSL_get0_alpn_selected(ssl, &name, &len);
    if (len != ALPN_LEN || memcmp(name, WIRE_ALPN, len) != 0) {
        tale_of(ssl)->no_alpn = true;
        X509_STORE_CTX_set_error(verify, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    return X509_verify_cert(verify);
}

/* --- loading ------------------------------------------------------------------------------------- */

/* A file that is being read: for the sentences. */
struct pem {
    const char *path;
    BIO *bio;
};

static void pem_close(struct pem *pem)
{
    BIO_free(pem->bio);
}
#define PEM_AUTO __attribute__((cleanup(pem_close))) struct pem

static int check_file(int fd, const char *path, bool private, struct hf_error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return hf_fail(err, HF_CONFIG, "cannot read %s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return hf_fail(err, HF_CONFIG, "%s is not a regular file", path);
    if (st.st_size > PEM_MAX)
        return hf_fail(err, HF_CONFIG, "%s is too large for a PEM file", path);
    if (private && (st.st_mode & (S_IRWXO | S_IWGRP)))
        return hf_fail(err, HF_CONFIG,
                       "the key in %s can be read or changed by others (mode %04o); chmod 600 it",
                       path, st.st_mode & 07777u);
    return 0;
}

/* Into memory at once, so that two looks at it see the same. */
static int pem_open(const char *path, bool private, struct pem *ret_pem, struct hf_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int status = 0;
    char chunk[4096];
    ssize_t n = 0;

    if (fd < 0)
        return hf_fail(err, HF_CONFIG, "cannot read %s: %s", path, strerror(errno));
    status = check_file(fd, path, private, err);
    ret_pem->path = path;
    ret_pem->bio = status ? NULL : BIO_new(BIO_s_mem());
    while (ret_pem->bio && (n = read(fd, chunk, sizeof chunk)) > 0)
        if (BIO_write(ret_pem->bio, chunk, (int)n) != n)
            break;
    if (!status && (!ret_pem->bio || n > 0))
        status = hf_fail(err, HF_NOMEM, "out of memory");
    else if (!status && n < 0)
        status = hf_fail(err, HF_CONFIG, "cannot read %s: %s", path, strerror(errno));
    OPENSSL_cleanse(chunk, sizeof chunk);
    close(fd);
    return status;
}

static const char *date_text(const ASN1_TIME *time, char text[32])
{
    struct tm tm;

    if (!ASN1_TIME_to_tm(time, &tm) || !strftime(text, 32, "%Y-%m-%d %H:%M:%S UTC", &tm))
        snprintf(text, 32, "an unreadable date");
    return text;
}

static int check_dates(X509 *certificate, const char *path, struct hf_error *err)
{
    char text[32];

    if (X509_cmp_current_time(X509_get0_notAfter(certificate)) <= 0)
        return hf_fail(err, HF_CONFIG, "the certificate in %s expired on %s", path,
                       date_text(X509_get0_notAfter(certificate), text));
    if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0)
        return hf_fail(err, HF_CONFIG, "the certificate in %s is not valid before %s", path,
                       date_text(X509_get0_notBefore(certificate), text));
    return 0;
}

/* The first certificate is ours; those that follow are its chain, but for roots: the peer has its own. */
static int load_certificate(SSL_CTX *context, const char *path, bool server, struct hf_error *err)
{
    PEM_AUTO pem = {0};
    X509 *certificate;
    int status = pem_open(path, false, &pem, err);

    if (status)
        return status;
    certificate = PEM_read_bio_X509(pem.bio, NULL, NULL, NULL);
    if (!certificate)
        return hf_fail(err, HF_CONFIG, "%s holds no certificate", path);
    status = check_dates(certificate, path, err);
    if (!status && X509_check_ca(certificate) == 1)
        status = hf_fail(err, HF_CONFIG, "the first certificate in %s is that of a CA", path);
    if (!status && server && X509_check_purpose(certificate, X509_PURPOSE_SSL_SERVER, 0) != 1)
        status = hf_fail(err, HF_CONFIG, "the certificate in %s is not for a server", path);
    if (!status && SSL_CTX_use_certificate(context, certificate) != 1)
        status = hf_fail(err, HF_CONFIG, "the certificate in %s cannot be used: %s", path,
                         ERR_reason_error_string(ERR_peek_last_error()));
    X509_free(certificate);
    while (!status && (certificate = PEM_read_bio_X509(pem.bio, NULL, NULL, NULL)) != NULL) {
        bool root = X509_self_signed(certificate, 0) == 1;
        if (!root && !SSL_CTX_add1_chain_cert(context, certificate))
            status = hf_fail(err, HF_CONFIG, "the chain in %s cannot be used", path);
        X509_free(certificate);
    }
    return status;
}

/* Nobody is there to be asked for a passphrase. */
static int no_passphrase(char *text, int size, int writing, void *arg)
{
    (void)text, (void)size, (void)writing;
    *(bool *)arg = true;
    return -1;
}

static int load_key(SSL_CTX *context, const char *path, const char *certificate,
                    struct hf_error *err)
{
    PEM_AUTO pem = {0};
    bool encrypted = false;
    EVP_PKEY *key;
    int status = pem_open(path, true, &pem, err);

    if (status)
        return status;
    key = PEM_read_bio_PrivateKey(pem.bio, NULL, no_passphrase, &encrypted);
    if (!key && encrypted)
        return hf_fail(err, HF_CONFIG,
                       "the key in %s is encrypted; it must be stored without a "
                       "passphrase",
                       path);
    if (!key)
        return hf_fail(err, HF_CONFIG, "%s holds no private key", path);
    if (SSL_CTX_use_PrivateKey(context, key) != 1 || SSL_CTX_check_private_key(context) != 1)
        status = hf_fail(err, HF_CONFIG, "the key in %s does not belong to the certificate in %s",
                         path, certificate);
    EVP_PKEY_free(key);
    return status;
}

static int load_ca(SSL_CTX *context, const char *path, struct hf_error *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    PEM_AUTO pem = {0};
    X509 *certificate;
    int count = 0;
    int status = pem_open(path, false, &pem, err);

    while (!status && (certificate = PEM_read_bio_X509(pem.bio, NULL, NULL, NULL)) != NULL) {
        if (X509_check_ca(certificate) == 1) {
            status = check_dates(certificate, path, err);
            count++;
            if (!status && (!X509_STORE_add_cert(store, certificate) ||
                            !SSL_CTX_add_client_CA(context, certificate)))
                status = hf_fail(err, HF_NOMEM, "out of memory");
        }
        X509_free(certificate);
    }
    if (!status && count == 0)
        return hf_fail(err, HF_CONFIG, "%s holds no certificate of a CA", path);
    return status;
}

static int check_crl(X509_CRL *crl, const char *path, struct hf_error *err)
{
    const ASN1_TIME *next = X509_CRL_get0_nextUpdate(crl);
    char text[32];

    if (next && X509_cmp_current_time(next) <= 0)
        return hf_fail(err, HF_CONFIG, "the list of revoked certificates in %s ran out on %s", path,
                       date_text(next, text));
    return 0;
}

static int load_crl(SSL_CTX *context, const char *path, struct hf_error *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(context);
    PEM_AUTO pem = {0};
    X509_CRL *crl;
    int count = 0;
    int status = pem_open(path, false, &pem, err);

    while (!status && (crl = PEM_read_bio_X509_CRL(pem.bio, NULL, NULL, NULL)) != NULL) {
        status = check_crl(crl, path, err);
        if (!status && !X509_STORE_add_crl(store, crl))
            status = hf_fail(err, HF_NOMEM, "out of memory");
        count++;
        X509_CRL_free(crl);
    }
    if (!status && count == 0)
        return hf_fail(err, HF_CONFIG, "%s holds no list of revoked certificates (CRL)", path);
    if (!status)
        X509_STORE_set_flags(store, X509_V_FLAG_CRL_CHECK);
    return status;
}

static int load(SSL_CTX *context, const struct tls_files *files, bool server, struct hf_error *err)
{
    int status = load_certificate(context, files->certificate, server, err);

    if (!status)
        status = load_key(context, files->key, files->certificate, err);
    if (!status)
        status = load_ca(context, files->ca, err);
    if (!status && server && files->crl)
        status = load_crl(context, files->crl, err);
    ERR_clear_error(); /* the end of a PEM file is one */
    return status;
}

/* --- contexts ------------------------------------------------------------------------------------ */

static bool set_up_versions(SSL_CTX *context)
{
    SSL_CTX_set_security_level(context, 2);
    SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION);
    SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    return SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION) == 1 &&
           SSL_CTX_set_num_tickets(context, 0) == 1 &&
           SSL_CTX_set_max_early_data(context, 0) == 1 &&
           SSL_CTX_set_recv_max_early_data(context, 0) == 1;
}

static bool set_up(SSL_CTX *context, bool server)
{
    if (!set_up_versions(context))
        return false;
    /* Any CA that the file names is one to trust, also one that has another above it. */
    X509_STORE_set_flags(SSL_CTX_get_cert_store(context), X509_V_FLAG_PARTIAL_CHAIN);
    SSL_CTX_set_verify_depth(context, DEPTH_MAX);
    SSL_CTX_set_info_callback(context, on_info);
    if (server) {
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
        SSL_CTX_set_client_hello_cb(context, on_hello, NULL);
        SSL_CTX_set_alpn_select_cb(context, on_alpn, NULL);
        return true;
    }
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(context, on_verify, NULL);
    return SSL_CTX_set_alpn_protos(context, alpn, sizeof alpn) == 0;
}

int tls_open(const struct tls_files *files, bool server, struct tls **ret_tls, struct hf_error *err)
{
    struct tls *tls = calloc(1, sizeof *tls);
    int status = 0;

    pthread_once(&tale_once, tale_register);
    if (tls)
        tls->context = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
    if (!tls || !tls->context || tale_index < 0 || !set_up(tls->context, server))
        status = hf_fail(err, HF_NOMEM, "cannot set up TLS");
    else
        status = load(tls->context, files, server, err);
    if (status) {
        tls_close(tls);
        return status;
    }
    tls->server = server;
    *ret_tls = tls;
    return 0;
}

void tls_close(struct tls *tls)
{
    if (!tls)
        return;
    SSL_CTX_free(tls->context);
    free(tls);
}

int64_t tls_expires(const struct tls *tls)
{
    struct tm tm;

    if (!ASN1_TIME_to_tm(X509_get0_notAfter(SSL_CTX_get0_certificate(tls->context)), &tm))
        return 0;
    return timegm(&tm);
}

/* --- connections --------------------------------------------------------------------------------- */

static bool is_address(const char *host)
{
    unsigned char bytes[sizeof(struct in6_addr)];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool expect_host(SSL *ssl, const char *host)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    char name[256];
    int len = snprintf(name, sizeof name, "%.*s", (int)strcspn(host, "%"), host);

    if (len <= 0 || len >= (int)sizeof name)
        return false;
    /* A link-local address may have come with its interface: "fe80::1%eth0". */
    if (is_address(name))
        return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    return X509_VERIFY_PARAM_set1_host(param, host, 0) == 1 &&
           SSL_set_tlsext_host_name(ssl, host) == 1;
}

SSL *tls_session(struct tls *tls, const char *host, struct hf_error *err)
{
    struct tale *tale = calloc(1, sizeof *tale);
    SSL *ssl = SSL_new(tls->context);

    if (!ssl || !tale || SSL_set_ex_data(ssl, tale_index, tale) != 1) {
        free(tale);
        SSL_free(ssl);
        (void)hf_fail(err, HF_NOMEM, "out of memory");
        return NULL;
    }
    if (tls->server) {
        SSL_set_accept_state(ssl);
        return ssl;
    }
    if (!host || !expect_host(ssl, host)) {
        SSL_free(ssl);
        (void)hf_fail(err, HF_INVAL, "'%.200s' is neither the name nor the address of a host",
                      host ? host : "");
        return NULL;
    }
    SSL_set_connect_state(ssl);
    return ssl;
}

/* --- sentences ----------------------------------------------------------------------------------- */

static const char *verify_sentence(long result, bool server)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
        return "its certificate, or one above it, has expired";
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return "its certificate, or one above it, is not valid yet";
    case X509_V_ERR_CERT_REVOKED:
        return "its certificate was revoked";
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
        return "its certificate is signed by itself and by no CA";
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return "its certificate is from a CA that is not trusted here";
    case X509_V_ERR_INVALID_PURPOSE:
        return server ? "its certificate is not one for hosts (no clientAuth)"
                      : "its certificate is not one for servers (no serverAuth)";
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        return "its certificate is for another name or address";
    case X509_V_ERR_UNABLE_TO_GET_CRL:
        return "no list of revoked certificates is from the CA of its certificate";
    case X509_V_ERR_CRL_HAS_EXPIRED:
        return "the list of revoked certificates has run out, so nobody can be let in";
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return "the list of revoked certificates is not valid yet: which clock is wrong?";
    default:
        return NULL;
    }
}

static const char *alert_sentence(int alert)
{
    switch (alert) {
    case SSL_AD_CERTIFICATE_EXPIRED:
        return "it says that our certificate has expired";
    case SSL_AD_CERTIFICATE_REVOKED:
        return "it says that our certificate was revoked";
    case SSL_AD_UNKNOWN_CA:
        return "it does not trust the CA of our certificate";
    case SSL_AD_CERTIFICATE_REQUIRED:
        return "it wants a certificate";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
    case SSL_AD_ACCESS_DENIED:
        return "it does not accept our certificate";
    default:
        return NULL;
    }
}

static int explain_error(const struct tale *tale, struct hf_error *err)
{
    const char *reason = ERR_reason_error_string(tale->error);

    switch (ERR_GET_REASON(tale->error)) {
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
        return hf_fail(err, HF_IO, "it sent an HTTP request, not TLS");
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_UNKNOWN_PROTOCOL:
    case SSL_R_BAD_RECORD_TYPE:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_RECORD_TOO_SMALL:
        return hf_fail(err, HF_IO, "it does not speak TLS");
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
    case SSL_R_TLSV1_ALERT_PROTOCOL_VERSION:
        return hf_fail(err, HF_IO, "it does not speak TLS 1.3");
    case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return hf_fail(err, HF_ACCESS, "it showed no certificate");
    case SSL_R_UNEXPECTED_EOF_WHILE_READING:
        return hf_fail(err, HF_IO, "the connection was cut off without a word");
    case SSL_R_NO_SHARED_CIPHER:
    case SSL_R_NO_SUITABLE_KEY_SHARE:
    case SSL_R_NO_SHARED_GROUPS:
    case SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM:
        return hf_fail(err, HF_IO, "it offers no cipher that is accepted here");
    default:
        return hf_fail(err, HF_IO, "TLS failed: %s", reason ? reason : "for a reason not known");
    }
}

static const char *version_name(uint16_t version)
{
    switch (version) {
    case TLS1_2_VERSION:
        return "TLS 1.2";
    case TLS1_1_VERSION:
        return "TLS 1.1";
    case TLS1_VERSION:
        return "TLS 1.0";
    default:
        return "SSL";
    }
}

int tls_explain(SSL *ssl, struct hf_error *err)
{
    struct tale *tale = tale_of(ssl);
    bool server = SSL_is_server(ssl) == 1;
    const char *sentence;
    long result = SSL_get_verify_result(ssl);

    assert(tale);
    if (!tale->error)
        tale->error = ERR_peek_error();
    if (tale->no_alpn || tale->alert == SSL_AD_NO_APPLICATION_PROTOCOL)
        return hf_fail(err, HF_IO, "it speaks another protocol than %s over TLS", WIRE_ALPN);
    if (tale->version && tale->version < TLS1_3_VERSION)
        return hf_fail(err, HF_IO, "it speaks %s, and TLS 1.3 is the oldest that is accepted",
                       version_name(tale->version));
    if (tale->alert == SSL_AD_PROTOCOL_VERSION)
        return hf_fail(err, HF_IO, "it does not speak TLS 1.3");
    if (result != X509_V_OK && tale->error) {
        sentence = verify_sentence(result, server);
        return hf_fail(err, HF_ACCESS, "%s%s", sentence ? sentence : "its certificate is wrong: ",
                       sentence ? "" : X509_verify_cert_error_string(result));
    }
    sentence = alert_sentence(tale->alert);
    if (sentence)
        return hf_fail(err, HF_ACCESS, "%s", sentence);
    if (tale->alert)
        return hf_fail(err, HF_IO, "it ended the connection: %s",
                       SSL_alert_desc_string_long(tale->alert));
    if (tale->error)
        return explain_error(tale, err);
    return hf_fail(err, HF_IO, "the connection was cut off");
}

int tls_recheck(struct tls *tls, X509 *peer, struct hf_error *err)
{
    X509_STORE_CTX *verify = X509_STORE_CTX_new();
    const char *sentence;
    int status = 0, result;

    if (!verify || !X509_STORE_CTX_init(verify, SSL_CTX_get_cert_store(tls->context), peer, NULL)) {
        X509_STORE_CTX_free(verify);
        return hf_fail(err, HF_NOMEM, "out of memory");
    }
    X509_STORE_CTX_set_default(verify, tls->server ? "ssl_client" : "ssl_server");
    if (X509_verify_cert(verify) != 1) {
        result = X509_STORE_CTX_get_error(verify);
        sentence = verify_sentence(result, tls->server);
        status = hf_fail(err, HF_ACCESS, "%s",
                         sentence ? sentence : X509_verify_cert_error_string(result));
    }
    X509_STORE_CTX_free(verify);
    ERR_clear_error();
    return status;
}
