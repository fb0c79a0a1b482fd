/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "doctor.h"

#define FILES_WANTED 20000
#define FILES_NEEDED 256
#define KERNEL_WANTED                                                                              \
    504 /* 5.4: rename flags, copy_file_range and the caches behave as they should */
#define YEAR_2025 1735689600

static void check_device(struct doctor *doctor)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    if (fd >= 0) {
        close(fd);
        doctor_report(doctor, DOCTOR_OK, "fuse", NULL, "/dev/fuse is there and can be opened");
    } else if (errno == ENOENT) {
        doctor_report(doctor, DOCTOR_FAILURE, "fuse",
                      "Run 'modprobe fuse' as root. A container needs --device /dev/fuse.",
                      "there is no /dev/fuse");
    } else {
        doctor_report(doctor, DOCTOR_FAILURE, "fuse",
                      "Run 'chmod 666 /dev/fuse' as root. A container needs --device /dev/fuse\n"
                      "(and, to mount as root, --cap-add SYS_ADMIN).",
                      "/dev/fuse cannot be opened: %s", strerror(errno));
    }
}

/* Finds a program in $PATH and in the places where root's programs are. */
static bool find_program(const char *name, char path[4096], struct stat *ret_stat)
{
    const char *dirs = getenv("PATH");
    char all[4096];
    char *save = NULL;

    snprintf(all, sizeof all, "%s:/usr/bin:/bin:/usr/local/bin", dirs ? dirs : "");
    for (char *dir = strtok_r(all, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
        snprintf(path, 4096, "%s/%s", dir, name);
        if (stat(path, ret_stat) == 0 && S_ISREG(ret_stat->st_mode) && access(path, X_OK) == 0)
            return true;
    }
    return false;
}

static void check_fusermount(struct doctor *doctor)
{
    bool root = geteuid() == 0;
    char path[4096];
    struct stat st;

    if (!find_program("fusermount3", path, &st))
        doctor_report(doctor, root ? DOCTOR_WARNING : DOCTOR_FAILURE, "fusermount3",
                      "Install it: 'apt-get install fuse3'.",
                      "fusermount3 is not installed; only root can mount without it");
    else if (!root && (!(st.st_mode & S_ISUID) || st.st_uid != 0))
        doctor_report(doctor, DOCTOR_FAILURE, "fusermount3",
                      "Reinstall fuse3, or run 'chown root: FILE && chmod u+s FILE' on it as root.",
                      "%s is not setuid root: an ordinary user cannot mount", path);
    else
        doctor_report(doctor, DOCTOR_OK, "fusermount3", NULL, "%s%s", path,
                      root ? "" : ", setuid root");
}

static bool allow_other_is_set(void)
{
    FILE *file = fopen("/etc/fuse.conf", "re");
    char line[256];
    bool set = false;

    if (!file)
        return false;
    while (!set && fgets(line, sizeof line, file)) {
        char word[32] = "";
        set = sscanf(line, " %31[a-z_] ", word) == 1 && strcmp(word, "user_allow_other") == 0;
    }
    fclose(file);
    return set;
}

static void check_allow_other(struct doctor *doctor)
{
    if (allow_other_is_set())
        doctor_report(doctor, DOCTOR_OK, "fuse.conf", NULL,
                      "user_allow_other is set: users may mount with -o allow_other");
    else if (geteuid() == 0)
        doctor_report(doctor, DOCTOR_OK, "fuse.conf", NULL,
                      "user_allow_other is not set; root does not need it");
    else
        doctor_report(doctor, DOCTOR_OK, "fuse.conf",
                      "To let other users (containers, root) into your mount, add the line\n"
                      "user_allow_other to /etc/fuse.conf and mount with -o allow_other.",
                      "user_allow_other is not set: only you will see your mount");
}

static void check_versions(struct doctor *doctor)
{
    struct utsname name;
    unsigned major = 0, minor = 0;

    uname(&name);
    sscanf(name.release, "%u.%u", &major, &minor);
    doctor_report(
        doctor, major * 100 + minor < KERNEL_WANTED ? DOCTOR_WARNING : DOCTOR_OK, "versions",
        major * 100 + minor < KERNEL_WANTED ? "Use a kernel from 5.4 on." : NULL,
        "Linux %s, libfuse %s, holdfast " HOLDFAST_VERSION, name.release, fuse_pkgversion());
}

static void check_limits(struct doctor *doctor)
{
    struct rlimit limit;
    rlim_t most;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    most = limit.rlim_max;
    doctor_report(doctor,
                  most < FILES_NEEDED   ? DOCTOR_FAILURE
                  : most < FILES_WANTED ? DOCTOR_WARNING
                                        : DOCTOR_OK,
                  "limits",
                  most < FILES_WANTED ? "Raise it: 'ulimit -Hn 20000' as root, or "
                                        "LimitNOFILE=20000 in the unit."
                                      : NULL,
                  "open files: %llu now, %llu at most", (unsigned long long)limit.rlim_cur,
                  (unsigned long long)most);
}

static void check_clock(struct doctor *doctor)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    if (now.tv_sec < YEAR_2025)
        doctor_report(doctor, DOCTOR_FAILURE, "clock", "Set the clock; run an NTP client.",
                      "the clock says that it is before 2025");
    else
        doctor_report(doctor, DOCTOR_OK, "clock", NULL, "the clock is plausible");
}

void doctor_check_system(struct doctor *doctor)
{
    check_device(doctor);
    check_fusermount(doctor);
    check_allow_other(doctor);
    check_versions(doctor);
    check_limits(doctor);
    check_clock(doctor);
}
