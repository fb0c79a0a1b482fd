/* SPDX-License-Identifier: Apache-2.0 */
/** What the files of a link share: its loop's thread, and what comes in. Private to them. */
#ifndef ENGINE_REMOTE_LOOP_H
#define ENGINE_REMOTE_LOOP_H

#include "engine/remote/link.h"

#define LINK_MS 1000000LL
#define LINK_TRY_MS 5000           /**< from connecting to Welcome */
#define LINK_LEAVE_MS 20000        /**< a server that said Goodbye may take so long to close */
#define LINK_SILENCE_MS 5000       /**< a heartbeat without any answer */
#define LINK_PING_MS 10000         /**< an answer is due, and nothing was heard: ask */
#define LINK_DEAF_MS 30000         /**< the same, and that is not answered either */
#define LINK_PARTS_MAX (32u << 20) /**< bytes of an answer that wait for their caller */

/* With the mutex held. */

/** Asks the loop's thread to look at everything; any thread. */
void link_kick(struct link *link);
/** Sends a call that was just queued, on the thread of its caller. False: that is the loop's business now. */
bool link_send_now(struct link *link, struct call *call);
/** Changes the state; asserts that it is drawn. `due`: see struct link. */
void link_to(struct link *link, enum link_state state, int64_t due);
/** Ends the connection; the loss itself comes with closed(). The loop's thread. */
void link_cut(struct link *link, uint32_t linger_ms, const struct hf_error *why);
/** The connection is ready for calls. */
void link_is_up(struct link *link);
/** Ends a call with a failure. */
void link_fail(struct link *link, struct call *call, const struct hf_error *why);
/** The host session is over: tells the listener, and ends the calls that name it. */
void link_host_lost(struct link *link);

/** Sends a request of the link's own. Returns its id, or 0 when the connection is gone. The loop's thread. */
uint64_t link_send_own(struct link *link, Holdfast__Wire__Request *request);
/** Asks for the host session again. */
void link_send_registration(struct link *link);

/* Without it. */

/** A frame came. Takes it over. */
void link_take_frame(struct link *link, Holdfast__Wire__Frame *frame, size_t size);
/** Makes the loop and its events; frees them, and what is left of the connection. */
int link_make_loop(struct link *link, struct hf_error *err);
void link_free_loop(struct link *link);
/** What the loop's thread does. */
void *link_main(void *arg);

#endif
