/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/** How long a mount may take to come or to go. */
#define PATIENCE_MS 30000

const char *daemon_obstacle(void)
{
    if (access("/dev/fuse", R_OK | W_OK) != 0)
        return "/dev/fuse cannot be opened";
    return NULL;
}

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

bool daemon_prepare(struct daemon *daemon, const char *parent)
{
    if (!parent)
        parent = getenv("TMPDIR");
    *daemon = (struct daemon){0};
    snprintf(daemon->dir, sizeof daemon->dir, "%s/holdfast-crash-XXXXXX", parent ? parent : "/tmp");
    if (!mkdtemp(daemon->dir))
        return false;
    snprintf(daemon->mountpoint, sizeof daemon->mountpoint, "%s/mnt", daemon->dir);
    snprintf(daemon->store, sizeof daemon->store, "%s/store.db", daemon->dir);
    snprintf(daemon->log, sizeof daemon->log, "%s/log", daemon->dir);
    return mkdir(daemon->mountpoint, 0700) == 0;
}

/** Starts the program with its output in the log. */
static pid_t spawn(const struct daemon *daemon, const char *const argv[])
{
    pid_t pid = fork();

    if (pid == 0) {
        int log = open(daemon->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

        dup2(log, STDOUT_FILENO);
        dup2(log, STDERR_FILENO);
        execv(HOLDFAST_BIN, (char *const *)argv);
        _exit(127);
    }
    return pid;
}

/** Whether another file system than the parent folder's answers at the mount point. */
static bool is_mounted(const struct daemon *daemon)
{
    struct stat above, st;

    return stat(daemon->dir, &above) == 0 && stat(daemon->mountpoint, &st) == 0 &&
           st.st_dev != above.st_dev;
}

bool daemon_start(struct daemon *daemon)
{
    char url[sizeof daemon->decorators + sizeof daemon->url];
    const char *const argv[] = {"holdfast",         "mount", "-f", "--store", url,
                                daemon->mountpoint, NULL};
    int status;

    if (daemon->url[0])
        snprintf(url, sizeof url, "%s%s", daemon->decorators, daemon->url);
    else
        snprintf(url, sizeof url, "%ssqlite:%s", daemon->decorators, daemon->store);
    daemon->pid = spawn(daemon, argv);
    for (int ms = 0; daemon->pid > 0 && ms < PATIENCE_MS; ms += 2) {
        if (is_mounted(daemon))
            return true;
        if (waitpid(daemon->pid, &status, WNOHANG) == daemon->pid) {
            daemon->pid = 0;
            daemon->exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
            break;
        }
        pause_ms(2);
    }
    return false;
}

static void unmount(const struct daemon *daemon)
{
    char command[400];

    if (umount2(daemon->mountpoint, MNT_DETACH) == 0 || errno == EINVAL)
        return;
    snprintf(command, sizeof command, "fusermount3 -quz '%s'", daemon->mountpoint);
    if (system(command) != 0)
        return;
}

void daemon_kill(struct daemon *daemon)
{
    int status;

    if (daemon->pid <= 0)
        return;
    kill(daemon->pid, SIGKILL);
    waitpid(daemon->pid, &status, 0);
    daemon->pid = 0;
    unmount(daemon);
}

bool daemon_stop(struct daemon *daemon)
{
    int status = 0;

    if (daemon->pid <= 0)
        return false;
    kill(daemon->pid, SIGTERM);
    for (int ms = 0; ms < PATIENCE_MS; ms += 2) {
        if (waitpid(daemon->pid, &status, WNOHANG) == daemon->pid) {
            daemon->pid = 0;
            return WIFEXITED(status) && WEXITSTATUS(status) == 0 && !is_mounted(daemon);
        }
        pause_ms(2);
    }
    printf("the mount did not end\n");
    daemon_kill(daemon);
    return false;
}

bool daemon_check_store(struct daemon *daemon)
{
    char url[300];
    const char *const argv[] = {"holdfast", "fsck", "--store", url, NULL};
    int status = -1;
    pid_t pid;

    snprintf(url, sizeof url, "sqlite:%s", daemon->store);
    pid = spawn(daemon, argv);
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
           WEXITSTATUS(status) == 0;
}

void daemon_forget_store(struct daemon *daemon)
{
    static const char *const tails[] = {"", "-wal", "-shm", "-bell", "-journal"};
    char path[300];

    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        snprintf(path, sizeof path, "%s%s", daemon->store, tails[i]);
        unlink(path);
    }
}

bool daemon_has_logged(const struct daemon *daemon, const char *text)
{
    FILE *log = fopen(daemon->log, "r");
    char line[1000];
    bool found = false;

    while (log && !found && fgets(line, sizeof line, log))
        found = strstr(line, text) != NULL;
    if (log)
        fclose(log);
    return found;
}

void daemon_print_log(const struct daemon *daemon)
{
    FILE *log = fopen(daemon->log, "r");
    char line[1000];

    printf("--- what the mount printed:\n");
    while (log && fgets(line, sizeof line, log))
        fputs(line, stdout);
    if (log)
        fclose(log);
    fflush(stdout);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void daemon_remove(struct daemon *daemon)
{
    daemon_kill(daemon);
    if (getenv("HOLDFAST_KEEP"))
        printf("kept %s\n", daemon->dir);
    else
        nftw(daemon->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
