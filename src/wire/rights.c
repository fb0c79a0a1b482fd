/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/rights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/types.h"

int rights_check_tenant(const char *tenant, struct hf_error *err)
{
    size_t len = strlen(tenant);

    if (len == 0 || len > PRINCIPAL_TENANT_MAX || tenant[0] == '-' ||
        tenant[strspn(tenant, "abcdefghijklmnopqrstuvwxyz0123456789-")])
        return hf_fail(
            err, HF_INVAL,
            "'%.80s' is no tenant: those are 1 to %d of a-z, 0-9 and '-', and begin with "
            "no '-'",
            tenant, PRINCIPAL_TENANT_MAX);
    return 0;
}

/* A name of a session has no more bytes, and no slash; a glob that has can only be a mistake. */
int rights_check_glob(const char *glob, struct hf_error *err)
{
    size_t len = strlen(glob);

    if (len == 0 || len > SESSION_NAME_MAX || strchr(glob, '/'))
        return hf_fail(
            err, HF_INVAL,
            "'%.80s' is no pattern of session names: those have 1 to %d bytes and no '/'", glob,
            SESSION_NAME_MAX);
    return 0;
}

int rights_check(const struct principal *principal, struct hf_error *err)
{
    if (principal->role == ROLE_NONE)
        return hf_fail(err, HF_INVAL, "there is no role: agent, reader or admin");
    if (principal->role == ROLE_ADMIN && principal->nglobs > 0)
        return hf_fail(err, HF_INVAL, "an admin cannot be limited to some sessions");
    return 0;
}

int rights_add_glob(struct principal *principal, const char *glob, struct hf_error *err)
{
    char **globs;
    int status = rights_check_glob(glob, err);

    if (status)
        return status;
    if (principal->nglobs >= PRINCIPAL_GLOBS_MAX)
        return hf_fail(err, HF_INVAL, "there are more than %d patterns of session names",
                       PRINCIPAL_GLOBS_MAX);
    globs = reallocarray(principal->globs, principal->nglobs + 1, sizeof *globs);
    if (globs)
        principal->globs = globs;
    if (!globs || !(globs[principal->nglobs] = strdup(glob)))
        return hf_fail(err, HF_NOMEM, "out of memory");
    principal->nglobs++;
    return 0;
}

void rights_set_tenant(struct principal *principal, const char *tenant)
{
    snprintf(principal->tenant, sizeof principal->tenant, "%s", tenant);
}

/* Names are for logs and messages: nothing in them may look like something else. */
bool rights_is_name(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            return false;
    return len > 0;
}
