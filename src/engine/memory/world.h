/* SPDX-License-Identifier: Apache-2.0 */
/**
 * What the handles of one memory store share. Private to the memory engine.
 *
 *     handle --.                      .-- objects   by id
 *     handle ---+--> memory_world ---+--- sessions  by number (0: the shared tree), the live by name
 *     handle --'     (one mutex)      '-- hosts, audit, snapshots, rescues, locks: plain arrays
 *
 * Every call takes the world's mutex for its whole length, so calls happen one after another; only a
 * wait for a lease lets go of it. Events are queued at the handles under the mutex, and delivered by
 * each handle's own thread without it. Whoever enters first buries the hosts whose time is over.
 */
#ifndef ENGINE_MEMORY_WORLD_H
#define ENGINE_MEMORY_WORLD_H

#include <pthread.h>

#include "base/htable.h"
#include "engine/memory/memory.h"
#include "store/closure.h"
#include "store/host_life.h"
#include "store/lease.h"
#include "store/limits.h"
#include "store/meta.h"

struct memory_store;

struct memory_object {
    struct hnode hnode;
    struct object_id id;
    enum object_kind kind;
    bool reached; /* by the collection that is under way */
    size_t len;
    uint8_t bytes[];
};

/* An object that a host session has put or asked for: it stays although no root may reach it. */
struct memory_loose {
    struct hnode hnode; /* by both */
    uint64_t host;
    struct object_id id;
    int64_t time;
};

struct memory_version {
    uint64_t version;
    struct object_id root;
    int64_t time;
    uint64_t host, token, bytes, files;
};

struct memory_session {
    struct hnode by_name; /* in world->names while it is live, but not the shared tree */
    char *name;
    enum session_state state;
    bool purged; /* forgotten: only its lease is left, so that no token is given out twice */
    int64_t created, trashed;
    struct session_head head;
    struct meta_strings meta;
    struct lease_row lease;     /* never thrown away: the token only grows */
    struct lease_waiter *queue; /* first come first */
    size_t nqueue, queue_cap;
    char *pinned_by; /* the last answer to a recall under this token, or NULL */
    struct memory_version *versions;
    size_t nversions, versions_cap;
};

/* Host session number n is hosts[n - 1], for ever. */
struct memory_host {
    struct host_identity identity; /* its strings are owned */
    bool alive;
    bool expired; /* and to be buried; within memory_hosts_tick() only */
    int64_t gone; /* when a collection noticed that it is dead; 0: none has */
    int64_t registered;
    struct host_life life;       /* with a TTL */
    struct memory_store *handle; /* which tells its listener; NULL: nobody does */
    struct store_listener listener;
};

struct memory_event {
    uint64_t host; /* to be told */
    struct store_event event;
};

struct memory_audit {
    int64_t time;
    enum audit_event event;
    uint64_t sid, host, token;
    char *detail;
};

struct memory_rescue {
    uint64_t id;
    struct object_id root;
    uint64_t sid, host, token, version, bytes, files;
    int64_t time;
    char *reason;
};

struct memory_pin {
    char *name;
    uint64_t sid, version, bytes, files;
    int64_t time;
    struct object_id root;
};

struct memory_setting {
    char *name;
    struct buf text;
};

struct memory_snapshot {
    char *name;
    int64_t time;
    struct memory_pin *pins;
    size_t npins;
    uint64_t sessions;
};

struct memory_world {
    /* The registry's, under its own lock (engine.c), which comes before `mutex`. */
    struct memory_world *next;
    char *name;
    unsigned handles;

    /* Never change. */
    uint8_t uuid[UUID_SIZE];
    struct chunker_params chunker;
    struct object_hasher hasher;
    enum durability close_durability;

    pthread_mutex_t mutex;  /* guards everything below, and the handles' queues */
    pthread_cond_t changed; /* a lease's row, or whether a host is alive */
    struct htable objects;
    struct htable loose;
    bool collecting; /* a collection is under way */
    uint64_t content_bytes;
    struct memory_session **sessions; /* by number; NULL: not in this store */
    size_t nsessions, sessions_cap;
    struct htable names;
    struct memory_host *hosts;
    size_t nhosts, hosts_cap;
    size_t mortals; /* living ones with a TTL */
    struct memory_audit *audit;
    size_t naudit, audit_cap;
    struct memory_rescue *rescues; /* in order of id */
    size_t nrescues, rescues_cap;
    uint64_t last_rescue;
    struct memory_snapshot *snapshots; /* in byte order of name */
    size_t nsnapshots, snapshots_cap;
    struct memory_setting *settings;
    size_t nsettings, settings_cap;
    struct limits limits; /* of the retention policy among them */
    struct store_lock *locks;
    size_t nlocks, locks_cap;
};

/* A handle. */
struct memory_store {
    struct store base;
    struct memory_world *world;
    const struct clock *clock;

    /* Under world->mutex. */
    bool killed;
    bool pumped; /* memory_store_pump() is called instead of a thread */
    bool has_thread, stop;
    pthread_t thread;
    pthread_cond_t wake;        /* there is something to tell, or `stop` */
    pthread_cond_t told;        /* `telling` has become another */
    struct memory_event *queue; /* in order; those before `taken` are done */
    size_t nqueue, queue_cap, taken;
    uint64_t telling;   /* host whose listener is being called, or 0 */
    pthread_t teller;   /* by which thread */
    unsigned silencers; /* threads in memory_events_silence() that look at this handle */
};

struct memory_store *memory_store_of(struct store *store);
/** Locks the world for a call: 0, or (unlocked) HF_IO when the host was killed. */
int memory_enter(struct memory_store *handle, struct hf_error *err);
void memory_leave(struct memory_store *handle);

/** Makes room for one more item of `size` bytes in an array of `count`. Returns 0 or HF_NOMEM. */
int memory_reserve(void *items, size_t *cap, size_t count, size_t size, struct hf_error *err);

/* --- objects.c --- */
int memory_put(struct store *store, uint64_t host, const struct object *objects, size_t n,
               struct hf_error *err);
int memory_get(struct store *store, const struct object_id *ids, size_t n, struct buf *ret_contents,
               struct hf_error *err);
int memory_missing(struct store *store, uint64_t host, const struct object_id *ids, size_t n,
                   bool *ret_missing, struct hf_error *err);
int memory_mend(struct store *store, const struct object_id *id, const struct object *good,
                struct hf_error *err);
/** All or nothing, under the mutex: checks that `closure` is there, then adds the objects. */
int memory_objects_add(struct memory_world *world, const struct closure *closure,
                       const struct object *objects, size_t n, struct hf_error *err);
struct memory_object *memory_object_find(struct memory_world *world, const struct object_id *id);
int memory_objects_check(struct memory_world *world, check_report_fn report, void *arg);

/* --- collect.c --- */
int memory_collect(struct store *store, const struct collect_options *options,
                   struct collect_totals *ret_totals, struct hf_error *err);
/** These objects, as far as they are there, stay for the sake of a host session. */
int memory_loose_add(struct memory_store *handle, uint64_t host, const struct object_id *id,
                     struct hf_error *err);
void memory_loose_free(struct memory_world *world);

/* --- sessions.c --- */
int memory_session_list(struct store *store, const struct session_filter *filter,
                        session_visit_fn visit, void *arg, struct hf_error *err);
int memory_session_find(struct store *store, const char *name, struct session_head *ret_head,
                        struct hf_error *err);
int memory_session_head(struct store *store, uint64_t sid, struct session_head *ret_head,
                        struct hf_error *err);
int memory_session_create(struct store *store, uint64_t host, const char *name,
                          const struct commit *first, struct lease *ret_lease,
                          struct hf_error *err);
int memory_session_rename(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                          const char *name, enum session_rename_mode mode, uint64_t other_token,
                          struct hf_error *err);
int memory_session_delete(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                          struct hf_error *err);
int memory_session_undelete(struct store *store, uint64_t sid, const char *name,
                            struct hf_error *err);
int memory_session_purge(struct store *store, uint64_t sid, struct hf_error *err);
/** The session with this number, live or in the trash, or NULL. */
struct memory_session *memory_session_of(struct memory_world *world, uint64_t sid);
/** The same, if it is live; HF_NOENT. */
int memory_session_live(struct memory_world *world, uint64_t sid,
                        struct memory_session **ret_session, struct hf_error *err);
struct memory_session *memory_session_find_name(struct memory_world *world, const char *name);
/** A new one at version 0, which the world does not have yet. NULL without memory. */
struct memory_session *memory_session_new(const char *name, uint64_t sid, int64_t now);
/** Lists a live session by its name. */
int memory_session_list_name(struct memory_world *world, struct memory_session *session,
                             struct hf_error *err);
/** Takes a copy of the strings. */
int memory_meta_copy(const struct session_meta *meta, struct meta_strings *ret_strings);
/** Tells all hosts but one that a session has come, gone or been renamed. */
void memory_session_tell_changed(struct memory_world *world, uint64_t but, uint64_t sid);
/** Adds session 0 to a new world. */
int memory_session_add_shared(struct memory_world *world, int64_t now, struct hf_error *err);
/** Frees what it holds; NULL is fine of the second, which frees it too. */
void memory_session_clear(struct memory_session *session);
void memory_session_free(struct memory_session *session);

/* --- commits.c --- */
int memory_commit(struct store *store, uint64_t host, const struct commit *commit,
                  uint64_t *ret_version, struct hf_error *err);
int memory_sync(struct store *store, struct hf_error *err);
int memory_history(struct store *store, uint64_t sid, uint64_t from, uint64_t limit,
                   history_visit_fn visit, void *arg, struct hf_error *err);
int memory_rescue(struct store *store, uint64_t host, const struct commit *commit,
                  const char *reason, uint64_t *ret_rescue_id, struct hf_error *err);
int memory_history_drop(struct store *store, uint64_t sid, const uint64_t *versions, size_t n,
                        uint64_t *ret_dropped, struct hf_error *err);
int memory_rescue_list(struct store *store, uint64_t sid, rescue_visit_fn visit, void *arg,
                       struct hf_error *err);
int memory_rescue_drop(struct store *store, uint64_t sid, uint64_t rescue, struct hf_error *err);
/** Forgets all rescue versions of a session. */
void memory_rescues_forget(struct memory_world *world, uint64_t sid);
/** Moves a session's head one version on, in memory that is there already: adds the commit's objects,
 *  takes its meta strings. All or nothing. */
int memory_session_advance(struct memory_store *handle, struct memory_session *session,
                           uint64_t host, uint64_t token, const struct commit *commit,
                           const struct closure *closure, struct hf_error *err);

/* --- leases.c --- */
int memory_lease_release(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                         struct hf_error *err);
int memory_lease_refuse(struct store *store, uint64_t host, uint64_t sid, uint64_t token,
                        const char *pinned_by, struct hf_error *err);
int memory_lease_break(struct store *store, uint64_t sid, uint64_t token, const char *reason,
                       struct hf_error *err);
int memory_lease_list(struct store *store, lease_visit_fn visit, void *arg, struct hf_error *err);
int memory_audit(struct store *store, uint64_t sid, uint64_t from, audit_visit_fn visit, void *arg,
                 struct hf_error *err);
/** Runs one request against the session's row, with the heir and the time filled in: writes the row, the queue, the audit entries,
 *  the events. `text` is what a refusal or a break says, or why a holder is gone; else NULL. */
int memory_lease_apply(struct memory_store *handle, struct memory_session *session,
                       const struct lease_request *request, const char *text,
                       struct lease_step *ret_step, struct hf_error *err);
/** Refuses whoever does not hold the lease: HF_FENCED, and an audit entry. The token alone decides. */
int memory_lease_check(struct memory_store *handle, struct memory_session *session, uint64_t host,
                       uint64_t token, struct hf_error *err);
/** Adds an entry to the audit trail. `detail` may be NULL. */
int memory_audit_add(struct memory_store *handle, enum audit_event event, uint64_t sid,
                     uint64_t host, uint64_t token, const char *detail, struct hf_error *err);
/** All but who waits. */
struct lease_info memory_lease_info(struct memory_store *handle,
                                    const struct memory_session *session);

/* --- queue.c: asking and waiting for leases --- */
int memory_lease_acquire(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                         struct lease *ret_lease, struct hf_error *err);
int memory_lease_ask(struct store *store, uint64_t host, uint64_t sid, uint32_t wait_ms,
                     struct lease *ret_lease, int64_t *ret_again, struct hf_error *err);
int memory_lease_withdraw(struct store *store, uint64_t host, uint64_t sid, struct hf_error *err);
/** The first of the queue who may have what leaves its holder; 0: nobody. */
uint64_t memory_queue_heir(struct memory_store *handle, const struct memory_session *session);
/** Does to the queue what a step says: notes the heir's grant, tells those who wait. */
void memory_queue_follow(struct memory_store *handle, struct memory_session *session,
                         const struct lease_request *request, const struct lease_step *step);
/** Takes a dead host out of all queues. */
void memory_queue_forget(struct memory_world *world, uint64_t host);

/* --- hosts.c --- */
int memory_host_register(struct store *store, const struct host_identity *identity,
                         const struct store_listener *listener, uint64_t *ret_host,
                         struct hf_error *err);
int memory_host_heartbeat(struct store *store, uint64_t host, struct hf_error *err);
int memory_host_detach(struct store *store, uint64_t host, uint32_t grace_ms, struct hf_error *err);
int memory_host_end(struct store *store, uint64_t host, struct hf_error *err);
int64_t memory_host_deadline(struct store *store, uint64_t host);
int memory_host_list(struct store *store, host_visit_fn visit, void *arg, struct hf_error *err);
struct memory_host *memory_host_of(const struct memory_world *world, uint64_t host);
bool memory_host_alive(const struct memory_world *world, uint64_t host);
/** 0, or HF_FENCED when `host` is not a living host session. */
int memory_host_check(const struct memory_world *world, uint64_t host, struct hf_error *err);
/** Adds one that is gone already. */
int memory_host_add_gone(struct memory_store *handle, const struct host_identity *identity,
                         uint64_t *ret_host, struct hf_error *err);
/** When it dies if nothing is heard of it, by the wall clock; 0: never by time. */
int64_t memory_host_expires(const struct memory_store *handle, uint64_t host);
/** Buries the hosts whose time is over: whoever waits for their leases gets them. */
void memory_hosts_tick(struct memory_store *handle);
/** The handle is being closed, or is killed: dissolves its host sessions, but those with a TTL. */
void memory_hosts_leave(struct memory_store *handle);

/* --- events.c --- */
/** Queues an event for one host, or for all living hosts but one. An event that cannot be kept for want of
 *  memory is lost: the engine has no better place to say so. */
void memory_tell(struct memory_world *world, uint64_t host, const struct store_event *event);
void memory_tell_others(struct memory_world *world, uint64_t but, const struct store_event *event);
/** Starts the handle's thread, if it has none and needs one. */
int memory_events_start(struct memory_store *handle, struct hf_error *err);
/** Ends the handle's thread. Takes the mutex itself. */
void memory_events_stop(struct memory_store *handle);
/** Nobody tells this host any more: forgets what it would have been told, and waits until its listener is not
 *  being called (unless by this thread). Lets go of the mutex meanwhile. */
void memory_events_silence(struct memory_world *world, uint64_t host);

/* --- locks.c --- */
int memory_lock_set(struct store *store, uint64_t host, const struct store_lock *lock,
                    struct store_lock *ret_conflict, struct hf_error *err);
int memory_lock_test(struct store *store, uint64_t host, const struct store_lock *lock,
                     struct store_lock *ret_conflict, struct hf_error *err);
/** Drops the locks of hosts that are not alive. Returns how many. */
size_t memory_locks_purge(struct memory_world *world);

/* --- copies.c --- */
int memory_session_receive(struct store *store, const struct session_copy *copy,
                           struct hf_error *err);
int memory_rescue_receive(struct store *store, const uint8_t *origin,
                          const struct rescue_info *rescue, struct hf_error *err);
int memory_snapshot_receive(struct store *store, const struct snapshot_copy *copy,
                            struct hf_error *err);

/* --- snapshots.c: and all roots --- */
int memory_snapshot_create(struct store *store, const char *name, const char *const *globs,
                           size_t n, struct hf_error *err);
int memory_snapshot_list(struct store *store, snapshot_visit_fn visit, void *arg,
                         struct hf_error *err);
int memory_snapshot_delete(struct store *store, const char *name, struct hf_error *err);
int memory_snapshot_pins(struct store *store, const char *name, pin_visit_fn visit, void *arg,
                         struct hf_error *err);
struct memory_snapshot *memory_snapshot_find(struct memory_world *world, const char *name);
/** Takes a copy of its strings, for which `pins` has room. */
int memory_snapshot_add_pin(struct memory_snapshot *snapshot, const struct pin_info *info,
                            struct hf_error *err);
/** Takes over what it holds. */
int memory_snapshot_insert(struct memory_world *world, const struct memory_snapshot *snapshot,
                           struct hf_error *err);
/** Frees what it holds. */
void memory_snapshot_free(struct memory_snapshot *snapshot);
int memory_roots(struct store *store, root_visit_fn visit, void *arg, struct hf_error *err);
/** The same under the mutex. */
int memory_roots_visit(struct memory_world *world, root_visit_fn visit, void *arg);

/* --- settings.c --- */
int memory_setting_get(struct store *store, const char *name, struct buf *ret_text,
                       struct hf_error *err);
int memory_setting_set(struct store *store, const char *name, struct slice text,
                       struct hf_error *err);
/** The same within a call; without bytes (data NULL) it is forgotten. */
int memory_setting_write(struct memory_world *world, const char *name, struct slice text,
                         struct hf_error *err);
struct memory_setting *memory_setting_find(const struct memory_world *world, const char *name);
void memory_settings_free(struct memory_world *world);

#endif
