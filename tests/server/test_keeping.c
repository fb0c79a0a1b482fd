/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept and forgotten, over the network: who may, who sees what, and what is asked again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "engine/open.h"
#include "rig.h"
#include "wire/convert.h"

static int set_up(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);

    assert_non_null(rig);
    rig_open(rig);
    rig->options.relaxed = true;
    rig_start(rig);
    *state = rig;
    return 0;
}

static int tear_down(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static struct store *open_store(struct rig *rig, const char *host, const char *rights)
{
    struct store *store;
    struct hf_error err;
    char url[512], bundle[64];

    test_pki_host(&rig->pki, host, rights);
    snprintf(bundle, sizeof bundle, "%s.pem", host);
    snprintf(url, sizeof url, "holdfast://127.0.0.1:%u?cert=%s", rig->port,
             test_pki_path(&rig->pki, bundle));
    if (store_open(url, 0, NULL, NULL, &store, &err) != HF_OK)
        fail_msg("%s", err.message);
    return store;
}

/* A session at version 2, and a rescue version of it. */
struct kept {
    uint64_t sid, token, rescue;
};

static struct kept keep(struct client *client, const char *name)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__RescueRequest rescue = HOLDFAST__WIRE__RESCUE_REQUEST__INIT;
    Holdfast__Wire__Commit commit = HOLDFAST__WIRE__COMMIT__INIT;
    Holdfast__Wire__SessionMeta meta = HOLDFAST__WIRE__SESSION_META__INIT;
    Holdfast__Wire__SessionRequest head = HOLDFAST__WIRE__SESSION_REQUEST__INIT;
    Holdfast__Wire__Frame *found, *answer;
    struct kept kept;
    uint64_t version;

    assert_int_equal(call_create(client, client->host, name, "x", false, &kept.sid, &kept.token),
                     HF_OK);
    assert_int_equal(
        call_commit(client, client->host, kept.sid, kept.token, 1, "y", false, &version), HF_OK);
    head.sid = kept.sid;
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_SESSION_HEAD;
    request.session_head = &head;
    assert_int_equal(client_call(client, &request, &found), HF_OK);
    commit.sid = kept.sid;
    commit.token = kept.token;
    commit.base_version = 1;
    commit.root = found->reply->head->root;
    commit.meta = &meta;
    rescue.host = client->host;
    rescue.commit = &commit;
    rescue.reason = wire_fill_text("a test");
    request.op_case = HOLDFAST__WIRE__REQUEST__OP_RESCUE;
    request.rescue = &rescue;
    assert_int_equal(client_call(client, &request, &answer), HF_OK);
    kept.rescue = answer->reply->number;
    frame_free(found);
    frame_free(answer);
    return kept;
}

/* --- who sees what -------------------------------------------------------------------------------- */

#define SEEN_MAX 400

static int note_rescue(const struct rescue_info *info, void *arg)
{
    size_t len = strlen(arg);

    snprintf((char *)arg + len, SEEN_MAX - len, "%s ", info->session_name);
    return HF_OK;
}

static void assert_rescues(struct store *store, uint64_t sid, int status, const char *names)
{
    char seen[SEEN_MAX] = "";

    assert_int_equal(store_rescue_list(store, sid, note_rescue, seen, NULL), status);
    assert_string_equal(seen, names);
}

static void rescues_of_sessions_that_do_not_match_are_not_there(void **state)
{
    struct client *client = client_host(*state, "host-a", 1);
    struct kept mine = keep(client, "dev-1"), other = keep(client, "prod-1");
    struct store *reader = open_store(*state, "reader", "holdfast:reader?session=dev-*");
    struct store *agent = open_store(*state, "agent", "holdfast:agent?session=dev-*");
    struct store *admin = open_store(*state, "admin", "holdfast:admin");
    struct hf_error hidden, absent;

    assert_rescues(admin, UINT64_MAX, HF_OK, "dev-1 prod-1 ");
    assert_rescues(reader, UINT64_MAX, HF_OK, "dev-1 ");
    assert_rescues(reader, mine.sid, HF_OK, "dev-1 ");
    assert_rescues(reader, other.sid, HF_NOENT, "");
    assert_rescues(reader, 999, HF_NOENT, "");
    assert_int_equal(store_rescue_drop(reader, mine.sid, mine.rescue, NULL), HF_ROFS);
    assert_int_equal(store_rescue_drop(agent, other.sid, other.rescue, &hidden), HF_NOENT);
    assert_int_equal(store_rescue_drop(agent, 999, other.rescue, &absent), HF_NOENT);
    assert_string_equal(hidden.message, "there is no session with the number 2");
    assert_string_equal(absent.message, "there is no session with the number 999");
    /* Nor by the way of a session that does match. */
    assert_int_equal(store_rescue_drop(agent, mine.sid, other.rescue, NULL), HF_NOENT);
    assert_int_equal(store_rescue_drop(agent, mine.sid, mine.rescue, NULL), HF_OK);
    assert_rescues(admin, UINT64_MAX, HF_OK, "prod-1 ");
    store_close(reader);
    store_close(agent);
    store_close(admin);
    client_close(client);
}

static int no_pin(const struct pin_info *pin, void *arg)
{
    (void)pin;
    (void)arg;
    return HF_OK;
}

static void what_is_an_admins_is_no_agents(void **state)
{
    struct client *client = client_host(*state, "host-a", 1);
    struct kept mine = keep(client, "one");
    struct store *agent = open_store(*state, "agent", "holdfast:agent");
    struct session_copy session = {.sid = 9, .name = "new", .state = SESSION_LIVE, .nversions = 1};
    struct history_entry version = {.sid = 9, .version = 1};
    struct snapshot_copy snapshot = {.name = "new"};
    const struct rescue_info rescue = {
        .id = 1, .sid = mine.sid, .session_name = "one", .reason = "x"};
    const uint8_t origin[UUID_SIZE] = {1};
    const struct object_id id = {{1}};
    struct collect_totals totals;
    uint64_t dropped;

    session.versions = &version;
    assert_int_equal(store_session_purge(agent, mine.sid, NULL), HF_ACCESS);
    assert_int_equal(store_history_drop(agent, mine.sid, (uint64_t[]){1}, 1, &dropped, NULL),
                     HF_ACCESS);
    assert_int_equal(store_snapshot_pins(agent, "new", no_pin, NULL, NULL), HF_ACCESS);
    assert_int_equal(store_session_receive(agent, &session, NULL), HF_ACCESS);
    assert_int_equal(store_rescue_receive(agent, origin, &rescue, NULL), HF_ACCESS);
    assert_int_equal(store_snapshot_receive(agent, &snapshot, NULL), HF_ACCESS);
    assert_int_equal(store_setting_set(agent, "note", slice_of("x", 1), NULL), HF_ACCESS);
    assert_int_equal(store_collect(agent, NULL, &totals, NULL), HF_ACCESS);
    assert_int_equal(store_mend(agent, &id, NULL, NULL), HF_ACCESS);
    store_close(agent);
    client_close(client);
}

static void a_setting_is_read_by_all_and_may_be_empty(void **state)
{
    static uint8_t text[SETTING_MAX];
    struct store *admin = open_store(*state, "admin", "holdfast:admin");
    struct store *reader = open_store(*state, "reader", "holdfast:reader?session=none");
    BUF_AUTO got = {0};
    struct hf_error err;

    memset(text, 'a', sizeof text);
    assert_int_equal(store_setting_get(reader, "note", &got, &err), HF_NOENT);
    assert_int_equal(store_setting_set(admin, "note", slice_of(text, sizeof text), &err), HF_OK);
    assert_int_equal(store_setting_get(reader, "note", &got, &err), HF_OK);
    assert_int_equal(slice_compare(buf_slice(&got), slice_of(text, sizeof text)), 0);
    assert_int_equal(store_setting_set(admin, "note", slice_of("", 0), &err), HF_OK);
    assert_int_equal(store_setting_get(reader, "note", &got, &err), HF_OK);
    assert_int_equal(got.len, sizeof text); /* appended nothing */
    assert_int_equal(store_setting_set(admin, "note", (struct slice){0}, &err), HF_OK);
    assert_int_equal(store_setting_get(reader, "note", &got, &err), HF_NOENT);
    store_close(admin);
    store_close(reader);
}

/* --- what is counted ------------------------------------------------------------------------------ */

static void connections_and_requests_are_counted_by_tenant(void **state)
{
    struct client *client = client_host(*state, "host-a", 1);
    struct client *stranger = client_open(*state, "other", "holdfast:agent?tenant=other");
    struct store *admin = open_store(*state, "admin", "holdfast:admin");
    struct store_stats before, after;
    uint64_t version;

    assert_int_equal(store_stats(admin, &before, NULL), HF_OK);
    assert_int_equal(before.connections, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call_head(client, SHARED_SID, &version), HF_OK);
        assert_int_equal(call_head(stranger, SHARED_SID, &version), HF_OK);
    }
    assert_int_equal(store_stats(admin, &after, NULL), HF_OK);
    assert_int_equal(after.activity.requests - before.activity.requests, 4); /* and this one */
    store_close(admin);
    client_close(client);
    client_close(stranger);
}

/* --- what is asked again -------------------------------------------------------------------------- */

static int ask(struct client *client, int op, void *message, bool retry)
{
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;

    request.retry = retry;
    request.op_case = (Holdfast__Wire__Request__OpCase)op;
    request.hello = message; /* all of them are pointers in one union */
    return client_call(client, &request, NULL);
}

static void a_purge_that_was_done_is_done(void **state)
{
    struct client *client = client_host(*state, "host-a", 1);
    struct client *admin = client_open(*state, "admin", "holdfast:admin");
    struct kept mine = keep(client, "one"), other = keep(client, "two");
    Holdfast__Wire__LeaseRequest delete = HOLDFAST__WIRE__LEASE_REQUEST__INIT;
    Holdfast__Wire__SessionRequest purge = HOLDFAST__WIRE__SESSION_REQUEST__INIT;
    const int op = HOLDFAST__WIRE__REQUEST__OP_SESSION_PURGE;

    delete.host = client->host;
    delete.sid = purge.sid = mine.sid;
    delete.token = mine.token;
    assert_int_equal(ask(client, HOLDFAST__WIRE__REQUEST__OP_SESSION_DELETE, &delete, false),
                     HF_OK);
    assert_int_equal(ask(admin, op, &purge, true), HF_OK);
    assert_int_equal(ask(admin, op, &purge, true), HF_OK);
    assert_int_equal(ask(admin, op, &purge, false), HF_NOENT);
    purge.sid = other.sid; /* which lives */
    assert_int_equal(ask(admin, op, &purge, true), HF_NOENT);
    client_close(client);
    client_close(admin);
}

static void what_was_forgotten_is_forgotten(void **state)
{
    struct client *client = client_host(*state, "host-a", 1);
    struct client *admin = client_open(*state, "admin", "holdfast:admin");
    struct kept mine = keep(client, "one");
    Holdfast__Wire__RescueDropRequest rescue = HOLDFAST__WIRE__RESCUE_DROP_REQUEST__INIT;
    Holdfast__Wire__SettingRequest setting = HOLDFAST__WIRE__SETTING_REQUEST__INIT;
    Holdfast__Wire__HistoryDropRequest history = HOLDFAST__WIRE__HISTORY_DROP_REQUEST__INIT;
    uint64_t versions[] = {1, 2, 77};

    rescue.sid = history.sid = mine.sid;
    rescue.rescue = mine.rescue;
    setting.name = wire_fill_text("note");
    setting.forget = true;
    history.versions = versions;
    history.n_versions = 3;
    assert_int_equal(ask(client, HOLDFAST__WIRE__REQUEST__OP_RESCUE_DROP, &rescue, false), HF_OK);
    assert_int_equal(ask(client, HOLDFAST__WIRE__REQUEST__OP_RESCUE_DROP, &rescue, true), HF_OK);
    assert_int_equal(ask(client, HOLDFAST__WIRE__REQUEST__OP_RESCUE_DROP, &rescue, false),
                     HF_NOENT);
    assert_int_equal(ask(admin, HOLDFAST__WIRE__REQUEST__OP_SETTING_SET, &setting, true), HF_OK);
    assert_int_equal(ask(admin, HOLDFAST__WIRE__REQUEST__OP_HISTORY_DROP, &history, true), HF_OK);
    assert_int_equal(ask(admin, HOLDFAST__WIRE__REQUEST__OP_HISTORY_DROP, &history, true), HF_OK);
    client_close(client);
    client_close(admin);
}

/* --- what is refused ------------------------------------------------------------------------------ */

static void nonsense_is_refused_with_a_sentence(void **state)
{
    static uint8_t text[SETTING_MAX + 1], half[OBJECT_ID_SIZE / 2];
    struct client *admin = client_open(*state, "admin", "holdfast:admin");
    Holdfast__Wire__SettingRequest setting = HOLDFAST__WIRE__SETTING_REQUEST__INIT;
    Holdfast__Wire__MendRequest mend = HOLDFAST__WIRE__MEND_REQUEST__INIT;
    Holdfast__Wire__HistoryDropRequest history = HOLDFAST__WIRE__HISTORY_DROP_REQUEST__INIT;
    Holdfast__Wire__RescueReceiveRequest rescue = HOLDFAST__WIRE__RESCUE_RECEIVE_REQUEST__INIT;
    Holdfast__Wire__RescueInfo info = HOLDFAST__WIRE__RESCUE_INFO__INIT;
    Holdfast__Wire__SessionReceiveRequest copy = HOLDFAST__WIRE__SESSION_RECEIVE_REQUEST__INIT;
    const int set = HOLDFAST__WIRE__REQUEST__OP_SETTING_SET;

    setting.name = wire_fill_text("note");
    setting.text = (ProtobufCBinaryData){sizeof text, text};
    assert_int_equal(ask(admin, set, &setting, false), HF_TOOBIG);
    setting.text.len = 1;
    setting.forget = true;
    assert_int_equal(ask(admin, set, &setting, false), HF_INVAL);
    mend.id = (ProtobufCBinaryData){sizeof half, half};
    assert_int_equal(ask(admin, HOLDFAST__WIRE__REQUEST__OP_MEND, &mend, false), HF_INVAL);
    mend.id.len = 0;
    assert_int_equal(ask(admin, HOLDFAST__WIRE__REQUEST__OP_MEND, &mend, false), HF_INVAL);
    history.n_versions = HISTORY_DROP_MAX + 1;
    history.versions = calloc(history.n_versions, sizeof *history.versions);
    assert_non_null(history.versions);
    assert_int_equal(ask(admin, HOLDFAST__WIRE__REQUEST__OP_HISTORY_DROP, &history, false),
                     HF_TOOBIG);
    free(history.versions);
    rescue.origin = (ProtobufCBinaryData){UUID_SIZE, half};
    assert_int_equal(ask(admin, HOLDFAST__WIRE__REQUEST__OP_RESCUE_RECEIVE, &rescue, false),
                     HF_INVAL);
    rescue.rescue = &info; /* without a number */
    assert_int_equal(ask(admin, HOLDFAST__WIRE__REQUEST__OP_RESCUE_RECEIVE, &rescue, false),
                     HF_INVAL);
    assert_int_equal(ask(admin, HOLDFAST__WIRE__REQUEST__OP_SESSION_RECEIVE, &copy, false),
                     HF_INVAL);
    client_close(admin);
}

/* What a server says to a request of the versions to come. */
static void a_request_that_is_not_known_is_refused_with_a_sentence(void **state)
{
    struct client *admin = client_open(*state, "admin", "holdfast:admin");
    Holdfast__Wire__Request request = HOLDFAST__WIRE__REQUEST__INIT;
    Holdfast__Wire__Frame *frame;
    ProtobufCMessageUnknownField field = {
        .tag = 1000, .wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED, .len = 1};
    uint64_t version;

    field.data = (uint8_t *)"";
    request.base.unknown_fields = &field;
    request.base.n_unknown_fields = 1;
    frame = client_answer(admin, client_send(admin, &request));
    assert_non_null(frame);
    assert_int_equal(frame_status(frame), HF_UNSUPPORTED);
    assert_true(frame->reply->message.len > 10);
    frame_free(frame);
    assert_int_equal(call_head(admin, SHARED_SID, &version), HF_OK);
    client_close(admin);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(rescues_of_sessions_that_do_not_match_are_not_there),
        TEST(what_is_an_admins_is_no_agents),
        TEST(a_setting_is_read_by_all_and_may_be_empty),
        TEST(connections_and_requests_are_counted_by_tenant),
        TEST(a_purge_that_was_done_is_done),
        TEST(what_was_forgotten_is_forgotten),
        TEST(nonsense_is_refused_with_a_sentence),
        TEST(a_request_that_is_not_known_is_refused_with_a_sentence),
    };

    return cmocka_run_group_tests_name("keeping over the network", tests, NULL, NULL);
}
