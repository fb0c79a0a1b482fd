/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The contract of store.h as tests, for any engine: what every store must do, whatever is below it.
 *
 * A program describes its engine and calls contract_main(). Each test gets a fresh store with one handle
 * and one host session, and opens further handles as it needs them.
 */
#ifndef TESTS_STORE_CONTRACT_H
#define TESTS_STORE_CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>

#include "base/clock.h"
#include "scene.h"
#include "store/store.h"

struct contract_engine {
    const char *name;
    /** Writes the URL of a store that is not there yet. */
    void (*new_url)(char *ret_url, size_t size);
    /** Opens a handle; `flags` as of store_open(). */
    int (*open)(const char *url, unsigned flags, struct store **ret_store, struct hf_error *err);
    /** Lets the host of a handle die without a word. NULL: another process is killed instead. */
    void (*kill)(struct store *store);
    /** Removes what new_url() and open() made. */
    void (*remove)(const char *url);
    /** The store outlives its last handle. */
    bool durable;
    /** Several host sessions of one handle. */
    bool hosts;
    /** Host sessions with a TTL that outlive the handle which registered them. */
    bool ttl;
    /** By a server, which has made the store before, and sees a host die by its connection alone. */
    bool served;
    /** Damages an object, of which `store` is a handle. NULL: it cannot. */
    void (*damage)(struct store *store, const char *url, const struct object_id *id);
    /** Turns the clock of the store at `url` on, by ns. NULL: it cannot be turned. */
    void (*turn)(const char *url, int64_t ns);
};

/** The system's clocks, and what contract_clock_turn() has added to them: for contract_engine.turn. */
extern const struct clock contract_clock;
void contract_clock_turn(const char *url, int64_t ns);

/** Runs the suite; call it from main() with its arguments, and return what it returns. */
int contract_main(int argc, char **argv, const struct contract_engine *engine);

/* --- for the tests ------------------------------------------------------------------------------------- */

enum recall_answer { RECALL_IGNORE, RECALL_RELEASE, RECALL_REFUSE };

/** What a listener heard, and how it answers recalls. */
struct recorder {
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t heard;
    struct store_event events[4096];
    size_t n;
    struct store *store; /* for answers */
    uint64_t host;
    enum recall_answer answer;
    bool closed; /* nothing may be told any more */
};

/** One handle with its host session, or a further host session of a handle. */
struct mount {
    struct store *store;
    bool joined; /* the handle is another mount's */
    uint64_t host;
    struct recorder recorder;
};

struct fixture {
    const struct contract_engine *engine;
    char url[512];
    struct mount a; /* open from the start, registered as "host-a" */
    struct mount b; /* contract_open_b() */
    struct mount c; /* contract_open_c() */
    struct mount d; /* for contract_join(); ends before the others */
    struct scene scene;
    struct hf_error err;
};

int contract_setup(void **state);
int contract_teardown(void **state);

/** Opens and registers the fixture's second mount, "host-b". */
void contract_open_b(struct fixture *fixture);
/** The third, "host-c". */
void contract_open_c(struct fixture *fixture);
void contract_mount(struct fixture *fixture, struct mount *mount, const char *host_name);
void contract_unmount(struct mount *mount);
/** What a mount of this name registers as. No TTL, no principal. */
struct host_identity contract_identity(const char *host_name);
/** Registers a host session over the handle of another mount. */
void contract_join(struct mount *mount, struct store *store, const struct host_identity *identity);
/** store_host_end() of a joined one. */
void contract_leave(struct mount *mount);
/** How the mount answers recalls from now on. */
void contract_answer(struct mount *mount, enum recall_answer answer);
/** A session that the mount holds, at version 1 with this note. */
struct lease contract_session(struct fixture *fixture, struct mount *mount, const char *name,
                              const char *text);
/** Commits another note under the lease, whose head moves on. Returns store_commit()'s status. */
int contract_commit(struct fixture *fixture, struct mount *mount, struct lease *lease,
                    const char *text);
/** The note under a root is this text. */
void contract_assert_note(struct store *store, const struct object_id *root, const char *text);
/** Nothing is wrong with the store. */
void contract_assert_sound(struct store *store);

/** Forgets what was heard. */
void recorder_clear(struct recorder *recorder);
/** Waits until an event of this kind about this session was heard, and returns it; fails the test if it
 *  does not come. */
struct store_event recorder_wait(struct recorder *recorder, enum event_kind kind, uint64_t sid);

/** How many events of this kind about this session were heard so far. */
size_t recorder_count(struct recorder *recorder, enum event_kind kind, uint64_t sid);

/** The kinds of audit entries of a session in order, as text: "GRANT RELEASE ". */
void contract_audit_text(struct store *store, uint64_t sid, char *ret_text, size_t size);

/** A program that starts holders begins with these: it is the holder itself when so called. */
bool contract_is_holder(int argc, char **argv);
int contract_hold(char **argv);
/** A process that holds a session through the store at `url`, to be killed. Returns its pid. */
int contract_start_holder(const char *url, const char *session);
void contract_kill_holder(int pid);

#define CONTRACT_TEST(name) cmocka_unit_test_setup_teardown(name, contract_setup, contract_teardown)

/** The tests by topic. */
extern const struct CMUnitTest contract_object_tests[], contract_session_tests[],
    contract_commit_tests[], contract_lease_tests[], contract_lock_tests[],
    contract_snapshot_tests[], contract_fault_tests[], contract_thread_tests[],
    contract_queue_tests[], contract_host_tests[], contract_ttl_tests[], contract_expiry_tests[],
    contract_rival_tests[], contract_setting_tests[], contract_limit_tests[],
    contract_keeping_tests[], contract_collect_tests[], contract_copy_tests[],
    contract_mend_tests[], contract_damage_tests[];
extern const size_t contract_object_count, contract_session_count, contract_commit_count,
    contract_lease_count, contract_lock_count, contract_snapshot_count, contract_fault_count,
    contract_thread_count, contract_queue_count, contract_host_count, contract_ttl_count,
    contract_expiry_count, contract_rival_count, contract_setting_count, contract_limit_count,
    contract_keeping_count, contract_collect_count, contract_copy_count, contract_mend_count,
    contract_damage_count;

#define CONTRACT_COUNT(tests) (sizeof(tests) / sizeof((tests)[0]))

#endif
