/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast top`: what goes on in a store just now. */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "command.h"
#include "context.h"
#include "grid.h"
#include "json.h"
#include "lease_text.h"
#include "text.h"

#define NS_PER_SECOND 1000000000LL
#define DEFAULT_INTERVAL_MS 2000
/* Counting what a large store holds takes a while: so many times as long it rests. */
#define REST 10
#define HEADER_LINES 9

struct top_options {
    const char *store;
    uint32_t interval_ms;
    uint64_t count;
    bool json;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct top_options, store),
    {"interval", 'i', OPTION_DURATION, offsetof(struct top_options, interval_ms), "TIME",
     "between two looks (default: 2s)"},
    {"count", 'n', OPTION_NUMBER, offsetof(struct top_options, count), "NUMBER",
     "end after so many (default: with Ctrl-C)"},
    {"json", 0, OPTION_FLAG, offsetof(struct top_options, json), NULL,
     "print a JSON object a look"},
    {0}};

static int run(int argc, char **argv);

const struct command command_top = {
    .name = "top",
    .group = COMMAND_STORE,
    .summary = "Show what goes on in a store, as it happens",
    .details = "Commits, bytes and hits are those of the process that serves the store: the\n"
               "server's, or of an embedded store this program's own, which does nothing. The\n"
               "sessions that are leased or change come first.",
    .options = specs,
    .max_operands = 0,
    .run = run,
};

/* A session that is leased, or has changed. */
struct busy_session {
    uint64_t sid, version;
    uint64_t before;  /* its version at the last look; 0: it was not there */
    uint64_t waiting; /* hosts */
    char name[SESSION_NAME_MAX + 1];
    char state[16], holder[256], pinned[256];
    int64_t since;
};

struct busy_list {
    struct busy_session *items;
    size_t count, cap;
};

/* One look at the store. */
struct look {
    int64_t time; /* CLOCK_BOOTTIME, ns */
    struct store_stats stats;
    struct busy_list sessions;
};

struct top {
    const struct top_options *options;
    struct store *store;
    struct look now, before;
    int64_t changed_since; /* by the store's clock */
};

/* --- looking --------------------------------------------------------------------------------------------- */

static struct busy_session *busy_of(struct busy_list *list, uint64_t sid)
{
    struct busy_session *items;

    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].sid == sid)
            return &list->items[i];
    if (list->count == list->cap) {
        size_t cap = list->cap ? 2 * list->cap : 64;

        items = reallocarray(list->items, cap, sizeof *items);
        if (!items)
            return NULL;
        list->items = items;
        list->cap = cap;
    }
    list->items[list->count] = (struct busy_session){.sid = sid};
    return &list->items[list->count++];
}

static int add_lease(const struct lease_info *info, void *arg)
{
    struct look *look = arg;
    struct busy_session *busy = busy_of(&look->sessions, info->sid);

    if (!busy)
        return HF_NOMEM;
    snprintf(busy->name, sizeof busy->name, "%s", info->session_name);
    snprintf(busy->state, sizeof busy->state, "%s", lease_state_text(info));
    snprintf(busy->pinned, sizeof busy->pinned, "%s", info->pinned_by ? info->pinned_by : "");
    lease_holder_text(info, busy->holder, sizeof busy->holder);
    busy->since = info->since;
    busy->waiting = info->nwaiting;
    return HF_OK;
}

static int add_session(const struct session_info *info, void *arg)
{
    struct top *top = arg;
    struct busy_session *busy = busy_of(&top->now.sessions, info->head.sid);

    if (!busy)
        return HF_NOMEM;
    snprintf(busy->name, sizeof busy->name, "%s", info->name);
    busy->version = info->head.version;
    if (info->head.time > top->changed_since)
        top->changed_since = info->head.time;
    return HF_OK;
}

static void compare(struct top *top)
{
    for (size_t i = 0; i < top->now.sessions.count; i++) {
        struct busy_session *busy = &top->now.sessions.items[i];

        busy->before = busy->version;
        for (size_t j = 0; j < top->before.sessions.count; j++)
            if (top->before.sessions.items[j].sid == busy->sid &&
                top->before.sessions.items[j].version != 0)
                busy->before = top->before.sessions.items[j].version;
    }
}

static uint64_t commits_of(const struct busy_session *busy)
{
    return busy->version > busy->before ? busy->version - busy->before : 0;
}

static int by_commits(const void *a, const void *b)
{
    const struct busy_session *x = a, *y = b;

    if (commits_of(x) != commits_of(y))
        return commits_of(x) < commits_of(y) ? 1 : -1;
    return strcmp(x->name, y->name);
}

/* The versions of leased sessions that have not changed for long are asked for one by one. */
static int fill_versions(struct top *top, struct hf_error *err)
{
    struct busy_list *list = &top->now.sessions;
    struct session_head head;
    int status = 0;

    for (size_t i = 0; i < list->count && status == 0; i++) {
        if (list->items[i].version != 0)
            continue;
        status = store_session_head(top->store, list->items[i].sid, &head, err);
        if (status == 0)
            list->items[i].version = head.version;
        if (status == HF_NOENT) /* deleted meanwhile */
            status = 0;
    }
    return status;
}

static int take_look(struct top *top, struct hf_error *err)
{
    const struct session_filter filter = {.changed_since = top->changed_since};
    int status;

    free(top->before.sessions.items);
    top->before = top->now;
    top->now = (struct look){0};
    status = store_stats(top->store, &top->now.stats, err);
    top->now.time = clock_boottime(&clock_system);
    if (status == 0)
        status = store_lease_list(top->store, add_lease, &top->now, err);
    if (status == 0)
        status = store_session_list(top->store, &filter, add_session, top, err);
    if (status == 0)
        status = fill_versions(top, err);
    if (status == HF_NOMEM)
        return hf_fail(err, status, "out of memory");
    compare(top);
    if (top->now.sessions.count > 0)
        qsort(top->now.sessions.items, top->now.sessions.count, sizeof *top->now.sessions.items,
              by_commits);
    return status;
}

/* --- rates ----------------------------------------------------------------------------------------------- */

/* Of something that only grows; a process that was started anew begins at 0. */
static double rate(const struct top *top, uint64_t now, uint64_t before)
{
    double seconds = (double)(top->now.time - top->before.time) / (double)NS_PER_SECOND;

    if (top->before.time == 0 || now < before || seconds <= 0)
        return 0;
    return (double)(now - before) / seconds;
}

#define RATE(top, member) rate(top, (top)->now.stats.member, (top)->before.stats.member)

/* Hits of all, 0 to 100; negative: there were none of either. */
static double hit_rate(double hits, double misses)
{
    return hits + misses > 0 ? 100 * hits / (hits + misses) : -1;
}

/* --- printing -------------------------------------------------------------------------------------------- */

static const char *percent(double value, char text[TEXT_SHORT])
{
    if (value < 0)
        snprintf(text, TEXT_SHORT, "-");
    else
        snprintf(text, TEXT_SHORT, "%.0f %%", value);
    return text;
}

static void print_header(const struct top *top)
{
    const struct store_stats *stats = &top->now.stats;
    char a[TEXT_SHORT], b[TEXT_SHORT];

    printf("%s, %s\n", store_info(top->store)->location,
           text_time(clock_realtime(&clock_system), a));
    printf("Sessions  %10" PRIu64 "   in the trash %" PRIu64 ", versions %" PRIu64 "\n",
           stats->sessions, stats->trashed, stats->versions);
    printf("On disk   %10s   packed %s\n", text_size(stats->file_bytes, a),
           text_size(stats->stored_bytes, b));
    printf("Commits   %10.1f /s   transactions %.1f /s, syncs %.1f /s\n", RATE(top, commits),
           RATE(top, activity.transactions), RATE(top, activity.syncs));
    printf("Written   %10s/s  read %s/s\n", text_size((uint64_t)RATE(top, activity.put_bytes), a),
           text_size((uint64_t)RATE(top, activity.got_bytes), b));
    printf("Hits      %10s   of references, %s of contents to pack against\n",
           percent(hit_rate(RATE(top, activity.known_hits), RATE(top, activity.known_misses)), a),
           percent(hit_rate(RATE(top, activity.base_hits), RATE(top, activity.base_misses)), b));
    printf("Leases    %10" PRIu64 "   hosts that wait %" PRIu64 ", connections %" PRIu64
           ", requests %.0f /s\n\n",
           stats->leases, stats->waiting, stats->connections, RATE(top, activity.requests));
}

static void add_row(struct grid *grid, const struct top *top, const struct busy_session *busy)
{
    char text[TEXT_SHORT];

    grid_add(grid, busy->name);
    snprintf(text, sizeof text, "%" PRIu64, busy->version);
    grid_add(grid, text);
    snprintf(text, sizeof text, "%.1f", rate(top, busy->version, busy->before));
    grid_add(grid, text);
    grid_add(grid, busy->state[0] ? busy->state : "free");
    grid_add(grid, busy->holder);
    grid_add(grid, busy->since ? text_age(busy->since, clock_realtime(&clock_system), text) : "");
    snprintf(text, sizeof text, "%" PRIu64, busy->waiting);
    grid_add(grid, busy->waiting ? text : "");
    grid_add(grid, busy->pinned);
}

/* Lines of the terminal, or all there is. */
static size_t rows_to_print(const struct top *top)
{
    struct winsize size;

    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 ||
        size.ws_row <= HEADER_LINES + 1 ||
        top->now.sessions.count <= (size_t)size.ws_row - HEADER_LINES - 1)
        return top->now.sessions.count;
    return (size_t)size.ws_row - HEADER_LINES - 1;
}

static int print_screen(const struct top *top)
{
    static const struct grid_column columns[] = {
        {"SESSION", false, true, 0}, {"VERSION", true, false, 6},  {"COMMITS/S", true, false, 3},
        {"LEASE", false, false, 1},  {"HOLDER", false, true, 2},   {"SINCE", true, false, 5},
        {"WAITING", true, false, 1}, {"PINNED BY", false, true, 4}};
    struct grid *grid = grid_new(columns, sizeof columns / sizeof columns[0]);
    size_t rows = rows_to_print(top);
    int status;

    if (!grid)
        return HF_NOMEM;
    for (size_t i = 0; i < rows; i++)
        add_row(grid, top, &top->now.sessions.items[i]);
    if (isatty(STDOUT_FILENO))
        fputs("\033[H\033[2J", stdout);
    print_header(top);
    status = grid_print(grid, stdout, grid_terminal_width(stdout));
    grid_free(grid);
    return status;
}

static json_t *session_json_of(const struct top *top, const struct busy_session *busy)
{
    json_t *object = json_object();

    json_set_name(object, "session", busy->name);
    json_object_set_new(object, "version", json_u64(busy->version));
    json_object_set_new(object, "commits_per_second",
                        json_real(rate(top, busy->version, busy->before)));
    json_object_set_new(object, "lease", json_string(busy->state[0] ? busy->state : "free"));
    json_object_set_new(object, "holder", busy->holder[0] ? json_bytes(busy->holder) : json_null());
    json_object_set_new(object, "pinned_by",
                        busy->pinned[0] ? json_bytes(busy->pinned) : json_null());
    json_object_set_new(object, "waiting", json_u64(busy->waiting));
    return object;
}

static int print_json(const struct top *top)
{
    const struct store_stats *stats = &top->now.stats;
    json_t *object = json_object(), *sessions = json_array();
    char *text;

    json_object_set_new(object, "time", json_time(clock_realtime(&clock_system)));
    json_object_set_new(object, "sessions", json_u64(stats->sessions));
    json_object_set_new(object, "file_bytes", json_u64(stats->file_bytes));
    json_object_set_new(object, "leases", json_u64(stats->leases));
    json_object_set_new(object, "waiting", json_u64(stats->waiting));
    json_object_set_new(object, "connections", json_u64(stats->connections));
    json_object_set_new(object, "commits_per_second", json_real(RATE(top, commits)));
    json_object_set_new(object, "transactions_per_second",
                        json_real(RATE(top, activity.transactions)));
    json_object_set_new(object, "syncs_per_second", json_real(RATE(top, activity.syncs)));
    json_object_set_new(object, "requests_per_second", json_real(RATE(top, activity.requests)));
    json_object_set_new(object, "put_bytes_per_second", json_real(RATE(top, activity.put_bytes)));
    json_object_set_new(object, "got_bytes_per_second", json_real(RATE(top, activity.got_bytes)));
    for (size_t i = 0; i < top->now.sessions.count; i++)
        json_array_append_new(sessions, session_json_of(top, &top->now.sessions.items[i]));
    json_object_set_new(object, "busy", sessions);
    text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    if (!text)
        return HF_NOMEM;
    puts(text);
    free(text);
    return HF_OK;
}

/* --- running --------------------------------------------------------------------------------------------- */

/* False: a signal says that it is enough. */
static bool wait_for_next(const struct top *top, int64_t took, const sigset_t *ends)
{
    uint32_t interval = top->options->interval_ms ? top->options->interval_ms : DEFAULT_INTERVAL_MS;
    int64_t ns = interval * 1000000LL;
    struct timespec pause;

    if (took * REST > ns)
        ns = took * REST;
    pause = (struct timespec){ns / NS_PER_SECOND, ns % NS_PER_SECOND};
    return sigtimedwait(ends, NULL, &pause) < 0;
}

static int watch(struct top *top, struct hf_error *err)
{
    int64_t start, took;
    sigset_t ends;
    int status = 0;

    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    for (uint64_t n = 1; status == 0; n++) {
        start = clock_boottime(&clock_system);
        status = take_look(top, err);
        took = clock_boottime(&clock_system) - start;
        if (status == 0 && (top->options->json ? print_json(top) : print_screen(top)) != 0)
            status = hf_fail(err, HF_NOMEM, "out of memory");
        if (fflush(stdout) != 0 || n == top->options->count || !wait_for_next(top, took, &ends))
            break;
    }
    return status;
}

static int run(int argc, char **argv)
{
    struct top_options options = {0};
    struct top top = {.options = &options, .changed_since = clock_realtime(&clock_system)};
    struct hf_error err;
    int exit_code, status;

    if (!options_parse(&command_top, &argc, &argv, &options, &exit_code))
        return exit_code;
    status = context_open_store(options.store, STORE_READ_ONLY, &top.store, &err);
    if (status == 0)
        status = watch(&top, &err);
    free(top.now.sessions.items);
    free(top.before.sessions.items);
    store_close(top.store);
    return status ? command_fail(&err) : EX_OK;
}
