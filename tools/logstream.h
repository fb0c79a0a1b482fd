/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The event log of a session as its versions come: each version is read from where the last one ended, unless what was
 * read of the last one is not so any more; then from its beginning, without the events that were given before.
 */
#ifndef TOOLS_LOGSTREAM_H
#define TOOLS_LOGSTREAM_H

#include "tree/eventlog.h"
#include "tree/view.h"

#define LOGSTREAM_FILE "events.jsonl"

struct logstream {
    struct blob_cache *cache; /**< borrowed */
    struct eventlog *log;
    struct view *view;     /**< of the version read last, or NULL */
    struct view_node node; /**< the log in it; without a record when there is none */
    bool present;          /**< there is a log in the version read last */
};

/** HF_NOMEM. */
int logstream_open(struct logstream *stream, struct blob_cache *cache,
                   const struct eventlog_listener *listener, struct hf_error *err);
void logstream_close(struct logstream *stream);
/** Reads on in the version with this root. What a listener returned, or an error. */
int logstream_read(struct logstream *stream, const struct object_id *root, struct hf_error *err);
/** Bytes of the log in the version read last. */
uint64_t logstream_size(const struct logstream *stream);

#endif
