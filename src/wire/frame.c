/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/frame.h"

#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

/* What a body gets before more of it has arrived; a larger one is not kept for the next frame. */
#define FIRST_PART 16384
/* What malloc() itself needs for each piece. */
#define PIECE_COST 16

void frame_reader_release(struct frame_reader *reader)
{
    buf_free(&reader->body);
}

bool frame_reader_between(const struct frame_reader *reader)
{
    return reader->nhead == 0;
}

/* Makes room in the body: twice what has arrived, and never more than there is to come. */
static int grow(struct frame_reader *reader)
{
    size_t have = reader->body.len, want = have < FIRST_PART / 2 ? FIRST_PART : 2 * have;

    if (want > reader->length)
        want = reader->length;
    return buf_reserve(&reader->body, want - have);
}

int frame_reader_room(struct frame_reader *reader, uint8_t **ret_at, size_t *ret_room,
                      struct hf_error *err)
{
    struct buf *body = &reader->body;
    size_t missing;

    if (reader->nhead < FRAME_HEAD) {
        *ret_at = reader->head + reader->nhead;
        *ret_room = FRAME_HEAD - reader->nhead;
        return HF_OK;
    }
    if (body->len == body->cap && grow(reader) != HF_OK)
        return hf_fail(err, HF_NOMEM, "no memory for a frame of %zu bytes", reader->length);
    missing = reader->length - body->len;
    *ret_at = body->data + body->len;
    *ret_room = missing < body->cap - body->len ? missing : body->cap - body->len;
    return HF_OK;
}

static int take_head(struct frame_reader *reader, size_t n, struct hf_error *err)
{
    uint32_t length;

    assert(n <= FRAME_HEAD - reader->nhead);
    reader->nhead += n;
    if (reader->nhead < FRAME_HEAD)
        return HF_AGAIN;
    memcpy(&length, reader->head, sizeof length);
    reader->length = be32toh(length);
    if (reader->length == 0)
        return hf_fail(err, HF_INVAL, "a frame is empty");
    if (reader->length > reader->max)
        return hf_fail(err, HF_TOOBIG, "a frame has %zu bytes, more than %u", reader->length,
                       reader->max);
    return HF_AGAIN;
}

int frame_reader_filled(struct frame_reader *reader, size_t n, Holdfast__Wire__Frame **ret_frame,
                        size_t *ret_size, struct hf_error *err)
{
    int rc;

    if (reader->nhead < FRAME_HEAD)
        return take_head(reader, n, err);
    assert(n <= reader->body.cap - reader->body.len);
    reader->body.len += n;
    if (reader->body.len < reader->length)
        return HF_AGAIN;
    rc = frame_decode(buf_slice(&reader->body), ret_frame, err);
    *ret_size = reader->length;
    reader->nhead = 0;
    reader->body.len = 0;
    if (reader->body.cap > FIRST_PART)
        buf_free(&reader->body);
    return rc;
}

/* --- decoding ---------------------------------------------------------------------------------- */

/* All that was ever asked for counts, whether it was given back or not: so it bounds the copying too. */
struct budget {
    ProtobufCAllocator allocator;
    size_t left;
    bool spent, no_memory;
};

static void *budget_alloc(void *data, size_t size)
{
    struct budget *budget = data;
    void *piece;

    if (size > budget->left || budget->left - size < PIECE_COST) {
        budget->spent = true;
        return NULL;
    }
    budget->left -= size + PIECE_COST;
    piece = malloc(size);
    budget->no_memory = budget->no_memory || !piece;
    return piece;
}

static void budget_free(void *data, void *piece)
{
    (void)data;
    free(piece);
}

int frame_decode(struct slice bytes, Holdfast__Wire__Frame **ret_frame, struct hf_error *err)
{
    struct budget budget = {
        .allocator = {budget_alloc, budget_free, &budget},
        .left = FRAME_RATIO * bytes.len + FRAME_SLACK,
    };
    Holdfast__Wire__Frame *frame =
        holdfast__wire__frame__unpack(&budget.allocator, bytes.len, bytes.data);

    if (!frame && budget.no_memory)
        return hf_fail(err, HF_NOMEM, "no memory for a frame of %zu bytes", bytes.len);
    if (!frame && budget.spent)
        return hf_fail(err, HF_TOOBIG, "a frame of %zu bytes unpacks to too much", bytes.len);
    if (!frame)
        return hf_fail(err, HF_INVAL, "a frame of %zu bytes does not hold a message", bytes.len);
    if (frame->body_case == HOLDFAST__WIRE__FRAME__BODY__NOT_SET) {
        holdfast__wire__frame__free_unpacked(frame, NULL);
        return hf_fail(err, HF_INVAL, "a frame of %zu bytes holds nothing", bytes.len);
    }
    *ret_frame = frame;
    return HF_OK;
}

int frame_encode(const Holdfast__Wire__Frame *frame, uint32_t max, struct buf *out,
                 struct hf_error *err)
{
    size_t size = holdfast__wire__frame__get_packed_size(frame);
    uint32_t length = htobe32((uint32_t)size);

    if (size > max)
        return hf_fail(err, HF_TOOBIG, "a frame has %zu bytes, more than %u", size, max);
    if (buf_reserve(out, FRAME_HEAD + size) != HF_OK)
        return hf_fail(err, HF_NOMEM, "no memory for a frame of %zu bytes", size);
    memcpy(out->data + out->len, &length, FRAME_HEAD);
    holdfast__wire__frame__pack(frame, out->data + out->len + FRAME_HEAD);
    out->len += FRAME_HEAD + size;
    return HF_OK;
}
