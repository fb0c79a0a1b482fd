/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast cert init`. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "authority.h"
#include "command.h"
#include "validity.h"

#define NAMES_MAX 64
#define CA_DAYS 3650
#define SERVER_DAYS 825

struct init_options {
    const char *dir;
    char *names;
    uint64_t days;
};

static const struct option_spec specs[] = {
    {"dir", 0, OPTION_STRING, offsetof(struct init_options, dir), "DIR",
     "where (default: /etc/holdfast/pki for root, else\n$XDG_CONFIG_HOME/holdfast/pki)"},
    {"name", 0, OPTION_LIST, offsetof(struct init_options, names), "NAME",
     "a DNS name or address by which hosts reach the server;\nmay be given several times "
     "(default: this machine's\nname, localhost, 127.0.0.1, ::1)"},
    {"days", 0, OPTION_NUMBER, offsetof(struct init_options, days), "N",
     "how long the server's certificate is valid (default:\n825; the CA's is for ten years)"},
    {0}};

static int run(int argc, char **argv);

const struct command command_cert_init = {
    .name = "cert init",
    .group = COMMAND_SERVER,
    .summary = "Make a CA, and a certificate for the server",
    .details = "'holdfast serve --pki DIR' uses it. What is there is never overwritten.",
    .options = specs,
    .run = run,
};

/* Splits a list at its commas, in place. */
static size_t split(char *list, const char *ret_names[NAMES_MAX])
{
    size_t n = 0;
    char *name;

    while (n < NAMES_MAX && (name = strsep(&list, ",")) != NULL)
        ret_names[n++] = name;
    return n;
}

static size_t default_names(char host[HOST_NAME_MAX + 1], const char *ret_names[NAMES_MAX])
{
    static const char *const always[] = {"localhost", "127.0.0.1", "::1"};
    size_t n = 0;

    if (gethostname(host, HOST_NAME_MAX + 1) == 0 && *host && strcmp(host, "localhost") != 0)
        ret_names[n++] = host;
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        ret_names[n++] = always[i];
    return n;
}

static int init(const struct init_options *options, const char *const *names, size_t nnames,
                const char *dir, struct hf_error *err)
{
    int64_t now = time(NULL);
    char title[64];
    struct pki_request ca = {.kind = PKI_CA, .name = title, .not_before = now - VALIDITY_LEEWAY};
    struct pki_request server = {.kind = PKI_SERVER,
                                 .hosts = names,
                                 .nhosts = nnames,
                                 .name = strlen(names[0]) <= 64 ? names[0] : "server",
                                 .not_before = now - VALIDITY_LEEWAY};
    int status = validity_end(now, CA_DAYS, INT64_MAX, &ca.not_after, err);

    if (!status)
        status = validity_end(now, options->days, ca.not_after, &server.not_after, err);
    snprintf(title, sizeof title, "Holdfast CA %08x", (unsigned)now);
    return status ? status : authority_init(dir, &ca, &server, err);
}

static int run(int argc, char **argv)
{
    struct init_options options = {.days = SERVER_DAYS};
    const char *names[NAMES_MAX];
    char host[HOST_NAME_MAX + 1] = "";
    BUF_AUTO dir = {0};
    struct hf_error err;
    int exit_code, status;
    size_t n;

    if (!options_parse(&command_cert_init, &argc, &argv, &options, &exit_code))
        return exit_code;
    n = options.names ? split(options.names, names) : default_names(host, names);
    status = authority_dir(options.dir, &dir, &err);
    if (!status)
        status = init(&options, names, n, (const char *)dir.data, &err);
    if (!status) {
        printf("A CA, and a certificate for the server, are in %s.\nThe server is", dir.data);
        for (size_t i = 0; i < n; i++)
            printf("%s %s", i ? "," : "", names[i]);
        printf(".\nKeep %s/%s to yourself: who has it can be any host.\n", dir.data,
               PKI_CA_KEY_FILE);
    }
    free(options.names);
    return status ? command_fail(&err) : EX_OK;
}
