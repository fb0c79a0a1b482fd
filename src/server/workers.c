/* SPDX-License-Identifier: Apache-2.0 */
#include "server/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/thread.h"

/* A thread that finds nothing to do for so long ends, if it is not the last. */
#define IDLE_S 10

struct workers {
    unsigned max;
    pthread_mutex_t lock; /**< guards what follows; nothing is acquired under it */
    pthread_cond_t work;  /**< something was queued, or it is the end */
    pthread_cond_t gone;  /**< a thread has ended */
    struct task *first, **last;
    unsigned queued, threads, idle;
    bool ending;
    pthread_t ended; /**< the latest that has, to be joined by the next; valid when `has_ended` */
    bool has_ended;
};

static struct task *pop(struct workers *workers)
{
    struct task *task = workers->first;

    workers->first = task->next;
    if (!workers->first)
        workers->last = &workers->first;
    workers->queued--;
    task->next = NULL;
    return task;
}

/* Waits for work, the lock held. False: this thread is to end. */
static bool wait_for_work(struct workers *workers)
{
    struct timespec until;
    int rc = 0;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += IDLE_S;
    workers->idle++;
    while (!workers->first && !workers->ending && rc != ETIMEDOUT)
        rc = workers->threads > 1 ? pthread_cond_timedwait(&workers->work, &workers->lock, &until)
                                  : pthread_cond_wait(&workers->work, &workers->lock);
    workers->idle--;
    return workers->first != NULL;
}

/* Each thread joins the one that has ended before it, and workers_free() the last. So none is left behind, not even
 * with what libraries do at a thread's end. The lock is held. */
static void *end_thread(struct workers *workers)
{
    pthread_t before = workers->ended;
    bool has_before = workers->has_ended;

    workers->ended = pthread_self();
    workers->has_ended = true;
    workers->threads--;
    pthread_cond_broadcast(&workers->gone);
    pthread_mutex_unlock(&workers->lock);
    if (has_before)
        pthread_join(before, NULL);
    return NULL;
}

static void *work(void *arg)
{
    struct workers *workers = arg;

    pthread_mutex_lock(&workers->lock);
    while (workers->first || wait_for_work(workers)) {
        struct task *task = pop(workers);

        pthread_mutex_unlock(&workers->lock);
        task->run(task);
        pthread_mutex_lock(&workers->lock);
    }
    return end_thread(workers);
}

/* Starts one more thread, the lock held. */
static int add_thread(struct workers *workers, struct hf_error *err)
{
    pthread_t thread;
    int rc = thread_start(&thread, work, workers, err);

    if (rc == HF_OK)
        workers->threads++;
    return rc;
}

static void init_conditions(struct workers *workers)
{
    pthread_condattr_t attributes;

    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&workers->work, &attributes);
    pthread_cond_init(&workers->gone, &attributes);
    pthread_condattr_destroy(&attributes);
}

static void destroy(struct workers *workers)
{
    pthread_cond_destroy(&workers->work);
    pthread_cond_destroy(&workers->gone);
    pthread_mutex_destroy(&workers->lock);
    free(workers);
}

int workers_new(unsigned max, struct workers **ret_workers, struct hf_error *err)
{
    struct workers *workers = calloc(1, sizeof *workers);
    int rc;

    if (!workers)
        return hf_fail(err, HF_NOMEM, "out of memory");
    workers->max = max > 0 ? max : 1;
    workers->last = &workers->first;
    pthread_mutex_init(&workers->lock, NULL);
    init_conditions(workers);
    pthread_mutex_lock(&workers->lock);
    rc = add_thread(workers, err);
    pthread_mutex_unlock(&workers->lock);
    if (rc == HF_OK)
        *ret_workers = workers;
    else
        destroy(workers);
    return rc;
}

void workers_submit(struct workers *workers, struct task *task)
{
    pthread_mutex_lock(&workers->lock);
    task->next = NULL;
    *workers->last = task;
    workers->last = &task->next;
    workers->queued++;
    /* Without a further thread those that there are get to it in the end. */
    if (workers->idle < workers->queued && workers->threads < workers->max)
        (void)add_thread(workers, NULL);
    pthread_cond_signal(&workers->work);
    pthread_mutex_unlock(&workers->lock);
}

void workers_free(struct workers *workers)
{
    if (!workers)
        return;
    pthread_mutex_lock(&workers->lock);
    workers->ending = true;
    pthread_cond_broadcast(&workers->work);
    while (workers->threads > 0)
        pthread_cond_wait(&workers->gone, &workers->lock);
    pthread_mutex_unlock(&workers->lock);
    if (workers->has_ended)
        pthread_join(workers->ended, NULL);
    destroy(workers);
}
