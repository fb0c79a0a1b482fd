/* SPDX-License-Identifier: Apache-2.0 */
/** A real mount: `holdfast mount -f` as a child process, on folders of its own. */
#ifndef TESTS_CRASH_DAEMON_H
#define TESTS_CRASH_DAEMON_H

#include <stdbool.h>
#include <sys/types.h>

struct daemon {
    char dir[200];        /**< holds all below; removed by daemon_remove() */
    char mountpoint[256]; /**< DIR/mnt */
    char store[256];      /**< DIR/store.db */
    char log[256];        /**< DIR/log: what the mount printed */
    char decorators[100]; /**< before the store's URL, when it is mounted; mostly empty */
    char url[700];        /**< of a store that is not in DIR; mostly empty */
    pid_t pid;            /**< 0: not running */
    int exit_code;        /**< of a mount that did not start; -1: it was killed */
};

/** Why no mount can be made here, or NULL. */
const char *daemon_obstacle(void);
/** Makes the folders, below `parent` (NULL: $TMPDIR or /tmp). */
bool daemon_prepare(struct daemon *daemon, const char *parent);
/** Starts the mount and waits until it answers. */
bool daemon_start(struct daemon *daemon);
/** SIGKILL, and a lazy unmount of what is left. */
void daemon_kill(struct daemon *daemon);
/** SIGTERM; whether it ended with exit code 0 and took its mount with it. */
bool daemon_stop(struct daemon *daemon);
/** Runs `holdfast fsck` on the store. Whether that finds it sound. */
bool daemon_check_store(struct daemon *daemon);
/** Begins with a new store. */
void daemon_forget_store(struct daemon *daemon);
/** Whether the mount has printed a line with this in it. */
bool daemon_has_logged(const struct daemon *daemon, const char *text);
void daemon_print_log(const struct daemon *daemon);
void daemon_remove(struct daemon *daemon);

#endif
