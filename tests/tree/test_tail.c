/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "mount.h"
#include "tree/handle.h"
#include "tree/session.h"

#define PAGE 4096

/** What the kernel was given last, and a gate before which it keeps whoever gives. */
struct kernel {
    struct mount mount;
    pthread_mutex_t lock; /* guards what follows */
    pthread_cond_t cond;
    bool shut, waiting;
    unsigned given, dropped;
    uint64_t offset;
    size_t len;
    char data[PAGE];
};

static void drop_entry(void *arg, uint64_t parent, const char *name)
{
    (void)arg;
    (void)parent;
    (void)name;
}

static void drop_content(void *arg, uint64_t inode, int64_t from)
{
    struct kernel *kernel = arg;

    (void)inode;
    pthread_mutex_lock(&kernel->lock);
    kernel->dropped += from >= 0;
    pthread_mutex_unlock(&kernel->lock);
}

static void take_content(void *arg, uint64_t inode, uint64_t offset, const void *data, size_t len)
{
    struct kernel *kernel = arg;

    (void)inode;
    pthread_mutex_lock(&kernel->lock);
    kernel->waiting = true;
    pthread_cond_broadcast(&kernel->cond);
    while (kernel->shut)
        pthread_cond_wait(&kernel->cond, &kernel->lock);
    kernel->given++;
    kernel->offset = offset;
    kernel->len = len;
    assert_true(len <= sizeof kernel->data);
    memcpy(kernel->data, data, len);
    pthread_mutex_unlock(&kernel->lock);
}

static int open_kernel(void **state)
{
    struct kernel *kernel = calloc(1, sizeof *kernel);
    struct tree_options options = {.kernel = {.inval_entry = drop_entry,
                                              .expire_entry = drop_entry,
                                              .inval_inode = drop_content,
                                              .store_content = take_content,
                                              .arg = kernel}};

    options.identity.host_name = "host";
    pthread_mutex_init(&kernel->lock, NULL);
    pthread_cond_init(&kernel->cond, NULL);
    mount_open_with(&kernel->mount, "memory:", &options);
    assert_int_equal(mount_mkdir(&kernel->mount, "session", 0700), HF_OK);
    *state = kernel;
    return 0;
}

static int close_kernel(void **state)
{
    struct kernel *kernel = *state;

    assert_int_equal(mount_close(&kernel->mount), HF_OK);
    free(kernel);
    return 0;
}

static struct tree_handle *open_log(struct kernel *kernel, int flags)
{
    struct tree_handle *handle;

    assert_int_equal(mount_openfile(&kernel->mount, "session/log", flags, 0600, &handle), HF_OK);
    return handle;
}

static void append(struct kernel *kernel, struct tree_handle *handle, uint64_t at, size_t len)
{
    char *data = malloc(len);

    for (size_t i = 0; i < len; i++)
        data[i] = (char)('a' + (at + i) % 26);
    assert_int_equal(tree_append(handle, &kernel->mount.caller, at, data, len), HF_OK);
    free(data);
}

static void the_page_that_an_append_has_begun_is_given(void **state)
{
    struct kernel *kernel = *state;
    struct tree_handle *handle = open_log(kernel, O_RDWR | O_CREAT | O_APPEND);

    append(kernel, handle, 0, PAGE - 10);
    append(kernel, handle, PAGE - 10, 30);
    assert_int_equal(kernel->given, 0);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(kernel->given, 1);
    assert_int_equal(kernel->offset, PAGE);
    assert_int_equal(kernel->len, 20);
    for (size_t i = 0; i < kernel->len; i++)
        assert_int_equal(kernel->data[i], 'a' + (PAGE + i) % 26);
}

static void a_page_that_the_kernel_has_is_not_given(void **state)
{
    struct kernel *kernel = *state;
    struct tree_handle *handle = open_log(kernel, O_RDWR | O_CREAT | O_APPEND);

    append(kernel, handle, 0, 100);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(kernel->given, 1);
    handle = open_log(kernel, O_RDWR | O_APPEND);
    append(kernel, handle, 100, 100);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(kernel->given, 1);
    handle = open_log(kernel, O_RDWR | O_APPEND);
    append(kernel, handle, 200, 2 * PAGE - 200);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(kernel->given, 1);
}

static void nothing_is_given_while_somebody_may_write(void **state)
{
    struct kernel *kernel = *state;
    struct tree_handle *other = open_log(kernel, O_RDWR | O_CREAT);
    struct tree_handle *handle = open_log(kernel, O_RDWR | O_APPEND);

    append(kernel, handle, 0, 100);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(kernel->given, 0);
    assert_int_equal(mount_closefile(other), HF_OK);
    handle = open_log(kernel, O_RDONLY);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(kernel->given, 0);
}

static void nothing_is_given_while_somebody_may_read(void **state)
{
    struct kernel *kernel = *state;
    struct tree_handle *handle = open_log(kernel, O_RDWR | O_CREAT | O_APPEND);
    struct tree_handle *reader = open_log(kernel, O_RDONLY);

    append(kernel, handle, 0, 100);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(kernel->given, 0);
    assert_int_equal(mount_closefile(reader), HF_OK);
}

/* --- beside others ------------------------------------------------------------------------------ */

static void *close_log(void *handle)
{
    assert_int_equal(mount_closefile(handle), HF_OK);
    return NULL;
}

static void set_gate(struct kernel *kernel, bool shut)
{
    pthread_mutex_lock(&kernel->lock);
    kernel->shut = shut;
    pthread_cond_broadcast(&kernel->cond);
    pthread_mutex_unlock(&kernel->lock);
}

static void await_gate(struct kernel *kernel)
{
    pthread_mutex_lock(&kernel->lock);
    while (!kernel->waiting)
        pthread_cond_wait(&kernel->cond, &kernel->lock);
    pthread_mutex_unlock(&kernel->lock);
}

static void *open_gate_later(void *arg)
{
    nanosleep(&(struct timespec){.tv_nsec = 50000000}, NULL);
    set_gate(arg, false);
    return NULL;
}

static void who_opens_to_write_waits_until_it_is_given(void **state)
{
    struct kernel *kernel = *state;
    struct tree_handle *handle = open_log(kernel, O_RDWR | O_CREAT | O_APPEND);
    pthread_t giver, porter;

    append(kernel, handle, 0, 100);
    set_gate(kernel, true);
    assert_int_equal(pthread_create(&giver, NULL, close_log, handle), 0);
    await_gate(kernel);
    assert_int_equal(pthread_create(&porter, NULL, open_gate_later, kernel), 0);
    handle = open_log(kernel, O_RDWR | O_APPEND);
    pthread_mutex_lock(&kernel->lock);
    assert_int_equal(kernel->given, 1);
    pthread_mutex_unlock(&kernel->lock);
    pthread_join(giver, NULL);
    pthread_join(porter, NULL);
    assert_int_equal(kernel->dropped, 0);
    assert_int_equal(mount_closefile(handle), HF_OK);
}

static void who_works_with_other_files_does_not_wait(void **state)
{
    struct kernel *kernel = *state;
    struct tree_handle *handle = open_log(kernel, O_RDWR | O_CREAT | O_APPEND);
    struct tree_handle *other;
    pthread_t giver;

    append(kernel, handle, 0, 100);
    set_gate(kernel, true);
    assert_int_equal(pthread_create(&giver, NULL, close_log, handle), 0);
    await_gate(kernel);
    assert_int_equal(
        mount_openfile(&kernel->mount, "session/other", O_RDWR | O_CREAT, 0600, &other), HF_OK);
    append(kernel, other, 0, 100);
    assert_int_equal(mount_closefile(other), HF_OK);
    assert_int_equal(mount_openfile(&kernel->mount, "session/other", O_RDWR, 0, &other), HF_OK);
    set_gate(kernel, false);
    pthread_join(giver, NULL);
    assert_int_equal(kernel->given, 1);
    assert_int_equal(kernel->dropped, 0); /* as nobody has waited in vain */
    assert_int_equal(mount_closefile(other), HF_OK);
}

/** The kernel may hold the giver up by a page that only another request can bring. */
static void what_was_given_too_late_is_dropped_again(void **state)
{
    struct kernel *kernel = *state;
    struct tree_handle *handle = open_log(kernel, O_RDWR | O_CREAT | O_APPEND);
    pthread_t giver;

    append(kernel, handle, 0, 100);
    set_gate(kernel, true);
    assert_int_equal(pthread_create(&giver, NULL, close_log, handle), 0);
    await_gate(kernel);
    handle = open_log(kernel, O_RDWR | O_APPEND);
    assert_int_equal(kernel->given, 0);
    set_gate(kernel, false);
    pthread_join(giver, NULL);
    assert_int_equal(kernel->given, 1);
    assert_int_equal(kernel->dropped, 1);
    assert_int_equal(mount_closefile(handle), HF_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_kernel, close_kernel)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_page_that_an_append_has_begun_is_given),
        TEST(a_page_that_the_kernel_has_is_not_given),
        TEST(nothing_is_given_while_somebody_may_write),
        TEST(nothing_is_given_while_somebody_may_read),
        TEST(who_opens_to_write_waits_until_it_is_given),
        TEST(who_works_with_other_files_does_not_wait),
        TEST(what_was_given_too_late_is_dropped_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
