/* SPDX-License-Identifier: Apache-2.0 */
/**
 * The schema of a store file: who may open it, and its numbered migrations (sql/).
 *
 *     application_id   says that an SQLite file is a store
 *     user_version     is the number of the newest migration in it; so is the store row's `schema`
 */
#ifndef ENGINE_SQLITE_SCHEMA_H
#define ENGINE_SQLITE_SCHEMA_H

#include "engine/options.h"
#include "engine/sqlite/db.h"
#include "engine/sqlite/session_row.h"

#define SCHEMA_APPLICATION_ID 0x486f6c64 /* "Hold" */

enum schema_file {
    SCHEMA_ABSENT = 1, /**< there is no such file, or it is empty */
    SCHEMA_EMPTY,      /**< an SQLite file that nobody has put anything in */
    SCHEMA_STORE,      /**< it is a store */
};

/** Looks at the first bytes of the file, through SQLite's VFS, without touching it. HF_INVAL for a file that
 *  is something else. */
int schema_identify(const char *path, const char *vfs, enum schema_file *ret_file,
                    struct hf_error *err);

/** Makes a store in an empty database: every migration, the store's row, the shared tree; then WAL mode. */
int schema_create(struct db *db, const struct store_create_options *create, int64_t now,
                  struct hf_error *err);
/** Brings a store up to date. HF_NEWER when a later program has been there. */
int schema_upgrade(struct db *db, bool read_only, struct hf_error *err);

/** Compares the schema's text with what the migrations make: a finding, or an empty string. */
int schema_compare(struct db *db, char *ret_finding, size_t size, struct hf_error *err);

#endif
