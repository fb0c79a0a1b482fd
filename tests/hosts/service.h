/* SPDX-License-Identifier: Apache-2.0 */
/** A real server: `holdfast serve` as a child process, with certificates, on a network of its own. */
#ifndef TESTS_HOSTS_SERVICE_H
#define TESTS_HOSTS_SERVICE_H

#include <stdbool.h>
#include <sys/types.h>

#include "daemon.h"

struct service {
    char dir[200];   /**< holds the store, the certificates and the log */
    char store[256]; /**< DIR/store.db */
    const char *ttl; /**< "5s" */
    pid_t pid;       /**< 0: not running */
};

/** Puts this process and its children on a network of their own, where the server's port is surely free. Why
 *  that cannot be, or NULL. */
const char *service_obstacle(void);
/** Makes the folder and the server's certificate. */
bool service_prepare(struct service *service, const char *ttl);
/** Starts the server and waits until it takes connections. */
bool service_start(struct service *service);
/** Ends it with `signal` and waits for it. */
void service_stop(struct service *service, int signal);
/** Issues a certificate for `name`, and makes `daemon` a mount of this server's store with it. */
bool service_admit(struct service *service, const char *name, struct daemon *daemon);
/** Runs holdfast with the store's file as $HOLDFAST_STORE; its output to `ret_output` (freed by the caller), or
 *  into the log when that is NULL. Returns the exit code. */
int service_run(struct service *service, const char *const argv[], char **ret_output);
void service_print_log(const struct service *service);
/** Ends it, and removes everything. */
void service_remove(struct service *service);

#endif
