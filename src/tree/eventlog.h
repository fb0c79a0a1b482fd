/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Reads the event log of a session, events.jsonl: one JSON object a line, each with a type and an id. Gives each
 * whole event, and says what else there is, where, and what to put in its place so that only whole events remain:
 *
 *     {"type":…}                      an event
 *     {"type":…}{"type":…}            records run together: a newline goes between them
 *     {"type":"us{"type":…}           a torn record before a whole one is cut out
 *     {"type":"us␀␀␀␀␀{"type":…}      and so are runs of NUL bytes, and what they tore
 *
 * The log is fed in pieces of any size. Memory: one line of at most EVENTLOG_LINE_MAX bytes, and some 100 bytes for
 * each event, to know those that come twice. Pure; one thread at a time.
 */
#ifndef TREE_EVENTLOG_H
#define TREE_EVENTLOG_H

#include <stdbool.h>

#include "base/buf.h"

/** A longer line is passed over. */
#define EVENTLOG_LINE_MAX ((size_t)64 << 20)

enum eventlog_kind {
    EVENTLOG_NULS = 1,  /**< a run of NUL bytes */
    EVENTLOG_TORN,      /**< a part of an event, or no event at all */
    EVENTLOG_JOINED,    /**< no newline between two events */
    EVENTLOG_UTF8,      /**< bytes that are no UTF-8, inside of an event */
    EVENTLOG_DUPLICATE, /**< an event that was there before */
    EVENTLOG_EMPTY,     /**< a line without anything */
    EVENTLOG_UNENDED,   /**< no newline after the last event */
    EVENTLOG_SAME_ID,   /**< an event with the id of another one; both stay */
    EVENTLOG_LONG,      /**< a line longer than EVENTLOG_LINE_MAX; it stays */
};

/** Something to be mended. In order of offset, and disjoint. */
struct eventlog_damage {
    enum eventlog_kind kind;
    uint64_t line; /**< counted from 1 */
    uint64_t offset, len;
    bool mendable;
    const char *put;   /**< if mendable: what takes the place of the `len` bytes */
    uint64_t other;    /**< DUPLICATE, SAME_ID: the line of the first one */
    struct slice text; /**< of the bytes concerned, at least their beginning */
};

/** A whole event. Slices are valid during the call. */
struct eventlog_event {
    uint64_t line, offset;
    struct slice text; /**< without the newline */
    struct slice type, id,
        timestamp; /**< as they stand between the quotes; empty: none, or written with escapes */
};

/** Not 0 stops the reading, and is returned. Either may be NULL. */
struct eventlog_listener {
    int (*event)(const struct eventlog_event *event, void *arg);
    int (*damage)(const struct eventlog_damage *damage, void *arg);
    void *arg;
};

struct eventlog;

/** NULL when out of memory. */
struct eventlog *eventlog_new(const struct eventlog_listener *listener);
void eventlog_free(struct eventlog *log);
/** Reads on. HF_NOMEM, or what the listener returned. */
int eventlog_feed(struct eventlog *log, struct slice bytes);
/** The log ends here: what stands after the last newline is judged too. */
int eventlog_end(struct eventlog *log);
/** Begins at the log's first byte again, as it was rewritten: events that were there before and are the same are not
 *  given again. */
void eventlog_restart(struct eventlog *log);
/** How many bytes were fed since the beginning or the last restart. */
uint64_t eventlog_offset(const struct eventlog *log);
/** "torn", "run together" … */
const char *eventlog_kind_text(enum eventlog_kind kind);

#endif
