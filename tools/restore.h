/* SPDX-License-Identifier: Apache-2.0 */
/** Makes an older root the newest version of a session, or the first one of a new session. Nothing is lost: what was
 *  the head stays in the history. */
#ifndef TOOLS_RESTORE_H
#define TOOLS_RESTORE_H

#include "presence.h"

/** Commits `from` (its root, bytes and files count) on top of a live session, under its lease. HF_BUSY when it is
 *  in use, beyond `wait_ms`. `ret_version`: the new version, or 0 when the head is like `from` already. */
int restore_onto(struct presence *presence, uint64_t sid, const struct session_head *from,
                 uint32_t wait_ms, uint64_t *ret_version, struct hf_error *err);

/** Makes a session of it. HF_EXIST. `ret_sid` may be NULL. */
int restore_as(struct presence *presence, const char *name, const struct session_head *from,
               uint64_t *ret_sid, struct hf_error *err);

#endif
