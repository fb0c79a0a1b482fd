/* SPDX-License-Identifier: Apache-2.0 */
/* A peer that vanishes from the network without a word: in a network namespace whose only link is taken down. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "ends.h"

#define SHORT_MS 1000

static struct test_pki pki;
static struct side server, client;
static int listener;
static uint16_t port;

static bool set_loopback(bool up)
{
    struct ifreq link = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool done;

    link.ifr_flags = (short)(up ? IFF_UP : 0);
    done = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &link) == 0;
    close(fd);
    return done;
}

static int set_up(void **state)
{
    (void)state;
    test_pki_make(&pki);
    test_pki_host(&pki, "host-a", "holdfast:agent");
    side_start(&server, &pki, "server.pem", true, false);
    side_start(&client, &pki, "host-a.pem", false, false);
    listener = listen_on("127.0.0.1", &port);
    return listener >= 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void)state;
    close(listener);
    side_stop(&client);
    side_stop(&server);
    test_pki_remove(&pki);
    return 0;
}

static int64_t now_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The one that has sent something learns it from the kernel, which hears of no acknowledgement. The other one has
 * its own limit for silence. */
static void who_is_cut_off_is_noticed_by_both_sides(void **state)
{
    struct end here, there;
    int64_t begin;

    (void)state;
    end_init(&here);
    end_init(&there);
    end_connect(&there, &client, "127.0.0.1", port, &(struct wire_limits){.stall_ms = SHORT_MS});
    end_accept(&here, &server, listener, &(struct wire_limits){.idle_ms = 2 * SHORT_MS});
    assert_true(end_wait_open(&here) && end_wait_open(&there));
    assert_int_equal(end_send(&there, 1, 100, NULL), HF_OK);
    assert_true(end_wait_frames(&here, 1));
    assert_true(set_loopback(false));
    begin = now_ms();
    (void)end_send(&there, 2, 100, NULL);
    assert_true(end_wait_closed(&there));
    assert_in_range(now_ms() - begin, 0, 10 * SHORT_MS);
    assert_true(end_wait_closed(&here));
    assert_true(there.why.status == HF_TIMEOUT || there.why.status == HF_IO);
    assert_non_null(strstr(there.why.message, "lost"));
    assert_int_equal(here.why.status, HF_TIMEOUT);
    assert_true(set_loopback(true));
    end_release(&here);
    end_release(&there);
}

static void a_server_that_is_not_there_is_given_up(void **state)
{
    struct end end;
    int64_t begin = now_ms();

    (void)state;
    assert_true(set_loopback(false));
    end_init(&end);
    end_connect(&end, &client, "127.0.0.1", port, &(struct wire_limits){.handshake_ms = SHORT_MS});
    assert_true(end_wait_closed(&end));
    assert_in_range(now_ms() - begin, 0, 10 * SHORT_MS);
    assert_non_null(strstr(end.why.message, "cannot connect"));
    assert_true(set_loopback(true));
    end_release(&end);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_cut_off_is_noticed_by_both_sides),
        cmocka_unit_test(a_server_that_is_not_there_is_given_up),
    };

    if (unshare(CLONE_NEWNET) != 0 || !set_loopback(true)) {
        printf("skipped: no network namespace can be made here: %s\n", strerror(errno));
        return 77;
    }
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
