/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The retention policy of a store: which versions, sessions, snapshots and rescues stay, for how long, and how
 * much there may be. It is kept in the store as a YAML text (the setting "retention"); docs/ops/retention.md
 * describes it. Pure functions but for retention_load(); thread safe.
 *
 *     policy (text) --parse--> rules --plan, over what there is--> actions, each with the rule that says so
 *
 * In each section the first rule whose pattern matches counts; what none matches stays. The shared tree is called ".".
 * A store without a policy has the default one.
 */
#ifndef STORE_RETENTION_H
#define STORE_RETENTION_H

#include "store/store.h"

#define RETENTION_SETTING "retention"
/** The default policy's text. */
extern const char retention_default[];

/** A parsed policy. */
struct retention;

/** HF_CONFIG with line, column and what is wrong; unknown keys are wrong. */
int retention_parse(struct slice text, struct retention **ret_policy, struct hf_error *err);
/** The store's own, or the default one. HF_CONFIG as above. */
int retention_load(struct store *store, struct retention **ret_policy, struct hf_error *err);
/** NULL is fine. */
void retention_free(struct retention *policy);

/** The most bytes that files of a session of this name may have together; 0: no limit. */
uint64_t retention_session_limit(const struct retention *policy, const char *name);
/** The most bytes that the store may take; 0: no limit. */
uint64_t retention_store_limit(const struct retention *policy);
/** Whether there are rules by which idle sessions go to the trash. */
bool retention_has_idle(const struct retention *policy);

enum retention_kind {
    RETENTION_VERSION = 1,  /**< a version of a session is forgotten */
    RETENTION_TRASH = 2,    /**< an idle session goes to the trash */
    RETENTION_PURGE = 3,    /**< a session in the trash is forgotten */
    RETENTION_RESCUE = 4,   /**< a rescue version is forgotten */
    RETENTION_SNAPSHOT = 5, /**< a snapshot is deleted */
};

/** One thing that goes, and why. Strings are valid during the call only. */
struct retention_action {
    enum retention_kind kind;
    uint64_t sid;
    const char *session_name;
    uint64_t version; /**< VERSION; TRASH: the head, which must be so still */
    uint64_t rescue;  /**< RESCUE */
    const char *snapshot;
    int64_t time;     /**< of what goes; PURGE: when it was deleted */
    uint64_t bytes;   /**< logical, as recorded beside it */
    const char *rule; /**< "history of sessions '*': hourly for 7 days" */
};
/** Who looks on. Not 0 from either: it stops, and that is returned. They may call the store. */
struct retention_watch {
    int (*visit)(const struct retention_action *action, void *arg); /**< or NULL */
    int (*pause)(void *arg); /**< or NULL: called between sessions, also where nothing goes */
    void *arg;
};

/** Visits all that the policy says should go now (ns since the epoch), and changes nothing. */
int retention_plan(struct store *store, const struct retention *policy, int64_t now,
                   const struct retention_watch *watch, struct hf_error *err);

struct retention_totals {
    uint64_t versions, trashed, purged, rescues, snapshots;
    uint64_t skipped; /**< idle sessions that were in use after all */
};
/** Does it, on behalf of `host`, whose leases idle sessions are trashed under; with 0 they are skipped. `watch` (may
 *  be NULL) sees each thing that went. `ret_totals` tells what was done, after a failure too. */
int retention_apply(struct store *store, uint64_t host, const struct retention *policy, int64_t now,
                    const struct retention_watch *watch, struct retention_totals *ret_totals,
                    struct hf_error *err);

#endif
