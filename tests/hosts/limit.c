/* SPDX-License-Identifier: Apache-2.0 */
/* The soak's time limit: a process that watches. When the time is over it says what everybody is at, and takes from
 * them what they may wait for: then the test fails by itself. */
#include "soak.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_WORDS_MS 60000 /* for a test whose mounts are gone to end by itself */

static struct soak_worker *self;

void soak_am(struct soak *soak, unsigned worker)
{
    self = &soak->workers[worker];
    self->pid = getpid();
}

void soak_note(const char *format, ...)
{
    va_list args;

    if (!self)
        return;
    va_start(args, format);
    vsnprintf(self->at, sizeof self->at, format, args);
    va_end(args);
}

/* What a file of /proc says in its first line, for a process that waits in the kernel. */
static void print_proc(pid_t pid, const char *name)
{
    char path[60], line[200] = "";
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    file = fopen(path, "r");
    if (!file)
        return;
    if (fgets(line, sizeof line, file))
        printf("; %s %.*s", name, (int)strcspn(line, "\n"), line);
    fclose(file);
}

static void print_process(const char *what, pid_t pid, const char *at)
{
    printf("  %s, pid %d: %s", what, (int)pid, at);
    print_proc(pid, "wchan");
    print_proc(pid, "syscall");
    printf("\n");
}

static void report(const struct soak *soak, unsigned seconds)
{
    printf("FAILED: the time limit of %u s is over. What everybody is at:\n", seconds);
    for (unsigned i = 0; i < SOAK_WORKERS; i++) {
        const struct soak_worker *worker = &soak->workers[i];

        if (worker->pid > 0)
            print_process(i == SOAK_DRIVER    ? "driver"
                          : i < SOAK_SESSIONS ? "owner"
                                              : "chore",
                          worker->pid, worker->at);
    }
    for (unsigned i = 0; i < soak->nmounts; i++)
        if (soak->mounts[i].pid > 0)
            print_process("mount", soak->mounts[i].pid, soak->mounts[i].mountpoint);
    if (soak->service.pid > 0)
        print_process("server", soak->service.pid, soak->service.store);
    fflush(stdout);
}

static void end(pid_t pid)
{
    if (pid > 0)
        kill(pid, SIGKILL);
}

static void watch(struct soak *soak, unsigned seconds)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    sleep(seconds);
    report(soak, seconds);
    for (unsigned i = 0; i < SOAK_WORKERS; i++)
        if (i != SOAK_DRIVER)
            end(soak->workers[i].pid);
    for (unsigned i = 0; i < soak->nmounts; i++)
        end(soak->mounts[i].pid);
    end(soak->service.pid);
    soak_pause_ms(LAST_WORDS_MS);
    printf("FAILED: the driver does not end either\n");
    fflush(stdout);
    end(soak->workers[SOAK_DRIVER].pid);
    _exit(1);
}

void limit_start(struct soak *soak, unsigned seconds)
{
    soak_am(soak, SOAK_DRIVER);
    fflush(stdout);
    soak->watcher = fork();
    if (soak->watcher == 0)
        watch(soak, seconds);
}

void limit_end(struct soak *soak)
{
    if (soak->watcher <= 0)
        return;
    kill(soak->watcher, SIGKILL);
    waitpid(soak->watcher, NULL, 0);
}
