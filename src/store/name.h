/* SPDX-License-Identifier: Apache-2.0 */
/** Names in a store. Pure functions; thread safe. */
#ifndef STORE_NAME_H
#define STORE_NAME_H

#include "holdfast/error.h"

/**
 * Whether `name` can be that of a session: 1..SESSION_NAME_MAX bytes, no '/', no '.' at its beginning.
 * Returns 0, HF_INVAL or HF_NAMETOOLONG with a sentence.
 */
int session_name_check(const char *name, struct hf_error *err);
/** The same for a snapshot, which may begin with '.', but is not "." or "..". */
int snapshot_name_check(const char *name, struct hf_error *err);

/** HF_INVAL, HF_NAMETOOLONG. */
int setting_name_check(const char *name, struct hf_error *err);

#endif
