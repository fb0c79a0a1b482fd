/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hosts commit through a network that breaks all the time, and the server is restarted under them. Every call
 * returns; what was acknowledged is there, once and in order; what was not is there at most once.
 *
 *     HOLDFAST_SEED=N      repeats a run, as far as threads can be repeated
 *     HOLDFAST_COMMITS=N   of each thread
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "engine/open.h"
#include "engine/remote/remote.h"
#include "proxy.h"
#include "scene.h"
#include "served.h"

#define HOSTS 3
#define WRITERS 2
#define COMMITS 200
#define COMMITS_MAX 100000
#define RESTARTS 4

struct world {
    struct test_pki pki;
    struct served served;
    struct proxy proxy;
    char dir[64], url[600], store_url[100];
    unsigned commits;
    uint64_t seed;
    atomic_uint running; /* writers */
    atomic_uint recoveries;
};

/* A mount without files: a handle and its host session, which is made anew when it dies. */
struct mount_like {
    struct world *world;
    unsigned index;
    struct store *store;
    pthread_mutex_t mutex; /* guards host */
    uint64_t host;
};

struct writer {
    pthread_t thread;
    struct mount_like *mount;
    unsigned index;
    struct lease lease;
    struct object_id *roots; /* of each version */
    uint64_t version;
};

/* --- host sessions -------------------------------------------------------------------------------------- */

static int register_host(struct mount_like *mount)
{
    struct host_identity identity = {.incarnation = 1, .pid = 1, .host_name = "host"};
    struct hf_error err = {0};
    int rc;

    memcpy(identity.host_id, "machine-machine-", UUID_SIZE);
    identity.mount_id[0] = (uint8_t)(mount->index + 1);
    rc = store_host_register(mount->store, &identity, NULL, &mount->host, &err);
    if (rc != HF_OK && rc != HF_TIMEOUT)
        fail_msg("cannot register: %s", err.message);
    return rc;
}

/* The host session with this number is over: there is another one afterwards. */
static void renew_host(struct mount_like *mount, uint64_t over)
{
    pthread_mutex_lock(&mount->mutex);
    while (mount->host == over && register_host(mount) != HF_OK)
        ;
    pthread_mutex_unlock(&mount->mutex);
}

static uint64_t host_of(struct mount_like *mount)
{
    uint64_t host;

    pthread_mutex_lock(&mount->mutex);
    host = mount->host;
    pthread_mutex_unlock(&mount->mutex);
    return host;
}

/* --- writing -------------------------------------------------------------------------------------------- */

static bool may_happen(int rc)
{
    return rc == HF_FENCED || rc == HF_TIMEOUT || rc == HF_BUSY || rc == HF_AGAIN;
}

/* Gets the lease (again). What was not acknowledged may have been done: then the head says so. */
static void recover(struct writer *writer, const struct object_id *tried)
{
    struct mount_like *mount = writer->mount;
    struct hf_error err = {0};
    int rc;

    atomic_fetch_add(&mount->world->recoveries, 1);
    for (;;) {
        uint64_t host = host_of(mount);

        rc = store_lease_acquire(mount->store, host, writer->lease.sid, 1000, &writer->lease, &err);
        if (rc == HF_OK)
            break;
        if (!may_happen(rc))
            fail_msg("cannot get the lease again: %s", err.message);
        if (rc == HF_FENCED)
            renew_host(mount, host);
    }
    if (writer->lease.head.version == writer->version + 1) {
        assert_memory_equal(&writer->lease.head.root, tried, sizeof *tried);
        writer->roots[++writer->version] = *tried;
    }
    assert_int_equal(writer->lease.head.version, writer->version);
    assert_memory_equal(&writer->lease.head.root, &writer->roots[writer->version],
                        sizeof writer->lease.head.root);
}

static void create(struct writer *writer)
{
    struct mount_like *mount = writer->mount;
    struct hf_error err = {0};
    struct scene scene;
    struct commit commit;
    char name[32];
    int rc;

    snprintf(name, sizeof name, "s-%u-%u", mount->index, writer->index);
    scene_init(&scene, mount->store);
    writer->roots[1] = scene_note(&scene, name);
    commit = scene_commit(&scene, 0, 0, 0, writer->roots[1]);
    rc = store_session_create(mount->store, mount->host, name, &commit, &writer->lease, &err);
    if (rc != HF_OK)
        fail_msg("cannot create %s: %s", name, err.message);
    writer->version = 1;
    scene_clear(&scene);
}

static void commit_one(struct writer *writer)
{
    struct mount_like *mount = writer->mount;
    struct hf_error err = {0};
    struct scene scene;
    struct commit commit;
    struct object_id root;
    uint64_t version;
    char text[64];
    int rc;

    snprintf(text, sizeof text, "%u-%u-%llu", mount->index, writer->index,
             (unsigned long long)writer->version);
    scene_init(&scene, mount->store);
    root = scene_note(&scene, text);
    commit = scene_commit(&scene, writer->lease.sid, writer->lease.token, writer->version, root);
    rc = store_commit(mount->store, host_of(mount), &commit, &version, &err);
    if (rc == HF_OK) {
        assert_int_equal(version, writer->version + 1);
        writer->roots[++writer->version] = root;
    } else if (may_happen(rc)) {
        recover(writer, &root);
    } else {
        fail_msg("a commit: %s", err.message);
    }
    scene_clear(&scene);
}

static void *write_on(void *arg)
{
    struct writer *writer = arg;
    struct world *world = writer->mount->world;

    while (writer->version < world->commits)
        commit_one(writer);
    atomic_fetch_sub(&world->running, 1);
    return NULL;
}

/* --- reading -------------------------------------------------------------------------------------------- */

struct walk {
    struct store *store;
    uint64_t last;
    struct object_id root;
};

static int step_down(const struct history_entry *entry, void *arg)
{
    struct walk *walk = arg;

    if (walk->last != 0)
        assert_int_equal(entry->version, walk->last - 1);
    else
        walk->root = entry->root;
    walk->last = entry->version;
    return 0;
}

static void *read_on(void *arg)
{
    struct writer *writer = arg;
    struct mount_like *mount = writer->mount;

    while (atomic_load(&mount->world->running) > 0) {
        struct walk walk = {.store = mount->store};
        BUF_AUTO content = {0};
        int rc =
            store_history(mount->store, writer->lease.sid, UINT64_MAX, 0, step_down, &walk, NULL);

        if (rc == HF_OK) {
            assert_int_equal(walk.last, 1);
            rc = store_get(mount->store, &walk.root, 1, &content, NULL);
        }
        assert_true(rc == HF_OK || rc == HF_TIMEOUT);
        usleep(20000);
    }
    return NULL;
}

/* --- the run -------------------------------------------------------------------------------------------- */

static int compare_history(const struct history_entry *entry, void *arg)
{
    const struct writer *writer = arg;

    assert_in_range(entry->version, 1, writer->version);
    assert_memory_equal(&entry->root, &writer->roots[entry->version], sizeof entry->root);
    return 0;
}

static void check(struct world *world, struct writer *writers, size_t n)
{
    struct hf_error err = {0};
    struct session_head head;
    struct store *store;

    if (store_open(world->store_url, 0, NULL, NULL, &store, &err) != HF_OK)
        fail_msg("cannot open the store: %s", err.message);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(store_session_head(store, writers[i].lease.sid, &head, NULL), HF_OK);
        assert_int_equal(head.version, writers[i].version);
        assert_int_equal(store_history(store, writers[i].lease.sid, UINT64_MAX, 0, compare_history,
                                       &writers[i], NULL),
                         HF_OK);
    }
    store_close(store);
}

static void open_mount(struct world *world, struct mount_like *mount, unsigned index)
{
    struct hf_error err = {0};

    *mount = (struct mount_like){.world = world, .index = index};
    pthread_mutex_init(&mount->mutex, NULL);
    for (unsigned i = 0; store_open(world->url, 0, NULL, NULL, &mount->store, &err) != HF_OK; i++)
        if (i == 20)
            fail_msg("cannot open: %s", err.message);
    assert_int_equal(register_host(mount), HF_OK);
}

/* Restarts the server now and then while somebody writes. */
static void restart_at_times(struct world *world, unsigned times)
{
    unsigned writers = atomic_load(&world->running);

    for (unsigned i = 0; i < times && atomic_load(&world->running) == writers; i++) {
        usleep(150000);
        /* In good order, or in the middle of everything. */
        if (i % 2 == 1)
            server_stop(world->served.server);
        served_stop(&world->served);
        served_start(&world->served);
    }
    while (atomic_load(&world->running) > 0)
        usleep(10000);
}

static void run(struct world *world, unsigned restarts)
{
    struct mount_like mounts[HOSTS];
    struct writer writers[HOSTS * WRITERS];
    pthread_t readers[HOSTS];
    uint64_t retries = 0;

    world->running = HOSTS * WRITERS;
    for (unsigned i = 0; i < HOSTS; i++)
        open_mount(world, &mounts[i], i);
    for (unsigned i = 0; i < HOSTS * WRITERS; i++) {
        writers[i] = (struct writer){.mount = &mounts[i % HOSTS], .index = i / HOSTS};
        writers[i].roots = calloc(world->commits + 2, sizeof *writers[i].roots);
        assert_non_null(writers[i].roots);
        create(&writers[i]);
    }
    for (unsigned i = 0; i < HOSTS * WRITERS; i++)
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    for (unsigned i = 0; i < HOSTS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_on, &writers[i]), 0);
    restart_at_times(world, restarts);
    for (unsigned i = 0; i < HOSTS * WRITERS; i++)
        pthread_join(writers[i].thread, NULL);
    for (unsigned i = 0; i < HOSTS; i++)
        pthread_join(readers[i], NULL);
    for (unsigned i = 0; i < HOSTS; i++) {
        struct remote_counters counters;

        remote_store_counters(mounts[i].store, &counters);
        retries += counters.retries;
        store_close(mounts[i].store);
        pthread_mutex_destroy(&mounts[i].mutex);
    }
    print_message("%u cuts, %u stalls, %llu requests sent again, %u leases taken again\n",
                  world->proxy.cuts, world->proxy.stalls, (unsigned long long)retries,
                  world->recoveries);
    assert_true(restarts > 0 || world->proxy.cuts == 0 || retries > 0);
    served_stop(&world->served);
    check(world, writers, HOSTS * WRITERS);
    for (unsigned i = 0; i < HOSTS * WRITERS; i++)
        free(writers[i].roots);
}

static void what_was_acknowledged_survives_a_bad_network(void **state)
{
    struct world *world = *state;

    proxy_start(&world->proxy, world->served.port, world->seed);
    served_url(&world->served, world->proxy.port, world->url, sizeof world->url);
    run(world, 0);
    proxy_stop(&world->proxy);
}

static void what_was_acknowledged_survives_restarts_of_the_server(void **state)
{
    struct world *world = *state;

    world->commits *= 10;
    served_url(&world->served, 0, world->url, sizeof world->url);
    run(world, RESTARTS);
}

static uint64_t number_of(const char *variable, uint64_t fallback)
{
    const char *value = getenv(variable);

    return value ? strtoull(value, NULL, 10) : fallback;
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    struct hf_error err = {0};
    struct store *store;
    uint64_t seed;

    assert_non_null(world);
    assert_int_equal(getrandom(&seed, sizeof seed, 0), sizeof seed);
    world->seed = number_of("HOLDFAST_SEED", seed >> 1);
    world->commits = (unsigned)number_of("HOLDFAST_COMMITS", COMMITS);
    assert_in_range(world->commits, 1, COMMITS_MAX);
    print_message("HOLDFAST_SEED=%llu\n", (unsigned long long)world->seed);
    test_pki_make(&world->pki);
    snprintf(world->dir, sizeof world->dir, "/tmp/holdfast-proxy-XXXXXX");
    assert_non_null(mkdtemp(world->dir));
    snprintf(world->store_url, sizeof world->store_url, "sqlite:%s/store.db", world->dir);
    if (store_open(world->store_url, STORE_CREATE, NULL, NULL, &store, &err) != HF_OK)
        fail_msg("cannot make a store: %s", err.message);
    store_close(store);
    served_open(&world->served, &world->pki, world->store_url);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    static const char *const files[] = {"store.db", "store.db-wal", "store.db-shm",
                                        "store.db-bell"};
    struct world *world = *state;
    char path[100];

    test_pki_remove(&world->pki);
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
        snprintf(path, sizeof path, "%s/%s", world->dir, files[i]);
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/store.db.tenants", world->dir);
    rmdir(path);
    rmdir(world->dir);
    free(world);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_acknowledged_survives_a_bad_network, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_was_acknowledged_survives_restarts_of_the_server,
                                        setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
