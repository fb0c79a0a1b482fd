/* SPDX-License-Identifier: Apache-2.0 */
/** <session>/.holdfast/lease: what it says, and what a lock on it does to two mounts. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mount.h"

#define LEASE "s/.holdfast/lease"

struct pair {
    struct mount a, b;
};

static int setup(void **state)
{
    static struct pair pair;
    static int n;
    char url[64];

    snprintf(url, sizeof url, "memory:leasefile%d", n++);
    mount_open(&pair.a, url);
    mount_open(&pair.b, url);
    assert_true(mount_awaits_another(&pair.a) && mount_awaits_another(&pair.b));
    *state = &pair;
    return mount_mkdir(&pair.a, "s", 0755);
}

static int teardown(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(mount_close(&pair->a), HF_OK);
    assert_int_equal(mount_close(&pair->b), HF_OK);
    return 0;
}

/** A lock request for an open lease file. */
static struct lock_request lock_of(struct mount *mount, struct tree_handle *handle,
                                   enum lock_type type)
{
    struct tree_entry entry;

    assert_int_equal(mount_lookup(mount, LEASE, &entry), HF_OK);
    return (struct lock_request){.inode = entry.inode,
                                 .kind = LOCK_FLOCK,
                                 .type = type,
                                 .end = UINT64_MAX,
                                 .owner = 1,
                                 .handle = (uint64_t)(uintptr_t)handle,
                                 .pid = (uint32_t)getpid()};
}

static struct tree_handle *open_lease(struct mount *mount)
{
    struct tree_handle *handle;

    assert_int_equal(mount_openfile(mount, LEASE, O_RDWR, 0, &handle), HF_OK);
    return handle;
}

static int set_lock(struct mount *mount, struct tree_handle *handle, enum lock_type type)
{
    struct lock_request lock = lock_of(mount, handle, type);

    return tree_lock(handle, &lock, false, NULL, NULL, NULL);
}

static void opening_it_takes_nothing(void **state)
{
    struct pair *pair = *state;
    struct tree_handle *handle;

    assert_int_equal(mount_mkdir(&pair->a, "s/d", 0755), HF_OK);
    assert_int_equal(mount_openfile(&pair->b, LEASE, O_WRONLY | O_TRUNC, 0, &handle), HF_OK);
    assert_int_equal(tree_write(handle, &pair->b.caller, 0, "x", 1), HF_PERM);
    assert_int_equal(mount_mkdir(&pair->a, "s/e", 0755), HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
}

static void write_lock_holds_the_session(void **state)
{
    struct pair *pair = *state;
    struct tree_handle *a = open_lease(&pair->a), *b = open_lease(&pair->b);
    char text[512];

    assert_int_equal(set_lock(&pair->a, a, LOCK_TYPE_WRITE), HF_OK);
    assert_int_equal(mount_mkdir(&pair->b, "s/d", 0755), HF_BUSY);
    assert_int_equal(set_lock(&pair->b, b, LOCK_TYPE_WRITE), HF_AGAIN);
    assert_int_equal(mount_mkdir(&pair->a, "s/mine", 0755), HF_OK);
    assert_int_equal(mount_read_text(&pair->b, LEASE, text, sizeof text), HF_OK);
    assert_non_null(strstr(text, "{\"session\": \"s\", \"sid\": 1, \"state\": \"held\""));
    assert_non_null(strstr(text, "\"here\": false, \"host\": \"host\""));
    assert_non_null(strstr(text, "\"pinned_by\": \"held by pid "));
    assert_int_equal(mount_read_text(&pair->a, LEASE, text, sizeof text), HF_OK);
    assert_non_null(strstr(text, "\"here\": true"));
    assert_int_equal(set_lock(&pair->a, a, LOCK_TYPE_NONE), HF_OK);
    assert_int_equal(mount_mkdir(&pair->b, "s/d", 0755), HF_OK);
    assert_int_equal(mount_closefile(a), HF_OK);
    assert_int_equal(mount_closefile(b), HF_OK);
}

static void closing_it_lets_go(void **state)
{
    struct pair *pair = *state;
    struct tree_handle *a = open_lease(&pair->a);
    char text[512];

    assert_int_equal(set_lock(&pair->a, a, LOCK_TYPE_WRITE), HF_OK);
    assert_int_equal(mount_closefile(a), HF_OK);
    assert_int_equal(mount_mkdir(&pair->b, "s/d", 0755), HF_OK);
    assert_int_equal(mount_mkdir(&pair->a, "t", 0755), HF_OK);
    assert_int_equal(mount_list(&pair->a, "s/.holdfast", text, sizeof text), HF_OK);
    assert_string_equal(text, "lease versions ");
}

/* --- waiting --------------------------------------------------------------------------------------- */

static void waiting_lock_gets_the_session_when_it_is_let_go(void **state)
{
    struct pair *pair = *state;
    struct tree_handle *a = open_lease(&pair->a), *b = open_lease(&pair->b);
    struct lock_request lock = lock_of(&pair->b, b, LOCK_TYPE_WRITE);
    struct waiting waiting = WAITING_INIT;
    uint64_t ticket;

    assert_int_equal(set_lock(&pair->a, a, LOCK_TYPE_WRITE), HF_OK);
    assert_int_equal(tree_lock(b, &lock, true, lock_done, &waiting, &ticket), HF_PENDING);
    assert_false(waiting.done);
    assert_int_equal(mount_mkdir(&pair->a, "s/d", 0755), HF_OK);
    assert_int_equal(set_lock(&pair->a, a, LOCK_TYPE_NONE), HF_OK);
    assert_int_equal(await_lock(&waiting), HF_OK);
    assert_int_equal(mount_mkdir(&pair->a, "s/e", 0755), HF_BUSY);
    assert_int_equal(mount_mkdir(&pair->b, "s/e", 0755), HF_OK);
    assert_int_equal(mount_closefile(a), HF_OK);
    assert_int_equal(mount_closefile(b), HF_OK);
}

static void waiting_lock_can_be_interrupted(void **state)
{
    struct pair *pair = *state;
    struct tree_handle *a = open_lease(&pair->a), *b = open_lease(&pair->b);
    struct lock_request lock = lock_of(&pair->b, b, LOCK_TYPE_WRITE);
    struct waiting waiting = WAITING_INIT;
    uint64_t ticket;

    assert_int_equal(set_lock(&pair->a, a, LOCK_TYPE_WRITE), HF_OK);
    assert_int_equal(tree_lock(b, &lock, true, lock_done, &waiting, &ticket), HF_PENDING);
    assert_true(tree_lock_cancel(pair->b.tree, ticket));
    assert_int_equal(await_lock(&waiting), HF_INTR);
    assert_false(tree_lock_cancel(pair->b.tree, ticket));
    assert_int_equal(set_lock(&pair->a, a, LOCK_TYPE_NONE), HF_OK);
    assert_int_equal(mount_mkdir(&pair->a, "s/d", 0755), HF_OK);
    assert_int_equal(mount_closefile(a), HF_OK);
    assert_int_equal(mount_closefile(b), HF_OK);
}

/** With the lease, a request that waits for another process of its own mount waits in the lock table. */
static void waiting_lock_waits_for_its_own_mount_too(void **state)
{
    struct pair *pair = *state;
    struct tree_handle *a = open_lease(&pair->a), *b1 = open_lease(&pair->b),
                       *b2 = open_lease(&pair->b);
    struct lock_request first = lock_of(&pair->b, b1, LOCK_TYPE_WRITE),
                        second = lock_of(&pair->b, b2, LOCK_TYPE_WRITE);
    struct waiting one = WAITING_INIT;
    struct waiting two = WAITING_INIT;
    uint64_t ticket;

    second.owner = 2;
    assert_int_equal(set_lock(&pair->a, a, LOCK_TYPE_WRITE), HF_OK);
    assert_int_equal(tree_lock(b1, &first, true, lock_done, &one, &ticket), HF_PENDING);
    assert_int_equal(tree_lock(b2, &second, true, lock_done, &two, &ticket), HF_PENDING);
    assert_int_equal(mount_closefile(a), HF_OK);
    assert_int_equal(await_lock(&one), HF_OK);
    assert_false(two.done);
    assert_int_equal(mount_closefile(b1), HF_OK);
    assert_int_equal(await_lock(&two), HF_OK);
    assert_int_equal(mount_closefile(b2), HF_OK);
}

/** A mount that ends interrupts those who wait. */
static void waiting_lock_ends_with_the_mount(void **state)
{
    struct pair *pair = *state;
    struct tree_handle *a = open_lease(&pair->a), *b = open_lease(&pair->b);
    struct lock_request lock = lock_of(&pair->b, b, LOCK_TYPE_WRITE);
    struct waiting waiting = WAITING_INIT;
    uint64_t ticket;
    char url[80];

    assert_int_equal(set_lock(&pair->a, a, LOCK_TYPE_WRITE), HF_OK);
    assert_int_equal(tree_lock(b, &lock, true, lock_done, &waiting, &ticket), HF_PENDING);
    snprintf(url, sizeof url, "%s", store_info(pair->b.store)->location);
    assert_int_equal(mount_close(&pair->b), HF_OK);
    assert_int_equal(await_lock(&waiting), HF_INTR);
    assert_int_equal(mount_closefile(a), HF_OK);
    mount_open(&pair->b, url);
}

static atomic_bool signalled;

static bool is_signalled(void *arg)
{
    (void)arg;
    return atomic_load(&signalled);
}

static void *try_to_change(void *arg)
{
    static int status;

    status = mount_mkdir(arg, "s/d", 0755);
    return &status;
}

/** A mount that waits for pinned sessions, on a thread of each request. */
static void signal_ends_the_wait_of_a_change(void **state)
{
    struct tree_options options = {.wait_ms = 600000, .kernel = {.interrupted = is_signalled}};
    const struct timespec pause = {.tv_nsec = 50000000};
    struct pair *pair = *state;
    struct tree_handle *a = open_lease(&pair->a);
    struct mount c;
    pthread_t thread;
    void *status;

    options.identity.host_name = "c";
    options.identity.mount_id[0] = 99;
    mount_open_with(&c, store_info(pair->a.store)->location, &options);
    assert_int_equal(set_lock(&pair->a, a, LOCK_TYPE_WRITE), HF_OK);
    atomic_store(&signalled, false);
    assert_int_equal(pthread_create(&thread, NULL, try_to_change, &c), 0);
    nanosleep(&pause, NULL); /* it may come to wait or not: both are interrupted */
    atomic_store(&signalled, true);
    assert_int_equal(pthread_join(thread, &status), 0);
    assert_int_equal(*(int *)status, HF_INTR);
    atomic_store(&signalled, false);
    assert_int_equal(pthread_create(&thread, NULL, try_to_change, &c), 0);
    nanosleep(&pause, NULL);
    assert_int_equal(mount_closefile(a), HF_OK);
    assert_int_equal(pthread_join(thread, &status), 0);
    assert_int_equal(*(int *)status, HF_OK);
    assert_int_equal(mount_close(&c), HF_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(opening_it_takes_nothing),
        TEST(write_lock_holds_the_session),
        TEST(closing_it_lets_go),
        TEST(waiting_lock_gets_the_session_when_it_is_let_go),
        TEST(waiting_lock_can_be_interrupted),
        TEST(waiting_lock_waits_for_its_own_mount_too),
        TEST(waiting_lock_ends_with_the_mount),
        TEST(signal_ends_the_wait_of_a_change),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
