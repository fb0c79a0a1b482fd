/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/writer.h"

#include <string.h>

#include "base/clock.h"
#include "engine/sqlite/session_row.h"

/* One transaction takes no more than this, so that those who came first do not wait for all the rest. */
#define BATCH_MAX 64

static int note_log_pages(void *arg, sqlite3 *handle, const char *name, int pages)
{
    struct writer *writer = arg;

    (void)handle;
    (void)name;
    writer->log_pages = pages;
    return SQLITE_OK;
}

void writer_init(struct writer *writer)
{
    writer->last = &writer->first;
    pthread_mutex_init(&writer->lock, NULL);
}

int writer_open(struct writer *writer, const char *path, const char *vfs, struct medium *medium,
                struct fresh *fresh, const struct clock *clock, struct hf_error *err)
{
    int rc;

    writer->medium = medium;
    writer->clock = clock;
    writer->fresh = fresh;
    rc = log_vfs_register(&writer->vfs, vfs, err);
    if (rc == HF_OK)
        rc = db_open(path, SQLITE_OPEN_READWRITE, writer->vfs.name, &writer->db, err);
    if (rc == HF_OK)
        rc = db_script(&writer->db,
                       "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
                       "PRAGMA cache_size=-8192; PRAGMA secure_delete=0; PRAGMA temp_store=MEMORY;"
                       "PRAGMA cell_size_check=1; PRAGMA journal_size_limit=67108864;"
                       "PRAGMA cache_spill=0",
                       err);
    writer->db.fresh = fresh;
    writer->db.range = &writer->range;
    if (rc == HF_OK)
        sqlite3_wal_hook(writer->db.handle, note_log_pages, writer);
    return rc;
}

void writer_close(struct writer *writer)
{
    db_close(&writer->db);
    log_vfs_unregister(&writer->vfs);
    known_free(&writer->known_objects);
    pthread_mutex_destroy(&writer->lock);
}

void writer_forget(struct writer *writer)
{
    writer->known = false;
}

/* --- a transaction ----------------------------------------------------------------------------- */

static void roll_back(struct writer *writer)
{
    writer->known = false;
    known_clear(&writer->known_objects); /* it may know what was added just now */
    fresh_clear(writer->fresh);          /* the same */
    db_end(&writer->db);
}

/* Takes in what others have added. */
static int refresh_range(struct writer *writer, struct hf_error *err)
{
    struct fresh_range range;
    int rc = fresh_read_range(&writer->db, &range, err);

    if (rc != HF_OK)
        return rc;
    if (range.newest < writer->collection.newest)
        range.newest = writer->collection.newest;
    writer->range = range;
    return fresh_extend(writer->fresh, &writer->db, &range, err);
}

/* Reads what is kept between transactions, when anybody else has written since. */
static int refresh(struct writer *writer, struct hf_error *err)
{
    DB_STATEMENT_AUTO *statement = NULL;
    struct collection collection;
    uint32_t version = 0;
    int rc;

    sqlite3_file_control(writer->db.handle, "main", SQLITE_FCNTL_DATA_VERSION, &version);
    if (writer->known && version == writer->data_version)
        return HF_OK;
    rc = db_start(&writer->db, QUERY_WRITER_FACTS, DB_NO_VALUES, &statement, err);
    if (rc == HF_OK)
        rc = db_next(&writer->db, statement, err);
    if (rc == 0)
        return hf_fail(err, HF_CORRUPT, "the store file has lost its first row");
    if (rc == 1)
        rc = collection_take(statement, &collection, err);
    if (rc < 0)
        return rc;
    if (writer->sweeps != db_column_uint(statement, 5))
        known_clear(&writer->known_objects);
    writer->collection = collection;
    writer->sweeps = db_column_uint(statement, 5);
    writer->generation = db_column_uint(statement, 6);
    writer->hosts = (unsigned)db_column_uint(statement, 7);
    writer->epoch++;
    rc = refresh_range(writer, err);
    if (rc != HF_OK)
        return rc;
    writer->data_version = version;
    writer->known = true;
    return HF_OK;
}

void writer_note_row(struct writer *writer, int64_t key, uint64_t seq)
{
    fresh_add(writer->fresh, key, writer->range.newest, seq);
    writer->range.newest = seq;
}

int writer_settle(struct writer *writer, struct hf_error *err)
{
    return fresh_settle(writer->fresh, &writer->db, &writer->range, err);
}

int writer_move_collection(struct writer *writer, const struct collection *next, bool bump,
                           struct hf_error *err)
{
    struct store_row row;
    int rc = collection_write(&writer->db, next, err);

    if (rc == HF_OK && bump)
        rc = store_row_load(&writer->db, &row, err);
    if (rc == HF_OK && bump) {
        row.sweeps++;
        row.generation++;
        rc = store_row_write(&writer->db, &row, err);
    }
    if (rc != HF_OK)
        return rc;
    writer->collection = *next; /* for those that share this transaction */
    if (writer->range.newest < next->newest)
        writer->range.newest = next->newest;
    if (bump) {
        writer->sweeps = row.sweeps;
        writer->generation = row.generation;
        known_clear(&writer->known_objects);
    }
    return HF_OK;
}

/* What is written to a file that has no name any more is lost with this process; and where another file has taken its
 * name, as after a restore, that one is the store. */
static int check_place(struct writer *writer, struct hf_error *err)
{
    int moved = 0;

    sqlite3_file_control(writer->db.handle, "main", SQLITE_FCNTL_HAS_MOVED, &moved);
    return moved ? hf_fail(err, HF_IO,
                           "the store file was removed or replaced while it was in use: nothing "
                           "can be kept until the store is opened anew")
                 : HF_OK;
}

static int begin(struct writer *writer, struct transaction *ret_transaction, struct hf_error *err)
{
    int rc = medium_check(writer->medium, err); /* it may have failed while this one waited */

    if (rc == HF_OK)
        rc = check_place(writer, err);
    if (rc != HF_OK)
        return rc;
    rc = db_run(&writer->db, QUERY_BEGIN, DB_NO_VALUES, err);
    if (rc == HF_OK)
        rc = refresh(writer, err);
    if (rc == HF_OK && writer->range.newest - writer->range.indexed >= FRESH_MAX)
        rc = writer_settle(writer, err);
    if (rc != HF_OK) {
        roll_back(writer);
        return rc;
    }
    writer->transactions++;
    *ret_transaction = (struct transaction){.writer = writer,
                                            .db = &writer->db,
                                            .now = clock_realtime(writer->clock),
                                            .hosts = writer->hosts};
    return HF_OK;
}

static int commit(struct writer *writer, struct transaction *transaction, uint64_t *ret_number,
                  struct hf_error *err)
{
    int rc;

    writer->log_pages = 0;
    rc = db_run(&writer->db, QUERY_COMMIT, DB_NO_VALUES, err);
    if (rc == HF_FAILED)
        medium_fail(writer->medium);
    if (rc != HF_OK) {
        roll_back(writer);
        return rc;
    }
    /* What this connection has written is no news to it; nothing can have come between. */
    sqlite3_file_control(writer->db.handle, "main", SQLITE_FCNTL_DATA_VERSION,
                         &writer->data_version);
    *ret_number = atomic_fetch_add(&writer->medium->committed, 1) + 1;
    if (transaction->ring && writer->ring)
        writer->ring(writer->ring_arg, transaction->hosts);
    return HF_OK;
}

/* Runs one member. False: it has failed after it had begun to write, or lost the transaction. */
static bool run_one(struct writer *writer, struct write *write, struct transaction *transaction)
{
    int64_t before = sqlite3_total_changes64(writer->db.handle);

    write->keep = false;
    write->error.message[0] = '\0';
    write->status = write->run(write, transaction, &write->error);
    writer->writes++;
    if (sqlite3_get_autocommit(writer->db.handle))
        return false;
    return write->status == HF_OK || write->keep ||
           sqlite3_total_changes64(writer->db.handle) == before;
}

static void answer_all(struct write *batch, int status, const struct hf_error *error)
{
    for (struct write *write = batch; write; write = write->next) {
        write->status = status;
        write->error = *error;
    }
}

/* Runs the members of a batch in one transaction. False: it was rolled back, and nothing has happened.
 * `*ret_culprit`: the member whose failure did it, or NULL. */
static bool run_together(struct writer *writer, struct write *batch, struct write **ret_culprit)
{
    struct hf_error error = {0};
    struct transaction transaction;
    uint64_t number;
    int rc = begin(writer, &transaction, &error);

    *ret_culprit = NULL;
    for (struct write *write = batch; write && rc == HF_OK; write = write->next) {
        if (!run_one(writer, write, &transaction)) {
            roll_back(writer);
            *ret_culprit = write;
            return false;
        }
    }
    if (rc == HF_OK)
        rc = commit(writer, &transaction, &number, &error);
    if (rc != HF_OK) {
        answer_all(batch, rc, &error);
        return false;
    }
    for (struct write *write = batch; write; write = write->next)
        write->number = number;
    return true;
}

/* One write in a transaction of its own; when the disk is full, a second time after a checkpoint. */
static void run_alone(struct writer *writer, struct write *write)
{
    struct write *next = write->next;
    struct write *culprit;

    write->next = NULL;
    if (!run_together(writer, write, &culprit) && write->status == HF_NOSPC) {
        writer->cramped = !medium_make_room(writer->medium);
        run_together(writer, write, &culprit);
    }
    if (write->status == HF_FAILED)
        medium_fail(writer->medium);
    /* A write that succeeded in a transaction that was lost under it has not. */
    if (culprit && write->status == HF_OK)
        write->status = hf_fail(&write->error, HF_IO, "the transaction was lost");
    write->next = next;
}

static void run_batch(struct writer *writer, struct write *batch)
{
    struct write *culprit;

    if (!batch->next) {
        run_alone(writer, batch);
        return;
    }
    if (run_together(writer, batch, &culprit))
        return;
    for (struct write *write = batch; write; write = write->next)
        run_alone(writer, write);
}

/* --- the queue --------------------------------------------------------------------------------- */

/* With the lock held. */
static struct write *take_batch(struct writer *writer)
{
    struct write *batch = writer->first;
    struct write *end = batch;

    for (int n = 1; n < BATCH_MAX && end->next; n++)
        end = end->next;
    writer->first = end->next;
    if (!writer->first)
        writer->last = &writer->first;
    end->next = NULL;
    return batch;
}

static void lead(struct writer *writer, struct write *own)
{
    struct write *batch, *next;

    batch = take_batch(writer);
    pthread_mutex_unlock(&writer->lock);
    if (writer->cramped) /* before the log takes what room there is now */
        writer->cramped = !medium_make_room(writer->medium);
    run_batch(writer, batch);
    if (writer->log_pages > 0)
        medium_log_grew(writer->medium, writer->log_pages);
    pthread_mutex_lock(&writer->lock);
    for (struct write *write = batch; write; write = next) {
        next = write->next;
        write->done = true; /* and its caller may be gone with the lock */
        if (write != own)
            pthread_cond_signal(&write->wake);
    }
    writer->led = false;
    if (writer->first)
        pthread_cond_signal(&writer->first->wake);
}

static void queue(struct writer *writer, struct write *write)
{
    pthread_cond_init(&write->wake, NULL);
    write->next = NULL;
    write->done = false;
    pthread_mutex_lock(&writer->lock);
    *writer->last = write;
    writer->last = &write->next;
    while (!write->done) {
        if (!writer->led) {
            writer->led = true;
            lead(writer, write);
        } else {
            pthread_cond_wait(&write->wake, &writer->lock);
        }
    }
    pthread_mutex_unlock(&writer->lock);
    pthread_cond_destroy(&write->wake);
}

int writer_do(struct writer *writer, struct write *write, struct hf_error *err)
{
    int rc = medium_check(writer->medium, err);

    if (rc != HF_OK)
        return rc;
    queue(writer, write);
    if (write->status != HF_OK) {
        if (err)
            *err = write->error;
        return write->status;
    }
    return write->sync ? medium_sync_to(writer->medium, write->number, err) : HF_OK;
}
