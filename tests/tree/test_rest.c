/* SPDX-License-Identifier: Apache-2.0 */
/** Sessions that go to rest: what the kernel knows of them is as before when they are used again. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include "mount.h"
#include "tree/evict.h"

/** So little that a session goes to rest as soon as it is looked for one. */
#define LITTLE 4096

static atomic_uint told, expired;

static void note_entry(void *arg, uint64_t parent, const char *name)
{
    (void)arg;
    (void)parent;
    if (strcmp(name, "f") == 0)
        atomic_fetch_add(&expired, 1);
}

static void ignore_entry(void *arg, uint64_t parent, const char *name)
{
    (void)arg;
    (void)parent;
    (void)name;
}

static void note_inode(void *arg, uint64_t inode, int64_t from)
{
    (void)arg;
    (void)inode;
    if (from >= 0)
        atomic_fetch_add(&told, 1);
}

static char url[64];

/** Until the mount knows that the one before it is gone. */
static void await_solitude(struct mount *mount)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    struct tree_entry entry = {.entry_timeout = 0};

    for (int i = 0; i < 5000 && !(entry.entry_timeout > 0); i++) {
        assert_int_equal(mount_lookup(mount, "s", &entry), HF_OK);
        nanosleep(&pause, NULL);
    }
    assert_true(entry.entry_timeout > 0);
    atomic_store(&told, 0);
}

static int setup(void **state)
{
    struct tree_options options = {.memory_limit = LITTLE,
                                   .kernel = {.inval_entry = ignore_entry,
                                              .expire_entry = note_entry,
                                              .inval_inode = note_inode}};
    static struct mount mount;
    struct mount before;
    static int n;

    snprintf(url, sizeof url, "memory:rest%d", n++);
    mount_open(&before, url);
    assert_int_equal(mount_mkdir(&before, "s", 0755), HF_OK);
    assert_int_equal(mount_mkdir(&before, "s/d", 0755), HF_OK);
    assert_int_equal(mount_write_text(&before, "s/d/f", "before"), HF_OK);
    assert_int_equal(mount_write_text(&before, "s/g", "beside"), HF_OK);
    assert_int_equal(tree_close(before.tree, NULL), HF_OK);
    mount_open_with(&mount, url, &options);
    store_close(before.store);
    await_solitude(&mount);
    *state = &mount;
    return 0;
}

static int teardown(void **state)
{
    return mount_close(*state);
}

static uint64_t loaded(struct mount *mount)
{
    struct tree_stats stats;

    tree_stats(mount->tree, &stats);
    return stats.sessions_loaded;
}

/** Until the session rests; the threads of the tree may have it in hand still. */
static void await_rest(struct mount *mount)
{
    const struct timespec pause = {.tv_nsec = 5000000};

    for (int i = 0; i < 1000 && loaded(mount) > 0; i++) {
        evict_idle(mount->tree);
        nanosleep(&pause, NULL);
    }
    assert_int_equal(loaded(mount), 0);
}

/** The kernel looks a path up and remembers: what is on the way has look-ups too. */
static struct tree_entry remember(struct mount *mount, const char *path)
{
    char names[64], *name, *rest = names;
    struct tree_entry entry = {.inode = TREE_ROOT};

    snprintf(names, sizeof names, "%s", path);
    while ((name = strsep(&rest, "/")))
        assert_int_equal(tree_lookup(mount->tree, entry.inode, name, &entry), HF_OK);
    assert_int_not_equal(entry.inode, 0);
    return entry;
}

static int read_inode(struct mount *mount, uint64_t inode, char *ret_text, size_t size,
                      bool *ret_keep)
{
    struct tree_handle *handle;
    size_t len = 0;
    int rc = tree_open_file(mount->tree, &mount->caller, inode, O_RDONLY, &handle, ret_keep);

    if (rc != HF_OK)
        return rc;
    rc = tree_read(handle, 0, size - 1, (uint8_t *)ret_text, &len);
    ret_text[len] = '\0';
    tree_release(handle);
    return rc;
}

static void session_at_rest_is_synced_with_all_others(void **state)
{
    struct mount *mount = *state;

    remember(mount, "s/d/f");
    assert_int_equal(mount_write_text(mount, "s/g", "committed, but not synced"), HF_OK);
    await_rest(mount);
    assert_int_equal(tree_commit_all(mount->tree, true, NULL), HF_OK);
    assert_int_equal(loaded(mount), 0);
}

static void inodes_at_rest_live_again(void **state)
{
    struct mount *mount = *state;
    struct tree_entry before = remember(mount, "s/d/f"), after;
    char text[32];
    bool keep;

    assert_int_equal(read_inode(mount, before.inode, text, sizeof text, &keep), HF_OK);
    await_rest(mount);
    assert_int_equal(tree_getattr(mount->tree, before.inode, &after), HF_OK);
    assert_int_equal(loaded(mount), 1);
    assert_memory_equal(&after.attr, &before.attr, sizeof before.attr);
    assert_int_equal(read_inode(mount, before.inode, text, sizeof text, &keep), HF_OK);
    assert_string_equal(text, "before");
    assert_true(keep); /* nothing has changed: the kernel may go on with its pages */
    assert_int_equal(atomic_load(&told), 0);
}

static void session_at_rest_goes_when_the_kernel_forgets_it(void **state)
{
    struct mount *mount = *state;
    uint64_t file = remember(mount, "s/d/f").inode;
    uint64_t dir = remember(mount, "s/d").inode, top = remember(mount, "s").inode;
    struct tree_entry entry;

    await_rest(mount);
    tree_forget(mount->tree, file, 1);
    tree_forget(mount->tree, dir, 2);
    tree_forget(mount->tree, top, 2);
    assert_int_equal(tree_getattr(mount->tree, top, &entry), HF_OK); /* it has one more */
    assert_int_equal(tree_getattr(mount->tree, file, &entry), HF_STALE);
    await_rest(mount);
    tree_forget(mount->tree, top, 1);
    assert_int_equal(tree_getattr(mount->tree, dir, &entry), HF_STALE);
}

/** Another host changes what is at rest here. */
static void session_wakes_as_another_host_left_it(void **state)
{
    struct mount *mount = *state;
    struct tree_options options = {.identity = {.host_name = "b", .mount_id = {200}}};
    uint64_t file = remember(mount, "s/d/f").inode, beside = remember(mount, "s/g").inode;
    struct tree_entry entry;
    struct mount other;
    char text[32];
    bool keep;

    assert_int_equal(read_inode(mount, file, text, sizeof text, &keep), HF_OK);
    mount_open_with(&other, url, &options);
    assert_true(mount_awaits_another(mount));
    await_rest(mount);
    assert_int_equal(mount_write_text(&other, "s/d/f", "after!"), HF_OK);
    assert_int_equal(mount_unlink(&other, "s/g"), HF_OK);
    assert_int_equal(tree_commit_all(other.tree, false, NULL), HF_OK);
    assert_int_equal(read_inode(mount, file, text, sizeof text, &keep), HF_OK);
    assert_string_equal(text, "after!");
    assert_false(keep);
    assert_true(atomic_load(&told) > 0);
    assert_int_equal(tree_getattr(mount->tree, beside, &entry), HF_STALE);
    assert_int_equal(mount_close(&other), HF_OK);
}

/** What the kernel was told to believe for ever, it is told to ask for when it is not alone any more. */
static void kernel_forgets_names_of_a_session_at_rest(void **state)
{
    struct mount *mount = *state;
    struct tree_options options = {.identity = {.host_name = "b", .mount_id = {200}}};
    const struct timespec pause = {.tv_nsec = 1000000};
    struct mount other;
    unsigned before;

    assert_true(remember(mount, "s/d/f").entry_timeout > 0);
    assert_int_equal(loaded(mount), 1);
    await_rest(mount);
    before = atomic_load(&expired);
    mount_open_with(&other, url, &options);
    for (int i = 0; i < 5000 && atomic_load(&expired) == before; i++)
        nanosleep(&pause, NULL);
    assert_true(atomic_load(&expired) > before);
    assert_int_equal(mount_close(&other), HF_OK);
}

static void open_file_keeps_a_session_awake(void **state)
{
    struct mount *mount = *state;
    uint64_t file = remember(mount, "s/d/f").inode;
    struct tree_handle *handle;
    bool keep;

    assert_int_equal(tree_open_file(mount->tree, &mount->caller, file, O_RDONLY, &handle, &keep),
                     HF_OK);
    evict_idle(mount->tree);
    assert_int_equal(loaded(mount), 1);
    tree_release(handle);
    await_rest(mount);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(session_at_rest_is_synced_with_all_others),
        TEST(inodes_at_rest_live_again),
        TEST(session_at_rest_goes_when_the_kernel_forgets_it),
        TEST(session_wakes_as_another_host_left_it),
        TEST(kernel_forgets_names_of_a_session_at_rest),
        TEST(open_file_keeps_a_session_awake),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
