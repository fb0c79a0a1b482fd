/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Finds what looks like a credential in a stream of bytes, and may leave it out: tokens of known services,
 * private keys, authorization headers, passwords in URLs and assignments. By what they look like alone: what
 * it finds may be harmless, and what it does not find may be secret.
 */
#ifndef TOOLS_SECRETS_H
#define TOOLS_SECRETS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"

/** What a credential is replaced by. */
#define SECRETS_REDACTED "[redacted]"
/** No longer one is recognised. */
#define SECRETS_MAX 16384

/** Told of each: what it looks like ("a GitHub token") and at which byte of the stream it begins. */
typedef void (*secrets_visit_fn)(const char *kind, uint64_t offset, void *arg);

/** One stream. All zero but `visit` and `redact` is a valid new one. */
struct secrets {
    secrets_visit_fn visit; /**< or NULL */
    void *arg;
    bool redact;
    struct buf pending; /**< what was not decided yet */
    uint64_t offset;    /**< of it in the stream */
    size_t known;       /**< bytes of `pending` that stand before it: already passed on */
};

/** Takes the next bytes and appends to `out` (may be NULL) what is decided: the same bytes, or with `redact` what
 *  stays of them. `last`: the stream ends here. Returns 0 or HF_NOMEM. */
int secrets_pass(struct secrets *secrets, struct slice bytes, bool last, struct buf *out);
void secrets_free(struct secrets *secrets);

#endif
