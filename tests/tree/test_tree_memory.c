/* SPDX-License-Identifier: Apache-2.0 */
/** Each allocation of a session's life fails once: the call says so and has changed nothing, made again it
 *  succeeds, and what another mount reads afterwards is the same. */
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "failing_alloc.h"
#include "mount.h"

static size_t failures;

/** Makes a call again when it failed for memory; then it must succeed, as no allocation fails twice. */
#define STUBBORNLY(call)                                                                           \
    do {                                                                                           \
        int rc_ = (call);                                                                          \
        if (rc_ == HF_NOMEM) {                                                                     \
            failures++;                                                                            \
            rc_ = (call);                                                                          \
        }                                                                                          \
        if (rc_ != HF_OK)                                                                          \
            fail_msg("%s: %s", #call, hf_status_text(rc_));                                        \
    } while (0)

/** A close that failed is not made again, but what it was to commit still is there. */
static void write_text(struct mount *mount, const char *path, const char *text)
{
    struct tree_handle *handle;

    STUBBORNLY(mount_openfile(mount, path, O_CREAT | O_WRONLY | O_TRUNC, 0644, &handle));
    STUBBORNLY(tree_write(handle, &mount->caller, 0, text, strlen(text)));
    STUBBORNLY(tree_flush(handle, 0));
    tree_release(handle);
}

static void set_xattr(struct mount *mount, const char *path)
{
    struct tree_entry entry;
    uint64_t parent;
    const char *name;

    STUBBORNLY(mount_parent(mount, path, &parent, &name));
    STUBBORNLY(tree_lookup(mount->tree, parent, name, &entry));
    STUBBORNLY(tree_setxattr(mount->tree, &mount->caller, entry.inode, "user.a", "value", 5, 0));
    tree_forget(mount->tree, entry.inode, 1);
    if (parent != TREE_ROOT)
        tree_forget(mount->tree, parent, 1);
}

static void live(struct mount *mount)
{
    char path[64];

    STUBBORNLY(mount_mkdir(mount, "s", 0755));
    STUBBORNLY(mount_mkdir(mount, "s/d", 0755));
    for (int i = 0; i < 8; i++) {
        snprintf(path, sizeof path, "s/d/f%d", i);
        write_text(mount, path, path);
    }
    STUBBORNLY(mount_link(mount, "s/d/f0", "s/link"));
    STUBBORNLY(mount_symlink(mount, "d/f1", "s/sym"));
    STUBBORNLY(mount_rename(mount, "s/d/f1", "s/moved", 0));
    STUBBORNLY(mount_rename(mount, "s/d/f2", "s/d/f3", 0));
    STUBBORNLY(mount_rename(mount, "s/d/f4", "s/moved", RENAME_EXCHANGE));
    STUBBORNLY(mount_unlink(mount, "s/d/f0"));
    STUBBORNLY(mount_unlink(mount, "s/d/f5"));
    STUBBORNLY(mount_truncate(mount, "s/d/f6", 4));
    STUBBORNLY(tree_commit_all(mount->tree, false, NULL));
    set_xattr(mount, "s/d/f7");
    STUBBORNLY(mount_mkdir(mount, "s/e", 0755));
    STUBBORNLY(mount_rename(mount, "s/e", "s/d/e", 0));
    STUBBORNLY(mount_chmod(mount, "s/d", 0700));
    STUBBORNLY(mount_mkdir(mount, ".shared", 0755));
    write_text(mount, ".shared/x", "x");
    STUBBORNLY(mount_unlink(mount, ".shared/x"));
    write_text(mount, ".shared/y", "y");
    STUBBORNLY(mount_mkdir(mount, "t", 0755));
    STUBBORNLY(mount_rename(mount, "t", "u", 0));
    STUBBORNLY(tree_commit_all(mount->tree, true, NULL));
}

static void expect_text(struct mount *mount, const char *path, const char *want)
{
    char text[64];

    assert_int_equal(mount_read_text(mount, path, text, sizeof text), HF_OK);
    assert_string_equal(text, want);
}

static void expect_names(struct mount *mount, const char *path, const char *want)
{
    char names[256];

    assert_int_equal(mount_list(mount, path, names, sizeof names), HF_OK);
    assert_string_equal(names, want);
}

static void check(struct mount *mount)
{
    struct session_head head;
    struct tree_entry entry;

    expect_names(mount, "", ".shared s u ");
    expect_names(mount, ".shared", "y ");
    expect_names(mount, "s", "d link moved sym ");
    expect_names(mount, "s/d", "e f3 f4 f6 f7 ");
    expect_text(mount, "s/link", "s/d/f0");
    expect_text(mount, "s/moved", "s/d/f4");
    expect_text(mount, "s/d/f4", "s/d/f1");
    expect_text(mount, "s/d/f3", "s/d/f2");
    expect_text(mount, "s/d/f6", "s/d/");
    assert_int_equal(mount_lookup(mount, "s/d", &entry), HF_OK);
    assert_int_equal(entry.attr.st_nlink, 3);
    assert_int_equal(entry.attr.st_mode & 07777, 0700);
    assert_int_equal(mount_lookup(mount, "s", &entry), HF_OK);
    assert_int_equal(entry.attr.st_nlink, 3);
    assert_int_equal(mount_lookup(mount, "s/link", &entry), HF_OK);
    assert_int_equal(entry.attr.st_nlink, 1);
    assert_int_equal(store_session_find(mount->store, "s", &head, NULL), HF_OK);
    assert_int_equal(head.files, 6);
    assert_int_equal(head.bytes, 5 * 6 + 4);
}

static void failed_allocations_change_nothing(void **state)
{
    bool reached = true;
    size_t turn;
    char url[64];

    (void)state;
    for (turn = 1; reached; turn += 1 + turn / 200) {
        struct mount mount, other;

        snprintf(url, sizeof url, "memory:turn%zu", turn);
        mount_open(&mount, url);
        failing_alloc_after(turn);
        live(&mount);
        reached = failing_alloc_stop();
        check(&mount);
        mount_open(&other, url);
        check(&other);
        assert_int_equal(mount_close(&mount), HF_OK);
        assert_int_equal(mount_close(&other), HF_OK);
    }
    print_message("%zu allocations, %zu failures told\n", turn, failures);
    assert_true(failures > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(failed_allocations_change_nothing)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
