/* SPDX-License-Identifier: Apache-2.0 */
/** How much two mounts of a server ask it when a session goes from one to the other, and that what they do not ask
 *  for is never old. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/open.h"
#include "engine/remote/remote.h"
#include "mount.h"
#include "served.h"

/** What a machine that is busy with other things delays is tried again. */
#define ROUNDS 50

static struct test_pki pki;
static struct served served;
static struct mount a, b;

/** b's worker, which hears of what others commit: held up when it tells the kernel of a session. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    uint64_t sid; /* 0: none */
    bool there;   /* it waits */
} gate = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};

static void pass_gate(void *arg, uint64_t inode, int64_t from)
{
    (void)arg;
    (void)from;
    pthread_mutex_lock(&gate.lock);
    while (gate.sid != 0 && inode >> 40 == gate.sid) {
        gate.there = true;
        pthread_cond_broadcast(&gate.cond);
        pthread_cond_wait(&gate.cond, &gate.lock);
    }
    pthread_mutex_unlock(&gate.lock);
}

static void nothing_to_forget(void *arg, uint64_t parent, const char *name)
{
    (void)arg;
    (void)parent;
    (void)name;
}

static void close_gate(uint64_t sid)
{
    pthread_mutex_lock(&gate.lock);
    gate.sid = sid;
    gate.there = false;
    pthread_cond_broadcast(&gate.cond);
    pthread_mutex_unlock(&gate.lock);
}

static void await_at_gate(void)
{
    pthread_mutex_lock(&gate.lock);
    while (!gate.there)
        pthread_cond_wait(&gate.cond, &gate.lock);
    pthread_mutex_unlock(&gate.lock);
}

static void open_mount(struct mount *mount, uint8_t number)
{
    struct tree_options options = {.root_uid = 1000, .root_gid = 1000};
    char url[600];

    options.identity.host_name = number == 1 ? "a" : "b";
    options.identity.mount_id[0] = number;
    if (number == 2)
        options.kernel = (struct tree_kernel){.inval_entry = nothing_to_forget,
                                              .expire_entry = nothing_to_forget,
                                              .inval_inode = pass_gate};
    served_url(&served, 0, url, sizeof url);
    mount_open_with(mount, url, &options);
}

static int setup(void **state)
{
    char url[160];
    struct store *store;

    (void)state;
    test_pki_make(&pki);
    snprintf(url, sizeof url, "sqlite:%s/store.db", pki.dir);
    assert_int_equal(store_open(url, STORE_CREATE, NULL, &clock_system, &store, NULL), HF_OK);
    store_close(store);
    served_open(&served, &pki, url);
    open_mount(&a, 1);
    open_mount(&b, 2);
    assert_int_equal(mount_mkdir(&a, "s", 0755), HF_OK);
    assert_int_equal(mount_mkdir(&a, "s/d", 0755), HF_OK);
    assert_int_equal(mount_write_text(&a, "s/d/f", "old"), HF_OK);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(mount_close(&a), HF_OK);
    assert_int_equal(mount_close(&b), HF_OK);
    served_stop(&served);
    test_pki_remove(&pki);
    return 0;
}

static uint64_t requests_of(struct mount *mount)
{
    struct remote_counters counters;

    remote_store_counters(mount->store, &counters);
    return counters.requests;
}

/** What `act` asks at least. */
static uint64_t fewest_requests(struct mount *mount, void (*act)(void))
{
    uint64_t fewest = UINT64_MAX;

    for (int i = 0; i < ROUNDS; i++) {
        uint64_t before = requests_of(mount), asked;

        act();
        asked = requests_of(mount) - before;
        if (asked < fewest)
            fewest = asked;
    }
    return fewest;
}

/* --- walks ---------------------------------------------------------------------------------------- */

static void look_at_top(void)
{
    struct tree_entry entry;

    assert_int_equal(tree_getattr(b.tree, TREE_ROOT, &entry), HF_OK);
}

/** The kernel asks for them whenever it has dropped the name of a session. */
static void attributes_of_the_top_hold_for_a_moment(void **state)
{
    (void)state;
    look_at_top();
    assert_int_equal(fewest_requests(&b, look_at_top), 0);
}

static off_t size_of(uint64_t dir, const char *name)
{
    struct tree_entry entry;

    assert_int_equal(tree_lookup(b.tree, dir, name, &entry), HF_OK);
    tree_forget(b.tree, entry.inode, 1);
    return entry.attr.st_size;
}

static uint64_t enter(uint64_t dir, const char *name)
{
    struct tree_entry entry;

    assert_int_equal(tree_lookup(b.tree, dir, name, &entry), HF_OK);
    return entry.inode;
}

/** The same thread, by way of the directory that it has open: as soon as it can. */
static void close_is_seen_through_an_open_directory(void **state)
{
    uint64_t s = enter(TREE_ROOT, "s"), d = enter(s, "d");
    char text[ROUNDS + 1] = "";

    (void)state;
    for (size_t i = 0; i < ROUNDS; i++) {
        text[i] = 'x';
        assert_int_equal(mount_write_text(&a, "s/d/f", text), HF_OK);
        assert_int_equal(size_of(d, "f"), i + 1);
    }
    tree_forget(b.tree, d, 1);
    tree_forget(b.tree, s, 1);
}

/** b hears of no commit any more until the gate is opened: its worker tells the kernel of one in another session. */
static void hold_up_events(void)
{
    uint64_t t;

    assert_int_equal(mount_mkdir(&a, "t", 0755), HF_OK);
    assert_int_equal(mount_write_text(&a, "t/f", "old"), HF_OK);
    t = enter(TREE_ROOT, "t");
    enter(t, "f");
    close_gate(t >> 40);
    assert_int_equal(mount_write_text(&a, "t/f", "new"), HF_OK);
    await_at_gate();
}

/** A call only looks at the directory; another host closes a file in it; the next call names that file by way of the
 *  directory. All by one thread, and as quickly as it can be done, while no event tells of it. */
static void close_between_two_steps_is_seen(void **state)
{
    uint64_t s = enter(TREE_ROOT, "s");
    char text[ROUNDS + 1] = "";
    unsigned old = 0;

    (void)state;
    hold_up_events();
    for (size_t i = 0; i < ROUNDS; i++) {
        uint64_t d;

        text[i] = 'x';
        d = enter(s, "d");
        assert_int_equal(mount_write_text(&a, "s/d/f", text), HF_OK);
        old += (size_t)size_of(d, "f") != i + 1;
        tree_forget(b.tree, d, 1);
    }
    close_gate(0);
    tree_forget(b.tree, s, 1);
    assert_int_equal(old, 0);
}

/* --- names of sessions ---------------------------------------------------------------------------- */

static void look_at_session(void)
{
    struct tree_entry entry;

    assert_int_equal(tree_lookup(a.tree, TREE_ROOT, "s", &entry), HF_OK);
    tree_forget(a.tree, entry.inode, 1);
}

/** mkdir(2) of a session that exists looks it up each time: the agent's first call of an append. */
static void name_of_a_held_session_is_not_asked_for(void **state)
{
    (void)state;
    look_at_session();
    assert_int_equal(fewest_requests(&a, look_at_session), 0);
}

/** Another host cannot rename it without its lease, and what the name was before is gone with that. */
static void renamed_session_is_not_found_under_its_old_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROUNDS; i++) {
        struct tree_entry entry;
        uint64_t was;

        assert_int_equal(mount_write_text(&a, "s/d/f", "mine"), HF_OK);
        assert_int_equal(mount_lookup(&a, "s", &entry), HF_OK);
        was = entry.inode;
        assert_int_equal(mount_rename(&b, "s", "t", 0), HF_OK);
        assert_int_equal(mount_lookup(&a, "s", &entry), HF_NOENT);
        assert_int_equal(mount_lookup(&a, "t", &entry), HF_OK);
        assert_int_equal(entry.inode, was);
        assert_int_equal(mount_mkdir(&b, "s", 0755), HF_OK);
        assert_int_equal(mount_lookup(&a, "s", &entry), HF_OK);
        assert_int_not_equal(entry.inode, was);
        assert_int_equal(mount_rmdir(&b, "s"), HF_OK);
        assert_int_equal(mount_lookup(&a, "s", &entry), HF_NOENT);
        assert_int_equal(mount_rename(&a, "t", "s", 0), HF_OK);
    }
}

/* --- sent ahead ----------------------------------------------------------------------------------- */

#define LINE 3000

/** Nobody has seen these bytes before. */
static void fill(char line[LINE])
{
    static uint64_t x = 88172645463325252ULL;

    for (size_t i = 0; i < LINE; i++) {
        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
        line[i] = (char)('a' + x % 26);
    }
}

static uint64_t log_inode;

static void append_line(struct mount *mount)
{
    struct tree_handle *handle;
    struct tree_entry entry;
    char line[LINE];

    fill(line);
    assert_int_equal(mount_openfile(mount, "s/log", O_CREAT | O_WRONLY | O_APPEND, 0644, &handle),
                     HF_OK);
    assert_int_equal(tree_getattr(mount->tree, log_inode, &entry), HF_OK);
    assert_int_equal(tree_append(handle, &mount->caller, (uint64_t)entry.attr.st_size, line, LINE),
                     HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
}

/** It has been told of the commits of the other. */
static void let_settle(struct mount *mount)
{
    const struct timespec pause = {.tv_nsec = 20000000};
    uint64_t before;

    do {
        before = requests_of(mount);
        nanosleep(&pause, NULL);
    } while (requests_of(mount) != before);
}

/** The first look-up brings what has changed: no object is asked for. */
static void hand_over_asks_for_names_the_grant_and_the_commit_alone(void **state)
{
    uint64_t fewest = UINT64_MAX;
    struct tree_entry entry;

    (void)state;
    assert_int_equal(mount_write_text(&a, "s/log", ""), HF_OK);
    assert_int_equal(mount_lookup(&a, "s/log", &entry), HF_OK);
    log_inode = entry.inode;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t before;

        append_line(&a);
        let_settle(&b);
        before = requests_of(&b);
        append_line(&b);
        if (requests_of(&b) - before < fewest)
            fewest = requests_of(&b) - before;
    }
    assert_int_equal(fewest, 4);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(attributes_of_the_top_hold_for_a_moment),
        TEST(close_is_seen_through_an_open_directory),
        TEST(close_between_two_steps_is_seen),
        TEST(name_of_a_held_session_is_not_asked_for),
        TEST(renamed_session_is_not_found_under_its_old_name),
        TEST(hand_over_asks_for_names_the_grant_and_the_commit_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
