/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast umount`: commits, unmounts, and waits for the daemon to end. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"
#include "place.h"
#include "unmount.h"

#define PATIENCE_MS 3000

/** A handle on the daemon of a mount, or -1 when it cannot be had (another pid namespace). */
static int open_daemon(const char *place)
{
    char text[16] = "";
    ssize_t len = getxattr(place, "user.holdfast.pid", text, sizeof text - 1);
    long pid = len > 0 ? strtol(text, NULL, 10) : 0;

    return pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
}

/** fsync(2) of a mount's top commits everything, and can say that it could not. A mount of another user's is
 *  closed to root, too; its daemon then commits when it ends, as it does in any case. */
static int commit_all(const char *place, struct hf_error *err)
{
    int fd = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC), status = HF_OK;

    if (fd < 0 && errno == EACCES)
        return HF_OK;
    if (fd < 0 || fsync(fd) != 0)
        status = hf_fail(err, hf_status_from_errno(errno),
                         "%s is left mounted, as its changes could not be committed: %s", place,
                         strerror(errno));
    if (fd >= 0)
        close(fd);
    return status;
}

static void wait_for_end(int daemon)
{
    struct pollfd ended = {.fd = daemon, .events = POLLIN};
    int n;

    while ((n = poll(&ended, 1, PATIENCE_MS)) <= 0)
        if (n == 0)
            command_failf(HF_OK, "waiting for the mount daemon to end …");
        else if (errno != EINTR)
            return;
}

static int explain_busy(const char *place, const struct hf_error *err)
{
    BUF_AUTO users = {0};
    int exit_code;

    unmount_users(place, &users);
    if (users.len > 1)
        exit_code = command_failf(HF_BUSY, "%s is in use by %s", place, (const char *)users.data);
    else
        exit_code = command_fail(err);
    fputs("End them first; or 'holdfast umount --lazy' unmounts it when they end.\n", stderr);
    return exit_code;
}

static int unmount_live(const char *place)
{
    int daemon = open_daemon(place), exit_code = EX_OK;
    struct hf_error err = {0};
    int status = commit_all(place, &err);

    if (status == HF_OK)
        status = unmount_place(place, false, &err);
    if (status == HF_BUSY)
        exit_code = explain_busy(place, &err);
    else if (status != HF_OK)
        exit_code = command_fail(&err);
    else if (daemon >= 0)
        wait_for_end(daemon);
    if (daemon >= 0)
        close(daemon);
    return exit_code;
}

/** Asks the daemon nothing, which may not answer. */
static int unmount_lazily(const char *place)
{
    struct hf_error err = {0};

    return unmount_place(place, true, &err) == HF_OK ? EX_OK : command_fail(&err);
}

static int unmount(const char *place, bool lazy)
{
    struct place_mount there;

    if (!place_mount(place, &there))
        return command_failf(HF_NOENT, "nothing is mounted on %s", place);
    if (strcmp(there.type, "fuse.holdfast") != 0)
        return command_failf(HF_USAGE, "%s is a mount of another kind (%s)", place, there.type);
    if (lazy)
        return unmount_lazily(place);
    if (!unmount_is_stale(place))
        return unmount_live(place);
    command_failf(HF_OK, "the daemon of %s is gone already; the mount point becomes free", place);
    return unmount_lazily(place);
}

struct umount_arguments {
    bool lazy;
};

static const struct option_spec specs[] = {{"lazy", 'l', OPTION_FLAG,
                                            offsetof(struct umount_arguments, lazy), NULL,
                                            "take it out of sight now, end it when it is not used"},
                                           {0}};

static int run_umount(int argc, char **argv);
extern const struct command command_umount;

const struct command command_umount = {
    .name = "umount",
    .group = COMMAND_MOUNT,
    .summary = "Commit everything and end a mount",
    .operands = "[MOUNTPOINT]",
    .details = "Returns when everything is committed and the mount's daemon has ended.\n"
               "Without a mount point it is ${COPILOT_HOME:-~/.copilot}/session-state.",
    .options = specs,
    .max_operands = 1,
    .run = run_umount,
};

static int run_umount(int argc, char **argv)
{
    struct umount_arguments args = {0};
    char place[PLACE_MAX];
    struct hf_error err = {0};
    int exit_code;

    if (!options_parse(&command_umount, &argc, &argv, &args, &exit_code))
        return exit_code;
    if (place_of(argc > 0 ? argv[0] : NULL, place, &err) != HF_OK)
        return command_fail(&err);
    return unmount(place, args.lazy);
}
