/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Frames in a stream of bytes: 4 bytes of length, big-endian, then an encoded Frame of so many bytes. Not thread
 * safe.
 *
 * A length is checked before it is believed, memory grows with the bytes that have arrived and not with those
 * that were promised, and a decoded frame takes at most FRAME_RATIO times its size and FRAME_SLACK: a hostile one
 * can hold many empty messages in few bytes. (The same limit bounds the time that decoding takes.)
 */
#ifndef WIRE_FRAME_H
#define WIRE_FRAME_H

#include <stdbool.h>

#include "base/buf.h"
#include "holdfast/error.h"
#include "wire/holdfast.pb-c.h"

#define FRAME_HEAD 4
#define FRAME_RATIO 16
#define FRAME_SLACK 65536

struct frame_reader {
    uint32_t max; /**< bytes of an encoded frame */
    uint8_t head[FRAME_HEAD];
    size_t nhead;
    struct buf body;
    size_t length; /**< of the body; known once the head is there */
};

/** Ends it. frame_reader is usable when all but `max` is zero. */
void frame_reader_release(struct frame_reader *reader);

/** Where the next bytes of the stream go, and how many of them at most (never 0). HF_NOMEM. */
int frame_reader_room(struct frame_reader *reader, uint8_t **ret_at, size_t *ret_room,
                      struct hf_error *err);
/** So many bytes were put there. HF_AGAIN (without a sentence): the frame is not complete; HF_TOOBIG, HF_INVAL,
 *  HF_NOMEM: the stream cannot be read on. `ret_size`: bytes of the encoded frame. */
int frame_reader_filled(struct frame_reader *reader, size_t n, Holdfast__Wire__Frame **ret_frame,
                        size_t *ret_size, struct hf_error *err);
/** Whether the stream stands between two frames. */
bool frame_reader_between(const struct frame_reader *reader);

/** Decodes the inside of a frame within the limits above. HF_INVAL, HF_TOOBIG, HF_NOMEM. */
int frame_decode(struct slice bytes, Holdfast__Wire__Frame **ret_frame, struct hf_error *err);
/** Appends a frame with its length. HF_TOOBIG when it has more than `max` bytes. */
int frame_encode(const Holdfast__Wire__Frame *frame, uint32_t max, struct buf *out,
                 struct hf_error *err);

#endif
