/* SPDX-License-Identifier: Apache-2.0 */
/** Opens stores by URL: the one place that knows every engine. */
#ifndef ENGINE_OPEN_H
#define ENGINE_OPEN_H

#include "engine/options.h"
#include "store/store.h"

/**
 * Opens the store named by `url`:
 *   sqlite:/path/to/store.db     an embedded store in one SQLite file (and its -wal, -shm and -bell);
 *                                ?unsafe-network=1 after it: also on NFS or SMB, for one host alone;
 *                                ?tenant=NAME: the tenant's own store, /path/to/store.db.tenants/NAME.db
 *                                ("default": the file itself); several options are joined by &
 *   memory: | memory:NAME        in memory; handles of one process with the same NAME share it
 *   holdfast://HOST[:PORT]       what a server keeps (remote/remote.h); it is never made
 *   trace+URL                    logs every call of the store below, with its time and result
 *   faulty(SPEC)+URL             fails calls of the store below as SPEC says (decorator/faulty.h)
 * HF_NOENT without STORE_CREATE, HF_NEWER for a later schema, HF_INVAL for a bad URL. The caller owns
 * the store and ends it with store_close().
 */
int store_open(const char *url, unsigned flags, const struct store_create_options *create,
               const struct clock *clock, struct store **ret_store, struct hf_error *err);

/**
 * The URL of the default embedded store, sqlite:$XDG_DATA_HOME/holdfast/store.db. Makes the folder
 * (0700) when `create`. Appends a NUL-terminated string to `ret_url`.
 */
int store_default_url(bool create, struct buf *ret_url, struct hf_error *err);

#endif
