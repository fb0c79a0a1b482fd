/* SPDX-License-Identifier: Apache-2.0 */
#include "unmount.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_USERS 10

extern char **environ;

/* --- unmounting ----------------------------------------------------------------------------------- */

static int unmount_as_root(const char *path, bool lazy, struct hf_error *err)
{
    if (umount2(path, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
        return HF_OK;
    return hf_fail(err, hf_status_from_errno(errno), "cannot unmount %s: %s", path,
                   strerror(errno));
}

/** Reads all that a child writes; keeps the first line. */
static void read_first_line(int fd, char *ret_line, size_t size)
{
    size_t len = 0;
    ssize_t n;

    while (len < size - 1 && (n = read(fd, ret_line + len, size - 1 - len)) > 0)
        len += (size_t)n;
    ret_line[len] = '\0';
    ret_line[strcspn(ret_line, "\n")] = '\0';
}

static int run_fusermount(char *const argv[], char *ret_line, size_t size, int *ret_exit)
{
    posix_spawn_file_actions_t actions;
    int fds[2], error, wait_status = 0;
    pid_t child;

    if (pipe2(fds, O_CLOEXEC) != 0)
        return errno;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
    error = posix_spawnp(&child, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (error == 0) {
        read_first_line(fds[0], ret_line, size);
        while (waitpid(child, &wait_status, 0) < 0 && errno == EINTR)
            ;
        *ret_exit = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 1;
    }
    close(fds[0]);
    return error;
}

static int unmount_as_user(const char *path, bool lazy, struct hf_error *err)
{
    char *argv[] = {(char *)"fusermount3", (char *)"-u", lazy ? (char *)"-uz" : (char *)"-u",
                    (char *)"--",          (char *)path, NULL};
    char line[256] = "";
    int exit_code = 0;
    int error = run_fusermount(argv, line, sizeof line, &exit_code);

    if (error)
        return hf_fail(err, HF_UNSUPPORTED, "cannot run fusermount3: %s", strerror(error));
    if (exit_code == 0)
        return HF_OK;
    return hf_fail(err, strstr(line, "busy") ? HF_BUSY : HF_PERM, "cannot unmount %s: %s", path,
                   line);
}

int unmount_place(const char *path, bool lazy, struct hf_error *err)
{
    return geteuid() == 0 ? unmount_as_root(path, lazy, err) : unmount_as_user(path, lazy, err);
}

bool unmount_is_stale(const char *path)
{
    struct statvfs fs;

    /* stat(2) might still be answered from the kernel's cache. */
    return statvfs(path, &fs) != 0 && (errno == ENOTCONN || errno == ECONNABORTED);
}

/* --- who uses it ---------------------------------------------------------------------------------- */

static bool is_on(const char *link, dev_t dev)
{
    struct stat st;

    return stat(link, &st) == 0 && st.st_dev == dev;
}

static bool has_open_file(const char *pid, dev_t dev)
{
    char path[PATH_MAX];
    bool found = false;
    struct dirent *entry;
    DIR *dir;

    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    dir = opendir(path);
    while (dir && !found && (entry = readdir(dir))) {
        snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, entry->d_name);
        found = is_on(path, dev);
    }
    if (dir)
        closedir(dir);
    return found;
}

static bool has_mapped_file(const char *pid, dev_t dev)
{
    char path[64], line[PATH_MAX + 256];
    unsigned major_dev, minor_dev;
    bool found = false;
    FILE *maps;

    snprintf(path, sizeof path, "/proc/%.20s/maps", pid);
    maps = fopen(path, "re");
    while (maps && !found && fgets(line, sizeof line, maps))
        found = sscanf(line, "%*s %*s %*s %x:%x", &major_dev, &minor_dev) == 2 &&
                makedev(major_dev, minor_dev) == dev;
    if (maps)
        fclose(maps);
    return found;
}

static bool uses(const char *pid, dev_t dev)
{
    char cwd[64], root[64];

    snprintf(cwd, sizeof cwd, "/proc/%.20s/cwd", pid);
    snprintf(root, sizeof root, "/proc/%.20s/root", pid);
    return is_on(cwd, dev) || is_on(root, dev) || has_open_file(pid, dev) ||
           has_mapped_file(pid, dev);
}

static void append_process(const char *pid, struct buf *text)
{
    char path[64], name[64] = "?", item[128];
    FILE *comm;

    snprintf(path, sizeof path, "/proc/%.20s/comm", pid);
    comm = fopen(path, "re");
    if (comm && fgets(name, sizeof name, comm))
        name[strcspn(name, "\n")] = '\0';
    if (comm)
        fclose(comm);
    snprintf(item, sizeof item, "%s%s (%.20s)", text->len ? ", " : "", name, pid);
    (void)buf_append(text, item, strlen(item));
}

void unmount_users(const char *path, struct buf *ret_text)
{
    DIR *proc = opendir("/proc");
    struct dirent *entry;
    struct stat st;
    int found = 0;

    while (proc && stat(path, &st) == 0 && found < MAX_USERS && (entry = readdir(proc)))
        if (isdigit((unsigned char)entry->d_name[0]) &&
            strtol(entry->d_name, NULL, 10) != getpid() && uses(entry->d_name, st.st_dev)) {
            append_process(entry->d_name, ret_text);
            found++;
        }
    if (proc)
        closedir(proc);
    (void)buf_append(ret_text, "", 1);
}
