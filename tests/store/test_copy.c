/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between stores: what a source of any past leaves in its copy, and what an interrupted copy does. */
#include "store/copy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/htable.h"
#include "contract.h"
#include "engine/decorator/faulty.h"
#include "engine/memory/memory.h"
#include "engine/open.h"
#include "store/catalog.h"

#define NAMES 6
#define BIG 40000
#define RUN_TIME 1767225600000000000

/* A source under change, a target, and what reads the source. */
struct world {
    const char *kind; /* of the stores: "memory" or "sqlite" */
    char folder[64];
    unsigned made;
    struct store *source, *target;
    uint64_t writer, copier; /* host sessions in the one and in the other */
    struct scene scene;
    uint64_t seed;
    unsigned changes_left; /* to be made while a copy runs */
    int64_t run;
    uint64_t damaged;
};

static const char *kind_of_stores = "memory";

static uint64_t draw(struct world *world, uint64_t below)
{
    world->seed += 0x9e3779b97f4a7c15ULL;
    return htable_hash_u64(world->seed) % below;
}

/* --- stores --------------------------------------------------------------------------------------------------- */

static void new_url(struct world *world, char *ret_url, size_t size)
{
    if (strcmp(world->kind, "memory") == 0)
        snprintf(ret_url, size, "memory:");
    else
        snprintf(ret_url, size, "sqlite:%s/%u.db", world->folder, world->made++);
}

/* A faulty store that does not fail yet. */
static struct store *new_store(struct world *world, const struct store_create_options *options)
{
    char url[200];
    struct store *below, *store;
    struct hf_error err = {0};

    new_url(world, url, sizeof url);
    if (store_open(url, STORE_CREATE, options, NULL, &below, &err) != HF_OK)
        fail_msg("%s", err.message);
    assert_int_equal(faulty_store_new(below, "", &store, NULL), HF_OK);
    return store;
}

static uint64_t register_host(struct store *store, const char *name)
{
    struct host_identity identity = contract_identity(name);
    struct hf_error err = {0};
    uint64_t host;

    if (store_host_register(store, &identity, NULL, &host, &err) != HF_OK)
        fail_msg("%s", err.message);
    return host;
}

static void new_target(struct world *world)
{
    store_close(world->target);
    world->target = new_store(world, NULL);
    world->copier = register_host(world->target, "copier");
}

static int setup(void **state)
{
    struct world *world = calloc(1, sizeof *world);

    assert_non_null(world);
    world->kind = kind_of_stores;
    world->run = RUN_TIME;
    snprintf(world->folder, sizeof world->folder, "/tmp/holdfast-copy-XXXXXX");
    assert_non_null(mkdtemp(world->folder));
    world->source = new_store(world, NULL);
    world->writer = register_host(world->source, "writer");
    scene_init(&world->scene, world->source);
    new_target(world);
    *state = world;
    return 0;
}

static int teardown(void **state)
{
    struct world *world = *state;
    char command[100];

    store_close(world->source);
    store_close(world->target);
    scene_clear(&world->scene);
    snprintf(command, sizeof command, "rm -r %s", world->folder);
    free(world);
    return system(command) == 0 ? 0 : -1;
}

/* --- the source's past ------------------------------------------------------------------------------------------ */

/* A tree of a few files; one is long, and changes at its end as a log does. */
static struct object_id make_tree(struct world *world, uint64_t text)
{
    static char log[BIG + 1000];
    char note[200];
    const struct scene_node below[] = {{.name = "deep", .data = note, .len = sizeof note}};
    const struct scene_node nodes[] = {
        {.name = "dir", .directory = true, .children = below, .nchildren = text % 2},
        {.name = "log", .data = log, .len = BIG + text % 1000},
        {.name = "note", .data = note, .len = text % 150, .xattr = text % 3 ? NULL : "a value"},
    };

    scene_clear(&world->scene);
    scene_fill(7, log, sizeof log);
    scene_fill(text, note, sizeof note);
    memcpy(log + BIG - sizeof note, note, sizeof note);
    return scene_root(&world->scene, nodes, 3);
}

static struct commit make_commit(struct world *world, const struct lease *lease)
{
    struct object_id root = make_tree(world, draw(world, 100000));
    struct commit commit =
        scene_commit(&world->scene, lease->sid, lease->token, lease->head.version, root);

    commit.meta.branch = "main";
    commit.meta_strings_valid = lease->sid != SHARED_SID;
    return commit;
}

static void add_session(struct world *world, const char *name)
{
    struct lease none = {0}, lease;
    struct commit commit = make_commit(world, &none);

    if (store_session_create(world->source, world->writer, name, &commit, &lease, NULL) == HF_OK)
        store_lease_release(world->source, world->writer, lease.sid, lease.token, NULL);
}

static void add_version(struct world *world, uint64_t sid)
{
    struct lease lease;
    struct commit commit;
    uint64_t version;

    if (store_lease_acquire(world->source, world->writer, sid, 0, &lease, NULL) != HF_OK)
        return;
    commit = make_commit(world, &lease);
    assert_int_equal(store_commit(world->source, world->writer, &commit, &version, NULL), HF_OK);
    store_lease_release(world->source, world->writer, sid, lease.token, NULL);
}

static void change_shared(struct world *world)
{
    struct lease lease = {.sid = SHARED_SID};
    struct commit commit;
    uint64_t version;

    assert_int_equal(store_session_head(world->source, SHARED_SID, &lease.head, NULL), HF_OK);
    commit = make_commit(world, &lease);
    assert_int_equal(store_commit(world->source, world->writer, &commit, &version, NULL), HF_OK);
}

static void rename_session(struct world *world, uint64_t sid, const char *name)
{
    struct lease mine, other = {0};
    struct session_head head;
    enum session_rename_mode mode = RENAME_SESSION_NEW;

    if (store_lease_acquire(world->source, world->writer, sid, 0, &mine, NULL) != HF_OK)
        return;
    if (store_session_find(world->source, name, &head, NULL) == HF_OK && head.sid != sid &&
        store_lease_acquire(world->source, world->writer, head.sid, 0, &other, NULL) == HF_OK)
        mode = draw(world, 3) ? RENAME_SESSION_EXCHANGE : RENAME_SESSION_REPLACE;
    store_session_rename(world->source, world->writer, sid, mine.token, name, mode, other.token,
                         NULL);
    store_lease_release(world->source, world->writer, sid, mine.token, NULL);
    if (other.token)
        store_lease_release(world->source, world->writer, other.sid, other.token, NULL);
}

static void delete_session(struct world *world, uint64_t sid)
{
    struct lease lease;

    if (store_lease_acquire(world->source, world->writer, sid, 0, &lease, NULL) == HF_OK)
        assert_int_equal(store_session_delete(world->source, world->writer, sid, lease.token, NULL),
                         HF_OK);
}

static void keep_rescue(struct world *world, uint64_t sid)
{
    struct lease lease = {.sid = sid, .token = 1, .head.version = 1};
    struct commit commit = make_commit(world, &lease);
    uint64_t id;

    (void)store_rescue(world->source, world->writer, &commit, "it lost its lease", &id, NULL);
}

static void forget_something(struct world *world, uint64_t sid)
{
    uint64_t versions[] = {1 + draw(world, 6), 1 + draw(world, 6)};
    struct collect_options options = {0};
    struct collect_totals totals;
    int rc;

    (void)store_history_drop(world->source, sid, versions, 2, NULL, NULL);
    rc = store_collect(world->source, &options, &totals, NULL);
    assert_true(rc == HF_OK || rc == HF_UNSUPPORTED);
    rc = store_collect(world->target, &options, &totals, NULL);
    assert_true(rc == HF_OK || rc == HF_UNSUPPORTED || rc == HF_IO);
}

static void change(struct world *world)
{
    uint64_t sid = 1 + draw(world, 10);
    char name[24];

    snprintf(name, sizeof name, "name-%u", (unsigned)draw(world, NAMES));
    switch (draw(world, 14)) {
    case 0:
    case 1:
        add_session(world, name);
        break;
    case 2:
    case 3:
        rename_session(world, sid, name);
        break;
    case 4:
        delete_session(world, sid);
        break;
    case 5:
        (void)store_session_undelete(world->source, sid, draw(world, 2) ? name : NULL, NULL);
        break;
    case 6:
        if (draw(world, 2))
            (void)store_session_purge(world->source, sid, NULL);
        break;
    case 7:
        forget_something(world, sid);
        break;
    case 8:
        keep_rescue(world, sid);
        break;
    case 9:
        if (store_snapshot_create(world->source, name, NULL, 0, NULL) == HF_EXIST)
            (void)store_snapshot_delete(world->source, name, NULL);
        break;
    case 10:
        change_shared(world);
        break;
    default:
        add_version(world, sid);
    }
}

static void make_past(struct world *world, unsigned changes)
{
    for (unsigned i = 0; i < changes; i++)
        change(world);
}

/* --- copying ------------------------------------------------------------------------------------------------------ */

static int count_damage(const struct check_finding *finding, void *arg)
{
    struct world *world = arg;

    assert_non_null(finding->message);
    world->damaged++;
    return HF_OK;
}

/* The source changes under the copy. */
static int meddle(uint64_t objects, uint64_t bytes, uint64_t sessions, uint64_t all, void *arg)
{
    struct world *world = arg;

    (void)objects;
    (void)bytes;
    assert_true(sessions <= all + 1);
    if (world->changes_left > 0) {
        world->changes_left--;
        change(world);
    }
    return 0;
}

static int copy(struct world *world, struct hf_error *err)
{
    struct copy_options options = {.target_host = world->copier,
                                   .run = world->run += 1000000000,
                                   .report = count_damage,
                                   .report_arg = world,
                                   .progress = meddle,
                                   .arg = world};
    struct copy_totals totals = {0};
    int rc = copy_run(world->source, world->target, &options, &totals, err);

    if (rc == HF_OK) {
        assert_true(copy_is_run(totals.run));
        assert_int_equal(totals.damaged, world->damaged);
    }
    return rc;
}

static void must_copy(struct world *world)
{
    struct hf_error err = {0};

    world->damaged = 0;
    if (copy(world, &err) != HF_OK)
        fail_msg("the copy failed: %s", err.message);
    assert_int_equal(world->damaged, 0);
}

/* --- comparing ---------------------------------------------------------------------------------------------------- */

/* What a store holds: a line for each session, version, rescue and pin. */
struct lines {
    char (*lines)[700];
    size_t n, cap;
};

struct collecting {
    struct lines *lines;
    const char *snapshot;
    int64_t time;
};

static void add_line(struct lines *lines, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_line(struct lines *lines, const char *format, ...)
{
    va_list args;

    if (lines->n == lines->cap) {
        lines->cap = lines->cap ? lines->cap * 2 : 64;
        lines->lines = reallocarray(lines->lines, lines->cap, sizeof *lines->lines);
        assert_non_null(lines->lines);
    }
    va_start(args, format);
    vsnprintf(lines->lines[lines->n++], sizeof *lines->lines, format, args);
    va_end(args);
}

static unsigned long long ull(uint64_t value)
{
    return value;
}

static int take_version(const struct history_entry *entry, void *arg)
{
    char hex[OBJECT_ID_HEX_SIZE];

    object_id_hex(&entry->root, hex);
    add_line(arg, "version %llu of %llu %s %lld %llu in %llu", ull(entry->version), ull(entry->sid),
             hex, (long long)entry->time, ull(entry->bytes), ull(entry->files));
    return HF_OK;
}

static int take_rescue(const struct rescue_info *info, void *arg)
{
    char hex[OBJECT_ID_HEX_SIZE];

    object_id_hex(&info->root, hex);
    add_line(arg, "rescue %llu of %llu at %llu %s %lld %llu in %llu %s", ull(info->id),
             ull(info->sid), ull(info->version), hex, (long long)info->time, ull(info->bytes),
             ull(info->files), info->reason);
    return HF_OK;
}

static int take_pin(const struct pin_info *pin, void *arg)
{
    struct collecting *collecting = arg;
    char hex[OBJECT_ID_HEX_SIZE];

    object_id_hex(&pin->root, hex);
    /* Not by name: one that was made anew has another in the copy. */
    add_line(collecting->lines, "pin of %lld: %llu %s at %llu %s %llu in %llu",
             (long long)collecting->time, ull(pin->sid), pin->session_name, ull(pin->version), hex,
             ull(pin->bytes), ull(pin->files));
    return HF_OK;
}

struct names {
    struct snapshot_info items[256];
    char names[256][300];
    size_t n;
};

static int take_name(const struct snapshot_info *info, void *arg)
{
    struct names *names = arg;

    assert_true(names->n < 256);
    snprintf(names->names[names->n], sizeof names->names[0], "%s", info->name);
    names->items[names->n] = *info;
    names->items[names->n].name = names->names[names->n];
    names->n++;
    return HF_OK;
}

static void list_snapshots(struct store *store, struct lines *lines)
{
    struct names *names = calloc(1, sizeof *names);

    assert_non_null(names);
    assert_int_equal(store_snapshot_list(store, take_name, names, NULL), HF_OK);
    for (size_t i = 0; i < names->n; i++) {
        struct collecting collecting = {lines, names->names[i], names->items[i].time};

        if (!copy_is_run(names->names[i]))
            assert_int_equal(
                store_snapshot_pins(store, names->names[i], take_pin, &collecting, NULL), HF_OK);
    }
    free(names);
}

static int compare_lines(const void *a, const void *b)
{
    return strcmp(a, b);
}

static struct lines list_store(struct store *store)
{
    struct lines lines = {0};
    struct catalog catalog;

    assert_int_equal(catalog_load(store, &catalog, NULL), HF_OK);
    for (size_t i = 0; i < catalog.count; i++) {
        const struct session_info *info = &catalog.entries[i].info;
        char hex[OBJECT_ID_HEX_SIZE];

        object_id_hex(&info->head.root, hex);
        add_line(&lines, "session %llu %s %d made %lld trashed %lld v%llu %s %lld %llu in %llu %s",
                 ull(info->head.sid), info->name, (int)info->state, (long long)info->created,
                 (long long)info->trashed, ull(info->head.version), hex, (long long)info->head.time,
                 ull(info->head.bytes), ull(info->head.files),
                 info->meta.branch ? info->meta.branch : "-");
        assert_int_equal(
            store_history(store, info->head.sid, UINT64_MAX, 0, take_version, &lines, NULL), HF_OK);
    }
    catalog_free(&catalog);
    assert_int_equal(store_rescue_list(store, UINT64_MAX, take_rescue, &lines, NULL), HF_OK);
    list_snapshots(store, &lines);
    if (lines.n > 0)
        qsort(lines.lines, lines.n, sizeof *lines.lines, compare_lines);
    return lines;
}

static bool is_live_session(const char *line)
{
    return strncmp(line, "session ", 8) == 0 && strstr(line, " 1 made ");
}

/* Everything that the source has is in the copy as it is; live there is what is live here. */
static void assert_has_all(struct store *source, struct store *target)
{
    struct lines there = list_store(source), here = list_store(target);
    size_t live_there = 0, live_here = 0;

    for (size_t i = 0; i < there.n; i++) {
        live_there += is_live_session(there.lines[i]);
        if (!bsearch(there.lines[i], here.lines, here.n, sizeof *here.lines, compare_lines))
            fail_msg("the copy lacks: %s", there.lines[i]);
    }
    for (size_t i = 0; i < here.n; i++)
        live_here += is_live_session(here.lines[i]);
    assert_int_equal(live_here, live_there);
    free(there.lines);
    free(here.lines);
}

/* The target holds nothing that is not whole. */
static void assert_sound(struct world *world)
{
    assert_int_equal(faulty_store_set(world->target, "", NULL), HF_OK);
    contract_assert_sound(world->target);
}

/* --- properties ----------------------------------------------------------------------------------------------------- */

static void seed_world(struct world *world)
{
    const char *seed = getenv("HOLDFAST_SEED");

    if (seed)
        world->seed = strtoull(seed, NULL, 10);
    else
        assert_int_equal(getrandom(&world->seed, 4, 0), 4);
    print_message("seed %llu\n", ull(world->seed));
}

static unsigned rounds(unsigned usual)
{
    const char *text = getenv("HOLDFAST_STEPS");

    return text ? (unsigned)strtoul(text, NULL, 10) : usual;
}

static void a_copy_has_all_that_the_source_has(void **state)
{
    struct world *world = *state;

    seed_world(world);
    for (unsigned round = 0; round < rounds(strcmp(world->kind, "memory") ? 12 : 60); round++) {
        make_past(world, (unsigned)draw(world, 30));
        must_copy(world);
        assert_has_all(world->source, world->target);
        assert_sound(world);
    }
}

static void a_copy_of_a_source_that_changes_is_sound_and_the_next_one_is_whole(void **state)
{
    struct world *world = *state;

    seed_world(world);
    for (unsigned round = 0; round < rounds(strcmp(world->kind, "memory") ? 8 : 40); round++) {
        struct hf_error err = {0};

        make_past(world, (unsigned)draw(world, 20));
        world->changes_left = (unsigned)draw(world, 40);
        world->damaged = 0;
        if (copy(world, &err) != HF_OK)
            fail_msg("the copy failed: %s", err.message);
        assert_int_equal(world->damaged, 0);
        assert_sound(world);
        world->changes_left = 0;
        must_copy(world);
        assert_has_all(world->source, world->target);
        assert_sound(world);
    }
}

/* Lets each call of one of the stores fail in turn, or lose its answer. */
static void interrupt_everywhere(struct world *world, struct store **victim, const char *mark)
{
    unsigned failures = 0;
    bool done = false;

    for (unsigned n = 1; !done; n += strcmp(world->kind, "memory") ? 3 : 1) {
        struct hf_error err = {0};
        char spec[40];
        int rc;

        new_target(world);
        snprintf(spec, sizeof spec, "any@%u:EIO%s", n, mark);
        assert_int_equal(faulty_store_set(*victim, spec, NULL), HF_OK);
        rc = copy(world, &err);
        if (faulty_store_faults(*victim) == 0)
            done = true;
        assert_true(rc == HF_OK || !done);
        failures += rc != HF_OK;
        assert_int_equal(faulty_store_set(*victim, "", NULL), HF_OK);
        assert_sound(world);
        must_copy(world);
        assert_has_all(world->source, world->target);
    }
    print_message("%u interruptions\n", failures);
    assert_true(failures > 4);
}

static void a_copy_that_was_interrupted_goes_on(void **state)
{
    struct world *world = *state;

    seed_world(world);
    add_session(world, "first");
    change_shared(world);
    keep_rescue(world, 1);
    make_past(world, 25);
    assert_int_equal(store_snapshot_create(world->source, "kept", NULL, 0, NULL), HF_OK);
    interrupt_everywhere(world, &world->source, "");
    interrupt_everywhere(world, &world->target, "");
    interrupt_everywhere(world, &world->target, "!");
}

static void the_way_back_brings_all_with_higher_tokens(void **state)
{
    struct world *world = *state;
    struct copy_options options = {.token_step = COPY_TOKEN_STEP};
    struct copy_totals totals;
    struct store *restored = new_store(world, NULL);
    struct catalog catalog;
    uint64_t host = register_host(restored, "after the disaster");

    seed_world(world);
    add_session(world, "first");
    make_past(world, 60);
    must_copy(world);
    options.target_host = host;
    assert_int_equal(copy_run(world->target, restored, &options, &totals, NULL), HF_OK);
    assert_int_equal(totals.damaged, 0);
    assert_has_all(world->source, restored);
    contract_assert_sound(restored);
    assert_int_equal(catalog_load(restored, &catalog, NULL), HF_OK);
    for (size_t i = 0; i < catalog.count; i++) {
        const struct session_info *info = &catalog.entries[i].info;
        struct lease lease;

        if (info->state != SESSION_LIVE || info->head.sid == SHARED_SID)
            continue;
        assert_int_equal(store_lease_acquire(restored, host, info->head.sid, 0, &lease, NULL),
                         HF_OK);
        assert_true(lease.token > COPY_TOKEN_STEP);
        assert_int_equal(store_lease_release(restored, host, info->head.sid, lease.token, NULL),
                         HF_OK);
    }
    catalog_free(&catalog);

    /* The restored store is backed up where the lost one was. */
    store_close(world->source);
    world->source = restored;
    world->writer = host;
    make_past(world, 30);
    must_copy(world);
    assert_has_all(world->source, world->target);
}

/* --- single cases --------------------------------------------------------------------------------------------------- */

static void what_the_target_has_does_not_travel_again(void **state)
{
    struct world *world = *state;
    struct copy_options options = {.target_host = world->copier};
    struct copy_totals totals;

    add_session(world, "one");
    add_session(world, "two");
    assert_int_equal(copy_run(world->source, world->target, &options, &totals, NULL), HF_OK);
    assert_int_equal(totals.sessions, 2);
    assert_int_equal(totals.changed, 2);
    assert_int_equal(totals.versions, 2);
    assert_true(totals.objects > 6);
    assert_string_equal(totals.run, "");
    assert_int_equal(copy_run(world->source, world->target, &options, &totals, NULL), HF_OK);
    assert_int_equal(totals.changed, 0);
    assert_int_equal(totals.objects, 0);
    add_version(world, 1);
    assert_int_equal(copy_run(world->source, world->target, &options, &totals, NULL), HF_OK);
    assert_int_equal(totals.changed, 1);
    assert_int_equal(totals.versions, 1);
    assert_in_range(totals.objects, 1, 6);
}

static void names_that_were_swapped_are_swapped_in_the_copy(void **state)
{
    struct world *world = *state;
    struct session_head head;
    struct lease one, two;

    add_session(world, "left");
    add_session(world, "right");
    must_copy(world);
    assert_int_equal(store_lease_acquire(world->source, world->writer, 1, 0, &one, NULL), HF_OK);
    assert_int_equal(store_lease_acquire(world->source, world->writer, 2, 0, &two, NULL), HF_OK);
    assert_int_equal(store_session_rename(world->source, world->writer, 1, one.token, "right",
                                          RENAME_SESSION_EXCHANGE, two.token, NULL),
                     HF_OK);
    must_copy(world);
    assert_int_equal(store_session_find(world->target, "right", &head, NULL), HF_OK);
    assert_int_equal(head.sid, 1);
    assert_int_equal(store_session_find(world->target, "left", &head, NULL), HF_OK);
    assert_int_equal(head.sid, 2);
}

static void a_session_that_was_purged_goes_to_the_trash_of_the_copy(void **state)
{
    struct world *world = *state;
    struct catalog_entry entry;

    add_session(world, "gone");
    must_copy(world);
    delete_session(world, 1);
    assert_int_equal(store_session_purge(world->source, 1, NULL), HF_OK);
    must_copy(world);
    assert_int_equal(catalog_read(world->target, 1, &entry, NULL), HF_OK);
    assert_int_equal(entry.info.state, SESSION_TRASHED);
    catalog_entry_clear(&entry);
    assert_int_equal(store_session_undelete(world->target, 1, NULL, NULL), HF_OK);
}

static void a_snapshot_that_was_made_anew_does_not_replace_the_old_one(void **state)
{
    struct world *world = *state;
    struct names *names = calloc(1, sizeof *names);

    assert_non_null(names);
    add_session(world, "one");
    assert_int_equal(store_snapshot_create(world->source, "nightly", NULL, 0, NULL), HF_OK);
    must_copy(world);
    assert_int_equal(store_snapshot_delete(world->source, "nightly", NULL), HF_OK);
    add_version(world, 1);
    assert_int_equal(store_snapshot_create(world->source, "nightly", NULL, 0, NULL), HF_OK);
    must_copy(world);
    must_copy(world);
    assert_int_equal(store_snapshot_list(world->target, take_name, names, NULL), HF_OK);
    assert_int_equal(names->n, 5); /* three of runs */
    assert_string_equal(names->names[3], "nightly");
    assert_int_equal(strncmp(names->names[4], "nightly.2", 9), 0);
    free(names);
}

static void a_damaged_version_is_told_and_all_others_are_copied(void **state)
{
    struct world *world = *state;
    struct session_head bad, good;
    struct hf_error err = {0};

    if (strcmp(world->kind, "memory") != 0)
        return;
    add_session(world, "good");
    add_session(world, "bad");
    add_version(world, 2);
    assert_int_equal(store_session_head(world->source, 2, &bad, NULL), HF_OK);
    assert_int_equal(memory_store_damage_object(faulty_store_below(world->source), &bad.root),
                     HF_OK);
    assert_int_equal(copy(world, &err), HF_OK);
    assert_int_equal(world->damaged, 1);
    assert_int_equal(store_session_find(world->target, "good", &good, NULL), HF_OK);
    assert_int_equal(store_session_find(world->target, "bad", &good, NULL), HF_OK);
    assert_int_equal(good.version, 1);
    assert_sound(world);
}

static void a_copy_takes_from_one_store_alone(void **state)
{
    struct world *world = *state;
    struct copy_options options = {.target_host = world->copier};
    struct copy_totals totals;
    struct store *other = new_store(world, NULL);
    struct hf_error err = {0};

    add_session(world, "one");
    must_copy(world);
    assert_int_equal(copy_run(other, world->target, &options, &totals, &err), HF_CONFLICT);
    assert_non_null(strstr(err.message, "another store"));
    assert_int_equal(copy_run(world->target, world->target, &options, &totals, &err), HF_INVAL);
    assert_int_equal(copy_run(world->target, world->source, &options, &totals, &err), HF_CONFLICT);
    store_close(other);
}

static void a_source_that_went_back_is_refused(void **state)
{
    struct world *world = *state;
    struct copy_options options = {.token_step = COPY_TOKEN_STEP};
    struct copy_totals totals;
    struct store *restored = new_store(world, NULL);
    struct hf_error err = {0};

    add_session(world, "one");
    must_copy(world);
    assert_int_equal(copy_run(world->target, restored, &options, &totals, NULL), HF_OK);
    add_version(world, 1);
    must_copy(world);
    options.token_step = 0;
    assert_int_equal(copy_run(restored, world->target, &options, &totals, &err), HF_CONFLICT);
    assert_non_null(strstr(err.message, "older state"));
    store_close(restored);
}

/* Makes the store that was restored the one that is changed and copied from now on. */
static void go_on_with(struct world *world, struct store *restored)
{
    store_close(world->source);
    world->source = restored;
    world->writer = register_host(restored, "writer");
}

static void a_source_that_went_back_and_on_is_refused(void **state)
{
    struct world *world = *state;
    struct copy_options options = {.token_step = COPY_TOKEN_STEP};
    struct store *restored = new_store(world, NULL);
    struct copy_totals totals;
    struct session_head head;
    struct hf_error err = {0};

    add_session(world, "one");
    must_copy(world);
    assert_int_equal(copy_run(world->target, restored, &options, &totals, NULL), HF_OK);
    add_version(world, 1);
    must_copy(world);
    go_on_with(world, restored);
    add_version(world, 1);
    add_version(world, 1);
    assert_int_equal(copy(world, &err), HF_CONFLICT);
    assert_non_null(strstr(err.message, "older state"));
    assert_int_equal(store_session_head(world->target, 1, &head, NULL), HF_OK);
    assert_int_equal(head.version, 2);
}

static void a_number_that_went_back_is_refused(void **state)
{
    struct world *world = *state;
    struct copy_options options = {.token_step = COPY_TOKEN_STEP};
    struct store *restored = new_store(world, NULL);
    struct copy_totals totals;
    struct session_head head;
    struct hf_error err = {0};

    add_session(world, "one");
    must_copy(world);
    assert_int_equal(copy_run(world->target, restored, &options, &totals, NULL), HF_OK);
    add_session(world, "two");
    must_copy(world);
    go_on_with(world, restored);
    add_session(world, "another");
    add_version(world, 2);
    assert_int_equal(copy(world, &err), HF_CONFLICT);
    assert_int_equal(store_session_find(world->target, "two", &head, NULL), HF_OK);
}

static void keys_must_agree(void **state)
{
    struct world *world = *state;
    struct store_create_options keyed = {.keyed = true};
    struct copy_options options = {0};
    struct copy_totals totals;
    struct store *one = new_store(world, &keyed), *two = new_store(world, &keyed), *same;
    struct hf_error err = {0};

    assert_int_equal(copy_run(one, world->target, &options, &totals, &err), HF_INVAL);
    assert_int_equal(copy_run(one, two, &options, &totals, &err), HF_INVAL);
    assert_non_null(strstr(err.message, "key"));
    keyed.key = store_info(one)->hasher.key;
    same = new_store(world, &keyed);
    assert_int_equal(copy_run(one, same, &options, &totals, &err), HF_OK);
    store_close(one);
    store_close(two);
    store_close(same);
}

static void globs_choose_and_a_snapshot_is_a_moment(void **state)
{
    struct world *world = *state;
    const char *globs[] = {"a*", "none"}, *none[] = {"zzz"};
    struct copy_options options = {.target_host = world->copier, .globs = globs, .nglobs = 2};
    struct copy_totals totals;
    struct session_head head;

    add_session(world, "alpha");
    add_session(world, "beta");
    assert_int_equal(copy_run(world->source, world->target, &options, &totals, NULL), HF_OK);
    assert_int_equal(totals.sessions, 1);
    assert_int_equal(store_session_find(world->target, "beta", &head, NULL), HF_NOENT);
    options.globs = none;
    options.nglobs = 1;
    assert_int_equal(copy_run(world->source, world->target, &options, &totals, NULL), HF_NOENT);

    assert_int_equal(store_snapshot_create(world->source, "then", NULL, 0, NULL), HF_OK);
    add_version(world, 1);
    rename_session(world, 2, "later");
    new_target(world);
    options = (struct copy_options){.target_host = world->copier, .snapshot = "then"};
    assert_int_equal(copy_run(world->source, world->target, &options, &totals, NULL), HF_OK);
    assert_int_equal(store_session_find(world->target, "alpha", &head, NULL), HF_OK);
    assert_int_equal(head.version, 1);
    assert_int_equal(store_session_find(world->target, "beta", &head, NULL), HF_OK);
    assert_sound(world);
    must_copy(world);
    assert_has_all(world->source, world->target);
    options.snapshot = "nothing";
    assert_int_equal(copy_run(world->source, world->target, &options, &totals, NULL), HF_NOENT);
}

static void one_root_is_copied_with_all_below_it(void **state)
{
    struct world *world = *state;
    struct copy_options options = {.target_host = world->copier};
    struct copy_totals totals = {0};
    struct session_head head;
    bool missing = true;

    add_session(world, "one");
    assert_int_equal(store_session_head(world->source, 1, &head, NULL), HF_OK);
    assert_int_equal(copy_root(world->source, world->target, &head.root, &options, &totals, NULL),
                     HF_OK);
    assert_true(totals.objects > 3);
    assert_int_equal(store_missing(world->target, 0, &head.root, 1, &missing, NULL), HF_OK);
    assert_false(missing);
}

static void names_of_runs_are_known(void **state)
{
    char name[48];

    (void)state;
    copy_run_name(RUN_TIME, name, sizeof name);
    assert_string_equal(name, "backup-20260101T000000Z");
    assert_true(copy_is_run(name));
    assert_true(copy_is_run("backup-20260101T000000Z-2"));
    assert_false(copy_is_run("backup-2026"));
    assert_false(copy_is_run("backup-20260101T000000Zx"));
    assert_false(copy_is_run("nightly"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(a_copy_has_all_that_the_source_has),
        TEST(a_copy_of_a_source_that_changes_is_sound_and_the_next_one_is_whole),
        TEST(a_copy_that_was_interrupted_goes_on),
        TEST(the_way_back_brings_all_with_higher_tokens),
        TEST(what_the_target_has_does_not_travel_again),
        TEST(names_that_were_swapped_are_swapped_in_the_copy),
        TEST(a_session_that_was_purged_goes_to_the_trash_of_the_copy),
        TEST(a_snapshot_that_was_made_anew_does_not_replace_the_old_one),
        TEST(a_damaged_version_is_told_and_all_others_are_copied),
        TEST(a_copy_takes_from_one_store_alone),
        TEST(a_source_that_went_back_is_refused),
        TEST(a_source_that_went_back_and_on_is_refused),
        TEST(a_number_that_went_back_is_refused),
        TEST(keys_must_agree),
        TEST(globs_choose_and_a_snapshot_is_a_moment),
        TEST(one_root_is_copied_with_all_below_it),
        cmocka_unit_test(names_of_runs_are_known),
    };
    int failed;

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    failed = cmocka_run_group_tests_name("copy memory", tests, NULL, NULL);
    kind_of_stores = "sqlite";
    return failed + cmocka_run_group_tests_name("copy sqlite", tests, NULL, NULL);
}
