/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/pki.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdbool.h>
#include <string.h>

#define SERIAL_BITS 127 /* positive, in 16 bytes */
#define CN_MAX 64       /* ub-common-name of RFC 5280 */
#define DNS_NAME_MAX 253

static int no_memory(struct hf_error *err)
{
    return hf_fail(err, HF_NOMEM, "out of memory");
}

/* --- extensions ----------------------------------------------------------------------------------- */

static bool add_extension(X509 *certificate, const struct pki_pair *issuer, int nid,
                          const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool added;

    X509V3_set_ctx(&context, issuer ? issuer->certificate : certificate, certificate, NULL, NULL,
                   0);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    added = extension && X509_add_ext(certificate, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

static bool add_extensions(X509 *certificate, const struct pki_pair *issuer, enum pki_kind kind)
{
    if (!add_extension(certificate, issuer, NID_subject_key_identifier, "hash"))
        return false;
    if (kind == PKI_CA)
        return add_extension(certificate, issuer, NID_basic_constraints,
                             "critical,CA:TRUE,pathlen:0") &&
               add_extension(certificate, issuer, NID_key_usage, "critical,keyCertSign,cRLSign");
    return add_extension(certificate, issuer, NID_authority_key_identifier, "keyid:always") &&
           add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature") &&
           add_extension(certificate, issuer, NID_ext_key_usage,
                         kind == PKI_SERVER ? "serverAuth" : "clientAuth");
}

/* --- alternative names ------------------------------------------------------------------------------ */

static bool is_dns_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";
    size_t len = strlen(name);

    if (strncmp(name, "*.", 2) == 0)
        name += 2;
    return len > 0 && len <= DNS_NAME_MAX && *name && name[0] != '.' &&
           !name[strspn(name, allowed)];
}

/* Takes over `value`. */
static bool push_name(GENERAL_NAMES *names, int type, ASN1_STRING *value)
{
    GENERAL_NAME *name = value ? GENERAL_NAME_new() : NULL;

    if (!name) {
        ASN1_STRING_free(value);
        return false;
    }
    GENERAL_NAME_set0_value(name, type, value);
    if (sk_GENERAL_NAME_push(names, name) > 0)
        return true;
    GENERAL_NAME_free(name);
    return false;
}

static ASN1_STRING *make_string(const void *bytes, size_t len, int type)
{
    ASN1_STRING *string = ASN1_STRING_type_new(type);

    if (string && ASN1_STRING_set(string, bytes, (int)len))
        return string;
    ASN1_STRING_free(string);
    return NULL;
}

static int push_host(GENERAL_NAMES *names, const char *host, struct hf_error *err)
{
    unsigned char address[16];
    size_t len = inet_pton(AF_INET, host, address) == 1    ? 4
                 : inet_pton(AF_INET6, host, address) == 1 ? 16
                                                           : 0;

    if (!len && !is_dns_name(host))
        return hf_fail(err, HF_INVAL, "'%s' is neither a DNS name nor an IP address", host);
    if (len ? push_name(names, GEN_IPADD, make_string(address, len, V_ASN1_OCTET_STRING))
            : push_name(names, GEN_DNS, make_string(host, strlen(host), V_ASN1_IA5STRING)))
        return 0;
    return no_memory(err);
}

static int add_names(X509 *certificate, const struct pki_request *request, struct hf_error *err)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    int status = names ? 0 : no_memory(err);

    for (size_t i = 0; !status && i < request->nhosts; i++)
        status = push_host(names, request->hosts[i], err);
    if (!status && request->uri &&
        !push_name(names, GEN_URI,
                   make_string(request->uri, strlen(request->uri), V_ASN1_IA5STRING)))
        status = no_memory(err);
    if (!status && sk_GENERAL_NAME_num(names) > 0 &&
        !X509_add1_ext_i2d(certificate, NID_subject_alt_name, names, 0, 0))
        status = no_memory(err);
    GENERAL_NAMES_free(names);
    return status;
}

/* --- certificates ----------------------------------------------------------------------------------- */

static bool set_serial(X509 *certificate)
{
    BIGNUM *number = BN_new();
    bool set = number && BN_rand(number, SERIAL_BITS, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
               BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate));

    BN_free(number);
    return set;
}

static int set_subject(X509 *certificate, const char *name, struct hf_error *err)
{
    size_t len = strlen(name);

    if (len == 0 || len > CN_MAX)
        return hf_fail(err, HF_INVAL, "the name of a certificate has 1 to %d bytes", CN_MAX);
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] < 0x20 || name[i] == 0x7f)
            return hf_fail(err, HF_INVAL, "the name of a certificate holds a control character");
    if (!X509_NAME_add_entry_by_NID(X509_get_subject_name(certificate), NID_commonName,
                                    MBSTRING_UTF8, (const unsigned char *)name, (int)len, -1, 0))
        return hf_fail(err, HF_INVAL, "'%s' is not UTF-8", name);
    return 0;
}

static int fill(X509 *certificate, const struct pki_request *request, EVP_PKEY *key,
                const struct pki_pair *issuer, struct hf_error *err)
{
    int status = set_subject(certificate, request->name, err);
    const X509_NAME *by = X509_get_subject_name(issuer ? issuer->certificate : certificate);

    if (status)
        return status;
    if (!X509_set_version(certificate, X509_VERSION_3) || !set_serial(certificate) ||
        !X509_set_issuer_name(certificate, by) ||
        !ASN1_TIME_set(X509_getm_notBefore(certificate), request->not_before) ||
        !ASN1_TIME_set(X509_getm_notAfter(certificate), request->not_after) ||
        !X509_set_pubkey(certificate, key) || !add_extensions(certificate, issuer, request->kind))
        return hf_fail(err, HF_IO, "the certificate cannot be made: %s",
                       ERR_reason_error_string(ERR_peek_last_error()));
    status = add_names(certificate, request, err);
    if (!status && !X509_sign(certificate, issuer ? issuer->key : key, EVP_sha256()))
        status = hf_fail(err, HF_IO, "the certificate cannot be signed: %s",
                         ERR_reason_error_string(ERR_peek_last_error()));
    return status;
}

int pki_issue(const struct pki_request *request, const struct pki_pair *issuer,
              struct pki_pair *ret_pair, struct hf_error *err)
{
    struct pki_pair pair = {.certificate = X509_new(), .key = EVP_EC_gen("P-256")};
    int status = pair.certificate && pair.key
                     ? fill(pair.certificate, request, pair.key, issuer, err)
                     : hf_fail(err, HF_IO, "no key can be made");

    ERR_clear_error();
    if (status)
        pki_pair_release(&pair);
    else
        *ret_pair = pair;
    return status;
}

void pki_pair_release(struct pki_pair *pair)
{
    X509_free(pair->certificate);
    EVP_PKEY_free(pair->key);
    *pair = (struct pki_pair){0};
}

/* --- revocation ------------------------------------------------------------------------------------- */

static bool add_authority(X509_CRL *crl, const struct pki_pair *ca)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool added;

    X509V3_set_ctx(&context, ca->certificate, NULL, NULL, crl, 0);
    extension = X509V3_EXT_conf_nid(NULL, &context, NID_authority_key_identifier, "keyid:always");
    added = extension && X509_CRL_add_ext(crl, extension, -1);
    X509_EXTENSION_free(extension);
    return added;
}

/* The number of a CRL grows with every change of it (RFC 5280, 5.2.3). */
static bool count_up(X509_CRL *crl)
{
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    int64_t value = 0;
    bool done = !number || ASN1_INTEGER_get_int64(&value, number);

    if (!number)
        number = ASN1_INTEGER_new();
    done = done && number && ASN1_INTEGER_set_int64(number, value + 1) &&
           X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, X509V3_ADD_REPLACE) == 1;
    ASN1_INTEGER_free(number);
    return done;
}

static bool sign_crl(X509_CRL *crl, const struct pki_pair *ca, const ASN1_TIME *now)
{
    return X509_CRL_set1_lastUpdate(crl, now) &&
           X509_CRL_set1_nextUpdate(crl, X509_get0_notAfter(ca->certificate)) && count_up(crl) &&
           X509_CRL_sort(crl) && X509_CRL_sign(crl, ca->key, EVP_sha256());
}

int pki_crl_new(const struct pki_pair *ca, X509_CRL **ret_crl, struct hf_error *err)
{
    X509_CRL *crl = X509_CRL_new();

    if (!crl || !X509_CRL_set_version(crl, X509_CRL_VERSION_2) ||
        !X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca->certificate)) ||
        !add_authority(crl, ca) || !sign_crl(crl, ca, X509_get0_notBefore(ca->certificate))) {
        X509_CRL_free(crl);
        return hf_fail(err, HF_IO, "the list of revoked certificates cannot be made: %s",
                       ERR_reason_error_string(ERR_peek_last_error()));
    }
    *ret_crl = crl;
    return 0;
}

int pki_crl_add(const struct pki_pair *ca, X509_CRL *crl, const ASN1_INTEGER *serial, int64_t now,
                struct hf_error *err)
{
    ASN1_TIME *time = ASN1_TIME_set(NULL, now);
    X509_REVOKED *entry;
    int status = 0;

    if (X509_CRL_get0_by_serial(crl, &entry, serial) == 1) {
        ASN1_TIME_free(time);
        return hf_fail(err, HF_EXIST, "the certificate is revoked already");
    }
    entry = X509_REVOKED_new();
    if (!time || !entry ||
        !X509_REVOKED_set_serialNumber(entry, (ASN1_INTEGER *)(uintptr_t)serial) ||
        !X509_REVOKED_set_revocationDate(entry, time) || !X509_CRL_add0_revoked(crl, entry)) {
        X509_REVOKED_free(entry);
        status = no_memory(err);
    } else if (!sign_crl(crl, ca, time)) {
        status = hf_fail(err, HF_IO, "the list of revoked certificates cannot be signed: %s",
                         ERR_reason_error_string(ERR_peek_last_error()));
    }
    ASN1_TIME_free(time);
    return status;
}

/* --- PEM --------------------------------------------------------------------------------------------- */

static int append(BIO *bio, bool printed, struct buf *ret_pem, struct hf_error *err)
{
    char *text;
    long len = bio ? BIO_get_mem_data(bio, &text) : 0;
    int status = 0;

    if (!printed || len <= 0 || buf_append(ret_pem, text, (size_t)len) != 0)
        status = no_memory(err);
    if (len > 0)
        OPENSSL_cleanse(text, (size_t)len);
    BIO_free(bio);
    return status;
}

int pki_print_certificate(X509 *certificate, struct buf *ret_pem, struct hf_error *err)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return append(bio, bio && PEM_write_bio_X509(bio, certificate), ret_pem, err);
}

int pki_print_key(EVP_PKEY *key, struct buf *ret_pem, struct hf_error *err)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return append(bio, bio && PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL),
                  ret_pem, err);
}

int pki_print_crl(X509_CRL *crl, struct buf *ret_pem, struct hf_error *err)
{
    BIO *bio = BIO_new(BIO_s_mem());

    return append(bio, bio && PEM_write_bio_X509_CRL(bio, crl), ret_pem, err);
}

int pki_print_bundle(const struct pki_pair *pair, X509 *ca, struct buf *ret_pem,
                     struct hf_error *err)
{
    int status = pki_print_key(pair->key, ret_pem, err);

    if (!status)
        status = pki_print_certificate(pair->certificate, ret_pem, err);
    if (!status)
        status = pki_print_certificate(ca, ret_pem, err);
    return status;
}
