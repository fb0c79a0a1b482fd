/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/split.h"

#include <time.h>
#include <unistd.h>

#include "tree/handle.h"
#include "tree/timer.h"

/**
 * The other part comes within microseconds; but on a busy machine its thread may have to wait for its turn.
 * One write in thousands ends with its page by chance, and then this is waited for only if somebody commits
 * before the next thing is done to the file.
 */
#define PATIENCE_NS 500000000

static bool may_go_on(uint64_t offset, size_t len)
{
    uint64_t mask = (uint64_t)sysconf(_SC_PAGESIZE) - 1;

    return ((offset + len) & mask) == 0 && (offset & mask) != 0;
}

void split_note(struct tree_handle *handle, uint64_t offset, size_t len)
{
    struct session *session = handle->session;

    split_end(handle);
    /* A change of the shared tree is committed before it is answered. */
    if (session->sid == SHARED_SID || !may_go_on(offset, len))
        return;
    handle->split_until = timer_now() + PATIENCE_NS;
    session->splits++;
}

void split_end(struct tree_handle *handle)
{
    struct session *session = handle->session;

    if (handle->split_until == 0)
        return;
    handle->split_until = 0;
    session->splits--;
    pthread_cond_broadcast(&session->cond);
}

/** Until when to wait; those who have waited long enough are given up. 0: for nobody. */
static int64_t deadline(struct session *session)
{
    int64_t now = timer_now(), until = 0;

    for (struct tree_handle *handle = session->open_handles; handle; handle = handle->next) {
        if (handle->split_until != 0 && handle->split_until <= now)
            split_end(handle);
        if (handle->split_until > until)
            until = handle->split_until;
    }
    return until;
}

bool split_wait(struct session *session, int64_t *last)
{
    bool waited = false;
    int64_t until;

    if (*last == 0)
        *last = timer_now() + PATIENCE_NS;
    while (session->splits > 0 && (until = deadline(session)) > 0 && timer_now() < *last) {
        const struct timespec time = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};

        session->split_waits++;
        pthread_cond_clockwait(&session->cond, &session->lock, CLOCK_MONOTONIC, &time);
        waited = true;
    }
    return waited;
}
