/* SPDX-License-Identifier: Apache-2.0 */
/** The nouns of store.h: plain data, no behaviour. Strings are borrowed unless they are arrays. */
#ifndef STORE_TYPES_H
#define STORE_TYPES_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>

#include "object/chunker.h"
#include "object/object.h"

/** The shared tree: everything at the top level that is not a session. */
#define SHARED_SID 0
#define SESSION_NAME_MAX 255
#define UUID_SIZE 16
/** Session numbers fit 23 bits (a mount packs them into 64-bit inode numbers with a 40-bit inode). */
#define SID_MAX ((1ULL << 23) - 1)

enum durability {
    DURABILITY_RELAXED = 0, /**< committed, not yet on the medium */
    DURABILITY_SYNC = 1,    /**< on the medium */
};

struct store_info {
    uint8_t uuid[UUID_SIZE];
    struct chunker_params chunker;
    struct object_hasher hasher;
    enum durability close_durability; /**< what close(2) waits for; fsync(2) always SYNC */
    bool read_only;
    char location[1024]; /**< the URL, for messages */
};

/* --- sessions -------------------------------------------------------------------------------- */

/** What a session's index row holds, from its workspace.yaml and its tree. NULL strings: not known. */
struct session_meta {
    const char *cwd, *git_root, *repository, *branch, *name;
    const char *created_at, *updated_at; /**< as written in the file */
    uint64_t bytes;                      /**< logical size of all files */
    uint64_t files;                      /**< regular files */
};

enum session_state { SESSION_LIVE = 1, SESSION_TRASHED = 2 };

/** A head without strings, cheap to read. */
struct session_head {
    uint64_t sid;
    uint64_t version;
    struct object_id root;
    int64_t time; /**< of the version */
    uint64_t bytes, files;
};

struct session_info {
    struct session_head head;
    const char *name;
    enum session_state state;
    int64_t created;
    int64_t trashed; /**< when it was deleted, of one in the trash; else 0 */
    struct session_meta meta;
    uint64_t holder;         /**< host session that holds the lease, or 0 */
    const char *holder_name; /**< its host name, or NULL */
};

/** All given conditions must hold. All zero: every live session. */
struct session_filter {
    uint64_t sid;                                     /**< this one only; 0: any */
    const char *name_glob;                            /**< fnmatch(3) pattern */
    const char *repository, *branch, *cwd, *git_root; /**< equal */
    int64_t changed_since;                            /**< head's time ≥ */
    bool trashed;                                     /**< the trash instead of the live ones */
    const char *after;                                /**< names after this one (for paging) */
    uint64_t limit;                                   /**< 0: no limit */
};

typedef int (*session_visit_fn)(const struct session_info *info, void *arg);

enum session_rename_mode { RENAME_SESSION_NEW, RENAME_SESSION_REPLACE, RENAME_SESSION_EXCHANGE };

/* --- commits --------------------------------------------------------------------------------- */

/** Versions that one call may forget. */
#define HISTORY_DROP_MAX 262144

struct commit {
    uint64_t sid;
    uint64_t token; /**< 0 for the shared tree */
    uint64_t base_version;
    struct object_id root;
    const struct object *objects; /**< new ones, in any order; those put before need not be here */
    size_t nobjects;
    enum durability durability;
    struct session_meta meta;
    bool meta_strings_valid; /**< false: keep the index row's strings, take only bytes and files */
};

struct history_entry {
    uint64_t sid, version;
    struct object_id root;
    int64_t time;
    uint64_t host;         /**< host session */
    const char *host_name; /**< or NULL */
    uint64_t token;
    uint64_t bytes, files;
};
typedef int (*history_visit_fn)(const struct history_entry *entry, void *arg);

/** Work that lost its lease. */
struct rescue_info {
    uint64_t id;
    uint64_t sid;
    const char *session_name;
    bool trashed;     /**< the session is in the trash */
    uint64_t version; /**< that it is based on */
    struct object_id root;
    int64_t time;
    uint64_t host;         /**< host session that wrote it */
    const char *host_name; /**< or NULL */
    uint64_t token;        /**< that it was written under */
    uint64_t bytes, files;
    const char *reason;
};
typedef int (*rescue_visit_fn)(const struct rescue_info *info, void *arg);

/* --- host sessions and leases ------------------------------------------------------------------ */

/** The owner of leases: host id + boot id + mount UUID + incarnation (DESIGN: Leases). */
struct host_identity {
    uint8_t host_id[UUID_SIZE];  /**< of the machine, kept across boots */
    uint8_t boot_id[UUID_SIZE];  /**< of this boot */
    uint8_t mount_id[UUID_SIZE]; /**< of this mount, kept across restarts of its daemon */
    uint64_t incarnation;        /**< grows with every restart of the daemon */
    uint32_t pid;
    const char *host_name;
    const char *mount_point; /**< for messages; or NULL */
    /** Who vouches for it: what its certificate says. NULL: nobody, an embedded store. A host session is
     *  only ever resumed or replaced by one of the same principal. */
    const char *principal;
    /** 0: it lives as long as the handle that registered it, as the kernel sees it. Else it must be heard of
     *  (store_host_heartbeat()) at least every so many ms by the store's clock, or it is dead. */
    uint32_t ttl_ms;
};

/** Bounds and default of a host session's TTL. */
#define HOST_TTL_MIN_MS 5000
#define HOST_TTL_MAX_MS 600000
#define HOST_TTL_DEFAULT_MS 30000
/** So long a host whose connection ended may take to come back before it counts as dead. */
#define HOST_RECONNECT_MS 2000

struct host_info {
    uint64_t host;
    struct host_identity identity;
    bool alive;
    int64_t registered;
    int64_t expires; /**< when it dies if nothing is heard of it; 0: never by time */
};
typedef int (*host_visit_fn)(const struct host_info *info, void *arg);

struct lease {
    uint64_t sid;
    uint64_t token; /**< the fencing token: grows with every grant, never reused */
    struct session_head head;
};

/**
 *            acquire                      recall (another host asks)
 *   FREE ----------------> HELD <---------------------------> RECALLED
 *    ^                      |            refuse (pinned)          |
 *    |      release, break, holder's death (token grows at the    |
 *    +------------------next grant)-------------------------------+
 */
enum lease_state { LEASE_FREE = 0, LEASE_HELD = 1, LEASE_RECALLED = 2 };

struct lease_info {
    uint64_t sid;
    const char *session_name;
    enum lease_state state;
    uint64_t token;
    uint64_t host; /**< 0 when free */
    const char *host_name, *mount_point;
    uint32_t pid;
    int64_t since;
    const char *pinned_by; /**< as last answered to a recall; or NULL */
    bool holder_alive;
    int64_t expires; /**< when the holder dies if nothing is heard of it; 0: never by time */
    const char *const *waiting; /**< host names of those who wait for it, first come first */
    size_t nwaiting;
};
typedef int (*lease_visit_fn)(const struct lease_info *info, void *arg);

enum audit_event {
    AUDIT_GRANT = 1,
    AUDIT_RECALL = 2,
    AUDIT_REFUSE = 3,
    AUDIT_RELEASE = 4,
    AUDIT_BREAK = 5,
    AUDIT_FENCED = 6,   /**< a commit with a stale token was refused */
    AUDIT_TAKEOVER = 7, /**< granted from a dead or expired holder */
    AUDIT_RESCUE = 8,
    AUDIT_DELETE = 9,
    AUDIT_UNDELETE = 10,
    AUDIT_RENAME = 11,
    AUDIT_RENEWAL_FAILED = 12,
    AUDIT_PURGE = 13,
};

struct audit_entry {
    uint64_t id;
    int64_t time;
    enum audit_event event;
    uint64_t sid, host, token;
    const char *detail; /**< or NULL */
};
typedef int (*audit_visit_fn)(const struct audit_entry *entry, void *arg);

enum event_kind {
    EVENT_HEAD_MOVED = 1,     /**< by another host; version says to where */
    EVENT_LEASE_RECALLED = 2, /**< answer with release or refuse */
    EVENT_LEASE_LOST = 3,
    EVENT_SESSIONS_CHANGED = 4, /**< another host created, renamed, deleted or undeleted `sid` */
    EVENT_HOSTS_CHANGED = 5, /**< other_hosts says how many other hosts are registered and alive */
    EVENT_LOCKS_CHANGED = 6,
    EVENT_LEASE_ANSWERED = 7, /**< to a host that waits for the lease of `sid`: ask again now */
    EVENT_MISSED = 8,    /**< contact was lost and is back: anything above may have been missed */
    EVENT_HOST_LOST = 9, /**< the host session is over and all its leases with it: register anew */
};

struct store_event {
    enum event_kind kind;
    uint64_t sid;
    uint64_t version; /**< HEAD_MOVED */
    uint64_t token;   /**< LEASE_RECALLED, LEASE_LOST: the one concerned */
    unsigned other_hosts;
};

/** Called from one thread of the engine, in order. It may call the store, but not store_close() nor
 *  store_host_end(). */
struct store_listener {
    void (*event)(const struct store_event *event, void *arg);
    void *arg;
    /** EVENT_HEAD_MOVED of a session is wanted only if this host was told its head since the last one (by a call
     *  that returns a head, a lease or a version, or when it gave its lease back): it asks again, or has no use for
     *  more. An engine may tell more than that. */
    bool heads_once;
};

/* --- locks ----------------------------------------------------------------------------------- */

enum lock_kind { LOCK_POSIX = 1, LOCK_FLOCK = 2 };
enum lock_type { LOCK_TYPE_NONE = 0, LOCK_TYPE_READ = 1, LOCK_TYPE_WRITE = 2 };

struct store_lock {
    uint64_t ino; /**< in the shared tree */
    enum lock_kind kind;
    enum lock_type type; /**< LOCK_TYPE_NONE unlocks */
    uint64_t start,
        end;        /**< bytes, inclusive; end UINT64_MAX: to infinity; of FLOCK 0..UINT64_MAX */
    uint64_t owner; /**< within the host session */
    uint32_t pid;
    uint64_t host; /**< filled in by the store */
};

/* --- snapshots, statistics, checks -------------------------------------------------------------- */

struct snapshot_info {
    const char *name;
    int64_t time;
    uint64_t sessions;
};
typedef int (*snapshot_visit_fn)(const struct snapshot_info *info, void *arg);

/** One session as a snapshot pins it. */
struct pin_info {
    uint64_t sid;
    const char *session_name; /**< as it was then; "" of the shared tree */
    uint64_t version;
    struct object_id root;
    int64_t time; /**< of the version */
    uint64_t bytes, files;
};
typedef int (*pin_visit_fn)(const struct pin_info *pin, void *arg);

/** A session with its kept versions, on its way from one store to another. */
struct session_copy {
    uint8_t origin[UUID_SIZE]; /**< of the store that all of it once came from */
    uint64_t sid;              /**< there, and here; the shared tree too */
    const char *name;          /**< "" of the shared tree */
    enum session_state state;
    int64_t created, trashed;
    uint64_t token; /**< no lease may be granted here that is not above it */
    /** Oldest first; the last one is the head. Their `host` is a number of the other store, and no host of this one;
     *  `host_name` is what may be kept. */
    const struct history_entry *versions;
    size_t nversions; /**< at least 1 */
    struct session_meta meta;
};

struct snapshot_copy {
    uint8_t origin[UUID_SIZE];
    const char *name;
    int64_t time;
    const struct pin_info *pins; /**< in order of session number */
    size_t npins;
};

/* --- settings, collections ----------------------------------------------------------------------- */

#define SETTING_MAX 65536
/** The setting that says which store the sessions here are copies of, or were once: the 36 characters of its UUID.
 *  Only received copies set it. */
#define SETTING_ORIGIN "origin"

/** Told how far a collection is: objects looked at, of about so many (0: not known). `phase` is valid
 *  during the call only. Not 0: it stops (HF_INTR), having removed what it has removed. */
typedef int (*collect_progress_fn)(const char *phase, uint64_t done, uint64_t all, void *arg);

struct collect_options {
    bool dry_run;                 /**< only count what would go */
    uint32_t percent;             /**< of the time that it may work; it rests otherwise. 0: 100 */
    collect_progress_fn progress; /**< or NULL */
    void *arg;
};

struct collect_totals {
    uint64_t roots;         /**< that it began at */
    uint64_t reachable;     /**< objects that stay because something reaches them */
    uint64_t removed;       /**< objects that went (or would) */
    uint64_t removed_bytes; /**< as they were packed */
    uint64_t hidden;      /**< unreachable ones that stay because others are packed against them */
    uint64_t freed_bytes; /**< handed back to the file system */
    uint64_t longest_ns;  /**< the longest that a transaction of it held up writers */
};

/**
 * What the process that serves the store has done with it since it opened it: the server, or the caller itself
 * where the store is embedded (then other processes may do as much). All of them only grow; one that is smaller
 * than before says that the process was started anew.
 */
struct store_activity {
    uint64_t transactions;    /**< that changed the store: many commits can share one */
    uint64_t syncs;           /**< of the medium: many transactions can share one */
    uint64_t gets, got_bytes; /**< objects read, and their plain content */
    uint64_t puts, put_bytes; /**< objects that came, likewise, whether they were new or not */
    uint64_t known_hits,
        known_misses; /**< references that memory knew to be there; that it did not */
    uint64_t base_hits,
        base_misses;   /**< contents to pack against that memory had; that it had not */
    uint64_t requests; /**< of hosts to the server; 0 of an embedded store */
};

struct store_stats {
    uint64_t sessions, trashed;
    uint64_t versions;      /**< history rows */
    uint64_t objects;       /**< that can be found */
    uint64_t logical_bytes; /**< of all files of the live sessions and of the shared tree */
    uint64_t unique_bytes;  /**< plain content of all objects, each once */
    uint64_t stored_bytes;  /**< the same as they are packed, with what they are packed against */
    uint64_t file_bytes;    /**< what the store takes on disk */
    uint64_t commits;       /**< that its sessions ever had: the sum of their versions */
    uint64_t leases;        /**< that are held */
    uint64_t waiting;       /**< hosts that wait for a lease, each for each */
    uint64_t connections;   /**< of hosts to the server, now; 0 of an embedded store */
    struct store_activity activity;
};

enum root_kind {
    ROOT_HEAD = 1,     /**< current version of a live or trashed session, or of the shared tree */
    ROOT_HISTORY = 2,  /**< a row of history */
    ROOT_SNAPSHOT = 3, /**< pinned by a snapshot */
    ROOT_RESCUE = 4,   /**< a rescue version */
};

/** One root that the store keeps, with what keeps it. */
struct root_info {
    enum root_kind kind;
    uint64_t sid;
    const char *session_name; /**< "" of the shared tree */
    bool trashed;             /**< the session is in the trash */
    uint64_t version;         /**< of a rescue: the version that it is based on */
    struct object_id root;
    int64_t time;
    uint64_t bytes, files; /**< as recorded beside the root */
    const char *label;     /**< name of the snapshot, reason of the rescue; else NULL */
    uint64_t rescue;       /**< id of the rescue version; else 0 */
};
typedef int (*root_visit_fn)(const struct root_info *root, void *arg);

/** One finding of a check. */
struct check_finding {
    int status;          /**< HF_CORRUPT, HF_MISSING … */
    const char *what;    /**< "object", "head", "history", "lease", … */
    const char *message; /**< a sentence */
    bool has_object;
    struct object_id object;
    bool has_session;
    uint64_t sid, version;
};
typedef int (*check_report_fn)(const struct check_finding *finding, void *arg);

#endif
