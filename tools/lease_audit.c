/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast lease audit` and `holdfast lease watch`: the audit trail, up to now and from now on. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "command.h"
#include "context.h"
#include "lease_text.h"
#include "text.h"

/* How often `watch` looks for what is new. */
#define LOOK_EVERY_NS 250000000L

struct audit_options {
    const char *store;
    uint64_t from;
    bool json;
};

static const struct option_spec audit_specs[] = {
    OPTION_STORE(struct audit_options, store),
    {"from", 0, OPTION_NUMBER, offsetof(struct audit_options, from), "ID",
     "only entries from this one on"},
    {"json", 0, OPTION_FLAG, offsetof(struct audit_options, json), NULL, "print JSON"},
    {0}};

static const struct option_spec watch_specs[] = {OPTION_STORE(struct audit_options, store),
                                                 {"json", 0, OPTION_FLAG,
                                                  offsetof(struct audit_options, json), NULL,
                                                  "print a JSON object a line"},
                                                 {0}};

static int run_audit(int argc, char **argv);
static int run_watch(int argc, char **argv);

const struct command command_lease_audit = {
    .name = "lease audit",
    .group = COMMAND_SESSION,
    .summary = "Print what became of the leases, the oldest first",
    .operands = "[SESSION]",
    .details = "Every grant, recall, refusal, release, break, takeover and fenced commit is an\n"
               "entry.",
    .options = audit_specs,
    .max_operands = 1,
    .run = run_audit,
};

const struct command command_lease_watch = {
    .name = "lease watch",
    .group = COMMAND_SESSION,
    .summary = "Print what becomes of the leases as it happens",
    .operands = "[SESSION]",
    .details = "Ends with Ctrl-C.",
    .options = watch_specs,
    .max_operands = 1,
    .run = run_watch,
};

struct trail {
    struct store *store;
    uint64_t sid;  /* UINT64_MAX: all */
    uint64_t next; /* id of the next entry */
    bool json, lines, quiet;
    struct json_list list;
    struct audit_names *names;
    struct audit_entry *fresh; /* gathered: a visit cannot ask the store for names */
    size_t count, cap;
};

static int gather(const struct audit_entry *entry, void *arg)
{
    struct trail *trail = arg;
    struct audit_entry copy = *entry;

    trail->next = entry->id + 1;
    if (trail->quiet)
        return 0;
    if (trail->count == trail->cap) {
        size_t cap = trail->cap ? 2 * trail->cap : 64;
        struct audit_entry *fresh = reallocarray(trail->fresh, cap, sizeof *fresh);

        if (!fresh)
            return HF_NOMEM;
        trail->fresh = fresh;
        trail->cap = cap;
    }
    if (entry->detail && !(copy.detail = strdup(entry->detail)))
        return HF_NOMEM;
    trail->fresh[trail->count++] = copy;
    return 0;
}

static void print_text(const struct audit_entry *entry, const struct audit_names *names)
{
    const char *session = audit_session_name(names, entry->sid);
    const char *host = audit_host_name(names, entry->host);
    char time[TEXT_SHORT], line[1024];
    char *printable;

    snprintf(line, sizeof line, "%-14s %s token %" PRIu64 "%s%s%s%s",
             audit_event_text(entry->event), session ? session : "?", entry->token,
             host ? " host " : "", host ? host : "", entry->detail ? ": " : "",
             entry->detail ? entry->detail : "");
    printable = text_printable(line, strlen(line));
    printf("%6" PRIu64 "  %s  %s\n", entry->id, text_time(entry->time, time),
           printable ? printable : "?");
    free(printable);
}

static int print_line(json_t *object)
{
    int status = object && json_dumpf(object, stdout, JSON_COMPACT) == 0 ? HF_OK : HF_NOMEM;

    json_decref(object);
    putchar('\n');
    return status;
}

static int print_entry(struct trail *trail, const struct audit_entry *entry)
{
    if (trail->lines && trail->json)
        return print_line(audit_json(entry, trail->names));
    if (trail->json)
        return json_list_add(&trail->list, audit_json(entry, trail->names));
    print_text(entry, trail->names);
    return HF_OK;
}

static void forget(struct trail *trail)
{
    for (size_t i = 0; i < trail->count; i++)
        free((char *)trail->fresh[i].detail);
    trail->count = 0;
}

/* Prints what came since the last look. */
static int look(struct trail *trail, struct hf_error *err)
{
    int status = store_audit(trail->store, trail->sid, trail->next, gather, trail, err);

    if (status == 0 && trail->count > 0) {
        audit_names_free(trail->names);
        trail->names = NULL;
        status = audit_names_load(trail->store, &trail->names, err);
    }
    for (size_t i = 0; i < trail->count && status == 0; i++)
        status = print_entry(trail, &trail->fresh[i]);
    if (status == HF_NOMEM)
        hf_fail(err, status, "out of memory");
    forget(trail);
    return status;
}

static int trail_open(struct trail *trail, const struct audit_options *options, const char *session,
                      struct hf_error *err)
{
    struct context_session found;
    int status = context_open_store(options->store, STORE_READ_ONLY, &trail->store, err);

    trail->sid = UINT64_MAX;
    trail->next = options->from;
    trail->json = options->json;
    if (status != 0 || !session)
        return status;
    status = context_find_session(trail->store, session, &found, err);
    if (status == 0)
        trail->sid = found.head.sid;
    return status;
}

static void trail_close(struct trail *trail)
{
    audit_names_free(trail->names);
    free(trail->fresh);
    store_close(trail->store);
}

static int run_audit(int argc, char **argv)
{
    struct audit_options options = {0};
    struct trail trail = {0};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_lease_audit, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = trail_open(&trail, &options, argc > 0 ? argv[0] : NULL, &err);
    if (status == 0) {
        status = look(&trail, &err);
        if (options.json)
            json_list_end(&trail.list);
    }
    trail_close(&trail);
    return status ? command_fail(&err) : EX_OK;
}

/* Prints until a signal ends it, or nobody reads any more. */
static int watch(struct trail *trail, struct hf_error *err)
{
    const struct timespec pause = {.tv_nsec = LOOK_EVERY_NS};
    sigset_t ends;
    int status;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    trail->lines = true;
    trail->quiet = true;
    status = look(trail, err);
    trail->quiet = false;
    while (status == 0 && sigtimedwait(&ends, NULL, &pause) < 0) {
        status = look(trail, err);
        if (fflush(stdout) != 0)
            break;
    }
    return status;
}

static int run_watch(int argc, char **argv)
{
    struct audit_options options = {0};
    struct trail trail = {0};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_lease_watch, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = trail_open(&trail, &options, argc > 0 ? argv[0] : NULL, &err);
    if (status == 0)
        status = watch(&trail, &err);
    trail_close(&trail);
    return status ? command_fail(&err) : EX_OK;
}
