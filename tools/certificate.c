/* SPDX-License-Identifier: Apache-2.0 */
#include "certificate.h"

#include <arpa/inet.h>
#include <openssl/bn.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "json.h"

#define NS_PER_SECOND 1000000000LL

int certificate_serial(X509 *certificate, char ret_serial[CERTIFICATE_SERIAL_SIZE],
                       struct hf_error *err)
{
    BIGNUM *number = ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), NULL);
    char *hex = number ? BN_bn2hex(number) : NULL;
    int status = 0;

    if (!hex || strlen(hex) >= CERTIFICATE_SERIAL_SIZE)
        status = hf_fail(err, HF_INVAL, "the serial number of the certificate cannot be read");
    else
        snprintf(ret_serial, CERTIFICATE_SERIAL_SIZE, "%s", hex);
    OPENSSL_free(hex);
    BN_free(number);
    return status;
}

int64_t certificate_time(const ASN1_TIME *time)
{
    struct tm tm;

    return time && ASN1_TIME_to_tm(time, &tm) ? timegm(&tm) : 0;
}

static int append_name(struct buf *names, const char *text, size_t len)
{
    int status = names->len > 0 ? buf_append(names, ", ", 2) : 0;

    return status ? status : buf_append(names, text, len);
}

static int add_name(const GENERAL_NAME *name, struct buf *names)
{
    char text[INET6_ADDRSTRLEN];
    const ASN1_STRING *string;

    if (name->type != GEN_DNS && name->type != GEN_IPADD)
        return 0;
    string = name->type == GEN_DNS ? name->d.dNSName : name->d.iPAddress;
    if (name->type == GEN_DNS)
        return append_name(names, (const char *)ASN1_STRING_get0_data(string),
                           (size_t)ASN1_STRING_length(string));
    if (!inet_ntop(ASN1_STRING_length(string) == 4 ? AF_INET : AF_INET6,
                   ASN1_STRING_get0_data(string), text, sizeof text))
        return 0;
    return append_name(names, text, strlen(text));
}

static int read_names(X509 *certificate, struct buf *names)
{
    GENERAL_NAMES *all = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
    int status = 0;

    for (int i = 0; !status && i < sk_GENERAL_NAME_num(all); i++)
        status = add_name(sk_GENERAL_NAME_value(all, i), names);
    GENERAL_NAMES_free(all);
    return status ? status : buf_append(names, "", 1);
}

/* For one that is no host's, or whose rights cannot be read. */
static void read_subject(X509 *certificate, struct principal *principal)
{
    X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, principal->name,
                              sizeof principal->name);
}

static bool serves(X509 *certificate)
{
    uint32_t usage = X509_get_extended_key_usage(certificate);

    return usage != UINT32_MAX && (usage & XKU_SSL_SERVER) && !(usage & XKU_SSL_CLIENT);
}

int certificate_read(X509 *certificate, struct certificate_info *ret_info, struct hf_error *err)
{
    struct certificate_info info = {.from = certificate_time(X509_get0_notBefore(certificate)),
                                    .until = certificate_time(X509_get0_notAfter(certificate))};
    int status = read_names(certificate, &info.names);

    if (status)
        return hf_fail(err, status, "out of memory");
    if (X509_check_ca(certificate) == 1) {
        info.role = "CA";
    } else if (serves(certificate)) {
        info.role = "server";
    } else if (principal_read(certificate, NULL, &info.principal, &info.problem) == 0) {
        info.problem.status = HF_OK;
        info.role = role_name(info.principal.role);
    } else {
        info.role = "-";
    }
    read_subject(certificate, &info.principal);
    status = certificate_serial(certificate, info.principal.serial, err);
    if (status)
        certificate_release(&info);
    else
        *ret_info = info;
    return status;
}

void certificate_release(struct certificate_info *info)
{
    principal_release(&info->principal);
    buf_free(&info->names);
}

int certificate_sessions(const struct certificate_info *info, struct buf *ret_text)
{
    size_t begin = ret_text->len;
    int status = 0;

    for (size_t i = 0; !status && i < info->principal.nglobs; i++) {
        const char *glob = info->principal.globs[i];
        if (ret_text->len > begin)
            status = buf_append(ret_text, ", ", 2);
        if (!status)
            status = buf_append(ret_text, glob, strlen(glob));
    }
    if (!status && info->principal.nglobs == 0 && info->principal.role != ROLE_NONE)
        status = buf_append(ret_text, "all", 3);
    return status ? status : buf_append(ret_text, "", 1);
}

static json_t *json_globs(const struct principal *principal)
{
    json_t *list = principal->nglobs > 0 ? json_array() : json_null();

    for (size_t i = 0; i < principal->nglobs; i++)
        json_array_append_new(list, json_bytes(principal->globs[i]));
    return list;
}

static json_t *json_names(const struct buf *names)
{
    const char *text = (const char *)names->data;
    json_t *list = *text ? json_array() : json_null();

    while (*text) {
        const char *end = strstr(text, ", ");
        size_t len = end ? (size_t)(end - text) : strlen(text);
        json_array_append_new(list, json_stringn(text, len));
        text += len + (end ? 2 : 0);
    }
    return list;
}

json_t *certificate_json(const struct certificate_info *info, int64_t revoked)
{
    const struct principal *principal = &info->principal;
    json_t *object = json_object();

    json_object_set_new(object, "name", json_bytes(principal->name));
    json_object_set_new(object, "serial", json_string(principal->serial));
    json_object_set_new(object, "role", json_string(info->role));
    json_object_set_new(object, "tenant",
                        principal->role == ROLE_NONE ? json_null() : json_bytes(principal->tenant));
    json_object_set_new(object, "sessions", json_globs(principal));
    json_object_set_new(object, "hosts", json_names(&info->names));
    json_object_set_new(object, "from", json_time(info->from * NS_PER_SECOND));
    json_object_set_new(object, "expires", json_time(info->until * NS_PER_SECOND));
    json_object_set_new(object, "revoked",
                        revoked ? json_time(revoked * NS_PER_SECOND) : json_null());
    return object;
}
