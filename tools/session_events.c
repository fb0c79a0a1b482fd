/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session events`. */
#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "command.h"
#include "context.h"
#include "event_text.h"
#include "logstream.h"

#define CACHE_BYTES ((size_t)32 << 20)
/** How long to wait before the head is looked at again: so long after news, and so long at most. */
#define WAIT_MIN_MS 50
#define WAIT_MAX_MS 500

struct events_options {
    const char *store;
    char *types;
    int64_t since;
    bool follow, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct events_options, store),
    {"type", 't', OPTION_LIST, offsetof(struct events_options, types), "TYPE",
     "only events of this type, or of those that a pattern\nmatches ('tool.*'); may be given "
     "several times"},
    {"since", 0, OPTION_SINCE, offsetof(struct events_options, since), "WHEN",
     "only events since then: an age (2h, 3d), a date or a\ntime"},
    {"follow", 'f', OPTION_FLAG, offsetof(struct events_options, follow), NULL,
     "wait for more events, until interrupted"},
    {"json", 0, OPTION_FLAG, offsetof(struct events_options, json), NULL,
     "print each event as it stands in the log"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_events = {
    .name = "session events",
    .group = COMMAND_SESSION,
    .summary = "Print what happened in a session, event by event",
    .operands = "SESSION[@VERSION]",
    .details = "Prints the events of the session's log, one a line: when, what, and the\n"
               "beginning of what it says. The session may be in use by any host; with\n"
               "--follow, events are printed as they are committed there.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

struct printer {
    const struct events_options *options;
    int64_t time; /* of the last event that told one; INT64_MIN: none yet */
    uint64_t damaged;
    struct hf_error err; /* why an event could not be printed */
};

/* --- choosing ----------------------------------------------------------------------------------- */

/** A time as the client writes it, "2026-01-31T10:00:00.123Z", in ns since the epoch. */
static bool parse_time(struct slice text, int64_t *ret_time)
{
    char copy[40];
    struct tm tm = {0};
    const char *end;
    int64_t ns = 0, unit = 100000000;

    if (text.len == 0 || text.len >= sizeof copy)
        return false;
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    end = strptime(copy, "%Y-%m-%dT%H:%M:%S", &tm);
    if (!end)
        return false;
    if (*end == '.')
        for (end++; *end >= '0' && *end <= '9'; end++, unit /= 10)
            ns += (*end - '0') * unit;
    if (strcmp(end, "Z") != 0)
        return false;
    *ret_time = (int64_t)timegm(&tm) * 1000000000 + ns;
    return true;
}

/** Whether one of the patterns, which ',' parts, matches a type. */
static bool type_is_wanted(const char *patterns, struct slice type)
{
    char name[256], pattern[256];

    if (!patterns)
        return true;
    snprintf(name, sizeof name, "%.*s", (int)type.len, (const char *)type.data);
    while (*patterns) {
        size_t len = strcspn(patterns, ",");

        snprintf(pattern, sizeof pattern, "%.*s", (int)len, patterns);
        if (fnmatch(pattern, name, 0) == 0)
            return true;
        patterns += len + (patterns[len] ? 1 : 0);
    }
    return false;
}

/** An event without a time has that of the one before. */
static bool is_wanted(struct printer *printer, const struct eventlog_event *event)
{
    int64_t time;

    if (parse_time(event->timestamp, &time))
        printer->time = time;
    if (printer->options->since && printer->time < printer->options->since)
        return false;
    return type_is_wanted(printer->options->types, event->type);
}

/* --- printing ----------------------------------------------------------------------------------- */

static int print_event(const struct eventlog_event *event, void *arg)
{
    struct printer *printer = arg;
    bool ok;

    if (!is_wanted(printer, event))
        return HF_OK;
    if (printer->options->json) {
        ok = fwrite(event->text.data, 1, event->text.len, stdout) == event->text.len &&
             putchar('\n') != EOF;
    } else {
        char *text = event_text(event->text);

        if (!text)
            return hf_fail(&printer->err, HF_NOMEM, "out of memory");
        ok = puts(text) != EOF;
        free(text);
    }
    if (!ok)
        return hf_fail(&printer->err, HF_IO, "cannot write the output: %s", strerror(errno));
    return HF_OK;
}

static int count_damage(const struct eventlog_damage *damage, void *arg)
{
    struct printer *printer = arg;

    /* Of what run together and of what is not UTF-8 all events are printed, and a log in use may not end yet. */
    if (damage->kind == EVENTLOG_NULS || damage->kind == EVENTLOG_TORN ||
        damage->kind == EVENTLOG_LONG)
        printer->damaged++;
    return HF_OK;
}

/* --- following ---------------------------------------------------------------------------------- */

static void pause_ms(unsigned ms)
{
    struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};

    nanosleep(&time, NULL);
}

/** Prints what comes, until the session is gone or something fails. */
static int follow(struct store *store, struct logstream *stream, struct session_head *head,
                  struct hf_error *err)
{
    unsigned wait = WAIT_MIN_MS;
    uint64_t version = head->version;
    int status = HF_OK;

    while (status == HF_OK) {
        if (fflush(stdout) != 0)
            return hf_fail(err, HF_IO, "cannot write the output: %s", strerror(errno));
        pause_ms(wait);
        wait = wait * 2 < WAIT_MAX_MS ? wait * 2 : WAIT_MAX_MS;
        status = store_session_head(store, head->sid, head, err);
        if (status == HF_OK && head->version != version) {
            version = head->version;
            wait = WAIT_MIN_MS;
            status = logstream_read(stream, &head->root, err);
        }
    }
    return status;
}

static int print_events(struct store *store, const struct events_options *options,
                        struct session_head *version, struct printer *printer, struct hf_error *err)
{
    struct eventlog_listener listener = {print_event, count_damage, printer};
    struct blob_cache *cache = blob_cache_new(store, CACHE_BYTES);
    struct logstream stream;
    int status;

    if (!cache)
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = logstream_open(&stream, cache, &listener, err);
    if (status == HF_OK)
        status = logstream_read(&stream, &version->root, err);
    if (status == HF_OK && options->follow)
        status = follow(store, &stream, version, err);
    else if (status == HF_OK && !stream.present)
        status = hf_fail(err, HF_NOENT, "the session has no %s", LOGSTREAM_FILE);
    else if (status == HF_OK)
        status = eventlog_end(stream.log);
    if (status != HF_OK && printer->err.status == status)
        *err = printer->err;
    logstream_close(&stream);
    blob_cache_free(cache);
    return status;
}

static int prepare(const struct events_options *options, char *operand, struct store **ret_store,
                   struct context_session *session, struct session_head *ret_version,
                   struct hf_error *err)
{
    char *name, *path;
    uint64_t version;
    int status = context_split_operand(operand, &name, &version, &path, err);

    if (status == 0 && *path)
        status = hf_fail(err, HF_USAGE, "the log is found without a path: leave ':%s' out", path);
    if (status == 0 && options->follow && version > 0)
        status = hf_fail(err, HF_USAGE, "an old version does not change: leave --follow out");
    if (status == 0)
        status = context_open_store(options->store, STORE_READ_ONLY, ret_store, err);
    if (status == 0)
        status = context_find_session(*ret_store, name, session, err);
    if (status == 0 && session->head.sid == SHARED_SID)
        status = hf_fail(err, HF_USAGE, "the shared tree is no session and has no events");
    if (status == 0)
        status = context_read_version(*ret_store, session, version, ret_version, err);
    return status;
}

static int run(int argc, char **argv)
{
    struct events_options options = {0};
    struct printer printer = {.options = &options, .time = INT64_MIN};
    struct context_session session;
    struct session_head version;
    struct store *store = NULL;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_session_events, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = prepare(&options, argv[0], &store, &session, &version, &err);
    if (status == 0) {
        status = print_events(store, &options, &version, &printer, &err);
        if (status)
            hf_fail_prefix(&err, status, "%s", session.name);
    }
    if (printer.damaged > 0)
        fprintf(stderr,
                "holdfast: %" PRIu64 " damaged places were left out; 'holdfast session check %s' "
                "tells of them\n",
                printer.damaged, session.name);
    free(options.types);
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
