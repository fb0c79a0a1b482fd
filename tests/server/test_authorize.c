/* SPDX-License-Identifier: Apache-2.0 */
/** Every kind of request, from every role, about a session that it may see, one that it may not, and one that is not
 *  there. What is expected stands in a table of its own here, written from the description of the roles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "server/authorize.h"

#define OP(kind) HOLDFAST__WIRE__REQUEST__OP_##kind

/* --- a world ----------------------------------------------------------------------------------------------- */

enum { SID_DEV = 1, SID_PROD = 2, SID_GONE = 99, HOST_OWN = 7, HOST_OTHER = 8 };

static int name_of(uint64_t sid, char ret_name[SESSION_NAME_MAX + 1], void *arg,
                   struct hf_error *err)
{
    (void)arg;
    assert_int_not_equal(sid, SHARED_SID);
    if (sid != SID_DEV && sid != SID_PROD)
        return hf_fail(err, HF_NOENT, "the store's own words");
    snprintf(ret_name, SESSION_NAME_MAX + 1, "%s",
             sid == SID_DEV ? "squadron-dev-1" : "squadron-prod-1");
    return 0;
}

static bool owns(uint64_t host, void *arg)
{
    (void)arg;
    assert_int_not_equal(host, 0);
    return host == HOST_OWN;
}

static const struct authorize_view view = {.name = name_of, .owns = owns};

static char *dev_glob[] = {(char *)"squadron-dev-*"};

static struct principal limited(enum role role)
{
    struct principal principal = {.name = "host-a", .role = role, .tenant = "default"};

    if (role != ROLE_ADMIN) {
        principal.globs = dev_glob;
        principal.nglobs = 1;
    }
    return principal;
}

/* --- requests ------------------------------------------------------------------------------------------------ */

/* A request with everything it can hold, about this session and host. */
struct sample {
    Holdfast__Wire__Request request;
    Holdfast__Wire__PutRequest put;
    Holdfast__Wire__MissingRequest missing;
    Holdfast__Wire__SessionRequest session;
    Holdfast__Wire__SessionCreateRequest create;
    Holdfast__Wire__SessionRenameRequest rename;
    Holdfast__Wire__LeaseRequest lease;
    Holdfast__Wire__CommitRequest commit_request;
    Holdfast__Wire__RescueRequest rescue;
    Holdfast__Wire__Commit commit;
    Holdfast__Wire__HistoryRequest history;
    Holdfast__Wire__HistoryDropRequest drop;
    Holdfast__Wire__RescueListRequest rescues;
    Holdfast__Wire__RescueDropRequest rescue_drop;
    Holdfast__Wire__HostRequest host;
    Holdfast__Wire__LockRequest lock_request;
    Holdfast__Wire__Lock lock;
    char name[300];
};

static void fill_parts(struct sample *sample, uint64_t host, uint64_t sid, const char *name)
{
    ProtobufCBinaryData bytes = {strlen(name), (uint8_t *)sample->name};

    *sample = (struct sample){.request = HOLDFAST__WIRE__REQUEST__INIT,
                              .put = HOLDFAST__WIRE__PUT_REQUEST__INIT,
                              .missing = HOLDFAST__WIRE__MISSING_REQUEST__INIT,
                              .session = HOLDFAST__WIRE__SESSION_REQUEST__INIT,
                              .create = HOLDFAST__WIRE__SESSION_CREATE_REQUEST__INIT,
                              .rename = HOLDFAST__WIRE__SESSION_RENAME_REQUEST__INIT,
                              .lease = HOLDFAST__WIRE__LEASE_REQUEST__INIT,
                              .commit_request = HOLDFAST__WIRE__COMMIT_REQUEST__INIT,
                              .rescue = HOLDFAST__WIRE__RESCUE_REQUEST__INIT,
                              .commit = HOLDFAST__WIRE__COMMIT__INIT,
                              .history = HOLDFAST__WIRE__HISTORY_REQUEST__INIT,
                              .drop = HOLDFAST__WIRE__HISTORY_DROP_REQUEST__INIT,
                              .rescues = HOLDFAST__WIRE__RESCUE_LIST_REQUEST__INIT,
                              .rescue_drop = HOLDFAST__WIRE__RESCUE_DROP_REQUEST__INIT,
                              .host = HOLDFAST__WIRE__HOST_REQUEST__INIT,
                              .lock_request = HOLDFAST__WIRE__LOCK_REQUEST__INIT,
                              .lock = HOLDFAST__WIRE__LOCK__INIT};
    snprintf(sample->name, sizeof sample->name, "%s", name);
    sample->session.sid = sample->rename.sid = sample->lease.sid = sample->commit.sid =
        sample->history.sid = sample->drop.sid = sample->rescues.sid = sample->rescue_drop.sid =
            sid;
    sample->session.name = sample->create.name = sample->rename.name = bytes;
    sample->create.host = sample->rename.host = sample->lease.host = sample->commit_request.host =
        sample->rescue.host = sample->put.host = sample->missing.host = sample->host.host =
            sample->lock_request.host = host;
    sample->create.first = sample->commit_request.commit = sample->rescue.commit = &sample->commit;
    sample->lock_request.lock = &sample->lock;
}

static void fill(struct sample *sample, int op, uint64_t host, uint64_t sid, const char *name)
{
    static const struct {
        int op;
        size_t offset; /* of what the request points to */
    } parts[] = {
        {OP(PUT), offsetof(struct sample, put)},
        {OP(MISSING), offsetof(struct sample, missing)},
        {OP(SESSION_FIND), offsetof(struct sample, session)},
        {OP(SESSION_HEAD), offsetof(struct sample, session)},
        {OP(SESSION_UNDELETE), offsetof(struct sample, session)},
        {OP(SESSION_CREATE), offsetof(struct sample, create)},
        {OP(SESSION_RENAME), offsetof(struct sample, rename)},
        {OP(SESSION_DELETE), offsetof(struct sample, lease)},
        {OP(LEASE_ACQUIRE), offsetof(struct sample, lease)},
        {OP(LEASE_RELEASE), offsetof(struct sample, lease)},
        {OP(LEASE_REFUSE), offsetof(struct sample, lease)},
        {OP(LEASE_BREAK), offsetof(struct sample, lease)},
        {OP(COMMIT), offsetof(struct sample, commit_request)},
        {OP(RESCUE), offsetof(struct sample, rescue)},
        {OP(HISTORY), offsetof(struct sample, history)},
        {OP(SESSION_PURGE), offsetof(struct sample, session)},
        {OP(HISTORY_DROP), offsetof(struct sample, drop)},
        {OP(RESCUE_LIST), offsetof(struct sample, rescues)},
        {OP(RESCUE_DROP), offsetof(struct sample, rescue_drop)},
        {OP(HOST_HEARTBEAT), offsetof(struct sample, host)},
        {OP(HOST_END), offsetof(struct sample, host)},
        {OP(LOCK_SET), offsetof(struct sample, lock_request)},
        {OP(LOCK_TEST), offsetof(struct sample, lock_request)},
    };

    fill_parts(sample, host, sid, name);
    sample->request.op_case = (Holdfast__Wire__Request__OpCase)op;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (parts[i].op == op) /* the members of a union of pointers share their place */
            sample->request.hello =
                (Holdfast__Wire__Hello *)(void *)((char *)sample + parts[i].offset);
}

static int ask(enum role role, int op, uint64_t host, uint64_t sid, const char *name,
               struct hf_error *ret_err)
{
    struct principal principal = limited(role);
    struct sample *sample = malloc(sizeof *sample);
    int status;

    assert_non_null(sample);
    fill(sample, op, host, sid, name);
    *ret_err = (struct hf_error){0};
    status = authorize_request(&principal, &sample->request, &view, ret_err);
    free(sample);
    return status;
}

/* --- what is expected ------------------------------------------------------------------------------------------ */

enum needs { NOTHING, SESSION, NAME, NEW_NAME, SESSION_AND_NEW_NAME };

struct expected {
    int op;
    enum role least;
    bool own_host;
    enum needs needs;
};

static const struct expected table[] = {
    {OP(HELLO), ROLE_READER, false, NOTHING},
    {OP(PUT), ROLE_AGENT, true, NOTHING},
    {OP(GET), ROLE_READER, false, NOTHING},
    {OP(MISSING), ROLE_READER, true, NOTHING},
    {OP(SESSION_LIST), ROLE_READER, false, NOTHING},
    {OP(SESSION_FIND), ROLE_READER, false, NAME},
    {OP(SESSION_HEAD), ROLE_READER, false, SESSION},
    {OP(SESSION_CREATE), ROLE_AGENT, true, NEW_NAME},
    {OP(SESSION_RENAME), ROLE_AGENT, true, SESSION_AND_NEW_NAME},
    {OP(SESSION_DELETE), ROLE_AGENT, true, SESSION},
    {OP(SESSION_UNDELETE), ROLE_AGENT, false, SESSION_AND_NEW_NAME},
    {OP(COMMIT), ROLE_AGENT, true, SESSION},
    {OP(SYNC), ROLE_AGENT, false, NOTHING},
    {OP(HISTORY), ROLE_READER, false, SESSION},
    {OP(RESCUE), ROLE_AGENT, true, SESSION},
    {OP(HOST_REGISTER), ROLE_READER, false, NOTHING},
    {OP(HOST_HEARTBEAT), ROLE_READER, true, NOTHING},
    {OP(HOST_END), ROLE_READER, true, NOTHING},
    {OP(HOST_LIST), ROLE_READER, false, NOTHING},
    {OP(LEASE_ACQUIRE), ROLE_AGENT, true, SESSION},
    {OP(LEASE_RELEASE), ROLE_AGENT, true, SESSION},
    {OP(LEASE_REFUSE), ROLE_AGENT, true, SESSION},
    {OP(LEASE_BREAK), ROLE_ADMIN, false, SESSION},
    {OP(LEASE_LIST), ROLE_READER, false, NOTHING},
    {OP(AUDIT), ROLE_ADMIN, false, NOTHING},
    {OP(LOCK_SET), ROLE_AGENT, true, NOTHING},
    {OP(LOCK_TEST), ROLE_READER, true, NOTHING},
    {OP(SNAPSHOT_CREATE), ROLE_ADMIN, false, NOTHING},
    {OP(SNAPSHOT_LIST), ROLE_ADMIN, false, NOTHING},
    {OP(SNAPSHOT_DELETE), ROLE_ADMIN, false, NOTHING},
    {OP(ROOTS), ROLE_ADMIN, false, NOTHING},
    {OP(STATS), ROLE_ADMIN, false, NOTHING},
    {OP(CHECK), ROLE_ADMIN, false, NOTHING},
    {OP(CANCEL), ROLE_READER, false, NOTHING},
    {OP(SESSION_PURGE), ROLE_ADMIN, false, SESSION},
    {OP(HISTORY_DROP), ROLE_ADMIN, false, SESSION},
    {OP(RESCUE_LIST), ROLE_READER, false, SESSION},
    {OP(RESCUE_DROP), ROLE_AGENT, false, SESSION},
    {OP(SNAPSHOT_PINS), ROLE_ADMIN, false, NOTHING},
    {OP(SESSION_RECEIVE), ROLE_ADMIN, false, NOTHING},
    {OP(SNAPSHOT_RECEIVE), ROLE_ADMIN, false, NOTHING},
    {OP(SETTING_GET), ROLE_READER, false, NOTHING},
    {OP(SETTING_SET), ROLE_ADMIN, false, NOTHING},
    {OP(COLLECT), ROLE_ADMIN, false, NOTHING},
    {OP(MEND), ROLE_ADMIN, false, NOTHING},
    {OP(RESCUE_RECEIVE), ROLE_ADMIN, false, NOTHING},
};
#define TABLE_LEN (sizeof table / sizeof table[0])

static const enum role roles[] = {ROLE_NONE, ROLE_READER, ROLE_AGENT, ROLE_ADMIN};

static bool by_number(const struct expected *row)
{
    return row->needs == SESSION || row->needs == SESSION_AND_NEW_NAME;
}

static bool by_new_name(const struct expected *row)
{
    return row->needs == NEW_NAME || row->needs == SESSION_AND_NEW_NAME;
}

/* --- tests ------------------------------------------------------------------------------------------------------ */

static void every_kind_of_request_has_a_row(void **state)
{
    const ProtobufCMessageDescriptor *request = &holdfast__wire__request__descriptor;
    size_t kinds = 0;

    (void)state;
    for (unsigned i = 0; i < request->n_fields; i++) {
        bool here = false;
        if (request->fields[i].type != PROTOBUF_C_TYPE_MESSAGE)
            continue;
        kinds++;
        for (size_t k = 0; k < TABLE_LEN; k++)
            here = here || (uint32_t)table[k].op == request->fields[i].id;
        if (!here || authorize_least_role((int)request->fields[i].id) == ROLE_NONE)
            fail_msg("'%s' has no row", request->fields[i].name);
        assert_string_equal(authorize_name((int)request->fields[i].id), request->fields[i].name);
    }
    assert_int_equal(kinds, TABLE_LEN);
}

static void a_kind_without_a_row_is_refused(void **state)
{
    static const int kinds[] = {0, 1, 48, 1000, -1, INT32_MAX, INT32_MIN};
    struct hf_error err;

    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        assert_int_equal(authorize_least_role(kinds[i]), ROLE_NONE);
        assert_non_null(authorize_name(kinds[i]));
        assert_int_equal(ask(ROLE_ADMIN, kinds[i], HOST_OWN, SID_DEV, "squadron-dev-1", &err),
                         HF_UNSUPPORTED);
    }
}

static void each_role_may_do_what_its_description_says(void **state)
{
    struct hf_error err;

    (void)state;
    for (size_t i = 0; i < TABLE_LEN; i++)
        for (size_t r = 0; r < 4; r++) {
            int status = ask(roles[r], table[i].op, HOST_OWN, SID_DEV, "squadron-dev-2", &err);
            int wanted = roles[r] >= table[i].least ? 0 : HF_ACCESS;
            if (status != wanted)
                fail_msg("%s of %s: %d (%s)", authorize_name(table[i].op), role_name(roles[r]),
                         status, err.message);
            if (wanted)
                assert_non_null(strstr(err.message, authorize_name(table[i].op)));
        }
}

static void a_session_of_another_name_is_as_if_it_were_not_there(void **state)
{
    struct hf_error hidden, absent;

    (void)state;
    for (size_t i = 0; i < TABLE_LEN; i++)
        for (size_t r = 1; r < 4; r++) {
            int wanted = roles[r] < table[i].least ? HF_ACCESS
                         : roles[r] == ROLE_ADMIN  ? 0
                                                   : HF_NOENT;
            int status, gone;
            if (!by_number(&table[i]))
                continue;
            status = ask(roles[r], table[i].op, HOST_OWN, SID_PROD, "squadron-dev-2", &hidden);
            gone = ask(roles[r], table[i].op, HOST_OWN, SID_GONE, "squadron-dev-2", &absent);
            assert_int_equal(status, wanted);
            assert_int_equal(gone, wanted ? wanted : HF_NOENT);
            /* Not even the words tell the two apart, but for the number. */
            if (status == HF_NOENT) {
                assert_string_equal(hidden.message, "there is no session with the number 2");
                assert_string_equal(absent.message, "there is no session with the number 99");
            }
        }
}

static void a_name_that_does_not_match_is_not_found_nor_given(void **state)
{
    struct hf_error err;

    (void)state;
    for (size_t i = 0; i < TABLE_LEN; i++)
        for (size_t r = 1; r < 4; r++) {
            int wanted =
                roles[r] < table[i].least || (roles[r] < ROLE_ADMIN && by_new_name(&table[i]))
                    ? HF_ACCESS
                : roles[r] < ROLE_ADMIN && table[i].needs == NAME ? HF_NOENT
                                                                  : 0;
            assert_int_equal(ask(roles[r], table[i].op, HOST_OWN, SID_DEV, "squadron-prod-2", &err),
                             wanted);
        }
}

static void names_that_are_none_are_refused(void **state)
{
    char longer[SESSION_NAME_MAX + 2];
    struct hf_error err;

    (void)state;
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    for (size_t i = 0; i < TABLE_LEN; i++) {
        if (table[i].needs != NAME && !by_new_name(&table[i]))
            continue;
        assert_int_equal(ask(ROLE_ADMIN, table[i].op, HOST_OWN, SID_DEV, "a/b", &err), HF_INVAL);
        assert_int_equal(ask(ROLE_ADMIN, table[i].op, HOST_OWN, SID_DEV, ".a", &err), HF_INVAL);
        assert_int_equal(ask(ROLE_ADMIN, table[i].op, HOST_OWN, SID_DEV, longer, &err), HF_INVAL);
        assert_int_equal(ask(ROLE_ADMIN, table[i].op, HOST_OWN, SID_DEV, "", &err),
                         table[i].op == OP(SESSION_UNDELETE) ? 0 : HF_INVAL);
    }
}

static void nobody_acts_for_the_host_session_of_another(void **state)
{
    struct hf_error err;

    (void)state;
    for (size_t i = 0; i < TABLE_LEN; i++) {
        int wanted = table[i].own_host ? HF_FENCED : 0;
        assert_int_equal(ask(ROLE_ADMIN, table[i].op, HOST_OTHER, SID_DEV, "squadron-dev-2", &err),
                         wanted);
        /* No host session is needed to make a session, which then has no lease, to look for a lock, and to put
         * what nothing keeps. */
        if (table[i].op == OP(SESSION_CREATE) || table[i].op == OP(LOCK_TEST) ||
            table[i].op == OP(PUT) || table[i].op == OP(MISSING))
            wanted = 0;
        assert_int_equal(ask(ROLE_ADMIN, table[i].op, 0, SID_DEV, "squadron-dev-2", &err), wanted);
    }
}

static void the_rescue_versions_of_all_sessions_may_be_asked_for(void **state)
{
    struct hf_error err;

    (void)state;
    assert_int_equal(ask(ROLE_READER, OP(RESCUE_LIST), 0, UINT64_MAX, "", &err), 0);
    assert_int_equal(ask(ROLE_AGENT, OP(RESCUE_DROP), 0, UINT64_MAX, "", &err), HF_NOENT);
    assert_int_equal(ask(ROLE_READER, OP(HISTORY), 0, UINT64_MAX, "", &err), HF_NOENT);
}

static void the_shared_tree_is_everybodys(void **state)
{
    struct hf_error err;

    (void)state;
    for (size_t i = 0; i < TABLE_LEN; i++)
        if (by_number(&table[i]))
            assert_int_equal(
                ask(table[i].least, table[i].op, HOST_OWN, SHARED_SID, "squadron-dev-2", &err), 0);
}

static void a_request_without_its_parts_is_refused(void **state)
{
    static const int kinds[] = {OP(COMMIT), OP(RESCUE), OP(LOCK_SET), OP(LOCK_TEST)};
    struct principal admin = limited(ROLE_ADMIN);
    struct sample *sample = malloc(sizeof *sample);

    (void)state;
    assert_non_null(sample);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        fill(sample, kinds[i], HOST_OWN, SID_DEV, "x");
        sample->commit_request.commit = sample->rescue.commit = NULL;
        sample->lock_request.lock = NULL;
        assert_int_equal(authorize_request(&admin, &sample->request, &view, NULL), HF_INVAL);
    }
    fill(sample, OP(SESSION_FIND), HOST_OWN, SID_DEV, "a");
    sample->session.name.len = 2; /* a NUL in it */
    assert_int_equal(authorize_request(&admin, &sample->request, &view, NULL), HF_INVAL);
    free(sample);
}

static int name_fails(uint64_t sid, char ret_name[SESSION_NAME_MAX + 1], void *arg,
                      struct hf_error *err)
{
    (void)sid, (void)ret_name, (void)arg;
    return hf_fail(err, HF_IO, "the medium is gone");
}

static void a_store_that_fails_is_not_taken_for_an_absent_session(void **state)
{
    const struct authorize_view failing = {.name = name_fails, .owns = owns};
    struct principal agent = limited(ROLE_AGENT);
    struct sample *sample = malloc(sizeof *sample);

    (void)state;
    assert_non_null(sample);
    fill(sample, OP(COMMIT), HOST_OWN, SID_DEV, "x");
    assert_int_equal(authorize_request(&agent, &sample->request, &failing, NULL), HF_IO);
    free(sample);
}

static void lists_show_what_matches(void **state)
{
    struct principal reader = limited(ROLE_READER), admin = limited(ROLE_ADMIN);
    struct principal anybody = {.name = "host-b", .role = ROLE_AGENT};
    struct principal nobody = {.name = "host-c"};
    const struct host_identity own = {.principal = "host-a"}, other = {.principal = "host-b"};
    const struct host_identity embedded = {0};

    (void)state;
    assert_true(authorize_shows(&reader, "squadron-dev-1"));
    assert_true(authorize_shows(&reader, ""));
    assert_false(authorize_shows(&reader, "squadron-prod-1"));
    assert_false(authorize_shows(&reader, NULL));
    assert_true(authorize_shows(&anybody, "squadron-prod-1"));
    assert_false(authorize_shows(&anybody, NULL));
    assert_true(authorize_shows(&admin, "squadron-prod-1"));
    assert_true(authorize_shows(&admin, NULL));
    assert_false(authorize_shows(&nobody, "squadron-dev-1"));
    assert_false(authorize_shows(&nobody, ""));
    assert_true(authorize_shows_host(&reader, &own));
    assert_false(authorize_shows_host(&reader, &other));
    assert_false(authorize_shows_host(&reader, &embedded));
    assert_true(authorize_shows_host(&admin, &other));
}

static bool shown(const struct principal *principal, enum event_kind kind, uint64_t sid,
                  const char *name, const char *former)
{
    const struct store_event event = {.kind = kind, .sid = sid};

    return authorize_shows_event(principal, &event, name, former);
}

static void events_tell_of_what_matches(void **state)
{
    static const enum event_kind own[] = {
        EVENT_LEASE_RECALLED, EVENT_LEASE_LOST, EVENT_LEASE_ANSWERED, EVENT_HOSTS_CHANGED,
        EVENT_LOCKS_CHANGED,  EVENT_MISSED,     EVENT_HOST_LOST};
    struct principal agent = limited(ROLE_AGENT), admin = limited(ROLE_ADMIN), nobody = {0};

    (void)state;
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++) {
        assert_true(shown(&agent, own[i], SID_PROD, "squadron-prod-1", NULL));
        assert_false(shown(&nobody, own[i], SID_PROD, "squadron-prod-1", NULL));
    }
    assert_true(shown(&agent, EVENT_HEAD_MOVED, SID_DEV, "squadron-dev-1", NULL));
    assert_true(shown(&agent, EVENT_HEAD_MOVED, SHARED_SID, NULL, NULL));
    assert_false(shown(&nobody, EVENT_HEAD_MOVED, SHARED_SID, NULL, NULL));
    assert_false(shown(&agent, EVENT_HEAD_MOVED, SID_PROD, "squadron-prod-1", NULL));
    assert_false(shown(&agent, EVENT_HEAD_MOVED, SID_PROD, "squadron-prod-1", "squadron-dev-1"));
    assert_false(shown(&agent, EVENT_HEAD_MOVED, SID_GONE, NULL, NULL));
    assert_true(shown(&agent, EVENT_SESSIONS_CHANGED, SID_DEV, "squadron-dev-1", NULL));
    assert_false(shown(&agent, EVENT_SESSIONS_CHANGED, SID_PROD, "squadron-prod-1", NULL));
    /* Renamed away: who saw it hears of it. */
    assert_true(
        shown(&agent, EVENT_SESSIONS_CHANGED, SID_PROD, "squadron-prod-1", "squadron-dev-1"));
    assert_true(shown(&admin, EVENT_HEAD_MOVED, SID_GONE, NULL, NULL));
    assert_false(shown(&admin, (enum event_kind)77, SID_DEV, "squadron-dev-1", NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_request_has_a_row),
        cmocka_unit_test(a_kind_without_a_row_is_refused),
        cmocka_unit_test(each_role_may_do_what_its_description_says),
        cmocka_unit_test(a_session_of_another_name_is_as_if_it_were_not_there),
        cmocka_unit_test(a_name_that_does_not_match_is_not_found_nor_given),
        cmocka_unit_test(names_that_are_none_are_refused),
        cmocka_unit_test(nobody_acts_for_the_host_session_of_another),
        cmocka_unit_test(the_rescue_versions_of_all_sessions_may_be_asked_for),
        cmocka_unit_test(the_shared_tree_is_everybodys),
        cmocka_unit_test(a_request_without_its_parts_is_refused),
        cmocka_unit_test(a_store_that_fails_is_not_taken_for_an_absent_session),
        cmocka_unit_test(lists_show_what_matches),
        cmocka_unit_test(events_tell_of_what_matches),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
