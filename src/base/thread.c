/* SPDX-License-Identifier: Apache-2.0 */
#include "base/thread.h"

#include <signal.h>
#include <string.h>

int thread_start(pthread_t *ret_thread, void *(*run)(void *arg), void *arg, struct hf_error *err)
{
    sigset_t all, before;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(ret_thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error == 0 ? HF_OK
                      : hf_fail(err, hf_status_from_errno(error), "cannot start a thread: %s",
                                strerror(error));
}
