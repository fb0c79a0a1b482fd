/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The session of a simulated host: one log, which a commit makes 2 KiB longer, as a mount commits an append. When it
 * is 64 KiB long, the next part takes the place of its oldest one, so that all commits cost the same.
 */
#ifndef BENCH_HOSTLOG_H
#define BENCH_HOSTLOG_H

#include "store/types.h"

#define HOSTLOG_PART 2048
#define HOSTLOG_OBJECTS 2 /* of each commit: the chunk, the root */

struct hostlog;

/** An empty log. NULL: out of memory. */
struct hostlog *hostlog_new(const struct object_hasher *hasher);
/** Makes it longer by this text. HF_NOMEM. */
int hostlog_step(struct hostlog *log, const uint8_t text[HOSTLOG_PART], struct hf_error *err);
/** The HOSTLOG_OBJECTS of the latest step, the root last; there until the next one. */
const struct object *hostlog_objects(const struct hostlog *log);
/** Fills the commit with the latest step; its session, token, base and durability are left alone. */
void hostlog_commit(const struct hostlog *log, struct commit *commit);
void hostlog_free(struct hostlog *log);

#endif
