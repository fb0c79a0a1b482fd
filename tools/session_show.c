/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session show`. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "base/clock.h"
#include "command.h"
#include "context.h"
#include "lease_text.h"
#include "session_json.h"
#include "text.h"

struct show_options {
    const char *store;
    bool trash, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct show_options, store),
    {"trash", 0, OPTION_FLAG, offsetof(struct show_options, trash), NULL,
     "one in the trash, by its name or #ID"},
    {"json", 0, OPTION_FLAG, offsetof(struct show_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_show = {
    .name = "session show",
    .group = COMMAND_SESSION,
    .summary = "Show what the store knows of a session",
    .operands = "SESSION",
    .details = "SESSION is a name, or a beginning of one that is long enough to tell.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

/* What is gathered about one session. */
struct show {
    struct store *store;
    struct context_session session;
    bool as_json, trash;
    json_t *json;      /* as_json */
    uint64_t versions; /* that are kept */
    bool shown;
};

static void print_moment(const char *label, int64_t time)
{
    char text[TEXT_SHORT], age[TEXT_SHORT];

    printf("%-12s %s (%s)\n", label, text_time(time, text),
           text_age(time, clock_realtime(&clock_system), age));
}

static void print_session(const struct session_info *info, uint64_t versions)
{
    char text[TEXT_SHORT], hex[OBJECT_ID_HEX_SIZE];

    text_print_known("Session", info->name);
    if (info->state == SESSION_TRASHED)
        printf("%-12s #%" PRIu64 "\n", "In the trash", info->head.sid);
    text_print_known("Title", info->meta.name);
    text_print_known("Repository", info->meta.repository);
    text_print_known("Branch", info->meta.branch);
    text_print_known("Directory", info->meta.cwd);
    text_print_known("Git root", info->meta.git_root);
    print_moment("Created", info->created);
    print_moment("Changed", info->head.time);
    if (info->state == SESSION_TRASHED && info->trashed)
        print_moment("Deleted", info->trashed);
    printf("%-12s %s in %" PRIu64 " file%s\n", "Size", text_size(info->head.bytes, text),
           info->head.files, info->head.files == 1 ? "" : "s");
    printf("%-12s %" PRIu64 " (%" PRIu64 " kept)\n", "Version", info->head.version, versions);
    object_id_hex(&info->head.root, hex);
    printf("%-12s %s\n", "Root", hex);
}

static int visit_session(const struct session_info *info, void *arg)
{
    struct show *show = arg;

    if (info->head.sid != show->session.head.sid)
        return 1; /* it was renamed a moment ago */
    show->shown = true;
    if (!show->as_json) {
        print_session(info, show->versions);
        return 1;
    }
    show->json = session_json(info);
    if (!show->json)
        return HF_NOMEM;
    json_object_set_new(show->json, "versions_kept", json_u64(show->versions));
    json_object_set_new(show->json, "lease", json_null());
    return 1;
}

static int visit_lease(const struct lease_info *lease, void *arg)
{
    struct show *show = arg;

    if (lease->sid != show->session.head.sid || lease->state == LEASE_FREE)
        return 0;
    if (show->as_json)
        json_object_set_new(show->json, "lease", lease_json(lease));
    else
        lease_print(lease, clock_realtime(&clock_system));
    return 1;
}

static int visit_version(const struct history_entry *entry, void *arg)
{
    (void)entry;
    ((struct show *)arg)->versions++;
    return 0;
}

/* The one session with this name: everything after its predecessor, and only the first. */
static int find_row(struct show *show, struct hf_error *err)
{
    char glob[2 * SESSION_NAME_MAX + 1];
    struct session_filter filter = {.name_glob = glob, .limit = 1};

    if (show->trash) {
        filter = (struct session_filter){.sid = show->session.head.sid, .trashed = true};
        return store_session_list(show->store, &filter, visit_session, show, err);
    }
    context_glob_of(show->session.name, glob);
    return store_session_list(show->store, &filter, visit_session, show, err);
}

static int show_session(struct show *show, struct hf_error *err)
{
    uint64_t head = show->session.head.version;
    int status;

    status = store_history(show->store, show->session.head.sid, head, 0, visit_version, show, err);
    if (status < 0)
        return status;
    status = find_row(show, err);
    if (status < 0)
        return status;
    if (!show->shown)
        return hf_fail(err, HF_NOENT, "session '%s' went away", show->session.name);
    status = store_lease_list(show->store, visit_lease, show, err);
    if (status < 0)
        return status;
    if (show->as_json && json_print(json_incref(show->json)) != 0)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return 0;
}

static int run(int argc, char **argv)
{
    struct show_options options = {0};
    struct show show = {0};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_session_show, &argc, &argv, &options, &exit_code))
        return exit_code;
    show.as_json = options.json;
    show.trash = options.trash;
    status = context_open_store(options.store, STORE_READ_ONLY, &show.store, &err);
    if (status == 0)
        status = options.trash ? context_find_trashed(show.store, argv[0], &show.session, &err)
                               : context_find_session(show.store, argv[0], &show.session, &err);
    if (status == 0 && show.session.head.sid == SHARED_SID)
        status = hf_fail(&err, HF_INVAL, "the shared tree is no session; see 'session log .'");
    if (status == 0)
        status = show_session(&show, &err);
    json_decref(show.json);
    store_close(show.store);
    return status ? command_fail(&err) : EX_OK;
}
