/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/principal.h"

#include <fnmatch.h>
#include <openssl/bn.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "wire/principal_list.h"
#include "wire/rights.h"

#define SCHEME "holdfast:"
#define URI_MAX 32768

static const char *const role_names[] = {
    [ROLE_NONE] = "none", [ROLE_READER] = "reader", [ROLE_AGENT] = "agent", [ROLE_ADMIN] = "admin"};

enum role role_parse(const char *word)
{
    for (enum role role = ROLE_READER; role <= ROLE_ADMIN; role++)
        if (strcmp(word, role_names[role]) == 0)
            return role;
    return ROLE_NONE;
}

const char *role_name(enum role role)
{
    return role_names[role];
}

void principal_release(struct principal *principal)
{
    for (size_t i = 0; i < principal->nglobs; i++)
        free(principal->globs[i]);
    free(principal->globs);
    *principal = (struct principal){0};
}

bool principal_matches(const struct principal *principal, const char *session)
{
    if (principal->role == ROLE_NONE)
        return false;
    if (principal->role == ROLE_ADMIN || principal->nglobs == 0)
        return true;
    for (size_t i = 0; i < principal->nglobs; i++)
        if (fnmatch(principal->globs[i], session, 0) == 0)
            return true;
    return false;
}

/* --- the URI ------------------------------------------------------------------------------------------ */

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* What may stand in a query (RFC 3986, 3.4) beside the signs that mean something here. */
static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c && strchr("-._~!$'()*,;:@/?", c));
}

/* Undoes percent-encoding in place. */
static int decode(char *text, struct hf_error *err)
{
    char *to = text;

    for (const char *from = text; *from; to++) {
        int high, low;
        if (is_plain(*from)) {
            *to = *from++;
            continue;
        }
        if (*from != '%' || (high = hex_digit(from[1])) < 0 || (low = hex_digit(from[2])) < 0 ||
            (high == 0 && low == 0))
            return hf_fail(err, HF_INVAL, "a value is not percent-encoded as it should be");
        *to = (char)(high << 4 | low);
        from += 3;
    }
    *to = '\0';
    return 0;
}

static int take_parameter(struct principal *principal, char *parameter, struct hf_error *err)
{
    char *value = strchr(parameter, '=');
    int status;

    if (!value)
        return hf_fail(err, HF_INVAL, "the parameter '%.80s' has no value", parameter);
    *value++ = '\0';
    status = decode(value, err);
    if (status)
        return status;
    if (strcmp(parameter, "session") == 0)
        return rights_add_glob(principal, value, err);
    if (strcmp(parameter, "tenant") != 0)
        return hf_fail(err, HF_INVAL, "the parameter '%.80s' is not known", parameter);
    if (principal->tenant[0])
        return hf_fail(err, HF_INVAL, "there are two tenants");
    status = rights_check_tenant(value, err);
    if (status == 0)
        rights_set_tenant(principal, value);
    return status;
}

/* Takes the part after the scheme apart. */
static int parse_uri(struct principal *principal, char *text, struct hf_error *err)
{
    char *query = strchr(text, '?');
    int status = 0;

    if (query)
        *query++ = '\0';
    principal->role = role_parse(text);
    if (principal->role == ROLE_NONE)
        return hf_fail(err, HF_INVAL, "there is no role '%.80s'", text);
    while (query && !status) {
        char *parameter = strsep(&query, "&");
        status = take_parameter(principal, parameter, err);
    }
    return status ? status : rights_check(principal, err);
}

static bool is_ours(const ASN1_STRING *uri)
{
    return ASN1_STRING_length(uri) >= (int)sizeof SCHEME - 1 &&
           strncasecmp((const char *)ASN1_STRING_get0_data(uri), SCHEME, sizeof SCHEME - 1) == 0;
}

static int take_uri(struct principal *principal, const ASN1_STRING *uri, struct hf_error *err)
{
    size_t len = (size_t)ASN1_STRING_length(uri);
    const char *data = (const char *)ASN1_STRING_get0_data(uri);
    char *text;
    int status;

    if (principal->role != ROLE_NONE)
        return hf_fail(err, HF_INVAL, "there are two of them");
    if (len > URI_MAX || memchr(data, '\0', len) || strncmp(data, SCHEME, sizeof SCHEME - 1) != 0)
        return hf_fail(err, HF_INVAL, "it is too long, or not in lower case, or holds a NUL");
    text = strndup(data + sizeof SCHEME - 1, len - (sizeof SCHEME - 1));
    if (!text)
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = parse_uri(principal, text, err);
    free(text);
    return status;
}

/* Sets the role when the certificate has a URI of ours. */
static int read_uris(X509 *certificate, struct principal *principal, struct hf_error *err)
{
    int critical, status = 0;
    GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, &critical, NULL);

    if (!names && critical != -1)
        return hf_fail(err, HF_ACCESS, "its alternative names cannot be read");
    for (int i = 0; !status && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
        if (name->type != GEN_URI || !is_ours(name->d.uniformResourceIdentifier))
            continue;
        status = take_uri(principal, name->d.uniformResourceIdentifier, err);
        if (status == HF_INVAL) {
            status = HF_ACCESS;
            (void)hf_fail_prefix(err, status, "the rights in its certificate cannot be understood");
        }
    }
    GENERAL_NAMES_free(names);
    return status;
}

static int append_encoded(struct buf *uri, const char *text)
{
    int status = 0;

    for (; !status && *text; text++) {
        char coded[4];
        int len = snprintf(coded, sizeof coded, "%%%02X", (unsigned char)*text);
        bool plain = is_plain(*text) && (*text == '*' || !strchr("!$'(),;:@/?", *text));
        status = plain ? buf_append(uri, text, 1) : buf_append(uri, coded, (size_t)len);
    }
    return status;
}

static int append_parameter(struct buf *uri, bool first, const char *name, const char *value)
{
    int status = buf_append(uri, first ? "?" : "&", 1);

    if (!status)
        status = buf_append(uri, name, strlen(name));
    return status ? status : append_encoded(uri, value);
}

static int print_uri(const struct principal *principal, struct buf *uri)
{
    const char *role = role_name(principal->role);
    bool tenant = principal->tenant[0] && strcmp(principal->tenant, PRINCIPAL_DEFAULT_TENANT) != 0;
    int status = buf_append(uri, SCHEME, sizeof SCHEME - 1);

    if (!status)
        status = buf_append(uri, role, strlen(role));
    if (!status && tenant)
        status = append_parameter(uri, true, "tenant=", principal->tenant);
    for (size_t i = 0; !status && i < principal->nglobs; i++)
        status = append_parameter(uri, i == 0 && !tenant, "session=", principal->globs[i]);
    return status ? status : buf_append(uri, "", 1);
}

int principal_uri(const struct principal *principal, struct buf *ret_uri, struct hf_error *err)
{
    int status = rights_check(principal, err);

    if (!status && principal->tenant[0])
        status = rights_check_tenant(principal->tenant, err);
    if (!status && principal->nglobs > PRINCIPAL_GLOBS_MAX)
        status = hf_fail(err, HF_INVAL, "there are more than %d patterns of session names",
                         PRINCIPAL_GLOBS_MAX);
    for (size_t i = 0; !status && i < principal->nglobs; i++)
        status = rights_check_glob(principal->globs[i], err);
    if (!status && print_uri(principal, ret_uri) != 0)
        status = hf_fail(err, HF_NOMEM, "out of memory");
    return status;
}

/* --- the certificate ------------------------------------------------------------------------------------ */

static int read_name(X509 *certificate, struct principal *principal, struct hf_error *err)
{
    const X509_NAME *subject = X509_get_subject_name(certificate);
    int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    unsigned char *text = NULL;
    int len, status = 0;

    if (at < 0)
        return hf_fail(err, HF_ACCESS, "its certificate does not say who it is: it has no CN");
    if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0)
        return hf_fail(err, HF_ACCESS, "its certificate has two names (CN)");
    len = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
    if (len < 0 || len >= (int)sizeof principal->name ||
        !rights_is_name((const char *)text, (size_t)len))
        status = hf_fail(err, HF_ACCESS, "the name (CN) in its certificate is too long or no text");
    else
        snprintf(principal->name, sizeof principal->name, "%.*s", len, text);
    OPENSSL_free(text);
    return status;
}

static int read_serial(X509 *certificate, struct principal *principal, struct hf_error *err)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *hex = number ? BN_bn2hex(number) : NULL;
    int status = 0;

    if (!hex || strlen(hex) >= sizeof principal->serial)
        status = hf_fail(err, HF_ACCESS, "the serial number of its certificate cannot be read");
    else
        snprintf(principal->serial, sizeof principal->serial, "%s", hex);
    OPENSSL_free(hex);
    BN_free(number);
    return status;
}

static int read_expiry(X509 *certificate, struct principal *principal, struct hf_error *err)
{
    struct tm tm;

    if (!ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &tm))
        return hf_fail(err, HF_ACCESS, "its certificate does not say when it expires");
    principal->expires = timegm(&tm);
    return 0;
}

int principal_read(X509 *certificate, const struct principal_list *list,
                   struct principal *ret_principal, struct hf_error *err)
{
    struct principal principal = {0};
    int status = read_name(certificate, &principal, err);

    if (!status)
        status = read_serial(certificate, &principal, err);
    if (!status)
        status = read_expiry(certificate, &principal, err);
    if (!status)
        status = read_uris(certificate, &principal, err);
    if (!status && principal.role == ROLE_NONE)
        status = principal_list_ask(list, &principal, err);
    if (status) {
        principal_release(&principal);
        return status;
    }
    if (!principal.tenant[0])
        rights_set_tenant(&principal, PRINCIPAL_DEFAULT_TENANT);
    *ret_principal = principal;
    return 0;
}
