/* SPDX-License-Identifier: Apache-2.0 */
/** <session>/.holdfast/lease: what it says, and what a lock on it does to two mounts. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
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

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(opening_it_takes_nothing),
        TEST(write_lock_holds_the_session),
        TEST(closing_it_lets_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
