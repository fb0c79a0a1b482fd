/* SPDX-License-Identifier: Apache-2.0 */
/** Tells the service manager about this process, by the protocol of sd_notify(3). */
#ifndef TOOLS_NOTIFY_H
#define TOOLS_NOTIFY_H

/** Sends `state` ("READY=1") to $NOTIFY_SOCKET. Does nothing when there is none. */
void notify_send(const char *state);

#endif
