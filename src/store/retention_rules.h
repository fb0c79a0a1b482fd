/* SPDX-License-Identifier: Apache-2.0 */
/** A parsed policy from within, for the files of retention.h; and how a plan is carried out. */
#ifndef STORE_RETENTION_RULES_H
#define STORE_RETENTION_RULES_H

#include "store/keep.h"
#include "store/retention.h"

enum retention_section {
    SECTION_HISTORY,
    SECTION_IDLE,
    SECTION_TRASH,
    SECTION_RESCUE,
    SECTION_SNAPSHOTS,
    SECTION_LIMITS,
    SECTIONS
};

/** One rule: for what matches its pattern. What a section has no keys for is zero. */
struct retention_rule {
    char *pattern;         /**< fnmatch(3) */
    size_t line;           /**< in the text */
    struct keep_rule keep; /**< HISTORY, SNAPSHOTS */
    int64_t age;           /**< ns, or KEEP_FOREVER: IDLE, TRASH, RESCUE */
    uint64_t bytes;        /**< LIMITS */
};

struct retention_rules {
    struct retention_rule *rules;
    size_t count, cap;
};

struct retention {
    struct retention_rules sections[SECTIONS];
    uint64_t store_limit;
};

/** The first rule of a section that matches; NULL: none speaks of it. */
const struct retention_rule *retention_rule_of(const struct retention *policy,
                                               enum retention_section section, const char *name);

#define RETENTION_TEXT 384
/** "history of sessions '*': hourly for 14 days". Of a section without periods `period` counts nothing; KEEP_PERIODS:
 *  beyond the longest one. Returns `text`. */
const char *retention_rule_text(const struct retention_rule *rule, enum retention_section section,
                                enum keep_period period, char text[RETENTION_TEXT]);

/** How a walk over all that should go is told of it. Not 0 from either: it stops, and that is returned. */
struct retention_steps {
    /** `n` actions of one kind; more than one only of versions, of one session: RETENTION_AT_ONCE at most. */
    int (*take)(const struct retention_action *actions, size_t n, void *arg, struct hf_error *err);
    int (*pause)(void *arg); /**< or NULL */
    void *arg;
};
#define RETENTION_AT_ONCE 256

/** Walks over all that should go: rescues, sessions, versions, snapshots. */
int retention_walk(struct store *store, const struct retention *policy, int64_t now,
                   const struct retention_steps *steps, struct hf_error *err);

#endif
