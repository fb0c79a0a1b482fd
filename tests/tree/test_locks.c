/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "tree/locks.h"

#define WHOLE UINT64_MAX

/** What became of a waiting request. Static in the tests: it outlives them until the table is freed. */
struct wait_log {
    int order; /* 1 for the first that ended, 0: still waiting */
    int status;
};
static int ended_count;

static void on_done(int status, void *arg)
{
    struct wait_log *log = arg;

    log->order = ++ended_count;
    log->status = status;
}

static int setup(void **state)
{
    ended_count = 0;
    *state = lock_table_new();
    return *state ? 0 : -1;
}

static int teardown(void **state)
{
    lock_table_free(*state);
    return 0;
}

/** A record lock of an owner that is a process of its own with an open file of its own. */
static struct lock_request record(uint64_t inode, uint64_t owner, enum lock_type type,
                                  uint64_t start, uint64_t end)
{
    return (struct lock_request){.inode = inode,
                                 .kind = LOCK_POSIX,
                                 .type = type,
                                 .start = start,
                                 .end = end,
                                 .owner = owner,
                                 .handle = owner + 1000,
                                 .pid = (uint32_t)owner + 100};
}

static int try_record(struct lock_table *t, uint64_t inode, uint64_t owner, enum lock_type type,
                      uint64_t start, uint64_t end)
{
    struct lock_request r = record(inode, owner, type, start, end);
    uint64_t ticket;

    return lock_set(t, &r, false, NULL, NULL, &ticket);
}

static int wait_record(struct lock_table *t, uint64_t inode, uint64_t owner, enum lock_type type,
                       uint64_t start, uint64_t end, struct wait_log *log, uint64_t *ret_ticket)
{
    struct lock_request r = record(inode, owner, type, start, end);
    uint64_t ticket;

    return lock_set(t, &r, true, on_done, log, ret_ticket ? ret_ticket : &ticket);
}

static int try_flock(struct lock_table *t, uint64_t owner, enum lock_type type)
{
    struct lock_request r = record(1, owner, type, 0, WHOLE);
    uint64_t ticket;

    r.kind = LOCK_FLOCK;
    return lock_set(t, &r, false, NULL, NULL, &ticket);
}

static int wait_flock(struct lock_table *t, uint64_t owner, enum lock_type type,
                      struct wait_log *log)
{
    struct lock_request r = record(1, owner, type, 0, WHOLE);
    uint64_t ticket;

    r.kind = LOCK_FLOCK;
    return lock_set(t, &r, true, on_done, log, &ticket);
}

static void readers_share_and_writers_exclude(void **state)
{
    struct lock_table *t = *state;

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_READ, 0, 9), 0);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_READ, 5, 14), 0);
    assert_int_equal(try_record(t, 1, 3, LOCK_TYPE_WRITE, 14, 20), HF_AGAIN);
    assert_int_equal(try_record(t, 1, 3, LOCK_TYPE_WRITE, 15, 20), 0);
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_READ, 20, 20), HF_AGAIN);
    assert_int_equal(try_record(t, 2, 1, LOCK_TYPE_WRITE, 0, WHOLE), 0);
    assert_int_equal(lock_count(t, 1, 1), 3);
    assert_int_equal(lock_count(t, 1, 2), 4);
}

static void unlock_in_the_middle_splits(void **state)
{
    struct lock_table *t = *state;

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 0, WHOLE), 0);
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_NONE, 10, 19), 0);
    assert_int_equal(lock_count(t, 1, 1), 2);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_WRITE, 9, 10), HF_AGAIN);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_WRITE, 19, 20), HF_AGAIN);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_WRITE, 10, 19), 0);
}

static void neighbours_of_one_type_merge(void **state)
{
    struct lock_table *t = *state;

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_READ, 0, 9), 0);
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_READ, 20, WHOLE), 0);
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 10, 14), 0);
    assert_int_equal(lock_count(t, 1, 1), 3);
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_READ, 10, 19), 0);
    assert_int_equal(lock_count(t, 1, 1), 1);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_READ, 0, WHOLE), 0);
}

static void a_change_of_type_covers_its_range_alone(void **state)
{
    struct lock_table *t = *state;
    struct lock_request probe = record(1, 2, LOCK_TYPE_READ, 0, WHOLE), found;

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_READ, 0, 99), 0);
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 40, 59), 0);
    assert_int_equal(lock_count(t, 1, 1), 3);
    assert_true(lock_test(t, &probe, &found));
    assert_int_equal(found.start, 40);
    assert_int_equal(found.end, 59);
    assert_int_equal(found.type, LOCK_TYPE_WRITE);
    assert_int_equal(found.pid, 101);
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_READ, 50, 59), 0);
    assert_int_equal(lock_count(t, 1, 1), 3);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_READ, 50, 99), 0);
}

static void test_reports_the_first_lock_in_the_way(void **state)
{
    struct lock_table *t = *state;
    struct lock_request probe = record(1, 9, LOCK_TYPE_WRITE, 15, WHOLE), found;

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_READ, 30, 39), 0);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_READ, 0, 9), 0);
    assert_int_equal(try_record(t, 1, 3, LOCK_TYPE_READ, 20, 29), 0);
    assert_true(lock_test(t, &probe, &found));
    assert_int_equal(found.start, 20);
    probe.type = LOCK_TYPE_READ;
    assert_false(lock_test(t, &probe, &found));
}

static void a_failed_upgrade_keeps_the_record_lock(void **state)
{
    struct lock_table *t = *state;

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_READ, 0, 9), 0);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_READ, 0, 9), 0);
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 0, 9), HF_AGAIN);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_NONE, 0, 9), 0);
    assert_int_equal(try_record(t, 1, 3, LOCK_TYPE_WRITE, 0, 9), HF_AGAIN);
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 0, 9), 0);
}

static void waiters_are_served_in_order_of_arrival(void **state)
{
    struct lock_table *t = *state;
    static struct wait_log log[4];

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 0, 9), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(wait_record(t, 1, 2 + (uint64_t)i, LOCK_TYPE_WRITE, 0, 9, &log[i], NULL),
                         HF_PENDING);
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_NONE, 0, 9), 0);
    assert_int_equal(log[0].order, 1);
    assert_int_equal(log[1].order, 0);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_NONE, 0, 9), 0);
    assert_int_equal(log[1].order, 2);
    lock_release_owner(t, 1, 3);
    assert_int_equal(log[2].order, 3);
    assert_int_equal(log[2].status, 0);
}

static void a_downgrade_lets_waiting_readers_in(void **state)
{
    struct lock_table *t = *state;
    static struct wait_log reader, writer;

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(wait_record(t, 1, 2, LOCK_TYPE_WRITE, 0, 9, &writer, NULL), HF_PENDING);
    assert_int_equal(wait_record(t, 1, 3, LOCK_TYPE_READ, 0, 9, &reader, NULL), HF_PENDING);
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_READ, 0, 9), 0);
    assert_int_equal(reader.order, 1);
    assert_int_equal(writer.order, 0);
    assert_true(lock_count(t, 1, 1) == 2);
}

static void a_cancelled_waiter_ends_once_and_gets_nothing(void **state)
{
    struct lock_table *t = *state;
    static struct wait_log log;
    uint64_t ticket = 0;

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(wait_record(t, 1, 2, LOCK_TYPE_WRITE, 0, 9, &log, &ticket), HF_PENDING);
    assert_true(lock_cancel(t, ticket, HF_INTR));
    assert_int_equal(log.status, HF_INTR);
    assert_false(lock_cancel(t, ticket, HF_INTR));
    lock_release_owner(t, 1, 1);
    assert_int_equal(lock_count(t, 0, WHOLE), 0);
    assert_int_equal(log.order, 1);
}

static void a_close_drops_all_posix_locks_of_its_owner(void **state)
{
    struct lock_table *t = *state;
    struct lock_request other_handle = record(1, 1, LOCK_TYPE_WRITE, 50, 59);
    uint64_t ticket;

    other_handle.handle = 7;
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(lock_set(t, &other_handle, false, NULL, NULL, &ticket), 0);
    assert_int_equal(try_record(t, 2, 1, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(try_flock(t, 1, LOCK_TYPE_WRITE), 0);
    lock_release_owner(t, 1, 1);
    assert_int_equal(lock_count(t, 1, 1), 1);
    assert_int_equal(lock_count(t, 2, 2), 1);
    assert_int_equal(try_flock(t, 2, LOCK_TYPE_READ), HF_AGAIN);
}

static void the_last_close_drops_what_came_through_the_handle(void **state)
{
    struct lock_table *t = *state;
    static struct wait_log log;

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(try_flock(t, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_WRITE, 20, 29), 0);
    assert_int_equal(wait_flock(t, 3, LOCK_TYPE_WRITE, &log), HF_PENDING);
    lock_release_handle(t, 1, 1001);
    assert_int_equal(log.order, 1);
    assert_int_equal(lock_count(t, 1, 1), 2);
    assert_int_equal(try_record(t, 1, 3, LOCK_TYPE_WRITE, 0, 9), 0);
}

static void two_waiting_owners_are_a_deadlock(void **state)
{
    struct lock_table *t = *state;
    static struct wait_log a, b;

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_WRITE, 10, 19), 0);
    assert_int_equal(wait_record(t, 1, 1, LOCK_TYPE_WRITE, 10, 19, &a, NULL), HF_PENDING);
    assert_int_equal(wait_record(t, 1, 2, LOCK_TYPE_READ, 0, 0, &b, NULL), HF_DEADLK);
    assert_int_equal(b.order, 0);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_NONE, 0, WHOLE), 0);
    assert_int_equal(a.order, 1);
}

static void two_upgrades_are_a_deadlock(void **state)
{
    struct lock_table *t = *state;
    static struct wait_log log;

    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_READ, 0, 9), 0);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_READ, 0, 9), 0);
    assert_int_equal(wait_record(t, 1, 1, LOCK_TYPE_WRITE, 0, 9, &log, NULL), HF_PENDING);
    assert_int_equal(wait_record(t, 1, 2, LOCK_TYPE_WRITE, 0, 9, &log, NULL), HF_DEADLK);
    lock_release_owner(t, 1, 2);
    assert_int_equal(log.order, 1);
}

static void a_cycle_through_several_files_is_a_deadlock(void **state)
{
    struct lock_table *t = *state;
    static struct wait_log log[20];
    const uint64_t n = 20;

    for (uint64_t i = 0; i < n; i++)
        assert_int_equal(try_record(t, i, i + 1, LOCK_TYPE_WRITE, 5, 5), 0);
    for (uint64_t i = 0; i + 1 < n; i++)
        assert_int_equal(wait_record(t, i + 1, i + 1, LOCK_TYPE_WRITE, 0, 9, &log[i], NULL),
                         HF_PENDING);
    assert_int_equal(wait_record(t, 0, n, LOCK_TYPE_READ, 5, 5, &log[n - 1], NULL), HF_DEADLK);
    assert_int_equal(wait_record(t, 0, n + 1, LOCK_TYPE_READ, 5, 5, &log[n - 1], NULL), HF_PENDING);
}

static void a_cycle_behind_one_of_several_readers_is_found(void **state)
{
    struct lock_table *t = *state;
    static struct wait_log log[2];

    for (uint64_t owner = 1; owner <= 5; owner++)
        assert_int_equal(try_record(t, 1, owner, LOCK_TYPE_READ, 0, 9), 0);
    assert_int_equal(try_record(t, 2, 9, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(wait_record(t, 2, 3, LOCK_TYPE_READ, 0, 9, &log[0], NULL), HF_PENDING);
    assert_int_equal(wait_record(t, 1, 9, LOCK_TYPE_WRITE, 0, 9, &log[1], NULL), HF_DEADLK);
}

static void owners_of_one_process_are_no_deadlock(void **state)
{
    struct lock_table *t = *state;
    static struct wait_log log;
    struct lock_request a = record(1, 1, LOCK_TYPE_WRITE, 10, 19),
                        b = record(1, 2, LOCK_TYPE_WRITE, 0, 9);
    uint64_t ticket;

    a.pid = b.pid = 77;
    assert_int_equal(try_record(t, 1, 1, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_WRITE, 10, 19), 0);
    assert_int_equal(lock_set(t, &a, true, on_done, &log, &ticket), HF_PENDING);
    assert_int_equal(lock_set(t, &b, true, on_done, &log, &ticket), HF_PENDING);
}

static void flock_converts_by_letting_go_first(void **state)
{
    struct lock_table *t = *state;
    static struct wait_log a;

    assert_int_equal(try_flock(t, 1, LOCK_TYPE_READ), 0);
    assert_int_equal(try_flock(t, 2, LOCK_TYPE_READ), 0);
    assert_int_equal(wait_flock(t, 1, LOCK_TYPE_WRITE, &a), HF_PENDING);
    assert_int_equal(lock_count(t, 1, 1), 1);
    assert_int_equal(try_flock(t, 2, LOCK_TYPE_WRITE), 0);
    assert_int_equal(a.order, 0);
    assert_int_equal(try_flock(t, 2, LOCK_TYPE_NONE), 0);
    assert_int_equal(a.order, 1);
    assert_int_equal(try_flock(t, 2, LOCK_TYPE_READ), HF_AGAIN);
}

static void flock_and_record_locks_ignore_each_other(void **state)
{
    struct lock_table *t = *state;

    assert_int_equal(try_flock(t, 1, LOCK_TYPE_WRITE), 0);
    assert_int_equal(try_record(t, 1, 2, LOCK_TYPE_WRITE, 0, WHOLE), 0);
}

static void revoking_ends_locks_and_waiters_of_the_range(void **state)
{
    struct lock_table *t = *state;
    static struct wait_log in, out;

    for (uint64_t inode = 1; inode <= 4; inode++)
        assert_int_equal(try_record(t, inode, 1, LOCK_TYPE_WRITE, 0, 9), 0);
    assert_int_equal(wait_record(t, 2, 2, LOCK_TYPE_WRITE, 0, 9, &in, NULL), HF_PENDING);
    assert_int_equal(wait_record(t, 4, 2, LOCK_TYPE_WRITE, 0, 9, &out, NULL), HF_PENDING);
    lock_revoke(t, 2, 3, HF_FENCED);
    assert_int_equal(in.status, HF_FENCED);
    assert_int_equal(out.order, 0);
    assert_int_equal(lock_count(t, 0, WHOLE), 2);
}

static void nonsense_is_refused(void **state)
{
    assert_int_equal(try_record(*state, 1, 1, LOCK_TYPE_READ, 2, 1), HF_INVAL);
    assert_int_equal(lock_count(*state, 0, WHOLE), 0);
}

/* --- against a model: one array of types per owner ----------------------------------------------- */

#define MODEL_OWNERS 4
#define MODEL_BYTES 24

struct model {
    enum lock_type byte[MODEL_OWNERS][MODEL_BYTES];
};

static bool model_conflict(const struct model *m, const struct lock_request *r)
{
    for (uint64_t o = 0; o < MODEL_OWNERS; o++)
        for (uint64_t b = r->start; o != r->owner && b <= r->end; b++)
            if ((m->byte[o][b] == LOCK_TYPE_WRITE && r->type != LOCK_TYPE_NONE) ||
                (m->byte[o][b] == LOCK_TYPE_READ && r->type == LOCK_TYPE_WRITE))
                return true;
    return false;
}

static size_t model_locks(const struct model *m)
{
    size_t n = 0;

    for (size_t o = 0; o < MODEL_OWNERS; o++)
        for (size_t b = 0; b < MODEL_BYTES; b++)
            n += m->byte[o][b] != LOCK_TYPE_NONE && (b == 0 || m->byte[o][b - 1] != m->byte[o][b]);
    return n;
}

static void random_requests_agree_with_a_model(void **state)
{
    struct lock_table *t = *state;
    struct model m = {{{LOCK_TYPE_NONE}}};
    unsigned seed = (unsigned)time(NULL);
    unsigned rng = seed;
    uint64_t ticket;

    print_message("seed %u\n", seed);
    for (int i = 0; i < 20000; i++) {
        uint64_t a = (uint64_t)rand_r(&rng) % MODEL_BYTES, b = (uint64_t)rand_r(&rng) % MODEL_BYTES;
        struct lock_request r =
            record(1, (uint64_t)rand_r(&rng) % MODEL_OWNERS, (enum lock_type)(rand_r(&rng) % 3),
                   a < b ? a : b, a < b ? b : a);
        bool conflict = model_conflict(&m, &r);

        assert_int_equal(lock_set(t, &r, false, NULL, NULL, &ticket), conflict ? HF_AGAIN : 0);
        for (uint64_t at = r.start; !conflict && at <= r.end; at++)
            m.byte[r.owner][at] = r.type;
        assert_int_equal(lock_count(t, 1, 1), model_locks(&m));
    }
}

/* --- threads ------------------------------------------------------------------------------------- */

struct race {
    struct lock_table *table;
    uint64_t owner;
    long *counter; /* guarded by the lock under test */
    int cancelled;
};

struct pending {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    bool ended;
    int status;
};

static void wake_pending(int status, void *arg)
{
    struct pending *p = arg;

    pthread_mutex_lock(&p->mutex);
    p->ended = true;
    p->status = status;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->mutex);
}

static int wait_pending(struct pending *p)
{
    pthread_mutex_lock(&p->mutex);
    while (!p->ended)
        pthread_cond_wait(&p->cond, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
    return p->status;
}

static void *race_thread(void *arg)
{
    struct race *race = arg;
    struct lock_request r = record(1, race->owner, LOCK_TYPE_WRITE, 0, WHOLE);

    for (int i = 0; i < 3000; i++) {
        struct pending p = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, 0};
        uint64_t ticket = 0;
        int status;

        r.type = LOCK_TYPE_WRITE;
        status = lock_set(race->table, &r, true, wake_pending, &p, &ticket);
        if (status == HF_PENDING) {
            if (i % 3 == 0)
                lock_cancel(race->table, ticket, HF_INTR);
            status = wait_pending(&p);
        }
        if (status == HF_INTR) {
            race->cancelled++;
            continue;
        }
        assert_int_equal(status, 0);
        ++*race->counter;
        r.type = LOCK_TYPE_NONE;
        assert_int_equal(lock_set(race->table, &r, false, NULL, NULL, &ticket), 0);
    }
    return NULL;
}

static void racing_owners_exclude_each_other(void **state)
{
    struct race races[6];
    pthread_t threads[6];
    long counter = 0, cancelled = 0;

    for (size_t i = 0; i < 6; i++) {
        races[i] = (struct race){*state, i + 1, &counter, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, race_thread, &races[i]), 0);
    }
    for (size_t i = 0; i < 6; i++) {
        pthread_join(threads[i], NULL);
        cancelled += races[i].cancelled;
    }
    assert_int_equal(counter + cancelled, 6 * 3000);
    assert_int_equal(lock_count(*state, 0, WHOLE), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(readers_share_and_writers_exclude),
        TEST(unlock_in_the_middle_splits),
        TEST(neighbours_of_one_type_merge),
        TEST(a_change_of_type_covers_its_range_alone),
        TEST(test_reports_the_first_lock_in_the_way),
        TEST(a_failed_upgrade_keeps_the_record_lock),
        TEST(waiters_are_served_in_order_of_arrival),
        TEST(a_downgrade_lets_waiting_readers_in),
        TEST(a_cancelled_waiter_ends_once_and_gets_nothing),
        TEST(a_close_drops_all_posix_locks_of_its_owner),
        TEST(the_last_close_drops_what_came_through_the_handle),
        TEST(two_waiting_owners_are_a_deadlock),
        TEST(two_upgrades_are_a_deadlock),
        TEST(a_cycle_through_several_files_is_a_deadlock),
        TEST(a_cycle_behind_one_of_several_readers_is_found),
        TEST(owners_of_one_process_are_no_deadlock),
        TEST(flock_converts_by_letting_go_first),
        TEST(flock_and_record_locks_ignore_each_other),
        TEST(revoking_ends_locks_and_waiters_of_the_range),
        TEST(nonsense_is_refused),
        TEST(random_requests_agree_with_a_model),
        TEST(racing_owners_exclude_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
