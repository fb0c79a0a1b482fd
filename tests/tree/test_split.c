/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "engine/open.h"
#include "mount.h"
#include "tree/handle.h"
#include "tree/session.h"
#include "tree/view.h"

struct world {
    struct store *keeper;
    struct mount mount;
    struct tree_handle *handle; /* of session/log */
    size_t page;
};

static int world_open(void **state)
{
    static unsigned number;
    struct world *world = calloc(1, sizeof *world);
    char url[64];

    snprintf(url, sizeof url, "memory:split-%u", number++);
    assert_int_equal(store_open(url, STORE_CREATE, NULL, &clock_system, &world->keeper, NULL),
                     HF_OK);
    mount_open(&world->mount, url);
    world->page = (size_t)sysconf(_SC_PAGESIZE);
    assert_int_equal(mount_mkdir(&world->mount, "session", 0700), HF_OK);
    assert_int_equal(
        mount_openfile(&world->mount, "session/log", O_RDWR | O_CREAT, 0600, &world->handle),
        HF_OK);
    *state = world;
    return 0;
}

static int world_close(void **state)
{
    struct world *world = *state;

    if (world->handle)
        mount_closefile(world->handle);
    assert_int_equal(mount_close(&world->mount), HF_OK);
    store_close(world->keeper);
    free(world);
    return 0;
}

static void write_log(struct world *world, uint64_t offset, size_t len)
{
    char *data = malloc(len);

    memset(data, 'x', len);
    assert_int_equal(tree_write(world->handle, &world->mount.caller, offset, data, len), HF_OK);
    free(data);
}

/** Size of the log in the head that the store has. */
static uint64_t committed_size(struct world *world)
{
    struct blob_cache *cache = blob_cache_new(world->keeper, 1 << 20);
    struct view_node node = {0};
    struct session_head head;
    struct view *view;
    uint64_t size;

    assert_int_equal(store_session_find(world->keeper, "session", &head, NULL), HF_OK);
    assert_int_equal(view_open(cache, &head.root, &view, NULL), HF_OK);
    assert_int_equal(view_lookup(view, "log", &node, NULL), HF_OK);
    size = node.record.size;
    view_node_clear(&node);
    view_free(view);
    blob_cache_free(cache);
    return size;
}

/** How often commits have waited so far. */
static uint64_t waits(struct world *world)
{
    struct session *session = world->handle->session;
    uint64_t n;

    pthread_mutex_lock(&session->lock);
    n = session->split_waits;
    pthread_mutex_unlock(&session->lock);
    return n;
}

static void *write_other_part(void *arg)
{
    struct world *world = arg;

    nanosleep(&(struct timespec){.tv_nsec = 3000000}, NULL);
    write_log(world, world->page, 500);
    return NULL;
}

static void commit_waits_for_the_other_part_of_a_write(void **state)
{
    struct world *world = *state;
    pthread_t thread;

    write_log(world, world->page - 100, 100);
    pthread_create(&thread, NULL, write_other_part, world);
    assert_int_equal(mount_write_text(&world->mount, "session/other", "text"), HF_OK);
    assert_int_equal(committed_size(world), world->page + 500);
    pthread_join(thread, NULL);
}

static void write_that_ends_with_its_page_is_committed_after_a_moment(void **state)
{
    struct world *world = *state;

    write_log(world, world->page - 100, 100);
    assert_int_equal(mount_write_text(&world->mount, "session/other", "text"), HF_OK);
    assert_int_equal(committed_size(world), world->page);
    assert_true(waits(world) > 0);
}

static void close_of_the_file_itself_waits_for_nothing(void **state)
{
    struct world *world = *state;

    write_log(world, world->page - 100, 100);
    assert_int_equal(tree_flush(world->handle, 0), HF_OK);
    assert_int_equal(waits(world), 0);
    assert_int_equal(committed_size(world), world->page);
}

static atomic_bool stop;

static void *write_without_end(void *arg)
{
    struct world *world = arg;

    while (!atomic_load(&stop)) {
        write_log(world, world->page - 100, 100);
        write_log(world, 0, 100);
        write_log(world, world->page - 100, 100);
    }
    return NULL;
}

static void unbroken_stream_of_writes_holds_no_commit_up_for_ever(void **state)
{
    struct world *world = *state;
    pthread_t thread;

    atomic_store(&stop, false);
    pthread_create(&thread, NULL, write_without_end, world);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(mount_write_text(&world->mount, "session/other", "text"), HF_OK);
    atomic_store(&stop, true);
    pthread_join(thread, NULL);
}

static void closed_handle_is_not_waited_for(void **state)
{
    struct world *world = *state;
    struct tree_handle *handle;

    assert_int_equal(mount_openfile(&world->mount, "session/log", O_RDWR, 0, &handle), HF_OK);
    assert_int_equal(tree_write(handle, &world->mount.caller, world->page - 1, "x", 1), HF_OK);
    tree_release(handle);
    assert_int_equal(mount_write_text(&world->mount, "session/other", "text"), HF_OK);
    assert_int_equal(waits(world), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, world_open, world_close)
        T(commit_waits_for_the_other_part_of_a_write),
        T(write_that_ends_with_its_page_is_committed_after_a_moment),
        T(close_of_the_file_itself_waits_for_nothing),
        T(unbroken_stream_of_writes_holds_no_commit_up_for_ever),
        T(closed_handle_is_not_waited_for),
#undef T
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
