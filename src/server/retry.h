/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Lost replies. A host whose connection broke sends what was not answered again, marked `retry`: it may have
 * been carried out. A change that the store would refuse a second time is tried first, and only if it is
 * refused is the store asked whether exactly this was done before. One that it would carry out twice is looked
 * for first.
 *
 * | request          | tried again | it was done before when |
 * | commit           | refused     | the version after its base has its root, host and token |
 * | create           | refused     | the name's version 1 has its root and host, and the host has the lease |
 * | delete           | refused     | the audit trail has it, with its host and token |
 * | undelete         | refused     | the session is live, under the name that was asked for |
 * | release, break   | refused     | the audit trail has it, with its token |
 * | snapshot delete  | refused     | there is no such snapshot |
 * | purge            | refused     | no session has the number |
 * | rescue drop      | refused     | there is no such rescue version |
 * | setting: forget  | refused     | it is not set |
 * | mend             | refused     | the object is sound; or, where one is only taken out, not there |
 * | rename           | may undo it | the session has the name already |
 * | rescue           | done twice  | the session has a rescue version of that root and base |
 * | others           | the same again                                               |
 *
 * What was done before is answered once it is on the medium: who did it may still be waiting for that, or have been
 * killed. On a worker.
 */
#ifndef SERVER_RETRY_H
#define SERVER_RETRY_H

#include <stdbool.h>

#include "server/request.h"

/** Before it is tried: whether it needs no trying, and then the reply. */
bool retry_is_done(struct request *request, Holdfast__Wire__Reply *reply, struct hf_error *err);
/** After it was refused with `status`: whether it had been done before, and then the reply. */
bool retry_was_done(struct request *request, int status, Holdfast__Wire__Reply *reply,
                    struct hf_error *err);

#endif
