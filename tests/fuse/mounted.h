/* SPDX-License-Identifier: Apache-2.0 */
/**
 * A store in a temporary directory, mounted with the program that was built.
 *
 *     dir/store.db    the store
 *     dir/mnt         the mount, with one session "s"
 *     dir/log         what the program said
 *
 * Everything a test starts lies below that directory, and goes with it.
 */
#ifndef FUSE_TEST_MOUNTED_H
#define FUSE_TEST_MOUNTED_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

struct mounted {
    char dir[64];
    char url[128];
    char point[128];
    char session[128]; /**< the directory of session "s" */
};

/** Ends the program with code 77 and the reason when nothing can be mounted here. Call it in main(). */
void mounted_require(void);

/** Makes the temporary directory; mounts nothing. */
void mounted_prepare(struct mounted *m);
/** Mounts with these options (NULL: none); makes the session when it is not there. */
void mounted_start(struct mounted *m, const char *options);
/** Unmounts by `holdfast umount`, which must succeed. */
void mounted_stop(struct mounted *m);
/** Unmounts whatever is mounted, and removes the directory. Fails when a sanitizer found something in a
 *  daemon. */
void mounted_remove(struct mounted *m);

/** For cmocka's group set-up and teardown: *state is a struct mounted, prepared and started. */
int mounted_setup(void **state);
int mounted_teardown(void **state);

/** Runs the program with these arguments (ended by NULL). Returns its exit code. */
int mounted_run(struct mounted *m, ...);
/** What the last mounted_run() wrote to stderr. Static. */
const char *mounted_said(const struct mounted *m);
/** The process that serves the mount. */
pid_t mounted_daemon(const struct mounted *m);
/** Waits until a process sleeps in this system call (SYS_…). Fails the test after 30 s. */
void mounted_await_blocked(pid_t pid, long number);
/** Waits until a process that is not ours has ended. Fails the test after 30 s. */
void mounted_await_end(pid_t pid);
bool mounted_is_mounted(const char *point);
/** fork(2); the child ends with the test, however that ends. */
pid_t mounted_fork(void);

/** "dir/mnt/s/name", in one of a few static buffers. */
const char *mounted_path(const struct mounted *m, const char *name);

/** Writes a whole file anew; reads a file of less than `size` bytes as a string. */
void write_file(const char *path, const char *text);
void read_file(const char *path, char *ret_text, size_t size);

#endif
