/* SPDX-License-Identifier: Apache-2.0 */
/** Threads that append lines "<who> <round> <n>" to the log of a session, and know which were acknowledged. */
#ifndef TESTS_HOSTS_WRITER_H
#define TESTS_HOSTS_WRITER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "daemon.h"

struct writer {
    const struct daemon *daemon; /**< through whose mount */
    unsigned session, round;
    bool keeps_open; /**< and fsyncs now and then, instead of closing after each line */
    atomic_bool stop;
    pthread_t thread;
    unsigned written, acked; /**< lines of this round */
    int error;               /**< that ended it, or 0 */
};

/** The path of a session's log through a mount. */
void writer_log(const struct daemon *daemon, unsigned session, char *ret_path, size_t size);
/** Writes one line at once. 0 or an errno. */
int writer_line(int fd, char who, unsigned round, unsigned n);

/** Starts a thread that writes lines of 'A' until `stop`, or an error. The members above `stop` are set. */
void writer_start(struct writer *writer);
/** Ends it, and waits for it; what it kept open is closed. */
void writer_join(struct writer *writer);

/** Reads the log through another mount: lines of 'A' of this round count from 0 without a gap, and as far at least
 *  as they were acknowledged; those of 'B' are counted. */
void writer_check(const struct writer *writer, const struct daemon *reader,
                  unsigned *ret_lines_of_b);

#endif
