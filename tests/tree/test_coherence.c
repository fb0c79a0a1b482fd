/* SPDX-License-Identifier: Apache-2.0 */
/** What a mount tells its kernel when another host has changed a session: what changed, and nothing else. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mount.h"

#define TOLD_MAX 64
#define BIG (2U << 20)

/** A kernel that notes what it is told. */
static struct {
    pthread_mutex_t lock;
    struct {
        uint64_t inode;
        int64_t from;
    } told[TOLD_MAX];
    unsigned n;
} kernel = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void ignore_entry(void *arg, uint64_t parent, const char *name)
{
    (void)arg;
    (void)parent;
    (void)name;
}

static void note_inode(void *arg, uint64_t inode, int64_t from)
{
    (void)arg;
    if (from < 0)
        return;
    pthread_mutex_lock(&kernel.lock);
    assert_true(kernel.n < TOLD_MAX);
    kernel.told[kernel.n].inode = inode;
    kernel.told[kernel.n++].from = from;
    pthread_mutex_unlock(&kernel.lock);
}

static void kernel_clear(void)
{
    pthread_mutex_lock(&kernel.lock);
    kernel.n = 0;
    pthread_mutex_unlock(&kernel.lock);
}

/** From which byte on it was told to drop an inode's content; -1: not at all. */
static int64_t dropped(uint64_t inode)
{
    int64_t from = -1;

    pthread_mutex_lock(&kernel.lock);
    for (unsigned i = 0; i < kernel.n; i++)
        if (kernel.told[i].inode == inode && (from < 0 || kernel.told[i].from < from))
            from = kernel.told[i].from;
    pthread_mutex_unlock(&kernel.lock);
    return from;
}

struct pair {
    struct mount a, b; /* b has the kernel */
};

static int setup(void **state)
{
    struct tree_options options = {.kernel = {.inval_entry = ignore_entry,
                                              .expire_entry = ignore_entry,
                                              .inval_inode = note_inode}};
    static struct pair pair;
    static int n;
    char url[64];

    snprintf(url, sizeof url, "memory:coherence%d", n++);
    mount_open(&pair.a, url);
    options.identity.host_name = "b";
    options.identity.mount_id[0] = 200;
    mount_open_with(&pair.b, url, &options);
    assert_true(mount_awaits_another(&pair.a) && mount_awaits_another(&pair.b));
    kernel_clear();
    *state = &pair;
    return mount_mkdir(&pair.a, "s", 0755);
}

static int teardown(void **state)
{
    struct pair *pair = *state;

    assert_int_equal(mount_close(&pair->a), HF_OK);
    assert_int_equal(mount_close(&pair->b), HF_OK);
    return 0;
}

/** The kernel of b looks a path up, and keeps it. */
static uint64_t know(struct pair *pair, const char *path)
{
    struct tree_entry entry;
    const char *name;
    uint64_t parent;

    assert_int_equal(mount_parent(&pair->b, path, &parent, &name), HF_OK);
    assert_int_equal(tree_lookup(pair->b.tree, parent, name, &entry), HF_OK);
    assert_true(entry.inode != 0);
    return entry.inode;
}

static uint64_t size_of(struct pair *pair, uint64_t inode)
{
    struct tree_entry entry;

    assert_int_equal(tree_getattr(pair->b.tree, inode, &entry), HF_OK);
    return (uint64_t)entry.attr.st_size;
}

static void write_big(struct pair *pair, const char *path)
{
    uint8_t *block = malloc(BIG);
    uint64_t x = 88172645463325252ULL;

    for (size_t i = 0; i < BIG; i += 8) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        memcpy(block + i, &x, 8);
    }
    assert_int_equal(mount_write(&pair->a, path, 0, block, BIG), HF_OK);
    free(block);
}

static void append_drops_the_tail_alone(void **state)
{
    struct pair *pair = *state;
    uint64_t log, other;

    write_big(pair, "s/log");
    write_big(pair, "s/other");
    log = know(pair, "s/log");
    other = know(pair, "s/other");
    for (uint64_t i = 0; i < 5; i++) {
        uint64_t size = BIG + i * 2000;
        char line[2000];

        memset(line, 'a' + (int)i, sizeof line);
        kernel_clear();
        assert_int_equal(mount_write(&pair->a, "s/log", size, line, sizeof line), HF_OK);
        /* Told before the new length is: there is nothing to wait for. */
        assert_int_equal(size_of(pair, log), size + sizeof line);
        assert_true(dropped(log) >= (int64_t)size - 2 * 65536);
        assert_true(dropped(log) <= (int64_t)size);
        assert_int_equal(dropped(other), -1);
    }
    tree_forget(pair->b.tree, log, 1);
    tree_forget(pair->b.tree, other, 1);
}

static void change_in_the_middle_drops_what_follows(void **state)
{
    struct pair *pair = *state;
    uint64_t file;

    write_big(pair, "s/f");
    file = know(pair, "s/f");
    assert_int_equal(mount_write(&pair->a, "s/f", 1 << 20, "changed", 7), HF_OK);
    assert_int_equal(size_of(pair, file), BIG);
    assert_true(dropped(file) > (1 << 20) - 2 * 65536);
    assert_true(dropped(file) <= 1 << 20);
    kernel_clear();
    assert_int_equal(mount_write_text(&pair->a, "s/f", "short"), HF_OK);
    assert_int_equal(size_of(pair, file), 5);
    assert_int_equal(dropped(file), 0);
    tree_forget(pair->b.tree, file, 1);
}

static void small_files_are_compared_by_the_byte(void **state)
{
    struct pair *pair = *state;
    uint64_t file;

    assert_int_equal(mount_write_text(&pair->a, "s/f", "0123456789"), HF_OK);
    file = know(pair, "s/f");
    assert_int_equal(mount_write_text(&pair->a, "s/f", "01234x6789"), HF_OK);
    assert_int_equal(size_of(pair, file), 10);
    assert_int_equal(dropped(file), 5);
    tree_forget(pair->b.tree, file, 1);
}

static void attributes_alone_drop_no_content(void **state)
{
    struct pair *pair = *state;
    struct tree_entry entry;
    uint64_t file;

    assert_int_equal(mount_write_text(&pair->a, "s/f", "text"), HF_OK);
    file = know(pair, "s/f");
    assert_int_equal(mount_chmod(&pair->a, "s/f", 0600), HF_OK);
    assert_int_equal(tree_commit_all(pair->a.tree, false, NULL), HF_OK);
    assert_int_equal(tree_getattr(pair->b.tree, file, &entry), HF_OK);
    assert_int_equal(entry.attr.st_mode & 07777, 0600);
    assert_int_equal(dropped(file), -1);
    tree_forget(pair->b.tree, file, 1);
}

/** A hand-over is no reason to read everything again. */
static void giving_up_a_lease_drops_no_content(void **state)
{
    struct pair *pair = *state;
    uint64_t file;

    assert_int_equal(mount_write_text(&pair->b, "s/f", "ours"), HF_OK);
    file = know(pair, "s/f");
    kernel_clear();
    assert_int_equal(mount_write_text(&pair->a, "s/g", "theirs"), HF_OK);
    assert_int_equal(size_of(pair, file), 4);
    assert_int_equal(dropped(file), -1);
    tree_forget(pair->b.tree, file, 1);
}

static void file_renamed_elsewhere_is_followed(void **state)
{
    struct pair *pair = *state;
    struct tree_handle *handle;
    uint8_t data[32];
    size_t len;

    assert_int_equal(mount_write_text(&pair->a, "s/f", "one"), HF_OK);
    assert_int_equal(mount_openfile(&pair->b, "s/f", O_RDONLY, 0, &handle), HF_OK);
    assert_int_equal(mount_rename(&pair->a, "s/f", "s/g", 0), HF_OK);
    assert_int_equal(mount_write(&pair->a, "s/g", 3, "two", 3), HF_OK);
    assert_int_equal(size_of(pair, know(pair, "s/g")), 6);
    assert_int_equal(tree_read(handle, 0, sizeof data, data, &len), HF_OK);
    assert_int_equal(len, 6);
    assert_memory_equal(data, "onetwo", 6);
    assert_int_equal(mount_closefile(handle), HF_OK);
}

/** The kernel of b knows a size from before a appended, and gives that as the end of the file. */
static void append_after_another_hosts_loses_neither(struct pair *pair, const char *path)
{
    struct tree_handle *handle;
    char text[32];
    uint64_t file;

    assert_int_equal(mount_write_text(&pair->a, path, "one\n"), HF_OK);
    file = know(pair, path);
    assert_int_equal(size_of(pair, file), 4);
    assert_int_equal(mount_write(&pair->a, path, 4, "two\n", 4), HF_OK);
    assert_int_equal(mount_openfile(&pair->b, path, O_WRONLY | O_APPEND, 0, &handle), HF_OK);
    kernel_clear();
    assert_int_equal(tree_append(handle, &pair->b.caller, 4, "three\n", 6), HF_OK);
    for (int i = 0; i < 5000 && dropped(file) != 4; i++) /* by the worker */
        usleep(1000);
    assert_int_equal(dropped(file), 4);
    assert_int_equal(tree_append(handle, &pair->b.caller, 14, "four\n", 5), HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(mount_read_text(&pair->a, path, text, sizeof text), HF_OK);
    assert_string_equal(text, "one\ntwo\nthree\nfour\n");
    tree_forget(pair->b.tree, file, 1);
}

static void append_in_a_session(void **state)
{
    append_after_another_hosts_loses_neither(*state, "s/log");
}

static void append_in_the_shared_tree(void **state)
{
    append_after_another_hosts_loses_neither(*state, "log");
}

static void append_after_another_host_truncated_leaves_no_hole(void **state)
{
    struct pair *pair = *state;
    struct tree_handle *handle;
    char text[32];

    assert_int_equal(mount_write_text(&pair->a, "s/log", "long ago\n"), HF_OK);
    assert_int_equal(mount_write_text(&pair->a, "s/log", "now\n"), HF_OK);
    assert_int_equal(mount_openfile(&pair->b, "s/log", O_WRONLY | O_APPEND, 0, &handle), HF_OK);
    assert_int_equal(tree_append(handle, &pair->b.caller, 9, "then\n", 5), HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(mount_read_text(&pair->a, "s/log", text, sizeof text), HF_OK);
    assert_string_equal(text, "now\nthen\n");
}

static struct lock_request whole_file(uint64_t file, enum lock_type type)
{
    return (struct lock_request){
        .inode = file, .kind = LOCK_POSIX, .type = type, .end = UINT64_MAX, .owner = 7, .pid = 7};
}

/** What was under a lock is read by who has it next, though its file was open all the time. */
static void lock_comes_with_what_was_written_under_it(void **state)
{
    struct pair *pair = *state;
    struct tree_handle *handle;
    struct lock_request request;
    uint64_t file;

    assert_int_equal(mount_write_text(&pair->a, "f", "one"), HF_OK);
    file = know(pair, "f");
    request = whole_file(file, LOCK_TYPE_WRITE);
    assert_int_equal(mount_openfile(&pair->b, "f", O_RDWR, 0, &handle), HF_OK);
    request.handle = (uint64_t)(uintptr_t)handle;
    assert_int_equal(mount_write(&pair->a, "f", 0, "two", 3), HF_OK);
    kernel_clear();
    assert_int_equal(tree_lock(handle, &request, false, NULL, NULL, NULL), HF_OK);
    assert_int_equal(dropped(file), 0);
    assert_int_equal(mount_closefile(handle), HF_OK);
    tree_forget(pair->b.tree, file, 1);
}

struct grant {
    uint64_t file;
    int64_t dropped; /* when it was answered */
    atomic_int status;
};

static void note_grant(int status, void *arg)
{
    struct grant *grant = arg;

    grant->dropped = dropped(grant->file);
    atomic_store(&grant->status, status);
}

static void awaited_lock_comes_with_what_was_written_under_it(void **state)
{
    struct pair *pair = *state;
    struct grant grant = {.status = HF_PENDING};
    struct tree_handle *ours, *theirs;
    struct lock_request request;
    uint64_t ticket;

    assert_int_equal(mount_write_text(&pair->a, "f", "one"), HF_OK);
    grant.file = know(pair, "f");
    assert_int_equal(mount_openfile(&pair->a, "f", O_RDWR, 0, &theirs), HF_OK);
    assert_int_equal(mount_openfile(&pair->b, "f", O_RDWR, 0, &ours), HF_OK);
    request = whole_file(grant.file, LOCK_TYPE_WRITE);
    request.handle = (uint64_t)(uintptr_t)theirs;
    assert_int_equal(tree_lock(theirs, &request, false, NULL, NULL, NULL), HF_OK);
    request.handle = (uint64_t)(uintptr_t)ours;
    assert_int_equal(tree_lock(ours, &request, true, note_grant, &grant, &ticket), HF_PENDING);
    kernel_clear();
    assert_int_equal(tree_write(theirs, &pair->a.caller, 0, "two", 3), HF_OK);
    request = whole_file(grant.file, LOCK_TYPE_NONE);
    request.handle = (uint64_t)(uintptr_t)theirs;
    assert_int_equal(tree_lock(theirs, &request, false, NULL, NULL, NULL), HF_OK);
    for (int i = 0; i < 5000 && atomic_load(&grant.status) == HF_PENDING; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&grant.status), HF_OK);
    assert_int_equal(grant.dropped, 0);
    assert_int_equal(mount_closefile(theirs), HF_OK);
    assert_int_equal(mount_closefile(ours), HF_OK);
    tree_forget(pair->b.tree, grant.file, 1);
}

static void unchanged_directories_are_not_read_again(void **state)
{
    struct pair *pair = *state;
    uint64_t deep;

    assert_int_equal(mount_mkdir(&pair->a, "s/d", 0755), HF_OK);
    assert_int_equal(mount_mkdir(&pair->a, "s/d/e", 0755), HF_OK);
    assert_int_equal(mount_write_text(&pair->a, "s/d/e/f", "deep"), HF_OK);
    deep = know(pair, "s/d/e/f");
    kernel_clear();
    assert_int_equal(mount_write_text(&pair->a, "s/x", "beside"), HF_OK);
    assert_int_equal(size_of(pair, deep), 4);
    assert_int_equal(dropped(deep), -1);
    assert_int_equal(mount_write_text(&pair->a, "s/d/e/f", "deeper"), HF_OK);
    assert_int_equal(size_of(pair, deep), 6);
    assert_int_equal(dropped(deep), 4);
    tree_forget(pair->b.tree, deep, 1);
}

/** An answer was on its way when the kernel was told to forget what it says. */
static void overtaken_answer_holds_for_no_time(void **state)
{
    struct pair *pair = *state;
    struct tree_entry entry, s;
    uint64_t parent;
    const char *name;

    assert_int_equal(mount_write_text(&pair->b, "s/f", "ours"), HF_OK);
    assert_int_equal(mount_parent(&pair->b, "s/f", &parent, &name), HF_OK);
    assert_int_equal(tree_lookup(pair->b.tree, parent, name, &entry), HF_OK);
    assert_true(entry.entry_timeout > 0);
    assert_true(tree_still_holds(pair->b.tree, &entry));
    assert_int_equal(mount_write_text(&pair->a, "s/g", "theirs"), HF_OK);
    assert_false(tree_still_holds(pair->b.tree, &entry));
    tree_forget(pair->b.tree, entry.inode, 1);
    assert_int_equal(tree_getattr(pair->b.tree, parent, &s), HF_OK);
    assert_true(s.attr_timeout <= 0);
    tree_forget(pair->b.tree, parent, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(append_drops_the_tail_alone),
        TEST(change_in_the_middle_drops_what_follows),
        TEST(small_files_are_compared_by_the_byte),
        TEST(attributes_alone_drop_no_content),
        TEST(giving_up_a_lease_drops_no_content),
        TEST(file_renamed_elsewhere_is_followed),
        TEST(lock_comes_with_what_was_written_under_it),
        TEST(awaited_lock_comes_with_what_was_written_under_it),
        TEST(append_in_a_session),
        TEST(append_in_the_shared_tree),
        TEST(append_after_another_host_truncated_leaves_no_hole),
        TEST(unchanged_directories_are_not_read_again),
        TEST(overtaken_answer_holds_for_no_time),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
