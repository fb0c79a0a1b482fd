/* SPDX-License-Identifier: Apache-2.0 */
#include "logstream.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tree/difference.h"

#define READ_BYTES ((size_t)256 << 10)

int logstream_open(struct logstream *stream, struct blob_cache *cache,
                   const struct eventlog_listener *listener, struct hf_error *err)
{
    *stream = (struct logstream){.cache = cache, .log = eventlog_new(listener)};
    return stream->log ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");
}

/** Forgets the version read last. */
static void leave(struct logstream *stream)
{
    view_node_clear(&stream->node);
    view_free(stream->view);
    stream->view = NULL;
    stream->present = false;
}

void logstream_close(struct logstream *stream)
{
    leave(stream);
    eventlog_free(stream->log);
    *stream = (struct logstream){0};
}

uint64_t logstream_size(const struct logstream *stream)
{
    return stream->present ? stream->node.record.size : 0;
}

/** Whether two files hold the same bytes in [start, end). */
static int compare(const struct logstream *a, const struct logstream *b, uint64_t start,
                   uint64_t end, bool *ret_same, struct hf_error *err)
{
    uint8_t *data = malloc(2 * READ_BYTES);
    size_t n = 0, m = 0;
    int status = data ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");

    *ret_same = true;
    while (status == HF_OK && *ret_same && start < end) {
        size_t len = end - start < READ_BYTES ? (size_t)(end - start) : READ_BYTES;

        status = view_read(a->view, &a->node, start, len, data, &n, err);
        if (status == HF_OK)
            status = view_read(b->view, &b->node, start, len, data + READ_BYTES, &m, err);
        if (status == HF_OK)
            *ret_same = n == len && m == len && memcmp(data, data + READ_BYTES, len) == 0;
        start += len;
    }
    free(data);
    return status;
}

/** Whether all that was read is so still in the next version. */
static int goes_on(const struct logstream *stream, const struct logstream *next, bool *ret_goes_on,
                   struct hf_error *err)
{
    uint64_t read = eventlog_offset(stream->log), from;

    *ret_goes_on = read == 0;
    if (read == 0 || !stream->present || !next->present || next->node.record.size < read)
        return HF_OK;
    from =
        difference_start(stream->cache, &stream->node.record.content, &next->node.record.content);
    return compare(stream, next, from, read, ret_goes_on, err);
}

static int find_log(struct logstream *stream, struct hf_error *err)
{
    int status = view_lookup(stream->view, LOGSTREAM_FILE, &stream->node, err);

    if (status == HF_NOENT)
        return HF_OK;
    if (status == HF_OK && !S_ISREG(stream->node.record.mode))
        status = hf_fail(err, HF_INVAL, "%s is no regular file", LOGSTREAM_FILE);
    stream->present = status == HF_OK;
    return status;
}

static int read_on(struct logstream *stream, struct hf_error *err)
{
    uint8_t *data = malloc(READ_BYTES);
    size_t len = 1;
    int status = data ? HF_OK : hf_fail(err, HF_NOMEM, "out of memory");

    while (status == HF_OK && len > 0) {
        status = view_read(stream->view, &stream->node, eventlog_offset(stream->log), READ_BYTES,
                           data, &len, err);
        if (status == HF_OK && len > 0)
            status = eventlog_feed(stream->log, slice_of(data, len));
        if (status == HF_NOMEM)
            hf_fail(err, status, "out of memory for an event");
    }
    free(data);
    return status;
}

int logstream_read(struct logstream *stream, const struct object_id *root, struct hf_error *err)
{
    struct logstream next = {.cache = stream->cache};
    bool on = false;
    int status = view_open(stream->cache, root, &next.view, err);

    if (status == HF_OK)
        status = find_log(&next, err);
    if (status == HF_OK)
        status = goes_on(stream, &next, &on, err);
    if (status != HF_OK) {
        leave(&next);
        return status;
    }
    leave(stream);
    stream->view = next.view;
    stream->node = next.node;
    stream->present = next.present;
    if (!on)
        eventlog_restart(stream->log);
    return stream->present ? read_on(stream, err) : HF_OK;
}
