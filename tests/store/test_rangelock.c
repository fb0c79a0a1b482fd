/* SPDX-License-Identifier: Apache-2.0 */
/* The algebra of range locks against a model that keeps the type of every byte. */
#include "store/rangelock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <cmocka.h>

#include "base/htable.h"
#include "holdfast/error.h"

#define BYTES 24 /* of the file; the last one stands for all beyond */
#define OWNERS 4

struct model {
    enum lock_type type[OWNERS][BYTES];
};

struct table {
    struct store_lock locks[OWNERS * BYTES * 2];
    size_t n;
};

static uint64_t end_of(uint64_t byte)
{
    return byte == BYTES - 1 ? UINT64_MAX : byte;
}

static struct store_lock draw(uint64_t random)
{
    uint64_t a = (random >> 8) % BYTES, b = (random >> 16) % BYTES;

    return (struct store_lock){
        .ino = 5,
        .kind = LOCK_POSIX,
        .type = (enum lock_type)(random % 3),
        .start = a < b ? a : b,
        .end = end_of(a < b ? b : a),
        .owner = (random >> 24) % 2,
        .host = 1 + (random >> 32) % 2,
    };
}

static size_t owner_of(const struct store_lock *lock)
{
    return (size_t)((lock->host - 1) * 2 + lock->owner);
}

static uint64_t last_byte(const struct store_lock *lock)
{
    return lock->end == UINT64_MAX ? BYTES - 1 : lock->end;
}

static bool model_conflict(const struct model *model, const struct store_lock *request)
{
    for (size_t owner = 0; owner < OWNERS; owner++) {
        if (owner == owner_of(request) || request->type == LOCK_TYPE_NONE)
            continue;
        for (uint64_t byte = request->start; byte <= last_byte(request); byte++)
            if (model->type[owner][byte] == LOCK_TYPE_WRITE ||
                (model->type[owner][byte] == LOCK_TYPE_READ && request->type == LOCK_TYPE_WRITE))
                return true;
    }
    return false;
}

static void apply(struct table *table, const struct store_lock *request)
{
    struct store_lock *held;
    size_t n, kept = 0;

    assert_int_equal(rangelock_apply(table->locks, table->n, request, &held, &n), HF_OK);
    for (size_t i = 0; i < table->n; i++)
        if (!rangelock_same_owner(&table->locks[i], request))
            table->locks[kept++] = table->locks[i];
    for (size_t i = 0; i < n; i++) {
        assert_true(held[i].type != LOCK_TYPE_NONE && held[i].start <= held[i].end);
        if (i > 0) { /* in order, apart, and merged */
            assert_true(held[i - 1].end < held[i].start);
            assert_true(held[i - 1].end + 1 < held[i].start || held[i - 1].type != held[i].type);
        }
        table->locks[kept++] = held[i];
    }
    table->n = kept;
    free(held);
}

static void assert_same(const struct table *table, const struct model *model)
{
    struct model seen = {0};

    for (size_t i = 0; i < table->n; i++)
        for (uint64_t byte = table->locks[i].start; byte <= last_byte(&table->locks[i]); byte++)
            seen.type[owner_of(&table->locks[i])][byte] = table->locks[i].type;
    assert_memory_equal(&seen, model, sizeof seen);
}

static void ranges_behave_as_if_each_byte_were_locked(void **state)
{
    struct model model = {0};
    struct table table = {.n = 0};
    uint64_t seed = 0;
    unsigned conflicts = 0;

    (void)state;
    assert_int_equal(getrandom(&seed, 4, 0), 4);
    print_message("seed %llu\n", (unsigned long long)seed);
    for (uint64_t i = 0; i < 100000; i++) {
        struct store_lock request = draw(htable_hash_u64(seed + i));
        const struct store_lock *way = rangelock_conflict(table.locks, table.n, &request);

        assert_int_equal(way != NULL, model_conflict(&model, &request));
        conflicts += way != NULL;
        if (way)
            continue;
        apply(&table, &request);
        for (uint64_t byte = request.start; byte <= last_byte(&request); byte++)
            model.type[owner_of(&request)][byte] = request.type;
        assert_same(&table, &model);
    }
    assert_true(conflicts > 1000);
}

static void the_conflict_told_is_the_first_in_the_file(void **state)
{
    const struct store_lock locks[] = {
        {.ino = 5, .kind = LOCK_POSIX, .type = LOCK_TYPE_WRITE, .start = 50, .end = 60, .host = 1},
        {.ino = 5, .kind = LOCK_POSIX, .type = LOCK_TYPE_READ, .start = 10, .end = 20, .host = 2},
        {.ino = 6, .kind = LOCK_POSIX, .type = LOCK_TYPE_WRITE, .start = 0, .end = 99, .host = 1},
        {.ino = 5, .kind = LOCK_FLOCK, .type = LOCK_TYPE_WRITE, .end = UINT64_MAX, .host = 1},
    };
    struct store_lock request = {
        .ino = 5, .kind = LOCK_POSIX, .type = LOCK_TYPE_WRITE, .start = 15, .end = 55, .host = 3};

    (void)state;
    assert_ptr_equal(rangelock_conflict(locks, 4, &request), &locks[1]);
    request.type = LOCK_TYPE_READ;
    assert_ptr_equal(rangelock_conflict(locks, 4, &request), &locks[0]);
    request.end = 49;
    assert_null(rangelock_conflict(locks, 4, &request));
}

static void clearing_what_is_not_there_leaves_nothing(void **state)
{
    struct store_lock request = {.ino = 5, .kind = LOCK_POSIX, .end = UINT64_MAX};
    struct store_lock *held = (struct store_lock *)&request;
    size_t n = 9;

    (void)state;
    assert_int_equal(rangelock_apply(NULL, 0, &request, &held, &n), HF_OK);
    assert_null(held);
    assert_int_equal(n, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_behave_as_if_each_byte_were_locked),
        cmocka_unit_test(the_conflict_told_is_the_first_in_the_file),
        cmocka_unit_test(clearing_what_is_not_there_leaves_nothing),
    };

    return cmocka_run_group_tests_name("rangelock", tests, NULL, NULL);
}
