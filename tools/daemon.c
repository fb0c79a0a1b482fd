/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include "command.h"

#define LOG_NAME "mount.log"

static int exit_code_of(pid_t child)
{
    int wait_status = 0;

    while (waitpid(child, &wait_status, 0) < 0)
        if (errno != EINTR)
            return EX_OSERR;
    if (WIFEXITED(wait_status))
        return WEXITSTATUS(wait_status) ? WEXITSTATUS(wait_status) : EX_SOFTWARE;
    return command_failf(HF_IO, "the mount daemon was ended by signal %d", WTERMSIG(wait_status));
}

static int wait_for_child(pid_t child, int fd)
{
    char ready;
    ssize_t n;

    do
        n = read(fd, &ready, 1);
    while (n < 0 && errno == EINTR);
    return n == 1 ? EX_OK : exit_code_of(child);
}

/** What the shell left open (the other end of a pipe, say) is not to stay open as long as the mount. */
static void close_others(int kept)
{
    if (kept > STDERR_FILENO + 1)
        close_range(STDERR_FILENO + 1, (unsigned)kept - 1, 0);
    close_range((unsigned)kept + 1, UINT_MAX, 0);
}

bool daemon_start(int *ret_ready_fd, int *ret_exit)
{
    int fds[2];
    pid_t child;

    fflush(NULL);
    if (pipe2(fds, O_CLOEXEC) != 0 || (child = fork()) < 0) {
        *ret_exit = command_failf(HF_AGAIN, "cannot go to the background: %s", strerror(errno));
        return false;
    }
    if (child == 0) {
        close_others(fds[1]);
        setsid();
        *ret_ready_fd = fds[1];
        return true;
    }
    close(fds[1]);
    *ret_exit = wait_for_child(child, fds[0]);
    close(fds[0]);
    return false;
}

/** The log in $XDG_STATE_HOME/holdfast, or -1. */
static int open_log(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char dir[PATH_MAX - sizeof LOG_NAME - 1], path[PATH_MAX];
    int n;

    if (state && *state)
        n = snprintf(dir, sizeof dir, "%s/holdfast", state);
    else if (home && *home)
        n = snprintf(dir, sizeof dir, "%s/.local/state/holdfast", home);
    else
        return -1;
    if (n < 0 || (size_t)n >= sizeof dir)
        return -1;
    for (char *slash = strchr(dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        mkdir(dir, 0700);
        *slash = '/';
    }
    mkdir(dir, 0700);
    snprintf(path, sizeof path, "%s/" LOG_NAME, dir);
    return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

void daemon_ready(int ready_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC), log = open_log();

    if (null >= 0) {
        dup2(null, STDIN_FILENO);
        dup2(null, STDOUT_FILENO);
        dup2(log >= 0 ? log : null, STDERR_FILENO);
        close(null);
    }
    if (log >= 0)
        close(log);
    (void)!chdir("/");
    (void)!write(ready_fd, "", 1);
    close(ready_fd);
}
