/* SPDX-License-Identifier: Apache-2.0 */
#include "context.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "text.h"

#define PREFIX_MIN 4 /* bytes of a name that may stand for all of it */

int context_store_url(const char *given, bool create, struct buf *ret_url, struct hf_error *err)
{
    if (!given)
        given = getenv("HOLDFAST_STORE");
    if (!given || !*given)
        return store_default_url(create, ret_url, err);
    if (buf_append(ret_url, given, strlen(given) + 1) != 0)
        return hf_fail(err, HF_NOMEM, "out of memory");
    return 0;
}

int context_open_store(const char *given, unsigned flags, struct store **ret_store,
                       struct hf_error *err)
{
    BUF_AUTO url = {0};
    int status = context_store_url(given, (flags & STORE_CREATE) != 0, &url, err);

    if (status)
        return status;
    status = store_open((const char *)url.data, flags, NULL, &clock_system, ret_store, err);
    if (status == HF_NOENT)
        return hf_fail(err, status, "there is no store at %s; 'holdfast mount' makes one",
                       (const char *)url.data);
    return status;
}

/* --- sessions --------------------------------------------------------------------------------- */

/* Collects the sessions that begin with what was typed. */
struct prefix_search {
    const char *prefix;
    size_t found;
    struct context_session session;
    char second[SESSION_NAME_MAX + 1];
};

static int visit_prefix(const struct session_info *info, void *arg)
{
    struct prefix_search *search = arg;

    if (strncmp(info->name, search->prefix, strlen(search->prefix)) != 0)
        return strncmp(info->name, search->prefix, strlen(search->prefix)) > 0;
    if (search->found++ == 0) {
        search->session.head = info->head;
        snprintf(search->session.name, sizeof search->session.name, "%s", info->name);
        return 0;
    }
    snprintf(search->second, sizeof search->second, "%s", info->name);
    return 1;
}

static int find_by_prefix(struct store *store, const char *prefix,
                          struct context_session *ret_session, struct hf_error *err)
{
    struct prefix_search search = {.prefix = prefix};
    char after[SESSION_NAME_MAX + 1];
    struct session_filter filter = {.after = after};
    size_t len = strlen(prefix);
    int status;

    /* The names with this beginning come right after the beginning itself, which is no session. */
    if (len < PREFIX_MIN || len > SESSION_NAME_MAX)
        return hf_fail(err, HF_NOENT, "there is no session '%s'", prefix);
    memcpy(after, prefix, len + 1);
    status = store_session_list(store, &filter, visit_prefix, &search, err);
    if (status < 0)
        return status;
    if (search.found == 0)
        return hf_fail(err, HF_NOENT, "there is no session '%s'", prefix);
    if (search.found > 1)
        return hf_fail(err, HF_INVAL, "'%s' is the beginning of several sessions: '%s', '%s' …",
                       prefix, search.session.name, search.second);
    *ret_session = search.session;
    return 0;
}

int context_find_session(struct store *store, const char *name, struct context_session *ret_session,
                         struct hf_error *err)
{
    struct context_session found;
    int status;

    if (strlen(name) > SESSION_NAME_MAX)
        return hf_fail(err, HF_NOENT, "no session has a name of more than %d bytes",
                       SESSION_NAME_MAX);
    snprintf(found.name, sizeof found.name, "%s", name);
    if (strcmp(name, ".") == 0)
        status = store_session_head(store, SHARED_SID, &found.head, err);
    else if (*name == '\0' || *name == '.' || strchr(name, '/'))
        return hf_fail(err, HF_INVAL, "'%s' is not the name of a session", name);
    else
        status = store_session_find(store, name, &found.head, err);
    if (status == HF_NOENT)
        return find_by_prefix(store, name, ret_session, err);
    if (status == 0)
        *ret_session = found;
    return status;
}

/* Whether it is all digits; a number that is too large is a version that nobody has. */
static bool parse_version(const char *text, uint64_t *ret_version)
{
    if (!*text || text[strspn(text, "0123456789")])
        return false;
    errno = 0;
    *ret_version = strtoull(text, NULL, 10);
    return true;
}

/* --- the trash ---------------------------------------------------------------------------------- */

void context_glob_of(const char *name, char ret_glob[2 * SESSION_NAME_MAX + 1])
{
    char *out = ret_glob;

    for (const char *c = name; *c && c - name < SESSION_NAME_MAX; c++) {
        if (strchr("*?[\\", *c))
            *out++ = '\\';
        *out++ = *c;
    }
    *out = '\0';
}

/* Collects the sessions in the trash that are meant. */
struct trash_search {
    int64_t now;
    size_t found;
    struct context_session session;
    char list[256]; /* "#12 of 3 d ago, #15 of 2 h ago" */
};

static int visit_trashed(const struct session_info *info, void *arg)
{
    struct trash_search *search = arg;
    const size_t len = strlen(search->list);
    char age[TEXT_SHORT];

    if (search->found++ == 0) {
        search->session.head = info->head;
        snprintf(search->session.name, sizeof search->session.name, "%s", info->name);
    }
    snprintf(search->list + len, sizeof search->list - len, "%s#%" PRIu64 " (deleted %s)",
             len ? ", " : "", info->head.sid, text_age(info->trashed, search->now, age));
    return 0;
}

int context_find_trashed(struct store *store, const char *operand,
                         struct context_session *ret_session, struct hf_error *err)
{
    struct trash_search search = {.now = clock_realtime(&clock_system)};
    char glob[2 * SESSION_NAME_MAX + 1];
    struct session_filter filter = {.trashed = true, .name_glob = glob};
    int status;

    context_glob_of(operand, glob);
    status = store_session_list(store, &filter, visit_trashed, &search, err);
    if (status >= 0 && search.found == 0 && *operand == '#' &&
        parse_version(operand + 1, &filter.sid)) {
        filter.name_glob = NULL;
        if (filter.sid > 0)
            status = store_session_list(store, &filter, visit_trashed, &search, err);
    }
    if (status < 0)
        return status;
    if (search.found == 0)
        return hf_fail(err, HF_NOENT, "there is no session '%s' in the trash", operand);
    if (search.found > 1)
        return hf_fail(err, HF_INVAL,
                       "several sessions '%s' are in the trash: %s; name one by its #", operand,
                       search.list);
    *ret_session = search.session;
    return 0;
}

/* --- versions ------------------------------------------------------------------------------------- */

struct version_search {
    int64_t until; /* the first that is not later than this */
    struct session_head found;
};

static int visit_version(const struct history_entry *entry, void *arg)
{
    struct version_search *search = arg;

    if (entry->time > search->until)
        return 0;
    search->found = (struct session_head){.sid = entry->sid,
                                          .version = entry->version,
                                          .root = entry->root,
                                          .time = entry->time,
                                          .bytes = entry->bytes,
                                          .files = entry->files};
    return 1;
}

int context_read_version(struct store *store, const struct context_session *session,
                         uint64_t version, struct session_head *ret_version, struct hf_error *err)
{
    struct version_search search = {.until = INT64_MAX};
    int status;

    if (session->head.version == 0)
        return hf_fail(err, HF_NOENT, "the shared tree is empty yet");
    if (version == 0 || version == session->head.version) {
        *ret_version = session->head;
        return 0;
    }
    status = store_history(store, session->head.sid, version, 1, visit_version, &search, err);
    if (status < 0)
        return status;
    if (search.found.version != version)
        return hf_fail(err, HF_NOENT,
                       "session '%s' has no version %" PRIu64 "; the head is %" PRIu64,
                       session->name, version, session->head.version);
    *ret_version = search.found;
    return 0;
}

int context_read_version_at(struct store *store, const struct context_session *session,
                            int64_t time, struct session_head *ret_version, struct hf_error *err)
{
    struct version_search search = {.until = time};
    int status = store_history(store, session->head.sid, session->head.version, 0, visit_version,
                               &search, err);

    if (status < 0)
        return status;
    if (search.found.version == 0)
        return hf_fail(err, HF_NOENT,
                       "session '%s' has no version that old; see 'holdfast session log %s'",
                       session->name, session->name);
    *ret_version = search.found;
    return 0;
}

int context_find_version(struct store *store, const struct context_session *session,
                         uint64_t version, struct object_id *ret_root, struct hf_error *err)
{
    struct session_head found;
    int status = context_read_version(store, session, version, &found, err);

    if (status == 0)
        *ret_root = found.root;
    return status;
}

/* --- operands --------------------------------------------------------------------------------- */

int context_split_operand(char *operand, char **ret_session, uint64_t *ret_version, char **ret_path,
                          struct hf_error *err)
{
    char *colon = strchr(operand, ':');
    char *path = colon ? colon + 1 : operand + strlen(operand);
    uint64_t version = 0;
    char *at;

    if (colon)
        *colon = '\0';
    at = strrchr(operand, '@');
    if (at && at > operand && parse_version(at + 1, &version)) {
        if (version == 0)
            return hf_fail(err, HF_USAGE, "there is no version 0: they count from 1");
        *at = '\0';
    }
    *ret_session = operand;
    *ret_version = version;
    *ret_path = path;
    return 0;
}
