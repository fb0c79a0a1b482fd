/* SPDX-License-Identifier: Apache-2.0 */
/** Threads of the remote engine: they leave every signal to the program. */
#ifndef ENGINE_REMOTE_THREADS_H
#define ENGINE_REMOTE_THREADS_H

#include <pthread.h>
#include <signal.h>

#include "holdfast/error.h"

/** Starts a thread. HF_NOMEM. */
static inline int remote_thread_start(pthread_t *ret_thread, void *(*main)(void *), void *arg,
                                      struct hf_error *err)
{
    sigset_t all, before;
    int rc;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rc = pthread_create(ret_thread, NULL, main, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? HF_OK : hf_fail(err, HF_NOMEM, "cannot start a thread for a remote store");
}

#endif
