/* SPDX-License-Identifier: Apache-2.0 */
/** A mount whose store is far away, and sometimes out of reach: what it refuses, and what it keeps. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "far.h"

static struct mount mount;
static struct far *far;

static int setup(void **state)
{
    (void)state;
    far = far_open(&mount);
    return mount_mkdir(&mount, "s", 0755);
}

static int teardown(void **state)
{
    (void)state;
    far_expire(far, false);
    far_near(far, true);
    assert_int_equal(far_close(far, &mount), HF_OK);
    return 0;
}

/** Retries for a while what depends on another thread. */
#define EVENTUALLY(condition)                                                                      \
    do {                                                                                           \
        const struct timespec pause = {.tv_nsec = 5000000};                                        \
        int tries = 1000;                                                                          \
        while (!(condition) && tries-- > 0)                                                        \
            nanosleep(&pause, NULL);                                                               \
        assert_true(condition);                                                                    \
    } while (0)

static int count_rescue(const struct root_info *root, void *arg)
{
    *(unsigned *)arg += root->kind == ROOT_RESCUE;
    return 0;
}

static unsigned rescues(void)
{
    unsigned n = 0;

    assert_int_equal(store_roots(mount.store, count_rescue, &n, NULL), HF_OK);
    return n;
}

static bool says(struct mount *on, const char *path, const char *text)
{
    char found[64];

    return mount_read_text(on, path, found, sizeof found) == HF_OK && strcmp(found, text) == 0;
}

static uint64_t token_of(const char *path)
{
    struct tree_entry entry;
    char token[32] = "";
    size_t len;

    assert_int_equal(mount_lookup(&mount, path, &entry), HF_OK);
    assert_int_equal(tree_getxattr(mount.tree, entry.inode, "user.holdfast.token", token,
                                   sizeof token - 1, &len),
                     HF_OK);
    return strtoull(token, NULL, 10);
}

static uint64_t sid_of(const char *name)
{
    struct session_head head;

    assert_int_equal(store_session_find(mount.store, name, &head, NULL), HF_OK);
    return head.sid;
}

static struct tree_handle *open_and_write(const char *path, const char *text)
{
    struct tree_handle *handle;

    assert_int_equal(mount_openfile(&mount, path, O_CREAT | O_RDWR, 0644, &handle), HF_OK);
    assert_int_equal(tree_write(handle, &mount.caller, 0, text, strlen(text)), HF_OK);
    return handle;
}

/* --- the deadline ------------------------------------------------------------------------------- */

static void nothing_is_admitted_after_the_deadline(void **state)
{
    struct tree_handle *handle = open_and_write("s/f", "before");

    (void)state;
    far_expire(far, true);
    assert_int_equal(tree_write(handle, &mount.caller, 0, "x", 1), HF_FENCED);
    assert_int_equal(mount_mkdir(&mount, "s/d", 0755), HF_FENCED);
    assert_int_equal(mount_unlink(&mount, "s/f"), HF_FENCED);
    assert_int_equal(mount_mkdir(&mount, "t", 0755), HF_FENCED);
    assert_int_equal(mount_mkdir(&mount, ".shared", 0755), HF_FENCED);
    assert_true(says(&mount, "s/f", "before"));
    far_expire(far, false); /* a heartbeat got through */
    assert_int_equal(tree_write(handle, &mount.caller, 0, "B", 1), HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_true(says(&mount, "s/f", "Before"));
}

static void locks_are_not_granted_after_the_deadline(void **state)
{
    struct tree_handle *handle = open_and_write("s/f", "x");
    struct lock_request lock = {.kind = LOCK_FLOCK,
                                .type = LOCK_TYPE_WRITE,
                                .end = UINT64_MAX,
                                .owner = 1,
                                .handle = (uint64_t)(uintptr_t)handle};
    struct tree_entry entry;

    (void)state;
    assert_int_equal(mount_lookup(&mount, "s/f", &entry), HF_OK);
    lock.inode = entry.inode;
    far_expire(far, true);
    assert_int_equal(tree_lock(handle, &lock, false, NULL, NULL, NULL), HF_FENCED);
    far_expire(far, false);
    assert_int_equal(tree_lock(handle, &lock, false, NULL, NULL, NULL), HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
}

/* --- work that the store could not be given ------------------------------------------------------ */

static void work_is_committed_late_when_the_lease_is_still_ours(void **state)
{
    struct tree_handle *handle = open_and_write("s/f", "one");

    (void)state;
    far_cut(far);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    assert_int_equal(tree_write(handle, &mount.caller, 0, "x", 1), HF_FENCED);
    far_near(far, true);
    EVENTUALLY(tree_write(handle, &mount.caller, 3, "two", 3) == HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_true(says(&mount, "s/f", "onetwo"));
    assert_int_equal(rescues(), 0);
}

static void work_is_rescued_when_the_lease_went_meanwhile(void **state)
{
    struct tree_handle *handle = open_and_write("s/f", "unsaved");
    struct mount other;

    (void)state;
    far_other(far, &other);
    far_cut(far);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    assert_int_equal(store_lease_break(other.store, 1, 1, "the holder is cut off", NULL), HF_OK);
    assert_int_equal(mount_write_text(&other, "s/f", "other"), HF_OK);
    assert_int_equal(rescues(), 0);
    far_near(far, true);
    EVENTUALLY(rescues() == 1);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    tree_release(handle);
    EVENTUALLY(says(&mount, "s/f", "other"));
    assert_int_equal(mount_close(&other), HF_OK);
    assert_int_equal(mount_write_text(&mount, "s/f", "ours again"), HF_OK);
}

/** The commit arrived; only its answer did not. */
static void commit_without_an_answer_is_found_in_the_history(void **state)
{
    struct tree_handle *handle = open_and_write("s/f", "one");

    (void)state;
    far_deafen(far);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    far_near(far, true);
    EVENTUALLY(tree_write(handle, &mount.caller, 3, "two", 3) == HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_true(says(&mount, "s/f", "onetwo"));
    assert_int_equal(rescues(), 0);
}

/** It arrived, and then the lease went to another, who went on from there: nothing has to be kept. */
static void commit_that_arrived_needs_no_rescue(void **state)
{
    struct tree_handle *handle = open_and_write("s/f", "one");
    struct mount other;

    (void)state;
    far_other(far, &other);
    far_deafen(far);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    far_cut(far);
    tree_release(handle);
    assert_int_equal(store_lease_break(other.store, 1, 1, "the holder is cut off", NULL), HF_OK);
    assert_true(says(&other, "s/f", "one"));
    assert_int_equal(mount_write_text(&other, "s/f", "two"), HF_OK);
    far_near(far, true);
    EVENTUALLY(mount_write_text(&mount, "s/g", "x") == HF_OK);
    assert_true(says(&mount, "s/f", "two"));
    assert_int_equal(rescues(), 0);
    assert_int_equal(mount_close(&other), HF_OK);
}

/** Nobody tells that contact is back: the timer tries. */
static void lost_work_is_tried_again_without_being_told(void **state)
{
    struct tree_handle *handle = open_and_write("s/f", "one");

    (void)state;
    far_cut(far);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    far_near(far, false);
    EVENTUALLY(tree_write(handle, &mount.caller, 0, "x", 1) == HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
}

static void work_that_cannot_be_kept_at_the_end_is_told_by_name(void **state)
{
    struct tree_handle *handle = open_and_write("s/f", "one");
    struct hf_error err = {0};

    far_cut(far);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    tree_release(handle);
    assert_int_not_equal(tree_close(mount.tree, &err), HF_OK);
    assert_non_null(strstr(err.message, "session s"));
    mount.tree = NULL;
    far_near(far, false);
    far_close(far, &mount);
    setup(state);
}

/* --- events -------------------------------------------------------------------------------------- */

static void lease_that_was_lost_without_a_word_is_noticed(void **state)
{
    uint64_t token = token_of("s");

    (void)state;
    assert_int_not_equal(token, 0);
    assert_int_equal(store_lease_release(mount.store, 1, sid_of("s"), token, NULL), HF_OK);
    far_tell(far, EVENT_MISSED, 0, 0);
    EVENTUALLY(token_of("s") == 0);
    assert_int_equal(mount_write_text(&mount, "s/f", "x"), HF_OK);
    assert_true(token_of("s") > token);
}

/** The host session ended behind the mount's back: what was leased under it is rescued, and the mount goes on. */
static void host_that_was_taken_for_dead_comes_back_as_another(void **state)
{
    struct tree_handle *handle = open_and_write("s/f", "unsaved");
    uint64_t token = token_of("s");

    (void)state;
    far_kill_host(far);
    EVENTUALLY(rescues() == 1);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    tree_release(handle);
    EVENTUALLY(mount_write_text(&mount, "s/f", "again") == HF_OK);
    assert_true(token_of("s") > token);
    assert_true(says(&mount, "s/f", "again"));
    assert_int_equal(mount_mkdir(&mount, "t", 0755), HF_OK);
}

/** It could not register at once. */
static void mount_registers_as_soon_as_it_can(void **state)
{
    struct tree_handle *handle = open_and_write("s/f", "unsaved");

    (void)state;
    far_cut(far);
    far_kill_host(far);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    tree_release(handle);
    far_near(far, false);
    EVENTUALLY(rescues() == 1);
    EVENTUALLY(mount_write_text(&mount, "s/f", "again") == HF_OK);
}

static int lock_through(struct tree_handle *handle, uint64_t inode)
{
    struct lock_request lock = {.inode = inode,
                                .kind = LOCK_FLOCK,
                                .type = LOCK_TYPE_WRITE,
                                .end = UINT64_MAX,
                                .owner = (uint64_t)(uintptr_t)handle,
                                .handle = (uint64_t)(uintptr_t)handle};

    return tree_lock(handle, &lock, false, NULL, NULL, NULL);
}

static bool is_lost(struct tree_handle *handle)
{
    uint8_t byte;
    size_t len;

    return tree_read(handle, 0, 1, &byte, &len) == HF_IO;
}

/** Another host may have had the lock since: its file is of no use any more, and others are. */
static void file_whose_lock_is_gone_answers_errors(void **state)
{
    struct tree_handle *locked, *other;
    struct tree_entry entry;

    (void)state;
    assert_int_equal(mount_mkdir(&mount, ".locks", 0755), HF_OK);
    assert_int_equal(mount_write_text(&mount, ".locks/l", "x"), HF_OK);
    assert_int_equal(mount_lookup(&mount, ".locks/l", &entry), HF_OK);
    assert_int_equal(mount_openfile(&mount, ".locks/l", O_RDWR, 0, &locked), HF_OK);
    assert_int_equal(mount_openfile(&mount, ".locks/l", O_RDWR, 0, &other), HF_OK);
    assert_int_equal(lock_through(locked, entry.inode), HF_OK);
    assert_int_equal(lock_through(other, entry.inode), HF_AGAIN);
    far_kill_host(far);
    EVENTUALLY(is_lost(locked));
    assert_int_equal(tree_write(locked, &mount.caller, 0, "y", 1), HF_FENCED);
    assert_int_equal(lock_through(locked, entry.inode), HF_IO);
    EVENTUALLY(lock_through(other, entry.inode) == HF_OK);
    assert_false(is_lost(other));
    assert_int_equal(mount_closefile(other), HF_OK);
    assert_int_equal(mount_closefile(locked), HF_OK);
}

static bool locks_elsewhere(struct mount *other, struct tree_handle *handle)
{
    struct tree_entry entry;
    struct lock_request lock = {.kind = LOCK_FLOCK,
                                .type = LOCK_TYPE_WRITE,
                                .end = UINT64_MAX,
                                .owner = 1,
                                .handle = (uint64_t)(uintptr_t)handle};

    assert_int_equal(mount_lookup(other, ".l", &entry), HF_OK);
    lock.inode = entry.inode;
    return tree_lock(handle, &lock, false, NULL, NULL, NULL) == HF_OK;
}

/** A file is closed while the store cannot be told that its lock is free. */
static void unlock_that_the_store_did_not_hear_is_told_later(void **state)
{
    struct tree_handle *locked, *elsewhere;
    struct tree_entry entry;
    struct mount other;

    (void)state;
    far_other(far, &other);
    assert_int_equal(mount_write_text(&mount, ".l", "x"), HF_OK);
    assert_int_equal(mount_lookup(&mount, ".l", &entry), HF_OK);
    assert_int_equal(mount_openfile(&mount, ".l", O_RDONLY, 0, &locked), HF_OK);
    assert_int_equal(mount_openfile(&other, ".l", O_RDONLY, 0, &elsewhere), HF_OK);
    assert_int_equal(lock_through(locked, entry.inode), HF_OK);
    far_cut(far);
    assert_int_equal(mount_closefile(locked), HF_OK);
    assert_false(locks_elsewhere(&other, elsewhere));
    far_near(far, true);
    EVENTUALLY(locks_elsewhere(&other, elsewhere));
    assert_int_equal(mount_closefile(elsewhere), HF_OK);
    assert_int_equal(mount_close(&other), HF_OK);
}

/** The store granted a lease to this mount that nothing here waited for any more. */
static void lease_that_nobody_here_knows_of_is_given_back_when_it_is_wanted(void **state)
{
    struct mount other;
    struct lease lease;

    (void)state;
    far_other(far, &other);
    assert_int_equal(store_lease_release(mount.store, 1, sid_of("s"), token_of("s"), NULL), HF_OK);
    far_tell(far, EVENT_MISSED, 0, 0);
    EVENTUALLY(token_of("s") == 0);
    assert_int_equal(store_lease_acquire(mount.store, 1, sid_of("s"), 0, &lease, NULL), HF_OK);
    assert_int_equal(mount_write_text(&other, "s/f", "theirs"), HF_OK);
    assert_true(says(&mount, "s/f", "theirs"));
    assert_int_equal(mount_close(&other), HF_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_admitted_after_the_deadline),
        TEST(locks_are_not_granted_after_the_deadline),
        TEST(work_is_committed_late_when_the_lease_is_still_ours),
        TEST(work_is_rescued_when_the_lease_went_meanwhile),
        TEST(commit_without_an_answer_is_found_in_the_history),
        TEST(commit_that_arrived_needs_no_rescue),
        TEST(lost_work_is_tried_again_without_being_told),
        TEST(work_that_cannot_be_kept_at_the_end_is_told_by_name),
        TEST(lease_that_was_lost_without_a_word_is_noticed),
        TEST(lease_that_nobody_here_knows_of_is_given_back_when_it_is_wanted),
        TEST(host_that_was_taken_for_dead_comes_back_as_another),
        TEST(mount_registers_as_soon_as_it_can),
        TEST(file_whose_lock_is_gone_answers_errors),
        TEST(unlock_that_the_store_did_not_hear_is_told_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
