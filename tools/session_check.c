/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session check`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "grid.h"
#include "json.h"
#include "logstream.h"
#include "presence.h"
#include "progress.h"
#include "text.h"
#include "tree/build.h"

#define CACHE_BYTES ((size_t)32 << 20)
/** Bytes of what is damaged that are shown. */
#define SHOWN_MAX 60

struct check_options {
    const char *store;
    uint32_t wait_ms;
    bool repair, dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct check_options, store),
    {"repair", 0, OPTION_FLAG, offsetof(struct check_options, repair), NULL,
     "make a new version without what is damaged"},
    {"wait", 'w', OPTION_DURATION, offsetof(struct check_options, wait_ms), "TIME",
     "wait so long for a session in use (default: not)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct check_options, dry_run), NULL,
     "only say what would be repaired"},
    {"json", 0, OPTION_FLAG, offsetof(struct check_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_check = {
    .name = "session check",
    .group = COMMAND_SESSION,
    .summary = "Look for damage in a session's log of events",
    .operands = "SESSION[@VERSION]",
    .details = "Finds NUL bytes, torn lines, events run together, bytes that are no UTF-8 and\n"
               "events that are there twice, in events.jsonl. The exit status is 0 only for a\n"
               "sound log, or one that was repaired. The version before a repair stays.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

struct finding {
    struct eventlog_damage damage; /* without its text */
    char shown[SHOWN_MAX];
    size_t shown_len;
};

struct check {
    const struct check_options *options;
    struct context_session session;
    struct session_head version; /* that is checked */
    struct finding *findings;
    size_t count, cap;
    size_t mendable;
    uint64_t events;
    uint64_t repaired; /* the new version, or 0 */
    struct progress progress;
};

/* --- finding ------------------------------------------------------------------------------------ */

static int count_event(const struct eventlog_event *event, void *arg)
{
    struct check *check = arg;

    check->events++;
    progress_add(&check->progress, 1, event->text.len + 1);
    return HF_OK;
}

static int take_damage(const struct eventlog_damage *damage, void *arg)
{
    struct check *check = arg;
    struct finding *finding;

    if (check->count == check->cap) {
        size_t cap = check->cap ? check->cap * 2 : 32;
        struct finding *findings = reallocarray(check->findings, cap, sizeof *findings);

        if (!findings)
            return HF_NOMEM;
        check->findings = findings;
        check->cap = cap;
    }
    finding = &check->findings[check->count++];
    *finding = (struct finding){.damage = *damage};
    finding->damage.text = (struct slice){0};
    finding->shown_len = damage->text.len < SHOWN_MAX ? damage->text.len : SHOWN_MAX;
    if (finding->shown_len > 0)
        memcpy(finding->shown, damage->text.data, finding->shown_len);
    check->mendable += damage->mendable ? 1 : 0;
    return HF_OK;
}

static int read_log(struct check *check, struct blob_cache *cache, struct hf_error *err)
{
    struct eventlog_listener listener = {count_event, take_damage, check};
    struct logstream stream;
    int status = logstream_open(&stream, cache, &listener, err);

    progress_start(&check->progress, "Checking", "events", 0, 0);
    if (status == HF_OK)
        status = logstream_read(&stream, &check->version.root, err);
    if (status == HF_OK && !stream.present)
        status = hf_fail(err, HF_NOENT, "the session has no %s", LOGSTREAM_FILE);
    if (status == HF_OK && (status = eventlog_end(stream.log)) != HF_OK)
        hf_fail(err, status, "out of memory");
    progress_end(&check->progress);
    logstream_close(&stream);
    return status;
}

/* --- repairing ---------------------------------------------------------------------------------- */

/* From the end to the beginning, so that places stay where they were found. */
static int mend(struct check *check, struct build *build, struct hf_error *err)
{
    int64_t now = clock_realtime(&clock_system);
    int status = HF_OK;

    progress_start(&check->progress, "Repairing", "places", check->mendable, 0);
    for (size_t i = check->count; status == HF_OK && i-- > 0;) {
        const struct eventlog_damage *damage = &check->findings[i].damage;

        if (!damage->mendable)
            continue;
        status = build_splice(build, LOGSTREAM_FILE, damage->offset, damage->offset + damage->len,
                              slice_of(damage->put, strlen(damage->put)), now, err);
        progress_add(&check->progress, 1, 0);
    }
    progress_end(&check->progress);
    return status;
}

static int commit(struct check *check, struct presence *presence, struct blob_cache *cache,
                  const struct lease *lease, struct hf_error *err)
{
    struct commit commit = {.sid = lease->sid,
                            .token = lease->token,
                            .base_version = lease->head.version,
                            .durability = DURABILITY_SYNC,
                            .meta = {.bytes = lease->head.bytes, .files = lease->head.files}};
    struct build *build = NULL;
    int status = build_open(cache, presence_host(presence), &lease->head.root, NULL, &build, err);

    if (status == HF_OK)
        status = mend(check, build, err);
    if (status == HF_OK)
        status = build_finish(build, &commit, err);
    if (status == HF_OK)
        status = store_commit(presence_store(presence), presence_host(presence), &commit,
                              &check->repaired, err);
    build_free(build);
    return status;
}

/** Checks and mends what is the head under the lease: it may have moved until then. */
static int repair(struct check *check, struct presence *presence, struct blob_cache *cache,
                  struct hf_error *err)
{
    struct lease lease;
    int status =
        presence_lease(presence, check->session.head.sid, check->options->wait_ms, &lease, err);

    if (status != HF_OK)
        return status;
    check->version = lease.head;
    status = read_log(check, cache, err);
    if (status == HF_OK && check->mendable > 0)
        status = commit(check, presence, cache, &lease, err);
    (void)presence_release(presence, &lease, NULL); /* it ends with the presence at the latest */
    return status;
}

/* --- telling ------------------------------------------------------------------------------------ */

static const char *remedy(const struct eventlog_damage *damage)
{
    if (!damage->mendable)
        return "stays";
    if (damage->put[0] == '\0')
        return "cut out";
    if (damage->put[0] != '\n')
        return "U+FFFD";
    return damage->len > 0 ? "a newline instead" : "a newline";
}

static void add_row(struct grid *grid, const struct finding *finding)
{
    const struct eventlog_damage *damage = &finding->damage;
    char text[64], shown[SHOWN_MAX + 1];

    snprintf(text, sizeof text, "%" PRIu64, damage->line);
    grid_add(grid, text);
    snprintf(text, sizeof text, "%" PRIu64, damage->offset);
    grid_add(grid, text);
    snprintf(text, sizeof text, "%" PRIu64, damage->len);
    grid_add(grid, text);
    if (damage->other)
        snprintf(text, sizeof text, "%s of line %" PRIu64, eventlog_kind_text(damage->kind),
                 damage->other);
    else
        snprintf(text, sizeof text, "%s", eventlog_kind_text(damage->kind));
    grid_add(grid, text);
    grid_add(grid, remedy(damage));
    snprintf(shown, sizeof shown, "%.*s", (int)finding->shown_len, finding->shown);
    for (char *c = shown; *c; c++)
        *c = *c == '\n' || *c == '\r' ? ' ' : *c;
    grid_add(grid, shown);
}

static int print_findings(const struct check *check)
{
    static const struct grid_column columns[] = {
        {"LINE", true, false, 0},    {"OFFSET", true, false, 5},  {"BYTES", true, false, 4},
        {"DAMAGE", false, false, 0}, {"REPAIR", false, false, 1}, {"TEXT", false, true, 2}};
    struct grid *grid;
    int status;

    if (check->count == 0)
        return HF_OK;
    grid = grid_new(columns, sizeof columns / sizeof columns[0]);
    if (!grid)
        return HF_NOMEM;
    for (size_t i = 0; i < check->count; i++)
        add_row(grid, &check->findings[i]);
    status = grid_print(grid, stdout, grid_terminal_width(stdout));
    grid_free(grid);
    return status;
}

static int print_text(const struct check *check)
{
    int status = print_findings(check);

    if (check->count == 0)
        text_line(stdout, "The log of %s@%" PRIu64 " is sound: %" PRIu64 " events.",
                  check->session.name, check->version.version, check->events);
    else
        text_line(stdout,
                  "The log of %s@%" PRIu64 " is damaged in %zu places, beside %" PRIu64 " events.",
                  check->session.name, check->version.version, check->count, check->events);
    if (check->repaired)
        printf("It is repaired in version %" PRIu64 "; version %" PRIu64 " stays as it is.\n",
               check->repaired, check->version.version);
    else if (check->mendable > 0 && !check->options->repair)
        text_line(stdout,
                  "'holdfast session check --repair %s' makes a version without the damage.",
                  check->session.name);
    return status;
}

static json_t *finding_json(const struct finding *finding)
{
    static const char *const kinds[] = {
        [EVENTLOG_NULS] = "nuls",           [EVENTLOG_TORN] = "torn",
        [EVENTLOG_JOINED] = "joined",       [EVENTLOG_UTF8] = "utf8",
        [EVENTLOG_DUPLICATE] = "duplicate", [EVENTLOG_EMPTY] = "empty",
        [EVENTLOG_UNENDED] = "unended",     [EVENTLOG_SAME_ID] = "same_id",
        [EVENTLOG_LONG] = "long",
    };
    const struct eventlog_damage *damage = &finding->damage;
    char shown[SHOWN_MAX + 1];
    json_t *object = json_object();

    if (!object)
        return NULL;
    snprintf(shown, sizeof shown, "%.*s", (int)finding->shown_len, finding->shown);
    json_object_set_new(object, "damage", json_string(kinds[damage->kind]));
    json_object_set_new(object, "line", json_u64(damage->line));
    json_object_set_new(object, "offset", json_u64(damage->offset));
    json_object_set_new(object, "bytes", json_u64(damage->len));
    json_object_set_new(object, "first_line",
                        damage->other ? json_u64(damage->other) : json_null());
    json_object_set_new(object, "replacement",
                        damage->mendable ? json_string(damage->put) : json_null());
    json_object_set_new(object, "text", json_bytes(shown));
    return object;
}

static int print_json(const struct check *check)
{
    json_t *object = json_object(), *findings = json_array();

    if (!object || !findings)
        return HF_NOMEM;
    for (size_t i = 0; i < check->count; i++)
        json_array_append_new(findings, finding_json(&check->findings[i]));
    json_set_name(object, "session", check->session.name);
    json_object_set_new(object, "version", json_u64(check->version.version));
    json_object_set_new(object, "events", json_u64(check->events));
    json_object_set_new(object, "findings", findings);
    json_object_set_new(object, "repaired",
                        check->repaired ? json_u64(check->repaired) : json_null());
    return json_print(object);
}

/* --- the command ---------------------------------------------------------------------------------- */

static int find(struct check *check, struct store *store, char *operand, struct hf_error *err)
{
    char *name, *path;
    uint64_t version;
    int status = context_split_operand(operand, &name, &version, &path, err);

    if (status == 0 && *path)
        status = hf_fail(err, HF_USAGE, "the log is found without a path: leave ':%s' out", path);
    if (status == 0 && version > 0 && check->options->repair)
        status =
            hf_fail(err, HF_USAGE,
                    "an old version stays as it is: leave the version out, or restore it first");
    if (status == 0)
        status = context_find_session(store, name, &check->session, err);
    if (status == 0 && check->session.head.sid == SHARED_SID)
        status = hf_fail(err, HF_USAGE, "the shared tree is no session and has no events");
    if (status == 0)
        status = context_read_version(store, &check->session, version, &check->version, err);
    return status;
}

static int check_log(struct check *check, struct store *store, struct presence *presence,
                     char *operand, struct hf_error *err)
{
    struct blob_cache *cache;
    int status = find(check, store, operand, err);

    if (status != 0)
        return status;
    cache = blob_cache_new(store, CACHE_BYTES);
    if (!cache)
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = presence ? repair(check, presence, cache, err) : read_log(check, cache, err);
    blob_cache_free(cache);
    return status ? hf_fail_prefix(err, status, "%s", check->session.name) : status;
}

static int run_on_store(struct check *check, char *operand, struct hf_error *err)
{
    const struct check_options *options = check->options;
    struct presence *presence = NULL;
    struct store *store = NULL;
    int status;

    if (options->repair && !options->dry_run) {
        status = presence_open(options->store, "session check", &presence, err);
        if (status == 0)
            status = check_log(check, presence_store(presence), presence, operand, err);
        presence_close(presence);
        return status;
    }
    status = context_open_store(options->store, STORE_READ_ONLY, &store, err);
    if (status == 0)
        status = check_log(check, store, NULL, operand, err);
    store_close(store);
    return status;
}

static int run(int argc, char **argv)
{
    struct check_options options = {0};
    struct check check = {.options = &options};
    size_t left;
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_session_check, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = run_on_store(&check, argv[0], &err);
    if (status == 0 && (status = options.json ? print_json(&check) : print_text(&check)) != 0)
        hf_fail(&err, status, "out of memory");
    left = check.repaired ? check.count - check.mendable : check.count;
    free(check.findings);
    if (status != 0)
        return command_fail(&err);
    return left == 0 ? EX_OK : hf_status_exit(HF_CORRUPT);
}
