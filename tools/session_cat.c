/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast session cat`. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>

#include "command.h"
#include "context.h"
#include "grid.h"
#include "text.h"
#include "tree/view.h"

#define CACHE_BYTES ((size_t)16 << 20)
#define READ_BYTES ((size_t)256 << 10)

struct cat_options {
    const char *store;
};

static const struct option_spec specs[] = {OPTION_STORE(struct cat_options, store), {0}};

static int run(int argc, char **argv);

const struct command command_session_cat = {
    .name = "session cat",
    .group = COMMAND_SESSION,
    .summary = "Print a file of any version of a session",
    .operands = "SESSION[@VERSION]:PATH",
    .details = "Of a directory, lists the entries; of a symbolic link, prints the target.\n"
               "An empty PATH is the top of the session. The session '.' is the shared tree.",
    .options = specs,
    .min_operands = 1,
    .max_operands = 1,
    .run = run,
};

static int print_file(struct view *view, const struct view_node *file, struct hf_error *err)
{
    uint8_t *data = malloc(READ_BYTES);
    uint64_t offset = 0;
    size_t len = 0;
    int status = 0;

    if (!data)
        return hf_fail(err, HF_NOMEM, "out of memory");
    do {
        status = view_read(view, file, offset, READ_BYTES, data, &len, err);
        if (status == 0 && fwrite(data, 1, len, stdout) != len)
            status = hf_fail(err, HF_IO, "cannot write the output: %s", strerror(errno));
        offset += len;
    } while (status == 0 && len > 0);
    free(data);
    return status;
}

static int add_entry(struct slice name, const struct inode_record *record, void *arg)
{
    struct grid *grid = arg;
    char text[TEXT_SHORT], shown[NODE_NAME_MAX + 2];

    grid_add(grid, text_mode(record->mode, text));
    grid_add(grid, S_ISREG(record->mode) ? text_size(record->size, text) : "");
    grid_add(grid, text_time(record->mtime, text));
    snprintf(shown, sizeof shown, "%.*s%s", (int)name.len, (const char *)name.data,
             S_ISDIR(record->mode) ? "/" : "");
    grid_add(grid, shown);
    return 0;
}

static int print_directory(struct view *view, const struct view_node *dir, struct hf_error *err)
{
    static const struct grid_column columns[] = {{"MODE", false, false, 3},
                                                 {"SIZE", true, false, 2},
                                                 {"CHANGED", false, false, 1},
                                                 {"NAME", false, false, 0}};
    struct grid *grid = grid_new(columns, sizeof columns / sizeof columns[0]);
    int status;

    if (!grid)
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = view_list(view, dir, add_entry, grid, err);
    if (status == 0 && grid_print(grid, stdout, 0) != 0)
        status = hf_fail(err, HF_NOMEM, "out of memory");
    grid_free(grid);
    return status;
}

static int print_node(struct view *view, const struct view_node *node, const char *path,
                      struct hf_error *err)
{
    int status;

    switch (node->record.mode & S_IFMT) {
    case S_IFDIR:
        return print_directory(view, node, err);
    case S_IFREG:
        return print_file(view, node, err);
    case S_IFLNK:
        status = print_file(view, node, err);
        putchar('\n');
        return status;
    default:
        return hf_fail(err, HF_INVAL, "'%s' is no file and no directory: it has no content", path);
    }
}

static int cat(struct store *store, const struct object_id *root, const char *path,
               struct hf_error *err)
{
    struct blob_cache *cache = blob_cache_new(store, CACHE_BYTES);
    struct view_node node = {0};
    struct view *view = NULL;
    int status;

    if (!cache)
        return hf_fail(err, HF_NOMEM, "out of memory");
    status = view_open(cache, root, &view, err);
    if (status == 0)
        status = view_lookup(view, path, &node, err);
    if (status == 0)
        status = print_node(view, &node, path, err);
    view_node_clear(&node);
    view_free(view);
    blob_cache_free(cache);
    return status;
}

static int run(int argc, char **argv)
{
    struct cat_options options = {0};
    struct context_session session;
    struct store *store = NULL;
    struct object_id root;
    struct hf_error err;
    char *name, *path;
    uint64_t version;
    int exit_code, status;

    if (!options_parse(&command_session_cat, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_split_operand(argv[0], &name, &version, &path, &err);
    if (status == 0)
        status = context_open_store(options.store, STORE_READ_ONLY, &store, &err);
    if (status == 0)
        status = context_find_session(store, name, &session, &err);
    if (status == 0)
        status = context_find_version(store, &session, version, &root, &err);
    if (status == 0) {
        status = cat(store, &root, path, &err);
        if (status)
            hf_fail_prefix(&err, status, "%s", session.name);
    }
    store_close(store);
    return status ? command_fail(&err) : EX_OK;
}
