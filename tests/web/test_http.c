/* SPDX-License-Identifier: Apache-2.0 */
#include "web/http.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

#define TIMES 300

static void no_metrics(struct metrics *metrics, void *arg)
{
    (void)metrics;
    (void)arg;
}

static bool is_ready(char *ret_why, size_t size, void *arg)
{
    (void)arg;
    snprintf(ret_why, size, "never");
    return false;
}

/* Its thread may not have begun when it is to end. */
static void a_service_ends_at_any_moment(void **state)
{
    const struct http_answers answers = {no_metrics, is_ready, NULL};
    struct hf_error err = {0};

    (void)state;
    for (int i = 0; i < TIMES; i++) {
        struct http *http;

        if (http_start("127.0.0.1:0", &answers, &http, &err) != HF_OK)
            fail_msg("%s", err.message);
        http_stop(http);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_service_ends_at_any_moment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
