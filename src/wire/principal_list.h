/* SPDX-License-Identifier: Apache-2.0 */
/** What a server's operator says of hosts whose certificates say nothing. Constant once loaded; thread safe. */
#ifndef WIRE_PRINCIPAL_LIST_H
#define WIRE_PRINCIPAL_LIST_H

#include "wire/principal.h"

/** Fills in role, tenant and globs for the principal's name. HF_ACCESS when the list (which may be NULL) does not
 *  know it. */
int principal_list_ask(const struct principal_list *list, struct principal *principal,
                       struct hf_error *err);

#endif
