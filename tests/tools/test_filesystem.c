/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/statfs.h>

#include "filesystem.h"

static void filesystems_over_a_network_are_told(void **state)
{
    static const struct {
        long type;
        const char *name;
    } types[] = {{0x6969, "NFS"},     {0x517b, "SMB"},       {0xff534d42, "CIFS"},
                 {0xfe534d42, "SMB"}, {0x01021997, "9p"},    {0x00c36400, "Ceph"},
                 {0x5346414f, "AFS"}, {0x0bd00bd0, "Lustre"}};
    const char *name;

    (void)state;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_int_equal(filesystem_kind(types[i].type, &name), FILESYSTEM_NETWORK);
        assert_string_equal(name, types[i].name);
    }
    /* f_type is signed, and half of the types have the highest bit of 32 set. */
    assert_int_equal(filesystem_kind((long)(int32_t)0xff534d42, NULL), FILESYSTEM_NETWORK);
}

static void what_does_not_last_is_told(void **state)
{
    (void)state;
    assert_int_equal(filesystem_kind(0x01021994, NULL), FILESYSTEM_VOLATILE); /* tmpfs */
    assert_int_equal(filesystem_kind(0x794c7630, NULL), FILESYSTEM_VOLATILE); /* overlayfs */
    assert_int_equal(filesystem_kind(0x65735546, NULL), FILESYSTEM_FUSE);
}

static void everything_else_is_local(void **state)
{
    struct statfs fs;
    const char *name;

    (void)state;
    assert_int_equal(filesystem_kind(0xef53, &name), FILESYSTEM_LOCAL);    /* ext4 */
    assert_int_equal(filesystem_kind(0x58465342, NULL), FILESYSTEM_LOCAL); /* xfs */
    assert_int_equal(filesystem_kind(0x9123683e, NULL), FILESYSTEM_LOCAL); /* btrfs */
    assert_int_equal(statfs("/proc", &fs), 0);
    assert_int_equal(filesystem_kind((long)fs.f_type, NULL), FILESYSTEM_LOCAL);
    assert_string_equal(name, "local");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(filesystems_over_a_network_are_told),
        cmocka_unit_test(what_does_not_last_is_told),
        cmocka_unit_test(everything_else_is_local),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
