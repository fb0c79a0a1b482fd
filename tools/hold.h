/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Holding a session's lease for as long as a command wants.
 *
 * Through the mount of this host: a write lock on SESSION/.holdfast/lease takes the lease and pins it, and
 * whatever works on the mount may go on. Or, with a store and no mount, as a host session of its own: then no
 * mount anywhere can write the session meanwhile.
 */
#ifndef TOOLS_HOLD_H
#define TOOLS_HOLD_H

#include <stdbool.h>
#include <stdint.h>

#include "holdfast/error.h"

#define HOLD_FOREVER UINT32_MAX

struct hold_request {
    const char *session;
    const char *store;   /**< --store: hold it without a mount; NULL: through the mount */
    const char *mount;   /**< where the sessions are mounted; NULL: the default place */
    bool create;         /**< make the session when there is none; through a mount only */
    const char *hint;    /**< ends the message that there is no such session; NULL: nothing */
    uint32_t wait_ms;    /**< beyond the time that a recall takes; HOLD_FOREVER */
    const char *purpose; /**< what others are told: "holdfast run, pid 42: make" */
};

struct hold;

/** HF_BUSY when it is held elsewhere all that time; HF_NOENT; HF_INTR after a signal. */
int hold_take(const struct hold_request *request, struct hold **ret_hold, struct hf_error *err);
/** Gives the lease up. NULL is fine. */
void hold_drop(struct hold *hold);

#endif
