/* SPDX-License-Identifier: Apache-2.0 */
/* What the decorators do beyond passing calls on; that they pass them on is the contract suite's business. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "engine/decorator/faulty.h"
#include "engine/decorator/trace.h"
#include "engine/open.h"
#include "scene.h"

static struct store *open_url(const char *url)
{
    struct hf_error err = {0};
    struct store *store;

    if (store_open(url, STORE_CREATE, NULL, NULL, &store, &err) != HF_OK)
        fail_msg("%s: %s", url, err.message);
    return store;
}

static int head_status(struct store *store)
{
    struct session_head head;

    return store_session_head(store, SHARED_SID, &head, NULL);
}

static int put_status(struct store *store, struct hf_error *err)
{
    struct scene scene;
    int rc;

    scene_init(&scene, store);
    scene_add(&scene, OBJECT_CHUNK, "bytes", 5);
    rc = store_put(store, 0, scene.objects, 1, err);
    scene_clear(&scene);
    return rc;
}

/* --- faulty -------------------------------------------------------------------------------------------------------- */

static void the_nth_call_of_its_kind_fails_once(void **state)
{
    struct store *store = open_url("faulty(put@2:ENOSPC)+memory:");
    struct hf_error err;

    (void)state;
    assert_int_equal(put_status(store, &err), HF_OK);
    assert_int_equal(head_status(store), HF_OK); /* another kind does not count */
    assert_int_equal(put_status(store, &err), HF_NOSPC);
    assert_int_equal(err.status, HF_NOSPC);
    assert_non_null(strstr(err.message, "put number 2"));
    assert_int_equal(put_status(store, &err), HF_OK);
    assert_int_equal(faulty_store_faults(store), 1);
    assert_int_equal(faulty_store_calls(store), 4);
    store_close(store);
}

static void a_sticky_fault_lasts_until_it_is_cleared(void **state)
{
    struct store *store = open_url("faulty(session_head@2:EIO+)+memory:");

    (void)state;
    assert_int_equal(head_status(store), HF_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(head_status(store), HF_IO);
    assert_int_equal(faulty_store_set(store, "", NULL), HF_OK);
    assert_int_equal(head_status(store), HF_OK);
    assert_int_equal(faulty_store_faults(store), 0);
    store_close(store);
}

static void any_counts_all_calls(void **state)
{
    struct store *store = open_url("faulty(any@3:EIO, put@1:FENCED)+memory:");

    (void)state;
    assert_int_equal(head_status(store), HF_OK);
    assert_int_equal(put_status(store, NULL), HF_FENCED);
    assert_int_equal(head_status(store), HF_IO);
    assert_int_equal(head_status(store), HF_OK);
    store_close(store);
}

static void a_late_fault_happens_after_the_call_was_made(void **state)
{
    struct store *store = open_url("faulty(put@1:EIO!,session_head@1:EIO!)+memory:");
    struct session_head head = {.sid = 77};
    struct store_stats stats;

    (void)state;
    assert_int_equal(put_status(store, NULL), HF_IO);
    assert_int_equal(store_stats(store, &stats, NULL), HF_OK);
    assert_int_equal(stats.objects, 1);
    assert_int_equal(store_session_head(store, SHARED_SID, &head, NULL), HF_IO);
    assert_int_equal(head.sid, 77); /* the answer is lost */
    store_close(store);
}

static uint64_t register_host(struct store *store, const char *name)
{
    struct host_identity identity = {.host_name = name, .incarnation = 1};
    uint64_t host = 0;

    assert_int_equal(store_host_register(store, &identity, NULL, &host, NULL), HF_OK);
    return host;
}

static int note_waiting(const struct lease_info *info, void *arg)
{
    *(size_t *)arg = info->nwaiting;
    return 0;
}

static void who_asked_stands_in_the_queue_though_the_answer_was_lost(void **state)
{
    struct store *store = open_url("faulty(lease_ask@1:EIO!)+memory:");
    uint64_t holder = register_host(store, "holder"), asker = register_host(store, "asker");
    struct scene scene;
    struct commit first;
    struct lease lease, asked = {.token = 77};
    int64_t again = 88;
    size_t waiting = 0;

    (void)state;
    scene_init(&scene, store);
    first = scene_commit(&scene, 0, 0, 0, scene_note(&scene, "note"));
    assert_int_equal(store_session_create(store, holder, "alpha", &first, &lease, NULL), HF_OK);
    assert_int_equal(store_lease_ask(store, asker, lease.sid, 9000, &asked, &again, NULL), HF_IO);
    assert_int_equal(again, 88); /* untouched */
    assert_int_equal(store_lease_list(store, note_waiting, &waiting, NULL), HF_OK);
    assert_int_equal(waiting, 1);
    assert_int_equal(store_lease_ask(store, asker, lease.sid, 9000, &asked, &again, NULL),
                     HF_PENDING);
    assert_int_equal(asked.token, 77);
    assert_true(again != 88);
    assert_int_equal(store_lease_release(store, holder, lease.sid, lease.token, NULL), HF_OK);
    assert_int_equal(store_lease_ask(store, asker, lease.sid, 9000, &asked, &again, NULL), HF_OK);
    assert_int_equal(asked.token, lease.token + 1);
    scene_clear(&scene);
    store_close(store);
}

static void a_bad_specification_is_refused_with_a_sentence(void **state)
{
    static const char *const bad[] = {
        "put",           "put@1",      "put@0:EIO",   "put@x:EIO",  "putt@1:EIO",
        "put@1:ENOSUCH", "put@1:EIO?", "@1:EIO",      "put@-1:EIO", "put@1x:EIO",
        "put:1@EIO",     "put@1:",     "put@1:EIO,x", ",put@1:EIO",
    };
    struct store *store = open_url("faulty()+memory:");

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct hf_error err = {0};

        if (faulty_store_set(store, bad[i], &err) != HF_INVAL)
            fail_msg("accepted: %s", bad[i]);
        assert_non_null(strstr(err.message, "not a fault"));
    }
    assert_int_equal(head_status(store), HF_OK);
    store_close(store);
}

/* --- trace ---------------------------------------------------------------------------------------------------------- */

static void calls_are_counted_and_told(void **state)
{
    struct store *below = open_url("memory:"), *store;
    struct trace_counters counters;
    char text[2000];
    ssize_t n;
    int ends[2];

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_false(trace_store_counters(below, &counters));
    assert_int_equal(trace_store_new(below, &clock_system, ends[1], &store, NULL), HF_OK);
    assert_int_equal(put_status(store, NULL), HF_OK);
    assert_int_equal(head_status(store), HF_OK);
    assert_int_equal(head_status(store), HF_OK);
    assert_int_equal(store_session_undelete(store, 5, NULL, NULL), HF_NOENT);
    assert_true(trace_store_counters(store, &counters));
    assert_int_equal(counters.ops[STORE_OP_PUT].calls, 1);
    assert_int_equal(counters.ops[STORE_OP_PUT].items, 1);
    assert_int_equal(counters.ops[STORE_OP_PUT].bytes, 5);
    assert_int_equal(counters.ops[STORE_OP_SESSION_HEAD].calls, 2);
    assert_int_equal(counters.ops[STORE_OP_SESSION_HEAD].failures, 0);
    assert_int_equal(counters.ops[STORE_OP_SESSION_UNDELETE].failures, 1);
    assert_true(counters.ops[STORE_OP_PUT].slowest_ns <= counters.ops[STORE_OP_PUT].total_ns);
    store_close(store);
    close(ends[1]);
    n = read(ends[0], text, sizeof text - 1);
    assert_true(n > 0);
    text[n] = '\0';
    assert_non_null(strstr(text, "store put host 0 1 items 5 bytes "));
    assert_non_null(strstr(text, "store session_undelete session 5 "));
    assert_non_null(strstr(text, "no such file or session\n"));
    close(ends[0]);
}

/* --- names of calls ---------------------------------------------------------------------------------------------------- */

static void every_call_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int op = 0; op < STORE_OP_COUNT; op++) {
        const char *name = store_op_name((enum store_op)op);
        enum store_op parsed;

        assert_int_equal(store_op_parse(name, strlen(name), &parsed), HF_OK);
        assert_int_equal(parsed, op);
        assert_int_equal(store_op_parse(name, strlen(name) - 1, &parsed), HF_INVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_nth_call_of_its_kind_fails_once),
        cmocka_unit_test(a_sticky_fault_lasts_until_it_is_cleared),
        cmocka_unit_test(any_counts_all_calls),
        cmocka_unit_test(a_late_fault_happens_after_the_call_was_made),
        cmocka_unit_test(who_asked_stands_in_the_queue_though_the_answer_was_lost),
        cmocka_unit_test(a_bad_specification_is_refused_with_a_sentence),
        cmocka_unit_test(calls_are_counted_and_told),
        cmocka_unit_test(every_call_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests_name("decorators", tests, NULL, NULL);
}
