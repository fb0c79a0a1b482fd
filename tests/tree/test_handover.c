/* SPDX-License-Identifier: Apache-2.0 */
/** How much two mounts of a server ask it when a session goes from one to the other, and that what they do not ask
 *  for is never old. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/open.h"
#include "engine/remote/remote.h"
#include "mount.h"
#include "served.h"
#include "tree/walk.h"

/** What a machine that is busy with other things delays is tried again. */
#define ROUNDS 50

static struct test_pki pki;
static struct served served;
static struct mount a, b;
static atomic_uint_fast64_t thread_of_b; /* that b's kernel names */

static uint64_t caller(void *arg)
{
    (void)arg;
    return atomic_load(&thread_of_b);
}

static void open_mount(struct mount *mount, uint8_t number, uint64_t (*caller_fn)(void *))
{
    struct tree_options options = {.root_uid = 1000, .root_gid = 1000};
    char url[600];

    options.identity.host_name = number == 1 ? "a" : "b";
    options.identity.mount_id[0] = number;
    options.kernel.caller = caller_fn;
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
    atomic_store(&thread_of_b, 1);
    open_mount(&a, 1, NULL);
    open_mount(&b, 2, caller);
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

static void open_and_close(void)
{
    struct tree_handle *handle;

    assert_int_equal(mount_openfile(&b, "s/d/f", O_RDONLY, 0, &handle), HF_OK);
    assert_int_equal(mount_closefile(handle), HF_OK);
}

static void steps_of_one_walk_ask_once(void **state)
{
    (void)state;
    open_and_close();
    assert_int_equal(fewest_requests(&b, open_and_close), 1);
    atomic_store(&thread_of_b, 0);
    assert_int_equal(fewest_requests(&b, open_and_close), 4);
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
static void look_up_that_does_not_lead_on_asks(void **state)
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

static void walk_of_one_thread_is_not_anothers(void **state)
{
    uint64_t s = enter(TREE_ROOT, "s"), d = enter(s, "d");

    (void)state;
    for (uint64_t i = 1; i <= ROUNDS; i++) {
        uint64_t again;

        atomic_store(&thread_of_b, i);
        again = enter(s, "d");
        assert_int_equal(mount_write_text(&a, "s/d/f", i % 2 ? "one" : "three"), HF_OK);
        atomic_store(&thread_of_b, i + 1);
        assert_int_equal(size_of(d, "f"), i % 2 ? 3 : 5);
        tree_forget(b.tree, again, 1);
    }
    tree_forget(b.tree, d, 1);
    tree_forget(b.tree, s, 1);
}

static void walk_that_pauses_asks_again(void **state)
{
    const struct timespec pause = {.tv_nsec = 2 * WALK_NS};
    uint64_t s = enter(TREE_ROOT, "s"), d = enter(s, "d");

    (void)state;
    assert_int_equal(mount_write_text(&a, "s/d/f", "longer"), HF_OK);
    nanosleep(&pause, NULL);
    assert_int_equal(size_of(d, "f"), 6);
    tree_forget(b.tree, d, 1);
    tree_forget(b.tree, s, 1);
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
    assert_int_equal(mount_openfile(mount, "s/d/log", O_CREAT | O_WRONLY | O_APPEND, 0644, &handle),
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

/** The look-up brings what has changed, the grant the right to go on, and the commit is one. */
static void hand_over_costs_a_look_up_a_grant_and_a_commit(void **state)
{
    uint64_t fewest = UINT64_MAX;
    struct tree_entry entry;

    (void)state;
    assert_int_equal(mount_write_text(&a, "s/d/log", ""), HF_OK);
    assert_int_equal(mount_lookup(&a, "s/d/log", &entry), HF_OK);
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
    assert_int_equal(fewest, 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(steps_of_one_walk_ask_once),
        TEST(look_up_that_does_not_lead_on_asks),
        TEST(walk_of_one_thread_is_not_anothers),
        TEST(walk_that_pauses_asks_again),
        TEST(hand_over_costs_a_look_up_a_grant_and_a_commit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
