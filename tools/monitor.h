/* SPDX-License-Identifier: Apache-2.0 */
/** What --metrics adds to a server or a mount: the HTTP service, and the stores that it counts. */
#ifndef TOOLS_MONITOR_H
#define TOOLS_MONITOR_H

#include "store/store.h"
#include "web/http.h"

struct monitor;

/** Where metrics of its own come from, beside those of the stores; see http_answers. */
int monitor_new(const struct http_answers *answers, struct monitor **ret_monitor,
                struct hf_error *err);
/** Watches the calls of a store, and with `contents` what it holds, from monitor_listen() on; then it must stay open until monitor_free(). A failure for want of memory leaves it unwatched.
 *  Thread safe. */
void monitor_add(struct monitor *monitor, const char *tenant, struct store *store, bool contents);
/** Answers on ADDR:PORT from now on. HF_CONFIG, HF_IO. */
int monitor_listen(struct monitor *monitor, const char *listen, struct hf_error *err);
/** NULL is fine. Before the stores are closed. */
void monitor_free(struct monitor *monitor);

#endif
