/* SPDX-License-Identifier: Apache-2.0 */
/* The limits of the retention policy: what is over one is refused, whoever set it, and can always shrink. */
#include <string.h>

#include "contract.h"

static void set_policy(struct store *store, const char *text)
{
    struct hf_error err = {0};
    struct slice policy = text ? slice_of(text, strlen(text)) : slice_of(NULL, 0);

    if (store_setting_set(store, "retention", policy, &err) != HF_OK)
        fail_msg("%s", err.message);
}

/* A text of so many bytes that is like no other. */
static const char *text_of(size_t len)
{
    static char text[4096];
    static unsigned number;

    assert_true(len < sizeof text);
    scene_fill(++number, text, len);
    for (size_t i = 0; i < len; i++)
        text[i] = (char)('a' + (unsigned char)text[i] % 26);
    text[len] = '\0';
    return text;
}

static void a_session_over_its_limit_may_not_grow_but_shrink(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease;

    set_policy(fixture->a.store, "limits:\n  - {sessions: 'big-*', size: 1000}\n"
                                 "  - {sessions: 's*', size: 100}\n");
    lease = contract_session(fixture, &fixture->a, "s", text_of(50));
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(101)), HF_QUOTA);
    assert_non_null(strstr(fixture->err.message, "session s "));
    assert_non_null(strstr(fixture->err.message, "sessions 's*'"));
    assert_non_null(strstr(fixture->err.message, "line 3"));
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(100)), HF_OK);

    set_policy(fixture->a.store, "limits:\n  - {size: 60}\n");
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(101)), HF_QUOTA);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(100)), HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(80)), HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(81)), HF_QUOTA);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(10)), HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(60)), HF_OK);

    set_policy(fixture->a.store, NULL);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(500)), HF_OK);
    contract_assert_sound(fixture->a.store);
}

static void a_session_is_not_made_over_its_limit(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct session_head head;
    struct object_id root;
    struct commit commit;
    struct lease lease;

    set_policy(fixture->a.store, "limits:\n  - {size: 60}\n");
    scene_clear(scene);
    root = scene_note(scene, text_of(61));
    commit = scene_commit(scene, 0, 0, 0, root);
    assert_int_equal(store_session_create(fixture->a.store, fixture->a.host, "s", &commit, &lease,
                                          &fixture->err),
                     HF_QUOTA);
    assert_int_equal(store_session_find(fixture->a.store, "s", &head, NULL), HF_NOENT);
}

static void work_that_lost_its_lease_is_kept_over_any_limit(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct object_id root;
    struct commit commit;
    struct lease lease;
    uint64_t id;

    lease = contract_session(fixture, &fixture->a, "s", text_of(50));
    set_policy(fixture->a.store, "limits:\n  - {size: 60}\nstore_limit: 1\n");
    scene_clear(scene);
    root = scene_note(scene, text_of(500));
    commit = scene_commit(scene, lease.sid, lease.token, 1, root);
    assert_int_equal(
        store_rescue(fixture->a.store, fixture->a.host, &commit, "a test", &id, &fixture->err),
        HF_OK);
}

static void limits_that_another_sets_count_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct lease lease;

    lease = contract_session(fixture, &fixture->a, "s", text_of(50));
    contract_open_b(fixture);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(70)), HF_OK);
    set_policy(fixture->b.store, "limits:\n  - {size: 60}\n");
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(90)), HF_QUOTA);
    set_policy(fixture->b.store, "limits:\n  - {size: 90}\n");
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(90)), HF_OK);
    set_policy(fixture->b.store, NULL);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(91)), HF_OK);
}

static void a_full_store_takes_what_makes_a_session_smaller(void **state)
{
    struct fixture *fixture = *state;
    struct scene *scene = &fixture->scene;
    struct lease lease;

    lease = contract_session(fixture, &fixture->a, "s", text_of(500));
    set_policy(fixture->a.store, "store_limit: 1\n");
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(501)), HF_NOSPC);
    assert_non_null(strstr(fixture->err.message, "session s "));
    assert_non_null(strstr(fixture->err.message, "store_limit"));
    scene_clear(scene);
    scene_note(scene, text_of(10));
    assert_int_equal(
        store_put(fixture->a.store, fixture->a.host, scene->objects, scene->n, &fixture->err),
        HF_NOSPC);
    /* As large as it was: a name, a time. */
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(500)), HF_OK);
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(400)), HF_OK);
    set_policy(fixture->a.store, "store_limit: 1G\n");
    assert_int_equal(contract_commit(fixture, &fixture->a, &lease, text_of(501)), HF_OK);
    contract_assert_sound(fixture->a.store);
}

const struct CMUnitTest contract_limit_tests[] = {
    CONTRACT_TEST(a_session_over_its_limit_may_not_grow_but_shrink),
    CONTRACT_TEST(a_session_is_not_made_over_its_limit),
    CONTRACT_TEST(work_that_lost_its_lease_is_kept_over_any_limit),
    CONTRACT_TEST(limits_that_another_sets_count_at_once),
    CONTRACT_TEST(a_full_store_takes_what_makes_a_session_smaller),
};
const size_t contract_limit_count = CONTRACT_COUNT(contract_limit_tests);
