/* SPDX-License-Identifier: Apache-2.0 */
/** What most commands begin with: the store, and the session or version that an operand names. */
#ifndef TOOLS_CONTEXT_H
#define TOOLS_CONTEXT_H

#include "base/buf.h"
#include "engine/open.h"
#include "store/store.h"

/** The URL that counts: `given` (from --store) if not NULL, else $HOLDFAST_STORE, else the embedded
 *  default. Appends a NUL-terminated string. */
int context_store_url(const char *given, bool create, struct buf *ret_url, struct hf_error *err);

/** Opens that store; `flags` are those of store_open(). The sentence names the store and says what to do. */
int context_open_store(const char *given, unsigned flags, struct store **ret_store,
                       struct hf_error *err);

/** A session that an operand named. */
struct context_session {
    struct session_head head;
    char name[SESSION_NAME_MAX + 1]; /**< "." for the shared tree */
};

/** Finds a live session by its name, or by a beginning of it that only one has (four bytes at least). "."
 *  is the shared tree. HF_NOENT, or HF_INVAL when several begin so. */
int context_find_session(struct store *store, const char *name, struct context_session *ret_session,
                         struct hf_error *err);

/** Finds a session in the trash by "#ID" or by the name that it had. HF_NOENT, or HF_INVAL when several had it, with a
 *  sentence that lists them. */
int context_find_trashed(struct store *store, const char *operand,
                         struct context_session *ret_session, struct hf_error *err);
/** The fnmatch(3) pattern that matches only this name. */
void context_glob_of(const char *name, char ret_glob[2 * SESSION_NAME_MAX + 1]);

/** The root of one kept version of a session; `version` 0 is the head. HF_NOENT. */
int context_find_version(struct store *store, const struct context_session *session,
                         uint64_t version, struct object_id *ret_root, struct hf_error *err);

/** One kept version of a session, or (`version` 0) its head. HF_NOENT. */
int context_read_version(struct store *store, const struct context_session *session,
                         uint64_t version, struct session_head *ret_version, struct hf_error *err);
/** The version that was the latest at a time (ns since the epoch). HF_NOENT when none that old is kept. */
int context_read_version_at(struct store *store, const struct context_session *session,
                            int64_t time, struct session_head *ret_version, struct hf_error *err);

/** Splits "SESSION[@VERSION][:PATH]" in place. No version: 0. No path: "". An '@' that no number follows is
 *  a part of the name. HF_USAGE. */
int context_split_operand(char *operand, char **ret_session, uint64_t *ret_version, char **ret_path,
                          struct hf_error *err);

#endif
