/* SPDX-License-Identifier: Apache-2.0 */
/** Locks between processes, through the kernel: POSIX, OFD and flock. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mounted.h"

/** A child that carries out lock calls one at a time, on files that it opens itself. */
struct locker {
    pid_t pid;
    int requests, replies;
};

struct call {
    enum { CALL_FCNTL, CALL_FLOCK, CALL_OPEN, CALL_CLOSE, CALL_GETLK } what;
    int slot; /* of four files */
    int command;
    struct flock lock;
    char path[160];
};

struct answer {
    int result, error;
    struct flock lock;
};

static void on_alarm(int signal)
{
    (void)signal;
}

static struct answer carry_out(const struct call *call, int fds[4])
{
    struct answer a = {.lock = call->lock};

    errno = 0;
    switch (call->what) {
    case CALL_OPEN:
        fds[call->slot] = open(call->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
        a.result = fds[call->slot] < 0 ? -1 : 0;
        break;
    case CALL_CLOSE:
        a.result = close(fds[call->slot]);
        break;
    case CALL_FLOCK:
        a.result = flock(fds[call->slot], call->command);
        break;
    default:
        a.result = fcntl(fds[call->slot], call->command, &a.lock);
    }
    a.error = errno;
    return a;
}

static void serve_calls(int requests, int replies)
{
    struct sigaction action = {.sa_handler = on_alarm}; /* no SA_RESTART: it interrupts */
    int fds[4] = {-1, -1, -1, -1};
    struct call call;

    sigaction(SIGUSR1, &action, NULL);
    for (;;) {
        struct answer a;
        ssize_t n = read(requests, &call, sizeof call);

        if (n < 0 && errno == EINTR)
            continue;
        if (n != sizeof call)
            _exit(0);
        a = carry_out(&call, fds);
        if (write(replies, &a, sizeof a) != sizeof a)
            _exit(1);
    }
}

static struct locker start_locker(void)
{
    struct locker l;
    int requests[2], replies[2];

    assert_int_equal(pipe2(requests, O_CLOEXEC), 0);
    assert_int_equal(pipe2(replies, O_CLOEXEC), 0);
    l.pid = mounted_fork();
    assert_true(l.pid >= 0);
    if (l.pid == 0) {
        close(requests[1]);
        close(replies[0]);
        serve_calls(requests[0], replies[1]);
    }
    close(requests[0]);
    close(replies[1]);
    l.requests = requests[1];
    l.replies = replies[0];
    return l;
}

static void end_locker(const struct locker *l)
{
    close(l->requests);
    close(l->replies);
    kill(l->pid, SIGKILL);
    assert_int_equal(waitpid(l->pid, NULL, 0), l->pid);
}

static void ask(const struct locker *l, const struct call *call)
{
    assert_int_equal(write(l->requests, call, sizeof *call), sizeof *call);
}

static struct answer answer_of(const struct locker *l)
{
    struct answer a;

    assert_int_equal(read(l->replies, &a, sizeof a), sizeof a);
    return a;
}

static int error_of(const struct locker *l, const struct call *call)
{
    struct answer a;

    ask(l, call);
    a = answer_of(l);
    return a.result == 0 ? 0 : a.error;
}

static void await_blocked(const struct locker *l, long number)
{
    mounted_await_blocked(l->pid, number);
}

static struct call open_call(int slot, const struct mounted *m, const char *name)
{
    struct call c = {.what = CALL_OPEN, .slot = slot};

    snprintf(c.path, sizeof c.path, "%s", mounted_path(m, name));
    return c;
}

static struct call close_call(int slot)
{
    return (struct call){.what = CALL_CLOSE, .slot = slot};
}

static struct call lock_call(int slot, int command, short type, off_t start, off_t len)
{
    return (struct call){
        .what = CALL_FCNTL,
        .slot = slot,
        .command = command,
        .lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = len}};
}

static struct call flock_call(int slot, int command)
{
    return (struct call){.what = CALL_FLOCK, .slot = slot, .command = command};
}

static int do_open(const struct locker *l, int slot, const struct mounted *m, const char *name)
{
    struct call c = open_call(slot, m, name);

    return error_of(l, &c);
}

static int do_close(const struct locker *l, int slot)
{
    struct call c = close_call(slot);

    return error_of(l, &c);
}

static int do_lock(const struct locker *l, int slot, int command, short type, off_t start,
                   off_t len)
{
    struct call c = lock_call(slot, command, type, start, len);

    return error_of(l, &c);
}

static int do_flock(const struct locker *l, int slot, int command)
{
    struct call c = flock_call(slot, command);

    return error_of(l, &c);
}

/** Two lockers, with the file open in slot 0 of each. */
static void start_two(const struct mounted *m, const char *name, struct locker l[2])
{
    for (int i = 0; i < 2; i++) {
        l[i] = start_locker();
        assert_int_equal(do_open(&l[i], 0, m, name), 0);
    }
}

static void end_two(struct locker l[2])
{
    end_locker(&l[0]);
    end_locker(&l[1]);
}

/* --- tests ---------------------------------------------------------------------------------------- */

static void record_locks_exclude_other_processes(void **state)
{
    struct locker l[2];
    struct call get = lock_call(0, F_GETLK, F_WRLCK, 0, 0);
    struct answer a;

    start_two(*state, "posix", l);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_WRLCK, 10, 10), 0);
    assert_int_equal(do_lock(&l[1], 0, F_SETLK, F_RDLCK, 0, 10), 0);
    assert_int_equal(do_lock(&l[1], 0, F_SETLK, F_RDLCK, 19, 1), EAGAIN);
    ask(&l[1], &get);
    a = answer_of(&l[1]);
    assert_int_equal(a.result, 0);
    assert_int_equal(a.lock.l_type, F_WRLCK);
    assert_int_equal(a.lock.l_start, 10);
    assert_int_equal(a.lock.l_len, 10);
    assert_int_equal(a.lock.l_pid, l[0].pid);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_UNLCK, 0, 0), 0);
    assert_int_equal(do_lock(&l[1], 0, F_SETLK, F_WRLCK, 0, 0), 0);
    end_two(l);
}

static void a_waiting_record_lock_is_granted_by_an_unlock(void **state)
{
    struct locker l[2];
    struct call wait = lock_call(0, F_SETLKW, F_WRLCK, 0, 0);

    start_two(*state, "wait", l);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_WRLCK, 0, 0), 0);
    ask(&l[1], &wait);
    await_blocked(&l[1], SYS_fcntl);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_UNLCK, 0, 0), 0);
    assert_int_equal(answer_of(&l[1]).result, 0);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_RDLCK, 0, 0), EAGAIN);
    end_two(l);
}

static void a_signal_interrupts_a_waiting_lock(void **state)
{
    struct locker l[2];
    struct call wait = lock_call(0, F_SETLKW, F_WRLCK, 0, 0), whole = flock_call(1, LOCK_EX);
    struct answer a;

    start_two(*state, "interrupt", l);
    assert_int_equal(do_open(&l[0], 1, *state, "interrupt2"), 0);
    assert_int_equal(do_open(&l[1], 1, *state, "interrupt2"), 0);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_WRLCK, 0, 0), 0);
    assert_int_equal(do_flock(&l[0], 1, LOCK_EX), 0);
    ask(&l[1], &wait);
    await_blocked(&l[1], SYS_fcntl);
    kill(l[1].pid, SIGUSR1);
    a = answer_of(&l[1]);
    assert_int_equal(a.result, -1);
    assert_int_equal(a.error, EINTR);
    ask(&l[1], &whole);
    await_blocked(&l[1], SYS_flock);
    kill(l[1].pid, SIGUSR1);
    a = answer_of(&l[1]);
    assert_int_equal(a.result, -1);
    assert_int_equal(a.error, EINTR);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_UNLCK, 0, 0), 0);
    assert_int_equal(do_lock(&l[1], 0, F_SETLK, F_WRLCK, 0, 0), 0);
    end_two(l);
}

/** Signals and unlocks at about the same time: each wait ends once, and nothing is left locked. */
static void interrupts_that_race_with_grants_lose_nothing(void **state)
{
    struct locker l[2];
    struct call wait = lock_call(0, F_SETLKW, F_WRLCK, 0, 0);
    int granted = 0, interrupted = 0;

    start_two(*state, "race", l);
    for (int i = 0; i < 300; i++) {
        struct answer a;

        assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_WRLCK, 0, 0), 0);
        ask(&l[1], &wait);
        if (i % 3)
            await_blocked(&l[1], SYS_fcntl);
        kill(l[1].pid, SIGUSR1);
        assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_UNLCK, 0, 0), 0);
        a = answer_of(&l[1]);
        granted += a.result == 0;
        interrupted += a.result != 0 && a.error == EINTR;
        assert_int_equal(granted + interrupted, i + 1);
        assert_int_equal(do_lock(&l[1], 0, F_SETLK, F_UNLCK, 0, 0), 0);
    }
    print_message("%d granted, %d interrupted\n", granted, interrupted);
    end_two(l);
}

static void a_killed_process_leaves_no_locks(void **state)
{
    struct locker l[2];
    struct call wait = lock_call(0, F_SETLKW, F_WRLCK, 0, 0), whole = flock_call(1, LOCK_EX);

    start_two(*state, "killed", l);
    assert_int_equal(do_open(&l[0], 1, *state, "killed2"), 0);
    assert_int_equal(do_open(&l[1], 1, *state, "killed2"), 0);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_WRLCK, 0, 0), 0);
    assert_int_equal(do_flock(&l[0], 1, LOCK_EX), 0);
    ask(&l[1], &wait);
    await_blocked(&l[1], SYS_fcntl);
    end_locker(&l[0]);
    assert_int_equal(answer_of(&l[1]).result, 0);
    ask(&l[1], &whole);
    assert_int_equal(answer_of(&l[1]).result, 0);
    end_locker(&l[1]);
}

static void a_killed_waiter_is_forgotten(void **state)
{
    struct locker l[2];
    struct call wait = lock_call(0, F_SETLKW, F_WRLCK, 0, 0);

    start_two(*state, "killed-waiter", l);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_WRLCK, 0, 0), 0);
    ask(&l[1], &wait);
    await_blocked(&l[1], SYS_fcntl);
    end_locker(&l[1]);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_UNLCK, 0, 0), 0);
    l[1] = start_locker();
    assert_int_equal(do_open(&l[1], 0, *state, "killed-waiter"), 0);
    assert_int_equal(do_lock(&l[1], 0, F_SETLK, F_WRLCK, 0, 0), 0);
    end_two(l);
}

static void two_processes_that_wait_for_each_other_are_told(void **state)
{
    struct locker l[2];
    struct call first = lock_call(0, F_SETLKW, F_WRLCK, 1, 1);

    start_two(*state, "deadlock", l);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_WRLCK, 0, 1), 0);
    assert_int_equal(do_lock(&l[1], 0, F_SETLK, F_WRLCK, 1, 1), 0);
    ask(&l[0], &first);
    await_blocked(&l[0], SYS_fcntl);
    /* Whichever request comes second is the one that would close the circle. */
    int second = do_lock(&l[1], 0, F_SETLKW, F_WRLCK, 0, 1);
    if (second == EDEADLK) {
        assert_int_equal(do_lock(&l[1], 0, F_SETLK, F_UNLCK, 0, 0), 0);
        assert_int_equal(answer_of(&l[0]).result, 0);
    } else {
        fail_msg("error %d instead of EDEADLK", second);
    }
    end_two(l);
}

static void a_cycle_over_two_files_is_told(void **state)
{
    struct locker l[2];
    struct call first = lock_call(1, F_SETLKW, F_WRLCK, 0, 0);

    start_two(*state, "cycle-a", l);
    assert_int_equal(do_open(&l[0], 1, *state, "cycle-b"), 0);
    assert_int_equal(do_open(&l[1], 1, *state, "cycle-b"), 0);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_WRLCK, 0, 0), 0);
    assert_int_equal(do_lock(&l[1], 1, F_SETLK, F_WRLCK, 0, 0), 0);
    ask(&l[0], &first);
    await_blocked(&l[0], SYS_fcntl);
    assert_int_equal(do_lock(&l[1], 0, F_SETLKW, F_RDLCK, 0, 0), EDEADLK);
    end_two(l);
}

static void closing_any_descriptor_drops_posix_locks(void **state)
{
    struct locker l[2];

    start_two(*state, "close", l);
    assert_int_equal(do_lock(&l[0], 0, F_SETLK, F_WRLCK, 0, 0), 0);
    assert_int_equal(do_open(&l[0], 1, *state, "close"), 0);
    assert_int_equal(do_close(&l[0], 1), 0);
    assert_int_equal(do_lock(&l[1], 0, F_SETLK, F_WRLCK, 0, 0), 0);
    end_two(l);
}

static void ofd_locks_belong_to_their_open_file(void **state)
{
    struct locker l[2];

    start_two(*state, "ofd", l);
    assert_int_equal(do_open(&l[0], 1, *state, "ofd"), 0);
    assert_int_equal(do_lock(&l[0], 0, F_OFD_SETLK, F_WRLCK, 0, 0), 0);
    assert_int_equal(do_lock(&l[0], 1, F_OFD_SETLK, F_RDLCK, 0, 0), EAGAIN);
    assert_int_equal(do_close(&l[0], 1), 0);
    assert_int_equal(do_lock(&l[1], 0, F_SETLK, F_RDLCK, 0, 0), EAGAIN);
    assert_int_equal(do_close(&l[0], 0), 0);
    assert_int_equal(do_lock(&l[1], 0, F_SETLKW, F_RDLCK, 0, 0), 0);
    end_two(l);
}

/** One process with two open files is not deadlocked by itself: another of its threads could unlock. */
static void ofd_locks_of_one_process_do_not_report_deadlock(void **state)
{
    struct locker l = start_locker(), other = start_locker();
    struct call wait = lock_call(0, F_OFD_SETLKW, F_WRLCK, 1, 1);

    assert_int_equal(do_open(&l, 0, *state, "ofd-deadlock"), 0);
    assert_int_equal(do_open(&l, 1, *state, "ofd-deadlock"), 0);
    assert_int_equal(do_lock(&l, 0, F_OFD_SETLK, F_WRLCK, 0, 1), 0);
    assert_int_equal(do_lock(&l, 1, F_OFD_SETLK, F_WRLCK, 1, 1), 0);
    ask(&l, &wait);
    await_blocked(&l, SYS_fcntl);
    kill(l.pid, SIGUSR1);
    assert_int_equal(answer_of(&l).error, EINTR);
    end_locker(&l);
    end_locker(&other);
}

static void flock_is_shared_or_exclusive(void **state)
{
    struct locker l[2];
    struct call wait = flock_call(0, LOCK_EX);

    start_two(*state, "flock", l);
    assert_int_equal(do_flock(&l[0], 0, LOCK_SH), 0);
    assert_int_equal(do_flock(&l[1], 0, LOCK_SH | LOCK_NB), 0);
    assert_int_equal(do_flock(&l[1], 0, LOCK_UN), 0);
    assert_int_equal(do_flock(&l[1], 0, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    assert_int_equal(do_lock(&l[1], 0, F_SETLK, F_WRLCK, 0, 0), 0);
    ask(&l[1], &wait);
    await_blocked(&l[1], SYS_flock);
    assert_int_equal(do_flock(&l[0], 0, LOCK_UN), 0);
    assert_int_equal(answer_of(&l[1]).result, 0);
    end_two(l);
}

/** Waits for the next answer, and gives whose it is; each is given once. */
static int answering(struct pollfd *answers, int n)
{
    assert_true(poll(answers, (nfds_t)n, -1) > 0);
    for (int i = 0; i < n; i++) {
        if (answers[i].fd >= 0 && answers[i].revents != 0) {
            answers[i].fd = -1;
            return i;
        }
    }
    fail_msg("poll told of nobody");
    return -1;
}

/** More waiting locks than the mount has threads, and it still answers. */
static void waiting_locks_hold_no_threads(void **state)
{
    enum { WAITERS = 60 };
    struct locker holder = start_locker(), waiters[WAITERS];
    struct call wait = lock_call(0, F_SETLKW, F_WRLCK, 0, 0);
    struct pollfd answers[WAITERS];
    int left = WAITERS;
    struct stat st;

    assert_int_equal(do_open(&holder, 0, *state, "many"), 0);
    assert_int_equal(do_lock(&holder, 0, F_SETLK, F_WRLCK, 0, 0), 0);
    for (int i = 0; i < WAITERS; i++) {
        waiters[i] = start_locker();
        assert_int_equal(do_open(&waiters[i], 0, *state, "many"), 0);
        answers[i] = (struct pollfd){.fd = waiters[i].replies, .events = POLLIN};
        ask(&waiters[i], &wait);
    }
    for (int i = 0; i < WAITERS; i++)
        await_blocked(&waiters[i], SYS_fcntl);
    write_file(mounted_path(*state, "meanwhile"), "x");
    assert_int_equal(stat(mounted_path(*state, "meanwhile"), &st), 0);
    assert_int_equal(do_lock(&holder, 0, F_SETLK, F_UNLCK, 0, 0), 0);
    for (; left > 0; left--) {
        /* In order of arrival, which is not quite the order of asking; each gives way to the next. */
        struct locker *next = &waiters[answering(answers, WAITERS)];

        assert_int_equal(answer_of(next).result, 0);
        assert_int_equal(do_lock(next, 0, F_SETLK, F_UNLCK, 0, 0), 0);
    }
    for (int i = 0; i < WAITERS; i++)
        end_locker(&waiters[i]);
    end_locker(&holder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_locks_exclude_other_processes),
        cmocka_unit_test(a_waiting_record_lock_is_granted_by_an_unlock),
        cmocka_unit_test(a_signal_interrupts_a_waiting_lock),
        cmocka_unit_test(interrupts_that_race_with_grants_lose_nothing),
        cmocka_unit_test(a_killed_process_leaves_no_locks),
        cmocka_unit_test(a_killed_waiter_is_forgotten),
        cmocka_unit_test(two_processes_that_wait_for_each_other_are_told),
        cmocka_unit_test(a_cycle_over_two_files_is_told),
        cmocka_unit_test(closing_any_descriptor_drops_posix_locks),
        cmocka_unit_test(ofd_locks_belong_to_their_open_file),
        cmocka_unit_test(ofd_locks_of_one_process_do_not_report_deadlock),
        cmocka_unit_test(flock_is_shared_or_exclusive),
        cmocka_unit_test(waiting_locks_hold_no_threads),
    };

    mounted_require();
    return cmocka_run_group_tests(tests, mounted_setup, mounted_teardown);
}
