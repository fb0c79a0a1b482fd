/* SPDX-License-Identifier: Apache-2.0 */
#include "hold.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include <jansson.h>

#include "context.h"
#include "place.h"
#include "presence.h"
#include "store/lease.h"

struct hold {
    int fd; /* the lease file; -1: the store is held instead */
    struct store *store;
    struct presence *presence;
    struct lease lease; /* token 0: none */
};

/* --- through the mount ---------------------------------------------------------------------------- */

static void on_alarm(int signal_number)
{
    (void)signal_number;
}

/* A signal that ends the wait for a lock: the time is up. */
static void start_alarm(uint32_t wait_ms, struct sigaction *ret_before)
{
    const struct sigaction wake = {.sa_handler = on_alarm}; /* without SA_RESTART */
    const struct itimerval time = {.it_value = {wait_ms / 1000, wait_ms % 1000 * 1000L},
                                   /* once may be too early: before the wait has begun */
                                   .it_interval = {.tv_usec = 100000}};

    sigaction(SIGALRM, &wake, ret_before);
    setitimer(ITIMER_REAL, &time, NULL);
}

static void stop_alarm(const struct sigaction *before)
{
    static const struct itimerval none;

    setitimer(ITIMER_REAL, &none, NULL);
    sigaction(SIGALRM, before, NULL);
}

static int lock_file(int fd, uint32_t wait_ms)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct sigaction before;
    int error;

    if (wait_ms == 0)
        return fcntl(fd, F_OFD_SETLK, &lock) == 0 ? 0 : errno;
    if (wait_ms == HOLD_FOREVER)
        return fcntl(fd, F_OFD_SETLKW, &lock) == 0 ? 0 : errno;
    start_alarm(wait_ms, &before);
    error = fcntl(fd, F_OFD_SETLKW, &lock) == 0 ? 0 : errno;
    stop_alarm(&before);
    return error == EINTR ? EAGAIN : error;
}

static int open_lease_file(const struct hold_request *request, const char *place, int *ret_fd,
                           struct hf_error *err)
{
    char path[PLACE_MAX + 512];
    int fd;

    snprintf(path, sizeof path, "%s/%s", place, request->session);
    if (request->create && mkdir(path, 0700) != 0 && errno != EEXIST)
        return hf_fail(err, hf_status_from_errno(errno), "cannot make the session %s: %s", path,
                       strerror(errno));
    if (access(path, F_OK) != 0)
        return hf_fail(err, hf_status_from_errno(errno), "there is no session %s in %s%s",
                       request->session, place, request->hint ? request->hint : "");
    snprintf(path, sizeof path, "%s/%s/.holdfast/lease", place, request->session);
    fd = open(path, O_RDWR); /* the command inherits it: it holds the lease even without us */
    if (fd < 0)
        return hf_fail(err, hf_status_from_errno(errno), "cannot open %s: %s", path,
                       strerror(errno));
    *ret_fd = fd;
    return HF_OK;
}

/* The lease file says who has it: one JSON object. */
static int busy(int fd, const char *session, struct hf_error *err)
{
    struct lease_info info = {.session_name = session, .state = LEASE_HELD};
    json_t *told = json_loadfd(fd, JSON_DISABLE_EOF_CHECK, NULL);
    int status;

    info.host_name = json_string_value(json_object_get(told, "host"));
    info.mount_point = json_string_value(json_object_get(told, "mount"));
    info.pinned_by = json_string_value(json_object_get(told, "pinned_by"));
    info.pid = (uint32_t)json_integer_value(json_object_get(told, "pid"));
    info.since = (int64_t)(json_number_value(json_object_get(told, "since")) * 1e9);
    if (info.host_name)
        status = lease_busy(&info, err);
    else
        status = hf_fail(err, HF_BUSY, "session %s is in use elsewhere", session);
    json_decref(told);
    return status;
}

static int hold_mount(const struct hold_request *request, const char *place, struct hold *hold,
                      struct hf_error *err)
{
    int status = open_lease_file(request, place, &hold->fd, err);
    int error;

    if (status != HF_OK)
        return status;
    error = lock_file(hold->fd, request->wait_ms);
    if (error == EBUSY || error == EAGAIN || error == EACCES)
        return busy(hold->fd, request->session, err);
    if (error == EINTR)
        return hf_fail(err, HF_INTR, "interrupted while waiting for session %s", request->session);
    if (error != 0)
        return hf_fail(err, hf_status_from_errno(error), "cannot hold session %s: %s",
                       request->session, strerror(error));
    return HF_OK;
}

/* --- in the store --------------------------------------------------------------------------------- */

static int hold_store(const struct hold_request *request, struct hold *hold, struct hf_error *err)
{
    struct context_session session;
    int status = context_open_store(request->store, 0, &hold->store, err);

    if (status == HF_OK)
        status = context_find_session(hold->store, request->session, &session, err);
    if (status == HF_OK)
        status = presence_begin(hold->store, request->purpose, &hold->presence, err);
    if (status == HF_OK)
        status =
            presence_lease(hold->presence, session.head.sid, request->wait_ms, &hold->lease, err);
    return status;
}

/* --- both ------------------------------------------------------------------------------------------ */

int hold_take(const struct hold_request *request, struct hold **ret_hold, struct hf_error *err)
{
    struct hold *hold = calloc(1, sizeof *hold);
    struct place_mount there;
    char place[PLACE_MAX];
    int status;

    if (!hold)
        return hf_fail(err, HF_NOMEM, "out of memory");
    hold->fd = -1;
    if (request->store) {
        status = hold_store(request, hold, err);
    } else {
        status = place_of(request->mount, place, err);
        if (status == HF_OK && !place_mount(place, &there))
            status = hf_fail(err, HF_NOENT,
                             "nothing is mounted on %s: mount the sessions there, name another "
                             "place with --mount, or hold without a mount with --store",
                             place);
        if (status == HF_OK)
            status = hold_mount(request, place, hold, err);
    }
    if (status != HF_OK) {
        hold_drop(hold);
        return status;
    }
    *ret_hold = hold;
    return HF_OK;
}

void hold_drop(struct hold *hold)
{
    struct flock unlock = {.l_type = F_UNLCK, .l_whence = SEEK_SET};

    if (!hold)
        return;
    if (hold->fd >= 0) {
        fcntl(hold->fd, F_OFD_SETLK, &unlock); /* whoever inherited it lets go too */
        close(hold->fd);
    }
    if (hold->lease.token != 0)
        (void)presence_release(hold->presence, &hold->lease, NULL);
    presence_end(hold->presence);
    store_close(hold->store);
    free(hold);
}
