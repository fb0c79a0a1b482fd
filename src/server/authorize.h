/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Who may do what: every request passes here before anything else is done for it, and everything that is told of
 * a session passes here before it is sent.
 *
 *     request --> its row: least role? --no--> HF_ACCESS
 *                   | yes
 *                 its host session: the peer's own? --no--> HF_FENCED, as for one that is over
 *                   | yes
 *                 its session: one that the peer may see? --no--> HF_NOENT, in the words of one that is not there
 *                   | yes                                         (a name to be given: HF_ACCESS)
 *                 what the name of a new or renamed session will be: likewise
 *                   | yes
 *                 the store
 *
 * A kind of request without a row is refused. Objects are not looked at: an id is a capability within the tenant.
 * Pure but for the callbacks; thread safe.
 */
#ifndef SERVER_AUTHORIZE_H
#define SERVER_AUTHORIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "holdfast/error.h"
#include "store/types.h"
#include "wire/holdfast.pb-c.h"
#include "wire/principal.h"

/** What the rules ask the server. */
struct authorize_view {
    /** The name that a session, live or in the trash, has now. HF_NOENT. Never asked about the shared tree.
     *  May call the store. */
    int (*name)(uint64_t sid, char ret_name[SESSION_NAME_MAX + 1], void *arg, struct hf_error *err);
    /** Whether this peer registered the host session. */
    bool (*owns)(uint64_t host, void *arg);
    void *arg;
};

/**
 * Whether the request may be carried out: 0; HF_ACCESS; HF_FENCED; HF_NOENT; HF_UNSUPPORTED for a kind that has no
 * row; HF_INVAL for a name that is none or a part that is missing; what view->name says. What a
 * list shows is for the calls below.
 */
int authorize_request(const struct principal *principal, const Holdfast__Wire__Request *request,
                      const struct authorize_view *view, struct hf_error *err);

/** Whether a session of this name is shown in a list: of sessions, leases, audit entries, roots. "" is the shared
 *  tree, which everybody sees; NULL a session that is gone, which only an admin does. */
bool authorize_shows(const struct principal *principal, const char *session);
/** Whether an entry of the list of hosts is shown whole. Else only its number, and whether it lives. */
bool authorize_shows_host(const struct principal *principal, const struct host_identity *identity);
/** Whether an event is told. `name`: the session's now; `former`: the one that the server knew before, so that who
 *  saw a session hears that it was renamed away. NULL: none known. Ignored for events of no session. */
bool authorize_shows_event(const struct principal *principal, const struct store_event *event,
                           const char *name, const char *former);

/** The least role for a kind of request (Holdfast__Wire__Request__OpCase); ROLE_NONE: it has no row. */
enum role authorize_least_role(int op);
/** What a kind of request is called: "session_create"; for logs. */
const char *authorize_name(int op);

#endif
