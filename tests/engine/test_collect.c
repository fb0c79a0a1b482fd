/* SPDX-License-Identifier: Apache-2.0 */
/* Collections of garbage in a store file, beside others that use it: each race at the moment that it needs, random
 * changes against a model, collectors that are killed, damage. HOLDFAST_COLLECT_ROUNDS makes the long ones longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <sqlite3.h>
#include <string.h>
#include <time.h>

#include "engine/open.h"
#include "scene.h"
#include "store/fsck.h"

extern char **environ;

#define TREES 24
#define SESSIONS 5
#define SNAPSHOTS 4
#define VERSIONS 8
#define CHUNKS 6
#define CHUNK_LEN 3000
#define MODEL_SECONDS 4
#define KILLS 12
#define ASKED 20480
#define ASKED_AT_ONCE 256
#define ASKERS 4
#define ASKS_MAX_NS 12000000000LL

/* A handle with its host session, as a process of its own would have. */
struct user {
    struct store *store;
    uint64_t host;
};

struct fixture {
    char folder[64], url[256];
    struct user a, b;
    struct scene scenes[TREES]; /* one tree each */
    struct object_id roots[TREES];
    struct hf_error err;
};

static void open_user(struct user *user, const char *url, const char *name)
{
    struct host_identity identity = {
        .host_name = name, .incarnation = 1, .pid = (uint32_t)getpid()};
    struct hf_error err = {0};

    snprintf((char *)identity.mount_id, UUID_SIZE, "%s", name);
    if (store_open(url, STORE_CREATE, NULL, NULL, &user->store, &err) != HF_OK ||
        store_host_register(user->store, &identity, NULL, &user->host, &err) != HF_OK) {
        fprintf(stderr, "%s: %s\n", name, err.message);
        abort();
    }
}

static unsigned long long rounds(unsigned long long usual)
{
    const char *text = getenv("HOLDFAST_COLLECT_ROUNDS");

    return text ? strtoull(text, NULL, 10) * usual : usual;
}

/* --- trees ------------------------------------------------------------------------------------------------ */

/* Tree `t` has one file; neighbours share most of its chunks, and differ a little in one. */
static void make_tree(struct fixture *fixture, size_t t)
{
    static uint8_t data[CHUNKS * CHUNK_LEN];
    struct scene *scene = &fixture->scenes[t];
    char name[16];
    struct scene_node node = {.name = name, .data = data, .len = sizeof data};

    scene_init(scene, fixture->a.store);
    for (size_t i = 0; i < CHUNKS; i++)
        scene_fill(1000 + t / 4 + i, data + i * CHUNK_LEN, CHUNK_LEN);
    snprintf(name, sizeof name, "f%zu", t);
    data[t * 700 % sizeof data] ^= 0x55;
    fixture->roots[t] = scene_root(scene, &node, 1);
    /* Each leans on its counterpart in the tree before, if that has one. */
    for (size_t i = 0; t > 0 && i < scene->n && i < fixture->scenes[t - 1].n; i++) {
        scene->objects[i].has_base = true;
        scene->objects[i].base = fixture->scenes[t - 1].objects[i].id;
    }
}

static int put_tree(struct fixture *fixture, struct user *user, uint64_t host, size_t t)
{
    return store_put(user->store, host, fixture->scenes[t].objects, fixture->scenes[t].n,
                     &fixture->err);
}

static struct commit commit_of(struct fixture *fixture, size_t t, const struct lease *lease,
                               bool with_objects)
{
    struct commit commit =
        scene_commit(&fixture->scenes[t], lease ? lease->sid : 0, lease ? lease->token : 0,
                     lease ? lease->head.version : 0, fixture->roots[t]);

    if (!with_objects)
        commit.nobjects = 0;
    return commit;
}

static int commit_tree(struct fixture *fixture, struct user *user, struct lease *lease, size_t t,
                       bool with_objects)
{
    struct commit commit = commit_of(fixture, t, lease, with_objects);
    uint64_t version;
    int rc = store_commit(user->store, user->host, &commit, &version, &fixture->err);

    if (rc == HF_OK)
        lease->head.version = version;
    return rc;
}

static int create(struct fixture *fixture, struct user *user, const char *name, size_t t,
                  bool with_objects, struct lease *ret_lease)
{
    struct commit commit = commit_of(fixture, t, NULL, with_objects);

    return store_session_create(user->store, user->host, name, &commit, ret_lease, &fixture->err);
}

static void assert_tree_reads(struct fixture *fixture, struct user *user, size_t t)
{
    const struct scene *scene = &fixture->scenes[t];

    for (size_t i = 0; i < scene->n; i++) {
        BUF_AUTO content = {0};

        if (store_get(user->store, &scene->objects[i].id, 1, &content, &fixture->err) != HF_OK)
            fail_msg("object %zu of tree %zu: %s", i, t, fixture->err.message);
        assert_int_equal(content.len, scene->objects[i].content.len);
        assert_memory_equal(content.data, scene->objects[i].content.data, content.len);
    }
}

static size_t count_missing(struct fixture *fixture, struct user *user, size_t t)
{
    const struct scene *scene = &fixture->scenes[t];
    size_t n = 0;

    for (size_t i = 0; i < scene->n; i++) {
        bool missing = false;

        assert_int_equal(store_missing(user->store, 0, &scene->objects[i].id, 1, &missing, NULL),
                         HF_OK);
        n += missing;
    }
    return n;
}

/* --- the fixture -------------------------------------------------------------------------------------------- */

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "%s", "/tmp/holdfast-collect-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->url, sizeof fixture->url, "sqlite:%s/store.db", fixture->folder);
    open_user(&fixture->a, fixture->url, "a");
    open_user(&fixture->b, fixture->url, "b");
    for (size_t t = 0; t < TREES; t++)
        make_tree(fixture, t);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-bell"};
    struct fixture *fixture = *state;
    char name[300];

    for (size_t t = 0; t < TREES; t++)
        scene_clear(&fixture->scenes[t]);
    store_close(fixture->b.store);
    store_close(fixture->a.store);
    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s/store.db%s", fixture->folder, ends[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(fixture->folder), 0);
    free(fixture);
    return 0;
}

static int print_finding(const struct check_finding *finding, void *arg)
{
    (void)arg;
    print_message("%s: %s\n", finding->what, finding->message);
    return 0;
}

static void assert_sound(struct fixture *fixture)
{
    struct fsck_options options = {.report = print_finding};
    struct fsck_totals totals;

    assert_int_equal(fsck_run(fixture->a.store, &options, &totals, &fixture->err), HF_OK);
    assert_int_equal(totals.findings, 0);
}

static struct collect_totals collect_with(struct fixture *fixture,
                                          const struct collect_options *options)
{
    struct collect_totals totals = {0};

    if (store_collect(fixture->a.store, options, &totals, &fixture->err) != HF_OK)
        fail_msg("cannot collect: %s", fixture->err.message);
    assert_sound(fixture);
    return totals;
}

static struct collect_totals collect(struct fixture *fixture)
{
    return collect_with(fixture, NULL);
}

/* --- races, each at its moment ---------------------------------------------------------------------------------- */

enum moment { BEGUN, ROOTS_MARKED, SWITCHED, MOMENTS };

/* What another does at one moment of a collection. */
struct stroke {
    struct fixture *fixture;
    enum moment moment;
    void (*act)(struct stroke *stroke);
    struct lease lease;
    int tells; /* of the marking so far */
    bool done;
};

static int strike(const char *phase, uint64_t done, uint64_t all, void *arg)
{
    struct stroke *stroke = arg;
    bool marking = strcmp(phase, "marking") == 0;
    enum moment now = marking && stroke->tells == 0 ? BEGUN : ROOTS_MARKED;

    (void)all;
    stroke->tells += marking;
    if (!marking)
        now = strcmp(phase, "sweeping") == 0 && done == 0 ? SWITCHED : MOMENTS;
    if (now == stroke->moment && !stroke->done) {
        stroke->done = true;
        stroke->act(stroke);
    }
    return 0;
}

static struct collect_totals collect_struck(struct fixture *fixture, struct stroke *stroke)
{
    struct collect_options options = {.progress = strike, .arg = stroke};
    struct collect_totals totals;

    stroke->fixture = fixture;
    stroke->tells = 0;
    stroke->done = false;
    totals = collect_with(fixture, &options);
    assert_true(stroke->done);
    return totals;
}

/* Commits tree 1 by its root alone, or, if it has gone already, whole. */
static void commit_garbage(struct stroke *stroke)
{
    int rc = create(stroke->fixture, &stroke->fixture->b, "risen", 1, false, &stroke->lease);

    assert_int_equal(rc, stroke->moment == SWITCHED ? HF_MISSING : HF_OK);
    if (rc == HF_MISSING)
        assert_int_equal(
            create(stroke->fixture, &stroke->fixture->b, "risen", 1, true, &stroke->lease), HF_OK);
}

static void garbage_that_is_committed_meanwhile_stays(void **state)
{
    struct fixture *fixture = *state;

    for (enum moment moment = BEGUN; moment < MOMENTS; moment++) {
        struct stroke stroke = {.moment = moment, .act = commit_garbage};

        /* What b remembers to have put must not make it believe that it is still there. */
        assert_int_equal(put_tree(fixture, &fixture->b, 0, 1), HF_OK);
        collect_struck(fixture, &stroke);
        assert_tree_reads(fixture, &fixture->b, 1);
        assert_int_equal(collect(fixture).removed, 0);
        assert_tree_reads(fixture, &fixture->b, 1);
        assert_int_equal(store_session_delete(fixture->b.store, fixture->b.host, stroke.lease.sid,
                                              stroke.lease.token, NULL),
                         HF_OK);
        assert_int_equal(store_session_purge(fixture->b.store, stroke.lease.sid, NULL), HF_OK);
        assert_int_equal(collect(fixture).removed, fixture->scenes[1].n);
    }
}

static void put_garbage(struct stroke *stroke)
{
    struct fixture *fixture = stroke->fixture;

    assert_int_equal(put_tree(fixture, &fixture->b, fixture->b.host, 2 + 4 * stroke->moment),
                     HF_OK);
}

static void ask_for_garbage(struct stroke *stroke)
{
    struct fixture *fixture = stroke->fixture;
    size_t t = 3 + 4 * stroke->moment;
    bool missing = false;

    assert_int_equal(
        store_missing(fixture->b.store, fixture->b.host, &fixture->roots[t], 1, &missing, NULL),
        HF_OK);
    assert_int_equal(missing, stroke->moment == SWITCHED);
    if (missing)
        assert_int_equal(put_tree(fixture, &fixture->b, fixture->b.host, t), HF_OK);
}

static void garbage_that_is_put_or_found_meanwhile_stays(void **state)
{
    struct fixture *fixture = *state;

    for (enum moment moment = BEGUN; moment < MOMENTS; moment++) {
        struct stroke puts = {.moment = moment, .act = put_garbage};
        struct stroke asks = {.moment = moment, .act = ask_for_garbage};

        size_t put = 2 + 4 * moment, found = put + 1;

        assert_int_equal(put_tree(fixture, &fixture->a, 0, put), HF_OK);
        collect_struck(fixture, &puts);
        assert_tree_reads(fixture, &fixture->b, put);
        assert_int_equal(put_tree(fixture, &fixture->a, 0, found), HF_OK);
        collect_struck(fixture, &asks);
        assert_tree_reads(fixture, &fixture->b, found);
        assert_int_equal(collect(fixture).removed, 0);
        assert_tree_reads(fixture, &fixture->b, put);
        assert_tree_reads(fixture, &fixture->b, found);
    }
}

/* What is about to go is missing to all, and so to whoever mends. */
static void mend_garbage(struct stroke *stroke)
{
    struct fixture *fixture = stroke->fixture;
    struct scene *scene = &fixture->scenes[1];

    assert_int_equal(count_missing(fixture, &fixture->b, 1), scene->n);
    for (size_t i = 0; i < scene->n; i++)
        assert_int_equal(
            store_mend(fixture->b.store, &scene->objects[i].id, &scene->objects[i], &fixture->err),
            HF_OK);
    assert_int_equal(count_missing(fixture, &fixture->b, 1), 0);
}

static void garbage_that_is_mended_meanwhile_stays(void **state)
{
    struct fixture *fixture = *state;
    struct stroke stroke = {.moment = SWITCHED, .act = mend_garbage};

    assert_int_equal(put_tree(fixture, &fixture->a, 0, 1), HF_OK);
    collect_struck(fixture, &stroke);
    assert_tree_reads(fixture, &fixture->b, 1);
}

/* Puts what leans on garbage: tree 5, whose objects name those of tree 4 as bases. */
static void lean_on_garbage(struct stroke *stroke)
{
    struct fixture *fixture = stroke->fixture;

    assert_int_equal(create(fixture, &fixture->b, "leaning", 5, true, &stroke->lease), HF_OK);
}

static void a_base_stays_as_long_as_something_leans_on_it(void **state)
{
    struct fixture *fixture = *state;

    for (enum moment moment = BEGUN; moment <= MOMENTS; moment++) {
        struct stroke stroke = {.fixture = fixture, .moment = moment, .act = lean_on_garbage};
        struct collect_totals totals;
        struct store_stats stats;

        assert_int_equal(put_tree(fixture, &fixture->b, 0, 4), HF_OK);
        if (moment == MOMENTS) {
            lean_on_garbage(&stroke);
            totals = collect(fixture);
        } else {
            totals = collect_struck(fixture, &stroke);
        }
        assert_tree_reads(fixture, &fixture->a, 5);
        assert_true(count_missing(fixture, &fixture->b, 4) > 0);
        assert_int_equal(totals.hidden > 0, moment != SWITCHED);
        totals = collect(fixture); /* and stays hidden */
        assert_int_equal(totals.removed, 0);
        assert_tree_reads(fixture, &fixture->a, 5);
        assert_int_equal(store_stats(fixture->a.store, &stats, NULL), HF_OK);
        assert_int_equal(stats.objects, fixture->scenes[5].n);
        /* Whole again, beside the hidden one. */
        assert_int_equal(put_tree(fixture, &fixture->b, 0, 4), HF_OK);
        assert_tree_reads(fixture, &fixture->a, 4);
        assert_int_equal(store_session_delete(fixture->b.store, fixture->b.host, stroke.lease.sid,
                                              stroke.lease.token, NULL),
                         HF_OK);
        assert_int_equal(store_session_purge(fixture->b.store, stroke.lease.sid, NULL), HF_OK);
        assert_int_equal(collect(fixture).hidden, 0);
        assert_int_equal(store_stats(fixture->a.store, &stats, NULL), HF_OK);
        assert_int_equal(stats.objects, 0);
        assert_int_equal(stats.stored_bytes, 0);
    }
}

/* Version 1 is dropped, and its root committed again as the newest version. */
static void restore_dropped(struct stroke *stroke)
{
    struct fixture *fixture = stroke->fixture;
    const uint64_t first = stroke->lease.head.version - 1;
    uint64_t dropped;

    assert_int_equal(
        store_history_drop(fixture->b.store, stroke->lease.sid, &first, 1, &dropped, &fixture->err),
        HF_OK);
    assert_int_equal(dropped, 1);
    if (commit_tree(fixture, &fixture->b, &stroke->lease, 6, false) != HF_OK)
        fail_msg("%s", fixture->err.message);
}

static void an_old_root_that_is_committed_again_stays(void **state)
{
    struct fixture *fixture = *state;
    struct stroke stroke = {.act = restore_dropped};

    assert_int_equal(create(fixture, &fixture->b, "s", 6, true, &stroke.lease), HF_OK);
    stroke.lease.head.version = 1;
    for (enum moment moment = BEGUN; moment < MOMENTS; moment++) {
        stroke.moment = moment;
        assert_int_equal(commit_tree(fixture, &fixture->b, &stroke.lease, 7, true), HF_OK);
        collect_struck(fixture, &stroke);
        assert_tree_reads(fixture, &fixture->a, 6);
    }
}

static void damage_removes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct collect_totals totals;
    struct store_stats before, after;
    struct lease lease;
    char path[300];
    sqlite3 *db;

    assert_int_equal(create(fixture, &fixture->a, "s", 8, true, &lease), HF_OK);
    assert_int_equal(put_tree(fixture, &fixture->a, 0, 12), HF_OK);
    snprintf(path, sizeof path, "%s/store.db", fixture->folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(db, "UPDATE object SET packed = zeroblob(length(packed)) WHERE kind = 4", NULL,
                     NULL, NULL),
        SQLITE_OK);
    sqlite3_close(db);
    assert_int_equal(store_stats(fixture->a.store, &before, NULL), HF_OK);
    assert_int_equal(store_collect(fixture->a.store, NULL, &totals, &fixture->err), HF_CORRUPT);
    assert_int_equal(store_stats(fixture->a.store, &after, NULL), HF_OK);
    assert_int_equal(after.objects, before.objects);
    assert_int_equal(count_missing(fixture, &fixture->a, 12), 0);
}

static void what_is_free_goes_back_to_the_file_system(void **state)
{
    struct fixture *fixture = *state;
    static uint8_t data[60000];
    struct collect_totals totals;
    struct store_stats before, after;
    struct scene scene;

    scene_init(&scene, fixture->a.store);
    for (uint64_t i = 0; i < 100; i++) {
        scene_fill(5000 + i, data, sizeof data);
        scene_add(&scene, OBJECT_CHUNK, data, sizeof data);
    }
    assert_int_equal(store_put(fixture->a.store, 0, scene.objects, scene.n, NULL), HF_OK);
    assert_int_equal(store_stats(fixture->a.store, &before, NULL), HF_OK);
    totals = collect(fixture);
    assert_int_equal(totals.removed, 100);
    assert_true(totals.freed_bytes > totals.removed_bytes / 2);
    assert_int_equal(store_stats(fixture->a.store, &after, NULL), HF_OK);
    assert_true(after.stored_bytes == 0);
    assert_int_equal(put_tree(fixture, &fixture->a, fixture->a.host, 0), HF_OK);
    assert_sound(fixture);
    scene_clear(&scene);
}

/* --- random changes against a model ----------------------------------------------------------------------------- */

/* What one writer knows of the store that it changes alone. */
struct model {
    struct fixture *fixture;
    struct user *user;
    uint64_t random;
    bool live[SESSIONS];
    struct lease leases[SESSIONS];
    size_t trees[SESSIONS][VERSIONS]; /* of each kept version */
    uint64_t versions[SESSIONS][VERSIONS];
    size_t nversions[SESSIONS];
    bool pinned[SNAPSHOTS];
    bool pins[SNAPSHOTS][TREES];
    atomic_bool stop;
    uint64_t steps;
};

static uint64_t roll(struct model *model, uint64_t n)
{
    model->random ^= model->random << 13;
    model->random ^= model->random >> 7;
    model->random ^= model->random << 17;
    return model->random % n;
}

static void expect_ok(struct model *model, int rc, const char *what)
{
    if (rc == HF_OK)
        return;
    fprintf(stderr, "step %llu: %s: %s\n", (unsigned long long)model->steps, what,
            model->fixture->err.message);
    abort();
}

static bool is_rooted(const struct model *model, size_t t)
{
    for (size_t s = 0; s < SESSIONS; s++)
        for (size_t v = 0; model->live[s] && v < model->nversions[s]; v++)
            if (model->trees[s][v] == t)
                return true;
    for (size_t p = 0; p < SNAPSHOTS; p++)
        if (model->pinned[p] && model->pins[p][t])
            return true;
    return false;
}

static void drop_version(struct model *model, size_t s, size_t v)
{
    size_t last = --model->nversions[s];
    uint64_t dropped;

    expect_ok(model,
              store_history_drop(model->user->store, model->leases[s].sid, &model->versions[s][v],
                                 1, &dropped, &model->fixture->err),
              "drop");
    memmove(&model->versions[s][v], &model->versions[s][v + 1], (last - v) * sizeof(uint64_t));
    memmove(&model->trees[s][v], &model->trees[s][v + 1], (last - v) * sizeof(size_t));
}

static void commit_some(struct model *model, size_t s, size_t t)
{
    /* What a root leads to can be committed by its root; of the rest nobody can know. */
    bool whole = !is_rooted(model, t) || roll(model, 4) == 0;
    size_t n = model->nversions[s];

    if (!model->live[s]) {
        char name[16];

        snprintf(name, sizeof name, "s%zu", s);
        expect_ok(model, create(model->fixture, model->user, name, t, whole, &model->leases[s]),
                  "create");
        model->leases[s].head.version = 1;
        model->live[s] = true;
        n = 0;
    } else {
        if (n == VERSIONS)
            drop_version(model, s, roll(model, VERSIONS - 1));
        n = model->nversions[s];
        expect_ok(model, commit_tree(model->fixture, model->user, &model->leases[s], t, whole),
                  "commit");
    }
    model->trees[s][n] = t;
    model->versions[s][n] = model->leases[s].head.version;
    model->nversions[s] = n + 1;
}

static void purge(struct model *model, size_t s)
{
    const struct lease *lease = &model->leases[s];

    expect_ok(model,
              store_session_delete(model->user->store, model->user->host, lease->sid, lease->token,
                                   &model->fixture->err),
              "delete");
    expect_ok(model, store_session_purge(model->user->store, lease->sid, &model->fixture->err),
              "purge");
    model->live[s] = false;
    model->nversions[s] = 0;
}

static void toggle_snapshot(struct model *model, size_t p)
{
    char name[16];

    snprintf(name, sizeof name, "p%zu", p);
    if (model->pinned[p]) {
        expect_ok(model, store_snapshot_delete(model->user->store, name, &model->fixture->err),
                  "unpin");
    } else {
        expect_ok(model,
                  store_snapshot_create(model->user->store, name, NULL, 0, &model->fixture->err),
                  "pin");
        memset(model->pins[p], 0, sizeof model->pins[p]);
        for (size_t s = 0; s < SESSIONS; s++)
            if (model->live[s])
                model->pins[p][model->trees[s][model->nversions[s] - 1]] = true;
    }
    model->pinned[p] = !model->pinned[p];
}

/* What a root leads to is there, at any moment. */
static void read_some(struct model *model)
{
    size_t t = roll(model, TREES);
    const struct scene *scene = &model->fixture->scenes[t];

    for (size_t i = 0; is_rooted(model, t) && i < scene->n; i++) {
        BUF_AUTO content = {0};

        expect_ok(
            model,
            store_get(model->user->store, &scene->objects[i].id, 1, &content, &model->fixture->err),
            "read");
    }
}

static void step(struct model *model)
{
    size_t s = roll(model, SESSIONS), t = roll(model, TREES);
    uint64_t what = roll(model, 100);

    model->steps++;
    if (what < 45)
        commit_some(model, s, t);
    else if (what < 60 && model->live[s] && model->nversions[s] > 1)
        drop_version(model, s, roll(model, model->nversions[s] - 1));
    else if (what < 66 && model->live[s])
        purge(model, s);
    else if (what < 72)
        toggle_snapshot(model, roll(model, SNAPSHOTS));
    else if (what < 82)
        expect_ok(model, put_tree(model->fixture, model->user, 0, t), "put");
    else
        read_some(model);
}

static int compare_ids(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(struct object_id));
}

/* How many objects the roots lead to. */
static size_t count_rooted(const struct model *model)
{
    static struct object_id ids[TREES * 64];
    size_t n = 0, distinct = 0;

    for (size_t t = 0; t < TREES; t++)
        for (size_t i = 0; is_rooted(model, t) && i < model->fixture->scenes[t].n; i++)
            ids[n++] = model->fixture->scenes[t].objects[i].id;
    qsort(ids, n, sizeof ids[0], compare_ids);
    for (size_t i = 0; i < n; i++)
        distinct += i == 0 || compare_ids(&ids[i - 1], &ids[i]) != 0;
    return distinct;
}

/* Everything that is rooted is there, and after a collection nothing else. */
static void assert_model(struct model *model)
{
    struct fixture *fixture = model->fixture;
    struct store_stats stats;

    for (size_t t = 0; t < TREES; t++)
        if (is_rooted(model, t))
            assert_tree_reads(fixture, &fixture->a, t);
    collect(fixture);
    for (size_t t = 0; t < TREES; t++)
        if (is_rooted(model, t))
            assert_tree_reads(fixture, &fixture->b, t);
    assert_int_equal(store_stats(fixture->a.store, &stats, NULL), HF_OK);
    assert_int_equal(stats.objects, count_rooted(model));
}

static int step_on_progress(const char *phase, uint64_t done, uint64_t all, void *arg)
{
    struct model *model = arg;

    (void)phase;
    (void)done;
    (void)all;
    for (uint64_t n = roll(model, 6); n > 0; n--)
        step(model);
    return roll(model, 16) == 0; /* and sometimes the collection is interrupted */
}

static void random_changes_within_collections_leave_what_the_model_says(void **state)
{
    struct fixture *fixture = *state;
    struct model model = {.fixture = fixture, .user = &fixture->b, .random = 20261120};
    struct collect_options options = {.progress = step_on_progress, .arg = &model};
    struct collect_totals totals;
    unsigned long long n = rounds(150);

    print_message("seed %llu\n", (unsigned long long)model.random);
    for (unsigned long long i = 0; i < n; i++) {
        int rc = store_collect(fixture->a.store, &options, &totals, &fixture->err);

        if (rc != HF_OK && rc != HF_INTR)
            fail_msg("round %llu: %s", i, fixture->err.message);
        for (uint64_t k = roll(&model, 8); k > 0; k--)
            step(&model);
        if (i % 25 == 24)
            assert_model(&model);
    }
}

static void *change_at_full_speed(void *arg)
{
    struct model *model = arg;

    while (!atomic_load(&model->stop))
        step(model);
    return NULL;
}

static void a_writer_at_full_speed_beside_collections_misses_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct model model = {.fixture = fixture, .user = &fixture->b, .random = 4711};
    struct collect_totals totals;
    struct timespec now;
    pthread_t thread;
    time_t end;
    unsigned collections = 0;

    clock_gettime(CLOCK_MONOTONIC, &now);
    end = now.tv_sec + (time_t)rounds(MODEL_SECONDS);
    assert_int_equal(pthread_create(&thread, NULL, change_at_full_speed, &model), 0);
    while (now.tv_sec < end) {
        struct hf_error err = {0}; /* the fixture's is the writer's */

        if (store_collect(fixture->a.store, NULL, &totals, &err) != HF_OK)
            fail_msg("collection %u: %s", collections, err.message);
        collections++;
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
    atomic_store(&model.stop, true);
    pthread_join(thread, NULL);
    print_message("%llu changes beside %u collections\n", (unsigned long long)model.steps,
                  collections);
    assert_true(collections > 2 && model.steps > 100);
    assert_model(&model);
}

/* --- somebody who asks all the time --------------------------------------------------------------------------- */

struct asker {
    struct user *user;
    struct object_id ids[ASKED];
    atomic_bool stop;
    atomic_bool tired; /* it has waited for long enough */
};

static void put_many(struct asker *asker)
{
    struct object objects[ASKED_AT_ONCE] = {0};
    uint32_t numbers[ASKED_AT_ONCE];

    for (uint32_t i = 0; i < ASKED; i++) {
        struct object *object = &objects[i % ASKED_AT_ONCE];

        numbers[i % ASKED_AT_ONCE] = i;
        object->kind = OBJECT_CHUNK;
        object->content = slice_of(&numbers[i % ASKED_AT_ONCE], sizeof i);
        assert_int_equal(object_id_compute(&store_info(asker->user->store)->hasher, OBJECT_CHUNK,
                                           object->content.data, sizeof i, &object->id),
                         HF_OK);
        asker->ids[i] = object->id;
        if (i % ASKED_AT_ONCE == ASKED_AT_ONCE - 1)
            assert_int_equal(
                store_put(asker->user->store, asker->user->host, objects, ASKED_AT_ONCE, NULL),
                HF_OK);
    }
}

static int64_t now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void *ask_on(void *arg)
{
    struct asker *asker = arg;
    int64_t until = now_ns() + ASKS_MAX_NS;
    bool missing[ASKED_AT_ONCE];

    for (size_t at = (uint64_t)until % 64 * ASKED_AT_ONCE; !asker->stop && !asker->tired;
         at = (at + ASKED_AT_ONCE) % ASKED) {
        if (store_missing(asker->user->store, asker->user->host, asker->ids + at, ASKED_AT_ONCE,
                          missing, NULL) != HF_OK)
            abort();
        if (now_ns() > until)
            asker->tired = true;
    }
    return NULL;
}

static void who_asks_all_the_time_does_not_put_off_a_collection(void **state)
{
    struct fixture *fixture = *state;
    struct asker *asker = calloc(1, sizeof *asker);
    struct collect_totals totals;
    pthread_t threads[ASKERS];

    assert_non_null(asker);
    asker->user = &fixture->a;
    put_many(asker);
    assert_int_equal(put_tree(fixture, &fixture->b, 0, 1), HF_OK);
    for (size_t i = 0; i < ASKERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_on, asker), 0);
    assert_int_equal(store_collect(fixture->a.store, NULL, &totals, &fixture->err), HF_OK);
    asker->stop = true;
    for (size_t i = 0; i < ASKERS; i++)
        pthread_join(threads[i], NULL);
    assert_false(asker->tired);
    assert_int_equal(totals.removed, fixture->scenes[1].n);
    assert_sound(fixture);
    free(asker);
}

/* --- a collector that is killed --------------------------------------------------------------------------------- */

static void say_ready(void)
{
    if (write(STDOUT_FILENO, "r", 1) != 1)
        _exit(1);
}

static int stay(const char *phase, uint64_t done, uint64_t all, void *arg)
{
    (void)phase;
    (void)done;
    (void)all;
    (void)arg;
    say_ready();
    while (pause() != 0)
        continue;
    return 1;
}

/* Collects over and over; or stays within the first collection. */
static int be_collector(const char *url, bool stays)
{
    struct collect_options options = {.progress = stays ? stay : NULL};
    struct store *store;
    struct collect_totals totals;
    struct hf_error err = {0};

    if (store_open(url, 0, NULL, NULL, &store, &err) != HF_OK)
        return 1;
    if (!stays)
        say_ready();
    while (store_collect(store, &options, &totals, &err) == HF_OK)
        continue;
    fprintf(stderr, "collector: %s\n", err.message);
    return 1;
}

static pid_t start_collector(struct fixture *fixture, const char *role)
{
    char exe[] = "/proc/self/exe";
    char *args[] = {exe, (char *)role, fixture->url, NULL};
    posix_spawn_file_actions_t actions;
    int out[2];
    pid_t pid;
    char ready;

    assert_int_equal(pipe(out), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, out[0]);
    assert_int_equal(posix_spawn(&pid, exe, &actions, NULL, args, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    assert_int_equal(read(out[0], &ready, 1), 1);
    close(out[0]);
    return pid;
}

static void a_collector_that_is_killed_harms_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct model model = {.fixture = fixture, .user = &fixture->b, .random = 815};

    for (unsigned long long i = 0; i < rounds(KILLS); i++) {
        pid_t pid = start_collector(fixture, "--collect");
        int status;

        for (uint64_t k = 5 + roll(&model, 120); k > 0; k--)
            step(&model);
        assert_int_equal(kill(pid, SIGKILL), 0);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (!WIFSIGNALED(status))
            fail_msg("round %llu: the collector ended by itself", i);
        for (uint64_t k = roll(&model, 20); k > 0; k--)
            step(&model);
        assert_sound(fixture);
        if (i % 3 == 2)
            assert_model(&model);
    }
    assert_model(&model);
}

static void another_process_cannot_collect_meanwhile(void **state)
{
    struct fixture *fixture = *state;
    pid_t pid = start_collector(fixture, "--stay");
    struct collect_totals totals;

    assert_int_equal(store_collect(fixture->a.store, NULL, &totals, &fixture->err), HF_BUSY);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    collect(fixture); /* its lock ended with it */
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(garbage_that_is_committed_meanwhile_stays),
        TEST(garbage_that_is_put_or_found_meanwhile_stays),
        TEST(garbage_that_is_mended_meanwhile_stays),
        TEST(a_base_stays_as_long_as_something_leans_on_it),
        TEST(an_old_root_that_is_committed_again_stays),
        TEST(damage_removes_nothing),
        TEST(what_is_free_goes_back_to_the_file_system),
        TEST(random_changes_within_collections_leave_what_the_model_says),
        TEST(a_writer_at_full_speed_beside_collections_misses_nothing),
        TEST(who_asks_all_the_time_does_not_put_off_a_collection),
        TEST(a_collector_that_is_killed_harms_nothing),
        TEST(another_process_cannot_collect_meanwhile),
    };

    if (argc == 3 && strcmp(argv[1], "--collect") == 0)
        return be_collector(argv[2], false);
    if (argc == 3 && strcmp(argv[1], "--stay") == 0)
        return be_collector(argv[2], true);
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
