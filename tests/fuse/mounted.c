/* SPDX-License-Identifier: Apache-2.0 */
#include "mounted.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define MAX_ARGUMENTS 16
#define SANITIZER_LOG "sanitizer"
#define PATIENCE_MS 30000

extern char **environ;

static void skip_all(const char *why)
{
    printf("skipped: %s\n", why);
    exit(77);
}

void mounted_require(void)
{
    int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);

    if (fd < 0)
        skip_all("/dev/fuse cannot be opened, so nothing can be mounted");
    close(fd);
    if (geteuid() != 0)
        skip_all("these tests mount as root");
}

void mounted_prepare(struct mounted *m)
{
    const char *tmp = getenv("TMPDIR");
    char options[128];

    if (!tmp || strlen(tmp) > 32)
        tmp = "/tmp";
    snprintf(m->dir, sizeof m->dir, "%s/holdfast-fuse.XXXXXX", tmp);
    assert_non_null(mkdtemp(m->dir));
    assert_int_equal(chmod(m->dir, 0755), 0);
    snprintf(m->url, sizeof m->url, "sqlite:%s/store.db", m->dir);
    snprintf(m->point, sizeof m->point, "%s/mnt", m->dir);
    snprintf(m->session, sizeof m->session, "%s/s", m->point);
    /* Nothing of the user's is touched. */
    setenv("HOME", m->dir, 1);
    unsetenv("XDG_DATA_HOME");
    unsetenv("XDG_STATE_HOME");
    unsetenv("HOLDFAST_STORE");
    unsetenv("COPILOT_HOME");
    unsetenv("NOTIFY_SOCKET");
    /* The daemon's findings, in a build with a sanitizer. */
    snprintf(options, sizeof options, "log_path=%s/" SANITIZER_LOG, m->dir);
    setenv("ASAN_OPTIONS", options, 1);
    setenv("TSAN_OPTIONS", options, 1);
    setenv("UBSAN_OPTIONS", options, 1);
}

static pid_t spawn_program(const struct mounted *m, char *const argv[])
{
    posix_spawn_file_actions_t actions;
    char log[128];
    pid_t pid;

    snprintf(log, sizeof log, "%s/log", m->dir);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, log, O_WRONLY | O_CREAT | O_TRUNC,
                                     0600);
    assert_int_equal(posix_spawn(&pid, HOLDFAST_PROGRAM, &actions, NULL, argv, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

int mounted_run(struct mounted *m, ...)
{
    char *argv[MAX_ARGUMENTS + 2] = {(char *)"holdfast"};
    int n = 1, wait_status;
    va_list args;
    pid_t pid;

    va_start(args, m);
    while (n < MAX_ARGUMENTS && (argv[n] = va_arg(args, char *)))
        n++;
    va_end(args);
    pid = spawn_program(m, argv);
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_true(WIFEXITED(wait_status));
    return WEXITSTATUS(wait_status);
}

const char *mounted_said(const struct mounted *m)
{
    static char text[4096];
    char log[128];

    snprintf(log, sizeof log, "%s/log", m->dir);
    read_file(log, text, sizeof text);
    return text;
}

void mounted_start(struct mounted *m, const char *options)
{
    int code = mounted_run(m, "mount", "--store", m->url, "-o", options ? options : "defaults",
                           m->point, NULL);

    if (code != 0)
        print_error("mount said: %s\n", mounted_said(m));
    assert_int_equal(code, 0);
    if (mkdir(m->session, 0777) != 0)
        assert_int_equal(errno, EEXIST);
}

void mounted_stop(struct mounted *m)
{
    int code = mounted_run(m, "umount", m->point, NULL);

    if (code != 0)
        print_error("umount said: %s\n", mounted_said(m));
    assert_int_equal(code, 0);
}

/** The first mount point that begins with `prefix`; with `whole` it must be equal. */
static bool find_mount(const char *prefix, bool whole, char *ret_point, size_t size)
{
    char *line = NULL, point[PATH_MAX];
    size_t cap = 0;
    bool found = false;
    FILE *f = fopen("/proc/self/mountinfo", "re");

    while (f && !found && getline(&line, &cap, f) > 0)
        found = sscanf(line, "%*s %*s %*s %*s %4095s", point) == 1 &&
                strncmp(point, prefix, strlen(prefix)) == 0 &&
                (!whole || strlen(point) == strlen(prefix));
    if (found && ret_point)
        snprintf(ret_point, size, "%s", point);
    free(line);
    if (f)
        fclose(f);
    return found;
}

bool mounted_is_mounted(const char *point)
{
    return find_mount(point, true, NULL, 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

/** Prints what sanitizers found in the daemons. Returns the number of their reports. */
static int tell_findings(const struct mounted *m)
{
    char path[PATH_MAX], text[4096];
    struct dirent *entry;
    DIR *dir = opendir(m->dir);
    int findings = 0;

    while (dir && (entry = readdir(dir))) {
        if (strncmp(entry->d_name, SANITIZER_LOG, strlen(SANITIZER_LOG)) != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", m->dir, entry->d_name);
        read_file(path, text, sizeof text);
        print_error("%s\n", text);
        findings++;
    }
    if (dir)
        closedir(dir);
    return findings;
}

void mounted_remove(struct mounted *m)
{
    struct mounted left = *m;
    int findings;

    /* What a failed test left mounted goes too. */
    while (find_mount(m->dir, false, left.point, sizeof left.point)) {
        pid_t daemon = mounted_daemon(&left);

        if (umount2(left.point, MNT_DETACH) != 0)
            break;
        if (daemon > 0)
            mounted_await_end(daemon);
    }
    findings = tell_findings(m);
    nftw(m->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
    assert_int_equal(findings, 0);
}

int mounted_setup(void **state)
{
    static struct mounted m;

    mounted_prepare(&m);
    mounted_start(&m, "allow_other");
    *state = &m;
    return 0;
}

int mounted_teardown(void **state)
{
    struct mounted *m = *state;
    int code = mounted_run(m, "umount", m->point, NULL);

    if (code != 0)
        print_error("umount said: %s\n", mounted_said(m));
    mounted_remove(m);
    return code;
}

pid_t mounted_fork(void)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    return pid;
}

pid_t mounted_daemon(const struct mounted *m)
{
    char text[16] = "";

    return getxattr(m->point, "user.holdfast.pid", text, sizeof text - 1) > 0
               ? (pid_t)strtol(text, NULL, 10)
               : 0;
}

void mounted_await_blocked(pid_t pid, long number)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    char path[64], text[128];

    snprintf(path, sizeof path, "/proc/%d/syscall", (int)pid);
    for (int i = 0; i < PATIENCE_MS / 2; i++) {
        read_file(path, text, sizeof text);
        if (text[0] != 'r' && strtol(text, NULL, 10) == number) /* "running", or a number */
            return;
        nanosleep(&pause, NULL);
    }
    fail_msg("the process did not block");
}

void mounted_await_end(pid_t pid)
{
    struct pollfd end = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};

    if (end.fd < 0)
        return;
    assert_int_equal(poll(&end, 1, PATIENCE_MS), 1);
    close(end.fd);
}

const char *mounted_path(const struct mounted *m, const char *name)
{
    static char buffers[4][PATH_MAX];
    static unsigned next;
    char *path = buffers[next++ % 4];

    snprintf(path, PATH_MAX, "%s/%s", m->session, name);
    return path;
}

void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    size_t len = strlen(text);

    if (fd < 0)
        fail_msg("cannot open %s for writing: %s", path, strerror(errno));
    assert_int_equal(write(fd, text, len), len);
    assert_int_equal(close(fd), 0);
}

void read_file(const char *path, char *ret_text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len;

    if (fd < 0)
        fail_msg("cannot open %s: %s", path, strerror(errno));
    len = read(fd, ret_text, size - 1);
    assert_true(len >= 0);
    ret_text[len] = '\0';
    close(fd);
}
