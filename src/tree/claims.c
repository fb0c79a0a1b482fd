/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/claims.h"

#include <errno.h>
#include <fnmatch.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/htable.h"

#define DEFAULT_PATTERNS "inuse.*.lock"
#define MAX_ANCESTORS 512 /* a bound, should /proc change under the walk */

/** A process, told from a later one of the same number by a pidfd, or else by when it started. */
struct process {
    pid_t pid;
    int pidfd; /* -1: none could be had */
    unsigned long long started;
};

/** One claim file of a live process. */
struct claim {
    struct hnode node; /* by session */
    uint64_t sid;
    char *name;
    struct process holder;
};

struct claims {
    char *patterns; /* NUL-separated, ended by an empty one */
    pthread_mutex_t mutex;
    struct htable table; /* of struct claim; guarded by mutex */
};

/* --- processes --------------------------------------------------------------------------------- */

static size_t read_proc(pid_t pid, const char *file, char *ret_text, size_t size)
{
    char path[64];
    size_t len;
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    f = fopen(path, "re");
    if (!f)
        return 0;
    len = fread(ret_text, 1, size - 1, f);
    ret_text[len] = 0;
    fclose(f);
    return len;
}

/** The number after "\n<key>:\t" in /proc/<pid>/status, or 0. */
static pid_t status_number(pid_t pid, const char *key)
{
    char text[2048], wanted[32];
    const char *at;

    if (!read_proc(pid, "status", text, sizeof text))
        return 0;
    snprintf(wanted, sizeof wanted, "\n%s:", key);
    at = strstr(text, wanted);
    return at ? (pid_t)strtol(at + strlen(wanted), NULL, 10) : 0;
}

static pid_t process_of_thread(pid_t tid)
{
    pid_t tgid = status_number(tid, "Tgid");

    return tgid > 0 ? tgid : tid;
}

bool process_command(pid_t pid, char *ret_name, size_t size)
{
    size_t len = read_proc(pid, "comm", ret_name, size);

    while (len > 0 && ret_name[len - 1] == '\n')
        ret_name[--len] = '\0';
    return len > 0;
}

/** Field 22 of /proc/<pid>/stat: clock ticks after boot; 0 when the process is gone or a zombie. */
static unsigned long long start_time(pid_t pid)
{
    char text[1024], *at;
    unsigned long long started = 0;
    char state = 'X';

    if (!read_proc(pid, "stat", text, sizeof text))
        return 0;
    at = strrchr(text, ')'); /* the command's name may hold anything */
    if (!at || sscanf(at + 1,
                      " %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %*d %*d "
                      "%llu",
                      &state, &started) != 2)
        return 0;
    return state == 'Z' || state == 'X' ? 0 : started;
}

static void process_open(struct process *process, pid_t pid)
{
    process->pid = pid;
    process->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
    process->started = start_time(pid);
}

static bool process_alive(const struct process *process)
{
    struct pollfd ended = {.fd = process->pidfd, .events = POLLIN};

    if (process->pidfd < 0)
        return process->started && start_time(process->pid) == process->started;
    return poll(&ended, 1, 0) == 0;
}

static bool is_ancestor_or_self(pid_t ancestor, pid_t pid)
{
    for (int i = 0; i < MAX_ANCESTORS && pid > 0; i++) {
        if (pid == ancestor)
            return true;
        pid = status_number(pid, "PPid");
    }
    return false;
}

/* --- patterns ---------------------------------------------------------------------------------- */

struct claims *claims_new(const char *patterns)
{
    struct claims *claims = calloc(1, sizeof *claims);
    size_t len;

    if (!claims)
        return NULL;
    patterns = patterns ? patterns : DEFAULT_PATTERNS;
    len = strlen(patterns);
    claims->patterns = calloc(1, len + 2);
    if (!claims->patterns) {
        free(claims);
        return NULL;
    }
    for (size_t i = 0, n = 0; i < len; i++)
        if (patterns[i] != ':')
            claims->patterns[n++] = patterns[i];
        else if (n && claims->patterns[n - 1])
            claims->patterns[n++] = 0;
    pthread_mutex_init(&claims->mutex, NULL);
    return claims;
}

bool claims_match(const struct claims *claims, const char *name)
{
    for (const char *p = claims->patterns; *p; p += strlen(p) + 1)
        if (fnmatch(p, name, FNM_PERIOD) == 0)
            return true;
    return false;
}

/* --- claims ------------------------------------------------------------------------------------ */

static void free_claim(struct claim *claim)
{
    if (claim->holder.pidfd >= 0)
        close(claim->holder.pidfd);
    free(claim->name);
    free(claim);
}

static void remove_claim(struct claims *claims, struct claim *claim)
{
    htable_remove(&claims->table, &claim->node);
    free_claim(claim);
}

static struct claim *first_claim(const struct claims *claims, uint64_t sid)
{
    struct hnode *node = htable_find(&claims->table, htable_hash_u64(sid));

    return node ? HTABLE_ENTRY(node, struct claim, node) : NULL;
}

static struct claim *next_claim(const struct claim *claim)
{
    struct hnode *node = htable_next(&claim->node);

    return node ? HTABLE_ENTRY(node, struct claim, node) : NULL;
}

/** A live claim of the session, or NULL; claims of ended processes are removed on the way. */
static struct claim *live_claim(struct claims *claims, uint64_t sid)
{
    for (struct claim *c = first_claim(claims, sid), *next; c; c = next) {
        next = next_claim(c);
        if (process_alive(&c->holder))
            return c;
        remove_claim(claims, c);
    }
    return NULL;
}

static struct claim *named_claim(const struct claims *claims, uint64_t sid, const char *name)
{
    struct claim *c = first_claim(claims, sid);

    while (c && strcmp(c->name, name) != 0)
        c = next_claim(c);
    return c;
}

static int add_claim(struct claims *claims, uint64_t sid, const char *name, pid_t pid)
{
    struct claim *claim = calloc(1, sizeof *claim), *old = named_claim(claims, sid, name);

    if (!claim)
        return HF_NOMEM;
    claim->sid = sid;
    claim->name = strdup(name);
    process_open(&claim->holder, pid);
    if (!claim->name ||
        htable_insert(&claims->table, &claim->node, htable_hash_u64(sid)) != HF_OK) {
        free_claim(claim);
        return HF_NOMEM;
    }
    if (old)
        remove_claim(claims, old);
    return HF_OK;
}

/** The live claim that keeps `pid` out, or NULL when there is none or an ancestor holds one. */
static struct claim *foreign_claim(struct claims *claims, uint64_t sid, pid_t pid)
{
    struct claim *first = live_claim(claims, sid);

    for (struct claim *c = first; c; c = next_claim(c))
        if (pid > 0 && process_alive(&c->holder) && is_ancestor_or_self(c->holder.pid, pid))
            return NULL;
    return first;
}

int claims_take(struct claims *claims, uint64_t sid, const char *name, pid_t pid, bool *ret_new,
                struct hf_error *err)
{
    pid_t process = pid > 0 ? process_of_thread(pid) : 0;
    struct claim *foreign;
    bool is_new;
    int status = HF_OK;

    pthread_mutex_lock(&claims->mutex);
    foreign = foreign_claim(claims, sid, process);
    if (foreign) {
        status = hf_fail(err, HF_BUSY, "the session is in use by process %d (%s)",
                         (int)foreign->holder.pid, foreign->name);
        goto out;
    }
    is_new = first_claim(claims, sid) == NULL;
    /* Of a process that cannot be seen from here, nobody could tell when it ends. */
    if (process > 0)
        status = add_claim(claims, sid, name, process);
    if (status == HF_OK)
        *ret_new = is_new;
out:
    pthread_mutex_unlock(&claims->mutex);
    return status;
}

void claims_drop(struct claims *claims, uint64_t sid, const char *name)
{
    struct claim *claim;

    pthread_mutex_lock(&claims->mutex);
    claim = named_claim(claims, sid, name);
    if (claim)
        remove_claim(claims, claim);
    pthread_mutex_unlock(&claims->mutex);
}

void claims_drop_session(struct claims *claims, uint64_t sid)
{
    struct claim *claim;

    pthread_mutex_lock(&claims->mutex);
    while ((claim = first_claim(claims, sid)))
        remove_claim(claims, claim);
    pthread_mutex_unlock(&claims->mutex);
}

pid_t claims_holder(struct claims *claims, uint64_t sid)
{
    struct claim *claim;
    pid_t pid;

    pthread_mutex_lock(&claims->mutex);
    claim = live_claim(claims, sid);
    pid = claim ? claim->holder.pid : 0;
    pthread_mutex_unlock(&claims->mutex);
    return pid;
}

static void free_node(struct hnode *node, void *arg)
{
    (void)arg;
    free_claim(HTABLE_ENTRY(node, struct claim, node));
}

void claims_free(struct claims *claims)
{
    if (!claims)
        return;
    htable_each(&claims->table, free_node, NULL);
    htable_free(&claims->table);
    pthread_mutex_destroy(&claims->mutex);
    free(claims->patterns);
    free(claims);
}
