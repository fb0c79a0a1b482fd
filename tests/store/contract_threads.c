/* SPDX-License-Identifier: Apache-2.0 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "contract.h"
#include "engine/options.h"
#include "store/fsck.h"

#define THREADS 8
#define SESSIONS 4
#define COMMITS 25

/* cmocka's assertions may be used by one thread only: the others count what went wrong. */
struct worker {
    struct fixture *fixture;
    struct mount *mount;
    unsigned number;
    struct lease *leases; /* of all sessions; the worker's are those of its number */
    atomic_uint *failures;
    uint64_t acknowledged; /* commits */
};

static int commit_number(struct worker *worker, struct scene *scene, uint64_t sid, uint64_t token,
                         uint64_t base, const char *text, uint64_t *ret_version)
{
    struct object_id root;
    struct commit commit;

    scene_clear(scene);
    root = scene_note(scene, text);
    commit = scene_commit(scene, sid, token, base, root);
    return store_commit(worker->mount->store, worker->mount->host, &commit, ret_version, NULL);
}

static void run_threads(struct worker *workers, size_t n, void *(*run)(void *))
{
    pthread_t threads[THREADS];

    assert_true(n <= THREADS);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, &workers[i]), 0);
    for (size_t i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
}

/* --- each thread its own session, and all threads one session --------------------------------------------------- */

static void *commit_own(void *arg)
{
    struct worker *worker = arg;
    struct lease *lease = &worker->leases[worker->number];
    struct scene scene;
    char text[64];

    scene_init(&scene, worker->mount->store);
    for (int i = 0; i < COMMITS; i++) {
        snprintf(text, sizeof text, "session %u step %d", worker->number, i);
        if (commit_number(worker, &scene, lease->sid, lease->token, lease->head.version, text,
                          &lease->head.version) == HF_OK)
            worker->acknowledged++;
        else
            atomic_fetch_add(worker->failures, 1);
    }
    scene_clear(&scene);
    return NULL;
}

struct roots {
    struct object_id ids[COMMITS + 1];
    size_t n;
};

static int add_root(const struct history_entry *entry, void *arg)
{
    struct roots *roots = arg;

    roots->ids[entry->version - 1] = entry->root;
    roots->n++;
    return 0;
}

static void commits_of_many_sessions_at_once_are_all_there(void **state)
{
    struct fixture *fixture = *state;
    struct worker workers[THREADS];
    struct lease leases[THREADS];
    atomic_uint failures = 0;

    for (unsigned i = 0; i < THREADS; i++) {
        char name[16];

        snprintf(name, sizeof name, "s%u", i);
        leases[i] = contract_session(fixture, &fixture->a, name, "start");
        workers[i] = (struct worker){fixture, &fixture->a, i, leases, &failures, 0};
    }
    run_threads(workers, THREADS, commit_own);
    assert_int_equal(failures, 0);
    for (unsigned i = 0; i < THREADS; i++) {
        struct roots roots = {.n = 0};

        assert_int_equal(
            store_history(fixture->a.store, leases[i].sid, UINT64_MAX, 0, add_root, &roots, NULL),
            HF_OK);
        assert_int_equal(roots.n, COMMITS + 1);
        for (int step = 0; step < COMMITS; step++) {
            char text[64];

            snprintf(text, sizeof text, "session %u step %d", i, step);
            contract_assert_note(fixture->a.store, &roots.ids[step + 1], text);
        }
    }
    contract_assert_sound(fixture->a.store);
}

/* All under one lease: each base version is taken by exactly one. */
static void *commit_contended(void *arg)
{
    struct worker *worker = arg;
    struct lease lease = worker->leases[0];
    struct scene scene;
    char text[64];

    scene_init(&scene, worker->mount->store);
    for (int i = 0; i < COMMITS; i++) {
        struct session_head head;
        uint64_t version;
        int rc = store_session_head(worker->mount->store, lease.sid, &head, NULL);

        snprintf(text, sizeof text, "worker %u step %d", worker->number, i);
        if (rc == HF_OK)
            rc =
                commit_number(worker, &scene, lease.sid, lease.token, head.version, text, &version);
        if (rc == HF_OK && version == head.version + 1)
            worker->acknowledged++;
        else if (rc != HF_CONFLICT)
            atomic_fetch_add(worker->failures, 1);
    }
    scene_clear(&scene);
    return NULL;
}

static void of_commits_with_one_base_one_wins(void **state)
{
    struct fixture *fixture = *state;
    struct worker workers[4];
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "start");
    atomic_uint failures = 0;
    struct session_head head;
    uint64_t acknowledged = 0;

    for (unsigned i = 0; i < 4; i++)
        workers[i] = (struct worker){fixture, &fixture->a, i, &lease, &failures, 0};
    run_threads(workers, 4, commit_contended);
    assert_int_equal(failures, 0);
    for (unsigned i = 0; i < 4; i++)
        acknowledged += workers[i].acknowledged;
    assert_int_equal(store_session_head(fixture->a.store, lease.sid, &head, NULL), HF_OK);
    assert_int_equal(head.version, acknowledged + 1);
}

/* --- the shared tree ------------------------------------------------------------------------------------------------- */

static void *commit_shared(void *arg)
{
    struct worker *worker = arg;
    struct scene scene;
    char text[64];

    scene_init(&scene, worker->mount->store);
    for (int i = 0; i < COMMITS; i++) {
        int rc;

        snprintf(text, sizeof text, "worker %u step %d", worker->number, i);
        do {
            struct session_head head;
            uint64_t version;

            rc = store_session_head(worker->mount->store, SHARED_SID, &head, NULL);
            if (rc == HF_OK)
                rc = commit_number(worker, &scene, SHARED_SID, 0, head.version, text, &version);
        } while (rc == HF_CONFLICT);
        if (rc != HF_OK)
            atomic_fetch_add(worker->failures, 1);
    }
    scene_clear(&scene);
    return NULL;
}

static void two_hosts_commit_to_the_shared_tree(void **state)
{
    struct fixture *fixture = *state;
    struct worker workers[4];
    atomic_uint failures = 0;
    struct session_head head;

    contract_open_b(fixture);
    for (unsigned i = 0; i < 4; i++)
        workers[i] =
            (struct worker){fixture, i % 2 ? &fixture->b : &fixture->a, i, NULL, &failures, 0};
    run_threads(workers, 4, commit_shared);
    assert_int_equal(failures, 0);
    assert_int_equal(store_session_head(fixture->b.store, SHARED_SID, &head, NULL), HF_OK);
    assert_int_equal(head.version, 4 * COMMITS);
}

/* --- two hosts pass sessions to and fro ---------------------------------------------------------------------------------- */

static void *acquire_and_commit(void *arg)
{
    struct worker *worker = arg;
    struct scene scene;

    scene_init(&scene, worker->mount->store);
    for (int i = 0; i < COMMITS; i++) {
        struct lease lease;
        uint64_t sid = worker->leases[(worker->number + (unsigned)i) % SESSIONS].sid, version;
        int rc = store_lease_acquire(worker->mount->store, worker->mount->host, sid, 10000, &lease,
                                     NULL);

        if (rc == HF_OK)
            rc = commit_number(worker, &scene, sid, lease.token, lease.head.version, "mine",
                               &version);
        /* The other host may have had it recalled, and this one's listener have released it. */
        if (rc == HF_OK)
            worker->acknowledged++;
        else if (rc != HF_FENCED && rc != HF_CONFLICT && rc != HF_BUSY)
            atomic_fetch_add(worker->failures, 1);
    }
    scene_clear(&scene);
    return NULL;
}

static void two_hosts_pass_sessions_to_and_fro(void **state)
{
    struct fixture *fixture = *state;
    struct worker workers[4];
    struct lease leases[SESSIONS];
    atomic_uint failures = 0;
    uint64_t versions = 0, acknowledged = 0;

    for (unsigned i = 0; i < SESSIONS; i++) {
        char name[16];

        snprintf(name, sizeof name, "s%u", i);
        leases[i] = contract_session(fixture, &fixture->a, name, "start");
    }
    contract_open_b(fixture);
    pthread_mutex_lock(&fixture->a.recorder.mutex);
    fixture->a.recorder.answer = RECALL_RELEASE;
    pthread_mutex_unlock(&fixture->a.recorder.mutex);
    pthread_mutex_lock(&fixture->b.recorder.mutex);
    fixture->b.recorder.answer = RECALL_RELEASE;
    pthread_mutex_unlock(&fixture->b.recorder.mutex);
    for (unsigned i = 0; i < 4; i++)
        workers[i] =
            (struct worker){fixture, i % 2 ? &fixture->b : &fixture->a, i, leases, &failures, 0};
    run_threads(workers, 4, acquire_and_commit);
    assert_int_equal(failures, 0);
    for (unsigned i = 0; i < 4; i++)
        acknowledged += workers[i].acknowledged;
    for (unsigned i = 0; i < SESSIONS; i++) {
        struct session_head head;

        assert_int_equal(store_session_head(fixture->a.store, leases[i].sid, &head, NULL), HF_OK);
        versions += head.version - 1;
    }
    assert_int_equal(versions, acknowledged);
    assert_true(acknowledged > 0);
    contract_assert_sound(fixture->a.store);
}

/* --- many hosts want one session ------------------------------------------------------------------------------------- */

#define RIVALS 6

/* Asks without waiting until it is answered, or loses interest. */
static int ask_for_it(struct worker *worker, uint64_t sid, unsigned turn, struct lease *ret_lease)
{
    struct mount *mount = worker->mount;
    bool withdraw = (worker->number + turn) % 3 == 0;
    int64_t again;
    int rc;

    do
        rc = store_lease_ask(mount->store, mount->host, sid, 200, ret_lease, &again, NULL);
    while (rc == HF_PENDING && !withdraw);
    if (rc == HF_PENDING && store_lease_withdraw(mount->store, mount->host, sid, NULL) != HF_OK)
        atomic_fetch_add(worker->failures, 1);
    return rc;
}

static void *contend(void *arg)
{
    struct worker *worker = arg;
    struct mount *mount = worker->mount;
    uint64_t sid = worker->leases[0].sid, version;
    struct scene scene;

    scene_init(&scene, mount->store);
    for (unsigned i = 0; i < COMMITS; i++) {
        struct lease lease;
        int rc = i % 2 ? store_lease_acquire(mount->store, mount->host, sid, 200, &lease, NULL)
                       : ask_for_it(worker, sid, i, &lease);

        if (rc == HF_OK)
            rc = commit_number(worker, &scene, sid, lease.token, lease.head.version, "mine",
                               &version);
        if (rc == HF_OK)
            worker->acknowledged++;
        else if (rc != HF_FENCED && rc != HF_BUSY && rc != HF_PENDING)
            atomic_fetch_add(worker->failures, 1);
        if (rc == HF_OK && i % 4 == 0)
            store_lease_release(mount->store, mount->host, sid, lease.token, NULL);
    }
    scene_clear(&scene);
    return NULL;
}

static int note_waiting(const struct lease_info *info, void *arg)
{
    *(size_t *)arg = info->nwaiting;
    return 0;
}

static void many_hosts_want_one_session(void **state)
{
    struct fixture *fixture = *state;
    struct mount *mounts = calloc(RIVALS, sizeof *mounts);
    struct worker workers[RIVALS];
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "start");
    struct session_head head;
    atomic_uint failures = 0;
    uint64_t acknowledged = 0;
    size_t waiting = 0;

    assert_non_null(mounts);
    contract_open_b(fixture);
    contract_answer(&fixture->a, RECALL_RELEASE);
    for (unsigned i = 0; i < RIVALS; i++) {
        char name[16];
        struct host_identity identity;

        snprintf(name, sizeof name, "rival-%u", i);
        identity = contract_identity(name);
        contract_join(&mounts[i], i % 2 ? fixture->a.store : fixture->b.store, &identity);
        contract_answer(&mounts[i], RECALL_RELEASE);
        workers[i] = (struct worker){fixture, &mounts[i], i, &lease, &failures, 0};
    }
    run_threads(workers, RIVALS, contend);
    assert_int_equal(failures, 0);
    assert_int_equal(store_lease_list(fixture->a.store, note_waiting, &waiting, NULL), HF_OK);
    assert_int_equal(waiting, 0);
    for (unsigned i = 0; i < RIVALS; i++) {
        acknowledged += workers[i].acknowledged;
        contract_leave(&mounts[i]);
    }
    free(mounts);
    assert_int_equal(store_session_head(fixture->a.store, lease.sid, &head, NULL), HF_OK);
    assert_int_equal(head.version - 1, acknowledged);
    assert_true(acknowledged >= RIVALS);
    contract_assert_sound(fixture->a.store);
}

/* --- fsck beside writers --------------------------------------------------------------------------------------------- */

static int tell_finding(const struct check_finding *finding, void *arg)
{
    (void)arg;
    print_message("%s: %s\n", finding->what, finding->message);
    return 0;
}

static void fsck_beside_writers_finds_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct fsck_options options = {.report = tell_finding};
    struct fsck_totals totals = {0};
    struct worker workers[2];
    struct lease leases[2];
    pthread_t threads[2];
    atomic_uint failures = 0;
    struct store *reader;

    leases[0] = contract_session(fixture, &fixture->a, "s0", "start");
    leases[1] = contract_session(fixture, &fixture->a, "s1", "start");
    assert_int_equal(fixture->engine->open(fixture->url, STORE_READ_ONLY, &reader, &fixture->err),
                     HF_OK);
    for (unsigned i = 0; i < 2; i++) {
        workers[i] = (struct worker){fixture, &fixture->a, i, leases, &failures, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, commit_own, &workers[i]), 0);
    }
    do
        assert_int_equal(fsck_run(reader, &options, &totals, &fixture->err), HF_OK);
    while (totals.findings == 0 && totals.roots < (uint64_t)2 * COMMITS);
    for (unsigned i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(totals.findings, 0);
    assert_int_equal(failures, 0);
    store_close(reader);
}

const struct CMUnitTest contract_thread_tests[] = {
    CONTRACT_TEST(commits_of_many_sessions_at_once_are_all_there),
    CONTRACT_TEST(of_commits_with_one_base_one_wins),
    CONTRACT_TEST(two_hosts_commit_to_the_shared_tree),
    CONTRACT_TEST(two_hosts_pass_sessions_to_and_fro),
    CONTRACT_TEST(fsck_beside_writers_finds_nothing),
};
const struct CMUnitTest contract_rival_tests[] = {
    CONTRACT_TEST(many_hosts_want_one_session),
};
const size_t contract_rival_count = CONTRACT_COUNT(contract_rival_tests);
const size_t contract_thread_count = CONTRACT_COUNT(contract_thread_tests);
