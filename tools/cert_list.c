/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast cert list`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "authority.h"
#include "certificate.h"
#include "command.h"
#include "grid.h"
#include "json.h"

struct list_options {
    const char *dir;
    bool json;
};

static const struct option_spec specs[] = {
    {"json", 0, OPTION_FLAG, offsetof(struct list_options, json), NULL, "print JSON"},
    {"dir", 0, OPTION_STRING, offsetof(struct list_options, dir), "DIR",
     "where the CA is (default: /etc/holdfast/pki for root,\nelse $XDG_CONFIG_HOME/holdfast/pki)"},
    {0}};

static int run(int argc, char **argv);

const struct command command_cert_list = {
    .name = "cert list",
    .group = COMMAND_SERVER,
    .summary = "List the certificates that were issued",
    .options = specs,
    .run = run,
};

/* The latest of each name is what one looks for: sorted by name, then by the end of validity. */
struct row {
    struct certificate_info info;
    int64_t revoked;
};

struct listing {
    struct row *rows;
    size_t count;
};

static int visit(const struct authority_record *record, void *arg)
{
    struct listing *listing = arg;
    struct row *rows = reallocarray(listing->rows, listing->count + 1, sizeof *rows);
    struct row row = {.revoked = record->revoked};

    if (!rows)
        return HF_NOMEM;
    listing->rows = rows;
    if (certificate_read(record->certificate, &row.info, NULL) != 0)
        return HF_NOMEM;
    listing->rows[listing->count++] = row;
    return 0;
}

static int compare(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = strcmp(x->info.principal.name, y->info.principal.name);

    if (order == 0 && x->info.until != y->info.until)
        order = x->info.until < y->info.until ? -1 : 1;
    return order ? order : strcmp(x->info.principal.serial, y->info.principal.serial);
}

static const char *date(int64_t seconds, char text[16])
{
    struct tm tm;
    time_t time = seconds;

    if (!gmtime_r(&time, &tm) || !strftime(text, 16, "%Y-%m-%d", &tm))
        return "?";
    return text;
}

static int add_row(struct grid *grid, const struct row *row, int64_t now)
{
    const struct certificate_info *info = &row->info;
    BUF_AUTO sessions = {0};
    char text[16];

    if (certificate_sessions(info, &sessions) != 0)
        return HF_NOMEM;
    grid_add(grid, info->principal.name);
    grid_add(grid, info->role);
    grid_add(grid, info->principal.tenant);
    grid_add(grid, (const char *)sessions.data);
    grid_add(grid, date(info->until, text));
    grid_add(grid, row->revoked ? "revoked" : info->until <= now ? "expired" : "valid");
    grid_add(grid, info->principal.serial);
    return 0;
}

static int print_table(const struct listing *listing)
{
    static const struct grid_column columns[] = {
        {"NAME", false, true, 0},     {"ROLE", false, false, 1},    {"TENANT", false, true, 4},
        {"SESSIONS", false, true, 3}, {"EXPIRES", false, false, 2}, {"STATE", false, false, 2},
        {"SERIAL", false, false, 5}};
    struct grid *grid = grid_new(columns, sizeof columns / sizeof columns[0]);
    int status = grid ? 0 : HF_NOMEM;

    for (size_t i = 0; !status && i < listing->count; i++)
        status = add_row(grid, &listing->rows[i], time(NULL));
    if (!status)
        status = grid_print(grid, stdout, grid_terminal_width(stdout));
    grid_free(grid);
    return status;
}

static int print_json(const struct listing *listing)
{
    struct json_list list = {0};
    int status = 0;

    for (size_t i = 0; !status && i < listing->count; i++)
        status = json_list_add(&list,
                               certificate_json(&listing->rows[i].info, listing->rows[i].revoked));
    json_list_end(&list);
    return status;
}

static int list(const struct list_options *options, struct hf_error *err)
{
    struct authority *authority = NULL;
    struct listing listing = {0};
    BUF_AUTO dir = {0};
    int status = authority_dir(options->dir, &dir, err);

    if (!status)
        status = authority_open((const char *)dir.data, false, &authority, err);
    if (!status) {
        status = authority_each(authority, visit, &listing, err);
        if (status == HF_NOMEM)
            status = hf_fail(err, status, "out of memory");
    }
    if (!status) {
        if (listing.count > 1)
            qsort(listing.rows, listing.count, sizeof *listing.rows, compare);
        status = options->json ? print_json(&listing) : print_table(&listing);
        if (status)
            status = hf_fail(err, status, "out of memory");
    }
    for (size_t i = 0; i < listing.count; i++)
        certificate_release(&listing.rows[i].info);
    free(listing.rows);
    authority_close(authority);
    return status;
}

static int run(int argc, char **argv)
{
    struct list_options options = {0};
    struct hf_error err;
    int exit_code;

    if (!options_parse(&command_cert_list, &argc, &argv, &options, &exit_code))
        return exit_code;
    return list(&options, &err) ? command_fail(&err) : EX_OK;
}
