/* SPDX-License-Identifier: Apache-2.0 */
#include "base/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/thread.h"

/* To wake a helper takes about as long as to hash so many bytes. */
#define BYTES_MIN (64 * 1024)

/* One call, on its caller's stack. */
struct job {
    parallel_fn fn;
    void *arg;
    size_t n;
    atomic_size_t next; /* item that nobody has begun */
    atomic_int status;
    unsigned lanes;    /* taken so far; guarded by pool.lock, as what follows */
    unsigned helpers;  /* at work */
    struct job *below; /* in pool.jobs */
};

static struct {
    pthread_mutex_t lock; /* guards what follows; nothing is acquired under it */
    pthread_cond_t wanted;
    pthread_cond_t left; /* a helper has left its job */
    struct job *jobs;    /* that a helper may join */
    unsigned threads;
    unsigned idle;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wanted = PTHREAD_COND_INITIALIZER,
          .left = PTHREAD_COND_INITIALIZER};

static void work(struct job *job, unsigned lane)
{
    size_t i;

    while (atomic_load(&job->status) == HF_OK && (i = atomic_fetch_add(&job->next, 1)) < job->n) {
        int none = HF_OK, rc = job->fn(job->arg, i, lane);

        if (rc != HF_OK)
            atomic_compare_exchange_strong(&job->status, &none, rc);
    }
}

/* With the lock held: takes a job off the list. */
static void close_job(struct job *job)
{
    for (struct job **at = &pool.jobs; *at; at = &(*at)->below) {
        if (*at == job) {
            *at = job->below;
            return;
        }
    }
}

/* With the lock held, which is given up meanwhile. */
static void help(struct job *job)
{
    unsigned lane = job->lanes++;

    job->helpers++;
    if (job->lanes == PARALLEL_LANES)
        close_job(job);
    pthread_mutex_unlock(&pool.lock);
    work(job, lane);
    pthread_mutex_lock(&pool.lock);
    close_job(job); /* nothing of it is left to begin */
    if (--job->helpers == 0)
        pthread_cond_broadcast(&pool.left);
}

static void *helper(void *unused)
{
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        if (pool.jobs) {
            help(pool.jobs);
            continue;
        }
        pool.idle++;
        pthread_cond_wait(&pool.wanted, &pool.lock);
        pool.idle--;
    }
    return unused;
}

/* With the lock held: there is one more, if the machine has a processor for it. */
static void add_helper(void)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    pthread_t thread;

    if (pool.threads + 1 >= PARALLEL_LANES || (long)pool.threads + 1 >= processors ||
        thread_start(&thread, helper, NULL, NULL) != HF_OK)
        return;
    pthread_detach(thread);
    pool.threads++;
}

static void offer(struct job *job)
{
    pthread_mutex_lock(&pool.lock);
    job->below = pool.jobs;
    pool.jobs = job;
    if (pool.idle > 0)
        pthread_cond_broadcast(&pool.wanted);
    else
        add_helper();
    pthread_mutex_unlock(&pool.lock);
}

static void withdraw(struct job *job)
{
    pthread_mutex_lock(&pool.lock);
    close_job(job);
    while (job->helpers > 0)
        pthread_cond_wait(&pool.left, &pool.lock);
    pthread_mutex_unlock(&pool.lock);
}

int parallel_each(size_t n, size_t bytes, parallel_fn fn, void *arg)
{
    struct job job = {.fn = fn, .arg = arg, .n = n, .lanes = 1};
    bool shared = n > 1 && bytes >= BYTES_MIN;

    if (shared)
        offer(&job);
    work(&job, 0);
    if (shared)
        withdraw(&job);
    return atomic_load(&job.status);
}
