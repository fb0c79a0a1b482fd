/* SPDX-License-Identifier: Apache-2.0 */
/** What the conversions of convert.h share: single values, checked. Private to src/wire. */
#ifndef WIRE_VALUE_H
#define WIRE_VALUE_H

#include "wire/convert.h"

/** A zeroed, initialised message of the type of the pointer `message`, from the arena; NULL: no memory. */
#define VALUE_NEW(arena, message, init)                                                            \
    __extension__({                                                                                \
        __typeof__(message) value_new_ = wire_arena_alloc((arena), sizeof *value_new_);            \
        if (value_new_)                                                                            \
            (init)(value_new_);                                                                    \
        value_new_;                                                                                \
    })

/** HF_NOMEM with its sentence. */
static inline int value_no_memory(struct hf_error *err)
{
    return hf_fail(err, HF_NOMEM, "no memory for a message");
}

/** HF_INVAL: the message that `field` should hold is not there. */
static inline int value_absent(const char *field, struct hf_error *err)
{
    return hf_fail(err, HF_INVAL, "the message has no %s", field);
}

/** Bytes of a fixed length, borrowed; and back. */
ProtobufCBinaryData value_fill_bytes(const void *bytes, size_t len);
int value_read_bytes(ProtobufCBinaryData bytes, const char *field, void *ret_bytes, size_t len,
                     struct hf_error *err);

/** A root, empty on the wire when there is none yet (all zero); and back. */
ProtobufCBinaryData value_fill_root(const struct object_id *root);
int value_read_root(ProtobufCBinaryData bytes, const char *field, struct object_id *ret_root,
                    struct hf_error *err);
/** An id that may be absent: empty. */
ProtobufCBinaryData value_fill_id(bool has, const struct object_id *id);
int value_read_id(ProtobufCBinaryData bytes, const char *field, bool *ret_has,
                  struct object_id *ret_id, struct hf_error *err);

/** Checks that `value` is in low..high. */
int value_check_range(uint64_t value, uint64_t low, uint64_t high, const char *field,
                      struct hf_error *err);

/** A session's metadata: which strings are NULL is kept in `known`. */
int value_fill_meta(const struct session_meta *meta, struct wire_arena *arena,
                    Holdfast__Wire__SessionMeta **ret_message, struct hf_error *err);
int value_read_meta(const Holdfast__Wire__SessionMeta *message, struct wire_arena *arena,
                    struct session_meta *ret_meta, struct hf_error *err);

/** Strings of which each may be NULL: bit i of what is returned, and of `known`, says that the i-th is not. */
uint32_t value_fill_known(const char *const *texts, ProtobufCBinaryData *const *bytes, size_t n);
int value_read_known(const ProtobufCBinaryData *bytes, const char *const *fields, size_t n,
                     uint32_t known, struct wire_arena *arena, const char **ret_texts,
                     struct hf_error *err);

#endif
