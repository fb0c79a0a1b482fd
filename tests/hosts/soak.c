/* SPDX-License-Identifier: Apache-2.0 */
#include "soak.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* splitmix64 */
uint64_t soak_random(uint64_t *random)
{
    uint64_t z = (*random += 0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

unsigned soak_below(uint64_t *random, unsigned n)
{
    return (unsigned)(soak_random(random) % n);
}

void soak_pause_ms(unsigned ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000},
              NULL);
}

void soak_die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    printf("FAILED: ");
    vprintf(format, args);
    printf("\n");
    va_end(args);
    fflush(stdout);
    _exit(1);
}

void soak_path(const struct soak *soak, unsigned mount, unsigned session, char ret_path[400])
{
    snprintf(ret_path, 400, "%s/s%u", soak->mounts[mount].mountpoint, session);
}

static void child(const struct soak *soak, const char *url, const char *const argv[], int out)
{
    char path[300];
    int log;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    snprintf(path, sizeof path, "%s/tools", soak->service.dir);
    log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0600);
    for (size_t i = 1; argv[i]; i++)
        dprintf(log, "%s ", argv[i]);
    dprintf(log, "\n");
    dup2(out >= 0 ? out : log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    setenv("HOLDFAST_STORE", url, 1);
    execv(HOLDFAST_BIN, (char *const *)argv);
    _exit(127);
}

/* Waits, at most so long if `ms` is not 0, and then kills. */
static int wait_for(struct soak *soak, pid_t pid, unsigned ms)
{
    int status;

    for (unsigned waited = 0; ms && waited < ms; waited++) {
        if (waitpid(pid, &status, WNOHANG) == pid)
            return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
        soak_pause_ms(1);
    }
    if (ms)
        kill(pid, SIGKILL);
    if (waitpid(pid, &status, 0) != pid)
        soak_die("a tool is lost");
    if (WIFEXITED(status))
        return WEXITSTATUS(status);
    if (!ms || WTERMSIG(status) != SIGKILL)
        soak_die("a tool died of signal %d", WTERMSIG(status));
    atomic_fetch_add(&soak->count.tools_killed, 1);
    return -1;
}

/* The store, one call of which fails, or is carried out and said to have failed. */
static void add_fault(const char *url, uint64_t *random, char *ret_url, size_t size)
{
    unsigned call = 1 + soak_below(random, 40);

    snprintf(ret_url, size, "faulty(any@%u:EIO%s)+%s", call, soak_below(random, 2) ? "" : "!", url);
}

int soak_run(struct soak *soak, const char *url, const char *const argv[], uint64_t *random,
             char *ret_output, size_t size)
{
    int out = ret_output ? memfd_create("output", MFD_CLOEXEC) : -1, code;
    unsigned trouble = random ? soak_below(random, 6) : 5, ms = 0;
    char faulty[800];
    ssize_t n;
    pid_t pid;

    soak_note("holdfast %s %s ... on %s", argv[1], argv[2] ? argv[2] : "", url);
    if (trouble < 2)
        ms = 1 + soak_below(random, 150);
    else if (trouble == 2)
        add_fault(url, random, faulty, sizeof faulty);
    fflush(stdout);
    pid = fork();
    if (pid == 0)
        child(soak, trouble == 2 ? faulty : url, argv, out);
    if (pid < 0)
        soak_die("fork failed");
    code = wait_for(soak, pid, ms);
    if (ret_output) {
        n = pread(out, ret_output, size - 1, 0);
        ret_output[n > 0 ? n : 0] = '\0';
        close(out);
    }
    if (code <= 0 || trouble != 2)
        return code;
    atomic_fetch_add(&soak->count.tools_failed, 1);
    return -1;
}

unsigned long soak_number(const char *json, const char *key)
{
    char text[60];
    const char *at;

    snprintf(text, sizeof text, "\"%s\":", key);
    at = strstr(json, text);
    return at ? strtoul(at + strlen(text), NULL, 10) : 0;
}
