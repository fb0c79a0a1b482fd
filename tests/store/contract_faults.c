/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A scripted day of a mount, over a store of which one call fails. Whatever call it is, and whether it failed
 * before it did anything or lost its answer: when the mount tries again as store.h tells it to, the store ends
 * up holding exactly what was acknowledged.
 */
#include <stdio.h>
#include <string.h>

#include "contract.h"
#include "engine/decorator/faulty.h"
#include "engine/options.h"

struct script {
    struct store *store; /* the faulty one */
    uint64_t host;
    struct scene scene;
    struct lease alpha, beta;
    struct object_id chunk;
    bool again; /* this step has failed before */
    struct hf_error err;
};

typedef int (*step_fn)(struct script *script);

static int register_host(struct script *script)
{
    struct host_identity identity = {.host_name = "host-f", .incarnation = 1};

    return store_host_register(script->store, &identity, NULL, &script->host, &script->err);
}

static int create(struct script *script, const char *name, const char *text,
                  struct lease *ret_lease)
{
    struct session_head head;
    struct commit commit;
    int rc;

    scene_clear(&script->scene);
    commit = scene_commit(&script->scene, 0, 0, 0, scene_note(&script->scene, text));
    commit.objects = script->scene.objects;
    commit.nobjects = script->scene.n;
    rc = store_session_create(script->store, script->host, name, &commit, ret_lease, &script->err);
    if (rc != HF_EXIST || !script->again)
        return rc;
    rc = store_session_find(script->store, name, &head, &script->err);
    if (rc == HF_OK)
        rc = store_lease_acquire(script->store, script->host, head.sid, 0, ret_lease, &script->err);
    return rc;
}

static int create_alpha(struct script *script)
{
    return create(script, "alpha", "a1", &script->alpha);
}

static int create_beta(struct script *script)
{
    return create(script, "beta", "b1", &script->beta);
}

static int put_chunk(struct script *script)
{
    scene_clear(&script->scene);
    script->chunk = scene_add(&script->scene, OBJECT_CHUNK, "loose", 5);
    return store_put(script->store, 0, script->scene.objects, script->scene.n, &script->err);
}

static int commit(struct script *script, struct lease *lease, const char *text,
                  enum durability durability)
{
    struct scene *scene = &script->scene;
    struct session_head head;
    struct commit commit;
    struct object_id root;
    int rc;

    if (script->again) { /* whether the first try went through is for the head to say */
        rc = store_session_head(script->store, lease->sid, &head, &script->err);
        if (rc != HF_OK)
            return rc;
        if (head.version == lease->head.version + 1) {
            lease->head = head;
            return HF_OK;
        }
    }
    scene_clear(scene);
    root = scene_note(scene, text);
    commit = scene_commit(scene, lease->sid, lease->token, lease->head.version, root);
    commit.durability = durability;
    rc = store_commit(script->store, script->host, &commit, &lease->head.version, &script->err);
    return rc;
}

static int commit_alpha_2(struct script *script)
{
    return commit(script, &script->alpha, "a2", DURABILITY_RELAXED);
}

static int commit_alpha_3(struct script *script)
{
    return commit(script, &script->alpha, "a3", DURABILITY_SYNC);
}

static int commit_beta_2(struct script *script)
{
    return commit(script, &script->beta, "b2", DURABILITY_RELAXED);
}

static int commit_shared(struct script *script)
{
    struct lease shared = {.sid = SHARED_SID};

    return commit(script, &shared, "s1", DURABILITY_RELAXED);
}

static int sync_all(struct script *script)
{
    return store_sync(script->store, &script->err);
}

/* What `rc` means when the first try may have been done: `done` is then as good as success. */
static int or_done(const struct script *script, int rc, int done)
{
    return script->again && rc == done ? HF_OK : rc;
}

static int release_beta(struct script *script)
{
    return or_done(script,
                   store_lease_release(script->store, script->host, script->beta.sid,
                                       script->beta.token, &script->err),
                   HF_FENCED);
}

static int acquire_beta(struct script *script)
{
    return store_lease_acquire(script->store, script->host, script->beta.sid, 0, &script->beta,
                               &script->err);
}

static int refuse_beta(struct script *script)
{
    return store_lease_refuse(script->store, script->host, script->beta.sid, script->beta.token,
                              "a test", &script->err);
}

static int break_beta(struct script *script)
{
    return or_done(script,
                   store_lease_break(script->store, script->beta.sid, script->beta.token, "a test",
                                     &script->err),
                   HF_CONFLICT);
}

static int rename_beta(struct script *script)
{
    return store_session_rename(script->store, script->host, script->beta.sid, script->beta.token,
                                "gamma", RENAME_SESSION_NEW, 0, &script->err);
}

static int delete_beta(struct script *script)
{
    return or_done(script,
                   store_session_delete(script->store, script->host, script->beta.sid,
                                        script->beta.token, &script->err),
                   HF_NOENT);
}

static int undelete_beta(struct script *script)
{
    return or_done(script,
                   store_session_undelete(script->store, script->beta.sid, "delta", &script->err),
                   HF_NOENT);
}

static int snapshot(struct script *script)
{
    return or_done(script, store_snapshot_create(script->store, "pin", NULL, 0, &script->err),
                   HF_EXIST);
}

static int drop_snapshot(struct script *script)
{
    return or_done(script, store_snapshot_delete(script->store, "pin", &script->err), HF_NOENT);
}

static int keep_snapshot(struct script *script)
{
    static const char *const globs[] = {"alpha"};

    return or_done(script, store_snapshot_create(script->store, "keep", globs, 1, &script->err),
                   HF_EXIST);
}

static int rescue(struct script *script)
{
    struct commit commit = {.sid = script->alpha.sid,
                            .token = script->alpha.token,
                            .base_version = 1,
                            .root = script->alpha.head.root};
    uint64_t id;

    return store_rescue(script->store, script->host, &commit, "a test", &id, &script->err);
}

static int lock_range(struct script *script, enum lock_type type)
{
    struct store_lock lock = {
        .ino = 9, .kind = LOCK_POSIX, .type = type, .end = UINT64_MAX, .owner = 1};

    return store_lock_set(script->store, script->host, &lock, NULL, &script->err);
}

static int lock(struct script *script)
{
    return lock_range(script, LOCK_TYPE_WRITE);
}

static int unlock(struct script *script)
{
    return lock_range(script, LOCK_TYPE_NONE);
}

/* --- steps that only read --------------------------------------------------------------------------------------- */

static int see_session(const struct session_info *info, void *arg)
{
    (void)info;
    (void)arg;
    return 0;
}

static int see_version(const struct history_entry *entry, void *arg)
{
    (void)entry;
    (void)arg;
    return 0;
}

static int see_audit(const struct audit_entry *entry, void *arg)
{
    (void)entry;
    (void)arg;
    return 0;
}

static int see_lease(const struct lease_info *info, void *arg)
{
    (void)info;
    (void)arg;
    return 0;
}

static int see_host(const struct host_info *info, void *arg)
{
    (void)info;
    (void)arg;
    return 0;
}

static int see_snapshot(const struct snapshot_info *info, void *arg)
{
    (void)info;
    (void)arg;
    return 0;
}

static int see_root(const struct root_info *root, void *arg)
{
    (void)root;
    (void)arg;
    return 0;
}

static int see_finding(const struct check_finding *finding, void *arg)
{
    (void)finding;
    (void)arg;
    return HF_CORRUPT;
}

static int list_sessions(struct script *script)
{
    return store_session_list(script->store, NULL, see_session, NULL, &script->err);
}

static int find_alpha(struct script *script)
{
    return store_session_find(script->store, "alpha", &script->alpha.head, &script->err);
}

static int head_of_alpha(struct script *script)
{
    return store_session_head(script->store, script->alpha.sid, &script->alpha.head, &script->err);
}

static int history(struct script *script)
{
    return store_history(script->store, script->alpha.sid, UINT64_MAX, 0, see_version, NULL,
                         &script->err);
}

static int audit(struct script *script)
{
    return store_audit(script->store, UINT64_MAX, 0, see_audit, NULL, &script->err);
}

static int list_leases(struct script *script)
{
    return store_lease_list(script->store, see_lease, NULL, &script->err);
}

static int list_hosts(struct script *script)
{
    return store_host_list(script->store, see_host, NULL, &script->err);
}

static int heartbeat(struct script *script)
{
    return store_host_heartbeat(script->store, script->host, &script->err);
}

static int list_snapshots(struct script *script)
{
    return store_snapshot_list(script->store, see_snapshot, NULL, &script->err);
}

static int list_roots(struct script *script)
{
    return store_roots(script->store, see_root, NULL, &script->err);
}

static int check(struct script *script)
{
    return store_check(script->store, see_finding, NULL, &script->err);
}

static int stats(struct script *script)
{
    struct store_stats stats;

    return store_stats(script->store, &stats, &script->err);
}

static int test_lock(struct script *script)
{
    struct store_lock lock = {.ino = 9, .kind = LOCK_POSIX, .type = LOCK_TYPE_WRITE, .owner = 2};
    struct store_lock conflict;

    return store_lock_test(script->store, script->host, &lock, &conflict, &script->err);
}

static int get_chunk(struct script *script)
{
    BUF_AUTO content = {0};

    return store_get(script->store, &script->chunk, 1, &content, &script->err);
}

static int find_missing(struct script *script)
{
    bool missing = false;
    int rc = store_missing(script->store, 0, &script->chunk, 1, &missing, &script->err);

    return rc == HF_OK && missing ? HF_MISSING : rc;
}

static const step_fn steps[] = {
    register_host,  create_alpha,  create_beta,    put_chunk,     find_missing,  get_chunk,
    commit_alpha_2, find_alpha,    commit_alpha_3, sync_all,      release_beta,  acquire_beta,
    refuse_beta,    commit_beta_2, rename_beta,    snapshot,      list_sessions, head_of_alpha,
    history,        audit,         list_leases,    list_hosts,    heartbeat,     list_snapshots,
    list_roots,     stats,         delete_beta,    undelete_beta, acquire_beta,  lock,
    test_lock,      unlock,        drop_snapshot,  keep_snapshot, rescue,        break_beta,
    acquire_beta,   commit_shared, check,
};

/* --- the end of the day ---------------------------------------------------------------------------------------- */

static void assert_head(struct store *store, const char *name, uint64_t version, const char *text)
{
    struct session_head head;

    assert_int_equal(store_session_find(store, name, &head, NULL), HF_OK);
    assert_int_equal(head.version, version);
    contract_assert_note(store, &head.root, text);
}

static int count_sessions(const struct session_info *info, void *arg)
{
    (void)info;
    ++*(unsigned *)arg;
    return 0;
}

static int check_snapshot(const struct snapshot_info *info, void *arg)
{
    assert_string_equal(info->name, "keep");
    assert_int_equal(info->sessions, 1);
    ++*(unsigned *)arg;
    return 0;
}

static void assert_day_done(struct store *store)
{
    struct session_filter trash = {.trashed = true};
    unsigned live = 0, trashed = 0, snapshots = 0;
    struct session_head shared;

    assert_head(store, "alpha", 3, "a3");
    assert_head(store, "delta", 2, "b2");
    assert_int_equal(store_session_head(store, SHARED_SID, &shared, NULL), HF_OK);
    assert_int_equal(shared.version, 1);
    contract_assert_note(store, &shared.root, "s1");
    assert_int_equal(store_session_list(store, NULL, count_sessions, &live, NULL), HF_OK);
    assert_int_equal(store_session_list(store, &trash, count_sessions, &trashed, NULL), HF_OK);
    assert_int_equal(store_snapshot_list(store, check_snapshot, &snapshots, NULL), HF_OK);
    assert_int_equal(live, 2);
    assert_int_equal(trashed, 0);
    assert_int_equal(snapshots, 1);
    contract_assert_sound(store);
}

/* Runs the script over a fresh store with `spec`. Returns how many calls it made; *ret_struck: a call failed. */
static uint64_t run_day(const struct contract_engine *engine, const char *spec, bool *ret_struck)
{
    struct script script = {.again = false};
    struct store *below;
    char url[512];
    uint64_t calls;

    engine->new_url(url, sizeof url);
    if (engine->open(url, STORE_CREATE, &below, &script.err) != HF_OK)
        fail_msg("cannot open %s: %s", url, script.err.message);
    assert_int_equal(faulty_store_new(below, spec, &script.store, &script.err), HF_OK);
    scene_init(&script.scene, script.store);
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        int rc = steps[i](&script);

        script.again = rc != HF_OK;
        if (script.again)
            rc = steps[i](&script);
        script.again = false;
        if (rc != HF_OK)
            fail_msg("with %s, step %zu failed twice: %s", spec, i, script.err.message);
    }
    calls = faulty_store_calls(script.store);
    *ret_struck = faulty_store_faults(script.store) > 0;
    assert_int_equal(faulty_store_set(script.store, NULL, NULL), HF_OK);
    assert_day_done(script.store);
    store_close(script.store);
    if (engine->durable) {
        assert_int_equal(engine->open(url, 0, &below, NULL), HF_OK);
        assert_day_done(below);
        store_close(below);
    }
    scene_clear(&script.scene);
    engine->remove(url);
    return calls;
}

static void try_every_call(const struct contract_engine *engine, const char *suffix, uint64_t first)
{
    bool struck;
    uint64_t calls = run_day(engine, "", &struck);

    assert_false(struck);
    assert_true(calls >= sizeof steps / sizeof steps[0]);
    for (uint64_t nth = first; nth <= calls; nth++) {
        char spec[64];

        snprintf(spec, sizeof spec, "any@%llu:%s", (unsigned long long)nth, suffix);
        run_day(engine, spec, &struck);
        assert_true(struck);
    }
}

static void any_call_may_fail(void **state)
{
    struct fixture *fixture = *state;

    try_every_call(fixture->engine, "EIO", 1);
}

/* A host that does not hear that it was registered cannot know its number: it opens the store anew. */
static void any_call_may_lose_its_answer(void **state)
{
    struct fixture *fixture = *state;

    try_every_call(fixture->engine, "EIO!", 2);
}

const struct CMUnitTest contract_fault_tests[] = {
    CONTRACT_TEST(any_call_may_fail),
    CONTRACT_TEST(any_call_may_lose_its_answer),
};
const size_t contract_fault_count = CONTRACT_COUNT(contract_fault_tests);
