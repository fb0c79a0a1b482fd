/* SPDX-License-Identifier: Apache-2.0 */
/** A small pool of reader connections beside the writer. Thread safe. */
#ifndef ENGINE_SQLITE_READERS_H
#define ENGINE_SQLITE_READERS_H

#include <pthread.h>

#include "engine/sqlite/db.h"

#define READERS_MAX 4

struct readers {
    const char *path;
    const char *vfs;
    struct fresh *fresh;  /**< for each of them */
    pthread_mutex_t lock; /**< guards what follows; nothing is acquired under it */
    pthread_cond_t returned;
    unsigned made, idle;
    struct db *stack[READERS_MAX]; /**< the idle ones, the last used on top */
};

void readers_init(struct readers *readers, const char *path, const char *vfs, struct fresh *fresh);
/** No reader may be in use. */
void readers_release(struct readers *readers);

/** Takes a reader, waiting for one when all are in use; ended by readers_give(). */
int readers_take(struct readers *readers, struct db **ret_db, struct hf_error *err);
void readers_give(struct readers *readers, struct db *db);

#endif
