/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What is sent ahead with a head or a grant: objects that the host will ask for when it goes on from the root that it
 * says it has (store/delta.h). Only of a session whose head the host may be told.
 */
#ifndef SERVER_AHEAD_H
#define SERVER_AHEAD_H

#include "server/request.h"
#include "store/types.h"

/** Bytes of plain contents of one answer at most, whatever was asked for. */
#define AHEAD_BYTES_MAX (128u << 10)

/** Adds to the reply what `request` asks for ahead of this head, which is in the reply already. Advisory: nothing is
 *  added where that fails. On a worker. */
void ahead_fill(struct request *request, const struct session_head *head,
                Holdfast__Wire__Reply *reply);

#endif
