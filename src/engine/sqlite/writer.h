/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The one connection that writes, and the queue before it.
 *
 * A change is a `struct write` whose run() checks and then writes. The first caller to find the writer
 * free leads: it takes all that are waiting as one batch, runs them in one transaction, commits, and
 * wakes them; the first of those that came meanwhile leads next. There is no thread of its own.
 *
 *     QUEUED --leader takes the batch--> RUNNING --+--> DONE
 *                                           |      |
 *                     the batch's transaction fails: each alone, in a transaction of its own
 *
 * A run() that fails before it has changed anything does not disturb the others of its batch. One that
 * fails later makes the batch roll back, and every member run again alone: so run() may be called more
 * than once, and must set everything it gives back anew.
 */
#ifndef ENGINE_SQLITE_WRITER_H
#define ENGINE_SQLITE_WRITER_H

#include <pthread.h>
#include <stdatomic.h>

#include "engine/sqlite/collection.h"
#include "engine/sqlite/db.h"
#include "engine/sqlite/fresh.h"
#include "engine/sqlite/known.h"
#include "engine/sqlite/log_vfs.h"
#include "engine/sqlite/medium.h"

struct writer;

/** What a run() is given. */
struct transaction {
    struct writer *writer;
    struct db *db;
    int64_t now;    /**< the store's clock, read once for the transaction */
    unsigned hosts; /**< host sessions that are registered */
    bool ring;      /**< set by run(): those who wait or listen must look */
};

struct write {
    int (*run)(struct write *write, struct transaction *transaction, struct hf_error *err);
    bool sync; /**< the caller waits for the medium */
    bool
        keep; /**< set by run(): what it wrote stays although it fails (a line of the audit trail) */

    /* The writer's. */
    struct write *next;
    pthread_cond_t wake;
    bool done;
    int status;
    uint64_t number;
    struct hf_error error;
};

struct writer {
    struct log_vfs vfs; /**< below `db` */
    struct db db;       /**< used by the leader */
    const struct clock *clock;
    struct medium *medium;
    /** What the leader keeps of the store between transactions, while nobody else has changed it. */
    uint32_t data_version;
    bool known;
    uint64_t epoch; /**< grows whenever it has to be read anew */
    unsigned hosts;
    uint64_t sweeps, generation;
    struct collection collection;
    struct known known_objects;
    struct fresh *fresh;
    struct fresh_range
        range;       /**< as of the transaction; newest: no object has had a larger number */
    uint64_t writes; /**< for measurements */
    /** That were begun; counted by the leader, read by anyone. */
    atomic_uint_fast64_t transactions;
    int log_pages; /**< after the last commit */
    bool cramped;  /**< the disk was full, and the log still takes its room */

    /** Wakes those who wait or listen; `hosts` as of the transaction, which has ended. */
    void (*ring)(void *arg, unsigned hosts);
    void *ring_arg;

    pthread_mutex_t lock; /**< guards what follows; nothing is acquired under it */
    bool led;
    struct write *first, **last;
};

void writer_init(struct writer *writer);
int writer_open(struct writer *writer, const char *path, const char *vfs, struct medium *medium,
                struct fresh *fresh, const struct clock *clock, struct hf_error *err);
/** Accepts one that was not opened. */
void writer_close(struct writer *writer);

/** Runs `write` in a transaction, shared with others that wait. Returns what it returned. */
int writer_do(struct writer *writer, struct write *write, struct hf_error *err);

/** Within a transaction: what the leader keeps is to be read anew (hosts or sweeps changed). */
void writer_forget(struct writer *writer);
/** Within a transaction: an object with this key was added, with the number after the newest. */
void writer_note_row(struct writer *writer, int64_t key, uint64_t seq);
/** Within a transaction: brings object_key up to date. No number up to the newest is used again from then on, whatever
 *  becomes of its row. */
int writer_settle(struct writer *writer, struct hf_error *err);
/** Within a transaction: moves the collection on. With `bump`, all processes forget what they remember of objects,
 *  and new objects belong to a new generation. */
int writer_move_collection(struct writer *writer, const struct collection *next, bool bump,
                           struct hf_error *err);

#endif
