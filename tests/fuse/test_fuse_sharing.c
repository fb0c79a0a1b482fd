/* SPDX-License-Identifier: Apache-2.0 */
/** Who may use a session: claims of one mount, leases of two, and other users. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mounted.h"

static int create_file(const char *path)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);

    if (fd < 0)
        return errno;
    return close(fd) == 0 ? 0 : errno;
}

/** A process that creates a file, tells how that went, and lives until it is killed. */
struct creator {
    pid_t pid;
    int error;
};

static struct creator start_creator(const char *path)
{
    struct creator c;
    int tell[2];

    assert_int_equal(pipe2(tell, O_CLOEXEC), 0);
    c.pid = mounted_fork();
    if (c.pid == 0) {
        int error = create_file(path);

        (void)!write(tell[1], &error, sizeof error);
        for (;;)
            pause();
    }
    assert_int_equal(read(tell[0], &c.error, sizeof c.error), sizeof c.error);
    close(tell[0]);
    close(tell[1]);
    return c;
}

static void kill_creator(const struct creator *c)
{
    kill(c->pid, SIGKILL);
    assert_int_equal(waitpid(c->pid, NULL, 0), c->pid);
}

/** What a dead process left goes; the kernel is told of it a moment later. */
static void await_absence(const char *path)
{
    const struct timespec pause = {.tv_nsec = 1000000};

    for (int i = 0; i < 30000 && access(path, F_OK) == 0; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(access(path, F_OK), -1);
}

static void a_second_process_is_refused_until_the_first_is_killed(void **state)
{
    struct creator first = start_creator(mounted_path(*state, "inuse.1.lock")), second;

    assert_int_equal(first.error, 0);
    second = start_creator(mounted_path(*state, "inuse.2.lock"));
    assert_int_equal(second.error, EBUSY);
    kill_creator(&second);
    kill_creator(&first);
    second = start_creator(mounted_path(*state, "inuse.2.lock"));
    assert_int_equal(second.error, 0);
    await_absence(mounted_path(*state, "inuse.1.lock"));
    kill_creator(&second);
    unlink(mounted_path(*state, "inuse.2.lock"));
}

static void children_of_the_claimant_pass(void **state)
{
    struct creator child;

    assert_int_equal(create_file(mounted_path(*state, "inuse.1.lock")), 0);
    child = start_creator(mounted_path(*state, "inuse.2.lock"));
    assert_int_equal(child.error, 0);
    kill_creator(&child);
    unlink(mounted_path(*state, "inuse.2.lock"));
    assert_int_equal(unlink(mounted_path(*state, "inuse.1.lock")), 0);
}

static void removing_the_claim_file_ends_the_claim(void **state)
{
    struct creator first = start_creator(mounted_path(*state, "inuse.1.lock")), second;

    assert_int_equal(unlink(mounted_path(*state, "inuse.1.lock")), 0);
    second = start_creator(mounted_path(*state, "inuse.2.lock"));
    assert_int_equal(second.error, 0);
    kill_creator(&first);
    kill_creator(&second);
    unlink(mounted_path(*state, "inuse.2.lock"));
}

/* --- two mounts of one store ------------------------------------------------------------------------ */

static void start_second(struct mounted *m, const char *options, char *ret_point, size_t size)
{
    snprintf(ret_point, size, "%s/mnt2", m->dir);
    assert_int_equal(mounted_run(m, "mount", "--store", m->url, "-o", options, ret_point, NULL), 0);
}

static void stop_second(struct mounted *m, const char *point)
{
    assert_int_equal(mounted_run(m, "umount", point, NULL), 0);
}

static void a_pinned_session_is_busy_elsewhere_and_an_idle_one_changes_hands(void **state)
{
    struct mounted *m = *state;
    char point[128], path[192], text[64];
    int fd;

    start_second(m, "defaults", point, sizeof point);
    fd = open(mounted_path(m, "shared"), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(write(fd, "first", 5), 5);
    snprintf(path, sizeof path, "%s/s/elsewhere", point);
    assert_int_equal(create_file(path), EBUSY);
    assert_int_equal(close(fd), 0);
    assert_int_equal(create_file(path), 0);
    snprintf(path, sizeof path, "%s/s/shared", point);
    read_file(path, text, sizeof text);
    assert_string_equal(text, "first");
    write_file(path, "second");
    read_file(mounted_path(m, "shared"), text, sizeof text);
    assert_string_equal(text, "second");
    stop_second(m, point);
}

static void a_mount_waits_for_a_pinned_session_as_long_as_it_was_told(void **state)
{
    struct mounted *m = *state;
    char point[128], path[192];
    int fd, wait_status;
    pid_t pid;

    start_second(m, "wait=1m", point, sizeof point);
    fd = open(mounted_path(m, "pinned"), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(write(fd, "x", 1), 1);
    snprintf(path, sizeof path, "%s/s/waits", point);
    pid = mounted_fork();
    if (pid == 0) {
        close(fd); /* or it would stay open */
        _exit(create_file(path));
    }
    mounted_await_blocked(pid, SYS_openat);
    assert_int_equal(waitpid(pid, &wait_status, WNOHANG), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_int_equal(wait_status, 0);
    stop_second(m, point);
}

static void the_sessions_of_a_killed_mount_are_free_at_once(void **state)
{
    struct mounted *m = *state, second = *m;
    char path[192], text[16];
    pid_t daemon;
    int fd;

    start_second(m, "defaults", second.point, sizeof second.point);
    daemon = mounted_daemon(&second);
    snprintf(path, sizeof path, "%s/s/of-the-dead", second.point);
    write_file(path, "told");
    fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(write(fd, "told", 4), 4);
    assert_int_equal(create_file(mounted_path(m, "not-yet")), EBUSY);
    kill(daemon, SIGKILL);
    mounted_await_end(daemon);
    assert_int_equal(create_file(mounted_path(m, "now")), 0);
    read_file(mounted_path(m, "of-the-dead"), text, sizeof text);
    assert_string_equal(text, "told");
    close(fd);
    stop_second(m, second.point);
}

/** Close-to-open: what a close on one mount returned for, an open on the other sees. */
static void each_close_is_seen_by_the_next_open_elsewhere(void **state)
{
    struct mounted *m = *state;
    char point[128], path[192], text[64], found[64];

    start_second(m, "defaults", point, sizeof point);
    snprintf(path, sizeof path, "%s/s/turn", point);
    for (int i = 0; i < 50; i++) {
        snprintf(text, sizeof text, "turn %d", i);
        write_file(i % 2 ? path : mounted_path(m, "turn"), text);
        read_file(i % 2 ? mounted_path(m, "turn") : path, found, sizeof found);
        assert_string_equal(found, text);
    }
    stop_second(m, point);
}

#define LINES 300

static pid_t start_tail(const char *path, const char *output)
{
    pid_t pid = mounted_fork();

    if (pid == 0) {
        int out = open(output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

        dup2(out, STDOUT_FILENO);
        execlp("tail", "tail", "-n", "+1", "-s", "0.01", "-F", path, (char *)NULL);
        _exit(127);
    }
    return pid;
}

/** Adds a line as the client does: open, write, close. */
static void append_line(const char *path, int i)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    char line[600];
    int len = snprintf(line, sizeof line, "{\"event\": %d, \"text\": \"%0*d\"}\n", i,
                       1 + i * 37 % 500, i);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, line, (size_t)len), len);
    assert_int_equal(close(fd), 0);
}

static bool same_text(const char *a, const char *b)
{
    static char x[LINES * 700], y[LINES * 700];

    read_file(a, x, sizeof x);
    read_file(b, y, sizeof y);
    return strcmp(x, y) == 0;
}

/** The reader has pages of the log, and its last one grows under it: a page is never seen half. */
static void tail_follows_a_log_that_another_mount_writes(void **state)
{
    const struct timespec pause = {.tv_nsec = 5000000};
    struct mounted *m = *state;
    char point[128], path[192], output[128];
    int status, tries = 0;
    pid_t tail;

    start_second(m, "defaults", point, sizeof point);
    append_line(mounted_path(m, "events.jsonl"), 0);
    snprintf(path, sizeof path, "%s/s/events.jsonl", point);
    snprintf(output, sizeof output, "%s/tail", m->dir);
    tail = start_tail(path, output);
    for (int i = 1; i < LINES; i++)
        append_line(mounted_path(m, "events.jsonl"), i);
    while (!same_text(output, mounted_path(m, "events.jsonl")) && tries++ < 2000)
        nanosleep(&pause, NULL);
    assert_true(same_text(output, mounted_path(m, "events.jsonl")));
    assert_int_equal(kill(tail, SIGKILL), 0);
    assert_int_equal(waitpid(tail, &status, 0), tail);
    stop_second(m, point);
}

static void on_signal(int signal)
{
    (void)signal;
}

/** A child that a signal can interrupt in `wait`; its exit status is what wait() returned. `fd` it must not have,
 *  or that would stay open. */
static pid_t start_waiting(int (*wait)(const char *path), const char *path, int fd)
{
    struct sigaction action = {.sa_handler = on_signal};
    pid_t pid = mounted_fork();

    if (pid != 0)
        return pid;
    close(fd);
    sigaction(SIGUSR1, &action, NULL);
    _exit(wait(path));
}

static int lock_waiting(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return 255;
    return flock(fd, LOCK_EX) == 0 ? 0 : errno;
}

static int end_of(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/** What flock(1) does with .holdfast/lease. */
static void a_lock_on_the_lease_file_waits_for_the_session(void **state)
{
    struct mounted *m = *state;
    char point[128], path[192];
    int fd;
    pid_t pid;

    start_second(m, "defaults", point, sizeof point);
    fd = open(mounted_path(m, ".holdfast/lease"), O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    snprintf(path, sizeof path, "%s/s/locked-out", point);
    assert_int_equal(create_file(path), EBUSY);
    snprintf(path, sizeof path, "%s/s/.holdfast/lease", point);
    pid = start_waiting(lock_waiting, path, fd);
    mounted_await_blocked(pid, SYS_flock);
    assert_int_equal(kill(pid, SIGUSR1), 0);
    assert_int_equal(end_of(pid), EINTR);
    pid = start_waiting(lock_waiting, path, fd);
    mounted_await_blocked(pid, SYS_flock);
    assert_int_equal(create_file(mounted_path(m, "mine")), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(end_of(pid), 0);
    stop_second(m, point);
}

static void a_signal_ends_the_wait_for_a_pinned_session(void **state)
{
    struct mounted *m = *state;
    char point[128], path[192];
    int fd;
    pid_t pid;

    start_second(m, "wait=10m", point, sizeof point);
    fd = open(mounted_path(m, "pinned"), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(write(fd, "x", 1), 1);
    snprintf(path, sizeof path, "%s/s/never", point);
    pid = start_waiting(create_file, path, fd);
    mounted_await_blocked(pid, SYS_openat);
    assert_int_equal(kill(pid, SIGUSR1), 0);
    assert_int_equal(end_of(pid), EINTR);
    assert_int_equal(close(fd), 0);
    stop_second(m, point);
}

/** The client's .session-operation-locks: locks in the shared tree hold on every mount. */
static void locks_of_the_shared_tree_hold_on_other_mounts(void **state)
{
    struct mounted *m = *state;
    char point[128], path[192];
    int fd, other, wait_status;
    pid_t pid;

    start_second(m, "defaults", point, sizeof point);
    snprintf(path, sizeof path, "%s/.locks", m->point);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof path, "%s/.locks/one.lock", m->point);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
    snprintf(path, sizeof path, "%s/.locks/one.lock", point);
    other = open(path, O_RDWR | O_CLOEXEC);
    assert_true(other >= 0);
    assert_int_equal(flock(other, LOCK_EX | LOCK_NB), -1);
    assert_int_equal(errno, EWOULDBLOCK);
    pid = mounted_fork();
    if (pid == 0) {
        close(fd);
        _exit(flock(other, LOCK_EX) != 0);
    }
    mounted_await_blocked(pid, SYS_flock);
    assert_int_equal(waitpid(pid, &wait_status, WNOHANG), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_int_equal(wait_status, 0);
    assert_int_equal(close(other), 0);
    stop_second(m, point);
}

/* --- what the kernel is let to keep ----------------------------------------------------------------- */

static size_t count_lines(const char *path)
{
    FILE *file = fopen(path, "re");
    size_t lines = 0;
    int c;

    assert_non_null(file);
    while ((c = getc(file)) != EOF)
        lines += c == '\n';
    fclose(file);
    return lines;
}

static void use_warm(const struct mounted *m)
{
    char text[64];
    struct stat st;
    DIR *dir;

    assert_int_equal(stat(mounted_path(m, "warm"), &st), 0);
    assert_int_equal(stat(mounted_path(m, "missing"), &st), -1);
    read_file(mounted_path(m, "warm"), text, sizeof text);
    dir = opendir(m->session);
    assert_non_null(dir);
    while (readdir(dir))
        ;
    closedir(dir);
}

/** The trace of the store's calls is the daemon's log. Another mount would have to be asked after. */
static void a_warm_look_asks_the_store_nothing(void **state)
{
    struct mounted *m = *state, traced = *m;
    char log[192];
    size_t before;

    write_file(mounted_path(m, "warm"), "text");
    mounted_stop(m);
    snprintf(log, sizeof log, "%s/.local/state/holdfast/mount.log", m->dir);
    assert_int_equal(truncate(log, 0), 0);
    snprintf(traced.url, sizeof traced.url, "trace+sqlite:%s/store.db", m->dir);
    mounted_start(&traced, NULL);
    use_warm(&traced);
    before = count_lines(log);
    assert_true(before > 0);
    for (int i = 0; i < 100; i++)
        use_warm(&traced);
    assert_int_equal(count_lines(log), before);
    mounted_stop(&traced);
    mounted_start(m, NULL);
}

/* --- an ordinary user ------------------------------------------------------------------------------- */

#define USER 65534 /* nobody: fusermount3 asks for a name */

static int steps_of_the_user(struct mounted *m)
{
    char path[192], own[128], url[160];
    struct stat st;

    if (setresgid(USER, USER, USER) != 0 || setresuid(USER, USER, USER) != 0)
        return 1;
    snprintf(own, sizeof own, "%s/user/mnt", m->dir);
    snprintf(url, sizeof url, "sqlite:%s/user/store.db", m->dir);
    snprintf(path, sizeof path, "%s/user", m->dir);
    setenv("HOME", path, 1);
    if (mounted_run(m, "mount", "--store", url, own, NULL) != 0)
        return 2;
    snprintf(path, sizeof path, "%s/s", own);
    if (mkdir(path, 0700) != 0 || stat(path, &st) != 0 || st.st_uid != USER)
        return 3;
    snprintf(path, sizeof path, "%s/s/file", own);
    if (create_file(path) != 0)
        return 4;
    if (mounted_run(m, "mount", "--store", url, own, NULL) != EX_CANTCREAT)
        return 5;
    if (mounted_run(m, "umount", own, NULL) != 0 || access(path, F_OK) == 0)
        return 6;
    if (mounted_run(m, "mount", "--store", url, own, NULL) != 0 || access(path, F_OK) != 0)
        return 7;
    return mounted_run(m, "umount", own, NULL) == 0 ? 0 : 8;
}

/** In a mount namespace of its own, where /dev/fuse is open to all, as udev makes it. */
static int in_own_namespace(struct mounted *m)
{
    char device[128];

    snprintf(device, sizeof device, "%s/fuse", m->dir);
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        return 77;
    if (mknod(device, S_IFCHR | 0666, makedev(10, 229)) != 0 || chmod(device, 0666) != 0 ||
        mount(device, "/dev/fuse", NULL, MS_BIND, NULL) != 0)
        return 77;
    return steps_of_the_user(m);
}

static void an_ordinary_user_mounts_through_fusermount(void **state)
{
    struct mounted *m = *state;
    char path[128];
    int wait_status;
    pid_t pid;

    if (access("/usr/bin/fusermount3", X_OK) != 0 && access("/bin/fusermount3", X_OK) != 0)
        skip();
    snprintf(path, sizeof path, "%s/user", m->dir);
    assert_int_equal(mkdir(path, 0755), 0);
    assert_int_equal(chown(path, USER, USER), 0);
    snprintf(path, sizeof path, "%s/log", m->dir);
    assert_int_equal(chmod(path, 0666), 0);
    pid = mounted_fork();
    if (pid == 0)
        _exit(in_own_namespace(m));
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_true(WIFEXITED(wait_status));
    if (WEXITSTATUS(wait_status) == 77)
        skip();
    if (WEXITSTATUS(wait_status))
        fail_msg("step %d failed: %s", WEXITSTATUS(wait_status), mounted_said(m));
}

static int steps_of_a_stranger(const struct mounted *m)
{
    if (setresuid(USER, USER, USER) != 0)
        return 1;
    return access(m->session, F_OK) == -1 && errno == EACCES ? 0 : 2;
}

static void without_allow_other_the_mount_is_its_users_alone(void **state)
{
    struct mounted *m = *state;
    int wait_status;
    pid_t pid;

    mounted_stop(m);
    mounted_start(m, NULL);
    pid = mounted_fork();
    if (pid == 0)
        _exit(steps_of_a_stranger(m));
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_int_equal(wait_status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_process_is_refused_until_the_first_is_killed),
        cmocka_unit_test(children_of_the_claimant_pass),
        cmocka_unit_test(removing_the_claim_file_ends_the_claim),
        cmocka_unit_test(a_pinned_session_is_busy_elsewhere_and_an_idle_one_changes_hands),
        cmocka_unit_test(a_mount_waits_for_a_pinned_session_as_long_as_it_was_told),
        cmocka_unit_test(the_sessions_of_a_killed_mount_are_free_at_once),
        cmocka_unit_test(each_close_is_seen_by_the_next_open_elsewhere),
        cmocka_unit_test(tail_follows_a_log_that_another_mount_writes),
        cmocka_unit_test(a_lock_on_the_lease_file_waits_for_the_session),
        cmocka_unit_test(a_signal_ends_the_wait_for_a_pinned_session),
        cmocka_unit_test(locks_of_the_shared_tree_hold_on_other_mounts),
        cmocka_unit_test(a_warm_look_asks_the_store_nothing),
        cmocka_unit_test(an_ordinary_user_mounts_through_fusermount),
        cmocka_unit_test(without_allow_other_the_mount_is_its_users_alone),
    };

    mounted_require();
    return cmocka_run_group_tests(tests, mounted_setup, mounted_teardown);
}
