/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A process that goes to the background once it works.
 *
 *     shell --- daemon_start --- waits -------------------------- returns the exit code
 *                    \                        ^ ready      ^ or its end
 *                     child: daemon_start, work until ready, daemon_ready, work on
 *
 * Until daemon_ready() the child has the shell's stderr, and its end is the command's end.
 */
#ifndef TOOLS_DAEMON_H
#define TOOLS_DAEMON_H

#include <stdbool.h>

/** True in the child (in a session of its own). False in the parent, once the child is ready or has
 *  ended: exit with `ret_exit`. Call it before any thread is started. */
bool daemon_start(int *ret_ready_fd, int *ret_exit);

/** Lets the parent go, and the terminal and the working directory too: messages go to a log file. */
void daemon_ready(int ready_fd);

#endif
