/* SPDX-License-Identifier: Apache-2.0 */
/** Which version of the client (the agent) began a session: the first event of its events.jsonl says so. */
#ifndef TOOLS_CLIENT_VERSION_H
#define TOOLS_CLIENT_VERSION_H

#include "store/store.h"
#include "tree/view.h"

/** Freed by the caller. NULL when it cannot be told. */
char *client_version_of(struct view *view);
/** The same of the session of a store that was changed last. */
char *client_version_newest(struct store *store, struct blob_cache *cache);

#endif
