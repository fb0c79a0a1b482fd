/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast adopt`. */
#include "adopt.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"
#include "context.h"
#include "file_limit.h"
#include "identity.h"
#include "text.h"

#define CACHE_BYTES ((size_t)64 << 20)
#define WANTED_FILES 20000 /* one for each level of the deepest path, and the store's */
#define NEVER_MS 86400000  /* commits are asked for, not waited for */

struct adopt_options {
    const char *store;
    bool dry_run;
};

static const struct option_spec specs[] = {OPTION_STORE(struct adopt_options, store),
                                           {"dry-run", 'n', OPTION_FLAG,
                                            offsetof(struct adopt_options, dry_run), NULL,
                                            "only say what would be done"},
                                           {0}};

static int run(int argc, char **argv);

const struct command command_adopt = {
    .name = "adopt",
    .group = COMMAND_MOUNT,
    .summary = "Take a plain directory of sessions into a store",
    .operands = "[DIR]",
    .details = "Copies every session of DIR (default: ${COPILOT_HOME:-~/.copilot}/session-state)\n"
               "into the store, reads everything back and compares it with the originals. Then\n"
               "moves them aside, to DIR.adopted-<time>, and leaves DIR empty as a mount point.\n"
               "Nothing is deleted. Can be run again after it was interrupted, and goes on.\n"
               "Refuses while an agent works on a session, or when the store has another session\n"
               "of the same name.",
    .options = specs,
    .max_operands = 1,
    .run = run,
};

/* One run. */
struct adopt {
    char dir[PLACE_MAX];
    int dirfd;
    struct stat st; /* of dir */
    struct adopt_scan scan;
    struct buf url;
    struct store *reader; /* NULL: there is no store yet (a dry run) */
    struct blob_cache *cache;
    struct progress progress;
    uint64_t present; /* sessions that the store had already */
    bool moved;       /* the originals are not in `dir` any more */
};

/* --- the originals ---------------------------------------------------------------------------- */

static int open_directory(struct adopt *adopt, const char *operand, struct hf_error *err)
{
    struct place_mount mount;
    int status = place_of(operand, adopt->dir, err);

    if (status)
        return status;
    if (place_mount(adopt->dir, &mount))
        return hf_fail(err, HF_INVAL, "%s is a mount point (%s): unmount it first", adopt->dir,
                       mount.type);
    adopt->dirfd = open(adopt->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (adopt->dirfd < 0 || fstat(adopt->dirfd, &adopt->st) != 0)
        return hf_fail(err, hf_status_from_errno(errno), "%s: %s", adopt->dir, strerror(errno));
    if (flock(adopt->dirfd, LOCK_EX | LOCK_NB) != 0)
        return hf_fail(err, HF_BUSY, "another 'holdfast adopt' is at work on %s", adopt->dir);
    status = adopt_scan(adopt->dirfd, &adopt->scan, err);
    return status ? hf_fail_prefix(err, status, "%s", adopt->dir) : 0;
}

/* --- what the store has ------------------------------------------------------------------------ */

static int open_reader(struct adopt *adopt, bool dry_run, struct hf_error *err)
{
    const char *url = (const char *)adopt->url.data;
    int status = store_open(url, dry_run ? STORE_READ_ONLY : STORE_CREATE, NULL, &clock_system,
                            &adopt->reader, err);

    if (status == HF_NOENT && dry_run)
        return 0;
    if (status)
        return status;
    adopt->cache = blob_cache_new(adopt->reader, CACHE_BYTES);
    return adopt->cache ? 0 : hf_fail(err, HF_NOMEM, "out of memory");
}

/* Compares an entry with `path` of the tree under a root; see adopt_compare(). */
static int compare_root(struct adopt *adopt, const struct adopt_entry *entry,
                        const struct object_id *root, const char *path,
                        enum adopt_strictness strictness, char *difference, size_t size,
                        struct hf_error *err)
{
    struct view *view = NULL;
    int status = view_open(adopt->cache, root, &view, err);

    if (status == 0)
        status = adopt_compare(view, path, adopt->dirfd, entry->name, strictness, &adopt->progress,
                               difference, size, err);
    view_free(view);
    return status < 0 ? hf_fail_prefix(err, status, "%s", entry->name) : status;
}

/* 0: the session in the store is the same. 1: it differs. HF_NOENT: there is none. */
static int compare_session(struct adopt *adopt, const struct adopt_entry *entry, const char *name,
                           char *difference, size_t size, struct hf_error *err)
{
    struct session_head head;
    int status = store_session_find(adopt->reader, name, &head, err);

    if (status)
        return status;
    status = compare_root(adopt, entry, &head.root, "", ADOPT_SAME, difference, size, err);
    /* An object that is not there is no session that is not there. */
    return status == HF_NOENT ? HF_MISSING : status;
}

static int compare_shared(struct adopt *adopt, const struct adopt_entry *entry,
                          enum adopt_strictness strictness, char *difference, size_t size,
                          struct hf_error *err)
{
    struct session_head head;
    int status = store_session_head(adopt->reader, SHARED_SID, &head, err);

    if (status)
        return status;
    if (head.version == 0) {
        snprintf(difference, size, "it is not in the store");
        return strictness == ADOPT_INCLUDED;
    }
    return compare_root(adopt, entry, &head.root, entry->name, strictness, difference, size, err);
}

/* 0, or 1 when the store has something else of that name. */
static int check_entry(struct adopt *adopt, struct adopt_entry *entry, struct hf_error *err)
{
    char difference[512] = "";
    int status;

    if (!entry->is_session) {
        status = compare_shared(adopt, entry, ADOPT_INCLUDED, difference, sizeof difference, err);
        entry->present = status == 0;
        if (status == 1)
            status =
                compare_shared(adopt, entry, ADOPT_CONTENT, difference, sizeof difference, err);
        if (status == 1)
            command_failf(HF_EXIST, "the store has another '%s': %s", entry->name, difference);
        return status;
    }
    status = compare_session(adopt, entry, entry->name, difference, sizeof difference, err);
    if (status == 1)
        command_failf(HF_EXIST, "the store has another session '%s': %s", entry->name, difference);
    entry->present = status == 0;
    if (status == 0)
        adopt->present++;
    if (status != HF_NOENT)
        return status;
    status = compare_session(adopt, entry, entry->work, difference, sizeof difference, err);
    entry->copied = status == 0;
    return status == HF_NOENT || status == 1 ? 0 : status;
}

static int check_store(struct adopt *adopt, struct hf_error *err)
{
    unsigned conflicts = 0;
    int status = 0;

    if (!adopt->reader)
        return 0;
    progress_start(&adopt->progress, "Comparing with the store", "entries", adopt->scan.count,
                   adopt->scan.bytes);
    for (size_t i = 0; i < adopt->scan.count && status >= 0; i++) {
        status = check_entry(adopt, &adopt->scan.entries[i], err);
        conflicts += status == 1;
        progress_add(&adopt->progress, 1, 0);
    }
    progress_end(&adopt->progress);
    if (status < 0)
        return status;
    return conflicts
               ? hf_fail(err, HF_EXIST,
                         "%u names are taken: rename or move them out of %s, and run it again",
                         conflicts, adopt->dir)
               : 0;
}

/* --- the trash -------------------------------------------------------------------------------- */

/* Moves a session that an adoption made to the trash, by a host session of its own. */
static int trash_session(struct adopt *adopt, const char *name, struct hf_error *err)
{
    struct store *store = NULL;
    struct session_head head;
    struct identity who;
    struct lease lease;
    uint64_t host;
    int status = identity_read(adopt->dir, &who, err);

    if (status == 0)
        status = store_open((const char *)adopt->url.data, 0, NULL, &clock_system, &store, err);
    if (status == 0)
        status = store_session_find(store, name, &head, err);
    if (status == 0)
        status = store_host_register(store, &who.host, NULL, &host, err);
    if (status == 0)
        status = store_lease_acquire(store, host, head.sid, 0, &lease, err);
    if (status == 0)
        status = store_session_delete(store, host, head.sid, lease.token, err);
    store_close(store);
    return status;
}

/* Copies that an earlier run did not finish. */
static int trash_leftovers(struct adopt *adopt, struct hf_error *err)
{
    for (size_t i = 0; i < adopt->scan.count; i++) {
        const struct adopt_entry *entry = &adopt->scan.entries[i];
        int status;
        if (!entry->is_session || entry->copied)
            continue;
        status = trash_session(adopt, entry->work, err);
        if (status && status != HF_NOENT)
            return status;
    }
    return 0;
}

/* --- copying ---------------------------------------------------------------------------------- */

static int copy_session(struct adopt *adopt, struct adopt_copy *copy, struct tree *tree,
                        const struct adopt_entry *entry, struct hf_error *err)
{
    char difference[512] = "";
    int status = adopt_copy_session(copy, adopt->dirfd, entry->name, entry->work, err);

    if (status == 0)
        status = tree_commit_all(tree, false, err);
    if (status)
        return status;
    status = compare_session(adopt, entry, entry->work, difference, sizeof difference, err);
    return status == 1
               ? hf_fail(err, HF_CORRUPT, "session '%s' did not arrive in the store as it is: %s",
                         entry->name, difference)
               : status;
}

static int copy_shared(struct adopt *adopt, struct adopt_copy *copy, struct tree *tree,
                       const struct adopt_entry *entry, struct hf_error *err)
{
    char difference[512] = "";
    int status = adopt_copy_shared(copy, adopt->dirfd, entry->name, err);

    if (status == 0)
        status = tree_commit_all(tree, false, err);
    if (status)
        return status;
    status = compare_shared(adopt, entry, ADOPT_INCLUDED, difference, sizeof difference, err);
    return status == 1 ? hf_fail(err, HF_CORRUPT, "'%s' did not arrive in the store as it is: %s",
                                 entry->name, difference)
                       : status;
}

static int copy_entries(struct adopt *adopt, struct tree *tree, struct hf_error *err)
{
    struct adopt_copy *copy = adopt_copy_new(tree, &adopt->progress);
    int status = 0;

    if (!copy)
        return hf_fail(err, HF_NOMEM, "out of memory");
    progress_start(&adopt->progress, "Copying and reading back", "entries", adopt->scan.count,
                   2 * adopt->scan.bytes);
    for (size_t i = 0; i < adopt->scan.count && status == 0; i++) {
        const struct adopt_entry *entry = &adopt->scan.entries[i];
        if (entry->present || entry->copied)
            progress_add(&adopt->progress, 1, 2 * entry->bytes);
        else if (entry->is_session)
            status = copy_session(adopt, copy, tree, entry, err);
        else
            status = copy_shared(adopt, copy, tree, entry, err);
        progress_add(&adopt->progress, 1, 0);
    }
    progress_end(&adopt->progress);
    adopt_copy_free(copy);
    return status;
}

/* Looks at the originals once more: HF_BUSY, and the name, when they are not what was copied. */
static int check_unchanged(struct adopt *adopt, struct adopt_scan *ret_scan, struct hf_error *err)
{
    struct adopt_scan scan;
    const char *changed;
    int status = adopt_scan(adopt->dirfd, &scan, err);

    if (status)
        return status;
    changed = adopt_scan_difference(&adopt->scan, &scan);
    if (changed)
        status = hf_fail(err, HF_BUSY,
                         "'%s' was changed meanwhile: end its agent, and run it again", changed);
    if (ret_scan)
        *ret_scan = scan;
    else
        adopt_scan_clear(&scan);
    return status;
}

static int rename_sessions(struct adopt *adopt, struct tree *tree, struct hf_error *err)
{
    const struct tree_caller caller = {.uid = geteuid(), .gid = getegid(), .pid = getpid()};

    for (size_t i = 0; i < adopt->scan.count; i++) {
        struct adopt_entry *entry = &adopt->scan.entries[i];
        int status;
        if (!entry->is_session || entry->present)
            continue;
        status = tree_rename(tree, &caller, TREE_ROOT, entry->work, TREE_ROOT, entry->name,
                             RENAME_NOREPLACE);
        if (status)
            return hf_fail(err, status, "cannot name session '%s' in the store: %s", entry->name,
                           hf_status_text(status));
        entry->renamed = true;
    }
    return 0;
}

/* The top directory of a new store is like the one that it comes after. */
static int copy_top_mode(struct adopt *adopt, struct tree *tree, struct hf_error *err)
{
    const struct tree_caller caller = {.uid = geteuid(), .gid = getegid(), .pid = getpid()};
    struct session_head head;
    struct tree_entry entry = {0};
    int status = store_session_head(adopt->reader, SHARED_SID, &head, err);

    if (status || head.version > 0)
        return status;
    status = tree_setattr(tree, &caller, TREE_ROOT, NULL, &adopt->st, TREE_SET_MODE, &entry);
    return status ? hf_fail(err, status, "cannot set the mode of the top directory: %s",
                            hf_status_text(status))
                  : 0;
}

static int fill_store(struct adopt *adopt, struct store *store, struct hf_error *err)
{
    struct tree_options options = {.commit_delay_ms = NEVER_MS,
                                   .claim_patterns = "",
                                   .root_uid = adopt->st.st_uid,
                                   .root_gid = adopt->st.st_gid};
    struct tree *tree = NULL;
    struct identity who;
    struct hf_error late;
    int status = identity_read(adopt->dir, &who, err), closed;

    if (status)
        return status;
    options.identity = who.host;
    status = tree_open(store, &options, &tree, err);
    if (status)
        return status;
    status = copy_top_mode(adopt, tree, err);
    if (status == 0)
        status = copy_entries(adopt, tree, err);
    if (status == 0)
        status = check_unchanged(adopt, NULL, err);
    if (status == 0)
        status = rename_sessions(adopt, tree, err);
    closed = tree_close(tree, status ? &late : err);
    if (status == 0)
        status = closed;
    return status ? status : store_sync(store, err);
}

static int copy_all(struct adopt *adopt, struct hf_error *err)
{
    struct store *store = NULL;
    int status = trash_leftovers(adopt, err);

    if (status == 0)
        status = store_open((const char *)adopt->url.data, 0, NULL, &clock_system, &store, err);
    if (status == 0)
        status = fill_store(adopt, store, err);
    store_close(store);
    return status;
}

/* --- giving way ------------------------------------------------------------------------------- */

/* Sessions that were changed between the copy and the swap are taken back out of the store. */
static void retract_changed(struct adopt *adopt, const struct adopt_scan *now)
{
    struct hf_error err;

    for (size_t i = 0; i < adopt->scan.count; i++) {
        const struct adopt_entry *entry = &adopt->scan.entries[i];
        bool same = false;
        for (size_t j = 0; j < now->count && !same; j++)
            same = strcmp(entry->name, now->entries[j].name) == 0 &&
                   entry->fingerprint == now->entries[j].fingerprint;
        if (!same && entry->renamed && trash_session(adopt, entry->name, &err) != 0)
            command_fail(&err);
    }
}

static int give_way(struct adopt *adopt, char aside[PLACE_MAX], struct hf_error *err)
{
    struct adopt_scan now = {0};
    struct hf_error second;
    int status = adopt_swap(adopt->dir, &adopt->st, aside, err);

    if (status)
        return status;
    adopt->moved = true;
    /* An agent that had a file open could still write to it; whoever comes now finds DIR empty. */
    status = check_unchanged(adopt, &now, err);
    if (status == 0)
        goto out;
    if (adopt_exchange(adopt->dir, aside, &second) == 0) {
        rmdir(aside);
        adopt->moved = false;
        retract_changed(adopt, &now);
    } else {
        command_fail(&second);
        hf_fail_prefix(err, status, "the originals are in %s", aside);
    }
out:
    adopt_scan_clear(&now);
    return status;
}

/* --- the command ------------------------------------------------------------------------------ */

static void print_plan(const struct adopt *adopt)
{
    uint64_t n = adopt->scan.sessions - adopt->present;
    char text[TEXT_SHORT];

    for (size_t i = 0; i < adopt->scan.count; i++) {
        const struct adopt_entry *entry = &adopt->scan.entries[i];
        char *name = text_printable(entry->name, strlen(entry->name));
        printf("%-9s %10s  %s%s\n", entry->present ? "present" : "copy",
               text_size(entry->bytes, text), name ? name : "?",
               entry->is_session ? "" : "  (shared)");
        free(name);
    }
    printf("\nWould copy %" PRIu64 " session%s into %s and move the originals to\n"
           "%s.adopted-<time>. Nothing was changed.\n",
           n, n == 1 ? "" : "s", (const char *)adopt->url.data, adopt->dir);
}

static void print_summary(const struct adopt *adopt, const char *aside)
{
    char text[TEXT_SHORT];

    printf("Adopted %" PRIu64 " session%s (%" PRIu64 " file%s, %s) into\n  %s\n"
           "Every byte was read back from the store and compared.\n",
           adopt->scan.sessions, adopt->scan.sessions == 1 ? "" : "s", adopt->scan.files,
           adopt->scan.files == 1 ? "" : "s", text_size(adopt->scan.bytes, text),
           (const char *)adopt->url.data);
    if (adopt->present)
        printf("%" PRIu64 " of them were in the store already.\n", adopt->present);
    printf("The originals are in\n  %s\n"
           "%s is empty now: 'holdfast mount' mounts the store there.\n",
           aside, adopt->dir);
}

static int adopt_directory(struct adopt *adopt, const struct adopt_options *options,
                           struct hf_error *err)
{
    char aside[PLACE_MAX];
    int status = context_store_url(options->store, !options->dry_run, &adopt->url, err);

    if (status == 0)
        status = open_reader(adopt, options->dry_run, err);
    if (status == 0)
        status = check_store(adopt, err);
    if (status)
        return status;
    if (options->dry_run) {
        print_plan(adopt);
        return 0;
    }
    status = copy_all(adopt, err);
    if (status == 0)
        status = give_way(adopt, aside, err);
    if (status == 0)
        print_summary(adopt, aside);
    return status;
}

static void adopt_clear(struct adopt *adopt)
{
    adopt_scan_clear(&adopt->scan);
    blob_cache_free(adopt->cache);
    store_close(adopt->reader);
    buf_free(&adopt->url);
    if (adopt->dirfd >= 0)
        close(adopt->dirfd);
}

static int run(int argc, char **argv)
{
    struct adopt_options options = {0};
    struct adopt adopt = {.dirfd = -1};
    struct hf_error err;
    int exit_code, status;
    bool in_place;

    if (!options_parse(&command_adopt, &argc, &argv, &options, &exit_code))
        return exit_code;
    file_limit_raise(WANTED_FILES);
    status = open_directory(&adopt, argc > 0 ? argv[0] : NULL, &err);
    if (status == HF_NOENT && argc == 0) {
        printf("There is nothing to adopt: %s does not exist.\n", adopt.dir);
        status = 0;
    } else if (status == 0 && adopt.scan.count == 0) {
        printf("There is nothing to adopt: %s is empty.\n", adopt.dir);
    } else if (status == 0) {
        status = adopt_directory(&adopt, &options, &err);
    }
    in_place = adopt.scan.count > 0 && !adopt.moved;
    adopt_clear(&adopt);
    if (status == 0)
        return EX_OK;
    exit_code = command_fail(&err);
    if (in_place)
        fputs("Nothing was moved: the originals are where they were.\n", stderr);
    return exit_code;
}
