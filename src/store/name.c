/* SPDX-License-Identifier: Apache-2.0 */
#include "store/name.h"

#include <string.h>

#include "store/types.h"

static int check(const char *what, const char *name, struct hf_error *err)
{
    size_t len = strnlen(name, SESSION_NAME_MAX + 1);

    if (len == 0)
        return hf_fail(err, HF_INVAL, "the name of a %s must not be empty", what);
    if (len > SESSION_NAME_MAX)
        return hf_fail(err, HF_NAMETOOLONG, "the name of a %s must not be longer than %d bytes",
                       what, SESSION_NAME_MAX);
    if (strchr(name, '/'))
        return hf_fail(err, HF_INVAL, "the name of a %s must not contain '/': %s", what, name);
    return HF_OK;
}

int session_name_check(const char *name, struct hf_error *err)
{
    int rc = check("session", name, err);

    if (rc == HF_OK && name[0] == '.')
        rc = hf_fail(err, HF_INVAL, "the name of a session must not begin with '.': %s", name);
    return rc;
}

int snapshot_name_check(const char *name, struct hf_error *err)
{
    int rc = check("snapshot", name, err);

    if (rc == HF_OK && (strcmp(name, ".") == 0 || strcmp(name, "..") == 0))
        rc = hf_fail(err, HF_INVAL, "\"%s\" cannot be the name of a snapshot", name);
    return rc;
}

int setting_name_check(const char *name, struct hf_error *err)
{
    return check("setting", name, err);
}
