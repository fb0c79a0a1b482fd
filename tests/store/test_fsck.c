/* SPDX-License-Identifier: Apache-2.0 */
/* What fsck finds in stores that were damaged on purpose, and that it finds nothing in sound ones. */
#include "store/fsck.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/memory/memory.h"
#include "engine/open.h"
#include "scene.h"

#define BIG (24 * 16384 + 100) /* more chunks than an inode record holds */

struct fixture {
    struct store *store;
    uint64_t host;
    struct scene scene;
    struct lease alpha;       /* three versions; "dir/big" is in all */
    struct object_id root[5]; /* of the versions of alpha */
    struct object_id chunk;   /* the first of "dir/big" */
    struct object_id node;    /* a FILE node */
    struct object_id only;    /* a chunk of version 2 alone */
    uint8_t *big;
};

/* Findings as text: one line for each. */
struct findings {
    char text[20000];
    unsigned n;
    int stop_after;
};

static int add_finding(const struct check_finding *finding, void *arg)
{
    struct findings *findings = arg;
    size_t len = strlen(findings->text);

    snprintf(findings->text + len, sizeof findings->text - len, "%s: %s\n", finding->what,
             finding->message);
    findings->n++;
    return findings->stop_after && (int)findings->n == findings->stop_after ? 99 : 0;
}

static struct fsck_totals run_fsck(struct store *store, struct findings *findings)
{
    struct fsck_options options = {.report = add_finding, .report_arg = findings};
    struct fsck_totals totals = {0};
    struct hf_error err = {0};

    memset(findings, 0, sizeof *findings);
    if (fsck_run(store, &options, &totals, &err) != HF_OK)
        fail_msg("the check did not run to its end: %s", err.message);
    assert_int_equal(totals.findings, findings->n);
    return totals;
}

static void assert_found(const struct findings *findings, const char *text)
{
    if (!strstr(findings->text, text))
        fail_msg("no finding says \"%s\":\n%s", text, findings->text);
}

/* --- a populated store --------------------------------------------------------------------------------------- */

static void commit_version(struct fixture *fixture, struct object_id root)
{
    struct commit commit = scene_commit(&fixture->scene, fixture->alpha.sid, fixture->alpha.token,
                                        fixture->alpha.head.version, root);

    assert_int_equal(
        store_commit(fixture->store, fixture->host, &commit, &fixture->alpha.head.version, NULL),
        HF_OK);
    fixture->root[fixture->alpha.head.version] = root;
}

static struct object_id tree_of(struct fixture *fixture, const char *note, const char *data,
                                size_t len)
{
    struct scene_node files[] = {
        {.name = "big", .data = fixture->big, .len = BIG, .xattr = "an attribute"},
        {.name = "empty"},
    };
    struct scene_node top[] = {
        {.name = "dir", .children = files, .nchildren = 2, .directory = true},
        {.name = "note", .data = note, .len = strlen(note)},
        {.name = "other", .data = data, .len = len},
    };

    return scene_root(&fixture->scene, top, len > 0 ? 3 : 2);
}

static struct object_id first_of(const struct scene *scene, enum object_kind kind)
{
    for (size_t i = 0; i < scene->n; i++)
        if (scene->objects[i].kind == kind)
            return scene->objects[i].id;
    fail_msg("no object of kind %d", (int)kind);
    return (struct object_id){{0}};
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct host_identity identity = {.host_name = "host"};
    struct commit first;
    char other[3000];

    assert_non_null(fixture);
    assert_int_equal(store_open("memory:", STORE_CREATE, NULL, NULL, &fixture->store, NULL), HF_OK);
    assert_int_equal(store_host_register(fixture->store, &identity, NULL, &fixture->host, NULL),
                     HF_OK);
    scene_init(&fixture->scene, fixture->store);
    fixture->big = malloc(BIG);
    assert_non_null(fixture->big);
    scene_fill(1, fixture->big, BIG);
    fixture->root[1] = tree_of(fixture, "one", NULL, 0);
    fixture->chunk = fixture->scene.objects[0].id;
    fixture->node = first_of(&fixture->scene, OBJECT_FILE);
    first = scene_commit(&fixture->scene, 0, 0, 0, fixture->root[1]);
    assert_int_equal(
        store_session_create(fixture->store, fixture->host, "alpha", &first, &fixture->alpha, NULL),
        HF_OK);
    *state = fixture;

    scene_fill(2, other, sizeof other);
    scene_clear(&fixture->scene);
    commit_version(fixture, tree_of(fixture, "two", other, sizeof other));
    fixture->only = fixture->scene.objects[fixture->scene.n - 2].id;
    scene_clear(&fixture->scene);
    commit_version(fixture, tree_of(fixture, "three", NULL, 0));
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    store_close(fixture->store);
    scene_clear(&fixture->scene);
    free(fixture->big);
    free(fixture);
    return 0;
}

/* --- tests ---------------------------------------------------------------------------------------------------- */

static void a_sound_store_has_no_findings(void **state)
{
    struct fixture *fixture = *state;
    struct findings findings;
    struct store_stats stats;
    struct fsck_totals totals = run_fsck(fixture->store, &findings);

    assert_string_equal(findings.text, "");
    assert_int_equal(store_stats(fixture->store, &stats, NULL), HF_OK);
    assert_int_equal(totals.objects, stats.objects); /* each once, and all of them */
    assert_int_equal(totals.roots, 4);               /* the head and three versions */
}

static void an_empty_store_is_sound(void **state)
{
    struct findings findings;
    struct store *store;

    (void)state;
    assert_int_equal(store_open("memory:", STORE_CREATE, NULL, NULL, &store, NULL), HF_OK);
    run_fsck(store, &findings);
    assert_string_equal(findings.text, "");
    store_close(store);
}

static void a_lost_chunk_names_every_version_that_needs_it(void **state)
{
    struct fixture *fixture = *state;
    char hex[OBJECT_ID_HEX_SIZE], line[200];
    struct findings findings;

    assert_int_equal(memory_store_lose_object(fixture->store, &fixture->chunk), HF_OK);
    run_fsck(fixture->store, &findings);
    object_id_hex(&fixture->chunk, hex);
    snprintf(line, sizeof line, "object: chunk %s", hex);
    assert_found(&findings, line);
    for (int version = 1; version <= 2; version++) {
        snprintf(line, sizeof line,
                 "history: version %d of session alpha is damaged: it needs object %s", version,
                 hex);
        assert_found(&findings, line);
    }
    assert_found(&findings, "head: the head, version 3 of session alpha is damaged");
    assert_int_equal(findings.n, 4);
}

static void damage_to_one_version_is_told_of_that_one_alone(void **state)
{
    struct fixture *fixture = *state;
    struct findings findings;

    assert_int_equal(memory_store_lose_object(fixture->store, &fixture->only), HF_OK);
    run_fsck(fixture->store, &findings);
    assert_found(&findings, "version 2 of session alpha is damaged");
    assert_int_equal(findings.n, 2);
}

static void a_damaged_object_is_told_once(void **state)
{
    struct fixture *fixture = *state;
    struct findings findings;

    assert_int_equal(memory_store_damage_object(fixture->store, &fixture->node), HF_OK);
    run_fsck(fixture->store, &findings);
    assert_int_equal(findings.n, 4); /* the object, the head and two older versions */
    assert_int_equal(memory_store_damage_object(fixture->store, &fixture->node), HF_OK);
    run_fsck(fixture->store, &findings); /* the bit is as it was */
    assert_int_equal(findings.n, 0);
}

static void a_lost_root_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct findings findings;

    assert_int_equal(memory_store_lose_object(fixture->store, &fixture->root[1]), HF_OK);
    run_fsck(fixture->store, &findings);
    assert_found(&findings, "version 1 of session alpha is damaged");
    assert_int_equal(findings.n, 2);
}

static void every_object_that_is_lost_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene; /* everything that version 3 needs */

    for (size_t i = 0; i < scene->n; i++) {
        struct findings findings;
        struct hf_error err;

        assert_int_equal(memory_store_lose_object(fixture->store, &scene->objects[i].id), HF_OK);
        run_fsck(fixture->store, &findings);
        assert_found(&findings, "the head, version 3 of session alpha is damaged");
        /* Put back, with all that hangs from it. */
        assert_int_equal(store_put(fixture->store, 0, &scene->objects[i], 1, &err), HF_OK);
    }
}

static void every_object_that_is_damaged_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;

    for (size_t i = 0; i < scene->n; i++) {
        struct findings findings;

        assert_int_equal(memory_store_damage_object(fixture->store, &scene->objects[i].id), HF_OK);
        run_fsck(fixture->store, &findings);
        assert_found(&findings, "the head, version 3 of session alpha is damaged");
        assert_int_equal(memory_store_damage_object(fixture->store, &scene->objects[i].id), HF_OK);
    }
}

static void snapshots_rescues_and_the_trash_are_walked(void **state)
{
    struct fixture *fixture = *state;
    struct commit rescue = {.sid = fixture->alpha.sid, .base_version = 1, .root = fixture->root[2]};
    struct findings findings;
    uint64_t id;

    rescue.meta.bytes = BIG + 3 + 3000;
    rescue.meta.files = 4;
    assert_int_equal(store_snapshot_create(fixture->store, "monday", NULL, 0, NULL), HF_OK);
    assert_int_equal(store_rescue(fixture->store, 0, &rescue, "lost lease", &id, NULL), HF_OK);
    assert_int_equal(store_session_delete(fixture->store, fixture->host, fixture->alpha.sid,
                                          fixture->alpha.token, NULL),
                     HF_OK);
    run_fsck(fixture->store, &findings);
    assert_string_equal(findings.text, "");
    assert_int_equal(memory_store_lose_object(fixture->store, &fixture->chunk), HF_OK);
    run_fsck(fixture->store, &findings);
    assert_found(&findings, "snapshot monday of version 3 of session alpha, in the trash,");
    assert_found(&findings, "rescue lost lease of version 1 of session alpha, in the trash,");
    assert_found(&findings, "the head, version 3 of session alpha, in the trash,");
}

static void wrong_totals_are_found(void **state)
{
    struct fixture *fixture = *state;
    struct commit commit = scene_commit(&fixture->scene, fixture->alpha.sid, fixture->alpha.token,
                                        3, fixture->root[3]);
    struct findings findings;
    uint64_t version;

    commit.meta.bytes++;
    assert_int_equal(store_commit(fixture->store, fixture->host, &commit, &version, NULL), HF_OK);
    run_fsck(fixture->store, &findings);
    assert_found(&findings, "version 4 of session alpha is recorded with");
    assert_int_equal(findings.n, 1);
}

/* --- nodes that are canonical each, and belie each other ------------------------------------------------------- */

static struct object_id root_over(struct scene *scene, const struct inode_record *file)
{
    struct node_writer writer = {0};
    BUF_AUTO record = {0};
    BUF_AUTO bytes = {0};
    struct dir_entry entry = {.name = slice_of("f", 1)};
    struct root_node root = {.next_ino = 9, .dir = {.ino = 1, .mode = 040755, .nlink = 2}};
    struct object_id id;

    assert_int_equal(inode_record_encode(file, &record), HF_OK);
    entry.record = buf_slice(&record);
    assert_int_equal(node_writer_start(&writer, OBJECT_DIR, 0), HF_OK);
    assert_int_equal(node_writer_dir_entry(&writer, &entry), HF_OK);
    root.dir.content =
        (struct content){.kind = CONTENT_LEAF, .bytes = buf_slice(&writer.bytes), .count = 1};
    assert_int_equal(root_node_encode(&root, &bytes), HF_OK);
    id = scene_add(scene, OBJECT_ROOT, bytes.data, bytes.len);
    buf_free(&writer.bytes);
    return id;
}

static void commit_lie(struct fixture *fixture, struct object_id root, uint64_t bytes)
{
    struct commit commit =
        scene_commit(&fixture->scene, fixture->alpha.sid, fixture->alpha.token, 3, root);
    uint64_t version;

    commit.meta.bytes = bytes;
    commit.meta.files = 1;
    assert_int_equal(store_commit(fixture->store, fixture->host, &commit, &version, NULL), HF_OK);
}

static void an_extent_longer_than_its_chunk_is_found(void **state)
{
    struct fixture *fixture = *state;
    BUF_AUTO extents = {0};
    struct extent extent = {.len = 5000};
    struct inode_record file = {
        .ino = 5, .mode = 0100644, .nlink = 1, .size = 5000, .allocated = 5000};
    struct findings findings;

    scene_clear(&fixture->scene);
    extent.id = scene_add(&fixture->scene, OBJECT_CHUNK, fixture->big, 4999);
    assert_int_equal(content_extents_append(&extents, &extent), HF_OK);
    file.content = (struct content){.kind = CONTENT_EXTENTS, .bytes = buf_slice(&extents)};
    commit_lie(fixture, root_over(&fixture->scene, &file), 5000);
    run_fsck(fixture->store, &findings);
    assert_found(&findings, "is of another length than its reference says");
    assert_found(&findings, "version 4 of session alpha is damaged");
    assert_int_equal(findings.n, 2);
}

static void a_file_node_of_another_length_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct inode_record file = {
        .ino = 5, .mode = 0100644, .nlink = 1, .size = BIG + 1, .allocated = BIG + 1};
    struct findings findings;

    scene_clear(&fixture->scene);
    file.content = (struct content){.kind = CONTENT_FILE, .ref = {0, fixture->node}};
    commit_lie(fixture, root_over(&fixture->scene, &file), BIG + 1);
    run_fsck(fixture->store, &findings);
    assert_found(&findings, "stands for another length than its reference says");
    assert_int_equal(findings.n, 2);
}

static void a_file_node_of_another_height_is_found(void **state)
{
    struct fixture *fixture = *state;
    struct inode_record file = {
        .ino = 5, .mode = 0100644, .nlink = 1, .size = BIG, .allocated = BIG};
    struct findings findings;

    scene_clear(&fixture->scene);
    file.content = (struct content){.kind = CONTENT_FILE, .ref = {1, fixture->node}};
    commit_lie(fixture, root_over(&fixture->scene, &file), BIG);
    run_fsck(fixture->store, &findings);
    assert_found(&findings, "is of another height than its reference says");
}

/* --- the rest ------------------------------------------------------------------------------------------------------ */

static void a_reporter_can_stop_the_check(void **state)
{
    struct fixture *fixture = *state;
    struct findings findings = {.stop_after = 2};
    struct fsck_options options = {.report = add_finding, .report_arg = &findings};
    struct fsck_totals totals;

    assert_int_equal(memory_store_lose_object(fixture->store, &fixture->chunk), HF_OK);
    assert_int_equal(fsck_run(fixture->store, &options, &totals, NULL), 99);
    assert_int_equal(findings.n, 2);
}

struct progress {
    uint64_t last, calls;
};

static void note_progress(uint64_t done, uint64_t all, void *arg)
{
    struct progress *progress = arg;

    assert_true(done >= progress->last && done <= all);
    progress->last = done;
    progress->calls++;
}

static void progress_ends_at_all_objects(void **state)
{
    struct fixture *fixture = *state;
    struct findings findings = {.n = 0};
    struct progress progress = {0, 0};
    struct fsck_options options = {add_finding, &findings, note_progress, &progress};
    struct fsck_totals totals;

    assert_int_equal(fsck_run(fixture->store, &options, &totals, NULL), HF_OK);
    assert_true(progress.calls > 0);
    assert_int_equal(progress.last, totals.objects);
}

/* Forgets versions 2 and 3 and the snapshot of 3 when version 1 has been walked, and collects what they alone had. */
static void forget_and_collect(uint64_t done, uint64_t all, void *arg)
{
    struct fixture *fixture = arg;
    const uint64_t versions[] = {2, 3};
    struct collect_totals totals = {0};
    uint64_t dropped;

    (void)done;
    (void)all;
    assert_int_equal(
        store_history_drop(fixture->store, fixture->alpha.sid, versions, 2, &dropped, NULL), HF_OK);
    if (dropped == 0)
        return; /* not the first call */
    assert_int_equal(store_snapshot_delete(fixture->store, "three", NULL), HF_OK);
    assert_int_equal(store_collect(fixture->store, NULL, &totals, NULL), HF_OK);
    assert_true(totals.removed > 0);
}

static void what_is_forgotten_and_collected_meanwhile_is_no_finding(void **state)
{
    struct fixture *fixture = *state;
    const char *const alpha = "alpha";
    struct findings findings = {.n = 0};
    struct fsck_options options = {add_finding, &findings, forget_and_collect, fixture};
    struct fsck_totals totals;

    assert_int_equal(store_snapshot_create(fixture->store, "three", &alpha, 1, NULL), HF_OK);
    scene_clear(&fixture->scene);
    commit_version(fixture, tree_of(fixture, "four", NULL, 0));
    assert_int_equal(fsck_run(fixture->store, &options, &totals, NULL), HF_OK);
    assert_string_equal(findings.text, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_sound_store_has_no_findings),
        TEST(an_empty_store_is_sound),
        TEST(a_lost_chunk_names_every_version_that_needs_it),
        TEST(damage_to_one_version_is_told_of_that_one_alone),
        TEST(a_damaged_object_is_told_once),
        TEST(a_lost_root_is_found),
        TEST(every_object_that_is_lost_is_found),
        TEST(every_object_that_is_damaged_is_found),
        TEST(snapshots_rescues_and_the_trash_are_walked),
        TEST(wrong_totals_are_found),
        TEST(an_extent_longer_than_its_chunk_is_found),
        TEST(a_file_node_of_another_length_is_found),
        TEST(a_file_node_of_another_height_is_found),
        TEST(a_reporter_can_stop_the_check),
        TEST(progress_ends_at_all_objects),
        TEST(what_is_forgotten_and_collected_meanwhile_is_no_finding),
    };

    return cmocka_run_group_tests_name("fsck", tests, NULL, NULL);
}
