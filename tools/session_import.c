/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session import`. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sysexits.h>
#include <unistd.h>

#include "archive_in.h"
#include "client_version.h"
#include "command.h"
#include "context.h"
#include "json.h"
#include "presence.h"
#include "store/name.h"
#include "text.h"
#include "tree/session_id.h"

#define CACHE_BYTES ((size_t)32 << 20)

struct import_options {
    const char *store, *rename;
    bool dry_run, force, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct import_options, store),
    {"rename", 0, OPTION_STRING, offsetof(struct import_options, rename), "NAME",
     "the name of the new session (default: its old one)"},
    {"dry-run", 'n', OPTION_FLAG, offsetof(struct import_options, dry_run), NULL,
     "check the archive, and change nothing"},
    {"force", 'f', OPTION_FLAG, offsetof(struct import_options, force), NULL,
     "try even when there seems to be too little room"},
    {"json", 0, OPTION_FLAG, offsetof(struct import_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_import = {
    .name = "session import",
    .group = COMMAND_SESSION,
    .summary = "Make a session from an archive",
    .operands = "FILE",
    .details = "Takes what 'holdfast session export' wrote ('-': from standard input). The whole\n"
               "archive is checked first; then the session is there at once and whole, or not at\n"
               "all. A session that is there is never overwritten: --rename gives another name.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

/* One import. */
struct importing {
    const struct import_options *options;
    int fd;
    struct manifest manifest;
    struct store *store;
    struct blob_cache *cache;
    const char *name;
    struct session_id_report named; /* with --rename */
};

/* --- checks ---------------------------------------------------------------------------------------------- */

static int open_archive(const char *file, int *ret_fd, struct hf_error *err)
{
    bool standard = strcmp(file, "-") == 0;
    int fd = standard ? STDIN_FILENO : open(file, O_RDONLY | O_CLOEXEC), seekable;

    if (fd < 0)
        return hf_fail(err, hf_status_from_errno(errno), "cannot open %s: %s", file,
                       strerror(errno));
    seekable = archive_in_seekable(fd, err);
    if (!standard)
        close(fd);
    if (seekable < 0)
        return seekable;
    *ret_fd = seekable;
    return HF_OK;
}

static int check_name(struct importing *importing, struct hf_error *err)
{
    struct session_head head;
    int rc;

    importing->name =
        importing->options->rename ? importing->options->rename : importing->manifest.session;
    rc = session_name_check(importing->name, err);
    if (rc == HF_OK)
        rc = store_session_find(importing->store, importing->name, &head, err);
    if (rc == HF_OK)
        return hf_fail(err, HF_EXIST,
                       "there is a session %s already, and it is not overwritten: --rename gives "
                       "the new one another name",
                       importing->name);
    return rc == HF_NOENT ? HF_OK : rc;
}

/* What the store has already needs no room, but how much that is only the import itself finds out. */
static int check_room(const struct importing *importing, struct hf_error *err)
{
    const char *location = store_info(importing->store)->location;
    char path[sizeof(((struct store_info *)0)->location)], need[TEXT_SHORT], have[TEXT_SHORT];
    struct statvfs room;
    uint64_t available;

    if (importing->options->force || strncmp(location, "sqlite:", 7) != 0)
        return HF_OK;
    snprintf(path, sizeof path, "%.*s", (int)strcspn(location + 7, "?"), location + 7);
    if (statvfs(path, &room) != 0)
        return HF_OK;
    available = (uint64_t)room.f_bavail * room.f_frsize;
    if (importing->manifest.bytes <= available)
        return HF_OK;
    return hf_fail(err, HF_NOSPC,
                   "the session has %s, and where the store is there is room for %s; --force tries "
                   "all the same: what the store has already needs no room",
                   text_size(importing->manifest.bytes, need), text_size(available, have));
}

static void warn_of_version(const struct importing *importing)
{
    const char *theirs = importing->manifest.client_version;
    char *ours = client_version_newest(importing->store, importing->cache);

    if (theirs && ours && strcmp(theirs, ours) != 0)
        fprintf(
            stderr,
            "holdfast: the session is one of client version %s, and the newest session here one "
            "of %s: that client may not resume it\n",
            theirs, ours);
    free(ours);
}

/* A file that names the session in another way than expected is left as it is. */
static void warn_of_names(const struct importing *importing)
{
    static const char *const files[] = {SESSION_ID_WORKSPACE, SESSION_ID_EVENTS};
    const enum session_id_place places[] = {importing->named.workspace, importing->named.events};

    for (size_t i = 0; i < 2; i++)
        if (places[i] == SESSION_ID_ODD)
            fprintf(
                stderr,
                "holdfast: %s does not say the session's id where it should: it stays as it is\n",
                files[i]);
}

/* --- importing --------------------------------------------------------------------------------------------- */

static int build_session(struct importing *importing, struct build *build, uint64_t host,
                         struct lease *ret_lease, struct hf_error *err)
{
    struct commit commit = {.durability = DURABILITY_SYNC};
    int64_t now = clock_realtime(&clock_system);
    int rc =
        archive_in_build(importing->fd, &importing->manifest, build, getuid(), getgid(), now, err);

    if (rc == HF_OK && importing->options->rename)
        rc = session_id_rewrite(build, importing->name, now, &importing->named, err);
    if (rc == HF_OK)
        rc = build_finish(build, &commit, err);
    if (rc == HF_OK)
        rc = store_session_create(importing->store, host, importing->name, &commit, ret_lease, err);
    return rc;
}

static int import(struct importing *importing, struct hf_error *err)
{
    const struct build_attr top = {.mode = S_IFDIR | importing->manifest.mode,
                                   .uid = getuid(),
                                   .gid = getgid(),
                                   .atime = importing->manifest.mtime,
                                   .mtime = importing->manifest.mtime,
                                   .ctime = clock_realtime(&clock_system)};
    struct presence *presence = NULL;
    struct build *build = NULL;
    struct lease lease;
    int rc = presence_begin(importing->store, "holdfast session import", &presence, err);

    if (rc == HF_OK)
        rc = build_open(importing->cache, presence_host(presence), NULL, &top, &build, err);
    if (rc == HF_OK)
        rc = build_session(importing, build, presence_host(presence), &lease, err);
    if (rc == HF_OK)
        rc = presence_release(presence, &lease, err);
    build_free(build);
    presence_end(presence);
    return rc;
}

static int print_done(const struct importing *importing)
{
    const struct manifest *manifest = &importing->manifest;
    char size[TEXT_SHORT];
    json_t *object;

    if (!importing->options->json) {
        text_line(stdout, "%s %s: %zu files, %s, from version %" PRIu64 " of %s",
                  importing->options->dry_run ? "Would import" : "Imported", importing->name,
                  manifest->count, text_size(manifest->bytes, size), manifest->version,
                  manifest->session);
        return HF_OK;
    }
    object = json_object();
    json_set_name(object, "session", importing->name);
    json_set_name(object, "from", manifest->session);
    json_object_set_new(object, "version", json_u64(manifest->version));
    json_object_set_new(object, "client_version",
                        manifest->client_version ? json_string(manifest->client_version)
                                                 : json_null());
    json_object_set_new(object, "files", json_u64(manifest->count));
    json_object_set_new(object, "bytes", json_u64(manifest->bytes));
    json_object_set_new(object, "redacted", json_u64(manifest->redacted));
    json_object_set_new(object, "imported", json_boolean(!importing->options->dry_run));
    return json_print(object);
}

static int run_import(struct importing *importing, const char *file, struct hf_error *err)
{
    const struct import_options *options = importing->options;
    int rc = open_archive(file, &importing->fd, err);

    if (rc == HF_OK)
        rc = archive_in_check(importing->fd, &importing->manifest, err);
    if (rc == HF_OK)
        rc = context_open_store(options->store, options->dry_run ? STORE_READ_ONLY : STORE_CREATE,
                                &importing->store, err);
    if (rc == HF_OK && !(importing->cache = blob_cache_new(importing->store, CACHE_BYTES)))
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    if (rc == HF_OK)
        rc = check_name(importing, err);
    if (rc == HF_OK)
        rc = check_room(importing, err);
    if (rc != HF_OK)
        return rc;
    warn_of_version(importing);
    rc = options->dry_run ? HF_OK : import(importing, err);
    if (rc == HF_OK)
        warn_of_names(importing);
    return rc == HF_OK ? print_done(importing) : rc;
}

static int run(int argc, char **argv)
{
    struct import_options options = {0};
    struct importing importing = {.options = &options, .fd = -1};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_session_import, &argc, &argv, &options, &exit_code))
        return exit_code;
    setlocale(LC_CTYPE, "C.UTF-8"); /* names in an archive are UTF-8, whatever the terminal's are */
    status = run_import(&importing, argv[0], &err);
    blob_cache_free(importing.cache);
    store_close(importing.store);
    manifest_free(&importing.manifest);
    if (importing.fd >= 0)
        close(importing.fd);
    return status ? command_fail(&err) : EX_OK;
}
