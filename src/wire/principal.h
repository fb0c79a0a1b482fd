/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Who is at the other end, and what it may do: read from its certificate.
 *
 * A certificate says it in a subjectAltName of the type URI:
 *
 *     holdfast:agent?tenant=NAME&session=GLOB&session=GLOB...
 *
 * with the role agent, reader or admin; without `tenant` it is "default"; without `session` every session.
 * Values are percent-encoded; the globs are those of fnmatch(3), as everywhere. A URI that says anything else, or
 * says it twice, gives no rights at all. The host's name is the subject's CN. A certificate without such a URI gets
 * its rights from the server's list (principal_list_load()), for a PKI that cannot put one in.
 *
 * | role   | may |
 * | reader | read the sessions that match, and the shared tree |
 * | agent  | that, and lease, write, create, rename and delete sessions that match; write the shared tree |
 * | admin  | everything in its tenant, for all sessions: break leases, audit trail, snapshots, check, stats |
 *
 * An admin cannot be limited to some sessions.
 */
#ifndef WIRE_PRINCIPAL_H
#define WIRE_PRINCIPAL_H

#include <openssl/x509.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "holdfast/error.h"

enum role { ROLE_NONE = 0, ROLE_READER, ROLE_AGENT, ROLE_ADMIN };

#define PRINCIPAL_TENANT_MAX 63 /**< [a-z0-9][a-z0-9-]* */
#define PRINCIPAL_GLOBS_MAX 64
#define PRINCIPAL_DEFAULT_TENANT "default"

struct principal {
    char name[256];  /**< CN; for messages and for telling hosts apart */
    char serial[65]; /**< hex */
    enum role role;
    char tenant[PRINCIPAL_TENANT_MAX + 1];
    char **globs; /**< owned; none: every session */
    size_t nglobs;
    int64_t expires; /**< of the certificate; seconds since the epoch */
};

struct principal_list;

/** Reads a verified certificate; `list` (may be NULL) is asked when the certificate does not say. HF_ACCESS
 *  with a sentence when nobody says what it may do, or what it says cannot be understood. Ended with
 *  principal_release(). */
int principal_read(X509 *certificate, const struct principal_list *list,
                   struct principal *ret_principal, struct hf_error *err);
void principal_release(struct principal *principal);

/** The URI for a certificate. Appends to `ret_uri` (NUL-terminated). HF_INVAL for a bad tenant or glob. */
int principal_uri(const struct principal *principal, struct buf *ret_uri, struct hf_error *err);

/** Whether the principal may see sessions of this name at all. (The role says what it may do with them.) */
bool principal_matches(const struct principal *principal, const char *session);

/** The server's list: YAML, a mapping from CN to {role, tenant, sessions}, as strict as the URI. HF_CONFIG says in
 *  which line. NULL is fine for the second. */
int principal_list_load(const char *path, struct principal_list **ret_list, struct hf_error *err);
void principal_list_free(struct principal_list *list);

/** "agent" …; ROLE_NONE for another word. */
enum role role_parse(const char *word);
const char *role_name(enum role role);

#endif
