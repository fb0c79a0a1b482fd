/* SPDX-License-Identifier: Apache-2.0 */
/** The commands mount and umount: what they refuse, what they wait for, how they end. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#include <cmocka.h>

#include "mounted.h"

static int prepare(void **state)
{
    static struct mounted m;

    mounted_prepare(&m);
    *state = &m;
    return 0;
}

static int finish(void **state)
{
    mounted_remove(*state);
    return 0;
}

static void assert_content(const struct mounted *m, const char *name, const char *text)
{
    char found[256];

    read_file(mounted_path(m, name), found, sizeof found);
    assert_string_equal(found, text);
}

static void what_was_written_is_there_after_a_remount(void **state)
{
    struct mounted *m = *state;

    mounted_start(m, NULL);
    write_file(mounted_path(m, "file"), "text");
    mounted_stop(m);
    assert_false(mounted_is_mounted(m->point));
    assert_int_not_equal(access(mounted_path(m, "file"), F_OK), 0);
    mounted_start(m, NULL);
    assert_content(m, "file", "text");
    mounted_stop(m);
}

static void a_signal_commits_and_unmounts(void **state)
{
    const int signals[] = {SIGTERM, SIGINT, SIGHUP};
    struct mounted *m = *state;
    char name[16];

    for (int i = 0; i < 3; i++) {
        pid_t daemon;

        mounted_start(m, "commit_delay=1h");
        daemon = mounted_daemon(m);
        /* No close asks for this commit. */
        snprintf(name, sizeof name, "dir%d", i);
        assert_int_equal(mkdir(mounted_path(m, name), 0777), 0);
        assert_int_equal(kill(daemon, signals[i]), 0);
        mounted_await_end(daemon);
        assert_false(mounted_is_mounted(m->point));
        mounted_start(m, NULL);
        assert_int_equal(access(mounted_path(m, name), F_OK), 0);
        mounted_stop(m);
    }
}

static void a_signal_unmounts_what_is_in_use(void **state)
{
    struct mounted *m = *state;
    pid_t daemon;
    int fd;

    mounted_start(m, NULL);
    daemon = mounted_daemon(m);
    fd = open(mounted_path(m, "open"), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "told", 4), 4);
    kill(daemon, SIGTERM);
    mounted_await_end(daemon);
    assert_int_equal(write(fd, "lost", 4), -1);
    close(fd);
    assert_false(mounted_is_mounted(m->point));
    mounted_start(m, NULL);
    assert_content(m, "open", "told");
    mounted_stop(m);
}

static void umount_names_who_uses_it_and_lazy_waits_for_them(void **state)
{
    struct mounted *m = *state;
    pid_t daemon;
    char pid[16];
    int fd;

    mounted_start(m, NULL);
    daemon = mounted_daemon(m);
    fd = open(mounted_path(m, "open"), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(mounted_run(m, "umount", m->point, NULL), EX_TEMPFAIL);
    snprintf(pid, sizeof pid, "(%d)", (int)getpid());
    assert_non_null(strstr(mounted_said(m), pid));
    assert_true(mounted_is_mounted(m->point));
    assert_int_equal(mounted_run(m, "umount", "--lazy", m->point, NULL), 0);
    assert_false(mounted_is_mounted(m->point));
    assert_int_equal(write(fd, "late", 4), 4);
    assert_int_equal(close(fd), 0);
    mounted_await_end(daemon);
    mounted_start(m, NULL);
    assert_content(m, "open", "late");
    mounted_stop(m);
}

static void a_mount_point_with_sessions_is_refused(void **state)
{
    struct mounted *m = *state;
    char path[160];

    assert_int_equal(mkdir(m->point, 0755), 0);
    snprintf(path, sizeof path, "%s/.session-operation-locks", m->point);
    assert_int_equal(mkdir(path, 0755), 0);
    mounted_start(m, NULL);
    mounted_stop(m);
    snprintf(path, sizeof path, "%s/some-session", m->point);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(mounted_run(m, "mount", "--store", m->url, m->point, NULL), EX_CANTCREAT);
    assert_non_null(strstr(mounted_said(m), "holdfast adopt"));
    assert_false(mounted_is_mounted(m->point));
}

static void a_second_mount_on_the_same_place_is_refused(void **state)
{
    struct mounted *m = *state;

    mounted_start(m, NULL);
    assert_int_equal(mounted_run(m, "mount", "--store", m->url, m->point, NULL), EX_CANTCREAT);
    assert_non_null(strstr(mounted_said(m), "mounted already"));
    mounted_stop(m);
}

static void a_dead_mount_is_replaced(void **state)
{
    struct mounted *m = *state;
    pid_t daemon;

    mounted_start(m, NULL);
    write_file(mounted_path(m, "file"), "text");
    daemon = mounted_daemon(m);
    kill(daemon, SIGKILL);
    mounted_await_end(daemon);
    mounted_start(m, NULL);
    assert_content(m, "file", "text");
    daemon = mounted_daemon(m);
    kill(daemon, SIGKILL);
    mounted_await_end(daemon);
    mounted_stop(m);
    assert_false(mounted_is_mounted(m->point));
}

static void wrong_use_is_explained(void **state)
{
    struct mounted *m = *state;

    assert_int_equal(mounted_run(m, "mount", "-o", "alow_other", m->point, NULL), EX_USAGE);
    assert_non_null(strstr(mounted_said(m), "allow_other"));
    assert_int_equal(mounted_run(m, "mount", "-o", "memory=lots", m->point, NULL), EX_USAGE);
    assert_int_equal(mounted_run(m, "umount", m->point, NULL), EX_NOINPUT);
    assert_int_not_equal(
        mounted_run(m, "mount", "--store", "sqlite:/nonexistent/x/store.db", m->point, NULL), 0);
    assert_false(mounted_is_mounted(m->point));
}

static void a_read_only_mount_changes_nothing(void **state)
{
    struct mounted *m = *state;

    mounted_start(m, NULL);
    write_file(mounted_path(m, "file"), "text");
    mounted_stop(m);
    mounted_start(m, "ro");
    assert_content(m, "file", "text");
    assert_int_equal(open(mounted_path(m, "new"), O_WRONLY | O_CREAT | O_CLOEXEC, 0666), -1);
    assert_int_equal(errno, EROFS);
    assert_int_equal(unlink(mounted_path(m, "file")), -1);
    assert_int_equal(errno, EROFS);
    mounted_stop(m);
}

static void fstab_options_are_passed_over(void **state)
{
    struct mounted *m = *state;

    mounted_start(m, "defaults,noauto,nofail,user,_netdev,x-systemd.automount,noatime,rw,nosuid");
    mounted_stop(m);
}

/** mount(8) runs the program under another name. */
static void it_works_as_a_mount_helper(void **state)
{
    struct mounted *m = *state;
    char link[128], command[640];

    snprintf(link, sizeof link, "%s/mount.fuse.holdfast", m->dir);
    assert_int_equal(symlink(HOLDFAST_PROGRAM, link), 0);
    snprintf(command, sizeof command, "%s %s %s -n -o rw,x-mount.mkdir", link, m->url, m->point);
    assert_int_equal(system(command), 0); /* NOLINT(cert-env33-c): no user's text is in it */
    assert_true(mounted_is_mounted(m->point));
    mounted_stop(m);
}

/** The default store and the default mount point, which are made. */
static void it_works_without_arguments(void **state)
{
    struct mounted *m = *state;
    char path[160];

    assert_int_equal(mounted_run(m, "mount", NULL), 0);
    snprintf(path, sizeof path, "%s/.copilot/session-state/s", m->dir);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(mounted_run(m, "umount", NULL), 0);
    assert_int_not_equal(access(path, F_OK), 0);
    snprintf(path, sizeof path, "%s/.local/share/holdfast/store.db", m->dir);
    assert_int_equal(access(path, F_OK), 0);
}

/** Whoever waits for the end of a pipe does not wait for the end of the mount. */
static void the_daemon_keeps_no_descriptors_of_its_caller(void **state)
{
    struct mounted *m = *state;
    int ends[2];
    char byte;

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETFD, FD_CLOEXEC), 0);
    mounted_start(m, NULL);
    close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    close(ends[0]);
    mounted_stop(m);
}

static int listen_for_notices(const struct mounted *m, struct sockaddr_un *ret_address)
{
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const struct timeval patience = {.tv_sec = 30};

    *ret_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    snprintf(ret_address->sun_path, sizeof ret_address->sun_path, "%s/notify", m->dir);
    assert_int_equal(bind(fd, (struct sockaddr *)ret_address, sizeof *ret_address), 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return fd;
}

static void assert_notice(int fd, const char *text)
{
    char notice[64] = "";

    assert_true(recv(fd, notice, sizeof notice - 1, 0) > 0);
    assert_string_equal(notice, text);
}

/** Mounts in the foreground; returns when the mount answers. */
static pid_t start_foreground(struct mounted *m, const char *url, const char *options,
                              int *ret_notices)
{
    struct sockaddr_un address;
    int fd = listen_for_notices(m, &address);
    pid_t pid = mounted_fork();

    if (pid == 0) {
        setenv("NOTIFY_SOCKET", address.sun_path, 1);
        execl(HOLDFAST_PROGRAM, "holdfast", "mount", "-f", "-o", options, "--store", url, m->point,
              NULL);
        _exit(127);
    }
    assert_notice(fd, "READY=1");
    *ret_notices = fd;
    return pid;
}

static int exit_code_of(pid_t pid)
{
    int wait_status;

    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_true(WIFEXITED(wait_status));
    return WEXITSTATUS(wait_status);
}

static void the_service_manager_is_told(void **state)
{
    struct mounted *m = *state;
    int notices;
    pid_t pid = start_foreground(m, m->url, "defaults", &notices);

    assert_int_equal(mkdir(m->session, 0777), 0);
    kill(pid, SIGTERM);
    assert_notice(notices, "STOPPING=1");
    assert_int_equal(exit_code_of(pid), 0);
    close(notices);
}

/** Its changes cannot be committed: umount says so and leaves it mounted; its end is a failure. */
static void changes_that_cannot_be_committed_are_not_passed_over(void **state)
{
    struct mounted *m = *state;
    char url[192];
    int notices;
    pid_t pid;

    mounted_start(m, NULL);
    mounted_stop(m);
    snprintf(url, sizeof url, "faulty(commit@1:ENOSPC+)+%s", m->url);
    pid = start_foreground(m, url, "commit_delay=1h", &notices);
    assert_int_equal(mkdir(mounted_path(m, "unsaved"), 0777), 0);
    assert_int_equal(mounted_run(m, "umount", m->point, NULL), EX_CANTCREAT);
    assert_non_null(strstr(mounted_said(m), "could not be committed"));
    assert_true(mounted_is_mounted(m->point));
    kill(pid, SIGTERM);
    assert_int_equal(exit_code_of(pid), EX_CANTCREAT);
    assert_false(mounted_is_mounted(m->point));
    close(notices);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, prepare, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_is_there_after_a_remount),
        TEST(a_signal_commits_and_unmounts),
        TEST(a_signal_unmounts_what_is_in_use),
        TEST(umount_names_who_uses_it_and_lazy_waits_for_them),
        TEST(a_mount_point_with_sessions_is_refused),
        TEST(a_second_mount_on_the_same_place_is_refused),
        TEST(a_dead_mount_is_replaced),
        TEST(wrong_use_is_explained),
        TEST(a_read_only_mount_changes_nothing),
        TEST(fstab_options_are_passed_over),
        TEST(it_works_as_a_mount_helper),
        TEST(it_works_without_arguments),
        TEST(the_daemon_keeps_no_descriptors_of_its_caller),
        TEST(the_service_manager_is_told),
        TEST(changes_that_cannot_be_committed_are_not_passed_over),
    };

    mounted_require();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
