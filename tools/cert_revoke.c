/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast cert revoke`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <time.h>

#include "authority.h"
#include "certificate.h"
#include "command.h"

struct revoke_options {
    const char *dir, *serial;
};

static const struct option_spec specs[] = {
    {"serial", 0, OPTION_STRING, offsetof(struct revoke_options, serial), "S",
     "only the certificate of this serial number"},
    {"dir", 0, OPTION_STRING, offsetof(struct revoke_options, dir), "DIR",
     "where the CA is (default: /etc/holdfast/pki for root,\nelse $XDG_CONFIG_HOME/holdfast/pki)"},
    {0}};

static int run(int argc, char **argv);

const struct command command_cert_revoke = {
    .name = "cert revoke",
    .group = COMMAND_SERVER,
    .summary = "Take back a host's certificates",
    .operands = "[HOST]",
    .details = "Takes back every valid certificate of HOST, or the one of --serial. The server\n"
               "hears of it when it is sent SIGHUP.",
    .options = specs,
    .max_operands = 1,
    .run = run,
};

/* What is to be revoked, collected from the records. */
struct search {
    const char *host, *serial;
    X509 **certificates;
    size_t count;
    bool known; /* some matched, if only ones that are revoked or expired */
};

static int visit(const struct authority_record *record, void *arg)
{
    struct search *search = arg;
    struct certificate_info info;
    X509 **grown;
    bool match;

    if (certificate_read(record->certificate, &info, NULL) != 0)
        return 0;
    match = (!search->host || strcmp(info.principal.name, search->host) == 0) &&
            (!search->serial || strcasecmp(record->serial, search->serial) == 0) &&
            (search->serial || strcmp(info.role, "server") != 0);
    search->known = search->known || match;
    match = match && !record->revoked && info.until > time(NULL);
    certificate_release(&info);
    if (!match)
        return 0;
    grown = reallocarray(search->certificates, search->count + 1, sizeof(X509 *));
    if (!grown || !X509_up_ref(record->certificate))
        return HF_NOMEM;
    search->certificates = grown;
    search->certificates[search->count++] = record->certificate;
    return 0;
}

static int tell(const struct search *search, const char *dir, struct hf_error *err)
{
    char serial[CERTIFICATE_SERIAL_SIZE];

    for (size_t i = 0; i < search->count; i++) {
        int status = certificate_serial(search->certificates[i], serial, err);
        if (status)
            return status;
        printf("Revoked the certificate %s.\n", serial);
    }
    printf("Send the server SIGHUP: it then reads %s/%s, and closes the host's connections.\n", dir,
           PKI_CRL_FILE);
    return 0;
}

static int revoke(const struct revoke_options *options, const char *host, struct hf_error *err)
{
    struct search search = {.host = host, .serial = options->serial};
    struct authority *authority = NULL;
    BUF_AUTO dir = {0};
    int status = authority_dir(options->dir, &dir, err);

    if (!status)
        status = authority_open((const char *)dir.data, true, &authority, err);
    if (!status) {
        status = authority_each(authority, visit, &search, err);
        if (status == HF_NOMEM)
            status = hf_fail(err, status, "out of memory");
    }
    if (!status && !search.known)
        status = hf_fail(err, HF_NOENT, "no certificate of %s was issued here",
                         options->serial ? options->serial : host);
    if (!status && search.count == 0)
        status = hf_fail(err, HF_EXIST, "nothing is left to revoke: %s is revoked or expired",
                         options->serial ? options->serial : host);
    if (!status)
        status = authority_revoke(authority, search.certificates, search.count, err);
    if (!status)
        status = tell(&search, (const char *)dir.data, err);
    for (size_t i = 0; i < search.count; i++)
        X509_free(search.certificates[i]);
    free(search.certificates);
    authority_close(authority);
    return status;
}

static int run(int argc, char **argv)
{
    struct revoke_options options = {0};
    struct hf_error err;
    int exit_code;

    if (!options_parse(&command_cert_revoke, &argc, &argv, &options, &exit_code))
        return exit_code;
    if (argc < 1 && !options.serial)
        return command_failf(HF_USAGE, "cert revoke: whose? It takes a HOST or --serial");
    return revoke(&options, argc > 0 ? argv[0] : NULL, &err) ? command_fail(&err) : EX_OK;
}
