/* SPDX-License-Identifier: Apache-2.0 */
#include "contract.h"

static int set_lock(struct mount *mount, uint64_t owner, enum lock_type type, uint64_t start,
                    uint64_t end, struct store_lock *ret_conflict)
{
    struct store_lock lock = {.ino = 5,
                              .kind = LOCK_POSIX,
                              .type = type,
                              .start = start,
                              .end = end,
                              .owner = owner,
                              .pid = (uint32_t)(1000 + owner)};

    return store_lock_set(mount->store, mount->host, &lock, ret_conflict, NULL);
}

static int test_lock(struct mount *mount, uint64_t owner, uint64_t start, uint64_t end,
                     struct store_lock *ret_conflict)
{
    struct store_lock lock = {.ino = 5,
                              .kind = LOCK_POSIX,
                              .type = LOCK_TYPE_WRITE,
                              .start = start,
                              .end = end,
                              .owner = owner};

    return store_lock_test(mount->store, mount->host, &lock, ret_conflict, NULL);
}

static void a_write_lock_excludes_others(void **state)
{
    struct fixture *fixture = *state;
    struct store_lock conflict = {0};

    contract_open_b(fixture);
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_WRITE, 0, 99, NULL), HF_OK);
    assert_int_equal(set_lock(&fixture->b, 1, LOCK_TYPE_READ, 50, 50, &conflict), HF_AGAIN);
    assert_int_equal(conflict.host, fixture->a.host);
    assert_int_equal(conflict.pid, 1001);
    assert_int_equal(conflict.start, 0);
    assert_int_equal(conflict.end, 99);
    assert_int_equal(conflict.type, LOCK_TYPE_WRITE);
    assert_int_equal(set_lock(&fixture->a, 2, LOCK_TYPE_READ, 99, 200, &conflict), HF_AGAIN);
    assert_int_equal(set_lock(&fixture->b, 1, LOCK_TYPE_WRITE, 100, UINT64_MAX, NULL), HF_OK);
    assert_int_equal(test_lock(&fixture->a, 1, 0, 99, &conflict), HF_NOENT);
    assert_int_equal(test_lock(&fixture->a, 1, 0, 100, &conflict), HF_OK);
    assert_int_equal(conflict.host, fixture->b.host);
    assert_true(conflict.end == UINT64_MAX);
}

static void read_locks_share(void **state)
{
    struct fixture *fixture = *state;

    contract_open_b(fixture);
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_READ, 0, UINT64_MAX, NULL), HF_OK);
    assert_int_equal(set_lock(&fixture->b, 1, LOCK_TYPE_READ, 0, UINT64_MAX, NULL), HF_OK);
    assert_int_equal(set_lock(&fixture->b, 1, LOCK_TYPE_WRITE, 0, 0, NULL), HF_AGAIN);
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_NONE, 0, UINT64_MAX, NULL), HF_OK);
    assert_int_equal(set_lock(&fixture->b, 1, LOCK_TYPE_WRITE, 0, 0, NULL), HF_OK);
}

static void ranges_are_split_and_merged(void **state)
{
    struct fixture *fixture = *state;
    struct store_lock conflict;

    contract_open_b(fixture);
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_WRITE, 0, 99, NULL), HF_OK);
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_NONE, 40, 59, NULL), HF_OK);
    assert_int_equal(test_lock(&fixture->b, 1, 40, 59, &conflict), HF_NOENT);
    assert_int_equal(test_lock(&fixture->b, 1, 30, 70, &conflict), HF_OK);
    assert_int_equal(conflict.start, 0);
    assert_int_equal(conflict.end, 39);
    assert_int_equal(test_lock(&fixture->b, 1, 50, 70, &conflict), HF_OK);
    assert_int_equal(conflict.start, 60);
    assert_int_equal(conflict.end, 99);
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_WRITE, 40, 59, NULL), HF_OK);
    assert_int_equal(test_lock(&fixture->b, 1, 99, 99, &conflict), HF_OK);
    assert_int_equal(conflict.start, 0);
    assert_int_equal(conflict.end, 99);
    /* A weaker type splits too. */
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_READ, 0, 49, NULL), HF_OK);
    assert_int_equal(set_lock(&fixture->b, 1, LOCK_TYPE_READ, 0, 49, NULL), HF_OK);
    assert_int_equal(set_lock(&fixture->b, 1, LOCK_TYPE_READ, 0, 50, NULL), HF_AGAIN);
}

static void flock_and_posix_locks_do_not_meet(void **state)
{
    struct fixture *fixture = *state;
    struct store_lock whole = {
        .ino = 5, .kind = LOCK_FLOCK, .type = LOCK_TYPE_WRITE, .end = UINT64_MAX, .owner = 7};

    contract_open_b(fixture);
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_WRITE, 0, UINT64_MAX, NULL), HF_OK);
    assert_int_equal(store_lock_set(fixture->b.store, fixture->b.host, &whole, NULL, NULL), HF_OK);
    assert_int_equal(store_lock_set(fixture->a.store, fixture->a.host, &whole, NULL, NULL),
                     HF_AGAIN);
    whole.ino = 6;
    assert_int_equal(store_lock_set(fixture->a.store, fixture->a.host, &whole, NULL, NULL), HF_OK);
    whole.end = 10;
    assert_int_equal(store_lock_set(fixture->a.store, fixture->a.host, &whole, NULL, NULL),
                     HF_INVAL);
}

static void waiters_are_told_when_a_lock_goes(void **state)
{
    struct fixture *fixture = *state;
    struct recorder *recorder = &fixture->b.recorder;

    contract_open_b(fixture);
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_WRITE, 0, UINT64_MAX, NULL), HF_OK);
    assert_int_equal(set_lock(&fixture->b, 1, LOCK_TYPE_WRITE, 0, UINT64_MAX, NULL), HF_AGAIN);
    recorder_clear(recorder);
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_NONE, 0, UINT64_MAX, NULL), HF_OK);
    recorder_wait(recorder, EVENT_LOCKS_CHANGED, SHARED_SID);
    assert_int_equal(set_lock(&fixture->b, 1, LOCK_TYPE_WRITE, 0, UINT64_MAX, NULL), HF_OK);
}

static void locks_end_with_their_host(void **state)
{
    struct fixture *fixture = *state;
    struct recorder *recorder = &fixture->b.recorder;

    contract_open_b(fixture);
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_WRITE, 0, UINT64_MAX, NULL), HF_OK);
    recorder_clear(recorder);
    contract_unmount(&fixture->a);
    recorder_wait(recorder, EVENT_LOCKS_CHANGED, SHARED_SID);
    assert_int_equal(set_lock(&fixture->b, 1, LOCK_TYPE_WRITE, 0, UINT64_MAX, NULL), HF_OK);
}

static void locks_of_a_killed_host_are_in_nobodys_way(void **state)
{
    struct fixture *fixture = *state;

    if (!fixture->engine->kill)
        return;
    contract_open_b(fixture);
    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_WRITE, 0, UINT64_MAX, NULL), HF_OK);
    fixture->engine->kill(fixture->a.store);
    assert_int_equal(set_lock(&fixture->b, 1, LOCK_TYPE_WRITE, 0, UINT64_MAX, NULL), HF_OK);
}

static void a_nonsensical_lock_is_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(set_lock(&fixture->a, 1, LOCK_TYPE_WRITE, 10, 9, NULL), HF_INVAL);
    assert_int_equal(set_lock(&fixture->a, 1, (enum lock_type)9, 0, 9, NULL), HF_INVAL);
}

const struct CMUnitTest contract_lock_tests[] = {
    CONTRACT_TEST(a_write_lock_excludes_others),
    CONTRACT_TEST(read_locks_share),
    CONTRACT_TEST(ranges_are_split_and_merged),
    CONTRACT_TEST(flock_and_posix_locks_do_not_meet),
    CONTRACT_TEST(waiters_are_told_when_a_lock_goes),
    CONTRACT_TEST(locks_end_with_their_host),
    CONTRACT_TEST(locks_of_a_killed_host_are_in_nobodys_way),
    CONTRACT_TEST(a_nonsensical_lock_is_refused),
};
const size_t contract_lock_count = CONTRACT_COUNT(contract_lock_tests);
