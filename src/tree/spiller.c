/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/spiller.h"

#include "base/thread.h"
#include "tree/commit.h"
#include "tree/table.h"

void spiller_init(struct tree *tree)
{
    pthread_mutex_init(&tree->spiller.lock, NULL);
    pthread_cond_init(&tree->spiller.offered, NULL);
}

void spiller_release(struct tree *tree)
{
    pthread_cond_destroy(&tree->spiller.offered);
    pthread_mutex_destroy(&tree->spiller.lock);
}

/* With the lock held, which is given up meanwhile. */
static void spill(struct spiller *spiller)
{
    struct session *session = spiller->session;

    do {
        spiller->again = false;
        pthread_mutex_unlock(&spiller->lock);
        session_flush_sink(session);
        pthread_mutex_lock(&spiller->lock);
    } while (spiller->again && !spiller->stop);
    spiller->session = NULL;
    pthread_mutex_unlock(&spiller->lock);
    table_put(session);
    pthread_mutex_lock(&spiller->lock);
}

static void *spiller_main(void *arg)
{
    struct spiller *spiller = arg;

    pthread_mutex_lock(&spiller->lock);
    while (!spiller->stop) {
        if (spiller->session)
            spill(spiller);
        else
            pthread_cond_wait(&spiller->offered, &spiller->lock);
    }
    pthread_mutex_unlock(&spiller->lock);
    return NULL;
}

bool spiller_offer(struct session *session)
{
    struct spiller *spiller = &session->tree->spiller;
    bool taken;

    pthread_mutex_lock(&spiller->lock);
    if (!spiller->started && !spiller->stop)
        spiller->started = thread_start(&spiller->thread, spiller_main, spiller, NULL) == HF_OK;
    taken =
        spiller->started && !spiller->stop && (!spiller->session || spiller->session == session);
    if (taken && spiller->session) {
        spiller->again = true;
    } else if (taken) {
        table_pin(session);
        spiller->session = session;
        pthread_cond_signal(&spiller->offered);
    }
    pthread_mutex_unlock(&spiller->lock);
    return taken;
}

void spiller_stop(struct tree *tree)
{
    struct spiller *spiller = &tree->spiller;

    pthread_mutex_lock(&spiller->lock);
    spiller->stop = true;
    pthread_cond_signal(&spiller->offered);
    pthread_mutex_unlock(&spiller->lock);
    if (spiller->started)
        pthread_join(spiller->thread, NULL);
    spiller->started = false;
    if (spiller->session)
        table_put(spiller->session);
    spiller->session = NULL;
}
