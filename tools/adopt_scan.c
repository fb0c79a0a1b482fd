/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "adopt.h"
#include "base/htable.h"

#define OPERATION_LOCKS ".session-operation-locks"
#define START_SLACK 2 /* seconds: a process may note its lock in the tick it was started in */

/* --- in use ----------------------------------------------------------------------------------- */

/* Seconds since the epoch at which a process was started; 0 when it cannot be told. */
static time_t process_start(pid_t pid)
{
    char path[64], line[1024];
    unsigned long long ticks = 0;
    struct timespec now, boot;
    const char *after;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return 0;
    if (!fgets(line, sizeof line, file))
        line[0] = '\0';
    fclose(file);
    /* The name in brackets may hold anything; the start is the 20th field after it. */
    after = strrchr(line, ')');
    if (!after || sscanf(after + 1,
                         " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d "
                         "%*d %llu",
                         &ticks) != 1)
        return 0;
    clock_gettime(CLOCK_REALTIME, &now);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return now.tv_sec - boot.tv_sec + (time_t)(ticks / (unsigned long long)sysconf(_SC_CLK_TCK));
}

/* "inuse.<pid>.lock" of a process that lives, and lived when the file was written. */
static bool is_live_claim(int dirfd, const char *name)
{
    struct stat st;
    char end[8];
    int pid;

    if (sscanf(name, "inuse.%d.%7s", &pid, end) != 2 || strcmp(end, "lock") != 0 || pid <= 0)
        return false;
    if (kill((pid_t)pid, 0) != 0 && errno == ESRCH)
        return false;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    return process_start((pid_t)pid) <= st.st_mtim.tv_sec + START_SLACK;
}

/* Whether somebody has a lock on the file, of any kind. */
static bool is_locked(int dirfd, const char *name)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    bool locked;

    if (fd < 0)
        return false;
    locked = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    if (!locked && fcntl(fd, F_OFD_GETLK, &lock) == 0)
        locked = lock.l_type != F_UNLCK;
    close(fd); /* ends our own lock, too */
    return locked;
}

static bool ends_with(const char *name, const char *end)
{
    size_t len = strlen(name), n = strlen(end);

    return len >= n && strcmp(name + len - n, end) == 0;
}

bool adopt_in_use(int sessionfd, char *ret_reason, size_t size)
{
    struct names names = {0};
    bool busy = false;

    if (names_read(sessionfd, &names, NULL) != 0)
        return false;
    for (size_t i = 0; i < names.count && !busy; i++) {
        const char *name = names.names[i];
        if (is_live_claim(sessionfd, name)) {
            snprintf(ret_reason, size, "the process of %s is alive", name);
            busy = true;
        } else if ((ends_with(name, ".lock") || ends_with(name, ".hold") ||
                    ends_with(name, ".db")) &&
                   is_locked(sessionfd, name)) {
            snprintf(ret_reason, size, "%s is locked", name);
            busy = true;
        }
    }
    names_clear(&names);
    return busy;
}

/* --- fingerprints ------------------------------------------------------------------------------ */

static void mix(uint64_t *fingerprint, uint64_t value)
{
    *fingerprint = htable_hash_u64(*fingerprint * 31 + value);
}

static void mix_stat(uint64_t *fingerprint, const char *name, const struct stat *st)
{
    for (const char *c = name; *c; c++)
        mix(fingerprint, (unsigned char)*c);
    mix(fingerprint, st->st_mode);
    mix(fingerprint, (uint64_t)st->st_ino);
    mix(fingerprint, S_ISDIR(st->st_mode) ? 0 : (uint64_t)st->st_size);
    mix(fingerprint, (uint64_t)st->st_mtim.tv_sec);
    mix(fingerprint, (uint64_t)st->st_mtim.tv_nsec);
    mix(fingerprint, (uint64_t)st->st_ctim.tv_sec);
    mix(fingerprint, (uint64_t)st->st_ctim.tv_nsec);
}

static int scan_below(int dirfd, struct adopt_entry *entry, struct hf_error *err);

static int scan_one(int dirfd, const char *name, struct adopt_entry *entry, struct hf_error *err)
{
    struct stat st;
    int fd, status;

    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return hf_fail(err, hf_status_from_errno(errno), "%s: %s", name, strerror(errno));
    mix_stat(&entry->fingerprint, name, &st);
    if (S_ISREG(st.st_mode)) {
        entry->files++;
        entry->bytes += (uint64_t)st.st_size;
    }
    if (!S_ISDIR(st.st_mode))
        return 0;
    fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return hf_fail(err, hf_status_from_errno(errno), "%s: %s", name, strerror(errno));
    status = scan_below(fd, entry, err);
    close(fd);
    return status;
}

static int scan_below(int dirfd, struct adopt_entry *entry, struct hf_error *err)
{
    struct names names = {0};
    int status = names_read(dirfd, &names, err);

    for (size_t i = 0; i < names.count && status == 0; i++)
        status = scan_one(dirfd, names.names[i], entry, err);
    names_clear(&names);
    return status;
}

/* --- the whole tree ---------------------------------------------------------------------------- */

static int check_idle(int dirfd, const char *name, struct hf_error *err)
{
    char reason[NAME_MAX + 64] = "", lock[NAME_MAX + 8];
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    bool busy = false;

    if (fd >= 0) {
        busy = adopt_in_use(fd, reason, sizeof reason);
        close(fd);
    }
    fd = openat(dirfd, OPERATION_LOCKS, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0) {
        snprintf(lock, sizeof lock, "%s.lock", name);
        if (!busy && is_locked(fd, lock)) {
            snprintf(reason, sizeof reason, OPERATION_LOCKS "/%s is locked", lock);
            busy = true;
        }
        close(fd);
    }
    return busy ? hf_fail(err, HF_BUSY, "session '%s' is in use: %s; end its agent first", name,
                          reason)
                : 0;
}

static int scan_entry(int dirfd, const char *name, struct adopt_scan *scan, struct hf_error *err)
{
    struct adopt_entry *entry = &scan->entries[scan->count];
    uint64_t hash = 0;
    struct stat st;
    int status = 0;

    entry->name = strdup(name);
    if (!entry->name)
        return hf_fail(err, HF_NOMEM, "out of memory");
    scan->count++;
    if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return hf_fail(err, hf_status_from_errno(errno), "%s: %s", name, strerror(errno));
    entry->is_session = S_ISDIR(st.st_mode) && name[0] != '.';
    if (entry->is_session)
        status = check_idle(dirfd, name, err);
    if (status == 0)
        status = scan_one(dirfd, name, entry, err);
    for (const char *c = name; *c; c++)
        mix(&hash, (unsigned char)*c);
    snprintf(entry->work, sizeof entry->work, "holdfast-adopt-%016" PRIx64, hash);
    scan->sessions += entry->is_session;
    scan->files += entry->files;
    scan->bytes += entry->bytes;
    return status && status != HF_BUSY ? hf_fail_prefix(err, status, "in '%s'", name) : status;
}

int adopt_scan(int dirfd, struct adopt_scan *ret_scan, struct hf_error *err)
{
    struct adopt_scan scan = {0};
    struct names names = {0};
    int status = names_read(dirfd, &names, err);

    if (status == 0 && names.count > 0 &&
        !(scan.entries = calloc(names.count, sizeof *scan.entries)))
        status = hf_fail(err, HF_NOMEM, "out of memory");
    for (size_t i = 0; i < names.count && status == 0; i++)
        status = scan_entry(dirfd, names.names[i], &scan, err);
    names_clear(&names);
    if (status)
        adopt_scan_clear(&scan);
    else
        *ret_scan = scan;
    return status;
}

void adopt_scan_clear(struct adopt_scan *scan)
{
    for (size_t i = 0; i < scan->count; i++)
        free(scan->entries[i].name);
    free(scan->entries);
    *scan = (struct adopt_scan){0};
}

const char *adopt_scan_difference(const struct adopt_scan *before, const struct adopt_scan *after)
{
    for (size_t i = 0; i < before->count || i < after->count; i++) {
        if (i >= before->count)
            return after->entries[i].name;
        if (i >= after->count || strcmp(before->entries[i].name, after->entries[i].name) != 0 ||
            before->entries[i].fingerprint != after->entries[i].fingerprint)
            return before->entries[i].name;
    }
    return NULL;
}
