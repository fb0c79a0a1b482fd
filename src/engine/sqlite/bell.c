/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/sqlite/bell.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PATH_SIZE 1100
/* Without inotify, those who wait look this often. */
#define POLL_NS 20000000
/* The kernel tells of a close just before it drops the locks: look again a little later. */
#define AFTER_CLOSE_MS 5

void bell_init(struct bell *bell)
{
    pthread_condattr_t attr;

    *bell = (struct bell){.fd = -1, .ask = -1, .notify = -1, .stop = -1};
    pthread_mutex_init(&bell->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&bell->rung, &attr);
    pthread_condattr_destroy(&attr);
}

static int open_file(const char *path, bool create)
{
    int fd = open(path, create ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDWR | O_CLOEXEC, 0600);

    if (fd < 0 && !create)
        fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd;
}

static int fail_errno(struct hf_error *err, const char *what, const char *path)
{
    return hf_fail(err, hf_status_from_errno(errno), "cannot %s %s: %s", what, path,
                   strerror(errno));
}

int bell_open(struct bell *bell, const char *store_path, bool create, struct hf_error *err)
{
    char path[PATH_SIZE];
    int fd, ask, rc = HF_OK;

    snprintf(path, sizeof path, "%s-bell", store_path);
    fd = open_file(path, create);
    if (fd < 0)
        return fail_errno(err, "open", path);
    ask = open(path, O_RDONLY | O_CLOEXEC);
    if (ask < 0)
        rc = fail_errno(err, "open", path);
    /* One byte to write on, so that a ring needs no room on a full disk. */
    else if (create && pwrite(fd, "", 1, 0) != 1)
        rc = fail_errno(err, "write to", path);
    if (rc == HF_OK) {
        bell->fd = fd;
        bell->ask = ask;
        return HF_OK;
    }
    close(fd);
    if (ask >= 0)
        close(ask);
    return rc;
}

void bell_release(struct bell *bell)
{
    bell_stop(bell);
    if (bell->notify >= 0)
        close(bell->notify);
    if (bell->stop >= 0)
        close(bell->stop);
    if (bell->fd >= 0)
        close(bell->fd);
    if (bell->ask >= 0)
        close(bell->ask);
    pthread_cond_destroy(&bell->rung);
    pthread_mutex_destroy(&bell->lock);
}

/* --- liveness --------------------------------------------------------------------------------- */

/* Beyond the number of any host session. */
#define COLLECTION_PLACE (1ULL << 62)

static int set_lock(int fd, short type, uint64_t host)
{
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = (off_t)host, .l_len = 1};

    return fcntl(fd, F_OFD_SETLK, &lock);
}

int bell_claim(struct bell *bell, uint64_t host, struct hf_error *err)
{
    if (set_lock(bell->fd, F_WRLCK, host) == 0)
        return HF_OK;
    return hf_fail(err, errno == EAGAIN || errno == EACCES ? HF_BUSY : HF_IO,
                   "cannot lock the store's bell file for host session %llu: %s",
                   (unsigned long long)host, strerror(errno));
}

int bell_claim_collection(struct bell *bell, struct hf_error *err)
{
    if (set_lock(bell->fd, F_WRLCK, COLLECTION_PLACE) == 0)
        return HF_OK;
    if (errno == EAGAIN || errno == EACCES)
        return hf_fail(err, HF_BUSY, "another collection of this store is under way");
    return hf_fail(err, HF_IO, "cannot lock the store's bell file for a collection: %s",
                   strerror(errno));
}

void bell_disclaim_collection(struct bell *bell)
{
    set_lock(bell->fd, F_UNLCK, COLLECTION_PLACE);
}

void bell_disclaim(struct bell *bell, uint64_t host)
{
    set_lock(bell->fd, F_UNLCK, host);
}

bool bell_is_claimed(const struct bell *bell, uint64_t host)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)host, .l_len = 1};

    if (bell->ask < 0)
        return false;
    /* Who cannot be asked about is taken for alive. */
    return fcntl(bell->ask, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

/* --- wake-ups --------------------------------------------------------------------------------- */

static void note(struct bell *bell, bool exit)
{
    pthread_mutex_lock(&bell->lock);
    bell->rings++;
    bell->exits += exit;
    pthread_cond_broadcast(&bell->rung);
    pthread_mutex_unlock(&bell->lock);
}

/* Reads what inotify has. Returns whether somebody has closed the file. */
static bool drain(int notify)
{
    char bytes[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    const struct inotify_event *event;
    bool closed = false;
    ssize_t n;

    while ((n = read(notify, bytes, sizeof bytes)) > 0) {
        for (char *at = bytes; at < bytes + n; at += sizeof *event + event->len) {
            event = (const struct inotify_event *)at;
            closed |= (event->mask & (IN_CLOSE_WRITE | IN_Q_OVERFLOW)) != 0;
        }
    }
    return closed;
}

static void *watch(void *arg)
{
    struct bell *bell = arg;
    struct pollfd fds[2] = {{.fd = bell->notify, .events = POLLIN},
                            {.fd = bell->stop, .events = POLLIN}};
    int timeout = -1;
    int n;

    for (;;) {
        n = poll(fds, 2, timeout);
        if (fds[1].revents != 0)
            return NULL;
        if (n < 0 && errno == EINTR)
            continue;
        if (n == 0) {
            timeout = -1;
            note(bell, true);
            continue;
        }
        if (drain(bell->notify))
            timeout = AFTER_CLOSE_MS;
        note(bell, false);
    }
}

int bell_watch(struct bell *bell, struct hf_error *err)
{
    char path[64];

    bell->stop = eventfd(0, EFD_CLOEXEC);
    bell->notify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    snprintf(path, sizeof path, "/proc/self/fd/%d", bell->fd);
    if (bell->stop < 0 || bell->notify < 0 ||
        inotify_add_watch(bell->notify, path, IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE) < 0)
        return HF_OK; /* the system's limit on watches: poll instead */
    if (pthread_create(&bell->thread, NULL, watch, bell) != 0)
        return hf_fail(err, HF_NOMEM, "cannot start a thread");
    pthread_mutex_lock(&bell->lock);
    bell->watching = true;
    pthread_mutex_unlock(&bell->lock);
    return HF_OK;
}

void bell_stop(struct bell *bell)
{
    uint64_t one = 1;
    bool watching;

    pthread_mutex_lock(&bell->lock);
    bell->stopping = true;
    watching = bell->watching;
    bell->watching = false;
    pthread_cond_broadcast(&bell->rung);
    pthread_mutex_unlock(&bell->lock);
    if (!watching)
        return;
    while (write(bell->stop, &one, sizeof one) < 0 && errno == EINTR)
        continue;
    pthread_join(bell->thread, NULL);
}

void bell_wake(struct bell *bell)
{
    note(bell, false);
}

void bell_ring(struct bell *bell)
{
    if (bell->fd < 0)
        return;
    /* A change of the times is heard of as well, and needs no room. */
    if (pwrite(bell->fd, "", 1, 0) != 1)
        futimens(bell->fd, NULL);
}

uint64_t bell_rings(struct bell *bell)
{
    uint64_t rings;

    pthread_mutex_lock(&bell->lock);
    rings = bell->rings;
    pthread_mutex_unlock(&bell->lock);
    return rings;
}

static struct timespec deadline_in(int64_t ns)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    time.tv_sec += (time_t)(ns / 1000000000);
    time.tv_nsec += (long)(ns % 1000000000);
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}

bool bell_wait(struct bell *bell, uint64_t seen, int64_t timeout_ns)
{
    struct timespec deadline;
    int error = 0;
    bool open;

    pthread_mutex_lock(&bell->lock);
    if (!bell->watching && (timeout_ns < 0 || timeout_ns > POLL_NS))
        timeout_ns = POLL_NS;
    if (timeout_ns >= 0)
        deadline = deadline_in(timeout_ns);
    while (!bell->stopping && bell->rings <= seen && error == 0) {
        if (timeout_ns < 0)
            error = pthread_cond_wait(&bell->rung, &bell->lock);
        else
            error = pthread_cond_timedwait(&bell->rung, &bell->lock, &deadline);
    }
    if (!bell->watching && !bell->stopping) {
        bell->rings++;
        bell->exits++;
    }
    open = !bell->stopping;
    pthread_mutex_unlock(&bell->lock);
    return open;
}
