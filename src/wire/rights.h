/* SPDX-License-Identifier: Apache-2.0 */
/** What the rights of a principal may be, whether a certificate or the server's list says them. */
#ifndef WIRE_RIGHTS_H
#define WIRE_RIGHTS_H

#include "wire/principal.h"

/** HF_INVAL with a sentence for what is no tenant. */
int rights_check_tenant(const char *tenant, struct hf_error *err);
/** HF_INVAL for what can be no pattern of session names. */
int rights_check_glob(const char *glob, struct hf_error *err);
/** Whether role and patterns go together. HF_INVAL. */
int rights_check(const struct principal *principal, struct hf_error *err);
/** Adds a copy of a pattern. HF_INVAL, HF_NOMEM. */
int rights_add_glob(struct principal *principal, const char *glob, struct hf_error *err);
/** Sets a tenant that was checked. */
void rights_set_tenant(struct principal *principal, const char *tenant);
/** Whether the bytes can be a host's name: they go to logs and messages, and look like nothing else there. */
bool rights_is_name(const char *text, size_t len);

#endif
