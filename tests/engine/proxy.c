/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define STALL_MAX_MS 300
#define BUDGET_MAX 40000
#define PIECE 4096

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* xorshift64* (G. Marsaglia, S. Vigna). */
static uint64_t next_random(struct proxy *proxy)
{
    proxy->random ^= proxy->random >> 12;
    proxy->random ^= proxy->random << 25;
    proxy->random ^= proxy->random >> 27;
    return proxy->random * 0x2545f4914f6cdd1dULL;
}

static void cut(struct proxy_pair *pair)
{
    if (pair->client >= 0)
        close(pair->client);
    if (pair->server >= 0)
        close(pair->server);
    *pair = (struct proxy_pair){-1, -1, 0, 0};
}

static int socket_to(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    close(fd);
    return -1;
}

static int64_t new_budget(struct proxy *proxy)
{
    return (int64_t)(next_random(proxy) % BUDGET_MAX) + 1;
}

static void take_connection(struct proxy *proxy)
{
    struct proxy_pair *pair = proxy->pairs;
    int fd = accept4(proxy->fd, NULL, NULL, SOCK_CLOEXEC);

    if (fd < 0)
        return;
    while (pair < proxy->pairs + PROXY_PAIRS_MAX && pair->client >= 0)
        pair++;
    if (pair == proxy->pairs + PROXY_PAIRS_MAX || (!proxy->calm && next_random(proxy) % 4 == 0)) {
        close(fd);
        return;
    }
    *pair = (struct proxy_pair){fd, socket_to(proxy->to), 0, new_budget(proxy)};
    if (pair->server < 0)
        cut(pair);
}

/* Something happens to a connection. */
static void harm(struct proxy *proxy, struct proxy_pair *pair)
{
    pair->budget = new_budget(proxy);
    if (next_random(proxy) % 3 == 0) {
        pair->stalled = now_ms() + (int64_t)(next_random(proxy) % STALL_MAX_MS);
        proxy->stalls++;
    } else {
        cut(pair);
        proxy->cuts++;
    }
}

/* Passes on a piece, which is cut short where something is to happen. */
static void pass(struct proxy *proxy, struct proxy_pair *pair, int from, int to)
{
    char bytes[PIECE];
    size_t room = proxy->calm || pair->budget > PIECE ? PIECE : (size_t)pair->budget;
    ssize_t n = recv(from, bytes, room, MSG_DONTWAIT);

    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    for (ssize_t sent = 0, more = 1; sent < n && more > 0; sent += more)
        n = (more = send(to, bytes + sent, (size_t)(n - sent), MSG_NOSIGNAL)) > 0 ? n : 0;
    if (n <= 0) {
        cut(pair);
        return;
    }
    pair->budget -= n;
    if (!proxy->calm && pair->budget <= 0)
        harm(proxy, pair);
}

static void look_at(struct proxy *proxy, struct proxy_pair *pair, const struct pollfd *client,
                    const struct pollfd *server)
{
    if (client->revents & (POLLIN | POLLHUP | POLLERR))
        pass(proxy, pair, pair->client, pair->server);
    if (pair->client >= 0 && pair->stalled == 0 && server->revents & (POLLIN | POLLHUP | POLLERR))
        pass(proxy, pair, pair->server, pair->client);
}

static void *pass_on(void *arg)
{
    struct proxy *proxy = arg;
    struct pollfd fds[1 + 2 * PROXY_PAIRS_MAX];

    while (!proxy->stopping) {
        int64_t now = now_ms();

        fds[0] = (struct pollfd){.fd = proxy->fd, .events = POLLIN};
        for (size_t i = 0; i < PROXY_PAIRS_MAX; i++) {
            bool still = proxy->pairs[i].stalled > now;

            if (!still)
                proxy->pairs[i].stalled = 0;
            fds[1 + 2 * i] =
                (struct pollfd){.fd = still ? -1 : proxy->pairs[i].client, .events = POLLIN};
            fds[2 + 2 * i] =
                (struct pollfd){.fd = still ? -1 : proxy->pairs[i].server, .events = POLLIN};
        }
        if (poll(fds, 1 + 2 * PROXY_PAIRS_MAX, 10) <= 0)
            continue;
        for (size_t i = 0; i < PROXY_PAIRS_MAX; i++)
            look_at(proxy, &proxy->pairs[i], &fds[1 + 2 * i], &fds[2 + 2 * i]);
        if (fds[0].revents & POLLIN)
            take_connection(proxy);
    }
    return NULL;
}

void proxy_start(struct proxy *proxy, uint16_t to, uint64_t seed)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;

    memset(proxy, 0, sizeof *proxy);
    proxy->to = to;
    proxy->random = seed * 2 + 1;
    for (size_t i = 0; i < PROXY_PAIRS_MAX; i++)
        proxy->pairs[i] = (struct proxy_pair){-1, -1, 0, 0};
    proxy->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert(proxy->fd >= 0);
    assert(bind(proxy->fd, (struct sockaddr *)&address, sizeof address) == 0);
    assert(listen(proxy->fd, 64) == 0);
    assert(getsockname(proxy->fd, (struct sockaddr *)&address, &len) == 0);
    proxy->port = ntohs(address.sin_port);
    assert(pthread_create(&proxy->thread, NULL, pass_on, proxy) == 0);
}

void proxy_stop(struct proxy *proxy)
{
    proxy->stopping = true;
    pthread_join(proxy->thread, NULL);
    for (size_t i = 0; i < PROXY_PAIRS_MAX; i++)
        cut(&proxy->pairs[i]);
    close(proxy->fd);
}
