/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/medium.h"

#include <assert.h>

static int open_connection(const char *path, const char *vfs, struct db *ret_db,
                           struct hf_error *err)
{
    int64_t ignored;
    int rc = db_open(path, SQLITE_OPEN_READWRITE, vfs, ret_db, err);

    if (rc == HF_OK)
        rc = db_script(ret_db,
                       "PRAGMA synchronous=NORMAL; PRAGMA wal_autocheckpoint=0;"
                       "PRAGMA journal_size_limit=67108864; PRAGMA cache_size=-256",
                       err);
    if (rc == HF_OK) /* a first read opens the log */
        rc = db_number(ret_db, "SELECT count(*) FROM sqlite_schema", &ignored, err);
    return rc;
}

void medium_init(struct medium *medium)
{
    pthread_mutex_init(&medium->lock, NULL);
    pthread_cond_init(&medium->sync_ended, NULL);
    pthread_cond_init(&medium->checkpoints, NULL);
}

int medium_open(struct medium *medium, const char *path, const char *vfs, struct hf_error *err)
{
    int64_t page_size = 0;
    int rc = open_connection(path, vfs, &medium->sync_db, err);

    if (rc == HF_OK)
        rc = open_connection(path, vfs, &medium->checkpoint_db, err);
    if (rc == HF_OK)
        rc = db_number(&medium->checkpoint_db, "PRAGMA page_size", &page_size, err);
    if (rc == HF_OK && page_size >= 512)
        medium->checkpoint_pages = (int)(MEDIUM_CHECKPOINT_BYTES / page_size);
    if (rc == HF_OK) /* one who is in the way of a checkpoint is not worth waiting for */
        sqlite3_busy_timeout(medium->checkpoint_db.handle, 20);
    return rc;
}

void medium_close(struct medium *medium)
{
    pthread_mutex_lock(&medium->lock);
    medium->stopping = true;
    pthread_cond_broadcast(&medium->checkpoints);
    pthread_mutex_unlock(&medium->lock);
    if (medium->thread_started)
        pthread_join(medium->thread, NULL);
    db_close(&medium->sync_db);
    db_close(&medium->checkpoint_db);
    pthread_cond_destroy(&medium->sync_ended);
    pthread_cond_destroy(&medium->checkpoints);
    pthread_mutex_destroy(&medium->lock);
}

int medium_check(struct medium *medium, struct hf_error *err)
{
    if (!atomic_load(&medium->failed))
        return HF_OK;
    return hf_fail(err, HF_FAILED,
                   "an earlier sync of the store file failed; the store must be opened anew");
}

void medium_fail(struct medium *medium)
{
    atomic_store(&medium->failed, true);
}

/* --- syncs ------------------------------------------------------------------------------------ */

static int sync_log(struct db *db, struct hf_error *err)
{
    sqlite3_file *log = NULL;
    int code = sqlite3_file_control(db->handle, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);

    if (code == SQLITE_OK && (!log || !log->pMethods))
        return HF_OK; /* no log, so nothing that is only there */
    if (code == SQLITE_OK)
        code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    if (code == SQLITE_OK)
        return HF_OK;
    return hf_fail(err, HF_FAILED, "the store file could not be synced: %s", sqlite3_errstr(code));
}

/* With medium->lock held, which is given up meanwhile. */
static void sync_once(struct medium *medium, struct hf_error *err)
{
    uint64_t number;
    int rc;

    medium->syncing = true;
    medium->syncs++;
    pthread_mutex_unlock(&medium->lock);
    number = atomic_load(&medium->committed);
    rc = sync_log(&medium->sync_db, err);
    if (rc != HF_OK)
        medium_fail(medium);
    pthread_mutex_lock(&medium->lock);
    medium->syncing = false;
    if (rc == HF_OK && number > medium->synced)
        medium->synced = number;
    pthread_cond_broadcast(&medium->sync_ended);
}

uint64_t medium_syncs(struct medium *medium)
{
    uint64_t syncs;

    pthread_mutex_lock(&medium->lock);
    syncs = medium->syncs;
    pthread_mutex_unlock(&medium->lock);
    return syncs;
}

int medium_sync_to(struct medium *medium, uint64_t number, struct hf_error *err)
{
    int rc;

    pthread_mutex_lock(&medium->lock);
    while ((rc = medium_check(medium, err)) == HF_OK && medium->synced < number) {
        if (medium->syncing)
            pthread_cond_wait(&medium->sync_ended, &medium->lock);
        else
            sync_once(medium, err);
    }
    pthread_mutex_unlock(&medium->lock);
    return rc;
}

int medium_sync_all(struct medium *medium, struct hf_error *err)
{
    /* A number of its own makes it wait for a sync that begins after this moment. */
    return medium_sync_to(medium, atomic_fetch_add(&medium->committed, 1) + 1, err);
}

/* --- checkpoints ------------------------------------------------------------------------------- */

/* A failed sync within a checkpoint is as final as any other. A full disk or a busy reader is not. */
static bool checkpoint(struct medium *medium, int mode)
{
    int code = sqlite3_wal_checkpoint_v2(medium->checkpoint_db.handle, "main", mode, NULL, NULL);

    if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC)
        medium_fail(medium);
    return code == SQLITE_OK;
}

/* Puts on the medium what a checkpoint has copied so far, so that one that writers wait for finds little to
 * sync. Nothing relies on it; but a sync that failed has failed. */
static void sync_file(struct medium *medium)
{
    sqlite3_file *file = NULL;
    int code = sqlite3_file_control(medium->checkpoint_db.handle, "main", SQLITE_FCNTL_FILE_POINTER,
                                    &file);

    if (code == SQLITE_OK && file && file->pMethods &&
        file->pMethods->xSync(file, SQLITE_SYNC_NORMAL) != SQLITE_OK)
        medium_fail(medium);
}

/* With medium->lock held, which is given up meanwhile. */
static void checkpoint_once(struct medium *medium)
{
    int pages = medium->log_pages;

    medium->checkpoint_wanted = false;
    medium->checkpoint_running = true;
    pthread_mutex_unlock(&medium->lock);
    checkpoint(medium, SQLITE_CHECKPOINT_PASSIVE);
    /* Under an unbroken load the log is never copied to its end beside the writers; then they wait for
     * the little that is left. */
    if (pages > 2 * medium->checkpoint_pages) {
        sync_file(medium);
        checkpoint(medium, SQLITE_CHECKPOINT_PASSIVE);
        checkpoint(medium, SQLITE_CHECKPOINT_RESTART);
    }
    pthread_mutex_lock(&medium->lock);
    medium->checkpoint_running = false;
    pthread_cond_broadcast(&medium->checkpoints);
}

static void *checkpoint_thread(void *arg)
{
    struct medium *medium = arg;

    pthread_mutex_lock(&medium->lock);
    while (!medium->stopping) {
        if (medium->checkpoint_wanted && !medium->checkpoint_running)
            checkpoint_once(medium);
        else
            pthread_cond_wait(&medium->checkpoints, &medium->lock);
    }
    pthread_mutex_unlock(&medium->lock);
    return NULL;
}

void medium_log_grew(struct medium *medium, int pages)
{
    atomic_store(&medium->log_length, pages);
    if (pages < medium->checkpoint_pages)
        return;
    pthread_mutex_lock(&medium->lock);
    medium->log_pages = pages;
    medium->checkpoint_wanted = true;
    if (!medium->thread_started)
        medium->thread_started =
            pthread_create(&medium->thread, NULL, checkpoint_thread, medium) == 0;
    if (!medium->thread_started && !medium->checkpoint_running)
        checkpoint_once(medium);
    pthread_cond_broadcast(&medium->checkpoints);
    pthread_mutex_unlock(&medium->lock);
}

/* Takes a turn at checkpoints; end_turn() gives it back. */
static void take_turn(struct medium *medium)
{
    pthread_mutex_lock(&medium->lock);
    while (medium->checkpoint_running)
        pthread_cond_wait(&medium->checkpoints, &medium->lock);
    medium->checkpoint_running = true;
    pthread_mutex_unlock(&medium->lock);
}

static void end_turn(struct medium *medium)
{
    pthread_mutex_lock(&medium->lock);
    medium->checkpoint_running = false;
    pthread_cond_broadcast(&medium->checkpoints);
    pthread_mutex_unlock(&medium->lock);
}

bool medium_make_room(struct medium *medium)
{
    bool done;

    take_turn(medium);
    done = checkpoint(medium, SQLITE_CHECKPOINT_TRUNCATE);
    end_turn(medium);
    return done;
}

void medium_tidy(struct medium *medium, int pages)
{
    if (atomic_load(&medium->log_length) < pages)
        return;
    take_turn(medium);
    checkpoint(medium, SQLITE_CHECKPOINT_PASSIVE);
    end_turn(medium);
}
