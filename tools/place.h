/* SPDX-License-Identifier: Apache-2.0 */
/** Where the sessions are mounted: the directory that the agent looks into. */
#ifndef TOOLS_PLACE_H
#define TOOLS_PLACE_H

#include <limits.h>
#include <stdbool.h>

#include "holdfast/error.h"

#define PLACE_MAX PATH_MAX

/** The absolute path of `given`, or of ${COPILOT_HOME:-~/.copilot}/session-state when it is NULL. Symbolic
 *  links are resolved in as much of it as exists. Nothing is touched below it: a dead mount is no matter. */
int place_of(const char *given, char ret_path[PLACE_MAX], struct hf_error *err);

/** A line of /proc/self/mountinfo. */
struct place_mount {
    char type[64], source[256];
};
/** The topmost mount at exactly this path. False when nothing is mounted there. */
bool place_mount(const char *path, struct place_mount *ret_mount);

#endif
