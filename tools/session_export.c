/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session export`. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "archive_out.h"
#include "client_version.h"
#include "command.h"
#include "context.h"
#include "json.h"
#include "text.h"

#define CACHE_BYTES ((size_t)32 << 20)
/* So many credentials are named; of the rest only the number is told. */
#define NAMED_MAX 20

struct export_options {
    const char *store, *output;
    bool redact, force, json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct export_options, store),
    {"output", 'o', OPTION_STRING, offsetof(struct export_options, output), "FILE",
     "the archive to write (default: SESSION.tar.zst here;\n'-': standard output)"},
    {"redact", 0, OPTION_FLAG, offsetof(struct export_options, redact), NULL,
     "leave out what looks like a credential"},
    {"force", 'f', OPTION_FLAG, offsetof(struct export_options, force), NULL,
     "write over an archive that is there"},
    {"json", 0, OPTION_FLAG, offsetof(struct export_options, json), NULL, "print JSON"},
    {0}};

static int run(int argc, char **argv);

const struct command command_session_export = {
    .name = "session export",
    .group = COMMAND_SESSION,
    .summary = "Write a session to an archive",
    .operands = "SESSION[@VERSION]",
    .details = "The archive is a tar file, compressed with zstd, whose manifest.json lists every\n"
               "file with its SHA-256; 'holdfast session import' makes a session of it again, in\n"
               "any store. What looks like a token, a key or a password is told on standard error.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

/* One export. */
struct exporting {
    const struct export_options *options;
    struct context_session session;
    struct archive_out out;
    char *path; /* NULL: standard output */
    char *temporary;
};

static void tell(const char *kind, const char *path, uint64_t offset, void *arg)
{
    struct exporting *exporting = arg;

    if (!kind)
        text_line(stderr, "holdfast: %s is no file, directory or link, and is left out", path);
    else if (exporting->out.secrets <= NAMED_MAX)
        text_line(stderr, "holdfast: %s, byte %" PRIu64 ": looks like %s%s", path, offset, kind,
                  exporting->options->redact ? "; left out" : "");
}

static void tell_sum(const struct exporting *exporting)
{
    uint64_t secrets = exporting->out.secrets;

    if (secrets > NAMED_MAX)
        fprintf(stderr, "holdfast: and %" PRIu64 " more\n", secrets - NAMED_MAX);
    if (secrets > 0 && !exporting->options->redact)
        fprintf(stderr, "holdfast: the archive holds what looks like credentials; --redact leaves "
                        "them out\n");
}

/* --- the file ------------------------------------------------------------------------------------------ */

static int name_file(struct exporting *exporting, struct hf_error *err)
{
    const char *output = exporting->options->output;
    int len;

    if (output && strcmp(output, "-") == 0) {
        if (exporting->options->json)
            return hf_fail(err, HF_USAGE,
                           "--json and the archive cannot both go to standard output");
        if (isatty(STDOUT_FILENO))
            return hf_fail(err, HF_USAGE,
                           "an archive is not for a terminal: name a file with --output");
        return HF_OK;
    }
    len = output ? asprintf(&exporting->path, "%s", output)
                 : asprintf(&exporting->path, "%s.tar.zst", exporting->session.name);
    if (len < 0 || asprintf(&exporting->temporary, "%s.XXXXXX", exporting->path) < 0)
        return hf_fail(err, HF_NOMEM, "out of memory");
    if (!exporting->options->force && access(exporting->path, F_OK) == 0)
        return hf_fail(err, HF_EXIST, "%s is there already; --force writes over it",
                       exporting->path);
    return HF_OK;
}

static int write_file(struct exporting *exporting, struct hf_error *err)
{
    int fd, rc;

    if (!exporting->path)
        return archive_out_write(&exporting->out, STDOUT_FILENO, err);
    fd = mkstemp(exporting->temporary);
    if (fd < 0)
        return hf_fail(err, hf_status_from_errno(errno), "cannot make %s: %s", exporting->temporary,
                       strerror(errno));
    rc = archive_out_write(&exporting->out, fd, err);
    if (rc == HF_OK && fsync(fd) != 0)
        rc = hf_fail(err, hf_status_from_errno(errno), "cannot write %s: %s", exporting->temporary,
                     strerror(errno));
    close(fd);
    if (rc == HF_OK && rename(exporting->temporary, exporting->path) != 0)
        rc = hf_fail(err, hf_status_from_errno(errno), "cannot rename %s to %s: %s",
                     exporting->temporary, exporting->path, strerror(errno));
    if (rc != HF_OK)
        unlink(exporting->temporary);
    return rc;
}

/* --- what is exported ----------------------------------------------------------------------------------- */

static int version_time(const struct history_entry *entry, void *arg)
{
    struct manifest *manifest = arg;

    manifest->version = entry->version;
    manifest->time = entry->time;
    return HF_OK;
}

static int describe(struct exporting *exporting, struct store *store, uint64_t version,
                    const struct object_id *root, struct hf_error *err)
{
    struct manifest *manifest = &exporting->out.manifest;
    char hex[OBJECT_ID_HEX_SIZE];

    object_id_hex(root, hex);
    manifest->session = strdup(exporting->session.name);
    manifest->root = strdup(hex);
    manifest->producer = strdup("holdfast " HOLDFAST_VERSION);
    if (!manifest->session || !manifest->root || !manifest->producer)
        return hf_fail(err, HF_NOMEM, "out of memory");
    manifest->client_version = client_version_of(exporting->out.view);
    return store_history(store, exporting->session.head.sid,
                         version ? version : exporting->session.head.version, 1, version_time,
                         manifest, err);
}

static int print_done(const struct exporting *exporting)
{
    const struct manifest *manifest = &exporting->out.manifest;
    char size[TEXT_SHORT];
    json_t *object;

    if (!exporting->options->json) {
        if (exporting->path)
            text_line(stdout, "%s: version %" PRIu64 " of %s, %zu files, %s", exporting->path,
                      manifest->version, manifest->session, manifest->count,
                      text_size(manifest->bytes, size));
        return HF_OK;
    }
    object = json_object();
    json_set_name(object, "archive", exporting->path);
    json_set_name(object, "session", manifest->session);
    json_object_set_new(object, "version", json_u64(manifest->version));
    json_object_set_new(object, "files", json_u64(manifest->count));
    json_object_set_new(object, "bytes", json_u64(manifest->bytes));
    json_object_set_new(object, "credentials", json_u64(exporting->out.secrets));
    json_object_set_new(object, "redacted", json_u64(manifest->redacted));
    json_object_set_new(object, "skipped", json_u64(exporting->out.skipped));
    return json_print(object);
}

static int export_root(struct exporting *exporting, struct store *store, uint64_t version,
                       const struct object_id *root, struct hf_error *err)
{
    struct blob_cache *cache = blob_cache_new(store, CACHE_BYTES);
    int rc;

    if (!cache)
        return hf_fail(err, HF_NOMEM, "out of memory");
    rc = view_open(cache, root, &exporting->out.view, err);
    if (rc == HF_OK)
        rc = describe(exporting, store, version, root, err);
    if (rc == HF_OK)
        rc = archive_out_survey(&exporting->out, err);
    if (rc == HF_OK)
        rc = write_file(exporting, err);
    view_free(exporting->out.view);
    blob_cache_free(cache);
    return rc;
}

static int run(int argc, char **argv)
{
    struct export_options options = {0};
    struct exporting exporting = {.options = &options};
    struct store *store = NULL;
    struct object_id root;
    struct hf_error err;
    char *name, *path;
    uint64_t version;
    int exit_code, status;

    if (!options_parse(&command_session_export, &argc, &argv, &options, &exit_code))
        return exit_code;
    setlocale(LC_CTYPE, "C.UTF-8"); /* names in an archive are UTF-8, whatever the terminal's are */
    exporting.out.redact = options.redact;
    exporting.out.found = tell;
    exporting.out.arg = &exporting;
    status = context_split_operand(argv[0], &name, &version, &path, &err);
    if (status == 0 && *path)
        status = hf_fail(&err, HF_USAGE, "a session is exported whole: leave out ':%s'", path);
    if (status == 0)
        status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status == 0)
        status = context_find_session(store, name, &exporting.session, &err);
    if (status == 0 && exporting.session.head.sid == SHARED_SID)
        status = hf_fail(&err, HF_USAGE, "the shared tree is no session, and is not exported");
    if (status == 0)
        status = context_find_version(store, &exporting.session, version, &root, &err);
    if (status == 0)
        status = name_file(&exporting, &err);
    if (status == 0)
        status = export_root(&exporting, store, version, &root, &err);
    if (status == 0) {
        tell_sum(&exporting);
        status = print_done(&exporting);
    }
    manifest_free(&exporting.out.manifest);
    free(exporting.path);
    free(exporting.temporary);
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
