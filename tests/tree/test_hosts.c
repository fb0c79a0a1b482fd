/* SPDX-License-Identifier: Apache-2.0 */
/** Two mounts of one store: leases that go from one to the other, what each sees of the other, and work
 *  that lost its lease. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "mount.h"
#include "store/engine.h"

struct pair {
    struct mount a, b;
};

/** Retries for a while what depends on an event that is still under way. */
static bool eventually(bool (*test)(struct pair *pair), struct pair *pair)
{
    struct timespec pause = {.tv_nsec = 2000000};

    for (int i = 0; i < 2500; i++) {
        if (test(pair))
            return true;
        nanosleep(&pause, NULL);
    }
    return false;
}

static void close_pair(struct pair *pair)
{
    assert_int_equal(mount_close(&pair->a), HF_OK);
    assert_int_equal(mount_close(&pair->b), HF_OK);
}

static struct pair *pair_of(void **state)
{
    return *state;
}

static int setup(void **state)
{
    static struct pair pair;
    static int n;
    char url[64];

    snprintf(url, sizeof url, "memory:hosts%d", n++);
    mount_open(&pair.a, url);
    mount_open(&pair.b, url);
    assert_true(mount_awaits_another(&pair.a) && mount_awaits_another(&pair.b));
    *state = &pair;
    return mount_mkdir(&pair.a, "s", 0755);
}

static int teardown(void **state)
{
    close_pair(*state);
    return 0;
}

static void close_is_seen_by_the_next_open(void **state)
{
    struct pair *pair = pair_of(state);
    char text[64];

    assert_int_equal(mount_write_text(&pair->a, "s/f", "one"), HF_OK);
    assert_int_equal(mount_read_text(&pair->b, "s/f", text, sizeof text), HF_OK);
    assert_string_equal(text, "one");
    assert_int_equal(mount_write_text(&pair->a, "s/f", "two"), HF_OK);
    assert_int_equal(mount_read_text(&pair->b, "s/f", text, sizeof text), HF_OK);
    assert_string_equal(text, "two");
}

static void idle_lease_goes_to_who_asks(void **state)
{
    struct pair *pair = pair_of(state);
    char text[64];

    assert_int_equal(mount_write_text(&pair->a, "s/f", "from a"), HF_OK);
    assert_int_equal(mount_mkdir(&pair->a, "s/d", 0755), HF_OK); /* not committed by a close */
    assert_int_equal(mount_mkdir(&pair->b, "s/e", 0755), HF_OK); /* the recall commits it */
    assert_int_equal(mount_write_text(&pair->b, "s/d/g", "from b"), HF_OK);
    assert_int_equal(mount_write_text(&pair->a, "s/d/h", "from a again"), HF_OK);
    assert_int_equal(mount_read_text(&pair->a, "s/d/g", text, sizeof text), HF_OK);
    assert_string_equal(text, "from b");
    assert_int_equal(mount_read_text(&pair->b, "s/d/h", text, sizeof text), HF_OK);
    assert_string_equal(text, "from a again");
}

static void open_file_pins_the_lease(void **state)
{
    struct pair *pair = pair_of(state);
    struct tree_handle *handle;
    struct tree_entry entry;
    char holder[16];
    size_t len;

    assert_int_equal(mount_openfile(&pair->a, "s/f", O_CREAT | O_WRONLY, 0644, &handle), HF_OK);
    assert_int_equal(tree_write(handle, &pair->a.caller, 0, "x", 1), HF_OK);
    assert_int_equal(mount_mkdir(&pair->b, "s/d", 0755), HF_BUSY);
    assert_int_equal(mount_write_text(&pair->b, "s/g", "x"), HF_BUSY);
    assert_int_equal(mount_lookup(&pair->b, "s", &entry), HF_OK);
    assert_int_equal(tree_getxattr(pair->b.tree, entry.inode, "user.holdfast.holder", holder,
                                   sizeof holder, &len),
                     HF_OK);
    assert_int_equal(len, 4);
    assert_memory_equal(holder, "host", 4);
    assert_int_equal(mount_lookup(&pair->b, "s/g", &entry), HF_NOENT);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(mount_mkdir(&pair->b, "s/d", 0755), HF_OK);
}

static void *release_late(void *arg)
{
    const struct timespec pause = {.tv_nsec = 10000000};

    nanosleep(&pause, NULL);
    tree_release(arg);
    return NULL;
}

/* The kernel answers a close(2) when the file is flushed, and sends the release after that. */
static void closed_file_pins_no_lease(void **state)
{
    struct pair *pair = pair_of(state);
    struct tree_handle *handle;
    pthread_t thread;

    assert_int_equal(mount_openfile(&pair->a, "s/f", O_CREAT | O_WRONLY, 0644, &handle), HF_OK);
    assert_int_equal(tree_write(handle, &pair->a.caller, 0, "x", 1), HF_OK);
    assert_int_equal(tree_flush(handle, 1), HF_OK);
    assert_int_equal(pthread_create(&thread, NULL, release_late, handle), 0);
    assert_int_equal(mount_write_text(&pair->b, "s/g", "x"), HF_OK);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void file_that_is_closed_once_of_twice_pins_the_lease(void **state)
{
    struct pair *pair = pair_of(state);
    struct tree_handle *handle;

    assert_int_equal(mount_openfile(&pair->a, "s/f", O_CREAT | O_WRONLY, 0644, &handle), HF_OK);
    assert_int_equal(tree_flush(handle, 1), HF_OK); /* of a descriptor made by dup(2) */
    assert_int_equal(tree_write(handle, &pair->a.caller, 0, "x", 1), HF_OK);
    assert_int_equal(mount_write_text(&pair->b, "s/g", "x"), HF_BUSY);
    assert_int_equal(tree_flush(handle, 1), HF_OK);
    assert_int_equal(mount_write_text(&pair->b, "s/g", "x"), HF_BUSY);
    tree_release(handle);
    assert_int_equal(mount_write_text(&pair->b, "s/g", "x"), HF_OK);
}

static void lock_pins_the_lease(void **state)
{
    struct pair *pair = pair_of(state);
    struct tree_handle *handle, *other;
    struct tree_entry entry;
    struct lock_request lock = {
        .kind = LOCK_FLOCK, .type = LOCK_TYPE_WRITE, .end = UINT64_MAX, .owner = 1, .pid = 7};

    assert_int_equal(mount_write_text(&pair->a, "s/f", "x"), HF_OK);
    assert_int_equal(mount_openfile(&pair->a, "s/f", O_RDONLY, 0, &handle), HF_OK);
    assert_int_equal(mount_lookup(&pair->a, "s/f", &entry), HF_OK);
    lock.inode = entry.inode;
    lock.handle = (uint64_t)(uintptr_t)handle;
    assert_int_equal(tree_lock(handle, &lock, false, NULL, NULL, NULL), HF_OK);
    assert_int_equal(mount_mkdir(&pair->b, "s/d", 0755), HF_BUSY);
    assert_int_equal(mount_openfile(&pair->b, "s/f", O_RDONLY, 0, &other), HF_OK);
    assert_int_equal(tree_lock(other, &lock, false, NULL, NULL, NULL), HF_AGAIN);
    assert_int_equal(mount_closefile(other), HF_OK);
    lock.type = LOCK_TYPE_NONE;
    assert_int_equal(tree_lock(handle, &lock, false, NULL, NULL, NULL), HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
    assert_int_equal(mount_mkdir(&pair->b, "s/d", 0755), HF_OK);
}

static int count_rescues(const struct root_info *root, void *arg)
{
    *(unsigned *)arg += root->kind == ROOT_RESCUE;
    return 0;
}

static bool a_writes_again(struct pair *pair)
{
    return mount_write_text(&pair->a, "s/after", "x") == HF_OK;
}

static bool rescue_is_there(struct pair *pair)
{
    unsigned rescues = 0;

    store_roots(pair->b.store, count_rescues, &rescues, NULL);
    return rescues == 1;
}

static void broken_lease_loses_no_work_silently(void **state)
{
    struct pair *pair = pair_of(state);
    struct tree_handle *handle;
    struct session_head head;
    struct tree_entry entry;
    struct lease lease;

    assert_int_equal(mount_write_text(&pair->a, "s/f", "saved"), HF_OK);
    assert_int_equal(store_session_find(pair->a.store, "s", &head, NULL), HF_OK);
    assert_int_equal(mount_openfile(&pair->a, "s/g", O_CREAT | O_WRONLY, 0644, &handle), HF_OK);
    assert_int_equal(tree_write(handle, &pair->a.caller, 0, "unsaved", 7), HF_OK);
    /* Who breaks it needs the token; the session's holder is asked for it here. */
    {
        char token[32] = "";
        size_t len;

        assert_int_equal(mount_lookup(&pair->a, "s", &entry), HF_OK);
        assert_int_equal(tree_getxattr(pair->a.tree, entry.inode, "user.holdfast.token", token,
                                       sizeof token - 1, &len),
                         HF_OK);
        lease.token = strtoull(token, NULL, 10);
    }
    assert_int_equal(
        store_lease_break(pair->b.store, head.sid, lease.token, "a test breaks it", NULL), HF_OK);
    assert_true(eventually(rescue_is_there, pair));
    assert_int_equal(tree_write(handle, &pair->a.caller, 7, "more", 4), HF_FENCED);
    assert_int_equal(tree_flush(handle, 0), HF_FENCED);
    tree_release(handle);
    assert_true(eventually(a_writes_again, pair));
    assert_int_equal(mount_lookup(&pair->a, "s/g", &entry), HF_NOENT);
}

static void shared_tree_is_written_by_both(void **state)
{
    struct pair *pair = pair_of(state);
    char names[256], text[64];

    assert_int_equal(mount_mkdir(&pair->a, ".d", 0755), HF_OK);
    assert_int_equal(mount_mkdir(&pair->b, ".d", 0755), HF_EXIST);
    assert_int_equal(mount_write_text(&pair->b, ".d/b", "b"), HF_OK);
    assert_int_equal(mount_write_text(&pair->a, ".d/a", "a"), HF_OK);
    assert_int_equal(mount_write_text(&pair->b, ".d/c", "c"), HF_OK);
    assert_int_equal(mount_list(&pair->a, ".d", names, sizeof names), HF_OK);
    assert_string_equal(names, "a b c ");
    assert_int_equal(mount_read_text(&pair->a, ".d/c", text, sizeof text), HF_OK);
    assert_string_equal(text, "c");
}

struct adder {
    struct mount *mount;
    char prefix;
    int failures;
};

static void *add_files(void *arg)
{
    struct adder *adder = arg;
    char path[32];

    for (int i = 0; i < 40; i++) {
        snprintf(path, sizeof path, ".d/%c%d", adder->prefix, i);
        adder->failures += mount_write_text(adder->mount, path, path) != HF_OK;
    }
    return NULL;
}

static void shared_tree_loses_no_concurrent_change(void **state)
{
    struct pair *pair = pair_of(state);
    struct adder adders[4] = {
        {&pair->a, 'a', 0}, {&pair->a, 'b', 0}, {&pair->b, 'c', 0}, {&pair->b, 'd', 0}};
    char names[4096], text[64];
    pthread_t threads[4];
    unsigned n = 0;

    assert_int_equal(mount_mkdir(&pair->a, ".d", 0755), HF_OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_files, &adders[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(adders[i].failures, 0);
    }
    assert_int_equal(mount_list(&pair->a, ".d", names, sizeof names), HF_OK);
    for (const char *p = names; *p; p++)
        n += *p == ' ';
    assert_int_equal(n, 160);
    assert_int_equal(mount_read_text(&pair->b, ".d/a39", text, sizeof text), HF_OK);
    assert_string_equal(text, ".d/a39");
}

static void shared_lock_is_seen_by_the_other_host(void **state)
{
    struct pair *pair = pair_of(state);
    struct lock_request lock = {
        .kind = LOCK_FLOCK, .type = LOCK_TYPE_WRITE, .end = UINT64_MAX, .owner = 1, .pid = 7};
    struct tree_handle *ha, *hb;
    struct tree_entry entry;

    assert_int_equal(mount_mkdir(&pair->a, ".d", 0755), HF_OK);
    assert_int_equal(mount_write_text(&pair->a, ".d/l", ""), HF_OK);
    assert_int_equal(mount_lookup(&pair->a, ".d/l", &entry), HF_OK);
    assert_int_equal(mount_openfile(&pair->a, ".d/l", O_RDONLY, 0, &ha), HF_OK);
    assert_int_equal(mount_openfile(&pair->b, ".d/l", O_RDONLY, 0, &hb), HF_OK);
    lock.inode = entry.inode;
    lock.handle = (uint64_t)(uintptr_t)ha;
    assert_int_equal(tree_lock(ha, &lock, false, NULL, NULL, NULL), HF_OK);
    lock.handle = (uint64_t)(uintptr_t)hb;
    assert_int_equal(tree_lock(hb, &lock, false, NULL, NULL, NULL), HF_AGAIN);
    assert_int_equal(mount_closefile(ha), HF_OK); /* the last close unlocks */
    assert_int_equal(tree_lock(hb, &lock, false, NULL, NULL, NULL), HF_OK);
    assert_int_equal(mount_closefile(hb), HF_OK);
}

static void waiting_for_another_hosts_lock_ends_with_it(void **state)
{
    struct pair *pair = pair_of(state);
    struct waiting waiting = WAITING_INIT;
    struct lock_request lock = {
        .kind = LOCK_POSIX, .type = LOCK_TYPE_WRITE, .end = UINT64_MAX, .owner = 1, .pid = 7};
    struct tree_handle *ha, *hb;
    struct tree_entry entry;
    uint64_t ticket;

    assert_int_equal(mount_mkdir(&pair->a, ".d", 0755), HF_OK);
    assert_int_equal(mount_write_text(&pair->a, ".d/l", ""), HF_OK);
    assert_int_equal(mount_lookup(&pair->a, ".d/l", &entry), HF_OK);
    assert_int_equal(mount_openfile(&pair->a, ".d/l", O_RDWR, 0, &ha), HF_OK);
    assert_int_equal(mount_openfile(&pair->b, ".d/l", O_RDWR, 0, &hb), HF_OK);
    lock.inode = entry.inode;
    lock.handle = (uint64_t)(uintptr_t)ha;
    assert_int_equal(tree_lock(ha, &lock, false, NULL, NULL, NULL), HF_OK);
    lock.handle = (uint64_t)(uintptr_t)hb;
    assert_int_equal(tree_lock(hb, &lock, true, lock_done, &waiting, &ticket), HF_PENDING);
    assert_true(tree_lock_cancel(pair->b.tree, ticket));
    assert_int_equal(waiting.status, HF_INTR);
    waiting.done = false;
    assert_int_equal(tree_lock(hb, &lock, true, lock_done, &waiting, &ticket), HF_PENDING);
    assert_int_equal(tree_flush(ha, 1), HF_OK);
    assert_int_equal(await_lock(&waiting), HF_OK);
    tree_release(ha);
    tree_flush(hb, 1);
    tree_release(hb);
}

static void session_of_another_host_appears_and_goes(void **state)
{
    struct pair *pair = pair_of(state);
    struct tree_entry entry;
    char names[64];

    assert_int_equal(mount_lookup(&pair->b, "t", &entry), HF_NOENT);
    assert_int_equal(mount_mkdir(&pair->a, "t", 0755), HF_OK);
    assert_int_equal(mount_lookup(&pair->b, "t", &entry), HF_OK);
    assert_int_equal(mount_rename(&pair->a, "t", "u", 0), HF_OK);
    assert_int_equal(mount_lookup(&pair->b, "t", &entry), HF_NOENT);
    assert_int_equal(mount_lookup(&pair->b, "u", &entry), HF_OK);
    assert_int_equal(mount_rmdir(&pair->b, "u"), HF_OK);
    assert_int_equal(mount_list(&pair->a, "", names, sizeof names), HF_OK);
    assert_string_equal(names, "s ");
    assert_int_equal(mount_lookup(&pair->a, "u", &entry), HF_NOENT);
}

/** Whether b takes itself to be alone; asks only about the session, which does not look at the shared tree. */
static uint64_t session_inode;

static bool b_is_alone(struct pair *pair)
{
    struct tree_entry entry;

    return tree_getattr(pair->b.tree, session_inode, &entry) == HF_OK && entry.attr_timeout > 0;
}

static void last_change_of_a_host_that_has_gone_is_seen(void **state)
{
    struct pair *pair = pair_of(state);
    struct tree_entry entry;
    char text[64];

    assert_int_equal(tree_lookup(pair->b.tree, TREE_ROOT, "s", &entry), HF_OK);
    session_inode = entry.inode;
    assert_int_equal(mount_write_text(&pair->a, ".new", "new"), HF_OK);
    assert_int_equal(mount_close(&pair->a), HF_OK);
    assert_true(eventually(b_is_alone, pair));
    assert_int_equal(mount_read_text(&pair->b, ".new", text, sizeof text), HF_OK);
    assert_string_equal(text, "new");
    tree_forget(pair->b.tree, session_inode, 1);
    mount_open(&pair->a, "memory:elsewhere");
}

static void file_replaced_by_another_host_is_read_on(void **state)
{
    struct pair *pair = pair_of(state);
    struct tree_handle *handle;
    char text[64];
    uint8_t data[16];
    size_t len;

    assert_int_equal(mount_write_text(&pair->a, "s/f", "old"), HF_OK);
    assert_int_equal(mount_openfile(&pair->a, "s/f", O_RDONLY, 0, &handle), HF_OK);
    assert_int_equal(mount_write_text(&pair->b, "s/g", "new"), HF_OK);
    assert_int_equal(mount_rename(&pair->b, "s/g", "s/f", 0), HF_OK);
    assert_int_equal(mount_write_text(&pair->b, "s/h", "commits the rename"), HF_OK);
    assert_int_equal(mount_read_text(&pair->a, "s/f", text, sizeof text), HF_OK);
    assert_string_equal(text, "new");
    assert_int_equal(tree_read(handle, 0, sizeof data, data, &len), HF_OK);
    assert_int_equal(len, 3);
    assert_memory_equal(data, "old", 3);
    assert_int_equal(mount_closefile(handle), HF_OK);
}

/* --- what happens while a lease is on its way back ------------------------------------------------- */

/** Stands in for one call of a's store: lets a change come in on a, then goes on. */
static struct intruder {
    struct pair *pair;
    struct store_ops ops;
    const struct store_ops *real;
    pthread_mutex_t lock;
    pthread_cond_t cond;
    pthread_t thread;
    bool came, done;
    int status;
} intruder = {.lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};

static void *intrude(void *arg)
{
    int status = mount_write_text(&intruder.pair->a, "s/x", "late");

    (void)arg;
    pthread_mutex_lock(&intruder.lock);
    intruder.status = status;
    intruder.done = true;
    pthread_cond_signal(&intruder.cond);
    pthread_mutex_unlock(&intruder.lock);
    return NULL;
}

/** The change may have to wait for what it is to disturb: then that goes on after a while. */
static int release_after_intrusion(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                                   struct hf_error *err)
{
    struct timespec until;

    if (!intruder.came) {
        intruder.came = true;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += 100000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        assert_int_equal(pthread_create(&intruder.thread, NULL, intrude, NULL), 0);
        pthread_mutex_lock(&intruder.lock);
        while (!intruder.done &&
               pthread_cond_timedwait(&intruder.cond, &intruder.lock, &until) == 0)
            continue;
        pthread_mutex_unlock(&intruder.lock);
    }
    return intruder.real->lease_release(store, host, sid, token, err);
}

static void change_while_the_lease_goes_back_asks_for_it_again(void **state)
{
    struct pair *pair = pair_of(state);
    char text[64];

    assert_int_equal(mount_write_text(&pair->a, "s/f", "x"), HF_OK);
    intruder.came = intruder.done = false;
    intruder.pair = pair;
    intruder.real = pair->a.store->ops;
    intruder.ops = *intruder.real;
    intruder.ops.lease_release = release_after_intrusion;
    pair->a.store->ops = &intruder.ops;
    /* The change on a comes behind the one who asked first. */
    assert_int_equal(mount_mkdir(&pair->b, "s/d", 0755), HF_OK);
    assert_true(intruder.came);
    assert_int_equal(pthread_join(intruder.thread, NULL), 0);
    pair->a.store->ops = intruder.real;
    assert_int_equal(intruder.status, HF_OK);
    assert_int_equal(mount_write_text(&pair->a, "s/y", "later"), HF_OK);
    assert_int_equal(mount_read_text(&pair->b, "s/x", text, sizeof text), HF_OK);
    assert_string_equal(text, "late");
}

static void *look_at_shared(void *arg)
{
    struct tree_entry entry;
    int status = mount_lookup(&intruder.pair->a, ".d/x", &entry);

    (void)arg;
    pthread_mutex_lock(&intruder.lock);
    intruder.status = status;
    intruder.done = true;
    pthread_cond_signal(&intruder.cond);
    pthread_mutex_unlock(&intruder.lock);
    return NULL;
}

static int put_after_intrusion(struct store *store, uint64_t host, const struct object *objects,
                               size_t n, struct hf_error *err)
{
    struct timespec until;

    if (!intruder.came) {
        intruder.came = true;
        assert_int_equal(mount_write_text(&intruder.pair->b, ".d/x", "x"), HF_OK);
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        assert_int_equal(pthread_create(&intruder.thread, NULL, look_at_shared, NULL), 0);
        pthread_mutex_lock(&intruder.lock);
        while (!intruder.done &&
               pthread_cond_timedwait(&intruder.cond, &intruder.lock, &until) == 0)
            continue;
        pthread_mutex_unlock(&intruder.lock);
    }
    return intruder.real->put(store, host, objects, n, err);
}

/* A large file that has no name any more is written: only then has a clean shared tree something to put. */
static void shared_tree_is_not_reloaded_while_it_hands_objects_over(void **state)
{
    struct pair *pair = pair_of(state);
    uint64_t x = 88172645463325252ULL;
    uint8_t *block = malloc(1 << 20);
    struct tree_handle *handle;

    assert_int_equal(mount_mkdir(&pair->a, ".d", 0755), HF_OK);
    assert_int_equal(mount_openfile(&pair->a, ".d/t", O_CREAT | O_RDWR, 0644, &handle), HF_OK);
    assert_int_equal(mount_unlink(&pair->a, ".d/t"), HF_OK);
    intruder.came = intruder.done = false;
    intruder.pair = pair;
    intruder.real = pair->a.store->ops;
    intruder.ops = *intruder.real;
    intruder.ops.put = put_after_intrusion;
    pair->a.store->ops = &intruder.ops;
    for (uint64_t i = 0; i < 32 && !intruder.came; i++) {
        for (size_t j = 0; j < 1 << 20; j += 8) {
            x ^= x << 13, x ^= x >> 7, x ^= x << 17;
            memcpy(block + j, &x, 8);
        }
        assert_int_equal(tree_write(handle, &pair->a.caller, i << 20, block, 1 << 20), HF_OK);
    }
    assert_true(intruder.came);
    assert_int_equal(pthread_join(intruder.thread, NULL), 0);
    pair->a.store->ops = intruder.real;
    assert_int_equal(intruder.status, HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
    free(block);
}

/* --- the kernel's pages ----------------------------------------------------------------------------- */

static bool keeps_pages(struct mount *mount, uint64_t inode)
{
    struct tree_handle *handle;
    bool keep;

    assert_int_equal(tree_open_file(mount->tree, &mount->caller, inode, O_RDONLY, &handle, &keep),
                     HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
    return keep;
}

/* A file is changed and renamed elsewhere: the same inode comes back under another name. */
static void pages_of_a_file_changed_under_another_name_are_not_kept(void **state)
{
    struct pair *pair = pair_of(state);
    struct tree_entry s, before, after;

    assert_int_equal(mount_write_text(&pair->a, "s/new", "one"), HF_OK);
    assert_int_equal(tree_lookup(pair->b.tree, TREE_ROOT, "s", &s), HF_OK);
    assert_int_equal(tree_lookup(pair->b.tree, s.inode, "new", &before), HF_OK);
    keeps_pages(&pair->b, before.inode);
    assert_true(keeps_pages(&pair->b, before.inode));
    assert_int_equal(mount_write_text(&pair->a, "s/new", "two"), HF_OK);
    assert_int_equal(mount_rename(&pair->a, "s/new", "s/f", 0), HF_OK);
    assert_int_equal(tree_commit_all(pair->a.tree, false, NULL), HF_OK);
    assert_int_equal(tree_lookup(pair->b.tree, s.inode, "f", &after), HF_OK);
    assert_true(after.inode == before.inode);
    assert_false(keeps_pages(&pair->b, after.inode));
    tree_forget(pair->b.tree, before.inode, 2);
    tree_forget(pair->b.tree, s.inode, 1);
}

static struct tree_handle *held_open;

/** Reads through the open file alone: nothing else asks for the head. */
static bool open_file_says_two(struct pair *pair)
{
    uint8_t text[8];
    size_t len = 0;

    (void)pair;
    return tree_read(held_open, 0, sizeof text, text, &len) == HF_OK && len == 3 &&
           memcmp(text, "two", 3) == 0;
}

static void reader_is_told_of_a_new_version_without_asking(void **state)
{
    struct pair *pair = pair_of(state);

    assert_int_equal(mount_write_text(&pair->a, "s/f", "one"), HF_OK);
    assert_int_equal(mount_openfile(&pair->b, "s/f", O_RDONLY, 0, &held_open), HF_OK);
    assert_false(open_file_says_two(pair));
    assert_int_equal(mount_write_text(&pair->a, "s/f", "two"), HF_OK);
    assert_true(eventually(open_file_says_two, pair));
    assert_int_equal(mount_closefile(held_open), HF_OK);
}

static char folder[64];

/** A pair on an engine that lets its calls be replaced. */
static int setup_files(void **state)
{
    static struct pair pair;
    char url[96];

    snprintf(folder, sizeof folder, "/tmp/holdfast-hosts-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(url, sizeof url, "sqlite:%s/store.db", folder);
    mount_open(&pair.a, url);
    mount_open(&pair.b, url);
    assert_true(mount_awaits_another(&pair.a) && mount_awaits_another(&pair.b));
    *state = &pair;
    return mount_mkdir(&pair.a, "s", 0755);
}

static int teardown_files(void **state)
{
    static const char *const names[] = {"store.db", "store.db-wal", "store.db-shm",
                                        "store.db-bell"};
    char path[96];

    close_pair(*state);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    return rmdir(folder);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(close_is_seen_by_the_next_open),
        TEST(reader_is_told_of_a_new_version_without_asking),
        TEST(idle_lease_goes_to_who_asks),
        TEST(open_file_pins_the_lease),
        TEST(closed_file_pins_no_lease),
        TEST(file_that_is_closed_once_of_twice_pins_the_lease),
        TEST(lock_pins_the_lease),
        TEST(broken_lease_loses_no_work_silently),
        TEST(shared_tree_is_written_by_both),
        TEST(shared_tree_loses_no_concurrent_change),
        TEST(shared_lock_is_seen_by_the_other_host),
        TEST(waiting_for_another_hosts_lock_ends_with_it),
        cmocka_unit_test_setup_teardown(change_while_the_lease_goes_back_asks_for_it_again,
                                        setup_files, teardown_files),
        cmocka_unit_test_setup_teardown(shared_tree_is_not_reloaded_while_it_hands_objects_over,
                                        setup_files, teardown_files),
        TEST(pages_of_a_file_changed_under_another_name_are_not_kept),
        TEST(file_replaced_by_another_host_is_read_on),
        TEST(session_of_another_host_appears_and_goes),
        TEST(last_change_of_a_host_that_has_gone_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
