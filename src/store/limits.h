/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The limits of a store's retention policy, as an engine applies them in the transaction of a commit.
 *
 * What makes a session smaller always goes through, and so does what changes little and adds no bytes to it: who
 * is over a limit must be able to get below it. Guarded by its caller.
 */
#ifndef STORE_LIMITS_H
#define STORE_LIMITS_H

#include "base/buf.h"
#include "store/retention.h"

/** All zero: no limits. */
struct limits {
    struct buf text; /**< of the policy */
    struct retention *policy;
};

/** The store's policy has this text now; without bytes it has none of its own. One that cannot be read, as by a newer
 *  version, limits nothing. HF_NOMEM: all stays as it was. */
int limits_set(struct limits *limits, struct slice text);
void limits_free(struct limits *limits);

/** Whether limits_admit() needs to know what the store takes. */
bool limits_of_store(const struct limits *limits);

/** A commit, or (without a session) objects that are put ahead of one. */
struct limits_step {
    const char *session;    /**< "." of the shared tree; NULL: none */
    uint64_t before, after; /**< bytes of its files */
    uint64_t added;         /**< bytes of objects that come with it */
    uint64_t used;          /**< bytes that the store takes */
};

/** HF_QUOTA for the session's limit, HF_NOSPC for the store's; the sentence names session, limit and rule. */
int limits_admit(const struct limits *limits, const struct limits_step *step, struct hf_error *err);

#endif
