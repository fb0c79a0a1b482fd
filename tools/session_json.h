/* SPDX-License-Identifier: Apache-2.0 */
/** A session as the tools' JSON shows it. */
#ifndef TOOLS_SESSION_JSON_H
#define TOOLS_SESSION_JSON_H

#include "json.h"
#include "store/store.h"

/** NULL when out of memory. */
json_t *session_json(const struct session_info *info);

#endif
