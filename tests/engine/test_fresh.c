/* SPDX-License-Identifier: Apache-2.0 */
/* Objects are found whether the table of keys has heard of them or not, by every handle. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/open.h"
#include "engine/sqlite/incoming.h"

#define BATCH 500

struct fixture {
    char folder[64];
    char path[128];
    char url[160];
    struct store *one, *other; /* two handles of one store */
};

static struct store *open_handle(const struct fixture *fixture)
{
    struct hf_error err = {0};
    struct store *store = NULL;

    if (store_open(fixture->url, STORE_CREATE, NULL, NULL, &store, &err) != HF_OK)
        fail_msg("%s", err.message);
    return store;
}

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    snprintf(fixture->folder, sizeof fixture->folder, "/tmp/holdfast-fresh-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof fixture->path, "%s/store.db", fixture->folder);
    snprintf(fixture->url, sizeof fixture->url, "sqlite:%s", fixture->path);
    fixture->one = open_handle(fixture);
    fixture->other = open_handle(fixture);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    static const char *const ends[] = {"", "-wal", "-shm", "-bell"};
    struct fixture *fixture = *state;
    char name[160];

    store_close(fixture->one);
    store_close(fixture->other);
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        snprintf(name, sizeof name, "%s%s", fixture->path, ends[i]);
        unlink(name);
    }
    assert_int_equal(rmdir(fixture->folder), 0);
    free(fixture);
    return 0;
}

/* --- objects with a number -------------------------------------------------------------------------- */

static struct object make(struct store *store, uint64_t *content)
{
    struct object object = {.kind = OBJECT_CHUNK, .content = slice_of(content, sizeof *content)};

    assert_int_equal(object_id_compute(&store_info(store)->hasher, OBJECT_CHUNK, content,
                                       sizeof *content, &object.id),
                     HF_OK);
    return object;
}

static void put(struct store *store, uint64_t first, size_t n)
{
    static uint64_t contents[BATCH];
    static struct object objects[BATCH];

    for (size_t done = 0; done < n; done += BATCH) {
        size_t count = n - done < BATCH ? n - done : BATCH;

        for (size_t i = 0; i < count; i++) {
            contents[i] = first + done + i;
            objects[i] = make(store, &contents[i]);
        }
        assert_int_equal(store_put(store, 0, objects, count, NULL), HF_OK);
    }
}

static int get(struct store *store, uint64_t number)
{
    struct object object = make(store, &number);
    BUF_AUTO content = {0};
    int rc = store_get(store, &object.id, 1, &content, NULL);

    if (rc == HF_OK)
        assert_memory_equal(content.data, &number, sizeof number);
    return rc;
}

static bool is_missing(struct store *store, uint64_t number)
{
    struct object object = make(store, &number);
    bool missing = false;

    assert_int_equal(store_missing(store, 0, &object.id, 1, &missing, NULL), HF_OK);
    return missing;
}

static int64_t number_of(const struct fixture *fixture, const char *sql)
{
    struct db db = {0};
    int64_t number = 0;

    assert_int_equal(db_open(fixture->path, SQLITE_OPEN_READWRITE, NULL, &db, NULL), HF_OK);
    assert_int_equal(db_number(&db, sql, &number, NULL), HF_OK);
    db_close(&db);
    return number;
}

static void run_sql(const struct fixture *fixture, const char *sql)
{
    struct db db = {0};

    assert_int_equal(db_open(fixture->path, SQLITE_OPEN_READWRITE, NULL, &db, NULL), HF_OK);
    assert_int_equal(db_script(&db, sql, NULL), HF_OK);
    db_close(&db);
}

static int count_finding(const struct check_finding *finding, void *arg)
{
    (void)finding;
    ++*(int *)arg;
    return 0;
}

static int findings(struct store *store)
{
    int n = 0;

    assert_int_equal(store_check(store, count_finding, &n, NULL), HF_OK);
    return n;
}

/* --- tests ------------------------------------------------------------------------------------------ */

static void objects_are_found_before_and_after_keys_hear_of_them(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t n = 2 * FRESH_MAX + FRESH_MAX / 2;

    put(fixture->one, 0, n);
    assert_in_range(number_of(fixture, "SELECT count(*) FROM object_key"), FRESH_MAX, n - 1);
    for (uint64_t i = 0; i < n; i += 7) {
        assert_int_equal(get(fixture->one, i), HF_OK);
        assert_int_equal(get(fixture->other, i), HF_OK);
    }
    assert_true(is_missing(fixture->one, n));
    assert_true(is_missing(fixture->other, n));
    assert_false(is_missing(fixture->other, n - 1));
    assert_int_equal(get(fixture->other, n), HF_MISSING);
    put(fixture->other, 0, n); /* adds nothing */
    assert_int_equal(number_of(fixture, "SELECT count(*) FROM object"), n);
    assert_int_equal(findings(fixture->one), 0);
    store_close(fixture->one);
    fixture->one = open_handle(fixture);
    assert_int_equal(get(fixture->one, n - 1), HF_OK);
    assert_int_equal(get(fixture->one, 0), HF_OK);
}

static void what_another_handle_adds_is_found_at_once(void **state)
{
    struct fixture *fixture = *state;
    const uint64_t n = 300;

    for (uint64_t i = 0; i < n; i++) {
        put(i % 2 ? fixture->one : fixture->other, 10 * i, 10 + i % 3 * 5);
        assert_int_equal(get(i % 2 ? fixture->other : fixture->one, 10 * i + 9), HF_OK);
        assert_true(is_missing(fixture->one, 10 * i + 1000));
    }
    assert_int_equal(number_of(fixture, "SELECT count(*) FROM object"),
                     number_of(fixture, "SELECT count(DISTINCT key) FROM object"));
    assert_int_equal(findings(fixture->other), 0);
}

/* A reader's snapshot may be from before the keys heard of what it looks for. */
static void old_snapshot_finds_its_objects(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite_store *store = sqlite_store_of(fixture->one);
    struct collection collection;
    enum object_kind kind;
    struct object object;
    struct db *reader = NULL;
    uint64_t seq, number = 5;

    put(fixture->one, 0, 100);
    assert_int_equal(readers_take(&store->readers, &reader, NULL), HF_OK);
    assert_int_equal(db_run(reader, QUERY_BEGIN_READ, DB_NO_VALUES, NULL), HF_OK);
    assert_int_equal(collection_load(reader, &collection, NULL), HF_OK);
    put(fixture->one, 100, 3 * FRESH_MAX);
    object = make(fixture->one, &number);
    assert_int_equal(object_seek(reader, &collection, &object.id, &seq, &kind, NULL), 1);
    number = 100;
    object = make(fixture->one, &number);
    assert_int_equal(object_seek(reader, &collection, &object.id, &seq, &kind, NULL), 0);
    db_end(reader);
    readers_give(&store->readers, reader);
    assert_int_equal(get(fixture->one, 100), HF_OK);
}

/* Who writes settles; a handle of another process that only reads must not remember everything since it was opened. */
static void reader_beside_a_writer_remembers_no_more_than_the_newest(void **state)
{
    struct fixture *fixture = *state;
    const struct fresh *fresh = &sqlite_store_of(fixture->other)->fresh;
    const uint64_t n = 6 * FRESH_MAX;

    for (uint64_t i = 0; i < n; i += BATCH) {
        put(fixture->one, i, BATCH);
        assert_int_equal(get(fixture->other, i + 1), HF_OK);
        assert_true(is_missing(fixture->other, i + BATCH));
        assert_in_range(fresh->count, 0, 3 * FRESH_MAX);
    }
    assert_in_range(fresh->count, 1, 3 * FRESH_MAX);
    for (uint64_t i = 0; i < n; i += 97)
        assert_false(is_missing(fixture->other, i));
}

/* A handle that was idle must not read the rows that object_key has heard of meanwhile. */
static void handle_that_was_idle_goes_on_from_what_is_settled(void **state)
{
    struct fixture *fixture = *state;
    struct sqlite_store *store = sqlite_store_of(fixture->other);
    const uint64_t n = 3 * FRESH_MAX;
    struct collection collection;
    struct db *old = NULL;
    enum object_kind kind;
    struct object object;
    uint64_t seq, number = 5;

    put(fixture->one, 0, 100);
    assert_false(is_missing(fixture->other, 99));
    assert_int_equal(readers_take(&store->readers, &old, NULL), HF_OK);
    assert_int_equal(db_run(old, QUERY_BEGIN_READ, DB_NO_VALUES, NULL), HF_OK);
    assert_int_equal(collection_load(old, &collection, NULL), HF_OK);
    put(fixture->one, 100, n);
    assert_true(is_missing(fixture->other, n + 100));
    assert_in_range(store->fresh.count, 1, FRESH_MAX + BATCH);
    for (uint64_t i = 0; i < n + 100; i += 61)
        assert_false(is_missing(fixture->other, i));
    object = make(fixture->other, &number);
    assert_int_equal(object_seek(old, &collection, &object.id, &seq, &kind, NULL), 1);
    number = 100;
    object = make(fixture->other, &number);
    assert_int_equal(object_seek(old, &collection, &object.id, &seq, &kind, NULL), 0);
    db_end(old);
    readers_give(&store->readers, old);
    put(fixture->other, n, 200); /* half of them are there */
    assert_int_equal(number_of(fixture, "SELECT count(*) FROM object"), (int64_t)n + 200);
}

static int deny_commit(void *arg, int action, const char *what, const char *b, const char *c,
                       const char *d)
{
    (void)arg, (void)b, (void)c, (void)d;
    return action == SQLITE_TRANSACTION && strcmp(what, "COMMIT") == 0 ? SQLITE_DENY : SQLITE_OK;
}

/* A connection that stayed in the snapshot of a vain search would never see what comes later. */
static void search_whose_end_fails_leaves_no_snapshot(void **state)
{
    struct fixture *fixture = *state;
    struct readers *readers = &sqlite_store_of(fixture->other)->readers;
    struct db *reader = NULL;

    assert_int_equal(readers_take(readers, &reader, NULL), HF_OK);
    assert_int_equal(sqlite3_set_authorizer(reader->handle, deny_commit, NULL), SQLITE_OK);
    readers_give(readers, reader);
    assert_int_equal(get(fixture->other, 1), HF_MISSING);
    put(fixture->one, 1, 1);
    assert_int_equal(get(fixture->other, 1), HF_OK);
}

static void memory_says_when_it_does_not_know(void **state)
{
    struct fresh fresh;
    uint64_t seqs[FRESH_CANDIDATES];
    const struct fresh_range empty = {0, 0}, range = {0, 4}, later = {0, 5};

    (void)state;
    fresh_init(&fresh);
    assert_int_equal(fresh_find(&fresh, 1, NULL, seqs), -1);
    assert_int_equal(fresh_extend(&fresh, NULL, &empty, NULL), HF_OK);
    assert_int_equal(fresh_find(&fresh, 1, &empty, seqs), 0);
    for (uint64_t i = 1; i <= 4; i++)
        fresh_add(&fresh, i < 4 ? 7 : 8, i - 1, i);
    assert_int_equal(fresh_find(&fresh, 8, &range, seqs), 1);
    assert_int_equal(seqs[0], 4);
    assert_int_equal(fresh_find(&fresh, 7, &range, seqs), -1); /* too many of them */
    assert_int_equal(fresh_find(&fresh, 8, &later, seqs), -1); /* a newer row */
    fresh_add(&fresh, 9, 6, 7);                                /* what came between is not known */
    assert_int_equal(fresh_find(&fresh, 8, NULL, seqs), -1);
    fresh_release(&fresh);
}

static void lost_and_surplus_keys_are_noticed(void **state)
{
    struct fixture *fixture = *state;

    put(fixture->one, 0, FRESH_MAX + 2 * BATCH);
    assert_true(number_of(fixture, "SELECT count(*) FROM object_key") > 0);
    assert_int_equal(findings(fixture->one), 0);
    run_sql(fixture, "CREATE TABLE was AS SELECT * FROM object_key WHERE seq = 5;"
                     "DELETE FROM object_key WHERE seq = 5");
    assert_true(findings(fixture->one) > 1); /* and the table that should not be there */
    run_sql(fixture, "INSERT INTO object_key SELECT * FROM was; DROP TABLE was");
    assert_int_equal(findings(fixture->one), 0);
    run_sql(fixture, "INSERT INTO object_key VALUES (1, 5)");
    assert_true(findings(fixture->one) > 0);
    run_sql(fixture, "DELETE FROM object_key WHERE key = 1");
    run_sql(fixture, "UPDATE indexed SET seq = seq + 1");
    assert_true(findings(fixture->one) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(objects_are_found_before_and_after_keys_hear_of_them, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_another_handle_adds_is_found_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(old_snapshot_finds_its_objects, setup, teardown),
        cmocka_unit_test_setup_teardown(reader_beside_a_writer_remembers_no_more_than_the_newest,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(handle_that_was_idle_goes_on_from_what_is_settled, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(search_whose_end_fails_leaves_no_snapshot, setup, teardown),
        cmocka_unit_test(memory_says_when_it_does_not_know),
        cmocka_unit_test_setup_teardown(lost_and_surplus_keys_are_noticed, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
