/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "doctor.h"
#include "place.h"

#define ANSWER_SECONDS 5
#define EXIT_ANSWERS 0

/* Asks the mount in a child, which a dead mount may keep for ever. Returns 0, an errno, or ETIMEDOUT. */
static int ask(const char *path)
{
    struct timespec pause = {.tv_nsec = 10000000};
    int wait_status = 0;
    pid_t pid = fork();

    if (pid < 0)
        return errno;
    if (pid == 0) {
        struct statvfs fs;
        struct stat st;
        _exit(stat(path, &st) != 0 || statvfs(path, &fs) != 0 ? errno : EXIT_ANSWERS);
    }
    for (int i = 0; i < ANSWER_SECONDS * 100; i++) {
        if (waitpid(pid, &wait_status, WNOHANG) == pid)
            return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : EIO;
        nanosleep(&pause, NULL);
    }
    kill(pid, SIGKILL);
    waitpid(pid, &wait_status, WNOHANG);
    return ETIMEDOUT;
}

static void check_answer(struct doctor *doctor, const char *path, const struct place_mount *mount)
{
    int error = ask(path);

    if (error == 0)
        doctor_report(doctor, DOCTOR_OK, "mount", NULL, "%s is mounted from %s, and answers", path,
                      mount->source);
    else if (error == ENOTCONN || error == ECONNABORTED)
        doctor_report(doctor, DOCTOR_FAILURE, "mount",
                      "Run 'holdfast umount', then 'holdfast mount': nothing that was\n"
                      "acknowledged is lost.",
                      "%s is a stale mount: its daemon is gone", path);
    else
        doctor_report(doctor, DOCTOR_FAILURE, "mount",
                      "Look at the daemon's log. 'holdfast umount' and 'holdfast mount' start it\n"
                      "anew.",
                      "%s does not answer: %s", path, strerror(error));
}

static unsigned count_entries(const char *path)
{
    DIR *dir = opendir(path);
    unsigned count = 0;
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    if (dir)
        closedir(dir);
    return count;
}

static void check_directory(struct doctor *doctor, const char *path)
{
    struct stat st;
    unsigned entries;

    if (stat(path, &st) != 0) {
        doctor_report(doctor, DOCTOR_OK, "mount", NULL, "%s is not mounted%s", path,
                      errno == ENOENT ? ", and does not exist yet" : "");
        return;
    }
    if (!S_ISDIR(st.st_mode)) {
        doctor_report(doctor, DOCTOR_FAILURE, "mount", "Move it out of the way.",
                      "%s is not a directory", path);
        return;
    }
    entries = count_entries(path);
    if (entries > 0)
        doctor_report(doctor, DOCTOR_WARNING, "mount",
                      "Run 'holdfast adopt' to take them into the store; then 'holdfast mount'.",
                      "%s is not mounted, and has %u entries of its own", path, entries);
    else
        doctor_report(doctor, DOCTOR_OK, "mount", NULL,
                      "%s is not mounted; 'holdfast mount' does it", path);
}

void doctor_check_mount(struct doctor *doctor, const char *mount_point)
{
    struct place_mount mount;

    if (!place_mount(mount_point, &mount))
        check_directory(doctor, mount_point);
    else if (strncmp(mount.type, "fuse", 4) != 0)
        doctor_report(doctor, DOCTOR_WARNING, "mount",
                      "Choose another mount point, or unmount what is there.",
                      "%s is a mount of another kind (%s)", mount_point, mount.type);
    else
        check_answer(doctor, mount_point, &mount);
}
