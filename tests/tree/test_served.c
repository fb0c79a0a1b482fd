/* SPDX-License-Identifier: Apache-2.0 */
/** Two mounts whose store a server keeps: what they see of each other, and of the server when it is away. */
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

#include "engine/open.h"
#include "mount.h"
#include "served.h"

#define LEASE "s/.holdfast/lease"

static struct test_pki pki;
static struct served served;
static struct mount a, b;

static void open_mount_at(struct mount *mount, uint8_t number, uint32_t wait_ms, const char *url)
{
    struct tree_options options = {.root_uid = 1000, .root_gid = 1000, .wait_ms = wait_ms};

    options.identity.host_name = number == 1 ? "a" : "b";
    options.identity.mount_id[0] = number;
    mount_open_with(mount, url, &options);
}

static void open_mount(struct mount *mount, uint8_t number, uint32_t wait_ms)
{
    char url[600];

    served_url(&served, 0, url, sizeof url);
    open_mount_at(mount, number, wait_ms, url);
}

static int setup(void **state)
{
    char url[160];
    struct store *store;

    (void)state;
    test_pki_make(&pki);
    snprintf(url, sizeof url, "sqlite:%s/store.db", pki.dir);
    assert_int_equal(store_open(url, STORE_CREATE, NULL, &clock_system, &store, NULL), HF_OK);
    store_close(store);
    served_open(&served, &pki, url);
    open_mount(&a, 1, 0);
    open_mount(&b, 2, 0);
    return mount_mkdir(&a, "s", 0755);
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(mount_close(&a), HF_OK);
    assert_int_equal(mount_close(&b), HF_OK);
    served_stop(&served);
    test_pki_remove(&pki);
    return 0;
}

static bool says(struct mount *on, const char *path, const char *text)
{
    char found[64];

    return mount_read_text(on, path, found, sizeof found) == HF_OK && strcmp(found, text) == 0;
}

/* --- while the server is there -------------------------------------------------------------------- */

static void close_is_seen_by_the_next_open(void **state)
{
    char text[32];

    (void)state;
    for (int i = 0; i < 30; i++) {
        snprintf(text, sizeof text, "turn %d", i);
        assert_int_equal(mount_write_text(i % 2 ? &a : &b, "s/f", text), HF_OK);
        assert_true(says(i % 2 ? &b : &a, "s/f", text));
    }
}

static void mount_of_a_reader_is_read_only(void **state)
{
    struct mount reader;
    char url[600];

    (void)state;
    assert_int_equal(mount_write_text(&a, "s/f", "read me"), HF_OK);
    test_pki_host(&pki, "reader", "holdfast:reader");
    snprintf(url, sizeof url, "holdfast://127.0.0.1:%u?cert=%s", (unsigned)served.port,
             test_pki_path(&pki, "reader.pem"));
    open_mount_at(&reader, 3, 0, url);
    assert_true(says(&reader, "s/f", "read me"));
    assert_int_equal(mount_write_text(&reader, "s/f", "mine"), HF_ROFS);
    assert_int_equal(mount_write_text(&reader, "s/g", "mine"), HF_ROFS);
    assert_int_equal(mount_write_text(&reader, "top", "mine"), HF_ROFS);
    assert_int_equal(mount_mkdir(&reader, "t", 0755), HF_ROFS);
    assert_int_equal(mount_close(&reader), HF_OK);
    assert_true(says(&b, "s/f", "read me"));
}

static void pinned_session_is_busy_elsewhere(void **state)
{
    struct tree_handle *handle;

    (void)state;
    assert_int_equal(mount_openfile(&a, "s/f", O_CREAT | O_WRONLY, 0644, &handle), HF_OK);
    assert_int_equal(mount_mkdir(&b, "s/d", 0755), HF_BUSY);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(mount_mkdir(&b, "s/d", 0755), HF_OK);
}

static void *close_soon(void *arg)
{
    const struct timespec pause = {.tv_nsec = 100000000};

    nanosleep(&pause, NULL);
    mount_closefile(arg);
    return NULL;
}

static void change_waits_for_a_pinned_session(void **state)
{
    struct tree_handle *handle;
    struct mount patient;
    pthread_t thread;

    (void)state;
    open_mount(&patient, 3, 60000);
    assert_int_equal(mount_openfile(&a, "s/f", O_CREAT | O_WRONLY, 0644, &handle), HF_OK);
    assert_int_equal(pthread_create(&thread, NULL, close_soon, handle), 0);
    assert_int_equal(mount_mkdir(&patient, "s/d", 0755), HF_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(mount_mkdir(&a, "s/e", 0755), HF_OK);
    assert_int_equal(mount_close(&patient), HF_OK);
}

static struct lock_request lock_of(struct mount *mount, struct tree_handle *handle)
{
    struct tree_entry entry;

    assert_int_equal(mount_lookup(mount, LEASE, &entry), HF_OK);
    return (struct lock_request){.inode = entry.inode,
                                 .kind = LOCK_FLOCK,
                                 .type = LOCK_TYPE_WRITE,
                                 .end = UINT64_MAX,
                                 .owner = 1,
                                 .handle = (uint64_t)(uintptr_t)handle};
}

static void lock_on_the_lease_file_waits_over_the_network(void **state)
{
    struct waiting waiting = WAITING_INIT;
    struct tree_handle *of_a, *of_b;
    struct lock_request lock;
    uint64_t ticket;

    (void)state;
    assert_int_equal(mount_openfile(&a, LEASE, O_RDWR, 0, &of_a), HF_OK);
    assert_int_equal(mount_openfile(&b, LEASE, O_RDWR, 0, &of_b), HF_OK);
    lock = lock_of(&a, of_a);
    assert_int_equal(tree_lock(of_a, &lock, false, NULL, NULL, NULL), HF_OK);
    lock = lock_of(&b, of_b);
    assert_int_equal(tree_lock(of_b, &lock, false, NULL, NULL, NULL), HF_AGAIN);
    assert_int_equal(tree_lock(of_b, &lock, true, lock_done, &waiting, &ticket), HF_PENDING);
    assert_true(tree_lock_cancel(b.tree, ticket));
    assert_int_equal(await_lock(&waiting), HF_INTR);
    assert_int_equal(mount_mkdir(&a, "s/mine", 0755), HF_OK);
    assert_int_equal(tree_lock(of_b, &lock, true, lock_done, &waiting, &ticket), HF_PENDING);
    assert_int_equal(mount_closefile(of_a), HF_OK);
    assert_int_equal(await_lock(&waiting), HF_OK);
    assert_int_equal(mount_mkdir(&b, "s/theirs", 0755), HF_OK);
    assert_int_equal(mount_mkdir(&a, "s/again", 0755), HF_BUSY);
    assert_int_equal(mount_closefile(of_b), HF_OK);
    assert_int_equal(mount_mkdir(&a, "s/again", 0755), HF_OK);
}

static void locks_of_the_shared_tree_hold_on_both(void **state)
{
    struct waiting waiting = WAITING_INIT;
    struct lock_request lock = {
        .kind = LOCK_FLOCK, .type = LOCK_TYPE_WRITE, .end = UINT64_MAX, .owner = 1};
    struct tree_handle *of_a, *of_b;
    struct tree_entry entry;
    uint64_t ticket;

    (void)state;
    assert_int_equal(mount_mkdir(&a, ".d", 0755), HF_OK);
    assert_int_equal(mount_write_text(&a, ".d/l", ""), HF_OK);
    assert_int_equal(mount_openfile(&a, ".d/l", O_RDWR, 0, &of_a), HF_OK);
    assert_int_equal(mount_openfile(&b, ".d/l", O_RDWR, 0, &of_b), HF_OK);
    assert_int_equal(mount_lookup(&a, ".d/l", &entry), HF_OK);
    lock.inode = entry.inode;
    lock.handle = (uint64_t)(uintptr_t)of_a;
    assert_int_equal(tree_lock(of_a, &lock, false, NULL, NULL, NULL), HF_OK);
    lock.handle = (uint64_t)(uintptr_t)of_b;
    assert_int_equal(tree_lock(of_b, &lock, true, lock_done, &waiting, &ticket), HF_PENDING);
    assert_int_equal(mount_closefile(of_a), HF_OK);
    assert_int_equal(await_lock(&waiting), HF_OK);
    assert_int_equal(mount_closefile(of_b), HF_OK);
}

/* --- while it is away ------------------------------------------------------------------------------ */

static void *restart_soon(void *arg)
{
    const struct timespec pause = {.tv_nsec = 300000000};

    (void)arg;
    nanosleep(&pause, NULL);
    served_start(&served);
    return NULL;
}

/** An agent does not notice: its close takes a little longer. */
static void restart_of_the_server_is_waited_for(void **state)
{
    struct tree_handle *handle;
    pthread_t thread;

    (void)state;
    assert_int_equal(mount_openfile(&a, "s/f", O_CREAT | O_WRONLY, 0644, &handle), HF_OK);
    assert_int_equal(tree_write(handle, &a.caller, 0, "one", 3), HF_OK);
    served_stop(&served);
    assert_int_equal(pthread_create(&thread, NULL, restart_soon, NULL), 0);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_true(says(&b, "s/f", "one"));
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(mount_write_text(&a, "s/f", "two"), HF_OK);
    assert_true(says(&b, "s/f", "two"));
}

/** What is written goes to the store ahead of its commit: that waits like the commit. */
static void long_write_waits_for_the_server_too(void **state)
{
    uint64_t x = 88172645463325252ULL;
    static uint64_t block[(1 << 20) / 8], back[(1 << 20) / 8];
    struct tree_handle *handle;
    pthread_t thread;
    size_t len;

    (void)state;
    assert_int_equal(mount_openfile(&a, "s/f", O_CREAT | O_RDWR, 0644, &handle), HF_OK);
    served_stop(&served);
    assert_int_equal(pthread_create(&thread, NULL, restart_soon, NULL), 0);
    for (uint64_t i = 0; i < 24; i++) {
        for (size_t j = 0; j < sizeof block / sizeof *block; j++) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            block[j] = x;
        }
        assert_int_equal(tree_write(handle, &a.caller, i << 20, block, sizeof block), HF_OK);
    }
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(mount_openfile(&b, "s/f", O_RDONLY, 0, &handle), HF_OK);
    assert_int_equal(tree_read(handle, 23 << 20, sizeof back, (uint8_t *)back, &len), HF_OK);
    assert_int_equal(len, sizeof back);
    assert_memory_equal(back, block, sizeof back);
    assert_int_equal(mount_closefile(handle), HF_OK);
}

/** A reader has what it had. */
static void readers_are_served_from_memory(void **state)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    char names[64];

    (void)state;
    assert_int_equal(mount_write_text(&a, "s/f", "known"), HF_OK);
    assert_true(says(&b, "s/f", "known"));
    assert_int_equal(mount_list(&b, "", names, sizeof names), HF_OK);
    served_stop(&served);
    assert_true(says(&b, "s/f", "known")); /* after a moment's patience … */
    for (int i = 0; i < 100; i++)          /* … which is over then */
        assert_true(says(&b, "s/f", "known"));
    assert_int_equal(mount_list(&b, "", names, sizeof names), HF_OK);
    assert_string_equal(names, "s ");
    served_start(&served);
    assert_int_equal(mount_write_text(&a, "s/f", "news"), HF_OK);
    for (int i = 0; i < 1000 && !says(&b, "s/f", "news"); i++) /* once it is back in contact */
        nanosleep(&pause, NULL);
    assert_true(says(&b, "s/f", "news"));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(close_is_seen_by_the_next_open),
        TEST(mount_of_a_reader_is_read_only),
        TEST(pinned_session_is_busy_elsewhere),
        TEST(change_waits_for_a_pinned_session),
        TEST(lock_on_the_lease_file_waits_over_the_network),
        TEST(locks_of_the_shared_tree_hold_on_both),
        TEST(restart_of_the_server_is_waited_for),
        TEST(long_write_waits_for_the_server_too),
        TEST(readers_are_served_from_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
