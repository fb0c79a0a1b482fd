/* SPDX-License-Identifier: Apache-2.0 */
/** A store that fails: what the application is told, and what is there afterwards. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "engine/decorator/faulty.h"
#include "mount.h"

static char url[64];

static int setup(void **state)
{
    static struct mount mount;
    static int n;

    snprintf(url, sizeof url, "faulty()+memory:faults%d", n++);
    mount_open(&mount, url);
    *state = &mount;
    return mount_mkdir(&mount, "s", 0755);
}

static int teardown(void **state)
{
    struct mount *mount = *state;

    faulty_store_set(mount->store, NULL, NULL);
    mount_close(mount);
    return 0;
}

/** Another mount takes over; nothing fails any more. */
static void remount(struct mount *mount)
{
    struct mount next;

    assert_int_equal(faulty_store_set(mount->store, NULL, NULL), HF_OK);
    tree_close(mount->tree, NULL);
    mount_open(&next, url);
    store_close(mount->store);
    *mount = next;
}

static void full_store_is_told_and_tried_again(void **state)
{
    struct mount *mount = *state;
    char text[64];

    assert_int_equal(mount_write_text(mount, "s/a", "before"), HF_OK);
    assert_int_equal(faulty_store_set(mount->store, "commit@1:ENOSPC+", NULL), HF_OK);
    assert_int_equal(mount_write_text(mount, "s/b", "full"), HF_NOSPC);
    assert_int_equal(mount_read_text(mount, "s/b", text, sizeof text), HF_OK);
    assert_string_equal(text, "full");
    assert_int_equal(mount_write_text(mount, "s/c", "full"), HF_NOSPC);
    assert_int_equal(faulty_store_set(mount->store, NULL, NULL), HF_OK);
    assert_int_equal(mount_write_text(mount, "s/d", "room again"), HF_OK);
    remount(mount);
    assert_int_equal(mount_read_text(mount, "s/b", text, sizeof text), HF_OK);
    assert_string_equal(text, "full");
    assert_int_equal(mount_read_text(mount, "s/d", text, sizeof text), HF_OK);
    assert_string_equal(text, "room again");
}

static void full_store_is_told_to_a_long_write(void **state)
{
    struct mount *mount = *state;
    struct tree_handle *handle;
    uint64_t offset = 0, x = 88172645463325252ULL;
    uint8_t *block = malloc(1 << 20);
    int rc = HF_OK;

    assert_int_equal(mount_openfile(mount, "s/a", O_CREAT | O_WRONLY, 0644, &handle), HF_OK);
    assert_int_equal(faulty_store_set(mount->store, "put@1:ENOSPC+, commit@1:ENOSPC+", NULL),
                     HF_OK);
    for (int i = 0; i < 64 && rc == HF_OK; i++, offset += 1 << 20) {
        for (size_t j = 0; j < 1 << 20; j += 8) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            memcpy(block + j, &x, 8);
        }
        rc = tree_write(handle, &mount->caller, offset, block, 1 << 20);
    }
    assert_int_equal(rc, HF_NOSPC);
    assert_int_equal(tree_flush(handle, 0), HF_NOSPC);
    assert_int_equal(faulty_store_set(mount->store, NULL, NULL), HF_OK);
    assert_int_equal(tree_write(handle, &mount->caller, offset, block, 1 << 20), HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
    free(block);
}

static void failed_commit_fails_the_session_until_it_is_reloaded(void **state)
{
    struct mount *mount = *state;
    struct tree_handle *handle;
    struct tree_entry entry;
    char text[64];

    assert_int_equal(mount_write_text(mount, "s/a", "before"), HF_OK);
    assert_int_equal(mount_openfile(mount, "s/a", O_RDWR, 0, &handle), HF_OK);
    assert_int_equal(tree_write(handle, &mount->caller, 0, "damage", 6), HF_OK);
    assert_int_equal(faulty_store_set(mount->store, "commit@1:EIO", NULL), HF_OK);
    assert_int_equal(tree_flush(handle, 0), HF_IO);
    assert_int_equal(tree_write(handle, &mount->caller, 0, "again", 5), HF_FAILED);
    assert_int_equal(tree_fsync(handle), HF_FAILED);
    assert_int_equal(mount_mkdir(mount, "s/d", 0755), HF_FAILED);
    tree_release(handle);
    assert_int_equal(mount_read_text(mount, "s/a", text, sizeof text), HF_OK);
    assert_string_equal(text, "before");
    assert_int_equal(mount_mkdir(mount, "s/d", 0755), HF_OK);
    assert_int_equal(mount_lookup(mount, "s/d", &entry), HF_OK);
    remount(mount);
    assert_int_equal(mount_lookup(mount, "s/d", &entry), HF_OK);
}

static void commit_whose_answer_was_lost_is_found_again(void **state)
{
    struct mount *mount = *state;
    char text[64];

    assert_int_equal(mount_write_text(mount, "s/a", "before"), HF_OK);
    assert_int_equal(faulty_store_set(mount->store, "commit@1:EIO!", NULL), HF_OK);
    assert_int_equal(mount_write_text(mount, "s/a", "after"), HF_IO);
    assert_int_equal(mount_read_text(mount, "s/a", text, sizeof text), HF_OK);
    assert_string_equal(text, "after");
    assert_int_equal(mount_write_text(mount, "s/a", "later"), HF_OK);
}

static void failed_sync_is_not_called_good_later(void **state)
{
    struct mount *mount = *state;
    struct tree_handle *handle;

    assert_int_equal(mount_openfile(mount, "s/a", O_CREAT | O_RDWR, 0644, &handle), HF_OK);
    assert_int_equal(tree_write(handle, &mount->caller, 0, "x", 1), HF_OK);
    assert_int_equal(tree_flush(handle, 0), HF_OK);
    assert_int_equal(faulty_store_set(mount->store, "sync@1:EIO", NULL), HF_OK);
    assert_int_equal(tree_fsync(handle), HF_IO);
    assert_int_equal(tree_fsync(handle), HF_FAILED);
    assert_int_equal(tree_write(handle, &mount->caller, 0, "y", 1), HF_FAILED);
    tree_release(handle);
}

static uint64_t token_of(struct mount *mount, const char *path)
{
    struct tree_entry entry;
    char token[32] = "";
    size_t len;

    assert_int_equal(mount_lookup(mount, path, &entry), HF_OK);
    assert_int_equal(tree_getxattr(mount->tree, entry.inode, "user.holdfast.token", token,
                                   sizeof token - 1, &len),
                     HF_OK);
    return strtoull(token, NULL, 10);
}

/** Takes the lease of "s" away, and waits until the mount has noticed. */
static void break_lease(struct mount *mount)
{
    const struct timespec pause = {.tv_nsec = 1000000};
    uint64_t token = token_of(mount, "s");
    struct session_head head;

    assert_int_equal(store_session_find(mount->store, "s", &head, NULL), HF_OK);
    assert_int_equal(store_lease_break(mount->store, head.sid, token, "a test", NULL), HF_OK);
    for (int i = 0; i < 5000 && token_of(mount, "s") == token; i++)
        nanosleep(&pause, NULL);
}

static void fsync_after_a_lost_lease_waits_for_the_medium(void **state)
{
    struct mount *mount = *state;
    struct tree_handle *handle;

    assert_int_equal(mount_openfile(mount, "s/a", O_CREAT | O_RDWR, 0644, &handle), HF_OK);
    assert_int_equal(tree_write(handle, &mount->caller, 0, "x", 1), HF_OK);
    assert_int_equal(tree_flush(handle, 0), HF_OK); /* committed, but not synced */
    break_lease(mount);
    assert_int_equal(faulty_store_set(mount->store, "sync@1:EIO", NULL), HF_OK);
    assert_int_equal(tree_fsync(handle), HF_IO);
    assert_int_equal(tree_fsync(handle), HF_FAILED);
    tree_release(handle);
}

static void fsync_of_a_directory_tells_once_that_names_were_taken_away(void **state)
{
    struct mount *mount = *state;
    struct tree_handle *directory;
    struct tree_entry entry;

    assert_int_equal(mount_lookup(mount, "s", &entry), HF_OK);
    assert_int_equal(tree_opendir(mount->tree, entry.inode, &directory), HF_OK);
    assert_int_equal(mount_mkdir(mount, "s/d", 0755), HF_OK);
    assert_int_equal(faulty_store_set(mount->store, "commit@1:EIO", NULL), HF_OK);
    assert_int_equal(mount_write_text(mount, "s/a", "not committed"), HF_IO);
    assert_int_equal(mount_lookup(mount, "s/d", &entry), HF_NOENT);
    assert_int_equal(tree_fsyncdir(directory), HF_FENCED);
    assert_int_equal(tree_fsyncdir(directory), HF_OK);
    assert_int_equal(mount_mkdir(mount, "s/d", 0755), HF_OK);
    assert_int_equal(tree_fsyncdir(directory), HF_OK);
    break_lease(mount); /* what was committed is not taken away */
    assert_int_equal(tree_fsyncdir(directory), HF_OK);
    tree_release(directory);
}

static int count_rescues(const struct root_info *root, void *arg)
{
    *(unsigned *)arg += root->kind == ROOT_RESCUE;
    return 0;
}

/* The store has no room for the rescue version either. */
static void lost_work_is_kept_until_there_is_room_for_it(void **state)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    struct mount *mount = *state;
    struct tree_handle *handle;
    struct session_head head;
    unsigned rescues = 0;

    assert_int_equal(mount_openfile(mount, "s/a", O_CREAT | O_RDWR, 0644, &handle), HF_OK);
    assert_int_equal(tree_write(handle, &mount->caller, 0, "x", 1), HF_OK);
    assert_int_equal(faulty_store_set(mount->store, "rescue@1:ENOSPC+", NULL), HF_OK);
    assert_int_equal(store_session_find(mount->store, "s", &head, NULL), HF_OK);
    assert_int_equal(
        store_lease_break(mount->store, head.sid, token_of(mount, "s"), "a test", NULL), HF_OK);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    assert_int_equal(mount_mkdir(mount, "s/d", 0755), HF_FENCED);
    assert_int_equal(faulty_store_set(mount->store, "", NULL), HF_OK); /* there is room */
    for (int i = 0; i < 1000 && rescues == 0; i++) {
        nanosleep(&pause, NULL);
        assert_int_equal(store_roots(mount->store, count_rescues, &rescues, NULL), HF_OK);
    }
    assert_int_equal(rescues, 1);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    tree_release(handle);
    assert_int_equal(mount_mkdir(mount, "s/d", 0755), HF_OK);
}

static void fsync_of_what_was_only_loaded_waits_for_the_medium(void **state)
{
    struct mount *mount = *state;
    struct tree_handle *handle;

    assert_int_equal(mount_write_text(mount, "s/a", "committed, but not synced"), HF_OK);
    remount(mount);
    assert_int_equal(mount_openfile(mount, "s/a", O_RDONLY, 0, &handle), HF_OK);
    assert_int_equal(faulty_store_set(mount->store, "sync@1:EIO", NULL), HF_OK);
    assert_int_equal(tree_fsync(handle), HF_IO);
    tree_release(handle);
}

static void unreadable_chunk_is_an_error_and_no_wrong_bytes(void **state)
{
    struct mount *mount = *state;
    static char block[100000], back[100001];

    for (size_t i = 0; i < sizeof block; i++)
        block[i] = (char)('a' + i * i % 23);
    assert_int_equal(mount_write(mount, "s/a", 0, block, sizeof block), HF_OK);
    remount(mount);
    assert_int_equal(faulty_store_set(mount->store, "get@2:EIO+", NULL), HF_OK);
    assert_int_equal(mount_read_text(mount, "s/a", back, sizeof back), HF_IO);
    assert_int_equal(faulty_store_set(mount->store, NULL, NULL), HF_OK);
    assert_int_equal(mount_read_text(mount, "s/a", back, sizeof back), HF_OK);
    assert_memory_equal(back, block, sizeof block);
}

/* --- each call in turn ---------------------------------------------------------------------------- */

#define FILES 6

/** What is known of a file whose writes may have failed: it holds one of the texts from the last
 *  acknowledged one on. */
struct known {
    int acknowledged; /* number of the last text that close() answered 0 for; 0: none */
    int last;         /* number of the last text tried */
};

static void try_writes(struct mount *mount, struct known known[FILES])
{
    char path[16], text[32];

    for (int round = 1; round <= 3; round++) {
        mount_mkdir(mount, "s/d", 0755);
        for (int f = 0; f < FILES; f++) {
            snprintf(path, sizeof path, f % 2 ? "s/d/f%d" : "s/f%d", f);
            snprintf(text, sizeof text, "text %d", round);
            known[f].last = round;
            if (mount_write_text(mount, path, text) == HF_OK)
                known[f].acknowledged = round;
        }
        mount_rename(mount, "s/x", "s/y", 0);
        mount_write_text(mount, "s/x", "moves");
    }
}

static void check_known(struct mount *mount, const struct known known[FILES], int countdown)
{
    char path[16], text[64];
    int number;

    for (int f = 0; f < FILES; f++) {
        snprintf(path, sizeof path, f % 2 ? "s/d/f%d" : "s/f%d", f);
        if (mount_read_text(mount, path, text, sizeof text) != HF_OK)
            number = 0;
        else if (text[0] == '\0' || sscanf(text, "text %d", &number) != 1)
            number = text[0] == '\0' ? 0 : -1;
        if (number == 0 && known[f].acknowledged < known[f].last)
            continue; /* made or emptied by what was not acknowledged */
        if (number < known[f].acknowledged || number > known[f].last)
            fail_msg("countdown %d: %s holds '%s'; acknowledged %d, tried %d", countdown, path,
                     text, known[f].acknowledged, known[f].last);
    }
}

static void any_failing_call_loses_nothing_acknowledged(void **state)
{
    static const char *const errors[] = {"EIO", "ENOSPC", "ENOMEM", "EIO!"};
    struct mount *mount = *state;

    for (int countdown = 1; countdown < 120; countdown++) {
        struct known known[FILES] = {0};
        char spec[64];

        snprintf(spec, sizeof spec, "any@%d:%s", countdown, errors[countdown % 4]);
        assert_int_equal(faulty_store_set(mount->store, spec, NULL), HF_OK);
        try_writes(mount, known);
        remount(mount);
        check_known(mount, known, countdown);
        for (int f = 0; f < FILES; f++) {
            char path[16];

            snprintf(path, sizeof path, f % 2 ? "s/d/f%d" : "s/f%d", f);
            mount_unlink(mount, path);
        }
        assert_int_equal(tree_commit_all(mount->tree, false, NULL), HF_OK);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(full_store_is_told_and_tried_again),
        TEST(full_store_is_told_to_a_long_write),
        TEST(failed_commit_fails_the_session_until_it_is_reloaded),
        TEST(commit_whose_answer_was_lost_is_found_again),
        TEST(failed_sync_is_not_called_good_later),
        TEST(fsync_after_a_lost_lease_waits_for_the_medium),
        TEST(fsync_of_a_directory_tells_once_that_names_were_taken_away),
        TEST(lost_work_is_kept_until_there_is_room_for_it),
        TEST(fsync_of_what_was_only_loaded_waits_for_the_medium),
        TEST(unreadable_chunk_is_an_error_and_no_wrong_bytes),
        TEST(any_failing_call_loses_nothing_acknowledged),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
