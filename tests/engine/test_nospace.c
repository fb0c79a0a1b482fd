/* SPDX-License-Identifier: Apache-2.0 */
/* A store on a disk that fills up: a small tmpfs. Whatever is under way when it does, the caller hears of it,
 * nothing that was committed is lost, and work goes on when there is room again. Needs root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>

#include "append_load.h"
#include "engine/open.h"

#define CHUNK 32768
#define ROUNDS 5

struct fixture {
    char folder[64], url[256], ballast[128];
    struct store *store;
    uint64_t host;
    struct hf_error err;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct host_identity identity = {.host_name = "here", .incarnation = 1};

    snprintf(fixture->folder, sizeof fixture->folder, "%s", "/tmp/holdfast-nospace-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    assert_int_equal(mount("tmpfs", fixture->folder, "tmpfs", 0, "size=8m"), 0);
    snprintf(fixture->url, sizeof fixture->url, "sqlite:%s/store.db", fixture->folder);
    snprintf(fixture->ballast, sizeof fixture->ballast, "%s/ballast", fixture->folder);
    assert_int_equal(
        store_open(fixture->url, STORE_CREATE, NULL, NULL, &fixture->store, &fixture->err), 0);
    assert_int_equal(
        store_host_register(fixture->store, &identity, NULL, &fixture->host, &fixture->err), 0);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    store_close(fixture->store);
    assert_int_equal(umount(fixture->folder), 0);
    rmdir(fixture->folder);
    free(fixture);
    return 0;
}

/* Takes all but `left` bytes of the disk. */
static void fill_disk(struct fixture *fixture, off_t left)
{
    static const char zeros[4096];
    int fd = open(fixture->ballast, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    off_t size = 0;

    assert_true(fd >= 0);
    while (write(fd, zeros, sizeof zeros) == sizeof zeros)
        size += (off_t)sizeof zeros;
    assert_int_equal(errno, ENOSPC);
    assert_int_equal(ftruncate(fd, size > left ? size - left : 0), 0);
    close(fd);
}

static void free_disk(struct fixture *fixture)
{
    assert_int_equal(unlink(fixture->ballast), 0);
}

static int print_finding(const struct check_finding *finding, void *arg)
{
    print_message("%s: %s\n", finding->what, finding->message);
    ++*(unsigned *)arg;
    return 0;
}

static void assert_sound(struct fixture *fixture)
{
    unsigned findings = 0;

    assert_int_equal(store_check(fixture->store, print_finding, &findings, &fixture->err), 0);
    assert_int_equal(findings, 0);
}

static int put_noise(struct fixture *fixture, uint64_t seed)
{
    static uint64_t noise[CHUNK / 8];
    struct object object = {.kind = OBJECT_CHUNK, .content = slice_of(noise, sizeof noise)};

    for (size_t i = 0; i < CHUNK / 8; i++)
        noise[i] = seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    assert_int_equal(object_id_compute(&store_info(fixture->store)->hasher, OBJECT_CHUNK, noise,
                                       sizeof noise, &object.id),
                     0);
    return store_put(fixture->store, 0, &object, 1, &fixture->err);
}

static void full_disk_stops_commits_and_room_lets_them_go_on(void **state)
{
    struct fixture *fixture = *state;
    struct session_head head;
    struct append_load load, before;
    uint64_t version;
    int rc = HF_OK;

    append_load_start(&load, fixture->store, fixture->host, "s", 3);
    for (int round = 0; round < ROUNDS; round++) {
        fill_disk(fixture, (off_t)round * 24576);
        do {
            before = load;
            rc = append_load_step(&load, round % 2 ? DURABILITY_SYNC : DURABILITY_RELAXED);
        } while (rc == HF_OK);
        assert_int_equal(rc, HF_NOSPC);
        version = before.lease.head.version;
        memcpy(before.bytes, load.bytes, sizeof before.bytes);
        load = before;
        assert_int_equal(store_session_head(fixture->store, load.lease.sid, &head, &fixture->err),
                         0);
        assert_int_equal(head.version, version);
        free_disk(fixture);
        assert_int_equal(append_load_step(&load, DURABILITY_SYNC), HF_OK);
        assert_sound(fixture);
    }
    append_load_end(&load);
}

/* The log can fill a disk all by itself. Then a little room is enough: a checkpoint empties the log. */
static void log_that_has_filled_the_disk_is_emptied(void **state)
{
    struct fixture *fixture = *state;
    struct append_load load, before;

    append_load_start(&load, fixture->store, fixture->host, "s", 3);
    fill_disk(fixture, 3 << 20);
    do
        before = load;
    while (append_load_step(&load, DURABILITY_RELAXED) == HF_OK);
    memcpy(before.bytes, load.bytes, sizeof before.bytes);
    load = before;
    fill_disk(fixture, 1 << 20);
    for (int i = 0; i < 100; i++) /* some 2 MiB of log */
        if (append_load_step(&load, DURABILITY_RELAXED) != HF_OK)
            fail_msg("append %d has found no room", i);
    free_disk(fixture);
    assert_sound(fixture);
    append_load_end(&load);
}

static void batch_that_does_not_fit_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct store_stats before, after;
    uint64_t seed = 1;
    int rc;

    fill_disk(fixture, 1 << 20);
    do {
        assert_int_equal(store_stats(fixture->store, &before, &fixture->err), 0);
        rc = put_noise(fixture, seed++);
    } while (rc == HF_OK);
    assert_int_equal(rc, HF_NOSPC);
    assert_int_equal(store_stats(fixture->store, &after, &fixture->err), 0);
    assert_int_equal(after.objects, before.objects);
    free_disk(fixture);
    assert_int_equal(put_noise(fixture, seed), HF_OK);
    assert_sound(fixture);
}

static void store_opens_on_a_full_disk(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = {.host_name = "again", .incarnation = 2};
    struct session_head head;
    struct append_load load;

    append_load_start(&load, fixture->store, fixture->host, "s", 3);
    append_load_end(&load);
    store_close(fixture->store);
    fixture->store = NULL;
    fill_disk(fixture, 0);
    /* For its shared memory SQLite needs some room; without any, it is told. */
    if (store_open(fixture->url, 0, NULL, NULL, &fixture->store, &fixture->err) != HF_OK) {
        assert_int_equal(fixture->err.status, HF_NOSPC);
        free_disk(fixture);
        assert_int_equal(store_open(fixture->url, 0, NULL, NULL, &fixture->store, &fixture->err),
                         0);
    } else {
        free_disk(fixture);
    }
    assert_int_equal(store_session_find(fixture->store, "s", &head, &fixture->err), 0);
    assert_int_equal(
        store_host_register(fixture->store, &identity, NULL, &fixture->host, &fixture->err), 0);
    assert_sound(fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(full_disk_stops_commits_and_room_lets_them_go_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(log_that_has_filled_the_disk_is_emptied, setup, teardown),
        cmocka_unit_test_setup_teardown(batch_that_does_not_fit_leaves_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(store_opens_on_a_full_disk, setup, teardown),
    };

    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        fprintf(stderr, "skipped: mounting a small tmpfs needs root\n");
        return 77;
    }
    return cmocka_run_group_tests_name("full disk", tests, NULL, NULL);
}
