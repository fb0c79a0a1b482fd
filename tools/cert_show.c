/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast cert show`. */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "certificate.h"
#include "command.h"
#include "json.h"
#include "text.h"

#define NS_PER_SECOND 1000000000LL

struct show_options {
    bool json;
};

static const struct option_spec specs[] = {
    {"json", 0, OPTION_FLAG, offsetof(struct show_options, json), NULL, "print JSON"}, {0}};

static int run(int argc, char **argv);

const struct command command_cert_show = {
    .name = "cert show",
    .group = COMMAND_SERVER,
    .summary = "Show what a certificate says",
    .operands = "FILE",
    .details = "Shows the first certificate of a PEM file, of any PKI. Its key stays where it is.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

static void print_time(const char *label, int64_t seconds)
{
    char text[TEXT_SHORT];

    text_print_line(label, text_time(seconds * NS_PER_SECOND, text));
}

static int print_text(const struct certificate_info *info)
{
    BUF_AUTO sessions = {0};
    int64_t now = time(NULL);

    if (certificate_sessions(info, &sessions) != 0)
        return HF_NOMEM;
    text_print_line("Name", info->principal.name);
    text_print_line("Serial", info->principal.serial);
    text_print_line("Role", info->role);
    if (info->principal.role != ROLE_NONE) {
        text_print_line("Tenant", info->principal.tenant);
        text_print_line("Sessions", (const char *)sessions.data);
    }
    if (info->names.len > 1)
        text_print_line("Hosts", (const char *)info->names.data);
    print_time("Valid from", info->from);
    print_time(info->until <= now ? "EXPIRED" : "Expires", info->until);
    if (info->problem.status)
        text_print_line("Note", info->problem.message);
    return 0;
}

static int read_file(const char *path, X509 **ret_certificate, struct hf_error *err)
{
    FILE *file = fopen(path, "re");
    X509 *certificate;

    if (!file)
        return hf_fail(err, hf_status_from_errno(errno), "cannot read %s: %s", path,
                       strerror(errno));
    certificate = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    ERR_clear_error();
    if (!certificate)
        return hf_fail(err, HF_INVAL, "%s holds no certificate", path);
    *ret_certificate = certificate;
    return 0;
}

static int show(const struct show_options *options, const char *path, struct hf_error *err)
{
    struct certificate_info info;
    X509 *certificate = NULL;
    int status = read_file(path, &certificate, err);

    if (status)
        return status;
    status = certificate_read(certificate, &info, err);
    X509_free(certificate);
    if (status)
        return status;
    status = options->json ? json_print(certificate_json(&info, 0)) : print_text(&info);
    certificate_release(&info);
    return status ? hf_fail(err, status, "out of memory") : 0;
}

static int run(int argc, char **argv)
{
    struct show_options options = {0};
    struct hf_error err;
    int exit_code;

    if (!options_parse(&command_cert_show, &argc, &argv, &options, &exit_code))
        return exit_code;
    return show(&options, argv[0], &err) ? command_fail(&err) : EX_OK;
}
