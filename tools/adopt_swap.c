/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "adopt.h"

static int fail(const char *what, const char *path, struct hf_error *err)
{
    return hf_fail(err, hf_status_from_errno(errno), "cannot %s %s: %s", what, path,
                   strerror(errno));
}

/* Makes an empty directory beside `dir`, named for the time, with the same owner and mode. */
static int make_beside(const char *dir, const struct stat *st, char aside[PLACE_MAX],
                       struct hf_error *err)
{
    char stamp[32];
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", &tm);
    for (int n = 1; n < 100; n++) {
        char suffix[16] = "";
        if (n > 1)
            snprintf(suffix, sizeof suffix, "-%d", n);
        if (snprintf(aside, PLACE_MAX, "%s.adopted-%s%s", dir, stamp, suffix) >= PLACE_MAX)
            return hf_fail(err, HF_NAMETOOLONG, "the path %s is too long", dir);
        if (mkdir(aside, 0700) == 0) {
            /* Only root can give it away; anybody else owns the original too, or could not read it. */
            if (chown(aside, st->st_uid, st->st_gid) != 0 && geteuid() == 0)
                return fail("give away", aside, err);
            return chmod(aside, st->st_mode & 07777) == 0 ? 0 : fail("set the mode of", aside, err);
        }
        if (errno != EEXIST)
            return fail("make", aside, err);
    }
    return hf_fail(err, HF_EXIST, "too many directories are named %s.adopted-…", dir);
}

/* A swap that is not on the medium yet could be undone by a power cut; nothing would be lost by it. */
static void sync_parent(const char *path)
{
    char copy[PLACE_MAX];
    int fd;

    snprintf(copy, sizeof copy, "%s", path);
    fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    (void)fsync(fd);
    close(fd);
}

int adopt_exchange(const char *a, const char *b, struct hf_error *err)
{
    if (renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) != 0)
        return fail("move aside", a, err);
    return 0;
}

/* For a filesystem that cannot exchange: an empty directory may be replaced, and made anew. */
static int replace(const char *dir, const struct stat *st, const char *aside, struct hf_error *err)
{
    if (rename(dir, aside) != 0)
        return fail("move aside", dir, err);
    if (mkdir(dir, st->st_mode & 07777) != 0)
        return fail("make", dir, err);
    if (chown(dir, st->st_uid, st->st_gid) != 0 && geteuid() == 0)
        return fail("give away", dir, err);
    return 0;
}

int adopt_swap(const char *dir, const struct stat *st, char ret_aside[PLACE_MAX],
               struct hf_error *err)
{
    char aside[PLACE_MAX];
    int status = make_beside(dir, st, aside, err);

    if (status)
        return status;
    status = adopt_exchange(dir, aside, err);
    if (status == HF_INVAL)
        status = replace(dir, st, aside, err);
    if (status) {
        rmdir(aside);
        return status;
    }
    sync_parent(dir);
    memcpy(ret_aside, aside, strlen(aside) + 1);
    return 0;
}
