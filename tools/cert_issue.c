/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast cert issue`. */
#include <limits.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "authority.h"
#include "certificate.h"
#include "command.h"
#include "text.h"
#include "validity.h"

#define HOST_DAYS 365
#define SERVER_DAYS 825
#define DAYS_NOT_GIVEN UINT64_MAX
#define NS_PER_SECOND 1000000000LL

struct issue_options {
    const char *dir, *role, *tenant, *output;
    char *sessions, *names;
    uint64_t days;
    bool force;
};

static const struct option_spec specs[] = {
    {"role", 0, OPTION_STRING, offsetof(struct issue_options, role), "ROLE",
     "agent (reads and writes sessions), reader, or\nadmin; server, to renew the server's own"},
    {"tenant", 0, OPTION_STRING, offsetof(struct issue_options, tenant), "NAME",
     "the tenant whose sessions it sees (default: default)"},
    {"sessions", 0, OPTION_LIST, offsetof(struct issue_options, sessions), "GLOB",
     "only sessions of such names, as 'squadron-dev-*';\nmay be given several times (default: "
     "all)"},
    {"name", 0, OPTION_LIST, offsetof(struct issue_options, names), "NAME",
     "of a server: a DNS name or address; may be given\nseveral times (default: HOST)"},
    {"days", 0, OPTION_NUMBER, offsetof(struct issue_options, days), "N",
     "how long it is valid (default: 365; a server's 825)"},
    {"output", 'o', OPTION_STRING, offsetof(struct issue_options, output), "FILE",
     "where to write key, certificate and CA, as one\nfile; '-': standard output (default: "
     "HOST.pem)"},
    {"force", 0, OPTION_FLAG, offsetof(struct issue_options, force), NULL,
     "replace FILE if it is there"},
    {"dir", 0, OPTION_STRING, offsetof(struct issue_options, dir), "DIR",
     "where the CA is (default: /etc/holdfast/pki for\nroot, else $XDG_CONFIG_HOME/holdfast/pki)"},
    {0}};

static int run(int argc, char **argv);

const struct command command_cert_issue = {
    .name = "cert issue",
    .group = COMMAND_SERVER,
    .summary = "Issue a certificate for a host, with its rights",
    .operands = "HOST",
    .details = "HOST is a name for the machine, for lists and logs. The file goes to that\n"
               "machine as /etc/holdfast/host.pem, or ~/.config/holdfast/host.pem.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

/* It becomes a file's name and a word in logs. */
static int check_host(const char *host, struct hf_error *err)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t len = strlen(host);

    if (len == 0 || len > 64 || host[0] == '.' || host[0] == '-' || host[strspn(host, allowed)])
        return hf_fail(err, HF_USAGE,
                       "'%.80s' is no name for a host: 1 to 64 letters, digits, '.', '_' and '-'",
                       host);
    return 0;
}

/* Splits a list at its commas, in place, into at most PRINCIPAL_GLOBS_MAX + 1 parts. */
static size_t split(char *list, char *ret_parts[PRINCIPAL_GLOBS_MAX + 1])
{
    size_t n = 0;
    char *part;

    while (n <= PRINCIPAL_GLOBS_MAX && (part = strsep(&list, ",")) != NULL)
        ret_parts[n++] = part;
    return n;
}

static int host_uri(const struct issue_options *options, struct buf *ret_uri, struct hf_error *err)
{
    char *globs[PRINCIPAL_GLOBS_MAX + 1];
    struct principal principal = {.role = role_parse(options->role), .globs = globs};
    int status;

    if (principal.role == ROLE_NONE)
        return hf_fail(err, HF_USAGE, "'%s' is no role: agent, reader, admin or server",
                       options->role);
    if (options->names)
        return hf_fail(err, HF_USAGE, "--name is for the role server");
    principal.nglobs = split(options->sessions, globs);
    if (options->tenant && strlen(options->tenant) > PRINCIPAL_TENANT_MAX)
        return hf_fail(err, HF_USAGE, "the name of a tenant has at most %d bytes",
                       PRINCIPAL_TENANT_MAX);
    if (options->tenant && !*options->tenant)
        return hf_fail(err, HF_USAGE, "the name of a tenant is empty");
    snprintf(principal.tenant, sizeof principal.tenant, "%s",
             options->tenant ? options->tenant : "");
    status = principal_uri(&principal, ret_uri, err);
    if (status == HF_INVAL && err)
        err->status = HF_USAGE;
    return status;
}

/* Fills what the kind of certificate needs. `hosts` and `uri` must live as long as the request. */
static int describe(const struct issue_options *options, const char *host, struct buf *uri,
                    char *hosts[PRINCIPAL_GLOBS_MAX + 1], struct pki_request *request,
                    struct hf_error *err)
{
    int status;

    request->name = host;
    if (strcmp(options->role, "server") != 0) {
        status = host_uri(options, uri, err);
        request->kind = PKI_HOST;
        request->uri = (const char *)uri->data;
        return status;
    }
    if (options->tenant || options->sessions)
        return hf_fail(err, HF_USAGE, "a server has neither tenant nor sessions of its own");
    request->kind = PKI_SERVER;
    request->nhosts = split(options->names, hosts);
    if (request->nhosts == 0)
        hosts[request->nhosts++] = (char *)(uintptr_t)host;
    request->hosts = (const char *const *)hosts;
    return 0;
}

static int set_dates(const struct issue_options *options, X509 *ca, struct pki_request *request,
                     struct hf_error *err)
{
    uint64_t days = request->kind == PKI_SERVER ? SERVER_DAYS : HOST_DAYS;
    int64_t now = time(NULL);

    request->not_before = now - VALIDITY_LEEWAY;
    return validity_end(now, options->days != DAYS_NOT_GIVEN ? options->days : days,
                        certificate_time(X509_get0_notAfter(ca)), &request->not_after, err);
}

/* Nothing is issued that would have nowhere to go. */
static int check_output(const struct issue_options *options, const char *path, struct hf_error *err)
{
    if (strcmp(path, "-") != 0 && !options->force && access(path, F_OK) == 0)
        return hf_fail(err, HF_EXIST, "there is a file %s already; --force replaces it", path);
    return 0;
}

/* To standard output goes the bundle alone. */
static int deliver(const struct issue_options *options, const char *host, const char *path,
                   const struct buf *bundle, X509 *certificate, struct hf_error *err)
{
    char text[TEXT_SHORT], serial[CERTIFICATE_SERIAL_SIZE];
    int status;

    if (strcmp(path, "-") == 0) {
        fwrite(bundle->data, 1, bundle->len, stdout);
        return 0;
    }
    status = authority_write(path, bundle, options->force, err);
    if (!status)
        status = certificate_serial(certificate, serial, err);
    if (!status)
        printf("%s: %s for %s, serial %s, valid until %s\n", path, options->role, host, serial,
               text_time(certificate_time(X509_get0_notAfter(certificate)) * NS_PER_SECOND, text));
    return status;
}

static int issue(const struct issue_options *options, const char *host, struct hf_error *err)
{
    char *hosts[PRINCIPAL_GLOBS_MAX + 1];
    struct authority *authority = NULL;
    struct pki_request request = {0};
    X509 *certificate = NULL;
    BUF_AUTO uri = {0};
    BUF_AUTO dir = {0};
    BUF_AUTO bundle = {0};
    char file[NAME_MAX + 1];
    const char *path = options->output ? options->output : file;
    int status = check_host(host, err);

    snprintf(file, sizeof file, "%s.pem", host);
    if (!status && !options->role)
        status = hf_fail(err, HF_USAGE, "which --role: agent, reader or admin?");
    if (!status)
        status = describe(options, host, &uri, hosts, &request, err);
    if (!status)
        status = check_output(options, path, err);
    if (!status)
        status = authority_dir(options->dir, &dir, err);
    if (!status)
        status = authority_open((const char *)dir.data, true, &authority, err);
    if (!status)
        status = set_dates(options, authority_certificate(authority), &request, err);
    if (!status)
        status = authority_issue(authority, &request, &bundle, &certificate, err);
    if (!status)
        status = deliver(options, host, path, &bundle, certificate, err);
    OPENSSL_cleanse(bundle.data, bundle.len);
    X509_free(certificate);
    authority_close(authority);
    return status;
}

static int run(int argc, char **argv)
{
    struct issue_options options = {.days = DAYS_NOT_GIVEN};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_cert_issue, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = issue(&options, argv[0], &err);
    free(options.sessions);
    free(options.names);
    return status ? command_fail(&err) : EX_OK;
}
