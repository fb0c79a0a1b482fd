/* SPDX-License-Identifier: Apache-2.0 */
/**
 * An answer that is a list: messages gathered while the store is read, sent in parts of about
 * WIRE_BATCH_BYTES. What is gathered owns its strings, so it may be sent after the store's call. Not thread safe.
 */
#ifndef SERVER_LIST_H
#define SERVER_LIST_H

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "holdfast/error.h"
#include "wire/arena.h"
#include "wire/holdfast.pb-c.h"

/** Bytes that one request may gather before it answers. */
#define LIST_MAX_BYTES (256u << 20)

struct list_part;

/** All zero: empty. */
struct list {
    struct list_part *first, *last;
    size_t bytes;
};

/** Frees everything; it is empty and usable again. */
void list_clear(struct list *list);

/** The arena for the next message; it lives as long as the part that the message goes into. NULL: no memory. */
struct wire_arena *list_arena(struct list *list);
/** Adds a message made there, and makes copies of what it borrows. HF_TOOBIG, HF_NOMEM. */
int list_add(struct list *list, ProtobufCMessage *message, struct hf_error *err);
/** Whether there is a whole part to send; and one behind it. */
bool list_is_full(const struct list *list);
bool list_has_more(const struct list *list);

/** Puts the first part into `reply` as its result of that kind; the messages live until list_drop(). */
int list_fill(struct list *list, Holdfast__Wire__Reply__ResultCase result, struct wire_arena *arena,
              Holdfast__Wire__Reply *reply, struct hf_error *err);
/** Frees the first part. */
void list_drop(struct list *list);

#endif
