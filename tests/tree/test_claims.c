/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tree/claims.h"

/** A live process of ours, `child` being a child of it. Both end when `hold` is closed. */
struct family {
    pid_t pid, child;
    int hold;
};

static void until_closed(int fd)
{
    char byte;

    while (read(fd, &byte, 1) > 0)
        ;
    _exit(0);
}

static struct family start_family(void)
{
    struct family f = {0};
    int hold[2], tell[2];

    assert_int_equal(pipe(hold), 0);
    assert_int_equal(pipe(tell), 0);
    f.pid = fork();
    if (f.pid == 0) {
        pid_t child;

        close(hold[1]);
        child = fork();
        if (child == 0)
            until_closed(hold[0]);
        if (write(tell[1], &child, sizeof child) != sizeof child)
            _exit(1);
        until_closed(hold[0]);
    }
    close(hold[0]);
    close(tell[1]);
    assert_int_equal(read(tell[0], &f.child, sizeof f.child), sizeof f.child);
    close(tell[0]);
    f.hold = hold[1];
    return f;
}

/** Ends the parent, leaving the child; the kill is complete when this returns. */
static void kill_parent(const struct family *f)
{
    kill(f->pid, SIGKILL);
    assert_int_equal(waitpid(f->pid, NULL, 0), f->pid);
}

static int setup(void **state)
{
    *state = claims_new(NULL);
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    claims_free(*state);
    return 0;
}

static void patterns_are_matched(void **state)
{
    struct claims *own = claims_new("a*:*.b"), *none = claims_new(""), *odd = claims_new("::x::");

    assert_true(claims_match(*state, "inuse.123.lock"));
    assert_false(claims_match(*state, "inuse.123.hold"));
    assert_true(claims_match(own, "abc"));
    assert_true(claims_match(own, "c.b"));
    assert_false(claims_match(own, "inuse.1.lock"));
    assert_false(claims_match(none, "inuse.1.lock"));
    assert_true(claims_match(odd, "x"));
    assert_false(claims_match(odd, ""));
    claims_free(own);
    claims_free(none);
    claims_free(odd);
}

static void a_second_process_is_refused_and_told_by_whom(void **state)
{
    struct family f = start_family(), g = start_family();
    struct hf_error err = {0};
    char pid[32];
    bool is_new = false;

    assert_int_equal(claims_take(*state, 5, "inuse.1.lock", f.pid, &is_new, &err), 0);
    assert_true(is_new);
    assert_int_equal(claims_take(*state, 5, "inuse.2.lock", g.pid, &is_new, &err), HF_BUSY);
    snprintf(pid, sizeof pid, "%d", (int)f.pid);
    assert_non_null(strstr(err.message, pid));
    assert_int_equal(claims_take(*state, 6, "inuse.2.lock", g.pid, &is_new, &err), 0);
    assert_int_equal(claims_holder(*state, 5), f.pid);
    assert_int_equal(claims_holder(*state, 7), 0);
    close(f.hold);
    close(g.hold);
    kill_parent(&f);
    kill_parent(&g);
}

static void a_child_of_the_claimant_passes_and_its_parent_does_not(void **state)
{
    struct family f = start_family();
    bool is_new = true;

    assert_int_equal(claims_take(*state, 5, "inuse.1.lock", f.pid, &is_new, NULL), 0);
    assert_int_equal(claims_take(*state, 5, "inuse.2.lock", f.child, &is_new, NULL), 0);
    assert_false(is_new);
    claims_drop(*state, 5, "inuse.1.lock");
    assert_int_equal(claims_take(*state, 5, "inuse.1.lock", f.pid, &is_new, NULL), HF_BUSY);
    assert_int_equal(claims_take(*state, 5, "inuse.2.lock", f.child, &is_new, NULL), 0);
    assert_false(is_new);
    close(f.hold);
    kill_parent(&f);
}

static void a_claim_ends_when_its_process_is_killed(void **state)
{
    struct family f = start_family();
    bool is_new = false;

    assert_int_equal(claims_take(*state, 5, "inuse.1.lock", f.pid, &is_new, NULL), 0);
    assert_int_equal(claims_take(*state, 5, "inuse.2.lock", getpid(), &is_new, NULL), HF_BUSY);
    kill_parent(&f);
    assert_int_equal(claims_holder(*state, 5), 0);
    is_new = false;
    assert_int_equal(claims_take(*state, 5, "inuse.2.lock", getpid(), &is_new, NULL), 0);
    assert_true(is_new);
    close(f.hold);
}

static void a_zombie_holds_nothing(void **state)
{
    struct family f = start_family();
    siginfo_t info;
    bool is_new;

    assert_int_equal(claims_take(*state, 5, "inuse.1.lock", f.pid, &is_new, NULL), 0);
    kill(f.pid, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)f.pid, &info, WEXITED | WNOWAIT), 0);
    assert_int_equal(claims_holder(*state, 5), 0);
    close(f.hold);
    waitpid(f.pid, NULL, 0);
}

static void removing_the_file_ends_the_claim(void **state)
{
    struct family f = start_family();
    bool is_new;

    assert_int_equal(claims_take(*state, 5, "inuse.1.lock", f.pid, &is_new, NULL), 0);
    claims_drop(*state, 5, "inuse.9.lock");
    assert_int_equal(claims_holder(*state, 5), f.pid);
    claims_drop(*state, 5, "inuse.1.lock");
    assert_int_equal(claims_holder(*state, 5), 0);
    claims_drop_session(*state, 5);
    close(f.hold);
    kill_parent(&f);
}

static void a_lost_session_has_no_claims(void **state)
{
    struct family f = start_family();
    bool is_new;

    assert_int_equal(claims_take(*state, 5, "inuse.1.lock", f.pid, &is_new, NULL), 0);
    assert_int_equal(claims_take(*state, 5, "inuse.2.lock", f.child, &is_new, NULL), 0);
    assert_int_equal(claims_take(*state, 6, "inuse.2.lock", f.child, &is_new, NULL), 0);
    claims_drop_session(*state, 5);
    assert_int_equal(claims_holder(*state, 5), 0);
    assert_int_equal(claims_holder(*state, 6), f.child);
    close(f.hold);
    kill_parent(&f);
}

struct thread_call {
    struct claims *claims;
    int status;
};

static void *claim_from_thread(void *arg)
{
    struct thread_call *call = arg;
    bool is_new;

    call->status =
        claims_take(call->claims, 5, "inuse.1.lock", (pid_t)syscall(SYS_gettid), &is_new, NULL);
    return NULL;
}

static void a_thread_claims_for_its_process(void **state)
{
    struct thread_call call = {*state, -1};
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, claim_from_thread, &call), 0);
    pthread_join(thread, NULL);
    assert_int_equal(call.status, 0);
    assert_int_equal(claims_holder(*state, 5), getpid());
}

static void a_caller_that_cannot_be_seen_holds_nothing(void **state)
{
    bool is_new = false;

    assert_int_equal(claims_take(*state, 5, "inuse.1.lock", 0, &is_new, NULL), 0);
    assert_int_equal(claims_holder(*state, 5), 0);
    assert_int_equal(claims_take(*state, 5, "inuse.2.lock", getpid(), &is_new, NULL), 0);
    assert_int_equal(claims_take(*state, 5, "inuse.1.lock", 0, &is_new, NULL), HF_BUSY);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(patterns_are_matched),
        TEST(a_second_process_is_refused_and_told_by_whom),
        TEST(a_child_of_the_claimant_passes_and_its_parent_does_not),
        TEST(a_claim_ends_when_its_process_is_killed),
        TEST(a_zombie_holds_nothing),
        TEST(removing_the_file_ends_the_claim),
        TEST(a_lost_session_has_no_claims),
        TEST(a_thread_claims_for_its_process),
        TEST(a_caller_that_cannot_be_seen_holds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
