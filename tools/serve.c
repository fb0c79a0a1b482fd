/* SPDX-License-Identifier: Apache-2.0 */
/** `holdfast serve`: puts a store on the network for hosts with certificates. */
#include <errno.h>
#include <limits.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "audit_log.h"
#include "authority.h"
#include "base/log.h"
#include "command.h"
#include "context.h"
#include "file_limit.h"
#include "identity.h"
#include "monitor.h"
#include "notify.h"
#include "server/server.h"
#include "store/maintenance.h"

#define DEFAULT_LISTEN "127.0.0.1:7420"
/* Of the process, besides one for each connection. */
#define OTHER_FILES 4096
#define DEFAULT_CONNECTIONS 4096
#define DEFAULT_HOST_CONNECTIONS 16

struct serve_arguments {
    const char *store;
    const char *listen;
    const char *pki;
    const char *certificate, *key, *ca, *crl;
    const char *rights;
    const char *maintenance;
    const char *metrics, *log_format;
    uint32_t ttl_ms, drain_ms;
    uint64_t connections, host_connections;
    bool relaxed;
};

static const struct option_spec specs[] = {
    OPTION_STORE(struct serve_arguments, store),
    {"listen", 'l', OPTION_STRING, offsetof(struct serve_arguments, listen), "ADDR:PORT",
     "where (default: " DEFAULT_LISTEN ", this machine only;\n[::]:7420 is every address)"},
    {"pki", 0, OPTION_STRING, offsetof(struct serve_arguments, pki), "DIR",
     "what 'holdfast cert init' made (default: the same as\nits own)"},
    {"cert", 0, OPTION_STRING, offsetof(struct serve_arguments, certificate), "FILE",
     "the server's certificate with its chain, PEM"},
    {"key", 0, OPTION_STRING, offsetof(struct serve_arguments, key), "FILE",
     "its key (default: in the same file)"},
    {"ca", 0, OPTION_STRING, offsetof(struct serve_arguments, ca), "FILE",
     "who signs the hosts' certificates"},
    {"crl", 0, OPTION_STRING, offsetof(struct serve_arguments, crl), "FILE",
     "the certificates that were revoked"},
    {"rights", 0, OPTION_STRING, offsetof(struct serve_arguments, rights), "FILE",
     "YAML: what hosts may do whose certificates do not say"},
    {"ttl", 0, OPTION_DURATION, offsetof(struct serve_arguments, ttl_ms), "TIME",
     "how long a host that is not heard of keeps its\nsessions, 5s to 10m (default: 30s)"},
    {"relaxed", 0, OPTION_FLAG, offsetof(struct serve_arguments, relaxed), NULL,
     "a close waits for the medium only if the store was\nmade strict, and one that is made is "
     "not"},
    {"max-connections", 0, OPTION_NUMBER, offsetof(struct serve_arguments, connections), "N",
     "of all hosts together (default: 4096)"},
    {"max-host-connections", 0, OPTION_NUMBER, offsetof(struct serve_arguments, host_connections),
     "N", "of one certificate's name (default: 16)"},
    {"drain", 0, OPTION_DURATION, offsetof(struct serve_arguments, drain_ms), "TIME",
     "at the end, for requests under way (default: 10s)"},
    {"maintenance", 0, OPTION_STRING, offsetof(struct serve_arguments, maintenance), "TIME",
     "how often retention and collection are looked after,\nor off (default: 1h)"},
    {"metrics", 0, OPTION_STRING, offsetof(struct serve_arguments, metrics), "ADDR:PORT",
     "answer /metrics for Prometheus, /healthz, /readyz\nthere, over plain HTTP"},
    {"log-format", 0, OPTION_STRING, offsetof(struct serve_arguments, log_format), "FORMAT",
     "text, or json: an object a line (default: text)"},
    {0}};

/* --- files ---------------------------------------------------------------------------------------- */

/** The paths that --pki stands for. */
struct pki_paths {
    char bundle[PATH_MAX], ca[PATH_MAX], crl[PATH_MAX];
};

static int join_path(char path[PATH_MAX], const char *dir, const char *file, struct hf_error *err)
{
    if (snprintf(path, PATH_MAX, "%s/%s", dir, file) >= PATH_MAX)
        return hf_fail(err, HF_NAMETOOLONG, "the path %s is too long", dir);
    return HF_OK;
}

static int find_paths(const char *given, struct pki_paths *ret_paths, struct hf_error *err)
{
    BUF_AUTO dir = {0};
    int rc = authority_dir(given, &dir, err);

    if (rc == HF_OK)
        rc = join_path(ret_paths->bundle, (const char *)dir.data, PKI_SERVER_FILE, err);
    if (rc == HF_OK)
        rc = join_path(ret_paths->ca, (const char *)dir.data, PKI_CA_FILE, err);
    if (rc == HF_OK)
        rc = join_path(ret_paths->crl, (const char *)dir.data, PKI_CRL_FILE, err);
    if (rc == HF_OK && !given && access(ret_paths->bundle, F_OK) != 0)
        rc = hf_fail(err, HF_CONFIG,
                     "there is no %s: 'holdfast cert init' makes a CA and a certificate for this "
                     "server, or name others with --cert and --ca",
                     ret_paths->bundle);
    return rc;
}

/* What is not given comes from the directory; with a certificate of its own nothing does. */
static int choose_files(const struct serve_arguments *args, struct pki_paths *paths,
                        struct tls_files *ret_files, struct hf_error *err)
{
    int rc;

    *ret_files = (struct tls_files){args->certificate, args->key, args->ca, args->crl};
    if (args->certificate) {
        if (args->pki)
            return hf_fail(err, HF_USAGE, "give either --pki or --cert");
        if (!args->key)
            ret_files->key = args->certificate;
        if (!args->ca)
            ret_files->ca = args->certificate;
        return HF_OK;
    }
    if (args->key)
        return hf_fail(err, HF_USAGE, "--key needs --cert");
    rc = find_paths(args->pki, paths, err);
    if (rc != HF_OK)
        return rc;
    ret_files->certificate = ret_files->key = paths->bundle;
    if (!args->ca) /* the bundle holds it, too */
        ret_files->ca = access(paths->ca, F_OK) == 0 ? paths->ca : paths->bundle;
    if (!args->crl && access(paths->crl, F_OK) == 0)
        ret_files->crl = paths->crl;
    return HF_OK;
}

/* --- signals -------------------------------------------------------------------------------------- */

/** Waits for signals while the server runs. */
struct signals {
    pthread_t thread;
    sigset_t set;
    struct server *server;
    atomic_bool over;
};

static void reload(struct server *server)
{
    char state[80];
    struct timespec now;
    struct hf_error err;

    clock_gettime(CLOCK_MONOTONIC, &now);
    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld",
             (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
    notify_send(state);
    if (server_reload(server, &err) == HF_OK)
        log_info("certificates were read again");
    else
        log_error("certificates stay as they were: %s", err.message);
    notify_send("READY=1");
}

static void *wait_for_signals(void *arg)
{
    struct signals *signals = arg;
    int signal;

    for (;;) {
        if (sigwait(&signals->set, &signal) != 0)
            continue;
        if (atomic_load(&signals->over))
            return NULL;
        if (signal == SIGHUP) {
            reload(signals->server);
        } else {
            notify_send("STOPPING=1");
            server_stop(signals->server);
        }
    }
}

/* Before any thread is started, so that none is interrupted. */
static void block_signals(struct signals *signals)
{
    struct sigaction ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGPIPE, &ignore, NULL);
    sigemptyset(&signals->set);
    sigaddset(&signals->set, SIGTERM);
    sigaddset(&signals->set, SIGINT);
    sigaddset(&signals->set, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals->set, NULL);
}

static int start_signals(struct signals *signals, struct server *server, struct hf_error *err)
{
    int rc;

    signals->server = server;
    rc = pthread_create(&signals->thread, NULL, wait_for_signals, signals);
    return rc == 0
               ? HF_OK
               : hf_fail(err, hf_status_from_errno(rc), "cannot start a thread: %s", strerror(rc));
}

static void stop_signals(struct signals *signals)
{
    atomic_store(&signals->over, true);
    pthread_kill(signals->thread, SIGINT);
    pthread_join(signals->thread, NULL);
}

/* --- serving -------------------------------------------------------------------------------------- */

/** The threads share few heaps: with one for each, memory that one frees serves no other. */
static void bound_heap(void)
{
    mallopt(M_ARENA_MAX, 4);
    mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
}

static int run_server(struct server *server, struct signals *signals, struct hf_error *err)
{
    int rc = start_signals(signals, server, err);

    if (rc != HF_OK)
        return rc;
    notify_send("READY=1");
    rc = server_run(server, err);
    stop_signals(signals);
    return rc;
}

static void greet(const struct server *server, const struct server_options *options)
{
    log_info("serving %s on %s, TTL %g s%s", options->store_url, server_address(server),
             (options->ttl_ms ? options->ttl_ms : HOST_TTL_DEFAULT_MS) / 1000.0,
             options->tls.crl ? "" : "; no list of revoked certificates");
}

/* --- what is told of it ------------------------------------------------------------------------------ */

static void write_metrics(struct metrics *metrics, void *arg)
{
    struct server_stats stats;

    server_stats(*(struct server **)arg, &stats);
    metrics_single(metrics, "holdfast_server_connections", METRIC_GAUGE, "Connections of hosts.",
                   stats.connections);
    metrics_single(metrics, "holdfast_server_requests_in_flight", METRIC_GAUGE,
                   "Requests that are being worked on or wait for a worker.", stats.requests);
    metrics_single(metrics, "holdfast_server_serving", METRIC_GAUGE,
                   "1 while new work is taken, 0 while draining.", stats.serving);
}

static bool is_ready(char *ret_why, size_t size, void *arg)
{
    struct server_stats stats;

    server_stats(*(struct server **)arg, &stats);
    snprintf(ret_why, size, "draining");
    return stats.serving;
}

/** Who looks at the stores beside the hosts. */
struct observers {
    struct audit_log *log;
    struct monitor *monitor; /* or NULL */
};

static void observe(const char *tenant, struct store *store, void *arg)
{
    struct observers *observers = arg;

    audit_log_add(observers->log, tenant, store);
    if (observers->monitor)
        monitor_add(observers->monitor, tenant, store, true);
}

static int start_observers(struct observers *observers, const char *metrics, struct hf_error *err)
{
    int rc = audit_log_start(observers->log, err);

    return rc == HF_OK && observers->monitor ? monitor_listen(observers->monitor, metrics, err)
                                             : rc;
}

static int serve(struct server_options *options, const char *metrics)
{
    struct server *server = NULL;
    const struct http_answers answers = {write_metrics, is_ready, &server};
    struct observers observers = {0};
    struct signals signals = {0};
    struct hf_error err = {0};
    int rc;

    block_signals(&signals);
    bound_heap();
    file_limit_raise(options->max_connections + OTHER_FILES);
    options->opened = observe;
    options->opened_arg = &observers;
    options->traced = metrics != NULL;
    rc = audit_log_new(&observers.log, &err);
    if (rc == HF_OK && metrics)
        rc = monitor_new(&answers, &observers.monitor, &err);
    if (rc == HF_OK)
        rc = server_new(options, &server, &err);
    if (rc == HF_OK)
        rc = start_observers(&observers, metrics, &err);
    if (rc == HF_OK) {
        greet(server, options);
        rc = run_server(server, &signals, &err);
    }
    monitor_free(observers.monitor);
    audit_log_free(observers.log);
    server_free(server);
    options->opened_arg = NULL;
    if (rc == HF_OK)
        log_info("ended");
    return rc == HF_OK ? EX_OK : command_fail(&err);
}

static int run_serve(int argc, char **argv);
extern const struct command command_serve;

const struct command command_serve = {
    .name = "serve",
    .group = COMMAND_SERVER,
    .summary = "Put a store on the network for other hosts",
    .details = "Hosts and server show each other certificates, over TLS 1.3; 'holdfast cert'\n"
               "makes them, and a host's says what it may do. Runs in the foreground. SIGTERM\n"
               "finishes what is under way and tells the hosts to come back; a second one ends\n"
               "at once. SIGHUP reads certificates, the list of revoked ones and rights again.",
    .options = specs,
    .max_operands = 0,
    .run = run_serve,
};

/* Who passes a store on has no say over its leases. */
static int check_store(const char *url, struct hf_error *err)
{
    if (strncmp(url, "holdfast:", strlen("holdfast:")) == 0)
        return hf_fail(err, HF_CONFIG, "%s is served already; a store of this machine is needed",
                       url);
    return HF_OK;
}

static int check_arguments(const struct serve_arguments *args, struct hf_error *err)
{
    bool json = args->log_format && strcmp(args->log_format, "json") == 0;

    if (args->log_format && !json && strcmp(args->log_format, "text") != 0)
        return hf_fail(err, HF_USAGE, "there is no log format '%s': it is text or json",
                       args->log_format);
    log_set_format(json ? LOG_FORMAT_JSON : LOG_FORMAT_TEXT);
    if (args->connections == 0 || args->host_connections == 0)
        return hf_fail(err, HF_CONFIG, "a limit of no connections lets nobody in");
    return HF_OK;
}

static int read_maintenance(const char *text, uint32_t *ret_ms, struct hf_error *err)
{
    *ret_ms = MAINTENANCE_INTERVAL_MS;
    if (text && options_parse_interval(text, ret_ms) != HF_OK)
        return hf_fail(err, HF_USAGE, "'%s' is no value for --maintenance; one is like 1h, or off",
                       text);
    return HF_OK;
}

static unsigned to_limit(uint64_t value)
{
    return value > 1000000 ? 1000000 : (unsigned)value;
}

static int run_serve(int argc, char **argv)
{
    struct serve_arguments args = {.listen = DEFAULT_LISTEN,
                                   .connections = DEFAULT_CONNECTIONS,
                                   .host_connections = DEFAULT_HOST_CONNECTIONS};
    struct server_options options;
    struct pki_paths paths;
    struct identity identity;
    struct hf_error err = {0};
    BUF_AUTO url = {0};
    int exit_code, rc;

    if (!options_parse(&command_serve, &argc, &argv, &args, &exit_code))
        return exit_code;
    options = (struct server_options){.listen = args.listen,
                                      .rights = args.rights,
                                      .ttl_ms = args.ttl_ms,
                                      .relaxed = args.relaxed,
                                      .max_connections = to_limit(args.connections),
                                      .max_connections_per_host = to_limit(args.host_connections),
                                      .drain_ms = args.drain_ms};
    rc = check_arguments(&args, &err);
    if (rc == HF_OK)
        rc = read_maintenance(args.maintenance, &options.maintenance_ms, &err);
    if (rc == HF_OK)
        rc = identity_read("holdfast serve", &identity, &err);
    options.identity = &identity.host;
    if (rc == HF_OK)
        rc = choose_files(&args, &paths, &options.tls, &err);
    if (rc == HF_OK)
        rc = context_store_url(args.store, true, &url, &err);
    options.store_url = (const char *)url.data;
    if (rc == HF_OK)
        rc = check_store(options.store_url, &err);
    return rc == HF_OK ? serve(&options, args.metrics) : command_fail(&err);
}
