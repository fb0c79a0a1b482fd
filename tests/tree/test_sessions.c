/* SPDX-License-Identifier: Apache-2.0 */
/** What a mount does for sessions beyond POSIX: claims, old versions, the index, commits, memory. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mount.h"

static char url[64];

static int setup(void **state)
{
    static struct mount mount;
    static int n;

    snprintf(url, sizeof url, "memory:sessions%d", n++);
    mount_open(&mount, url);
    *state = &mount;
    return mount_mkdir(&mount, "s", 0755);
}

static int teardown(void **state)
{
    return mount_close(*state);
}

static uint64_t version_of(struct mount *mount, const char *name)
{
    struct session_head head;

    assert_int_equal(store_session_find(mount->store, name, &head, NULL), HF_OK);
    return head.version;
}

/* --- claims --------------------------------------------------------------------------------------- */

/** A process that lives until it is killed. */
static pid_t bystander(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        pause();
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

static void end_bystander(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static int claim_as(struct mount *mount, pid_t pid, const char *path)
{
    struct tree_caller before = mount->caller;
    int rc;

    mount->caller.pid = pid;
    rc = mount_write_text(mount, path, "claim");
    mount->caller = before;
    return rc;
}

static void second_process_cannot_claim_a_session_in_use(void **state)
{
    struct mount *mount = *state;
    pid_t a = bystander(), b = bystander();
    struct tree_entry entry;

    assert_int_equal(claim_as(mount, a, "s/inuse.1.lock"), HF_OK);
    assert_int_equal(claim_as(mount, b, "s/inuse.2.lock"), HF_BUSY);
    assert_int_equal(mount_lookup(mount, "s/inuse.2.lock", &entry), HF_NOENT);
    assert_int_equal(claim_as(mount, b, "s/other"), HF_OK);
    assert_int_equal(mount_mkdir(mount, "s/d", 0755), HF_OK);
    assert_int_equal(claim_as(mount, b, "s/d/inuse.2.lock"), HF_OK); /* not in the top directory */
    assert_int_equal(mount_unlink(mount, "s/inuse.1.lock"), HF_OK);
    assert_int_equal(claim_as(mount, b, "s/inuse.2.lock"), HF_OK);
    end_bystander(a);
    end_bystander(b);
}

static void claim_of_a_dead_process_ends_and_its_files_go(void **state)
{
    struct mount *mount = *state;
    pid_t a = bystander(), b = bystander();
    char names[128];
    int rc = HF_BUSY;

    assert_int_equal(claim_as(mount, a, "s/inuse.1.lock"), HF_OK);
    assert_int_equal(claim_as(mount, a, "s/inuse.1.hold"), HF_OK);
    assert_int_equal(mount_write_text(mount, "s/events.jsonl", "x"), HF_OK);
    end_bystander(a);
    rc = claim_as(mount, b, "s/inuse.2.lock");
    assert_int_equal(rc, HF_OK);
    assert_int_equal(mount_list(mount, "s", names, sizeof names), HF_OK);
    assert_string_equal(names, "events.jsonl inuse.2.lock ");
    end_bystander(b);
}

/* --- versions ------------------------------------------------------------------------------------- */

static void old_versions_are_read_and_not_written(void **state)
{
    struct mount *mount = *state;
    char path[64], text[64], names[64];
    struct tree_entry entry;
    uint64_t version;

    assert_int_equal(mount_write_text(mount, "s/f", "old"), HF_OK);
    version = version_of(mount, "s");
    assert_int_equal(mount_write_text(mount, "s/f", "new"), HF_OK);
    assert_int_equal(mount_write_text(mount, "s/g", "new"), HF_OK);
    snprintf(path, sizeof path, "s/.holdfast/versions/%llu/f", (unsigned long long)version);
    assert_int_equal(mount_read_text(mount, path, text, sizeof text), HF_OK);
    assert_string_equal(text, "old");
    assert_int_equal(mount_write_text(mount, path, "changed"), HF_ROFS);
    assert_int_equal(mount_unlink(mount, path), HF_ROFS);
    *strrchr(path, '/') = '\0';
    assert_int_equal(mount_list(mount, path, names, sizeof names), HF_OK);
    assert_string_equal(names, "f ");
    assert_int_equal(mount_list(mount, "s", names, sizeof names), HF_OK);
    assert_string_equal(names, "f g ");
    assert_int_equal(mount_lookup(mount, "s/.holdfast/versions/999", &entry), HF_NOENT);
    assert_int_equal(mount_lookup(mount, "s/.holdfast/versions/01", &entry), HF_NOENT);
    assert_int_equal(mount_mkdir(mount, "s/.holdfast", 0755), HF_PERM);
    assert_int_equal(mount_mkdir(mount, "s/.holdfast/versions/x", 0755), HF_ROFS);
}

static void old_versions_are_listed_from_the_newest_down(void **state)
{
    struct mount *mount = *state;
    char expected[160] = "", names[160];
    struct tree_stats stats;
    uint64_t version;

    for (int i = 0; i < 12; i++) {
        snprintf(names, sizeof names, "text %d", i);
        assert_int_equal(mount_write_text(mount, "s/f", names), HF_OK);
    }
    version = version_of(mount, "s");
    assert_true(version >= 12 && version < 30);
    for (uint64_t v = version; v > 0; v--)
        snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%llu ",
                 (unsigned long long)v);
    assert_int_equal(mount_list(mount, "s/.holdfast", names, sizeof names), HF_OK);
    assert_string_equal(names, "lease versions ");
    assert_int_equal(mount_list(mount, "s/.holdfast/versions", names, sizeof names), HF_OK);
    assert_string_equal(names, expected);
    tree_stats(mount->tree, &stats);
    assert_int_equal(stats.sessions_loaded, 1); /* and no view */
    snprintf(names, sizeof names, "s/.holdfast/versions/%llu/.holdfast",
             (unsigned long long)version);
    assert_int_equal(mount_list(mount, names, expected, sizeof expected), HF_NOENT);
}

/* --- the index ------------------------------------------------------------------------------------ */

static int note_repository(const struct session_info *info, void *arg)
{
    char *text = arg;

    snprintf(text, 64, "%s/%s", info->meta.repository ? info->meta.repository : "-",
             info->meta.branch ? info->meta.branch : "-");
    return 0;
}

static void index_follows_workspace_yaml(void **state)
{
    struct mount *mount = *state;
    struct session_filter filter = {.name_glob = "s"};
    char text[64];

    assert_int_equal(mount_write_text(mount, "s/workspace.yaml", "repository: one\nbranch: main\n"),
                     HF_OK);
    assert_int_equal(store_session_list(mount->store, &filter, note_repository, text, NULL), 0);
    assert_string_equal(text, "one/main");
    assert_int_equal(mount_write_text(mount, "s/other", "repository: no\n"), HF_OK);
    assert_int_equal(store_session_list(mount->store, &filter, note_repository, text, NULL), 0);
    assert_string_equal(text, "one/main");
    assert_int_equal(mount_rename(mount, "s/other", "s/workspace.yaml", 0), HF_OK);
    assert_int_equal(tree_commit_all(mount->tree, false, NULL), HF_OK);
    assert_int_equal(store_session_list(mount->store, &filter, note_repository, text, NULL), 0);
    assert_string_equal(text, "no/-");
    assert_int_equal(mount_unlink(mount, "s/workspace.yaml"), HF_OK);
    assert_int_equal(tree_commit_all(mount->tree, false, NULL), HF_OK);
    assert_int_equal(store_session_list(mount->store, &filter, note_repository, text, NULL), 0);
    assert_string_equal(text, "-/-");
}

/* --- commits -------------------------------------------------------------------------------------- */

static void close_of_a_file_not_written_commits_nothing(void **state)
{
    struct mount *mount = *state;
    struct tree_handle *handle;
    uint64_t version;

    assert_int_equal(mount_write_text(mount, "s/f", "x"), HF_OK);
    version = version_of(mount, "s");
    assert_int_equal(mount_openfile(mount, "s/f", O_RDWR, 0, &handle), HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(mount_openfile(mount, "s/f", O_RDONLY, 0, &handle), HF_OK);
    assert_int_equal(tree_fsync(handle), HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(version_of(mount, "s"), version);
}

static void change_that_no_close_follows_is_committed_in_time(void **state)
{
    struct mount *mount = *state;
    struct timespec pause = {.tv_nsec = 5000000};
    uint64_t version = version_of(mount, "s");
    int waited = 0;

    assert_int_equal(mount_mkdir(mount, "s/d", 0755), HF_OK);
    while (version_of(mount, "s") == version && waited++ < 2000)
        nanosleep(&pause, NULL);
    assert_int_equal(version_of(mount, "s"), version + 1);
}

static void commit_holds_every_change_before_it(void **state)
{
    struct mount *mount = *state;
    struct tree_handle *open_file;
    char path[64], text[64];

    assert_int_equal(mount_openfile(mount, "s/open", O_CREAT | O_WRONLY, 0644, &open_file), HF_OK);
    assert_int_equal(tree_write(open_file, &mount->caller, 0, "half", 4), HF_OK);
    assert_int_equal(mount_mkdir(mount, "s/d", 0755), HF_OK);
    assert_int_equal(mount_write_text(mount, "s/d/f", "x"), HF_OK);
    snprintf(path, sizeof path, "s/.holdfast/versions/%llu/open",
             (unsigned long long)version_of(mount, "s"));
    assert_int_equal(mount_read_text(mount, path, text, sizeof text), HF_OK);
    assert_string_equal(text, "half");
    assert_int_equal(mount_closefile(open_file), HF_OK);
}

/* --- memory --------------------------------------------------------------------------------------- */

static void long_write_keeps_few_unsaved_bytes(void **state)
{
    struct mount *mount = *state;
    struct tree_handle *handle;
    struct tree_stats stats;
    uint64_t most = 0, x = 88172645463325252ULL;
    uint8_t *block = malloc(1 << 20), *back = malloc(1 << 20);
    size_t len;

    assert_int_equal(mount_openfile(mount, "s/big", O_CREAT | O_RDWR, 0644, &handle), HF_OK);
    for (uint64_t i = 0; i < 100; i++) {
        for (size_t j = 0; j < 1 << 20; j += 8) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            memcpy(block + j, &x, 8);
        }
        assert_int_equal(tree_write(handle, &mount->caller, i << 20, block, 1 << 20), HF_OK);
        tree_stats(mount->tree, &stats);
        most = stats.dirty_bytes > most ? stats.dirty_bytes : most;
    }
    assert_true(most <= 10U << 20);
    assert_int_equal(mount_closefile(handle), HF_OK);
    tree_stats(mount->tree, &stats);
    assert_int_equal(stats.dirty_bytes, 0);
    assert_int_equal(mount_openfile(mount, "s/big", O_RDONLY, 0, &handle), HF_OK);
    assert_int_equal(tree_read(handle, 99ULL << 20, 1 << 20, back, &len), HF_OK);
    assert_int_equal(len, 1 << 20);
    assert_memory_equal(back, block, 1 << 20);
    assert_int_equal(mount_closefile(handle), HF_OK);
    free(block);
    free(back);
}

/** A kernel that remembers nothing: it forgets a session when it is asked to. */
struct forgetful {
    struct mount mount;
    uint64_t asked;
};

static void count_entry(void *arg, uint64_t parent, const char *name)
{
    struct forgetful *forgetful = arg;

    (void)parent;
    (void)name;
    __atomic_fetch_add(&forgetful->asked, 1, __ATOMIC_RELAXED);
}

static void ignore_inode(void *arg, uint64_t inode, int64_t from)
{
    (void)arg;
    (void)inode;
    (void)from;
}

static void many_sessions_do_not_stay_loaded(void **state)
{
    static struct forgetful forgetful;
    struct tree_options options = {.memory_limit = 4U << 20, /* 85 sessions */
                                   .kernel = {.inval_entry = count_entry,
                                              .expire_entry = count_entry,
                                              .inval_inode = ignore_inode,
                                              .arg = &forgetful}};
    struct timespec pause = {.tv_nsec = 10000000};
    struct tree_stats stats;
    struct tree_entry entry;
    char name[32];
    int waited = 0;

    (void)state;
    options.identity.host_name = "host";
    mount_open_with(&forgetful.mount, "memory:many", &options);
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "many%d", i);
        assert_int_equal(mount_mkdir(&forgetful.mount, name, 0755), HF_OK);
    }
    do {
        nanosleep(&pause, NULL);
        tree_stats(forgetful.mount.tree, &stats);
    } while (stats.sessions_loaded > 1200 && waited++ < 2000);
    assert_true(stats.sessions_loaded <= 1200);
    assert_int_equal(mount_lookup(&forgetful.mount, "many7", &entry), HF_OK);
    /* What the kernel still knows cannot be dropped: it is asked to forget. */
    for (int i = 0; i < 3000; i++) {
        snprintf(name, sizeof name, "many%d", i);
        assert_int_equal(tree_lookup(forgetful.mount.tree, TREE_ROOT, name, &entry), HF_OK);
    }
    for (waited = 0; waited < 2000 && __atomic_load_n(&forgetful.asked, __ATOMIC_RELAXED) == 0;
         waited++)
        nanosleep(&pause, NULL);
    assert_true(__atomic_load_n(&forgetful.asked, __ATOMIC_RELAXED) > 0);
    assert_int_equal(mount_close(&forgetful.mount), HF_OK);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(second_process_cannot_claim_a_session_in_use),
        TEST(claim_of_a_dead_process_ends_and_its_files_go),
        TEST(old_versions_are_read_and_not_written),
        TEST(old_versions_are_listed_from_the_newest_down),
        TEST(index_follows_workspace_yaml),
        TEST(close_of_a_file_not_written_commits_nothing),
        TEST(change_that_no_close_follows_is_committed_in_time),
        TEST(commit_holds_every_change_before_it),
        TEST(long_write_keeps_few_unsaved_bytes),
        cmocka_unit_test(many_sessions_do_not_stay_loaded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
