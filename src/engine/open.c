/* SPDX-License-Identifier: Apache-2.0 */
#include "engine/open.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/decorator/faulty.h"
#include "engine/decorator/trace.h"
#include "engine/memory/memory.h"
#include "engine/remote/remote.h"
#include "engine/sqlite/sqlite.h"

#define URL_MAX_SIZE 1024
#define SPEC_MAX_SIZE 256

struct request {
    unsigned flags;
    const struct store_create_options *create;
    const struct clock *clock;
};

static int open_url(const char *url, const struct request *request, struct store **ret_store,
                    struct hf_error *err);

/* The part of `url` after `prefix`, or NULL when it does not begin with it. */
static const char *after(const char *url, const char *prefix)
{
    size_t len = strlen(prefix);

    return strncmp(url, prefix, len) == 0 ? url + len : NULL;
}

static int open_sqlite(const char *path, const struct request *request, struct store **ret_store,
                       struct hf_error *err)
{
    if (path[0] == '\0')
        return hf_fail(err, HF_INVAL, "the URL \"sqlite:\" lacks the path of the store file");
    return sqlite_store_open(path, request->flags, request->create, request->clock, ret_store, err);
}

static int open_trace(const char *below_url, const struct request *request,
                      struct store **ret_store, struct hf_error *err)
{
    struct store *below = NULL;
    int rc = open_url(below_url, request, &below, err);

    if (rc != HF_OK)
        return rc;
    rc = trace_store_new(below, request->clock, STDERR_FILENO, ret_store, err);
    if (rc != HF_OK)
        store_close(below);
    return rc;
}

/* `rest` is what follows "faulty(": SPEC)+URL */
static int open_faulty(const char *rest, const struct request *request, struct store **ret_store,
                       struct hf_error *err)
{
    const char *end = strstr(rest, ")+");
    char spec[SPEC_MAX_SIZE];
    struct store *below = NULL;
    int rc;

    if (!end || (size_t)(end - rest) >= sizeof spec)
        return hf_fail(err, HF_INVAL, "a faulty store is named faulty(SPEC)+URL");
    memcpy(spec, rest, (size_t)(end - rest));
    spec[end - rest] = '\0';
    rc = open_url(end + 2, request, &below, err);
    if (rc != HF_OK)
        return rc;
    rc = faulty_store_new(below, spec, ret_store, err);
    if (rc != HF_OK)
        store_close(below);
    return rc;
}

static int open_url(const char *url, const struct request *request, struct store **ret_store,
                    struct hf_error *err)
{
    const char *rest;

    if ((rest = after(url, "sqlite:")))
        return open_sqlite(rest, request, ret_store, err);
    if ((rest = after(url, "memory:")))
        return memory_store_open(rest, request->flags, request->create, request->clock, ret_store,
                                 err);
    if ((rest = after(url, "trace+")))
        return open_trace(rest, request, ret_store, err);
    if ((rest = after(url, "faulty(")))
        return open_faulty(rest, request, ret_store, err);
    if ((rest = after(url, "holdfast://")))
        return remote_store_open(rest, request->flags, request->clock, ret_store, err);
    if (after(url, "postgresql://"))
        return hf_fail(err, HF_UNSUPPORTED, "this build cannot open stores like %s", url);
    return hf_fail(err, HF_INVAL,
                   "not the URL of a store: \"%s\" (one looks like sqlite:/path/to/store.db)", url);
}

int store_open(const char *url, unsigned flags, const struct store_create_options *create,
               const struct clock *clock, struct store **ret_store, struct hf_error *err)
{
    static const struct store_create_options defaults;
    struct store_create_options options;
    struct request request;

    assert(url && ret_store);
    if (strlen(url) >= URL_MAX_SIZE)
        return hf_fail(err, HF_NAMETOOLONG, "the URL of a store must be shorter than %d bytes",
                       URL_MAX_SIZE);
    options = create ? *create : defaults;
    if (options.chunker.max == 0 && options.chunker.avg == 0 && options.chunker.min == 0)
        options.chunker = CHUNKER_DEFAULT;
    if (chunker_params_check(&options.chunker) != HF_OK)
        return hf_fail(err, HF_INVAL,
                       "the store's chunk sizes must be 64 <= min <= avg <= max <= "
                       "64 KiB, the average a power of two");
    request = (struct request){flags, &options, clock ? clock : &clock_system};
    return open_url(url, &request, ret_store, err);
}

/* --- the default store ---------------------------------------------------------------------------- */

/* Makes `path` and the folders above it, each 0700. `path` is written to meanwhile. */
static int make_folders(char *path, struct hf_error *err)
{
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash)
            *slash = '\0';
        if (mkdir(path, 0700) != 0 && errno != EEXIST)
            return hf_fail(err, hf_status_from_errno(errno), "cannot make the directory %s: %s",
                           path, strerror(errno));
        if (!slash)
            return HF_OK;
        *slash = '/';
    }
}

/* Writes the folder that XDG prescribes for data: its variable counts only when it is absolute. */
static int data_folder(char *ret_path, size_t size, struct hf_error *err)
{
    const char *data = getenv("XDG_DATA_HOME");
    const char *home = getenv("HOME");
    int n;

    if (data && data[0] == '/')
        n = snprintf(ret_path, size, "%s/holdfast", data);
    else if (home && home[0] == '/')
        n = snprintf(ret_path, size, "%s/.local/share/holdfast", home);
    else
        return hf_fail(err, HF_CONFIG,
                       "no place for the default store: neither XDG_DATA_HOME nor HOME is set");
    if (n < 0 || (size_t)n >= size)
        return hf_fail(err, HF_NAMETOOLONG, "the path of the default store is too long");
    return HF_OK;
}

int store_default_url(bool create, struct buf *ret_url, struct hf_error *err)
{
    char folder[URL_MAX_SIZE - sizeof "sqlite:/store.db"];
    char url[URL_MAX_SIZE];
    int rc = data_folder(folder, sizeof folder, err);

    if (rc == HF_OK && create)
        rc = make_folders(folder, err);
    if (rc != HF_OK)
        return rc;
    snprintf(url, sizeof url, "sqlite:%s/store.db", folder);
    rc = buf_append(ret_url, url, strlen(url) + 1);
    return rc == HF_OK ? rc : hf_fail(err, rc, "out of memory");
}
