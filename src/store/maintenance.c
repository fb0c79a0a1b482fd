/* SPDX-License-Identifier: Apache-2.0 */
#include "store/maintenance.h"

#include <assert.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/thread.h"
#include "store/retention.h"

#define MS_NS 1000000LL
#define SECOND_NS 1000000000LL
/* After the start, so that a host's mounts do not all begin with it; and so that it hinders no start. */
#define FIRST_WAIT_NS (60 * SECOND_NS)
/* Retention works so long before it rests. */
#define SLICE_NS (5 * MS_NS)

struct maintenance {
    struct store *store;
    struct maintenance_options options;
    int64_t interval;

    pthread_t thread;
    bool threaded;
    pthread_mutex_t lock; /* guards `stopping` */
    pthread_cond_t wake;
    bool stopping;

    int64_t worked_since; /* of this slice, by CLOCK_MONOTONIC */
};

/* What is known of the last time, as the setting holds it. */
struct state {
    int64_t retained;  /* when retention was begun */
    int64_t collected; /* when a collection ended */
    bool left;         /* something went since, or a collection did not end */
};

/* What a turn did. */
struct turn {
    struct retention_totals retention;
    struct collect_totals collect;
    bool collected;
    int status;
    struct hf_error err;
};

static int64_t monotonic(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * SECOND_NS + now.tv_nsec;
}

/* --- giving way ------------------------------------------------------------------------------------- */

/* Sleeps so long, or until it is to stop. Whether it is. */
static bool wait_or_stop(struct maintenance *maintenance, int64_t ns)
{
    int64_t until = monotonic() + ns;
    struct timespec at = {.tv_sec = until / SECOND_NS, .tv_nsec = until % SECOND_NS};
    bool stopping;

    pthread_mutex_lock(&maintenance->lock);
    while (!maintenance->stopping && monotonic() < until)
        pthread_cond_timedwait(&maintenance->wake, &maintenance->lock, &at);
    stopping = maintenance->stopping;
    pthread_mutex_unlock(&maintenance->lock);
    return stopping;
}

/* Between two sessions: rests in proportion to what was worked. */
static int pause_retention(void *arg)
{
    struct maintenance *maintenance = arg;
    int64_t worked = monotonic() - maintenance->worked_since,
            percent = maintenance->options.percent;
    bool stopping;

    stopping =
        wait_or_stop(maintenance, worked < SLICE_NS ? 0 : worked / percent * (100 - percent));
    if (worked >= SLICE_NS)
        maintenance->worked_since = monotonic();
    return stopping ? HF_INTR : HF_OK;
}

static int visit_retention(const struct retention_action *action, void *arg)
{
    (void)action;
    return pause_retention(arg);
}

static int pause_collect(const char *phase, uint64_t done, uint64_t all, void *arg)
{
    (void)phase;
    (void)done;
    (void)all;
    return wait_or_stop(arg, 0) ? HF_INTR : HF_OK;
}

/* --- when it was done last -------------------------------------------------------------------------- */

static int load_state(struct maintenance *maintenance, struct state *ret_state,
                      struct hf_error *err)
{
    BUF_AUTO text = {0};
    struct state state = {0};
    int left = 0;
    int rc = store_setting_get(maintenance->store, MAINTENANCE_SETTING, &text, err);

    if (rc == HF_OK && buf_append(&text, "", 1) != HF_OK)
        rc = hf_fail(err, HF_NOMEM, "out of memory");
    if (rc != HF_OK && rc != HF_NOENT)
        return rc;
    /* What cannot be read was never done. */
    if (rc == HF_OK &&
        sscanf((const char *)text.data, "retained %" SCNd64 " collected %" SCNd64 " left %d",
               &state.retained, &state.collected, &left) != 3)
        state = (struct state){0};
    state.left = left != 0;
    *ret_state = state;
    return HF_OK;
}

static int save_state(struct maintenance *maintenance, const struct state *state,
                      struct hf_error *err)
{
    char text[128];
    int n = snprintf(text, sizeof text, "retained %" PRId64 " collected %" PRId64 " left %d\n",
                     state->retained, state->collected, state->left);

    return store_setting_set(maintenance->store, MAINTENANCE_SETTING, slice_of(text, (size_t)n),
                             err);
}

/* How long until `since` is so long ago. A time that is yet to come is one of a clock that was wrong. */
static int64_t due_in(int64_t since, int64_t interval, int64_t now)
{
    if (since > now || now - since >= interval)
        return 0;
    return interval - (now - since);
}

/* --- a turn ----------------------------------------------------------------------------------------- */

/* A host session of its own, for as long as it is needed. */
static int register_host(struct maintenance *maintenance, uint64_t *ret_host, struct hf_error *err)
{
    struct host_identity identity = *maintenance->options.identity;

    identity.mount_point = NULL;
    identity.ttl_ms = 0;
    if (getrandom(identity.mount_id, sizeof identity.mount_id, 0) !=
        (ssize_t)sizeof identity.mount_id)
        return hf_fail(err, HF_IO, "no random bytes");
    return store_host_register(maintenance->store, &identity, NULL, ret_host, err);
}

static int retain(struct maintenance *maintenance, int64_t now, struct turn *turn)
{
    const struct retention_watch watch = {visit_retention, pause_retention, maintenance};
    struct retention *policy = NULL;
    uint64_t host = 0;
    int rc = retention_load(maintenance->store, &policy, &turn->err);

    if (rc == HF_OK && retention_has_idle(policy) && maintenance->options.identity)
        rc = register_host(maintenance, &host, &turn->err);
    maintenance->worked_since = monotonic();
    if (rc == HF_OK)
        rc = retention_apply(maintenance->store, host, policy, now, &watch, &turn->retention,
                             &turn->err);
    if (host != 0)
        (void)store_host_end(maintenance->store, host, NULL);
    retention_free(policy);
    return rc;
}

static int collect(struct maintenance *maintenance, struct turn *turn)
{
    const struct collect_options options = {
        .percent = maintenance->options.percent, .progress = pause_collect, .arg = maintenance};
    int rc = store_collect(maintenance->store, &options, &turn->collect, &turn->err);

    turn->collected = rc == HF_OK;
    return rc == HF_BUSY ? HF_OK : rc; /* another one is at it */
}

static bool has_dropped(const struct retention_totals *totals)
{
    return totals->versions + totals->purged + totals->rescues + totals->snapshots > 0;
}

static bool collection_is_due(const struct maintenance *maintenance, const struct state *state,
                              int64_t now)
{
    int64_t every = maintenance->interval * MAINTENANCE_COLLECT_EVERY;

    return state->left || due_in(state->collected, every, now) == 0;
}

/* The state is written before the work, so that others leave it to this one, and after it. */
static void work(struct maintenance *maintenance, struct state *state, int64_t now,
                 struct turn *turn)
{
    int rc;

    state->retained = now;
    turn->status = save_state(maintenance, state, &turn->err);
    if (turn->status != HF_OK)
        return;
    turn->status = retain(maintenance, now, turn);
    state->left = state->left || has_dropped(&turn->retention);
    if (turn->status == HF_OK && collection_is_due(maintenance, state, now)) {
        turn->status = collect(maintenance, turn);
        if (turn->collected) {
            state->collected = now;
            state->left = false;
        }
    }
    rc = save_state(maintenance, state, turn->status == HF_OK ? &turn->err : NULL);
    if (turn->status == HF_OK)
        turn->status = rc;
}

/* --- telling ---------------------------------------------------------------------------------------- */

struct line {
    char text[600];
    size_t len;
};

static void say(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void say(struct line *line, const char *format, ...)
{
    size_t room = sizeof line->text - line->len;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(line->text + line->len, room, format, args);
    va_end(args);
    if (n > 0)
        line->len += (size_t)n < room ? (size_t)n : room - 1;
}

static void say_count(struct line *line, uint64_t n, const char *what)
{
    if (n > 0)
        say(line, "%s%" PRIu64 " %s%s", line->text[line->len - 1] == ':' ? " " : ", ", n, what,
            n == 1 ? "" : "s");
}

static void report(struct maintenance *maintenance, const struct turn *turn, int64_t took)
{
    const struct retention_totals *went = &turn->retention;
    bool failed = turn->status != HF_OK && turn->status != HF_INTR;
    struct line line = {0};

    say(&line, "maintenance:");
    say_count(&line, went->versions, "version");
    say_count(&line, went->purged, "trashed session");
    say_count(&line, went->rescues, "rescue version");
    say_count(&line, went->snapshots, "snapshot");
    say_count(&line, went->trashed, "idle session");
    if (turn->collected)
        say_count(&line, turn->collect.removed, "object");
    if (line.text[line.len - 1] != ':')
        say(&line, " went in %.1f s", (double)took / SECOND_NS);
    else if (!failed)
        return;
    if (turn->collected && turn->collect.freed_bytes > 0)
        say(&line, ", %.1f MiB handed back", (double)turn->collect.freed_bytes / (1 << 20));
    if (failed)
        say(&line, "%s it failed: %s", line.text[line.len - 1] == ':' ? "" : ";",
            turn->err.message);
    maintenance->options.report(failed, line.text, maintenance->options.arg);
}

int64_t maintenance_turn(struct maintenance *maintenance)
{
    const struct clock *clock = maintenance->options.clock;
    int64_t now = clock_realtime(clock), left, begun = monotonic();
    struct turn turn = {0};
    struct state state;

    turn.status = load_state(maintenance, &state, &turn.err);
    if (turn.status == HF_OK) {
        left = due_in(state.retained, maintenance->interval, now);
        if (left > 0)
            return left;
        work(maintenance, &state, now, &turn);
    }
    report(maintenance, &turn, monotonic() - begun);
    return maintenance->interval;
}

/* --- the thread ------------------------------------------------------------------------------------- */

/* Up to an eighth of the interval, so that those who wait for the same moment do not come together. */
static int64_t stagger(const struct maintenance *maintenance)
{
    uint32_t random = 0;

    if (getrandom(&random, sizeof random, 0) != (ssize_t)sizeof random)
        return 0;
    return maintenance->interval / 8 * (random % 1024) / 1024;
}

static void *run(void *arg)
{
    struct maintenance *maintenance = arg;
    int64_t wait = maintenance->interval / 8;

    if (wait > FIRST_WAIT_NS)
        wait = FIRST_WAIT_NS;
    while (!wait_or_stop(maintenance, wait))
        wait = maintenance_turn(maintenance) + stagger(maintenance);
    return NULL;
}

int maintenance_new(struct store *store, const struct maintenance_options *options,
                    struct maintenance **ret_maintenance, struct hf_error *err)
{
    struct maintenance *maintenance = calloc(1, sizeof *maintenance);
    pthread_condattr_t attr;

    assert(options->report && options->percent <= 100);
    if (!maintenance)
        return hf_fail(err, HF_NOMEM, "out of memory");
    maintenance->store = store;
    maintenance->options = *options;
    if (!options->clock)
        maintenance->options.clock = &clock_system;
    if (options->percent == 0)
        maintenance->options.percent = MAINTENANCE_PERCENT;
    maintenance->interval =
        (options->interval_ms ? options->interval_ms : MAINTENANCE_INTERVAL_MS) * MS_NS;
    pthread_mutex_init(&maintenance->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&maintenance->wake, &attr);
    pthread_condattr_destroy(&attr);
    *ret_maintenance = maintenance;
    return HF_OK;
}

int maintenance_start(struct store *store, const struct maintenance_options *options,
                      struct maintenance **ret_maintenance, struct hf_error *err)
{
    struct maintenance *maintenance;
    int rc = maintenance_new(store, options, &maintenance, err);

    if (rc != HF_OK)
        return rc;
    rc = thread_start(&maintenance->thread, run, maintenance, err);
    if (rc != HF_OK) {
        maintenance_stop(maintenance);
        return rc;
    }
    maintenance->threaded = true;
    *ret_maintenance = maintenance;
    return HF_OK;
}

void maintenance_stop(struct maintenance *maintenance)
{
    if (!maintenance)
        return;
    pthread_mutex_lock(&maintenance->lock);
    maintenance->stopping = true;
    pthread_cond_signal(&maintenance->wake);
    pthread_mutex_unlock(&maintenance->lock);
    if (maintenance->threaded)
        pthread_join(maintenance->thread, NULL);
    pthread_cond_destroy(&maintenance->wake);
    pthread_mutex_destroy(&maintenance->lock);
    free(maintenance);
}
