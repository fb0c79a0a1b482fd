/* SPDX-License-Identifier: Apache-2.0 */
#include "service.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <ftw.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT 7420
#define PATIENCE_MS 30000

static void pause_ms(long ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}, NULL);
}

const char *service_obstacle(void)
{
    struct ifreq loopback = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd, rc;

    if (unshare(CLONE_NEWNET) != 0)
        return "a network of one's own needs root";
    fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    rc = fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &loopback);
    if (fd >= 0)
        close(fd);
    return rc == 0 ? NULL : "the loopback interface cannot be used";
}

static void child(const struct service *service, const char *const argv[], int out)
{
    char text[300];
    int log;

    snprintf(text, sizeof text, "%s/log", service->dir);
    log = open(text, O_WRONLY | O_CREAT | O_APPEND, 0600);
    dup2(out >= 0 ? out : log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    snprintf(text, sizeof text, "sqlite:%s", service->store);
    setenv("HOLDFAST_STORE", text, 1);
    execv(HOLDFAST_BIN, (char *const *)argv);
    _exit(127);
}

static pid_t spawn(const struct service *service, const char *const argv[], int out)
{
    pid_t pid = fork();

    if (pid == 0)
        child(service, argv, out);
    return pid;
}

static char *read_all(int fd)
{
    size_t cap = 1 << 16, len = 0;
    char *text = malloc(cap);
    ssize_t n;

    while (text && (n = read(fd, text + len, cap - len - 1)) > 0) {
        len += (size_t)n;
        if (len + 1 == cap)
            text = realloc(text, cap *= 2);
    }
    if (text)
        text[len] = '\0';
    return text;
}

int service_run(struct service *service, const char *const argv[], char **ret_output)
{
    int fds[2] = {-1, -1}, status = -1;
    pid_t pid;

    if (ret_output && pipe2(fds, O_CLOEXEC) != 0)
        return -1;
    pid = spawn(service, argv, fds[1]);
    if (ret_output) {
        close(fds[1]);
        *ret_output = read_all(fds[0]);
        close(fds[0]);
    }
    return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) ? WEXITSTATUS(status)
                                                                           : -1;
}

bool service_prepare(struct service *service, const char *ttl)
{
    const char *parent = getenv("TMPDIR");
    char pki[256];
    const char *const argv[] = {"holdfast", "cert",   "init",      "--dir",
                                pki,        "--name", "127.0.0.1", NULL};

    *service = (struct service){.ttl = ttl};
    snprintf(service->dir, sizeof service->dir, "%s/holdfast-hosts-XXXXXX",
             parent ? parent : "/tmp");
    if (!mkdtemp(service->dir))
        return false;
    snprintf(service->store, sizeof service->store, "%s/store.db", service->dir);
    snprintf(pki, sizeof pki, "%s/pki", service->dir);
    return service_run(service, argv, NULL) == 0;
}

static bool answers(void)
{
    const struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool yes = fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;

    if (fd >= 0)
        close(fd);
    return yes;
}

bool service_start(struct service *service)
{
    char pki[256];
    const char *const argv[] = {"holdfast",       "serve",      "--listen",
                                "127.0.0.1:7420", "--pki",      pki,
                                "--ttl",          service->ttl, NULL};

    snprintf(pki, sizeof pki, "%s/pki", service->dir);
    service->pid = spawn(service, argv, -1);
    for (int ms = 0; service->pid > 0 && ms < PATIENCE_MS; ms += 2) {
        if (answers())
            return true;
        if (waitpid(service->pid, NULL, WNOHANG) == service->pid)
            break;
        pause_ms(2);
    }
    service->pid = 0;
    return false;
}

void service_stop(struct service *service, int signal)
{
    if (service->pid <= 0)
        return;
    kill(service->pid, signal);
    waitpid(service->pid, NULL, 0);
    service->pid = 0;
}

bool service_admit(struct service *service, const char *name, struct daemon *daemon)
{
    char pki[256], bundle[256];
    const char *const argv[] = {"holdfast", "cert", "issue", name,   "--role", "admin",
                                "--dir",    pki,    "-o",    bundle, NULL};

    snprintf(pki, sizeof pki, "%s/pki", service->dir);
    snprintf(bundle, sizeof bundle, "%s/%s.pem", service->dir, name);
    if (service_run(service, argv, NULL) != 0)
        return false;
    snprintf(daemon->url, sizeof daemon->url, "holdfast://127.0.0.1:%d?cert=%s", PORT, bundle);
    return true;
}

void service_print_log(const struct service *service)
{
    char line[1000];
    FILE *log;

    snprintf(line, sizeof line, "%s/log", service->dir);
    log = fopen(line, "r");
    printf("--- what the server printed:\n");
    while (log && fgets(line, sizeof line, log))
        fputs(line, stdout);
    if (log)
        fclose(log);
    fflush(stdout);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void service_remove(struct service *service)
{
    service_stop(service, SIGKILL);
    if (getenv("HOLDFAST_KEEP"))
        printf("kept %s\n", service->dir);
    else
        nftw(service->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT);
}
