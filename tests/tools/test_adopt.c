/* SPDX-License-Identifier: Apache-2.0 */
/* Copying a plain tree into a store, and telling every difference afterwards. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "adopt.h"
#include "engine/open.h"
#include "identity.h"

#define BIG ((size_t)700000)

struct fixture {
    char dir[64]; /* holds the session "s" */
    int dirfd;
    struct store *store;
    struct blob_cache *cache;
    char difference[512];
};

/* --- the originals ---------------------------------------------------------------------------- */

static void at(const struct fixture *f, const char *name, char path[256])
{
    snprintf(path, 256, "%s/%s", f->dir, name);
}

static void put(const struct fixture *f, const char *name, const void *data, size_t len)
{
    char path[256];
    int fd;

    at(f, name, path);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0640);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), (ssize_t)len);
    assert_int_equal(close(fd), 0);
}

static void make_dir(const struct fixture *f, const char *name)
{
    char path[256];

    at(f, name, path);
    assert_int_equal(mkdir(path, 0750), 0);
}

static void make_sparse(const struct fixture *f, const char *name)
{
    char path[256];
    int fd;

    at(f, name, path);
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "end", 3, 5 << 20), 3);
    assert_int_equal(ftruncate(fd, 6 << 20), 0);
    close(fd);
}

static void make_originals(const struct fixture *f)
{
    char path[256], other[256];
    uint8_t *big = malloc(BIG);
    uint32_t x = 1;

    assert_non_null(big);
    for (size_t i = 0; i < BIG; i++)
        big[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    make_dir(f, "s");
    make_dir(f, "s/sub");
    put(f, "s/empty", "", 0);
    put(f, "s/small", "a few bytes\n", 12);
    put(f, "s/big", big, BIG);
    free(big);
    make_sparse(f, "s/sparse");
    at(f, "s/small", path);
    at(f, "s/sub/link", other);
    assert_int_equal(link(path, other), 0);
    at(f, "s/symlink", path);
    assert_int_equal(symlink("sub/../small", path), 0);
    at(f, "s/fifo", path);
    assert_int_equal(mkfifo(path, 0604), 0);
    at(f, "s/big", path);
    assert_int_equal(chmod(path, 04711), 0);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    char url[80];

    assert_non_null(f);
    snprintf(f->dir, sizeof f->dir, "/tmp/holdfast-adopt.XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->dirfd = open(f->dir, O_RDONLY | O_DIRECTORY);
    assert_true(f->dirfd >= 0);
    make_originals(f);
    snprintf(url, sizeof url, "memory:%s", f->dir);
    assert_int_equal(store_open(url, STORE_CREATE, NULL, &clock_system, &f->store, NULL), 0);
    f->cache = blob_cache_new(f->store, 1 << 20);
    assert_non_null(f->cache);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    blob_cache_free(f->cache);
    store_close(f->store);
    close(f->dirfd);
    nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    free(f);
    return 0;
}

/* --- the store -------------------------------------------------------------------------------- */

/* Copies the session "s" (or, `shared`, ".shared") into the store. */
static int copy(struct fixture *f, bool shared, struct hf_error *err)
{
    struct progress silent = {0};
    struct tree_options options = {.claim_patterns = ""};
    struct adopt_copy *copier;
    struct identity who;
    struct store *store;
    struct tree *tree;
    char url[80];
    int status;

    snprintf(url, sizeof url, "memory:%s", f->dir);
    assert_int_equal(store_open(url, 0, NULL, &clock_system, &store, NULL), 0);
    assert_int_equal(identity_read(f->dir, &who, NULL), 0);
    options.identity = who.host;
    assert_int_equal(tree_open(store, &options, &tree, NULL), 0);
    copier = adopt_copy_new(tree, &silent);
    assert_non_null(copier);
    status = shared ? adopt_copy_shared(copier, f->dirfd, ".shared", err)
                    : adopt_copy_session(copier, f->dirfd, "s", "s", err);
    adopt_copy_free(copier);
    assert_int_equal(tree_close(tree, NULL), 0);
    store_close(store);
    return status;
}

static int compare(struct fixture *f, bool shared, enum adopt_strictness strictness)
{
    struct progress silent = {0};
    struct session_head head;
    struct hf_error err = {0};
    struct view *view;
    int status;

    if (shared)
        assert_int_equal(store_session_head(f->store, SHARED_SID, &head, NULL), 0);
    else
        assert_int_equal(store_session_find(f->store, "s", &head, NULL), 0);
    assert_int_equal(view_open(f->cache, &head.root, &view, NULL), 0);
    f->difference[0] = '\0';
    status = adopt_compare(view, shared ? ".shared" : "", f->dirfd, shared ? ".shared" : "s",
                           strictness, &silent, f->difference, sizeof f->difference, &err);
    if (status < 0)
        fail_msg("%s", err.message);
    view_free(view);
    return status;
}

static void copied_and_the_same(struct fixture *f)
{
    struct hf_error err = {0};

    if (copy(f, false, &err) != 0)
        fail_msg("%s", err.message);
    if (compare(f, false, ADOPT_SAME) != 0)
        fail_msg("%s", f->difference);
}

static void a_copy_is_the_same_in_every_respect(void **state)
{
    copied_and_the_same(*state);
}

static void xattrs_are_carried_over(void **state)
{
    struct fixture *f = *state;
    char path[256];

    at(f, "s/small", path);
    if (setxattr(path, "user.one", "1", 1, 0) != 0)
        skip();
    assert_int_equal(setxattr(path, "user.two", "", 0, 0), 0);
    copied_and_the_same(f);
    assert_int_equal(setxattr(path, "user.one", "x", 1, 0), 0);
    assert_int_equal(compare(f, false, ADOPT_SAME), 1);
    assert_int_equal(setxattr(path, "user.one", "1", 1, 0), 0);
    assert_int_equal(compare(f, false, ADOPT_SAME), 0);
    assert_int_equal(setxattr(path, "user.zzz", "1", 1, 0), 0);
    assert_int_equal(compare(f, false, ADOPT_SAME), 1);
    assert_int_equal(removexattr(path, "user.zzz"), 0);
    assert_int_equal(removexattr(path, "user.two"), 0);
    assert_int_equal(compare(f, false, ADOPT_SAME), 1);
}

/* --- each kind of difference is told ------------------------------------------------------------ */

typedef void (*change_fn)(const struct fixture *f, const char *path);

static void keep_times(const char *path, const struct stat *st)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};

    assert_int_equal(utimensat(AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

static void flip_a_byte(const struct fixture *f, const char *path)
{
    struct stat st;
    uint8_t byte;
    int fd = open(path, O_RDWR);

    (void)f;
    assert_true(fd >= 0 && fstat(fd, &st) == 0);
    assert_int_equal(pread(fd, &byte, 1, st.st_size - 1), 1);
    byte ^= 1;
    assert_int_equal(pwrite(fd, &byte, 1, st.st_size - 1), 1);
    close(fd);
    keep_times(path, &st);
}

static void append_a_byte(const struct fixture *f, const char *path)
{
    int fd = open(path, O_WRONLY | O_APPEND);

    (void)f;
    assert_true(fd >= 0);
    assert_int_equal(write(fd, "x", 1), 1);
    close(fd);
}

static void change_mode(const struct fixture *f, const char *path)
{
    (void)f;
    assert_int_equal(chmod(path, 0777), 0);
}

static void change_time(const struct fixture *f, const char *path)
{
    struct timespec times[2] = {{1, 0}, {1, 1}};

    (void)f;
    assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void remove_it(const struct fixture *f, const char *path)
{
    struct stat st;
    char dir[256];

    at(f, "s", dir);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(unlink(path), 0);
    keep_times(dir, &st);
}

static void replace_by_directory(const struct fixture *f, const char *path)
{
    remove_it(f, path);
    assert_int_equal(mkdir(path, 0700), 0);
}

static void point_elsewhere(const struct fixture *f, const char *path)
{
    struct stat st, dir_st;
    char dir[256];

    at(f, "s", dir);
    assert_int_equal(stat(dir, &dir_st), 0);
    assert_int_equal(lstat(path, &st), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("sub/../Small", path), 0);
    keep_times(path, &st);
    keep_times(dir, &dir_st);
}

/* The same bytes and attributes, but a file of its own. */
static void break_link(const struct fixture *f, const char *path)
{
    struct stat st, dir_st;
    char dir[256];

    at(f, "s/sub", dir);
    assert_int_equal(stat(dir, &dir_st), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(unlink(path), 0);
    put(f, "s/sub/link", "a few bytes\n", 12);
    keep_times(path, &st);
    keep_times(dir, &dir_st);
}

static void every_difference_is_told(void **state)
{
    static const struct {
        const char *name, *sentence;
        change_fn change;
    } cases[] = {{"s/small", "small: the content differs", flip_a_byte},
                 {"s/big", "big: the content differs", flip_a_byte},
                 {"s/sparse", "sparse: the content differs", flip_a_byte},
                 {"s/empty", "empty: ", append_a_byte},
                 {"s/big", "big: mode 0777 here", change_mode},
                 {"s/fifo", "fifo: mode 0777 here", change_mode},
                 {"s/sub", "sub: mode 0777 here", change_mode},
                 {"s", ".: mode 0777 here", change_mode},
                 {"s/sub", "sub: it has another time", change_time},
                 {"s/empty", ".: the store has empty here, too", remove_it},
                 {"s/symlink", ".: the store has symlink here, too", remove_it},
                 {"s/empty", "empty: it is of another type", replace_by_directory},
                 {"s/symlink", "symlink: the link points elsewhere", point_elsewhere},
                 {"s/sub/link", "hard link", break_link}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        void *own = NULL;
        struct fixture *f;
        char path[256], top[256];
        struct stat st;
        setup(&own);
        f = own;
        copied_and_the_same(f);
        at(f, "s", top);
        assert_int_equal(stat(top, &st), 0);
        at(f, cases[i].name, path);
        cases[i].change(f, path);
        if (cases[i].change == replace_by_directory)
            keep_times(top, &st);
        assert_int_equal(compare(f, false, ADOPT_SAME), 1);
        if (!strstr(f->difference, cases[i].sentence))
            fail_msg("case %zu: '%s' does not say '%s'", i, f->difference, cases[i].sentence);
        teardown(&own);
    }
}

/* --- the shared tree --------------------------------------------------------------------------- */

static void the_shared_tree_is_merged(void **state)
{
    struct fixture *f = *state;

    make_dir(f, ".shared");
    put(f, ".shared/one.lock", "", 0);
    put(f, ".shared/two", "two", 3);
    assert_int_equal(copy(f, true, NULL), 0);
    assert_int_equal(compare(f, true, ADOPT_INCLUDED), 0);
    /* What only the store has is no difference; what only the originals have is to be copied. */
    put(f, ".shared/three", "three", 5);
    assert_int_equal(compare(f, true, ADOPT_CONTENT), 0);
    assert_int_equal(compare(f, true, ADOPT_INCLUDED), 1);
    assert_int_equal(copy(f, true, NULL), 0);
    assert_int_equal(compare(f, true, ADOPT_INCLUDED), 0);
    put(f, ".shared/two", "TWO", 3);
    assert_int_equal(compare(f, true, ADOPT_CONTENT), 1);
}

/* --- in use ------------------------------------------------------------------------------------ */

static void a_live_claim_is_in_use(void **state)
{
    struct fixture *f = *state;
    struct adopt_scan scan;
    struct hf_error err = {0};
    char name[64];

    assert_int_equal(adopt_scan(f->dirfd, &scan, &err), 0);
    assert_int_equal(scan.sessions, 1);
    assert_int_equal(scan.files, 5);
    adopt_scan_clear(&scan);
    snprintf(name, sizeof name, "s/inuse.%d.lock", (int)getpid());
    put(f, name, "", 0);
    assert_int_equal(adopt_scan(f->dirfd, &scan, &err), HF_BUSY);
    assert_non_null(strstr(err.message, "session 's' is in use"));
}

static void a_claim_older_than_its_process_is_stale(void **state)
{
    struct fixture *f = *state;
    struct adopt_scan scan;
    char name[64], path[256];

    snprintf(name, sizeof name, "s/inuse.%d.lock", (int)getpid());
    put(f, name, "", 0);
    at(f, name, path);
    change_time(f, path);
    assert_int_equal(adopt_scan(f->dirfd, &scan, NULL), 0);
    adopt_scan_clear(&scan);
}

static void a_held_lock_is_in_use(void **state)
{
    struct fixture *f = *state;
    struct adopt_scan scan;
    char path[256];
    int fd;

    put(f, "s/inuse.1.hold", "", 0);
    at(f, "s/inuse.1.hold", path);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(adopt_scan(f->dirfd, &scan, NULL), HF_BUSY);
    close(fd);
    assert_int_equal(adopt_scan(f->dirfd, &scan, NULL), 0);
    adopt_scan_clear(&scan);
}

static void an_operation_in_progress_is_in_use(void **state)
{
    struct fixture *f = *state;
    struct adopt_scan scan;
    char path[256];
    int fd;

    make_dir(f, ".session-operation-locks");
    put(f, ".session-operation-locks/s.lock", "", 0);
    at(f, ".session-operation-locks/s.lock", path);
    fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    assert_int_equal(adopt_scan(f->dirfd, &scan, NULL), HF_BUSY);
    close(fd);
}

static void a_change_shows_in_the_next_scan(void **state)
{
    struct fixture *f = *state;
    struct adopt_scan before, after;
    char path[256];

    assert_int_equal(adopt_scan(f->dirfd, &before, NULL), 0);
    assert_int_equal(adopt_scan(f->dirfd, &after, NULL), 0);
    assert_null(adopt_scan_difference(&before, &after));
    adopt_scan_clear(&after);
    at(f, "s/small", path);
    flip_a_byte(f, path); /* keeps size and mtime: ctime tells */
    assert_int_equal(adopt_scan(f->dirfd, &after, NULL), 0);
    assert_string_equal(adopt_scan_difference(&before, &after), "s");
    adopt_scan_clear(&after);
    adopt_scan_clear(&before);
}

/* --- giving way -------------------------------------------------------------------------------- */

static void the_swap_leaves_an_empty_directory(void **state)
{
    struct fixture *f = *state;
    char dir[256], aside[PLACE_MAX], path[PLACE_MAX + 16];
    struct stat st, now;

    at(f, "s", dir);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(adopt_swap(dir, &st, aside, NULL), 0);
    assert_int_equal(strncmp(aside, dir, strlen(dir)), 0);
    snprintf(path, sizeof path, "%s/small", aside);
    assert_int_equal(access(path, F_OK), 0);
    assert_int_equal(stat(dir, &now), 0);
    assert_int_equal(now.st_mode, st.st_mode);
    assert_int_equal(rmdir(dir), 0); /* so it was empty */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_copy_is_the_same_in_every_respect),
        TEST(xattrs_are_carried_over),
        cmocka_unit_test(every_difference_is_told),
        TEST(the_shared_tree_is_merged),
        TEST(a_live_claim_is_in_use),
        TEST(a_claim_older_than_its_process_is_stale),
        TEST(a_held_lock_is_in_use),
        TEST(an_operation_in_progress_is_in_use),
        TEST(a_change_shows_in_the_next_scan),
        TEST(the_swap_leaves_an_empty_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
