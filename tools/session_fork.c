/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session fork`. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include <uuid/uuid.h>

#include "command.h"
#include "context.h"
#include "json.h"
#include "names.h"
#include "presence.h"
#include "store/name.h"
#include "text.h"
#include "tree/session_id.h"
#include "tree/view.h"

#define CACHE_BYTES ((size_t)16 << 20)

struct fork_options {
    const char *store;
    bool dry_run, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct fork_options, store),
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct fork_options, dry_run), NULL,
     "only say what would be done"},
    {"json", 0, OPTION_FLAG, offsetof(struct fork_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_fork = {
    .name = "session fork",
    .group = COMMAND_SESSION,
    .summary = "Make a session that goes on from a version of another",
    .operands = "SESSION[@VERSION] [NEW]",
    .details = "The new session shares all data with the one it comes from, takes its own way\n"
               "from there, and names itself NEW where the agent looks for its id. Without NEW\n"
               "it gets a fresh UUID, which is printed. The session may be in use meanwhile.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 2,
    .run = run,
};

struct forking {
    struct store *store;
    const struct fork_options *options;
    struct context_session session;
    struct session_head version; /* that it begins with */
    char name[SESSION_NAME_MAX + 1];
    struct session_id_report report;
    struct lease lease; /* of the fork */
};

/* --- building ----------------------------------------------------------------------------------- */

/* Lists the lock files of processes that have the session open. */
static int note_lock_file(struct slice name, const struct inode_record *record, void *arg)
{
    struct names *names = arg;
    char text[NODE_NAME_MAX + 1];

    snprintf(text, sizeof text, "%.*s", (int)name.len, (const char *)name.data);
    if (S_ISDIR(record->mode) || fnmatch("inuse.*", text, 0) != 0)
        return 0;
    return names_add(names, text);
}

/* They are not carried over: nobody has the fork open. */
static int drop_lock_files(struct forking *forking, struct blob_cache *cache, struct build *build,
                           struct hf_error *err)
{
    struct names names = {0};
    struct view_node top = {0};
    struct view *view = NULL;
    int status = view_open(cache, &forking->version.root, &view, err);

    if (status == 0)
        status = view_lookup(view, "", &top, err);
    if (status == 0)
        status = view_list(view, &top, note_lock_file, &names, err);
    if (status == HF_NOMEM)
        hf_fail(err, status, "out of memory");
    for (size_t i = 0; status == 0 && i < names.count; i++)
        status = build_remove(build, names.names[i], err);
    view_node_clear(&top);
    view_free(view);
    names_clear(&names);
    return status;
}

static int build_fork(struct forking *forking, struct blob_cache *cache, struct build *build,
                      struct commit *ret_commit, struct hf_error *err)
{
    int status = drop_lock_files(forking, cache, build, err);

    if (status == 0)
        status = session_id_rewrite(build, forking->name, clock_realtime(&clock_system),
                                    &forking->report, err);
    if (status != 0)
        return status;
    *ret_commit =
        (struct commit){.durability = DURABILITY_SYNC,
                        .meta = {.bytes = forking->version.bytes, .files = forking->version.files}};
    return build_finish(build, ret_commit, err);
}

static int create(struct forking *forking, uint64_t host, struct blob_cache *cache,
                  struct hf_error *err)
{
    struct build *build = NULL;
    struct commit commit;
    int status = build_open(cache, host, &forking->version.root, NULL, &build, err);

    if (status == 0)
        status = build_fork(forking, cache, build, &commit, err);
    if (status == 0 && !forking->options->dry_run)
        status = store_session_create(forking->store, host, forking->name, &commit, &forking->lease,
                                      err);
    build_free(build);
    return status;
}

static int fork_session(struct forking *forking, struct hf_error *err)
{
    struct blob_cache *cache = blob_cache_new(forking->store, CACHE_BYTES);
    struct presence *presence = NULL;
    int status;

    if (!cache)
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = presence_begin(forking->store, NULL, &presence, err);
    if (status == 0)
        status = create(forking, presence_host(presence), cache, err);
    presence_end(presence);
    blob_cache_free(cache);
    return status;
}

/* --- telling ------------------------------------------------------------------------------------ */

static const char *place_text(enum session_id_place place)
{
    return place == SESSION_ID_WRITTEN ? "written" : place == SESSION_ID_ABSENT ? "absent" : "left";
}

static void print_place(const char *file, const char *what, enum session_id_place place)
{
    if (place == SESSION_ID_ABSENT)
        text_line(stdout, "There is no %s that would name the session.", file);
    if (place == SESSION_ID_ODD)
        text_line(stdout, "%s has no %s where it is expected; it was left as it is.", file, what);
}

static void print_text(const struct forking *forking)
{
    text_line(stdout, "%s is %s of %s@%" PRIu64 ".", forking->name,
              forking->options->dry_run ? "to be a fork" : "a fork", forking->session.name,
              forking->version.version);
    print_place(SESSION_ID_WORKSPACE, "id", forking->report.workspace);
    print_place(SESSION_ID_EVENTS, "session id in its first event", forking->report.events);
}

static int print_json(const struct forking *forking)
{
    json_t *object = json_object(), *from = json_object(), *rewritten = json_object();

    if (!object || !from || !rewritten)
        return HF_NOMEM;
    json_set_name(object, "name", forking->name);
    json_object_set_new(object, "created", json_boolean(!forking->options->dry_run));
    if (!forking->options->dry_run) {
        json_object_set_new(object, "version", json_u64(forking->lease.head.version));
        json_object_set_new(object, "root", json_id(&forking->lease.head.root));
    }
    json_set_name(from, "name", forking->session.name);
    json_object_set_new(from, "version", json_u64(forking->version.version));
    json_object_set_new(object, "from", from);
    json_object_set_new(rewritten, SESSION_ID_WORKSPACE,
                        json_string(place_text(forking->report.workspace)));
    json_object_set_new(rewritten, SESSION_ID_EVENTS,
                        json_string(place_text(forking->report.events)));
    json_object_set_new(object, "id", rewritten);
    return json_print(object);
}

/* --- the command ---------------------------------------------------------------------------------- */

static int choose_name(struct forking *forking, const char *given, struct hf_error *err)
{
    struct session_head head;
    uuid_t uuid;
    int status;

    if (!given) {
        uuid_generate(uuid);
        uuid_unparse_lower(uuid, forking->name);
        return 0;
    }
    status = session_name_check(given, err);
    if (status != 0)
        return status;
    snprintf(forking->name, sizeof forking->name, "%s", given);
    status = store_session_find(forking->store, given, &head, err);
    if (status == 0)
        return hf_fail(err, HF_EXIST, "there is a session '%s' already; choose another name",
                       given);
    return status == HF_NOENT ? 0 : status;
}

static int prepare(struct forking *forking, int argc, char **argv, struct hf_error *err)
{
    char *name, *path;
    uint64_t version;
    int status = context_split_operand(argv[0], &name, &version, &path, err);

    if (status == 0 && *path)
        status = hf_fail(err, HF_USAGE, "a session is forked as a whole, without a path");
    if (status == 0)
        status = context_open_store(forking->options->store, 0, &forking->store, err);
    if (status == 0)
        status = context_find_session(forking->store, name, &forking->session, err);
    if (status == 0 && forking->session.head.sid == SHARED_SID)
        status = hf_fail(err, HF_USAGE, "the shared tree is no session, and cannot be forked");
    if (status == 0)
        status = context_read_version(forking->store, &forking->session, version, &forking->version,
                                      err);
    return status == 0 ? choose_name(forking, argc > 1 ? argv[1] : NULL, err) : status;
}

static int run(int argc, char **argv)
{
    struct fork_options options = {0};
    struct forking forking = {.options = &options};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_session_fork, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = prepare(&forking, argc, argv, &err);
    if (status == 0)
        status = fork_session(&forking, &err);
    if (status == 0 && options.json)
        status = print_json(&forking);
    else if (status == 0)
        print_text(&forking);
    store_close(forking.store);
    return status ? command_fail(&err) : EX_OK;
}
