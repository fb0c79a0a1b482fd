/* SPDX-License-Identifier: Apache-2.0 */
/** Claim files that dead processes and former holders left behind. */
#ifndef TREE_STALE_H
#define TREE_STALE_H

#include "tree/session.h"

/** A new claim was granted under `name`: removes all other claim files of the session's top directory,
 *  each with its companions (the same name with another suffix). Session locked, under its lease. */
int stale_remove(struct session *session, const char *name);

#endif
