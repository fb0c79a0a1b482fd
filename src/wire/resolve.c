/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/resolve.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/thread.h"

struct look_up {
    resolve_fn done;
    void *arg;
    uint16_t port;
    char host[];
};

static int look_up(const char *host, uint16_t port, int flags, struct addrinfo **ret_addresses)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV | flags};
    char service[8];

    snprintf(service, sizeof service, "%u", port);
    return getaddrinfo(host, service, &hints, ret_addresses);
}

int resolve_address(const char *host, uint16_t port, struct addrinfo **ret_addresses)
{
    return look_up(host, port, AI_NUMERICHOST, ret_addresses) == 0 ? HF_OK : HF_NOENT;
}

static void *run(void *arg)
{
    struct look_up *job = arg;
    struct addrinfo *addresses = NULL;
    struct hf_error why = {0};
    int error = look_up(job->host, job->port, 0, &addresses);

    if (error != 0)
        (void)hf_fail(&why, HF_IO, "cannot find the address of %s: %s", job->host,
                      error == EAI_SYSTEM ? strerror(errno) : gai_strerror(error));
    job->done(addresses, &why, job->arg);
    free(job);
    return NULL;
}

int resolve_name(const char *host, uint16_t port, resolve_fn done, void *arg, struct hf_error *err)
{
    size_t size = strlen(host) + 1;
    struct look_up *job = malloc(sizeof *job + size);
    struct hf_error why;
    pthread_t thread;

    if (!job)
        return hf_fail(err, HF_NOMEM, "no memory for looking up %s", host);
    *job = (struct look_up){.done = done, .arg = arg, .port = port};
    memcpy(job->host, host, size);
    if (thread_start(&thread, run, job, &why) == HF_OK) {
        pthread_detach(thread);
        return HF_OK;
    }
    free(job);
    return hf_fail(err, HF_AGAIN, "cannot look up %s: %s", host, why.message);
}
