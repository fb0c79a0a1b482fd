/* SPDX-License-Identifier: Apache-2.0 */
/** What the parts of `holdfast doctor` share: each looks at one thing and reports what it finds. */
#ifndef TOOLS_DOCTOR_H
#define TOOLS_DOCTOR_H

#include "store/store.h"

enum doctor_level { DOCTOR_OK, DOCTOR_WARNING, DOCTOR_FAILURE };

struct doctor;

/** Reports one finding. `advice` says what to do about it; NULL where there is nothing to do. */
void doctor_report(struct doctor *doctor, enum doctor_level level, const char *check,
                   const char *advice, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/** /dev/fuse, fusermount3, fuse.conf, versions, limits, the clock. */
void doctor_check_system(struct doctor *doctor);
/** The store file and what is in it. `url` is NUL-terminated. */
void doctor_check_store(struct doctor *doctor, const char *url);
/** Whether something is mounted there, and answers. */
void doctor_check_mount(struct doctor *doctor, const char *mount_point);

#endif
