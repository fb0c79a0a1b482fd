/* SPDX-License-Identifier: Apache-2.0 */
/* What is particular to the sqlite engine: whose files it opens, how commits share transactions and syncs, what
 * it does when the medium fails, and that no row can change or go unnoticed. */
#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "append_load.h"
#include "engine/open.h"
#include "engine/sqlite/engine.h"
#include "shim_vfs.h"

struct fixture {
    char folder[64];
    char path[128];
    char url[256];       /* through the shim */
    struct store *store; /* open in every test that begins with `with_store` */
    uint64_t host;
    struct hf_error err;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);

    snprintf(fixture->folder, sizeof fixture->folder, "%s", "/tmp/holdfast-sqlite-XXXXXX");
    assert_non_null(mkdtemp(fixture->folder));
    snprintf(fixture->path, sizeof fixture->path, "%s/store.db", fixture->folder);
    snprintf(fixture->url, sizeof fixture->url, "sqlite:%s?vfs=" SHIM_VFS_NAME, fixture->path);
    *state = fixture;
    return 0;
}

static void register_host(struct fixture *fixture)
{
    struct host_identity identity = {.host_name = "here", .incarnation = 1};

    assert_int_equal(
        store_host_register(fixture->store, &identity, NULL, &fixture->host, &fixture->err), 0);
}

static void open_store(struct fixture *fixture)
{
    if (store_open(fixture->url, STORE_CREATE, NULL, NULL, &fixture->store, &fixture->err) != HF_OK)
        fail_msg("%s", fixture->err.message);
    register_host(fixture);
}

static void close_store(struct fixture *fixture)
{
    store_close(fixture->store);
    fixture->store = NULL;
}

static int setup_with_store(void **state)
{
    setup(state);
    open_store(*state);
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    char command[128];

    shim_set_hook(NULL, NULL);
    store_close(fixture->store);
    snprintf(command, sizeof command, "rm -r %s", fixture->folder);
    assert_int_equal(system(command), 0);
    free(fixture);
    return 0;
}

static struct sqlite_store *engine_of(struct fixture *fixture)
{
    return (struct sqlite_store *)fixture->store;
}

/* Runs SQL on the file, as another program would. */
static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    char *message = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    if (sqlite3_exec(db, sql, NULL, NULL, &message) != SQLITE_OK)
        fail_msg("%s: %s", sql, message);
    sqlite3_close(db);
}

static uint64_t digest_file(const char *path)
{
    uint64_t digest = 0xcbf29ce484222325ULL;
    FILE *file = fopen(path, "rb");
    int c;

    assert_non_null(file);
    while ((c = getc(file)) != EOF)
        digest = (digest ^ (unsigned)c) * 0x100000001b3ULL;
    fclose(file);
    return digest;
}

static bool exists(const char *path, const char *suffix)
{
    char name[256];

    snprintf(name, sizeof name, "%s%s", path, suffix);
    return access(name, F_OK) == 0;
}

static int print_finding(const struct check_finding *finding, void *arg)
{
    print_message("%s: %s\n", finding->what, finding->message);
    ++*(unsigned *)arg;
    return 0;
}

static int count_finding(const struct check_finding *finding, void *arg)
{
    (void)finding;
    ++*(unsigned *)arg;
    return 0;
}

static void assert_sound(struct fixture *fixture)
{
    unsigned findings = 0;

    assert_int_equal(store_check(fixture->store, print_finding, &findings, &fixture->err), 0);
    assert_int_equal(findings, 0);
}

/* --- whose file it is ------------------------------------------------------------------------------- */

static void newer_schema_is_refused_with_both_versions(void **state)
{
    struct fixture *fixture = *state;
    char ours[20];

    close_store(fixture);
    run_sql(fixture->path, "PRAGMA user_version=99");
    assert_int_equal(
        store_open(fixture->url, STORE_CREATE, NULL, NULL, &fixture->store, &fixture->err),
        HF_NEWER);
    assert_non_null(strstr(fixture->err.message, "99"));
    snprintf(ours, sizeof ours, "up to %d", migrations[migration_count - 1].number);
    assert_non_null(strstr(fixture->err.message, ours));
}

static void store_of_another_program_is_refused_untouched(void **state)
{
    struct fixture *fixture = *state;
    uint64_t before;

    run_sql(fixture->path, "CREATE TABLE t (a); INSERT INTO t VALUES (1)");
    before = digest_file(fixture->path);
    assert_int_equal(
        store_open(fixture->url, STORE_CREATE, NULL, NULL, &fixture->store, &fixture->err),
        HF_INVAL);
    assert_int_equal(digest_file(fixture->path), before);
    assert_false(exists(fixture->path, "-wal"));
    assert_false(exists(fixture->path, "-bell"));
}

static void file_that_is_no_database_is_refused_untouched(void **state)
{
    struct fixture *fixture = *state;
    FILE *file = fopen(fixture->path, "w");
    uint64_t before;

    fputs("dear diary\n", file);
    fclose(file);
    before = digest_file(fixture->path);
    assert_int_equal(
        store_open(fixture->url, STORE_CREATE, NULL, NULL, &fixture->store, &fixture->err),
        HF_INVAL);
    assert_int_equal(digest_file(fixture->path), before);
}

static void empty_file_becomes_a_store_only_when_asked(void **state)
{
    struct fixture *fixture = *state;

    fclose(fopen(fixture->path, "w"));
    assert_int_equal(store_open(fixture->url, 0, NULL, NULL, &fixture->store, &fixture->err),
                     HF_NOENT);
    open_store(fixture);
    assert_sound(fixture);
}

static void absent_store_is_made_only_when_asked(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(store_open(fixture->url, 0, NULL, NULL, &fixture->store, &fixture->err),
                     HF_NOENT);
    assert_false(exists(fixture->path, ""));
}

static void files_are_private(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-bell"};
    struct fixture *fixture = *state;
    char name[256];
    struct stat st;

    for (size_t i = 0; i < 4; i++) {
        snprintf(name, sizeof name, "%s%s", fixture->path, suffixes[i]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
}

static void folder_is_refused(void **state)
{
    struct fixture *fixture = *state;

    snprintf(fixture->url, sizeof fixture->url, "sqlite:%s", fixture->folder);
    assert_int_equal(
        store_open(fixture->url, STORE_CREATE, NULL, NULL, &fixture->store, &fixture->err),
        HF_INVAL);
    assert_non_null(strstr(fixture->err.message, "is not a file"));
}

static void unknown_option_is_refused(void **state)
{
    struct fixture *fixture = *state;

    snprintf(fixture->url, sizeof fixture->url, "sqlite:%s?turbo=1", fixture->path);
    assert_int_equal(
        store_open(fixture->url, STORE_CREATE, NULL, NULL, &fixture->store, &fixture->err),
        HF_INVAL);
}

static void read_only_handle_sees_and_changes_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct append_load load;
    struct session_head head;
    struct store *reader;

    append_load_start(&load, fixture->store, fixture->host, "s", 3);
    assert_int_equal(store_open(fixture->url, STORE_READ_ONLY, NULL, NULL, &reader, &fixture->err),
                     0);
    assert_int_equal(store_session_find(reader, "s", &head, &fixture->err), 0);
    assert_int_equal(head.version, 1);
    assert_int_equal(store_snapshot_create(reader, "x", NULL, 0, &fixture->err), HF_ROFS);
    store_close(reader);
    append_load_end(&load);
}

/* --- crashes ------------------------------------------------------------------------------------------ */

static void store_reopens_after_a_crash(void **state)
{
    struct fixture *fixture = *state;
    struct session_head head;
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        struct append_load load;

        open_store(fixture);
        append_load_start(&load, fixture->store, fixture->host, "s", 10);
        for (int i = 0; i < 20; i++)
            append_load_step(&load, DURABILITY_RELAXED);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_true(exists(fixture->path, "-wal"));
    open_store(fixture);
    assert_int_equal(store_session_find(fixture->store, "s", &head, &fixture->err), 0);
    assert_int_equal(head.version, 21);
    assert_sound(fixture);
}

/* --- commits that wait together ------------------------------------------------------------------------- */

#define WORKERS 8

/* Holds up the first call of one kind on the log until the test lets it go. */
struct gate {
    enum shim_call call;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool armed, reached, open;
};

static void gate_init(struct gate *gate, enum shim_call call)
{
    *gate = (struct gate){.call = call, .armed = true};
    pthread_mutex_init(&gate->lock, NULL);
    pthread_cond_init(&gate->changed, NULL);
}

static int pass_gate(enum shim_call call, bool log, void *arg)
{
    struct gate *gate = arg;

    pthread_mutex_lock(&gate->lock);
    if (log && call == gate->call && gate->armed) {
        gate->armed = false;
        gate->reached = true;
        pthread_cond_broadcast(&gate->changed);
        while (!gate->open)
            pthread_cond_wait(&gate->changed, &gate->lock);
    }
    pthread_mutex_unlock(&gate->lock);
    return SQLITE_OK;
}

static void gate_wait_reached(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    while (!gate->reached)
        pthread_cond_wait(&gate->changed, &gate->lock);
    pthread_mutex_unlock(&gate->lock);
}

static void gate_open(struct gate *gate)
{
    pthread_mutex_lock(&gate->lock);
    gate->open = true;
    pthread_cond_broadcast(&gate->changed);
    pthread_mutex_unlock(&gate->lock);
}

struct worker {
    struct append_load load;
    enum durability durability;
    pthread_t thread;
    int status;
};

static void *append_once(void *arg)
{
    struct worker *worker = arg;

    worker->status = append_load_step(&worker->load, worker->durability);
    return NULL;
}

static struct worker *make_workers(struct fixture *fixture, enum durability durability)
{
    struct worker *workers = calloc(WORKERS, sizeof *workers);
    char name[16];

    assert_non_null(workers);
    for (int i = 0; i < WORKERS; i++) {
        snprintf(name, sizeof name, "s%d", i);
        append_load_start(&workers[i].load, fixture->store, fixture->host, name, 2);
        workers[i].durability = durability;
    }
    return workers;
}

static void start(struct worker *worker)
{
    assert_int_equal(pthread_create(&worker->thread, NULL, append_once, worker), 0);
}

static void end_workers(struct worker *workers)
{
    for (int i = 0; i < WORKERS; i++)
        append_load_end(&workers[i].load);
    free(workers);
}

static unsigned queued(struct writer *writer)
{
    unsigned n = 0;

    pthread_mutex_lock(&writer->lock);
    for (struct write *write = writer->first; write; write = write->next)
        n++;
    pthread_mutex_unlock(&writer->lock);
    return n;
}

static void wait_until_queued(struct writer *writer, unsigned n)
{
    while (queued(writer) < n)
        usleep(100);
}

/* While the first commit is being written, the others queue up; they then share one transaction. */
static void commits_that_wait_share_a_transaction(void **state)
{
    struct fixture *fixture = *state;
    struct writer *writer = &engine_of(fixture)->writer;
    struct worker *workers = make_workers(fixture, DURABILITY_RELAXED);
    uint64_t before = writer->transactions;
    struct gate gate;

    gate_init(&gate, SHIM_WRITE);
    shim_set_hook(pass_gate, &gate);
    start(&workers[0]);
    gate_wait_reached(&gate);
    for (int i = 1; i < WORKERS; i++)
        start(&workers[i]);
    wait_until_queued(writer, WORKERS - 1);
    gate_open(&gate);
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].status, HF_OK);
    }
    assert_int_equal(writer->transactions - before, 2);
    assert_sound(fixture);
    end_workers(workers);
}

static void member_that_fails_does_not_disturb_its_batch(void **state)
{
    struct fixture *fixture = *state;
    struct writer *writer = &engine_of(fixture)->writer;
    struct worker *workers = make_workers(fixture, DURABILITY_RELAXED);
    uint64_t before = writer->transactions;
    struct gate gate;

    workers[2].load.lease.token++;          /* fenced */
    workers[4].load.lease.head.version = 7; /* a conflict */
    gate_init(&gate, SHIM_WRITE);
    shim_set_hook(pass_gate, &gate);
    start(&workers[0]);
    gate_wait_reached(&gate);
    for (int i = 1; i < WORKERS; i++)
        start(&workers[i]);
    wait_until_queued(writer, WORKERS - 1);
    gate_open(&gate);
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].status, i == 2 ? HF_FENCED : i == 4 ? HF_CONFLICT : HF_OK);
    }
    assert_int_equal(writer->transactions - before, 2);
    assert_sound(fixture);
    end_workers(workers);
}

struct late_failure {
    struct gate gate;
    const struct writer *writer;
    uint64_t before;
    bool failed;
};

/* As pass_gate(); and the second transaction fails as one whose log could not be synced, once. */
static int fail_second(enum shim_call call, bool log, void *arg)
{
    struct late_failure *late = arg;

    pass_gate(call, log, &late->gate);
    if (!log || call != SHIM_WRITE || late->failed ||
        late->writer->transactions - late->before != 2)
        return SQLITE_OK;
    late->failed = true;
    return SQLITE_IOERR_FSYNC;
}

static void batch_whose_sync_failed_is_not_tried_again(void **state)
{
    struct fixture *fixture = *state;
    struct writer *writer = &engine_of(fixture)->writer;
    struct worker *workers = make_workers(fixture, DURABILITY_RELAXED);
    struct late_failure late = {.writer = writer, .before = writer->transactions};

    gate_init(&late.gate, SHIM_WRITE);
    shim_set_hook(fail_second, &late);
    start(&workers[0]);
    gate_wait_reached(&late.gate);
    for (int i = 1; i < WORKERS; i++)
        start(&workers[i]);
    wait_until_queued(writer, WORKERS - 1);
    gate_open(&late.gate);
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].status, i == 0 ? HF_OK : HF_FAILED);
    }
    assert_true(late.failed);
    shim_set_hook(NULL, NULL);
    assert_sound(fixture);
    end_workers(workers);
}

/* While the first commit is being synced, the others are committed; one more sync serves them all. */
static void commits_that_wait_share_a_sync(void **state)
{
    struct fixture *fixture = *state;
    struct worker *workers = make_workers(fixture, DURABILITY_SYNC);
    struct session_head head;
    struct gate gate;
    unsigned before;

    gate_init(&gate, SHIM_SYNC);
    shim_set_hook(pass_gate, &gate);
    before = atomic_load(&shim_log_syncs);
    start(&workers[0]);
    gate_wait_reached(&gate);
    for (int i = 1; i < WORKERS; i++) {
        start(&workers[i]);
        do
            assert_int_equal(
                store_session_head(fixture->store, workers[i].load.lease.sid, &head, NULL), 0);
        while (head.version < 2);
    }
    gate_open(&gate);
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].thread, NULL);
        assert_int_equal(workers[i].status, HF_OK);
    }
    assert_int_equal(atomic_load(&shim_log_syncs) - before, 2);
    end_workers(workers);
}

static void relaxed_commit_does_not_sync_and_sync_does(void **state)
{
    struct fixture *fixture = *state;
    struct append_load load;
    unsigned before;

    append_load_start(&load, fixture->store, fixture->host, "s", 2);
    before = atomic_load(&shim_log_syncs);
    for (int i = 0; i < 10; i++)
        assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    assert_int_equal(atomic_load(&shim_log_syncs), before);
    assert_int_equal(store_sync(fixture->store, &fixture->err), HF_OK);
    assert_int_equal(atomic_load(&shim_log_syncs), before + 1);
    assert_int_equal(append_load_step(&load, DURABILITY_SYNC), HF_OK);
    assert_int_equal(atomic_load(&shim_log_syncs), before + 2);
    append_load_end(&load);
}

/* --- a medium that fails -------------------------------------------------------------------------------- */

static int fail_syncs(enum shim_call call, bool log, void *arg)
{
    (void)arg;
    return log && call == SHIM_SYNC ? SQLITE_IOERR_FSYNC : SQLITE_OK;
}

static void failed_sync_is_final_until_the_store_is_opened_anew(void **state)
{
    struct fixture *fixture = *state;
    struct append_load load;
    struct session_head head;

    append_load_start(&load, fixture->store, fixture->host, "s", 2);
    shim_set_hook(fail_syncs, NULL);
    assert_int_equal(append_load_step(&load, DURABILITY_SYNC), HF_FAILED);
    shim_set_hook(NULL, NULL);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_FAILED);
    assert_int_equal(store_sync(fixture->store, &fixture->err), HF_FAILED);
    assert_int_equal(store_session_find(fixture->store, "s", &head, &fixture->err), HF_OK);
    append_load_end(&load);
    close_store(fixture);
    open_store(fixture);
    append_load_start(&load, fixture->store, fixture->host, "t", 2);
    assert_int_equal(append_load_step(&load, DURABILITY_SYNC), HF_OK);
    append_load_end(&load);
    assert_sound(fixture);
}

static int fail_writes(enum shim_call call, bool log, void *arg)
{
    return log && call == SHIM_WRITE ? *(int *)arg : SQLITE_OK;
}

static void full_disk_is_told_and_passes(void **state)
{
    struct fixture *fixture = *state;
    int code = SQLITE_FULL;
    struct append_load load;
    struct append_load before;

    append_load_start(&load, fixture->store, fixture->host, "s", 2);
    before = load;
    shim_set_hook(fail_writes, &code);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_NOSPC);
    shim_set_hook(NULL, NULL);
    memcpy(before.bytes, load.bytes, sizeof before.bytes);
    load = before;
    assert_int_equal(append_load_step(&load, DURABILITY_SYNC), HF_OK);
    assert_sound(fixture);
    append_load_end(&load);
}

static void broken_disk_is_told(void **state)
{
    struct fixture *fixture = *state;
    int code = SQLITE_IOERR_WRITE;
    struct append_load load;

    append_load_start(&load, fixture->store, fixture->host, "s", 2);
    shim_set_hook(fail_writes, &code);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_IO);
    shim_set_hook(NULL, NULL);
    assert_sound(fixture);
    append_load_end(&load);
}

/* Somebody removes the file of a store in use, or restores a backup in its place: to write to what has no name any more
 * would be to lose it. */
static void nothing_is_committed_to_a_file_that_is_not_there_any_more(void **state)
{
    struct fixture *fixture = *state;
    struct append_load load, before;
    struct session_head head;
    char aside[160];

    append_load_start(&load, fixture->store, fixture->host, "s", 2);
    before = load;
    snprintf(aside, sizeof aside, "%s.aside", fixture->path);
    assert_int_equal(rename(fixture->path, aside), 0);
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_IO);
    assert_int_equal(store_session_find(fixture->store, "s", &head, &fixture->err), HF_OK);
    assert_int_equal(fclose(fopen(fixture->path, "w")), 0);
    memcpy(before.bytes, load.bytes, sizeof before.bytes);
    load = before;
    assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_IO);
    assert_int_equal(rename(aside, fixture->path), 0);
    memcpy(before.bytes, load.bytes, sizeof before.bytes);
    load = before;
    assert_int_equal(append_load_step(&load, DURABILITY_SYNC), HF_OK);
    append_load_end(&load);
    assert_sound(fixture);
}

/* --- deltas --------------------------------------------------------------------------------------------- */

static int64_t number_of(const char *path, const char *sql)
{
    sqlite3_stmt *statement;
    int64_t number;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    return number;
}

static void append_and_reopen(struct fixture *fixture, struct append_load *load)
{
    for (int i = 0; i < 30; i++)
        assert_int_equal(append_load_step(load, DURABILITY_RELAXED), HF_OK);
    close_store(fixture);
    open_store(fixture);
    load->store = fixture->store;
    load->host = fixture->host;
    assert_int_equal(store_lease_acquire(fixture->store, fixture->host, load->lease.sid, 0,
                                         &load->lease, &fixture->err),
                     HF_OK);
}

/* With what is remembered of bases, and, after the store was opened anew, without. */
static void growing_log_is_kept_as_deltas_one_step_deep(void **state)
{
    struct fixture *fixture = *state;
    struct append_load load;

    append_load_start(&load, fixture->store, fixture->host, "s", 2);
    append_and_reopen(fixture, &load);
    append_and_reopen(fixture, &load);
    assert_true(number_of(fixture->path, "SELECT count(*) FROM object WHERE base IS NOT NULL") >
                60);
    assert_int_equal(number_of(fixture->path, "SELECT count(*) FROM object o JOIN object b "
                                              "ON b.seq = o.base WHERE b.base IS NOT NULL"),
                     0);
    assert_sound(fixture);
    append_load_end(&load);
}

/* --- events --------------------------------------------------------------------------------------------- */

struct ear {
    pthread_mutex_t lock;
    pthread_cond_t heard;
    uint64_t moved[8]; /* versions, by session */
};

static void listen_for_heads(const struct store_event *event, void *arg)
{
    struct ear *ear = arg;

    pthread_mutex_lock(&ear->lock);
    if (event->kind == EVENT_HEAD_MOVED && event->sid < 8)
        ear->moved[event->sid] = event->version;
    pthread_cond_broadcast(&ear->heard);
    pthread_mutex_unlock(&ear->lock);
}

static void wait_for_version(struct ear *ear, uint64_t sid, uint64_t version)
{
    pthread_mutex_lock(&ear->lock);
    while (ear->moved[sid] < version)
        pthread_cond_wait(&ear->heard, &ear->lock);
    pthread_mutex_unlock(&ear->lock);
}

static void listener_that_missed_events_hears_of_every_head(void **state)
{
    struct fixture *fixture = *state;
    struct host_identity identity = {.host_name = "there", .incarnation = 1};
    struct ear ear = {.moved = {0}};
    struct store_listener listener = {.event = listen_for_heads, .arg = &ear};
    struct append_load first, second;
    struct store *other;
    uint64_t host;

    pthread_mutex_init(&ear.lock, NULL);
    pthread_cond_init(&ear.heard, NULL);
    append_load_start(&first, fixture->store, fixture->host, "s", 2);
    append_load_start(&second, fixture->store, fixture->host, "t", 2);
    assert_int_equal(store_open(fixture->url, 0, NULL, NULL, &other, &fixture->err), 0);
    assert_int_equal(store_host_register(other, &identity, &listener, &host, &fixture->err), 0);
    assert_int_equal(append_load_step(&first, DURABILITY_RELAXED), HF_OK);
    wait_for_version(&ear, first.lease.sid, 2);
    assert_int_equal(ear.moved[second.lease.sid], 0);
    /* As if others had come and gone: a hole in the numbers. */
    run_sql(fixture->path, "INSERT INTO event SELECT max(id) + 9, 1, 0, 0, 0, 0, 0, 0 FROM event");
    assert_int_equal(append_load_step(&first, DURABILITY_RELAXED), HF_OK);
    wait_for_version(&ear, first.lease.sid, 3);
    wait_for_version(&ear, second.lease.sid, 1);
    store_close(other);
    append_load_end(&first);
    append_load_end(&second);
}

/* --- rows ------------------------------------------------------------------------------------------------ */

static unsigned count_findings(struct fixture *fixture)
{
    struct store *store;
    unsigned findings = 0;
    int rc = store_open(fixture->url, STORE_READ_ONLY, NULL, NULL, &store, &fixture->err);

    if (rc != HF_OK)
        return 1; /* said so at once */
    rc = store_check(store, count_finding, &findings, &fixture->err);
    store_close(store);
    return rc == HF_OK ? findings : findings + 1;
}

/* Something in every table. */
static void fill_tables(struct fixture *fixture)
{
    struct store_lock lock = {.ino = 1, .kind = LOCK_POSIX, .type = LOCK_TYPE_WRITE, .end = 9};
    struct append_load load, second;
    struct host_identity identity = {.host_name = "there", .mount_point = "/mnt"};
    struct store *other;
    struct commit rescue = {0};
    struct lease lease;
    uint64_t id, host, waiter;
    int64_t again;

    append_load_start(&load, fixture->store, fixture->host, "s", 3);
    append_load_start(&second, fixture->store, fixture->host, "t", 3);
    assert_int_equal(store_open(fixture->url, 0, NULL, NULL, &other, &fixture->err), 0);
    assert_int_equal(store_host_register(other, &identity, NULL, &host, &fixture->err), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    assert_int_equal(store_lease_acquire(other, host, load.lease.sid, 0, &lease, &fixture->err),
                     HF_BUSY);
    assert_int_equal(store_lock_set(fixture->store, fixture->host, &lock, NULL, &fixture->err), 0);
    assert_int_equal(store_snapshot_create(fixture->store, "snap", NULL, 0, &fixture->err), 0);
    rescue.sid = load.lease.sid;
    rescue.root = load.last_root;
    assert_int_equal(
        store_rescue(fixture->store, fixture->host, &rescue, "why", &id, &fixture->err), 0);
    assert_int_equal(store_setting_set(fixture->store, "a", slice_of("text", 4), &fixture->err), 0);
    store_close(other);
    identity.principal = "agent";
    identity.ttl_ms = HOST_TTL_MIN_MS;
    assert_int_equal(store_host_register(fixture->store, &identity, NULL, &waiter, &fixture->err),
                     0);
    assert_int_equal(store_lease_ask(fixture->store, waiter, second.lease.sid, 9000, &lease, &again,
                                     &fixture->err),
                     HF_PENDING);
    append_load_end(&load);
    append_load_end(&second);
}

/* Rows that only a collection which was interrupted leaves, or damage. */
static void add_rare_rows(struct fixture *fixture)
{
    static const char sql[] =
        "INSERT INTO quarantine VALUES (1, 2, zeroblob(32), 1, 1, 9, NULL, x'00',"
        " row_sum('quarantine', 1, 2, zeroblob(32), 1, 1, 9, NULL, x'00'));"
        "UPDATE collection SET phase = 1, sum = row_sum('collection', 1, 1, newest, unswept);"
        "INSERT INTO mark VALUES (0, x'01', x'00', row_sum('mark', 0, x'01', x'00'));"
        "INSERT INTO found VALUES (1, 0, row_sum('found', 1, 0));"
        "INSERT OR REPLACE INTO loose VALUES (1, 1, 5, row_sum('loose', 1, 1, 5));"
        "INSERT INTO loose_host VALUES (1, 5, row_sum('loose_host', 1, 5));";
    struct db db = {0};
    struct hf_error err = {0};

    assert_int_equal(db_open(fixture->path, SQLITE_OPEN_READWRITE, NULL, &db, NULL), HF_OK);
    assert_int_equal(db_add_row_sum(&db, NULL), HF_OK);
    if (db_script(&db, sql, &err) != HF_OK)
        fail_msg("%s", err.message);
    db_close(&db);
}

/* Leaves the rows behind as a process does that is killed. */
static void fill_and_die(struct fixture *fixture)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        open_store(fixture);
        fill_tables(fixture);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    add_rare_rows(fixture);
    assert_int_equal(count_findings(fixture), 0);
}

/* --- mending --------------------------------------------------------------------------------------------- */

/* An object that others are packed against, and its content. */
static void read_a_base(struct fixture *fixture, struct object *ret_base, struct buf *content)
{
    sqlite3_stmt *statement;
    uint64_t key;
    sqlite3 *db;

    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db,
                                        "SELECT key, rest, kind FROM object WHERE seq ="
                                        " (SELECT max(base) FROM object)",
                                        -1, &statement, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    key = htobe64((uint64_t)sqlite3_column_int64(statement, 0));
    memcpy(ret_base->id.bytes, &key, sizeof key);
    memcpy(ret_base->id.bytes + sizeof key, sqlite3_column_blob(statement, 1),
           OBJECT_ID_SIZE - sizeof key);
    ret_base->kind = (enum object_kind)sqlite3_column_int(statement, 2);
    sqlite3_finalize(statement);
    sqlite3_close(db);
    assert_int_equal(store_get(fixture->store, &ret_base->id, 1, content, NULL), HF_OK);
    ret_base->content = buf_slice(content);
}

static void what_leans_on_a_mended_object_reads_again(void **state)
{
    struct fixture *fixture = *state;
    struct append_load load;
    struct object base = {0};
    BUF_AUTO content = {0};

    append_load_start(&load, fixture->store, fixture->host, "s", 20);
    for (int i = 0; i < 5; i++)
        assert_int_equal(append_load_step(&load, DURABILITY_RELAXED), HF_OK);
    append_load_end(&load);
    read_a_base(fixture, &base, &content);
    run_sql(fixture->path, "UPDATE object SET packed = zeroblob(length(packed))"
                           " WHERE seq = (SELECT max(base) FROM object)");
    assert_true(count_findings(fixture) > 1);
    assert_int_equal(store_mend(fixture->store, &base.id, &base, &fixture->err), HF_OK);
    assert_int_equal(count_findings(fixture), 0);
    /* A row whose checksum alone is wrong needs no other content than its own. */
    run_sql(fixture->path, "UPDATE object SET generation = generation + 1"
                           " WHERE seq = (SELECT max(base) FROM object)");
    assert_int_equal(count_findings(fixture), 1);
    assert_int_equal(store_mend(fixture->store, &base.id, NULL, &fixture->err), HF_OK);
    assert_int_equal(count_findings(fixture), 0);
    assert_int_equal(store_mend(fixture->store, &base.id, NULL, &fixture->err), HF_EXIST);
}

struct columns {
    char table[256][32];
    char column[256][32];
    size_t n;
};

static int add_column(void *arg, int n, char **values, char **names)
{
    struct columns *columns = arg;

    (void)n;
    (void)names;
    assert_true(columns->n < 256);
    snprintf(columns->table[columns->n], 32, "%s", values[0]);
    snprintf(columns->column[columns->n++], 32, "%s", values[1]);
    return 0;
}

/* Changes each column of each table by itself, as a bit that flips does; the check must notice. */
static void no_column_can_change_unnoticed(void **state)
{
    struct fixture *fixture = *state;
    static struct columns columns;
    char sql[512];
    sqlite3 *db;

    fill_and_die(fixture);
    columns.n = 0;
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    sqlite3_exec(db,
                 "SELECT t.name, c.name FROM sqlite_schema t, pragma_table_info(t.name) c "
                 "WHERE t.type = 'table' AND c.pk = 0",
                 add_column, &columns, NULL);
    assert_true(columns.n > 60);
    for (size_t i = 0; i < columns.n; i++) {
        const char *table = columns.table[i], *column = columns.column[i];

        snprintf(sql, sizeof sql,
                 "CREATE TEMP TABLE was AS SELECT * FROM \"%s\";"
                 "UPDATE \"%s\" SET \"%s\" = CASE typeof(\"%s\") WHEN 'integer' THEN \"%s\" + 1 "
                 "WHEN 'text' THEN \"%s\" || 'x' WHEN 'blob' THEN randomblob(32) ELSE 1 END",
                 table, table, column, column, column, column);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_true(sqlite3_changes(db) > 0);
        if (count_findings(fixture) == 0)
            fail_msg("a change of %s.%s goes unnoticed", table, column);
        snprintf(sql, sizeof sql,
                 "DELETE FROM \"%s\"; INSERT INTO \"%s\" SELECT * FROM was; DROP TABLE was", table,
                 table);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    }
    sqlite3_close(db);
    assert_int_equal(count_findings(fixture), 0);
}

/* Takes one row out of each table, index entries and all. Locks and events are only of the moment. */
static void no_row_can_vanish_unnoticed(void **state)
{
    static const char *const rows[][2] = {
        {"store", "1"},
        {"session", "sid = 2"},
        {"session_meta", "sid = 2"},
        {"history", "version = 2"},
        {"history", "version = 4"},
        {"host", "host = 2"},
        {"audit", "id = 2"},
        {"snapshot_root", "sid = 1"},
    };
    struct fixture *fixture = *state;
    char sql[256];
    sqlite3 *db;

    fill_and_die(fixture);
    assert_int_equal(sqlite3_open(fixture->path, &db), SQLITE_OK);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        snprintf(sql, sizeof sql,
                 "CREATE TEMP TABLE was AS SELECT * FROM \"%s\"; DELETE FROM \"%s\" WHERE %s",
                 rows[i][0], rows[i][0], rows[i][1]);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
        assert_true(sqlite3_changes(db) > 0);
        if (count_findings(fixture) == 0)
            fail_msg("a lost row of %s goes unnoticed", rows[i][0]);
        snprintf(sql, sizeof sql,
                 "DELETE FROM \"%s\"; INSERT INTO \"%s\" SELECT * FROM was; DROP TABLE was",
                 rows[i][0], rows[i][0]);
        assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    }
    sqlite3_close(db);
    assert_int_equal(count_findings(fixture), 0);
}

static void changed_schema_is_noticed(void **state)
{
    struct fixture *fixture = *state;

    fill_and_die(fixture);
    run_sql(fixture->path, "DROP INDEX session_by_hour");
    assert_true(count_findings(fixture) > 0);
}

#define PLAIN(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
#define WITH_STORE(name) cmocka_unit_test_setup_teardown(name, setup_with_store, teardown)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        WITH_STORE(newer_schema_is_refused_with_both_versions),
        WITH_STORE(what_leans_on_a_mended_object_reads_again),
        PLAIN(store_of_another_program_is_refused_untouched),
        PLAIN(file_that_is_no_database_is_refused_untouched),
        PLAIN(empty_file_becomes_a_store_only_when_asked),
        PLAIN(absent_store_is_made_only_when_asked),
        WITH_STORE(files_are_private),
        PLAIN(folder_is_refused),
        PLAIN(unknown_option_is_refused),
        WITH_STORE(read_only_handle_sees_and_changes_nothing),
        PLAIN(store_reopens_after_a_crash),
        WITH_STORE(commits_that_wait_share_a_transaction),
        WITH_STORE(member_that_fails_does_not_disturb_its_batch),
        WITH_STORE(batch_whose_sync_failed_is_not_tried_again),
        WITH_STORE(commits_that_wait_share_a_sync),
        WITH_STORE(relaxed_commit_does_not_sync_and_sync_does),
        WITH_STORE(failed_sync_is_final_until_the_store_is_opened_anew),
        WITH_STORE(full_disk_is_told_and_passes),
        WITH_STORE(broken_disk_is_told),
        WITH_STORE(nothing_is_committed_to_a_file_that_is_not_there_any_more),
        WITH_STORE(growing_log_is_kept_as_deltas_one_step_deep),
        WITH_STORE(listener_that_missed_events_hears_of_every_head),
        PLAIN(no_column_can_change_unnoticed),
        PLAIN(no_row_can_vanish_unnoticed),
        PLAIN(changed_schema_is_noticed),
    };

    shim_register();
    if (argc == 2)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("sqlite engine", tests, NULL, NULL);
}
