/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast mount`: mounts the sessions of a store. Also the helper that mount(8) runs for fstab. */
#include <dirent.h>
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/log.h"
#include "command.h"
#include "context.h"
#include "daemon.h"
#include "engine/decorator/trace.h"
#include "file_limit.h"
#include "fuse/mount.h"
#include "identity.h"
#include "monitor.h"
#include "mount_options.h"
#include "notify.h"
#include "place.h"
#include "store/maintenance.h"
#include "unmount.h"

#define WANTED_FILES 20000

/** A mount as it was asked for, and what is opened for it. */
struct mounting {
    const char *url;    /* of the store; NULL: the default one */
    const char *source; /* what mount(8) lists; NULL: the store's URL */
    char place[PLACE_MAX];
    struct mount_options options;
    bool foreground;
    int ready_fd; /* of a daemon */

    struct buf store_url;
    struct store *store;
    struct tree *tree;
    struct fuse_mount *mount;
    struct identity identity;
    struct maintenance *maintenance;
    struct monitor *monitor; /* or NULL */
    atomic_bool ready;       /* the kernel is being answered */
};

/* --- the mount point ------------------------------------------------------------------------------ */

static int make_directories(char *path, struct hf_error *err)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return hf_fail(err, hf_status_from_errno(errno), "cannot make %s: %s", path,
                           strerror(errno));
        if (!slash)
            return HF_OK;
        *slash = '/';
    }
}

static bool is_directory(const char *dir, const struct dirent *entry)
{
    char path[2 * PLACE_MAX];
    struct stat st;

    if (entry->d_type != DT_UNKNOWN)
        return entry->d_type == DT_DIR;
    snprintf(path, sizeof path, "%s/%s", dir, entry->d_name);
    return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/** Sessions that a mount would hide are not for hiding. */
static int check_no_sessions(const char *place, struct hf_error *err)
{
    DIR *dir = opendir(place);
    struct dirent *entry;
    unsigned sessions = 0;

    if (!dir)
        return hf_fail(err, hf_status_from_errno(errno), "cannot read %s: %s", place,
                       strerror(errno));
    while ((entry = readdir(dir)))
        sessions += entry->d_name[0] != '.' && is_directory(place, entry);
    closedir(dir);
    if (sessions)
        return hf_fail(err, HF_NOTEMPTY,
                       "%s has %u session%s of its own, which a mount would hide; 'holdfast adopt' "
                       "takes them into the store first",
                       place, sessions, sessions == 1 ? "" : "s");
    return HF_OK;
}

static int check_not_mounted(const char *place, struct hf_error *err)
{
    struct place_mount there;
    bool ours;

    if (!place_mount(place, &there))
        return HF_OK;
    ours = strcmp(there.type, "fuse.holdfast") == 0;
    if (!unmount_is_stale(place))
        return ours ? hf_fail(err, HF_EXIST, "%s is mounted already, from %s", place, there.source)
                    : HF_OK;
    if (!ours)
        return hf_fail(
            err, HF_BUSY,
            "%s is a dead mount of another program (%s); 'fusermount3 -uz %s' removes it", place,
            there.type, place);
    command_failf(HF_OK, "the daemon of an earlier mount on %s is gone; mounting anew", place);
    return unmount_place(place, true, err);
}

static int prepare_place(char place[PLACE_MAX], struct hf_error *err)
{
    int status = check_not_mounted(place, err);

    if (status == HF_OK)
        status = make_directories(place, err);
    return status == HF_OK ? check_no_sessions(place, err) : status;
}

/* --- opening -------------------------------------------------------------------------------------- */

/** Memory that one thread frees serves the others too: with an arena for each thread, the mount grows to
 *  several times what it uses. Freed memory at the end of the heap goes back to the system. */
static void bound_heap(void)
{
    mallopt(M_ARENA_MAX, 2);
    mallopt(M_MMAP_THRESHOLD, 256 * 1024);
    mallopt(M_TRIM_THRESHOLD, 4 * 1024 * 1024);
}

static int open_store(struct mounting *m, struct hf_error *err)
{
    const struct store_create_options create = {.strict = m->options.strict};
    int status = context_store_url(m->url, !m->options.read_only, &m->store_url, err);
    const char *url = (const char *)m->store_url.data;

    if (status == HF_OK)
        status = store_open(url, m->options.read_only ? 0 : STORE_CREATE, &create, &clock_system,
                            &m->store, err);
    /* Where nothing can be written, a mount that writes nothing cannot hear of others' changes either. */
    if (status != HF_OK && status != HF_NOENT && m->options.read_only && m->store_url.len)
        status = store_open(url, STORE_READ_ONLY, NULL, &clock_system, &m->store, err);
    if (status == HF_OK && m->options.strict &&
        store_info(m->store)->close_durability != DURABILITY_SYNC)
        status = hf_fail(err, HF_USAGE,
                         "the store %s was made without 'strict', which stays as it is: leave the "
                         "option out, or make another store",
                         store_info(m->store)->location);
    return status;
}

/** Each request at work holds a buffer of a MiB: all of them together take an eighth of the memory. */
static unsigned threads_for(size_t memory)
{
    size_t threads = memory / (8U << 20);

    if (memory == 0 || threads > 32)
        return 32;
    return threads < 4 ? 4 : (unsigned)threads;
}

static int open_mount(struct mounting *m, struct hf_error *err)
{
    struct fuse_mount_options options = {.source = m->source ? m->source
                                                             : (const char *)m->store_url.data,
                                         .extra = (const char *)m->options.kernel.data,
                                         .threads = threads_for(m->options.memory)};

    return fuse_mount_new(&options, &m->mount, err);
}

static void report(const char *sentence)
{
    log_warn("%s", sentence);
}

static int open_tree(struct mounting *m, struct hf_error *err)
{
    struct tree_options options = {.memory_limit = m->options.memory,
                                   .wait_ms = m->options.wait_ms,
                                   .commit_delay_ms = m->options.commit_delay_ms,
                                   .claim_patterns = m->options.claims,
                                   .read_only = m->options.read_only,
                                   .root_uid = geteuid(),
                                   .root_gid = getegid(),
                                   .kernel = fuse_mount_kernel(m->mount),
                                   .report = report};
    int status = identity_read(m->place, &m->identity, err);

    if (status != HF_OK)
        return status;
    options.identity = m->identity.host;
    return tree_open(m->store, &options, &m->tree, err);
}

/* --- maintenance ---------------------------------------------------------------------------------- */

static void report_maintenance(bool failed, const char *line, void *arg)
{
    (void)arg;
    log_write(failed ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, "%s", line);
}

/** Of a store of this host's; a server looks after its own. */
static int start_maintenance(struct mounting *m, struct hf_error *err)
{
    const struct maintenance_options options = {.interval_ms = m->options.maintenance_ms,
                                                .identity = &m->identity.host,
                                                .report = report_maintenance};

    if (m->options.no_maintenance || m->options.read_only || tree_is_distant(m->tree))
        return HF_OK;
    return maintenance_start(m->store, &options, &m->maintenance, err);
}

/* --- what is told of it ---------------------------------------------------------------------------- */

static void write_metrics(struct metrics *metrics, void *arg)
{
    struct mounting *m = arg;
    int64_t away = store_away_since(m->store);
    struct tree_stats stats;

    tree_stats(m->tree, &stats);
    metrics_single(metrics, "holdfast_mount_sessions", METRIC_GAUGE, "Sessions in memory.",
                   (double)stats.sessions_loaded);
    metrics_single(metrics, "holdfast_mount_inodes", METRIC_GAUGE, "Inodes in memory.",
                   (double)stats.inodes);
    metrics_single(metrics, "holdfast_mount_commits_total", METRIC_COUNTER,
                   "Versions that this mount has committed.", (double)stats.commits);
    metrics_single(metrics, "holdfast_mount_dirty_bytes", METRIC_GAUGE,
                   "Bytes that were written and are not committed.", (double)stats.dirty_bytes);
    metrics_single(metrics, "holdfast_mount_memory_bytes", METRIC_GAUGE,
                   "Memory of sessions, inodes and unsaved writes.", (double)stats.memory_bytes);
    metrics_single(metrics, "holdfast_mount_cache_hits_total", METRIC_COUNTER,
                   "Objects that were wanted and in memory.", (double)stats.blob_hits);
    metrics_single(metrics, "holdfast_mount_cache_misses_total", METRIC_COUNTER,
                   "Objects that were wanted and not in memory.", (double)stats.blob_misses);
    metrics_single(metrics, "holdfast_mount_store_away_seconds", METRIC_GAUGE,
                   "For how long the store's server has not been reached; 0: it is.",
                   away ? (double)(clock_boottime(&clock_system) - away) / 1e9 : 0);
}

static bool is_ready(char *ret_why, size_t size, void *arg)
{
    struct mounting *m = arg;

    if (!atomic_load(&m->ready))
        snprintf(ret_why, size, "not mounted");
    else if (store_away_since(m->store) != 0)
        snprintf(ret_why, size, "the store's server cannot be reached");
    else
        return true;
    return false;
}

/* Calls of the store are counted from the beginning. */
static int open_monitor(struct mounting *m, struct hf_error *err)
{
    const struct http_answers answers = {write_metrics, is_ready, m};
    int status;

    if (!m->options.metrics)
        return HF_OK;
    status = trace_store_new(m->store, &clock_system, -1, &m->store, err);
    if (status == HF_OK)
        status = monitor_new(&answers, &m->monitor, err);
    if (status == HF_OK)
        /* What is behind a server its own metrics tell. */
        monitor_add(m->monitor, "default", m->store,
                    strncmp((const char *)m->store_url.data, "holdfast:", 9) != 0);
    return status;
}

/* --- serving -------------------------------------------------------------------------------------- */

static void on_ready(void *arg)
{
    struct mounting *m = arg;

    atomic_store(&m->ready, true);
    notify_send("READY=1");
    if (!m->foreground)
        daemon_ready(m->ready_fd);
}

/** The first failure is the one to tell and to exit with. */
static void note_failure(int status, const struct hf_error *err, int *exit_code)
{
    if (status == HF_OK)
        return;
    log_error("%s", err->message);
    if (*exit_code == EX_OK)
        *exit_code = hf_status_exit(status);
}

static int serve(struct mounting *m)
{
    struct hf_error err = {0};
    sigset_t signals;
    int exit_code = EX_OK, status;

    /* Before the store starts threads: the signals are for the mount alone. */
    fuse_mount_signals(&signals);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    file_limit_raise(WANTED_FILES);
    bound_heap();
    status = open_store(m, &err);
    if (status == HF_OK)
        status = open_monitor(m, &err);
    if (status == HF_OK)
        status = open_mount(m, &err);
    if (status == HF_OK)
        status = open_tree(m, &err);
    if (status == HF_OK && m->monitor)
        status = monitor_listen(m->monitor, m->options.metrics, &err);
    if (status == HF_OK)
        status = start_maintenance(m, &err);
    if (status == HF_OK)
        status = fuse_mount_serve(m->mount, m->tree, m->place, on_ready, m, &err);
    note_failure(status, &err, &exit_code);
    notify_send("STOPPING=1");
    atomic_store(&m->ready, false);
    maintenance_stop(m->maintenance);
    monitor_free(m->monitor);
    if (m->tree)
        note_failure(tree_close(m->tree, &err), &err, &exit_code);
    fuse_mount_free(m->mount);
    store_close(m->store);
    return exit_code;
}

static int run(struct mounting *m)
{
    struct hf_error err = {0};
    int exit_code = EX_OK;
    int status = prepare_place(m->place, &err);

    if (status != HF_OK)
        return command_fail(&err);
    if (!m->foreground && !daemon_start(&m->ready_fd, &exit_code))
        return exit_code;
    return serve(m);
}

/* --- the command line ----------------------------------------------------------------------------- */

struct mount_arguments {
    const char *store;
    char *options;
    bool foreground;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct mount_arguments, store),
    {"options", 'o', OPTION_LIST, offsetof(struct mount_arguments, options), "LIST",
     "mount options, separated by commas"},
    {"foreground", 'f', OPTION_FLAG, offsetof(struct mount_arguments, foreground), NULL,
     "stay in the foreground"},
    {0}};

static int run_mount(int argc, char **argv);
extern const struct command command_mount;

const struct command command_mount = {
    .name = "mount",
    .group = COMMAND_MOUNT,
    .summary = "Mount the sessions where the agent looks for them",
    .operands = "[MOUNTPOINT]",
    .details = "The mount point is made when it is missing; without one it is\n"
               "${COPILOT_HOME:-~/.copilot}/session-state. The command returns when the mount\n"
               "answers. 'holdfast umount' ends it.\n\n"
               "Mount options\n"
               "  ro                  change nothing\n"
               "  allow_other         other users may use it, as far as permissions let them\n"
               "  memory=SIZE         of the mount's own, as 64M or 1G (default: 256M)\n"
               "  wait=TIME           how long a change waits for a session that another host\n"
               "                      has pinned, as 500ms or 10s (default: not at all)\n"
               "  claims=PATTERNS     names of claim files, separated by colons (default:\n"
               "                      inuse.*.lock; empty: no claims)\n"
               "  commit_delay=TIME   until changes that no close follows are committed\n"
               "                      (default: 100ms)\n"
               "  maintenance=TIME    how often retention and collection of an embedded store are\n"
               "                      looked after, or off (default: 1h)\n"
               "  metrics=ADDR:PORT   answer /metrics (for Prometheus), /healthz and /readyz\n"
               "                      there, over plain HTTP\n"
               "  strict              a store that is made waits for its medium at every close\n"
               "  suid, dev, noexec … as in mount(8); options for fstab alone are passed over",
    .options = specs,
    .max_operands = 1,
    .run = run_mount,
};

static bool is_helper(const char *program)
{
    const char *slash = strrchr(program, '/');
    const char *name = slash ? slash + 1 : program;

    return strcmp(name, "mount.fuse.holdfast") == 0 || strcmp(name, "mount.holdfast") == 0;
}

/** Names of a file system that stand in fstab's first field where no store is named. */
static bool is_no_url(const char *source)
{
    return strcmp(source, "holdfast") == 0 || strcmp(source, "none") == 0;
}

/** mount(8): PROGRAM SOURCE DIRECTORY [-sfnv] [-N NAMESPACE] [-o OPTIONS] [-t TYPE]. */
static int run_helper(int argc, char **argv)
{
    struct mounting m = {0};
    struct hf_error err = {0};
    int letter, status = HF_OK;

    while ((letter = getopt(argc, argv, "sfnvN:o:t:")) != -1 && status == HF_OK) {
        if (letter == 'f') /* "fake" */
            return EX_OK;
        if (letter == 'o')
            status = mount_options_parse(optarg, &m.options, &err);
        if (letter == '?')
            return EX_USAGE;
    }
    if (status == HF_OK && argc - optind != 2)
        status = hf_fail(&err, HF_USAGE, "usage: %s SOURCE DIRECTORY [-o OPTIONS]", argv[0]);
    if (status == HF_OK)
        status = place_of(argv[optind + 1], m.place, &err);
    if (status == HF_OK) {
        m.source = argv[optind];
        m.url = is_no_url(m.source) ? NULL : m.source;
        status = run(&m);
    } else {
        status = command_fail(&err);
    }
    buf_free(&m.options.kernel);
    buf_free(&m.store_url);
    return status;
}

static int run_mount(int argc, char **argv)
{
    struct mount_arguments args = {0};
    struct mounting m = {0};
    struct hf_error err = {0};
    int exit_code, status = HF_OK;

    if (is_helper(argv[0]))
        return run_helper(argc, argv);
    if (!options_parse(&command_mount, &argc, &argv, &args, &exit_code))
        return exit_code;
    m.url = args.store;
    m.foreground = args.foreground;
    if (args.options)
        status = mount_options_parse(args.options, &m.options, &err);
    if (status == HF_OK)
        status = place_of(argc > 0 ? argv[0] : NULL, m.place, &err);
    exit_code = status == HF_OK ? run(&m) : command_fail(&err);
    buf_free(&m.options.kernel);
    buf_free(&m.store_url);
    free(args.options);
    return exit_code;
}
