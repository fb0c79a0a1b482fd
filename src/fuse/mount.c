/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse/mount.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fuse/ops.h"

#define DEFAULT_THREADS 32
#define WAKE_INTERVAL_NS (20 * 1000 * 1000)

struct fuse_mount {
    struct fuse_session *session;
    struct fuse_loop_config *loop;
    struct fuse_ops_state ops;
    atomic_bool serving; /* the kernel may be told of changes */

    /* While serving: the thread that waits for signals, and what it has to wake. */
    pthread_t signal_thread, loop_thread;
    pthread_mutex_t mutex; /* guards loop_ended */
    pthread_cond_t cond;
    bool loop_ended;
};

/* --- options ------------------------------------------------------------------------------------ */

/** Appends text with a backslash before each comma and backslash, as libfuse splits options there. */
static int append_escaped(struct buf *buf, const char *text)
{
    int status = HF_OK;

    for (; *text && status == HF_OK; text++) {
        if (*text == ',' || *text == '\\')
            status = buf_append(buf, "\\", 1);
        if (status == HF_OK)
            status = buf_append(buf, text, 1);
    }
    return status;
}

/** fsname and subtype for mount(8); permissions are checked by the kernel, always. */
static int mount_options(const struct fuse_mount_options *options, struct buf *ret_text)
{
    static const char head[] = "default_permissions,subtype=holdfast,fsname=";
    int status = buf_append(ret_text, head, strlen(head));

    if (status == HF_OK)
        status = append_escaped(ret_text, options->source);
    if (status == HF_OK && options->extra && options->extra[0]) {
        status = buf_append(ret_text, ",", 1);
        if (status == HF_OK)
            status = buf_append(ret_text, options->extra, strlen(options->extra));
    }
    return status == HF_OK ? buf_append(ret_text, "", 1) : status;
}

static int new_session(struct fuse_mount *mount, const struct fuse_mount_options *options,
                       struct hf_error *err)
{
    BUF_AUTO text = {0};
    struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
    int status = mount_options(options, &text);

    if (status != HF_OK)
        return hf_fail(err, status, "out of memory");
    if (fuse_opt_add_arg(&args, "holdfast") == 0 && fuse_opt_add_arg(&args, "-o") == 0 &&
        fuse_opt_add_arg(&args, (const char *)text.data) == 0)
        mount->session = fuse_session_new(&args, &fuse_ops, sizeof fuse_ops, &mount->ops);
    fuse_opt_free_args(&args);
    if (!mount->session)
        return hf_fail(err, HF_USAGE, "the mount options are not accepted: %s",
                       options->extra ? options->extra : "");
    return HF_OK;
}

int fuse_mount_new(const struct fuse_mount_options *options, struct fuse_mount **ret_mount,
                   struct hf_error *err)
{
    struct fuse_mount *mount = calloc(1, sizeof *mount);
    unsigned threads = options->threads ? options->threads : DEFAULT_THREADS;
    int status = HF_NOMEM;

    if (!mount)
        return hf_fail(err, HF_NOMEM, "out of memory");
    pthread_mutex_init(&mount->mutex, NULL);
    pthread_cond_init(&mount->cond, NULL);
    mount->ops.lockwaits = lockwaits_new();
    mount->loop = fuse_loop_cfg_create();
    if (!mount->ops.lockwaits || !mount->loop) {
        hf_fail(err, status, "out of memory");
        goto out;
    }
    fuse_loop_cfg_set_max_threads(mount->loop, threads);
    fuse_loop_cfg_set_idle_threads(mount->loop, threads / 2);
    /* One descriptor for all threads: cloned ones need /dev/fuse to be open to the user, which it need
     * not be for fusermount3, and sixteen threads do not contend for it. */
    fuse_loop_cfg_set_clone_fd(mount->loop, 0);
    status = new_session(mount, options, err);
    if (status != HF_OK)
        goto out;
    *ret_mount = mount;
    return HF_OK;
out:
    fuse_mount_free(mount);
    return status;
}

void fuse_mount_free(struct fuse_mount *mount)
{
    if (!mount)
        return;
    if (mount->session)
        fuse_session_destroy(mount->session);
    if (mount->loop)
        fuse_loop_cfg_destroy(mount->loop);
    lockwaits_free(mount->ops.lockwaits);
    pthread_cond_destroy(&mount->cond);
    pthread_mutex_destroy(&mount->mutex);
    free(mount);
}

/* --- what the tree tells the kernel --------------------------------------------------------------- */

/* What the kernel does not know (ENOENT) needs no forgetting; at the end (ENODEV, EBADF) nothing does. */

static void inval_entry(void *arg, uint64_t parent, const char *name)
{
    struct fuse_mount *mount = arg;

    if (atomic_load(&mount->serving))
        fuse_lowlevel_notify_inval_entry(mount->session, parent, name, strlen(name));
}

static void expire_entry(void *arg, uint64_t parent, const char *name)
{
    struct fuse_mount *mount = arg;

    /* Kernels before 6.2 can only drop it. */
    if (atomic_load(&mount->serving) &&
        fuse_lowlevel_notify_expire_entry(mount->session, parent, name, strlen(name),
                                          FUSE_LL_EXPIRE_ONLY) == -ENOSYS)
        fuse_lowlevel_notify_inval_entry(mount->session, parent, name, strlen(name));
}

static void inval_inode(void *arg, uint64_t inode, int64_t from)
{
    struct fuse_mount *mount = arg;

    if (atomic_load(&mount->serving))
        fuse_lowlevel_notify_inval_inode(mount->session, inode, from, 0);
}

static void store_content(void *arg, uint64_t inode, uint64_t offset, const void *data, size_t len)
{
    struct fuse_mount *mount = arg;
    struct fuse_bufvec content = FUSE_BUFVEC_INIT(len);

    content.buf[0].mem = (void *)(uintptr_t)data;
    if (atomic_load(&mount->serving))
        fuse_lowlevel_notify_store(mount->session, inode, (off_t)offset, &content, 0);
}

static bool interrupted(void *arg)
{
    (void)arg;
    return fuse_ops_interrupted();
}

struct tree_kernel fuse_mount_kernel(struct fuse_mount *mount)
{
    return (struct tree_kernel){.inval_entry = inval_entry,
                                .expire_entry = expire_entry,
                                .inval_inode = inval_inode,
                                .store_content = store_content,
                                .interrupted = interrupted,
                                .arg = mount};
}

/* --- signals -------------------------------------------------------------------------------------- */

void fuse_mount_signals(sigset_t *ret_signals)
{
    sigemptyset(ret_signals);
    sigaddset(ret_signals, SIGTERM);
    sigaddset(ret_signals, SIGINT);
    sigaddset(ret_signals, SIGHUP);
}

static void wake(int signal)
{
    (void)signal;
}

/** Waits for the loop to end, or 20 ms. Whether it has ended. */
static bool loop_has_ended(struct fuse_mount *mount)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += WAKE_INTERVAL_NS;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&mount->mutex);
    if (!mount->loop_ended)
        pthread_cond_timedwait(&mount->cond, &mount->mutex, &until);
    bool ended = mount->loop_ended;
    pthread_mutex_unlock(&mount->mutex);
    return ended;
}

/**
 * libfuse's loop looks whether it shall end, then sleeps until a signal reaches its thread. A signal
 * between the two would be slept through, so the thread is woken until it has seen it.
 */
static void *wait_for_signals(void *arg)
{
    struct fuse_mount *mount = arg;
    sigset_t signals;
    int signal;

    fuse_mount_signals(&signals);
    sigaddset(&signals, SIGUSR2); /* the loop has ended without a signal */
    sigwait(&signals, &signal);
    if (signal != SIGUSR2)
        fuse_session_exit(mount->session);
    while (!loop_has_ended(mount))
        pthread_kill(mount->loop_thread, SIGUSR1);
    return NULL;
}

static int start_signal_thread(struct fuse_mount *mount)
{
    struct sigaction action = {.sa_handler = wake};
    sigset_t blocked;

    fuse_mount_signals(&blocked);
    sigaddset(&blocked, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &blocked, NULL);
    sigaction(SIGUSR1, &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    mount->loop_thread = pthread_self();
    mount->loop_ended = false;
    return pthread_create(&mount->signal_thread, NULL, wait_for_signals, mount);
}

static void end_signal_thread(struct fuse_mount *mount)
{
    pthread_mutex_lock(&mount->mutex);
    mount->loop_ended = true;
    pthread_cond_signal(&mount->cond);
    pthread_mutex_unlock(&mount->mutex);
    pthread_kill(mount->signal_thread, SIGUSR2);
    pthread_join(mount->signal_thread, NULL);
}

/* --- serving -------------------------------------------------------------------------------------- */

/**
 * Unmounting closes the connection, so whoever still waits in the kernel for an answer gets an error
 * (what was answered before is in the tree, and committed when it is closed).
 */
static void stop(struct fuse_mount *mount)
{
    atomic_store(&mount->serving, false);
    /* The loop has reset this; it keeps libfuse from complaining of answers that go nowhere. */
    fuse_session_exit(mount->session);
    fuse_session_unmount(mount->session);
}

int fuse_mount_serve(struct fuse_mount *mount, struct tree *tree, const char *mountpoint,
                     void (*ready)(void *arg), void *arg, struct hf_error *err)
{
    int status = HF_OK, result;

    mount->ops.tree = tree;
    mount->ops.ready = ready;
    mount->ops.arg = arg;
    if (start_signal_thread(mount) != 0)
        return hf_fail(err, HF_AGAIN, "cannot start a thread");
    if (fuse_session_mount(mount->session, mountpoint) != 0) {
        end_signal_thread(mount);
        return hf_fail(
            err, HF_IO,
            "cannot mount on %s (see the message above); 'holdfast doctor' looks for the cause",
            mountpoint);
    }
    atomic_store(&mount->serving, true);
    result = channel_attach(mount->session);
    if (result == 0)
        result = fuse_session_loop_mt(mount->session, mount->loop);
    end_signal_thread(mount);
    stop(mount);
    if (result < 0)
        status = hf_fail(err, hf_status_from_errno(-result),
                         "the connection to the kernel failed: %s", strerror(-result));
    return status;
}
