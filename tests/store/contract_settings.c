/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "contract.h"

static struct slice text_slice(const char *text)
{
    return slice_of(text, strlen(text));
}

static void assert_setting(struct store *store, const char *name, const char *expected)
{
    BUF_AUTO text = {0};

    assert_int_equal(buf_append(&text, "<", 1), HF_OK);
    assert_int_equal(store_setting_get(store, name, &text, NULL), HF_OK);
    assert_int_equal(text.len, 1 + strlen(expected));
    assert_memory_equal(text.data, "<", 1);
    assert_memory_equal(text.data + 1, expected, strlen(expected));
}

static void a_setting_is_kept_until_it_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    BUF_AUTO text = {0};

    contract_open_b(fixture);
    assert_int_equal(store_setting_get(store, "one", &text, &fixture->err), HF_NOENT);
    assert_int_equal(store_setting_set(store, "one", text_slice("keep: all\n"), NULL), HF_OK);
    assert_int_equal(store_setting_set(store, "another", text_slice(""), NULL), HF_OK);
    assert_setting(fixture->b.store, "one", "keep: all\n");
    assert_setting(fixture->b.store, "another", "");
    assert_int_equal(store_setting_set(fixture->b.store, "one", text_slice("keep: 1\n"), NULL),
                     HF_OK);
    assert_setting(store, "one", "keep: 1\n");
    assert_int_equal(store_setting_set(store, "one", slice_of(NULL, 0), NULL), HF_OK);
    assert_int_equal(store_setting_get(fixture->b.store, "one", &text, NULL), HF_NOENT);
    assert_int_equal(text.len, 0);
    /* What is not set can be forgotten too. */
    assert_int_equal(store_setting_set(store, "one", slice_of(NULL, 0), NULL), HF_OK);
    assert_setting(store, "another", "");
    contract_assert_sound(store);
}

static void a_setting_holds_any_bytes_up_to_its_limit(void **state)
{
    static uint8_t bytes[SETTING_MAX + 1];
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    BUF_AUTO text = {0};

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7);
    assert_int_equal(store_setting_set(store, "s", slice_of(bytes, SETTING_MAX), NULL), HF_OK);
    assert_int_equal(store_setting_set(store, "s", slice_of(bytes, SETTING_MAX + 1), &fixture->err),
                     HF_TOOBIG);
    assert_int_equal(store_setting_get(store, "s", &text, NULL), HF_OK);
    assert_int_equal(text.len, SETTING_MAX);
    assert_memory_equal(text.data, bytes, SETTING_MAX);
    assert_int_equal(store_setting_set(store, "", text_slice("x"), &fixture->err), HF_INVAL);
    /* The store's own. */
    assert_int_equal(store_setting_set(store, SETTING_ORIGIN, text_slice("x"), &fixture->err),
                     HF_INVAL);
}

/* --- what is counted ------------------------------------------------------------------------------------- */

static struct store_stats stats_of(struct store *store)
{
    struct store_stats stats;

    assert_int_equal(store_stats(store, &stats, NULL), HF_OK);
    return stats;
}

static void what_went_through_a_store_is_counted(void **state)
{
    struct fixture *fixture = *state;
    struct store *store = fixture->a.store;
    struct store_stats before = stats_of(store), after;
    struct lease lease = contract_session(fixture, &fixture->a, "alpha", "one");

    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, "two"), HF_OK);
    after = stats_of(store);
    assert_int_equal(after.commits - before.commits, 2);
    assert_int_equal(after.leases - before.leases, 1);
    assert_int_equal(after.waiting, 0);
    assert_true(after.activity.puts >= before.activity.puts + 2); /* a root each */
    assert_true(after.activity.put_bytes > before.activity.put_bytes);
    assert_int_equal(after.activity.gets, before.activity.gets);
    before = after;
    contract_assert_note(store, &lease.head.root, "two");
    after = stats_of(store);
    assert_true(after.activity.gets > before.activity.gets);
    assert_true(after.activity.got_bytes > before.activity.got_bytes);
    assert_int_equal(after.activity.puts, before.activity.puts);
    assert_int_equal(after.commits, before.commits);
    assert_int_equal(store_lease_release(store, fixture->a.host, lease.sid, lease.token, NULL),
                     HF_OK);
    assert_int_equal(stats_of(store).leases, before.leases - 1);
}

const struct CMUnitTest contract_setting_tests[] = {
    CONTRACT_TEST(what_went_through_a_store_is_counted),
    CONTRACT_TEST(a_setting_is_kept_until_it_is_forgotten),
    CONTRACT_TEST(a_setting_holds_any_bytes_up_to_its_limit),
};
const size_t contract_setting_count = CONTRACT_COUNT(contract_setting_tests);
