/* SPDX-License-Identifier: Apache-2.0 */
#include "contract.h"

#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "engine/open.h"

#define PATIENCE_S 20
#define HOLDER_OPTION "--hold"

extern char **environ;

static const struct contract_engine *engine_under_test;

/* --- listening ------------------------------------------------------------------------------------------ */

static void answer_recall(struct recorder *recorder, const struct store_event *event)
{
    struct store *store;
    uint64_t host;
    int answer;

    pthread_mutex_lock(&recorder->mutex);
    store = recorder->store;
    host = recorder->host;
    answer = (int)recorder->answer;
    pthread_mutex_unlock(&recorder->mutex);
    if (answer == RECALL_RELEASE)
        store_lease_release(store, host, event->sid, event->token, NULL);
    else if (answer == RECALL_REFUSE)
        store_lease_refuse(store, host, event->sid, event->token, "an open file", NULL);
}

static void hear(const struct store_event *event, void *arg)
{
    struct recorder *recorder = arg;

    pthread_mutex_lock(&recorder->mutex);
    if (recorder->closed) {
        fprintf(stderr, "event %d was told after the end\n", (int)event->kind);
        abort();
    }
    if (recorder->n < sizeof recorder->events / sizeof recorder->events[0])
        recorder->events[recorder->n++] = *event;
    pthread_cond_broadcast(&recorder->heard);
    pthread_mutex_unlock(&recorder->mutex);
    if (event->kind == EVENT_LEASE_RECALLED)
        answer_recall(recorder, event);
}

void recorder_clear(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    recorder->n = 0;
    pthread_mutex_unlock(&recorder->mutex);
}

struct store_event recorder_wait(struct recorder *recorder, enum event_kind kind, uint64_t sid)
{
    struct timespec deadline;
    struct store_event found = {0};
    int rc = 0;

    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&recorder->mutex);
    for (size_t i = 0; rc == 0 && found.kind == 0;) {
        for (; i < recorder->n && found.kind == 0; i++)
            if (recorder->events[i].kind == kind && recorder->events[i].sid == sid)
                found = recorder->events[i];
        if (found.kind == 0)
            rc = pthread_cond_timedwait(&recorder->heard, &recorder->mutex, &deadline);
    }
    pthread_mutex_unlock(&recorder->mutex);
    if (found.kind == 0)
        fail_msg("no event of kind %d about session %llu came", (int)kind, (unsigned long long)sid);
    return found;
}

size_t recorder_count(struct recorder *recorder, enum event_kind kind, uint64_t sid)
{
    size_t n = 0;

    pthread_mutex_lock(&recorder->mutex);
    for (size_t i = 0; i < recorder->n; i++)
        n += recorder->events[i].kind == kind && recorder->events[i].sid == sid;
    pthread_mutex_unlock(&recorder->mutex);
    return n;
}

/* --- the clock -------------------------------------------------------------------------------------------- */

static atomic_int_least64_t turned;

static int64_t turned_realtime(const struct clock *clock)
{
    (void)clock;
    return clock_realtime(&clock_system) + atomic_load(&turned);
}

static int64_t turned_boottime(const struct clock *clock)
{
    (void)clock;
    return clock_boottime(&clock_system) + atomic_load(&turned);
}

const struct clock contract_clock = {turned_realtime, turned_boottime};

void contract_clock_turn(const char *url, int64_t ns)
{
    (void)url;
    atomic_fetch_add(&turned, ns);
}

/* --- mounts ----------------------------------------------------------------------------------------------- */

struct host_identity contract_identity(const char *host_name)
{
    struct host_identity identity = {
        .incarnation = 1,
        .pid = (uint32_t)getpid(),
        .host_name = host_name,
        .mount_point = "/mnt/sessions",
    };

    memcpy(identity.host_id, "machine-machine-", UUID_SIZE);
    memcpy(identity.boot_id, "boot-boot-boot-b", UUID_SIZE);
    snprintf((char *)identity.mount_id, UUID_SIZE, "%s", host_name);
    return identity;
}

/* A fixture without an engine opens its URL as it is. */
static int open_handle(const struct fixture *fixture, struct store **ret_store,
                       struct hf_error *err)
{
    if (fixture->engine)
        return fixture->engine->open(fixture->url, STORE_CREATE, ret_store, err);
    return store_open(fixture->url, STORE_CREATE, NULL, NULL, ret_store, err);
}

static void recorder_init(struct recorder *recorder, struct store *store)
{
    memset(recorder, 0, sizeof *recorder);
    pthread_mutex_init(&recorder->mutex, NULL);
    pthread_cond_init(&recorder->heard, NULL);
    recorder->store = store;
}

static void join(struct mount *mount, const struct host_identity *identity)
{
    struct recorder *recorder = &mount->recorder;
    struct store_listener listener = {.event = hear, .arg = recorder};
    struct hf_error err = {0};

    recorder_init(recorder, mount->store);
    if (store_host_register(mount->store, identity, &listener, &mount->host, &err) != HF_OK)
        fail_msg("cannot register: %s", err.message);
    pthread_mutex_lock(&recorder->mutex);
    recorder->host = mount->host;
    pthread_mutex_unlock(&recorder->mutex);
}

void contract_mount(struct fixture *fixture, struct mount *mount, const char *host_name)
{
    struct host_identity identity = contract_identity(host_name);
    struct hf_error err = {0};

    if (open_handle(fixture, &mount->store, &err) != HF_OK)
        fail_msg("cannot open %s: %s", fixture->url, err.message);
    mount->joined = false;
    join(mount, &identity);
}

void contract_join(struct mount *mount, struct store *store, const struct host_identity *identity)
{
    mount->store = store;
    mount->joined = true;
    join(mount, identity);
}

static void close_recorder(struct mount *mount)
{
    pthread_mutex_destroy(&mount->recorder.mutex);
    pthread_cond_destroy(&mount->recorder.heard);
    mount->store = NULL;
}

void contract_leave(struct mount *mount)
{
    if (!mount->store)
        return;
    assert_true(mount->joined);
    store_host_end(mount->store, mount->host, NULL);
    close_recorder(mount);
}

void contract_unmount(struct mount *mount)
{
    if (!mount->store)
        return;
    assert_false(mount->joined);
    store_close(mount->store);
    close_recorder(mount);
}

void contract_answer(struct mount *mount, enum recall_answer answer)
{
    pthread_mutex_lock(&mount->recorder.mutex);
    mount->recorder.answer = answer;
    pthread_mutex_unlock(&mount->recorder.mutex);
}

void contract_open_b(struct fixture *fixture)
{
    contract_mount(fixture, &fixture->b, "host-b");
}

void contract_open_c(struct fixture *fixture)
{
    contract_mount(fixture, &fixture->c, "host-c");
}

int contract_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    assert_non_null(fixture);
    fixture->engine = engine_under_test;
    fixture->engine->new_url(fixture->url, sizeof fixture->url);
    contract_mount(fixture, &fixture->a, "host-a");
    scene_init(&fixture->scene, fixture->a.store);
    *state = fixture;
    return 0;
}

int contract_teardown(void **state)
{
    struct fixture *fixture = *state;

    contract_leave(&fixture->d);
    if (fixture->c.joined)
        contract_leave(&fixture->c);
    else
        contract_unmount(&fixture->c);
    contract_unmount(&fixture->b);
    contract_unmount(&fixture->a);
    scene_clear(&fixture->scene);
    fixture->engine->remove(fixture->url);
    free(fixture);
    return 0;
}

/* --- sessions and commits ----------------------------------------------------------------------------------- */

struct lease contract_session(struct fixture *fixture, struct mount *mount, const char *name,
                              const char *text)
{
    struct scene *scene = &fixture->scene;
    struct object_id root;
    struct commit commit;
    struct lease lease;

    scene_clear(scene);
    root = scene_note(scene, text);
    commit = scene_commit(scene, 0, 0, 0, root);
    if (store_session_create(mount->store, mount->host, name, &commit, &lease, &fixture->err) !=
        HF_OK)
        fail_msg("cannot create session %s: %s", name, fixture->err.message);
    return lease;
}

int contract_commit(struct fixture *fixture, struct mount *mount, struct lease *lease,
                    const char *text)
{
    struct scene *scene = &fixture->scene;
    struct object_id root;
    struct commit commit;
    uint64_t version;
    int rc;

    scene_clear(scene);
    root = scene_note(scene, text);
    commit = scene_commit(scene, lease->sid, lease->token, lease->head.version, root);
    rc = store_commit(mount->store, mount->host, &commit, &version, &fixture->err);
    if (rc == HF_OK) {
        assert_true(version == lease->head.version + 1);
        lease->head.version = version;
        lease->head.root = root;
    }
    return rc;
}

void contract_assert_note(struct store *store, const struct object_id *root, const char *text)
{
    struct hf_error err = {0};
    struct node_reader reader;
    struct dir_entry entry;
    struct inode_record record;
    struct root_node decoded;
    BUF_AUTO bytes = {0};

    if (store_get(store, root, 1, &bytes, &err) != HF_OK)
        fail_msg("cannot read the root: %s", err.message);
    assert_int_equal(root_node_decode(buf_slice(&bytes), &decoded), HF_OK);
    assert_int_equal(decoded.dir.content.kind, CONTENT_LEAF);
    assert_int_equal(node_reader_start(&reader, OBJECT_DIR, decoded.dir.content.bytes), HF_OK);
    assert_int_equal(node_reader_dir_entry(&reader, &entry), 1);
    assert_int_equal(inode_record_decode(entry.record, &record), HF_OK);
    assert_int_equal(record.size, strlen(text));
    assert_memory_equal(record.content.bytes.data, text, strlen(text));
}

static int fail_on_finding(const struct check_finding *finding, void *arg)
{
    (void)arg;
    fail_msg("the store is not sound: %s: %s", finding->what, finding->message);
    return HF_CORRUPT;
}

void contract_assert_sound(struct store *store)
{
    struct hf_error err = {0};

    if (store_check(store, fail_on_finding, NULL, &err) != HF_OK)
        fail_msg("the check failed: %s", err.message);
}

/* --- the audit trail ------------------------------------------------------------------------------------------ */

struct text {
    char *bytes;
    size_t len, size;
};

static int add_audit(const struct audit_entry *entry, void *arg)
{
    static const char *const names[] = {
        "?",        "GRANT",  "RECALL", "REFUSE",   "RELEASE", "BREAK",          "FENCED",
        "TAKEOVER", "RESCUE", "DELETE", "UNDELETE", "RENAME",  "RENEWAL_FAILED", "PURGE",
    };
    struct text *text = arg;
    int n = snprintf(text->bytes + text->len, text->size - text->len, "%s ", names[entry->event]);

    assert_true(n > 0 && (size_t)n < text->size - text->len);
    text->len += (size_t)n;
    return 0;
}

void contract_audit_text(struct store *store, uint64_t sid, char *ret_text, size_t size)
{
    struct text text = {ret_text, 0, size};

    ret_text[0] = '\0';
    assert_int_equal(store_audit(store, sid, 0, add_audit, &text, NULL), HF_OK);
}

/* --- a holder in another process -------------------------------------------------------------------------------- */

/* The other process: takes the session, says so on stdout, and waits for its end. */
static int hold(const char *url, const char *name)
{
    static struct recorder recorder;
    struct store_listener listener = {.event = hear, .arg = &recorder};
    struct host_identity identity = contract_identity("host-dead");
    struct session_head head;
    struct lease lease;
    struct store *store;
    struct hf_error err = {0};
    uint64_t host;

    pthread_mutex_init(&recorder.mutex, NULL);
    pthread_cond_init(&recorder.heard, NULL);
    if (store_open(url, 0, NULL, NULL, &store, &err) != HF_OK ||
        store_host_register(store, &identity, &listener, &host, &err) != HF_OK ||
        store_session_find(store, name, &head, &err) != HF_OK ||
        store_lease_acquire(store, host, head.sid, 5000, &lease, &err) != HF_OK) {
        fprintf(stderr, "holder: %s\n", err.message);
        return 1;
    }
    if (write(STDOUT_FILENO, "held\n", 5) != 5)
        return 1;
    pause();
    return 0;
}

bool contract_is_holder(int argc, char **argv)
{
    return argc == 4 && strcmp(argv[1], HOLDER_OPTION) == 0;
}

int contract_hold(char **argv)
{
    return hold(argv[2], argv[3]);
}

int contract_start_holder(const char *url, const char *session)
{
    char option[] = HOLDER_OPTION, url_copy[512], name_copy[256], exe[] = "/proc/self/exe";
    char *args[] = {exe, option, url_copy, name_copy, NULL};
    posix_spawn_file_actions_t actions;
    char answer[5];
    int ends[2];
    pid_t pid;

    snprintf(url_copy, sizeof url_copy, "%s", url);
    snprintf(name_copy, sizeof name_copy, "%s", session);
    assert_int_equal(pipe(ends), 0);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&actions, ends[0]);
    posix_spawn_file_actions_addclose(&actions, ends[1]);
    assert_int_equal(posix_spawn(&pid, exe, &actions, NULL, args, environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    assert_int_equal(read(ends[0], answer, sizeof answer), sizeof answer);
    close(ends[0]);
    return pid;
}

void contract_kill_holder(int pid)
{
    kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* --- the suite ----------------------------------------------------------------------------------------------------- */

static int run_group(const char *topic, const struct CMUnitTest *tests, size_t n)
{
    char name[128];

    snprintf(name, sizeof name, "%s %s", engine_under_test->name, topic);
    return _cmocka_run_group_tests(name, tests, n, NULL, NULL);
}

int contract_main(int argc, char **argv, const struct contract_engine *engine)
{
    int failed = 0;

    if (contract_is_holder(argc, argv))
        return contract_hold(argv);
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    engine_under_test = engine;
    failed += run_group("objects", contract_object_tests, contract_object_count);
    failed += run_group("sessions", contract_session_tests, contract_session_count);
    failed += run_group("commits", contract_commit_tests, contract_commit_count);
    failed += run_group("leases", contract_lease_tests, contract_lease_count);
    failed += run_group("queue", contract_queue_tests, contract_queue_count);
    if (engine->hosts)
        failed += run_group("hosts", contract_host_tests, contract_host_count);
    if (engine->ttl)
        failed += run_group("ttl", contract_ttl_tests, contract_ttl_count);
    if (engine->ttl && engine->turn)
        failed += run_group("expiry", contract_expiry_tests, contract_expiry_count);
    failed += run_group("locks", contract_lock_tests, contract_lock_count);
    failed += run_group("snapshots", contract_snapshot_tests, contract_snapshot_count);
    failed += run_group("settings", contract_setting_tests, contract_setting_count);
    failed += run_group("limits", contract_limit_tests, contract_limit_count);
    failed += run_group("keeping", contract_keeping_tests, contract_keeping_count);
    failed += run_group("copies", contract_copy_tests, contract_copy_count);
    failed += run_group("mending", contract_mend_tests, contract_mend_count);
    if (engine->damage)
        failed += run_group("damage", contract_damage_tests, contract_damage_count);
    failed += run_group("faults", contract_fault_tests, contract_fault_count);
    if (engine->hosts)
        failed += run_group("rivals", contract_rival_tests, contract_rival_count);
    failed += run_group("collections", contract_collect_tests, contract_collect_count);
    failed += run_group("threads", contract_thread_tests, contract_thread_count);
    return failed > 0;
}
