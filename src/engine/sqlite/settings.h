/* SPDX-License-Identifier: Apache-2.0 */
/** Settings within a transaction. */
#ifndef ENGINE_SQLITE_SETTINGS_H
#define ENGINE_SQLITE_SETTINGS_H

#include "base/buf.h"
#include "engine/sqlite/db.h"

/** Appends the text. HF_NOENT when it is not set. */
int setting_load(struct db *db, const char *name, struct buf *ret_text, struct hf_error *err);
/** Without bytes (data NULL) the setting is forgotten. */
int setting_write(struct db *db, const char *name, struct slice text, struct hf_error *err);

#endif
