/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>

#include "base/htable.h"
#include "engine/open.h"
#include "mount.h"
#include "tree/handle.h"
#include "tree/session.h"

#define MIB ((size_t)1 << 20)
#define PIECE (MIB / 4)
#define FILE_BYTES (24 * MIB)
#define MEMORY (64 * MIB) /* of which a file may have two before it is spilled */

static void fill(uint8_t *data, uint64_t offset, uint64_t seed)
{
    for (size_t i = 0; i < PIECE; i++)
        data[i] = (uint8_t)htable_hash_u64(seed * 1000003 + (offset + i) / 3);
}

struct writing {
    struct mount *mount;
    const char *path;
    uint64_t seed;
    size_t most; /* that the sink had */
};

static struct tree_handle *open_file(struct mount *mount, const char *path, int flags)
{
    struct tree_handle *handle;

    assert_int_equal(mount_openfile(mount, path, flags, 0600, &handle), HF_OK);
    return handle;
}

static struct tree_handle *write_long(struct writing *writing)
{
    struct tree_handle *handle = open_file(writing->mount, writing->path, O_RDWR | O_CREAT);
    uint8_t *data = malloc(PIECE);

    for (uint64_t at = 0; at < FILE_BYTES; at += PIECE) {
        fill(data, at, writing->seed);
        assert_int_equal(tree_write(handle, &writing->mount->caller, at, data, PIECE), HF_OK);
        pthread_mutex_lock(&handle->session->lock);
        if (handle->session->sink.bytes > writing->most)
            writing->most = handle->session->sink.bytes;
        pthread_mutex_unlock(&handle->session->lock);
    }
    free(data);
    return handle;
}

static void assert_content(struct mount *mount, const char *path, uint64_t seed)
{
    struct tree_handle *handle = open_file(mount, path, O_RDONLY);
    uint8_t *data = malloc(PIECE), *expected = malloc(PIECE);
    size_t len = 0;

    for (uint64_t at = 0; at < FILE_BYTES; at += PIECE) {
        fill(expected, at, seed);
        assert_int_equal(tree_read(handle, at, PIECE, data, &len), HF_OK);
        assert_int_equal(len, PIECE);
        assert_memory_equal(data, expected, PIECE);
    }
    assert_int_equal(mount_closefile(handle), HF_OK);
    free(expected);
    free(data);
}

static void open_small(struct mount *mount, const char *url)
{
    const struct tree_options options = {.memory_limit = MEMORY};

    mount_open_with(mount, url, &options);
}

static void long_write_is_in_the_store_before_it_ends(void **state)
{
    struct store_stats before, after;
    struct tree_handle *handle;
    struct mount mount;
    struct writing writing = {.mount = &mount, .path = "session/file", .seed = 1};

    (void)state;
    open_small(&mount, "memory:spill-before");
    assert_int_equal(mount_mkdir(&mount, "session", 0700), HF_OK);
    assert_int_equal(store_stats(mount.store, &before, NULL), HF_OK);
    handle = write_long(&writing);
    assert_int_equal(store_stats(mount.store, &after, NULL), HF_OK);
    assert_true(after.objects > before.objects + FILE_BYTES / 2 / 65536);
    /* What is moved, as much again, and what the last spill added. */
    assert_in_range(writing.most, 1, MEMORY / 32 * 4);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_content(&mount, "session/file", 1);
    assert_int_equal(mount_close(&mount), HF_OK);
}

static void *write_and_close(void *arg)
{
    assert_int_equal(mount_closefile(write_long(arg)), HF_OK);
    return NULL;
}

static void several_long_writes_get_along(void **state)
{
    struct mount mount;
    struct writing writings[] = {
        {&mount, "one/a", 1, 0}, {&mount, "one/b", 2, 0}, {&mount, "two/c", 3, 0}};
    pthread_t threads[3];

    (void)state;
    open_small(&mount, "memory:spill-several");
    assert_int_equal(mount_mkdir(&mount, "one", 0700), HF_OK);
    assert_int_equal(mount_mkdir(&mount, "two", 0700), HF_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_and_close, &writings[i]), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 0; i < 3; i++)
        assert_content(&mount, writings[i].path, writings[i].seed);
    assert_int_equal(mount_close(&mount), HF_OK);
}

static void end_of_the_mount_waits_for_a_spill(void **state)
{
    struct store *keeper;
    struct mount mount;
    struct writing writing = {.mount = &mount, .path = "session/file", .seed = 1};

    (void)state;
    assert_int_equal(
        store_open("memory:spill-end", STORE_CREATE, NULL, &clock_system, &keeper, NULL), HF_OK);
    open_small(&mount, "memory:spill-end");
    assert_int_equal(mount_mkdir(&mount, "session", 0700), HF_OK);
    assert_int_equal(mount_closefile(write_long(&writing)), HF_OK);
    assert_int_equal(mount_close(&mount), HF_OK);
    open_small(&mount, "memory:spill-end");
    assert_content(&mount, "session/file", 1);
    assert_int_equal(mount_close(&mount), HF_OK);
    store_close(keeper);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_write_is_in_the_store_before_it_ends),
        cmocka_unit_test(several_long_writes_get_along),
        cmocka_unit_test(end_of_the_mount_waits_for_a_spill),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
