/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/remote/address.h"

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "engine/remote/remote.h"

#define SYSTEM_BUNDLE "/etc/holdfast/host.pem"

/* --- servers ---------------------------------------------------------------------------------------- */

static int bad_place(const char *text, size_t len, struct hf_error *err)
{
    return hf_fail(
        err, HF_INVAL,
        "not a server: \"%.*s\" (one looks like store.example:7420 or [2001:db8::1]:7420)",
        (int)(len < 200 ? len : 200), text);
}

/* The port that `text` of `len` bytes names; none is the default. */
static int parse_port(const char *text, size_t len, uint16_t *ret_port)
{
    unsigned long port = 0;

    if (len == 0) {
        *ret_port = REMOTE_PORT;
        return HF_OK;
    }
    if (*text++ != ':' || --len == 0 || len > 5)
        return HF_INVAL;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return HF_INVAL;
        port = port * 10 + (unsigned long)(text[i] - '0');
    }
    if (port == 0 || port > UINT16_MAX)
        return HF_INVAL;
    *ret_port = (uint16_t)port;
    return HF_OK;
}

/* One of HOST, HOST:PORT, [ADDR6], [ADDR6]:PORT. */
static int add_place(struct remote_address *address, const char *text, size_t len,
                     struct hf_error *err)
{
    bool bracketed = len > 0 && text[0] == '[';
    const char *host = text + bracketed;
    size_t rest = len - bracketed;
    const char *end = memchr(host, bracketed ? ']' : ':', rest);
    size_t host_len = end ? (size_t)(end - host) : rest;
    struct remote_place place;

    if (host_len == 0 || host_len > 253 || (bracketed && !end))
        return bad_place(text, len, err);
    rest -= host_len + bracketed;
    if (parse_port(host + host_len + bracketed, rest, &place.port) != HF_OK)
        return bad_place(text, len, err);
    if (address->nplaces == REMOTE_PLACES_MAX)
        return hf_fail(err, HF_INVAL, "a store has %d servers at most", REMOTE_PLACES_MAX);
    place.host = strndup(host, host_len);
    if (!place.host)
        return hf_fail(err, HF_NOMEM, "out of memory");
    address->places[address->nplaces++] = place;
    return HF_OK;
}

static int parse_places(struct remote_address *address, const char *text, size_t len,
                        struct hf_error *err)
{
    int rc = HF_OK;

    if (len > 0 && text[len - 1] == '/')
        len--;
    for (const char *end = text + len; rc == HF_OK;) {
        const char *comma = memchr(text, ',', (size_t)(end - text));

        rc = add_place(address, text, (size_t)((comma ? comma : end) - text), err);
        if (!comma)
            break;
        text = comma + 1;
    }
    return rc;
}

/* --- the query ---------------------------------------------------------------------------------------- */

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A copy of a percent-encoded value, or NULL with HF_INVAL or HF_NOMEM in `*ret_status`. */
static char *decode(const char *text, size_t len, int *ret_status)
{
    char *out = malloc(len + 1);
    size_t n = 0;

    *ret_status = out ? HF_OK : HF_NOMEM;
    for (size_t i = 0; *ret_status == HF_OK && i < len; i++) {
        char c = text[i];

        if (c == '%') {
            int high = i + 2 < len ? hex_digit(text[i + 1]) : -1;
            int low = high >= 0 ? hex_digit(text[i + 2]) : -1;

            if (low < 0 || (high == 0 && low == 0))
                *ret_status = HF_INVAL;
            c = (char)(high * 16 + low);
            i += 2;
        }
        out[n++] = c;
    }
    if (*ret_status != HF_OK) {
        free(out);
        return NULL;
    }
    out[n] = '\0';
    return out;
}

static int parse_parameter(struct remote_address *address, const char *text, size_t len,
                           struct hf_error *err)
{
    const struct {
        const char *name;
        char **value;
    } known[] = {{"cert=", &address->certificate}, {"key=", &address->key}, {"ca=", &address->ca}};
    int status;

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        size_t name_len = strlen(known[i].name);
        char *value;

        if (len <= name_len || memcmp(text, known[i].name, name_len) != 0)
            continue;
        value = decode(text + name_len, len - name_len, &status);
        if (!value)
            return hf_fail(err, status, "cannot read \"%.*s\" of the store's URL", (int)len, text);
        free(*known[i].value);
        *known[i].value = value;
        return HF_OK;
    }
    return hf_fail(err, HF_INVAL,
                   "\"%.*s\" in the store's URL: it knows cert=FILE, key=FILE and ca=FILE",
                   (int)(len < 200 ? len : 200), text);
}

static int parse_query(struct remote_address *address, const char *text, struct hf_error *err)
{
    int rc = HF_OK;

    while (rc == HF_OK && *text) {
        size_t len = strcspn(text, "&");

        rc = parse_parameter(address, text, len, err);
        text += len;
        text += *text == '&';
    }
    return rc;
}

int remote_address_parse(const char *rest, struct remote_address *ret_address, struct hf_error *err)
{
    struct remote_address address = {0};
    size_t len = strcspn(rest, "?");
    int rc = parse_places(&address, rest, len, err);

    if (rc == HF_OK && rest[len] == '?')
        rc = parse_query(&address, rest + len + 1, err);
    if (rc == HF_OK)
        *ret_address = address;
    else
        remote_address_release(&address);
    return rc;
}

void remote_address_release(struct remote_address *address)
{
    for (size_t i = 0; i < address->nplaces; i++)
        free(address->places[i].host);
    free(address->certificate);
    free(address->key);
    free(address->ca);
    *address = (struct remote_address){0};
}

/* --- files -------------------------------------------------------------------------------------------- */

/* Writes where this user's bundle lies; an empty string when nobody says where. */
static void user_bundle(char *ret_path, size_t size)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");

    ret_path[0] = '\0';
    if (config && config[0] == '/')
        snprintf(ret_path, size, "%s/holdfast/host.pem", config);
    else if (home && home[0] == '/')
        snprintf(ret_path, size, "%s/.config/holdfast/host.pem", home);
}

/* The bundle of this host. One that the environment names counts even when it is not there: the failure to
 * read it says so. */
static int find_bundle(char **ret_path, struct hf_error *err)
{
    const char *named = getenv("HOLDFAST_CERT");
    char user[PATH_MAX];
    const char *found = NULL;

    user_bundle(user, sizeof user);
    if (named && named[0])
        found = named;
    else if (user[0] && access(user, F_OK) == 0)
        found = user;
    else if (access(SYSTEM_BUNDLE, F_OK) == 0)
        found = SYSTEM_BUNDLE;
    if (!found)
        return hf_fail(err, HF_CONFIG,
                       "this host has no certificate for the store: HOLDFAST_CERT is not set, and "
                       "there is neither %s nor %s; 'holdfast cert issue' makes one",
                       user[0] ? user : "a home directory", SYSTEM_BUNDLE);
    *ret_path = strdup(found);
    return *ret_path ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");
}

int remote_address_files(struct remote_address *address, struct tls_files *ret_files,
                         struct hf_error *err)
{
    int rc = address->certificate ? HF_OK : find_bundle(&address->certificate, err);

    if (rc == HF_OK)
        *ret_files = (struct tls_files){.certificate = address->certificate,
                                        .key = address->key ? address->key : address->certificate,
                                        .ca = address->ca ? address->ca : address->certificate};
    return rc;
}

/* --- for messages ---------------------------------------------------------------------------------------- */

void remote_place_text(const struct remote_place *place, char *ret_text, size_t size)
{
    bool six = strchr(place->host, ':') != NULL;

    snprintf(ret_text, size, six ? "[%s]:%u" : "%s:%u", place->host, (unsigned)place->port);
}

void remote_address_location(const struct remote_address *address, char *ret_url, size_t size)
{
    size_t n = (size_t)snprintf(ret_url, size, "holdfast://");

    for (size_t i = 0; i < address->nplaces && n + 1 < size; i++) {
        if (i > 0)
            ret_url[n++] = ',';
        remote_place_text(&address->places[i], ret_url + n, size - n);
        n += strlen(ret_url + n);
    }
}
