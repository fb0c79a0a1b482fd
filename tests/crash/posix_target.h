/* SPDX-License-Identifier: Apache-2.0 */
/** Performs a load's steps by system calls, and lists what a directory holds. */
#ifndef TESTS_CRASH_POSIX_TARGET_H
#define TESTS_CRASH_POSIX_TARGET_H

#include "load.h"

struct posix_target {
    char base[256]; /**< the session's directory */
    int fds[STEP_SLOTS];
};

void posix_target_init(struct posix_target *target, const char *base);
/** 0 or an errno. Interrupted and short writes are failures: neither happens on a sound mount. */
int posix_target_step(struct posix_target *target, const struct step *step);
void posix_target_close(struct posix_target *target);
/** Appends the listing of what is below `base`; nothing when that is not there. 0 or an errno. */
int posix_target_list(const char *base, struct buf *ret_listing);

#endif
