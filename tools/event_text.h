/* SPDX-License-Identifier: Apache-2.0 */
/** An event of events.jsonl in one line for people: when, what, and the beginning of what it says. */
#ifndef TOOLS_EVENT_TEXT_H
#define TOOLS_EVENT_TEXT_H

#include "base/buf.h"

/** "2026-01-31T10:00:00.000Z  user.message  Which word was it?", printable. A line that is no event is shown as it
 *  is, cut. Freed by the caller; NULL when out of memory. */
char *event_text(struct slice line);

#endif
