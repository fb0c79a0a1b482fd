/* SPDX-License-Identifier: Apache-2.0 */
/** What POSIX asks of a working tree, on the memory engine; no kernel is in it. */
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "mount.h"

static int setup(void **state)
{
    static struct mount mount;

    mount_open(&mount, "memory:");
    *state = &mount;
    return mount_mkdir(&mount, "s", 0755);
}

static int teardown(void **state)
{
    return mount_close(*state);
}

static void written_file_reads_back(void **state)
{
    struct tree_entry entry;
    char text[64];

    assert_int_equal(mount_write_text(*state, "s/a", "hello"), 0);
    assert_int_equal(mount_read_text(*state, "s/a", text, sizeof text), 0);
    assert_string_equal(text, "hello");
    assert_int_equal(mount_lookup(*state, "s/a", &entry), 0);
    assert_int_equal(entry.attr.st_size, 5);
    assert_int_equal(entry.attr.st_nlink, 1);
    assert_int_equal(entry.attr.st_uid, 1000);
    assert_int_equal(entry.attr.st_mode, S_IFREG | 0644);
}

static void directories_count_their_subdirectories(void **state)
{
    struct tree_entry entry;

    assert_int_equal(mount_mkdir(*state, "s/d", 0755), 0);
    assert_int_equal(mount_mkdir(*state, "s/d/e", 0755), 0);
    assert_int_equal(mount_mkdir(*state, "s/d/e", 0755), HF_EXIST);
    assert_int_equal(mount_lookup(*state, "s/d", &entry), 0);
    assert_int_equal(entry.attr.st_nlink, 3);
    assert_int_equal(mount_rmdir(*state, "s/d"), HF_NOTEMPTY);
    assert_int_equal(mount_rmdir(*state, "s/d/e"), 0);
    assert_int_equal(mount_lookup(*state, "s/d", &entry), 0);
    assert_int_equal(entry.attr.st_nlink, 2);
    assert_int_equal(mount_rmdir(*state, "s/d"), 0);
    assert_int_equal(mount_lookup(*state, "s/d", &entry), HF_NOENT);
}

static void listing_has_every_name_once(void **state)
{
    char names[256];

    assert_int_equal(mount_mkdir(*state, "s/d", 0755), 0);
    assert_int_equal(mount_write_text(*state, "s/b", "x"), 0);
    assert_int_equal(mount_write_text(*state, "s/a", "x"), 0);
    assert_int_equal(mount_list(*state, "s", names, sizeof names), 0);
    assert_string_equal(names, "a b d ");
    assert_int_equal(mount_list(*state, "", names, sizeof names), 0);
    assert_string_equal(names, "s ");
}

static void hard_links_share_one_inode(void **state)
{
    struct tree_entry a, b;
    char text[64];

    assert_int_equal(mount_write_text(*state, "s/a", "one"), 0);
    assert_int_equal(mount_link(*state, "s/a", "s/b"), 0);
    assert_int_equal(mount_lookup(*state, "s/a", &a), 0);
    assert_int_equal(mount_lookup(*state, "s/b", &b), 0);
    assert_int_equal(a.inode, b.inode);
    assert_int_equal(a.attr.st_nlink, 2);
    assert_int_equal(mount_write_text(*state, "s/b", "two!"), 0);
    assert_int_equal(mount_read_text(*state, "s/a", text, sizeof text), 0);
    assert_string_equal(text, "two!");
    assert_int_equal(mount_unlink(*state, "s/a"), 0);
    assert_int_equal(mount_lookup(*state, "s/b", &b), 0);
    assert_int_equal(b.attr.st_nlink, 1);
    assert_int_equal(mount_link(*state, "s/b", "s/b"), HF_EXIST);
    assert_int_equal(mount_link(*state, "s", "s/c"), HF_PERM);
}

static void rename_replaces_moves_and_exchanges(void **state)
{
    char text[64];

    assert_int_equal(mount_mkdir(*state, "s/d", 0755), 0);
    assert_int_equal(mount_mkdir(*state, "s/d/e", 0755), 0);
    assert_int_equal(mount_write_text(*state, "s/a", "A"), 0);
    assert_int_equal(mount_write_text(*state, "s/d/b", "B"), 0);
    assert_int_equal(mount_rename(*state, "s/a", "s/d/b", RENAME_NOREPLACE), HF_EXIST);
    assert_int_equal(mount_rename(*state, "s/a", "s/d/b", RENAME_EXCHANGE), 0);
    assert_int_equal(mount_read_text(*state, "s/a", text, sizeof text), 0);
    assert_string_equal(text, "B");
    assert_int_equal(mount_rename(*state, "s/a", "s/d/b", 0), 0);
    assert_int_equal(mount_read_text(*state, "s/d/b", text, sizeof text), 0);
    assert_string_equal(text, "B");
    assert_int_equal(mount_rename(*state, "s/a", "s/x", 0), HF_NOENT);
    assert_int_equal(mount_rename(*state, "s/d", "s/d/e/f", 0), HF_INVAL);
    assert_int_equal(mount_rename(*state, "s/d/e", "s/d", 0), HF_NOTEMPTY);
    assert_int_equal(mount_rename(*state, "s/d/b", "s/d/e", 0), HF_ISDIR);
    assert_int_equal(mount_rename(*state, "s/d/e", "s/d/b", 0), HF_NOTDIR);
    assert_int_equal(mount_rename(*state, "s/d", "other", 0), HF_XDEV);
}

static void unlinked_open_file_lives_on(void **state)
{
    struct mount *mount = *state;
    struct tree_handle *handle;
    uint8_t data[8];
    size_t len;

    assert_int_equal(mount_openfile(mount, "s/a", O_CREAT | O_RDWR, 0600, &handle), 0);
    assert_int_equal(mount_unlink(mount, "s/a"), 0);
    assert_int_equal(tree_write(handle, &mount->caller, 0, "gone", 4), 0);
    assert_int_equal(tree_fsync(handle), 0);
    assert_int_equal(tree_read(handle, 0, sizeof data, data, &len), 0);
    assert_int_equal(len, 4);
    assert_memory_equal(data, "gone", 4);
    assert_int_equal(mount_closefile(handle), 0);
}

static void names_have_limits(void **state)
{
    char path[300] = "s/";

    memset(path + 2, 'n', 255);
    path[257] = '\0';
    assert_int_equal(mount_write_text(*state, path, "x"), 0);
    path[257] = 'n';
    path[258] = '\0';
    assert_int_equal(mount_write_text(*state, path, "x"), HF_NAMETOOLONG);
}

static void xattrs_follow_the_size_protocol(void **state)
{
    struct mount *mount = *state;
    struct tree_entry entry;
    char value[16];
    size_t len;

    assert_int_equal(mount_write_text(mount, "s/a", "x"), 0);
    assert_int_equal(tree_lookup(mount->tree, TREE_ROOT, "s", &entry), 0);
    assert_int_equal(tree_setxattr(mount->tree, &mount->caller, entry.inode, "user.b", "bb", 2, 0),
                     0);
    assert_int_equal(tree_setxattr(mount->tree, &mount->caller, entry.inode, "user.a", "a", 1, 0),
                     0);
    assert_int_equal(
        tree_setxattr(mount->tree, &mount->caller, entry.inode, "user.a", "a", 1, XATTR_CREATE),
        HF_EXIST);
    assert_int_equal(
        tree_setxattr(mount->tree, &mount->caller, entry.inode, "user.c", "a", 1, XATTR_REPLACE),
        HF_NODATA);
    assert_int_equal(tree_getxattr(mount->tree, entry.inode, "user.b", NULL, 0, &len), 0);
    assert_int_equal(len, 2);
    assert_int_equal(tree_getxattr(mount->tree, entry.inode, "user.b", value, 1, &len), HF_RANGE);
    assert_int_equal(tree_listxattr(mount->tree, entry.inode, value, sizeof value, &len), 0);
    assert_int_equal(len, 14);
    assert_memory_equal(value, "user.a\0user.b\0", 14);
    assert_int_equal(tree_removexattr(mount->tree, &mount->caller, entry.inode, "user.a"), 0);
    assert_int_equal(tree_removexattr(mount->tree, &mount->caller, entry.inode, "user.a"),
                     HF_NODATA);
    assert_int_equal(tree_setxattr(mount->tree, &mount->caller, entry.inode,
                                   "system.posix_acl_access", "", 0, 0),
                     HF_UNSUPPORTED);
    assert_int_equal(
        tree_getxattr(mount->tree, entry.inode, "user.holdfast.version", value, sizeof value, &len),
        0);
    tree_forget(mount->tree, entry.inode, 1);
}

static void sessions_are_renamed_and_removed_like_directories(void **state)
{
    struct tree_entry entry, other;

    assert_int_equal(mount_mkdir(*state, "s", 0755), HF_EXIST);
    assert_int_equal(mount_mkdir(*state, "t", 0755), 0);
    assert_int_equal(mount_write_text(*state, "s/a", "x"), 0);
    assert_int_equal(mount_rmdir(*state, "s"), HF_NOTEMPTY);
    assert_int_equal(mount_lookup(*state, "s", &entry), 0);
    assert_int_equal(mount_rename(*state, "t", "s", 0), HF_NOTEMPTY);
    assert_int_equal(mount_rename(*state, "s", "t", RENAME_NOREPLACE), HF_EXIST);
    assert_int_equal(mount_rename(*state, "s", "t", 0), 0);
    assert_int_equal(mount_lookup(*state, "s", &other), HF_NOENT);
    assert_int_equal(mount_lookup(*state, "t/a", &other), 0);
    assert_int_equal(mount_lookup(*state, "t", &other), 0);
    assert_int_equal(entry.inode, other.inode);
    assert_int_equal(mount_unlink(*state, "t"), HF_ISDIR);
    assert_int_equal(mount_unlink(*state, "t/a"), 0);
    assert_int_equal(mount_rmdir(*state, "t"), 0);
    assert_int_equal(mount_lookup(*state, "t", &other), HF_NOENT);
    assert_int_equal(mount_rmdir(*state, "t"), HF_NOENT);
}

static void dot_directories_and_plain_files_are_shared(void **state)
{
    char text[64];

    assert_int_equal(mount_mkdir(*state, ".locks", 0755), 0);
    assert_int_equal(mount_write_text(*state, ".locks/x", "1"), 0);
    assert_int_equal(mount_write_text(*state, "plain", "2"), 0);
    assert_int_equal(mount_mkdir(*state, "plain", 0755), HF_EXIST);
    assert_int_equal(mount_write_text(*state, "s", "2"), HF_ISDIR);
    assert_int_equal(mount_rename(*state, ".locks/x", "s/x", 0), HF_XDEV);
    assert_int_equal(mount_rename(*state, "plain", "s", 0), HF_ISDIR);
    assert_int_equal(mount_rename(*state, "s", "plain", 0), HF_NOTDIR);
    assert_int_equal(mount_rename(*state, "plain", "simple", 0), 0);
    assert_int_equal(mount_read_text(*state, "simple", text, sizeof text), 0);
    assert_string_equal(text, "2");
}

static void everything_is_there_after_a_remount(void **state)
{
    struct tree_entry entry;
    struct mount mount;
    char text[64], names[128];

    (void)state;
    mount_open(&mount, "memory:remount");
    assert_int_equal(mount_mkdir(&mount, "r", 0700), 0);
    assert_int_equal(mount_mkdir(&mount, "r/d", 0750), 0);
    assert_int_equal(mount_write_text(&mount, "r/d/a", "alpha"), 0);
    assert_int_equal(mount_link(&mount, "r/d/a", "r/b"), 0);
    assert_int_equal(mount_symlink(&mount, "d/a", "r/l"), 0);
    assert_int_equal(mount_mkdir(&mount, ".dot", 0700), 0);
    /* A second handle keeps the store alive. */
    {
        struct mount next;

        assert_int_equal(tree_close(mount.tree, NULL), 0);
        mount_open(&next, "memory:remount");
        store_close(mount.store);
        mount = next;
    }
    assert_int_equal(mount_read_text(&mount, "r/b", text, sizeof text), 0);
    assert_string_equal(text, "alpha");
    assert_int_equal(mount_lookup(&mount, "r/d/a", &entry), 0);
    assert_int_equal(entry.attr.st_nlink, 2);
    assert_int_equal(mount_lookup(&mount, "r/d", &entry), 0);
    assert_int_equal(entry.attr.st_mode, S_IFDIR | 0750);
    assert_int_equal(mount_list(&mount, "r", names, sizeof names), 0);
    assert_string_equal(names, "b d l ");
    assert_int_equal(mount_list(&mount, "", names, sizeof names), 0);
    assert_string_equal(names, ".dot r ");
    assert_int_equal(mount_close(&mount), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(written_file_reads_back, setup, teardown),
        cmocka_unit_test_setup_teardown(directories_count_their_subdirectories, setup, teardown),
        cmocka_unit_test_setup_teardown(listing_has_every_name_once, setup, teardown),
        cmocka_unit_test_setup_teardown(hard_links_share_one_inode, setup, teardown),
        cmocka_unit_test_setup_teardown(rename_replaces_moves_and_exchanges, setup, teardown),
        cmocka_unit_test_setup_teardown(unlinked_open_file_lives_on, setup, teardown),
        cmocka_unit_test_setup_teardown(names_have_limits, setup, teardown),
        cmocka_unit_test_setup_teardown(xattrs_follow_the_size_protocol, setup, teardown),
        cmocka_unit_test_setup_teardown(sessions_are_renamed_and_removed_like_directories, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(dot_directories_and_plain_files_are_shared, setup,
                                        teardown),
        cmocka_unit_test(everything_is_there_after_a_remount),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
