/* SPDX-License-Identifier: Apache-2.0 */
#include "fuse/channel.h"

#include <linux/fuse.h>
#include <stddef.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/** What libfuse hides of the request that this thread works on: it answers on the thread that has read. */
static _Thread_local struct {
    bool offered; /* the first request, and the kernel knows FUSE_HANDLE_KILLPRIV_V2 */
    bool ends;    /* the caller may not keep a file's set-id bits */
} request;

/** The flag word of a request's body at this place; 0 when it is too short. */
static uint32_t flags_at(const uint8_t *data, size_t len, size_t offset)
{
    uint32_t flags = 0;

    offset += sizeof(struct fuse_in_header);
    if (offset + sizeof flags <= len)
        memcpy(&flags, data + offset, sizeof flags);
    return flags;
}

static void look_at(const uint8_t *data, size_t len)
{
    struct fuse_in_header head = {0};

    request.offered = request.ends = false;
    if (len < sizeof head)
        return;
    memcpy(&head, data, sizeof head);
    switch (head.opcode) {
    case FUSE_INIT:
        request.offered =
            flags_at(data, len, offsetof(struct fuse_init_in, flags)) & FUSE_HANDLE_KILLPRIV_V2;
        break;
    case FUSE_WRITE:
        request.ends = flags_at(data, len, offsetof(struct fuse_write_in, write_flags)) &
                       FUSE_WRITE_KILL_SUIDGID;
        break;
    case FUSE_OPEN:
        request.ends =
            flags_at(data, len, offsetof(struct fuse_open_in, open_flags)) & FUSE_OPEN_KILL_SUIDGID;
        break;
    case FUSE_SETATTR:
        request.ends =
            flags_at(data, len, offsetof(struct fuse_setattr_in, valid)) & FATTR_KILL_SUIDGID;
        break;
    default:
        break;
    }
}

static ssize_t receive(int fd, void *data, size_t size, void *userdata)
{
    ssize_t len = read(fd, data, size);

    (void)userdata;
    if (len > 0)
        look_at(data, (size_t)len);
    return len;
}

/** Adds the flag to the answer to the first request. */
static ssize_t answer_first(int fd, struct iovec *iov, struct channel *channel)
{
    struct fuse_init_out out;
    struct iovec changed[2] = {iov[0], {.iov_base = &out, .iov_len = iov[1].iov_len}};

    memcpy(&out, iov[1].iov_base, iov[1].iov_len);
    out.flags |= FUSE_HANDLE_KILLPRIV_V2;
    request.offered = false;
    atomic_store(&channel->told, true);
    return writev(fd, changed, 2);
}

static ssize_t answer(int fd, struct iovec *iov, int count, void *userdata)
{
    /* An error has no body; that of an old protocol ends before the flags. */
    if (request.offered && count == 2 && iov[1].iov_len <= sizeof(struct fuse_init_out) &&
        iov[1].iov_len >= FUSE_COMPAT_22_INIT_OUT_SIZE)
        return answer_first(fd, iov, userdata);
    return writev(fd, iov, count);
}

int channel_attach(struct fuse_session *session)
{
    static const struct fuse_custom_io io = {.read = receive, .writev = answer};

    return fuse_session_custom_io(session, &io, fuse_session_fd(session));
}

bool channel_ends_privileges(struct channel *channel, uid_t uid)
{
    /* An older kernel clears the bits itself, but for a truncation that comes with an open. */
    return atomic_load(&channel->told) ? request.ends : uid != 0;
}
