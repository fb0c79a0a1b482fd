/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The places where a session's own files name it: "id" in workspace.yaml, and data.sessionId in the first event of
 * events.jsonl. A copy under another name is a session of its own once these say so; every other byte stays.
 */
#ifndef TREE_SESSION_ID_H
#define TREE_SESSION_ID_H

#include <stdbool.h>

#include "tree/build.h"

#define SESSION_ID_WORKSPACE "workspace.yaml"
#define SESSION_ID_EVENTS "events.jsonl"

/** What became of one of the places. */
enum session_id_place {
    SESSION_ID_WRITTEN = 1, /**< it names the new id, or did before */
    SESSION_ID_ABSENT,      /**< there is no such (regular) file */
    SESSION_ID_ODD,         /**< the file does not say an id where it is to be: left as it is */
};

struct session_id_report {
    enum session_id_place workspace, events;
};

/** Makes the session that is being built name itself `id`, which becomes ODD everywhere when it is not UTF-8. The
 *  files that change get `time` (ns) for their mtime. */
int session_id_rewrite(struct build *build, const char *id, int64_t time,
                       struct session_id_report *ret_report, struct hf_error *err);

/* --- the text, for tests -------------------------------------------------------------------------- */

/** A part of a text. */
struct session_id_span {
    size_t start, end;
};

/** Where the value of the key "id" is in a workspace.yaml. False: it is not there, or not on one line. */
bool session_id_in_yaml(struct slice yaml, struct session_id_span *ret_span);
/** Where the value of data.sessionId is in the first line of events.jsonl; it is a string. False: not there, or the
 *  line is not whole in `text`. */
bool session_id_in_event(struct slice text, struct session_id_span *ret_span);

#endif
