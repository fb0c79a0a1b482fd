/* SPDX-License-Identifier: Apache-2.0 */
/** The calls of store.h by number and name, for decorators. Pure functions; thread safe. */
#ifndef ENGINE_DECORATOR_OP_H
#define ENGINE_DECORATOR_OP_H

#include "holdfast/error.h"

/** In the order of struct store_ops; all but host_deadline and away_since, which cannot fail and cost
 *  nothing. */
#define STORE_OPS(OP)                                                                              \
    OP(PUT, put)                                                                                   \
    OP(GET, get)                                                                                   \
    OP(MISSING, missing)                                                                           \
    OP(SESSION_LIST, session_list)                                                                 \
    OP(SESSION_FIND, session_find)                                                                 \
    OP(SESSION_HEAD, session_head)                                                                 \
    OP(SESSION_CREATE, session_create)                                                             \
    OP(SESSION_RENAME, session_rename)                                                             \
    OP(SESSION_DELETE, session_delete)                                                             \
    OP(SESSION_UNDELETE, session_undelete)                                                         \
    OP(SESSION_PURGE, session_purge)                                                               \
    OP(COMMIT, commit)                                                                             \
    OP(SYNC, sync)                                                                                 \
    OP(HISTORY, history)                                                                           \
    OP(HISTORY_DROP, history_drop)                                                                 \
    OP(RESCUE, rescue)                                                                             \
    OP(RESCUE_LIST, rescue_list)                                                                   \
    OP(RESCUE_DROP, rescue_drop)                                                                   \
    OP(HOST_REGISTER, host_register)                                                               \
    OP(HOST_HEARTBEAT, host_heartbeat)                                                             \
    OP(HOST_DETACH, host_detach)                                                                   \
    OP(HOST_END, host_end)                                                                         \
    OP(HOST_LIST, host_list)                                                                       \
    OP(LEASE_ACQUIRE, lease_acquire)                                                               \
    OP(LEASE_ASK, lease_ask)                                                                       \
    OP(LEASE_WITHDRAW, lease_withdraw)                                                             \
    OP(LEASE_RELEASE, lease_release)                                                               \
    OP(LEASE_REFUSE, lease_refuse)                                                                 \
    OP(LEASE_BREAK, lease_break)                                                                   \
    OP(LEASE_LIST, lease_list)                                                                     \
    OP(AUDIT, audit)                                                                               \
    OP(LOCK_SET, lock_set)                                                                         \
    OP(LOCK_TEST, lock_test)                                                                       \
    OP(SNAPSHOT_CREATE, snapshot_create)                                                           \
    OP(SNAPSHOT_LIST, snapshot_list)                                                               \
    OP(SNAPSHOT_DELETE, snapshot_delete)                                                           \
    OP(SNAPSHOT_PINS, snapshot_pins)                                                               \
    OP(ROOTS, roots)                                                                               \
    OP(SESSION_RECEIVE, session_receive)                                                           \
    OP(RESCUE_RECEIVE, rescue_receive)                                                             \
    OP(SNAPSHOT_RECEIVE, snapshot_receive)                                                         \
    OP(SETTING_GET, setting_get)                                                                   \
    OP(SETTING_SET, setting_set)                                                                   \
    OP(COLLECT, collect)                                                                           \
    OP(MEND, mend)                                                                                 \
    OP(STATS, stats)                                                                               \
    OP(CHECK, check)

enum store_op {
#define STORE_OP_NUMBER(upper, lower) STORE_OP_##upper,
    STORE_OPS(STORE_OP_NUMBER)
#undef STORE_OP_NUMBER
        STORE_OP_COUNT
};

/** "put", "session_list" … */
const char *store_op_name(enum store_op op);
/** The call with this name (of `len` bytes). Returns 0 or HF_INVAL. */
int store_op_parse(const char *name, size_t len, enum store_op *ret_op);

#endif
