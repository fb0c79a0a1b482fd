/* SPDX-License-Identifier: Apache-2.0 */
/** Files and directories through the kernel: what the public suites are about, in short, and sizes. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "mounted.h"

static struct stat stat_of(const char *path)
{
    struct stat st;

    assert_int_equal(lstat(path, &st), 0);
    return st;
}

/** Runs `steps` as another user; it returns 0 or the line that failed. */
static void as_user(uid_t uid, gid_t gid, int (*steps)(const struct mounted *m),
                    const struct mounted *m)
{
    int wait_status;
    pid_t pid = mounted_fork();

    if (pid == 0) {
        if (setresgid(gid, gid, gid) != 0 || setresuid(uid, uid, uid) != 0)
            _exit(255);
        _exit(steps(m));
    }
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_true(WIFEXITED(wait_status));
    if (WEXITSTATUS(wait_status))
        fail_msg("line %d (modulo 256) failed as user %d", WEXITSTATUS(wait_status), (int)uid);
}

#define STEP(condition)                                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return __LINE__ % 256 ? __LINE__ % 256 : 1;                                            \
    } while (0)

static void hard_links_share_an_inode(void **state)
{
    const char *a = mounted_path(*state, "link-a"), *b = mounted_path(*state, "link-b");
    char text[16];

    write_file(a, "one");
    assert_int_equal(link(a, b), 0);
    assert_int_equal(stat_of(a).st_ino, stat_of(b).st_ino);
    assert_int_equal(stat_of(a).st_nlink, 2);
    write_file(b, "two");
    read_file(a, text, sizeof text);
    assert_string_equal(text, "two");
    assert_int_equal(unlink(a), 0);
    assert_int_equal(stat_of(b).st_nlink, 1);
}

static void rename_replaces_refuses_and_exchanges(void **state)
{
    const char *a = mounted_path(*state, "rename-a"), *b = mounted_path(*state, "rename-b");
    char text[16];

    write_file(a, "a");
    write_file(b, "b");
    assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_NOREPLACE), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), 0);
    read_file(a, text, sizeof text);
    assert_string_equal(text, "b");
    assert_int_equal(rename(a, b), 0);
    read_file(b, text, sizeof text);
    assert_string_equal(text, "b");
    assert_int_equal(access(a, F_OK), -1);
}

static void sessions_are_filesystems_of_their_own_for_links_and_renames(void **state)
{
    const struct mounted *m = *state;
    char other[160], target[200];

    snprintf(other, sizeof other, "%s/other", m->point);
    snprintf(target, sizeof target, "%s/file", other);
    assert_int_equal(mkdir(other, 0777), 0);
    write_file(mounted_path(m, "mine"), "x");
    assert_int_equal(rename(mounted_path(m, "mine"), target), -1);
    assert_int_equal(errno, EXDEV);
    assert_int_equal(link(mounted_path(m, "mine"), target), -1);
    assert_int_equal(errno, EXDEV);
}

static void an_unlinked_open_file_lives_on(void **state)
{
    const char *path = mounted_path(*state, "unlinked");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char text[8] = "";

    assert_true(fd >= 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(write(fd, "still", 5), 5);
    assert_int_equal(pread(fd, text, 5, 0), 5);
    assert_string_equal(text, "still");
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(close(fd), 0);
}

static void special_files_are_kept(void **state)
{
    const char *fifo = mounted_path(*state, "fifo"), *device = mounted_path(*state, "device");
    const char *link = mounted_path(*state, "symlink");
    char target[64] = "";

    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_true(S_ISFIFO(stat_of(fifo).st_mode));
    assert_int_equal(mknod(device, S_IFCHR | 0600, 0x103), 0);
    assert_true(S_ISCHR(stat_of(device).st_mode));
    assert_int_equal(stat_of(device).st_rdev, 0x103);
    assert_int_equal(symlink("../a target", link), 0);
    assert_int_equal(readlink(link, target, sizeof target), 11);
    assert_string_equal(target, "../a target");
    assert_int_equal(stat_of(link).st_size, 11);
}

static void extended_attributes_follow_the_protocol(void **state)
{
    const char *path = mounted_path(*state, "xattr");
    char *large = calloc(1, XATTR_SIZE_MAX), *back = calloc(1, XATTR_SIZE_MAX);
    char names[64];

    assert_non_null(large);
    assert_non_null(back);
    memset(large, 'v', XATTR_SIZE_MAX - 1);
    write_file(path, "");
    assert_int_equal(getxattr(path, "user.a", NULL, 0), -1);
    assert_int_equal(errno, ENODATA);
    assert_int_equal(setxattr(path, "user.a", "value", 5, XATTR_REPLACE), -1);
    assert_int_equal(errno, ENODATA);
    assert_int_equal(setxattr(path, "user.a", "value", 5, XATTR_CREATE), 0);
    assert_int_equal(setxattr(path, "user.a", "value", 5, XATTR_CREATE), -1);
    assert_int_equal(errno, EEXIST);
    assert_int_equal(getxattr(path, "user.a", NULL, 0), 5);
    assert_int_equal(getxattr(path, "user.a", names, 4), -1);
    assert_int_equal(errno, ERANGE);
    assert_int_equal(setxattr(path, "user.empty", "", 0, 0), 0);
    assert_int_equal(getxattr(path, "user.empty", names, sizeof names), 0);
    assert_int_equal(listxattr(path, NULL, 0), 18);
    assert_int_equal(listxattr(path, names, 4), -1);
    assert_int_equal(errno, ERANGE);
    assert_int_equal(listxattr(path, names, sizeof names), 18);
    assert_int_equal(removexattr(path, "user.a"), 0);
    assert_int_equal(removexattr(path, "user.a"), -1);
    assert_int_equal(errno, ENODATA);
    assert_int_equal(setxattr(path, "user.large", large, 60000, 0), 0);
    assert_int_equal(getxattr(path, "user.large", back, XATTR_SIZE_MAX), 60000);
    assert_memory_equal(large, back, 60000);
    free(large);
    free(back);
}

static void holes_are_punched_and_found(void **state)
{
    const char *path = mounted_path(*state, "holes");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char block[65536], back[65536];

    memset(block, 'x', sizeof block);
    for (int i = 0; i < 16; i++)
        assert_int_equal(pwrite(fd, block, sizeof block, i * 65536), sizeof block);
    assert_int_equal(
        fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4 * 65536, 8 * 65536), 0);
    assert_int_equal(lseek(fd, 0, SEEK_HOLE), 4 * 65536);
    assert_int_equal(lseek(fd, 4 * 65536, SEEK_DATA), 12 * 65536);
    assert_int_equal(pread(fd, back, sizeof back, 5 * 65536), sizeof back);
    memset(block, 0, sizeof block);
    assert_memory_equal(block, back, sizeof block);
    assert_int_equal(fallocate(fd, 0, 0, 20 * 65536), 0);
    assert_int_equal(stat_of(path).st_size, 20 * 65536);
    assert_int_equal(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 40 * 65536), 0);
    assert_int_equal(stat_of(path).st_size, 20 * 65536);
    close(fd);
}

static void files_go_past_four_gigabytes(void **state)
{
    const off_t far = (off_t)5 << 30;
    const char *path = mounted_path(*state, "large");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    char text[8] = "";

    assert_int_equal(pwrite(fd, "far", 3, far), 3);
    assert_int_equal(stat_of(path).st_size, far + 3);
    assert_int_equal(lseek(fd, 0, SEEK_DATA) <= far, 1);
    assert_int_equal(fsync(fd), 0);
    assert_int_equal(pread(fd, text, 3, far), 3);
    assert_string_equal(text, "far");
    assert_int_equal(pread(fd, text, 3, far / 2), 3);
    assert_memory_equal(text, "\0\0\0", 3);
    assert_int_equal(ftruncate(fd, 1), 0);
    assert_int_equal(stat_of(path).st_size, 1);
    close(fd);
}

static void shared_mappings_are_seen_by_readers(void **state)
{
    const char *path = mounted_path(*state, "mapped");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600), wait_status;
    char text[16] = "", *map;
    pid_t pid;

    assert_int_equal(ftruncate(fd, 10000), 0);
    map = mmap(NULL, 10000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(map != MAP_FAILED);
    pid = mounted_fork();
    if (pid == 0) {
        memcpy(map + 5000, "from a child", 12);
        _exit(msync(map, 10000, MS_SYNC) != 0);
    }
    assert_int_equal(waitpid(pid, &wait_status, 0), pid);
    assert_int_equal(wait_status, 0);
    assert_int_equal(pread(fd, text, 12, 5000), 12);
    assert_string_equal(text, "from a child");
    memcpy(map + 4090, "across pages", 12);
    assert_int_equal(munmap(map, 10000), 0);
    close(fd);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_int_equal(pread(fd, text, 12, 4090), 12);
    assert_string_equal(text, "across pages");
    close(fd);
}

#define APPENDERS 4
#define APPENDS 200
#define RECORD 100

static int append_records(const char *path, char mark)
{
    char record[RECORD];

    memset(record, mark, RECORD - 1);
    record[RECORD - 1] = '\n';
    for (int i = 0; i < APPENDS; i++) {
        int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

        if (fd < 0 || write(fd, record, RECORD) != RECORD || close(fd) != 0)
            return 1;
    }
    return 0;
}

static void appends_of_several_processes_do_not_overlap(void **state)
{
    const char *path = mounted_path(*state, "appended");
    int counts[APPENDERS] = {0}, wait_status;
    char record[RECORD];
    pid_t pids[APPENDERS];
    FILE *file;

    write_file(path, "");
    for (int i = 0; i < APPENDERS; i++) {
        pids[i] = mounted_fork();
        if (pids[i] == 0)
            _exit(append_records(path, (char)('a' + i)));
    }
    for (int i = 0; i < APPENDERS; i++) {
        assert_int_equal(waitpid(pids[i], &wait_status, 0), pids[i]);
        assert_int_equal(wait_status, 0);
    }
    file = fopen(path, "re");
    assert_non_null(file);
    while (fread(record, RECORD, 1, file) == 1) {
        assert_in_range(record[0], 'a', 'a' + APPENDERS - 1);
        for (int i = 0; i < RECORD - 1; i++)
            assert_int_equal(record[i], record[0]);
        counts[record[0] - 'a']++;
    }
    fclose(file);
    for (int i = 0; i < APPENDERS; i++)
        assert_int_equal(counts[i], APPENDS);
}

static void names_have_up_to_255_bytes_and_any_of_them(void **state)
{
    const struct mounted *m = *state;
    char name[257];

    memset(name, 'n', 256);
    name[256] = '\0';
    assert_int_equal(open(mounted_path(m, name), O_CREAT | O_WRONLY | O_CLOEXEC, 0600), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    name[255] = '\0';
    write_file(mounted_path(m, name), "x");
    assert_int_equal(unlink(mounted_path(m, name)), 0);
    for (int i = 1; i < 256; i++)
        name[i - 1] = (char)(i == '/' ? 'x' : i);
    write_file(mounted_path(m, name), "x");
    assert_int_equal(stat_of(mounted_path(m, name)).st_size, 1);
    assert_int_equal(unlink(mounted_path(m, name)), 0);
}

static void paths_go_as_deep_as_the_kernel_lets_them(void **state)
{
    const struct mounted *m = *state;
    char path[PATH_MAX], name[201];
    size_t len;

    memset(name, 'd', 200);
    name[200] = '\0';
    len = (size_t)snprintf(path, sizeof path, "%s", m->session);
    while (len + 202 < PATH_MAX) {
        len += (size_t)snprintf(path + len, sizeof path - len, "/%s", name);
        assert_int_equal(mkdir(path, 0777), 0);
    }
    name[PATH_MAX - len - 2] = '\0';
    snprintf(path + len, sizeof path - len, "/%s", name);
    assert_int_equal(strlen(path), PATH_MAX - 1);
    write_file(path, "deep");
    assert_int_equal(stat_of(path).st_size, 4);
}

static int steps_of_a_stranger(const struct mounted *m)
{
    struct stat st;
    int fd;

    STEP(open(mounted_path(m, "private"), O_RDONLY) == -1 && errno == EACCES);
    STEP(open(mounted_path(m, "readable"), O_RDWR) == -1 && errno == EACCES);
    STEP(open(mounted_path(m, "readable"), O_RDONLY) >= 0);
    STEP(unlink(mounted_path(m, "sticky/of-root")) == -1 && errno == EPERM);
    STEP(chmod(mounted_path(m, "readable"), 0777) == -1 && errno == EPERM);
    STEP(chown(mounted_path(m, "readable"), 1234, 1234) == -1 && errno == EPERM);
    fd = open(mounted_path(m, "sticky/mine"), O_RDWR | O_CREAT | O_EXCL, 0666);
    STEP(fd >= 0 && fstat(fd, &st) == 0 && st.st_uid == 1234 && st.st_gid == 2345);
    STEP(fchmod(fd, 06755) == 0 && write(fd, "x", 1) == 1 && fstat(fd, &st) == 0);
    STEP((st.st_mode & 07777) == 0755);
    STEP(mkdir(mounted_path(m, "setgid/dir"), 0755) == 0);
    STEP(stat(mounted_path(m, "setgid/dir"), &st) == 0);
    STEP(st.st_uid == 1234 && st.st_gid == 777 && (st.st_mode & S_ISGID));
    STEP(mknod(mounted_path(m, "sticky/dev"), S_IFCHR | 0600, 0x103) == -1 && errno == EPERM);
    return 0;
}

static void permissions_hold_for_other_users(void **state)
{
    const struct mounted *m = *state;

    assert_int_equal(chmod(m->session, 0755), 0);
    write_file(mounted_path(m, "private"), "x");
    write_file(mounted_path(m, "readable"), "x");
    assert_int_equal(chmod(mounted_path(m, "private"), 0600), 0);
    assert_int_equal(chmod(mounted_path(m, "readable"), 0644), 0);
    assert_int_equal(mkdir(mounted_path(m, "sticky"), 0777), 0);
    assert_int_equal(chmod(mounted_path(m, "sticky"), 01777), 0);
    write_file(mounted_path(m, "sticky/of-root"), "x");
    assert_int_equal(mkdir(mounted_path(m, "setgid"), 0777), 0);
    assert_int_equal(chown(mounted_path(m, "setgid"), 0, 777), 0);
    assert_int_equal(chmod(mounted_path(m, "setgid"), 02777), 0);
    as_user(1234, 2345, steps_of_a_stranger, m);
}

/* --- set-id bits and capabilities ----------------------------------------------------------------- */

static int append_x(const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

    return fd >= 0 && write(fd, "x", 1) == 1 && close(fd) == 0 ? 0 : -1;
}

static int empty(const char *path)
{
    int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);

    return fd >= 0 && close(fd) == 0 ? 0 : -1;
}

static int shorten(const char *path)
{
    return truncate(path, 1);
}

static int allocate(const char *path)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);

    return fd >= 0 && fallocate(fd, 0, 0, 8192) == 0 && close(fd) == 0 ? 0 : -1;
}

static int (*const changes[])(const char *) = {append_x, empty, shorten, allocate};
#define CHANGES (sizeof changes / sizeof changes[0])

static const char *set_id_file(const struct mounted *m, size_t change)
{
    static char name[32];

    snprintf(name, sizeof name, "set-id-%zu", change);
    return mounted_path(m, name);
}

static int steps_that_change(const struct mounted *m)
{
    for (size_t i = 0; i < CHANGES; i++)
        STEP(changes[i](set_id_file(m, i)) == 0);
    return 0;
}

static int steps_that_change_without_cap_fsetid(const struct mounted *m)
{
    struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[2];

    STEP(syscall(SYS_capget, &head, data) == 0);
    data[0].effective &= ~(1U << CAP_FSETID);
    STEP(syscall(SYS_capset, &head, data) == 0);
    return steps_that_change(m);
}

static void assert_modes(const struct mounted *m, mode_t mode)
{
    for (size_t i = 0; i < CHANGES; i++)
        if ((stat_of(set_id_file(m, i)).st_mode & 07777) != mode)
            fail_msg("change %zu has left mode %o", i, stat_of(set_id_file(m, i)).st_mode & 07777);
}

static void make_set_id_files(const struct mounted *m)
{
    assert_int_equal(chmod(m->session, 0755), 0);
    for (size_t i = 0; i < CHANGES; i++) {
        write_file(set_id_file(m, i), "text");
        assert_int_equal(chmod(set_id_file(m, i), 06777), 0);
    }
}

static void set_id_bits_end_with_a_change_by_who_may_not_keep_them(void **state)
{
    const struct mounted *m = *state;

    make_set_id_files(m);
    assert_int_equal(steps_that_change(m), 0);
    assert_modes(m, 06777);
    as_user(1234, 2345, steps_that_change, m);
    assert_modes(m, 0777);
    make_set_id_files(m);
    as_user(0, 0, steps_that_change_without_cap_fsetid, m);
    assert_modes(m, 0777);
    make_set_id_files(m);
    for (size_t i = 0; i < CHANGES; i++)
        assert_int_equal(chown(set_id_file(m, i), 0, 5), 0);
    assert_modes(m, 0777);
}

/** The second time the kernel has been told already that there are none. */
static void capabilities_end_with_a_write_each_time(void **state)
{
    const struct vfs_cap_data cap = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE,
                                     .data = {{.permitted = 1U << CAP_NET_RAW}}};
    const char *path = mounted_path(*state, "capable");
    int fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0755);
    char got[64];

    assert_true(fd >= 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(setxattr(path, "security.capability", &cap, XATTR_CAPS_SZ_2, XATTR_CREATE),
                         0);
        assert_int_equal(write(fd, "x", 1), 1);
        assert_int_equal(getxattr(path, "security.capability", got, sizeof got), -1);
        assert_int_equal(errno, ENODATA);
        assert_int_equal(write(fd, "x", 1), 1);
    }
    assert_int_equal(close(fd), 0);
}

#define ENTRIES 100000

static void make_entries(const struct mounted *m, int first, int last)
{
    char name[32];

    /* By mknod(2), since each close(2) would be a commit. */
    for (int i = first; i < last; i++) {
        snprintf(name, sizeof name, "many/%06d", i);
        assert_int_equal(mknod(mounted_path(m, name), S_IFREG | 0600, 0), 0);
    }
}

/**
 * Of the names 0..ENTRIES, every tenth is removed and as many are added while the directory is read:
 * each that stays is told exactly once, and no name twice.
 */
static void a_directory_that_changes_is_read_without_gaps(void **state)
{
    const struct mounted *m = *state;
    unsigned char *seen = calloc(1, ENTRIES * 2);
    struct dirent *entry;
    char name[32];
    int n = 0;
    DIR *dir;

    assert_non_null(seen);
    assert_int_equal(mkdir(mounted_path(m, "many"), 0777), 0);
    make_entries(m, 0, ENTRIES);
    dir = opendir(mounted_path(m, "many"));
    assert_non_null(dir);
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.')
            continue;
        seen[strtol(entry->d_name, NULL, 10)]++;
        if (n++ % 10 == 0 && n / 10 < ENTRIES / 10) {
            snprintf(name, sizeof name, "many/%06d", (n / 10) * 10 + 5);
            assert_int_equal(unlink(mounted_path(m, name)), 0);
            make_entries(m, ENTRIES + n / 10, ENTRIES + n / 10 + 1);
        }
    }
    closedir(dir);
    for (int i = 0; i < ENTRIES * 2; i++) {
        if (i < ENTRIES && i % 10 != 5 && seen[i] != 1)
            fail_msg("%06d was told %d times", i, seen[i]);
        assert_in_range(seen[i], 0, 1);
    }
    free(seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hard_links_share_an_inode),
        cmocka_unit_test(rename_replaces_refuses_and_exchanges),
        cmocka_unit_test(sessions_are_filesystems_of_their_own_for_links_and_renames),
        cmocka_unit_test(an_unlinked_open_file_lives_on),
        cmocka_unit_test(special_files_are_kept),
        cmocka_unit_test(extended_attributes_follow_the_protocol),
        cmocka_unit_test(holes_are_punched_and_found),
        cmocka_unit_test(files_go_past_four_gigabytes),
        cmocka_unit_test(shared_mappings_are_seen_by_readers),
        cmocka_unit_test(appends_of_several_processes_do_not_overlap),
        cmocka_unit_test(names_have_up_to_255_bytes_and_any_of_them),
        cmocka_unit_test(paths_go_as_deep_as_the_kernel_lets_them),
        cmocka_unit_test(permissions_hold_for_other_users),
        cmocka_unit_test(set_id_bits_end_with_a_change_by_who_may_not_keep_them),
        cmocka_unit_test(capabilities_end_with_a_write_each_time),
        cmocka_unit_test(a_directory_that_changes_is_read_without_gaps),
    };

    mounted_require();
    umask(0);
    return cmocka_run_group_tests(tests, mounted_setup, mounted_teardown);
}
