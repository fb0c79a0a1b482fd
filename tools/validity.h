/* SPDX-License-Identifier: Apache-2.0 */
/** How long a certificate is valid. */
#ifndef TOOLS_VALIDITY_H
#define TOOLS_VALIDITY_H

#include <stdint.h>

#include "holdfast/error.h"

/** A certificate is valid from so many seconds before it is made: clocks differ. */
#define VALIDITY_LEEWAY 300

/** The end of so many days, but not after that of the CA. Seconds since the epoch. HF_USAGE for none or for more
 *  than a hundred years. */
int validity_end(int64_t now, uint64_t days, int64_t ca_end, int64_t *ret_end,
                 struct hf_error *err);

#endif
