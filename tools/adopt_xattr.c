/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "adopt.h"

#define LIST_MAX 65536
#define VALUE_MAX 65536

/* POSIX ACLs are told by the mode, and labels are given by each filesystem anew. */
static bool is_carried(const char *name)
{
    if (strncmp(name, "user.holdfast.", 14) == 0)
        return false;
    return strncmp(name, "user.", 5) == 0 || strncmp(name, "trusted.", 8) == 0 ||
           strcmp(name, "security.capability") == 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of a NUL-separated list that are carried, sorted; the array is freed by the caller. */
static int sort_names(const char *list, size_t len, const char ***ret_names, size_t *ret_count)
{
    const char **names = calloc(len / 2 + 1, sizeof *names);
    size_t count = 0;

    if (!names)
        return HF_NOMEM;
    for (size_t at = 0; at < len; at += strlen(list + at) + 1)
        if (is_carried(list + at))
            names[count++] = list + at;
    if (count > 1)
        qsort(names, count, sizeof *names, compare);
    *ret_names = names;
    *ret_count = count;
    return 0;
}

/* The xattr calls have no *at form: a link in /proc to the directory stands for it. */
static int path_of(int dirfd, const char *name, char path[512])
{
    return snprintf(path, 512, "/proc/self/fd/%d/%s", dirfd, name) < 512 ? 0 : HF_NAMETOOLONG;
}

int adopt_xattrs(int dirfd, const char *name, adopt_xattr_fn visit, void *arg, struct hf_error *err)
{
    char path[512], *list = malloc(LIST_MAX), *value = malloc(VALUE_MAX);
    const char **names = NULL;
    size_t count = 0;
    ssize_t len = 0;
    int status = list && value ? path_of(dirfd, name, path) : HF_NOMEM;

    if (status) {
        hf_fail(err, status, "cannot read the extended attributes: %s", hf_status_text(status));
        goto out;
    }
    len = llistxattr(path, list, LIST_MAX);
    if (len < 0 && errno != EOPNOTSUPP)
        status = hf_fail(err, hf_status_from_errno(errno),
                         "cannot list the extended attributes: %s", strerror(errno));
    if (len <= 0)
        goto out;
    status = sort_names(list, (size_t)len, &names, &count);
    for (size_t i = 0; i < count && status == 0; i++) {
        ssize_t size = lgetxattr(path, names[i], value, VALUE_MAX);
        if (size < 0)
            status =
                hf_fail(err, hf_status_from_errno(errno),
                        "cannot read the extended attribute %s: %s", names[i], strerror(errno));
        else
            status = visit(names[i], value, (size_t)size, arg);
    }
out:
    free(names);
    free(value);
    free(list);
    return status;
}
