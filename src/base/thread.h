/* SPDX-License-Identifier: Apache-2.0 */
/** Threads of libraries. Thread safe. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

#include "holdfast/error.h"

/** Starts a thread that takes no signals: those are for the program's own threads. The caller joins or detaches
 *  it. HF_AGAIN, HF_NOMEM. */
int thread_start(pthread_t *ret_thread, void *(*run)(void *arg), void *arg, struct hf_error *err);

#endif
