/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "context.h"
#include "doctor.h"
#include "filesystem.h"
#include "text.h"

#define SPACE_WANTED ((uint64_t)1 << 30)
#define SPACE_NEEDED ((uint64_t)64 << 20)
#define INODES_WANTED 1000
#define CLOCK_SLACK_NS (60LL * 1000000000LL)

static void check_filesystem(struct doctor *doctor, const char *dir, bool on_purpose)
{
    const char *name;
    struct statfs fs;

    if (statfs(dir, &fs) != 0) {
        doctor_report(doctor, DOCTOR_FAILURE, "filesystem", NULL, "cannot look at %s: %s", dir,
                      strerror(errno));
        return;
    }
    switch (filesystem_kind((long)fs.f_type, &name)) {
    case FILESYSTEM_NETWORK:
        doctor_report(doctor, on_purpose ? DOCTOR_WARNING : DOCTOR_FAILURE, "filesystem",
                      "Put the store on a local disk: a database on a network filesystem is\n"
                      "damaged sooner or later. To share sessions, share the store, not its file.",
                      "%s is on %s", dir, name);
        break;
    case FILESYSTEM_FUSE:
        doctor_report(doctor, DOCTOR_WARNING, "filesystem",
                      "Put the store on a local disk unless you know that locks and syncs work.",
                      "%s is on a FUSE filesystem", dir);
        break;
    case FILESYSTEM_VOLATILE:
        doctor_report(doctor, DOCTOR_WARNING, "filesystem",
                      "Put the store on a disk (or a volume) if the sessions shall outlive this "
                      "boot\nor container.",
                      "%s is on %s", dir, name);
        break;
    case FILESYSTEM_LOCAL:
        doctor_report(doctor, DOCTOR_OK, "filesystem", NULL, "%s is on a local filesystem", dir);
    }
}

static void check_space(struct doctor *doctor, const char *dir)
{
    char text[TEXT_SHORT];
    struct statvfs fs;
    uint64_t bytes;

    if (statvfs(dir, &fs) != 0)
        return;
    bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
    doctor_report(doctor,
                  bytes < SPACE_NEEDED   ? DOCTOR_FAILURE
                  : bytes < SPACE_WANTED ? DOCTOR_WARNING
                                         : DOCTOR_OK,
                  "space",
                  bytes < SPACE_WANTED ? "Make room: agents get ENOSPC when it ends." : NULL,
                  "%s free for the store", text_size(bytes, text));
    if (fs.f_files > 0 && fs.f_favail < INODES_WANTED)
        doctor_report(doctor, DOCTOR_WARNING, "space", "Remove files on that filesystem.",
                      "only %" PRIu64 " inodes are free for the store", (uint64_t)fs.f_favail);
}

/* The nearest directory above `path` that exists. */
static void existing_directory(const char *path, char dir[4096])
{
    snprintf(dir, 4096, "%s", path);
    do {
        char copy[4096];
        memcpy(copy, dir, sizeof copy);
        snprintf(dir, 4096, "%s", dirname(copy));
    } while (access(dir, F_OK) != 0 && strcmp(dir, "/") != 0 && strcmp(dir, ".") != 0);
}

static void check_permissions(struct doctor *doctor, const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return;
    if (access(path, R_OK | W_OK) != 0)
        doctor_report(doctor, DOCTOR_FAILURE, "permissions",
                      "Run as the owner of the store, or give yourself read and write permission.",
                      "%s cannot be read and written: %s", path, strerror(errno));
    else if (st.st_uid != geteuid())
        doctor_report(doctor, DOCTOR_WARNING, "permissions",
                      "Run as the owner: files that you make beside it may shut the owner out.",
                      "%s belongs to user %u, not to you", path, (unsigned)st.st_uid);
    else if (st.st_mode & 077)
        doctor_report(doctor, DOCTOR_WARNING, "permissions",
                      "Run 'chmod 600' on it if the sessions are nobody else's business.",
                      "%s is open to other users (mode %03o)", path, (unsigned)st.st_mode & 0777);
    else
        doctor_report(doctor, DOCTOR_OK, "permissions", NULL, "%s is yours alone", path);
}

/* --- inside the store ------------------------------------------------------------------------- */

struct count {
    unsigned total, alive, dead;
};

static int count_session(const struct session_info *info, void *arg)
{
    (void)info;
    ((struct count *)arg)->total++;
    return 0;
}

static int count_host(const struct host_info *info, void *arg)
{
    ((struct count *)arg)->alive += info->alive;
    return 0;
}

static int count_lease(const struct lease_info *info, void *arg)
{
    struct count *count = arg;

    if (info->state == LEASE_FREE)
        return 0;
    count->total++;
    count->dead += !info->holder_alive;
    return 0;
}

static void check_owners(struct doctor *doctor, struct store *store)
{
    struct count hosts = {0}, leases = {0};
    struct hf_error err;

    if (store_host_list(store, count_host, &hosts, &err) != 0 ||
        store_lease_list(store, count_lease, &leases, &err) != 0) {
        doctor_report(doctor, DOCTOR_FAILURE, "leases", "Run 'holdfast fsck'.", "%s", err.message);
        return;
    }
    doctor_report(doctor, leases.dead ? DOCTOR_WARNING : DOCTOR_OK, "leases",
                  leases.dead ? "Nothing to do: the next mount takes them over." : NULL,
                  "mounts: %u alive; sessions: %u held, %u of them by mounts that are gone",
                  hosts.alive, leases.total, leases.dead);
}

static void check_times(struct doctor *doctor, struct store *store)
{
    struct session_filter filter = {.changed_since =
                                        clock_realtime(&clock_system) + CLOCK_SLACK_NS};
    struct count count = {0};
    struct hf_error err;

    if (store_session_list(store, &filter, count_session, &count, &err) == 0 && count.total > 0)
        doctor_report(doctor, DOCTOR_WARNING, "clock",
                      "Set the clock of this host, or of the one that wrote them.",
                      "%u sessions were changed in the future", count.total);
}

/* What it holds; a server tells that to administrators alone. */
static int describe(struct doctor *doctor, struct store *store, const char *url,
                    struct hf_error *err)
{
    struct store_stats stats;
    int status = store_stats(store, &stats, err);

    if (status == 0)
        doctor_report(doctor, DOCTOR_OK, "store", NULL,
                      "%s opens: %" PRIu64 " session%s, %" PRIu64 " object%s", url, stats.sessions,
                      stats.sessions == 1 ? "" : "s", stats.objects, stats.objects == 1 ? "" : "s");
    else if (status == HF_ACCESS)
        doctor_report(doctor, DOCTOR_OK, "store", NULL,
                      "%s opens; what it holds is counted for the role admin only", url);
    return status == HF_ACCESS ? 0 : status;
}

static void check_open(struct doctor *doctor, const char *url)
{
    struct store *store = NULL;
    struct hf_error err;
    int status = store_open(url, 0, NULL, &clock_system, &store, &err);

    if (status == 0)
        status = describe(doctor, store, url, &err);
    if (status == HF_NOENT) {
        doctor_report(doctor, DOCTOR_OK, "store", NULL, "%s does not exist yet; a mount makes it",
                      url);
    } else if (status) {
        doctor_report(doctor, DOCTOR_FAILURE, "store",
                      status == HF_NEWER ? "Install the newer holdfast."
                      : status == HF_CORRUPT
                          ? "Run 'holdfast fsck'; then restore from a backup."
                          : "Check the URL, and that the file is readable and writable for you.",
                      "%s", err.message);
    } else {
        check_owners(doctor, store);
        check_times(doctor, store);
    }
    store_close(store);
}

/* The file of an embedded store, whatever lies over it. False: it is no embedded store. */
static bool file_of_url(const char *url, char path[4096], bool *ret_unsafe)
{
    const char *start = strstr(url, "sqlite:");
    char *options;

    if (!start)
        return false;
    snprintf(path, 4096, "%s", start + strlen("sqlite:"));
    options = strrchr(path, '?');
    *ret_unsafe = options && strstr(options, "unsafe-network=1");
    if (options)
        *options = '\0';
    return true;
}

void doctor_check_store(struct doctor *doctor, const char *url)
{
    char path[4096], dir[4096];
    bool unsafe;

    if (file_of_url(url, path, &unsafe)) {
        existing_directory(path, dir);
        check_filesystem(doctor, dir, unsafe);
        check_space(doctor, dir);
        check_permissions(doctor, path);
        if (access(path, F_OK) != 0 && access(dir, W_OK | X_OK) != 0)
            doctor_report(doctor, DOCTOR_FAILURE, "permissions",
                          "Choose another place with --store, or get permission.",
                          "no store can be made in %s: %s", dir, strerror(errno));
    }
    check_open(doctor, url);
}
