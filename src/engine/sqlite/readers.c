/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/readers.h"

#include <assert.h>
#include <stdlib.h>

void readers_init(struct readers *readers, const char *path, const char *vfs, struct fresh *fresh)
{
    *readers = (struct readers){.path = path, .vfs = vfs, .fresh = fresh};
    pthread_mutex_init(&readers->lock, NULL);
    pthread_cond_init(&readers->returned, NULL);
}

static void free_reader(struct db *db)
{
    if (!db)
        return;
    db_close(db);
    free(db);
}

void readers_release(struct readers *readers)
{
    assert(readers->idle == readers->made);
    while (readers->idle > 0)
        free_reader(readers->stack[--readers->idle]);
    pthread_cond_destroy(&readers->returned);
    pthread_mutex_destroy(&readers->lock);
}

static int make_reader(struct readers *readers, struct db **ret_db, struct hf_error *err)
{
    struct db *db = calloc(1, sizeof *db);
    int rc;

    if (!db)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = db_open(readers->path, SQLITE_OPEN_READONLY, readers->vfs, db, err);
    if (rc == HF_OK)
        rc = db_script(db,
                       "PRAGMA query_only=1; PRAGMA cache_size=-2048; PRAGMA cell_size_check=1;"
                       "PRAGMA temp_store=MEMORY",
                       err);
    if (rc != HF_OK) {
        free_reader(db);
        return rc;
    }
    db->fresh = readers->fresh;
    *ret_db = db;
    return HF_OK;
}

int readers_take(struct readers *readers, struct db **ret_db, struct hf_error *err)
{
    bool make = false;
    int rc = HF_OK;

    pthread_mutex_lock(&readers->lock);
    while (readers->idle == 0 && readers->made == READERS_MAX)
        pthread_cond_wait(&readers->returned, &readers->lock);
    if (readers->idle > 0) {
        *ret_db = readers->stack[--readers->idle];
    } else {
        readers->made++;
        make = true;
    }
    pthread_mutex_unlock(&readers->lock);
    if (!make)
        return HF_OK;
    rc = make_reader(readers, ret_db, err);
    if (rc != HF_OK) {
        pthread_mutex_lock(&readers->lock);
        readers->made--;
        pthread_cond_signal(&readers->returned);
        pthread_mutex_unlock(&readers->lock);
    }
    return rc;
}

void readers_give(struct readers *readers, struct db *db)
{
    pthread_mutex_lock(&readers->lock);
    readers->stack[readers->idle++] = db;
    pthread_cond_signal(&readers->returned);
    pthread_mutex_unlock(&readers->lock);
}
