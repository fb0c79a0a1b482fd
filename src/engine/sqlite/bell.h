/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The bell of a store: a small file beside it (`<store>-bell`) that carries no data.
 *
 *   - Liveness: each host session holds a write lock of its open file description (F_OFD_SETLK) on the
 *     byte whose offset is its number. The kernel drops it when the process ends, however it ends: a
 *     host whose lock is gone is dead.
 *   - Wake-ups: who commits something that others must hear of writes a byte; every handle with a host
 *     session watches the file by inotify, and looks into the tables then.
 *
 * POSIX locks would not do: they end when any descriptor of the file is closed in the process.
 * Thread safe.
 */
#ifndef ENGINE_SQLITE_BELL_H
#define ENGINE_SQLITE_BELL_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "holdfast/error.h"

struct bell {
    int fd; /**< of the file, with the locks; -1 until bell_open() */
    int ask; /**< another description of it: by the first the kernel does not tell of this handle's own locks */
    int notify; /**< inotify; -1: not watched, then waiting is polling */
    int stop;   /**< eventfd that ends the thread */
    bool watching;
    pthread_t thread;
    pthread_mutex_t lock; /**< guards what follows; nothing is acquired under it */
    pthread_cond_t rung;
    uint64_t rings; /**< grows with every wake-up */
    uint64_t exits; /**< the same for those that may mean that a host has gone */
    bool stopping;
};

void bell_init(struct bell *bell);
/** Opens (with `create` makes) the file of the store at `store_path`. */
int bell_open(struct bell *bell, const char *store_path, bool create, struct hf_error *err);
/** Begins to watch it, with a thread. */
int bell_watch(struct bell *bell, struct hf_error *err);
/** Ends the watch: those who wait return, and nobody waits again. Idempotent. */
void bell_stop(struct bell *bell);
void bell_release(struct bell *bell);

/** Takes the lock that says that host session `host` lives (HF_BUSY: another handle has it); gives it back. */
int bell_claim(struct bell *bell, uint64_t host, struct hf_error *err);
void bell_disclaim(struct bell *bell, uint64_t host);
/** Whether any handle holds the lock of `host`: this one, too, as while it registers it. */
bool bell_is_claimed(const struct bell *bell, uint64_t host);

/** The one that collects garbage holds a lock of its own: HF_BUSY while another handle does. Of the threads of one
 *  handle one alone may try. */
int bell_claim_collection(struct bell *bell, struct hf_error *err);
void bell_disclaim_collection(struct bell *bell);

/** Wakes those who wait through this handle; through every handle that watches. */
void bell_wake(struct bell *bell);
void bell_ring(struct bell *bell);
/** The number of rings so far. */
uint64_t bell_rings(struct bell *bell);
/** Waits until there were more rings than `seen`, at most `timeout_ns` (-1: for ever). False when the
 *  watch has ended. */
bool bell_wait(struct bell *bell, uint64_t seen, int64_t timeout_ns);

#endif
