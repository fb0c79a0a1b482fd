/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A pool of threads. It grows while something waits and no thread is idle, up to a limit, and shrinks again.
 * Commits of many hosts must be in the store at the same time to share one sync: hence many threads, each of
 * which mostly waits.
 */
#ifndef SERVER_WORKERS_H
#define SERVER_WORKERS_H

#include "holdfast/error.h"

/** Work to be done, embedded in what it is about. */
struct task {
    void (*run)(struct task *task); /**< may free the task, or submit it again */
    struct task *next;              /**< the pool's */
};

struct workers;

/** A pool of at most `max` threads, one of which is started now and stays. */
int workers_new(unsigned max, struct workers **ret_workers, struct hf_error *err);
/** Queues a task; first come, first served. Cannot fail. Any thread. */
void workers_submit(struct workers *workers, struct task *task);
/** Waits until everything that was submitted has run, then ends the threads. NULL is fine. */
void workers_free(struct workers *workers);

#endif
