/* SPDX-License-Identifier: Apache-2.0 */
#include "wire/listen.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* getaddrinfo() would take 99999 for another one. */
static bool is_port(const char *text)
{
    size_t len = strlen(text);

    return len > 0 && len <= 5 && strspn(text, "0123456789") == len &&
           strtoul(text, NULL, 10) <= UINT16_MAX;
}

/* Splits "ADDR:PORT" or "[ADDR6]:PORT". */
static bool split_address(const char *text, char ret_host[256], char ret_port[8])
{
    const char *colon = strrchr(text, ':');
    size_t len = colon ? (size_t)(colon - text) : 0;

    if (len > 2 && text[0] == '[' && text[len - 1] == ']') {
        text++;
        len -= 2;
    }
    if (len == 0 || len > 255 || !is_port(colon + 1))
        return false;
    snprintf(ret_host, 256, "%.*s", (int)len, text);
    snprintf(ret_port, 8, "%s", colon + 1);
    return true;
}

int listen_address(const char *text, struct addrinfo **ret_address, struct hf_error *err)
{
    const struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV,
                                   .ai_socktype = SOCK_STREAM};
    char host[256], port[8];
    int rc;

    if (!split_address(text, host, port))
        return hf_fail(err, HF_CONFIG,
                       "cannot listen on '%s': one looks like 192.0.2.1:7420 or [::]:7420", text);
    rc = getaddrinfo(host, port, &hints, ret_address);
    return rc == 0 ? HF_OK
                   : hf_fail(err, HF_CONFIG, "cannot listen on '%s': %s", text, gai_strerror(rc));
}

int listen_bound(int fd, char ret_text[SOCK_TEXT_MAX], struct hf_error *err)
{
    struct sockaddr_storage bound;
    socklen_t size = sizeof bound;

    if (getsockname(fd, (struct sockaddr *)&bound, &size) != 0)
        return hf_fail(err, HF_IO, "cannot tell the address that was bound: %s", strerror(errno));
    sock_text((struct sockaddr *)&bound, size, ret_text);
    return HF_OK;
}
