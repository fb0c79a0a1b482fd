/* SPDX-License-Identifier: Apache-2.0 */
#include "validity.h"

#define DAY 86400
#define DAYS_MAX 36500

int validity_end(int64_t now, uint64_t days, int64_t ca_end, int64_t *ret_end, struct hf_error *err)
{
    int64_t end;

    if (days == 0 || days > DAYS_MAX)
        return hf_fail(err, HF_USAGE, "a certificate is valid for 1 to %d days", DAYS_MAX);
    end = now + (int64_t)days * DAY;
    *ret_end = end < ca_end ? end : ca_end;
    return 0;
}
