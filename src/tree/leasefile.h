/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The file <session>/.holdfast/lease: who has the session, and the way to hold it.
 *
 *   read        one JSON object (below), as it was when the file was opened
 *   write lock  (flock, fcntl or OFD) acquires the session's lease and pins it until it is unlocked, closed, or
 *               its process has ended. One that waits, waits for the lease too, and a signal ends it.
 *
 * Opening it, however, takes nothing and changes nothing: `flock S/.holdfast/lease CMD` runs a command under
 * the lease.
 *
 *     {"session": "S", "sid": 7, "state": "held", "token": 12, "here": true, "host": "a", "pid": 71,
 *      "mount": "/mnt", "since": 1767225600.250, "pinned_by": "held by pid 90 (flock)", "waiting": ["b"]}
 *
 * `state` is "free", "held" or "recalled"; `here`: by this mount. Members that are not known are null.
 */
#ifndef TREE_LEASEFILE_H
#define TREE_LEASEFILE_H

#include "tree/session.h"

/** Appends the text. Asks the store. Locked. */
int leasefile_write(struct session *session, struct buf *out);

#endif
