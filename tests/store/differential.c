/* SPDX-License-Identifier: Apache-2.0 */
#include "differential.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/htable.h"
#include "contract.h"
#include "dump.h"
#include "engine/open.h"

#define NAMES 8
#define SESSIONS_MAX 60
#define COMPARE_EVERY 100

/* Times are told apart by nothing; only waiting needs a clock that goes. */
static int64_t one_moment(const struct clock *clock)
{
    (void)clock;
    return 1767225600000000000;
}

static int64_t real_boottime(const struct clock *clock)
{
    (void)clock;
    return clock_boottime(&clock_system);
}

static const struct clock still = {one_moment, real_boottime};

static int open_still(const char *url, unsigned flags, struct store **ret_store,
                      struct hf_error *err)
{
    return store_open(url, flags, NULL, &still, ret_store, err);
}

/* One engine with two mounts. */
struct side {
    struct fixture fixture;
    struct contract_engine engine;
    struct lease leases[2][SESSIONS_MAX]; /* what each mount thinks it has */
};

struct world {
    struct side sides[2];
    uint64_t seed;
    struct object_id ids[4000];
    size_t nids;
    unsigned statuses[2]; /* answers that were a success, and that were not */
};

static const struct differential *second;

static uint64_t draw(struct world *world, uint64_t below)
{
    world->seed += 0x9e3779b97f4a7c15ULL;
    return htable_hash_u64(world->seed) % below;
}

static struct mount *mount_of(struct side *side, unsigned which)
{
    return which ? &side->fixture.b : &side->fixture.a;
}

/* --- requests ------------------------------------------------------------------------------------------------------ */

enum verb {
    DO_CREATE,
    DO_COMMIT,
    DO_COMMIT_AGAIN, /* commits are what happens most */
    DO_COMMIT_STALE,
    DO_ACQUIRE,
    DO_ACQUIRE_AGAIN,
    DO_RELEASE,
    DO_BREAK,
    DO_RENAME,
    DO_DELETE,
    DO_UNDELETE,
    DO_SNAPSHOT,
    DO_DROP_SNAPSHOT,
    DO_RESCUE,
    DO_LOCK,
    DO_SHARED,
    DO_PURGE,
    DO_DROP_VERSIONS,
    DO_DROP_RESCUE,
    DO_SETTING,
    DO_VERBS
};

/* One request, the same for both sides. */
struct request {
    enum verb verb;
    unsigned who, mode;
    uint64_t sid, text;
    char name[16];
    bool refuse;
    struct store_lock lock;
};

static struct request draw_request(struct world *world)
{
    struct request request = {
        .verb = (enum verb)draw(world, DO_VERBS),
        .who = (unsigned)draw(world, 2),
        .mode = (unsigned)draw(world, 3),
        .sid = 1 + draw(world, 12),
        .text = draw(world, 1000),
        .refuse = draw(world, 4) == 0,
    };
    uint64_t a = draw(world, 20), b = draw(world, 20);

    snprintf(request.name, sizeof request.name, "name-%u", (unsigned)draw(world, NAMES));
    request.lock = (struct store_lock){
        .ino = 1 + draw(world, 3),
        .kind = LOCK_POSIX,
        .type = (enum lock_type)draw(world, 3),
        .start = a < b ? a : b,
        .end = a < b ? b : a,
        .owner = draw(world, 2),
        .pid = 7,
    };
    return request;
}

static struct commit commit_of(struct side *side, const struct request *request,
                               const struct lease *lease)
{
    struct scene *scene = &side->fixture.scene;
    struct object_id root;
    struct commit commit;
    char text[1500];

    scene_clear(scene);
    scene_fill(request->text, text, sizeof text);
    text[10 + request->text] = '\0'; /* some inline, some in a chunk */
    root = scene_note(scene, text);
    commit = scene_commit(scene, lease->sid, lease->token, lease->head.version, root);
    commit.meta.repository = request->mode ? "org/project" : NULL;
    commit.meta.branch = request->name;
    commit.meta_strings_valid = request->mode != 2;
    return commit;
}

static int do_create(struct side *side, const struct request *request)
{
    struct mount *mount = mount_of(side, request->who);
    struct lease none = {0}, lease;
    struct commit commit = commit_of(side, request, &none);
    int rc = store_session_create(mount->store, mount->host, request->name, &commit, &lease, NULL);

    if (rc == HF_OK && lease.sid < SESSIONS_MAX)
        side->leases[request->who][lease.sid] = lease;
    return rc;
}

static int do_commit(struct side *side, const struct request *request)
{
    struct mount *mount = mount_of(side, request->who);
    struct lease *lease = &side->leases[request->who][request->sid];
    struct lease used = *lease;
    struct commit commit;
    uint64_t version;
    int rc;

    if (request->verb == DO_COMMIT_STALE)
        *(request->mode ? &used.token : &used.head.version) += request->mode;
    used.sid = request->sid;
    commit = commit_of(side, request, &used);
    commit.durability = request->mode == 1 ? DURABILITY_SYNC : DURABILITY_RELAXED;
    rc = store_commit(mount->store, mount->host, &commit, &version, NULL);
    if (rc == HF_OK)
        lease->head.version = version;
    return rc;
}

static int do_acquire(struct side *side, const struct request *request)
{
    struct mount *mount = mount_of(side, request->who), *other = mount_of(side, !request->who);
    struct lease lease;
    int rc;

    pthread_mutex_lock(&other->recorder.mutex);
    other->recorder.n = 0;
    if (request->refuse)
        other->recorder.answer = RECALL_REFUSE;
    else
        other->recorder.answer = RECALL_RELEASE;
    pthread_mutex_unlock(&other->recorder.mutex);
    rc = store_lease_acquire(mount->store, mount->host, request->sid, 0, &lease, NULL);
    if (rc == HF_OK)
        side->leases[request->who][request->sid] = lease;
    return rc;
}

static int do_rename(struct side *side, const struct request *request)
{
    struct mount *mount = mount_of(side, request->who);
    uint64_t other = 1 + request->text % 12;

    return store_session_rename(mount->store, mount->host, request->sid,
                                side->leases[request->who][request->sid].token, request->name,
                                (enum session_rename_mode)request->mode,
                                side->leases[request->who][other].token, NULL);
}

static int do_rescue(struct side *side, const struct request *request)
{
    struct mount *mount = mount_of(side, request->who);
    struct lease lease = {.sid = request->sid, .token = 3, .head.version = 1};
    struct commit commit = commit_of(side, request, &lease);
    uint64_t id;

    return store_rescue(mount->store, mount->host, &commit, "a reason", &id, NULL);
}

static int do_shared(struct side *side, const struct request *request)
{
    struct mount *mount = mount_of(side, request->who);
    struct lease lease = {.sid = SHARED_SID};
    struct commit commit;
    uint64_t version;
    int rc = store_session_head(mount->store, SHARED_SID, &lease.head, NULL);

    lease.head.version += request->mode == 2;
    commit = commit_of(side, request, &lease);
    commit.meta_strings_valid = false;
    return rc != HF_OK ? rc : store_commit(mount->store, mount->host, &commit, &version, NULL);
}

static int do_drop_versions(struct side *side, const struct request *request)
{
    const uint64_t versions[] = {request->text % 5, 2 + request->text % 3, request->text % 11};
    uint64_t sid = request->refuse ? SHARED_SID : request->sid, dropped;

    return store_history_drop(mount_of(side, request->who)->store, sid, versions, 3, &dropped,
                              NULL);
}

static int do_setting(struct side *side, const struct request *request)
{
    struct slice text = slice_of(request->mode ? request->name : NULL,
                                 request->mode ? request->text % sizeof request->name : 0);

    return store_setting_set(mount_of(side, request->who)->store,
                             request->mode == 2 ? "one" : "two", text, NULL);
}

static int perform(struct side *side, const struct request *request)
{
    struct mount *mount = mount_of(side, request->who);
    const struct lease *lease = &side->leases[request->who][request->sid];
    const char *glob = request->name;

    switch (request->verb) {
    case DO_CREATE:
        return do_create(side, request);
    case DO_COMMIT:
    case DO_COMMIT_AGAIN:
    case DO_COMMIT_STALE:
        return do_commit(side, request);
    case DO_ACQUIRE:
    case DO_ACQUIRE_AGAIN:
        return do_acquire(side, request);
    case DO_RELEASE:
        return store_lease_release(mount->store, mount->host, request->sid, lease->token, NULL);
    case DO_BREAK:
        return store_lease_break(mount->store, request->sid, lease->token, "a reason", NULL);
    case DO_RENAME:
        return do_rename(side, request);
    case DO_DELETE:
        return store_session_delete(mount->store, mount->host, request->sid, lease->token, NULL);
    case DO_UNDELETE:
        return store_session_undelete(mount->store, request->sid,
                                      request->mode ? request->name : NULL, NULL);
    case DO_SNAPSHOT:
        return store_snapshot_create(mount->store, request->name, &glob, request->mode % 2, NULL);
    case DO_DROP_SNAPSHOT:
        return store_snapshot_delete(mount->store, request->name, NULL);
    case DO_RESCUE:
        return do_rescue(side, request);
    case DO_LOCK:
        return store_lock_set(mount->store, mount->host, &request->lock, NULL, NULL);
    case DO_SHARED:
        return do_shared(side, request);
    case DO_PURGE:
        return store_session_purge(mount->store, request->sid, NULL);
    case DO_DROP_VERSIONS:
        return do_drop_versions(side, request);
    case DO_DROP_RESCUE:
        return store_rescue_drop(mount->store, request->sid, request->text % 40, NULL);
    case DO_SETTING:
        return do_setting(side, request);
    case DO_VERBS:
        break;
    }
    return HF_INVAL;
}

/* --- comparing ------------------------------------------------------------------------------------------------------- */

static void dump_side(struct world *world, struct side *side, struct buf *ret_text)
{
    struct hf_error err = {0};

    /* The second mount: it did not do most of what it reads. */
    if (store_dump(side->fixture.b.store, world->ids, world->nids, ret_text, &err) != HF_OK)
        fail_msg("%s cannot be read: %s", side->engine.name, err.message);
}

/* The UUID and the key differ: the dump begins with them, after its first line. */
static size_t common_start(const struct buf *text)
{
    const uint8_t *end = memchr(text->data, '\n', text->len);

    return (size_t)(end + 1 - text->data) + UUID_SIZE + sizeof((struct object_hasher){0}.key);
}

/* Takes the digits of a time away after `mark`. */
static void mask_times(struct buf *text, const char *mark)
{
    size_t len = strlen(mark), to = common_start(text);

    for (size_t from = to; from < text->len;) {
        bool marked = to >= len && memcmp(text->data + to - len, mark, len) == 0;

        if (marked &&
            (text->data[from] == '-' || (text->data[from] >= '0' && text->data[from] <= '9'))) {
            while (from < text->len && (text->data[from] == '-' ||
                                        (text->data[from] >= '0' && text->data[from] <= '9')))
                from++;
            continue;
        }
        text->data[to++] = text->data[from++];
    }
    text->len = to;
}

static int compare_lines(const void *a, const void *b)
{
    return slice_compare(*(const struct slice *)a, *(const struct slice *)b);
}

/* Rows without an order of their own were sorted with their times. */
static void sort_lines(struct buf *text)
{
    size_t start = common_start(text), n = 0, nlines = 1;
    struct slice *lines;
    BUF_AUTO sorted = {0};

    for (size_t i = start; i < text->len; i++)
        nlines += text->data[i] == '\n';
    lines = reallocarray(NULL, nlines, sizeof *lines);
    assert_non_null(lines);
    for (size_t i = start, from = start; i <= text->len; i++) {
        if (i < text->len && text->data[i] != '\n')
            continue;
        lines[n++] = slice_of(text->data + from, i - from);
        from = i + 1;
    }
    qsort(lines, n, sizeof *lines, compare_lines);
    assert_int_equal(buf_append(&sorted, text->data, start), 0);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(buf_append(&sorted, lines[i].data, lines[i].len), 0);
        assert_int_equal(buf_append(&sorted, "\n", 1), 0);
    }
    free(lines);
    buf_free(text);
    text->len = sorted.len;
    text->cap = sorted.cap;
    text->data = buf_detach(&sorted);
}

static void mask(struct buf *text)
{
    static const char *const marks[] = {" t", " created ", " trashed ", " since "};

    if (!second->own_clock)
        return;
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        mask_times(text, marks[i]);
    sort_lines(text);
}

static void compare_sides(struct world *world, unsigned step)
{
    BUF_AUTO left = {0};
    BUF_AUTO right = {0};
    size_t i, from;

    dump_side(world, &world->sides[0], &left);
    dump_side(world, &world->sides[1], &right);
    mask(&left);
    mask(&right);
    i = common_start(&left);
    while (i < left.len && i < right.len && left.data[i] == right.data[i])
        i++;
    if (i == left.len && i == right.len)
        return;
    from = i > 200 ? i - 200 : 0;
    fail_msg("after step %u, memory and %s differ:\n%.*s\n---\n%.*s", step, second->name, 400,
             (const char *)left.data + from, 400, (const char *)right.data + from);
}

static void remember_objects(struct world *world)
{
    const struct scene *scene = &world->sides[0].fixture.scene;
    bool missing = true;

    for (size_t i = 0; i < scene->n && world->nids < 4000; i++) {
        struct object_id id = scene->objects[i].id;

        if (store_missing(world->sides[0].fixture.a.store, 0, &id, 1, &missing, NULL) == HF_OK &&
            !missing)
            world->ids[world->nids++] = id;
    }
}

static void both_engines_answer_alike(void **state)
{
    struct world *world = *state;
    const char *steps_text = getenv("HOLDFAST_STEPS"), *seed_text = getenv("HOLDFAST_SEED");
    unsigned steps = steps_text ? (unsigned)strtoul(steps_text, NULL, 10) : second->steps;

    if (seed_text)
        world->seed = strtoull(seed_text, NULL, 10);
    else
        assert_int_equal(getrandom(&world->seed, 4, 0), 4);
    print_message("seed %llu\n", (unsigned long long)world->seed);
    for (unsigned step = 1; step <= steps; step++) {
        struct request request = draw_request(world);
        int left = perform(&world->sides[0], &request);
        int right = perform(&world->sides[1], &request);

        if (left != right)
            fail_msg("step %u, verb %d: memory says \"%s\", %s \"%s\"", step, (int)request.verb,
                     hf_status_text(left), second->name, hf_status_text(right));
        world->statuses[left != HF_OK]++;
        if (left == HF_OK)
            remember_objects(world);
        if (step % COMPARE_EVERY == 0 || step == steps)
            compare_sides(world, step);
    }
    print_message("%u requests done, %u refused\n", world->statuses[0], world->statuses[1]);
    assert_true(world->statuses[0] > steps / 8 && world->statuses[1] > steps / 8);
    contract_assert_sound(world->sides[0].fixture.a.store);
    contract_assert_sound(world->sides[1].fixture.a.store);
}

static void open_side(struct side *side, const char *name, const char *url)
{
    side->engine = (struct contract_engine){.name = name, .open = open_still};
    side->fixture.engine = &side->engine;
    snprintf(side->fixture.url, sizeof side->fixture.url, "%s", url);
    contract_mount(&side->fixture, &side->fixture.a, "host-a");
    contract_mount(&side->fixture, &side->fixture.b, "host-b");
    scene_init(&side->fixture.scene, side->fixture.a.store);
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);
    char url[300];

    assert_non_null(world);
    second->make(url, sizeof url);
    open_side(&world->sides[0], "memory", "memory:differential");
    open_side(&world->sides[1], second->name, url);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;

    for (int i = 0; i < 2; i++) {
        contract_unmount(&world->sides[i].fixture.b);
        contract_unmount(&world->sides[i].fixture.a);
        scene_clear(&world->sides[i].fixture.scene);
    }
    second->remove();
    free(world);
    return 0;
}

int differential_main(const struct differential *chosen)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_engines_answer_alike, setup, teardown),
    };

    second = chosen;
    return cmocka_run_group_tests_name(chosen->name, tests, NULL, NULL);
}
