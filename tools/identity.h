/* SPDX-License-Identifier: Apache-2.0 */
/** Who a mount (or a command that writes) is to the store: the owner of its leases. */
#ifndef TOOLS_IDENTITY_H
#define TOOLS_IDENTITY_H

#include <limits.h>

#include "store/types.h"

/** The identity and the strings that it points to. */
struct identity {
    struct host_identity host;
    char host_name[HOST_NAME_MAX + 1];
    char place[PATH_MAX];
};

/**
 * This machine, this boot, this process. `place` is the absolute mount point: the mount's id is made from
 * it and the user, so that a restarted daemon is known again. The incarnation is the time since boot.
 * A machine without /etc/machine-id is known by its host name.
 */
int identity_read(const char *place, struct identity *ret_identity, struct hf_error *err);

#endif
