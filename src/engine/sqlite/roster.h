/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Who lives, as this handle knows it without asking the file: the host sessions that are registered through
 * it (its own), each with its listener; and those with a TTL whose process is gone, which have one TTL from
 * when this handle found them so.
 *
 * Own ones with a TTL are judged by the store's CLOCK_BOOTTIME (store/host_life.h), and kept alive in memory
 * alone. The thread that tells (events.h) is the only one that calls listeners. Thread safe.
 */
#ifndef ENGINE_SQLITE_ROSTER_H
#define ENGINE_SQLITE_ROSTER_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/htable.h"
#include "holdfast/error.h"
#include "store/host_life.h"
#include "store/types.h"

enum roster_view {
    ROSTER_FOREIGN, /**< not one of this handle's own */
    ROSTER_ALIVE,
    ROSTER_DEAD,
};

struct roster {
    const struct clock *clock;
    pthread_mutex_t lock;  /**< guards what follows; nothing is acquired under it */
    pthread_cond_t idle;   /**< no listener is being called */
    struct htable entries; /**< struct roster_entry, by number */
    size_t own;            /**< how many of them are this handle's own */
    size_t newcomers;      /**< own ones that roster_next_new() has not given yet */
    int64_t soonest;       /**< none is dead by time before; INT64_MAX: none ever */
    uint64_t calling;      /**< whose listener is being called, or 0 */
    bool has_teller;
    pthread_t teller;
};

void roster_init(struct roster *roster, const struct clock *clock);
/** Nobody may be called any more. */
void roster_release(struct roster *roster);

/** What to know of a host session that was registered. */
struct roster_guest {
    uint64_t host;
    uint32_t ttl_ms;
    bool resumed;
    const struct store_listener *listener; /**< or NULL; copied */
    uint64_t cursor;                       /**< the last event that is not for it */
};

/** Takes one in: a new host, or one that is resumed, whose old listener is called no more when this returns. */
int roster_admit(struct roster *roster, const struct roster_guest *guest, struct hf_error *err);

/** Whether one is alive now. */
enum roster_view roster_look(struct roster *roster, uint64_t host);
/** When an own one is dead unless something is heard of it, or one in its grace; 0: no clock ends it. */
int64_t roster_until(struct roster *roster, uint64_t host);
/** When an own one is to admit no change any more: a tenth of its TTL before it may be dead. INT64_MAX: no clock
 *  ends it; 0: it is dead, or not an own one. */
int64_t roster_deadline(struct roster *roster, uint64_t host);
/** Whether one with a TTL, alive as its row says, may still come back although its process is gone. `resumed` as
 *  in its row: each time counts anew. */
bool roster_grace(struct roster *roster, uint64_t host, uint32_t ttl_ms, uint64_t resumed);

/** Its row was alive at this epoch of the writer; whether it was. For the leader of the writer. */
void roster_verify(struct roster *roster, uint64_t host, uint64_t epoch);
bool roster_is_verified(struct roster *roster, uint64_t host, uint64_t epoch);

/** Something was heard of it. HF_FENCED when it is dead. */
int roster_hear(struct roster *roster, uint64_t host, struct hf_error *err);
/** Its listener is called no more when this returns, and it dies in `grace_ms`. HF_FENCED (its listener is not
 *  called any more either), HF_INVAL for one without a TTL. */
int roster_cut(struct roster *roster, uint64_t host, uint32_t grace_ms, struct hf_error *err);
/** It is dead from now on, if it is an own one. */
void roster_bury(struct roster *roster, uint64_t host);
/** Forgets it. Its listener is called no more when this returns. Whether it was an own one. */
bool roster_remove(struct roster *roster, uint64_t host);

/** How many are this handle's own. */
size_t roster_count(struct roster *roster);
/** Appends the numbers of the own ones that have no TTL, or (`all`) of all, to an array for free(). */
int roster_list(struct roster *roster, bool all, uint64_t **ret_hosts, size_t *ret_n);
/** When somebody may be dead by time next, by the store's CLOCK_BOOTTIME; INT64_MAX: nobody ever. */
int64_t roster_soonest(struct roster *roster);
/** Counts that anew: the dead of before have been dealt with. */
void roster_recount(struct roster *roster);

/* --- for the thread that tells ----------------------------------------------------------------- */

/** From now on this thread is it. */
void roster_set_teller(struct roster *roster, pthread_t teller);
/** Calls the listener of an own one, if the event (`id` 0: any) is for it. */
void roster_call(struct roster *roster, uint64_t host, uint64_t id,
                 const struct store_event *event);
/** Whether an event is for an own one: it came after it was registered. */
bool roster_concerns(struct roster *roster, uint64_t host, uint64_t id);
/** One that has just come: its number, and whether it was resumed. Each is given once; 0 when there is none. */
uint64_t roster_next_new(struct roster *roster, bool *ret_resumed);

#endif
